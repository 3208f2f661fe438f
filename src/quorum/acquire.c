#include "quorum/acquire.h"

/* Rounds in a row for a higher token.  More than one is needed only while others vote, too. */
#define STALE_COUNT_MAX 8u
/* Who does not want to wait contends for so long, or half its ttl. */
#define CONTEND_NS (400 * NS_PER_MS)
/* Too few nodes: pauses between rounds. */
#define PAUSE_NS_FIRST (20 * NS_PER_MS)
#define PAUSE_NS_MAX   (1000 * NS_PER_MS)
/* A program that is not Tenure wakes nobody when it lets go: it is looked for as such programs look
 * for each other (node-redlock: every 100 to 300 ms). */
#define FOREIGN_MS 200
/* Waiters wake spread over this much behind the end of a lease. */
#define SPREAD_NS (2 * NS_PER_MS)

/* Bit n: may go to phase n. */
static const unsigned moves[QUORUM_PHASE_COUNT] = {
    [QUORUM_PHASE_ASKING] =
        1u << QUORUM_PHASE_WAITING | 1u << QUORUM_PHASE_LEAVING | 1u << QUORUM_PHASE_OVER,
    [QUORUM_PHASE_WAITING] =
        1u << QUORUM_PHASE_ASKING | 1u << QUORUM_PHASE_LEAVING | 1u << QUORUM_PHASE_OVER,
    [QUORUM_PHASE_LEAVING] = 1u << QUORUM_PHASE_OVER,
    [QUORUM_PHASE_OVER] = 0,
};

static const struct mono never = { INT64_MAX };

static void move(struct quorum_acquire *acquire, enum quorum_phase phase)
{
    ASSERT(moves[acquire->phase] & 1u << phase);
    acquire->phase = phase;
}

enum tenure_err
quorum_acquire_init(struct quorum_acquire *acquire, const struct quorum_acquire_options *options)
{
    ASSERT(options->clock_error_ppm < 1000000);
    bool is_good = quorum_is_node_count(options->node_count) &&
                   options->ttl_ms >= LIMIT_TTL_MS_MIN && options->ttl_ms <= LIMIT_TTL_MS_MAX;
    if (!is_good) return TENURE_INVALID;
    *acquire = (struct quorum_acquire){ .options = *options,
                                        .token_known = options->token_known,
                                        .again_at = never };
    acquire->round.node_count = options->node_count;
    return TENURE_OK;
}

static void learn(struct quorum_acquire *acquire, uint64_t token)
{
    if (token > acquire->token_known && token < TOKEN_MAX) acquire->token_known = token;
}

/* ------------------------------------------------------------------ a round */

static void ask(struct quorum_acquire *acquire, uint32_t node, struct quorum_update *update)
{
    struct quorum_call *call = quorum_update_call(update, QUORUM_VOTE, node);
    call->token = acquire->token;
    call->ttl_ms = acquire->options.ttl_ms;
    call->serial = acquire->round.serial;
    call->ticket = QUORUM_TICKET_NONE;
    if (acquire->is_waiting_asked) {
        call->ticket = acquire->is_ticket_settled ? acquire->ticket : QUORUM_TICKET_ASK;
    }
}

static void ask_all(
    struct quorum_acquire *acquire, const struct quorum_event *event, struct quorum_update *update)
{
    struct quorum_round *round = &acquire->round;
    uint64_t wall = event->wall.us > 0 ? (uint64_t)event->wall.us : 0;
    acquire->token = acquire->token_known + 1 > wall ? acquire->token_known + 1 : wall;
    if (acquire->token > TOKEN_MAX) acquire->token = TOKEN_MAX;
    learn(acquire, acquire->token);
    quorum_round_begin(round, event->now, acquire->options.paces, acquire->options.ttl_ms);
    acquire->round_count++;
    acquire->is_called = acquire->is_woken;
    acquire->is_woken = false;
    for (uint32_t node = 0; node < round->node_count; node++) {
        ask(acquire, node, update);
    }
}

/* A node that refused us has become free: ask it again, in the same round. */
static void ask_again(struct quorum_acquire *acquire, uint32_t node, struct quorum_update *update)
{
    ASSERT(node < acquire->round.node_count);
    struct quorum_seat *seat = &acquire->round.seats[node];
    bool is_refused = seat->stand == QUORUM_STAND_HELD || seat->stand == QUORUM_STAND_QUEUED;
    if (!is_refused) return;
    seat->stand = QUORUM_STAND_ASKED;
    ask(acquire, node, update);
}

/* The numbers that nodes gave; a vote without one is the number of its token. */
static void settle_ticket(struct quorum_acquire *acquire)
{
    if (acquire->is_ticket_settled || !acquire->is_waiting_asked) return;
    uint32_t count = 0;
    for (uint32_t node = 0; node < acquire->round.node_count; node++) {
        const struct quorum_seat *seat = &acquire->round.seats[node];
        bool is_yes = seat->stand == QUORUM_STAND_YES;
        if (is_yes && acquire->token > acquire->ticket) acquire->ticket = acquire->token;
        count += is_yes || seat->ticket != 0;
    }
    acquire->is_ticket_settled = count >= quorum_majority(acquire->options.node_count);
}

/* May a node have voted in this round, or have a ticket? */
static void note_traces(struct quorum_acquire *acquire)
{
    uint32_t open = quorum_round_count(&acquire->round, QUORUM_STAND_YES) +
                    quorum_round_count(&acquire->round, QUORUM_STAND_SILENT) +
                    quorum_round_count(&acquire->round, QUORUM_STAND_ASKED);
    if (open > 0 || acquire->is_waiting_asked) acquire->is_traced = true;
}

/* ------------------------------------------------------------------ the end */

static void
finish(struct quorum_acquire *acquire, enum tenure_err err, struct quorum_update *update)
{
    acquire->result.err = err;
    update->is_done = true;
    update->result = acquire->result;
}

static void leave(
    struct quorum_acquire *acquire,
    enum tenure_err err,
    const struct quorum_event *event,
    struct quorum_update *update)
{
    finish(acquire, err, update);
    note_traces(acquire);
    if (!acquire->is_traced) {
        move(acquire, QUORUM_PHASE_OVER);
        return;
    }
    move(acquire, QUORUM_PHASE_LEAVING);
    const struct quorum_release_options options = {
        .node_count = acquire->options.node_count,
        .verb = QUORUM_ABANDON,
        .token = acquire->token,
        .ttl_ms = acquire->options.ttl_ms,
        .serial = acquire->round.serial + 1,
        .paces = acquire->options.paces,
        .answer_until = never,
    };
    quorum_release_init(&acquire->leaving, &options);
    struct quorum_event start = *event;
    start.kind = QUORUM_START;
    struct quorum_update parting;
    quorum_release_step(&acquire->leaving, &start, &parting);
    /* What was not sent yet is not sent any more. */
    memcpy(update->calls, parting.calls, parting.call_count * sizeof parting.calls[0]);
    update->call_count = parting.call_count;
    update->deadline = parting.deadline;
}

/* ------------------------------------------------------------------ judging a round */

/* A majority has said yes.  False: too late to be of use. */
static bool grant(struct quorum_acquire *acquire, struct mono now, struct quorum_update *update)
{
    struct quorum_result *result = &acquire->result;
    struct mono sent_at = acquire->round.sent_at;
    int64_t remaining_ms = quorum_round_remaining_ms(&acquire->round);
    struct mono valid_until =
        quorum_valid_until(sent_at, remaining_ms, acquire->options.clock_error_ppm);
    if (now.ns >= valid_until.ns) return false;
    *result = (struct quorum_result){ .token = acquire->token,
                                      .sent_at = sent_at,
                                      .remaining_ms = remaining_ms,
                                      .valid_until = valid_until };
    finish(acquire, TENURE_OK, update);
    move(acquire, QUORUM_PHASE_OVER);
    return true;
}

/* What the round has told about who is in the way. */
static void note_obstacle(struct quorum_acquire *acquire)
{
    uint32_t count = 0;
    uint32_t node = quorum_round_holder(&acquire->round, &count);
    acquire->result.remaining_ms = quorum_round_free_ms(&acquire->round);
    acquire->result.holder_token =
        node < acquire->round.node_count ? acquire->round.seats[node].token : 0;
    if (node == acquire->round.node_count) acquire->result.holder_size = 0;
}

/* Take back votes that were given, and those that may have been where no answer came.  The same
 * call brings our place in the line to nodes that have another one, or none.  Nodes that have not
 * answered yet get it when they have, if it is needed. */
static void yield(struct quorum_acquire *acquire, struct quorum_update *update)
{
    struct quorum_round *round = &acquire->round;
    for (uint32_t node = 0; node < round->node_count; node++) {
        struct quorum_seat *seat = &round->seats[node];
        if (seat->is_taken_back || seat->stand == QUORUM_STAND_ASKED) continue;
        if (seat->stand == QUORUM_STAND_MUTE) continue;
        bool may_have_voted = seat->stand == QUORUM_STAND_YES || seat->stand == QUORUM_STAND_SILENT;
        bool is_misplaced =
            seat->ticket == 0 || (acquire->is_ticket_settled && seat->ticket != acquire->ticket);
        if (!may_have_voted && !is_misplaced) continue;
        seat->is_taken_back = true;
        struct quorum_call *call = quorum_update_call(update, QUORUM_YIELD, node);
        call->token = acquire->token;
        call->ticket = acquire->is_ticket_settled ? acquire->ticket : QUORUM_TICKET_ASK;
        call->serial = 0; /* of no round */
    }
}

/* When to try again: when it may be free, when the ticket must be refreshed; sooner when woken. */
static struct mono next_try(struct quorum_acquire *acquire, const struct quorum_event *event)
{
    struct mono refresh_at = quorum_later(event->now, (int64_t)QUORUM_TICKET_MS * NS_PER_MS / 3);
    if (!acquire->is_answered) {
        int64_t limit_ns = PAUSE_NS_FIRST << (acquire->fail_count < 6 ? acquire->fail_count : 6);
        if (limit_ns > PAUSE_NS_MAX) limit_ns = PAUSE_NS_MAX;
        int64_t pause_ns = limit_ns / 2 + (int64_t)(event->random % (uint64_t)(limit_ns / 2));
        return quorum_earliest(refresh_at, quorum_later(event->now, pause_ns));
    }
    if (acquire->is_woken) return event->now;
    int64_t free_ms = quorum_round_free_ms(&acquire->round);
    if (acquire->result.holder_size > 0 && acquire->result.holder_token == 0) {
        int64_t pause_ms = FOREIGN_MS / 2 + (int64_t)(event->random % FOREIGN_MS);
        if (free_ms < 0 || free_ms > pause_ms) free_ms = pause_ms;
    }
    if (free_ms < 0) return refresh_at;
    int64_t spread_ns = (int64_t)(event->random % (uint64_t)SPREAD_NS);
    struct mono free_at = quorum_later(event->now, (free_ms + 1) * NS_PER_MS + spread_ns);
    return quorum_earliest(refresh_at, free_at);
}

/* Nobody has a majority, and nobody is ahead: a split vote, which a second round may decide. */
static bool is_split(const struct quorum_acquire *acquire)
{
    uint32_t count = 0;
    (void)quorum_round_holder(&acquire->round, &count);
    bool is_queued = quorum_round_count(&acquire->round, QUORUM_STAND_QUEUED) > 0;
    return acquire->is_answered && count < quorum_majority(acquire->options.node_count) &&
           (!is_queued || acquire->is_waiting_asked);
}

/* Of a long wait, one round that too few nodes answered in time is no outage. */
static enum tenure_err failure(const struct quorum_acquire *acquire)
{
    bool is_outage = acquire->is_try || !acquire->was_answered || acquire->fail_count > 1;
    if (!acquire->is_answered && is_outage) return TENURE_UNAVAILABLE;
    return acquire->is_try ? TENURE_HELD : TENURE_TIMEOUT;
}

static void fail_round(
    struct quorum_acquire *acquire, const struct quorum_event *event, struct quorum_update *update)
{
    const struct quorum_round *round = &acquire->round;
    uint32_t unheard = quorum_round_count(round, QUORUM_STAND_SILENT) +
                       quorum_round_count(round, QUORUM_STAND_ASKED) +
                       quorum_round_count(round, QUORUM_STAND_MUTE);
    acquire->is_answered =
        round->node_count - unheard >= quorum_majority(acquire->options.node_count);
    acquire->was_answered = acquire->was_answered || acquire->is_answered;
    acquire->fail_count = acquire->is_answered ? 0 : acquire->fail_count + 1;
    acquire->stale_count = 0;
    note_obstacle(acquire);

    bool may_wait = event->now.ns < acquire->options.wait_until.ns;
    bool may_contend = event->now.ns < acquire->contend_until.ns && is_split(acquire);
    if (!may_wait && !may_contend) {
        leave(acquire, failure(acquire), event, update);
        return;
    }
    note_traces(acquire);
    acquire->is_waiting_asked = true;
    settle_ticket(acquire);
    move(acquire, QUORUM_PHASE_WAITING);
    acquire->again_at = next_try(acquire, event);
}

/* Nodes that are not free yet, but may be in a moment. */
static uint32_t count_hopeful(const struct quorum_acquire *acquire, struct mono now)
{
    if (!acquire->is_called && !acquire->is_woken) return 0;
    uint32_t count = 0;
    for (uint32_t node = 0; node < acquire->round.node_count; node++) {
        const struct quorum_seat *seat = &acquire->round.seats[node];
        bool is_refused = seat->stand == QUORUM_STAND_HELD || seat->stand == QUORUM_STAND_QUEUED;
        count += is_refused && now.ns < seat->until.ns;
    }
    return count;
}

static void judge(
    struct quorum_acquire *acquire, const struct quorum_event *event, struct quorum_update *update)
{
    const struct quorum_round *round = &acquire->round;
    uint32_t majority = quorum_majority(acquire->options.node_count);
    uint32_t yes = quorum_round_count(round, QUORUM_STAND_YES);
    uint32_t asked = quorum_round_count(round, QUORUM_STAND_ASKED);
    uint32_t stale = quorum_round_count(round, QUORUM_STAND_STALE);
    if (yes >= majority) {
        if (!grant(acquire, event->now, update)) fail_round(acquire, event, update);
        return;
    }
    if (yes + asked + count_hopeful(acquire, event->now) >= majority) return;
    bool may_be_enough = yes + asked + stale >= majority;
    if (stale > 0 && may_be_enough && acquire->stale_count < STALE_COUNT_MAX) {
        acquire->stale_count++;
        settle_ticket(acquire);
        ask_all(acquire, event, update);
        return;
    }
    fail_round(acquire, event, update);
}

/* ------------------------------------------------------------------ events */

/* An answer to a yield: a split in which nobody was in line yet is decided by asking again.  Where
 * somebody was, a wake-up comes. */
static void note_free(struct quorum_acquire *acquire, const struct quorum_event *event)
{
    struct quorum_round *round = &acquire->round;
    bool is_free = event->answer->kind == QUORUM_DELETED || event->answer->kind == QUORUM_GONE;
    if (acquire->phase != QUORUM_PHASE_WAITING || event->serial != 0 || !is_free) return;
    round->seats[event->node].is_free = true;
    uint32_t count = 0;
    for (uint32_t node = 0; node < round->node_count; node++) {
        count += round->seats[node].is_free;
    }
    bool is_majority = count >= quorum_majority(round->node_count);
    bool is_queued = quorum_round_count(round, QUORUM_STAND_QUEUED) > 0;
    /* A round that too few answered in time is paused after, whatever comes late. */
    if (acquire->is_answered && is_majority && !is_queued) acquire->again_at = event->now;
}

static void on_answer(struct quorum_acquire *acquire, const struct quorum_event *event)
{
    const struct quorum_answer *answer = event->answer;
    learn(acquire, answer->fence);
    learn(acquire, answer->token);
    if (acquire->is_waiting_asked && !acquire->is_ticket_settled &&
        answer->ticket > acquire->ticket && answer->ticket < TOKEN_MAX)
    {
        acquire->ticket = answer->ticket;
    }
    if (!quorum_round_answer(&acquire->round, event->node, event->serial, answer)) {
        note_free(acquire, event);
        return;
    }
    if (answer->kind != QUORUM_HELD) return;
    size_t size = answer->owner.size;
    if (size > sizeof acquire->result.holder) size = sizeof acquire->result.holder;
    memcpy(acquire->result.holder, answer->owner.data, size);
    acquire->result.holder_size = size;
}

static void ask_if_due(
    struct quorum_acquire *acquire, const struct quorum_event *event, struct quorum_update *update)
{
    if (event->now.ns >= acquire->contend_until.ns) {
        leave(acquire, failure(acquire), event, update);
    } else if (event->now.ns >= acquire->again_at.ns) {
        move(acquire, QUORUM_PHASE_ASKING);
        ask_all(acquire, event, update);
    }
}

static void
part(struct quorum_acquire *acquire, const struct quorum_event *event, struct quorum_update *update)
{
    quorum_release_step(&acquire->leaving, event, update);
    update->is_done = false;
    if (update->is_over) move(acquire, QUORUM_PHASE_OVER);
}

static void start(
    struct quorum_acquire *acquire, const struct quorum_event *event, struct quorum_update *update)
{
    int64_t half_ns = (int64_t)acquire->options.ttl_ms * NS_PER_MS / 2;
    acquire->is_try = event->now.ns >= acquire->options.wait_until.ns;
    acquire->is_waiting_asked = !acquire->is_try;
    acquire->contend_until = acquire->options.wait_until;
    if (acquire->is_try) {
        acquire->contend_until =
            quorum_later(event->now, half_ns < CONTEND_NS ? half_ns : CONTEND_NS);
    }
    ask_all(acquire, event, update);
}

static struct mono deadline_of(const struct quorum_acquire *acquire, struct mono now)
{
    if (acquire->phase == QUORUM_PHASE_ASKING) {
        struct mono deadline = quorum_round_deadline(&acquire->round);
        for (uint32_t node = 0; node < acquire->round.node_count; node++) {
            /* Hopeful until then. */
            struct mono until = acquire->round.seats[node].until;
            bool is_ahead = until.ns > acquire->round.sent_at.ns && until.ns > now.ns;
            if (is_ahead) deadline = quorum_earliest(deadline, until);
        }
        return deadline;
    }
    if (acquire->phase != QUORUM_PHASE_WAITING) return never;
    struct mono deadline = quorum_earliest(acquire->again_at, acquire->contend_until);
    return quorum_earliest(deadline, quorum_round_deadline(&acquire->round));
}

void quorum_acquire_step(
    struct quorum_acquire *acquire,
    const struct quorum_event *event,
    struct quorum_update *out_update)
{
    out_update->call_count = 0;
    out_update->is_done = false;
    out_update->is_over = acquire->phase == QUORUM_PHASE_OVER;
    out_update->deadline = never;
    if (acquire->phase == QUORUM_PHASE_OVER) return;
    if (acquire->phase == QUORUM_PHASE_LEAVING) {
        part(acquire, event, out_update);
        return;
    }
    switch (event->kind) {
    case QUORUM_START: start(acquire, event, out_update); break;
    case QUORUM_ANSWERED: on_answer(acquire, event); break;
    case QUORUM_FAILED: quorum_round_fail(&acquire->round, event->node, event->serial); break;
    case QUORUM_WOKEN:
        learn(acquire, event->fence);
        acquire->is_woken = true;
        /* Where too few nodes answer, one more free node is no reason to hurry. */
        if (acquire->is_answered) acquire->again_at = event->now;
        if (acquire->phase == QUORUM_PHASE_ASKING) ask_again(acquire, event->node, out_update);
        break;
    case QUORUM_CANCELED: leave(acquire, TENURE_CANCELED, event, out_update); break;
    case QUORUM_TIME: break;
    }
    quorum_round_expire(&acquire->round, event->now);
    bool is_asking = acquire->phase == QUORUM_PHASE_ASKING;
    if (is_asking && event->kind != QUORUM_START) judge(acquire, event, out_update);
    /* Not in the step that began to wait: that one's calls have gone out first. */
    bool was_waiting = acquire->phase == QUORUM_PHASE_WAITING && !is_asking;
    if (was_waiting) ask_if_due(acquire, event, out_update);
    if (acquire->phase == QUORUM_PHASE_WAITING) yield(acquire, out_update);
    out_update->is_over = acquire->phase == QUORUM_PHASE_OVER;
    if (acquire->phase != QUORUM_PHASE_LEAVING) {
        out_update->deadline = deadline_of(acquire, event->now);
    }
}
