/* net - what all connections of one loop share: when bytes may leave, and who has some to send.
 *
 * Nothing leaves the process before what it depends on is durable.  Bytes are therefore gated: each
 * answer says which record (`seq`) it depends on.  The records of one turn of the loop reach the
 * disk as a unit, so all answers of a turn can share one gate.
 *
 * Threads: all of src/net belongs to the thread of the loop. */
#ifndef TENURE_NET_NET_H
#define TENURE_NET_NET_H

#include <uv.h>

#include "base/list.h"
#include "base/memory.h"
#include "base/types.h"

#define NET_SCRATCH_SIZE ((size_t)64 << 10)

struct net {
    uv_loop_t *loop;
    const struct memory *memory;
    struct seq durable;  /* on the disk up to here */
    struct seq offered;  /* handed to the committer up to here */
    struct list gated;   /* connections with bytes that wait for the disk */
    struct list ready;   /* connections with bytes that may leave */
    bool has_more;       /* a read filled the scratch buffer: the owner of the loop resets it */
    uint64_t read_count; /* system calls, for the metrics */
    uint64_t write_count;
    uint64_t read_bytes;
    uint64_t written_bytes;
    char *scratch; /* input lands here first: an idle connection owns no buffer */
};

/* False when there is no memory. */
MUST_USE bool net_init(struct net *net, uv_loop_t *loop, const struct memory *memory);
/* All connections must be gone. */
void net_deinit(struct net *net);

/* The gathering batch was handed to the committer: it ends with `offered`. */
void net_offer(struct net *net, struct seq offered);
/* The disk has everything up to `durable`: open the gates up to there. */
void net_release(struct net *net, struct seq durable);
/* Send what may leave: at most one system call for each connection. */
void net_flush(struct net *net);

#endif
