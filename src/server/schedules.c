#include "server/schedules.h"

#include "engine/queues.h"
#include "server/embedded.h"
#include "server/log.h"

#define BATCH_COUNT 64u /* schedules in one second */
#define RETRY_MS    10000u

/* There is one thread, and one schedule at a time. */
static struct clockmaker {
    char item_id[LIMIT_ID_SIZE_MAX];
    char run_id[SCHEDULE_ID_SIZE_MAX];
    struct buffer body; /* of the schedule in hand */
    struct buffer next;
    struct cron_plan plan;
} clockmaker;

static enum tenure_err put(struct server *server, const struct engine_put *item)
{
    struct engine_command command = { .kind = ENGINE_PUT, .as.put = { item, 1 } };
    return embedded_command(server, &command);
}

static void
end(struct server *server,
    const struct engine_item_view *view,
    enum engine_command_kind kind,
    struct bytes reason)
{
    struct engine_command command = { .kind = kind };
    command.as.end_work = (struct engine_end_work){
        .claim = { .queue = SCHEDULE_QUEUE, .id = view->id, .token = view->token },
        .reason = reason,
        .delay_ms = RETRY_MS,
        .is_free = true,
    };
    (void)embedded_command(server, &command);
}

/* Everything that is due, and the schedule once more.  False: try again. */
static bool carry_out(
    struct server *server, const struct schedule *schedule, const struct zone *zone, int64_t due_us)
{
    struct cron cron;
    struct engine_put item;
    struct cron_plan *plan = &clockmaker.plan;
    if (cron_parse(schedule->line, &cron) != NULL) UNREACHABLE("it was looked at when it was read");
    cron_plan(&cron, zone, &schedule->policy, due_us, server->wall.us, plan);
    for (uint32_t index = 0; index < plan->run_count; index++) {
        item = schedule_run(schedule, plan->runs_us[index], clockmaker.run_id);
        if (put(server, &item) != TENURE_OK) return false;
    }
    if (plan->next_us == CRON_NEVER) return true;
    struct schedule next = *schedule;
    /* Ready before its time, because somebody kicked it or the clock was set back: it waits for the
     * same run, as another item.  With its own id it would be the item in hand, which ends here. */
    if (plan->next_us == due_us) next.made_us++;
    if (!schedule_make(&next, plan->next_us, &clockmaker.next, clockmaker.run_id, &item)) {
        return false;
    }
    item.terms.conflict = UNIQUE_IGNORE; /* a newer schedule of this name stands */
    return put(server, &item) == TENURE_OK;
}

static void serve(struct server *server, const struct engine_item_view *view)
{
    struct zone zone;
    struct schedule schedule;
    int64_t due_us;
    if (!schedule_read(view, &schedule, &due_us)) {
        end(server, view, ENGINE_BURY, BYTES_LITERAL("this is no schedule"));
    } else if (!schedules_load_zone(schedule.zone, &zone)) {
        log_write(
            LOG_WARNING,
            "the time zone of the schedule %.*s is not there: %.*s",
            (int)schedule.name.size,
            schedule.name.data,
            (int)schedule.zone.size,
            schedule.zone.data);
        end(server, view, ENGINE_FAIL, BYTES_LITERAL("the time zone is not there"));
    } else if (!carry_out(server, &schedule, &zone, due_us)) {
        end(server, view, ENGINE_FAIL, BYTES_LITERAL("the queue takes nothing now"));
    } else {
        end(server, view, ENGINE_DONE, (struct bytes){ 0 });
    }
}

/* The next one, in hand; its texts are copied, because the engine goes on.  False: there is none.
 */
static bool take(struct server *server, struct engine_item_view *out_view)
{
    struct bytes queues[1] = { SCHEDULE_QUEUE };
    if (!engine_peek(server->engine, SCHEDULE_QUEUE, ITEM_READY, out_view)) return false;
    buffer_reset(&clockmaker.body);
    buffer_append_bytes(&clockmaker.body, out_view->body);
    memcpy(clockmaker.item_id, out_view->id.data, out_view->id.size);
    struct bytes id = { clockmaker.item_id, out_view->id.size };
    struct engine_command command = { .kind = ENGINE_TAKE };
    command.as.take = (struct engine_take){
        .queues = queues, .queue_count = 1, .worker = BYTES_LITERAL("tenured"), .count_max = 1
    };
    if (clockmaker.body.is_failed || embedded_command(server, &command) != TENURE_OK) return false;
    bool is_it =
        engine_item(server->engine, SCHEDULE_QUEUE, id, out_view) && out_view->state == ITEM_TAKEN;
    out_view->id = id;
    out_view->body = buffer_bytes(&clockmaker.body);
    return is_it;
}

void schedules_run(struct server *server)
{
    struct engine_item_view view;
    if (clockmaker.body.memory == NULL) buffer_init(&clockmaker.body, &memory_heap);
    if (clockmaker.next.memory == NULL) buffer_init(&clockmaker.next, &memory_heap);
    for (unsigned count = 0; count < BATCH_COUNT && take(server, &view); count++) {
        serve(server, &view);
    }
}
