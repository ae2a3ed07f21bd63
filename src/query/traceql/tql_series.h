/*
 * tql_series.h -- what a metrics query gathers: cells by group and bucket (traceql.md 13).
 *
 * A set belongs to one task and covers the buckets that its spans can fall in; sets are merged in the order of the tasks, so
 * that sums do not depend on how many threads there were.
 */
#pragma once

#include "query/traceql/tql_ast.h"

// Buckets of time: i is (from + i * step, from + (i + 1) * step].
struct tql_buckets {
    int64_t from_ns, step_ns, to_ns; // to: of the last one
    uint32_t count;
};
// The bucket of a time in (from, to].
static inline uint32_t tql_bucket_of(const struct tql_buckets *b, int64_t time_ns)
{
    return (uint32_t)((uint64_t)(time_ns - b->from_ns - 1) / (uint64_t)b->step_ns);
}
// The buckets that times between two can fall in; one at least.
void tql_buckets_between(const struct tql_buckets *b, int64_t min_ns, int64_t max_ns, uint32_t *first_out, uint32_t *count_out);

enum { TQL_POWERS = 64 }; // 2^1 to 2^63, and what is above

struct tql_exemplar {
    struct span_attributes labels; // `trace:id` first
    uint8_t trace_id[TRACE_ID_BYTES];
    double value;     // of the span; NaN: the series' own
    int64_t start_ns;
    uint32_t power;   // histograms: of its value
};

struct tql_series {
    struct tql_value *labels; // one for each by() attribute; NIL: left out
    struct slice key;         // of the labels
    double *values;           // by bucket: count, min, max or sum; NaN: none
    uint64_t *counts;         // avg
    uint64_t **powers;        // quantile, histogram: by bucket, NULL or TQL_POWERS counts
    struct tql_exemplar *exemplars;
    uint32_t exemplars_count;
    size_t exemplars_room;
};

struct tql_series_set {
    struct arena *arena;
    enum tql_metric_fn fn;
    uint32_t first, count; // buckets covered
    struct tql_series *items; // pointers into it move
    size_t series_count, room;
    uint32_t *slots; // by key; number + 1
    size_t slots_room;
    struct buf key; // scratch; owned
};

void tql_series_init(struct tql_series_set *set, enum tql_metric_fn fn, uint32_t first, uint32_t count, struct arena *a);
void tql_series_done(struct tql_series_set *set);
// The series of a group, made if need be; SIZE_MAX: the arena is full.
size_t tql_series_of(struct tql_series_set *set, const struct tql_value *labels, uint32_t labels_count);
// Adds one span: `value` for functions of an attribute, in seconds for durations; of quantile and histogram its power.
static inline bool tql_counts(enum tql_metric_fn fn)
{
    return fn == TQL_M_RATE || fn == TQL_M_COUNT;
}
void tql_series_add(struct tql_series_set *set, size_t series, uint32_t bucket, double value);
MUST_CHECK bool tql_series_add_power(struct tql_series_set *set, size_t series, uint32_t bucket, uint32_t power);
// The power of two that a number falls under (traceql.md 13 "Buckets"): 2^result; 0: it is dropped.
uint32_t tql_power_of(struct tql_value v);
// Adds what another set holds. False: the arena is full.
MUST_CHECK bool tql_series_merge(struct tql_series_set *to, const struct tql_series_set *from, uint32_t labels_count);

// Two for a series and slot of time, one for a trace; `slot_ns`: so wide that all together are about what is wanted.
struct tql_exemplars {
    uint32_t max; // of a result; 0: none
    int64_t slot_ns;
};
// Whether one more is wanted there.
bool tql_exemplar_wanted(const struct tql_series *s, const struct tql_exemplars *e, const uint8_t trace_id[TRACE_ID_BYTES], int64_t start_ns);
MUST_CHECK bool tql_exemplar_add(struct tql_series_set *set, size_t series, const struct tql_exemplar *exemplar);

// Labels, samples, second stages, order: the answer. `duration`: powers are of nanoseconds.
MUST_CHECK bool tql_series_finish(const struct traceql *q, struct tql_series_set *set, const struct tql_buckets *buckets, bool duration,
                                  const struct trace_metrics_options *options, const struct tql_exemplars *exemplars, struct arena *a,
                                  struct trace_metrics_result *out, struct err *err);
// Orders series as traces-http.md 15.1 says.
void tql_series_sort(struct trace_series *series, uint32_t count);
