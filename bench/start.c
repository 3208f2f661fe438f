/* bench-start - how long a lock runner takes from its own start until its command is executed.
 *
 *     bench-start --rounds N [--cpu N] -- RUNNER [WORD ...]
 *
 * Starts RUNNER again and again, with this program as the command: it says what time it is, as soon
 * as it runs.  The clock runs from right before RUNNER is started until then; how long RUNNER takes
 * to end, with its release, is told too.
 *
 * Prints one line of JSON.  Exits 0 only when every command ran and every runner ended well. */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

#include "process.h"

#define ROUND_COUNT_MAX 100000u
#define WORD_COUNT_MAX  64
#define STAMP           "stamp" /* no flag: some runners would take it for theirs */

struct sample {
    int64_t started_ns; /* from the start of the runner to that of the command */
    int64_t ended_ns;   /* to the end of the runner */
};

__attribute__((noreturn)) static void fail(const char *what, const char *detail)
{
    (void)fprintf(stderr, "bench-start: %s %s\n", what, detail);
    exit(EX_SOFTWARE); // NOLINT(concurrency-mt-unsafe): one thread
}

/* The other end of the measurement. */
static int stamp(void)
{
    char text[32];
    int size = snprintf(text, sizeof(text), "%" PRId64 "\n", process_now_ns());
    return write(STDOUT_FILENO, text, (size_t)size) == size ? EX_OK : EX_IOERR;
}

/* What the command has said, until everybody has closed the pipe. */
static int64_t read_stamp(int fd)
{
    char text[256];
    size_t size = 0;
    ssize_t more;
    while (size < sizeof(text) - 1 && (more = read(fd, text + size, sizeof(text) - 1 - size)) > 0) {
        size += (size_t)more;
    }
    text[size] = '\0';
    char *end;
    int64_t at_ns = strtoll(text, &end, 10);
    if (end == text || strcmp(end, "\n") != 0) fail("the command did not say the time but:", text);
    return at_ns;
}

static struct sample start_once(char **words)
{
    int fds[2];
    posix_spawn_file_actions_t actions;
    if (pipe2(fds, O_CLOEXEC) != 0) fail("pipe:", strerrordesc_np(errno));
    (void)posix_spawn_file_actions_init(&actions);
    (void)posix_spawn_file_actions_adddup2(&actions, fds[1], STDOUT_FILENO);
    pid_t pid;
    int64_t begun_ns = process_now_ns();
    int failure = posix_spawnp(&pid, words[0], &actions, NULL, words, environ);
    if (failure != 0) fail(words[0], strerrordesc_np(failure));
    (void)close(fds[1]);
    int64_t at_ns = read_stamp(fds[0]);
    int status = 0;
    if (waitpid(pid, &status, 0) != pid || status != 0) fail(words[0], "did not end well");
    int64_t ended_ns = process_now_ns();
    (void)close(fds[0]);
    (void)posix_spawn_file_actions_destroy(&actions);
    if (at_ns < begun_ns) fail(words[0], "ran the command before it was started");
    return (struct sample){ at_ns - begun_ns, ended_ns - begun_ns };
}

static void
print_samples(const char *name, const struct sample *samples, uint64_t count, bool is_end)
{
    printf("\"%s\":[", name);
    for (uint64_t i = 0; i < count; i++) {
        int64_t ns = is_end ? samples[i].ended_ns : samples[i].started_ns;
        printf("%s%.1f", i == 0 ? "" : ",", (double)ns / 1e3);
    }
    printf("]");
}

__attribute__((noreturn)) static void fail_usage(void)
{
    (void)fputs("usage: bench-start --rounds N [--cpu N] -- RUNNER [WORD ...]\n", stderr);
    exit(EX_USAGE); // NOLINT(concurrency-mt-unsafe): one thread
}

int main(int argc, char **argv)
{
    static const struct option longs[] = { { "rounds", required_argument, NULL, 'r' },
                                           { "cpu", required_argument, NULL, 'c' },
                                           { NULL, 0, NULL, 0 } };
    if (argc == 2 && strcmp(argv[1], STAMP) == 0) return stamp();
    uint64_t round_count = 0;
    int option;
    // NOLINTNEXTLINE(concurrency-mt-unsafe): one thread
    while ((option = getopt_long(argc, argv, "+", longs, NULL)) != -1) {
        switch (option) {
        case 'r': round_count = strtoull(optarg, NULL, 10); break;
        case 'c':
            if (!process_pin(atoi(optarg))) fail("cannot run on processor", optarg);
            break;
        default: fail_usage();
        }
    }
    int word_count = argc - optind;
    if (round_count == 0 || round_count > ROUND_COUNT_MAX || word_count < 1 ||
        word_count > WORD_COUNT_MAX)
    {
        fail_usage();
    }
    char self[4096];
    char stamp_word[] = STAMP;
    ssize_t size = readlink("/proc/self/exe", self, sizeof(self) - 1);
    if (size < 0) fail("/proc/self/exe:", strerrordesc_np(errno));
    self[size] = '\0';
    char *words[WORD_COUNT_MAX + 3] = { NULL };
    memcpy(words, argv + optind, (size_t)word_count * sizeof(*words));
    words[word_count] = self;
    words[word_count + 1] = stamp_word;

    struct sample *samples = calloc(round_count, sizeof(*samples));
    if (samples == NULL) fail("no memory", "");
    for (uint64_t i = 0; i < round_count; i++) {
        samples[i] = start_once(words);
    }
    printf("{\"rounds\":%" PRIu64 ",", round_count);
    print_samples("samples_us", samples, round_count, false);
    printf(",");
    print_samples("ended_us", samples, round_count, true);
    printf("}\n");
    free(samples);
    return EX_OK;
}
