/* identity - the file that makes a directory a journal, and whose lock keeps a second server out.
 */
#ifndef TENURE_JOURNAL_IDENTITY_H
#define TENURE_JOURNAL_IDENTITY_H

#include "journal/state.h"

/* Read the identity, and lock it unless the journal is read-only.  When there is none and the
 * directory holds nothing of a journal's worth, draw a new id: then `*out_is_new`, and the file has
 * its temporary name until journal_identity_publish. */
MUST_USE enum tenure_err
journal_identity_open(struct journal *journal, bool *out_is_new, struct tenure_error *out_error);

/* Lock and read the identity of a journal that must be there; nothing is made.  TENURE_NOT_FOUND
 * when the directory is none. */
MUST_USE enum tenure_err
journal_identity_lock(struct journal *journal, struct tenure_error *out_error);

/* From here on the journal exists.  Its first segment must be durable before. */
MUST_USE enum tenure_err
journal_identity_publish(struct journal *journal, struct tenure_error *out_error);

#endif
