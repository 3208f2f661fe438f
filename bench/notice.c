/* bench-notice - how long until somebody else notices.
 *
 * In each round one connection sends a request, and another is told what it is waiting for: a
 * worker that waits in a take gets the item that is put; a watcher gets the change of a register.
 * Time runs from the sending of the request.  What is compared with: plays of one connection, where
 * it runs until the answer.  Every round begins after a pause, when everybody is at rest. */
#include <errno.h>
#include <getopt.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#include "base/decimal.h"
#include "link.h"
#include "process.h"

#define PATIENCE_MS 10000
#define READ_SIZE   65536u
#define TEXT_SIZE   48u
#define RECORD      "bench/watched"

enum play { PLAY_PING, PLAY_PUT, PLAY_WAKE, PLAY_SET, PLAY_WATCH };

static const char *const plays[] = { "ping", "put", "wake", "set", "watch" };

struct peer {
    int fd;
    struct buffer in;
    struct resp_reply reply;
    int64_t answered_ns;
};

struct notice {
    enum play play;
    struct link_address address;
    unsigned long round_count;
    unsigned long pause_ms_min;
    unsigned long pause_ms_max;
    struct peer actor;
    struct peer other; /* the worker or the watcher */
    bool has_other;
};

__attribute__((noreturn)) static void fail(const char *what, const struct peer *peer)
{
    struct bytes got = peer != NULL ? buffer_bytes(&peer->in) : (struct bytes){ "", 0 };
    (void)fprintf(stderr, "bench-notice: %s %.*s\n", what, (int)got.size, got.data);
    exit(EX_SOFTWARE); // NOLINT(concurrency-mt-unsafe): one thread
}

static void connect_peer(struct peer *peer, const struct link_address *address)
{
    peer->fd = link_connect(address, true);
    if (peer->fd < 0) fail("cannot connect", NULL);
    buffer_init(&peer->in, &memory_heap);
}

static void put_words(struct buffer *out, const struct bytes *words, size_t count)
{
    char digits[DECIMAL_SIZE_MAX];
    buffer_append_byte(out, '*');
    buffer_append(out, digits, decimal_format(count, digits));
    buffer_append(out, "\r\n", 2);
    for (size_t i = 0; i < count; i++) {
        buffer_append_byte(out, '$');
        buffer_append(out, digits, decimal_format(words[i].size, digits));
        buffer_append(out, "\r\n", 2);
        buffer_append_bytes(out, words[i]);
        buffer_append(out, "\r\n", 2);
    }
}

/* Send a command; what was answered before is forgotten.  Returns when it was sent. */
static int64_t say(struct peer *peer, const struct bytes *words, size_t count)
{
    static struct buffer out;
    if (out.memory == NULL) buffer_init(&out, &memory_heap);
    buffer_reset(&out);
    put_words(&out, words, count);
    int64_t now_ns = process_now_ns();
    if (send(peer->fd, out.data, out.size, MSG_NOSIGNAL) != (ssize_t)out.size) {
        fail("cannot send", NULL);
    }
    return now_ns;
}

#define SAY(peer, ...)                                                                             \
    say((peer),                                                                                    \
        (const struct bytes[]){ __VA_ARGS__ },                                                     \
        sizeof((const struct bytes[]){ __VA_ARGS__ }) / sizeof(struct bytes))

/* Read what is there; true when a whole reply is. */
static bool read_reply(struct peer *peer)
{
    if (!buffer_reserve(&peer->in, READ_SIZE)) fail("no memory", NULL);
    ssize_t got = recv(peer->fd, peer->in.data + peer->in.size, READ_SIZE, MSG_DONTWAIT);
    int64_t now_ns = process_now_ns();
    if (got < 0 && errno == EAGAIN) return false;
    if (got <= 0) fail("the server closed the connection", NULL);
    peer->in.size += (size_t)got;
    enum reply_state state = resp_reply_read(buffer_bytes(&peer->in), &peer->reply);
    if (state == REPLY_BAD) fail("not an answer:", peer);
    if (state == REPLY_MORE) return false;
    if (peer->reply.size != peer->in.size) fail("more than one answer:", peer);
    peer->answered_ns = now_ns;
    return true;
}

/* Wait until every one of them has its reply. */
static void await(struct peer *const *peers, nfds_t count)
{
    struct pollfd polls[2];
    nfds_t left = count;
    for (nfds_t i = 0; i < count; i++) {
        buffer_reset(&peers[i]->in);
        polls[i] = (struct pollfd){ .fd = peers[i]->fd, .events = POLLIN };
    }
    while (left > 0) {
        if (poll(polls, count, PATIENCE_MS) <= 0) fail("nothing came", NULL);
        for (nfds_t i = 0; i < count; i++) {
            if (polls[i].revents == 0 || !read_reply(peers[i])) continue;
            polls[i].fd = -1;
            left--;
        }
    }
}

static void await_one(struct peer *peer)
{
    await((struct peer *const[]){ peer }, 1);
}

static bool has_text(const struct peer *peer, struct bytes text)
{
    for (uint32_t i = 0; i < peer->reply.token_count; i++) {
        if (bytes_equal(peer->reply.tokens[i].text, text)) return true;
    }
    return false;
}

static struct bytes text_behind(const struct peer *peer, struct bytes key)
{
    for (uint32_t i = 0; i + 1 < peer->reply.token_count; i++) {
        if (bytes_equal(peer->reply.tokens[i].text, key)) return peer->reply.tokens[i + 1].text;
    }
    fail("a part is missing:", peer);
}

/* ---- the plays: what is sent, and whether the answer and the notice are right ---- */

static int64_t act(struct notice *notice, struct bytes text)
{
    struct peer *actor = &notice->actor;
    switch (notice->play) {
    case PLAY_PING: return SAY(actor, BYTES_LITERAL("PING"), text);
    case PLAY_PUT:
    case PLAY_WAKE: return SAY(actor, BYTES_LITERAL("QUEUE.PUT"), BYTES_LITERAL("bench"), text);
    case PLAY_SET:
    case PLAY_WATCH: return SAY(actor, BYTES_LITERAL("STATE.SET"), BYTES_LITERAL(RECORD), text);
    }
    fail("no such play", NULL);
}

static void check(const struct notice *notice, struct bytes text)
{
    const struct peer *actor = &notice->actor;
    char type = actor->reply.tokens[0].type;
    bool is_right = false;
    switch (notice->play) {
    case PLAY_PING: is_right = has_text(actor, text); break;
    case PLAY_PUT:
    case PLAY_WAKE: is_right = type == '*' && has_text(actor, BYTES_LITERAL("ready")); break;
    case PLAY_SET:
    case PLAY_WATCH: is_right = type == ':' && actor->reply.tokens[0].number > 0; break;
    }
    if (!is_right) fail("not the answer:", actor);
    if (notice->has_other && !has_text(&notice->other, text)) {
        fail("not what was sent:", &notice->other);
    }
}

/* The other begins to wait; of a watcher, once for all. */
static void begin_waiting(struct notice *notice)
{
    if (notice->play != PLAY_WAKE) return;
    (void)SAY(
        &notice->other,
        BYTES_LITERAL("QUEUE.TAKE"),
        BYTES_LITERAL("bench"),
        BYTES_LITERAL("worker"),
        BYTES_LITERAL("WAIT"),
        BYTES_LITERAL("60000"));
}

static void end_item(struct notice *notice)
{
    if (notice->play != PLAY_WAKE) return;
    struct peer *worker = &notice->other;
    char digits[DECIMAL_SIZE_MAX];
    int64_t token = resp_reply_number(&worker->reply, BYTES_LITERAL("token"));
    if (token <= 0) fail("a take without a token:", worker);
    (void)SAY(
        worker,
        BYTES_LITERAL("QUEUE.DONE"),
        BYTES_LITERAL("bench"),
        text_behind(worker, BYTES_LITERAL("id")),
        ((struct bytes){ digits, decimal_format((uint64_t)token, digits) }));
    await_one(worker);
    if (!has_text(worker, BYTES_LITERAL("done"))) fail("not done:", worker);
}

static void prepare(struct notice *notice)
{
    connect_peer(&notice->actor, &notice->address);
    notice->has_other = notice->play == PLAY_WAKE || notice->play == PLAY_WATCH;
    if (notice->has_other) connect_peer(&notice->other, &notice->address);
    if (notice->play != PLAY_WATCH) return;
    (void)SAY(
        &notice->other,
        BYTES_LITERAL("EVENTS.FOLLOW"),
        BYTES_LITERAL("PREFIX"),
        BYTES_LITERAL(RECORD));
    await_one(&notice->other);
    if (!has_text(&notice->other, BYTES_LITERAL("follow"))) fail("not followed:", &notice->other);
}

static void rest(const struct notice *notice)
{
    unsigned long span = notice->pause_ms_max - notice->pause_ms_min + 1;
    // NOLINTNEXTLINE(concurrency-mt-unsafe,cert-msc30-c,cert-msc50-cpp): one thread, any numbers
    long pause_us = (long)notice->pause_ms_min * 1000 + (long)rand() % ((long)span * 1000);
    struct timespec pause = { .tv_sec = pause_us / 1000000, .tv_nsec = pause_us % 1000000 * 1000 };
    while (nanosleep(&pause, &pause) != 0) {
    }
}

static void play_round(
    struct notice *notice, unsigned long number, double *out_noticed_us, double *out_answered_us)
{
    char text[TEXT_SIZE];
    int size = snprintf(text, sizeof(text), "bench-%d-%lu", (int)getpid(), number);
    struct bytes sent = { text, (size_t)size };
    begin_waiting(notice);
    rest(notice);
    int64_t begun_ns = act(notice, sent);
    await((struct peer *const[]){ &notice->actor, &notice->other }, notice->has_other ? 2 : 1);
    check(notice, sent);
    *out_answered_us = (double)(notice->actor.answered_ns - begun_ns) / 1e3;
    *out_noticed_us =
        notice->has_other ? (double)(notice->other.answered_ns - begun_ns) / 1e3 : *out_answered_us;
    end_item(notice);
}

static void print_list(const char *name, const double *values, unsigned long count)
{
    printf("\"%s\":[", name);
    for (unsigned long i = 0; i < count; i++) {
        printf("%s%.1f", i > 0 ? "," : "", values[i]);
    }
    (void)putchar(']');
}

static bool find_play(const char *name, enum play *out_play)
{
    for (size_t i = 0; i < sizeof(plays) / sizeof(plays[0]); i++) {
        if (strcmp(plays[i], name) != 0) continue;
        *out_play = (enum play)i;
        return true;
    }
    return false;
}

static bool parse_options(int argc, char **argv, struct notice *notice)
{
    static const struct option known[] = {
        { "play", required_argument, NULL, 'p' },
        { "tcp", required_argument, NULL, 't' },
        { "rounds", required_argument, NULL, 'r' },
        { "pause-ms-min", required_argument, NULL, 'm' },
        { "pause-ms-max", required_argument, NULL, 'M' },
        { "cpu", required_argument, NULL, 'C' },
        { NULL, 0, NULL, 0 },
    };
    bool is_right = true;
    bool has_play = false;
    int option;
    // NOLINTNEXTLINE(concurrency-mt-unsafe): one thread
    while ((option = getopt_long(argc, argv, "", known, NULL)) != -1) {
        switch (option) {
        case 'p': has_play = find_play(optarg, &notice->play); break;
        case 't': is_right = is_right && link_address_from_tcp(optarg, &notice->address); break;
        case 'r': notice->round_count = strtoul(optarg, NULL, 10); break;
        case 'm': notice->pause_ms_min = strtoul(optarg, NULL, 10); break;
        case 'M': notice->pause_ms_max = strtoul(optarg, NULL, 10); break;
        case 'C': is_right = is_right && process_pin((int)strtoul(optarg, NULL, 10)); break;
        default: is_right = false;
        }
    }
    return is_right && has_play && notice->address.size > 0 && notice->round_count > 0 &&
           notice->pause_ms_max >= notice->pause_ms_min && notice->pause_ms_max <= 60000;
}

int main(int argc, char **argv)
{
    static struct notice notice = { .round_count = 100, .pause_ms_min = 1, .pause_ms_max = 5 };
    if (!parse_options(argc, argv, &notice)) {
        (void)fprintf(
            stderr,
            "usage: bench-notice --play ping|put|wake|set|watch --tcp HOST:PORT [--rounds N]\n"
            "                    [--pause-ms-min MS] [--pause-ms-max MS] [--cpu N]\n");
        return EX_USAGE;
    }
    double *noticed_us = calloc(notice.round_count, sizeof(double));
    double *answered_us = calloc(notice.round_count, sizeof(double));
    ASSERT(noticed_us != NULL && answered_us != NULL);
    prepare(&notice);
    for (unsigned long i = 0; i < notice.round_count; i++) {
        play_round(&notice, i, &noticed_us[i], &answered_us[i]);
    }
    (void)putchar('{');
    print_list("samples_us", noticed_us, notice.round_count);
    (void)putchar(',');
    print_list("answers_us", answered_us, notice.round_count);
    printf("}\n");
    free(noticed_us);
    free(answered_us);
    return EX_OK;
}
