/*
 * tql_sets.h -- pipelines over an assembled trace: spansets in, spansets out (traceql.md 10, 11).
 */
#pragma once

#include "query/traceql/tql_trace.h"

// What by() and aggregates leave on a spanset; the newest first.
struct tql_note {
    struct slice key;
    struct tql_value value;
    const struct tql_note *before;
};

struct tql_spanset {
    uint32_t *spans; // indices into the trace, ascending
    uint32_t count;  // not 0
    const struct tql_note *notes;
};

struct tql_spansets {
    struct tql_spanset *items;
    size_t count, room;
};

// Runs the pipeline on all spans of the trace; what comes out lives in the trace's arena. ERR_INPUT for errors of
// evaluation.
MUST_CHECK bool tql_sets_run(const struct tql_pipeline *p, struct tql_trace *t, struct tql_spansets *out, struct err *err);
// The union of the sets.
MUST_CHECK bool tql_sets_union(struct tql_trace *t, const struct tql_spansets *sets, struct tql_spanset *out, struct err *err);
