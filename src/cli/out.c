#include "cli/out.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "cli/options.h"
#include "cli/text.h"

#define GAP            2u
#define FLEXIBLE_LEAST 8u
#define CELL_SIZE      8192u
#define JSON_TEXT_SIZE 32768u
#define JSON_KEY_SIZE  32u
#define US_PER_S       INT64_C(1000000)

static bool is_coloured(void)
{
    const char *no_color = getenv("NO_COLOR");
    const char *term = getenv("TERM");
    bool is_unwanted = no_color != NULL && no_color[0] != '\0';
    bool is_dumb = term == NULL || strcmp(term, "dumb") == 0;
    return !is_unwanted && !is_dumb && isatty(STDOUT_FILENO);
}

const char *out_begin(enum out_colour colour)
{
    if (!is_coloured()) return "";
    switch (colour) {
    case OUT_PLAIN: return "";
    case OUT_BOLD: return "\033[1m";
    case OUT_DIM: return "\033[2m";
    case OUT_GREEN: return "\033[32m";
    case OUT_YELLOW: return "\033[33m";
    case OUT_RED: return "\033[31m";
    }
    return "";
}

const char *out_end(void)
{
    return is_coloured() ? "\033[0m" : "";
}

/* Of the terminal; SIZE_MAX: there is none, and nothing is cut. */
static size_t terminal_columns(void)
{
    struct winsize size;
    if (!isatty(STDOUT_FILENO)) return SIZE_MAX;
    bool is_known = ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0;
    return is_known ? size.ws_col : 80;
}

/* ------------------------------------------------------------------ tables */

void table_init(struct table *table, const struct table_column *columns, size_t column_count)
{
    *table = (struct table){ .columns = columns, .column_count = column_count };
    if (column_count > TABLE_COLUMNS_MAX) abort();
}

static bool make_room(struct table *table)
{
    if (table->cell_count < table->cells_max) return true;
    size_t cells_max = table->cells_max == 0 ? 64 : table->cells_max * 2;
    char **cells = reallocarray(table->cells, cells_max, sizeof(*cells));
    if (cells == NULL) return false;
    table->cells = cells;
    table->cells_max = cells_max;
    return true;
}

void table_add(struct table *table, const char *words)
{
    char buffer[CELL_SIZE];
    struct text text;
    text_init(&text, buffer, sizeof(buffer));
    text_add_visible(&text, words[0] == '\0' ? "-" : words);
    char *cell = table->is_failed || !make_room(table) ? NULL : strdup(buffer);
    if (cell == NULL) {
        table->is_failed = true;
        return;
    }
    table->cells[table->cell_count++] = cell;
}

void table_addf(struct table *table, const char *format, ...)
{
    char buffer[CELL_SIZE];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(buffer, sizeof(buffer), format, arguments);
    va_end(arguments);
    table_add(table, buffer);
}

static size_t columns_of(const char *words)
{
    size_t columns = 0;
    while (*words != '\0') {
        size_t size = utf8_sequence_size(words);
        words += size == 0 ? 1 : size;
        columns++;
    }
    return columns;
}

/* As wide as their widest cells; then the widest flexible one gives way until all fit. */
static void find_widths(const struct table *table, size_t widths[TABLE_COLUMNS_MAX])
{
    size_t sum = GAP * (table->column_count - 1);
    for (size_t i = 0; i < table->column_count; i++) {
        widths[i] = columns_of(table->columns[i].title);
        for (size_t j = i; j < table->cell_count; j += table->column_count) {
            size_t width = columns_of(table->cells[j]);
            if (width > widths[i]) widths[i] = width;
        }
        sum += widths[i];
    }
    size_t limit = terminal_columns();
    while (sum > limit) {
        size_t widest = SIZE_MAX;
        for (size_t i = 0; i < table->column_count; i++) {
            if (!table->columns[i].is_flexible || widths[i] <= FLEXIBLE_LEAST) continue;
            if (widest == SIZE_MAX || widths[i] > widths[widest]) widest = i;
        }
        if (widest == SIZE_MAX) return;
        widths[widest]--;
        sum--;
    }
}

static void
print_row(const struct table *table, const char *const *cells, const size_t *widths, bool is_title)
{
    if (is_title) (void)fputs(out_begin(OUT_BOLD), stdout);
    for (size_t i = 0; i < table->column_count; i++) {
        char buffer[CELL_SIZE];
        struct text text;
        text_init(&text, buffer, sizeof(buffer));
        text_add(&text, cells[i]);
        text_fit(&text, widths[i]);
        int padding = (int)(widths[i] - columns_of(buffer));
        bool is_last = i + 1 == table->column_count;
        bool is_right = table->columns[i].is_right;
        (void)printf("%*s%s", is_right ? padding : 0, "", buffer);
        if (!is_last) (void)printf("%*s", (is_right ? 0 : padding) + (int)GAP, "");
    }
    (void)printf("%s\n", is_title ? out_end() : "");
}

void table_print(const struct table *table)
{
    size_t row_count = table->cell_count / table->column_count;
    if (row_count == 0) return;
    size_t widths[TABLE_COLUMNS_MAX];
    find_widths(table, widths);
    const char *titles[TABLE_COLUMNS_MAX];
    for (size_t i = 0; i < table->column_count; i++) {
        titles[i] = table->columns[i].title;
    }
    print_row(table, titles, widths, true);
    for (size_t row = 0; row < row_count; row++) {
        const char *cells[TABLE_COLUMNS_MAX];
        for (size_t i = 0; i < table->column_count; i++) {
            cells[i] = table->cells[row * table->column_count + i];
        }
        print_row(table, cells, widths, false);
    }
}

void table_deinit(struct table *table)
{
    for (size_t i = 0; i < table->cell_count; i++) {
        free(table->cells[i]);
    }
    free(table->cells);
    *table = (struct table){ .columns = NULL };
}

/* ------------------------------------------------------------------ JSON */

void json_open(struct json *json, char bracket)
{
    (void)putchar(bracket);
    json->is_inside = false;
}

void json_close(struct json *json, char bracket)
{
    (void)putchar(bracket);
    json->is_inside = true;
}

void json_key(struct json *json, const char *name)
{
    if (json->is_inside) (void)putchar(',');
    json->is_inside = true;
    if (name != NULL) (void)printf("\"%s\":", name);
}

void json_string(struct json *json, const char *name, const char *words)
{
    char buffer[JSON_TEXT_SIZE];
    struct text text;
    text_init(&text, buffer, sizeof(buffer));
    text_add_json(&text, words);
    json_key(json, name);
    (void)fputs(buffer, stdout);
}

void json_number(struct json *json, const char *name, uint64_t number)
{
    json_key(json, name);
    (void)printf("%" PRIu64, number);
}

void json_span(struct json *json, const char *name, int64_t number)
{
    json_key(json, name);
    if (number < 0) {
        (void)fputs("null", stdout);
    } else {
        (void)printf("%" PRId64, number);
    }
}

void json_bool(struct json *json, const char *name, bool is_true)
{
    json_key(json, name);
    (void)fputs(is_true ? "true" : "false", stdout);
}

void json_time(struct json *json, const char *name, int64_t wall_us)
{
    time_t seconds = (time_t)(wall_us / US_PER_S);
    struct tm parts;
    char text[32] = "";
    if (gmtime_r(&seconds, &parts) != NULL) {
        (void)strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &parts);
    }
    json_key(json, name);
    (void)printf("\"%s.%03dZ\"", text, (int)(wall_us % US_PER_S / 1000));
}

/* ------------------------------------------------------------------ bytes */

static bool is_text(const char *bytes, size_t size)
{
    size_t at = 0;
    while (at < size) {
        size_t step = utf8_sequence_size(bytes + at);
        if (step == 0 || bytes[at] == '\0' || at + step > size) return false;
        at += step;
    }
    return true;
}

static void print_base64(const unsigned char *bytes, size_t size)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (size_t i = 0; i < size; i += 3) {
        size_t left = size - i;
        unsigned word = (unsigned)bytes[i] << 16;
        if (left > 1) word |= (unsigned)bytes[i + 1] << 8;
        if (left > 2) word |= bytes[i + 2];
        (void)putchar(digits[word >> 18 & 63]);
        (void)putchar(digits[word >> 12 & 63]);
        (void)putchar(left > 1 ? digits[word >> 6 & 63] : '=');
        (void)putchar(left > 2 ? digits[word & 63] : '=');
    }
}

/* Text of any length. */
static void print_text(const char *text, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        unsigned char byte = (unsigned char)text[i];
        if (byte == '"' || byte == '\\') {
            (void)printf("\\%c", byte);
        } else if (byte < 0x20 || byte == 0x7f) {
            (void)printf("\\u%04x", byte);
        } else {
            (void)putchar(byte);
        }
    }
}

void json_bytes(struct json *json, const char *name, const void *bytes, size_t size)
{
    char key[JSON_KEY_SIZE];
    bool is_plain = is_text(bytes, size);
    (void)snprintf(key, sizeof(key), "%s%s", name, is_plain ? "" : "_base64");
    json_key(json, key);
    (void)putchar('"');
    if (is_plain) {
        print_text(bytes, size);
    } else {
        print_base64(bytes, size);
    }
    (void)putchar('"');
}

void json_end(void)
{
    (void)putchar('\n');
    (void)fflush(stdout);
}

/* ------------------------------------------------------------------ words for people */

int64_t out_now_us(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * US_PER_S + now.tv_nsec / 1000;
}

const char *out_time(int64_t wall_us, char text[OUT_TIME_SIZE])
{
    time_t seconds = (time_t)(wall_us / US_PER_S);
    time_t now = (time_t)(out_now_us() / US_PER_S);
    struct tm parts;
    struct tm today;
    (void)snprintf(text, OUT_TIME_SIZE, "-");
    if (localtime_r(&seconds, &parts) == NULL || localtime_r(&now, &today) == NULL) return text;
    bool is_today = parts.tm_yday == today.tm_yday && parts.tm_year == today.tm_year;
    (void)strftime(text, OUT_TIME_SIZE, is_today ? "%H:%M:%S" : "%b %d %H:%M", &parts);
    return text;
}

/* Only owners of the form that the library makes: "user@host:pid#random". */
const char *out_owner(const char *owner, char text[OUT_OWNER_SIZE])
{
    (void)snprintf(text, OUT_OWNER_SIZE, "%s", owner);
    char *hash = strrchr(text, '#');
    bool is_made = hash != NULL && strlen(hash) == 17 && memchr(text, '@', (size_t)(hash - text));
    if (is_made) *hash = '\0';
    return text;
}

const char *out_span(int64_t ms, char text[OUT_SPAN_SIZE])
{
    if (ms < 0) {
        (void)snprintf(text, OUT_SPAN_SIZE, "-");
        return text;
    }
    return duration_format(ms, text);
}
