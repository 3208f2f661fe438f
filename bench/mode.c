#include "mode.h"

static const struct mode *const modes[] = {
    &mode_redis,       &mode_tenured_resp, &mode_tenured_http, &mode_etcd,       &mode_get_http,
    &mode_renew,       &mode_hold,         &mode_redis_hold,   &mode_redis_vote, &mode_queue,
    &mode_queue_put,   &mode_queue_fill,   &mode_queue_take,   &mode_queue_work, &mode_bean,
    &mode_redis_rpush, &mode_state_set,    &mode_state_fill,   &mode_redis_set,
};

const struct mode *mode_at(size_t index)
{
    return index < sizeof(modes) / sizeof(modes[0]) ? modes[index] : NULL;
}

const struct mode *mode_find(const char *name)
{
    for (size_t i = 0; mode_at(i) != NULL; i++) {
        if (strcmp(modes[i]->name, name) == 0) return modes[i];
    }
    return NULL;
}

void mode_digits_write(char *out_text, size_t size, uint64_t value)
{
    for (size_t i = size; i > 0; i--) {
        out_text[i - 1] = (char)('0' + value % 10);
        value /= 10;
    }
}

static void write_hex(char *out_text, size_t size, uint64_t value)
{
    for (size_t i = size; i > 0; i--) {
        out_text[i - 1] = "0123456789abcdef"[value % 16];
        value /= 16;
    }
}

/* bench/lock/000000042 */
void mode_name_write(
    const struct mode_run *run,
    const struct mode_slot *slot,
    uint64_t turn,
    char out_name[static MODE_NAME_SIZE])
{
    memcpy(out_name, "bench/lock/", 11);
    mode_digits_write(out_name + 11, 9, slot->index + run->slot_count * (turn % slot->turns));
}

/* bench-1f2e3d4c-00042-0000000007 */
void mode_owner_write(
    const struct mode_run *run,
    const struct mode_slot *slot,
    uint64_t turn,
    char out_owner[static MODE_OWNER_SIZE])
{
    memcpy(out_owner, "bench-", 6);
    write_hex(out_owner + 6, 8, run->run_id);
    out_owner[14] = '-';
    mode_digits_write(out_owner + 15, 5, slot->index);
    out_owner[20] = '-';
    mode_digits_write(out_owner + 21, 10, turn);
}
