/* Owners: "user@host:pid#random", for people to read, and unlike any other. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "client/client.h"

#define USER_SIZE_MAX 64u

void tni_owner_prefix(char out_prefix[static CLIENT_OWNER_PREFIX_SIZE])
{
    char host[65] = "";
    char number[24];
    const char *user = getenv("USER"); // NOLINT(concurrency-mt-unsafe): only reads
    if (gethostname(host, sizeof(host) - 1) != 0 || !tni_is_plain(host)) {
        (void)snprintf(host, sizeof(host), "localhost");
    }
    if (user == NULL || !tni_is_plain(user) || strlen(user) > USER_SIZE_MAX) {
        (void)snprintf(number, sizeof(number), "%lu", (unsigned long)geteuid());
        user = number;
    }
    int written =
        snprintf(out_prefix, CLIENT_OWNER_PREFIX_SIZE, "%s@%s:%ld#", user, host, (long)getpid());
    ASSERT(written > 0 && (size_t)written < CLIENT_OWNER_PREFIX_SIZE);
}

/* The random number is the system's each time: a counter of our own would go on alike in all copies
 * of a virtual machine, and one owner must not be two holds. */
bool tni_owner_make(const struct client *client, char out_owner[static LIMIT_OWNER_SIZE_MAX + 1])
{
    uint64_t random;
    if (getrandom(&random, sizeof(random), 0) != sizeof(random)) return false;
    size_t size = strlen(client->owner_prefix);
    memcpy(out_owner, client->owner_prefix, size);
    for (int shift = 60; shift >= 0; shift -= 4) {
        out_owner[size++] = "0123456789abcdef"[random >> shift & 15];
    }
    out_owner[size] = '\0';
    return true;
}
