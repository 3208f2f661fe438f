/* work_admin - what administrators, and time, do to items, queues and groups. */
#include "base/utf8.h"
#include "engine/output.h"
#include "engine/taker.h"
#include "engine/work_apply.h"
#include "engine/work_commands.h"

/* ------------------------------------------------------------------- common */

bool work_is_name(struct bytes name)
{
    return name.size > 0 && name.size <= LIMIT_NAME_SIZE_MAX && utf8_is_plain(name);
}

enum tenure_err work_gate(const struct engine *engine)
{
    switch (engine->gate) {
    case ENGINE_GATE_OPEN: return TENURE_OK;
    case ENGINE_GATE_NO_SPACE: return TENURE_NO_SPACE;
    case ENGINE_GATE_SLOW: return TENURE_UNAVAILABLE;
    case ENGINE_GATE_DRAINING: return TENURE_DRAINING;
    }
    UNREACHABLE("all gates are handled");
}

const char *work_gate_detail(const struct engine *engine)
{
    bool is_slow = engine->gate == ENGINE_GATE_SLOW;
    return is_slow ? "the disk is not answering: nothing new until it does" : NULL;
}

struct engine_item_result *
work_answer(struct engine *engine, const struct engine_command *command, const struct item *item)
{
    struct engine_reply *reply = output_reply(engine, command->client, command->tag);
    reply->kind = command->kind;
    struct engine_item_result *result = output_item(engine);
    item_view(engine, item, &result->item);
    output_depend(engine, item->group->work->last_seq);
    return result;
}

static bool reserve_answer(struct engine *engine)
{
    return output_reserve(engine, 0, 1, 0) && output_reserve_items(engine, 1);
}

/* Room for one record about an item, and for all that wait for its end. */
static bool reserve_change(struct engine *engine, const struct item *item, struct bytes reason)
{
    size_t size = output_record_size(work_name(item->group->work), item_id(item), reason);
    uint32_t count = 1 + taker_count_of_item(engine, item);
    return output_reserve(engine, size, count, 0) && output_reserve_items(engine, count) &&
           item_reserve_timers(engine, 1);
}

static void record_change(struct engine *engine, const struct item *item, struct record *record)
{
    record->id = item_id(item);
    output_work_record(engine, item->group->work, record);
}

static struct item *find_named(struct engine *engine, const struct engine_command *command)
{
    const struct engine_item_name *name = &command->as.item;
    if (name->reason.size > LIMIT_REASON_SIZE_MAX || !utf8_is_plain(name->reason)) {
        output_refuse(
            engine,
            command,
            TENURE_INVALID,
            name->queue,
            "reason: up to 255 bytes of UTF-8 without control characters");
        return NULL;
    }
    const struct work *work = work_find(engine, name->queue);
    struct item *item = work == NULL ? NULL : item_find(engine, work, name->id);
    if (item != NULL && reserve_answer(engine)) return item;
    enum tenure_err err = item == NULL ? TENURE_NOT_FOUND : TENURE_NO_MEMORY;
    output_refuse(engine, command, err, name->queue, NULL);
    output_depend(engine, work == NULL ? engine->seq : work->last_seq);
    return NULL;
}

/* -------------------------------------------------------------------- cancel */

bool work_cancel(struct engine *engine, struct item *item, struct bytes reason)
{
    struct note *note;
    if (!reserve_change(engine, item, reason) || !note_create(engine, reason, &note)) return false;
    struct record record = { .kind = RECORD_CANCELLED, .reason = reason };
    record_change(engine, item, &record);
    work_apply_cancelled(engine, item, note, &record);
    taker_note_end(engine, item, TENURE_OK);
    return true;
}

void command_cancel_item(struct engine *engine, const struct engine_command *command)
{
    struct bytes reason = command->as.item.reason;
    struct item *item = find_named(engine, command);
    if (item == NULL) return;
    bool is_waiting = item->state == ITEM_DELAYED || item->state == ITEM_READY;
    bool is_done = true;
    if (is_waiting) {
        is_done = work_cancel(engine, item, reason);
    } else if (item->state == ITEM_TAKEN && !item->is_cancelling) {
        is_done = reserve_change(engine, item, reason);
        struct record record = { .kind = RECORD_CANCELLING, .reason = reason };
        if (is_done) record_change(engine, item, &record);
        if (is_done) work_apply_cancelling(engine, item);
    }
    if (is_done) {
        (void)work_answer(engine, command, item);
    } else {
        output_refuse(engine, command, TENURE_NO_MEMORY, command->as.item.queue, NULL);
    }
}

/* ---------------------------------------------------------------------- kick */

/* False when there is no memory; nothing has changed. */
static bool kick(struct engine *engine, struct item *item, struct bytes reason, int64_t run_at_us)
{
    bool is_dead = item->state == ITEM_DEAD;
    if (!reserve_change(engine, item, reason)) return false;
    if (is_dead && !item_reserve_ready(engine, item->group)) return false;
    struct record record = {
        .kind = RECORD_KICKED, .reason = reason, .run_at_us = run_at_us, .is_counted = is_dead
    };
    record_change(engine, item, &record);
    work_apply_kicked(engine, item, &record);
    return true;
}

void command_kick(struct engine *engine, const struct engine_command *command)
{
    struct item *item = find_named(engine, command);
    if (item == NULL) return;
    bool is_kicked =
        item->state == ITEM_DEAD || (item->state == ITEM_DELAYED && !item->is_kept_back);
    if (is_kicked && !kick(engine, item, command->as.item.reason, 0)) {
        output_refuse(engine, command, TENURE_NO_MEMORY, command->as.item.queue, NULL);
        return;
    }
    (void)work_answer(engine, command, item);
}

/* -------------------------------------------------------------------- sweeps */

static bool matches(const struct item *item, const struct engine_sweep *sweep)
{
    if (sweep->has_group && !bytes_equal(group_name(item->group), sweep->group)) return false;
    return bytes_start_with(item_note(item), sweep->reason);
}

bool work_remove(struct engine *engine, struct item *item, struct bytes reason)
{
    if (!reserve_change(engine, item, reason)) return false;
    struct record record = { .kind = RECORD_REMOVED, .reason = reason };
    record_change(engine, item, &record);
    taker_note_end(engine, item, TENURE_NOT_FOUND);
    work_apply_removed(engine, item);
    return true;
}

/* When the next one is ready, after so many; 0: now. */
static int64_t redriven_at_us(const struct engine *engine, uint32_t interval_ms, uint64_t count)
{
    int64_t delay_us;
    if (interval_ms == 0 || count == 0) return 0;
    bool is_far = __builtin_mul_overflow((int64_t)interval_ms * 1000, count, &delay_us) ||
                  delay_us > LIMIT_RUN_AT_US_MAX - engine->wall.us;
    return is_far ? LIMIT_RUN_AT_US_MAX : engine->wall.us + delay_us;
}

/* False when there is no memory. */
static bool sweep_one(
    struct engine *engine, const struct engine_command *command, struct item *item, uint64_t count)
{
    if (command->kind == ENGINE_PURGE) return work_remove(engine, item, BYTES_LITERAL("purged"));
    int64_t run_at_us = redriven_at_us(engine, command->as.sweep.interval_ms, count);
    return kick(engine, item, BYTES_LITERAL("redriven"), run_at_us);
}

/* How far a sweep has come. */
struct sweeping {
    const struct engine_command *command;
    struct list *head;
    enum item_state state;
    struct engine_sweep_cursor cursor; /* the last one that stays */
    uint32_t count;                    /* in this step */
    bool is_swept;                     /* to the end */
};

static struct engine_item_cursor cursor_at(const struct item *item)
{
    return (struct engine_item_cursor){ item->entered, item_id(item) };
}

/* What comes behind this item, which is swept.  NULL when there is no memory. */
static struct list *sweep_from(struct engine *engine, struct sweeping *sweeping, struct item *item)
{
    struct list *next = item->link.next;
    struct list *after = next->next;
    struct engine_item_cursor here = cursor_at(item);
    if (!sweep_one(engine, sweeping->command, item, sweeping->cursor.count)) return NULL;
    sweeping->count++;
    sweeping->cursor.count++;
    if (sweeping->cursor.after.entered == 0) sweeping->cursor.after = here;
    /* It was kept back for the key of this one, and has left the list as well. */
    bool has_left = next != sweeping->head && item_from_link(next)->state != sweeping->state;
    return has_left ? after : next;
}

/* False when there is no memory. */
static bool sweep_list(struct engine *engine, struct sweeping *sweeping, struct list *link)
{
    const struct engine_sweep *wish = &sweeping->command->as.sweep;
    for (uint32_t left = engine->options.look_count_max; link != sweeping->head; left--) {
        struct item *item = item_from_link(link);
        if (item->entered > sweeping->cursor.until) break;
        if (left == 0) return true;
        if (!matches(item, wish)) {
            sweeping->cursor.after = cursor_at(item);
            link = link->next;
            continue;
        }
        if (sweeping->count == wish->count_max) return true;
        link = sweep_from(engine, sweeping, item);
        if (link == NULL) return false;
    }
    sweeping->is_swept = true;
    return true;
}

static void sweep(struct engine *engine, const struct engine_command *command, struct work *work)
{
    const struct engine_sweep *wish = &command->as.sweep;
    enum item_state state = command->kind == ENGINE_REDRIVE ? ITEM_DEAD : wish->state;
    struct sweeping sweeping = {
        .command = command, .head = &work->states[state], .state = state, .cursor = wish->cursor
    };
    if (sweeping.cursor.until == 0) sweeping.cursor.until = engine->works.entered_count;
    work->pin_count++;
    struct list *link = work_list_from(engine, work, state, &sweeping.cursor.after);
    bool is_done = link == NULL || sweep_list(engine, &sweeping, link);
    struct engine_reply *reply = output_reply(engine, command->client, command->tag);
    reply->kind = command->kind;
    reply->err = is_done || sweeping.count > 0 ? TENURE_OK : TENURE_NO_MEMORY;
    reply->swept_count = sweeping.count;
    reply->is_swept = sweeping.is_swept;
    if (!sweeping.is_swept) reply->swept_to = sweeping.cursor;
    output_depend(engine, work->last_seq);
    work->pin_count--;
    work_settle(engine, work);
}

void command_sweep(struct engine *engine, const struct engine_command *command)
{
    const struct engine_sweep *wish = &command->as.sweep;
    struct work *work = work_find(engine, wish->queue);
    bool is_purge = command->kind == ENGINE_PURGE;
    if (wish->count_max == 0 || wish->count_max > LIMIT_ITEM_COUNT_MAX) {
        output_refuse(engine, command, TENURE_INVALID, wish->queue, "count: 1 to 1024");
    } else if (is_purge && (wish->state >= ITEM_STATE_COUNT || wish->state == ITEM_TAKEN)) {
        output_refuse(
            engine, command, TENURE_INVALID, wish->queue, "state: any but taken can be purged");
    } else if (wish->interval_ms > LIMIT_BACKOFF_MS_MAX) {
        output_refuse(engine, command, TENURE_INVALID, wish->queue, "interval_ms: up to 86400000");
    } else if (work == NULL) {
        output_refuse(engine, command, TENURE_NOT_FOUND, wish->queue, NULL);
        output_depend(engine, engine->seq);
    } else {
        sweep(engine, command, work);
    }
}

/* --------------------------------------------------------------------- scope */

static bool is_scope_sound(const struct engine_command *command)
{
    const struct engine_scope *scope = &command->as.scope;
    if (!work_is_name(scope->queue)) return false;
    if (scope->group.size > LIMIT_GROUP_SIZE_MAX || !utf8_is_plain(scope->group)) return false;
    if (scope->is_whole && scope->group.size > 0) return false;
    return command->kind != ENGINE_LIMIT || record_are_limits_sound(&scope->limits);
}

/* Would it change nothing? */
static bool is_so_already(
    const struct engine_command *command, const struct work *work, const struct group *group)
{
    bool is_paused = group == NULL ? work->is_paused : group->is_paused;
    if (command->kind == ENGINE_PAUSE) return is_paused;
    if (command->kind == ENGINE_RESUME) return !is_paused;
    const struct group_limits *limits = group == NULL ? &work->limits : &group->limits;
    return memcmp(limits, &command->as.scope.limits, sizeof *limits) == 0;
}

/* What is paused or limited is kept without any item: so it has a limit, which is that of items. */
static bool has_room_for(const struct engine *engine, const struct engine_scope *scope)
{
    const struct works *works = &engine->works;
    const struct work *work = work_find(engine, scope->queue);
    bool is_known =
        work != NULL && (scope->is_whole || group_find(engine, work, scope->group) != NULL);
    uint64_t count = (uint64_t)works->work_count + works->group_count;
    return is_known || count < engine->options.item_count_max;
}

/* False when there is no memory. */
static bool
change_scope(struct engine *engine, const struct engine_command *command, struct work *work)
{
    const struct engine_scope *scope = &command->as.scope;
    struct group *group = NULL;
    if (!scope->is_whole) {
        group = group_obtain(engine, work, scope->group);
        if (group == NULL) return false;
    }
    size_t size = output_record_size(scope->queue, scope->group, (struct bytes){ 0 });
    bool has_room = output_reserve(engine, size, 1, 0);
    bool is_same = is_so_already(command, work, group);
    if (!has_room || is_same) {
        if (group != NULL) group_settle(engine, group);
        if (!has_room) return false;
    }
    struct engine_reply *reply = output_reply(engine, command->client, command->tag);
    reply->kind = command->kind;
    reply->seq = work->last_seq;
    if (is_same) return true;
    struct record record = { .kind = command->kind == ENGINE_PAUSE    ? RECORD_PAUSED
                                     : command->kind == ENGINE_RESUME ? RECORD_RESUMED
                                                                      : RECORD_LIMITED,
                             .group = scope->group,
                             .limits = scope->limits,
                             .is_whole = scope->is_whole };
    output_work_record(engine, work, &record);
    work_apply_scope(engine, work, group, &record);
    reply->seq = engine->seq;
    return true;
}

void command_scope(struct engine *engine, const struct engine_command *command)
{
    struct bytes name = command->as.scope.queue;
    if (!is_scope_sound(command)) {
        output_refuse(
            engine,
            command,
            TENURE_INVALID,
            name,
            "queue, group: up to 255 bytes of UTF-8; limits: burst and weight of 1 or more, and a "
            "burst that ends within 73 years");
        return;
    }
    if (engine->gate == ENGINE_GATE_NO_SPACE) {
        output_refuse(engine, command, TENURE_NO_SPACE, name, NULL);
        return;
    }
    if (!has_room_for(engine, &command->as.scope)) {
        output_refuse(engine, command, TENURE_TOO_MANY, name, "there are too many groups");
        return;
    }
    struct work *work = work_obtain(engine, name);
    if (work != NULL) work->pin_count++;
    if (work == NULL || !change_scope(engine, command, work)) {
        output_refuse(engine, command, TENURE_NO_MEMORY, name, NULL);
    }
    if (work == NULL) return;
    work->pin_count--;
    work_settle(engine, work);
}

/* ------------------------------------------------------------------ dispatch */

void work_command(struct engine *engine, const struct engine_command *command)
{
    switch (command->kind) {
    case ENGINE_PUT: command_put(engine, command); return;
    case ENGINE_TAKE: command_take(engine, command); return;
    case ENGINE_EXTEND: command_extend(engine, command); return;
    case ENGINE_DONE:
    case ENGINE_FAIL:
    case ENGINE_BURY: command_end_work(engine, command); return;
    case ENGINE_CANCEL_ITEM: command_cancel_item(engine, command); return;
    case ENGINE_KICK: command_kick(engine, command); return;
    case ENGINE_REDRIVE:
    case ENGINE_PURGE: command_sweep(engine, command); return;
    case ENGINE_AWAIT: command_await(engine, command); return;
    case ENGINE_PAUSE:
    case ENGINE_RESUME:
    case ENGINE_LIMIT: command_scope(engine, command); return;
    case ENGINE_ACQUIRE:
    case ENGINE_CANCEL:
    case ENGINE_RENEW:
    case ENGINE_RELEASE:
    case ENGINE_BREAK:
    case ENGINE_PROCLAIM:
    case ENGINE_TRANSFER:
    case ENGINE_CHANGE:
    case ENGINE_STATE_WAIT: break;
    }
    UNREACHABLE("commands about locks are handled by the caller");
}
