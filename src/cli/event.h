/* event - what happened to a lock, as JSON and for people: what `history` and `watch` share. */
#ifndef TENURE_CLI_EVENT_H
#define TENURE_CLI_EVENT_H

#include <tenure/tenure.h>

/* One line.  The members are always the same, null where an event has no such thing. */
void event_print_json(const struct tenure_event *event);
/* What there is to say beyond who and what: the reason, the label. */
void event_describe(const struct tenure_event *event, char *out_text, size_t text_size);

#endif
