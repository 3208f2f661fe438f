/* What is asked of a server that was just reached, all at once, and what its answers must be before
 * it may vote.  The questions that only people want answered may be refused (CONFIG often is, by
 * those who rent servers out). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "proto/resp_writer.h"
#include "store/redis/cluster.h"
#include "store/redis/scripts/scripts.h"

enum step {
    STEP_HELLO,
    STEP_SELECT,
    STEP_INFO,
    STEP_CONFIG,
    STEP_TIME,
    STEP_SCRIPT_FIRST,
    STEP_SCRIPT_LAST = STEP_SCRIPT_FIRST + QUORUM_SCRIPT_COUNT - 1,
    STEP_LISTENERS,
    STEP_END,
};

/* Room for all questions, the scripts among them. */
#define GREETING_SIZE ((size_t)32 << 10)

/* Pushes that tell of the four channels, and that the last one is left again. */
#define SUBSCRIPTION_COUNT 5u

#define VERSION_MIN_MAJOR 6
#define VERSION_MIN_MINOR 2

/* ------------------------------------------------------------------ the questions */

static void ask(const struct resp_writer *writer, uint32_t count, const char *const *words)
{
    resp_write_array(writer, count);
    for (uint32_t index = 0; index < count; index++) {
        resp_write_text(writer, words[index]);
    }
}

static void ask_hello(const struct resp_writer *writer, const struct redis_address *address)
{
    if (address->user[0] == '\0' && address->password[0] == '\0') {
        ask(writer, 4, (const char *const[]){ "HELLO", "3", "SETNAME", "tenure" });
        return;
    }
    const char *user = address->user[0] == '\0' ? "default" : address->user;
    const char *const words[] = {
        "HELLO", "3", "AUTH", user, address->password, "SETNAME", "tenure",
    };
    ask(writer, 7, words);
}

void tni_redis_greet(struct redis_node *node, struct link *link)
{
    const struct redis *redis = node->redis;
    struct resp_writer writer = { &link->output, true };
    /* All at once, so that no block with the password in it is left behind. */
    if (!buffer_reserve(&link->output, GREETING_SIZE)) link->output.is_failed = true;
    char database[DECIMAL_SIZE_MAX + 1];
    database[decimal_format(redis->address.database, database)] = '\0';
    ask_hello(&writer, &redis->address);
    ask(&writer, 2, (const char *const[]){ "SELECT", database });
    ask(&writer, 1, (const char *const[]){ "INFO" });
    ask(&writer, 3, (const char *const[]){ "CONFIG", "GET", "append*" });
    ask(&writer, 1, (const char *const[]){ "TIME" });
    for (unsigned index = 0; index < QUORUM_SCRIPT_COUNT; index++) {
        resp_write_array(&writer, 3);
        resp_write_text(&writer, "SCRIPT");
        resp_write_text(&writer, "LOAD");
        resp_write_bulk(&writer, redis_scripts[index].text);
    }
    /* The events only to see that it is allowed: who may not is told now. */
    const char *const channels[] = {
        "SUBSCRIBE", redis->channel, REDIS_BREAK_CHANNEL, REDIS_WATCH_CHANNEL, REDIS_EVENT_CHANNEL
    };
    ask(&writer, 5, channels);
    ask(&writer, 2, (const char *const[]){ "UNSUBSCRIBE", REDIS_EVENT_CHANNEL });
    ask(&writer, 3, (const char *const[]){ "PUBSUB", "NUMSUB", REDIS_EVENT_CHANNEL });
    node->greeting_step = STEP_HELLO;
    node->subscription_count = 0;
    node->self = (struct redis_self){ 0 };
    node->is_watched = false;
}

/* ------------------------------------------------------------------ INFO */

/* The value of a field, "" when there is none. */
static void field(const char *info, const char *name, char *out_value, size_t size)
{
    size_t name_size = strlen(name);
    const char *line = info;
    out_value[0] = '\0';
    while (line != NULL && *line != '\0') {
        if (strncmp(line, name, name_size) == 0 && line[name_size] == ':') {
            const char *value = line + name_size + 1;
            size_t value_size = strcspn(value, "\r\n");
            if (value_size >= size) value_size = size - 1;
            memcpy(out_value, value, value_size);
            out_value[value_size] = '\0';
            return;
        }
        line = strchr(line, '\n');
        if (line != NULL) line++;
    }
}

static uint64_t number(const char *info, const char *name)
{
    char text[32];
    uint64_t value = 0;
    field(info, name, text, sizeof(text));
    return decimal_parse(bytes_from_text(text), &value) ? value : 0;
}

static bool is_true(const char *info, const char *name)
{
    return number(info, name) == 1;
}

static void read_info(struct redis_self *self, const char *info)
{
    char offset[32];
    field(info, "run_id", self->run_id, sizeof(self->run_id));
    field(info, "redis_version", self->version, sizeof(self->version));
    field(info, "role", self->role, sizeof(self->role));
    field(info, "maxmemory_policy", self->policy, sizeof(self->policy));
    field(info, "second_repl_offset", offset, sizeof(offset));
    self->uptime_ms = number(info, "uptime_in_seconds") * 1000;
    self->replica_count = number(info, "connected_slaves");
    self->is_aof = is_true(info, "aof_enabled");
    self->is_cluster = is_true(info, "cluster_enabled");
    /* Who was made the master while it ran remembers how far it had followed another one. */
    self->is_promoted = strcmp(offset, "-1") != 0;
}

/* ------------------------------------------------------------------ the answers */

static bool read_config(struct redis_self *self, struct reply *reply)
{
    uint32_t pairs = tni_reply_map(reply);
    for (uint32_t index = 0; index < pairs && !reply->is_bad; index++) {
        bool is_fsync = strcmp(tni_reply_text_or_empty(reply), "appendfsync") == 0;
        bool is_always = strcmp(tni_reply_text_or_empty(reply), "always") == 0;
        if (!is_fsync) continue;
        self->is_fsync_known = true;
        self->is_fsync_always = is_always;
    }
    return !reply->is_bad;
}

/* Its clock, half a round trip ago; only people look at that. */
static bool read_time(struct redis_self *self, struct reply *reply)
{
    uint64_t seconds = 0;
    uint64_t micros = 0;
    struct timespec wall = { 0 };
    if (tni_reply_array(reply) != 2) return false;
    bool is_good = decimal_parse(bytes_from_text(tni_reply_text_or_empty(reply)), &seconds);
    is_good = decimal_parse(bytes_from_text(tni_reply_text_or_empty(reply)), &micros) && is_good;
    if (!is_good || reply->is_bad || seconds > INT64_MAX / 1000 || micros > 999999) return false;
    (void)clock_gettime(CLOCK_REALTIME, &wall);
    int64_t ours_ms = (int64_t)wall.tv_sec * 1000 + wall.tv_nsec / NS_PER_MS;
    self->clock_offset_ms = (int64_t)seconds * 1000 + (int64_t)(micros / 1000) - ours_ms;
    return true;
}

static bool is_too_old(const char *version)
{
    char *end = NULL;
    unsigned long major = strtoul(version, &end, 10);
    unsigned long minor = *end == '.' ? strtoul(end + 1, NULL, 10) : 0;
    return major < VERSION_MIN_MAJOR || (major == VERSION_MIN_MAJOR && minor < VERSION_MIN_MINOR);
}

/* Another address of the same server: it would vote twice. */
static const struct redis_node *find_twin(const struct redis_node *node)
{
    const struct redis *redis = node->redis;
    for (uint32_t index = 0; index < redis->node_count; index++) {
        const struct redis_node *other = &redis->nodes[index];
        bool is_other = other != node && tni_redis_node_is_up(other);
        if (is_other && strcmp(other->self.run_id, node->self.run_id) == 0) return other;
    }
    return NULL;
}

static void judge(struct redis_node *node, struct link *link)
{
    struct redis *redis = node->redis;
    const struct redis_self *self = &node->self;
    const struct redis_node *twin = find_twin(node);
    if (self->run_id[0] == '\0') {
        tni_link_refuse(link, "INFO has no run_id: is this a Redis server?");
    } else if (is_too_old(self->version)) {
        tni_link_refuse(link, "the server is too old: Redis 6.2 or newer is needed");
    } else if (strcmp(self->role, "master") != 0) {
        tni_link_refuse(
            link, "it is a replica, which cannot vote: name its master, or use redis+sentinel://");
    } else if (self->is_cluster) {
        tni_link_refuse(link, "it is a node of a Redis Cluster: name independent servers instead");
    } else if (twin != NULL) {
        node->is_twin = true;
        char left[200];
        char right[200];
        (void)snprintf(
            redis->fatal,
            sizeof(redis->fatal),
            "%.70s and %.70s are the same server, which has one vote",
            tni_redis_node_name(twin, left, sizeof(left)),
            tni_redis_node_name(node, right, sizeof(right)));
        tni_link_refuse(link, redis->fatal);
    } else {
        if (node->is_twin) redis->fatal[0] = '\0'; /* another server answers there by now */
        node->is_twin = false;
        tni_link_accept(link);
    }
}

/* An answer that is an error: does it matter?  True: it was refused. */
static bool refuse_error(struct redis_node *node, struct link *link, struct reply *reply)
{
    if (tni_reply_peek(reply) != RESP_ERROR) return false;
    /* SUBSCRIBE is answered by pushes; its error comes where the next answer is expected. */
    bool is_subscribed = node->subscription_count == SUBSCRIPTION_COUNT;
    bool is_optional = node->greeting_step == STEP_CONFIG ||
                       (node->greeting_step == STEP_LISTENERS && is_subscribed);
    if (is_optional) return false;
    const char *line = tni_reply_text_or_empty(reply);
    const struct redis_trouble *trouble = tni_redis_trouble(bytes_from_text(line));
    char text[240];
    /* A server that does not know HELLO says it again with all its words, the password too. */
    bool is_telling = node->greeting_step == STEP_HELLO && node->redis->address.password[0] != '\0';
    if (is_telling) {
        (void)snprintf(text, sizeof(text), "%s", trouble->text);
    } else {
        (void)snprintf(text, sizeof(text), "%.128s (%.100s)", trouble->text, line);
    }
    tni_link_refuse(link, text);
    /* Behind it: a connection that breaks takes what was said on it with it. */
    if (trouble->effect == REDIS_TROUBLE_FATAL) node->refusal = trouble;
    return true;
}

static bool read_answer(struct redis_node *node, struct reply *reply)
{
    struct redis_self *self = &node->self;
    if (tni_reply_peek(reply) == RESP_ERROR) return true; /* one that does not matter */
    switch (node->greeting_step) {
    case STEP_INFO: read_info(self, tni_reply_text_or_empty(reply)); break;
    case STEP_CONFIG: return read_config(self, reply);
    case STEP_TIME: return read_time(self, reply);
    case STEP_LISTENERS:
        if (node->subscription_count != SUBSCRIPTION_COUNT) return false;
        if (tni_reply_array(reply) != 2) return false;
        tni_reply_skip(reply);
        if (tni_reply_integer(reply) > 0) tni_redis_news_wanted(node);
        return !reply->is_bad;
    default: break; /* it was carried out */
    }
    return true;
}

static void count_subscription(struct redis_node *node, struct reply *reply)
{
    (void)tni_reply_array(reply);
    const char *kind = tni_reply_text_or_empty(reply);
    bool is_it = strcmp(kind, "subscribe") == 0 || strcmp(kind, "unsubscribe") == 0;
    if (is_it && node->subscription_count < SUBSCRIPTION_COUNT) node->subscription_count++;
}

void tni_redis_greeted(struct redis_node *node, struct link *link, struct reply *reply)
{
    if (tni_reply_peek(reply) == RESP_PUSH) {
        count_subscription(node, reply);
        return;
    }
    if (refuse_error(node, link, reply)) return;
    if (!read_answer(node, reply)) {
        tni_link_refuse(link, "what answers there is not Redis");
        return;
    }
    node->greeting_step++;
    if (node->greeting_step == STEP_END) judge(node, link);
}
