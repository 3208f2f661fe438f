/* store_url - what of a store's URL may be shown: all but the password. */
#ifndef TENURE_SERVER_STORE_URL_H
#define TENURE_SERVER_STORE_URL_H

#include <stdbool.h>
#include <stddef.h>

/* SCHEME://USER:PASSWORD@… or SCHEME://:PASSWORD@… */
bool store_url_has_password(const char *url);
/* The same without it; what does not fit is cut off.  Rather too much is left out than too little:
 * of a URL that is wrong, nothing from the first colon of its users' part to its last "@" is shown.
 */
void store_url_show(const char *url, char *out_text, size_t size);

#endif
