#include "server/session.h"

#include <unistd.h>

#include "server/log.h"
#include "server/server.h"
#include "server/turn.h"

/* The engine's client number: the slot of the session in the low bits, so that an answer finds its
 * session without a search; above it a count that is never used twice. */
#define SLOT_BITS 20u
#define SLOT_MASK ((UINT64_C(1) << SLOT_BITS) - 1)

#define SILENT_MS_MAX 10000

struct session_place {
    struct list link;
    struct buffer answer;
    struct buffer behind; /* whole answers, which came first */
    bool is_answered;
};

struct session_table {
    struct session **slots;
    uint32_t *free_slots; /* a stack */
    uint32_t free_count;
    uint32_t capacity;
    uint64_t opened_count;
    struct list all;
    struct list resume; /* input to be looked at again */
    struct list gone;   /* hung up, and not yet dealt with */
};

/* ------------------------------------------------------------------ the table */

bool session_table_create(struct server *server)
{
    uint32_t capacity = server->config->connection_count_max;
    ASSERT(capacity <= SLOT_MASK);
    struct session_table *table = memory_take(&memory_heap, sizeof(*table));
    if (table == NULL) return false;
    *table = (struct session_table){ .capacity = capacity };
    list_init(&table->all);
    list_init(&table->resume);
    list_init(&table->gone);
    server->sessions = table;
    table->slots = memory_take(&memory_heap, capacity * sizeof(table->slots[0]));
    table->free_slots = memory_take(&memory_heap, capacity * sizeof(table->free_slots[0]));
    if (table->slots == NULL || table->free_slots == NULL) {
        session_table_destroy(server);
        return false;
    }
    for (uint32_t slot = 0; slot < capacity; slot++) {
        table->slots[slot] = NULL;
        table->free_slots[slot] = capacity - 1 - slot;
    }
    table->free_count = capacity;
    return true;
}

void session_table_destroy(struct server *server)
{
    struct session_table *table = server->sessions;
    if (table == NULL) return;
    ASSERT(list_is_empty(&table->all));
    memory_give(&memory_heap, table->slots, table->capacity * sizeof(table->slots[0]));
    memory_give(&memory_heap, table->free_slots, table->capacity * sizeof(table->free_slots[0]));
    memory_give(&memory_heap, table, sizeof(*table));
    server->sessions = NULL;
}

struct session *session_find(struct server *server, uint64_t id)
{
    struct session_table *table = server->sessions;
    uint64_t slot = id & SLOT_MASK;
    if (slot >= table->capacity) return NULL;
    struct session *session = table->slots[slot];
    return session != NULL && session->id == id ? session : NULL;
}

/* ------------------------------------------------------------------ what connections report */

static struct session *owner_of(struct connection *connection)
{
    return CONTAINER_OF(connection, struct session, connection);
}

static void on_wake(struct connection *connection)
{
    turn_wake(owner_of(connection)->server);
}

bool session_detect(struct bytes input, const struct session_protocol **out_protocol)
{
    static const char *const methods[] = { "GET ",     "HEAD ",  "POST ",  "PUT ",    "DELETE ",
                                           "OPTIONS ", "PATCH ", "TRACE ", "CONNECT " };
    for (size_t index = 0; index < sizeof(methods) / sizeof(methods[0]); index++) {
        struct bytes method = bytes_from_text(methods[index]);
        if (bytes_start_with(input, method)) {
            *out_protocol = &session_http;
            return true;
        }
        if (bytes_start_with(method, input)) return false;
    }
    char first = input.data[0];
    bool is_letter = (first >= 'A' && first <= 'Z') || (first >= 'a' && first <= 'z');
    *out_protocol = first == '*' || is_letter ? &session_resp : NULL;
    return true;
}

/* False: the session must end. */
static bool open_protocol(struct session *session, const struct session_protocol *protocol)
{
    if (protocol == NULL) {
        log_write(LOG_DEBUG, "a client spoke neither HTTP nor RESP");
        return false;
    }
    if (!protocol->on_open(session)) return false;
    session->protocol = protocol;
    return true;
}

static size_t on_input(struct connection *connection, struct bytes input)
{
    struct session *session = owner_of(connection);
    turn_hear(session->server);
    if (session->protocol == NULL) {
        const struct session_protocol *protocol;
        if (!session_detect(input, &protocol)) return 0;
        if (!open_protocol(session, protocol)) {
            session_close(session);
            return input.size;
        }
    }
    size_t used = session->protocol->on_input(session, input);
    connection_hold(connection, session->is_waiting);
    return used;
}

static void on_hangup(struct connection *connection)
{
    struct session *session = owner_of(connection);
    /* This may be deep inside an answer to this very session: the rest is done when the engine and
     * the protocol are not at work (session_reap). */
    list_remove(&session->resume);
    list_append(&session->server->sessions->gone, &session->resume);
    session->is_gone = true;
}

static void drop_place(struct session_place *place)
{
    list_remove(&place->link);
    buffer_deinit(&place->answer);
    buffer_deinit(&place->behind);
    memory_give(&memory_heap, place, sizeof(*place));
}

static void end_session(struct session *session)
{
    list_remove(&session->resume);
    if (session->is_ended) return;
    session->is_ended = true;
    session->server->backend->gone(session->server, session);
    list_foreach_safe(node, following, &session->places) {
        drop_place(CONTAINER_OF(node, struct session_place, link));
    }
    if (session->protocol != NULL) session->protocol->on_close(session);
    session->protocol = NULL;
    session->state = NULL;
}

static void on_drain(struct connection *connection)
{
    struct session *session = owner_of(connection);
    if (session->protocol != NULL && session->protocol->on_drain != NULL) {
        session->protocol->on_drain(session);
    }
}

static void on_closed(struct connection *connection)
{
    struct session *session = owner_of(connection);
    struct server *server = session->server;
    struct session_table *table = server->sessions;
    end_session(session);
    uint32_t slot = (uint32_t)(session->id & SLOT_MASK);
    table->slots[slot] = NULL;
    table->free_slots[table->free_count++] = slot;
    list_remove(&session->link);
    server->session_count--;
    server->metrics.connections_open--;
    memory_give(&memory_heap, session, sizeof(*session));
}

static const struct connection_ops connection_ops = {
    .on_wake = on_wake,
    .on_input = on_input,
    .on_hangup = on_hangup,
    .on_drain = on_drain,
    .on_closed = on_closed,
};

/* ------------------------------------------------------------------ what protocols ask for */

/* The answer that will be given last, of those that are to come; NULL: there are none. */
static struct session_place *last_place(struct session *session)
{
    if (list_is_empty(&session->places)) return NULL;
    return CONTAINER_OF(session->places.previous, struct session_place, link);
}

struct buffer *session_out(struct session *session)
{
    if (session->spoken != NULL) return &session->spoken->answer;
    struct session_place *last = last_place(session);
    return last != NULL ? &last->behind : connection_out(&session->connection);
}

void session_reply_end(struct session *session, struct seq seq)
{
    /* What is kept in a place depends on no disk. */
    if (session->spoken != NULL || last_place(session) != NULL) return;
    connection_end(&session->connection, seq);
}

size_t session_backlog(const struct session *session)
{
    return connection_backlog(&session->connection);
}

void session_want_drain(struct session *session)
{
    connection_want_drain(&session->connection);
}

void session_linger(struct session *session)
{
    connection_linger(&session->connection);
}

void session_close(struct session *session)
{
    session->is_closing = true;
    connection_close(&session->connection);
}

/* ------------------------------------------------------------------ answers to come */

bool session_owe(struct session *session, struct session_place **out_place)
{
    struct session_place *place = NULL;
    if (session->protocol->is_pipelined) {
        place = memory_take(&memory_heap, sizeof(*place));
        if (place == NULL) return false;
        *place = (struct session_place){ .is_answered = false };
        buffer_init(&place->answer, &memory_heap);
        buffer_init(&place->behind, &memory_heap);
        list_init(&place->link);
        list_append(&session->places, &place->link);
    } else {
        session->is_waiting = true;
    }
    session->owed_count++;
    connection_owe(&session->connection, true);
    *out_place = place;
    return true;
}

void session_speak(struct session *session, struct session_place *place)
{
    session->spoken = place;
}

/* A buffer that has failed makes the whole output fail: an answer cannot be left out. */
static void append_all(struct buffer *out, const struct buffer *more)
{
    if (more->is_failed) out->is_failed = true;
    buffer_append_bytes(out, buffer_bytes(more));
}

static void give_answers(struct session *session)
{
    struct buffer *out = connection_out(&session->connection);
    struct list *node;
    while ((node = list_first(&session->places)) != NULL) {
        struct session_place *place = CONTAINER_OF(node, struct session_place, link);
        if (!place->is_answered) break;
        append_all(out, &place->answer);
        append_all(out, &place->behind);
        drop_place(place);
        connection_end(&session->connection, (struct seq){ 0 });
    }
}

void session_paid(struct session *session, struct session_place *place)
{
    ASSERT(session->owed_count > 0);
    session->spoken = NULL;
    session->owed_count--;
    if (place != NULL) {
        place->is_answered = true;
        give_answers(session);
    }
    if (session->owed_count > 0) return;
    connection_owe(&session->connection, false);
    if (session->is_barred) {
        session->is_barred = false;
        session->is_waiting = false;
        session_resume(session);
    }
    if (session->is_gone && !session->is_ended && list_is_empty(&session->resume)) {
        list_append(&session->server->sessions->gone, &session->resume);
    }
}

void session_wait(struct session *session)
{
    session->is_barred = false;
    session->is_waiting = true;
}

bool session_bar(struct session *session)
{
    if (session->owed_count == 0) return false;
    session->is_barred = true;
    session->is_waiting = true;
    return true;
}

void session_resume(struct session *session)
{
    if (session->is_gone || !list_is_empty(&session->resume)) return;
    list_append(&session->server->sessions->resume, &session->resume);
}

/* ------------------------------------------------------------------ what the turn asks for */

void session_accept(struct server *server, int socket, bool is_local)
{
    struct session_table *table = server->sessions;
    struct session *session =
        table->free_count == 0 ? NULL : memory_take(&memory_heap, sizeof(*session));
    if (session == NULL) {
        server->metrics.connections_refused++;
        (void)close(socket);
        return;
    }
    uint32_t slot = table->free_slots[table->free_count - 1];
    *session = (struct session){
        .server = server,
        .id = ++table->opened_count << SLOT_BITS | slot,
        .is_local = is_local,
        .opened_at = server->now,
    };
    list_init(&session->link);
    list_init(&session->resume);
    list_init(&session->places);
    list_init(&session->works);
    if (!connection_init(&session->connection, &server->net, &connection_ops, socket)) {
        memory_give(&memory_heap, session, sizeof(*session));
        server->metrics.connections_refused++;
        return;
    }
    table->free_count--;
    table->slots[slot] = session;
    list_append(&table->all, &session->link);
    server->session_count++;
    server->metrics.connections_accepted++;
    server->metrics.connections_open++;
}

bool session_resume_all(struct server *server)
{
    struct session_table *table = server->sessions;
    struct list batch;
    list_init(&batch);
    struct list *node;
    while ((node = list_first(&table->resume)) != NULL) {
        list_remove(node);
        list_append(&batch, node);
    }
    bool is_any = !list_is_empty(&batch);
    while ((node = list_first(&batch)) != NULL) {
        list_remove(node);
        struct session *session = CONTAINER_OF(node, struct session, resume);
        connection_hold(&session->connection, session->is_waiting);
        connection_resume(&session->connection);
    }
    return is_any;
}

bool session_has_resumable(const struct server *server)
{
    return !list_is_empty(&server->sessions->resume);
}

void session_reap(struct server *server)
{
    struct list *node;
    while ((node = list_first(&server->sessions->gone)) != NULL) {
        struct session *session = CONTAINER_OF(node, struct session, resume);
        list_remove(node);
        if (session->owed_count > 0) server->backend->gone(server, session);
        if (session->owed_count == 0) end_session(session);
    }
}

/* A client may connect long before it asks for something, but not when places become few. */
static void check_silent(struct session *session)
{
    const struct server *server = session->server;
    bool is_crowded = server->session_count > server->config->connection_count_max / 2;
    int64_t age_ns = server->now.ns - session->opened_at.ns;
    if (is_crowded && age_ns > SILENT_MS_MAX * NS_PER_MS) session_close(session);
}

void session_tick_all(struct server *server)
{
    list_foreach_safe(node, following, &server->sessions->all) {
        struct session *session = CONTAINER_OF(node, struct session, link);
        if (session->is_gone) {
            /* Only what was written has to leave. */
        } else if (session->protocol == NULL) {
            check_silent(session);
        } else if (session->protocol->on_tick != NULL) {
            session->protocol->on_tick(session);
        }
        connection_check(&session->connection);
    }
}

static bool is_midway(const struct session *session)
{
    return !session->is_gone && session->protocol != NULL && session->protocol->is_midway != NULL &&
           session->protocol->is_midway(session);
}

static void stop_waiting(struct session *session)
{
    if (session->is_gone || session->protocol == NULL || session->protocol->on_stop == NULL) return;
    session->protocol->on_stop(session);
}

void session_close_all(struct server *server)
{
    list_foreach_safe(node, following, &server->sessions->all) {
        struct session *session = CONTAINER_OF(node, struct session, link);
        stop_waiting(session);
        if (!is_midway(session)) session_close(session);
    }
}

void session_abort_all(struct server *server)
{
    list_foreach_safe(node, following, &server->sessions->all) {
        connection_abort(&CONTAINER_OF(node, struct session, link)->connection);
    }
}
