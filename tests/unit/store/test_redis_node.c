/* The store on Redis against a server that says what a script says. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/test.h"
#include "store/store.h"
#include "unit/store/fake_server.h"

#define INFO                                                                                       \
    ("< $124\r\nredis_version:7.0.15\r\nrun_id:run1\r\nrole:master\r\nuptime_in_seconds:1000\r\n"  \
     "second_repl_offset:-1\r\nmaxmemory_policy:noeviction\r\n\r\n")
#define LOADED "> SCRIPT LOAD *", "< $1\r\nx\r\n"
#define SUBSCRIBED                                                                                 \
    ("< >3\r\n+subscribe\r\n+a\r\n:1\r\n>3\r\n+subscribe\r\n+b\r\n:2\r\n"                          \
     ">3\r\n+subscribe\r\n+c\r\n:3\r\n>3\r\n+subscribe\r\n+d\r\n:4\r\n")
#define GREETING                                                                                   \
    "> HELLO *", "> SELECT 0", "< +OK\r\n", "> INFO", INFO, "> CONFIG *", "< %0\r\n", "> TIME",    \
        "< *2\r\n$1\r\n5\r\n$1\r\n7\r\n", LOADED, LOADED, LOADED, LOADED, LOADED, LOADED,          \
        "> SUBSCRIBE *", SUBSCRIBED, "> UNSUBSCRIBE *", "< >3\r\n+unsubscribe\r\n+d\r\n:3\r\n",    \
        "> PUBSUB *", "< *2\r\n+x\r\n:0\r\n"
/* It has been let in before. */
#define LOOK "> EVALSHA * 1 tenure:node look"
#define VOTING                                                                                     \
    ("< *8\r\n:9\r\n:0\r\n:0\r\n:0\r\n:0\r\n"                                                      \
     "$45\r\nrun1 1:nodes=1:ttl-max=60000:0000000000000000\r\n"                                    \
     "$40\r\n1:nodes=1:ttl-max=60000:0000000000000000\r\n$4\r\nrun1\r\n")

struct run {
    uv_loop_t loop;
    struct store *store;
    struct store_op op;
    bool is_done;
    enum tenure_err err;
    char text[256];
};

static const char *const names[] = { "n" };

static void on_done(struct store_op *op, const struct store_result *result)
{
    struct run *run = CONTAINER_OF(op, struct run, op);
    CHECK(!run->is_done);
    run->is_done = true;
    run->err = result->err;
    const char *text = result->text;
    if (op->request.verb == STORE_INFO) text = result->as.info.nodes[0].trouble;
    (void)snprintf(run->text, sizeof(run->text), "%s", text == NULL ? "" : text);
}

static void
do_one(struct run *run, const char *url, enum store_verb verb, int64_t wait_ms, int64_t timeout_ms)
{
    const struct store_options options = {
        .loop = &run->loop, .memory = &memory_heap, .url = url, .seed = 7
    };
    struct tenure_error error;
    memset(run, 0, sizeof(*run));
    CHECK_EQ_INT(uv_loop_init(&run->loop), 0);
    CHECK_EQ_INT(tni_store_open(&options, &run->store, &error), TENURE_OK);
    run->op.done = on_done;
    run->op.request.verb = verb;
    run->op.request.deadline = (struct mono){ tni_store_now().ns + timeout_ms * NS_PER_MS };
    if (verb == STORE_ACQUIRE) {
        run->op.request.as.acquire = (struct store_acquire){
            .names = names,
            .name_count = 1,
            .owner = "o",
            .ttl_ms = 5000,
            .wait_until = { tni_store_now().ns + wait_ms * NS_PER_MS },
            .answer_ns = timeout_ms * NS_PER_MS,
            .slots = 1,
        };
    }
    tni_store_start(run->store, &run->op);
    while (!run->is_done) {
        (void)uv_run(&run->loop, UV_RUN_ONCE);
    }
    tni_store_close(run->store);
    (void)uv_run(&run->loop, UV_RUN_DEFAULT);
    CHECK_EQ_INT(uv_loop_close(&run->loop), 0);
}

/* The node is known for 40 ms, so a round waits 120 ms; the first vote is answered in the second.
 */
TEST(answer_to_an_older_round_is_no_vote)
{
    static const char *const script[] = {
        GREETING,
        LOOK,
        "~ 40",
        VOTING,
        "> EVALSHA * 5 n tenure:{n}:fence tenure:{n}:queue tenure:{n}:waiters tenure:node *",
        "~ 190",
        "< *2\r\n:1\r\n:5000\r\n",
        "~ 500",
        NULL,
    };
    struct fake_server server;
    struct run run;
    char url[64];
    fake_server_start(&server, script);
    (void)snprintf(url, sizeof(url), "redis://127.0.0.1:%u", server.port);
    do_one(&run, url, STORE_ACQUIRE, 400, 500);
    CHECK_EQ_INT(run.err, TENURE_UNAVAILABLE);
    fake_server_finish(&server);
}

/* A server that does not know HELLO says it again with all its words. */
TEST(password_is_not_shown_when_the_server_repeats_it)
{
    static const char *const script[] = {
        "? HELLO *",
        "< -ERR unknown command `HELLO`, with args beginning with: `3`, `AUTH`, `u`, `hunter2`\r\n",
        "~ 100",
        NULL,
    };
    struct fake_server server;
    struct run run;
    char url[64];
    fake_server_start(&server, script);
    (void)snprintf(url, sizeof(url), "redis://u:hunter2@127.0.0.1:%u", server.port);
    do_one(&run, url, STORE_INFO, 0, 1000);
    CHECK_EQ_INT(run.err, TENURE_OK);
    CHECK(strstr(run.text, "hunter2") == NULL);
    CHECK(strstr(run.text, "6.2") != NULL);
    fake_server_finish(&server);
}

TEST(server_that_answers_nonsense_does_not_vote)
{
    static const char *const script[] = {
        GREETING,       "> EVALSHA *", "< +what?\r\n", "accept",      GREETING,       "> EVALSHA *",
        "< +what?\r\n", "accept",      GREETING,       "> EVALSHA *", "< +what?\r\n", "accept",
        GREETING,       "> EVALSHA *", "< +what?\r\n", "~ 1500",      NULL,
    };
    struct fake_server server;
    struct run run;
    char url[64];
    fake_server_start(&server, script);
    (void)snprintf(url, sizeof(url), "redis://127.0.0.1:%u", server.port);
    do_one(&run, url, STORE_ACQUIRE, 0, 1500);
    CHECK_EQ_INT(run.err, TENURE_UNAVAILABLE);
    CHECK(strstr(run.text, "none of our scripts'") != NULL);
    fake_server_finish(&server);
}

/* An address without a host would be a path; over TLS it would be nothing at all. */
TEST(master_without_a_host_is_not_followed)
{
    static const char *const answers[] = {
        "< *2\r\n$0\r\n\r\n$4\r\n6379\r\n",
        "< *2\r\n$9\r\n127.0.0.1\r\n$5\r\n99999\r\n",
        "< *2\r\n$9\r\n127.0.0.1\r\n$2\r\n-1\r\n",
    };
    for (size_t index = 0; index < sizeof(answers) / sizeof(answers[0]); index++) {
        const char *const script[] = { "> HELLO *",
                                       "> SUBSCRIBE *",
                                       "< >3\r\n+subscribe\r\n+a\r\n:1\r\n",
                                       "> SENTINEL *",
                                       answers[index],
                                       "~ 250",
                                       NULL };
        struct fake_server server;
        struct run run;
        char url[64];
        fake_server_start(&server, script);
        (void)snprintf(url, sizeof(url), "redis+sentinel://127.0.0.1:%u/m", server.port);
        do_one(&run, url, STORE_ACQUIRE, 0, 200);
        CHECK_EQ_INT(run.err, TENURE_UNAVAILABLE);
        CHECK(strstr(run.text, "not known yet") != NULL);
        fake_server_finish(&server);
    }
}

/* Asked again, it answers no more. */
TEST_WITHIN(60, sentinel_that_falls_silent_is_dropped)
{
    static const char *const script[] = { "> HELLO *",
                                          "> SUBSCRIBE *",
                                          "< >3\r\n+subscribe\r\n+a\r\n:1\r\n",
                                          "> SENTINEL *",
                                          "< _\r\n",
                                          "> SENTINEL *",
                                          "~ 4100",
                                          NULL };
    struct fake_server server;
    struct run run;
    char url[64];
    fake_server_start(&server, script);
    (void)snprintf(url, sizeof(url), "redis+sentinel://127.0.0.1:%u/m", server.port);
    do_one(&run, url, STORE_ACQUIRE, 0, 4300);
    CHECK_EQ_INT(run.err, TENURE_UNAVAILABLE);
    CHECK(strstr(run.text, "no answer for 3 s") != NULL);
    fake_server_finish(&server);
}
