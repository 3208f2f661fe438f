#include "cli/holding.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sysexits.h>
#include <unistd.h>

#include "cli/connect.h"

#define TTL_MS_MIN     100u
#define TTL_MS_MAX     86400000u
#define WAIT_MS_MAX    86400000u
#define SLOT_COUNT_MAX 4096u

void holding_init(struct holding *holding, const struct command *command)
{
    *holding = (struct holding){ .owner = NULL };
    run_options_init(&holding->options, command);
}

static bool read_number(struct options *words, uint32_t least, uint32_t most, uint32_t *out_number)
{
    uint64_t number;
    if (!options_number(words, least, most, &number)) return false;
    *out_number = (uint32_t)number;
    return true;
}

static bool read_label(const struct options *words, struct run_options *options)
{
    const char *equals = strchr(words->value, '=');
    bool is_good = equals != NULL && equals != words->value;
    if (!is_good) {
        complain(words->command, "--label: '%.60s' is not KEY=VALUE", words->value);
        return false;
    }
    if (options->label_count == RUN_LABEL_COUNT_MAX) {
        complain(words->command, "--label: at most %u of them", RUN_LABEL_COUNT_MAX);
        return false;
    }
    options->labels[options->label_count++] = words->value;
    return true;
}

static bool read_owner(const struct options *words, struct holding *holding)
{
    size_t size = strlen(words->value);
    if (size == 0 || size >= OWNER_SIZE) {
        complain(words->command, "--owner: an owner has 1 to %u bytes", OWNER_SIZE - 1);
        return false;
    }
    holding->owner = words->value;
    return true;
}

bool holding_option(struct holding *holding, struct options *words, int id, bool *out_is_good)
{
    struct run_options *options = &holding->options;
    bool is_good = true;
    switch (id) {
    case 's': options->is_shared = true; break;
    case 'n':
    case OPTION_HOLDING_TRY: options->wait_ms = 0; break;
    case 'w': is_good = options_duration(words, 0, WAIT_MS_MAX, &options->wait_ms); break;
    case 'L': is_good = read_number(words, 1, SLOT_COUNT_MAX, &options->slots); break;
    case OPTION_HOLDING_TTL:
        is_good = options_duration(words, TTL_MS_MIN, TTL_MS_MAX, &options->ttl_ms);
        break;
    case OPTION_HOLDING_PRIORITY: is_good = read_number(words, 0, 9, &options->priority); break;
    case OPTION_HOLDING_LABEL: is_good = read_label(words, options); break;
    case OPTION_HOLDING_OWNER: is_good = read_owner(words, holding); break;
    case OPTION_HOLDING_MIN_SAFETY:
        is_good = run_options_safety(words, &options->min_safety);
        break;
    default: return false;
    }
    if (!is_good) *out_is_good = false;
    return true;
}

/* ------------------------------------------------------------------ obtaining */

/* Who we are, for the store and those who ask it.  False: complained. */
static bool introduce(const struct holding *holding, struct run *run)
{
    const struct run_options *options = run->options;
    struct text owner;
    owner_compose(run->owner);
    if (holding->owner != NULL) {
        text_init(&owner, run->owner, sizeof(run->owner));
        text_add(&owner, holding->owner);
    }
    run->report.owner = run->owner;
    struct meta meta = { .labels = options->labels, .label_count = options->label_count };
    struct text value;
    text_init(&value, run->meta, sizeof(run->meta));
    bool is_fitting;
    if (options->value != NULL) {
        text_add(&value, options->value);
        is_fitting = !value.is_cut;
    } else {
        is_fitting = meta_compose(&meta, run->meta);
    }
    const char *what = options->value != NULL ? "value is" : "labels are";
    if (!is_fitting) {
        complain(options->command, "the %s too long: %u bytes at most", what, META_SIZE - 1);
    }
    return is_fitting;
}

static struct run *create_run(const struct run_options *options)
{
    struct run *run = calloc(1, sizeof(*run));
    if (run == NULL) return NULL;
    run->options = options;
    run->loss_fds[0] = -1;
    run->loss_fds[1] = -1;
    run->signals.fd = -1;
    run->report_fd = -1;
    run->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    return run;
}

bool holding_open(struct holding *holding, const struct arguments *arguments, int *out_exit_code)
{
    struct run_options *options = &holding->options;
    const struct command *command = options->command;
    *out_exit_code = EX_USAGE;
    options->store = arguments->store;
    if (options->is_shared && options->slots > 1) {
        complain(command, "-s and --limit exclude each other: shared holds are not counted");
        return false;
    }
    if (!run_options_names(options, arguments->words[0])) return false;
    struct run *run = create_run(options);
    holding->run = run;
    if (run == NULL || run->wake_fd < 0 || !signals_open(&run->signals)) {
        complain(command, "cannot start: %s", strerrordesc_np(errno));
        *out_exit_code = EX_SOFTWARE;
        return false;
    }
    if (!introduce(holding, run)) return false;
    if (!connect_open(command, &options->store, &run->client, out_exit_code)) return false;
    connect_url(&options->store, run->client, run->url, sizeof(run->url));
    if (obtain(run)) return true;
    *out_exit_code = run->report.exit_code;
    return false;
}

/* ------------------------------------------------------------------ holding */

static enum tenure_loss find_loss(const struct run *run)
{
    struct tenure_hold_info info;
    if (tenure_hold_info(run->acquisition.hold, &info) != TENURE_OK) return TENURE_LOSS_CLOSED;
    return info.state == TENURE_HOLD_LOST ? info.loss : TENURE_LOSS_NONE;
}

/* A signal that ends us has come. */
static bool is_told_to_end(struct run *run)
{
    struct signal_news news;
    while (signals_next(&run->signals, &news)) {
        /* Stopped, the lease runs out; continued, the loss is seen at once. */
        if (news.number == SIGTSTP) signals_stop_self(SIGTSTP);
        if (signals_is_end(news.number)) return true;
    }
    return false;
}

int holding_wait(struct holding *holding)
{
    struct run *run = holding->run;
    const struct command *command = holding->options.command;
    struct pollfd fds[] = {
        { .fd = run->wake_fd, .events = POLLIN },
        { .fd = run->signals.fd, .events = POLLIN },
    };
    enum tenure_loss loss = TENURE_LOSS_NONE;
    for (;;) {
        loss = find_loss(run);
        if (loss != TENURE_LOSS_NONE || is_told_to_end(run)) break;
        (void)poll(fds, 2, -1);
        drain_wake(run);
    }
    if (loss != TENURE_LOSS_NONE) {
        run->report.outcome = RUN_LOST;
        run->report.loss = tenure_loss_name(loss);
        complain(command, "lost %s (%s)", holding->options.name_list, run->report.loss);
    }
    give_back(run);
    bool was_broken = atomic_load(&run->release.is_done) && run->release.err == TENURE_OK &&
                      run->release.end == TENURE_END_BROKEN;
    return loss != TENURE_LOSS_NONE || was_broken ? EXIT_LOST : EX_OK;
}

void holding_close(struct holding *holding)
{
    struct run *run = holding->run;
    if (run == NULL) return;
    tenure_client_close(run->client);
    waiting_destroy(&run->waiting);
    signals_close(&run->signals);
    if (run->wake_fd >= 0) (void)close(run->wake_fd);
    int die_of = run->die_of;
    free(run);
    holding->run = NULL;
    if (die_of != 0) {
        (void)fflush(stdout);
        signals_die(die_of);
    }
}

uint32_t holding_ttl_ms(const struct holding *holding)
{
    return holding->options.is_unlimited ? 0 : holding->options.ttl_ms;
}

void holding_print_members(const struct holding *holding, struct json *json)
{
    const struct run *run = holding->run;
    json_key(json, "names");
    json_open(json, '[');
    for (uint32_t i = 0; i < holding->options.name_count; i++) {
        json_string(json, NULL, holding->options.names[i]);
    }
    json_close(json, ']');
    json_string(json, "owner", run->owner);
    json_key(json, "tokens");
    (void)printf("[%s]", run->tokens);
    json_key(json, "slots");
    (void)printf("[%s]", run->slots);
    json_number(json, "ttl_ms", holding_ttl_ms(holding));
    char url[sizeof(run->url)];
    bool is_told = tenure_client_url(run->client, url, sizeof(url)) == TENURE_OK;
    json_string(json, "url", is_told ? url : "");
}

void holding_print_end(const struct holding *holding)
{
    const struct report *report = &holding->run->report;
    struct json json = { .is_inside = false };
    json_open(&json, '{');
    json_string(&json, "state", report->loss == NULL ? "ended" : "lost");
    json_string(&json, "loss", report->loss);
    json_string(&json, "end", report->end);
    json_close(&json, '}');
    json_end();
}
