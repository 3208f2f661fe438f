/* channels - messages for whoever listens now: nothing is kept, nothing is written to the journal.
 *
 * A subscription is to one channel, or to all whose name matches a pattern (as Redis does it: *, ?,
 * [a-z], [^a], \ before a character that means itself).  Who listens twice is told twice. */
#ifndef TENURE_SERVER_CHANNELS_H
#define TENURE_SERVER_CHANNELS_H

#include "base/list.h"
#include "base/map.h"
#include "base/types.h"

#define CHANNEL_NAME_SIZE_MAX    255u
#define CHANNEL_MESSAGE_SIZE_MAX 1048576u
/* Every message is compared with all of them. */
#define CHANNEL_PATTERN_COUNT_MAX 4096u

struct channels;
struct subscription;

/* A message; valid during the call, which must not subscribe or end anything. */
typedef void (*channel_tell_fn)(
    struct subscription *subscription, struct bytes channel, struct bytes message);

struct subscription {
    channel_tell_fn tell;
    void *user;
    struct list own;  /* for who has it: the list it is in there */
    struct list link; /* private */
    void *topic;      /* private */
    bool is_pattern;
};

/* NULL: no memory. */
struct channels *channels_create(void);
/* There must be no subscription.  Accepts NULL inside. */
void channels_destroy(struct channels **channels);

/* False: there are too many patterns to subscribe to one more. */
bool channel_has_room(const struct channels *channels, struct bytes name, bool is_pattern);
/* A subscription of heap memory; there must be room.  NULL: no memory. */
MUST_USE struct subscription *
channel_subscribe(struct channels *channels, struct bytes name, bool is_pattern);
/* Ends and frees it. */
void channel_unsubscribe(struct channels *channels, struct subscription *subscription);
struct bytes channel_name(const struct subscription *subscription);

/* Returns how many were told. */
uint32_t channel_publish(struct channels *channels, struct bytes name, struct bytes message);

struct channel_counters {
    uint64_t published, delivered;         /* messages since the start, and to how many */
    uint64_t channel_count, pattern_count; /* now: that somebody subscribes to */
    uint64_t subscription_count;           /* now: to channels and patterns */
};

struct channel_counters channel_counters(const struct channels *channels);
/* How many subscribe to this very channel; and the number of patterns. */
uint32_t channel_subscriber_count(const struct channels *channels, struct bytes name);
uint32_t channel_pattern_count(const struct channels *channels);
/* Channels that somebody subscribes to, in no order: begin with NULL. */
const void *
channel_next(const struct channels *channels, const void *cursor, struct bytes *out_name);

bool channel_matches(struct bytes pattern, struct bytes name);

#endif
