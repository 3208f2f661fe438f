/* trouble - what Redis answers when it does not do what it was asked, and what Tenure makes of it.
 *
 * What decides is whether a script may have changed something before it was refused.  Redis undoes
 * nothing: what a script wrote before an error stays written ("Atomic execution" in Redis' page
 * "Scripting with Lua").  From the same page, that of SCRIPT KILL, and what Redis 7.0 does:
 *
 *   not begun      LOADING MASTERDOWN BUSY NOAUTH NOSCRIPT EXECABORT MOVED ... are said before
 *                  anything runs; so is NOPERM where it is not said by a script
 *   first write    OOM comes only while the script has not written: then Redis lets it go on over
 *                  the limit rather than stop in the middle.  READONLY, MISCONF and NOREPLICAS are
 *                  asked at each write, but nothing that they depend on changes while a script runs
 *   killed         SCRIPT KILL ends only a script that has not written; else it says UNKILLABLE
 *   in the middle  all other errors of commands inside a script, among them what the ACL forbids
 *                  there and a key of the wrong type
 *
 * Redis 7 says where an error of a script comes from behind its text (" script: SHA, on
 * @user_script:1."), Redis 6 before it ("ERR Error running script (call to f_SHA): ...").
 *
 * Changing the table: docs/redis.md has the same rows; a test compares them. */
#ifndef TENURE_STORE_REDIS_TROUBLE_H
#define TENURE_STORE_REDIS_TROUBLE_H

#include <tenure/error.h>

#include "base/types.h"

enum redis_trouble_effect {
    REDIS_TROUBLE_NO_VOTE, /* nothing was changed; it may go better later, or on other nodes */
    REDIS_TROUBLE_UNKNOWN, /* something may have been changed, as when no answer comes */
    REDIS_TROUBLE_FATAL,   /* nothing was changed; it stays so until a person does something */
    REDIS_TROUBLE_RELOAD,  /* nothing was changed; load the scripts and ask again */
};

/* Said by a command inside a script? */
enum redis_trouble_where { REDIS_TROUBLE_ANYWHERE, REDIS_TROUBLE_IN_SCRIPT };

/* Longer than no text. */
#define REDIS_TROUBLE_TEXT_SIZE_MAX 128u

struct redis_trouble {
    const char *words; /* with which the error begins; "": all others */
    enum redis_trouble_where where;
    enum redis_trouble_effect effect;
    bool is_of_name; /* other locks on the same node may fare better */
    enum tenure_err err;
    const char *text; /* for people: what, why, what to do */
};

/* The first row that fits is the one. */
/* clang-format off */
#define REDIS_TROUBLE_MAP(X)                                                                       \
    X("LOADING",       ANYWHERE,  NO_VOTE, false, UNAVAILABLE,                                     \
      "Redis is still reading its data from disk: wait")                                           \
    X("MASTERDOWN",    ANYWHERE,  NO_VOTE, false, UNAVAILABLE,                                     \
      "this is a replica that has lost its master: name the master, or use redis+sentinel://")     \
    X("READONLY",      ANYWHERE,  NO_VOTE, false, UNAVAILABLE,                                     \
      "this is a replica, which takes no writes: name the master, or use redis+sentinel://")       \
    X("NOREPLICAS",    ANYWHERE,  NO_VOTE, false, UNAVAILABLE,                                     \
      "fewer replicas are connected than min-replicas-to-write demands: bring them back")          \
    X("OOM",           ANYWHERE,  NO_VOTE, false, NO_MEMORY,                                       \
      "Redis has used up its maxmemory: raise it, or delete what is not needed")                   \
    X("MISCONF",       ANYWHERE,  NO_VOTE, false, UNAVAILABLE,                                     \
      "Redis cannot write to its disk and takes no changes: see its log and its disk")             \
    X("BUSY",          ANYWHERE,  NO_VOTE, false, UNAVAILABLE,                                     \
      "a long script keeps Redis busy: wait, or end it with SCRIPT KILL")                          \
    X("UNKILLABLE",    ANYWHERE,  NO_VOTE, false, UNAVAILABLE,                                     \
      "a long script that has written already keeps Redis busy: wait for it")                      \
    X("ERR Script killed by user", ANYWHERE, NO_VOTE, false, UNAVAILABLE,                          \
      "somebody has ended the script with SCRIPT KILL, before it wrote anything: try again")       \
    X("EXECABORT",     ANYWHERE,  NO_VOTE, false, UNAVAILABLE,                                     \
      "Redis has refused a transaction as a whole: see what it said before")                       \
    X("ERR max number of clients", ANYWHERE, NO_VOTE, false, TOO_MANY,                             \
      "Redis has as many clients as it may: raise maxclients, or close some")                      \
    X("NOSCRIPT",      ANYWHERE,  RELOAD,  false, UNAVAILABLE,                                     \
      "Redis has forgotten the scripts: they are loaded again")                                    \
    X("NOAUTH",        ANYWHERE,  FATAL,   false, DENIED,                                          \
      "Redis wants a password: USER:PASSWORD@ in the URL, or ?password-file=PATH")                 \
    X("WRONGPASS",     ANYWHERE,  FATAL,   false, DENIED,                                          \
      "the user or the password is wrong, or the user is disabled: see ACL LIST")                  \
    X("ERR AUTH <password> called without any password", ANYWHERE, FATAL, false, DENIED,           \
      "this Redis has no password, but one was given: set requirepass, or give none")              \
    X("NOPERM",        IN_SCRIPT, UNKNOWN, false, DENIED,                                          \
      "the ACL forbids this user a command inside a script: docs/redis.md lists all of them")      \
    X("ERR The user executing the script", ANYWHERE, UNKNOWN, false, DENIED,                       \
      "the ACL forbids this user a command inside a script: docs/redis.md lists all of them")      \
    X("NOPERM this user has no permissions to access one of the keys", ANYWHERE, FATAL, true,      \
      DENIED, "the ACL forbids this user the keys of this lock: allow ~NAME and ~tenure:*")        \
    X("NOPERM No permissions to access a key", ANYWHERE, FATAL, true, DENIED,                      \
      "the ACL forbids this user the keys of this lock: allow ~NAME and ~tenure:*")                \
    X("NOPERM",        ANYWHERE,  FATAL,   false, DENIED,                                          \
      "the ACL forbids this user a command, a key or a channel: docs/redis.md lists all of them")  \
    X("DENIED",        ANYWHERE,  FATAL,   false, DENIED,                                          \
      "Redis is in protected mode and answers its own machine only: give it a password")           \
    X("NOPROTO",       ANYWHERE,  FATAL,   false, UNSUPPORTED,                                     \
      "this server does not speak RESP3: Redis 6.2 or newer is needed")                            \
    X("ERR unknown command", ANYWHERE, FATAL, false, UNSUPPORTED,                                  \
      "a command is missing: Redis is older than 6.2, has renamed it, or this is not Redis")       \
    X("ERR Unknown Redis command called from", ANYWHERE, UNKNOWN, false, UNSUPPORTED,              \
      "a command is missing: Redis is older than 6.2, has renamed it, or this is not Redis")       \
    X("ERR DB index is out of range", ANYWHERE, FATAL, false, INVALID,                             \
      "the database of the URL does not exist: see `databases` in redis.conf")                     \
    X("ERR No such master", ANYWHERE, FATAL, false, INVALID,                                       \
      "the sentinels know no master of this name: see SENTINEL MASTERS")                           \
    X("MOVED",         ANYWHERE,  FATAL,   false, UNSUPPORTED,                                     \
      "this is a node of a Redis Cluster, which has no majority to ask: name servers of their own")\
    X("ASK",           ANYWHERE,  FATAL,   false, UNSUPPORTED,                                     \
      "this is a node of a Redis Cluster, which has no majority to ask: name servers of their own")\
    X("TRYAGAIN",      ANYWHERE,  FATAL,   false, UNSUPPORTED,                                     \
      "this is a node of a Redis Cluster, which has no majority to ask: name servers of their own")\
    X("CROSSSLOT",     ANYWHERE,  FATAL,   false, UNSUPPORTED,                                     \
      "this is a node of a Redis Cluster, which has no majority to ask: name servers of their own")\
    X("CLUSTERDOWN",   ANYWHERE,  FATAL,   false, UNSUPPORTED,                                     \
      "this is a node of a Redis Cluster, which has no majority to ask: name servers of their own")\
    X("WRONGTYPE",     ANYWHERE,  UNKNOWN, true,  INVALID,                                         \
      "a key of this name is no lock: some other program uses it; take another name")              \
    X("ERR",           ANYWHERE,  UNKNOWN, false, UNKNOWN,                                         \
      "an error that Tenure does not know: see what Redis said, and its log")                      \
    X("",              ANYWHERE,  UNKNOWN, false, UNKNOWN,                                         \
      "an error that Tenure does not know: see what Redis said, and its log")
/* clang-format on */

/* `error_line` is the error without its leading "-".  Never NULL. */
const struct redis_trouble *tni_redis_trouble(struct bytes error_line);

#endif
