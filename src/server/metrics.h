/* metrics - what the server counts, and how long things take, in Prometheus' text form.
 *
 * Everything lives in one struct in the server, owned by the loop's thread.  Labels come from small
 * closed sets (protocols, outcomes, kinds of record), never from what clients send: the number of
 * series is fixed.  What happens to locks the engine counts by itself.
 *
 * Who calls what:
 *   the turn      metrics_observe_turn, metrics_observe_stall, metrics_observe_commit, and
 *                 metrics_observe_reply for each reply of the engine, before it is handed out
 *   connections   the plain fields: accepted, refused, open, bytes
 *   protocols     requests[] */
#ifndef TENURE_SERVER_METRICS_H
#define TENURE_SERVER_METRICS_H

#include <tenure/error.h>

#include "base/buffer.h"
#include "base/histogram.h"
#include "engine/engine.h"

struct server;

enum metrics_protocol { METRICS_HTTP, METRICS_RESP, METRICS_PROTOCOL_COUNT };

struct metrics {
    struct histogram wait;   /* from a request to its grant, of grants that had to wait */
    struct histogram commit; /* one write + fdatasync of a batch */
    struct histogram turn;   /* one turn of the loop without its sleep: the loop's lag */
    uint64_t replies[TENURE_ERR_COUNT];
    uint64_t requests[METRICS_PROTOCOL_COUNT];
    uint64_t connections_accepted;
    uint64_t connections_refused; /* over the limit, or no descriptor */
    uint64_t connections_open;    /* now */
    uint64_t bytes_in;
    uint64_t bytes_out;
    uint64_t commit_bytes;
    uint64_t stall_count;
    uint64_t stall_us;
    uint64_t snapshot_count;
    uint64_t scrub_count;        /* of the journal's files, all of them */
    uint64_t scrub_damage_count; /* damaged files found */
    uint64_t scrub_bytes;        /* read again */
    int64_t scrub_last_s;        /* when the last one ended, since 1970; 0: none since the start */
    uint64_t journal_size;       /* now, bytes of segments and snapshots on the disk */
    uint64_t overflow_count;     /* followers ended because their reader was too slow */
    uint64_t compacted_count;    /* followers that asked for events no longer remembered */
    uint64_t listener_cut_count; /* listeners to channels cut off for reading too slowly */
    uint64_t relay_waiting;      /* now, of a relay: requests that wait for a lock */
    uint64_t relay_pending;      /* now, of a relay: requests that the store has not answered */
    uint64_t relay_events;       /* of a relay: changes that the store has told */
    uint64_t relay_gap_count;    /* of a relay: times at which changes may have been missed */
    struct histogram relay;      /* of a relay: from a request to its answer, if it did not wait */
};

/* All zero. */
void metrics_init(struct metrics *metrics);

void metrics_observe_turn(struct metrics *metrics, int64_t ns);
void metrics_observe_stall(struct metrics *metrics, int64_t ns);
/* One commit: `ns` from its start until it was durable, `size` bytes. */
void metrics_observe_commit(struct metrics *metrics, int64_t ns, uint64_t size);
void metrics_observe_reply(struct metrics *metrics, const struct engine_reply *reply);

/* A follower was overtaken by the window: because its reader was too slow, or because it asked for
 * too much. */
static inline void metrics_count_overtaken(struct metrics *metrics, bool is_slow)
{
    if (is_slow) {
        metrics->overflow_count++;
    } else {
        metrics->compacted_count++;
    }
}

/* Append all of it as Prometheus' text exposition format 0.0.4. */
void metrics_write(const struct server *server, struct buffer *out);

#endif
