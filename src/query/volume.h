/*
 * volume.h -- how much there is, from the index alone: loki-http.md 10.
 *
 * Runs that reach over an end of the time range, or over a step, are counted in proportion to their time in it.
 */
#pragma once

#include "query/query.h"

struct query_volume_request {
    const struct query_selector *selector;
    const struct slice *targets; // label names; streams without one of them do not count
    size_t targets_count;
    bool by_name;     // a series for each label name, instead of each set of values
    int64_t from_ns;  // inclusive
    int64_t to_ns;    // exclusive
    int64_t step_ns;  // 0: one sample, at to_ns
    uint32_t limit;   // series, the largest
};

// RESULT_VECTOR when no series has more than one sample, else RESULT_MATRIX; the largest series first.
MUST_CHECK bool query_volume(const struct query_context *context, const struct query_volume_request *request,
                             struct query_result *result_out, struct err *err);

struct query_index_stats {
    uint64_t streams, chunks, bytes, entries; // chunks: runs
};
MUST_CHECK bool query_index_stats(const struct query_context *context, const struct query_selector *selector,
                                  int64_t from_ns, int64_t to_ns, struct query_index_stats *out, struct err *err);
