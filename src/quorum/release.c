#include "quorum/release.h"

#define AGAIN_NS_FIRST (50 * NS_PER_MS)
#define AGAIN_NS_MAX   (1000 * NS_PER_MS)

static const struct mono never = { INT64_MAX };

void quorum_release_init(
    struct quorum_release *release, const struct quorum_release_options *options)
{
    ASSERT(quorum_is_node_count(options->node_count));
    *release = (struct quorum_release){ .options = *options };
}

/* Doubled each time, and spread so that many who lost the same node do not come back together. */
static int64_t pause_ns(uint32_t tries, uint64_t random)
{
    int64_t limit_ns = AGAIN_NS_FIRST << (tries < 5 ? tries : 5);
    if (limit_ns > AGAIN_NS_MAX) limit_ns = AGAIN_NS_MAX;
    return limit_ns / 2 + (int64_t)(random % (uint64_t)(limit_ns / 2));
}

static void
ask(struct quorum_release *release,
    uint32_t node,
    const struct quorum_event *event,
    struct quorum_update *update)
{
    struct quorum_leaver *leaver = &release->nodes[node];
    struct quorum_call *call = quorum_update_call(update, release->options.verb, node);
    call->token = release->options.token;
    call->serial = release->options.serial;
    if (call->verb == QUORUM_BREAK) call->life_ms = release->options.grace_ms;
    int64_t wait_ns = pace_timeout_ns(&release->options.paces[node], release->options.ttl_ms);
    int64_t least_ns = pause_ns(leaver->tries, event->random >> node);
    leaver->again_at = quorum_later(event->now, wait_ns > least_ns ? wait_ns : least_ns);
    leaver->tries++;
}

static void note(struct quorum_release *release, const struct quorum_event *event)
{
    ASSERT(event->node < release->options.node_count);
    struct quorum_leaver *leaver = &release->nodes[event->node];
    const struct quorum_answer *answer = event->answer;
    if (leaver->is_told) return;
    bool is_answer = answer->kind == QUORUM_DELETED || answer->kind == QUORUM_GONE ||
                     answer->kind == QUORUM_HELD;
    if (!is_answer) return; /* an error of that node: again later */
    leaver->is_told = true;
    leaver->again_at = never;
    leaver->is_deleted = answer->kind == QUORUM_DELETED;
    leaver->is_newer_voted = answer->voted > release->options.token;
}

struct tally {
    uint32_t told;
    uint32_t deleted;
    uint32_t unclaimed; /* nothing newer voted for */
};

static struct tally count(const struct quorum_release *release)
{
    struct tally tally = { 0 };
    for (uint32_t node = 0; node < release->options.node_count; node++) {
        const struct quorum_leaver *leaver = &release->nodes[node];
        if (!leaver->is_told) continue;
        tally.told++;
        tally.deleted += leaver->is_deleted;
        tally.unclaimed += !leaver->is_newer_voted;
    }
    return tally;
}

static void finish(
    struct quorum_release *release,
    enum tenure_err err,
    enum quorum_end end,
    struct quorum_update *update)
{
    release->is_done = true;
    release->result.err = err;
    release->result.end = end;
    release->result.token = release->options.token;
    update->is_done = true;
    update->result = release->result;
}

static void decide(struct quorum_release *release, struct mono now, struct quorum_update *update)
{
    if (release->is_done) return;
    uint32_t majority = quorum_majority(release->options.node_count);
    struct tally tally = count(release);
    uint32_t open = release->options.node_count - tally.told;
    bool is_late = now.ns >= release->options.answer_until.ns || now.ns >= release->over_at.ns;
    if (tally.deleted >= majority) {
        finish(release, TENURE_OK, QUORUM_END_RELEASED, update);
    } else if (tally.deleted + open < majority && tally.unclaimed >= majority) {
        finish(release, TENURE_LOST, QUORUM_END_EXPIRED_UNCLAIMED, update);
    } else if (open == 0 || (is_late && tally.deleted + open < majority)) {
        finish(release, TENURE_LOST, QUORUM_END_EXPIRED_TAKEN, update);
    } else if (is_late) {
        finish(release, TENURE_UNKNOWN, QUORUM_END_NONE, update);
    }
}

static void start(
    struct quorum_release *release, const struct quorum_event *event, struct quorum_update *update)
{
    /* A vote may have been taken as late as this release arrives; after a ttl it is gone. */
    int64_t life_ns = (int64_t)release->options.ttl_ms * NS_PER_MS;
    release->over_at = quorum_later(event->now, life_ns + life_ns / 50 + NS_PER_MS);
    for (uint32_t node = 0; node < release->options.node_count; node++) {
        ask(release, node, event, update);
    }
}

static void ask_again(
    struct quorum_release *release, const struct quorum_event *event, struct quorum_update *update)
{
    for (uint32_t node = 0; node < release->options.node_count; node++) {
        struct quorum_leaver *leaver = &release->nodes[node];
        if (leaver->is_told || event->now.ns < leaver->again_at.ns) continue;
        ask(release, node, event, update);
    }
}

void quorum_release_step(
    struct quorum_release *release,
    const struct quorum_event *event,
    struct quorum_update *out_update)
{
    ASSERT(!release->is_over);
    out_update->call_count = 0;
    out_update->is_done = false;
    switch (event->kind) {
    case QUORUM_START: start(release, event, out_update); break;
    case QUORUM_ANSWERED:
        if (event->serial == release->options.serial) note(release, event);
        break;
    case QUORUM_FAILED:
    case QUORUM_WOKEN:
    case QUORUM_CANCELED:
    case QUORUM_TIME: break;
    }
    decide(release, event->now, out_update);
    struct tally tally = count(release);
    bool is_time_up = event->now.ns >= release->over_at.ns;
    release->is_over = tally.told == release->options.node_count || is_time_up;
    if (!release->is_over && event->kind != QUORUM_START) ask_again(release, event, out_update);

    out_update->is_over = release->is_over;
    out_update->deadline = never;
    if (release->is_over) return;
    out_update->deadline = release->over_at;
    if (!release->is_done) {
        out_update->deadline = quorum_earliest(out_update->deadline, release->options.answer_until);
    }
    for (uint32_t node = 0; node < release->options.node_count; node++) {
        if (release->nodes[node].is_told) continue;
        out_update->deadline = quorum_earliest(out_update->deadline, release->nodes[node].again_at);
    }
}
