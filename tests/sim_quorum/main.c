/* sim-quorum - the voted lease in simulated time.
 *
 *     sim-quorum --seeds 1-1000            these seeds; prints faults and probes
 *     sim-quorum --seconds 60 --jobs 2     as many as fit
 *     sim-quorum --verbose 4711            one seed as a timeline
 *     sim-quorum --tight --seeds 1-300     clocks worse than the assumption: an overlap must come
 *     sim-quorum --crowd                   how 2 and how 50 contenders get along, and many who
 *                                          try at once
 *     sim-quorum --stories                 what chance brings about too seldom */
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "sim_quorum/stories.h"
#include "sim_quorum/world.h"

#define JOB_COUNT_MAX     16u
#define FAILURE_COUNT_MAX 8u
#define SEED_SECONDS_MAX  60u

struct settings {
    uint64_t first, last;
    double seconds;
    uint32_t jobs;
    uint32_t contenders; /* of a crowd, to look at */
    bool is_probing, is_first_only, is_quiet, is_tight;
};

struct failure {
    uint64_t seed;
    char what[400];
};

/* Shared between the processes. */
struct job {
    uint64_t seed, passed, failed, scripts, grants, overlaps, overlap_failures;
    uint64_t rounds[ROUNDS_MAX];
    uint64_t probes[PROBE_COUNT];
    struct failure failures[FAILURE_COUNT_MAX];
    bool is_done;
};

static const char *const probe_texts[] = {
#define X(name, text) text,
    PROBE_MAP(X)
#undef X
};

static double now_s(void)
{
    struct timespec time;
    (void)clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static void
run_seed(const struct settings *settings, struct world *world, struct job *job, uint64_t seed)
{
    const struct world_options options = { .seed = seed, .is_tight = settings->is_tight };
    struct world_result result;
    alarm(SEED_SECONDS_MAX);
    world_run(world, &options, &result);
    if (!result.is_failed && seed % 100 == 0) {
        uint64_t hash = result.hash;
        world_run(world, &options, &result);
        if (!result.is_failed && result.hash != hash) {
            result.is_failed = true;
            (void)snprintf(result.what, sizeof result.what, "I14: two runs of one seed differ");
        }
    }
    if (!result.is_failed) {
        job->passed++;
        return;
    }
    if (job->failed < FAILURE_COUNT_MAX) {
        job->failures[job->failed].seed = seed;
        memcpy(job->failures[job->failed].what, result.what, sizeof result.what);
    }
    job->failed++;
}

static void work(const struct settings *settings, struct job *job, uint32_t number)
{
    struct world *world = calloc(1, sizeof *world);
    if (world == NULL) _exit(71);
    double end_s = settings->seconds > 0 ? now_s() + settings->seconds : 1e300;
    for (uint64_t seed = settings->first + number; seed <= settings->last; seed += settings->jobs) {
        job->seed = seed;
        run_seed(settings, world, job, seed);
        if (job->failed >= (settings->is_first_only ? 1 : FAILURE_COUNT_MAX)) break;
        if (now_s() > end_s) break;
    }
    job->scripts = world->script_count;
    job->grants = world->grant_count;
    job->overlaps = world->overlaps;
    memcpy(job->rounds, world->rounds, sizeof job->rounds);
    memcpy(job->probes, world->probes, sizeof job->probes);
    job->is_done = true;
    world_deinit(world);
    free(world);
}

static struct job add_up(struct job *jobs, uint32_t count)
{
    struct job sum = { 0 };
    for (uint32_t index = 0; index < count; index++) {
        struct job *job = &jobs[index];
        if (!job->is_done) {
            struct failure *failure =
                &job->failures[job->failed < FAILURE_COUNT_MAX ? job->failed : 0];
            failure->seed = job->seed;
            (void)snprintf(failure->what, sizeof failure->what, "died");
            job->failed++;
        }
        sum.passed += job->passed;
        sum.failed += job->failed;
        sum.scripts += job->scripts;
        sum.grants += job->grants;
        sum.overlaps += job->overlaps;
        for (uint32_t probe = 0; probe < PROBE_COUNT; probe++) {
            sum.probes[probe] += job->probes[probe];
        }
        for (uint64_t at = 0; at < job->failed && at < FAILURE_COUNT_MAX; at++) {
            sum.overlap_failures += strncmp(job->failures[at].what, "I3", 2) == 0;
            printf("seed %" PRIu64 ": %s\n", job->failures[at].seed, job->failures[at].what);
        }
    }
    return sum;
}

static uint32_t print_probes(const struct job *sum, bool is_quiet)
{
    uint32_t missed = 0;
    for (uint32_t probe = 0; probe < PROBE_COUNT; probe++) {
        const char *mark = sum->probes[probe] == 0 ? "   <- never" : "";
        if (!is_quiet) {
            printf("  %-52s %10" PRIu64 "%s\n", probe_texts[probe], sum->probes[probe], mark);
        }
        missed += sum->probes[probe] == 0;
    }
    return missed;
}

static int run_all(const struct settings *settings)
{
    struct job *jobs = mmap(
        NULL,
        sizeof(struct job) * JOB_COUNT_MAX,
        PROT_READ | PROT_WRITE,
        MAP_SHARED | MAP_ANONYMOUS,
        -1,
        0);
    if (jobs == MAP_FAILED) abort();
    pid_t children[JOB_COUNT_MAX];
    double start_s = now_s();
    for (uint32_t index = 0; index < settings->jobs; index++) {
        children[index] = fork();
        if (children[index] < 0) abort();
        if (children[index] == 0) {
            work(settings, &jobs[index], index);
            _exit(0);
        }
    }
    for (uint32_t index = 0; index < settings->jobs; index++) {
        (void)waitpid(children[index], NULL, 0);
    }
    double elapsed_s = now_s() - start_s;
    struct job sum = add_up(jobs, settings->jobs);
    double seeds = (double)(sum.passed + sum.failed);
    printf(
        "%.0f seeds in %.1f s: %.0f a second a core; %" PRIu64 " scripts, %" PRIu64 " grants\n",
        seeds,
        elapsed_s,
        seeds / elapsed_s / settings->jobs,
        sum.scripts,
        sum.grants);
    uint32_t missed = print_probes(&sum, settings->is_quiet);
    bool is_missing = settings->is_probing && missed > 0 && sum.failed == 0;
    if (is_missing) printf("%u probes were never hit\n", missed);
    if (settings->is_tight) {
        /* I4: a checker that cannot see an overlap would see none here either. */
        bool is_seen = sum.overlap_failures > 0;
        printf("%d passed, %d failed\n", is_seen, !is_seen);
        return is_seen ? 0 : 1;
    }
    printf("%" PRIu64 " passed, %" PRIu64 " failed\n", sum.passed, sum.failed + is_missing);
    return sum.failed > 0 || is_missing ? 1 : 0;
}

static int show(const struct settings *settings, uint64_t seed)
{
    struct world *world = calloc(1, sizeof *world);
    if (world == NULL) abort();
    const struct world_options options = {
        .seed = seed, .is_tight = settings->is_tight, .crowd = settings->contenders, .out = stdout
    };
    struct world_result result;
    world_run(world, &options, &result);
    world_deinit(world);
    free(world);
    return result.is_failed ? 1 : 0;
}

/* ------------------------------------------------------------------ the crowd */

struct crowd {
    uint64_t grants, scripts;
    uint32_t rounds_p99, rounds_max;
};

static struct crowd crowd_of(struct world *world, uint32_t contenders)
{
    struct crowd crowd = { 0 };
    uint64_t rounds[ROUNDS_MAX] = { 0 };
    memset(world->rounds, 0, sizeof world->rounds);
    world->grant_count = 0;
    world->script_count = 0;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        const struct world_options options = { .seed = seed, .crowd = contenders };
        struct world_result result;
        world_run(world, &options, &result);
        if (result.is_failed) {
            printf("crowd of %u, seed %" PRIu64 ": %s\n", contenders, seed, result.what);
            return crowd;
        }
    }
    memcpy(rounds, world->rounds, sizeof rounds);
    uint64_t seen = 0;
    for (uint32_t count = 0; count < ROUNDS_MAX; count++) {
        seen += rounds[count];
        if (rounds[count] > 0) crowd.rounds_max = count;
        if (crowd.rounds_p99 == 0 && seen * 100 >= world->grant_count * 99) {
            crowd.rounds_p99 = count;
        }
    }
    crowd.grants = world->grant_count;
    crowd.scripts = world->script_count;
    return crowd;
}

/* Does always one of them get it, when they try at once? */
static bool does_one_win(struct world *world, uint32_t contenders)
{
    for (uint64_t seed = 1; seed <= 12; seed++) {
        const struct world_options options = { .seed = seed,
                                               .crowd = contenders,
                                               .is_trying = true };
        struct world_result result;
        world_run(world, &options, &result);
        if (!result.is_failed) continue;
        printf("%3u who try, seed %" PRIu64 ": %s\n", contenders, seed, result.what);
        return false;
    }
    printf("%3u who try at once: always one gets it\n", contenders);
    return true;
}

static int run_crowd(void)
{
    struct world *world = calloc(1, sizeof *world);
    if (world == NULL) abort();
    static const uint32_t sizes[] = { 1, 2, 5, 10, 20, 50 };
    uint64_t grants_of_two = 0;
    bool is_good = true;
    for (size_t index = 0; index < sizeof sizes / sizeof sizes[0]; index++) {
        struct crowd crowd = crowd_of(world, sizes[index]);
        if (sizes[index] == 2) grants_of_two = crowd.grants;
        printf(
            "%3u contenders: %6" PRIu64 " grants, rounds p99 %u, most %u, %.1f scripts a grant\n",
            sizes[index],
            crowd.grants,
            crowd.rounds_p99,
            crowd.rounds_max,
            crowd.grants == 0 ? 0.0 : (double)crowd.scripts / (double)crowd.grants);
        is_good = is_good && crowd.grants > 0 && crowd.rounds_p99 <= 4;
        if (sizes[index] >= 2) is_good = is_good && 2 * crowd.grants >= grants_of_two;
    }
    for (uint32_t contenders = 4; contenders <= 16; contenders *= 4) {
        is_good = does_one_win(world, contenders) && is_good;
    }
    world_deinit(world);
    free(world);
    printf("%d passed, %d failed\n", is_good, !is_good);
    return is_good ? 0 : 1;
}

static int run_stories(void)
{
    uint32_t count = 0;
    uint32_t failed = stories_run(&count);
    printf("%u passed, %u failed\n", count - failed, failed);
    return failed == 0 ? 0 : 1;
}

/* ------------------------------------------------------------------ main */

static int usage(FILE *out)
{
    (void)fputs(
        "sim-quorum --seeds 1-1000 | --seconds 60 | --verbose 17 | --crowd | --stories\n"
        "options: --contenders N (with --verbose: a crowd), --jobs N, --tight, --probes (all must "
        "be hit), --first, --quiet\n",
        out);
    return out == stdout ? 0 : 64;
}

static bool parse_number(const char *text, uint64_t *out_number, char end)
{
    char *rest = NULL;
    *out_number = strtoull(text, &rest, 10);
    return rest != text && *rest == end;
}

static bool parse_seeds(const char *value, struct settings *settings)
{
    const char *dash = strchr(value, '-');
    if (!parse_number(value, &settings->first, dash == NULL ? '\0' : '-')) return false;
    settings->last = settings->first;
    return dash == NULL || parse_number(dash + 1, &settings->last, '\0');
}

static bool parse_flag(const char *option, struct settings *settings)
{
    if (strcmp(option, "--probes") == 0) {
        settings->is_probing = true;
    } else if (strcmp(option, "--first") == 0) {
        settings->is_first_only = true;
    } else if (strcmp(option, "--quiet") == 0) {
        settings->is_quiet = true;
    } else if (strcmp(option, "--tight") == 0) {
        settings->is_tight = true;
    } else {
        return false;
    }
    return true;
}

int main(int argc, char **argv)
{
    struct settings settings = { .first = 1, .last = 1000, .jobs = 1 };
    uint64_t verbose = 0;
    uint64_t number = 0;
    for (int index = 1; index < argc; index++) {
        const char *option = argv[index];
        const char *value = index + 1 < argc ? argv[index + 1] : "";
        if (strcmp(option, "--help") == 0) return usage(stdout);
        if (strcmp(option, "--crowd") == 0) return run_crowd();
        if (strcmp(option, "--stories") == 0) return run_stories();
        if (parse_flag(option, &settings)) continue;
        bool is_good = false;
        if (strcmp(option, "--seeds") == 0) {
            is_good = parse_seeds(value, &settings);
        } else if (strcmp(option, "--seconds") == 0) {
            is_good = parse_number(value, &number, '\0');
            settings.seconds = (double)number;
            settings.last = UINT64_MAX - JOB_COUNT_MAX;
        } else if (strcmp(option, "--jobs") == 0) {
            is_good = parse_number(value, &number, '\0') && number >= 1 && number <= JOB_COUNT_MAX;
            settings.jobs = (uint32_t)number;
        } else if (strcmp(option, "--contenders") == 0) {
            is_good = parse_number(value, &number, '\0') && number >= 1 && number <= CLIENT_MAX;
            settings.contenders = (uint32_t)number;
        } else if (strcmp(option, "--verbose") == 0) {
            is_good = parse_number(value, &verbose, '\0') && verbose > 0;
        }
        if (!is_good) return usage(stderr);
        index++;
    }
    return verbose > 0 ? show(&settings, verbose) : run_all(&settings);
}
