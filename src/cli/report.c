#include "cli/report.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/text.h"

#define REPORT_SIZE 16384u

/* The descriptor that --json names, or -1. */
static int named_fd(const struct run_options *options)
{
    if (!options->is_reporting) return -1;
    if (options->report_path == NULL) return STDERR_FILENO;
    uint64_t number;
    bool is_number = number_parse(options->report_path, &number) && number < INT16_MAX;
    return is_number ? (int)number : -1;
}

bool report_open(const struct run_options *options, int *out_fd)
{
    int fd = named_fd(options);
    if (!options->is_reporting || (fd >= 0 && fcntl(fd, F_GETFD) >= 0)) {
        *out_fd = fd;
        return true;
    }
    if (fd >= 0) {
        complain(options->command, "--json: descriptor %d is not open", fd);
        return false;
    }
    /* Appended, so that many runs can share a file. */
    fd = open(options->report_path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    if (fd < 0) {
        complain(options->command, "--json: %s: %s", options->report_path, strerrordesc_np(errno));
        return false;
    }
    *out_fd = fd;
    return true;
}

void report_close(const struct run_options *options, int fd)
{
    if (fd >= 0 && fd != named_fd(options)) (void)close(fd);
}

static void add_member(struct text *text, const char *name, const char *value)
{
    text_addf(text, ",\"%s\":", name);
    text_add_json(text, value);
}

/* "1,2" as [1,2]; NULL as []. */
static void add_list(struct text *text, const char *name, const char *numbers)
{
    text_addf(text, ",\"%s\":[%s]", name, numbers == NULL ? "" : numbers);
}

static void add_number(struct text *text, const char *name, bool is_there, int64_t number)
{
    if (is_there) {
        text_addf(text, ",\"%s\":%" PRId64, name, number);
    } else {
        text_addf(text, ",\"%s\":null", name);
    }
}

static const char *outcome_word(enum run_outcome outcome)
{
    switch (outcome) {
#define X(name, word)                                                                              \
    case RUN_##name: return word;
        RUN_OUTCOME_MAP(X)
#undef X
    }
    return "?";
}

bool report_write(const struct run_options *options, const struct report *report, int fd)
{
    if (fd < 0) return true;
    char buffer[REPORT_SIZE];
    struct text text;
    text_init(&text, buffer, sizeof(buffer));
    text_addf(&text, "{\"outcome\":\"%s\"", outcome_word(report->outcome));
    text_addf(&text, ",\"exit_code\":%d,\"names\":[", report->exit_code);
    for (uint32_t i = 0; i < options->name_count; i++) {
        if (i > 0) text_add(&text, ",");
        text_add_json(&text, options->names[i]);
    }
    text_add(&text, "]");
    add_list(&text, "tokens", report->tokens);
    add_list(&text, "slots", report->slots);
    add_member(&text, "owner", report->owner);
    add_number(&text, "waited_ms", true, report->waited_ms);
    add_number(&text, "held_ms", report->held_ms >= 0, report->held_ms);
    add_number(&text, "pid", report->pid != 0, report->pid);
    bool is_signaled = report->is_exited && WIFSIGNALED(report->wait_status);
    bool is_ended = report->is_exited && WIFEXITED(report->wait_status);
    add_number(&text, "exit", is_ended, WEXITSTATUS(report->wait_status));
    add_number(&text, "signal", is_signaled, WTERMSIG(report->wait_status));
    add_member(&text, "cause", report->cause);
    add_member(&text, "loss", report->loss);
    add_member(&text, "end", report->end);
    add_member(&text, "error", report->error);
    text_add(&text, "}\n");
    ssize_t written = write(fd, text.data, text.size);
    if (written == (ssize_t)text.size) return true;
    complain(
        options->command,
        "--json: cannot write the report: %s",
        written < 0 ? strerrordesc_np(errno) : "only a part of it was written");
    return false;
}
