/* label_filter.h -- `| name op value`, typed by the literal, with and/or; logql.md 10. */
#pragma once

#include "query/logql/ast.h"
#include "query/pipeline/line.h"

// Whether every `ip(...)` in it can be read. Errors are the stage's message alone.
MUST_CHECK bool label_filter_check(const struct ast_label_filter *f, struct err *err);
// Whether the entry is kept; may set its error. Details live in `a`.
bool label_filter_keeps(const struct ast_label_filter *f, struct line *l, struct arena *a);
// Calls visit for each label name that it reads.
void label_filter_names(const struct ast_label_filter *f, void (*visit)(void *ctx, struct slice name),
                        void *ctx);
// Calls visit for each `name="value"` without which no entry is kept.
void label_filter_equalities(const struct ast_label_filter *f,
                             void (*visit)(void *ctx, const struct label_matcher *equality), void *ctx);
