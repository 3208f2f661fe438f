#include "server/query.h"

#include "server/server.h"

bool query_next_hold(
    const struct query_lock *lock, struct query_cursor *cursor, struct engine_hold_view *out_hold)
{
    if (lock->engine != NULL) {
        return engine_next_hold(lock->engine, lock->view.name, lock->now, &cursor->hold, out_hold);
    }
    if (cursor->index == lock->holds_here) return false;
    *out_hold = lock->holds[cursor->index++];
    return true;
}

const struct query_votes *
query_hold_votes(const struct query_lock *lock, const struct query_cursor *cursor)
{
    if (lock->votes == NULL || cursor->index == 0) return NULL;
    const struct query_votes *votes = &lock->votes[cursor->index - 1];
    return votes->node_count > 0 ? votes : NULL;
}

bool query_first_hold(const struct query_lock *lock, struct engine_hold_view *out_hold)
{
    if (lock->engine != NULL) {
        return engine_inspect_hold(lock->engine, lock->view.name, lock->now, 0, out_hold);
    }
    struct query_cursor cursor = { 0 };
    return query_next_hold(lock, &cursor, out_hold);
}

uint32_t query_waiters(
    const struct query_lock *lock, struct engine_waiter_view *out_waiters, uint32_t count_max)
{
    if (lock->view.waiter_count == 0) return 0;
    if (lock->engine != NULL) {
        return engine_inspect_waiters(
            lock->engine, lock->view.name, lock->now, out_waiters, count_max);
    }
    uint32_t count = lock->waiters_here < count_max ? lock->waiters_here : count_max;
    if (count > 0) memcpy(out_waiters, lock->waiters, count * sizeof(out_waiters[0]));
    return count;
}

/* ------------------------------------------------------------------ the engine's answers */

static void
answer_lock(const struct server *server, struct session *session, const struct query *query)
{
    struct query_lock lock = { .engine = server->engine, .now = server->now };
    struct record newest;
    lock.is_known = engine_inspect(server->engine, query->name, server->now, &lock.view);
    if (lock.is_known) {
        lock.changed = lock.view.seq;
    } else if (engine_history(server->engine, query->name, &newest, 1) == 1) {
        lock.changed = newest.seq;
    }
    struct query_answer answer = {
        .name = query->name,
        .seq = lock.view.seq,
        .locks = &lock,
        .lock_count = 1,
    };
    query->tell(session, &answer);
}

static void
answer_list(const struct server *server, struct session *session, const struct query *query)
{
    /* Too large for the stack; there is only one thread. */
    static struct engine_lock_view views[LIMIT_LIST_COUNT_MAX];
    static struct query_lock locks[LIMIT_LIST_COUNT_MAX];
    struct bytes next = { "", 0 };
    uint32_t count = engine_list(server->engine, &query->list, server->now, views, &next);
    for (uint32_t index = 0; index < count; index++) {
        locks[index] = (struct query_lock){
            .view = views[index],
            .is_known = true,
            .engine = server->engine,
            .now = server->now,
        };
    }
    struct query_answer answer = {
        .seq = engine_seq(server->engine), /* it also tells what is not there */
        .locks = locks,
        .lock_count = count,
        .next = next,
    };
    query->tell(session, &answer);
}

static void
answer_history(const struct server *server, struct session *session, const struct query *query)
{
    struct record records[LIMIT_HISTORY_COUNT_MAX];
    uint32_t count = engine_history(server->engine, query->name, records, query->count_max);
    struct query_answer answer = {
        .name = query->name,
        .seq = count > 0 ? records[0].seq : engine_seq(server->engine),
        .records = records,
        .record_count = count,
    };
    query->tell(session, &answer);
}

void query_answer_from_engine(
    const struct server *server, struct session *session, const struct query *query)
{
    switch (query->kind) {
    case QUERY_LOCK: answer_lock(server, session, query); break;
    case QUERY_LIST: answer_list(server, session, query); break;
    case QUERY_HISTORY: answer_history(server, session, query); break;
    case QUERY_INFO: query->tell(session, &(struct query_answer){ .err = TENURE_OK }); break;
    }
}
