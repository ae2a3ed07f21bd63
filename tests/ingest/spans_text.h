/* spans_text.h -- spans as one line of text, for tables. */
#pragma once

#include "base/buf.h"
#include "ingest/spans.h"

// With its resource and scope, which must be set.
void span_text(struct buf *out, const struct span *span, struct arena *a);
// Spans in their order, ` ; ` between them, then what was rejected and why.
void spans_text(struct buf *out, const struct spans *spans, struct arena *a);
