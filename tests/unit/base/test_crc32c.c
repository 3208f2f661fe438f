#include "base/crc32c.h"
#include "lib/random.h"
#include "lib/test.h"

static void check_both(const void *data, size_t size, uint32_t expected)
{
    test_note("%zu bytes", size);
    CHECK_EQ_UINT(crc32c(0, data, size), expected);
    CHECK_EQ_UINT(crc32c_by_table(0, data, size), expected);
}

/* RFC 3720, appendix B.4, and the check value that catalogues of CRCs give. */
TEST(crc32c_known_values)
{
    unsigned char data[32];
    check_both("", 0, 0);
    check_both("a", 1, 0xc1d04330);
    check_both("123456789", 9, 0xe3069283);
    memset(data, 0, sizeof(data));
    check_both(data, sizeof(data), 0x8a9136aa);
    memset(data, 0xff, sizeof(data));
    check_both(data, sizeof(data), 0x62a8ab43);
    for (size_t i = 0; i < sizeof(data); i++)
        data[i] = (unsigned char)i;
    check_both(data, sizeof(data), 0x46dd794e);
    for (size_t i = 0; i < sizeof(data); i++)
        data[i] = (unsigned char)(31 - i);
    check_both(data, sizeof(data), 0x113fdb5c);
}

static uint32_t bit_by_bit(uint32_t crc, const unsigned char *data, size_t size)
{
    crc = ~crc;
    for (size_t i = 0; i < size; i++) {
        crc ^= data[i];
        for (int bit = 0; bit < 8; bit++)
            crc = (crc >> 1) ^ ((crc & 1) != 0 ? UINT32_C(0x82f63b78) : 0);
    }
    return ~crc;
}

TEST(crc32c_of_every_size_and_alignment_is_the_naive_sum)
{
    struct test_random random = { 2 };
    unsigned char data[160];
    for (size_t i = 0; i < sizeof(data); i++)
        data[i] = (unsigned char)test_random_next(&random);
    for (size_t start = 0; start < 9; start++) {
        for (size_t size = 0; size <= sizeof(data) - start; size++) {
            test_note("start %zu, size %zu", start, size);
            uint32_t expected = bit_by_bit(7, data + start, size);
            CHECK_EQ_UINT(crc32c(7, data + start, size), expected);
            CHECK_EQ_UINT(crc32c_by_table(7, data + start, size), expected);
        }
    }
}

TEST(crc32c_continues)
{
    const char text[] = "the sum of the parts is the sum of the whole";
    size_t size = sizeof(text) - 1;
    for (size_t split = 0; split <= size; split++) {
        test_note("split %zu", split);
        CHECK_EQ_UINT(
            crc32c(crc32c(0, text, split), text + split, size - split), crc32c(0, text, size));
        CHECK_EQ_UINT(
            crc32c_by_table(crc32c(0, text, split), text + split, size - split),
            crc32c(0, text, size));
    }
}
