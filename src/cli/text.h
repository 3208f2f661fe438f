/* text - text in a buffer of the caller's, and JSON in it.
 *
 * What does not fit is left out whole, and `is_cut` says so: the text is always terminated and
 * never ends inside a UTF-8 sequence or an escape. */
#ifndef TENURE_CLI_TEXT_H
#define TENURE_CLI_TEXT_H

#include <stdbool.h>
#include <stddef.h>

struct text {
    char *data;
    size_t size;
    size_t size_max; /* without the terminating zero */
    bool is_cut;
};

/* Empty text in `buffer` of `buffer_size` (at least 1) bytes. */
void text_init(struct text *text, char *buffer, size_t buffer_size);
void text_add(struct text *text, const char *words);
void text_add_bytes(struct text *text, const char *bytes, size_t size);
__attribute__((format(printf, 2, 3))) void text_addf(struct text *text, const char *format, ...);
/* `words` as a JSON string, with its quotes.  Bytes that are not UTF-8 become U+FFFD.  NULL: null.
 */
void text_add_json(struct text *text, const char *words);
/* `words` for a terminal: what is no printable UTF-8 becomes '?', so that no name or label of a
 * stranger's moves the cursor. */
void text_add_visible(struct text *text, const char *words);
/* Cut to so many characters; the last one becomes an ellipsis when something is cut off. */
void text_fit(struct text *text, size_t columns);
/* Cut back to a size that it had. */
void text_cut(struct text *text, size_t size);

/* The bytes of the UTF-8 sequence at the start of `words`; 0: it is none.  A terminator inside it
 * is never passed. */
size_t utf8_sequence_size(const char *words);

#endif
