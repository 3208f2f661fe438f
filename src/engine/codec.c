#include "engine/codec.h"

char *codec_put_number(char *out, uint64_t value)
{
    while (value >= 0x80) {
        *out++ = (char)(uint8_t)(value | 0x80);
        value >>= 7;
    }
    *out++ = (char)(uint8_t)value;
    return out;
}

char *codec_put_text(char *out, struct bytes text)
{
    out = codec_put_number(out, text.size);
    if (text.size > 0) memcpy(out, text.data, text.size);
    return out + text.size;
}

uint64_t codec_take_long_number(struct codec_reader *reader, uint64_t value_max)
{
    uint64_t value = 0;
    for (unsigned shift = 0; !reader->is_bad && shift < 64 && reader->input.size > 0; shift += 7) {
        uint8_t byte = (uint8_t)*reader->input.data;
        reader->input.data++;
        reader->input.size--;
        if (shift == 63 && byte > 1) break;
        if (shift > 0 && byte == 0) break; /* one number, one encoding */
        value |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80) {
            if (value > value_max) break;
            return value;
        }
    }
    reader->is_bad = true;
    return 0;
}

struct bytes codec_take_text(struct codec_reader *reader, size_t size_max)
{
    size_t size = (size_t)codec_take_number(reader, size_max);
    if (reader->is_bad || size > reader->input.size) {
        reader->is_bad = true;
        return (struct bytes){ 0 };
    }
    struct bytes text = { reader->input.data, size };
    reader->input.data += size;
    reader->input.size -= size;
    return text;
}
