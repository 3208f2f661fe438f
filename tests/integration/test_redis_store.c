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

/* How many scripts it has run. */
static uint64_t count_scripts(const struct server *server)
{
    static const char word[] = "cmdstat_evalsha:calls=";
    char answer[16384];
    int connection = dial(server->port);
    CHECK(connection >= 0);
    CHECK_EQ_INT(send(connection, "INFO commandstats\r\n", 19, 0), 19);
    (void)poll(NULL, 0, 50);
    ssize_t size = recv(connection, answer, sizeof(answer) - 1, 0);
    CHECK(size > 0);
    answer[size] = '\0';
    (void)close(connection);
    const char *found = strstr(answer, word);
    CHECK(found != NULL);
    return strtoul(found + sizeof(word) - 1, NULL, 10);
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

/* ------------------------------------------------------------------ who answers there */

TEST(two_addresses_of_one_server_are_refused)
{
    struct server servers[2];
    struct run run;
    char url[128];
    start_redis(&servers[0]);
    start_redis(&servers[1]);
    (void)snprintf(
        url,
        sizeof(url),
        "redis://127.0.0.1:%u,localhost:%u,127.0.0.1:%u?new=yes",
        servers[0].port,
        servers[0].port,
        servers[1].port);
    CHECK(open_run(&run, url, &memory_heap));
    struct call *call = begin_acquire(&run, "n", "o", 0, 1500);
    CHECK_EQ_INT(finish(call), TENURE_INVALID);
    CHECK(strstr(call->text, "same server") != NULL);
    close_run(&run);
    stop_redis(&servers[0]);
    stop_redis(&servers[1]);
}

TEST(replica_does_not_vote)
{
    struct server servers[2];
    struct run run;
    char command[64];
    start_redis(&servers[0]);
    start_redis(&servers[1]);
    (void)snprintf(command, sizeof(command), "REPLICAOF 127.0.0.1 %u", servers[0].port);
    tell(&servers[1], command);
    CHECK(open_on(&run, &servers[1], &memory_heap));
    struct call *call = begin_acquire(&run, "n", "o", 0, 500);
    CHECK_EQ_INT(finish(call), TENURE_UNAVAILABLE);
    CHECK(strstr(call->text, "cannot vote") != NULL);
    close_run(&run);
    stop_redis(&servers[0]);
    stop_redis(&servers[1]);
}

TEST(server_that_forgets_is_volatile)
{
    struct server server;
    struct run run;
    start_redis(&server);
    CHECK(open_on(&run, &server, &memory_heap));
    CHECK_EQ_INT(finish(begin_acquire(&run, "n", "o", 0, 1500)), TENURE_OK);
    CHECK_EQ_INT(run.store->safety, STORE_SAFETY_VOLATILE);
    struct call *call = begin(&run, STORE_ACQUIRE, 1500);
    call->name = "m";
    call->op.request.as.acquire = (struct store_acquire){
        .names = &call->name,
        .name_count = 1,
        .owner = "o",
        .ttl_ms = 5000,
        .answer_ns = NS_PER_S,
        .slots = 1,
        .min_safety = STORE_SAFETY_DURABLE_SINGLE,
    };
    tni_store_start(run.store, &call->op);
    CHECK_EQ_INT(finish(call), TENURE_UNSUPPORTED);
    close_run(&run);
    stop_redis(&server);
}

/* With ttl-max=1s a process votes when it has been up for 3.02 s, or says so: its seconds are
 * whole. */
TEST(server_votes_when_it_has_been_up_for_long_enough)
{
    struct server servers[2];
    struct run run;
    char url[128];
    struct mono before = tni_store_now();
    start_redis(&servers[0]);
    start_redis(&servers[1]);
    struct mono after = tni_store_now();
    (void)snprintf(url, sizeof(url), "redis://127.0.0.1:%u?ttl-max=1s", servers[0].port);
    CHECK(open_run(&run, url, &memory_heap));
    struct call *call = begin(&run, STORE_ACQUIRE, 8000);
    call->name = "n";
    call->op.request.as.acquire = (struct store_acquire){ .names = &call->name,
                                                          .name_count = 1,
                                                          .owner = "o",
                                                          .ttl_ms = 500,
                                                          .answer_ns = NS_PER_S,
                                                          .slots = 1 };
    struct store_request request = call->op.request;
    tni_store_start(run.store, &call->op);
    CHECK_EQ_INT(finish(call), TENURE_OK);
    CHECK(tni_store_now().ns - before.ns >= 2020 * NS_PER_MS);
    close_run(&run);
    /* Nobody has met this one. */
    int64_t left_ms = 4050 - (tni_store_now().ns - after.ns) / NS_PER_MS;
    if (left_ms > 0) (void)poll(NULL, 0, (int)left_ms);
    (void)snprintf(url, sizeof(url), "redis://127.0.0.1:%u?ttl-max=1s", servers[1].port);
    CHECK(open_run(&run, url, &memory_heap));
    call = begin(&run, STORE_ACQUIRE, 700);
    call->name = "n";
    request.deadline = in_ms(700);
    request.as.acquire.names = &call->name;
    call->op.request = request;
    tni_store_start(run.store, &call->op);
    CHECK_EQ_INT(finish(call), TENURE_OK);
    close_run(&run);
    stop_redis(&servers[0]);
    stop_redis(&servers[1]);
}

/* ------------------------------------------------------------------ waiting */

static void pass_ms(struct run *run, int64_t duration_ms)
{
    struct mono end = in_ms(duration_ms);
    while (tni_store_now().ns < end.ns) {
        (void)uv_run(&run->loop, UV_RUN_NOWAIT);
        (void)poll(NULL, 0, 1);
    }
}

TEST(waiter_is_woken_by_a_release)
{
    struct server server;
    struct run run;
    start_redis(&server);
    CHECK(open_on(&run, &server, &memory_heap));
    struct call *call = begin_acquire(&run, "n", "o", 0, 1500);
    CHECK_EQ_INT(finish(call), TENURE_OK);
    uint64_t token = call->token;
    struct call *waiting = begin_acquire(&run, "n", "p", 4000, 1500);
    pass_ms(&run, 100);
    CHECK(!waiting->is_done);
    struct mono before = tni_store_now();
    (void)begin_claim(&run, STORE_RELEASE, "n", "o", token, 1500);
    CHECK_EQ_INT(finish(waiting), TENURE_OK);
    CHECK(waiting->token > token);
    CHECK(tni_store_now().ns - before.ns < 500 * NS_PER_MS);
    close_run(&run);
    stop_redis(&server);
}

/* Somebody else's key, without a sensible end: in nanoseconds it is past. */
TEST(waiting_for_a_key_of_a_million_years_is_quiet)
{
    struct server server;
    struct run run;
    start_redis(&server);
    tell(&server, "SET n x PX 9000000000000000");
    CHECK(open_on(&run, &server, &memory_heap));
    struct call *call = begin_acquire(&run, "n", "o", 500, 1500);
    CHECK_EQ_INT(finish(call), TENURE_TIMEOUT);
    CHECK_LT_INT(count_scripts(&server), 30);
    CHECK_EQ_INT(finish(begin_claim(&run, STORE_INSPECT, "n", NULL, 0, 1500)), TENURE_OK);
    close_run(&run);
    stop_redis(&server);
}

TEST(canceled_waiter_leaves_the_line)
{
    struct server server;
    struct run run;
    start_redis(&server);
    CHECK(open_on(&run, &server, &memory_heap));
    struct call *call = begin_acquire(&run, "n", "o", 0, 1500);
    CHECK_EQ_INT(finish(call), TENURE_OK);
    uint64_t token = call->token;
    struct call *waiting = begin_acquire(&run, "n", "p", 4000, 1500);
    pass_ms(&run, 50);
    tni_store_cancel(run.store, &waiting->op);
    CHECK_EQ_INT(finish(waiting), TENURE_CANCELED);
    CHECK_EQ_INT(finish(begin_claim(&run, STORE_RELEASE, "n", "o", token, 1500)), TENURE_OK);
    CHECK_EQ_INT(finish(begin_acquire(&run, "n", "q", 0, 1500)), TENURE_OK);
    close_run(&run);
    stop_redis(&server);
}

/* ------------------------------------------------------------------ slow nodes */

TEST(refused_acquire_does_not_wait_for_a_frozen_node)
{
    struct server servers[3];
    struct run run;
    char url[128];
    for (unsigned index = 0; index < 3; index++) {
        start_redis(&servers[index]);
    }
    (void)snprintf(
        url,
        sizeof(url),
        "redis://127.0.0.1:%u,127.0.0.1:%u,127.0.0.1:%u?new=yes",
        servers[0].port,
        servers[1].port,
        servers[2].port);
    CHECK(open_run(&run, url, &memory_heap));
    CHECK_EQ_INT(finish(begin_acquire(&run, "n", "o", 0, 1500)), TENURE_OK);
    for (unsigned round = 0; round < 20; round++) { /* its pace is known */
        CHECK_EQ_INT(finish(begin_claim(&run, STORE_INSPECT, "n", NULL, 0, 1500)), TENURE_OK);
    }
    CHECK_EQ_INT(kill(servers[2].pid, SIGSTOP), 0);
    struct mono before = tni_store_now();
    struct call *call = begin_acquire(&run, "n", "p", 0, 1500);
    CHECK_EQ_INT(finish(call), TENURE_HELD);
    CHECK(tni_store_now().ns - before.ns < 300 * NS_PER_MS);
    close_run(&run);
    for (unsigned index = 0; index < 3; index++) {
        stop_redis(&servers[index]);
    }
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

/* ------------------------------------------------------------------ failing memory */

static bool on_event(struct store_watch *watch, const struct store_event *event)
{
    (void)watch;
    CHECK(event->kind[0] != '\0');
    return true;
}

/* All that a store does, whatever becomes of it. */
static void do_all(struct run *run, int64_t patience_ms)
{
    run->watches[0] = (struct store_watch){ .event = on_event };
    run->watches[1] = (struct store_watch){ .event = on_event, .kinds = "broken,breaking" };
    bool is_watching[2];
    for (unsigned index = 0; index < 2; index++) {
        is_watching[index] = tni_store_watch(run->store, &run->watches[index]) == TENURE_OK;
    }
    struct call *call = begin_acquire(run, "n", "o", 0, patience_ms);
    enum tenure_err err = finish(call);
    uint64_t token = call->token;
    struct call *waiting = begin_acquire(run, "n", "p", patience_ms, patience_ms);
    (void)finish(begin_acquire(run, "n", "q", 0, patience_ms));
    enum tenure_err seen = finish(begin_claim(run, STORE_INSPECT, "n", NULL, 0, patience_ms));
    if (err == TENURE_OK) CHECK_NE_INT(seen, TENURE_NOT_FOUND);
    struct call *list = begin_claim(run, STORE_LIST, NULL, NULL, 0, patience_ms);
    seen = finish(list);
    if (err == TENURE_OK && seen == TENURE_OK) CHECK_EQ_UINT(list->item_count, 1);
    (void)finish(begin_claim(run, STORE_INFO, NULL, NULL, 0, patience_ms));
    err = finish(begin_claim(run, STORE_RENEW, "n", "o", token, patience_ms));
    CHECK_NE_INT(err, TENURE_NOT_OWNER);
    struct call *renewal = begin(run, STORE_RENEW, patience_ms);
    renewal->claim = (struct store_claim){ "n", "o", token };
    renewal->op.request.as.renew.claims = &renewal->claim;
    renewal->op.request.as.renew.count = 1;
    tni_store_start(run->store, &renewal->op); /* the ttl as it is */
    (void)finish(renewal);
    (void)finish(begin_claim(run, STORE_PROCLAIM, "n", "o", token, patience_ms));
    (void)finish(begin_claim(run, STORE_RELEASE, "n", "o", token, patience_ms));
    (void)finish(waiting);
    token = waiting->token;
    (void)finish(begin_claim(run, STORE_BREAK, "n", NULL, token, patience_ms));
    if (is_watching[0]) tni_store_unwatch(run->store, &run->watches[0]);
    struct call *late = begin_acquire(run, "n", "r", patience_ms, patience_ms);
    (void)begin_claim(run, STORE_RENEW, "n", "o", token, patience_ms);
    tni_store_cancel(run->store, &late->op);
    (void)begin_claim(run, STORE_LIST, NULL, NULL, 0, patience_ms);
}

static void fail_each(bool is_failing_on, uint64_t step, int64_t patience_ms)
{
    struct server server;
    start_redis(&server);
    for (uint64_t fail_at = 1;; fail_at += step) {
        struct fault_memory fault;
        struct run run;
        test_note("allocation %u fails", (unsigned)fail_at);
        tell(&server, "FLUSHALL");
        fault_memory_init(&fault, fail_at);
        fault.is_failing_on = is_failing_on;
        if (open_on(&run, &server, &fault.memory)) {
            do_all(&run, patience_ms);
        } else {
            run.store = NULL;
        }
        close_run(&run);
        fault_memory_check_empty(&fault);
        if (!fault.has_failed) break;
    }
    stop_redis(&server);
}

TEST_WITHIN(120, store_survives_every_failed_allocation)
{
    fail_each(false, 1, 500);
}

TEST_WITHIN(120, store_survives_the_end_of_all_memory)
{
    fail_each(true, 2, 40);
}

/* ------------------------------------------------------------------ at random */

static void do_something(struct run *run, struct test_random *random)
{
    static const char *const names[] = { "a", "b", "c" };
    static const char *const owners[] = { "o", "p", "q", "r" };
    const char *name = names[test_random_below(random, 3)];
    const char *owner = owners[test_random_below(random, 4)];
    struct call *call = &run->calls[test_random_below(random, CALL_COUNT_MAX)];
    bool is_pending = call->is_used && !call->is_done;
    if (is_pending) {
        if (test_random_below(random, 3) == 0) tni_store_cancel(run->store, &call->op);
        return;
    }
    int64_t timeout_ms = (int64_t)test_random_below(random, 200);
    uint64_t token = call->token;
    switch (test_random_below(random, 8)) {
    case 0: (void)begin_claim(run, STORE_RELEASE, name, owner, token, timeout_ms); break;
    case 1: (void)begin_claim(run, STORE_RENEW, name, owner, token, timeout_ms); break;
    case 2: (void)begin_claim(run, STORE_INSPECT, name, NULL, 0, timeout_ms); break;
    case 3: (void)begin_claim(run, STORE_LIST, NULL, NULL, 0, timeout_ms); break;
    case 4: (void)begin_claim(run, STORE_BREAK, name, NULL, token, timeout_ms); break;
    case 5: (void)begin_claim(run, STORE_PROCLAIM, name, owner, token, timeout_ms); break;
    default:
        (void)begin_acquire(run, name, owner, (int64_t)test_random_below(random, 100), timeout_ms);
        break;
    }
}

static void harm(const struct server *server, struct test_random *random)
{
    switch (test_random_below(random, 4)) {
    case 0: tell(server, "SCRIPT FLUSH"); break;
    case 1: tell(server, "CLIENT KILL TYPE normal SKIPME yes"); break;
    case 2: tell(server, "CLIENT KILL TYPE pubsub SKIPME yes"); break;
    default: tell(server, "DEL a tenure:{a}:fence tenure:{b}:queue"); break;
    }
}

TEST_WITHIN(120, store_survives_what_comes_at_random)
{
    struct server servers[3];
    char url[128];
    for (unsigned index = 0; index < 3; index++) {
        start_redis(&servers[index]);
    }
    (void)snprintf(
        url,
        sizeof(url),
        "redis://127.0.0.1:%u,127.0.0.1:%u,127.0.0.1:%u?new=yes",
        servers[0].port,
        servers[1].port,
        servers[2].port);
    for (uint64_t seed = 1; seed <= 30; seed++) {
        struct test_random random = { seed };
        struct run run;
        test_note("seed %u", (unsigned)seed);
        CHECK(open_run(&run, url, &memory_heap));
        unsigned step_count = 200 + (unsigned)test_random_below(&random, 2000);
        for (unsigned step = 0; step < step_count; step++) {
            do_something(&run, &random);
            if (test_random_below(&random, 4) == 0) (void)uv_run(&run.loop, UV_RUN_NOWAIT);
            if (test_random_below(&random, 50) == 0) (void)poll(NULL, 0, 3);
            if (test_random_below(&random, 300) == 0) {
                harm(&servers[test_random_below(&random, 3)], &random);
            }
        }
        close_run(&run);
    }
    for (unsigned index = 0; index < 3; index++) {
        stop_redis(&servers[index]);
    }
}

/* ------------------------------------------------------------------ watches */

struct listener {
    struct store_watch watch;
    struct run *run;
    struct listener *other;
    unsigned event_count;
    char kind[16];
    bool is_closing;
};

/* Ends the other one, or all. */
static bool end_other(struct store_watch *watch, const struct store_event *event)
{
    struct listener *listener = CONTAINER_OF(watch, struct listener, watch);
    struct store *store = listener->run->store;
    listener->event_count++;
    (void)snprintf(listener->kind, sizeof(listener->kind), "%s", event->kind);
    if (listener->is_closing) {
        listener->run->store = NULL;
        tni_store_close(store);
    } else if (listener->other != NULL) {
        tni_store_unwatch(store, &listener->other->watch);
        memset(listener->other, 0xee, sizeof(*listener->other));
    }
    return true;
}

static void listen_and_end(bool is_closing)
{
    struct server server;
    struct run run;
    start_redis(&server);
    CHECK(open_on(&run, &server, &memory_heap));
    struct listener *listeners[3];
    for (unsigned index = 0; index < 3; index++) {
        listeners[index] = malloc(sizeof(struct listener));
        CHECK(listeners[index] != NULL);
        *listeners[index] = (struct listener){ .watch = { .event = end_other }, .run = &run };
        CHECK_EQ_INT(tni_store_watch(run.store, &listeners[index]->watch), TENURE_OK);
    }
    listeners[0]->is_closing = is_closing;
    listeners[0]->other = listeners[1];
    pass_ms(&run, 100);
    (void)begin_acquire(&run, "n", "o", 0, 1500);
    pass_ms(&run, 100);
    CHECK_EQ_UINT(listeners[0]->event_count, 1);
    CHECK_EQ_UINT(listeners[2]->event_count, is_closing ? 0 : 1);
    CHECK_EQ_TEXT(listeners[0]->kind, "granted");
    close_run(&run);
    for (unsigned index = 0; index < 3; index++) {
        free(listeners[index]);
    }
    stop_redis(&server);
}

TEST(watch_is_ended_by_another_that_is_told)
{
    listen_and_end(false);
}

TEST(store_is_closed_by_a_watch_that_is_told)
{
    listen_and_end(true);
}

/* Who hears of all events must not keep who hears of breaks only, on other nodes, from them. */
TEST(break_is_told_on_all_nodes)
{
    struct server servers[3];
    struct run run;
    struct run far;
    char url[128];
    for (unsigned index = 0; index < 3; index++) {
        start_redis(&servers[index]);
    }
    (void)snprintf(
        url,
        sizeof(url),
        "redis://127.0.0.1:%u,127.0.0.1:%u,127.0.0.1:%u?new=yes",
        servers[0].port,
        servers[1].port,
        servers[2].port);
    struct listener all = { .watch = { .event = end_other }, .run = &run };
    struct listener breaks = { .watch = { .event = end_other, .kinds = "broken" }, .run = &far };
    CHECK(open_run(&run, url, &memory_heap));
    CHECK_EQ_INT(tni_store_watch(run.store, &all.watch), TENURE_OK);
    struct call *call = begin_acquire(&run, "n", "o", 0, 1500);
    CHECK_EQ_INT(finish(call), TENURE_OK);
    /* A store of the last node alone: what is told there it hears. */
    (void)snprintf(url, sizeof(url), "redis://127.0.0.1:%u", servers[2].port);
    CHECK(open_run(&far, url, &memory_heap));
    CHECK_EQ_INT(tni_store_watch(far.store, &breaks.watch), TENURE_OK);
    pass_ms(&far, 100);
    CHECK_EQ_INT(finish(begin_claim(&run, STORE_BREAK, "n", NULL, call->token, 1500)), TENURE_OK);
    pass_ms(&run, 50);
    pass_ms(&far, 50);
    CHECK_EQ_UINT(breaks.event_count, 1);
    close_run(&run);
    close_run(&far);
    for (unsigned index = 0; index < 3; index++) {
        stop_redis(&servers[index]);
    }
}
