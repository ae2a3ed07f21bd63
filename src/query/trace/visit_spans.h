/*
 * visit_spans.h -- every span of a tenant in a range of time, each once, without holding them: what
 * export and offline tools read.
 */
#pragma once

#include "query/query.h"
#include "store/span.h"

// Spans that start in [from_ns, to_ns), generation by generation, the oldest first; of one that is
// stored several times the oldest stored. What a span points at lives during the call. `damage` is
// added to: segments that were left out.
MUST_CHECK bool visit_spans(const struct query_context *context, int64_t from_ns, int64_t to_ns,
                            bool (*visit)(void *ctx, const struct span *span, struct err *err),
                            void *ctx, struct view_damage *damage, struct err *err);
