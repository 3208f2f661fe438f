#include "server/resp.h"

/* ------------------------------------------------------------------ asking the engine */

static bool take_number32(
    struct resp_args *args, const char *field, uint64_t least, uint64_t most, uint32_t *out_number)
{
    uint64_t number;
    if (!resp_take_number(args, field, least, most, &number)) return false;
    *out_number = (uint32_t)number;
    return true;
}

static bool
take_more_names(struct resp_args *args, struct engine_acquire *acquire, struct bytes *names)
{
    do {
        if (acquire->name_count == LIMIT_NAME_COUNT_MAX) {
            resp_refuse(args->resp, TENURE_INVALID, "at most 32 names at once");
            return false;
        }
        struct bytes name;
        if (!resp_take_plain(args, "name", &name)) return false;
        names[acquire->name_count++] = name;
    } while (resp_args_left(args));
    return true;
}

static bool
take_acquire_option(struct resp_args *args, struct engine_acquire *acquire, struct bytes *names)
{
    if (resp_take_keyword(args, "SHARED")) {
        acquire->mode = ENGINE_SHARED;
        return true;
    }
    if (resp_take_keyword(args, "SLOTS")) {
        return take_number32(args, "SLOTS", 1, LIMIT_SLOTS_MAX, &acquire->slots);
    }
    if (resp_take_keyword(args, "WAIT")) {
        return take_number32(args, "WAIT", 0, LIMIT_WAIT_MS_MAX, &acquire->wait_ms);
    }
    if (resp_take_keyword(args, "PRIORITY")) {
        return take_number32(args, "PRIORITY", 0, LIMIT_PRIORITY_MAX, &acquire->priority);
    }
    if (resp_take_keyword(args, "DELAY")) {
        return take_number32(args, "DELAY", 0, LIMIT_LOCK_DELAY_MS_MAX, &acquire->lock_delay_ms);
    }
    if (resp_take_keyword(args, "META")) {
        return resp_take_text(args, "META", LIMIT_META_SIZE_MAX, &acquire->meta);
    }
    if (resp_take_keyword(args, "AND")) return take_more_names(args, acquire, names);
    return resp_refuse_keyword(args);
}

void resp_run_acquire(struct resp *resp, const struct resp_command *command)
{
    struct resp_args args = { resp, command, 1 };
    UNINITIALIZED struct bytes names[LIMIT_NAME_COUNT_MAX];
    struct engine_command request = {
        .kind = ENGINE_ACQUIRE,
        .tag = server_tag(resp->server) << 1,
        .as.acquire = { .names = names, .name_count = 1, .slots = 1 },
    };
    struct engine_acquire *acquire = &request.as.acquire;
    if (!resp_take_plain(&args, "name", &names[0])) return;
    if (!resp_take_plain(&args, "owner", &acquire->owner)) return;
    if (!resp_take_ttl(&args, &acquire->ttl_ms)) return;
    while (resp_args_left(&args)) {
        if (!take_acquire_option(&args, acquire, names)) return;
    }
    if (acquire->mode == ENGINE_SHARED && acquire->slots > 1) {
        resp_refuse(resp, TENURE_INVALID, "SHARED and SLOTS exclude each other");
        return;
    }
    if (acquire->name_count > 1) request.tag |= RESP_TAG_MANY;
    server_submit(resp->server, resp->session, &request);
}

static bool take_campaign_option(struct resp_args *args, struct engine_acquire *acquire)
{
    if (resp_take_keyword(args, "VALUE")) {
        return resp_take_text(args, "VALUE", LIMIT_META_SIZE_MAX, &acquire->meta);
    }
    if (resp_take_keyword(args, "WAIT")) {
        return take_number32(args, "WAIT", 0, LIMIT_WAIT_MS_MAX, &acquire->wait_ms);
    }
    if (resp_take_keyword(args, "PRIORITY")) {
        return take_number32(args, "PRIORITY", 0, LIMIT_PRIORITY_MAX, &acquire->priority);
    }
    return resp_refuse_keyword(args);
}

void resp_run_campaign(struct resp *resp, const struct resp_command *command)
{
    struct resp_args args = { resp, command, 1 };
    struct bytes name;
    struct engine_command request = {
        .kind = ENGINE_ACQUIRE,
        .tag = server_tag(resp->server) << 1,
        .as.acquire = { .names = &name, .name_count = 1, .slots = 1 },
    };
    struct engine_acquire *acquire = &request.as.acquire;
    if (!resp_take_plain(&args, "name", &name)) return;
    if (!resp_take_plain(&args, "owner", &acquire->owner)) return;
    if (!resp_take_ttl(&args, &acquire->ttl_ms)) return;
    while (resp_args_left(&args)) {
        if (!take_campaign_option(&args, acquire)) return;
    }
    server_submit(resp->server, resp->session, &request);
}

static bool take_claim(struct resp_args *args, struct engine_claim *out_claim)
{
    *out_claim = (struct engine_claim){ .ttl_ms = ENGINE_TTL_KEEP };
    return resp_take_plain(args, "name", &out_claim->name) &&
           resp_take_plain(args, "owner", &out_claim->owner) &&
           resp_take_token(args, &out_claim->token);
}

void resp_run_renew(struct resp *resp, const struct resp_command *command)
{
    /* Too large to be cleared on the stack for each renewal; there is only one thread. */
    static struct engine_claim claims[LIMIT_ITEM_COUNT_MAX];
    struct resp_args args = { resp, command, 1 };
    uint32_t count = (command->argument_count - 1) / 4;
    if ((command->argument_count - 1) % 4 != 0) {
        resp_refuse(
            resp, TENURE_INVALID, "each hold takes four arguments: name owner token ttl-ms");
        return;
    }
    if (count > LIMIT_ITEM_COUNT_MAX) {
        resp_refuse(resp, TENURE_INVALID, "at most 1024 holds at once");
        return;
    }
    for (uint32_t index = 0; index < count; index++) {
        if (!take_claim(&args, &claims[index])) return;
        if (!resp_take_ttl(&args, &claims[index].ttl_ms)) return;
    }
    struct engine_command request = {
        .kind = ENGINE_RENEW,
        .as.renew = { .claims = claims, .count = count },
    };
    server_submit(resp->server, resp->session, &request);
}

void resp_run_release(struct resp *resp, const struct resp_command *command)
{
    struct resp_args args = { resp, command, 1 };
    struct engine_command request = { .kind = ENGINE_RELEASE };
    if (!take_claim(&args, &request.as.release)) return;
    server_submit(resp->server, resp->session, &request);
}

void resp_run_break(struct resp *resp, const struct resp_command *command)
{
    struct resp_args args = { resp, command, 1 };
    struct engine_command request = { .kind = ENGINE_BREAK };
    if (!resp_take_plain(&args, "name", &request.as.break_hold.name)) return;
    if (!resp_take_token(&args, &request.as.break_hold.token)) return;
    if (!resp_take_plain(&args, "reason", &request.as.break_hold.reason)) return;
    while (resp_args_left(&args)) {
        uint32_t *grace_ms = &request.as.break_hold.grace_ms;
        if (resp_take_keyword(&args, "GRACE")) {
            if (!take_number32(&args, "GRACE", 0, LIMIT_GRACE_MS_MAX, grace_ms)) return;
        } else {
            (void)resp_refuse_keyword(&args);
            return;
        }
    }
    server_submit(resp->server, resp->session, &request);
}

void resp_run_proclaim(struct resp *resp, const struct resp_command *command)
{
    struct resp_args args = { resp, command, 1 };
    struct engine_command request = { .kind = ENGINE_PROCLAIM };
    if (!take_claim(&args, &request.as.proclaim.claim)) return;
    struct bytes *value = &request.as.proclaim.value;
    if (!resp_take_text(&args, "value", LIMIT_META_SIZE_MAX, value)) return;
    server_submit(resp->server, resp->session, &request);
}

void resp_run_transfer(struct resp *resp, const struct resp_command *command)
{
    struct resp_args args = { resp, command, 1 };
    struct engine_command request = { .kind = ENGINE_TRANSFER };
    if (!take_claim(&args, &request.as.transfer.claim)) return;
    if (!resp_take_plain(&args, "to", &request.as.transfer.to)) return;
    server_submit(resp->server, resp->session, &request);
}
