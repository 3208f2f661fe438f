#include "lib/fault_proxy.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define PIPE_COUNT_MAX 256u
#define CHUNK_SIZE     16384u
#define QUEUE_SIZE     ((size_t)1 << 20)
#define TICK_MS        1

/* One direction of one connection. */
struct lane {
    char *data;
    size_t size;
    int64_t since_ns; /* when the oldest byte came; enough for a delay of whole chunks */
    uint64_t passed;
    bool is_ended; /* nothing more comes in */
};

struct pipe_pair {
    int sockets[2]; /* the client's, the server's; -1: free */
    struct lane lanes[2];
};

struct fault_proxy {
    pthread_t thread;
    pthread_mutex_t mutex;
    int listener;
    uint16_t port;
    uint16_t server_port;
    bool is_stopping;
    bool is_refusing;
    bool is_cutting;
    enum fault_proxy_mode modes[2];
    uint32_t delay_ms[2];
    uint64_t cut_after[2];
    uint64_t connection_count;
    struct pipe_pair pairs[PIPE_COUNT_MAX];
};

static void die(const char *what)
{
    perror(what);
    exit(70);
}

static int64_t now_ns(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static void close_pair(struct pipe_pair *pair)
{
    /* A reset, not an orderly end. */
    struct linger linger = { 1, 0 };
    for (unsigned side = 0; side < 2; side++) {
        (void)setsockopt(pair->sockets[side], SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
        (void)close(pair->sockets[side]);
        pair->sockets[side] = -1;
        free(pair->lanes[side].data);
        pair->lanes[side] = (struct lane){ 0 };
    }
}

static int connect_to(uint16_t port)
{
    int one = 1;
    struct sockaddr_in address = { .sin_family = AF_INET,
                                   .sin_port = htons(port),
                                   .sin_addr = { htonl(INADDR_LOOPBACK) } };
    int server = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (server < 0) return -1;
    if (connect(server, (const struct sockaddr *)&address, sizeof(address)) != 0) {
        (void)close(server);
        return -1;
    }
    (void)setsockopt(server, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    (void)fcntl(server, F_SETFL, O_NONBLOCK);
    return server;
}

static void accept_one(struct fault_proxy *proxy)
{
    int one = 1;
    struct pipe_pair fresh = { .sockets = { -1, -1 } };
    fresh.sockets[0] = accept4(proxy->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fresh.sockets[0] < 0) return;
    (void)setsockopt(fresh.sockets[0], IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    proxy->connection_count++;
    struct pipe_pair *pair = NULL;
    for (unsigned index = 0; index < PIPE_COUNT_MAX; index++) {
        if (proxy->pairs[index].sockets[0] < 0) pair = &proxy->pairs[index];
    }
    if (pair != NULL && !proxy->is_refusing) fresh.sockets[1] = connect_to(proxy->server_port);
    if (fresh.sockets[1] < 0) {
        close_pair(&fresh);
        return;
    }
    for (unsigned side = 0; side < 2; side++) {
        fresh.lanes[side].data = malloc(QUEUE_SIZE);
        if (fresh.lanes[side].data == NULL) die("malloc");
    }
    *pair = fresh;
}

/* False: the connection is over. */
static bool take_in(struct fault_proxy *proxy, struct pipe_pair *pair, unsigned direction)
{
    struct lane *lane = &pair->lanes[direction];
    if (lane->size + CHUNK_SIZE > QUEUE_SIZE || lane->is_ended) return true;
    ssize_t size =
        recv(pair->sockets[direction], lane->data + lane->size, CHUNK_SIZE, MSG_DONTWAIT);
    if (size > 0) {
        if (lane->size == 0) lane->since_ns = now_ns();
        if (proxy->modes[direction] != FAULT_PROXY_DROP) lane->size += (size_t)size;
    } else if (size == 0) {
        lane->is_ended = true;
    } else {
        return false;
    }
    return true;
}

static bool give_out(struct fault_proxy *proxy, struct pipe_pair *pair, unsigned direction)
{
    struct lane *lane = &pair->lanes[direction];
    enum fault_proxy_mode mode = proxy->modes[direction];
    if (mode == FAULT_PROXY_STALL) return true;
    int64_t delay_ns = (int64_t)proxy->delay_ms[direction] * 1000000;
    if (lane->size > 0 && now_ns() - lane->since_ns < delay_ns) return true;
    size_t size = mode == FAULT_PROXY_DRIBBLE && lane->size > 1 ? 1 : lane->size;
    uint64_t limit = proxy->cut_after[direction];
    if (limit > 0 && lane->passed >= limit) return false;
    if (limit > 0 && lane->passed + size > limit) size = (size_t)(limit - lane->passed);
    if (size > 0) {
        ssize_t sent =
            send(pair->sockets[1 - direction], lane->data, size, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (sent > 0) {
            lane->size -= (size_t)sent;
            lane->passed += (uint64_t)sent;
            memmove(lane->data, lane->data + sent, lane->size);
        }
    }
    if (limit > 0 && lane->passed >= limit) return false;
    if (lane->is_ended && lane->size == 0) return false;
    return true;
}

static void serve_pairs(struct fault_proxy *proxy, const struct pollfd *polls, const int *pair_of)
{
    for (unsigned index = 0; index < 2 * PIPE_COUNT_MAX; index++) {
        if (pair_of[index] < 0) break;
        struct pipe_pair *pair = &proxy->pairs[pair_of[index]];
        unsigned direction = index % 2;
        if (pair->sockets[0] < 0) continue;
        bool is_ready = (polls[index + 1].revents & (POLLIN | POLLHUP | POLLERR)) != 0;
        bool is_fine = !is_ready || take_in(proxy, pair, direction);
        if (is_fine) is_fine = give_out(proxy, pair, direction);
        if (!is_fine) close_pair(pair);
    }
}

static void *run(void *argument)
{
    struct fault_proxy *proxy = argument;
    static const struct timespec tick = { 0, TICK_MS * 1000000 };
    for (;;) {
        struct pollfd polls[2 * PIPE_COUNT_MAX + 1];
        int pair_of[2 * PIPE_COUNT_MAX + 1];
        nfds_t count = 1;
        bool is_busy = false;
        (void)pthread_mutex_lock(&proxy->mutex);
        bool is_stopping = proxy->is_stopping;
        for (unsigned index = 0; index < PIPE_COUNT_MAX; index++) {
            struct pipe_pair *pair = &proxy->pairs[index];
            if (pair->sockets[0] >= 0 && (proxy->is_cutting || is_stopping)) close_pair(pair);
            for (unsigned side = 0; side < 2 && pair->sockets[0] >= 0; side++) {
                short events = pair->lanes[side].is_ended ? 0 : POLLIN;
                polls[count] = (struct pollfd){ pair->sockets[side], events, 0 };
                pair_of[count - 1] = (int)index;
                count++;
                if (pair->lanes[side].size > 0 || pair->lanes[side].is_ended) is_busy = true;
            }
        }
        proxy->is_cutting = false;
        (void)pthread_mutex_unlock(&proxy->mutex);
        if (is_stopping) return NULL;
        pair_of[count - 1] = -1;
        polls[0] = (struct pollfd){ proxy->listener, POLLIN, 0 };
        int ready = poll(polls, count, is_busy ? TICK_MS : 5);
        (void)pthread_mutex_lock(&proxy->mutex);
        if (ready > 0 && polls[0].revents != 0) accept_one(proxy);
        serve_pairs(proxy, polls, pair_of);
        (void)pthread_mutex_unlock(&proxy->mutex);
        if (is_busy) (void)nanosleep(&tick, NULL);
    }
}

struct fault_proxy *fault_proxy_start(uint16_t port, uint16_t server_port)
{
    int one = 1;
    struct fault_proxy *proxy = calloc(1, sizeof(*proxy));
    if (proxy == NULL) die("calloc");
    struct sockaddr_in address = { .sin_family = AF_INET,
                                   .sin_port = htons(port),
                                   .sin_addr = { htonl(INADDR_LOOPBACK) } };
    socklen_t size = sizeof(address);
    proxy->server_port = server_port;
    for (unsigned index = 0; index < PIPE_COUNT_MAX; index++) {
        proxy->pairs[index].sockets[0] = -1;
        proxy->pairs[index].sockets[1] = -1;
    }
    proxy->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (proxy->listener < 0) die("socket");
    (void)setsockopt(proxy->listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    if (bind(proxy->listener, (const struct sockaddr *)&address, size) != 0) die("bind");
    if (listen(proxy->listener, 64) != 0) die("listen");
    if (getsockname(proxy->listener, (struct sockaddr *)&address, &size) != 0) die("getsockname");
    proxy->port = ntohs(address.sin_port);
    (void)pthread_mutex_init(&proxy->mutex, NULL);
    if (pthread_create(&proxy->thread, NULL, run, proxy) != 0) die("pthread_create");
    return proxy;
}

void fault_proxy_stop(struct fault_proxy **proxy)
{
    (void)pthread_mutex_lock(&(*proxy)->mutex);
    (*proxy)->is_stopping = true;
    (void)pthread_mutex_unlock(&(*proxy)->mutex);
    (void)pthread_join((*proxy)->thread, NULL);
    (void)close((*proxy)->listener);
    (void)pthread_mutex_destroy(&(*proxy)->mutex);
    free(*proxy);
    *proxy = NULL;
}

uint16_t fault_proxy_port(const struct fault_proxy *proxy)
{
    return proxy->port;
}

void fault_proxy_set(
    struct fault_proxy *proxy, enum fault_proxy_direction direction, enum fault_proxy_mode mode)
{
    (void)pthread_mutex_lock(&proxy->mutex);
    proxy->modes[direction] = mode;
    (void)pthread_mutex_unlock(&proxy->mutex);
}

void fault_proxy_delay(
    struct fault_proxy *proxy, enum fault_proxy_direction direction, uint32_t delay_ms)
{
    (void)pthread_mutex_lock(&proxy->mutex);
    proxy->delay_ms[direction] = delay_ms;
    (void)pthread_mutex_unlock(&proxy->mutex);
}

void fault_proxy_cut(struct fault_proxy *proxy)
{
    (void)pthread_mutex_lock(&proxy->mutex);
    proxy->is_cutting = true;
    (void)pthread_mutex_unlock(&proxy->mutex);
}

void fault_proxy_cut_after(
    struct fault_proxy *proxy, enum fault_proxy_direction direction, uint64_t byte_count)
{
    (void)pthread_mutex_lock(&proxy->mutex);
    proxy->cut_after[direction] = byte_count;
    (void)pthread_mutex_unlock(&proxy->mutex);
}

void fault_proxy_refuse(struct fault_proxy *proxy, bool is_refusing)
{
    (void)pthread_mutex_lock(&proxy->mutex);
    proxy->is_refusing = is_refusing;
    (void)pthread_mutex_unlock(&proxy->mutex);
}

uint64_t fault_proxy_connection_count(struct fault_proxy *proxy)
{
    (void)pthread_mutex_lock(&proxy->mutex);
    uint64_t count = proxy->connection_count;
    (void)pthread_mutex_unlock(&proxy->mutex);
    return count;
}
