#include "server/resp_queue.h"
#include "server/resp_state.h"

/* Every command.  The documentation is held against it by a test.  What is asked most comes
 * first. */
static const struct resp_spec specs[] = {
    { "LOCK.ACQUIRE",
      sizeof("LOCK.ACQUIRE") - 1,
      -4,
      RESP_FLAG_WRITE | RESP_FLAG_BLOCKING,
      "lock",
      "name owner ttl-ms [SHARED] [SLOTS n] [WAIT ms] [PRIORITY n] [DELAY ms] [META text] [AND "
      "name ...]",
      "Take a lock, or all of several, at once or after a wait.",
      resp_run_acquire },
    { "LOCK.RELEASE",
      sizeof("LOCK.RELEASE") - 1,
      4,
      RESP_FLAG_WRITE | RESP_FLAG_FAST,
      "lock",
      "name owner token",
      "Give a lock back; says how the hold ended.",
      resp_run_release },
    { "LOCK.RENEW",
      sizeof("LOCK.RENEW") - 1,
      -5,
      RESP_FLAG_WRITE | RESP_FLAG_FAST,
      "lock",
      "name owner token ttl-ms [name owner token ttl-ms ...]",
      "Keep holds for another ttl.",
      resp_run_renew },
    { "QUEUE.PUT",
      sizeof("QUEUE.PUT") - 1,
      -3,
      RESP_FLAG_EMBEDDED | RESP_FLAG_WRITE | RESP_FLAG_FAST,
      "queue",
      "queue body [ID id] [GROUP g] [PRIORITY n] [HEADERS text] [DELAY ms] [AT ms] [EXPIRE ms] "
      "[LEASE ms] [TIMEOUT ms] [ATTEMPTS n] [LAPSES n] [BACKOFF ms] [BACKOFFMAX ms] [FIXED] "
      "[JITTER n] [RETENTION ms] [UNIQUE key] [UNTIL done|started] [WINDOW ms] [CONFLICT "
      "ignore|replace|keep_last] [AND body ...]",
      "Put an item, or several, each with options of its own.",
      resp_run_put },
    { "QUEUE.SCHEDULE",
      sizeof("QUEUE.SCHEDULE") - 1,
      -7,
      RESP_FLAG_EMBEDDED | RESP_FLAG_WRITE | RESP_FLAG_FAST,
      "queue",
      "queue name line zone skip|once|all|all:n body [option ...]",
      "Put an item whenever a line of cron says so; the options are those of QUEUE.PUT.",
      resp_run_schedule },
    { "QUEUE.TAKE",
      sizeof("QUEUE.TAKE") - 1,
      -3,
      RESP_FLAG_EMBEDDED | RESP_FLAG_WRITE | RESP_FLAG_BLOCKING,
      "queue",
      "queue worker [COUNT n] [WAIT ms] [LEASE ms] [BOUND ms] [AND queue ...]",
      "Take items, of the first queue that has some, at once or after a wait.",
      resp_run_take },
    { "QUEUE.EXTEND",
      sizeof("QUEUE.EXTEND") - 1,
      -4,
      RESP_FLAG_EMBEDDED | RESP_FLAG_WRITE | RESP_FLAG_FAST,
      "queue",
      "queue id token [LEASE ms] [PROGRESS text] [AND queue id token ...]",
      "Keep leases, and say how far the work is.",
      resp_run_extend },
    { "QUEUE.PROGRESS",
      sizeof("QUEUE.PROGRESS") - 1,
      5,
      RESP_FLAG_EMBEDDED | RESP_FLAG_WRITE | RESP_FLAG_FAST,
      "queue",
      "queue id token text",
      "Keep a lease, and say how far the work is.",
      resp_run_progress },
    { "QUEUE.DONE",
      sizeof("QUEUE.DONE") - 1,
      -4,
      RESP_FLAG_EMBEDDED | RESP_FLAG_WRITE | RESP_FLAG_FAST,
      "queue",
      "queue id token [RESULT bytes] [[GUARD lock token ...] [IF condition ...] THEN operation ... "
      "[ELSE operation ...]]",
      "The item is done.",
      resp_run_done },
    { "LOCK.GET",
      sizeof("LOCK.GET") - 1,
      2,
      RESP_FLAG_READONLY | RESP_FLAG_FAST,
      "lock",
      "name",
      "Who holds a lock, and who waits for it.",
      resp_run_get },
    { "LOCK.LIST",
      sizeof("LOCK.LIST") - 1,
      -1,
      RESP_FLAG_READONLY,
      "lock",
      "[PREFIX p] [OWNER o] [STATE held|waited] [LIMIT n] [CURSOR name]",
      "Locks that are held or waited for, in the order of their names.",
      resp_run_list },
    { "LOCK.HISTORY",
      sizeof("LOCK.HISTORY") - 1,
      -2,
      RESP_FLAG_READONLY,
      "lock",
      "name [COUNT n]",
      "The latest events of a lock, the newest first.",
      resp_run_history },
    { "LOCK.BREAK",
      sizeof("LOCK.BREAK") - 1,
      -4,
      RESP_FLAG_WRITE,
      "lock",
      "name token reason [GRACE ms]",
      "End somebody else's hold.",
      resp_run_break },
    { "QUEUE.FAIL",
      sizeof("QUEUE.FAIL") - 1,
      -4,
      RESP_FLAG_EMBEDDED | RESP_FLAG_WRITE | RESP_FLAG_FAST,
      "queue",
      "queue id token [REASON text] [DELAY ms] [UNCOUNTED]",
      "It could not be done; it is tried again, or dead.",
      resp_run_fail },
    { "QUEUE.BURY",
      sizeof("QUEUE.BURY") - 1,
      -4,
      RESP_FLAG_EMBEDDED | RESP_FLAG_WRITE | RESP_FLAG_FAST,
      "queue",
      "queue id token [REASON text]",
      "Trying again is of no use: the item is dead.",
      resp_run_bury },
    { "QUEUE.CANCEL",
      sizeof("QUEUE.CANCEL") - 1,
      -3,
      RESP_FLAG_EMBEDDED | RESP_FLAG_WRITE,
      "queue",
      "queue id [REASON text]",
      "Nobody shall do it; a worker that has it is told.",
      resp_run_cancel },
    { "QUEUE.KICK",
      sizeof("QUEUE.KICK") - 1,
      -3,
      RESP_FLAG_EMBEDDED | RESP_FLAG_WRITE,
      "queue",
      "queue id [REASON text]",
      "A delayed or dead item becomes ready.",
      resp_run_kick },
    { "QUEUE.REDRIVE",
      sizeof("QUEUE.REDRIVE") - 1,
      -2,
      RESP_FLAG_EMBEDDED | RESP_FLAG_WRITE,
      "queue",
      "queue [GROUP g] [REASON prefix] [LIMIT n] [INTERVAL ms] [CURSOR c]",
      "Dead items become ready, all at once or one by one.",
      resp_run_redrive },
    { "QUEUE.PURGE",
      sizeof("QUEUE.PURGE") - 1,
      -3,
      RESP_FLAG_EMBEDDED | RESP_FLAG_WRITE,
      "queue",
      "queue state [GROUP g] [REASON prefix] [LIMIT n] [CURSOR c]",
      "Items of a state are forgotten.",
      resp_run_purge },
    { "QUEUE.PAUSE",
      sizeof("QUEUE.PAUSE") - 1,
      -2,
      RESP_FLAG_EMBEDDED | RESP_FLAG_WRITE,
      "queue",
      "queue [GROUP g]",
      "Nothing is taken any more.",
      resp_run_pause },
    { "QUEUE.RESUME",
      sizeof("QUEUE.RESUME") - 1,
      -2,
      RESP_FLAG_EMBEDDED | RESP_FLAG_WRITE,
      "queue",
      "queue [GROUP g]",
      "Items are taken again.",
      resp_run_resume },
    { "QUEUE.LIMIT",
      sizeof("QUEUE.LIMIT") - 1,
      -2,
      RESP_FLAG_EMBEDDED | RESP_FLAG_WRITE,
      "queue",
      "queue [GROUP g] [RUNNING n] [SIZE n] [RATE n] [PER ms] [BURST n] [WEIGHT n]",
      "The limits of a group, or of all that have none of their own.",
      resp_run_limit },
    { "QUEUE.STAT",
      sizeof("QUEUE.STAT") - 1,
      -2,
      RESP_FLAG_EMBEDDED | RESP_FLAG_READONLY,
      "queue",
      "queue [GROUP g] [ID id]",
      "A queue, a group, or an item without its body.",
      resp_run_stat },
    { "QUEUE.PEEK",
      sizeof("QUEUE.PEEK") - 1,
      -2,
      RESP_FLAG_EMBEDDED | RESP_FLAG_READONLY,
      "queue",
      "queue [ID id] [STATE state]",
      "An item with its body: by its id, or the next one of a state.",
      resp_run_peek },
    { "QUEUE.LIST",
      sizeof("QUEUE.LIST") - 1,
      -3,
      RESP_FLAG_EMBEDDED | RESP_FLAG_READONLY,
      "queue",
      "queue state [LIMIT n] [CURSOR c]",
      "Items of a state, in the order in which they entered it.",
      resp_run_items },
    { "QUEUE.QUEUES",
      sizeof("QUEUE.QUEUES") - 1,
      -1,
      RESP_FLAG_EMBEDDED | RESP_FLAG_READONLY,
      "queue",
      "[PREFIX p] [LIMIT n] [CURSOR name]",
      "The queues there are.",
      resp_run_queues },
    { "QUEUE.AWAIT",
      sizeof("QUEUE.AWAIT") - 1,
      -3,
      RESP_FLAG_EMBEDDED | RESP_FLAG_READONLY | RESP_FLAG_BLOCKING,
      "queue",
      "queue id [WAIT ms]",
      "An item when it has ended, or when the time to wait is over.",
      resp_run_await },
    { "ELECT.CAMPAIGN",
      sizeof("ELECT.CAMPAIGN") - 1,
      -4,
      RESP_FLAG_WRITE | RESP_FLAG_BLOCKING,
      "election",
      "name owner ttl-ms [VALUE v] [WAIT ms] [PRIORITY n]",
      "Become the leader, at once or after a wait.",
      resp_run_campaign },
    { "ELECT.PROCLAIM",
      sizeof("ELECT.PROCLAIM") - 1,
      5,
      RESP_FLAG_WRITE | RESP_FLAG_FAST,
      "election",
      "name owner token value",
      "Give the leader's value another content.",
      resp_run_proclaim },
    { "ELECT.LEADER",
      sizeof("ELECT.LEADER") - 1,
      2,
      RESP_FLAG_READONLY | RESP_FLAG_FAST,
      "election",
      "name",
      "Who leads, with which value.",
      resp_run_leader },
    { "ELECT.RESIGN",
      sizeof("ELECT.RESIGN") - 1,
      4,
      RESP_FLAG_WRITE | RESP_FLAG_FAST,
      "election",
      "name owner token",
      "Give the lead back.",
      resp_run_release },
    { "ELECT.TRANSFER",
      sizeof("ELECT.TRANSFER") - 1,
      5,
      RESP_FLAG_WRITE | RESP_FLAG_FAST,
      "election",
      "name owner token to",
      "Hand the lead to a candidate that waits.",
      resp_run_transfer },
    { "ELECT.OBSERVE",
      sizeof("ELECT.OBSERVE") - 1,
      -2,
      RESP_FLAG_ALONE | RESP_FLAG_READONLY | RESP_FLAG_BLOCKING,
      "election",
      "name [SINCE seq] [WAIT ms]",
      "Who leads, as soon as that has changed.",
      resp_run_observe },
    { "STATE.GET",
      sizeof("STATE.GET") - 1,
      -2,
      RESP_FLAG_EMBEDDED | RESP_FLAG_READONLY | RESP_FLAG_FAST,
      "state",
      "name [GUARD lock token]",
      "What a register is.",
      resp_run_state_get },
    { "STATE.SET",
      sizeof("STATE.SET") - 1,
      -3,
      RESP_FLAG_EMBEDDED | RESP_FLAG_WRITE | RESP_FLAG_FAST,
      "state",
      "name value [TTL ms] [BIND lock token] [KEEPTTL] [NX|XX|VERSION v] [GUARD lock token ...]",
      "Give a register a value; answers its version.",
      resp_run_state_set },
    { "STATE.CAS",
      sizeof("STATE.CAS") - 1,
      -4,
      RESP_FLAG_EMBEDDED | RESP_FLAG_WRITE | RESP_FLAG_FAST,
      "state",
      "name version value [TTL ms] [BIND lock token] [KEEPTTL] [GUARD lock token ...]",
      "The same, if it has this version; 0 = is not set.",
      resp_run_state_cas },
    { "STATE.INCR",
      sizeof("STATE.INCR") - 1,
      -2,
      RESP_FLAG_EMBEDDED | RESP_FLAG_WRITE | RESP_FLAG_FAST,
      "state",
      "name [BY n] [TTL ms] [BIND lock token] [GUARD lock token ...]",
      "Add to a number; answers what it is now.",
      resp_run_state_incr },
    { "STATE.APPEND",
      sizeof("STATE.APPEND") - 1,
      -3,
      RESP_FLAG_EMBEDDED | RESP_FLAG_WRITE | RESP_FLAG_FAST,
      "state",
      "name bytes [TTL ms] [BIND lock token] [GUARD lock token ...]",
      "Make a value longer; answers its version.",
      resp_run_state_append },
    { "STATE.DEL",
      sizeof("STATE.DEL") - 1,
      -2,
      RESP_FLAG_EMBEDDED | RESP_FLAG_WRITE | RESP_FLAG_FAST,
      "state",
      "name [VERSION v] [GUARD lock token ...]",
      "Remove a register; answers whether it was set.",
      resp_run_state_del },
    { "STATE.WAIT",
      sizeof("STATE.WAIT") - 1,
      4,
      RESP_FLAG_EMBEDDED | RESP_FLAG_READONLY | RESP_FLAG_BLOCKING,
      "state",
      "name version wait-ms",
      "Wait until a register has changed since this version.",
      resp_run_state_wait },
    { "STATE.LIST",
      sizeof("STATE.LIST") - 1,
      -1,
      RESP_FLAG_EMBEDDED | RESP_FLAG_READONLY,
      "state",
      "[PREFIX p] [LIMIT n] [CURSOR name]",
      "Registers in the order of their names.",
      resp_run_state_list },
    { "STATE.TXN",
      sizeof("STATE.TXN") - 1,
      -2,
      RESP_FLAG_EMBEDDED | RESP_FLAG_WRITE,
      "state",
      "[GUARD lock token ...] [IF condition ...] THEN operation ... [ELSE operation ...]",
      "Several operations at once, under conditions.",
      resp_run_state_txn },
    { "RANK.ADD",
      sizeof("RANK.ADD") - 1,
      -4,
      RESP_FLAG_EMBEDDED | RESP_FLAG_WRITE | RESP_FLAG_FAST,
      "rank",
      "rank [NX|XX] [GT|LT] [CH] score member [score member ...]",
      "Give members of a rank their scores.",
      resp_run_rank_add },
    { "RANK.INCR",
      sizeof("RANK.INCR") - 1,
      4,
      RESP_FLAG_EMBEDDED | RESP_FLAG_WRITE | RESP_FLAG_FAST,
      "rank",
      "rank by member",
      "Add to the score of a member.",
      resp_run_rank_incr },
    { "RANK.REM",
      sizeof("RANK.REM") - 1,
      -3,
      RESP_FLAG_EMBEDDED | RESP_FLAG_WRITE | RESP_FLAG_FAST,
      "rank",
      "rank member [member ...]",
      "Remove members.",
      resp_run_rank_rem },
    { "RANK.TRIM",
      sizeof("RANK.TRIM") - 1,
      4,
      RESP_FLAG_EMBEDDED | RESP_FLAG_WRITE | RESP_FLAG_FAST,
      "rank",
      "rank first last",
      "Remove the members at these positions.",
      resp_run_rank_trim },
    { "RANK.SCORE",
      sizeof("RANK.SCORE") - 1,
      3,
      RESP_FLAG_EMBEDDED | RESP_FLAG_READONLY | RESP_FLAG_FAST,
      "rank",
      "rank member",
      "The score of a member.",
      resp_run_rank_score },
    { "RANK.POSITION",
      sizeof("RANK.POSITION") - 1,
      -3,
      RESP_FLAG_EMBEDDED | RESP_FLAG_READONLY | RESP_FLAG_FAST,
      "rank",
      "rank member [REV]",
      "Its place, from 0.",
      resp_run_rank_position },
    { "RANK.RANGE",
      sizeof("RANK.RANGE") - 1,
      -4,
      RESP_FLAG_EMBEDDED | RESP_FLAG_READONLY,
      "rank",
      "rank first last [REV]",
      "Members by their places, with their scores.",
      resp_run_rank_range },
    { "RANK.BYSCORE",
      sizeof("RANK.BYSCORE") - 1,
      -4,
      RESP_FLAG_EMBEDDED | RESP_FLAG_READONLY,
      "rank",
      "rank min max [REV] [LIMIT offset count]",
      "Members by their scores.",
      resp_run_rank_byscore },
    { "RANK.COUNT",
      sizeof("RANK.COUNT") - 1,
      -2,
      RESP_FLAG_EMBEDDED | RESP_FLAG_READONLY | RESP_FLAG_FAST,
      "rank",
      "rank [min max]",
      "How many members there are.",
      resp_run_rank_count },
    { "RANK.LIST",
      sizeof("RANK.LIST") - 1,
      -1,
      RESP_FLAG_EMBEDDED | RESP_FLAG_READONLY,
      "rank",
      "[PREFIX p] [LIMIT n] [CURSOR name]",
      "The ranks there are, in the order of their names.",
      resp_run_rank_list },
    { "PUBLISH",
      sizeof("PUBLISH") - 1,
      3,
      RESP_FLAG_PUBSUB | RESP_FLAG_FAST,
      "pubsub",
      "channel message",
      "Tell who listens now; answers how many.",
      resp_run_publish },
    { "SUBSCRIBE",
      sizeof("SUBSCRIBE") - 1,
      -2,
      RESP_FLAG_PUBSUB | RESP_FLAG_SUBSCRIBER,
      "pubsub",
      "channel [channel ...]",
      "Listen to channels.",
      resp_run_subscribe },
    { "PSUBSCRIBE",
      sizeof("PSUBSCRIBE") - 1,
      -2,
      RESP_FLAG_PUBSUB | RESP_FLAG_SUBSCRIBER,
      "pubsub",
      "pattern [pattern ...]",
      "Listen to all channels that match.",
      resp_run_psubscribe },
    { "UNSUBSCRIBE",
      sizeof("UNSUBSCRIBE") - 1,
      -1,
      RESP_FLAG_PUBSUB | RESP_FLAG_SUBSCRIBER,
      "pubsub",
      "[channel ...]",
      "Listen no more.",
      resp_run_unsubscribe },
    { "PUNSUBSCRIBE",
      sizeof("PUNSUBSCRIBE") - 1,
      -1,
      RESP_FLAG_PUBSUB | RESP_FLAG_SUBSCRIBER,
      "pubsub",
      "[pattern ...]",
      "Listen no more.",
      resp_run_punsubscribe },
    { "PUBSUB",
      sizeof("PUBSUB") - 1,
      -2,
      RESP_FLAG_PUBSUB,
      "pubsub",
      "CHANNELS [pattern] | NUMSUB [channel ...] | NUMPAT",
      "Who listens.",
      resp_run_pubsub },
    { "EVENTS.FOLLOW",
      sizeof("EVENTS.FOLLOW") - 1,
      -1,
      RESP_FLAG_ALONE | RESP_FLAG_READONLY | RESP_FLAG_PUBSUB | RESP_FLAG_FOLLOWER,
      "events",
      "[SINCE seq] [PREFIX p] [NAME n] [TYPES a,b] [PREVIOUS]",
      "Be told what happens, from now on or from an earlier event.",
      resp_run_follow },
    { "PING",
      sizeof("PING") - 1,
      -1,
      RESP_FLAG_READONLY | RESP_FLAG_FAST | RESP_FLAG_FOLLOWER | RESP_FLAG_SUBSCRIBER,
      "connection",
      "[text]",
      "Is the server there?",
      resp_run_ping },
    { "ECHO",
      sizeof("ECHO") - 1,
      2,
      RESP_FLAG_READONLY | RESP_FLAG_FAST,
      "connection",
      "text",
      "The text again.",
      resp_run_echo },
    { "HELLO",
      sizeof("HELLO") - 1,
      -1,
      RESP_FLAG_ALONE | RESP_FLAG_READONLY | RESP_FLAG_FAST,
      "connection",
      "[2|3 [AUTH user password] [SETNAME name]]",
      "Choose the version of the protocol.",
      resp_run_hello },
    { "AUTH",
      sizeof("AUTH") - 1,
      -2,
      RESP_FLAG_READONLY | RESP_FLAG_FAST,
      "connection",
      "[user] password",
      "Refused: this server has no passwords.",
      resp_run_auth },
    { "CLIENT",
      sizeof("CLIENT") - 1,
      -2,
      RESP_FLAG_READONLY | RESP_FLAG_FAST,
      "connection",
      "ID|GETNAME|SETNAME name|SETINFO key value|INFO|LIST|NO-EVICT on|NO-TOUCH on",
      "About this connection.",
      resp_run_client },
    { "COMMAND",
      sizeof("COMMAND") - 1,
      -1,
      RESP_FLAG_READONLY,
      "server",
      "[COUNT|LIST|INFO [name ...]|DOCS [name ...]]",
      "What commands there are.",
      resp_run_command },
    { "INFO",
      sizeof("INFO") - 1,
      -1,
      RESP_FLAG_READONLY,
      "server",
      "[section ...]",
      "State and counters of the server.",
      resp_run_info },
    { "SELECT",
      sizeof("SELECT") - 1,
      2,
      RESP_FLAG_READONLY | RESP_FLAG_FAST,
      "connection",
      "0",
      "Accepts database 0, the only one.",
      resp_run_select },
    { "RESET",
      sizeof("RESET") - 1,
      1,
      RESP_FLAG_ALONE | RESP_FLAG_READONLY | RESP_FLAG_FAST | RESP_FLAG_FOLLOWER |
          RESP_FLAG_SUBSCRIBER,
      "connection",
      "",
      "Make the connection as it was at first.",
      resp_run_reset },
    { "QUIT",
      sizeof("QUIT") - 1,
      1,
      RESP_FLAG_READONLY | RESP_FLAG_FAST | RESP_FLAG_FOLLOWER | RESP_FLAG_SUBSCRIBER,
      "connection",
      "",
      "Close the connection.",
      resp_run_quit },
};
#define SPEC_COUNT ((uint32_t)(sizeof(specs) / sizeof(specs[0])))

const struct resp_spec *resp_specs(uint32_t *out_count)
{
    *out_count = SPEC_COUNT;
    return specs;
}

static bool is_name(const struct resp_spec *spec, struct bytes name)
{
    for (size_t index = 0; index < name.size; index++) {
        char letter = name.data[index];
        if (letter >= 'a' && letter <= 'z') letter = (char)(letter - 'a' + 'A');
        if (letter != spec->name[index]) return false;
    }
    return true;
}

const struct resp_spec *resp_find_spec(struct bytes name)
{
    for (uint32_t index = 0; index < SPEC_COUNT; index++) {
        const struct resp_spec *spec = &specs[index];
        if (spec->name_size != name.size) continue;
        /* Most clients write it as it stands here. */
        if (memcmp(spec->name, name.data, name.size) == 0 || is_name(spec, name)) return spec;
    }
    return NULL;
}

/* ------------------------------------------------------------------ COMMAND */

static void write_lower(struct resp *resp, const char *name)
{
    char lower[32];
    size_t size = 0;
    for (; size < sizeof(lower) && name[size] != '\0'; size++) {
        lower[size] =
            name[size] >= 'A' && name[size] <= 'Z' ? (char)(name[size] - 'A' + 'a') : name[size];
    }
    resp_write_bulk(&resp->out, (struct bytes){ lower, size });
}

static void write_flags(struct resp *resp, unsigned flags)
{
    static const struct {
        unsigned flag;
        const char *word;
    } words[] = {
        { RESP_FLAG_WRITE, "write" },   { RESP_FLAG_READONLY, "readonly" },
        { RESP_FLAG_FAST, "fast" },     { RESP_FLAG_BLOCKING, "blocking" },
        { RESP_FLAG_PUBSUB, "pubsub" },
    };
    uint32_t count = 0;
    for (size_t index = 0; index < sizeof(words) / sizeof(words[0]); index++) {
        if ((flags & words[index].flag) != 0) count++;
    }
    resp_write_array(&resp->out, count);
    for (size_t index = 0; index < sizeof(words) / sizeof(words[0]); index++) {
        if ((flags & words[index].flag) != 0) {
            resp_write_simple(&resp->out, bytes_from_text(words[index].word));
        }
    }
}

/* The ten fields of Redis 7; of keys there is one, the first name. */
static void write_info(struct resp *resp, const struct resp_spec *spec)
{
    bool has_key = spec->syntax[0] == 'n';
    resp_write_array(&resp->out, 10);
    write_lower(resp, spec->name);
    resp_write_signed(&resp->out, spec->arity);
    write_flags(resp, spec->flags);
    resp_write_signed(&resp->out, has_key ? 1 : 0);
    resp_write_signed(&resp->out, has_key ? 1 : 0);
    resp_write_signed(&resp->out, has_key ? 1 : 0);
    for (unsigned field = 0; field < 4; field++) {
        resp_write_array(&resp->out, 0);
    }
}

static void write_docs(struct resp *resp, const struct resp_spec *spec)
{
    write_lower(resp, spec->name);
    resp_write_docs(resp, spec);
}

static void answer_info(struct resp *resp, const struct resp_command *command)
{
    uint32_t asked = command->argument_count < 2 ? 0 : command->argument_count - 2;
    resp_write_array(&resp->out, asked == 0 ? SPEC_COUNT : asked);
    for (uint32_t index = 0; asked == 0 && index < SPEC_COUNT; index++) {
        write_info(resp, &specs[index]);
    }
    for (uint32_t index = 0; index < asked; index++) {
        const struct resp_spec *spec = resp_find_spec(resp_argument(command, index + 2));
        if (spec == NULL) {
            resp_write_null(&resp->out);
        } else {
            write_info(resp, spec);
        }
    }
    resp_end_now(resp);
}

static void answer_docs(struct resp *resp, const struct resp_command *command)
{
    bool is_all = command->argument_count == 2;
    uint32_t count = is_all ? SPEC_COUNT : 0;
    for (uint32_t index = 2; index < command->argument_count; index++) {
        if (resp_find_spec(resp_argument(command, index)) != NULL) count++;
    }
    resp_write_map(&resp->out, count);
    for (uint32_t index = 0; is_all && index < SPEC_COUNT; index++) {
        write_docs(resp, &specs[index]);
    }
    for (uint32_t index = 2; index < command->argument_count; index++) {
        const struct resp_spec *spec = resp_find_spec(resp_argument(command, index));
        if (spec != NULL) write_docs(resp, spec);
    }
    resp_end_now(resp);
}

void resp_run_command(struct resp *resp, const struct resp_command *command)
{
    struct resp_args args = { resp, command, 1 };
    if (!resp_args_left(&args) || resp_take_keyword(&args, "INFO")) {
        answer_info(resp, command);
    } else if (resp_take_keyword(&args, "DOCS")) {
        answer_docs(resp, command);
    } else if (resp_take_keyword(&args, "COUNT")) {
        resp_write_unsigned(&resp->out, SPEC_COUNT);
        resp_end_now(resp);
    } else if (resp_take_keyword(&args, "LIST")) {
        resp_write_array(&resp->out, SPEC_COUNT);
        for (uint32_t index = 0; index < SPEC_COUNT; index++) {
            write_lower(resp, specs[index].name);
        }
        resp_end_now(resp);
    } else {
        resp_refuse_word(resp, "ERR", "unknown subcommand of COMMAND");
    }
}
