#include <string.h>

#include "cli/options.h"
#include "lib/test.h"

TEST(duration_takes_what_flock_takes_and_units)
{
    static const struct {
        const char *text;
        uint64_t ms;
    } cases[] = {
        { "0", 0 },        { "15", 15000 },    { "1.5", 1500 },     { ".5", 500 },
        { "5.", 5000 },    { "500ms", 500 },   { "1.5s", 1500 },    { "2m", 120000 },
        { "1h", 3600000 }, { "1d", 86400000 }, { "0.5h", 1800000 }, { "0.0001", 1 },
        { "0.25ms", 1 },   { "1.0009", 1001 }, { "0.3", 300 },      { "000001", 1000 },
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        uint64_t ms = 77;
        test_note("%s", cases[i].text);
        CHECK(duration_parse(cases[i].text, &ms));
        CHECK_EQ_UINT(ms, cases[i].ms);
    }
}

TEST(duration_refuses_what_is_none)
{
    static const char *const texts[] = { "",     ".",   "s",   "-1",  "+1",          "1 s", "1e3",
                                         "0x10", "inf", "nan", "1,5", "1.5.1",       "1S",  "1ss",
                                         "ms",   "1sm", " 1",  "1 ",  "10000000000", "1w" };
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        uint64_t ms = 77;
        test_note("%s", texts[i]);
        CHECK(!duration_parse(texts[i], &ms));
        CHECK_EQ_UINT(ms, 77);
    }
}

TEST(duration_format_is_short)
{
    static const struct {
        int64_t ms;
        const char *text;
    } cases[] = {
        { -5, "0ms" },        { 0, "0ms" },          { 999, "999ms" },   { 1000, "1s" },
        { 1500, "1.5s" },     { 59999, "59.9s" },    { 60000, "1m00s" }, { 192000, "3m12s" },
        { 3600000, "1h00m" }, { 90000000, "1d01h" },
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char text[DURATION_TEXT_SIZE];
        CHECK_EQ_TEXT(duration_format(cases[i].ms, text), cases[i].text);
    }
    char text[DURATION_TEXT_SIZE];
    CHECK(strlen(duration_format(INT64_MAX, text)) > 0);
}

TEST(number_is_decimal_and_nothing_else)
{
    uint64_t number = 77;
    CHECK(number_parse("0", &number));
    CHECK_EQ_UINT(number, 0);
    CHECK(number_parse("4096", &number));
    CHECK_EQ_UINT(number, 4096);
    static const char *const texts[] = { "",   "-1",  "+1",  " 1",
                                         "1 ", "0x1", "1.0", "99999999999999999999" };
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        CHECK(!number_parse(texts[i], &number));
    }
}

TEST(word_distance_counts_slips_of_the_fingers)
{
    CHECK_EQ_UINT(word_distance("run", "run"), 0);
    CHECK_EQ_UINT(word_distance("rum", "run"), 1);
    CHECK_EQ_UINT(word_distance("rnu", "run"), 1);
    CHECK_EQ_UINT(word_distance("rn", "run"), 1);
    CHECK_EQ_UINT(word_distance("ruun", "run"), 1);
    CHECK_EQ_UINT(word_distance("", "run"), 3);
    CHECK_EQ_UINT(word_distance("history", "hsitroy"), 2);
    CHECK_EQ_UINT(word_distance("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "run"), 32);
}

static const struct option_spec specs[] = {
    { 'w', "wait", "TIME", "wait" },
    { 'v', "verbose", NULL, "speak" },
    { 'j', "json", "[FILE]", "report" },
    { OPTION_OWN, "try", NULL, "try" },
    OPTIONS_STORE,
    { 0, NULL, NULL, NULL },
};
static const char *const usages[] = { "NAME", NULL };
static const struct command command = { .name = "test", .usages = usages, .options = specs };

static void begin(struct options *options, char **argv)
{
    int argc = 0;
    while (argv[argc] != NULL) {
        argc++;
    }
    options_init(options, &command, argc, argv);
}

TEST(options_stop_at_the_first_word)
{
    char *argv[] = { (char[]){ "test" },  (char[]){ "-v" },
                     (char[]){ "-w5" },   (char[]){ "--json" },
                     (char[]){ "--try" }, (char[]){ "name" },
                     (char[]){ "-v" },    NULL };
    struct options options;
    begin(&options, argv);
    CHECK_EQ_INT(options_next(&options), 'v');
    CHECK_EQ_INT(options_next(&options), 'w');
    CHECK_EQ_TEXT(options.value, "5");
    uint32_t ms = 0;
    CHECK(options_duration(&options, 0, 10000, &ms));
    CHECK_EQ_UINT(ms, 5000);
    CHECK(!options_duration(&options, 0, 4000, &ms));
    CHECK(!options_duration(&options, 6000, 10000, &ms));
    CHECK_EQ_INT(options_next(&options), 'j');
    CHECK_EQ_TEXT(options.value, NULL);
    CHECK_EQ_INT(options_next(&options), OPTION_OWN);
    CHECK_EQ_INT(options_next(&options), OPTIONS_END);
    CHECK_EQ_INT(options.index, 5);
}

TEST(options_complain_about_what_they_do_not_know)
{
    static const char *const words[] = { "-z", "--wiat=5", "--try=1", "-w", "--florble" };
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        char word[32];
        (void)snprintf(word, sizeof(word), "%s", words[i]);
        char *argv[] = { (char[]){ "test" }, word, NULL };
        struct options options;
        begin(&options, argv);
        CHECK_EQ_INT(options_next(&options), OPTIONS_BAD);
    }
}

TEST(options_of_the_store)
{
    char *argv[] = { (char[]){ "test" }, (char[]){ "--url=tenure://x" }, (char[]){ "--timeout" },
                     (char[]){ "2" },    (char[]){ "--timeout=0" },      NULL };
    struct options options;
    struct store_options store = { .url = NULL };
    bool is_good = true;
    begin(&options, argv);
    CHECK(options_store(&options, options_next(&options), &store, &is_good));
    CHECK_EQ_TEXT(store.url, "tenure://x");
    CHECK(options_store(&options, options_next(&options), &store, &is_good));
    CHECK_EQ_UINT(store.timeout_ms, 2000);
    CHECK(is_good);
    CHECK(options_store(&options, options_next(&options), &store, &is_good));
    CHECK(!is_good);
    CHECK(!options_store(&options, 'v', &store, &is_good));
}
