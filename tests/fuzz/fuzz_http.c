/* fuzz_http - bytes of two HTTP clients, on the whole HTTP side and a real engine.
 *
 * The input is a script: each step is a byte that chooses (client, how time passes) and a length,
 * then the bytes that the client sends.  After every step the engine's invariants hold; what the
 * parser makes of the bytes in pieces must be what it makes of them at once. */
#include <stdlib.h>

#include "server/http_parse.h"
#include "unit/server/harness.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define SIZE_MAX_OF_INPUT 65536u

static void step(uint8_t choice, struct bytes bytes)
{
    uint32_t index = choice & 1;
    struct client *client = &harness.clients[index];
    if (!client->is_open) client = harness_open(index);
    harness_send(client, bytes);
    if ((choice & 2) != 0) harness_pass((choice & 4) != 0 ? 20000 : 50);
    if ((choice & 8) != 0 && client->is_open) client->backlog = (size_t)300 << 10;
    if ((choice & 16) != 0) harness_drain(client);
    if ((choice & 32) != 0 && client->is_open) harness_close(client);
    client->output.size = 0;
    engine_check(harness.server.engine);
}

/* The same bytes in two pieces come to the same end. */
static void check_split(struct bytes bytes, size_t split)
{
    struct http_parser whole;
    struct http_parser parts;
    struct http_request request = { 0 };
    struct http_request request_parts = { 0 };
    struct http_fault fault = { 0 };
    struct http_fault fault_parts = { 0 };
    size_t used = 0;
    size_t used_parts = 0;
    http_parser_init(&whole, &memory_heap);
    http_parser_init(&parts, &memory_heap);
    enum http_progress first = http_parse(&whole, bytes, &request, &used, &fault);
    enum http_progress second = http_parse(
        &parts, (struct bytes){ bytes.data, split }, &request_parts, &used_parts, &fault_parts);
    if (second == HTTP_MORE) {
        second = http_parse(&parts, bytes, &request_parts, &used_parts, &fault_parts);
        if (first != second || used != used_parts || fault.status != fault_parts.status) abort();
        if (first == HTTP_DONE && !bytes_equal(request.body, request_parts.body)) abort();
        if (first == HTTP_DONE && !bytes_equal(request.path, request_parts.path)) abort();
    } else if (second != first && first != HTTP_BAD) {
        abort();
    }
    http_parser_deinit(&whole);
    http_parser_deinit(&parts);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > SIZE_MAX_OF_INPUT) return 0;
    harness_start(0);
    const char *at = (const char *)data;
    const char *end = at + size;
    while (end - at >= 3) {
        uint8_t choice = (uint8_t)at[0];
        size_t length = (size_t)(uint8_t)at[1] | (size_t)(uint8_t)at[2] << 8;
        at += 3;
        if (length > (size_t)(end - at)) length = (size_t)(end - at);
        struct bytes bytes = { at, length };
        check_split(bytes, length / 2);
        step(choice, bytes);
        at += length;
    }
    harness_stop();
    return 0;
}
