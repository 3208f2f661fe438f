#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "cli/connect.h"
#include "cli/queue.h"
#include "cli/text.h"

#define READ_SIZE 65536u

bool queue_number(struct options *options, uint32_t least, uint32_t most, uint32_t *out_number)
{
    uint64_t number;
    if (!options_number(options, least, most, &number)) return false;
    *out_number = (uint32_t)number;
    return true;
}

bool queue_state(const struct command *command, const char *word, enum tenure_item_state *out_state)
{
    for (int state = 0; state < TENURE_ITEM_STATE_COUNT; state++) {
        if (strcmp(tenure_item_state_name((enum tenure_item_state)state), word) != 0) continue;
        *out_state = (enum tenure_item_state)state;
        return true;
    }
    complain(
        command, "--state: '%.40s' is none of delayed, ready, taken, done, dead, cancelled", word);
    return false;
}

bool queue_open(
    const struct arguments *arguments, struct tenure_client *out_client, int *out_exit_code)
{
    return connect_open(arguments->command, &arguments->store, out_client, out_exit_code);
}

/* The store says no more than that there is no such thing: which one is ours to say. */
static bool is_bare(enum tenure_err err, const struct tenure_error *error)
{
    return err == TENURE_NOT_FOUND && strcmp(error->text, tenure_err_text(err)) == 0;
}

static int complain_item(
    const struct command *command,
    const char *queue,
    const char *id,
    enum tenure_err err,
    const struct tenure_error *error)
{
    if (!is_bare(err, error)) return connect_complain(command, err, error);
    complain(
        command, "%.255s has no item %.255s: there never was one, or it is forgotten", queue, id);
    return tenure_err_exit_code(err);
}

int queue_close(
    const struct arguments *arguments,
    struct tenure_client client,
    enum tenure_err err,
    const struct tenure_error *error)
{
    const char *const *words = arguments->words;
    tenure_client_close(client);
    if (err == TENURE_OK) return EX_OK;
    if (arguments->word_count == 2) {
        return complain_item(arguments->command, words[0], words[1], err, error);
    }
    if (arguments->word_count != 1 || !is_bare(err, error)) {
        return connect_complain(arguments->command, err, error);
    }
    complain(arguments->command, "nothing is known of a queue %.255s", words[0]);
    return tenure_err_exit_code(err);
}

/* ------------------------------------------------------------------ input */

/* All of it, and one byte more than is allowed.  False: errno says why. */
static bool read_all(int fd, size_t size_max, struct queue_bytes *bytes)
{
    size_t room = 0;
    for (;;) {
        if (bytes->size == room) {
            room = room == 0 ? READ_SIZE : room * 2;
            char *data = realloc(bytes->data, room);
            if (data == NULL) return false;
            bytes->data = data;
        }
        ssize_t size = read(fd, bytes->data + bytes->size, room - bytes->size);
        if (size < 0 && errno == EINTR) continue;
        if (size < 0) return false;
        bytes->size += (size_t)size;
        if (size == 0 || bytes->size > size_max) return true;
    }
}

bool queue_read(
    const struct command *command, const char *path, size_t size_max, struct queue_bytes *out_bytes)
{
    bool is_standard = strcmp(path, "-") == 0;
    struct queue_bytes bytes = { .data = NULL };
    int fd = is_standard ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
    bool is_read = fd >= 0 && read_all(fd, size_max, &bytes);
    int error = errno;
    if (fd >= 0 && !is_standard) (void)close(fd);
    if (is_read && bytes.size <= size_max) {
        *out_bytes = bytes;
        return true;
    }
    free(bytes.data);
    const char *name = is_standard ? "standard input" : path;
    if (is_read) {
        complain(command, "%.200s: more than %zu bytes", name, size_max);
    } else {
        complain(command, "%.200s: %s", name, strerrordesc_np(error));
    }
    return false;
}

/* ------------------------------------------------------------------ items */

static const char *or_null(const char *words)
{
    return words[0] == '\0' ? NULL : words;
}

static void print_time(struct json *json, const char *name, int64_t at_us)
{
    if (at_us > 0) {
        json_time(json, name, at_us);
    } else {
        json_string(json, name, NULL);
    }
}

void queue_print_item_json(const struct tenure_item *item)
{
    struct json json = { .is_inside = false };
    bool is_taken = item->state == TENURE_ITEM_TAKEN;
    bool is_done = item->state == TENURE_ITEM_DONE;
    json_open(&json, '{');
    json_string(&json, "queue", item->queue);
    json_string(&json, "id", item->id);
    json_string(&json, "state", tenure_item_state_name(item->state));
    json_string(&json, "group", or_null(item->group));
    json_number(&json, "priority", item->priority);
    json_span(&json, "seq", item->seq == 0 ? -1 : (int64_t)item->seq);
    json_span(&json, "token", item->token == 0 ? -1 : (int64_t)item->token);
    json_number(&json, "attempts", item->attempts);
    json_number(&json, "lapses", item->lapses);
    print_time(&json, "put_at", item->put_at_us);
    print_time(&json, "run_at", item->run_at_us);
    print_time(&json, "taken_at", item->taken_at_us);
    json_string(&json, "worker", is_taken ? or_null(item->worker) : NULL);
    json_span(&json, "remaining_ms", is_taken ? item->remaining_ms : -1);
    json_bool(&json, "cancelling", item->is_cancelling);
    json_string(&json, "note", is_done ? NULL : or_null(item->note));
    json_string(&json, "headers", or_null(item->headers));
    json_bytes(&json, "body", item->body, item->body_size);
    if (is_done) json_bytes(&json, "result", item->result, item->result_size);
    json_close(&json, '}');
    json_end();
}

static void print_line(const char *title, const char *words)
{
    char buffer[8192];
    struct text text;
    if (words[0] == '\0') return;
    text_init(&text, buffer, sizeof(buffer));
    text_add_visible(&text, words);
    (void)printf("%-9s %s\n", title, buffer);
}

void queue_print_item(const struct tenure_item *item)
{
    char span[OUT_SPAN_SIZE];
    char time[OUT_TIME_SIZE];
    char owner[OUT_OWNER_SIZE];
    print_line("id", item->id);
    (void)printf("%-9s %s", "state", tenure_item_state_name(item->state));
    if (item->state == TENURE_ITEM_TAKEN) {
        (void)printf(", %s left", out_span(item->remaining_ms, span));
        if (item->is_cancelling) (void)fputs(", being cancelled", stdout);
    }
    if (item->state == TENURE_ITEM_DELAYED && item->run_at_us > 0) {
        (void)printf(" until %s", out_time(item->run_at_us, time));
    }
    (void)putchar('\n');
    print_line("group", item->group);
    if (item->put_at_us > 0) (void)printf("%-9s %s\n", "put", out_time(item->put_at_us, time));
    if (item->state == TENURE_ITEM_TAKEN) print_line("worker", out_owner(item->worker, owner));
    if (item->token != 0) (void)printf("%-9s %" PRIu64 "\n", "token", item->token);
    (void)printf(
        "%-9s %" PRIu32 " of %" PRIu32 "\n", "attempts", item->attempts, item->attempts_max);
    (void)printf("%-9s %" PRIu32 " of %" PRIu32 "\n", "lapses", item->lapses, item->lapses_max);
    const char *what = item->state == TENURE_ITEM_TAKEN ? "progress" : "reason";
    print_line(item->state == TENURE_ITEM_DONE ? "result" : what, item->note);
    print_line("headers", item->headers);
    (void)printf("%-9s %zu bytes\n", "body", item->body_size);
    if (item->body_size > 0) print_line("", item->body);
}

/* ------------------------------------------------------------------ its end */

struct awaiting {
    bool is_json;
    enum tenure_item_state state;
    char note[256];
};

static void on_end(const struct tenure_item *item, void *user)
{
    struct awaiting *awaiting = user;
    awaiting->state = item->state;
    (void)snprintf(awaiting->note, sizeof(awaiting->note), "%.255s", item->note);
    if (awaiting->is_json) {
        queue_print_item_json(item);
    } else if (item->state == TENURE_ITEM_DONE) {
        (void)fwrite(item->result, 1, item->result_size, stdout);
        (void)fflush(stdout);
    }
}

int queue_await(
    const struct arguments *arguments,
    struct tenure_client client,
    const struct tenure_await_options *options)
{
    const struct command *command = arguments->command;
    struct awaiting awaiting = { .is_json = arguments->is_json };
    struct tenure_error error = { .text = "" };
    enum tenure_err err = tenure_item_await(client, options, on_end, &awaiting, &error);
    if (err != TENURE_OK) {
        return complain_item(command, options->queue, options->id, err, &error);
    }
    if (awaiting.state == TENURE_ITEM_DONE) return EX_OK;
    complain(
        command,
        "%.255s is %s%s%s",
        options->id,
        tenure_item_state_name(awaiting.state),
        awaiting.note[0] == '\0' ? "" : ": ",
        awaiting.note);
    return QUEUE_EXIT_NOT_DONE;
}

/* ------------------------------------------------------------------ claims */

bool queue_claim(
    const struct arguments *arguments, const char *token, struct tenure_item_claim *out_claim)
{
    const struct command *command = arguments->command;
    bool has_words = arguments->word_count > 0;
    const char *queue = has_words ? arguments->words[0] : getenv("TENURE_QUEUE");
    const char *id = has_words ? arguments->words[1] : getenv("TENURE_ID");
    if (token == NULL) token = getenv("TENURE_TOKEN");
    if (queue == NULL || id == NULL) {
        complain(
            command, "which item? name the queue and its id, or set TENURE_QUEUE and TENURE_ID");
        return false;
    }
    uint64_t number;
    if (token == NULL || !number_parse(token, &number) || number == 0) {
        complain(
            command, "which take of it? give --token, or set TENURE_TOKEN to one whole number");
        return false;
    }
    *out_claim = (struct tenure_item_claim){ .queue = queue, .id = id, .token = number };
    return true;
}
