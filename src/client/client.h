/* client - the thread behind a client, and what its files share.
 *
 *   client.c     open, close, the thread, tasks
 *   dispatch.c   on which thread callbacks run
 *   allocator.c  where memory comes from
 *   registry.c   handles
 *   keeper.c     the rules of keeping a hold, without I/O
 *   hold.c       a hold: what a keeper decides, carried out
 *   acquire.c    from a request to a hold, and cleaning up behind one that was given up
 *   lock.c       the public functions of holds
 *   take.c       from a request to items of a queue, each a hold
 *   taken.c      the item behind a hold, and its end
 *   put.c await.c queue.c   the rest of queues
 *   owner.c      names for those who hold
 *   transact.c state.c rank.c   shared state
 *   call.c       blocking = start and wait
 *   later.c      start, and tell when it is over
 *   claim.c view.c watch.c election.c   the rest of the public functions
 *   text.c       words for outcomes
 *
 * Everything that happens, happens on the client's thread.  Another thread leaves a task, which
 * lies in memory that is there already (on the stack of a blocking call, or in what is acted upon):
 * nothing that ends something can fail for want of memory.
 *
 * Mutexes: the registry's guards handles and what they lead to, a client's its tasks and notices.
 * The first is taken before the second.  No callback runs under either. */
#ifndef TENURE_CLIENT_CLIENT_H
#define TENURE_CLIENT_CLIENT_H

#include <tenure/client.h>

#include <pthread.h>

#include "base/heap.h"
#include "base/list.h"
#include "client/registry.h"
#include "store/store.h"

#define CLIENT_URL_SIZE          2048u
#define CLIENT_OWNER_PREFIX_SIZE 176u /* two words of 64 bytes, and a number */

struct task;
typedef void (*task_fn)(struct client *client, struct task *task);

/* Runs once on the client's thread. */
struct task {
    struct list link;
    task_fn run;
    bool is_queued;
};

struct notice;
typedef void (*notice_fn)(struct client *client, struct notice *notice);

/* Something to tell the user: once, where callbacks run.  It lies in memory that is there already,
 * as tasks do. */
struct notice {
    struct list link;
    notice_fn tell; /* the notice is in no list any more, and may be posted again or freed */
    bool is_posted;
};

struct client {
    uint64_t id;
    const struct memory *memory;
    char url[CLIENT_URL_SIZE];
    char owner_prefix[CLIENT_OWNER_PREFIX_SIZE]; /* "user@host:pid#" */
    uint32_t timeout_ms;
    uint32_t clock_error_ppm;
    bool is_dispatched;
    uint32_t epoch; /* of the process that it belongs to */
    pthread_t thread;

    uint32_t reference_count; /* under the registry's mutex */

    pthread_mutex_t mutex;
    struct list tasks;
    bool is_closing; /* takes no more tasks */

    /* Of a client that is dispatched; under its mutex. */
    int notice_fd;        /* readable while there are notices; -1: none */
    struct list notices;  /* for the next dispatch */
    struct list batch;    /* for the one that is under way */
    pthread_cond_t still; /* no dispatch is under way any more */
    pthread_t dispatcher; /* while is_dispatching */
    bool is_dispatching;
    bool is_dispatch_end; /* closed from inside a dispatch, which ends the rest */

    /* From here on the thread's. */
    uv_loop_t loop;
    uv_async_t wake;
    uv_timer_t timer;
    struct store *store;
    struct heap timers;   /* of holds */
    uint32_t timer_count; /* that may be needed at the same time: one for each acquire and hold */
    struct list acquires; /* under way, or cleaning up */
    struct list holds;
    struct list watches;
    struct list observations;
    struct list takes;        /* under way */
    struct list awaits;       /* likewise */
    struct store_watch alarm; /* tells when somebody else ends a hold */
    uv_timer_t alarm_timer;
    char alarm_name[LIMIT_NAME_SIZE_MAX + 1]; /* what it listens to; empty: to all names */
    bool has_alarm;
    bool is_closed;  /* the store is */
    bool is_own_end; /* closed from inside a callback: nobody joins the thread */
};

/* The allocator of everything that the library allocates itself; it stays what it is. */
const struct memory *tni_allocator_use(void);

/* A reference: NULL when the handle is not good.  Give it back. */
struct client *tni_client_take(struct tenure_client handle);
struct client *tni_client_take_of(struct client *client); /* under the registry's mutex */
void tni_client_give(struct client *client);

/* Leave a task.  False when the client is closing: it will not run. */
MUST_USE bool tni_client_submit(struct client *client, struct task *task);
/* The same for what is known in one of the client's lists, too, from the same moment on: who closes
 * finds there what was begun, and nothing else.  False: neither. */
MUST_USE bool
tni_client_enlist(struct client *client, struct list *list, struct list *link, struct task *task);
/* The same under the client's mutex; when it is closing, nothing happens. */
void tni_client_queue(struct client *client, struct task *task);
/* What the owners that this process makes begin with. */
void tni_owner_prefix(char out_prefix[static CLIENT_OWNER_PREFIX_SIZE]);
/* A new owner.  False: the system gives no random numbers. */
MUST_USE bool
tni_owner_make(const struct client *client, char out_owner[static LIMIT_OWNER_SIZE_MAX + 1]);

/* Is this its thread? */
bool tni_client_is_inside(const struct client *client);
/* A hold's timer has changed. */
void tni_client_arm(struct client *client);

/* Wait for the thread, tell the rest, and give back the reference that was the handle's. */
void tni_client_finish(struct client *client);

/* Tell, on the right thread: at once, or at the next dispatch.  On the client's thread.  False: it
 * was posted already, and is told once. */
bool tni_notice_post(struct client *client, struct notice *notice);
/* By any thread.  True: it will not be told. */
MUST_USE bool tni_notice_withdraw(struct client *client, struct notice *notice);
/* Everything that is left, on this thread; the descriptor goes. */
void tni_dispatch_finish(struct client *client);

/* The holds are others than before: listen to what others do to them (watch.c). */
void tni_client_mind_alarm(struct client *client);

/* In case of closing: end what is the files' own. */
void tni_acquire_close_all(struct client *client);
void tni_hold_close_all(struct client *client);
void tni_watch_close_all(struct client *client);
void tni_election_close_all(struct client *client);
void tni_take_close_all(struct client *client);

/* By any thread: nobody wants to know any more who leads.  Nothing happens when there is no such
 * operation. */
void tni_election_cancel(struct client *client, uint64_t id);

/* Now plus milliseconds. */
struct mono tni_deadline(uint32_t duration_ms);
/* For people; accepts NULL.  `text` NULL: the text of `err`.  Returns `err`. */
enum tenure_err tni_fail(struct tenure_error *out_error, enum tenure_err err, const char *text);
/* Is this a name or an owner?  A meta, a value?  A reason? */
bool tni_is_plain(const char *text);
bool tni_is_text(const char *text, size_t size_max);

#endif
