/*
 * scan.h -- what log and metric queries share: a selection over a view, its runs loaded one by one, damaged
 * ones left out and told, statistics, deadline.
 */
#pragma once

#include "query/pipeline/pipeline.h"
#include "query/query.h"

struct scan {
    const struct query_context *context; // borrowed
    struct view *view;                   // owned
    struct run_loader *loader;           // owned
    struct query_stats *stats;           // borrowed
    struct line_space space;             // of the line in hand
    const char **warnings;               // arena
    size_t warnings_count, warnings_room;
};

MUST_CHECK bool scan_begin(struct scan *s, const struct query_context *context,
                           struct query_stats *stats, struct err *err);
void scan_end(struct scan *s);
// Selects and counts; may be called several times before the first load.
MUST_CHECK bool scan_select(struct scan *s, const struct ast_logs *logs, int64_t from_ns, int64_t to_ns,
                            struct view_selection *out, struct err *err);
// Whether the query may go on: ERR_TIMEOUT, ERR_CANCELLED.
MUST_CHECK bool scan_may_go_on(const struct scan *s, struct err *err);
// Loads a run. *damaged_out: its bytes are corrupt, a warning says so, and the query goes on without it.
MUST_CHECK bool scan_load(struct scan *s, const struct view_run *run, unsigned columns,
                          struct run_entries *out, bool *damaged_out, struct err *err);

// Calls visit for each entry of a loaded run in [first, end) that the pipeline keeps, in the asked
// direction, until visit returns false. `scratch` is emptied after each entry.
struct scan_hit {
    uint32_t position;   // in the run
    struct slice text;   // as stored; line.text is what stages made of it
    struct line line;
};
bool scan_run(struct scan *s, const struct pipeline *p, struct slice stream_labels,
              const struct run_entries *e, uint32_t first, uint32_t end, bool forward,
              struct arena *scratch, bool (*visit)(void *ctx, const struct scan_hit *hit), void *ctx);
// Columns that running the pipeline takes, times included.
unsigned scan_columns(const struct pipeline *p);
// The part of a run's times in [from_ns, to_ns).
void scan_bounds(const struct run_entries *e, int64_t from_ns, int64_t to_ns, uint32_t *first_out,
                 uint32_t *end_out);
