#include "quorum/renewal.h"

static const struct mono never = { INT64_MAX };

void quorum_renewal_init(
    struct quorum_renewal *renewal, const struct quorum_renewal_options *options)
{
    ASSERT(quorum_is_node_count(options->node_count));
    ASSERT(options->clock_error_ppm < 1000000);
    *renewal = (struct quorum_renewal){ .options = *options };
    renewal->round.node_count = options->node_count;
}

static void
finish(struct quorum_renewal *renewal, enum tenure_err err, struct quorum_update *update)
{
    renewal->is_done = true;
    renewal->is_renewed = err == TENURE_OK;
    renewal->result.err = err;
    renewal->result.token = renewal->options.token;
    update->is_done = true;
    update->result = renewal->result;
}

/* A majority still had it: the lease counts from before the first call. */
static void renewed(struct quorum_renewal *renewal, struct mono now, struct quorum_update *update)
{
    struct quorum_result *result = &renewal->result;
    result->sent_at = renewal->round.sent_at;
    result->remaining_ms = quorum_round_remaining_ms(&renewal->round);
    result->is_breaking = quorum_round_is_breaking(&renewal->round);
    result->valid_until =
        quorum_valid_until(result->sent_at, result->remaining_ms, renewal->options.clock_error_ppm);
    bool is_in_time = now.ns < result->valid_until.ns;
    finish(renewal, is_in_time ? TENURE_OK : TENURE_UNKNOWN, update);
}

/* No majority can have it.  Nobody else had it either where a majority has voted for nothing
 * newer. */
static void lost(struct quorum_renewal *renewal, struct quorum_update *update)
{
    const struct quorum_round *round = &renewal->round;
    uint32_t unclaimed = 0;
    for (uint32_t node = 0; node < round->node_count; node++) {
        const struct quorum_seat *seat = &round->seats[node];
        bool is_foreign = seat->stand == QUORUM_STAND_HELD && seat->token == 0;
        bool is_known = seat->stand == QUORUM_STAND_YES || seat->stand == QUORUM_STAND_GONE ||
                        seat->stand == QUORUM_STAND_HELD;
        unclaimed += is_known && !is_foreign && seat->voted <= renewal->options.token;
    }
    bool is_unclaimed = unclaimed >= quorum_majority(round->node_count);
    renewal->result.end = is_unclaimed ? QUORUM_END_EXPIRED_UNCLAIMED : QUORUM_END_EXPIRED_TAKEN;
    finish(renewal, TENURE_LOST, update);
}

static void decide(struct quorum_renewal *renewal, struct mono now, struct quorum_update *update)
{
    if (renewal->is_done) return;
    const struct quorum_round *round = &renewal->round;
    uint32_t majority = quorum_majority(round->node_count);
    uint32_t yes = quorum_round_count(round, QUORUM_STAND_YES);
    uint32_t asked = quorum_round_count(round, QUORUM_STAND_ASKED);
    uint32_t refused =
        quorum_round_count(round, QUORUM_STAND_GONE) + quorum_round_count(round, QUORUM_STAND_HELD);
    if (yes >= majority) {
        renewed(renewal, now, update);
    } else if (refused > round->node_count - majority) {
        lost(renewal, update);
    } else if (asked == 0) {
        bool is_mute = quorum_round_count(round, QUORUM_STAND_MUTE) >= majority;
        finish(renewal, is_mute ? TENURE_UNAVAILABLE : TENURE_UNKNOWN, update);
    }
}

static void heal(struct quorum_renewal *renewal, struct quorum_update *update)
{
    for (uint32_t node = 0; node < renewal->round.node_count; node++) {
        bool is_gone = renewal->round.seats[node].stand == QUORUM_STAND_GONE;
        if (!is_gone || renewal->is_healing[node]) continue;
        struct quorum_call *call = quorum_update_call(update, QUORUM_HEAL, node);
        call->token = renewal->options.token;
        call->ttl_ms = renewal->options.ttl_ms;
        call->serial = renewal->round.serial + 1; /* its answer is of no interest */
        renewal->is_healing[node] = true;
    }
}

static void start(struct quorum_renewal *renewal, struct mono now, struct quorum_update *update)
{
    struct quorum_round *round = &renewal->round;
    quorum_round_begin(round, now, renewal->options.paces, renewal->options.ttl_ms);
    enum quorum_verb verb = renewal->options.is_proclaiming ? QUORUM_PROCLAIM : QUORUM_RENEW;
    for (uint32_t node = 0; node < round->node_count; node++) {
        struct quorum_call *call = quorum_update_call(update, verb, node);
        call->token = renewal->options.token;
        call->ttl_ms = renewal->options.ttl_ms;
        call->serial = round->serial;
    }
}

void quorum_renewal_step(
    struct quorum_renewal *renewal,
    const struct quorum_event *event,
    struct quorum_update *out_update)
{
    struct quorum_round *round = &renewal->round;
    out_update->call_count = 0;
    out_update->is_done = false;
    switch (event->kind) {
    case QUORUM_START: start(renewal, event->now, out_update); break;
    case QUORUM_ANSWERED:
        (void)quorum_round_answer(round, event->node, event->serial, event->answer);
        break;
    case QUORUM_FAILED: quorum_round_fail(round, event->node, event->serial); break;
    case QUORUM_WOKEN:
    case QUORUM_CANCELED:
    case QUORUM_TIME: break;
    }
    quorum_round_expire(round, event->now);
    decide(renewal, event->now, out_update);
    if (renewal->is_renewed) heal(renewal, out_update);

    out_update->deadline = quorum_round_deadline(round);
    bool is_quiet = quorum_round_count(round, QUORUM_STAND_ASKED) == 0;
    out_update->is_over = renewal->is_done && (is_quiet || !renewal->is_renewed);
    if (out_update->is_over) out_update->deadline = never;
}
