/*
 * trace_tree.h -- a trace and its log entries as one tree: services in the order in which they took part, their spans each below
 * the span of the service that called it, log entries below the span that they name, or below the service that wrote them.
 *
 * Any spans make a tree: parents that are unknown, in another service or in a circle leave a span at the top of its service.
 */
#pragma once

#include "query/trace/trace_logs.h"

struct tree_span {
    const struct span *span;
    uint32_t depth; // 0: at the top of its service
    const struct trace_log **logs; // by time
    uint32_t logs_count;
};

struct tree_service {
    struct slice name; // empty: the spans' resource has none
    int64_t first_ns;
    struct tree_span *spans; // parents before their children, those by time
    uint32_t spans_count, errors_count;
    const struct trace_log **logs; // of no span that is known, by time
    uint32_t logs_count;
};

struct trace_tree {
    uint8_t trace_id[TRACE_ID_BYTES];
    int64_t from_ns, duration_ns; // of the spans, or of the entries where there are none; clamped to int64_t
    struct tree_service *services;
    uint32_t services_count;
    uint32_t spans_count, logs_count; // in the tree; both 0: not found
    struct trace_warnings warnings;   // what is missing
};

// At most `logs_max` entries and TRACE_TREE_SPANS_MAX spans, the earliest.
MUST_CHECK bool trace_tree(const struct query_context *context, const uint8_t trace_id[TRACE_ID_BYTES], uint32_t logs_max,
                           struct trace_tree *out, struct err *err);
// The same of a trace and entries that are at hand. In `a`.
MUST_CHECK bool trace_tree_build(const struct trace *trace, const struct trace_logs *logs, struct arena *a,
                                 struct trace_tree *out, struct err *err);
