#include "base/utf8.h"
#include "lib/test.h"

static void check_text(const char *text, size_t size, bool is_valid, bool is_plain)
{
    struct bytes bytes = { text, size };
    test_note("first byte %02x, %zu bytes", size > 0 ? (unsigned char)text[0] : 0u, size);
    CHECK_EQ_INT(utf8_is_valid(bytes), is_valid);
    CHECK_EQ_INT(utf8_is_plain(bytes), is_plain);
}

/* The plain encoder, for any number of bytes: also overlong and out of range. */
static size_t encode(uint32_t point, int size, char *out)
{
    static const unsigned char leads[] = { 0x00, 0x00, 0xc0, 0xe0, 0xf0 };
    for (int i = size - 1; i > 0; i--, point >>= 6) {
        out[i] = (char)(0x80 | (point & 0x3f));
    }
    out[0] = (char)(leads[size] | point);
    return (size_t)size;
}

static int size_of(uint32_t point)
{
    return point < 0x80 ? 1 : point < 0x800 ? 2 : point < 0x10000 ? 3 : 4;
}

TEST(utf8_every_code_point)
{
    char text[4];
    for (uint32_t point = 0; point < 0x200000; point++) {
        bool is_valid = point < 0x110000 && (point < 0xd800 || point > 0xdfff);
        bool is_control = point < 0x20 || (point >= 0x7f && point < 0xa0);
        size_t size = encode(point, size_of(point), text);
        struct bytes bytes = { text, size };
        test_note("U+%04X", point);
        CHECK_EQ_INT(utf8_is_valid(bytes), is_valid);
        CHECK_EQ_INT(utf8_is_plain(bytes), is_valid && !is_control);
    }
}

TEST(utf8_overlong_forms_are_refused)
{
    char text[4];
    for (uint32_t point = 0; point < 0x10000; point++) {
        for (int size = size_of(point) + 1; size <= 4; size++) {
            struct bytes bytes = { text, encode(point, size, text) };
            test_note("U+%04X in %d bytes", point, size);
            CHECK(!utf8_is_valid(bytes));
            CHECK(!utf8_is_plain(bytes));
        }
    }
}

TEST(utf8_cut_sequences_are_refused)
{
    static const uint32_t points[] = { 0x80, 0x7ff, 0x800, 0xffff, 0x10000, 0x10ffff };
    char text[8] = "ab";
    for (size_t i = 0; i < sizeof(points) / sizeof(points[0]); i++) {
        size_t size = encode(points[i], size_of(points[i]), text + 2);
        for (size_t cut = 1; cut < size; cut++) {
            CHECK(!utf8_is_valid((struct bytes){ text, 2 + cut }));
            /* A byte that is no continuation in the place of each continuation. */
            char damaged[8];
            memcpy(damaged, text, sizeof(text));
            damaged[2 + cut] = 'x';
            CHECK(!utf8_is_valid((struct bytes){ damaged, 2 + size }));
            damaged[2 + cut] = (char)0xc3;
            CHECK(!utf8_is_valid((struct bytes){ damaged, 2 + size }));
        }
    }
}

/* Short and long texts are looked at by words: any byte at any place, in texts of any length. */
TEST(utf8_every_byte_at_every_place)
{
    char text[26];
    for (size_t size = 1; size <= sizeof(text); size++) {
        for (size_t place = 0; place < size; place++) {
            memset(text, 'a', sizeof(text));
            for (int byte = 0; byte < 256; byte++) {
                text[place] = (char)byte;
                check_text(text, size, byte < 0x80, byte >= 0x20 && byte < 0x7f);
            }
        }
    }
}

TEST(utf8_texts)
{
    check_text(NULL, 0, true, true);
    check_text("deploy/prod", 11, true, true);
    check_text("a b~", 4, true, true);
    check_text("tab\there", 8, true, false);
    check_text("line\n", 5, true, false);
    check_text("a\0b", 3, true, false);
    check_text("\x7f", 1, true, false);
    check_text("\xc2\x80", 2, true, false);
    check_text("\xc2\x9f", 2, true, false);
    check_text("\xc2\xa0", 2, true, true);
    check_text("gr\xc3\xbc\xc3\x9f", 6, true, true);
    check_text("\xf0\x9f\x94\x92", 4, true, true);
    check_text("\x80", 1, false, false);
    check_text("\xbf", 1, false, false);
    check_text("a\xff", 2, false, false);
    check_text("\xfe\x83\xbf\xbf", 4, false, false);
    check_text("\xf8\x88\x80\x80\x80", 5, false, false);
    check_text("\xed\xa0\x80", 3, false, false);
    check_text("\xf4\x90\x80\x80", 4, false, false);
}
