/* certificate - what is wrong with the certificate of a server, for people.
 *
 * What it says of itself is not to be believed, it may be anybody's; what is not printable is not
 * repeated. */
#ifndef TENURE_NET_CERTIFICATE_H
#define TENURE_NET_CERTIFICATE_H

#include <openssl/x509_vfy.h>
#include <stdbool.h>
#include <stddef.h>

/* `check` has just failed.  `server_name` is what the certificate should be for. */
void certificate_explain(
    X509_STORE_CTX *check,
    const char *server_name,
    bool has_ca_file,
    char *out_text,
    size_t text_size);

#endif
