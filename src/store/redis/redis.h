/* redis - a store that is one Redis server, or a majority of independent ones, or the master that
 * Sentinels name (address.h has the URLs).
 *
 * Decisions are made in src/quorum; here they are carried out: calls become EVALSHA, replies become
 * answers, time passes.
 *
 *   node.c      one server: its connection, what is under way on it
 *   greeting.c  who answers there, before it may vote
 *   work.c      one operation of src/quorum, step by step
 *   hold.c      acquire, renew, release, break
 *   look.c      what all nodes know of one lock
 *   list.c      all locks
 *   news.c      events, as far as clients tell each other
 *   sentinel.c  who is the master
 *   info.c      what the nodes are like
 *   redis.c     open, close, time
 *
 * A node is one pipelined connection.  Commands that are written in one turn of the loop leave
 * together. */
#ifndef TENURE_STORE_REDIS_REDIS_H
#define TENURE_STORE_REDIS_REDIS_H

#include "store/store.h"

/* See tni_store_open; `options->url` is known to tni_redis_knows. */
MUST_USE enum tenure_err tni_redis_open(
    const struct store_options *options, struct store **out_store, struct tenure_error *out_error);

#endif
