/* The remote store against a server that says what a script says. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/fault_memory.h"
#include "lib/random.h"
#include "lib/test.h"
#include "store/remote/remote.h"
#include "unit/store/fake_server.h"

#define GRANT                                                                                      \
    "%6\r\n$5\r\ntoken\r\n:42\r\n$4\r\nslot\r\n:0\r\n$6\r\nttl_ms\r\n:5000\r\n"                    \
    "$12\r\nremaining_ms\r\n:5000\r\n$5\r\nowner\r\n$1\r\no\r\n$4\r\nmode\r\n$9\r\nexclusive\r\n"
#define RENEWED                                                                                    \
    "%3\r\n$7\r\noutcome\r\n$2\r\nok\r\n$6\r\nttl_ms\r\n:5000\r\n$12\r\nremaining_ms\r\n:4999\r\n"
#define LOCK                                                                                       \
    "%9\r\n$4\r\nname\r\n$1\r\nn\r\n$5\r\nstate\r\n$4\r\nheld\r\n$4\r\nmode\r\n$"                  \
    "9\r\nexclusive\r\n"                                                                           \
    "$5\r\nslots\r\n:1\r\n$3\r\nseq\r\n:9\r\n$7\r\nholders\r\n*1\r\n%9\r\n$5\r\nowner\r\n"         \
    "$5\r\nalice\r\n$5\r\ntoken\r\n:41\r\n$4\r\nmode\r\n$9\r\nexclusive\r\n$4\r\nslot\r\n:0\r\n"   \
    "$6\r\nttl_ms\r\n:5000\r\n$12\r\nremaining_ms\r\n:1234\r\n$14\r\nacquired_at_ms\r\n:7\r\n"     \
    "$8\r\nbreaking\r\n:0\r\n$4\r\nmeta\r\n$4\r\nmake\r\n$7\r\nwaiters\r\n*0\r\n"                  \
    "$12\r\nwaiter_count\r\n:0\r\n$13\r\nlock_delay_ms\r\n:0\r\n"

struct run {
    uv_loop_t loop;
    struct store *store;
    struct store_op op;
    bool is_done;
    unsigned done_count;
    enum tenure_err err;
    bool is_unsure;
    char text[256];
    char owner[256];
    uint64_t token;
    uint32_t position;
    enum store_end end;
    struct store_renewal renewal;
    struct mono sent_at;
};

static const char *const names[] = { "n", "m" };
static const struct store_claim claims[] = { { "n", "o", 42 }, { "m", "o", 43 } };

static void on_done(struct store_op *op, const struct store_result *result)
{
    struct run *run = CONTAINER_OF(op, struct run, op);
    run->is_done = true;
    run->done_count++;
    run->err = result->err;
    run->is_unsure = result->is_unsure;
    run->sent_at = result->sent_at;
    (void)snprintf(run->text, sizeof(run->text), "%s", result->text == NULL ? "" : result->text);
    if (op->request.verb == STORE_ACQUIRE) {
        run->position = result->as.acquire.position;
        if (result->err == TENURE_OK) {
            run->token = result->as.acquire.grants[0].token;
        } else if (result->as.acquire.obstacle != NULL) {
            const struct store_lock_view *view = result->as.acquire.obstacle;
            CHECK_EQ_UINT(view->holder_count, 1);
            (void)snprintf(run->owner, sizeof(run->owner), "%s", view->holders[0].owner);
        }
    }
    if (op->request.verb == STORE_RENEW && result->err == TENURE_OK) {
        run->renewal = result->as.renew.renewals[0];
    }
    if (op->request.verb == STORE_RELEASE && result->err == TENURE_OK) {
        run->end = result->as.release.end;
    }
}

static struct mono in_ms(int64_t duration_ms)
{
    return (struct mono){ tni_store_now().ns + duration_ms * NS_PER_MS };
}

static void open_run(struct run *run, const char *url, const struct memory *memory)
{
    struct store_options options = { .loop = &run->loop, .memory = memory, .url = url, .seed = 7 };
    struct tenure_error error;
    *run = (struct run){ .err = TENURE_INTERNAL };
    CHECK_EQ_INT(uv_loop_init(&run->loop), 0);
    enum tenure_err err = tni_store_open(&options, &run->store, &error);
    if (err != TENURE_OK) run->store = NULL;
}

static void close_run(struct run *run)
{
    if (run->store != NULL) tni_store_close(run->store);
    (void)uv_run(&run->loop, UV_RUN_DEFAULT);
    CHECK_EQ_INT(uv_loop_close(&run->loop), 0);
    CHECK_EQ_UINT(run->done_count, 1);
}

static void begin(struct run *run, enum store_verb verb, int64_t timeout_ms)
{
    run->op = (struct store_op){ .request = { .verb = verb, .deadline = in_ms(timeout_ms) },
                                 .done = on_done };
}

static void begin_acquire(struct run *run, int64_t timeout_ms, int64_t wait_ms)
{
    begin(run, STORE_ACQUIRE, timeout_ms);
    run->op.request.as.acquire = (struct store_acquire){
        .names = names,
        .name_count = 1,
        .owner = "o",
        .ttl_ms = 5000,
        .answer_ns = timeout_ms * NS_PER_MS,
        .slots = 1,
    };
    if (wait_ms > 0) run->op.request.as.acquire.wait_until = in_ms(wait_ms);
}

static void begin_renew(struct run *run, int64_t timeout_ms, uint32_t count)
{
    begin(run, STORE_RENEW, timeout_ms);
    run->op.request.as.renew.claims = claims;
    run->op.request.as.renew.count = count;
    run->op.request.as.renew.ttl_ms = 5000;
}

static void finish(struct run *run)
{
    tni_store_start(run->store, &run->op);
    CHECK(!run->is_done);
    while (!run->is_done) {
        (void)uv_run(&run->loop, UV_RUN_ONCE);
    }
    close_run(run);
}

/* An acquire from beginning to end, by a script. */
static void acquire(struct run *run, const char *const *script, int64_t timeout_ms, int64_t wait_ms)
{
    struct fake_server server;
    fake_server_start(&server, script);
    open_run(run, server.url, &memory_heap);
    begin_acquire(run, timeout_ms, wait_ms);
    finish(run);
    fake_server_finish(&server);
}

/* ------------------------------------------------------------------ acquires */

TEST(acquire_is_granted)
{
    static const char *const script[] = {
        "> HELLO 3", "> LOCK.ACQUIRE n o 5000", "< " GRANT, NULL
    };
    struct run run;
    struct mono before = tni_store_now();
    acquire(&run, script, 2000, 0);
    CHECK_EQ_INT(run.err, TENURE_OK);
    CHECK_EQ_UINT(run.token, 42);
    CHECK(run.sent_at.ns >= before.ns && run.sent_at.ns <= tni_store_now().ns);
}

TEST(acquire_is_granted_byte_by_byte)
{
    static const char *const script[] = {
        "> HELLO 3", "> LOCK.ACQUIRE n o 5000", "<1 " GRANT, NULL
    };
    struct run run;
    acquire(&run, script, 2000, 0);
    CHECK_EQ_INT(run.err, TENURE_OK);
    CHECK_EQ_UINT(run.token, 42);
}

TEST(acquire_that_is_refused_asks_who_is_in_the_way)
{
    static const char *const script[] = {
        "> HELLO 3",
        "> LOCK.ACQUIRE n o 5000",
        "< -HELD held by x, position 9 for 12 ms, position 3\r\n",
        "> LOCK.GET n",
        "< " LOCK,
        NULL,
    };
    struct run run;
    acquire(&run, script, 2000, 0);
    CHECK_EQ_INT(run.err, TENURE_HELD);
    CHECK_EQ_TEXT(run.owner, "alice");
    CHECK_EQ_UINT(run.position, 3);
    CHECK(!run.is_unsure);
}

TEST(acquire_that_is_refused_does_without_who_is_in_the_way)
{
    static const char *const gone[] = { "> HELLO 3",     "> LOCK.ACQUIRE n o 5000",
                                        "< -HELD x\r\n", "> LOCK.GET n",
                                        "< _\r\n",       NULL };
    static const char *const broken[] = { "> HELLO 3",     "> LOCK.ACQUIRE n o 5000",
                                          "< -HELD x\r\n", "> LOCK.GET n",
                                          "< :1\r\n",      NULL };
    static const char *const refused[] = {
        "> HELLO 3",    "> LOCK.ACQUIRE n o 5000", "< -HELD x\r\n",
        "> LOCK.GET n", "< -DENIED\r\n",           NULL,
    };
    static const char *const silent[] = { "> HELLO 3",     "> LOCK.ACQUIRE n o 5000",
                                          "< -HELD x\r\n", "> LOCK.GET n",
                                          "~ 1200",        NULL };
    const char *const *const scripts[] = { gone, broken, refused, silent };
    for (size_t index = 0; index < sizeof(scripts) / sizeof(scripts[0]); index++) {
        struct run run;
        test_note("script %u", (unsigned)index);
        acquire(&run, scripts[index], 3000, 0);
        CHECK_EQ_INT(run.err, TENURE_HELD);
        CHECK_EQ_TEXT(run.owner, "");
    }
}

TEST(acquire_of_which_no_answer_comes_is_unknown)
{
    static const char *const script[] = { "> HELLO 3", "> LOCK.ACQUIRE n o 5000", "~ 400", NULL };
    struct run run;
    acquire(&run, script, 200, 0);
    CHECK_EQ_INT(run.err, TENURE_UNKNOWN);
    CHECK(run.is_unsure);
}

TEST(acquire_that_was_never_sent_is_unavailable)
{
    static const char *const script[] = { "accept", "~ 400", NULL };
    struct run run;
    acquire(&run, script, 200, 0);
    CHECK_EQ_INT(run.err, TENURE_UNAVAILABLE);
    CHECK(!run.is_unsure);
}

TEST(acquire_is_sent_again_when_the_connection_breaks)
{
    static const char *const script[] = {
        "> HELLO 3",
        "> LOCK.ACQUIRE n o 5000",
        "x",
        "> HELLO 3",
        "> LOCK.ACQUIRE n o 5000",
        "< %6\r\n$5\r\nto",
        "x",
        "> HELLO 3",
        "> LOCK.ACQUIRE n o 5000",
        "< " GRANT,
        NULL,
    };
    struct run run;
    acquire(&run, script, 4000, 0);
    CHECK_EQ_INT(run.err, TENURE_OK);
    CHECK_EQ_UINT(run.token, 42);
}

TEST(acquire_waits_through_a_shutdown)
{
    static const char *const script[] = {
        "> HELLO 3", "> LOCK.ACQUIRE n o 5000", "< -DRAINING the server is shutting down\r\n",
        "> HELLO 3", "> LOCK.ACQUIRE n o 5000", "< " GRANT,
        NULL,
    };
    struct run run;
    acquire(&run, script, 4000, 0);
    CHECK_EQ_INT(run.err, TENURE_OK);
}

TEST(acquire_that_waits_has_a_connection_of_its_own)
{
    /* The first connection is the main one, which has nothing to do. */
    static const char *const script[] = { "> HELLO 3", "accept",
                                          "> HELLO 3", "> LOCK.ACQUIRE n o 5000 WAIT *",
                                          "< " GRANT,  NULL };
    struct run run;
    acquire(&run, script, 2000, 1000);
    CHECK_EQ_INT(run.err, TENURE_OK);
}

TEST(acquire_refuses_answers_that_make_no_sense)
{
    static const char *const answers[] = {
        "< +OK\r\n",
        "< :1\r\n",
        "< _\r\n",
        "< *1\r\n" GRANT,
        "< %1\r\n$5\r\ntoken\r\n:0\r\n",
        "< %1\r\n$5\r\ntoken\r\n:-1\r\n",
        "< %1\r\n$5\r\ntoken\r\n:9007199254740992\r\n",
        "< %1\r\n$5\r\ntoken\r\n$1\r\n7\r\n",
        "< %2\r\n$5\r\ntoken\r\n:7\r\n$6\r\nttl_ms\r\n:4294967296\r\n",
    };
    for (size_t index = 0; index < sizeof(answers) / sizeof(answers[0]); index++) {
        const char *const script[] = {
            "> HELLO 3", "> LOCK.ACQUIRE n o 5000", answers[index], NULL
        };
        struct run run;
        test_note("%s", answers[index]);
        acquire(&run, script, 2000, 0);
        CHECK_EQ_INT(run.err, TENURE_INTERNAL);
        CHECK(run.is_unsure);
    }
}

TEST(garbage_breaks_the_connection_and_nothing_else)
{
    static const char *const garbage[] = { "< HTTP/1.1 400 Bad Request\r\n\r\n",
                                           "< *-7\r\n",
                                           "< $99999999999\r\n",
                                           "< :1\r\n:2\r\n",
                                           "< \r\n" };
    for (size_t index = 0; index < sizeof(garbage) / sizeof(garbage[0]); index++) {
        const char *const script[] = { "> HELLO 3", garbage[index],
                                       "~ 20",      "accept",
                                       "> HELLO 3", "> LOCK.ACQUIRE n o 5000",
                                       "< " GRANT,  NULL };
        struct fake_server server;
        struct run run;
        test_note("%s", garbage[index]);
        fake_server_start(&server, script);
        open_run(&run, server.url, &memory_heap);
        /* Let the garbage come first. */
        for (unsigned turn = 0; turn < 30; turn++) {
            (void)uv_run(&run.loop, UV_RUN_NOWAIT);
            uv_sleep(1);
        }
        begin_acquire(&run, 3000, 0);
        finish(&run);
        fake_server_finish(&server);
        CHECK_EQ_INT(run.err, TENURE_OK);
    }
}

TEST(what_is_not_tenured_is_not_used)
{
    static const char *const greetings[] = {
        "< %1\r\n$6\r\nserver\r\n$5\r\nredis\r\n",
        "< -NOAUTH HELLO must be called with the client already authenticated\r\n",
        "< +OK\r\n",
    };
    for (size_t index = 0; index < 3; index++) {
        struct fake_server server;
        struct run run;
        const char *const script[] = { "accept", greetings[index], "~ 50", NULL };
        fake_server_start(&server, script);
        open_run(&run, server.url, &memory_heap);
        begin_acquire(&run, 300, 0);
        finish(&run);
        fake_server_finish(&server);
        CHECK_EQ_INT(run.err, TENURE_UNAVAILABLE);
    }
}

/* ------------------------------------------------------------------ renewals */

static void renew(struct run *run, const char *const *script, uint32_t count, int64_t patience_ms)
{
    struct fake_server server;
    fake_server_start(&server, script);
    open_run(run, server.url, &memory_heap);
    begin_renew(run, 2000, count);
    run->op.request.patience_ns = patience_ms * NS_PER_MS;
    finish(run);
    fake_server_finish(&server);
}

TEST(renewal_tells_how_a_hold_was_lost)
{
    static const struct {
        const char *answer;
        enum tenure_err err;
        enum store_end end;
    } cases[] = {
        { "< -LOST expired_taken, the token is now 77\r\n", TENURE_LOST, STORE_END_EXPIRED_TAKEN },
        { "< -LOST broken\r\n", TENURE_LOST, STORE_END_BROKEN },
        { "< -LOST released\r\n", TENURE_LOST, STORE_END_RELEASED },
        { "< -NOTOWNER this owner does not hold the lock\r\n",
          TENURE_NOT_OWNER,
          STORE_END_NOT_OWNER },
        { "< -STALE the token is not the current one\r\n",
          TENURE_STALE_TOKEN,
          STORE_END_NOT_OWNER },
        { "< " RENEWED, TENURE_OK, STORE_END_NOT_OWNER },
    };
    for (size_t index = 0; index < sizeof(cases) / sizeof(cases[0]); index++) {
        const char *const script[] = {
            "> HELLO 3", "> LOCK.RENEW n o 42 5000", cases[index].answer, NULL
        };
        struct run run;
        renew(&run, script, 1, 0);
        CHECK_EQ_INT(run.err, TENURE_OK);
        CHECK_EQ_INT(run.renewal.err, cases[index].err);
        CHECK_EQ_INT(run.renewal.end, cases[index].end);
    }
}

TEST(renewal_goes_around_an_answer_that_is_stuck)
{
    static const char *const script[] = {
        "> HELLO 3", "> LOCK.RENEW n o 42 5000", "accept",
        "> HELLO 3", "> LOCK.RENEW n o 42 5000", "< " RENEWED,
        NULL,
    };
    struct run run;
    struct mono before = tni_store_now();
    renew(&run, script, 1, 50);
    CHECK_EQ_INT(run.err, TENURE_OK);
    CHECK_EQ_INT(run.renewal.err, TENURE_OK);
    CHECK(tni_store_now().ns - before.ns < 1500 * NS_PER_MS);
}

TEST(renewal_of_several_has_an_outcome_for_each)
{
    static const char *const script[] = {
        "> HELLO 3",
        "> LOCK.RENEW n o 42 5000 m o 43 5000",
        "< *2\r\n" RENEWED "%3\r\n$7\r\noutcome\r\n$4\r\nlost\r\n$6\r\nreason\r\n$6\r\nbroken\r\n"
        "$9\r\nsuccessor\r\n:0\r\n",
        NULL,
    };
    struct run run;
    renew(&run, script, 2, 0);
    CHECK_EQ_INT(run.err, TENURE_OK);
    CHECK_EQ_INT(run.renewal.err, TENURE_OK);
    CHECK_EQ_INT(run.renewal.remaining_ms, 4999);
}

TEST(break_is_not_sent_twice)
{
    static const char *const script[] = { "> HELLO 3", "> LOCK.BREAK n 42 why", "x", NULL };
    struct fake_server server;
    struct run run;
    fake_server_start(&server, script);
    open_run(&run, server.url, &memory_heap);
    struct mono before = tni_store_now();
    begin(&run, STORE_BREAK, 2000);
    run.op.request.as.break_hold.name = "n";
    run.op.request.as.break_hold.token = 42;
    run.op.request.as.break_hold.reason = "why";
    finish(&run);
    fake_server_finish(&server);
    CHECK_EQ_INT(run.err, TENURE_UNKNOWN);
    CHECK(tni_store_now().ns - before.ns < NS_PER_S);
}

TEST(canceled_before_and_after_sending)
{
    static const char *const script[] = { "accept", "~ 50", NULL };
    for (unsigned is_sent = 0; is_sent < 2; is_sent++) {
        static const char *const sent[] = { "> HELLO 3", "> LOCK.ACQUIRE n o 5000", "~ 50", NULL };
        struct fake_server server;
        struct run run;
        fake_server_start(&server, is_sent != 0 ? sent : script);
        open_run(&run, server.url, &memory_heap);
        begin_acquire(&run, 2000, 0);
        tni_store_start(run.store, &run.op);
        for (unsigned turn = 0; turn < 30; turn++) {
            (void)uv_run(&run.loop, UV_RUN_NOWAIT);
            uv_sleep(1);
        }
        tni_store_cancel(run.store, &run.op);
        tni_store_cancel(run.store, &run.op);
        CHECK(!run.is_done);
        while (!run.is_done) {
            (void)uv_run(&run.loop, UV_RUN_ONCE);
        }
        CHECK_EQ_INT(run.err, TENURE_CANCELED);
        CHECK_EQ_INT(run.is_unsure, is_sent != 0);
        tni_store_cancel(run.store, &run.op);
        close_run(&run);
        fake_server_finish(&server);
    }
}

/* ------------------------------------------------------------------ memory */

TEST(every_allocation_may_fail)
{
    for (uint64_t n = 1;; n++) {
        static const char *const script[] = {
            "> HELLO 3", "> LOCK.ACQUIRE n o 5000", "< " GRANT, NULL
        };
        struct fault_memory fault;
        struct fake_server server;
        struct run run;
        test_note("allocation %u fails", (unsigned)n);
        fault_memory_init(&fault, n);
        fake_server_start(&server, script);
        open_run(&run, server.url, &fault.memory);
        if (run.store == NULL) {
            run.done_count = 1;
            close_run(&run);
            run.err = TENURE_NO_MEMORY;
        } else {
            begin_acquire(&run, 1000, 0);
            finish(&run);
        }
        fault_memory_check_empty(&fault);
        /* The script takes one connection: one that broke for want of memory was the last. */
        bool is_expected = run.err == TENURE_OK || run.err == TENURE_NO_MEMORY ||
                           strstr(run.text, "no memory") != NULL;
        if (!is_expected) FAIL("%s: %s", tenure_err_name(run.err), run.text);
        bool is_served = run.err == TENURE_OK;
        if (!is_served) (void)shutdown(server.listener, SHUT_RDWR);
        (void)pthread_join(server.thread, NULL);
        (void)close(server.listener);
        if (server.connection >= 0) (void)close(server.connection);
        if (!fault.has_failed) break;
    }
}
