/* log - one line an event, on standard error.
 *
 * `2026-01-31T12:00:00.123Z warning text`; under systemd (which adds the time itself) `<4>text`.
 * Texts never carry meta, values or tokens.  Only the server logs, and a failure once, where it is
 * handled. */
#ifndef TENURE_SERVER_LOG_H
#define TENURE_SERVER_LOG_H

#include "server/config.h"

/* What is less important than `level` is left out. */
void log_init(enum log_level level);
void log_write(enum log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
