/*
 * template.h -- line_format and label_format templates: a subset of Go's text/template; logql.md 12.
 *
 * A template is parsed once and run for each line; what it makes lives in the line's scratch arena.
 */
#pragma once

#include "base/arena.h"
#include "base/err.h"
#include "query/pipeline/line.h"

struct template;

// `name` is "line" or "label". ERR_INPUT `template: line:1: ...`.
MUST_CHECK bool template_parse(struct slice text, const char *name, struct arena *a,
                               struct template **out, struct err *err);
// Runs over the visible labels of a line. False: *details_out says why (for __error_details__).
MUST_CHECK bool template_run(const struct template *t, const struct line *l, struct slice *out,
                             struct slice *details_out);
// Labels that it reads, for metric queries.
void template_names(const struct template *t, void (*visit)(void *ctx, struct slice name), void *ctx);
