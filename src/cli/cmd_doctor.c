/* doctor - go the whole way that every command goes, and say where it ends.
 *
 * Each check prints one line: ok, warn or fail, what was found, and what to do about it.  What can
 * only be known behind a failed check is left out. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>

#include "cli/arguments.h"
#include "cli/connect.h"
#include "cli/meta.h"
#include "cli/out.h"

#define ROUND_TRIP_US_FINE 50000u
#define SAMPLE_MS          250
#define RATE_PPM_FINE      1000 /* a tenth of what the library allows for */
#define STEP_US_FINE       100000
#define SKEW_US_FINE       INT64_C(2000000)
#define PROBE_TTL_MS       5000u
#define TEXT_SIZE          512u
#define NS_PER_S           INT64_C(1000000000)

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

enum verdict { VERDICT_OK, VERDICT_WARN, VERDICT_FAIL };

struct doctor {
    const struct arguments *arguments;
    struct tenure_client client;
    bool has_failed;
};

__attribute__((format(printf, 4, 5))) static void
say(struct doctor *doctor, enum verdict verdict, const char *check, const char *format, ...)
{
    static const char *const words[] = { "ok", "warn", "fail" };
    static const enum out_colour colours[] = { OUT_GREEN, OUT_YELLOW, OUT_RED };
    char raw[TEXT_SIZE];
    char buffer[TEXT_SIZE];
    struct text text;
    va_list list;
    va_start(list, format);
    (void)vsnprintf(raw, sizeof(raw), format, list);
    va_end(list);
    text_init(&text, buffer, sizeof(buffer));
    text_add_visible(&text, raw);
    if (verdict == VERDICT_FAIL) doctor->has_failed = true;
    if (!doctor->arguments->is_json) {
        const char *word = words[verdict];
        (void)printf("%s%-5s%s", out_begin(colours[verdict]), word, out_end());
        (void)printf("%-12s%s\n", check, buffer);
        (void)fflush(stdout);
        return;
    }
    struct json json = { .is_inside = false };
    json_open(&json, '{');
    json_string(&json, "check", check);
    json_string(&json, "verdict", words[verdict]);
    json_string(&json, "text", buffer);
    json_close(&json, '}');
    json_end();
}

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
    char url[256];
    bool is_good = tenure_client_open(&options, &doctor->client, &error) == TENURE_OK;
    if (is_good && tenure_client_url(doctor->client, url, sizeof(url)) == TENURE_OK) {
        say(doctor, VERDICT_OK, "url", "%s (%s)", url, source);
        return true;
    }
    say(doctor, VERDICT_FAIL, "url", "%s (%s)", error.text, source);
    return false;
}

static bool check_connection(struct doctor *doctor, struct tenure_server_info *out_info)
{
    struct tenure_error error = { .code = TENURE_OK };
    enum tenure_err err = tenure_server_info(doctor->client, out_info, &error);
    if (err != TENURE_OK) {
        const char *text = error.text[0] != '\0' ? error.text : tenure_err_text(err);
        say(doctor,
            VERDICT_FAIL,
            "connection",
            "%s; start tenured there, or correct the URL",
            text);
        return false;
    }
    char span[OUT_SPAN_SIZE];
    const char *up_for = out_span((int64_t)out_info->uptime_ms, span);
    say(doctor, VERDICT_OK, "connection", "node %s, up for %s", out_info->node_id, up_for);
    return true;
}

/* The first question opens the connection too; the second is the one that counts. */
static void check_round_trip(struct doctor *doctor)
{
    struct tenure_server_info info;
    if (tenure_server_info(doctor->client, &info, NULL) != TENURE_OK) {
        say(doctor, VERDICT_FAIL, "round trip", "the store has answered once, and now does not");
        return;
    }
    if (info.round_trip_us <= ROUND_TRIP_US_FINE) {
        say(doctor, VERDICT_OK, "round trip", "%" PRIu64 " us", info.round_trip_us);
        return;
    }
    say(doctor,
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
    say(doctor,
        is_same ? VERDICT_OK : VERDICT_WARN,
        "version",
        "server %s, tenure %s%s",
        info->version,
        ours,
        advice);
}

static void check_safety(struct doctor *doctor, const struct tenure_server_info *info)
{
    const char *name = tenure_safety_name(info->safety);
    if (info->safety >= TENURE_SAFETY_DURABLE_SINGLE) {
        say(doctor, VERDICT_OK, "safety", "%s: what is granted survives a crash", name);
        return;
    }
    say(doctor,
        VERDICT_WARN,
        "safety",
        "%s: a crash may grant a lock twice; check tokens in what you write to",
        name);
}

/* ------------------------------------------------------------------ clocks */

static int64_t read_ns(clockid_t id)
{
    struct timespec now;
    (void)clock_gettime(id, &now);
    return (int64_t)now.tv_sec * NS_PER_S + now.tv_nsec;
}

/* Leases are counted on CLOCK_BOOTTIME, whose rate the system corrects.  Beside it runs the clock
 * that nobody corrects; and the wall clock must not jump. */
static void check_clocks(struct doctor *doctor)
{
    int64_t boot_ns = read_ns(CLOCK_BOOTTIME);
    int64_t raw_ns = read_ns(CLOCK_MONOTONIC_RAW);
    int64_t wall_ns = read_ns(CLOCK_REALTIME);
    struct timespec pause = { .tv_nsec = SAMPLE_MS * 1000000L };
    (void)nanosleep(&pause, NULL);
    int64_t boot_took_ns = read_ns(CLOCK_BOOTTIME) - boot_ns;
    int64_t raw_took_ns = read_ns(CLOCK_MONOTONIC_RAW) - raw_ns;
    int64_t wall_took_ns = read_ns(CLOCK_REALTIME) - wall_ns;
    int64_t rate_ppm =
        raw_took_ns == 0 ? INT64_MAX / 2 : (boot_took_ns - raw_took_ns) * 1000000 / raw_took_ns;
    bool is_steady = llabs(rate_ppm) <= RATE_PPM_FINE;
    say(doctor,
        is_steady ? VERDICT_OK : VERDICT_WARN,
        "clock rate",
        "corrected by %" PRId64 " ppm%s",
        rate_ppm,
        is_steady ? "" : "; leases allow for 10000: look at the time service of this host");
    int64_t step_us = (wall_took_ns - boot_took_ns) / 1000;
    bool is_stepped = llabs(step_us) > STEP_US_FINE;
    say(doctor,
        is_stepped ? VERDICT_WARN : VERDICT_OK,
        "clock step",
        is_stepped ? "the wall clock jumped by %" PRId64 " ms: times that you read are off"
                   : "none; the wall clock moved by %" PRId64 " ms against the other",
        step_us / 1000);
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
    say(doctor,
        is_fine ? VERDICT_OK : VERDICT_WARN,
        "wall clocks",
        "this one is %" PRId64 " ms from the store's%s",
        skew_us / 1000,
        is_fine ? "" : ": locks are safe, but the times that you read are off");
}

static void complain_grant(struct doctor *doctor, enum tenure_err err, const char *text)
{
    if (err == TENURE_NO_SPACE) {
        say(doctor, VERDICT_FAIL, "disk", "%s: make room on the server's disk", text);
    } else if (err == TENURE_IO || err == TENURE_CORRUPT) {
        say(doctor, VERDICT_FAIL, "disk", "%s: look at the server's log", text);
    } else if (err == TENURE_DENIED) {
        say(doctor, VERDICT_FAIL, "permission", "%s: ask for the right to acquire", text);
    } else {
        say(doctor, VERDICT_FAIL, "acquire", "%s", text);
    }
}

/* A real grant goes to the store's disk before it is answered. */
static void check_grant(struct doctor *doctor)
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
        .ttl_ms = PROBE_TTL_MS,
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
    say(doctor, VERDICT_OK, "permission", "may acquire and release");
    say(doctor, VERDICT_OK, "disk", "a grant was written and answered in %" PRId64 " us", took_us);
    check_skew(doctor, name);
    enum tenure_end end = TENURE_END_UNKNOWN;
    err = tenure_hold_release(hold, &end, NULL);
    if (err == TENURE_OK && end == TENURE_END_RELEASED) return;
    const char *text = err == TENURE_OK ? tenure_end_name(end) : tenure_err_text(err);
    say(doctor, VERDICT_FAIL, "release", "%s", text);
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
        check_version(&doctor, &info);
        check_safety(&doctor, &info);
    }
    check_clocks(&doctor);
    if (is_connected) check_grant(&doctor);
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
