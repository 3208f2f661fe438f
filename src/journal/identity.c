#include "journal/identity.h"

#include <errno.h>
#include <inttypes.h>

#include "journal/listing.h"
#include "journal/scan.h"

static const struct journal_name identity_name = { JOURNAL_FILE_IDENTITY, false, 0 };
static const struct journal_name identity_temporary = { JOURNAL_FILE_IDENTITY, true, 0 };

static enum tenure_err
lock_identity(const struct journal *journal, int file, struct tenure_error *out_error)
{
    int result = journal->dir.env->lock(journal->dir.env->context, file);
    for (unsigned i = 0; i < 100 && result == -EINTR; i++) {
        result = journal->dir.env->lock(journal->dir.env->context, file);
    }
    if (result == -EWOULDBLOCK) {
        return journal_error_set(
            out_error, TENURE_UNAVAILABLE, EWOULDBLOCK, "another server uses this directory");
    }
    if (result < 0) return journal_error_system(out_error, result, "lock", "identity");
    return TENURE_OK;
}

static enum tenure_err damaged(struct tenure_error *out_error)
{
    return journal_error_set(
        out_error,
        TENURE_CORRUPT,
        0,
        "identity: damaged at offset 0; nothing was changed; put back this file from any backup of "
        "the directory: it never changes");
}

static enum tenure_err read_identity(
    const struct journal *journal,
    int file,
    struct journal_id *out_id,
    struct tenure_error *out_error)
{
    unsigned char bytes[JOURNAL_PREAMBLE_SIZE];
    int64_t size = journal_file_size(&journal->dir, file);
    if (size < 0) return journal_error_system(out_error, size, "measure", "identity");
    if (size != sizeof(bytes)) return damaged(out_error);
    int result = journal_file_read(&journal->dir, file, bytes, sizeof(bytes), 0);
    if (result < 0) return journal_error_system(out_error, result, "read", "identity");
    switch (journal_preamble_decode(JOURNAL_FILE_IDENTITY, bytes, NULL, out_id)) {
    case JOURNAL_PREAMBLE_OK: return TENURE_OK;
    case JOURNAL_PREAMBLE_NEWER:
        return journal_error_set(
            out_error,
            TENURE_UNSUPPORTED,
            0,
            "this journal was written by a newer version of tenured; start that version");
    case JOURNAL_PREAMBLE_DAMAGED:
    case JOURNAL_PREAMBLE_FOREIGN: break;
    }
    return damaged(out_error);
}

static enum tenure_err
open_existing(struct journal *journal, int file, struct tenure_error *out_error)
{
    enum tenure_err err = TENURE_OK;
    if (!journal->is_read_only) err = lock_identity(journal, file, out_error);
    if (err == TENURE_OK) err = read_identity(journal, file, &journal->id, out_error);
    if (err != TENURE_OK || journal->is_read_only) {
        journal_file_close(&journal->dir, file);
        return err;
    }
    journal->identity_file = file;
    return TENURE_OK;
}

/* A first start that was cut short leaves segment 1 with nothing behind its header. */
static enum tenure_err check_unused(
    struct journal *journal,
    const struct journal_name *name,
    bool *out_is_unused,
    struct tenure_error *out_error)
{
    struct journal_name_text text = journal_name_format(*name);
    int file = journal_file_open(&journal->dir, *name, ENV_OPEN_READ);
    if (file < 0) return journal_error_system(out_error, file, "open", text.text);
    enum tenure_err err = TENURE_OK;
    int64_t size = journal_file_size(&journal->dir, file);
    int result = 0;
    if (size < 0) {
        err = journal_error_system(out_error, size, "measure", text.text);
        goto close_file;
    }
    buffer_reset(&journal->block);
    if (!buffer_reserve(&journal->block, (size_t)size)) {
        err = journal_error_set(out_error, TENURE_NO_MEMORY, 0, "no memory to read a segment");
        goto close_file;
    }
    result = journal_file_read(&journal->dir, file, journal->block.data, (size_t)size, 0);
    if (result < 0) {
        err = journal_error_system(out_error, result, "read", text.text);
        goto close_file;
    }
    *out_is_unused =
        size < JOURNAL_SEGMENT_HEADER_SIZE ||
        journal_scan_garbage_size(
            (struct bytes){ journal->block.data, (size_t)size }, JOURNAL_SEGMENT_HEADER_SIZE) == 0;

close_file:
    journal_file_close(&journal->dir, file);
    return err;
}

/* Without an identity: is this directory one in which a journal may be begun?  Nobody writes
 * records before the identity has its name, so that this holds without the lock. */
static enum tenure_err check_virgin(struct journal *journal, struct tenure_error *out_error)
{
    struct journal_listing listing;
    enum tenure_err err = journal_listing_read(&journal->dir, journal->memory, &listing, out_error);
    if (err != TENURE_OK) return err;
    uint32_t segment_count;
    uint32_t snapshot_count;
    const struct journal_name *segment =
        journal_listing_find(&listing, JOURNAL_FILE_SEGMENT, &segment_count);
    (void)journal_listing_find(&listing, JOURNAL_FILE_SNAPSHOT, &snapshot_count);
    bool is_unused =
        snapshot_count == 0 && (segment_count == 0 || (segment_count == 1 && segment->number == 1));
    if (is_unused && segment_count == 1) {
        err = check_unused(journal, segment, &is_unused, out_error);
    }
    journal_listing_deinit(&listing);
    if (err != TENURE_OK || is_unused) return err;
    return journal_error_set(
        out_error,
        TENURE_CORRUPT,
        0,
        "identity: missing, but there are segments or snapshots; nothing was changed; put back "
        "this "
        "file from any backup of the directory: it never changes");
}

/* A temporary identity that nobody has locked is left from a first start that was cut short, or it
 * is that of a server that is just about to lock it.  It is used, and never removed: so the file
 * that is locked is the one that the name means. */
static enum tenure_err
create_temporary(struct journal *journal, int *out_file, struct tenure_error *out_error)
{
    int file = journal_file_open(&journal->dir, identity_temporary, ENV_OPEN_CREATE);
    if (file == -EEXIST) {
        file = journal_file_open(&journal->dir, identity_temporary, ENV_OPEN_WRITE);
    }
    if (file < 0) return journal_error_system(out_error, file, "create", "identity.tmp");
    enum tenure_err err = lock_identity(journal, file, out_error);
    if (err != TENURE_OK) {
        journal_file_close(&journal->dir, file);
        return err;
    }
    *out_file = file;
    return TENURE_OK;
}

static enum tenure_err create_new(struct journal *journal, struct tenure_error *out_error)
{
    int file = -1;
    enum tenure_err err = create_temporary(journal, &file, out_error);
    if (err != TENURE_OK) return err;
    /* Another server may have finished its first start between our look and our lock. */
    int other = journal_file_open(&journal->dir, identity_name, ENV_OPEN_READ);
    if (other < 0 && other != -ENOENT) {
        journal_file_close(&journal->dir, file);
        return journal_error_system(out_error, other, "open", "identity");
    }
    if (other >= 0) {
        journal_file_close(&journal->dir, other);
        journal_file_close(&journal->dir, file);
        return journal_error_set(
            out_error, TENURE_UNAVAILABLE, 0, "another server has just begun this journal");
    }
    int result = journal->dir.env->random(
        journal->dir.env->context, journal->id.bytes, sizeof(journal->id.bytes));
    unsigned char bytes[JOURNAL_PREAMBLE_SIZE];
    if (result >= 0) {
        journal_preamble_encode(JOURNAL_FILE_IDENTITY, &journal->id, bytes);
        result = journal_file_truncate(&journal->dir, file, 0);
    }
    if (result >= 0) result = journal_file_write(&journal->dir, file, bytes, sizeof(bytes), 0);
    if (result >= 0) result = journal_file_sync(&journal->dir, file);
    if (result < 0) {
        journal_file_close(&journal->dir, file);
        return journal_error_system(out_error, result, "write", "identity.tmp");
    }
    journal->identity_file = file;
    return TENURE_OK;
}

/* Open the identity that is there.  When there is none, `*out_is_missing`, unless that is damage.
 */
static enum tenure_err
find_existing(struct journal *journal, bool *out_is_missing, struct tenure_error *out_error)
{
    int file = journal_file_open(&journal->dir, identity_name, ENV_OPEN_READ);
    *out_is_missing = file == -ENOENT;
    if (file >= 0) return open_existing(journal, file, out_error);
    if (!*out_is_missing) return journal_error_system(out_error, file, "open", "identity");
    return check_virgin(journal, out_error);
}

static enum tenure_err not_there(struct tenure_error *out_error)
{
    return journal_error_set(
        out_error, TENURE_NOT_FOUND, 0, "there is no journal in this directory");
}

enum tenure_err
journal_identity_open(struct journal *journal, bool *out_is_new, struct tenure_error *out_error)
{
    bool is_missing;
    enum tenure_err err = find_existing(journal, &is_missing, out_error);
    if (err != TENURE_OK) return err;
    if (is_missing && journal->is_read_only) return not_there(out_error);
    *out_is_new = is_missing;
    return is_missing ? create_new(journal, out_error) : TENURE_OK;
}

enum tenure_err journal_identity_lock(struct journal *journal, struct tenure_error *out_error)
{
    bool is_missing;
    enum tenure_err err = find_existing(journal, &is_missing, out_error);
    return err == TENURE_OK && is_missing ? not_there(out_error) : err;
}

enum tenure_err journal_identity_publish(struct journal *journal, struct tenure_error *out_error)
{
    int result = journal_file_rename(&journal->dir, identity_temporary, identity_name);
    if (result >= 0) result = journal_dir_sync(&journal->dir);
    if (result < 0) return journal_error_system(out_error, result, "name", "identity");
    return TENURE_OK;
}
