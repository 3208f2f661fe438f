/* notify - tell the service manager how far we are: the datagram of sd_notify(3). */
#ifndef TENURE_SERVER_NOTIFY_H
#define TENURE_SERVER_NOTIFY_H

/* "READY=1", "STOPPING=1".  Nothing happens when nobody has asked for it ($NOTIFY_SOCKET). */
void notify_send(const char *state);

#endif
