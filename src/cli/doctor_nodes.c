#include <inttypes.h>
#include <stdarg.h>
#include <string.h>

#include "cli/doctor.h"
#include "cli/text.h"

#define TEXT_SIZE           512u
#define CLOCK_OFFSET_MS_MAX 2000

/* ------------------------------------------------------------------ findings */

/* A line of JSON is left open, for more members. */
static void
print_json(struct json *json, enum doctor_verdict verdict, const char *check, const char *text)
{
    static const char *const words[] = { "ok", "warn", "fail" };
    json_open(json, '{');
    json_string(json, "check", check);
    json_string(json, "verdict", words[verdict]);
    json_string(json, "text", text);
}

static void print_words(enum doctor_verdict verdict, const char *check, const char *text)
{
    static const char *const words[] = { "ok", "warn", "fail" };
    static const enum out_colour colours[] = { OUT_GREEN, OUT_YELLOW, OUT_RED };
    (void)printf("%s%-5s%s", out_begin(colours[verdict]), words[verdict], out_end());
    (void)printf("%-14s%s\n", check, text);
    (void)fflush(stdout);
}

void doctor_say(
    struct doctor *doctor, enum doctor_verdict verdict, const char *check, const char *format, ...)
{
    char raw[TEXT_SIZE];
    char buffer[TEXT_SIZE];
    struct text text;
    va_list list;
    va_start(list, format);
    (void)vsnprintf(raw, sizeof(raw), format, list);
    va_end(list);
    text_init(&text, buffer, sizeof(buffer));
    text_add_visible(&text, raw);
    if (verdict == VERDICT_FAIL) doctor->has_failed = true;
    if (!doctor->arguments->is_json) {
        print_words(verdict, check, buffer);
        return;
    }
    struct json json = { .is_inside = false };
    print_json(&json, verdict, check, buffer);
    json_close(&json, '}');
    json_end();
}

/* ------------------------------------------------------------------ the promise */

static const char *advice_of(enum tenure_safety safety)
{
    switch (safety) {
    case TENURE_SAFETY_VOLATILE:
        return "a Redis with appendfsync always and maxmemory-policy noeviction, or three or five "
               "of them that know nothing of each other";
    case TENURE_SAFETY_REPLICATED_ASYNC:
        return "three or five servers that know nothing of each other in the place of one and its "
               "replicas";
    case TENURE_SAFETY_DURABLE_SINGLE:
        return "three or five Redis servers that know nothing of each other: one may fail, and "
               "locks are still granted";
    case TENURE_SAFETY_QUORUM:
    case TENURE_SAFETY_CONSENSUS: return NULL;
    }
    return NULL;
}

void doctor_check_safety(struct doctor *doctor, enum tenure_safety safety)
{
    bool is_strong = safety >= TENURE_SAFETY_DURABLE_SINGLE;
    doctor_say(
        doctor,
        is_strong ? VERDICT_OK : VERDICT_WARN,
        "safety",
        "%s: %s%s",
        tenure_safety_name(safety),
        tenure_safety_text(safety),
        is_strong ? "" : "; check tokens in what you write to");
    const char *advice = advice_of(safety);
    if (advice != NULL) doctor_say(doctor, VERDICT_OK, "more safety", "%s", advice);
}

/* ------------------------------------------------------------------ nodes */

struct survey {
    struct doctor *doctor;
    unsigned node_count;
    unsigned voting_count;
};

static void add_fact(struct text *text, const char *fact)
{
    if (fact[0] != '\0') text_addf(text, ", %s", fact);
}

/* "10.0.0.1:6379: admitted, master, 7.0.15, appendfsync always, noeviction, clock +3 ms" */
static void describe(const struct tenure_node *node, struct text *text)
{
    char span[OUT_SPAN_SIZE];
    text_addf(text, "%s: %s", node->address, node->is_reachable ? node->standing : "unreachable");
    if (node->quarantine_ms > 0) {
        text_addf(text, " for %s more", out_span(node->quarantine_ms, span));
    }
    add_fact(text, node->role);
    add_fact(text, node->version);
    add_fact(text, node->persistence);
    add_fact(text, node->eviction_policy);
    if (node->is_reachable) text_addf(text, ", clock %+" PRId64 " ms", node->clock_offset_ms);
    if (node->trouble[0] != '\0') text_addf(text, "; %s", node->trouble);
    if (node->advice[0] != '\0') text_addf(text, ": %s", node->advice);
}

static enum doctor_verdict judge(const struct tenure_node *node)
{
    if (!node->is_reachable) return VERDICT_FAIL;
    bool is_off =
        node->clock_offset_ms > CLOCK_OFFSET_MS_MAX || node->clock_offset_ms < -CLOCK_OFFSET_MS_MAX;
    bool is_calm = node->trouble[0] == '\0' && node->advice[0] == '\0';
    return node->is_voting && is_calm && !is_off ? VERDICT_OK : VERDICT_WARN;
}

static void
print_node_json(const struct tenure_node *node, enum doctor_verdict verdict, const char *text)
{
    struct json json = { .is_inside = false };
    print_json(&json, verdict, "node", text);
    json_string(&json, "address", node->address);
    json_bool(&json, "reachable", node->is_reachable);
    json_bool(&json, "voting", node->is_voting);
    json_string(&json, "standing", node->standing);
    json_span(&json, "quarantine_ms", node->quarantine_ms);
    json_string(&json, "role", node->role);
    json_string(&json, "version", node->version);
    json_string(&json, "persistence", node->persistence);
    json_string(&json, "eviction_policy", node->eviction_policy);
    json_key(&json, "clock_offset_ms");
    (void)printf("%" PRId64, node->clock_offset_ms);
    json_string(&json, "trouble", node->trouble);
    json_string(&json, "advice", node->advice);
    json_close(&json, '}');
    json_end();
}

static void on_node(const struct tenure_node *node, void *user)
{
    struct survey *survey = user;
    enum doctor_verdict verdict = judge(node);
    char raw[TEXT_SIZE];
    char buffer[TEXT_SIZE];
    struct text words;
    struct text text;
    text_init(&words, raw, sizeof(raw));
    describe(node, &words);
    text_init(&text, buffer, sizeof(buffer));
    text_add_visible(&text, raw);
    survey->node_count++;
    if (node->is_voting) survey->voting_count++;
    if (verdict == VERDICT_FAIL) survey->doctor->has_failed = true;
    if (survey->doctor->arguments->is_json) {
        print_node_json(node, verdict, buffer);
    } else {
        print_words(verdict, "node", buffer);
    }
}

void doctor_check_nodes(struct doctor *doctor)
{
    struct survey survey = { .doctor = doctor };
    struct tenure_error error = { .code = TENURE_OK };
    enum tenure_err err = tenure_nodes(doctor->client, on_node, &survey, &error);
    if (err != TENURE_OK) {
        doctor_say(doctor, VERDICT_FAIL, "nodes", "%s", error.text);
        return;
    }
    if (survey.node_count == 0) return;
    unsigned needed = survey.node_count / 2 + 1;
    enum doctor_verdict verdict = VERDICT_OK;
    const char *advice = "";
    if (survey.voting_count < needed) {
        verdict = VERDICT_FAIL;
        advice = ": nothing is granted or renewed until there are";
    } else if (survey.voting_count < survey.node_count) {
        verdict = VERDICT_WARN;
        advice = survey.voting_count == needed ? ": no further one may fail" : "";
    }
    doctor_say(
        doctor,
        verdict,
        "nodes",
        "%u of %u vote, %u must%s",
        survey.voting_count,
        survey.node_count,
        needed,
        advice);
}
