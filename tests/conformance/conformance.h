/* conformance - what every store must do, asked through the public interface of libtenure.
 *
 * One program for all stores: run.py starts a store of some kind and names it in the environment.
 *
 *     CONFORMANCE_KIND      a row of the table in store_kind.c
 *     CONFORMANCE_URL       for tenure_client_open
 *     CONFORMANCE_CONTROL   a Unix socket: whoever listens there can harm the store
 *
 * What a store cannot do, by the table, it must refuse with TENURE_UNSUPPORTED, exactly; what it
 * can do, it must do in full.  Every test has names of its own, so that all can use one store. */
#ifndef TESTS_CONFORMANCE_CONFORMANCE_H
#define TESTS_CONFORMANCE_CONFORMANCE_H

#include <tenure/tenure.h>

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "lib/test.h"

/* ------------------------------------------------------------------ what the store can do */

struct store_kind {
    const char *name;
    enum tenure_safety safety;
    uint32_t ttl_ms_max;
    uint32_t node_count; /* that vote; 0: it is one server */
    bool has_many_names;
    bool has_shared;
    bool has_slots;
    bool has_priority;
    bool has_lock_delay;
    bool has_unlimited; /* holds without a ttl */
    bool has_history;
    bool has_transfer;
    bool has_proclaim;
    bool has_watch;           /* from now on */
    enum tenure_err past_err; /* of a watch from an event of the past */
    bool has_grace;           /* a break may leave the holder time */
    bool has_any_name;        /* none is taken by the store itself */
    bool is_ledger; /* it remembers who held what, so it tells every refusal by its name */
};

/* The kind that is being tested. */
const struct store_kind *kind(void);
/* Do something to the store: "down" (crash), "up" (with what was on its disk), "freeze", "thaw"; on
 * Redis also to one server: "down 2", "empty 2" (restart it with nothing), "delete 2 NAME". */
__attribute__((format(printf, 1, 2))) void control(const char *format, ...);

/* ------------------------------------------------------------------ clients and locks */

int64_t now_ms(void);
void sleep_ms(unsigned duration_ms);
/* A text that no other test has: "PREFIX/RANDOM".  Valid for good. */
const char *fresh(const char *prefix);

struct tenure_client open_client(void);
struct tenure_client open_client_with(uint32_t timeout_ms);

/* An exclusive lock that is kept by nobody: it expires unless the test renews it. */
struct tenure_lock_options plain(const char *const *name, uint32_t ttl_ms, uint32_t wait_ms);
/* It must be granted. */
struct tenure_hold lock(struct tenure_client client, const struct tenure_lock_options *options);
/* The outcome, whatever it is; a grant is given back. */
enum tenure_err try_lock(struct tenure_client client, const struct tenure_lock_options *options);
/* It must be refused, with a text for people. */
void check_refused(
    struct tenure_client client, const struct tenure_lock_options *options, enum tenure_err err);
/* It must be ours until now. */
void unlock(struct tenure_hold hold);

struct claim_texts {
    char owner[256];
    uint64_t token;
};
/* Who holds it, from the handle. */
struct claim_texts claim_of(struct tenure_hold hold);

/* ------------------------------------------------------------------ what callbacks tell */

struct seen {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    /* of an acquire */
    unsigned done_count;
    enum tenure_err err;
    struct tenure_hold hold;
    int64_t done_at_ms;
    uint64_t order; /* among all acquires of this process */
    /* of a hold */
    unsigned risk_count;
    unsigned lost_count;
    enum tenure_loss loss;
    int64_t lost_at_ms;
    bool was_valid_when_lost;
};

void seen_init(struct seen *seen);
/* Let it be told of risks and of the loss. */
void tell_to(struct tenure_lock_options *options, struct seen *seen);
/* Start an acquire whose outcome goes there. */
struct tenure_op start_lock(
    struct tenure_client client, const struct tenure_lock_options *options, struct seen *seen);
/* Until a counter of it has reached that. */
void await(struct seen *seen, const unsigned *counter, unsigned least);
/* Has it been reached?  Does not wait. */
bool is_reached(struct seen *seen, const unsigned *counter, unsigned least);

/* ------------------------------------------------------------------ looking */

struct view {
    bool is_found;
    uint32_t hold_count;
    uint32_t waiter_count;
    char owner[256];
    char meta[4097];
    uint64_t token;
    uint32_t ttl_ms;
    int64_t remaining_ms;
    uint32_t votes;
    uint32_t node_count;
    bool is_breaking;
    uint32_t waiters_here;
    char waiters[8][256];
    uint32_t positions[8];
};

struct view look(struct tenure_client client, const char *name);
/* Until so many wait for it, each with a place in the line that is settled. */
void await_waiters(struct tenure_client client, const char *name, uint32_t count);
/* Until nobody holds it. */
void await_free(struct tenure_client client, const char *name);

#endif
