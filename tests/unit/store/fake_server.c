#include "unit/store/fake_server.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "lib/test.h"

#define WAIT_MS 5000

static const char hello[] = "%2\r\n$6\r\nserver\r\n$7\r\ntenured\r\n$5\r\nproto\r\n:3\r\n";

static bool await(int descriptor)
{
    struct pollfd poll_one = { descriptor, POLLIN, 0 };
    return poll(&poll_one, 1, WAIT_MS) == 1;
}

static void reset(struct fake_server *server)
{
    struct linger linger = { 1, 0 };
    (void)setsockopt(server->connection, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
    (void)close(server->connection);
    server->connection = -1;
    server->input_size = 0;
}

static bool accept_one(struct fake_server *server)
{
    int one = 1;
    if (server->connection >= 0) (void)close(server->connection);
    server->connection = -1;
    server->input_size = 0;
    if (!await(server->listener)) return false;
    server->connection = accept(server->listener, NULL, NULL);
    (void)setsockopt(server->connection, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    return server->connection >= 0;
}

/* The words of the command at the front of the input, with blanks between them; 0: it is not whole
 * yet, else its size. */
static size_t parse(const struct fake_server *server, char *out_words)
{
    const char *at = server->input;
    const char *end = server->input + server->input_size;
    char *rest;
    out_words[0] = '\0';
    if (server->input_size < 4 || *at != '*') return 0;
    unsigned long count = strtoul(at + 1, &rest, 10);
    at = rest + 2;
    for (unsigned long index = 0; index < count; index++) {
        if (at + 4 > end || memchr(at, '\n', (size_t)(end - at)) == NULL) return 0;
        unsigned long size = strtoul(at + 1, &rest, 10);
        at = rest + 2;
        if (at + size + 2 > end) return 0;
        if (index > 0) (void)strcat(out_words, " ");
        (void)strncat(out_words, at, size);
        at += size + 2;
    }
    return (size_t)(at - server->input);
}

static bool read_command(struct fake_server *server, char *out_words)
{
    size_t size;
    while ((size = parse(server, out_words)) == 0) {
        if (server->connection < 0 || !await(server->connection)) return false;
        ssize_t got = recv(
            server->connection,
            server->input + server->input_size,
            sizeof(server->input) - server->input_size - 1,
            0);
        if (got <= 0) return false;
        server->input_size += (size_t)got;
        server->input[server->input_size] = '\0';
    }
    memmove(server->input, server->input + size, server->input_size - size + 1);
    server->input_size -= size;
    return true;
}

static void say(const struct fake_server *server, const char *bytes, bool is_slow)
{
    static const struct timespec pause = { 0, 200000 };
    size_t size = strlen(bytes);
    for (size_t sent = 0; sent < size; sent += is_slow ? 1 : size) {
        (void)send(server->connection, bytes + sent, is_slow ? 1 : size, MSG_NOSIGNAL);
        if (is_slow) (void)nanosleep(&pause, NULL);
    }
}

/* '*' stands for any one word; the last one for all that follow. */
static bool is_like(const char *words, const char *pattern)
{
    while (*pattern != '\0') {
        size_t word = strcspn(words, " ");
        size_t expected = strcspn(pattern, " ");
        bool is_any = expected == 1 && *pattern == '*';
        if (is_any && pattern[1] == '\0') return true;
        if (!is_any && (word != expected || strncmp(words, pattern, word) != 0)) return false;
        words += word + (words[word] == ' ');
        pattern += expected + (pattern[expected] == ' ');
    }
    return *words == '\0';
}

static bool run_line(struct fake_server *server, const char *line)
{
    static char words[65536];
    if (strcmp(line, "accept") == 0) return accept_one(server);
    if (strcmp(line, "x") == 0) {
        reset(server);
        return true;
    }
    if (line[0] == '~') {
        unsigned long duration_ms = strtoul(line + 2, NULL, 10);
        struct timespec pause = { (time_t)(duration_ms / 1000),
                                  (long)(duration_ms % 1000) * 1000000 };
        (void)nanosleep(&pause, NULL);
        return true;
    }
    if (line[0] == '<') {
        bool is_slow = line[1] == '1';
        say(server, line + (is_slow ? 3 : 2), is_slow);
        return true;
    }
    if (server->connection < 0 && !accept_one(server)) return false;
    bool is_greeting = strncmp(line + 1, " HELLO", 6) == 0;
    bool is_there = read_command(server, words);
    for (unsigned attempt = 0; !is_there && is_greeting && attempt < 3; attempt++) {
        is_there = accept_one(server) && read_command(server, words);
    }
    if (!is_there) (void)snprintf(words, sizeof(words), "(nothing)");
    if (is_like(words, line + 2)) {
        if (line[0] == '>' && strncmp(words, "HELLO", 5) == 0) say(server, hello, false);
        return true;
    }
    (void)snprintf(
        server->trouble, sizeof(server->trouble), "expected: %s, came: %.300s", line + 2, words);
    return false;
}

static void *run(void *argument)
{
    struct fake_server *server = argument;
    for (const char *const *line = server->script; *line != NULL; line++) {
        if (run_line(server, *line)) continue;
        if (server->trouble[0] == '\0') {
            (void)snprintf(server->trouble, sizeof(server->trouble), "nobody came for: %s", *line);
        }
        break;
    }
    atomic_store(&server->is_over, true);
    return NULL;
}

void fake_server_outwait(
    const struct fake_server *server,
    uv_loop_t *loop,
    struct store *store,
    struct store_op *op,
    const bool *is_done)
{
    while (!*is_done) {
        bool is_over = atomic_load(&server->is_over);
        (void)uv_run(loop, UV_RUN_NOWAIT);
        if (is_over && !*is_done) tni_store_cancel(store, op);
        (void)usleep(100);
    }
}

void fake_server_start(struct fake_server *server, const char *const *script)
{
    *server = (struct fake_server){ .script = script, .connection = -1 };
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
    socklen_t size = sizeof(address);
    server->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK(server->listener >= 0);
    CHECK(bind(server->listener, (const struct sockaddr *)&address, size) == 0);
    CHECK(listen(server->listener, 16) == 0);
    CHECK(getsockname(server->listener, (struct sockaddr *)&address, &size) == 0);
    server->port = ntohs(address.sin_port);
    (void)snprintf(server->url, sizeof(server->url), "tenure://127.0.0.1:%u", server->port);
    CHECK(pthread_create(&server->thread, NULL, run, server) == 0);
}

void fake_server_finish(struct fake_server *server)
{
    (void)pthread_join(server->thread, NULL);
    if (server->connection >= 0) (void)close(server->connection);
    (void)close(server->listener);
    if (server->trouble[0] != '\0') FAIL("%s", server->trouble);
}
