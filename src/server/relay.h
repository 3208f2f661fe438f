/* relay - another store behind the sessions (backend.h): this process keeps nothing.
 *
 * What a session asks becomes a work: one store operation, or a few, one after the other, and at
 * the end an answer in the engine's own words, so that the protocols cannot tell the difference.
 *
 *   relay.c         works from their beginning to their answer; the store's ups and downs
 *   relay_lock.c    commands, and what the store says to them
 *   relay_query.c   reads
 *   relay_watch.c   events, as far as the store tells them
 *
 * Several relays may stand before one store: they share nothing else.  Deadlines are the store's;
 * an answer is given within RELAY_ANSWER_NS of a request that does not wait, which is less than
 * clients wait for one.
 *
 * For the files of the relay only. */
#ifndef TENURE_SERVER_RELAY_H
#define TENURE_SERVER_RELAY_H

#include <tenure/error.h>

#include "base/limits.h"
#include "base/map.h"
#include "base/siphash.h"
#include "server/server.h"
#include "store/store.h"

#define RELAY_ANSWER_NS (2 * NS_PER_S)
#define RELAY_PROBE_NS  NS_PER_S

/* Names share so many places in which their last change is noted. */
#define RELAY_CHANGE_COUNT 4096u

#define RELAY_TEXT_SIZE 240u

struct relay_work;
/* The operation under way is done. */
typedef void (*relay_step_fn)(struct relay_work *work, const struct store_result *result);

/* A lock of a list; texts are places in the work's `found`. */
struct relay_entry {
    size_t name_at;
    size_t owner_at;
    size_t meta_at;
    struct engine_lock_view view;
    struct engine_hold_view hold; /* the first one, if there is one */
    struct query_votes votes;     /* for it */
};

struct relay_work {
    struct relay *relay;
    struct list link;            /* in relay->works */
    struct list own;             /* in session->works */
    struct session *session;     /* NULL: nobody waits for the answer */
    struct session_place *place; /* see session_owe */
    relay_step_fn step;
    struct store_op op;
    struct mono started_at;
    bool is_begun;   /* an operation was started */
    bool is_waiting; /* for a lock */
    bool is_mapped;
    struct map_node by_owner;     /* of those that wait */
    struct relay_work *successor; /* the same owner asks again: it begins when this one is done */

    /* What was asked; texts are in `texts`. */
    char *texts;
    size_t text_size;
    size_t text_used;
    struct bytes name; /* the first one */
    struct bytes owner;

    /* Of a command. */
    enum engine_command_kind kind;
    uint64_t tag;
    const char **names; /* ACQUIRE */
    uint32_t name_count;
    struct bytes meta; /* ACQUIRE, PROCLAIM */
    enum engine_mode mode;
    uint32_t ttl_ms;
    uint32_t slots;
    uint32_t lock_delay_ms;
    uint32_t grace_ms;
    uint64_t token;
    struct relay_renewal *renewals; /* RENEW: one for each claim */
    struct store_claim *claims;     /* of the operation under way */
    uint32_t claim_count;
    struct engine_hold_view hold; /* as it was found; its texts are in `found` */
    bool has_hold;

    /* Of a query. */
    enum query_kind query_kind;
    query_tell_fn tell;
    struct engine_list_query list;
    uint32_t count_max;
    struct relay_entry *entries;
    uint32_t entry_count;
    bool is_full; /* there is more than was asked for */

    struct buffer found; /* texts of what was found */
};

struct relay_renewal {
    struct store_claim claim;
    uint32_t ttl_ms;
    bool is_asked;
    bool is_done;
    struct store_renewal result;
};

struct relay {
    struct server *server;
    struct store *store;
    struct list works;
    struct map waiting; /* acquires, by owner and first name */
    struct siphash_key key;
    struct buffer holds; /* of a lock that is being shown */
    struct buffer votes;
    struct buffer waiters;

    uv_idle_t nudge; /* see relay_wake */
    struct store_op probe;
    bool is_probing;
    char text[RELAY_TEXT_SIZE]; /* why the store is down */

    struct store_watch watch;
    bool is_watched;  /* the store was asked to tell */
    bool is_begun;    /* and does */
    bool has_seqs;    /* its events have numbers of their own */
    uint64_t told;    /* the number of the last one, if so */
    uint64_t changed; /* any name may have changed up to here */
    uint64_t changes[RELAY_CHANGE_COUNT];

    char url[512]; /* without its password */
};

extern const struct backend backend_relay;

/* Open the store of the configuration.  The server's loop is set up, and so is its turn.
 * TENURE_INVALID, TENURE_UNSUPPORTED: the URL.  TENURE_NO_MEMORY. */
MUST_USE enum tenure_err relay_create(struct server *server, struct tenure_error *out_error);
/* The server has its events: ask the store to tell, and whether it can grant. */
void relay_ready(struct server *server);
/* All sessions are gone.  The handles are closed when the loop has run.  Accepts that there is
 * none. */
void relay_close(struct server *server);
/* After that. */
void relay_free(struct server *server);

/* The store tells something: every callback of it begins with this.  It may come just before the
 * loop sleeps, and what is written then must leave. */
void relay_wake(struct relay *relay);

/* ---- works (relay.c) */

/* With room for texts of so many bytes in all; each takes one more than it has.  It belongs to
 * nobody yet.  NULL: no memory. */
MUST_USE struct relay_work *relay_work_create(struct relay *relay, size_t text_size);
/* Of one that belongs to nobody. */
void relay_work_drop(struct relay_work *work);
/* Copy a text of the request. */
struct bytes relay_work_keep(struct relay_work *work, struct bytes text);
/* Its answer is owed to the session from now on.  False: no memory; the work is gone. */
MUST_USE bool relay_work_assign(struct relay_work *work, struct session *session);
/* Begin to acquire, if need be when the store has let go of the older request of the same owner:
 * that one is told so, and canceled. */
void relay_work_queue(struct relay_work *work);
/* Start an operation; `step` is told its result.  All of the request but verb and `as` is filled in
 * here. */
void relay_work_start(struct relay_work *work, enum store_verb verb, relay_step_fn step);
/* Answer a command or a query, and end the work. */
void relay_work_reply(struct relay_work *work, struct engine_reply *reply);
void relay_work_tell(struct relay_work *work, struct query_answer *answer);
/* Answer a command with an error about its first name, and end the work. */
void relay_work_refuse(struct relay_work *work, enum tenure_err err, const char *detail);

/* ---- commands and reads */

void relay_submit(struct server *server, struct session *session, struct engine_command *command);
void relay_ask(struct server *server, struct session *session, const struct query *query);
/* Begin to acquire, now that nobody of this owner is before it. */
void relay_acquire_begin(struct relay_work *work);
/* A holder in the engine's words.  Texts stay those of the store. */
struct engine_hold_view relay_hold_view(
    const struct relay *relay,
    const struct store_lock_view *lock,
    const struct store_holder *holder);

/* ---- events (relay_watch.c) */

/* Have the store tell, if it does not. */
void relay_watch_start(struct relay *relay);
void relay_watch_stop(struct relay *relay);
/* The last change of a name, as far as it was told. */
uint64_t relay_changed(const struct relay *relay, struct bytes name);
/* An event of the store as a record; false: of no kind that is known here. */
bool relay_record(const struct store_event *event, struct record *out_record);

#endif
