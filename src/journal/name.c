#include "journal/name.h"

#include <string.h>

#include "base/assert.h"

#define DIGIT_COUNT 16u

static const char *const prefixes[JOURNAL_FILE_COUNT] = {
    [JOURNAL_FILE_IDENTITY] = "identity",
    [JOURNAL_FILE_SEGMENT] = "segment-",
    [JOURNAL_FILE_SPARE] = "spare-",
    [JOURNAL_FILE_SNAPSHOT] = "snapshot-",
};
static const char digits[] = "0123456789abcdef";
static const char suffix[] = ".tmp";

struct journal_name_text journal_name_format(struct journal_name name)
{
    ASSERT(name.kind < JOURNAL_FILE_COUNT);
    struct journal_name_text out = { "" };
    size_t size = strlen(prefixes[name.kind]);
    memcpy(out.text, prefixes[name.kind], size);
    if (name.kind != JOURNAL_FILE_IDENTITY) {
        for (unsigned i = 0; i < DIGIT_COUNT; i++) {
            out.text[size++] = digits[name.number >> (4 * (DIGIT_COUNT - 1 - i)) & 15];
        }
    }
    if (name.is_temporary) memcpy(out.text + size, suffix, sizeof(suffix));
    return out;
}

/* Exactly 16 lower-case digits. */
static bool parse_digits(const char *text, uint64_t *out_number)
{
    uint64_t number = 0;
    for (unsigned i = 0; i < DIGIT_COUNT; i++) {
        const char *digit = text[i] == '\0' ? NULL : strchr(digits, text[i]);
        if (digit == NULL) return false;
        number = number << 4 | (uint64_t)(digit - digits);
    }
    *out_number = number;
    return true;
}

bool journal_name_parse(const char *text, struct journal_name *out_name)
{
    for (unsigned kind = 0; kind < JOURNAL_FILE_COUNT; kind++) {
        size_t size = strlen(prefixes[kind]);
        if (strncmp(text, prefixes[kind], size) != 0) continue;
        const char *rest = text + size;
        uint64_t number = 0;
        if (kind != JOURNAL_FILE_IDENTITY) {
            if (!parse_digits(rest, &number)) return false;
            rest += DIGIT_COUNT;
        }
        bool is_temporary = strcmp(rest, suffix) == 0;
        if (!is_temporary && *rest != '\0') return false;
        *out_name = (struct journal_name){ (enum journal_file_kind)kind, is_temporary, number };
        return true;
    }
    return false;
}
