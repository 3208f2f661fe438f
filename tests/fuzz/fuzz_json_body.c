/* fuzz_json_body - bodies and queries; what is accepted must mean the same to jansson. */
#include <jansson.h>
#include <stdlib.h>

#include "server/json_body.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const uint8_t all_args[] = {
#define X(id, name, type, least, most) ARG_##id,
    ARG_MAP(X)
#undef X
        ARG_COUNT
};

static void demand(bool is_true)
{
    if (!is_true) abort();
}

static void check_member(const json_t *member, const struct args *args, enum arg arg)
{
    demand(member != NULL);
    if (json_is_string(member) && arg_type(arg) != ARG_TYPE_WORD) {
        struct bytes text = { json_string_value(member), json_string_length(member) };
        demand(bytes_equal(args->texts[arg], text));
    } else if (json_is_integer(member)) {
        demand((uint64_t)json_integer_value(member) == args->numbers[arg]);
    } else if (json_is_array(member)) {
        demand(json_array_size(member) == args->name_count);
    }
}

static void check_body(struct bytes body, char *room)
{
    struct args args = { 0 };
    struct args_error error;
    char *scratch = room;
    if (!json_body_read(&args, body, all_args, &scratch, &error)) return;
    demand((size_t)(scratch - room) <= body.size);
    if (body.size == 0) return;
    json_error_t fault;
    json_t *json = json_loadb(body.data, body.size, JSON_REJECT_DUPLICATES, &fault);
    demand(json_is_object(json));
    size_t count = 0;
    for (int arg = 0; arg < ARG_COUNT; arg++) {
        if (!args_has(&args, (enum arg)arg)) continue;
        check_member(json_object_get(json, arg_name((enum arg)arg)), &args, (enum arg)arg);
        count++;
    }
    demand(json_object_size(json) == count);
    json_decref(json);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bytes input = { (const char *)data, size };
    char *room = malloc(size + 1);
    demand(room != NULL);
    check_body(input, room);
    struct args args = { 0 };
    struct args_error error;
    char *scratch = room;
    if (args_read_query(&args, input, all_args, &scratch, &error)) {
        demand((size_t)(scratch - room) <= size);
    }
    free(room);
    return 0;
}
