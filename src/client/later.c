#include "client/later.h"

#include <string.h>

void tni_later_destroy(struct later *later)
{
    struct client *client = later->call.client;
    if (later->hold != NULL) tni_hold_give(later->hold);
    memory_give(client->memory, later, later->size);
    tni_client_give(client);
}

static void tell(struct client *client, struct notice *notice)
{
    struct later *later = CONTAINER_OF(notice, struct later, notice);
    struct tenure_error error;
    (void)client;
    const char *text = later->call.text[0] == '\0' ? NULL : later->call.text;
    (void)tni_fail(&error, later->call.err, text);
    if (later->fn != NULL) later->fn(later->call.err, &error, later->user);
    tni_later_destroy(later);
}

static void finish(struct call *call)
{
    struct later *later = CONTAINER_OF(call, struct later, call);
    if (later->before_tell != NULL) later->before_tell(later);
    (void)tni_notice_post(call->client, &later->notice);
}

struct later *tni_later_create(
    struct client *client, struct hold *hold, tenure_done_fn fn, void *user, const char *text)
{
    return tni_later_create_with(client, hold, fn, user, bytes_from_text(text));
}

struct later *tni_later_create_with(
    struct client *client, struct hold *hold, tenure_done_fn fn, void *user, struct bytes bytes)
{
    size_t size = sizeof(struct later) + bytes.size + 1;
    struct later *later = memory_take(client->memory, size);
    if (later == NULL) {
        if (hold != NULL) tni_hold_give(hold);
        tni_client_give(client);
        return NULL;
    }
    *later = (struct later){ .call = { .client = client, .finish = finish },
                             .notice = { .tell = tell },
                             .fn = fn,
                             .user = user,
                             .hold = hold,
                             .size = size };
    if (bytes.size > 0) memcpy(later->text, bytes.data, bytes.size);
    later->text[bytes.size] = '\0';
    tni_call_prepare(&later->call);
    return later;
}

enum tenure_err tni_later_start(struct later *later)
{
    if (tni_client_submit(later->call.client, &later->call.task)) return TENURE_OK;
    tni_later_destroy(later);
    return TENURE_CANCELED;
}
