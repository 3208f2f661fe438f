#include "server/dump.h"

#include <inttypes.h>
#include <sysexits.h>

#include "base/list.h"
#include "proto/json_writer.h"
#include "server/json_shapes.h"
#include "server/restore.h"

#define FLUSH_SIZE ((size_t)64 << 10)

struct dump {
    struct restore restore;
    struct buffer out;
    bool is_failed; /* nobody takes what is printed */
};

static void flush(struct dump *dump)
{
    struct bytes out = buffer_bytes(&dump->out);
    /* No buffer, hence no pointer that fwrite would take, when nothing was printed. */
    bool is_written = out.size == 0 || fwrite(out.data, 1, out.size, stdout) == out.size;
    if (dump->out.is_failed || !is_written) dump->is_failed = true;
    buffer_reset(&dump->out);
}

static void print_record(struct dump *dump, const struct record *record)
{
    struct json_writer json;
    json_writer_init(&json, &dump->out);
    shape_event(&json, record);
    buffer_append_byte(&dump->out, '\n');
    if (dump->out.size >= FLUSH_SIZE) flush(dump);
}

/* A snapshot carries the events that were remembered when it was made. */
static void print_window(struct restore *restore)
{
    struct dump *dump = CONTAINER_OF(restore, struct dump, restore);
    struct seq last = engine_window_last(restore->engine);
    for (struct seq seq = engine_window_first(restore->engine); seq.value <= last.value;
         seq.value++) {
        struct record record;
        if (engine_window_read(restore->engine, seq, &record)) print_record(dump, &record);
    }
}

static void
print_batch(struct restore *restore, struct seq first, uint32_t count, struct bytes records)
{
    struct dump *dump = CONTAINER_OF(restore, struct dump, restore);
    for (uint32_t index = 0; index < count; index++) {
        struct record record;
        enum tenure_err err = record_decode(&records, &record);
        ASSERT(err == TENURE_OK); /* the engine has read it before */
        record.seq.value = first.value + index;
        /* A batch may begin with events that the snapshot has brought already. */
        if (record.seq.value > restore->snapshot_seq.value) print_record(dump, &record);
    }
}

/* The exit code; `out_report` is written when it is 0. */
static int look(struct dump *dump, const struct config *config, struct journal_report *out_report)
{
    struct journal_options options = {
        .path = config->action_path,
        .segment_size = JOURNAL_SEGMENT_SIZE_DEFAULT,
        .spare_count = JOURNAL_SPARE_COUNT_DEFAULT,
        .is_read_only = true,
    };
    struct journal *journal = NULL;
    struct journal_report report = { 0 };
    struct tenure_error error = { .text = "" };
    enum tenure_err err = restore_open(&dump->restore, &options, &journal, &report, &error);
    journal_destroy(&journal);
    if (err != TENURE_OK) {
        (void)fprintf(stderr, "tenured: %s\n", error.text);
        return restore_exit_code(err);
    }
    *out_report = report;
    return EX_OK;
}

int dump_check(const struct config *config)
{
    struct dump dump = { .restore = { .engine = restore_engine(config) } };
    struct journal_report report = { 0 };
    if (dump.restore.engine == NULL) return EX_OSERR;
    int code = look(&dump, config, &report);
    if (code == EX_OK) {
        (void)printf(
            "%s: sound: last event %" PRIu64 ", %" PRIu64 " holds, %" PRIu64 " segments, %" PRIu64
            " batches to replay\n",
            config->action_path,
            report.seq.value,
            engine_counters(dump.restore.engine).hold_count,
            report.segment_count,
            report.batch_count);
        if (report.text[0] != '\0') (void)printf("%s\n", report.text);
    }
    engine_destroy(&dump.restore.engine);
    return code;
}

int dump_print(const struct config *config)
{
    struct dump dump = {
        .restore = {
            .engine = restore_engine(config),
            .on_snapshot = print_window,
            .on_batch = print_batch,
        },
    };
    struct journal_report report = { 0 };
    if (dump.restore.engine == NULL) return EX_OSERR;
    buffer_init(&dump.out, &memory_heap);
    int code = look(&dump, config, &report);
    /* Also when damage was found behind them. */
    flush(&dump);
    if (fflush(stdout) != 0 || dump.is_failed) code = code == EX_OK ? EX_IOERR : code;
    buffer_deinit(&dump.out);
    engine_destroy(&dump.restore.engine);
    return code;
}
