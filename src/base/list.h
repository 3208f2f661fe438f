/* list - an intrusive, circular, doubly linked list.  A node is in at most one list; a node that is
 * in none points at itself.  The list owns nothing. */
#ifndef TENURE_BASE_LIST_H
#define TENURE_BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>

#include "base/assert.h"

struct list {
    struct list *next;
    struct list *previous;
};

#define CONTAINER_OF(pointer, type, member)                                                        \
    ((type *)(void *)((char *)(pointer)-offsetof(type, member)))

#define CONTAINER_OF_CONST(pointer, type, member)                                                  \
    ((const type *)(const void *)((const char *)(pointer)-offsetof(type, member)))

static inline void list_init(struct list *node)
{
    node->next = node;
    node->previous = node;
}

static inline bool list_is_empty(const struct list *head)
{
    return head->next == head;
}

/* Put `node` right before `position`; before the head means at the end. */
static inline void list_insert_before(struct list *position, struct list *node)
{
    ASSERT(list_is_empty(node));
    node->next = position;
    node->previous = position->previous;
    position->previous->next = node;
    position->previous = node;
}

static inline void list_append(struct list *head, struct list *node)
{
    list_insert_before(head, node);
}

/* Accepts a node that is in no list. */
static inline void list_remove(struct list *node)
{
    node->previous->next = node->next;
    node->next->previous = node->previous;
    list_init(node);
}

/* The first node, or NULL. */
static inline struct list *list_first(const struct list *head)
{
    return list_is_empty(head) ? NULL : head->next;
}

#define list_foreach(node, head)                                                                   \
    for (struct list *node = (head)->next; node != (head); node = node->next)

/* The current node may be removed inside the loop. */
#define list_foreach_safe(node, following, head)                                                   \
    for (struct list *node = (head)->next, *following = node->next; node != (head);                \
         node = following, following = node->next)

#endif
