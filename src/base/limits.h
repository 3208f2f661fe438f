/* limits - what a request may ask for.  Every edge checks them before it allocates; the engine
 * checks them again. */
#ifndef TENURE_BASE_LIMITS_H
#define TENURE_BASE_LIMITS_H

#include <stdint.h>

#define LIMIT_NAME_SIZE_MAX   255u
#define LIMIT_OWNER_SIZE_MAX  255u
#define LIMIT_META_SIZE_MAX   4096u
#define LIMIT_REASON_SIZE_MAX 255u
#define LIMIT_NAME_COUNT_MAX  32u   /* names in one acquire */
#define LIMIT_ITEM_COUNT_MAX  1024u /* holds in one renew */

#define LIMIT_TTL_MS_MIN        100u
#define LIMIT_TTL_MS_MAX        86400000u /* 24 h */
#define LIMIT_TTL_MS_DEFAULT    15000u
#define LIMIT_WAIT_MS_MAX       86400000u
#define LIMIT_LOCK_DELAY_MS_MAX 3600000u
#define LIMIT_GRACE_MS_MAX      3600000u
#define LIMIT_PRIORITY_MAX      9u
#define LIMIT_SLOTS_MAX         4096u

/* Queues.  A name, a reason and the headers of an item are as long as those of a lock. */
#define LIMIT_ID_SIZE_MAX      255u
#define LIMIT_GROUP_SIZE_MAX   255u
#define LIMIT_UNIQUE_SIZE_MAX  255u
#define LIMIT_BODY_SIZE_MAX    1048576u
#define LIMIT_RESULT_SIZE_MAX  65536u
#define LIMIT_BATCH_SIZE_MAX   8388608u /* bodies of one put, together */
#define LIMIT_TAKE_SIZE_MAX    1048576u /* bodies and headers of one take, unless it is one item */
#define LIMIT_TIMEOUT_MS_MAX   2592000000u /* 30 days */
#define LIMIT_RETENTION_MS_MAX 2592000000u
#define LIMIT_BACKOFF_MS_MAX   86400000u
#define LIMIT_DELAY_MS_MAX     2592000000u /* of a retry; run_at may be later */
#define LIMIT_ATTEMPTS_MAX     10000u
#define LIMIT_LAPSES_MAX       255u
#define LIMIT_WEIGHT_MAX       1000u
#define LIMIT_RUN_AT_US_MAX    INT64_C(253402300799000000) /* the end of the year 9999 */
#define LIMIT_LEASE_MS_DEFAULT 30000u
#define LIMIT_LAPSES_DEFAULT   3u
#define LIMIT_ATTEMPTS_DEFAULT 25u

/* Shared state.  Names are as long as those of locks. */
#define LIMIT_VALUE_SIZE_MAX      1048576u
#define LIMIT_MEMBER_SIZE_MAX     255u
#define LIMIT_STATE_TTL_MS_MAX    2592000000u /* 30 days */
#define LIMIT_OPERATION_COUNT_MAX 128u        /* of one transaction; its conditions likewise */
#define LIMIT_GUARD_COUNT_MAX     16u
#define LIMIT_BOUND_COUNT_MAX     1024u /* registers bound to one hold */
/* All values of one transaction, those of its conditions too: with the longest names, and with the
 * result of an item, it fits into one request. */
#define LIMIT_CHANGE_SIZE_MAX 1048576u

/* A command in the Redis protocol, or the body of an HTTP request. */
#define LIMIT_REQUEST_SIZE_MAX 1572864u

#define LIMIT_HISTORY_COUNT_MAX 64u
#define LIMIT_LIST_COUNT_MAX    1000u
#define LIMIT_CURSOR_SIZE_MAX   320u /* a name, or an id and up to three numbers */

#endif
