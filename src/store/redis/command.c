#include "store/redis/command.h"

#include "store/redis/scripts/scripts.h"

/* A head of a text and its end; all before the keys of EVALSHA. */
#define TEXT_HEAD_SIZE_MAX   (1 + DECIMAL_SIZE_MAX + 4)
#define SCRIPT_HEAD_SIZE_MAX 128u

/* "$17\r\n": the head of a text, or another count. */
static char *put_head(char *at, char type, size_t count)
{
    *at++ = type;
    if (count < 10) {
        *at++ = (char)('0' + count);
    } else if (count < 100) {
        *at++ = (char)('0' + count / 10);
        *at++ = (char)('0' + count % 10);
    } else {
        at += decimal_format(count, at);
    }
    *at++ = '\r';
    *at++ = '\n';
    return at;
}

static char *put_text(char *at, struct bytes text)
{
    at = put_head(at, '$', text.size);
    if (text.size > 0) memcpy(at, text.data, text.size);
    at += text.size;
    *at++ = '\r';
    *at++ = '\n';
    return at;
}

void tni_redis_command_write(
    struct redis_command *command, const struct quorum_call *call, const struct quorum_texts *texts)
{
    struct quorum_command parts;
    quorum_command_write(call, texts, &parts);
    size_t size_max = SCRIPT_HEAD_SIZE_MAX;
    for (uint32_t index = 0; index < parts.key_count; index++) {
        size_max += parts.keys[index].size + TEXT_HEAD_SIZE_MAX;
    }
    for (uint32_t index = 0; index < parts.argument_count; index++) {
        size_max += parts.arguments[index].size + TEXT_HEAD_SIZE_MAX;
    }
    buffer_reset(&command->text);
    command->has_pass = false;
    char *start = buffer_extend(&command->text, size_max);
    if (start == NULL) return;
    char key_count[DECIMAL_SIZE_MAX];
    size_t key_count_size = decimal_format(parts.key_count, key_count);
    char *at = put_head(start, '*', 3 + parts.key_count + parts.argument_count);
    at = put_text(at, BYTES_LITERAL("EVALSHA"));
    at = put_text(at, (struct bytes){ redis_scripts[parts.script].sha, 40 });
    at = put_text(at, (struct bytes){ key_count, key_count_size });
    for (uint32_t index = 0; index < parts.key_count; index++) {
        at = put_text(at, parts.keys[index]);
    }
    for (uint32_t index = 0; index < parts.argument_count; index++) {
        if (index == parts.pass_index) {
            command->has_pass = true;
            command->pass_at = (size_t)(at - start);
        } else {
            at = put_text(at, parts.arguments[index]);
        }
    }
    command->text.size = (size_t)(at - start);
}

void tni_redis_command_send(
    const struct redis_command *command, struct bytes pass, struct buffer *output)
{
    size_t size = command->text.size;
    size_t pass_at = command->has_pass ? command->pass_at : size;
    size_t size_max = size + pass.size + TEXT_HEAD_SIZE_MAX;
    char *start = command->text.is_failed ? NULL : buffer_extend(output, size_max);
    if (start == NULL) {
        output->is_failed = true;
        return;
    }
    memcpy(start, command->text.data, pass_at);
    char *at = start + pass_at;
    if (command->has_pass) at = put_text(at, pass);
    memcpy(at, command->text.data + pass_at, size - pass_at);
    at += size - pass_at;
    output->size -= size_max - (size_t)(at - start);
}
