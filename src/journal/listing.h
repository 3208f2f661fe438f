/* listing - which of the journal's files are in the directory. */
#ifndef TENURE_JOURNAL_LISTING_H
#define TENURE_JOURNAL_LISTING_H

#include "base/memory.h"
#include "journal/file.h"

/* Finished files by kind and number, then the temporary ones. */
struct journal_listing {
    struct journal_name *names;
    uint32_t count;
    uint32_t capacity;
    const struct memory *memory;
    bool is_failed;
};

/* Files that are none of ours are left out. */
MUST_USE enum tenure_err journal_listing_read(
    const struct journal_dir *dir,
    const struct memory *memory,
    struct journal_listing *out_listing,
    struct tenure_error *out_error);
/* Accepts a zeroed listing. */
void journal_listing_deinit(struct journal_listing *listing);

/* The finished files of one kind: returns the first, NULL when there are none. */
const struct journal_name *journal_listing_find(
    const struct journal_listing *listing, enum journal_file_kind kind, uint32_t *out_count);

#endif
