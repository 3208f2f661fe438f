#include "cli/connect.h"

#include <stdlib.h>
#include <string.h>

/* USER:PASSWORD@ in front of the first host.  Rather too much is taken for one than too little: of
 * a password with a slash or an "@" in it the last "@" before the options is the end. */
static bool has_password(const char *url)
{
    const char *start = strstr(url, "://");
    start = start == NULL ? url : start + 3;
    const char *end = memrchr(start, '@', strcspn(start, "?"));
    const char *colon = end == NULL ? NULL : memchr(start, ':', (size_t)(end - start));
    return colon != NULL && end - colon > 1;
}

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
    if (store->url != NULL && has_password(store->url)) {
        complain(
            command,
            "every user of this machine can read a password in an argument: put the URL into "
            "TENURE_URL, or the password into a file, with ?password-file=PATH");
        *out_exit_code = tenure_err_exit_code(TENURE_INVALID);
        return false;
    }
    struct tenure_error error = { .code = TENURE_OK };
    enum tenure_err err = tenure_client_open(&options, out_client, &error);
    if (err == TENURE_OK) return true;
    *out_exit_code = connect_complain(command, err, &error);
    return false;
}

void connect_url(
    const struct store_options *store, struct tenure_client client, char *out_url, size_t url_size)
{
    const char *url = store->url != NULL ? store->url : getenv("TENURE_URL");
    bool is_given = url != NULL && url[0] != '\0';
    out_url[0] = '\0';
    if (is_given && strlen(url) < url_size) memcpy(out_url, url, strlen(url) + 1);
    if (!is_given && tenure_client_url(client, out_url, url_size) != TENURE_OK) out_url[0] = '\0';
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
