/* record - one durable change: what happened to a lock, to an item of a queue, or to shared state.
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

#define RECORD_FORMAT_VERSION 3

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
    X(LIMITED, 23, "limited")   /* the limits of a group, or of all groups without their own */    \
    X(SET, 32, "set")           /* a register has a new value */                                   \
    X(APPENDED, 33, "appended") /* its value has become longer */                                  \
    X(UNSET, 34, "unset")       /* it has none any more */                                         \
    X(RANKED, 35, "ranked")     /* a member of a rank has a score */                               \
    X(UNRANKED, 36, "unranked") /* it is no member any more */

enum record_kind {
#define X(name, code, word) RECORD_##name = code,
    RECORD_KIND_MAP(X)
#undef X
};
#define RECORD_KIND_COUNT 37 /* codes are below; not all of them are in use */

/* Is this about a queue, or about shared state?  The others are about locks. */
#define RECORD_KIND_IS_WORK(kind) ((kind) >= RECORD_PUT && (kind) < RECORD_SET)
#define RECORD_KIND_IS_KEY(kind)  ((kind) >= RECORD_SET)

/* Why a register has no value any more. */
enum record_cause { CAUSE_REMOVED, CAUSE_EXPIRED, CAUSE_HOLD_ENDED, CAUSE_COUNT };
/* "removed", "expired", "hold_ended". */
const char *record_cause_word(enum record_cause cause);

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
    bool is_timeout;             /* FAILED: its longest run was over; else its worker says so */
    bool is_whole;               /* PAUSED, RESUMED, LIMITED: the queue, not one group */
    /* Of shared state; `name` is the register or the rank, `id` the member of the rank, `ttl_ms`
     * that of SET, `token` that of its bond, `body` the value (APPENDED: what was added; of an
     * event the whole value, with its data). */
    struct bytes bond;       /* SET: the lock whose hold it is bound to; empty: none */
    double score;            /* RANKED; UNRANKED: the last one */
    double score_before;     /* RANKED, unless is_new */
    enum record_cause cause; /* UNSET */
    uint32_t more;           /* so many records of the same transaction follow */
    bool is_kept;            /* SET: ttl and bond are as they were */
    bool is_new;             /* RANKED: it was no member before */
    bool has_previous;       /* of an event: there was a value before, and it is known */
    struct bytes previous;   /* of an event: that value */
};

/* Append the encoding.  Fails only through `out->is_failed`.  A body whose data is NULL is only
 * told of. */
void record_encode(struct buffer *out, const struct record *record);

/* Append the encoding of the same record of whose body, which is not empty, only the size is told:
 * `encoded` ends with the body. */
void record_encode_brief(struct buffer *out, struct bytes encoded, size_t body_size);

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
/* Eight bytes of a binary64, the highest first. */
char *record_put_score(char *out, double score);
/* Bad when it is no score. */
double record_take_score(struct codec_reader *reader);
/* Finite, and not the zero below zero: what is put must be so. */
bool record_is_score(double score);
/* Are they within the limits?  What is put must be so. */
bool record_are_terms_sound(const struct item_terms *terms);
bool record_are_limits_sound(const struct group_limits *limits);

/* "granted", …; NULL for a number that is no kind. */
const char *record_kind_word(unsigned kind);
/* And back; 0 for a word that is no kind. */
unsigned record_kind_of(struct bytes word);

#endif
