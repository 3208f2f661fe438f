/* What not every store can do: it is done in full, or refused as unsupported. */
#include <string.h>

#include "conformance/conformance.h"

/* True: the store can.  False: it cannot, and has just refused. */
static bool
is_done(bool can, struct tenure_client client, const struct tenure_lock_options *options)
{
    if (can) return true;
    check_refused(client, options, TENURE_UNSUPPORTED);
    for (uint32_t index = 0; index < options->name_count; index++) {
        CHECK(!look(client, options->names[index]).is_found);
    }
    return false;
}

TEST(several_names_are_had_all_or_not_at_all)
{
    struct tenure_client client = open_client();
    const char *names[] = { fresh("all-a"), fresh("all-b"), fresh("all-c") };
    struct tenure_lock_options all = plain(names, 10000, 0);
    all.name_count = 3;
    if (is_done(kind()->has_many_names, client, &all)) {
        struct tenure_lock_options one = plain(&names[1], 10000, 0);
        struct tenure_hold hold = lock(client, &one);
        CHECK_EQ_INT(try_lock(client, &all), TENURE_HELD);
        CHECK_EQ_UINT(look(client, names[0]).hold_count, 0);
        unlock(hold);
        struct tenure_hold three = lock(client, &all);
        CHECK_EQ_INT(try_lock(client, &one), TENURE_HELD);
        struct tenure_hold_name told;
        CHECK_EQ_INT(tenure_hold_name(three, 2, &told), TENURE_OK);
        CHECK_EQ_TEXT(told.name, names[2]);
        unlock(three);
    }
    tenure_client_close(client);
}

TEST(shared_holds_exclude_exclusive_ones_only)
{
    struct tenure_client client = open_client();
    const char *name = fresh("shared");
    struct tenure_lock_options shared = plain(&name, 10000, 0);
    shared.mode = TENURE_SHARED;
    if (is_done(kind()->has_shared, client, &shared)) {
        struct tenure_lock_options exclusive = plain(&name, 10000, 0);
        struct tenure_hold first = lock(client, &shared);
        struct tenure_hold second = lock(client, &shared);
        CHECK_EQ_INT(try_lock(client, &exclusive), TENURE_HELD);
        unlock(first);
        unlock(second);
        struct tenure_hold hold = lock(client, &exclusive);
        CHECK_EQ_INT(try_lock(client, &shared), TENURE_HELD);
        unlock(hold);
    }
    tenure_client_close(client);
}

TEST(slots_are_numbered_and_counted)
{
    struct tenure_client client = open_client();
    const char *name = fresh("slots");
    struct tenure_lock_options options = plain(&name, 10000, 0);
    options.slots = 2;
    if (is_done(kind()->has_slots, client, &options)) {
        struct tenure_hold holds[2] = { lock(client, &options), lock(client, &options) };
        struct tenure_hold_name names[2];
        CHECK_EQ_INT(tenure_hold_name(holds[0], 0, &names[0]), TENURE_OK);
        CHECK_EQ_INT(tenure_hold_name(holds[1], 0, &names[1]), TENURE_OK);
        CHECK_EQ_UINT(names[0].slot + names[1].slot, 1);
        CHECK_EQ_INT(try_lock(client, &options), TENURE_HELD);
        struct tenure_lock_options three = plain(&name, 10000, 0);
        three.slots = 3;
        CHECK_EQ_INT(try_lock(client, &three), TENURE_LIMIT_MISMATCH);
        unlock(holds[0]);
        unlock(holds[1]);
    }
    options.slots = 1; /* a plain lock, for every store */
    CHECK_EQ_INT(try_lock(client, &options), TENURE_OK);
    tenure_client_close(client);
}

TEST(a_higher_priority_comes_first)
{
    struct tenure_client client = open_client();
    struct tenure_client waiting[2] = { open_client(), open_client() };
    const char *name = fresh("priority");
    struct tenure_lock_options options = plain(&name, 20000, 0);
    options.priority = 9;
    if (is_done(kind()->has_priority, client, &options)) {
        struct tenure_hold hold = lock(client, &options);
        struct seen seen[2];
        for (unsigned index = 0; index < 2; index++) {
            seen_init(&seen[index]);
            options.wait_ms = TENURE_WAIT_FOREVER;
            options.priority = index == 0 ? 0 : 9;
            (void)start_lock(waiting[index], &options, &seen[index]);
            await_waiters(client, name, index + 1);
        }
        unlock(hold);
        await(&seen[1], &seen[1].done_count, 1);
        CHECK(!is_reached(&seen[0], &seen[0].done_count, 1));
        unlock(seen[1].hold);
        await(&seen[0], &seen[0].done_count, 1);
        unlock(seen[0].hold);
    }
    tenure_client_close(client);
    tenure_client_close(waiting[0]);
    tenure_client_close(waiting[1]);
}

TEST(behind_an_expiry_the_lock_delay_runs)
{
    struct tenure_client client = open_client();
    const char *name = fresh("delay");
    struct tenure_lock_options options = plain(&name, 200, 0);
    options.lock_delay_ms = 500;
    if (is_done(kind()->has_lock_delay, client, &options)) {
        int64_t before_ms = now_ms();
        struct tenure_hold hold = lock(client, &options);
        struct tenure_lock_options other = plain(&name, 10000, 10000);
        struct tenure_hold next = lock(client, &other);
        CHECK_LE_INT(before_ms + 200 + 500, now_ms());
        tenure_hold_forget(hold);
        unlock(next);
    }
    tenure_client_close(client);
}

TEST(a_hold_may_have_no_ttl)
{
    struct tenure_client client = open_client();
    const char *name = fresh("unlimited");
    struct tenure_lock_options options = plain(&name, 0, 0);
    options.is_unlimited = true;
    if (is_done(kind()->has_unlimited, client, &options)) {
        struct tenure_hold hold = lock(client, &options);
        CHECK_EQ_INT(tenure_hold_remaining_ms(hold), INT64_MAX);
        CHECK_EQ_INT(look(client, name).remaining_ms, -1);
        unlock(hold);
    }
    tenure_client_close(client);
}

/* More safety than the store promises is never promised in silence. */
TEST(more_safety_than_there_is_is_refused)
{
    struct tenure_client client = open_client();
    for (int demand = TENURE_SAFETY_VOLATILE; demand <= TENURE_SAFETY_CONSENSUS; demand++) {
        const char *name = fresh("demand");
        struct tenure_lock_options options = plain(&name, 10000, 0);
        options.min_safety = (enum tenure_safety)demand;
        if (options.min_safety <= kind()->safety) {
            CHECK_EQ_TEXT(tenure_err_name(try_lock(client, &options)), "ok");
        } else {
            check_refused(client, &options, TENURE_UNSUPPORTED);
            CHECK(!look(client, name).is_found);
        }
    }
    tenure_client_close(client);
}

TEST(a_leader_may_say_something_new)
{
    struct tenure_client client = open_client();
    const char *name = fresh("leader");
    struct tenure_lock_options options = plain(&name, 10000, 0);
    options.meta = "first";
    struct tenure_hold hold = lock(client, &options);
    enum tenure_err err = tenure_election_proclaim(hold, "second", NULL);
    CHECK_EQ_TEXT(tenure_err_name(err), kind()->has_proclaim ? "ok" : "unsupported");
    CHECK_EQ_TEXT(look(client, name).meta, kind()->has_proclaim ? "second" : "first");
    CHECK_EQ_UINT(look(client, name).token, tenure_hold_token(hold));
    unlock(hold);
    tenure_client_close(client);
}

TEST(a_leader_may_hand_over)
{
    struct tenure_client client = open_client();
    struct tenure_client waiting = open_client();
    const char *name = fresh("transfer");
    struct tenure_lock_options options = plain(&name, 20000, 0);
    struct tenure_hold hold = lock(client, &options);
    uint64_t token = tenure_hold_token(hold);
    struct seen seen;
    seen_init(&seen);
    options.wait_ms = TENURE_WAIT_FOREVER;
    options.owner = fresh("heir");
    (void)start_lock(waiting, &options, &seen);
    await_waiters(client, name, 1);
    uint64_t next = 0;
    enum tenure_err err = tenure_election_transfer(hold, options.owner, &next, NULL);
    if (kind()->has_transfer) {
        CHECK_EQ_INT(err, TENURE_OK);
        CHECK(next > token);
    } else {
        CHECK_EQ_TEXT(tenure_err_name(err), "unsupported");
        CHECK_EQ_UINT(look(client, name).token, token);
        unlock(hold);
    }
    await(&seen, &seen.done_count, 1);
    CHECK_EQ_TEXT(tenure_err_name(seen.err), "ok");
    CHECK(tenure_hold_token(seen.hold) > token);
    unlock(seen.hold);
    tenure_client_close(client);
    tenure_client_close(waiting);
}
