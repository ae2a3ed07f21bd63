/*
 * seg_merge.h -- several segments into one: streams side by side, entries by time, spans by trace, each once.
 */
#pragma once

#include "store/deletions.h"
#include "store/retention.h"
#include "store/segment/seg.h"

struct seg_merge;

struct seg_merge_stats {
    uint64_t entries_read, line_bytes_read;
    uint64_t entries_written;
    uint64_t duplicates; // the same entry in an older input
    uint64_t expired;
    uint64_t deleted;
    uint64_t spans_read, spans_written;
    uint64_t spans_duplicate;
    uint64_t spans_expired;
    uint64_t spans_deleted;
};

struct seg_merge_options {
    struct seg *const *inputs; // by age; borrowed
    uint32_t inputs_count;
    const uint64_t *ages;      // of the inputs
    const struct retention *retention;
    int64_t now_ns;
    struct deletion *const *deletions; // to be carried out; borrowed
    size_t deletions_count;
    struct deletion_count *removed; // by deletion, added to
    // Asked after each block that was decoded: false ends the work with *err.
    bool (*pace)(void *ctx, struct err *err);
    void *ctx;
};

// Reads the stream tables. On false *damaged_out is the input that cannot be part of this, if one is to blame (else inputs_count).
MUST_CHECK bool seg_merge_open(const struct seg_merge_options *options, struct seg_merge **m_out,
                               uint32_t *damaged_out, struct err *err);
// Writes what is to stay. What the writer borrows lives until seg_merge_free(). Likewise.
MUST_CHECK bool seg_merge_run(struct seg_merge *m, struct seg_writer *w, uint32_t *damaged_out, struct err *err);
void seg_merge_stats(const struct seg_merge *m, struct seg_merge_stats *stats_out);
void seg_merge_free(struct seg_merge *m); // NULL is fine
static inline void seg_merge_freep(struct seg_merge **m)
{
    seg_merge_free(*m);
}
