/* work_judge - what is said about an item, by how its command went; and what commands say. */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

#include "cli/text.h"
#include "cli/work.h"

void work_make_plain(const char *text, char out_reason[WORK_REASON_SIZE])
{
    struct text reason;
    text_init(&reason, out_reason, WORK_REASON_SIZE);
    while (*text != '\0') {
        size_t size = utf8_sequence_size(text);
        bool is_control = (unsigned char)*text < 0x20 || *text == 0x7f;
        if (size == 0 || is_control) {
            text_add_bytes(&reason, size == 0 ? "?" : " ", 1);
            text++;
        } else {
            text_add_bytes(&reason, text, size);
            text += size;
        }
    }
}

static void set_reason(struct work_verdict *verdict, const struct work_end *end, const char *what)
{
    char words[2 * WORK_REASON_SIZE];
    const char *detail = end->reason[0] != '\0' ? end->reason : end->last_error;
    const char *colon = detail[0] != '\0' ? ": " : "";
    (void)snprintf(words, sizeof(words), "%s%s%s", what, colon, detail);
    work_make_plain(words, verdict->reason);
}

/* Nobody but the system kills so, when memory is short, or an administrator: no verdict on the item
 * by its command.  What is counted is the same as if it had hit the worker itself, with a limit of
 * its own; so an item that is too large for every machine does not go on for ever. */
static void judge_kill(const struct work_end *end, struct work_verdict *verdict)
{
    verdict->word = WORK_SAY_LAPSE;
    set_reason(verdict, end, "killed");
}

static void judge_exit(const struct work_end *end, struct work_verdict *verdict)
{
    char what[32];
    int code = end->number;
    verdict->exit_code = code;
    if (code == 0) {
        verdict->word = WORK_SAY_DONE;
        return;
    }
    /* As shells, and what runs containers, tell of a command of theirs. */
    bool is_silent = !end->has_retry && !end->is_dead;
    if (code == 128 + SIGKILL && is_silent) {
        judge_kill(end, verdict);
        return;
    }
    (void)snprintf(what, sizeof(what), "exit %d", code);
    set_reason(verdict, end, what);
    if (code == EXIT_NOT_FOUND || code == EXIT_NOT_EXECUTABLE) {
        verdict->is_fault = true;
        verdict->is_free = true;
        verdict->delay_ms = 0;
    }
    if (code == EX_TEMPFAIL) verdict->is_free = true;
    if (code == EX_DATAERR || code == EX_CONFIG) verdict->is_dead = true;
}

static void judge_kind(const struct work_end *end, struct work_verdict *verdict)
{
    char what[64];
    switch (end->kind) {
    case WORK_EXITED: judge_exit(end, verdict); break;
    case WORK_SIGNALED:
        verdict->exit_code = 128 + end->number;
        if (end->number == SIGKILL) {
            judge_kill(end, verdict);
            break;
        }
        (void)snprintf(what, sizeof(what), "signal %d", end->number);
        set_reason(verdict, end, what);
        break;
    case WORK_NOT_STARTED:
        verdict->exit_code = end->number == EXIT_NOT_FOUND ? EXIT_NOT_FOUND : EXIT_NOT_EXECUTABLE;
        verdict->is_fault = true;
        verdict->is_free = true;
        verdict->delay_ms = 0;
        set_reason(verdict, end, "the command cannot be executed");
        break;
    case WORK_TIMED_OUT:
        verdict->exit_code = EXIT_MAX_HOLD;
        set_reason(verdict, end, "timeout");
        break;
    case WORK_CANCELLED:
        verdict->exit_code = EX_TEMPFAIL;
        set_reason(verdict, end, "cancelled");
        break;
    case WORK_STOPPED:
        verdict->exit_code = EX_TEMPFAIL;
        verdict->is_free = true;
        verdict->delay_ms = 0;
        set_reason(verdict, end, "the worker was stopped");
        break;
    case WORK_LOST:
        verdict->word = WORK_SAY_NOTHING;
        verdict->exit_code = EXIT_LOST;
        break;
    case WORK_UNGUARDED:
        verdict->exit_code = EX_SOFTWARE;
        judge_kill(end, verdict);
        break;
    case WORK_BROKEN:
        verdict->exit_code = EX_SOFTWARE;
        verdict->is_fault = true; /* of ours: the next item would fare no better */
        verdict->is_free = true;
        set_reason(verdict, end, "the worker is at fault");
        break;
    }
}

void work_judge(const struct work_end *end, struct work_verdict *out_verdict)
{
    *out_verdict = (struct work_verdict){ .word = WORK_SAY_FAIL, .delay_ms = TENURE_NONE };
    judge_kind(end, out_verdict);
    /* What the command itself has said counts when it ended by itself, and not well. */
    bool is_own_end = end->kind == WORK_EXITED && out_verdict->word == WORK_SAY_FAIL;
    if (!is_own_end) return;
    if (end->is_dead) out_verdict->is_dead = true;
    if (end->has_retry) {
        out_verdict->is_dead = false;
        out_verdict->delay_ms = end->retry_ms;
    }
}

/* Behind the word `name`; NULL: the line begins otherwise. */
static const char *behind(const char *line, const char *name)
{
    size_t size = strlen(name);
    if (strncmp(line, name, size) != 0) return NULL;
    if (line[size] == '\0') return line + size;
    return line[size] == ' ' ? line + size + 1 : NULL;
}

const char *work_read_control(
    const char *line, struct work_end *end, char reason[WORK_REASON_SIZE], bool *out_is_known)
{
    const char *rest;
    *out_is_known = true;
    if ((rest = behind(line, "progress")) != NULL) return rest;
    if ((rest = behind(line, "dead")) != NULL) {
        end->is_dead = true;
        end->has_retry = false;
    } else if ((rest = behind(line, "retry")) != NULL) {
        char word[32];
        size_t size = strcspn(rest, " ");
        uint64_t ms;
        (void)snprintf(word, sizeof(word), "%.*s", size < sizeof(word) ? (int)size : 0, rest);
        end->has_retry = true;
        end->retry_ms = TENURE_NONE;
        if (duration_parse(word, &ms) && ms < UINT32_MAX) {
            end->retry_ms = (uint32_t)ms;
            rest += size + (rest[size] == ' ');
        }
    } else {
        *out_is_known = false;
        return NULL;
    }
    work_make_plain(rest, reason);
    end->reason = reason;
    return NULL;
}
