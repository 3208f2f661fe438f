/* golden - readable stories of the engine: what is asked, and, indented below it, what is decided.
 *
 *     golden-traces DIR            every DIR/NAME.trace must come out as it stands there
 *     golden-traces --accept DIR   write down what comes out now
 *
 * A line that begins with a name is somebody asking: `alice acquire job ttl 10s wait 5s`.  The
 * others: at 3s         time passes until then; what is due happens on the way disk stops nothing
 * becomes durable until `disk goes on` stall 20s     the server could receive nothing for so long
 *     gate no-space | slow | draining | open
 *     restart       a new engine from a snapshot of the old one
 *     show job      holders and waiters
 * Answers that wait for the disk show the record they wait for: [after 3]. */
#include <ctype.h>
#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "engine/engine.h"

#define WORD_COUNT_MAX  32u
#define ACTOR_COUNT_MAX 16u
#define CLAIM_COUNT_MAX 64u
#define WALL_US         1000000

struct story {
    const char *path;
    FILE *out;
    struct engine *engine;
    int64_t now_ns;
    bool is_disk_stopped;
    struct seq durable;
    char actors[ACTOR_COUNT_MAX][16];
    uint32_t actor_count;
    uint64_t tag;
    uint64_t waits[ACTOR_COUNT_MAX]; /* tag of the last acquire */
    struct {
        char name[32], owner[16];
        uint64_t token;
    } claims[CLAIM_COUNT_MAX];
    uint32_t claim_count;
    char *words[WORD_COUNT_MAX];
    uint32_t word_count;
};

__attribute__((noreturn)) static void stop(const struct story *story, const char *what)
{
    fprintf(stderr, "%s: %s: %s\n", story->path, what, story->word_count ? story->words[0] : "");
    exit(65);
}

static uint64_t actor(struct story *story, const char *name)
{
    for (uint32_t index = 0; index < story->actor_count; index++) {
        if (strcmp(story->actors[index], name) == 0) return index + 1;
    }
    if (story->actor_count == ACTOR_COUNT_MAX) stop(story, "too many actors");
    snprintf(story->actors[story->actor_count++], sizeof story->actors[0], "%s", name);
    return story->actor_count;
}

static uint32_t milliseconds(const struct story *story, const char *text)
{
    char *unit = NULL;
    unsigned long value = strtoul(text, &unit, 10);
    if (strcmp(unit, "s") == 0) return (uint32_t)(value * 1000);
    if (strcmp(unit, "ms") == 0) return (uint32_t)value;
    if (strcmp(unit, "h") == 0) return (uint32_t)(value * 3600000);
    stop(story, "a time needs ms, s or h");
}

/* The word behind `key`; NULL when it is not there. */
static const char *option(const struct story *story, const char *key)
{
    for (uint32_t index = 2; index + 1 < story->word_count; index++) {
        if (strcmp(story->words[index], key) == 0) return story->words[index + 1];
    }
    return NULL;
}

static bool flag(const struct story *story, const char *key)
{
    for (uint32_t index = 2; index < story->word_count; index++) {
        if (strcmp(story->words[index], key) == 0) return true;
    }
    return false;
}

static uint32_t option_ms(const struct story *story, const char *key, uint32_t otherwise)
{
    const char *text = option(story, key);
    return text == NULL ? otherwise : milliseconds(story, text);
}

static uint64_t claimed_token(const struct story *story, const char *name, const char *owner)
{
    const char *given = option(story, "token");
    if (given != NULL) return strtoull(given, NULL, 10);
    for (uint32_t index = story->claim_count; index-- > 0;) {
        bool is_it = strcmp(story->claims[index].name, name) == 0 &&
                     strcmp(story->claims[index].owner, owner) == 0;
        if (is_it) return story->claims[index].token;
    }
    return 1;
}

/* ---------------------------------------------------------------- printing */

#define TEXT(bytes) (int)(bytes).size, (bytes).data

static void print_record(struct story *story, const struct record *record)
{
    fprintf(
        story->out,
        "    %" PRIu64 " %s %.*s",
        record->seq.value,
        record_kind_word(record->kind),
        TEXT(record->name));
    if (record->owner.size > 0) {
        fprintf(story->out, " %.*s token %" PRIu64, TEXT(record->owner), record->token.value);
    }
    if (record->kind == RECORD_GRANTED) {
        fprintf(
            story->out,
            " %s slot %u/%u",
            record->mode == ENGINE_SHARED ? "shared" : "exclusive",
            record->slot,
            record->slots);
    }
    bool has_ttl = record->kind == RECORD_GRANTED || record->kind == RECORD_RENEWED;
    if (has_ttl) fprintf(story->out, " ttl %u ms", record->ttl_ms);
    if (record->lock_delay_ms > 0) fprintf(story->out, " delay %u ms", record->lock_delay_ms);
    if (record->grace_ms > 0) fprintf(story->out, " grace %u ms", record->grace_ms);
    if (record->meta.size > 0) fprintf(story->out, " meta '%.*s'", TEXT(record->meta));
    if (record->reason.size > 0) fprintf(story->out, " reason '%.*s'", TEXT(record->reason));
    fputc('\n', story->out);
    if (record->kind != RECORD_GRANTED) return;
    if (story->claim_count == CLAIM_COUNT_MAX) stop(story, "too many grants");
    snprintf(
        story->claims[story->claim_count].name,
        sizeof story->claims[0].name,
        "%.*s",
        TEXT(record->name));
    snprintf(
        story->claims[story->claim_count].owner,
        sizeof story->claims[0].owner,
        "%.*s",
        TEXT(record->owner));
    story->claims[story->claim_count++].token = record->token.value;
}

static void
print_result(struct story *story, enum engine_command_kind kind, const struct engine_result *result)
{
    FILE *out = story->out;
    if (result->name.size > 0) fprintf(out, " %.*s", TEXT(result->name));
    if (result->err != TENURE_OK) fprintf(out, " %s", tenure_err_name(result->err));
    if (result->hold.token.value > 0) {
        fprintf(
            out,
            " token %" PRIu64 " slot %u, %" PRId64 " ms left",
            result->hold.token.value,
            result->hold.slot,
            result->hold.remaining_ms);
    }
    if (result->is_repeat) fprintf(out, ", as before");
    bool has_end = result->end != ENGINE_END_NONE || kind == ENGINE_RELEASE;
    if (has_end) fprintf(out, " %s", engine_end_word(result->end));
    if (result->successor.value > 0) {
        fprintf(out, ", successor %" PRIu64, result->successor.value);
    }
    if (result->holder.name.size > 0) fprintf(out, ", held by %.*s", TEXT(result->holder.owner));
    if (result->position > 0) fprintf(out, ", position %u", result->position);
    if (result->retry_after_ms >= 0 && result->position > 0) {
        fprintf(out, ", free in %" PRId64 " ms", result->retry_after_ms);
    }
    if (result->waited_ms > 0) fprintf(out, ", waited %" PRId64 " ms", result->waited_ms);
    fputc(';', out);
}

static void print_reply(struct story *story, const struct engine_reply *reply)
{
    static const char *const words[] = {
        "acquire", "cancel", "renew", "release", "break", "proclaim", "transfer",
    };
    fprintf(
        story->out,
        "    -> %s: %s %s",
        story->actors[reply->client - 1],
        words[reply->kind],
        tenure_err_name(reply->err));
    for (uint32_t index = 0; index < reply->result_count; index++) {
        print_result(story, reply->kind, &reply->results[index]);
    }
    if (reply->detail != NULL) fprintf(story->out, " (%s)", reply->detail);
    if (reply->seq.value > story->durable.value) {
        fprintf(story->out, " [after %" PRIu64 "]", reply->seq.value);
    }
    fputc('\n', story->out);
}

/* ----------------------------------------------------------------- stepping */

static struct engine_event event_of(const struct story *story, enum engine_event_kind kind)
{
    return (struct engine_event){
        .kind = kind,
        .now = { story->now_ns },
        .wall = { WALL_US + story->now_ns / 1000 },
    };
}

static void step_once(struct story *story, const struct engine_event *event)
{
    struct engine_update update;
    if (engine_step(story->engine, event, &update) != TENURE_OK) stop(story, "no memory");
    struct bytes rest = update.records;
    for (uint32_t index = 0; index < update.record_count; index++) {
        struct record record;
        if (record_decode(&rest, &record) != TENURE_OK) stop(story, "a record is broken");
        record.seq.value = update.first.value + index;
        print_record(story, &record);
    }
    for (uint32_t index = 0; index < update.reply_count; index++) {
        print_reply(story, &update.replies[index]);
    }
    if (update.is_waiting) fputs("    … waits\n", story->out);
    engine_check(story->engine);
}

static void sync_disk(struct story *story)
{
    if (story->is_disk_stopped) return;
    struct engine_event event = event_of(story, ENGINE_DURABLE);
    story->durable = engine_seq(story->engine);
    event.durable = story->durable;
    step_once(story, &event);
}

static void step(struct story *story, const struct engine_event *event)
{
    step_once(story, event);
    sync_disk(story);
}

static void pass_time(struct story *story, int64_t until_ns)
{
    for (;;) {
        int64_t next_ns = engine_deadline(story->engine).ns;
        if (next_ns > until_ns) break;
        story->now_ns = next_ns > story->now_ns ? next_ns : story->now_ns;
        fprintf(story->out, "    at %" PRId64 " ms:\n", story->now_ns / NS_PER_MS);
        struct engine_event event = event_of(story, ENGINE_TIMER);
        step(story, &event);
    }
    story->now_ns = until_ns;
}

static struct engine *new_engine(void)
{
    struct engine_options options = {
        .memory = &memory_heap,
        .hash_key = { { 1, 2 } },
        .hold_count_max = 1000,
        .waiter_count_max = 1000,
        .window_size = ENGINE_WINDOW_SIZE_MIN,
        .ageing_ms = ENGINE_AGEING_MS_DEFAULT,
    };
    struct engine *engine = engine_create(&options);
    if (engine == NULL) abort();
    return engine;
}

static void restart(struct story *story)
{
    struct buffer chunk;
    struct seq seq;
    bool is_last = false;
    struct engine *next = new_engine();
    buffer_init(&chunk, &memory_heap);
    engine_snapshot_begin(story->engine, &seq);
    while (!is_last) {
        buffer_reset(&chunk);
        is_last = engine_snapshot_write(story->engine, &chunk, 64);
        if (engine_restore_chunk(next, buffer_bytes(&chunk)) != TENURE_OK) stop(story, "restore");
    }
    if (engine_restore_snapshot_end(next, seq) != TENURE_OK) stop(story, "restore");
    buffer_deinit(&chunk);
    engine_destroy(&story->engine);
    story->engine = next;
    story->durable = seq;
    struct engine_event event = event_of(story, ENGINE_READY);
    step(story, &event);
}

static void show(struct story *story, const char *text)
{
    struct bytes name = bytes_from_text(text);
    struct mono now = { story->now_ns };
    struct engine_lock_view lock;
    if (!engine_inspect(story->engine, name, now, &lock)) {
        fputs("    nobody\n", story->out);
        return;
    }
    struct engine_hold_view hold;
    for (uint32_t index = 0; engine_inspect_hold(story->engine, name, now, index, &hold); index++) {
        fprintf(
            story->out,
            "    held by %.*s token %" PRIu64 " slot %u, %" PRId64 " ms left%s\n",
            TEXT(hold.owner),
            hold.token.value,
            hold.slot,
            hold.remaining_ms,
            hold.is_breaking ? ", breaking" : "");
    }
    struct engine_waiter_view waiters[16];
    uint32_t count = engine_inspect_waiters(story->engine, name, now, waiters, 16);
    for (uint32_t index = 0; index < count; index++) {
        fprintf(
            story->out,
            "    %u. %.*s waits since %" PRId64 " ms\n",
            waiters[index].position,
            TEXT(waiters[index].owner),
            waiters[index].waited_ms);
    }
    if (lock.delay_ms > 0) fprintf(story->out, "    delayed for %" PRId64 " ms\n", lock.delay_ms);
}

/* ------------------------------------------------------------------ scripts */

static void acquire(struct story *story, struct engine_command *command)
{
    static struct bytes names[LIMIT_NAME_COUNT_MAX];
    struct engine_acquire *asked = &command->as.acquire;
    for (char *name = strtok(story->words[2], ","); name != NULL; name = strtok(NULL, ",")) {
        names[asked->name_count++] = bytes_from_text(name);
    }
    asked->names = names;
    asked->owner = bytes_from_text(story->words[0]);
    asked->ttl_ms = option_ms(story, "ttl", LIMIT_TTL_MS_DEFAULT);
    asked->wait_ms = option_ms(story, "wait", 0);
    asked->lock_delay_ms = option_ms(story, "delay", 0);
    asked->mode = flag(story, "shared") ? ENGINE_SHARED : ENGINE_EXCLUSIVE;
    const char *slots = option(story, "slots");
    const char *priority = option(story, "priority");
    const char *meta = option(story, "meta");
    asked->slots = slots == NULL ? 1 : (uint32_t)strtoul(slots, NULL, 10);
    asked->priority = priority == NULL ? 0 : (uint32_t)strtoul(priority, NULL, 10);
    if (meta != NULL) asked->meta = bytes_from_text(meta);
    command->kind = ENGINE_ACQUIRE;
    story->waits[command->client - 1] = command->tag;
}

static void ask(struct story *story)
{
    const char *who = story->words[0];
    const char *verb = story->word_count > 1 ? story->words[1] : "";
    const char *name = story->word_count > 2 ? story->words[2] : "";
    struct engine_command command = { .client = actor(story, who), .tag = ++story->tag };
    struct engine_claim claim = {
        .name = bytes_from_text(name),
        .owner = bytes_from_text(who),
        .token = { claimed_token(story, name, who) },
        .ttl_ms = option_ms(story, "ttl", ENGINE_TTL_KEEP),
    };
    struct engine_event event = event_of(story, ENGINE_COMMAND);
    event.command = &command;
    if (strcmp(verb, "acquire") == 0) {
        acquire(story, &command);
    } else if (strcmp(verb, "cancel") == 0) {
        command.kind = ENGINE_CANCEL;
        command.tag = story->waits[command.client - 1];
    } else if (strcmp(verb, "renew") == 0) {
        command.kind = ENGINE_RENEW;
        command.as.renew.claims = &claim;
        command.as.renew.count = 1;
    } else if (strcmp(verb, "release") == 0) {
        command.kind = ENGINE_RELEASE;
        command.as.release = claim;
    } else if (strcmp(verb, "break") == 0 && story->word_count > 3) {
        command.kind = ENGINE_BREAK;
        command.as.break_hold.name = claim.name;
        command.as.break_hold.token.value = claimed_token(story, name, story->words[3]);
        command.as.break_hold.reason = BYTES_LITERAL("stuck");
        command.as.break_hold.grace_ms = option_ms(story, "grace", 0);
    } else if (strcmp(verb, "proclaim") == 0 && story->word_count > 3) {
        command.kind = ENGINE_PROCLAIM;
        command.as.proclaim.claim = claim;
        command.as.proclaim.value = bytes_from_text(story->words[3]);
    } else if (strcmp(verb, "transfer") == 0 && story->word_count > 3) {
        command.kind = ENGINE_TRANSFER;
        command.as.transfer.claim = claim;
        command.as.transfer.to = bytes_from_text(story->words[3]);
    } else if (strcmp(verb, "gone") == 0) {
        event.kind = ENGINE_CLIENT_GONE;
        event.client = command.client;
    } else {
        stop(story, "what does this actor do?");
    }
    step(story, &event);
}

static void set_gate(struct story *story)
{
    struct engine_event event = event_of(story, ENGINE_GATE);
    const char *word = story->words[1];
    event.gate = ENGINE_GATE_OPEN;
    if (strcmp(word, "no-space") == 0) event.gate = ENGINE_GATE_NO_SPACE;
    if (strcmp(word, "slow") == 0) event.gate = ENGINE_GATE_SLOW;
    if (strcmp(word, "draining") == 0) event.gate = ENGINE_GATE_DRAINING;
    step(story, &event);
}

static void run_line(struct story *story)
{
    const char *verb = story->words[0];
    const char *what = story->word_count > 1 ? story->words[1] : "";
    if (strcmp(verb, "at") == 0) {
        pass_time(story, (int64_t)milliseconds(story, what) * NS_PER_MS);
    } else if (strcmp(verb, "disk") == 0) {
        story->is_disk_stopped = strcmp(what, "stops") == 0;
        sync_disk(story);
    } else if (strcmp(verb, "stall") == 0) {
        struct engine_event event = event_of(story, ENGINE_STALLED);
        event.stall_ns = (int64_t)milliseconds(story, what) * NS_PER_MS;
        story->now_ns += event.stall_ns;
        event.now.ns = story->now_ns;
        step(story, &event);
    } else if (strcmp(verb, "gate") == 0) {
        set_gate(story);
    } else if (strcmp(verb, "restart") == 0) {
        restart(story);
    } else if (strcmp(verb, "show") == 0) {
        show(story, what);
    } else {
        ask(story);
    }
}

/* The script lines again, each with what it leads to. */
static char *play(const char *path, const char *text)
{
    struct story *story = calloc(1, sizeof *story);
    char *played = NULL;
    size_t size = 0;
    if (story == NULL) abort();
    story->path = path;
    story->engine = new_engine();
    story->out = open_memstream(&played, &size);
    if (story->out == NULL) abort();
    struct engine_event ready = event_of(story, ENGINE_READY);
    step(story, &ready);
    for (const char *line = text; *line != '\0';) {
        const char *end = strchrnul(line, '\n');
        char copy[200];
        int length = (int)(end - line);
        bool is_output = length >= 4 && strncmp(line, "    ", 4) == 0;
        if (!is_output) fprintf(story->out, "%.*s\n", length, line);
        snprintf(copy, sizeof copy, "%.*s", length, line);
        line = *end == '\0' ? end : end + 1;
        if (is_output || copy[0] == '#' || copy[0] == '\0') continue;
        story->word_count = 0;
        char *rest = NULL;
        for (char *word = strtok_r(copy, " ", &rest); word != NULL;
             word = strtok_r(NULL, " ", &rest)) {
            if (story->word_count == WORD_COUNT_MAX) stop(story, "too many words");
            story->words[story->word_count++] = word;
        }
        run_line(story);
    }
    engine_destroy(&story->engine);
    fclose(story->out);
    free(story);
    return played;
}

static char *read_text(const char *path)
{
    FILE *file = fopen(path, "r");
    if (file == NULL) {
        perror(path);
        exit(66);
    }
    char *text = calloc(1, 1 << 20);
    if (text == NULL) abort();
    size_t size = fread(text, 1, (1 << 20) - 1, file);
    text[size] = '\0';
    fclose(file);
    return text;
}

/* Show the first line that differs. */
static void print_difference(const char *path, const char *expected, const char *got)
{
    int line = 1;
    while (*expected != '\0' && *got != '\0') {
        int left = (int)(strchrnul(expected, '\n') - expected);
        int right = (int)(strchrnul(got, '\n') - got);
        if (left != right || memcmp(expected, got, (size_t)left) != 0) break;
        expected += left + (expected[left] == '\n');
        got += right + (got[right] == '\n');
        line++;
    }
    printf(
        "%s:%d: expected\n%.*s\ngot\n%.*s\n",
        path,
        line,
        (int)(strchrnul(expected, '\n') - expected),
        expected,
        (int)(strchrnul(got, '\n') - got),
        got);
}

static bool run_file(const char *path, bool is_accepting)
{
    char *text = read_text(path);
    char *played = play(path, text);
    bool is_same = strcmp(text, played) == 0;
    if (!is_same && is_accepting) {
        FILE *file = fopen(path, "w");
        if (file == NULL || fputs(played, file) < 0 || fclose(file) != 0) {
            perror(path);
            exit(74);
        }
        printf("%s: accepted\n", path);
    } else if (!is_same) {
        print_difference(path, text, played);
    }
    free(text);
    free(played);
    return is_same || is_accepting;
}

int main(int argc, char **argv)
{
    bool is_accepting = argc > 2 && strcmp(argv[1], "--accept") == 0;
    if (argc < 2) {
        fputs("golden-traces [--accept] DIR\n", stderr);
        return 64;
    }
    const char *folder = argv[argc - 1];
    struct dirent **entries = NULL;
    int count = scandir(folder, &entries, NULL, alphasort);
    int passed = 0, failed = 0;
    for (int index = 0; index < count; index++) {
        const char *dot = strrchr(entries[index]->d_name, '.');
        char path[1024];
        snprintf(path, sizeof path, "%s/%s", folder, entries[index]->d_name);
        if (dot != NULL && strcmp(dot, ".trace") == 0) {
            if (run_file(path, is_accepting)) {
                passed++;
            } else {
                failed++;
            }
        }
        free(entries[index]);
    }
    free(entries);
    printf("%d passed, %d failed\n", passed, failed);
    return failed > 0 || passed == 0 ? 1 : 0;
}
