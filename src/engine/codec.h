/* codec - numbers and texts as bytes: unsigned LEB128, and a length before each text.
 *
 * One value has one encoding; anything else is refused on reading. */
#ifndef TENURE_ENGINE_CODEC_H
#define TENURE_ENGINE_CODEC_H

#include "base/types.h"

#define CODEC_NUMBER_SIZE_MAX 10u

/* Write and return the end.  The caller has made room. */
char *codec_put_number(char *out, uint64_t value);
char *codec_put_text(char *out, struct bytes text);

/* Reads from the front of `input`; the first thing that is not what was asked for makes it bad, and
 * everything after that is zero. */
struct codec_reader {
    struct bytes input;
    bool is_bad;
};

/* Any number; codec_take_number is what to call. */
uint64_t codec_take_long_number(struct codec_reader *reader, uint64_t value_max);

/* Most numbers are of one byte. */
static inline uint64_t codec_take_number(struct codec_reader *reader, uint64_t value_max)
{
    struct bytes *input = &reader->input;
    if (reader->is_bad || input->size == 0 || (uint8_t)*input->data >= 0x80) {
        return codec_take_long_number(reader, value_max);
    }
    uint64_t value = (uint8_t)*input->data;
    input->data++;
    input->size--;
    if (value <= value_max) return value;
    reader->is_bad = true;
    return 0;
}

/* Borrowed from the input. */
struct bytes codec_take_text(struct codec_reader *reader, size_t size_max);

#endif
