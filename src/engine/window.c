#include "engine/window.h"

#include "base/assert.h"

/* A ninth of the memory finds the rest: 8 bytes an event of at least 64. */
#define POSITION_SHARE 9u
#define ENTRY_SIZE_MIN 64u
#define ALIGNMENT      8u

bool window_init(struct window *window, const struct memory *memory, size_t size)
{
    size_t position_count = size / POSITION_SHARE / sizeof(uint64_t);
    size_t ring_size = (size - position_count * sizeof(uint64_t)) & ~(size_t)(ALIGNMENT - 1);
    ASSERT(position_count > 0 && ring_size > ENTRY_SIZE_MIN);

    *window = (struct window){
        .memory = memory, .ring_size = ring_size, .position_count = position_count, .first = { 1 }
    };
    window->ring = memory_take(memory, ring_size);
    window->positions = memory_take(memory, position_count * sizeof(uint64_t));
    if (window->ring != NULL && window->positions != NULL) return true;
    window_deinit(window);
    return false;
}

void window_deinit(struct window *window)
{
    if (window->memory == NULL) return;
    memory_give(window->memory, window->ring, window->ring_size);
    memory_give(window->memory, window->positions, window->position_count * sizeof(uint64_t));
    *window = (struct window){ 0 };
}

void window_restart(struct window *window, struct seq last)
{
    ASSERT(window->first.value > window->last.value);
    window->last = last;
    window->first.value = last.value + 1;
    window->head = 0;
    window->tail = 0;
}

static size_t entry_size(size_t record_size)
{
    return (sizeof(struct window_entry) + record_size + ALIGNMENT - 1) & ~(size_t)(ALIGNMENT - 1);
}

static struct window_entry *entry_at(const struct window *window, uint64_t position)
{
    return (struct window_entry *)(void *)(window->ring + position % window->ring_size);
}

/* Where an entry of this size goes: at the tail, or at the start of the ring when the rest of it
 * is too short.  Entries never wrap. */
static uint64_t place_for(const struct window *window, size_t size)
{
    uint64_t offset = window->tail % window->ring_size;
    if (offset + size <= window->ring_size) return window->tail;
    return window->tail + (window->ring_size - offset);
}

bool window_is_full(const struct window *window, size_t size)
{
    if (window->first.value > window->last.value) return false;
    if (window->last.value + 1 - window->first.value >= window->position_count) return true;
    size_t whole = entry_size(size);
    return place_for(window, whole) + whole - window->head > window->ring_size;
}

void *window_evict(struct window *window)
{
    ASSERT(window->first.value <= window->last.value);
    void *subject = entry_at(window, window->head)->subject;
    window->first.value++;
    window->head = window->first.value > window->last.value
                       ? window->tail
                       : window->positions[window->first.value % window->position_count];
    return subject;
}

void window_append(struct window *window, void *subject, struct seq previous, struct bytes record)
{
    size_t whole = entry_size(record.size);
    ASSERT(!window_is_full(window, record.size));
    uint64_t position = place_for(window, whole);
    if (window->first.value > window->last.value) window->head = position;

    window->last.value++;
    window->positions[window->last.value % window->position_count] = position;
    struct window_entry *entry = entry_at(window, position);
    *entry = (struct window_entry){ .subject = subject, .previous = previous, .size = record.size };
    memcpy(entry + 1, record.data, record.size);
    window->tail = position + whole;
}

const struct window_entry *window_find(const struct window *window, struct seq seq)
{
    if (seq.value < window->first.value || seq.value > window->last.value) return NULL;
    return entry_at(window, window->positions[seq.value % window->position_count]);
}
