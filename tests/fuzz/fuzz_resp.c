/* fuzz_resp - bytes of two Redis clients, on the whole RESP side and a real engine.
 *
 * The input is a script: each step is a byte that chooses (client, how time passes) and a length,
 * then the bytes that the client sends.  After every step the engine's invariants hold, and what
 * was answered is whole replies of the protocol, in RESP2 and RESP3. */
#include <stdlib.h>

#include "proto/resp_reply.h"
#include "unit/server/harness.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define SIZE_MAX_OF_INPUT 65536u

static void check_replies(struct bytes output)
{
    while (output.size > 0) {
        struct resp_skip skip = { 0 };
        size_t size;
        const char *text;
        if (resp_skip_reply(&skip, output, &size, &text) != PARSE_DONE) abort();
        output.data += size;
        output.size -= size;
    }
}

static void step(uint8_t choice, struct bytes bytes)
{
    uint32_t index = choice & 1;
    struct client *client = &harness.clients[index];
    if (!client->is_open) client = harness_open(index);
    harness_send(client, bytes);
    if ((choice & 2) != 0) harness_pass((choice & 4) != 0 ? 20000 : 50);
    if ((choice & 8) != 0 && client->is_open) client->backlog = (size_t)2 << 20;
    if ((choice & 16) != 0) harness_drain(client);
    if ((choice & 32) != 0 && client->is_open) harness_close(client);
    for (uint32_t other = 0; other < 2; other++) {
        check_replies(buffer_bytes(&harness.clients[other].output));
        harness.clients[other].output.size = 0;
    }
    engine_check(harness.server.engine);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > SIZE_MAX_OF_INPUT) return 0;
    harness_protocol = &session_resp;
    harness_start(0);
    const char *at = (const char *)data;
    const char *end = at + size;
    while (end - at >= 3) {
        uint8_t choice = (uint8_t)at[0];
        size_t length = (size_t)(uint8_t)at[1] | (size_t)(uint8_t)at[2] << 8;
        at += 3;
        if (length > (size_t)(end - at)) length = (size_t)(end - at);
        step(choice, (struct bytes){ at, length });
        at += length;
    }
    harness_stop();
    return 0;
}
