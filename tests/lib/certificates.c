#include "lib/certificates.h"

#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>

#include "lib/test.h"

static void extend(X509 *certificate, X509 *issuer, int kind, const char *value)
{
    X509V3_CTX context;
    X509V3_set_ctx_nodb(&context);
    X509V3_set_ctx(&context, issuer, certificate, NULL, NULL, 0);
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &context, kind, value);
    CHECK(extension != NULL);
    CHECK_EQ_INT(X509_add_ext(certificate, extension, -1), 1);
    X509_EXTENSION_free(extension);
}

struct test_identity test_identity_make(const struct test_identity_options *options)
{
    static long serial = 1;
    struct test_identity identity = { X509_new(), EVP_EC_gen("P-256") };
    const struct test_identity *authority = options->authority;
    CHECK(identity.certificate != NULL && identity.key != NULL);
    if (authority == NULL) authority = &identity;
    bool is_dated = options->begins_s != 0 || options->ends_s != 0;
    X509 *certificate = identity.certificate;
    CHECK_EQ_INT(X509_set_version(certificate, 2), 1);
    CHECK_EQ_INT(ASN1_INTEGER_set(X509_get_serialNumber(certificate), serial++), 1);
    CHECK(X509_gmtime_adj(X509_getm_notBefore(certificate), is_dated ? options->begins_s : -3600));
    CHECK(X509_gmtime_adj(X509_getm_notAfter(certificate), is_dated ? options->ends_s : 3600));
    X509_NAME *name = X509_get_subject_name(certificate);
    const unsigned char *text = (const unsigned char *)options->name;
    CHECK_EQ_INT(X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, text, -1, -1, 0), 1);
    CHECK_EQ_INT(
        X509_set_issuer_name(certificate, X509_get_subject_name(authority->certificate)), 1);
    CHECK_EQ_INT(X509_set_pubkey(certificate, identity.key), 1);
    bool is_authority = options->authority == NULL;
    extend(
        certificate,
        authority->certificate,
        NID_basic_constraints,
        is_authority ? "critical,CA:TRUE" : "CA:FALSE");
    if (options->alternatives != NULL) {
        extend(certificate, authority->certificate, NID_subject_alt_name, options->alternatives);
    }
    CHECK(X509_sign(certificate, authority->key, EVP_sha256()) > 0);
    return identity;
}

void test_identity_free(struct test_identity *identity)
{
    X509_free(identity->certificate);
    EVP_PKEY_free(identity->key);
    *identity = (struct test_identity){ NULL, NULL };
}

void test_identity_write_certificate(const struct test_identity *identity, const char *path)
{
    FILE *file = fopen(path, "we");
    CHECK(file != NULL);
    CHECK_EQ_INT(PEM_write_X509(file, identity->certificate), 1);
    CHECK_EQ_INT(fclose(file), 0);
}

void test_identity_write_key(
    const struct test_identity *identity, const char *path, const char *passphrase)
{
    FILE *file = fopen(path, "we");
    CHECK(file != NULL);
    const EVP_CIPHER *cipher = passphrase == NULL ? NULL : EVP_aes_128_cbc();
    int size = passphrase == NULL ? 0 : (int)strlen(passphrase);
    CHECK_EQ_INT(
        PEM_write_PKCS8PrivateKey(file, identity->key, cipher, passphrase, size, NULL, NULL), 1);
    CHECK_EQ_INT(fclose(file), 0);
}
