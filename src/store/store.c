#include "store/store.h"

#include <string.h>
#include <time.h>

#include "store/redis/address.h"
#include "store/redis/redis.h"
#include "store/remote/remote.h"

#define TEXT_SIZE sizeof(((struct tenure_error *)NULL)->text)

const char *tni_store_safety_word(enum store_safety safety)
{
    switch (safety) {
    case STORE_SAFETY_VOLATILE: return "volatile";
    case STORE_SAFETY_REPLICATED_ASYNC: return "replicated-async";
    case STORE_SAFETY_DURABLE_SINGLE: return "durable-single";
    case STORE_SAFETY_QUORUM: return "quorum";
    case STORE_SAFETY_CONSENSUS: return "consensus";
    }
    return "unknown";
}

bool tni_store_safety_from_word(const char *word, enum store_safety *out_safety)
{
    for (int safety = STORE_SAFETY_VOLATILE; safety <= STORE_SAFETY_CONSENSUS; safety++) {
        if (strcmp(tni_store_safety_word((enum store_safety)safety), word) != 0) continue;
        *out_safety = (enum store_safety)safety;
        return true;
    }
    return false;
}

const char *tni_store_item_state_word(unsigned state)
{
    static const char *const words[STORE_ITEM_STATE_COUNT] = {
        "delayed", "ready", "taken", "done", "dead", "cancelled",
    };
    return state < STORE_ITEM_STATE_COUNT ? words[state] : NULL;
}

const char *tni_store_unsupported_word(const struct store *store, uint32_t index)
{
    static const char *const verbs[STORE_VERB_COUNT] = {
        "acquire",
        "renew",
        "release",
        "break",
        "inspect",
        "list",
        "history",
        "proclaim",
        "transfer",
        "info",
        "queues", /* for all of theirs */
        [STORE_TRANSACT] = "state",
        [STORE_PUBLISH] = "channels",
    };
    static const char *const features[STORE_FEATURE_COUNT] = {
        "names", "shared", "slots", "priority", "lock_delay", "no_ttl", "resume",
    };
    uint32_t count = 0;
    for (uint32_t verb = 0; verb < STORE_VERB_COUNT; verb++) {
        bool is_there = (store->verbs >> verb & 1) != 0 || verbs[verb] == NULL;
        if (!is_there && count++ == index) return verbs[verb];
    }
    for (uint32_t feature = 0; feature < STORE_FEATURE_COUNT; feature++) {
        if ((store->features >> feature & 1) == 0 && count++ == index) return features[feature];
    }
    return NULL;
}

struct mono tni_store_now(void)
{
    struct timespec now;
    int failure = clock_gettime(CLOCK_BOOTTIME, &now);
    ASSERT(failure == 0);
    return (struct mono){ (int64_t)now.tv_sec * NS_PER_S + now.tv_nsec };
}

/* A URL whose scheme nobody here knows. */
static enum tenure_err refuse_scheme(const char *url, struct tenure_error *out_error)
{
    const char *colon = strstr(url, "://");
    enum tenure_err err = colon == NULL || colon == url ? TENURE_INVALID : TENURE_UNSUPPORTED;
    if (out_error != NULL) {
        *out_error = (struct tenure_error){ .code = err };
        const char *text = err == TENURE_INVALID
                               ? "the URL has no scheme: write tenure://HOST:PORT"
                               : "this kind of store is not supported: write tenure://HOST:PORT, "
                                 "tenure+unix:///PATH, redis://HOST[,HOST,HOST] or "
                                 "redis+sentinel://HOST,HOST,HOST/MASTER";
        size_t size = strlen(text);
        ASSERT(size < TEXT_SIZE);
        memcpy(out_error->text, text, size + 1);
    }
    return err;
}

enum tenure_err tni_store_check_url(const char *url, struct tenure_error *out_error)
{
    struct link_address address;
    struct redis_address redis;
    if (tni_redis_knows(url)) {
        enum tenure_err err = tni_redis_parse_url(url, &redis, out_error);
        if (err == TENURE_OK) tni_redis_address_wipe(&redis);
        return err;
    }
    if (!tni_remote_knows(url)) return refuse_scheme(url, out_error);
    return tni_remote_parse_url(url, &address, out_error);
}

void tni_store_show_url(const char *url, char *out_text, size_t text_size)
{
    if (tni_redis_knows(url)) {
        tni_redis_show_url(url, out_text, text_size);
        return;
    }
    size_t size = strlen(url) < text_size ? strlen(url) : text_size - 1;
    memcpy(out_text, url, size);
    out_text[size] = '\0';
}

enum tenure_err tni_store_open(
    const struct store_options *options, struct store **out_store, struct tenure_error *out_error)
{
    if (tni_redis_knows(options->url)) return tni_redis_open(options, out_store, out_error);
    if (!tni_remote_knows(options->url)) return refuse_scheme(options->url, out_error);
    return tni_remote_open(options, out_store, out_error);
}
