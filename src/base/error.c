#include <tenure/error.h>

struct row {
    const char *name;
    const char *resp_word;
    const char *text;
    int http_status;
    int exit_code;
    enum tenure_effect effect;
    enum tenure_retry retry;
};

static const struct row rows[TENURE_ERR_COUNT] = {
#define X(name, code, word, http, resp, exit, effect, retry, text)                                 \
    [code] = { word, resp, text, http, exit, TENURE_EFFECT_##effect, TENURE_RETRY_##retry },
    TENURE_ERROR_MAP(X)
#undef X
};

/* A number that is no outcome, perhaps from a newer server, is a fault in a program. */
static const struct row *row_of(enum tenure_err err)
{
    unsigned index = (unsigned)err;
    return &rows[index < TENURE_ERR_COUNT ? index : (unsigned)TENURE_INTERNAL];
}

const char *tenure_err_name(enum tenure_err err)
{
    return row_of(err)->name;
}

const char *tenure_err_text(enum tenure_err err)
{
    return row_of(err)->text;
}

int tenure_err_http_status(enum tenure_err err)
{
    return row_of(err)->http_status;
}

const char *tenure_err_resp_word(enum tenure_err err)
{
    return row_of(err)->resp_word;
}

int tenure_err_exit_code(enum tenure_err err)
{
    return row_of(err)->exit_code;
}

enum tenure_effect tenure_err_effect(enum tenure_err err)
{
    return row_of(err)->effect;
}

enum tenure_retry tenure_err_retry(enum tenure_err err)
{
    return row_of(err)->retry;
}
