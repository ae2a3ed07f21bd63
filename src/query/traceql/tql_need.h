/*
 * tql_need.h -- what some span of a trace has to satisfy for a query to find the trace: what blocks can be asked
 * (traceql.md 18, last paragraph).
 *
 * Conservative: derived from conjunctions; a disjunction needs both sides to say something, a negated structure says
 * something of its right side alone.
 */
#pragma once

#include "query/traceql/tql_ast.h"

struct tql_need {
    const struct tql_expr *rows; // for tql_rows_filter(); a static `true` when nothing is known
    // A span is in the result iff `rows` holds for it: the pipeline is filters of spans by themselves. With `roots`, it
    // holds but in traces that are not numbered (traceql.md 10.3.5).
    bool exact;
    bool roots;
};

// The pipeline's. False: the arena is full. Its expressions may hold one attribute more than the query, numbered behind them.
MUST_CHECK bool tql_need_of(const struct traceql *q, struct arena *a, struct tql_need *out);
// Of one lowered filter of the query alone.
MUST_CHECK bool tql_need_of_expr(const struct traceql *q, const struct tql_expr *lowered, struct arena *a, struct tql_need *out);
