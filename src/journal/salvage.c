/* salvage - the plan: read all, find the longest sound part, change nothing.
 *
 * The newest sound snapshot is always kept: what it holds is known, whatever is around it.  Behind
 * it the segments go on, if they do: runs of segments, each of which continues the one before, and
 * of the runs that reach back to the snapshot the one that reaches furthest.  No run does?  Then
 * the journal goes on behind the snapshot, in a fresh segment. */
#include "journal/salvage.h"

#include <stdio.h>
#include <string.h>

#include "journal/identity.h"
#include "journal/salvage_state.h"
#include "journal/scan.h"
#include "journal/snapshot_read.h"

/* ------------------------------------------------------------------ what is there */

/* The next batch of the segment in the findings; false behind the last one. */
static bool next_batch(struct journal_findings *findings, struct journal_batch_view *out_batch)
{
    if (findings->is_ended) return false;
    struct bytes file = buffer_bytes(&findings->file);
    if (!journal_scan_batch(&findings->header, file, &findings->position, out_batch)) return false;
    findings->is_ended = (out_batch->flags & JOURNAL_BATCH_END) != 0;
    return true;
}

static enum tenure_err
read_segment(struct journal_salvage *salvage, uint32_t index, struct tenure_error *out_error)
{
    struct journal_findings *findings = &salvage->findings;
    findings->is_ended = false;
    uint64_t number = findings->segments[index].number;
    return journal_segment_read(salvage->journal, number, findings, out_error);
}

enum tenure_err salvage_read_until(
    struct journal_salvage *salvage,
    uint32_t index,
    const struct journal_position *end,
    struct tenure_error *out_error)
{
    enum tenure_err err = read_segment(salvage, index, out_error);
    struct journal_batch_view batch;
    while (err == TENURE_OK && salvage->findings.position.offset < end->offset) {
        bool is_there = next_batch(&salvage->findings, &batch);
        ASSERT(is_there); /* it was there before, and we have the lock */
    }
    return err;
}

static void note_batch_number(struct journal_salvage *salvage, uint64_t number)
{
    if (salvage->batch_number_known < number) salvage->batch_number_known = number;
}

static enum tenure_err
survey_segment(struct journal_salvage *salvage, uint32_t index, struct tenure_error *out_error)
{
    struct journal_findings *findings = &salvage->findings;
    struct salvage_segment *segment = &salvage->segments[index];
    *segment = (struct salvage_segment){ .is_sound = false };
    enum tenure_err err = read_segment(salvage, index, out_error);
    if (err == TENURE_CORRUPT) return TENURE_OK;
    if (err != TENURE_OK) return err;
    segment->header = findings->header;
    segment->is_sound = findings->header.first_seq.value > 0;
    const struct salvage_segment *before = index > 0 ? segment - 1 : NULL;
    segment->is_linked = before != NULL && before->is_sound && before->is_sized &&
                         before->header.number + 1 == segment->header.number &&
                         journal_scan_continues(&segment->header, &before->end);
    struct journal_batch_view batch;
    while (next_batch(findings, &batch)) {
    }
    struct bytes file = buffer_bytes(&findings->file);
    segment->end = findings->position;
    segment->is_sized = journal_scan_size_fault(
                            &segment->header, &segment->end, findings->is_ended, file.size) == NULL;
    segment->is_whole =
        segment->is_sized && journal_scan_garbage_size(file, segment->end.offset) == 0;
    note_batch_number(salvage, segment->end.batch_number - 1);
    return TENURE_OK;
}

static enum tenure_err
survey_segments(struct journal_salvage *salvage, struct tenure_error *out_error)
{
    struct journal_findings *findings = &salvage->findings;
    findings->segments =
        journal_listing_find(&findings->listing, JOURNAL_FILE_SEGMENT, &findings->segment_count);
    if (findings->segment_count == 0) return TENURE_OK;
    salvage->segments =
        memory_take(salvage->journal->memory, findings->segment_count * sizeof(*salvage->segments));
    if (salvage->segments == NULL) {
        return journal_error_set(out_error, TENURE_NO_MEMORY, 0, "no memory for the segments");
    }
    enum tenure_err err = TENURE_OK;
    for (uint32_t index = 0; index < findings->segment_count && err == TENURE_OK; index++) {
        err = survey_segment(salvage, index, out_error);
    }
    return err;
}

static enum tenure_err
survey_snapshots(struct journal_salvage *salvage, struct tenure_error *out_error)
{
    uint32_t count;
    const struct journal_name *names =
        journal_listing_find(&salvage->findings.listing, JOURNAL_FILE_SNAPSHOT, &count);
    if (count == 0) return TENURE_OK;
    salvage->snapshots = memory_take(salvage->journal->memory, count * sizeof(*salvage->snapshots));
    if (salvage->snapshots == NULL) {
        return journal_error_set(out_error, TENURE_NO_MEMORY, 0, "no memory for the snapshots");
    }
    salvage->snapshot_count = count;
    for (uint32_t index = 0; index < count; index++) {
        struct tenure_error detail = { .code = TENURE_OK };
        uint64_t size;
        enum tenure_err err =
            journal_snapshot_verify(salvage->journal, names[index], &size, &detail);
        if (err != TENURE_OK && err != TENURE_CORRUPT) {
            if (out_error != NULL) *out_error = detail;
            return err;
        }
        salvage->snapshots[index] = (struct salvage_snapshot){ names[index], err == TENURE_OK };
    }
    return TENURE_OK;
}

/* ------------------------------------------------------------------ what to keep */

static void choose_snapshot(struct journal_salvage *salvage)
{
    salvage->has_snapshot = false;
    salvage->report.snapshot_seq.value = 0;
    for (uint32_t index = 0; index < salvage->snapshot_count; index++) {
        if (!salvage->snapshots[index].is_sound) continue;
        salvage->has_snapshot = true; /* they ascend: the last one is the newest */
        salvage->report.snapshot_seq.value = salvage->snapshots[index].name.number;
    }
}

static void choose_run(struct journal_salvage *salvage)
{
    uint64_t next = salvage->report.snapshot_seq.value + 1;
    uint32_t segment_count = salvage->findings.segment_count;
    salvage->first = segment_count;
    salvage->count = 0;
    salvage->end = (struct journal_position){ .seq = { next } };
    salvage->is_cut = false;
    uint32_t end;
    for (uint32_t begin = 0; begin < segment_count; begin = end) {
        end = begin + 1;
        while (end < segment_count && salvage->segments[end].is_linked) {
            end++;
        }
        const struct salvage_segment *first = &salvage->segments[begin];
        const struct salvage_segment *last = &salvage->segments[end - 1];
        if (!first->is_sound || first->header.first_seq.value > next) continue;
        /* Of two that reach as far the later one: a start looks at the last segments. */
        if (last->end.seq.value < salvage->end.seq.value) continue;
        salvage->first = begin;
        salvage->count = end - begin;
        salvage->end = last->end;
        salvage->is_cut = !last->is_whole;
    }
}

static bool ends_all(enum tenure_err err)
{
    return err == TENURE_NO_MEMORY || err == TENURE_UNSUPPORTED || err == TENURE_IO;
}

/* Hand the snapshot over; TENURE_CORRUPT when it is refused. */
static enum tenure_err
rehearse_snapshot(struct journal_salvage *salvage, struct tenure_error *out_error)
{
    const struct journal_judge *judge = salvage->judge;
    void *user = judge->visitor.user;
    enum tenure_err err = judge->begin(user, out_error);
    if (err != TENURE_OK) return ends_all(err) ? err : TENURE_INTERNAL;
    if (salvage->has_snapshot) {
        err = journal_snapshot_visit(
            salvage->journal, salvage->report.snapshot_seq, &judge->visitor, out_error);
    }
    if (err == TENURE_OK) err = judge->snapshot_end(user, out_error);
    if (err == TENURE_OK || ends_all(err)) return err;
    ASSERT(salvage->has_snapshot); /* nothing cannot be refused */
    return TENURE_CORRUPT;
}

/* Hand the batches of one segment over.  A refusal cuts the run there. */
static enum tenure_err rehearse_segment(
    struct journal_salvage *salvage,
    uint32_t index,
    bool *out_is_refused,
    struct tenure_error *out_error)
{
    const struct journal_visitor *visitor = &salvage->judge->visitor;
    struct journal_findings *findings = &salvage->findings;
    enum tenure_err err = read_segment(salvage, index, out_error);
    if (err != TENURE_OK) return err;
    struct journal_batch_view batch;
    for (struct journal_position before = findings->position; next_batch(findings, &batch);
         before = findings->position)
    {
        uint64_t last_seq = batch.first.value + batch.count - 1;
        if (batch.count == 0 || last_seq <= salvage->report.snapshot_seq.value) continue;
        struct tenure_error detail = { .code = TENURE_OK };
        err = visitor->batch(visitor->user, batch.first, batch.count, batch.records, &detail);
        if (err == TENURE_OK) continue;
        if (ends_all(err)) {
            if (out_error != NULL) *out_error = detail;
            return err;
        }
        salvage->count = index - salvage->first + 1;
        salvage->end = before;
        salvage->is_cut = true;
        *out_is_refused = true;
        return TENURE_OK;
    }
    return TENURE_OK;
}

static enum tenure_err rehearse_run(struct journal_salvage *salvage, struct tenure_error *out_error)
{
    bool is_refused = false;
    uint32_t end = salvage->first + salvage->count;
    enum tenure_err err = TENURE_OK;
    for (uint32_t index = salvage->first; index < end && err == TENURE_OK && !is_refused; index++) {
        err = rehearse_segment(salvage, index, &is_refused, out_error);
    }
    /* Refused at a batch that begins before the snapshot: then the snapshot is all there is. */
    if (salvage->end.seq.value <= salvage->report.snapshot_seq.value) {
        salvage->count = 0;
        salvage->is_cut = false;
        salvage->end.seq.value = salvage->report.snapshot_seq.value + 1;
    }
    return err;
}

/* A snapshot that is refused counts as damaged, and all is chosen anew. */
static enum tenure_err choose(struct journal_salvage *salvage, struct tenure_error *out_error)
{
    enum tenure_err err = TENURE_CORRUPT;
    while (err == TENURE_CORRUPT) {
        choose_snapshot(salvage);
        choose_run(salvage);
        if (salvage->judge == NULL) return TENURE_OK;
        err = rehearse_snapshot(salvage, out_error);
        for (uint32_t index = 0; index < salvage->snapshot_count && err == TENURE_CORRUPT; index++)
        {
            struct salvage_snapshot *snapshot = &salvage->snapshots[index];
            bool is_refused = snapshot->name.number == salvage->report.snapshot_seq.value;
            if (is_refused) snapshot->is_sound = false;
        }
    }
    return err == TENURE_OK ? rehearse_run(salvage, out_error) : err;
}

bool salvage_drops_segment(const struct journal_salvage *salvage, uint32_t index)
{
    return index < salvage->first || index - salvage->first >= salvage->count;
}

bool salvage_drops_snapshot(const struct journal_salvage *salvage, uint32_t index)
{
    const struct salvage_snapshot *snapshot = &salvage->snapshots[index];
    uint64_t seq = snapshot->name.number;
    if (!snapshot->is_sound) return true;
    if (seq == salvage->report.snapshot_seq.value) return false;
    /* An older one is of use only with all records behind it. */
    return salvage->count == 0 ||
           salvage->segments[salvage->first].header.first_seq.value > seq + 1;
}

/* ------------------------------------------------------------------ what is lost */

static void note_seq(struct journal_salvage *salvage, uint64_t seq)
{
    if (salvage->report.seq_known.value < seq) salvage->report.seq_known.value = seq;
}

/* Count the batches in the file just read that would be lost.  Without a sound header of the
 * segment its salt is not known: then whatever looks like the header of a batch is taken for one.
 */
static void trace_batches(struct journal_salvage *salvage, const struct salvage_segment *segment)
{
    struct bytes file = buffer_bytes(&salvage->findings.file);
    const unsigned char *bytes = (const unsigned char *)file.data;
    uint64_t at = JOURNAL_SEGMENT_HEADER_SIZE;
    while (at + JOURNAL_BATCH_HEADER_SIZE <= file.size) {
        struct journal_batch_header batch;
        uint32_t chain;
        bool is_one = journal_batch_header_decode(bytes + at, &batch, &chain) &&
                      (!segment->is_sound || batch.salt == segment->header.salt);
        at += 8;
        if (!is_one || batch.first.value == 0) continue;
        note_batch_number(salvage, batch.number);
        uint64_t last_seq = batch.first.value + batch.count - 1;
        note_seq(salvage, last_seq); /* a mark tells of what is before it */
        bool is_lost = batch.count > 0 && last_seq > salvage->report.seq_kept.value;
        if (is_lost) salvage->report.batch_count++;
    }
}

static enum tenure_err trace(struct journal_salvage *salvage, struct tenure_error *out_error)
{
    for (uint32_t index = 0; index < salvage->findings.segment_count; index++) {
        const struct salvage_segment *segment = &salvage->segments[index];
        if (segment->is_sound) note_seq(salvage, segment->header.first_seq.value - 1);
        bool is_last = salvage->count > 0 && index == salvage->first + salvage->count - 1;
        if (!salvage_drops_segment(salvage, index) && !(is_last && salvage->is_cut)) continue;
        enum tenure_err err = read_segment(salvage, index, out_error);
        if (err != TENURE_OK && err != TENURE_CORRUPT) return err;
        trace_batches(salvage, segment);
    }
    /* A snapshot has its name only when the journal is durable up to it. */
    for (uint32_t index = 0; index < salvage->snapshot_count; index++) {
        note_seq(salvage, salvage->snapshots[index].name.number);
    }
    return TENURE_OK;
}

static void count_aside(void *user, const char *name)
{
    struct journal_salvage *salvage = user;
    (void)name;
    salvage->report.aside_count++;
}

static void summarise(struct journal_salvage *salvage)
{
    struct journal_salvage_report *report = &salvage->report;
    report->segment_count = salvage->count;
    report->seq_kept.value = salvage->end.seq.value - 1;
    report->seq_known = report->seq_kept;
    if (!salvage->is_cut || salvage->count == 0) return;
    report->cut_number = salvage->segments[salvage->first + salvage->count - 1].header.number;
    report->cut_offset = salvage->end.offset;
}

void journal_salvage_list(const struct journal_salvage *salvage, journal_salvage_fn fn, void *user)
{
    for (uint32_t index = 0; index < salvage->findings.segment_count; index++) {
        bool is_cut = salvage->is_cut && index + 1 == salvage->first + salvage->count;
        if (!is_cut && !salvage_drops_segment(salvage, index)) continue;
        fn(user, journal_name_format(salvage->findings.segments[index]).text);
    }
    for (uint32_t index = 0; index < salvage->snapshot_count; index++) {
        if (!salvage_drops_snapshot(salvage, index)) continue;
        fn(user, journal_name_format(salvage->snapshots[index].name).text);
    }
}

/* ------------------------------------------------------------------ the plan */

/* Would a start accept it?  Looks as a start does. */
static enum tenure_err try_start(
    struct journal_salvage *salvage,
    const struct journal_options *options,
    const struct env *env,
    struct tenure_error *out_error)
{
    const struct journal_judge *judge = salvage->judge;
    struct journal_options look = *options;
    look.is_read_only = true;
    struct journal *journal = NULL;
    struct journal_report report;
    enum tenure_err err = TENURE_OK;
    if (judge != NULL) err = judge->begin(judge->visitor.user, out_error);
    if (err != TENURE_OK) return err;
    err = journal_open(
        &look, env, judge == NULL ? NULL : &judge->visitor, &journal, &report, out_error);
    if (err == TENURE_OK && judge != NULL) {
        err = judge->snapshot_end(judge->visitor.user, out_error);
    }
    journal_destroy(&journal);
    return err;
}

static enum tenure_err make_plan(
    struct journal_salvage *salvage,
    const struct journal_options *options,
    const struct env *env,
    struct tenure_error *out_error)
{
    struct journal *journal = salvage->journal;
    enum tenure_err err = journal_identity_lock(journal, out_error);
    if (err != TENURE_OK) return err;
    struct tenure_error damage = { .text = "" };
    err = try_start(salvage, options, env, &damage);
    if (err != TENURE_CORRUPT) {
        if (err != TENURE_OK && out_error != NULL) *out_error = damage;
        return err;
    }
    salvage->report.is_needed = true;
    (void)snprintf(salvage->report.damage, sizeof(salvage->report.damage), "%s", damage.text);
    err =
        journal_listing_read(&journal->dir, journal->memory, &salvage->findings.listing, out_error);
    if (err == TENURE_OK) err = survey_segments(salvage, out_error);
    if (err == TENURE_OK) err = survey_snapshots(salvage, out_error);
    if (err == TENURE_OK) err = choose(salvage, out_error);
    if (err != TENURE_OK) return err;
    summarise(salvage);
    err = trace(salvage, out_error);
    journal_salvage_list(salvage, count_aside, salvage);
    return err;
}

enum tenure_err journal_salvage_plan(
    const struct journal_options *options,
    const struct env *env,
    const struct journal_judge *judge,
    struct journal_salvage **out_salvage,
    struct tenure_error *out_error)
{
    struct journal *journal = NULL;
    enum tenure_err err = journal_create(options, env, &journal, out_error);
    if (err != TENURE_OK) return err;
    struct journal_salvage *salvage = memory_take(journal->memory, sizeof(*salvage));
    if (salvage == NULL) {
        journal_destroy(&journal);
        return journal_error_set(out_error, TENURE_NO_MEMORY, 0, "no memory for a plan");
    }
    *salvage = (struct journal_salvage){ .journal = journal, .judge = judge };
    buffer_init(&salvage->findings.file, journal->memory);
    err = make_plan(salvage, options, env, out_error);
    if (err != TENURE_OK) {
        journal_salvage_destroy(&salvage);
        return err;
    }
    *out_salvage = salvage;
    return TENURE_OK;
}

const struct journal_salvage_report *journal_salvage_report(const struct journal_salvage *salvage)
{
    return &salvage->report;
}

void journal_salvage_destroy(struct journal_salvage **salvage_pointer)
{
    struct journal_salvage *salvage = *salvage_pointer;
    if (salvage == NULL) return;
    *salvage_pointer = NULL;
    struct journal *journal = salvage->journal;
    const struct memory *memory = journal->memory;
    memory_give(
        memory, salvage->segments, salvage->findings.segment_count * sizeof(*salvage->segments));
    memory_give(memory, salvage->snapshots, salvage->snapshot_count * sizeof(*salvage->snapshots));
    buffer_deinit(&salvage->findings.file);
    journal_listing_deinit(&salvage->findings.listing);
    memory_give(memory, salvage, sizeof(*salvage));
    journal_destroy(&journal);
}
