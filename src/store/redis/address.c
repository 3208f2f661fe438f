#include "store/redis/address.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/decimal.h"
#include "proto/url.h"
#include "quorum/quorum.h"

#define URL_SIZE_MAX  ((size_t)8192)
#define PORT_NODE     "6379"
#define PORT_SENTINEL "26379"
#define DATABASE_MAX  ((uint64_t)INT32_MAX)

struct scheme {
    const char *text;
    bool is_tls;
    bool is_sentinel;
    bool is_unix;
};

static const struct scheme schemes[] = {
    { "redis://", false, false, false },         { "rediss://", true, false, false },
    { "redis+unix://", false, false, true },     { "redis+sentinel://", false, true, false },
    { "rediss+sentinel://", true, true, false },
};

/* A URL at work.  What is parsed points into it. */
struct reader {
    const struct scheme *scheme;
    struct redis_address address;
    struct tenure_error error;
    char scratch[URL_SIZE_MAX];
};

/* NULL: none of them. */
static const struct scheme *find_scheme(const char *url)
{
    for (size_t index = 0; index < sizeof(schemes) / sizeof(schemes[0]); index++) {
        if (strncmp(url, schemes[index].text, strlen(schemes[index].text)) == 0) {
            return &schemes[index];
        }
    }
    return NULL;
}

bool tni_redis_knows(const char *url)
{
    return find_scheme(url) != NULL;
}

/* The arguments are never parts of the URL. */
__attribute__((format(printf, 2, 3))) static bool
refuse(struct reader *reader, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    reader->error = (struct tenure_error){ .code = TENURE_INVALID };
    (void)vsnprintf(reader->error.text, sizeof(reader->error.text), format, arguments);
    va_end(arguments);
    return false;
}

/* Cut `text` at the first of `separators`; `out_rest` begins with it, or is empty. */
static struct bytes cut(struct bytes text, const char *separators, struct bytes *out_rest)
{
    size_t size = 0;
    while (size < text.size && strchr(separators, text.data[size]) == NULL) {
        size++;
    }
    *out_rest = (struct bytes){ text.data + size, text.size - size };
    return (struct bytes){ text.data, size };
}

static struct bytes drop_first(struct bytes text)
{
    return (struct bytes){ text.data + 1, text.size - 1 };
}

/* Copy a value that is decoded already; `what` names it for people. */
static bool
keep_text(struct reader *reader, struct bytes value, const char *what, char *out, size_t out_size)
{
    if (value.size >= out_size) {
        return refuse(reader, "the %s is too long: %zu bytes at most", what, out_size - 1);
    }
    if (value.size > 0 && memchr(value.data, '\0', value.size) != NULL) {
        return refuse(reader, "the %s contains a zero byte", what);
    }
    if (value.size > 0) memcpy(out, value.data, value.size);
    out[value.size] = '\0';
    return true;
}

static bool
keep_part(struct reader *reader, struct bytes part, const char *what, char *out, size_t out_size)
{
    struct bytes decoded;
    if (!url_decode_path(part, reader->scratch, &decoded)) {
        return refuse(
            reader, "the %s is not encoded as in a URL: a %% has two hexadecimal digits", what);
    }
    return keep_text(reader, decoded, what, out, out_size);
}

/* ------------------------------------------------------------------ servers */

/* As far as the letters tell. */
static bool is_same_host(const char *left, const char *right)
{
    unsigned char left_number[16];
    unsigned char right_number[16];
    if (strcasecmp(left, right) == 0) return true;
    return uv_inet_pton(AF_INET6, left, left_number) == 0 &&
           uv_inet_pton(AF_INET6, right, right_number) == 0 &&
           memcmp(left_number, right_number, sizeof(left_number)) == 0;
}

static bool is_same_server(const struct link_address *left, const struct link_address *right)
{
    return is_same_host(left->host, right->host) && strcmp(left->port, right->port) == 0 &&
           strcmp(left->path, right->path) == 0;
}

static bool parse_host(struct reader *reader, struct bytes text, struct link_address *out_node)
{
    const char *port = reader->scheme->is_sentinel ? PORT_SENTINEL : PORT_NODE;
    char full[sizeof(out_node->host) + sizeof("[]:65535")];
    struct url_address parsed;
    uint32_t number = reader->address.count + 1;
    bool is_bracketed = text.size > 0 && text.data[text.size - 1] == ']';
    bool has_port = !is_bracketed && text.size > 0 && memchr(text.data, ':', text.size) != NULL;
    size_t more = has_port ? 0 : strlen(port) + 1;
    if (text.size + more >= sizeof(full)) {
        return refuse(reader, "server %u: the name is too long: 255 bytes at most", number);
    }
    memcpy(full, text.data, text.size);
    full[text.size] = '\0';
    if (!has_port) (void)snprintf(full + text.size, sizeof(full) - text.size, ":%s", port);
    if (!url_parse_address(bytes_from_text(full), &parsed) || parsed.host.size == 0 ||
        parsed.port == 0) {
        return refuse(
            reader,
            "server %u is not HOST, HOST:PORT or [IPV6]:PORT (in a password, write / ? @ as "
            "%%2F %%3F %%40)",
            number);
    }
    if (parsed.host.size >= sizeof(out_node->host)) {
        return refuse(reader, "server %u: the name is too long: 255 bytes at most", number);
    }
    *out_node = (struct link_address){ 0 };
    memcpy(out_node->host, parsed.host.data, parsed.host.size);
    (void)snprintf(out_node->port, sizeof(out_node->port), "%u", (unsigned)parsed.port);
    return true;
}

static bool parse_path(struct reader *reader, struct bytes text, struct link_address *out_node)
{
    *out_node = (struct link_address){ 0 };
    if (text.size == 0 || text.data[0] != '/') {
        return refuse(reader, "the path of a socket must be absolute: redis+unix:///PATH");
    }
    return keep_part(reader, text, "path of a socket", out_node->path, sizeof(out_node->path));
}

static bool parse_servers(struct reader *reader, struct bytes text)
{
    struct redis_address *address = &reader->address;
    for (;;) {
        struct bytes rest;
        struct bytes each = cut(text, ",", &rest);
        struct link_address node;
        if (address->count == QUORUM_NODE_COUNT_MAX) {
            return refuse(reader, "too many servers: %u at most", QUORUM_NODE_COUNT_MAX);
        }
        bool is_fine = reader->scheme->is_unix ? parse_path(reader, each, &node)
                                               : parse_host(reader, each, &node);
        if (!is_fine) return false;
        for (uint32_t index = 0; index < address->count; index++) {
            if (!is_same_server(&address->nodes[index], &node)) continue;
            return refuse(
                reader,
                "servers %u and %u are the same: a vote would count twice",
                index + 1,
                address->count + 1);
        }
        address->nodes[address->count++] = node;
        if (rest.size == 0) break;
        text = drop_first(rest);
    }
    if (reader->scheme->is_sentinel || quorum_is_node_count(address->count)) return true;
    return refuse(
        reader,
        "%u nodes survive no more failures than %u, since a majority of them is %u: name 1, 3, 5 "
        "or 7",
        address->count,
        address->count - 1,
        quorum_majority(address->count));
}

/* ------------------------------------------------------------------ before and behind them */

static bool parse_user(struct reader *reader, struct bytes text)
{
    struct redis_address *address = &reader->address;
    struct bytes rest;
    struct bytes user = cut(text, ":", &rest);
    if (!keep_part(reader, user, "user", address->user, sizeof(address->user))) return false;
    if (rest.size == 0) return true;
    return keep_part(
        reader, drop_first(rest), "password", address->password, sizeof(address->password));
}

static bool parse_database(struct reader *reader, struct bytes text)
{
    uint64_t database;
    if (!decimal_parse(text, &database) || database > DATABASE_MAX) {
        return refuse(reader, "the database is not a number: write /0, or nothing");
    }
    reader->address.database = (uint32_t)database;
    return true;
}

/* "", "/", "/DB"; with sentinels "/MASTER" and "/MASTER/DB".  `text` begins with "/" or is empty.
 */
static bool parse_behind(struct reader *reader, struct bytes text)
{
    if (text.size > 0) text = drop_first(text);
    if (reader->scheme->is_sentinel) {
        struct redis_address *address = &reader->address;
        struct bytes rest;
        struct bytes master = cut(text, "/", &rest);
        if (master.size == 0) {
            return refuse(reader, "no master is named: redis+sentinel://HOST,HOST,HOST/MASTER");
        }
        if (!keep_part(
                reader, master, "name of the master", address->master, sizeof(address->master))) {
            return false;
        }
        text = rest.size == 0 ? rest : drop_first(rest);
    }
    return text.size == 0 || parse_database(reader, text);
}

/* ------------------------------------------------------------------ options */

/* The size of the first line of a file, without its end; -errno when it cannot be read. */
static ssize_t read_line(const char *path, char *out, size_t out_size)
{
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0) return -errno;
    size_t size = 0;
    ssize_t got = 1;
    while (got != 0 && size < out_size && memchr(out, '\n', size) == NULL) {
        got = read(file, out + size, out_size - size);
        if (got < 0 && errno != EINTR) break;
        if (got > 0) size += (size_t)got;
    }
    int failure = got < 0 ? errno : 0;
    (void)close(file);
    if (failure != 0) return -failure;
    const char *end = memchr(out, '\n', size);
    if (end != NULL) size = (size_t)(end - out);
    if (size > 0 && out[size - 1] == '\r') size--;
    return (ssize_t)size;
}

static bool
keep_secret(struct reader *reader, struct bytes value, const char *what, char *out, size_t out_size)
{
    char path[256];
    char line[512];
    if (!keep_text(reader, value, what, path, sizeof(path))) return false;
    ssize_t size = read_line(path, line, sizeof(line));
    bool is_fine;
    if (size < 0) {
        is_fine = refuse(reader, "the %s cannot be read: %s", what, uv_strerror((int)size));
        reader->error.os_errno = (int)-size;
    } else if (size == 0) {
        is_fine = refuse(reader, "the %s has no password in its first line", what);
    } else {
        is_fine =
            keep_text(reader, (struct bytes){ line, (size_t)size }, "password", out, out_size);
    }
    explicit_bzero(line, sizeof(line));
    return is_fine;
}

static bool keep_duration(struct reader *reader, struct bytes value)
{
    static const struct {
        const char *text;
        uint64_t ms;
    } units[] = { { "ms", 1 }, { "s", 1000 }, { "m", 60000 }, { "h", 3600000 } };
    size_t digits = 0;
    while (digits < value.size && value.data[digits] >= '0' && value.data[digits] <= '9') {
        digits++;
    }
    struct bytes unit = { value.data + digits, value.size - digits };
    uint64_t count;
    bool is_number = decimal_parse((struct bytes){ value.data, digits }, &count);
    for (size_t index = 0; is_number && index < sizeof(units) / sizeof(units[0]); index++) {
        if (!bytes_equal(unit, bytes_from_text(units[index].text))) continue;
        bool is_short = count > LIMIT_TTL_MS_MAX || count * units[index].ms < LIMIT_TTL_MS_MIN;
        if (is_short || count * units[index].ms > LIMIT_TTL_MS_MAX) {
            return refuse(reader, "ttl-max must be from 100ms to 24h");
        }
        reader->address.ttl_ms_max = (uint32_t)(count * units[index].ms);
        return true;
    }
    return refuse(reader, "ttl-max must be a number with ms, s, m or h behind it, as in 60s");
}

static bool keep_new(struct reader *reader, struct bytes value)
{
    reader->address.is_new = bytes_equal(value, BYTES_LITERAL("yes"));
    if (reader->address.is_new || bytes_equal(value, BYTES_LITERAL("no"))) return true;
    return refuse(reader, "new must be yes or no");
}

enum option_kind { OPTION_TEXT, OPTION_SECRET, OPTION_TTL_MAX, OPTION_NEW };
enum option_use { USE_ALWAYS, USE_WITH_TLS, USE_WITH_SENTINEL };

#define FIELD(name)                                                                                \
    offsetof(struct redis_address, name), sizeof(((struct redis_address *)NULL)->name)

static const struct option {
    const char *name;
    enum option_kind kind;
    enum option_use use;
    size_t offset;
    size_t size;
} options[] = {
    { "user", OPTION_TEXT, USE_ALWAYS, FIELD(user) },
    { "password-file", OPTION_SECRET, USE_ALWAYS, FIELD(password) },
    { "sentinel-user", OPTION_TEXT, USE_WITH_SENTINEL, FIELD(sentinel_user) },
    { "sentinel-password-file", OPTION_SECRET, USE_WITH_SENTINEL, FIELD(sentinel_password) },
    { "ca-file", OPTION_TEXT, USE_WITH_TLS, FIELD(ca_file) },
    { "cert-file", OPTION_TEXT, USE_WITH_TLS, FIELD(cert_file) },
    { "key-file", OPTION_TEXT, USE_WITH_TLS, FIELD(key_file) },
    { "server-name", OPTION_TEXT, USE_WITH_TLS, FIELD(server_name) },
    { "ttl-max", OPTION_TTL_MAX, USE_ALWAYS, 0, 0 },
    { "new", OPTION_NEW, USE_ALWAYS, 0, 0 },
};
#define OPTION_COUNT (sizeof(options) / sizeof(options[0]))

static bool keep_option(struct reader *reader, const struct option *option, struct bytes value)
{
    const char *name = option->name;
    char *field = (char *)&reader->address + option->offset;
    if (option->use == USE_WITH_TLS && !reader->scheme->is_tls) {
        return refuse(reader, "%s needs TLS: write rediss instead of redis", name);
    }
    if (option->use == USE_WITH_SENTINEL && !reader->scheme->is_sentinel) {
        return refuse(reader, "%s is for redis+sentinel:// and rediss+sentinel://", name);
    }
    if (value.size == 0) return refuse(reader, "%s has no value", name);
    switch (option->kind) {
    case OPTION_TTL_MAX: return keep_duration(reader, value);
    case OPTION_NEW: return keep_new(reader, value);
    case OPTION_TEXT:
    case OPTION_SECRET: break;
    }
    if (field[0] != '\0') {
        return refuse(reader, "%s says again what the URL says before its host", name);
    }
    if (option->kind == OPTION_TEXT) return keep_text(reader, value, name, field, option->size);
    return keep_secret(reader, value, name, field, option->size);
}

static bool parse_options(struct reader *reader, struct bytes text)
{
    struct url_query query;
    struct bytes key;
    struct bytes value;
    enum url_step step;
    bool is_given[OPTION_COUNT] = { false };
    url_query_init(&query, text, reader->scratch);
    while ((step = url_query_next(&query, &key, &value)) == URL_PAIR) {
        size_t index = 0;
        while (index < OPTION_COUNT && !bytes_equal(key, bytes_from_text(options[index].name))) {
            index++;
        }
        if (index == OPTION_COUNT) {
            return refuse(
                reader,
                "behind the ? there is something else than user, password-file, sentinel-user, "
                "sentinel-password-file, ca-file, cert-file, key-file, server-name, ttl-max or "
                "new");
        }
        if (is_given[index]) return refuse(reader, "%s is given twice", options[index].name);
        is_given[index] = true;
        if (!keep_option(reader, &options[index], value)) return false;
    }
    if (step == URL_BAD) return refuse(reader, "what follows the ? is not encoded as in a URL");
    if ((reader->address.cert_file[0] == '\0') != (reader->address.key_file[0] == '\0')) {
        return refuse(reader, "cert-file and key-file are given together or not at all");
    }
    return true;
}

/* ------------------------------------------------------------------ all of it */

static bool parse(struct reader *reader, struct bytes text)
{
    if (text.size >= URL_SIZE_MAX) return refuse(reader, "the URL is too long");
    struct bytes query;
    struct bytes rest = cut(text, "?", &query);
    struct bytes behind = { rest.data + rest.size, 0 };
    struct bytes servers = rest;
    if (!reader->scheme->is_unix) {
        servers = cut(rest, "/", &behind);
        const char *at = servers.size == 0 ? NULL : memrchr(servers.data, '@', servers.size);
        if (at != NULL) {
            struct bytes user = { servers.data, (size_t)(at - servers.data) };
            servers = (struct bytes){ at + 1, servers.size - user.size - 1 };
            if (!parse_user(reader, user)) return false;
        }
    }
    /* Elsewhere it is a sign that a password holds a "/" or a "?". */
    const char *end = text.data + text.size;
    size_t left = (size_t)(end - servers.data);
    if (left > 0 && memchr(servers.data, '@', left) != NULL) {
        return refuse(
            reader,
            reader->scheme->is_unix
                ? "write @ as %%40, and the password into a file: password-file=PATH"
                : "write @ as %%40, and in a password / as %%2F and ? as %%3F");
    }
    if (!parse_servers(reader, servers) || !parse_behind(reader, behind)) return false;
    return query.size == 0 || parse_options(reader, drop_first(query));
}

enum tenure_err tni_redis_parse_url(
    const char *url, struct redis_address *out_address, struct tenure_error *out_error)
{
    const struct scheme *scheme = find_scheme(url);
    ASSERT(scheme != NULL);
    struct reader reader = {
        .scheme = scheme,
        .address = { .is_sentinel = scheme->is_sentinel,
                     .is_tls = scheme->is_tls,
                     .ttl_ms_max = QUORUM_TTL_MS_MAX_DEFAULT },
    };
    bool is_fine = parse(&reader, bytes_from_text(url + strlen(scheme->text)));
    if (is_fine) *out_address = reader.address;
    if (!is_fine && out_error != NULL) *out_error = reader.error;
    explicit_bzero(&reader, sizeof(reader));
    return is_fine ? TENURE_OK : TENURE_INVALID;
}

void tni_redis_address_wipe(struct redis_address *address)
{
    explicit_bzero(address, sizeof(*address));
}

/* ------------------------------------------------------------------ for people */

static bool is_harmless(char byte)
{
    bool is_alphanumeric = (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') ||
                           (byte >= '0' && byte <= '9');
    return is_alphanumeric || (byte != '\0' && strchr("-._~%", byte) != NULL);
}

void tni_redis_show_url(const char *url, char *out_text, size_t text_size)
{
    const char *mark = strstr(url, "://");
    const char *start = mark == NULL ? url : mark + 3;
    /* The last one, wherever it is: what stands before it may be a password that should have been
     * encoded. */
    const char *at = strrchr(start, '@');
    const char *user_end = start;
    while (at != NULL && user_end < at && is_harmless(*user_end)) {
        user_end++;
    }
    bool has_user = at != NULL && user_end > start && (user_end == at || *user_end == ':');
    (void)snprintf(
        out_text,
        text_size,
        "%.*s%.*s%s%s",
        (int)(start - url),
        url,
        has_user ? (int)(user_end - start) : 0,
        start,
        has_user ? "@" : "",
        at == NULL ? start : at + 1);
}
