/* Time zones: the files of this system, compared with what the C library makes of them. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "engine/zone.h"
#include "lib/random.h"
#include "lib/test.h"

static struct zone rule_zone(const char *text)
{
    struct zone zone = ZONE_UTC;
    CHECK(zone_parse_rule(bytes_from_text(text), &zone.rule));
    return zone;
}

static int64_t utc(int64_t year, int32_t month, int32_t day, int32_t hour, int32_t minute)
{
    return zone_day_number(year, month, day) * 86400 + hour * 3600 + minute * 60;
}

TEST(zone_knows_the_calendar)
{
    CHECK_EQ_INT(zone_day_number(1970, 1, 1), 0);
    CHECK_EQ_INT(zone_day_number(2000, 3, 1), 11017);
    CHECK_EQ_INT(zone_day_number(1969, 12, 31), -1);
    for (int64_t day = -800000; day < 3000000; day += 13) {
        struct zone_date date = zone_date(day);
        CHECK_EQ_INT(zone_day_number(date.year, date.month, date.day), day);
        CHECK(date.month >= 1 && date.month <= 12 && date.day >= 1 && date.day <= 31);
    }
    CHECK_EQ_INT(zone_date(zone_day_number(2026, 11, 21)).weekday, 6);
}

TEST(zone_follows_a_rule)
{
    struct zone berlin = rule_zone("CET-1CEST,M3.5.0,M10.5.0/3");
    CHECK_EQ_INT(zone_offset_s(&berlin, utc(2026, 3, 29, 0, 59)), 3600);
    CHECK_EQ_INT(zone_offset_s(&berlin, utc(2026, 3, 29, 1, 0)), 7200);
    CHECK_EQ_INT(zone_offset_s(&berlin, utc(2026, 10, 25, 0, 59)), 7200);
    CHECK_EQ_INT(zone_offset_s(&berlin, utc(2026, 10, 25, 1, 0)), 3600);
    struct zone sydney = rule_zone("AEST-10AEDT,M10.1.0,M4.1.0/3");
    CHECK_EQ_INT(zone_offset_s(&sydney, utc(2026, 1, 1, 0, 0)), 39600);
    CHECK_EQ_INT(zone_offset_s(&sydney, utc(2026, 7, 1, 0, 0)), 36000);
    struct zone nepal = rule_zone("<+0545>-5:45");
    CHECK_EQ_INT(zone_offset_s(&nepal, 0), 20700);
    struct zone ireland = rule_zone("IST-1GMT0,M10.5.0,M3.5.0/1"); /* winter is the exception */
    CHECK_EQ_INT(zone_offset_s(&ireland, utc(2026, 1, 1, 0, 0)), 0);
    CHECK_EQ_INT(zone_offset_s(&ireland, utc(2026, 7, 1, 0, 0)), 3600);
}

TEST(zone_rules_that_are_none_are_refused)
{
    static const char *const texts[] = { "",
                                         "C",
                                         "CET",
                                         "CET-1CEST",
                                         "-1",
                                         "CET-1CEST,",
                                         "CET-99",
                                         "CET-1CEST,M13.1.0,M1.1.0",
                                         "<+05",
                                         "CET-1x",
                                         "CET-1CEST,M3.5.0,M10.5.0/3," };
    for (size_t index = 0; index < sizeof texts / sizeof *texts; index++) {
        struct zone_rule rule;
        test_note("%s", texts[index]);
        CHECK(!zone_parse_rule(bytes_from_text(texts[index]), &rule));
    }
}

TEST(zone_turns_the_clock_on_the_wall_into_time)
{
    struct zone berlin = rule_zone("CET-1CEST,M3.5.0,M10.5.0/3");
    CHECK_EQ_INT(zone_utc_s(&berlin, utc(2026, 7, 1, 12, 0)), utc(2026, 7, 1, 10, 0));
    /* What is skipped: when it is.  What comes twice: the first time. */
    CHECK_EQ_INT(zone_utc_s(&berlin, utc(2026, 3, 29, 2, 30)), utc(2026, 3, 29, 1, 0));
    CHECK_EQ_INT(zone_utc_s(&berlin, utc(2026, 3, 29, 3, 0)), utc(2026, 3, 29, 1, 0));
    CHECK_EQ_INT(zone_utc_s(&berlin, utc(2026, 10, 25, 2, 30)), utc(2026, 10, 25, 0, 30));
    CHECK_EQ_INT(zone_utc_s(&berlin, utc(2026, 10, 25, 3, 0)), utc(2026, 10, 25, 2, 0));
}

static const char *const names[] = { "Europe/Berlin",
                                     "America/New_York",
                                     "Australia/Lord_Howe",
                                     "Africa/Casablanca",
                                     "Asia/Kathmandu",
                                     "America/St_Johns",
                                     "Pacific/Apia",
                                     "Europe/Dublin",
                                     "Antarctica/Troll",
                                     "Asia/Tehran",
                                     "UTC",
                                     "America/Godthab",
                                     "Pacific/Kiritimati",
                                     "America/Sao_Paulo" };

/* Zero bytes: this system does not have it. */
static struct bytes read_zone(const char *name)
{
    static char room[65536];
    char path[256];
    (void)snprintf(path, sizeof path, "/usr/share/zoneinfo/%s", name);
    FILE *file = fopen(path, "rb");
    if (file == NULL) return (struct bytes){ 0 };
    size_t size = fread(room, 1, sizeof room, file);
    CHECK_EQ_INT(fclose(file), 0);
    return (struct bytes){ room, size };
}

static void compare(const char *name, struct test_random *random)
{
    struct zone zone;
    struct bytes file = read_zone(name);
    if (file.size == 0) return;
    CHECK(zone_parse(file, &zone));
    CHECK_EQ_INT(setenv("TZ", name, 1), 0);
    tzset();
    for (unsigned count = 0; count < 4000; count++) {
        time_t at =
            (time_t)(test_random_below(random, 4200000000u) + (uint64_t)(count % 3) * 50000000u);
        struct tm parts;
        CHECK(localtime_r(&at, &parts) != NULL);
        test_note("%s at %lld", name, (long long)at);
        CHECK_EQ_INT(zone_offset_s(&zone, at), parts.tm_gmtoff);
        /* There and back: the same moment, or the one before that looks alike. */
        int64_t local_s = at + parts.tm_gmtoff;
        int64_t back_s = zone_utc_s(&zone, local_s);
        CHECK(back_s <= at && back_s + zone_offset_s(&zone, back_s) == local_s);
    }
}

TEST(zone_files_say_what_the_c_library_reads_in_them)
{
    struct test_random random = { 3 };
    for (size_t index = 0; index < sizeof names / sizeof *names; index++) {
        compare(names[index], &random);
    }
}

TEST(zone_file_that_is_cut_or_broken_is_refused_or_harmless)
{
    struct bytes file = read_zone("Europe/Berlin");
    static char copy[65536];
    struct test_random random = { 4 };
    struct zone zone;
    for (size_t size = 0; size < file.size; size++) {
        CHECK(!zone_parse((struct bytes){ file.data, size }, &zone));
    }
    for (unsigned round = 0; file.size > 0 && round < 20000; round++) {
        memcpy(copy, file.data, file.size);
        for (unsigned count = 0; count < 3; count++) {
            copy[test_random_below(&random, (uint32_t)file.size)] =
                (char)test_random_below(&random, 256);
        }
        if (!zone_parse((struct bytes){ copy, file.size }, &zone)) continue;
        int64_t at_s = (int64_t)test_random_below(&random, 4000000000u);
        CHECK(zone_offset_s(&zone, at_s) < 100 * 3600);
        (void)zone_utc_s(&zone, at_s);
    }
}
