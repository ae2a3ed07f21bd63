/*
 * range.h -- range aggregations from inside: plans, what entries are gathered into, and what becomes of it.
 *
 *     range_plan.c    what a query asks of its entries
 *     range_agg.c     entries to sums and samples, by a team of scans
 *     range_values.c  what the scans gathered to one value a step
 */
#pragma once

#include "query/matrix.h"
#include "query/pipeline/pipeline.h"
#include "query/scan.h"
#include "query/window.h"

struct range_plan {
    const struct ast *ast;
    const struct ast *around; // the sum that is applied to the samples; NULL: none
    struct pipeline *pipeline;
    struct pipeline *post; // behind unwrap; NULL: none
    struct wanted_labels wanted;
    size_t wanted_room;
    struct range_plan *next;
};

// Whether the function is one of bytes.
bool range_counts_bytes(const struct ast *ast);
// Whether the value of a window is a sum over its entries, so that no samples have to be kept.
bool range_is_sum(const struct ast *ast);
// Whether all entries of a stream that are kept go to one series, whatever their metadata, if the stream has the
// labels that are grouped by.
bool range_may_be_one_series(const struct range_plan *plan, const struct ast_grouping **by_out);

// Samples of one task, in its order.
struct piece {
    uint32_t task;
    uint32_t number; // within its series
    uint32_t count, room;
    struct sample *samples;
};
enum { PIECE_SAMPLES_MIN = 16, PIECE_SAMPLES_MAX = 8192 };

struct gathered { // one series, as far as one scan saw it
    uint32_t first_task;
    uint64_t *entries; // differences by step, one more than steps
    uint64_t *bytes;   // likewise
    struct piece *pieces; // of samples
    size_t pieces_count, pieces_room;
};

struct range_agg {
    struct evaluation *ev;
    const struct range_plan *plan;
    enum token_kind fn;
    const struct ast_log_range *range;
    const struct ast_grouping *by; // the function's own, or that of the sum around it; NULL: none
    bool grouped;                  // by that, or into one
    bool sums;  // counts or bytes: no samples are kept
    bool plain; // entries of a stream with equal metadata go to one series
    bool bytes;
    int64_t from_ns, to_ns; // of entries
    struct view_selection sel;
    struct task {
        uint32_t first, end; // runs
    } *tasks;
    size_t tasks_count, tasks_room;
    struct gatherer *gatherers; // one a scan
};

// Series that entries went to lately, by the values of the labels that are grouped by.
enum { RECENT_SERIES = 64, RECENT_NAMES = 3, RECENT_BYTES = 40 };
struct recent_key {
    uint32_t count; // of names; 0: none
    bool found[RECENT_NAMES];
    struct slice values[RECENT_NAMES];
};
struct recent {
    struct recent_key key; // its values are those in `bytes`
    uint8_t bytes[RECENT_NAMES][RECENT_BYTES];
    size_t number;
};

struct gatherer {
    const struct range_agg *r;
    struct scan *scan;
    uint32_t task;
    struct slice_set table;    // label sets of series
    struct gathered *gathered; // by number in the table
    size_t gathered_room;
    struct slice stream; // labels of the stream being visited
    struct window_span { // times that share their steps, and these
        int64_t from_ns, last_ns;
        uint32_t first, end;
    } span;
    // Entries of a stream share few metadata sets: the last one's series.
    struct slice last_metadata;
    size_t last_number;
    struct recent recent[RECENT_SERIES];
};

// The series of what all gatherers have. False: the arena is full, or too much is asked for.
MUST_CHECK bool range_values(const struct range_agg *r, unsigned gatherers, struct matrix *out, struct err *err);
