/* rounds - how many rounds of votes a grant took, as one Redis node sees it.
 *
 * Listens to all that the node is told (MONITOR), and counts, of each owner of one lock, for how
 * many tokens it asked the node's vote until it released the lock.  The node is slower while it is
 * listened to, so this goes into a run of its own. */
#ifndef TENURE_BENCH_ROUNDS_H
#define TENURE_BENCH_ROUNDS_H

#include <stdbool.h>
#include <stdint.h>

struct rounds;

/* Start a thread that listens to HOST:PORT; NULL when the node cannot be listened to. */
struct rounds *rounds_listen(const char *host_and_port, const char *name);
/* Hear what the node was asked until now, and stop; false when it hung up before that. */
bool rounds_end(struct rounds *rounds);
/* Takes NULL; sets it to NULL. */
void rounds_destroy(struct rounds **rounds);

/* Of the grants seen: how many they were, and a quantile of their rounds (1: the most). */
uint64_t rounds_count(const struct rounds *rounds);
unsigned rounds_quantile(const struct rounds *rounds, double fraction);

#endif
