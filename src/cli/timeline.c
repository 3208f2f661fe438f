#include "cli/timeline.h"

/* How soon a KILL is repeated: a process may have been born while it was sent. */
#define REPEAT_NS (10 * INT64_C(1000000))

const char *stop_cause_name(enum stop_cause cause)
{
    switch (cause) {
    case STOP_NONE: return "none";
    case STOP_LEASE: return "lease";
    case STOP_MAX_HOLD: return "max_hold";
    case STOP_RUNNER: return "runner";
    case STOP_ORDER: return "order";
    }
    return "?";
}

void timeline_init(struct timeline *timeline, const struct timeline_policy *policy)
{
    *timeline = (struct timeline){ .policy = *policy, .kill_at_ns = TIME_NEVER };
}

/* `at` less `span`, where TIME_NEVER stays what it is and the distant past does not wrap. */
static int64_t before(int64_t at_ns, int64_t span_ns)
{
    if (at_ns == TIME_NEVER) return TIME_NEVER;
    return at_ns < INT64_MIN + span_ns ? INT64_MIN : at_ns - span_ns;
}

static int64_t earlier(int64_t left_ns, int64_t right_ns)
{
    return left_ns < right_ns ? left_ns : right_ns;
}

/* Why the command must stop now: what takes the lock away comes first. */
static enum stop_cause
find_cause(const struct timeline_input *input, const struct timeline_policy *policy, int64_t end_ns)
{
    if (policy->is_telling && input->now_ns >= before(end_ns, policy->grace_ns)) return STOP_LEASE;
    if (policy->is_killing && input->now_ns >= end_ns) return STOP_LEASE;
    if (policy->is_telling && input->is_runner_gone) return STOP_RUNNER;
    if (input->is_ordered) return STOP_ORDER;
    if (input->now_ns >= input->max_hold_at_ns) return STOP_MAX_HOLD;
    return STOP_NONE;
}

/* Somebody else may get in: the lock, not the command, is what the stop is about. */
static bool is_loss(enum stop_cause cause)
{
    return cause == STOP_LEASE || cause == STOP_RUNNER;
}

static bool note_cause(struct timeline *timeline, enum stop_cause cause, int64_t now_ns)
{
    /* A loss that comes while the command is being stopped is what counts in the end. */
    bool is_graver = is_loss(cause) && !is_loss(timeline->cause);
    if (cause == STOP_NONE || (timeline->is_told && !is_graver)) return false;
    bool is_first = !timeline->is_told;
    timeline->is_told = true;
    timeline->cause = cause;
    /* A --max-hold is for the command, whatever the loss of a lock would do to it. */
    if (is_first && (timeline->policy.is_killing || cause == STOP_MAX_HOLD)) {
        timeline->kill_at_ns = now_ns + timeline->policy.grace_ns;
    }
    return is_first;
}

void timeline_step(
    struct timeline *timeline,
    const struct timeline_input *input,
    struct timeline_update *out_update)
{
    const struct timeline_policy *policy = &timeline->policy;
    int64_t now_ns = input->now_ns;
    int64_t end_ns = before(input->valid_until_ns, policy->margin_ns);
    *out_update = (struct timeline_update){ .deadline_ns = TIME_NEVER };

    enum stop_cause cause = find_cause(input, policy, end_ns);
    out_update->is_telling = note_cause(timeline, cause, now_ns);
    if (input->is_ordered) timeline->kill_at_ns = earlier(timeline->kill_at_ns, now_ns);
    /* A lease that is renewed after all calls nothing back; one that ends sooner hurries. */
    int64_t kill_at_ns = timeline->kill_at_ns;
    if (policy->is_killing) kill_at_ns = earlier(kill_at_ns, end_ns);

    out_update->deadline_ns = kill_at_ns;
    if (now_ns >= kill_at_ns) {
        out_update->is_killing = true;
        out_update->is_telling = false;
        out_update->deadline_ns = now_ns + REPEAT_NS;
    }
    bool is_over = is_loss(timeline->cause) || now_ns >= end_ns || input->is_runner_gone;
    out_update->is_over = is_over && !timeline->is_over;
    timeline->is_over = timeline->is_over || is_over;
    if (!timeline->is_told) {
        int64_t tell_at_ns = policy->is_telling ? before(end_ns, policy->grace_ns) : TIME_NEVER;
        out_update->deadline_ns = earlier(out_update->deadline_ns, tell_at_ns);
        out_update->deadline_ns = earlier(out_update->deadline_ns, input->max_hold_at_ns);
    }
    if (!timeline->is_over) out_update->deadline_ns = earlier(out_update->deadline_ns, end_ns);
}
