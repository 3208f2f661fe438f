/* tenure - all of libtenure.
 *
 *     struct tenure_client client;
 *     struct tenure_error error;
 *     if (tenure_client_open(NULL, &client, &error) != TENURE_OK) die(error.text);
 *
 *     const char *name = "deploy/prod";
 *     struct tenure_lock_options options = { .size = sizeof(options),
 *                                            .names = &name,
 *                                            .name_count = 1,
 *                                            .wait_ms = 10000 };
 *     struct tenure_hold hold;
 *     if (tenure_lock(client, &options, &hold, NULL, &error) == TENURE_OK) {
 *         work(tenure_hold_token(hold));
 *         struct tenure_release release;
 *         (void)!tenure_hold_release(hold, &release);
 *     }
 *     tenure_client_close(client);
 *
 * client.h   open and close; what all calls have in common
 * lock.h     acquire, keep, use, release
 * watch.h    look at locks, follow what happens to them, break one
 * election.h who leads
 * queue.h    put work, take it, end it
 * state.h    registers and channels: what programs share
 * rank.h     ranks, which they share too: members sorted by score
 * error.h    every outcome
 * adapter/   callbacks on the thread of an event loop: poll, epoll, libuv, libevent, libev, GLib */
#ifndef TENURE_TENURE_H
#define TENURE_TENURE_H

#include <tenure/client.h>
#include <tenure/election.h>
#include <tenure/error.h>
#include <tenure/export.h>
#include <tenure/lock.h>
#include <tenure/queue.h>
#include <tenure/rank.h>
#include <tenure/state.h>
#include <tenure/watch.h>

#define TENURE_VERSION_MAJOR 0
#define TENURE_VERSION_MINOR 1
#define TENURE_VERSION_PATCH 0
#define TENURE_VERSION_NUMBER                                                                      \
    (TENURE_VERSION_MAJOR * 10000 + TENURE_VERSION_MINOR * 100 + TENURE_VERSION_PATCH)

#ifdef __cplusplus
extern "C" {
#endif

/* The version of the library that is loaded: "0.1.0", and as TENURE_VERSION_NUMBER has it. */
TENURE_API const char *tenure_version(void);
TENURE_API int tenure_version_number(void);

#ifdef __cplusplus
}
#endif

#endif
