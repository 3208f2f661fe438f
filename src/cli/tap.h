/* tap - pipes from the command of an item: its results, its complaints, and what it has to say.
 *
 *   result    standard output, kept up to a limit; the rest is thrown away
 *   errors    standard error, passed on as it comes; its last line is kept
 *   control   lines, told one by one
 *
 * All are read without waiting, and the last time when the command is gone: what its descendants
 * write then is nobody's. */
#ifndef TENURE_CLI_TAP_H
#define TENURE_CLI_TAP_H

#include <poll.h>
#include <stdbool.h>
#include <stddef.h>

#define TAP_RESULT_SIZE_MAX 65536u
#define TAP_LINE_SIZE       512u

enum tap_kind { TAP_ERRORS, TAP_CONTROL, TAP_RESULT };
#define TAP_COUNT 3

struct tap_line {
    char text[TAP_LINE_SIZE]; /* what does not fit is left out */
    size_t size;
};

struct taps {
    int read_fds[TAP_COUNT];  /* -1: none, or at its end */
    int write_fds[TAP_COUNT]; /* for the command; -1: none, or closed */
    char *result;             /* TAP_RESULT_SIZE_MAX bytes; NULL: nobody wants it */
    size_t result_size;
    bool is_result_cut;
    struct tap_line errors; /* the line that is coming */
    struct tap_line last;   /* the last whole one that was not empty */
    struct tap_line control;
};

/* False: errno says why. */
bool taps_open(struct taps *taps, bool has_result);
void taps_close_writers(struct taps *taps);
void taps_close(struct taps *taps);
/* What to wait for; how many. */
unsigned taps_fill(const struct taps *taps, struct pollfd out_fds[TAP_COUNT]);
/* Read what is there. */
typedef void (*tap_line_fn)(const char *line, void *user);
void taps_read(struct taps *taps, tap_line_fn on_control, void *user);
/* The last line of the errors; "" when there was none. */
const char *taps_last_error(const struct taps *taps);

#endif
