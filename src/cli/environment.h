/* environment - what the command finds in its environment. */
#ifndef TENURE_CLI_ENVIRONMENT_H
#define TENURE_CLI_ENVIRONMENT_H

#include <tenure/queue.h>

#include <stdbool.h>
#include <stdint.h>

/* Several names: lists with commas, all in the same order. */
struct environment_facts {
    const char *names; /* NULL: an item of a queue, and no lock */
    const char *tokens;
    const char *slots; /* NULL likewise */
    const char *owner;
    const char *url;
    uint32_t ttl_ms;
    int loss_fd; /* -1: none */
    const struct tenure_item *item;
    int control_fd; /* with an item; -1: none */
};

struct environment {
    char **entries;      /* for the command, ends with NULL */
    char **hook_entries; /* the same and TENURE_PID */
    char *hook_pid;      /* the room for its number */
};

/* Ours and those that are there, without older ones of the same names.  False: no memory. */
bool environment_create(const struct environment_facts *facts, struct environment *out_environment);
void environment_destroy(struct environment *environment);

#endif
