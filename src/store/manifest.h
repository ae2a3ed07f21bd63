/*
 * manifest.h -- what is live: heads and segments, each generation once (S3).
 *
 * A manifest never changes after it is made. Its number is that of the index commit that it belongs to;
 * manifests that differ only in heads share it.
 */
#pragma once

#include "index/index.h"
#include "store/head/head.h"
#include "store/segment/seg.h"

struct manifest_segment {
    struct seg *seg; // one reference
    struct index_segment row;
};

struct manifest {
    uint64_t number;
    struct head **heads; // by generation, one reference each; the open one, if any, is the last
    uint32_t heads_count;
    struct manifest_segment *segments; // by age: seg_age() of their generations
    uint32_t segments_count;
};

// A manifest with one reference.
struct manifest *manifest_new(uint64_t number);
// What recovery found: the heads of another manifest, and segments in any order.
struct manifest *manifest_of(uint64_t number, const struct manifest *heads,
                             const struct manifest_segment *segments, uint32_t segments_count);
// The segment of a generation, borrowed; NULL: it has none.
struct seg *manifest_seg(const struct manifest *m, uint64_t gen);
struct manifest *manifest_ref(struct manifest *m);
void manifest_unref(struct manifest *m); // NULL is fine

// NULL: it is not live.
const struct manifest_segment *manifest_find(const struct manifest *m, uint64_t gen);

// Copies with one difference. The new one takes its own references.
struct manifest *manifest_with_head(const struct manifest *m, struct head *head);
// Generation `gen` is read through another handle.
struct manifest *manifest_with_seg(const struct manifest *m, uint64_t gen, struct seg *seg);
struct manifest *manifest_without_head(const struct manifest *m, uint64_t gen);
// One commit's difference; number + 1. The segments `gone` (generations, any order) are live no more; `seg`, unless NULL, is,
// and the head of its generation, if there is one, is not.
struct manifest *manifest_swapped(const struct manifest *m, const uint64_t *gone, size_t gone_count,
                                  struct seg *seg, const struct index_segment *row);
