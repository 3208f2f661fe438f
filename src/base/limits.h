/* limits - what a request may ask for.  Every edge checks them before it allocates; the engine
 * checks them again. */
#ifndef TENURE_BASE_LIMITS_H
#define TENURE_BASE_LIMITS_H

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

#define LIMIT_HISTORY_COUNT_MAX 64u
#define LIMIT_LIST_COUNT_MAX    1000u

#endif
