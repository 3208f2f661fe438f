/* What may be asked for: names, owners, notes, times. */
#include <stdio.h>
#include <string.h>

#include "conformance/conformance.h"

/* A lock with this name works, and is another than those with the names beside it. */
static void check_name(struct tenure_client client, const char *name)
{
    struct tenure_lock_options options = plain(&name, 10000, 0);
    test_note("the name \"%.60s\"", name);
    struct tenure_hold hold = lock(client, &options);
    CHECK_EQ_TEXT(tenure_err_name(try_lock(client, &options)), "held");
    struct view view = look(client, name);
    CHECK(view.is_found);
    CHECK_EQ_UINT(view.token, tenure_hold_token(hold));
    struct tenure_hold_name told;
    CHECK_EQ_INT(tenure_hold_name(hold, 0, &told), TENURE_OK);
    CHECK_EQ_TEXT(told.name, name);
    CHECK_EQ_INT(tenure_hold_renew(hold, 0, NULL), TENURE_OK);
    unlock(hold);
    CHECK(!look(client, name).is_found);
}

static void count_lock(const struct tenure_lock_view *view, void *user)
{
    unsigned *count = user;
    CHECK(view->name[0] != '\0');
    ++*count;
}

TEST(names_may_hold_anything_that_can_be_written)
{
    static const char *const tails[] = {
        "simple",
        "deploy/prod/eu-west",
        "{braces}",
        "}{",
        "{a}b",
        "a b  c",
        " ",
        "*?[a-z]\\",
        "\"quotes\"'",
        "%s%n",
        "a:b:c",
        "\xc3\xa4\xe2\x82\xac\xf0\x9f\x94\x92",
        "100%",
        "?a=b&c=d#e",
        "tenure:inner",
        "\xe6\x97\xa5\xe6\x9c\xac",
    };
    struct tenure_client client = open_client();
    const char *prefix = fresh("name");
    for (size_t index = 0; index < sizeof(tails) / sizeof(tails[0]); index++) {
        char name[256];
        (void)snprintf(name, sizeof(name), "%.100s/%s", prefix, tails[index]);
        check_name(client, name);
        const char *in_front[] = { name };
        (void)snprintf(name, sizeof(name), "%s/%.60s", tails[index], prefix);
        if (index == 14) continue; /* names of the store's own: below */
        check_name(client, in_front[0]);
    }
    tenure_client_close(client);
}

/* A prefix is text, not a pattern. */
TEST(a_prefix_is_taken_literally)
{
    struct tenure_client client = open_client();
    const char *prefix = fresh("literal");
    char starred[256];
    char other[256];
    (void)snprintf(starred, sizeof(starred), "%.100s[ab]*\\x/1", prefix);
    (void)snprintf(other, sizeof(other), "%.100sa\\x/1", prefix);
    const char *names[] = { starred, other };
    struct tenure_lock_options first = plain(&names[0], 10000, 0);
    struct tenure_lock_options second = plain(&names[1], 10000, 0);
    struct tenure_hold hold = lock(client, &first);
    struct tenure_hold beside = lock(client, &second);
    unsigned count = 0;
    char pattern[256];
    (void)snprintf(pattern, sizeof(pattern), "%.100s[ab]*", prefix);
    struct tenure_list_options options = { .size = sizeof(options), .prefix = pattern };
    CHECK_EQ_INT(tenure_list(client, &options, count_lock, &count, NULL), TENURE_OK);
    CHECK_EQ_UINT(count, 1);
    unlock(hold);
    unlock(beside);
    tenure_client_close(client);
}

/* Names that look alike in some encoding of theirs are different locks. */
TEST(names_that_look_alike_are_different_locks)
{
    struct tenure_client client = open_client();
    const char *base = fresh("alike");
    char texts[4][256];
    (void)snprintf(texts[0], 256, "%.100s", base);
    (void)snprintf(texts[1], 256, "{%.100s}", base);
    (void)snprintf(texts[2], 256, "%.100s:fence", base);
    (void)snprintf(texts[3], 256, "%.100s ", base);
    struct tenure_hold holds[4];
    for (unsigned index = 0; index < 4; index++) {
        const char *name = texts[index];
        struct tenure_lock_options options = plain(&name, 10000, 0);
        holds[index] = lock(client, &options);
    }
    for (unsigned index = 0; index < 4; index++) {
        CHECK_EQ_UINT(look(client, texts[index]).token, tenure_hold_token(holds[index]));
        unlock(holds[index]);
    }
    tenure_client_close(client);
}

TEST(the_names_of_the_stores_own_things_are_refused)
{
    struct tenure_client client = open_client();
    char text[256];
    (void)snprintf(text, sizeof(text), "tenure:{%.100s}:fence", fresh("own"));
    const char *name = text;
    struct tenure_lock_options options = plain(&name, 10000, 0);
    if (kind()->has_any_name) {
        check_name(client, name);
    } else {
        check_refused(client, &options, TENURE_INVALID);
    }
    tenure_client_close(client);
}

TEST(a_name_has_up_to_255_bytes)
{
    struct tenure_client client = open_client();
    char text[258];
    const char *name = text;
    memset(text, 'x', sizeof(text));
    memcpy(text, fresh("size"), 20);
    text[255] = '\0';
    check_name(client, name);
    memset(text, 'x', sizeof(text));
    text[256] = '\0';
    struct tenure_lock_options options = plain(&name, 10000, 0);
    check_refused(client, &options, TENURE_INVALID);
    tenure_client_close(client);
}

TEST(bad_names_are_refused)
{
    static const char *const bad[] = {
        "", "a\nb", "tab\there", "\x01", "del\x7f", "\xff\xfe", "cut\xc3", "\xed\xa0\x80",
    };
    struct tenure_client client = open_client();
    for (size_t index = 0; index < sizeof(bad) / sizeof(bad[0]); index++) {
        struct tenure_lock_options options = plain(&bad[index], 10000, 0);
        check_refused(client, &options, TENURE_INVALID);
        struct view view = { 0 };
        CHECK_EQ_INT(tenure_break(client, bad[index], 1, "x", 0, NULL), TENURE_INVALID);
        CHECK(!view.is_found);
    }
    tenure_client_close(client);
}

TEST(an_owner_has_up_to_255_bytes_and_no_control_characters)
{
    struct tenure_client client = open_client();
    const char *name = fresh("owner");
    struct tenure_lock_options options = plain(&name, 10000, 0);
    char text[258];
    memset(text, 'o', sizeof(text));
    text[255] = '\0';
    options.owner = text;
    struct tenure_hold hold = lock(client, &options);
    CHECK_EQ_TEXT(look(client, name).owner, text);
    unlock(hold);
    text[255] = 'o';
    text[256] = '\0';
    check_refused(client, &options, TENURE_INVALID);
    options.owner = "line\nbreak";
    check_refused(client, &options, TENURE_INVALID);
    options.owner = "";
    check_refused(client, &options, TENURE_INVALID);
    tenure_client_close(client);
}

TEST(a_note_has_up_to_4096_bytes)
{
    struct tenure_client client = open_client();
    const char *name = fresh("meta");
    struct tenure_lock_options options = plain(&name, 10000, 0);
    static char text[4098];
    memset(text, 'm', sizeof(text));
    text[4096] = '\0';
    options.meta = text;
    struct tenure_hold hold = lock(client, &options);
    CHECK_EQ_TEXT(look(client, name).meta, text);
    unlock(hold);
    text[4096] = 'm';
    text[4097] = '\0';
    check_refused(client, &options, TENURE_INVALID);
    tenure_client_close(client);
}

TEST(a_ttl_has_its_limits)
{
    struct tenure_client client = open_client();
    const char *name = fresh("ttl");
    struct tenure_lock_options options = plain(&name, 99, 0);
    check_refused(client, &options, TENURE_INVALID);
    options.ttl_ms = 100;
    CHECK_EQ_INT(try_lock(client, &options), TENURE_OK);
    options.ttl_ms = kind()->ttl_ms_max;
    struct tenure_hold hold = lock(client, &options);
    CHECK(tenure_hold_remaining_ms(hold) > (int64_t)(kind()->ttl_ms_max / 100 * 90));
    CHECK_EQ_INT(tenure_hold_renew(hold, kind()->ttl_ms_max + 1, NULL), TENURE_INVALID);
    CHECK_EQ_INT(tenure_hold_renew(hold, 99, NULL), TENURE_INVALID);
    CHECK(tenure_hold_valid(hold));
    unlock(hold);
    options.ttl_ms = kind()->ttl_ms_max + 1;
    check_refused(client, &options, TENURE_INVALID);
    tenure_client_close(client);
}
