/* cron - a line that says when: minute, hour, day of the month, month, day of the week.
 *
 *     30 4 1,15 * fri       0 9-17/2 * * mon-fri       @daily
 *
 * Names of months and weekdays are known, 7 is Sunday too.  As in every cron: when both days are
 * restricted, one of them is enough.
 *
 * A line that names hours follows the clock on the wall: what the clock skips in spring happens
 * when it does, what it shows twice in autumn happens the first time.  A line of every hour follows
 * time itself: it skips nothing and repeats the hour. */
#ifndef TENURE_ENGINE_CRON_H
#define TENURE_ENGINE_CRON_H

#include "engine/zone.h"

#define CRON_SIZE_MAX 255u

struct cron {
    uint64_t minutes; /* bit n: minute n */
    uint32_t hours, days, months;
    uint32_t weekdays;
    bool is_any_day, is_any_weekday; /* begin with a star */
};

#define CRON_NEVER INT64_MAX

/* NULL when the line can be understood, else what is wrong with it.  A line that never comes true,
 * as the 30th of February, is wrong. */
MUST_USE const char *cron_parse(struct bytes line, struct cron *out_cron);
/* The first time behind `after_us`, wall clock in microseconds; CRON_NEVER when there is none in
 * the next twelve years. */
int64_t cron_next_us(const struct cron *cron, const struct zone *zone, int64_t after_us);

/* What to do with runs whose time passed while nobody looked. */
enum cron_missed {
    CRON_SKIP, /* they never happen */
    CRON_ONCE, /* the last one happens now, for all of them */
    CRON_ALL,  /* each happens now; of more than `run_count_max` the last ones */
};

struct cron_policy {
    enum cron_missed missed;
    uint32_t run_count_max; /* 1 … CRON_RUN_COUNT_MAX */
};

/* Later than this a run was missed. */
#define CRON_LATE_US       INT64_C(60000000)
#define CRON_RUN_COUNT_MAX 100u

struct cron_plan {
    int64_t runs_us[CRON_RUN_COUNT_MAX]; /* that happen now: when they were due, rising */
    uint32_t run_count;
    int64_t next_us; /* the first run behind now; CRON_NEVER */
};

/* What is to be done now about a run that was due at `due_us`; nothing if that is still ahead.  The
 * runs follow from the line alone: who asks twice is told the same moments. */
void cron_plan(
    const struct cron *cron,
    const struct zone *zone,
    const struct cron_policy *policy,
    int64_t due_us,
    int64_t now_us,
    struct cron_plan *out_plan);

#endif
