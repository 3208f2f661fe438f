/* quorum-compare - is the model of Redis, on which the simulation stands, like Redis?
 *
 *     quorum-compare                    some seconds
 *     quorum-compare --seeds 1-1000     these
 *     quorum-compare --verbose 17       one seed, step by step
 *
 * Both get the same random commands: our scripts with random arguments, by EVALSHA; and single
 * commands of those that the scripts use, also where they do not fit, so that keys are of a wrong
 * type, expire, or hold nonsense.  After each, the reply, the messages that were published, and all
 * keys with their times are compared.
 *
 * Time is real.  A redis-server tells when it is before and after each step; the model runs at the
 * time before.  Times may differ by what lies between; then the model takes over the real ones.  A
 * step during which something expired can be judged by nobody: its sequence ends there. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "sim/rng.h"
#include "sim_quorum/compare_server.h"
#include "sim_quorum/model.h"
#include "store/redis/scripts/scripts.h"

#define STEP_COUNT      60u
#define SEED_LAST       60u
#define WORD_COUNT_MAX  700u
#define WORD_SIZE_MAX   400u
#define SCRIPT_SIZE_MAX 8u
#define HEAD_COUNT      4u /* words before those of a key's content */
#define TOKEN_BASE      UINT64_C(1763700000000000)

/* What a step left, as a list of words. */
struct words {
    uint32_t count;
    struct {
        uint32_t size;
        char data[WORD_SIZE_MAX];
    } at[WORD_COUNT_MAX];
};

struct run {
    struct server *server;
    struct model_lua *lua;
    struct model model;
    struct rng rng;
    uint64_t seed;
    uint32_t step;
    bool is_verbose;
    int64_t before_ms, before_us, after_ms;
    uint64_t step_count, unjudged_count, kinds[16], error_count, message_count;
    struct words real, modeled;
    char what[600]; /* the step, for people */
};

/* ------------------------------------------------------------------ words */

static void add(struct words *words, struct bytes text)
{
    if (words->count == WORD_COUNT_MAX || text.size > WORD_SIZE_MAX) abort();
    words->at[words->count].size = (uint32_t)text.size;
    if (text.size > 0) memcpy(words->at[words->count].data, text.data, text.size);
    words->count++;
}

static void add_integer(struct words *words, int64_t value)
{
    char text[24];
    add(words, (struct bytes){ text, (size_t)snprintf(text, sizeof text, "%" PRId64, value) });
}

static struct bytes word(const struct words *words, uint32_t index)
{
    return (struct bytes){ words->at[index].data, words->at[index].size };
}

static void show(const char *label, const struct words *words)
{
    printf("  %s", label);
    for (uint32_t index = 0; index < words->count; index++) {
        printf(" [");
        for (uint32_t at = 0; at < words->at[index].size; at++) {
            unsigned char byte = (unsigned char)words->at[index].data[at];
            printf(byte >= ' ' && byte < 127 ? "%c" : "\\x%02x", byte);
        }
        printf("]");
    }
    printf("\n");
}

/* The number in front, and what follows it. */
static bool split(struct bytes text, int64_t *out_number, struct bytes *out_rest)
{
    size_t size = 0;
    int64_t number = 0;
    while (size < text.size && size < 16 && text.data[size] >= '0' && text.data[size] <= '9') {
        number = number * 10 + (text.data[size] - '0');
        size++;
    }
    *out_number = number;
    *out_rest = (struct bytes){ text.data + size, text.size - size };
    return size > 0;
}

/* Equal; or they begin with times that are as near as the clocks were. */
static bool is_alike(const struct run *run, struct bytes left, struct bytes right)
{
    int64_t numbers[2] = { 0, 0 };
    struct bytes rests[2];
    if (bytes_equal(left, right)) return true;
    bool are_numbers = split(left, &numbers[0], &rests[0]) && split(right, &numbers[1], &rests[1]);
    if (!are_numbers || !bytes_equal(rests[0], rests[1])) return false;
    int64_t distance = llabs(numbers[0] - numbers[1]);
    return distance <= run->after_ms - run->before_ms + 1;
}

/* Bit n of `times`: word n may be a time; all behind the last bit are as that is. */
static bool compare(const struct run *run, const char *label, uint64_t times)
{
    const struct words *real = &run->real;
    const struct words *modeled = &run->modeled;
    bool is_same = real->count == modeled->count;
    for (uint32_t index = 0; is_same && index < real->count; index++) {
        bool is_time = (times >> (index < 63 ? index : 63) & 1) != 0;
        struct bytes left = word(real, index);
        struct bytes right = word(modeled, index);
        is_same = is_time ? is_alike(run, left, right) : bytes_equal(left, right);
    }
    if (is_same) return true;
    printf("seed %" PRIu64 ", step %u: %s: %s differ\n", run->seed, run->step, run->what, label);
    show("Redis:", real);
    show("model:", modeled);
    return false;
}

/* ------------------------------------------------------------------ what is there */

/* All keys: name, type, when it expires, how many words, the words. */
static const char dump[] =
    "local out = {}\n"
    "local keys = redis.call('KEYS', '*')\n"
    "table.sort(keys)\n"
    "for _, key in ipairs(keys) do\n"
    "    local kind = redis.call('TYPE', key).ok\n"
    "    local words = {}\n"
    "    if kind == 'string' then words = {redis.call('GET', key)}\n"
    "    elseif kind == 'zset' then words = redis.call('ZRANGE', key, 0, -1, 'WITHSCORES')\n"
    "    else\n"
    "        local fields = redis.call('HKEYS', key)\n"
    "        table.sort(fields)\n"
    "        for _, field in ipairs(fields) do\n"
    "            words[#words + 1] = field\n"
    "            words[#words + 1] = redis.call('HGET', key, field)\n"
    "        end\n"
    "    end\n"
    "    local head = {key, kind, string.format('%.0f', redis.call('PEXPIRETIME', key)), "
    "tostring(#words)}\n"
    "    for _, word in ipairs(head) do out[#out + 1] = word end\n"
    "    for _, word in ipairs(words) do out[#out + 1] = word end\n"
    "end\n"
    "return out\n";

static struct bytes view(const struct model_text *text)
{
    return (struct bytes){ text->data, text->size };
}

static int by_name(const void *left, const void *right)
{
    const struct model_key *const *keys[2] = { left, right };
    return bytes_compare(view(&(*keys[0])->name), view(&(*keys[1])->name));
}

static int by_field(const void *left, const void *right)
{
    const struct model_entry *entries[2] = { left, right };
    return bytes_compare(view(&entries[0]->name), view(&entries[1]->name));
}

static void dump_key(struct words *words, const struct model_key *key)
{
    static const char *const kinds[] = { "none", "string", "hash", "zset" };
    struct model_entry entries[MODEL_ENTRY_COUNT_MAX];
    memcpy(entries, key->entries, key->count * sizeof entries[0]);
    if (key->type == MODEL_HASH) qsort(entries, key->count, sizeof entries[0], by_field);
    add(words, view(&key->name));
    add(words, bytes_from_text(kinds[key->type]));
    char text[40];
    add_integer(words, key->expires_at_ms == MODEL_NEVER ? -1 : key->expires_at_ms);
    add_integer(words, key->type == MODEL_STRING ? 1 : 2 * (int64_t)key->count);
    if (key->type == MODEL_STRING) add(words, view(&key->text));
    for (uint32_t index = 0; index < key->count; index++) {
        add(words, view(&entries[index].name));
        if (key->type == MODEL_HASH) {
            add(words, view(&entries[index].value));
        } else {
            int size = snprintf(text, sizeof text, "%.17g", entries[index].score);
            add(words, (struct bytes){ text, (size_t)size });
        }
    }
}

static bool is_there(const struct model_key *key, int64_t now_ms)
{
    if (key->type == MODEL_NONE) return false;
    return key->expires_at_ms == MODEL_NEVER || now_ms <= key->expires_at_ms;
}

static void dump_model(struct run *run)
{
    const struct model_key *keys[MODEL_KEY_COUNT_MAX];
    uint32_t count = 0;
    for (uint32_t index = 0; index < run->model.key_count; index++) {
        const struct model_key *key = &run->model.keys[index];
        if (is_there(key, run->before_ms)) keys[count++] = key;
    }
    qsort(keys, count, sizeof keys[0], by_name);
    run->modeled.count = 0;
    for (uint32_t index = 0; index < count; index++) {
        dump_key(&run->modeled, keys[index]);
    }
}

static struct model_key *find(struct run *run, struct bytes name)
{
    for (uint32_t index = 0; index < run->model.key_count; index++) {
        struct model_key *key = &run->model.keys[index];
        if (key->type != MODEL_NONE && bytes_equal(view(&key->name), name)) return key;
    }
    abort();
}

static void adopt_text(struct model_text *target, struct bytes text)
{
    target->size = (uint8_t)text.size;
    memcpy(target->data, text.data, text.size);
}

static int64_t number_at(const struct words *words, uint32_t index)
{
    char text[24] = { 0 };
    memcpy(text, words->at[index].data, words->at[index].size);
    return strtoll(text, NULL, 10);
}

/* The words of one key; those of waiters begin with times, which the model takes over. */
static bool compare_values(
    struct run *run, struct model_key *key, uint32_t first, uint32_t count, bool has_times)
{
    for (uint32_t index = first; index < first + count; index++) {
        struct bytes left = word(&run->real, index);
        struct bytes right = word(&run->modeled, index);
        if (bytes_equal(left, right)) continue;
        if (!has_times || !is_alike(run, left, right)) return compare(run, "values", 0);
        struct bytes field = word(&run->real, index - 1);
        for (uint32_t at = 0; at < key->count; at++) {
            bool is_it = bytes_equal(view(&key->entries[at].name), field);
            if (is_it) adopt_text(&key->entries[at].value, left);
        }
    }
    return true;
}

/* Compare all keys, and take over the times. */
static bool compare_keys(struct run *run)
{
    dump_model(run);
    const struct words *real = &run->real;
    const struct words *modeled = &run->modeled;
    uint32_t count = 0;
    if (real->count != modeled->count) return compare(run, "keys", 0);
    for (uint32_t index = 0; index < real->count; index += HEAD_COUNT + count) {
        struct bytes name = word(real, index);
        bool is_known = bytes_equal(name, word(modeled, index)) &&
                        bytes_equal(word(real, index + 1), word(modeled, index + 1)) &&
                        bytes_equal(word(real, index + 3), word(modeled, index + 3));
        if (!is_known) return compare(run, "keys", 0);
        if (!is_alike(run, word(real, index + 2), word(modeled, index + 2))) {
            return compare(run, "times of keys", 0);
        }
        struct model_key *key = find(run, name);
        int64_t expires_at_ms = number_at(real, index + 2);
        key->expires_at_ms = expires_at_ms < 0 ? MODEL_NEVER : expires_at_ms;
        count = (uint32_t)number_at(real, index + 3);
        bool has_times = key->type == MODEL_HASH && name.size > 9 &&
                         memcmp(name.data + name.size - 9, "}:waiters", 9) == 0;
        if (!compare_values(run, key, index + HEAD_COUNT, count, has_times)) return false;
    }
    return true;
}

/* ------------------------------------------------------------------ one step */

static void take_error(struct words *words, struct bytes text)
{
    words->count = 0;
    add(words, BYTES_LITERAL("error"));
    size_t size = 0;
    while (size < text.size && text.data[size] >= 'A' && text.data[size] <= 'Z') {
        size++;
    }
    /* A mistake of Lua itself is told in other words. */
    add(words, size == 0 ? BYTES_LITERAL("ERR") : (struct bytes){ text.data, size });
}

static void take_reply(struct run *run, const struct model_reply *reply)
{
    struct words *words = &run->modeled;
    words->count = 0;
    if (reply->is_error) {
        take_error(words, bytes_from_text(reply->error));
        return;
    }
    for (uint32_t index = 0; index < reply->count; index++) {
        const struct quorum_value *value = &reply->values[index];
        if (value->is_integer) {
            add_integer(words, value->integer);
        } else {
            add(words, value->text);
        }
    }
}

static void take_token(struct words *words, const struct resp_token *token)
{
    if (token->kind == RESP_INTEGER) {
        add_integer(words, token->integer);
    } else if (token->kind == RESP_NULL) {
        add(words, BYTES_LITERAL("(nil)"));
    } else if (token->kind == RESP_ERROR) {
        take_error(words, token->text);
    } else {
        add(words, token->text);
    }
}

/* An array, whose own arrays are told as the model tells them; or one value. */
static void take_real(struct run *run)
{
    struct words *words = &run->real;
    struct resp_token token = server_token(run->server);
    words->count = 0;
    if (token.kind != RESP_ARRAY) {
        take_token(words, &token);
        return;
    }
    for (uint32_t left = token.count; left > 0; left--) {
        token = server_token(run->server);
        if (token.kind == RESP_ARRAY) {
            add(words, BYTES_LITERAL("(array)"));
            for (uint32_t inner = token.count; inner > 0; inner--) {
                (void)server_token(run->server);
            }
        } else {
            take_token(words, &token);
        }
    }
}

static int64_t take_time_us(struct run *run)
{
    char text[2][24] = { { 0 } };
    uint32_t count = server_token(run->server).count;
    for (uint32_t index = 0; index < count && index < 2; index++) {
        struct resp_token token = server_token(run->server);
        memcpy(text[index], token.text.data, token.text.size);
    }
    return strtoll(text[0], NULL, 10) * 1000000 + strtoll(text[1], NULL, 10);
}

static bool is_near(const struct run *run, int64_t at_ms)
{
    return at_ms >= run->before_ms - 1 && at_ms <= run->after_ms + 1;
}

/* Did something expire during the step, or may it have? */
static bool is_open(const struct run *run)
{
    for (uint32_t index = 0; index < run->model.key_count; index++) {
        const struct model_key *key = &run->model.keys[index];
        if (key->type == MODEL_NONE) continue;
        if (key->expires_at_ms != MODEL_NEVER && is_near(run, key->expires_at_ms)) return true;
        for (uint32_t at = 0; key->type == MODEL_HASH && at < key->count; at++) {
            int64_t until_ms = 0;
            struct bytes rest;
            (void)split(view(&key->entries[at].value), &until_ms, &rest);
            if (is_near(run, until_ms)) return true;
        }
    }
    return false;
}

static bool compare_messages(struct run *run, const struct model_reply *reply)
{
    struct bytes channel;
    struct bytes message;
    run->real.count = 0;
    run->modeled.count = 0;
    while (server_hear(run->server, &channel, &message)) {
        add(&run->real, channel);
        add(&run->real, message);
        run->message_count++;
    }
    for (uint32_t index = 0; index < reply->message_count; index++) {
        const struct model_message *published = &reply->messages[index];
        add(&run->modeled, view(&published->channel));
        add(&run->modeled, (struct bytes){ published->data, published->size });
    }
    return compare(run, "messages", 0);
}

enum verdict { SAME, DIFFERENT, UNJUDGED };

/* The request itself was put in by the caller; `script` is the same for the model. */
static enum verdict
finish(struct run *run, const struct model_script *script, uint64_t times, uint32_t kind)
{
    static const struct bytes time_command[] = { { "TIME", 4 } };
    static const struct bytes dump_command[] = { { "EVAL", 4 },
                                                 { dump, sizeof dump - 1 },
                                                 { "0", 1 } };
    server_ask(run->server, dump_command, 3);
    server_ask(run->server, time_command, 1);
    server_exchange(run->server);
    run->before_us = take_time_us(run);
    run->before_ms = run->before_us / 1000;
    take_real(run);
    static struct words keys;
    struct words *reply_words = &run->real;
    static struct words reply_kept;
    reply_kept = *reply_words;
    take_real(run);
    keys = run->real;
    run->after_ms = take_time_us(run) / 1000;
    bool was_open = is_open(run);
    struct model_reply reply;
    model_run(run->lua, &run->model, run->before_us, script, &reply);
    if (was_open || is_open(run)) {
        struct bytes ignored[2];
        while (server_hear(run->server, &ignored[0], &ignored[1])) {
        }
        return UNJUDGED;
    }
    run->real = reply_kept;
    take_reply(run, &reply);
    if (run->is_verbose) {
        printf("%4u %s\n", run->step, run->what);
        show("    ", &run->real);
    }
    run->kinds[kind]++;
    run->error_count += reply.is_error;
    if (!compare(run, "replies", times)) return DIFFERENT;
    if (!compare_messages(run, &reply)) return DIFFERENT;
    run->real = keys;
    return compare_keys(run) ? SAME : DIFFERENT;
}

/* ------------------------------------------------------------------ our scripts */

static const char *const names[] = { "a", "b/{c}", "\xc3\xa4 %d" };
static const char *const owners[] = { "o1", "host:17#x", "100%", "o 4" };
static const char *const passes[] = { "r1 cfg", "r1 cfg", "r1 cfg", "r2 cfg", "" };
static const char *const metas[] = { "", "{\"who\":\"me\"}", "%d\r\n" };

#define PICK(run, list) (list)[rng_below(&(run)->rng, sizeof(list) / sizeof(list)[0])]

/* Mostly near each other, so that they meet. */
static uint64_t random_token(struct run *run)
{
    uint32_t kind = rng_below(&run->rng, 40);
    if (kind == 0) return TOKEN_MAX;
    if (kind == 1) return 1 + rng_below(&run->rng, 3);
    return TOKEN_BASE + 1 + rng_below(&run->rng, 12);
}

static struct quorum_call random_call(struct run *run)
{
    struct rng *rng = &run->rng;
    uint32_t kind = rng_below(rng, 10);
    struct quorum_call call = { .token = random_token(run),
                                .ttl_ms = (uint32_t)rng_scale(rng, 8, 400),
                                .count = rng_below(rng, 4),
                                .uptime_ms = rng_below(rng, 3) * 700,
                                .is_durable = rng_percent(rng, 50),
                                .is_claim = rng_percent(rng, 50),
                                .life_ms = (uint32_t)rng_scale(rng, 8, 400) };
    call.verb = kind < 4 ? QUORUM_VOTE : (enum quorum_verb)rng_below(rng, QUORUM_VERB_COUNT);
    call.ticket = rng_below(rng, 2);
    if (rng_percent(rng, 30)) call.ticket = TOKEN_BASE + rng_below(rng, 12);
    if (call.verb == QUORUM_BREAK && rng_percent(rng, 50)) call.life_ms = 0;
    if (rng_percent(rng, 3)) call.life_ms = 100000;
    if (call.verb == QUORUM_SWEEP) {
        call.ticket = 0;
        call.count = 1000;
        call.token = rng_below(rng, 10);
    }
    return call;
}

static enum verdict step_call(struct run *run, const struct quorum_call *call)
{
    const struct quorum_texts texts = {
        .name = bytes_from_text(PICK(run, names)),
        .owner = bytes_from_text(PICK(run, owners)),
        .channel = rng_percent(&run->rng, 50) ? BYTES_LITERAL("wake:1") : BYTES_LITERAL("wake:2"),
        .meta = bytes_from_text(PICK(run, metas)),
        .pass = bytes_from_text(PICK(run, passes)),
        .run_id = BYTES_LITERAL("r1"),
        .config = rng_percent(&run->rng, 95) ? BYTES_LITERAL("cfg") : BYTES_LITERAL("other"),
    };
    struct quorum_command command;
    quorum_command_write(call, &texts, &command);
    const struct redis_script *script = &redis_scripts[command.script];
    (void)snprintf(
        run->what,
        sizeof run->what,
        "%s, verb %d, %.*s for %.*s, token %" PRIu64 ", ticket %" PRIu64,
        script->name,
        (int)call->verb,
        (int)texts.owner.size,
        texts.owner.data,
        (int)texts.name.size,
        texts.name.data,
        call->token,
        call->ticket);
    struct bytes words[3 + QUORUM_KEY_COUNT_MAX + QUORUM_ARGUMENT_COUNT_MAX];
    char count[8];
    uint32_t size = 0;
    words[size++] = BYTES_LITERAL("EVALSHA");
    words[size++] = bytes_from_text(script->sha);
    (void)snprintf(count, sizeof count, "%u", command.key_count);
    words[size++] = bytes_from_text(count);
    for (uint32_t index = 0; index < command.key_count; index++) {
        words[size++] = command.keys[index];
    }
    for (uint32_t index = 0; index < command.argument_count; index++) {
        words[size++] = command.arguments[index];
    }
    server_ask(run->server, words, size);
    const struct model_script same = { .text = script->text,
                                       .keys = command.keys,
                                       .key_count = command.key_count,
                                       .arguments = command.arguments,
                                       .argument_count = command.argument_count };
    /* Only what is left of a lease or a ticket is a time. */
    bool has_times = command.script != QUORUM_SCRIPT_ADMIT && command.script != QUORUM_SCRIPT_SWEEP;
    return finish(run, &same, has_times ? 2 : 0, (uint32_t)command.script);
}

/* ------------------------------------------------------------------ single commands */

static const char plain[] = "return redis.pcall(unpack(ARGV))";
#define PLAIN_KIND QUORUM_SCRIPT_COUNT

/* K a key, F a field or member, V a value, S a score, I a place, T a time; else itself. */
static const char *const patterns[] = {
    "GET K",
    "HMGET K F F",
    "HGET K F",
    "HSET K F V",
    "HSET K F V F V",
    "HSET K F",
    "HSETNX K F V",
    "EXISTS K",
    "PTTL K",
    "SET K V PX T",
    "SET K V NX PX T",
    "SET K V",
    "DEL K",
    "PEXPIRE K T",
    "PEXPIRE K T GT",
    "PEXPIRE K 1",
    "PEXPIRE K V",
    "ZSCORE K F",
    "ZRANGE K I I",
    "ZRANGE K I I WITHSCORES",
    "ZRANGE K 0 -1 WITHSCORES",
    "ZADD K S F",
    "ZADD K V F",
    "ZREM K F",
    "HDEL K F",
    "ZCARD K",
    "PUBLISH wake:1 V",
    "SCAN 0 MATCH tenure:{*}:fence COUNT 1000",
    "NOSUCH K",
};

static const char *const keys_of_all[] = {
    "a", "tenure:{a}:fence", "tenure:{a}:queue", "tenure:{a}:waiters", "tenure:node", "b/{c}",
    "x", "tenure:{x}:fence",
};
static const char *const fields[] = { "owner", "token", "fence", "voted", "ended", "o1", "100%" };
static const char *const values[] = {
    "",    "0",  "o1",  "1763700000000005",      "9007199254740991",
    "abc", "-7", "1e3", "99999999999999 wake:1",
};
static const char *const scores[] = { "1", "2.5", "1763700000000003", "-1", "1e17", "0.1" };

static struct bytes expand(struct run *run, struct bytes letter, char text[static 24])
{
    if (letter.size > 1) return letter;
    int number = 0;
    switch (letter.data[0]) {
    case 'K': return bytes_from_text(PICK(run, keys_of_all));
    case 'F': return bytes_from_text(PICK(run, fields));
    case 'V': return bytes_from_text(PICK(run, values));
    case 'S': return bytes_from_text(PICK(run, scores));
    case 'I': number = (int)rng_between(&run->rng, -3, 4); break;
    case 'T': number = (int)rng_scale(&run->rng, 8, 400); break;
    default: return letter;
    }
    return (struct bytes){ text, (size_t)snprintf(text, 24, "%d", number) };
}

static enum verdict step_plain(struct run *run)
{
    const char *pattern = PICK(run, patterns);
    struct bytes arguments[SCRIPT_SIZE_MAX];
    char texts[SCRIPT_SIZE_MAX][24];
    uint32_t count = 0;
    size_t said = 0;
    for (const char *rest = pattern; *rest != '\0';) {
        size_t size = strcspn(rest, " ");
        arguments[count] = expand(run, (struct bytes){ rest, size }, texts[count]);
        int width = (int)arguments[count].size;
        said += (size_t)snprintf(
            run->what + said, sizeof run->what - said, "%.*s ", width, arguments[count].data);
        count++;
        rest += size + (rest[size] == ' ');
    }
    struct bytes words[3 + SCRIPT_SIZE_MAX] = { BYTES_LITERAL("EVAL"),
                                                { plain, sizeof plain - 1 },
                                                BYTES_LITERAL("0") };
    memcpy(&words[3], arguments, count * sizeof arguments[0]);
    server_ask(run->server, words, 3 + count);
    const struct model_script same = { .text = { plain, sizeof plain - 1 },
                                       .arguments = arguments,
                                       .argument_count = count };
    bool is_time = strncmp(pattern, "PTTL", 4) == 0;
    /* Somebody listens, but scripts do not look at how many. */
    bool is_published = strncmp(pattern, "PUBLISH", 7) == 0;
    return finish(run, &same, is_time || is_published ? 1 : 0, PLAIN_KIND);
}

/* ------------------------------------------------------------------ a seed */

static void begin(struct run *run)
{
    const struct bytes flush[] = { BYTES_LITERAL("FLUSHALL") };
    server_ask(run->server, flush, 1);
    server_exchange(run->server);
    (void)server_token(run->server);
    run->model.key_count = 0;
}

static void ask_time(struct run *run)
{
    const struct bytes command[] = { BYTES_LITERAL("TIME") };
    server_ask(run->server, command, 1);
}

/* False: they differ. */
static bool run_seed(struct run *run, uint64_t seed)
{
    begin(run);
    run->seed = seed;
    run->rng = rng_from(seed, 0);
    bool is_wild = rng_percent(&run->rng, 40);
    for (run->step = 0; run->step < STEP_COUNT; run->step++) {
        enum verdict verdict = SAME;
        if (rng_percent(&run->rng, 6)) (void)usleep(1000u * (1 + rng_below(&run->rng, 25)));
        ask_time(run);
        if (run->step == 0 && rng_percent(&run->rng, 90)) {
            const struct quorum_call admit = { .verb = QUORUM_ADMIT, .token = TOKEN_BASE };
            struct rng before = run->rng;
            run->rng = rng_from(3, 0); /* a pass that fits what is there */
            verdict = step_call(run, &admit);
            run->rng = before;
        } else if (is_wild && rng_percent(&run->rng, 30)) {
            verdict = step_plain(run);
        } else {
            struct quorum_call call = random_call(run);
            verdict = step_call(run, &call);
        }
        if (verdict == DIFFERENT) return false;
        run->step_count += verdict == SAME;
        run->unjudged_count += verdict == UNJUDGED;
        if (verdict == UNJUDGED) begin(run);
    }
    return true;
}

/* The scripts are known there by the sums that the build made. */
static bool load_scripts(struct run *run)
{
    bool is_same = true;
    for (uint32_t index = 0; index < QUORUM_SCRIPT_COUNT; index++) {
        const struct bytes load[] = { BYTES_LITERAL("SCRIPT"),
                                      BYTES_LITERAL("LOAD"),
                                      redis_scripts[index].text };
        server_ask(run->server, load, 3);
        server_exchange(run->server);
        struct bytes sha = server_token(run->server).text;
        if (bytes_equal(sha, bytes_from_text(redis_scripts[index].sha))) continue;
        printf("%s: Redis has another sum\n", redis_scripts[index].name);
        is_same = false;
    }
    return is_same;
}

static bool parse(int argc, char **argv, uint64_t *first, uint64_t *last, bool *is_verbose)
{
    if (argc == 1) return true;
    if (argc != 3) return false;
    char *rest = NULL;
    *is_verbose = strcmp(argv[1], "--verbose") == 0;
    if (!*is_verbose && strcmp(argv[1], "--seeds") != 0) return false;
    *first = strtoull(argv[2], &rest, 10);
    *last = *first;
    if (!*is_verbose && *rest == '-') *last = strtoull(rest + 1, &rest, 10);
    return *rest == '\0';
}

int main(int argc, char **argv)
{
    uint64_t first = 1;
    uint64_t last = SEED_LAST;
    static struct run run;
    if (!parse(argc, argv, &first, &last, &run.is_verbose)) {
        (void)fputs("quorum-compare [--seeds 1-1000 | --verbose 17]\n", stderr);
        return 64;
    }
    run.server = server_start();
    if (run.server == NULL) {
        printf("skip quorum_compare: no redis-server\n0 passed, 0 failed, 1 skipped\n");
        return 77;
    }
    run.lua = model_lua_create();
    uint64_t passed = 0;
    uint64_t failed = load_scripts(&run) ? 0 : 1;
    for (uint64_t seed = first; seed <= last && failed < 8; seed++) {
        bool is_same = run_seed(&run, seed);
        passed += is_same;
        failed += !is_same;
    }
    printf(
        "%" PRIu64 " steps alike, %" PRIu64 " could not be judged;",
        run.step_count,
        run.unjudged_count);
    for (uint32_t kind = 0; kind < QUORUM_SCRIPT_COUNT; kind++) {
        printf(" %s %" PRIu64 ",", redis_scripts[kind].name, run.kinds[kind]);
    }
    printf(
        " single commands %" PRIu64 "; %" PRIu64 " errors, %" PRIu64 " messages\n",
        run.kinds[PLAIN_KIND],
        run.error_count,
        run.message_count);
    if (run.step_count < run.unjudged_count) {
        printf("too much could not be judged\n");
        failed++;
    }
    printf("%" PRIu64 " passed, %" PRIu64 " failed\n", passed, failed);
    model_lua_destroy(&run.lua);
    server_stop(&run.server);
    return failed == 0 ? 0 : 1;
}
