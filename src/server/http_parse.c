/* http_parse - see http_parse.h. */
#include "server/http_parse.h"

#include <llhttp.h>

#include "base/decimal.h"

enum chunk_state { CHUNK_SIZE_LINE, CHUNK_DATA, CHUNK_DATA_END, CHUNK_TRAILER };

#define BODY_FAULT          "the body is over 1572864 bytes"
#define CHUNK_LINE_SIZE_MAX 280u /* the size, and extensions that nobody reads */
_Static_assert(HTTP_BODY_SIZE_MAX == 1572864, "as in the text");

static enum http_progress
fault(struct http_fault *out_fault, int status, enum tenure_err err, const char *text)
{
    *out_fault = (struct http_fault){ status, err, text };
    return HTTP_BAD;
}

static enum http_progress bad(struct http_fault *out_fault, const char *text)
{
    return fault(out_fault, 400, TENURE_INVALID, text);
}

static char lower(char letter)
{
    return letter >= 'A' && letter <= 'Z' ? (char)(letter + ('a' - 'A')) : letter;
}

bool http_text_is(struct bytes text, const char *word)
{
    size_t at = 0;
    while (at < text.size && word[at] != '\0' && lower(text.data[at]) == lower(word[at])) {
        at++;
    }
    return at == text.size && word[at] == '\0';
}

static void begin(struct http_parser *parser)
{
    parser->phase = HTTP_PHASE_IDLE;
    parser->is_chunked = false;
    parser->wants_continue = false;
    parser->line_count = 0;
    parser->line_start = 0;
    parser->scanned = 0;
}

void http_parser_init(struct http_parser *parser, const struct memory *memory)
{
    *parser = (struct http_parser){ .memory = memory };
    buffer_init(&parser->body, memory);
    begin(parser);
}

void http_parser_deinit(struct http_parser *parser)
{
    buffer_deinit(&parser->body);
}

bool http_parser_take_continue(struct http_parser *parser)
{
    bool wants = parser->phase == HTTP_PHASE_BODY && parser->wants_continue;
    parser->wants_continue = false;
    return wants;
}

/* ---------------------------------------------------------------- the head */

/* The limits hold for what has arrived, complete or not. */
static enum http_progress
check_limits(const struct http_parser *parser, size_t end, struct http_fault *out_fault)
{
    if (parser->line_count == 0 && end - parser->line_start > HTTP_LINE_SIZE_MAX) {
        return fault(out_fault, 414, TENURE_TOO_LARGE, "the request line is over 8192 bytes");
    }
    if (parser->line_count > HTTP_HEADER_COUNT_MAX + 1) {
        return fault(out_fault, 431, TENURE_TOO_LARGE, "there are over 100 header lines");
    }
    if (parser->line_count > 0 && end > HTTP_LINE_SIZE_MAX + HTTP_HEAD_SIZE_MAX) {
        return fault(out_fault, 431, TENURE_TOO_LARGE, "the header is over 16384 bytes");
    }
    return HTTP_DONE;
}

/* "METHOD TARGET VERSION", one blank between: llhttp would let more of them pass. */
static bool is_request_line(struct bytes line)
{
    const char *end = line.data + line.size;
    const char *first = memchr(line.data, ' ', line.size);
    if (first == NULL) return true; /* wrong in another way, which llhttp names */
    const char *second = memchr(first + 1, ' ', (size_t)(end - first) - 1);
    if (second == NULL) return true;
    return second > first + 1 && memchr(second + 1, ' ', (size_t)(end - second) - 1) == NULL;
}

/* One line of the head, without its line feed. */
static enum http_progress
check_line(const struct http_parser *parser, struct bytes line, struct http_fault *out_fault)
{
    if (line.size == 0 || line.data[line.size - 1] != '\r') {
        return bad(out_fault, "a line of the header does not end in CR LF");
    }
    if (memchr(line.data, '\r', line.size - 1) != NULL) {
        return bad(out_fault, "there is a bare CR in the header");
    }
    if (parser->line_count > 0 && (line.data[0] == ' ' || line.data[0] == '\t')) {
        return bad(out_fault, "header lines must not be folded");
    }
    if (parser->line_count == 0 && !is_request_line(line)) {
        return bad(out_fault, "the request line has a blank too many");
    }
    return HTTP_DONE;
}

/* Look at the lines that are new.  DONE: the empty line was found and head_size is set. */
static enum http_progress
scan_head(struct http_parser *parser, struct bytes input, struct http_fault *out_fault)
{
    while (parser->scanned < input.size) {
        const char *rest = input.data + parser->scanned;
        const char *feed = memchr(rest, '\n', input.size - parser->scanned);
        size_t end = feed == NULL ? input.size : (size_t)(feed - input.data);
        parser->scanned = end;
        enum http_progress progress = check_limits(parser, end, out_fault);
        if (progress != HTTP_DONE) return progress;
        if (feed == NULL) break;

        struct bytes line = { input.data + parser->line_start, end - parser->line_start };
        progress = check_line(parser, line, out_fault);
        if (progress != HTTP_DONE) return progress;
        parser->scanned = end + 1;
        parser->line_start = end + 1;
        parser->line_count++;
        if (line.size == 1) {
            parser->head_size = end + 1;
            return HTTP_DONE;
        }
    }
    return HTTP_MORE;
}

/* What llhttp finds. */
struct head {
    llhttp_t llhttp; /* first: the callbacks get its address */
    struct bytes target;
};

static int on_url(llhttp_t *llhttp, const char *data, size_t size)
{
    struct head *head = (struct head *)(void *)llhttp;
    if (head->target.size == 0) head->target.data = data;
    head->target.size += size;
    return 0;
}

static int on_headers_complete(llhttp_t *llhttp)
{
    (void)llhttp;
    return HPE_PAUSED; /* the body is ours */
}

static const llhttp_settings_t settings = {
    .on_url = on_url,
    .on_headers_complete = on_headers_complete,
};

static enum http_method method_of(uint8_t method)
{
    switch (method) {
    case HTTP_GET:
    case HTTP_HEAD: return METHOD_GET;
    case HTTP_POST: return METHOD_POST;
    case HTTP_PUT: return METHOD_PUT;
    case HTTP_DELETE: return METHOD_DELETE;
    default: return METHOD_OTHER;
    }
}

static struct bytes trim(const char *data, const char *end)
{
    while (data < end && (*data == ' ' || *data == '\t')) {
        data++;
    }
    while (data < end && (end[-1] == ' ' || end[-1] == '\t')) {
        end--;
    }
    return (struct bytes){ data, (size_t)(end - data) };
}

/* The headers that mean something here, each of which may come once.  llhttp has its own eye on
 * Connection, Content-Length and Transfer-Encoding. */
struct wanted {
    const char *name;
    size_t offset; /* of the text in struct heads */
};

struct headers {
    struct bytes host, origin, fetch_site, content_type, last_event_id, if_match;
    struct bytes length, encoding, expect;
    bool has_host;
};

static const struct wanted wanted[] = {
    { "host", offsetof(struct headers, host) },
    { "origin", offsetof(struct headers, origin) },
    { "sec-fetch-site", offsetof(struct headers, fetch_site) },
    { "content-type", offsetof(struct headers, content_type) },
    { "last-event-id", offsetof(struct headers, last_event_id) },
    { "if-match", offsetof(struct headers, if_match) },
    { "content-length", offsetof(struct headers, length) },
    { "transfer-encoding", offsetof(struct headers, encoding) },
    { "expect", offsetof(struct headers, expect) },
};

/* False: it was there before. */
static bool keep_header(struct headers *headers, struct bytes name, struct bytes value)
{
    for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++) {
        if (!http_text_is(name, wanted[i].name)) continue;
        struct bytes *place = (struct bytes *)(void *)((char *)headers + wanted[i].offset);
        if (place->data != NULL) return false;
        *place = value;
        return true;
    }
    return true;
}

static enum http_progress
read_headers(struct bytes head, struct headers *out_headers, struct http_fault *out_fault)
{
    struct headers headers = { 0 };
    const char *line = (const char *)memchr(head.data, '\n', head.size) + 1;
    const char *end = head.data + head.size - 2; /* the empty line */
    while (line < end) {
        const char *next = (const char *)memchr(line, '\n', (size_t)(end - line)) + 1;
        const char *colon = memchr(line, ':', (size_t)(next - line));
        if (colon == NULL || colon == line) return bad(out_fault, "a header line has no name");
        if (colon[-1] == ' ' || colon[-1] == '\t') {
            return bad(out_fault, "there is a blank before the colon of a header");
        }
        struct bytes name = { line, (size_t)(colon - line) };
        if (!keep_header(&headers, name, trim(colon + 1, next - 2))) {
            return bad(out_fault, "a header that may come only once comes twice");
        }
        line = next;
    }
    *out_headers = headers;
    return HTTP_DONE;
}

static enum http_progress
judge_head(struct bytes bytes, struct head *head, struct http_fault *out_fault)
{
    *head = (struct head){ 0 };
    llhttp_init(&head->llhttp, HTTP_REQUEST, &settings);
    int result = (int)llhttp_execute(&head->llhttp, bytes.data, bytes.size);
    switch (result) {
    case HPE_PAUSED: break;
    case HPE_INVALID_METHOD:
        return fault(out_fault, 501, TENURE_UNSUPPORTED, "the method is not known");
    case HPE_INVALID_VERSION:
        return fault(out_fault, 505, TENURE_UNSUPPORTED, "only HTTP/1.1 and HTTP/1.0 are spoken");
    case HPE_INVALID_URL: return bad(out_fault, "the request target is not valid");
    case HPE_INVALID_CONTENT_LENGTH:
    case HPE_UNEXPECTED_CONTENT_LENGTH: return bad(out_fault, "Content-Length is not valid");
    default: return bad(out_fault, "the request is not valid HTTP");
    }
    if (head->llhttp.http_major != 1 || head->llhttp.http_minor > 1) {
        return fault(out_fault, 505, TENURE_UNSUPPORTED, "only HTTP/1.1 and HTTP/1.0 are spoken");
    }
    return HTTP_DONE;
}

/* "/path?query", or "http://host/path?query" whose host must be that of the Host header. */
static enum http_progress
split_target(struct bytes target, struct http_request *request, struct http_fault *out_fault)
{
    static const char scheme[] = "http://";
    if (target.size >= sizeof(scheme) - 1 &&
        http_text_is((struct bytes){ target.data, sizeof(scheme) - 1 }, scheme))
    {
        const char *authority = target.data + sizeof(scheme) - 1;
        size_t left = target.size - (sizeof(scheme) - 1);
        const char *slash = memchr(authority, '/', left);
        struct bytes host = { authority, slash == NULL ? left : (size_t)(slash - authority) };
        if (request->host.data == NULL || !bytes_equal(host, request->host)) {
            return bad(out_fault, "the host in the request target is not that of the Host header");
        }
        target = slash == NULL ? BYTES_LITERAL("/") : (struct bytes){ slash, left - host.size };
    }
    /* A server is never sent one: some would cut it off, and some would not. */
    if (memchr(target.data, '#', target.size) != NULL) {
        return bad(out_fault, "the request target must not have a fragment");
    }
    bool is_star = target.size == 1 && target.data[0] == '*';
    if (target.size == 0 || (target.data[0] != '/' && !is_star)) {
        return bad(out_fault, "the request target must begin with '/'");
    }

    const char *mark = memchr(target.data, '?', target.size);
    request->path = target;
    if (mark != NULL) {
        request->path.size = (size_t)(mark - target.data);
        request->query = (struct bytes){ mark + 1, target.size - request->path.size - 1 };
    }
    return HTTP_DONE;
}

static enum http_progress frame_body(
    struct http_parser *parser,
    const struct headers *headers,
    struct http_request *request,
    struct http_fault *out_fault)
{
    parser->body_size = 0;
    if (headers->encoding.data != NULL) {
        if (headers->length.data != NULL) {
            return bad(out_fault, "Content-Length and Transfer-Encoding exclude each other");
        }
        if (request->is_old || !http_text_is(headers->encoding, "chunked")) {
            return bad(out_fault, "the only transfer coding is chunked, of HTTP/1.1");
        }
        parser->is_chunked = true;
        parser->chunk_state = CHUNK_SIZE_LINE;
        parser->line_start = parser->head_size;
        buffer_reset(&parser->body);
    } else if (headers->length.data != NULL) {
        uint64_t size = 0;
        if (!decimal_parse(headers->length, &size)) {
            return bad(out_fault, "Content-Length is not valid");
        }
        if (size > HTTP_BODY_SIZE_MAX) {
            return fault(out_fault, 413, TENURE_TOO_LARGE, BODY_FAULT);
        }
        parser->body_size = (size_t)size;
    }
    request->has_body = parser->is_chunked || parser->body_size > 0;
    if (headers->expect.data != NULL) {
        if (!http_text_is(headers->expect, "100-continue")) {
            return fault(out_fault, 417, TENURE_UNSUPPORTED, "only 100-continue can be expected");
        }
        parser->wants_continue = request->has_body && !request->is_old;
    }
    return HTTP_DONE;
}

/* The head is complete: understand it, once. */
static enum http_progress
read_head(struct http_parser *parser, struct bytes input, struct http_fault *out_fault)
{
    struct bytes bytes = { input.data, parser->head_size };
    struct head head;
    struct headers headers = { 0 };
    enum http_progress progress = judge_head(bytes, &head, out_fault);
    if (progress == HTTP_DONE) progress = read_headers(bytes, &headers, out_fault);
    if (progress != HTTP_DONE) return progress;

    struct http_request request = {
        .method = method_of(head.llhttp.method),
        .is_head = head.llhttp.method == HTTP_HEAD,
        .is_old = head.llhttp.http_minor == 0,
        .is_keep_alive = llhttp_should_keep_alive(&head.llhttp) != 0,
        .host = headers.host,
        .origin = headers.origin,
        .fetch_site = headers.fetch_site,
        .content_type = headers.content_type,
        .last_event_id = headers.last_event_id,
        .if_match = headers.if_match,
    };
    if (headers.host.size == 0 && !(request.is_old && headers.host.data == NULL)) {
        return bad(out_fault, "there is no Host header");
    }
    progress = split_target(head.target, &request, out_fault);
    if (progress == HTTP_DONE) progress = frame_body(parser, &headers, &request, out_fault);
    if (progress != HTTP_DONE) return progress;
    parser->request = request;
    parser->base = input.data;
    parser->scanned = parser->head_size;
    parser->phase = HTTP_PHASE_BODY;
    return HTTP_DONE;
}

/* ---------------------------------------------------------------- the body */

static int hex_digit(char digit)
{
    if (digit >= '0' && digit <= '9') return digit - '0';
    char letter = lower(digit);
    return letter >= 'a' && letter <= 'f' ? letter - 'a' + 10 : -1;
}

/* "1f;extension" CR.  At most six digits, so that nothing overflows. */
static bool parse_chunk_size(struct bytes line, size_t *out_size)
{
    size_t size = 0;
    size_t at = 0;
    for (; at < line.size && at < 7; at++) {
        int digit = hex_digit(line.data[at]);
        if (digit < 0) break;
        size = size * 16 + (size_t)digit;
    }
    if (at == 0 || at > 6 || at == line.size) return false;
    if (line.data[at] != ';' && !(line.data[at] == '\r' && at + 1 == line.size)) return false;
    *out_size = size;
    return true;
}

static enum http_progress
chunk_line(struct http_parser *parser, struct bytes line, struct http_fault *out_fault)
{
    if (line.size == 0 || line.data[line.size - 1] != '\r' ||
        memchr(line.data, '\r', line.size - 1) != NULL)
    {
        return bad(out_fault, "a line of the chunked body does not end in CR LF");
    }
    switch ((enum chunk_state)parser->chunk_state) {
    case CHUNK_SIZE_LINE:
        if (!parse_chunk_size(line, &parser->chunk_left)) {
            return bad(out_fault, "the size of a chunk is not valid");
        }
        parser->chunk_state = parser->chunk_left == 0 ? CHUNK_TRAILER : CHUNK_DATA;
        return HTTP_MORE;
    case CHUNK_DATA_END:
        if (line.size != 1) return bad(out_fault, "a chunk is longer than its size says");
        parser->chunk_state = CHUNK_SIZE_LINE;
        return HTTP_MORE;
    case CHUNK_TRAILER: return line.size == 1 ? HTTP_DONE : HTTP_MORE;
    case CHUNK_DATA: break;
    }
    UNREACHABLE("data is not read by lines");
}

static void chunk_data(struct http_parser *parser, struct bytes input)
{
    size_t size = input.size - parser->scanned;
    if (size > parser->chunk_left) size = parser->chunk_left;
    buffer_append(&parser->body, input.data + parser->scanned, size);
    parser->scanned += size;
    parser->chunk_left -= size;
    if (parser->chunk_left == 0) {
        parser->chunk_state = CHUNK_DATA_END;
        parser->line_start = parser->scanned;
    }
}

static enum http_progress
read_chunks(struct http_parser *parser, struct bytes input, struct http_fault *out_fault)
{
    while (parser->scanned < input.size) {
        if (parser->chunk_state == CHUNK_DATA) {
            chunk_data(parser, input);
            continue;
        }
        const char *rest = input.data + parser->scanned;
        const char *feed = memchr(rest, '\n', input.size - parser->scanned);
        size_t end = feed == NULL ? input.size : (size_t)(feed - input.data);
        size_t size_max =
            parser->chunk_state == CHUNK_TRAILER ? HTTP_HEAD_SIZE_MAX : CHUNK_LINE_SIZE_MAX;
        if (end - parser->line_start > size_max) {
            return bad(out_fault, "a line of the chunked body is too long");
        }
        parser->scanned = end;
        if (feed == NULL) break;
        struct bytes line = { input.data + parser->line_start, end - parser->line_start };
        parser->scanned = end + 1;
        parser->line_start = end + 1;
        enum http_progress progress = chunk_line(parser, line, out_fault);
        if (progress != HTTP_MORE) return progress;
    }
    if (parser->scanned - parser->head_size > HTTP_BODY_SIZE_MAX) {
        return fault(out_fault, 413, TENURE_TOO_LARGE, BODY_FAULT);
    }
    return HTTP_MORE;
}

static enum http_progress read_body(
    struct http_parser *parser, struct bytes input, size_t *out_used, struct http_fault *out_fault)
{
    if (!parser->is_chunked) {
        if (input.size - parser->head_size < parser->body_size) return HTTP_MORE;
        parser->request.body =
            (struct bytes){ parser->base + parser->head_size, parser->body_size };
        *out_used = parser->head_size + parser->body_size;
        return HTTP_DONE;
    }
    enum http_progress progress = read_chunks(parser, input, out_fault);
    if (progress != HTTP_DONE) return progress;
    if (parser->scanned - parser->head_size > HTTP_BODY_SIZE_MAX) {
        return fault(out_fault, 413, TENURE_TOO_LARGE, BODY_FAULT);
    }
    if (parser->body.is_failed) {
        return fault(out_fault, 503, TENURE_NO_MEMORY, "there is no memory for the body");
    }
    *out_used = parser->scanned;
    return HTTP_DONE;
}

/* The input may have moved since the head was read. */
static void move_text(struct bytes *text, const char *from, size_t size, const char *to)
{
    uintptr_t at = (uintptr_t)text->data;
    if (at < (uintptr_t)from || at >= (uintptr_t)from + size) return;
    text->data = to + (at - (uintptr_t)from);
}

static void move_request(struct http_parser *parser, const char *to)
{
    struct http_request *request = &parser->request;
    struct bytes *texts[] = { &request->path,          &request->query,      &request->host,
                              &request->origin,        &request->fetch_site, &request->content_type,
                              &request->last_event_id, &request->if_match };
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        move_text(texts[i], parser->base, parser->head_size, to);
    }
    parser->base = to;
}

enum http_progress http_parse(
    struct http_parser *parser,
    struct bytes input,
    struct http_request *out_request,
    size_t *out_used,
    struct http_fault *out_fault)
{
    if (parser->phase != HTTP_PHASE_BODY) {
        if (input.size == 0) return HTTP_MORE;
        parser->phase = HTTP_PHASE_HEAD;
        enum http_progress progress = scan_head(parser, input, out_fault);
        if (progress == HTTP_DONE) progress = read_head(parser, input, out_fault);
        if (progress != HTTP_DONE) return progress;
    }
    if (parser->base != input.data) move_request(parser, input.data);
    enum http_progress progress = read_body(parser, input, out_used, out_fault);
    if (progress != HTTP_DONE) return progress;
    if (parser->is_chunked) parser->request.body = buffer_bytes(&parser->body);
    *out_request = parser->request;
    begin(parser);
    return HTTP_DONE;
}
