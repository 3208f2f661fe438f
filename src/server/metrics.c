/* metrics - see metrics.h. */
#include "server/metrics.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "engine/queues.h"
#include "engine/registers.h"
#include "server/channels.h"
#include "server/server.h"

void metrics_init(struct metrics *metrics)
{
    *metrics = (struct metrics){ 0 };
}

void metrics_observe_turn(struct metrics *metrics, int64_t ns)
{
    histogram_observe(&metrics->turn, ns / 1000);
}

void metrics_observe_stall(struct metrics *metrics, int64_t ns)
{
    metrics->stall_count++;
    metrics->stall_us += ns > 0 ? (uint64_t)ns / 1000 : 0;
}

void metrics_observe_commit(struct metrics *metrics, int64_t ns, uint64_t size)
{
    histogram_observe(&metrics->commit, ns / 1000);
    metrics->commit_bytes += size;
}

void metrics_observe_reply(struct metrics *metrics, const struct engine_reply *reply)
{
    metrics->replies[reply->err]++;
    if (reply->kind != ENGINE_ACQUIRE || reply->err != TENURE_OK || reply->result_count == 0) {
        return;
    }
    if (reply->results[0].waited_ms > 0) {
        histogram_observe(&metrics->wait, reply->results[0].waited_ms * 1000);
    }
}

/* ------------------------------------------------------------------ writing */

__attribute__((format(printf, 2, 3))) static void put(struct buffer *out, const char *format, ...)
{
    char line[256];
    va_list list;
    va_start(list, format);
    int size = vsnprintf(line, sizeof(line), format, list);
    va_end(list);
    ASSERT(size >= 0 && (size_t)size < sizeof(line));
    buffer_append(out, line, (size_t)size);
}

static void put_head(struct buffer *out, const char *name, const char *type, const char *help)
{
    put(out, "# HELP tenure_%s %s\n# TYPE tenure_%s %s\n", name, help, name, type);
}

static void put_counter(struct buffer *out, const char *name, const char *help, uint64_t value)
{
    put_head(out, name, "counter", help);
    put(out, "tenure_%s %" PRIu64 "\n", name, value);
}

static void put_gauge(struct buffer *out, const char *name, const char *help, uint64_t value)
{
    put_head(out, name, "gauge", help);
    put(out, "tenure_%s %" PRIu64 "\n", name, value);
}

static void put_seconds(struct buffer *out, const char *name, const char *suffix, uint64_t us)
{
    put(out, "tenure_%s%s %" PRIu64 ".%06" PRIu64 "\n", name, suffix, us / 1000000, us % 1000000);
}

static void put_histogram(
    struct buffer *out, const char *name, const char *help, const struct histogram *histogram)
{
    put_head(out, name, "histogram", help);
    uint64_t total = 0;
    for (uint32_t i = 0; i < HISTOGRAM_BUCKET_COUNT; i++) {
        uint64_t bound_us = (uint64_t)HISTOGRAM_BUCKET_US_MIN << i;
        total += histogram->counts[i];
        put(out,
            "tenure_%s_bucket{le=\"%" PRIu64 ".%06" PRIu64 "\"} %" PRIu64 "\n",
            name,
            bound_us / 1000000,
            bound_us % 1000000,
            total);
    }
    total += histogram->counts[HISTOGRAM_BUCKET_COUNT];
    put(out, "tenure_%s_bucket{le=\"+Inf\"} %" PRIu64 "\n", name, total);
    put_seconds(out, name, "_sum", histogram->sum_us);
    put(out, "tenure_%s_count %" PRIu64 "\n", name, total);
}

/* What only an engine and its journal have. */
static void write_engine(const struct server *server, struct buffer *out)
{
    const struct metrics *metrics = &server->metrics;
    struct engine_counters counters = engine_counters(server->engine);
    put_head(out, "events_total", "counter", "Changes, by kind.");
    for (unsigned kind = 1; kind < RECORD_KIND_COUNT; kind++) {
        const char *word = record_kind_word(kind);
        if (word == NULL) continue;
        put(out, "tenure_events_total{kind=\"%s\"} %" PRIu64 "\n", word, counters.records[kind]);
    }
    put_gauge(out, "disk_full", "1 when no grants are made for want of space.", server->is_full);
    put_gauge(
        out,
        "disk_slow",
        "1 when no grants are made because the disk does not keep up.",
        server->is_disk_slow);
    put_gauge(
        out,
        "locks",
        "Names in memory: held, waited for, delayed, or of an event that is remembered.",
        counters.lock_count);
    put_gauge(out, "holds", "Holds.", counters.hold_count);
    put_gauge(out, "waiters", "Requests that wait.", counters.waiter_count);
    put_gauge(out, "window_bytes", "Memory of recent events.", counters.window_size);
    put_gauge(out, "window_events", "Recent events remembered.", counters.window_count);
    put_gauge(out, "seq", "Number of the last event.", engine_seq(server->engine).value);
    put_gauge(out, "durable_seq", "Number of the last event on the disk.", server->durable.value);
    put_histogram(out, "hold_seconds", "From a grant to its end.", &counters.hold_times);
    put_histogram(
        out, "commit_seconds", "Writing one batch until it is on the disk.", &metrics->commit);
}

/* All queues together: a name would be a label that clients choose. */
static void write_queues(const struct engine *engine, struct buffer *out)
{
    struct engine_work_counters counters = engine_work_counters(engine);
    struct engine_queue_view queue = { .name = { "", 0 } };
    uint64_t counts[ITEM_STATE_COUNT] = { 0 };
    int64_t oldest_ms = 0;
    while (engine_next_queue(engine, queue.name, &queue)) {
        for (unsigned state = 0; state < ITEM_STATE_COUNT; state++) {
            counts[state] += queue.counts[state];
        }
        if (!queue.is_paused && queue.oldest_ms > oldest_ms) oldest_ms = queue.oldest_ms;
    }
    put_gauge(out, "queues", "Queues.", counters.queue_count);
    put_gauge(out, "queue_groups", "Groups of all queues.", counters.group_count);
    put_head(out, "items", "gauge", "Items of all queues, by state.");
    for (unsigned state = 0; state < ITEM_STATE_COUNT; state++) {
        const char *word = item_state_word(state);
        put(out, "tenure_items{state=\"%s\"} %" PRIu64 "\n", word, counts[state]);
    }
    put_gauge(out, "item_bytes", "Bodies, headers and results in memory.", counters.item_bytes);
    struct engine_counters all = engine_counters(engine);
    put_histogram(
        out,
        "item_wait_seconds",
        "From when an item could be taken until it was.",
        &all.item_waits);
    put_histogram(out, "item_run_seconds", "From a take to its end.", &all.item_runs);
    put_gauge(out, "takers", "Requests that wait at queues.", counters.taker_count);
    put_head(
        out,
        "oldest_ready_seconds",
        "gauge",
        "Since the item that is longest ready, of the queues that are not paused, became so.");
    put_seconds(out, "oldest_ready_seconds", "", (uint64_t)oldest_ms * 1000);
}

/* Registers and ranks; who watches them is one of the followers. */
static void write_state(const struct engine *engine, struct buffer *out)
{
    struct engine_key_counters counters = engine_key_counters(engine);
    put_gauge(out, "registers", "Registers that are set.", counters.register_count);
    put_gauge(out, "ranks", "Ranks that have members.", counters.rank_count);
    put_gauge(out, "rank_members", "Members of all ranks.", counters.member_count);
    put_gauge(
        out, "key_bytes", "Values of registers and names of members in memory.", counters.bytes);
    put_gauge(
        out,
        "key_history_bytes",
        "Values in memory that only recent events have.",
        counters.history_bytes);
    put_gauge(
        out,
        "register_waiters",
        "Requests that wait for the change of a register.",
        counters.wait_count);
}

static void write_channels(const struct server *server, struct buffer *out)
{
    struct channel_counters counters = channel_counters(server->channels);
    put_gauge(out, "channels", "Channels that somebody listens to.", counters.channel_count);
    put_gauge(out, "patterns", "Patterns that somebody listens to.", counters.pattern_count);
    put_gauge(
        out,
        "subscriptions",
        "Subscriptions to channels and patterns.",
        counters.subscription_count);
    put_counter(out, "messages_published_total", "Messages to channels.", counters.published);
    put_counter(
        out,
        "messages_delivered_total",
        "Messages to channels, as often as they were told.",
        counters.delivered);
    put_counter(
        out,
        "listeners_overflowed_total",
        "Connections that listened to channels and were closed for reading too slowly.",
        server->metrics.listener_cut_count);
}

static void write_journal(const struct metrics *metrics, struct buffer *out)
{
    put_counter(
        out, "journal_written_bytes_total", "Bytes written to the journal.", metrics->commit_bytes);
    put_gauge(out, "journal_bytes", "Journal and snapshots on the disk.", metrics->journal_size);
    put_counter(out, "snapshots_total", "Snapshots completed.", metrics->snapshot_count);
    put_counter(
        out, "scrubs_total", "Times all journal files were verified.", metrics->scrub_count);
    put_counter(
        out,
        "scrub_damage_total",
        "Damaged journal files found by scrubs.",
        metrics->scrub_damage_count);
    put_counter(out, "scrubbed_bytes_total", "Bytes read by scrubs.", metrics->scrub_bytes);
    put_gauge(
        out,
        "scrub_last_seconds",
        "When the last scrub of the journal ended, since 1970; 0 for none since the start.",
        (uint64_t)metrics->scrub_last_s);
    put_counter(out, "stalls_total", "Times the server stood still.", metrics->stall_count);
    put_head(out, "stalled_seconds_total", "counter", "Time by which deadlines were moved.");
    put_seconds(out, "stalled_seconds_total", "", metrics->stall_us);
}

/* What only a relay has. */
static void write_relay(const struct server *server, struct buffer *out)
{
    const struct metrics *metrics = &server->metrics;
    put_gauge(out, "store_up", "1 when the store answers.", !server->is_store_down);
    put_gauge(out, "waiters", "Requests that wait.", metrics->relay_waiting);
    put_gauge(
        out, "store_pending", "Requests that the store has not answered.", metrics->relay_pending);
    put_counter(
        out, "store_events_total", "Changes that the store has told.", metrics->relay_events);
    put_counter(
        out,
        "store_event_gaps_total",
        "Times at which changes may have been missed.",
        metrics->relay_gap_count);
    put_histogram(
        out,
        "store_seconds",
        "From a request that does not wait to the answer of the store.",
        &metrics->relay);
}

static void write_counters(const struct metrics *metrics, struct buffer *out)
{
    put_head(out, "replies_total", "counter", "Answers to commands, by outcome.");
    for (int err = 0; err < TENURE_ERR_COUNT; err++) {
        const char *name = tenure_err_name((enum tenure_err)err);
        put(out, "tenure_replies_total{outcome=\"%s\"} %" PRIu64 "\n", name, metrics->replies[err]);
    }
    put_head(out, "requests_total", "counter", "Requests, by protocol.");
    put(out,
        "tenure_requests_total{protocol=\"http\"} %" PRIu64 "\n",
        metrics->requests[METRICS_HTTP]);
    put(out,
        "tenure_requests_total{protocol=\"resp\"} %" PRIu64 "\n",
        metrics->requests[METRICS_RESP]);
    put_counter(
        out, "connections_accepted_total", "Connections accepted.", metrics->connections_accepted);
    put_counter(
        out,
        "connections_refused_total",
        "Connections refused: over the limit, or no descriptor.",
        metrics->connections_refused);
    put_counter(out, "received_bytes_total", "Bytes from clients.", metrics->bytes_in);
    put_counter(out, "sent_bytes_total", "Bytes to clients.", metrics->bytes_out);
    put_counter(
        out,
        "followers_overflowed_total",
        "Event streams ended because their reader was too slow.",
        metrics->overflow_count);
    put_counter(
        out,
        "followers_compacted_total",
        "Event streams that asked for events no longer remembered.",
        metrics->compacted_count);
}

static void write_gauges(const struct server *server, struct buffer *out)
{
    put_gauge(out, "ready", "1 when requests are served.", server->is_ready ? 1 : 0);
    put_gauge(out, "connections", "Open connections.", server->metrics.connections_open);
    put_gauge(out, "followers", "Event streams.", events_follower_count(server->events));
    put_head(out, "uptime_seconds", "gauge", "Since the start.");
    put_seconds(
        out, "uptime_seconds", "", (uint64_t)((server->now.ns - server->started_at.ns) / 1000));
}

void metrics_write(const struct server *server, struct buffer *out)
{
    const struct metrics *metrics = &server->metrics;
    put_head(out, "build_info", "gauge", "Always 1.");
    put(out,
        "tenure_build_info{version=\"%s\",safety=\"%s\"} 1\n",
        TENURE_VERSION,
        server_safety_word(server));
    write_gauges(server, out);
    write_counters(metrics, out);
    put_histogram(
        out, "wait_seconds", "From a request to its grant, if it waited.", &metrics->wait);
    put_histogram(
        out, "turn_seconds", "One turn of the loop: what others have to wait.", &metrics->turn);
    write_channels(server, out);
    if (server->engine != NULL) {
        write_engine(server, out);
        write_queues(server->engine, out);
        write_state(server->engine, out);
        write_journal(metrics, out);
    } else {
        write_relay(server, out);
    }
}
