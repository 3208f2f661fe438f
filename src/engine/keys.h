/* keys - what the engine knows of shared state.  Private to src/engine.
 *
 * A key is a name with a register (a value that has a version), a rank (a set of members sorted by
 * score), or both: the two are different namespaces for clients, and share the table of names, the
 * index in byte order and the chain of events.  A key exists while it has either, while somebody
 * waits for it to change, and while the window remembers an event of it.
 *
 * The version of a register is the seq of its last change.  So it rises, is never given twice, also
 * when a register is removed and set again, and is the place from which a watch goes on.
 *
 * History.  The event of a change holds no value: the window keeps, as its subject, the value that
 * the change made, and that holds the one it replaced until the event is forgotten:
 *
 *      key ──> value 9 ──before──> value 5 ──before──> value 2
 *              ^ event 9           ^ event 5           (event 2 is forgotten, and so is what
 *                                                       value 2 replaced)
 *
 * So every event has its value and the one before at hand, whoever reads it and how late, and
 * nothing is copied.  An UNSET makes no value: its subject is the one that it ended, which waits
 * for nothing but the end of that event.  What only events keep counts against the size of the
 * window (output.c forgets more then).
 *
 * What few registers have (a ttl, a bond to a hold, somebody who waits) is in a block of its own.
 */
#ifndef TENURE_ENGINE_KEYS_H
#define TENURE_ENGINE_KEYS_H

#include "base/list.h"
#include "base/map.h"
#include "base/ordered.h"
#include "engine/registers.h"

#define KEY_LEVEL_MAX  12u
#define RANK_LEVEL_MAX 12u

struct key;

/* What a register is, or was, at one version. */
struct value {
    struct key *key;
    struct value *before; /* what it replaced, while the event of the change is remembered */
    struct seq version;
    uint32_t size;
    char bytes[];
};

struct member;

struct rank_link {
    struct member *next;
    uint32_t span; /* so many places on; at the end, so many members are behind */
};

/* A set sorted by (score, bytes of the member): a skip list (Pugh, 1990) whose links count what
 * they pass over.  Levels come from a keyed hash, as in name_index.h. */
struct rank {
    uint32_t count;
    struct member *last;
    struct rank_link heads[RANK_LEVEL_MAX];
};

struct member {
    struct map_node names; /* in keys.members; `user` is the snapshot that captured it last */
    struct key *key;
    double score;
    struct member *previous;
    uint8_t level;
    uint8_t size;
    bool is_in;               /* in the rank: else it is about to be */
    struct rank_link links[]; /* level of them, then its text */
};

struct key_terms {
    struct key *key;
    struct ordered_node timer; /* in keys.timers, with a ttl */
    int64_t deadline_ns;
    uint32_t ttl_ms; /* 0: none */
    struct bond *bond;
    struct list bound; /* in bond->keys */
    struct list waits; /* key_wait.link, first come first */
};

/* The registers that vanish with one hold. */
struct bond {
    struct map_node tokens; /* in keys.bonds */
    struct token token;
    struct list keys; /* key_terms.bound, in order of names */
    uint32_t count;
    uint32_t pin_count; /* somebody is about to use it */
    size_t record_size; /* of what must be recorded when the hold ends */
    uint8_t lock_size;
    char lock[];
};

struct key {
    struct map_node names; /* `user` is the snapshot that captured it last */
    struct value *value;   /* NULL: not set */
    struct rank *rank;     /* NULL: without members */
    struct key_terms *terms;
    struct seq last_seq;
    uint32_t event_count; /* of its events in the window */
    uint32_t pin_count;   /* somebody is about to use it */
    uint8_t name_size;
    uint8_t level;
    bool is_stored;        /* restoring: its snapshot has it */
    struct key *forward[]; /* level of them, then the name */
};

/* Somebody who waits until a register has changed. */
struct key_wait {
    struct map_node clients; /* in keys.waits */
    uint64_t client;
    uint64_t tag;
    uint64_t version;
    struct key *key;
    struct list link; /* in its terms, or in keys.ripe */
    struct ordered_node timer;
    int64_t deadline_ns;
    bool is_ripe; /* in keys.ripe; it pins its key then */
    struct key_wait *next_dead;
};

struct keys {
    struct map names;
    struct map members;
    struct map bonds;
    struct map waits;
    struct key *heads[KEY_LEVEL_MAX];    /* of the index in order of names */
    struct key **passing[KEY_LEVEL_MAX]; /* the pointers that pass over the place behind `last` */
    struct key *last;                    /* inserted last; NULL: `passing` means nothing */
    struct ordered timers;               /* terms, in engine time, and so is the next */
    struct ordered wait_timers;
    struct list ripe; /* waits that are to be answered when the step ends */
    uint32_t register_count, member_count;
    uint32_t rank_count;    /* of those with members */
    uint64_t bytes;         /* of values, and of members' names */
    uint64_t history_bytes; /* of values that only events keep */
    uint64_t arrival_count;
    struct key *dead_keys; /* freed by the next step */
    struct value *dead_values;
    struct bond *dead_bonds;
    struct key_wait *dead_waits;
};

/* How far a snapshot is with keys: the first that has not been looked at, and of its members. */
struct key_cursor {
    struct key *key;
    struct member *member;
    bool is_in_key; /* the key itself is done, its members are not */
    struct seq event_first;
    uint64_t register_count, member_count, registers_captured, members_captured;
};

struct engine;

static inline struct bytes key_name(const struct key *key)
{
    return (struct bytes){ (const char *)(key->forward + key->level), key->name_size };
}

static inline struct bytes member_name(const struct member *member)
{
    return (struct bytes){ (const char *)(member->links + member->level), member->size };
}

static inline struct bytes value_bytes(const struct value *value)
{
    return (struct bytes){ value->bytes, value->size };
}

static inline struct bytes bond_lock(const struct bond *bond)
{
    return (struct bytes){ bond->lock, bond->lock_size };
}

static inline uint64_t key_version(const struct key *key)
{
    return key->value == NULL ? 0 : key->value->version.value;
}

static inline uint32_t key_member_count(const struct key *key)
{
    return key->rank == NULL ? 0 : key->rank->count;
}

void keys_init(struct engine *engine);
void keys_deinit(struct engine *engine);
/* Free what died in the step before. */
void keys_bury(struct engine *engine);

#endif
