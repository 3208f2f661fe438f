#include "cli/meta.h"
#include "cli/options.h"
#include "cli/waiting.h"

static void add_holder(struct text *line, const struct waiting_facts *facts)
{
    if (facts->is_silent) {
        text_add(line, "the store does not answer; it is asked again and again");
        return;
    }
    if (facts->owner == NULL) {
        text_add(line, facts->lock_delay_ms > 0 ? "nobody may hold it yet" : "nobody holds it");
        return;
    }
    text_add(line, "held by ");
    /* The random part tells two holds of one process apart; people do not need it. */
    char buffer[OWNER_SIZE];
    struct text owner;
    text_init(&owner, buffer, sizeof(buffer));
    text_add_visible(&owner, facts->owner);
    char *mark = owner.data;
    while (*mark != '\0' && *mark != '#') {
        mark++;
    }
    *mark = '\0';
    text_add(line, buffer);
    if (facts->hold_count > 1) text_addf(line, " and %u more", facts->hold_count - 1);
    if (facts->held_for_ms >= 0) {
        char span[DURATION_TEXT_SIZE];
        text_addf(line, " for %s", duration_format(facts->held_for_ms, span));
    }
    if (facts->meta == NULL || facts->meta[0] == '\0') return;
    size_t size = line->size;
    text_add(line, " (");
    size_t size_inside = line->size;
    meta_describe(facts->meta, line);
    if (line->size == size_inside) {
        text_cut(line, size);
    } else {
        text_add(line, ")");
    }
}

void waiting_compose(const struct waiting_facts *facts, struct text *out_line)
{
    text_add(out_line, "waiting for ");
    text_add_visible(out_line, facts->name);
    /* In front of what may be long and cut off. */
    if (facts->position > 0) text_addf(out_line, ", position %u", facts->position);
    text_add(out_line, ": ");
    add_holder(out_line, facts);
}
