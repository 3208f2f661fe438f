/* handoff_peer - how one waits for a lock, gets it and gives it back, for each server measured. */
#ifndef TENURE_BENCH_HANDOFF_PEER_H
#define TENURE_BENCH_HANDOFF_PEER_H

#include "link.h"

#define HANDOFF_TEXT_SIZE_MAX 512u

enum caller_state { CALLER_IDLE, CALLER_WAITING, CALLER_HOLDING, CALLER_RELEASING };

struct caller {
    int fd;
    uint32_t index;
    enum caller_state state;
    uint64_t turn;                     /* makes the owner of each hold a fresh one */
    uint64_t place;                    /* in the order of queueing */
    char claim[HANDOFF_TEXT_SIZE_MAX]; /* what proves the hold: the token, or etcd's key */
    char lease[32];
    struct buffer in;
};

union handoff_answer {
    struct resp_reply resp;
    struct http_reply http;
};

struct handoff_peer {
    const char *name;
    bool is_http;
    /* Blocking set-up of one caller; NULL for none. */
    bool (*prepare)(struct caller *caller, const struct link_address *address);
    void (*compose_acquire)(const struct caller *caller, struct buffer *out);
    void (*compose_release)(const struct caller *caller, struct buffer *out);
    /* True when it is a grant; fills `claim`. */
    bool (*take_grant)(struct caller *caller, const union handoff_answer *answer);
    bool (*is_released)(const union handoff_answer *answer);
};

/* NULL when there is no such peer. */
const struct handoff_peer *handoff_peer_find(const char *name);

#endif
