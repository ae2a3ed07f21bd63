/* spans.h -- odd spans by the thousand, from a seed: for tests of what stores spans. */
#pragma once

#include "base/arena.h"
#include "store/span.h"

struct spans_random {
    uint64_t state;
};

uint64_t spans_next(struct spans_random *r);
static inline uint64_t spans_below(struct spans_random *r, uint64_t limit)
{
    return spans_next(r) % limit;
}

// `count` spans of traces that lie together, each by start time, traces by their first start; resources and scopes are
// set. Kinds of odd are all there: see spans.c. Everything in the arena.
struct span *spans_make(struct spans_random *r, struct arena *a, uint32_t count);

// A reader of a block in memory (span_block_read_fn); ctx: a struct slice.
bool spans_read(void *ctx, uint64_t pos, size_t bytes, struct arena *a, struct slice *out, struct err *err);
