/* What Redis answers when it does not do what it was asked.  The lines are those of real servers.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/random.h"
#include "lib/test.h"
#include "store/redis/trouble.h"

#define SCRIPT_7 " script: efa259bf8669816f30613d4295dcabcac54cfa29, on @user_script:1."
#define SCRIPT_6 "ERR Error running script (call to f_efa259bf8669816f30613d4295dcabcac54cfa29): "

static const struct {
    const char *line;
    const char *words; /* of the row that must be found */
    enum redis_trouble_effect effect;
    enum tenure_err err;
    bool is_of_name;
} cases[] = {
    { "LOADING Redis is loading the dataset in memory",
      "LOADING",
      REDIS_TROUBLE_NO_VOTE,
      TENURE_UNAVAILABLE,
      false },
    { "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
      "MASTERDOWN",
      REDIS_TROUBLE_NO_VOTE,
      TENURE_UNAVAILABLE,
      false },
    { "READONLY You can't write against a read only replica." SCRIPT_7,
      "READONLY",
      REDIS_TROUBLE_NO_VOTE,
      TENURE_UNAVAILABLE,
      false },
    { SCRIPT_6 "@user_script:12: @user_script: 12: -READONLY You can't write against a read only "
               "replica. ",
      "READONLY",
      REDIS_TROUBLE_NO_VOTE,
      TENURE_UNAVAILABLE,
      false },
    { "NOREPLICAS Not enough good replicas to write." SCRIPT_7,
      "NOREPLICAS",
      REDIS_TROUBLE_NO_VOTE,
      TENURE_UNAVAILABLE,
      false },
    { "OOM command not allowed when used memory > 'maxmemory'." SCRIPT_7,
      "OOM",
      REDIS_TROUBLE_NO_VOTE,
      TENURE_NO_MEMORY,
      false },
    { SCRIPT_6 "@user_script:1: @user_script: 1: -OOM command not allowed when used memory > "
               "'maxmemory'.",
      "OOM",
      REDIS_TROUBLE_NO_VOTE,
      TENURE_NO_MEMORY,
      false },
    { "MISCONF Errors writing to the AOF file: No space left on device",
      "MISCONF",
      REDIS_TROUBLE_NO_VOTE,
      TENURE_UNAVAILABLE,
      false },
    { "BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.",
      "BUSY",
      REDIS_TROUBLE_NO_VOTE,
      TENURE_UNAVAILABLE,
      false },
    { "BUSYKEY Target key name already exists.", "", REDIS_TROUBLE_UNKNOWN, TENURE_UNKNOWN, false },
    { "UNKILLABLE Sorry the script already executed write commands against the dataset.",
      "UNKILLABLE",
      REDIS_TROUBLE_NO_VOTE,
      TENURE_UNAVAILABLE,
      false },
    { "ERR Script killed by user with SCRIPT KILL..." SCRIPT_7,
      "ERR Script killed by user",
      REDIS_TROUBLE_NO_VOTE,
      TENURE_UNAVAILABLE,
      false },
    { SCRIPT_6 "@user_script:1: Script killed by user with SCRIPT KILL...",
      "ERR Script killed by user",
      REDIS_TROUBLE_NO_VOTE,
      TENURE_UNAVAILABLE,
      false },
    { "EXECABORT Transaction discarded because of previous errors.",
      "EXECABORT",
      REDIS_TROUBLE_NO_VOTE,
      TENURE_UNAVAILABLE,
      false },
    { "ERR max number of clients reached",
      "ERR max number of clients",
      REDIS_TROUBLE_NO_VOTE,
      TENURE_TOO_MANY,
      false },
    { "NOSCRIPT No matching script. Please use EVAL.",
      "NOSCRIPT",
      REDIS_TROUBLE_RELOAD,
      TENURE_UNAVAILABLE,
      false },
    { "NOAUTH Authentication required.", "NOAUTH", REDIS_TROUBLE_FATAL, TENURE_DENIED, false },
    { "NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO "
      "<proto> AUTH <user> <pass> option can be used to authenticate the client and select the "
      "RESP protocol version at the same time",
      "NOAUTH",
      REDIS_TROUBLE_FATAL,
      TENURE_DENIED,
      false },
    { "WRONGPASS invalid username-password pair or user is disabled.",
      "WRONGPASS",
      REDIS_TROUBLE_FATAL,
      TENURE_DENIED,
      false },
    { "ERR AUTH <password> called without any password configured for the default user. Are you "
      "sure your configuration is correct?",
      "ERR AUTH <password> called without any password",
      REDIS_TROUBLE_FATAL,
      TENURE_DENIED,
      false },
    { "NOPERM this user has no permissions to run the 'config|get' command",
      "NOPERM",
      REDIS_TROUBLE_FATAL,
      TENURE_DENIED,
      false },
    { "NOPERM this user has no permissions to access one of the channels used as arguments",
      "NOPERM",
      REDIS_TROUBLE_FATAL,
      TENURE_DENIED,
      false },
    { "NOPERM this user has no permissions to access one of the keys used as arguments",
      "NOPERM this user has no permissions to access one of the keys",
      REDIS_TROUBLE_FATAL,
      TENURE_DENIED,
      true },
    { "NOPERM No permissions to access a key",
      "NOPERM No permissions to access a key",
      REDIS_TROUBLE_FATAL,
      TENURE_DENIED,
      true },
    { "NOPERM ACL failure in script: User u has no permissions to run the 'publish' "
      "command" SCRIPT_7,
      "NOPERM",
      REDIS_TROUBLE_UNKNOWN,
      TENURE_DENIED,
      false },
    { "ERR The user executing the script can't publish to the channel mentioned in the "
      "command" SCRIPT_7,
      "ERR The user executing the script",
      REDIS_TROUBLE_UNKNOWN,
      TENURE_DENIED,
      false },
    { SCRIPT_6 "@user_script:31: @user_script: 31: The user executing the script can't run this "
               "command or subcommand",
      "ERR The user executing the script",
      REDIS_TROUBLE_UNKNOWN,
      TENURE_DENIED,
      false },
    { "DENIED Redis is running in protected mode because protected mode is enabled and no password "
      "is set for the default user.",
      "DENIED",
      REDIS_TROUBLE_FATAL,
      TENURE_DENIED,
      false },
    { "NOPROTO unsupported protocol version",
      "NOPROTO",
      REDIS_TROUBLE_FATAL,
      TENURE_UNSUPPORTED,
      false },
    { "ERR unknown command 'hello', with args beginning with: '3' ",
      "ERR unknown command",
      REDIS_TROUBLE_FATAL,
      TENURE_UNSUPPORTED,
      false },
    { "ERR Unknown Redis command called from script" SCRIPT_7,
      "ERR Unknown Redis command called from",
      REDIS_TROUBLE_UNKNOWN,
      TENURE_UNSUPPORTED,
      false },
    { SCRIPT_6 "@user_script:2: @user_script: 2: Unknown Redis command called from Lua script",
      "ERR Unknown Redis command called from",
      REDIS_TROUBLE_UNKNOWN,
      TENURE_UNSUPPORTED,
      false },
    { "ERR DB index is out of range",
      "ERR DB index is out of range",
      REDIS_TROUBLE_FATAL,
      TENURE_INVALID,
      false },
    { "ERR No such master with that name",
      "ERR No such master",
      REDIS_TROUBLE_FATAL,
      TENURE_INVALID,
      false },
    { "MOVED 3999 127.0.0.1:6381", "MOVED", REDIS_TROUBLE_FATAL, TENURE_UNSUPPORTED, false },
    { "ASK 3999 127.0.0.1:6381", "ASK", REDIS_TROUBLE_FATAL, TENURE_UNSUPPORTED, false },
    { "TRYAGAIN Multiple keys request during rehashing of slot",
      "TRYAGAIN",
      REDIS_TROUBLE_FATAL,
      TENURE_UNSUPPORTED,
      false },
    { "CROSSSLOT Keys in request don't hash to the same slot",
      "CROSSSLOT",
      REDIS_TROUBLE_FATAL,
      TENURE_UNSUPPORTED,
      false },
    { "CLUSTERDOWN Hash slot not served",
      "CLUSTERDOWN",
      REDIS_TROUBLE_FATAL,
      TENURE_UNSUPPORTED,
      false },
    { "WRONGTYPE Operation against a key holding the wrong kind of value" SCRIPT_7,
      "WRONGTYPE",
      REDIS_TROUBLE_UNKNOWN,
      TENURE_INVALID,
      true },
    { SCRIPT_6 "@user_script:24: WRONGTYPE Operation against a key holding the wrong kind of value",
      "WRONGTYPE",
      REDIS_TROUBLE_UNKNOWN,
      TENURE_INVALID,
      true },
    { "ERR value is not an integer or out of range" SCRIPT_7,
      "ERR",
      REDIS_TROUBLE_UNKNOWN,
      TENURE_UNKNOWN,
      false },
    { "ERR", "ERR", REDIS_TROUBLE_UNKNOWN, TENURE_UNKNOWN, false },
    { "ERRATIC", "", REDIS_TROUBLE_UNKNOWN, TENURE_UNKNOWN, false },
    { SCRIPT_6, "", REDIS_TROUBLE_UNKNOWN, TENURE_UNKNOWN, false },
    { "", "", REDIS_TROUBLE_UNKNOWN, TENURE_UNKNOWN, false },
};

TEST(redis_trouble_of_real_lines)
{
    for (size_t index = 0; index < sizeof(cases) / sizeof(cases[0]); index++) {
        const struct redis_trouble *trouble = tni_redis_trouble(bytes_from_text(cases[index].line));
        test_note("%s", cases[index].line);
        CHECK_EQ_TEXT(trouble->words, cases[index].words);
        CHECK_EQ_INT(trouble->effect, cases[index].effect);
        CHECK_EQ_INT(trouble->err, cases[index].err);
        CHECK_EQ_INT(trouble->is_of_name, cases[index].is_of_name);
    }
}

/* Names of keys stand in errors, and anybody may choose a name. */
TEST(redis_trouble_cannot_be_chosen_by_a_name)
{
    static const char *const lines[] = {
        "ERR value of OOM is wrong",
        "ERR 'ERR max number of clients' is no number",
        "WHAT LOADING",
        " LOADING",
    };
    for (size_t index = 0; index < sizeof(lines) / sizeof(lines[0]); index++) {
        test_note("%s", lines[index]);
        CHECK_EQ_INT(
            tni_redis_trouble(bytes_from_text(lines[index]))->effect, REDIS_TROUBLE_UNKNOWN);
    }
}

static const struct redis_trouble rows[] = {
#define X(words, where, effect, is_of_name, err, text)                                             \
    { words, REDIS_TROUBLE_##where, REDIS_TROUBLE_##effect, is_of_name, TENURE_##err, text },
    REDIS_TROUBLE_MAP(X)
#undef X
};
#define ROW_COUNT (sizeof(rows) / sizeof(rows[0]))

TEST(redis_trouble_rows_are_all_reachable_and_short)
{
    for (size_t index = 0; index < ROW_COUNT; index++) {
        char line[256];
        bool is_in_script = rows[index].where == REDIS_TROUBLE_IN_SCRIPT;
        (void)snprintf(line, sizeof(line), "%s%s", rows[index].words, is_in_script ? SCRIPT_7 : "");
        const struct redis_trouble *trouble = tni_redis_trouble(bytes_from_text(line));
        test_note("%s", line);
        CHECK_EQ_TEXT(trouble->words, rows[index].words);
        CHECK_EQ_INT(trouble->where, rows[index].where);
        CHECK(strlen(rows[index].text) < REDIS_TROUBLE_TEXT_SIZE_MAX);
    }
    CHECK_EQ_TEXT(rows[ROW_COUNT - 1].words, "");
}

/* What may have changed something must not be told as if it had not, except where a lock that the
 * script refuses cannot have been touched. */
TEST(redis_trouble_effects_agree_with_outcomes)
{
    for (size_t index = 0; index < ROW_COUNT; index++) {
        const struct redis_trouble *row = &rows[index];
        test_note("%s", row->words);
        bool is_unknown = tenure_err_effect(row->err) == TENURE_EFFECT_UNKNOWN;
        bool is_refusal = tenure_err_retry(row->err) == TENURE_RETRY_NEVER;
        if (row->effect == REDIS_TROUBLE_UNKNOWN) CHECK(is_unknown || is_refusal);
        if (row->effect != REDIS_TROUBLE_UNKNOWN) CHECK(!is_unknown);
        if (row->effect == REDIS_TROUBLE_FATAL) CHECK(is_refusal);
        if (row->effect == REDIS_TROUBLE_NO_VOTE) CHECK(!is_refusal);
    }
}

TEST(redis_trouble_of_random_lines)
{
    struct test_random random = { 99 };
    for (unsigned round = 0; round < 100000; round++) {
        char line[120];
        size_t size = (size_t)test_random_below(&random, sizeof(line));
        size_t from = (size_t)test_random_below(&random, sizeof(cases) / sizeof(cases[0]));
        const char *text = cases[from].line;
        size_t kept = strlen(text) < size ? strlen(text) : size;
        memcpy(line, text, kept);
        for (size_t index = kept; index < size; index++) {
            line[index] = (char)test_random_below(&random, 256);
        }
        if (size > 0) line[test_random_below(&random, size)] ^= 1;
        char *copy = malloc(size + 1);
        CHECK(copy != NULL);
        memcpy(copy, line, size);
        CHECK(tni_redis_trouble((struct bytes){ copy, size })->text != NULL);
        free(copy);
    }
}

/* ------------------------------------------------------------------ the documentation */

static const char *effect_word(enum redis_trouble_effect effect)
{
    switch (effect) {
    case REDIS_TROUBLE_NO_VOTE: return "no vote";
    case REDIS_TROUBLE_UNKNOWN: return "unknown";
    case REDIS_TROUBLE_FATAL: return "refused";
    case REDIS_TROUBLE_RELOAD: return "asked again";
    }
    return "";
}

TEST(redis_trouble_table_is_in_the_documentation)
{
    FILE *file = fopen(DOCS_REDIS_PATH, "re");
    CHECK(file != NULL);
    char line[512];
    bool is_here = false;
    while (!is_here && fgets(line, sizeof(line), file) != NULL) {
        is_here = strncmp(line, "| Redis says ", 13) == 0;
    }
    CHECK(is_here);
    CHECK(fgets(line, sizeof(line), file) != NULL); /* |---| */
    for (size_t index = 0; index < ROW_COUNT; index++) {
        char expected[512];
        const struct redis_trouble *row = &rows[index];
        bool is_in_script = row->where == REDIS_TROUBLE_IN_SCRIPT;
        bool is_rest = row->words[0] == '\0';
        (void)snprintf(
            expected,
            sizeof(expected),
            "| %s%s%s%s | %s%s | `%s` | %s |\n",
            is_rest ? "" : "`",
            is_rest ? "anything else" : row->words,
            is_rest ? "" : "`",
            is_in_script ? " in a script" : "",
            effect_word(row->effect),
            row->is_of_name ? " (this lock)" : "",
            tenure_err_name(row->err),
            row->text);
        CHECK(fgets(line, sizeof(line), file) != NULL);
        CHECK_EQ_TEXT(line, expected);
    }
    CHECK(fgets(line, sizeof(line), file) == NULL || line[0] != '|');
    (void)fclose(file);
}
