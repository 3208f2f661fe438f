#include <string.h>
#include <unistd.h>

#include "cli/tap.h"
#include "cli/work_slot.h"
#include "lib/test.h"

/* ------------------------------------------------------------------ verdicts */

static struct work_verdict judge(enum work_end_kind kind, int number, const char *last_error)
{
    struct work_end end = {
        .kind = kind, .number = number, .last_error = last_error, .reason = ""
    };
    struct work_verdict verdict;
    work_judge(&end, &verdict);
    return verdict;
}

/* "done", or "fail", with "free" and "dead", the exit code and the reason. */
static const char *words(struct work_verdict verdict)
{
    static char text[600];
    const char *word = verdict.word == WORK_SAY_DONE ? "done" : "nothing";
    if (verdict.word == WORK_SAY_LAPSE) word = "lapse";
    if (verdict.word == WORK_SAY_FAIL) word = "fail";
    (void)snprintf(
        text,
        sizeof(text),
        "%s%s%s%s %d %s",
        word,
        verdict.is_free ? " free" : "",
        verdict.is_dead ? " dead" : "",
        verdict.is_fault ? " fault" : "",
        verdict.exit_code,
        verdict.reason);
    return text;
}

TEST(work_says_what_an_exit_code_means)
{
    CHECK_EQ_TEXT(words(judge(WORK_EXITED, 0, "a warning")), "done 0 ");
    CHECK_EQ_TEXT(words(judge(WORK_EXITED, 1, "")), "fail 1 exit 1");
    CHECK_EQ_TEXT(words(judge(WORK_EXITED, 1, "no disk")), "fail 1 exit 1: no disk");
    CHECK_EQ_TEXT(words(judge(WORK_EXITED, 65, "")), "fail dead 65 exit 65");
    CHECK_EQ_TEXT(words(judge(WORK_EXITED, 78, "")), "fail dead 78 exit 78");
    CHECK_EQ_TEXT(words(judge(WORK_EXITED, 75, "")), "fail free 75 exit 75");
    CHECK_EQ_TEXT(words(judge(WORK_EXITED, 126, "")), "fail free fault 126 exit 126");
    CHECK_EQ_TEXT(words(judge(WORK_EXITED, 127, "")), "fail free fault 127 exit 127");
    CHECK_EQ_TEXT(words(judge(WORK_EXITED, 255, "")), "fail 255 exit 255");
    CHECK_EQ_TEXT(words(judge(WORK_EXITED, 143, "")), "fail 143 exit 143");
    CHECK_EQ_TEXT(words(judge(WORK_EXITED, 137, "")), "lapse 137 killed");
    for (int code = 1; code < 256; code++) {
        struct work_verdict verdict = judge(WORK_EXITED, code, "");
        CHECK_EQ_INT(verdict.word, code == 137 ? WORK_SAY_LAPSE : WORK_SAY_FAIL);
        bool is_at_once = verdict.is_fault;
        CHECK_EQ_UINT(verdict.delay_ms, is_at_once ? 0 : TENURE_NONE);
    }
}

TEST(work_says_what_other_ends_mean)
{
    CHECK_EQ_TEXT(words(judge(WORK_SIGNALED, 15, "")), "fail 143 signal 15");
    CHECK_EQ_TEXT(words(judge(WORK_SIGNALED, 11, "no")), "fail 139 signal 11: no");
    CHECK_EQ_TEXT(words(judge(WORK_SIGNALED, 9, "loading")), "lapse 137 killed: loading");
    CHECK_EQ_TEXT(words(judge(WORK_TIMED_OUT, 0, "slow")), "fail 124 timeout: slow");
    CHECK_EQ_TEXT(words(judge(WORK_CANCELLED, 0, "")), "fail 75 cancelled");
    CHECK_EQ_TEXT(words(judge(WORK_STOPPED, 0, "")), "fail free 75 the worker was stopped");
    CHECK_EQ_UINT(judge(WORK_STOPPED, 0, "").delay_ms, 0);
    CHECK_EQ_TEXT(words(judge(WORK_LOST, 0, "x")), "nothing 79 ");
    CHECK_EQ_TEXT(words(judge(WORK_UNGUARDED, 0, "")), "lapse 70 killed");
    CHECK_EQ_TEXT(words(judge(WORK_BROKEN, 0, "")), "fail free fault 70 the worker is at fault");
    CHECK_EQ_TEXT(
        words(judge(WORK_NOT_STARTED, 127, "")),
        "fail free fault 127 the command cannot be executed");
    CHECK_EQ_TEXT(
        words(judge(WORK_NOT_STARTED, 126, "")),
        "fail free fault 126 the command cannot be executed");
}

TEST(work_makes_reasons_plain)
{
    char reason[WORK_REASON_SIZE];
    char long_text[1000];
    work_make_plain("a\tb\x1b[31m\xff\x7f\xc3\xa9", reason);
    CHECK_EQ_TEXT(reason, "a b [31m? \xc3\xa9");
    (void)memset(long_text, 'x', sizeof(long_text) - 1);
    long_text[sizeof(long_text) - 1] = '\0';
    work_make_plain(long_text, reason);
    CHECK_EQ_UINT(strlen(reason), WORK_REASON_SIZE - 1);
    CHECK_EQ_UINT(strlen(judge(WORK_EXITED, 1, long_text).reason), WORK_REASON_SIZE - 1);
}

/* ------------------------------------------------------------------ what the library says */

TEST(work_is_cancelled_by_what_is_said_about_its_own_item)
{
    struct slot slot = { .wake_fd = -1, .hold = { 7 } };
    CHECK(!slot_is_cancelled(&slot));
    /* A callback of the item before, which was under way when that ended. */
    slot_on_cancel((struct tenure_hold){ 6 }, &slot);
    CHECK(!slot_is_cancelled(&slot));
    slot_on_cancel((struct tenure_hold){ 7 }, &slot);
    CHECK(slot_is_cancelled(&slot));
    slot.hold.id = 8;
    CHECK(!slot_is_cancelled(&slot));
    slot.item.is_cancelling = true; /* since before it was handed out */
    CHECK(slot_is_cancelled(&slot));
}

/* ------------------------------------------------------------------ what commands say */

static struct work_end told(const char *line, const char **out_progress, bool *out_is_known)
{
    static char reason[WORK_REASON_SIZE];
    struct work_end end = { .kind = WORK_EXITED, .number = 1, .last_error = "e", .reason = "" };
    *out_progress = work_read_control(line, &end, reason, out_is_known);
    return end;
}

TEST(work_hears_what_its_command_says)
{
    static const struct {
        const char *line;
        const char *verdict;
        uint32_t delay_ms;
    } cases[] = {
        { "retry", "fail 1 exit 1: e", TENURE_NONE },
        { "retry 5m", "fail 1 exit 1: e", 300000 },
        { "retry 1.5 disk busy", "fail 1 exit 1: disk busy", 1500 },
        { "retry disk busy", "fail 1 exit 1: disk busy", TENURE_NONE },
        { "retry 0", "fail 1 exit 1: e", 0 },
        { "dead", "fail dead 1 exit 1: e", TENURE_NONE },
        { "dead of old age", "fail dead 1 exit 1: of old age", TENURE_NONE },
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const char *progress;
        bool is_known;
        struct work_verdict verdict;
        struct work_end end = told(cases[i].line, &progress, &is_known);
        work_judge(&end, &verdict);
        CHECK(is_known && progress == NULL);
        CHECK_EQ_TEXT(words(verdict), cases[i].verdict);
        CHECK_EQ_UINT(verdict.delay_ms, cases[i].delay_ms);
    }
}

TEST(work_counts_what_was_said_last_and_only_for_failures)
{
    char reason[WORK_REASON_SIZE];
    bool is_known;
    struct work_verdict verdict;
    struct work_end end = { .kind = WORK_EXITED, .last_error = "", .reason = "" };
    (void)work_read_control("dead a", &end, reason, &is_known);
    work_judge(&end, &verdict);
    CHECK_EQ_TEXT(words(verdict), "done 0 ");
    end.number = 3;
    (void)work_read_control("retry 7 b", &end, reason, &is_known);
    work_judge(&end, &verdict);
    CHECK_EQ_TEXT(words(verdict), "fail 3 exit 3: b");
    CHECK_EQ_UINT(verdict.delay_ms, 7000);
    end.kind = WORK_SIGNALED;
    work_judge(&end, &verdict);
    CHECK_EQ_UINT(verdict.delay_ms, TENURE_NONE);
}

TEST(work_tells_progress_from_other_words)
{
    const char *progress;
    bool is_known;
    (void)told("progress 40 %", &progress, &is_known);
    CHECK(is_known);
    CHECK_EQ_TEXT(progress, "40 %");
    (void)told("progress", &progress, &is_known);
    CHECK_EQ_TEXT(progress, "");
    static const char *const others[] = { "progressive", "deadly", "retryx", "x", " dead" };
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        (void)told(others[i], &progress, &is_known);
        CHECK(!is_known && progress == NULL);
    }
}

/* ------------------------------------------------------------------ taps */

struct heard {
    unsigned count;
    char lines[8][TAP_LINE_SIZE];
};

static void on_line(const char *line, void *user)
{
    struct heard *heard = user;
    (void)snprintf(heard->lines[heard->count++ % 8], TAP_LINE_SIZE, "%s", line);
}

static void say(const struct taps *taps, enum tap_kind kind, const char *text)
{
    ssize_t size = (ssize_t)strlen(text);
    CHECK_EQ_INT(write(taps->write_fds[kind], text, (size_t)size), size);
}

TEST(taps_cut_what_comes_into_lines)
{
    struct taps taps;
    struct heard heard = { .count = 0 };
    char long_line[TAP_LINE_SIZE + 100];
    CHECK(taps_open(&taps, false));
    say(&taps, TAP_CONTROL, "one\ntwo");
    taps_read(&taps, on_line, &heard);
    CHECK_EQ_UINT(heard.count, 1);
    CHECK_EQ_TEXT(heard.lines[0], "one");
    say(&taps, TAP_CONTROL, " and more\n\n\nthree\n");
    taps_read(&taps, on_line, &heard);
    CHECK_EQ_UINT(heard.count, 3);
    CHECK_EQ_TEXT(heard.lines[1], "two and more");
    CHECK_EQ_TEXT(heard.lines[2], "three");
    (void)memset(long_line, 'x', sizeof(long_line) - 1);
    long_line[sizeof(long_line) - 1] = '\0';
    say(&taps, TAP_CONTROL, long_line);
    say(&taps, TAP_CONTROL, "\nshort\n");
    taps_read(&taps, on_line, &heard);
    CHECK_EQ_UINT(strlen(heard.lines[3]), TAP_LINE_SIZE - 1);
    CHECK_EQ_TEXT(heard.lines[4], "short");
    taps_close(&taps);
}

TEST(taps_keep_the_beginning_of_a_result)
{
    struct taps taps;
    struct heard heard = { .count = 0 };
    static char piece[4096];
    CHECK(taps_open(&taps, true));
    for (unsigned i = 0; i < 20; i++) {
        (void)memset(piece, 'a' + (int)i, sizeof(piece));
        CHECK_EQ_INT(
            write(taps.write_fds[TAP_RESULT], piece, sizeof(piece)), (ssize_t)sizeof(piece));
        taps_read(&taps, on_line, &heard);
    }
    CHECK_EQ_UINT(taps.result_size, TAP_RESULT_SIZE_MAX);
    CHECK(taps.is_result_cut);
    CHECK_EQ_INT(taps.result[0], 'a');
    CHECK_EQ_INT(taps.result[TAP_RESULT_SIZE_MAX - 1], 'a' + 15);
    struct pollfd fds[TAP_COUNT];
    CHECK_EQ_UINT(taps_fill(&taps, fds), 3);
    taps_close_writers(&taps);
    taps_read(&taps, on_line, &heard);
    CHECK_EQ_UINT(taps_fill(&taps, fds), 0); /* all are at their ends */
    taps_close(&taps);
}
