/*
 * traces.h -- spans to answers: a trace by its ID, TraceQL searches and metrics, names and values of attributes.
 *
 * Language: traceql.md; what the endpoints ask and answer: traces-http.md 12 to 15. Everything that a call builds lives in
 * the context's arena, whose cap bounds its memory. Damaged segments are left out and told as a warning. Any thread; scans
 * run on the context's crew.
 */
#pragma once

#include "query/query.h"
#include "store/span.h"

// What was looked at: `metrics` of the answers.
struct trace_stats {
    uint64_t traces, spans; // inspected
    uint64_t bytes;         // stored bytes read
    uint64_t blocks, blocks_pruned;
    int64_t exec_ns;
};

struct trace_warnings {
    const char **items;
    uint32_t count;
};

// --- a trace by its ID --------------------------------------------------------------------------------

// Spans grouped as the wire has them: resources in the order of their first span's arrival, scopes within them, spans by
// start time (12.6). Zipkin's shared spans are told apart by new IDs, as 12.6 says.
struct trace_scope {
    const struct span_scope *scope;
    const struct span *spans;
    uint32_t spans_count;
};
struct trace_resource {
    const struct span_resource *resource;
    const struct trace_scope *scopes;
    uint32_t scopes_count;
};
struct trace {
    const struct trace_resource *resources;
    uint32_t resources_count;
    uint32_t spans_count; // 0: not found
    struct trace_warnings warnings;
    struct trace_stats stats;
};
MUST_CHECK bool trace_by_id(const struct query_context *context, const uint8_t trace_id[TRACE_ID_BYTES],
                            struct trace *out, struct err *err);

// --- TraceQL ------------------------------------------------------------------------------------------

struct traceql; // a parsed and validated query

// ERR_INPUT with the text of traceql.md 15 (without the endpoints' prefixes). *syntax_out: whether a refusal is a syntax
// error (else validation). The query must be freed before `a`.
MUST_CHECK bool traceql_parse(struct slice text, struct arena *a, struct traceql **out, bool *syntax_out, struct err *err);
void traceql_free(struct traceql *query); // NULL is fine
static inline void traceql_freep(struct traceql **query)
{
    traceql_free(*query);
}
bool traceql_is_metrics(const struct traceql *query);
// The canonical text (traceql.md 18.1).
void traceql_print(const struct traceql *query, struct buf *out);

// --- search -------------------------------------------------------------------------------------------

struct trace_search_options {
    int64_t from_ns, to_ns; // traces that overlap [from, to)
    uint32_t limit;         // traces, the newest
    uint32_t spans_per_set;
    // Tag search (traces-http.md 13.4) instead of a query: all must be found, as substrings.
    const struct label *tags;
    uint32_t tags_count;
    uint64_t duration_min_ns, duration_max_ns; // of the trace; max 0: none
    // Our own: only traces with a log entry that carries the ID and contains this; empty: all.
    struct slice log_filter;
};

// Values as traceql.md 12.4 sends them: durations, statuses and kinds are strings by now.
struct found_span {
    uint8_t span_id[SPAN_ID_BYTES];
    struct slice name;
    bool name_asked; // the query mentions names, and this one is as it asks
    uint64_t start_ns, duration_ns;
    struct span_attributes attributes;
};
struct found_set {
    struct found_span *spans; // at most spans_per_set
    uint32_t spans_count;
    uint32_t matched;
    struct span_attributes attributes; // of by() and aggregates
};
struct found_service {
    struct slice name;
    uint32_t spans, errors;
};
struct found_trace {
    uint8_t trace_id[TRACE_ID_BYTES];
    struct slice root_service, root_name; // as 13.3 sends them, `<root span not yet received>` included
    uint64_t start_ns, duration_ns;
    struct found_set *sets; // none for a tag search or `{}`-less search
    uint32_t sets_count;
    struct found_service *services; // by name
    uint32_t services_count;
};
struct trace_search_result {
    struct found_trace *traces; // newest start first
    uint32_t traces_count;
    struct trace_warnings warnings;
    struct trace_stats stats;
};
// `query` NULL: a tag search, or everything. ERR_INPUT for errors of evaluation (division by zero, ...).
MUST_CHECK bool trace_search(const struct traceql *query, const struct trace_search_options *options,
                             const struct query_context *context, struct trace_search_result *out, struct err *err);

// --- metrics ------------------------------------------------------------------------------------------

struct trace_metrics_options {
    // Buckets (from + i * step, from + (i + 1) * step], stamped with their ends, up to `to`: aligned by the caller
    // (traces-http.md 15.1). An instant query is one bucket.
    int64_t from_ns, to_ns, step_ns;
    uint32_t exemplars_max; // a hint of the query overrides it
    uint32_t series_max;    // 0: no cap
    bool instant;           // one value a series; no exemplars
};
struct trace_sample {
    int64_t time_ms;
    double value;
};
struct trace_exemplar {
    struct span_attributes labels; // `trace:id` first
    double value;
    int64_t time_ms;
};
struct trace_series {
    struct span_attributes labels;
    struct trace_sample *samples; // ascending; NaN left out
    uint32_t samples_count;
    struct trace_exemplar *exemplars;
    uint32_t exemplars_count;
};
struct trace_metrics_result {
    struct trace_series *series; // in the order of 15.1
    uint32_t series_count;
    bool partial; // series_max was reached
    struct trace_warnings warnings;
    struct trace_stats stats;
};
// ERR_INPUT `not a metrics query` for others.
MUST_CHECK bool trace_metrics(const struct traceql *query, const struct trace_metrics_options *options,
                              const struct query_context *context, struct trace_metrics_result *out, struct err *err);

// --- names and values of attributes (traces-http.md 14) -----------------------------------------------

enum trace_scope_kind {
    TRACE_SCOPE_RESOURCE,
    TRACE_SCOPE_SPAN,
    TRACE_SCOPE_EVENT,
    TRACE_SCOPE_LINK,
    TRACE_SCOPE_INSTRUMENTATION,
    TRACE_SCOPES_COUNT,
};
struct trace_tags_options {
    int64_t from_ns, to_ns;
    struct slice filter; // `q`, lenient (14.5); empty: none
    uint32_t limit;      // items, per scope for names; 0: none
};
struct trace_tags {
    struct slice *names[TRACE_SCOPES_COUNT]; // sorted, unique
    uint32_t counts[TRACE_SCOPES_COUNT];
    struct trace_warnings warnings;
    struct trace_stats stats;
};
// `scopes`: bits of enum trace_scope_kind.
MUST_CHECK bool trace_tag_names(const struct trace_tags_options *options, unsigned scopes,
                                const struct query_context *context, struct trace_tags *out, struct err *err);

struct trace_tag_value {
    const char *type; // string int float bool duration keyword
    struct slice text;
};
struct trace_tag_values {
    struct trace_tag_value *items; // sorted by text, then type; unique
    uint32_t count;
    struct trace_warnings warnings;
    struct trace_stats stats;
};
// `tag`: an identifier of TraceQL, as in 14.3. ERR_INPUT `failed to parse identifier ...` otherwise.
MUST_CHECK bool trace_tag_values(const struct trace_tags_options *options, struct slice tag,
                                 const struct query_context *context, struct trace_tag_values *out, struct err *err);
// As 14.4: a bare name, looked up in spans and resources; values as text.
MUST_CHECK bool trace_tag_values_flat(const struct trace_tags_options *options, struct slice tag,
                                      const struct query_context *context, struct trace_tag_values *out, struct err *err);
