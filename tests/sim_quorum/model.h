/* model - as much of a Redis server as the scripts use, in memory, on a clock that is handed in.
 *
 * The scripts themselves run as they are, in Lua 5.1, the version that Redis has; redis.call is the
 * model.  compare.c holds it against a real server.  A model is one block of bytes without
 * pointers, so that a crash which loses the last second is a copy. */
#ifndef TESTS_SIM_QUORUM_MODEL_H
#define TESTS_SIM_QUORUM_MODEL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/types.h"
#include "quorum/wire.h"

#define MODEL_TEXT_SIZE_MAX   79u
#define MODEL_KEY_COUNT_MAX   24u
#define MODEL_ENTRY_COUNT_MAX 56u
#define MODEL_NEVER           INT64_MIN

struct model_text {
    uint8_t size;
    char data[MODEL_TEXT_SIZE_MAX];
};

enum model_type { MODEL_NONE, MODEL_STRING, MODEL_HASH, MODEL_ZSET };

/* A field of a hash and its value, or a member of a sorted set and its score. */
struct model_entry {
    struct model_text name;
    struct model_text value;
    double score;
};

struct model_key {
    enum model_type type;
    struct model_text name;
    int64_t expires_at_ms; /* MODEL_NEVER: none */
    struct model_text text;
    uint32_t count;
    struct model_entry entries[MODEL_ENTRY_COUNT_MAX];
};

struct model {
    struct model_key keys[MODEL_KEY_COUNT_MAX];
    uint32_t key_count;
};

/* A message that a script published. */
struct model_message {
    struct model_text channel;
    char data[200];
    size_t size;
};
#define MODEL_MESSAGE_COUNT_MAX 4u

#define MODEL_VALUE_COUNT_MAX 64u

/* What a script gave back; texts live until the next run. */
struct model_reply {
    bool is_error;
    uint32_t count; /* of an array; 1 for a single value */
    struct quorum_value values[MODEL_VALUE_COUNT_MAX];
    char error[200];
    struct model_message messages[MODEL_MESSAGE_COUNT_MAX];
    uint32_t message_count;
};

/* Lua, with the scripts compiled; one for all models. */
struct model_lua;
struct model_lua *model_lua_create(void);
void model_lua_destroy(struct model_lua **lua);

struct model_script {
    struct bytes text;
    const struct bytes *keys;
    uint32_t key_count;
    const struct bytes *arguments;
    uint32_t argument_count;
};

/* EVAL.  The text must stay where it is: it is known by its address once it was compiled. */
void model_run(
    struct model_lua *lua,
    struct model *model,
    int64_t now_us,
    const struct model_script *script,
    struct model_reply *out_reply);

/* The same for one of our commands. */
void model_command(
    struct model_lua *lua,
    struct model *model,
    int64_t now_us,
    const struct quorum_command *command,
    struct model_reply *out_reply);

/* A key that is there and has not expired, or NULL. */
const struct model_key *model_find(const struct model *model, int64_t now_us, const char *name);
/* A field of a hash; empty when there is none. */
struct bytes model_field(const struct model_key *key, const char *field);
/* Is it a token? */
uint64_t model_number(struct bytes text);

#endif
