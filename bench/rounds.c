#include "rounds.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/buffer.h"
#include "link.h"
#include "store/redis/scripts/scripts.h"

#define OWNER_COUNT_MAX 4096u
#define OWNER_SIZE_MAX  256u
#define ROUND_COUNT_MAX 256u
#define READ_SIZE       65536u
#define WORD_COUNT_MAX  16u

/* Where the words of EVALSHA stand: verb, sum, 5, five keys, and then the arguments. */
enum word {
    WORD_SHA = 1,
    WORD_NAME = 3,
    WORD_VOTE_OWNER = 9,
    WORD_VOTE_TOKEN = 10,
    WORD_RELEASE_OWNER = 8,
    WORD_RELEASE_WHAT = 13,
};

/* Who asks, and has not released yet. */
struct asking {
    char owner[OWNER_SIZE_MAX];
    size_t owner_size;
    uint64_t token;
    unsigned round_count;
};

struct rounds {
    pthread_t thread;
    int fd;
    bool is_over; /* the mark was heard */
    struct link_address address;
    struct bytes name;
    struct buffer input;
    uint32_t asking_count;
    struct asking asking[OWNER_COUNT_MAX];
    uint64_t count;
    uint64_t counts[ROUND_COUNT_MAX];
};

static struct asking *find(struct rounds *rounds, struct bytes owner)
{
    for (uint32_t i = 0; i < rounds->asking_count; i++) {
        struct asking *asking = &rounds->asking[i];
        if (bytes_equal((struct bytes){ asking->owner, asking->owner_size }, owner)) return asking;
    }
    return NULL;
}

static uint64_t number_of(struct bytes text)
{
    uint64_t number = 0;
    for (size_t i = 0; i < text.size; i++) {
        number = number * 10 + (uint64_t)(text.data[i] - '0');
    }
    return number;
}

static void note_vote(struct rounds *rounds, struct bytes owner, uint64_t token)
{
    struct asking *asking = find(rounds, owner);
    if (asking == NULL) {
        if (rounds->asking_count == OWNER_COUNT_MAX || owner.size > OWNER_SIZE_MAX) return;
        asking = &rounds->asking[rounds->asking_count++];
        *asking = (struct asking){ .owner_size = owner.size };
        memcpy(asking->owner, owner.data, owner.size);
    }
    /* The node may be asked twice for the same token: that is the same round. */
    if (asking->token == token) return;
    asking->token = token;
    asking->round_count++;
}

static void note_release(struct rounds *rounds, struct bytes owner)
{
    struct asking *asking = find(rounds, owner);
    if (asking == NULL) return;
    unsigned count = asking->round_count;
    rounds->counts[count < ROUND_COUNT_MAX ? count : ROUND_COUNT_MAX - 1]++;
    rounds->count++;
    *asking = rounds->asking[--rounds->asking_count];
}

/* The quoted words of a line of MONITOR; what is quoted in them does not matter here. */
static uint32_t split(struct bytes line, struct bytes out_words[static WORD_COUNT_MAX])
{
    uint32_t count = 0;
    const char *end = line.data + line.size;
    const char *at = memchr(line.data, '"', line.size);
    while (at != NULL && count < WORD_COUNT_MAX) {
        const char *close = memchr(at + 1, '"', (size_t)(end - at - 1));
        if (close == NULL) break;
        out_words[count++] = (struct bytes){ at + 1, (size_t)(close - at - 1) };
        at = memchr(close + 1, '"', (size_t)(end - close - 1));
    }
    return count;
}

static bool is_script(struct bytes sha, enum quorum_script script)
{
    return sha.size == 40 && memcmp(sha.data, redis_scripts[script].sha, 40) == 0;
}

static void take_line(struct rounds *rounds, struct bytes line)
{
    struct bytes words[WORD_COUNT_MAX];
    /* Most lines are what the scripts themselves call. */
    if (memmem(line.data, line.size, " lua] ", 6) != NULL) return;
    uint32_t count = split(line, words);
    bool is_mark = count == 2 && bytes_equal(words[0], BYTES_LITERAL("ECHO"));
    if (is_mark && bytes_equal(words[1], rounds->name)) rounds->is_over = true;
    if (count <= WORD_RELEASE_WHAT || !bytes_equal(words[WORD_NAME], rounds->name)) return;
    if (is_script(words[WORD_SHA], QUORUM_SCRIPT_ACQUIRE)) {
        note_vote(rounds, words[WORD_VOTE_OWNER], number_of(words[WORD_VOTE_TOKEN]));
    } else if (
        is_script(words[WORD_SHA], QUORUM_SCRIPT_RELEASE) &&
        bytes_equal(words[WORD_RELEASE_WHAT], BYTES_LITERAL("release")))
    {
        note_release(rounds, words[WORD_RELEASE_OWNER]);
    }
}

static void take_lines(struct rounds *rounds)
{
    struct bytes input = buffer_bytes(&rounds->input);
    size_t taken = 0;
    const char *end;
    while ((end = memchr(input.data + taken, '\n', input.size - taken)) != NULL) {
        size_t size = (size_t)(end - input.data) - taken;
        take_line(rounds, (struct bytes){ input.data + taken, size });
        taken += size + 1;
    }
    buffer_consume(&rounds->input, taken);
}

static void *listen_on(void *user)
{
    struct rounds *rounds = user;
    while (!rounds->is_over) {
        if (!buffer_reserve(&rounds->input, READ_SIZE)) break;
        ssize_t got = recv(rounds->fd, rounds->input.data + rounds->input.size, READ_SIZE, 0);
        if (got <= 0) break;
        rounds->input.size += (size_t)got;
        take_lines(rounds);
    }
    return NULL;
}

struct rounds *rounds_listen(const char *host_and_port, const char *name)
{
    struct link_address address;
    if (!link_address_from_tcp(host_and_port, &address)) return NULL;
    struct rounds *rounds = calloc(1, sizeof(*rounds));
    if (rounds == NULL) return NULL;
    rounds->address = address;
    rounds->name = (struct bytes){ name, strlen(name) };
    buffer_init(&rounds->input, &memory_heap);
    rounds->fd = link_connect(&address, true);
    static const char command[] = "*1\r\n$7\r\nMONITOR\r\n";
    if (rounds->fd < 0 ||
        send(rounds->fd, command, sizeof(command) - 1, MSG_NOSIGNAL) != sizeof(command) - 1 ||
        pthread_create(&rounds->thread, NULL, listen_on, rounds) != 0)
    {
        if (rounds->fd >= 0) (void)close(rounds->fd);
        buffer_deinit(&rounds->input);
        free(rounds);
        return NULL;
    }
    return rounds;
}

/* All that the node was asked before is told before this mark. */
static bool leave_mark(const struct rounds *rounds)
{
    char text[256];
    struct buffer storage;
    struct resp_reply reply;
    int size = snprintf(
        text,
        sizeof(text),
        "*2\r\n$4\r\nECHO\r\n$%zu\r\n%.*s\r\n",
        rounds->name.size,
        (int)rounds->name.size,
        rounds->name.data);
    if (size < 0 || (size_t)size >= sizeof(text)) return false;
    buffer_init(&storage, &memory_heap);
    bool is_left =
        link_ask_resp(&rounds->address, (struct bytes){ text, (size_t)size }, &storage, &reply);
    buffer_deinit(&storage);
    return is_left;
}

bool rounds_end(struct rounds *rounds)
{
    if (!leave_mark(rounds)) (void)shutdown(rounds->fd, SHUT_RDWR);
    (void)pthread_join(rounds->thread, NULL);
    return rounds->is_over && rounds->count > 0;
}

void rounds_destroy(struct rounds **rounds)
{
    if (*rounds == NULL) return;
    (void)close((*rounds)->fd);
    buffer_deinit(&(*rounds)->input);
    free(*rounds);
    *rounds = NULL;
}

uint64_t rounds_count(const struct rounds *rounds)
{
    return rounds->count;
}

unsigned rounds_quantile(const struct rounds *rounds, double fraction)
{
    uint64_t wanted = (uint64_t)(fraction * (double)rounds->count + 0.5);
    uint64_t seen = 0;
    unsigned last = 0;
    for (unsigned count = 0; count < ROUND_COUNT_MAX; count++) {
        if (rounds->counts[count] == 0) continue;
        seen += rounds->counts[count];
        last = count;
        if (seen >= wanted) break;
    }
    return last;
}
