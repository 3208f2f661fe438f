#include "server/log.h"
#include "server/relay.h"

/* Events are numbered by the store, if it numbers them, else here: from the time of the start on,
 * so that a number of an earlier life of this server, or of another one, is known as foreign.
 *
 * Nothing is kept: who follows is told what happens while he does.  When the store may have told us
 * less than has happened, followers are sent away (`compacted`), to look at the state and to begin
 * anew; that is all that best effort can do. */

static uint64_t *place_of(struct relay *relay, struct bytes name)
{
    return &relay->changes[siphash(&relay->key, name) % RELAY_CHANGE_COUNT];
}

uint64_t relay_changed(const struct relay *relay, struct bytes name)
{
    uint64_t changed = relay->changes[siphash(&relay->key, name) % RELAY_CHANGE_COUNT];
    return changed > relay->changed ? changed : relay->changed;
}

bool relay_record(const struct store_event *event, struct record *out_record)
{
    unsigned kind = 1;
    while (kind < RECORD_PUT && strcmp(event->kind, record_kind_word(kind)) != 0) {
        kind++;
    }
    if (kind == RECORD_PUT) return false; /* the store tells of locks only */
    *out_record = (struct record){
        .kind = (enum record_kind)kind,
        .at = { event->at_us },
        .name = bytes_from_text(event->name),
        .owner = bytes_from_text(event->owner),
        .token = { event->token },
        .mode = event->is_shared ? ENGINE_SHARED : ENGINE_EXCLUSIVE,
        .slot = event->slot,
        .slots = kind == RECORD_GRANTED ? 1 : 0,
        .ttl_ms = event->ttl_ms,
        .meta = bytes_from_text(event->meta),
        .reason = bytes_from_text(event->reason),
    };
    return true;
}

/* From here on, whatever was before. */
static void skip_to(struct relay *relay, uint64_t seq)
{
    struct server *server = relay->server;
    server->durable.value = seq;
    relay->changed = seq;
    events_skip(server->events, server->durable);
}

/* Something may have happened that we were not told. */
static void note_gap(struct relay *relay)
{
    struct server *server = relay->server;
    uint64_t seq = server->durable.value + 1;
    if (relay->told > seq) seq = relay->told;
    skip_to(relay, seq);
    server->metrics.relay_gap_count++;
}

static void on_begun(struct store_watch *watch)
{
    struct relay *relay = CONTAINER_OF(watch, struct relay, watch);
    struct server *server = relay->server;
    relay_wake(relay);
    bool is_again = relay->is_begun;
    bool is_whole = is_again && relay->has_seqs && watch->since == relay->told;
    server->event_err = TENURE_OK;
    relay->is_begun = true;
    relay->has_seqs = (relay->store->features >> STORE_FEATURE_RESUME & 1) != 0;
    relay->told = relay->has_seqs ? watch->since : 0;
    if (is_whole) return;
    uint64_t first = relay->has_seqs ? watch->since : (uint64_t)server->wall.us;
    if (is_again) {
        note_gap(relay);
    } else if (first > server->durable.value) {
        skip_to(relay, first);
    }
}

static bool on_event(struct store_watch *watch, const struct store_event *event)
{
    struct relay *relay = CONTAINER_OF(watch, struct relay, watch);
    struct server *server = relay->server;
    struct record record;
    relay_wake(relay);
    server->metrics.relay_events++;
    if (event->seq > 0) relay->told = event->seq;
    if (!relay_record(event, &record)) return true;
    uint64_t seq = relay->has_seqs ? event->seq : 0;
    if (seq <= server->durable.value) seq = server->durable.value + 1;
    record.seq.value = seq;
    server->durable.value = seq;
    *place_of(relay, record.name) = seq;
    events_publish(server->events, &record);
    return true;
}

static void fall_silent(struct relay *relay, enum tenure_err err)
{
    struct server *server = relay->server;
    bool was_told = server->event_err == TENURE_OK;
    server->event_err = err == TENURE_UNSUPPORTED ? err : TENURE_UNAVAILABLE;
    if (was_told) note_gap(relay);
}

static void on_end(struct store_watch *watch, enum tenure_err err)
{
    struct relay *relay = CONTAINER_OF(watch, struct relay, watch);
    relay_wake(relay);
    relay->is_watched = false;
    log_write(LOG_WARNING, "the store tells of no more changes: %s", tenure_err_text(err));
    fall_silent(relay, err);
}

void relay_watch_start(struct relay *relay)
{
    bool is_hopeless = relay->server->event_err == TENURE_UNSUPPORTED;
    if (relay->is_watched || is_hopeless) return;
    relay->watch = (struct store_watch){ .begun = on_begun, .event = on_event, .end = on_end };
    enum tenure_err err = tni_store_watch(relay->store, &relay->watch);
    relay->is_watched = err == TENURE_OK;
    if (err != TENURE_OK) fall_silent(relay, err);
}

void relay_watch_stop(struct relay *relay)
{
    if (!relay->is_watched) return;
    relay->is_watched = false;
    tni_store_unwatch(relay->store, &relay->watch);
}
