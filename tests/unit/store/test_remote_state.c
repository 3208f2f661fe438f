/* The verbs of registers, ranks and channels of the remote store, against a server that says what a
 * script says. */
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/fault_memory.h"
#include "lib/random.h"
#include "lib/test.h"
#include "store/remote/remote.h"
#include "unit/store/fake_server.h"

/* A value with a zero's neighbours and the end of a line in it, and every field that there is. */
#define REGISTER                                                                                   \
    "%8\r\n$4\r\nname\r\n$1\r\na\r\n$7\r\nversion\r\n:17\r\n$5\r\nvalue\r\n$4\r\nx\r\ny\r\n"       \
    "$6\r\nttl_ms\r\n:60000\r\n$12\r\nremaining_ms\r\n:59999\r\n$4\r\nlock\r\n$1\r\nl\r\n"         \
    "$5\r\ntoken\r\n:42\r\n$5\r\nlater\r\n*2\r\n:1\r\n%1\r\n$1\r\nk\r\n_\r\n"
#define PLAIN "%2\r\n$4\r\nname\r\n$1\r\nb\r\n$7\r\nversion\r\n:3\r\n"

struct run {
    uv_loop_t loop;
    struct store *store;
    struct store_op op;
    bool is_done;
    unsigned done_count;
    enum tenure_err err;
    char text[256];
    uint32_t count;
    struct store_register value; /* the last one; its texts are below */
    char name[64];
    char bytes[64];
    char lock[64];
    bool is_rank;
    bool is_member;
    bool is_otherwise;
    double score;
    int64_t position;
    uint64_t version;
    uint32_t listener_count;
    char told[256]; /* names and members, one after the other */
    unsigned told_count;
    unsigned stop_at; /* cancel when so many were told; 0: never */
};

static void keep(char *out_text, size_t text_size, const void *data, size_t size)
{
    CHECK(size < text_size);
    memcpy(out_text, data, size);
    out_text[size] = '\0';
}

static void keep_register(struct run *run, const struct store_register *value)
{
    run->value = *value;
    keep(run->name, sizeof(run->name), value->name, strlen(value->name));
    keep(run->bytes, sizeof(run->bytes), value->value.data, value->value.size);
    CHECK_EQ_INT(value->value.data[value->value.size], 0);
    keep(run->lock, sizeof(run->lock), value->lock, strlen(value->lock));
}

static void tell(struct run *run, const char *name)
{
    size_t size = strlen(run->told);
    run->told_count++;
    (void)snprintf(run->told + size, sizeof(run->told) - size, "%s ", name);
}

static void keep_transact(struct run *run, const struct store_result *result)
{
    run->count = result->as.transact.count;
    run->is_otherwise = result->as.transact.is_otherwise;
    for (uint32_t index = 0; index < run->count; index++) {
        const struct store_change_result *one = &result->as.transact.results[index];
        keep_register(run, &one->value);
        tell(run, one->value.name);
        run->is_rank = one->is_rank;
        run->is_member = one->is_member;
        run->score = one->score;
    }
}

static void keep_rank(struct run *run, const struct store_result *result)
{
    enum store_rank_kind kind = run->op.request.as.rank.kind;
    run->count = result->as.rank.count;
    run->position = result->as.rank.position;
    run->score = result->as.rank.score;
    bool is_list = kind == STORE_RANK_LIST;
    if (is_list) {
        keep(run->name, sizeof(run->name), result->as.rank.next, strlen(result->as.rank.next));
    }
    if (!is_list && kind != STORE_RANK_RANGE && kind != STORE_RANK_BY_SCORE) return;
    for (uint32_t index = 0; index < run->count; index++) {
        tell(run, result->as.rank.members[index].member);
        run->score = result->as.rank.members[index].score;
    }
}

static void on_done(struct store_op *op, const struct store_result *result)
{
    struct run *run = CONTAINER_OF(op, struct run, op);
    run->is_done = true;
    run->done_count++;
    run->err = result->err;
    (void)snprintf(run->text, sizeof(run->text), "%s", result->text == NULL ? "" : result->text);
    bool is_wait = op->request.verb == STORE_REGISTER_WAIT;
    if (is_wait && (result->err == TENURE_OK || result->err == TENURE_TIMEOUT)) {
        run->version = result->as.register_wait.version;
        keep_register(run, &result->as.register_wait.value);
    }
    if (result->err != TENURE_OK) return;
    if (op->request.verb == STORE_TRANSACT) keep_transact(run, result);
    if (op->request.verb == STORE_RANK) keep_rank(run, result);
    if (op->request.verb == STORE_PUBLISH) run->listener_count = result->as.listener_count;
}

static void on_register(struct store_op *op, const struct store_register *value)
{
    struct run *run = CONTAINER_OF(op, struct run, op);
    keep_register(run, value);
    tell(run, value->name);
    if (run->told_count == run->stop_at) tni_store_cancel(run->store, op);
}

/* ------------------------------------------------------------------ running */

static struct mono in_ms(int64_t duration_ms)
{
    return (struct mono){ tni_store_now().ns + duration_ms * NS_PER_MS };
}

/* The store is closed, and the loop. */
static void end(struct run *run)
{
    if (run->store != NULL) tni_store_close(run->store);
    (void)uv_run(&run->loop, UV_RUN_DEFAULT);
    CHECK_EQ_INT(uv_loop_close(&run->loop), 0);
}

/* False: there is no memory for a store.  Nobody waits longer than `dying` lives; NULL: they do. */
static bool serve_with(
    struct run *run,
    const char *url,
    const struct store_request *request,
    const struct memory *memory,
    const struct fake_server *dying)
{
    struct store_options options = { .loop = &run->loop, .memory = memory, .url = url, .seed = 7 };
    struct tenure_error error;
    CHECK_EQ_INT(uv_loop_init(&run->loop), 0);
    enum tenure_err err = tni_store_open(&options, &run->store, &error);
    if (err != TENURE_OK) {
        CHECK_EQ_INT(err, TENURE_NO_MEMORY);
        run->store = NULL;
        end(run);
        return false;
    }
    run->op = (struct store_op){ .request = *request, .done = on_done, .told = on_register };
    tni_store_start(run->store, &run->op);
    CHECK(!run->is_done);
    if (dying != NULL) {
        fake_server_outwait(dying, &run->loop, run->store, &run->op, &run->is_done);
    }
    while (!run->is_done) {
        (void)uv_run(&run->loop, UV_RUN_ONCE);
    }
    end(run);
    CHECK_EQ_UINT(run->done_count, 1);
    return true;
}

/* The request from beginning to end; `run` is zero, but for stop_at. */
static void serve(struct run *run, const char *const *script, const struct store_request *request)
{
    struct fake_server server;
    unsigned stop_at = run->stop_at;
    *run = (struct run){ .err = TENURE_INTERNAL, .stop_at = stop_at };
    fake_server_start(&server, script);
    CHECK(serve_with(run, server.url, request, &memory_heap, NULL));
    fake_server_finish(&server);
}

static void
serve_once(struct run *run, const char *const *script, const struct store_request *request)
{
    struct fake_server server;
    *run = (struct run){ .err = TENURE_INTERNAL };
    fake_server_start(&server, script);
    CHECK(serve_with(run, server.url, request, &memory_heap, &server));
    fake_server_finish(&server);
}

/* One question, one answer. */
static void
ask(struct run *run, const char *question, const char *answer, const struct store_request *request)
{
    char expected[1024];
    char told[1024];
    const char *const script[] = { "> HELLO 3", expected, told, NULL };
    (void)snprintf(expected, sizeof(expected), "> %s", question);
    CHECK(snprintf(told, sizeof(told), "<1 %s", answer) < (int)sizeof(told));
    run->stop_at = 0;
    serve(run, script, request);
}

static struct store_request transact_of(const struct store_change *changes, uint32_t count)
{
    struct store_request request = { .verb = STORE_TRANSACT, .deadline = in_ms(2000) };
    request.as.transact.changes = changes;
    request.as.transact.change_count = count;
    return request;
}

static struct store_request rank_of(struct store_rank rank)
{
    struct store_request request = { .verb = STORE_RANK, .deadline = in_ms(2000) };
    request.as.rank = rank;
    request.as.rank.rank = "r";
    return request;
}

static struct store_request wait_of(uint64_t version, int64_t wait_ms)
{
    struct store_request request = { .verb = STORE_REGISTER_WAIT, .deadline = in_ms(2000) };
    request.as.register_wait.name = "a";
    request.as.register_wait.version = version;
    request.as.register_wait.answer_ns = 2000 * NS_PER_MS;
    if (wait_ms > 0) request.as.register_wait.wait_until = in_ms(wait_ms);
    return request;
}

/* ------------------------------------------------------------------ transactions */

TEST(state_every_part_of_a_transaction_is_said)
{
    static const char question[] =
        "STATE.TXN GUARD l 5 GUARD m 9007199254740991 IF PRESENT a IF ABSENT b IF VERSION c 7 "
        "IF VALUE d v THEN SET a x TTL 1000 BIND l 5 SET b y KEEPTTL APPEND c z TTL 2592000000 "
        "INCR d -9223372036854775808 BIND m 6 GET e DEL f ELSE RANKGET r ann RANKADD r -1.5 bob "
        "RANKINCR r 1e+300 eve RANKREM r ann";
    static const struct store_guard guards[] = { { "l", 5 }, { "m", TOKEN_MAX } };
    static const struct store_condition conditions[] = {
        { .kind = STORE_IF_PRESENT, .name = "a" },
        { .kind = STORE_IF_ABSENT, .name = "b" },
        { .kind = STORE_IF_VERSION, .name = "c", .version = 7 },
        { .kind = STORE_IF_VALUE, .name = "d", .value = { "v", 1 } },
    };
    static const struct store_change changes[] = {
        { .kind = STORE_CHANGE_SET,
          .name = "a",
          .value = { "x", 1 },
          .ttl_ms = 1000,
          .bond = { "l", 5 } },
        { .kind = STORE_CHANGE_SET, .name = "b", .value = { "y", 1 }, .is_ttl_kept = true },
        { .kind = STORE_CHANGE_APPEND, .name = "c", .value = { "z", 1 }, .ttl_ms = 2592000000 },
        { .kind = STORE_CHANGE_INCR, .name = "d", .by = INT64_MIN, .bond = { "m", 6 } },
        { .kind = STORE_CHANGE_GET, .name = "e" },
        { .kind = STORE_CHANGE_REMOVE, .name = "f" },
    };
    static const struct store_change otherwise[] = {
        { .kind = STORE_CHANGE_RANK_GET, .name = "r", .member = "ann" },
        { .kind = STORE_CHANGE_RANK_ADD, .name = "r", .member = "bob", .score = -1.5 },
        { .kind = STORE_CHANGE_RANK_INCR, .name = "r", .member = "eve", .score = 1e300 },
        { .kind = STORE_CHANGE_RANK_REMOVE, .name = "r", .member = "ann" },
    };
    struct store_request request = transact_of(changes, 6);
    request.as.transact.guards = guards;
    request.as.transact.guard_count = 2;
    request.as.transact.conditions = conditions;
    request.as.transact.condition_count = 4;
    request.as.transact.otherwise = otherwise;
    request.as.transact.otherwise_count = 4;
    struct run run = { 0 };
    ask(&run, question, "*2\r\n:1\r\n*6\r\n" PLAIN PLAIN PLAIN PLAIN "_\r\n" REGISTER, &request);
    CHECK_EQ_INT(run.err, TENURE_OK);
    CHECK(!run.is_otherwise);
    CHECK_EQ_UINT(run.count, 6);
    CHECK_EQ_TEXT(run.told, "b b b b  a ");
    ask(&run, question, "*2\r\n:0\r\n*4\r\n_\r\n$4\r\n-1.5\r\n$1\r\n7\r\n$2\r\n.5\r\n", &request);
    CHECK_EQ_INT(run.err, TENURE_OK);
    CHECK(run.is_otherwise && run.is_rank && run.is_member);
    CHECK_EQ_UINT(run.count, 4);
    CHECK_EQ_TEXT(run.told, "r r r r ");
    CHECK(run.score > 0.4 && run.score < 0.6);
}

TEST(state_every_field_of_a_register_is_read)
{
    static const struct store_change get = { .kind = STORE_CHANGE_GET, .name = "a" };
    static const struct store_change member = { .kind = STORE_CHANGE_RANK_GET,
                                                .name = "r",
                                                .member = "ann" };
    struct store_request request = transact_of(&get, 1);
    struct run run = { 0 };
    ask(&run, "STATE.TXN THEN GET a", "*2\r\n:1\r\n*1\r\n" REGISTER, &request);
    CHECK_EQ_INT(run.err, TENURE_OK);
    CHECK_EQ_TEXT(run.name, "a");
    CHECK_EQ_UINT(run.value.version, 17);
    CHECK_EQ_TEXT(run.bytes, "x\r\ny");
    CHECK_EQ_UINT(run.value.ttl_ms, 60000);
    CHECK_EQ_INT(run.value.remaining_ms, 59999);
    CHECK_EQ_TEXT(run.lock, "l");
    CHECK_EQ_UINT(run.value.token, 42);
    ask(&run, "STATE.TXN THEN GET a", "*2\r\n:1\r\n*1\r\n" PLAIN, &request);
    CHECK_EQ_TEXT(run.name, "b");
    CHECK_EQ_UINT(run.value.version, 3);
    CHECK_EQ_TEXT(run.bytes, "");
    CHECK_EQ_TEXT(run.lock, "");
    CHECK_EQ_UINT(run.value.ttl_ms, 0);
    ask(&run, "STATE.TXN THEN GET a", "*2\r\n:1\r\n*1\r\n_\r\n", &request);
    CHECK_EQ_INT(run.err, TENURE_OK);
    CHECK_EQ_UINT(run.value.version, 0);
    request = transact_of(&member, 1);
    ask(&run, "STATE.TXN THEN RANKGET r ann", "*2\r\n:1\r\n*1\r\n_\r\n", &request);
    CHECK_EQ_INT(run.err, TENURE_OK);
    CHECK(run.is_rank && !run.is_member);
    CHECK_EQ_TEXT(run.name, "r");
}

TEST(state_transaction_that_is_refused_is_told_in_its_words)
{
    static const struct store_change set = { .kind = STORE_CHANGE_SET,
                                             .name = "a",
                                             .value = { "", 0 } };
    static const struct {
        const char *answer;
        enum tenure_err err;
    } rows[] = {
        { "-MISMATCH it has version 4\r\n", TENURE_MISMATCH },
        { "-STALE the hold has ended\r\n", TENURE_STALE_TOKEN },
        { "-NOTFOUND nobody has held it\r\n", TENURE_NOT_FOUND },
        { "-TOOLARGE 1\r\n", TENURE_TOO_LARGE },
    };
    for (size_t index = 0; index < sizeof(rows) / sizeof(rows[0]); index++) {
        char word[64];
        char answer[128];
        struct store_request request = transact_of(&set, 1);
        struct run run = { 0 };
        /* With the word that this outcome has, whatever it is. */
        (void)snprintf(word, sizeof(word), "%s", strchr(rows[index].answer, ' '));
        (void)snprintf(
            answer, sizeof(answer), "-%s%s", tenure_err_resp_word(rows[index].err), word);
        ask(&run, "STATE.TXN THEN SET a ", answer, &request);
        CHECK_EQ_INT(run.err, rows[index].err);
        CHECK(run.text[0] != '\0');
    }
}

TEST(state_change_is_not_sent_twice_and_a_look_is)
{
    static const struct store_change set = { .kind = STORE_CHANGE_SET,
                                             .name = "a",
                                             .value = { "x", 1 } };
    static const struct store_change get = { .kind = STORE_CHANGE_GET, .name = "a" };
    static const char *const changing[] = { "> HELLO 3", "> STATE.TXN THEN SET a x", "x", NULL };
    static const char *const looking[] = {
        "> HELLO 3", "> STATE.TXN THEN GET a", "x",
        "> HELLO 3", "> STATE.TXN THEN GET a", "< *2\r\n:1\r\n*1\r\n" REGISTER,
        NULL,
    };
    struct store_request request = transact_of(&set, 1);
    struct run run = { 0 };
    serve(&run, changing, &request);
    CHECK_EQ_INT(run.err, TENURE_UNKNOWN);
    request = transact_of(&get, 1);
    serve(&run, looking, &request);
    CHECK_EQ_INT(run.err, TENURE_OK);
    CHECK_EQ_TEXT(run.name, "a");
}

/* What is not the answer to this very question: no result is made up from it. */
TEST(state_transaction_does_not_believe_nonsense)
{
    static const char *const answers[] = {
        "+OK\r\n",
        "_\r\n",
        "*1\r\n:1\r\n",
        "*3\r\n:1\r\n*1\r\n_\r\n:1\r\n",
        "*2\r\n:1\r\n*0\r\n",
        "*2\r\n:1\r\n*2\r\n_\r\n_\r\n",
        "*2\r\n:1\r\n_\r\n",
        "*2\r\n:1\r\n*1\r\n:5\r\n",
        "*2\r\n:0\r\n*0\r\n",      /* there is no second list */
        "*2\r\n:0\r\n*1\r\n_\r\n", /* likewise */
        "*2\r\n+yes\r\n*1\r\n_\r\n",
        "*2\r\n:1\r\n*1\r\n%1\r\n$7\r\nversion\r\n:-1\r\n",
        "*2\r\n:1\r\n*1\r\n%1\r\n$6\r\nttl_ms\r\n:4294967296\r\n",
        "*2\r\n:1\r\n*1\r\n%1\r\n$5\r\nvalue\r\n:1\r\n",
        "*2\r\n:1\r\n*1\r\n%1\r\n$4\r\nname\r\n*0\r\n",
    };
    static const struct store_change get = { .kind = STORE_CHANGE_GET, .name = "a" };
    for (size_t index = 0; index < sizeof(answers) / sizeof(answers[0]); index++) {
        struct store_request request = transact_of(&get, 1);
        struct run run = { 0 };
        test_note("answer %u", (unsigned)index);
        ask(&run, "STATE.TXN THEN GET a", answers[index], &request);
        CHECK_EQ_INT(run.err, TENURE_INTERNAL);
    }
    static const struct store_change incr = { .kind = STORE_CHANGE_RANK_INCR,
                                              .name = "r",
                                              .member = "m" };
    static const char *const scores[] = { "$3\r\ninf\r\n", "$3\r\nnan\r\n", "$1\r\nx\r\n",
                                          "$0\r\n\r\n",    ":5\r\n",        "*0\r\n" };
    for (size_t index = 0; index < sizeof(scores) / sizeof(scores[0]); index++) {
        char answer[64];
        struct store_request request = transact_of(&incr, 1);
        struct run run = { 0 };
        test_note("score %u", (unsigned)index);
        (void)snprintf(answer, sizeof(answer), "*2\r\n:1\r\n*1\r\n%s", scores[index]);
        ask(&run, "STATE.TXN THEN RANKINCR r 0 m", answer, &request);
        CHECK_EQ_INT(run.err, TENURE_INTERNAL);
    }
}

/* ------------------------------------------------------------------ waiting */

TEST(state_wait_tells_what_has_changed)
{
    struct store_request request = wait_of(16, 0);
    struct run run = { 0 };
    ask(&run, "STATE.WAIT a 16 0", "*3\r\n:1\r\n:17\r\n" REGISTER, &request);
    CHECK_EQ_INT(run.err, TENURE_OK);
    CHECK_EQ_UINT(run.version, 17);
    CHECK_EQ_TEXT(run.bytes, "x\r\ny");
    ask(&run, "STATE.WAIT a 16 0", "*3\r\n:1\r\n:18\r\n_\r\n", &request);
    CHECK_EQ_INT(run.err, TENURE_OK);
    CHECK_EQ_UINT(run.version, 18);
    CHECK_EQ_UINT(run.value.version, 0);
    ask(&run, "STATE.WAIT a 16 0", "*3\r\n:0\r\n:16\r\n" PLAIN, &request);
    CHECK_EQ_INT(run.err, TENURE_TIMEOUT);
    CHECK_EQ_TEXT(run.text, "the register has not changed");
    CHECK_EQ_UINT(run.version, 16);
    CHECK_EQ_TEXT(run.name, "b");
}

TEST(state_wait_goes_on_when_the_server_gives_up_early)
{
    /* The first connection is the main one, which has nothing to do. */
    static const char *const script[] = {
        "> HELLO 3",
        "accept",
        "> HELLO 3",
        "> STATE.WAIT a 0 *",
        "< *3\r\n:0\r\n:0\r\n_\r\n",
        "> STATE.WAIT a 0 *",
        "<1 *3\r\n:1\r\n:3\r\n" PLAIN,
        NULL,
    };
    struct store_request request = wait_of(0, 60000);
    struct run run = { 0 };
    serve(&run, script, &request);
    CHECK_EQ_INT(run.err, TENURE_OK);
    CHECK_EQ_UINT(run.version, 3);
}

TEST(state_wait_does_not_believe_nonsense)
{
    static const char *const answers[] = {
        "+OK\r\n",
        "_\r\n",
        "*2\r\n:1\r\n:17\r\n",
        "*3\r\n:1\r\n:-17\r\n_\r\n",
        "*3\r\n:1\r\n:17\r\n:1\r\n",
        "*3\r\n_\r\n:17\r\n_\r\n",
    };
    for (size_t index = 0; index < sizeof(answers) / sizeof(answers[0]); index++) {
        struct store_request request = wait_of(0, 0);
        struct run run = { 0 };
        test_note("answer %u", (unsigned)index);
        ask(&run, "STATE.WAIT a 0 0", answers[index], &request);
        CHECK_EQ_INT(run.err, TENURE_INTERNAL);
    }
}

/* ------------------------------------------------------------------ lists */

static struct store_request list_of(const char *prefix)
{
    struct store_request request = { .verb = STORE_REGISTERS, .deadline = in_ms(2000) };
    request.as.registers.prefix = prefix;
    return request;
}

TEST(state_list_goes_on_behind_each_page)
{
    static const char *const script[] = {
        "> HELLO 3",
        "> STATE.LIST PREFIX p LIMIT 100",
        "<1 *2\r\n$1\r\na\r\n*1\r\n" REGISTER,
        "> STATE.LIST PREFIX p LIMIT 100 CURSOR a",
        "< *2\r\n$0\r\n\r\n*2\r\n" PLAIN PLAIN,
        NULL,
    };
    struct store_request request = list_of("p");
    struct run run = { 0 };
    serve(&run, script, &request);
    CHECK_EQ_INT(run.err, TENURE_OK);
    CHECK_EQ_TEXT(run.told, "a b b ");
    request = list_of(NULL);
    ask(&run, "STATE.LIST LIMIT 100", "*2\r\n_\r\n*0\r\n", &request);
    CHECK_EQ_INT(run.err, TENURE_OK);
    CHECK_EQ_UINT(run.told_count, 0);
    request = list_of("");
    ask(&run, "STATE.LIST LIMIT 100", "*2\r\n_\r\n*0\r\n", &request);
    CHECK_EQ_INT(run.err, TENURE_OK);
}

TEST(state_list_may_be_given_up_in_its_middle)
{
    static const char *const script[] = {
        "> HELLO 3", "> STATE.LIST LIMIT 100", "< *2\r\n$1\r\nb\r\n*2\r\n" REGISTER PLAIN, NULL
    };
    struct store_request request = list_of(NULL);
    struct run run = { .stop_at = 1 };
    serve(&run, script, &request);
    CHECK_EQ_INT(run.err, TENURE_CANCELED);
    CHECK_EQ_TEXT(run.told, "a ");
}

TEST(state_list_does_not_believe_nonsense)
{
    static char cursor[700];
    static const char *const answers[] = {
        "+OK\r\n",
        "*1\r\n_\r\n",
        "*2\r\n_\r\n_\r\n",
        "*2\r\n_\r\n*1\r\n:1\r\n",
        "*2\r\n:5\r\n*0\r\n",
        cursor, /* too long to be kept */
    };
    (void)snprintf(cursor, sizeof(cursor), "*2\r\n$600\r\n%0600d\r\n*0\r\n", 0);
    for (size_t index = 0; index < sizeof(answers) / sizeof(answers[0]); index++) {
        struct store_request request = list_of(NULL);
        struct run run = { 0 };
        test_note("answer %u", (unsigned)index);
        ask(&run, "STATE.LIST LIMIT 100", answers[index], &request);
        CHECK_EQ_INT(run.err, TENURE_INTERNAL);
    }
}

/* ------------------------------------------------------------------ ranks */

static const char *const members[] = { "ann", "bob" };
static const double scores[] = { 0.1, -3 };

TEST(state_ranks_are_changed_in_their_words)
{
    static const struct {
        struct store_rank rank;
        const char *question;
    } rows[] = {
        { { .kind = STORE_RANK_ADD, .members = members, .scores = scores, .count = 2 },
          "RANK.ADD r CH 0.1 ann -3 bob" },
        { { .kind = STORE_RANK_ADD,
            .members = members,
            .scores = scores,
            .count = 1,
            .is_new_only = true },
          "RANK.ADD r NX CH 0.1 ann" },
        { { .kind = STORE_RANK_ADD,
            .members = members,
            .scores = scores,
            .count = 1,
            .is_old_only = true,
            .is_raise_only = true,
            .is_lower_only = true },
          "RANK.ADD r XX GT LT CH 0.1 ann" },
        { { .kind = STORE_RANK_REMOVE, .members = members, .count = 2 }, "RANK.REM r ann bob" },
        { { .kind = STORE_RANK_TRIM, .first = -5, .last = -1 }, "RANK.TRIM r -5 -1" },
        { { .kind = STORE_RANK_COUNT, .least = { -HUGE_VAL, false }, .most = { HUGE_VAL, false } },
          "RANK.COUNT r -inf inf" },
        { { .kind = STORE_RANK_COUNT, .least = { 1, true }, .most = { 2.5, false } },
          "RANK.COUNT r (1 2.5" },
    };
    for (size_t index = 0; index < sizeof(rows) / sizeof(rows[0]); index++) {
        struct store_request request = rank_of(rows[index].rank);
        struct run run = { 0 };
        test_note("row %u", (unsigned)index);
        ask(&run, rows[index].question, ":4294967295\r\n", &request);
        CHECK_EQ_INT(run.err, TENURE_OK);
        CHECK_EQ_UINT(run.count, UINT32_MAX);
        ask(&run, rows[index].question, ":4294967296\r\n", &request);
        CHECK_EQ_INT(run.err, TENURE_INTERNAL);
        ask(&run, rows[index].question, "_\r\n", &request);
        CHECK_EQ_INT(run.err, TENURE_INTERNAL);
    }
}

TEST(state_one_member_is_found_or_not)
{
    struct store_request score =
        rank_of((struct store_rank){ .kind = STORE_RANK_SCORE, .members = members, .count = 1 });
    struct store_request position =
        rank_of((struct store_rank){ .kind = STORE_RANK_POSITION, .members = members, .count = 1 });
    struct run run = { 0 };
    ask(&run, "RANK.SCORE r ann", "$5\r\n-1e-7\r\n", &score);
    CHECK_EQ_INT(run.err, TENURE_OK);
    CHECK(run.score < 0 && run.score > -1e-6);
    ask(&run, "RANK.SCORE r ann", "_\r\n", &score);
    CHECK_EQ_INT(run.err, TENURE_NOT_FOUND);
    CHECK_EQ_TEXT(run.text, "the rank has no such member");
    ask(&run, "RANK.SCORE r ann", ":1\r\n", &score);
    CHECK_EQ_INT(run.err, TENURE_INTERNAL);
    ask(&run, "RANK.POSITION r ann", ":0\r\n", &position);
    CHECK_EQ_INT(run.err, TENURE_OK);
    CHECK_EQ_INT(run.position, 0);
    ask(&run, "RANK.POSITION r ann", "_\r\n", &position);
    CHECK_EQ_INT(run.err, TENURE_NOT_FOUND);
    ask(&run, "RANK.POSITION r ann", ":-1\r\n", &position); /* nobody stands there */
    CHECK_EQ_INT(run.err, TENURE_INTERNAL);
    position.as.rank.is_reversed = true;
    ask(&run, "RANK.POSITION r ann REV", ":7\r\n", &position);
    CHECK_EQ_INT(run.position, 7);
}

TEST(state_ranges_are_asked_for_and_read)
{
    static const struct {
        struct store_rank rank;
        const char *question;
    } rows[] = {
        { { .kind = STORE_RANK_RANGE, .first = 0, .last = -1 }, "RANK.RANGE r 0 -1" },
        { { .kind = STORE_RANK_RANGE, .first = INT64_MIN, .last = INT64_MAX, .is_reversed = true },
          "RANK.RANGE r -9223372036854775808 9223372036854775807 REV" },
        { { .kind = STORE_RANK_BY_SCORE, .least = { -HUGE_VAL, true }, .most = { 5, true } },
          "RANK.BYSCORE r -inf (5 LIMIT 0 1000" },
        { { .kind = STORE_RANK_BY_SCORE,
            .least = { 1, false },
            .most = { HUGE_VAL, false },
            .offset = 3,
            .count = 9,
            .is_reversed = true },
          "RANK.BYSCORE r inf 1 REV LIMIT 3 9" },
    };
    for (size_t index = 0; index < sizeof(rows) / sizeof(rows[0]); index++) {
        struct store_request request = rank_of(rows[index].rank);
        struct run run = { 0 };
        test_note("row %u", (unsigned)index);
        ask(&run,
            rows[index].question,
            "*4\r\n$3\r\nann\r\n$1\r\n1\r\n$3\r\nbob\r\n$3\r\n2.5\r\n",
            &request);
        CHECK_EQ_INT(run.err, TENURE_OK);
        CHECK_EQ_UINT(run.count, 2);
        CHECK_EQ_TEXT(run.told, "ann bob ");
        CHECK(run.score > 2.4 && run.score < 2.6);
        ask(&run, rows[index].question, "*0\r\n", &request);
        CHECK_EQ_INT(run.err, TENURE_OK);
        CHECK_EQ_UINT(run.count, 0);
    }
    static const char *const bad[] = { "*1\r\n$3\r\nann\r\n",
                                       "_\r\n",
                                       "+OK\r\n",
                                       "*2\r\n$3\r\nann\r\n$3\r\ninf\r\n",
                                       "*2\r\n:1\r\n$1\r\n1\r\n" };
    for (size_t index = 0; index < sizeof(bad) / sizeof(bad[0]); index++) {
        struct store_request request = rank_of(rows[0].rank);
        struct run run = { 0 };
        test_note("bad %u", (unsigned)index);
        ask(&run, rows[0].question, bad[index], &request);
        CHECK_EQ_INT(run.err, TENURE_INTERNAL);
    }
}

TEST(state_ranks_are_listed_page_by_page)
{
    struct store_request request = { .verb = STORE_RANK, .deadline = in_ms(2000) };
    struct run run = { 0 };
    request.as.rank = (struct store_rank){ .kind = STORE_RANK_LIST, .rank = "p", .after = "" };
    ask(&run,
        "RANK.LIST PREFIX p LIMIT 100",
        "*2\r\n$2\r\npb\r\n*4\r\n$2\r\npa\r\n:3\r\n$2\r\npb\r\n:4294967295\r\n",
        &request);
    CHECK_EQ_INT(run.err, TENURE_OK);
    CHECK_EQ_TEXT(run.told, "pa pb ");
    CHECK_EQ_TEXT(run.name, "pb");
    CHECK(run.score > 4294967294.5);
    request.as.rank.rank = NULL;
    request.as.rank.after = "pb";
    ask(&run, "RANK.LIST LIMIT 100 CURSOR pb", "*2\r\n$0\r\n\r\n*0\r\n", &request);
    CHECK_EQ_INT(run.err, TENURE_OK);
    CHECK_EQ_TEXT(run.name, "");
    static const char *const bad[] = { "*0\r\n",
                                       "*2\r\n_\r\n*1\r\n$1\r\na\r\n",
                                       "*2\r\n_\r\n*2\r\n$1\r\na\r\n:-1\r\n",
                                       "*2\r\n:1\r\n*0\r\n",
                                       "_\r\n" };
    for (size_t index = 0; index < sizeof(bad) / sizeof(bad[0]); index++) {
        test_note("bad %u", (unsigned)index);
        ask(&run, "RANK.LIST LIMIT 100 CURSOR pb", bad[index], &request);
        CHECK_EQ_INT(run.err, TENURE_INTERNAL);
    }
}

TEST(state_rank_is_changed_once_and_looked_at_again)
{
    static const char *const changing[] = { "> HELLO 3", "> RANK.REM r ann", "x", NULL };
    static const char *const looking[] = {
        "> HELLO 3",          "> RANK.SCORE r ann", "x",  "> HELLO 3",
        "> RANK.SCORE r ann", "< $1\r\n4\r\n",      NULL,
    };
    struct store_request request =
        rank_of((struct store_rank){ .kind = STORE_RANK_REMOVE, .members = members, .count = 1 });
    struct run run = { 0 };
    serve(&run, changing, &request);
    CHECK_EQ_INT(run.err, TENURE_UNKNOWN);
    request.as.rank.kind = STORE_RANK_SCORE;
    serve(&run, looking, &request);
    CHECK_EQ_INT(run.err, TENURE_OK);
}

/* ------------------------------------------------------------------ channels */

TEST(state_message_is_published_once)
{
    static const char *const broken[] = { "> HELLO 3", "> PUBLISH c hello", "x", NULL };
    struct store_request request = { .verb = STORE_PUBLISH, .deadline = in_ms(2000) };
    request.as.publish.channel = "c";
    request.as.publish.message = BYTES_LITERAL("hello");
    struct run run = { 0 };
    ask(&run, "PUBLISH c hello", ":3\r\n", &request);
    CHECK_EQ_INT(run.err, TENURE_OK);
    CHECK_EQ_UINT(run.listener_count, 3);
    ask(&run, "PUBLISH c hello", ":-1\r\n", &request);
    CHECK_EQ_INT(run.err, TENURE_INTERNAL);
    ask(&run, "PUBLISH c hello", "+OK\r\n", &request);
    CHECK_EQ_INT(run.err, TENURE_INTERNAL);
    serve(&run, broken, &request);
    CHECK_EQ_INT(run.err, TENURE_UNKNOWN);
}

/* ------------------------------------------------------------------ damage, memory */

TEST(state_answers_that_are_damaged_never_do_harm)
{
    static const struct store_change get = { .kind = STORE_CHANGE_GET, .name = "a" };
    static const char *const good[] = {
        "*2\r\n:1\r\n*1\r\n" REGISTER,
        "*3\r\n:1\r\n:17\r\n" REGISTER,
        "*2\r\n$0\r\n\r\n*2\r\n" REGISTER PLAIN,
        "*4\r\n$3\r\nann\r\n$1\r\n1\r\n$3\r\nbob\r\n$3\r\n2.5\r\n",
    };
    static const char *const questions[] = { "> STATE.TXN THEN GET a",
                                             "> STATE.WAIT a 0 0",
                                             "> STATE.LIST LIMIT 100",
                                             "> RANK.RANGE r 0 -1" };
    struct test_random random = { 11 };
    for (unsigned round = 0; round < 200; round++) {
        unsigned kind = (unsigned)test_random_below(&random, 4);
        const struct store_request requests[] = { transact_of(&get, 1),
                                                  wait_of(0, 0),
                                                  list_of(NULL),
                                                  rank_of((struct store_rank){
                                                      .kind = STORE_RANK_RANGE, .last = -1 }) };
        char answer[600];
        (void)snprintf(answer, sizeof(answer), "< %s", good[kind]);
        size_t size = strlen(answer);
        for (unsigned i = 0; i < 3; i++) {
            answer[2 + test_random_below(&random, size - 2)] =
                (char)(1 + test_random_below(&random, 127));
        }
        const char *const script[] = { "> HELLO 3", questions[kind], answer, "~ 3", "x", NULL };
        struct run run = { 0 };
        serve_once(&run, script, &requests[kind]);
    }
}

/* What was read has happened: want of memory does not make it undone. */
static void
check_want_of_memory(const char *question, const char *answer, const struct store_request *request)
{
    for (uint64_t n = 1;; n++) {
        const char *const script[] = { "> HELLO 3", question, answer, NULL };
        struct fault_memory fault;
        struct fake_server server;
        struct run run = { .err = TENURE_NO_MEMORY };
        struct store_request again = *request;
        again.deadline = in_ms(1000);
        test_note("%s: allocation %u fails", question, (unsigned)n);
        fault_memory_init(&fault, n);
        fake_server_start(&server, script);
        (void)serve_with(&run, server.url, &again, &fault.memory, NULL);
        fault_memory_check_empty(&fault);
        bool is_untold =
            run.err == TENURE_UNKNOWN && strstr(run.text, "memory for the answer") != NULL;
        bool is_expected = run.err == TENURE_OK || run.err == TENURE_NO_MEMORY || is_untold ||
                           strstr(run.text, "no memory") != NULL;
        if (!is_expected) FAIL("%s: %s", tenure_err_name(run.err), run.text);
        if (run.err != TENURE_OK) (void)shutdown(server.listener, SHUT_RDWR);
        (void)pthread_join(server.thread, NULL);
        (void)close(server.listener);
        if (server.connection >= 0) (void)close(server.connection);
        if (!fault.has_failed) break;
    }
}

TEST(state_every_allocation_may_fail)
{
    static const struct store_change changes[] = {
        { .kind = STORE_CHANGE_GET, .name = "a" },
        { .kind = STORE_CHANGE_GET, .name = "b" },
    };
    struct store_request request = transact_of(changes, 2);
    check_want_of_memory(
        "> STATE.TXN THEN GET a GET b", "< *2\r\n:1\r\n*2\r\n" REGISTER PLAIN, &request);
    request = rank_of((struct store_rank){ .kind = STORE_RANK_RANGE, .last = -1 });
    check_want_of_memory("> RANK.RANGE r 0 -1", "< *2\r\n$3\r\nann\r\n$1\r\n1\r\n", &request);
}
