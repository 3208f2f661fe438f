/* Who is the master, as the majority of the sentinels in the URL says.  They are asked when they
 * are reached and again and again while the master is not; that it has changed they say by
 * themselves. (Redis documentation: "Guidelines for Redis clients with support for Redis
 * Sentinel".) */
#include <stdio.h>
#include <stdlib.h>

#include "proto/resp_writer.h"
#include "store/redis/cluster.h"

#define ASK_NS       (500 * NS_PER_MS) /* while the master is away */
#define ASK_NS_CALM  (10 * NS_PER_S)
#define PAUSE_MS_MAX 1000u
#define SILENT_NS    (3 * NS_PER_S) /* one that does not answer is dropped */

static const struct mono never = { INT64_MAX };

struct watcher {
    struct redis_sentinel *sentinel;
    uint32_t index;
    struct link *link; /* NULL: none is being made */
    uint32_t address_index;
    uint32_t failure_count;
    uint32_t greeting_step;
    struct mono retry_at;
    struct mono asked_at;
    bool is_asked; /* since `asked_at`; no answer has come yet */
    bool has_answer;
    struct link_address master; /* as it says */
};

struct redis_sentinel {
    struct redis *redis;
    struct watcher watchers[QUORUM_NODE_COUNT_MAX];
    struct mono asked_at; /* all of them */
    char trouble[160];
};

const char *tni_redis_sentinel_trouble(const struct redis_sentinel *sentinel)
{
    return sentinel->trouble;
}

/* ------------------------------------------------------------------ what they say */

static bool is_same(const struct link_address *left, const struct link_address *right)
{
    return strcmp(left->host, right->host) == 0 && strcmp(left->port, right->port) == 0;
}

static bool set_address(struct link_address *address, const char *host, const char *port)
{
    uint64_t number;
    bool is_port = decimal_parse(bytes_from_text(port), &number) && number > 0 && number < 65536;
    if (!is_port || host[0] == '\0' || strlen(host) >= sizeof(address->host)) return false;
    *address = (struct link_address){ 0 };
    memcpy(address->host, host, strlen(host));
    memcpy(address->port, port, strlen(port));
    return true;
}

/* Follow the majority. */
static void judge(struct redis_sentinel *sentinel)
{
    struct redis *redis = sentinel->redis;
    struct redis_node *node = &redis->nodes[0];
    uint32_t count = redis->address.count;
    for (uint32_t index = 0; index < count; index++) {
        const struct watcher *watcher = &sentinel->watchers[index];
        uint32_t votes = 0;
        for (uint32_t other = 0; other < count; other++) {
            votes += sentinel->watchers[other].has_answer && watcher->has_answer &&
                     is_same(&watcher->master, &sentinel->watchers[other].master);
        }
        if (votes <= count / 2) continue;
        sentinel->trouble[0] = '\0';
        bool is_new = !node->is_enabled || !is_same(&node->address, &watcher->master);
        if (is_new) tni_redis_node_move(node, &watcher->master);
        return;
    }
}

static void take_master(struct watcher *watcher, struct reply *reply)
{
    struct redis_sentinel *sentinel = watcher->sentinel;
    if (tni_reply_peek(reply) != RESP_ARRAY) {
        watcher->has_answer = false;
        (void)snprintf(
            sentinel->trouble,
            sizeof(sentinel->trouble),
            "the sentinels know no master named %.80s",
            sentinel->redis->address.master);
        return;
    }
    if (tni_reply_array(reply) != 2) return;
    const char *host = tni_reply_text_or_empty(reply);
    const char *port = tni_reply_text_or_empty(reply);
    if (reply->is_bad || !set_address(&watcher->master, host, port)) return;
    watcher->has_answer = true;
    judge(sentinel);
}

/* "NAME OLD-HOST OLD-PORT NEW-HOST NEW-PORT" */
static void take_switch(struct watcher *watcher, const char *message)
{
    char text[600];
    char *words[5];
    char *rest = NULL;
    if (strlen(message) >= sizeof(text)) return;
    memcpy(text, message, strlen(message) + 1);
    words[0] = strtok_r(text, " ", &rest);
    for (unsigned index = 1; index < 5; index++) {
        words[index] = words[index - 1] == NULL ? NULL : strtok_r(NULL, " ", &rest);
    }
    if (words[4] == NULL) return;
    if (strcmp(words[0], watcher->sentinel->redis->address.master) != 0) return;
    if (!set_address(&watcher->master, words[3], words[4])) return;
    watcher->has_answer = true;
    judge(watcher->sentinel);
}

static void take_push(struct watcher *watcher, struct reply *reply)
{
    if (tni_reply_array(reply) != 3) return;
    if (strcmp(tni_reply_text_or_empty(reply), "message") != 0) return;
    tni_reply_skip(reply);
    const char *message = tni_reply_text_or_empty(reply);
    if (!reply->is_bad) take_switch(watcher, message);
}

/* ------------------------------------------------------------------ the connections */

static void ask(struct link *link, const struct redis_address *address)
{
    struct resp_writer writer = { &link->output, true };
    resp_write_array(&writer, 3);
    resp_write_text(&writer, "SENTINEL");
    resp_write_text(&writer, "GET-MASTER-ADDR-BY-NAME");
    resp_write_text(&writer, address->master);
}

static void on_open(struct link *link)
{
    struct watcher *watcher = link->owner;
    const struct redis_address *address = &watcher->sentinel->redis->address;
    struct resp_writer writer = { &link->output, true };
    bool has_user = address->sentinel_password[0] != '\0' || address->sentinel_user[0] != '\0';
    resp_write_array(&writer, has_user ? 5 : 2);
    resp_write_text(&writer, "HELLO");
    resp_write_text(&writer, "3");
    if (has_user) {
        const char *user = address->sentinel_user[0] == '\0' ? "default" : address->sentinel_user;
        resp_write_text(&writer, "AUTH");
        resp_write_text(&writer, user);
        resp_write_text(&writer, address->sentinel_password);
    }
    resp_write_array(&writer, 2);
    resp_write_text(&writer, "SUBSCRIBE");
    resp_write_text(&writer, "+switch-master");
    ask(link, address);
    watcher->greeting_step = 0;
}

/* HELLO, then the master; that the subscription stands comes as a push. */
static void on_greet(struct link *link, struct reply *reply)
{
    struct watcher *watcher = link->owner;
    if (tni_reply_peek(reply) == RESP_PUSH) return;
    if (tni_reply_peek(reply) == RESP_ERROR) {
        /* Who does not know HELLO says it again with all its words, the password too. */
        bool is_telling = watcher->greeting_step == 0 &&
                          watcher->sentinel->redis->address.sentinel_password[0] != '\0';
        const char *line = tni_reply_text_or_empty(reply);
        char text[160];
        if (is_telling) line = tni_redis_trouble(bytes_from_text(line))->text;
        (void)snprintf(text, sizeof(text), "%s", line);
        tni_link_refuse(link, text);
        return;
    }
    if (watcher->greeting_step++ == 0) return;
    tni_link_accept(link);
    take_master(watcher, reply);
}

static void on_up(struct link *link)
{
    struct watcher *watcher = link->owner;
    watcher->failure_count = 0;
}

static void on_reply(struct link *link, struct reply *reply)
{
    struct watcher *watcher = link->owner;
    if (tni_reply_peek(reply) == RESP_PUSH) {
        take_push(watcher, reply);
    } else {
        watcher->is_asked = false;
        take_master(watcher, reply);
    }
}

static void on_down(struct link *link, const char *text)
{
    struct watcher *watcher = link->owner;
    struct redis_sentinel *sentinel = watcher->sentinel;
    struct redis *redis = sentinel->redis;
    uint32_t bound_ms = watcher->failure_count < 5 ? 50u << watcher->failure_count : PAUSE_MS_MAX;
    int64_t pause_ns = (int64_t)(tni_redis_random(redis) % (bound_ms * (uint64_t)NS_PER_MS));
    (void)snprintf(
        sentinel->trouble,
        sizeof(sentinel->trouble),
        "sentinel %.60s: %.80s",
        redis->address.nodes[watcher->index].host,
        text);
    watcher->link = NULL;
    watcher->is_asked = false;
    watcher->has_answer = false; /* nobody knows what it would say now */
    watcher->address_index++;
    watcher->failure_count++;
    watcher->retry_at = quorum_later(tni_store_now(), pause_ns);
    redis->nodes[0].failure_count += redis->nodes[0].is_enabled ? 0 : 1;
}

static const struct link_ops link_ops = {
    .open = on_open,
    .greet = on_greet,
    .up = on_up,
    .reply = on_reply,
    .down = on_down,
    .gone = tni_redis_let_go,
};

static void connect_now(struct watcher *watcher)
{
    struct redis *redis = watcher->sentinel->redis;
    const struct link_options options = {
        .loop = redis->loop,
        .memory = redis->memory,
        .address = &redis->address.nodes[watcher->index],
        .address_index = watcher->address_index,
        .tls = redis->tls,
        .server_name = redis->address.server_name[0] == '\0' ? NULL : redis->address.server_name,
        .ops = &link_ops,
        .owner = watcher,
        .context = redis,
    };
    watcher->greeting_step = 0;
    watcher->link = tni_link_create(&options);
    watcher->retry_at = watcher->link != NULL ? never : quorum_later(tni_store_now(), ASK_NS);
    if (watcher->link != NULL) redis->open_count++;
}

/* ------------------------------------------------------------------ time and life */

/* Again, sooner where the master is away. */
static struct mono ask_at(const struct redis_sentinel *sentinel)
{
    bool is_calm = tni_redis_node_is_up(&sentinel->redis->nodes[0]);
    return quorum_later(sentinel->asked_at, is_calm ? ASK_NS_CALM : ASK_NS);
}

static struct mono silent_at(const struct watcher *watcher)
{
    bool is_heard = watcher->link->received_at.ns > watcher->asked_at.ns;
    return quorum_later(is_heard ? watcher->link->received_at : watcher->asked_at, SILENT_NS);
}

static void look_after(struct watcher *watcher, struct mono now, bool is_asking)
{
    struct link *link = watcher->link;
    if (link == NULL) {
        if (now.ns >= watcher->retry_at.ns) connect_now(watcher);
        return;
    }
    if (!tni_link_is_up(link)) return;
    if (watcher->is_asked && now.ns >= silent_at(watcher).ns) {
        tni_link_close(link);
        on_down(link, "no answer for 3 s");
    } else if (is_asking && !watcher->is_asked) {
        watcher->is_asked = true;
        watcher->asked_at = now;
        ask(link, &watcher->sentinel->redis->address);
        tni_link_flush(link);
    }
}

void tni_redis_sentinel_on_time(struct redis_sentinel *sentinel, struct mono now)
{
    bool is_asking = now.ns >= ask_at(sentinel).ns;
    if (is_asking) sentinel->asked_at = now;
    for (uint32_t index = 0; index < sentinel->redis->address.count; index++) {
        look_after(&sentinel->watchers[index], now, is_asking);
    }
}

struct mono tni_redis_sentinel_deadline(const struct redis_sentinel *sentinel)
{
    struct mono deadline = ask_at(sentinel);
    for (uint32_t index = 0; index < sentinel->redis->address.count; index++) {
        const struct watcher *watcher = &sentinel->watchers[index];
        if (watcher->link == NULL) {
            deadline = quorum_earliest(deadline, watcher->retry_at);
        } else if (watcher->is_asked) {
            deadline = quorum_earliest(deadline, silent_at(watcher));
        }
    }
    return deadline;
}

struct redis_sentinel *tni_redis_sentinel_create(struct redis *redis)
{
    struct redis_sentinel *sentinel = memory_take(redis->memory, sizeof(*sentinel));
    if (sentinel == NULL) return NULL;
    *sentinel = (struct redis_sentinel){ .redis = redis, .asked_at = tni_store_now() };
    for (uint32_t index = 0; index < redis->address.count; index++) {
        sentinel->watchers[index] = (struct watcher){ .sentinel = sentinel, .index = index };
    }
    return sentinel;
}

void tni_redis_sentinel_destroy(struct redis_sentinel **sentinel)
{
    if (*sentinel == NULL) return;
    struct redis *redis = (*sentinel)->redis;
    for (uint32_t index = 0; index < redis->address.count; index++) {
        struct link *link = (*sentinel)->watchers[index].link;
        if (link != NULL) tni_link_close(link);
    }
    memory_give(redis->memory, *sentinel, sizeof(**sentinel));
    *sentinel = NULL;
}
