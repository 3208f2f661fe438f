/* filesystem - is this one on which a journal can be trusted? */
#ifndef TENURE_SERVER_FILESYSTEM_H
#define TENURE_SERVER_FILESYSTEM_H

#include <stdbool.h>
#include <stdint.h>

enum filesystem_verdict {
    FILESYSTEM_FINE,
    FILESYSTEM_REFUSED, /* on a network, where locks and fsync mean something else */
    FILESYSTEM_FORCED,  /* the same, but that is accepted */
};

/* `magic` is f_type of statfs, of which 32 bits count. */
enum filesystem_verdict filesystem_judge(uint64_t magic, bool is_network_allowed);
/* The same of a path.  One that cannot be asked is fine: opening it tells more. */
enum filesystem_verdict filesystem_judge_path(const char *path, bool is_network_allowed);

#endif
