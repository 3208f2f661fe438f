#include <string.h>

#include "cli/meta.h"
#include "cli/text.h"
#include "cli/waiting.h"
#include "lib/test.h"

static const char *json(const char *words, char *buffer, size_t size)
{
    struct text text;
    text_init(&text, buffer, size);
    text_add_json(&text, words);
    return buffer;
}

TEST(text_json_escapes)
{
    char buffer[64];
    CHECK_EQ_TEXT(json("a\"b\\c\n\t\x01\x7f", buffer, 64), "\"a\\\"b\\\\c\\n\\t\\u0001\\u007f\"");
    CHECK_EQ_TEXT(json("gr\xc3\xbc\xc3\x9f", buffer, 64), "\"gr\xc3\xbc\xc3\x9f\"");
    CHECK_EQ_TEXT(json("\xff\xc3", buffer, 64), "\"\\ufffd\\ufffd\"");
    CHECK_EQ_TEXT(json("\xed\xa0\x80", buffer, 64), "\"\\ufffd\\ufffd\\ufffd\"");
    CHECK_EQ_TEXT(json(NULL, buffer, 64), "null");
}

TEST(text_that_does_not_fit_is_left_out_whole)
{
    char buffer[6];
    struct text text;
    text_init(&text, buffer, sizeof(buffer));
    text_add(&text, "abc");
    text_add(&text, "def");
    CHECK(text.is_cut);
    CHECK_EQ_TEXT(buffer, "abc");
    text_addf(&text, "%d", 1234);
    CHECK_EQ_TEXT(buffer, "abc");
    text_addf(&text, "%d", 12);
    CHECK_EQ_TEXT(buffer, "abc12");
}

TEST(text_for_terminals_moves_no_cursor)
{
    char buffer[64];
    struct text text;
    text_init(&text, buffer, sizeof(buffer));
    text_add_visible(
        &text,
        "a\x1b[2Jb\r\n\xc2\x9b"
        "c\xff\xc3\xa4");
    CHECK_EQ_TEXT(buffer, "a?[2Jb???c?\xc3\xa4");
}

TEST(text_fit_counts_characters)
{
    char buffer[64];
    struct text text;
    text_init(&text, buffer, sizeof(buffer));
    text_add(&text, "\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4");
    text_fit(&text, 4);
    CHECK_EQ_TEXT(buffer, "\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4");
    text_fit(&text, 3);
    CHECK_EQ_TEXT(buffer, "\xc3\xa4\xc3\xa4\xe2\x80\xa6");
    text_fit(&text, 1);
    CHECK_EQ_TEXT(buffer, "\xe2\x80\xa6");
}

static const char *describe(const char *meta, char *buffer, size_t size)
{
    struct text text;
    text_init(&text, buffer, size);
    meta_describe(meta, &text);
    return buffer;
}

TEST(meta_comes_back_as_it_was_meant)
{
    char made[META_SIZE];
    char buffer[256];
    char *argv[] = { (char[]){ "./de\"ploy" }, (char[]){ "--password=x" }, NULL };
    const char *labels[] = { "team=web", "why=a=b" };
    struct meta meta = { .argv = argv, .labels = labels, .label_count = 2 };
    CHECK(meta_compose(&meta, made));
    CHECK(strstr(made, "password") == NULL);
    CHECK_EQ_TEXT(describe(made, buffer, sizeof(buffer)), "./de\"ploy, team=web, why=a=b");
    meta.is_showing_arguments = true;
    CHECK(meta_compose(&meta, made));
    CHECK_EQ_TEXT(
        describe(made, buffer, sizeof(buffer)), "./de\"ploy --password=x, team=web, why=a=b");
}

TEST(meta_of_a_shell_does_not_show_its_string)
{
    char made[META_SIZE];
    char buffer[256];
    char *argv[] = { (char[]){ "/bin/sh" }, (char[]){ "-c" }, (char[]){ "PW=x cmd" }, NULL };
    struct meta meta = { .argv = argv, .is_shell = true };
    CHECK(meta_compose(&meta, made));
    CHECK_EQ_TEXT(describe(made, buffer, sizeof(buffer)), "/bin/sh -c");
}

TEST(meta_that_is_cut_off_anywhere_is_described)
{
    static const char whole[] = "{\"cmd\":\"a\\u0041\\\"\",\"pid\":12,\"user\":\"u\",\"labels\":"
                                "{\"k\":\"v\",\"l\":\"w\"}}";
    char cut[sizeof(whole)];
    char buffer[256];
    CHECK_EQ_TEXT(describe(whole, buffer, sizeof(buffer)), "a?\", k=v, l=w");
    for (size_t size = 0; size < sizeof(whole); size++) {
        memcpy(cut, whole, size);
        cut[size] = '\0';
        (void)describe(cut, buffer, sizeof(buffer));
    }
    CHECK_EQ_TEXT(describe("just text", buffer, sizeof(buffer)), "just text");
    CHECK_EQ_TEXT(describe("{\"a\":1}", buffer, sizeof(buffer)), "{\"a\":1}");
    CHECK_EQ_TEXT(describe("", buffer, sizeof(buffer)), "");
}

TEST(meta_tells_the_kill_grace)
{
    char made[META_SIZE];
    char buffer[256];
    char *argv[] = { (char[]){ "make" }, NULL };
    const char *labels[] = { "kill_grace_ms=7" };
    uint64_t number = 5;
    struct meta meta = { .argv = argv, .labels = labels, .label_count = 1, .kill_grace_ms = 1500 };
    CHECK(meta_compose(&meta, made));
    CHECK(meta_kill_grace(made, &number));
    CHECK_EQ_UINT(number, 1500);
    CHECK_EQ_TEXT(describe(made, buffer, sizeof(buffer)), "make, kill_grace_ms=7");
    meta.kill_grace_ms = 0;
    CHECK(meta_compose(&meta, made));
    CHECK(!meta_kill_grace(made, &number));
    static const char *const others[] = { "",
                                          "text",
                                          "{\"kill_grace_ms\":",
                                          "{\"kill_grace_ms\":\"7\"}",
                                          "{\"kill_grace_ms\":-7}",
                                          "{\"a\":[{\"kill_grace_ms\":7}]}",
                                          "{\"a\":\"\\\"kill_grace_ms\\\":7" };
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        CHECK(!meta_kill_grace(others[i], &number));
    }
    CHECK_EQ_UINT(number, 1500);
    CHECK(meta_kill_grace("{\"x\":\"\",\"kill_grace_ms\":99999999999999999999}", &number));
    CHECK(number >= 3600000);
}

TEST(meta_says_when_labels_do_not_fit)
{
    char made[META_SIZE];
    char label[META_SIZE + 2];
    memset(label, 'x', sizeof(label) - 1);
    label[1] = '=';
    label[sizeof(label) - 1] = '\0';
    const char *labels[] = { label };
    struct meta meta = { .labels = labels, .label_count = 1 };
    CHECK(!meta_compose(&meta, made));
}

TEST(owner_is_fresh_each_time)
{
    char first[OWNER_SIZE];
    char second[OWNER_SIZE];
    owner_compose(first);
    owner_compose(second);
    CHECK(strcmp(first, second) != 0);
    CHECK(strchr(first, '@') != NULL && strchr(first, '#') != NULL);
}

static const char *waiting(const struct waiting_facts *facts, char *buffer, size_t size)
{
    struct text text;
    text_init(&text, buffer, size);
    waiting_compose(facts, &text);
    return buffer;
}

TEST(waiting_line_tells_who_since_when_and_what)
{
    char buffer[256];
    struct waiting_facts facts = { .name = "x",
                                   .owner = "alice@web1:812#12ab",
                                   .meta = "{\"cmd\":\"make\",\"labels\":{\"team\":\"web\"}}",
                                   .held_for_ms = 192000,
                                   .hold_count = 1,
                                   .position = 2 };
    CHECK_EQ_TEXT(
        waiting(&facts, buffer, sizeof(buffer)),
        "waiting for x, position 2: held by alice@web1:812 for 3m12s (make, team=web)");
    facts.hold_count = 3;
    facts.meta = "";
    facts.position = 0;
    CHECK_EQ_TEXT(
        waiting(&facts, buffer, sizeof(buffer)),
        "waiting for x: held by alice@web1:812 and 2 more for 3m12s");
    facts.owner = NULL;
    CHECK_EQ_TEXT(waiting(&facts, buffer, sizeof(buffer)), "waiting for x: nobody holds it");
    facts.lock_delay_ms = 5;
    CHECK_EQ_TEXT(waiting(&facts, buffer, sizeof(buffer)), "waiting for x: nobody may hold it yet");
    facts.is_silent = true;
    CHECK_EQ_TEXT(
        waiting(&facts, buffer, sizeof(buffer)),
        "waiting for x: the store does not answer; it is asked again and again");
}
