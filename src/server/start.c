#include "server/start.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

#include "journal/format.h"
#include "server/channels.h"
#include "server/embedded.h"
#include "server/filesystem.h"
#include "server/log.h"
#include "server/notify.h"
#include "server/relay.h"
#include "server/restore.h"
#include "server/server.h"
#include "server/turn.h"

#define UNIX_MODE       0600u
#define DESCRIPTOR_KEEP 64u /* beside the connections: journal, listeners, spares */

/* ------------------------------------------------------------------ what can be wrong before */

static int refuse(int exit_code, const char *text)
{
    log_write(LOG_ERROR, "%s", text);
    return exit_code;
}

/* Nobody asks clients who they are yet: only who is on this machine may come in. */
static int check_addresses(const struct config *config)
{
    if (config->listen.count == 0 && config->unix_path[0] == '\0') {
        return refuse(EX_CONFIG, "nothing to listen on: give --listen or --unix");
    }
    for (uint32_t index = 0; index < config->listen.count; index++) {
        struct tenure_error error;
        bool is_loopback;
        if (listener_is_loopback(config->listen.items[index], &is_loopback, &error) != TENURE_OK) {
            return refuse(EX_CONFIG, error.text);
        }
        if (!is_loopback && !config->is_insecure_allowed) {
            log_write(
                LOG_ERROR,
                "--listen %s would let anybody on the network take and break locks, because there "
                "is no authentication yet: listen on 127.0.0.1, or add --allow-insecure where a "
                "firewall protects the port",
                config->listen.items[index]);
            return EX_CONFIG;
        }
    }
    return EX_OK;
}

/* A crash must not take away the directory with all that was acknowledged in it: its name is synced
 * into its parent.  False, and errno, when that fails. */
static bool make_directory(const char *path)
{
    if (mkdir(path, 0700) != 0) return errno == EEXIST;
    int directory = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int parent = directory < 0 ? -1 : openat(directory, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    /* A parent that may be written and not be read cannot be synced by us. */
    bool is_done = parent < 0 ? errno == EACCES : fsync(parent) == 0;
    int failure = errno;
    if (parent >= 0) (void)close(parent);
    if (directory >= 0) (void)close(directory);
    errno = failure;
    return is_done;
}

/* Locks and fsync do not mean on a network what they mean on a disk. */
static int check_filesystem(const struct config *config)
{
    switch (filesystem_judge_path(config->data, config->is_network_allowed)) {
    case FILESYSTEM_FINE: break;
    case FILESYSTEM_FORCED:
        log_write(
            LOG_WARNING,
            "%s is on a network filesystem: a crash may lose what was acknowledged, and a second "
            "server may get in",
            config->data);
        break;
    case FILESYSTEM_REFUSED:
        log_write(
            LOG_ERROR,
            "%s is on a network filesystem, where nothing is durable for certain; choose a local "
            "disk with --data, or add --allow-network-filesystem",
            config->data);
        return EX_CONFIG;
    }
    return EX_OK;
}

static int prepare_directory(const struct config *config)
{
    const char *path = config->data;
    if (!make_directory(path)) {
        int failure = errno;
        log_write(
            LOG_ERROR,
            "cannot make the directory %s: %s; make its parent, or choose another one with --data",
            path,
            strerrordesc_np(failure));
        return failure == EACCES || failure == EPERM ? EX_NOPERM : EX_CANTCREAT;
    }
    struct stat status;
    if (stat(path, &status) != 0 || !S_ISDIR(status.st_mode)) {
        log_write(LOG_ERROR, "%s is no directory; choose another one with --data", path);
        return EX_CANTCREAT;
    }
    if (access(path, R_OK | W_OK | X_OK) != 0) {
        log_write(
            LOG_ERROR,
            "the directory %s cannot be written: %s; run as its owner, or choose another one with "
            "--data",
            path,
            strerrordesc_np(errno));
        return EX_NOPERM;
    }
    return check_filesystem(config);
}

/* Is it a URL that a store can be opened by? */
static int check_store(const struct config *config)
{
    struct tenure_error error = { .text = "" };
    enum tenure_err err = tni_store_check_url(config->store, &error);
    if (err == TENURE_OK) return EX_OK;
    log_write(LOG_ERROR, "--store: %s", error.text);
    return EX_CONFIG;
}

/* Each connection takes `descriptor_count` of them. */
static void raise_descriptor_limit(uint32_t connection_count_max, uint32_t descriptor_count)
{
    struct rlimit limit;
    rlim_t wanted = (rlim_t)connection_count_max * descriptor_count + DESCRIPTOR_KEEP;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= wanted) return;
    limit.rlim_cur = limit.rlim_max < wanted ? limit.rlim_max : wanted;
    (void)setrlimit(RLIMIT_NOFILE, &limit);
    if (limit.rlim_cur < connection_count_max) {
        log_write(
            LOG_WARNING,
            "the system allows %" PRIu64
            " open files: fewer connections than --max-connections %" PRIu32,
            (uint64_t)limit.rlim_cur,
            connection_count_max);
    }
}

/* ------------------------------------------------------------------ the journal */

/* The journal's random id, as the name of this node. */
static void read_node_id(struct server *server)
{
    char path[4200];
    unsigned char bytes[JOURNAL_PREAMBLE_SIZE];
    struct journal_id id;
    (void)snprintf(path, sizeof(path), "%s/identity", server->config->data);
    FILE *file = fopen(path, "re");
    if (file == NULL) return;
    if (fread(bytes, 1, sizeof(bytes), file) == sizeof(bytes) &&
        journal_preamble_decode(JOURNAL_FILE_IDENTITY, bytes, NULL, &id) == JOURNAL_PREAMBLE_OK)
    {
        for (size_t index = 0; index < JOURNAL_ID_SIZE; index++) {
            (void)snprintf(server->node_id + 2 * index, 3, "%02x", (unsigned)id.bytes[index]);
        }
    }
    (void)fclose(file);
}

static int
open_journal(struct server *server, struct journal **out_journal, struct journal_report *out_report)
{
    struct restore restore = { .engine = server->engine };
    struct journal_options options = {
        .path = server->config->data,
        .segment_size = server->config->segment_bytes,
        .spare_count = JOURNAL_SPARE_COUNT_DEFAULT,
    };
    struct tenure_error error = { .text = "" };
    enum tenure_err err = restore_open(&restore, &options, out_journal, out_report, &error);
    /* What was dropped is told even if the start goes on to fail: the next one sees it no more. */
    if (out_report->text[0] != '\0') log_write(LOG_WARNING, "%s", out_report->text);
    if (err != TENURE_OK) {
        bool is_damaged = err == TENURE_CORRUPT;
        log_write(
            LOG_ERROR,
            "%s%s%s",
            error.text,
            is_damaged ? "; what can be kept without a backup is told by: tenured --repair " : "",
            is_damaged ? server->config->data : "");
        return restore_exit_code(err);
    }
    read_node_id(server);
    return EX_OK;
}

/* ------------------------------------------------------------------ listeners */

static int open_listeners(struct server *server)
{
    const struct config *config = server->config;
    struct tenure_error error;
    enum tenure_err err = TENURE_OK;
    for (uint32_t index = 0; index < config->listen.count && err == TENURE_OK; index++) {
        struct listener *listener = &server->listeners[server->listener_count];
        err = listener_open_tcp(listener, server->loop, config->listen.items[index], &error);
        if (err == TENURE_OK) server->listener_count++;
    }
    if (err == TENURE_OK && config->unix_path[0] != '\0') {
        struct listener *listener = &server->listeners[server->listener_count];
        err = listener_open_unix(listener, server->loop, config->unix_path, UNIX_MODE, &error);
        if (err == TENURE_OK) server->listener_count++;
    }
    if (err == TENURE_OK) return EX_OK;
    log_write(LOG_ERROR, "%s", error.text);
    return err == TENURE_IO ? EX_OSERR : restore_exit_code(err);
}

static void on_accept(struct listener *listener, int socket)
{
    struct server *server = listener->user;
    turn_wake(server);
    session_accept(server, socket, listener->is_local);
}

static void tell_ready(const struct server *server, const struct journal_report *report)
{
    (void)printf("tenured: ready on");
    for (uint32_t index = 0; index < server->listener_count; index++) {
        const struct listener *listener = &server->listeners[index];
        (void)printf(
            "%s %s%s",
            index == 0 ? "" : " and",
            listener->is_local ? "unix " : "",
            listener->address);
    }
    if (server->engine != NULL) {
        (void)printf(
            ", data %s, %" PRIu64 " holds at event %" PRIu64 "\n",
            server->config->data,
            engine_counters(server->engine).hold_count,
            report->seq.value);
    } else {
        (void)printf(", in front of %s\n", server->store_url);
    }
    (void)fflush(stdout);
    notify_send("READY=1");
}

/* ------------------------------------------------------------------ up and down */

static bool is_relay(const struct config *config)
{
    return config->store[0] != '\0';
}

static bool init_server(struct server *server, uv_loop_t *loop, const struct config *config)
{
    *server = (struct server){ .loop = loop, .config = config };
    metrics_init(&server->metrics);
    if (!is_relay(config)) {
        server->engine = restore_engine(config);
        if (server->engine == NULL) return false;
    }
    return net_init(&server->net, loop, &memory_heap) && session_table_create(server);
}

static void deinit_server(struct server *server)
{
    session_table_destroy(server);
    if (server->net.scratch != NULL) net_deinit(&server->net);
    engine_destroy(&server->engine);
}

/* The loop's handles must be closed while it can still run. */
static void close_server(struct server *server, struct journal **journal)
{
    for (uint32_t index = 0; index < server->listener_count; index++) {
        listener_close(&server->listeners[index]);
    }
    if (server->events != NULL) events_destroy(&server->events);
    channels_destroy(&server->channels);
    (void)uv_run(server->loop, UV_RUN_NOWAIT);
    journal_destroy(journal);
}

static int
open_backend(struct server *server, struct journal *journal, const struct journal_report *report)
{
    struct tenure_error error = { .text = "" };
    enum tenure_err err = turn_create(server, &error);
    if (err == TENURE_OK && is_relay(server->config)) {
        err = relay_create(server, &error);
    } else if (err == TENURE_OK) {
        err = embedded_create(server, journal, report->seq, &error);
    }
    if (err == TENURE_OK) return EX_OK;
    bool is_wrong = err == TENURE_INVALID || err == TENURE_UNSUPPORTED;
    return refuse(is_wrong ? EX_CONFIG : EX_OSERR, error.text);
}

static int close_backend(struct server *server)
{
    struct tenure_error error = { .text = "" };
    bool is_kept = embedded_close(server, &error) == TENURE_OK;
    relay_close(server);
    turn_destroy(server);
    embedded_free(server);
    relay_free(server);
    return is_kept ? EX_OK : refuse(EX_IOERR, error.text);
}

static int
serve(struct server *server, struct journal *journal, const struct journal_report *report)
{
    int code = open_backend(server, journal, report);
    if (code != EX_OK) return code;
    server->events = events_create(server);
    server->channels = channels_create();
    if (server->events == NULL || server->channels == NULL) {
        return refuse(EX_OSERR, "not enough memory");
    }
    server->started_at = server->now;
    if (server->engine != NULL) {
        embedded_ready(server);
    } else {
        relay_ready(server);
    }
    server->is_ready = true;
    for (uint32_t index = 0; index < server->listener_count; index++) {
        listener_start(&server->listeners[index], on_accept, server);
    }
    tell_ready(server, report);
    code = turn_run(server);
    bool is_engine = server->engine != NULL;
    events_destroy(&server->events);
    channels_destroy(&server->channels);
    if (close_backend(server) != EX_OK) return EX_IOERR;
    log_write(LOG_INFO, is_engine ? "stopped; everything is on the disk" : "stopped");
    return code;
}

int server_run(const struct config *config)
{
    log_init(config->log_level);
    (void)signal(SIGPIPE, SIG_IGN);
    (void)signal(SIGHUP, SIG_IGN); /* there is nothing to read again */
    int code = check_addresses(config);
    if (code == EX_OK) code = is_relay(config) ? check_store(config) : prepare_directory(config);
    if (code != EX_OK) return code;
    /* A store may need a connection for each request that waits. */
    raise_descriptor_limit(config->connection_count_max, is_relay(config) ? 2 : 1);

    uv_loop_t loop;
    struct server server;
    struct journal *journal = NULL;
    struct journal_report report = { 0 };
    if (uv_loop_init(&loop) != 0) return refuse(EX_OSERR, "the system has no event loop to give");
    if (!init_server(&server, &loop, config)) return refuse(EX_OSERR, "not enough memory");
    if (!is_relay(config)) code = open_journal(&server, &journal, &report);
    if (code == EX_OK) code = open_listeners(&server);
    if (code == EX_OK) code = serve(&server, journal, &report);
    close_server(&server, &journal);
    deinit_server(&server);
    (void)uv_loop_close(&loop);
    return code;
}
