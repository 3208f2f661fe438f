/* view - a lock as JSON and in tables: what `ls` and `show` have in common. */
#ifndef TENURE_CLI_VIEW_H
#define TENURE_CLI_VIEW_H

#include <tenure/tenure.h>

/* One line.  Names and meanings of the members are those of the HTTP interface. */
void view_print_json(const struct tenure_lock_view *view);

#endif
