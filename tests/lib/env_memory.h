/* env_memory - directories and files in memory behind struct env, for tests that open a journal a
 * hundred thousand times.  Nothing is simulated: every write is durable at once and nothing fails.
 *
 * There is one directory, whatever its path, from env_memory_create on; directories in it are made
 * with make_dir, and the name of a file in one is "DIRECTORY/NAME" for the functions here.  A link
 * is a copy.  Not for several threads. */
#ifndef TENURE_TESTS_LIB_ENV_MEMORY_H
#define TENURE_TESTS_LIB_ENV_MEMORY_H

#include "base/env.h"
#include "base/types.h"

struct env_memory;

/* Aborts the program when there is no memory, as everything here does. */
struct env_memory *env_memory_create(void);
/* Accepts NULL inside; nulls the pointer. */
void env_memory_destroy(struct env_memory **memory);

/* Valid until the env_memory is destroyed. */
const struct env *env_memory_env(struct env_memory *memory);

/* The contents of a file, which may be changed in place; data NULL when there is none.  Valid until
 * the file is written. */
struct bytes env_memory_file(const struct env_memory *memory, const char *name);
/* Make a file, or replace its contents. */
void env_memory_put(struct env_memory *memory, const char *name, struct bytes contents);
void env_memory_remove(struct env_memory *memory, const char *name);
/* A copy of all files; no handles, no locks. */
struct env_memory *env_memory_copy(const struct env_memory *memory);
/* The name of the index-th file, NULL behind the last one. */
const char *env_memory_name(const struct env_memory *memory, size_t index);
/* How many handles are open: 0 when nobody leaks any. */
size_t env_memory_handle_count(const struct env_memory *memory);

#endif
