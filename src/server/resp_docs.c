/* COMMAND DOCS - what clients show as help and while a command is typed.
 *
 * The table has the syntax of each command as people read it; the structure that clients expect is
 * made from that text: a word is an argument, "[…]" is optional, a word in capitals is a token that
 * introduces what follows, "..." says that it may come again.  What is more involved stays one
 * argument whose name is the text. */
#include "server/resp.h"

/* One part of a syntax: its text without brackets and without the "..." behind it. */
struct part {
    struct bytes text;
    bool is_optional;
    bool is_multiple;
};

/* The size of what `text` begins with: a word, or brackets with all that is in them. */
static size_t measure(struct bytes text)
{
    unsigned depth = 0;
    for (size_t at = 0; at < text.size; at++) {
        if (text.data[at] == '[') depth++;
        if (text.data[at] == ']') depth--;
        if (text.data[at] == ' ' && depth == 0) return at;
    }
    return text.size;
}

static void skip(struct bytes *text, size_t size)
{
    if (size < text->size) size++; /* the blank */
    *text = (struct bytes){ text->data + size, text->size - size };
}

static struct part take_part(struct bytes *syntax)
{
    static const char again[] = " ...";
    size_t size = measure(*syntax);
    struct part part = { .text = { syntax->data, size } };
    skip(syntax, size);
    if (part.text.data[0] != '[') return part;
    part.is_optional = true;
    part.text = (struct bytes){ part.text.data + 1, size - 2 };
    size_t tail = sizeof(again) - 1;
    if (part.text.size > tail && memcmp(part.text.data + part.text.size - tail, again, tail) == 0) {
        part.is_multiple = true;
        part.text.size -= tail;
    }
    return part;
}

static uint32_t count_parts(struct bytes syntax)
{
    uint32_t count = 0;
    for (; syntax.size > 0; count++) {
        (void)take_part(&syntax);
    }
    return count;
}

/* Capitals and hyphens: written as it is. */
static bool is_token(struct bytes word)
{
    for (size_t at = 0; at < word.size; at++) {
        if (word.data[at] != '-' && (word.data[at] < 'A' || word.data[at] > 'Z')) return false;
    }
    return true;
}

/* Words with nothing between them but blanks. */
static bool is_plain(struct bytes text)
{
    for (size_t at = 0; at < text.size; at++) {
        if (strchr("[]|", text.data[at]) != NULL) return false;
    }
    return true;
}

static const char *type_of(struct bytes name)
{
    static const char *const numbers[] = { "n", "ms", "seq", "token", "ttl-ms" };
    for (size_t index = 0; index < sizeof(numbers) / sizeof(numbers[0]); index++) {
        if (bytes_equal(name, bytes_from_text(numbers[index]))) return "integer";
    }
    return "string";
}

static void write_part_flags(struct resp *resp, const struct part *part)
{
    resp_write_text(&resp->out, "flags");
    resp_write_array(&resp->out, part->is_multiple ? 2 : 1);
    resp_write_simple(&resp->out, BYTES_LITERAL("optional"));
    if (part->is_multiple) resp_write_simple(&resp->out, BYTES_LITERAL("multiple"));
}

/* One argument, by its name, and the token before it if there is one. */
static void
write_single(struct resp *resp, const struct part *part, struct bytes token, struct bytes name)
{
    bool is_pure = name.size == 0;
    resp_write_map(&resp->out, 3u + (token.size > 0) + part->is_optional);
    resp_pair_bytes(resp, "name", is_pure ? token : name);
    resp_pair_text(resp, "type", is_pure ? "pure-token" : type_of(name));
    resp_pair_bytes(resp, "display_text", is_pure ? token : name);
    if (token.size > 0) resp_pair_bytes(resp, "token", token);
    if (part->is_optional) write_part_flags(resp, part);
}

/* Several words that come together. */
static void write_block(struct resp *resp, const struct part *part)
{
    resp_write_map(&resp->out, 4);
    resp_pair_bytes(resp, "name", part->text);
    resp_pair_text(resp, "type", "block");
    write_part_flags(resp, part);
    resp_write_text(&resp->out, "arguments");
    resp_write_array(&resp->out, count_parts(part->text));
    for (struct bytes rest = part->text; rest.size > 0;) {
        struct part word = take_part(&rest);
        write_single(resp, &word, (struct bytes){ "", 0 }, word.text);
    }
}

static void write_part(struct resp *resp, const struct part *part)
{
    struct bytes first = { part->text.data, measure(part->text) };
    struct bytes rest = part->text;
    skip(&rest, first.size);
    if (is_token(first) && measure(rest) == rest.size) {
        write_single(resp, part, first, rest);
    } else if (rest.size > 0 && is_plain(part->text)) {
        write_block(resp, part);
    } else {
        write_single(resp, part, (struct bytes){ "", 0 }, part->text);
    }
}

void resp_write_docs(struct resp *resp, const struct resp_spec *spec)
{
    struct bytes syntax = bytes_from_text(spec->syntax);
    resp_write_map(&resp->out, 4);
    resp_pair_text(resp, "summary", spec->summary);
    resp_pair_text(resp, "since", "0.1.0");
    resp_pair_text(resp, "group", spec->group);
    resp_write_text(&resp->out, "arguments");
    resp_write_array(&resp->out, count_parts(syntax));
    while (syntax.size > 0) {
        struct part part = take_part(&syntax);
        write_part(resp, &part);
    }
}
