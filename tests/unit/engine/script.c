#include "unit/engine/script.h"

#include <stdio.h>

#include "lib/test.h"

#define NAME_COUNT   24u
#define OWNER_COUNT  12u
#define CLIENT_COUNT 6u

static bool is_one_in(struct test_random *random, uint64_t count)
{
    return test_random_below(random, count) == 0;
}

/* One in three names has slots: with the names s0, s3, … all agree on how many. */
static const char *pick_name(struct test_random *random, char room[16])
{
    unsigned number = (unsigned)test_random_below(random, NAME_COUNT);
    (void)snprintf(room, 16, "%c%u", number % 3 == 0 ? 's' : 'n', number);
    return room;
}

static const char *pick_owner(struct test_random *random, char room[16])
{
    (void)snprintf(room, 16, "o%u", (unsigned)test_random_below(random, OWNER_COUNT));
    return room;
}

/* Somebody who holds it; false when nobody does. */
static bool
pick_hold(const struct harness *harness, struct test_random *random, struct engine_hold_view *out)
{
    char room[16];
    struct bytes name = bytes_from_text(pick_name(random, room));
    struct engine_lock_view lock;
    if (!engine_inspect(harness->engine, name, harness->now, &lock)) return false;
    if (lock.hold_count == 0) return false;
    uint32_t index = (uint32_t)test_random_below(random, lock.hold_count);
    return engine_inspect_hold(harness->engine, name, harness->now, index, out);
}

static void acquire(struct harness *harness, struct test_random *random)
{
    static char meta[LIMIT_META_SIZE_MAX];
    struct bytes names[3];
    char rooms[3][16];
    char owner[16];
    memset(meta, 'm', sizeof meta);
    uint32_t count = is_one_in(random, 3) ? 1 + (uint32_t)test_random_below(random, 3) : 1;
    for (uint32_t index = 0; index < count; index++) {
        names[index] = bytes_from_text(pick_name(random, rooms[index]));
    }
    uint32_t slots = names[0].data[0] == 's' ? 3 : 1;
    bool is_shared = slots == 1 && is_one_in(random, 3);
    /* One after the other: in an initializer each compiler would draw in an order of its own. */
    struct engine_command command = { .kind = ENGINE_ACQUIRE };
    command.client = 1 + test_random_below(random, CLIENT_COUNT);
    struct engine_acquire *wish = &command.as.acquire;
    wish->names = names;
    wish->name_count = count;
    wish->owner = bytes_from_text(pick_owner(random, owner));
    uint64_t meta_limit = is_one_in(random, 30) ? LIMIT_META_SIZE_MAX + 1 : 40;
    wish->meta = (struct bytes){ meta, test_random_below(random, meta_limit) };
    if (!is_one_in(random, 12)) wish->ttl_ms = 100 + (uint32_t)test_random_below(random, 3000);
    if (is_one_in(random, 2)) wish->wait_ms = (uint32_t)test_random_below(random, 4000);
    wish->mode = is_shared ? ENGINE_SHARED : ENGINE_EXCLUSIVE;
    wish->slots = is_one_in(random, 40) ? 2 : slots;
    wish->priority = (uint32_t)test_random_below(random, LIMIT_PRIORITY_MAX + 1);
    if (is_one_in(random, 4)) wish->lock_delay_ms = (uint32_t)test_random_below(random, 900);
    (void)harness_command(harness, &command);
}

/* A release, a renewal, a proclamation or a transfer by somebody who holds, or nearly so. */
static void
claim(struct harness *harness, struct test_random *random, enum engine_command_kind kind)
{
    struct engine_hold_view hold;
    struct engine_waiter_view waiters[4];
    if (!pick_hold(harness, random, &hold)) return;
    struct engine_claim own = { hold.name, hold.owner, hold.token, ENGINE_TTL_KEEP };
    if (is_one_in(random, 20)) own.token.value--;
    if (is_one_in(random, 2)) own.ttl_ms = 100 + (uint32_t)test_random_below(random, 4000);
    struct engine_command command = { .kind = kind };
    uint32_t waiter_count =
        engine_inspect_waiters(harness->engine, hold.name, harness->now, waiters, 4);
    if (kind == ENGINE_RENEW) {
        command.as.renew.claims = &own;
        command.as.renew.count = 1;
    } else if (kind == ENGINE_PROCLAIM) {
        command.as.proclaim.claim = own;
        command.as.proclaim.value = (struct bytes){ "proclaimed", test_random_below(random, 11) };
    } else if (kind == ENGINE_TRANSFER) {
        command.as.transfer.claim = own;
        command.as.transfer.to =
            waiter_count == 0 ? hold.owner : waiters[test_random_below(random, waiter_count)].owner;
    } else {
        command.as.release = own;
    }
    /* What the views point at lives until the next step, and the step copies what it keeps. */
    (void)harness_command(harness, &command);
}

static void break_some(struct harness *harness, struct test_random *random)
{
    struct engine_hold_view hold;
    if (!pick_hold(harness, random, &hold)) return;
    struct engine_command command = {
        .kind = ENGINE_BREAK,
        .as.break_hold = { .name = hold.name,
                           .token = hold.token,
                           .reason = BYTES_LITERAL("scripted"),
                           .grace_ms = is_one_in(random, 2)
                                           ? 0
                                           : (uint32_t)test_random_below(random, 1500) },
    };
    (void)harness_command(harness, &command);
}

static void cancel(struct harness *harness, struct test_random *random)
{
    uint64_t back = test_random_below(random, 20);
    if (back >= harness->tag_last) return;
    (void)harness_cancel(
        harness, 1 + test_random_below(random, CLIENT_COUNT), harness->tag_last - back);
}

void script_step(struct harness *harness, struct test_random *random)
{
    switch (test_random_below(random, 24)) {
    case 0: break_some(harness, random); return;
    case 1: claim(harness, random, ENGINE_PROCLAIM); return;
    case 2: claim(harness, random, ENGINE_TRANSFER); return;
    case 3: cancel(harness, random); return;
    case 4:
        if (is_one_in(random, 3)) {
            harness_gone(harness, 1 + test_random_below(random, CLIENT_COUNT));
        }
        return;
    case 5:
        if (is_one_in(random, 10)) {
            harness_gate(
                harness, (enum engine_gate)test_random_below(random, ENGINE_GATE_DRAINING + 1));
        } else {
            harness_gate(harness, ENGINE_GATE_OPEN);
        }
        return;
    case 6:
        if (is_one_in(random, 4)) harness_stall(harness, (int64_t)test_random_below(random, 500));
        return;
    case 7:
    case 8: claim(harness, random, ENGINE_RENEW); return;
    case 9:
    case 10:
    case 11: claim(harness, random, ENGINE_RELEASE); return;
    case 12:
    case 13:
    case 14: harness_advance(harness, (int64_t)test_random_below(random, 300)); return;
    default: acquire(harness, random); return;
    }
}

void script_run(struct harness *harness, struct test_random *random, unsigned count)
{
    for (unsigned index = 0; index < count; index++) {
        test_note("step %u", index);
        script_step(harness, random);
    }
}
