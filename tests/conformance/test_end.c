/* Ends: release, release again, release by somebody else, break. */
#include "conformance/conformance.h"

TEST(a_release_may_be_repeated)
{
    struct tenure_client client = open_client();
    const char *name = fresh("twice");
    struct tenure_lock_options options = plain(&name, 10000, 0);
    struct tenure_hold hold = lock(client, &options);
    struct claim_texts texts = claim_of(hold);
    struct tenure_claim claim = { name, texts.owner, texts.token };
    for (unsigned round = 0; round < 3; round++) {
        struct tenure_release release = { .end = TENURE_END_UNKNOWN };
        CHECK_EQ_INT(tenure_claim_release(client, &claim, &release, NULL), TENURE_OK);
        CHECK_EQ_TEXT(tenure_end_name(release.end), "released");
    }
    CHECK_EQ_UINT(look(client, name).hold_count, 0);
    /* The handle does not know; that it is over is the truth all the same. */
    struct tenure_release release = { .end = TENURE_END_UNKNOWN };
    CHECK_EQ_INT(tenure_hold_release(hold, &release), TENURE_OK);
    CHECK_EQ_TEXT(tenure_end_name(release.end), "released");
    tenure_client_close(client);
}

/* A release that comes late does not touch the next hold, not even of the same owner. */
TEST(an_old_release_does_not_end_the_next_hold)
{
    struct tenure_client client = open_client();
    const char *name = fresh("late");
    struct tenure_lock_options options = plain(&name, 10000, 0);
    options.owner = fresh("owner");
    struct tenure_hold old = lock(client, &options);
    struct tenure_claim claim = { name, options.owner, tenure_hold_token(old) };
    unlock(old);
    struct tenure_hold hold = lock(client, &options);
    struct tenure_release release = { .end = TENURE_END_UNKNOWN };
    (void)!tenure_claim_release(client, &claim, &release, NULL);
    struct view view = look(client, name);
    CHECK_EQ_UINT(view.hold_count, 1);
    CHECK_EQ_UINT(view.token, tenure_hold_token(hold));
    CHECK_EQ_INT(tenure_hold_renew(hold, 0, NULL), TENURE_OK);
    unlock(hold);
    tenure_client_close(client);
}

/* A store that remembers says so; one that does not can only say that it is not there. */
static void check_none_of_his(enum tenure_err err, enum tenure_end end)
{
    test_note("%s, %s", tenure_err_name(err), tenure_end_name(end));
    CHECK_EQ_INT(err, TENURE_OK);
    if (kind()->is_ledger) {
        CHECK_EQ_INT(end, TENURE_END_NOT_OWNER);
    } else {
        CHECK(
            end == TENURE_END_NOT_OWNER || end == TENURE_END_EXPIRED_TAKEN ||
            end == TENURE_END_EXPIRED_UNCLAIMED);
    }
}

TEST(nobody_else_can_release_it)
{
    struct tenure_client client = open_client();
    const char *name = fresh("foreign");
    struct tenure_lock_options options = plain(&name, 10000, 0);
    struct tenure_hold hold = lock(client, &options);
    struct claim_texts texts = claim_of(hold);
    struct tenure_claim stranger = { name, fresh("stranger"), texts.token };
    struct tenure_claim old = { name, texts.owner, texts.token - 1 };
    struct tenure_release release = { .end = TENURE_END_UNKNOWN };
    enum tenure_err err = tenure_claim_release(client, &stranger, &release, NULL);
    check_none_of_his(err, release.end);
    err = tenure_claim_release(client, &old, &release, NULL);
    check_none_of_his(err, release.end);
    CHECK_EQ_UINT(look(client, name).token, texts.token);
    CHECK_EQ_INT(tenure_hold_renew(hold, 0, NULL), TENURE_OK);
    unlock(hold);
    tenure_client_close(client);
}

TEST(what_was_never_held_is_not_released)
{
    struct tenure_client client = open_client();
    const char *name = fresh("nothing");
    struct tenure_claim claim = { name, fresh("owner"), 12345 };
    struct tenure_release release = { .end = TENURE_END_UNKNOWN };
    enum tenure_err err = tenure_claim_release(client, &claim, &release, NULL);
    check_none_of_his(err, release.end);
    struct tenure_lock_options options = plain(&name, 10000, 0);
    CHECK_EQ_INT(try_lock(client, &options), TENURE_OK);
    tenure_client_close(client);
}

TEST(a_break_ends_the_hold_and_its_holder_hears_of_it)
{
    struct tenure_client first = open_client();
    struct tenure_client second = open_client();
    const char *name = fresh("break");
    struct tenure_lock_options options = plain(&name, 600, 0);
    struct seen seen;
    seen_init(&seen);
    options.is_kept_by_caller = false;
    tell_to(&options, &seen);
    struct tenure_hold hold = lock(first, &options);
    uint64_t token = tenure_hold_token(hold);
    struct tenure_error error = { 0 };
    enum tenure_err err = tenure_break(second, name, token, "it hangs", 0, &error);
    if (err != TENURE_OK) FAIL("break: %s: %s", tenure_err_name(err), error.text);
    struct tenure_lock_options other = plain(&name, 10000, 0);
    struct tenure_hold next = lock(second, &other);
    CHECK(tenure_hold_token(next) > token);
    await(&seen, &seen.lost_count, 1);
    CHECK_EQ_UINT(seen.lost_count, 1);
    if (kind()->is_ledger) CHECK_EQ_TEXT(tenure_loss_name(seen.loss), "broken");
    CHECK(!tenure_hold_valid(hold));
    CHECK_EQ_UINT(look(first, name).token, tenure_hold_token(next));
    unlock(next);
    tenure_client_close(first);
    tenure_client_close(second);
}

TEST(a_break_hits_nobody_by_mistake)
{
    struct tenure_client client = open_client();
    const char *name = fresh("mistake");
    struct tenure_lock_options options = plain(&name, 10000, 0);
    struct tenure_hold hold = lock(client, &options);
    uint64_t token = tenure_hold_token(hold);
    CHECK_EQ_TEXT(
        tenure_err_name(tenure_break(client, name, token - 1, "old", 0, NULL)), "stale_token");
    CHECK_EQ_TEXT(
        tenure_err_name(tenure_break(client, name, token + 1, "new", 0, NULL)), "stale_token");
    CHECK_EQ_UINT(look(client, name).token, token);
    CHECK_EQ_INT(tenure_hold_renew(hold, 0, NULL), TENURE_OK);
    unlock(hold);
    /* Without a ledger a release and a break that is repeated cannot be told apart. */
    enum tenure_err err = tenure_break(client, name, token, "gone", 0, NULL);
    CHECK_EQ_TEXT(tenure_err_name(err), kind()->is_ledger ? "not_found" : "ok");
    err = tenure_break(client, name, token + 1, "never", 0, NULL);
    CHECK_EQ_TEXT(tenure_err_name(err), "not_found");
    tenure_client_close(client);
}

TEST(a_break_wakes_who_waits)
{
    struct tenure_client first = open_client();
    struct tenure_client second = open_client();
    const char *name = fresh("breakwait");
    struct tenure_lock_options options = plain(&name, 20000, 0);
    struct tenure_hold hold = lock(first, &options);
    struct seen seen;
    seen_init(&seen);
    options.wait_ms = TENURE_WAIT_FOREVER;
    (void)start_lock(second, &options, &seen);
    await_waiters(first, name, 1);
    int64_t before_ms = now_ms();
    CHECK_EQ_INT(
        tenure_break(first, name, tenure_hold_token(hold), "make room", 0, NULL), TENURE_OK);
    await(&seen, &seen.done_count, 1);
    CHECK_EQ_TEXT(tenure_err_name(seen.err), "ok");
    CHECK_LE_INT(seen.done_at_ms - before_ms, 1000);
    tenure_hold_forget(hold);
    unlock(seen.hold);
    tenure_client_close(first);
    tenure_client_close(second);
}

TEST(a_break_may_leave_the_holder_time)
{
    struct tenure_client client = open_client();
    const char *name = fresh("grace");
    struct tenure_lock_options options = plain(&name, 10000, 0);
    struct tenure_hold hold = lock(client, &options);
    uint64_t token = tenure_hold_token(hold);
    enum tenure_err err = tenure_break(client, name, token, "soon", 300, NULL);
    if (!kind()->has_grace) {
        CHECK_EQ_TEXT(tenure_err_name(err), "unsupported");
        CHECK_EQ_UINT(look(client, name).token, token);
        unlock(hold);
        tenure_client_close(client);
        return;
    }
    CHECK_EQ_INT(err, TENURE_OK);
    CHECK(look(client, name).is_breaking);
    struct tenure_lock_options other = plain(&name, 10000, 0);
    CHECK_EQ_INT(try_lock(client, &other), TENURE_HELD);
    other.wait_ms = 10000;
    struct tenure_hold next = lock(client, &other);
    CHECK(tenure_hold_token(next) > token);
    tenure_hold_forget(hold);
    unlock(next);
    tenure_client_close(client);
}

TEST(a_handle_is_good_for_one_release)
{
    struct tenure_client client = open_client();
    const char *name = fresh("handle");
    struct tenure_lock_options options = plain(&name, 10000, 0);
    struct tenure_hold hold = lock(client, &options);
    unlock(hold);
    struct tenure_hold_info info;
    CHECK_EQ_INT(tenure_hold_release(hold, NULL), TENURE_INVALID);
    CHECK_EQ_INT(tenure_hold_renew(hold, 0, NULL), TENURE_INVALID);
    CHECK_EQ_INT(tenure_hold_info(hold, &info), TENURE_INVALID);
    CHECK_EQ_UINT(tenure_hold_token(hold), 0);
    tenure_client_close(client);
}
