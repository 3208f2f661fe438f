/* harness - see harness.h. */
#include "harness.h"

#include <stdio.h>

#include "base/assert.h"
#include "server/channels.h"

struct harness harness;
const struct session_protocol *harness_protocol = &session_http;

static struct client *client_of(struct session *session)
{
    return CONTAINER_OF(session, struct client, session);
}

static struct client *find(uint64_t id)
{
    for (uint32_t i = 0; i < HARNESS_CLIENT_COUNT; i++) {
        struct client *client = &harness.clients[i];
        if (client->is_open && client->session.id == id) return client;
    }
    return NULL;
}

/* --------------------------------------------- what the server does for HTTP */

static void hand_out(const struct engine_update *update, struct session *asking)
{
    for (uint32_t i = 0; i < update->reply_count; i++) {
        const struct engine_reply *reply = &update->replies[i];
        struct client *client = find(reply->client);
        if (client == NULL) continue;
        metrics_observe_reply(&harness.server.metrics, reply);
        client->session.is_waiting = false;
        harness_protocol->on_reply(&client->session, reply);
        if (&client->session != asking) session_resume(&client->session);
    }
}

static void step(struct engine_event *event, struct session *asking)
{
    struct engine_update update;
    event->now = harness.server.now;
    event->wall = harness.server.wall;
    ASSERT(engine_step(harness.server.engine, event, &update) == TENURE_OK);
    if (asking != NULL) asking->is_waiting = update.is_waiting;
    hand_out(&update, asking);
}

void server_submit(struct server *server, struct session *session, struct engine_command *command)
{
    ASSERT(server == &harness.server);
    command->client = session->id;
    step(&(struct engine_event){ .kind = ENGINE_COMMAND, .command = command }, session);
}

void server_ask(struct server *server, struct session *session, const struct query *query)
{
    query_answer_from_engine(server, session, query);
}

uint64_t server_tag(struct server *server)
{
    (void)server;
    return ++harness.tag;
}

struct bytes server_owner(struct server *server, char out_text[static 40])
{
    (void)server;
    (void)snprintf(out_text, 40, "made-up-%llu", (unsigned long long)++harness.tag);
    return bytes_from_text(out_text);
}

struct buffer *session_out(struct session *session)
{
    return &client_of(session)->output;
}

void session_reply_end(struct session *session, struct seq seq)
{
    ASSERT(!client_of(session)->output.is_failed);
    ASSERT(seq.value <= engine_seq(harness.server.engine).value);
}

size_t session_backlog(const struct session *session)
{
    return ((const struct client *)(const void *)session)->backlog;
}

void session_want_drain(struct session *session)
{
    client_of(session)->wants_drain = true;
}

void session_linger(struct session *session)
{
    (void)session;
}

void session_close(struct session *session)
{
    session->is_closing = true;
}

void session_wait(struct session *session)
{
    session->is_waiting = true;
}

bool session_bar(struct session *session)
{
    (void)session;
    return false; /* every answer is given at once */
}

void session_resume(struct session *session)
{
    (void)session; /* harness_turn looks at all */
}

/* ----------------------------------------------------------------- the test */

static void make_durable(void)
{
    struct seq last = engine_seq(harness.server.engine);
    if (harness.is_holding || last.value == harness.server.durable.value) return;
    harness.server.durable = last;
    step(&(struct engine_event){ .kind = ENGINE_DURABLE, .durable = last }, NULL);
}

static void look_at(struct client *client)
{
    if (client->session.is_waiting || client->session.is_closing) return;
    size_t used = harness_protocol->on_input(&client->session, buffer_bytes(&client->input));
    ASSERT(used <= client->input.size);
    buffer_consume(&client->input, used);
}

void harness_turn(void)
{
    make_durable();
    events_pump(harness.server.events, harness.server.durable, harness.server.now);
    for (uint32_t i = 0; i < HARNESS_CLIENT_COUNT; i++) {
        struct client *client = &harness.clients[i];
        if (!client->is_open) continue;
        if (client->input.size > 0) look_at(client);
        make_durable();
        if (client->session.is_closing) harness_close(client);
    }
}

void harness_start(size_t window_size)
{
    harness = (struct harness){ 0 };
    struct server *server = &harness.server;
    char program[] = "tenured";
    char *const arguments[] = { program, NULL };
    char *const environment[] = { NULL };
    struct tenure_error error;
    bool is_usage = false;
    ASSERT(config_read(1, arguments, environment, &harness.config, &is_usage, &error) == TENURE_OK);
    struct engine_options options = {
        .memory = &memory_heap,
        .hold_count_max = 100000,
        .waiter_count_max = 1000,
        .window_size = window_size == 0 ? ENGINE_WINDOW_SIZE_MIN : window_size,
        .ageing_ms = ENGINE_AGEING_MS_DEFAULT,
    };
    server->engine = engine_create(&options);
    server->config = &harness.config;
    server->loop = uv_default_loop();
    server->now = (struct mono){ 1000 * NS_PER_S };
    server->wall = (struct wall){ INT64_C(1700000000000000) };
    server->is_ready = true;
    metrics_init(&server->metrics);
    step(&(struct engine_event){ .kind = ENGINE_READY }, NULL);
    server->events = events_create(server);
    server->channels = channels_create();
    ASSERT(server->engine != NULL && server->events != NULL && server->channels != NULL);
}

void harness_stop(void)
{
    for (uint32_t i = 0; i < HARNESS_CLIENT_COUNT; i++) {
        if (harness.clients[i].is_open) harness_close(&harness.clients[i]);
    }
    events_destroy(&harness.server.events);
    channels_destroy(&harness.server.channels);
    (void)uv_run(harness.server.loop, UV_RUN_DEFAULT);
    (void)uv_loop_close(harness.server.loop);
    engine_destroy(&harness.server.engine);
    config_deinit(&harness.config);
    for (uint32_t i = 0; i < HARNESS_CLIENT_COUNT; i++) {
        buffer_deinit(&harness.clients[i].input);
        buffer_deinit(&harness.clients[i].output);
    }
    ASSERT(harness.server.http == NULL);
}

struct client *harness_open(uint32_t index)
{
    struct client *client = &harness.clients[index];
    ASSERT(!client->is_open);
    buffer_deinit(&client->input);
    buffer_deinit(&client->output);
    *client = (struct client){ .is_open = true };
    buffer_init(&client->input, &memory_heap);
    buffer_init(&client->output, &memory_heap);
    client->session.server = &harness.server;
    client->session.protocol = harness_protocol;
    client->session.id = ++harness.client_id;
    ASSERT(harness_protocol->on_open(&client->session));
    return client;
}

void harness_close(struct client *client)
{
    if (!client->is_open) return;
    step(&(struct engine_event){ .kind = ENGINE_CLIENT_GONE, .client = client->session.id }, NULL);
    harness_protocol->on_close(&client->session);
    client->is_open = false;
}

void harness_send(struct client *client, struct bytes bytes)
{
    ASSERT(client->is_open);
    buffer_append_bytes(&client->input, bytes);
    look_at(client);
    harness_turn();
}

struct bytes harness_take(struct client *client)
{
    static struct buffer taken[HARNESS_CLIENT_COUNT];
    struct buffer *buffer = &taken[client - harness.clients];
    if (buffer->memory == NULL) buffer_init(buffer, &memory_heap);
    buffer_reset(buffer);
    buffer_swap(buffer, &client->output);
    buffer_append_byte(buffer, '\0'); /* so that tests may use strstr */
    return (struct bytes){ buffer->data, buffer->size - 1 };
}

struct bytes harness_ask(struct client *client, const char *text)
{
    harness_send(client, bytes_from_text(text));
    return harness_take(client);
}

void harness_pass(int64_t ms)
{
    harness.server.now.ns += ms * NS_PER_MS;
    harness.server.wall.us += ms * 1000;
    step(&(struct engine_event){ .kind = ENGINE_TIMER }, NULL);
    make_durable();
    for (uint32_t i = 0; i < HARNESS_CLIENT_COUNT; i++) {
        struct client *client = &harness.clients[i];
        if (client->is_open && harness_protocol->on_tick != NULL) {
            harness_protocol->on_tick(&client->session);
        }
    }
    harness_turn();
}

void harness_drain(struct client *client)
{
    client->backlog = 0;
    if (client->wants_drain && client->is_open) {
        client->wants_drain = false;
        if (harness_protocol->on_drain != NULL) harness_protocol->on_drain(&client->session);
    }
    harness_turn();
}
