/* bench-follow - many idle followers of an event stream, to see what they cost everybody else.
 *
 * Opens the connections, asks each for the stream, prints a line when all have been answered, and
 * then reads and discards until it is killed.  A follower that the server drops ends the program.
 */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sysexits.h>
#include <unistd.h>

#include "link.h"
#include "process.h"

#define EVENT_COUNT_MAX 256
#define READ_SIZE       16384u

__attribute__((noreturn)) static void fail(const char *what)
{
    (void)fprintf(stderr, "bench-follow: %s\n", what);
    exit(EX_UNAVAILABLE); // NOLINT(concurrency-mt-unsafe): one thread
}

/* Read the head of the answer, and leave the socket to epoll. */
static void await_stream(int fd)
{
    char text[READ_SIZE];
    size_t size = 0;
    for (;;) {
        struct http_reply reply;
        ssize_t got = recv(fd, text + size, sizeof(text) - size, 0);
        if (got <= 0) fail("the server did not answer a follower");
        size += (size_t)got;
        enum reply_state state = http_reply_read((struct bytes){ text, size }, &reply);
        if (state == REPLY_BAD || size == sizeof(text)) fail("not an event stream");
        if (state == REPLY_MORE) continue;
        if (reply.status != 200 || !reply.is_endless) fail("a follower was refused");
        return;
    }
}

static void follow(int epoll, const struct link_address *address, struct bytes request)
{
    int fd = link_connect(address, true);
    if (fd < 0) fail("cannot connect");
    if (send(fd, request.data, request.size, MSG_NOSIGNAL) != (ssize_t)request.size) {
        fail("cannot send");
    }
    await_stream(fd);
    struct epoll_event event = { .events = EPOLLIN, .data.fd = fd };
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) != 0) fail("epoll_ctl failed");
}

__attribute__((noreturn)) static void read_for_ever(int epoll)
{
    char text[READ_SIZE];
    struct epoll_event events[EVENT_COUNT_MAX];
    for (;;) {
        int count = epoll_wait(epoll, events, EVENT_COUNT_MAX, -1);
        if (count < 0 && errno != EINTR) fail("epoll_wait failed");
        for (int i = 0; i < count; i++) {
            ssize_t got = recv(events[i].data.fd, text, sizeof(text), MSG_DONTWAIT);
            if (got == 0 || (got < 0 && errno != EAGAIN)) fail("a follower was dropped");
        }
    }
}

int main(int argc, char **argv)
{
    static const struct option known[] = {
        { "tcp", required_argument, NULL, 't' },
        { "path", required_argument, NULL, 'p' },
        { "connections", required_argument, NULL, 'c' },
        { "cpu", required_argument, NULL, 'C' },
        { NULL, 0, NULL, 0 },
    };
    struct link_address address = { .size = 0 };
    const char *path = "/v1/events";
    unsigned long count = 1;
    bool is_right = true;
    int option;
    // NOLINTNEXTLINE(concurrency-mt-unsafe): one thread
    while ((option = getopt_long(argc, argv, "", known, NULL)) != -1) {
        switch (option) {
        case 't': is_right = is_right && link_address_from_tcp(optarg, &address); break;
        case 'p': path = optarg; break;
        case 'c': count = strtoul(optarg, NULL, 10); break;
        case 'C': is_right = is_right && process_pin((int)strtoul(optarg, NULL, 10)); break;
        default: is_right = false;
        }
    }
    if (!is_right || address.size == 0 || count == 0 || strlen(path) > 512) {
        (void)fprintf(
            stderr,
            "usage: bench-follow --tcp HOST:PORT [--path PATH] [--connections N] [--cpu N]\n");
        return EX_USAGE;
    }
    char request[1024];
    int size = snprintf(
        request,
        sizeof(request),
        "GET %s HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n",
        path);
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    if (epoll < 0) fail("epoll_create1 failed");
    for (unsigned long i = 0; i < count; i++) {
        follow(epoll, &address, (struct bytes){ request, (size_t)size });
    }
    printf("bench-follow: ready\n");
    (void)fflush(stdout);
    read_for_ever(epoll);
}
