/* session - one connection as its protocol sees it.
 *
 * net/connection moves bytes; a session gives them meaning.  It starts as nothing, and the first
 * bytes make it HTTP or RESP (session_detect).  Both speak to the engine only through
 * server_submit(), and to the client only through session_out() and session_reply_end().
 *
 * Rules that both protocols follow:
 *   - A reply may leave when the journal is durable up to the seq it depends on: the session
 * appends the bytes of one whole answer to session_out() and then calls session_reply_end(session,
 * seq). Answers leave in the order in which they were ended.
 *   - While an acquire waits (engine_update.is_waiting), the session takes no further request from
 *     its input: later pipelined requests are answered in order, after it.  The connection goes on
 *     reading so that a hang-up is seen, up to a bound.  A protocol that waits for something else
 *     (a long-poll) sets is_waiting by itself.
 *   - on_reply and the callbacks of followers write answers; they must not call server_submit: what
 *     the engine hands out is valid until its next step.
 *   - In front of another store answers come later.  HTTP waits for each (is_waiting); RESP goes on
 *     with what was sent behind, and each answer takes the place that was kept for it.  A client
 *     that hangs up meanwhile, but only its own side, is still answered what it did not wait for.
 *   - When the client hangs up, the server tells the engine ENGINE_CLIENT_GONE at once. */
#ifndef TENURE_SERVER_SESSION_H
#define TENURE_SERVER_SESSION_H

#include "base/buffer.h"
#include "base/list.h"
#include "base/types.h"
#include "engine/engine.h"
#include "net/connection.h"

struct server;
struct session;

struct session_protocol {
    const char *name;  /* "http", "resp": a metrics label */
    bool is_pipelined; /* takes requests while the answers to earlier ones are to come */
    bool is_whole;     /* shows all of a hold in the answer to a renewal and the like */
    /* The first bytes have spoken for this protocol: set up session->state.  False: no memory. */
    bool (*on_open)(struct session *session);
    /* Take whole requests from the front of `input`; return how many bytes were used (0 = need
     * more). Called again with the rest when more arrives, or when a wait has ended and
     * session_resume was called.  Stops at a request that begins to wait (session->is_waiting),
     * right behind its last byte, and after session_close. */
    size_t (*on_input)(struct session *session, struct bytes input);
    /* The engine answered a command of this session (at once inside server_submit, or later).  The
     * server has cleared is_waiting and resumes the session by itself after an answer that came
     * later. */
    void (*on_reply)(struct session *session, const struct engine_reply *reply);
    /* Everything written has left; only after session_want_drain.  May be NULL. */
    void (*on_drain)(struct session *session);
    /* About once a second: for deadlines of slow clients.  May be NULL. */
    void (*on_tick)(struct session *session);
    /* The server stops: answer what waits for something else than the engine.  May be NULL. */
    void (*on_stop)(struct session *session);
    /* Has a request begun to arrive?  When the server stops, it is still taken, and the protocol
     * closes behind its answer.  May be NULL: then nothing is. */
    bool (*is_midway)(const struct session *session);
    /* The client is gone, or session_close was called and the rest only has to be sent: free what
     * is yours.  The last call of all. */
    void (*on_close)(struct session *session);
};

/* Where an answer goes that is to come, and what was answered behind it meanwhile. */
struct session_place;

struct session {
    struct server *server;
    const struct session_protocol *protocol; /* NULL until the first bytes */
    void *state;                             /* the protocol's own */
    uint64_t id;                             /* the engine's client; never used twice */
    bool is_waiting;                         /* an acquire (or a long-poll) waits */
    bool is_closing;                         /* session_close was called */
    bool is_barred;                          /* session_bar was called */
    bool is_local;                           /* came over the Unix socket */
    bool is_gone;                            /* private: the connection has hung up */
    bool is_ended;                           /* private: on_close was called */
    struct mono opened_at;
    uint32_t owed_count;          /* answers that are to come; it ends when all are there */
    struct connection connection; /* private to session.c */
    struct list places;           /* private: in the order of the answers */
    struct session_place *spoken; /* private: whose answer is being written */
    struct list works;            /* the relay's: what it does for this session */
    struct list link;             /* private: all sessions */
    struct list resume;           /* private: whose input is to be looked at again, or is gone */
};

/* HTTP or RESP?  An HTTP request begins with a method and a blank; anything else that begins with a
 * letter or '*' is RESP.  False: more bytes are needed.  NULL: neither; answer nothing and close.
 */
MUST_USE bool session_detect(struct bytes input, const struct session_protocol **out_protocol);

extern const struct session_protocol session_http; /* server/http.c */
extern const struct session_protocol session_resp; /* server/resp.c */

/* Where the bytes of answers go. */
struct buffer *session_out(struct session *session);
/* Everything appended since the last call is one answer; it leaves when `seq` is durable (0: at
 * once, behind what was ended before). */
void session_reply_end(struct session *session, struct seq seq);
/* Bytes written but not yet taken by the client: the measure of a slow reader. */
size_t session_backlog(const struct session *session);
/* Call on_drain when the backlog is gone. */
void session_want_drain(struct session *session);
/* The next session_close answers a client that may be in the middle of sending: see
 * connection_linger. */
void session_linger(struct session *session);
/* Close when everything written has left.  on_close follows in the same turn, not inside this
 * call. */
void session_close(struct session *session);
/* An answer is to come: the session goes on to exist until it is there, even if the client hangs
 * up. The place of a pipelined protocol's answer; NULL: no memory. */
MUST_USE bool session_owe(struct session *session, struct session_place **out_place);
/* What is written from here on, up to session_paid, is that answer.  `place` may be NULL: the
 * protocol is not pipelined. */
void session_speak(struct session *session, struct session_place *place);
/* It was given; or will not be, and nobody waits for it. */
void session_paid(struct session *session, struct session_place *place);
/* The protocol waits for something else than an answer: look at no input before it says so. */
void session_wait(struct session *session);
/* Look at no further input until all answers that are to come are there.  False: none are. */
bool session_bar(struct session *session);
/* After is_waiting was cleared from outside on_input and on_reply (a long-poll ended): look at the
 * input again, later in this turn. */
void session_resume(struct session *session);

/* ---- for turn.c and start.c: the table of sessions */

/* False when there is no memory. */
MUST_USE bool session_table_create(struct server *server);
/* All sessions must be gone.  Accepts that there is no table. */
void session_table_destroy(struct server *server);

/* Make a session of a socket that came in.  At the limit the socket is closed. */
void session_accept(struct server *server, int socket, bool is_local);
/* NULL when it is gone. */
struct session *session_find(struct server *server, uint64_t id);
/* Look again at the input of those that were resumed.  True when there were any. */
bool session_resume_all(struct server *server);
bool session_has_resumable(const struct server *server);
/* Deal with the clients that have hung up: their waiters vanish, their protocol lets go. */
void session_reap(struct server *server);
/* Once a second: deadlines of slow clients. */
void session_tick_all(struct server *server);
/* The server stops: close all when what was written has left, those in the middle of a request when
 * it is answered. */
void session_close_all(struct server *server);
/* Close all at once. */
void session_abort_all(struct server *server);

#endif
