#include "net/net.h"

#include "net/connection.h"
#include "net/connection_private.h"

bool net_init(struct net *net, uv_loop_t *loop, const struct memory *memory)
{
    *net = (struct net){ .loop = loop, .memory = memory };
    list_init(&net->gated);
    list_init(&net->ready);
    net->scratch = memory_take(memory, NET_SCRATCH_SIZE);
    return net->scratch != NULL;
}

void net_deinit(struct net *net)
{
    ASSERT(list_is_empty(&net->gated) && list_is_empty(&net->ready));
    memory_give(net->memory, net->scratch, NET_SCRATCH_SIZE);
    net->scratch = NULL;
}

void net_offer(struct net *net, struct seq offered)
{
    ASSERT(offered.value >= net->offered.value);
    net->offered = offered;
}

void net_release(struct net *net, struct seq durable)
{
    ASSERT(durable.value >= net->durable.value);
    if (durable.value == net->durable.value) return;
    net->durable = durable;
    if (net->offered.value < durable.value) net->offered = durable;
    list_foreach_safe(node, following, &net->gated) {
        connection_release(CONTAINER_OF(node, struct connection, gated));
    }
}

void net_flush(struct net *net)
{
    /* What becomes ready meanwhile (a drained follower goes on) is for the next turn. */
    struct list batch;
    list_init(&batch);
    struct list *node;
    while ((node = list_first(&net->ready)) != NULL) {
        list_remove(node);
        list_append(&batch, node);
    }
    while ((node = list_first(&batch)) != NULL) {
        connection_flush(CONTAINER_OF(node, struct connection, ready));
    }
}
