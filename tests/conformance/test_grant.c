/* Granting: to one at a time, with tokens that rise. */
#include <stdio.h>
#include <string.h>

#include "conformance/conformance.h"

#define TOKEN_END (UINT64_C(1) << 53)

TEST(a_free_lock_is_granted_and_given_back)
{
    struct tenure_client client = open_client();
    const char *name = fresh("grant");
    struct tenure_lock_options options = plain(&name, 10000, 0);
    struct tenure_hold hold = lock(client, &options);
    CHECK(tenure_hold_valid(hold));
    CHECK(tenure_hold_token(hold) > 0 && tenure_hold_token(hold) < TOKEN_END);
    int64_t remaining_ms = tenure_hold_remaining_ms(hold);
    CHECK(remaining_ms > 5000 && remaining_ms < 10000);
    struct tenure_hold_info info;
    CHECK_EQ_INT(tenure_hold_info(hold, &info), TENURE_OK);
    CHECK_EQ_UINT(info.ttl_ms, 10000);
    CHECK_EQ_UINT(info.name_count, 1);
    CHECK_EQ_INT(info.state, TENURE_HOLD_HELD);
    struct tenure_hold_name told;
    CHECK_EQ_INT(tenure_hold_name(hold, 0, &told), TENURE_OK);
    CHECK_EQ_TEXT(told.name, name);
    CHECK_EQ_UINT(told.token, tenure_hold_token(hold));
    CHECK_EQ_UINT(told.slot, 0);
    unlock(hold);
    CHECK(!tenure_hold_valid(hold));
    tenure_client_close(client);
}

TEST(the_default_ttl_is_granted)
{
    struct tenure_client client = open_client();
    const char *name = fresh("default");
    struct tenure_lock_options options = plain(&name, 0, 0);
    struct tenure_hold hold = lock(client, &options);
    struct tenure_hold_info info;
    CHECK_EQ_INT(tenure_hold_info(hold, &info), TENURE_OK);
    CHECK_EQ_UINT(info.ttl_ms, TENURE_TTL_MS_DEFAULT);
    CHECK(strlen(info.owner) > 0);
    unlock(hold);
    tenure_client_close(client);
}

TEST(the_same_owner_asking_again_has_the_same_hold)
{
    struct tenure_client first = open_client();
    struct tenure_client second = open_client();
    const char *name = fresh("again");
    struct tenure_lock_options options = plain(&name, 10000, 0);
    options.owner = fresh("owner");
    options.meta = "kept";
    struct tenure_hold hold = lock(first, &options);
    struct tenure_hold same = lock(second, &options);
    options.wait_ms = 10000;
    struct tenure_hold again = lock(first, &options);
    CHECK_EQ_UINT(look(first, name).hold_count, 1);
    CHECK_EQ_TEXT(look(first, name).meta, "kept");
    if (kind()->is_ledger) {
        CHECK_EQ_UINT(tenure_hold_token(same), tenure_hold_token(hold));
        CHECK_EQ_UINT(tenure_hold_token(again), tenure_hold_token(hold));
    } else {
        /* The hold goes on with a higher token; what was granted before is void. */
        CHECK_LT_UINT(tenure_hold_token(hold), tenure_hold_token(same));
        CHECK_LT_UINT(tenure_hold_token(same), tenure_hold_token(again));
    }
    CHECK_EQ_UINT(look(first, name).token, tenure_hold_token(again));
    tenure_hold_forget(hold);
    tenure_hold_forget(same);
    unlock(again);
    options.owner = NULL;
    options.wait_ms = 0;
    CHECK_EQ_INT(try_lock(second, &options), TENURE_OK);
    tenure_client_close(first);
    tenure_client_close(second);
}

TEST(the_same_owner_behind_a_release_has_a_higher_token)
{
    struct tenure_client client = open_client();
    const char *name = fresh("higher");
    struct tenure_lock_options options = plain(&name, 10000, 0);
    options.owner = fresh("owner");
    uint64_t last = 0;
    for (unsigned round = 0; round < 5; round++) {
        struct tenure_hold hold = lock(client, &options);
        CHECK(tenure_hold_token(hold) > last);
        last = tenure_hold_token(hold);
        unlock(hold);
    }
    tenure_client_close(client);
}

TEST(who_comes_second_is_told_who_holds)
{
    struct tenure_client first = open_client();
    struct tenure_client second = open_client();
    const char *name = fresh("held");
    struct tenure_lock_options options = plain(&name, 10000, 0);
    options.owner = fresh("alice@build1:812#");
    options.meta = "make deploy";
    struct tenure_hold hold = lock(first, &options);
    struct tenure_lock_options other = plain(&name, 10000, 0);
    struct tenure_obstacle obstacle;
    struct tenure_error error;
    struct tenure_hold none = { 77 };
    CHECK_EQ_INT(tenure_lock(second, &other, &none, &obstacle, &error), TENURE_HELD);
    CHECK_EQ_UINT(none.id, 77);
    CHECK_EQ_INT(error.code, TENURE_HELD);
    CHECK_EQ_TEXT(obstacle.name, name);
    CHECK_EQ_TEXT(obstacle.owner, options.owner);
    CHECK_EQ_TEXT(obstacle.meta, "make deploy");
    CHECK_EQ_UINT(obstacle.token, tenure_hold_token(hold));
    CHECK(obstacle.remaining_ms > 5000 && obstacle.remaining_ms <= 10000);
    CHECK(obstacle.retry_after_ms == -1 || obstacle.retry_after_ms <= 10000);
    /* Many that try in vain do not disturb it. */
    for (unsigned round = 0; round < 20; round++) {
        CHECK_EQ_INT(try_lock(second, &other), TENURE_HELD);
    }
    CHECK_EQ_UINT(look(second, name).token, tenure_hold_token(hold));
    unlock(hold);
    CHECK_EQ_INT(try_lock(second, &other), TENURE_OK);
    tenure_client_close(first);
    tenure_client_close(second);
}

TEST(locks_with_other_names_do_not_touch_each_other)
{
    struct tenure_client client = open_client();
    const char *names[] = { fresh("one"), fresh("two") };
    struct tenure_lock_options one = plain(&names[0], 10000, 0);
    struct tenure_lock_options two = plain(&names[1], 10000, 0);
    struct tenure_hold first = lock(client, &one);
    struct tenure_hold second = lock(client, &two);
    unlock(first);
    CHECK(tenure_hold_valid(second));
    CHECK_EQ_INT(try_lock(client, &two), TENURE_HELD);
    unlock(second);
    tenure_client_close(client);
}

/* ------------------------------------------------------------------ crowds */

#define CROWD_COUNT 6u
#define CROWD_TURNS 12u

struct crowd {
    const char *name;
    pthread_mutex_t mutex;
    unsigned inside;
    unsigned turns;
    uint64_t token_last;
};

static void *work(void *user)
{
    struct crowd *crowd = user;
    struct tenure_client client = open_client_with(20000);
    for (unsigned turn = 0; turn < CROWD_TURNS; turn++) {
        struct tenure_lock_options options = plain(&crowd->name, 10000, TENURE_WAIT_FOREVER);
        struct tenure_hold hold = lock(client, &options);
        (void)pthread_mutex_lock(&crowd->mutex);
        crowd->turns++;
        CHECK_EQ_UINT(crowd->inside++, 0);
        CHECK_LT_UINT(crowd->token_last, tenure_hold_token(hold));
        crowd->token_last = tenure_hold_token(hold);
        (void)pthread_mutex_unlock(&crowd->mutex);
        CHECK(tenure_hold_valid(hold));
        (void)pthread_mutex_lock(&crowd->mutex);
        crowd->inside--;
        (void)pthread_mutex_unlock(&crowd->mutex);
        unlock(hold);
    }
    tenure_client_close(client);
    return NULL;
}

TEST(a_crowd_of_clients_is_let_in_one_by_one)
{
    struct crowd crowd = { .name = fresh("crowd") };
    pthread_t threads[CROWD_COUNT];
    (void)pthread_mutex_init(&crowd.mutex, NULL);
    for (unsigned index = 0; index < CROWD_COUNT; index++) {
        CHECK_EQ_INT(pthread_create(&threads[index], NULL, work, &crowd), 0);
    }
    for (unsigned index = 0; index < CROWD_COUNT; index++) {
        CHECK_EQ_INT(pthread_join(threads[index], NULL), 0);
    }
    CHECK_EQ_UINT(crowd.turns, CROWD_COUNT * CROWD_TURNS);
}

/* Of many who try at once, and do not wait, one gets it. */
TEST(of_many_who_try_at_once_one_gets_it)
{
    struct tenure_client clients[5];
    for (unsigned index = 0; index < 5; index++) {
        clients[index] = open_client();
    }
    for (unsigned round = 0; round < 10; round++) {
        const char *name = fresh("race");
        struct seen seen[5];
        unsigned granted = 0;
        struct tenure_hold hold = { 0 };
        for (unsigned index = 0; index < 5; index++) {
            struct tenure_lock_options options = plain(&name, 10000, 0);
            seen_init(&seen[index]);
            (void)start_lock(clients[index], &options, &seen[index]);
        }
        for (unsigned index = 0; index < 5; index++) {
            await(&seen[index], &seen[index].done_count, 1);
            if (seen[index].err == TENURE_OK) {
                granted++;
                hold = seen[index].hold;
            } else {
                CHECK_EQ_TEXT(tenure_err_name(seen[index].err), "held");
            }
        }
        CHECK_EQ_UINT(granted, 1);
        unlock(hold);
    }
    for (unsigned index = 0; index < 5; index++) {
        tenure_client_close(clients[index]);
    }
}

TEST(many_names_at_a_time_are_no_trouble)
{
    enum { COUNT = 60 };
    struct tenure_client client = open_client();
    static struct seen seen[COUNT];
    const char *names[COUNT];
    for (unsigned index = 0; index < COUNT; index++) {
        names[index] = fresh("flood");
        seen_init(&seen[index]);
        struct tenure_lock_options options = plain(&names[index], 10000, 0);
        (void)start_lock(client, &options, &seen[index]);
    }
    for (unsigned index = 0; index < COUNT; index++) {
        await(&seen[index], &seen[index].done_count, 1);
        CHECK_EQ_TEXT(tenure_err_name(seen[index].err), "ok");
    }
    for (unsigned index = 0; index < COUNT; index++) {
        unlock(seen[index].hold);
    }
    tenure_client_close(client);
}

/* ------------------------------------------------------------------ tokens */

/* Whoever it is and however the hold before it ended: each grant has a higher token. */
TEST(tokens_rise_over_releases_expiries_and_breaks)
{
    struct tenure_client clients[2] = { open_client(), open_client() };
    const char *name = fresh("tokens");
    uint64_t last = 0;
    for (unsigned round = 0; round < 30; round++) {
        bool is_short = round % 6 == 0;
        struct tenure_client client = clients[round % 2];
        struct tenure_lock_options options = plain(&name, is_short ? 100 : 10000, 10000);
        struct tenure_hold hold = lock(client, &options);
        uint64_t token = tenure_hold_token(hold);
        CHECK_LT_UINT(last, token);
        CHECK(token < TOKEN_END);
        last = token;
        if (is_short) {
            tenure_hold_forget(hold); /* it expires */
        } else if (round % 6 == 3) {
            CHECK_EQ_INT(tenure_break(client, name, token, "test", 0, NULL), TENURE_OK);
            tenure_hold_forget(hold);
        } else {
            unlock(hold);
        }
    }
    tenure_client_close(clients[0]);
    tenure_client_close(clients[1]);
}
