/* replay - a fuzzer without libFuzzer: gives each file below the named directories to the target,
 * once.  So every input that was ever worth keeping is a test, with any compiler. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int replay_file(const char *path)
{
    FILE *file = fopen(path, "rb");
    if (file == NULL) {
        perror(path);
        return 1;
    }
    size_t capacity = (size_t)2 << 20;
    uint8_t *data = malloc(capacity);
    if (data == NULL) abort();
    size_t size = fread(data, 1, capacity, file);
    (void)fclose(file);
    /* A block of its own size: reading past its end is found. */
    uint8_t *exact = malloc(size == 0 ? 1 : size);
    if (exact == NULL) abort();
    memcpy(exact, data, size);
    (void)LLVMFuzzerTestOneInput(exact, size);
    free(exact);
    free(data);
    return 0;
}

static int replay_directory(const char *path, unsigned *out_count)
{
    DIR *directory = opendir(path);
    if (directory == NULL) {
        perror(path);
        return 1;
    }
    int failed = 0;
    const struct dirent *entry = NULL;
    while ((entry = readdir(directory)) != NULL) {
        char file[4096];
        if (entry->d_name[0] == '.') continue;
        (void)snprintf(file, sizeof(file), "%s/%s", path, entry->d_name);
        failed += replay_file(file);
        *out_count += 1;
    }
    (void)closedir(directory);
    return failed;
}

int main(int argc, char **argv)
{
    unsigned count = 0;
    int failed = 0;
    for (int i = 1; i < argc; i++) {
        failed += replay_directory(argv[i], &count);
    }
    printf("%u passed, %d failed\n", count - (unsigned)failed, failed);
    return failed == 0 && count > 0 ? 0 : 1;
}
