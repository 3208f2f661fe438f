/* address - which Redis servers, and how to speak to them: the URL of a store on Redis.
 *
 *     redis://[USER[:PASSWORD]@]HOST[:PORT][,HOST[:PORT]...][/DB][?OPTIONS]         rediss:// with
 * TLS redis+unix:///PATH[,/PATH...][?OPTIONS]
 *     redis+sentinel://[USER[:PASSWORD]@]HOST[:PORT][,...]/MASTER[/DB][?OPTIONS] rediss+sentinel://
 *
 *     user=NAME  password-file=PATH  sentinel-user=NAME  sentinel-password-file=PATH
 *     ca-file=PATH  cert-file=PATH  key-file=PATH  server-name=NAME      with TLS
 *     ttl-max=60s  new=yes
 *
 * A URL is full of secrets: no text of an error repeats any part of it. */
#ifndef TENURE_STORE_REDIS_ADDRESS_H
#define TENURE_STORE_REDIS_ADDRESS_H

#include "quorum/wire.h"
#include "store/link.h"

struct redis_address {
    bool is_sentinel;
    bool is_tls;
    bool is_new;    /* nothing was ever locked here: the first start need not wait */
    uint32_t count; /* nodes: 1, 3, 5 or 7; or sentinels: 1 … 7 */
    struct link_address nodes[QUORUM_NODE_COUNT_MAX];
    char master[128]; /* the sentinels' name for it */
    char user[128];   /* "": none, as in all that follow */
    char password[256];
    char sentinel_user[128];
    char sentinel_password[256];
    char ca_file[256]; /* "": those of the system */
    char cert_file[256];
    char key_file[256];
    char server_name[256]; /* "": the host of each node */
    uint32_t database;
    uint32_t ttl_ms_max;
};

/* A scheme of this backend? */
bool tni_redis_knows(const char *url);
/* The scheme is one of those above.  Reads the files with passwords, their first lines.
 * TENURE_INVALID, with a text that says what is wrong. */
MUST_USE enum tenure_err tni_redis_parse_url(
    const char *url, struct redis_address *out_address, struct tenure_error *out_error);
/* Nothing of its secrets stays in memory. */
void tni_redis_address_wipe(struct redis_address *address);
/* For people: the URL, well formed or not, without its password, cut to `text_size`. */
void tni_redis_show_url(const char *url, char *out_text, size_t text_size);

#endif
