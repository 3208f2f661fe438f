#include "quorum/round.h"

/* FNV-1a (Fowler, Noll, Vo): to tell holders apart, no more. */
static uint64_t hash(struct bytes text)
{
    uint64_t value = UINT64_C(0xcbf29ce484222325);
    for (size_t index = 0; index < text.size; index++) {
        value ^= (unsigned char)text.data[index];
        value *= UINT64_C(0x100000001b3);
    }
    return value;
}

void quorum_round_begin(
    struct quorum_round *round, struct mono now, const struct pace *paces, uint32_t ttl_ms)
{
    round->serial++;
    round->sent_at = now;
    for (uint32_t node = 0; node < round->node_count; node++) {
        round->seats[node] = (struct quorum_seat){
            .stand = QUORUM_STAND_ASKED,
            .until = quorum_later(now, pace_timeout_ns(&paces[node], ttl_ms)),
        };
    }
}

static enum quorum_stand stand_of(enum quorum_answer_kind kind)
{
    switch (kind) {
    case QUORUM_YES:
    case QUORUM_HEALED:
    case QUORUM_DELETED: return QUORUM_STAND_YES;
    case QUORUM_HELD: return QUORUM_STAND_HELD;
    case QUORUM_QUEUED: return QUORUM_STAND_QUEUED;
    case QUORUM_STALE: return QUORUM_STAND_STALE;
    case QUORUM_GONE: return QUORUM_STAND_GONE;
    case QUORUM_MUTE:
    case QUORUM_NODE: break;
    }
    return QUORUM_STAND_MUTE;
}

bool quorum_round_answer(
    struct quorum_round *round, uint32_t node, uint32_t serial, const struct quorum_answer *answer)
{
    ASSERT(node < round->node_count);
    struct quorum_seat *seat = &round->seats[node];
    bool is_open = seat->stand == QUORUM_STAND_ASKED || seat->stand == QUORUM_STAND_SILENT;
    if (serial != round->serial || !is_open) return false;
    seat->stand = stand_of(answer->kind);
    seat->remaining_ms = answer->remaining_ms;
    seat->token = answer->token;
    seat->holder = answer->kind == QUORUM_HELD ? hash(answer->owner) : 0;
    seat->voted = answer->voted;
    seat->ticket = answer->ticket;
    seat->is_breaking = answer->is_breaking;
    return true;
}

void quorum_round_fail(struct quorum_round *round, uint32_t node, uint32_t serial)
{
    ASSERT(node < round->node_count);
    struct quorum_seat *seat = &round->seats[node];
    if (serial == round->serial && seat->stand == QUORUM_STAND_ASKED) {
        seat->stand = QUORUM_STAND_SILENT;
    }
}

void quorum_round_expire(struct quorum_round *round, struct mono now)
{
    for (uint32_t node = 0; node < round->node_count; node++) {
        struct quorum_seat *seat = &round->seats[node];
        bool is_late = seat->stand == QUORUM_STAND_ASKED && now.ns >= seat->until.ns;
        if (is_late) seat->stand = QUORUM_STAND_SILENT;
    }
}

struct mono quorum_round_deadline(const struct quorum_round *round)
{
    struct mono deadline = { INT64_MAX };
    for (uint32_t node = 0; node < round->node_count; node++) {
        const struct quorum_seat *seat = &round->seats[node];
        if (seat->stand != QUORUM_STAND_ASKED) continue;
        deadline = quorum_earliest(deadline, seat->until);
    }
    return deadline;
}

uint32_t quorum_round_count(const struct quorum_round *round, enum quorum_stand stand)
{
    uint32_t count = 0;
    for (uint32_t node = 0; node < round->node_count; node++) {
        count += round->seats[node].stand == stand;
    }
    return count;
}

/* Put `value` into the sorted list of `count`. */
static void insert(int64_t *values, uint32_t count, int64_t value)
{
    uint32_t place = count;
    for (; place > 0 && values[place - 1] > value; place--) {
        values[place] = values[place - 1];
    }
    values[place] = value;
}

int64_t quorum_round_remaining_ms(const struct quorum_round *round)
{
    int64_t values[QUORUM_NODE_COUNT_MAX] = { 0 };
    uint32_t count = 0;
    for (uint32_t node = 0; node < round->node_count; node++) {
        if (round->seats[node].stand != QUORUM_STAND_YES) continue;
        insert(values, count, round->seats[node].remaining_ms);
        count++;
    }
    uint32_t majority = quorum_majority(round->node_count);
    ASSERT(count >= majority);
    return values[count - majority];
}

bool quorum_round_is_breaking(const struct quorum_round *round)
{
    uint32_t lasting = 0;
    for (uint32_t node = 0; node < round->node_count; node++) {
        const struct quorum_seat *seat = &round->seats[node];
        lasting += seat->stand == QUORUM_STAND_YES && !seat->is_breaking;
    }
    return lasting < quorum_majority(round->node_count);
}

int64_t quorum_round_free_ms(const struct quorum_round *round)
{
    int64_t values[QUORUM_NODE_COUNT_MAX] = { 0 };
    uint32_t count = 0;
    for (uint32_t node = 0; node < round->node_count; node++) {
        const struct quorum_seat *seat = &round->seats[node];
        bool is_other = seat->stand == QUORUM_STAND_HELD || seat->stand == QUORUM_STAND_QUEUED;
        bool is_ours = seat->stand == QUORUM_STAND_YES || seat->stand == QUORUM_STAND_STALE;
        if (!is_ours && (!is_other || seat->remaining_ms < 0)) continue;
        insert(values, count, is_ours ? 0 : seat->remaining_ms);
        count++;
    }
    uint32_t majority = quorum_majority(round->node_count);
    return count < majority ? -1 : values[majority - 1];
}

uint32_t quorum_round_holder(const struct quorum_round *round, uint32_t *out_count)
{
    uint32_t best = round->node_count;
    uint32_t best_count = 0;
    for (uint32_t node = 0; node < round->node_count; node++) {
        if (round->seats[node].stand != QUORUM_STAND_HELD) continue;
        uint32_t count = 0;
        for (uint32_t other = 0; other < round->node_count; other++) {
            bool is_held = round->seats[other].stand == QUORUM_STAND_HELD;
            count += is_held && round->seats[other].holder == round->seats[node].holder;
        }
        if (count > best_count) {
            best = node;
            best_count = count;
        }
    }
    *out_count = best_count;
    return best;
}

struct quorum_call *
quorum_update_call(struct quorum_update *update, enum quorum_verb verb, uint32_t node)
{
    ASSERT(update->call_count < QUORUM_CALL_COUNT_MAX);
    struct quorum_call *call = &update->calls[update->call_count++];
    *call = (struct quorum_call){ .verb = verb, .node = node, .life_ms = QUORUM_TICKET_MS };
    return call;
}
