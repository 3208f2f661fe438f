/* scoreboard - everybody sees the same scores, as they change; nobody polls.
 *
 *     scoreboard top &
 *     tenure rank incr top 5 ann
 *
 * It watches a rank and keeps the scores.  First the watch begins, and only then the rank is read:
 * what happens in between comes as an event, and an event has the last word.  Each change also
 * tells the score before it, so that a gap would be noticed; there is none, over lost connections
 * too.
 *
 * Prints each change; when the member "end" gets a score, the final state, and ends: with 1 if
 * there was a gap. */
#include <tenure/tenure.h>

#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PLAYER_COUNT_MAX 64

struct player {
    char name[256];
    double score;
    bool is_told; /* by an event, which counts more than what was read */
};

struct board {
    pthread_mutex_t mutex;
    struct player players[PLAYER_COUNT_MAX];
    int player_count;
    int gap_count;
    sem_t begun;
    sem_t ended;
    enum tenure_err err;
};

/* NULL: there are too many. */
static struct player *find_player(struct board *board, const char *name)
{
    for (int i = 0; i < board->player_count; i++) {
        if (strcmp(board->players[i].name, name) == 0) return &board->players[i];
    }
    if (board->player_count == PLAYER_COUNT_MAX) return NULL;
    struct player *player = &board->players[board->player_count++];
    (void)snprintf(player->name, sizeof(player->name), "%s", name);
    return player;
}

static bool differ(double left, double right)
{
    return left < right || left > right;
}

static bool on_event(const struct tenure_event *event, void *user)
{
    struct board *board = user;
    (void)pthread_mutex_lock(&board->mutex);
    struct player *player = find_player(board, event->member);
    if (player != NULL) {
        bool is_gap =
            player->is_told && event->has_before && differ(player->score, event->score_before);
        if (is_gap) board->gap_count++;
        player->score = event->score;
        player->is_told = true;
    }
    (void)pthread_mutex_unlock(&board->mutex);
    (void)printf("%g %s\n", event->score, event->member);
    return strcmp(event->member, "end") != 0;
}

static void on_begun(uint64_t seq, void *user)
{
    struct board *board = user;
    (void)seq;
    (void)sem_post(&board->begun);
}

static void on_end(enum tenure_err err, void *user)
{
    struct board *board = user;
    board->err = err;
    (void)sem_post(&board->ended);
}

static void on_member(const struct tenure_member *member, void *user)
{
    struct board *board = user;
    (void)pthread_mutex_lock(&board->mutex);
    struct player *player = find_player(board, member->member);
    if (player != NULL && !player->is_told) player->score = member->score;
    (void)pthread_mutex_unlock(&board->mutex);
}

static int compare(const void *left, const void *right)
{
    const struct player *first = left;
    const struct player *second = right;
    if (differ(first->score, second->score)) return first->score > second->score ? -1 : 1;
    return strcmp(second->name, first->name);
}

static int finish(struct board *board)
{
    qsort(board->players, (size_t)board->player_count, sizeof(board->players[0]), compare);
    (void)printf("final\n");
    for (int i = 0; i < board->player_count; i++) {
        (void)printf("%g %s\n", board->players[i].score, board->players[i].name);
    }
    if (board->gap_count > 0) (void)printf("%d gaps\n", board->gap_count);
    return board->gap_count > 0 ? 1 : 0;
}

int main(int argc, char **argv)
{
    static struct board board = { .mutex = PTHREAD_MUTEX_INITIALIZER };
    struct tenure_client client;
    struct tenure_error error = { .text = "" };
    struct tenure_watch watch;
    if (argc != 2) {
        (void)fputs("usage: scoreboard RANK\n", stderr);
        return 64;
    }
    (void)sem_init(&board.begun, 0, 0);
    (void)sem_init(&board.ended, 0, 0);
    enum tenure_err err = tenure_client_open(NULL, &client, &error);
    if (err != TENURE_OK) {
        (void)fprintf(stderr, "scoreboard: %s\n", error.text);
        return tenure_err_exit_code(err);
    }
    struct tenure_watch_options options = {
        .size = sizeof(options),
        .prefix = argv[1],
        .is_exact = true,
        .kinds = "ranked",
        .on_event = on_event,
        .on_begun = on_begun,
        .on_end = on_end,
        .user = &board,
    };
    err = tenure_watch_open(client, &options, &watch, &error);
    if (err == TENURE_OK) {
        while (sem_wait(&board.begun) != 0)
            continue;
        struct tenure_range_options all = {
            .size = sizeof(all), .rank = argv[1], .first = 0, .last = -1
        };
        err = tenure_rank_range(client, &all, on_member, &board, &error);
        (void)printf("watching\n");
        (void)fflush(stdout);
    }
    if (err == TENURE_OK) {
        while (sem_wait(&board.ended) != 0)
            continue;
        err = board.err == TENURE_CANCELED ? TENURE_OK : board.err;
    }
    tenure_client_close(client);
    if (err == TENURE_OK) return finish(&board);
    (void)fprintf(stderr, "scoreboard: %s\n", tenure_err_text(err));
    return tenure_err_exit_code(err);
}
