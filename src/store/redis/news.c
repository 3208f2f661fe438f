/* Events on Redis: what clients tell each other by PUBLISH when they have done something.  Best
 * effort: nothing is remembered, what nobody did (a lease that ran out) nobody tells, and who is
 * not connected misses it.  Whoever must know looks at the locks.
 *
 * Telling costs a command, so it is done only where somebody listens: who listens says so every few
 * seconds, and who connects asks.  That an administrator has ended a hold is always told, to all.
 *
 * A message:  VERSION KIND TOKEN TTL_MS AT_US SIZE SIZE SIZE SIZE TEXTS
 * the texts are name, owner, meta and reason, of these sizes in bytes. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/utf8.h"
#include "store/redis/cluster.h"

#define LISTEN_NS   (10 * NS_PER_S)
#define LISTENED_NS (30 * NS_PER_S)

#define KIND_SIZE_MAX 32u

static const struct mono never = { INT64_MAX };

struct redis_watch {
    struct list link;
    struct store_watch *watch;
    bool is_begun;
};

static struct redis_watch *watch_of(struct list *link)
{
    return CONTAINER_OF(link, struct redis_watch, link);
}

/* Only breaks are of interest to it. */
static bool is_narrow(const struct store_watch *watch)
{
    return watch->kinds != NULL;
}

static bool has_wide(const struct list *watches)
{
    list_foreach(each, watches) {
        if (!is_narrow(watch_of(each)->watch)) return true;
    }
    return false;
}

static bool is_listening(const struct redis *redis)
{
    return has_wide(&redis->watches) || has_wide(&redis->telling);
}

/* Whoever is told may end any watch, his own or another, or close the store: each is taken from the
 * front of what is left.  NULL: all have been told. */
static struct redis_watch *take_next(struct redis *redis)
{
    struct list *first = list_first(&redis->telling);
    if (first == NULL) return NULL;
    list_remove(first);
    list_append(&redis->watches, first);
    return watch_of(first);
}

static void begin_telling(struct redis *redis)
{
    struct list *first;
    while ((first = list_first(&redis->watches)) != NULL) {
        list_remove(first);
        list_append(&redis->telling, first);
    }
}

/* ------------------------------------------------------------------ telling */

static void append_text(struct buffer *out, const char *text)
{
    buffer_append(out, text, strlen(text));
}

static void
write_message(struct redis_work *work, const char *kind, uint64_t token, const char *reason)
{
    struct buffer *out = &work->redis->view;
    struct timespec wall = { 0 };
    char head[200];
    (void)clock_gettime(CLOCK_REALTIME, &wall);
    (void)snprintf(
        head,
        sizeof(head),
        "1 %s %" PRIu64 " %" PRIu32 " %" PRId64 " %zu %zu %zu %zu ",
        kind,
        token,
        work->ttl_ms,
        wall.tv_sec * INT64_C(1000000) + wall.tv_nsec / 1000,
        work->name_size,
        work->owner_size,
        work->meta_size,
        strlen(reason));
    buffer_reset(out);
    append_text(out, head);
    append_text(out, tni_redis_work_name(work));
    append_text(out, tni_redis_work_owner(work));
    append_text(out, tni_redis_work_meta(work));
    append_text(out, reason);
}

void tni_redis_news_tell(
    struct redis_work *work, const char *kind, uint64_t token, const char *reason)
{
    struct redis *redis = work->redis;
    bool is_break = strncmp(kind, "break", 5) == 0 || strcmp(kind, "broken") == 0;
    int64_t now_ns = 0;
    bool is_written = false;
    bool is_told = false;
    for (uint32_t index = 0; index < redis->node_count; index++) {
        struct redis_node *node = &redis->nodes[index];
        bool is_wanted = node->watched_until.ns > 0 || is_break;
        if (!is_wanted || !tni_redis_node_is_up(node)) continue;
        if (now_ns == 0) now_ns = tni_store_now().ns;
        bool is_heard = node->watched_until.ns > now_ns;
        if (!is_heard && !is_break) continue;
        if (!is_written) write_message(work, kind, token, reason);
        is_written = true;
        if (redis->view.is_failed) return;
        struct bytes message = buffer_bytes(&redis->view);
        if (is_break) {
            tni_redis_node_publish(node, BYTES_LITERAL(REDIS_BREAK_CHANNEL), message);
        }
        if (is_heard && !is_told) {
            tni_redis_node_publish(node, BYTES_LITERAL(REDIS_EVENT_CHANNEL), message);
            is_told = true; /* who listens listens on all nodes */
        }
        if (is_told && !is_break) return;
    }
}

/* ------------------------------------------------------------------ hearing */

/* The next word, terminated; NULL: there is none. */
static char *cut_word(char **at)
{
    char *word = *at;
    char *blank = strchr(word, ' ');
    if (blank == NULL) return NULL;
    *blank = '\0';
    *at = blank + 1;
    return word;
}

static bool cut_number(char **at, uint64_t *out_value)
{
    const char *word = cut_word(at);
    return word != NULL && decimal_parse(bytes_from_text(word), out_value);
}

static bool is_plain(const char *text)
{
    return utf8_is_plain(bytes_from_text(text));
}

/* "granted" and the like, now or later. */
static bool is_word(const char *text)
{
    size_t size = strspn(text, "abcdefghijklmnopqrstuvwxyz_");
    return size > 0 && size < KIND_SIZE_MAX && text[size] == '\0';
}

/* Cut a message, which is changed, into an event.  Whoever may publish there may have sent it. */
static bool read_message(char *message, char *texts, size_t texts_size, struct store_event *out)
{
    uint64_t version = 0;
    uint64_t ttl_ms = 0;
    uint64_t at_us = 0;
    uint64_t sizes[4] = { 0 };
    char *parts[4];
    *out = (struct store_event){ STORE_EVENT_EMPTY };
    if (!cut_number(&message, &version) || version != 1) return false;
    out->kind = cut_word(&message);
    bool is_good = out->kind != NULL && cut_number(&message, &out->token) &&
                   cut_number(&message, &ttl_ms) && cut_number(&message, &at_us);
    for (unsigned index = 0; index < 4 && is_good; index++) {
        is_good = cut_number(&message, &sizes[index]);
    }
    if (!is_good || ttl_ms > UINT32_MAX || at_us > INT64_MAX) return false;
    size_t left = strlen(message);
    for (unsigned index = 0; index < 4; index++) {
        if (sizes[index] > left || sizes[index] + 1 > texts_size) return false;
        memcpy(texts, message, sizes[index]);
        texts[sizes[index]] = '\0';
        parts[index] = texts;
        texts += sizes[index] + 1;
        texts_size -= sizes[index] + 1;
        message += sizes[index];
        left -= sizes[index];
    }
    bool is_good_text = is_word(out->kind) && sizes[0] > 0 && sizes[0] <= LIMIT_NAME_SIZE_MAX &&
                        sizes[1] <= LIMIT_OWNER_SIZE_MAX && sizes[2] <= LIMIT_META_SIZE_MAX &&
                        sizes[3] <= LIMIT_REASON_SIZE_MAX && is_plain(parts[0]) &&
                        is_plain(parts[1]) && utf8_is_valid(bytes_from_text(parts[2])) &&
                        utf8_is_valid(bytes_from_text(parts[3]));
    if (!is_good_text) return false;
    out->ttl_ms = (uint32_t)ttl_ms;
    out->at_us = (int64_t)at_us;
    out->name = parts[0];
    out->owner = parts[1];
    out->meta = parts[2];
    out->reason = parts[3];
    return true;
}

static bool
is_wanted(const struct store_watch *watch, const struct store_event *event, bool is_break)
{
    if (is_narrow(watch) != is_break) return false;
    if (is_break && strstr(watch->kinds, event->kind) == NULL) return false;
    return watch->prefix == NULL || strncmp(event->name, watch->prefix, strlen(watch->prefix)) == 0;
}

void tni_redis_news_heard(struct redis *redis, const char *message, bool is_break)
{
    struct buffer *out = &redis->view;
    size_t size = strlen(message) + 1;
    struct store_event event;
    if (list_is_empty(&redis->watches)) return;
    buffer_reset(out);
    if (!buffer_reserve(out, 2 * size + 4)) return;
    memcpy(out->data, message, size);
    if (!read_message(out->data, out->data + size, size + 4, &event)) return;
    struct redis_watch *entry;
    begin_telling(redis);
    while ((entry = take_next(redis)) != NULL) {
        struct store_watch *watch = entry->watch;
        if (!is_wanted(watch, &event, is_break)) continue;
        if (!watch->event(watch, &event)) tni_redis_unwatch(&redis->store, watch);
    }
}

/* ------------------------------------------------------------------ who listens */

void tni_redis_news_wanted(struct redis_node *node)
{
    node->watched_until = quorum_later(tni_store_now(), LISTENED_NS);
}

static void listen_on(struct redis_node *node)
{
    tni_redis_node_subscribe(node, "SUBSCRIBE", BYTES_LITERAL(REDIS_EVENT_CHANNEL));
    tni_redis_node_publish(node, BYTES_LITERAL(REDIS_WATCH_CHANNEL), BYTES_LITERAL("1"));
}

void tni_redis_news_up(struct redis_node *node)
{
    struct redis *redis = node->redis;
    if (is_listening(redis)) listen_on(node);
    list_foreach(each, &redis->watches) {
        watch_of(each)->is_begun = false; /* something may have been missed */
    }
    tni_redis_stay_awake(redis);
}

void tni_redis_news_on_time(struct redis *redis, struct mono now)
{
    if (now.ns < redis->news_at.ns) return;
    redis->news_at = never;
    if (!is_listening(redis)) return;
    redis->news_at = quorum_later(now, LISTEN_NS);
    for (uint32_t index = 0; index < redis->node_count; index++) {
        tni_redis_node_publish(
            &redis->nodes[index], BYTES_LITERAL(REDIS_WATCH_CHANNEL), BYTES_LITERAL("1"));
    }
}

void tni_redis_news_begin(struct redis *redis)
{
    if (list_is_empty(&redis->watches) || !tni_redis_is_ready(redis)) return;
    struct redis_watch *entry;
    begin_telling(redis);
    while ((entry = take_next(redis)) != NULL) {
        if (entry->is_begun) continue;
        entry->is_begun = true;
        if (entry->watch->begun != NULL) entry->watch->begun(entry->watch);
    }
}

enum tenure_err tni_redis_watch(struct store *store, struct store_watch *watch)
{
    struct redis *redis = CONTAINER_OF(store, struct redis, store);
    bool is_more = watch->has_since || watch->is_exact || watch->has_previous;
    if (watch->since != 0 || is_more || watch->channel != NULL) return TENURE_UNSUPPORTED;
    struct redis_watch *entry = memory_take(redis->memory, sizeof(*entry));
    if (entry == NULL) return TENURE_NO_MEMORY;
    bool was_listening = is_listening(redis);
    *entry = (struct redis_watch){ .watch = watch };
    list_init(&entry->link);
    list_append(&redis->watches, &entry->link);
    watch->where = entry;
    for (uint32_t index = 0; index < redis->node_count; index++) {
        bool is_first = !was_listening && !is_narrow(watch);
        if (is_first && tni_redis_node_is_up(&redis->nodes[index])) listen_on(&redis->nodes[index]);
    }
    if (!is_narrow(watch)) redis->news_at = quorum_later(tni_store_now(), LISTEN_NS);
    tni_redis_stay_awake(redis);
    return TENURE_OK;
}

void tni_redis_unwatch(struct store *store, struct store_watch *watch)
{
    struct redis *redis = CONTAINER_OF(store, struct redis, store);
    struct redis_watch *entry = watch->where;
    if (entry == NULL) return;
    watch->where = NULL;
    list_remove(&entry->link);
    memory_give(redis->memory, entry, sizeof(*entry));
    if (is_narrow(watch) || is_listening(redis) || redis->is_closed) return;
    for (uint32_t index = 0; index < redis->node_count; index++) {
        tni_redis_node_subscribe(
            &redis->nodes[index], "UNSUBSCRIBE", BYTES_LITERAL(REDIS_EVENT_CHANNEL));
    }
}

void tni_redis_unwatch_all(struct redis *redis)
{
    struct list *first;
    begin_telling(redis);
    while ((first = list_first(&redis->telling)) != NULL) {
        tni_redis_unwatch(&redis->store, watch_of(first)->watch);
    }
}
