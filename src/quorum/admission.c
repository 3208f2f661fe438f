#include "quorum/admission.h"

/* How often a node that does not vote is looked at, and how long an answer may take. */
#define AGAIN_NS  (500 * NS_PER_MS)
#define ANSWER_NS (1000 * NS_PER_MS)
/* Uptimes are told in whole seconds. */
#define UPTIME_SLACK_MS 2000
#define UPTIME_MS_MAX   INT64_C(1000000000000)

static const struct mono never = { INT64_MAX };

void quorum_admission_init(
    struct quorum_admission *admission, const struct quorum_admission_options *options)
{
    ASSERT(quorum_is_node_count(options->node_count));
    ASSERT(options->config.size >= 1 && options->config.size <= QUORUM_CONFIG_SIZE_MAX);
    *admission = (struct quorum_admission){ .options = *options };
}

static int64_t quarantine_ms(const struct quorum_admission *admission)
{
    int64_t ttl_ms = admission->options.ttl_ms_max;
    return ttl_ms + ttl_ms * (int64_t)admission->options.clock_error_ppm / 500000 + UPTIME_SLACK_MS;
}

/* ------------------------------------------------------------------ calls */

static void call(
    struct quorum_admission *admission,
    uint32_t node,
    const struct quorum_call *what,
    struct mono now,
    struct quorum_admission_update *update)
{
    struct quorum_candidate *candidate = &admission->nodes[node];
    ASSERT(update->call_count < 2 * QUORUM_NODE_COUNT_MAX);
    admission->serial++;
    candidate->serial = admission->serial;
    candidate->sent_at = now;
    candidate->again_at = quorum_later(now, ANSWER_NS);
    struct quorum_call *slot = &update->calls[update->call_count++];
    *slot = *what;
    slot->node = node;
    slot->serial = admission->serial;
}

static void look(
    struct quorum_admission *admission,
    uint32_t node,
    struct mono now,
    struct quorum_admission_update *update)
{
    const struct quorum_call what = { .verb = QUORUM_LOOK };
    call(admission, node, &what, now, update);
}

/* ------------------------------------------------------------------ what is known */

/* Has no node ever been let in, as far as all tell?  What one tells that has lost its memory since
 * counts only beside what the others tell after that: each is asked when all are met, or later. */
static bool is_virgin(const struct quorum_admission *admission)
{
    if (admission->is_used) return false;
    struct mono met_from = { INT64_MIN };
    struct mono looked_at = never;
    for (uint32_t node = 0; node < admission->options.node_count; node++) {
        const struct quorum_candidate *candidate = &admission->nodes[node];
        bool is_bare = candidate->standing != QUORUM_DOWN && candidate->is_looked &&
                       candidate->is_met && !candidate->has_pass;
        if (!is_bare) return false;
        if (candidate->met_from.ns > met_from.ns) met_from = candidate->met_from;
        looked_at = quorum_earliest(looked_at, candidate->looked_at);
    }
    return looked_at.ns >= met_from.ns;
}

/* The very first start: no node can have forgotten a vote that it was never let in for.  This is
 * noted on each, because the first that is let in ends that moment. */
static void note_unused(struct quorum_admission *admission)
{
    if (!is_virgin(admission)) return;
    for (uint32_t node = 0; node < admission->options.node_count; node++) {
        struct quorum_candidate *candidate = &admission->nodes[node];
        if (candidate->is_unused) continue;
        candidate->is_unused = true;
        candidate->is_new = admission->options.is_new;
    }
}

/* No process has been up for longer; what says so is nonsense, and must not overflow. */
static int64_t plain_ms(uint64_t duration_ms)
{
    return duration_ms < UPTIME_MS_MAX ? (int64_t)duration_ms : UPTIME_MS_MAX;
}

/* The quarantine ends when the process has been up for long enough since it began or, where that
 * says nothing, since it was met.  Its uptime grows on its own clock; we count on ours, the slower
 * way. */
static void set_ripe(struct quorum_admission *admission, struct quorum_candidate *candidate)
{
    bool has_lost_data = !candidate->has_pass && !candidate->is_unused;
    bool counts_from_meeting = candidate->is_promoted || has_lost_data;
    if (counts_from_meeting && !candidate->is_met) {
        candidate->ripe_at = never;
        return;
    }
    int64_t from_ms = counts_from_meeting ? plain_ms(candidate->met_ms) : 0;
    int64_t left_ms = from_ms + quarantine_ms(admission) - plain_ms(candidate->uptime_ms);
    if (left_ms < 0 || (candidate->is_unused && candidate->is_new)) left_ms = 0;
    left_ms += left_ms * (int64_t)admission->options.clock_error_ppm / 1000000;
    candidate->ripe_at = quorum_later(candidate->read_at, left_ms * NS_PER_MS);
}

/* The floor for a node that is out of quarantine, from looks that were asked for after its end.
 * False: not enough has been answered yet. */
static bool find_floor(
    const struct quorum_admission *admission, uint32_t node, struct wall wall, uint64_t *out_floor)
{
    uint32_t voting = 0;
    uint32_t answered = 0;
    uint64_t floor = admission->nodes[node].voted;
    for (uint32_t other = 0; other < admission->options.node_count; other++) {
        const struct quorum_candidate *candidate = &admission->nodes[other];
        bool is_fresh = candidate->is_looked && candidate->standing != QUORUM_DOWN &&
                        candidate->standing != QUORUM_MISMATCH &&
                        candidate->looked_at.ns >= admission->nodes[node].ripe_at.ns;
        if (!is_fresh) continue;
        answered += candidate->is_claimed;
        if (candidate->voted > floor) floor = candidate->voted;
        voting += other != node && candidate->standing == QUORUM_VOTING;
    }
    bool has_majority = voting >= quorum_majority(admission->options.node_count);
    if (!has_majority && answered < admission->options.node_count) return false;
    /* Grants that were still under way when the memory was lost are nearly always older. */
    uint64_t clock = wall.us > 0 ? (uint64_t)wall.us : 0;
    *out_floor = clock > floor ? clock : floor;
    return true;
}

/* ------------------------------------------------------------------ one node's way */

static bool is_ours(const struct quorum_admission *admission, uint32_t node)
{
    const struct quorum_candidate *candidate = &admission->nodes[node];
    char pass[QUORUM_PASS_SIZE_MAX];
    size_t size = quorum_admission_pass(admission, node, pass);
    return candidate->pass_size == size && memcmp(candidate->pass, pass, size) == 0;
}

static void admit(
    struct quorum_admission *admission,
    uint32_t node,
    uint64_t floor,
    struct mono now,
    struct quorum_admission_update *update)
{
    const struct quorum_call what = {
        .verb = QUORUM_ADMIT,
        .token = floor,
        .uptime_ms = admission->nodes[node].met_ms,
        .is_durable = admission->nodes[node].is_durable,
    };
    call(admission, node, &what, now, update);
}

/* A node without a configuration gets ours where that is certainly the one: a majority of the
 * others votes under it, or no node at all carries another. */
static bool may_claim(const struct quorum_admission *admission, uint32_t node)
{
    uint32_t voting = 0;
    uint32_t open = 0;
    for (uint32_t other = 0; other < admission->options.node_count; other++) {
        const struct quorum_candidate *candidate = &admission->nodes[other];
        voting += other != node && candidate->standing == QUORUM_VOTING;
        open += candidate->standing != QUORUM_DOWN && candidate->is_looked &&
                candidate->standing != QUORUM_MISMATCH;
    }
    return voting >= quorum_majority(admission->options.node_count) ||
           open == admission->options.node_count;
}

/* The uptime was read when we connected; by now it is this much, or less. */
static void meet(
    struct quorum_admission *admission,
    uint32_t node,
    struct mono now,
    struct quorum_admission_update *update)
{
    const struct quorum_candidate *candidate = &admission->nodes[node];
    int64_t since_ms = (now.ns - candidate->read_at.ns) / NS_PER_MS;
    since_ms += since_ms * (int64_t)admission->options.clock_error_ppm / 1000000 + 1;
    const struct quorum_call what = {
        .verb = QUORUM_MEET,
        .uptime_ms = candidate->uptime_ms + (uint64_t)since_ms,
        .is_claim = may_claim(admission, node),
    };
    call(admission, node, &what, now, update);
}

/* The others tell what they voted for; those under way will. */
static void ask_others(
    struct quorum_admission *admission,
    uint32_t node,
    struct mono now,
    struct quorum_admission_update *update)
{
    struct mono ripe_at = admission->nodes[node].ripe_at;
    for (uint32_t other = 0; other < admission->options.node_count; other++) {
        const struct quorum_candidate *candidate = &admission->nodes[other];
        if (candidate->standing == QUORUM_DOWN || candidate->serial != 0) continue;
        if (candidate->is_looked && candidate->looked_at.ns >= ripe_at.ns) continue;
        look(admission, other, now, update);
    }
}

static void advance(
    struct quorum_admission *admission,
    uint32_t node,
    const struct quorum_admission_event *event,
    struct quorum_admission_update *update)
{
    struct quorum_candidate *candidate = &admission->nodes[node];
    bool is_settled = candidate->standing == QUORUM_DOWN || candidate->standing == QUORUM_VOTING ||
                      candidate->standing == QUORUM_MISMATCH;
    if (is_settled || !candidate->is_looked || candidate->serial != 0) return;
    if (candidate->has_pass && candidate->was_durable && candidate->is_durable) {
        admit(admission, node, 0, event->now, update);
        return;
    }
    set_ripe(admission, candidate);
    candidate->standing = QUORUM_WAITING;
    bool is_unknown = !candidate->is_met && candidate->ripe_at.ns == never.ns;
    if (is_unknown || (!candidate->is_claimed && may_claim(admission, node))) {
        meet(admission, node, event->now, update);
        return;
    }
    if (event->now.ns < candidate->ripe_at.ns || !candidate->is_claimed) return;
    candidate->standing = QUORUM_ASKING;
    uint64_t floor = 0;
    if (find_floor(admission, node, event->wall, &floor)) {
        admit(admission, node, floor, event->now, update);
    } else {
        ask_others(admission, node, event->now, update);
    }
}

/* ------------------------------------------------------------------ events */

static void copy(char *target, size_t *out_size, struct bytes text, size_t size_max)
{
    *out_size = text.size < size_max ? text.size : size_max;
    memcpy(target, text.data, *out_size);
}

static void on_up(struct quorum_admission *admission, const struct quorum_admission_event *event)
{
    const struct quorum_identity *identity = event->identity;
    ASSERT(identity->run_id.size <= QUORUM_RUN_ID_SIZE_MAX);
    struct quorum_candidate *candidate = &admission->nodes[event->node];
    *candidate = (struct quorum_candidate){ .standing = QUORUM_LOOKING,
                                            .uptime_ms = identity->uptime_ms,
                                            .read_at = event->now,
                                            .is_durable = identity->is_durable,
                                            .is_promoted = identity->is_promoted,
                                            .ripe_at = never,
                                            .again_at = event->now };
    copy(candidate->run_id, &candidate->run_id_size, identity->run_id, QUORUM_RUN_ID_SIZE_MAX);
}

static void
on_answer(struct quorum_admission *admission, const struct quorum_admission_event *event)
{
    struct quorum_candidate *candidate = &admission->nodes[event->node];
    const struct quorum_answer *answer = event->answer;
    if (candidate->serial == 0 || candidate->serial != event->serial) return;
    candidate->serial = 0;
    candidate->again_at = quorum_later(event->now, AGAIN_NS);
    if (answer->kind != QUORUM_NODE) return;
    candidate->is_looked = true;
    candidate->looked_at = candidate->sent_at;
    candidate->voted = answer->voted;
    candidate->has_pass = answer->pass.size > 0;
    if (candidate->has_pass) {
        candidate->is_unused = false;
        admission->is_used = true;
    }
    candidate->is_claimed = bytes_equal(answer->config, admission->options.config);
    candidate->was_durable = answer->is_durable;
    struct bytes run_id = { candidate->run_id, candidate->run_id_size };
    bool was_met = candidate->is_met && candidate->met_ms == answer->met_ms;
    candidate->met_ms = answer->met_ms;
    candidate->is_met = bytes_equal(answer->met, run_id);
    if (!was_met || !candidate->is_met) {
        candidate->met_from = candidate->sent_at;
        candidate->is_unused = false;
    }
    copy(candidate->pass, &candidate->pass_size, answer->pass, QUORUM_PASS_SIZE_MAX);
    if (answer->config.size > 0 && !candidate->is_claimed) {
        candidate->standing = QUORUM_MISMATCH;
    } else if (is_ours(admission, event->node)) {
        candidate->standing = QUORUM_VOTING;
    } else if (candidate->standing == QUORUM_VOTING) {
        candidate->standing = QUORUM_LOOKING;
    }
}

static void handle(struct quorum_admission *admission, const struct quorum_admission_event *event)
{
    if (event->kind == QUORUM_NODE_TIME) return;
    ASSERT(event->node < admission->options.node_count);
    struct quorum_candidate *candidate = &admission->nodes[event->node];
    switch (event->kind) {
    case QUORUM_NODE_UP: on_up(admission, event); break;
    case QUORUM_NODE_DOWN: *candidate = (struct quorum_candidate){ .standing = QUORUM_DOWN }; break;
    case QUORUM_NODE_ANSWERED: on_answer(admission, event); break;
    case QUORUM_NODE_FAILED:
        if (candidate->serial == event->serial) candidate->serial = 0;
        break;
    case QUORUM_NODE_REFUSED:
        if (candidate->standing != QUORUM_VOTING) break;
        candidate->standing = QUORUM_LOOKING;
        candidate->is_looked = false;
        candidate->is_unused = false;
        candidate->again_at = event->now;
        break;
    case QUORUM_NODE_TIME: break;
    }
}

/* Those that do not vote are looked at from time to time: somebody else may let them in. */
static void look_if_due(
    struct quorum_admission *admission,
    uint32_t node,
    struct mono now,
    struct quorum_admission_update *update)
{
    struct quorum_candidate *candidate = &admission->nodes[node];
    bool is_settled = candidate->standing == QUORUM_DOWN || candidate->standing == QUORUM_VOTING;
    if (is_settled || now.ns < candidate->again_at.ns) return;
    look(admission, node, now, update);
}

static struct mono deadline_of(const struct quorum_admission *admission, struct mono now)
{
    struct mono deadline = never;
    for (uint32_t node = 0; node < admission->options.node_count; node++) {
        const struct quorum_candidate *candidate = &admission->nodes[node];
        bool is_voting = candidate->standing == QUORUM_VOTING;
        if (candidate->standing == QUORUM_DOWN || (is_voting && candidate->serial == 0)) continue;
        if (!is_voting) deadline = quorum_earliest(deadline, candidate->again_at);
        if (candidate->standing == QUORUM_WAITING && candidate->ripe_at.ns > now.ns) {
            deadline = quorum_earliest(deadline, candidate->ripe_at);
        }
    }
    return deadline;
}

void quorum_admission_step(
    struct quorum_admission *admission,
    const struct quorum_admission_event *event,
    struct quorum_admission_update *out_update)
{
    out_update->call_count = 0;
    handle(admission, event);
    uint32_t node_count = admission->options.node_count;
    for (uint32_t node = 0; node < node_count; node++) {
        /* A call that was lost without a word is given up. */
        struct quorum_candidate *candidate = &admission->nodes[node];
        bool is_late = candidate->serial != 0 && event->now.ns >= candidate->sent_at.ns + ANSWER_NS;
        if (is_late) candidate->serial = 0;
    }
    note_unused(admission);
    for (uint32_t node = 0; node < node_count; node++) {
        advance(admission, node, event, out_update);
    }
    for (uint32_t node = 0; node < node_count; node++) {
        look_if_due(admission, node, event->now, out_update);
    }
    out_update->deadline = deadline_of(admission, event->now);
}

/* ------------------------------------------------------------------ questions */

enum quorum_standing
quorum_admission_standing(const struct quorum_admission *admission, uint32_t node)
{
    ASSERT(node < admission->options.node_count);
    return admission->nodes[node].standing;
}

int64_t quorum_admission_quarantine_ms(
    const struct quorum_admission *admission, uint32_t node, struct mono now)
{
    ASSERT(node < admission->options.node_count);
    const struct quorum_candidate *candidate = &admission->nodes[node];
    if (candidate->standing == QUORUM_VOTING) return 0;
    if (candidate->standing != QUORUM_WAITING && candidate->standing != QUORUM_ASKING) return -1;
    if (candidate->ripe_at.ns == never.ns) return -1;
    int64_t left_ns = candidate->ripe_at.ns - now.ns;
    return left_ns > 0 ? left_ns / NS_PER_MS + 1 : 0;
}

size_t quorum_admission_pass(
    const struct quorum_admission *admission,
    uint32_t node,
    char out_pass[static QUORUM_PASS_SIZE_MAX])
{
    ASSERT(node < admission->options.node_count);
    const struct quorum_candidate *candidate = &admission->nodes[node];
    if (candidate->standing == QUORUM_DOWN) return 0;
    memcpy(out_pass, candidate->run_id, candidate->run_id_size);
    out_pass[candidate->run_id_size] = ' ';
    memcpy(
        out_pass + candidate->run_id_size + 1,
        admission->options.config.data,
        admission->options.config.size);
    return candidate->run_id_size + 1 + admission->options.config.size;
}

struct quorum_texts quorum_admission_texts(const struct quorum_admission *admission, uint32_t node)
{
    ASSERT(node < admission->options.node_count);
    const struct quorum_candidate *candidate = &admission->nodes[node];
    return (struct quorum_texts){
        .pass = { candidate->pass, candidate->pass_size },
        .run_id = { candidate->run_id, candidate->run_id_size },
        .config = admission->options.config,
    };
}
