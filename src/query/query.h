/*
 * query.h -- text of a LogQL query to its result.
 *
 * Parse once (logql.md sections 2..6), then run over a view. Everything that a query builds lives in the
 * arena that it is given, whose cap bounds the query's memory. Any thread. A query's scans run on the threads
 * of the context's crew, which queries share.
 */
#pragma once

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/labels.h"
#include "base/slice.h"
#include "store/store.h"

#include <stdatomic.h>

// --- selectors alone: label and series endpoints -----------------------------------------------------

struct query_selector {
    struct label_matcher *matchers;
    size_t matchers_count;
    struct ast_regex *regexes; // owned; opaque
};

// A selector without stages, else ERR_INPUT `only label matchers are supported`. `{}` and selectors that
// match empty values only are the 400 of logql.md 6 unless `any` is set. Compiled regexes are released
// with query_selector_done().
MUST_CHECK bool query_selector_parse(struct slice text, bool any, struct arena *a,
                                     struct query_selector *out, struct err *err);
void query_selector_done(struct query_selector *selector);

// --- queries -----------------------------------------------------------------------------------------

struct query; // a parsed query

enum query_kind { QUERY_LOGS, QUERY_METRIC, QUERY_LITERAL };

// ERR_INPUT with the reference's text on a parse or stage error. The query must be freed before `a`.
MUST_CHECK bool query_parse(struct slice text, struct arena *a, struct query **query_out,
                            struct err *err);
void query_free(struct query *query); // releases compiled regexes; NULL is fine
static inline void query_freep(struct query **query)
{
    query_free(*query);
}
enum query_kind query_kind(const struct query *query);
// Of a log query: its selector, and whether stages follow it.
const struct label_matcher *query_matchers(const struct query *query, size_t *count_out, bool *stages_out);

struct query_range {
    int64_t from_ns;  // logs: inclusive. metrics: first step
    int64_t to_ns;    // logs: exclusive. metrics: last step, inclusive
    int64_t step_ns;  // metrics; 0: instant, evaluated at from_ns
    int64_t interval_ns; // logs; loki-http.md 6.3
    uint32_t limit;   // logs: entries
    bool forward;     // logs: oldest first
};

struct query_stats {
    uint64_t lines_scanned;
    uint64_t bytes_scanned;
    uint64_t lines_matched; // after the pipeline
    uint64_t entries_returned;
    uint64_t metadata_bytes;
    uint64_t streams_matched;
    uint64_t runs_selected;
    uint64_t runs_pruned;
    uint64_t runs_filtered; // passed by, for filters deny what is looked for
    uint64_t runs_loaded;
    uint64_t runs_from_totals; // answered without loading anything
    uint64_t blocks_decoded;
    uint64_t compressed_bytes;
    uint64_t decoded_bytes;
    uint64_t head_lines;
    uint64_t head_bytes;
    int64_t exec_ns;
};

struct result_entry {
    int64_t time_ns;
    struct slice line;
    // Categories of loki-http.md 5.4, encoded pairs; the entry's full set is stream + these.
    struct slice metadata;
    struct slice parsed;
};

// Entries of one full label set (stream labels, metadata and parsed merged); or, when categorised, of
// one stream label set.
struct result_stream {
    struct slice labels; // encoded
    struct result_entry *entries; // in the asked direction
    uint32_t entries_count;
};

struct result_sample {
    int64_t time_ns;
    double value;
};

struct result_series {
    struct slice labels; // encoded
    struct result_sample *samples; // ascending
    uint32_t samples_count;
};

enum result_type { RESULT_STREAMS, RESULT_MATRIX, RESULT_VECTOR, RESULT_SCALAR };

struct query_result {
    enum result_type type;
    struct result_stream *streams; // by printed labels
    uint32_t streams_count;
    struct result_series *series; // by labels; a scalar is one series with one sample
    uint32_t series_count;
    const char **warnings; // e.g. a damaged segment that was left out
    uint32_t warnings_count;
    struct query_stats stats;
    bool sampled; // the time for a sample ended before everything was looked at
};

struct crew; // crew.h

struct query_context {
    struct store *store;
    struct crew *crew; // threads to run on; NULL: the caller's alone
    struct slice tenant;
    struct arena *arena;         // results and scratch
    bool categorize;             // group streams by stream labels alone
    bool partial_series;         // too many series: a warning and those that fit, instead of ERR_LIMIT
    int64_t deadline_mono_ns;    // 0: none; then ERR_TIMEOUT
    // 0: none. For a log query a sample will do: any of the entries of one time, and after this moment what was found.
    int64_t sample_until_mono_ns;
    const atomic_bool *cancelled; // may be NULL; then ERR_CANCELLED
};

MUST_CHECK bool query_run(const struct query *query, const struct query_range *range,
                          const struct query_context *context, struct query_result *result_out,
                          struct err *err);

// Visits every entry that a log query keeps, in [range.from_ns, range.to_ns): stream by stream in the order
// of their labels, each in time order, without a limit and without holding the result. What the line
// points at lives during the call. ERR_INPUT for a metric query.
struct query_entry {
    struct slice labels; // encoded, of the stream
    int64_t time_ns;
    struct slice line;
    struct slice metadata; // encoded, under visible names
    struct slice parsed;   // encoded
};
MUST_CHECK bool query_visit(const struct query *query, const struct query_range *range,
                            const struct query_context *context,
                            bool (*visit)(void *ctx, const struct query_entry *entry, struct err *err),
                            void *ctx, struct query_result *result_out, struct err *err);

// Whether a log query's selector matches a stream.
bool query_selects(const struct query *query, struct slice labels);
// One entry of such a stream by itself, as it arrives: whether the query keeps it, and what it makes of it. The
// result lives in the space until its next use.
struct query_space;
struct query_space *query_space_new(void);
void query_space_free(struct query_space *space); // NULL is fine
bool query_match(const struct query *query, const struct store_arrival *arrival, struct query_space *space,
                 struct query_entry *entry_out);
// Requests to delete, for the store: log queries whose selector does not select everything.
extern const struct store_filter_ops query_filter_ops;
// Stream labels, metadata and parsed labels as one set; ptr NULL when the arena is full.
struct slice query_entry_labels(struct slice stream, struct slice metadata, struct slice parsed, struct arena *a);

// The canonical text of a query (loki-http.md 14): parses to the same again.
MUST_CHECK bool query_format(struct slice text, struct arena *a, struct buf *out, struct err *err);

// What was decided for the query and what running it took, as text for people.
void query_explain(const struct query *query, const struct query_stats *stats, const struct crew *crew,
                   struct buf *out);

// --- series ------------------------------------------------------------------------------------------

// Label sets (encoded, unique) of the streams that match any of the selectors and have entries in
// [from_ns, to_ns). No selectors: every stream.
MUST_CHECK bool query_series(const struct query_context *context,
                             const struct query_selector *selectors, size_t selectors_count,
                             int64_t from_ns, int64_t to_ns, struct slice **labels_out,
                             size_t *labels_count_out, struct err *err);

// --- literals of the language at HTTP's edge --------------------------------------------------------

// logql.md 2.5 "Prom duration" (`1h30m`, `0`); ERR_INPUT with its text otherwise.
MUST_CHECK bool query_parse_duration(struct slice text, int64_t *ns_out, struct err *err);
// Go's time.ParseDuration (`1.5s`, `1h2m`); ERR_INPUT with its text otherwise.
MUST_CHECK bool query_parse_go_duration(struct slice text, int64_t *ns_out, struct err *err);
