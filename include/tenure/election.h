/* election - a lock with a value: who leads, and what it says.
 *
 * To campaign is to acquire: tenure_lock() with the value as `meta`; the hold is the leadership,
 * its token the term, and releasing it resigns. */
#ifndef TENURE_ELECTION_H
#define TENURE_ELECTION_H

#include <tenure/lock.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The leader says something new. */
TENURE_API TENURE_MUST_USE enum tenure_err tenure_election_proclaim(
    struct tenure_hold hold, const char *value, struct tenure_error *out_error);

/* The same without waiting: the answer comes to `fn`.  The value is copied. */
TENURE_API TENURE_MUST_USE enum tenure_err tenure_election_proclaim_start(
    struct tenure_hold hold, const char *value, tenure_done_fn fn, void *user);

/* Hand over to a candidate that waits; the hold is released and its handle closed, without a word
 * to on_lost.  TENURE_NOT_FOUND: he does not wait.  Stop leading first: he leads at once. */
TENURE_API TENURE_MUST_USE enum tenure_err tenure_election_transfer(
    struct tenure_hold hold,
    const char *to_owner,
    uint64_t *out_token,
    struct tenure_error *out_error);
/* The same without waiting: the answer comes to `fn`; with TENURE_OK the handle is closed. */
TENURE_API TENURE_MUST_USE enum tenure_err tenure_election_transfer_start(
    struct tenure_hold hold, const char *to_owner, tenure_done_fn fn, void *user);
/* The same by words. */
TENURE_API TENURE_MUST_USE enum tenure_err tenure_claim_transfer(
    struct tenure_client client,
    const struct tenure_claim *claim,
    const char *to_owner,
    uint64_t *out_token,
    struct tenure_error *out_error);

struct tenure_leader {
    const char *owner; /* NULL: nobody leads */
    const char *value;
    uint64_t token;
    uint64_t seq;
    int64_t remaining_ms;
};
/* Called at the start and at each change; return false to stop. */
typedef bool (*tenure_leader_fn)(const struct tenure_leader *leader, void *user);
/* Follow the leader until `fn` stops it or the client is closed.  Blocks. */
TENURE_API TENURE_MUST_USE enum tenure_err tenure_election_observe(
    struct tenure_client client,
    const char *name,
    tenure_leader_fn fn,
    void *user,
    struct tenure_error *out_error);

struct tenure_observe_options {
    size_t size;
    const char *name; /* is copied */
    tenure_leader_fn on_leader;
    tenure_done_fn on_end; /* NULL: nobody wants to know */
    void *user;
};
/* The same without waiting: on_leader is called where callbacks run, and in a client that is
 * dispatched with what is true by then.  on_end is called once, behind it: TENURE_OK when on_leader
 * returned false, TENURE_CANCELED behind tenure_op_cancel() or when the client is closed, or what
 * made it end. */
TENURE_API TENURE_MUST_USE enum tenure_err tenure_election_observe_start(
    struct tenure_client client,
    const struct tenure_observe_options *options,
    struct tenure_op *out_op,
    struct tenure_error *out_error);

#ifdef __cplusplus
}
#endif

#endif
