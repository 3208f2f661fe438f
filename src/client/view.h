/* view - what stores say, in the words of the public headers. */
#ifndef TENURE_CLIENT_VIEW_H
#define TENURE_CLIENT_VIEW_H

#include <tenure/watch.h>

#include "store/store.h"

struct tenure_event tni_event_of(const struct store_event *event);

#endif
