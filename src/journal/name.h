/* name - the names of the journal's files, to text and back. */
#ifndef TENURE_JOURNAL_NAME_H
#define TENURE_JOURNAL_NAME_H

#include "journal/format.h"

struct journal_name {
    enum journal_file_kind kind;
    bool is_temporary; /* NAME.tmp: unfinished */
    uint64_t number;   /* of a segment or spare; the seq of a snapshot; 0 for the identity */
};

#define JOURNAL_NAME_SIZE_MAX 40u

struct journal_name_text {
    char text[JOURNAL_NAME_SIZE_MAX];
};

struct journal_name_text journal_name_format(struct journal_name name);
/* False when the file is none of ours: it is then left alone. */
bool journal_name_parse(const char *text, struct journal_name *out_name);

static inline struct journal_name_text journal_segment_name(uint64_t number)
{
    return journal_name_format((struct journal_name){ JOURNAL_FILE_SEGMENT, false, number });
}

#endif
