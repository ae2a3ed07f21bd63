/* tiers.c -- see tiers.h. */
#include "store/tiers.h"

#include "base/clock.h"
#include "base/limits.h"

// Whether s may stand in one segment with those from `first` on, which come to `sum`.
static bool may_join(const struct tier_segment *s, const struct tier_segment *first, const struct tier_segment *sum)
{
    // Above this size a segment holds about one day, so that it expires as a whole.
    int64_t apart_ns = s->max_ns > first->max_ns ? s->max_ns - first->max_ns : first->max_ns - s->max_ns;
    uint64_t bytes = sum->file_bytes + s->file_bytes;
    bool near = bytes <= COMPACT_MIXED_BYTES_MAX || apart_ns < NS_PER_DAY;
    return near && bytes <= COMPACT_OUTPUT_BYTES_MAX && sum->streams + s->streams <= COMPACT_STREAMS_MAX &&
           sum->spans + s->spans <= COMPACT_SPANS_MAX;
}

// How many of the segments from the first on, all below `size`, are to be joined; 0: none.
static size_t joinable(const struct tier_segment *s, size_t count, uint64_t size)
{
    struct tier_segment sum = {0};
    uint64_t largest = 0;
    size_t n = 0;
    for (; n < count && n < COMPACT_INPUTS_MAX && !s[n].fixed && (n == 0 || !s[n].parted) &&
           s[n].file_bytes < size && may_join(&s[n], &s[0], &sum);
         n++) {
        sum.file_bytes += s[n].file_bytes;
        sum.streams += s[n].streams;
        sum.spans += s[n].spans;
        largest = s[n].file_bytes > largest ? s[n].file_bytes : largest;
    }
    return n >= COMPACT_INPUTS_MIN && sum.file_bytes >= 2 * largest ? n : 0;
}

bool tiers_pick(const struct tier_segment *segments, size_t count, size_t *first_out, size_t *count_out)
{
    for (uint64_t size = COMPACT_TIER_BYTES_MIN; size <= COMPACT_TIER_BYTES_MAX; size *= COMPACT_INPUTS_MIN)
        for (size_t i = 0; i < count; i++) {
            size_t n = joinable(segments + i, count - i, size);
            if (n == 0)
                continue;
            *first_out = i;
            *count_out = n;
            return true;
        }
    return false;
}
