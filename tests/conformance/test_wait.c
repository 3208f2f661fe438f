/* Waiting: in order, for as long as was said, and not behind those who are gone. */
#include <string.h>

#include "conformance/conformance.h"

/* How long a hand-over may take.  A store that polls needs longer. */
#define HANDOVER_MS 400

TEST(a_waiter_is_granted_when_the_holder_releases)
{
    struct tenure_client first = open_client();
    struct tenure_client second = open_client();
    const char *name = fresh("handover");
    struct tenure_lock_options options = plain(&name, 20000, 0);
    struct tenure_hold hold = lock(first, &options);
    uint64_t token = tenure_hold_token(hold);
    struct seen seen;
    seen_init(&seen);
    options.wait_ms = TENURE_WAIT_FOREVER;
    (void)start_lock(second, &options, &seen);
    await_waiters(first, name, 1);
    sleep_ms(100);
    CHECK(!is_reached(&seen, &seen.done_count, 1));
    int64_t released_at_ms = now_ms();
    unlock(hold);
    await(&seen, &seen.done_count, 1);
    CHECK_EQ_TEXT(tenure_err_name(seen.err), "ok");
    CHECK(tenure_hold_token(seen.hold) > token);
    CHECK(tenure_hold_valid(seen.hold));
    CHECK(tenure_hold_remaining_ms(seen.hold) > 10000);
    CHECK_LE_INT(seen.done_at_ms - released_at_ms, HANDOVER_MS);
    await_waiters(first, name, 0);
    unlock(seen.hold);
    tenure_client_close(first);
    tenure_client_close(second);
}

/* No hand-over takes the time of a poll, whatever the moment at which the hold ends. */
TEST(hand_overs_do_not_poll)
{
    struct tenure_client clients[2] = { open_client(), open_client() };
    const char *name = fresh("prompt");
    struct tenure_lock_options options = plain(&name, 20000, TENURE_WAIT_FOREVER);
    struct tenure_hold hold = lock(clients[0], &options);
    int64_t worst_ms = 0;
    for (unsigned round = 1; round <= 12; round++) {
        struct seen seen;
        seen_init(&seen);
        (void)start_lock(clients[round % 2], &options, &seen);
        await_waiters(clients[0], name, 1);
        sleep_ms(5 * round);
        int64_t released_at_ms = now_ms();
        unlock(hold);
        await(&seen, &seen.done_count, 1);
        CHECK_EQ_TEXT(tenure_err_name(seen.err), "ok");
        if (seen.done_at_ms - released_at_ms > worst_ms) {
            worst_ms = seen.done_at_ms - released_at_ms;
        }
        hold = seen.hold;
    }
    CHECK_LE_INT(worst_ms, HANDOVER_MS);
    unlock(hold);
    tenure_client_close(clients[0]);
    tenure_client_close(clients[1]);
}

TEST(waiters_are_served_in_the_order_of_their_coming)
{
    enum { COUNT = 5 };
    struct tenure_client holder = open_client();
    struct tenure_client clients[COUNT];
    struct seen seen[COUNT];
    const char *name = fresh("order");
    struct tenure_lock_options options = plain(&name, 20000, 0);
    struct tenure_hold hold = lock(holder, &options);
    options.wait_ms = TENURE_WAIT_FOREVER;
    for (unsigned index = 0; index < COUNT; index++) {
        clients[index] = open_client();
        seen_init(&seen[index]);
        (void)start_lock(clients[index], &options, &seen[index]);
        await_waiters(holder, name, index + 1);
    }
    uint64_t token = tenure_hold_token(hold);
    unlock(hold);
    for (unsigned index = 0; index < COUNT; index++) {
        await(&seen[index], &seen[index].done_count, 1);
        CHECK_EQ_TEXT(tenure_err_name(seen[index].err), "ok");
        CHECK(tenure_hold_token(seen[index].hold) > token);
        token = tenure_hold_token(seen[index].hold);
        for (unsigned later = index + 1; later < COUNT; later++) {
            CHECK(!is_reached(&seen[later], &seen[later].done_count, 1));
        }
        unlock(seen[index].hold);
    }
    for (unsigned index = 0; index < COUNT; index++) {
        tenure_client_close(clients[index]);
    }
    tenure_client_close(holder);
}

TEST(a_newcomer_does_not_pass_a_waiter)
{
    struct tenure_client holder = open_client();
    struct tenure_client waiting = open_client();
    const char *name = fresh("passing");
    struct tenure_lock_options options = plain(&name, 20000, 0);
    struct tenure_hold hold = lock(holder, &options);
    struct seen seen;
    seen_init(&seen);
    options.wait_ms = TENURE_WAIT_FOREVER;
    (void)start_lock(waiting, &options, &seen);
    await_waiters(holder, name, 1);
    unlock(hold);
    options.wait_ms = 0;
    CHECK_EQ_TEXT(tenure_err_name(try_lock(holder, &options)), "held");
    await(&seen, &seen.done_count, 1);
    CHECK_EQ_TEXT(tenure_err_name(seen.err), "ok");
    unlock(seen.hold);
    tenure_client_close(holder);
    tenure_client_close(waiting);
}

TEST(a_wait_ends_when_its_time_is_over)
{
    struct tenure_client first = open_client();
    struct tenure_client second = open_client();
    const char *name = fresh("timeout");
    struct tenure_lock_options options = plain(&name, 20000, 0);
    options.owner = fresh("holder");
    struct tenure_hold hold = lock(first, &options);
    struct tenure_lock_options other = plain(&name, 20000, 300);
    struct tenure_obstacle obstacle;
    struct tenure_hold none = { 77 };
    int64_t before_ms = now_ms();
    CHECK_EQ_INT(tenure_lock(second, &other, &none, &obstacle, NULL), TENURE_TIMEOUT);
    int64_t took_ms = now_ms() - before_ms;
    CHECK(took_ms >= 300 && took_ms < 1300);
    CHECK_EQ_TEXT(obstacle.owner, options.owner);
    CHECK_EQ_UINT(obstacle.token, tenure_hold_token(hold));
    /* Who has given up is in nobody's way. */
    await_waiters(first, name, 0);
    unlock(hold);
    CHECK_EQ_INT(try_lock(first, &options), TENURE_OK);
    tenure_client_close(first);
    tenure_client_close(second);
}

TEST(a_wait_that_is_canceled_ends_at_once)
{
    struct tenure_client first = open_client();
    struct tenure_client second = open_client();
    struct tenure_client third = open_client();
    const char *name = fresh("cancel");
    struct tenure_lock_options options = plain(&name, 20000, 0);
    struct tenure_hold hold = lock(first, &options);
    struct seen canceled;
    struct seen behind;
    seen_init(&canceled);
    seen_init(&behind);
    options.wait_ms = TENURE_WAIT_FOREVER;
    struct tenure_op op = start_lock(second, &options, &canceled);
    await_waiters(first, name, 1);
    (void)start_lock(third, &options, &behind);
    await_waiters(first, name, 2);
    int64_t before_ms = now_ms();
    tenure_op_cancel(second, op);
    await(&canceled, &canceled.done_count, 1);
    CHECK_EQ_TEXT(tenure_err_name(canceled.err), "canceled");
    CHECK_LE_INT(canceled.done_at_ms - before_ms, 1000);
    await_waiters(first, name, 1);
    tenure_op_cancel(second, op); /* it is over: nothing happens */
    unlock(hold);
    await(&behind, &behind.done_count, 1);
    CHECK_EQ_TEXT(tenure_err_name(behind.err), "ok");
    unlock(behind.hold);
    CHECK_EQ_UINT(canceled.done_count, 1);
    tenure_client_close(first);
    tenure_client_close(second);
    tenure_client_close(third);
}

TEST(a_waiter_whose_client_is_closed_is_passed_over)
{
    struct tenure_client first = open_client();
    struct tenure_client gone = open_client();
    struct tenure_client third = open_client();
    const char *name = fresh("closed");
    struct tenure_lock_options options = plain(&name, 20000, 0);
    struct tenure_hold hold = lock(first, &options);
    struct seen closed;
    struct seen behind;
    seen_init(&closed);
    seen_init(&behind);
    options.wait_ms = TENURE_WAIT_FOREVER;
    (void)start_lock(gone, &options, &closed);
    await_waiters(first, name, 1);
    (void)start_lock(third, &options, &behind);
    await_waiters(first, name, 2);
    tenure_client_close(gone);
    CHECK_EQ_UINT(closed.done_count, 1);
    CHECK_EQ_TEXT(tenure_err_name(closed.err), "canceled");
    unlock(hold);
    await(&behind, &behind.done_count, 1);
    CHECK_EQ_TEXT(tenure_err_name(behind.err), "ok");
    unlock(behind.hold);
    tenure_client_close(first);
    tenure_client_close(third);
}

TEST(a_waiter_is_granted_when_a_dead_holder_expires)
{
    struct tenure_client first = open_client();
    struct tenure_client second = open_client();
    const char *name = fresh("dead");
    struct tenure_lock_options options = plain(&name, 600, 0);
    int64_t before_ms = now_ms();
    struct tenure_hold hold = lock(first, &options);
    uint64_t token = tenure_hold_token(hold);
    tenure_client_close(first);
    struct tenure_lock_options other = plain(&name, 10000, 10000);
    struct tenure_hold next = lock(second, &other);
    int64_t took_ms = now_ms() - before_ms;
    CHECK_LE_INT(600, took_ms);
    CHECK_LE_INT(took_ms, 600 + 1000);
    CHECK(tenure_hold_token(next) > token);
    unlock(next);
    tenure_client_close(second);
}

/* Also when the dead had waited, as everybody does in a crowd. */
TEST(a_dead_holder_that_had_waited_is_in_nobodys_way)
{
    struct tenure_client client = open_client();
    const char *name = fresh("crowd");
    struct tenure_lock_options options = plain(&name, 300, 20000);
    uint64_t token = 0;
    for (unsigned round = 0; round < 5; round++) {
        int64_t before_ms = now_ms();
        struct tenure_hold hold = lock(client, &options);
        CHECK_LT_UINT(token, tenure_hold_token(hold));
        CHECK_LE_INT(now_ms() - before_ms, 300 + 700);
        token = tenure_hold_token(hold);
        tenure_hold_forget(hold);
    }
    tenure_client_close(client);
}

/* Who waits for longer than its ttl, and who holds for longer than others' tickets live. */
TEST(a_wait_may_be_longer_than_the_ttl)
{
    struct tenure_client first = open_client();
    struct tenure_client second = open_client();
    const char *name = fresh("long");
    struct tenure_lock_options options = plain(&name, 500, 0);
    options.is_kept_by_caller = false;
    struct tenure_hold hold = lock(first, &options);
    struct seen seen;
    seen_init(&seen);
    options.wait_ms = TENURE_WAIT_FOREVER;
    (void)start_lock(second, &options, &seen);
    sleep_ms(1500);
    CHECK(!is_reached(&seen, &seen.done_count, 1));
    CHECK(tenure_hold_valid(hold));
    unlock(hold);
    await(&seen, &seen.done_count, 1);
    CHECK_EQ_TEXT(tenure_err_name(seen.err), "ok");
    CHECK(tenure_hold_remaining_ms(seen.hold) > 200);
    unlock(seen.hold);
    tenure_client_close(first);
    tenure_client_close(second);
}

TEST(twenty_waiters_of_one_client_get_their_turns)
{
    enum { COUNT = 20 };
    struct tenure_client client = open_client();
    static struct seen seen[COUNT];
    const char *name = fresh("twenty");
    struct tenure_lock_options options = plain(&name, 20000, 0);
    struct tenure_hold hold = lock(client, &options);
    options.wait_ms = TENURE_WAIT_FOREVER;
    for (unsigned index = 0; index < COUNT; index++) {
        seen_init(&seen[index]);
        (void)start_lock(client, &options, &seen[index]);
    }
    await_waiters(client, name, COUNT);
    unlock(hold);
    uint64_t token = 0;
    bool is_served[COUNT] = { false };
    for (unsigned served = 0; served < COUNT; served++) {
        unsigned index = 0;
        while (is_served[index] || !is_reached(&seen[index], &seen[index].done_count, 1)) {
            index = (index + 1) % COUNT;
            if (index == 0) sleep_ms(1);
        }
        is_served[index] = true;
        CHECK_EQ_TEXT(tenure_err_name(seen[index].err), "ok");
        CHECK(tenure_hold_token(seen[index].hold) > token);
        token = tenure_hold_token(seen[index].hold);
        unlock(seen[index].hold);
    }
    for (unsigned index = 0; index < COUNT; index++) {
        CHECK_EQ_UINT(seen[index].done_count, 1);
    }
    tenure_client_close(client);
}
