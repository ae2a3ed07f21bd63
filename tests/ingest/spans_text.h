/* spans_text.h -- batches of spans as one line of text, for tables. */
#pragma once

#include "base/buf.h"
#include "ingest/spans.h"

// Spans in their order, ` ; ` between them, then what was rejected and why.
void spans_text(struct buf *out, const struct spans *spans, struct arena *a);
