/* encoders - the manager of a shop that encodes videos.
 *
 *     find acme bolt coco -name '*.mp4' | ./encoders videos &
 *     tenure work -j 4 videos -- ./encode.sh
 *
 * Each line that it reads is the path of a video; the folder it lies in is the customer's.  The
 * customers' videos take turns, however many each of them has.  Then it tells what happens: who is
 * busy with which video, how far it is, and when it is complete.  It polls nothing: the server
 * tells.  It ends when all videos have. */
#include <tenure/tenure.h>

#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define VIDEO_COUNT_MAX 1024

struct video {
    char path[256]; /* and id of the item: a video that is put twice is encoded once */
    char customer[256];
    int is_over;
};

struct shop {
    struct video videos[VIDEO_COUNT_MAX];
    uint32_t count;
    uint32_t over_count;
    uint32_t failed_count;
    sem_t all_over;
};

static struct shop shop;

static void die(const char *what, const struct tenure_error *error)
{
    fprintf(stderr, "%s: %s\n", what, error->text);
    exit(tenure_err_exit_code(error->code));
}

static void read_videos(void)
{
    char line[256];
    while (shop.count < VIDEO_COUNT_MAX && fgets(line, sizeof(line), stdin) != NULL) {
        struct video *video = &shop.videos[shop.count++];
        line[strcspn(line, "\n")] = '\0';
        strcpy(video->path, line);
        strcpy(video->customer, line);
        /* "…/acme/film.mp4" is acme's. */
        char *slash = strrchr(video->customer, '/');
        if (slash != NULL) *slash = '\0';
        slash = strrchr(video->customer, '/');
        if (slash != NULL) memmove(video->customer, slash + 1, strlen(slash));
    }
}

static struct video *find_video(const char *id)
{
    for (uint32_t i = 0; i < shop.count; i++) {
        if (strcmp(shop.videos[i].path, id) == 0) return &shop.videos[i];
    }
    return NULL;
}

static void note_over(struct video *video, const char *how)
{
    if (video->is_over) return;
    video->is_over = 1;
    shop.over_count++;
    if (strcmp(how, "complete") != 0) shop.failed_count++;
    printf("%s %s (%u of %u)\n", how, video->path, shop.over_count, shop.count);
    if (shop.over_count == shop.count) sem_post(&shop.all_over);
}

/* Runs on the client's thread, one event after the other. */
static bool on_event(const struct tenure_event *event, void *user)
{
    (void)user;
    struct video *video = find_video(event->id);
    if (video == NULL) return true;
    if (strcmp(event->kind, "taken") == 0) {
        printf("busy %s by %s\n", video->path, event->owner);
    } else if (strcmp(event->kind, "progressed") == 0) {
        printf("progress %s %s %%\n", video->path, event->reason);
    } else if (strcmp(event->kind, "lapsed") == 0) {
        printf("lost %s: its encoder is gone\n", video->path);
    } else if (strcmp(event->kind, "done") == 0) {
        note_over(video, "complete");
    } else if (strcmp(event->kind, "buried") == 0 || strcmp(event->kind, "cancelled") == 0) {
        note_over(video, event->kind);
    } else if (strcmp(event->kind, "failed") == 0) {
        printf("failed %s: %s\n", video->path, event->reason);
    }
    fflush(stdout);
    return true;
}

static void on_first(const struct tenure_item *item, void *user)
{
    *(uint64_t *)user = item->seq;
}

int main(int argc, char **argv)
{
    static struct tenure_put_options items[VIDEO_COUNT_MAX];
    static struct tenure_put_result results[VIDEO_COUNT_MAX];
    const char *queue = argc > 1 ? argv[1] : "videos";
    struct tenure_client client;
    struct tenure_error error;
    read_videos();
    sem_init(&shop.all_over, 0, 0);
    if (tenure_client_open(NULL, &client, &error) != TENURE_OK) die("client", &error);

    for (uint32_t i = 0; i < shop.count; i++) {
        items[i] = (struct tenure_put_options){ .size = sizeof(items[i]),
                                                .queue = queue,
                                                .id = shop.videos[i].path,
                                                .group = shop.videos[i].customer,
                                                .body = shop.videos[i].path,
                                                .body_size = strlen(shop.videos[i].path),
                                                .lease_ms = 2000 };
    }
    enum tenure_err err = TENURE_OK;
    if (shop.count > 0) err = tenure_put(client, items, shop.count, results, &error);
    if (err != TENURE_OK) die("put", &error);
    for (uint32_t i = 0; i < shop.count; i++) {
        if (results[i].err == TENURE_OK) continue;
        fprintf(stderr, "%s: %s\n", shop.videos[i].path, tenure_err_text(results[i].err));
        return 1;
    }

    if (shop.count == 0) return 0;

    /* From the first put on, however much has happened since: nothing is missed. */
    struct tenure_watch watch;
    struct tenure_watch_options follow = { .size = sizeof(follow),
                                           .prefix = queue,
                                           .on_event = on_event };
    err = tenure_item_look(client, queue, results[0].id, on_first, &follow.since, &error);
    if (err != TENURE_OK) die("look", &error);
    if (tenure_watch_open(client, &follow, &watch, &error) != TENURE_OK) die("watch", &error);
    sem_wait(&shop.all_over);
    tenure_watch_close(client, watch);
    tenure_client_close(client);
    return shop.failed_count == 0 ? 0 : 1;
}
