/*
 * pipeline.h -- the stages behind a selector, compiled once, run for each entry.
 *
 * A pipeline is immutable: any thread may run it, with a line, its space and a scratch arena of its own.
 */
#pragma once

#include "query/logql/ast.h"
#include "query/pipeline/extract.h"
#include "query/pipeline/line.h"
#include "store/store.h"

struct pipeline;

// ERR_INPUT `parse error : stage '...' : ...` (logql.md 5.3). Regexes go to the list. `wanted` limits what
// parsers extract; it is kept by reference.
MUST_CHECK bool pipeline_new(const struct ast_stage *stages, const struct wanted_labels *wanted_names,
                             struct arena *a, struct ast_regex **regexes, struct pipeline **out,
                             struct err *err);
// Whether the entry is kept; may change its text, labels and error.
bool pipeline_keeps(const struct pipeline *p, struct line *l);
// From a stage on: for a line of which is known what the stages before say.
bool pipeline_keeps_from(const struct pipeline *p, size_t stage, struct line *l);

bool pipeline_is_empty(const struct pipeline *p);
bool pipeline_reads_lines(const struct pipeline *p);
bool pipeline_reads_labels(const struct pipeline *p);
bool pipeline_reads_times(const struct pipeline *p);
// Whether a stage may change labels or errors: results of entries with equal metadata then differ.
bool pipeline_sets_labels(const struct pipeline *p);
// Text that is searched for over many lines at once, before anything else; empty: none.
struct needle {
    struct slice text;
    bool absent;  // kept entries do not contain it; else they all do
    size_t stage; // what is searched for decides of the stages before
};
struct needle pipeline_needle(const struct pipeline *p);
// What every kept entry contains, as blocks' filters are asked for it.
struct pipeline_clause {
    struct view_clause clause;
    struct slice label; // the clause holds for streams without this label; ptr NULL: for all
};
// In `a`; returns their count.
uint32_t pipeline_clauses(const struct pipeline *p, struct arena *a, struct pipeline_clause **clauses_out);
// Calls visit for each label that a template reads.
void pipeline_template_names(const struct pipeline *p, void (*visit)(void *ctx, struct slice name), void *ctx);
