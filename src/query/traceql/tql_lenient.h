/* tql_lenient.h -- the filter beside names and values of attributes, which is sent while it is typed (traces-http.md 14.5). */
#pragma once

#include "query/traceql/tql_ast.h"

// What of the text can be used, as a query of one filter: NULL when nothing is. Only ERR_LIMIT, and ERR_INPUT where a filter
// has more alternatives than are allowed. The query is the caller's to free.
MUST_CHECK bool tql_lenient(struct slice text, struct arena *a, struct traceql **out, struct err *err);
