/* tls - the client's side of TLS over bytes that somebody else moves: ciphertext in, plaintext out,
 * and the other way round.
 *
 * `struct tls` says whom we trust and who we are; any number of streams stand on it.  At least TLS
 * 1.2, no renegotiation, no resumption.  The certificate of the server is always verified, and so
 * is the name in it; there is no way to switch that off.
 *
 * A stream knows no sockets: OpenSSL reads from and writes to memory.  Failure is final and has a
 * text that says which check failed and what to do about it; the alert for the peer is output like
 * any other.
 *
 * Not for several threads. */
#ifndef TENURE_NET_TLS_H
#define TENURE_NET_TLS_H

#include <tenure/error.h>

#include "base/buffer.h"

struct tls;
struct tls_stream;

struct tls_options {
    const struct memory *memory; /* OpenSSL has its own beside it */
    const char *ca_file;         /* "" or NULL: the roots of the system */
    const char *cert_file;       /* ours, and those between it and the root; "" or NULL: none */
    const char *key_file;        /* of cert_file; together or not at all; without a passphrase */
};

/* Reads the files.  INVALID: one of them is not usable, the text says which and why; NO_MEMORY. */
MUST_USE enum tenure_err
tls_create(const struct tls_options *options, struct tls **out_tls, struct tenure_error *out_error);
/* Streams live on.  Accepts NULL; nulls the pointer. */
void tls_destroy(struct tls **tls);

/* `server_name` is what the certificate must be for: a host, which is told to the server, too, or a
 * numeric address.  NULL when there is no memory. */
MUST_USE struct tls_stream *tls_stream_create(const struct tls *tls, const char *server_name);
/* Accepts NULL; nulls the pointer. */
void tls_stream_destroy(struct tls_stream **stream);

/* The first words to the server are appended to `cipher`.  False: it failed. */
MUST_USE bool tls_stream_start(struct tls_stream *stream, struct buffer *cipher);
/* Ciphertext has come: what it says is appended to `plain`, what must be answered to `cipher`, also
 * on failure.  False: it failed, with all that came before in `plain`. */
MUST_USE bool tls_stream_receive(
    struct tls_stream *stream, struct bytes input, struct buffer *plain, struct buffer *cipher);
/* Encrypt for the server; only while the stream is open.  False: it failed. */
MUST_USE bool tls_stream_send(struct tls_stream *stream, struct bytes plain, struct buffer *cipher);

/* The handshake is done, and nothing has failed. */
bool tls_stream_is_open(const struct tls_stream *stream);
/* The server has said that nothing more comes. */
bool tls_stream_is_ended(const struct tls_stream *stream);
/* How it failed. */
const char *tls_stream_text(const struct tls_stream *stream);
/* Why the server may have closed the connection without a word; NULL: TLS is not to blame. */
const char *tls_stream_explain_end(const struct tls_stream *stream);

#endif
