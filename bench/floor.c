/* bench-floor - the yardstick: what a durable lock server costs before it decides anything.
 *
 * It has the shape of tenured's turn and nothing else: the same loop (libuv), LOCK.ACQUIRE and
 * LOCK.RELEASE (and of queues, in floor_queue.c, put, take and done) parsed from RESP, a name
 * looked up in a hash table and put in or taken out, a record of a hundred bytes with its CRC-32C
 * appended, a group of records made durable by fdatasync in a thread of its own while the next
 * group gathers, and answers held back until their group is durable.  There is no ttl, no queue, no
 * limit, no error path beyond closing the connection; the token is a counter.  What tenured needs
 * beyond this is the price of being a lock server.
 *
 * One turn: the loop polls and reads; `on_readable` parses and applies; `on_turn_end` hands the
 * records to the log when it is idle; `on_durable` lets the answers of the finished group go. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <sysexits.h>
#include <uv.h>

#include "base/crc32c.h"
#include "base/decimal.h"
#include "floor_log.h"
#include "floor_queue.h"
#include "link.h"

#define BACKLOG       1024
#define READ_SIZE     65536u
#define RECORD_SIZE   100u
#define BUCKET_COUNT  65536u
#define TEXT_SIZE_MAX 64u

struct hold {
    struct hold *next;
    uint64_t token;
    uint8_t name_size;
    uint8_t owner_size;
    char name[TEXT_SIZE_MAX];
    char owner[TEXT_SIZE_MAX];
};

struct connection {
    union {
        uv_stream_t stream;
        uv_tcp_t tcp;
        uv_pipe_t pipe;
    } handle;
    struct buffer in;
    struct buffer gathering;           /* answers whose records are not with the log yet */
    struct buffer syncing;             /* answers of the group under way */
    struct connection *next_gathering; /* in the list of those with answers gathering */
    struct connection *next_syncing;
    bool is_gathering;
    bool is_syncing;
    bool is_closed;
};

struct server {
    uv_loop_t *loop;
    uv_async_t on_durable;
    uv_check_t on_turn_end;
    struct floor_log log;
    struct buffer records;
    struct connection *gathering;
    struct connection *syncing;
    struct hold *buckets[BUCKET_COUNT];
    struct hold *spare;
    uint64_t token;
    char input[READ_SIZE];
};

static struct server server;

/* The table. */

static struct hold **find(struct bytes name)
{
    uint64_t hash = UINT64_C(14695981039346656037);
    for (size_t i = 0; i < name.size; i++) {
        hash = (hash ^ (unsigned char)name.data[i]) * UINT64_C(1099511628211);
    }
    struct hold **place = &server.buckets[(hash >> 16) % BUCKET_COUNT];
    while (*place != NULL &&
           !bytes_equal(name, (struct bytes){ (*place)->name, (*place)->name_size })) {
        place = &(*place)->next;
    }
    return place;
}

static struct hold *take_hold(void)
{
    struct hold *hold = server.spare;
    if (hold != NULL) {
        server.spare = hold->next;
        return hold;
    }
    hold = malloc(sizeof(*hold));
    ASSERT(hold != NULL);
    return hold;
}

/* The record: length, sum, kind, token, name, owner, padded to a fixed size. */
static void append_record(char kind, const struct hold *hold)
{
    char record[RECORD_SIZE] = { RECORD_SIZE, 0, 0, 0, 0, 0, 0, 0, kind };
    memcpy(record + 9, &hold->token, sizeof(hold->token));
    memcpy(record + 17, hold->name, hold->name_size < 32 ? hold->name_size : 32);
    memcpy(record + 49, hold->owner, hold->owner_size < 48 ? hold->owner_size : 48);
    uint32_t sum = crc32c(0, record + 8, sizeof(record) - 8);
    memcpy(record + 4, &sum, sizeof(sum));
    buffer_append(&server.records, record, sizeof(record));
}

/* The commands. */

static void put_number(struct buffer *out, uint64_t number)
{
    char digits[DECIMAL_SIZE_MAX];
    buffer_append(out, digits, decimal_format(number, digits));
}

static void put_text(struct buffer *out, struct bytes text)
{
    buffer_append_byte(out, '$');
    put_number(out, text.size);
    buffer_append(out, "\r\n", 2);
    buffer_append_bytes(out, text);
    buffer_append(out, "\r\n", 2);
}

static void acquire(struct bytes name, struct bytes owner, struct bytes ttl, struct buffer *out)
{
    struct hold **place = find(name);
    if (*place != NULL) {
        buffer_append_bytes(out, BYTES_LITERAL("-HELD somebody else holds the lock\r\n"));
        return;
    }
    struct hold *hold = take_hold();
    hold->next = NULL;
    hold->token = ++server.token;
    hold->name_size = (uint8_t)name.size;
    hold->owner_size = (uint8_t)owner.size;
    memcpy(hold->name, name.data, name.size);
    memcpy(hold->owner, owner.data, owner.size);
    *place = hold;
    append_record('A', hold);
    buffer_append_bytes(out, BYTES_LITERAL("*12\r\n$5\r\ntoken\r\n:"));
    put_number(out, hold->token);
    buffer_append_bytes(out, BYTES_LITERAL("\r\n$4\r\nslot\r\n:0\r\n$6\r\nttl_ms\r\n:"));
    buffer_append_bytes(out, ttl);
    buffer_append_bytes(out, BYTES_LITERAL("\r\n$12\r\nremaining_ms\r\n:"));
    buffer_append_bytes(out, ttl);
    buffer_append_bytes(out, BYTES_LITERAL("\r\n$5\r\nowner\r\n"));
    put_text(out, owner);
    buffer_append_bytes(out, BYTES_LITERAL("$4\r\nmode\r\n$9\r\nexclusive\r\n"));
}

static void release(struct bytes name, struct bytes owner, struct bytes token, struct buffer *out)
{
    struct hold **place = find(name);
    struct hold *hold = *place;
    uint64_t wanted = 0;
    if (hold == NULL || !decimal_parse(token, &wanted) || hold->token != wanted ||
        !bytes_equal(owner, (struct bytes){ hold->owner, hold->owner_size }))
    {
        buffer_append_bytes(out, BYTES_LITERAL("-NOTOWNER this owner does not hold the lock\r\n"));
        return;
    }
    append_record('R', hold);
    *place = hold->next;
    hold->next = server.spare;
    server.spare = hold;
    buffer_append_bytes(out, BYTES_LITERAL("*1\r\n$8\r\nreleased\r\n"));
}

/* Carry out one command, an array of texts; false when it is none of ours. */
static bool apply(const struct resp_reply *command, struct buffer *out)
{
    const struct resp_token *arguments = &command->tokens[1];
    if (command->tokens[0].type != '*' || command->token_count < 4) return false;
    if (bytes_start_with(arguments[0].text, BYTES_LITERAL("QUEUE."))) {
        return floor_queue_apply(command, &server.records, out);
    }
    if (command->token_count != 5 || arguments[1].text.size > TEXT_SIZE_MAX ||
        arguments[2].text.size > TEXT_SIZE_MAX)
    {
        return false;
    }
    if (bytes_equal(arguments[0].text, BYTES_LITERAL("LOCK.ACQUIRE"))) {
        acquire(arguments[1].text, arguments[2].text, arguments[3].text, out);
    } else if (bytes_equal(arguments[0].text, BYTES_LITERAL("LOCK.RELEASE"))) {
        release(arguments[1].text, arguments[2].text, arguments[3].text, out);
    } else {
        return false;
    }
    return true;
}

/* The turn. */

static void free_if_done(struct connection *connection)
{
    if (!connection->is_closed || connection->is_gathering || connection->is_syncing) return;
    buffer_deinit(&connection->in);
    buffer_deinit(&connection->gathering);
    buffer_deinit(&connection->syncing);
    free(connection);
}

static void on_closed(uv_handle_t *handle)
{
    struct connection *connection = handle->data;
    connection->is_closed = true;
    free_if_done(connection);
}

static void close_connection(struct connection *connection)
{
    uv_handle_t *handle = (uv_handle_t *)&connection->handle.stream;
    if (!uv_is_closing(handle)) uv_close(handle, on_closed);
}

static void on_written(uv_write_t *request, int status)
{
    (void)status;
    free(request);
}

/* What the socket does not take at once: a request and its bytes in one block. */
static void write_later(struct connection *connection, struct bytes rest)
{
    uv_write_t *request = malloc(sizeof(*request) + rest.size);
    ASSERT(request != NULL);
    char *copy = (char *)(request + 1);
    memcpy(copy, rest.data, rest.size);
    uv_buf_t buffer = uv_buf_init(copy, (unsigned)rest.size);
    if (uv_write(request, &connection->handle.stream, &buffer, 1, on_written) != 0) {
        free(request);
        close_connection(connection);
    }
}

static void send_answers(struct connection *connection)
{
    struct buffer *answers = &connection->syncing;
    if (uv_is_closing((uv_handle_t *)&connection->handle.stream)) return;
    uv_buf_t buffer = uv_buf_init(answers->data, (unsigned)answers->size);
    int sent = uv_try_write(&connection->handle.stream, &buffer, 1);
    if (sent < 0 && sent != UV_EAGAIN) {
        close_connection(connection);
        return;
    }
    size_t done = sent > 0 ? (size_t)sent : 0;
    if (done < answers->size) {
        write_later(connection, (struct bytes){ answers->data + done, answers->size - done });
    }
}

static void on_durable(uv_async_t *async)
{
    (void)async;
    struct connection *next = NULL;
    for (struct connection *connection = server.syncing; connection != NULL; connection = next) {
        next = connection->next_syncing;
        connection->is_syncing = false;
        send_answers(connection);
        buffer_reset(&connection->syncing);
        free_if_done(connection);
    }
    server.syncing = NULL;
}

static void on_turn_end(uv_check_t *check)
{
    (void)check;
    if (server.gathering == NULL || server.syncing != NULL) return;
    for (struct connection *connection = server.gathering; connection != NULL;
         connection = connection->next_gathering)
    {
        buffer_swap(&connection->gathering, &connection->syncing);
        connection->is_gathering = false;
        connection->is_syncing = true;
        connection->next_syncing = connection->next_gathering;
    }
    server.syncing = server.gathering;
    server.gathering = NULL;
    floor_log_commit(&server.log, &server.records);
}

static void give_input(uv_handle_t *handle, size_t suggested, uv_buf_t *out_buffer)
{
    (void)handle;
    (void)suggested;
    *out_buffer = uv_buf_init(server.input, sizeof(server.input));
}

/* Apply every whole command at the front of `input`; returns how many bytes that was, or -1. */
static ssize_t apply_all(struct connection *connection, struct bytes input)
{
    static struct resp_reply command;
    size_t used = 0;
    while (used < input.size) {
        struct bytes rest = { input.data + used, input.size - used };
        enum reply_state state = resp_reply_read(rest, &command);
        if (state == REPLY_MORE) break;
        if (state == REPLY_BAD || !apply(&command, &connection->gathering)) return -1;
        used += command.size;
    }
    return (ssize_t)used;
}

static void on_readable(uv_stream_t *stream, ssize_t got, const uv_buf_t *buffer)
{
    struct connection *connection = stream->data;
    if (got < 0) close_connection(connection);
    if (got <= 0) return;
    struct bytes input = { buffer->base, (size_t)got };
    bool is_direct = connection->in.size == 0;
    if (!is_direct) {
        buffer_append_bytes(&connection->in, input);
        input = buffer_bytes(&connection->in);
    }
    ssize_t used = apply_all(connection, input);
    if (used < 0) {
        close_connection(connection);
    } else if (is_direct) {
        buffer_append(&connection->in, input.data + used, input.size - (size_t)used);
    } else {
        buffer_consume(&connection->in, (size_t)used);
    }
    if (connection->gathering.size > 0 && !connection->is_gathering) {
        connection->is_gathering = true;
        connection->next_gathering = server.gathering;
        server.gathering = connection;
    }
}

static void on_connection(uv_stream_t *listener, int status)
{
    if (status != 0) return;
    struct connection *connection = calloc(1, sizeof(*connection));
    ASSERT(connection != NULL);
    buffer_init(&connection->in, &memory_heap);
    buffer_init(&connection->gathering, &memory_heap);
    buffer_init(&connection->syncing, &memory_heap);
    int made = listener->type == UV_TCP ? uv_tcp_init(server.loop, &connection->handle.tcp)
                                        : uv_pipe_init(server.loop, &connection->handle.pipe, 0);
    ASSERT(made == 0);
    connection->handle.stream.data = connection;
    if (uv_accept(listener, &connection->handle.stream) != 0 ||
        uv_read_start(&connection->handle.stream, give_input, on_readable) != 0)
    {
        close_connection(connection);
        return;
    }
    if (listener->type == UV_TCP) (void)uv_tcp_nodelay(&connection->handle.tcp, 1);
}

/* The start. */

__attribute__((noreturn)) static void fail(const char *what, int error)
{
    (void)fprintf(stderr, "bench-floor: %s: %s\n", what, uv_strerror(error));
    exit(EX_UNAVAILABLE); // NOLINT(concurrency-mt-unsafe): nothing else runs yet
}

static void listen_tcp(const char *text)
{
    static uv_tcp_t listener;
    struct link_address address;
    if (!link_address_from_tcp(text, &address)) fail("--tcp is malformed", UV_EINVAL);
    int error = uv_tcp_init(server.loop, &listener);
    if (error == 0) error = uv_tcp_bind(&listener, (const struct sockaddr *)&address.storage, 0);
    if (error == 0) error = uv_listen((uv_stream_t *)&listener, BACKLOG, on_connection);
    if (error != 0) fail(text, error);
}

static void listen_unix(const char *path)
{
    static uv_pipe_t listener;
    int error = uv_pipe_init(server.loop, &listener, 0);
    if (error == 0) error = uv_pipe_bind(&listener, path);
    if (error == 0) error = uv_listen((uv_stream_t *)&listener, BACKLOG, on_connection);
    if (error != 0) fail(path, error);
}

int main(int argc, char **argv)
{
    static const struct option known[] = {
        { "tcp", required_argument, NULL, 't' },
        { "unix", required_argument, NULL, 'u' },
        { "file", required_argument, NULL, 'f' },
        { "file-mib", required_argument, NULL, 'm' },
        { NULL, 0, NULL, 0 },
    };
    const char *file = NULL;
    uint64_t file_mib = 256;
    server.loop = uv_default_loop();
    buffer_init(&server.records, &memory_heap);
    int option;
    // NOLINTNEXTLINE(concurrency-mt-unsafe): one thread
    while ((option = getopt_long(argc, argv, "", known, NULL)) != -1) {
        if (option == 't') listen_tcp(optarg);
        if (option == 'u') listen_unix(optarg);
        if (option == 'f') file = optarg;
        if (option == 'm') file_mib = strtoull(optarg, NULL, 10);
        if (option == '?') return EX_USAGE;
    }
    if (file == NULL || file_mib == 0) {
        (void)fprintf(
            stderr,
            "usage: bench-floor --file PATH [--file-mib N] [--tcp HOST:PORT] [--unix PATH]\n");
        return EX_USAGE;
    }
    int error = uv_async_init(server.loop, &server.on_durable, on_durable);
    if (error == 0) error = uv_check_init(server.loop, &server.on_turn_end);
    if (error == 0) error = uv_check_start(&server.on_turn_end, on_turn_end);
    if (error == 0) error = floor_log_open(&server.log, file, file_mib << 20, &server.on_durable);
    if (error != 0) fail(file, error);
    printf("bench-floor: ready\n");
    (void)fflush(stdout);
    return uv_run(server.loop, UV_RUN_DEFAULT);
}
