/* salvage_state - what a plan consists of; shared by salvage.c and salvage_apply.c. */
#ifndef TENURE_JOURNAL_SALVAGE_STATE_H
#define TENURE_JOURNAL_SALVAGE_STATE_H

#include "journal/recovery.h"
#include "journal/salvage.h"

/* What was found of one segment. */
struct salvage_segment {
    bool is_sound;  /* its header is */
    bool is_linked; /* it continues exactly where the segment before it validly ends */
    bool is_sized;  /* its size is right */
    bool is_whole;  /* and nothing follows its valid batches */
    struct journal_segment_header header;
    struct journal_position end; /* of its valid batches */
};

struct salvage_snapshot {
    struct journal_name name;
    bool is_sound;
};

struct journal_salvage {
    struct journal *journal; /* holds the lock; has no tail */
    const struct journal_judge *judge;
    struct journal_findings findings; /* the listing, and the segment read last */
    struct salvage_segment *segments; /* as findings.segments: all that are listed */
    struct salvage_snapshot *snapshots;
    uint32_t snapshot_count;
    bool has_snapshot;
    uint32_t first;              /* segments that are kept: from here on */
    uint32_t count;              /* so many; 0: none, a fresh one is begun */
    struct journal_position end; /* of the last one kept, which may be before its own */
    bool is_cut;                 /* that one must be replaced by its sound part */
    uint64_t batch_number_known; /* the greatest */
    struct journal_salvage_report report;
};

/* Is the segment, or the snapshot, of this index set aside? */
bool salvage_drops_segment(const struct journal_salvage *salvage, uint32_t index);
bool salvage_drops_snapshot(const struct journal_salvage *salvage, uint32_t index);

/* Read the segment of this index into the findings, and walk through its batches up to `end`. */
MUST_USE enum tenure_err salvage_read_until(
    struct journal_salvage *salvage,
    uint32_t index,
    const struct journal_position *end,
    struct tenure_error *out_error);

#endif
