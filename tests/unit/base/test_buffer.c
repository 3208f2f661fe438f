#include "base/buffer.h"
#include "lib/fault_memory.h"
#include "lib/random.h"
#include "lib/test.h"

TEST(buffer_keeps_what_is_appended)
{
    struct buffer buffer;
    buffer_init(&buffer, &memory_heap);
    buffer_append(&buffer, "one", 3);
    buffer_append_byte(&buffer, ' ');
    buffer_append_bytes(&buffer, BYTES_LITERAL("two"));
    buffer_append(&buffer, NULL, 0);
    CHECK_EQ_BYTES(buffer_bytes(&buffer), BYTES_LITERAL("one two"));
    buffer_deinit(&buffer);
    CHECK(buffer.data == NULL);
    CHECK_EQ_UINT(buffer.size, 0);
}

TEST(buffer_extend_gives_room_to_fill_in)
{
    struct fault_memory fault;
    fault_memory_init(&fault, 2);
    struct buffer buffer;
    buffer_init(&buffer, &fault.memory);
    buffer_append(&buffer, "one", 3);
    char *at = buffer_extend(&buffer, 4);
    CHECK(at != NULL);
    memcpy(at, " two", 4);
    CHECK_EQ_BYTES(buffer_bytes(&buffer), BYTES_LITERAL("one two"));
    CHECK(buffer_extend(&buffer, 1000) == NULL);
    CHECK(buffer.is_failed);
    CHECK_EQ_UINT(buffer.size, 7);
    buffer_deinit(&buffer);
    fault_memory_check_empty(&fault);
}

TEST(buffer_of_zeroes_may_be_given_back)
{
    struct buffer buffer = { 0 };
    buffer_deinit(&buffer);
    CHECK(buffer.data == NULL);
}

TEST(buffer_grows_by_doubling)
{
    struct fault_memory fault;
    fault_memory_init(&fault, 0);
    struct buffer buffer;
    buffer_init(&buffer, &fault.memory);
    for (int i = 0; i < 1 << 20; i++)
        buffer_append_byte(&buffer, (char)i);
    CHECK_EQ_UINT(buffer.size, 1 << 20);
    CHECK_LE_UINT(fault.call_count, 20);
    for (int i = 0; i < 1 << 20; i++)
        CHECK_EQ_INT(buffer.data[i], (char)i);
    buffer_deinit(&buffer);
    fault_memory_check_empty(&fault);
}

TEST(buffer_after_reserve_does_not_allocate)
{
    struct fault_memory fault;
    fault_memory_init(&fault, 2);
    struct buffer buffer;
    buffer_init(&buffer, &fault.memory);
    CHECK(buffer_reserve(&buffer, 1000));
    for (int i = 0; i < 1000; i++)
        buffer_append_byte(&buffer, 'x');
    CHECK(!buffer.is_failed);
    CHECK_EQ_UINT(fault.call_count, 1);
    buffer_deinit(&buffer);
}

TEST(buffer_reserve_that_fails_loses_nothing)
{
    struct fault_memory fault;
    fault_memory_init(&fault, 2);
    struct buffer buffer;
    buffer_init(&buffer, &fault.memory);
    buffer_append(&buffer, "kept", 4);
    CHECK(!buffer_reserve(&buffer, 1 << 16));
    CHECK(!buffer.is_failed);
    CHECK_EQ_BYTES(buffer_bytes(&buffer), BYTES_LITERAL("kept"));
    buffer_append(&buffer, " on", 3);
    CHECK_EQ_BYTES(buffer_bytes(&buffer), BYTES_LITERAL("kept on"));
    buffer_deinit(&buffer);
    fault_memory_check_empty(&fault);
}

TEST(buffer_remembers_an_append_that_failed)
{
    struct fault_memory fault;
    fault_memory_init(&fault, 1);
    struct buffer buffer;
    buffer_init(&buffer, &fault.memory);
    buffer_append(&buffer, "lost", 4);
    CHECK(buffer.is_failed);
    buffer_append(&buffer, "not appended after a gap", 24);
    CHECK(buffer.is_failed);
    CHECK_EQ_UINT(buffer.size, 0);
    CHECK(!buffer_reserve(&buffer, 1));

    buffer_reset(&buffer);
    buffer_append(&buffer, "again", 5);
    CHECK(!buffer.is_failed);
    CHECK_EQ_BYTES(buffer_bytes(&buffer), BYTES_LITERAL("again"));
    buffer_deinit(&buffer);
    fault_memory_check_empty(&fault);
}

TEST(buffer_refuses_sizes_that_overflow)
{
    struct buffer buffer;
    buffer_init(&buffer, &memory_heap);
    buffer_append(&buffer, "abc", 3);
    CHECK(!buffer_reserve(&buffer, SIZE_MAX));
    CHECK(!buffer_reserve(&buffer, SIZE_MAX - 3));
    CHECK(!buffer_reserve(&buffer, SIZE_MAX / 2 - 2));
    CHECK_EQ_UINT(buffer.size, 3);
    buffer_deinit(&buffer);
}

TEST(buffer_reset_keeps_capacity)
{
    struct buffer buffer;
    buffer_init(&buffer, &memory_heap);
    CHECK(buffer_reserve(&buffer, 5000));
    size_t capacity = buffer.capacity;
    buffer_append(&buffer, "x", 1);
    buffer_reset(&buffer);
    CHECK_EQ_UINT(buffer.size, 0);
    CHECK_EQ_UINT(buffer.capacity, capacity);
    buffer_deinit(&buffer);
}

TEST(buffer_swap_exchanges_contents)
{
    struct buffer left;
    struct buffer right;
    buffer_init(&left, &memory_heap);
    buffer_init(&right, &memory_heap);
    buffer_append(&left, "left", 4);
    buffer_swap(&left, &right);
    CHECK_EQ_UINT(left.size, 0);
    CHECK_EQ_BYTES(buffer_bytes(&right), BYTES_LITERAL("left"));
    buffer_deinit(&left);
    buffer_deinit(&right);
}

static void consume_too_much(void *user)
{
    buffer_consume(user, 4);
}

TEST(buffer_consume_of_more_than_there_is_aborts)
{
    struct buffer buffer;
    buffer_init(&buffer, &memory_heap);
    buffer_append(&buffer, "abc", 3);
    CHECK_ABORTS(consume_too_much, &buffer);
    buffer_deinit(&buffer);
}

/* A queue of bytes that count up: what comes out at the front must be what went in at the end. */
TEST(buffer_as_a_queue_keeps_order)
{
    struct test_random random = { 1 };
    struct buffer buffer;
    buffer_init(&buffer, &memory_heap);
    uint64_t in = 0;
    uint64_t out = 0;
    for (int step = 0; step < 20000; step++) {
        uint64_t more = test_random_below(&random, 40);
        for (uint64_t i = 0; i < more; i++)
            buffer_append_byte(&buffer, (char)in++);
        CHECK_EQ_UINT(buffer.size, in - out);
        for (size_t i = 0; i < buffer.size; i++)
            CHECK_EQ_INT(buffer.data[i], (char)(out + i));
        uint64_t less = test_random_below(&random, buffer.size + 1);
        buffer_consume(&buffer, less);
        out += less;
    }
    buffer_deinit(&buffer);
}
