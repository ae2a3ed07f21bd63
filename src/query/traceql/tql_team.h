/*
 * tql_team.h -- what queries over spans share: a view, its blocks, a worker for each thread of the crew with memory of its
 * own; damaged segments left out and told; deadline and cancellation.
 *
 * Tasks share nothing; what they found is put together in the order of the tasks, so that any number of threads gives one
 * answer.
 */
#pragma once

#include "query/traceql/tql_rows.h"
#include "query/traceql/tql_trace.h"
#include "query/traces.h"

struct tql_team;

struct tql_worker { // one thread's
    struct tql_team *team;
    struct arena arena;   // results; the query's takes it over at the end
    struct arena block;   // of the block, or the trace, in hand
    const struct view_span_block *opened; // the open block
    struct arena scratch; // rewound
    struct trace_stats stats;
    const char **warnings; // arena
    size_t warnings_count, warnings_room;
    struct err err; // of the task that failed
    bool failed;
};

struct tql_team {
    const struct query_context *context; // borrowed
    struct view *view;                   // owned
    struct arena_budget budget;          // of the workers' arenas
    struct tql_worker *workers;          // owned
    unsigned count;
    int64_t begun_mono_ns;
    struct view_span_block *blocks; // newest start_max_ns first
    uint32_t blocks_count;
    bool partial; // there are sources without a block in `blocks`
    // Of traces that may lie in several blocks, by tql_team_split(): hashes, ascending.
    const uint64_t *split;
    size_t split_count;
};

MUST_CHECK bool tql_team_begin(struct tql_team *team, const struct query_context *context, struct err *err);
// Finds the blocks of a time range (store.h). `whole`: of a source that has one, all.
MUST_CHECK bool tql_team_select(struct tql_team *team, int64_t from_ns, int64_t to_ns, bool running, bool whole, struct err *err);
// Finds the traces that may lie in several blocks.
MUST_CHECK bool tql_team_split(struct tql_team *team, struct err *err);
// Whether the trace is known to lie whole in its block.
bool tql_team_is_whole(const struct tql_team *team, const uint8_t trace_id[TRACE_ID_BYTES]);
// Whether an ascending list has the hash of the trace.
bool tql_has_trace(const uint64_t *hashes, size_t count, const uint8_t trace_id[TRACE_ID_BYTES]);
// work(ctx, worker, task) for every task, spread over the workers, until one returns false: it failed when it set
// worker->failed, and had enough otherwise.
MUST_CHECK bool tql_team_run(struct tql_team *team, uint32_t tasks, bool (*work)(void *ctx, struct tql_worker *w, uint32_t task),
                             void *ctx, struct err *err);
// Hands arenas, statistics and warnings over. To be called once after begin, whatever happened.
void tql_team_end(struct tql_team *team, struct trace_stats *stats, struct trace_warnings *warnings);

// Tells what the answer lacks.
void tql_worker_warn(struct tql_worker *w, const char *text);
// Ends a task: false, with the error noted. ERR_CORRUPT becomes a warning instead, and true is returned.
bool tql_worker_fail(struct tql_worker *w, const struct err *err);
bool tql_worker_memory(struct tql_worker *w); // false, noted, when one of its arenas is full
// False: the query has to end (deadline, cancelled).
MUST_CHECK bool tql_worker_may_go_on(struct tql_worker *w);

// Opens a block in w->block, which is emptied. *damaged_out: it cannot be read, a warning says so. False: the task failed.
MUST_CHECK bool tql_worker_open(struct tql_worker *w, uint32_t block, struct span_block *out, bool *damaged_out);
// The rows that have not expired, are not of deleted traces, and start in [from_ns, to_ns). False: r->err.
MUST_CHECK bool tql_worker_rows(struct tql_worker *w, struct tql_rows *r, int64_t from_ns, int64_t to_ns, struct tql_bits *out);
// A trace, whole, in w->block, which is emptied; 0 spans: there is none.
MUST_CHECK bool tql_worker_trace(struct tql_worker *w, const uint8_t trace_id[TRACE_ID_BYTES], struct tql_trace *out);
