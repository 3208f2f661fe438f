#include "engine/rank.h"

#include "engine/name_index.h"

/* ---------------------------------------------------------------------- table */

struct member_key {
    const struct key *key;
    struct bytes name;
};

static bool is_member(const struct map_node *node, const void *wanted)
{
    const struct member_key *key = wanted;
    const struct member *member = CONTAINER_OF_CONST(node, struct member, names);
    return member->key == key->key && bytes_equal(member_name(member), key->name);
}

static uint64_t hash_of(const struct engine *engine, const struct key *key, struct bytes name)
{
    uint64_t hash = siphash(&engine->options.hash_key, name);
    return hash ^ (key->names.hash * UINT64_C(0x9e3779b97f4a7c15));
}

struct member *rank_find(const struct engine *engine, const struct key *key, struct bytes name)
{
    struct member_key wanted = { key, name };
    struct map_node *node =
        map_find(&engine->keys.members, (uint32_t)hash_of(engine, key, name), is_member, &wanted);
    return node == NULL ? NULL : CONTAINER_OF(node, struct member, names);
}

static size_t member_size(const struct member *member)
{
    return sizeof *member + member->level * sizeof(struct rank_link) + member->size;
}

struct member *rank_create(struct engine *engine, struct key *key, struct bytes name)
{
    ASSERT(name.size > 0 && name.size <= LIMIT_MEMBER_SIZE_MAX);
    if (key->rank == NULL) {
        key->rank = memory_take(engine->memory, sizeof *key->rank);
        if (key->rank == NULL) return NULL;
        *key->rank = (struct rank){ 0 };
    }
    uint64_t hash = hash_of(engine, key, name);
    struct member shape = { .key = key,
                            .level = name_index_level(hash),
                            .size = (uint8_t)name.size };
    if (!map_reserve(&engine->keys.members)) return NULL;
    struct member *member = memory_take(engine->memory, member_size(&shape));
    if (member == NULL) return NULL;
    *member = shape;
    memcpy(member->links + member->level, name.data, name.size);
    map_insert(&engine->keys.members, &member->names, (uint32_t)hash);
    member->names.user = engine->snapshot.number; /* a snapshot under way does not know it */
    return member;
}

void rank_discard(struct engine *engine, struct member *member)
{
    ASSERT(!member->is_in);
    map_remove(&engine->keys.members, &member->names);
    memory_give(engine->memory, member, member_size(member));
}

/* ---------------------------------------------------------------------- order */

static bool is_before(const struct member *member, double score, struct bytes name)
{
    int order = score_compare(member->score, score);
    if (order != 0) return order < 0;
    return bytes_compare(member_name(member), name) < 0;
}

/* For each level the link that passes over a place, and how many members are before the one whose
 * link it is, itself included. */
struct path {
    struct rank_link *links[RANK_LEVEL_MAX];
    uint32_t positions[RANK_LEVEL_MAX];
};

/* Returns how many are before the place. */
static uint32_t find_path(struct rank *rank, double score, struct bytes name, struct path *out_path)
{
    struct rank_link *links = rank->heads;
    uint32_t position = 0;
    for (unsigned level = RANK_LEVEL_MAX; level-- > 0;) {
        while (links[level].next != NULL && is_before(links[level].next, score, name)) {
            position += links[level].span;
            links = links[level].next->links;
        }
        out_path->links[level] = &links[level];
        out_path->positions[level] = position;
    }
    return position;
}

static void link_member(struct rank *rank, struct member *member)
{
    struct path path;
    uint32_t position = find_path(rank, member->score, member_name(member), &path);
    for (unsigned level = 0; level < RANK_LEVEL_MAX; level++) {
        struct rank_link *passing = path.links[level];
        if (level >= member->level) {
            passing->span++;
            continue;
        }
        uint32_t passed = position - path.positions[level];
        member->links[level].next = passing->next;
        member->links[level].span = passing->span - passed;
        passing->next = member;
        passing->span = passed + 1;
    }
    struct member *next = member->links[0].next;
    member->previous = next == NULL ? rank->last : next->previous;
    if (next == NULL) rank->last = member;
    if (next != NULL) next->previous = member;
    rank->count++;
}

static void unlink_member(struct rank *rank, struct member *member)
{
    struct path path;
    (void)find_path(rank, member->score, member_name(member), &path);
    for (unsigned level = 0; level < RANK_LEVEL_MAX; level++) {
        struct rank_link *passing = path.links[level];
        passing->span--;
        if (level >= member->level) continue;
        ASSERT(passing->next == member);
        passing->next = member->links[level].next;
        passing->span += member->links[level].span;
    }
    struct member *next = member->links[0].next;
    if (next == NULL) rank->last = member->previous;
    if (next != NULL) next->previous = member->previous;
    rank->count--;
}

/* A snapshot that is about to look at this one goes on behind it. */
static void leave_cursor(struct engine *engine, const struct member *member)
{
    struct key_cursor *cursor = &engine->snapshot.keys;
    if (cursor->member == member) cursor->member = member->links[0].next;
}

void rank_place(struct engine *engine, struct member *member, double score)
{
    struct rank *rank = member->key->rank;
    if (member->is_in) {
        leave_cursor(engine, member);
        unlink_member(rank, member);
    } else {
        if (rank->count == 0) engine->keys.rank_count++;
        engine->keys.member_count++;
        engine->keys.bytes += member->size;
    }
    member->is_in = true;
    member->score = score;
    link_member(rank, member);
}

void rank_remove(struct engine *engine, struct member *member)
{
    ASSERT(member->is_in);
    leave_cursor(engine, member);
    unlink_member(member->key->rank, member);
    if (member->key->rank->count == 0) engine->keys.rank_count--;
    member->is_in = false;
    engine->keys.member_count--;
    engine->keys.bytes -= member->size;
    rank_discard(engine, member);
}

/* -------------------------------------------------------------------- looking */

uint32_t rank_position(const struct member *member)
{
    struct path path;
    return find_path(member->key->rank, member->score, member_name(member), &path);
}

struct member *rank_at(const struct rank *rank, uint32_t position)
{
    const struct rank_link *links = rank->heads;
    uint32_t before = 0; /* members before the next one, at level 0 */
    if (position >= rank->count) return NULL;
    for (unsigned level = RANK_LEVEL_MAX; level-- > 0;) {
        while (links[level].next != NULL && before + links[level].span <= position) {
            before += links[level].span;
            links = links[level].next->links;
        }
    }
    return links[0].next;
}

uint32_t rank_count_below(const struct rank *rank, double score, bool is_open)
{
    const struct rank_link *links = rank->heads;
    uint32_t before = 0;
    for (unsigned level = RANK_LEVEL_MAX; level-- > 0;) {
        for (const struct member *next = links[level].next;
             next != NULL && score_compare(next->score, score) < is_open;
             next = links[level].next)
        {
            before += links[level].span;
            links = next->links;
        }
    }
    return before;
}

struct member *rank_next(const struct member *member)
{
    return member->links[0].next;
}

/* ------------------------------------------------------------------- checking */

static void check_level(const struct rank *rank, unsigned level)
{
    const struct rank_link *link = &rank->heads[level];
    uint32_t position = 0;
    while (link->next != NULL) {
        position += link->span;
        ASSERT(link->next->level > level);
        ASSERT(rank_position(link->next) + 1 == position);
        link = &link->next->links[level];
    }
    ASSERT(position + link->span == rank->count);
}

void rank_check(const struct key *key)
{
    const struct rank *rank = key->rank;
    const struct member *previous = NULL;
    uint32_t count = 0;
    for (const struct member *member = rank->heads[0].next; member != NULL;
         member = rank_next(member)) {
        ASSERT(member->key == key && member->is_in && member->previous == previous);
        ASSERT(previous == NULL || is_before(previous, member->score, member_name(member)));
        previous = member;
        count++;
    }
    ASSERT(rank->last == previous && rank->count == count);
    for (unsigned level = 0; level < RANK_LEVEL_MAX; level++) {
        check_level(rank, level);
    }
}
