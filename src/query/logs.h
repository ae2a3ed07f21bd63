/* logs.h -- log queries: the newest or oldest entries that a pipeline keeps; logql.md 21. */
#pragma once

#include "query/pipeline/pipeline.h"
#include "query/query.h"

MUST_CHECK bool logs_run(const struct ast_logs *logs, const struct pipeline *pipeline,
                         const struct query_range *range, const struct query_context *context,
                         struct query_result *result_out, struct err *err);
// query_visit() for a log query.
MUST_CHECK bool logs_visit(const struct ast_logs *logs, const struct pipeline *pipeline,
                           const struct query_range *range, const struct query_context *context,
                           bool (*visit)(void *ctx, const struct query_entry *entry, struct err *err),
                           void *ctx, struct query_result *result_out, struct err *err);
