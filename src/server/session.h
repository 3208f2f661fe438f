/* session - one connection as its protocol sees it.
 *
 * net/connection moves bytes; a session gives them meaning.  It starts as nothing, and the first
 * byte makes it HTTP or RESP (session_detect).  Both speak to the engine only through
 * server_submit(), and to the client only through session_out() and session_reply_end().
 *
 * Rules that both protocols follow:
 *   - A reply may leave when the journal is durable up to the seq it depends on: the session appends
 *     the bytes of one whole answer to session_out() and then calls session_reply_end(session, seq).
 *     Answers leave in the order in which they were ended.
 *   - While an acquire waits (engine_update.is_waiting), the session takes no further request from
 *     its input: later pipelined requests are answered in order, after it.  The connection goes on
 *     reading so that a hang-up is seen, up to a bound.
 *   - When the client hangs up, the server tells the engine ENGINE_CLIENT_GONE at once. */
#ifndef TENURE_SERVER_SESSION_H
#define TENURE_SERVER_SESSION_H

#include "base/buffer.h"
#include "base/list.h"
#include "base/types.h"
#include "engine/engine.h"

struct server;
struct session;

struct session_protocol {
    const char *name; /* "http", "resp": a metrics label */
    /* Take whole requests from the front of `input`; return how many bytes were used (0 = need more).
     * Called again with the rest when more arrives or when a wait ends.  Must not use anything
     * while session->is_waiting. */
    size_t (*on_input)(struct session *session, struct bytes input);
    /* The engine answered a command of this session (at once inside server_submit, or later). */
    void (*on_reply)(struct session *session, const struct engine_reply *reply);
    /* The connection is gone: free what is yours. */
    void (*on_close)(struct session *session);
};

struct session {
    struct server *server;
    const struct session_protocol *protocol; /* NULL until the first byte */
    void *state;                             /* the protocol's own */
    uint64_t id;                             /* the engine's client; never used twice */
    bool is_waiting;                         /* an acquire waits for its grant */
    bool is_closing;                         /* close when everything written has left */
    bool is_local;                           /* came over the Unix socket */
};

/* HTTP or RESP?  NULL: not to be told, answer nothing and close. */
const struct session_protocol *session_detect(char first_byte);

extern const struct session_protocol session_http; /* server/http.c */
extern const struct session_protocol session_resp; /* server/resp.c */

/* Where the bytes of answers go. */
struct buffer *session_out(struct session *session);
/* Everything appended since the last call is one answer; it leaves when `seq` is durable (0: at
 * once, behind what was ended before). */
void session_reply_end(struct session *session, struct seq seq);
/* Bytes written but not yet taken by the client: the measure of a slow reader. */
size_t session_backlog(const struct session *session);
/* Close when everything written has left. */
void session_close(struct session *session);
/* After is_waiting was cleared from outside on_input: look at the input again (next turn). */
void session_resume(struct session *session);

#endif
