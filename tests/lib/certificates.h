/* certificates - authorities, and certificates that they have signed, made on the spot.
 *
 * What cannot be made fails the test. */
#ifndef TENURE_TESTS_LIB_CERTIFICATES_H
#define TENURE_TESTS_LIB_CERTIFICATES_H

#include <openssl/x509.h>

struct test_identity {
    X509 *certificate;
    EVP_PKEY *key;
};

struct test_identity_options {
    const struct test_identity *authority; /* NULL: it is one, and signs itself */
    const char *name;                      /* CN */
    const char *alternatives;              /* "DNS:a,IP:127.0.0.1"; NULL: none */
    long begins_s;                         /* from now, an hour ago where both are 0 … */
    long ends_s;                           /* … until in an hour */
};

struct test_identity test_identity_make(const struct test_identity_options *options);
void test_identity_free(struct test_identity *identity);
/* PEM files. */
void test_identity_write_certificate(const struct test_identity *identity, const char *path);
/* A passphrase encrypts it; NULL: none. */
void test_identity_write_key(
    const struct test_identity *identity, const char *path, const char *passphrase);

#endif
