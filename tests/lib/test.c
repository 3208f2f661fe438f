#include "lib/test.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define FILTER_COUNT_MAX 32

struct options {
    const char *filters[FILTER_COUNT_MAX];
    int filter_count;
    unsigned limit_s; /* 0: as the tests say */
    bool is_verbose;
    bool is_list;
    bool is_in_process;
};

static const char help[] = "Usage: %s [OPTION]... [TEXT]...\n"
                           "Run the tests whose names contain one of the texts, or all.\n"
                           "\n"
                           "  --filter TEXT   the same as TEXT\n"
                           "  --limit SECONDS for each test, instead of its own limit\n"
                           "  --list          print the names and run nothing\n"
                           "  --verbose       print each test and how long it took\n"
                           "  --in-process    run without processes and limits, for a debugger; "
                           "stop at the first failure\n"
                           "  --help          print this\n";

static struct test_case *first_case;
static struct test_case **last_link = &first_case;
static char note[512];

void test_register(struct test_case *test_case)
{
    *last_link = test_case;
    last_link = &test_case->next;
}

void test_note(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(note, sizeof(note), format, arguments);
    va_end(arguments);
}

void test_fail(struct test_place place, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    (void)fprintf(stderr, "%s:%d: ", place.file, place.line);
    (void)vfprintf(stderr, format, arguments);
    (void)fputc('\n', stderr);
    if (note[0] != '\0') (void)fprintf(stderr, "    at: %s\n", note);
    va_end(arguments);
    (void)fflush(NULL);
    _exit(1);
}

/* `order` is negative, zero or positive as the left is smaller, equal or greater. */
static bool is_related(int order, const char *relation)
{
    if (strcmp(relation, "==") == 0) return order == 0;
    if (strcmp(relation, "!=") == 0) return order != 0;
    if (strcmp(relation, "<") == 0) return order < 0;
    return order <= 0;
}

void test_check_int(
    struct test_place place, const char *what, int64_t left, const char *relation, int64_t right)
{
    if (is_related((left > right) - (left < right), relation)) return;
    test_fail(
        place,
        "does not hold: %s\n    left:  %lld\n    right: %lld",
        what,
        (long long)left,
        (long long)right);
}

void test_check_uint(
    struct test_place place, const char *what, uint64_t left, const char *relation, uint64_t right)
{
    if (is_related((left > right) - (left < right), relation)) return;
    test_fail(
        place,
        "does not hold: %s\n    left:  %llu\n    right: %llu",
        what,
        (unsigned long long)left,
        (unsigned long long)right);
}

static void print_bytes(const char *label, struct bytes bytes)
{
    (void)fprintf(stderr, "    %s %zu bytes \"", label, bytes.size);
    for (size_t i = 0; i < bytes.size && i < 2000; i++) {
        unsigned char byte = (unsigned char)bytes.data[i];
        if (byte == '"' || byte == '\\') {
            (void)fprintf(stderr, "\\%c", byte);
        } else if (byte >= 0x20 && byte < 0x7f) {
            (void)fputc(byte, stderr);
        } else {
            (void)fprintf(stderr, "\\x%02x", byte);
        }
    }
    (void)fputs("\"\n", stderr);
}

void test_check_bytes(
    struct test_place place, const char *what, struct bytes left, struct bytes right)
{
    if (bytes_equal(left, right)) return;
    print_bytes("left: ", left);
    print_bytes("right:", right);
    size_t same = 0;
    while (same < left.size && same < right.size && left.data[same] == right.data[same])
        same++;
    test_fail(place, "does not hold: %s (they differ from byte %zu on)", what, same);
}

void test_check_text(struct test_place place, const char *what, const char *left, const char *right)
{
    if (left != NULL && right != NULL) {
        test_check_bytes(place, what, bytes_from_text(left), bytes_from_text(right));
    } else if (left != right) {
        test_fail(
            place, "does not hold: %s (%s is NULL)", what, left == NULL ? "the left" : "the right");
    }
}

void test_check_aborts(struct test_place place, const char *what, void (*run)(void *), void *user)
{
    (void)fflush(NULL);
    pid_t child = fork();
    if (child < 0) test_fail(place, "fork: %s", strerror(errno));
    if (child == 0) {
        int sink = open("/dev/null", O_WRONLY | O_CLOEXEC);
        (void)dup2(sink, STDERR_FILENO);
        run(user);
        _exit(0);
    }
    int status;
    while (waitpid(child, &status, 0) < 0 && errno == EINTR)
        continue;
    if (WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT) return;
    test_fail(place, "does not hold: %s (wait status %#x)", what, (unsigned)status);
}

static void say_end(const char *name, unsigned limit_s, int status)
{
    if (WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM) {
        (void)fprintf(stderr, "FAILED %s: not done after %u s\n\n", name, limit_s);
    } else if (WIFSIGNALED(status)) {
        const char *signal_text = strsignal(WTERMSIG(status));
        (void)fprintf(stderr, "FAILED %s: ended by signal: %s\n\n", name, signal_text);
    } else {
        (void)fprintf(stderr, "FAILED %s: exit status %d\n\n", name, WEXITSTATUS(status));
    }
}

static void run_in_child(const struct test_case *test_case, unsigned limit_s, pid_t runner)
{
    (void)setpgid(0, 0);
    /* Whoever stops the runner stops the test. */
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != runner) _exit(1);
    (void)alarm(limit_s);
    test_case->run();
    /* By exit, so that a sanitizer looks for leaks. */
    exit(0);
}

static bool run_forked(const struct test_case *test_case, unsigned limit_s)
{
    (void)fflush(NULL);
    pid_t runner = getpid();
    pid_t child = fork();
    if (child < 0) {
        (void)fprintf(stderr, "FAILED %s: fork: %s\n\n", test_case->name, strerror(errno));
        return false;
    }
    if (child == 0) run_in_child(test_case, limit_s, runner);
    (void)setpgid(child, child);
    int status;
    while (waitpid(child, &status, 0) < 0 && errno == EINTR)
        continue;
    /* The group, for the processes that the test has left running; ESRCH when there are none. */
    (void)kill(-child, SIGKILL);
    if (status == 0) return true;
    say_end(test_case->name, limit_s, status);
    return false;
}

/* Sanitizers and valgrind make a test slower; who runs it so says by how much. */
static unsigned time_factor(void)
{
    const char *text = getenv("TENURE_TEST_TIME_FACTOR");
    long factor = text == NULL ? 1 : strtol(text, NULL, 10);
    return factor < 1 || factor > 1000 ? 1 : (unsigned)factor;
}

static int64_t now_ms(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static bool run_case(const struct test_case *test_case, const struct options *options)
{
    int64_t start_ms = now_ms();
    bool is_ok = true;
    if (options->is_in_process) {
        test_case->run();
    } else {
        unsigned limit_s = options->limit_s == 0 ? test_case->limit_s : options->limit_s;
        is_ok = run_forked(test_case, limit_s * time_factor());
    }
    if (options->is_verbose) {
        long long took_ms = (long long)(now_ms() - start_ms);
        (void)printf("%-6s %s (%lld ms)\n", is_ok ? "ok" : "FAILED", test_case->name, took_ms);
    }
    return is_ok;
}

static bool is_selected(const struct test_case *test_case, const struct options *options)
{
    for (int i = 0; i < options->filter_count; i++) {
        if (strstr(test_case->name, options->filters[i]) != NULL) return true;
    }
    return options->filter_count == 0;
}

__attribute__((noreturn)) static void usage(const char *program, FILE *stream, int status)
{
    (void)fprintf(stream, help, program);
    exit(status);
}

static void parse_options(int argc, char **argv, struct options *options)
{
    for (int i = 1; i < argc; i++) {
        const char *word = argv[i];
        bool is_filter = strcmp(word, "--filter") == 0;
        bool is_limit = strcmp(word, "--limit") == 0;
        if ((is_filter || is_limit) && ++i == argc) usage(argv[0], stderr, 64);
        if (is_limit) {
            options->limit_s = (unsigned)strtoul(argv[i], NULL, 10);
        } else if (is_filter || word[0] != '-') {
            if (options->filter_count == FILTER_COUNT_MAX) usage(argv[0], stderr, 64);
            options->filters[options->filter_count++] = argv[i];
        } else if (strcmp(word, "--list") == 0) {
            options->is_list = true;
        } else if (strcmp(word, "--verbose") == 0) {
            options->is_verbose = true;
        } else if (strcmp(word, "--in-process") == 0) {
            options->is_in_process = true;
        } else if (strcmp(word, "--help") == 0) {
            usage(argv[0], stdout, 0);
        } else {
            usage(argv[0], stderr, 64);
        }
    }
}

int main(int argc, char **argv)
{
    struct options options = { 0 };
    parse_options(argc, argv, &options);
    int passed_count = 0;
    int failed_count = 0;
    for (const struct test_case *test = first_case; test != NULL; test = test->next) {
        if (!is_selected(test, &options)) continue;
        if (options.is_list) {
            (void)printf("%s\n", test->name);
        } else if (run_case(test, &options)) {
            passed_count++;
        } else {
            failed_count++;
        }
    }
    if (options.is_list) return 0;
    (void)printf("%d passed, %d failed\n", passed_count, failed_count);
    return failed_count == 0 && passed_count > 0 ? 0 : 1;
}
