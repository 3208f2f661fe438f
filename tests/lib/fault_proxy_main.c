/* fault-proxy - the proxy as a program: for tests that are no C programs.
 *
 *     fault-proxy SERVER_PORT [PORT]
 *
 * Says "PORT N" when it listens.  Orders, one a line, each answered with "ok":
 *
 *     up|down pass|stall|drop|dribble      up|down delay MS       up|down cut-after BYTES
 *     cut                                  refuse                 accept
 *
 * It ends with its standard input. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/fault_proxy.h"

static bool obey_direction(struct fault_proxy *proxy, char *words)
{
    static const char *const modes[] = { "pass", "stall", "drop", "dribble" };
    enum fault_proxy_direction direction =
        strcmp(words, "up") == 0 ? FAULT_PROXY_UP : FAULT_PROXY_DOWN;
    const char *order = strtok(NULL, " \n");
    const char *number = strtok(NULL, " \n");
    if (order == NULL) return false;
    for (unsigned mode = 0; mode < sizeof(modes) / sizeof(modes[0]); mode++) {
        if (strcmp(order, modes[mode]) != 0) continue;
        fault_proxy_set(proxy, direction, (enum fault_proxy_mode)mode);
        return true;
    }
    if (number == NULL) return false;
    unsigned long value = strtoul(number, NULL, 10);
    if (strcmp(order, "delay") == 0) {
        fault_proxy_delay(proxy, direction, (uint32_t)value);
    } else if (strcmp(order, "cut-after") == 0) {
        fault_proxy_cut_after(proxy, direction, value);
    } else {
        return false;
    }
    return true;
}

static bool obey(struct fault_proxy *proxy, char *line)
{
    char *words = strtok(line, " \n");
    if (words == NULL) return false;
    if (strcmp(words, "up") == 0 || strcmp(words, "down") == 0) {
        return obey_direction(proxy, words);
    }
    if (strcmp(words, "cut") == 0) {
        fault_proxy_cut(proxy);
    } else if (strcmp(words, "refuse") == 0 || strcmp(words, "accept") == 0) {
        fault_proxy_refuse(proxy, words[0] == 'r');
    } else {
        return false;
    }
    return true;
}

int main(int argc, char **argv)
{
    char line[128];
    if (argc < 2) {
        (void)fprintf(stderr, "usage: fault-proxy SERVER_PORT [PORT]\n");
        return 64;
    }
    uint16_t server_port = (uint16_t)strtoul(argv[1], NULL, 10);
    uint16_t port = argc > 2 ? (uint16_t)strtoul(argv[2], NULL, 10) : 0;
    struct fault_proxy *proxy = fault_proxy_start(port, server_port);
    printf("PORT %u\n", (unsigned)fault_proxy_port(proxy));
    (void)fflush(stdout);
    while (fgets(line, sizeof(line), stdin) != NULL) {
        printf("%s\n", obey(proxy, line) ? "ok" : "what?");
        (void)fflush(stdout);
    }
    fault_proxy_stop(&proxy);
    return 0;
}
