/* line_filter.h -- `|=`, `!=`, `|~`, `!~`, `|>`, `!>` with their alternatives; logql.md 8. */
#pragma once

#include "query/logql/ast.h"

struct line_filter;

// In the arena; compiled regexes go to the list. Errors are the stage's message alone (logql.md 5.3).
MUST_CHECK bool line_filter_new(const struct ast_line_filter *ast, struct arena *a,
                                struct ast_regex **regexes, struct line_filter **out, struct err *err);
// Whether the line is kept. Any thread.
bool line_filter_keeps(const struct line_filter *f, struct slice line);
// Text that every kept line contains; empty when none is known.
struct slice line_filter_needle(const struct line_filter *f);
// Texts of which every kept line contains one, in `a`; their count, 0: none are known.
uint32_t line_filter_texts(const struct line_filter *f, struct arena *a, const struct slice **texts_out);
// The text of a filter that is one text and nothing else; empty otherwise.
struct slice line_filter_text(const struct line_filter *f);
bool line_filter_is_negative(const struct line_filter *f);
