#include "cli/tap.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define READ_SIZE 16384u
/* Of one pipe at a time, so that the others are not forgotten. */
#define READ_COUNT_MAX 16u

static bool open_pipe(struct taps *taps, enum tap_kind kind)
{
    int fds[2];
    if (pipe2(fds, O_CLOEXEC) != 0) return false;
    taps->read_fds[kind] = fds[0];
    taps->write_fds[kind] = fds[1];
    return fcntl(fds[0], F_SETFL, O_NONBLOCK) == 0;
}

bool taps_open(struct taps *taps, bool has_result)
{
    *taps = (struct taps){ .result = NULL };
    for (int i = 0; i < TAP_COUNT; i++) {
        taps->read_fds[i] = -1;
        taps->write_fds[i] = -1;
    }
    if (has_result) taps->result = malloc(TAP_RESULT_SIZE_MAX);
    bool is_open = open_pipe(taps, TAP_ERRORS) && open_pipe(taps, TAP_CONTROL);
    if (has_result) is_open = is_open && taps->result != NULL && open_pipe(taps, TAP_RESULT);
    if (is_open) return true;
    int error = errno;
    taps_close(taps);
    errno = error;
    return false;
}

static void close_one(int *fd)
{
    if (*fd >= 0) (void)close(*fd);
    *fd = -1;
}

void taps_close_writers(struct taps *taps)
{
    for (int i = 0; i < TAP_COUNT; i++) {
        close_one(&taps->write_fds[i]);
    }
}

void taps_close(struct taps *taps)
{
    taps_close_writers(taps);
    for (int i = 0; i < TAP_COUNT; i++) {
        close_one(&taps->read_fds[i]);
    }
    free(taps->result);
    taps->result = NULL;
}

unsigned taps_fill(const struct taps *taps, struct pollfd out_fds[TAP_COUNT])
{
    unsigned count = 0;
    for (int i = 0; i < TAP_COUNT; i++) {
        if (taps->read_fds[i] < 0) continue;
        out_fds[count++] = (struct pollfd){ .fd = taps->read_fds[i], .events = POLLIN };
    }
    return count;
}

/* ------------------------------------------------------------------ what comes */

/* True: the line is whole. */
static bool add_to_line(struct tap_line *line, char byte)
{
    if (byte == '\n') {
        line->text[line->size] = '\0';
        return true;
    }
    if (line->size + 1 < TAP_LINE_SIZE) line->text[line->size++] = byte;
    return false;
}

static void note_errors(struct taps *taps, const char *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        if (!add_to_line(&taps->errors, bytes[i])) continue;
        if (taps->errors.size > 0) taps->last = taps->errors;
        taps->errors.size = 0;
    }
}

static void take_errors(struct taps *taps, const char *bytes, size_t size)
{
    size_t done = 0;
    while (done < size) {
        ssize_t written = write(STDERR_FILENO, bytes + done, size - done);
        if (written < 0 && errno == EINTR) continue;
        if (written <= 0) break; /* nobody reads them */
        done += (size_t)written;
    }
    note_errors(taps, bytes, size);
}

static void take_result(struct taps *taps, const char *bytes, size_t size)
{
    size_t room = TAP_RESULT_SIZE_MAX - taps->result_size;
    if (size > room) taps->is_result_cut = true;
    if (size > room) size = room;
    memcpy(taps->result + taps->result_size, bytes, size);
    taps->result_size += size;
}

static void
take_control(struct taps *taps, const char *bytes, size_t size, tap_line_fn on_control, void *user)
{
    for (size_t i = 0; i < size; i++) {
        if (!add_to_line(&taps->control, bytes[i])) continue;
        if (taps->control.size > 0) on_control(taps->control.text, user);
        taps->control.size = 0;
    }
}

/* The last line need not have an end. */
static void end_lines(struct taps *taps, int kind, tap_line_fn on_control, void *user)
{
    if (kind == TAP_ERRORS) note_errors(taps, "\n", 1);
    if (kind == TAP_CONTROL) take_control(taps, "\n", 1, on_control, user);
}

void taps_read(struct taps *taps, tap_line_fn on_control, void *user)
{
    char bytes[READ_SIZE];
    for (int kind = 0; kind < TAP_COUNT; kind++) {
        for (unsigned count = 0; taps->read_fds[kind] >= 0 && count < READ_COUNT_MAX; count++) {
            ssize_t size = read(taps->read_fds[kind], bytes, sizeof(bytes));
            if (size < 0) break;
            if (size == 0) {
                close_one(&taps->read_fds[kind]);
                end_lines(taps, kind, on_control, user);
                break;
            }
            if (kind == TAP_ERRORS) take_errors(taps, bytes, (size_t)size);
            if (kind == TAP_RESULT) take_result(taps, bytes, (size_t)size);
            if (kind == TAP_CONTROL) take_control(taps, bytes, (size_t)size, on_control, user);
        }
    }
}

const char *taps_last_error(const struct taps *taps)
{
    return taps->last.size > 0 ? taps->last.text : "";
}
