/* window - the recent events of all names, in bounded memory.
 *
 * A ring of encoded records, found by seq, each linked to the event of the same name before it.  It
 * serves the history of a name, streams that resume, and the answers to requests repeated after a
 * lost reply.  What is older than the ring can hold is forgotten, oldest first.
 *
 * A lock or queue is kept while the window remembers an event of it: the window tells who lost one
 * (window_evict), and the caller decides. */
#ifndef TENURE_ENGINE_WINDOW_H
#define TENURE_ENGINE_WINDOW_H

#include "base/memory.h"
#include "base/types.h"

struct window_entry {
    void *subject;       /* the lock or queue; the kind of the record says which */
    struct seq previous; /* the event of this subject before; perhaps no longer in the window */
    uint64_t size;       /* of the record that follows */
};

struct window {
    char *ring;
    size_t ring_size;
    uint64_t *positions; /* of the entry of a seq, at seq % position_count */
    size_t position_count;
    uint64_t head; /* absolute: position modulo ring_size is the place */
    uint64_t tail;
    struct seq first; /* first > last: empty */
    struct seq last;
    const struct memory *memory;
};

/* False when there is no memory. */
MUST_USE bool window_init(struct window *window, const struct memory *memory, size_t size);
void window_deinit(struct window *window);
/* Empty, and go on behind `last`. */
void window_restart(struct window *window, struct seq last);
/* Must the oldest event go before a record of this size fits? */
bool window_is_full(const struct window *window, size_t size);
/* Forget the oldest event; returns whose it was.  The window must not be empty. */
void *window_evict(struct window *window);
/* Append the event numbered last + 1.  It must fit. */
void window_append(struct window *window, void *subject, struct seq previous, struct bytes record);
/* NULL when the seq is not in the window. */
const struct window_entry *window_find(const struct window *window, struct seq seq);

static inline struct bytes window_record(const struct window_entry *entry)
{
    return (struct bytes){ (const char *)(entry + 1), entry->size };
}

#endif
