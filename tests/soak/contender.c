/* contender - wants a lock again and again, and writes down when it believed to have it.
 *
 *     contender library URL NAME SECONDS FILE THREADS    through libtenure
 *     contender deaf    the same, and believes on when the lease is over
 *     contender forger  the same, and writes down tokens of an hour ago
 *     contender child FILE WANTED ASKED MS               as the command of `tenure run`
 *
 * The deaf and the forger are what the check is for: it must find them.
 *
 * One line of a file is one hold, of fixed width, rewritten in place while the hold lasts:
 *
 *     KIND TOKEN WANTED ASKED FROM UNTIL
 *
 * times in ns of CLOCK_MONOTONIC: since when it has been wanted, when the call that got it began,
 * from when until when it was believed in.  UNTIL is read before it is asked whether the hold is
 * good, so it is never later than the truth; who is killed leaves the last one that was written. */
#include <tenure/tenure.h>

#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define STAMP_NS  INT64_C(500000)
#define NS_PER_MS INT64_C(1000000)
#define NS_PER_S  INT64_C(1000000000)
#define HOUR_US   UINT64_C(3600000000)
#define LINE_SIZE 128
#define TTL_MS    2000
#define LONG_MS   2500 /* longer than the ttl: it must be renewed */

static int64_t now_ns(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * NS_PER_S + now.tv_nsec;
}

static void sleep_ns(int64_t duration_ns)
{
    struct timespec pause = { duration_ns / NS_PER_S, duration_ns % NS_PER_S };
    (void)nanosleep(&pause, NULL);
}

static void fail(const char *what)
{
    perror(what);
    _exit(1);
}

/* ------------------------------------------------------------------ the file */

struct record {
    int file;
    off_t at;
    const char *kind;
    uint64_t token;
    int64_t wanted_ns;
    int64_t asked_ns;
    int64_t from_ns;
};

static int open_file(const char *path)
{
    int file = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (file < 0) fail(path);
    return file;
}

static void stamp(const struct record *record, int64_t until_ns)
{
    char line[LINE_SIZE + 1];
    int size = snprintf(
        line,
        sizeof(line),
        "%-8s %20" PRIu64 " %20" PRId64 " %20" PRId64 " %20" PRId64 " %20" PRId64,
        record->kind,
        record->token,
        record->wanted_ns,
        record->asked_ns,
        record->from_ns,
        until_ns);
    if (size < 0 || size >= LINE_SIZE) fail("a line that is too long");
    memset(line + size, ' ', (size_t)(LINE_SIZE - 1 - size));
    line[LINE_SIZE - 1] = '\n';
    if (pwrite(record->file, line, LINE_SIZE, record->at) != LINE_SIZE) fail("write");
}

/* ------------------------------------------------------------------ through the library */

struct worker {
    pthread_t thread;
    struct tenure_client client;
    const char *kind;
    const char *name;
    int64_t end_ns;
    char path[300];
    unsigned random;
    unsigned outcomes[TENURE_ERR_COUNT];
    unsigned losses; /* seen while it was used */
};

static unsigned draw(struct worker *worker, unsigned count)
{
    worker->random = worker->random * 1664525u + 1013904223u;
    return (worker->random >> 8) % count;
}

/* Believe in it for a while; now and then for long. */
static void use(struct worker *worker, struct record *record, struct tenure_hold hold)
{
    bool is_deaf = strcmp(worker->kind, "deaf") == 0;
    unsigned stay_ms = is_deaf || draw(worker, 40) == 0 ? LONG_MS : draw(worker, 15);
    record->token = tenure_hold_token(hold);
    if (strcmp(worker->kind, "forger") == 0) record->token -= HOUR_US;
    record->from_ns = now_ns();
    int64_t leave_ns = record->from_ns + (int64_t)stay_ms * NS_PER_MS;
    bool is_written = false;
    for (;;) {
        int64_t at_ns = now_ns();
        if (!is_deaf && !tenure_hold_valid(hold)) {
            worker->losses++;
            break;
        }
        stamp(record, at_ns);
        is_written = true;
        if (at_ns >= leave_ns) break;
        sleep_ns(STAMP_NS);
    }
    if (is_written) record->at += LINE_SIZE;
}

static void *work(void *user)
{
    struct worker *worker = user;
    struct record record = { .file = open_file(worker->path), .kind = worker->kind };
    record.wanted_ns = now_ns();
    while (now_ns() < worker->end_ns) {
        struct tenure_lock_options options = {
            .size = sizeof(options),
            .names = &worker->name,
            .name_count = 1,
            .ttl_ms = TTL_MS,
            .wait_ms = draw(worker, 4) == 0 ? 0 : 3000,
            .is_kept_by_caller = strcmp(worker->kind, "deaf") == 0,
        };
        struct tenure_hold hold;
        record.asked_ns = now_ns();
        enum tenure_err err = tenure_lock(worker->client, &options, &hold, NULL, NULL);
        worker->outcomes[err]++;
        if (err != TENURE_OK) {
            sleep_ns((int64_t)draw(worker, 50) * NS_PER_MS);
            continue;
        }
        use(worker, &record, hold);
        (void)!tenure_hold_release(hold, NULL);
        record.wanted_ns = now_ns();
    }
    (void)close(record.file);
    return NULL;
}

/* What may happen to somebody who wants a lock, while servers come and go. */
static bool is_expected(enum tenure_err err)
{
    return err == TENURE_OK || err == TENURE_HELD || err == TENURE_TIMEOUT ||
           err == TENURE_UNAVAILABLE || err == TENURE_UNKNOWN;
}

/* What happened, in one line; 1: something that must not. */
static int sum_up(const char *kind, const struct worker *workers, unsigned count)
{
    int status = 0;
    unsigned losses = 0;
    printf("%s:", kind);
    for (unsigned err = 0; err < TENURE_ERR_COUNT; err++) {
        unsigned sum = 0;
        for (unsigned index = 0; index < count; index++) {
            sum += workers[index].outcomes[err];
        }
        if (sum > 0) printf(" %s %u,", tenure_err_name((enum tenure_err)err), sum);
        if (sum > 0 && !is_expected((enum tenure_err)err)) status = 1;
    }
    for (unsigned index = 0; index < count; index++) {
        losses += workers[index].losses;
    }
    printf(" lost while used %u\n", losses);
    return status;
}

static int run_library(const char *kind, char **words)
{
    enum { WORKERS_MAX = 64 };
    static struct worker workers[WORKERS_MAX];
    unsigned count = (unsigned)strtoul(words[4], NULL, 10);
    int64_t end_ns = now_ns() + (int64_t)strtol(words[2], NULL, 10) * NS_PER_S;
    if (count > WORKERS_MAX) count = WORKERS_MAX;
    for (unsigned index = 0; index < count; index++) {
        struct worker *worker = &workers[index];
        struct tenure_client_options options = { .size = sizeof(options),
                                                 .url = words[0],
                                                 .timeout_ms = 2000 };
        struct tenure_error error = { .code = TENURE_OK };
        *worker = (struct worker){ .kind = kind, .name = words[1], .end_ns = end_ns };
        worker->random = (unsigned)getpid() * 77u + index;
        (void)snprintf(worker->path, sizeof(worker->path), "%s-%u", words[3], index);
        if (tenure_client_open(&options, &worker->client, &error) != TENURE_OK) fail(error.text);
        if (pthread_create(&worker->thread, NULL, work, worker) != 0) fail("thread");
    }
    for (unsigned index = 0; index < count; index++) {
        (void)pthread_join(workers[index].thread, NULL);
        tenure_client_close(workers[index].client);
    }
    return sum_up(kind, workers, count);
}

/* ------------------------------------------------------------------ as a command */

/* Who runs believes: it is `tenure run` that has to end it in time. */
static int run_child(char **words)
{
    const char *token = getenv("TENURE_TOKEN"); // NOLINT(concurrency-mt-unsafe): nobody writes it
    if (token == NULL) fail("TENURE_TOKEN");
    struct record record = { .kind = "run",
                             .token = strtoull(token, NULL, 10),
                             .wanted_ns = strtoll(words[1], NULL, 10),
                             .asked_ns = strtoll(words[2], NULL, 10),
                             .from_ns = now_ns() };
    char path[300];
    (void)snprintf(path, sizeof(path), "%s-%s-%ld", words[0], token, (long)getpid());
    record.file = open_file(path);
    int64_t leave_ns = record.from_ns + (int64_t)strtol(words[3], NULL, 10) * NS_PER_MS;
    int64_t at_ns;
    do {
        at_ns = now_ns();
        stamp(&record, at_ns);
        sleep_ns(STAMP_NS);
    } while (at_ns < leave_ns);
    return 0;
}

int main(int argc, char **argv)
{
    static const char *const kinds[] = { "library", "deaf", "forger" };
    for (size_t index = 0; argc == 7 && index < sizeof(kinds) / sizeof(kinds[0]); index++) {
        if (strcmp(argv[1], kinds[index]) == 0) return run_library(kinds[index], argv + 2);
    }
    if (argc == 6 && strcmp(argv[1], "child") == 0) return run_child(argv + 2);
    (void)fputs(
        "usage: contender library|deaf|forger URL NAME SECONDS FILE THREADS\n"
        "       contender child FILE WANTED ASKED MS\n",
        stderr);
    return 64;
}
