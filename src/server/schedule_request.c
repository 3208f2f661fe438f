/* schedule_request - what is asked of schedules: a new one.  The runs are those of schedules.c. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/decimal.h"
#include "server/schedules.h"

#define ZONE_FILE_SIZE_MAX 65536u

/* There is one thread, and one schedule at a time. */
static char zone_file[ZONE_FILE_SIZE_MAX];
static char run_id[SCHEDULE_ID_SIZE_MAX];
static struct buffer next;

/* -------------------------------------------------------------------- zones */

static struct bytes read_file(const char *path)
{
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0) return (struct bytes){ 0 };
    size_t size = 0;
    ssize_t got;
    while ((got = read(file, zone_file + size, ZONE_FILE_SIZE_MAX - size)) > 0) {
        size += (size_t)got;
    }
    (void)close(file);
    return (struct bytes){ zone_file, got < 0 ? 0 : size };
}

bool schedules_load_zone(struct bytes name, struct zone *out_zone)
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
    if (!schedules_load_zone(schedule->zone, &zone)) {
        return "zone: the time zone database does not have it";
    }
    int64_t due_us = cron_next_us(&cron, &zone, wall.us);
    if (due_us == CRON_NEVER) return "it never comes true";
    if (next.memory == NULL) buffer_init(&next, &memory_heap);
    bool is_made = schedule_make(schedule, due_us, &next, run_id, out_put);
    return is_made ? NULL : "there is no memory for it";
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
