/* bench-handoff - how long after a release the next waiter has the lock, and how many others woke.
 *
 * N waiters queue for one lock, each on a connection of its own.  The holder keeps it for a random
 * while, releases it, and the clock runs from the sending of the release until a waiter has read
 * its grant.  The old holder queues again, so that the crowd stays the same size.  Whatever else
 * arrives on a waiter's connection is a wake-up that nobody needed, and is counted.
 *
 * Prints one line of JSON.  Exits 0 only when every answer was the right one. */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sysexits.h>
#include <unistd.h>

#include "handoff_peer.h"
#include "histogram.h"
#include "process.h"

#define READ_SIZE        16384u
#define EVENT_COUNT_MAX  256
#define ROUND_TIMEOUT_NS (30 * NS_PER_S)
#define QUEUE_PAUSE_US   200

struct options {
    const struct handoff_peer *peer;
    struct link_address address;
    uint32_t waiter_count;
    uint32_t round_count;
    uint32_t hold_ms_min;
    uint32_t hold_ms_max;
};

struct crowd {
    struct options options;
    struct caller *callers; /* waiter_count + 1 */
    int epoll;
    struct caller *holder;
    bool is_release_answered;
    uint64_t places;     /* given out so far */
    uint64_t place_next; /* that should be served next */
    uint64_t grant_count;
    uint64_t stray_count;
    uint64_t out_of_order_count;
    int64_t granted_ns;
    struct histogram latency;
    double *samples_us; /* one for each round */
};

static struct crowd crowd;

__attribute__((noreturn)) static void fail(const char *what, struct bytes detail)
{
    int size = detail.size < 200 ? (int)detail.size : 200;
    (void)fprintf(stderr, "bench-handoff: %s %.*s\n", what, size, detail.data);
    exit(EX_SOFTWARE); // NOLINT(concurrency-mt-unsafe): one thread
}

static void send_request(
    struct caller *caller, void (*compose)(const struct caller *caller, struct buffer *out))
{
    struct buffer request;
    buffer_init(&request, &memory_heap);
    compose(caller, &request);
    ssize_t sent = send(caller->fd, request.data, request.size, MSG_NOSIGNAL);
    if (sent != (ssize_t)request.size) fail("send failed", BYTES_LITERAL(""));
    buffer_deinit(&request);
}

static void queue_up(struct caller *caller)
{
    caller->turn++;
    caller->place = crowd.places++;
    caller->state = CALLER_WAITING;
    send_request(caller, crowd.options.peer->compose_acquire);
}

static void note_grant(struct caller *caller, int64_t now_ns)
{
    if (caller->place != crowd.place_next) crowd.out_of_order_count++;
    crowd.place_next++;
    crowd.grant_count++;
    crowd.granted_ns = now_ns;
    crowd.holder = caller;
    caller->state = CALLER_HOLDING;
}

static void take_answer(struct caller *caller, const union handoff_answer *answer, int64_t now_ns)
{
    const struct handoff_peer *peer = crowd.options.peer;
    switch (caller->state) {
    case CALLER_WAITING:
        if (!peer->take_grant(caller, answer)) fail("not a grant:", buffer_bytes(&caller->in));
        /* Two holders at once would be the end of the lock, not of the measurement. */
        if (crowd.holder != NULL) fail("granted while held:", buffer_bytes(&caller->in));
        note_grant(caller, now_ns);
        break;
    case CALLER_RELEASING:
        if (!peer->is_released(answer)) fail("not released:", buffer_bytes(&caller->in));
        caller->state = CALLER_IDLE;
        crowd.is_release_answered = true;
        break;
    case CALLER_IDLE:
    case CALLER_HOLDING: crowd.stray_count++; break;
    }
}

static void read_caller(struct caller *caller)
{
    static union handoff_answer answer;
    if (!buffer_reserve(&caller->in, READ_SIZE)) fail("no memory", BYTES_LITERAL(""));
    ssize_t got = recv(caller->fd, caller->in.data + caller->in.size, READ_SIZE, MSG_DONTWAIT);
    if (got < 0 && errno == EAGAIN) return;
    if (got <= 0) fail("the server closed a connection", BYTES_LITERAL(""));
    int64_t now_ns = process_now_ns();
    caller->in.size += (size_t)got;
    bool is_http = crowd.options.peer->is_http;
    for (;;) {
        struct bytes input = buffer_bytes(&caller->in);
        enum reply_state state =
            is_http ? http_reply_read(input, &answer.http) : resp_reply_read(input, &answer.resp);
        if (input.size == 0 || state == REPLY_MORE) break;
        if (state == REPLY_BAD) fail("not an answer:", input);
        take_answer(caller, &answer, now_ns);
        buffer_consume(&caller->in, is_http ? answer.http.size : answer.resp.size);
    }
    /* Part of an answer to somebody who still waits: he was woken for nothing. */
    if (caller->state == CALLER_WAITING) crowd.stray_count++;
}

/* Read what arrives within `timeout_ms`. */
static void serve(int timeout_ms)
{
    struct epoll_event events[EVENT_COUNT_MAX];
    int count = epoll_wait(crowd.epoll, events, EVENT_COUNT_MAX, timeout_ms);
    if (count < 0 && errno != EINTR) fail("epoll_wait failed", BYTES_LITERAL(""));
    for (int i = 0; i < count; i++) {
        read_caller(events[i].data.ptr);
    }
}

static void serve_until_ns(int64_t until_ns)
{
    for (;;) {
        int64_t left_ns = until_ns - process_now_ns();
        serve(left_ns > 0 ? (int)(left_ns / NS_PER_MS) : 0);
        if (left_ns < NS_PER_MS) return;
    }
}

static void gather(void)
{
    for (uint32_t i = 0; i <= crowd.options.waiter_count; i++) {
        struct caller *caller = &crowd.callers[i];
        caller->index = i;
        buffer_init(&caller->in, &memory_heap);
        if (crowd.options.peer->prepare != NULL &&
            !crowd.options.peer->prepare(caller, &crowd.options.address))
        {
            fail("the server refused to be prepared", BYTES_LITERAL(""));
        }
        caller->fd = link_connect(&crowd.options.address, false);
        struct epoll_event event = { .events = EPOLLIN, .data.ptr = caller };
        if (caller->fd < 0 || epoll_ctl(crowd.epoll, EPOLL_CTL_ADD, caller->fd, &event) != 0) {
            fail("cannot connect", BYTES_LITERAL(""));
        }
        queue_up(caller);
        /* Let it arrive before the next one, so that the order is known. */
        (void)usleep(QUEUE_PAUSE_US);
        serve(i == 0 ? 1000 : 0);
        if (crowd.holder == NULL) fail("the first caller was not granted", BYTES_LITERAL(""));
    }
}

static int64_t hold_time_ns(void)
{
    uint32_t span_ms = crowd.options.hold_ms_max - crowd.options.hold_ms_min;
    int64_t ns = crowd.options.hold_ms_min * NS_PER_MS;
    // NOLINTNEXTLINE(concurrency-mt-unsafe,cert-msc30-c): a random pause, one thread
    return span_ms == 0 ? ns : ns + random() % (span_ms * NS_PER_MS);
}

static void hand_over(void)
{
    struct caller *from = crowd.holder;
    serve_until_ns(process_now_ns() + hold_time_ns());
    crowd.holder = NULL;
    crowd.is_release_answered = false;
    from->state = CALLER_RELEASING;
    int64_t begun_ns = process_now_ns();
    send_request(from, crowd.options.peer->compose_release);
    while (crowd.holder == NULL || !crowd.is_release_answered) {
        serve(100);
        if (process_now_ns() - begun_ns > ROUND_TIMEOUT_NS) {
            fail("nobody was granted the lock after a release", BYTES_LITERAL(""));
        }
    }
    int64_t latency_ns = crowd.granted_ns - begun_ns;
    crowd.samples_us[crowd.latency.count] = (double)latency_ns / 1e3;
    histogram_record(&crowd.latency, (uint64_t)latency_ns);
    queue_up(from);
}

static void print_result(void)
{
    const struct histogram *latency = &crowd.latency;
    uint64_t wakeups = latency->count + crowd.stray_count;
    printf(
        "{\"mode\":\"%s\",\"waiters\":%u,\"rounds\":%" PRIu64
        ",\"p50_us\":%.1f,\"p90_us\":%.1f,\"p99_us\":%.1f,\"max_us\":%.1f,"
        "\"wakeups_per_release\":%.4f,\"out_of_order\":%" PRIu64 ",\"samples_us\":[",
        crowd.options.peer->name,
        crowd.options.waiter_count,
        latency->count,
        (double)histogram_quantile_ns(latency, 0.50) / 1e3,
        (double)histogram_quantile_ns(latency, 0.90) / 1e3,
        (double)histogram_quantile_ns(latency, 0.99) / 1e3,
        (double)latency->value_max_ns / 1e3,
        (double)wakeups / (double)latency->count,
        crowd.out_of_order_count);
    for (uint64_t i = 0; i < latency->count; i++) {
        printf("%s%.1f", i == 0 ? "" : ",", crowd.samples_us[i]);
    }
    printf("]}\n");
}

__attribute__((noreturn)) static void fail_usage(void)
{
    (void)fprintf(
        stderr,
        "usage: bench-handoff --peer tenured|etcd (--tcp HOST:PORT | --unix PATH) [--waiters N]\n"
        "                     [--rounds N] [--hold-ms-min MS] [--hold-ms-max MS] [--cpu N]\n");
    exit(EX_USAGE); // NOLINT(concurrency-mt-unsafe): one thread
}

static uint32_t parse_count(const char *text, uint32_t low, uint32_t high)
{
    char *end = NULL;
    unsigned long value = strtoul(text, &end, 10);
    if (end == text || *end != '\0' || *text == '-' || value < low || value > high) fail_usage();
    return (uint32_t)value;
}

static void parse_options(int argc, char **argv, struct options *options)
{
    static const struct option known[] = {
        { "peer", required_argument, NULL, 'p' },
        { "tcp", required_argument, NULL, 't' },
        { "unix", required_argument, NULL, 'u' },
        { "waiters", required_argument, NULL, 'w' },
        { "rounds", required_argument, NULL, 'r' },
        { "hold-ms-min", required_argument, NULL, 'l' },
        { "hold-ms-max", required_argument, NULL, 'h' },
        { "cpu", required_argument, NULL, 'C' },
        { NULL, 0, NULL, 0 },
    };
    int option;
    // NOLINTNEXTLINE(concurrency-mt-unsafe): one thread
    while ((option = getopt_long(argc, argv, "", known, NULL)) != -1) {
        switch (option) {
        case 'p': options->peer = handoff_peer_find(optarg); break;
        case 't':
            if (!link_address_from_tcp(optarg, &options->address)) fail_usage();
            break;
        case 'u':
            if (!link_address_from_unix(optarg, &options->address)) fail_usage();
            break;
        case 'w': options->waiter_count = parse_count(optarg, 1, 10000); break;
        case 'r': options->round_count = parse_count(optarg, 1, 1000000); break;
        case 'l': options->hold_ms_min = parse_count(optarg, 0, 60000); break;
        case 'h': options->hold_ms_max = parse_count(optarg, 0, 60000); break;
        case 'C':
            if (!process_pin((int)parse_count(optarg, 0, 1023))) fail_usage();
            break;
        default: fail_usage();
        }
    }
    if (optind != argc || options->peer == NULL || options->address.size == 0 ||
        options->hold_ms_max < options->hold_ms_min)
    {
        fail_usage();
    }
}

int main(int argc, char **argv)
{
    crowd.options = (struct options){ .waiter_count = 1, .round_count = 200 };
    parse_options(argc, argv, &crowd.options);
    crowd.callers = calloc(crowd.options.waiter_count + 1, sizeof(struct caller));
    crowd.samples_us = calloc(crowd.options.round_count, sizeof(double));
    crowd.epoll = epoll_create1(EPOLL_CLOEXEC);
    if (crowd.callers == NULL || crowd.samples_us == NULL || crowd.epoll < 0) {
        fail("cannot start", BYTES_LITERAL(""));
    }
    gather();
    for (uint32_t round = 0; round < crowd.options.round_count; round++) {
        hand_over();
    }
    print_result();
    return EX_OK;
}
