/* A whole server whose files rot while it runs: it says so, and makes itself sound again. */
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "lib/test.h"
#include "server/config.h"
#include "server/dump.h"
#include "server/start.h"

/* Time enough to damage a file behind the ready line. */
#define FIRST_MS 3000

static char directory[] = "/tmp/tenure-test-scrub-XXXXXX";
static char data_path[64];
static char socket_path[64];
static char log_path[64];
static pid_t server;

static void make_directory(void)
{
    CHECK(mkdtemp(directory) != NULL);
    (void)snprintf(data_path, sizeof(data_path), "%s/data", directory);
    (void)snprintf(socket_path, sizeof(socket_path), "%s/socket", directory);
    (void)snprintf(log_path, sizeof(log_path), "%s/log", directory);
}

static void remove_files(const char *path)
{
    DIR *stream = opendir(path);
    CHECK(stream != NULL);
    for (struct dirent *entry; (entry = readdir(stream)) != NULL;) {
        (void)unlinkat(dirfd(stream), entry->d_name, 0);
    }
    (void)closedir(stream);
    CHECK_EQ_INT(rmdir(path), 0);
}

static int run_program(const char *const *words, int count)
{
    char *no_environment[] = { NULL };
    struct config config;
    struct tenure_error error;
    bool is_usage;
    char *const *argv = (char *const *)(uintptr_t)words;
    if (config_read(count, argv, no_environment, &config, &is_usage, &error) != TENURE_OK) {
        return 64;
    }
    config.scrub_first_ms = FIRST_MS;
    int code = config.action == CONFIG_CHECK ? dump_check(&config) : server_run(&config);
    config_deinit(&config);
    return code;
}

/* Start it in a process of its own, and wait until it is ready. */
static void start_server(const char *scrub_hours)
{
    const char *words[] = { "tenured", "--data",        data_path,   "--listen",
                            "none",    "--unix",        socket_path, "--segment-bytes",
                            "8192",    "--scrub-hours", scrub_hours, NULL };
    int ready[2];
    CHECK_EQ_INT(pipe(ready), 0);
    server = fork();
    CHECK(server >= 0);
    if (server == 0) {
        int log = open(log_path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        if (dup2(ready[1], STDOUT_FILENO) < 0 || dup2(log, STDERR_FILENO) < 0) _exit(99);
        (void)close(ready[0]);
        (void)close(ready[1]);
        int code = run_program(words, 11);
        (void)fflush(stdout);
        _exit(code);
    }
    (void)close(ready[1]);
    char line[300] = "";
    CHECK(read(ready[0], line, sizeof(line) - 1) > 0);
    CHECK(strstr(line, "ready on") != NULL);
    (void)close(ready[0]);
}

static void stop_server(void)
{
    CHECK_EQ_INT(kill(server, SIGTERM), 0);
    int status;
    CHECK_EQ_INT(waitpid(server, &status, 0), server);
    CHECK(WIFEXITED(status));
    CHECK_EQ_INT(WEXITSTATUS(status), 0);
}

/* What `--check` says of the directory. */
static int check_data(void)
{
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        const char *words[] = { "tenured", "--check", data_path, NULL };
        if (freopen("/dev/null", "w", stdout) == NULL) _exit(99);
        if (freopen("/dev/null", "w", stderr) == NULL) _exit(99);
        _exit(run_program(words, 3));
    }
    int status;
    CHECK_EQ_INT(waitpid(child, &status, 0), child);
    CHECK(WIFEXITED(status));
    return WEXITSTATUS(status);
}

/* Send all of it, and read until `end` has come.  Valid until the next call. */
static const char *ask(const char *text, const char *end)
{
    static char answer[1 << 17];
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    (void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", socket_path);
    int file = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK(file >= 0);
    CHECK_EQ_INT(connect(file, (struct sockaddr *)&address, sizeof(address)), 0);
    CHECK_EQ_INT(write(file, text, strlen(text)), (int64_t)strlen(text));
    size_t size = 0;
    answer[0] = '\0';
    while (strstr(answer, end) == NULL) {
        CHECK_LT_UINT(size, sizeof(answer) - 1);
        ssize_t count = read(file, answer + size, sizeof(answer) - 1 - size);
        CHECK(count > 0);
        size += (size_t)count;
        answer[size] = '\0';
    }
    (void)close(file);
    return answer;
}

/* Some kilobytes of journal. */
static void acquire_some(unsigned first, unsigned count)
{
    for (unsigned index = first; index < first + count; index++) {
        char text[700];
        (void)snprintf(
            text, sizeof(text), "LOCK.ACQUIRE n%u o 0 META %0500u\r\nPING\r\n", index, index);
        (void)ask(text, "+PONG\r\n");
    }
}

/* Wait until the log has the words.  Valid until the next call. */
static const char *wait_log(const char *words)
{
    static char log[10000];
    for (;;) {
        FILE *file = fopen(log_path, "re");
        CHECK(file != NULL);
        size_t size = fread(log, 1, sizeof(log) - 1, file);
        (void)fclose(file);
        log[size] = '\0';
        if (strstr(log, words) != NULL) return log;
        struct timespec pause = { 0, 10000000 };
        (void)nanosleep(&pause, NULL);
    }
}

static void damage_file(const char *name, off_t offset)
{
    char path[200];
    (void)snprintf(path, sizeof(path), "%s/%s", data_path, name);
    int file = open(path, O_RDWR | O_CLOEXEC);
    CHECK(file >= 0);
    char byte;
    CHECK_EQ_INT(pread(file, &byte, 1, offset), 1);
    byte = (char)(byte ^ 1);
    CHECK_EQ_INT(pwrite(file, &byte, 1, offset), 1);
    (void)close(file);
}

static void check_metric(const char *line)
{
    const char *answer =
        ask("GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n", "tenure_turn_seconds_count");
    if (strstr(answer, line) == NULL) FAIL("not in the metrics: %s", line);
}

TEST_WITHIN(60, scrub_finds_damage_and_new_snapshots_replace_it)
{
    make_directory();
    start_server("0");
    acquire_some(0, 60);
    stop_server();
    CHECK_EQ_INT(check_data(), 0);

    start_server("1");
    damage_file("segment-0000000000000002", 3000);
    const char *log = wait_log("damaged at offset");
    const char *line = strstr(log, " error segment-0000000000000002: damaged at offset ");
    CHECK(line != NULL);
    CHECK(strstr(line, "check the disk") != NULL);
    (void)wait_log("do not stop the server");
    check_metric("\ntenure_scrub_damage_total 1\n");

    /* The second snapshot waits for something to tell. */
    CHECK(strstr(wait_log("damaged"), "two new snapshots") == NULL);
    acquire_some(100, 1);
    (void)wait_log("two new snapshots have taken the place of the damaged files");
    check_metric("\ntenure_snapshots_total 2\n");
    check_metric("\ntenure_scrubs_total 1\n");
    stop_server();
    CHECK_EQ_INT(check_data(), 0);
    remove_files(data_path);
    remove_files(directory);
}

TEST_WITHIN(60, scrub_of_sound_files_only_counts)
{
    make_directory();
    start_server("1");
    acquire_some(0, 40);
    while (strstr(
               ask("GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n", "turn_seconds_count"),
               "\ntenure_scrubs_total 1\n") == NULL)
    {
        struct timespec pause = { 0, 20000000 };
        (void)nanosleep(&pause, NULL);
    }
    check_metric("\ntenure_scrub_damage_total 0\n");
    const char *answer =
        ask("GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n", "turn_seconds_count");
    static const char name[] = "\ntenure_scrub_last_seconds ";
    const char *value = strstr(answer, name);
    CHECK(value != NULL);
    int64_t last_s = strtoll(value + strlen(name), NULL, 10);
    CHECK_LE_INT(last_s, time(NULL));
    CHECK_LT_INT(time(NULL) - 60, last_s);
    check_metric("\ntenure_snapshots_total 0\n");
    stop_server();
    remove_files(data_path);
    remove_files(directory);
}
