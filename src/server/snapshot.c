#include "server/snapshot.h"

#include <inttypes.h>

#include "server/embedded.h"
#include "server/log.h"
#include "server/server.h"

/* Of one turn: small enough that nobody waits for it. */
#define PIECE_SIZE ((size_t)256 << 10)
_Static_assert(PIECE_SIZE + ENGINE_SNAPSHOT_ENTRY_SIZE_MAX <= JOURNAL_CHUNK_SIZE_MAX, "it fits");

/* Of events, a snapshot writes a quarter of what the journal has written since the last one. */
#define WINDOW_COUNT 4u

#define FORCED_RETRY_NS (60 * NS_PER_S)

void snapshot_init(struct server *server)
{
    buffer_init(&server->embedded->snapshot.chunk, &memory_heap);
}

void snapshot_deinit(struct server *server)
{
    struct snapshot *snapshot = &server->embedded->snapshot;
    if (snapshot->phase == SNAPSHOT_WRITING && !snapshot->is_last) {
        engine_snapshot_abandon(server->engine);
    }
    buffer_deinit(&snapshot->chunk);
    snapshot->phase = SNAPSHOT_IDLE;
}

void snapshot_force(struct server *server)
{
    struct snapshot *snapshot = &server->embedded->snapshot;
    snapshot->forced_count = SNAPSHOT_FORCED_COUNT;
    snapshot->is_forced = false; /* one that was begun before does not count */
}

static bool is_forced_due(const struct server *server)
{
    const struct snapshot *snapshot = &server->embedded->snapshot;
    if (snapshot->forced_count == 0 || server->now.ns < snapshot->forced_retry_at.ns) return false;
    return snapshot->forced_count == SNAPSHOT_FORCED_COUNT ||
           engine_seq(server->engine).value > snapshot->seq.value;
}

static bool is_growth_due(const struct server *server)
{
    struct journal_status status = journal_status(server->embedded->journal);
    uint64_t due = server->config->snapshot_bytes;
    /* The window of events is written whole: better not each time when it has gone by once. */
    uint64_t window_due = engine_counters(server->engine).window_size * WINDOW_COUNT;
    if (window_due > due * WINDOW_COUNT) window_due = due * WINDOW_COUNT;
    if (due < window_due) due = window_due;
    /* A large state is not written again for every little change. */
    if (due < status.snapshot_size) due = status.snapshot_size;
    if (due < server->embedded->snapshot.retry_bytes) due = server->embedded->snapshot.retry_bytes;
    return status.bytes_since_snapshot >= due;
}

void snapshot_consider(struct server *server)
{
    struct snapshot *snapshot = &server->embedded->snapshot;
    if (snapshot->phase != SNAPSHOT_IDLE || server->is_draining) return;
    bool is_forced = is_forced_due(server);
    if (!is_forced && !is_growth_due(server)) return;

    engine_snapshot_begin(server->engine, &snapshot->seq);
    housekeeper_snapshot_begin(server->embedded->housekeeper, snapshot->seq);
    snapshot->phase = SNAPSHOT_WRITING;
    snapshot->is_last = false;
    snapshot->is_forced = is_forced;
    log_write(LOG_DEBUG, "snapshot at %" PRIu64 " begun", snapshot->seq.value);
}

static void count_forced(struct snapshot *snapshot)
{
    if (!snapshot->is_forced) return;
    snapshot->is_forced = false;
    if (--snapshot->forced_count > 0) return;
    log_write(LOG_INFO, "two new snapshots have taken the place of the damaged files");
}

static void finish(struct server *server)
{
    struct snapshot *snapshot = &server->embedded->snapshot;
    snapshot->phase = SNAPSHOT_IDLE;
    snapshot->retry_bytes = 0;
    server->metrics.snapshot_count++;
    log_write(LOG_DEBUG, "snapshot written");
    count_forced(snapshot);
}

static void give_up(struct server *server, const struct tenure_error *error)
{
    struct snapshot *snapshot = &server->embedded->snapshot;
    snapshot->phase = SNAPSHOT_IDLE;
    snapshot->retry_bytes = journal_status(server->embedded->journal).bytes_since_snapshot +
                            server->config->snapshot_bytes / 2;
    snapshot->forced_retry_at = (struct mono){ server->now.ns + FORCED_RETRY_NS };
    log_write(LOG_WARNING, "no snapshot could be written: %s", error->text);
}

static void look_at_end(struct server *server)
{
    struct tenure_error error = { .text = "" };
    switch (housekeeper_snapshot_state(server->embedded->housekeeper, &error)) {
    case HOUSEKEEPER_SNAPSHOT_RUNNING: break;
    case HOUSEKEEPER_SNAPSHOT_DONE: finish(server); break;
    case HOUSEKEEPER_SNAPSHOT_NONE:
    case HOUSEKEEPER_SNAPSHOT_FAILED: give_up(server, &error); break;
    }
}

/* No memory for a piece: the engine has let go of the snapshot already.  Locks go on without one;
 * the next attempt comes as after any other failure, when the housekeeper has let go of it too. */
static void abandon(struct server *server)
{
    struct snapshot *snapshot = &server->embedded->snapshot;
    buffer_deinit(&snapshot->chunk);
    housekeeper_snapshot_abandon(server->embedded->housekeeper);
    snapshot->phase = SNAPSHOT_FINISHING;
}

bool snapshot_advance(struct server *server)
{
    struct snapshot *snapshot = &server->embedded->snapshot;
    if (snapshot->phase == SNAPSHOT_IDLE) return false;
    if (snapshot->phase == SNAPSHOT_FINISHING) {
        look_at_end(server);
        return false;
    }
    struct housekeeper *housekeeper = server->embedded->housekeeper;
    if (snapshot->chunk.size == 0) {
        snapshot->is_last = engine_snapshot_write(server->engine, &snapshot->chunk, PIECE_SIZE);
        if (snapshot->chunk.is_failed) {
            abandon(server);
            return false;
        }
    }
    if (!housekeeper_snapshot_append(housekeeper, buffer_bytes(&snapshot->chunk))) return false;
    buffer_reset(&snapshot->chunk);
    if (!snapshot->is_last) return true;
    housekeeper_snapshot_finish(housekeeper);
    buffer_deinit(&snapshot->chunk);
    snapshot->phase = SNAPSHOT_FINISHING;
    return false;
}
