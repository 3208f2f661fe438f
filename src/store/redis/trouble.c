#include "store/redis/trouble.h"

#define LOCATION_6 BYTES_LITERAL("ERR Error running script (call to ")
#define LOCATION_7 BYTES_LITERAL(", on @user_script:")
#define MODULE     BYTES_LITERAL("@user_script:")

static const struct redis_trouble troubles[] = {
#define X(words, where, effect, is_of_name, err, text)                                             \
    { words, REDIS_TROUBLE_##where, REDIS_TROUBLE_##effect, is_of_name, TENURE_##err, text },
    REDIS_TROUBLE_MAP(X)
#undef X
};
#define TROUBLE_COUNT (sizeof(troubles) / sizeof(troubles[0]))

static struct bytes drop(struct bytes text, size_t size)
{
    return (struct bytes){ text.data + size, text.size - size };
}

/* How many bytes of `text` stand before `part`; all of them when it is not there. */
static size_t size_before(struct bytes text, struct bytes part)
{
    for (size_t size = 0; size + part.size <= text.size; size++) {
        if (memcmp(text.data + size, part.data, part.size) == 0) return size;
    }
    return text.size;
}

/* What Redis 6 says: "ERR Error running script (call to f_SHA): @user_script:12: @user_script: 12:
 * -OOM command not allowed ...", once or twice where, and with or without the "-". */
static struct bytes drop_location_6(struct bytes line)
{
    line = drop(line, size_before(line, MODULE));
    while (bytes_start_with(line, MODULE)) {
        line = drop(line, MODULE.size);
        line = drop(line, size_before(line, BYTES_LITERAL(": ")));
        if (line.size >= 2) line = drop(line, 2);
    }
    return line.size > 0 && line.data[0] == '-' ? drop(line, 1) : line;
}

static bool is_word_byte(char byte)
{
    return (byte >= 'A' && byte <= 'Z') || (byte >= 'a' && byte <= 'z') ||
           (byte >= '0' && byte <= '9') || byte == '_';
}

/* Nothing behind its words is looked at: names of keys, which anybody may choose, stand there. */
static bool begins_with(struct bytes line, struct bytes words)
{
    if (words.size == 0) return true;
    if (!bytes_start_with(line, words)) return false;
    return line.size == words.size || !is_word_byte(line.data[words.size]);
}

const struct redis_trouble *tni_redis_trouble(struct bytes error_line)
{
    struct bytes line = error_line;
    bool is_redis_6 = bytes_start_with(line, LOCATION_6);
    bool is_in_script = is_redis_6 || size_before(line, LOCATION_7) < line.size;
    if (is_redis_6) line = drop_location_6(line);
    size_t index = 0;
    for (; index + 1 < TROUBLE_COUNT; index++) {
        const struct redis_trouble *trouble = &troubles[index];
        struct bytes words = bytes_from_text(trouble->words);
        if (trouble->where == REDIS_TROUBLE_IN_SCRIPT && !is_in_script) continue;
        if (begins_with(line, words)) break;
        /* Inside its own "ERR" Redis 6 does not say it again. */
        bool is_err = bytes_start_with(words, BYTES_LITERAL("ERR "));
        if (is_redis_6 && is_err && begins_with(line, drop(words, 4))) break;
    }
    return &troubles[index];
}
