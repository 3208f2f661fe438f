/* http_parse - one HTTP/1.1 request from the front of a connection's input.
 *
 * The input is the buffer of the connection: each call passes everything from the first byte of the
 * request on, so that all texts of a request point into it and nothing is copied but the data of a
 * chunked body.  What was looked at in earlier calls is not looked at again.
 *
 * Strict, because two parsers that disagree about where a request ends are a security hole: lines
 * end in CR LF, no folded lines, exactly one Host, one Content-Length or `chunked`, never both.
 * llhttp judges the characters of the head; lines, limits and the framing of the body are ours.
 * After any fault the connection must be closed once the answer is written. */
#ifndef TENURE_SERVER_HTTP_PARSE_H
#define TENURE_SERVER_HTTP_PARSE_H

#include <tenure/error.h>

#include "base/buffer.h"
#include "base/limits.h"

#define HTTP_LINE_SIZE_MAX    ((size_t)8 << 10)  /* of the request line */
#define HTTP_HEAD_SIZE_MAX    ((size_t)16 << 10) /* of all header lines */
#define HTTP_HEADER_COUNT_MAX 100u
/* Of a chunked body with its framing. */
#define HTTP_BODY_SIZE_MAX ((size_t)LIMIT_REQUEST_SIZE_MAX)
/* A connection's input buffer must hold at least this much. */
#define HTTP_INPUT_SIZE_MAX (HTTP_LINE_SIZE_MAX + HTTP_HEAD_SIZE_MAX + HTTP_BODY_SIZE_MAX + 64)

enum http_method { METHOD_GET, METHOD_POST, METHOD_PUT, METHOD_DELETE, METHOD_OTHER };
#define METHOD_COUNT 5

/* Texts point into the input or into the parser; all are empty when absent. */
struct http_request {
    enum http_method method; /* HEAD is GET with is_head */
    bool is_head;
    bool is_old;        /* HTTP/1.0 */
    bool is_keep_alive; /* the client wants to go on */
    bool has_body;
    struct bytes path;  /* as sent, still encoded; begins with '/' */
    struct bytes query; /* as sent, without the '?' */
    struct bytes host;
    struct bytes origin;
    struct bytes fetch_site;
    struct bytes content_type;
    struct bytes last_event_id;
    struct bytes if_match;
    struct bytes body;
};

/* What is wrong with the bytes. */
struct http_fault {
    int status;
    enum tenure_err err;
    const char *text; /* static */
};

enum http_progress {
    HTTP_MORE, /* the request is not complete yet */
    HTTP_DONE, /* it is */
    HTTP_BAD,  /* it never will be */
};

enum http_phase { HTTP_PHASE_IDLE, HTTP_PHASE_HEAD, HTTP_PHASE_BODY };

struct http_parser {
    const struct memory *memory;
    enum http_phase phase;
    bool is_chunked;
    bool wants_continue; /* the client waits for "100 Continue" before it sends the body */
    uint32_t line_count;
    size_t line_start;           /* of the line that is being looked at */
    size_t scanned;              /* everything before was looked at */
    size_t head_size;            /* PHASE_BODY: where the body begins */
    size_t body_size;            /* PHASE_BODY: of a body with a Content-Length */
    size_t chunk_left;           /* of the chunk that is being read */
    uint8_t chunk_state;         /* private */
    struct http_request request; /* PHASE_BODY: its texts are offsets from `base` */
    const char *base;
    struct buffer body; /* of a chunked one */
};

void http_parser_init(struct http_parser *parser, const struct memory *memory);
void http_parser_deinit(struct http_parser *parser);

/* DONE: the request, and how many bytes it took; the parser is ready for the next.  The request is
 * valid until `input` changes or the parser is used again.  BAD: the fault. */
enum http_progress http_parse(
    struct http_parser *parser,
    struct bytes input,
    struct http_request *out_request,
    size_t *out_used,
    struct http_fault *out_fault);

/* Once after each head with "Expect: 100-continue" whose body has not arrived: true. */
bool http_parser_take_continue(struct http_parser *parser);

/* Equal, when the letters A–Z are taken for a–z? */
bool http_text_is(struct bytes text, const char *word);

#endif
