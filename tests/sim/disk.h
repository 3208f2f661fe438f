/* disk - a simulated disk behind struct env, with everything that real ones do
 * to a program.
 *
 *   cache    what the program reads and writes; survives the death of the
 * process medium   what survives a loss of power: the writes that were synced,
 * and of the others a random part: each 512-byte sector kept, dropped, torn at
 * a random byte, or zeroed where it was written; the growth of a file
 * independent of its content names    creating, renaming and removing are lost
 * in the same way until fsync_dir: as an ordered tail, or each on its own
 *
 * A failed fdatasync marks the pages clean without writing them: in mode A the
 * cache goes on showing the new content, in mode B it shows the old one
 * (Rebello et al., USENIX ATC 2020).
 *
 * A crash inside a call: at call number `crash_at` the call happens not at all,
 * in part or whole, nothing returns to the caller but -EIO from then on, and
 * `is_crashed` is set.  The world looks at it, throws the process away and
 * decides what happened to the power.
 *
 * One directory.  Threads: none. */
#ifndef TESTS_SIM_DISK_H
#define TESTS_SIM_DISK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/env.h"
#include "sim/rng.h"

#define DISK_SECTOR_SIZE      512u
#define DISK_FILE_COUNT_MAX   96u
#define DISK_NAME_SIZE_MAX    48u
#define DISK_HANDLE_COUNT_MAX 64u
#define DISK_CHANGE_COUNT_MAX 512u

/* How often, in a million calls. */
struct disk_faults {
    uint32_t interrupt_ppm;
    uint32_t short_read_ppm;
    uint32_t short_write_ppm;
    uint32_t read_error_ppm;
    uint32_t write_error_ppm;
    uint32_t sync_error_ppm;
    uint32_t sync_dir_error_ppm;
    uint32_t other_error_ppm; /* open, rename, unlink, truncate */
    uint32_t flip_ppm;        /* a read returns one wrong bit */
};

struct disk_counts {
    uint64_t interrupts, short_reads, short_writes, read_errors, write_errors;
    uint64_t sync_errors_kept, sync_errors_reverted, sync_dir_errors, other_errors, no_space;
    uint64_t crashes_before, crashes_in, crashes_after;
    uint64_t sectors_kept, sectors_dropped, sectors_torn, sectors_zeroed;
    uint64_t names_kept, names_dropped, sizes_lost;
    uint64_t flips, locks_refused;
};

/* One write that is not on the medium yet; its bytes are in the file's log. */
struct disk_write {
    uint64_t offset;
    size_t size;
    size_t log_at;
};

struct disk_blob {
    char *data;
    size_t size;
    size_t capacity;
};

struct disk_file {
    struct disk_blob cache;
    struct disk_blob medium;
    struct disk_blob log;
    struct disk_write *writes;
    uint32_t write_count, write_capacity;
    uint64_t size_min; /* the shortest it has been since the last sync */
    int locked_by;     /* handle, or -1 */
};

struct disk_name {
    char text[DISK_NAME_SIZE_MAX];
    int file; /* -1 = free */
};

enum disk_change_kind { DISK_CREATE, DISK_RENAME, DISK_UNLINK };

struct disk_change {
    enum disk_change_kind kind;
    char from[DISK_NAME_SIZE_MAX];
    char to[DISK_NAME_SIZE_MAX];
    int file;
};

struct disk {
    struct rng rng;
    struct disk_faults faults;
    struct disk_counts counts;
    bool is_copying;     /* writing over old bytes needs room too, as on file systems
                            that copy */
    uint64_t quota;      /* bytes that all files together may have */
    uint64_t call_count; /* calls that could change or tell something */
    uint64_t crash_at;   /* the call in which everything ends; UINT64_MAX = none */
    bool is_crashed;
    struct disk_file files[DISK_FILE_COUNT_MAX];
    struct disk_name names[DISK_FILE_COUNT_MAX];        /* as the process sees them */
    struct disk_name medium_names[DISK_FILE_COUNT_MAX]; /* as a restart would */
    struct disk_change changes[DISK_CHANGE_COUNT_MAX];
    uint32_t change_count;
    int handles[DISK_HANDLE_COUNT_MAX]; /* file, -1 = free, -2 = the directory */
};

/* An empty disk.  The first time on zeroed memory; afterwards it keeps its
 * memory for the next. */
void disk_reset(struct disk *disk, uint64_t seed);
void disk_deinit(struct disk *disk);

/* The table of calls; its context is the disk. */
struct env disk_env(struct disk *disk);

/* The process dies: its handles and locks are gone, the cache stays.  The disk
 * works again. */
void disk_kill(struct disk *disk);
/* And the power too: of what was not synced a random part is on the medium. */
void disk_power_loss(struct disk *disk);

/* Flip one bit on the medium: in the last file, by name, that begins with `prefix`; with an empty
 * prefix in any.  False when there is nothing to flip.  Only while no process runs. */
bool disk_flip(
    struct disk *disk,
    const char *prefix,
    char out_name[static DISK_NAME_SIZE_MAX],
    uint64_t *out_offset);

/* Bytes of all files, and how many there are. */
uint64_t disk_used(const struct disk *disk);
uint32_t disk_file_count(const struct disk *disk);
uint32_t disk_handle_count(const struct disk *disk);

#endif
