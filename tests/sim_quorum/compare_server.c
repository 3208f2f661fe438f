#include "sim_quorum/compare_server.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define BUFFER_SIZE   ((size_t)1 << 18)
#define START_TRIES   500
#define ANSWER_MS_MAX 20000

struct connection {
    int descriptor;
    size_t size; /* read */
    size_t used; /* and understood */
    bool is_pinged;
    char data[BUFFER_SIZE];
};

struct server {
    pid_t process;
    char folder[32];
    struct connection asking;
    struct connection hearing;
    size_t request_size;
    uint32_t request_count;
    char request[BUFFER_SIZE];
};

__attribute__((noreturn)) static void give_up(const char *what)
{
    fprintf(stderr, "redis-server: %s (%s)\n", what, strerror(errno));
    exit(71);
}

static void path_of(const struct server *server, char out_path[static 48])
{
    (void)snprintf(out_path, 48, "%s/socket", server->folder);
}

/* ------------------------------------------------------------------ connections */

static void write_all(int descriptor, const char *data, size_t size)
{
    while (size > 0) {
        ssize_t written = write(descriptor, data, size);
        if (written <= 0) give_up("cannot write");
        data += written;
        size -= (size_t)written;
    }
}

/* One whole reply is there behind `used`; returns its size. */
static size_t read_reply(struct connection *connection)
{
    struct resp_skip skip = { 0 };
    for (;;) {
        const char *text = NULL;
        size_t size = 0;
        struct bytes input = { connection->data + connection->used,
                               connection->size - connection->used };
        enum proto_parse state = resp_skip_reply(&skip, input, &size, &text);
        if (state == PARSE_DONE) return size;
        if (state == PARSE_BAD) give_up(text);
        struct pollfd ready = { .fd = connection->descriptor, .events = POLLIN };
        if (poll(&ready, 1, ANSWER_MS_MAX) <= 0) give_up("no answer");
        if (connection->size == BUFFER_SIZE) give_up("an answer that is too long");
        ssize_t count = read(
            connection->descriptor,
            connection->data + connection->size,
            BUFFER_SIZE - connection->size);
        if (count <= 0) give_up("closed");
        connection->size += (size_t)count;
    }
}

static struct resp_token read_token(struct connection *connection)
{
    struct resp_token token;
    const char *text = NULL;
    struct bytes input = { connection->data, connection->size };
    if (resp_read_token(input, &connection->used, &token, &text) != PARSE_DONE) {
        give_up("an answer that cannot be read");
    }
    return token;
}

static bool open_connection(const struct server *server, struct connection *connection)
{
    char path[48];
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    path_of(server, path);
    memcpy(address.sun_path, path, strlen(path));
    connection->descriptor = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connection->descriptor < 0) give_up("no socket");
    for (int try = 0; try < START_TRIES; try++) {
        const struct sockaddr *generic = (const void *)&address;
        if (connect(connection->descriptor, generic, sizeof address) == 0) return true;
        if (waitpid(server->process, NULL, WNOHANG) != 0) return false;
        (void)usleep(10000);
    }
    return false;
}

/* ------------------------------------------------------------------ the process */

static void run_server(const struct server *server)
{
    char path[48];
    path_of(server, path);
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (freopen("/dev/null", "w", stdout) == NULL) _exit(71);
    execlp(
        "redis-server",
        "redis-server",
        "--port",
        "0",
        "--unixsocket",
        path,
        "--dir",
        server->folder,
        "--save",
        "",
        "--appendonly",
        "no",
        (char *)NULL);
    _exit(127);
}

struct server *server_start(void)
{
    struct server *server = calloc(1, sizeof *server);
    if (server == NULL) abort();
    memcpy(server->folder, "/tmp/compare-XXXXXX", sizeof "/tmp/compare-XXXXXX");
    if (mkdtemp(server->folder) == NULL) give_up("no folder");
    server->process = fork();
    if (server->process < 0) give_up("no process");
    if (server->process == 0) run_server(server);
    if (!open_connection(server, &server->asking)) {
        server->process = 0;
        server_stop(&server);
        return NULL;
    }
    if (!open_connection(server, &server->hearing)) give_up("no second connection");
    static const char subscribe[] = "PSUBSCRIBE *\r\n";
    write_all(server->hearing.descriptor, subscribe, sizeof subscribe - 1);
    server->hearing.used += read_reply(&server->hearing);
    return server;
}

void server_stop(struct server **server)
{
    if (*server == NULL) return;
    if ((*server)->process > 0) {
        (void)kill((*server)->process, SIGKILL);
        (void)waitpid((*server)->process, NULL, 0);
        (void)close((*server)->hearing.descriptor);
    }
    (void)close((*server)->asking.descriptor);
    char path[48];
    path_of(*server, path);
    (void)unlink(path);
    (void)rmdir((*server)->folder);
    free(*server);
    *server = NULL;
}

/* ------------------------------------------------------------------ asking */

static void append(struct server *server, const void *data, size_t size)
{
    if (server->request_size + size > BUFFER_SIZE) give_up("a request that is too long");
    memcpy(server->request + server->request_size, data, size);
    server->request_size += size;
}

void server_ask(struct server *server, const struct bytes *arguments, uint32_t count)
{
    char head[32];
    append(server, head, (size_t)snprintf(head, sizeof head, "*%u\r\n", count));
    for (uint32_t index = 0; index < count; index++) {
        struct bytes argument = arguments[index];
        append(server, head, (size_t)snprintf(head, sizeof head, "$%zu\r\n", argument.size));
        append(server, argument.data, argument.size);
        append(server, "\r\n", 2);
    }
    server->request_count++;
}

void server_exchange(struct server *server)
{
    struct connection *connection = &server->asking;
    connection->used = 0;
    connection->size = 0;
    write_all(connection->descriptor, server->request, server->request_size);
    for (uint32_t index = 0; index < server->request_count; index++) {
        connection->used += read_reply(connection);
    }
    connection->used = 0;
    server->request_size = 0;
    server->request_count = 0;
}

struct resp_token server_token(struct server *server)
{
    return read_token(&server->asking);
}

/* ------------------------------------------------------------------ hearing */

/* A ping comes back behind all that was published before it was sent. */
bool server_hear(struct server *server, struct bytes *out_channel, struct bytes *out_message)
{
    struct connection *connection = &server->hearing;
    if (!connection->is_pinged) write_all(connection->descriptor, "PING\r\n", 6);
    connection->is_pinged = true;
    if (connection->used == connection->size) {
        connection->used = 0;
        connection->size = 0;
    }
    (void)read_reply(connection);
    uint32_t count = read_token(connection).count;
    struct bytes texts[4] = { { "", 0 } };
    for (uint32_t index = 0; index < count && index < 4; index++) {
        texts[index] = read_token(connection).text;
    }
    *out_channel = texts[2];
    *out_message = texts[3];
    connection->is_pinged = bytes_equal(texts[0], BYTES_LITERAL("pmessage"));
    return connection->is_pinged;
}
