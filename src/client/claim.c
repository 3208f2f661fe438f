#include <tenure/election.h>
#include <tenure/lock.h>

#include <string.h>

#include "client/call.h"
#include "client/hold.h"
#include "client/later.h"

static const char *find_fault(const struct tenure_claim *claim)
{
    if (claim == NULL) return "claim: it is missing";
    if (!tni_is_plain(claim->name)) {
        return "name: 1 to 255 bytes of UTF-8 without control characters";
    }
    if (!tni_is_plain(claim->owner)) {
        return "owner: 1 to 255 bytes of UTF-8 without control characters";
    }
    if (claim->token == 0 || claim->token > TOKEN_MAX) return "token: 1 to 2^53 - 1";
    return NULL;
}

static struct store_claim store_claim_of(const struct tenure_claim *claim)
{
    return (struct store_claim){ claim->name, claim->owner, claim->token };
}

/* ------------------------------------------------------------------ renew */

struct renew_call {
    struct call call;
    struct store_claim claim;
    uint32_t ttl_ms;
    int64_t remaining_ms;
};

static void on_renewed(struct store_op *op, const struct store_result *result)
{
    struct renew_call *renew = CONTAINER_OF(op, struct renew_call, call.op);
    enum tenure_err err = result->err;
    if (err == TENURE_OK) {
        err = result->as.renew.renewals[0].err;
        renew->remaining_ms = result->as.renew.renewals[0].remaining_ms;
    }
    tni_call_end(&renew->call, err, result->text);
}

static void send_renewal(struct renew_call *renew)
{
    struct call *call = &renew->call;
    struct mono deadline = call->op.request.deadline;
    int64_t patience_ns = call->op.request.patience_ns;
    call->op = (struct store_op){
        .request = { .verb = STORE_RENEW, .deadline = deadline, .patience_ns = patience_ns },
        .done = on_renewed,
    };
    call->op.request.as.renew.claims = &renew->claim;
    call->op.request.as.renew.count = 1;
    call->op.request.as.renew.ttl_ms = renew->ttl_ms;
    tni_store_start(call->client->store, &call->op);
}

/* A renewal says the ttl; "as it is" must be looked up first. */
static void on_looked(struct store_op *op, const struct store_result *result)
{
    struct renew_call *renew = CONTAINER_OF(op, struct renew_call, call.op);
    const struct store_lock_view *view = result->err == TENURE_OK ? result->as.inspect : NULL;
    if (view == NULL && result->err != TENURE_NOT_FOUND) {
        tni_call_end(&renew->call, result->err, result->text);
        return;
    }
    renew->ttl_ms = LIMIT_TTL_MS_MIN; /* of no hold: the answer will say what became of it */
    for (uint32_t index = 0; view != NULL && index < view->holder_count; index++) {
        const struct store_holder *holder = &view->holders[index];
        bool is_it =
            holder->token == renew->claim.token && strcmp(holder->owner, renew->claim.owner) == 0;
        if (is_it) renew->ttl_ms = holder->ttl_ms;
    }
    send_renewal(renew);
}

static void start_renewal(struct client *client, struct task *task)
{
    (void)client;
    send_renewal(CONTAINER_OF(task, struct renew_call, call.task));
}

enum tenure_err tenure_claim_renew(
    struct tenure_client handle,
    const struct tenure_claim *claim,
    uint32_t ttl_ms,
    int64_t *out_remaining_ms,
    struct tenure_error *out_error)
{
    const char *fault = find_fault(claim);
    if (fault == NULL && ttl_ms != 0 && (ttl_ms < LIMIT_TTL_MS_MIN || ttl_ms > LIMIT_TTL_MS_MAX)) {
        fault = "ttl_ms: 100 to 86400000";
    }
    if (fault != NULL) return tni_fail(out_error, TENURE_INVALID, fault);
    struct renew_call renew = { .claim = store_claim_of(claim), .ttl_ms = ttl_ms };
    if (!tni_call_begin(&renew.call, handle, out_error)) return renew.call.err;
    if (ttl_ms == 0) {
        renew.call.op.request.verb = STORE_INSPECT;
        renew.call.op.request.as.inspect.name = claim->name;
        renew.call.op.done = on_looked;
    }
    enum tenure_err err = tni_call_run(&renew.call, ttl_ms == 0 ? NULL : start_renewal, out_error);
    if (err == TENURE_OK && out_remaining_ms != NULL) *out_remaining_ms = renew.remaining_ms;
    return err;
}

/* ------------------------------------------------------------------ release */

struct release_call {
    struct call call;
    struct tenure_release release;
};

static void on_released(struct store_op *op, const struct store_result *result)
{
    struct release_call *waiting = CONTAINER_OF(op, struct release_call, call.op);
    struct tenure_release *release = &waiting->release;
    if (result->err == TENURE_OK) {
        release->end = tni_hold_end_of(result->as.release.end);
        release->successor = result->as.release.successor;
        /* When its holder had to stop, nobody here knows. */
        bool is_alone = release->end == TENURE_END_EXPIRED_UNCLAIMED;
        release->overlap_ms = is_alone || release->end == TENURE_END_RELEASED ? 0 : -1;
    }
    tni_call_end(&waiting->call, result->err, result->text);
}

enum tenure_err tenure_claim_release(
    struct tenure_client handle,
    const struct tenure_claim *claim,
    struct tenure_release *out_release,
    struct tenure_error *out_error)
{
    const char *fault = find_fault(claim);
    if (fault != NULL) return tni_fail(out_error, TENURE_INVALID, fault);
    struct release_call waiting = { .release = { .end = TENURE_END_UNKNOWN, .overlap_ms = -1 } };
    if (!tni_call_begin(&waiting.call, handle, out_error)) return waiting.call.err;
    waiting.call.op.request.verb = STORE_RELEASE;
    waiting.call.op.request.as.release = store_claim_of(claim);
    waiting.call.op.done = on_released;
    enum tenure_err err = tni_call_run(&waiting.call, NULL, out_error);
    if (out_release != NULL) *out_release = waiting.release;
    return err;
}

/* ------------------------------------------------------------------ elections */

struct transfer_call {
    struct call call;
    uint64_t token;
};

static void on_transferred(struct store_op *op, const struct store_result *result)
{
    struct transfer_call *transfer = CONTAINER_OF(op, struct transfer_call, call.op);
    if (result->err == TENURE_OK) transfer->token = result->as.transfer_token;
    tni_call_end(&transfer->call, result->err, result->text);
}

enum tenure_err tenure_claim_transfer(
    struct tenure_client handle,
    const struct tenure_claim *claim,
    const char *to_owner,
    uint64_t *out_token,
    struct tenure_error *out_error)
{
    const char *fault = find_fault(claim);
    if (fault == NULL && !tni_is_plain(to_owner)) {
        fault = "to_owner: 1 to 255 bytes of UTF-8 without control characters";
    }
    if (fault != NULL) return tni_fail(out_error, TENURE_INVALID, fault);
    struct transfer_call transfer = { .token = 0 };
    if (!tni_call_begin(&transfer.call, handle, out_error)) return transfer.call.err;
    transfer.call.op.request.verb = STORE_TRANSFER;
    transfer.call.op.request.as.transfer.claim = store_claim_of(claim);
    transfer.call.op.request.as.transfer.to = to_owner;
    transfer.call.op.done = on_transferred;
    enum tenure_err err = tni_call_run(&transfer.call, NULL, out_error);
    if (err == TENURE_OK && out_token != NULL) *out_token = transfer.token;
    return err;
}

enum tenure_err tenure_election_proclaim(
    struct tenure_hold handle, const char *value, struct tenure_error *out_error)
{
    struct client *client;
    struct call call;
    if (!tni_is_text(value, LIMIT_META_SIZE_MAX)) {
        return tni_fail(out_error, TENURE_INVALID, "value: up to 4096 bytes of UTF-8");
    }
    struct hold *hold = tni_hold_take(handle, &client);
    if (hold == NULL) return tni_fail(out_error, TENURE_INVALID, "the handle is closed");
    enum tenure_err err;
    if (tni_call_begin_with(&call, client, out_error)) {
        call.op.request.verb = STORE_PROCLAIM;
        call.op.request.as.proclaim.claim = hold->claims[0];
        call.op.request.as.proclaim.value = value;
        err = tni_call_run(&call, NULL, out_error);
    } else {
        err = call.err;
    }
    tni_hold_give(hold);
    return err;
}

enum tenure_err tenure_election_proclaim_start(
    struct tenure_hold handle, const char *value, tenure_done_fn fn, void *user)
{
    struct client *client;
    if (!tni_is_text(value, LIMIT_META_SIZE_MAX)) return TENURE_INVALID;
    struct hold *hold = tni_hold_take(handle, &client);
    if (hold == NULL) return TENURE_INVALID;
    struct later *later = tni_later_create(client, hold, fn, user, value);
    if (later == NULL) return TENURE_NO_MEMORY;
    struct store_request *request = &later->call.op.request;
    request->verb = STORE_PROCLAIM;
    request->as.proclaim.claim = hold->claims[0];
    request->as.proclaim.value = later->text;
    return tni_later_start(later);
}

enum tenure_err tenure_election_transfer(
    struct tenure_hold handle,
    const char *to_owner,
    uint64_t *out_token,
    struct tenure_error *out_error)
{
    struct client *client;
    struct hold *hold = tni_hold_take(handle, &client);
    if (hold == NULL) return tni_fail(out_error, TENURE_INVALID, "the handle is closed");
    struct tenure_claim claim = { hold->claims[0].name,
                                  hold->claims[0].owner,
                                  hold->claims[0].token };
    struct tenure_client client_handle = { client->id };
    tni_client_give(client); /* the hold's handle is good: it stays where it is */
    atomic_store(&hold->is_handing_over, true);
    enum tenure_err err =
        tenure_claim_transfer(client_handle, &claim, to_owner, out_token, out_error);
    /* It is somebody else's now: there is nothing to release. */
    if (err == TENURE_OK) {
        tenure_hold_forget(handle);
    } else {
        atomic_store(&hold->is_handing_over, false);
    }
    tni_hold_give(hold);
    return err;
}

static void end_transfer(struct later *later)
{
    struct tenure_hold handle = { later->hold_id };
    if (later->call.err == TENURE_OK) {
        tenure_hold_forget(handle);
    } else {
        atomic_store(&later->hold->is_handing_over, false);
    }
}

enum tenure_err tenure_election_transfer_start(
    struct tenure_hold handle, const char *to_owner, tenure_done_fn fn, void *user)
{
    struct client *client;
    if (!tni_is_plain(to_owner)) return TENURE_INVALID;
    struct hold *hold = tni_hold_take(handle, &client);
    if (hold == NULL) return TENURE_INVALID;
    struct later *later = tni_later_create(client, hold, fn, user, to_owner);
    if (later == NULL) return TENURE_NO_MEMORY;
    atomic_store(&hold->is_handing_over, true);
    struct store_request *request = &later->call.op.request;
    request->verb = STORE_TRANSFER;
    request->as.transfer.claim = hold->claims[0];
    request->as.transfer.to = later->text;
    later->hold_id = handle.id;
    later->before_tell = end_transfer;
    return tni_later_start(later);
}
