/* utf8 - is this text? */
#ifndef TENURE_BASE_UTF8_H
#define TENURE_BASE_UTF8_H

#include "base/types.h"

/* Valid UTF-8 by RFC 3629: no overlong forms, no surrogates, nothing above U+10FFFF. */
bool utf8_is_valid(struct bytes text);
/* Valid UTF-8 without control characters (U+0000–U+001F, U+007F–U+009F): a name or an owner. */
bool utf8_is_plain(struct bytes text);

#endif
