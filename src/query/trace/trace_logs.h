/*
 * trace_logs.h -- the log entries of a trace.
 *
 * Those that carry its ID in their metadata come from the index, whenever they were written. Lines that merely say it, as JSON and
 * logfmt do (`"trace_id":"..."`, `traceID=...`, `"traceparent":"00-..."`), are looked for among the entries of the trace's services
 * in its time.
 */
#pragma once

#include "query/traces.h"

struct trace_log {
    struct slice labels; // encoded, of the stream
    int64_t time_ns;
    struct slice line;
    struct slice metadata; // encoded
};

struct trace_logs {
    struct trace_log *items; // by time
    uint32_t count;
    bool more; // than `limit` there are
    struct trace_warnings warnings;
};

struct trace_logs_options {
    const struct slice *services; // of the spans
    uint32_t services_count;
    int64_t from_ns, to_ns; // of the spans; from > to: there are none
    uint32_t limit;
};

MUST_CHECK bool trace_logs(const struct query_context *context, const uint8_t trace_id[TRACE_ID_BYTES],
                           const struct trace_logs_options *options, struct trace_logs *out, struct err *err);

// Whether an entry that carries the ID contains the text. The view is not settled; scratch is left as it was.
MUST_CHECK bool trace_logs_contain(struct view *view, const uint8_t trace_id[TRACE_ID_BYTES], struct slice text,
                                   struct arena *scratch, bool *out, struct err *err);

// Whether a line says the ID: 32 hex digits in lower case, where JSON or logfmt put the value of such a key.
bool trace_line_says(struct slice line, const uint8_t trace_id[TRACE_ID_BYTES]);
// The span that an entry says it belongs to, by its metadata or its line.
bool trace_log_span(const struct trace_log *log, uint8_t span_id_out[SPAN_ID_BYTES]);
// The service that wrote it: the label `service_name`.
struct slice trace_log_service(const struct trace_log *log);
