/* rank - members sorted by score, and by bytes where scores are equal; who is at which place. */
#ifndef TENURE_ENGINE_RANK_H
#define TENURE_ENGINE_RANK_H

#include "engine/state.h"

/* Scores are never NaN. */
static inline int score_compare(double left, double right)
{
    return (left > right) - (left < right);
}

/* Who is in, or about to be; NULL when there is none. */
struct member *rank_find(const struct engine *engine, const struct key *key, struct bytes name);
/* A member that is in the table and not yet in its rank; the rank too is made if need be.  NULL:
 * no memory. */
MUST_USE struct member *rank_create(struct engine *engine, struct key *key, struct bytes name);
/* Give back one that did not get in. */
void rank_discard(struct engine *engine, struct member *member);
/* In at this score, or at another one than before. */
void rank_place(struct engine *engine, struct member *member, double score);
/* Out, and freed. */
void rank_remove(struct engine *engine, struct member *member);
/* How many are before it. */
uint32_t rank_position(const struct member *member);
/* The one at a position; NULL behind the last. */
struct member *rank_at(const struct rank *rank, uint32_t position);
/* How many have a score below this; with `is_open`, or equal to it. */
uint32_t rank_count_below(const struct rank *rank, double score, bool is_open);
/* The one behind; NULL at the end. */
struct member *rank_next(const struct member *member);
/* Asserts its order and its spans. */
void rank_check(const struct key *key);

#endif
