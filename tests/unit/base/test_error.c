#include <tenure/error.h>

#include <ctype.h>
#include <string.h>

#include "lib/test.h"

TEST(error_codes_are_dense)
{
    static const enum tenure_err codes[] = {
#define X(name, code, word, http, resp, exit, effect, retry, text) TENURE_##name,
        TENURE_ERROR_MAP(X)
#undef X
    };
    CHECK_EQ_UINT(sizeof(codes) / sizeof(codes[0]), TENURE_ERR_COUNT);
    for (size_t i = 0; i < TENURE_ERR_COUNT; i++)
        CHECK_EQ_UINT(codes[i], i);
}

TEST(error_functions_give_the_rows_of_the_table)
{
#define X(name, code, word, http, resp, exit, effect, retry, text)                                 \
    CHECK_EQ_TEXT(tenure_err_name(TENURE_##name), word);                                           \
    CHECK_EQ_TEXT(tenure_err_text(TENURE_##name), text);                                           \
    CHECK_EQ_INT(tenure_err_http_status(TENURE_##name), http);                                     \
    CHECK_EQ_TEXT(tenure_err_resp_word(TENURE_##name), resp);                                      \
    CHECK_EQ_INT(tenure_err_exit_code(TENURE_##name), exit);                                       \
    CHECK_EQ_INT(tenure_err_effect(TENURE_##name), TENURE_EFFECT_##effect);                        \
    CHECK_EQ_INT(tenure_err_retry(TENURE_##name), TENURE_RETRY_##retry);
    TENURE_ERROR_MAP(X)
#undef X
}

TEST(error_names_and_words_are_distinct_and_well_formed)
{
    for (int i = 0; i < TENURE_ERR_COUNT; i++) {
        const char *name = tenure_err_name((enum tenure_err)i);
        const char *word = tenure_err_resp_word((enum tenure_err)i);
        test_note("outcome %s", name);
        for (const char *at = name; *at != '\0'; at++)
            CHECK(islower((unsigned char)*at) || *at == '_');
        for (const char *at = word; *at != '\0'; at++)
            CHECK(isupper((unsigned char)*at));
        for (int j = 0; j < i; j++) {
            CHECK(strcmp(name, tenure_err_name((enum tenure_err)j)) != 0);
            CHECK(strcmp(word, tenure_err_resp_word((enum tenure_err)j)) != 0);
        }
    }
}

/* What a program does about an outcome must follow from each face of it alike. */
TEST(error_faces_agree)
{
    for (int i = 1; i < TENURE_ERR_COUNT; i++) {
        enum tenure_err err = (enum tenure_err)i;
        test_note("outcome %s", tenure_err_name(err));
        CHECK_LE_INT(400, tenure_err_http_status(err));
        CHECK_LT_INT(tenure_err_http_status(err), 600);
        CHECK_LE_INT(64, tenure_err_exit_code(err));
        CHECK_LE_INT(tenure_err_exit_code(err), 79);
        CHECK(tenure_err_effect(err) != TENURE_EFFECT_APPLIED);
    }
    CHECK_EQ_INT(tenure_err_exit_code(TENURE_OK), 0);
    CHECK_EQ_INT(tenure_err_effect(TENURE_OK), TENURE_EFFECT_APPLIED);
}

TEST(error_of_an_unknown_number_is_internal)
{
    int numbers[] = { -1, TENURE_ERR_COUNT, 1000000 };
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
        CHECK_EQ_TEXT(tenure_err_name((enum tenure_err)numbers[i]), "internal");
}
