/* The reader of JSON bodies, against jansson: what it accepts, jansson accepts with the same
 * meaning; what is refused for its syntax, jansson refuses. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "lib/random.h"
#include "lib/test.h"
#include "server/json_body.h"

static const uint8_t all_args[] = {
#define X(id, name, type, least, most) ARG_##id,
    ARG_MAP(X)
#undef X
        ARG_COUNT
};

static char room[1 << 16];

static bool read_all(struct bytes body, struct args *out_args, struct args_error *out_error)
{
    char *scratch = room;
    CHECK(body.size < sizeof(room));
    *out_args = (struct args){ 0 };
    bool is_good = json_body_read(out_args, body, all_args, &scratch, out_error);
    CHECK_LE_UINT((size_t)(scratch - room), body.size);
    return is_good;
}

static bool read_text(const char *text, struct args *out_args, struct args_error *out_error)
{
    return read_all(bytes_from_text(text), out_args, out_error);
}

TEST(members_find_their_arguments)
{
    struct args args;
    struct args_error error;
    CHECK(
        read_text(
            " {\"owner\" : \"a\\u00e4\\n\\ud83d\\ude00\\\"/\" "
            ",\n\"token\":9007199254740991,\"mode\":\"shared\","
            "\"break\":true,\"names\":[ \"x\" , \"y/z\" "
            "],\t\"ttl_ms\":0,\"meta\":\"\\u0001\"}\r\n ",
            &args,
            &error) == false); /* the owner has a line feed */
    CHECK_EQ_TEXT(error.field, "owner");
    CHECK(read_text(
        " {\"owner\" : \"a\\u00e4\\ud83d\\ude00\\\"/\" "
        ",\n\"token\":9007199254740991,\"mode\":\"shared\","
        "\"break\":true,\"names\":[ \"x\" , \"y/z\" ],\t\"ttl_ms\":0,\"meta\":\"\\u0001\"}\r\n ",
        &args,
        &error));
    CHECK_EQ_BYTES(args.texts[ARG_OWNER], BYTES_LITERAL("a\xc3\xa4\xf0\x9f\x98\x80\"/"));
    CHECK_EQ_UINT(args.numbers[ARG_TOKEN], TOKEN_MAX);
    CHECK_EQ_UINT(args.numbers[ARG_MODE], ARG_MODE_SHARED);
    CHECK_EQ_UINT(args.numbers[ARG_BREAK], 1);
    CHECK_EQ_UINT(args.numbers[ARG_TTL_MS], 0);
    CHECK_EQ_UINT(args.name_count, 2);
    CHECK_EQ_BYTES(args.names[1], BYTES_LITERAL("y/z"));
    CHECK_EQ_BYTES(args.texts[ARG_META], BYTES_LITERAL("\x01"));
    CHECK(read_text("", &args, &error));
    CHECK(args_any(&args, all_args) == ARG_COUNT);
    CHECK(read_text("{}", &args, &error));
}

static const char *const syntax[] = {
    " ",
    "{",
    "}",
    "[]",
    "null",
    "{\"owner\"}",
    "{\"owner\":}",
    "{\"owner\":\"a\"",
    "{\"owner\":\"a\",}",
    "{\"owner\":\"a\" \"meta\":\"b\"}",
    "{owner:\"a\"}",
    "{'owner':'a'}",
    "{\"owner\":\"a}",
    "{\"owner\":\"a\\\"}",
    "{\"owner\":\"a\\x\"}",
    "{\"owner\":\"\\u12\"}",
    "{\"owner\":\"\\ud800\"}",
    "{\"owner\":\"\\ud800\\u0041\"}",
    "{\"owner\":\"\\udc00\"}",
    "{\"owner\":\"\\u0000\"}",
    "{\"owner\":\"a\nb\"}",
    "{\"owner\":\"\xff\"}",
    "{\"owner\":\"\xc0\x80\"}",
    "{\"owner\":\"\xed\xa0\x80\"}",
    "{\"owner\":\"a\"}{}",
    "{\"owner\":\"a\"} x",
    "{\"owner\":nul}",
    "{\"names\":[\"a\",]}",
    "{\"names\":[\"a\" \"b\"]}",
    "{\"names\":[\"a\"}",
    "\xef\xbb\xbf{}",
    "{\"owner\":\"a\",\"owner\":\"b\"}",
};

static json_t *parse_as_jansson(struct bytes body)
{
    json_error_t error;
    return json_loadb(body.data, body.size, JSON_REJECT_DUPLICATES, &error);
}

TEST(bad_syntax_is_refused_as_jansson_refuses_it)
{
    for (size_t i = 0; i < sizeof(syntax) / sizeof(syntax[0]); i++) {
        struct args args;
        struct args_error error = { 0 };
        test_note("%s", syntax[i]);
        CHECK(!read_text(syntax[i], &args, &error));
        CHECK(error.text[0] != '\0');
        json_t *json = parse_as_jansson(bytes_from_text(syntax[i]));
        /* An array is JSON, only not what is wanted. */
        CHECK(json == NULL || json_is_array(json));
        json_decref(json);
    }
}

struct rule {
    const char *text;
    const char *field;
    uint64_t limit; /* 0: none */
};

static const struct rule rules[] = {
    { "{\"ttl_ms\":1}", "ttl_ms", 100 },
    { "{\"ttl_ms\":99}", "ttl_ms", 100 },
    { "{\"ttl_ms\":86400001}", "ttl_ms", 86400000 },
    { "{\"ttl_ms\":18446744073709551615}", "ttl_ms", 86400000 },
    { "{\"ttl_ms\":18446744073709551616}", "ttl_ms", 0 },
    { "{\"ttl_ms\":100.0}", "ttl_ms", 0 },
    { "{\"ttl_ms\":1e3}", "ttl_ms", 0 },
    { "{\"ttl_ms\":-0}", "ttl_ms", 0 },
    { "{\"ttl_ms\":0100}", "ttl_ms", 0 },
    { "{\"ttl_ms\":\"100\"}", "ttl_ms", 0 },
    { "{\"ttl_ms\":true}", "ttl_ms", 0 },
    { "{\"ttl_ms\":null}", "ttl_ms", 0 },
    { "{\"ttl_ms\":[]}", "ttl_ms", 0 },
    { "{\"ttl_ms\":{}}", "ttl_ms", 0 },
    { "{\"token\":0}", "token", 1 },
    { "{\"token\":9007199254740992}", "token", 9007199254740991 },
    { "{\"slots\":0}", "slots", 1 },
    { "{\"slots\":4097}", "slots", 4096 },
    { "{\"priority\":10}", "priority", 9 },
    { "{\"owner\":\"\"}", "owner", 1 },
    { "{\"owner\":7}", "owner", 0 },
    { "{\"owner\":1.5}", "owner", 0 },
    { "{\"owner\":\"a\\u007f\"}", "owner", 0 },
    { "{\"break\":1}", "break", 0 },
    { "{\"break\":\"yes\"}", "break", 0 },
    { "{\"mode\":\"\"}", "mode", 0 },
    { "{\"mode\":1}", "mode", 0 },
    { "{\"names\":\"a\"}", "names", 0 },
    { "{\"names\":[]}", "names", 1 },
    { "{\"names\":[1]}", "names", 0 },
    { "{\"names\":[[]]}", "names", 0 },
    { "{\"names\":[\"a\",\"a\"]}", "names", 0 },
    { "{\"names\":[\"\"]}", "names", 1 },
    { "{\"nonsense\":{\"a\":[[[[[[[[1]]]]]]]]}}", "nonsense", 0 },
    { "{\"\":1}", "", 0 },
    { "{\"n\\u00e4me\":1}", "n\xc3\xa4me", 0 },
};

TEST(broken_rules_are_named)
{
    for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++) {
        struct args args;
        struct args_error error = { 0 };
        test_note("%s", rules[i].text);
        CHECK(!read_text(rules[i].text, &args, &error));
        CHECK_EQ_TEXT(error.field, rules[i].field);
        CHECK_EQ_UINT(error.limit, rules[i].limit);
        CHECK_EQ_INT(error.has_limit, rules[i].limit != 0);
        CHECK(error.text[0] != '\0');
    }
}

TEST(texts_have_their_limits)
{
    static const enum arg texts[] = { ARG_OWNER, ARG_META, ARG_VALUE, ARG_TO, ARG_REASON };
    static const size_t limits[] = { 255, 4096, 4096, 255, 255 };
    for (size_t i = 0; i < 5; i++) {
        for (size_t size = limits[i] - 1; size <= limits[i] + 1; size++) {
            char text[5000];
            int start = snprintf(text, sizeof(text), "{\"%s\":\"", arg_name(texts[i]));
            memset(text + start, 'x', size);
            memcpy(text + start + (int)size, "\"}", 3);
            struct args args;
            struct args_error error = { 0 };
            CHECK_EQ_INT(read_text(text, &args, &error), size <= limits[i]);
            if (size > limits[i]) CHECK_EQ_UINT(error.limit, limits[i]);
        }
    }
}

TEST(names_have_their_limit)
{
    for (uint32_t count = 31; count <= 33; count++) {
        char text[1024] = "{\"names\":[";
        for (uint32_t i = 0; i < count; i++) {
            (void)sprintf(text + strlen(text), "%s\"n%u\"", i == 0 ? "" : ",", i);
        }
        strcat(text, "]}");
        struct args args;
        struct args_error error;
        CHECK_EQ_INT(read_text(text, &args, &error), count <= LIMIT_NAME_COUNT_MAX);
    }
}

TEST(depth_costs_nothing)
{
    static char text[60000];
    memset(text, '[', sizeof(text));
    memcpy(text, "{\"names\":", 9);
    struct args args;
    struct args_error error;
    CHECK(!read_all((struct bytes){ text, sizeof(text) }, &args, &error));
}

/* ------------------------------------------------------------ against jansson */

static void check_text_member(const json_t *json, const struct args *args, enum arg arg)
{
    const json_t *member = json_object_get(json, arg_name(arg));
    CHECK(json_is_string(member));
    struct bytes expected = { json_string_value(member), json_string_length(member) };
    CHECK_EQ_BYTES(args->texts[arg], expected);
}

static void check_same(const json_t *json, const struct args *args)
{
    size_t count = 0;
    for (int i = 0; i < ARG_COUNT; i++) {
        enum arg arg = (enum arg)i;
        if (!args_has(args, arg)) continue;
        count++;
        const json_t *member = json_object_get(json, arg_name(arg));
        switch (arg_type(arg)) {
        case ARG_TYPE_PLAIN:
        case ARG_TYPE_TEXT: check_text_member(json, args, arg); break;
        case ARG_TYPE_NUMBER:
        case ARG_TYPE_TTL:
            CHECK(json_is_integer(member));
            CHECK_EQ_UINT((uint64_t)json_integer_value(member), args->numbers[arg]);
            break;
        case ARG_TYPE_WORD: CHECK(json_is_string(member)); break;
        case ARG_TYPE_DECIMAL: CHECK(json_is_number(member) || json_is_string(member)); break;
        case ARG_TYPE_FLAG: CHECK_EQ_INT(json_is_true(member), args->numbers[arg] == 1); break;
        case ARG_TYPE_NAMES: CHECK_EQ_UINT(json_array_size(member), args->name_count); break;
        }
    }
    CHECK_EQ_UINT(json_object_size(json), count);
}

static const char *const seeds[] = {
    "{\"owner\":\"a\",\"ttl_ms\":1000,\"wait_ms\":0,\"meta\":\"\\u00e4\\n\"}",
    "{\"names\":[\"a\",\"b\\\\c\"],\"mode\":\"shared\",\"priority\":9}",
    "{ \"value\" : \"\\ud83d\\ude00\", \"to\":\"x\" }",
    "{\"break\":false,\"token\":12345678901,\"reason\":\"why\"}",
    "{\"score\":-10.25e+3,\"by\":0.5,\"min\":7}",
};

TEST(random_bodies_mean_the_same_to_jansson)
{
    static const char alphabet[] = "{}[]\":,\\u0123456789abcdefntr -+.eE\n\x80\xc3\xa4";
    struct test_random random = { 11 };
    int accepted = 0;
    for (int round = 0; round < 200000; round++) {
        char text[256];
        const char *seed = seeds[test_random_below(&random, 5)];
        size_t size = strlen(seed);
        memcpy(text, seed, size);
        for (uint64_t i = test_random_below(&random, 3); i > 0; i--) {
            size_t at = test_random_below(&random, size);
            text[at] = alphabet[test_random_below(&random, sizeof(alphabet) - 1)];
        }
        struct args args;
        struct args_error error;
        test_note("%.*s", (int)size, text);
        if (!read_all((struct bytes){ text, size }, &args, &error)) continue;
        accepted++;
        json_t *json = parse_as_jansson((struct bytes){ text, size });
        CHECK(json != NULL);
        check_same(json, &args);
        json_decref(json);
    }
    CHECK_LT_INT(10000, accepted);
}
