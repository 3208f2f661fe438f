/* http_guard - requests that a browser sends for somebody else are refused.
 *
 * There is no login yet: whoever reaches the port may act.  A page of any site can make the
 * browser of somebody who reaches it send requests, so that the browser's own marks decide
 * (Sec-Fetch-Site, Origin), and against DNS rebinding the Host must be a name that is known to be
 * ours.  Programs that are no browsers send no such marks and a Host that they were told. */
#include <arpa/inet.h>

#include "proto/url.h"
#include "server/http.h"

/* "name:port" or "[::1]:port" without the port, and without brackets. */
static struct bytes host_of(struct bytes text)
{
    if (text.size > 0 && text.data[0] == '[') {
        const char *end = memchr(text.data, ']', text.size);
        if (end != NULL) return (struct bytes){ text.data + 1, (size_t)(end - text.data) - 1 };
        return text;
    }
    const char *colon = memchr(text.data, ':', text.size);
    if (colon != NULL) text.size = (size_t)(colon - text.data);
    return text;
}

static bool is_same(struct bytes left, struct bytes right)
{
    char word[256];
    if (right.size >= sizeof(word)) return false;
    memcpy(word, right.data, right.size);
    word[right.size] = '\0';
    return memchr(word, '\0', right.size) == NULL && http_text_is(left, word);
}

static bool is_number_address(struct bytes host)
{
    char text[64];
    unsigned char address[16];
    if (host.size == 0 || host.size >= sizeof(text)) return false;
    memcpy(text, host.data, host.size);
    text[host.size] = '\0';
    return inet_pton(AF_INET, text, address) == 1 || inet_pton(AF_INET6, text, address) == 1;
}

/* A listener on every address is reached by numbers that nobody can list beforehand; a number
 * cannot be rebound by a name server. */
static bool is_listener(const struct server *server, struct bytes host)
{
    for (uint32_t i = 0; i < server->listener_count; i++) {
        const struct listener *listener = &server->listeners[i];
        if (listener->is_local) continue;
        struct bytes address = host_of(bytes_from_text(listener->address));
        if (is_same(host, address)) return true;
        bool is_any = http_text_is(address, "0.0.0.0") || http_text_is(address, "::");
        if (is_any && is_number_address(host)) return true;
    }
    return false;
}

static bool is_known_host(const struct session *session, struct bytes text)
{
    const struct server *server = session->server;
    struct bytes host = host_of(text);
    if (session->is_local) return true; /* no browser speaks to a Unix socket */
    if (http_text_is(host, "127.0.0.1") || http_text_is(host, "localhost") ||
        http_text_is(host, "::1")) {
        return true;
    }
    for (uint32_t i = 0; i < server->config->host.count; i++) {
        if (is_same(host, host_of(bytes_from_text(server->config->host.items[i])))) return true;
    }
    return is_listener(server, host);
}

/* "http://host:port" with our host and port?  A port that is the scheme's own is left out in both.
 */
static bool is_own_origin(struct bytes origin, struct bytes host)
{
    static const char *const schemes[] = { "http://", "https://" };
    for (size_t i = 0; i < 2; i++) {
        size_t size = strlen(schemes[i]);
        if (origin.size <= size) continue;
        if (!http_text_is((struct bytes){ origin.data, size }, schemes[i])) continue;
        return is_same((struct bytes){ origin.data + size, origin.size - size }, host);
    }
    return false;
}

const char *http_guard(const struct session *session, const struct http_request *request)
{
    /* HTTP/1.0 knows no Host; browsers do not speak it. */
    bool has_host = request->host.size > 0;
    if (has_host && !is_known_host(session, request->host)) {
        return "the Host header names a host that is not this server's; add it with --host";
    }
    if (http_text_is(request->fetch_site, "cross-site") ||
        http_text_is(request->fetch_site, "same-site"))
    {
        return "the request comes from a page of another site";
    }
    if (request->origin.size > 0 && !is_own_origin(request->origin, request->host)) {
        return "the Origin header is not this server's";
    }
    return NULL;
}
