/*
 * tiers.h -- which neighbouring segments are worth joining.
 *
 * Size tiers: segments below a size are joined when there are several of them and none makes up most of the result, so that
 * an entry is rewritten about once a tier. The lowest tier goes first.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct tier_segment {
    uint64_t file_bytes;
    uint64_t streams;
    uint64_t spans;
    int64_t max_ns; // of what it holds
    bool fixed;     // cannot be joined; parts its neighbours
    bool parted;    // cannot be joined with those before it
};

// Segments come by age. On true [*first_out, *first_out + *count_out) are to be joined.
bool tiers_pick(const struct tier_segment *segments, size_t count, size_t *first_out, size_t *count_out);
