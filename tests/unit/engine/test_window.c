#include "engine/state.h"
#include "engine/window.h"
#include "lib/fault_memory.h"
#include "lib/random.h"
#include "lib/test.h"

#define MODEL_COUNT 4096

static struct lock first_lock;
static struct lock second_lock;

/* What the window should remember: event n of which lock, of what size, filled with what. */
struct model_event {
    struct lock *lock;
    uint64_t previous;
    size_t size;
    char filling;
};

static struct bytes text_of(const struct model_event *event, char *room)
{
    memset(room, event->filling, event->size);
    return (struct bytes){ room, event->size };
}

static void append(struct window *window, const struct model_event *event)
{
    char room[RECORD_SIZE_MAX];
    window_append(window, event->lock, (struct seq){ event->previous }, text_of(event, room));
}

static void check_event(const struct window *window, uint64_t seq, const struct model_event *event)
{
    char room[RECORD_SIZE_MAX];
    const struct window_entry *entry = window_find(window, (struct seq){ seq });
    CHECK(entry != NULL);
    CHECK(entry->subject == event->lock);
    CHECK_EQ_UINT(entry->previous.value, event->previous);
    CHECK_EQ_BYTES(window_record(entry), text_of(event, room));
}

TEST(window_of_nothing_remembers_nothing)
{
    struct window window;
    CHECK(window_init(&window, &memory_heap, ENGINE_WINDOW_SIZE_MIN));
    CHECK_EQ_UINT(window.first.value, 1);
    CHECK_EQ_UINT(window.last.value, 0);
    CHECK(window_find(&window, (struct seq){ 0 }) == NULL);
    CHECK(window_find(&window, (struct seq){ 1 }) == NULL);
    CHECK(!window_is_full(&window, RECORD_SIZE_MAX));
    window_deinit(&window);
    window_deinit(&window);
}

/* Records of all sizes, many times around the ring. */
TEST(window_remembers_the_newest_and_forgets_the_oldest)
{
    static struct model_event model[MODEL_COUNT];
    struct test_random random = { 1 };
    struct window window;
    CHECK(window_init(&window, &memory_heap, ENGINE_WINDOW_SIZE_MIN));
    uint64_t first = 1;
    for (uint64_t seq = 1; seq <= 30000; seq++) {
        uint64_t limit = seq % 3000 < 1500 ? 60 : RECORD_SIZE_MAX;
        struct model_event *event = &model[seq % MODEL_COUNT];
        *event = (struct model_event){
            .lock = test_random_below(&random, 2) == 0 ? &first_lock : &second_lock,
            .previous = test_random_below(&random, seq),
            .size = 1 + test_random_below(&random, limit),
            .filling = (char)test_random_below(&random, 128),
        };
        while (window_is_full(&window, event->size)) {
            CHECK_LT_UINT(first, seq);
            CHECK(window_evict(&window) == model[first % MODEL_COUNT].lock);
            CHECK(window_find(&window, (struct seq){ first }) == NULL);
            first++;
        }
        append(&window, event);
        CHECK_EQ_UINT(window.first.value, first);
        CHECK_EQ_UINT(window.last.value, seq);
        CHECK_LT_UINT(seq - first, MODEL_COUNT);
        check_event(&window, seq, event);
        check_event(&window, first, &model[first % MODEL_COUNT]);
        uint64_t any = first + test_random_below(&random, seq + 1 - first);
        check_event(&window, any, &model[any % MODEL_COUNT]);
        CHECK(window_find(&window, (struct seq){ seq + 1 }) == NULL);
    }
    window_deinit(&window);
}

/* It forgets only what it must: of small events it holds a good part of its size. */
TEST(window_uses_its_memory)
{
    struct window window;
    CHECK(window_init(&window, &memory_heap, ENGINE_WINDOW_SIZE_MIN));
    struct model_event event = { .lock = &first_lock, .size = 100, .filling = 'x' };
    for (uint64_t seq = 1; seq <= 3000; seq++) {
        while (window_is_full(&window, event.size)) {
            (void)window_evict(&window);
        }
        append(&window, &event);
    }
    uint64_t count = window.last.value + 1 - window.first.value;
    CHECK_LE_UINT(ENGINE_WINDOW_SIZE_MIN / 2, count * event.size);
    window_deinit(&window);
}

/* The table of positions is a limit too: one byte records fill it first. */
TEST(window_bounds_the_number_of_events)
{
    struct window window;
    CHECK(window_init(&window, &memory_heap, ENGINE_WINDOW_SIZE_MIN));
    struct model_event event = { .lock = &first_lock, .size = 1, .filling = 'x' };
    for (uint64_t seq = 1; seq <= 5000; seq++) {
        while (window_is_full(&window, event.size)) {
            (void)window_evict(&window);
        }
        append(&window, &event);
        CHECK_LE_UINT(window.last.value + 1 - window.first.value, window.position_count);
        check_event(&window, window.first.value, &event);
    }
    window_deinit(&window);
}

TEST(window_goes_on_behind_a_snapshot)
{
    struct window window;
    CHECK(window_init(&window, &memory_heap, ENGINE_WINDOW_SIZE_MIN));
    struct model_event event = { .lock = &first_lock, .previous = 7, .size = 10, .filling = 'a' };
    window_restart(&window, (struct seq){ 41 });
    CHECK(window_find(&window, (struct seq){ 41 }) == NULL);
    append(&window, &event);
    CHECK_EQ_UINT(window.last.value, 42);
    check_event(&window, 42, &event);
    CHECK(window_evict(&window) == &first_lock);
    window_restart(&window, (struct seq){ UINT64_C(1) << 60 });
    append(&window, &event);
    check_event(&window, (UINT64_C(1) << 60) + 1, &event);
    window_deinit(&window);
}

TEST(window_stays_within_its_size)
{
    struct fault_memory fault;
    for (uint64_t fail_at = 0; fail_at <= 2; fail_at++) {
        struct window window;
        fault_memory_init(&fault, fail_at);
        CHECK(window_init(&window, &fault.memory, 100000) == (fail_at == 0));
        CHECK_LE_UINT(fault.bytes_used, 100000);
        window_deinit(&window);
        fault_memory_check_empty(&fault);
    }
}
