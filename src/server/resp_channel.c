/* PUBLISH, SUBSCRIBE and the like, as clients of Redis speak them. */
#include "server/channels.h"
#include "server/resp.h"

/* Who reads so slowly is cut off, as Redis does it: nothing is kept for it. */
#define BACKLOG_MAX ((size_t)8 << 20)

/* ------------------------------------------------------------------ messages */

static void tell(struct subscription *subscription, struct bytes channel, struct bytes message)
{
    struct session *session = subscription->user;
    if (session->is_closing || session->is_gone) return;
    if (session_backlog(session) > BACKLOG_MAX) {
        session->server->metrics.listener_cut_count++;
        session_close(session);
        return;
    }
    struct resp *resp = resp_speak(session);
    resp_write_push(&resp->out, subscription->is_pattern ? 4 : 3);
    resp_write_text(&resp->out, subscription->is_pattern ? "pmessage" : "message");
    if (subscription->is_pattern) resp_write_bulk(&resp->out, channel_name(subscription));
    resp_write_bulk(&resp->out, channel);
    resp_write_bulk(&resp->out, message);
    resp_end_now(resp);
}

void resp_run_publish(struct resp *resp, const struct resp_command *command)
{
    struct resp_args args = { resp, command, 1 };
    struct bytes name;
    struct bytes message;
    if (!resp_take_bytes(&args, "channel", CHANNEL_NAME_SIZE_MAX, &name)) return;
    if (!resp_take_bytes(&args, "message", CHANNEL_MESSAGE_SIZE_MAX, &message)) return;
    uint32_t count = channel_publish(resp->server->channels, name, message);
    (void)resp_speak(resp->session); /* others have been spoken to */
    resp_write_unsigned(&resp->out, count);
    resp_end_now(resp);
}

/* ------------------------------------------------------------------ subscribing */

static struct subscription *find_own(const struct resp *resp, struct bytes name, bool is_pattern)
{
    list_foreach(link, &resp->subscriptions) {
        struct subscription *subscription = CONTAINER_OF(link, struct subscription, own);
        if (subscription->is_pattern == is_pattern && bytes_equal(channel_name(subscription), name))
        {
            return subscription;
        }
    }
    return NULL;
}

static void confirm(struct resp *resp, const char *word, const struct bytes *name)
{
    resp_write_push(&resp->out, 3);
    resp_write_text(&resp->out, word);
    if (name != NULL) resp_write_bulk(&resp->out, *name);
    if (name == NULL) resp_write_null(&resp->out);
    resp_write_unsigned(&resp->out, resp->subscription_count);
    resp_end_now(resp);
}

/* False: no memory, and that has been answered. */
static bool subscribe(struct resp *resp, struct bytes name, bool is_pattern)
{
    if (find_own(resp, name, is_pattern) != NULL) return true;
    struct subscription *subscription = channel_subscribe(resp->server->channels, name, is_pattern);
    if (subscription == NULL) {
        resp_refuse(resp, TENURE_NO_MEMORY, tenure_err_text(TENURE_NO_MEMORY));
        return false;
    }
    subscription->tell = tell;
    subscription->user = resp->session;
    list_append(&resp->subscriptions, &subscription->own);
    resp->subscription_count++;
    return true;
}

static void run_subscribe(struct resp *resp, const struct resp_command *command, bool is_pattern)
{
    struct resp_args args = { resp, command, 1 };
    while (resp_args_left(&args)) {
        struct bytes name;
        if (!resp_take_bytes(&args, "channel", CHANNEL_NAME_SIZE_MAX, &name)) return;
        bool is_known = find_own(resp, name, is_pattern) != NULL;
        if (!is_known && resp->subscription_count == RESP_SUBSCRIPTION_COUNT_MAX) {
            resp_refuse(resp, TENURE_TOO_MANY, "at most 1024 subscriptions on one connection");
            return;
        }
        if (!channel_has_room(resp->server->channels, name, is_pattern)) {
            resp_refuse(resp, TENURE_TOO_MANY, "at most 4096 patterns on one server");
            return;
        }
        if (!subscribe(resp, name, is_pattern)) return;
        confirm(resp, is_pattern ? "psubscribe" : "subscribe", &name);
    }
}

void resp_run_subscribe(struct resp *resp, const struct resp_command *command)
{
    run_subscribe(resp, command, false);
}

void resp_run_psubscribe(struct resp *resp, const struct resp_command *command)
{
    run_subscribe(resp, command, true);
}

static void end_own(struct resp *resp, struct subscription *subscription)
{
    resp->subscription_count--;
    channel_unsubscribe(resp->server->channels, subscription);
}

/* All of a kind; each is confirmed, and that there was none too. */
static void unsubscribe_all(struct resp *resp, bool is_pattern, const char *word)
{
    bool had_one = false;
    list_foreach_safe(link, following, &resp->subscriptions) {
        struct subscription *subscription = CONTAINER_OF(link, struct subscription, own);
        if (subscription->is_pattern != is_pattern) continue;
        char copy[CHANNEL_NAME_SIZE_MAX];
        struct bytes name = channel_name(subscription);
        if (name.size > 0) memcpy(copy, name.data, name.size);
        name.data = copy;
        end_own(resp, subscription);
        confirm(resp, word, &name);
        had_one = true;
    }
    if (!had_one) confirm(resp, word, NULL);
}

static void run_unsubscribe(struct resp *resp, const struct resp_command *command, bool is_pattern)
{
    const char *word = is_pattern ? "punsubscribe" : "unsubscribe";
    struct resp_args args = { resp, command, 1 };
    if (!resp_args_left(&args)) unsubscribe_all(resp, is_pattern, word);
    while (resp_args_left(&args)) {
        struct bytes name;
        if (!resp_take_bytes(&args, "channel", CHANNEL_NAME_SIZE_MAX, &name)) return;
        struct subscription *subscription = find_own(resp, name, is_pattern);
        if (subscription != NULL) end_own(resp, subscription);
        confirm(resp, word, &name);
    }
}

void resp_run_unsubscribe(struct resp *resp, const struct resp_command *command)
{
    run_unsubscribe(resp, command, false);
}

void resp_run_punsubscribe(struct resp *resp, const struct resp_command *command)
{
    run_unsubscribe(resp, command, true);
}

void resp_channels_stop(struct resp *resp)
{
    struct list *link;
    while ((link = list_first(&resp->subscriptions)) != NULL) {
        end_own(resp, CONTAINER_OF(link, struct subscription, own));
    }
}

/* ------------------------------------------------------------------ PUBSUB */

static void tell_channels(struct resp *resp, const struct bytes *pattern)
{
    const struct channels *channels = resp->server->channels;
    struct bytes name;
    uint32_t count = 0;
    for (const void *at = NULL; (at = channel_next(channels, at, &name)) != NULL;) {
        count += pattern == NULL || channel_matches(*pattern, name);
    }
    resp_write_array(&resp->out, count);
    for (const void *at = NULL; (at = channel_next(channels, at, &name)) != NULL;) {
        bool is_wanted = pattern == NULL || channel_matches(*pattern, name);
        if (is_wanted) resp_write_bulk(&resp->out, name);
    }
    resp_end_now(resp);
}

void resp_run_pubsub(struct resp *resp, const struct resp_command *command)
{
    struct resp_args args = { resp, command, 1 };
    const struct channels *channels = resp->server->channels;
    uint32_t given = command->argument_count - 2;
    if (resp_take_keyword(&args, "CHANNELS") && given <= 1) {
        struct bytes pattern = given == 1 ? resp_argument(command, 2) : (struct bytes){ 0 };
        tell_channels(resp, given == 1 ? &pattern : NULL);
    } else if (resp_take_keyword(&args, "NUMPAT") && given == 0) {
        resp_write_unsigned(&resp->out, channel_pattern_count(channels));
        resp_end_now(resp);
    } else if (resp_take_keyword(&args, "NUMSUB")) {
        resp_write_array(&resp->out, 2 * given); /* in RESP3 too, as Redis does it */
        for (; resp_args_left(&args); args.index++) {
            struct bytes name = resp_argument(command, args.index);
            resp_write_bulk(&resp->out, name);
            resp_write_unsigned(&resp->out, channel_subscriber_count(channels, name));
        }
        resp_end_now(resp);
    } else {
        resp_refuse_word(resp, "ERR", "unknown subcommand of PUBSUB, or wrong arguments");
    }
}
