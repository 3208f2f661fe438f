/* mode_item - the items of the modes of queues: their bodies, and which of them are to be taken.
 *
 * Each item has a number, index + slots * turn of the slot that puts it, which stands in its body.
 */
#ifndef TENURE_BENCH_MODE_ITEM_H
#define TENURE_BENCH_MODE_ITEM_H

#include "mode.h"

#define MODE_BODY_SIZE 100u

/* Keep account of items.  Of a mode that only takes, all `name_count` have been put before. */
void mode_items_init(struct mode_run *run, bool are_all_put);
void mode_items_deinit(struct mode_run *run);
/* The body of the item that the slot is about to put. */
void mode_item_put(
    struct mode_run *run, const struct mode_slot *slot, char out_body[static MODE_BODY_SIZE]);
/* An item was taken: true if it is whole, was put, and was not taken before. */
MUST_USE bool mode_item_take(struct mode_run *run, struct bytes body);

#endif
