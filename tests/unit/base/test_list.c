#include "base/list.h"
#include "lib/test.h"

struct letter {
    char value;
    struct list link;
};

static void check_letters(const struct list *head, const char *expected)
{
    char text[16] = { 0 };
    size_t size = 0;
    list_foreach(node, head) {
        CHECK(node->next->previous == node);
        text[size++] = CONTAINER_OF(node, struct letter, link)->value;
    }
    CHECK_EQ_TEXT(text, expected);
}

TEST(list_keeps_order)
{
    struct list head;
    struct letter letters[4] = {
        { .value = 'a' }, { .value = 'b' }, { .value = 'c' }, { .value = 'd' }
    };
    list_init(&head);
    for (int i = 0; i < 4; i++)
        list_init(&letters[i].link);
    CHECK(list_is_empty(&head));
    CHECK(list_first(&head) == NULL);

    list_append(&head, &letters[0].link);
    list_append(&head, &letters[1].link);
    list_append(&head, &letters[2].link);
    check_letters(&head, "abc");
    list_insert_before(&letters[1].link, &letters[3].link);
    check_letters(&head, "adbc");
    list_remove(&letters[0].link);
    check_letters(&head, "dbc");
    CHECK(list_is_empty(&letters[0].link));
    list_remove(&letters[0].link);
    list_append(&head, &letters[0].link);
    check_letters(&head, "dbca");
    CHECK(list_first(&head) == &letters[3].link);
}

TEST(list_foreach_safe_may_empty_the_list)
{
    struct list head;
    struct letter letters[3] = { { .value = 'a' }, { .value = 'b' }, { .value = 'c' } };
    list_init(&head);
    for (int i = 0; i < 3; i++) {
        list_init(&letters[i].link);
        list_append(&head, &letters[i].link);
    }
    int count = 0;
    list_foreach_safe(node, following, &head) {
        list_remove(node);
        count++;
    }
    CHECK_EQ_INT(count, 3);
    CHECK(list_is_empty(&head));
}

static void append_twice(void *user)
{
    struct list *lists = user;
    list_append(&lists[0], &lists[1]);
}

TEST(list_node_in_two_lists_aborts)
{
    struct list lists[2];
    list_init(&lists[0]);
    list_init(&lists[1]);
    list_append(&lists[0], &lists[1]);
    CHECK_ABORTS(append_twice, lists);
}
