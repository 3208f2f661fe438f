#include "journal/recovery.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "journal/identity.h"
#include "journal/scan.h"
#include "journal/snapshot_read.h"

struct recovery {
    struct journal *journal;
    const struct journal_visitor *visitor;
    struct journal_report *report;
    struct journal_findings *findings;
    bool has_snapshot;
    struct seq snapshot_seq;    /* of the one in use */
    struct tenure_error unread; /* why a snapshot could not be read; code TENURE_OK: all could */
    uint64_t dead_bytes;        /* behind the end of segments that are finished */
};

__attribute__((format(printf, 2, 3))) static void
note(struct journal_report *report, const char *format, ...)
{
    size_t used = strlen(report->text);
    if (used > 0 && used + 2 < sizeof(report->text)) {
        memcpy(report->text + used, "; ", 3);
        used += 2;
    }
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(report->text + used, sizeof(report->text) - used, format, arguments);
    va_end(arguments);
}

static enum tenure_err
damaged(uint64_t segment, uint64_t offset, const char *what, struct tenure_error *out_error)
{
    return journal_error_set(
        out_error,
        TENURE_CORRUPT,
        0,
        "%s: damaged at offset %" PRIu64 ": %s; nothing was changed",
        journal_segment_name(segment).text,
        offset,
        what);
}

static enum tenure_err read_file(
    struct journal *journal, uint64_t number, struct buffer *bytes, struct tenure_error *out_error)
{
    struct journal_name_text text = journal_segment_name(number);
    struct journal_name name = { JOURNAL_FILE_SEGMENT, false, number };
    int file = journal_file_open(&journal->dir, name, ENV_OPEN_READ);
    if (file < 0) return journal_error_system(out_error, file, "open", text.text);
    enum tenure_err err = TENURE_OK;
    int result = 0;
    int64_t size = journal_file_size(&journal->dir, file);
    if (size < 0) {
        err = journal_error_system(out_error, size, "measure", text.text);
        goto close_file;
    }
    buffer_reset(bytes);
    if (!buffer_reserve(bytes, (size_t)size)) {
        err = journal_error_set(out_error, TENURE_NO_MEMORY, 0, "no memory to read %s", text.text);
        goto close_file;
    }
    result = journal_file_read(&journal->dir, file, bytes->data, (size_t)size, 0);
    if (result < 0) {
        err = journal_error_system(out_error, result, "read", text.text);
        goto close_file;
    }
    bytes->size = (size_t)size;

close_file:
    journal_file_close(&journal->dir, file);
    return err;
}

enum tenure_err journal_segment_read(
    struct journal *journal,
    uint64_t number,
    struct journal_findings *findings,
    struct tenure_error *out_error)
{
    enum tenure_err err = read_file(journal, number, &findings->file, out_error);
    if (err != TENURE_OK) return err;
    struct journal_fault fault;
    if (journal_scan_header(
            buffer_bytes(&findings->file),
            &journal->id,
            number,
            &findings->header,
            &findings->position,
            &fault))
    {
        return TENURE_OK;
    }
    if (!fault.is_newer) return damaged(number, fault.offset, fault.what, out_error);
    return journal_error_set(
        out_error,
        TENURE_UNSUPPORTED,
        0,
        "%s was written by a newer version of tenured; start that version",
        journal_segment_name(number).text);
}

/* The last segments without a gap.  What is before a gap was on its way out when a crash came: the
 * removal of one name may be durable before that of an older one. */
static enum tenure_err choose_segments(struct recovery *recovery, struct tenure_error *out_error)
{
    struct journal_findings *findings = recovery->findings;
    uint32_t count;
    const struct journal_name *first =
        journal_listing_find(&findings->listing, JOURNAL_FILE_SEGMENT, &count);
    if (count == 0) {
        return journal_error_set(
            out_error,
            TENURE_CORRUPT,
            0,
            "all segments are missing; nothing was changed; restore them from a backup");
    }
    uint32_t begin = count - 1;
    while (begin > 0 && first[begin - 1].number + 1 == first[begin].number) {
        begin--;
    }
    findings->segments = first + begin;
    findings->segment_count = count - begin;
    return TENURE_OK;
}

/* Damage in a snapshot is survivable; anything else is not decided here. */
static bool is_damage(enum tenure_err err)
{
    return err == TENURE_CORRUPT || err == TENURE_IO;
}

/* Verify snapshots, newest first, until two are sound. */
static enum tenure_err choose_snapshots(struct recovery *recovery, struct tenure_error *out_error)
{
    struct journal_shared *shared = &recovery->journal->shared;
    uint32_t count;
    const struct journal_name *first =
        journal_listing_find(&recovery->findings->listing, JOURNAL_FILE_SNAPSHOT, &count);
    unsigned sound_count = 0;
    for (uint32_t i = count; i > 0 && sound_count < 2; i--) {
        struct tenure_error detail = { .code = TENURE_OK };
        uint64_t size;
        enum tenure_err err =
            journal_snapshot_verify(recovery->journal, first[i - 1], &size, &detail);
        if (err == TENURE_OK) {
            shared->snapshots[sound_count++] =
                (struct journal_snapshot){ { first[i - 1].number }, size };
            continue;
        }
        if (!is_damage(err)) {
            if (out_error != NULL) *out_error = detail;
            return err;
        }
        if (err == TENURE_IO) recovery->unread = detail;
        if (sound_count == 0) recovery->report->is_snapshot_skipped = true;
        note(recovery->report, "a snapshot is not used: %.120s", detail.text);
    }
    recovery->has_snapshot = sound_count > 0;
    recovery->snapshot_seq = shared->snapshots[0].seq;
    return TENURE_OK;
}

/* Do the segments begin early enough for the snapshot in use?  Leaves the first segment read. */
static enum tenure_err check_coverage(struct recovery *recovery, struct tenure_error *out_error)
{
    struct journal_findings *findings = recovery->findings;
    uint64_t number = findings->segments[0].number;
    enum tenure_err err = journal_segment_read(recovery->journal, number, findings, out_error);
    if (err != TENURE_OK) return err;
    uint64_t first_seq = findings->header.first_seq.value;
    if (first_seq != 0 && first_seq <= recovery->snapshot_seq.value + 1) return TENURE_OK;
    /* What could not be read may be sound, and be read the next time: no damage is shown yet. */
    if (recovery->unread.code != TENURE_OK) {
        if (out_error != NULL) *out_error = recovery->unread;
        return recovery->unread.code;
    }
    return journal_error_set(
        out_error,
        TENURE_CORRUPT,
        0,
        "records %" PRIu64 " to %" PRIu64 " are missing: %s and %s begins behind them; "
        "nothing was changed",
        recovery->snapshot_seq.value + 1,
        first_seq - 1,
        recovery->has_snapshot              ? "the newest sound snapshot is older,"
        : recovery->report->text[0] == '\0' ? "there is no snapshot"
                                            : "no snapshot is sound",
        journal_segment_name(number).text);
}

static enum tenure_err visit_batch(
    struct recovery *recovery,
    const struct journal_batch_view *batch,
    uint64_t offset,
    struct tenure_error *out_error)
{
    uint64_t last_seq = batch->first.value + batch->count - 1;
    if (batch->count == 0 || last_seq <= recovery->snapshot_seq.value) return TENURE_OK;
    recovery->report->batch_count++;
    recovery->journal->shared.batch_bytes +=
        JOURNAL_BATCH_HEADER_SIZE + journal_batch_padded_size(batch->records.size);
    const struct journal_visitor *visitor = recovery->visitor;
    if (visitor == NULL) return TENURE_OK;
    struct tenure_error detail = { .code = TENURE_OK };
    enum tenure_err err =
        visitor->batch(visitor->user, batch->first, batch->count, batch->records, &detail);
    if (err == TENURE_OK) return TENURE_OK;
    return journal_error_set(
        out_error,
        err,
        detail.os_errno,
        "%s: offset %" PRIu64 ": %.160s",
        journal_segment_name(recovery->findings->header.number).text,
        offset,
        detail.text);
}

/* Does the segment just read continue where `before` ended?  If not, the fault is in the one before
 * when that ends too early, and in this one's header otherwise. */
static enum tenure_err check_succession(
    const struct journal_findings *findings,
    const struct journal_position *before,
    struct tenure_error *out_error)
{
    const struct journal_segment_header *header = &findings->header;
    if (journal_scan_continues(header, before)) return TENURE_OK;
    if (header->previous_end > before->offset) {
        return damaged(header->number - 1, before->offset, "no valid batch is there", out_error);
    }
    return damaged(
        header->number, JOURNAL_PREAMBLE_SIZE, "it does not continue the one before", out_error);
}

/* Hand over every batch of the segment just read. */
static enum tenure_err scan_segment(struct recovery *recovery, struct tenure_error *out_error)
{
    struct journal_findings *findings = recovery->findings;
    struct bytes file = buffer_bytes(&findings->file);
    struct journal_position *position = &findings->position;
    findings->is_ended = false;
    struct journal_batch_view batch;
    for (;;) {
        uint64_t offset = position->offset;
        if (!journal_scan_batch(&findings->header, file, position, &batch)) break;
        enum tenure_err err = visit_batch(recovery, &batch, offset, out_error);
        if (err != TENURE_OK) return err;
        findings->is_ended = (batch.flags & JOURNAL_BATCH_END) != 0;
        if (findings->is_ended) break;
    }
    const char *what =
        journal_scan_size_fault(&findings->header, position, findings->is_ended, file.size);
    if (what == NULL) return TENURE_OK;
    return damaged(findings->header.number, position->offset, what, out_error);
}

static enum tenure_err add_segment(struct recovery *recovery, struct tenure_error *out_error)
{
    struct journal *journal = recovery->journal;
    if (!journal_segments_reserve(journal)) {
        return journal_error_set(out_error, TENURE_NO_MEMORY, 0, "no memory for a segment");
    }
    struct journal_segment_list *list = &journal->shared.segments;
    list->items[list->count++] = (struct journal_segment){
        .number = recovery->findings->header.number,
        .first_seq = recovery->findings->header.first_seq,
        .file_size = recovery->findings->file.size,
        .before = journal_segment_before(&recovery->findings->header),
    };
    journal->shared.segment_bytes += recovery->findings->file.size;
    return TENURE_OK;
}

static enum tenure_err scan_segments(struct recovery *recovery, struct tenure_error *out_error)
{
    struct journal_findings *findings = recovery->findings;
    uint64_t garbage_size = 0;
    for (uint32_t i = 0; i < findings->segment_count; i++) {
        struct journal_position before = findings->position;
        uint64_t number = findings->segments[i].number;
        enum tenure_err err = TENURE_OK;
        if (i > 0) {
            err = journal_segment_read(recovery->journal, number, findings, out_error);
            if (err == TENURE_OK) err = check_succession(findings, &before, out_error);
        }
        if (err != TENURE_OK) return err;
        err = scan_segment(recovery, out_error);
        if (err != TENURE_OK) return err;
        err = add_segment(recovery, out_error);
        if (err != TENURE_OK) return err;
        recovery->dead_bytes += garbage_size;
        garbage_size =
            journal_scan_garbage_size(buffer_bytes(&findings->file), findings->position.offset);
    }
    recovery->report->torn_bytes = garbage_size;
    return TENURE_OK;
}

/* What follows the last valid batch of the last segment: zeros, a torn batch, or damage? */
static enum tenure_err judge_tail(struct recovery *recovery, struct tenure_error *out_error)
{
    struct journal_findings *findings = recovery->findings;
    struct journal_report *report = recovery->report;
    uint64_t number = findings->header.number;
    uint64_t offset = findings->position.offset;
    if (report->torn_bytes > 0) {
        struct bytes file = buffer_bytes(&findings->file);
        if (journal_scan_finds_another(&findings->header, file, &findings->position)) {
            return damaged(number, offset, "valid batches follow it", out_error);
        }
        note(
            report,
            "dropped %" PRIu64 " bytes behind offset %" PRIu64 " of %s: a batch that was never "
            "acknowledged, cut by a crash, or a damaged mark",
            report->torn_bytes,
            offset,
            journal_segment_name(number).text);
    }
    if (recovery->dead_bytes > 0) {
        note(
            report,
            "%" PRIu64 " bytes behind the end of finished segments are not zero (harmless)",
            recovery->dead_bytes);
    }
    report->seq.value = findings->position.seq.value - 1;
    report->segment_count = findings->segment_count;
    if (report->seq.value >= recovery->snapshot_seq.value) return TENURE_OK;
    return damaged(number, offset, "records that the newest snapshot knows are missing", out_error);
}

static enum tenure_err read_all(struct recovery *recovery, struct tenure_error *out_error)
{
    enum tenure_err err = choose_segments(recovery, out_error);
    if (err != TENURE_OK) return err;
    err = choose_snapshots(recovery, out_error);
    if (err != TENURE_OK) return err;
    err = check_coverage(recovery, out_error);
    if (err != TENURE_OK) return err;
    if (recovery->has_snapshot && recovery->visitor != NULL) {
        err = journal_snapshot_visit(
            recovery->journal, recovery->snapshot_seq, recovery->visitor, out_error);
        if (err != TENURE_OK) return err;
    }
    err = scan_segments(recovery, out_error);
    if (err != TENURE_OK) return err;
    err = judge_tail(recovery, out_error);
    if (err != TENURE_OK) return err;
    recovery->journal->shared.seq_durable = recovery->report->seq;
    return TENURE_OK;
}

enum tenure_err journal_recover(
    struct journal *journal,
    const struct journal_visitor *visitor,
    struct journal_report *report,
    struct tenure_error *out_error)
{
    struct journal_findings findings = { .segments = NULL };
    buffer_init(&findings.file, journal->memory);
    enum tenure_err err = journal_identity_open(journal, &report->is_new, out_error);
    if (err != TENURE_OK) return err;
    err = journal_listing_read(&journal->dir, journal->memory, &findings.listing, out_error);
    if (err == TENURE_OK && !report->is_new) {
        struct recovery recovery = {
            .journal = journal,
            .visitor = visitor,
            .report = report,
            .findings = &findings,
        };
        err = read_all(&recovery, out_error);
    }
    if (err == TENURE_OK && !journal->is_read_only) {
        err = journal_repair(journal, &findings, out_error);
    }
    if (err == TENURE_OK && report->is_new) err = journal_identity_publish(journal, out_error);
    buffer_deinit(&findings.file);
    journal_listing_deinit(&findings.listing);
    return err;
}
