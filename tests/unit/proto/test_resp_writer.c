#include "lib/fault_memory.h"
#include "lib/test.h"
#include "proto/resp_writer.h"

struct fixture {
    struct buffer out;
    struct resp_writer writer;
};

static void fixture_init(struct fixture *fixture, bool is_resp3)
{
    buffer_init(&fixture->out, &memory_heap);
    fixture->writer = (struct resp_writer){ &fixture->out, is_resp3 };
}

static void check_out(struct fixture *fixture, const char *expected)
{
    CHECK_EQ_BYTES(buffer_bytes(&fixture->out), bytes_from_text(expected));
    buffer_deinit(&fixture->out);
}

/* What is the same in both versions. */
static void check_common(bool is_resp3)
{
    struct fixture fixture;
    fixture_init(&fixture, is_resp3);
    resp_write_simple(&fixture.writer, BYTES_LITERAL("OK"));
    check_out(&fixture, "+OK\r\n");
    resp_write_error(&fixture.writer, "HELD", BYTES_LITERAL("held by alice"));
    check_out(&fixture, "-HELD held by alice\r\n");
    resp_write_bulk(&fixture.writer, BYTES_LITERAL("a\r\nb"));
    check_out(&fixture, "$4\r\na\r\nb\r\n");
    resp_write_bulk(&fixture.writer, (struct bytes){ NULL, 0 });
    check_out(&fixture, "$0\r\n\r\n");
    resp_write_text(&fixture.writer, "token");
    check_out(&fixture, "$5\r\ntoken\r\n");
    resp_write_signed(&fixture.writer, 0);
    resp_write_signed(&fixture.writer, -1);
    resp_write_signed(&fixture.writer, INT64_MIN);
    resp_write_signed(&fixture.writer, INT64_MAX);
    check_out(&fixture, ":0\r\n:-1\r\n:-9223372036854775808\r\n:9223372036854775807\r\n");
    resp_write_unsigned(&fixture.writer, 0);
    resp_write_unsigned(&fixture.writer, INT64_MAX);
    check_out(&fixture, ":0\r\n:9223372036854775807\r\n");
    resp_write_array(&fixture.writer, 0);
    resp_write_array(&fixture.writer, UINT32_MAX);
    check_out(&fixture, "*0\r\n*4294967295\r\n");
}

TEST(resp_writer_common)
{
    check_common(false);
    check_common(true);
}

TEST(resp_writer_resp2)
{
    struct fixture fixture;
    fixture_init(&fixture, false);
    resp_write_null(&fixture.writer);
    resp_write_bool(&fixture.writer, true);
    resp_write_bool(&fixture.writer, false);
    check_out(&fixture, "$-1\r\n:1\r\n:0\r\n");
    resp_write_map(&fixture.writer, 3);
    resp_write_map(&fixture.writer, UINT32_MAX);
    resp_write_push(&fixture.writer, 2);
    check_out(&fixture, "*6\r\n*8589934590\r\n*2\r\n");
    resp_write_thousandths(&fixture.writer, 1234);
    resp_write_thousandths(&fixture.writer, -7);
    check_out(&fixture, "$5\r\n1.234\r\n$6\r\n-0.007\r\n");
}

TEST(resp_writer_resp3)
{
    struct fixture fixture;
    fixture_init(&fixture, true);
    resp_write_null(&fixture.writer);
    resp_write_bool(&fixture.writer, true);
    resp_write_bool(&fixture.writer, false);
    check_out(&fixture, "_\r\n#t\r\n#f\r\n");
    resp_write_map(&fixture.writer, 3);
    resp_write_push(&fixture.writer, 2);
    check_out(&fixture, "%3\r\n>2\r\n");
    resp_write_thousandths(&fixture.writer, 1234);
    resp_write_thousandths(&fixture.writer, 0);
    resp_write_thousandths(&fixture.writer, INT64_MIN);
    check_out(&fixture, ",1.234\r\n,0.000\r\n,-9223372036854775.808\r\n");
}

TEST(resp_writer_lines_cannot_be_broken)
{
    struct fixture fixture;
    fixture_init(&fixture, false);
    resp_write_error(&fixture.writer, "ERR", BYTES_LITERAL("a\r\n+OK\r\nb\0c\x7f"));
    check_out(&fixture, "-ERR a  +OK  b c \r\n");
    resp_write_error(&fixture.writer, "A\nB", (struct bytes){ NULL, 0 });
    check_out(&fixture, "-A B \r\n");
    resp_write_simple(&fixture.writer, BYTES_LITERAL("gr\xc3\xbc\xc3\x9f\n"));
    check_out(&fixture, "+gr\xc3\xbc\xc3\x9f \r\n");
    resp_write_simple(&fixture.writer, (struct bytes){ NULL, 0 });
    check_out(&fixture, "+\r\n");
}

TEST(resp_writer_without_memory_fails_the_buffer)
{
    for (uint64_t n = 1; n <= 3; n++) {
        struct fault_memory fault;
        struct buffer out;
        fault_memory_init(&fault, n);
        fault.is_failing_on = true;
        buffer_init(&out, &fault.memory);
        struct resp_writer writer = { &out, true };
        for (int i = 0; i < 30; i++) {
            resp_write_simple(&writer, BYTES_LITERAL("simple"));
            resp_write_error(&writer, "ERR", BYTES_LITERAL("text"));
            resp_write_bulk(&writer, BYTES_LITERAL("bulk"));
            resp_write_map(&writer, 1);
            resp_write_signed(&writer, -1);
            resp_write_thousandths(&writer, 1);
        }
        CHECK(out.is_failed);
        buffer_deinit(&out);
        fault_memory_check_empty(&fault);
    }
}

static void write_too_large(void *user)
{
    resp_write_unsigned(user, UINT64_MAX);
}

TEST(resp_writer_unsigned_above_the_range_aborts)
{
    struct fixture fixture;
    fixture_init(&fixture, false);
    CHECK_ABORTS(write_too_large, &fixture.writer);
    buffer_deinit(&fixture.out);
}
