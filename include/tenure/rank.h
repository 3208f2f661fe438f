/* rank - members sorted by score, and messages that nobody keeps.  Part of state.h. */
#ifndef TENURE_RANK_H
#define TENURE_RANK_H

#include <tenure/lock.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ------------------------------------------------------------------ ranks */

/* A rank is a set of members that is sorted by score, and by bytes where scores are equal.
 * Positions count from 0, negative ones from the end.  Registers of the same name are others. */
struct tenure_member {
    const char *member; /* up to 255 bytes of UTF-8 without control characters */
    double score;       /* finite */
};
enum tenure_rank_rule {
    TENURE_RANK_IF_NEW = 1,     /* leave alone who is there */
    TENURE_RANK_IF_PRESENT = 2, /* nobody new */
    TENURE_RANK_IF_HIGHER = 4,  /* whose score rises by it, or who is new */
    TENURE_RANK_IF_LOWER = 8,
};
/* Zero every field you do not set; set `size`, here and below. */
struct tenure_rank_add_options {
    size_t size;
    const char *rank;
    const struct tenure_member *members; /* 1 to TENURE_OPERATION_COUNT_MAX */
    uint32_t member_count;
    unsigned rules; /* of enum tenure_rank_rule, ored; 0: everybody gets the score */
};
/* Give members their scores.  `out_count`: how many were changed or are new. */
TENURE_API TENURE_MUST_USE enum tenure_err tenure_rank_add(
    struct tenure_client client,
    const struct tenure_rank_add_options *options,
    uint32_t *out_count,
    struct tenure_error *out_error);
/* Add to a score; who is not there has 0. */
TENURE_API TENURE_MUST_USE enum tenure_err tenure_rank_incr(
    struct tenure_client client,
    const char *rank,
    const char *member,
    double by,
    double *out_score,
    struct tenure_error *out_error);
/* `out_count`: how many were there. */
TENURE_API TENURE_MUST_USE enum tenure_err tenure_rank_remove(
    struct tenure_client client,
    const char *rank,
    const char *const *members,
    uint32_t count,
    uint32_t *out_count,
    struct tenure_error *out_error);
/* Remove those at the positions first to last, up to 1024 at a time. */
TENURE_API TENURE_MUST_USE enum tenure_err tenure_rank_trim(
    struct tenure_client client,
    const char *rank,
    int64_t first,
    int64_t last,
    uint32_t *out_count,
    struct tenure_error *out_error);
/* TENURE_NOT_FOUND: there is no such member. */
TENURE_API TENURE_MUST_USE enum tenure_err tenure_rank_score(
    struct tenure_client client,
    const char *rank,
    const char *member,
    double *out_score,
    struct tenure_error *out_error);
TENURE_API TENURE_MUST_USE enum tenure_err tenure_rank_position(
    struct tenure_client client,
    const char *rank,
    const char *member,
    bool is_reversed, /* the highest score is at 0 */
    uint64_t *out_position,
    struct tenure_error *out_error);
TENURE_API TENURE_MUST_USE enum tenure_err tenure_rank_count(
    struct tenure_client client,
    const char *rank,
    uint32_t *out_count,
    struct tenure_error *out_error);

typedef void (*tenure_rank_fn)(const char *rank, uint32_t count, void *user);
/* All ranks whose names begin so, in the order of their names, and how many members they have;
 * NULL: all. */
TENURE_API TENURE_MUST_USE enum tenure_err tenure_rank_list(
    struct tenure_client client,
    const char *prefix,
    tenure_rank_fn fn,
    void *user,
    struct tenure_error *out_error);

struct tenure_range_options {
    size_t size;
    const char *rank;
    bool is_by_score; /* least to most; else positions, first to last */
    int64_t first;
    int64_t last;
    double least; /* may be infinite */
    double most;
    bool is_least_open; /* without that score itself */
    bool is_most_open;
    bool is_reversed;   /* the highest first; positions count from there, too */
    uint32_t offset;    /* by score: without so many first ones */
    uint32_t count_max; /* by score: 0: 1000, which is the most */
};
typedef void (*tenure_member_fn)(const struct tenure_member *member, void *user);
/* `fn` is called for each, in their order; for up to 1000. */
TENURE_API TENURE_MUST_USE enum tenure_err tenure_rank_range(
    struct tenure_client client,
    const struct tenure_range_options *options,
    tenure_member_fn fn,
    void *user,
    struct tenure_error *out_error);

/* ------------------------------------------------------------------ channels */

/* Tell who listens now (tenure_subscribe); nobody keeps it.  `channel`: 1 to 255 bytes; `message`:
 * any bytes, up to 1 MiB.  `out_count`: how many are told. */
TENURE_API TENURE_MUST_USE enum tenure_err tenure_publish(
    struct tenure_client client,
    const char *channel,
    const void *message,
    size_t message_size,
    uint32_t *out_count,
    struct tenure_error *out_error);

#ifdef __cplusplus
}
#endif

#endif
