#include "fixture.h"

#include <stdlib.h>

static enum tenure_err visit_snapshot(void *user, struct seq seq, struct tenure_error *out_error)
{
    struct recovered *recovered = user;
    (void)out_error;
    if (recovered->snapshot_seq != 0 || recovered->batch_count != 0) {
        recovered->fault = "a second snapshot, or one behind batches";
    }
    recovered->snapshot_seq = seq.value;
    recovered->seq_last = seq.value;
    return TENURE_OK;
}

static enum tenure_err visit_chunk(void *user, struct bytes chunk, struct tenure_error *out_error)
{
    struct recovered *recovered = user;
    (void)out_error;
    for (size_t i = 0; i < chunk.size; i++) {
        if ((unsigned char)chunk.data[i] != (unsigned char)(recovered->chunk_count + i)) {
            recovered->fault = "a chunk has other bytes";
        }
    }
    recovered->chunk_count++;
    recovered->chunk_bytes += chunk.size;
    return TENURE_OK;
}

static enum tenure_err visit_batch(
    void *user,
    struct seq first,
    uint32_t count,
    struct bytes records,
    struct tenure_error *out_error)
{
    struct recovered *recovered = user;
    if (recovered->refuse != TENURE_OK) {
        out_error->code = recovered->refuse;
        memcpy(out_error->text, "the visitor objects", 20);
        return recovered->refuse;
    }
    bool is_straddling = first.value <= recovered->seq_last && recovered->batch_count == 0 &&
                         first.value + count - 1 > recovered->snapshot_seq;
    if (first.value != recovered->seq_last + 1 && !is_straddling) recovered->fault = "a gap";
    if (count == 0 || records.size % count != 0) {
        recovered->fault = "records cut";
        return TENURE_OK;
    }
    size_t record_size = records.size / count;
    for (uint32_t i = 0; i < count; i++) {
        uint64_t seq;
        memcpy(&seq, records.data + i * record_size, sizeof(seq));
        if (seq != first.value + i) recovered->fault = "a record has other bytes";
    }
    recovered->batch_count++;
    recovered->seq_last = first.value + count - 1;
    return TENURE_OK;
}

struct journal_visitor fixture_visitor(struct recovered *recovered)
{
    return (struct journal_visitor){ visit_snapshot, visit_chunk, visit_batch, recovered };
}

struct journal_options fixture_options(const char *path)
{
    return (struct journal_options){
        .path = path,
        .segment_size = FIXTURE_SEGMENT_SIZE,
        .spare_count = 2,
    };
}

enum tenure_err fixture_open(
    const struct env *env,
    const struct journal_options *options,
    struct journal **out_journal,
    struct recovered *out_recovered,
    struct journal_report *out_report,
    struct tenure_error *out_error)
{
    enum tenure_err refuse = out_recovered->refuse;
    *out_recovered = (struct recovered){ .refuse = refuse };
    struct journal_visitor visitor = fixture_visitor(out_recovered);
    enum tenure_err err = journal_open(options, env, &visitor, out_journal, out_report, out_error);
    if (out_recovered->fault != NULL) FAIL("recovered: %s", out_recovered->fault);
    if (err == TENURE_OK) CHECK_EQ_UINT(out_report->seq.value, out_recovered->seq_last);
    return err;
}

struct journal *fixture_reopen(
    const struct env *env, struct recovered *out_recovered, struct journal_report *out_report)
{
    struct journal_options options = fixture_options(".");
    struct journal *journal = NULL;
    struct tenure_error error = { .text = "" };
    *out_recovered = (struct recovered){ .refuse = TENURE_OK };
    enum tenure_err err = fixture_open(env, &options, &journal, out_recovered, out_report, &error);
    if (err != TENURE_OK) FAIL("open: %s", error.text);
    return journal;
}

enum tenure_err fixture_commit(
    struct journal *journal,
    uint64_t first_seq,
    uint32_t count,
    size_t record_size,
    struct tenure_error *out_error)
{
    char *records = calloc(count, record_size);
    CHECK(records != NULL);
    for (uint32_t i = 0; i < count; i++) {
        uint64_t seq = first_seq + i;
        char *record = records + i * record_size;
        memset(record, (int)(seq | 1), record_size);
        memcpy(record, &seq, sizeof(seq));
    }
    struct journal_batch batch = {
        .first = { first_seq },
        .count = count,
        .records = { records, count * record_size },
    };
    enum tenure_err err = journal_commit(journal, &batch, out_error);
    free(records);
    return err;
}

void fixture_must_commit(
    struct journal *journal, uint64_t first_seq, uint32_t count, size_t record_size)
{
    struct tenure_error error = { .text = "" };
    enum tenure_err err = fixture_commit(journal, first_seq, count, record_size, &error);
    if (err != TENURE_OK) FAIL("commit: %s", error.text);
}

enum tenure_err fixture_snapshot(
    struct journal *journal,
    uint64_t seq,
    unsigned chunk_count,
    size_t chunk_size,
    struct tenure_error *out_error)
{
    enum tenure_err err = journal_snapshot_begin(journal, (struct seq){ seq }, out_error);
    if (err != TENURE_OK) return err;
    char *chunk = malloc(chunk_size);
    CHECK(chunk != NULL);
    for (unsigned k = 0; k < chunk_count && err == TENURE_OK; k++) {
        for (size_t i = 0; i < chunk_size; i++)
            chunk[i] = (char)(k + i);
        err = journal_snapshot_append(journal, (struct bytes){ chunk, chunk_size }, out_error);
    }
    free(chunk);
    if (err != TENURE_OK) return err;
    return journal_snapshot_finish(journal, out_error);
}

unsigned fixture_count_files(const struct env_memory *memory, const char *prefix)
{
    unsigned count = 0;
    for (size_t i = 0; env_memory_name(memory, i) != NULL; i++) {
        count += strncmp(env_memory_name(memory, i), prefix, strlen(prefix)) == 0;
    }
    return count;
}
