/*
 * merge.h -- the entries of one stream in time order, each once, whatever generations hold them.
 *
 * A cluster is a maximal sequence of a stream's runs that overlap in time; clusters are independent of each
 * other. Runs of a cluster from one source are handed out as they are; where sources overlap, entries are
 * merged by time and equal ones (time, line, metadata) given once.
 */
#pragma once

#include "query/scan.h"

struct merge_visitor {
    // A piece of a loaded run: entries [first, end). Times come in ascending order over all calls.
    bool (*visit)(void *ctx, const struct run_entries *e, uint32_t first, uint32_t end);
    // Offered each run that lies inside the range and overlaps no other source, before it is loaded: true
    // when its totals were all that was needed. May be NULL.
    bool (*whole)(void *ctx, const struct view_run *run);
    // Asked of such a run next: whether its least time does for all of its entries, so that their own are not read.
    // May be NULL.
    bool (*timeless)(void *ctx, const struct view_run *run);
    void *ctx;
};

// Behind the cluster that starts at runs[first]. Runs are in the order of a selection.
uint32_t merge_cluster_end(const struct view_run *runs, uint32_t runs_count, uint32_t first);

// Visits the entries of one cluster in [from_ns, to_ns). Columns include times. False: visit returned
// false, or the task failed.
MUST_CHECK bool merge_cluster(struct scan *s, const struct view_run *runs, uint32_t runs_count,
                              unsigned columns, int64_t from_ns, int64_t to_ns,
                              const struct merge_visitor *visitor);
