#include <tenure/tenure.h>

#include "store/store.h"

#define STRING_OF(number)               #number
#define VERSION_OF(major, minor, patch) STRING_OF(major) "." STRING_OF(minor) "." STRING_OF(patch)

const char *tenure_version(void)
{
    return VERSION_OF(TENURE_VERSION_MAJOR, TENURE_VERSION_MINOR, TENURE_VERSION_PATCH);
}

int tenure_version_number(void)
{
    return TENURE_VERSION_NUMBER;
}

/* A number that is no outcome, perhaps of a newer library. */
static const char *word_of(const char *const *words, unsigned count, unsigned index)
{
    return index < count ? words[index] : "unknown";
}

const char *tenure_safety_name(enum tenure_safety safety)
{
    return tni_store_safety_word((enum store_safety)safety);
}

const char *tenure_safety_text(enum tenure_safety safety)
{
    switch (safety) {
    case TENURE_SAFETY_VOLATILE:
        return "a restart of the server forgets who holds what, so that a lock may be granted "
               "twice; "
               "tokens rise all the same";
    case TENURE_SAFETY_REPLICATED_ASYNC:
        return "a failover may forget the last grants, so that a lock may be granted twice; tokens "
               "rise all the same";
    case TENURE_SAFETY_DURABLE_SINGLE:
        return "what is granted survives every crash and restart; while its one server is down, "
               "nothing is granted";
    case TENURE_SAFETY_QUORUM:
        return "what is granted survives as long as a majority of the servers does, and is granted "
               "as long as a majority of them answers";
    case TENURE_SAFETY_CONSENSUS:
        return "what is granted is agreed on by a majority that keeps a log, and survives the loss "
               "of the others";
    }
    return "unknown";
}

const char *tenure_loss_name(enum tenure_loss loss)
{
    static const char *const words[] = { "none", "expired", "ended", "broken", "closed" };
    return word_of(words, sizeof(words) / sizeof(words[0]), (unsigned)loss);
}

const char *tenure_end_name(enum tenure_end end)
{
    static const char *const words[] = { "released", "expired_unclaimed", "expired_taken",
                                         "broken",   "not_owner",         "unknown" };
    return word_of(words, sizeof(words) / sizeof(words[0]), (unsigned)end);
}
