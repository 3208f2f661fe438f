/* config - every option of tenured, in one table.
 *
 * The table is the single source of the flags, the environment, the keys of the file, --help, the
 * error messages, and (held by a test) of tenured(8) and tenured.conf(5).  A flag wins over the
 * environment, that over the file, that over the default.  Unknown names are errors. */
#ifndef TENURE_SERVER_CONFIG_H
#define TENURE_SERVER_CONFIG_H

#include <tenure/error.h>

#include <stdio.h>

#include "base/assert.h"
#include "base/types.h"

#define CONFIG_LIST_COUNT_MAX 16u

#define CONFIG_SIZE_MAX (INT64_C(1) << 40)

/* When starts have calmed down, but soon enough to be of use to servers that seldom live a week. */
#define CONFIG_SCRUB_FIRST_MS (10u * 60 * 1000)

struct config_text;

struct config_list {
    const char *items[CONFIG_LIST_COUNT_MAX];
    uint32_t count;
};

enum log_level { LOG_ERROR, LOG_WARNING, LOG_INFO, LOG_DEBUG };

/* clang-format off */
/*  type    field                 name, argument, least, most, default,
 *  help */
#define CONFIG_MAP(X)                                                                              \
    X(TEXT,   data,                 "data",              "DIR",       1, 4000, "./data",           \
      "directory of the journal; made if it is missing")                                           \
    X(TEXT,   store,                "store",             "URL",       0, 4000, "",                 \
      "keep no journal: serve in front of this store, see tenured(8)")                             \
    X(LIST,   listen,               "listen",            "ADDR:PORT", 1, 255, "127.0.0.1:7420",    \
      "where to listen; port 0 takes a free one, none is no TCP")                                  \
    X(TEXT,   unix_path,            "unix",              "PATH",      0, 107, "",                  \
      "listen on a Unix socket too")                                                               \
    X(LIST,   host,                 "host",              "NAME",      1, 255, "",                  \
      "a further name by which HTTP clients may address the server")                               \
    X(BOOL,   is_insecure_allowed,  "allow-insecure",    "",          0, 1, "no",                  \
      "listen wider than loopback although there is no authentication")                            \
    X(BOOL,   is_network_allowed,   "allow-network-filesystem", "",   0, 1, "no",                  \
      "keep the journal on a network filesystem, which may lose it")                               \
    X(NUMBER, connection_count_max, "max-connections",   "N",         1, 1000000, "20000",         \
      "connections at the same time")                                                              \
    X(NUMBER, hold_count_max,       "max-holds",         "N",         1, 1000000000, "16000000",   \
      "holds at the same time")                                                                    \
    X(NUMBER, waiter_count_max,     "max-waiters",       "N",         1, 10000000, "100000",       \
      "requests that wait at the same time")                                                       \
    X(NUMBER, item_count_max,       "max-items",         "N",         1, 1000000000, "16000000",   \
      "items of all queues at the same time")                                                      \
    X(SIZE,   item_bytes_max,       "max-item-bytes",    "SIZE", 65536, CONFIG_SIZE_MAX, "4G",     \
      "memory for the bodies, headers and results of items")                                       \
    X(NUMBER, key_count_max,        "max-keys",          "N",         1, 1000000000, "32000000",   \
      "registers and members of ranks at the same time")                                           \
    X(SIZE,   key_bytes_max,        "max-key-bytes",     "SIZE", 65536, CONFIG_SIZE_MAX, "4G",     \
      "memory for the values of registers and the names of members")                               \
    X(SIZE,   window_bytes,         "window-bytes",      "SIZE", 65536, CONFIG_SIZE_MAX, "64M",    \
      "memory for recent events, which resumed streams and history read")                          \
    X(SIZE,   snapshot_bytes,       "snapshot-bytes",    "SIZE", 65536, CONFIG_SIZE_MAX, "64M",    \
      "write a snapshot when the journal has grown by this much")                                  \
    X(SIZE,   segment_bytes,        "segment-bytes",     "SIZE", 8192, 1073741824, "16M",          \
      "size of one file of the journal")                                                           \
    X(NUMBER, scrub_hours,          "scrub-hours",       "HOURS",     0, 8760, "168",              \
      "verify the files of the journal so often while serving; 0 is never")                        \
    X(NUMBER, ageing_ms,            "ageing-ms",         "MS",        1, 3600000, "10000",         \
      "waiting time that is worth one level of priority")                                          \
    X(NUMBER, heartbeat_ms,         "heartbeat-ms",      "MS",        100, 3600000, "15000",       \
      "silence on an event stream after which a sign of life is sent")                             \
    X(NUMBER, spin_us,              "spin-us",           "US",        0, 1000000, "0",             \
      "stay awake this long for more work: faster, for processor time")                            \
    X(LEVEL,  log_level,            "log-level",         "LEVEL",     0, 3, "info",                \
      "error, warning, info or debug")
/* clang-format on */

#define CONFIG_TYPE_TEXT   const char *
#define CONFIG_TYPE_LIST   struct config_list
#define CONFIG_TYPE_BOOL   bool
#define CONFIG_TYPE_NUMBER uint32_t
#define CONFIG_TYPE_SIZE   uint64_t
#define CONFIG_TYPE_LEVEL  enum log_level

/* What the command line asks for besides. */
enum config_action {
    CONFIG_SERVE,
    CONFIG_HELP,
    CONFIG_VERSION,
    CONFIG_CHECK,  /* --check DIR */
    CONFIG_DUMP,   /* --dump DIR */
    CONFIG_REPAIR, /* --repair DIR */
};

struct config {
#define X(type, field, name, argument, least, most, fallback, help) CONFIG_TYPE_##type field;
    CONFIG_MAP(X)
#undef X
    uint32_t scrub_first_ms; /* after the start; no option: tests are in a hurry */
    enum config_action action;
    const char *action_path;   /* of --check, --dump and --repair */
    bool is_loss_accepted;     /* --accept-loss */
    const char *file;          /* of --config; NULL when there is none */
    struct config_text *texts; /* private: what some of the pointers above point into */
};

/* Read the defaults, the file, the environment and the command line.  TENURE_INVALID with a text
 * that names the place ("--spin-us", "TENURED_SPIN_US", "file:line"); `out_is_usage` tells a wrong
 * command line from a wrong configuration. */
MUST_USE enum tenure_err config_read(
    int argc,
    char *const *argv,
    char *const *environment,
    struct config *out_config,
    bool *out_is_usage,
    struct tenure_error *out_error);
/* Accepts what a failed config_read left. */
void config_deinit(struct config *config);
/* What --help says. */
void config_help(FILE *stream);

#endif
