/* record - one durable change: what happened to a lock.
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

#define RECORD_FORMAT_VERSION 1

/* No record is larger: all texts at their limits, and the numbers. */
#define RECORD_SIZE_MAX 5120u
/* All the numbers of a record, at their longest. */
#define RECORD_NUMBERS_SIZE 80u

/*    name       code  word          what it says */
#define RECORD_KIND_MAP(X)                                                                         \
    X(GRANTED, 1, "granted")       /* owner has the lock, with this token */                       \
    X(RENEWED, 2, "renewed")       /* a renewal changed the ttl (others are not logged) */         \
    X(RELEASED, 3, "released")     /* the holder gave it back */                                   \
    X(EXPIRED, 4, "expired")       /* the ttl ran out */                                           \
    X(BREAKING, 5, "breaking")     /* an administrator ends the hold in grace_ms */                \
    X(BROKEN, 6, "broken")         /* an administrator ended the hold */                           \
    X(PROCLAIMED, 7, "proclaimed") /* the holder changed the value (meta) of its hold */           \
    X(AVAILABLE, 8, "available")   /* the lock-delay after an unclean loss is over */

enum record_kind {
#define X(name, code, word) RECORD_##name = code,
    RECORD_KIND_MAP(X)
#undef X
};
#define RECORD_KIND_COUNT 9 /* codes are 1 … 8 */

enum engine_mode { ENGINE_EXCLUSIVE, ENGINE_SHARED };

/* Fields that a kind does not have are zero.  All texts are borrowed: they point into what was
 * decoded, or at what the caller of record_encode owns. */
struct record {
    enum record_kind kind;
    struct seq seq; /* set by who hands the record out; not encoded */
    struct wall at;
    struct bytes name;
    struct bytes owner;     /* all but AVAILABLE */
    struct token token;     /* all but AVAILABLE */
    enum engine_mode mode;  /* GRANTED, RELEASED, EXPIRED, BROKEN */
    uint32_t slot;          /* GRANTED, RELEASED, EXPIRED, BROKEN */
    uint32_t slots;         /* GRANTED */
    uint32_t ttl_ms;        /* GRANTED, RENEWED; 0 = until released */
    uint32_t lock_delay_ms; /* GRANTED; EXPIRED, BROKEN: the delay that begins now, or 0 */
    uint32_t grace_ms;      /* BREAKING */
    struct bytes meta;      /* GRANTED, PROCLAIMED */
    struct bytes reason;    /* BREAKING, BROKEN; RELEASED: "" or "transferred" */
};

/* Append the encoding.  Fails only through `out->is_failed`. */
void record_encode(struct buffer *out, const struct record *record);

/* Decode one record from the front of `*input` and advance it.  TENURE_CORRUPT, `*input` and
 * `*out_record` untouched, when the bytes are not a record within the limits. */
MUST_USE enum tenure_err record_decode(struct bytes *input, struct record *out_record);

/* Decode bytes that record_encode has written or record_decode has accepted: the texts are not
 * looked at again. */
struct record record_decode_known(struct bytes encoded);

/* "granted", …; NULL for a number that is no kind. */
const char *record_kind_word(unsigned kind);

#endif
