/* loop - one event loop of those that there are adapters for, as test_adapters.c drives it.  Each
 * program has one: their headers do not go together. */
#ifndef TENURE_TESTS_INTEGRATION_ADAPTERS_LOOP_H
#define TENURE_TESTS_INTEGRATION_ADAPTERS_LOOP_H

#include <tenure/tenure.h>

/* A new loop, with the client attached.  What attaching answers. */
enum tenure_err loop_open(struct tenure_client client);
/* Wait until something happens, and handle it. */
void loop_turn(void);
/* May be called from inside a callback. */
void loop_detach(void);
/* The client is detached. */
void loop_close(void);

#endif
