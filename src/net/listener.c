#include "net/listener.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/decimal.h"
#include "base/list.h"

#define BACKLOG           4096
#define ACCEPT_BATCH      64 /* then the other sockets have their turn */
#define PAUSE_MS          100
#define KEEPALIVE_IDLE_S  15
#define KEEPALIVE_EVERY_S 5
#define KEEPALIVE_COUNT   3
#define USER_TIMEOUT_MS   30000
#define HOST_SIZE_MAX     64

/* ------------------------------------------------------------------ addresses */

union address {
    struct sockaddr any;
    struct sockaddr_in ip4;
    struct sockaddr_in6 ip6;
    struct sockaddr_un path;
};

__attribute__((format(printf, 4, 5))) static enum tenure_err
fail(struct tenure_error *out_error, enum tenure_err code, int os_errno, const char *format, ...)
{
    if (out_error == NULL) return code;
    out_error->code = code;
    out_error->os_errno = os_errno;
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(out_error->text, sizeof(out_error->text), format, arguments);
    va_end(arguments);
    return code;
}

static enum tenure_err bad_address(struct tenure_error *out_error, const char *text)
{
    return fail(
        out_error,
        TENURE_INVALID,
        0,
        "'%.100s' is not an address to listen on: write a numeric address and a port, as in "
        "127.0.0.1:7420 or [::1]:7420",
        text);
}

static bool parse_host(char *host, int port, union address *out_address)
{
    size_t size = strlen(host);
    if (strcmp(host, "localhost") == 0) {
        return uv_ip4_addr("127.0.0.1", port, &out_address->ip4) == 0;
    }
    if (host[0] == '[' && host[size - 1] == ']') {
        host[size - 1] = '\0';
        return uv_ip6_addr(host + 1, port, &out_address->ip6) == 0;
    }
    return uv_ip4_addr(host, port, &out_address->ip4) == 0;
}

static enum tenure_err
parse_address(const char *text, union address *out_address, struct tenure_error *out_error)
{
    const char *colon = strrchr(text, ':');
    uint64_t port = 0;
    char host[HOST_SIZE_MAX];
    if (colon == NULL || colon == text || (size_t)(colon - text) >= sizeof(host) ||
        !decimal_parse(bytes_from_text(colon + 1), &port) || port > UINT16_MAX)
    {
        return bad_address(out_error, text);
    }
    memcpy(host, text, (size_t)(colon - text));
    host[colon - text] = '\0';
    *out_address = (union address){ 0 };
    return parse_host(host, (int)port, out_address) ? TENURE_OK : bad_address(out_error, text);
}

enum tenure_err
listener_is_loopback(const char *text, bool *out_is_loopback, struct tenure_error *out_error)
{
    union address address = { 0 };
    enum tenure_err err = parse_address(text, &address, out_error);
    if (err != TENURE_OK) return err;
    if (address.any.sa_family == AF_INET) {
        *out_is_loopback = ntohl(address.ip4.sin_addr.s_addr) >> 24 == 127;
    } else {
        *out_is_loopback = IN6_IS_ADDR_LOOPBACK(&address.ip6.sin6_addr);
    }
    return TENURE_OK;
}

static void
describe_address(const union address *address, char out_text[static LISTENER_ADDRESS_SIZE])
{
    char host[INET6_ADDRSTRLEN] = "";
    if (address->any.sa_family == AF_INET) {
        (void)uv_ip4_name(&address->ip4, host, sizeof(host));
        (void)snprintf(
            out_text, LISTENER_ADDRESS_SIZE, "%s:%u", host, (unsigned)ntohs(address->ip4.sin_port));
    } else {
        (void)uv_ip6_name(&address->ip6, host, sizeof(host));
        (void)snprintf(
            out_text,
            LISTENER_ADDRESS_SIZE,
            "[%s]:%u",
            host,
            (unsigned)ntohs(address->ip6.sin6_port));
    }
}

/* ------------------------------------------------------------------ opening */

static enum tenure_err refused(struct tenure_error *out_error, int failure, const char *what)
{
    switch (failure) {
    case EADDRINUSE:
        return fail(
            out_error,
            TENURE_UNAVAILABLE,
            failure,
            "cannot listen on %.100s: another program does; stop it, or choose another address",
            what);
    case EACCES:
    case EPERM:
    case EROFS:
        return fail(
            out_error,
            TENURE_DENIED,
            failure,
            "cannot listen on %.100s: %s; choose a port above 1023 or a path that this user may "
            "write",
            what,
            strerrordesc_np(failure));
    case EADDRNOTAVAIL:
        return fail(
            out_error,
            TENURE_INVALID,
            failure,
            "cannot listen on %.100s: this machine does not have that address",
            what);
    default:
        return fail(
            out_error,
            TENURE_IO,
            failure,
            "cannot listen on %.100s: %s",
            what,
            strerrordesc_np(failure));
    }
}

static enum tenure_err adopt(
    struct listener *listener,
    uv_loop_t *loop,
    int fd,
    const char *what,
    struct tenure_error *out_error)
{
    int failure = 0;
    if (listen(fd, BACKLOG) != 0) {
        failure = errno;
        (void)close(fd);
        return refused(out_error, failure, what);
    }
    failure = -uv_poll_init(loop, &listener->poll, fd);
    if (failure != 0) {
        (void)close(fd);
        return refused(out_error, failure, what);
    }
    (void)uv_timer_init(loop, &listener->pause);
    listener->poll.data = listener;
    listener->pause.data = listener;
    listener->open_handles = 2;
    listener->socket = fd;
    listener->spare = open("/dev/null", O_RDONLY | O_CLOEXEC);
    return TENURE_OK;
}

enum tenure_err listener_open_tcp(
    struct listener *listener, uv_loop_t *loop, const char *text, struct tenure_error *out_error)
{
    union address address = { 0 };
    enum tenure_err err = parse_address(text, &address, out_error);
    if (err != TENURE_OK) return err;
    *listener = (struct listener){ .socket = -1, .spare = -1 };

    socklen_t size = address.any.sa_family == AF_INET ? sizeof(address.ip4) : sizeof(address.ip6);
    int fd = socket(address.any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) return refused(out_error, errno, text);
    int on = 1;
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (address.any.sa_family == AF_INET6) {
        (void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
    }
    if (bind(fd, &address.any, size) != 0 || getsockname(fd, &address.any, &size) != 0) {
        int failure = errno;
        (void)close(fd);
        return refused(out_error, failure, text);
    }
    describe_address(&address, listener->address);
    return adopt(listener, loop, fd, text, out_error);
}

/* Remove a socket file that nobody listens on.  0, or the errno that stands in the way. */
static int clear_path(const union address *address)
{
    struct stat status;
    if (lstat(address->path.sun_path, &status) != 0) return errno == ENOENT ? 0 : errno;
    if (!S_ISSOCK(status.st_mode)) return EEXIST;
    int probe = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (probe < 0) return errno;
    int failure = connect(probe, &address->any, sizeof(address->path)) == 0 ? 0 : errno;
    (void)close(probe);
    /* EAGAIN: somebody listens, and his queue is full. */
    if (failure != ECONNREFUSED) return EADDRINUSE;
    return unlink(address->path.sun_path) == 0 ? 0 : errno;
}

enum tenure_err listener_open_unix(
    struct listener *listener,
    uv_loop_t *loop,
    const char *path,
    unsigned mode,
    struct tenure_error *out_error)
{
    *listener = (struct listener){ .socket = -1, .spare = -1, .is_local = true };
    union address address = { .path = { .sun_family = AF_UNIX } };
    size_t size = strlen(path);
    if (size == 0 || size >= sizeof(address.path.sun_path)) {
        return fail(
            out_error,
            TENURE_INVALID,
            0,
            "the path of a Unix socket has 1 to %zu bytes, not %zu",
            sizeof(address.path.sun_path) - 1,
            size);
    }
    memcpy(address.path.sun_path, path, size);

    int failure = clear_path(&address);
    if (failure == EEXIST) {
        return fail(
            out_error,
            TENURE_DENIED,
            failure,
            "cannot listen on %.100s: a file that is no socket is there; remove it, or choose "
            "another path",
            path);
    }
    if (failure != 0) return refused(out_error, failure, path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) return refused(out_error, errno, path);
    /* Nobody may connect between bind and chmod. */
    mode_t before = umask(0177);
    failure = bind(fd, &address.any, sizeof(address.path)) == 0 ? 0 : errno;
    (void)umask(before);
    if (failure == 0 && chmod(path, (mode_t)mode) != 0) failure = errno;
    if (failure != 0) {
        (void)close(fd);
        return refused(out_error, failure, path);
    }
    (void)snprintf(listener->address, sizeof(listener->address), "%s", path);
    return adopt(listener, loop, fd, path, out_error);
}

/* ------------------------------------------------------------------ accepting */

static void on_readable(uv_poll_t *poll, int status, int events);

static void on_pause_over(uv_timer_t *timer)
{
    struct listener *listener = timer->data;
    if (!listener->is_closed) (void)uv_poll_start(&listener->poll, UV_READABLE, on_readable);
}

/* No descriptors: refuse the client that waits instead of letting him hang, and look away for a
 * moment instead of being told of the others without pause. */
static void refuse_one(struct listener *listener)
{
    listener->refused_count++;
    if (listener->spare >= 0) {
        (void)close(listener->spare);
        int fd = accept4(listener->socket, NULL, NULL, SOCK_CLOEXEC);
        if (fd >= 0) (void)close(fd);
        listener->spare = open("/dev/null", O_RDONLY | O_CLOEXEC);
    }
    (void)uv_poll_stop(&listener->poll);
    (void)uv_timer_start(&listener->pause, on_pause_over, PAUSE_MS, 0);
}

static void set_tcp_options(int fd)
{
    const struct {
        int level, name, value;
    } options[] = {
        { IPPROTO_TCP, TCP_NODELAY, 1 },
        { SOL_SOCKET, SO_KEEPALIVE, 1 },
        { IPPROTO_TCP, TCP_KEEPIDLE, KEEPALIVE_IDLE_S },
        { IPPROTO_TCP, TCP_KEEPINTVL, KEEPALIVE_EVERY_S },
        { IPPROTO_TCP, TCP_KEEPCNT, KEEPALIVE_COUNT },
        { IPPROTO_TCP, TCP_USER_TIMEOUT, USER_TIMEOUT_MS },
    };
    for (size_t index = 0; index < sizeof(options) / sizeof(options[0]); index++) {
        (void)setsockopt(
            fd,
            options[index].level,
            options[index].name,
            &options[index].value,
            sizeof(options[index].value));
    }
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
    struct listener *listener = poll->data;
    (void)events;
    if (status < 0) return;
    for (unsigned count = 0; count < ACCEPT_BATCH && !listener->is_closed; count++) {
        int fd = accept4(listener->socket, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0) {
            if (!listener->is_local) set_tcp_options(fd);
            listener->on_accept(listener, fd);
        } else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
            refuse_one(listener);
            return;
        } else if (errno != EINTR && errno != ECONNABORTED) {
            return;
        }
    }
}

void listener_start(struct listener *listener, listener_accept_fn on_accept, void *user)
{
    listener->on_accept = on_accept;
    listener->user = user;
    (void)uv_poll_start(&listener->poll, UV_READABLE, on_readable);
}

static void handle_closed(uv_handle_t *handle)
{
    struct listener *listener = handle->data;
    listener->open_handles--;
}

void listener_close(struct listener *listener)
{
    if (listener->is_closed || listener->open_handles == 0) return;
    listener->is_closed = true;
    if (listener->is_local) (void)unlink(listener->address);
    (void)uv_poll_stop(&listener->poll);
    uv_close((uv_handle_t *)&listener->poll, handle_closed);
    uv_close((uv_handle_t *)&listener->pause, handle_closed);
    (void)close(listener->socket);
    if (listener->spare >= 0) (void)close(listener->spare);
    listener->socket = -1;
    listener->spare = -1;
}
