/* The modes that speak HTTP/1.1 with keep-alive: Tenure's resources, etcd's JSON gateway, and the
 * fetching of one fixed page. */
#include <stdio.h>

#include "base/decimal.h"
#include "base64.h"
#include "mode.h"

#define ETCD_LEASE_S 3600

static void put_request(struct buffer *out, const char *path, const char *body)
{
    char head[256];
    int size = snprintf(
        head,
        sizeof(head),
        "POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        "Content-Length: %zu\r\n\r\n",
        path,
        strlen(body));
    ASSERT(size > 0 && (size_t)size < sizeof(head));
    buffer_append(out, head, (size_t)size);
    buffer_append_bytes(out, bytes_from_text(body));
}

/* tenured */

static void put_number(uint64_t number, struct buffer *out)
{
    char digits[DECIMAL_SIZE_MAX];
    buffer_append(out, digits, decimal_format(number, digits));
}

/* Written without printf: at this rate formatting would make the client the slower side. */
static void tenured_compose(struct mode_run *run, struct mode_slot *slot, struct buffer *out)
{
    static const char body_head[] = "{\"owner\":\"";
    static const char body_middle[] = "\",\"ttl_ms\":";
    char name[MODE_NAME_SIZE];
    char owner[MODE_OWNER_SIZE];
    char ttl[DECIMAL_SIZE_MAX];
    mode_name_write(run, slot, slot->turn, name);
    mode_owner_write(run, slot, slot->turn, owner);
    if (slot->step == 0) {
        size_t ttl_size = decimal_format(run->ttl_ms, ttl);
        buffer_append_bytes(out, BYTES_LITERAL("POST /v1/locks/"));
        buffer_append(out, name, sizeof(name));
        buffer_append_bytes(
            out,
            BYTES_LITERAL(" HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                          "Content-Length: "));
        put_number(
            sizeof(body_head) - 1 + sizeof(owner) + sizeof(body_middle) - 1 + ttl_size + 1, out);
        buffer_append_bytes(out, BYTES_LITERAL("\r\n\r\n"));
        buffer_append_bytes(out, BYTES_LITERAL(body_head));
        buffer_append(out, owner, sizeof(owner));
        buffer_append_bytes(out, BYTES_LITERAL(body_middle));
        buffer_append(out, ttl, ttl_size);
        buffer_append_byte(out, '}');
        return;
    }
    buffer_append_bytes(out, BYTES_LITERAL("DELETE /v1/locks/"));
    buffer_append(out, name, sizeof(name));
    buffer_append_bytes(out, BYTES_LITERAL("?owner="));
    buffer_append(out, owner, sizeof(owner));
    buffer_append_bytes(out, BYTES_LITERAL("&token="));
    put_number(slot->token, out);
    buffer_append_bytes(out, BYTES_LITERAL(" HTTP/1.1\r\nHost: localhost\r\n\r\n"));
}

static enum mode_verdict
tenured_judge(struct mode_run *run, struct mode_slot *slot, const struct mode_answer *answer)
{
    (void)run;
    const struct http_reply *reply = answer->http;
    if (slot->step == 0) {
        int64_t token = json_number(reply->body, BYTES_LITERAL("\"token\":"));
        if (reply->status != 201 || token <= 0) return MODE_WRONG;
        slot->token = (uint64_t)token;
        slot->step = 1;
        return MODE_STEP;
    }
    slot->step = 0;
    bool is_released = reply->status == 200 &&
                       bytes_contain(reply->body, BYTES_LITERAL("\"outcome\":\"released\""));
    return is_released ? MODE_CYCLE : MODE_WRONG;
}

/* etcd */

/* One lease for the whole run, which is kind to etcd: a lease for each lock halves its rate. */
static bool etcd_prepare(struct mode_run *run)
{
    struct buffer request;
    struct buffer storage;
    struct http_reply reply;
    char body[64];
    buffer_init(&request, &memory_heap);
    buffer_init(&storage, &memory_heap);
    (void)snprintf(body, sizeof(body), "{\"TTL\":%d}", ETCD_LEASE_S);
    put_request(&request, "/v3/lease/grant", body);
    const char *id = NULL;
    bool is_granted = link_ask_http(run->address, buffer_bytes(&request), &storage, &reply) &&
                      reply.status == 200;
    if (is_granted) id = memmem(reply.body.data, reply.body.size, "\"ID\":\"", 6);
    is_granted = id != NULL && sscanf(id, "\"ID\":\"%23[0-9]\"", run->lease) == 1;
    buffer_deinit(&request);
    buffer_deinit(&storage);
    return is_granted;
}

static void etcd_compose(struct mode_run *run, struct mode_slot *slot, struct buffer *out)
{
    char name[MODE_NAME_SIZE];
    char owner[MODE_OWNER_SIZE];
    char key[BASE64_SIZE(MODE_NAME_SIZE)];
    char value[BASE64_SIZE(MODE_OWNER_SIZE)];
    char body[512];
    mode_name_write(run, slot, slot->turn, name);
    mode_owner_write(run, slot, slot->turn, owner);
    base64_write((struct bytes){ name, sizeof(name) }, key);
    base64_write((struct bytes){ owner, sizeof(owner) }, value);
    if (slot->step == 0) {
        (void)snprintf(
            body,
            sizeof(body),
            "{\"compare\":[{\"key\":\"%s\",\"target\":\"CREATE\",\"result\":\"EQUAL\","
            "\"create_revision\":\"0\"}],\"success\":[{\"request_put\":{\"key\":\"%s\","
            "\"value\":\"%s\",\"lease\":\"%s\"}}],\"failure\":[{\"request_range\":"
            "{\"key\":\"%s\"}}]}",
            key,
            key,
            value,
            run->lease,
            key);
        put_request(out, "/v3/kv/txn", body);
        return;
    }
    (void)snprintf(body, sizeof(body), "{\"key\":\"%s\"}", key);
    put_request(out, "/v3/kv/deleterange", body);
}

static enum mode_verdict
etcd_judge(struct mode_run *run, struct mode_slot *slot, const struct mode_answer *answer)
{
    (void)run;
    const struct http_reply *reply = answer->http;
    bool is_acquire = slot->step == 0;
    slot->step = is_acquire ? 1 : 0;
    if (reply->status != 200) return MODE_WRONG;
    if (is_acquire) {
        bool is_granted = bytes_contain(reply->body, BYTES_LITERAL("\"succeeded\":true"));
        return is_granted ? MODE_STEP : MODE_WRONG;
    }
    bool is_deleted = bytes_contain(reply->body, BYTES_LITERAL("\"deleted\":\"1\""));
    return is_deleted ? MODE_CYCLE : MODE_WRONG;
}

/* get-http */

static void get_compose(struct mode_run *run, struct mode_slot *slot, struct buffer *out)
{
    (void)slot;
    buffer_append_bytes(out, BYTES_LITERAL("GET "));
    buffer_append_bytes(out, bytes_from_text(run->path));
    buffer_append_bytes(out, BYTES_LITERAL(" HTTP/1.1\r\nHost: localhost\r\n\r\n"));
}

static enum mode_verdict
get_judge(struct mode_run *run, struct mode_slot *slot, const struct mode_answer *answer)
{
    (void)run;
    (void)slot;
    return answer->http->status == 200 && answer->http->body.size > 0 ? MODE_CYCLE : MODE_WRONG;
}

const struct mode mode_tenured_http = {
    .name = "tenured-http",
    .summary = "POST and DELETE of /v1/locks/{name}",
    .is_http = true,
    .compose = tenured_compose,
    .judge = tenured_judge,
    .units = 1,
};

const struct mode mode_etcd = {
    .name = "etcd",
    .summary = "the JSON gateway: a transaction, then deleterange; one lease for all",
    .is_http = true,
    .prepare = etcd_prepare,
    .compose = etcd_compose,
    .judge = etcd_judge,
    .units = 1,
};

const struct mode mode_get_http = {
    .name = "get-http",
    .summary = "GET of --path",
    .is_http = true,
    .compose = get_compose,
    .judge = get_judge,
    .units = 1,
};
