/* connection_private - what net.c needs of a connection. */
#ifndef TENURE_NET_CONNECTION_PRIVATE_H
#define TENURE_NET_CONNECTION_PRIVATE_H

#include "net/connection.h"

/* Open the gates up to net->durable. */
void connection_release(struct connection *connection);
/* Send what was released.  May end the connection, which changes the lists of net; on_closed comes
 * from the loop, later. */
void connection_flush(struct connection *connection);

#endif
