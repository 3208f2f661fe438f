#include "base/siphash.h"

struct state {
    uint64_t v0, v1, v2, v3;
};

static inline uint64_t rotate(uint64_t word, int by)
{
    return word << by | word >> (64 - by);
}

static inline void mix(struct state *s)
{
    s->v0 += s->v1;
    s->v1 = rotate(s->v1, 13) ^ s->v0;
    s->v0 = rotate(s->v0, 32);
    s->v2 += s->v3;
    s->v3 = rotate(s->v3, 16) ^ s->v2;
    s->v0 += s->v3;
    s->v3 = rotate(s->v3, 21) ^ s->v0;
    s->v2 += s->v1;
    s->v1 = rotate(s->v1, 17) ^ s->v2;
    s->v2 = rotate(s->v2, 32);
}

static inline void absorb(struct state *s, uint64_t word)
{
    s->v3 ^= word;
    mix(s);
    mix(s);
    s->v0 ^= word;
}

/* Written out because compilers know this form and make one load of it. */
static inline uint64_t load(const unsigned char *at)
{
    return (uint64_t)at[0] | (uint64_t)at[1] << 8 | (uint64_t)at[2] << 16 | (uint64_t)at[3] << 24 |
           (uint64_t)at[4] << 32 | (uint64_t)at[5] << 40 | (uint64_t)at[6] << 48 |
           (uint64_t)at[7] << 56;
}

/* The last `size` bytes, at most seven, the first one lowest. */
static inline uint64_t load_rest(const unsigned char *at, size_t size)
{
    uint64_t word = 0;
    for (size_t i = 0; i < size; i++) {
        word |= (uint64_t)at[i] << (8 * i);
    }
    return word;
}

uint64_t siphash(const struct siphash_key *key, struct bytes bytes)
{
    /* The initial state spells "somepseudorandomlygeneratedbytes". */
    struct state s = {
        .v0 = key->words[0] ^ UINT64_C(0x736f6d6570736575),
        .v1 = key->words[1] ^ UINT64_C(0x646f72616e646f6d),
        .v2 = key->words[0] ^ UINT64_C(0x6c7967656e657261),
        .v3 = key->words[1] ^ UINT64_C(0x7465646279746573),
    };
    const unsigned char *at = (const unsigned char *)bytes.data;
    size_t left = bytes.size;
    for (; left >= 8; left -= 8, at += 8) {
        absorb(&s, load(at));
    }
    absorb(&s, load_rest(at, left) | (uint64_t)bytes.size << 56);

    s.v2 ^= 0xff;
    for (int i = 0; i < 4; i++) {
        mix(&s);
    }
    return s.v0 ^ s.v1 ^ s.v2 ^ s.v3;
}
