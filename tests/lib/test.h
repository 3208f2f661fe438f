/* test - a runner for tests written in C.
 *
 *     #include "lib/test.h"
 *
 *     TEST(map_finds_what_was_inserted)
 *     {
 *         CHECK_EQ_INT(map.count, 1);
 *     }
 *
 * Linking test_dep brings main(); every TEST of the program registers itself.  Each test runs in a
 * process of its own, in a process group of its own, and has 30 seconds unless TEST_WITHIN says
 * otherwise, times TENURE_TEST_TIME_FACTOR of the environment; what it leaves running is killed.
 * The first check that fails ends the test.  A test passes when its function returns and the
 * process ends well, sanitizers included.
 *
 * The program prints a paragraph for each failed test and ends with "N passed, N failed"; its exit
 * status is 0 only when nothing failed and something ran.  Options: --help lists them. */
#ifndef TENURE_TESTS_LIB_TEST_H
#define TENURE_TESTS_LIB_TEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/types.h"

struct test_case {
    const char *name;
    void (*run)(void);
    unsigned limit_s;
    struct test_case *next;
};

#define TEST_LIMIT_S_DEFAULT 30u

#define TEST(name) TEST_WITHIN(TEST_LIMIT_S_DEFAULT, name)

/* A test with another time limit. */
#define TEST_WITHIN(limit_s, name)                                                                 \
    static void test_##name(void);                                                                 \
    __attribute__((constructor)) static void register_##name(void)                                 \
    {                                                                                              \
        static struct test_case test_case = { #name, test_##name, (limit_s), NULL };               \
        test_register(&test_case);                                                                 \
    }                                                                                              \
    static void test_##name(void)

/* What the macros stand on; not to be called directly. */
struct test_place {
    const char *file;
    int line;
};

#define TEST_PLACE ((struct test_place){ __FILE__, __LINE__ })

void test_register(struct test_case *test_case);
void test_check_int(
    struct test_place place, const char *what, int64_t left, const char *relation, int64_t right);
void test_check_uint(
    struct test_place place, const char *what, uint64_t left, const char *relation, uint64_t right);
void test_check_bytes(
    struct test_place place, const char *what, struct bytes left, struct bytes right);
void test_check_text(
    struct test_place place, const char *what, const char *left, const char *right);
/* In a process of its own, does `run` end by abort()? */
void test_check_aborts(struct test_place place, const char *what, void (*run)(void *), void *user);
__attribute__((noreturn, cold, format(printf, 2, 3))) void
test_fail(struct test_place place, const char *format, ...);

/* End the test as failed, with a message as of printf. */
#define FAIL(...) test_fail(TEST_PLACE, __VA_ARGS__)

#define CHECK(condition)                                                                           \
    ((condition) ? (void)0 : test_fail(TEST_PLACE, "does not hold: %s", #condition))

/* Integers, printed on failure.  CHECK_EQ_UINT and the like for what may be above INT64_MAX. */
#define CHECK_EQ_INT(left, right)  TEST_RELATION(int, int64_t, left, ==, right)
#define CHECK_NE_INT(left, right)  TEST_RELATION(int, int64_t, left, !=, right)
#define CHECK_LT_INT(left, right)  TEST_RELATION(int, int64_t, left, <, right)
#define CHECK_LE_INT(left, right)  TEST_RELATION(int, int64_t, left, <=, right)
#define CHECK_EQ_UINT(left, right) TEST_RELATION(uint, uint64_t, left, ==, right)
#define CHECK_NE_UINT(left, right) TEST_RELATION(uint, uint64_t, left, !=, right)
#define CHECK_LT_UINT(left, right) TEST_RELATION(uint, uint64_t, left, <, right)
#define CHECK_LE_UINT(left, right) TEST_RELATION(uint, uint64_t, left, <=, right)

#define TEST_RELATION(kind, type, left, relation, right)                                           \
    test_check_##kind(                                                                             \
        TEST_PLACE, #left " " #relation " " #right, (type)(left), #relation, (type)(right))

/* Terminated strings; NULL equals only NULL. */
#define CHECK_EQ_TEXT(left, right) test_check_text(TEST_PLACE, #left " == " #right, left, right)

/* Values of struct bytes. */
#define CHECK_EQ_BYTES(left, right) test_check_bytes(TEST_PLACE, #left " == " #right, left, right)

/* `run`, a void (*)(void *), must end the program by abort(): an ASSERT bites. */
#define CHECK_ABORTS(run, user) test_check_aborts(TEST_PLACE, #run " aborts", run, user)

/* Say where the test is (a seed, a step); printed if a later check fails.  Replaces the last one.
 */
__attribute__((format(printf, 1, 2))) void test_note(const char *format, ...);

#endif
