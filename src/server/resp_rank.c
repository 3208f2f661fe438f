/* RANK.*: sets that are sorted by score. */
#include "base/real.h"
#include "server/resp_state.h"

/* ------------------------------------------------------------------ changing */

/* NX, XX, GT, LT and CH, in any order. */
static bool take_add_options(struct resp_args *args, unsigned *out_when, enum resp_shape *out_shape)
{
    static const struct {
        const char *keyword;
        unsigned when;
    } words[] = {
        { "NX", RANK_IF_ABSENT },
        { "XX", RANK_IF_PRESENT },
        { "GT", RANK_IF_GREATER },
        { "LT", RANK_IF_LESS },
    };
    bool is_taken = true;
    while (is_taken) {
        is_taken = resp_take_keyword(args, "CH");
        if (is_taken) *out_shape = RESP_SHAPE_CHANGED;
        for (size_t index = 0; index < sizeof words / sizeof *words && !is_taken; index++) {
            is_taken = resp_take_keyword(args, words[index].keyword);
            if (is_taken) *out_when |= words[index].when;
        }
    }
    return true;
}

void resp_run_rank_add(struct resp *resp, const struct resp_command *command)
{
    struct resp_args args = { resp, command, 1 };
    struct bytes name;
    unsigned when = 0;
    enum resp_shape shape = RESP_SHAPE_ADDED;
    if (!resp_take_plain(&args, "rank", &name)) return;
    if (!take_add_options(&args, &when, &shape)) return;
    struct change_request *request = change_request_begin();
    do {
        struct engine_operation *operation =
            change_request_operation(request, false, OPERATION_RANK_ADD);
        operation->name = name;
        operation->when = when;
        if (!resp_take_score(&args, &operation->score)) return;
        if (!resp_take_member(&args, &operation->member)) return;
    } while (resp_args_left(&args));
    resp_submit_change(resp, request, shape);
}

void resp_run_rank_incr(struct resp *resp, const struct resp_command *command)
{
    struct resp_args args = { resp, command, 1 };
    struct change_request *request = change_request_begin();
    struct engine_operation *operation =
        change_request_operation(request, false, OPERATION_RANK_INCREMENT);
    if (!resp_take_plain(&args, "rank", &operation->name)) return;
    if (!resp_take_score(&args, &operation->score)) return;
    if (!resp_take_member(&args, &operation->member)) return;
    resp_submit_change(resp, request, RESP_SHAPE_SCORE);
}

void resp_run_rank_rem(struct resp *resp, const struct resp_command *command)
{
    struct resp_args args = { resp, command, 1 };
    struct change_request *request = change_request_begin();
    struct bytes name;
    if (!resp_take_plain(&args, "rank", &name)) return;
    do {
        struct engine_operation *operation =
            change_request_operation(request, false, OPERATION_RANK_REMOVE);
        operation->name = name;
        if (!resp_take_member(&args, &operation->member)) return;
    } while (resp_args_left(&args));
    resp_submit_change(resp, request, RESP_SHAPE_CHANGED);
}

void resp_run_rank_trim(struct resp *resp, const struct resp_command *command)
{
    struct resp_args args = { resp, command, 1 };
    struct change_request *request = change_request_begin();
    struct engine_operation *operation =
        change_request_operation(request, false, OPERATION_RANK_TRIM);
    if (!resp_take_plain(&args, "rank", &operation->name)) return;
    if (!resp_take_integer(&args, "first", &operation->first)) return;
    if (!resp_take_integer(&args, "last", &operation->last)) return;
    resp_submit_change(resp, request, RESP_SHAPE_TRIMMED);
}

/* ------------------------------------------------------------------ looking */

static struct engine_rank_view look(const struct resp *resp, struct bytes name)
{
    struct engine_rank_view view;
    (void)engine_rank(resp->server->engine, name, &view);
    return view;
}

/* The member, and how many there are. */
static bool find_member(
    struct resp_args *args,
    struct engine_rank_view *out_rank,
    struct engine_member_view *out_member)
{
    struct bytes name;
    struct bytes member;
    out_member->member.size = 0;
    if (!resp_take_plain(args, "rank", &name) || !resp_take_member(args, &member)) return false;
    *out_rank = look(args->resp, name);
    (void)engine_member(args->resp->server->engine, name, member, out_member);
    return true;
}

void resp_run_rank_score(struct resp *resp, const struct resp_command *command)
{
    struct resp_args args = { resp, command, 1 };
    struct engine_rank_view rank;
    struct engine_member_view member;
    if (!find_member(&args, &rank, &member)) return;
    if (member.member.size > 0) resp_write_score(resp, member.score);
    if (member.member.size == 0) resp_write_null(&resp->out);
    resp_end(resp, rank.seq);
}

void resp_run_rank_position(struct resp *resp, const struct resp_command *command)
{
    struct resp_args args = { resp, command, 1 };
    struct engine_rank_view rank;
    struct engine_member_view member;
    if (!find_member(&args, &rank, &member)) return;
    bool is_reversed = resp_take_keyword(&args, "REV");
    if (resp_args_left(&args)) {
        (void)resp_refuse_keyword(&args);
        return;
    }
    uint32_t position = is_reversed ? rank.count - 1 - member.position : member.position;
    if (member.member.size > 0) resp_write_unsigned(&resp->out, position);
    if (member.member.size == 0) resp_write_null(&resp->out);
    resp_end(resp, rank.seq);
}

/* Members and scores in turn, from position `first` on in the order of the answer. */
static void
tell_members(struct resp *resp, struct bytes name, uint32_t first, uint32_t count, bool is_reversed)
{
    static struct engine_member_view views[LIMIT_LIST_COUNT_MAX];
    struct seq seq = look(resp, name).seq;
    if (count > LIMIT_LIST_COUNT_MAX) count = LIMIT_LIST_COUNT_MAX;
    if (count > 0) {
        count = engine_members(resp->server->engine, name, first, is_reversed, views, count);
    }
    resp_write_array(&resp->out, 2 * count);
    for (uint32_t index = 0; index < count; index++) {
        resp_write_bulk(&resp->out, views[index].member);
        resp_write_score(resp, views[index].score);
    }
    resp_end(resp, seq);
}

void resp_run_rank_range(struct resp *resp, const struct resp_command *command)
{
    struct resp_args args = { resp, command, 1 };
    struct bytes name;
    int64_t first;
    int64_t last;
    if (!resp_take_plain(&args, "rank", &name)) return;
    if (!resp_take_integer(&args, "first", &first)) return;
    if (!resp_take_integer(&args, "last", &last)) return;
    bool is_reversed = resp_take_keyword(&args, "REV");
    if (resp_args_left(&args)) {
        (void)resp_refuse_keyword(&args);
        return;
    }
    int64_t count = look(resp, name).count;
    if (first < 0) first = first < -count ? 0 : first + count;
    if (last < 0) last = last < -count ? -1 : last + count;
    if (last >= count) last = count - 1;
    int64_t wanted = first > last ? 0 : last - first + 1;
    if (is_reversed) first = count - 1 - first;
    tell_members(resp, name, wanted == 0 ? 0 : (uint32_t)first, (uint32_t)wanted, is_reversed);
}

/* A bound of scores: "(1.5" is open, "-inf" and "inf" are none. */
static bool take_bound(struct resp_args *args, double *out_score, bool *out_is_open)
{
    struct bytes word;
    if (!resp_take_bytes(args, "score", LIMIT_NAME_SIZE_MAX, &word)) return false;
    *out_is_open = word.size > 0 && word.data[0] == '(';
    struct bytes digits = { word.data + *out_is_open, word.size - *out_is_open };
    if (real_parse_extended(digits, out_score)) return true;
    resp_refuse(
        args->resp, TENURE_INVALID, "a score must be a decimal number, -inf or inf; '(' opens it");
    return false;
}

static bool take_span(struct resp_args *args, struct engine_score_span *out_span)
{
    return take_bound(args, &out_span->score_min, &out_span->is_min_open) &&
           take_bound(args, &out_span->score_max, &out_span->is_max_open);
}

void resp_run_rank_byscore(struct resp *resp, const struct resp_command *command)
{
    struct resp_args args = { resp, command, 1 };
    struct bytes name;
    struct engine_score_span span;
    uint64_t offset = 0;
    uint64_t limit = LIMIT_LIST_COUNT_MAX;
    bool is_reversed = false;
    if (!resp_take_plain(&args, "rank", &name) || !take_span(&args, &span)) return;
    while (resp_args_left(&args)) {
        if (resp_take_keyword(&args, "REV")) {
            is_reversed = true;
        } else if (resp_take_keyword(&args, "LIMIT")) {
            if (!resp_take_number(&args, "offset", 0, UINT32_MAX, &offset)) return;
            if (!resp_take_number(&args, "count", 1, LIMIT_LIST_COUNT_MAX, &limit)) return;
        } else {
            (void)resp_refuse_keyword(&args);
            return;
        }
    }
    uint32_t first;
    uint32_t end;
    engine_rank_span(resp->server->engine, name, &span, &first, &end);
    uint64_t count = end - first > offset ? end - first - offset : 0;
    if (count > limit) count = limit;
    uint64_t at = is_reversed ? end - 1 - offset : first + offset;
    tell_members(resp, name, count == 0 ? 0 : (uint32_t)at, (uint32_t)count, is_reversed);
}

void resp_run_rank_count(struct resp *resp, const struct resp_command *command)
{
    struct resp_args args = { resp, command, 1 };
    struct bytes name;
    if (!resp_take_plain(&args, "rank", &name)) return;
    struct engine_rank_view rank = look(resp, name);
    uint32_t count = rank.count;
    if (resp_args_left(&args)) {
        struct engine_score_span span;
        uint32_t first;
        uint32_t end;
        if (!take_span(&args, &span)) return;
        if (resp_args_left(&args)) {
            (void)resp_refuse_keyword(&args);
            return;
        }
        engine_rank_span(resp->server->engine, name, &span, &first, &end);
        count = end - first;
    }
    resp_write_unsigned(&resp->out, count);
    resp_end(resp, rank.seq);
}

void resp_run_rank_list(struct resp *resp, const struct resp_command *command)
{
    static struct engine_rank_view views[LIMIT_LIST_COUNT_MAX];
    struct resp_args args = { resp, command, 1 };
    struct resp_page page;
    if (!resp_take_page(&args, &page)) return;
    struct bytes next;
    const struct engine *engine = resp->server->engine;
    uint32_t count = engine_ranks(engine, page.prefix, page.after, page.limit, views, &next);
    resp_write_array(&resp->out, 2);
    resp_write_bulk(&resp->out, next.size == 0 ? (struct bytes){ "", 0 } : next);
    resp_write_array(&resp->out, 2 * count);
    for (uint32_t index = 0; index < count; index++) {
        resp_write_bulk(&resp->out, views[index].name);
        resp_write_unsigned(&resp->out, views[index].count);
    }
    resp_end(resp, engine_seq(engine)); /* it also tells what is not there */
}
