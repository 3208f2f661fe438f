/* All locks, in the order of their names: the names that any node knows, then a look at each. */
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "store/redis/cluster.h"

#define PREFIX "tenure:{"
#define SUFFIX "}:fence"

/* More names than anybody reads. */
#define NAME_COUNT_MAX ((uint32_t)1 << 20)

void tni_redis_start_list(struct redis *redis, struct store_op *op)
{
    const struct store_claim texts = { 0 };
    if (tni_redis_work_create(redis, WORK_LIST, op, &texts, NULL) == NULL) {
        tni_redis_end_soon(redis, op, TENURE_NO_MEMORY, NULL);
    }
}

static void end_with(struct redis_work *work, enum tenure_err err, const char *text)
{
    bool is_again = err == TENURE_UNAVAILABLE && tni_redis_try_again(work);
    if (!is_again) tni_redis_work_fail(work, err, text);
    tni_redis_work_end(work);
}

/* ------------------------------------------------------------------ the names */

/* What SCAN takes for a pattern must stand for itself. */
static void write_pattern(struct redis_work *work)
{
    struct buffer *pattern = &work->scan.pattern;
    const char *prefix = work->op->request.as.list.prefix;
    buffer_reset(pattern);
    buffer_append_bytes(pattern, BYTES_LITERAL(PREFIX));
    for (const char *each = prefix == NULL ? "" : prefix; *each != '\0'; each++) {
        if (strchr("*?[]\\^-", *each) != NULL) buffer_append_byte(pattern, '\\');
        buffer_append_byte(pattern, *each);
    }
    buffer_append_bytes(pattern, BYTES_LITERAL("*" SUFFIX));
}

void tni_redis_list_begin(struct redis_work *work)
{
    struct redis *redis = work->redis;
    struct redis_scan *scan = &work->scan;
    scan->open_count = 0;
    scan->told_count = 0;
    scan->name_count = 0;
    scan->name_index = 0;
    buffer_reset(&scan->names);
    buffer_reset(&scan->order);
    work->as.look.until = (struct mono){ INT64_MAX };
    write_pattern(work);
    if (scan->pattern.is_failed) {
        end_with(work, TENURE_NO_MEMORY, NULL);
        return;
    }
    for (uint32_t node = 0; node < redis->node_count; node++) {
        struct bytes pattern = buffer_bytes(&scan->pattern);
        struct bytes start = BYTES_LITERAL("0");
        scan->open_count += tni_redis_node_is_up(&redis->nodes[node]) &&
                            tni_redis_node_scan(&redis->nodes[node], work, start, pattern);
    }
    if (scan->open_count == 0) end_with(work, TENURE_UNAVAILABLE, NULL);
}

static int compare(const void *left, const void *right)
{
    const char *const *left_name = left;
    const char *const *right_name = right;
    return strcmp(*left_name, *right_name);
}

/* False: no memory. */
static bool sort_names(struct redis_scan *scan)
{
    if (scan->names.is_failed) return false;
    if (scan->name_count == 0) return true;
    const char **order = (void *)buffer_extend(&scan->order, scan->name_count * sizeof(char *));
    if (order == NULL) return false;
    const char *name = scan->names.data;
    for (uint32_t index = 0; index < scan->name_count; index++) {
        order[index] = name;
        name += strlen(name) + 1;
    }
    qsort(order, scan->name_count, sizeof(order[0]), compare);
    uint32_t count = 0;
    for (uint32_t index = 0; index < scan->name_count; index++) {
        if (count > 0 && strcmp(order[count - 1], order[index]) == 0) continue;
        order[count++] = order[index];
    }
    scan->name_count = count;
    return true;
}

static void look_at_next(struct redis_work *work)
{
    struct redis_scan *scan = &work->scan;
    if (scan->name_index == scan->name_count) {
        const struct store_result result = { .err = TENURE_OK };
        tni_redis_work_finish(work, &result);
        tni_redis_work_end(work);
        return;
    }
    const char *const *order = (const void *)scan->order.data;
    tni_redis_look_begin(work, bytes_from_text(order[scan->name_index]));
}

static void scan_ended(struct redis_work *work)
{
    struct redis_scan *scan = &work->scan;
    if (--scan->open_count > 0) return;
    if (scan->told_count < quorum_majority(work->redis->node_count)) {
        end_with(work, TENURE_UNAVAILABLE, NULL);
    } else if (!sort_names(scan)) {
        end_with(work, TENURE_NO_MEMORY, NULL);
    } else {
        look_at_next(work);
    }
}

static void add_name(struct redis_scan *scan, const char *key)
{
    size_t size = strlen(key);
    bool is_name = size > sizeof(PREFIX SUFFIX) - 1 && scan->name_count < NAME_COUNT_MAX;
    if (!is_name) return;
    struct bytes name = { key + sizeof(PREFIX) - 1, size - (sizeof(PREFIX SUFFIX) - 1) };
    /* Whoever may write to the nodes may have written anything. */
    bool is_good =
        name.size <= LIMIT_NAME_SIZE_MAX && utf8_is_plain(name) && quorum_name_is_free(name);
    if (!is_good) return;
    buffer_append_bytes(&scan->names, name);
    buffer_append_byte(&scan->names, '\0');
    scan->name_count++;
}

void tni_redis_scan_answer(struct redis_work *work, uint32_t node, struct reply *reply)
{
    char cursor[DECIMAL_SIZE_MAX + 1];
    uint64_t number = 0;
    if (tni_reply_array(reply) != 2) reply->is_bad = true;
    bool is_number = decimal_parse(bytes_from_text(tni_reply_text_or_empty(reply)), &number);
    uint32_t count = tni_reply_array(reply);
    for (uint32_t index = 0; index < count && !reply->is_bad; index++) {
        add_name(&work->scan, tni_reply_text_or_empty(reply));
    }
    if (reply->is_bad || !is_number) {
        scan_ended(work);
        return;
    }
    struct bytes next = { cursor, decimal_format(number, cursor) };
    struct bytes pattern = buffer_bytes(&work->scan.pattern);
    if (number != 0) {
        bool is_sent = tni_redis_node_scan(&work->redis->nodes[node], work, next, pattern);
        if (!is_sent) scan_ended(work);
        return;
    }
    work->scan.told_count++;
    scan_ended(work);
}

void tni_redis_scan_refused(struct redis_work *work)
{
    scan_ended(work);
}

/* ------------------------------------------------------------------ the locks */

static bool is_wanted(const struct store_request *request, const struct store_lock_view *view)
{
    const char *owner = request->as.list.owner;
    if (request->as.list.is_waited && view->waiter_count == 0) return false;
    if (owner == NULL) return true;
    if (view->holder_count > 0 && strcmp(view->holders[0].owner, owner) == 0) return true;
    for (uint32_t index = 0; index < view->waiters_here; index++) {
        if (strcmp(view->waiters[index].owner, owner) == 0) return true;
    }
    return false;
}

void tni_redis_list_seen(struct redis_work *work)
{
    struct store_op *op = work->op;
    struct redis_scan *scan = &work->scan;
    const char *const *order = (const void *)scan->order.data;
    const char *name = order[scan->name_index];
    struct store_lock_view view;
    uint64_t use = work->use;
    enum tenure_err err = tni_redis_look_result(work, name, &view);
    if (err == TENURE_OK && is_wanted(&op->request, &view)) op->item(op, &view);
    if (work->use != use) return; /* it was canceled in there */
    if (err != TENURE_OK && err != TENURE_NOT_FOUND) {
        /* Some have been told already: it cannot be done again. */
        tni_redis_work_fail(work, err, NULL);
        tni_redis_work_end(work);
        return;
    }
    scan->name_index++;
    look_at_next(work);
}
