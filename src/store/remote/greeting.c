#include <stdio.h>
#include <string.h>

#include "proto/resp_writer.h"
#include "store/remote/lane.h"

void tni_greeting_write(struct link *link)
{
    struct resp_writer writer = { &link->output, true };
    resp_write_array(&writer, 2);
    resp_write_text(&writer, "HELLO");
    resp_write_text(&writer, "3");
}

void tni_greeting_judge(struct link *link, struct reply *reply)
{
    if (tni_reply_peek(reply) == RESP_ERROR) {
        char text[160];
        (void)snprintf(text, sizeof(text), "refused: %.120s", tni_reply_text_or_empty(reply));
        tni_link_refuse(link, text);
        return;
    }
    struct remote *remote = link->context;
    uint32_t pairs = tni_reply_map(reply);
    const char *server = "";
    for (uint32_t index = 0; index < pairs && !reply->is_bad; index++) {
        const char *key = tni_reply_text_or_empty(reply);
        if (strcmp(key, "server") == 0) {
            server = tni_reply_text_or_empty(reply);
        } else if (strcmp(key, "safety") == 0) {
            /* A word that nobody here knows leaves what was known. */
            const char *word = tni_reply_text_or_empty(reply);
            (void)!tni_store_safety_from_word(word, &remote->store.safety);
        } else {
            tni_reply_skip(reply);
        }
    }
    if (reply->is_bad || strcmp(server, "tenured") != 0) {
        tni_link_refuse(link, "what answers there is not tenured");
    } else {
        tni_link_accept(link);
    }
}
