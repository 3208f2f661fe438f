/* follow - a watch: one connection that is told what happens, and goes on where it was when the
 * connection is another one. */
#include <stdio.h>
#include <string.h>

#include "store/remote/lane.h"
#include "store/remote/words.h"

/* The server sends a sign of life from time to time; this asks for one more often. */
#define PING_MS   4000u
#define SILENT_NS (9 * NS_PER_S)

#define PAUSE_MS_MAX 1000u

struct follow {
    struct remote *remote;
    struct store_watch *watch; /* NULL: it was stopped */
    struct link *link;
    struct list link_in_remote;
    uv_timer_t timer; /* of the next attempt, or of the next ping */
    bool is_following;
    uint32_t failure_count;
};

static void free_follow(uv_handle_t *handle)
{
    struct follow *follow = handle->data;
    struct remote *remote = follow->remote;
    memory_give(remote->memory, follow, sizeof(*follow));
    tni_remote_let_go(remote);
}

static void stop(struct follow *follow)
{
    if (follow->watch == NULL) return;
    follow->watch->where = NULL;
    follow->watch = NULL;
    list_remove(&follow->link_in_remote);
    if (follow->link != NULL) tni_link_close(follow->link);
    follow->link = NULL;
    uv_close((uv_handle_t *)&follow->timer, free_follow);
}

/* It ends by itself. */
static void end(struct follow *follow, enum tenure_err err)
{
    struct store_watch *watch = follow->watch;
    stop(follow);
    watch->end(watch, err);
}

static void on_retry(uv_timer_t *timer);

static void break_off(struct follow *follow)
{
    if (follow->link != NULL) tni_link_close(follow->link);
    follow->link = NULL;
    follow->is_following = false;
    uint32_t bound_ms = follow->failure_count < 6 ? 20u << follow->failure_count : PAUSE_MS_MAX;
    follow->failure_count++;
    uint64_t pause_ms = tni_remote_random(follow->remote) % bound_ms;
    (void)uv_timer_start(&follow->timer, on_retry, pause_ms, 0);
}

static void on_ping(uv_timer_t *timer)
{
    struct follow *follow = timer->data;
    if (tni_store_now().ns - follow->link->received_at.ns > SILENT_NS) {
        break_off(follow);
        return;
    }
    struct resp_writer writer = { &follow->link->output, true };
    resp_write_array(&writer, 1);
    resp_write_text(&writer, "PING");
    tni_link_flush(follow->link);
}

/* ------------------------------------------------------------------ what comes */

static void add_request(struct words *words, const struct store_watch *watch)
{
    bool has_prefix = watch->prefix != NULL && watch->prefix[0] != '\0';
    if (watch->channel != NULL) {
        add_text_option(words, watch->is_pattern ? "PSUBSCRIBE" : "SUBSCRIBE", watch->channel);
        return;
    }
    add_text(words, "EVENTS.FOLLOW");
    if (watch->since > 0 || watch->has_since) {
        add_text(words, "SINCE");
        add_number(words, watch->since);
    }
    if (has_prefix) add_text_option(words, watch->is_exact ? "NAME" : "PREFIX", watch->prefix);
    add_text_option(words, "TYPES", watch->kinds);
    if (watch->has_previous) add_text(words, "PREVIOUS");
}

static void on_up(struct link *link)
{
    struct follow *follow = link->owner;
    struct resp_writer writer = { &link->output, true };
    struct words count = { .writer = NULL };
    add_request(&count, follow->watch);
    struct words words = { .writer = &writer };
    resp_write_array(&writer, count.count);
    add_request(&words, follow->watch);
    if (link->output.is_failed) {
        break_off(follow);
        return;
    }
    (void)uv_timer_start(&follow->timer, on_ping, PING_MS, PING_MS);
    tni_link_flush(link);
}

/* The server does not tell; perhaps only now. */
static void refuse(struct follow *follow, const char *line)
{
    size_t size = strcspn(line, " ");
    enum tenure_err err = TENURE_INVALID;
    for (int other = 1; other < TENURE_ERR_COUNT; other++) {
        const char *word = tenure_err_resp_word((enum tenure_err)other);
        bool is_it = strlen(word) == size && memcmp(word, line, size) == 0;
        if (is_it) err = (enum tenure_err)other;
    }
    if (tenure_err_retry(err) == TENURE_RETRY_NEVER) {
        end(follow, err);
    } else {
        break_off(follow);
    }
}

static void begin(struct follow *follow)
{
    follow->is_following = true;
    follow->failure_count = 0;
    if (follow->watch->begun != NULL) follow->watch->begun(follow->watch);
}

/* ["follow", 17] */
static void on_answer(struct follow *follow, struct reply *reply)
{
    if (tni_reply_peek(reply) == RESP_ERROR) {
        refuse(follow, tni_reply_text_or_empty(reply));
        return;
    }
    (void)tni_reply_array(reply);
    tni_reply_skip(reply);
    uint64_t since = tni_reply_unsigned(reply);
    if (reply->is_bad) {
        break_off(follow);
        return;
    }
    follow->watch->since = since;
    follow->watch->has_since = true;
    begin(follow);
}

static void tell(struct follow *follow, struct reply *reply, const struct store_event *event)
{
    struct store_watch *watch = follow->watch;
    if (reply->is_bad) {
        break_off(follow);
        return;
    }
    if (watch->channel == NULL) watch->since = event->seq;
    if (!watch->event(watch, event) && follow->watch != NULL) end(follow, TENURE_CANCELED);
}

static void on_push(struct follow *follow, struct reply *reply)
{
    struct store_watch *watch = follow->watch;
    struct store_event event;
    (void)tni_reply_array(reply);
    const char *word = tni_reply_text_or_empty(reply);
    if (strcmp(word, "event") == 0) {
        tni_decode_event(reply, &event);
        tell(follow, reply, &event);
    } else if (strcmp(word, "heartbeat") == 0) {
        uint64_t seq = tni_reply_unsigned(reply);
        if (seq > watch->since) watch->since = seq;
    } else if (strcmp(word, "compacted") == 0 || strcmp(word, "overflow") == 0) {
        end(follow, TENURE_COMPACTED);
    } else if (strcmp(word, "message") == 0 || strcmp(word, "pmessage") == 0) {
        event = (struct store_event){ STORE_EVENT_EMPTY };
        event.kind = "message";
        if (word[0] == 'p') tni_reply_skip(reply);
        event.name = tni_reply_text_or_empty(reply);
        event.value = tni_reply_bytes(reply);
        tell(follow, reply, &event);
    } else if (strcmp(word, "subscribe") == 0 || strcmp(word, "psubscribe") == 0) {
        begin(follow);
    }
}

static void on_reply(struct link *link, struct reply *reply)
{
    struct follow *follow = link->owner;
    if (tni_reply_peek(reply) == RESP_PUSH) {
        on_push(follow, reply);
    } else if (!follow->is_following) {
        on_answer(follow, reply);
    } /* else a pong */
}

static void on_down(struct link *link, const char *text)
{
    struct follow *follow = link->owner;
    struct remote *remote = follow->remote;
    (void)snprintf(remote->trouble, sizeof(remote->trouble), "%s", text);
    break_off(follow);
}

static const struct link_ops link_ops = {
    .open = tni_greeting_write,
    .greet = tni_greeting_judge,
    .up = on_up,
    .reply = on_reply,
    .down = on_down,
    .gone = tni_remote_let_go,
};

/* ------------------------------------------------------------------ life */

static void on_retry(uv_timer_t *timer)
{
    struct follow *follow = timer->data;
    struct remote *remote = follow->remote;
    struct link_options options = {
        .loop = remote->loop,
        .memory = remote->memory,
        .address = &remote->address,
        .address_index = remote->address_index + follow->failure_count,
        .ops = &link_ops,
        .owner = follow,
        .context = remote,
    };
    follow->link = tni_link_create(&options);
    if (follow->link == NULL) {
        break_off(follow);
    } else {
        remote->open_count++;
    }
}

enum tenure_err tni_follow_start(struct store *store, struct store_watch *watch)
{
    struct remote *remote = CONTAINER_OF(store, struct remote, store);
    if (remote->is_closed) return TENURE_CANCELED;
    struct follow *follow = memory_take(remote->memory, sizeof(*follow));
    if (follow == NULL) return TENURE_NO_MEMORY;
    *follow = (struct follow){ .remote = remote, .watch = watch };
    list_init(&follow->link_in_remote);
    list_append(&remote->follows, &follow->link_in_remote);
    (void)uv_timer_init(remote->loop, &follow->timer);
    follow->timer.data = follow;
    remote->open_count++;
    watch->where = follow;
    (void)uv_timer_start(&follow->timer, on_retry, 0, 0);
    return TENURE_OK;
}

void tni_follow_stop(struct store *store, struct store_watch *watch)
{
    (void)store;
    if (watch->where != NULL) stop(watch->where);
}

void tni_follow_stop_all(struct remote *remote)
{
    struct list *first;
    while ((first = list_first(&remote->follows)) != NULL) {
        stop(CONTAINER_OF(first, struct follow, link_in_remote));
    }
}
