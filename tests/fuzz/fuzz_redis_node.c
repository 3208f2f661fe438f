/* fuzz_redis_node - bytes of a Redis server, or of a sentinel, on the whole store.
 *
 * The first byte chooses what the rest stands for; all before it goes well.
 *
 *     0  the connection from its first byte       4  the text of an error, to all that was asked
 *     1  what comes once the node votes           5  values, of which arrays are made, one for each
 *     2  the body of INFO                            that was asked
 *     3  a message, on a channel of ours          6  the connection to a sentinel
 *                                                 7  what a sentinel says of the master
 *
 * Meanwhile there are operations of each kind and two watches.  Each operation is done once, and
 * what is told to users is text. */
#include <arpa/inet.h>
#include <assert.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/utf8.h"
#include "store/store.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MODE_COUNT 8u
#define OP_COUNT   8u
#define PASS       "run1 1:nodes=1:ttl-max=60000:0000000000000000"
#define CONFIG     "1:nodes=1:ttl-max=60000:0000000000000000"
#define GOOD_INFO                                                                                  \
    "redis_version:7.0.15\r\nrun_id:run1\r\nrole:master\r\nuptime_in_seconds:1000\r\n"             \
    "second_repl_offset:-1\r\nmaxmemory_policy:noeviction\r\n"

static const char *const names[] = { "n" };
static const struct store_claim claims[] = { { "n", "o", 42 } };

static struct peer {
    int listeners[2]; /* of the node; of the sentinel */
    int listener;     /* of the one that is played */
    int connection;   /* -1: none */
    uint16_t port;
    char path[64];
    char url[128];
    char heard[65536];
    size_t heard_size;
} peer = { .listeners = { -1, -1 }, .connection = -1 };

static struct run {
    uv_loop_t loop;
    struct store *store;
    struct store_op ops[OP_COUNT];
    bool is_done[OP_COUNT];
    struct store_watch watches[2];
} run;

/* ------------------------------------------------------------------ what is told */

static void check_text(const char *text, size_t size_max)
{
    assert(text != NULL && strlen(text) <= size_max);
    assert(utf8_is_valid((struct bytes){ text, strlen(text) }));
}

static void check_view(const struct store_lock_view *view)
{
    check_text(view->name, LIMIT_NAME_SIZE_MAX);
    for (uint32_t index = 0; index < view->holder_count; index++) {
        check_text(view->holders[index].owner, LIMIT_OWNER_SIZE_MAX);
        check_text(view->holders[index].meta, SIZE_MAX);
    }
    for (uint32_t index = 0; index < view->waiters_here; index++) {
        check_text(view->waiters[index].owner, LIMIT_OWNER_SIZE_MAX);
    }
}

static void on_item(struct store_op *op, const struct store_lock_view *view)
{
    (void)op;
    check_view(view);
}

static void on_done(struct store_op *op, const struct store_result *result)
{
    size_t index = (size_t)(op - run.ops);
    assert(!run.is_done[index]);
    run.is_done[index] = true;
    if (op->request.verb == STORE_INSPECT && result->err == TENURE_OK) {
        check_view(result->as.inspect);
    }
    if (op->request.verb != STORE_ACQUIRE) return;
    if (result->err == TENURE_OK) assert(result->as.acquire.grants[0].token <= TOKEN_MAX);
    if (result->err != TENURE_OK && result->as.acquire.obstacle != NULL) {
        check_view(result->as.acquire.obstacle);
    }
}

static bool on_event(struct store_watch *watch, const struct store_event *event)
{
    (void)watch;
    check_text(event->kind, 32);
    check_text(event->name, LIMIT_NAME_SIZE_MAX);
    check_text(event->owner, LIMIT_OWNER_SIZE_MAX);
    check_text(event->meta, LIMIT_META_SIZE_MAX);
    check_text(event->reason, LIMIT_REASON_SIZE_MAX);
    return true;
}

/* ------------------------------------------------------------------ the server */

static void forget(void)
{
    (void)unlink(peer.path);
}

static int listen_on(const struct sockaddr *address, socklen_t size)
{
    int listener = socket(address->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (bind(listener, address, size) != 0 || listen(listener, 16) != 0) abort();
    return listener;
}

static void listen_once(void)
{
    struct sockaddr_un path = { .sun_family = AF_UNIX };
    struct sockaddr_in number = { .sin_family = AF_INET };
    socklen_t size = sizeof(number);
    if (peer.listeners[0] >= 0) return;
    (void)signal(SIGPIPE, SIG_IGN);
    (void)snprintf(peer.path, sizeof(peer.path), "/tmp/fuzz-redis-node-%d", (int)getpid());
    (void)unlink(peer.path);
    (void)memcpy(path.sun_path, peer.path, sizeof(peer.path));
    number.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    peer.listeners[0] = listen_on((const struct sockaddr *)&path, sizeof(path));
    peer.listeners[1] = listen_on((const struct sockaddr *)&number, sizeof(number));
    if (getsockname(peer.listeners[1], (struct sockaddr *)&number, &size) != 0) abort();
    peer.port = ntohs(number.sin_port);
    (void)atexit(forget);
}

static void turn(unsigned count)
{
    while (count-- > 0) {
        (void)uv_run(&run.loop, UV_RUN_NOWAIT);
    }
}

static bool accept_one(void)
{
    for (unsigned attempt = 0; attempt < 50 && peer.connection < 0; attempt++) {
        turn(1);
        peer.connection = accept4(peer.listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    }
    return peer.connection >= 0;
}

static void say(const void *bytes, size_t size)
{
    /* More than fits is lost: so be it. */
    (void)!send(peer.connection, bytes, size, MSG_NOSIGNAL);
}

__attribute__((format(printf, 1, 2))) static void say_text(const char *format, ...)
{
    static char text[4096];
    va_list arguments;
    va_start(arguments, format);
    int size = vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    say(text, (size_t)size);
}

static void say_bulk(const void *bytes, size_t size)
{
    say_text("$%zu\r\n", size);
    say(bytes, size);
    say("\r\n", 2);
}

static void hear(void)
{
    ssize_t got;
    do {
        size_t room = sizeof(peer.heard) - 1 - peer.heard_size;
        if (room == 0) return;
        got = recv(peer.connection, peer.heard + peer.heard_size, room, 0);
        if (got > 0) peer.heard_size += (size_t)got;
    } while (got > 0);
    peer.heard[peer.heard_size] = '\0';
}

static void greet(const void *info, size_t info_size)
{
    turn(2);
    say_text("%%1\r\n+proto\r\n:3\r\n+OK\r\n");
    say_bulk(info, info_size);
    say_text("%%1\r\n$11\r\nappendfsync\r\n$6\r\nalways\r\n*2\r\n$1\r\n5\r\n$1\r\n7\r\n");
    for (unsigned script = 0; script < 6; script++) {
        say_text("$1\r\nx\r\n");
    }
    for (unsigned channel = 1; channel <= 4; channel++) {
        say_text(">3\r\n+subscribe\r\n+x\r\n:%u\r\n", channel);
    }
    say_text(">3\r\n+unsubscribe\r\n+x\r\n:3\r\n");
    say_text("*2\r\n+tenure:events\r\n:1\r\n");
}

/* Until the node votes; then the operations have asked. */
static void go_up(void)
{
    greet(GOOD_INFO, sizeof(GOOD_INFO) - 1);
    turn(3);
    say_text(">3\r\n+subscribe\r\n+x\r\n:4\r\n+PONG\r\n:0\r\n"); /* for the watch */
    say_text("*8\r\n:9\r\n:0\r\n:0\r\n:0\r\n:0\r\n");
    say_bulk(PASS, sizeof(PASS) - 1);
    say_bulk(CONFIG, sizeof(CONFIG) - 1);
    say_bulk("run1", 4);
    turn(3);
    hear();
}

/* ------------------------------------------------------------------ the modes */

static void say_message(const uint8_t *data, size_t size)
{
    static const char *const channels[] = { "tenure:events", "tenure:breaks", "tenure:watched" };
    char own[40] = "tenure:wake:";
    if (size == 0) return;
    hear();
    const char *found = strstr(peer.heard, own);
    if (found != NULL) (void)snprintf(own, sizeof(own), "%.28s", found);
    const char *channel = data[0] % 4 == 3 ? own : channels[data[0] % 4];
    say_text(">3\r\n$7\r\nmessage\r\n");
    say_bulk(channel, strlen(channel));
    say_bulk(data + 1, size - 1);
}

/* A count, then values: a byte below 128 is the size of a text that follows, one above stands for a
 * small number, 255 for eight bytes of a large one. */
static size_t say_values(const uint8_t *data, size_t size)
{
    size_t at = 1;
    unsigned count = data[0] % 80;
    say_text("*%u\r\n", count);
    for (unsigned index = 0; index < count; index++) {
        uint8_t kind = at < size ? data[at++] : 128;
        if (kind == 255 && size - at >= 8) {
            int64_t number;
            memcpy(&number, data + at, 8);
            at += 8;
            say_text(":%lld\r\n", (long long)number);
        } else if (kind >= 128) {
            say_text(":%d\r\n", kind - 130);
        } else {
            size_t text_size = kind < size - at ? kind : size - at;
            say_bulk(data + at, text_size);
            at += text_size;
        }
    }
    return at;
}

static void say_all_values(const uint8_t *data, size_t size)
{
    for (unsigned answer = 0; answer < 32 && size > 0; answer++) {
        size_t used = say_values(data, size);
        data += used;
        size -= used;
        if (answer % 4 == 3) turn(2);
    }
}

static void say_errors(const uint8_t *data, size_t size)
{
    for (unsigned answer = 0; answer < 16; answer++) {
        say("-", 1);
        say(data, size);
        say("\r\n", 2);
        if (answer % 4 == 3) turn(2);
    }
}

static void say_master(const uint8_t *data, size_t size)
{
    const uint8_t *end = size == 0 ? NULL : memchr(data, 0, size);
    size_t host_size = end == NULL ? size : (size_t)(end - data);
    say_text("%%1\r\n+proto\r\n:3\r\n>3\r\n+subscribe\r\n+x\r\n:1\r\n*2\r\n");
    say_bulk(data, host_size);
    say_bulk(end == NULL ? data : end + 1, end == NULL ? 0 : size - host_size - 1);
    say_text(">3\r\n+message\r\n+switch\r\n");
    say_bulk(data, size);
}

static void play(unsigned mode, const uint8_t *data, size_t size)
{
    bool is_up = mode == 1 || mode == 3 || mode == 4 || mode == 5;
    if (!accept_one()) return;
    if (is_up) go_up();
    switch (mode) {
    case 2: greet(data, size); break;
    case 3: say_message(data, size); break;
    case 4: say_errors(data, size); break;
    case 5: say_all_values(data, size); break;
    case 7: say_master(data, size); break;
    default: say(data, size); break;
    }
    /* Whoever is named as the master must not be connected to. */
    turn(mode >= 6 ? 1 : 4);
}

/* ------------------------------------------------------------------ the client */

static struct store_op *begin(enum store_verb verb, unsigned index)
{
    struct store_op *op = &run.ops[index];
    *op = (struct store_op){ .done = on_done, .item = on_item };
    op->request.verb = verb;
    op->request.deadline = (struct mono){ tni_store_now().ns + NS_PER_S };
    return op;
}

static void start_all(void)
{
    struct store_acquire acquire = { .names = names,
                                     .name_count = 1,
                                     .owner = "o",
                                     .ttl_ms = 5000,
                                     .answer_ns = NS_PER_S,
                                     .slots = 1 };
    begin(STORE_ACQUIRE, 0)->request.as.acquire = acquire;
    acquire.owner = "p";
    acquire.wait_until = (struct mono){ INT64_MAX };
    begin(STORE_ACQUIRE, 1)->request.as.acquire = acquire;
    begin(STORE_INSPECT, 2)->request.as.inspect.name = "n";
    (void)begin(STORE_LIST, 3);
    begin(STORE_RELEASE, 4)->request.as.release = claims[0];
    struct store_op *renewal = begin(STORE_RENEW, 5);
    renewal->request.as.renew.claims = claims;
    renewal->request.as.renew.count = 1;
    begin(STORE_PROCLAIM, 6)->request.as.proclaim.claim = claims[0];
    struct store_op *breaking = begin(STORE_BREAK, 7);
    breaking->request.as.break_hold.name = "n";
    breaking->request.as.break_hold.token = 42;
    breaking->request.as.break_hold.reason = "";
    for (unsigned index = 0; index < OP_COUNT; index++) {
        run.is_done[index] = false;
        tni_store_start(run.store, &run.ops[index]);
    }
    run.watches[0] = (struct store_watch){ .event = on_event };
    run.watches[1] = (struct store_watch){ .event = on_event, .kinds = "broken,breaking" };
    for (unsigned index = 0; index < 2; index++) {
        if (tni_store_watch(run.store, &run.watches[index]) != TENURE_OK) abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct tenure_error error;
    if (size == 0 || size > 16384) return 0;
    unsigned mode = data[0] % MODE_COUNT;
    listen_once();
    peer.listener = peer.listeners[mode >= 6];
    if (mode >= 6) {
        (void)snprintf(peer.url, sizeof(peer.url), "redis+sentinel://127.0.0.1:%u/m", peer.port);
    } else {
        (void)snprintf(peer.url, sizeof(peer.url), "redis+unix://%s?new=yes", peer.path);
    }
    const struct store_options options = {
        .loop = &run.loop, .memory = &memory_heap, .url = peer.url, .seed = 7
    };
    if (uv_loop_init(&run.loop) != 0) abort();
    if (tni_store_open(&options, &run.store, &error) != TENURE_OK) abort();
    peer.heard_size = 0;
    start_all();
    play(mode, data + 1, size - 1);
    tni_store_close(run.store);
    for (unsigned index = 0; index < OP_COUNT; index++) {
        assert(run.is_done[index]);
    }
    if (peer.connection >= 0) (void)close(peer.connection);
    peer.connection = -1;
    (void)uv_run(&run.loop, UV_RUN_DEFAULT);
    if (uv_loop_close(&run.loop) != 0) abort();
    int left;
    while ((left = accept4(peer.listener, NULL, NULL, SOCK_CLOEXEC)) >= 0) {
        (void)close(left);
    }
    return 0;
}
