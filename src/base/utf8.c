#include "base/utf8.h"

/* The size of the sequence at `at`, of which `left` bytes may be read; 0 when it is not valid.
 * The ranges of the second byte are what rules out overlong forms (E0, F0), surrogates (ED) and
 * code points above U+10FFFF (F4): RFC 3629, section 4. */
static size_t sequence_size(const unsigned char *at, size_t left)
{
    unsigned char first = at[0];
    if (first < 0x80) return 1;
    if (first < 0xc2 || first > 0xf4) return 0;

    size_t size = first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
    if (size > left) return 0;
    unsigned char low = first == 0xe0 ? 0xa0 : first == 0xf0 ? 0x90 : 0x80;
    unsigned char high = first == 0xed ? 0x9f : first == 0xf4 ? 0x8f : 0xbf;
    if (at[1] < low || at[1] > high) return 0;
    for (size_t i = 2; i < size; i++) {
        if (at[i] < 0x80 || at[i] > 0xbf) return 0;
    }
    return size;
}

static bool is_control(const unsigned char *at)
{
    return at[0] < 0x20 || at[0] == 0x7f || (at[0] == 0xc2 && at[1] < 0xa0);
}

static uint64_t load(const unsigned char *at)
{
    uint64_t word;
    memcpy(&word, at, sizeof(word));
    return word;
}

/* How much of the front is ASCII, in whole words. */
static size_t ascii_size(const unsigned char *at, size_t size)
{
    const uint64_t high_bits = UINT64_C(0x8080808080808080);
    size_t i = 0;
    for (; i + sizeof(uint64_t) <= size; i += sizeof(uint64_t)) {
        if ((load(at + i) & high_bits) != 0) break;
    }
    return i;
}

bool utf8_is_valid(struct bytes text)
{
    const unsigned char *at = (const unsigned char *)text.data;
    for (size_t i = ascii_size(at, text.size); i < text.size;) {
        size_t size = sequence_size(at + i, text.size - i);
        if (size == 0) return false;
        i += size;
    }
    return true;
}

/* Eight bytes at once: are all of them ASCII, and none a control character?  Of bytes below 0x80,
 * subtracting 0x20 borrows into the top bit of those below 0x20, and adding 1 carries into that of
 * 0x7f (Mycroft's test).  A borrow out of one byte can only come from a byte that fails anyway. */
static bool is_plain_word(uint64_t word)
{
    const uint64_t ones = UINT64_C(0x0101010101010101);
    return ((word | (word - ones * 0x20) | (word + ones)) & (ones * 0x80)) == 0;
}

/* Less than eight bytes, and blanks in the place of the others.  Two halves may overlap. */
static uint64_t load_short(const unsigned char *at, size_t size)
{
    unsigned char bytes[sizeof(uint64_t)];
    memset(bytes, ' ', sizeof(bytes));
    if (size >= 4) {
        memcpy(bytes, at, 4);
        memcpy(bytes + 4, at + size - 4, 4);
    } else {
        for (size_t i = 0; i < size; i++) {
            bytes[i] = at[i];
        }
    }
    return load(bytes);
}

/* What nearly all names and owners are.  The last word overlaps the one before it. */
static bool is_plain_ascii(const unsigned char *at, size_t size)
{
    if (size < sizeof(uint64_t)) return is_plain_word(load_short(at, size));
    for (size_t i = 0; i + sizeof(uint64_t) <= size; i += sizeof(uint64_t)) {
        if (!is_plain_word(load(at + i))) return false;
    }
    return is_plain_word(load(at + size - sizeof(uint64_t)));
}

bool utf8_is_plain(struct bytes text)
{
    const unsigned char *at = (const unsigned char *)text.data;
    if (is_plain_ascii(at, text.size)) return true;
    for (size_t i = 0; i < text.size;) {
        size_t size = sequence_size(at + i, text.size - i);
        if (size == 0 || is_control(at + i)) return false;
        i += size;
    }
    return true;
}
