/* change_apply - the only code that changes what is durable of shared state; as apply.h for locks.
 */
#ifndef TENURE_ENGINE_CHANGE_APPLY_H
#define TENURE_ENGINE_CHANGE_APPLY_H

#include "engine/key.h"
#include "engine/rank.h"
#include "engine/state.h"

/* SET, APPENDED: takes the value, whole.  If the record says so the key has its terms, and `bond`
 * is that of the record. */
void change_apply_set(
    struct engine *engine,
    struct key *key,
    struct value *value,
    struct bond *bond,
    const struct record *record);
void change_apply_unset(struct engine *engine, struct key *key);
void change_apply_ranked(struct engine *engine, struct member *member, const struct record *record);
void change_apply_unranked(struct engine *engine, struct member *member);

/* As apply_restored, for the kinds of shared state. */
MUST_USE enum tenure_err
change_restored(struct engine *engine, const struct record *record, struct bytes encoded);

#endif
