/* grant - carry out what has been decided: holds are granted, together and with one token each. */
#ifndef TENURE_ENGINE_GRANT_H
#define TENURE_ENGINE_GRANT_H

#include "engine/state.h"

#define GRANT_SLOT_LOWEST UINT32_MAX

struct grant {
    struct hold *const *holds; /* prepared, or waiting and all of one waiter */
    uint32_t hold_count;
    uint32_t slots;
    uint32_t slot;   /* GRANT_SLOT_LOWEST, or a free one */
    uint64_t client; /* whom to tell */
    uint64_t tag;
    int64_t waited_ms;
};

/* Grant and answer.  False when there is no memory (nothing changed then). */
MUST_USE bool grant_holds(struct engine *engine, const struct grant *grant);
/* Room for the records and the state of a grant of these.  False when there is no memory. */
MUST_USE bool grant_reserve(struct engine *engine, struct hold *const *holds, uint32_t hold_count);
/* The token of the next grant or take. */
struct token grant_next_token(const struct engine *engine);
/* Are there tokens left for so many more grants? */
bool grant_has_tokens(const struct engine *engine, uint32_t count);

#endif
