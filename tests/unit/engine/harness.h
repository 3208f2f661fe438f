/* harness - an engine under test, with a clock that the test moves and a journal in memory.
 *
 * After every step all invariants are checked (engine_check), the records of the step are kept, and
 * the replies are copied, so that a test may look at them later.  Replaying the records into a
 * second engine must give the same state: harness_verify does it, and harness_close once more.
 *
 * What is made is durable at once, unless the test says otherwise. */
#ifndef TENURE_TESTS_UNIT_ENGINE_HARNESS_H
#define TENURE_TESTS_UNIT_ENGINE_HARNESS_H

#include "engine/engine.h"
#include "lib/fault_memory.h"

#define HARNESS_TTL_MS 10000u

struct harness_batch {
    struct seq first;
    uint32_t count;
    size_t offset; /* in `journal` */
    size_t size;
};

struct harness {
    struct engine *engine;
    struct engine_options options;
    struct fault_memory fault;
    struct mono now;
    struct wall wall;
    bool is_auto_durable;
    uint32_t check_every; /* steps */
    uint64_t step_count;
    uint64_t tag_last;
    bool is_waiting; /* the last acquire was queued */

    struct buffer journal;
    struct harness_batch *batches;
    size_t batch_count;
    size_t batch_capacity;
    uint64_t token_last;

    struct engine_reply **replies; /* all of them, in order, in memory of their own */
    size_t reply_count;
    size_t reply_capacity;
    char **blocks; /* what the copies stand in */
    size_t block_count;
    size_t block_capacity;
};

struct harness *harness_open(void);
/* Zero in `options` means the default. */
struct harness *harness_open_with(const struct engine_options *options);
/* Ends with harness_verify, and fails the test if a block of memory has not come back. */
void harness_close(struct harness **harness);

/* ------------------------------------------------------------------ asking */

/* An acquire in short form.  Zero means: ttl HARNESS_TTL_MS, one slot, client 1, a fresh tag. */
struct ask {
    const char *name;
    const char *const *names; /* instead of `name`, ended by NULL */
    const char *owner;
    const char *meta;
    uint32_t ttl_ms;
    bool is_endless; /* ttl 0 */
    uint32_t wait_ms;
    enum engine_mode mode;
    uint32_t slots;
    uint32_t priority;
    uint32_t lock_delay_ms;
    uint64_t client;
    uint64_t tag;
};

/* The answer, or NULL when the request waits; it then comes by harness_answer. */
const struct engine_reply *harness_acquire(struct harness *harness, struct ask ask);
/* The same in one line: granted at once, and its token. */
uint64_t harness_hold(struct harness *harness, struct ask ask);
/* The same for a request that must be queued; returns its tag. */
uint64_t harness_wait(struct harness *harness, struct ask ask);
/* The last reply with this tag; NULL when there is none yet. */
const struct engine_reply *harness_answer(const struct harness *harness, uint64_t tag);

const struct engine_reply *harness_renew(
    struct harness *harness, const char *name, const char *owner, uint64_t token, uint32_t ttl_ms);
const struct engine_reply *
harness_release(struct harness *harness, const char *name, const char *owner, uint64_t token);
const struct engine_reply *harness_break(
    struct harness *harness,
    const char *name,
    uint64_t token,
    const char *reason,
    uint32_t grace_ms);
const struct engine_reply *harness_proclaim(
    struct harness *harness,
    const char *name,
    const char *owner,
    uint64_t token,
    const char *value);
const struct engine_reply *harness_transfer(
    struct harness *harness, const char *name, const char *owner, uint64_t token, const char *to);
/* The reply with this client and tag, be it that of the acquire or of the cancel. */
const struct engine_reply *harness_cancel(struct harness *harness, uint64_t client, uint64_t tag);

/* Any command; the reply that it got at once, or NULL. */
const struct engine_reply *harness_command(struct harness *harness, struct engine_command *command);
void harness_gone(struct harness *harness, uint64_t client);
void harness_gate(struct harness *harness, enum engine_gate gate);

/* -------------------------------------------------------------------- time */

/* Both clocks go on; nothing is told to the engine. */
void harness_pass(struct harness *harness, int64_t ms);
/* Time passes and the timers fire, each at its own moment. */
void harness_advance(struct harness *harness, int64_t ms);
/* One timer event, now. */
void harness_timer(struct harness *harness);
/* Time passes unseen: the engine is told of a stall. */
void harness_stall(struct harness *harness, int64_t ms);
void harness_durable(struct harness *harness, struct seq seq);

/* ----------------------------------------------------------------- looking */

struct engine_lock_view harness_look(const struct harness *harness, const char *name);
/* The only holder's token, 0 when nobody holds it. */
uint64_t harness_holder(const struct harness *harness, const char *name);
uint64_t harness_hash(struct harness *harness);
/* The record at `seq`, from the journal; it must be there. */
struct record harness_record(const struct harness *harness, uint64_t seq);
/* How many records of this kind there are about this name; NULL: any. */
uint32_t harness_count(const struct harness *harness, enum record_kind kind, const char *name);

/* ----------------------------------------------------------------- restart */

/* A new engine from the records alone, before ENGINE_READY.  The caller destroys it. */
struct engine *harness_replay(const struct harness *harness, const struct engine_options *options);
/* The same and READY; its state must equal that of the engine. */
void harness_verify(struct harness *harness);
/* The engine dies and comes back from its records. */
void harness_restart(struct harness *harness);
/* Put an engine, not READY yet, in the place of the one under test. */
void harness_adopt(struct harness *harness, struct engine *engine);

#endif
