/*
 * patterns.h -- templates of lines: loki-http.md 11.
 *
 * Lines are cut into words and what separates them; a word with a digit is variable. Lines with the same
 * separators and mostly the same words are one pattern, and words that differ become `<_>` (after He, Zhu, Zheng, Lyu,
 * "Drain: An Online Log Parsing Approach with Fixed Depth Tree", ICWS 2017). A pattern can be used as it is in `|>`.
 */
#pragma once

#include "query/query.h"

struct log_pattern {
    struct slice text;
    struct slice level; // detected_level of its lines
    uint64_t total;
    uint32_t *counts; // by step
};

struct log_patterns {
    struct log_pattern *items; // the most frequent first
    size_t count;
    uint32_t steps;   // of counts
    int64_t first_ns; // beginning of the first step: a multiple of the step
    uint64_t lines;   // that were looked at
    bool sampled;     // the time budget ended before all lines were
};

// Over the lines that a selector selects in [from_ns, to_ns), for at most budget_ns; blocks are taken in an order
// that spreads over streams and time.
MUST_CHECK bool query_patterns(const struct query_context *context, const struct query_selector *selector,
                               int64_t from_ns, int64_t to_ns, int64_t step_ns, int64_t budget_ns,
                               struct log_patterns *out, struct err *err);
