/* async-libuv - a program around one libuv loop, which works while it holds a lock.
 *
 * Nothing waits: the outcome of the acquire, the loss, the end of the release all come as callbacks
 * on the loop's own thread, as those of timers and sockets do.
 *
 *     async-libuv NAME [STEPS]      work for so many tenths of a second (10), then give it back
 *
 * SIGINT and SIGTERM end it early. */
#include <tenure/adapter/libuv.h>
#include <tenure/tenure.h>

#include <stdio.h>
#include <stdlib.h>

struct program {
    uv_loop_t *loop;
    uv_timer_t timer;
    uv_signal_t signals[2];
    struct tenure_client client;
    struct tenure_uv adapter;
    struct tenure_hold hold;
    struct tenure_op waiting;
    unsigned steps_left;
    bool is_leaving;
    int code;
};

/* The end of everything: the loop ends when nothing is left in it. */
static void leave(struct program *program)
{
    tenure_uv_detach(&program->adapter, NULL);
    tenure_client_close(program->client);
    uv_close((uv_handle_t *)&program->timer, NULL);
    uv_close((uv_handle_t *)&program->signals[0], NULL);
    uv_close((uv_handle_t *)&program->signals[1], NULL);
}

static void on_released(enum tenure_err err, const struct tenure_release *release, void *user)
{
    struct program *program = user;
    printf("released: %s\n", tenure_end_name(release->end));
    if (release->overlap_ms > 0) {
        printf(
            "another may have worked for %lld ms at the same time\n",
            (long long)release->overlap_ms);
    }
    if (err != TENURE_OK) program->code = tenure_err_exit_code(err);
    leave(program);
}

static void stop(struct program *program)
{
    if (program->is_leaving) return;
    program->is_leaving = true;
    uv_timer_stop(&program->timer);
    if (program->hold.id == 0) {
        /* It waits still: the outcome will be TENURE_CANCELED. */
        tenure_op_cancel(program->client, program->waiting);
    } else if (tenure_hold_release_start(program->hold, on_released, program) != TENURE_OK) {
        leave(program);
    }
}

static void on_step(uv_timer_t *timer)
{
    struct program *program = timer->data;
    if (!tenure_hold_valid(program->hold)) return; /* on_lost is about to be called */
    printf("working %llu\n", (unsigned long long)tenure_hold_token(program->hold));
    if (--program->steps_left == 0) stop(program);
}

static void on_lost(struct tenure_hold hold, enum tenure_loss loss, void *user)
{
    struct program *program = user;
    (void)hold;
    printf("lost: %s\n", tenure_loss_name(loss));
    program->code = 79;
    stop(program);
}

static void on_acquired(
    enum tenure_err err,
    struct tenure_hold hold,
    const struct tenure_obstacle *obstacle,
    const struct tenure_error *error,
    void *user)
{
    struct program *program = user;
    (void)obstacle;
    if (err != TENURE_OK) {
        printf("not acquired: %s\n", error->text);
        program->code = tenure_err_exit_code(err);
        leave(program);
        return;
    }
    program->hold = hold;
    uv_timer_start(&program->timer, on_step, 0, 100);
}

static void on_signal(uv_signal_t *signal, int number)
{
    (void)number;
    stop(signal->data);
}

int main(int argc, char **argv)
{
    static const int ends[] = { SIGINT, SIGTERM };
    struct program program = { .loop = uv_default_loop(), .steps_left = 10 };
    struct tenure_client_options store = { .size = sizeof(store), .is_dispatched = true };
    struct tenure_error error;
    if (argc < 2) {
        fputs("usage: async-libuv NAME [STEPS]\n", stderr);
        return 64;
    }
    if (argc > 2) program.steps_left = (unsigned)strtoul(argv[2], NULL, 10);
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (tenure_client_open(&store, &program.client, &error) != TENURE_OK ||
        tenure_uv_attach(&program.adapter, program.loop, program.client) != TENURE_OK)
    {
        fprintf(stderr, "async-libuv: %s\n", error.text);
        return 69;
    }
    uv_timer_init(program.loop, &program.timer);
    program.timer.data = &program;
    for (int i = 0; i < 2; i++) {
        uv_signal_init(program.loop, &program.signals[i]);
        uv_signal_start(&program.signals[i], on_signal, ends[i]);
        program.signals[i].data = &program;
    }
    const char *name = argv[1];
    struct tenure_lock_options options = {
        .size = sizeof(options),
        .names = &name,
        .name_count = 1,
        .ttl_ms = 3000,
        .wait_ms = TENURE_WAIT_FOREVER,
        .on_lost = on_lost,
        .user = &program,
    };
    if (tenure_lock_start(
            program.client, &options, on_acquired, &program, &program.waiting, &error) != TENURE_OK)
    {
        fprintf(stderr, "async-libuv: %s\n", error.text);
        leave(&program);
    }
    puts("waiting");
    uv_run(program.loop, UV_RUN_DEFAULT);
    uv_loop_close(program.loop);
    return program.code;
}
