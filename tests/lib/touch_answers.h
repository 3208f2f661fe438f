/* touch_answers - read every byte that the answers of an update point at.
 *
 * A sanitizer then sees what is gone already; what is returned keeps the compiler from leaving it
 * out. */
#ifndef TENURE_TESTS_LIB_TOUCH_ANSWERS_H
#define TENURE_TESTS_LIB_TOUCH_ANSWERS_H

#include "engine/update.h"

static inline uint32_t touch_bytes(struct bytes bytes)
{
    uint32_t sum = 0;
    for (size_t index = 0; index < bytes.size; index++) {
        sum = sum * 31 + (uint8_t)bytes.data[index];
    }
    return sum;
}

static inline uint32_t touch_item(const struct engine_item_view *item)
{
    return touch_bytes(item->queue) + touch_bytes(item->id) + touch_bytes(item->group) +
           touch_bytes(item->body) + touch_bytes(item->headers) + touch_bytes(item->unique) +
           touch_bytes(item->note) + touch_bytes(item->worker);
}

static inline uint32_t touch_hold(const struct engine_hold_view *hold)
{
    return touch_bytes(hold->name) + touch_bytes(hold->owner) + touch_bytes(hold->meta);
}

static inline uint32_t touch_change(const struct engine_change_result *result)
{
    return touch_bytes(result->value.name) + touch_bytes(result->value.value) +
           touch_bytes(result->value.lock);
}

static inline uint32_t touch_answers(const struct engine_update *update)
{
    uint32_t sum = 0;
    for (uint32_t index = 0; index < update->reply_count; index++) {
        const struct engine_reply *reply = &update->replies[index];
        sum += touch_bytes(reply->fault_name);
        for (uint32_t at = 0; at < reply->result_count; at++) {
            const struct engine_result *result = &reply->results[at];
            sum += touch_bytes(result->name) + touch_hold(&result->hold);
            sum += touch_hold(&result->holder);
        }
        for (uint32_t at = 0; at < reply->item_count; at++) {
            sum += touch_item(&reply->items[at].item);
        }
        for (uint32_t at = 0; at < reply->change_count; at++) {
            sum += touch_change(&reply->changes[at]);
        }
    }
    return sum;
}

#endif
