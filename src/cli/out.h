/* out - what the commands print: tables for people, lines of JSON for programs.
 *
 * On a terminal a table is as wide as the terminal: the flexible columns give way, and what is cut
 * ends with an ellipsis.  Elsewhere nothing is cut.  Colour only on a terminal, without NO_COLOR.
 */
#ifndef TENURE_CLI_OUT_H
#define TENURE_CLI_OUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TABLE_COLUMNS_MAX 8u

enum out_colour { OUT_PLAIN, OUT_BOLD, OUT_DIM, OUT_GREEN, OUT_YELLOW, OUT_RED };

/* The escape sequences around coloured words; empty where there is no colour. */
const char *out_begin(enum out_colour colour);
const char *out_end(void);

struct table_column {
    const char *title;
    bool is_right; /* numbers */
    bool is_flexible;
};

struct table {
    const struct table_column *columns;
    size_t column_count;
    char **cells; /* row by row; ours */
    size_t cell_count;
    size_t cells_max;
    bool is_failed; /* no memory: some cells are missing */
};

void table_init(struct table *table, const struct table_column *columns, size_t column_count);
/* The next cell, left to right; its text is copied, and made harmless for terminals. */
void table_add(struct table *table, const char *words);
__attribute__((format(printf, 2, 3))) void table_addf(struct table *table, const char *format, ...);
/* Print; a table without rows prints nothing. */
void table_print(const struct table *table);
void table_deinit(struct table *table);

/* Members of an object, each with a comma before it unless it is the first one. */
struct json {
    bool is_inside; /* something has been written: a comma comes first */
};
void json_open(struct json *json, char bracket);
void json_close(struct json *json, char bracket);
/* `name` may be NULL, in an array. */
void json_key(struct json *json, const char *name);
void json_string(struct json *json, const char *name, const char *words);
void json_number(struct json *json, const char *name, uint64_t number);
/* Negative: null. */
void json_span(struct json *json, const char *name, int64_t number);
void json_bool(struct json *json, const char *name, bool is_true);
/* "2026-11-21T08:31:10.897Z" */
void json_time(struct json *json, const char *name, int64_t wall_us);
/* Any bytes: `name` with a text, or `name`_base64. */
void json_bytes(struct json *json, const char *name, const void *bytes, size_t size);
/* The end of the line. */
void json_end(void);

/* A time of the wall clock for people: "14:03:11" today, "Nov 20 14:03" before. */
#define OUT_TIME_SIZE 32u
const char *out_time(int64_t wall_us, char text[OUT_TIME_SIZE]);
/* An owner for people, without the random part that makes it unique. */
#define OUT_OWNER_SIZE 256u
const char *out_owner(const char *owner, char text[OUT_OWNER_SIZE]);
/* How long ago, or how much is left: "3m12s"; negative: "-". */
#define OUT_SPAN_SIZE 32u
const char *out_span(int64_t ms, char text[OUT_SPAN_SIZE]);
/* The wall clock. */
int64_t out_now_us(void);

#endif
