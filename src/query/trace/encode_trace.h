/*
 * encode_trace.h -- answers about spans as the trace endpoints give them: JSON in Tempo's dialect (traces-http.md 11.3) or
 * protobuf, field for field what 12 to 15 list and nothing else.
 */
#pragma once

#include "base/buf.h"
#include "query/traces.h"

enum encode_form { ENCODE_JSON, ENCODE_PROTOBUF };

// A whole trace. Resource, scope and status are always there, even empty (12.4).
struct encode_trace_options {
    enum encode_form form;
    bool envelope; // of version 2: the trace in a message with metrics and status; else the trace alone
    // Grafana does not show spans of a resource without attributes: it gets `service.name` = `unknown_service` there.
    bool name_resources;
    uint64_t bytes_max; // of the trace in protobuf; spans beyond are left out
};
// ERR_TOO_LARGE where spans are left out and no envelope can say so.
MUST_CHECK bool encode_trace(struct buf *b, const struct trace *trace, const struct encode_trace_options *options,
                             struct arena *scratch, struct err *err);

// `names`: of all spans; else of those whose name the query asks for.
void encode_trace_search(struct buf *b, const struct trace_search_result *result, bool names, enum encode_form form);

// Always JSON (11.1). `series_max` is told where it was reached.
void encode_trace_metrics(struct buf *b, const struct trace_metrics_result *result, const struct trace_metrics_options *options);

// Version 2: by scope, `intrinsics` as a scope of their own. Version 1: one sorted list of at most `limit` (0: all;
// intrinsics are always whole).
void encode_trace_tags(struct buf *b, const struct trace_tags *tags, bool intrinsics, enum encode_form form);
MUST_CHECK bool encode_trace_tags_flat(struct buf *b, const struct trace_tags *tags, bool intrinsics, uint32_t limit,
                                       enum encode_form form, struct arena *a, struct err *err);
// Version 2: with types. Version 1: text alone.
void encode_trace_values(struct buf *b, const struct trace_tag_values *values, bool typed, enum encode_form form);
