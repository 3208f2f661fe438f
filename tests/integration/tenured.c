#include "integration/tenured.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/test.h"

static void run_server(const struct tenured *server, const char *program, int log)
{
    char listen[32];
    (void)snprintf(listen, sizeof(listen), "127.0.0.1:%u", (unsigned)server->port);
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    (void)dup2(log, STDERR_FILENO);
    (void)dup2(log, STDOUT_FILENO);
    /* Each start fills three segments with zeros. */
    (void)setenv("TENURED_SEGMENT_BYTES", "1M", 1); // NOLINT(concurrency-mt-unsafe): after fork
    (void)execl(
        program, program, "--data", server->data, "--listen", listen, "--log-level", "info", NULL);
    _exit(127);
}

void tenured_restart(struct tenured *server)
{
    const char *program = getenv("TENURED"); // NOLINT(concurrency-mt-unsafe): only reads
    int log[2];
    char line[512];
    if (program == NULL) FAIL("TENURED does not name the server");
    CHECK(pipe(log) == 0);
    server->pid = fork();
    CHECK(server->pid >= 0);
    if (server->pid == 0) run_server(server, program, log[1]);
    (void)close(log[1]);
    FILE *reader = fdopen(log[0], "r");
    CHECK(reader != NULL);
    for (;;) {
        if (fgets(line, sizeof(line), reader) == NULL) FAIL("the server did not start");
        const char *found = strstr(line, "ready on 127.0.0.1:");
        if (found == NULL) continue;
        server->port = (uint16_t)strtoul(found + strlen("ready on 127.0.0.1:"), NULL, 10);
        break;
    }
    /* The server writes to its end until it ends; ours stays open, unread: it says little. */
    (void)snprintf(
        server->url, sizeof(server->url), "tenure://127.0.0.1:%u", (unsigned)server->port);
}

void tenured_start(struct tenured *server)
{
    *server = (struct tenured){ .pid = 0 };
    /* In memory where that is possible: what is tested here should not wait for other people's
     * disks. */
    const char *folder = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
    (void)snprintf(server->data, sizeof(server->data), "%s/tenure-test-XXXXXX", folder);
    CHECK(mkdtemp(server->data) != NULL);
    tenured_restart(server);
}

void tenured_signal(const struct tenured *server, int number)
{
    CHECK(server->pid > 0);
    CHECK(kill(server->pid, number) == 0);
}

void tenured_kill(struct tenured *server)
{
    if (server->pid == 0) return;
    (void)kill(server->pid, SIGCONT);
    (void)kill(server->pid, SIGKILL);
    (void)waitpid(server->pid, NULL, 0);
    server->pid = 0;
}

void tenured_remove(struct tenured *server)
{
    char command[128];
    tenured_kill(server);
    (void)snprintf(command, sizeof(command), "rm -rf '%s'", server->data);
    (void)!system(command); // NOLINT(cert-env33-c): a name of our own
}
