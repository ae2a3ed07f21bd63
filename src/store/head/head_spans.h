/*
 * head_spans.h -- the spans of a generation in memory: in arrival order, by trace and by tenant; part of a head.
 *
 * Any thread: a lock of its own. What a reader was given lives as long as the head.
 */
#pragma once

#include "base/arena.h"
#include "base/attr.h"
#include "base/err.h"
#include "store/segment/seg.h"
#include "store/store.h"

#define HEAD_CHUNK_SPANS SPAN_BLOCK_SPANS // spans of a tenant that are scanned as one block

struct head_spans;
struct head_spans *head_spans_new(void);
void head_spans_free(struct head_spans *s);

// Adds a batch's spans that are not there yet; returns how many those were. Cannot fail; copies what it keeps.
uint32_t head_spans_apply(struct head_spans *s, const struct batch *batch);

struct head_spans_stats {
    uint64_t bytes; // memory: messages and bookkeeping
    uint64_t spans;
    uint64_t message_bytes;
};
void head_spans_stats(struct head_spans *s, struct head_spans_stats *stats_out);

// Chunks of a tenant's spans, in arrival order; what is visited runs under the lock.
MUST_CHECK bool head_spans_chunks(struct head_spans *s, struct slice tenant,
                                  bool (*visit)(void *ctx, uint32_t chunk, const struct span_block_stats *stats,
                                                struct err *err),
                                  void *ctx, struct err *err);
// The first `spans_count` spans of a chunk as a block. Whole chunks are made into one once.
MUST_CHECK bool head_spans_open(struct head_spans *s, struct slice tenant, uint32_t chunk, uint32_t spans_count,
                                struct arena *a, struct span_block *out, struct err *err);

// Adds a trace's spans to a growing array in `a`, where all that they point to is, too.
struct span_list {
    struct span *items;
    size_t count, room;
};
MUST_CHECK bool head_spans_trace(struct head_spans *s, struct slice tenant, const uint8_t trace_id[TRACE_ID_BYTES],
                                 struct arena *a, struct span_list *list, struct err *err);
// The hashes of a tenant's traces, in no order; in `a`.
MUST_CHECK bool head_spans_hashes(struct head_spans *s, struct slice tenant, struct arena *a, uint64_t **hashes_out,
                                  size_t *count_out, struct err *err);
MUST_CHECK bool head_spans_tenants(struct head_spans *s,
                                   bool (*visit)(void *ctx, struct slice tenant, struct err *err), void *ctx,
                                   struct err *err);
// Hands everything to a segment writer in its order. No apply may run any more.
MUST_CHECK bool head_spans_write(struct head_spans *s, struct seg_writer *w, struct err *err);
