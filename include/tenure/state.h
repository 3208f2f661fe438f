/* state - what programs share: registers, ranks, channels.
 *
 * A register is a name with a value: any bytes, up to 1 MiB.  Its version rises with every change
 * and is never given twice, also when it is removed and set again; 0 means that it is not set.
 *
 * A guard is a lock and the token of a hold of it: what is guarded is refused with
 * TENURE_STALE_TOKEN as soon as that hold has ended, and so anybody else may have the lock.  What a
 * process writes under its lock it writes with a guard: then nothing is changed by one that has
 * lost it and does not know.
 *
 * A change is sent once.  TENURE_UNKNOWN: no answer came, it may have happened; look, or make it
 * conditional on the version that you know, and say it again.
 *
 * What the store cannot do is TENURE_UNSUPPORTED: state is a tenured's with a journal of its own.
 * To be told of changes see watch.h.
 *
 * rank.h   ranks and channels; included here */
#ifndef TENURE_STATE_H
#define TENURE_STATE_H

#include <tenure/lock.h>

#ifdef __cplusplus
extern "C" {
#endif

#define TENURE_STATE_TTL_MS_MAX    2592000000u /* 30 days */
#define TENURE_VALUE_SIZE_MAX      1048576u
#define TENURE_OPERATION_COUNT_MAX 128u
#define TENURE_GUARD_COUNT_MAX     16u

struct tenure_guard {
    const char *lock;
    uint64_t token; /* tenure_hold_token() */
};

/* A register.  Texts and value are valid during the call that they come with. */
struct tenure_register {
    const char *name;
    uint64_t version;  /* 0: it is not set, and the rest is nothing */
    const void *value; /* a zero is behind it */
    size_t value_size;
    uint32_t ttl_ms; /* 0: it does not expire */
    int64_t remaining_ms;
    const char *lock; /* it vanishes with the hold of this lock; "": it is not bound */
    uint64_t token;
};
typedef void (*tenure_register_fn)(const struct tenure_register *value, void *user);

/* ------------------------------------------------------------------ look */

/* Zero every field you do not set; set `size`, in all of these. */
struct tenure_get_options {
    size_t size;
    const char *name;
    const struct tenure_guard *guards; /* it is read under them */
    uint32_t guard_count;
};
/* TENURE_NOT_FOUND: it is not set. */
TENURE_API TENURE_MUST_USE enum tenure_err tenure_state_get(
    struct tenure_client client,
    const struct tenure_get_options *options,
    tenure_register_fn fn,
    void *user,
    struct tenure_error *out_error);

struct tenure_wait_options {
    size_t size;
    const char *name;
    uint64_t version; /* until it is not this one any more; 0: until it is set */
    uint32_t wait_ms; /* 0: do not wait; TENURE_WAIT_FOREVER */
};
/* Wait for a change and tell what it is then; it may be that it is not set.  `out_version` (NULL:
 * not wanted) is the one to wait on from: also of a register that was removed.
 * TENURE_TIMEOUT: nothing has changed; fn is called all the same. */
TENURE_API TENURE_MUST_USE enum tenure_err tenure_state_wait(
    struct tenure_client client,
    const struct tenure_wait_options *options,
    tenure_register_fn fn,
    void *user,
    uint64_t *out_version,
    struct tenure_error *out_error);
/* All registers whose names begin so, in the order of their names; NULL: all. */
TENURE_API TENURE_MUST_USE enum tenure_err tenure_state_list(
    struct tenure_client client,
    const char *prefix,
    tenure_register_fn fn,
    void *user,
    struct tenure_error *out_error);

/* ------------------------------------------------------------------ change one */

enum tenure_set_when {
    TENURE_SET_ALWAYS,
    TENURE_SET_IF_ABSENT,
    TENURE_SET_IF_PRESENT,
    TENURE_SET_IF_VERSION, /* compare and set; version 0: if it is not set */
};
struct tenure_set_options {
    size_t size;
    const char *name;
    const void *value;
    size_t value_size;
    uint32_t ttl_ms;          /* 0: it does not expire; 100 to TENURE_STATE_TTL_MS_MAX */
    struct tenure_guard bond; /* it vanishes with this hold; lock NULL: it does not */
    bool is_ttl_kept;         /* ttl and bond stay as they are; else a set ends them */
    enum tenure_set_when when;
    uint64_t version;
    const struct tenure_guard *guards;
    uint32_t guard_count;
};
/* TENURE_MISMATCH: the condition does not hold; the text tells the version that there is.
 * `out_version` may be NULL in all of these. */
TENURE_API TENURE_MUST_USE enum tenure_err tenure_state_set(
    struct tenure_client client,
    const struct tenure_set_options *options,
    uint64_t *out_version,
    struct tenure_error *out_error);
/* Make the value longer; a register that is not set is empty, and only then ttl and bond count. */
TENURE_API TENURE_MUST_USE enum tenure_err tenure_state_append(
    struct tenure_client client,
    const struct tenure_set_options *options,
    uint64_t *out_version,
    struct tenure_error *out_error);
/* Add to a number, in decimal digits as the value; a register that is not set is 0, and only then
 * ttl and bond count.  The value of `options` is not looked at.  TENURE_INVALID: it is no number,
 * or the sum is none of 64 bits. */
TENURE_API TENURE_MUST_USE enum tenure_err tenure_state_incr(
    struct tenure_client client,
    const struct tenure_set_options *options,
    int64_t by,
    int64_t *out_number,
    struct tenure_error *out_error);
/* Of `options` name, when, version and guards are looked at.  TENURE_NOT_FOUND: it was not set. */
TENURE_API TENURE_MUST_USE enum tenure_err tenure_state_remove(
    struct tenure_client client,
    const struct tenure_set_options *options,
    struct tenure_error *out_error);

/* ------------------------------------------------------------------ change many */

enum tenure_condition_kind {
    TENURE_IF_PRESENT,
    TENURE_IF_ABSENT,
    TENURE_IF_VERSION,
    TENURE_IF_VALUE,
};
struct tenure_condition {
    enum tenure_condition_kind kind;
    const char *name;
    uint64_t version;
    const void *value;
    size_t value_size;
};

enum tenure_operation_kind {
    TENURE_OPERATION_GET,
    TENURE_OPERATION_SET,
    TENURE_OPERATION_APPEND,
    TENURE_OPERATION_INCR,
    TENURE_OPERATION_REMOVE,
    TENURE_OPERATION_RANK_GET,
    TENURE_OPERATION_RANK_ADD,
    TENURE_OPERATION_RANK_INCR,
    TENURE_OPERATION_RANK_REMOVE,
};
/* Zero every field that the kind does not have. */
struct tenure_operation {
    enum tenure_operation_kind kind;
    const char *name; /* of the register, or the rank */
    const void *value;
    size_t value_size;
    int64_t by;         /* INCR */
    const char *member; /* of a rank */
    double score;       /* RANK_ADD; RANK_INCR: so much more */
    uint32_t ttl_ms;
    struct tenure_guard bond;
    bool is_ttl_kept;
};

/* All guards pass and all conditions hold: `operations` are carried out, else `otherwise`, all of
 * them in their order, or none.  Each register, and each member of a rank, is changed by one of
 * them at most. */
struct tenure_transaction {
    size_t size;
    const struct tenure_guard *guards;
    uint32_t guard_count;
    const struct tenure_condition *conditions;
    uint32_t condition_count;
    const struct tenure_operation
        *operations; /* with the others up to TENURE_OPERATION_COUNT_MAX */
    uint32_t operation_count;
    const struct tenure_operation *otherwise; /* none: TENURE_MISMATCH when a condition fails */
    uint32_t otherwise_count;
};
/* What came of one operation. */
struct tenure_outcome {
    struct tenure_register value; /* as it is then; of a rank only its name */
    bool is_member;               /* of a rank: there is the member, with this score */
    double score;
};
typedef void (*tenure_outcome_fn)(
    enum tenure_err err,
    const struct tenure_outcome *outcomes, /* with TENURE_OK: one for each that was carried out */
    uint32_t count,
    bool is_otherwise,
    const struct tenure_error *error,
    void *user);
/* TENURE_TOO_LARGE: the values, with those of conditions, are more than 1 MiB together. */
TENURE_API TENURE_MUST_USE enum tenure_err tenure_transact_start(
    struct tenure_client client,
    const struct tenure_transaction *transaction,
    tenure_outcome_fn fn,
    void *user,
    struct tenure_error *out_error);
/* The same and wait; `fn` (NULL: nobody wants to know) is called with TENURE_OK only. */
TENURE_API TENURE_MUST_USE enum tenure_err tenure_transact(
    struct tenure_client client,
    const struct tenure_transaction *transaction,
    tenure_outcome_fn fn,
    void *user,
    struct tenure_error *out_error);

#ifdef __cplusplus
}
#endif

#include <tenure/rank.h>

#endif
