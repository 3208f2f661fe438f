/* config - precedence, types and errors of the options; store_url - what of one may be shown;
 * resp - the table of commands. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "lib/test.h"
#include "server/config.h"
#include "server/filesystem.h"
#include "server/resp.h"
#include "server/store_url.h"

struct reading {
    enum tenure_err err;
    struct config config;
    bool is_usage;
    struct tenure_error error;
};

/* Up to three words of a command line, and up to two variables; NULL ends both. */
static struct reading read_words(
    const char *first,
    const char *second,
    const char *third,
    const char *variable,
    const char *other)
{
    struct reading reading;
    char *const argv[] = {
        (char *)(uintptr_t) "tenured",
        (char *)(uintptr_t)first,
        (char *)(uintptr_t)second,
        (char *)(uintptr_t)third,
        NULL,
    };
    char *const environment[] = { (char *)(uintptr_t)variable, (char *)(uintptr_t)other, NULL };
    int argc = 1 + (first != NULL) + (second != NULL) + (third != NULL);
    reading.err =
        config_read(argc, argv, environment, &reading.config, &reading.is_usage, &reading.error);
    return reading;
}

/* The path of a new file with this text. */
static const char *write_file(const char *text)
{
    static char path[64];
    (void)snprintf(path, sizeof(path), "/tmp/tenured-config-XXXXXX");
    int fd = mkstemp(path);
    CHECK(fd >= 0);
    CHECK(write(fd, text, strlen(text)) == (ssize_t)strlen(text));
    (void)close(fd);
    return path;
}

/* What the file says, or the error about it. */
static struct reading read_text(const char *text)
{
    const char *path = write_file(text);
    struct reading reading = read_words("--config", path, NULL, NULL, NULL);
    (void)unlink(path);
    return reading;
}

static void check_error(struct reading *reading, const char *part)
{
    CHECK_EQ_INT(reading->err, TENURE_INVALID);
    if (strstr(reading->error.text, part) == NULL) CHECK_EQ_TEXT(reading->error.text, part);
    config_deinit(&reading->config);
}

TEST(defaults)
{
    struct reading reading = read_words(NULL, NULL, NULL, NULL, NULL);
    CHECK_EQ_INT(reading.err, TENURE_OK);
    CHECK_EQ_TEXT(reading.config.data, "./data");
    CHECK_EQ_INT(reading.config.listen.count, 1);
    CHECK_EQ_TEXT(reading.config.listen.items[0], "127.0.0.1:7420");
    CHECK_EQ_INT(reading.config.window_bytes, 64 << 20);
    CHECK(!reading.config.is_insecure_allowed);
    CHECK_EQ_INT(reading.config.log_level, LOG_INFO);
    config_deinit(&reading.config);
}

TEST(a_flag_in_both_forms)
{
    struct reading reading = read_words("--spin-us", "7", "--data=/x", NULL, NULL);
    CHECK_EQ_INT(reading.err, TENURE_OK);
    CHECK_EQ_INT(reading.config.spin_us, 7);
    CHECK_EQ_TEXT(reading.config.data, "/x");
    config_deinit(&reading.config);
    reading = read_words("--allow-insecure", "--log-level", "debug", NULL, NULL);
    CHECK_EQ_INT(reading.err, TENURE_OK);
    CHECK(reading.config.is_insecure_allowed);
    CHECK_EQ_INT(reading.config.log_level, LOG_DEBUG);
    config_deinit(&reading.config);
}

TEST(a_list_replaces_the_list_of_a_weaker_source)
{
    struct reading reading = read_words(
        "--listen", "127.0.0.1:1", "--listen=127.0.0.1:2,[::1]:3", "TENURED_LISTEN=[::1]:9", NULL);
    CHECK_EQ_INT(reading.err, TENURE_OK);
    CHECK_EQ_INT(reading.config.listen.count, 3);
    CHECK_EQ_TEXT(reading.config.listen.items[2], "[::1]:3");
    config_deinit(&reading.config);
    reading = read_words("--listen", "none", NULL, "TENURED_LISTEN=[::1]:9", NULL);
    CHECK_EQ_INT(reading.config.listen.count, 0);
    config_deinit(&reading.config);
    reading = read_words(NULL, NULL, NULL, "TENURED_LISTEN=[::1]:9", "OTHER=1");
    CHECK_EQ_INT(reading.config.listen.count, 1);
    CHECK_EQ_TEXT(reading.config.listen.items[0], "[::1]:9");
    config_deinit(&reading.config);
}

TEST(sizes_have_units)
{
    static const struct {
        const char *text;
        uint64_t size;
    } rows[] = {
        { "65536", 65536 }, { "64k", 65536 }, { "2M", 2 << 20 }, { "3G", UINT64_C(3) << 30 }
    };
    for (size_t index = 0; index < sizeof(rows) / sizeof(rows[0]); index++) {
        struct reading reading = read_words("--window-bytes", rows[index].text, NULL, NULL, NULL);
        CHECK_EQ_INT(reading.err, TENURE_OK);
        CHECK_EQ_INT(reading.config.window_bytes, rows[index].size);
        config_deinit(&reading.config);
    }
    static const char *const bad[] = { "65535", "1T",           "K",    "",
                                       "-1",    "99999999999G", "64 K", "0x10000" };
    for (size_t index = 0; index < sizeof(bad) / sizeof(bad[0]); index++) {
        struct reading reading = read_words("--window-bytes", bad[index], NULL, NULL, NULL);
        CHECK(reading.is_usage);
        check_error(&reading, "--window-bytes: must be a number from 65536");
    }
}

TEST(wrong_command_lines)
{
    static const struct {
        const char *first, *second, *part;
    } rows[] = {
        { "--nonsense", NULL, "--nonsense: there is no such option" },
        { "stray", NULL, "stray: not expected here" },
        { "--", NULL, "--: not expected here" },
        { "--data", NULL, "--data: a value must follow" },
        { "--version=1", NULL, "--version: takes no value" },
        { "--allow-insecure=perhaps", NULL, "must be yes or no" },
        { "--spin-us", "1000001", "--spin-us: must be a number from 0 to 1000000" },
        { "--log-level", "loud", "must be error, warning, info or debug" },
        { "--data", "", "--data: must have 1 to 4000 bytes" },
        { "--listen", "::1:7420", "--listen: must be a numeric address and a port" },
    };
    for (size_t index = 0; index < sizeof(rows) / sizeof(rows[0]); index++) {
        struct reading reading =
            read_words(rows[index].first, rows[index].second, NULL, NULL, NULL);
        CHECK(reading.is_usage);
        check_error(&reading, rows[index].part);
    }
}

TEST(the_file_and_its_errors)
{
    struct reading reading = read_text("# comment\n; comment\n\n[tenured]\n  spin-us =  5 "
                                       "\nmax_holds=10\r\nlisten = 127.0.0.1:1 , [::1]:2");
    CHECK_EQ_INT(reading.err, TENURE_OK);
    CHECK_EQ_INT(reading.config.spin_us, 5);
    CHECK_EQ_INT(reading.config.hold_count_max, 10);
    CHECK_EQ_INT(reading.config.listen.count, 2);
    CHECK_EQ_TEXT(reading.config.listen.items[0], "127.0.0.1:1");
    CHECK_EQ_TEXT(reading.config.listen.items[1], "[::1]:2");
    config_deinit(&reading.config);

    static const struct {
        const char *text, *part;
    } rows[] = {
        { "spin-us = 5\nnonsense = 1\n", ":2: there is no option 'nonsense'" },
        { "spin-us = 5\nspin_us = 6\n", ":2: 'spin_us' was given before" },
        { "\n\nspin-us = x\n", ":3: spin-us: must be a number" },
        { "spin-us\n", ":1: expected 'key = value'" },
        { "[other]\n", ":1: the only section is [tenured]" },
        { "config = x\n", ":1: there is no option 'config'" },
        { "listen = 127.0.0.1:0, example.org:1\n", ":1: listen: must be a numeric address" },
        { "\ndata = /srv/a # the journal\n", ":2: data: a comment needs a line of its own" },
        { "data = /srv/a\t;\n", ":1: data: a comment needs a line of its own" },
    };
    for (size_t index = 0; index < sizeof(rows) / sizeof(rows[0]); index++) {
        reading = read_text(rows[index].text);
        CHECK(!reading.is_usage);
        check_error(&reading, rows[index].part);
    }
    reading = read_text("data = /srv/a#b;c\n");
    CHECK_EQ_INT(reading.err, TENURE_OK);
    CHECK_EQ_TEXT(reading.config.data, "/srv/a#b;c");
    config_deinit(&reading.config);
    reading = read_words("--config", "/nonexistent/file", NULL, NULL, NULL);
    check_error(&reading, "/nonexistent/file: cannot be read");
}

/* As where an orchestrator makes up the names of directories. */
TEST(a_long_path_does_not_hide_line_and_key)
{
    char directory[200];
    char path[220];
    (void)snprintf(directory, sizeof(directory), "/tmp/tenured-%0150d-XXXXXX", 0);
    CHECK(mkdtemp(directory) != NULL);
    (void)snprintf(path, sizeof(path), "%s/tenured.conf", directory);
    FILE *file = fopen(path, "w");
    CHECK(file != NULL);
    CHECK(fputs("\n\nmax-connections = many\n", file) >= 0);
    CHECK(fclose(file) == 0);
    struct reading reading = read_words("--config", path, NULL, NULL, NULL);
    check_error(&reading, "/tenured.conf:3: max-connections: must be a number from 1 to 1000000");
    CHECK(unlink(path) == 0 && rmdir(directory) == 0);
}

TEST(the_environment_is_strict_and_weaker_than_a_flag)
{
    struct reading reading =
        read_words("--spin-us", "1", NULL, "TENURED_SPIN_US=2", "TENURED_MAX_HOLDS=3");
    CHECK_EQ_INT(reading.err, TENURE_OK);
    CHECK_EQ_INT(reading.config.spin_us, 1);
    CHECK_EQ_INT(reading.config.hold_count_max, 3);
    config_deinit(&reading.config);
    reading = read_words(NULL, NULL, NULL, "TENURED_NONSENSE=2", NULL);
    check_error(&reading, "TENURED_NONSENSE: there is no such option");
    reading = read_words(NULL, NULL, NULL, "TENURED_CONFIG=/nonexistent", NULL);
    check_error(&reading, "/nonexistent: cannot be read");
    reading = read_words("--help", NULL, NULL, "TENURED_NONSENSE=2", NULL);
    CHECK_EQ_INT(reading.err, TENURE_OK);
    CHECK_EQ_INT(reading.config.action, CONFIG_HELP);
    config_deinit(&reading.config);
}

TEST(the_table_of_commands_is_sound)
{
    uint32_t count;
    const struct resp_spec *specs = resp_specs(&count);
    for (uint32_t index = 0; index < count; index++) {
        const struct resp_spec *spec = &specs[index];
        CHECK(resp_find_spec(bytes_from_text(spec->name)) == spec);
        CHECK(spec->arity != 0);
        bool may_write = (spec->flags & RESP_FLAG_WRITE) != 0;
        bool may_read = (spec->flags & RESP_FLAG_READONLY) != 0;
        bool is_message = (spec->flags & RESP_FLAG_PUBSUB) != 0; /* neither, as in Redis */
        CHECK(may_write != may_read || (is_message && !may_write));
        CHECK(spec->summary[0] != '\0');
    }
    CHECK(resp_find_spec(BYTES_LITERAL("lock.Acquire")) == &specs[0]);
    CHECK(resp_find_spec(BYTES_LITERAL("lock.acquir")) == NULL);
    CHECK(resp_find_spec(BYTES_LITERAL("")) == NULL);
}

TEST(accept_loss_goes_with_repair_only)
{
    struct reading reading = read_words("--repair", "dir", "--accept-loss", NULL, NULL);
    CHECK_EQ_INT(reading.err, TENURE_OK);
    CHECK_EQ_INT(reading.config.action, CONFIG_REPAIR);
    CHECK_EQ_TEXT(reading.config.action_path, "dir");
    CHECK(reading.config.is_loss_accepted);
    config_deinit(&reading.config);
    reading = read_words("--repair", "dir", NULL, NULL, NULL);
    CHECK_EQ_INT(reading.err, TENURE_OK);
    CHECK(!reading.config.is_loss_accepted);
    config_deinit(&reading.config);
    reading = read_words("--accept-loss", NULL, NULL, NULL, NULL);
    CHECK(reading.is_usage);
    check_error(&reading, "--accept-loss: goes with --repair DIR only");
    reading = read_words("--check", "dir", "--accept-loss", NULL, NULL);
    check_error(&reading, "--accept-loss: goes with --repair DIR only");
    reading = read_words("--accept-loss=yes", "--repair", "dir", NULL, NULL);
    check_error(&reading, "takes no value");
}

TEST(network_filesystems_are_refused_unless_forced)
{
    static const uint64_t magics[] = { 0x6969, 0xff534d42, 0xfe534d42, 0x517b, 0xc36400 };
    for (size_t i = 0; i < sizeof(magics) / sizeof(magics[0]); i++) {
        CHECK_EQ_INT(filesystem_judge(magics[i], false), FILESYSTEM_REFUSED);
        CHECK_EQ_INT(filesystem_judge(magics[i], true), FILESYSTEM_FORCED);
        /* As a signed word of 64 bits, and of 32. */
        uint64_t extended = (uint64_t)(int64_t)(int32_t)(uint32_t)magics[i];
        CHECK_EQ_INT(filesystem_judge(extended, false), FILESYSTEM_REFUSED);
    }
    static const uint64_t local[] = { 0xef53, 0x58465342, 0x9123683e, 0x01021994, 0x794c7630, 0 };
    for (size_t i = 0; i < sizeof(local) / sizeof(local[0]); i++) {
        CHECK_EQ_INT(filesystem_judge(local[i], false), FILESYSTEM_FINE);
        CHECK_EQ_INT(filesystem_judge(local[i], true), FILESYSTEM_FINE);
    }
    CHECK_EQ_INT(filesystem_judge_path("/nowhere/at/all", false), FILESYSTEM_FINE);
    CHECK_EQ_INT(filesystem_judge_path("/proc", false), FILESYSTEM_FINE);
}

TEST(a_network_filesystem_is_allowed_by_flag_and_variable_and_line)
{
    struct reading reading = read_words("--allow-network-filesystem", NULL, NULL, NULL, NULL);
    CHECK(reading.config.is_network_allowed);
    config_deinit(&reading.config);
    reading = read_words(NULL, NULL, NULL, "TENURED_ALLOW_NETWORK_FILESYSTEM=yes", NULL);
    CHECK(reading.config.is_network_allowed);
    config_deinit(&reading.config);
    reading = read_text("allow-network-filesystem = yes\n");
    CHECK(reading.config.is_network_allowed);
    config_deinit(&reading.config);
    reading = read_words(NULL, NULL, NULL, NULL, NULL);
    CHECK(!reading.config.is_network_allowed);
    config_deinit(&reading.config);
}

/* ------------------------------------------------------------------ store_url */

TEST(a_url_is_shown_without_its_password)
{
    static const struct {
        const char *url;
        const char *shown;
        bool has_password;
    } cases[] = {
        { "tenure://127.0.0.1:7420", "tenure://127.0.0.1:7420", false },
        { "redis://a:1,b:2/3?ttl-max=5s", "redis://a:1,b:2/3?ttl-max=5s", false },
        { "redis://me@a:1", "redis://me@a:1", false },
        { "redis://me:word@a:1,b", "redis://me@a:1,b", true },
        { "redis://:word@a", "redis://@a", true },
        { "redis://me:@a", "redis://me@a", false },
        { "redis://me:w@r:d@a:1", "redis://me@a:1", true },
        { "redis://me:w/rd@a", "redis://me@a", true },
        { "redis+sentinel://me:word@a:1/m?password-file=/x",
          "redis+sentinel://me@a:1/m?"
          "password-file=/x",
          true },
        { "redis+unix:///run/a?user=b@c:d", "redis+unix:///run/a?user=b@c:d", false },
        { "me:word@a", "me@a", true },
        { "", "", false },
    };
    for (size_t index = 0; index < sizeof(cases) / sizeof(cases[0]); index++) {
        char shown[200];
        store_url_show(cases[index].url, shown, sizeof(shown));
        CHECK_EQ_TEXT(shown, cases[index].shown);
        CHECK_EQ_INT(store_url_has_password(cases[index].url), cases[index].has_password);
    }
    char little[10];
    store_url_show("redis://me:word@a", little, sizeof(little));
    CHECK_EQ_TEXT(little, "redis://m");
}

TEST(a_store_is_named_but_no_password_on_the_command_line)
{
    struct reading reading = read_words("--store", "redis://a,b,c", NULL, NULL, NULL);
    CHECK_EQ_INT(reading.err, TENURE_OK);
    CHECK_EQ_TEXT(reading.config.store, "redis://a,b,c");
    config_deinit(&reading.config);
    reading = read_words("--store", "redis://me:sesame@a", NULL, NULL, NULL);
    CHECK_EQ_INT(reading.err, TENURE_INVALID);
    CHECK(reading.is_usage);
    CHECK(strstr(reading.error.text, "sesame") == NULL);
    config_deinit(&reading.config);
    reading = read_words(NULL, NULL, NULL, "TENURED_STORE=redis://me:sesame@a", NULL);
    CHECK_EQ_INT(reading.err, TENURE_OK);
    config_deinit(&reading.config);
    reading = read_words("--store=redis://a", "--dump", "x", NULL, NULL);
    CHECK_EQ_INT(reading.err, TENURE_INVALID);
    CHECK(reading.is_usage);
    config_deinit(&reading.config);
}
