#include "client/owner.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <unistd.h>

#include "client/client.h"

bool tni_owner_make(char *out_owner, size_t size)
{
    uint64_t random;
    char host[65] = "";
    const char *user = getenv("USER"); // NOLINT(concurrency-mt-unsafe): only reads
    char number[24];
    if (getrandom(&random, sizeof(random), 0) != sizeof(random)) return false;
    if (gethostname(host, sizeof(host) - 1) != 0 || !tni_is_plain(host)) {
        (void)snprintf(host, sizeof(host), "localhost");
    }
    if (user == NULL || !tni_is_plain(user) || strlen(user) > 64) {
        (void)snprintf(number, sizeof(number), "%lu", (unsigned long)geteuid());
        user = number;
    }
    int written =
        snprintf(out_owner, size, "%s@%s:%ld#%016" PRIx64, user, host, (long)getpid(), random);
    return written > 0 && (size_t)written < size;
}
