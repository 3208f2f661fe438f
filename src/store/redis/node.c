#include "store/redis/node.h"

#include <stdio.h>

#include "proto/resp_writer.h"
#include "store/redis/cluster.h"
#include "store/redis/scripts/scripts.h"

/* Pauses between attempts to connect: random, up to a bound that doubles (full jitter), so that the
 * clients of a server that comes back do not come all at once. */
#define PAUSE_MS_FIRST 20u
#define PAUSE_MS_MAX   1000u

/* An answer that takes longer is told to the pace; a connection on which nothing is heard for so
 * long although something was asked is dropped. */
#define MISSED_NS (1000 * NS_PER_MS)
#define SILENT_NS (3000 * NS_PER_MS)

#define FLIGHT_CAPACITY_FIRST 64u
#define FLIGHT_COUNT_MAX      65536u

/* What a node that does not read may have before it. */
#define OUTPUT_SIZE_MAX ((size_t)16 << 20)

/* A server that forgets its scripts as fast as they are loaded is asked no more often. */
#define AGAIN_COUNT_MAX 3u

/* Longer is no answer of ours. */
#define VALUE_COUNT_MAX (QUORUM_SIGHT_SIZE + 2 * REDIS_WAITER_COUNT_MAX)

static const struct mono never = { INT64_MAX };

const char *tni_redis_node_name(const struct redis_node *node, char *out_text, size_t size)
{
    const struct link_address *address = &node->address;
    if (!node->is_enabled) {
        (void)snprintf(out_text, size, "%s", "the master (not known yet)");
    } else if (address->host[0] == '\0') {
        (void)snprintf(out_text, size, "%s", address->path);
    } else {
        bool is_ipv6 = strchr(address->host, ':') != NULL;
        const char *left = is_ipv6 ? "[" : "";
        const char *right = is_ipv6 ? "]" : "";
        (void)snprintf(out_text, size, "%s%s%s:%s", left, address->host, right, address->port);
    }
    return out_text;
}

/* ------------------------------------------------------------------ the flights */

static struct redis_flight *flight_at(const struct redis_flights *flights, uint32_t index)
{
    return &flights->ring[(flights->start + index) & (flights->capacity - 1)];
}

static bool flights_reserve(const struct memory *memory, struct redis_flights *flights)
{
    if (flights->count < flights->capacity) return true;
    if (flights->count >= FLIGHT_COUNT_MAX) return false;
    uint32_t capacity = flights->capacity == 0 ? FLIGHT_CAPACITY_FIRST : flights->capacity * 2;
    struct redis_flight *ring = memory_take(memory, capacity * sizeof(*ring));
    if (ring == NULL) return false;
    for (uint32_t index = 0; index < flights->count; index++) {
        ring[index] = *flight_at(flights, index);
    }
    memory_give(memory, flights->ring, flights->capacity * sizeof(*ring));
    flights->ring = ring;
    flights->start = 0;
    flights->capacity = capacity;
    return true;
}

static void flights_push(struct redis_flights *flights, const struct redis_flight *flight)
{
    ASSERT(flights->count < flights->capacity);
    flights->count++;
    *flight_at(flights, flights->count - 1) = *flight;
}

static struct redis_flight flights_pop(struct redis_flights *flights)
{
    ASSERT(flights->count > 0);
    struct redis_flight flight = *flight_at(flights, 0);
    flights->start = (flights->start + 1) & (flights->capacity - 1);
    flights->count--;
    return flight;
}

/* Between two turns of the loop others use the processor's cache: the work that is answered next is
 * fetched while this answer is read. */
static void expect_next(const struct redis_flights *flights)
{
    if (flights->count == 0) return;
    const struct redis_work *work = flight_at(flights, 0)->work;
    if (work != NULL) __builtin_prefetch(work);
    if (work != NULL) __builtin_prefetch(&work->as);
}

/* ------------------------------------------------------------------ writing */

static void touch(struct redis_node *node)
{
    node->is_dirty = true;
    tni_redis_touch(node->redis);
}

/* True when a command can be written and its answer be expected. */
static bool can_write(struct redis_node *node)
{
    return tni_redis_node_is_up(node) && node->link->output.size < OUTPUT_SIZE_MAX &&
           flights_reserve(node->redis->memory, &node->flights);
}

/* What was appended since `size` stays, or goes when there was no memory. */
static bool commit(struct redis_node *node, size_t size, const struct redis_flight *flight)
{
    struct buffer *output = &node->link->output;
    if (output->is_failed) {
        output->is_failed = false;
        output->size = size;
        return false;
    }
    flights_push(&node->flights, flight);
    touch(node);
    return true;
}

static bool
send_script(struct redis_node *node, const struct redis_flight *flight, struct bytes pass)
{
    if (!can_write(node)) return false;
    struct buffer *output = &node->link->output;
    size_t size = output->size;
    tni_redis_command_send(&node->redis->command, pass, output);
    return commit(node, size, flight);
}

bool tni_redis_node_call(
    struct redis_node *node,
    struct redis_work *work,
    const struct quorum_call *call,
    struct bytes pass,
    struct mono now)
{
    const struct redis_flight flight = {
        .kind = work == NULL ? FLIGHT_ADMISSION : FLIGHT_WORK,
        .work = work,
        .use = work == NULL ? 0 : work->use,
        .call = *call,
        .sent_at = now,
    };
    return send_script(node, &flight, pass);
}

bool tni_redis_node_scan(
    struct redis_node *node, struct redis_work *work, struct bytes cursor, struct bytes pattern)
{
    if (!can_write(node)) return false;
    struct buffer *output = &node->link->output;
    size_t size = output->size;
    struct resp_writer writer = { output, true };
    resp_write_array(&writer, 6);
    resp_write_text(&writer, "SCAN");
    resp_write_bulk(&writer, cursor);
    resp_write_text(&writer, "MATCH");
    resp_write_bulk(&writer, pattern);
    resp_write_text(&writer, "COUNT");
    resp_write_text(&writer, "1000");
    const struct redis_flight flight = {
        .kind = FLIGHT_SCAN, .work = work, .use = work->use, .sent_at = tni_store_now()
    };
    return commit(node, size, &flight);
}

void tni_redis_node_publish(struct redis_node *node, struct bytes channel, struct bytes message)
{
    if (!can_write(node)) return;
    struct buffer *output = &node->link->output;
    size_t size = output->size;
    struct resp_writer writer = { output, true };
    resp_write_array(&writer, 3);
    resp_write_text(&writer, "PUBLISH");
    resp_write_bulk(&writer, channel);
    resp_write_bulk(&writer, message);
    const struct redis_flight flight = { .kind = FLIGHT_NOTHING, .sent_at = tni_store_now() };
    (void)commit(node, size, &flight); /* nobody is promised an event */
}

void tni_redis_node_subscribe(struct redis_node *node, const char *verb, struct bytes channel)
{
    if (!can_write(node)) return;
    struct buffer *output = &node->link->output;
    size_t size = output->size;
    struct resp_writer writer = { output, true };
    resp_write_array(&writer, 2);
    resp_write_text(&writer, verb);
    resp_write_bulk(&writer, channel); /* answered by a push … */
    resp_write_array(&writer, 1);
    resp_write_text(&writer, "PING"); /* … and where it is refused, the answers would be shifted */
    const struct redis_flight flight = { .kind = FLIGHT_MARK, .sent_at = tni_store_now() };
    (void)commit(node, size, &flight);
}

static bool load_scripts(struct redis_node *node)
{
    struct buffer *output = &node->link->output;
    for (unsigned index = 0; index < QUORUM_SCRIPT_COUNT; index++) {
        if (!can_write(node)) return false;
        size_t size = output->size;
        struct resp_writer writer = { output, true };
        resp_write_array(&writer, 3);
        resp_write_text(&writer, "SCRIPT");
        resp_write_text(&writer, "LOAD");
        resp_write_bulk(&writer, redis_scripts[index].text);
        const struct redis_flight loading = { .kind = FLIGHT_LOAD, .sent_at = tni_store_now() };
        if (!commit(node, size, &loading)) return false;
        node->loading_count++;
    }
    return true;
}

/* The server has forgotten its scripts (SCRIPT FLUSH): load them all, unless that is under way, and
 * ask again. */
static bool ask_anew(struct redis_node *node, const struct redis_flight *flight)
{
    struct redis *redis = node->redis;
    bool is_current = flight->work == NULL || flight->work->use == flight->use;
    if (!is_current || flight->is_missed || flight->again_count == AGAIN_COUNT_MAX) return false;
    if (node->loading_count == 0 && !load_scripts(node)) return false;
    char pass[QUORUM_PASS_SIZE_MAX];
    size_t pass_size = quorum_admission_pass(&redis->admission, node->index, pass);
    struct quorum_texts texts;
    if (flight->kind == FLIGHT_WORK) {
        texts = tni_redis_work_texts(flight->work);
        texts.pass = (struct bytes){ pass, pass_size };
    } else {
        texts = quorum_admission_texts(&redis->admission, node->index);
    }
    bool is_look = flight->call.verb == QUORUM_INSPECT;
    if (is_look && !tni_redis_look_name(flight->work, &flight->call, &texts.name)) return false;
    struct redis_flight again = *flight;
    again.again_count++;
    again.sent_at = node->link->received_at;
    tni_redis_command_write(&redis->command, &again.call, &texts);
    return send_script(node, &again, texts.pass);
}

/* ------------------------------------------------------------------ answers */

/* An array of integers and texts; nil reads as "".  False: it is something else. */
static bool read_values(struct redis *redis, struct reply *reply, size_t *out_count)
{
    struct bytes input = { reply->data, reply->size };
    struct resp_token token;
    const char *text;
    if (resp_read_token(input, &reply->position, &token, &text) != PARSE_DONE) return false;
    if (token.kind != RESP_ARRAY) return false;
    size_t count = token.count;
    buffer_reset(&redis->values);
    if (count == 0 || count > VALUE_COUNT_MAX) return false;
    struct quorum_value *values =
        (void *)buffer_extend(&redis->values, count * sizeof(struct quorum_value));
    if (values == NULL) return false;
    for (size_t index = 0; index < count; index++) {
        if (resp_read_token(input, &reply->position, &token, &text) != PARSE_DONE) return false;
        bool is_integer = token.kind == RESP_INTEGER;
        bool is_text = token.kind == RESP_BULK || token.kind == RESP_SIMPLE;
        if (!is_integer && !is_text && token.kind != RESP_NULL) return false;
        values[index] = (struct quorum_value){
            .is_integer = is_integer,
            .integer = is_integer ? token.integer : 0,
            .text = is_text ? token.text : (struct bytes){ "", 0 },
        };
    }
    *out_count = count;
    return true;
}

static void tell_admission(
    struct redis_node *node, const struct quorum_call *call, const struct quorum_answer *answer)
{
    struct quorum_admission_event event = {
        .kind = answer == NULL ? QUORUM_NODE_FAILED : QUORUM_NODE_ANSWERED,
        .node = node->index,
        .serial = call->serial,
        .answer = answer,
    };
    tni_redis_admission_step(node->redis, &event);
}

static void note_refusal(struct redis_node *node, const struct redis_trouble *trouble)
{
    (void)snprintf(node->trouble, sizeof(node->trouble), "%s", trouble->text);
    if (trouble->effect == REDIS_TROUBLE_FATAL) node->refusal = trouble;
    node->said = trouble;
}

/* The server said no. */
static void
take_error(struct redis_node *node, const struct redis_flight *flight, struct reply *reply)
{
    const char *line = tni_reply_text_or_empty(reply);
    const struct redis_trouble *trouble = tni_redis_trouble(bytes_from_text(line));
    bool is_of_script = flight->kind == FLIGHT_WORK || flight->kind == FLIGHT_ADMISSION;
    if (trouble->effect == REDIS_TROUBLE_RELOAD && is_of_script && ask_anew(node, flight)) return;
    if (!trouble->is_of_name) note_refusal(node, trouble);
    switch (flight->kind) {
    case FLIGHT_ADMISSION: tell_admission(node, &flight->call, NULL); break;
    case FLIGHT_WORK:
    case FLIGHT_SCAN:
        if (flight->work->use != flight->use) break;
        tni_redis_work_refused(flight->work, node->index, flight, trouble);
        break;
    case FLIGHT_MARK: tni_redis_node_break(node, trouble->text); break;
    case FLIGHT_LOAD:
    case FLIGHT_NOTHING: break;
    }
}

/* It is no answer of ours, so nothing on this connection is to be believed. */
static void drop_nonsense(struct redis_node *node, const struct redis_flight *flight)
{
    tni_redis_node_break(node, "an answer that is none of our scripts'");
    bool is_waited = flight->kind == FLIGHT_WORK && flight->work->use == flight->use;
    if (is_waited) tni_redis_work_refused(flight->work, node->index, flight, NULL);
}

static void
take_answer(struct redis_node *node, const struct redis_flight *flight, struct reply *reply)
{
    struct redis *redis = node->redis;
    size_t count = 0;
    if (flight->kind == FLIGHT_NOTHING || flight->kind == FLIGHT_LOAD) return;
    if (flight->kind == FLIGHT_MARK) {
        bool is_mark = strcmp(tni_reply_text_or_empty(reply), "PONG") == 0;
        if (!is_mark) tni_redis_node_break(node, "the answers are not those to our questions");
        return;
    }
    if (flight->kind == FLIGHT_SCAN) {
        if (flight->work->use == flight->use) {
            tni_redis_scan_answer(flight->work, node->index, reply);
        }
        return;
    }
    if (!read_values(redis, reply, &count)) {
        drop_nonsense(node, flight);
        return;
    }
    node->said = NULL;
    node->failure_count = 0;
    const struct quorum_value *values = (const void *)redis->values.data;
    if (flight->call.verb == QUORUM_SWEEP) {
        struct bytes cursor = count == 3 ? values[1].text : (struct bytes){ "0", 1 };
        if (!decimal_parse(cursor, &node->sweep_cursor)) node->sweep_cursor = 0;
    } else if (flight->kind == FLIGHT_ADMISSION) {
        struct quorum_answer answer;
        bool is_good = quorum_answer_read(values, count, &answer);
        tell_admission(node, &flight->call, is_good ? &answer : NULL);
    } else if (flight->work->use == flight->use) {
        tni_redis_work_answer(flight->work, flight, node->link->received_at, values, count);
    }
}

/* What other clients say: that it is our turn, that something has happened, that somebody wants to
 * know what happens. */
static void take_push(struct redis_node *node, struct reply *reply)
{
    uint32_t count = tni_reply_array(reply);
    const char *kind = tni_reply_text_or_empty(reply);
    if (count != 3 || strcmp(kind, "message") != 0) return;
    const char *channel = tni_reply_text_or_empty(reply);
    bool is_wake = strcmp(channel, node->redis->channel) == 0;
    bool is_event = strcmp(channel, REDIS_EVENT_CHANNEL) == 0;
    bool is_break = strcmp(channel, REDIS_BREAK_CHANNEL) == 0;
    bool is_watch = strcmp(channel, REDIS_WATCH_CHANNEL) == 0;
    const char *message = tni_reply_text_or_empty(reply);
    if (reply->is_bad) return;
    if (is_wake) tni_redis_work_woken(node->redis, node->index, bytes_from_text(message));
    if (is_event || is_break) tni_redis_news_heard(node->redis, message, is_break);
    if (is_watch) tni_redis_news_wanted(node);
}

static void on_reply(struct link *link, struct reply *reply)
{
    struct redis_node *node = link->owner;
    char type = reply->data[reply->position]; /* a reply has at least that */
    if (type == '>') {
        take_push(node, reply);
        return;
    }
    if (node->flights.count == 0) {
        tni_redis_node_break(node, "the server answers what nobody asked");
        return;
    }
    struct redis_flight flight = flights_pop(&node->flights);
    expect_next(&node->flights);
    if (flight.kind == FLIGHT_LOAD) node->loading_count--;
    if (flight.kind == FLIGHT_WORK || flight.kind == FLIGHT_ADMISSION) {
        int64_t round_trip_ns = link->received_at.ns - flight.sent_at.ns;
        pace_measure(&node->redis->paces[node->index], round_trip_ns);
    }
    if (type == '-' || type == '!') {
        take_error(node, &flight, reply);
    } else {
        take_answer(node, &flight, reply);
    }
}

/* ------------------------------------------------------------------ the connection */

static void on_open(struct link *link)
{
    struct redis_node *node = link->owner;
    tni_redis_greet(node, link);
}

static void on_greet(struct link *link, struct reply *reply)
{
    struct redis_node *node = link->owner;
    tni_redis_greeted(node, link, reply);
}

static void on_up(struct link *link)
{
    struct redis_node *node = link->owner;
    struct redis *redis = node->redis;
    node->trouble[0] = '\0';
    node->refusal = NULL;
    node->said = NULL;
    node->up_at = tni_store_now();
    node->sweep_cursor = 0;
    tni_redis_judge_safety(redis);
    tni_redis_news_up(node);
    const struct redis_self *self = &node->self;
    const struct quorum_identity identity = {
        .run_id = bytes_from_text(self->run_id),
        .uptime_ms = self->uptime_ms,
        .is_durable = self->is_aof && self->is_fsync_always,
        .is_promoted = self->is_promoted,
    };
    node->is_told_up = true;
    struct quorum_admission_event event = { .kind = QUORUM_NODE_UP,
                                            .node = node->index,
                                            .identity = &identity };
    tni_redis_admission_step(redis, &event);
}

static void on_down(struct link *link, const char *text)
{
    tni_redis_node_break(link->owner, text);
}

static const struct link_ops link_ops = {
    .open = on_open,
    .greet = on_greet,
    .up = on_up,
    .reply = on_reply,
    .down = on_down,
    .gone = tni_redis_let_go,
};

static void connect_now(struct redis_node *node)
{
    struct redis *redis = node->redis;
    const struct link_options options = {
        .loop = redis->loop,
        .memory = redis->memory,
        .address = &node->address,
        .address_index = node->address_index,
        .tls = redis->tls,
        .server_name = redis->address.server_name[0] == '\0' ? NULL : redis->address.server_name,
        .ops = &link_ops,
        .owner = node,
        .context = redis,
    };
    ASSERT(node->link == NULL);
    node->retry_at = never;
    node->greeting_step = 0;
    node->link = tni_link_create(&options);
    if (node->link == NULL) {
        tni_redis_node_break(node, "no memory for a connection");
    } else {
        redis->open_count++;
    }
}

/* Whatever was asked on the connection that is gone will not be answered. */
static void fail_flights(struct redis_node *node)
{
    while (node->flights.count > 0) {
        struct redis_flight flight = flights_pop(&node->flights);
        if (flight.kind != FLIGHT_WORK && flight.kind != FLIGHT_SCAN) continue;
        if (flight.work->use != flight.use) continue;
        tni_redis_work_refused(flight.work, node->index, &flight, NULL);
    }
}

static struct mono pause_end(struct redis_node *node)
{
    uint32_t bound_ms = PAUSE_MS_MAX;
    if (node->failure_count < 6) bound_ms = PAUSE_MS_FIRST << node->failure_count;
    if (bound_ms > PAUSE_MS_MAX) bound_ms = PAUSE_MS_MAX;
    uint64_t range_ns = (uint64_t)bound_ms * (uint64_t)NS_PER_MS;
    int64_t pause_ns = (int64_t)(tni_redis_random(node->redis) % range_ns);
    return quorum_later(tni_store_now(), pause_ns);
}

static void drop(struct redis_node *node)
{
    if (node->link == NULL) return;
    /* A link that broke is closed before it says so: it cannot tell whether it was up. */
    bool was_up = node->is_told_up;
    if (!was_up) node->address_index++;
    tni_link_close(node->link);
    node->link = NULL;
    node->is_told_up = false;
    node->loading_count = 0;
    if (!was_up) return;
    struct quorum_admission_event event = { .kind = QUORUM_NODE_DOWN, .node = node->index };
    tni_redis_admission_step(node->redis, &event);
    fail_flights(node);
}

void tni_redis_node_break(struct redis_node *node, const char *text)
{
    if (text != node->trouble) {
        (void)snprintf(node->trouble, sizeof(node->trouble), "%s", text);
    }
    node->refusal = NULL;
    node->retry_at = pause_end(node); /* before anybody is told: nobody connects meanwhile */
    node->failure_count++;
    drop(node);
}

void tni_redis_node_move(struct redis_node *node, const struct link_address *address)
{
    (void)snprintf(node->trouble, sizeof(node->trouble), "it is the master no longer");
    drop(node);
    node->address = *address;
    node->address_index = 0;
    node->failure_count = 0;
    node->refusal = NULL;
    node->is_enabled = true;
    node->retry_at = tni_store_now();
}

/* ------------------------------------------------------------------ time */

/* Calls that are late make their node seem slower; one that hears nothing at all is dropped. */
static void look_after_flights(struct redis_node *node, struct mono now)
{
    for (uint32_t index = 0; index < node->flights.count; index++) {
        struct redis_flight *flight = flight_at(&node->flights, index);
        if (now.ns - flight->sent_at.ns < MISSED_NS || flight->is_missed) break;
        flight->is_missed = true;
        pace_miss(&node->redis->paces[node->index]);
    }
    if (node->flights.count == 0) return;
    bool is_old = now.ns - flight_at(&node->flights, 0)->sent_at.ns >= SILENT_NS;
    bool is_silent = now.ns - node->link->received_at.ns >= SILENT_NS;
    if (is_old && is_silent) tni_redis_node_break(node, "no answer for 3 s");
}

void tni_redis_node_on_time(struct redis_node *node, struct mono now)
{
    if (node->link == NULL && node->is_enabled && now.ns >= node->retry_at.ns) connect_now(node);
    if (tni_redis_node_is_up(node)) look_after_flights(node, now);
}

struct mono tni_redis_node_deadline(const struct redis_node *node)
{
    if (!node->is_enabled) return never;
    if (node->link == NULL) return node->retry_at;
    if (node->flights.count == 0) return never;
    const struct redis_flight *oldest = flight_at(&node->flights, 0);
    if (!oldest->is_missed) return quorum_later(oldest->sent_at, MISSED_NS);
    struct mono heard_at = quorum_later(node->link->received_at, SILENT_NS);
    struct mono asked_at = quorum_later(oldest->sent_at, SILENT_NS);
    return heard_at.ns > asked_at.ns ? heard_at : asked_at;
}

/* ------------------------------------------------------------------ life */

void tni_redis_node_init(struct redis *redis, struct redis_node *node, uint32_t index)
{
    *node = (struct redis_node){ .redis = redis,
                                 .index = index,
                                 .address = redis->address.nodes[index],
                                 .is_enabled = !redis->address.is_sentinel,
                                 .retry_at = tni_store_now() };
    (void)snprintf(node->trouble, sizeof(node->trouble), "not connected yet");
}

void tni_redis_node_deinit(struct redis_node *node)
{
    struct redis *redis = node->redis;
    if (node->link != NULL) tni_link_close(node->link);
    node->link = NULL;
    size_t size = node->flights.capacity * sizeof(struct redis_flight);
    memory_give(redis->memory, node->flights.ring, size);
    node->flights = (struct redis_flights){ 0 };
}
