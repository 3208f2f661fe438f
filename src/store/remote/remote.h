/* remote - a store that is a tenured server, by the Redis protocol.
 *
 * Requests travel on lanes.  A lane is a queue of operations and a connection (link.h) that is made
 * again, with growing random pauses, whenever it breaks; what was under way is sent again then.
 *
 *   main   everything that is answered quickly, pipelined
 *   keep   renewals, once one of them has waited in vain on the main lane: what a stalled disk
 *          holds back there must not stand before them
 *   wait   one for each acquire that waits.  Closing the connection ends the wait at the server,
 *          and nothing else is held up by it
 *
 * A watch has a connection of its own, too (follow.h). */
#ifndef TENURE_STORE_REMOTE_REMOTE_H
#define TENURE_STORE_REMOTE_REMOTE_H

#include "store/link.h"

/* A scheme of this backend? */
bool tni_remote_knows(const char *url);
/* TENURE_INVALID, with a text that says what is wrong. */
MUST_USE enum tenure_err tni_remote_parse_url(
    const char *url, struct link_address *out_address, struct tenure_error *out_error);
/* See tni_store_open. */
MUST_USE enum tenure_err tni_remote_open(
    const struct store_options *options, struct store **out_store, struct tenure_error *out_error);

#endif
