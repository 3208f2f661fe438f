#include "server/schedules.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/decimal.h"
#include "engine/queues.h"
#include "server/embedded.h"
#include "server/log.h"

#define ZONE_FILE_SIZE_MAX 65536u
#define BATCH_COUNT        64u /* schedules in one second */
#define RETRY_MS           10000u

/* There is one thread, and one schedule at a time. */
static struct clockmaker {
    char zone_file[ZONE_FILE_SIZE_MAX];
    char item_id[LIMIT_ID_SIZE_MAX];
    char run_id[SCHEDULE_ID_SIZE_MAX];
    struct buffer body; /* of the schedule in hand */
    struct buffer next;
    struct cron_plan plan;
} clockmaker;

/* -------------------------------------------------------------------- zones */

static struct bytes read_file(const char *path)
{
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0) return (struct bytes){ 0 };
    size_t size = 0;
    ssize_t got;
    while ((got = read(file, clockmaker.zone_file + size, ZONE_FILE_SIZE_MAX - size)) > 0) {
        size += (size_t)got;
    }
    (void)close(file);
    return (struct bytes){ clockmaker.zone_file, got < 0 ? 0 : size };
}

/* Read anew each time: the database of the system may have been brought up to date. */
static bool load_zone(struct bytes name, struct zone *out_zone)
{
    char path[512];
    bool is_utc = name.size == 0 || bytes_equal(name, BYTES_LITERAL("UTC"));
    if (is_utc) {
        *out_zone = ZONE_UTC;
        return true;
    }
    const char *directory = getenv("TZDIR");
    if (directory == NULL || directory[0] != '/') directory = "/usr/share/zoneinfo";
    int size = snprintf(path, sizeof path, "%s/%.*s", directory, (int)name.size, name.data);
    if (size < 0 || (size_t)size >= sizeof path) return false;
    struct bytes file = read_file(path);
    return file.size > 0 && zone_parse(file, out_zone);
}

/* ---------------------------------------------------------------- a new one */

const char *
schedules_begin(const struct schedule *schedule, struct wall wall, struct engine_put *out_put)
{
    struct zone zone;
    struct cron cron;
    const char *fault = schedule_find_fault(schedule);
    if (fault == NULL) fault = cron_parse(schedule->line, &cron);
    if (fault != NULL) return fault;
    if (!load_zone(schedule->zone, &zone)) return "zone: the time zone database does not have it";
    int64_t due_us = cron_next_us(&cron, &zone, wall.us);
    if (due_us == CRON_NEVER) return "it never comes true";
    if (clockmaker.next.memory == NULL) buffer_init(&clockmaker.next, &memory_heap);
    bool is_made = schedule_make(schedule, due_us, &clockmaker.next, clockmaker.run_id, out_put);
    return is_made ? NULL : "there is no memory for it";
}

/* -------------------------------------------------------------------- runs */

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
    if (!schedule_make(schedule, plan->next_us, &clockmaker.next, clockmaker.run_id, &item)) {
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
    } else if (!load_zone(schedule.zone, &zone)) {
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

bool schedules_parse_missed(struct bytes word, struct cron_policy *out_policy)
{
    uint64_t count = CRON_RUN_COUNT_MAX;
    *out_policy = (struct cron_policy){ CRON_SKIP, 1 };
    if (bytes_equal(word, BYTES_LITERAL("skip"))) return true;
    out_policy->missed = CRON_ONCE;
    if (bytes_equal(word, BYTES_LITERAL("once"))) return true;
    out_policy->missed = CRON_ALL;
    bool is_counted = bytes_start_with(word, BYTES_LITERAL("all:"));
    if (is_counted && !decimal_parse((struct bytes){ word.data + 4, word.size - 4 }, &count)) {
        return false;
    }
    out_policy->run_count_max = (uint32_t)count;
    return (is_counted || bytes_equal(word, BYTES_LITERAL("all"))) && count >= 1 &&
           count <= CRON_RUN_COUNT_MAX;
}
