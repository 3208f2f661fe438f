#include "journal/listing.h"

#include <errno.h>
#include <stdlib.h>

/* An interrupted listing is begun anew, so often. */
#define ATTEMPT_COUNT 100u

static void add_name(void *user, const char *text)
{
    struct journal_listing *listing = user;
    struct journal_name name;
    if (!journal_name_parse(text, &name) || listing->is_failed) return;
    if (listing->count == listing->capacity) {
        uint32_t capacity = listing->capacity == 0 ? 64 : listing->capacity * 2;
        struct journal_name *names = memory_resize(
            listing->memory,
            listing->names,
            listing->capacity * sizeof(*names),
            capacity * sizeof(*names));
        if (names == NULL) {
            listing->is_failed = true;
            return;
        }
        listing->names = names;
        listing->capacity = capacity;
    }
    listing->names[listing->count++] = name;
}

static int compare_names(const void *left_item, const void *right_item)
{
    const struct journal_name *left = left_item;
    const struct journal_name *right = right_item;
    if (left->is_temporary != right->is_temporary) return left->is_temporary ? 1 : -1;
    if (left->kind != right->kind) return left->kind < right->kind ? -1 : 1;
    return (left->number > right->number) - (left->number < right->number);
}

enum tenure_err journal_listing_read(
    const struct journal_dir *dir,
    const struct memory *memory,
    struct journal_listing *out_listing,
    struct tenure_error *out_error)
{
    struct journal_listing listing = { .memory = memory };
    int result = -EINTR;
    for (unsigned attempt = 0; attempt < ATTEMPT_COUNT && result == -EINTR; attempt++) {
        listing.count = 0;
        result = dir->env->list(dir->env->context, dir->handle, add_name, &listing);
    }
    if (result < 0 || listing.is_failed) {
        journal_listing_deinit(&listing);
        if (result < 0) return journal_error_system(out_error, result, "list", "the directory");
        return journal_error_set(out_error, TENURE_NO_MEMORY, 0, "no memory to list the files");
    }
    if (listing.count > 1) {
        qsort(listing.names, listing.count, sizeof(*listing.names), compare_names);
    }
    *out_listing = listing;
    return TENURE_OK;
}

void journal_listing_deinit(struct journal_listing *listing)
{
    if (listing->names == NULL) return;
    memory_give(listing->memory, listing->names, listing->capacity * sizeof(*listing->names));
    *listing = (struct journal_listing){ .memory = listing->memory };
}

const struct journal_name *journal_listing_find(
    const struct journal_listing *listing, enum journal_file_kind kind, uint32_t *out_count)
{
    const struct journal_name *first = NULL;
    uint32_t count = 0;
    for (uint32_t i = 0; i < listing->count; i++) {
        const struct journal_name *name = &listing->names[i];
        if (name->kind != kind || name->is_temporary) continue;
        if (first == NULL) first = name;
        count++;
    }
    *out_count = count;
    return first;
}
