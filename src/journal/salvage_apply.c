/* salvage_apply - carry the plan out, in an order that may be cut short anywhere.
 *
 *   1. A new directory; a second name in it for every file that is to go; both directories synced.
 *      From here on nothing can be lost for good.
 *   2. What takes the place of the damage: the sound part of a segment that is cut takes its name,
 *      in one step; or a fresh segment behind all others, which begins behind the snapshot.  As
 *      long as other files are around, a start refuses the journal, and a plan finds the same to
 *      keep: what is kept is complete, and nothing else reaches as far.
 *   3. The others lose their first names. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "journal/salvage.h"
#include "journal/salvage_state.h"

#define NAME_ATTEMPT_COUNT 100u

/* ------------------------------------------------------------------ 1. second names */

static enum tenure_err make_aside(
    const struct journal_dir *dir,
    const char *name,
    struct journal_dir *out_aside,
    char out_name[static JOURNAL_ASIDE_SIZE_MAX],
    struct tenure_error *out_error)
{
    char text[JOURNAL_ASIDE_SIZE_MAX];
    int size = snprintf(text, sizeof(text), "%s", name);
    ASSERT(size > 0 && (size_t)size + 4 < sizeof(text));
    int result = journal_dir_make(dir, text);
    for (unsigned attempt = 2; attempt < NAME_ATTEMPT_COUNT && result == -EEXIST; attempt++) {
        (void)snprintf(text + size, sizeof(text) - (size_t)size, "-%u", attempt);
        result = journal_dir_make(dir, text);
    }
    if (result < 0) return journal_error_system(out_error, result, "make the directory", text);
    memcpy(out_name, text, sizeof(text));
    result = journal_dir_open(dir, text);
    if (result < 0) return journal_error_system(out_error, result, "open the directory", text);
    *out_aside = (struct journal_dir){ dir->env, result };
    return TENURE_OK;
}

struct linking {
    const struct journal_dir *dir;
    const struct journal_dir *aside;
    enum tenure_err err;
    struct tenure_error *error;
};

static void link_file(void *user, const char *name)
{
    struct linking *linking = user;
    if (linking->err != TENURE_OK) return;
    int result = journal_file_link(linking->dir, name, linking->aside);
    if (result >= 0) return;
    linking->err = journal_error_system(linking->error, result, "give a second name to", name);
}

static enum tenure_err set_aside(
    const struct journal_salvage *salvage,
    const char *name,
    char out_name[static JOURNAL_ASIDE_SIZE_MAX],
    struct tenure_error *out_error)
{
    const struct journal_dir *dir = &salvage->journal->dir;
    struct journal_dir aside;
    enum tenure_err err = make_aside(dir, name, &aside, out_name, out_error);
    if (err != TENURE_OK) return err;
    struct linking linking = { .dir = dir, .aside = &aside, .err = TENURE_OK, .error = out_error };
    journal_salvage_list(salvage, link_file, &linking);
    int result = linking.err == TENURE_OK ? journal_dir_sync(&aside) : 0;
    if (result >= 0 && linking.err == TENURE_OK) result = journal_dir_sync(dir);
    journal_file_close(&aside, aside.handle);
    if (result < 0) return journal_error_system(out_error, result, "sync", out_name);
    return linking.err;
}

/* ------------------------------------------------------------------ 2. what takes its place */

/* The header of a segment that begins behind the snapshot, into the findings. */
static enum tenure_err make_fresh(struct journal_salvage *salvage, struct tenure_error *out_error)
{
    struct journal *journal = salvage->journal;
    struct journal_findings *findings = &salvage->findings;
    uint32_t count = findings->segment_count;
    struct journal_segment_header header = {
        .number = count > 0 ? findings->segments[count - 1].number + 1 : 1,
        .first_batch_number = salvage->batch_number_known + 1,
        .first_seq = { salvage->report.seq_kept.value + 1 },
        .file_size = JOURNAL_SEGMENT_HEADER_SIZE + JOURNAL_BATCH_HEADER_SIZE,
    };
    int result =
        journal->dir.env->random(journal->dir.env->context, &header.salt, sizeof(header.salt));
    if (result < 0) return journal_error_system(out_error, result, "draw", "a salt");
    buffer_reset(&findings->file);
    char *bytes = buffer_extend(&findings->file, JOURNAL_SEGMENT_HEADER_SIZE);
    if (bytes == NULL) {
        return journal_error_set(out_error, TENURE_NO_MEMORY, 0, "no memory for a segment");
    }
    findings->header = header;
    findings->is_ended = false;
    findings->position = (struct journal_position){
        .offset = JOURNAL_SEGMENT_HEADER_SIZE,
        .batch_number = header.first_batch_number,
        .seq = header.first_seq,
        .chain = journal_segment_header_encode(&header, &journal->id, (unsigned char *)bytes),
    };
    return TENURE_OK;
}

static enum tenure_err put_end(struct journal_salvage *salvage, struct tenure_error *out_error)
{
    struct journal *journal = salvage->journal;
    struct journal_findings *findings = &salvage->findings;
    enum tenure_err err;
    if (salvage->count == 0) {
        err = make_fresh(salvage, out_error);
    } else if (salvage->is_cut) {
        uint32_t last = salvage->first + salvage->count - 1;
        err = salvage_read_until(salvage, last, &salvage->end, out_error);
    } else {
        return TENURE_OK;
    }
    if (err != TENURE_OK) return err;
    struct journal_name name = { JOURNAL_FILE_SEGMENT, false, findings->header.number };
    struct journal_name temporary = { JOURNAL_FILE_SEGMENT, true, name.number };
    struct journal_name_text text = journal_name_format(name);
    int result = journal_file_unlink(&journal->dir, temporary);
    if (result < 0) return journal_error_system(out_error, result, "prepare", text.text);
    err = journal_copy_write(journal, findings, temporary, out_error);
    if (err != TENURE_OK) return err;
    result = journal_file_rename(&journal->dir, temporary, name);
    if (result >= 0) result = journal_dir_sync(&journal->dir);
    if (result < 0) return journal_error_system(out_error, result, "replace", text.text);
    return TENURE_OK;
}

/* ------------------------------------------------------------------ 3. first names */

static enum tenure_err
remove_name(struct journal *journal, struct journal_name name, struct tenure_error *out_error)
{
    int result = journal_file_unlink(&journal->dir, name);
    if (result >= 0) return TENURE_OK;
    return journal_error_system(out_error, result, "set aside", journal_name_format(name).text);
}

static enum tenure_err remove_names(struct journal_salvage *salvage, struct tenure_error *out_error)
{
    struct journal *journal = salvage->journal;
    enum tenure_err err = TENURE_OK;
    for (uint32_t index = salvage->findings.segment_count; index > 0 && err == TENURE_OK; index--) {
        if (!salvage_drops_segment(salvage, index - 1)) continue;
        err = remove_name(journal, salvage->findings.segments[index - 1], out_error);
    }
    for (uint32_t index = 0; index < salvage->snapshot_count && err == TENURE_OK; index++) {
        if (!salvage_drops_snapshot(salvage, index)) continue;
        err = remove_name(journal, salvage->snapshots[index].name, out_error);
    }
    if (err != TENURE_OK) return err;
    int result = journal_dir_sync(&journal->dir);
    if (result < 0) return journal_error_system(out_error, result, "sync", "the directory");
    return TENURE_OK;
}

enum tenure_err journal_salvage_apply(
    struct journal_salvage *salvage,
    const char *name,
    char out_name[static JOURNAL_ASIDE_SIZE_MAX],
    struct tenure_error *out_error)
{
    ASSERT(salvage->report.is_needed);
    enum tenure_err err = set_aside(salvage, name, out_name, out_error);
    if (err == TENURE_OK) err = put_end(salvage, out_error);
    if (err == TENURE_OK) err = remove_names(salvage, out_error);
    return err;
}
