/* Leases: they are renewed, they run out, and the holder knows before anybody else gets in. */
#include "conformance/conformance.h"

TEST(a_lease_that_is_not_renewed_runs_out)
{
    struct tenure_client first = open_client();
    struct tenure_client second = open_client();
    const char *name = fresh("expiry");
    struct tenure_lock_options options = plain(&name, 400, 0);
    struct seen seen;
    seen_init(&seen);
    tell_to(&options, &seen);
    int64_t before_ms = now_ms();
    struct tenure_hold hold = lock(first, &options);
    uint64_t token = tenure_hold_token(hold);
    struct tenure_lock_options other = plain(&name, 10000, 10000);
    struct tenure_hold next = lock(second, &other);
    /* It is over here before it is over there. */
    CHECK(!tenure_hold_valid(hold));
    CHECK_EQ_INT(tenure_hold_remaining_ms(hold), 0);
    CHECK_LE_INT(before_ms + 400, now_ms());
    CHECK_LE_INT(now_ms(), before_ms + 1400);
    CHECK(tenure_hold_token(next) > token);
    await(&seen, &seen.lost_count, 1);
    CHECK_EQ_TEXT(tenure_loss_name(seen.loss), "expired");
    CHECK(!seen.was_valid_when_lost);
    unlock(next);
    tenure_client_close(first);
    tenure_client_close(second);
}

TEST(a_hold_that_ran_out_and_was_taken_says_so)
{
    struct tenure_client first = open_client();
    struct tenure_client second = open_client();
    const char *name = fresh("taken");
    struct tenure_lock_options options = plain(&name, 150, 0);
    struct tenure_hold hold = lock(first, &options);
    struct claim_texts was = claim_of(hold);
    struct tenure_lock_options other = plain(&name, 10000, 10000);
    struct tenure_hold next = lock(second, &other);
    struct tenure_claim claim = { name, was.owner, was.token };
    int64_t remaining_ms = 77;
    CHECK_EQ_INT(tenure_claim_renew(first, &claim, 0, &remaining_ms, NULL), TENURE_LOST);
    struct tenure_release release = { .end = TENURE_END_UNKNOWN };
    CHECK_EQ_INT(tenure_hold_release(hold, &release), TENURE_OK);
    CHECK_EQ_TEXT(tenure_end_name(release.end), "expired_taken");
    CHECK_EQ_UINT(release.successor, kind()->is_ledger ? tenure_hold_token(next) : 0);
    CHECK_NE_INT(release.overlap_ms, 0);
    /* The successor was not disturbed by any of that. */
    CHECK_EQ_UINT(look(first, name).token, tenure_hold_token(next));
    unlock(next);
    tenure_client_close(first);
    tenure_client_close(second);
}

TEST(a_hold_that_ran_out_and_was_not_taken_says_so)
{
    struct tenure_client client = open_client();
    const char *name = fresh("unclaimed");
    struct tenure_lock_options options = plain(&name, 150, 0);
    struct tenure_hold hold = lock(client, &options);
    struct claim_texts was = claim_of(hold);
    await_free(client, name);
    struct tenure_claim claim = { name, was.owner, was.token };
    int64_t remaining_ms = 77;
    CHECK_EQ_INT(tenure_claim_renew(client, &claim, 0, &remaining_ms, NULL), TENURE_LOST);
    CHECK_EQ_UINT(look(client, name).hold_count, 0); /* it was not made anew */
    struct tenure_release release = { .end = TENURE_END_UNKNOWN };
    CHECK_EQ_INT(tenure_hold_release(hold, &release), TENURE_OK);
    CHECK_EQ_TEXT(tenure_end_name(release.end), "expired_unclaimed");
    CHECK_EQ_UINT(release.successor, 0);
    CHECK_EQ_INT(release.overlap_ms, 0);
    tenure_client_close(client);
}

TEST(a_client_keeps_its_holds)
{
    struct tenure_client first = open_client();
    struct tenure_client second = open_client();
    const char *name = fresh("kept");
    struct tenure_lock_options options = plain(&name, 500, 0);
    struct seen seen;
    seen_init(&seen);
    options.is_kept_by_caller = false;
    tell_to(&options, &seen);
    struct tenure_hold hold = lock(first, &options);
    struct tenure_lock_options other = plain(&name, 500, 0);
    for (unsigned round = 0; round < 15; round++) {
        CHECK(tenure_hold_valid(hold));
        CHECK_EQ_TEXT(tenure_err_name(try_lock(second, &other)), "held");
        sleep_ms(100);
    }
    CHECK(!is_reached(&seen, &seen.lost_count, 1));
    unlock(hold);
    CHECK_EQ_UINT(seen.lost_count, 0);
    tenure_client_close(first);
    tenure_client_close(second);
}

TEST(a_renewal_gives_the_whole_ttl_again)
{
    struct tenure_client first = open_client();
    struct tenure_client second = open_client();
    const char *name = fresh("renew");
    struct tenure_lock_options options = plain(&name, 800, 0);
    struct tenure_hold hold = lock(first, &options);
    struct tenure_lock_options other = plain(&name, 800, 0);
    int64_t start_ms = now_ms();
    while (now_ms() - start_ms < 1600) {
        sleep_ms(200);
        struct tenure_error error = { 0 };
        enum tenure_err err = tenure_hold_renew(hold, 0, &error);
        if (err != TENURE_OK) FAIL("renew: %s: %s", tenure_err_name(err), error.text);
        CHECK(tenure_hold_remaining_ms(hold) > 300);
        CHECK_EQ_TEXT(tenure_err_name(try_lock(second, &other)), "held");
    }
    uint64_t token = tenure_hold_token(hold);
    CHECK_EQ_UINT(look(second, name).token, token); /* a renewal is no new grant */
    unlock(hold);
    tenure_client_close(first);
    tenure_client_close(second);
}

TEST(a_renewal_may_change_the_ttl)
{
    struct tenure_client client = open_client();
    const char *name = fresh("longer");
    struct tenure_lock_options options = plain(&name, 500, 0);
    struct tenure_hold hold = lock(client, &options);
    CHECK_EQ_INT(tenure_hold_renew(hold, 9000, NULL), TENURE_OK);
    struct tenure_hold_info info;
    CHECK_EQ_INT(tenure_hold_info(hold, &info), TENURE_OK);
    CHECK_EQ_UINT(info.ttl_ms, 9000);
    CHECK(tenure_hold_remaining_ms(hold) > 5000);
    CHECK(look(client, name).remaining_ms > 5000);
    CHECK_EQ_UINT(look(client, name).ttl_ms, 9000);
    sleep_ms(600);
    CHECK(tenure_hold_valid(hold));
    unlock(hold);
    tenure_client_close(client);
}

/* Scripts renew by words; any client may, who knows them. */
TEST(a_claim_is_renewed_by_its_words)
{
    struct tenure_client first = open_client();
    struct tenure_client second = open_client();
    const char *name = fresh("words");
    struct tenure_lock_options options = plain(&name, 5000, 0);
    struct tenure_hold hold = lock(first, &options);
    struct claim_texts texts = claim_of(hold);
    struct tenure_claim claim = { name, texts.owner, texts.token };
    int64_t remaining_ms = 0;
    CHECK_EQ_INT(tenure_claim_renew(second, &claim, 0, &remaining_ms, NULL), TENURE_OK);
    CHECK(remaining_ms > 3000 && remaining_ms <= 5000);
    CHECK_EQ_INT(tenure_claim_renew(second, &claim, 9000, &remaining_ms, NULL), TENURE_OK);
    CHECK(remaining_ms > 7000 && remaining_ms <= 9000);
    struct tenure_release release = { .end = TENURE_END_UNKNOWN };
    CHECK_EQ_INT(tenure_claim_release(second, &claim, &release, NULL), TENURE_OK);
    CHECK_EQ_TEXT(tenure_end_name(release.end), "released");
    tenure_client_close(first);
    tenure_client_close(second);
}

/* A store that remembers says exactly what is wrong; one that does not may only say that it is
 * none of his. */
static void check_not_his(enum tenure_err is, enum tenure_err exactly)
{
    test_note("%s, should be %s", tenure_err_name(is), tenure_err_name(exactly));
    if (kind()->is_ledger) {
        CHECK_EQ_INT(is, exactly);
    } else {
        CHECK(is == TENURE_NOT_OWNER || is == TENURE_STALE_TOKEN || is == TENURE_LOST);
    }
}

TEST(nobody_else_can_renew_it)
{
    struct tenure_client client = open_client();
    const char *name = fresh("stranger");
    struct tenure_lock_options options = plain(&name, 1500, 0);
    struct tenure_hold hold = lock(client, &options);
    struct claim_texts texts = claim_of(hold);
    struct tenure_claim stranger = { name, fresh("stranger"), texts.token };
    struct tenure_claim old = { name, texts.owner, texts.token - 1 };
    struct tenure_claim future = { name, texts.owner, texts.token + 1 };
    int64_t remaining_ms = 77;
    int64_t before_ms = now_ms();
    check_not_his(
        tenure_claim_renew(client, &stranger, 50000, &remaining_ms, NULL), TENURE_NOT_OWNER);
    check_not_his(tenure_claim_renew(client, &old, 50000, &remaining_ms, NULL), TENURE_STALE_TOKEN);
    check_not_his(
        tenure_claim_renew(client, &future, 50000, &remaining_ms, NULL), TENURE_STALE_TOKEN);
    struct view view = look(client, name);
    CHECK_EQ_TEXT(view.owner, texts.owner);
    CHECK_EQ_UINT(view.token, texts.token);
    CHECK_LE_INT(view.remaining_ms, 1500 - (now_ms() - before_ms) + 50);
    unlock(hold);
    tenure_client_close(client);
}

TEST(what_was_never_held_is_not_renewed)
{
    struct tenure_client client = open_client();
    const char *name = fresh("never");
    struct tenure_claim claim = { name, fresh("owner"), 12345 };
    int64_t remaining_ms = 77;
    enum tenure_err err = tenure_claim_renew(client, &claim, 1000, &remaining_ms, NULL);
    check_not_his(err, TENURE_NOT_OWNER);
    CHECK_EQ_UINT(look(client, name).hold_count, 0);
    tenure_client_close(client);
}
