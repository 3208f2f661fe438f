/* taken - what a hold is beside its lease when it is an item of a queue: a copy of the item, and
 * its end. */
#ifndef TENURE_CLIENT_TAKEN_H
#define TENURE_CLIENT_TAKEN_H

#include <tenure/queue.h>

#include "client/client.h"

struct taken {
    const struct memory *memory;
    size_t size; /* of this block; the texts lie behind it */
    struct store_item_claim claim;
    struct tenure_item item; /* as it was when it was taken */
    bool is_cancelling;      /* under the registry's mutex */
};

/* A copy.  NULL: there is no memory. */
struct taken *tni_taken_create(const struct memory *memory, const struct store_item *item);
/* Accepts NULL. */
void tni_taken_destroy(struct taken *taken);

/* In the words of the public header. */
struct tenure_item tni_item_of(const struct store_item *item);

/* What the request of an end is made of.  NULL: it is sound; else what is wrong. */
const char *
tni_finish_of_fail(const struct tenure_fail_options *options, struct store_finish *out_finish);

#endif
