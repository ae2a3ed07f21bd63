/*
 * seg_spans.h -- the sections of a segment that hold spans and find traces: writing and their
 * table; for seg_write.c, seg_read.c and those who read spans. Bytes: docs/format.md "Span table".
 */
#pragma once

#include "base/arena.h"
#include "base/buf.h"
#include "base/hash.h"
#include "index/index.h"
#include "store/span_block.h"
#include "store/segment/trace_table.h"

// --- writing
// ----------------------------------------------------------------------------------------

struct seg_spans_writer;

struct seg_spans_writer *seg_spans_writer_new(int level);
void seg_spans_writer_free(struct seg_spans_writer *w); // NULL is fine

// A log entry in `block`, of the stream with that fingerprint: noted when its metadata carries a
// trace's ID. `same`: its metadata is that of the call before.
void seg_spans_entry(struct seg_spans_writer *w, struct slice tenant, struct hash128 fingerprint,
                     struct slice metadata, bool same, uint32_t block);
// The next span, in the order of span_block.h, tenants ascending. May append a block to `out`,
// whose end is at `pos` of the file before.
MUST_CHECK bool seg_spans_add(struct seg_spans_writer *w, struct slice tenant,
                              const struct span *span, struct buf *out, uint64_t pos,
                              struct err *err);
// Appends the last block.
MUST_CHECK bool seg_spans_end(struct seg_spans_writer *w, struct buf *out, uint64_t pos,
                              struct err *err);
bool seg_spans_any(const struct seg_spans_writer *w); // whether there is anything to write
// The table, and the pages of references.
void seg_spans_put(struct seg_spans_writer *w, struct buf *table, struct buf *pages);
// After seg_spans_put(): totals of the spans, and what the index needs; traces live in `a`.
void seg_spans_totals(const struct seg_spans_writer *w, struct index_segment *totals);
MUST_CHECK bool seg_spans_traces(const struct seg_spans_writer *w, struct arena *a,
                                 struct index_traces **traces_out, size_t *count_out,
                                 struct err *err);

// --- reading
// ----------------------------------------------------------------------------------------

struct seg_span_tenant {
    struct slice tenant;
    struct span_block_place *blocks;
    uint32_t blocks_count;
    struct trace_table spans;   // references to `blocks`
    struct trace_table entries; // references to the segment's blocks of entries
    struct hash128 *streams;    // fingerprints, by trace_ref.stream
    uint32_t streams_count;
};

struct seg_span_table {
    struct seg_span_tenant *tenants; // ascending
    uint32_t tenants_count;
};

// Blocks lie back to back in [spans_pos, spans_end), pages of references in [refs_pos, refs_end).
// Lives in `a` with `bytes`.
MUST_CHECK bool seg_span_table_get(struct slice bytes, uint64_t spans_pos, uint64_t spans_end,
                                   uint64_t refs_pos, uint64_t refs_end, struct arena *a,
                                   struct seg_span_table *out, struct err *err);
// NULL when the tenant has neither spans nor traced entries.
const struct seg_span_tenant *seg_span_table_find(const struct seg_span_table *t,
                                                  struct slice tenant);
void seg_span_table_totals(const struct seg_span_table *t, struct index_segment *totals);
