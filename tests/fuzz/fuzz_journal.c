/* fuzz_journal - damage to the files of a journal, and what recovery makes of it.
 *
 * The first byte chooses a sound journal; the rest is a script of damage to its files.  Plain
 * damage (changed bytes, moved bytes, cut, lost and exchanged files) never makes a checksum right:
 * then recovery refuses, or hands over exactly what was committed up to some record, and an end
 * that is missing without a word was really wiped out.  Forged damage writes what it likes and
 * mends the checksums: then nothing may crash, and whatever an engine accepts keeps its invariants.
 *
 * In any case a refusal changes nothing, to look and to open for writing see the same, and what was
 * opened can be gone on with and opened again. */
#include <stdio.h>
#include <stdlib.h>

#include "base/crc32c.h"
#include "base/memory.h"
#include "fuzz/journal_bases.h"
#include "journal/format.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define DAMAGE_COUNT_MAX 40u
#define FILE_SIZE_MAX    20000u

struct script {
    const uint8_t *data;
    size_t size;
    const struct base *base;
    struct env_memory *memory;
    bool is_forged;
    bool has_other_files; /* a file was lost, exchanged, or has another size */
};

/* What a recovery handed over. */
struct seen {
    const struct script *script;
    struct engine *engine; /* NULL: nobody looks into the records */
    struct seq snapshot_seq;
    bool is_snapshot_open;
    struct buffer chunks;
    uint64_t seq_last;
    uint32_t hash; /* of everything, in order */
    bool is_engine_refusing;
};

/* ------------------------------------------------------------------ script */

static uint32_t take(struct script *script, unsigned byte_count)
{
    uint32_t value = 0;
    for (unsigned i = 0; i < byte_count; i++) {
        value = value << 8 | (script->size > 0 ? *script->data : 0);
        if (script->size > 0) {
            script->data++;
            script->size--;
        }
    }
    return value;
}

static const char *take_name(struct script *script)
{
    size_t count = 0;
    while (env_memory_name(script->memory, count) != NULL) {
        count++;
    }
    uint32_t choice = take(script, 1);
    return count == 0 ? NULL : env_memory_name(script->memory, choice % count);
}

/* A range of a file; empty where there is none. */
static struct bytes take_range(struct script *script)
{
    const char *name = take_name(script);
    uint32_t start = take(script, 2);
    uint32_t size = take(script, 2);
    if (name == NULL) return (struct bytes){ NULL, 0 };
    struct bytes file = env_memory_file(script->memory, name);
    if (file.size == 0) return (struct bytes){ NULL, 0 };
    start %= (uint32_t)file.size;
    size %= (uint32_t)(file.size - start) + 1;
    return (struct bytes){ file.data + start, size };
}

static unsigned char *writable(struct bytes bytes)
{
    return (unsigned char *)(uintptr_t)bytes.data;
}

static void put_copy(struct script *script, const char *name, struct bytes contents)
{
    static char copy[FILE_SIZE_MAX];
    size_t size = contents.size < FILE_SIZE_MAX ? contents.size : FILE_SIZE_MAX;
    if (size > 0) memcpy(copy, contents.data, size);
    env_memory_put(script->memory, name, (struct bytes){ copy, size });
    script->has_other_files = true;
}

static void flip(struct script *script)
{
    struct bytes range = take_range(script);
    uint32_t value = take(script, 1);
    if (range.size > 0) writable(range)[0] ^= (unsigned char)value;
}

static void fill(struct script *script)
{
    struct bytes range = take_range(script);
    uint32_t value = take(script, 1);
    if (range.size > 0) memset(writable(range), (int)value, range.size);
}

static void move_range(struct script *script)
{
    struct bytes from = take_range(script);
    struct bytes to = take_range(script);
    size_t size = from.size < to.size ? from.size : to.size;
    if (size > 0) memmove(writable(to), from.data, size);
}

static void resize(struct script *script)
{
    const char *name = take_name(script);
    uint32_t size = take(script, 2);
    if (name == NULL) return;
    struct bytes file = env_memory_file(script->memory, name);
    char longer[FILE_SIZE_MAX] = { 0 };
    size %= FILE_SIZE_MAX;
    if (file.size > 0) memcpy(longer, file.data, size < file.size ? size : file.size);
    put_copy(script, name, (struct bytes){ longer, size });
}

static void lose_file(struct script *script)
{
    const char *name = take_name(script);
    if (name != NULL) env_memory_remove(script->memory, name);
    script->has_other_files = true;
}

static void exchange_file(struct script *script)
{
    const char *from = take_name(script);
    const char *to = take_name(script);
    if (from != NULL) put_copy(script, to, env_memory_file(script->memory, from));
}

static void take_foreign_file(struct script *script)
{
    const struct base *other = journal_base((enum base_kind)(take(script, 1) % BASE_COUNT));
    uint32_t index = take(script, 1);
    const char *name = env_memory_name(other->memory, index % 10);
    if (name == NULL) return;
    put_copy(script, name, env_memory_file(other->memory, name));
    /* With its identity it may become that other journal, rightly. */
    if (strcmp(name, "identity") == 0) script->is_forged = true;
}

/* ------------------------------------------------------------------ forged */

static void write_bytes(struct script *script)
{
    struct bytes range = take_range(script);
    for (size_t i = 0; i < range.size && script->size > 0 && i < 256; i++) {
        writable(range)[i] = (unsigned char)take(script, 1);
    }
    script->is_forged = true;
}

static uint32_t get_u32(const unsigned char *at)
{
    return (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}

static void put_u32(unsigned char *at, uint32_t value)
{
    for (unsigned i = 0; i < 4; i++) {
        at[i] = (unsigned char)(value >> 8 * i);
    }
}

static uint32_t put_crc(unsigned char *at, const unsigned char *from, size_t size)
{
    uint32_t crc = crc32c(0, from, size);
    put_u32(at, crc);
    return crc;
}

static void mend_segment(unsigned char *bytes, size_t size)
{
    if (size < JOURNAL_SEGMENT_HEADER_SIZE) return;
    uint32_t chain = put_crc(bytes + 92, bytes, 92);
    size_t at = JOURNAL_SEGMENT_HEADER_SIZE;
    while (size - at >= JOURNAL_BATCH_HEADER_SIZE && memcmp(bytes + at, "TBAT", 4) == 0) {
        unsigned char *header = bytes + at;
        uint64_t padded = journal_batch_padded_size(get_u32(header + 32));
        if (padded > size - at - JOURNAL_BATCH_HEADER_SIZE) return;
        (void)put_crc(header + 44, header + JOURNAL_BATCH_HEADER_SIZE, (size_t)padded);
        put_u32(header + 48, chain);
        chain = put_crc(header + 4, header + 8, 48);
        at += JOURNAL_BATCH_HEADER_SIZE + (size_t)padded;
    }
}

static void mend_snapshot(unsigned char *bytes, size_t size)
{
    if (size < JOURNAL_SNAPSHOT_HEADER_SIZE) return;
    (void)put_crc(bytes + 44, bytes, 44);
    size_t at = JOURNAL_SNAPSHOT_HEADER_SIZE;
    while (size - at >= JOURNAL_CHUNK_HEADER_SIZE) {
        uint32_t chunk_size = get_u32(bytes + at);
        if (chunk_size == JOURNAL_TRAILER_SIGN) {
            if (size - at < JOURNAL_TRAILER_SIZE) return;
            (void)put_crc(bytes + at + 24, bytes, at);
            (void)put_crc(bytes + at + 4, bytes + at + 8, 24);
            return;
        }
        if (chunk_size > size - at - JOURNAL_CHUNK_HEADER_SIZE) return;
        struct bytes chunk = { (const char *)bytes + at + JOURNAL_CHUNK_HEADER_SIZE, chunk_size };
        put_u32(bytes + at + 4, journal_chunk_crc(chunk));
        at += JOURNAL_CHUNK_HEADER_SIZE + chunk_size;
    }
}

static void mend(struct script *script)
{
    const char *name = take_name(script);
    script->is_forged = true;
    if (name == NULL) return;
    struct bytes file = env_memory_file(script->memory, name);
    if (file.size < JOURNAL_PREAMBLE_SIZE) return;
    unsigned char *bytes = writable(file);
    (void)put_crc(bytes + 28, bytes, 28);
    if (strncmp(name, "segment-", 8) == 0) mend_segment(bytes, file.size);
    if (strncmp(name, "snapshot-", 9) == 0) mend_snapshot(bytes, file.size);
}

static void make_file(struct script *script)
{
    static const char *const kinds[] = { "segment-", "spare-", "snapshot-", "other-" };
    char name[48];
    uint32_t choice = take(script, 1);
    uint32_t high = (choice & 4) != 0 ? take(script, 4) : 0;
    (void)snprintf(
        name,
        sizeof(name),
        "%s%016llx%s",
        kinds[choice & 3],
        (unsigned long long)high << 32 | take(script, 1),
        (choice & 8) != 0 ? ".tmp" : "");
    put_copy(script, name, (struct bytes){ (const char *)script->data, script->size });
    script->is_forged = true;
    script->size = 0;
}

static void damage(struct script *script)
{
    static void (*const kinds[])(struct script *) = {
        flip,      fill,        move_range,        resize,      lose_file, exchange_file,
        flip,      fill,        take_foreign_file, write_bytes, mend,      mend,
        make_file, write_bytes,
    };
    for (unsigned i = 0; i < DAMAGE_COUNT_MAX && script->size > 0; i++) {
        kinds[take(script, 1) % (sizeof(kinds) / sizeof(kinds[0]))](script);
    }
}

/* ------------------------------------------------------------------- looks */

static enum tenure_err
refuse(struct seen *seen, enum tenure_err err, struct tenure_error *out_error)
{
    if (err == TENURE_OK) return TENURE_OK;
    ASSERT(err == TENURE_CORRUPT || err == TENURE_UNSUPPORTED);
    seen->is_engine_refusing = true;
    *out_error = (struct tenure_error){ .code = err, .text = "the engine objects" };
    return err;
}

static void note(struct seen *seen, uint64_t number, struct bytes bytes)
{
    seen->hash = crc32c(seen->hash, &number, sizeof(number));
    seen->hash = crc32c(seen->hash, bytes.data, bytes.size);
}

static enum tenure_err visit_snapshot(void *user, struct seq seq, struct tenure_error *out_error)
{
    struct seen *seen = user;
    (void)out_error;
    ASSERT(seen->seq_last == 0 && seq.value > 0);
    seen->snapshot_seq = seq;
    seen->seq_last = seq.value;
    seen->is_snapshot_open = true;
    return TENURE_OK;
}

static enum tenure_err visit_chunk(void *user, struct bytes chunk, struct tenure_error *out_error)
{
    struct seen *seen = user;
    ASSERT(seen->is_snapshot_open && chunk.size > 0);
    note(seen, 0, chunk);
    buffer_append_bytes(&seen->chunks, chunk);
    if (seen->engine == NULL) return TENURE_OK;
    return refuse(seen, engine_restore_chunk(seen->engine, chunk), out_error);
}

static void check_snapshot(const struct seen *seen)
{
    const struct base *base = seen->script->base;
    for (uint32_t i = 0; i < base->snapshot_count; i++) {
        if (base->snapshot_seqs[i] != seen->snapshot_seq.value) continue;
        ASSERT(bytes_equal(buffer_bytes(&base->snapshots[i]), buffer_bytes(&seen->chunks)));
        return;
    }
    UNREACHABLE("a snapshot that was never taken");
}

static enum tenure_err end_snapshot(struct seen *seen, struct tenure_error *out_error)
{
    if (!seen->is_snapshot_open) return TENURE_OK;
    seen->is_snapshot_open = false;
    if (!seen->script->is_forged) check_snapshot(seen);
    if (seen->engine == NULL) return TENURE_OK;
    enum tenure_err err = engine_restore_snapshot_end(seen->engine, seen->snapshot_seq);
    return refuse(seen, err, out_error);
}

static void
check_batch(const struct base *base, struct seq first, uint32_t count, struct bytes records)
{
    for (uint32_t i = 0; i < base->batch_count; i++) {
        const struct base_batch *batch = &base->batches[i];
        if (batch->first != first.value) continue;
        ASSERT(batch->count == count && bytes_equal(batch->records, records));
        return;
    }
    UNREACHABLE("a batch that was never committed");
}

static enum tenure_err visit_batch(
    void *user,
    struct seq first,
    uint32_t count,
    struct bytes records,
    struct tenure_error *out_error)
{
    struct seen *seen = user;
    enum tenure_err err = end_snapshot(seen, out_error);
    if (err != TENURE_OK) return err;
    ASSERT(count > 0 && records.size > 0);
    ASSERT(first.value > 0 && first.value <= seen->seq_last + 1);
    if (!seen->script->is_forged) check_batch(seen->script->base, first, count, records);
    note(seen, first.value, records);
    seen->seq_last = first.value + count - 1;
    if (seen->engine == NULL) return TENURE_OK;
    err = engine_restore_batch(seen->engine, first, count, records);
    return refuse(seen, err, out_error);
}

static void make_ready(struct engine *engine)
{
    uint64_t hash = engine_hash(engine);
    struct engine_event event = { .kind = ENGINE_READY, .now = { NS_PER_S }, .wall = { 1 } };
    struct engine_update update;
    ASSERT(engine_step(engine, &event, &update) == TENURE_OK);
    engine_check(engine);
    ASSERT(engine_hash(engine) == hash);
}

/* Open as the server does.  The journal itself is for the caller; NULL: it was refused. */
static struct journal *open_and_see(
    struct env_memory *memory, bool is_read_only, struct seen *seen, struct journal_report *report)
{
    struct journal_visitor visitor = { visit_snapshot, visit_chunk, visit_batch, seen };
    struct journal_options options = journal_base_options();
    struct tenure_error error = { .text = "" };
    struct journal *journal = NULL;
    options.is_read_only = is_read_only;
    enum tenure_err err =
        journal_open(&options, env_memory_env(memory), &visitor, &journal, report, &error);
    if (err == TENURE_OK && end_snapshot(seen, &error) != TENURE_OK) journal_destroy(&journal);
    if (err != TENURE_OK) {
        ASSERT(error.code == err && error.text[0] != '\0');
        ASSERT(err == TENURE_CORRUPT || err == TENURE_UNSUPPORTED || err == TENURE_NOT_FOUND);
    } else if (journal != NULL) {
        ASSERT(report->seq.value == seen->seq_last);
        if (seen->engine != NULL) make_ready(seen->engine);
    }
    return journal;
}

static struct seen seen_create(const struct script *script, bool has_engine)
{
    struct seen seen = { .script = script };
    buffer_init(&seen.chunks, &memory_heap);
    if (has_engine && script->base->is_for_engine) seen.engine = journal_base_engine();
    return seen;
}

static void seen_destroy(struct seen *seen)
{
    buffer_deinit(&seen->chunks);
    engine_destroy(&seen->engine);
}

/* ------------------------------------------------------------------ checks */

static void check_same_files(const struct env_memory *left, const struct env_memory *right)
{
    size_t count = 0;
    for (; env_memory_name(left, count) != NULL; count++) {
        const char *name = env_memory_name(left, count);
        struct bytes there = env_memory_file(right, name);
        ASSERT(there.data != NULL || there.size == 0);
        ASSERT(bytes_equal(env_memory_file(left, name), there));
    }
    ASSERT(env_memory_name(right, count) == NULL);
}

static size_t size_to_last_byte(struct bytes file)
{
    while (file.size > 0 && file.data[file.size - 1] == '\0') {
        file.size--;
    }
    return file.size;
}

/* Records are missing at the end and nothing was said: then the end was wiped out. */
static void check_silent_loss(const struct script *script)
{
    const char *last = NULL;
    for (size_t i = 0; env_memory_name(script->base->memory, i) != NULL; i++) {
        const char *name = env_memory_name(script->base->memory, i);
        if (strncmp(name, "segment-", 8) != 0) continue;
        if (last == NULL || strcmp(name, last) > 0) last = name;
    }
    ASSERT(last != NULL);
    struct bytes before = env_memory_file(script->base->memory, last);
    struct bytes after = env_memory_file(script->memory, last);
    ASSERT(size_to_last_byte(after) < size_to_last_byte(before));
}

static void check_plain(
    const struct script *script, const struct seen *seen, const struct journal_report *report)
{
    ASSERT(!seen->is_engine_refusing);
    bool is_silent = report->text[0] == '\0' && !report->is_new;
    if (!is_silent || script->has_other_files) return;
    if (seen->seq_last < script->base->seq_last) check_silent_loss(script);
}

/* What recovery has found sound is found so again. */
static void scrub(struct journal *journal, bool is_sound)
{
    bool is_done = false;
    for (unsigned steps = 0; !is_done; steps++) {
        struct tenure_error error;
        enum tenure_err err = journal_scrub_step(journal, 1000, &is_done, &error);
        ASSERT(err == TENURE_OK || (!is_sound && err == TENURE_CORRUPT));
        ASSERT(steps < 10000);
    }
}

/* What was opened goes on, and is found again. */
static void go_on(struct script *script, struct journal **journal, const struct seen *before)
{
    if (before->seq_last >= UINT64_MAX / 2) {
        journal_destroy(journal);
        return;
    }
    struct tenure_error error;
    struct journal_batch batch = { { before->seq_last + 1 }, 1, BYTES_LITERAL("one record") };
    ASSERT(journal_commit(*journal, &batch, &error) == TENURE_OK);
    journal_destroy(journal);
    struct seen after = seen_create(script, false);
    struct journal_report report;
    script->is_forged = true; /* the new batch is none of the base's */
    *journal = open_and_see(script->memory, false, &after, &report);
    ASSERT(*journal != NULL);
    ASSERT(after.seq_last == before->seq_last + 1);
    journal_destroy(journal);
    seen_destroy(&after);
}

static void check(struct script *script)
{
    struct env_memory *untouched = env_memory_copy(script->memory);
    struct seen looked = seen_create(script, true);
    struct journal_report report;
    struct journal *journal = open_and_see(script->memory, true, &looked, &report);
    bool is_sound = journal != NULL;
    journal_destroy(&journal);
    check_same_files(untouched, script->memory);
    ASSERT(env_memory_handle_count(script->memory) == 0);
    if (!script->is_forged && (is_sound || looked.is_engine_refusing)) {
        check_plain(script, &looked, &report);
    }

    struct seen opened = seen_create(script, true);
    journal = open_and_see(script->memory, false, &opened, &report);
    if (journal == NULL) {
        ASSERT(!is_sound);
        check_same_files(untouched, script->memory);
    } else {
        /* A directory without a journal is refused to who only looks, and begun by who writes. */
        ASSERT(is_sound || report.is_new);
        ASSERT(opened.hash == looked.hash && opened.seq_last == looked.seq_last);
        scrub(journal, report.text[0] == '\0');
        go_on(script, &journal, &opened);
    }
    ASSERT(env_memory_handle_count(script->memory) == 0);
    seen_destroy(&opened);
    seen_destroy(&looked);
    env_memory_destroy(&untouched);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1) return 0;
    struct script script = { .data = data + 1, .size = size - 1 };
    script.base = journal_base((enum base_kind)(data[0] % BASE_COUNT));
    script.memory = env_memory_copy(script.base->memory);
    damage(&script);
    check(&script);
    env_memory_destroy(&script.memory);
    return 0;
}
