/*
 * pipeline.h -- the stages behind a selector, compiled once, run for each entry.
 *
 * A pipeline is immutable: any thread may run it, with a line and a scratch arena of its own.
 */
#pragma once

#include "query/logql/ast.h"
#include "query/pipeline/line.h"

struct pipeline;

// ERR_INPUT `parse error : stage '...' : ...` (logql.md 5.3). Regexes go to the list.
MUST_CHECK bool pipeline_new(const struct ast_stage *stages, struct arena *a, struct ast_regex **regexes,
                             struct pipeline **out, struct err *err);
// Whether the entry is kept; may change its text, labels and error.
bool pipeline_keeps(const struct pipeline *p, struct line *l, struct arena *scratch);

bool pipeline_is_empty(const struct pipeline *p);
bool pipeline_reads_lines(const struct pipeline *p);
bool pipeline_reads_labels(const struct pipeline *p);
// Text that the line of every kept entry contains, searched for before anything else; may be empty.
struct slice pipeline_needle(const struct pipeline *p);
