/* keeper - keeps one hold alive, and knows when it is over: a step machine without I/O, clock or
 * randomness.
 *
 *                  answer in time
 *               +-----------------+
 *               v                 |
 *   confirming -> held -> at risk -+-> lost        any but lost -> ended (released, forgotten)
 *        |         |          ^        ^
 *        +---------+----------+--------+           lost and ended are final
 *
 * What a holder may believe rests on one inequality: the server counts a lease from when it handles
 * a request, and that is after the request was written.  So
 *
 *     valid_until = sent_at + remaining * (1 - clock error) - slack
 *
 * with `sent_at` read on CLOCK_BOOTTIME *before* the request was written (Gray and Cheriton,
 * Leases, 1989) and `remaining` as the server says it in its answer: it ends before the server's
 * lease does, as long as the rates of the two clocks differ by less than the clock error.  Counting
 * from when the answer arrived, however it is delayed, would give no such thing.
 *
 *   - An answer counts from its own request, late as it may be; an answer to an older request than
 *     the last that was confirmed says nothing new.
 *   - A grant that was waited for was asked for long ago.  It is renewed first (confirming): only
 *     the answer to that makes it a hold.
 *   - While requests with different ttls are under way, nobody knows which comes last; the shortest
 *     counts.
 *   - After the end, nothing is sent any more, and no answer changes anything: a renewal never
 *     outlives the release.
 *   - Time that was not looked at (a stopped process, a suspended machine, a clock that was set)
 *     puts a hold at risk until the server has confirmed it. */
#ifndef TENURE_CLIENT_KEEPER_H
#define TENURE_CLIENT_KEEPER_H

#include "base/assert.h"
#include "base/types.h"

enum keeper_state {
    KEEPER_CONFIRMING, /* granted, but not in time to be believed */
    KEEPER_HELD,
    KEEPER_AT_RISK,
    KEEPER_LOST,
    KEEPER_ENDED, /* released or forgotten: not the keeper's business any more */
};
#define KEEPER_STATE_COUNT 5

enum keeper_loss {
    KEEPER_LOSS_NONE,
    KEEPER_LOSS_EXPIRED, /* the local deadline has passed */
    KEEPER_LOSS_ENDED,   /* the server says that it has ended */
    KEEPER_LOSS_BROKEN,  /* an administrator ended it */
    KEEPER_LOSS_CLOSED,  /* nobody keeps it any more */
};

/* Requests under way at the same time. */
#define KEEPER_FLIGHT_COUNT_MAX 4u
/* How often a hold without a ttl is looked after. */
#define KEEPER_LOOK_MS 5000u

struct keeper_options {
    uint32_t ttl_ms;          /* 0: no ttl */
    uint32_t clock_error_ppm; /* below 1000000 */
    bool is_passive;          /* renews only when it is asked to */
};

enum keeper_event_kind {
    KEEPER_GRANTED, /* first: `sent_at` of the request, `remaining_ms` and `ttl_ms` of the answer */
    KEEPER_TIME,    /* the deadline has come, or somebody looks */
    KEEPER_RENEWED, /* an answer: `sent_at`, `remaining_ms`, `ttl_ms`, `is_breaking` */
    KEEPER_REFUSED, /* an answer: the hold has ended, `loss` says how */
    KEEPER_FAILED,  /* no answer, or one that settles nothing: `sent_at` */
    KEEPER_HINT,    /* something may have happened to the hold: ask the server now */
    KEEPER_ASKED,   /* somebody wants a renewal now; `ttl_ms` is the new one */
    KEEPER_RELEASED, /* the end, by the holder's will */
    KEEPER_CLOSED,   /* the end: nobody will keep it any more */
};

struct keeper_event {
    enum keeper_event_kind kind;
    struct mono now;  /* CLOCK_BOOTTIME */
    struct wall wall; /* CLOCK_REALTIME; only its jumps are of interest */
    struct mono sent_at;
    int64_t remaining_ms; /* -1: until released */
    uint32_t ttl_ms;
    bool is_breaking; /* renewed: an administrator has set an end to it */
    enum keeper_loss loss;
};

/* What must now be done. */
struct keeper_update {
    bool is_renewing;  /* send a renewal with `ttl_ms`; its answers carry `sent_at` */
    bool has_changed;  /* `state` is another one than before */
    bool is_confirmed; /* it has become a hold just now */
    struct mono sent_at;
    uint32_t ttl_ms;
    enum keeper_state state;
    enum keeper_loss loss;
    struct mono valid_until; /* INT64_MAX: no ttl; the past when lost or not confirmed */
    struct mono deadline;    /* KEEPER_TIME is due then; INT64_MAX: never */
};

/* All is private. */
struct keeper {
    struct keeper_options options;
    enum keeper_state state;
    enum keeper_loss loss;
    bool is_breaking;
    bool is_doubtful;         /* time was lost: at risk until the server confirms */
    uint32_t ttl_ms;          /* what renewals ask for */
    uint32_t ttl_ms_low;      /* the shortest of what is under way */
    uint32_t flight_count;    /* requests under way */
    struct mono confirmed_at; /* sent_at of the last request that was confirmed */
    struct mono valid_until;
    struct mono risk_at;
    struct mono renew_at;
    struct mono deadline;   /* as it was told last */
    int64_t wall_offset_us; /* wall clock less CLOCK_BOOTTIME, when last looked at */
    bool has_offset;
};

/* `clock_error_ppm` is below 1000000.  Nothing is held before KEEPER_GRANTED. */
void tni_keeper_init(struct keeper *keeper, const struct keeper_options *options);
/* Let something happen. */
void tni_keeper_step(
    struct keeper *keeper, const struct keeper_event *event, struct keeper_update *out_update);
/* An administrator has set an end to it. */
static inline bool tni_keeper_is_breaking(const struct keeper *keeper)
{
    return keeper->is_breaking;
}

/* The last moment at which somebody whose request was sent at `sent_at` may believe to have
 * `remaining_ms` (not negative) of a lease. */
struct mono
tni_keeper_valid_until(struct mono sent_at, int64_t remaining_ms, uint32_t clock_error_ppm);

#endif
