/* wire - what is sent to one node, and what comes back.
 *
 * A call names one of the scripts (src/store/redis/scripts) and carries its numbers.  The texts of
 * an operation (name, owner, channel, meta) are the same in all its calls, the pass differs from
 * node to node.  quorum_command_write turns a call into the keys and arguments of EVALSHA;
 * quorum_answer_read understands the reply, an array of integers and strings.
 *
 * Keys, all of one name in one hash slot:
 *
 *     NAME                     the lock as Redlock has it: the value is the owner, with a ttl
 *     tenure:{NAME}:fence      hash: fence voted ended freed breaking, and the hold: owner token
 * ttl meta tenure:{NAME}:queue      sorted set: who waits, by ticket tenure:{NAME}:waiters    hash:
 * waiter -> until when it is alive, and its channel tenure:node              hash: pass config
 * voted floor durable met met_ms
 *
 *     fence    no vote for a token that is not above it
 *     voted    the highest token that was voted for
 *     ended    the highest token of a hold that is known to have ended
 *     freed    the token of the hold that was deleted last
 *     breaking the token of a hold whose end an administrator has set
 *     floor    of all names whose fences this node has forgotten */
#ifndef TENURE_QUORUM_WIRE_H
#define TENURE_QUORUM_WIRE_H

#include "base/assert.h"
#include "base/decimal.h"
#include "base/limits.h"
#include "base/types.h"

#define QUORUM_NODE_COUNT_MAX 7u

/* The files of src/store/redis/scripts. */
enum quorum_script {
    QUORUM_SCRIPT_ACQUIRE,
    QUORUM_SCRIPT_RENEW,
    QUORUM_SCRIPT_RELEASE,
    QUORUM_SCRIPT_ADMIT,
    QUORUM_SCRIPT_INSPECT,
    QUORUM_SCRIPT_SWEEP,
};
#define QUORUM_SCRIPT_COUNT 6

/* What a call asks for. */
enum quorum_verb {
    QUORUM_VOTE,     /* acquire */
    QUORUM_RENEW,    /* renew */
    QUORUM_HEAL,     /* renew */
    QUORUM_PROCLAIM, /* renew, with another meta */
    QUORUM_RELEASE,  /* release: all four */
    QUORUM_ABANDON,
    QUORUM_YIELD,
    QUORUM_BREAK,
    QUORUM_LOOK, /* admit: all three */
    QUORUM_MEET,
    QUORUM_ADMIT,
    QUORUM_INSPECT, /* inspect */
    QUORUM_SWEEP,   /* sweep */
};
#define QUORUM_VERB_COUNT 13

/* Tickets that are none: a try that does not wait, and one that asks for a number. */
#define QUORUM_TICKET_NONE UINT64_C(0)
#define QUORUM_TICKET_ASK  UINT64_C(1)

/* Changing it: quorum_call_is_same. */
struct quorum_call {
    enum quorum_verb verb;
    uint32_t node;   /* 0 … N-1 */
    uint32_t serial; /* comes back with the answer */
    uint64_t token;  /* ADMIT: the floor; SWEEP: how old a fence must be, in token time */
    uint64_t ticket; /* SWEEP: the cursor */
    uint32_t ttl_ms;
    uint32_t count;     /* INSPECT: how many waiters to name; SWEEP: how many names to look at */
    uint32_t life_ms;   /* of the ticket; BREAK: the grace */
    uint64_t uptime_ms; /* MEET; ADMIT: that of the meeting that was looked at */
    bool is_durable;    /* ADMIT */
    bool is_claim;      /* MEET: it is to have our configuration */
};

/* The texts of an operation; those not needed are empty. */
struct quorum_texts {
    struct bytes name;
    struct bytes owner;
    struct bytes channel; /* on which a waiter is woken */
    struct bytes meta;
    struct bytes pass;   /* of the node; ADMIT: the one that was looked at */
    struct bytes run_id; /* MEET, ADMIT */
    struct bytes config; /* MEET, ADMIT */
};

#define QUORUM_KEY_SIZE_MAX       (LIMIT_NAME_SIZE_MAX + 24u)
#define QUORUM_KEY_COUNT_MAX      5u
#define QUORUM_ARGUMENT_COUNT_MAX 8u
#define QUORUM_NUMBER_COUNT_MAX   4u

/* Points into itself and into the texts: not to be copied. */
struct quorum_command {
    enum quorum_script script;
    uint32_t key_count;
    uint32_t argument_count;
    uint32_t pass_index; /* which argument is the pass; QUORUM_ARGUMENT_COUNT_MAX: none */
    struct bytes keys[QUORUM_KEY_COUNT_MAX];
    struct bytes arguments[QUORUM_ARGUMENT_COUNT_MAX];

    /* Private. */
    char key_texts[3][QUORUM_KEY_SIZE_MAX];
    char numbers[QUORUM_NUMBER_COUNT_MAX][DECIMAL_SIZE_MAX];
    uint32_t number_count;
};

/* The name is 1 … LIMIT_NAME_SIZE_MAX bytes and quorum_name_is_free. */
void quorum_command_write(
    const struct quorum_call *call,
    const struct quorum_texts *texts,
    struct quorum_command *out_command);

/* Do both ask the same of their nodes?  Then the commands differ in the pass at most. */
bool quorum_call_is_same(const struct quorum_call *left, const struct quorum_call *right);

/* May a lock have this name?  Those of our own keys are taken. */
bool quorum_name_is_free(struct bytes name);

/* ------------------------------------------------------------------ replies */

/* One element of the reply. */
struct quorum_value {
    bool is_integer;
    int64_t integer;
    struct bytes text;
};

enum quorum_answer_kind {
    QUORUM_YES = 1,  /* voted, or renewed */
    QUORUM_HELD = 2, /* it is somebody else's */
    QUORUM_QUEUED = 3,
    QUORUM_STALE = 4,
    QUORUM_MUTE = 5, /* this node does not vote (yet) */
    QUORUM_HEALED = 6,
    QUORUM_GONE = 7, /* not here */
    QUORUM_DELETED = 8,
    QUORUM_NODE = 9, /* the answer to LOOK, MEET, ADMIT */
};

/* Fields that a kind does not have are 0 or empty. */
struct quorum_answer {
    enum quorum_answer_kind kind;
    int64_t remaining_ms; /* -1: without end */
    uint64_t fence;
    uint64_t ticket;
    uint64_t token; /* HELD: of the holder */
    uint64_t voted;
    uint64_t ended;
    bool is_breaking;   /* YES, to a renewal: an administrator has set an end to it */
    struct bytes owner; /* HELD */

    uint64_t floor; /* NODE: from here on */
    uint64_t met_ms;
    bool is_durable;
    struct bytes pass;
    struct bytes config;
    struct bytes met; /* run_id */
};

/* Understand the reply of one of the scripts for acquire, renew, release or admit.  False: it is
 * none, which counts as no answer.  The texts are borrowed from the values. */
MUST_USE bool quorum_answer_read(
    const struct quorum_value *values, size_t count, struct quorum_answer *out_answer);

/* What a node knows of one lock.  `owner` empty: nobody has it; `token` 0: no client of Tenure. */
struct quorum_sight {
    int64_t remaining_ms;
    uint64_t fence;
    uint64_t token;
    uint64_t voted;
    uint64_t ended;
    uint32_t ttl_ms;
    uint32_t waiter_count; /* in all */
    bool is_breaking;      /* an administrator has set an end to it */
    struct bytes owner;
    struct bytes meta;
};
/* Understand the reply of INSPECT; the waiters that it names, owner and ticket by turns, are the
 * values behind QUORUM_SIGHT_SIZE. */
#define QUORUM_SIGHT_SIZE 12u
MUST_USE bool
quorum_sight_read(const struct quorum_value *values, size_t count, struct quorum_sight *out_sight);

/* The message that wakes a waiter: for which name and owner, and the fence.  Borrowed from it. */
struct quorum_wake {
    uint64_t fence;
    struct bytes name;
    struct bytes owner;
};
MUST_USE bool quorum_wake_read(struct bytes message, struct quorum_wake *out_wake);

#endif
