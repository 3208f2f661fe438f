#include <inttypes.h>

#include "sim/state_parts.h"

bool state_is_filtered(uint32_t filter, uint32_t name)
{
    static const char *const prefixes[] = { "", "conf/", "a", "score" };
    return bytes_start_with(state_name(name), bytes_from_text(prefixes[filter]));
}

static int64_t some_time(struct world *world)
{
    return world->now_ns + rng_scale(&world->rng, 10000, 40 * NS_PER_MS);
}

/* Nothing that was under way arrives; it asks again on another connection. */
void state_watch_cut(struct world *world, struct state_watch *watch)
{
    if (watch->news_count > 0) world_probe(world, PROBE_WATCH_NEWS_LOST);
    watch->is_on = false;
    watch->is_looking = false;
    watch->news_count = 0;
    watch->subscribe_ns = some_time(world);
    /* Some stay away for long. */
    if (!world->is_calm && rng_percent(&world->rng, 30)) {
        watch->subscribe_ns += rng_scale(&world->rng, 50 * NS_PER_MS, 200 * NS_PER_S);
    }
}

void state_disconnected(struct world *world, uint32_t client)
{
    if (!world->swarm.has_state) return;
    for (uint32_t index = 0; index < STATE_WATCH_COUNT; index++) {
        struct state_watch *watch = &world->states.watches[index];
        if (watch->client == client) state_watch_cut(world, watch);
    }
}

void state_watch_forget(struct world *world)
{
    if (!world->swarm.has_state) return;
    for (uint32_t index = 0; index < STATE_WATCH_COUNT; index++) {
        struct state_watch *watch = &world->states.watches[index];
        state_watch_cut(world, watch);
        watch->seen = 0;
        watch->is_lost = true;
    }
}

void state_watch_init(struct world *world)
{
    struct rng rng = rng_from(world->options.seed, UINT64_C(1) << 42);
    for (uint32_t index = 0; index < STATE_WATCH_COUNT; index++) {
        world->states.watches[index] = (struct state_watch){
            .client = rng_below(&rng, world->swarm.client_count),
            .filter = rng_below(&rng, 4),
            .is_lost = rng_percent(&rng, 30),
        };
    }
}

/* --------------------------------------------------------------------- the host */

/* On the way, in order. */
static void send_news(struct world *world, struct state_watch *watch, struct state_news news)
{
    news.arrive_ns = some_time(world);
    if (watch->news_count > 0) {
        int64_t before_ns = watch->news[watch->news_count - 1].arrive_ns;
        if (news.arrive_ns < before_ns) news.arrive_ns = before_ns;
    }
    if (news.arrive_ns < watch->look_arrive_ns) news.arrive_ns = watch->look_arrive_ns;
    watch->news[watch->news_count++] = news;
}

/* What the window says about the event, and nothing that the ledger knows. */
static struct state_event read_event(struct world *world, const struct record *record)
{
    struct state_event event = state_event_of(world, record);
    if (record->kind == RECORD_SET || record->kind == RECORD_APPENDED) {
        event.value = state_text_of(record->body);
    }
    if (record->has_previous) event.previous = state_text_of(record->previous);
    return event;
}

/* It goes on behind what it saw last, or first gets all there is, as of now. */
static void subscribe(struct world *world, struct state_watch *watch)
{
    watch->is_on = true;
    watch->look_arrive_ns = 0;
    if (watch->seen > 0 && !watch->is_lost) world_probe(world, PROBE_WATCH_RESUMED);
    watch->next = watch->seen + 1;
    if (!watch->is_lost) return;
    state_compare(world, false);
    watch->is_looking = true;
    watch->look_seq = engine_seq(world->host.engine).value;
    watch->next = watch->look_seq + 1;
    memcpy(watch->look, world->states.keys, sizeof watch->look);
    watch->look_arrive_ns = WORLD_NEVER; /* before it is durable */
}

/* K7: what is not in the window any more is said to be missing. */
static void tell_compacted(struct world *world, struct state_watch *watch)
{
    if (watch->next >= engine_window_first(world->host.engine).value) {
        world_fail(world, "K7: event %" PRIu64 " of the window cannot be read", watch->next);
    }
    watch->is_on = false;
    watch->subscribe_ns = WORLD_NEVER;
    send_news(world, watch, (struct state_news){ .is_compacted = true });
}

static void pump(struct world *world, struct state_watch *watch)
{
    const struct engine *engine = world->host.engine;
    uint64_t durable = world->host.durable.value;
    if (watch->is_looking && watch->look_arrive_ns == WORLD_NEVER) {
        if (watch->look_seq > durable) return;
        watch->look_arrive_ns = some_time(world);
    }
    for (; watch->is_on && watch->next <= durable; watch->next++) {
        struct record record;
        if (watch->news_count + 1 >= STATE_NEWS_MAX) return; /* it is slow */
        if (!engine_window_read(engine, (struct seq){ watch->next }, &record)) {
            tell_compacted(world, watch);
            return;
        }
        if (!RECORD_KIND_IS_KEY(record.kind)) continue;
        struct state_news news = { .event = read_event(world, &record) };
        if (!state_is_filtered(watch->filter, news.event.name)) continue;
        send_news(world, watch, news);
    }
}

void state_watch_pump(struct world *world)
{
    if (!world->swarm.has_state) return;
    for (uint32_t index = 0; index < STATE_WATCH_COUNT; index++) {
        struct state_watch *watch = &world->states.watches[index];
        bool is_new = !watch->is_on && watch->subscribe_ns <= world->now_ns;
        if (is_new) subscribe(world, watch);
        if (watch->is_on) pump(world, watch);
    }
}

/* ------------------------------------------------------------------ the watcher */

static void apply(struct state_key *mirror, const struct state_event *event)
{
    if (event->kind == RECORD_RANKED || event->kind == RECORD_UNRANKED) {
        mirror->is_member[event->member] = event->kind == RECORD_RANKED;
        mirror->scores[event->member] = event->score;
    } else {
        mirror->value = event->value;
        mirror->version = event->value.is_set ? event->seq : 0;
    }
}

/* K7: the next one, and whole. */
static void see(struct world *world, struct state_watch *watch, const struct state_event *event)
{
    const struct state_event *next = state_event_behind(world, watch->seen, watch->filter);
    if (event->seq <= watch->seen) {
        world_fail(world, "K7: event %" PRIu64 " comes again", event->seq);
    }
    if (next == NULL || next->seq != event->seq) {
        world_fail(
            world,
            "K7: a watcher sees event %" PRIu64 " behind %" PRIu64 ", there is %" PRIu64,
            event->seq,
            watch->seen,
            next == NULL ? 0 : next->seq);
    }
    bool is_score = !(event->score < next->score) && !(event->score > next->score);
    bool is_same = event->kind == next->kind && event->name == next->name && is_score &&
                   event->member == next->member && event->more == next->more &&
                   event->cause == next->cause && state_text_equals(&event->value, &next->value);
    if (!is_same || !state_text_equals(&event->previous, &next->previous)) {
        world_fail(world, "K7: event %" PRIu64 " tells something else than there was", event->seq);
    }
    struct state_key *mirror = &watch->mirror[event->name];
    bool is_register = event->kind != RECORD_RANKED && event->kind != RECORD_UNRANKED;
    if (is_register && !state_text_equals(&mirror->value, &event->previous)) {
        world_fail(world, "K7: event %" PRIu64 " begins somewhere else", event->seq);
    }
    if (event->previous.is_set) world_probe(world, PROBE_WATCH_PREVIOUS);
    apply(mirror, event);
    watch->seen = event->seq;
}

static void arrive(struct world *world, struct state_watch *watch)
{
    if (watch->is_looking && watch->look_arrive_ns <= world->now_ns) {
        memcpy(watch->mirror, watch->look, sizeof watch->mirror);
        watch->seen = watch->look_seq;
        watch->is_looking = false;
        watch->is_lost = false;
    }
    uint32_t count = 0;
    while (count < watch->news_count && watch->news[count].arrive_ns <= world->now_ns) {
        const struct state_news *news = &watch->news[count++];
        if (!news->is_compacted) {
            see(world, watch, &news->event);
            continue;
        }
        world_probe(world, PROBE_WATCH_COMPACTED);
        watch->is_lost = true;
        watch->subscribe_ns = some_time(world);
    }
    watch->news_count -= count;
    memmove(watch->news, watch->news + count, watch->news_count * sizeof *watch->news);
}

void state_watch_turn(struct world *world)
{
    if (!world->swarm.has_state) return;
    for (uint32_t index = 0; index < STATE_WATCH_COUNT; index++) {
        arrive(world, &world->states.watches[index]);
    }
}

int64_t state_watch_next_ns(const struct world *world)
{
    int64_t next_ns = WORLD_NEVER;
    if (!world->swarm.has_state) return next_ns;
    for (uint32_t index = 0; index < STATE_WATCH_COUNT; index++) {
        const struct state_watch *watch = &world->states.watches[index];
        bool is_asking = !watch->is_on && world->host.is_up;
        if (is_asking && watch->subscribe_ns < next_ns) next_ns = watch->subscribe_ns;
        if (watch->is_looking && watch->look_arrive_ns < next_ns) next_ns = watch->look_arrive_ns;
        if (watch->news_count > 0 && watch->news[0].arrive_ns < next_ns) {
            next_ns = watch->news[0].arrive_ns;
        }
    }
    return next_ns;
}

void state_watch_check_rest(struct world *world)
{
    if (!world->swarm.has_state) return;
    for (uint32_t index = 0; index < STATE_WATCH_COUNT; index++) {
        const struct state_watch *watch = &world->states.watches[index];
        if (watch->is_lost || state_event_behind(world, watch->seen, watch->filter) != NULL) {
            world_fail(world, "K7: a watcher has not seen all");
        }
        for (uint32_t name = 0; name < STATE_NAME_COUNT; name++) {
            const struct state_key *key = &world->states.keys[name];
            const struct state_key *mirror = &watch->mirror[name];
            if (!state_is_filtered(watch->filter, name)) continue;
            uint32_t left[STATE_MEMBER_COUNT];
            uint32_t right[STATE_MEMBER_COUNT];
            uint32_t count = state_rank_order(key, left);
            bool is_same = state_text_equals(&key->value, &mirror->value) &&
                           key->version == mirror->version &&
                           count == state_rank_order(mirror, right) &&
                           memcmp(left, right, count * sizeof *left) == 0;
            if (!is_same) world_fail(world, "K7: a watcher has another state in the end");
        }
    }
}
