#include "cli/environment.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define OUR_COUNT 7u

static const char *const our_names[] = { "TENURE_NAME",  "TENURE_TOKEN", "TENURE_SLOT",
                                         "TENURE_OWNER", "TENURE_URL",   "TENURE_TTL_MS",
                                         "TENURE_FD",    "TENURE_PID" };

static bool is_ours(const char *entry)
{
    for (size_t i = 0; i < sizeof(our_names) / sizeof(our_names[0]); i++) {
        size_t size = strlen(our_names[i]);
        if (strncmp(entry, our_names[i], size) == 0 && entry[size] == '=') return true;
    }
    return false;
}

/* NULL when there is no memory. */
static char *make_entry(const char *name, const char *value)
{
    char *entry;
    return asprintf(&entry, "%s=%s", name, value) < 0 ? NULL : entry;
}

bool environment_create(const struct environment_facts *facts, struct environment *out_environment)
{
    char ttl[16];
    char fd[16];
    (void)snprintf(ttl, sizeof(ttl), "%u", facts->ttl_ms);
    (void)snprintf(fd, sizeof(fd), "%d", facts->loss_fd);
    const char *const values[OUR_COUNT] = {
        facts->names, facts->tokens, facts->slots, facts->owner, facts->url, ttl, fd
    };
    size_t value_count = facts->loss_fd < 0 ? OUR_COUNT - 1 : OUR_COUNT;
    size_t count = 0;
    size_t inherited = 0;
    while (environ[inherited] != NULL) {
        inherited++;
    }
    struct environment made = {
        .entries = calloc(inherited + OUR_COUNT + 1, sizeof(char *)),
        .hook_entries = calloc(inherited + OUR_COUNT + 2, sizeof(char *)),
        .hook_pid = NULL,
    };
    if (made.entries == NULL || made.hook_entries == NULL) goto no_memory;
    for (; count < value_count; count++) {
        made.entries[count] = make_entry(our_names[count], values[count]);
        if (made.entries[count] == NULL) goto no_memory;
    }
    for (size_t i = 0; i < inherited; i++) {
        if (!is_ours(environ[i])) made.entries[count++] = environ[i];
    }
    memcpy(made.hook_entries, made.entries, count * sizeof(char *));
    /* Room for the longest number: the guardian writes it when it is needed. */
    made.hook_entries[count] = make_entry("TENURE_PID", "0000000000");
    if (made.hook_entries[count] == NULL) goto no_memory;
    made.hook_pid = strchr(made.hook_entries[count], '=') + 1;
    *out_environment = made;
    return true;

no_memory:
    environment_destroy(&made);
    return false;
}

void environment_destroy(struct environment *environment)
{
    /* Ours stand before those that were there; a list that was not finished has only ours. */
    for (size_t i = 0; environment->entries != NULL && i < OUR_COUNT; i++) {
        char *entry = environment->entries[i];
        if (entry == NULL || !is_ours(entry)) break;
        free(entry);
    }
    if (environment->hook_pid != NULL) free(environment->hook_pid - strlen("TENURE_PID="));
    free(environment->entries);
    free(environment->hook_entries);
    *environment = (struct environment){ .entries = NULL };
}
