/* tql_tags.h -- the tag search of old clients (traces-http.md 13.4) as a query. */
#pragma once

#include "query/traceql/tql_ast.h"

// Tags and bounds of the trace's duration; without any of them it finds everything. The query is the caller's to free.
MUST_CHECK bool tql_tags_query(const struct trace_search_options *options, struct arena *a, struct traceql **out, struct err *err);
