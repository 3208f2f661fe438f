/* What libtenure tells of a loss, of an overlap, and of what a store cannot promise. */
#include <tenure/tenure.h>

#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "integration/tenured.h"
#include "lib/fault_proxy.h"
#include "lib/test.h"

static int64_t now_ms(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_BOOTTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void sleep_ms(unsigned duration_ms)
{
    struct timespec pause = { duration_ms / 1000, (long)(duration_ms % 1000) * 1000000 };
    (void)nanosleep(&pause, NULL);
}

static bool is_readable(int fd, int limit_ms)
{
    struct pollfd entry = { .fd = fd, .events = POLLIN };
    return poll(&entry, 1, limit_ms) == 1 && (entry.revents & POLLIN) != 0;
}

static struct tenure_client open_client(const char *url)
{
    struct tenure_client_options options = { .size = sizeof(options),
                                             .url = url,
                                             .timeout_ms = 3000 };
    struct tenure_client client = { 0 };
    CHECK_EQ_INT(tenure_client_open(&options, &client, NULL), TENURE_OK);
    return client;
}

static const char *const names[] = { "deploy/prod" };

static struct tenure_lock_options terms(uint32_t ttl_ms, uint32_t wait_ms)
{
    return (struct tenure_lock_options){ .size = sizeof(struct tenure_lock_options),
                                         .names = names,
                                         .name_count = 1,
                                         .ttl_ms = ttl_ms,
                                         .wait_ms = wait_ms };
}

static struct tenure_hold
lock_with(struct tenure_client client, const struct tenure_lock_options *options)
{
    struct tenure_hold hold = { 0 };
    struct tenure_error error;
    if (tenure_lock(client, options, &hold, NULL, &error) != TENURE_OK) FAIL("%s", error.text);
    return hold;
}

static struct tenure_hold lock(struct tenure_client client, uint32_t ttl_ms)
{
    struct tenure_lock_options options = terms(ttl_ms, 5000);
    return lock_with(client, &options);
}

static int loss_fd(struct tenure_hold hold)
{
    int fd = -1;
    CHECK_EQ_INT(tenure_hold_fd(hold, &fd), TENURE_OK);
    CHECK(fd >= 0);
    return fd;
}

/* ------------------------------------------------------------------ the descriptor */

TEST(loss_fd_is_readable_at_the_deadline_and_not_before)
{
    struct tenured server;
    tenured_start(&server);
    struct tenure_client client = open_client(server.url);
    struct tenure_hold hold = lock(client, 600);
    int fd = loss_fd(hold);
    CHECK(!is_readable(fd, 1500)); /* it is renewed */
    tenured_signal(&server, SIGSTOP);
    struct tenure_hold_info info;
    do {
        sleep_ms(1);
        CHECK_EQ_INT(tenure_hold_info(hold, &info), TENURE_OK);
    } while (info.state == TENURE_HOLD_HELD);
    CHECK_EQ_INT(info.state, TENURE_HOLD_AT_RISK);
    CHECK(!is_readable(fd, 0));
    CHECK(tenure_hold_valid(hold));
    int64_t left_ms = tenure_hold_remaining_ms(hold);
    int64_t before_ms = now_ms();
    CHECK(is_readable(fd, 20000));
    CHECK(!tenure_hold_valid(hold));
    CHECK_LE_INT(left_ms, now_ms() - before_ms + 1);
    tenured_signal(&server, SIGCONT);
    sleep_ms(200); /* the answers that come now save nothing */
    CHECK(is_readable(fd, 0));
    int late = loss_fd(hold);
    CHECK(is_readable(late, 0));
    (void)close(late);
    CHECK_EQ_INT(tenure_hold_release(hold, NULL), TENURE_OK);
    CHECK(is_readable(fd, 0));
    CHECK_EQ_INT(tenure_hold_fd(hold, &late), TENURE_INVALID);
    (void)close(fd);
    tenure_client_close(client);
    tenured_remove(&server);
}

static _Atomic bool is_blocked;

static void block_thread(struct tenure_hold hold, int64_t remaining_ms, void *user)
{
    (void)hold;
    (void)remaining_ms;
    (void)user;
    atomic_store(&is_blocked, true);
    sleep_ms(1500);
    atomic_store(&is_blocked, false);
}

TEST(loss_fd_needs_no_thread_of_the_library)
{
    struct tenured server;
    tenured_start(&server);
    struct tenure_client client = open_client(server.url);
    struct tenure_lock_options options = terms(600, 0);
    options.on_at_risk = block_thread;
    struct tenure_hold hold = lock_with(client, &options);
    int fd = loss_fd(hold);
    tenured_signal(&server, SIGSTOP);
    CHECK(is_readable(fd, 20000));
    CHECK(atomic_load(&is_blocked));
    CHECK(!tenure_hold_valid(hold));
    tenured_signal(&server, SIGCONT);
    (void)close(fd);
    tenure_client_close(client);
    tenured_remove(&server);
}

TEST(loss_fd_tells_every_end)
{
    struct tenured server;
    tenured_start(&server);
    struct tenure_client client = open_client(server.url);
    for (unsigned round = 0; round < 4; round++) {
        struct tenure_hold hold = lock(client, 60000);
        int fd = loss_fd(hold);
        int second = loss_fd(hold);
        CHECK(fd != second);
        CHECK(!is_readable(fd, 50));
        uint64_t token = tenure_hold_token(hold);
        struct tenure_claim claim = { names[0], "x", token };
        struct tenure_hold_info info;
        CHECK_EQ_INT(tenure_hold_info(hold, &info), TENURE_OK);
        claim.owner = info.owner;
        if (round == 0) {
            CHECK_EQ_INT(tenure_break(client, names[0], token, "test", 0, NULL), TENURE_OK);
        } else if (round == 1) {
            CHECK_EQ_INT(tenure_hold_release(hold, NULL), TENURE_OK);
        } else if (round == 2) {
            /* The texts of a hold go with it. */
            char owner[256];
            (void)strcpy(owner, info.owner); // NOLINT: an owner has 255 bytes at most
            claim.owner = owner;
            tenure_hold_forget(hold);
            CHECK_EQ_INT(tenure_claim_release(client, &claim, NULL, NULL), TENURE_OK);
        } else {
            tenure_client_close(client);
        }
        CHECK(is_readable(fd, 5000));
        CHECK(is_readable(second, 0));
        CHECK(!tenure_hold_valid(hold));
        (void)close(fd);
        (void)close(second);
        if (round == 0) CHECK_EQ_INT(tenure_hold_release(hold, NULL), TENURE_OK);
    }
    tenured_remove(&server);
}

TEST(loss_fd_without_a_ttl)
{
    struct tenured server;
    tenured_start(&server);
    struct tenure_client client = open_client(server.url);
    struct tenure_lock_options options = terms(0, 0);
    options.is_unlimited = true;
    struct tenure_hold hold = lock_with(client, &options);
    int fd = loss_fd(hold);
    CHECK(!is_readable(fd, 300));
    uint64_t token = tenure_hold_token(hold);
    CHECK_EQ_INT(tenure_break(client, names[0], token, "test", 0, NULL), TENURE_OK);
    CHECK(is_readable(fd, 10000));
    (void)close(fd);
    tenure_client_close(client);
    tenured_remove(&server);
}

/* A helper process is handed the descriptor; then the holder is killed. */
TEST(loss_fd_works_in_another_process_when_the_holder_is_dead)
{
    struct tenured server;
    int pipe_fds[2];
    tenured_start(&server);
    CHECK(pipe(pipe_fds) == 0);
    pid_t holder = fork();
    CHECK(holder >= 0);
    if (holder == 0) {
        struct tenure_client client = open_client(server.url);
        int fd = loss_fd(lock(client, 1000));
        pid_t helper = fork();
        if (helper == 0) {
            char word = is_readable(fd, 0) ? '!' : 'h';
            (void)!write(pipe_fds[1], &word, 1);
            word = is_readable(fd, 20000) ? 'l' : '!';
            (void)!write(pipe_fds[1], &word, 1);
            _exit(0);
        }
        for (;;) {
            (void)pause();
        }
    }
    char word = '?';
    CHECK_EQ_INT(read(pipe_fds[0], &word, 1), 1);
    CHECK_EQ_INT(word, 'h');
    CHECK(!is_readable(pipe_fds[0], 2000));
    CHECK(kill(holder, SIGKILL) == 0);
    int64_t before_ms = now_ms();
    CHECK_EQ_INT(read(pipe_fds[0], &word, 1), 1);
    CHECK_EQ_INT(word, 'l');
    CHECK(now_ms() - before_ms <= 1500);
    (void)waitpid(holder, NULL, 0);
    tenured_remove(&server);
}

/* ------------------------------------------------------------------ the overlap */

TEST(release_tells_for_how_long_somebody_else_may_have_been_in)
{
    struct tenured server;
    char url[64];
    struct tenure_release release;
    tenured_start(&server);
    struct fault_proxy *proxy = fault_proxy_start(0, server.port);
    (void)snprintf(url, sizeof(url), "tenure://127.0.0.1:%u", (unsigned)fault_proxy_port(proxy));
    struct tenure_client far = open_client(url);
    struct tenure_client near = open_client(server.url);
    struct tenure_hold hold = lock(far, 600);
    int fd = loss_fd(hold);
    fault_proxy_set(proxy, FAULT_PROXY_UP, FAULT_PROXY_STALL);
    CHECK(is_readable(fd, 20000));
    int64_t lost_at_ms = now_ms();
    struct tenure_hold next = lock(near, 60000);
    sleep_ms(700); /* and works on */
    fault_proxy_set(proxy, FAULT_PROXY_UP, FAULT_PROXY_PASS);
    int64_t after_ms = now_ms() - lost_at_ms;
    CHECK_EQ_INT(tenure_hold_release(hold, &release), TENURE_OK);
    CHECK_EQ_INT(release.end, TENURE_END_EXPIRED_TAKEN);
    CHECK_EQ_UINT(release.successor, tenure_hold_token(next));
    CHECK_LE_INT(after_ms - 5, release.overlap_ms);
    CHECK_LE_INT(release.overlap_ms, after_ms + 200);
    (void)close(fd);

    /* Nobody came: nobody was in. */
    CHECK_EQ_INT(tenure_hold_release(next, &release), TENURE_OK);
    CHECK_EQ_INT(release.end, TENURE_END_RELEASED);
    CHECK_EQ_INT(release.overlap_ms, 0);
    hold = lock(far, 600);
    fault_proxy_set(proxy, FAULT_PROXY_UP, FAULT_PROXY_STALL);
    while (tenure_hold_valid(hold)) {
        sleep_ms(1);
    }
    sleep_ms(200);
    fault_proxy_set(proxy, FAULT_PROXY_UP, FAULT_PROXY_PASS);
    CHECK_EQ_INT(tenure_hold_release(hold, &release), TENURE_OK);
    CHECK_EQ_INT(release.end, TENURE_END_EXPIRED_UNCLAIMED);
    CHECK_EQ_INT(release.overlap_ms, 0);

    /* An administrator: from the last moment that is known to have been good. */
    hold = lock(near, 600);
    uint64_t token = tenure_hold_token(hold);
    CHECK_EQ_INT(tenure_break(near, names[0], token, "test", 0, NULL), TENURE_OK);
    while (tenure_hold_valid(hold)) {
        sleep_ms(1);
    }
    sleep_ms(300);
    CHECK_EQ_INT(tenure_hold_release(hold, &release), TENURE_OK);
    CHECK_EQ_INT(release.end, TENURE_END_BROKEN);
    CHECK_LE_INT(300, release.overlap_ms);
    CHECK_LE_INT(release.overlap_ms, 1200);

    struct tenure_claim claim = { names[0], "nobody", token };
    CHECK_EQ_INT(tenure_claim_release(near, &claim, &release, NULL), TENURE_OK);
    CHECK_EQ_INT(release.end, TENURE_END_NOT_OWNER);
    CHECK_EQ_INT(release.overlap_ms, -1);
    tenure_client_close(far);
    tenure_client_close(near);
    fault_proxy_stop(&proxy);
    tenured_remove(&server);
}

/* ------------------------------------------------------------------ promises, memory, nodes */

static void fail_view(const struct tenure_lock_view *view, void *user)
{
    (void)user;
    FAIL("%s was acquired", view->name);
}

TEST(more_safety_than_there_is_is_refused_before_anything_is_acquired)
{
    struct tenured server;
    struct tenure_error error;
    struct tenure_hold hold;
    tenured_start(&server);
    struct tenure_client client = open_client(server.url);
    struct tenure_lock_options options = terms(5000, 0);
    for (unsigned round = 0; round < 2; round++) {
        options.wait_ms = round * 5000;
        options.min_safety = TENURE_SAFETY_QUORUM;
        int64_t before_ms = now_ms();
        CHECK_EQ_INT(tenure_lock(client, &options, &hold, NULL, &error), TENURE_UNSUPPORTED);
        CHECK(now_ms() - before_ms < 3000);
        CHECK(strstr(error.text, "durable-single") != NULL);
        CHECK(strstr(error.text, "quorum") != NULL);
        CHECK_EQ_INT(tenure_inspect(client, names[0], fail_view, NULL, NULL), TENURE_NOT_FOUND);
        options.min_safety = TENURE_SAFETY_DURABLE_SINGLE;
        CHECK_EQ_INT(tenure_lock(client, &options, &hold, NULL, &error), TENURE_OK);
        CHECK_EQ_INT(tenure_hold_release(hold, NULL), TENURE_OK);
    }
    options.min_safety = (enum tenure_safety)99;
    CHECK_EQ_INT(tenure_lock(client, &options, &hold, NULL, &error), TENURE_INVALID);
    tenure_client_close(client);
    tenured_remove(&server);
}

static void fail_node(const struct tenure_node *node, void *user)
{
    (void)user;
    FAIL("a node: %s", node->address);
}

TEST(a_store_that_is_one_server_has_no_nodes)
{
    struct tenured server;
    struct tenure_server_info info;
    tenured_start(&server);
    struct tenure_client client = open_client(server.url);
    CHECK_EQ_INT(tenure_nodes(client, fail_node, NULL, NULL), TENURE_OK);
    CHECK_EQ_INT(tenure_nodes(client, NULL, NULL, NULL), TENURE_INVALID);
    CHECK_EQ_INT(tenure_server_info(client, &info, NULL), TENURE_OK);
    CHECK_EQ_UINT(info.node_count, 0);
    CHECK_EQ_INT(info.safety, TENURE_SAFETY_DURABLE_SINGLE);
    tenure_client_close(client);
    CHECK_EQ_INT(tenure_nodes(client, fail_node, NULL, NULL), TENURE_INVALID);
    tenured_remove(&server);
}

struct purse {
    _Atomic int64_t bytes_used;
    _Atomic uint64_t call_count;
};

static void *resize(void *user, void *old, size_t old_size, size_t new_size)
{
    struct purse *purse = user;
    void *fresh = NULL;
    atomic_fetch_add(&purse->call_count, 1);
    if (new_size > 0) {
        fresh = realloc(old, new_size);
        if (fresh == NULL) return NULL;
    } else {
        free(old);
    }
    atomic_fetch_add(&purse->bytes_used, (int64_t)new_size - (int64_t)old_size);
    return fresh;
}

TEST(an_allocator_is_set_before_the_first_client)
{
    static struct purse purse;
    static struct purse other;
    struct tenured server;
    tenured_start(&server);
    CHECK_EQ_INT(tenure_set_allocator(resize, &other), TENURE_OK);
    CHECK_EQ_INT(tenure_set_allocator(NULL, NULL), TENURE_OK);
    CHECK_EQ_INT(tenure_set_allocator(resize, &purse), TENURE_OK);
    struct tenure_client client = open_client(server.url);
    CHECK(atomic_load(&purse.bytes_used) > 0);
    CHECK_EQ_INT(tenure_set_allocator(resize, &other), TENURE_INVALID);
    uint64_t before = atomic_load(&purse.call_count);
    struct tenure_hold hold = lock(client, 300);
    CHECK(atomic_load(&purse.call_count) > before);
    sleep_ms(500);
    CHECK_EQ_INT(tenure_hold_release(hold, NULL), TENURE_OK);
    tenure_client_close(client);
    CHECK_EQ_INT(atomic_load(&purse.bytes_used), 0);
    CHECK_EQ_INT(tenure_set_allocator(NULL, NULL), TENURE_INVALID);
    CHECK_EQ_UINT(atomic_load(&other.call_count), 0);
    tenured_remove(&server);
}
