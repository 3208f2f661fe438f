#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "cli/connect.h"
#include "cli/out.h"
#include "cli/state.h"

#define RANGE_COUNT_MAX 1000u

enum {
    OPTION_MIN = OPTION_OWN,
    OPTION_MAX,
    OPTION_IF_NEW,
    OPTION_IF_PRESENT,
    OPTION_IF_HIGHER,
    OPTION_IF_LOWER,
};

static const struct option_spec specs[] = {
    { 'r', "reverse", NULL, "the highest score first" },
    { 'n', "limit", "N", "ls: so many at most (default, and most: 1000)" },
    { OPTION_MIN, "min", "SCORE", "ls: only from this score on" },
    { OPTION_MAX, "max", "SCORE", "ls: only up to this one" },
    { OPTION_IF_NEW, "if-new", NULL, "add: leave alone who is there" },
    { OPTION_IF_PRESENT, "if-present", NULL, "add: nobody new" },
    { OPTION_IF_HIGHER, "if-higher", NULL, "add: only if the score rises by it" },
    { OPTION_IF_LOWER, "if-lower", NULL, "add: only if it falls" },
    OPTIONS_JSON,
    OPTIONS_STORE,
    { .id = 0 },
};

static const char *const usages[] = {
    "add [OPTION …] RANK SCORE MEMBER [SCORE MEMBER …]",
    "incr [OPTION …] RANK BY MEMBER",
    "del [OPTION …] RANK MEMBER …",
    "get [-r] [--json] RANK MEMBER",
    "ls [-r] [-n N] [--min SCORE] [--max SCORE] [--json] RANK",
    "ls [--json]",
    NULL,
};

static const char *const examples[] = {
    "tenure rank incr scores 5 ann",
    "five more for ann; prints her score",
    "tenure rank ls -r -n 10 scores",
    "the ten best, with their places",
    "tenure rank get -r scores ann",
    "her score, and her place from the top",
    "tenure rank ls",
    "the ranks there are, and how many members they have",
    "tenure rank add --if-higher scores 42 bob",
    "bob's best so far",
    "tenure rank add scores -- -1.5 eve",
    "-- is before a score that is negative",
    NULL,
};

static const char notes[] = "Places count from 0.  Exit code 66: there is no such member.\n";

struct ranking {
    struct arguments arguments;
    struct tenure_range_options range;
    unsigned rules;
    uint64_t position;
    struct table table;
};

/* ------------------------------------------------------------------ change */

/* "5 ann 3 bob" behind the rank. */
static int add(struct ranking *ranking, struct tenure_client client, struct tenure_error *error)
{
    const struct arguments *arguments = &ranking->arguments;
    struct tenure_member members[ARGUMENT_WORDS_MAX / 2];
    struct tenure_rank_add_options options = { .size = sizeof(options),
                                               .rank = arguments->words[1],
                                               .members = members,
                                               .rules = ranking->rules };
    uint32_t count;
    if (arguments->word_count % 2 != 0) {
        complain(arguments->command, "a score and a member, in turn");
        return EX_USAGE;
    }
    for (unsigned i = 2; i + 1 < arguments->word_count; i += 2) {
        struct tenure_member *member = &members[options.member_count++];
        member->member = arguments->words[i + 1];
        if (!state_score(arguments->command, arguments->words[i], &member->score)) return EX_USAGE;
    }
    enum tenure_err err = tenure_rank_add(client, &options, &count, error);
    if (err != TENURE_OK) return connect_complain(arguments->command, err, error);
    (void)printf("%" PRIu32 "\n", count);
    return EX_OK;
}

static int incr(struct ranking *ranking, struct tenure_client client, struct tenure_error *error)
{
    const struct arguments *arguments = &ranking->arguments;
    char text[STATE_SCORE_SIZE];
    double score;
    if (!state_score(arguments->command, arguments->words[2], &score)) return EX_USAGE;
    enum tenure_err err =
        tenure_rank_incr(client, arguments->words[1], arguments->words[3], score, &score, error);
    if (err != TENURE_OK) return connect_complain(arguments->command, err, error);
    (void)puts(state_score_text(score, text));
    return EX_OK;
}

static int del(struct ranking *ranking, struct tenure_client client, struct tenure_error *error)
{
    const struct arguments *arguments = &ranking->arguments;
    uint32_t count = 0;
    enum tenure_err err = tenure_rank_remove(
        client,
        arguments->words[1],
        arguments->words + 2,
        arguments->word_count - 2,
        &count,
        error);
    if (err != TENURE_OK) return connect_complain(arguments->command, err, error);
    if (count == 0) complain(arguments->command, "there is no such member");
    return count == 0 ? STATE_EXIT_ABSENT : EX_OK;
}

/* ------------------------------------------------------------------ look */

static void print_member(struct ranking *ranking, const struct tenure_member *member)
{
    char text[STATE_SCORE_SIZE];
    if (ranking->arguments.is_json) {
        struct json json = { .is_inside = false };
        json_open(&json, '{');
        json_span(&json, "position", ranking->range.is_by_score ? -1 : (int64_t)ranking->position);
        json_string(&json, "member", member->member);
        json_key(&json, "score");
        (void)fputs(state_score_text(member->score, text), stdout);
        json_close(&json, '}');
        json_end();
        return;
    }
    if (ranking->range.is_by_score) {
        table_add(&ranking->table, ""); /* nobody asked where they stand */
    } else {
        table_addf(&ranking->table, "%" PRIu64, ranking->position);
    }
    table_add(&ranking->table, state_score_text(member->score, text));
    table_add(&ranking->table, member->member);
}

static void on_member(const struct tenure_member *member, void *user)
{
    struct ranking *ranking = user;
    print_member(ranking, member);
    ranking->position++;
}

static void on_rank(const char *rank, uint32_t count, void *user)
{
    struct ranking *ranking = user;
    if (ranking->arguments.is_json) {
        struct json json = { .is_inside = false };
        json_open(&json, '{');
        json_string(&json, "rank", rank);
        json_number(&json, "count", count);
        json_close(&json, '}');
        json_end();
        return;
    }
    table_add(&ranking->table, rank);
    table_addf(&ranking->table, "%" PRIu32, count);
}

static int
ls_ranks(struct ranking *ranking, struct tenure_client client, struct tenure_error *error)
{
    static const struct table_column columns[] = { { "RANK", false, true },
                                                   { "MEMBERS", true, false } };
    table_deinit(&ranking->table);
    table_init(&ranking->table, columns, sizeof(columns) / sizeof(columns[0]));
    enum tenure_err err = tenure_rank_list(client, NULL, on_rank, ranking, error);
    if (err != TENURE_OK) return connect_complain(ranking->arguments.command, err, error);
    table_print(&ranking->table);
    return EX_OK;
}

static int ls(struct ranking *ranking, struct tenure_client client, struct tenure_error *error)
{
    struct tenure_range_options *range = &ranking->range;
    if (ranking->arguments.word_count == 1) return ls_ranks(ranking, client, error);
    range->rank = ranking->arguments.words[1];
    range->last = range->count_max == 0 ? -1 : (int64_t)range->count_max - 1;
    enum tenure_err err = tenure_rank_range(client, range, on_member, ranking, error);
    if (err != TENURE_OK) return connect_complain(ranking->arguments.command, err, error);
    table_print(&ranking->table);
    return EX_OK;
}

static int get(struct ranking *ranking, struct tenure_client client, struct tenure_error *error)
{
    const struct arguments *arguments = &ranking->arguments;
    const char *rank = arguments->words[1];
    struct tenure_member member = { .member = arguments->words[2] };
    enum tenure_err err = tenure_rank_score(client, rank, member.member, &member.score, error);
    if (err == TENURE_OK) {
        err = tenure_rank_position(
            client, rank, member.member, ranking->range.is_reversed, &ranking->position, error);
    }
    if (err != TENURE_OK) return connect_complain(arguments->command, err, error);
    print_member(ranking, &member);
    table_print(&ranking->table);
    return EX_OK;
}

/* ------------------------------------------------------------------ words */

static const struct action {
    const char *name;
    unsigned least; /* words, with its own */
    unsigned most;
    int (*run)(struct ranking *ranking, struct tenure_client client, struct tenure_error *error);
} actions[] = {
    { "add", 4, ARGUMENT_WORDS_MAX, add },
    { "incr", 4, 4, incr },
    { "del", 3, ARGUMENT_WORDS_MAX, del },
    { "get", 3, 3, get },
    { "ls", 1, 2, ls },
};

static const struct action *find_action(const char *name)
{
    for (size_t i = 0; i < sizeof(actions) / sizeof(actions[0]); i++) {
        if (strcmp(actions[i].name, name) == 0) return &actions[i];
    }
    return NULL;
}

static bool read_option(struct ranking *ranking, int id)
{
    struct options *options = &ranking->arguments.options;
    struct tenure_range_options *range = &ranking->range;
    uint64_t number;
    switch (id) {
    case 'r': range->is_reversed = true; return true;
    case 'n':
        if (!options_number(options, 1, RANGE_COUNT_MAX, &number)) return false;
        range->count_max = (uint32_t)number;
        return true;
    case OPTION_MIN:
        range->is_by_score = true;
        return state_score(options->command, options->value, &range->least);
    case OPTION_MAX:
        range->is_by_score = true;
        return state_score(options->command, options->value, &range->most);
    case OPTION_IF_NEW: ranking->rules |= TENURE_RANK_IF_NEW; return true;
    case OPTION_IF_PRESENT: ranking->rules |= TENURE_RANK_IF_PRESENT; return true;
    case OPTION_IF_HIGHER: ranking->rules |= TENURE_RANK_IF_HIGHER; return true;
    case OPTION_IF_LOWER: ranking->rules |= TENURE_RANK_IF_LOWER; return true;
    default: abort(); /* the table has an option that nobody reads */
    }
}

static int run(const struct command *command, int argc, char **argv)
{
    static const struct table_column columns[] = { { "PLACE", true, false },
                                                   { "SCORE", true, false },
                                                   { "MEMBER", false, true } };
    struct ranking ranking = {
        .range = { .size = sizeof(ranking.range), .least = -HUGE_VAL, .most = HUGE_VAL }
    };
    arguments_init(&ranking.arguments, command, argc, argv);
    int id;
    while ((id = arguments_next(&ranking.arguments)) > 0) {
        if (!read_option(&ranking, id)) return EX_USAGE;
    }
    int code;
    if (!arguments_end(&ranking.arguments, id, 1, ARGUMENT_WORDS_MAX, "what with it?", &code)) {
        return code;
    }
    const struct action *action = find_action(ranking.arguments.words[0]);
    unsigned count = ranking.arguments.word_count;
    if (action == NULL || count < action->least || count > action->most) {
        complain(command, "add, incr, del, get or ls, and its words: tenure rank --help");
        return EX_USAGE;
    }
    struct tenure_client client;
    struct tenure_error error = { .text = "" };
    if (!connect_open(command, &ranking.arguments.store, &client, &code)) return code;
    table_init(&ranking.table, columns, sizeof(columns) / sizeof(columns[0]));
    code = action->run(&ranking, client, &error);
    table_deinit(&ranking.table);
    tenure_client_close(client);
    return code;
}

const struct command command_rank = {
    .name = "rank",
    .summary = "members sorted by score: add, count up, remove, look",
    .usages = usages,
    .examples = examples,
    .options = specs,
    .notes = notes,
    .run = run,
};
