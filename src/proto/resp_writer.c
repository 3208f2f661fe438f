#include "proto/resp_writer.h"

#include "base/decimal.h"

#define HEAD_SIZE_MAX (1 + DECIMAL_THOUSANDTHS_SIZE_MAX + 2)

/* A type, digits, and the end of the line: the head of everything that has a length. */
static size_t format_head(char type, uint64_t value, char out_head[static HEAD_SIZE_MAX])
{
    out_head[0] = type;
    size_t size = 1 + decimal_format(value, out_head + 1);
    out_head[size++] = '\r';
    out_head[size++] = '\n';
    return size;
}

/* Where the next bytes go, with room for so many; NULL, and failed, when there is no memory. */
static char *begin(struct buffer *out, size_t size_max)
{
    if (buffer_reserve(out, size_max)) return out->data + out->size;
    out->is_failed = true;
    return NULL;
}

static void write_head(const struct resp_writer *writer, char type, uint64_t value)
{
    char *at = begin(writer->out, HEAD_SIZE_MAX);
    if (at != NULL) writer->out->size += format_head(type, value, at);
}

/* Control characters become blanks. */
static void append_cleaned(struct buffer *out, struct bytes text)
{
    char *at = text.size == 0 ? NULL : buffer_extend(out, text.size);
    if (at == NULL) return;
    for (size_t i = 0; i < text.size; i++) {
        unsigned char byte = (unsigned char)text.data[i];
        at[i] = byte < 0x20 || byte == 0x7f ? ' ' : text.data[i];
    }
}

void resp_write_simple(const struct resp_writer *writer, struct bytes text)
{
    buffer_append_byte(writer->out, '+');
    append_cleaned(writer->out, text);
    buffer_append(writer->out, "\r\n", 2);
}

void resp_write_error(const struct resp_writer *writer, const char *word, struct bytes text)
{
    buffer_append_byte(writer->out, '-');
    append_cleaned(writer->out, bytes_from_text(word));
    buffer_append_byte(writer->out, ' ');
    append_cleaned(writer->out, text);
    buffer_append(writer->out, "\r\n", 2);
}

void resp_write_bulk(const struct resp_writer *writer, struct bytes bytes)
{
    char *at = begin(writer->out, HEAD_SIZE_MAX + bytes.size + 2);
    if (at == NULL) return;
    size_t size = format_head('$', bytes.size, at);
    if (bytes.size > 0) memcpy(at + size, bytes.data, bytes.size);
    size += bytes.size;
    at[size++] = '\r';
    at[size++] = '\n';
    writer->out->size += size;
}

void resp_write_text(const struct resp_writer *writer, const char *text)
{
    resp_write_bulk(writer, bytes_from_text(text));
}

void resp_write_signed(const struct resp_writer *writer, int64_t value)
{
    if (value >= 0) {
        write_head(writer, ':', (uint64_t)value);
        return;
    }
    char *at = begin(writer->out, HEAD_SIZE_MAX);
    if (at == NULL) return;
    at[0] = ':';
    size_t size = 1 + decimal_format_signed(value, at + 1);
    at[size++] = '\r';
    at[size++] = '\n';
    writer->out->size += size;
}

void resp_write_unsigned(const struct resp_writer *writer, uint64_t value)
{
    ASSERT(value <= INT64_MAX);
    write_head(writer, ':', value);
}

void resp_write_bool(const struct resp_writer *writer, bool value)
{
    if (writer->is_resp3) {
        buffer_append(writer->out, value ? "#t\r\n" : "#f\r\n", 4);
    } else {
        buffer_append(writer->out, value ? ":1\r\n" : ":0\r\n", 4);
    }
}

void resp_write_null(const struct resp_writer *writer)
{
    buffer_append_bytes(
        writer->out, writer->is_resp3 ? BYTES_LITERAL("_\r\n") : BYTES_LITERAL("$-1\r\n"));
}

void resp_write_thousandths(const struct resp_writer *writer, int64_t value)
{
    char digits[DECIMAL_THOUSANDTHS_SIZE_MAX];
    struct bytes number = { digits, decimal_format_thousandths(value, digits) };
    if (!writer->is_resp3) {
        resp_write_bulk(writer, number);
        return;
    }
    buffer_append_byte(writer->out, ',');
    buffer_append_bytes(writer->out, number);
    buffer_append(writer->out, "\r\n", 2);
}

void resp_write_array(const struct resp_writer *writer, uint32_t count)
{
    write_head(writer, '*', count);
}

void resp_write_map(const struct resp_writer *writer, uint32_t count)
{
    if (writer->is_resp3) {
        write_head(writer, '%', count);
    } else {
        write_head(writer, '*', (uint64_t)count * 2);
    }
}

void resp_write_push(const struct resp_writer *writer, uint32_t count)
{
    write_head(writer, writer->is_resp3 ? '>' : '*', count);
}
