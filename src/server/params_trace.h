/*
 * params_trace.h -- what the parameters of the trace endpoints mean: traces-http.md 12.1, 13.1, 13.4, 14, 15.1; their errors
 * are 19's.
 */
#pragma once

#include "base/labels.h"
#include "query/traces.h"
#include "server/params.h"

// `{id}` of a path: up to 32 hex digits of either case, padded with zeros on the left.
MUST_CHECK bool params_trace_id(struct slice text, uint8_t id_out[TRACE_ID_BYTES], struct err *err);
// `start`, `end` and `mode` of a trace by its ID: checked, and of no use to us.
MUST_CHECK bool params_trace_hints(const struct params *p, struct err *err);

// A search. `tags` live in `a`. range_max_ns 0: any length.
MUST_CHECK bool params_trace_search(const struct params *p, int64_t now_ns, int64_t range_max_ns, struct arena *a,
                                    struct trace_search_options *out, struct err *err);
// Tags as logfmt writes them.
MUST_CHECK bool params_trace_tags(struct slice text, struct arena *a, const struct label **tags_out, uint32_t *count_out,
                                  struct err *err);

// Names and values: everything when neither `start` nor `end` is given.
MUST_CHECK bool params_trace_names(const struct params *p, int64_t range_max_ns, struct trace_tags_options *out,
                                   struct err *err);
// `scope`: bits of enum trace_scope_kind, and whether intrinsics belong to it. `all_intrinsics`: no scope includes them.
MUST_CHECK bool params_trace_scope(const struct params *p, bool all_intrinsics, unsigned *scopes_out, bool *intrinsics_out,
                                   struct err *err);

// A metrics query, aligned to its step.
MUST_CHECK bool params_trace_metrics(const struct params *p, int64_t now_ns, bool instant, int64_t range_max_ns,
                                     struct trace_metrics_options *out, struct err *err);
