#include <stdio.h>

#include "engine/lock.h"
#include "engine/name_index.h"
#include "lib/random.h"
#include "lib/test.h"
#include "unit/engine/harness.h"

#define NAME_COUNT 2000

/* Names of all lengths over few letters, so that many are prefixes of others. */
static struct bytes name_of(unsigned number, char room[32])
{
    size_t size = 0;
    for (unsigned rest = number + 1; rest > 0; rest /= 3) {
        room[size++] = (char)("a/\xc3"[rest % 3]);
    }
    return (struct bytes){ room, size };
}

static void check_against(const struct engine *engine, const bool *is_there)
{
    uint32_t count = 0;
    const struct lock *previous = NULL;
    for (struct lock *lock = name_index_first(engine); lock != NULL; lock = name_index_next(lock)) {
        if (previous != NULL) CHECK(bytes_compare(lock_name(previous), lock_name(lock)) < 0);
        previous = lock;
        count++;
    }
    uint32_t expected = 0;
    for (unsigned number = 0; number < NAME_COUNT; number++) {
        char room[32];
        struct bytes name = name_of(number, room);
        const struct lock *lock = name_index_seek(engine, name);
        bool is_found = lock != NULL && bytes_equal(lock_name(lock), name);
        CHECK(is_found == is_there[number]);
        if (lock != NULL) CHECK(bytes_compare(lock_name(lock), name) >= 0);
        expected += is_there[number];
    }
    CHECK_EQ_UINT(count, expected);
}

TEST(name_index_is_in_order_whatever_comes_and_goes)
{
    static bool is_there[NAME_COUNT];
    struct harness *harness = harness_open();
    struct engine *engine = harness->engine;
    struct test_random random = { 7 };
    for (unsigned round = 0; round < 20000; round++) {
        char room[32];
        /* Runs of neighbours, as a snapshot brings them, and single ones. */
        unsigned start = (unsigned)test_random_below(&random, NAME_COUNT);
        struct bytes name = name_of(start, room);
        struct lock *lock = lock_find(engine, name);
        CHECK((lock != NULL) == is_there[start]);
        if (lock == NULL) {
            CHECK(lock_obtain(engine, name) != NULL);
        } else {
            lock_settle(engine, lock);
            lock_free(engine, lock);
            engine->dead_locks = NULL;
        }
        is_there[start] = !is_there[start];
        if (round % 1000 == 999) check_against(engine, is_there);
    }
    for (unsigned number = 0; number < NAME_COUNT; number++) {
        char room[32];
        if (is_there[number]) lock_settle(engine, lock_find(engine, name_of(number, room)));
    }
    CHECK(name_index_first(engine) == NULL);
    harness_close(&harness);
}

TEST(name_index_takes_names_in_order_and_backwards)
{
    for (int step = -1; step <= 1; step += 2) {
        struct harness *harness = harness_open();
        char name[16];
        for (int number = 0; number < 3000; number++) {
            int shown = step > 0 ? number : 2999 - number;
            (void)snprintf(name, sizeof name, "n%06d", shown);
            CHECK(lock_obtain(harness->engine, bytes_from_text(name)) != NULL);
        }
        int shown = 0;
        for (struct lock *lock = name_index_first(harness->engine); lock != NULL; shown++) {
            struct lock *next = name_index_next(lock);
            (void)snprintf(name, sizeof name, "n%06d", shown);
            CHECK_EQ_BYTES(lock_name(lock), bytes_from_text(name));
            lock_settle(harness->engine, lock);
            lock = next;
        }
        CHECK_EQ_INT(shown, 3000);
        harness_close(&harness);
    }
}

/* A removal between two insertions in order: the place of the last one is not to be trusted. */
TEST(name_index_forgets_the_last_place_when_a_name_goes)
{
    struct harness *harness = harness_open();
    struct engine *engine = harness->engine;
    struct test_random random = { 3 };
    char name[16];
    for (unsigned number = 0; number < 500; number++) {
        (void)snprintf(name, sizeof name, "k%04u", number);
        CHECK(lock_obtain(engine, bytes_from_text(name)) != NULL);
        (void)snprintf(name, sizeof name, "k%04u", (unsigned)test_random_below(&random, 500));
        struct lock *victim = lock_find(engine, bytes_from_text(name));
        if (victim != NULL) lock_settle(engine, victim);
    }
    const struct lock *previous = NULL;
    uint32_t count = 0;
    for (struct lock *lock = name_index_first(engine); lock != NULL;) {
        struct lock *next = name_index_next(lock);
        if (previous != NULL) CHECK(bytes_compare(lock_name(previous), lock_name(lock)) < 0);
        previous = lock;
        count++;
        lock = next;
    }
    CHECK_EQ_UINT(count, engine->locks.count);
    while (name_index_first(engine) != NULL) {
        lock_settle(engine, name_index_first(engine));
    }
    harness_close(&harness);
}

/* A quarter of each level goes on to the next. */
TEST(name_index_levels_thin_out)
{
    struct test_random random = { 11 };
    uint32_t reached[INDEX_LEVEL_MAX + 2] = { 0 };
    for (unsigned round = 0; round < 100000; round++) {
        uint8_t level = name_index_level(test_random_next(&random));
        CHECK_LE_UINT(1, level);
        CHECK_LE_UINT(level, INDEX_LEVEL_MAX);
        for (unsigned below = 1; below <= level; below++) {
            reached[below]++;
        }
    }
    for (unsigned level = 1; level < 5; level++) {
        CHECK_LT_UINT(reached[level + 1], reached[level] * 3 / 10);
        CHECK_LT_UINT(reached[level] / 5, reached[level + 1]);
    }
    CHECK_EQ_UINT(name_index_level(0), INDEX_LEVEL_MAX);
}
