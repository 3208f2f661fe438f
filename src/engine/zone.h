/* zone - the clock on the wall of a place: what is in a file of the time zone database (RFC 9636),
 * already read.  No I/O: who has the file hands its bytes in, so that an answer depends on nothing
 * else. */
#ifndef TENURE_ENGINE_ZONE_H
#define TENURE_ENGINE_ZONE_H

#include <stdbool.h>

#include "base/memory.h"
#include "base/types.h"

/* A day of the year on which the clock is set, as in POSIX TZ. */
struct zone_change {
    enum { ZONE_DAY_OF_MONTH, ZONE_JULIAN, ZONE_DAY } kind;
    int32_t month, week, day; /* ZONE_DAY_OF_MONTH: week 5 is the last; weekday 0 is Sunday */
    int32_t second;           /* of the local day; may be negative, or of a later day */
};

/* What holds behind the last transition. */
struct zone_rule {
    int32_t standard_s, summer_s; /* ahead of UTC */
    bool has_summer;
    struct zone_change begin, end; /* of summer */
};

struct zone {
    struct bytes times; /* transitions, eight bytes each, big endian; in the caller's bytes */
    struct bytes types; /* for each of them the index of what begins */
    struct bytes kinds; /* six bytes each: offset, is it summer, name */
    int32_t first_s;    /* before the first transition */
    struct zone_rule rule;
};

/* UTC. */
#define ZONE_UTC ((struct zone){ .first_s = 0 })

/* False when the bytes are no such file of version 2 or later, or beyond what is sound.  The zone
 * points into the bytes. */
MUST_USE bool zone_parse(struct bytes file, struct zone *out_zone);
/* Only the rule: "CET-1CEST,M3.5.0,M10.5.0/3". */
MUST_USE bool zone_parse_rule(struct bytes text, struct zone_rule *out_rule);
/* How far the clock is ahead of UTC, in seconds. */
int32_t zone_offset_s(const struct zone *zone, int64_t utc_s);
/* When the clock shows this (seconds as if it were UTC).  What it shows twice: the first time. What
 * it skips: the moment at which it does. */
int64_t zone_utc_s(const struct zone *zone, int64_t local_s);

/* The calendar: days since 1970-01-01, of which `zone_day` is the inverse. */
int64_t zone_day_number(int64_t year, int32_t month, int32_t day);
struct zone_date {
    int64_t year;
    int32_t month, day; /* 1 … 12, 1 … 31 */
    int32_t weekday;    /* 0 is Sunday */
};
struct zone_date zone_date(int64_t day_number);
/* Rounds down. */
int64_t zone_floor_div(int64_t value, int64_t divisor);

#endif
