#include "engine/zone.h"

#include <string.h>

#define DAY_S           INT64_C(86400)
#define HEADER_SIZE     44u
#define KIND_SIZE       6u
#define TIME_SIZE       8u
#define OFFSET_S_MAX    (26 * 3600)
#define COUNT_MAX       10000u
#define CHANGE_HOUR_MAX 167

/* ------------------------------------------------------------------- calendar */

int64_t zone_floor_div(int64_t value, int64_t divisor)
{
    return value >= 0 ? value / divisor : -((divisor - 1 - value) / divisor);
}

/* Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms": years begin in March. */
int64_t zone_day_number(int64_t year, int32_t month, int32_t day)
{
    int64_t shifted = month <= 2 ? year - 1 : year;
    int64_t era = zone_floor_div(shifted, 400);
    int64_t year_of_era = shifted - era * 400;
    int64_t day_of_year = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;
    int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    return era * 146097 + day_of_era - 719468;
}

struct zone_date zone_date(int64_t day_number)
{
    int64_t shifted = day_number + 719468;
    int64_t era = zone_floor_div(shifted, 146097);
    int64_t day_of_era = shifted - era * 146097;
    int64_t year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    int64_t part = (5 * day_of_year + 2) / 153;
    struct zone_date date = { .day = (int32_t)(day_of_year - (153 * part + 2) / 5 + 1),
                              .month = (int32_t)(part < 10 ? part + 3 : part - 9) };
    date.year = year_of_era + era * 400 + (date.month <= 2);
    int64_t weekday = (day_number + 4) % 7; /* 1970-01-01 was a Thursday */
    date.weekday = (int32_t)(weekday < 0 ? weekday + 7 : weekday);
    return date;
}

/* ----------------------------------------------------------------- reading rules */

struct rule_reader {
    struct bytes rest;
    bool is_bad;
};

static bool skip(struct rule_reader *reader, char wanted)
{
    if (reader->rest.size == 0 || reader->rest.data[0] != wanted) return false;
    reader->rest.data++;
    reader->rest.size--;
    return true;
}

static bool is_digit(const struct rule_reader *reader)
{
    return reader->rest.size > 0 && reader->rest.data[0] >= '0' && reader->rest.data[0] <= '9';
}

static int32_t take_number(struct rule_reader *reader, int32_t low, int32_t high)
{
    int32_t value = 0;
    if (!is_digit(reader)) reader->is_bad = true;
    while (is_digit(reader) && value <= 1000) {
        value = value * 10 + (reader->rest.data[0] - '0');
        reader->rest.data++;
        reader->rest.size--;
    }
    if (value < low || value > high) reader->is_bad = true;
    return value;
}

/* [+-]hh[:mm[:ss]] in seconds. */
static int32_t take_time(struct rule_reader *reader, int32_t hour_max)
{
    bool is_negative = skip(reader, '-');
    if (!is_negative) (void)skip(reader, '+');
    int32_t value = take_number(reader, 0, hour_max) * 3600;
    if (skip(reader, ':')) value += take_number(reader, 0, 59) * 60;
    if (skip(reader, ':')) value += take_number(reader, 0, 59);
    return is_negative ? -value : value;
}

static void skip_name(struct rule_reader *reader)
{
    bool is_quoted = skip(reader, '<');
    size_t count = 0;
    while (reader->rest.size > 0) {
        char c = reader->rest.data[0];
        bool is_letter = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
        bool is_more = is_letter || (is_quoted && ((c >= '0' && c <= '9') || c == '+' || c == '-'));
        if (!is_more) break;
        reader->rest.data++;
        reader->rest.size--;
        count++;
    }
    if (count < 3 || (is_quoted && !skip(reader, '>'))) reader->is_bad = true;
}

static struct zone_change take_change(struct rule_reader *reader)
{
    struct zone_change change = { .kind = ZONE_DAY, .second = 2 * 3600 };
    if (!skip(reader, ',')) reader->is_bad = true;
    if (skip(reader, 'M')) {
        change.kind = ZONE_DAY_OF_MONTH;
        change.month = take_number(reader, 1, 12);
        if (!skip(reader, '.')) reader->is_bad = true;
        change.week = take_number(reader, 1, 5);
        if (!skip(reader, '.')) reader->is_bad = true;
        change.day = take_number(reader, 0, 6);
    } else if (skip(reader, 'J')) {
        change.kind = ZONE_JULIAN;
        change.day = take_number(reader, 1, 365);
    } else {
        change.day = take_number(reader, 0, 365);
    }
    if (skip(reader, '/')) change.second = take_time(reader, CHANGE_HOUR_MAX);
    return change;
}

bool zone_parse_rule(struct bytes text, struct zone_rule *out_rule)
{
    struct rule_reader reader = { text, false };
    struct zone_rule rule = { 0 };
    skip_name(&reader);
    rule.standard_s = -take_time(&reader, 24); /* POSIX counts to the west */
    rule.has_summer = reader.rest.size > 0;
    if (rule.has_summer) {
        skip_name(&reader);
        rule.summer_s = rule.standard_s + 3600;
        if (reader.rest.size > 0 && reader.rest.data[0] != ',') {
            rule.summer_s = -take_time(&reader, 24);
        }
        rule.begin = take_change(&reader);
        rule.end = take_change(&reader);
    }
    if (reader.is_bad || reader.rest.size > 0) return false;
    *out_rule = rule;
    return true;
}

/* ----------------------------------------------------------------- reading files */

static int64_t big_endian(const char *bytes, size_t size)
{
    uint64_t value = 0;
    for (size_t index = 0; index < size; index++) {
        value = value << 8 | (uint8_t)bytes[index];
    }
    return size == 4 ? (int32_t)(uint32_t)value : (int64_t)value;
}

/* How many there are of what, in the order of the header. */
struct counts {
    uint64_t utc, standard, leap, time, type, text;
};

static bool take_counts(struct bytes file, struct counts *out)
{
    if (file.size < HEADER_SIZE || memcmp(file.data, "TZif", 4) != 0) return false;
    if (file.data[4] < '2') return false;
    uint64_t *counts[] = {
        &out->utc, &out->standard, &out->leap, &out->time, &out->type, &out->text
    };
    for (size_t index = 0; index < sizeof counts / sizeof *counts; index++) {
        *counts[index] = (uint64_t)(uint32_t)big_endian(file.data + 20 + 4 * index, 4);
        if (*counts[index] > COUNT_MAX) return false;
    }
    return out->type > 0;
}

static size_t block_size(const struct counts *counts, size_t time_size)
{
    return HEADER_SIZE + counts->time * (time_size + 1) + counts->type * KIND_SIZE + counts->text +
           counts->leap * (time_size + 4) + counts->standard + counts->utc;
}

static int32_t kind_offset_s(const struct zone *zone, size_t index)
{
    return (int32_t)big_endian(zone->kinds.data + index * KIND_SIZE, 4);
}

static int64_t transition_s(const struct zone *zone, size_t index)
{
    return big_endian(zone->times.data + index * TIME_SIZE, TIME_SIZE);
}

static bool is_sound(const struct zone *zone)
{
    size_t kind_count = zone->kinds.size / KIND_SIZE;
    for (size_t index = 0; index < kind_count; index++) {
        int32_t offset_s = kind_offset_s(zone, index);
        if (offset_s < -OFFSET_S_MAX || offset_s > OFFSET_S_MAX) return false;
    }
    for (size_t index = 0; index < zone->types.size; index++) {
        if ((uint8_t)zone->types.data[index] >= kind_count) return false;
        if (index > 0 && transition_s(zone, index) <= transition_s(zone, index - 1)) return false;
    }
    return true;
}

bool zone_parse(struct bytes file, struct zone *out_zone)
{
    struct counts counts;
    if (!take_counts(file, &counts)) return false;
    size_t skipped = block_size(&counts, 4); /* what only version 1 has */
    if (file.size < skipped) return false;
    file = (struct bytes){ file.data + skipped, file.size - skipped };
    if (!take_counts(file, &counts)) return false;
    size_t size = block_size(&counts, TIME_SIZE);
    if (file.size < size + 2) return false;

    const char *cursor = file.data + HEADER_SIZE;
    struct zone zone = { .times = { cursor, counts.time * TIME_SIZE } };
    zone.types = (struct bytes){ cursor + zone.times.size, counts.time };
    zone.kinds = (struct bytes){ zone.types.data + counts.time, counts.type * KIND_SIZE };
    if (!is_sound(&zone)) return false;
    zone.first_s = kind_offset_s(&zone, 0);

    const char *footer = file.data + size;
    const char *end = memchr(footer + 1, '\n', file.size - size - 1);
    if (footer[0] != '\n' || end == NULL) return false;
    struct bytes rule = { footer + 1, (size_t)(end - footer - 1) };
    if (rule.size > 0 && !zone_parse_rule(rule, &zone.rule)) return false;
    if (rule.size == 0) {
        size_t last = counts.time;
        zone.rule.standard_s =
            last == 0 ? zone.first_s : kind_offset_s(&zone, (uint8_t)zone.types.data[last - 1]);
    }
    if (counts.time == 0) zone.first_s = zone.rule.standard_s;
    *out_zone = zone;
    return true;
}

/* ----------------------------------------------------------------------- looking */

/* The moment at which the clock is set in this year; `offset_s` is how it stands before. */
static int64_t change_s(const struct zone_change *change, int64_t year, int32_t offset_s)
{
    int64_t day = zone_day_number(year, 1, 1);
    if (change->kind == ZONE_DAY) {
        day += change->day;
    } else if (change->kind == ZONE_JULIAN) {
        bool is_leap = zone_day_number(year, 3, 1) - day == 60;
        day += change->day - 1 + (is_leap && change->day >= 60);
    } else {
        int64_t first = zone_day_number(year, change->month, 1);
        int64_t next = change->month == 12 ? zone_day_number(year + 1, 1, 1)
                                           : zone_day_number(year, change->month + 1, 1);
        day = first + (change->day - zone_date(first).weekday + 7) % 7 +
              INT64_C(7) * (change->week - 1);
        if (day >= next) day -= 7;
    }
    return day * DAY_S + change->second - offset_s;
}

static int32_t rule_offset_s(const struct zone_rule *rule, int64_t utc_s)
{
    if (!rule->has_summer) return rule->standard_s;
    int64_t year = zone_date(zone_floor_div(utc_s + rule->standard_s, DAY_S)).year;
    int64_t begin_s = change_s(&rule->begin, year, rule->standard_s);
    int64_t end_s = change_s(&rule->end, year, rule->summer_s);
    bool is_between = begin_s < end_s ? utc_s >= begin_s && utc_s < end_s
                                      : utc_s >= begin_s || utc_s < end_s; /* south */
    return is_between ? rule->summer_s : rule->standard_s;
}

int32_t zone_offset_s(const struct zone *zone, int64_t utc_s)
{
    size_t count = zone->types.size;
    if (count > 0 && utc_s < transition_s(zone, 0)) return zone->first_s;
    if (count == 0 || utc_s >= transition_s(zone, count - 1)) {
        return rule_offset_s(&zone->rule, utc_s);
    }
    size_t low = 0; /* the last transition that is not behind it */
    size_t high = count - 1;
    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;
        if (transition_s(zone, middle) <= utc_s) {
            low = middle;
        } else {
            high = middle;
        }
    }
    return kind_offset_s(zone, (uint8_t)zone->types.data[low]);
}

int64_t zone_utc_s(const struct zone *zone, int64_t local_s)
{
    int64_t low = local_s - 2 * DAY_S;
    int64_t high = local_s + 2 * DAY_S;
    int32_t before_s = zone_offset_s(zone, low);
    int32_t after_s = zone_offset_s(zone, high);
    bool is_before = zone_offset_s(zone, local_s - before_s) == before_s;
    bool is_after = zone_offset_s(zone, local_s - after_s) == after_s;
    if (is_before) return local_s - before_s; /* with a gain of time the first of two */
    if (is_after) return local_s - after_s;
    while (high - low > 1) {
        int64_t middle = low + (high - low) / 2;
        if (zone_offset_s(zone, middle) == before_s) {
            low = middle;
        } else {
            high = middle;
        }
    }
    return high;
}
