/* resp - the Redis protocol side: one session's state, and what the files of it share.
 *
 *   resp.c          input to commands, replies of the engine to bytes
 *   resp_command.c  the table of commands, and COMMAND
 *   resp_docs.c     COMMAND DOCS: the syntax in the form that clients expect
 *   resp_args.c     arguments, checked against their limits
 *   resp_client.c   what clients expect of any server: PING, HELLO, CLIENT …
 *   resp_info.c     INFO
 *   resp_lock.c     LOCK.* and ELECT.* that the engine decides
 *   resp_view.c     LOCK.* and ELECT.* that only look
 *   resp_follow.c   EVENTS.FOLLOW and ELECT.OBSERVE
 *   resp_queue*.c   QUEUE.* (resp_queue.h)
 *   resp_state.c    STATE.*; resp_state.h has what is shared with the next three
 *   resp_state_txn.c     … a transaction in words
 *   resp_state_answer.c  … what the engine has decided, and events
 *   resp_rank.c     RANK.*
 *   resp_channel.c  PUBLISH, SUBSCRIBE …
 *
 * Each handler writes exactly one whole answer, or submits one command to the engine, whose reply
 * becomes the answer. */
#ifndef TENURE_SERVER_RESP_H
#define TENURE_SERVER_RESP_H

#include "engine/engine.h"
#include "proto/resp_reader.h"
#include "proto/resp_writer.h"
#include "server/args.h"
#include "server/server.h"

#define RESP_CLIENT_NAME_SIZE 64u
#define RESP_TEXT_SIZE        640u

#define RESP_SUBSCRIPTION_COUNT_MAX 1024u

#define RESP_RECENT_COUNT 8u /* a power of two */

struct resp_follow;

struct resp {
    struct session *session;
    struct server *server;
    struct resp_reader reader;
    struct resp_writer out;
    struct resp_follow *follow; /* of EVENTS.FOLLOW and ELECT.OBSERVE; NULL = none is under way */
    struct list subscriptions;  /* subscription.own: the channels and patterns it listens to */
    uint32_t subscription_count;
    bool is_following;  /* EVENTS.FOLLOW: only PING, QUIT and RESET are taken */
    bool is_backlogged; /* takes no input until its answers have left */
    bool is_midway;     /* a command has begun to arrive … */
    struct mono since;  /* … at that time */
    struct {
        uint64_t since;
        uint32_t wait_ms;
    } observed;                                        /* resp_follow.c */
    const struct resp_spec *recent[RESP_RECENT_COUNT]; /* commands that it has used */
    char client_name[RESP_CLIENT_NAME_SIZE];
};

/* ---- the table */

enum resp_flag {
    RESP_FLAG_WRITE = 1,    /* may change something */
    RESP_FLAG_READONLY = 2, /* only looks */
    RESP_FLAG_FAST = 4,
    RESP_FLAG_BLOCKING = 8,  /* may wait */
    RESP_FLAG_FOLLOWER = 16, /* allowed on a connection that follows events */
    RESP_FLAG_PUBSUB = 32,
    RESP_FLAG_ALONE = 64,       /* only when every command before it is answered */
    RESP_FLAG_EMBEDDED = 128,   /* only the embedded engine can do it */
    RESP_FLAG_SUBSCRIBER = 256, /* allowed on a connection of RESP2 that listens to channels */
};

struct resp_spec {
    const char *name; /* in capitals */
    size_t name_size;
    int arity; /* words with the name; negative: at least so many */
    unsigned flags;
    const char *group;
    const char *syntax; /* of what follows the name */
    const char *summary;
    void (*run)(struct resp *resp, const struct resp_command *command);
};

/* NULL when there is no such command.  Capitals and small letters are the same. */
const struct resp_spec *resp_find_spec(struct bytes name);
/* All of them, for the check of the documentation. */
const struct resp_spec *resp_specs(uint32_t *out_count);

/* What COMMAND DOCS tells of one command: a map (resp_docs.c). */
void resp_write_docs(struct resp *resp, const struct resp_spec *spec);

/* ---- answers */

/* What is written now goes where the session says: the place of an answer that was to come, or the
 * end of what was answered.  Every way in begins with it. */
static inline struct resp *resp_speak(struct session *session)
{
    struct resp *resp = session->state;
    resp->out.out = session_out(session);
    return resp;
}

/* End the answer; it leaves when `seq` is durable. */
void resp_end(struct resp *resp, struct seq seq);
/* An answer that depends on nothing. */
void resp_end_now(struct resp *resp);
/* A whole answer: an error with the word of `err`, or with another first word. */
void resp_refuse(struct resp *resp, enum tenure_err err, const char *text);
void resp_refuse_word(struct resp *resp, const char *word, const char *text);
/* A whole answer: +OK. */
void resp_accept(struct resp *resp);

/* A text in the making; what does not fit is cut off. */
struct resp_text {
    size_t size;
    char data[RESP_TEXT_SIZE];
};

void resp_text_add(struct resp_text *text, const char *more);
void resp_text_add_bytes(struct resp_text *text, struct bytes more);
void resp_text_add_number(struct resp_text *text, int64_t value);

static inline struct bytes resp_text_bytes(const struct resp_text *text)
{
    return (struct bytes){ text->data, text->size };
}

/* Maps: a key that is a literal, and its value. */
void resp_pair_signed(struct resp *resp, const char *key, int64_t value);
void resp_pair_unsigned(struct resp *resp, const char *key, uint64_t value);
void resp_pair_bytes(struct resp *resp, const char *key, struct bytes value);
void resp_pair_text(struct resp *resp, const char *key, const char *value);

/* "exclusive" or "shared". */
struct bytes resp_mode_word(enum engine_mode mode);

/* ---- arguments: a walk over the words of a command.  Each function takes one word; false: it was
 * wrong, and the error has been answered. */

struct resp_args {
    struct resp *resp;
    const struct resp_command *command;
    uint32_t index; /* of the next word */
};

static inline bool resp_args_left(const struct resp_args *args)
{
    return args->index < args->command->argument_count;
}

/* The next word is the keyword `word` (in capitals, any case fits): step over it. */
bool resp_take_keyword(struct resp_args *args, const char *word);
bool resp_take_plain(struct resp_args *args, const char *field, struct bytes *out_text);
/* Any UTF-8, at most `size_max` bytes, may be empty. */
bool resp_take_text(
    struct resp_args *args, const char *field, size_t size_max, struct bytes *out_text);
/* Any bytes. */
bool resp_take_bytes(
    struct resp_args *args, const char *field, size_t size_max, struct bytes *out_bytes);
/* An argument that HTTP has too, by the rule that it has there. */
bool resp_take_arg(struct resp_args *args, const char *field, enum arg arg, struct args *out);
bool resp_take_number(
    struct resp_args *args, const char *field, uint64_t least, uint64_t most, uint64_t *out_number);
/* 0 = until released. */
bool resp_take_ttl(struct resp_args *args, uint32_t *out_ttl_ms);
bool resp_take_token(struct resp_args *args, struct token *out_token);
/* The next word is none of the keywords: answer so.  Always false. */
bool resp_refuse_keyword(struct resp_args *args);

/* ---- replies of the engine (resp_lock.c) */

/* The last bit of the tag of an acquire: it has several names. */
#define RESP_TAG_MANY UINT64_C(1)
/* … of the end of an item: it brings a transaction. */
#define RESP_TAG_CHANGE UINT64_C(1)

void resp_answer(struct resp *resp, const struct engine_reply *reply);

/* ---- following (resp_follow.c) */

void resp_follow_stop(struct resp *resp);
/* Answers have left: go on with what was held back. */
void resp_follow_drained(struct resp *resp);
/* The server stops: a wait for a change is over. */
void resp_observe_stop(struct resp *resp);
/* The fields of an event, as a map. */
void resp_write_record(struct resp *resp, const struct record *record);
/* The leader of an election, as a map; ends the answer (resp_view.c). */
void resp_tell_leader(struct session *session, const struct query_answer *answer);

/* ---- channels (resp_channel.c) */

void resp_channels_stop(struct resp *resp);

/* ---- handlers */

void resp_run_publish(struct resp *resp, const struct resp_command *command);
void resp_run_subscribe(struct resp *resp, const struct resp_command *command);
void resp_run_psubscribe(struct resp *resp, const struct resp_command *command);
void resp_run_unsubscribe(struct resp *resp, const struct resp_command *command);
void resp_run_punsubscribe(struct resp *resp, const struct resp_command *command);
void resp_run_pubsub(struct resp *resp, const struct resp_command *command);

void resp_run_ping(struct resp *resp, const struct resp_command *command);
void resp_run_echo(struct resp *resp, const struct resp_command *command);
void resp_run_hello(struct resp *resp, const struct resp_command *command);
void resp_run_auth(struct resp *resp, const struct resp_command *command);
void resp_run_client(struct resp *resp, const struct resp_command *command);
void resp_run_command(struct resp *resp, const struct resp_command *command);
void resp_run_info(struct resp *resp, const struct resp_command *command);
void resp_run_select(struct resp *resp, const struct resp_command *command);
void resp_run_reset(struct resp *resp, const struct resp_command *command);
void resp_run_quit(struct resp *resp, const struct resp_command *command);
void resp_run_acquire(struct resp *resp, const struct resp_command *command);
void resp_run_renew(struct resp *resp, const struct resp_command *command);
void resp_run_release(struct resp *resp, const struct resp_command *command);
void resp_run_break(struct resp *resp, const struct resp_command *command);
void resp_run_get(struct resp *resp, const struct resp_command *command);
void resp_run_list(struct resp *resp, const struct resp_command *command);
void resp_run_history(struct resp *resp, const struct resp_command *command);
void resp_run_campaign(struct resp *resp, const struct resp_command *command);
void resp_run_proclaim(struct resp *resp, const struct resp_command *command);
void resp_run_transfer(struct resp *resp, const struct resp_command *command);
void resp_run_leader(struct resp *resp, const struct resp_command *command);
void resp_run_observe(struct resp *resp, const struct resp_command *command);
void resp_run_follow(struct resp *resp, const struct resp_command *command);

#endif
