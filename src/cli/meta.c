#include "cli/meta.h"

#include <errno.h>
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

/* The words of a command line are cut to this, so that the labels have room. */
#define COMMAND_SIZE 1024u
#define HOST_SIZE    65u
#define KILL_GRACE   "kill_grace_ms"

static void find_host(char host[HOST_SIZE])
{
    host[HOST_SIZE - 1] = '\0';
    if (gethostname(host, HOST_SIZE - 1) != 0) (void)snprintf(host, HOST_SIZE, "?");
}

/* Of the environment: a name service may take seconds to answer, and this is for people. */
static const char *find_user(char number[32])
{
    const char *user = getenv("USER");
    if (user == NULL || user[0] == '\0') user = getenv("LOGNAME");
    if (user != NULL && user[0] != '\0') return user;
    (void)snprintf(number, 32, "%u", (unsigned)geteuid());
    return number;
}

static void add_command(struct text *text, const struct meta *meta)
{
    char buffer[COMMAND_SIZE];
    struct text words;
    text_init(&words, buffer, sizeof(buffer));
    size_t count = meta->is_shell ? 2 : 1;
    for (size_t i = 0; meta->argv[i] != NULL && !words.is_cut; i++) {
        if (i >= count && !meta->is_showing_arguments) break;
        if (i > 0) text_add(&words, " ");
        text_add(&words, meta->argv[i]);
    }
    text_add(text, "\"cmd\":");
    text_add_json(text, buffer);
    text_add(text, ",");
}

static void add_labels(struct text *text, const struct meta *meta)
{
    char key[META_SIZE];
    for (size_t i = 0; i < meta->label_count; i++) {
        const char *equals = strchr(meta->labels[i], '=');
        struct text word;
        text_init(&word, key, sizeof(key));
        text_add_bytes(&word, meta->labels[i], (size_t)(equals - meta->labels[i]));
        if (word.is_cut) text->is_cut = true;
        if (i > 0) text_add(text, ",");
        text_add_json(text, key);
        text_add(text, ":");
        text_add_json(text, equals + 1);
    }
}

bool meta_compose(const struct meta *meta, char out_text[META_SIZE])
{
    char host[HOST_SIZE];
    char number[32];
    find_host(host);
    struct text text;
    text_init(&text, out_text, META_SIZE);
    text_add(&text, "{");
    if (meta->argv != NULL) add_command(&text, meta);
    text_add(&text, "\"host\":");
    text_add_json(&text, host);
    text_addf(&text, ",\"pid\":%ld,\"user\":", (long)getpid());
    text_add_json(&text, find_user(number));
    if (meta->kill_grace_ms > 0) text_addf(&text, ",\"" KILL_GRACE "\":%u", meta->kill_grace_ms);
    text_add(&text, ",\"labels\":{");
    add_labels(&text, meta);
    text_add(&text, "}}");
    return !text.is_cut;
}

void owner_compose(char out_owner[OWNER_SIZE])
{
    char host[HOST_SIZE];
    char number[32];
    uint64_t random = 0;
    find_host(host);
    if (getrandom(&random, sizeof(random), GRND_NONBLOCK) != (ssize_t)sizeof(random)) {
        struct timespec now;
        (void)clock_gettime(CLOCK_REALTIME, &now);
        random = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
    }
    char user_text[100];
    struct text user;
    text_init(&user, user_text, sizeof(user_text));
    text_add_visible(&user, find_user(number));
    struct text owner;
    text_init(&owner, out_owner, OWNER_SIZE);
    text_add(&owner, user_text);
    text_add(&owner, "@");
    text_add_visible(&owner, host);
    text_addf(&owner, ":%ld#%016" PRIx64, (long)getpid(), random);
}

/* ------------------------------------------------------------------ reading */

static bool take(const char **at, char expected)
{
    if (**at != expected) return false;
    (*at)++;
    return true;
}

/* A JSON string; escapes are undone where that is easy.  What is cut off ends there. */
static bool take_string(const char **at, struct text *out_words)
{
    if (!take(at, '"')) return false;
    const char *c = *at;
    for (; *c != '\0' && *c != '"'; c++) {
        if (*c != '\\') {
            text_add_bytes(out_words, c, 1);
            continue;
        }
        c++;
        if (*c == '\0') break;
        if (*c == 'u') {
            text_add(out_words, "?");
            for (int i = 0; i < 4 && c[1] != '\0'; i++) {
                c++;
            }
        } else {
            text_add_bytes(out_words, *c == 'n' || *c == 't' ? " " : c, 1);
        }
    }
    if (*c == '"') c++;
    *at = c;
    return true;
}

/* "key":"value",… up to the end of the labels, as ", key=value"; the description begins at `start`.
 */
static void describe_labels(const char **at, size_t start, struct text *text)
{
    char buffer[META_SIZE];
    while (**at == '"') {
        struct text word;
        text_init(&word, buffer, sizeof(buffer));
        if (!take_string(at, &word)) return;
        text_add(&word, "=");
        if (!take(at, ':') || !take_string(at, &word)) return;
        if (text->size > start) text_add(text, ", ");
        text_add_visible(text, buffer);
        if (!take(at, ',')) return;
    }
}

static void describe_member(const char **at, const char *key, size_t start, struct text *text)
{
    char buffer[META_SIZE];
    struct text value;
    text_init(&value, buffer, sizeof(buffer));
    if (strcmp(key, "labels") == 0 && take(at, '{')) {
        describe_labels(at, start, text);
        (void)take(at, '}');
    } else if (**at == '"') {
        (void)take_string(at, &value);
        if (strcmp(key, "cmd") == 0) text_add_visible(text, buffer);
    } else {
        *at += strspn(*at, "0123456789");
    }
}

/* The key of the next member, up to its value.  False: there is none. */
static bool take_key(const char **at, char out_key[META_SIZE])
{
    struct text key;
    text_init(&key, out_key, META_SIZE);
    return take_string(at, &key) && take(at, ':');
}

void meta_describe(const char *meta, struct text *out_text)
{
    const char *at = meta;
    size_t size = out_text->size;
    if (take(&at, '{')) {
        char key[META_SIZE];
        while (take_key(&at, key)) {
            describe_member(&at, key, size, out_text);
            if (!take(&at, ',')) break;
        }
        bool is_ours = strncmp(meta, "{\"cmd\":", 7) == 0 || strncmp(meta, "{\"host\":", 8) == 0;
        if (is_ours || out_text->size > size) return;
    }
    text_add_visible(out_text, meta);
}

bool meta_kill_grace(const char *meta, uint64_t *out_ms)
{
    const char *at = meta;
    char key[META_SIZE];
    char buffer[META_SIZE];
    if (!take(&at, '{')) return false;
    while (take_key(&at, key)) {
        bool is_number = at[0] >= '0' && at[0] <= '9';
        if (strcmp(key, KILL_GRACE) == 0 && is_number) {
            *out_ms = strtoull(at, NULL, 10);
            return true;
        }
        struct text passed;
        text_init(&passed, buffer, sizeof(buffer));
        describe_member(&at, key, 0, &passed);
        if (!take(&at, ',')) break;
    }
    return false;
}
