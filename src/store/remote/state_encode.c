#include <math.h>

#include "base/real.h"
#include "store/remote/lane.h"
#include "store/remote/words.h"

#define PAGE_COUNT      100u
#define RANGE_COUNT_MAX 1000u /* members in one answer */
#define BOUND_SIZE_MAX  (REAL_SIZE_MAX + 1)

/* ------------------------------------------------------------------ pieces */

static void add_signed(struct words *words, int64_t number)
{
    char digits[DECIMAL_SIZE_MAX + 1];
    size_t size = decimal_format_signed(number, digits);
    add_bytes(words, (struct bytes){ digits, size });
}

static void add_score(struct words *words, double score)
{
    char digits[REAL_SIZE_MAX];
    size_t size = real_format(score, digits);
    add_bytes(words, (struct bytes){ digits, size });
}

/* "(" in front of a score that is left out itself. */
static void add_bound(struct words *words, const struct store_bound *bound)
{
    char text[BOUND_SIZE_MAX];
    size_t size = 0;
    if (isinf(bound->score)) {
        add_text(words, bound->score < 0 ? "-inf" : "inf");
        return;
    }
    if (bound->is_open) text[size++] = '(';
    size += real_format(bound->score, text + size);
    add_bytes(words, (struct bytes){ text, size });
}

static void add_guard(struct words *words, const char *word, const struct store_guard *guard)
{
    if (guard->lock == NULL) return;
    add_text(words, word);
    add_text(words, guard->lock);
    add_number(words, guard->token);
}

/* ------------------------------------------------------------------ transactions */

static void add_condition(struct words *words, const struct store_condition *condition)
{
    static const char *const kinds[] = {
        [STORE_IF_PRESENT] = "PRESENT",
        [STORE_IF_ABSENT] = "ABSENT",
        [STORE_IF_VERSION] = "VERSION",
        [STORE_IF_VALUE] = "VALUE",
    };
    add_text(words, "IF");
    add_text(words, kinds[condition->kind]);
    add_text(words, condition->name);
    if (condition->kind == STORE_IF_VERSION) add_number(words, condition->version);
    if (condition->kind == STORE_IF_VALUE) add_bytes(words, condition->value);
}

/* How long it lives. */
static void add_terms(struct words *words, const struct store_change *change)
{
    add_number_option(words, "TTL", change->ttl_ms);
    add_guard(words, "BIND", &change->bond);
    if (change->is_ttl_kept) add_text(words, "KEEPTTL");
}

static void add_change(struct words *words, const struct store_change *change)
{
    static const char *const kinds[] = {
        [STORE_CHANGE_GET] = "GET",
        [STORE_CHANGE_SET] = "SET",
        [STORE_CHANGE_APPEND] = "APPEND",
        [STORE_CHANGE_INCR] = "INCR",
        [STORE_CHANGE_REMOVE] = "DEL",
        [STORE_CHANGE_RANK_GET] = "RANKGET",
        [STORE_CHANGE_RANK_ADD] = "RANKADD",
        [STORE_CHANGE_RANK_INCR] = "RANKINCR",
        [STORE_CHANGE_RANK_REMOVE] = "RANKREM",
    };
    add_text(words, kinds[change->kind]);
    add_text(words, change->name);
    switch (change->kind) {
    case STORE_CHANGE_SET:
    case STORE_CHANGE_APPEND:
        add_bytes(words, change->value);
        add_terms(words, change);
        break;
    case STORE_CHANGE_INCR:
        add_signed(words, change->by);
        add_terms(words, change);
        break;
    case STORE_CHANGE_RANK_ADD:
    case STORE_CHANGE_RANK_INCR:
        add_score(words, change->score);
        add_text(words, change->member);
        break;
    case STORE_CHANGE_RANK_GET:
    case STORE_CHANGE_RANK_REMOVE: add_text(words, change->member); break;
    case STORE_CHANGE_GET:
    case STORE_CHANGE_REMOVE: break;
    }
}

static void add_changes(
    struct words *words, const char *word, const struct store_change *changes, uint32_t count)
{
    if (count == 0) return;
    add_text(words, word);
    for (uint32_t index = 0; index < count; index++) {
        add_change(words, &changes[index]);
    }
}

static void add_transact(struct words *words, const struct store_transact *transact)
{
    add_text(words, "STATE.TXN");
    for (uint32_t index = 0; index < transact->guard_count; index++) {
        add_guard(words, "GUARD", &transact->guards[index]);
    }
    for (uint32_t index = 0; index < transact->condition_count; index++) {
        add_condition(words, &transact->conditions[index]);
    }
    add_changes(words, "THEN", transact->changes, transact->change_count);
    add_changes(words, "ELSE", transact->otherwise, transact->otherwise_count);
}

/* ------------------------------------------------------------------ ranks */

static void add_page(struct words *words, const char *prefix, const char *after)
{
    if (prefix != NULL && prefix[0] != '\0') add_text_option(words, "PREFIX", prefix);
    add_number_option(words, "LIMIT", PAGE_COUNT);
    if (after[0] != '\0') add_text_option(words, "CURSOR", after);
}

static void add_rank_options(struct words *words, const struct store_rank *rank)
{
    if (rank->is_new_only) add_text(words, "NX");
    if (rank->is_old_only) add_text(words, "XX");
    if (rank->is_raise_only) add_text(words, "GT");
    if (rank->is_lower_only) add_text(words, "LT");
    add_text(words, "CH");
}

static void add_members(struct words *words, const struct store_rank *rank)
{
    for (uint32_t index = 0; index < rank->count; index++) {
        if (rank->kind == STORE_RANK_ADD) add_score(words, rank->scores[index]);
        add_text(words, rank->members[index]);
    }
}

static void add_score_range(struct words *words, const struct store_rank *rank)
{
    /* Backwards the first bound is the higher one. */
    add_bound(words, rank->is_reversed ? &rank->most : &rank->least);
    add_bound(words, rank->is_reversed ? &rank->least : &rank->most);
    if (rank->is_reversed) add_text(words, "REV");
    add_text(words, "LIMIT");
    add_number(words, rank->offset);
    add_number(words, rank->count == 0 ? RANGE_COUNT_MAX : rank->count);
}

static void add_rank(struct words *words, const struct store_rank *rank)
{
    static const char *const kinds[] = {
        [STORE_RANK_ADD] = "RANK.ADD",           [STORE_RANK_REMOVE] = "RANK.REM",
        [STORE_RANK_TRIM] = "RANK.TRIM",         [STORE_RANK_SCORE] = "RANK.SCORE",
        [STORE_RANK_POSITION] = "RANK.POSITION", [STORE_RANK_RANGE] = "RANK.RANGE",
        [STORE_RANK_BY_SCORE] = "RANK.BYSCORE",  [STORE_RANK_COUNT] = "RANK.COUNT",
        [STORE_RANK_LIST] = "RANK.LIST",
    };
    add_text(words, kinds[rank->kind]);
    if (rank->kind != STORE_RANK_LIST) add_text(words, rank->rank);
    switch (rank->kind) {
    case STORE_RANK_ADD:
        add_rank_options(words, rank);
        add_members(words, rank);
        break;
    case STORE_RANK_REMOVE:
    case STORE_RANK_SCORE: add_members(words, rank); break;
    case STORE_RANK_POSITION:
        add_members(words, rank);
        if (rank->is_reversed) add_text(words, "REV");
        break;
    case STORE_RANK_TRIM:
    case STORE_RANK_RANGE:
        add_signed(words, rank->first);
        add_signed(words, rank->last);
        if (rank->is_reversed) add_text(words, "REV");
        break;
    case STORE_RANK_BY_SCORE: add_score_range(words, rank); break;
    case STORE_RANK_COUNT:
        add_bound(words, &rank->least);
        add_bound(words, &rank->most);
        break;
    case STORE_RANK_LIST: add_page(words, rank->rank, rank->after); break;
    }
}

/* ------------------------------------------------------------------ */

static void add_list(struct words *words, const struct store_op *op)
{
    add_text(words, "STATE.LIST");
    add_page(words, op->request.as.registers.prefix, op->cursor);
}

static void add_command(struct words *words, const struct store_op *op, uint64_t wait)
{
    const struct store_request *request = &op->request;
    // NOLINTNEXTLINE(clang-diagnostic-switch-enum): the others are encode.c's and queue_encode.c's
    switch ((unsigned)request->verb) {
    case STORE_TRANSACT: add_transact(words, &request->as.transact); break;
    case STORE_REGISTERS: add_list(words, op); break;
    case STORE_REGISTER_WAIT:
        add_text(words, "STATE.WAIT");
        add_text(words, request->as.register_wait.name);
        add_number(words, request->as.register_wait.version);
        add_number(words, wait);
        break;
    case STORE_RANK: add_rank(words, &request->as.rank); break;
    case STORE_PUBLISH:
        add_text(words, "PUBLISH");
        add_text(words, request->as.publish.channel);
        add_bytes(words, request->as.publish.message);
        break;
    }
}

void tni_encode_state(const struct resp_writer *writer, const struct store_op *op)
{
    uint64_t wait = 0;
    if (op->request.verb == STORE_REGISTER_WAIT) {
        wait = tni_remote_wait_ms(op->request.as.register_wait.wait_until);
    }
    struct words count = { .writer = NULL };
    add_command(&count, op, wait);
    struct words words = { .writer = writer };
    resp_write_array(writer, count.count);
    add_command(&words, op, wait);
}
