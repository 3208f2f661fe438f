/* tenured - the lock server. */
#include <sysexits.h>
#include <unistd.h>

#include "server/config.h"
#include "server/dump.h"
#include "server/repair.h"
#include "server/start.h"

static int act(const struct config *config)
{
    switch (config->action) {
    case CONFIG_SERVE: return server_run(config);
    case CONFIG_HELP: config_help(stdout); return EX_OK;
    case CONFIG_VERSION: (void)printf("tenured %s\n", TENURE_VERSION); return EX_OK;
    case CONFIG_CHECK: return dump_check(config);
    case CONFIG_DUMP: return dump_print(config);
    case CONFIG_REPAIR: return repair_run(config);
    }
    UNREACHABLE("all actions are handled");
}

int main(int argc, char **argv)
{
    struct config config;
    struct tenure_error error;
    bool is_usage;
    int code;
    if (config_read(argc, argv, environ, &config, &is_usage, &error) == TENURE_OK) {
        code = act(&config);
    } else {
        (void)fprintf(stderr, "tenured: %s\n", error.text);
        code = is_usage ? EX_USAGE : EX_CONFIG;
    }
    config_deinit(&config);
    return code;
}
