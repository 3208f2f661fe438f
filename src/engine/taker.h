/* taker - who waits at queues: for an item, or for the end of one.  Lives as long as its client's
 * connection. */
#ifndef TENURE_ENGINE_TAKER_H
#define TENURE_ENGINE_TAKER_H

#include "engine/item.h"
#include "engine/state.h"

/* A take that waits at all of these queues.  NULL when there is no memory. */
MUST_USE struct taker *taker_create(
    struct engine *engine, const struct engine_command *command, struct work *const *works);
/* Somebody who waits for the end of an item.  NULL when there is no memory. */
MUST_USE struct taker *
taker_await(struct engine *engine, const struct engine_command *command, struct item *item);
/* Out of everything.  Its memory lasts until the next step. */
void taker_remove(struct engine *engine, struct taker *taker);
void taker_free(struct engine *engine, struct taker *taker);
/* NULL when there is none. */
struct taker *taker_find(const struct engine *engine, uint64_t client, uint64_t tag);
struct taker *taker_of_client(const struct engine *engine, uint64_t client);
/* One of those who wait for the end of this item; NULL when nobody does. */
struct taker *taker_of_item(const struct engine *engine, const struct item *item);
uint32_t taker_count_of_item(const struct engine *engine, const struct item *item);
struct bytes taker_worker(const struct taker *taker);
/* An answer without an item; the taker is removed.  False when there is no memory (it stays). */
MUST_USE bool taker_give_up(struct engine *engine, struct taker *taker, enum tenure_err err);

/* Room to tell all who wait for this item. */
MUST_USE bool taker_reserve_ends(struct engine *engine, const struct item *item);
/* The item has ended (TENURE_OK), or is about to be forgotten without that (TENURE_NOT_FOUND): who
 * waits for its end is told when the step ends, because an answer may be in the making.  Room was
 * reserved. */
void taker_note_end(struct engine *engine, struct item *item, enum tenure_err err);
void takers_tell(struct engine *engine);

#endif
