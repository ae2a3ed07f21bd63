/*
 * tql_trace.h -- an assembled trace and its structure (traceql.md 6, 10.3).
 *
 * Spans stand in the order of (start, span ID). Structure is computed from parent IDs, so that traces whose root is missing
 * work too; nestedSet* are those of traceql.md 10.3, which stay 0 for spans that no root reaches. A span on a cycle of
 * parents has none.
 */
#pragma once

#include "query/traceql/tql_eval.h"

enum { TQL_NO_SPAN = -1 };

struct tql_rows;

struct tql_structure {
    int32_t *parent;       // index of the parent's span, or TQL_NO_SPAN
    uint32_t *order;       // all spans, parents before their children
    uint32_t *siblings;    // equal numbers: one parent, be it stored or not; below 2 * count
    uint32_t *child_count;
    int32_t *left, *right, *nested_parent;
};

struct tql_trace {
    const struct span *spans;
    uint32_t count;
    struct arena *arena;      // of the trace
    struct arena *scratch;    // another one: rewound
    uint64_t start_ns, end_ns; // earliest and latest
    const struct span *root;   // NULL: none; traces-http.md 7
    struct tql_structure *structure; // by tql_trace_structure()
    // Set for a trace of one block: its spans have no attributes, events and links of their own; those are read there.
    struct tql_rows *rows;
    uint32_t first_row;
};

// Everything that is made for the trace lives in `a`.
void tql_trace_begin(struct tql_trace *t, const struct span *spans, uint32_t count, struct arena *a, struct arena *scratch);
// Computed when first asked for; NULL when the arena is full.
const struct tql_structure *tql_trace_structure(struct tql_trace *t);
static inline uint64_t tql_trace_duration(const struct tql_trace *t)
{
    return t->end_ns > t->start_ns ? t->end_ns - t->start_ns : 0;
}
// Whether the span is one that may name the trace: without a parent, and not linked to its own trace as a child.
bool tql_is_root(const struct span *span, struct arena *scratch);

// Values of one span of a trace: the context of tql_trace_source.
struct tql_trace_row {
    struct tql_eval eval; // eval.ctx is this row
    struct tql_trace *trace;
    const struct span *span; // the one in hand
};
void tql_trace_row_init(struct tql_trace_row *row, struct tql_trace *t);
