#include "client/keeper.h"

#define SLACK_MS_MAX  100 /* of the inequality: rounding, and the time between look and use */
#define JUMP_US_MAX   INT64_C(1000000)
#define PPM           INT64_C(1000000)
#define RENEW_DIVISOR 3     /* of the ttl: between renewals */
#define RETRY_DIVISOR 10    /* of the ttl: between attempts that fail */
#define CONFIRM_MS    1000u /* between attempts to confirm, at most */

/* The allowed moves: bit n of [from] is set when a keeper may go to state n. */
static const unsigned moves[KEEPER_STATE_COUNT] = {
    [KEEPER_CONFIRMING] = 1u << KEEPER_HELD | 1u << KEEPER_LOST | 1u << KEEPER_ENDED,
    [KEEPER_HELD] = 1u << KEEPER_AT_RISK | 1u << KEEPER_LOST | 1u << KEEPER_ENDED,
    [KEEPER_AT_RISK] = 1u << KEEPER_HELD | 1u << KEEPER_LOST | 1u << KEEPER_ENDED,
    [KEEPER_LOST] = 1u << KEEPER_ENDED,
    [KEEPER_ENDED] = 0,
};

static const struct mono never = { INT64_MAX };
static const struct mono gone = { INT64_MIN };

void tni_keeper_init(struct keeper *keeper, const struct keeper_options *options)
{
    ASSERT(options->clock_error_ppm < PPM);
    *keeper = (struct keeper){ .options = *options,
                               .state = KEEPER_CONFIRMING,
                               .ttl_ms = options->ttl_ms,
                               .confirmed_at = gone,
                               .valid_until = gone,
                               .risk_at = never,
                               .renew_at = never,
                               .deadline = never };
}

/* ------------------------------------------------------------------ times */

static int64_t slack_ms(int64_t remaining_ms)
{
    int64_t slack = remaining_ms / 100;
    if (slack < 1) return 1;
    return slack < SLACK_MS_MAX ? slack : SLACK_MS_MAX;
}

struct mono
tni_keeper_valid_until(struct mono sent_at, int64_t remaining_ms, uint32_t clock_error_ppm)
{
    ASSERT(remaining_ms >= 0);
    int64_t believed_ns = remaining_ms * (PPM - (int64_t)clock_error_ppm) / PPM * NS_PER_MS;
    return (struct mono){ sent_at.ns + believed_ns - slack_ms(remaining_ms) * NS_PER_MS };
}

static struct mono later(struct mono start, uint32_t duration_ms)
{
    return (struct mono){ start.ns + (int64_t)duration_ms * NS_PER_MS };
}

static struct mono earliest(struct mono left, struct mono right)
{
    return left.ns < right.ns ? left : right;
}

/* What a third, or a tenth, is taken of. */
static uint32_t rhythm_ms(const struct keeper *keeper)
{
    return keeper->ttl_ms == 0 ? KEEPER_LOOK_MS * RENEW_DIVISOR : keeper->ttl_ms;
}

static uint32_t retry_ms(const struct keeper *keeper)
{
    uint32_t retry = rhythm_ms(keeper) / RETRY_DIVISOR;
    if (keeper->state == KEEPER_CONFIRMING && retry > CONFIRM_MS) return CONFIRM_MS;
    return retry;
}

/* ------------------------------------------------------------------ states */

static bool is_over(const struct keeper *keeper)
{
    return keeper->state == KEEPER_LOST || keeper->state == KEEPER_ENDED;
}

static void move(struct keeper *keeper, enum keeper_state state)
{
    ASSERT(moves[keeper->state] & 1u << state);
    keeper->state = state;
}

static void finish(struct keeper *keeper, enum keeper_state state, enum keeper_loss loss)
{
    move(keeper, state);
    if (state == KEEPER_LOST) keeper->loss = loss;
    keeper->valid_until = gone;
    keeper->risk_at = never;
    keeper->renew_at = never;
}

/* ------------------------------------------------------------------ events */

/* What an answer gives, from its request on; -1: no end. */
static int64_t given_ms(const struct keeper *keeper, const struct keeper_event *event)
{
    bool has_low = keeper->flight_count > 0 && keeper->ttl_ms_low > 0;
    bool is_low = event->remaining_ms < 0 || keeper->ttl_ms_low < event->remaining_ms;
    return has_low && is_low ? keeper->ttl_ms_low : event->remaining_ms;
}

/* The end of the hold as the answer to the request of `sent_at` puts it. */
static struct mono end_of(const struct keeper *keeper, const struct keeper_event *event)
{
    int64_t given = given_ms(keeper, event);
    if (given < 0) return never;
    return tni_keeper_valid_until(event->sent_at, given, keeper->options.clock_error_ppm);
}

/* A third of what there is: a whole ttl, or less when the same grant was asked for again or
 * somebody has set an end to it. */
static uint32_t third_ms(const struct keeper *keeper, const struct keeper_event *event)
{
    int64_t whole = rhythm_ms(keeper);
    int64_t given = given_ms(keeper, event);
    if (given >= 0 && given < whole) whole = given;
    int64_t third = whole / RENEW_DIVISOR;
    int64_t least = retry_ms(keeper) / RENEW_DIVISOR;
    return (uint32_t)(third > least ? third : least);
}

/* A confirmed request sets the whole rhythm anew, from when it was sent. */
static void accept(struct keeper *keeper, const struct keeper_event *event)
{
    keeper->confirmed_at = event->sent_at;
    keeper->valid_until = end_of(keeper, event);
    keeper->is_doubtful = false;
    keeper->ttl_ms = event->ttl_ms;
    keeper->is_breaking = event->is_breaking;

    uint32_t third = third_ms(keeper, event);
    bool has_end = keeper->valid_until.ns != never.ns;
    keeper->risk_at = has_end ? later(event->sent_at, 2 * third) : never;
    keeper->renew_at = keeper->options.is_passive ? never : later(event->sent_at, third);
}

/* Was the grant's request sent so recently that its answer can be believed as it is? */
static bool is_fresh(const struct keeper *keeper, const struct keeper_event *event)
{
    if (event->remaining_ms < 0) return true;
    struct mono end = end_of(keeper, event);
    struct mono stale_at = later(event->sent_at, rhythm_ms(keeper) / RENEW_DIVISOR);
    return event->now.ns < end.ns && event->now.ns < stale_at.ns;
}

static void on_granted(struct keeper *keeper, const struct keeper_event *event)
{
    ASSERT(keeper->state == KEEPER_CONFIRMING && keeper->confirmed_at.ns == gone.ns);
    keeper->ttl_ms = event->ttl_ms;
    if (is_fresh(keeper, event)) {
        move(keeper, KEEPER_HELD);
        accept(keeper, event);
    } else {
        keeper->renew_at = event->now;
    }
}

static void land(struct keeper *keeper)
{
    if (keeper->flight_count > 0) keeper->flight_count--;
}

static void on_renewed(struct keeper *keeper, const struct keeper_event *event)
{
    bool is_news = event->sent_at.ns >= keeper->confirmed_at.ns;
    bool is_in_time = end_of(keeper, event).ns > event->now.ns;
    if (is_news && is_in_time) {
        accept(keeper, event);
        if (keeper->state != KEEPER_HELD) move(keeper, KEEPER_HELD);
    } else if (is_news && keeper->state == KEEPER_CONFIRMING) {
        keeper->renew_at = event->now;
    }
    land(keeper);
}

static void on_failed(struct keeper *keeper, const struct keeper_event *event)
{
    land(keeper);
    if (keeper->options.is_passive && keeper->state != KEEPER_CONFIRMING) return;
    /* Nothing to do when an older request failed and a newer one is confirmed. */
    if (event->sent_at.ns < keeper->confirmed_at.ns) return;
    keeper->renew_at = earliest(keeper->renew_at, later(event->now, retry_ms(keeper)));
}

/* The wall clock has jumped against CLOCK_BOOTTIME, or nobody looked when it was time to: the
 * process stood still, and perhaps its clocks did too. */
static void notice_gap(struct keeper *keeper, const struct keeper_event *event)
{
    int64_t offset_us = event->wall.us - event->now.ns / 1000;
    int64_t jump_us = keeper->has_offset ? offset_us - keeper->wall_offset_us : 0;
    keeper->wall_offset_us = offset_us;
    keeper->has_offset = true;

    struct mono overdue_at = never;
    if (keeper->deadline.ns != never.ns) {
        overdue_at = later(keeper->deadline, rhythm_ms(keeper) / RENEW_DIVISOR);
    }
    bool is_jump = jump_us > JUMP_US_MAX || jump_us < -JUMP_US_MAX;
    if (!is_jump && event->now.ns < overdue_at.ns) return;
    if (keeper->state != KEEPER_HELD && keeper->state != KEEPER_AT_RISK) return;
    keeper->is_doubtful = true;
    keeper->renew_at = event->now;
}

/* ------------------------------------------------------------------ the step */

/* Everything that time alone brings about; it comes before the event itself, so that an answer that
 * was read too late saves nothing. */
static void pass_time(struct keeper *keeper, const struct keeper_event *event)
{
    if (is_over(keeper)) return;
    notice_gap(keeper, event);
    bool is_held = keeper->state == KEEPER_HELD || keeper->state == KEEPER_AT_RISK;
    if (is_held && event->now.ns >= keeper->valid_until.ns) {
        finish(keeper, KEEPER_LOST, keeper->is_breaking ? KEEPER_LOSS_BROKEN : KEEPER_LOSS_EXPIRED);
    }
}

static void handle(struct keeper *keeper, const struct keeper_event *event)
{
    switch (event->kind) {
    case KEEPER_GRANTED: on_granted(keeper, event); break;
    case KEEPER_TIME: break;
    case KEEPER_RENEWED: on_renewed(keeper, event); break;
    case KEEPER_REFUSED:
        land(keeper);
        finish(keeper, KEEPER_LOST, event->loss);
        break;
    case KEEPER_FAILED: on_failed(keeper, event); break;
    case KEEPER_HINT: keeper->renew_at = event->now; break;
    case KEEPER_ASKED:
        keeper->ttl_ms = event->ttl_ms;
        keeper->renew_at = event->now;
        break;
    case KEEPER_RELEASED: finish(keeper, KEEPER_ENDED, KEEPER_LOSS_NONE); break;
    case KEEPER_CLOSED: finish(keeper, KEEPER_LOST, KEEPER_LOSS_CLOSED); break;
    }
}

static void assess_risk(struct keeper *keeper, struct mono now)
{
    bool is_risky = keeper->is_doubtful || now.ns >= keeper->risk_at.ns;
    if (keeper->state == KEEPER_HELD && is_risky) move(keeper, KEEPER_AT_RISK);
}

static void send_if_due(struct keeper *keeper, struct mono now, struct keeper_update *update)
{
    if (now.ns < keeper->renew_at.ns) return;
    struct mono retry_at = later(now, retry_ms(keeper));
    if (keeper->options.is_passive && keeper->state != KEEPER_CONFIRMING && !keeper->is_doubtful) {
        retry_at = never;
    }
    keeper->renew_at = retry_at;
    if (keeper->flight_count == KEEPER_FLIGHT_COUNT_MAX) return;
    bool is_lower = keeper->ttl_ms > 0 && keeper->ttl_ms < keeper->ttl_ms_low;
    if (keeper->flight_count == 0 || is_lower || keeper->ttl_ms_low == 0) {
        keeper->ttl_ms_low = keeper->ttl_ms;
    }
    keeper->flight_count++;
    update->is_renewing = true;
    update->sent_at = now;
    update->ttl_ms = keeper->ttl_ms;
}

void tni_keeper_step(
    struct keeper *keeper, const struct keeper_event *event, struct keeper_update *out_update)
{
    enum keeper_state before = keeper->state;
    pass_time(keeper, event);
    bool is_end = event->kind == KEEPER_RELEASED && keeper->state == KEEPER_LOST;
    if (!is_over(keeper) || is_end) handle(keeper, event);
    assess_risk(keeper, event->now);

    *out_update = (struct keeper_update){ 0 };
    send_if_due(keeper, event->now, out_update);
    keeper->deadline = earliest(keeper->renew_at, keeper->valid_until);
    if (keeper->state == KEEPER_HELD) {
        keeper->deadline = earliest(keeper->deadline, keeper->risk_at);
    }
    if (is_over(keeper)) keeper->deadline = never;
    if (keeper->state == KEEPER_CONFIRMING) keeper->deadline = keeper->renew_at;
    out_update->has_changed = keeper->state != before;
    out_update->is_confirmed = before == KEEPER_CONFIRMING && keeper->state == KEEPER_HELD;
    out_update->state = keeper->state;
    out_update->loss = keeper->loss;
    out_update->valid_until = keeper->valid_until;
    out_update->deadline = keeper->deadline;
}
