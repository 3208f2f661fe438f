/* events - followers of the durable changes: SSE streams, RESP push, and long-polls.
 *
 * A follower is at a seq and has a prefix; after each commit it is handed the durable events behind
 * its seq that match, from the engine's window.  Followers are found by prefix, not by asking each:
 * ten thousand that nothing matches cost nothing.
 *
 *            start                         caught up
 *     ------------------>  CATCHING_UP  ---------------->  LIVE
 *                            |     ^                        |
 *             deliver: false |     | follower_resume        | deliver: false
 *                            v     |                        |
 *                            PAUSED  <----------------------+
 *
 * A follower that is not LIVE reads the window at its own pace and costs no memory for what it has
 * not read; when the window has moved past it, it is told (`compacted`) and removed.  Nothing is
 * ever skipped in silence. */
#ifndef TENURE_SERVER_EVENTS_H
#define TENURE_SERVER_EVENTS_H

#include "base/buffer.h"
#include "base/heap.h"
#include "base/list.h"
#include "engine/engine.h"

struct events;
struct follower;
struct server;

struct follower_ops {
    /* One event, in order.  Return false when it was not taken (the client is slow): it comes again
     * after follower_resume. */
    bool (*deliver)(struct follower *follower, const struct record *record);
    /* The window has moved past the follower; it has been removed.  `first` is still there.  Counts
     * it, by whose fault it was. */
    void (*compacted)(struct follower *follower, struct seq first);
    /* Nothing was delivered for a while; follower->seq says up to where nothing matched.  May be
     * NULL. */
    void (*heartbeat)(struct follower *follower);
    /* `until` has come; the follower has been removed.  May be NULL when `until` is never. */
    void (*timeout)(struct follower *follower);
};

/* All callbacks may stop any follower, themselves included; the memory of the one that is called
 * must outlive the call. */
struct follower {
    const struct follower_ops *ops;
    void *user;
    struct bytes prefix;    /* owned by who registers; "" = all */
    bool is_exact;          /* the prefix is a whole name */
    uint64_t kinds;         /* bit (1 << record_kind); 0 = all */
    struct seq seq;         /* delivered up to here */
    struct mono until;      /* 0 = no end */
    uint8_t state;          /* private from here on; zero before the start */
    struct list link;       /* of its bucket (LIVE) or of those that catch up */
    struct list due;        /* for heartbeats, the longest silent first */
    struct heap_node timer; /* for `until` */
    void *bucket;
    struct mono last_at; /* of the last delivery or heartbeat */
};

/* What happens to locks. */
#define EVENTS_OF_LOCKS ((UINT64_C(1) << RECORD_PUT) - 1)

/* "granted,released": false when a word is no kind. */
MUST_USE bool events_parse_kinds(struct bytes words, uint64_t *out_kinds);

/* Needs server->loop and server->engine.  NULL: no memory. */
struct events *events_create(struct server *server);
void events_destroy(struct events **events);
/* Start; what is already durable behind follower->seq is delivered in the next pump.  False: no
 * memory.  A seq older than the window calls `compacted` from the next pump. */
bool follower_start(struct events *events, struct follower *follower);
/* Stop; accepts one that is not started. */
void follower_stop(struct events *events, struct follower *follower);
/* In what words a follower is told an event.  With and without what was there before. */
enum events_form {
    EVENTS_RESP2,
    EVENTS_RESP2_PREVIOUS,
    EVENTS_RESP3,
    EVENTS_RESP3_PREVIOUS,
    EVENTS_SSE,
    EVENTS_SSE_PREVIOUS,
    EVENTS_FORM_COUNT
};

/* The text of one event for all that are told it in this form: empty for who is told first, who
 * writes it.  Until the next call. */
struct buffer *events_text(struct events *events, enum events_form form, struct seq seq);
/* A text that has failed makes the answer fail. */
void events_copy_text(struct buffer *out, const struct buffer *text);

/* After deliver returned false; else nothing happens. */
void follower_resume(struct events *events, struct follower *follower);
/* Somebody catches up who has had his share of this turn: do not sleep before the next one. */
bool events_are_left(const struct events *events);
/* Called once a turn: hand out what has become durable, heartbeats that are due, and timeouts.  A
 * timer of its own wakes the loop for the latter. */
void events_pump(struct events *events, struct seq durable, struct mono now);
/* Of a relay: this has happened, and is handed out at once.  Its seq is above all before. */
void events_publish(struct events *events, const struct record *record);
/* Of a relay: something may have happened that nobody has told us.  All followers are told so
 * (`compacted`) in the next pump.  `seq` is above all before. */
void events_skip(struct events *events, struct seq seq);
uint64_t events_follower_count(const struct events *events);

#endif
