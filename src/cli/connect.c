#include "cli/connect.h"

bool connect_open(
    const struct command *command,
    const struct store_options *store,
    struct tenure_client *out_client,
    int *out_exit_code)
{
    struct tenure_client_options options = {
        .size = sizeof(options),
        .url = store->url,
        .timeout_ms = store->timeout_ms,
    };
    struct tenure_error error = { .code = TENURE_OK };
    enum tenure_err err = tenure_client_open(&options, out_client, &error);
    if (err == TENURE_OK) return true;
    *out_exit_code = connect_complain(command, err, &error);
    return false;
}

/* What to do about it, where the outcome itself does not say. */
static const char *advice(enum tenure_err err)
{
    bool is_away = err == TENURE_UNAVAILABLE || err == TENURE_UNKNOWN;
    return is_away ? "; is the server up? `tenure doctor` looks" : "";
}

int connect_complain(
    const struct command *command, enum tenure_err err, const struct tenure_error *error)
{
    bool has_text = error != NULL && error->code != TENURE_OK && error->text[0] != '\0';
    complain(command, "%s%s", has_text ? error->text : tenure_err_text(err), advice(err));
    return tenure_err_exit_code(err);
}
