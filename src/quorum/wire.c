#include "quorum/wire.h"

#define KEY_PREFIX "tenure:{"
#define SIGHT      10 /* begins the reply of INSPECT */

#define REMAINING_MS_MAX (INT64_C(1) << 40) /* 34 years */

static struct bytes number(struct quorum_command *command, uint64_t value)
{
    ASSERT(command->number_count < QUORUM_NUMBER_COUNT_MAX);
    char *text = command->numbers[command->number_count++];
    return (struct bytes){ text, decimal_format(value, text) };
}

static void add_key(struct quorum_command *command, struct bytes key)
{
    ASSERT(command->key_count < QUORUM_KEY_COUNT_MAX);
    command->keys[command->key_count++] = key;
}

static void add(struct quorum_command *command, struct bytes argument)
{
    ASSERT(command->argument_count < QUORUM_ARGUMENT_COUNT_MAX);
    command->arguments[command->argument_count++] = argument;
}

static void add_pass(struct quorum_command *command, struct bytes pass)
{
    command->pass_index = command->argument_count;
    add(command, pass);
}

/* tenure:{NAME}SUFFIX */
static void
add_name_key(struct quorum_command *command, uint32_t slot, struct bytes name, struct bytes suffix)
{
    char *text = command->key_texts[slot];
    size_t size = sizeof KEY_PREFIX - 1;
    ASSERT(size + name.size + suffix.size <= QUORUM_KEY_SIZE_MAX);
    memcpy(text, KEY_PREFIX, size);
    memcpy(text + size, name.data, name.size);
    memcpy(text + size + name.size, suffix.data, suffix.size);
    add_key(command, (struct bytes){ text, size + name.size + suffix.size });
}

static void add_lock_keys(struct quorum_command *command, struct bytes name, bool has_queue)
{
    ASSERT(name.size >= 1 && name.size <= LIMIT_NAME_SIZE_MAX && quorum_name_is_free(name));
    add_key(command, name);
    add_name_key(command, 0, name, BYTES_LITERAL("}:fence"));
    if (!has_queue) return;
    add_name_key(command, 1, name, BYTES_LITERAL("}:queue"));
    add_name_key(command, 2, name, BYTES_LITERAL("}:waiters"));
}

static void write_vote(
    const struct quorum_call *call,
    const struct quorum_texts *texts,
    struct quorum_command *command)
{
    command->script = QUORUM_SCRIPT_ACQUIRE;
    add_lock_keys(command, texts->name, true);
    add_key(command, BYTES_LITERAL("tenure:node"));
    add_pass(command, texts->pass);
    add(command, texts->owner);
    add(command, number(command, call->token));
    add(command, number(command, call->ttl_ms));
    add(command, number(command, call->ticket));
    add(command, number(command, call->life_ms));
    add(command, texts->channel);
    add(command, texts->meta);
}

static void write_renew(
    const struct quorum_call *call,
    const struct quorum_texts *texts,
    struct bytes what,
    struct quorum_command *command)
{
    command->script = QUORUM_SCRIPT_RENEW;
    add_lock_keys(command, texts->name, false);
    add_key(command, BYTES_LITERAL("tenure:node"));
    add_pass(command, texts->pass);
    add(command, texts->owner);
    add(command, number(command, call->token));
    add(command, number(command, call->ttl_ms));
    add(command, what);
    add(command, texts->meta);
}

static void write_release(
    const struct quorum_call *call,
    const struct quorum_texts *texts,
    struct bytes what,
    struct quorum_command *command)
{
    command->script = QUORUM_SCRIPT_RELEASE;
    add_lock_keys(command, texts->name, true);
    add_key(command, BYTES_LITERAL("tenure:node"));
    add(command, texts->owner);
    add(command, number(command, call->token));
    add(command, number(command, call->ticket));
    add(command, number(command, call->life_ms));
    add(command, texts->channel);
    add(command, what);
    add_pass(command, texts->pass);
}

static void write_admit(
    const struct quorum_call *call,
    const struct quorum_texts *texts,
    struct quorum_command *command)
{
    command->script = QUORUM_SCRIPT_ADMIT;
    add_key(command, BYTES_LITERAL("tenure:node"));
    if (call->verb == QUORUM_LOOK) {
        add(command, BYTES_LITERAL("look"));
    } else if (call->verb == QUORUM_MEET) {
        add(command, BYTES_LITERAL("meet"));
        add(command, texts->run_id);
        add(command, number(command, call->uptime_ms));
        add(command, call->is_claim ? texts->config : BYTES_LITERAL(""));
    } else {
        add(command, BYTES_LITERAL("admit"));
        add_pass(command, texts->pass);
        add(command, texts->run_id);
        add(command, texts->config);
        add(command, number(command, call->token));
        add(command, call->is_durable ? BYTES_LITERAL("1") : BYTES_LITERAL("0"));
        add(command, number(command, call->uptime_ms));
    }
}

static void write_inspect(
    const struct quorum_call *call,
    const struct quorum_texts *texts,
    struct quorum_command *command)
{
    command->script = QUORUM_SCRIPT_INSPECT;
    add_lock_keys(command, texts->name, true);
    add_key(command, BYTES_LITERAL("tenure:node"));
    add(command, number(command, call->count));
}

static void write_sweep(
    const struct quorum_call *call,
    const struct quorum_texts *texts,
    struct quorum_command *command)
{
    command->script = QUORUM_SCRIPT_SWEEP;
    add_key(command, BYTES_LITERAL("tenure:node"));
    add_pass(command, texts->pass);
    add(command, number(command, call->ticket));
    add(command, number(command, call->count));
    add(command, number(command, call->token));
}

void quorum_command_write(
    const struct quorum_call *call,
    const struct quorum_texts *texts,
    struct quorum_command *out_command)
{
    out_command->key_count = 0;
    out_command->argument_count = 0;
    out_command->number_count = 0;
    out_command->pass_index = QUORUM_ARGUMENT_COUNT_MAX;
    switch (call->verb) {
    case QUORUM_VOTE: write_vote(call, texts, out_command); break;
    case QUORUM_RENEW: write_renew(call, texts, BYTES_LITERAL("renew"), out_command); break;
    case QUORUM_HEAL: write_renew(call, texts, BYTES_LITERAL("heal"), out_command); break;
    case QUORUM_PROCLAIM: write_renew(call, texts, BYTES_LITERAL("proclaim"), out_command); break;
    case QUORUM_RELEASE: write_release(call, texts, BYTES_LITERAL("release"), out_command); break;
    case QUORUM_ABANDON: write_release(call, texts, BYTES_LITERAL("abandon"), out_command); break;
    case QUORUM_YIELD: write_release(call, texts, BYTES_LITERAL("yield"), out_command); break;
    case QUORUM_BREAK: write_release(call, texts, BYTES_LITERAL("break"), out_command); break;
    case QUORUM_LOOK:
    case QUORUM_MEET:
    case QUORUM_ADMIT: write_admit(call, texts, out_command); break;
    case QUORUM_INSPECT: write_inspect(call, texts, out_command); break;
    case QUORUM_SWEEP: write_sweep(call, texts, out_command); break;
    }
}

bool quorum_call_is_same(const struct quorum_call *left, const struct quorum_call *right)
{
    return left->verb == right->verb && left->token == right->token &&
           left->ticket == right->ticket && left->ttl_ms == right->ttl_ms &&
           left->count == right->count && left->life_ms == right->life_ms &&
           left->uptime_ms == right->uptime_ms && left->is_durable == right->is_durable &&
           left->is_claim == right->is_claim;
}

bool quorum_name_is_free(struct bytes name)
{
    return !bytes_start_with(name, BYTES_LITERAL("tenure:"));
}

/* ------------------------------------------------------------------ replies */

static int64_t integer_at(const struct quorum_value *values, size_t count, size_t index)
{
    return index < count && values[index].is_integer ? values[index].integer : 0;
}

static uint64_t token_at(const struct quorum_value *values, size_t count, size_t index)
{
    int64_t value = integer_at(values, count, index);
    return value < 0 ? 0 : (uint64_t)value;
}

/* A key that is somebody else's may live for longer than there are nanoseconds. */
static int64_t remaining_at(const struct quorum_value *values, size_t count)
{
    int64_t value = integer_at(values, count, 1);
    if (value < 0) return -1;
    return value < REMAINING_MS_MAX ? value : REMAINING_MS_MAX;
}

static struct bytes text_at(const struct quorum_value *values, size_t count, size_t index)
{
    if (index >= count || values[index].is_integer) return (struct bytes){ "", 0 };
    return values[index].text;
}

bool quorum_answer_read(
    const struct quorum_value *values, size_t count, struct quorum_answer *out_answer)
{
    if (count == 0 || !values[0].is_integer) return false;
    if (values[0].integer < QUORUM_YES || values[0].integer > QUORUM_NODE) return false;
    enum quorum_answer_kind kind = (enum quorum_answer_kind)values[0].integer;
    if (kind == QUORUM_NODE) {
        *out_answer = (struct quorum_answer){ .kind = kind,
                                              .voted = token_at(values, count, 1),
                                              .floor = token_at(values, count, 2),
                                              .met_ms = token_at(values, count, 3),
                                              .is_durable = integer_at(values, count, 4) == 1,
                                              .pass = text_at(values, count, 5),
                                              .config = text_at(values, count, 6),
                                              .met = text_at(values, count, 7) };
    } else if (kind == QUORUM_YES) {
        *out_answer = (struct quorum_answer){ .kind = kind,
                                              .remaining_ms = remaining_at(values, count),
                                              .is_breaking = integer_at(values, count, 2) == 1 };
    } else {
        *out_answer = (struct quorum_answer){ .kind = kind,
                                              .remaining_ms = remaining_at(values, count),
                                              .fence = token_at(values, count, 2),
                                              .ticket = token_at(values, count, 3),
                                              .token = token_at(values, count, 4),
                                              .voted = token_at(values, count, 5),
                                              .ended = token_at(values, count, 6),
                                              .owner = text_at(values, count, 7) };
    }
    return true;
}

bool quorum_sight_read(
    const struct quorum_value *values, size_t count, struct quorum_sight *out_sight)
{
    if (count < QUORUM_SIGHT_SIZE || integer_at(values, count, 0) != SIGHT) return false;
    *out_sight = (struct quorum_sight){ .remaining_ms = remaining_at(values, count),
                                        .fence = token_at(values, count, 2),
                                        .waiter_count = (uint32_t)token_at(values, count, 3),
                                        .token = token_at(values, count, 4),
                                        .voted = token_at(values, count, 5),
                                        .ended = token_at(values, count, 6),
                                        .owner = text_at(values, count, 7),
                                        .ttl_ms = (uint32_t)token_at(values, count, 8),
                                        .meta = text_at(values, count, 9),
                                        .is_breaking = integer_at(values, count, 11) == 1 };
    return true;
}

/* Cut the number before the next blank off the front. */
static bool cut_number(struct bytes *text, uint64_t *out_value)
{
    const char *blank = text->size == 0 ? NULL : memchr(text->data, ' ', text->size);
    if (blank == NULL) return false;
    size_t size = (size_t)(blank - text->data);
    if (!decimal_parse((struct bytes){ text->data, size }, out_value)) return false;
    *text = (struct bytes){ blank + 1, text->size - size - 1 };
    return true;
}

bool quorum_wake_read(struct bytes message, struct quorum_wake *out_wake)
{
    uint64_t fence = 0;
    uint64_t size = 0;
    if (!cut_number(&message, &fence) || !cut_number(&message, &size)) return false;
    if (size > message.size) return false;
    out_wake->fence = fence;
    out_wake->name = (struct bytes){ message.data, (size_t)size };
    out_wake->owner = (struct bytes){ message.data + size, message.size - (size_t)size };
    return true;
}
