#include "cli/text.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void text_init(struct text *text, char *buffer, size_t buffer_size)
{
    *text = (struct text){ .data = buffer, .size_max = buffer_size - 1 };
    buffer[0] = '\0';
}

void text_add_bytes(struct text *text, const char *bytes, size_t size)
{
    if (size > text->size_max - text->size) {
        text->is_cut = true;
        return;
    }
    memcpy(text->data + text->size, bytes, size);
    text->size += size;
    text->data[text->size] = '\0';
}

void text_add(struct text *text, const char *words)
{
    text_add_bytes(text, words, strlen(words));
}

void text_addf(struct text *text, const char *format, ...)
{
    size_t room = text->size_max - text->size;
    va_list arguments;
    va_start(arguments, format);
    int size = vsnprintf(text->data + text->size, room + 1, format, arguments);
    va_end(arguments);
    if (size < 0 || (size_t)size > room) {
        text->data[text->size] = '\0';
        text->is_cut = true;
        return;
    }
    text->size += (size_t)size;
}

void text_cut(struct text *text, size_t size)
{
    if (size >= text->size) return;
    text->size = size;
    text->data[size] = '\0';
}

/* RFC 3629: neither overlong, nor a surrogate, nor above U+10FFFF. */
size_t utf8_sequence_size(const char *words)
{
    const unsigned char *byte = (const unsigned char *)words;
    if (byte[0] < 0x80) return byte[0] == 0 ? 0 : 1;
    size_t size = byte[0] >= 0xf0 ? 4 : byte[0] >= 0xe0 ? 3 : 2;
    if (byte[0] < 0xc2 || byte[0] > 0xf4) return 0;
    unsigned char least = byte[0] == 0xe0 ? 0xa0 : byte[0] == 0xf0 ? 0x90 : 0x80;
    unsigned char most = byte[0] == 0xed ? 0x9f : byte[0] == 0xf4 ? 0x8f : 0xbf;
    if (byte[1] < least || byte[1] > most) return 0;
    for (size_t i = 2; i < size; i++) {
        if (byte[i] < 0x80 || byte[i] > 0xbf) return 0;
    }
    return size;
}

/* One character of `words`, of `size` bytes (0: it is no UTF-8). */
static void add_json_character(struct text *text, const char *words, size_t size)
{
    unsigned char byte = (unsigned char)words[0];
    if (size == 0) {
        text_add(text, "\\ufffd");
    } else if (byte == '"' || byte == '\\') {
        char escape[2] = { '\\', words[0] };
        text_add_bytes(text, escape, sizeof(escape));
    } else if (byte == '\n') {
        text_add(text, "\\n");
    } else if (byte == '\t') {
        text_add(text, "\\t");
    } else if (byte < 0x20 || byte == 0x7f) {
        text_addf(text, "\\u%04x", byte);
    } else {
        text_add_bytes(text, words, size);
    }
}

void text_add_json(struct text *text, const char *words)
{
    if (words == NULL) {
        text_add(text, "null");
        return;
    }
    text_add(text, "\"");
    while (*words != '\0') {
        size_t size = utf8_sequence_size(words);
        add_json_character(text, words, size);
        words += size == 0 ? 1 : size;
    }
    text_add(text, "\"");
}

static bool is_control(const char *words, size_t size)
{
    const unsigned char *byte = (const unsigned char *)words;
    bool is_c1 = size == 2 && byte[0] == 0xc2 && byte[1] < 0xa0;
    return size == 0 || byte[0] < 0x20 || byte[0] == 0x7f || is_c1;
}

void text_add_visible(struct text *text, const char *words)
{
    while (*words != '\0') {
        size_t size = utf8_sequence_size(words);
        if (is_control(words, size)) {
            text_add(text, "?");
        } else {
            text_add_bytes(text, words, size);
        }
        words += size == 0 ? 1 : size;
    }
}

void text_fit(struct text *text, size_t columns)
{
    size_t column = 0;
    size_t cut_at = 0;
    for (size_t i = 0; i < text->size; column++) {
        if (column + 1 == columns) cut_at = i;
        if (column == columns) {
            text_cut(text, cut_at);
            text_add(text, "\xe2\x80\xa6");
            return;
        }
        size_t size = utf8_sequence_size(text->data + i);
        i += size == 0 ? 1 : size;
    }
}
