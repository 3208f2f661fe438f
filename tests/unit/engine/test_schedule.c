/* Schedules as items: there and back, and put once whatever happens in between. */
#include "engine/queues.h"
#include "engine/schedule.h"
#include "lib/test.h"
#include "unit/engine/harness.h"

static struct schedule sample(void)
{
    return (struct schedule){
        .name = BYTES_LITERAL("nightly@home"),
        .made_us = 1700000000000001,
        .line = BYTES_LITERAL("0 3 * * mon-fri"),
        .zone = BYTES_LITERAL("Europe/Berlin"),
        .policy = { CRON_ALL, 7 },
        .item = { .queue = BYTES_LITERAL("reports"),
                  .group = BYTES_LITERAL("ann"),
                  .headers = BYTES_LITERAL("h"),
                  .body = BYTES_LITERAL("\0any\xff"),
                  .terms = { .lease_ms = 30000, .priority = 3 } },
    };
}

static enum tenure_err put(struct harness *harness, struct engine_put item)
{
    struct engine_command command = { .kind = ENGINE_PUT, .as.put = { &item, 1 } };
    return harness_command(harness, &command)->err;
}

static struct engine_item_view look(struct harness *harness, struct bytes queue, struct bytes id)
{
    struct engine_item_view view;
    CHECK(engine_item(harness->engine, queue, id, &view));
    return view;
}

TEST(schedule_comes_back_as_it_was)
{
    char id[SCHEDULE_ID_SIZE_MAX];
    struct buffer room;
    struct engine_put item;
    struct schedule schedule = sample();
    struct schedule again;
    int64_t due_us;
    buffer_init(&room, &memory_heap);
    struct harness *harness = harness_open();
    int64_t later_us = harness->wall.us / 1000000 * 1000000 + 3600000000;
    CHECK(schedule_find_fault(&schedule) == NULL);
    CHECK(schedule_make(&schedule, later_us, &room, id, &item));
    CHECK_EQ_INT(put(harness, item), TENURE_OK);
    struct engine_item_view view = look(harness, SCHEDULE_QUEUE, item.id);
    CHECK_EQ_INT(view.state, ITEM_DELAYED);
    CHECK(schedule_read(&view, &again, &due_us));
    CHECK_EQ_INT(due_us, later_us);
    CHECK_EQ_BYTES(again.name, schedule.name);
    CHECK_EQ_INT(again.made_us, schedule.made_us);
    CHECK_EQ_BYTES(again.line, schedule.line);
    CHECK_EQ_BYTES(again.zone, schedule.zone);
    CHECK_EQ_INT(again.policy.missed, CRON_ALL);
    CHECK_EQ_UINT(again.policy.run_count_max, 7);
    CHECK_EQ_BYTES(again.item.queue, schedule.item.queue);
    CHECK_EQ_BYTES(again.item.group, schedule.item.group);
    CHECK_EQ_BYTES(again.item.body, schedule.item.body);
    CHECK_EQ_UINT(again.item.terms.priority, 3);
    /* Every byte counts. */
    for (size_t size = 0; size < view.body.size; size++) {
        struct engine_item_view cut = view;
        cut.body.size = size;
        CHECK(!schedule_read(&cut, &again, &due_us));
    }
    view.id = BYTES_LITERAL("nightly");
    CHECK(!schedule_read(&view, &again, &due_us));
    buffer_deinit(&room);
    harness_close(&harness);
}

TEST(schedule_that_is_unsound_is_refused)
{
    struct schedule schedule = sample();
    schedule.line = BYTES_LITERAL("0 0 31 2 *");
    CHECK_EQ_TEXT(schedule_find_fault(&schedule), "it never comes true");
    static const char *const zones[] = {
        "../../etc/passwd", "/etc/passwd", "Europe Berlin", "a.b"
    };
    for (size_t index = 0; index < sizeof zones / sizeof *zones; index++) {
        schedule = sample();
        schedule.zone = bytes_from_text(zones[index]);
        CHECK(schedule_find_fault(&schedule) != NULL);
    }
    schedule = sample();
    schedule.name.size = 0;
    CHECK(schedule_find_fault(&schedule) != NULL);
    schedule = sample();
    schedule.policy.run_count_max = 0;
    CHECK(schedule_find_fault(&schedule) != NULL);
    schedule = sample();
    schedule.item.terms.run_at_us = 1;
    CHECK(schedule_find_fault(&schedule) != NULL);
}

/* The same run again, after its item is done; and a newer schedule of the name. */
TEST(schedule_puts_a_run_once)
{
    char id[SCHEDULE_ID_SIZE_MAX];
    struct schedule schedule = sample();
    struct harness *harness = harness_open();
    struct bytes queue = schedule.item.queue;
    struct engine_put run = schedule_run(&schedule, harness->wall.us, id);
    CHECK_EQ_INT(put(harness, run), TENURE_OK);
    struct engine_command command = { .kind = ENGINE_TAKE };
    command.as.take = (struct engine_take){
        .queues = &queue, .queue_count = 1, .worker = BYTES_LITERAL("w"), .count_max = 1
    };
    CHECK_EQ_INT(harness_command(harness, &command)->err, TENURE_OK);
    command = (struct engine_command){ .kind = ENGINE_DONE };
    command.as.end_work.claim = (struct engine_work_claim){
        .queue = queue, .id = run.id, .token = look(harness, queue, run.id).token
    };
    CHECK_EQ_INT(harness_command(harness, &command)->err, TENURE_OK);
    uint64_t seq = engine_seq(harness->engine).value;
    CHECK_EQ_INT(put(harness, run), TENURE_OK);
    CHECK_EQ_UINT(engine_seq(harness->engine).value, seq);
    CHECK_EQ_INT(look(harness, queue, run.id).state, ITEM_DONE);
    harness_close(&harness);
}

TEST(schedule_made_anew_takes_the_place_of_the_old_one)
{
    char ids[2][SCHEDULE_ID_SIZE_MAX];
    struct buffer room;
    struct engine_put item;
    struct schedule schedule = sample();
    buffer_init(&room, &memory_heap);
    struct harness *harness = harness_open();
    int64_t later_us = harness->wall.us + 3600000000;
    CHECK(schedule_make(&schedule, later_us, &room, ids[0], &item));
    struct bytes old = item.id;
    CHECK_EQ_INT(put(harness, item), TENURE_OK);
    schedule.made_us++;
    CHECK(schedule_make(&schedule, later_us, &room, ids[1], &item));
    CHECK_EQ_INT(put(harness, item), TENURE_OK);
    CHECK_EQ_INT(look(harness, SCHEDULE_QUEUE, old).state, ITEM_CANCELLED);
    CHECK_EQ_INT(look(harness, SCHEDULE_QUEUE, item.id).state, ITEM_DELAYED);
    /* What the old one would put for its next run stays out. */
    schedule.made_us--;
    CHECK(schedule_make(&schedule, later_us + 60000000, &room, ids[0], &item));
    item.terms.conflict = UNIQUE_IGNORE;
    CHECK_EQ_INT(put(harness, item), TENURE_OK);
    struct engine_item_view view;
    CHECK(!engine_item(harness->engine, SCHEDULE_QUEUE, item.id, &view));
    buffer_deinit(&room);
    harness_close(&harness);
}
