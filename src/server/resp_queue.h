/* resp_queue - the Redis protocol of queues; part of resp.h.
 *
 *   resp_queue.c         QUEUE.* that the engine decides
 *   resp_queue_answer.c  what it has decided; items, queues and events of theirs as maps
 *   resp_queue_view.c    QUEUE.* that only look */
#ifndef TENURE_SERVER_RESP_QUEUE_H
#define TENURE_SERVER_RESP_QUEUE_H

#include "engine/queues.h"
#include "server/resp.h"

/* ---- answers */

void resp_answer_queue(struct resp *resp, const struct engine_reply *reply);

/* How much of an item is shown: in a list; by itself; with its body. */
enum resp_item_detail { RESP_ITEM_BRIEF, RESP_ITEM_WHOLE, RESP_ITEM_BODY };

void resp_write_item(
    struct resp *resp, const struct engine_item_view *item, enum resp_item_detail detail);
/* What happened in a queue, as a map. */
void resp_write_work_record(struct resp *resp, const struct record *record);
void resp_write_queue(struct resp *resp, const struct engine_queue_view *queue);
void resp_write_group(struct resp *resp, const struct engine_group_view *group);

/* ---- handlers */

void resp_run_schedule(struct resp *resp, const struct resp_command *command);
void resp_run_put(struct resp *resp, const struct resp_command *command);
void resp_run_take(struct resp *resp, const struct resp_command *command);
void resp_run_extend(struct resp *resp, const struct resp_command *command);
void resp_run_progress(struct resp *resp, const struct resp_command *command);
void resp_run_done(struct resp *resp, const struct resp_command *command);
void resp_run_fail(struct resp *resp, const struct resp_command *command);
void resp_run_bury(struct resp *resp, const struct resp_command *command);
void resp_run_cancel(struct resp *resp, const struct resp_command *command);
void resp_run_kick(struct resp *resp, const struct resp_command *command);
void resp_run_redrive(struct resp *resp, const struct resp_command *command);
void resp_run_purge(struct resp *resp, const struct resp_command *command);
void resp_run_pause(struct resp *resp, const struct resp_command *command);
void resp_run_resume(struct resp *resp, const struct resp_command *command);
void resp_run_limit(struct resp *resp, const struct resp_command *command);
void resp_run_await(struct resp *resp, const struct resp_command *command);
void resp_run_stat(struct resp *resp, const struct resp_command *command);
void resp_run_peek(struct resp *resp, const struct resp_command *command);
void resp_run_items(struct resp *resp, const struct resp_command *command);
void resp_run_queues(struct resp *resp, const struct resp_command *command);

#endif
