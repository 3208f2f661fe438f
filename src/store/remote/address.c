#include <stdio.h>
#include <string.h>

#include "proto/url.h"
#include "store/remote/remote.h"

#define SCHEME_TCP  "tenure://"
#define SCHEME_UNIX "tenure+unix://"
#define PORT        "7420"

static bool has_scheme(const char *url, const char *scheme)
{
    return strncmp(url, scheme, strlen(scheme)) == 0;
}

bool tni_remote_knows(const char *url)
{
    return has_scheme(url, SCHEME_TCP) || has_scheme(url, SCHEME_UNIX);
}

static enum tenure_err refuse(const char *text, struct tenure_error *out_error)
{
    if (out_error != NULL) {
        *out_error = (struct tenure_error){ .code = TENURE_INVALID };
        (void)snprintf(out_error->text, sizeof(out_error->text), "%s", text);
    }
    return TENURE_INVALID;
}

static enum tenure_err
parse_unix(const char *path, struct link_address *out_address, struct tenure_error *out_error)
{
    struct link_address address = { 0 };
    struct bytes decoded;
    char scratch[256];
    size_t size = strlen(path);
    if (size == 0 || path[0] != '/') {
        return refuse("the path of the socket must be absolute: tenure+unix:///PATH", out_error);
    }
    if (size > sizeof(scratch) ||
        !url_decode_path((struct bytes){ path, size }, scratch, &decoded) ||
        memchr(decoded.data, '\0', decoded.size) != NULL)
    {
        return refuse("the path of the socket is not encoded as in a URL", out_error);
    }
    if (decoded.size >= sizeof(address.path)) {
        return refuse("the path of the socket is too long: 107 bytes at most", out_error);
    }
    memcpy(address.path, decoded.data, decoded.size);
    *out_address = address;
    return TENURE_OK;
}

/* A host without a port gets the usual one. */
static bool add_port(const char *text, char *out_text, size_t text_size)
{
    const char *bracket = strrchr(text, ']');
    const char *colon = strrchr(text, ':');
    bool has_port = colon != NULL && (bracket == NULL || bracket < colon);
    int size = snprintf(out_text, text_size, has_port ? "%s" : "%s:" PORT, text);
    return size >= 0 && (size_t)size < text_size;
}

static enum tenure_err
parse_tcp(const char *text, struct link_address *out_address, struct tenure_error *out_error)
{
    char full[sizeof(out_address->host) + sizeof(PORT) + 3];
    struct url_address parsed;
    size_t size = strlen(text);
    char trimmed[sizeof(out_address->host)];
    if (size > 0 && text[size - 1] == '/') size--;
    if (size >= sizeof(trimmed)) return refuse("the name of the host is too long", out_error);
    memcpy(trimmed, text, size);
    trimmed[size] = '\0';
    if (strchr(trimmed, '@') != NULL) {
        return refuse("passwords in the URL are not supported", out_error);
    }
    if (!add_port(trimmed, full, sizeof(full)) ||
        !url_parse_address(bytes_from_text(full), &parsed) || parsed.host.size == 0 ||
        parsed.port == 0)
    {
        return refuse("the URL must be tenure://HOST or tenure://HOST:PORT", out_error);
    }
    *out_address = (struct link_address){ 0 };
    memcpy(out_address->host, parsed.host.data, parsed.host.size);
    (void)snprintf(out_address->port, sizeof(out_address->port), "%u", (unsigned)parsed.port);
    return TENURE_OK;
}

enum tenure_err tni_remote_parse_url(
    const char *url, struct link_address *out_address, struct tenure_error *out_error)
{
    if (has_scheme(url, SCHEME_UNIX)) {
        return parse_unix(url + strlen(SCHEME_UNIX), out_address, out_error);
    }
    return parse_tcp(url + strlen(SCHEME_TCP), out_address, out_error);
}
