/* The flaws of MajorityRedis' lock (2015), the ancestor of this kind of lock, and of its queue
 * where they are the lock's: each a test by the number that the analysis of it gave them.  Three
 * servers that forget everything when they restart.
 *
 *   L1   a contender of the same process ends the holder's lease
 *   L2   a release beside a repair leaves a ghost
 *   F2   a client whose clock is wrong deletes the lock without noticing
 *   F3   two threads of one process get the same thing
 *   F4   what a minority knows is believed
 *   F8   a server that restarts votes again: two holders
 *   F9   the lease is renewed in a hot loop, or too late, or given up after one missed beat
 *   F12  what arrives late holds the lock for nobody
 *   F13  contenders take each other's majority for ever
 *   F14  a repair brings back what has ended
 *   F15  nothing tells a late holder from the present one
 *   F16  less than a majority is success
 *
 * L3 is F2, F8, F12 and F15 for locks.  The others are of queues and registers. */
#include <stdatomic.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "conformance/conformance.h"

/* The wall clock of this process is wrong by so much. */
static _Atomic int64_t wall_offset_s;

/* In the place of the C library's: all of this program sees the wrong wall clock. */
int clock_gettime(clockid_t id, struct timespec *out_time)
{
    long failure = syscall(SYS_clock_gettime, id, out_time);
    if (failure == 0 && id == CLOCK_REALTIME) out_time->tv_sec += atomic_load(&wall_offset_s);
    return (int)failure;
}

/* Kept by the client. */
static struct tenure_lock_options
kept(const char *const *name, uint32_t ttl_ms, uint32_t wait_ms, struct seen *seen)
{
    struct tenure_lock_options options = plain(name, ttl_ms, wait_ms);
    options.is_kept_by_caller = false;
    if (seen != NULL) tell_to(&options, seen);
    return options;
}

/* Somebody else can have it, soon and not only when a ttl has run. */
static void check_free(struct tenure_client client, const char *name, int64_t within_ms)
{
    struct tenure_lock_options options = plain(&name, 2000, (uint32_t)within_ms + 5000);
    int64_t before_ms = now_ms();
    CHECK_EQ_TEXT(tenure_err_name(try_lock(client, &options)), "ok");
    CHECK_LE_INT(now_ms() - before_ms, within_ms);
}

/* ------------------------------------------------------------------ L1, F3: one process */

/* A grant needs two of three; the third vote may still be on its way.  Of a hold that is kept: what
 * is missing is healed by itself. */
static void await_three_votes(struct tenure_client client, const char *name)
{
    int64_t end_ms = now_ms() + 20000;
    while (look(client, name).votes != 3) {
        if (now_ms() > end_ms) FAIL("never held on all three");
        sleep_ms(2);
    }
}

/* Nobody keeps this one: it is renewed from here, so that a vote that was lost is healed. */
static struct tenure_hold lock_on_all_three(
    struct tenure_client client, const char *name, const struct tenure_lock_options *options)
{
    struct tenure_hold hold = lock(client, options);
    int64_t end_ms = now_ms() + 20000;
    while (look(client, name).votes != 3) {
        if (now_ms() > end_ms) FAIL("never held on all three");
        sleep_ms(20);
        CHECK_EQ_INT(tenure_hold_renew(hold, 0, NULL), TENURE_OK);
    }
    return hold;
}

TEST(l1_a_contender_of_the_same_process_does_not_end_the_hold)
{
    struct tenure_client client = open_client_with(600);
    const char *name = fresh("l1");
    struct seen seen;
    seen_init(&seen);
    struct tenure_lock_options options = kept(&name, 1800, 0, &seen);
    struct tenure_hold hold = lock(client, &options);
    for (unsigned round = 0; round < 3; round++) {
        /* It gets one of three, if anything, and gives it back. */
        control("freeze 0");
        control("freeze 1");
        struct tenure_lock_options other = plain(&name, 1800, 0);
        CHECK_NE_INT(try_lock(client, &other), TENURE_OK);
        control("thaw 0");
        control("thaw 1");
        sleep_ms(700);
        CHECK(tenure_hold_valid(hold));
    }
    CHECK(!is_reached(&seen, &seen.lost_count, 1));
    CHECK_EQ_UINT(look(client, name).token, tenure_hold_token(hold));
    await_three_votes(client, name);
    unlock(hold);
    tenure_client_close(client);
}

TEST(l1_the_same_process_is_not_the_same_owner)
{
    struct tenure_client client = open_client();
    const char *name = fresh("l1-owner");
    struct tenure_lock_options options = plain(&name, 2000, 0);
    struct tenure_hold hold = lock(client, &options);
    CHECK_EQ_TEXT(tenure_err_name(try_lock(client, &options)), "held");
    CHECK_EQ_INT(tenure_hold_renew(hold, 0, NULL), TENURE_OK);
    unlock(hold);
    tenure_client_close(client);
}

TEST(f3_of_two_threads_of_one_process_one_gets_it)
{
    struct tenure_client client = open_client();
    for (unsigned round = 0; round < 40; round++) {
        const char *name = round % 8 == 0 ? fresh("f3") : "f3/same";
        struct seen seen[2];
        for (unsigned index = 0; index < 2; index++) {
            struct tenure_lock_options options = plain(&name, 2000, 0);
            seen_init(&seen[index]);
            (void)start_lock(client, &options, &seen[index]);
        }
        unsigned granted = 0;
        for (unsigned index = 0; index < 2; index++) {
            await(&seen[index], &seen[index].done_count, 1);
            granted += seen[index].err == TENURE_OK;
        }
        CHECK_EQ_UINT(granted, 1);
        unlock(seen[seen[0].err == TENURE_OK ? 0 : 1].hold);
    }
    tenure_client_close(client);
}

/* ------------------------------------------------------------------ L2, F14: repair and release */

static void *renew(void *user)
{
    const struct tenure_hold *hold = user;
    (void)!tenure_hold_renew(*hold, 0, NULL);
    return NULL;
}

/* A server has lost the hold; a renewal is about to heal it while the hold is released. */
TEST(l2_f14_a_release_beside_a_repair_leaves_no_ghost)
{
    struct tenure_client client = open_client();
    struct tenure_client other = open_client();
    for (unsigned round = 0; round < 30; round++) {
        const char *name = fresh("l2");
        struct tenure_lock_options options = plain(&name, 2000, 0);
        struct tenure_hold hold = lock_on_all_three(client, name, &options);
        control("delete 2 %s", name);
        struct claim_texts texts = claim_of(hold);
        struct tenure_claim claim = { name, texts.owner, texts.token };
        pthread_t thread;
        CHECK_EQ_INT(pthread_create(&thread, NULL, renew, &hold), 0);
        struct tenure_release release = { .end = TENURE_END_UNKNOWN };
        enum tenure_err err = tenure_claim_release(other, &claim, &release, NULL);
        CHECK_EQ_INT(pthread_join(thread, NULL), 0);
        CHECK_EQ_INT(err, TENURE_OK);
        CHECK_EQ_TEXT(tenure_end_name(release.end), "released");
        check_free(other, name, 500);
        CHECK_EQ_UINT(look(other, name).hold_count, 0);
        tenure_hold_forget(hold);
    }
    tenure_client_close(client);
    tenure_client_close(other);
}

/* ------------------------------------------------------------------ F2: clocks */

TEST(f2_a_client_whose_clock_is_wrong_holds_what_it_believes_to_hold)
{
    struct tenure_client client = open_client();
    struct tenure_client other = open_client();
    const char *name = fresh("f2");
    static const int64_t offsets_s[] = { -3600, 3600, -31, 0, -86400 };
    uint64_t last = 0;
    for (unsigned round = 0; round < 5; round++) {
        atomic_store(&wall_offset_s, offsets_s[round]);
        struct tenure_lock_options options = plain(&name, 1900, 3000);
        struct tenure_hold hold = lock(client, &options);
        CHECK_LT_UINT(last, tenure_hold_token(hold));
        last = tenure_hold_token(hold);
        atomic_store(&wall_offset_s, -offsets_s[round]);
        options.wait_ms = 0;
        CHECK_EQ_TEXT(tenure_err_name(try_lock(other, &options)), "held");
        CHECK(look(other, name).remaining_ms > 1000);
        CHECK_EQ_INT(tenure_hold_renew(hold, 0, NULL), TENURE_OK);
        CHECK_EQ_TEXT(tenure_err_name(try_lock(other, &options)), "held");
        unlock(hold);
    }
    atomic_store(&wall_offset_s, 0);
    tenure_client_close(client);
    tenure_client_close(other);
}

/* ------------------------------------------------------------------ F4, F16: minorities */

/* A holds one of three, B two.  A's end is no news to B, and B's hold is not touched by it. */
TEST(f4_what_a_minority_knows_does_not_end_the_hold_of_a_majority)
{
    struct tenure_client first = open_client();
    struct tenure_client second = open_client();
    const char *name = fresh("f4");
    struct tenure_lock_options options = plain(&name, 2000, 0);
    struct tenure_hold old = lock_on_all_three(first, name, &options);
    control("delete 1 %s", name);
    control("delete 2 %s", name);
    struct seen seen;
    seen_init(&seen);
    struct tenure_lock_options next = kept(&name, 1500, 0, &seen);
    struct tenure_hold hold = lock(second, &next);
    CHECK(tenure_hold_token(hold) > tenure_hold_token(old));
    CHECK_EQ_INT(tenure_hold_renew(old, 0, NULL), TENURE_LOST);
    struct tenure_release release = { .end = TENURE_END_UNKNOWN };
    CHECK_EQ_INT(tenure_hold_release(old, &release), TENURE_OK);
    CHECK_EQ_TEXT(tenure_end_name(release.end), "expired_taken");
    sleep_ms(2000);
    CHECK(tenure_hold_valid(hold));
    CHECK(!is_reached(&seen, &seen.lost_count, 1));
    await_three_votes(first, name); /* and what A left was healed */
    unlock(hold);
    tenure_client_close(first);
    tenure_client_close(second);
}

TEST(f16_less_than_a_majority_is_no_success)
{
    struct tenure_client client = open_client_with(500);
    const char *name = fresh("f16");
    struct tenure_lock_options options = plain(&name, 1500, 0);
    struct tenure_hold hold = lock(client, &options);
    const char *others = fresh("f16-other");
    struct tenure_lock_options other = plain(&others, 1500, 0);
    control("freeze 1");
    control("freeze 2");
    enum tenure_err renewed = tenure_hold_renew(hold, 0, NULL);
    enum tenure_err granted = try_lock(client, &other);
    struct tenure_release release = { .end = TENURE_END_RELEASED };
    enum tenure_err released = tenure_hold_release(hold, &release);
    control("thaw 1");
    control("thaw 2");
    CHECK_NE_INT(renewed, TENURE_OK);
    CHECK_NE_INT(granted, TENURE_OK);
    CHECK_NE_INT(released, TENURE_OK);
    CHECK_EQ_TEXT(tenure_end_name(release.end), "unknown");
    tenure_client_close(client);
}

/* ------------------------------------------------------------------ F8: amnesia */

TEST(f8_a_server_that_has_forgotten_does_not_make_a_second_holder)
{
    struct tenure_client first = open_client();
    struct tenure_client second = open_client_with(300);
    const char *name = fresh("f8");
    control("freeze 2");
    struct tenure_lock_options options = plain(&name, 1900, 0);
    struct tenure_hold hold = lock(first, &options);
    uint64_t token = tenure_hold_token(hold);
    control("empty 1");
    control("thaw 2");
    /* 1 and 2 know nothing of it. */
    while (tenure_hold_valid(hold)) {
        struct tenure_lock_options other = plain(&name, 1000, 0);
        enum tenure_err err = try_lock(second, &other);
        CHECK(err != TENURE_OK || !tenure_hold_valid(hold));
        sleep_ms(10);
    }
    struct tenure_client third = open_client_with(9000);
    struct tenure_lock_options next = plain(&name, 1000, 9000);
    struct tenure_hold later = lock(third, &next);
    CHECK(tenure_hold_token(later) > token);
    unlock(later);
    tenure_hold_forget(hold);
    tenure_client_close(first);
    tenure_client_close(second);
    tenure_client_close(third);
}

/* ------------------------------------------------------------------ F9: renewing */

TEST(f9_a_missed_beat_costs_nothing)
{
    struct tenure_client client = open_client();
    const char *name = fresh("f9");
    struct seen seen;
    seen_init(&seen);
    struct tenure_lock_options options = kept(&name, 1900, 0, &seen);
    struct tenure_hold hold = lock(client, &options);
    for (unsigned round = 0; round < 3; round++) {
        control("freeze 0");
        control("freeze 1");
        sleep_ms(700); /* a third of the ttl, and a little */
        control("thaw 0");
        control("thaw 1");
        sleep_ms(900);
        CHECK(tenure_hold_valid(hold));
    }
    CHECK(!is_reached(&seen, &seen.lost_count, 1));
    unlock(hold);
    tenure_client_close(client);
}

/* ------------------------------------------------------------------ F12: late arrivals */

/* What was asked for while servers did not answer reaches them when they do. */
TEST(f12_a_vote_that_comes_late_holds_the_lock_for_nobody)
{
    struct tenure_client first = open_client_with(400);
    struct tenure_client second = open_client();
    for (unsigned round = 0; round < 3; round++) {
        const char *name = fresh("f12");
        control("freeze 1");
        control("freeze 2");
        struct tenure_lock_options options = plain(&name, 2000, 0);
        CHECK_NE_INT(try_lock(first, &options), TENURE_OK);
        control("thaw 1");
        control("thaw 2");
        check_free(second, name, 1000);
    }
    tenure_client_close(first);
    tenure_client_close(second);
}

/* ------------------------------------------------------------------ F13: contenders */

TEST(f13_contenders_do_not_hinder_each_other_for_ever)
{
    enum { COUNT = 8 };
    struct tenure_client clients[COUNT];
    for (unsigned index = 0; index < COUNT; index++) {
        clients[index] = open_client();
    }
    for (unsigned round = 0; round < 10; round++) {
        const char *name = fresh("f13");
        struct seen seen[COUNT];
        int64_t before_ms = now_ms();
        unsigned granted = 0;
        struct tenure_hold hold = { 0 };
        for (unsigned index = 0; index < COUNT; index++) {
            struct tenure_lock_options options = plain(&name, 2000, 0);
            seen_init(&seen[index]);
            (void)start_lock(clients[index], &options, &seen[index]);
        }
        for (unsigned index = 0; index < COUNT; index++) {
            await(&seen[index], &seen[index].done_count, 1);
            if (seen[index].err == TENURE_OK) hold = seen[index].hold;
            granted += seen[index].err == TENURE_OK;
        }
        CHECK_EQ_UINT(granted, 1);
        CHECK_LE_INT(now_ms() - before_ms, 1500);
        unlock(hold);
    }
    for (unsigned index = 0; index < COUNT; index++) {
        tenure_client_close(clients[index]);
    }
}

/* ------------------------------------------------------------------ F15: fencing */

TEST(f15_a_late_holder_has_a_lower_token)
{
    struct tenure_client client = open_client();
    const char *name = fresh("f15");
    uint64_t last = 0;
    for (unsigned round = 0; round < 5; round++) {
        struct tenure_lock_options options = plain(&name, 150, 3000);
        struct tenure_hold hold = lock(client, &options);
        CHECK_LT_UINT(last, tenure_hold_token(hold));
        last = tenure_hold_token(hold);
        tenure_hold_forget(hold); /* and it goes on believing */
    }
    tenure_client_close(client);
}
