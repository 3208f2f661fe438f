/* record - one durable change: what happened to a lock, or to an item of a queue.
 *
 * The same record serves durability, recovery, the event stream, history and audit.  Records are
 * numbered densely (`seq`); the number is not part of the encoding, it follows from the place in
 * the batch.
 *
 * Encoding (docs/journal-format.md): kind, then the fields of that kind in a fixed order; numbers
 * as unsigned LEB128, texts as length and bytes.  Changing a kind:
 *   1. never change the meaning of a field; add a new kind or append a field and raise
 *      RECORD_FORMAT_VERSION;
 *   2. keep reading the old form;
 *   3. add a golden journal;
 *   4. extend apply.c, the model in the tests, the JSON shape and the documentation. */
#ifndef TENURE_ENGINE_RECORD_H
#define TENURE_ENGINE_RECORD_H

#include <tenure/error.h>

#include "base/buffer.h"
#include "base/types.h"
#include "engine/codec.h"
#include "engine/terms.h"

#define RECORD_FORMAT_VERSION 2

/* No record without a body is larger: all texts at their limits, and the numbers. */
#define RECORD_SIZE_MAX 5632u
/* All the numbers of a record, at their longest. */
#define RECORD_NUMBERS_SIZE 160u

/*    name       code  word          what it says */
#define RECORD_KIND_MAP(X)                                                                         \
    X(GRANTED, 1, "granted")        /* owner has the lock, with this token */                      \
    X(RENEWED, 2, "renewed")        /* a renewal changed the ttl (others are not logged) */        \
    X(RELEASED, 3, "released")      /* the holder gave it back */                                  \
    X(EXPIRED, 4, "expired")        /* the ttl ran out */                                          \
    X(BREAKING, 5, "breaking")      /* an administrator ends the hold in grace_ms */               \
    X(BROKEN, 6, "broken")          /* an administrator ended the hold */                          \
    X(PROCLAIMED, 7, "proclaimed")  /* the holder changed the value (meta) of its hold */          \
    X(AVAILABLE, 8, "available")    /* the lock-delay after an unclean loss is over */             \
    X(PUT, 9, "put")                /* an item was put into a queue */                             \
    X(TAKEN, 10, "taken")           /* a worker has the item, with this token */                   \
    X(EXTENDED, 11, "extended")     /* an extension changed the lease (others are not logged) */   \
    X(PROGRESSED, 12, "progressed") /* the worker says how far it is */                            \
    X(DONE, 13, "done")             /* the worker did it */                                        \
    X(FAILED, 14, "failed")         /* the worker could not, or its longest run was over */        \
    X(LAPSED, 15, "lapsed")         /* the worker was not heard of for its lease */                \
    X(BURIED, 16, "buried")         /* the worker says that trying again is of no use */           \
    X(CANCELLING, 17, "cancelling") /* its worker is to be told to stop */                         \
    X(CANCELLED, 18, "cancelled")   /* nobody will do it */                                        \
    X(KICKED, 19, "kicked")         /* an administrator made it ready again */                     \
    X(REMOVED, 20, "removed")       /* it is forgotten */                                          \
    X(PAUSED, 21, "paused")         /* nothing is taken from the queue or the group */             \
    X(RESUMED, 22, "resumed")       /* things are taken again */                                   \
    X(LIMITED, 23, "limited")       /* the limits of a group, or of all groups without their own */

enum record_kind {
#define X(name, code, word) RECORD_##name = code,
    RECORD_KIND_MAP(X)
#undef X
};
#define RECORD_KIND_COUNT 24 /* codes are 1 … 23 */

/* Is this about a queue?  The others are about locks. */
#define RECORD_KIND_IS_WORK(kind) ((kind) >= RECORD_PUT)

/* What an end of a lease leads to. */
enum record_outcome { OUTCOME_AGAIN, OUTCOME_DEAD, OUTCOME_CANCELLED, OUTCOME_COUNT };

enum engine_mode { ENGINE_EXCLUSIVE, ENGINE_SHARED };

/* Fields that a kind does not have are zero.  All texts are borrowed: they point into what was
 * decoded, or at what the caller of record_encode owns. */
struct record {
    enum record_kind kind;
    struct seq seq; /* set by who hands the record out; not encoded */
    struct wall at;
    struct bytes name;
    struct bytes owner;     /* of locks: all but AVAILABLE; TAKEN: the worker */
    struct token token;     /* of locks: all but AVAILABLE; TAKEN … BURIED */
    enum engine_mode mode;  /* GRANTED, RELEASED, EXPIRED, BROKEN */
    uint32_t slot;          /* GRANTED, RELEASED, EXPIRED, BROKEN */
    uint32_t slots;         /* GRANTED */
    uint32_t ttl_ms;        /* GRANTED, RENEWED; 0 = until released.  TAKEN, EXTENDED: the lease */
    uint32_t lock_delay_ms; /* GRANTED; EXPIRED, BROKEN: the delay that begins now, or 0 */
    uint32_t grace_ms;      /* BREAKING */
    struct bytes meta;      /* GRANTED, PROCLAIMED; PUT: the headers */
    struct bytes reason;    /* BREAKING, BROKEN; RELEASED: "" or "transferred"; PROGRESSED: how far;
                               FAILED … REMOVED: why */
    /* Of queues; `name` is the queue. */
    struct bytes id;             /* of the item: PUT … REMOVED */
    struct bytes group;          /* PUT; PAUSED, RESUMED, LIMITED unless is_whole */
    struct bytes unique;         /* PUT: the unique key */
    struct bytes body;           /* PUT; DONE: the result.  Of an event only the size is known: the
                                    data is NULL */
    struct item_terms terms;     /* PUT */
    struct group_limits limits;  /* LIMITED */
    int64_t run_at_us;           /* FAILED, KICKED: not before; 0 = at once */
    enum record_outcome outcome; /* FAILED, LAPSED */
    bool is_counted;             /* FAILED: an attempt; KICKED: attempts and lapses begin anew */
    bool is_whole;               /* PAUSED, RESUMED, LIMITED: the queue, not one group */
};

/* Append the encoding.  Fails only through `out->is_failed`.  A body whose data is NULL is only
 * told of. */
void record_encode(struct buffer *out, const struct record *record);

/* Decode one record from the front of `*input` and advance it.  TENURE_CORRUPT, `*input` and
 * `*out_record` untouched, when the bytes are not a record within the limits. */
MUST_USE enum tenure_err record_decode(struct bytes *input, struct record *out_record);

/* Decode bytes that record_encode has written or record_decode has accepted: the texts are not
 * looked at again. */
struct record record_decode_known(struct bytes encoded);

/* The terms of an item and the limits of a group, as snapshots have them too.  `out` must have room
 * for RECORD_NUMBERS_SIZE. */
char *record_put_terms(char *out, const struct item_terms *terms);
char *record_put_limits(char *out, const struct group_limits *limits);
/* Bad when they are not within the limits. */
struct item_terms record_take_terms(struct codec_reader *reader);
struct group_limits record_take_limits(struct codec_reader *reader);
/* Are they within the limits?  What is put must be so. */
bool record_are_terms_sound(const struct item_terms *terms);
bool record_are_limits_sound(const struct group_limits *limits);

/* "granted", …; NULL for a number that is no kind. */
const char *record_kind_word(unsigned kind);

#endif
