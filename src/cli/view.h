/* view - a lock as JSON and in tables: what `ls` and `show` have in common. */
#ifndef TENURE_CLI_VIEW_H
#define TENURE_CLI_VIEW_H

#include <tenure/tenure.h>

#include "cli/text.h"

/* One line.  Names and meanings of the members are those of the HTTP interface. */
void view_print_json(const struct tenure_lock_view *view);
/* "held on 2 of 3 nodes", "foreign owner"; nothing where neither says anything. */
#define VIEW_VOTES_SIZE 64u
void view_describe_votes(const struct tenure_holder *holder, struct text *text);

#endif
