/* snapshot_state - how far a snapshot is that is being written, or read.  Part of state.h. */
#ifndef TENURE_ENGINE_SNAPSHOT_STATE_H
#define TENURE_ENGINE_SNAPSHOT_STATE_H

#include "engine/engine.h"
#include "engine/keys.h"
#include "engine/work.h"

struct lock;

struct snapshot {
    bool is_active;
    bool is_failed;
    uint32_t number; /* of the snapshot under way; locks it has captured carry it */
    struct seq seq;
    struct seq event_next; /* first event not written */
    struct lock *cursor;   /* first lock not looked at, in order of names; NULL at the end */
    struct work_cursor works;
    struct key_cursor keys;
    struct buffer images; /* locks as they were at `seq`, on their way out */
    size_t images_read;   /* bytes of them that have left */
    struct token token_high;
    uint64_t hold_count; /* at `seq` */
    uint64_t captured;   /* holds in images so far */
    bool is_head_written;
};

struct restore {
    bool is_head_read;
    bool is_end_read;
    struct seq seq;
    uint64_t hold_count; /* as the end entry says */
    uint64_t item_count;
    bool has_works; /* it is of a version that knows queues */
    bool has_keys;  /* … and shared state: all events come first */
    bool are_events_read;
    uint64_t register_count;
    uint64_t member_count;
};

#endif
