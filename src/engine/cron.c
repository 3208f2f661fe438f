#include "engine/cron.h"

#include <string.h>

#include "base/assert.h"

#define DAY_S    INT64_C(86400)
#define DAYS_MAX INT64_C(4392) /* twelve years */

/* -------------------------------------------------------------------- reading */

struct field {
    uint64_t bits;
    bool is_any;
};

static bool is_same_word(struct bytes word, const char *name)
{
    for (size_t index = 0; index < 3; index++) {
        char c = word.data[index];
        if ((c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c) != name[index]) return false;
    }
    return true;
}

/* -1 when it is none. */
static int32_t name_value(struct bytes word, const char *const *names, int32_t first)
{
    for (int32_t index = 0; word.size == 3 && names != NULL && names[index] != NULL; index++) {
        if (is_same_word(word, names[index])) return first + index;
    }
    return -1;
}

static bool is_word_char(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* A number or a name at the front; -1 when there is none. */
static int32_t take_value(struct bytes *text, const char *const *names, int32_t first)
{
    size_t size = 0;
    while (size < text->size && is_word_char(text->data[size])) {
        size++;
    }
    struct bytes word = { text->data, size };
    text->data += size;
    text->size -= size;
    if (size == 0 || size > 3) return -1;
    if (word.data[0] > '9') return name_value(word, names, first);
    int32_t value = 0;
    for (size_t index = 0; index < size; index++) {
        if (word.data[index] > '9') return -1;
        value = value * 10 + (word.data[index] - '0');
    }
    return value;
}

static bool skip(struct bytes *text, char wanted)
{
    if (text->size == 0 || text->data[0] != wanted) return false;
    text->data++;
    text->size--;
    return true;
}

struct range {
    int32_t low, high;
    const char *const *names;
};

/* One of the parts between commas: value, low-high, star; and a step. */
static bool take_part(struct bytes *text, const struct range *range, struct field *field)
{
    int32_t low = range->low;
    int32_t high = range->high;
    bool is_star = skip(text, '*');
    bool is_open = is_star;
    if (!is_star) {
        low = take_value(text, range->names, range->low);
        high = low;
        if (skip(text, '-')) {
            high = take_value(text, range->names, range->low);
        } else {
            is_open = text->size > 0 && text->data[0] == '/'; /* 5/10: from 5 on */
        }
    }
    if (is_open && !is_star) high = range->high;
    int32_t step = 1;
    if (skip(text, '/')) step = take_value(text, NULL, 0);
    if (low < range->low || high > range->high || low > high || step < 1) return false;
    for (int32_t value = low; value <= high; value += step) {
        field->bits |= UINT64_C(1) << value;
    }
    field->is_any = field->is_any || is_star;
    return true;
}

static bool take_field(struct bytes *text, const struct range *range, struct field *out)
{
    *out = (struct field){ 0 };
    while (skip(text, ' ') || skip(text, '\t')) {
    }
    do {
        if (!take_part(text, range, out)) return false;
    } while (skip(text, ','));
    return text->size == 0 || text->data[0] == ' ' || text->data[0] == '\t';
}

static struct bytes expand(struct bytes line)
{
    static const char *const words[][2] = {
        { "@yearly", "0 0 1 1 *" }, { "@annually", "0 0 1 1 *" }, { "@monthly", "0 0 1 * *" },
        { "@weekly", "0 0 * * 0" }, { "@daily", "0 0 * * *" },    { "@midnight", "0 0 * * *" },
        { "@hourly", "0 * * * *" },
    };
    for (size_t index = 0; index < sizeof words / sizeof *words; index++) {
        if (bytes_equal(line, bytes_from_text(words[index][0]))) {
            return bytes_from_text(words[index][1]);
        }
    }
    return line;
}

/* Is there a day in these months, of these days? */
static bool comes_true(const struct cron *cron)
{
    static const int32_t lengths[] = { 31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
    if (!cron->is_any_weekday) return true; /* either day is enough */
    for (int32_t month = 1; month <= 12; month++) {
        uint32_t days = (uint32_t)((UINT64_C(2) << lengths[month - 1]) - 2);
        if ((cron->months & 1u << month) && (cron->days & days)) return true;
    }
    return false;
}

const char *cron_parse(struct bytes line, struct cron *out_cron)
{
    static const char *const months[] = { "jan", "feb", "mar", "apr", "may", "jun", "jul",
                                          "aug", "sep", "oct", "nov", "dec", NULL };
    static const char *const weekdays[] = { "sun", "mon", "tue", "wed", "thu", "fri", "sat", NULL };
    static const struct range ranges[] = {
        { 0, 59, NULL }, { 0, 23, NULL }, { 1, 31, NULL }, { 1, 12, months }, { 0, 7, weekdays }
    };
    static const char *const faults[] = { "minute: 0 to 59",
                                          "hour: 0 to 23",
                                          "day of the month: 1 to 31",
                                          "month: 1 to 12, or jan to dec",
                                          "day of the week: 0 to 7, or sun to sat" };
    if (line.size > CRON_SIZE_MAX) return "a line of up to 255 bytes";
    struct field fields[5];
    struct bytes rest = expand(line);
    for (size_t index = 0; index < 5; index++) {
        if (!take_field(&rest, &ranges[index], &fields[index])) return faults[index];
    }
    while (skip(&rest, ' ') || skip(&rest, '\t')) {
    }
    if (rest.size > 0) return "five fields: minute, hour, day, month, day of the week";
    struct cron cron = {
        .minutes = fields[0].bits,
        .hours = (uint32_t)fields[1].bits,
        .days = (uint32_t)fields[2].bits,
        .months = (uint32_t)fields[3].bits,
        .weekdays = (uint32_t)((fields[4].bits | fields[4].bits >> 7) & 0x7f),
        .is_any_day = fields[2].is_any,
        .is_any_weekday = fields[4].is_any,
    };
    if (!comes_true(&cron)) return "it never comes true";
    *out_cron = cron;
    return NULL;
}

/* --------------------------------------------------------------------- when next */

static bool has_day(const struct cron *cron, int64_t day_number)
{
    struct zone_date date = zone_date(day_number);
    if (!(cron->months & 1u << date.month)) return false;
    bool is_day = cron->days & 1u << date.day;
    bool is_weekday = cron->weekdays & 1u << date.weekday;
    return cron->is_any_day || cron->is_any_weekday ? is_day && is_weekday : is_day || is_weekday;
}

/* On this day of the clock on the wall, behind `after_s`. */
static int64_t
next_by_clock(const struct cron *cron, const struct zone *zone, int64_t day_number, int64_t after_s)
{
    for (int32_t minute = 0; minute < 24 * 60; minute++) {
        bool is_it = (cron->hours & 1u << minute / 60) && (cron->minutes >> minute % 60 & 1);
        if (!is_it) continue;
        int64_t utc_s = zone_utc_s(zone, day_number * DAY_S + INT64_C(60) * minute);
        if (utc_s > after_s) return utc_s;
    }
    return CRON_NEVER;
}

/* The same for a line of every hour: minute by minute of time. */
static int64_t
next_by_time(const struct cron *cron, const struct zone *zone, int64_t day_number, int64_t after_s)
{
    int64_t utc_s = zone_utc_s(zone, day_number * DAY_S);
    int64_t end_s = zone_utc_s(zone, (day_number + 1) * DAY_S);
    int64_t behind_s = zone_floor_div(after_s, 60) * 60 + 60;
    if (utc_s < behind_s) utc_s = behind_s;
    for (; utc_s < end_s; utc_s += 60) {
        int64_t local_s = utc_s + zone_offset_s(zone, utc_s);
        int64_t minute = zone_floor_div(local_s, 60) % 60;
        if (cron->minutes >> minute & 1) return utc_s;
    }
    return CRON_NEVER;
}

int64_t cron_next_us(const struct cron *cron, const struct zone *zone, int64_t after_us)
{
    const uint32_t every_hour = (1u << 24) - 1;
    int64_t after_s = zone_floor_div(after_us, 1000000);
    int64_t first = zone_floor_div(after_s + zone_offset_s(zone, after_s), DAY_S);
    for (int64_t day = first; day < first + DAYS_MAX; day++) {
        if (!has_day(cron, day)) continue;
        int64_t next_s = cron->hours == every_hour ? next_by_time(cron, zone, day, after_s)
                                                   : next_by_clock(cron, zone, day, after_s);
        if (next_s != CRON_NEVER) return next_s * 1000000;
    }
    return CRON_NEVER;
}

/* ------------------------------------------------------------------------- plan */

/* How many runs there are from `start_us` on until now, counted up to `count_max`. */
static uint32_t count_runs(
    const struct cron *cron,
    const struct zone *zone,
    int64_t start_us,
    int64_t now_us,
    uint32_t count_max)
{
    uint32_t count = 0;
    for (int64_t at_us = start_us; at_us <= now_us && count < count_max; count++) {
        at_us = cron_next_us(cron, zone, at_us);
    }
    return count;
}

/* Where to begin, so that the last `count` of the runs since `due_us` are seen, and not all the
 * minutes of the years that a clock has jumped over. */
static int64_t find_start_us(
    const struct cron *cron,
    const struct zone *zone,
    int64_t due_us,
    int64_t now_us,
    uint32_t count)
{
    static const int64_t windows_s[] = { 3600, DAY_S, 40 * DAY_S, 800 * DAY_S };
    for (size_t index = 0; index < sizeof windows_s / sizeof *windows_s; index++) {
        int64_t from_us = now_us - windows_s[index] * 1000000;
        if (from_us <= due_us) return due_us;
        int64_t start_us = cron_next_us(cron, zone, from_us);
        if (count_runs(cron, zone, start_us, now_us, count) == count) return start_us;
    }
    return due_us;
}

void cron_plan(
    const struct cron *cron,
    const struct zone *zone,
    const struct cron_policy *policy,
    int64_t due_us,
    int64_t now_us,
    struct cron_plan *out_plan)
{
    uint32_t room = policy->missed == CRON_ALL ? policy->run_count_max : 1;
    ASSERT(room >= 1 && room <= CRON_RUN_COUNT_MAX);
    struct cron_plan plan = { .next_us = find_start_us(cron, zone, due_us, now_us, room) };
    while (plan.next_us <= now_us) {
        bool is_late = plan.next_us < now_us - CRON_LATE_US;
        if (plan.run_count == room) {
            plan.run_count--;
            memmove(plan.runs_us, plan.runs_us + 1, plan.run_count * sizeof *plan.runs_us);
        }
        if (!is_late || policy->missed != CRON_SKIP) plan.runs_us[plan.run_count++] = plan.next_us;
        plan.next_us = cron_next_us(cron, zone, plan.next_us);
    }
    *out_plan = plan;
}
