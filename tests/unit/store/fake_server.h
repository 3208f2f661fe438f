/* fake_server - a server that says what a script says.
 *
 *     static const char *const script[] = {
 *         "> HELLO 3",             a command must come, in these words
 *         "? HELLO *",             the same, and HELLO is not answered by itself
 *         "< %1\r\n$6\r\n...",     these bytes are sent
 *         "<1 ...",                the same, one byte at a time
 *         "x",                     the connection is reset
 *         "accept",                the next connection is waited for
 *         "~ 100",                 nothing happens for so many milliseconds
 *         NULL };
 *
 * It serves one connection after the other, in a thread.  "> HELLO" answers itself; a connection
 * that ends before it is passed over. */
#ifndef TENURE_TESTS_UNIT_STORE_FAKE_SERVER_H
#define TENURE_TESTS_UNIT_STORE_FAKE_SERVER_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "store/store.h"

struct fake_server {
    const char *const *script;
    int listener;
    int connection; /* -1: none */
    uint16_t port;
    pthread_t thread;
    atomic_bool is_over;
    char input[65536];
    size_t input_size;
    char trouble[512]; /* what went against the script; empty: nothing */
    char url[64];
};

void fake_server_start(struct fake_server *server, const char *const *script);
/* Turn the loop until `op` is done; it is cancelled when the script is over: an answer that is
 * damaged may be one that never ends. */
void fake_server_outwait(
    const struct fake_server *server,
    uv_loop_t *loop,
    struct store *store,
    struct store_op *op,
    const bool *is_done);
/* Wait until the script is over; fails the test when something went against it. */
void fake_server_finish(struct fake_server *server);

#endif
