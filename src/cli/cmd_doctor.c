/* doctor - go the whole way that every command goes, and say where it ends.
 *
 * Each check prints one line: ok, warn or fail, what was found, and what to do about it.  What can
 * only be known behind a failed check is left out. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>

#include "cli/connect.h"
#include "cli/doctor.h"
#include "cli/meta.h"

#define ROUND_TRIP_US_FINE  50000u
#define SAMPLE_MS           400
#define RATE_PPM_FINE       1000 /* a tenth of what the library allows for */
#define STEP_US_FINE        100000
#define SKEW_US_FINE        INT64_C(2000000)
#define GRANT_US_FINE       100000
#define DISK_BYTES_FINE     (UINT64_C(256) << 20)
#define CONNECTIONS_DIVISOR 10 /* so much of the connections should be free */
#define NS_PER_S            INT64_C(1000000000)
#define PPM                 1000000

static const struct option_spec specs[] = {
    OPTIONS_JSON,
    OPTIONS_STORE,
    { .id = 0 },
};

static const char *const usages[] = {
    "[--json]",
    NULL,
};

static const char *const examples[] = {
    "tenure doctor",
    "is the store there, is it ours to use, are the clocks sound, is its disk?",
    NULL,
};

static const char notes[] =
    "It takes the lock tenure-doctor/USER@HOST:PID#… for a moment, and gives it back.\n"
    "Exit codes: 0 nothing failed (there may be warnings), 1 something did.\n";

/* ------------------------------------------------------------------ the way to the store */

static bool check_url(struct doctor *doctor)
{
    const struct store_options *store = &doctor->arguments->store;
    struct tenure_client_options options = {
        .size = sizeof(options),
        .url = store->url,
        .timeout_ms = store->timeout_ms,
    };
    struct tenure_error error = { .code = TENURE_OK };
    const char *variable = getenv("TENURE_URL");
    const char *source = variable == NULL ? "the default; set TENURE_URL or --url" : "TENURE_URL";
    if (store->url != NULL) source = "--url";
    char url[2048];
    bool is_good = tenure_client_open(&options, &doctor->client, &error) == TENURE_OK;
    if (is_good && tenure_client_url(doctor->client, url, sizeof(url)) == TENURE_OK) {
        doctor_say(doctor, VERDICT_OK, "url", "%s (%s)", url, source);
        return true;
    }
    doctor_say(doctor, VERDICT_FAIL, "url", "%s (%s)", error.text, source);
    return false;
}

static bool check_connection(struct doctor *doctor, struct tenure_server_info *out_info)
{
    struct tenure_error error = { .code = TENURE_OK };
    enum tenure_err err = tenure_server_info(doctor->client, out_info, &error);
    if (err != TENURE_OK) {
        const char *text = error.text[0] != '\0' ? error.text : tenure_err_text(err);
        doctor_say(
            doctor,
            VERDICT_FAIL,
            "connection",
            "%s; start the server there, or correct the URL",
            text);
        return false;
    }
    char span[OUT_SPAN_SIZE];
    const char *up_for = out_span((int64_t)(out_info->uptime_us / 1000), span);
    bool is_one = out_info->node_count == 0;
    if (is_one) {
        doctor_say(
            doctor, VERDICT_OK, "connection", "node %s, up for %s", out_info->node_id, up_for);
    } else {
        doctor_say(doctor, VERDICT_OK, "connection", "the store answers");
    }
    return true;
}

/* The first question opens the connection too; the second is the one that counts. */
static void check_round_trip(struct doctor *doctor)
{
    struct tenure_server_info info;
    if (tenure_server_info(doctor->client, &info, NULL) != TENURE_OK) {
        doctor_say(
            doctor, VERDICT_FAIL, "round trip", "the store has answered once, and now does not");
        return;
    }
    if (info.round_trip_us <= ROUND_TRIP_US_FINE) {
        doctor_say(doctor, VERDICT_OK, "round trip", "%" PRIu64 " us", info.round_trip_us);
        return;
    }
    doctor_say(
        doctor,
        VERDICT_WARN,
        "round trip",
        "%" PRIu64 " ms; use a --ttl of several seconds, or a store that is nearer",
        info.round_trip_us / 1000);
}

static void check_version(struct doctor *doctor, const struct tenure_server_info *info)
{
    /* Before 1.0, the minor version tells what goes together. */
    const char *ours = TENURE_VERSION;
    size_t size = strcspn(ours, ".") + 1;
    size += strcspn(ours + size, ".");
    bool is_same = strncmp(info->version, ours, size) == 0;
    const char *advice = is_same ? "" : "; use the same minor version on both sides";
    doctor_say(
        doctor,
        is_same ? VERDICT_OK : VERDICT_WARN,
        "version",
        "server %s, tenure %s%s",
        info->version,
        ours,
        advice);
}

/* ------------------------------------------------------------------ what the server knows */

static const char *describe_size(uint64_t size, char text[32])
{
    static const char *const units[] = { "B", "kB", "MB", "GB", "TB", "PB", "EB" };
    unsigned unit = 0;
    uint64_t tenths = size * 10 < size ? size : size * 10;
    while (tenths >= 10000) {
        tenths /= 1000;
        unit++;
    }
    (void)snprintf(text, 32, "%" PRIu64 ".%" PRIu64 " %s", tenths / 10, tenths % 10, units[unit]);
    return text;
}

static void check_disk(struct doctor *doctor, const struct tenure_server_info *info)
{
    char free_text[32];
    char used_text[32];
    const char *left = describe_size(info->disk_free_bytes, free_text);
    const char *used = describe_size(info->journal_bytes, used_text);
    bool is_low = info->disk_free_bytes < DISK_BYTES_FINE;
    if (info->is_disk_full) {
        doctor_say(
            doctor,
            VERDICT_FAIL,
            "disk space",
            "the server's disk is full, nothing is granted: make room; the journal has %s",
            used);
    } else if (info->disk_free_bytes > 0) {
        doctor_say(
            doctor,
            is_low ? VERDICT_WARN : VERDICT_OK,
            "disk space",
            "%s are free, the journal has %s%s",
            left,
            used,
            is_low ? ": make room on the server's disk, a full one grants nothing" : "");
    }
    if (info->is_disk_slow) {
        doctor_say(
            doctor,
            VERDICT_FAIL,
            "disk answers",
            "the server's disk does not answer, nothing is granted until it does");
    }
    if (info->damaged_file_count > 0) {
        doctor_say(
            doctor,
            VERDICT_WARN,
            "journal",
            "%" PRIu64 " damaged files were found; look at the server's log, mistrust its disk",
            info->damaged_file_count);
    }
}

static void check_load(struct doctor *doctor, const struct tenure_server_info *info)
{
    char span[OUT_SPAN_SIZE];
    uint64_t most = info->connection_count_max;
    bool is_crowded = info->connection_count > most - most / CONNECTIONS_DIVISOR;
    if (most > 0) {
        doctor_say(
            doctor,
            is_crowded ? VERDICT_WARN : VERDICT_OK,
            "connections",
            "%" PRIu64 " of %" PRIu64 "%s",
            info->connection_count,
            most,
            is_crowded ? ": raise --max-connections before the next one is refused" : "");
    }
    if (info->stall_count == 0) {
        doctor_say(doctor, VERDICT_OK, "stalls", "the server never stood still");
        return;
    }
    doctor_say(
        doctor,
        VERDICT_WARN,
        "stalls",
        "the server stood still %" PRIu64 " times, for %s in all: its machine is overloaded",
        info->stall_count,
        out_span((int64_t)info->stalled_ms, span));
}

/* ------------------------------------------------------------------ clocks */

static int64_t read_ns(clockid_t id)
{
    struct timespec now;
    (void)clock_gettime(id, &now);
    return (int64_t)now.tv_sec * NS_PER_S + now.tv_nsec;
}

/* The clocks at one moment.  Between `boot_ns` and `boot_end_ns` the store has read its own. */
struct sample {
    int64_t boot_ns;
    int64_t boot_end_ns;
    int64_t raw_ns;
    int64_t wall_ns;
    int64_t store_us; /* -1: it does not answer */
};

static struct sample take_sample(struct doctor *doctor, bool is_connected)
{
    struct tenure_server_info info;
    struct sample sample = { .store_us = -1 };
    sample.wall_ns = read_ns(CLOCK_REALTIME);
    sample.raw_ns = read_ns(CLOCK_MONOTONIC_RAW);
    sample.boot_ns = read_ns(CLOCK_BOOTTIME);
    if (is_connected && tenure_server_info(doctor->client, &info, NULL) == TENURE_OK) {
        sample.store_us = (int64_t)info.uptime_us;
    }
    sample.boot_end_ns = read_ns(CLOCK_BOOTTIME);
    return sample;
}

/* Leases are safe as long as the clocks of client and store run at nearly the same rate. */
static void
check_rates(struct doctor *doctor, const struct sample *before, const struct sample *after)
{
    if (before->store_us < 0 || after->store_us <= before->store_us) return;
    /* Each reading is in the middle of its question, give or take half of it. */
    int64_t doubt_ns =
        (before->boot_end_ns - before->boot_ns + after->boot_end_ns - after->boot_ns) / 2;
    int64_t took_ns =
        (after->boot_ns + after->boot_end_ns - before->boot_ns - before->boot_end_ns) / 2;
    int64_t store_took_ns = (after->store_us - before->store_us) * 1000;
    int64_t rate_ppm = (store_took_ns - took_ns) * PPM / took_ns;
    int64_t doubt_ppm = doubt_ns * PPM / took_ns + 1;
    bool is_fine = llabs(rate_ppm) <= RATE_PPM_FINE + doubt_ppm;
    doctor_say(
        doctor,
        is_fine ? VERDICT_OK : VERDICT_WARN,
        "clock rates",
        "the store's and this one's differ by %" PRId64 " ppm, give or take %" PRId64 "%s",
        rate_ppm,
        doubt_ppm,
        is_fine ? "" : "; leases allow for 10000: look at the time service of both");
}

/* Leases are counted on CLOCK_BOOTTIME, whose rate the system corrects.  Beside it runs the clock
 * that nobody corrects; and the wall clock must not jump. */
static void check_clocks(struct doctor *doctor, bool is_connected)
{
    struct sample before = take_sample(doctor, is_connected);
    struct timespec pause = { .tv_nsec = SAMPLE_MS * 1000000L };
    (void)nanosleep(&pause, NULL);
    struct sample after = take_sample(doctor, is_connected);
    int64_t boot_took_ns = after.boot_ns - before.boot_ns;
    int64_t raw_took_ns = after.raw_ns - before.raw_ns;
    int64_t rate_ppm =
        raw_took_ns == 0 ? INT64_MAX / 2 : (boot_took_ns - raw_took_ns) * PPM / raw_took_ns;
    bool is_steady = llabs(rate_ppm) <= RATE_PPM_FINE;
    doctor_say(
        doctor,
        is_steady ? VERDICT_OK : VERDICT_WARN,
        "clock rate",
        "corrected by %" PRId64 " ppm%s",
        rate_ppm,
        is_steady ? "" : "; leases allow for 10000: look at the time service of this host");
    int64_t step_us = (after.wall_ns - before.wall_ns - boot_took_ns) / 1000;
    bool is_stepped = llabs(step_us) > STEP_US_FINE;
    doctor_say(
        doctor,
        is_stepped ? VERDICT_WARN : VERDICT_OK,
        "clock step",
        is_stepped ? "the wall clock jumped by %" PRId64 " ms: times that you read are off"
                   : "none; the wall clock moved by %" PRId64 " ms against the other",
        step_us / 1000);
    check_rates(doctor, &before, &after);
}

/* ------------------------------------------------------------------ permission, disk */

struct probe {
    int64_t acquired_at_us;
};

static void on_view(const struct tenure_lock_view *view, void *user)
{
    struct probe *probe = user;
    if (view->holder_count > 0) probe->acquired_at_us = view->holders[0].acquired_at_us;
}

/* Of the store, by the time that it wrote on our grant. */
static void check_skew(struct doctor *doctor, const char *name)
{
    struct probe probe = { .acquired_at_us = 0 };
    enum tenure_err err = tenure_inspect(doctor->client, name, on_view, &probe, NULL);
    if (err != TENURE_OK || probe.acquired_at_us == 0) return;
    int64_t skew_us = out_now_us() - probe.acquired_at_us;
    bool is_fine = llabs(skew_us) <= SKEW_US_FINE;
    doctor_say(
        doctor,
        is_fine ? VERDICT_OK : VERDICT_WARN,
        "wall clocks",
        "this one is %" PRId64 " ms from the store's%s",
        skew_us / 1000,
        is_fine ? "" : ": locks are safe, but the times that you read are off");
}

static void complain_grant(struct doctor *doctor, enum tenure_err err, const char *text)
{
    if (err == TENURE_NO_SPACE) {
        doctor_say(doctor, VERDICT_FAIL, "disk", "%s: make room on the server's disk", text);
    } else if (err == TENURE_IO || err == TENURE_CORRUPT) {
        doctor_say(doctor, VERDICT_FAIL, "disk", "%s: look at the server's log", text);
    } else if (err == TENURE_DENIED) {
        doctor_say(doctor, VERDICT_FAIL, "permission", "%s: ask for the right to acquire", text);
    } else {
        doctor_say(doctor, VERDICT_FAIL, "acquire", "%s", text);
    }
}

/* A real grant goes to the store's disk before it is answered. */
static void check_grant(struct doctor *doctor, bool is_one)
{
    char owner[OWNER_SIZE];
    char name_text[OWNER_SIZE + 32];
    owner_compose(owner);
    (void)snprintf(name_text, sizeof(name_text), "tenure-doctor/%.200s", owner);
    const char *name = name_text;
    struct tenure_lock_options options = {
        .size = sizeof(options),
        .names = &name,
        .name_count = 1,
        .owner = owner,
    };
    struct tenure_hold hold;
    struct tenure_error error = { .code = TENURE_OK };
    int64_t begun_ns = read_ns(CLOCK_MONOTONIC);
    enum tenure_err err = tenure_lock(doctor->client, &options, &hold, NULL, &error);
    int64_t took_us = (read_ns(CLOCK_MONOTONIC) - begun_ns) / 1000;
    if (err != TENURE_OK) {
        complain_grant(doctor, err, error.text[0] != '\0' ? error.text : tenure_err_text(err));
        return;
    }
    doctor_say(doctor, VERDICT_OK, "permission", "may acquire and release");
    bool is_slow = took_us > GRANT_US_FINE;
    const char *advice = is_one ? ": each grant waits for the server's disk, look at its load"
                                : ": look at the servers above, then at the load of their disks";
    doctor_say(
        doctor,
        is_slow ? VERDICT_WARN : VERDICT_OK,
        is_one ? "disk" : "grant",
        "a grant was written and answered in %" PRId64 " us%s",
        took_us,
        is_slow ? advice : "");
    check_skew(doctor, name);
    struct tenure_release release = { .end = TENURE_END_UNKNOWN };
    err = tenure_hold_release(hold, &release);
    if (err == TENURE_OK && release.end == TENURE_END_RELEASED) return;
    const char *text = err == TENURE_OK ? tenure_end_name(release.end) : tenure_err_text(err);
    doctor_say(doctor, VERDICT_FAIL, "release", "%s", text);
}

static int run(const struct command *command, int argc, char **argv)
{
    struct arguments arguments;
    arguments_init(&arguments, command, argc, argv);
    int id = arguments_next(&arguments);
    int code;
    if (!arguments_end(&arguments, id, 0, 0, "", &code)) return code;
    struct doctor doctor = { .arguments = &arguments };
    struct tenure_server_info info = { .version = "" };
    bool is_connected = check_url(&doctor) && check_connection(&doctor, &info);
    if (is_connected) {
        check_round_trip(&doctor);
        if (info.node_count == 0) check_version(&doctor, &info);
        doctor_check_nodes(&doctor);
        doctor_check_safety(&doctor, info.safety);
        if (info.node_count == 0) check_disk(&doctor, &info);
        if (info.node_count == 0) check_load(&doctor, &info);
    }
    check_clocks(&doctor, is_connected);
    if (is_connected) check_grant(&doctor, info.node_count == 0);
    tenure_client_close(doctor.client);
    return doctor.has_failed ? EXIT_FAILURE : EX_OK;
}

const struct command command_doctor = {
    .name = "doctor",
    .summary = "check the way to the store, clocks, rights",
    .usages = usages,
    .examples = examples,
    .options = specs,
    .notes = notes,
    .run = run,
};
