#include "base/types.h"
#include "lib/test.h"

TEST(bytes_equal_compares_contents)
{
    char other[] = "abc";
    CHECK(bytes_equal(BYTES_LITERAL("abc"), bytes_from_text(other)));
    CHECK(!bytes_equal(BYTES_LITERAL("abc"), BYTES_LITERAL("abd")));
    CHECK(!bytes_equal(BYTES_LITERAL("abc"), BYTES_LITERAL("ab")));
    CHECK(bytes_equal((struct bytes){ NULL, 0 }, BYTES_LITERAL("")));
    CHECK(!bytes_equal(BYTES_LITERAL("a\0b"), BYTES_LITERAL("a\0c")));
}

TEST(bytes_compare_orders_as_unsigned_bytes)
{
    static const char *const sorted[] = { "", "a", "a\x01", "aa", "b", "\x7f", "\x80", "\xff" };
    enum { COUNT = sizeof(sorted) / sizeof(sorted[0]) };
    for (int i = 0; i < COUNT; i++) {
        for (int j = 0; j < COUNT; j++) {
            int order = bytes_compare(bytes_from_text(sorted[i]), bytes_from_text(sorted[j]));
            test_note("%d and %d", i, j);
            CHECK_EQ_INT((order > 0) - (order < 0), (i > j) - (i < j));
        }
    }
    CHECK_EQ_INT(bytes_compare((struct bytes){ NULL, 0 }, (struct bytes){ NULL, 0 }), 0);
}

TEST(bytes_start_with)
{
    CHECK(bytes_start_with(BYTES_LITERAL("abc"), BYTES_LITERAL("ab")));
    CHECK(bytes_start_with(BYTES_LITERAL("abc"), BYTES_LITERAL("abc")));
    CHECK(bytes_start_with(BYTES_LITERAL("abc"), (struct bytes){ NULL, 0 }));
    CHECK(!bytes_start_with(BYTES_LITERAL("abc"), BYTES_LITERAL("abcd")));
    CHECK(!bytes_start_with(BYTES_LITERAL("abc"), BYTES_LITERAL("b")));
}
