/* bench-fanout - many watchers of one register: how many events a second reach them.
 *
 * One connection sets the register, and sets it again as soon as all watchers but those of the last
 * few changes have been told: the window bounds how far a watcher may be behind.  Every event of
 * every watcher is read, and must be the next change. */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/decimal.h"
#include "link.h"
#include "process.h"

#define EVENT_COUNT_MAX 256
#define READ_SIZE       65536u
#define WAKE_MS         100
#define PATIENCE_NS     (30 * NS_PER_S)
#define WINDOW_MAX      1024u
#define NAME            "bench/watched"

struct watcher {
    int fd;
    struct buffer in;
    uint64_t seen_count; /* events: the value of the next one is this number */
};

struct fanout {
    struct link_address address;
    unsigned long watcher_count;
    unsigned long window;
    double seconds;
    int server_pid;
    int epoll;
    struct watcher setter; /* `seen_count` counts its answers */
    struct watcher *watchers;
    uint64_t sent_count;          /* sets */
    uint64_t event_count;         /* over all watchers */
    uint64_t missing[WINDOW_MAX]; /* watchers that have not seen a change, by its number */
    uint64_t complete_count;      /* changes that everybody has seen */
};

static struct resp_reply reply;

__attribute__((noreturn)) static void fail(const char *what, struct bytes got)
{
    (void)fprintf(stderr, "bench-fanout: %s %.*s\n", what, (int)got.size, got.data);
    exit(EX_SOFTWARE); // NOLINT(concurrency-mt-unsafe): one thread
}

static void fail_plain(const char *what)
{
    fail(what, BYTES_LITERAL(""));
}

static void open_link(struct fanout *fanout, struct watcher *watcher, struct bytes request)
{
    watcher->fd = link_connect(&fanout->address, true);
    if (watcher->fd < 0) fail_plain("cannot connect");
    buffer_init(&watcher->in, &memory_heap);
    struct epoll_event event = { .events = EPOLLIN, .data.ptr = watcher };
    if (epoll_ctl(fanout->epoll, EPOLL_CTL_ADD, watcher->fd, &event) != 0) {
        fail_plain("epoll_ctl failed");
    }
    if (request.size == 0) return;
    if (send(watcher->fd, request.data, request.size, MSG_NOSIGNAL) != (ssize_t)request.size) {
        fail_plain("cannot send");
    }
    char text[256];
    ssize_t got = recv(watcher->fd, text, sizeof(text), 0);
    struct bytes answer = { text, got > 0 ? (size_t)got : 0 };
    if (resp_reply_read(answer, &reply) != REPLY_DONE || reply.size != answer.size ||
        !bytes_equal(reply.tokens[1].text, BYTES_LITERAL("follow")))
    {
        fail("a watcher was refused:", answer);
    }
}

static void close_link(struct watcher *watcher)
{
    (void)close(watcher->fd);
    buffer_deinit(&watcher->in);
}

static void send_set(struct fanout *fanout)
{
    char text[128];
    char digits[DECIMAL_SIZE_MAX];
    uint64_t number = fanout->sent_count++;
    int digit_count = (int)decimal_format(number, digits);
    int size = snprintf(
        text,
        sizeof(text),
        "*3\r\n$9\r\nSTATE.SET\r\n$%zu\r\n" NAME "\r\n$%d\r\n%.*s\r\n",
        sizeof(NAME) - 1,
        digit_count,
        digit_count,
        digits);
    fanout->missing[number % fanout->window] = fanout->watcher_count;
    if (send(fanout->setter.fd, text, (size_t)size, MSG_NOSIGNAL) != size) {
        fail_plain("cannot send");
    }
}

/* The value of the register in an event of it, or the end of the program. */
static uint64_t changed_to(struct bytes raw)
{
    uint64_t number = 0;
    bool is_set = false;
    for (uint32_t i = 0; i + 1 < reply.token_count; i++) {
        struct bytes key = reply.tokens[i].text;
        struct bytes value = reply.tokens[i + 1].text;
        if (bytes_equal(key, BYTES_LITERAL("kind"))) {
            is_set = bytes_equal(value, BYTES_LITERAL("set"));
        } else if (bytes_equal(key, BYTES_LITERAL("value"))) {
            if (is_set && decimal_parse(value, &number)) return number;
        }
    }
    fail("not an event of the register:", raw);
}

static void take_reply(struct fanout *fanout, struct watcher *watcher, struct bytes raw)
{
    if (watcher == &fanout->setter) {
        if (reply.tokens[0].type != ':' || reply.tokens[0].number <= 0) fail("not set:", raw);
        watcher->seen_count++;
        return;
    }
    if (changed_to(raw) != watcher->seen_count) fail("not the next change:", raw);
    fanout->missing[watcher->seen_count % fanout->window]--;
    watcher->seen_count++;
    fanout->event_count++;
}

static void serve(struct fanout *fanout, struct watcher *watcher)
{
    if (!buffer_reserve(&watcher->in, READ_SIZE)) fail_plain("no memory");
    ssize_t got = recv(watcher->fd, watcher->in.data + watcher->in.size, READ_SIZE, MSG_DONTWAIT);
    if (got == 0 || (got < 0 && errno != EAGAIN)) fail_plain("a watcher was dropped");
    if (got > 0) watcher->in.size += (size_t)got;
    struct bytes rest = buffer_bytes(&watcher->in);
    while (rest.size > 0) {
        enum reply_state state = resp_reply_read(rest, &reply);
        if (state == REPLY_MORE) break;
        if (state == REPLY_BAD) fail("not an answer:", rest);
        take_reply(fanout, watcher, (struct bytes){ rest.data, reply.size });
        rest = (struct bytes){ rest.data + reply.size, rest.size - reply.size };
    }
    buffer_consume(&watcher->in, watcher->in.size - rest.size);
}

/* Serve who has something until nothing is to be told any more and, unless `is_last`, sets go on.
 */
static void go_on(struct fanout *fanout, bool is_last)
{
    while (fanout->complete_count < fanout->sent_count &&
           fanout->missing[fanout->complete_count % fanout->window] == 0)
    {
        fanout->complete_count++;
    }
    while (!is_last && fanout->sent_count - fanout->complete_count < fanout->window) {
        send_set(fanout);
    }
}

static bool is_over(const struct fanout *fanout)
{
    return fanout->complete_count == fanout->sent_count &&
           fanout->setter.seen_count == fanout->sent_count;
}

static void run(struct fanout *fanout, int64_t begun_ns)
{
    struct epoll_event events[EVENT_COUNT_MAX];
    int64_t end_ns = begun_ns + (int64_t)(fanout->seconds * 1e9);
    int64_t now_ns = begun_ns;
    go_on(fanout, false);
    while (now_ns < end_ns || !is_over(fanout)) {
        int count = epoll_wait(fanout->epoll, events, EVENT_COUNT_MAX, WAKE_MS);
        if (count < 0 && errno != EINTR) fail_plain("epoll_wait failed");
        for (int i = 0; i < count; i++) {
            serve(fanout, events[i].data.ptr);
        }
        now_ns = process_now_ns();
        if (now_ns - end_ns > PATIENCE_NS) fail_plain("some events never came");
        go_on(fanout, now_ns >= end_ns);
    }
}

static void print_result(const struct fanout *fanout, int64_t elapsed_ns, int64_t server_ns)
{
    double events = (double)fanout->event_count;
    printf(
        "{\"watchers\":%lu,\"window\":%lu,\"changes\":%llu,\"events\":%llu,"
        "\"events_per_s\":%.1f,\"changes_per_s\":%.1f,\"server_cpu_us\":%.4f,"
        "\"client_cpu_us\":%.4f}\n",
        fanout->watcher_count,
        fanout->window,
        (unsigned long long)fanout->sent_count,
        (unsigned long long)fanout->event_count,
        events * 1e9 / (double)elapsed_ns,
        (double)fanout->sent_count * 1e9 / (double)elapsed_ns,
        server_ns >= 0 ? (double)server_ns / 1e3 / events : -1,
        (double)process_cpu_ns(0) / 1e3 / events);
}

static bool parse_options(int argc, char **argv, struct fanout *fanout)
{
    static const struct option known[] = {
        { "tcp", required_argument, NULL, 't' },
        { "watchers", required_argument, NULL, 'n' },
        { "window", required_argument, NULL, 'w' },
        { "seconds", required_argument, NULL, 's' },
        { "server-pid", required_argument, NULL, 'P' },
        { "cpu", required_argument, NULL, 'C' },
        { NULL, 0, NULL, 0 },
    };
    bool is_right = true;
    int option;
    // NOLINTNEXTLINE(concurrency-mt-unsafe): one thread
    while ((option = getopt_long(argc, argv, "", known, NULL)) != -1) {
        switch (option) {
        case 't': is_right = is_right && link_address_from_tcp(optarg, &fanout->address); break;
        case 'n': fanout->watcher_count = strtoul(optarg, NULL, 10); break;
        case 'w': fanout->window = strtoul(optarg, NULL, 10); break;
        case 's': fanout->seconds = strtod(optarg, NULL); break;
        case 'P': fanout->server_pid = (int)strtoul(optarg, NULL, 10); break;
        case 'C': is_right = is_right && process_pin((int)strtoul(optarg, NULL, 10)); break;
        default: is_right = false;
        }
    }
    return is_right && fanout->address.size > 0 && fanout->watcher_count > 0 &&
           fanout->watcher_count <= 50000 && fanout->window > 0 && fanout->window <= WINDOW_MAX &&
           fanout->seconds > 0;
}

int main(int argc, char **argv)
{
    static struct fanout fanout = { .watcher_count = 1, .window = 16, .seconds = 3 };
    if (!parse_options(argc, argv, &fanout)) {
        (void)fprintf(
            stderr,
            "usage: bench-fanout --tcp HOST:PORT [--watchers N] [--window N] [--seconds S]\n"
            "                    [--server-pid PID] [--cpu N]\n");
        return EX_USAGE;
    }
    fanout.epoll = epoll_create1(EPOLL_CLOEXEC);
    fanout.watchers = calloc(fanout.watcher_count, sizeof(struct watcher));
    ASSERT(fanout.epoll >= 0 && fanout.watchers != NULL);
    open_link(&fanout, &fanout.setter, BYTES_LITERAL(""));
    for (unsigned long i = 0; i < fanout.watcher_count; i++) {
        open_link(&fanout, &fanout.watchers[i], BYTES_LITERAL("EVENTS.FOLLOW NAME " NAME "\r\n"));
    }
    int64_t server_ns = fanout.server_pid > 0 ? process_cpu_ns(fanout.server_pid) : -1;
    int64_t begun_ns = process_now_ns();
    run(&fanout, begun_ns);
    int64_t elapsed_ns = process_now_ns() - begun_ns;
    if (server_ns >= 0) server_ns = process_cpu_ns(fanout.server_pid) - server_ns;
    print_result(&fanout, elapsed_ns, server_ns);
    for (unsigned long i = 0; i < fanout.watcher_count; i++)
        close_link(&fanout.watchers[i]);
    close_link(&fanout.setter);
    free(fanout.watchers);
    return EX_OK;
}
