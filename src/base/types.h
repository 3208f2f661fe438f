/* types - the scalars that must not be mixed up, each in a struct of its own, and the byte view.
 *
 * `struct mono` decides; `struct wall` is for tokens and for people.  The compiler refuses to pass
 * one for the other. */
#ifndef TENURE_BASE_TYPES_H
#define TENURE_BASE_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* A point on CLOCK_BOOTTIME. */
struct mono {
    int64_t ns;
};

/* A point on CLOCK_REALTIME, microseconds since 1970. */
struct wall {
    int64_t us;
};

/* A fencing token: 1 … TOKEN_MAX; 0 is none. */
struct token {
    uint64_t value;
};

/* The dense number of one durable change, from 1; 0 is before all. */
struct seq {
    uint64_t value;
};

/* Exact in a double, hence in JSON, JavaScript and Lua. */
#define TOKEN_MAX ((UINT64_C(1) << 53) - 1)

#define NS_PER_MS INT64_C(1000000)
#define NS_PER_S  INT64_C(1000000000)

/* Borrowed bytes, not terminated.  Who owns them, and until when, is said where they are passed. */
struct bytes {
    const char *data;
    size_t size;
};

#define BYTES_LITERAL(text) ((struct bytes){ (text), sizeof(text) - 1 })

static inline struct bytes bytes_from_text(const char *text)
{
    return (struct bytes){ text, strlen(text) };
}

static inline bool bytes_equal(struct bytes left, struct bytes right)
{
    return left.size == right.size &&
           (left.size == 0 || memcmp(left.data, right.data, left.size) == 0);
}

/* Order as memcmp does, a prefix before what it is a prefix of. */
static inline int bytes_compare(struct bytes left, struct bytes right)
{
    size_t common = left.size < right.size ? left.size : right.size;
    int order = common == 0 ? 0 : memcmp(left.data, right.data, common);
    if (order != 0) return order;
    return (left.size > right.size) - (left.size < right.size);
}

static inline bool bytes_start_with(struct bytes text, struct bytes prefix)
{
    return text.size >= prefix.size &&
           (prefix.size == 0 || memcmp(text.data, prefix.data, prefix.size) == 0);
}

#endif
