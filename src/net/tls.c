#include "net/tls.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "net/certificate.h"

#define READ_SIZE ((size_t)16 << 10)
#define NAME_SIZE 256u
#define TEXT_SIZE 240u

struct tls {
    const struct memory *memory;
    SSL_CTX *context;
    bool has_ca_file;
    bool is_key_encrypted;
};

struct tls_stream {
    const struct memory *memory;
    SSL *ssl;
    BIO *input; /* both belong to ssl */
    BIO *output;
    bool has_ca_file;
    bool is_open;
    bool is_ended;
    bool has_heard;              /* something came behind the handshake */
    bool is_certificate_missing; /* the server has asked for ours, and we have none */
    char name[NAME_SIZE];
    char text[TEXT_SIZE]; /* "": it has not failed */
};

/* ------------------------------------------------------------------ whom we trust, who we are */

/* The first error that OpenSSL has noted; the rest is forgotten. */
static unsigned long take_error(void)
{
    unsigned long error = ERR_get_error();
    ERR_clear_error();
    return error;
}

static bool is_memory_error(unsigned long error)
{
    return ERR_GET_REASON(error) == ERR_R_MALLOC_FAILURE;
}

#define REASON_SIZE 100u

static const char *reason_of(unsigned long error, char scratch[static REASON_SIZE])
{
    if (ERR_SYSTEM_ERROR(error)) return strerror_r(ERR_GET_REASON(error), scratch, REASON_SIZE);
    const char *reason = ERR_reason_error_string(error);
    return reason == NULL ? "no reason given" : reason;
}

static enum tenure_err
refuse(enum tenure_err err, struct tenure_error *out_error, const char *what, const char *why)
{
    if (out_error != NULL) {
        *out_error = (struct tenure_error){ .code = err };
        (void)snprintf(out_error->text, sizeof(out_error->text), "%s: %s", what, why);
    }
    return err;
}

/* What OpenSSL has just failed at. */
static enum tenure_err refuse_file(struct tenure_error *out_error, const char *what)
{
    char scratch[REASON_SIZE];
    unsigned long error = take_error();
    if (is_memory_error(error)) return refuse(TENURE_NO_MEMORY, out_error, what, "no memory");
    enum tenure_err err = refuse(TENURE_INVALID, out_error, what, reason_of(error, scratch));
    if (out_error != NULL && ERR_SYSTEM_ERROR(error)) out_error->os_errno = ERR_GET_REASON(error);
    return err;
}

/* Nobody sits here who could be asked for a passphrase. */
// NOLINTNEXTLINE(readability-non-const-parameter): OpenSSL's type
static int refuse_passphrase(char *buffer, int size, int is_writing, void *user)
{
    (void)buffer;
    (void)size;
    (void)is_writing;
    struct tls *tls = user;
    tls->is_key_encrypted = true;
    return -1;
}

static bool is_given(const char *text)
{
    return text != NULL && text[0] != '\0';
}

static enum tenure_err
load_trust(SSL_CTX *context, const char *ca_file, struct tenure_error *out_error)
{
    if (!is_given(ca_file)) {
        if (SSL_CTX_set_default_verify_paths(context) == 1) return TENURE_OK;
        return refuse_file(out_error, "the certificates of the system");
    }
    if (SSL_CTX_load_verify_file(context, ca_file) == 1) return TENURE_OK;
    return refuse_file(out_error, "ca-file");
}

static enum tenure_err
load_ourselves(struct tls *tls, const struct tls_options *options, struct tenure_error *out_error)
{
    bool has_cert = is_given(options->cert_file);
    if (has_cert != is_given(options->key_file)) {
        return refuse(TENURE_INVALID, out_error, "cert-file and key-file", "one is missing");
    }
    if (!has_cert) return TENURE_OK;
    SSL_CTX_set_default_passwd_cb(tls->context, refuse_passphrase);
    SSL_CTX_set_default_passwd_cb_userdata(tls->context, tls);
    if (SSL_CTX_use_certificate_chain_file(tls->context, options->cert_file) != 1) {
        return refuse_file(out_error, "cert-file");
    }
    if (SSL_CTX_use_PrivateKey_file(tls->context, options->key_file, SSL_FILETYPE_PEM) == 1) {
        return TENURE_OK;
    }
    if (!tls->is_key_encrypted) return refuse_file(out_error, "key-file");
    ERR_clear_error();
    return refuse(TENURE_INVALID, out_error, "key-file", "it must not have a passphrase");
}

/* The server asks for a certificate and none is loaded: go on without, but remember. */
static int on_certificate_wanted(SSL *ssl, X509 **out_certificate, EVP_PKEY **out_key)
{
    struct tls_stream *stream = SSL_get_app_data(ssl);
    (void)out_certificate;
    (void)out_key;
    stream->is_certificate_missing = true;
    return 0;
}

static enum tenure_err
set_up(struct tls *tls, const struct tls_options *options, struct tenure_error *out_error)
{
    SSL_CTX *context = tls->context;
    if (SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION) != 1) {
        return refuse_file(out_error, "TLS 1.2");
    }
    (void)SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_TICKET);
    (void)SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
    (void)SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_client_cert_cb(context, on_certificate_wanted);
    enum tenure_err err = load_trust(context, options->ca_file, out_error);
    if (err != TENURE_OK) return err;
    return load_ourselves(tls, options, out_error);
}

enum tenure_err
tls_create(const struct tls_options *options, struct tls **out_tls, struct tenure_error *out_error)
{
    ERR_clear_error();
    struct tls *tls = memory_take(options->memory, sizeof(*tls));
    if (tls == NULL) return refuse(TENURE_NO_MEMORY, out_error, "TLS", "no memory");
    *tls = (struct tls){ .memory = options->memory,
                         .context = SSL_CTX_new(TLS_client_method()),
                         .has_ca_file = is_given(options->ca_file) };
    enum tenure_err err;
    if (tls->context == NULL) {
        err = refuse_file(out_error, "TLS");
    } else {
        err = set_up(tls, options, out_error);
    }
    if (err != TENURE_OK) {
        tls_destroy(&tls);
        return err;
    }
    ERR_clear_error();
    *out_tls = tls;
    return TENURE_OK;
}

void tls_destroy(struct tls **tls)
{
    if (*tls == NULL) return;
    SSL_CTX_free((*tls)->context);
    memory_give((*tls)->memory, *tls, sizeof(**tls));
    *tls = NULL;
}

/* ------------------------------------------------------------------ why it failed */

__attribute__((format(printf, 2, 3))) static bool
fail(struct tls_stream *stream, const char *format, ...)
{
    if (stream->text[0] != '\0') return false; /* the first reason is the one */
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(stream->text, sizeof(stream->text), format, arguments);
    va_end(arguments);
    return false;
}

/* Called for each thing that is wrong with the server's certificates; the first ends it. */
static int on_verified(int is_fine, X509_STORE_CTX *check)
{
    if (is_fine == 1) return 1;
    const SSL *ssl = X509_STORE_CTX_get_ex_data(check, SSL_get_ex_data_X509_STORE_CTX_idx());
    struct tls_stream *stream = SSL_get_app_data(ssl);
    if (stream->text[0] == '\0') {
        certificate_explain(
            check, stream->name, stream->has_ca_file, stream->text, sizeof(stream->text));
    }
    return 0;
}

/* What the server tells when it gives up. */
static bool fail_by_alert(struct tls_stream *stream, int alert)
{
    const char *what = SSL_alert_desc_string_long(alert);
    const char *advice = "";
    if (alert == SSL_AD_CERTIFICATE_REQUIRED ||
        (alert == SSL_AD_HANDSHAKE_FAILURE && stream->is_certificate_missing))
    {
        advice = ": it wants a certificate of ours, and none was given (cert-file, key-file)";
    } else if (
        alert == SSL_AD_UNKNOWN_CA || alert == SSL_AD_BAD_CERTIFICATE ||
        alert == SSL_AD_CERTIFICATE_UNKNOWN || alert == SSL_AD_CERTIFICATE_EXPIRED)
    {
        advice = ": it does not accept our certificate (cert-file)";
    } else if (alert == SSL_AD_PROTOCOL_VERSION) {
        advice = ": it has no TLS 1.2 or newer";
    }
    return fail(stream, "the server refuses TLS (%s)%s", what, advice);
}

/* A call of OpenSSL that can neither go on now nor later. */
static bool fail_by_openssl(struct tls_stream *stream)
{
    char scratch[REASON_SIZE];
    unsigned long error = take_error();
    int reason = ERR_GET_REASON(error);
    if (is_memory_error(error)) return fail(stream, "no memory for TLS");
    if (ERR_GET_LIB(error) == ERR_LIB_SSL && reason > SSL_AD_REASON_OFFSET) {
        return fail_by_alert(stream, reason - SSL_AD_REASON_OFFSET);
    }
    if (ERR_GET_LIB(error) == ERR_LIB_SSL &&
        (reason == SSL_R_WRONG_VERSION_NUMBER || reason == SSL_R_PACKET_LENGTH_TOO_LONG) &&
        !stream->is_open)
    {
        return fail(stream, "what answers there does not speak TLS");
    }
    if (error == 0) return fail(stream, "TLS failed without a reason");
    return fail(stream, "TLS: %s", reason_of(error, scratch));
}

const char *tls_stream_explain_end(const struct tls_stream *stream)
{
    if (!stream->is_open) return "the server has closed the connection during the TLS handshake";
    if (stream->has_heard || !stream->is_certificate_missing) return NULL;
    return "the server has closed the connection: it wants a certificate of ours, and none was "
           "given (cert-file, key-file)";
}

/* ------------------------------------------------------------------ a stream */

/* An address is compared as such, and must not be told to the server as a name (RFC 6066, 3). */
static bool set_name(struct tls_stream *stream)
{
    X509_VERIFY_PARAM *check = SSL_get0_param(stream->ssl);
    const char *zone = strchr(stream->name, '%');
    char number[NAME_SIZE];
    size_t size = zone == NULL ? strlen(stream->name) : (size_t)(zone - stream->name);
    memcpy(number, stream->name, size);
    number[size] = '\0';
    if (X509_VERIFY_PARAM_set1_ip_asc(check, number) == 1) return true;
    ERR_clear_error();
    X509_VERIFY_PARAM_set_hostflags(check, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    return X509_VERIFY_PARAM_set1_host(check, stream->name, 0) == 1 &&
           SSL_set_tlsext_host_name(stream->ssl, stream->name) == 1;
}

static bool set_up_stream(struct tls_stream *stream)
{
    if (stream->ssl == NULL || SSL_set_app_data(stream->ssl, stream) != 1) return false;
    stream->input = BIO_new(BIO_s_mem());
    stream->output = BIO_new(BIO_s_mem());
    if (stream->input == NULL || stream->output == NULL) {
        BIO_free(stream->input);
        BIO_free(stream->output);
        return false;
    }
    SSL_set_bio(stream->ssl, stream->input, stream->output);
    SSL_set_connect_state(stream->ssl);
    SSL_set_verify(stream->ssl, SSL_VERIFY_PEER, on_verified);
    return set_name(stream);
}

struct tls_stream *tls_stream_create(const struct tls *tls, const char *server_name)
{
    ASSERT(server_name[0] != '\0' && strlen(server_name) < NAME_SIZE);
    struct tls_stream *stream = memory_take(tls->memory, sizeof(*stream));
    if (stream == NULL) return NULL;
    *stream = (struct tls_stream){ .memory = tls->memory,
                                   .ssl = SSL_new(tls->context),
                                   .has_ca_file = tls->has_ca_file };
    (void)snprintf(stream->name, sizeof(stream->name), "%s", server_name);
    if (!set_up_stream(stream)) tls_stream_destroy(&stream);
    ERR_clear_error();
    return stream;
}

void tls_stream_destroy(struct tls_stream **stream)
{
    if (*stream == NULL) return;
    SSL_free((*stream)->ssl);
    memory_give((*stream)->memory, *stream, sizeof(**stream));
    *stream = NULL;
}

/* What OpenSSL wants to be sent. */
static bool take_output(struct tls_stream *stream, struct buffer *cipher)
{
    size_t size = BIO_ctrl_pending(stream->output);
    if (size == 0) return true;
    char *at = buffer_extend(cipher, size);
    if (at == NULL) return fail(stream, "no memory for TLS");
    size_t taken;
    bool is_taken = BIO_read_ex(stream->output, at, size, &taken) == 1 && taken == size;
    ASSERT(is_taken);
    return true;
}

static bool shake_hands(struct tls_stream *stream)
{
    int done = SSL_do_handshake(stream->ssl);
    stream->is_open = done == 1;
    if (stream->is_open || SSL_get_error(stream->ssl, done) == SSL_ERROR_WANT_READ) return true;
    return fail_by_openssl(stream);
}

static bool read_all(struct tls_stream *stream, struct buffer *plain)
{
    for (;;) {
        if (!buffer_reserve(plain, READ_SIZE)) return fail(stream, "no memory for the answer");
        size_t size;
        char *room = plain->data + plain->size;
        int done = SSL_read_ex(stream->ssl, room, plain->capacity - plain->size, &size);
        if (done == 1) {
            plain->size += size;
            stream->has_heard = true;
            continue;
        }
        int error = SSL_get_error(stream->ssl, done);
        if (error == SSL_ERROR_WANT_READ) return true;
        stream->is_ended = error == SSL_ERROR_ZERO_RETURN;
        return stream->is_ended || fail_by_openssl(stream);
    }
}

bool tls_stream_start(struct tls_stream *stream, struct buffer *cipher)
{
    ERR_clear_error();
    bool is_fine = shake_hands(stream);
    return take_output(stream, cipher) && is_fine;
}

bool tls_stream_receive(
    struct tls_stream *stream, struct bytes input, struct buffer *plain, struct buffer *cipher)
{
    size_t size;
    if (stream->text[0] != '\0') return false;
    ERR_clear_error();
    if (BIO_write_ex(stream->input, input.data, input.size, &size) != 1 || size != input.size) {
        return fail_by_openssl(stream);
    }
    bool is_fine = stream->is_open || shake_hands(stream);
    if (is_fine && stream->is_open) is_fine = read_all(stream, plain);
    return take_output(stream, cipher) && is_fine;
}

bool tls_stream_send(struct tls_stream *stream, struct bytes plain, struct buffer *cipher)
{
    size_t size;
    ASSERT(stream->is_open && plain.size > 0);
    if (stream->text[0] != '\0') return false;
    ERR_clear_error();
    /* Memory never says that it wants to be waited for. */
    if (SSL_write_ex(stream->ssl, plain.data, plain.size, &size) != 1 || size != plain.size) {
        return fail_by_openssl(stream);
    }
    return take_output(stream, cipher);
}

bool tls_stream_is_open(const struct tls_stream *stream)
{
    return stream->is_open && stream->text[0] == '\0';
}

bool tls_stream_is_ended(const struct tls_stream *stream)
{
    return stream->is_ended;
}

const char *tls_stream_text(const struct tls_stream *stream)
{
    return stream->text;
}
