#include "handoff_peer.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include "base64.h"

/* How long a waiter waits, and a hold lives: longer than any run. */
#define WAIT_MS       3600000
#define TTL_MS        3600000
#define NAME_SIZE_MAX 48u

__attribute__((format(printf, 2, 3))) static void
put_format(struct buffer *out, const char *format, ...)
{
    char text[HANDOFF_TEXT_SIZE_MAX * 2];
    va_list arguments;
    va_start(arguments, format);
    // NOLINTNEXTLINE(clang-analyzer-valist.Uninitialized): it has been started
    int size = vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    ASSERT(size >= 0 && (size_t)size < sizeof(text));
    buffer_append(out, text, (size_t)size);
}

/* A lock of this process' own. */
static size_t write_name(char out_name[static NAME_SIZE_MAX])
{
    return (size_t)snprintf(out_name, NAME_SIZE_MAX, "bench/handoff/%d", (int)getpid());
}

/* tenured */

static size_t write_owner(const struct caller *caller, char out_owner[static HANDOFF_TEXT_SIZE_MAX])
{
    int size = snprintf(
        out_owner,
        HANDOFF_TEXT_SIZE_MAX,
        "bench-%d-%u-%" PRIu64,
        (int)getpid(),
        caller->index,
        caller->turn);
    return (size_t)size;
}

static void tenured_compose_acquire(const struct caller *caller, struct buffer *out)
{
    char owner[HANDOFF_TEXT_SIZE_MAX];
    char name[NAME_SIZE_MAX];
    size_t size = write_owner(caller, owner);
    size_t name_size = write_name(name);
    put_format(
        out,
        "*6\r\n$12\r\nLOCK.ACQUIRE\r\n$%zu\r\n%s\r\n$%zu\r\n%s\r\n$7\r\n%d\r\n"
        "$4\r\nWAIT\r\n$7\r\n%d\r\n",
        name_size,
        name,
        size,
        owner,
        TTL_MS,
        WAIT_MS);
}

static void tenured_compose_release(const struct caller *caller, struct buffer *out)
{
    char owner[HANDOFF_TEXT_SIZE_MAX];
    char name[NAME_SIZE_MAX];
    size_t size = write_owner(caller, owner);
    size_t name_size = write_name(name);
    put_format(
        out,
        "*4\r\n$12\r\nLOCK.RELEASE\r\n$%zu\r\n%s\r\n$%zu\r\n%s\r\n$%zu\r\n%s\r\n",
        name_size,
        name,
        size,
        owner,
        strlen(caller->claim),
        caller->claim);
}

static bool tenured_take_grant(struct caller *caller, const union handoff_answer *answer)
{
    int64_t token = resp_reply_number(&answer->resp, BYTES_LITERAL("token"));
    if (answer->resp.tokens[0].type == '-' || token <= 0) return false;
    (void)snprintf(caller->claim, sizeof(caller->claim), "%" PRId64, token);
    return true;
}

static bool tenured_is_released(const union handoff_answer *answer)
{
    const struct resp_token *word = &answer->resp.tokens[0];
    if (word->type == '*' && answer->resp.token_count > 1) word++;
    return (word->type == '$' || word->type == '+') &&
           bytes_equal(word->text, BYTES_LITERAL("released"));
}

/* etcd's lock service, through its JSON gateway; a lease for each caller, as its clients do. */

static void put_post(struct buffer *out, const char *path, const char *body)
{
    put_format(
        out,
        "POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        "Content-Length: %zu\r\n\r\n%s",
        path,
        strlen(body),
        body);
}

/* The text value of `"key":"`, which must be all of `pattern`. */
static bool copy_json_text(struct bytes body, struct bytes pattern, char *out_text, size_t size)
{
    const char *found = memmem(body.data, body.size, pattern.data, pattern.size);
    if (found == NULL) return false;
    const char *start = found + pattern.size;
    const char *end = memchr(start, '"', (size_t)(body.data + body.size - start));
    if (end == NULL || (size_t)(end - start) >= size) return false;
    memcpy(out_text, start, (size_t)(end - start));
    out_text[end - start] = '\0';
    return true;
}

static bool etcd_prepare(struct caller *caller, const struct link_address *address)
{
    struct buffer request;
    struct buffer storage;
    struct http_reply reply;
    buffer_init(&request, &memory_heap);
    buffer_init(&storage, &memory_heap);
    put_post(&request, "/v3/lease/grant", "{\"TTL\":3600}");
    bool is_granted =
        link_ask_http(address, buffer_bytes(&request), &storage, &reply) &&
        copy_json_text(
            reply.body, BYTES_LITERAL("\"ID\":\""), caller->lease, sizeof(caller->lease));
    buffer_deinit(&request);
    buffer_deinit(&storage);
    return is_granted;
}

static void etcd_compose_acquire(const struct caller *caller, struct buffer *out)
{
    char name[NAME_SIZE_MAX];
    char key[BASE64_SIZE(NAME_SIZE_MAX)];
    char body[192];
    base64_write((struct bytes){ name, write_name(name) }, key);
    (void)snprintf(body, sizeof(body), "{\"name\":\"%s\",\"lease\":\"%s\"}", key, caller->lease);
    put_post(out, "/v3/lock/lock", body);
}

static void etcd_compose_release(const struct caller *caller, struct buffer *out)
{
    char body[HANDOFF_TEXT_SIZE_MAX + 16];
    (void)snprintf(body, sizeof(body), "{\"key\":\"%s\"}", caller->claim);
    put_post(out, "/v3/lock/unlock", body);
}

static bool etcd_take_grant(struct caller *caller, const union handoff_answer *answer)
{
    return answer->http.status == 200 && copy_json_text(
                                             answer->http.body,
                                             BYTES_LITERAL("\"key\":\""),
                                             caller->claim,
                                             sizeof(caller->claim));
}

static bool etcd_is_released(const union handoff_answer *answer)
{
    return answer->http.status == 200;
}

static const struct handoff_peer peers[] = {
    { .name = "tenured",
      .compose_acquire = tenured_compose_acquire,
      .compose_release = tenured_compose_release,
      .take_grant = tenured_take_grant,
      .is_released = tenured_is_released },
    { .name = "etcd",
      .is_http = true,
      .prepare = etcd_prepare,
      .compose_acquire = etcd_compose_acquire,
      .compose_release = etcd_compose_release,
      .take_grant = etcd_take_grant,
      .is_released = etcd_is_released },
};

const struct handoff_peer *handoff_peer_find(const char *name)
{
    for (size_t i = 0; i < sizeof(peers) / sizeof(peers[0]); i++) {
        if (strcmp(peers[i].name, name) == 0) return &peers[i];
    }
    return NULL;
}
