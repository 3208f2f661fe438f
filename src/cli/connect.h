/* connect - open the client of a command, and turn outcomes into words and exit codes. */
#ifndef TENURE_CLI_CONNECT_H
#define TENURE_CLI_CONNECT_H

#include <tenure/tenure.h>

#include "cli/options.h"

/* The client for these options.  False: complained; `*out_exit_code` says how to end. */
bool connect_open(
    const struct command *command,
    const struct store_options *store,
    struct tenure_client *out_client,
    int *out_exit_code);

/* The URL with which others reach the same store: as it was given, secrets and all.  "" where it
 * does not fit. */
void connect_url(
    const struct store_options *store, struct tenure_client client, char *out_url, size_t url_size);

/* Complain about an error of the library's and say what to do; the exit code to end with. */
int connect_complain(
    const struct command *command, enum tenure_err err, const struct tenure_error *error);

#endif
