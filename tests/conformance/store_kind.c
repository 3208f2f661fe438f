#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "conformance/conformance.h"

#define TENURED                                                                                    \
    .ttl_ms_max = 86400000, .has_many_names = true, .has_shared = true, .has_slots = true,         \
    .has_priority = true, .has_lock_delay = true, .has_unlimited = true, .has_history = true,      \
    .has_transfer = true, .has_proclaim = true, .has_watch = true, .has_grace = true,              \
    .has_any_name = true, .is_ledger = true

#define REDIS                                                                                      \
    .ttl_ms_max = 60000, .past_err = TENURE_UNSUPPORTED, .has_watch = true, .has_grace = true,     \
    .has_proclaim = true

/* It counts the events that it hears of, and remembers none. */
#define RELAY                                                                                      \
    .ttl_ms_max = 60000, .past_err = TENURE_COMPACTED, .has_watch = true, .has_grace = true,       \
    .has_proclaim = true

static const struct store_kind kinds[] = {
    { .name = "embedded", .safety = TENURE_SAFETY_DURABLE_SINGLE, TENURED },
    { .name = "unix", .safety = TENURE_SAFETY_DURABLE_SINGLE, TENURED },
    { .name = "redis1", .safety = TENURE_SAFETY_DURABLE_SINGLE, .node_count = 1, REDIS },
    { .name = "sentinel", .safety = TENURE_SAFETY_REPLICATED_ASYNC, .node_count = 1, REDIS },
    { .name = "redis3", .safety = TENURE_SAFETY_QUORUM, .node_count = 3, REDIS },
    { .name = "redis5", .safety = TENURE_SAFETY_QUORUM, .node_count = 5, REDIS },
    { .name = "relay", .safety = TENURE_SAFETY_QUORUM, .node_count = 3, RELAY },
};

static const char *setting(const char *name)
{
    const char *value = getenv(name); // NOLINT(concurrency-mt-unsafe): nobody writes it
    if (value == NULL) FAIL("%s is not set; tests/conformance/run.py does that", name);
    return value;
}

const struct store_kind *kind(void)
{
    const char *name = setting("CONFORMANCE_KIND");
    for (size_t index = 0; index < sizeof(kinds) / sizeof(kinds[0]); index++) {
        if (strcmp(kinds[index].name, name) == 0) return &kinds[index];
    }
    FAIL("no such kind of store: %s", name);
}

void control(const char *format, ...)
{
    char what[400];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(what, sizeof(what), format, arguments);
    va_end(arguments);
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    char answer[256];
    size_t used = 0;
    (void)snprintf(
        address.sun_path, sizeof(address.sun_path), "%s", setting("CONFORMANCE_CONTROL"));
    int connection = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK(connection >= 0);
    CHECK_EQ_INT(connect(connection, (struct sockaddr *)&address, sizeof(address)), 0);
    CHECK_EQ_INT(write(connection, what, strlen(what)), (int64_t)strlen(what));
    CHECK_EQ_INT(shutdown(connection, SHUT_WR), 0);
    for (;;) {
        ssize_t size = read(connection, answer + used, sizeof(answer) - 1 - used);
        if (size < 0 && errno == EINTR) continue;
        if (size <= 0) break;
        used += (size_t)size;
    }
    answer[used] = '\0';
    (void)close(connection);
    CHECK_EQ_TEXT(answer, "ok");
}

struct tenure_client open_client_with(uint32_t timeout_ms)
{
    struct tenure_client_options options = { .size = sizeof(options),
                                             .url = setting("CONFORMANCE_URL"),
                                             .timeout_ms = timeout_ms };
    struct tenure_client client = { 0 };
    struct tenure_error error;
    enum tenure_err err = tenure_client_open(&options, &client, &error);
    if (err != TENURE_OK) FAIL("open: %s: %s", tenure_err_name(err), error.text);
    return client;
}

struct tenure_client open_client(void)
{
    return open_client_with(5000);
}
