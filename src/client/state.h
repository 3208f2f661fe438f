/* state - what the files of shared state have in common. */
#ifndef TENURE_CLIENT_STATE_H
#define TENURE_CLIENT_STATE_H

#include <tenure/rank.h>
#include <tenure/state.h>

#include "store/store.h"

#define NAME_FAULT   "name: 1 to 255 bytes of UTF-8 without control characters"
#define SIZE_FAULT   "size: it must be sizeof(*options)"
#define MEMBER_FAULT "member: 1 to 255 bytes of UTF-8 without control characters"

/* NULL: they are sound. */
const char *tni_find_guard_fault(const struct tenure_guard *guards, uint32_t count);
/* In the words of the public header. */
struct tenure_register tni_register_of(const struct store_register *value);

#endif
