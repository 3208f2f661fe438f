/* The store goes away, for a moment or for longer, and comes back with what was on its disk. */
#include "conformance/conformance.h"

/* When the store is away nothing is granted, and every call ends by its deadline. */
TEST(a_store_that_is_away_is_unavailable_by_the_deadline)
{
    struct tenure_client client = open_client_with(700);
    const char *name = fresh("away");
    struct tenure_lock_options options = plain(&name, 10000, 0);
    CHECK_EQ_INT(try_lock(client, &options), TENURE_OK);
    control("freeze");
    int64_t before_ms = now_ms();
    enum tenure_err frozen = try_lock(client, &options);
    int64_t took_ms = now_ms() - before_ms;
    control("thaw");
    CHECK(frozen == TENURE_UNAVAILABLE || frozen == TENURE_UNKNOWN);
    CHECK_LE_INT(took_ms, 700 + 800);
    control("down");
    before_ms = now_ms();
    enum tenure_err down = try_lock(client, &options);
    took_ms = now_ms() - before_ms;
    control("up");
    CHECK(down == TENURE_UNAVAILABLE || down == TENURE_UNKNOWN);
    CHECK_LE_INT(took_ms, 700 + 800);
    tenure_client_close(client);
}

/* Whatever a failed call has left behind does not block the name for longer than its ttl. */
TEST(what_an_outage_leaves_behind_is_gone_with_its_ttl)
{
    struct tenure_client client = open_client_with(400);
    const char *name = fresh("left");
    struct tenure_lock_options options = plain(&name, 2000, 0);
    CHECK_EQ_INT(try_lock(client, &options), TENURE_OK);
    control("freeze");
    CHECK_NE_INT(try_lock(client, &options), TENURE_OK);
    control("thaw");
    struct tenure_client second = open_client();
    options.wait_ms = 6000;
    CHECK_EQ_TEXT(tenure_err_name(try_lock(second, &options)), "ok");
    tenure_client_close(client);
    tenure_client_close(second);
}

TEST(a_holder_without_a_store_is_told_in_time)
{
    struct tenure_client client = open_client();
    const char *name = fresh("loss");
    struct tenure_lock_options options = plain(&name, 1200, 0);
    struct seen seen;
    seen_init(&seen);
    options.is_kept_by_caller = false;
    tell_to(&options, &seen);
    struct tenure_hold hold = lock(client, &options);
    sleep_ms(600);
    CHECK(tenure_hold_valid(hold));
    control("freeze");
    int64_t frozen_at_ms = now_ms();
    await(&seen, &seen.lost_count, 1);
    control("thaw");
    CHECK_EQ_UINT(seen.risk_count, 1);
    CHECK_EQ_TEXT(tenure_loss_name(seen.loss), "expired");
    CHECK(!seen.was_valid_when_lost);
    CHECK(!tenure_hold_valid(hold));
    /* A ttl after it was last renewed, less the clock error; it was renewed before the freeze. */
    CHECK_LE_INT(seen.lost_at_ms, frozen_at_ms + 1200 + 200);
    tenure_hold_forget(hold);
    tenure_client_close(client);
}

TEST(a_short_outage_costs_no_hold)
{
    struct tenure_client first = open_client();
    struct tenure_client second = open_client();
    const char *name = fresh("short");
    struct tenure_lock_options options = plain(&name, 6000, 0);
    struct seen seen;
    seen_init(&seen);
    options.is_kept_by_caller = false;
    tell_to(&options, &seen);
    struct tenure_hold hold = lock(first, &options);
    uint64_t token = tenure_hold_token(hold);
    control("down");
    control("up");
    struct tenure_lock_options other = plain(&name, 6000, 0);
    int64_t end_ms = now_ms() + 4000;
    enum tenure_err err = TENURE_UNAVAILABLE;
    while (err != TENURE_HELD && now_ms() < end_ms) {
        err = try_lock(second, &other);
        CHECK_NE_INT(err, TENURE_OK);
        sleep_ms(20);
    }
    CHECK_EQ_TEXT(tenure_err_name(err), "held");
    CHECK_EQ_UINT(look(second, name).token, token);
    sleep_ms(2500); /* a renewal, at least */
    CHECK(tenure_hold_valid(hold));
    CHECK(!is_reached(&seen, &seen.lost_count, 1));
    unlock(hold);
    other.wait_ms = 5000;
    CHECK_EQ_TEXT(tenure_err_name(try_lock(second, &other)), "ok");
    tenure_client_close(first);
    tenure_client_close(second);
}

TEST(who_waits_waits_on_over_an_outage)
{
    struct tenure_client first = open_client();
    struct tenure_client second = open_client();
    const char *name = fresh("waiting");
    struct tenure_lock_options options = plain(&name, 20000, 0);
    struct tenure_hold hold = lock(first, &options);
    uint64_t token = tenure_hold_token(hold);
    struct seen seen;
    seen_init(&seen);
    options.wait_ms = TENURE_WAIT_FOREVER;
    (void)start_lock(second, &options, &seen);
    await_waiters(first, name, 1);
    control("down");
    control("up");
    sleep_ms(300);
    CHECK(!is_reached(&seen, &seen.done_count, 1));
    unlock(hold);
    await(&seen, &seen.done_count, 1);
    CHECK_EQ_TEXT(tenure_err_name(seen.err), "ok");
    CHECK(tenure_hold_token(seen.hold) > token);
    unlock(seen.hold);
    tenure_client_close(first);
    tenure_client_close(second);
}

TEST(tokens_rise_over_an_outage)
{
    struct tenure_client client = open_client();
    const char *name = fresh("restart");
    uint64_t last = 0;
    for (unsigned round = 0; round < 3; round++) {
        struct tenure_lock_options options = plain(&name, 5000, 10000);
        struct tenure_hold hold = lock(client, &options);
        CHECK_LT_UINT(last, tenure_hold_token(hold));
        last = tenure_hold_token(hold);
        unlock(hold);
        control("down");
        control("up");
    }
    tenure_client_close(client);
}

TEST(a_client_opens_before_its_store_is_there)
{
    control("down");
    struct tenure_client client = open_client_with(10000);
    const char *name = fresh("before");
    struct tenure_lock_options options = plain(&name, 5000, 0);
    struct seen seen;
    seen_init(&seen);
    (void)start_lock(client, &options, &seen);
    sleep_ms(200);
    control("up");
    await(&seen, &seen.done_count, 1);
    CHECK_EQ_TEXT(tenure_err_name(seen.err), "ok");
    unlock(seen.hold);
    tenure_client_close(client);
}
