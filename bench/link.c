#include "link.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#define ASK_TIMEOUT_S 10
#define ASK_READ_SIZE 65536u

static bool parse_port(const char *text, in_port_t *out_port)
{
    char *end = NULL;
    errno = 0;
    unsigned long port = strtoul(text, &end, 10);
    if (errno != 0 || end == text || *end != '\0' || port > UINT16_MAX) return false;
    *out_port = htons((uint16_t)port);
    return true;
}

bool link_address_from_tcp(const char *text, struct link_address *out_address)
{
    char host[INET6_ADDRSTRLEN + 1];
    const char *colon = strrchr(text, ':');
    if (colon == NULL) return false;
    bool is_bracketed = text[0] == '[' && colon > text && colon[-1] == ']';
    const char *start = is_bracketed ? text + 1 : text;
    size_t size = (size_t)(colon - start) - (is_bracketed ? 1 : 0);
    if (size >= sizeof(host)) return false;
    memcpy(host, start, size);
    host[size] = '\0';

    struct sockaddr_in v4 = { .sin_family = AF_INET };
    struct sockaddr_in6 v6 = { .sin6_family = AF_INET6 };
    struct link_address address = { .size = 0 };
    if (!is_bracketed && inet_pton(AF_INET, host, &v4.sin_addr) == 1) {
        if (!parse_port(colon + 1, &v4.sin_port)) return false;
        address.size = sizeof(v4);
        memcpy(&address.storage, &v4, sizeof(v4));
    } else if (is_bracketed && inet_pton(AF_INET6, host, &v6.sin6_addr) == 1) {
        if (!parse_port(colon + 1, &v6.sin6_port)) return false;
        address.size = sizeof(v6);
        memcpy(&address.storage, &v6, sizeof(v6));
    } else {
        return false;
    }
    *out_address = address;
    return true;
}

bool link_address_from_unix(const char *path, struct link_address *out_address)
{
    struct sockaddr_un un = { .sun_family = AF_UNIX };
    if (strlen(path) >= sizeof(un.sun_path)) return false;
    memcpy(un.sun_path, path, strlen(path) + 1);
    struct link_address address = { .size = sizeof(un) };
    memcpy(&address.storage, &un, sizeof(un));
    *out_address = address;
    return true;
}

static bool set_options(int fd, bool is_tcp, bool is_blocking)
{
    int on = 1;
    struct timeval patience = { .tv_sec = ASK_TIMEOUT_S };
    if (is_tcp && setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) != 0) return false;
    if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) != 0) return false;
    if (is_blocking) return true;
    int flags = fcntl(fd, F_GETFL);
    return flags >= 0 && fcntl(fd, F_SETFL, flags | O_NONBLOCK) == 0;
}

int link_connect(const struct link_address *address, bool is_blocking)
{
    int fd = socket(address->storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) return -1;
    bool is_tcp = address->storage.ss_family != AF_UNIX;
    if (connect(fd, (const struct sockaddr *)&address->storage, address->size) == 0 &&
        set_options(fd, is_tcp, is_blocking))
    {
        return fd;
    }
    int cause = errno;
    (void)close(fd);
    errno = cause;
    return -1;
}

static bool send_all(int fd, struct bytes request)
{
    while (request.size > 0) {
        ssize_t sent = send(fd, request.data, request.size, MSG_NOSIGNAL);
        if (sent <= 0) return false;
        request.data += sent;
        request.size -= (size_t)sent;
    }
    return true;
}

/* Reads a reply of one kind into `reply`. */
typedef enum reply_state (*read_fn)(struct bytes input, void *reply);

static bool receive_reply(int fd, struct buffer *storage, read_fn read, void *reply)
{
    buffer_reset(storage);
    for (;;) {
        if (!buffer_reserve(storage, ASK_READ_SIZE)) return false;
        ssize_t got = recv(fd, storage->data + storage->size, ASK_READ_SIZE, 0);
        if (got <= 0) return false;
        storage->size += (size_t)got;
        enum reply_state state = read(buffer_bytes(storage), reply);
        if (state != REPLY_MORE) return state == REPLY_DONE;
    }
}

static bool
ask(const struct link_address *address,
    struct bytes request,
    struct buffer *storage,
    read_fn read,
    void *reply)
{
    int fd = link_connect(address, true);
    if (fd < 0) return false;
    bool is_answered = send_all(fd, request) && receive_reply(fd, storage, read, reply);
    (void)close(fd);
    return is_answered;
}

static enum reply_state read_resp(struct bytes input, void *reply)
{
    return resp_reply_read(input, reply);
}

static enum reply_state read_http(struct bytes input, void *reply)
{
    return http_reply_read(input, reply);
}

bool link_ask_resp(
    const struct link_address *address,
    struct bytes request,
    struct buffer *storage,
    struct resp_reply *out_reply)
{
    return ask(address, request, storage, read_resp, out_reply);
}

bool link_ask_http(
    const struct link_address *address,
    struct bytes request,
    struct buffer *storage,
    struct http_reply *out_reply)
{
    return ask(address, request, storage, read_http, out_reply);
}
