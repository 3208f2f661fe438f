#include "sim_quorum/model.h"

#include <inttypes.h>
#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/redis/scripts/scripts.h"

#define COMPILED_COUNT_MAX 16u
#define ARGUMENT_COUNT_MAX 24u

struct model_lua {
    lua_State *state;
    struct {
        const char *text;
        int reference;
    } compiled[COMPILED_COUNT_MAX];
    uint32_t compiled_count;
    /* Of the run under way. */
    struct model *model;
    struct model_reply *reply;
    int64_t now_us;
};

/* One command: its arguments, the name first. */
struct request {
    struct model_lua *lua;
    struct model *model;
    lua_State *state;
    int64_t now_ms;
    uint32_t count;
    struct bytes arguments[ARGUMENT_COUNT_MAX];
};

/* ------------------------------------------------------------------ texts */

static struct bytes view(const struct model_text *text)
{
    return (struct bytes){ text->data, text->size };
}

static bool fits(struct bytes text)
{
    return text.size <= MODEL_TEXT_SIZE_MAX;
}

static struct model_text keep(struct bytes text)
{
    struct model_text kept;
    if (!fits(text)) abort(); /* the tests ask for more than the model has */
    kept.size = (uint8_t)text.size;
    memcpy(kept.data, text.data, text.size);
    return kept;
}

uint64_t model_number(struct bytes text)
{
    uint64_t value = 0;
    for (size_t index = 0; index < text.size; index++) {
        if (text.data[index] < '0' || text.data[index] > '9') return 0;
        value = value * 10 + (uint64_t)(text.data[index] - '0');
    }
    return value;
}

static bool is_word(struct bytes text, const char *word)
{
    return text.size == strlen(word) && strncasecmp(text.data, word, text.size) == 0;
}

/* As printf's %.17g, faster for the integers that nearly all are. */
static size_t format_number(double value, char out_text[static 40])
{
    bool is_plain = value >= 0 && value < 1e15;
    uint64_t whole = is_plain ? (uint64_t)value : 0;
    if (!is_plain || (double)whole < value || (whole == 0 && signbit(value))) {
        return (size_t)snprintf(out_text, 40, "%.17g", value);
    }
    return decimal_format(whole, out_text);
}

/* An integer as Redis reads it. */
static bool read_integer(struct bytes text, int64_t *out_value)
{
    if (text.size == 0 || text.size > 19) return false;
    bool is_negative = text.data[0] == '-';
    size_t index = is_negative ? 1 : 0;
    if (index == text.size || (text.data[index] == '0' && text.size > 1)) return false;
    int64_t value = 0;
    for (; index < text.size; index++) {
        if (text.data[index] < '0' || text.data[index] > '9') return false;
        value = value * 10 + (text.data[index] - '0');
    }
    *out_value = is_negative ? -value : value;
    return true;
}

static bool read_score(struct bytes text, double *out_value)
{
    char buffer[MODEL_TEXT_SIZE_MAX + 1];
    if (text.size == 0 || text.size >= sizeof buffer) return false;
    memcpy(buffer, text.data, text.size);
    buffer[text.size] = '\0';
    char *end = NULL;
    double value = strtod(buffer, &end);
    if (*end != '\0' || isnan(value)) return false;
    *out_value = value;
    return true;
}

/* ------------------------------------------------------------------ keys */

static struct model_key *find_any(struct model *model, struct bytes name)
{
    for (uint32_t index = 0; index < model->key_count; index++) {
        struct model_key *key = &model->keys[index];
        if (key->type != MODEL_NONE && bytes_equal(view(&key->name), name)) return key;
    }
    return NULL;
}

static bool is_expired(const struct model_key *key, int64_t now_ms)
{
    return key->expires_at_ms != MODEL_NEVER && now_ms > key->expires_at_ms;
}

static struct model_key *find(const struct request *request, struct bytes name)
{
    struct model_key *key = find_any(request->model, name);
    if (key == NULL || !is_expired(key, request->now_ms)) return key;
    key->type = MODEL_NONE;
    return NULL;
}

static struct model_key *
make(const struct request *request, struct bytes name, enum model_type type)
{
    struct model *model = request->model;
    struct model_key *key = NULL;
    for (uint32_t index = 0; index < model->key_count && key == NULL; index++) {
        bool is_free = model->keys[index].type == MODEL_NONE ||
                       is_expired(&model->keys[index], request->now_ms);
        if (is_free) key = &model->keys[index];
    }
    if (key == NULL) {
        if (model->key_count == MODEL_KEY_COUNT_MAX) abort();
        key = &model->keys[model->key_count++];
    }
    key->type = type;
    key->name = keep(name);
    key->expires_at_ms = MODEL_NEVER;
    key->count = 0;
    key->text.size = 0;
    return key;
}

static struct model_entry *find_entry(struct model_key *key, struct bytes name)
{
    for (uint32_t index = 0; index < key->count; index++) {
        if (bytes_equal(view(&key->entries[index].name), name)) return &key->entries[index];
    }
    return NULL;
}

static void remove_entry(struct model_key *key, struct model_entry *entry)
{
    uint32_t index = (uint32_t)(entry - key->entries);
    memmove(entry, entry + 1, (key->count - index - 1) * sizeof *entry);
    key->count--;
    if (key->count == 0) key->type = MODEL_NONE;
}

static struct model_entry *add_entry(struct model_key *key, struct bytes name)
{
    if (key->count == MODEL_ENTRY_COUNT_MAX) abort();
    struct model_entry *entry = &key->entries[key->count++];
    entry->name = keep(name);
    entry->value.size = 0;
    entry->score = 0;
    return entry;
}

const struct model_key *model_find(const struct model *model, int64_t now_us, const char *name)
{
    for (uint32_t index = 0; index < model->key_count; index++) {
        const struct model_key *key = &model->keys[index];
        bool is_it = key->type != MODEL_NONE &&
                     bytes_equal(view(&key->name), bytes_from_text(name)) &&
                     !is_expired(key, now_us / 1000);
        if (is_it) return key;
    }
    return NULL;
}

struct bytes model_field(const struct model_key *key, const char *field)
{
    for (uint32_t index = 0; key != NULL && index < key->count; index++) {
        const struct model_entry *entry = &key->entries[index];
        if (bytes_equal(view(&entry->name), bytes_from_text(field))) return view(&entry->value);
    }
    return (struct bytes){ "", 0 };
}

/* ------------------------------------------------------------------ replies, onto Lua's stack */

static int give_text(const struct request *request, struct bytes text)
{
    lua_pushlstring(request->state, text.data, text.size);
    return 1;
}

static int give_integer(const struct request *request, int64_t value)
{
    lua_pushnumber(request->state, (double)value);
    return 1;
}

static int give_nil(const struct request *request)
{
    lua_pushboolean(request->state, 0);
    return 1;
}

static int give_status(const struct request *request, const char *text)
{
    lua_newtable(request->state);
    lua_pushstring(request->state, text);
    lua_setfield(request->state, -2, "ok");
    return 1;
}

static int give_error(const struct request *request, const char *text)
{
    lua_newtable(request->state);
    lua_pushstring(request->state, text);
    lua_setfield(request->state, -2, "err");
    return -1;
}

static int give_score(const struct request *request, double score)
{
    char text[40];
    return give_text(request, (struct bytes){ text, format_number(score, text) });
}

static int wrong_type(const struct request *request)
{
    return give_error(request, "WRONGTYPE Operation against a key holding the wrong kind of value");
}

/* ------------------------------------------------------------------ commands */

static int run_get(const struct request *request)
{
    struct model_key *key = find(request, request->arguments[1]);
    if (key == NULL) return give_nil(request);
    if (key->type != MODEL_STRING) return wrong_type(request);
    return give_text(request, view(&key->text));
}

/* SET key value [NX] [PX ms] */
static int run_set(const struct request *request)
{
    bool is_new_only = false;
    int64_t life_ms = 0;
    bool has_life = false;
    for (uint32_t index = 3; index < request->count; index++) {
        if (is_word(request->arguments[index], "nx")) {
            is_new_only = true;
        } else if (is_word(request->arguments[index], "px") && index + 1 < request->count) {
            index++;
            has_life = true;
            if (!read_integer(request->arguments[index], &life_ms)) {
                return give_error(request, "ERR value is not an integer or out of range");
            }
            if (life_ms <= 0) {
                return give_error(request, "ERR invalid expire time in 'set' command");
            }
        } else {
            return give_error(request, "ERR syntax error");
        }
    }
    struct model_key *key = find(request, request->arguments[1]);
    if (key != NULL && is_new_only) return give_nil(request);
    if (key == NULL) {
        key = make(request, request->arguments[1], MODEL_STRING);
    } else {
        key->type = MODEL_STRING;
        key->count = 0;
    }
    key->text = keep(request->arguments[2]);
    key->expires_at_ms = has_life ? request->now_ms + life_ms : MODEL_NEVER;
    return give_status(request, "OK");
}

static int run_del(const struct request *request)
{
    int64_t count = 0;
    for (uint32_t index = 1; index < request->count; index++) {
        struct model_key *key = find(request, request->arguments[index]);
        if (key == NULL) continue;
        key->type = MODEL_NONE;
        count++;
    }
    return give_integer(request, count);
}

static int run_exists(const struct request *request)
{
    int64_t count = 0;
    for (uint32_t index = 1; index < request->count; index++) {
        count += find(request, request->arguments[index]) != NULL;
    }
    return give_integer(request, count);
}

static int run_pttl(const struct request *request)
{
    const struct model_key *key = find(request, request->arguments[1]);
    if (key == NULL) return give_integer(request, -2);
    if (key->expires_at_ms == MODEL_NEVER) return give_integer(request, -1);
    return give_integer(request, key->expires_at_ms - request->now_ms);
}

/* PEXPIRE key ms [GT] */
static int run_pexpire(const struct request *request)
{
    int64_t life_ms = 0;
    if (!read_integer(request->arguments[2], &life_ms)) {
        return give_error(request, "ERR value is not an integer or out of range");
    }
    bool is_longer_only = request->count > 3 && is_word(request->arguments[3], "gt");
    if (request->count > 3 && !is_longer_only) {
        return give_error(request, "ERR Unsupported option");
    }
    struct model_key *key = find(request, request->arguments[1]);
    if (key == NULL) return give_integer(request, 0);
    int64_t at_ms = request->now_ms + life_ms;
    bool is_never = key->expires_at_ms == MODEL_NEVER;
    if (is_longer_only && (is_never || at_ms <= key->expires_at_ms)) {
        return give_integer(request, 0);
    }
    key->expires_at_ms = at_ms;
    if (life_ms <= 0) key->type = MODEL_NONE;
    return give_integer(request, 1);
}

static int run_hget(const struct request *request)
{
    struct model_key *key = find(request, request->arguments[1]);
    if (key == NULL) return give_nil(request);
    if (key->type != MODEL_HASH) return wrong_type(request);
    const struct model_entry *entry = find_entry(key, request->arguments[2]);
    return entry == NULL ? give_nil(request) : give_text(request, view(&entry->value));
}

static int run_hmget(const struct request *request)
{
    struct model_key *key = find(request, request->arguments[1]);
    if (key != NULL && key->type != MODEL_HASH) return wrong_type(request);
    lua_createtable(request->state, (int)request->count, 0);
    for (uint32_t index = 2; index < request->count; index++) {
        const struct model_entry *entry =
            key == NULL ? NULL : find_entry(key, request->arguments[index]);
        if (entry == NULL) {
            give_nil(request);
        } else {
            give_text(request, view(&entry->value));
        }
        lua_rawseti(request->state, -2, (int)index - 1);
    }
    return 1;
}

static int run_hset(const struct request *request)
{
    if (request->count % 2 != 0) {
        return give_error(request, "ERR wrong number of arguments for 'hset' command");
    }
    struct model_key *key = find(request, request->arguments[1]);
    if (key != NULL && key->type != MODEL_HASH) return wrong_type(request);
    if (key == NULL) key = make(request, request->arguments[1], MODEL_HASH);
    int64_t count = 0;
    for (uint32_t index = 2; index + 1 < request->count; index += 2) {
        struct model_entry *entry = find_entry(key, request->arguments[index]);
        count += entry == NULL;
        if (entry == NULL) entry = add_entry(key, request->arguments[index]);
        entry->value = keep(request->arguments[index + 1]);
    }
    return give_integer(request, count);
}

static int run_hsetnx(const struct request *request)
{
    struct model_key *key = find(request, request->arguments[1]);
    if (key != NULL && key->type != MODEL_HASH) return wrong_type(request);
    if (key == NULL) key = make(request, request->arguments[1], MODEL_HASH);
    if (find_entry(key, request->arguments[2]) != NULL) return give_integer(request, 0);
    add_entry(key, request->arguments[2])->value = keep(request->arguments[3]);
    return give_integer(request, 1);
}

static int remove_named(const struct request *request, enum model_type type)
{
    struct model_key *key = find(request, request->arguments[1]);
    if (key == NULL) return give_integer(request, 0);
    if (key->type != type) return wrong_type(request);
    int64_t count = 0;
    for (uint32_t index = 2; index < request->count && key->type == type; index++) {
        struct model_entry *entry = find_entry(key, request->arguments[index]);
        if (entry == NULL) continue;
        remove_entry(key, entry);
        count++;
    }
    return give_integer(request, count);
}

static int run_hdel(const struct request *request)
{
    return remove_named(request, MODEL_HASH);
}

static int run_zrem(const struct request *request)
{
    return remove_named(request, MODEL_ZSET);
}

static int run_zadd(const struct request *request)
{
    double score = 0;
    if (!read_score(request->arguments[2], &score)) {
        return give_error(request, "ERR value is not a valid float");
    }
    struct model_key *key = find(request, request->arguments[1]);
    if (key != NULL && key->type != MODEL_ZSET) return wrong_type(request);
    if (key == NULL) key = make(request, request->arguments[1], MODEL_ZSET);
    struct model_entry *old = find_entry(key, request->arguments[3]);
    bool is_new = old == NULL;
    if (!is_new && key->count > 1) {
        remove_entry(key, old);
    } else if (!is_new) {
        key->count = 0;
    }
    /* In the order of scores, then of names. */
    uint32_t place = 0;
    for (; place < key->count; place++) {
        const struct model_entry *entry = &key->entries[place];
        int order = bytes_compare(view(&entry->name), request->arguments[3]);
        if (entry->score > score || (!(entry->score < score) && order > 0)) break;
    }
    if (key->count == MODEL_ENTRY_COUNT_MAX) abort();
    memmove(
        &key->entries[place + 1],
        &key->entries[place],
        (key->count - place) * sizeof key->entries[0]);
    key->count++;
    key->entries[place].name = keep(request->arguments[3]);
    key->entries[place].value.size = 0;
    key->entries[place].score = score;
    return give_integer(request, is_new);
}

static int run_zscore(const struct request *request)
{
    struct model_key *key = find(request, request->arguments[1]);
    if (key == NULL) return give_nil(request);
    if (key->type != MODEL_ZSET) return wrong_type(request);
    const struct model_entry *entry = find_entry(key, request->arguments[2]);
    return entry == NULL ? give_nil(request) : give_score(request, entry->score);
}

static int run_zcard(const struct request *request)
{
    struct model_key *key = find(request, request->arguments[1]);
    if (key != NULL && key->type != MODEL_ZSET) return wrong_type(request);
    return give_integer(request, key == NULL ? 0 : key->count);
}

/* ZRANGE key first last [WITHSCORES] */
static int run_zrange(const struct request *request)
{
    struct model_key *key = find(request, request->arguments[1]);
    if (key != NULL && key->type != MODEL_ZSET) return wrong_type(request);
    int64_t count = key == NULL ? 0 : key->count;
    int64_t first = 0;
    int64_t last = 0;
    bool is_good =
        read_integer(request->arguments[2], &first) && read_integer(request->arguments[3], &last);
    if (!is_good) return give_error(request, "ERR value is not an integer or out of range");
    bool has_scores = request->count > 4 && is_word(request->arguments[4], "withscores");
    if (first < 0) first = first + count < 0 ? 0 : first + count;
    if (last < 0) last += count;
    if (last >= count) last = count - 1;
    lua_newtable(request->state);
    int place = 1;
    for (int64_t index = first; index <= last; index++) {
        give_text(request, view(&key->entries[index].name));
        lua_rawseti(request->state, -2, place++);
        if (!has_scores) continue;
        give_score(request, key->entries[index].score);
        lua_rawseti(request->state, -2, place++);
    }
    return 1;
}

static int run_time(const struct request *request)
{
    char text[24];
    lua_newtable(request->state);
    int size = snprintf(text, sizeof text, "%" PRId64, request->lua->now_us / 1000000);
    give_text(request, (struct bytes){ text, (size_t)size });
    lua_rawseti(request->state, -2, 1);
    size = snprintf(text, sizeof text, "%" PRId64, request->lua->now_us % 1000000);
    give_text(request, (struct bytes){ text, (size_t)size });
    lua_rawseti(request->state, -2, 2);
    return 1;
}

static int run_publish(const struct request *request)
{
    struct model_reply *reply = request->lua->reply;
    if (reply->message_count == MODEL_MESSAGE_COUNT_MAX) abort();
    struct model_message *message = &reply->messages[reply->message_count++];
    message->channel = keep(request->arguments[1]);
    if (request->arguments[2].size > sizeof message->data) abort();
    memcpy(message->data, request->arguments[2].data, request->arguments[2].size);
    message->size = request->arguments[2].size;
    return give_integer(request, 0);
}

/* tenure:{*}:fence is the only pattern that is asked for; all in one go. */
static int run_scan(const struct request *request)
{
    lua_newtable(request->state);
    give_text(request, BYTES_LITERAL("0"));
    lua_rawseti(request->state, -2, 1);
    lua_newtable(request->state);
    int place = 1;
    for (uint32_t index = 0; index < request->model->key_count; index++) {
        const struct model_key *key = &request->model->keys[index];
        struct bytes name = view(&key->name);
        bool is_there = key->type != MODEL_NONE && !is_expired(key, request->now_ms);
        bool is_fence = name.size >= 15 && bytes_start_with(name, BYTES_LITERAL("tenure:{")) &&
                        memcmp(name.data + name.size - 7, "}:fence", 7) == 0;
        if (!is_there || !is_fence) continue;
        give_text(request, name);
        lua_rawseti(request->state, -2, place++);
    }
    lua_rawseti(request->state, -2, 2);
    return 1;
}

static const struct {
    const char *name;
    uint32_t count_min; /* of arguments, the name included */
    int (*run)(const struct request *request);
} commands[] = {
    { "hmget", 3, run_hmget },     { "get", 2, run_get },       { "hget", 3, run_hget },
    { "hset", 4, run_hset },       { "exists", 2, run_exists }, { "pttl", 2, run_pttl },
    { "set", 3, run_set },         { "del", 2, run_del },       { "pexpire", 3, run_pexpire },
    { "zscore", 3, run_zscore },   { "zrange", 4, run_zrange }, { "time", 1, run_time },
    { "zadd", 4, run_zadd },       { "zrem", 3, run_zrem },     { "hdel", 3, run_hdel },
    { "publish", 3, run_publish }, { "zcard", 2, run_zcard },   { "scan", 2, run_scan },
    { "hsetnx", 4, run_hsetnx },
};

/* ------------------------------------------------------------------ Lua */

static int dispatch(lua_State *state, struct request *request)
{
    int count = lua_gettop(state);
    static char numbers[ARGUMENT_COUNT_MAX][40];
    if (count == 0 || count > (int)ARGUMENT_COUNT_MAX) abort();
    for (int index = 1; index <= count; index++) {
        struct bytes *argument = &request->arguments[index - 1];
        if (lua_type(state, index) == LUA_TNUMBER) {
            char *text = numbers[index - 1];
            *argument = (struct bytes){ text, format_number(lua_tonumber(state, index), text) };
        } else if (lua_type(state, index) == LUA_TSTRING) {
            argument->data = lua_tolstring(state, index, &argument->size);
        } else {
            return give_error(
                request, "ERR Lua redis lib command arguments must be strings or integers");
        }
    }
    request->count = (uint32_t)count;
    for (size_t index = 0; index < sizeof commands / sizeof commands[0]; index++) {
        bool may_be = (request->arguments[0].data[0] | ' ') == commands[index].name[0];
        if (!may_be || !is_word(request->arguments[0], commands[index].name)) continue;
        if (request->count < commands[index].count_min) {
            return give_error(
                request, "ERR Wrong number of args calling Redis command from script");
        }
        return commands[index].run(request);
    }
    return give_error(request, "ERR Unknown Redis command called from script");
}

static int redis_call(lua_State *state)
{
    struct model_lua *lua = lua_touserdata(state, lua_upvalueindex(1));
    bool is_protected = lua_toboolean(state, lua_upvalueindex(2)) != 0;
    struct request request = {
        .lua = lua, .model = lua->model, .state = state, .now_ms = lua->now_us / 1000
    };
    int result = dispatch(state, &request);
    if (result < 0 && !is_protected) return lua_error(state);
    return 1;
}

static int nonexistent(lua_State *state)
{
    return luaL_error(
        state,
        "Script attempted to access nonexistent global variable '%s'",
        lua_tostring(state, 2));
}

struct model_lua *model_lua_create(void)
{
    struct model_lua *lua = calloc(1, sizeof *lua);
    if (lua == NULL) abort();
    lua->state = luaL_newstate();
    if (lua->state == NULL) abort();
    luaL_openlibs(lua->state);
    lua_newtable(lua->state);
    lua_pushlightuserdata(lua->state, lua);
    lua_pushboolean(lua->state, 0);
    lua_pushcclosure(lua->state, redis_call, 2);
    lua_setfield(lua->state, -2, "call");
    lua_pushlightuserdata(lua->state, lua);
    lua_pushboolean(lua->state, 1);
    lua_pushcclosure(lua->state, redis_call, 2);
    lua_setfield(lua->state, -2, "pcall");
    lua_setglobal(lua->state, "redis");
    lua_newtable(lua->state);
    lua_pushcfunction(lua->state, nonexistent);
    lua_setfield(lua->state, -2, "__index");
    lua_pushcfunction(lua->state, nonexistent);
    lua_setfield(lua->state, -2, "__newindex");
    lua_setmetatable(lua->state, LUA_GLOBALSINDEX);
    return lua;
}

void model_lua_destroy(struct model_lua **lua)
{
    if (*lua == NULL) return;
    lua_close((*lua)->state);
    free(*lua);
    *lua = NULL;
}

/* Leaves the function on the stack; false: it does not compile. */
static bool push_function(struct model_lua *lua, struct bytes text)
{
    for (uint32_t index = 0; index < lua->compiled_count; index++) {
        if (lua->compiled[index].text != text.data) continue;
        lua_rawgeti(lua->state, LUA_REGISTRYINDEX, lua->compiled[index].reference);
        return true;
    }
    if (luaL_loadbuffer(lua->state, text.data, text.size, "script") != 0) return false;
    if (lua->compiled_count == COMPILED_COUNT_MAX) abort();
    lua_pushvalue(lua->state, -1);
    lua->compiled[lua->compiled_count].text = text.data;
    lua->compiled[lua->compiled_count].reference = luaL_ref(lua->state, LUA_REGISTRYINDEX);
    lua->compiled_count++;
    return true;
}

static void set_list(lua_State *state, const char *name, const struct bytes *items, uint32_t count)
{
    lua_pushstring(state, name);
    lua_createtable(state, (int)count, 0);
    for (uint32_t index = 0; index < count; index++) {
        lua_pushlstring(state, items[index].data, items[index].size);
        lua_rawseti(state, -2, (int)index + 1);
    }
    lua_rawset(state, LUA_GLOBALSINDEX);
}

/* One value as Redis turns it into a reply; false: it ends an array. */
static bool take_value(lua_State *state, int index, struct quorum_value *out_value)
{
    *out_value = (struct quorum_value){ 0 };
    switch (lua_type(state, index)) {
    case LUA_TNUMBER:
        out_value->is_integer = true;
        out_value->integer = (int64_t)lua_tonumber(state, index);
        return true;
    case LUA_TSTRING:
        out_value->text.data = lua_tolstring(state, index, &out_value->text.size);
        return true;
    case LUA_TBOOLEAN:
        if (lua_toboolean(state, index)) {
            out_value->is_integer = true;
            out_value->integer = 1;
        } else {
            out_value->text = BYTES_LITERAL("(nil)");
        }
        return true;
    case LUA_TTABLE:
        lua_getfield(state, index, "ok");
        if (lua_type(state, -1) != LUA_TSTRING) {
            out_value->text = BYTES_LITERAL("(array)");
        } else {
            out_value->text.data = lua_tolstring(state, -1, &out_value->text.size);
        }
        lua_pop(state, 1);
        return true;
    default: return false;
    }
}

static void take_error(struct model_reply *reply, const char *text)
{
    reply->is_error = true;
    (void)snprintf(reply->error, sizeof reply->error, "%s", text == NULL ? "?" : text);
}

static void take_table(lua_State *state, int index, struct model_reply *reply)
{
    lua_getfield(state, index, "err");
    if (lua_type(state, -1) == LUA_TSTRING) {
        take_error(reply, lua_tostring(state, -1));
        lua_pop(state, 1);
        return;
    }
    lua_getfield(state, index, "ok");
    if (lua_type(state, -1) == LUA_TSTRING) {
        lua_pop(state, 2);
        reply->count = 1;
        take_value(state, index, &reply->values[0]);
        return;
    }
    lua_pop(state, 2);
    for (int place = 1; reply->count < MODEL_VALUE_COUNT_MAX; place++) {
        lua_rawgeti(state, index, place);
        bool is_value = take_value(state, lua_gettop(state), &reply->values[reply->count]);
        lua_pop(state, 1); /* the table keeps it alive */
        if (!is_value) break;
        reply->count++;
    }
}

void model_run(
    struct model_lua *lua,
    struct model *model,
    int64_t now_us,
    const struct model_script *script,
    struct model_reply *out_reply)
{
    lua_State *state = lua->state;
    out_reply->is_error = false;
    out_reply->count = 0;
    out_reply->message_count = 0;
    lua->model = model;
    lua->reply = out_reply;
    lua->now_us = now_us;
    lua_settop(state, 0);
    set_list(state, "KEYS", script->keys, script->key_count);
    set_list(state, "ARGV", script->arguments, script->argument_count);
    if (!push_function(lua, script->text) || lua_pcall(state, 0, 1, 0) != 0) {
        if (lua_type(state, -1) == LUA_TTABLE) lua_getfield(state, -1, "err");
        take_error(out_reply, lua_tostring(state, -1));
        return;
    }
    /* The result stays on the stack, so that its texts live until the next run. */
    if (lua_type(state, 1) == LUA_TTABLE) {
        take_table(state, 1, out_reply);
    } else if (take_value(state, 1, &out_reply->values[0])) {
        out_reply->count = 1;
    }
}

void model_command(
    struct model_lua *lua,
    struct model *model,
    int64_t now_us,
    const struct quorum_command *command,
    struct model_reply *out_reply)
{
    const struct model_script script = {
        .text = redis_scripts[command->script].text,
        .keys = command->keys,
        .key_count = command->key_count,
        .arguments = command->arguments,
        .argument_count = command->argument_count,
    };
    model_run(lua, model, now_us, &script, out_reply);
}
