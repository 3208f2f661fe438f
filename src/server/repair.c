#include "server/repair.h"

#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#include "base/list.h"
#include "journal/name.h"
#include "journal/salvage.h"
#include "server/restore.h"

struct repair {
    struct restore restore; /* an engine is what knows whether records make sense */
    const struct config *config;
};

/* ------------------------------------------------------------------ the judge */

static enum tenure_err begin(void *user, struct tenure_error *out_error)
{
    struct restore *restore = user;
    const struct config *config = CONTAINER_OF(restore, struct repair, restore)->config;
    engine_destroy(&restore->engine);
    *restore = (struct restore){ .engine = restore_engine(config) };
    if (restore->engine != NULL) return TENURE_OK;
    *out_error = (struct tenure_error){ .code = TENURE_NO_MEMORY, .text = "not enough memory" };
    return TENURE_NO_MEMORY;
}

static enum tenure_err end_snapshot(void *user, struct tenure_error *out_error)
{
    return restore_snapshot_end(user, out_error);
}

/* ------------------------------------------------------------------ what is said */

static void print_file(void *user, const char *name)
{
    (void)user;
    (void)printf("  %s\n", name);
}

static void print_kept(const struct journal_salvage_report *report, const char *verb)
{
    if (report->seq_kept.value == 0) {
        (void)printf("%s: nothing; no sound snapshot and no first segment is there\n", verb);
        return;
    }
    (void)printf("%s: the state after event %" PRIu64, verb, report->seq_kept.value);
    if (report->snapshot_seq.value > 0) {
        (void)printf(
            ", from snapshot-%016" PRIx64 " at event %" PRIu64,
            report->snapshot_seq.value,
            report->snapshot_seq.value);
    }
    if (report->segment_count > 0) {
        (void)printf(
            "%s %" PRIu64 " segment%s",
            report->snapshot_seq.value > 0 ? " and" : ", from",
            report->segment_count,
            report->segment_count == 1 ? "" : "s");
    }
    if (report->cut_number > 0) {
        (void)printf(
            ", up to offset %" PRIu64 " of %s",
            report->cut_offset,
            journal_segment_name(report->cut_number).text);
    }
    (void)printf("\n");
}

static void print_lost(const struct journal_salvage_report *report, const char *verb)
{
    if (report->seq_known.value <= report->seq_kept.value) {
        (void)printf("%s: no event that has left a trace\n", verb);
        return;
    }
    (void)printf(
        "%s: events %" PRIu64 " to %" PRIu64 " at least, of which %" PRIu64
        " batch%s can still be seen\n",
        verb,
        report->seq_kept.value + 1,
        report->seq_known.value,
        report->batch_count,
        report->batch_count == 1 ? "" : "es");
}

static void print_damage(const char *path, const char *damage)
{
    const char *rest = strstr(damage, "; nothing was changed");
    int size = rest == NULL ? (int)strlen(damage) : (int)(rest - damage);
    (void)printf("%s: %.*s\n", path, size, damage);
}

static int tell_error(enum tenure_err err, const struct tenure_error *error)
{
    (void)fprintf(stderr, "tenured: %s\n", error->text);
    return restore_exit_code(err);
}

/* ------------------------------------------------------------------ what is done */

/* What is made here must belong to whom the rest belongs, or the server cannot read it. */
static bool is_owner(const char *path)
{
    char identity[4200];
    (void)snprintf(identity, sizeof(identity), "%s/identity", path);
    struct stat status;
    return stat(identity, &status) != 0 || status.st_uid == geteuid();
}

static int accept_loss(const char *path, struct journal_salvage *salvage)
{
    if (!is_owner(path)) {
        (void)fprintf(
            stderr,
            "tenured: %s belongs to another user; nothing was changed; run as its owner\n",
            path);
        return EX_NOPERM;
    }
    char wanted[JOURNAL_ASIDE_SIZE_MAX];
    char name[JOURNAL_ASIDE_SIZE_MAX];
    struct tenure_error error = { .text = "" };
    time_t now = time(NULL);
    struct tm utc;
    ASSERT(gmtime_r(&now, &utc) != NULL);
    ASSERT(strftime(wanted, sizeof(wanted), "damaged-%Y%m%dT%H%M%SZ", &utc) > 0);
    enum tenure_err err = journal_salvage_apply(salvage, wanted, name, &error);
    if (err != TENURE_OK) {
        int code = tell_error(err, &error);
        (void)fprintf(stderr, "tenured: nothing is lost yet; repeat the command\n");
        return code;
    }
    const struct journal_salvage_report *report = journal_salvage_report(salvage);
    print_kept(report, "kept");
    print_lost(report, "lost");
    (void)printf("set aside in %s/%s:\n", path, name);
    journal_salvage_list(salvage, print_file, NULL);
    return EX_OK;
}

static int explain(const char *path, const struct journal_salvage *salvage)
{
    const struct journal_salvage_report *report = journal_salvage_report(salvage);
    print_kept(report, "would keep");
    print_lost(report, "would lose");
    (void)printf("would set aside:\n");
    journal_salvage_list(salvage, print_file, NULL);
    (void)printf(
        "nothing was changed; to do so: tenured --repair %s --accept-loss\n"
        "look for a backup first: what is lost is forgotten, also that locks were held\n",
        path);
    return EX_DATAERR;
}

static int decide(const struct config *config, struct journal_salvage *salvage)
{
    const char *path = config->action_path;
    const struct journal_salvage_report *report = journal_salvage_report(salvage);
    if (!report->is_needed) {
        (void)printf("%s: a start accepts this journal; nothing was changed\n", path);
        return EX_OK;
    }
    print_damage(path, report->damage);
    return config->is_loss_accepted ? accept_loss(path, salvage) : explain(path, salvage);
}

int repair_run(const struct config *config)
{
    struct repair repair = { .config = config };
    struct journal_judge judge = {
        .visitor = restore_visitor(&repair.restore),
        .begin = begin,
        .snapshot_end = end_snapshot,
    };
    struct journal_options options = {
        .path = config->action_path,
        .segment_size = JOURNAL_SEGMENT_SIZE_DEFAULT,
        .spare_count = JOURNAL_SPARE_COUNT_DEFAULT,
    };
    struct journal_salvage *salvage = NULL;
    struct tenure_error error = { .text = "" };
    enum tenure_err err = journal_salvage_plan(&options, &env_posix, &judge, &salvage, &error);
    int code = err == TENURE_OK ? decide(config, salvage) : tell_error(err, &error);
    journal_salvage_destroy(&salvage);
    engine_destroy(&repair.restore.engine);
    if (fflush(stdout) != 0 && code == EX_OK) code = EX_IOERR;
    return code;
}
