#include "net/certificate.h"

#include <arpa/inet.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define NAME_SIZE  72u
#define NAMES_SIZE 100u

static void make_printable(char *text)
{
    for (; *text != '\0'; text++) {
        if (*text < ' ' || *text > '~') *text = '?';
    }
}

/* "/O=Somebody/CN=host" */
static void show_subject(const X509 *certificate, char out_text[static NAME_SIZE])
{
    if (X509_NAME_oneline(X509_get_subject_name(certificate), out_text, (int)NAME_SIZE) == NULL) {
        out_text[0] = '\0';
    }
    make_printable(out_text);
}

static void show_time(const ASN1_TIME *time, char out_text[static NAME_SIZE])
{
    struct tm parts;
    if (ASN1_TIME_to_tm(time, &parts) != 1 ||
        strftime(out_text, NAME_SIZE, "%Y-%m-%d %H:%M UTC", &parts) == 0)
    {
        (void)snprintf(out_text, NAME_SIZE, "a time that cannot be read");
    }
}

/* A name of the kinds that are compared; "" else. */
static void show_name(const GENERAL_NAME *name, char out_text[static NAME_SIZE])
{
    out_text[0] = '\0';
    if (name->type != GEN_DNS && name->type != GEN_IPADD) return;
    const ASN1_STRING *value = name->type == GEN_DNS ? name->d.dNSName : name->d.iPAddress;
    const unsigned char *data = ASN1_STRING_get0_data(value);
    int size = ASN1_STRING_length(value);
    if (name->type == GEN_DNS) {
        (void)snprintf(out_text, NAME_SIZE, "%.*s", size, (const char *)data);
    } else if (size == 4 || size == 16) {
        (void)inet_ntop(size == 4 ? AF_INET : AF_INET6, data, out_text, NAME_SIZE);
    }
    make_printable(out_text);
}

/* Those that it is for, as far as there is room. */
static void show_names(const X509 *certificate, char out_text[static NAMES_SIZE])
{
    char name[NAME_SIZE];
    size_t used = 0;
    GENERAL_NAMES *names = X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL);
    for (int index = 0; index < sk_GENERAL_NAME_num(names); index++) {
        show_name(sk_GENERAL_NAME_value(names, index), name);
        if (name[0] == '\0' || used + strlen(name) + 3 > NAMES_SIZE) continue;
        const char *comma = used > 0 ? ", " : "";
        used += (size_t)snprintf(out_text + used, NAMES_SIZE - used, "%s%s", comma, name);
    }
    sk_GENERAL_NAME_pop_free(names, GENERAL_NAME_free);
    if (used > 0) return;
    show_subject(certificate, name);
    (void)snprintf(out_text, NAMES_SIZE, "%s", name);
}

/* It may be one further up that is the trouble; people know the one of the server. */
static void explain_trust(
    X509_STORE_CTX *check, bool has_ca_file, const char *reason, char *out_text, size_t text_size)
{
    char subject[NAME_SIZE];
    show_subject(X509_STORE_CTX_get0_cert(check), subject);
    (void)snprintf(
        out_text,
        text_size,
        "no root %s vouches for the server's certificate (%s, %s): %s",
        has_ca_file ? "in the ca-file" : "of this system",
        subject,
        reason,
        has_ca_file ? "is it the right ca-file?" : "give its ca-file");
}

void certificate_explain(
    X509_STORE_CTX *check,
    const char *server_name,
    bool has_ca_file,
    char *out_text,
    size_t text_size)
{
    const X509 *certificate = X509_STORE_CTX_get_current_cert(check);
    int error = X509_STORE_CTX_get_error(check);
    const char *reason = X509_verify_cert_error_string(error);
    char subject[NAME_SIZE] = "unknown";
    char names[NAMES_SIZE];
    char time[NAME_SIZE];
    if (certificate != NULL) show_subject(certificate, subject);
    switch (error) {
    case X509_V_ERR_HOSTNAME_MISMATCH:
    case X509_V_ERR_IP_ADDRESS_MISMATCH:
        if (certificate == NULL) break;
        show_names(certificate, names);
        (void)snprintf(
            out_text,
            text_size,
            "the server's certificate is for %s, not for %.80s: name it so, or give its "
            "server-name",
            names,
            server_name);
        return;
    case X509_V_ERR_CERT_HAS_EXPIRED:
        if (certificate == NULL) break;
        show_time(X509_get0_notAfter(certificate), time);
        (void)snprintf(
            out_text, text_size, "the certificate %s has expired, at %s: renew it", subject, time);
        return;
    case X509_V_ERR_CERT_NOT_YET_VALID:
        if (certificate == NULL) break;
        show_time(X509_get0_notBefore(certificate), time);
        (void)snprintf(
            out_text,
            text_size,
            "the certificate %s is not valid before %s: is a clock wrong?",
            subject,
            time);
        return;
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
        explain_trust(check, has_ca_file, reason, out_text, text_size);
        return;
    default: break;
    }
    (void)snprintf(out_text, text_size, "the server's certificate (%s): %s", subject, reason);
}
