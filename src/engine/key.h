/* key - one name of shared state: found, made, forgotten; its value, its ttl, the hold it is bound
 * to. */
#ifndef TENURE_ENGINE_KEY_H
#define TENURE_ENGINE_KEY_H

#include "engine/state.h"

/* NULL when nothing is known of the name. */
struct key *key_find(const struct engine *engine, struct bytes name);
/* What an answer about it depends on, as lock_last_change. */
struct seq key_last_change(const struct engine *engine, const struct key *key);
/* Made if need be; NULL when there is no memory.  One that is not used must be settled. */
MUST_USE struct key *key_obtain(struct engine *engine, struct bytes name);
/* Forget it if nothing speaks for it any more. */
void key_settle(struct engine *engine, struct key *key);
/* In byte order of their names: the first that is not less; NULL when there is none. */
struct key *key_seek(const struct engine *engine, struct bytes name);
struct key *key_next(const struct key *key);

/* A value that belongs to nobody yet; its version is for the caller to set.  NULL when there is no
 * memory. */
MUST_USE struct value *value_create(struct engine *engine, struct key *key, size_t size);
/* Give back one that was not used. */
void value_discard(struct engine *engine, struct value *value);
/* It is the value now; the one before is kept for the event of this change.  Takes `value`. */
void key_set_value(struct engine *engine, struct key *key, struct value *value);
/* No value any more; what it was is kept likewise.  Terms end too. */
void key_end_value(struct engine *engine, struct key *key);
/* While restoring: no value, and no event that keeps it. */
void key_drop_value(struct engine *engine, struct key *key);
/* The event of this kind that had this subject is forgotten: so is what only it kept. */
void key_forget_event(struct engine *engine, enum record_kind kind, void *subject);
/* Give a record of the window the value that the change brought, and the one before. */
void key_complete_event(const void *subject, struct record *record);
/* The key of an event. */
struct key *key_of_event(enum record_kind kind, void *subject);

/* The block for what few have, made if need be.  NULL: no memory. */
MUST_USE struct key_terms *key_obtain_terms(struct engine *engine, struct key *key);
/* Neither ttl nor bond any more. */
void key_clear_terms(struct engine *engine, struct key *key);
/* How long it lives, from now on.  Its timer needs room, unless restoring: it runs from READY on
 * then. */
void key_set_ttl(struct engine *engine, struct key *key, uint32_t ttl_ms);
/* It vanishes with this hold. */
void key_bind(struct key *key, struct bond *bond);
/* Let the timer run for the whole ttl; one that is bound to a hold that is no more ends now. */
void key_rearm(struct engine *engine, struct key *key);

/* NULL when nothing is bound to a hold with this token. */
struct bond *bond_find(const struct engine *engine, struct token token);
/* Made if need be; NULL when there is no memory. */
MUST_USE struct bond *bond_obtain(struct engine *engine, struct bytes lock, struct token token);
/* Forget it if nothing is bound. */
void bond_settle(struct engine *engine, struct bond *bond);
/* Room for the records of its end. */
size_t bond_record_size(const struct engine *engine, struct token token);

/* The hold with this token, if it lives; NULL. */
struct hold *
guard_find_hold(const struct engine *engine, struct bytes lock_name, struct token token);

/* What may be known of a register, at this engine time. */
void key_view(const struct key *key, int64_t time_ns, struct engine_register_view *out_view);

#endif
