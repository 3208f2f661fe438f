#include "server/log.h"

#include <stdarg.h>
#include <stdlib.h>
#include <time.h>

#define LINE_SIZE 512

static const char *const words[] = { "error", "warning", "info", "debug" };
/* syslog(3)'s numbers, which systemd reads. */
static const int priorities[] = { 3, 4, 6, 7 };

static enum log_level level_max = LOG_INFO;
static bool is_journald;

void log_init(enum log_level level)
{
    level_max = level;
    is_journald = getenv("JOURNAL_STREAM") != NULL;
}

static void format_time(char *out_text, size_t size)
{
    struct timespec now = { 0 };
    (void)clock_gettime(CLOCK_REALTIME, &now);
    struct tm fields = { 0 };
    (void)gmtime_r(&now.tv_sec, &fields);
    size_t used = strftime(out_text, size, "%Y-%m-%dT%H:%M:%S", &fields);
    (void)snprintf(out_text + used, size - used, ".%03ldZ", now.tv_nsec / 1000000);
}

void log_write(enum log_level level, const char *format, ...)
{
    if (level > level_max) return;
    char text[LINE_SIZE];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    /* One event, one line: texts can hold what clients sent. */
    for (char *at = text; *at != '\0'; at++) {
        if ((unsigned char)*at < ' ') *at = ' ';
    }
    if (is_journald) {
        (void)fprintf(stderr, "<%d>%s\n", priorities[level], text);
    } else {
        char when[40];
        format_time(when, sizeof(when));
        (void)fprintf(stderr, "%s %s %s\n", when, words[level], text);
    }
}
