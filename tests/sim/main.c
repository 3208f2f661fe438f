/* sim - run worlds from seeds until one breaks, then show the shortest way to
 * break it. */
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "sim/world.h"

#define PART_COUNT_MAX     64u
#define FAILURE_COUNT_MAX  5u
#define SHRINK_RUNS_MAX    3000u
#define TIMELINE_LINES_MAX 120u
#define SEED_SECONDS_MAX   30u

struct settings {
    uint64_t first, last;
    double seconds;
    uint32_t jobs;
    uint32_t step_count;
    bool is_verbose;
    bool is_probing; /* every probe must have been hit */
    bool is_quiet;
    bool is_first_only; /* stop at the first failure */
    bool is_every_call; /* die in each call to the disk in turn */
    const char *only;   /* of the steps, these: "3,17,20" */
};

struct failure {
    uint64_t seed;
    uint64_t hash;
    char what[512];
};

/* What one job has done; shared with the parent. */
struct part {
    uint64_t seed; /* under way */
    uint64_t passed, failed;
    uint64_t command_count, crash_count, refused_count;
    uint64_t probes[PROBE_COUNT];
    struct disk_counts disk;
    struct failure failures[FAILURE_COUNT_MAX];
    bool is_done;
};

static double now_s(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static uint32_t steps_of(const struct settings *settings, uint64_t seed)
{
    if (settings->step_count != 0) return settings->step_count;
    /* Mostly short; now and then a long one, for what needs time to build up. */
    return seed % 50 == 49 ? 800 : 55;
}

static void add_counts(struct disk_counts *to, const struct disk_counts *from)
{
    uint64_t *left = (uint64_t *)to;
    const uint64_t *right = (const uint64_t *)from;
    for (size_t index = 0; index < sizeof *to / sizeof *left; index++) {
        left[index] += right[index];
    }
}

/* The same short life, with a death in its first call to the disk, in its second … until there is
 * no such call. */
static void
run_every_call(struct world *world, struct world_options *options, struct world_result *out_result)
{
    uint64_t crash_count = UINT64_MAX;
    for (uint64_t call = 1; !out_result->is_failed && world->crash_count != crash_count; call++) {
        crash_count = world->crash_count;
        options->crash_call = call;
        alarm(SEED_SECONDS_MAX);
        world_run(world, options, out_result);
        if (!out_result->is_failed) continue;
        printf("seed %" PRIu64 ": the death in call %" PRIu64 " shows it\n", options->seed, call);
    }
}

static void
run_seed(const struct settings *settings, struct world *world, struct part *job, uint64_t seed)
{
    struct world_options options = { .seed = seed, .step_count = steps_of(settings, seed) };
    struct world_result result;
    alarm(SEED_SECONDS_MAX);
    world_run(world, &options, &result);
    if (settings->is_every_call) run_every_call(world, &options, &result);
    add_counts(&job->disk, &world->disk.counts);
    if (!result.is_failed && seed % 100 == 0) {
        uint64_t hash = result.hash;
        world_run(world, &options, &result);
        if (!result.is_failed && result.hash != hash) {
            result.is_failed = true;
            snprintf(result.what, sizeof result.what, "I14: two runs of one seed differ");
        }
    }
    job->refused_count += world->is_refused;
    if (!result.is_failed) {
        job->passed++;
        return;
    }
    if (job->failed < FAILURE_COUNT_MAX) {
        struct failure *failure = &job->failures[job->failed];
        failure->seed = seed;
        failure->hash = result.hash;
        memcpy(failure->what, result.what, sizeof failure->what);
    }
    job->failed++;
}

static void work(const struct settings *settings, struct part *job, uint32_t number)
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
    job->command_count = world->command_count;
    job->crash_count = world->crash_count;
    memcpy(job->probes, world->probes, sizeof job->probes);
    job->is_done = true;
    world_deinit(world);
    free(world);
}

/* ---------------------------------------------------------------- failures */

/* Failures of one kind begin alike, behind the number of the step. */
static bool is_same_failure(const char *left, const char *right)
{
    const char *left_text = strchr(left, ':');
    const char *right_text = strchr(right, ':');
    return left_text != NULL && right_text != NULL && strncmp(left_text, right_text, 12) == 0;
}

static bool
still_fails(const struct settings *settings, const struct failure *failure, const bool *skips)
{
    struct world *world = calloc(1, sizeof *world);
    if (world == NULL) abort();
    struct world_options options = {
        .seed = failure->seed,
        .step_count = steps_of(settings, failure->seed),
        .skips = skips,
    };
    struct world_result result;
    world_run(world, &options, &result);
    world_deinit(world);
    free(world);
    return result.is_failed && is_same_failure(result.what, failure->what);
}

/* Leave out steps as long as it fails in the same way (delta debugging). */
static uint32_t shrink(const struct settings *settings, const struct failure *failure, bool *skips)
{
    uint32_t count = steps_of(settings, failure->seed);
    uint32_t runs = 0;
    uint32_t left = count;
    for (uint32_t size = count / 2; size > 0; size /= 2) {
        for (uint32_t from = 0; from < count && runs < SHRINK_RUNS_MAX; from += size) {
            bool *tried = malloc(count * sizeof *tried);
            if (tried == NULL) abort();
            memcpy(tried, skips, count * sizeof *tried);
            uint32_t removed = 0;
            for (uint32_t index = from; index < from + size && index < count; index++) {
                removed += !tried[index];
                tried[index] = true;
            }
            runs++;
            if (removed > 0 && still_fails(settings, failure, tried)) {
                memcpy(skips, tried, count * sizeof *tried);
                left -= removed;
            }
            free(tried);
        }
    }
    return left;
}

static void print_tail(const char *text)
{
    size_t size = strlen(text);
    uint32_t lines = 0;
    const char *from = text + size;
    while (from > text && lines <= TIMELINE_LINES_MAX) {
        from--;
        if (*from == '\n') lines++;
    }
    if (from > text) printf("…\n");
    fputs(*from == '\n' ? from + 1 : from, stdout);
}

static void show(const struct settings *settings, uint64_t seed, const bool *skips, bool is_whole)
{
    struct world *world = calloc(1, sizeof *world);
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    if (world == NULL || out == NULL) abort();
    struct world_options options = {
        .seed = seed,
        .step_count = steps_of(settings, seed),
        .skips = skips,
        .out = out,
    };
    struct world_result result;
    world_run(world, &options, &result);
    fclose(out);
    if (is_whole) {
        fputs(text, stdout);
    } else {
        print_tail(text);
    }
    free(text);
    world_deinit(world);
    free(world);
}

static void report_failure(const struct settings *settings, const struct failure *failure)
{
    printf(
        "seed %" PRIu64 " FAILED: %s\n  trace hash %016" PRIx64 "; again: sim --verbose %" PRIu64
        "\n",
        failure->seed,
        failure->what,
        failure->hash,
        failure->seed);
    if (settings->is_quiet || strstr(failure->what, "I14") != NULL) return;
    fflush(stdout);
    bool *skips = calloc(steps_of(settings, failure->seed), sizeof *skips);
    if (skips == NULL) abort();
    uint32_t left = shrink(settings, failure, skips);
    printf(
        "the shortest way found, %u steps; again: sim --verbose %" PRIu64 " --only ",
        left,
        failure->seed);
    const char *comma = "";
    for (uint32_t index = 0; index < steps_of(settings, failure->seed); index++) {
        if (skips[index]) continue;
        printf("%s%u", comma, index);
        comma = ",";
    }
    puts(left == 0 ? "none" : "");
    show(settings, failure->seed, skips, false);
    free(skips);
}

/* --------------------------------------------------------------------- main */

static uint32_t print_probes(const uint64_t probes[PROBE_COUNT], const struct settings *settings)
{
    uint32_t missed = 0;
    for (uint32_t probe = 0; probe < PROBE_COUNT; probe++) {
        if (!settings->is_quiet) {
            printf(
                "  %-42s %12" PRIu64 "%s\n",
                probe_texts[probe],
                probes[probe],
                probes[probe] == 0 ? "   <- never" : "");
        }
        missed += probes[probe] == 0;
    }
    return missed;
}

static void print_disk(const struct disk_counts *disk)
{
    printf(
        "faults: %" PRIu64 " interrupts, %" PRIu64 " short reads, %" PRIu64
        " short writes, %" PRIu64 " read and %" PRIu64 " write errors,\n",
        disk->interrupts,
        disk->short_reads,
        disk->short_writes,
        disk->read_errors,
        disk->write_errors);
    printf(
        "  failed syncs: %" PRIu64 " cache kept, %" PRIu64 " reverted, %" PRIu64
        " of directories; %" PRIu64 " other errors, %" PRIu64 " no space, %" PRIu64 " flips\n",
        disk->sync_errors_kept,
        disk->sync_errors_reverted,
        disk->sync_dir_errors,
        disk->other_errors,
        disk->no_space,
        disk->flips);
    printf(
        "  crashes in calls: %" PRIu64 " before, %" PRIu64 " within, %" PRIu64
        " after; sectors: %" PRIu64 " kept, %" PRIu64 " dropped, %" PRIu64 " torn, %" PRIu64
        " zeroed;\n",
        disk->crashes_before,
        disk->crashes_in,
        disk->crashes_after,
        disk->sectors_kept,
        disk->sectors_dropped,
        disk->sectors_torn,
        disk->sectors_zeroed);
    printf(
        "  names: %" PRIu64 " kept, %" PRIu64 " lost; %" PRIu64 " sizes lost\n",
        disk->names_kept,
        disk->names_dropped,
        disk->sizes_lost);
}

static void wait_for_jobs(const pid_t *children, struct part *jobs, uint32_t count)
{
    for (uint32_t index = 0; index < count; index++) {
        int status = 0;
        if (waitpid(children[index], &status, 0) < 0 || jobs[index].is_done) continue;
        struct part *job = &jobs[index];
        uint32_t at = job->failed < FAILURE_COUNT_MAX ? (uint32_t)job->failed : 0;
        job->failures[at].seed = job->seed;
        snprintf(
            job->failures[at].what,
            sizeof job->failures[at].what,
            "died: signal %d",
            WIFSIGNALED(status) ? WTERMSIG(status) : 0);
        job->failed++;
    }
}

static int run_all(const struct settings *settings)
{
    struct part *jobs = mmap(
        NULL,
        sizeof(struct part) * PART_COUNT_MAX,
        PROT_READ | PROT_WRITE,
        MAP_SHARED | MAP_ANONYMOUS,
        -1,
        0);
    if (jobs == MAP_FAILED) abort();
    pid_t children[PART_COUNT_MAX];
    double start_s = now_s();
    for (uint32_t index = 0; index < settings->jobs; index++) {
        children[index] = fork();
        if (children[index] < 0) abort();
        if (children[index] == 0) {
            work(settings, &jobs[index], index);
            _exit(0);
        }
    }
    wait_for_jobs(children, jobs, settings->jobs);
    double elapsed_s = now_s() - start_s;

    struct part sum = { 0 };
    const struct failure *first = NULL;
    for (uint32_t index = 0; index < settings->jobs; index++) {
        const struct part *job = &jobs[index];
        sum.passed += job->passed;
        sum.failed += job->failed;
        sum.command_count += job->command_count;
        sum.crash_count += job->crash_count;
        sum.refused_count += job->refused_count;
        add_counts(&sum.disk, &job->disk);
        for (uint32_t probe = 0; probe < PROBE_COUNT; probe++) {
            sum.probes[probe] += job->probes[probe];
        }
        for (uint64_t at = 0; at < job->failed && at < FAILURE_COUNT_MAX; at++) {
            const struct failure *failure = &job->failures[at];
            if (first == NULL || failure->seed < first->seed) first = failure;
            printf("seed %" PRIu64 ": %s\n", failure->seed, failure->what);
        }
    }
    double seeds = (double)(sum.passed + sum.failed);
    printf(
        "%.0f seeds in %.1f s: %.0f a second a core; %" PRIu64 " commands, %" PRIu64
        " crashes, %" PRIu64 " starts refused for damage\n",
        seeds,
        elapsed_s,
        seeds / elapsed_s / settings->jobs,
        sum.command_count,
        sum.crash_count,
        sum.refused_count);
    if (!settings->is_quiet) print_disk(&sum.disk);
    uint32_t missed = print_probes(sum.probes, settings);
    if (first != NULL && strstr(first->what, "died") == NULL) report_failure(settings, first);
    if (first != NULL && strstr(first->what, "died") != NULL) {
        printf("seed %" PRIu64 " %s\n", first->seed, first->what);
    }
    bool is_missing = settings->is_probing && missed > 0 && sum.failed == 0;
    if (is_missing) printf("%u probes were never hit\n", missed);
    printf("%" PRIu64 " passed, %" PRIu64 " failed\n", sum.passed, sum.failed + is_missing);
    return sum.failed > 0 || is_missing ? 1 : 0;
}

static int usage(FILE *out)
{
    fputs(
        "sim --seeds 1-1000             run these seeds\n"
        "sim --seconds 60 --jobs 2      as many as fit\n"
        "sim --verbose 17               show one seed as a timeline\n"
        "options: --steps N (of one seed), --only 3,17 (of its steps), "
        "--probes (all must be hit), "
        "--quiet,\n"
        "--every-call (each seed once more for each call to the disk, which is its last)\n",
        out);
    return out == stdout ? 0 : 64;
}

static bool parse_number(const char *text, uint64_t *out_number, char end)
{
    char *rest = NULL;
    *out_number = strtoull(text, &rest, 10);
    return rest != text && *rest == end;
}

/* The steps that are not in the list; NULL without a list. */
static bool *parse_only(const struct settings *settings, uint32_t count)
{
    if (settings->only == NULL) return NULL;
    bool *skips = malloc(count * sizeof *skips);
    if (skips == NULL) abort();
    memset(skips, true, count * sizeof *skips);
    for (const char *text = settings->only; *text >= '0' && *text <= '9';) {
        char *rest = NULL;
        unsigned long index = strtoul(text, &rest, 10);
        if (index < count) skips[index] = false;
        text = *rest == ',' ? rest + 1 : rest;
    }
    return skips;
}

int main(int argc, char **argv)
{
    struct settings settings = { .first = 1, .last = UINT64_MAX - PART_COUNT_MAX, .jobs = 1 };
    uint64_t seed = 0;
    bool is_bounded = false;
    for (int index = 1; index < argc; index++) {
        const char *option = argv[index];
        const char *value = index + 1 < argc ? argv[index + 1] : "";
        uint64_t number = 0;
        const char *dash = strchr(value, '-');
        if (strcmp(option, "--help") == 0) return usage(stdout);
        if (strcmp(option, "--probes") == 0) {
            settings.is_probing = true;
            continue;
        }
        if (strcmp(option, "--first") == 0) {
            settings.is_first_only = true;
            continue;
        }
        if (strcmp(option, "--every-call") == 0) {
            settings.is_every_call = true;
            continue;
        }
        if (strcmp(option, "--quiet") == 0) {
            settings.is_quiet = true;
            continue;
        }
        bool is_good = true;
        if (strcmp(option, "--seeds") == 0) {
            is_good = parse_number(value, &settings.first, dash == NULL ? '\0' : '-');
            settings.last = settings.first;
            if (dash != NULL) is_good = is_good && parse_number(dash + 1, &settings.last, '\0');
            is_bounded = true;
        } else if (strcmp(option, "--seconds") == 0) {
            is_good = parse_number(value, &number, '\0');
            settings.seconds = (double)number;
            is_bounded = true;
        } else if (strcmp(option, "--jobs") == 0) {
            is_good = parse_number(value, &number, '\0') && number >= 1 && number <= PART_COUNT_MAX;
            settings.jobs = (uint32_t)number;
        } else if (strcmp(option, "--steps") == 0) {
            is_good = parse_number(value, &number, '\0');
            settings.step_count = (uint32_t)number;
        } else if (strcmp(option, "--only") == 0) {
            settings.only = value;
        } else if (strcmp(option, "--verbose") == 0) {
            is_good = parse_number(value, &seed, '\0');
            settings.is_verbose = true;
        } else {
            is_good = false;
        }
        if (!is_good) return usage(stderr);
        index++;
    }
    if (settings.is_verbose) {
        bool *skips = parse_only(&settings, steps_of(&settings, seed));
        show(&settings, seed, skips, true);
        free(skips);
        return 0;
    }
    if (!is_bounded) settings.last = 1000;
    return run_all(&settings);
}
