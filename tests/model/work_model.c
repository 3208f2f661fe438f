#include "model/work_model.h"

#include <stdio.h>

#include "lib/test.h"

void wm_init(struct wm *model)
{
    model->is_gate_open = true;
    for (uint32_t queue = 0; queue < WM_QUEUE_COUNT; queue++) {
        model->queues[queue].limits = GROUP_LIMITS_NONE;
        for (uint32_t group = 0; group < WM_GROUP_COUNT; group++) {
            model->queues[queue].groups[group].limits = GROUP_LIMITS_NONE;
            model->queues[queue].groups[group].rate_ns = INT64_MIN;
        }
    }
}

void wm_begin(struct wm *model, int64_t time_ns, int64_t wall_us, uint64_t random)
{
    model->time_ns = time_ns;
    model->wall_us = wall_us;
    model->random = random;
    model->record_count = 0;
    model->answer_count = 0;
    model->is_waiting = false;
}

/* --------------------------------------------------------------------- output */

static void record(struct wm *model, enum record_kind kind, const char *id)
{
    CHECK(model->record_count < WM_OUT_MAX);
    struct wm_record *out = &model->records[model->record_count++];
    out->kind = kind;
    snprintf(out->id, sizeof out->id, "%s", id);
    model->seq++;
}

static struct wm_answer *
answer(struct wm *model, uint64_t client, uint64_t tag, enum tenure_err err, const char *id)
{
    CHECK(model->answer_count < WM_OUT_MAX);
    struct wm_answer *out = &model->answers[model->answer_count++];
    *out = (struct wm_answer){ .client = client, .tag = tag, .err = err };
    snprintf(out->id, sizeof out->id, "%s", id);
    return out;
}

/* -------------------------------------------------------------------- looking */

static struct wm_item *find(struct wm *model, uint32_t queue, const char *id)
{
    for (uint32_t at = 0; at < model->item_count; at++) {
        struct wm_item *item = &model->items[at];
        if (item->queue == queue && strcmp(item->id, id) == 0) return item;
    }
    return NULL;
}

static struct wm_item *find_key(struct wm *model, uint32_t queue, uint32_t key, bool is_kept_back)
{
    for (uint32_t at = 0; key != WM_NO_KEY && at < model->item_count; at++) {
        struct wm_item *item = &model->items[at];
        if (item->queue == queue && item->key == key && item->is_kept_back == is_kept_back) {
            return item;
        }
    }
    return NULL;
}

static bool is_waiting(const struct wm_item *item)
{
    return item->state == ITEM_DELAYED || item->state == ITEM_READY;
}

static uint32_t count(const struct wm *model, uint32_t queue, uint32_t group, enum item_state state)
{
    uint32_t result = 0;
    for (uint32_t at = 0; at < model->item_count; at++) {
        const struct wm_item *item = &model->items[at];
        result += item->queue == queue && item->group == group && item->state == state;
    }
    return result;
}

static const struct group_limits *limits_of(const struct wm *model, uint32_t queue, uint32_t group)
{
    const struct wm_queue *q = &model->queues[queue];
    return q->groups[group].has_limits ? &q->groups[group].limits : &q->limits;
}

static int64_t rank(const struct wm *model, const struct wm_item *item)
{
    return item->order_us - (int64_t)item->terms.priority * model->ageing_ms * 1000;
}

/* The ready item of a group that stands first. */
static struct wm_item *first_ready(struct wm *model, uint32_t queue, uint32_t group)
{
    struct wm_item *best = NULL;
    for (uint32_t at = 0; at < model->item_count; at++) {
        struct wm_item *item = &model->items[at];
        if (item->queue != queue || item->group != group || item->state != ITEM_READY) continue;
        bool is_better = best == NULL || rank(model, item) < rank(model, best) ||
                         (rank(model, item) == rank(model, best) && item->number < best->number);
        if (is_better) best = item;
    }
    return best;
}

/* ------------------------------------------------------------------- the ring */

/* When the rate of the group lets it give; INT64_MIN without one. */
static int64_t rate_due(const struct wm *model, uint32_t queue, uint32_t group)
{
    const struct group_limits *limits = limits_of(model, queue, group);
    if (limits->rate_count == 0) return INT64_MIN;
    int64_t interval_ns = limits->rate_ms * NS_PER_MS / limits->rate_count;
    int64_t rate_ns = model->queues[queue].groups[group].rate_ns;
    return rate_ns == INT64_MIN ? INT64_MIN : rate_ns - interval_ns * (limits->burst - 1);
}

static bool wants(struct wm *model, uint32_t queue, uint32_t group)
{
    const struct group_limits *limits = limits_of(model, queue, group);
    if (first_ready(model, queue, group) == NULL) return false;
    if (model->queues[queue].groups[group].is_paused) return false;
    return limits->running_max == 0 || count(model, queue, group, ITEM_TAKEN) < limits->running_max;
}

static void judge(struct wm *model, uint32_t queue, uint32_t group)
{
    struct wm_queue *q = &model->queues[queue];
    if (limits_of(model, queue, group)->rate_count == 0) q->groups[group].rate_ns = INT64_MIN;
    uint32_t weight = limits_of(model, queue, group)->weight;
    if (q->groups[group].deficit > weight) q->groups[group].deficit = weight;
    bool can = wants(model, queue, group) && rate_due(model, queue, group) <= model->time_ns;
    uint32_t at = 0;
    while (at < q->ring_count && q->ring[at] != group) {
        at++;
    }
    bool is_in = at < q->ring_count;
    if (can && !is_in) q->ring[q->ring_count++] = group;
    if (can || !is_in) return;
    q->groups[group].deficit = 0;
    q->ring_count--;
    for (; at < q->ring_count; at++) {
        q->ring[at] = q->ring[at + 1];
    }
}

/* ------------------------------------------------------------------ elementary */

static int64_t forget_at_us(const struct wm_item *item)
{
    int64_t at_us = item->ended_at_us + (int64_t)item->terms.retention_ms * 1000;
    int64_t over_us = item->put_at_us + (int64_t)item->terms.unique_ms * 1000;
    bool has_window = item->key != WM_NO_KEY && item->terms.unique_scope == UNIQUE_WINDOW;
    return has_window && over_us > at_us ? over_us : at_us;
}

/* What was taken once was taken in time. */
static bool can_expire(const struct wm_item *item)
{
    return item->terms.expires_at_us > 0 && item->token == 0;
}

static void arm(struct wm *model, struct wm_item *item)
{
    int64_t at_us = INT64_MAX;
    bool has_expiry = can_expire(item);
    if (item->state == ITEM_DELAYED && !item->is_kept_back) at_us = item->run_at_us;
    if (is_waiting(item) && has_expiry && item->terms.expires_at_us < at_us) {
        at_us = item->terms.expires_at_us;
    }
    if (item->state == ITEM_DONE || item->state == ITEM_CANCELLED) at_us = forget_at_us(item);
    item->timer_ns = INT64_MAX;
    if (at_us == INT64_MAX) return;
    int64_t left_us = at_us - model->wall_us;
    item->timer_ns = model->time_ns + (left_us < 0 ? 0 : left_us * 1000);
}

static void set_order(struct wm *model, struct wm_item *item, int64_t run_at_us)
{
    item->run_at_us = run_at_us;
    if (run_at_us == 0) {
        model->order_us = model->wall_us > model->order_us ? model->wall_us : model->order_us + 1;
    }
    item->order_us = run_at_us == 0 ? model->order_us : run_at_us;
}

static void enter(struct wm *model, struct wm_item *item, enum item_state state)
{
    item->state = state;
    item->entered = ++model->entered;
    if (state == ITEM_DELAYED) item->delayed = item->entered;
    item->timer_ns = INT64_MAX;
    judge(model, item->queue, item->group);
}

/* The key is given up; who was kept back for it is free. */
static void leave_key(struct wm *model, struct wm_item *item)
{
    uint32_t key = item->key;
    bool was_kept_back = item->is_kept_back;
    item->key = WM_NO_KEY;
    item->is_kept_back = false;
    if (key == WM_NO_KEY || was_kept_back) return;
    struct wm_item *heir = find_key(model, item->queue, key, true);
    if (heir == NULL) return;
    heir->is_kept_back = false;
    if (heir->run_at_us == 0) enter(model, heir, ITEM_READY);
    arm(model, heir);
}

static void move(struct wm *model, struct wm_item *item, enum item_state state)
{
    enter(model, item, state);
    if (item->key == WM_NO_KEY) return;
    unsigned scope = item->terms.unique_scope;
    bool is_over = state == ITEM_DONE || state == ITEM_DEAD || state == ITEM_CANCELLED;
    bool has_heir = !item->is_kept_back && find_key(model, item->queue, item->key, true) != NULL;
    bool is_left = state == ITEM_TAKEN
                       ? scope == UNIQUE_UNTIL_STARTED
                       : is_over && (scope != UNIQUE_WINDOW || state == ITEM_CANCELLED || has_heir);
    if (is_left) leave_key(model, item);
}

static void tell_awaits(struct wm *model, const struct wm_item *item, enum tenure_err err)
{
    for (uint32_t at = 0; at < model->taker_count;) {
        struct wm_taker *taker = &model->takers[at];
        if (taker->queue_count > 0 || taker->number != item->number) {
            at++;
            continue;
        }
        answer(model, taker->client, taker->tag, err, err == TENURE_OK ? item->id : "");
        model->taker_count--;
        memmove(taker, taker + 1, (model->taker_count - at) * sizeof *taker);
    }
}

static void forget(struct wm *model, struct wm_item *item)
{
    uint32_t queue = item->queue;
    uint32_t group = item->group;
    item->state = ITEM_STATE_COUNT;
    uint64_t number = item->number;
    leave_key(model, item);
    for (uint32_t at = 0; at < model->item_count; at++) {
        if (model->items[at].number != number) continue;
        model->item_count--;
        memmove(&model->items[at], &model->items[at + 1], (model->item_count - at) * sizeof *item);
        break;
    }
    judge(model, queue, group);
}

/* Done or cancelled. */
static void end_or_keep(struct wm *model, struct wm_item *item)
{
    item->ended_at_us = model->wall_us;
    item->is_cancelling = false;
    tell_awaits(model, item, TENURE_OK);
    if (forget_at_us(item) <= model->wall_us) {
        forget(model, item);
    } else {
        arm(model, item);
    }
}

static void cancel(struct wm *model, struct wm_item *item)
{
    record(model, RECORD_CANCELLED, item->id);
    move(model, item, ITEM_CANCELLED);
    end_or_keep(model, item);
}

static void stand_in_line(struct wm *model, struct wm_item *item)
{
    enum item_state state = item->run_at_us > 0 ? ITEM_DELAYED : ITEM_READY;
    if (item->state != state) move(model, item, state);
    arm(model, item);
}

static uint64_t mix(uint64_t value)
{
    value += UINT64_C(0x9e3779b97f4a7c15);
    value = (value ^ (value >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    value = (value ^ (value >> 27)) * UINT64_C(0x94d049bb133111eb);
    return value ^ (value >> 31);
}

static uint64_t backoff_ms(const struct wm *model, const struct wm_item *item)
{
    uint64_t max_ms =
        item->terms.backoff_ms_max > 0 ? item->terms.backoff_ms_max : LIMIT_BACKOFF_MS_MAX;
    uint64_t delay_ms = item->terms.backoff_ms;
    if (item->terms.backoff == ITEM_BACKOFF_EXPONENTIAL) delay_ms <<= item->attempts;
    if (delay_ms > max_ms) delay_ms = max_ms;
    uint64_t span_ms = delay_ms * item->terms.jitter / 100;
    return delay_ms - mix(model->random ^ item->number) % (span_ms + 1);
}

static void
fail(struct wm *model, struct wm_item *item, enum record_kind kind, uint32_t delay_ms, bool is_free)
{
    uint32_t lapses = item->lapses + 1;
    uint32_t attempts = item->attempts + 1;
    bool is_dead = kind == RECORD_BURIED;
    if (kind == RECORD_LAPSED) {
        is_dead = item->terms.lapses_max > 0 && lapses >= item->terms.lapses_max;
    } else if (kind == RECORD_FAILED && !is_free) {
        is_dead = item->terms.attempts_max > 0 && attempts >= item->terms.attempts_max;
    }
    uint64_t wait_ms = delay_ms == ENGINE_DELAY_BACKOFF ? backoff_ms(model, item) : delay_ms;
    bool is_cancelled = item->is_cancelling;
    record(model, kind, item->id);
    item->ending = kind;
    if (kind == RECORD_LAPSED) item->lapses = lapses;
    if (kind == RECORD_FAILED && !is_free) item->attempts = attempts;
    /* Burying is the worker's word, and it counts even when the item is to be cancelled. */
    if (kind == RECORD_BURIED) is_cancelled = false;
    if (is_cancelled) {
        move(model, item, ITEM_CANCELLED);
        end_or_keep(model, item);
    } else if (is_dead) {
        item->ended_at_us = model->wall_us;
        item->is_cancelling = false;
        move(model, item, ITEM_DEAD);
        tell_awaits(model, item, TENURE_OK);
    } else if (kind == RECORD_LAPSED) {
        item->run_at_us = 0;
        stand_in_line(model, item);
    } else {
        set_order(model, item, wait_ms == 0 ? 0 : model->wall_us + (int64_t)wait_ms * 1000);
        stand_in_line(model, item);
    }
}

/* ------------------------------------------------------------------------ put */

static bool is_key_over(struct wm *model, const struct wm_item *holder)
{
    if (holder->terms.unique_scope != UNIQUE_WINDOW) return false;
    if (find_key(model, holder->queue, holder->key, true) != NULL) return false;
    return holder->put_at_us + (int64_t)holder->terms.unique_ms * 1000 <= model->wall_us;
}

static void put_one(struct wm *model, uint64_t client, uint64_t tag, const struct wm_put *put)
{
    struct wm_item *known = put->id[0] == 0 ? NULL : find(model, put->queue, put->id);
    struct wm_item *holder = find_key(model, put->queue, put->key, false);
    struct wm_item *next = find_key(model, put->queue, put->key, true);
    struct wm_item *replaced = NULL;
    if (known == NULL && holder != NULL && !is_key_over(model, holder)) {
        unsigned conflict = put->terms.conflict;
        if (conflict == UNIQUE_IGNORE) {
            known = holder;
        } else if (is_waiting(holder) && next == NULL) {
            replaced = holder;
        } else if (conflict == UNIQUE_REPLACE || (next == NULL && holder->state != ITEM_TAKEN)) {
            known = holder;
        } else {
            replaced = next;
        }
    }
    if (known != NULL) {
        answer(model, client, tag, TENURE_OK, known->id)->is_repeat = true;
        return;
    }
    uint32_t size_max = limits_of(model, put->queue, put->group)->size_max;
    uint32_t size = count(model, put->queue, put->group, ITEM_DELAYED) +
                    count(model, put->queue, put->group, ITEM_READY);
    if (replaced != NULL && replaced->group == put->group) size--;
    if (model->item_count >= model->item_count_max || (size_max > 0 && size >= size_max)) {
        answer(model, client, tag, TENURE_TOO_MANY, put->id);
        return;
    }
    if (replaced != NULL) cancel(model, replaced);
    CHECK(model->item_count < WM_ITEM_MAX);
    struct wm_item *item = &model->items[model->item_count++];
    *item = (struct wm_item){ .queue = put->queue,
                              .group = put->group,
                              .number = model->seq + 1,
                              .terms = put->terms,
                              .key = put->key,
                              .state = ITEM_STATE_COUNT,
                              .put_at_us = model->wall_us };
    snprintf(item->id, sizeof item->id, "%s", put->id);
    if (put->id[0] == 0) {
        snprintf(item->id, sizeof item->id, "_%llu", (unsigned long long)item->number);
    }
    if (item->terms.run_at_us <= model->wall_us) item->terms.run_at_us = 0;
    record(model, RECORD_PUT, item->id);
    set_order(model, item, item->terms.run_at_us);
    /* The key is free, its time is over, or the item is kept back. */
    item->key = WM_NO_KEY;
    holder = find_key(model, put->queue, put->key, false);
    if (holder != NULL && is_key_over(model, holder)) {
        holder->key = WM_NO_KEY;
        holder = NULL;
    }
    item->is_kept_back = holder != NULL;
    item->key = put->key;
    enter(model, item, item->is_kept_back || item->run_at_us > 0 ? ITEM_DELAYED : ITEM_READY);
    arm(model, item);
    answer(model, client, tag, TENURE_OK, item->id);
}

void wm_put(
    struct wm *model, uint64_t client, uint64_t tag, const struct wm_put *puts, uint32_t number)
{
    if (!model->is_gate_open) {
        answer(model, client, tag, TENURE_UNAVAILABLE, "");
        return;
    }
    for (uint32_t at = 0; at < number; at++) {
        put_one(model, client, tag, &puts[at]);
    }
}

/* ----------------------------------------------------------------------- take */

static uint32_t give(struct wm *model, const struct wm_taker *taker, const bool *is_shut)
{
    uint32_t given = 0;
    for (uint32_t at = 0; at < taker->queue_count; at++) {
        struct wm_queue *queue = &model->queues[taker->queues[at]];
        while (given < taker->count_max && !queue->is_paused && queue->ring_count > 0 &&
               !(is_shut != NULL && is_shut[taker->queues[at]]))
        {
            uint32_t group = queue->ring[0];
            struct wm_item *item = first_ready(model, taker->queues[at], group);
            const struct group_limits *limits = limits_of(model, taker->queues[at], group);
            struct wm_group *g = &queue->groups[group];
            if (g->deficit == 0) g->deficit = limits->weight;
            g->deficit--;
            if (g->deficit == 0) {
                for (uint32_t place = 1; place < queue->ring_count; place++) {
                    queue->ring[place - 1] = queue->ring[place];
                }
                queue->ring[queue->ring_count - 1] = group;
            }
            if (limits->rate_count > 0) {
                if (g->rate_ns < model->time_ns) g->rate_ns = model->time_ns;
                g->rate_ns += limits->rate_ms * NS_PER_MS / limits->rate_count;
            }
            record(model, RECORD_TAKEN, item->id);
            move(model, item, ITEM_TAKEN);
            item->is_durable = false;
            item->taken_seq = model->seq;
            item->token = ++model->token_high;
            if (item->token < (uint64_t)model->wall_us) item->token = (uint64_t)model->wall_us;
            model->token_high = item->token;
            item->ending = 0;
            item->lease_ms = taker->lease_ms > 0 ? taker->lease_ms : item->terms.lease_ms;
            item->grace_ms = taker->grace_ms;
            item->is_bound = taker->is_bound;
            item->is_orphan = false;
            item->client = taker->client;
            item->timeout_ns = INT64_MAX;
            answer(model, taker->client, taker->tag, TENURE_OK, item->id);
            given++;
        }
    }
    return given;
}

void wm_take(struct wm *model, const struct wm_taker *take, uint32_t wait_ms)
{
    if (!model->is_gate_open) {
        answer(model, take->client, take->tag, TENURE_UNAVAILABLE, "");
        return;
    }
    bool is_shut[WM_QUEUE_COUNT] = { false };
    for (uint32_t at = 0; at < model->taker_count; at++) {
        for (uint32_t queue = 0; queue < model->takers[at].queue_count; queue++) {
            is_shut[model->takers[at].queues[queue]] = true;
        }
    }
    if (give(model, take, is_shut) > 0) return;
    if (wait_ms == 0) {
        answer(model, take->client, take->tag, TENURE_TIMEOUT, "");
        return;
    }
    CHECK(model->taker_count < WM_TAKER_MAX);
    model->takers[model->taker_count] = *take;
    model->takers[model->taker_count++].deadline_ns = model->time_ns + wait_ms * NS_PER_MS;
    model->is_waiting = true;
}

static void remove_taker(struct wm *model, uint32_t at)
{
    model->taker_count--;
    memmove(
        &model->takers[at],
        &model->takers[at + 1],
        (model->taker_count - at) * sizeof model->takers[0]);
}

void wm_finish(struct wm *model)
{
    for (uint32_t at = 0; model->is_gate_open && at < model->taker_count;) {
        const struct wm_taker *taker = &model->takers[at];
        bool can = false;
        for (uint32_t queue = 0; queue < taker->queue_count; queue++) {
            const struct wm_queue *q = &model->queues[taker->queues[queue]];
            can = can || (!q->is_paused && q->ring_count > 0);
        }
        if (!can) {
            at++;
        } else if (taker->deadline_ns <= model->time_ns) {
            answer(model, taker->client, taker->tag, TENURE_TIMEOUT, "");
            remove_taker(model, at);
        } else {
            give(model, taker, NULL);
            remove_taker(model, at);
        }
    }
}

/* -------------------------------------------------------------------- workers */

static struct wm_item *find_held(struct wm *model, const struct wm_claim *claim)
{
    struct wm_item *item = find(model, claim->queue, claim->id);
    bool is_held = item != NULL && item->state == ITEM_TAKEN && item->token == claim->token;
    return is_held ? item : NULL;
}

static void begin_lease(struct wm *model, struct wm_item *item)
{
    uint32_t lease_ms = item->lease_ms;
    if (item->is_orphan && item->grace_ms < lease_ms) lease_ms = item->grace_ms;
    item->deadline_ns = model->time_ns + lease_ms * NS_PER_MS;
}

void wm_extend(struct wm *model, uint64_t client, uint64_t tag, const struct wm_claim *claim)
{
    struct wm_item *item = find_held(model, claim);
    if (item == NULL) {
        const struct wm_item *other = find(model, claim->queue, claim->id);
        answer(model, client, tag, TENURE_LOST, other == NULL ? "" : other->id);
        return;
    }
    if (claim->lease_ms != ENGINE_TTL_KEEP && claim->lease_ms != item->lease_ms) {
        record(model, RECORD_EXTENDED, item->id);
        item->lease_ms = claim->lease_ms;
    }
    if (claim->is_binding) {
        if (item->is_bound || item->is_orphan) item->client = client;
        item->is_bound = item->is_bound || item->is_orphan;
    }
    item->is_orphan = false;
    if (item->is_durable) begin_lease(model, item);
    answer(model, client, tag, TENURE_OK, item->id);
}

void wm_end(struct wm *model, const struct engine_command *command, const struct wm_claim *claim)
{
    struct wm_item *item = find_held(model, claim);
    struct wm_item *other = find(model, claim->queue, claim->id);
    enum record_kind kind = command->kind == ENGINE_DONE   ? RECORD_DONE
                            : command->kind == ENGINE_FAIL ? RECORD_FAILED
                                                           : RECORD_BURIED;
    if (item == NULL) {
        bool is_repeat = other != NULL && other->token == claim->token &&
                         other->state != ITEM_TAKEN && other->ending == kind;
        answer(
            model,
            command->client,
            command->tag,
            is_repeat ? TENURE_OK : TENURE_LOST,
            other == NULL ? "" : other->id)
            ->is_repeat = is_repeat;
        return;
    }
    char id[sizeof item->id];
    memcpy(id, item->id, sizeof id);
    if (kind == RECORD_DONE) {
        record(model, RECORD_DONE, item->id);
        item->ending = RECORD_DONE;
        move(model, item, ITEM_DONE);
        end_or_keep(model, item);
    } else {
        bool is_free = kind == RECORD_FAILED && command->as.end_work.is_free;
        fail(model, item, kind, command->as.end_work.delay_ms, is_free);
    }
    answer(model, command->client, command->tag, TENURE_OK, id);
}

/* ------------------------------------------------------------- administrators */

void wm_cancel(struct wm *model, uint64_t client, uint64_t tag, uint32_t queue, const char *id)
{
    struct wm_item *item = find(model, queue, id);
    answer(model, client, tag, item == NULL ? TENURE_NOT_FOUND : TENURE_OK, item == NULL ? "" : id);
    if (item == NULL) return;
    if (is_waiting(item)) {
        cancel(model, item);
    } else if (item->state == ITEM_TAKEN && !item->is_cancelling) {
        record(model, RECORD_CANCELLING, item->id);
        item->is_cancelling = true;
    }
}

static void kick(struct wm *model, struct wm_item *item, int64_t run_at_us)
{
    record(model, RECORD_KICKED, item->id);
    if (item->state == ITEM_DEAD) {
        item->attempts = 0;
        item->lapses = 0;
    }
    set_order(model, item, run_at_us);
    stand_in_line(model, item);
}

void wm_kick(struct wm *model, uint64_t client, uint64_t tag, uint32_t queue, const char *id)
{
    struct wm_item *item = find(model, queue, id);
    answer(model, client, tag, item == NULL ? TENURE_NOT_FOUND : TENURE_OK, item == NULL ? "" : id);
    if (item == NULL) return;
    bool is_kicked =
        item->state == ITEM_DEAD || (item->state == ITEM_DELAYED && !item->is_kept_back);
    if (is_kicked) kick(model, item, 0);
}

/* All of them, in the order in which they entered the state. */
void wm_sweep(
    struct wm *model, const struct engine_command *command, uint32_t queue, uint32_t group)
{
    const struct engine_sweep *sweep = &command->as.sweep;
    enum item_state state = command->kind == ENGINE_REDRIVE ? ITEM_DEAD : sweep->state;
    uint64_t until = model->entered; /* what enters the state because of the sweep stays */
    answer(model, command->client, command->tag, TENURE_OK, "");
    for (;;) {
        struct wm_item *best = NULL;
        for (uint32_t at = 0; at < model->item_count; at++) {
            struct wm_item *item = &model->items[at];
            bool is_meant = item->queue == queue && item->state == state &&
                            item->entered <= until && (!sweep->has_group || item->group == group);
            if (is_meant && (best == NULL || item->entered < best->entered)) best = item;
        }
        if (best == NULL) return;
        if (command->kind == ENGINE_REDRIVE) {
            kick(model, best, 0);
        } else {
            record(model, RECORD_REMOVED, best->id);
            tell_awaits(model, best, TENURE_NOT_FOUND);
            forget(model, best);
        }
    }
}

void wm_await(
    struct wm *model, const struct engine_command *command, uint32_t queue, const char *id)
{
    const struct wm_item *item = find(model, queue, id);
    uint32_t wait_ms = command->as.await_end.wait_ms;
    if (item == NULL) {
        answer(model, command->client, command->tag, TENURE_NOT_FOUND, "");
        return;
    }
    bool is_over = !is_waiting(item) && item->state != ITEM_TAKEN;
    if (is_over || wait_ms == 0) {
        answer(model, command->client, command->tag, is_over ? TENURE_OK : TENURE_TIMEOUT, id);
        return;
    }
    CHECK(model->taker_count < WM_TAKER_MAX);
    model->takers[model->taker_count++] =
        (struct wm_taker){ .client = command->client,
                           .tag = command->tag,
                           .number = item->number,
                           .deadline_ns = model->time_ns + wait_ms * NS_PER_MS };
    model->is_waiting = true;
}

void wm_scope(
    struct wm *model, const struct engine_command *command, uint32_t queue, uint32_t group)
{
    const struct engine_scope *scope = &command->as.scope;
    struct wm_queue *q = &model->queues[queue];
    struct wm_group *g = &q->groups[group];
    answer(model, command->client, command->tag, TENURE_OK, "");
    bool *is_paused = scope->is_whole ? &q->is_paused : &g->is_paused;
    struct group_limits *limits = scope->is_whole ? &q->limits : &g->limits;
    if (command->kind == ENGINE_LIMIT) {
        if (memcmp(limits, &scope->limits, sizeof *limits) == 0) return;
        record(model, RECORD_LIMITED, "");
        *limits = scope->limits;
        struct group_limits none = GROUP_LIMITS_NONE;
        if (!scope->is_whole) g->has_limits = memcmp(limits, &none, sizeof none) != 0;
    } else {
        bool is_pause = command->kind == ENGINE_PAUSE;
        if (*is_paused == is_pause) return;
        record(model, is_pause ? RECORD_PAUSED : RECORD_RESUMED, "");
        *is_paused = is_pause;
    }
    for (uint32_t other = 0; other < WM_GROUP_COUNT; other++) {
        if (other == group || scope->is_whole) judge(model, queue, other);
    }
}

void wm_give_up(struct wm *model, uint64_t client, uint64_t tag)
{
    for (uint32_t at = 0; at < model->taker_count; at++) {
        if (model->takers[at].client != client || model->takers[at].tag != tag) continue;
        answer(model, client, tag, TENURE_CANCELED, "");
        remove_taker(model, at);
        return;
    }
    answer(model, client, tag, TENURE_NOT_FOUND, "");
}

/* ----------------------------------------------------------------------- time */

static bool fire_taker(struct wm *model)
{
    uint32_t best = WM_TAKER_MAX;
    for (uint32_t at = 0; at < model->taker_count; at++) {
        int64_t deadline_ns = model->takers[at].deadline_ns;
        if (deadline_ns > model->time_ns) continue;
        if (best == WM_TAKER_MAX || deadline_ns < model->takers[best].deadline_ns) best = at;
    }
    if (best == WM_TAKER_MAX) return false;
    answer(model, model->takers[best].client, model->takers[best].tag, TENURE_TIMEOUT, "");
    remove_taker(model, best);
    return true;
}

static bool fire_item(struct wm *model)
{
    struct wm_item *best = NULL;
    for (uint32_t at = 0; at < model->item_count; at++) {
        struct wm_item *item = &model->items[at];
        if (item->timer_ns > model->time_ns) continue;
        bool is_better = best == NULL || item->timer_ns < best->timer_ns ||
                         (item->timer_ns == best->timer_ns && item->number < best->number);
        if (is_better) best = item;
    }
    if (best == NULL) return false;
    int64_t expires_at_us = best->terms.expires_at_us;
    if (!is_waiting(best)) {
        record(model, RECORD_REMOVED, best->id);
        forget(model, best);
    } else if (
        can_expire(best) &&
        (best->state == ITEM_READY || best->is_kept_back || expires_at_us < best->run_at_us))
    {
        cancel(model, best);
    } else {
        move(model, best, ITEM_READY);
        arm(model, best);
    }
    return true;
}

static bool fire_lease(struct wm *model)
{
    struct wm_item *best = NULL;
    int64_t best_ns = INT64_MAX;
    for (uint32_t at = 0; at < model->item_count; at++) {
        struct wm_item *item = &model->items[at];
        if (item->state != ITEM_TAKEN || !item->is_durable) continue;
        int64_t end_ns =
            item->deadline_ns < item->timeout_ns ? item->deadline_ns : item->timeout_ns;
        bool is_better =
            end_ns < best_ns || (end_ns == best_ns && best != NULL && item->number < best->number);
        if (end_ns > model->time_ns || !is_better) continue;
        best = item;
        best_ns = end_ns;
    }
    if (best == NULL) return false;
    bool is_timeout = best->timeout_ns <= best->deadline_ns;
    struct wm_item late = *best;
    fail(model, best, is_timeout ? RECORD_FAILED : RECORD_LAPSED, ENGINE_DELAY_BACKOFF, false);
    /* Its worker has lost it; it did not say that it failed. */
    best = find(model, late.queue, late.id);
    if (best != NULL && best->number == late.number) best->ending = RECORD_LAPSED;
    return true;
}

void wm_timer(struct wm *model)
{
    while (fire_taker(model) || fire_item(model) || fire_lease(model)) {
    }
    /* Rates: only one group of each queue has one. */
    for (uint32_t queue = 0; queue < WM_QUEUE_COUNT; queue++) {
        for (uint32_t group = 0; group < WM_GROUP_COUNT; group++) {
            judge(model, queue, group);
        }
    }
}

void wm_gone(struct wm *model, uint64_t client)
{
    for (uint32_t at = 0; at < model->taker_count;) {
        if (model->takers[at].client == client) {
            remove_taker(model, at);
        } else {
            at++;
        }
    }
    for (uint32_t at = 0; at < model->item_count; at++) {
        struct wm_item *item = &model->items[at];
        if (item->state != ITEM_TAKEN || !item->is_bound || item->client != client) continue;
        item->is_bound = false;
        item->is_orphan = true;
        int64_t end_ns = model->time_ns + item->grace_ms * NS_PER_MS;
        if (item->is_durable && end_ns < item->deadline_ns) item->deadline_ns = end_ns;
    }
}

void wm_durable(struct wm *model, uint64_t seq)
{
    for (uint32_t at = 0; at < model->item_count; at++) {
        struct wm_item *item = &model->items[at];
        if (item->state != ITEM_TAKEN || item->is_durable || item->taken_seq > seq) continue;
        item->is_durable = true;
        if (item->terms.timeout_ms > 0) {
            item->timeout_ns = model->time_ns + item->terms.timeout_ms * NS_PER_MS;
        }
        begin_lease(model, item);
    }
}

void wm_gate(struct wm *model, bool is_open)
{
    model->is_gate_open = is_open;
}

/* Nobody waits, leases have their full time, whose turn it is goes by the first item. */
void wm_restart(struct wm *model)
{
    model->taker_count = 0;
    model->is_gate_open = true;
    for (uint32_t at = 0; at < model->item_count; at++) {
        struct wm_item *item = &model->items[at];
        if (is_waiting(item)) {
            bool is_delayed = item->run_at_us > 0 || item->is_kept_back;
            item->state = is_delayed ? ITEM_DELAYED : ITEM_READY;
            if (is_delayed) item->entered = item->delayed;
        }
        arm(model, item);
        item->is_durable = false;
        item->is_bound = false;
        item->is_orphan = false;
    }
    wm_durable(model, UINT64_MAX);
    for (uint32_t queue = 0; queue < WM_QUEUE_COUNT; queue++) {
        struct wm_queue *q = &model->queues[queue];
        q->ring_count = 0;
        for (;;) {
            struct wm_item *best = NULL;
            for (uint32_t group = 0; group < WM_GROUP_COUNT; group++) {
                bool is_in = false;
                for (uint32_t at = 0; at < q->ring_count; at++) {
                    is_in = is_in || q->ring[at] == group;
                }
                q->groups[group].deficit = 0;
                bool can = !is_in && wants(model, queue, group) &&
                           rate_due(model, queue, group) <= model->time_ns;
                struct wm_item *first = can ? first_ready(model, queue, group) : NULL;
                if (first == NULL) continue;
                bool is_better =
                    best == NULL || rank(model, first) < rank(model, best) ||
                    (rank(model, first) == rank(model, best) && first->number < best->number);
                if (is_better) best = first;
            }
            if (best == NULL) break;
            q->ring[q->ring_count++] = best->group;
        }
    }
}
