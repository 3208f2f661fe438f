/* http_reply - answers: a header of fixed pieces, then the body from the shared buffer. */
#include <time.h>

#include "base/decimal.h"
#include "server/http.h"

struct status_line {
    int status;
    const char *text;
};

static const struct status_line status_lines[] = {
    { 200, "200 OK" },
    { 201, "201 Created" },
    { 423, "423 Locked" },
    { 410, "410 Gone" },
    { 412, "412 Precondition Failed" },
    { 404, "404 Not Found" },
    { 400, "400 Bad Request" },
    { 403, "403 Forbidden" },
    { 405, "405 Method Not Allowed" },
    { 408, "408 Request Timeout" },
    { 409, "409 Conflict" },
    { 413, "413 Content Too Large" },
    { 414, "414 URI Too Long" },
    { 415, "415 Unsupported Media Type" },
    { 417, "417 Expectation Failed" },
    { 429, "429 Too Many Requests" },
    { 431, "431 Request Header Fields Too Large" },
    { 500, "500 Internal Server Error" },
    { 501, "501 Not Implemented" },
    { 503, "503 Service Unavailable" },
    { 504, "504 Gateway Timeout" },
    { 505, "505 HTTP Version Not Supported" },
};

static const char *const method_words[METHOD_COUNT] = {
    [METHOD_GET] = "GET, HEAD", [METHOD_POST] = "POST",     [METHOD_PUT] = "PUT",
    [METHOD_DELETE] = "DELETE", [METHOD_OTHER] = "OPTIONS",
};

static void put(struct buffer *out, const char *text)
{
    buffer_append(out, text, strlen(text));
}

static void put_number(struct buffer *out, uint64_t number)
{
    char digits[DECIMAL_SIZE_MAX];
    buffer_append(out, digits, decimal_format(number, digits));
}

static void put_status(struct buffer *out, int status)
{
    put(out, "HTTP/1.1 ");
    for (size_t i = 0; i < sizeof(status_lines) / sizeof(status_lines[0]); i++) {
        if (status_lines[i].status != status) continue;
        put(out, status_lines[i].text);
        return;
    }
    UNREACHABLE("every status that is answered has its line");
}

static void put_date(struct buffer *out, const struct server *server, struct http_shared *shared)
{
    int64_t second = server->wall.us / 1000000;
    if (second != shared->date_s) {
        time_t now = (time_t)second;
        struct tm parts;
        if (gmtime_r(&now, &parts) == NULL) return;
        /* The C locale: nobody calls setlocale here. */
        if (strftime(shared->date, sizeof(shared->date), "%a, %d %b %Y %H:%M:%S GMT", &parts) == 0)
        {
            return;
        }
        shared->date_s = second;
    }
    put(out, "\r\nDate: ");
    put(out, shared->date);
}

/* A name in a path: everything but letters, digits, "-._~" and "/" is escaped. */
static void put_encoded(struct buffer *out, struct bytes name)
{
    static const char digits[] = "0123456789ABCDEF";
    for (size_t i = 0; i < name.size; i++) {
        unsigned char byte = (unsigned char)name.data[i];
        bool is_letter = (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z');
        bool is_plain = is_letter || (byte >= '0' && byte <= '9') || byte == '-' || byte == '.' ||
                        byte == '_' || byte == '~' || byte == '/';
        if (is_plain) {
            buffer_append_byte(out, (char)byte);
        } else {
            char escape[3] = { '%', digits[byte >> 4], digits[byte & 15] };
            buffer_append(out, escape, sizeof(escape));
        }
    }
}

static void put_allow(struct buffer *out, uint32_t methods)
{
    const char *separator = "\r\nAllow: ";
    for (int method = 0; method < METHOD_COUNT; method++) {
        if ((methods >> method & 1) == 0) continue;
        put(out, separator);
        put(out, method_words[method]);
        separator = ", ";
    }
}

static void put_type(struct buffer *out, const char *type, int status)
{
    put(out, "\r\nContent-Type: ");
    if (type == NULL) type = status >= 400 ? "application/problem+json" : "application/json";
    put(out, type);
    put(out, "\r\nCache-Control: no-store\r\nX-Content-Type-Options: nosniff");
}

/* What the holds here are worth is told with every answer. */
static void put_promise(struct buffer *out, const struct server *server)
{
    put(out, "\r\nTenure-Safety: ");
    put(out, server_safety_word(server));
}

static void put_options(struct buffer *out, const struct http_answer *answer)
{
    if (answer->etag.value != 0) {
        put(out, "\r\nETag: \"");
        put_number(out, answer->etag.value);
        put(out, "\"");
    }
    if (answer->location != NULL) {
        put(out, "\r\nLocation: ");
        put(out, answer->location);
        put_encoded(out, answer->location_name);
    }
    if (answer->retry_after_ms > 0) {
        put(out, "\r\nRetry-After: ");
        put_number(out, ((uint64_t)answer->retry_after_ms + 999) / 1000);
    }
    if (answer->allow != 0) put_allow(out, answer->allow);
}

struct buffer *http_begin(struct http *http, struct json_writer *out_json)
{
    struct buffer *body = &http_server(http)->http->body;
    buffer_reset(body);
    json_writer_init(out_json, body);
    return body;
}

void http_end(struct http *http, const struct http_answer *answer, struct seq seq)
{
    struct server *server = http_server(http);
    struct buffer *out = session_out(http->session);
    const struct buffer *body = &server->http->body;
    if (server->is_draining) http->is_keep_alive = false;
    put_status(out, answer->status);
    put_date(out, server, server->http);
    put_type(out, answer->type, answer->status);
    put_promise(out, server);
    put_options(out, answer);
    put(out, "\r\nContent-Length: ");
    put_number(out, body->size);
    if (!http->is_keep_alive) {
        put(out, "\r\nConnection: close");
    } else if (http->is_old) {
        put(out, "\r\nConnection: keep-alive");
    }
    put(out, "\r\n\r\n");
    if (!http->is_head) buffer_append_bytes(out, buffer_bytes(body));
    if (body->is_failed) out->is_failed = true; /* half an answer is worse than none */
    session_reply_end(http->session, seq);
    http->since = server->now;
    if (!http->is_keep_alive) session_close(http->session);
}

void http_stream_begin(struct http *http, const char *type)
{
    struct server *server = http_server(http);
    struct buffer *out = session_out(http->session);
    put_status(out, 200);
    put_date(out, server, server->http);
    put_type(out, type, 200);
    put_promise(out, server);
    if (server->store != NULL) put(out, "\r\nTenure-Events: best-effort");
    put(out, "\r\nConnection: close\r\n\r\n");
    session_reply_end(http->session, (struct seq){ 0 });
}

/* ----------------------------------------------------------------- problems */

static int status_of(enum tenure_err err, int status)
{
    return status != 0 ? status : tenure_err_http_status(err);
}

void http_problem_begin(
    struct http *http,
    struct json_writer *json,
    enum tenure_err err,
    int status,
    const char *detail)
{
    char type[64] = "urn:tenure:error:";
    strncat(type, tenure_err_name(err), sizeof(type) - strlen(type) - 1);
    (void)http_begin(http, json);
    json_begin_object(json);
    json_key(json, "type");
    json_text(json, bytes_from_text(type));
    json_key(json, "title");
    json_text(json, bytes_from_text(tenure_err_text(err)));
    json_key(json, "status");
    json_unsigned(json, (uint64_t)status_of(err, status));
    json_key(json, "code");
    json_text(json, bytes_from_text(tenure_err_name(err)));
    json_key(json, "detail");
    json_text(json, bytes_from_text(detail == NULL ? tenure_err_text(err) : detail));
}

static int64_t retry_after_ms(enum tenure_err err)
{
    return tenure_err_retry(err) == TENURE_RETRY_NEVER ? 0 : 1000;
}

void http_problem(struct http *http, enum tenure_err err, int status, const char *detail)
{
    struct json_writer json;
    http_problem_begin(http, &json, err, status, detail);
    json_end_object(&json);
    struct http_answer answer = {
        .status = status_of(err, status),
        .retry_after_ms = retry_after_ms(err),
    };
    http_end(http, &answer, (struct seq){ 0 });
}

void http_problem_of_args(struct http *http, const struct args_error *error)
{
    struct json_writer json;
    http_problem_begin(http, &json, TENURE_INVALID, 0, error->text);
    if (error->field[0] != '\0') {
        json_key(&json, "field");
        json_text(&json, bytes_from_text(error->field));
    }
    if (error->has_limit) {
        json_key(&json, "limit");
        json_unsigned(&json, error->limit);
    }
    json_end_object(&json);
    http_end(http, &(struct http_answer){ .status = 400 }, (struct seq){ 0 });
}
