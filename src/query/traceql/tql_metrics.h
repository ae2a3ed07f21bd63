/*
 * tql_metrics.h -- what the two ways of a metrics query share: compare() gathers otherwise than the rest.
 */
#pragma once

#include "query/traceql/tql_need.h"
#include "query/traceql/tql_result.h"
#include "query/traceql/tql_series.h"
#include "query/traceql/tql_team.h"

struct tql_metrics_run {
    struct tql_team team;
    const struct traceql *query;
    const struct trace_metrics_options *options;
    struct tql_buckets buckets;
    struct tql_exemplars exemplars;
    struct tql_need need;
    const struct tql_shown *shown;
    // Of traces in several sources, which may hold a span twice: those are assembled. Hashes, ascending.
    const uint64_t *spread;
    size_t spread_count;
    // Blocks of task t: [block_first[t], block_first[t + 1]).
    uint32_t *block_first;
    uint32_t tasks;
    // What a task leaves to be decided on whole traces.
    struct tql_traces {
        uint8_t (*ids)[TRACE_ID_BYTES];
        size_t count, room;
    } *traces; // by task
};

// What is done with the spans of the result. Each false: the worker's memory is at its end, or r->err is set.
struct tql_observer {
    void *ctx;
    // Before a task's first span: between which times its spans start.
    bool (*begin)(void *ctx, struct tql_worker *w, uint32_t task, int64_t min_ns, int64_t max_ns);
    // Rows of a block that are in the result and in time.
    bool (*rows)(void *ctx, struct tql_worker *w, uint32_t task, struct tql_rows *r, const struct tql_bits *bits);
    // A span of an assembled trace likewise.
    bool (*span)(void *ctx, struct tql_worker *w, uint32_t task, struct tql_trace_row *row);
};

MUST_CHECK bool tql_metrics_prepare(struct tql_metrics_run *m, struct err *err);
// Tasks are numbered below this: those of blocks first, then those of whole traces.
uint32_t tql_metrics_tasks_max(const struct tql_metrics_run *m);
MUST_CHECK bool tql_metrics_blocks(struct tql_metrics_run *m, const struct tql_observer *o, struct err *err);
MUST_CHECK bool tql_metrics_traces(struct tql_metrics_run *m, const struct tql_observer *o, struct err *err);

// Leaves a trace of a block to the second pass. False: the worker's arena is full.
MUST_CHECK bool tql_metrics_set_aside(struct tql_metrics_run *m, struct tql_worker *w, uint32_t task,
                                      const uint8_t trace_id[TRACE_ID_BYTES]);

// compare(): tql_compare.c.
MUST_CHECK bool tql_compare_run(struct tql_metrics_run *m, struct trace_metrics_result *out, struct err *err);
