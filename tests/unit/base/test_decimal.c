#include <stdio.h>

#include "base/decimal.h"
#include "lib/random.h"
#include "lib/test.h"

#define UNTOUCHED 4711

static void check_good(const char *text, uint64_t expected)
{
    uint64_t value = UNTOUCHED;
    test_note("text \"%s\"", text);
    CHECK(decimal_parse(bytes_from_text(text), &value));
    CHECK_EQ_UINT(value, expected);
}

static void check_bad(struct bytes text)
{
    uint64_t value = UNTOUCHED;
    test_note("text \"%.*s\"", (int)text.size, text.data);
    CHECK(!decimal_parse(text, &value));
    CHECK_EQ_UINT(value, UNTOUCHED);
}

TEST(decimal_parse_accepts_the_whole_range)
{
    check_good("0", 0);
    check_good("7", 7);
    check_good("10", 10);
    check_good("9223372036854775808", UINT64_C(9223372036854775808));
    check_good("18446744073709551614", UINT64_MAX - 1);
    check_good("18446744073709551615", UINT64_MAX);
}

TEST(decimal_parse_refuses_everything_else)
{
    static const char *const texts[] = {
        "",
        "-",
        "+1",
        "-1",
        "-0",
        " 1",
        "1 ",
        "00",
        "01",
        "1a",
        "a",
        "1.0",
        "1e3",
        "0x1",
        "/",
        ":",
        "18446744073709551616",
        "18446744073709551620",
        "18446744073709551700",
        "20000000000000000000",
        "99999999999999999999",
        "100000000000000000000",
        "000000000000000000001",
    };
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        check_bad(bytes_from_text(texts[i]));
    check_bad((struct bytes){ "1\0", 2 });
    check_bad((struct bytes){ "\0", 1 });
    check_bad((struct bytes){ NULL, 0 });
    check_bad(BYTES_LITERAL("\xd9\xa1")); /* an Arabic digit */
}

TEST(decimal_parse_signed_accepts_the_whole_range)
{
    static const struct {
        const char *text;
        int64_t value;
    } rows[] = {
        { "0", 0 },
        { "-1", -1 },
        { "42", 42 },
        { "9223372036854775807", INT64_MAX },
        { "-9223372036854775807", -INT64_MAX },
        { "-9223372036854775808", INT64_MIN },
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        int64_t value = UNTOUCHED;
        test_note("text \"%s\"", rows[i].text);
        CHECK(decimal_parse_signed(bytes_from_text(rows[i].text), &value));
        CHECK_EQ_INT(value, rows[i].value);
    }
}

TEST(decimal_parse_signed_refuses_everything_else)
{
    static const char *const texts[] = {
        "",
        "-",
        "-0",
        "--1",
        "+1",
        "- 1",
        "-01",
        "9223372036854775808",
        "-9223372036854775809",
        "18446744073709551615",
        "-18446744073709551616",
    };
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        int64_t value = UNTOUCHED;
        test_note("text \"%s\"", texts[i]);
        CHECK(!decimal_parse_signed(bytes_from_text(texts[i]), &value));
        CHECK_EQ_INT(value, UNTOUCHED);
    }
}

static void check_round_trip(uint64_t value)
{
    char text[DECIMAL_SIZE_MAX];
    char expected[32];
    size_t size = decimal_format(value, text);
    (void)snprintf(expected, sizeof(expected), "%llu", (unsigned long long)value);
    CHECK_EQ_BYTES(((struct bytes){ text, size }), bytes_from_text(expected));
    uint64_t back = UNTOUCHED;
    CHECK(decimal_parse((struct bytes){ text, size }, &back));
    CHECK_EQ_UINT(back, value);
}

TEST(decimal_format_is_what_parse_reads)
{
    struct test_random random = { 3 };
    check_round_trip(0);
    check_round_trip(UINT64_MAX);
    for (uint64_t power = 1; power <= UINT64_MAX / 10; power *= 10) {
        check_round_trip(power - 1);
        check_round_trip(power);
        check_round_trip(power + 1);
    }
    for (int i = 0; i < 20000; i++)
        check_round_trip(test_random_next(&random) >> test_random_below(&random, 64));
}

static void check_signed(int64_t value, const char *expected, const char *expected_thousandths)
{
    char text[DECIMAL_THOUSANDTHS_SIZE_MAX];
    struct bytes digits = { text, decimal_format_signed(value, text) };
    CHECK_EQ_BYTES(digits, bytes_from_text(expected));
    int64_t back = UNTOUCHED;
    CHECK(decimal_parse_signed(digits, &back));
    CHECK_EQ_INT(back, value);
    digits.size = decimal_format_thousandths(value, text);
    CHECK_EQ_BYTES(digits, bytes_from_text(expected_thousandths));
}

TEST(decimal_format_signed_and_thousandths)
{
    check_signed(0, "0", "0.000");
    check_signed(1, "1", "0.001");
    check_signed(-1, "-1", "-0.001");
    check_signed(-10, "-10", "-0.010");
    check_signed(999, "999", "0.999");
    check_signed(1000, "1000", "1.000");
    check_signed(-12345, "-12345", "-12.345");
    check_signed(INT64_MAX, "9223372036854775807", "9223372036854775.807");
    check_signed(INT64_MIN, "-9223372036854775808", "-9223372036854775.808");
}
