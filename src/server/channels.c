#include "server/channels.h"

#include <uv.h>

#include "base/memory.h"
#include "base/siphash.h"

/* A channel, or a pattern, and who subscribes to it. */
struct topic {
    struct map_node names; /* of a channel */
    struct list all;       /* of a pattern: in channels->patterns */
    struct list subscriptions;
    uint32_t count;
    bool is_pattern;
    uint32_t size;
    char name[];
};

struct channels {
    struct map topics;    /* channels by name */
    struct list patterns; /* in the order in which they came */
    uint32_t pattern_count;
    uint64_t subscription_count;
    uint64_t published, delivered;
    struct siphash_key key;
};

/* ------------------------------------------------------------------ patterns */

/* `at` stands behind '['.  Does the set have this byte?  `*out_end` is behind the ']'. */
static bool set_has(struct bytes pattern, size_t at, char byte, size_t *out_end)
{
    bool is_negated = at < pattern.size && pattern.data[at] == '^';
    bool has = false;
    at += is_negated;
    while (at < pattern.size && pattern.data[at] != ']') {
        if (pattern.data[at] == '\\' && at + 1 < pattern.size) at++;
        unsigned char low = (unsigned char)pattern.data[at];
        unsigned char high = low;
        if (at + 2 < pattern.size && pattern.data[at + 1] == '-' && pattern.data[at + 2] != ']') {
            high = (unsigned char)pattern.data[at + 2];
            at += 2;
        }
        unsigned char wanted = (unsigned char)byte;
        bool is_between =
            low <= high ? wanted >= low && wanted <= high : wanted >= high && wanted <= low;
        has = has || is_between;
        at++;
    }
    *out_end = at < pattern.size ? at + 1 : at;
    return has != is_negated;
}

/* Does what stands at `at`, which is no '*', match this byte? */
static bool one_matches(struct bytes pattern, size_t at, char byte, size_t *out_end)
{
    char wanted = pattern.data[at];
    *out_end = at + 1;
    if (wanted == '?') return true;
    if (wanted == '[') return set_has(pattern, at + 1, byte, out_end);
    if (wanted == '\\' && at + 1 < pattern.size) {
        wanted = pattern.data[at + 1];
        *out_end = at + 2;
    }
    return wanted == byte;
}

/* Only the last star is ever taken back: what an earlier one could match, the last one can too. */
bool channel_matches(struct bytes pattern, struct bytes name)
{
    size_t at = 0;
    size_t star = SIZE_MAX;
    size_t star_at = 0;
    size_t here = 0;
    while (here < name.size) {
        size_t end = at;
        if (at < pattern.size && pattern.data[at] == '*') {
            star = ++at;
            star_at = here;
        } else if (at < pattern.size && one_matches(pattern, at, name.data[here], &end)) {
            at = end;
            here++;
        } else if (star != SIZE_MAX) {
            at = star;
            here = ++star_at;
        } else {
            return false;
        }
    }
    while (at < pattern.size && pattern.data[at] == '*') {
        at++;
    }
    return at == pattern.size;
}

/* ------------------------------------------------------------------ topics */

static struct bytes topic_name(const struct topic *topic)
{
    return (struct bytes){ topic->name, topic->size };
}

static bool has_name(const struct map_node *node, const void *name)
{
    return bytes_equal(
        topic_name(CONTAINER_OF_CONST(node, struct topic, names)), *(const struct bytes *)name);
}

static struct topic *find_channel(const struct channels *channels, struct bytes name)
{
    uint32_t hash = (uint32_t)siphash(&channels->key, name);
    struct map_node *node = map_find(&channels->topics, hash, has_name, &name);
    return node == NULL ? NULL : CONTAINER_OF(node, struct topic, names);
}

static struct topic *find_pattern(const struct channels *channels, struct bytes name)
{
    list_foreach(link, &channels->patterns) {
        struct topic *topic = CONTAINER_OF(link, struct topic, all);
        if (bytes_equal(topic_name(topic), name)) return topic;
    }
    return NULL;
}

static struct topic *make_topic(struct channels *channels, struct bytes name, bool is_pattern)
{
    if (!map_reserve(&channels->topics)) return NULL;
    struct topic *topic = memory_take(&memory_heap, sizeof *topic + name.size);
    if (topic == NULL) return NULL;
    *topic = (struct topic){ .is_pattern = is_pattern, .size = (uint32_t)name.size };
    if (name.size > 0) memcpy(topic->name, name.data, name.size);
    list_init(&topic->subscriptions);
    list_init(&topic->all);
    if (is_pattern) {
        list_append(&channels->patterns, &topic->all);
        channels->pattern_count++;
    } else {
        map_insert(&channels->topics, &topic->names, (uint32_t)siphash(&channels->key, name));
    }
    return topic;
}

static void give_topic(struct channels *channels, struct topic *topic)
{
    if (topic->count > 0) return;
    if (topic->is_pattern) {
        list_remove(&topic->all);
        channels->pattern_count--;
    } else {
        map_remove(&channels->topics, &topic->names);
    }
    memory_give(&memory_heap, topic, sizeof *topic + topic->size);
}

/* ------------------------------------------------------------------ subscribing */

struct channels *channels_create(void)
{
    struct channels *channels = memory_take(&memory_heap, sizeof *channels);
    if (channels == NULL) return NULL;
    *channels = (struct channels){ 0 };
    map_init(&channels->topics, &memory_heap);
    list_init(&channels->patterns);
    /* Without randomness the table is still right, only predictable. */
    (void)uv_random(NULL, NULL, &channels->key, sizeof channels->key, 0, NULL);
    return channels;
}

void channels_destroy(struct channels **channels)
{
    if (*channels == NULL) return;
    ASSERT((*channels)->topics.count == 0 && (*channels)->pattern_count == 0);
    map_deinit(&(*channels)->topics);
    memory_give(&memory_heap, *channels, sizeof **channels);
    *channels = NULL;
}

bool channel_has_room(const struct channels *channels, struct bytes name, bool is_pattern)
{
    return !is_pattern || channels->pattern_count < CHANNEL_PATTERN_COUNT_MAX ||
           find_pattern(channels, name) != NULL;
}

struct subscription *
channel_subscribe(struct channels *channels, struct bytes name, bool is_pattern)
{
    ASSERT(name.size <= CHANNEL_NAME_SIZE_MAX && channel_has_room(channels, name, is_pattern));
    struct subscription *subscription = memory_take(&memory_heap, sizeof *subscription);
    if (subscription == NULL) return NULL;
    struct topic *topic = is_pattern ? find_pattern(channels, name) : find_channel(channels, name);
    if (topic == NULL) topic = make_topic(channels, name, is_pattern);
    if (topic == NULL) {
        memory_give(&memory_heap, subscription, sizeof *subscription);
        return NULL;
    }
    *subscription = (struct subscription){ .topic = topic, .is_pattern = is_pattern };
    list_init(&subscription->own);
    list_init(&subscription->link);
    list_append(&topic->subscriptions, &subscription->link);
    topic->count++;
    channels->subscription_count++;
    return subscription;
}

void channel_unsubscribe(struct channels *channels, struct subscription *subscription)
{
    struct topic *topic = subscription->topic;
    list_remove(&subscription->own);
    list_remove(&subscription->link);
    memory_give(&memory_heap, subscription, sizeof *subscription);
    topic->count--;
    channels->subscription_count--;
    give_topic(channels, topic);
}

struct bytes channel_name(const struct subscription *subscription)
{
    return topic_name(subscription->topic);
}

/* ------------------------------------------------------------------ publishing */

static uint32_t tell_all(const struct topic *topic, struct bytes name, struct bytes message)
{
    list_foreach(link, &topic->subscriptions) {
        struct subscription *subscription = CONTAINER_OF(link, struct subscription, link);
        subscription->tell(subscription, name, message);
    }
    return topic->count;
}

uint32_t channel_publish(struct channels *channels, struct bytes name, struct bytes message)
{
    const struct topic *topic = find_channel(channels, name);
    uint32_t count = topic == NULL ? 0 : tell_all(topic, name, message);
    list_foreach(link, &channels->patterns) {
        const struct topic *pattern = CONTAINER_OF_CONST(link, struct topic, all);
        if (!channel_matches(topic_name(pattern), name)) continue;
        count += tell_all(pattern, name, message);
    }
    channels->published++;
    channels->delivered += count;
    return count;
}

struct channel_counters channel_counters(const struct channels *channels)
{
    return (struct channel_counters){ .published = channels->published,
                                      .delivered = channels->delivered,
                                      .channel_count = channels->topics.count,
                                      .pattern_count = channels->pattern_count,
                                      .subscription_count = channels->subscription_count };
}

uint32_t channel_subscriber_count(const struct channels *channels, struct bytes name)
{
    const struct topic *topic = find_channel(channels, name);
    return topic == NULL ? 0 : topic->count;
}

uint32_t channel_pattern_count(const struct channels *channels)
{
    return channels->pattern_count;
}

const void *
channel_next(const struct channels *channels, const void *cursor, struct bytes *out_name)
{
    struct map_node *node = map_next(&channels->topics, cursor);
    if (node != NULL) *out_name = topic_name(CONTAINER_OF(node, struct topic, names));
    return node;
}
