#include "floor_queue.h"

#include <stdlib.h>

#include "base/assert.h"
#include "base/crc32c.h"
#include "base/decimal.h"

#define RECORD_SIZE   100u
#define BODY_SIZE_MAX 128u
#define BUCKET_COUNT  65536u

struct item {
    struct item *next; /* in the line; or, taken, in its bucket */
    uint64_t id;
    uint64_t token;
    uint32_t body_size;
    char body[BODY_SIZE_MAX];
};

static struct item *first;
static struct item **last = &first;
static struct item *taken[BUCKET_COUNT];
static struct item *spare;
static uint64_t seq;

static struct item *make_item(void)
{
    struct item *item = spare;
    if (item != NULL) {
        spare = item->next;
        return item;
    }
    item = malloc(sizeof(*item));
    ASSERT(item != NULL);
    return item;
}

/* The record: length, sum, kind, id, token, padded to a fixed size; of a put, the body behind it.
 */
static void append_record(char kind, const struct item *item, struct buffer *records)
{
    char record[RECORD_SIZE + BODY_SIZE_MAX] = { (char)RECORD_SIZE };
    size_t size = RECORD_SIZE;
    record[8] = kind;
    memcpy(record + 9, &item->id, sizeof(item->id));
    memcpy(record + 17, &item->token, sizeof(item->token));
    if (kind == 'P') {
        memcpy(record + size, item->body, item->body_size);
        size += item->body_size;
    }
    uint32_t sum = crc32c(0, record + 8, size - 8);
    memcpy(record + 4, &sum, sizeof(sum));
    buffer_append(records, record, size);
}

static void put_number(struct buffer *out, uint64_t number)
{
    char digits[DECIMAL_SIZE_MAX];
    buffer_append(out, digits, decimal_format(number, digits));
}

static void put_text(struct buffer *out, struct bytes text)
{
    buffer_append_byte(out, '$');
    put_number(out, text.size);
    buffer_append(out, "\r\n", 2);
    buffer_append_bytes(out, text);
    buffer_append(out, "\r\n", 2);
}

/* As tenured makes ids: an underscore and digits. */
static void put_id(struct buffer *out, const struct item *item)
{
    char id[1 + DECIMAL_SIZE_MAX] = "_";
    put_text(out, (struct bytes){ id, 1 + decimal_format(item->id, id + 1) });
}

/* The commands. */

static bool put(struct bytes body, struct buffer *records, struct buffer *out)
{
    if (body.size > BODY_SIZE_MAX) return false;
    struct item *item = make_item();
    item->next = NULL;
    item->id = ++seq;
    item->token = 0;
    item->body_size = (uint32_t)body.size;
    memcpy(item->body, body.data, body.size);
    *last = item;
    last = &item->next;
    append_record('P', item, records);
    buffer_append_bytes(out, BYTES_LITERAL("*6\r\n$2\r\nid\r\n"));
    put_id(out, item);
    buffer_append_bytes(out, BYTES_LITERAL("$5\r\nstate\r\n$5\r\nready\r\n$6\r\nrepeat\r\n:0\r\n"));
    return true;
}

static bool take(struct bytes queue, struct buffer *records, struct buffer *out)
{
    struct item *item = first;
    if (item == NULL) {
        buffer_append_bytes(out, BYTES_LITERAL("*0\r\n"));
        return true;
    }
    first = item->next;
    if (first == NULL) last = &first;
    item->token = ++seq;
    struct item **bucket = &taken[item->id % BUCKET_COUNT];
    item->next = *bucket;
    *bucket = item;
    append_record('T', item, records);
    buffer_append_bytes(out, BYTES_LITERAL("*1\r\n*30\r\n$5\r\nqueue\r\n"));
    put_text(out, queue);
    buffer_append_bytes(out, BYTES_LITERAL("$2\r\nid\r\n"));
    put_id(out, item);
    buffer_append_bytes(out, BYTES_LITERAL("$5\r\ntoken\r\n:"));
    put_number(out, item->token);
    buffer_append_bytes(out, BYTES_LITERAL("\r\n$4\r\nbody\r\n"));
    put_text(out, (struct bytes){ item->body, item->body_size });
    buffer_append_bytes(
        out,
        BYTES_LITERAL(
            "$7\r\nheaders\r\n$0\r\n\r\n$5\r\ngroup\r\n$0\r\n\r\n$8\r\npriority\r\n:0\r\n"
            "$8\r\nattempts\r\n:0\r\n$12\r\nattempts_max\r\n:25\r\n$6\r\nlapses\r\n:0\r\n"
            "$10\r\nlapses_max\r\n:3\r\n$8\r\nlease_ms\r\n:30000\r\n$12\r\nremaining_ms\r\n"
            ":30000\r\n$10\r\ntimeout_ms\r\n:0\r\n$9\r\nput_at_ms\r\n:1763712000000\r\n"));
    return true;
}

static struct item **find_taken(struct bytes id, struct bytes token)
{
    uint64_t number = 0;
    uint64_t wanted = 0;
    if (id.size < 2 || !decimal_parse((struct bytes){ id.data + 1, id.size - 1 }, &number) ||
        !decimal_parse(token, &wanted))
    {
        return NULL;
    }
    struct item **place = &taken[number % BUCKET_COUNT];
    while (*place != NULL && (*place)->id != number) {
        place = &(*place)->next;
    }
    return *place != NULL && (*place)->token == wanted ? place : NULL;
}

static void done(struct bytes id, struct bytes token, struct buffer *records, struct buffer *out)
{
    struct item **place = find_taken(id, token);
    if (place == NULL) {
        buffer_append_bytes(out, BYTES_LITERAL("-LOST this worker does not have the item\r\n"));
        return;
    }
    struct item *item = *place;
    *place = item->next;
    append_record('D', item, records);
    item->next = spare;
    spare = item;
    buffer_append_bytes(
        out,
        BYTES_LITERAL(
            "*12\r\n$2\r\nid\r\n$0\r\n\r\n$5\r\nstate\r\n$4\r\ndone\r\n$8\r\nattempts\r\n:0\r\n"
            "$6\r\nlapses\r\n:0\r\n$10\r\ncancelling\r\n:0\r\n$6\r\nrepeat\r\n:0\r\n"));
}

bool floor_queue_apply(const struct resp_reply *command, struct buffer *records, struct buffer *out)
{
    const struct resp_token *words = &command->tokens[1];
    uint32_t count = command->token_count - 1;
    if (count == 3 && bytes_equal(words[0].text, BYTES_LITERAL("QUEUE.PUT"))) {
        return put(words[2].text, records, out);
    }
    if (count == 3 && bytes_equal(words[0].text, BYTES_LITERAL("QUEUE.TAKE"))) {
        return take(words[1].text, records, out);
    }
    if (count == 4 && bytes_equal(words[0].text, BYTES_LITERAL("QUEUE.DONE"))) {
        done(words[2].text, words[3].text, records, out);
        return true;
    }
    return false;
}
