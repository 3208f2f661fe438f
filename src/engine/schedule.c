#include "engine/schedule.h"

#include "base/decimal.h"
#include "base/utf8.h"
#include "engine/codec.h"

#define FORMAT    1u
#define SECOND_US INT64_C(1000000)

static bool is_zone_name(struct bytes zone)
{
    for (size_t index = 0; index < zone.size; index++) {
        char c = zone.data[index];
        bool is_good = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                       c == '_' || c == '+' || c == '-' ||
                       (c == '/' && index > 0); /* no dots: it is part of a path */
        if (!is_good) return false;
    }
    return zone.size <= SCHEDULE_ZONE_SIZE_MAX;
}

const char *schedule_find_fault(const struct schedule *schedule)
{
    struct cron cron;
    struct bytes name = schedule->name;
    if (name.size == 0 || name.size > SCHEDULE_NAME_SIZE_MAX || !utf8_is_plain(name)) {
        return "name: 1 to 200 bytes of UTF-8 without control characters";
    }
    if (!is_zone_name(schedule->zone)) return "zone: a name of the time zone database";
    bool has_count =
        schedule->policy.run_count_max >= 1 && schedule->policy.run_count_max <= CRON_RUN_COUNT_MAX;
    if (schedule->policy.missed > CRON_ALL || !has_count) {
        return "missed: skip, once, or all; of at most 1 to 100 runs";
    }
    if (schedule->item.body.size > SCHEDULE_BODY_SIZE_MAX) return "body: up to 65536 bytes";
    if (schedule->item.terms.run_at_us != 0 || schedule->item.terms.expires_at_us != 0) {
        return "the line says when: no other times";
    }
    return cron_parse(schedule->line, &cron);
}

static struct bytes make_id(struct bytes name, int64_t at_us, char *out)
{
    memcpy(out, name.data, name.size);
    out[name.size] = '@';
    size_t size = decimal_format((uint64_t)(at_us / SECOND_US), out + name.size + 1);
    return (struct bytes){ out, name.size + 1 + size };
}

/* Of the schedule itself, not of what it puts. */
static struct bytes make_own_id(const struct schedule *schedule, int64_t due_us, char *out)
{
    struct bytes id = make_id(schedule->name, due_us, out);
    out[id.size++] = '-';
    id.size += decimal_format((uint64_t)schedule->made_us, out + id.size);
    return id;
}

static bool encode(const struct schedule *schedule, struct buffer *room)
{
    const struct engine_put *item = &schedule->item;
    size_t size = RECORD_NUMBERS_SIZE + schedule->line.size + schedule->zone.size +
                  item->queue.size + item->group.size + item->headers.size + item->unique.size +
                  item->body.size;
    buffer_reset(room);
    char *end = buffer_extend(room, size);
    if (end == NULL) return false;
    end = codec_put_number(end, FORMAT);
    end = codec_put_text(end, schedule->line);
    end = codec_put_text(end, schedule->zone);
    end = codec_put_number(end, schedule->policy.missed);
    end = codec_put_number(end, schedule->policy.run_count_max);
    end = codec_put_text(end, item->queue);
    end = codec_put_text(end, item->group);
    end = codec_put_text(end, item->headers);
    end = codec_put_text(end, item->unique);
    end = record_put_terms(end, &item->terms);
    end = codec_put_text(end, item->body);
    room->size = (size_t)(end - room->data);
    return true;
}

bool schedule_make(
    const struct schedule *schedule,
    int64_t due_us,
    struct buffer *room,
    char out_id[static SCHEDULE_ID_SIZE_MAX],
    struct engine_put *out_put)
{
    if (!encode(schedule, room)) return false;
    *out_put = (struct engine_put){
        .queue = SCHEDULE_QUEUE,
        .id = make_own_id(schedule, due_us, out_id),
        .unique = schedule->name,
        .body = buffer_bytes(room),
        .terms = { .run_at_us = due_us,
                   .lease_ms = LIMIT_LEASE_MS_DEFAULT,
                   .retention_ms = SCHEDULE_RETENTION_MS,
                   .unique_scope = UNIQUE_UNTIL_STARTED,
                   .conflict = UNIQUE_REPLACE },
    };
    return true;
}

/* A number at the end of an id, behind the last `mark`; both are taken off. */
static bool take_last(struct bytes *id, char mark, uint64_t value_max, uint64_t *out_value)
{
    size_t size = id->size;
    while (size > 0 && id->data[size - 1] != mark) {
        size--;
    }
    if (size == 0) return false;
    struct bytes digits = { id->data + size, id->size - size };
    id->size = size - 1;
    return decimal_parse(digits, out_value) && *out_value <= value_max;
}

static bool split_id(struct bytes id, struct schedule *out_schedule, int64_t *out_due_us)
{
    uint64_t made_us;
    uint64_t second;
    if (!take_last(&id, '-', INT64_MAX, &made_us)) return false;
    if (!take_last(&id, '@', LIMIT_RUN_AT_US_MAX / SECOND_US, &second)) return false;
    out_schedule->name = id;
    out_schedule->made_us = (int64_t)made_us;
    *out_due_us = (int64_t)second * SECOND_US;
    return true;
}

bool schedule_read(
    const struct engine_item_view *view, struct schedule *out_schedule, int64_t *out_due_us)
{
    struct schedule schedule = { .item.queue = { 0 } };
    int64_t due_us;
    struct codec_reader reader = { view->body, false };
    if (!split_id(view->id, &schedule, &due_us)) return false;
    if (codec_take_number(&reader, FORMAT) != FORMAT) return false;
    schedule.line = codec_take_text(&reader, CRON_SIZE_MAX);
    schedule.zone = codec_take_text(&reader, SCHEDULE_ZONE_SIZE_MAX);
    schedule.policy.missed = (enum cron_missed)codec_take_number(&reader, CRON_ALL);
    schedule.policy.run_count_max = (uint32_t)codec_take_number(&reader, CRON_RUN_COUNT_MAX);
    schedule.item.queue = codec_take_text(&reader, LIMIT_NAME_SIZE_MAX);
    schedule.item.group = codec_take_text(&reader, LIMIT_GROUP_SIZE_MAX);
    schedule.item.headers = codec_take_text(&reader, LIMIT_META_SIZE_MAX);
    schedule.item.unique = codec_take_text(&reader, LIMIT_UNIQUE_SIZE_MAX);
    schedule.item.terms = record_take_terms(&reader);
    schedule.item.body = codec_take_text(&reader, SCHEDULE_BODY_SIZE_MAX);
    if (reader.is_bad || reader.input.size > 0) return false;
    if (schedule_find_fault(&schedule) != NULL) return false;
    *out_schedule = schedule;
    *out_due_us = due_us;
    return true;
}

struct engine_put schedule_run(
    const struct schedule *schedule, int64_t run_us, char out_id[static SCHEDULE_ID_SIZE_MAX])
{
    struct engine_put put = schedule->item;
    put.id = make_id(schedule->name, run_us, out_id);
    if (put.terms.retention_ms < SCHEDULE_RETENTION_MS) {
        put.terms.retention_ms = SCHEDULE_RETENTION_MS;
    }
    return put;
}
