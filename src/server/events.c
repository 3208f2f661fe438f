/* events - see events.h.
 *
 * Followers hang in buckets, one for each distinct prefix (or exact name).  An event is looked up
 * once for each distinct length of prefix that is in use, so that its cost depends on how many
 * follow what it is about, not on how many follow. */
#include "server/events.h"

#include "base/map.h"
#include "base/memory.h"
#include "base/siphash.h"
#include "server/server.h"

/* A text that one large value has blown up is given back. */
#define TEXT_CAPACITY_KEPT ((size_t)64 << 10)

#define CATCH_UP_BATCH 512u /* records read for one follower in one turn */

/* 0: there is none of that word. */
static unsigned find_kind(struct bytes word)
{
    for (unsigned kind = 1; kind < RECORD_KIND_COUNT; kind++) {
        const char *known = record_kind_word(kind);
        if (known != NULL && bytes_equal(word, bytes_from_text(known))) return kind;
    }
    return 0;
}

bool events_parse_kinds(struct bytes words, uint64_t *out_kinds)
{
    _Static_assert(RECORD_KIND_COUNT <= 64, "a bit for each");
    uint64_t kinds = 0;
    for (size_t start = 0; start <= words.size;) {
        const char *comma =
            start == words.size ? NULL : memchr(words.data + start, ',', words.size - start);
        size_t end = comma == NULL ? words.size : (size_t)(comma - words.data);
        unsigned kind = find_kind((struct bytes){ words.data + start, end - start });
        if (kind == 0) return false;
        kinds |= UINT64_C(1) << kind;
        start = end + 1;
    }
    *out_kinds = kinds;
    return true;
}

enum follower_state { FOLLOWER_STOPPED, FOLLOWER_LIVE, FOLLOWER_CATCHING_UP, FOLLOWER_PAUSED };

struct bucket {
    struct map_node node;    /* first: see bucket_is */
    struct list followers;   /* the LIVE ones */
    uint32_t follower_count; /* all of them */
    bool is_exact;
    uint8_t size;
    char text[];
};

struct event_text {
    struct seq seq; /* of which event */
    struct buffer text;
};

struct events {
    struct server *server;
    struct event_text texts[EVENTS_FORM_COUNT]; /* of the event that was told last */
    struct map buckets;
    struct siphash_key key;
    uint32_t length_counts[LIMIT_NAME_SIZE_MAX + 1]; /* buckets by length of prefix, not exact */
    uint64_t lengths[4];                             /* bit: length_counts is not zero */
    uint32_t exact_count;
    struct seq pumped; /* handed out up to here */
    struct list catching_up;
    struct list due;
    struct heap timers;
    uint64_t follower_count;
    uv_timer_t *timer;
    int64_t armed_ns; /* the timer goes off then; INT64_MAX = not at all */
};

/* ------------------------------------------------------------------ buckets */

struct bucket_key {
    struct bytes text;
    bool is_exact;
};

static bool bucket_is(const struct map_node *node, const void *user)
{
    const struct bucket_key *key = user;
    const struct bucket *bucket = (const struct bucket *)(const void *)node;
    return bucket->is_exact == key->is_exact &&
           bytes_equal((struct bytes){ bucket->text, bucket->size }, key->text);
}

static uint32_t hash_of(const struct events *events, const struct bucket_key *key)
{
    uint64_t hash = siphash(&events->key, key->text);
    return (uint32_t)hash ^ (uint32_t)(hash >> 32) ^ (key->is_exact ? 1u : 0u);
}

static struct bucket *find_bucket(const struct events *events, const struct bucket_key *key)
{
    struct map_node *node = map_find(&events->buckets, hash_of(events, key), bucket_is, key);
    return node == NULL ? NULL : CONTAINER_OF(node, struct bucket, node);
}

static void count_length(struct events *events, const struct bucket *bucket, int by)
{
    if (bucket->is_exact) {
        events->exact_count += (uint32_t)by;
        return;
    }
    uint32_t *count = &events->length_counts[bucket->size];
    uint64_t bit = UINT64_C(1) << (bucket->size % 64);
    *count += (uint32_t)by;
    if (*count == 0) {
        events->lengths[bucket->size / 64] &= ~bit;
    } else {
        events->lengths[bucket->size / 64] |= bit;
    }
}

/* The bucket of a key, made if there is none.  NULL: no memory. */
static struct bucket *take_bucket(struct events *events, const struct bucket_key *key)
{
    struct bucket *bucket = find_bucket(events, key);
    if (bucket != NULL) {
        bucket->follower_count++;
        return bucket;
    }
    if (!map_reserve(&events->buckets)) return NULL;
    bucket = memory_take(&memory_heap, sizeof(*bucket) + key->text.size);
    if (bucket == NULL) return NULL;
    *bucket = (struct bucket){
        .follower_count = 1,
        .is_exact = key->is_exact,
        .size = (uint8_t)key->text.size,
    };
    list_init(&bucket->followers);
    if (key->text.size > 0) memcpy(bucket->text, key->text.data, key->text.size);
    map_insert(&events->buckets, &bucket->node, hash_of(events, key));
    count_length(events, bucket, 1);
    return bucket;
}

static void give_bucket(struct events *events, struct bucket *bucket)
{
    if (--bucket->follower_count > 0) return;
    ASSERT(list_is_empty(&bucket->followers));
    count_length(events, bucket, -1);
    map_remove(&events->buckets, &bucket->node);
    memory_give(&memory_heap, bucket, sizeof(*bucket) + bucket->size);
}

/* ---------------------------------------------------------------- the timer */

static void on_timer(uv_timer_t *timer)
{
    struct events *events = timer->data;
    events->armed_ns = INT64_MAX; /* the pump of this turn does the rest */
}

/* Have the loop awake at `at_ns`, or earlier. */
static void arm(struct events *events, int64_t at_ns)
{
    if (at_ns >= events->armed_ns) return;
    events->armed_ns = at_ns;
    int64_t left_ns = at_ns - events->server->now.ns;
    uint64_t left_ms = left_ns <= 0 ? 0 : (uint64_t)(left_ns / NS_PER_MS) + 1;
    uv_timer_start(events->timer, on_timer, left_ms, 0);
}

static int64_t heartbeat_ns(const struct events *events)
{
    return (int64_t)events->server->config->heartbeat_ms * NS_PER_MS;
}

static void arm_next(struct events *events)
{
    struct list *silent = list_first(&events->due);
    if (silent != NULL) {
        const struct follower *follower = CONTAINER_OF(silent, struct follower, due);
        arm(events, follower->last_at.ns + heartbeat_ns(events));
    }
    const struct heap_entry *first = heap_first(&events->timers);
    if (first != NULL) arm(events, first->key);
}

static void on_timer_closed(uv_handle_t *handle)
{
    memory_give(&memory_heap, handle, sizeof(uv_timer_t));
}

/* ---------------------------------------------------------------- followers */

struct events *events_create(struct server *server)
{
    struct events *events = memory_take(&memory_heap, sizeof(*events));
    uv_timer_t *timer = memory_take(&memory_heap, sizeof(*timer));
    if (events == NULL || timer == NULL) {
        memory_give(&memory_heap, events, sizeof(*events));
        memory_give(&memory_heap, timer, sizeof(*timer));
        return NULL;
    }
    *events = (struct events){ .server = server, .timer = timer, .armed_ns = INT64_MAX };
    /* Without randomness the table is still right, only predictable. */
    (void)uv_random(NULL, NULL, &events->key, sizeof(events->key), 0, NULL);
    events->pumped = server_last_seq(server);
    map_init(&events->buckets, &memory_heap);
    heap_init(&events->timers, &memory_heap);
    list_init(&events->catching_up);
    list_init(&events->due);
    for (unsigned form = 0; form < EVENTS_FORM_COUNT; form++) {
        buffer_init(&events->texts[form].text, &memory_heap);
    }
    (void)uv_timer_init(server->loop, timer); /* cannot fail */
    timer->data = events;
    return events;
}

void events_destroy(struct events **events)
{
    if (*events == NULL) return;
    ASSERT((*events)->follower_count == 0);
    uv_close((uv_handle_t *)(*events)->timer, on_timer_closed);
    for (unsigned form = 0; form < EVENTS_FORM_COUNT; form++) {
        buffer_deinit(&(*events)->texts[form].text);
    }
    map_deinit(&(*events)->buckets);
    heap_deinit(&(*events)->timers);
    memory_give(&memory_heap, *events, sizeof(**events));
    *events = NULL;
}

bool events_are_left(const struct events *events)
{
    return !list_is_empty(&events->catching_up);
}

uint64_t events_follower_count(const struct events *events)
{
    return events->follower_count;
}

static void go_live(struct follower *follower)
{
    struct bucket *bucket = follower->bucket;
    list_remove(&follower->link);
    list_append(&bucket->followers, &follower->link);
    follower->state = FOLLOWER_LIVE;
}

static void catch_up(struct events *events, struct follower *follower)
{
    list_remove(&follower->link);
    list_append(&events->catching_up, &follower->link);
    follower->state = FOLLOWER_CATCHING_UP;
}

/* It was heard from us just now. */
static void touch(struct events *events, struct follower *follower)
{
    if (follower->ops->heartbeat == NULL) return;
    follower->last_at = events->server->now;
    list_remove(&follower->due);
    list_append(&events->due, &follower->due);
}

bool follower_start(struct events *events, struct follower *follower)
{
    ASSERT(follower->state == FOLLOWER_STOPPED);
    if (follower->until.ns != 0 && !heap_reserve(&events->timers, 1)) return false;
    struct bucket_key key = { follower->prefix, follower->is_exact };
    struct bucket *bucket = take_bucket(events, &key);
    if (bucket == NULL) return false;
    follower->bucket = bucket;
    list_init(&follower->link);
    list_init(&follower->due);
    follower->timer.index = HEAP_INDEX_NONE;
    if (follower->until.ns != 0) heap_insert(&events->timers, &follower->timer, follower->until.ns);
    touch(events, follower);
    if (follower->seq.value >= events->pumped.value) {
        go_live(follower);
    } else {
        catch_up(events, follower);
    }
    events->follower_count++;
    arm_next(events);
    return true;
}

void follower_stop(struct events *events, struct follower *follower)
{
    if (follower->state == FOLLOWER_STOPPED) return;
    follower->state = FOLLOWER_STOPPED;
    list_remove(&follower->link);
    list_remove(&follower->due);
    heap_remove(&events->timers, &follower->timer);
    give_bucket(events, follower->bucket);
    follower->bucket = NULL;
    events->follower_count--;
}

void follower_resume(struct events *events, struct follower *follower)
{
    if (follower->state != FOLLOWER_PAUSED) return;
    catch_up(events, follower);
    arm_next(events);
}

/* ---------------------------------------------------------------- the texts */

struct buffer *events_text(struct events *events, enum events_form form, struct seq seq)
{
    struct event_text *told = &events->texts[form];
    if (told->seq.value == seq.value && !told->text.is_failed) return &told->text;
    told->seq = seq;
    if (told->text.capacity > TEXT_CAPACITY_KEPT) {
        buffer_deinit(&told->text);
    } else {
        buffer_reset(&told->text);
    }
    return &told->text;
}

void events_copy_text(struct buffer *out, const struct buffer *text)
{
    if (text->is_failed) out->is_failed = true;
    buffer_append_bytes(out, buffer_bytes(text));
}

/* ----------------------------------------------------------------- the pump */

static void pause_follower(struct follower *follower)
{
    list_remove(&follower->link);
    follower->state = FOLLOWER_PAUSED;
}

static bool wants(const struct follower *follower, const struct record *record)
{
    return follower->kinds == 0 || (follower->kinds >> record->kind & 1) != 0;
}

/* Hand one record to those of a bucket.  Each is taken off and put back before it is called, so
 * that the callback may remove whom it likes. */
static void
deliver_bucket(struct events *events, struct bucket *bucket, const struct record *record)
{
    struct list turn;
    list_init(&turn);
    bucket->follower_count++; /* the bucket stays while we look at it */
    while (!list_is_empty(&bucket->followers)) {
        struct list *node = list_first(&bucket->followers);
        list_remove(node);
        list_append(&turn, node);
    }
    struct list *node = NULL;
    while ((node = list_first(&turn)) != NULL) {
        struct follower *follower = CONTAINER_OF(node, struct follower, link);
        list_remove(node);
        list_append(&bucket->followers, node);
        if (record->seq.value <= follower->seq.value || !wants(follower, record)) continue;
        struct seq before = { record->seq.value - 1 };
        follower->seq = record->seq;
        touch(events, follower);
        if (follower->ops->deliver(follower, record)) continue;
        if (follower->state != FOLLOWER_LIVE) continue;
        follower->seq = before;
        pause_follower(follower);
    }
    give_bucket(events, bucket);
}

static void
deliver_key(struct events *events, struct bytes text, bool is_exact, const struct record *record)
{
    struct bucket_key key = { text, is_exact };
    struct bucket *bucket = find_bucket(events, &key);
    if (bucket != NULL && !list_is_empty(&bucket->followers)) {
        deliver_bucket(events, bucket, record);
    }
}

static void deliver_live(struct events *events, const struct record *record)
{
    for (uint32_t word = 0; word < 4; word++) {
        uint64_t left = events->lengths[word];
        while (left != 0) {
            size_t size = (size_t)word * 64 + (size_t)__builtin_ctzll(left);
            left &= left - 1;
            if (size > record->name.size) break;
            deliver_key(events, (struct bytes){ record->name.data, size }, false, record);
        }
    }
    if (events->exact_count > 0) deliver_key(events, record->name, true, record);
}

/* A relay keeps no window. */
static bool read_window(const struct events *events, struct seq seq, struct record *out_record)
{
    const struct engine *engine = events->server->engine;
    return engine != NULL && engine_window_read(engine, seq, out_record);
}

/* The window has moved past what was handed out: everybody who is LIVE has missed something, and
 * will be told when he tries to catch up. */
static void all_fall_behind(struct events *events)
{
    for (struct map_node *node = map_next(&events->buckets, NULL); node != NULL;
         node = map_next(&events->buckets, node))
    {
        struct bucket *bucket = CONTAINER_OF(node, struct bucket, node);
        list_foreach_safe(link, following, &bucket->followers) {
            struct follower *follower = CONTAINER_OF(link, struct follower, link);
            if (follower->seq.value < events->pumped.value) follower->seq = events->pumped;
            catch_up(events, follower);
        }
    }
}

void events_publish(struct events *events, const struct record *record)
{
    ASSERT(record->seq.value > events->pumped.value);
    if (events->follower_count > 0) deliver_live(events, record);
    events->pumped = record->seq;
}

void events_skip(struct events *events, struct seq seq)
{
    ASSERT(seq.value > events->pumped.value);
    all_fall_behind(events);
    events->pumped = seq;
}

static void pump_live(struct events *events, struct seq durable)
{
    if (events->follower_count == 0) events->pumped = durable;
    while (events->pumped.value < durable.value) {
        struct record record;
        struct seq next = { events->pumped.value + 1 };
        if (!read_window(events, next, &record)) {
            all_fall_behind(events);
            struct seq first = server_first_seq(events->server);
            events->pumped.value = first.value > next.value && first.value <= durable.value
                                       ? first.value - 1
                                       : durable.value;
            continue;
        }
        deliver_live(events, &record);
        events->pumped = next;
    }
}

static bool matches(const struct follower *follower, const struct record *record)
{
    if (record->seq.value <= follower->seq.value || !wants(follower, record)) return false;
    return follower->is_exact ? bytes_equal(record->name, follower->prefix)
                              : bytes_start_with(record->name, follower->prefix);
}

/* Read the window for one follower until it is level, slow, gone, or has had its share. */
static void catch_up_some(struct events *events, struct follower *follower)
{
    for (uint32_t i = 0; i < CATCH_UP_BATCH; i++) {
        if (follower->seq.value >= events->pumped.value) {
            go_live(follower);
            return;
        }
        struct record record;
        struct seq before = follower->seq;
        struct seq next = { before.value + 1 };
        if (!read_window(events, next, &record)) {
            follower_stop(events, follower);
            follower->ops->compacted(follower, server_first_seq(events->server));
            return;
        }
        bool is_match = matches(follower, &record);
        follower->seq = next;
        if (!is_match) continue;
        touch(events, follower);
        bool is_taken = follower->ops->deliver(follower, &record);
        if (follower->state != FOLLOWER_CATCHING_UP) return;
        if (!is_taken) {
            follower->seq = before;
            pause_follower(follower);
            return;
        }
    }
}

static void pump_catching_up(struct events *events)
{
    struct list turn;
    list_init(&turn);
    struct list *node = NULL;
    while ((node = list_first(&events->catching_up)) != NULL) {
        list_remove(node);
        list_append(&turn, node);
    }
    while ((node = list_first(&turn)) != NULL) {
        list_remove(node);
        list_append(&events->catching_up, node);
        catch_up_some(events, CONTAINER_OF(node, struct follower, link));
    }
}

static void pump_heartbeats(struct events *events, struct mono now)
{
    struct list *node = NULL;
    while ((node = list_first(&events->due)) != NULL) {
        struct follower *follower = CONTAINER_OF(node, struct follower, due);
        if (follower->last_at.ns + heartbeat_ns(events) > now.ns) return;
        if (follower->state == FOLLOWER_LIVE && follower->seq.value < events->pumped.value) {
            follower->seq = events->pumped;
        }
        touch(events, follower);
        follower->ops->heartbeat(follower);
    }
}

static void pump_timers(struct events *events, struct mono now)
{
    const struct heap_entry *first = NULL;
    while ((first = heap_first(&events->timers)) != NULL && first->key <= now.ns) {
        struct follower *follower = CONTAINER_OF(first->node, struct follower, timer);
        follower_stop(events, follower);
        follower->ops->timeout(follower);
    }
}

void events_pump(struct events *events, struct seq durable, struct mono now)
{
    pump_live(events, durable);
    if (events->follower_count == 0) return;
    if (!list_is_empty(&events->catching_up)) pump_catching_up(events);
    pump_heartbeats(events, now);
    pump_timers(events, now);
    arm_next(events);
}
