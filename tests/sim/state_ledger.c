#include <inttypes.h>
#include <stdlib.h>

#include "sim/state_parts.h"

/* -------------------------------------------------------------------- reading */

struct state_event state_event_of(struct world *world, const struct record *record)
{
    struct state_event event = {
        .seq = record->seq.value,
        .kind = record->kind,
        .name = state_name_number(world, record->name),
        .more = record->more,
        .cause = record->cause,
        .score = record->score,
        .score_before = record->score_before,
        .is_new = record->is_new,
        .is_kept = record->is_kept,
        .is_bound = record->bond.size > 0,
        .ttl_ms = record->ttl_ms,
    };
    if (record->id.size > 0) event.member = state_member_number(world, record->id);
    if (event.is_bound) {
        event.bond = (struct state_guard){ world_name_number(world, record->bond), record->token };
    }
    bool is_text = record->kind == RECORD_SET || record->kind == RECORD_APPENDED;
    if (is_text) event.piece = state_text_of(record->body);
    return event;
}

/* By score, and equal scores by the bytes of the member. */
uint32_t state_rank_order(const struct state_key *key, uint32_t out[STATE_MEMBER_COUNT])
{
    uint32_t count = 0;
    for (uint32_t member = 0; member < STATE_MEMBER_COUNT; member++) {
        if (!key->is_member[member]) continue;
        uint32_t at = count++;
        for (; at > 0; at--) {
            uint32_t other = out[at - 1];
            bool is_lower = key->scores[member] < key->scores[other];
            bool is_equal = !is_lower && !(key->scores[member] > key->scores[other]);
            bool is_first =
                is_equal && bytes_compare(state_member(member), state_member(other)) < 0;
            if (!is_lower && !is_first) break;
            out[at] = other;
        }
        out[at] = member;
    }
    return count;
}

/* ------------------------------------------------------------------- applying */

static void clear_terms(struct state_key *key)
{
    key->ttl_ms = 0;
    key->deadline_ns = WORLD_NEVER;
    key->is_bound = false;
}

static void apply_text(struct world *world, struct state_key *key, const struct record *record)
{
    bool is_appended = record->kind == RECORD_APPENDED;
    if ((is_appended || record->is_kept) && !key->value.is_set) {
        world_fail(world, "K1: there is nothing to append to, or to keep");
    }
    key->value =
        is_appended ? state_text_append(key->value, record->body) : state_text_of(record->body);
    key->version = record->seq.value;
    if (is_appended || record->is_kept) return;
    clear_terms(key);
    key->ttl_ms = record->ttl_ms;
    if (record->ttl_ms > 0) {
        key->deadline_ns = world->receivable_ns + record->ttl_ms * NS_PER_MS;
    }
    key->is_bound = record->bond.size > 0;
    if (!key->is_bound) return;
    key->bond = (struct state_guard){ world_name_number(world, record->bond), record->token };
}

static void apply_rank(struct world *world, struct state_key *key, const struct state_event *event)
{
    bool is_in = event->kind == RECORD_RANKED;
    uint32_t member = event->member;
    bool was_in = key->is_member[member];
    double before = key->scores[member];
    double told = is_in ? event->score_before : event->score;
    bool is_other = was_in && (told < before || told > before);
    if (is_other || was_in == (is_in && event->is_new)) {
        world_fail(world, "K6: the score before is wrong");
    }
    key->is_member[member] = is_in;
    key->scores[member] = event->score;
}

static void remember(struct world *world, const struct state_event *event)
{
    struct states *states = &world->states;
    if (states->event_count == states->event_capacity) {
        states->event_capacity = states->event_capacity == 0 ? 256 : states->event_capacity * 2;
        states->events = realloc(states->events, states->event_capacity * sizeof *states->events);
        if (states->events == NULL) abort();
    }
    states->events[states->event_count++] = *event;
}

void state_ledger_apply(struct world *world, const struct record *record)
{
    struct state_event event = state_event_of(world, record);
    struct state_key *key = &world->states.keys[event.name];
    key->last_seq = record->seq.value;
    if (record->kind == RECORD_RANKED || record->kind == RECORD_UNRANKED) {
        apply_rank(world, key, &event);
        remember(world, &event);
        return;
    }
    event.previous = key->value;
    key->changed_seq = record->seq.value;
    if (record->kind == RECORD_UNSET) {
        if (!key->value.is_set) world_fail(world, "K1: what is not set is unset");
        key->value.is_set = false;
        key->version = 0;
        clear_terms(key);
    }
    if (record->kind == RECORD_SET || record->kind == RECORD_APPENDED) {
        apply_text(world, key, record);
    }
    event.value = key->value;
    remember(world, &event);
}

void state_ledger_reset(struct world *world)
{
    struct states *states = &world->states;
    states->event_count = 0;
    states->wait_count = 0;
    states->expectation.is_judged = false;
    states->is_replaying = true;
    memset(states->keys, 0, sizeof states->keys);
    for (uint32_t name = 0; name < STATE_NAME_COUNT; name++) {
        states->keys[name].deadline_ns = WORLD_NEVER;
    }
}

/* K5: every ttl has its full length again. */
void state_ledger_restarted(struct world *world)
{
    world->states.is_replaying = false;
    for (uint32_t name = 0; name < STATE_NAME_COUNT; name++) {
        struct state_key *key = &world->states.keys[name];
        if (!key->value.is_set) continue;
        world_probe(world, key->is_bound ? PROBE_STATE_BOUND_SURVIVED : PROBE_STATE_SURVIVED);
        if (key->ttl_ms == 0) continue;
        key->deadline_ns = world->receivable_ns + key->ttl_ms * NS_PER_MS;
        world_probe(world, PROBE_STATE_TTL_SURVIVED);
    }
}

/* --------------------------------------------------------------------- events */

const struct state_event *
state_event_behind(const struct world *world, uint64_t seq, uint32_t filter)
{
    const struct states *states = &world->states;
    uint32_t at = states->event_count;
    while (at > 0 && states->events[at - 1].seq > seq) {
        at--;
    }
    for (; at < states->event_count; at++) {
        if (state_is_filtered(filter, states->events[at].name)) return &states->events[at];
    }
    return NULL;
}

/* K7: what came, and what was there before it. */
bool state_is_event_true(struct world *world, const struct record *event)
{
    const struct states *states = &world->states;
    const struct state_event *known = NULL;
    for (uint32_t low = 0, high = states->event_count; low < high && known == NULL;) {
        uint32_t middle = low + (high - low) / 2;
        const struct state_event *at = &states->events[middle];
        if (at->seq == event->seq.value) known = at;
        if (at->seq < event->seq.value) low = middle + 1;
        if (at->seq > event->seq.value) high = middle;
    }
    if (known == NULL || known->kind != event->kind || known->more != event->more) return false;
    if (known->name != state_name_number(world, event->name)) return false;
    if (event->kind == RECORD_RANKED || event->kind == RECORD_UNRANKED) {
        struct state_event other = state_event_of(world, event);
        bool is_score = !(other.score < known->score) && !(other.score > known->score);
        return is_score && other.member == known->member && other.is_new == known->is_new;
    }
    struct state_text value = { 0 };
    struct state_text previous = { 0 };
    if (event->kind != RECORD_UNSET) value = state_text_of(event->body);
    if (event->has_previous) previous = state_text_of(event->previous);
    if (event->kind == RECORD_UNSET && event->cause != known->cause) return false;
    return state_text_equals(&value, &known->value) &&
           state_text_equals(&previous, &known->previous);
}

/* ------------------------------------------------------------------- comparing */

static void compare_register(struct world *world, uint32_t name, bool has_clocks)
{
    const struct state_key *key = &world->states.keys[name];
    struct engine_register_view view;
    struct seq seq;
    bool is_set =
        engine_register(world->host.engine, state_name(name), world_mono(world), &view, &seq);
    struct state_text value = { 0 };
    if (is_set) value = state_text_of(view.value);
    bool is_same = is_set == key->value.is_set && view.version == key->version &&
                   state_text_equals(&value, &key->value) && view.ttl_ms == key->ttl_ms &&
                   (view.lock.size > 0) == key->is_bound &&
                   (!key->is_bound || view.token.value == key->bond.token.value);
    int64_t left_ns = key->deadline_ns - world->receivable_ns;
    int64_t left_ms = key->ttl_ms == 0 ? -1 : left_ns < 0 ? 0 : left_ns / NS_PER_MS;
    if (!is_same || (is_set && has_clocks && view.remaining_ms != left_ms)) {
        world_fail(
            world,
            "K1: %s is at version %" PRIu64 " with %" PRId64 " ms left, not at %" PRIu64
            " with %" PRId64,
            state_name(name).data,
            view.version,
            view.remaining_ms,
            key->version,
            left_ms);
    }
}

static uint32_t count_below(const struct state_key *key, double score, bool is_with)
{
    uint32_t count = 0;
    for (uint32_t member = 0; member < STATE_MEMBER_COUNT; member++) {
        if (!key->is_member[member]) continue;
        bool is_below = key->scores[member] < score;
        bool is_equal = !is_below && !(key->scores[member] > score);
        count += is_below || (is_with && is_equal);
    }
    return count;
}

/* K6: in their order, whoever asks how. */
static void compare_rank(struct world *world, uint32_t name)
{
    const struct engine *engine = world->host.engine;
    const struct state_key *key = &world->states.keys[name];
    uint32_t order[STATE_MEMBER_COUNT];
    uint32_t count = state_rank_order(key, order);
    struct engine_member_view views[STATE_MEMBER_COUNT + 1];
    struct engine_rank_view rank;
    bool is_there = engine_rank(engine, state_name(name), &rank);
    bool is_good =
        is_there == (count > 0) && rank.count == count &&
        engine_members(engine, state_name(name), 0, false, views, STATE_MEMBER_COUNT + 1) == count;
    for (uint32_t at = 0; at < count && is_good; at++) {
        struct engine_member_view view;
        double score = key->scores[order[at]];
        is_good = bytes_equal(views[at].member, state_member(order[at])) &&
                  !(views[at].score < score) && !(views[at].score > score) &&
                  engine_member(engine, state_name(name), views[at].member, &view) &&
                  view.position == at;
    }
    struct engine_score_span span = { .score_min = -1, .score_max = 2, .is_max_open = true };
    span.is_min_open = world->event_count % 2 == 0;
    uint32_t first;
    uint32_t end;
    engine_rank_span(engine, state_name(name), &span, &first, &end);
    uint32_t below = count_below(key, span.score_min, span.is_min_open);
    uint32_t within = count_below(key, span.score_max, false);
    if (within <= below) below = within = 0;
    if (!is_good || first != below || end != within) {
        world_fail(world, "K6: the rank %s is in another order", state_name(name).data);
    }
    if (count == STATE_MEMBER_COUNT) world_probe(world, PROBE_STATE_RANK_FULL);
}

static void compare_list(struct world *world)
{
    struct engine_register_view views[STATE_NAME_COUNT + 1];
    struct engine_register_query query = { .count_max = STATE_NAME_COUNT + 1,
                                           .value_size_max = SIZE_MAX };
    struct bytes next;
    uint32_t count = engine_registers(world->host.engine, &query, world_mono(world), views, &next);
    uint32_t at = 0;
    for (uint32_t name = 0; name < STATE_NAME_COUNT; name++) {
        if (!world->states.keys[name].value.is_set) continue;
        bool is_good = at < count && bytes_equal(views[at].name, state_name(name));
        if (!is_good) world_fail(world, "K1: the list of registers is wrong");
        at++;
    }
    if (at != count || next.size > 0) world_fail(world, "K1: the list of registers is too long");
}

void state_compare(struct world *world, bool has_clocks)
{
    uint64_t register_count = 0;
    uint64_t member_count = 0;
    for (uint32_t name = 0; name < STATE_NAME_COUNT; name++) {
        uint32_t order[STATE_MEMBER_COUNT];
        compare_register(world, name, has_clocks);
        compare_rank(world, name);
        register_count += world->states.keys[name].value.is_set;
        member_count += state_rank_order(&world->states.keys[name], order);
    }
    compare_list(world);
    struct engine_key_counters counters = engine_key_counters(world->host.engine);
    if (counters.register_count != register_count || counters.member_count != member_count) {
        world_fail(world, "K1: registers or members are counted wrong");
    }
    bool is_waiting = counters.wait_count == world->states.wait_count;
    if (!is_waiting && !world->swarm.has_memory_faults) {
        world_fail(world, "K8: others wait than those who should");
    }
}
