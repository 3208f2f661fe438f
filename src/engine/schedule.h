/* schedule - an item that puts others, again and again, when a line of cron says so.
 *
 * A schedule needs nothing of the engine but what every item has.  It is an item of the queue
 * SCHEDULE_QUEUE, delayed until its next run: durable, listed, called off like any other.  Its id
 * is "name@second of the run-when it was made", its unique key the name.  When it is ready the
 * server takes it, puts an item for each run, puts the schedule again for the run after, and says
 * done.  Every step can be repeated: the items are called "name@second", and what was put is not
 * put again.  So a crash between any two of them loses no run and doubles none.
 *
 * Rejected: times kept by the engine itself (a replay would depend on the time zone database of the
 * day); records of their own (the same guarantees once more). */
#ifndef TENURE_ENGINE_SCHEDULE_H
#define TENURE_ENGINE_SCHEDULE_H

#include "base/buffer.h"
#include "engine/cron.h"
#include "engine/update.h"

#define SCHEDULE_QUEUE         BYTES_LITERAL("@schedules")
#define SCHEDULE_NAME_SIZE_MAX 200u
#define SCHEDULE_ZONE_SIZE_MAX 64u
#define SCHEDULE_BODY_SIZE_MAX 65536u
/* What a schedule has put is remembered at least so long, that it is not put twice. */
#define SCHEDULE_RETENTION_MS 3600000u
#define SCHEDULE_ID_SIZE_MAX  (SCHEDULE_NAME_SIZE_MAX + 43)

struct schedule {
    struct bytes name;
    int64_t made_us;   /* when: so that one that is made anew is another one */
    struct bytes line; /* of cron */
    struct bytes zone; /* "Europe/Berlin"; empty is UTC */
    struct cron_policy policy;
    struct engine_put item; /* its id, and the times in its terms, mean nothing */
};

/* NULL when it is sound, else what is wrong.  Whether there is such a zone is not looked at. */
MUST_USE const char *schedule_find_fault(const struct schedule *schedule);
/* The item that stands for the schedule until its run at `due_us`.  Texts point into `room`, which
 * is reset, and into `out_id`.  False: no memory. */
MUST_USE bool schedule_make(
    const struct schedule *schedule,
    int64_t due_us,
    struct buffer *room,
    char out_id[static SCHEDULE_ID_SIZE_MAX],
    struct engine_put *out_put);
/* Back from such an item, whose body it borrows.  False: it is none. */
MUST_USE bool schedule_read(
    const struct engine_item_view *view, struct schedule *out_schedule, int64_t *out_due_us);
/* The item of one run. */
struct engine_put schedule_run(
    const struct schedule *schedule, int64_t run_us, char out_id[static SCHEDULE_ID_SIZE_MAX]);

#endif
