/* encode_tree.h -- a trace with its log entries for programs, as JSON, and for people, as text (docs/api.md). */
#pragma once

#include "base/buf.h"
#include "query/trace/trace_tree.h"

void encode_tree_json(struct buf *b, const struct trace_tree *tree, struct arena *scratch);
// Nothing in it moves a terminal's cursor, whatever the spans and lines say.
void encode_tree_text(struct buf *b, const struct trace_tree *tree, struct arena *scratch);
