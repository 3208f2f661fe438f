#include "mode_item.h"

#include <stdlib.h>

#define HEAD        "bench/item/"
#define HEAD_SIZE   (sizeof(HEAD) - 1)
#define DIGIT_COUNT 12u
/* How far a slot may be ahead of those of its items that nobody has taken.  Queues give the oldest
 * item first and a slot takes one for each that it puts, so that none is left far behind. */
#define TURNS_AHEAD 64u

void mode_items_init(struct mode_run *run, bool are_all_put)
{
    run->item_count = are_all_put ? run->name_count : (uint64_t)run->slot_count * TURNS_AHEAD;
    run->items = calloc(run->item_count, sizeof(uint64_t));
    ASSERT(run->items != NULL);
    for (uint64_t i = 0; are_all_put && i < run->item_count; i++) {
        run->items[i] = i + 1;
    }
}

void mode_items_deinit(struct mode_run *run)
{
    free(run->items);
}

/* bench/item/000000000042, and dots up to the size. */
void mode_item_put(
    struct mode_run *run, const struct mode_slot *slot, char out_body[static MODE_BODY_SIZE])
{
    uint64_t number = slot->index + run->slot_count * slot->turn;
    run->items[number % run->item_count] = number + 1;
    memset(out_body, '.', MODE_BODY_SIZE);
    memcpy(out_body, HEAD, HEAD_SIZE);
    mode_digits_write(out_body + HEAD_SIZE, DIGIT_COUNT, number);
}

static bool parse_body(struct bytes body, uint64_t *out_number)
{
    if (body.size != MODE_BODY_SIZE || memcmp(body.data, HEAD, HEAD_SIZE) != 0) return false;
    uint64_t number = 0;
    for (size_t i = HEAD_SIZE; i < HEAD_SIZE + DIGIT_COUNT; i++) {
        if (body.data[i] < '0' || body.data[i] > '9') return false;
        number = number * 10 + (uint64_t)(body.data[i] - '0');
    }
    for (size_t i = HEAD_SIZE + DIGIT_COUNT; i < MODE_BODY_SIZE; i++) {
        if (body.data[i] != '.') return false;
    }
    *out_number = number;
    return true;
}

bool mode_item_take(struct mode_run *run, struct bytes body)
{
    uint64_t number = 0;
    if (!parse_body(body, &number)) return false;
    uint64_t *place = &run->items[number % run->item_count];
    if (*place != number + 1) return false;
    *place = 0;
    return true;
}
