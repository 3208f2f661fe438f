/* words - a command in the making.
 *
 * It tells first how many words it has: it is gone through twice, and only counted at first.
 *
 *     struct words count = { .writer = NULL };
 *     add_command(&count, …);
 *     struct words words = { .writer = writer };
 *     resp_write_array(writer, count.count);
 *     add_command(&words, …); */
#ifndef TENURE_STORE_REMOTE_WORDS_H
#define TENURE_STORE_REMOTE_WORDS_H

#include "base/decimal.h"
#include "base/limits.h"
#include "proto/resp_writer.h"
#include "store/store.h"

struct words {
    const struct resp_writer *writer; /* NULL: count */
    uint32_t count;
};

static inline void add_bytes(struct words *words, struct bytes bytes)
{
    words->count++;
    if (words->writer != NULL) resp_write_bulk(words->writer, bytes);
}

static inline void add_text(struct words *words, const char *text)
{
    add_bytes(words, bytes_from_text(text));
}

static inline void add_number(struct words *words, uint64_t number)
{
    char digits[DECIMAL_SIZE_MAX];
    size_t size = decimal_format(number, digits);
    add_bytes(words, (struct bytes){ digits, size });
}

/* An option with a text; NULL: without it. */
static inline void add_text_option(struct words *words, const char *word, const char *text)
{
    if (text == NULL) return;
    add_text(words, word);
    add_text(words, text);
}

/* One with a number; 0: without it. */
static inline void add_number_option(struct words *words, const char *word, uint64_t number)
{
    if (number == 0) return;
    add_text(words, word);
    add_number(words, number);
}

#endif
