#include "server/relay.h"

/* ------------------------------------------------------------------ one lock */

static struct engine_lock_view head_of(const struct store_lock_view *lock)
{
    return (struct engine_lock_view){
        .name = lock->name == NULL ? (struct bytes){ "", 0 } : bytes_from_text(lock->name),
        .seq = { lock->seq },
        .mode = lock->is_shared ? ENGINE_SHARED : ENGINE_EXCLUSIVE,
        .slots = lock->slots > 0 ? lock->slots : 1,
        .hold_count = lock->holder_count,
        .waiter_count = lock->waiter_count,
        .delay_ms = lock->lock_delay_ms,
    };
}

static struct query_votes votes_of(const struct store_holder *holder)
{
    return (struct query_votes){ holder->votes, holder->node_count, holder->is_foreign };
}

static void gather_holds(struct relay *relay, const struct store_lock_view *lock)
{
    buffer_reset(&relay->holds);
    buffer_reset(&relay->votes);
    for (uint32_t index = 0; index < lock->holder_count; index++) {
        struct engine_hold_view hold = relay_hold_view(relay, lock, &lock->holders[index]);
        struct query_votes votes = votes_of(&lock->holders[index]);
        buffer_append(&relay->holds, &hold, sizeof(hold));
        buffer_append(&relay->votes, &votes, sizeof(votes));
    }
}

static void gather_waiters(struct relay *relay, const struct store_lock_view *lock)
{
    buffer_reset(&relay->waiters);
    for (uint32_t index = 0; index < lock->waiters_here; index++) {
        const struct store_waiter *waiter = &lock->waiters[index];
        struct engine_waiter_view view = {
            .owner = bytes_from_text(waiter->owner == NULL ? "" : waiter->owner),
            .meta = bytes_from_text(waiter->meta == NULL ? "" : waiter->meta),
            .mode = waiter->is_shared ? ENGINE_SHARED : ENGINE_EXCLUSIVE,
            .priority = waiter->priority,
            .position = waiter->position,
            .waited_ms = waiter->waited_ms,
            .remaining_ms = waiter->remaining_ms,
            .name_count = 1,
        };
        buffer_append(&relay->waiters, &view, sizeof(view));
    }
}

/* Of a store whose events have no numbers, the relay's own tell what is newer. */
static void number_lock(const struct relay_work *work, struct query_lock *lock)
{
    const struct relay *relay = work->relay;
    uint64_t changed = relay_changed(relay, work->name);
    bool is_numbered = relay->has_seqs && lock->view.seq.value > 0;
    lock->changed.value = is_numbered ? lock->view.seq.value : changed;
    if (!is_numbered) lock->view.seq.value = changed;
}

static void on_inspected(struct relay_work *work, const struct store_result *result)
{
    struct relay *relay = work->relay;
    struct query_lock lock = { .view = { .name = work->name, .slots = 1 } };
    struct query_answer answer = { .err = result->err, .detail = result->text };
    if (result->err == TENURE_OK) {
        gather_holds(relay, result->as.inspect);
        gather_waiters(relay, result->as.inspect);
        lock.view = head_of(result->as.inspect);
        lock.view.name = work->name;
        lock.is_known = true;
        lock.holds = (const struct engine_hold_view *)(const void *)relay->holds.data;
        lock.votes = (const struct query_votes *)(const void *)relay->votes.data;
        lock.holds_here = result->as.inspect->holder_count;
        lock.waiters = (const struct engine_waiter_view *)(const void *)relay->waiters.data;
        lock.waiters_here = result->as.inspect->waiters_here;
        bool is_short =
            relay->holds.is_failed || relay->votes.is_failed || relay->waiters.is_failed;
        if (is_short) answer.err = TENURE_NO_MEMORY;
    } else if (result->err == TENURE_NOT_FOUND) {
        answer.err = TENURE_OK;
        answer.detail = NULL;
    }
    number_lock(work, &lock);
    answer.locks = &lock;
    answer.lock_count = 1;
    relay_work_tell(work, &answer);
}

/* ------------------------------------------------------------------ a list */

static size_t keep(struct relay_work *work, struct bytes text)
{
    size_t at = work->found.size;
    buffer_append_bytes(&work->found, text);
    return at;
}

static bool is_wanted(const struct relay_work *work, const struct store_lock_view *lock)
{
    struct bytes name = bytes_from_text(lock->name);
    if (bytes_compare(name, work->list.after) <= 0) return false;
    return work->list.state != ENGINE_STATE_HELD || lock->holder_count > 0;
}

static void on_item(struct store_op *op, const struct store_lock_view *lock)
{
    struct relay_work *work = CONTAINER_OF(op, struct relay_work, op);
    if (work->is_full || !is_wanted(work, lock)) return;
    if (work->entry_count == work->count_max) {
        work->is_full = true;
        tni_store_cancel(work->relay->store, op);
        return;
    }
    struct relay_entry *entry = &work->entries[work->entry_count++];
    *entry = (struct relay_entry){ .view = head_of(lock) };
    entry->name_at = keep(work, entry->view.name);
    if (lock->holder_count == 0) return;
    entry->hold = relay_hold_view(work->relay, lock, &lock->holders[0]);
    entry->votes = votes_of(&lock->holders[0]);
    entry->owner_at = keep(work, entry->hold.owner);
    entry->meta_at = keep(work, entry->hold.meta);
}

/* Texts have moved while they gathered: point to where they are now. */
static void settle(const struct relay_work *work, struct relay_entry *entry)
{
    const char *texts = work->found.data;
    entry->view.name.data = texts + entry->name_at;
    entry->hold.name = entry->view.name;
    entry->hold.owner.data = texts + entry->owner_at;
    entry->hold.meta.data = texts + entry->meta_at;
}

static void on_listed(struct relay_work *work, const struct store_result *result)
{
    /* Too large for the stack; there is only one thread. */
    static struct query_lock locks[LIMIT_LIST_COUNT_MAX];
    struct query_answer answer = { .err = result->err, .detail = result->text };
    if (work->is_full) answer.err = TENURE_OK; /* the rest was canceled */
    if (work->found.is_failed) answer.err = TENURE_NO_MEMORY;
    uint32_t count = answer.err == TENURE_OK ? work->entry_count : 0;
    for (uint32_t index = 0; index < count; index++) {
        struct relay_entry *entry = &work->entries[index];
        settle(work, entry);
        locks[index] = (struct query_lock){
            .view = entry->view,
            .is_known = true,
            .holds = &entry->hold,
            .votes = &entry->votes,
            .holds_here = entry->view.hold_count > 0 ? 1 : 0,
        };
        if (!work->relay->has_seqs) {
            locks[index].view.seq.value = relay_changed(work->relay, entry->view.name);
        }
    }
    answer.locks = locks;
    answer.lock_count = count;
    answer.seq = work->relay->server->durable;
    answer.next = (struct bytes){ "", 0 };
    if (work->is_full && count > 0) answer.next = work->entries[count - 1].view.name;
    relay_work_tell(work, &answer);
}

static bool prepare_list(struct relay_work *work, const struct query *query)
{
    const struct engine_list_query *list = &query->list;
    work->list = *list;
    work->list.prefix = relay_work_keep(work, list->prefix);
    work->list.owner = relay_work_keep(work, list->owner);
    work->list.after = relay_work_keep(work, list->after);
    work->entries = memory_take(&memory_heap, list->count_max * sizeof(work->entries[0]));
    if (work->entries == NULL) return false;
    work->count_max = list->count_max;
    work->op.item = on_item;
    work->op.request.as.list.prefix = list->prefix.size > 0 ? work->list.prefix.data : NULL;
    work->op.request.as.list.owner = list->owner.size > 0 ? work->list.owner.data : NULL;
    work->op.request.as.list.after = list->after.size > 0 ? work->list.after.data : NULL;
    work->op.request.as.list.is_waited = list->state == ENGINE_STATE_WAITED;
    return true;
}

/* ------------------------------------------------------------------ history */

static void on_history(struct relay_work *work, const struct store_result *result)
{
    struct record records[LIMIT_HISTORY_COUNT_MAX];
    uint32_t count = 0;
    uint32_t told = result->err == TENURE_OK ? result->as.history.count : 0;
    for (uint32_t index = 0; index < told && count < LIMIT_HISTORY_COUNT_MAX; index++) {
        const struct store_event *event = &result->as.history.events[index];
        if (!relay_record(event, &records[count])) continue;
        records[count++].seq.value = event->seq;
    }
    struct query_answer answer = {
        .err = result->err,
        .detail = result->text,
        .records = records,
        .record_count = count,
    };
    relay_work_tell(work, &answer);
}

/* ------------------------------------------------------------------ what the store is */

static void on_info(struct relay_work *work, const struct store_result *result)
{
    struct query_answer answer = { .info = &result->as.info };
    if (result->err != TENURE_OK) answer.info = NULL;
    relay_work_tell(work, &answer);
}

/* ------------------------------------------------------------------ the beginning */

static void begin(struct relay_work *work)
{
    struct store_request *request = &work->op.request;
    switch (work->query_kind) {
    case QUERY_LOCK:
        request->as.inspect.name = work->name.data;
        relay_work_start(work, STORE_INSPECT, on_inspected);
        break;
    case QUERY_LIST: relay_work_start(work, STORE_LIST, on_listed); break;
    case QUERY_HISTORY:
        request->as.history.name = work->name.data;
        request->as.history.count_max = work->list.count_max;
        relay_work_start(work, STORE_HISTORY, on_history);
        break;
    case QUERY_INFO: relay_work_start(work, STORE_INFO, on_info); break;
    }
}

static void refuse_now(struct session *session, const struct query *query)
{
    struct query_lock lock = { .view = { .name = query->name, .slots = 1 } };
    struct query_answer answer = {
        .err = TENURE_NO_MEMORY,
        .name = query->name,
        .locks = &lock,
        .lock_count = 1,
    };
    query->tell(session, &answer);
}

void relay_ask(struct server *server, struct session *session, const struct query *query)
{
    const struct engine_list_query *list = &query->list;
    size_t size = query->name.size + list->prefix.size + list->owner.size + list->after.size + 4;
    struct relay_work *work = relay_work_create(server->relay, size);
    bool is_made = work != NULL;
    if (is_made) {
        work->query_kind = query->kind;
        work->tell = query->tell;
        work->name = relay_work_keep(work, query->name);
        work->list.count_max = query->count_max;
        if (query->kind == QUERY_LIST && !prepare_list(work, query)) {
            relay_work_drop(work);
            is_made = false;
        }
    }
    if (is_made && relay_work_assign(work, session)) {
        begin(work);
    } else {
        refuse_now(session, query);
    }
}
