#include "cli/environment.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define NUMBER_SIZE 24u

/* What we may set; an older one of the same name goes, also where there is no newer one. */
enum our_name {
    OUR_NAME,
    OUR_TOKEN,
    OUR_SLOT,
    OUR_OWNER,
    OUR_URL,
    OUR_TTL_MS,
    OUR_FD,
    OUR_QUEUE,
    OUR_ID,
    OUR_GROUP,
    OUR_HEADERS,
    OUR_PRIORITY,
    OUR_ATTEMPT,
    OUR_ATTEMPTS_MAX,
    OUR_LAPSES,
    OUR_LEASE_MS,
    OUR_CONTROL_FD,
    OUR_COUNT, /* of those that the command gets */
    OUR_PID = OUR_COUNT,
};

static const char *const our_names[] = {
    [OUR_NAME] = "TENURE_NAME",
    [OUR_TOKEN] = "TENURE_TOKEN",
    [OUR_SLOT] = "TENURE_SLOT",
    [OUR_OWNER] = "TENURE_OWNER",
    [OUR_URL] = "TENURE_URL",
    [OUR_TTL_MS] = "TENURE_TTL_MS",
    [OUR_FD] = "TENURE_FD",
    [OUR_QUEUE] = "TENURE_QUEUE",
    [OUR_ID] = "TENURE_ID",
    [OUR_GROUP] = "TENURE_GROUP",
    [OUR_HEADERS] = "TENURE_HEADERS",
    [OUR_PRIORITY] = "TENURE_PRIORITY",
    [OUR_ATTEMPT] = "TENURE_ATTEMPT",
    [OUR_ATTEMPTS_MAX] = "TENURE_ATTEMPTS_MAX",
    [OUR_LAPSES] = "TENURE_LAPSES",
    [OUR_LEASE_MS] = "TENURE_LEASE_MS",
    [OUR_CONTROL_FD] = "TENURE_CONTROL_FD",
    [OUR_PID] = "TENURE_PID",
};

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

/* The numbers as texts, which last as long as `room`; what there is none of stays NULL. */
static void find_values(
    const struct environment_facts *facts, char room[][NUMBER_SIZE], const char **out_values)
{
    const struct tenure_item *item = facts->item;
    const struct {
        enum our_name name;
        bool is_there;
        uint64_t number;
    } numbers[] = {
        { OUR_FD, facts->loss_fd >= 0, (uint64_t)facts->loss_fd },
        { OUR_TTL_MS, item == NULL, facts->ttl_ms },
        { OUR_LEASE_MS, item != NULL, facts->ttl_ms },
        { OUR_PRIORITY, item != NULL, item == NULL ? 0 : item->priority },
        { OUR_ATTEMPT, item != NULL, item == NULL ? 0 : item->attempts + 1u },
        { OUR_ATTEMPTS_MAX, item != NULL, item == NULL ? 0 : item->attempts_max },
        { OUR_LAPSES, item != NULL, item == NULL ? 0 : item->lapses },
        { OUR_CONTROL_FD, item != NULL && facts->control_fd >= 0, (uint64_t)facts->control_fd },
    };
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        if (!numbers[i].is_there) continue;
        (void)snprintf(room[i], NUMBER_SIZE, "%llu", (unsigned long long)numbers[i].number);
        out_values[numbers[i].name] = room[i];
    }
    out_values[OUR_NAME] = facts->names;
    out_values[OUR_TOKEN] = facts->tokens;
    out_values[OUR_SLOT] = facts->slots;
    out_values[OUR_OWNER] = facts->owner;
    out_values[OUR_URL] = facts->url;
    if (item == NULL) return;
    out_values[OUR_QUEUE] = item->queue;
    out_values[OUR_ID] = item->id;
    out_values[OUR_GROUP] = item->group;
    out_values[OUR_HEADERS] = item->headers;
}

bool environment_create(const struct environment_facts *facts, struct environment *out_environment)
{
    char room[OUR_COUNT][NUMBER_SIZE];
    const char *values[OUR_COUNT] = { NULL };
    find_values(facts, room, values);
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
    for (size_t i = 0; i < OUR_COUNT; i++) {
        if (values[i] == NULL) continue;
        made.entries[count] = make_entry(our_names[i], values[i]);
        if (made.entries[count++] == NULL) goto no_memory;
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
