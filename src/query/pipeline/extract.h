/*
 * extract.h -- the parsers of a pipeline: json, logfmt, regexp, pattern, unpack; logql.md 9.
 *
 * Each is compiled once and run over the current line in place; what it finds borrows from the line or
 * lives in the line's scratch arena.
 */
#pragma once

#include "query/logql/ast.h"
#include "query/pipeline/line.h"

// Names a query uses, where it can tell (metric queries; logql.md 14.2): parsers extract nothing else.
struct wanted_labels {
    bool limited; // else all
    struct slice *names;
    size_t count;
    bool preserve_errors; // __error__ is among what is used
};
// Whether to extract it; notes its place in *found.
bool wanted(const struct wanted_labels *w, struct slice name, uint64_t *found);
// Whether a parser may stop, for all that is wanted was found.
bool wanted_all(const struct wanted_labels *w, uint64_t found);

struct extractor;

// ERR_INPUT; texts of logql.md 5.2 (whole) or 5.3 (the message; *stage_error_out tells).
MUST_CHECK bool extractor_new(const struct ast_stage *ast, struct arena *a, struct ast_regex **regexes,
                              struct extractor **out, bool *stage_error_out, struct err *err);
void extractor_run(const struct extractor *x, const struct wanted_labels *w, struct line *l);

// --- shared by the parsers ---------------------------------------------------------------------------

// A key as a label name: trimmed, sanitised; `first`: a leading digit gets an underscore.
struct slice extract_name(struct slice key, bool first, struct arena *a);

void extract_json(const struct wanted_labels *w, struct line *l);
void extract_unpack(struct line *l);
struct json_path;
// `a.b[0]["c"]`
MUST_CHECK bool json_path_parse(struct slice text, struct arena *a, struct json_path **out, struct err *err);
void extract_json_paths(const struct ast_assign *assigns, struct json_path *const *paths, size_t count,
                        struct line *l);

// --- fields of a line by themselves --------------------------------------------------------------------

typedef void extract_visit(void *ctx, struct slice name, struct slice value, const struct slice *path,
                           size_t path_count);
// Scalars of a JSON object by flattened name, with the keys that lead there. False when the line is none; visit
// may be NULL. What is visited lives in `a`, or borrows.
bool extract_json_fields(struct slice line, struct arena *a, extract_visit *visit, void *ctx);
// Pairs with a value, without a path.
void extract_logfmt_fields(struct slice line, struct arena *a, extract_visit *visit, void *ctx);
