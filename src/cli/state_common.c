#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/out.h"
#include "cli/state.h"

#define TOKEN_MAX (UINT64_C(1) << 53)

/* ------------------------------------------------------------------ guards */

static bool
fill_guard(const char *lock, size_t lock_size, const char *token, struct state_guard *out_guard)
{
    uint64_t number;
    bool is_lock = lock_size > 0 && lock_size < sizeof(out_guard->lock);
    if (!is_lock || !number_parse(token, &number) || number == 0 || number > TOKEN_MAX) {
        return false;
    }
    memcpy(out_guard->lock, lock, lock_size);
    out_guard->lock[lock_size] = '\0';
    out_guard->token = number;
    return true;
}

bool state_guard(struct options *options, struct state_guard *out_guard)
{
    const char *option = options->spec->name;
    if (options->value == NULL) {
        const char *lock = getenv("TENURE_NAME");
        const char *token = getenv("TENURE_TOKEN");
        if (lock != NULL && token != NULL && fill_guard(lock, strlen(lock), token, out_guard)) {
            return true;
        }
        complain(
            options->command,
            "--%s: under which hold? write --%s=LOCK=TOKEN, or run this under `tenure run`, with "
            "one lock",
            option,
            option);
        return false;
    }
    /* Names may have a "=", tokens have none. */
    const char *equals = strrchr(options->value, '=');
    size_t size = equals == NULL ? 0 : (size_t)(equals - options->value);
    if (size > 0 && fill_guard(options->value, size, equals + 1, out_guard)) return true;
    complain(
        options->command, "--%s: '%.80s' is no hold: write LOCK=TOKEN", option, options->value);
    return false;
}

bool state_add_guard(struct options *options, struct state_guards *guards)
{
    if (guards->count == TENURE_GUARD_COUNT_MAX) {
        complain(options->command, "--guard: %u at most", TENURE_GUARD_COUNT_MAX);
        return false;
    }
    struct state_guard *kept = &guards->kept[guards->count];
    if (!state_guard(options, kept)) return false;
    guards->guards[guards->count++] = (struct tenure_guard){ kept->lock, kept->token };
    return true;
}

/* ------------------------------------------------------------------ numbers */

bool state_integer(const struct command *command, const char *word, int64_t *out_number)
{
    char *end;
    errno = 0;
    long long number = strtoll(word, &end, 10);
    bool is_number = end != word && *end == '\0' && errno == 0 && word[0] != ' ';
    if (is_number) *out_number = number;
    if (!is_number) complain(command, "'%.40s' is no whole number of 64 bits", word);
    return is_number;
}

bool state_score(const struct command *command, const char *word, double *out_score)
{
    char *end;
    double score = strtod(word, &end);
    bool is_score = end != word && *end == '\0' && isfinite(score);
    if (is_score) *out_score = score;
    if (!is_score) complain(command, "'%.40s' is no finite number", word);
    return is_score;
}

const char *state_score_text(double score, char text[STATE_SCORE_SIZE])
{
    for (int digits = 1; digits <= 17; digits++) {
        (void)snprintf(text, STATE_SCORE_SIZE, "%.*g", digits, score);
        double back = strtod(text, NULL);
        if (!(back < score) && !(back > score)) break;
    }
    return text;
}

/* ------------------------------------------------------------------ values */

void state_print_value(const void *value, size_t size)
{
    (void)fwrite(value, 1, size, stdout);
    if (isatty(STDOUT_FILENO)) (void)putchar('\n');
}

void state_print_json(const struct tenure_register *value)
{
    struct json json = { .is_inside = false };
    bool is_bound = value->lock[0] != '\0';
    json_open(&json, '{');
    json_string(&json, "name", value->name);
    json_number(&json, "version", value->version);
    if (value->version > 0) {
        json_bytes(&json, "value", value->value, value->value_size);
    } else {
        json_string(&json, "value", NULL);
    }
    json_span(&json, "ttl_ms", value->ttl_ms == 0 ? -1 : (int64_t)value->ttl_ms);
    json_span(&json, "remaining_ms", value->ttl_ms == 0 ? -1 : value->remaining_ms);
    json_string(&json, "lock", is_bound ? value->lock : NULL);
    json_span(&json, "token", is_bound ? (int64_t)value->token : -1);
    json_close(&json, '}');
    json_end();
}
