/* metric.h -- metric queries: vectors over steps; logql.md 16 to 18. */
#pragma once

#include "query/logql/ast.h"
#include "query/query.h"

// Compiled pipelines, one per selector, in the order in which the tree names them.
struct metric_plan;

MUST_CHECK bool metric_plan_new(const struct ast *ast, struct arena *a, struct ast_regex **regexes,
                                struct metric_plan **out, struct err *err);
MUST_CHECK bool metric_run(const struct ast *ast, const struct metric_plan *plan,
                           const struct query_range *range, const struct query_context *context,
                           struct query_result *result_out, struct err *err);
// The selections of a plan, as explain.h.
void metric_plan_explain(const struct metric_plan *plan, struct buf *b);
