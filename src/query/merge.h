/*
 * merge.h -- the entries of one stream in time order, each once, whatever generations hold them.
 *
 * Runs that overlap no other source are handed out as they are; where sources overlap, entries are merged
 * by time and equal ones (time, line, metadata) given once.
 */
#pragma once

#include "query/scan.h"

struct merge_visitor {
    // A piece of a loaded run: entries [first, end). Times come in ascending order over all calls.
    bool (*visit)(void *ctx, const struct run_entries *e, uint32_t first, uint32_t end, struct err *err);
    // Offered each run that lies inside the range and overlaps no other source, before it is loaded: true
    // when its totals were all that was needed. May be NULL.
    bool (*whole)(void *ctx, const struct view_run *run);
    void *ctx;
};

// `runs` are those of one stream, by min_ns. Columns always include times.
MUST_CHECK bool merge_stream(struct scan *s, const struct view_run *runs, uint32_t runs_count,
                             unsigned columns, int64_t from_ns, int64_t to_ns,
                             const struct merge_visitor *visitor, struct err *err);
