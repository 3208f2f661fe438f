#include "server/api_bytes.h"

#include "proto/base64.h"

bool api_decode_base64(
    struct http *http,
    struct args *args,
    enum arg plain,
    enum arg encoded,
    struct args_error *out_error)
{
    struct buffer *room = &http_server(http)->http->decoded;
    if (!args_has(args, encoded)) return true;
    if (args_has(args, plain)) {
        return args_fail(
            out_error,
            arg_name(encoded),
            "%s and %s exclude each other",
            arg_name(plain),
            arg_name(encoded));
    }
    size_t size = 0;
    char *at = room->data + room->size;
    if (!base64_decode(args->texts[encoded], at, &size)) {
        return args_fail(
            out_error, arg_name(encoded), "%s must be base64, with its padding", arg_name(encoded));
    }
    room->size += size;
    args->texts[plain] = (struct bytes){ at, size };
    args->is_present[plain] = true;
    return true;
}

bool api_reserve_bytes(struct http *http, const struct http_call *call)
{
    struct buffer *room = &http_server(http)->http->decoded;
    buffer_reset(room);
    if (buffer_reserve(room, call->request->body.size + 1)) return true;
    http_problem(http, TENURE_NO_MEMORY, 0, NULL);
    return false;
}

struct bytes api_take_line(struct bytes *rest)
{
    const char *feed = memchr(rest->data, '\n', rest->size);
    struct bytes line = { rest->data, feed == NULL ? rest->size : (size_t)(feed - rest->data) };
    size_t used = line.size + (feed != NULL);
    *rest = (struct bytes){ rest->data + used, rest->size - used };
    if (line.size > 0 && line.data[line.size - 1] == '\r') line.size--;
    return line;
}

void api_refuse_line(struct http *http, const struct args_error *error, uint32_t number)
{
    struct json_writer json;
    http_problem_begin(http, &json, TENURE_INVALID, 0, error->text);
    json_key(&json, "line");
    json_unsigned(&json, number);
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
