/* state_parts - what the files state_*.c share. */
#ifndef TESTS_SIM_STATE_PARTS_H
#define TESTS_SIM_STATE_PARTS_H

#include "sim/world.h"

/* --- state_client.c */
struct bytes state_name(uint32_t name);
struct bytes state_member(uint32_t member);
struct bytes state_value_bytes(struct state_value value);
uint32_t state_name_number(struct world *world, struct bytes name);
uint32_t state_member_number(struct world *world, struct bytes member);

/* --- state_model.c */
struct state_text state_text_of(struct bytes bytes);
/* What stands there when so much is appended. */
struct state_text state_text_append(struct state_text text, struct bytes more);
bool state_text_equals(const struct state_text *text, const struct state_text *other);
/* What the transaction has to lead to now; `before_count` other records of this step come first. */
void state_expect(
    struct world *world,
    const struct state_ask *ask,
    uint32_t before_count,
    struct state_expectation *out);

/* --- state_ledger.c */
struct state_event state_event_of(struct world *world, const struct record *record);
/* The first one behind `seq` that the filter lets through; NULL when there is none. */
const struct state_event *
state_event_behind(const struct world *world, uint64_t seq, uint32_t filter);
/* The members of a rank in their order; returns how many. */
uint32_t state_rank_order(const struct state_key *key, uint32_t out[STATE_MEMBER_COUNT]);

/* --- state_watch.c */
bool state_is_filtered(uint32_t filter, uint32_t name);
void state_watch_init(struct world *world);
void state_watch_cut(struct world *world, struct state_watch *watch);
void state_watch_check_rest(struct world *world);

#endif
