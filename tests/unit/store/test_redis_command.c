/* EVALSHA, written once and sent to nodes with passes of their own. */
#include "base/decimal.h"
#include "lib/fault_memory.h"
#include "lib/test.h"
#include "proto/resp_writer.h"
#include "store/redis/command.h"
#include "store/redis/scripts/scripts.h"

static struct quorum_texts texts_with(const char *pass)
{
    return (struct quorum_texts){
        .name = bytes_from_text("a/lock"),
        .owner = bytes_from_text("user@host:1#0123456789abcdef"),
        .channel = bytes_from_text("tenure:wake:1"),
        .meta =
            bytes_from_text("{\"why\":\"what takes more than ninety-nine bytes has a head of "
                            "another length, and the pass must stand behind it all the same\"}"),
        .pass = bytes_from_text(pass),
        .run_id = bytes_from_text("0123456789012345678901234567890123456789"),
        .config = bytes_from_text("1:nodes=3"),
    };
}

static struct quorum_call call_of(enum quorum_verb verb)
{
    return (struct quorum_call){ .verb = verb,
                                 .node = 2,
                                 .serial = 7,
                                 .token = 1700000000000000,
                                 .ticket = 12,
                                 .ttl_ms = 30000,
                                 .count = 32,
                                 .life_ms = 3000,
                                 .uptime_ms = 5,
                                 .is_durable = true,
                                 .is_claim = true };
}

/* The same, one text after the other. */
static void
write_plainly(const struct quorum_call *call, const char *pass, struct buffer *out_expected)
{
    struct quorum_texts texts = texts_with(pass);
    struct quorum_command parts;
    struct resp_writer writer = { out_expected, true };
    char digits[DECIMAL_SIZE_MAX];
    quorum_command_write(call, &texts, &parts);
    resp_write_array(&writer, 3 + parts.key_count + parts.argument_count);
    resp_write_text(&writer, "EVALSHA");
    resp_write_text(&writer, redis_scripts[parts.script].sha);
    resp_write_bulk(&writer, (struct bytes){ digits, decimal_format(parts.key_count, digits) });
    for (uint32_t index = 0; index < parts.key_count; index++) {
        resp_write_bulk(&writer, parts.keys[index]);
    }
    for (uint32_t index = 0; index < parts.argument_count; index++) {
        resp_write_bulk(&writer, parts.arguments[index]);
    }
}

TEST(each_node_is_sent_its_own_pass)
{
    static const char *const passes[] = {
        "0123456789012345678901234567890123456789 1:nodes=3",
        "x",
        "",
    };
    const struct quorum_texts texts = texts_with("not this one");
    struct redis_command command = { .has_pass = false };
    struct buffer expected;
    struct buffer output;
    buffer_init(&command.text, &memory_heap);
    buffer_init(&expected, &memory_heap);
    buffer_init(&output, &memory_heap);
    for (int verb = QUORUM_VOTE; verb < QUORUM_VERB_COUNT; verb++) {
        const struct quorum_call call = call_of((enum quorum_verb)verb);
        test_note("verb %d", verb);
        buffer_reset(&expected);
        buffer_reset(&output);
        tni_redis_command_write(&command, &call, &texts);
        for (size_t index = 0; index < sizeof(passes) / sizeof(passes[0]); index++) {
            write_plainly(&call, passes[index], &expected);
            tni_redis_command_send(&command, bytes_from_text(passes[index]), &output);
        }
        CHECK_EQ_BYTES(buffer_bytes(&output), buffer_bytes(&expected));
    }
    buffer_deinit(&command.text);
    buffer_deinit(&expected);
    buffer_deinit(&output);
}

TEST(what_there_was_no_memory_to_write_is_not_sent)
{
    const struct quorum_call call = call_of(QUORUM_VOTE);
    struct fault_memory faults;
    const struct quorum_texts texts = texts_with("not this one");
    struct redis_command command = { .has_pass = false };
    struct buffer output;
    fault_memory_init(&faults, 1);
    buffer_init(&command.text, &faults.memory);
    buffer_init(&output, &memory_heap);
    tni_redis_command_write(&command, &call, &texts);
    tni_redis_command_send(&command, BYTES_LITERAL("x"), &output);
    CHECK(output.is_failed);
    CHECK_EQ_UINT(output.size, 0);
    buffer_reset(&output);
    tni_redis_command_write(&command, &call, &texts);
    tni_redis_command_send(&command, BYTES_LITERAL("x"), &output);
    CHECK(!output.is_failed && output.size > 0);
    buffer_deinit(&command.text);
    buffer_deinit(&output);
}

TEST(calls_are_the_same_when_all_but_the_node_is)
{
    const struct quorum_call call = call_of(QUORUM_VOTE);
    struct quorum_call other = call;
    other.node = 1;
    other.serial = 8;
    CHECK(quorum_call_is_same(&call, &other));
#define CHECK_MATTERS(field, value)                                                                \
    other = call;                                                                                  \
    other.field = (value);                                                                         \
    CHECK(!quorum_call_is_same(&call, &other))
    CHECK_MATTERS(verb, QUORUM_HEAL);
    CHECK_MATTERS(token, 1);
    CHECK_MATTERS(ticket, 1);
    CHECK_MATTERS(ttl_ms, 1);
    CHECK_MATTERS(count, 1);
    CHECK_MATTERS(life_ms, 1);
    CHECK_MATTERS(uptime_ms, 1);
    CHECK_MATTERS(is_durable, false);
    CHECK_MATTERS(is_claim, false);
}
