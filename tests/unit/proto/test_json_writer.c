#include <jansson.h>

#include "base/utf8.h"
#include "lib/fault_memory.h"
#include "lib/random.h"
#include "lib/test.h"
#include "proto/json_writer.h"

struct fixture {
    struct buffer out;
    struct json_writer json;
};

static void fixture_init(struct fixture *fixture)
{
    buffer_init(&fixture->out, &memory_heap);
    json_writer_init(&fixture->json, &fixture->out);
}

static void check_out(struct fixture *fixture, const char *expected)
{
    CHECK(json_is_complete(&fixture->json));
    CHECK_EQ_BYTES(buffer_bytes(&fixture->out), bytes_from_text(expected));
    buffer_deinit(&fixture->out);
}

TEST(json_writer_puts_commas)
{
    struct fixture fixture;
    struct json_writer *json = &fixture.json;
    fixture_init(&fixture);
    json_begin_object(json);
    json_key(json, "holds");
    json_begin_array(json);
    json_begin_object(json);
    json_end_object(json);
    json_begin_array(json);
    json_end_array(json);
    json_unsigned(json, 1);
    json_begin_array(json);
    json_null_value(json);
    json_bool(json, true);
    json_end_array(json);
    json_begin_array(json);
    json_null_value(json);
    json_end_array(json);
    json_end_array(json);
    json_key(json, "token");
    json_unsigned(json, UINT64_MAX);
    json_key_bytes(json, BYTES_LITERAL("a\"b"));
    json_bool(json, false);
    CHECK(!json_is_complete(json));
    json_end_object(json);
    check_out(
        &fixture,
        "{\"holds\":[{},[],1,[null,true],[null]],\"token\":18446744073709551615,\"a\\\"b\":false}");
}

TEST(json_writer_numbers)
{
    struct fixture fixture;
    fixture_init(&fixture);
    json_begin_array(&fixture.json);
    json_signed(&fixture.json, INT64_MIN);
    json_signed(&fixture.json, 0);
    json_signed(&fixture.json, -5);
    json_unsigned(&fixture.json, TOKEN_MAX);
    json_thousandths(&fixture.json, 0);
    json_thousandths(&fixture.json, 5);
    json_thousandths(&fixture.json, -1500);
    json_thousandths(&fixture.json, 86400000);
    json_end_array(&fixture.json);
    check_out(
        &fixture, "[-9223372036854775808,0,-5,9007199254740991,0.000,0.005,-1.500,86400.000]");
}

TEST(json_writer_escapes)
{
    struct fixture fixture;
    fixture_init(&fixture);
    json_text(&fixture.json, BYTES_LITERAL("\"\\/ \b\f\n\r\t\x01\x1f\0z\x7f gr\xc3\xbc\xc3\x9f"));
    check_out(
        &fixture, "\"\\\"\\\\/ \\b\\f\\n\\r\\t\\u0001\\u001f\\u0000z\x7f gr\xc3\xbc\xc3\x9f\"");
    fixture_init(&fixture);
    json_text(&fixture.json, (struct bytes){ NULL, 0 });
    check_out(&fixture, "\"\"");
}

/* Another JSON library must read back what was written. */
static void write_random(struct test_random *random, struct json_writer *json, json_t *container)
{
    char text[32];
    size_t size = test_random_below(random, sizeof(text));
    for (size_t i = 0; i < size; i++)
        text[i] = (char)test_random_below(random, 0x80);
    int64_t number = (int64_t)test_random_next(random);
    json_t *value = NULL;
    switch (test_random_below(random, 4)) {
    case 0:
        json_text(json, (struct bytes){ text, size });
        value = json_stringn(text, size);
        break;
    case 1:
        json_signed(json, number);
        value = json_integer(number);
        break;
    case 2:
        json_bool(json, number < 0);
        value = json_boolean(number < 0);
        break;
    default:
        json_null_value(json);
        value = json_null();
        break;
    }
    CHECK_EQ_INT(json_array_append_new(container, value), 0);
}

TEST(json_writer_is_read_back_by_another_library)
{
    for (uint64_t seed = 1; seed <= 200; seed++) {
        struct test_random random = { seed };
        struct fixture fixture;
        fixture_init(&fixture);
        json_t *expected = json_array();
        json_begin_array(&fixture.json);
        for (int i = 0; i < 20; i++)
            write_random(&random, &fixture.json, expected);
        json_end_array(&fixture.json);
        json_error_t error;
        json_t *read = json_loadb(
            fixture.out.data, fixture.out.size, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &error);
        test_note("seed %d: %s", (int)seed, read == NULL ? error.text : "");
        CHECK(read != NULL);
        CHECK(json_equal(read, expected));
        json_decref(read);
        json_decref(expected);
        buffer_deinit(&fixture.out);
    }
}

TEST(json_writer_nests_to_its_limit)
{
    struct fixture fixture;
    fixture_init(&fixture);
    for (uint32_t i = 0; i < JSON_DEPTH_MAX; i++) {
        if (i % 2 == 0) {
            json_begin_array(&fixture.json);
        } else {
            json_begin_object(&fixture.json);
            json_key(&fixture.json, "k");
        }
    }
    json_null_value(&fixture.json);
    for (uint32_t i = JSON_DEPTH_MAX; i-- > 0;) {
        if (i % 2 == 0) {
            json_end_array(&fixture.json);
        } else {
            json_end_object(&fixture.json);
        }
    }
    CHECK(json_is_complete(&fixture.json));
    json_t *read = json_loadb(fixture.out.data, fixture.out.size, 0, NULL);
    CHECK(read != NULL);
    json_decref(read);
    buffer_deinit(&fixture.out);
}

static void nest_too_deep(void *user)
{
    for (uint32_t i = 0; i <= JSON_DEPTH_MAX; i++)
        json_begin_array(user);
}

static void write_two_values(void *user)
{
    json_null_value(user);
    json_null_value(user);
}

static void write_value_without_key(void *user)
{
    json_begin_object(user);
    json_null_value(user);
}

static void write_key_in_array(void *user)
{
    json_begin_array(user);
    json_key(user, "k");
}

static void write_two_keys(void *user)
{
    json_begin_object(user);
    json_key(user, "k");
    json_key(user, "k");
}

static void end_after_key(void *user)
{
    json_begin_object(user);
    json_key(user, "k");
    json_end_object(user);
}

static void end_the_wrong_thing(void *user)
{
    json_begin_object(user);
    json_end_array(user);
}

static void end_nothing(void *user)
{
    json_end_object(user);
}

TEST(json_writer_misuse_aborts)
{
    struct fixture fixture;
    fixture_init(&fixture);
    CHECK_ABORTS(nest_too_deep, &fixture.json);
    CHECK_ABORTS(write_two_values, &fixture.json);
    CHECK_ABORTS(write_value_without_key, &fixture.json);
    CHECK_ABORTS(write_key_in_array, &fixture.json);
    CHECK_ABORTS(write_two_keys, &fixture.json);
    CHECK_ABORTS(end_after_key, &fixture.json);
    CHECK_ABORTS(end_the_wrong_thing, &fixture.json);
    CHECK_ABORTS(end_nothing, &fixture.json);
    buffer_deinit(&fixture.out);
}

TEST(json_writer_without_memory_fails_the_buffer)
{
    struct fault_memory fault;
    struct buffer out;
    struct json_writer json;
    fault_memory_init(&fault, 2);
    buffer_init(&out, &fault.memory);
    json_writer_init(&json, &out);
    json_begin_object(&json);
    for (int i = 0; i < 50; i++) {
        json_key(&json, "key");
        json_text(&json, BYTES_LITERAL("some text\n"));
    }
    json_end_object(&json);
    CHECK(json_is_complete(&json));
    CHECK(out.is_failed);
    buffer_deinit(&out);
    fault_memory_check_empty(&fault);
}
