/* Links to real Redis servers, plain and over TLS, and to some that behave badly. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/certificates.h"
#include "lib/fault_memory.h"
#include "lib/test.h"
#include "proto/resp_writer.h"
#include "store/link.h"

#define BIG_SIZE ((size_t)3 << 20)

/* ------------------------------------------------------------------ servers */

struct server {
    char directory[32];
    pid_t pid;
    uint16_t port;
};

static const char *path_in(const struct server *server, const char *name)
{
    static char paths[16][64];
    static unsigned next;
    char *path = paths[next++ % 16];
    (void)snprintf(path, sizeof(paths[0]), "%s/%s", server->directory, name);
    return path;
}

static int listen_somewhere(uint16_t *out_port)
{
    struct sockaddr_in address = { .sin_family = AF_INET };
    socklen_t size = sizeof(address);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK(listener >= 0);
    CHECK_EQ_INT(bind(listener, (struct sockaddr *)&address, sizeof(address)), 0);
    CHECK_EQ_INT(listen(listener, 16), 0);
    CHECK_EQ_INT(getsockname(listener, (struct sockaddr *)&address, &size), 0);
    *out_port = ntohs(address.sin_port);
    return listener;
}

static int connect_to(uint16_t port)
{
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(port) };
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int connection = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK(connection >= 0);
    if (connect(connection, (struct sockaddr *)&address, sizeof(address)) == 0) return connection;
    (void)close(connection);
    return -1;
}

static void write_certificates(const struct server *server, long begins_s, long ends_s)
{
    struct test_identity authority =
        test_identity_make(&(struct test_identity_options){ .name = "authority" });
    struct test_identity elsewhere =
        test_identity_make(&(struct test_identity_options){ .name = "elsewhere" });
    struct test_identity identity = test_identity_make(
        &(struct test_identity_options){ .authority = &authority,
                                         .name = "redis",
                                         .alternatives = "DNS:localhost,IP:127.0.0.1",
                                         .begins_s = begins_s,
                                         .ends_s = ends_s });
    struct test_identity client = test_identity_make(
        &(struct test_identity_options){ .authority = &authority, .name = "client" });
    test_identity_write_certificate(&authority, path_in(server, "ca.pem"));
    test_identity_write_certificate(&elsewhere, path_in(server, "elsewhere.pem"));
    test_identity_write_certificate(&identity, path_in(server, "redis.pem"));
    test_identity_write_key(&identity, path_in(server, "redis.key"), NULL);
    test_identity_write_certificate(&client, path_in(server, "client.pem"));
    test_identity_write_key(&client, path_in(server, "client.key"), NULL);
    test_identity_free(&authority);
    test_identity_free(&elsewhere);
    test_identity_free(&identity);
    test_identity_free(&client);
}

static void run_redis(const struct server *server, bool is_tls, const char *more)
{
    char config[2048];
    (void)snprintf(
        config,
        sizeof(config),
        "bind 127.0.0.1\nsave \"\"\ndir %s\nlogfile log\n%s %u\n%s%s\n",
        server->directory,
        is_tls ? "port 0\ntls-port" : "port",
        server->port,
        is_tls ? "tls-cert-file redis.pem\ntls-key-file redis.key\ntls-ca-cert-file ca.pem\n" : "",
        more);
    FILE *file = fopen(path_in(server, "conf"), "we");
    CHECK(file != NULL);
    CHECK(fputs(config, file) >= 0);
    CHECK_EQ_INT(fclose(file), 0);
    CHECK_EQ_INT(chdir(server->directory), 0);
    (void)execlp("redis-server", "redis-server", "conf", (char *)NULL);
    FAIL("no redis-server");
}

/* Any of its times where both are 0. */
static void
start_redis_within(struct server *server, bool is_tls, const char *more, long begins_s, long ends_s)
{
    *server = (struct server){ .directory = "/tmp/tenure-test-XXXXXX" };
    CHECK(mkdtemp(server->directory) != NULL);
    write_certificates(server, begins_s, ends_s);
    (void)close(listen_somewhere(&server->port));
    server->pid = fork();
    CHECK(server->pid >= 0);
    if (server->pid == 0) run_redis(server, is_tls, more);
    for (;;) {
        int connection = connect_to(server->port);
        if (connection >= 0) {
            (void)close(connection);
            return;
        }
        CHECK_EQ_INT(waitpid(server->pid, NULL, WNOHANG), 0);
        (void)poll(NULL, 0, 10);
    }
}

static void start_redis(struct server *server, bool is_tls, const char *more)
{
    start_redis_within(server, is_tls, more, 0, 0);
}

static void stop_redis(struct server *server)
{
    static const char *const names[] = { "ca.pem",     "elsewhere.pem", "redis.pem", "redis.key",
                                         "client.pem", "client.key",    "conf",      "log" };
    CHECK_EQ_INT(kill(server->pid, SIGKILL), 0);
    CHECK_EQ_INT(waitpid(server->pid, NULL, 0), server->pid);
    for (size_t index = 0; index < sizeof(names) / sizeof(names[0]); index++) {
        (void)unlink(path_in(server, names[index]));
    }
    CHECK_EQ_INT(rmdir(server->directory), 0);
}

/* ------------------------------------------------------------------ the talk */

enum say { SAY_PING, SAY_MANY, SAY_BIG };

struct talk {
    uv_loop_t loop;
    struct link_address address;
    struct tls *tls;
    const char *server_name;
    enum say say;
    struct link *link;
    struct server *victim; /* is killed when half of the answers are there */
    uint32_t answer_count;
    uint32_t expected_count;
    bool is_down;
    bool is_gone;
    bool was_up;
    char text[256];
};

static void write_command(struct link *link, uint32_t count, const struct bytes *words)
{
    struct resp_writer writer = { &link->output, true };
    resp_write_array(&writer, count);
    for (uint32_t index = 0; index < count; index++) {
        resp_write_bulk(&writer, words[index]);
    }
}

static void on_open(struct link *link)
{
    const struct bytes words[] = { BYTES_LITERAL("HELLO"), BYTES_LITERAL("3") };
    write_command(link, 2, words);
}

static void on_greet(struct link *link, struct reply *reply)
{
    if (tni_reply_peek(reply) == RESP_MAP) {
        tni_link_accept(link);
    } else {
        tni_link_refuse(link, tni_reply_text_or_empty(reply));
    }
}

static char *big_text(char seed)
{
    char *text = malloc(BIG_SIZE);
    CHECK(text != NULL);
    for (size_t index = 0; index < BIG_SIZE; index++) {
        text[index] = (char)(seed + (char)(index * 7 + index / 251));
    }
    return text;
}

static void say_big(struct talk *talk)
{
    for (char seed = 'a'; seed < 'e'; seed++) {
        char *text = big_text(seed);
        const struct bytes words[] = { BYTES_LITERAL("SET"), { &seed, 1 }, { text, BIG_SIZE } };
        write_command(talk->link, 3, words);
        free(text);
    }
    for (char seed = 'a'; seed < 'e'; seed++) {
        const struct bytes words[] = { BYTES_LITERAL("GET"), { &seed, 1 } };
        write_command(talk->link, 2, words);
    }
    talk->expected_count = 8;
}

static void on_up(struct link *link)
{
    struct talk *talk = link->owner;
    const struct bytes ping = BYTES_LITERAL("PING");
    const struct bytes remove[] = { BYTES_LITERAL("DEL"), BYTES_LITERAL("n") };
    const struct bytes increment[] = { BYTES_LITERAL("INCR"), BYTES_LITERAL("n") };
    talk->link = link;
    if (talk->say == SAY_PING) {
        write_command(link, 1, &ping);
        talk->expected_count = 1;
    } else if (talk->say == SAY_MANY) {
        talk->expected_count = 50000;
        write_command(link, 2, remove);
        for (uint32_t index = 1; index < talk->expected_count; index++) {
            write_command(link, 2, increment);
        }
    } else {
        say_big(talk);
    }
    if (link->output.is_failed) {
        link->output.is_failed = false;
        tni_link_close(link);
        talk->is_down = true;
        (void)snprintf(talk->text, sizeof(talk->text), "no memory to ask");
        return;
    }
    tni_link_flush(link);
}

static void check_big(struct reply *reply, char seed)
{
    struct bytes input = { reply->data, reply->size };
    struct resp_token token;
    const char *text;
    CHECK_EQ_INT(resp_read_token(input, &reply->position, &token, &text), PARSE_DONE);
    CHECK_EQ_UINT(token.text.size, BIG_SIZE);
    char *expected = big_text(seed);
    CHECK(memcmp(token.text.data, expected, BIG_SIZE) == 0);
    free(expected);
}

static void on_reply(struct link *link, struct reply *reply)
{
    struct talk *talk = link->owner;
    talk->answer_count++;
    if (talk->say == SAY_PING) CHECK_EQ_TEXT(tni_reply_text(reply), "PONG");
    if (talk->say == SAY_MANY && talk->answer_count > 1) {
        CHECK_EQ_INT(tni_reply_integer(reply), talk->answer_count - 1);
    }
    if (talk->say == SAY_BIG && talk->answer_count > 4) {
        check_big(reply, (char)('a' + (char)(talk->answer_count - 5)));
    }
    if (talk->victim != NULL && talk->answer_count == talk->expected_count / 2) {
        CHECK_EQ_INT(kill(talk->victim->pid, SIGKILL), 0);
    }
    /* A victim may have answered everything before it died. */
    bool is_enough = talk->answer_count == talk->expected_count && talk->victim == NULL;
    if (is_enough) tni_link_close(link);
}

static void on_down(struct link *link, const char *text)
{
    struct talk *talk = link->owner;
    CHECK(!talk->is_down);
    talk->is_down = true;
    talk->was_up = link->was_up;
    (void)snprintf(talk->text, sizeof(talk->text), "%s", text);
}

static void on_gone(void *context)
{
    struct talk *talk = context;
    talk->is_gone = true;
}

static const struct link_ops ops = {
    .open = on_open,
    .greet = on_greet,
    .up = on_up,
    .reply = on_reply,
    .down = on_down,
    .gone = on_gone,
};

static void set_address(struct talk *talk, const char *host, uint16_t port)
{
    (void)snprintf(talk->address.host, sizeof(talk->address.host), "%s", host);
    (void)snprintf(talk->address.port, sizeof(talk->address.port), "%u", port);
}

/* From the connection to its end. */
static void run(struct talk *talk, const struct memory *memory)
{
    (void)signal(SIGPIPE, SIG_IGN);
    CHECK_EQ_INT(uv_loop_init(&talk->loop), 0);
    const struct link_options options = {
        .loop = &talk->loop,
        .memory = memory,
        .address = &talk->address,
        .tls = talk->tls,
        .server_name = talk->server_name,
        .ops = &ops,
        .owner = talk,
        .context = talk,
    };
    struct link *link = tni_link_create(&options);
    if (link == NULL) {
        talk->is_down = true;
        talk->is_gone = true;
        (void)snprintf(talk->text, sizeof(talk->text), "no memory for a link");
    }
    (void)uv_run(&talk->loop, UV_RUN_DEFAULT);
    CHECK_EQ_INT(uv_loop_close(&talk->loop), 0);
    CHECK(talk->is_gone);
    test_note("%s", talk->text);
}

static struct tls *make_tls(const struct server *server, const char *ca, bool has_certificate)
{
    struct tls *tls = NULL;
    struct tenure_error error = { .text = "" };
    const struct tls_options options = {
        .memory = &memory_heap,
        .ca_file = path_in(server, ca),
        .cert_file = has_certificate ? path_in(server, "client.pem") : "",
        .key_file = has_certificate ? path_in(server, "client.key") : "",
    };
    enum tenure_err err = tls_create(&options, &tls, &error);
    CHECK_EQ_TEXT(error.text, "");
    CHECK_EQ_INT(err, TENURE_OK);
    return tls;
}

struct wish {
    enum say say;
    const char *host; /* NULL: 127.0.0.1 */
    const char *server_name;
    const char *ca; /* NULL: the right one */
    bool has_certificate;
    struct server *victim;
};

/* Talk over TLS. */
static struct talk talk_securely(const struct server *server, uint16_t port, struct wish wish)
{
    struct talk talk = { .say = wish.say, .server_name = wish.server_name, .victim = wish.victim };
    set_address(&talk, wish.host == NULL ? "127.0.0.1" : wish.host, port);
    talk.tls = make_tls(server, wish.ca == NULL ? "ca.pem" : wish.ca, wish.has_certificate);
    run(&talk, &memory_heap);
    tls_destroy(&talk.tls);
    return talk;
}

static void check_fine(const struct talk *talk)
{
    CHECK_EQ_TEXT(talk->text, "");
    CHECK(!talk->is_down);
    CHECK_EQ_UINT(talk->answer_count, talk->expected_count);
}

static void check_down(const struct talk *talk, const char *part)
{
    test_note("%s", talk->text);
    CHECK(talk->is_down);
    CHECK(strstr(talk->text, part) != NULL);
    CHECK(strlen(talk->text) < sizeof(((struct link *)NULL)->text) - 1);
}

/* ------------------------------------------------------------------ what works */

TEST_WITHIN(60, link_carries_much_over_tls)
{
    struct server server;
    start_redis(&server, true, "tls-auth-clients no");
    for (enum say say = SAY_PING; say <= SAY_BIG; say++) {
        struct talk talk =
            talk_securely(&server, server.port, (struct wish){ .say = say, .host = "localhost" });
        check_fine(&talk);
    }
    stop_redis(&server);
}

TEST_WITHIN(60, link_carries_much_in_plain)
{
    struct server server;
    start_redis(&server, false, "");
    for (enum say say = SAY_PING; say <= SAY_BIG; say++) {
        struct talk talk = { .say = say };
        set_address(&talk, "127.0.0.1", server.port);
        run(&talk, &memory_heap);
        check_fine(&talk);
    }
    stop_redis(&server);
}

TEST(link_shows_its_certificate)
{
    struct server server;
    start_redis(&server, true, "");
    struct talk talk =
        talk_securely(&server, server.port, (struct wish){ .has_certificate = true });
    check_fine(&talk);
    stop_redis(&server);
}

/* ------------------------------------------------------------------ what is refused */

TEST(link_says_which_check_failed)
{
    struct server server;
    start_redis(&server, true, "tls-auth-clients no");
    struct talk talk = talk_securely(&server, server.port, (struct wish){ .ca = "elsewhere.pem" });
    check_down(&talk, "no root in the ca-file vouches for the server's certificate (/CN=redis, ");
    talk = talk_securely(&server, server.port, (struct wish){ .server_name = "redis.example" });
    check_down(&talk, "is for localhost, 127.0.0.1, not for redis.example");
    talk = talk_securely(&server, server.port, (struct wish){ .host = "127.0.0.2" });
    check_down(&talk, "refused"); /* it does not even listen there */
    stop_redis(&server);
    start_redis_within(&server, true, "tls-auth-clients no", -200000, -100000);
    talk = talk_securely(&server, server.port, (struct wish){ .say = SAY_PING });
    check_down(&talk, "has expired");
    stop_redis(&server);
}

static void check_missing_certificate(const char *protocols)
{
    struct server server;
    start_redis(&server, true, protocols);
    for (unsigned round = 0; round < 30; round++) {
        struct talk talk = talk_securely(&server, server.port, (struct wish){ .say = SAY_PING });
        check_down(&talk, "none was given (cert-file, key-file)");
    }
    stop_redis(&server);
}

/* The server tells in an alert, or just goes away; which comes first is a matter of luck. */
TEST_WITHIN(60, link_says_that_its_certificate_is_missing)
{
    check_missing_certificate("tls-protocols \"TLSv1.2\"");
    check_missing_certificate("tls-protocols \"TLSv1.3\"");
}

TEST(link_says_that_only_one_side_speaks_tls)
{
    struct server secure;
    struct server plain;
    start_redis(&secure, true, "tls-auth-clients no");
    start_redis(&plain, false, "");
    struct talk talk = { .say = SAY_PING };
    set_address(&talk, "127.0.0.1", secure.port);
    run(&talk, &memory_heap);
    check_down(&talk, "TLS");
    talk = talk_securely(&secure, plain.port, (struct wish){ .say = SAY_PING });
    check_down(&talk, "TLS");
    stop_redis(&plain);
    stop_redis(&secure);
}

static int take_the_only_place(const struct server *server)
{
    for (;;) {
        char answer[8] = "";
        int connection = connect_to(server->port);
        CHECK_EQ_INT(write(connection, "PING\r\n", 6), 6);
        CHECK(read(connection, answer, 7) == 7);
        if (strcmp(answer, "+PONG\r\n") == 0) return connection;
        (void)close(connection); /* whoever has looked whether it is up is not gone yet */
    }
}

/* What the server says before it goes away is heard, though our words go to nobody. */
TEST_WITHIN(60, link_hears_the_last_words)
{
    struct server server;
    start_redis(&server, false, "maxclients 1");
    int other = take_the_only_place(&server);
    for (unsigned round = 0; round < 30; round++) {
        struct talk talk = { .say = SAY_PING };
        set_address(&talk, "127.0.0.1", server.port);
        run(&talk, &memory_heap);
        check_down(&talk, "max number of clients");
        CHECK(!talk.was_up);
    }
    (void)close(other);
    stop_redis(&server);
}

TEST_WITHIN(60, link_that_loses_its_server)
{
    static const enum say says[] = { SAY_MANY, SAY_BIG };
    for (unsigned index = 0; index < 2; index++) {
        struct server server;
        start_redis(&server, true, "tls-auth-clients no");
        struct talk talk = talk_securely(
            &server, server.port, (struct wish){ .say = says[index], .victim = &server });
        CHECK(talk.is_down);
        CHECK(talk.was_up);
        CHECK(talk.text[0] != '\0');
        CHECK_EQ_INT(kill(server.pid, 0), 0); /* it is not waited for yet */
        stop_redis(&server);
    }
}

/* ------------------------------------------------------------------ in the middle of the handshake
 */

/* Let all through to the server, and `limit` bytes of what it says; then close. */
static void relay(int listener, uint16_t server_port, size_t limit)
{
    int client = accept(listener, NULL, NULL);
    int server = connect_to(server_port);
    CHECK(client >= 0 && server >= 0);
    while (limit > 0) {
        char bytes[4096];
        struct pollfd polled[] = { { client, POLLIN, 0 }, { server, POLLIN, 0 } };
        if (poll(polled, 2, -1) < 0) break;
        if (polled[0].revents != 0) {
            ssize_t size = read(client, bytes, sizeof(bytes));
            if (size <= 0 || write(server, bytes, (size_t)size) != size) break;
        }
        if (polled[1].revents != 0) {
            ssize_t size = read(server, bytes, limit < sizeof(bytes) ? limit : sizeof(bytes));
            if (size <= 0 || write(client, bytes, (size_t)size) != size) break;
            limit -= (size_t)size;
        }
    }
    (void)close(client);
    (void)close(server);
}

TEST_WITHIN(120, link_whose_server_goes_in_the_middle_of_the_handshake)
{
    struct server server;
    uint16_t port;
    bool was_fine = false;
    start_redis(&server, true, "tls-auth-clients no");
    int listener = listen_somewhere(&port);
    for (size_t limit = 0; !was_fine; limit += 1 + limit / 16) {
        CHECK(limit < 10000);
        pid_t child = fork();
        CHECK(child >= 0);
        if (child == 0) {
            relay(listener, server.port, limit);
            _exit(0);
        }
        struct talk talk = talk_securely(&server, port, (struct wish){ .say = SAY_PING });
        CHECK_EQ_INT(waitpid(child, NULL, 0), child);
        was_fine = !talk.is_down;
        if (limit < 300) check_down(&talk, "during the TLS handshake");
    }
    (void)close(listener);
    stop_redis(&server);
}

TEST(link_whose_server_says_nothing)
{
    struct server server;
    uint16_t port;
    start_redis(&server, true, "");
    int listener = listen_somewhere(&port);
    struct talk talk = talk_securely(&server, port, (struct wish){ .say = SAY_PING });
    check_down(&talk, "no answer within 3000 ms: is it TLS that is spoken on that port?");
    (void)close(listener);
    stop_redis(&server);
}

/* ------------------------------------------------------------------ memory */

TEST_WITHIN(120, link_survives_every_failed_allocation)
{
    struct server server;
    start_redis(&server, true, "tls-auth-clients no");
    struct tls *tls = make_tls(&server, "ca.pem", false);
    for (uint64_t fail_at = 1;; fail_at++) {
        struct fault_memory fault;
        struct talk talk = { .say = SAY_MANY, .tls = tls };
        fault_memory_init(&fault, fail_at);
        set_address(&talk, "127.0.0.1", server.port);
        run(&talk, &fault.memory);
        fault_memory_check_empty(&fault);
        if (!fault.has_failed) break;
        CHECK(talk.is_down);
        test_note("%s", talk.text);
        CHECK(strstr(talk.text, "memory") != NULL);
    }
    tls_destroy(&tls);
    stop_redis(&server);
}
