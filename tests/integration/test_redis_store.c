/* The store on Redis against real redis-servers: what goes wrong where they, or the memory, fail.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/list.h"
#include "lib/fault_memory.h"
#include "lib/random.h"
#include "lib/test.h"
#include "store/store.h"

/* ------------------------------------------------------------------ servers */

struct server {
    pid_t pid;
    uint16_t port;
};

static uint16_t find_port(void)
{
    struct sockaddr_in address = { .sin_family = AF_INET };
    socklen_t size = sizeof(address);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK(listener >= 0);
    CHECK_EQ_INT(bind(listener, (struct sockaddr *)&address, sizeof(address)), 0);
    CHECK_EQ_INT(getsockname(listener, (struct sockaddr *)&address, &size), 0);
    (void)close(listener);
    return ntohs(address.sin_port);
}

static int dial(uint16_t port)
{
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(port) };
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int connection = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK(connection >= 0);
    if (connect(connection, (struct sockaddr *)&address, sizeof(address)) == 0) return connection;
    (void)close(connection);
    return -1;
}

static void run_redis(const struct server *server)
{
    char port[8];
    (void)snprintf(port, sizeof(port), "%u", server->port);
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    CHECK(freopen("/dev/null", "w", stdout) != NULL);
    (void)execlp(
        "redis-server",
        "redis-server",
        "--bind",
        "127.0.0.1",
        "--save",
        "",
        "--port",
        port,
        (char *)NULL);
    FAIL("no redis-server");
}

static void start_redis(struct server *server)
{
    *server = (struct server){ .port = find_port() };
    server->pid = fork();
    CHECK(server->pid >= 0);
    if (server->pid == 0) run_redis(server);
    for (;;) {
        int connection = dial(server->port);
        if (connection >= 0) {
            (void)close(connection);
            return;
        }
        CHECK_EQ_INT(waitpid(server->pid, NULL, WNOHANG), 0);
        (void)poll(NULL, 0, 10);
    }
}

static void stop_redis(struct server *server)
{
    CHECK_EQ_INT(kill(server->pid, SIGKILL), 0);
    CHECK_EQ_INT(waitpid(server->pid, NULL, 0), server->pid);
}

/* One command, in words; what is answered stays unread but for its first byte. */
static void tell(const struct server *server, const char *command)
{
    char answer;
    int connection = dial(server->port);
    CHECK(connection >= 0);
    CHECK_EQ_INT(send(connection, command, strlen(command), 0), (ssize_t)strlen(command));
    CHECK_EQ_INT(send(connection, "\r\n", 2, 0), 2);
    CHECK_EQ_INT(recv(connection, &answer, 1, 0), 1);
    if (answer == '-') FAIL("refused: %s", command);
    (void)close(connection);
}

/* ------------------------------------------------------------------ operations */

#define CALL_COUNT_MAX 32u

struct run;

struct call {
    struct store_op op;
    struct run *run;
    bool is_done;
    bool is_used;
    unsigned item_count;
    enum tenure_err err;
    uint64_t token;
    char text[256];
    void (*then)(struct call *call);
    struct store_claim claim;
    const char *name;
};

struct run {
    uv_loop_t loop;
    struct store *store;
    struct call calls[CALL_COUNT_MAX];
    struct store_watch watches[2];
    unsigned event_count;
    unsigned begun_count;
};

static struct mono in_ms(int64_t duration_ms)
{
    return (struct mono){ tni_store_now().ns + duration_ms * NS_PER_MS };
}

static void on_done(struct store_op *op, const struct store_result *result)
{
    struct call *call = CONTAINER_OF(op, struct call, op);
    CHECK(!call->is_done);
    call->is_done = true;
    call->err = result->err;
    (void)snprintf(call->text, sizeof(call->text), "%s", result->text == NULL ? "" : result->text);
    if (op->request.verb == STORE_ACQUIRE && result->err == TENURE_OK) {
        CHECK_EQ_UINT(result->as.acquire.grant_count, 1);
        call->token = result->as.acquire.grants[0].token;
    }
    if (op->request.verb == STORE_RENEW && result->err == TENURE_OK) {
        call->err = result->as.renew.renewals[0].err;
    }
    if (op->request.verb == STORE_INSPECT && result->err == TENURE_OK) {
        const struct store_lock_view *view = result->as.inspect;
        call->token = view->holder_count == 0 ? 0 : view->holders[0].token;
    }
    if (call->then != NULL) call->then(call);
}

static void on_item(struct store_op *op, const struct store_lock_view *view)
{
    struct call *call = CONTAINER_OF(op, struct call, op);
    CHECK(view->name[0] != '\0');
    call->item_count++;
}

static bool open_run(struct run *run, const char *url, const struct memory *memory)
{
    struct store_options options = { .loop = &run->loop, .memory = memory, .url = url, .seed = 7 };
    struct tenure_error error = { 0 };
    memset(run, 0, sizeof(*run));
    CHECK_EQ_INT(uv_loop_init(&run->loop), 0);
    return tni_store_open(&options, &run->store, &error) == TENURE_OK;
}

static bool open_on(struct run *run, const struct server *server, const struct memory *memory)
{
    char url[128];
    (void)snprintf(url, sizeof(url), "redis://127.0.0.1:%u?new=yes", server->port);
    return open_run(run, url, memory);
}

static void close_run(struct run *run)
{
    if (run->store != NULL) tni_store_close(run->store);
    run->store = NULL;
    for (unsigned index = 0; index < CALL_COUNT_MAX; index++) {
        CHECK(!run->calls[index].is_used || run->calls[index].is_done);
    }
    (void)uv_run(&run->loop, UV_RUN_DEFAULT);
    CHECK_EQ_INT(uv_loop_close(&run->loop), 0);
}

static struct call *begin(struct run *run, enum store_verb verb, int64_t timeout_ms)
{
    struct call *call = run->calls;
    while (call->is_used && !call->is_done) {
        call++;
        CHECK(call < run->calls + CALL_COUNT_MAX);
    }
    *call = (struct call){ .run = run, .is_used = true };
    call->op = (struct store_op){ .request = { .verb = verb, .deadline = in_ms(timeout_ms) },
                                  .done = on_done,
                                  .item = on_item };
    return call;
}

static struct call *begin_acquire(
    struct run *run, const char *name, const char *owner, int64_t wait_ms, int64_t timeout_ms)
{
    struct call *call = begin(run, STORE_ACQUIRE, timeout_ms);
    call->name = name;
    call->op.request.as.acquire = (struct store_acquire){ .names = &call->name,
                                                          .name_count = 1,
                                                          .owner = owner,
                                                          .meta = "why",
                                                          .ttl_ms = 5000,
                                                          .wait_until = in_ms(wait_ms),
                                                          .answer_ns = timeout_ms * NS_PER_MS,
                                                          .slots = 1 };
    tni_store_start(run->store, &call->op);
    return call;
}

static struct call *begin_claim(
    struct run *run,
    enum store_verb verb,
    const char *name,
    const char *owner,
    uint64_t token,
    int64_t timeout_ms)
{
    struct call *call = begin(run, verb, timeout_ms);
    call->claim = (struct store_claim){ name, owner, token };
    if (verb == STORE_RENEW) {
        call->op.request.as.renew.claims = &call->claim;
        call->op.request.as.renew.count = 1;
        call->op.request.as.renew.ttl_ms = 5000;
    } else if (verb == STORE_RELEASE) {
        call->op.request.as.release = call->claim;
    } else if (verb == STORE_PROCLAIM) {
        call->op.request.as.proclaim.claim = call->claim;
        call->op.request.as.proclaim.value = "here";
    } else if (verb == STORE_BREAK) {
        call->op.request.as.break_hold.name = name;
        call->op.request.as.break_hold.token = token;
        call->op.request.as.break_hold.reason = "because";
    } else if (verb == STORE_INSPECT) {
        call->op.request.as.inspect.name = name;
    } else if (verb == STORE_LIST) {
        call->op.request.as.list.prefix = name;
    }
    tni_store_start(run->store, &call->op);
    return call;
}

static enum tenure_err finish(const struct call *call)
{
    while (!call->is_done) {
        (void)uv_run(&call->run->loop, UV_RUN_ONCE);
    }
    return call->err;
}

/* ------------------------------------------------------------------ the greeting */

/* An error in place of the three answers to SUBSCRIBE must not shift all that come after it. */
TEST(user_who_may_not_subscribe_is_refused)
{
    struct server server;
    struct run run;
    char url[128];
    start_redis(&server);
    tell(&server, "ACL SETUSER t on >pw +@all ~* resetchannels");
    (void)snprintf(url, sizeof(url), "redis://t:pw@127.0.0.1:%u?new=yes", server.port);
    CHECK(open_run(&run, url, &memory_heap));
    struct call *call = begin_acquire(&run, "n", "o", 0, 1500);
    CHECK_EQ_INT(finish(call), TENURE_DENIED);
    CHECK(strstr(call->text, "ACL") != NULL);
    CHECK(strstr(call->text, "pw") == NULL);
    close_run(&run);
    stop_redis(&server);
}

TEST(user_without_a_password_is_that_user)
{
    struct server server;
    struct run run;
    char url[128];
    start_redis(&server);
    tell(&server, "ACL SETUSER t on nopass +@all ~* &*");
    tell(&server, "ACL SETUSER default off");
    (void)snprintf(url, sizeof(url), "redis://t@127.0.0.1:%u?new=yes", server.port);
    CHECK(open_run(&run, url, &memory_heap));
    CHECK_EQ_INT(finish(begin_acquire(&run, "n", "o", 0, 1500)), TENURE_OK);
    close_run(&run);
    stop_redis(&server);
}

/* ------------------------------------------------------------------ names */

TEST(names_of_our_own_keys_are_refused_everywhere)
{
    static const enum store_verb verbs[] = {
        STORE_RENEW, STORE_PROCLAIM, STORE_RELEASE, STORE_BREAK
    };
    struct server server;
    struct run run;
    start_redis(&server);
    CHECK(open_on(&run, &server, &memory_heap));
    for (size_t index = 0; index < sizeof(verbs) / sizeof(verbs[0]); index++) {
        struct call *call = begin_claim(&run, verbs[index], "tenure:node", "o", 7, 1500);
        CHECK_EQ_INT(finish(call), TENURE_INVALID);
    }
    close_run(&run);
    stop_redis(&server);
}

/* ------------------------------------------------------------------ scripts that are forgotten */

TEST(scripts_are_forgotten_while_locks_are_listed)
{
    struct server server;
    struct run run;
    start_redis(&server);
    CHECK(open_on(&run, &server, &memory_heap));
    static const char *const names[] = { "a/1", "a/2", "a/3", "a/4", "a/5" };
    for (unsigned index = 0; index < 5; index++) {
        CHECK_EQ_INT(finish(begin_acquire(&run, names[index], "o", 0, 1500)), TENURE_OK);
    }
    for (unsigned round = 0; round < 50; round++) {
        tell(&server, "SCRIPT FLUSH");
        struct call *call = begin_claim(&run, STORE_LIST, "a/", NULL, 0, 1500);
        if (round % 2 == 0) CHECK_EQ_INT(uv_run(&run.loop, UV_RUN_ONCE) >= 0, true);
        if (round % 3 == 0) tell(&server, "SCRIPT FLUSH");
        CHECK_EQ_INT(finish(call), TENURE_OK);
        CHECK_EQ_UINT(call->item_count, 5);
    }
    close_run(&run);
    stop_redis(&server);
}

/* ------------------------------------------------------------------ closing inside a callback */

static void close_store(struct call *call)
{
    struct store *store = call->run->store;
    call->run->store = NULL;
    if (store == NULL) return;
    tni_store_close(store);
    for (unsigned index = 0; index < CALL_COUNT_MAX; index++) {
        CHECK(!call->run->calls[index].is_used || call->run->calls[index].is_done);
    }
}

/* The server stops answering while operations are under way; one that gives up closes. */
static void close_inside_of(unsigned which)
{
    struct server server;
    struct run run;
    start_redis(&server);
    CHECK(open_on(&run, &server, &memory_heap));
    CHECK_EQ_INT(finish(begin_acquire(&run, "n", "o", 0, 1500)), TENURE_OK);
    CHECK_EQ_INT(kill(server.pid, SIGSTOP), 0);
    struct call *calls[] = {
        begin_acquire(&run, "m", "o", 0, 300),
        begin_acquire(&run, "k", "o", 1000, 400),
        begin_claim(&run, STORE_RENEW, "n", "o", 1, 500),
        begin_claim(&run, STORE_RELEASE, "n", "o", 1, 550),
        begin_claim(&run, STORE_INSPECT, "n", "o", 1, 600),
        begin_claim(&run, STORE_LIST, "n", "o", 1, 650),
    };
    calls[which]->then = close_store;
    enum tenure_err err = finish(calls[which]);
    CHECK(err == TENURE_UNAVAILABLE || err == TENURE_UNKNOWN);
    close_run(&run);
    CHECK_EQ_INT(kill(server.pid, SIGCONT), 0);
    stop_redis(&server);
}

TEST(store_is_closed_by_an_operation_that_gives_up)
{
    for (unsigned which = 0; which < 6; which++) {
        test_note("operation %u closes", which);
        close_inside_of(which);
    }
}

TEST(store_is_closed_by_one_of_several_that_end_together)
{
    struct server server;
    struct run run;
    start_redis(&server);
    CHECK(open_on(&run, &server, &memory_heap));
    struct call *calls[4];
    for (unsigned index = 0; index < 4; index++) {
        calls[index] = begin_acquire(&run, "n", "o", 1000, 1500);
        tni_store_cancel(run.store, &calls[index]->op);
    }
    calls[1]->then = close_store;
    CHECK_EQ_INT(finish(calls[1]), TENURE_CANCELED);
    close_run(&run);
    stop_redis(&server);
}

static void start_another(struct call *call)
{
    if (call->err != TENURE_CANCELED) return;
    /* The last one ends without starting any. */
    static unsigned count;
    if (++count > 6) return;
    struct call *next = begin(call->run, count % 2 == 0 ? STORE_RENEW : STORE_INFO, 1500);
    next->then = start_another;
    if (count % 2 == 0) {
        next->claim = (struct store_claim){ "n", "o", 1 };
        next->op.request.as.renew.claims = &next->claim;
        next->op.request.as.renew.count = 1;
        next->op.request.as.renew.ttl_ms = 5000;
    }
    tni_store_start(call->run->store, &next->op);
}

TEST(operations_that_are_started_while_the_store_closes_are_canceled)
{
    struct server server;
    struct run run;
    start_redis(&server);
    CHECK(open_on(&run, &server, &memory_heap));
    CHECK_EQ_INT(finish(begin_acquire(&run, "n", "o", 0, 1500)), TENURE_OK);
    for (unsigned index = 0; index < 3; index++) {
        begin_acquire(&run, "n", "p", 1000, 1500)->then = start_another;
    }
    close_run(&run);
    stop_redis(&server);
}
