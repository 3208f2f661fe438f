#include <tenure/adapter/epoll.h>

#include <unistd.h>

#include "integration/adapters/loop.h"

static int epoll_fd;
static struct tenure_epoll tenure;

enum tenure_err loop_open(struct tenure_client client)
{
    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    enum tenure_err err = tenure_epoll_attach(&tenure, epoll_fd, client);
    if (err != TENURE_OK) (void)close(epoll_fd);
    return err;
}

void loop_turn(void)
{
    struct epoll_event event;
    int count = epoll_wait(epoll_fd, &event, 1, -1);
    if (count != 1 || !tenure_epoll_is_mine(&tenure, &event)) return;
    (void)!tenure_client_dispatch(tenure.client);
}

void loop_detach(void)
{
    tenure_epoll_detach(&tenure);
}

void loop_close(void)
{
    (void)close(epoll_fd);
}
