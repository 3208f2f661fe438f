/* admission - which nodes may vote.
 *
 *                     its pass is ours
 *     down <-> looking ------------------------------> voting
 *                |  the pass is of another run          ^
 *                v                                      |  let in: floor
 *              waiting (quarantine) ----> asking -------+
 *                                         (the others: what did you vote for?)
 *
 * A node that restarts may have forgotten votes: all of them, or the last second's.  Two things can
 * go wrong, and each has its rule:
 *
 *   two holders    It voted for a lease that still lives, and votes again.  So it does not vote
 * until it has been up for longer than the longest ttl.  This is the quarantine. tokens fall    It
 * voted for a token, forgot it, and votes for a lower one.  So it votes only above its floor.  Of
 * the nodes that made up a majority with it, every majority of the others contains one; each node
 * keeps the highest token that it has ever voted for.  The floor is the highest of those of Q other
 * voting nodes, asked when the quarantine is over: by then every grant that counted the forgotten
 * vote is complete, or has no time left.
 *
 * When fewer than Q others vote (too many restarted at once, or N is 1), what a majority knew may
 * be gone.  Then all nodes must answer, so that all memory that there is has been asked, and the
 * wall clock raises the floor over the rest.  The very first start is the same case.  Where all
 * nodes are without memory at the same time, one that was emptied without a restart cannot be told
 * from one of a first start, by who has never seen it vote.
 *
 *   - A node verified to have written every vote to its disk, before and after the restart, has
 *     forgotten nothing and votes at once.
 *   - A process that was not always the master of its data (a promoted replica), and one that lost
 *     its data without a restart, is in quarantine from when it was first met; `met` is kept on it.
 *   - A node with another configuration (other nodes, another longest ttl) does not vote for us.
 *     Where no majority votes yet, nobody is let in before all nodes carry our configuration: of
 *     clients that disagree about the nodes at most one kind gets that far.
 *   - The pass binds all this together: it holds the run_id and the configuration, a script
 *     compares it, and letting in is a compare-and-set on it. */
#ifndef TENURE_QUORUM_ADMISSION_H
#define TENURE_QUORUM_ADMISSION_H

#include "quorum/quorum.h"

#define QUORUM_RUN_ID_SIZE_MAX 64u
#define QUORUM_CONFIG_SIZE_MAX 64u
#define QUORUM_PASS_SIZE_MAX   (QUORUM_RUN_ID_SIZE_MAX + QUORUM_CONFIG_SIZE_MAX + 1u)

enum quorum_standing {
    QUORUM_DOWN,     /* not connected */
    QUORUM_LOOKING,  /* connected; what is stored there is not known yet */
    QUORUM_VOTING,   /* admitted */
    QUORUM_WAITING,  /* in quarantine */
    QUORUM_ASKING,   /* out of quarantine; the others are asked for its floor */
    QUORUM_MISMATCH, /* another configuration is stored there: this does not pass by itself */
};
#define QUORUM_STANDING_COUNT 6

struct quorum_admission_options {
    uint32_t node_count;
    uint32_t ttl_ms_max; /* the longest lease, part of the configuration */
    uint32_t clock_error_ppm;
    struct bytes config; /* at most QUORUM_CONFIG_SIZE_MAX, without blanks; borrowed for good */
    bool is_new;         /* somebody's word that nothing was ever locked here: the very first start
                            need not wait.  Must not be said again later: who has not seen
                            it used would believe it */
};

enum quorum_admission_event_kind {
    QUORUM_NODE_UP,       /* connected: `identity` */
    QUORUM_NODE_DOWN,     /* the connection is gone */
    QUORUM_NODE_ANSWERED, /* `serial`, `answer` of kind NODE */
    QUORUM_NODE_FAILED,   /* `serial`: no answer will come */
    QUORUM_NODE_REFUSED,  /* a script said that this node does not vote: look again */
    QUORUM_NODE_TIME,
};

/* What was read on this very connection. */
struct quorum_identity {
    struct bytes run_id; /* at most QUORUM_RUN_ID_SIZE_MAX, without blanks */
    uint64_t uptime_ms;
    bool is_durable;  /* every write is on the disk before it is answered */
    bool is_promoted; /* it has not been the master since its process began, or nobody knows */
};

struct quorum_admission_event {
    enum quorum_admission_event_kind kind;
    struct mono now;
    struct wall wall;
    uint32_t node;
    uint32_t serial;
    const struct quorum_identity *identity;
    const struct quorum_answer *answer;
};

/* Calls have the verbs LOOK, MEET and ADMIT; their texts come from quorum_admission_texts. */
struct quorum_admission_update {
    struct quorum_call calls[2 * QUORUM_NODE_COUNT_MAX];
    uint32_t call_count;
    struct mono deadline;
};

/* All is private. */
struct quorum_candidate {
    enum quorum_standing standing;
    char run_id[QUORUM_RUN_ID_SIZE_MAX];
    size_t run_id_size;
    uint64_t uptime_ms;
    struct mono read_at; /* when `uptime_ms` was read */
    bool is_durable;
    bool is_promoted;

    /* What is stored on it, as the last look showed. */
    bool is_looked;
    struct mono looked_at; /* when that look was asked for */
    uint64_t voted;
    bool has_pass;
    bool is_claimed; /* our configuration is stored on it */
    bool was_durable;
    bool is_met;
    uint64_t met_ms;
    struct mono met_from; /* when the look was asked for that first showed this meeting */
    char pass[QUORUM_PASS_SIZE_MAX];
    size_t pass_size;

    uint32_t serial; /* of the call under way; 0: none */
    struct mono sent_at;
    struct mono ripe_at; /* the end of the quarantine; INT64_MAX: not known */
    bool is_unused;      /* there was a moment when no node had ever been let in, and this one has
                            not been since */
    bool is_new;
    struct mono again_at;
};

struct quorum_admission {
    struct quorum_admission_options options;
    uint32_t serial;
    bool is_used; /* a node had a pass at some time: this is no first start */
    struct quorum_candidate nodes[QUORUM_NODE_COUNT_MAX];
};

void quorum_admission_init(
    struct quorum_admission *admission, const struct quorum_admission_options *options);
void quorum_admission_step(
    struct quorum_admission *admission,
    const struct quorum_admission_event *event,
    struct quorum_admission_update *out_update);

enum quorum_standing
quorum_admission_standing(const struct quorum_admission *admission, uint32_t node);
/* How long a node will be in quarantine yet; 0: not, -1: not known. */
int64_t quorum_admission_quarantine_ms(
    const struct quorum_admission *admission, uint32_t node, struct mono now);
/* The pass that scripts must carry to this node: "RUN_ID CONFIG".  Returns its size; 0: not
 * connected. */
size_t quorum_admission_pass(
    const struct quorum_admission *admission,
    uint32_t node,
    char out_pass[static QUORUM_PASS_SIZE_MAX]);
/* The texts of a call of an update; borrowed from the machine until its next step. */
struct quorum_texts quorum_admission_texts(const struct quorum_admission *admission, uint32_t node);

#endif
