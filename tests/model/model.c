#include "model/model.h"

static int64_t ns_of(uint32_t ms)
{
    return (int64_t)ms * NS_PER_MS;
}

static bool is_before(const struct model_wait *left, const struct model_wait *right)
{
    if (left->order_ns != right->order_ns) return left->order_ns < right->order_ns;
    return left->arrival < right->arrival;
}

static bool wants(const struct model_wait *wait, uint32_t name)
{
    for (uint32_t index = 0; index < wait->name_count; index++) {
        if (wait->names[index] == name) return true;
    }
    return false;
}

/* ------------------------------------------------------------------ output */

static struct model_reply *
reply(struct model *model, uint64_t client, uint64_t tag, enum tenure_err err)
{
    ASSERT(model->reply_count < MODEL_OUT_COUNT_MAX);
    struct model_reply *made = &model->replies[model->reply_count++];
    *made = (struct model_reply){ .client = client, .tag = tag, .err = err, .result_count = 1 };
    made->results[0].err = err;
    return made;
}

static void
record(struct model *model, enum record_kind kind, const struct model_hold *hold, uint32_t delay_ms)
{
    ASSERT(model->record_count < MODEL_OUT_COUNT_MAX);
    model->records[model->record_count++] = (struct model_record){
        .kind = kind,
        .name = hold->name,
        .owner = hold->terms.owner,
        .slot = hold->slot,
        .ttl_ms = hold->terms.ttl_ms,
        .lock_delay_ms = delay_ms,
        .token = hold->token,
    };
    model->number++;
}

static void remember(
    struct model *model, enum record_kind kind, const struct model_hold *hold, bool is_transferred)
{
    ASSERT(model->event_count < MODEL_ENDING_COUNT_MAX);
    model->events[model->event_count++] = (struct model_event){
        .kind = kind,
        .name = hold->name,
        .owner = hold->terms.owner,
        .slot = hold->slot,
        .mode = hold->terms.mode,
        .token = hold->token,
        .is_transferred = is_transferred,
    };
}

void model_set_token(struct model *model, uint32_t index, uint64_t token)
{
    uint64_t mark = model->records[index].token;
    for (uint32_t hold = 0; hold < model->hold_count; hold++) {
        if (model->holds[hold].token == mark) model->holds[hold].token = token;
    }
    for (uint32_t event = 0; event < model->event_count; event++) {
        if (model->events[event].token == mark) model->events[event].token = token;
    }
    for (uint32_t at = 0; at < model->reply_count; at++) {
        for (uint32_t result = 0; result < model->replies[at].result_count; result++) {
            struct model_result *told = &model->replies[at].results[result];
            if (told->token == mark) told->token = token;
            if (told->successor == mark) told->successor = token;
        }
    }
    model->records[index].token = token;
}

/* ------------------------------------------------------------------- state */

static struct model_hold *find_hold(struct model *model, uint32_t name, uint32_t owner)
{
    for (uint32_t index = 0; index < model->hold_count; index++) {
        struct model_hold *hold = &model->holds[index];
        if (hold->name == name && hold->terms.owner == owner) return hold;
    }
    return NULL;
}

static struct model_wait *find_wait(struct model *model, uint32_t name, uint32_t owner)
{
    for (uint32_t index = 0; index < model->wait_count; index++) {
        struct model_wait *wait = &model->waits[index];
        if (wait->terms.owner == owner && wants(wait, name)) return wait;
    }
    return NULL;
}

static void remove_wait(struct model *model, struct model_wait *wait)
{
    *wait = model->waits[--model->wait_count];
}

static bool has_room(const struct model *model, uint32_t name, const struct model_terms *terms)
{
    uint32_t held = 0;
    if (model->delay_ms[name] > 0) return false;
    for (uint32_t index = 0; index < model->hold_count; index++) {
        const struct model_hold *hold = &model->holds[index];
        if (hold->name != name) continue;
        if (hold->terms.mode != terms->mode) return false;
        held++;
    }
    return held == 0 || terms->mode == ENGINE_SHARED || held < terms->slots;
}

static uint32_t lowest_slot(struct model *model, uint32_t name, enum engine_mode mode)
{
    if (mode == ENGINE_SHARED) return 0;
    for (uint32_t slot = 0;; slot++) {
        bool is_taken = false;
        for (uint32_t index = 0; index < model->hold_count; index++) {
            const struct model_hold *hold = &model->holds[index];
            is_taken = is_taken || (hold->name == name && hold->slot == slot);
        }
        if (!is_taken) return slot;
    }
}

/* A mark stands for the token until the engine has said which it is. */
static uint64_t
grant(struct model *model, uint32_t name, const struct model_terms *terms, uint32_t slot)
{
    ASSERT(model->hold_count < MODEL_HOLD_COUNT_MAX);
    struct model_hold hold = {
        .terms = *terms,
        .name = name,
        .slot = slot,
        .token = UINT64_MAX - model->number,
        .number = model->number + 1,
    };
    model->holds[model->hold_count++] = hold;
    record(model, RECORD_GRANTED, &hold, terms->lock_delay_ms);
    remember(model, RECORD_GRANTED, &hold, false);
    return hold.token;
}

static void
end(struct model *model, struct model_hold *hold, enum record_kind kind, bool is_transferred)
{
    uint32_t name = hold->name;
    uint32_t delay_ms = kind == RECORD_RELEASED ? 0 : hold->terms.lock_delay_ms;
    int64_t until_ns = model->time_ns + ns_of(delay_ms);
    if (model->delay_ms[name] > 0 && model->delay_ns[name] >= until_ns) delay_ms = 0;
    if (delay_ms > 0) {
        model->delay_ms[name] = delay_ms;
        model->delay_ns[name] = until_ns;
    }
    record(model, kind, hold, delay_ms);
    remember(model, kind, hold, is_transferred);
    *hold = model->holds[--model->hold_count];
}

static void arm(struct model *model, struct model_hold *hold)
{
    uint32_t ttl_ms = hold->terms.ttl_ms;
    hold->deadline_ns = ttl_ms == 0 ? MODEL_FOREVER : model->time_ns + ns_of(ttl_ms);
}

#define NOBODY UINT32_MAX

/* What became of a hold: false when it is unknown.  `*out_heir` is whom it was handed over to. */
static bool find_end(
    const struct model *model,
    const struct model_claim *claim,
    struct model_result *out_result,
    uint32_t *out_heir)
{
    const struct model_event *ended = NULL;
    uint64_t successor = 0;
    uint32_t successor_owner = NOBODY;
    for (uint32_t index = 0; index < model->event_count; index++) {
        const struct model_event *event = &model->events[index];
        if (event->name != claim->name) continue;
        bool is_it = event->token == claim->token && event->owner == claim->owner;
        if (event->kind != RECORD_GRANTED && is_it) ended = event;
        if (ended == NULL || event->kind != RECORD_GRANTED || successor != 0) continue;
        bool is_beside = event->mode == ENGINE_SHARED && ended->mode == ENGINE_SHARED;
        if (is_beside || event->slot != ended->slot) continue;
        successor = event->token;
        successor_owner = event->owner;
    }
    if (ended == NULL) return false;
    out_result->end = ENGINE_END_RELEASED;
    out_result->successor = ended->is_transferred ? successor : 0;
    if (ended->kind == RECORD_BROKEN) out_result->end = ENGINE_END_BROKEN;
    if (ended->kind == RECORD_EXPIRED) {
        out_result->end = successor > 0 ? ENGINE_END_EXPIRED_TAKEN : ENGINE_END_EXPIRED_UNCLAIMED;
        out_result->successor = successor;
    }
    *out_heir = ended->is_transferred ? successor_owner : NOBODY;
    return true;
}

static struct model_hold *current(struct model *model, const struct model_claim *claim)
{
    struct model_hold *hold = find_hold(model, claim->name, claim->owner);
    return hold != NULL && hold->token == claim->token ? hold : NULL;
}

static void
tell_lost(struct model *model, const struct model_claim *claim, struct model_reply *told)
{
    uint32_t heir;
    struct model_result *result = &told->results[0];
    bool is_held = find_hold(model, claim->name, claim->owner) != NULL;
    result->err = is_held ? TENURE_STALE_TOKEN : TENURE_NOT_OWNER;
    if (find_end(model, claim, result, &heir)) result->err = TENURE_LOST;
    told->err = result->err;
}

/* ---------------------------------------------------------------- commands */

void model_init(struct model *model)
{
    *model = (struct model){ .hold_count_max = 12, .waiter_count_max = 8, .ageing_ms = 500 };
}

void model_begin(struct model *model, int64_t time_ns)
{
    model->time_ns = time_ns;
    model->record_count = 0;
    model->reply_count = 0;
    model->is_waiting = false;
}

static bool is_first_everywhere(const struct model *model, const struct model_wait *wait)
{
    for (uint32_t index = 0; index < model->wait_count; index++) {
        const struct model_wait *other = &model->waits[index];
        if (other == wait || !is_before(other, wait)) continue;
        for (uint32_t at = 0; at < wait->name_count; at++) {
            if (wants(other, wait->names[at])) return false;
        }
    }
    return true;
}

static bool can_serve(const struct model *model, const struct model_wait *wait)
{
    if (!is_first_everywhere(model, wait)) return false;
    for (uint32_t at = 0; at < wait->name_count; at++) {
        if (!has_room(model, wait->names[at], &wait->terms)) return false;
    }
    return true;
}

static void serve(struct model *model, struct model_wait *wait)
{
    if (wait->deadline_ns <= model->time_ns) {
        reply(model, wait->client, wait->tag, TENURE_TIMEOUT);
        remove_wait(model, wait);
        return;
    }
    struct model_reply *made = reply(model, wait->client, wait->tag, TENURE_OK);
    made->result_count = wait->name_count;
    struct model_wait served = *wait;
    remove_wait(model, wait);
    for (uint32_t at = 0; at < served.name_count; at++) {
        uint32_t slot = lowest_slot(model, served.names[at], served.terms.mode);
        made->results[at].token = grant(model, served.names[at], &served.terms, slot);
    }
}

void model_finish(struct model *model)
{
    if (model->gate != ENGINE_GATE_OPEN) return;
    for (uint32_t index = 0; index < model->wait_count; index++) {
        struct model_wait *wait = &model->waits[index];
        if (!can_serve(model, wait)) continue;
        bool is_over = wait->deadline_ns <= model->time_ns;
        if (!is_over && model->hold_count + wait->name_count > model->hold_count_max) continue;
        serve(model, wait);
        index = UINT32_MAX; /* from the start */
    }
}

static enum tenure_err repeat_err(const struct model_hold *hold, const struct model_terms *terms)
{
    bool is_upgrade = hold->terms.mode == ENGINE_SHARED && terms->mode == ENGINE_EXCLUSIVE;
    if (is_upgrade) return TENURE_DEADLOCK;
    if (hold->terms.mode != terms->mode) return TENURE_INVALID;
    return hold->terms.slots == terms->slots ? TENURE_OK : TENURE_LIMIT_MISMATCH;
}

static void repeat(struct model *model, const struct model_acquire *acquire)
{
    for (uint32_t at = 0; at < acquire->name_count; at++) {
        const struct model_hold *hold = find_hold(model, acquire->names[at], acquire->terms.owner);
        ASSERT(hold != NULL);
        enum tenure_err err = repeat_err(hold, &acquire->terms);
        if (err == TENURE_OK) continue;
        reply(model, acquire->client, acquire->tag, err);
        return;
    }
    struct model_reply *made = reply(model, acquire->client, acquire->tag, TENURE_OK);
    made->result_count = acquire->name_count;
    for (uint32_t at = 0; at < acquire->name_count; at++) {
        const struct model_hold *hold = find_hold(model, acquire->names[at], acquire->terms.owner);
        ASSERT(hold != NULL);
        made->results[at].token = hold->token;
        made->results[at].is_repeat = true;
    }
}

static bool is_same_wait(const struct model_wait *wait, const struct model_acquire *acquire)
{
    if (wait->name_count != acquire->name_count) return false;
    if (wait->terms.mode != acquire->terms.mode || wait->terms.slots != acquire->terms.slots) {
        return false;
    }
    for (uint32_t at = 0; at < acquire->name_count; at++) {
        if (!wants(wait, acquire->names[at])) return false;
    }
    return true;
}

static void
rejoin(struct model *model, const struct model_acquire *acquire, struct model_wait *wait)
{
    if (acquire->wait_ms == 0) {
        reply(model, acquire->client, acquire->tag, TENURE_HELD);
        return;
    }
    reply(model, wait->client, wait->tag, TENURE_CANCELED);
    wait->client = acquire->client;
    wait->tag = acquire->tag;
    wait->terms = acquire->terms;
    wait->deadline_ns = model->time_ns + ns_of(acquire->wait_ms);
    model->is_waiting = true;
}

/* The owner is known to some of these names. */
static bool answer_known(struct model *model, const struct model_acquire *acquire)
{
    uint32_t held = 0, known = 0;
    for (uint32_t at = 0; at < acquire->name_count; at++) {
        bool is_held = find_hold(model, acquire->names[at], acquire->terms.owner) != NULL;
        bool is_wanted = find_wait(model, acquire->names[at], acquire->terms.owner) != NULL;
        held += is_held;
        known += is_held || is_wanted;
    }
    if (known == 0) return false;
    struct model_wait *wait = find_wait(model, acquire->names[0], acquire->terms.owner);
    if (held == acquire->name_count) {
        repeat(model, acquire);
    } else if (held == 0 && wait != NULL && is_same_wait(wait, acquire)) {
        rejoin(model, acquire, wait);
    } else {
        reply(model, acquire->client, acquire->tag, TENURE_INVALID);
    }
    return true;
}

/* Another number of slots than those who hold or wait for it have. */
static bool is_mismatch(const struct model *model, const struct model_acquire *acquire)
{
    for (uint32_t at = 0; at < acquire->name_count; at++) {
        for (uint32_t index = 0; index < model->hold_count; index++) {
            const struct model_hold *hold = &model->holds[index];
            bool is_there = hold->name == acquire->names[at];
            if (is_there && hold->terms.slots != acquire->terms.slots) return true;
        }
        for (uint32_t index = 0; index < model->wait_count; index++) {
            const struct model_wait *wait = &model->waits[index];
            bool is_there = wants(wait, acquire->names[at]);
            if (is_there && wait->terms.slots != acquire->terms.slots) return true;
        }
    }
    return false;
}

static enum tenure_err refusal(const struct model *model, const struct model_acquire *acquire)
{
    uint32_t ttl_ms = acquire->terms.ttl_ms;
    if (ttl_ms > 0 && ttl_ms < LIMIT_TTL_MS_MIN) return TENURE_INVALID;
    return model->gate == ENGINE_GATE_OPEN ? TENURE_OK : TENURE_INTERNAL;
}

void model_acquire(struct model *model, const struct model_acquire *acquire)
{
    enum tenure_err err = refusal(model, acquire);
    if (err == TENURE_INVALID) {
        reply(model, acquire->client, acquire->tag, err);
        return;
    }
    if (answer_known(model, acquire)) return;
    if (model->gate != ENGINE_GATE_OPEN) {
        static const enum tenure_err refusals[] = {
            [ENGINE_GATE_NO_SPACE] = TENURE_NO_SPACE,
            [ENGINE_GATE_SLOW] = TENURE_UNAVAILABLE,
            [ENGINE_GATE_DRAINING] = TENURE_DRAINING,
        };
        reply(model, acquire->client, acquire->tag, refusals[model->gate]);
        return;
    }
    if (model->hold_count + acquire->name_count > model->hold_count_max) {
        reply(model, acquire->client, acquire->tag, TENURE_TOO_MANY);
        return;
    }
    if (is_mismatch(model, acquire)) {
        reply(model, acquire->client, acquire->tag, TENURE_LIMIT_MISMATCH);
        return;
    }
    struct model_wait wait = {
        .terms = acquire->terms,
        .client = acquire->client,
        .tag = acquire->tag,
        .arrival = ++model->arrival_count,
        .name_count = acquire->name_count,
        .order_ns = model->time_ns - (int64_t)acquire->priority * ns_of(model->ageing_ms),
        .deadline_ns = model->time_ns + ns_of(acquire->wait_ms),
    };
    memcpy(wait.names, acquire->names, sizeof wait.names);
    model->waits[model->wait_count++] = wait;
    struct model_wait *mine = &model->waits[model->wait_count - 1];
    if (can_serve(model, mine)) {
        mine->deadline_ns = MODEL_FOREVER;
        serve(model, mine);
    } else if (acquire->wait_ms == 0) {
        remove_wait(model, mine);
        reply(model, acquire->client, acquire->tag, TENURE_HELD);
    } else if (model->wait_count > model->waiter_count_max) {
        remove_wait(model, mine);
        reply(model, acquire->client, acquire->tag, TENURE_TOO_MANY);
    } else {
        model->is_waiting = true;
    }
}

void model_cancel(struct model *model, uint64_t client, uint64_t tag)
{
    for (uint32_t index = 0; index < model->wait_count; index++) {
        struct model_wait *wait = &model->waits[index];
        if (wait->client != client || wait->tag != tag) continue;
        reply(model, client, tag, TENURE_CANCELED);
        remove_wait(model, wait);
        return;
    }
    reply(model, client, tag, TENURE_NOT_FOUND);
}

void model_renew(
    struct model *model, uint64_t client, uint64_t tag, const struct model_claim *claim)
{
    struct model_reply *made = reply(model, client, tag, TENURE_OK);
    struct model_hold *hold = current(model, claim);
    if (hold == NULL) {
        tell_lost(model, claim, made);
        return;
    }
    if (claim->ttl_ms != ENGINE_TTL_KEEP && claim->ttl_ms != hold->terms.ttl_ms) {
        hold->terms.ttl_ms = claim->ttl_ms;
        record(model, RECORD_RENEWED, hold, 0);
    }
    if (hold->is_live) arm(model, hold);
    made->results[0].token = hold->token;
}

void model_release(
    struct model *model, uint64_t client, uint64_t tag, const struct model_claim *claim)
{
    struct model_reply *made = reply(model, client, tag, TENURE_OK);
    struct model_hold *hold = current(model, claim);
    if (hold == NULL) {
        tell_lost(model, claim, made);
        made->err = TENURE_OK;
        made->results[0].err = TENURE_OK;
        return;
    }
    made->results[0].end = ENGINE_END_RELEASED;
    end(model, hold, RECORD_RELEASED, false);
}

void model_break(
    struct model *model,
    uint64_t client,
    uint64_t tag,
    const struct model_claim *claim,
    uint32_t grace_ms)
{
    struct model_hold *found = NULL;
    bool is_held = false;
    for (uint32_t index = 0; index < model->hold_count; index++) {
        struct model_hold *hold = &model->holds[index];
        if (hold->name != claim->name) continue;
        is_held = true;
        if (hold->token == claim->token) found = hold;
    }
    struct model_reply *made = reply(model, client, tag, TENURE_OK);
    if (found == NULL) {
        made->err = is_held ? TENURE_STALE_TOKEN : TENURE_NOT_FOUND;
        made->results[0].err = made->err;
        return;
    }
    made->results[0].token = found->token;
    if (grace_ms == 0) {
        made->results[0].end = ENGINE_END_BROKEN;
        end(model, found, RECORD_BROKEN, false);
        return;
    }
    found->is_breaking = true;
    found->grace_ms = grace_ms;
    found->break_ns = model->time_ns + ns_of(grace_ms);
    record(model, RECORD_BREAKING, found, 0);
}

void model_proclaim(
    struct model *model, uint64_t client, uint64_t tag, const struct model_claim *claim)
{
    struct model_reply *made = reply(model, client, tag, TENURE_OK);
    struct model_hold *hold = current(model, claim);
    if (hold == NULL) {
        tell_lost(model, claim, made);
        return;
    }
    if (model->gate == ENGINE_GATE_NO_SPACE) {
        made->err = made->results[0].err = TENURE_NO_SPACE;
        return;
    }
    made->results[0].token = hold->token;
    record(model, RECORD_PROCLAIMED, hold, 0);
}

void model_transfer(
    struct model *model,
    uint64_t client,
    uint64_t tag,
    const struct model_claim *claim,
    uint32_t to)
{
    struct model_reply *made = reply(model, client, tag, TENURE_OK);
    struct model_result *result = &made->results[0];
    uint32_t heir = NOBODY;
    if (find_end(model, claim, result, &heir) && heir == to) {
        result->is_repeat = true;
        return;
    }
    *result = (struct model_result){ 0 };
    struct model_hold *hold = current(model, claim);
    if (hold == NULL) {
        tell_lost(model, claim, made);
        return;
    }
    struct model_wait *wait = find_wait(model, claim->name, to);
    bool is_fit = wait != NULL && wait->name_count == 1 && wait->terms.mode == hold->terms.mode &&
                  wait->deadline_ns > model->time_ns && hold->terms.mode == ENGINE_EXCLUSIVE;
    if (model->gate != ENGINE_GATE_OPEN || model->delay_ms[claim->name] > 0) {
        made->err = result->err = TENURE_UNAVAILABLE;
        return;
    }
    if (!is_fit) {
        made->err = result->err = TENURE_NOT_FOUND;
        return;
    }
    struct model_wait next = *wait;
    uint32_t slot = hold->slot;
    result->end = ENGINE_END_RELEASED;
    end(model, hold, RECORD_RELEASED, true);
    remove_wait(model, wait);
    uint64_t token = grant(model, claim->name, &next.terms, slot);
    result->token = result->successor = token;
    reply(model, next.client, next.tag, TENURE_OK)->results[0].token = token;
}

/* -------------------------------------------------------------------- time */

static int64_t due_ns(const struct model_hold *hold)
{
    if (!hold->is_live) return MODEL_FOREVER;
    bool is_break_first = hold->is_breaking && hold->break_ns < hold->deadline_ns;
    return is_break_first ? hold->break_ns : hold->deadline_ns;
}

void model_timer(struct model *model)
{
    for (uint32_t index = 0; index < model->wait_count;) {
        struct model_wait *wait = &model->waits[index];
        if (wait->deadline_ns > model->time_ns) {
            index++;
            continue;
        }
        reply(model, wait->client, wait->tag, TENURE_TIMEOUT);
        remove_wait(model, wait);
    }
    for (;;) {
        struct model_hold *first = NULL;
        for (uint32_t index = 0; index < model->hold_count; index++) {
            struct model_hold *hold = &model->holds[index];
            if (due_ns(hold) > model->time_ns) continue;
            if (first == NULL || due_ns(hold) < due_ns(first)) first = hold;
        }
        if (first == NULL) break;
        bool is_broken = first->is_breaking && first->break_ns <= first->deadline_ns;
        end(model, first, is_broken ? RECORD_BROKEN : RECORD_EXPIRED, false);
    }
    for (uint32_t name = 0; name < MODEL_NAME_COUNT; name++) {
        if (model->delay_ms[name] == 0 || model->delay_ns[name] > model->time_ns) continue;
        model->delay_ms[name] = 0;
        struct model_hold none = { .name = name };
        record(model, RECORD_AVAILABLE, &none, 0);
    }
}

void model_gone(struct model *model, uint64_t client)
{
    for (uint32_t index = 0; index < model->wait_count;) {
        if (model->waits[index].client == client) {
            remove_wait(model, &model->waits[index]);
        } else {
            index++;
        }
    }
}

void model_durable(struct model *model, uint64_t number)
{
    for (uint32_t index = 0; index < model->hold_count; index++) {
        struct model_hold *hold = &model->holds[index];
        if (hold->is_live || hold->number > number) continue;
        hold->is_live = true;
        arm(model, hold);
    }
}

void model_gate(struct model *model, enum engine_gate gate)
{
    model->gate = gate;
    while (gate == ENGINE_GATE_DRAINING && model->wait_count > 0) {
        reply(model, model->waits[0].client, model->waits[0].tag, TENURE_DRAINING);
        remove_wait(model, &model->waits[0]);
    }
}

void model_restart(struct model *model)
{
    model->wait_count = 0;
    model->gate = ENGINE_GATE_OPEN;
    for (uint32_t index = 0; index < model->hold_count; index++) {
        struct model_hold *hold = &model->holds[index];
        hold->is_live = true;
        arm(model, hold);
        hold->break_ns = model->time_ns + ns_of(hold->grace_ms);
    }
    for (uint32_t name = 0; name < MODEL_NAME_COUNT; name++) {
        model->delay_ns[name] = model->time_ns + ns_of(model->delay_ms[name]);
    }
}
