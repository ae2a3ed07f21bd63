/*
 * scan.h -- what log and metric queries share: a selection over a view, its runs loaded one by one, damaged
 * ones left out and told, statistics, deadline.
 *
 * A query is scanned by a team: one scan for each thread that may work on it, with a loader, an arena and
 * statistics of its own. What they found is put together by scan_team_end().
 */
#pragma once

#include "query/pipeline/pipeline.h"
#include "query/query.h"

#include <pthread.h>

struct scan_team;

struct scan { // one thread's
    struct scan_team *team;
    struct run_loader *loader; // owned
    struct query_stats stats;
    struct line_space space; // of the line in hand
    struct arena arena;      // results; the query's takes it over at the end
    struct arena scratch;    // of the line in hand
    uint32_t ahead_from, ahead_to; // places in the team's order: the one in hand, and up to where it was read ahead
    const char **warnings;   // arena
    size_t warnings_count, warnings_room;
    struct err err; // of the task that failed
    bool failed;
};

struct scan_team {
    const struct query_context *context; // borrowed
    struct view *view;                   // owned
    pthread_mutex_t lock;                // one at a time asks the view for labels
    // What blocks' filters are asked (pipeline_clauses()): for any stream, and for those without some labels.
    struct view_probe *probe, *unlabelled_probe; // owned; NULL: nothing
    struct pipeline_clause *clauses;
    uint32_t clauses_count;
    struct view_stream *probed; // the selection's streams
    struct view_ahead *ahead;            // owned; NULL: nothing is far
    const struct view_run *ahead_runs;   // the order of loading: these as they lie,
    const struct view_run **ahead_order; // or, not NULL, these, each task one
    uint32_t ahead_count;                // 0: the order is not known
    bool to_the_end; // all of them will be loaded
    struct arena_budget budget;          // of the scans' arenas
    struct scan *scans;                  // owned
    unsigned count;
};

MUST_CHECK bool scan_team_begin(struct scan_team *team, const struct query_context *context, struct err *err);
// Selects and counts; may be called several times before the first load.
MUST_CHECK bool scan_team_select(struct scan_team *team, const struct ast_logs *logs, int64_t from_ns,
                                 int64_t to_ns, struct view_selection *out, struct err *err);
// From now on runs of the selection that the pipeline keeps nothing of, by their blocks' filters, are left out.
void scan_team_probe(struct scan_team *team, const struct pipeline *p, const struct view_selection *selection);
// Tells in which order runs will be loaded, as far as each scan is concerned: as they lie in `runs`, or, with `order`, one by each task, in
// the order of tasks; and whether all of them will be, whatever is found. What is in a bucket is then read ahead.
void scan_team_order(struct scan_team *team, const struct view_run *runs, const struct view_run **order, uint32_t count, bool to_the_end);
// work(ctx, scan, task) for every task in [0, tasks), spread over the scans, started in order, until one returns false:
// it failed when it set scan->failed, with scan->err, and had enough otherwise.
MUST_CHECK bool scan_team_run(struct scan_team *team, uint32_t tasks,
                              bool (*work)(void *ctx, struct scan *s, uint32_t task), void *ctx,
                              struct err *err);
// Hands arenas, statistics and warnings to the query. To be called once after begin, whatever happened.
void scan_team_end(struct scan_team *team, struct query_stats *stats, const char ***warnings,
                   uint32_t *warnings_count);

// Ends a task: false, with the error noted.
bool scan_fail(struct scan *s, const struct err *err);
bool scan_fail_memory(struct scan *s);

// A selected stream's labels, encoded; valid until scan_team_end(). False: the task failed.
MUST_CHECK bool scan_labels(struct scan *s, struct view_stream *stream, struct slice *labels_out);
// Loads a run. *left_out: filters deny it, or its bytes are corrupt, which a warning says; the query goes on
// without it.
// False: the task failed (ERR_TIMEOUT and ERR_CANCELLED among others). `loader`: NULL for the scan's own.
MUST_CHECK bool scan_load(struct scan *s, struct run_loader *loader, const struct view_run *run,
                          unsigned columns, struct run_entries *out, bool *left_out);

// A further loader of a scan.
struct run_loader *scan_loader_new(struct scan *s);
// Adds what a loader did to the statistics.
void scan_add_loader(struct query_stats *stats, const struct run_loader *loader);

// Calls visit for each entry of a loaded run in [first, end) that the pipeline keeps, in the asked
// direction, until visit returns false. The scan's scratch is emptied after each entry.
struct scan_hit {
    uint32_t position;   // in the run
    struct slice text;   // as stored; line.text is what stages made of it
    struct line line;
};
// Entries without times get the run's least.
bool scan_run(struct scan *s, const struct pipeline *p, struct slice stream_labels,
              const struct run_entries *e, uint32_t first, uint32_t end, bool forward,
              bool (*visit)(void *ctx, struct scan_hit *hit), void *ctx);
// Columns that running the pipeline takes, times included.
unsigned scan_columns(const struct pipeline *p);
// The part of a run's times in [from_ns, to_ns); all of it where times were not loaded.
void scan_bounds(const struct run_entries *e, int64_t from_ns, int64_t to_ns, uint32_t *first_out,
                 uint32_t *end_out);
