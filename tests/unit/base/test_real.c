#include <float.h>
#include <locale.h>
#include <math.h>

#include "base/real.h"
#include "lib/random.h"
#include "lib/test.h"

static bool parses(const char *text)
{
    double value;
    return real_parse(bytes_from_text(text), &value);
}

static bool is_same(double left, double right)
{
    return memcmp(&left, &right, sizeof left) == 0;
}

TEST(real_reads_decimal_numbers_alone)
{
    static const char *const good[] = { "0",   "-0",     "1.5",   ".5",      "5.",   "+3",
                                        "1e3", "-2E-10", "1e308", "0.1e+20", "00012" };
    static const char *const bad[] = { "",      "-",   ".",   "e5", "1e",      "1e+",   "inf",
                                       "nan",   "0x1", " 1",  "1 ", "1,5",     "1e309", "-1e999",
                                       "1.2.3", "--1", "1d5", "٣",  "infinity" };
    for (size_t index = 0; index < sizeof good / sizeof *good; index++) {
        test_note("%s", good[index]);
        CHECK(parses(good[index]));
    }
    for (size_t index = 0; index < sizeof bad / sizeof *bad; index++) {
        test_note("%s", bad[index]);
        CHECK(!parses(bad[index]));
    }
}

TEST(real_knows_the_words_for_no_bound)
{
    double value;
    CHECK(real_parse_extended(BYTES_LITERAL("-inf"), &value) && is_same(value, -HUGE_VAL));
    CHECK(real_parse_extended(BYTES_LITERAL("+inf"), &value) && is_same(value, HUGE_VAL));
    CHECK(real_parse_extended(BYTES_LITERAL("inf"), &value) && is_same(value, HUGE_VAL));
    CHECK(real_parse_extended(BYTES_LITERAL("-1.5"), &value) && is_same(value, -1.5));
    CHECK(!real_parse_extended(BYTES_LITERAL("infi"), &value));
    CHECK(!real_parse_extended(BYTES_LITERAL("-"), &value));
}

static void check_back(double value)
{
    char text[REAL_SIZE_MAX];
    double again;
    size_t size = real_format(value, text);
    CHECK_LE_UINT(size, REAL_SIZE_MAX);
    CHECK(real_parse((struct bytes){ text, size }, &again));
    CHECK(is_same(again, value));
}

TEST(real_comes_back_from_the_shortest_text)
{
    static const double values[] = { 0, 1, -1.5, 0.1, DBL_MAX, -DBL_MAX, DBL_MIN, 5e-324, 1e22 };
    struct test_random random = { 3 };
    char text[REAL_SIZE_MAX];
    for (size_t index = 0; index < sizeof values / sizeof *values; index++) {
        check_back(values[index]);
    }
    for (unsigned count = 0; count < 100000; count++) {
        uint64_t bits = test_random_next(&random);
        double value;
        memcpy(&value, &bits, sizeof value);
        if (value >= -DBL_MAX && value <= DBL_MAX) check_back(value);
    }
    CHECK_EQ_BYTES(((struct bytes){ text, real_format(0.1, text) }), BYTES_LITERAL("0.1"));
    CHECK_EQ_BYTES(((struct bytes){ text, real_format(10.25, text) }), BYTES_LITERAL("10.25"));
    CHECK_EQ_BYTES(((struct bytes){ text, real_format(-3, text) }), BYTES_LITERAL("-3"));
}

/* The locale is the program's.  Where these are not installed, the C locale is looked at thrice. */
TEST(real_knows_one_decimal_point)
{
    static const char *const locales[] = { "de_DE.UTF-8", "fr_FR.UTF-8", "ps_AF.UTF-8" };
    for (size_t index = 0; index < sizeof locales / sizeof *locales; index++) {
        char text[REAL_SIZE_MAX];
        double value;
        test_note("%s", locales[index]);
        (void)setlocale(LC_NUMERIC, locales[index]);
        CHECK(real_parse(BYTES_LITERAL("-12.5e1"), &value) && is_same(value, -125));
        CHECK(real_parse(BYTES_LITERAL(".5"), &value) && is_same(value, 0.5));
        CHECK(real_parse(BYTES_LITERAL("25.e-2"), &value) && is_same(value, 0.25));
        CHECK(!parses("1,5"));
        CHECK_EQ_BYTES(((struct bytes){ text, real_format(10.25, text) }), BYTES_LITERAL("10.25"));
        CHECK_EQ_BYTES(
            ((struct bytes){ text, real_format(-1.5e-300, text) }), BYTES_LITERAL("-1.5e-300"));
        check_back(-DBL_MIN);
        (void)setlocale(LC_NUMERIC, "C");
    }
}
