/* The verbs of queues of the remote store, against a server that says what a script says. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/random.h"
#include "lib/test.h"
#include "store/remote/remote.h"
#include "unit/store/fake_server.h"

#define PUT "%3\r\n$2\r\nid\r\n$2\r\n_1\r\n$5\r\nstate\r\n$5\r\nready\r\n$6\r\nrepeat\r\n:1\r\n"
/* A body with a zero and the end of a line in it. */
#define ITEM                                                                                       \
    "%7\r\n$5\r\nqueue\r\n$1\r\nq\r\n$2\r\nid\r\n$2\r\n_1\r\n$5\r\ntoken\r\n:42\r\n"               \
    "$4\r\nbody\r\n$3\r\na\r\n\r\n$8\r\nattempts\r\n:2\r\n$8\r\nlease_ms\r\n:5000\r\n"             \
    "$12\r\nremaining_ms\r\n:4000\r\n"
#define EXTENDED                                                                                   \
    "%4\r\n$7\r\noutcome\r\n$2\r\nok\r\n$8\r\nlease_ms\r\n:5000\r\n$12\r\nremaining_ms\r\n"        \
    ":4999\r\n$10\r\ncancelling\r\n:1\r\n"
#define ENDED(word, size)                                                                          \
    "%3\r\n$2\r\nid\r\n$2\r\n_1\r\n$5\r\nstate\r\n$" size "\r\n" word "\r\n"                       \
    "$6\r\nresult\r\n$3\r\nyes\r\n"

struct run {
    uv_loop_t loop;
    struct store *store;
    struct store_op op;
    bool is_done;
    unsigned done_count;
    enum tenure_err err;
    char text[256];
    uint32_t count;
    struct store_item item;
    char id[300];
    char body[16];
    char result[16];
    struct store_put_result put;
    struct store_renewal renewal;
    struct store_queue_stat stat;
    uint32_t swept_count;
    bool is_swept;
    char swept_cursor[16];
    unsigned told_count;
    char told[256]; /* ids, one after the other */
};

static const char *const queues[] = { "q", "r" };
static const struct store_item_claim claim = { "q", "_1", 42 };

static void keep_item(struct run *run, const struct store_item *item)
{
    run->item = *item;
    (void)snprintf(run->id, sizeof(run->id), "%s", item->id);
    size_t size = item->body.size < sizeof(run->body) ? item->body.size : sizeof(run->body);
    if (size > 0) memcpy(run->body, item->body.data, size);
    (void)snprintf(run->result, sizeof(run->result), "%s", item->result.data);
}

static void on_done(struct store_op *op, const struct store_result *result)
{
    struct run *run = CONTAINER_OF(op, struct run, op);
    run->is_done = true;
    run->done_count++;
    run->err = result->err;
    (void)snprintf(run->text, sizeof(run->text), "%s", result->text == NULL ? "" : result->text);
    if (result->err != TENURE_OK) return;
    // NOLINTNEXTLINE(clang-diagnostic-switch-enum): those that have a result
    switch ((unsigned)op->request.verb) {
    case STORE_PUT:
        run->count = result->as.put.count;
        run->put = result->as.put.results[run->count - 1];
        (void)snprintf(run->id, sizeof(run->id), "%s", run->put.id);
        break;
    case STORE_TAKE:
    case STORE_ITEM:
    case STORE_AWAIT:
        run->count = result->as.items.count;
        keep_item(run, &result->as.items.items[0]);
        break;
    case STORE_EXTEND: run->renewal = result->as.renew.renewals[0]; break;
    case STORE_QUEUE: run->stat = *result->as.stat; break;
    case STORE_SWEEP:
        run->swept_count = result->as.sweep.count;
        run->is_swept = result->as.sweep.is_all;
        const char *cursor = result->as.sweep.cursor;
        (void)snprintf(run->swept_cursor, sizeof run->swept_cursor, "%s", cursor ? cursor : "");
        break;
    }
}

static void
on_one(struct store_op *op, const struct store_item *item, const struct store_queue_stat *stat)
{
    struct run *run = CONTAINER_OF(op, struct run, op);
    size_t size = strlen(run->told);
    run->told_count++;
    (void)snprintf(
        run->told + size, sizeof(run->told) - size, "%s ", item != NULL ? item->id : stat->queue);
}

static struct mono in_ms(int64_t duration_ms)
{
    return (struct mono){ tni_store_now().ns + duration_ms * NS_PER_MS };
}

static void begin(struct run *run, struct fake_server *server, const struct store_request *request)
{
    struct store_options options = {
        .loop = &run->loop, .memory = &memory_heap, .url = server->url, .seed = 7
    };
    struct tenure_error error;
    *run = (struct run){ .err = TENURE_INTERNAL };
    CHECK_EQ_INT(uv_loop_init(&run->loop), 0);
    CHECK_EQ_INT(tni_store_open(&options, &run->store, &error), TENURE_OK);
    run->op = (struct store_op){ .request = *request, .done = on_done, .work = on_one };
    tni_store_start(run->store, &run->op);
    CHECK(!run->is_done);
}

static void finish(struct run *run, struct fake_server *server)
{
    tni_store_close(run->store);
    (void)uv_run(&run->loop, UV_RUN_DEFAULT);
    CHECK_EQ_INT(uv_loop_close(&run->loop), 0);
    CHECK_EQ_UINT(run->done_count, 1);
    fake_server_finish(server);
}

/* The request of `op` from beginning to end. */
static void serve(struct run *run, const char *const *script, const struct store_request *request)
{
    struct fake_server server;
    fake_server_start(&server, script);
    begin(run, &server, request);
    while (!run->is_done) {
        (void)uv_run(&run->loop, UV_RUN_ONCE);
    }
    finish(run, &server);
}

/* The same, but nobody waits longer than the script. */
static void
serve_once(struct run *run, const char *const *script, const struct store_request *request)
{
    struct fake_server server;
    fake_server_start(&server, script);
    begin(run, &server, request);
    fake_server_outwait(&server, &run->loop, run->store, &run->op, &run->is_done);
    finish(run, &server);
}

static struct store_request request_of(enum store_verb verb, int64_t timeout_ms)
{
    return (struct store_request){ .verb = verb, .deadline = in_ms(timeout_ms) };
}

static struct store_request put_of(const struct store_put *items, uint32_t count)
{
    struct store_request request = request_of(STORE_PUT, 2000);
    request.as.put = (struct store_puts){ .queue = "q", .items = items, .count = count };
    return request;
}

static struct store_request take_of(uint32_t queue_count, int64_t wait_ms)
{
    struct store_request request = request_of(STORE_TAKE, 2000);
    request.as.take = (struct store_take){ .queues = queues,
                                           .queue_count = queue_count,
                                           .worker = "w",
                                           .count_max = 1,
                                           .answer_ns = 2000 * NS_PER_MS };
    if (wait_ms > 0) request.as.take.wait_until = in_ms(wait_ms);
    return request;
}

static struct store_request extend_of(const char *progress)
{
    struct store_request request = request_of(STORE_EXTEND, 2000);
    request.as.extend.claims = &claim;
    request.as.extend.count = 1;
    request.as.extend.lease_ms = 5000;
    request.as.extend.progress = progress;
    return request;
}

static struct store_request finish_of(struct store_finish finish)
{
    struct store_request request = request_of(STORE_FINISH, 2000);
    request.as.finish = finish;
    request.as.finish.claim = claim;
    return request;
}

/* ------------------------------------------------------------------ put */

TEST(queue_put_is_answered)
{
    static const char *const script[] = { "> HELLO 3", "> QUEUE.PUT q body", "<1 " PUT, NULL };
    struct store_put item = { .body = BYTES_LITERAL("body") };
    struct store_request request = put_of(&item, 1);
    struct run run;
    serve(&run, script, &request);
    CHECK_EQ_INT(run.err, TENURE_OK);
    CHECK_EQ_INT(run.put.err, TENURE_OK);
    CHECK_EQ_TEXT(run.id, "_1");
    CHECK(run.put.is_repeat);
    CHECK_EQ_INT(run.put.state, STORE_ITEM_READY);
}

TEST(queue_put_says_only_what_is_not_the_default)
{
    static const char *const script[] = {
        "> HELLO 3",
        "> QUEUE.PUT q b ID i GROUP g PRIORITY 9 HEADERS h DELAY 1 AT 2 EXPIRE 3 LEASE 4 "
        "TIMEOUT 5 ATTEMPTS 0 LAPSES 7 BACKOFF 8 BACKOFFMAX 9 FIXED JITTER 0 RETENTION 10 "
        "UNIQUE k WINDOW 11 CONFLICT keep_last AND b UNIQUE k UNTIL started CONFLICT ignore",
        "< *2\r\n" PUT
        "%3\r\n$7\r\noutcome\r\n$8\r\ntoo_many\r\n$6\r\nreason\r\n$4\r\nfull\r\n$2\r\nid\r\n$"
        "0\r\n\r\n",
        NULL,
    };
    struct store_put items[] = {
        { .id = "i",
          .group = "g",
          .headers = "h",
          .body = BYTES_LITERAL("b"),
          .priority = 9,
          .delay_ms = 1,
          .run_at_us = 1001, /* a part of a millisecond counts as one */
          .expire_ms = 3,
          .lease_ms = 4,
          .timeout_ms = 5,
          .attempts_max = STORE_NONE,
          .lapses_max = 7,
          .backoff_ms = 8,
          .backoff_ms_max = 9,
          .jitter_percent = STORE_NONE,
          .retention_ms = 10,
          .is_backoff_fixed = true,
          .unique_key = "k",
          .unique = STORE_UNIQUE_WINDOW,
          .conflict = STORE_CONFLICT_KEEP_LAST,
          .unique_ms = 11 },
        { .body = BYTES_LITERAL("b"), .unique_key = "k", .unique = STORE_UNIQUE_UNTIL_STARTED },
    };
    struct store_request request = put_of(items, 2);
    struct run run;
    serve(&run, script, &request);
    CHECK_EQ_INT(run.err, TENURE_OK);
    CHECK_EQ_UINT(run.count, 2);
    CHECK_EQ_INT(run.put.err, TENURE_TOO_MANY);
}

TEST(queue_put_is_sent_again_only_when_it_has_an_id)
{
    static const char *const named[] = {
        "> HELLO 3", "> QUEUE.PUT q b ID i", "x", "> HELLO 3", "> QUEUE.PUT q b ID i", "< " PUT,
        NULL,
    };
    static const char *const nameless[] = { "> HELLO 3", "> QUEUE.PUT q b", "x", NULL };
    struct store_put item = { .id = "i", .body = BYTES_LITERAL("b") };
    struct store_request request = put_of(&item, 1);
    struct run run;
    serve(&run, named, &request);
    CHECK_EQ_INT(run.err, TENURE_OK);
    item.id = NULL;
    request = put_of(&item, 1);
    serve(&run, nameless, &request);
    CHECK_EQ_INT(run.err, TENURE_UNKNOWN);
}

/* ------------------------------------------------------------------ take */

TEST(queue_take_of_what_is_there_needs_one_question)
{
    static const char *const script[] = {
        "> HELLO 3", "> QUEUE.TAKE q w COUNT 1 AND r", "<1 *1\r\n" ITEM, NULL
    };
    struct store_request request = take_of(2, 5000);
    struct run run;
    serve(&run, script, &request);
    CHECK_EQ_INT(run.err, TENURE_OK);
    CHECK_EQ_UINT(run.count, 1);
    CHECK_EQ_TEXT(run.id, "_1");
    CHECK_EQ_UINT(run.item.token, 42);
    CHECK_EQ_UINT(run.item.attempts, 2);
    CHECK_EQ_UINT(run.item.lease_ms, 5000);
    CHECK_EQ_INT(run.item.remaining_ms, 4000);
    CHECK_EQ_INT(run.item.state, STORE_ITEM_TAKEN);
    CHECK_EQ_UINT(run.item.body.size, 3);
    CHECK(memcmp(run.body, "a\r\n", 3) == 0);
}

TEST(queue_take_of_nothing_is_a_timeout)
{
    static const char *const script[] = {
        "> HELLO 3", "> QUEUE.TAKE q w COUNT 1", "< *0\r\n", NULL
    };
    struct store_request request = take_of(1, 0);
    struct run run;
    serve(&run, script, &request);
    CHECK_EQ_INT(run.err, TENURE_TIMEOUT);
    CHECK_EQ_TEXT(run.text, "there was nothing to take");
}

TEST(queue_take_waits_on_a_connection_of_its_own)
{
    /* The main connection stays as it is, behind the second one in the script. */
    static const char *const script[] = {
        "> HELLO 3", "> QUEUE.TAKE q w COUNT 1",        "< *0\r\n", "accept",
        "> HELLO 3", "> QUEUE.TAKE q w COUNT 1 WAIT *", "~ 50",     "< *1\r\n" ITEM,
        NULL,
    };
    struct store_request request = take_of(1, 5000);
    struct run run;
    serve(&run, script, &request);
    CHECK_EQ_INT(run.err, TENURE_OK);
    CHECK_EQ_UINT(run.item.token, 42);
}

TEST(queue_take_does_not_believe_nonsense)
{
    static const char *const answers[] = {
        "< +OK\r\n",
        "< *1\r\n:1\r\n",
        "< *1\r\n%1\r\n$5\r\ntoken\r\n:42\r\n",                        /* no lease */
        "< *1\r\n%2\r\n$5\r\ntoken\r\n:0\r\n$8\r\nlease_ms\r\n:5\r\n", /* no token */
        "< *1\r\n%2\r\n$5\r\ntoken\r\n:9007199254740992\r\n$8\r\nlease_ms\r\n:5\r\n",
        "< *2\r\n" ITEM ITEM, /* too many */
        "< _\r\n",
    };
    for (size_t index = 0; index < sizeof(answers) / sizeof(answers[0]); index++) {
        const char *const script[] = {
            "> HELLO 3", "> QUEUE.TAKE q w COUNT 1", answers[index], NULL
        };
        struct store_request request = take_of(1, 0);
        struct run run;
        test_note("answer %u", (unsigned)index);
        serve(&run, script, &request);
        CHECK_EQ_INT(run.err, TENURE_INTERNAL);
    }
}

/* ------------------------------------------------------------------ leases and ends */

TEST(queue_extend_tells_of_a_cancellation)
{
    static const char *const script[] = {
        "> HELLO 3", "> QUEUE.EXTEND q _1 42 LEASE 5000 PROGRESS half", "<1 " EXTENDED, NULL
    };
    struct store_request request = extend_of("half");
    struct run run;
    serve(&run, script, &request);
    CHECK_EQ_INT(run.err, TENURE_OK);
    CHECK_EQ_INT(run.renewal.err, TENURE_OK);
    CHECK_EQ_UINT(run.renewal.ttl_ms, 5000);
    CHECK_EQ_INT(run.renewal.remaining_ms, 4999);
    CHECK(run.renewal.is_cancelling);
}

TEST(queue_extend_of_a_lost_lease_is_an_answer)
{
    static const char *const script[] = {
        "> HELLO 3", "> QUEUE.EXTEND q _1 42 LEASE 5000", "< -LOST ready\r\n", NULL
    };
    struct store_request request = extend_of(NULL);
    struct run run;
    serve(&run, script, &request);
    CHECK_EQ_INT(run.err, TENURE_OK);
    CHECK_EQ_INT(run.renewal.err, TENURE_LOST);
}

TEST(queue_ends_are_told_in_their_words_and_again)
{
    static const char *const done[] = {
        "> HELLO 3", "> QUEUE.DONE q _1 42 RESULT yes", "x",
        "> HELLO 3", "> QUEUE.DONE q _1 42 RESULT yes", "< " ENDED("done", "4"),
        NULL,
    };
    static const char *const failed[] = {
        "> HELLO 3", "> QUEUE.FAIL q _1 42 REASON so DELAY 0 UNCOUNTED", "< -LOST taken\r\n", NULL
    };
    static const char *const backed_off[] = {
        "> HELLO 3", "> QUEUE.FAIL q _1 42", "< " ENDED("delayed", "7"), NULL
    };
    static const char *const buried[] = {
        "> HELLO 3", "> QUEUE.BURY q _1 42 REASON so", "< " ENDED("dead", "4"), NULL
    };
    struct run run;
    struct store_request request = finish_of(
        (struct store_finish){ .kind = STORE_FINISH_DONE, .result = BYTES_LITERAL("yes") });
    serve(&run, done, &request);
    CHECK_EQ_INT(run.err, TENURE_OK);
    request = finish_of(
        (struct store_finish){ .kind = STORE_FINISH_FAIL, .reason = "so", .is_free = true });
    serve(&run, failed, &request);
    CHECK_EQ_INT(run.err, TENURE_LOST);
    request = finish_of((struct store_finish){ .kind = STORE_FINISH_FAIL, .delay_ms = STORE_NONE });
    serve(&run, backed_off, &request);
    CHECK_EQ_INT(run.err, TENURE_OK);
    request = finish_of((struct store_finish){ .kind = STORE_FINISH_BURY, .reason = "so" });
    serve(&run, buried, &request);
    CHECK_EQ_INT(run.err, TENURE_OK);
}

/* The connection breaks behind an end: when the item is forgotten by the time at which it is said
 * again, nobody can know whether the first one counted. */
TEST(queue_end_is_not_called_lost_when_nobody_knows)
{
    static const char forgotten[] = "< -LOST the lease has ended, and the item is not known\r\n";
    static const char taken[] = "< -LOST the lease has ended; the item is taken by w\r\n";
    static const struct {
        const char *answer;
        bool is_again;
        enum tenure_err err;
    } rows[] = {
        { forgotten, false, TENURE_LOST },
        { forgotten, true, TENURE_UNKNOWN },
        { taken, true, TENURE_LOST },
    };
    static const char question[] = "> QUEUE.DONE q _1 42 RESULT yes";
    for (size_t index = 0; index < sizeof(rows) / sizeof(rows[0]); index++) {
        const char *const once[] = { "> HELLO 3", question, rows[index].answer, NULL };
        const char *const again[] = { "> HELLO 3", question,           "x", "> HELLO 3",
                                      question,    rows[index].answer, NULL };
        struct store_request request = finish_of(
            (struct store_finish){ .kind = STORE_FINISH_DONE, .result = BYTES_LITERAL("yes") });
        struct run run;
        test_note("row %u", (unsigned)index);
        serve(&run, rows[index].is_again ? again : once, &request);
        CHECK_EQ_INT(run.err, rows[index].err);
        if (run.err == TENURE_UNKNOWN) CHECK(strstr(run.text, "may have counted") != NULL);
    }
}

/* ------------------------------------------------------------------ looks */

TEST(queue_peek_and_await_tell_one_item)
{
    static const char *const peek[] = { "> HELLO 3", "> QUEUE.PEEK q STATE dead", "< _\r\n", NULL };
    static const char *const by_id[] = {
        "> HELLO 3", "> QUEUE.PEEK q ID _1", "<1 " ENDED("done", "4"), NULL
    };
    static const char *const early[] = {
        "> HELLO 3", "> QUEUE.AWAIT q _1", "< " ENDED("taken", "5"), NULL
    };
    static const char *const unknown[] = {
        "> HELLO 3", "> QUEUE.AWAIT q _1", "< -NOTFOUND\r\n", NULL
    };
    static const char *const nonsense[] = {
        "> HELLO 3", "> QUEUE.AWAIT q _1", "< " ENDED("busy", "4"), NULL
    };
    struct run run;
    struct store_request request = request_of(STORE_ITEM, 2000);
    request.as.item.queue = "q";
    request.as.item.state = STORE_ITEM_DEAD;
    serve(&run, peek, &request);
    CHECK_EQ_INT(run.err, TENURE_NOT_FOUND);
    request = request_of(STORE_ITEM, 2000);
    request.as.item.queue = "q";
    request.as.item.id = "_1";
    serve(&run, by_id, &request);
    CHECK_EQ_INT(run.err, TENURE_OK);
    CHECK_EQ_INT(run.item.state, STORE_ITEM_DONE);
    CHECK_EQ_TEXT(run.result, "yes");
    request = request_of(STORE_AWAIT, 2000);
    request.as.await_end.queue = "q";
    request.as.await_end.id = "_1";
    request.as.await_end.answer_ns = 2000 * NS_PER_MS;
    serve(&run, early, &request);
    CHECK_EQ_INT(run.err, TENURE_TIMEOUT);
    serve(&run, unknown, &request);
    CHECK_EQ_INT(run.err, TENURE_NOT_FOUND);
    serve(&run, nonsense, &request);
    CHECK_EQ_INT(run.err, TENURE_INTERNAL);
}

TEST(queue_lists_go_on_behind_each_page)
{
    static const char *const script[] = {
        "> HELLO 3",
        "> QUEUE.LIST q dead LIMIT 3",
        "<1 %2\r\n$5\r\nitems\r\n*2\r\n%1\r\n$2\r\nid\r\n$1\r\na\r\n%1\r\n$2\r\nid\r\n$1\r\nb\r\n"
        "$6\r\ncursor\r\n$3\r\n7:b\r\n",
        "> QUEUE.LIST q dead LIMIT 1 CURSOR 7:b",
        "< %2\r\n$5\r\nitems\r\n*1\r\n%1\r\n$2\r\nid\r\n$1\r\nc\r\n$6\r\ncursor\r\n$3\r\n9:c\r\n",
        NULL,
    };
    static const char *const broken[] = {
        "> HELLO 3",
        "> QUEUE.QUEUES PREFIX v LIMIT 100",
        "< "
        "%2\r\n$6\r\nqueues\r\n*1\r\n%1\r\n$4\r\nname\r\n$2\r\nv1\r\n$6\r\ncursor\r\n$2\r\nv1\r\n",
        "> QUEUE.QUEUES PREFIX v LIMIT 100 CURSOR v1",
        "x",
        "> HELLO 3",
        "> QUEUE.QUEUES PREFIX v LIMIT 100 CURSOR v1",
        "< %2\r\n$6\r\nqueues\r\n*1\r\n%1\r\n$4\r\nname\r\n$2\r\nv2\r\n$6\r\ncursor\r\n_\r\n",
        NULL,
    };
    struct run run;
    struct store_request request = request_of(STORE_ITEMS, 4000);
    request.as.items.queue = "q";
    request.as.items.state = STORE_ITEM_DEAD;
    request.as.items.count_max = 3;
    serve(&run, script, &request);
    CHECK_EQ_INT(run.err, TENURE_OK);
    CHECK_EQ_TEXT(run.told, "a b c ");
    request = request_of(STORE_QUEUES, 4000);
    request.as.queues.prefix = "v";
    serve(&run, broken, &request);
    CHECK_EQ_INT(run.err, TENURE_OK);
    CHECK_EQ_TEXT(run.told, "v1 v2 ");
}

TEST(queue_cursor_that_is_too_long_is_not_believed)
{
    static char answer[700];
    char cursor[400];
    (void)memset(cursor, 'c', sizeof(cursor) - 1);
    cursor[sizeof(cursor) - 1] = '\0';
    (void)snprintf(
        answer,
        sizeof(answer),
        "< %%2\r\n$5\r\nitems\r\n*0\r\n$6\r\ncursor\r\n$%zu\r\n%s\r\n",
        strlen(cursor),
        cursor);
    const char *const script[] = { "> HELLO 3", "> QUEUE.LIST q dead LIMIT 100", answer, NULL };
    struct run run;
    struct store_request request = request_of(STORE_ITEMS, 2000);
    request.as.items.queue = "q";
    request.as.items.state = STORE_ITEM_DEAD;
    serve(&run, script, &request);
    CHECK_EQ_INT(run.err, TENURE_INTERNAL);
}

TEST(queue_stat_counts_by_state)
{
    static const char *const script[] = {
        "> HELLO 3",
        "> QUEUE.STAT q",
        "<1 %5\r\n$4\r\nname\r\n$1\r\nq\r\n$6\r\npaused\r\n:1\r\n$6\r\ncounts\r\n%3\r\n"
        "$5\r\nready\r\n:3\r\n$4\r\ndead\r\n:4\r\n$3\r\nnew\r\n:5\r\n$9\r\noldest_ms\r\n:17\r\n"
        "$6\r\nlimits\r\n%2\r\n$11\r\nrunning_max\r\n:6\r\n$3\r\nnew\r\n*0\r\n",
        NULL,
    };
    struct run run;
    struct store_request request = request_of(STORE_QUEUE, 2000);
    request.as.queue.queue = "q";
    serve(&run, script, &request);
    CHECK_EQ_INT(run.err, TENURE_OK);
    CHECK(run.stat.is_paused);
    CHECK_EQ_UINT(run.stat.counts[STORE_ITEM_READY], 3);
    CHECK_EQ_UINT(run.stat.counts[STORE_ITEM_DEAD], 4);
    CHECK_EQ_UINT(run.stat.limits.running_max, 6);
    CHECK_EQ_INT(run.stat.oldest_ms, 17);
}

/* ------------------------------------------------------------------ administration */

TEST(queue_administration_is_said_in_its_words)
{
    static const char *const purge[] = {
        "> HELLO 3",
        "> QUEUE.PURGE q dead GROUP g REASON so LIMIT 5 CURSOR 1-2-3-a",
        "< %3\r\n$5\r\ncount\r\n:5\r\n$4\r\nmore\r\n:1\r\n"
        "$6\r\ncursor\r\n$7\r\n4-5-6-b\r\n",
        NULL
    };
    static const char *const redrive[] = { "> HELLO 3",
                                           "> QUEUE.REDRIVE q LIMIT 5 INTERVAL 9",
                                           "< %2\r\n$5\r\ncount\r\n:2\r\n$4\r\nmore\r\n:0\r\n",
                                           NULL };
    static const char *const limit[] = {
        "> HELLO 3",
        "> QUEUE.LIMIT q GROUP g RUNNING 1 SIZE 2 RATE 3 PER 4 BURST 5 WEIGHT 6",
        "< +OK\r\n",
        NULL
    };
    static const char *const pause[] = { "> HELLO 3", "> QUEUE.PAUSE q", "< +OK\r\n", NULL };
    static const char *const kick[] = { "> HELLO 3", "> QUEUE.KICK q _1", "x", NULL };
    struct run run;
    struct store_request request = request_of(STORE_SWEEP, 2000);
    request.as.sweep = (struct store_sweep){ .kind = STORE_SWEEP_PURGE,
                                             .queue = "q",
                                             .state = STORE_ITEM_DEAD,
                                             .group = "g",
                                             .reason = "so",
                                             .count_max = 5,
                                             .cursor = "1-2-3-a" };
    serve(&run, purge, &request);
    CHECK_EQ_UINT(run.swept_count, 5);
    CHECK(!run.is_swept);
    CHECK_EQ_TEXT(run.swept_cursor, "4-5-6-b");
    request.as.sweep = (struct store_sweep){
        .kind = STORE_SWEEP_REDRIVE, .queue = "q", .count_max = 5, .interval_ms = 9
    };
    serve(&run, redrive, &request);
    CHECK_EQ_UINT(run.swept_count, 2);
    CHECK(run.is_swept);
    const struct store_group_limits limits = { 1, 2, 3, 4, 5, 6 };
    request = request_of(STORE_SCOPE, 2000);
    request.as.scope = (struct store_scope){ STORE_SCOPE_LIMIT, "q", "g", &limits };
    serve(&run, limit, &request);
    CHECK_EQ_INT(run.err, TENURE_OK);
    request.as.scope = (struct store_scope){ STORE_SCOPE_PAUSE, "q", NULL, NULL };
    serve(&run, pause, &request);
    CHECK_EQ_INT(run.err, TENURE_OK);
    /* Said twice it may hit what has become of the item since. */
    request = request_of(STORE_ITEM_KICK, 2000);
    request.as.item_name.queue = "q";
    request.as.item_name.id = "_1";
    serve(&run, kick, &request);
    CHECK_EQ_INT(run.err, TENURE_UNKNOWN);
}

TEST(queue_answers_that_are_damaged_never_do_harm)
{
    static const char *const good[] = {
        PUT,
        "*1\r\n" ITEM,
        EXTENDED,
        ENDED("done", "4"),
        "%2\r\n$5\r\nitems\r\n*1\r\n%1\r\n$2\r\nid\r\n$1\r\na\r\n$6\r\ncursor\r\n_\r\n",
    };
    struct test_random random = { 5 };
    for (unsigned round = 0; round < 150; round++) {
        char answer[600];
        const char *text = good[test_random_below(&random, sizeof(good) / sizeof(good[0]))];
        (void)snprintf(answer, sizeof(answer), "< %s", text);
        size_t size = strlen(answer);
        for (unsigned i = 0; i < 3; i++) {
            answer[2 + test_random_below(&random, size - 2)] =
                (char)(1 + test_random_below(&random, 127));
        }
        const char *const script[] = { "> HELLO 3", "> QUEUE.TAKE q w COUNT 1", answer, "~ 3", "x",
                                       NULL };
        struct store_request request = take_of(1, 0);
        struct run run;
        serve_once(&run, script, &request);
    }
}
