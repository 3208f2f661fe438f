/* fields - the keys of a map in an answer, one after the other; what nobody wants is stepped over.
 *
 *     struct fields fields = fields_of(reply);
 *     while (next_field(&fields)) {
 *         if (is_field(&fields, "owner")) …
 *         else tni_reply_skip(reply);
 *     } */
#ifndef TENURE_STORE_REMOTE_FIELDS_H
#define TENURE_STORE_REMOTE_FIELDS_H

#include <string.h>

#include "store/reply.h"

struct fields {
    struct reply *reply;
    uint32_t left;
    const char *key;
};

static inline struct fields fields_of(struct reply *reply)
{
    return (struct fields){ reply, tni_reply_map(reply), NULL };
}

static inline bool next_field(struct fields *fields)
{
    if (fields->left == 0 || fields->reply->is_bad) return false;
    fields->left--;
    fields->key = tni_reply_text_or_empty(fields->reply);
    return true;
}

static inline bool is_field(const struct fields *fields, const char *name)
{
    return strcmp(fields->key, name) == 0;
}

#endif
