/* resp_reader - commands of clients in the Redis protocol.
 *
 * A command is an array of bulk strings, or a line of words ("inline", for people with a terminal):
 *
 *     *2\r\n$4\r\nECHO\r\n$2\r\nhi\r\n          ECHO "hi"\r\n
 *
 * The input is the buffer of the connection: each call passes everything from the first byte of the
 * command on.  The buffer may have moved between the calls; what was read in earlier calls is not
 * read again.  Arguments are not copied (but those of a line, where quotes may have to be
 * resolved).
 *
 * Strict where Redis is lenient: no signs, no leading zeros, no control characters in a line. Every
 * limit is checked when a length is announced, before anything is waited for.  After PARSE_BAD the
 * next command cannot be found: answer the text and close. */
#ifndef TENURE_PROTO_RESP_READER_H
#define TENURE_PROTO_RESP_READER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/limits.h"
#include "proto/parse.h"

/* The largest command there is renews LIMIT_ITEM_COUNT_MAX holds: one word, and four for each. */
#define RESP_ARGUMENT_COUNT_MAX (4 * LIMIT_ITEM_COUNT_MAX + 1)
/* The largest argument there is is the body of an item. */
#define RESP_ARGUMENT_SIZE_MAX ((size_t)LIMIT_BODY_SIZE_MAX)
#define RESP_LINE_SIZE_MAX     ((size_t)8 << 10) /* of an inline command, its end included */
#define RESP_COMMAND_SIZE_MAX  ((size_t)LIMIT_REQUEST_SIZE_MAX)

/* Spans of a command with few arguments lie in the reader itself. */
#define RESP_SPAN_COUNT_SMALL 16u

struct resp_span {
    uint32_t start;
    uint32_t size;
};

/* Valid until the input changes or the reader is used again. */
struct resp_command {
    const char *base; /* what the spans count from */
    const struct resp_span *spans;
    uint32_t argument_count; /* the name of the command included; 0 for a blank line */
};

/* All is private. */
struct resp_reader {
    const struct memory *memory;
    size_t position; /* everything before is read */
    size_t scanned;  /* of a line: no end before here */
    uint32_t argument_count;
    uint32_t argument_count_expected; /* 0 before the first line is complete */
    uint32_t argument_size;           /* of the argument that is being waited for */
    bool has_argument_size;
    uint32_t span_capacity;       /* of `spans_many` */
    struct resp_span *spans_many; /* NULL while the few are enough */
    struct resp_span spans_few[RESP_SPAN_COUNT_SMALL];
    struct buffer line; /* the words of an inline command, one behind the other */
};

void resp_reader_init(struct resp_reader *reader, const struct memory *memory);
/* Accepts a zeroed reader. */
void resp_reader_deinit(struct resp_reader *reader);

/* DONE: the command, and how many bytes it took; the reader is ready for the next.  BAD: a text
 * (static) that says what is wrong; the reader must be given back. */
enum proto_parse resp_read_command(
    struct resp_reader *reader,
    struct bytes input,
    struct resp_command *out_command,
    size_t *out_used,
    const char **out_text);

/* `index` is below argument_count. */
static inline struct bytes resp_argument(const struct resp_command *command, uint32_t index)
{
    struct resp_span span = command->spans[index];
    return (struct bytes){ command->base + span.start, span.size };
}

#endif
