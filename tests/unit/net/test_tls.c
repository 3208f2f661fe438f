/* TLS against the server's side of OpenSSL, all in memory. */
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/certificates.h"
#include "lib/fault_memory.h"
#include "lib/random.h"
#include "lib/test.h"
#include "net/tls.h"

/* ------------------------------------------------------------------ the two sides */

/* What a test can have otherwise than right. */
struct scene {
    const struct memory *memory; /* NULL: the heap */
    const char *server_name;     /* what the client wants; NULL: "redis.test" */
    const char *alternatives;    /* what the certificate has; NULL: "DNS:redis.test" */
    const char *name;            /* its CN; NULL: "redis" */
    const char *ca_file;         /* NULL: the right one */
    long begins_s;
    long ends_s;
    int version_max; /* of the server; 0: any */
    bool has_no_alternatives;
    bool is_other_authority;    /* the server's certificate comes from elsewhere */
    bool wants_certificate;     /* the server asks for the client's … */
    bool has_certificate;       /* … which it has … */
    bool has_other_certificate; /* … from elsewhere */
};

struct pair {
    char directory[32];
    struct tls *tls;
    struct tls_stream *client;
    SSL_CTX *context;
    SSL *server;
    struct buffer to_server;
    struct buffer to_client; /* of no use to the client itself: what the server has sent */
    struct buffer heard;     /* by the client */
    bool is_failed;
};

static const char *path_in(const struct pair *pair, const char *name)
{
    static char paths[8][64];
    static unsigned next;
    char *path = paths[next++ % 8];
    (void)snprintf(path, sizeof(paths[0]), "%s/%s", pair->directory, name);
    return path;
}

static struct test_identity
make(const struct test_identity *authority, const char *name, const char *alternatives)
{
    return test_identity_make(&(struct test_identity_options){
        .authority = authority, .name = name, .alternatives = alternatives });
}

static void write_client_files(
    const struct pair *pair, const struct test_identity *authority, const struct scene *scene)
{
    struct test_identity other = make(NULL, "elsewhere", NULL);
    struct test_identity client =
        make(scene->has_other_certificate ? &other : authority, "client", NULL);
    test_identity_write_certificate(authority, path_in(pair, "ca.pem"));
    test_identity_write_certificate(&client, path_in(pair, "client.pem"));
    test_identity_write_key(&client, path_in(pair, "client.key"), NULL);
    test_identity_free(&client);
    test_identity_free(&other);
}

static SSL_CTX *make_server_context(
    const struct test_identity *authority,
    const struct test_identity *identity,
    const struct scene *scene)
{
    SSL_CTX *context = SSL_CTX_new(TLS_server_method());
    CHECK(context != NULL);
    SSL_CTX_set_security_level(context, 0); /* so that it can be too old for its client */
    CHECK_EQ_INT(SSL_CTX_use_certificate(context, identity->certificate), 1);
    CHECK_EQ_INT(SSL_CTX_use_PrivateKey(context, identity->key), 1);
    if (scene->version_max != 0) {
        CHECK_EQ_INT(SSL_CTX_set_min_proto_version(context, TLS1_VERSION), 1);
        CHECK_EQ_INT(SSL_CTX_set_max_proto_version(context, scene->version_max), 1);
    }
    if (scene->wants_certificate) {
        X509_STORE *store = SSL_CTX_get_cert_store(context);
        CHECK_EQ_INT(X509_STORE_add_cert(store, authority->certificate), 1);
        SSL_CTX_set_verify(context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    }
    return context;
}

static void open_server(struct pair *pair, const struct scene *scene)
{
    struct test_identity authority = make(NULL, "our authority", NULL);
    struct test_identity other = make(NULL, "elsewhere", NULL);
    const char *alternatives = scene->alternatives;
    if (alternatives == NULL && !scene->has_no_alternatives) alternatives = "DNS:redis.test";
    struct test_identity identity = test_identity_make(&(struct test_identity_options){
        .authority = scene->is_other_authority ? &other : &authority,
        .name = scene->name == NULL ? "redis" : scene->name,
        .alternatives = alternatives,
        .begins_s = scene->begins_s,
        .ends_s = scene->ends_s });
    write_client_files(pair, &authority, scene);
    pair->context = make_server_context(&authority, &identity, scene);
    pair->server = SSL_new(pair->context);
    CHECK(pair->server != NULL);
    SSL_set_bio(pair->server, BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
    SSL_set_accept_state(pair->server);
    test_identity_free(&identity);
    test_identity_free(&authority);
    test_identity_free(&other);
}

static bool open_client(struct pair *pair, const struct scene *scene)
{
    struct tenure_error error = { .text = "" };
    const struct memory *memory = scene->memory == NULL ? &memory_heap : scene->memory;
    bool has_certificate = scene->has_certificate || scene->has_other_certificate;
    struct tls_options options = {
        .memory = memory,
        .ca_file = scene->ca_file == NULL ? path_in(pair, "ca.pem") : scene->ca_file,
        .cert_file = has_certificate ? path_in(pair, "client.pem") : "",
        .key_file = has_certificate ? path_in(pair, "client.key") : NULL,
    };
    buffer_init(&pair->to_server, memory);
    buffer_init(&pair->heard, memory);
    buffer_init(&pair->to_client, &memory_heap);
    if (tls_create(&options, &pair->tls, &error) != TENURE_OK) {
        CHECK(error.text[0] != '\0');
        return false;
    }
    const char *name = scene->server_name == NULL ? "redis.test" : scene->server_name;
    pair->client = tls_stream_create(pair->tls, name);
    tls_destroy(&pair->tls); /* streams live on */
    return pair->client != NULL;
}

/* Like opening a pair, but what the client needs is in the directory before anything is made. */
static void prepare(struct pair *pair, const struct scene *scene)
{
    *pair = (struct pair){ .directory = "/tmp/tenure-test-XXXXXX" };
    CHECK(mkdtemp(pair->directory) != NULL);
    open_server(pair, scene);
}

static void close_client(struct pair *pair)
{
    tls_stream_destroy(&pair->client);
    tls_destroy(&pair->tls);
    buffer_deinit(&pair->to_server);
    buffer_deinit(&pair->to_client);
    buffer_deinit(&pair->heard);
}

static void close_pair(struct pair *pair)
{
    close_client(pair);
    SSL_free(pair->server);
    SSL_CTX_free(pair->context);
    (void)unlink(path_in(pair, "ca.pem"));
    (void)unlink(path_in(pair, "client.pem"));
    (void)unlink(path_in(pair, "client.key"));
    CHECK_EQ_INT(rmdir(pair->directory), 0);
    CHECK_EQ_UINT(ERR_peek_error(), 0); /* nothing of ours stays in the thread's queue */
}

/* The server reads what the client has sent, and answers. */
static void run_server(struct pair *pair)
{
    if (pair->to_server.size > 0) {
        int size = (int)pair->to_server.size;
        CHECK_EQ_INT(BIO_write(SSL_get_rbio(pair->server), pair->to_server.data, size), size);
        buffer_consume(&pair->to_server, pair->to_server.size);
    }
    if (!SSL_is_init_finished(pair->server)) {
        (void)SSL_do_handshake(pair->server);
    } else {
        char one;
        (void)SSL_peek(pair->server, &one, 1); /* a refusal may come only now */
    }
    ERR_clear_error();
    size_t size = BIO_ctrl_pending(SSL_get_wbio(pair->server));
    if (size == 0) return;
    char *at = buffer_extend(&pair->to_client, size);
    CHECK(at != NULL);
    CHECK_EQ_INT(BIO_read(SSL_get_wbio(pair->server), at, (int)size), (int)size);
}

/* The client reads `size` bytes of what the server has sent. */
static bool run_client(struct pair *pair, size_t size)
{
    struct bytes input = { pair->to_client.data, size };
    bool is_fine = tls_stream_receive(pair->client, input, &pair->heard, &pair->to_server);
    buffer_consume(&pair->to_client, size);
    return is_fine;
}

/* To and fro, in pieces of at most `piece` bytes, until nothing is left to say. */
static bool converse(struct pair *pair, size_t piece)
{
    for (;;) {
        run_server(pair);
        if (pair->to_client.size == 0) return true;
        while (pair->to_client.size > 0) {
            size_t size = pair->to_client.size < piece ? pair->to_client.size : piece;
            if (!run_client(pair, size)) return false;
        }
    }
}

static bool shake_hands(struct pair *pair, size_t piece)
{
    return tls_stream_start(pair->client, &pair->to_server) && converse(pair, piece);
}

/* The handshake must be refused by the client with a text that has both parts. */
static void check_refused(const struct scene *scene, const char *part, const char *other_part)
{
    struct pair pair;
    prepare(&pair, scene);
    CHECK(open_client(&pair, scene));
    CHECK(!shake_hands(&pair, SIZE_MAX));
    const char *text = tls_stream_text(pair.client);
    test_note("%s", text);
    CHECK(strstr(text, part) != NULL);
    CHECK(strstr(text, other_part) != NULL);
    CHECK(strlen(text) < 230); /* not cut off */
    CHECK(!tls_stream_is_open(pair.client));
    /* It is final, and the reason stays the first. */
    struct bytes more = BYTES_LITERAL("more");
    CHECK(!tls_stream_receive(pair.client, more, &pair.heard, &pair.to_server));
    CHECK_EQ_TEXT(tls_stream_text(pair.client), text);
    close_pair(&pair);
}

static void check_accepted(const struct scene *scene)
{
    struct pair pair;
    prepare(&pair, scene);
    CHECK(open_client(&pair, scene));
    bool is_fine = shake_hands(&pair, SIZE_MAX);
    CHECK_EQ_TEXT(tls_stream_text(pair.client), "");
    CHECK(is_fine && tls_stream_is_open(pair.client));
    CHECK(SSL_is_init_finished(pair.server));
    close_pair(&pair);
}

/* ------------------------------------------------------------------ whom it accepts */

TEST(tls_accepts_the_right_server)
{
    check_accepted(&(struct scene){ .server_name = NULL });
    check_accepted(&(struct scene){ .version_max = TLS1_2_VERSION });
    check_accepted(&(struct scene){ .server_name = "REDIS.test" });
    check_accepted(&(struct scene){ .server_name = "a.b.test", .alternatives = "DNS:*.b.test" });
    check_accepted(&(struct scene){ .server_name = "127.0.0.1", .alternatives = "IP:127.0.0.1" });
    check_accepted(&(struct scene){ .server_name = "::1", .alternatives = "IP:0:0:0:0:0:0:0:1" });
    check_accepted(&(struct scene){ .server_name = "fe80::1%eth0", .alternatives = "IP:fe80::1" });
    check_accepted(&(struct scene){
        .server_name = "old.test", .name = "old.test", .has_no_alternatives = true });
}

TEST(tls_tells_the_server_the_name_but_no_number)
{
    struct scene scene = { .server_name = "redis.test" };
    struct pair pair;
    prepare(&pair, &scene);
    CHECK(open_client(&pair, &scene) && shake_hands(&pair, SIZE_MAX));
    CHECK_EQ_TEXT(SSL_get_servername(pair.server, TLSEXT_NAMETYPE_host_name), "redis.test");
    close_pair(&pair);
    scene = (struct scene){ .server_name = "127.0.0.1", .alternatives = "IP:127.0.0.1" };
    prepare(&pair, &scene);
    CHECK(open_client(&pair, &scene) && shake_hands(&pair, SIZE_MAX));
    CHECK(SSL_get_servername(pair.server, TLSEXT_NAMETYPE_host_name) == NULL);
    close_pair(&pair);
}

TEST(tls_refuses_a_certificate_from_elsewhere)
{
    const struct scene scene = { .is_other_authority = true };
    check_refused(&scene, "/CN=redis", "no root in the ca-file vouches for");
    /* Nor do the roots of the system know ours. */
    struct pair pair;
    prepare(&pair, &scene);
    CHECK(open_client(&pair, &(struct scene){ .ca_file = "" }));
    CHECK(!shake_hands(&pair, SIZE_MAX));
    CHECK(strstr(tls_stream_text(pair.client), "give its ca-file") != NULL);
    close_pair(&pair);
}

TEST(tls_refuses_a_wrong_name)
{
    check_refused(
        &(struct scene){ .server_name = "other.test", .alternatives = "DNS:a.test,DNS:b.test" },
        "is for a.test, b.test, not for other.test",
        "server-name");
    check_refused(
        &(struct scene){ .server_name = "127.0.0.2", .alternatives = "IP:127.0.0.1,IP:::1" },
        "is for 127.0.0.1, ::1, not for 127.0.0.2",
        "server-name");
    check_refused(
        &(struct scene){ .server_name = "127.0.0.1", .name = "127.0.0.1" },
        "is for redis.test, not for 127.0.0.1",
        "");
    check_refused(
        &(struct scene){ .server_name = "a.b.test", .alternatives = "DNS:a*.b.test" },
        "a*.b.test",
        "not for a.b.test");
    check_refused(
        &(struct scene){ .server_name = "x.test", .has_no_alternatives = true },
        "is for /CN=redis, not for x.test",
        "");
}

TEST(tls_refuses_a_certificate_out_of_its_time)
{
    check_refused(
        &(struct scene){ .begins_s = -200000, .ends_s = -100000 },
        "has expired, at 20",
        "UTC: renew it");
    check_refused(
        &(struct scene){ .begins_s = 100000, .ends_s = 200000 },
        "is not valid before 20",
        "is a clock wrong?");
}

TEST(tls_refuses_old_versions)
{
    check_refused(
        &(struct scene){ .version_max = TLS1_1_VERSION }, "protocol version", "no TLS 1.2");
}

/* Whatever a certificate claims to be must not get into a terminal. */
TEST(tls_shows_only_what_is_printable)
{
    const struct scene scene = { .is_other_authority = true, .name = "a\033[31mb" };
    struct pair pair;
    prepare(&pair, &scene);
    CHECK(open_client(&pair, &scene) && !shake_hands(&pair, SIZE_MAX));
    CHECK(strchr(tls_stream_text(pair.client), '\033') == NULL);
    close_pair(&pair);
}

/* ------------------------------------------------------------------ whom it is accepted by */

TEST(tls_shows_its_own_certificate)
{
    check_accepted(&(struct scene){ .wants_certificate = true, .has_certificate = true });
    check_accepted(&(struct scene){
        .wants_certificate = true, .has_certificate = true, .version_max = TLS1_2_VERSION });
    check_refused(
        &(struct scene){ .wants_certificate = true, .has_other_certificate = true },
        "the server refuses TLS (",
        "does not accept our certificate");
}

TEST(tls_says_that_its_certificate_is_missing)
{
    check_refused(&(struct scene){ .wants_certificate = true }, "none was given", "cert-file");
    check_refused(
        &(struct scene){ .wants_certificate = true, .version_max = TLS1_2_VERSION },
        "none was given",
        "cert-file");
}

TEST(tls_explains_an_end_without_a_word)
{
    const struct scene scene = { .wants_certificate = true };
    struct pair pair;
    prepare(&pair, &scene);
    CHECK(open_client(&pair, &scene));
    CHECK(strstr(tls_stream_explain_end(pair.client), "during the TLS handshake") != NULL);
    CHECK(tls_stream_start(pair.client, &pair.to_server));
    run_server(&pair);
    CHECK(run_client(&pair, pair.to_client.size));
    CHECK(tls_stream_is_open(pair.client)); /* the server has not looked at our answer yet */
    CHECK(strstr(tls_stream_explain_end(pair.client), "none was given") != NULL);
    close_pair(&pair);
    const struct scene plain = { .server_name = NULL };
    prepare(&pair, &plain);
    CHECK(open_client(&pair, &plain) && shake_hands(&pair, SIZE_MAX));
    CHECK(tls_stream_explain_end(pair.client) == NULL);
    close_pair(&pair);
}

/* ------------------------------------------------------------------ what flows */

static void check_flow(struct pair *pair, size_t size, size_t piece, uint64_t seed)
{
    struct test_random random = { seed };
    char *sent = malloc(size);
    char *back = malloc(size);
    CHECK(sent != NULL && back != NULL);
    for (size_t index = 0; index < size; index++) {
        sent[index] = (char)test_random_next(&random);
    }
    CHECK(tls_stream_send(pair->client, (struct bytes){ sent, size }, &pair->to_server));
    run_server(pair);
    for (size_t got = 0; got < size;) {
        int part = SSL_read(pair->server, back + got, (int)(size - got));
        CHECK(part > 0);
        got += (size_t)part;
    }
    CHECK(memcmp(sent, back, size) == 0);
    buffer_consume(&pair->heard, pair->heard.size);
    CHECK_EQ_INT(SSL_write(pair->server, sent, (int)size), (int)size);
    CHECK(converse(pair, piece));
    CHECK_EQ_UINT(pair->heard.size, size);
    CHECK(memcmp(pair->heard.data, sent, size) == 0);
    free(sent);
    free(back);
}

TEST(tls_carries_much_in_both_directions)
{
    static const int versions[] = { TLS1_2_VERSION, TLS1_3_VERSION };
    for (unsigned index = 0; index < 2; index++) {
        const struct scene scene = { .version_max = versions[index] };
        struct pair pair;
        prepare(&pair, &scene);
        CHECK(open_client(&pair, &scene) && shake_hands(&pair, SIZE_MAX));
        check_flow(&pair, 1, SIZE_MAX, 1);
        check_flow(&pair, (size_t)8 << 20, (size_t)16 << 10, 2);
        check_flow(&pair, (size_t)1 << 20, 997, 3);
        check_flow(&pair, (size_t)16 << 10, SIZE_MAX, 4);
        close_pair(&pair);
    }
}

TEST(tls_takes_any_pieces)
{
    for (size_t piece = 1; piece < 40; piece += 3) {
        const struct scene scene = { .wants_certificate = true, .has_certificate = true };
        struct pair pair;
        prepare(&pair, &scene);
        CHECK(open_client(&pair, &scene) && shake_hands(&pair, piece));
        CHECK(tls_stream_is_open(pair.client));
        check_flow(&pair, 20000, piece, piece);
        close_pair(&pair);
    }
}

TEST(tls_new_keys_in_between)
{
    const struct scene scene = { .version_max = TLS1_3_VERSION };
    struct pair pair;
    prepare(&pair, &scene);
    CHECK(open_client(&pair, &scene) && shake_hands(&pair, SIZE_MAX));
    CHECK_EQ_INT(SSL_key_update(pair.server, SSL_KEY_UPDATE_REQUESTED), 1);
    check_flow(&pair, 1000, SIZE_MAX, 1);
    check_flow(&pair, 1000, SIZE_MAX, 2);
    close_pair(&pair);
}

TEST(tls_end_that_is_announced)
{
    const struct scene scene = { .server_name = NULL };
    struct pair pair;
    prepare(&pair, &scene);
    CHECK(open_client(&pair, &scene) && shake_hands(&pair, SIZE_MAX));
    CHECK_EQ_INT(SSL_write(pair.server, "last", 4), 4);
    CHECK(SSL_shutdown(pair.server) >= 0);
    CHECK(converse(&pair, SIZE_MAX));
    CHECK(tls_stream_is_ended(pair.client));
    CHECK_EQ_BYTES(buffer_bytes(&pair.heard), BYTES_LITERAL("last"));
    close_pair(&pair);
}

/* ------------------------------------------------------------------ what is no TLS */

static void check_garbage(struct bytes garbage, const char *part)
{
    const struct scene scene = { .server_name = NULL };
    struct pair pair;
    test_note("%.*s", (int)garbage.size, garbage.data);
    prepare(&pair, &scene);
    CHECK(open_client(&pair, &scene));
    CHECK(tls_stream_start(pair.client, &pair.to_server));
    CHECK(!tls_stream_receive(pair.client, garbage, &pair.heard, &pair.to_server));
    test_note("%s", tls_stream_text(pair.client));
    CHECK(strstr(tls_stream_text(pair.client), part) != NULL);
    close_pair(&pair);
}

TEST(tls_answer_that_is_no_tls)
{
    check_garbage(BYTES_LITERAL("-ERR unknown command\r\n"), "does not speak TLS");
    check_garbage(BYTES_LITERAL("HTTP/1.1 400 Bad Request\r\n"), "does not speak TLS");
    check_garbage(BYTES_LITERAL("+OK\r\n"), "does not speak TLS");
}

TEST(tls_damaged_bytes_never_get_through)
{
    for (unsigned round = 0; round < 300; round++) {
        struct test_random random = { round };
        const struct scene scene = { .version_max = round % 2 ? TLS1_2_VERSION : 0 };
        struct pair pair;
        prepare(&pair, &scene);
        CHECK(open_client(&pair, &scene) && shake_hands(&pair, SIZE_MAX));
        buffer_consume(&pair.heard, pair.heard.size);
        CHECK_EQ_INT(SSL_write(pair.server, "attack at dawn", 14), 14);
        run_server(&pair);
        size_t at = (size_t)test_random_below(&random, pair.to_client.size);
        pair.to_client.data[at] ^= (char)(1 << test_random_below(&random, 8));
        (void)run_client(&pair, pair.to_client.size);
        CHECK_EQ_UINT(pair.heard.size, 0);
        close_pair(&pair);
    }
}

/* ------------------------------------------------------------------ files */

static void check_files(
    const struct pair *pair, const char *ca, const char *cert, const char *key, const char *part)
{
    struct tls *tls = NULL;
    struct tenure_error error = { .text = "" };
    struct tls_options options = { .memory = &memory_heap,
                                   .ca_file = ca == NULL ? NULL : path_in(pair, ca),
                                   .cert_file = cert == NULL ? NULL : path_in(pair, cert),
                                   .key_file = key == NULL ? NULL : path_in(pair, key) };
    CHECK_EQ_INT(tls_create(&options, &tls, &error), TENURE_INVALID);
    CHECK(tls == NULL);
    test_note("%s", error.text);
    CHECK(strstr(error.text, part) != NULL);
    CHECK_EQ_INT(tls_create(&options, &tls, NULL), TENURE_INVALID);
}

TEST(tls_files_that_are_not_usable)
{
    const struct scene scene = { .server_name = NULL };
    struct pair pair;
    prepare(&pair, &scene);
    check_files(&pair, "none", NULL, NULL, "ca-file: No such file");
    check_files(&pair, "client.key", NULL, NULL, "ca-file: ");
    check_files(&pair, "ca.pem", "none", "client.key", "cert-file: No such file");
    check_files(&pair, "ca.pem", "client.key", "client.key", "cert-file: ");
    check_files(&pair, "ca.pem", "client.pem", "none", "key-file: No such file");
    check_files(&pair, "ca.pem", "client.pem", "client.pem", "key-file: ");
    check_files(&pair, "ca.pem", "ca.pem", "client.key", "key-file: key values mismatch");
    check_files(&pair, "ca.pem", "client.pem", NULL, "one is missing");
    struct test_identity identity = make(NULL, "client", NULL);
    test_identity_write_certificate(&identity, path_in(&pair, "client.pem"));
    test_identity_write_key(&identity, path_in(&pair, "client.key"), "secret");
    test_identity_free(&identity);
    check_files(&pair, "ca.pem", "client.pem", "client.key", "must not have a passphrase");
    buffer_init(&pair.to_server, &memory_heap);
    close_pair(&pair);
}

/* ------------------------------------------------------------------ memory */

static uint64_t refused_at; /* the allocation of OpenSSL that fails; 0: none */
static uint64_t asked_count;

static bool is_refused(void)
{
    asked_count++;
    return refused_at != 0 && asked_count == refused_at;
}

static void *take(size_t size, const char *file, int line)
{
    (void)file;
    (void)line;
    return is_refused() ? NULL : malloc(size);
}

static void *resize(void *old, size_t size, const char *file, int line)
{
    (void)file;
    (void)line;
    return is_refused() ? NULL : realloc(old, size);
}

static void give(void *block, const char *file, int line)
{
    (void)file;
    (void)line;
    free(block);
}

/* Everything a connection does, once.  False: something was refused. */
static bool live(struct pair *pair, const struct scene *scene, uint64_t fail_at)
{
    refused_at = 0;
    prepare(pair, scene);
    asked_count = 0;
    refused_at = fail_at;
    bool is_fine = open_client(pair, scene) && tls_stream_start(pair->client, &pair->to_server);
    for (unsigned turn = 0; is_fine && turn < 4; turn++) {
        refused_at = 0; /* the server is not under test */
        uint64_t kept = asked_count;
        run_server(pair);
        asked_count = kept;
        refused_at = fail_at;
        is_fine = pair->to_client.size == 0 || run_client(pair, pair->to_client.size);
    }
    struct bytes hello = BYTES_LITERAL("hello");
    is_fine = is_fine && tls_stream_is_open(pair->client) &&
              tls_stream_send(pair->client, hello, &pair->to_server);
    refused_at = 0;
    return is_fine;
}

TEST_WITHIN(120, tls_every_allocation_may_fail)
{
    for (uint64_t fail_at = 1;; fail_at++) {
        struct fault_memory fault;
        fault_memory_init(&fault, fail_at);
        const struct scene scene = { .memory = &fault.memory };
        struct pair pair;
        bool is_fine = live(&pair, &scene, 0);
        CHECK_EQ_INT(is_fine, !fault.has_failed);
        if (!is_fine && pair.client != NULL) CHECK(tls_stream_text(pair.client)[0] != '\0');
        close_pair(&pair);
        fault_memory_check_empty(&fault);
        if (!fault.has_failed) break;
    }
}

/* OpenSSL does without some of what it asks for; what must not be is a crash, a leak, or a stream
 * that believes in itself for nothing. */
TEST_WITHIN(120, tls_every_allocation_of_openssl_may_fail)
{
    uint64_t count = 1;
    CHECK_EQ_INT(CRYPTO_set_mem_functions(take, resize, give), 1);
    for (uint64_t fail_at = 0; fail_at <= count; fail_at += 1 + fail_at / 64) {
        const struct scene scene = { .server_name = NULL };
        struct pair pair;
        test_note("allocation %u", (unsigned)fail_at);
        bool is_fine = live(&pair, &scene, fail_at);
        if (fail_at == 0) {
            count = asked_count;
            CHECK(is_fine);
        }
        if (!is_fine && pair.client != NULL) CHECK(tls_stream_text(pair.client)[0] != '\0');
        close_pair(&pair);
    }
    CHECK(count > 100);
}
