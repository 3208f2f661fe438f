/* work_put - items come in, one after the other; each has an answer of its own.
 *
 * In this order: is the item sound; is there one with this id already (the same put again); does
 * another one have its unique key; is there room?  Then everything is made, and only then is the
 * record. */
#include "base/utf8.h"
#include "engine/decimal_id.h"
#include "engine/output.h"
#include "engine/taker.h"
#include "engine/work_apply.h"
#include "engine/work_commands.h"

/* What one item leads to. */
struct put {
    const struct engine_put *wish;
    struct item_wish item;
    char made_id[DECIMAL_ID_SIZE_MAX];
    struct item *replaced; /* cancelled for it; NULL: none */
};

static const char *find_text_fault(const struct engine_put *put)
{
    if (put->id.size > LIMIT_ID_SIZE_MAX || !utf8_is_plain(put->id)) {
        return "id: up to 255 bytes of UTF-8 without control characters";
    }
    if (decimal_id_is_made(put->id)) return "id: an underscore and digits are for made ids";
    if (put->group.size > LIMIT_GROUP_SIZE_MAX || !utf8_is_plain(put->group)) {
        return "group: up to 255 bytes of UTF-8 without control characters";
    }
    if (put->headers.size > LIMIT_META_SIZE_MAX || !utf8_is_valid(put->headers)) {
        return "headers: up to 4096 bytes of UTF-8";
    }
    bool has_key = put->unique.size > 0;
    if (put->unique.size > LIMIT_UNIQUE_SIZE_MAX || !utf8_is_plain(put->unique) ||
        has_key != (put->terms.unique_scope != UNIQUE_NONE))
    {
        return "unique: a key of up to 255 bytes of UTF-8 without control characters, and a scope";
    }
    return NULL;
}

static const char *find_fault(const struct engine_put *put)
{
    if (!work_is_name(put->queue)) {
        return "queue: 1 to 255 bytes of UTF-8 without control characters";
    }
    const char *fault = find_text_fault(put);
    if (fault != NULL) return fault;
    if (put->terms.lease_ms < LIMIT_TTL_MS_MIN || put->terms.lease_ms > LIMIT_TTL_MS_MAX) {
        return "lease_ms: 100 to 86400000";
    }
    if (put->terms.priority > LIMIT_PRIORITY_MAX) return "priority: 0 to 9";
    return record_are_terms_sound(&put->terms) ? NULL : "the terms are not within the limits";
}

static void
refuse(struct engine *engine, const struct engine_put *put, enum tenure_err err, const char *detail)
{
    struct engine_item_result *result = output_item(engine);
    result->err = err;
    result->detail = detail;
    result->item.queue = put->queue;
    result->item.id = put->id;
}

/* It is there already, as itself or as the one that has its key. */
static void repeat(struct engine *engine, const struct item *item)
{
    struct engine_item_result *result = output_item(engine);
    result->is_repeat = true;
    item_view(engine, item, &result->item);
    output_depend(engine, item->group->work->last_seq);
}

/* Who has the key, if that keeps the new item out; else NULL, and perhaps one to replace. */
static const struct item *
find_rival(const struct engine *engine, const struct work *work, struct put *put)
{
    const struct engine_put *wish = put->wish;
    struct unique *unique = wish->unique.size == 0 ? NULL : unique_find(engine, work, wish->unique);
    if (unique == NULL || work_is_key_over(unique, engine->wall.us)) return NULL;
    struct item *holder = unique->item;
    bool is_waiting = holder->state == ITEM_DELAYED || holder->state == ITEM_READY;
    if (wish->terms.conflict == UNIQUE_IGNORE) return holder;
    if (is_waiting && unique->next == NULL) {
        put->replaced = holder;
        return NULL;
    }
    bool may_wait = unique->next != NULL || holder->state == ITEM_TAKEN;
    if (wish->terms.conflict == UNIQUE_REPLACE || !may_wait) return holder;
    put->replaced = unique->next;
    return NULL;
}

static enum tenure_err find_limit(
    const struct engine *engine,
    const struct work *work,
    const struct group *group,
    const struct put *put)
{
    const struct works *works = &engine->works;
    if (works->item_count >= engine->options.item_count_max) return TENURE_TOO_MANY;
    uint64_t size = put->item.body.size + put->item.headers.size;
    if (works->item_bytes + size > engine->options.item_bytes_max) return TENURE_TOO_MANY;
    /* A rate keeps groups that have no item any more. */
    bool is_new_group = group == NULL;
    if (is_new_group && works->group_count >= engine->options.item_count_max) {
        return TENURE_TOO_MANY;
    }
    const struct group_limits *limits = is_new_group ? &work->limits : group_limits(group);
    uint32_t count = is_new_group ? 0 : group->waiting_count;
    bool is_same_group = put->replaced != NULL && put->replaced->group == group;
    if (limits->size_max > 0 && count - is_same_group >= limits->size_max) return TENURE_TOO_MANY;
    return TENURE_OK;
}

/* Room for all that follows.  Replacing another item changes things, so nothing behind it may fail.
 */
static bool reserve(struct engine *engine, const struct group *group, const struct put *put)
{
    const struct item_wish *wish = &put->item;
    struct bytes name = work_name(group->work);
    size_t size = output_record_size(name, wish->id, wish->body) + wish->headers.size +
                  wish->unique.size + group->name_size;
    if (put->replaced != NULL) {
        size += output_record_size(name, item_id(put->replaced), BYTES_LITERAL("replaced"));
    }
    return output_reserve(engine, size, 0, 0) && item_reserve_timers(engine, 2);
}

/* A key of its own if nobody has it once the other item is replaced.  False: no memory. */
static bool prepare_key(
    struct engine *engine,
    const struct work *work,
    const struct put *put,
    struct unique **out_unique)
{
    struct bytes key = put->item.unique;
    bool is_freed = put->replaced != NULL && put->replaced->unique->item == put->replaced;
    if (!is_freed) return work_make_unique(engine, work, key, out_unique);
    return map_reserve(&engine->works.uniques) && work_new_unique(engine, key, out_unique);
}

/* The item as a record and in the state.  False when there is no memory; nothing has changed. */
static bool carry_out(struct engine *engine, struct group *group, const struct put *put)
{
    const struct item_wish *wish = &put->item;
    struct unique *unique;
    if (!reserve(engine, group, put)) return false;
    struct item *item = item_create(engine, group, wish);
    if (item == NULL) return false;
    if (!prepare_key(engine, group->work, put, &unique)) {
        item_discard(engine, item);
        return false;
    }
    if (put->replaced != NULL && !work_cancel(engine, put->replaced, BYTES_LITERAL("replaced"))) {
        work_discard_unique(engine, unique);
        item_discard(engine, item);
        return false;
    }
    struct record record = { .kind = RECORD_PUT,
                             .id = wish->id,
                             .group = group_name(group),
                             .unique = wish->unique,
                             .meta = wish->headers,
                             .body = wish->body,
                             .terms = wish->terms };
    output_work_record(engine, group->work, &record);
    work_apply_put(engine, item, unique, &record);
    item_view(engine, item, &output_item(engine)->item);
    output_depend(engine, engine->seq);
    return true;
}

/* False: no memory. */
static bool put_into(struct engine *engine, struct work *work, struct put *put)
{
    struct item *same = put->wish->id.size == 0 ? NULL : item_find(engine, work, put->wish->id);
    const struct item *known = same != NULL ? same : find_rival(engine, work, put);
    if (known != NULL) {
        repeat(engine, known);
        return true;
    }
    struct group *group = group_find(engine, work, put->wish->group);
    enum tenure_err err = find_limit(engine, work, group, put);
    if (err != TENURE_OK) {
        refuse(engine, put->wish, err, "a limit of the group or of the server is reached");
        return true;
    }
    if (group == NULL) group = group_obtain(engine, work, put->wish->group);
    if (group == NULL) return false;
    work->recent = group;
    group->open_count++; /* keeps it */
    bool is_done = carry_out(engine, group, put);
    group->open_count--;
    if (!is_done) group_settle(engine, group);
    return is_done;
}

static bool put_one(struct engine *engine, const struct engine_put *wish)
{
    const char *fault = find_fault(wish);
    if (fault != NULL || wish->body.size > LIMIT_BODY_SIZE_MAX) {
        enum tenure_err err = fault != NULL ? TENURE_INVALID : TENURE_TOO_LARGE;
        refuse(engine, wish, err, fault != NULL ? fault : "body: up to 1048576 bytes");
        return true;
    }
    UNINITIALIZED struct put put;
    put.wish = wish;
    put.replaced = NULL;
    put.item = (struct item_wish){ .id = wish->id,
                                   .headers = wish->headers,
                                   .body = wish->body,
                                   .unique = wish->unique,
                                   .terms = wish->terms };
    if (wish->terms.run_at_us <= engine->wall.us) put.item.terms.run_at_us = 0;

    struct work *work = work_obtain(engine, wish->queue);
    if (work == NULL) return false;
    work->pin_count++;
    if (wish->id.size == 0) {
        /* The number of its record, behind that of the one it replaces. */
        (void)find_rival(engine, work, &put);
        uint64_t number = engine->seq.value + 1 + (put.replaced != NULL);
        put.item.id = decimal_id_make(number, put.made_id);
        put.replaced = NULL;
    }
    bool is_done = put_into(engine, work, &put);
    work->pin_count--;
    work_settle(engine, work);
    return is_done;
}

void command_put(struct engine *engine, const struct engine_command *command)
{
    const struct engine_put *items = command->as.put.items;
    uint32_t count = command->as.put.count;
    struct bytes name = count == 0 ? (struct bytes){ 0 } : items[0].queue;
    if (count == 0 || count > LIMIT_ITEM_COUNT_MAX) {
        output_refuse(engine, command, TENURE_INVALID, name, "1 to 1024 items in one put");
        return;
    }
    enum tenure_err err = work_gate(engine);
    if (err != TENURE_OK) {
        output_refuse(engine, command, err, name, work_gate_detail(engine));
        return;
    }
    size_t size = 0;
    for (uint32_t index = 0; index < count; index++) {
        size += items[index].body.size;
        if (items[index].body.size > LIMIT_BATCH_SIZE_MAX || size > LIMIT_BATCH_SIZE_MAX) {
            output_refuse(engine, command, TENURE_TOO_LARGE, name, "all bodies: up to 8 MiB");
            return;
        }
    }
    if (!output_reserve(engine, 0, 1, 0) || !output_promise_items(engine, count)) {
        output_refuse(engine, command, TENURE_NO_MEMORY, name, NULL);
        return;
    }

    struct engine_reply *reply = output_reply(engine, command->client, command->tag);
    reply->kind = command->kind;
    for (uint32_t index = 0; index < count; index++) {
        if (put_one(engine, &items[index])) continue;
        refuse(engine, &items[index], TENURE_NO_MEMORY, NULL);
    }
    /* Making room for more may have moved the replies. */
    reply = &engine->output.replies[engine->output.reply_count - 1];
    if (count == 1) reply->err = engine->output.items[engine->output.item_count - 1].err;
}
