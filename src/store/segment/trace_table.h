/*
 * trace_table.h -- where a segment has a trace: sorted references from hashes of trace IDs to blocks. Bytes: docs/format.md
 * "Trace table".
 *
 * References lie in pages of TRACE_PAGE_BYTES, each with its check; a page's first hash and check stand in the span table,
 * so that a look-up reads one page, rarely two. Trace IDs are random: nothing here would compress.
 */
#pragma once

#include "base/arena.h"
#include "base/attr.h"
#include "base/buf.h"
#include "base/codec.h"
#include "base/err.h"
#include "base/hash.h"
#include "store/span.h"

enum { TRACE_PAGE_BYTES = 4096 };

static inline uint64_t trace_hash(const uint8_t trace_id[TRACE_ID_BYTES])
{
    return hash64(slice_of(trace_id, TRACE_ID_BYTES));
}

// The ID that structured metadata (encoded) carries as `trace_id`: up to 32 hex digits, padded with zeros on the left. False:
// none, or of zeros.
bool trace_id_of_entry(struct slice metadata, uint8_t trace_id_out[TRACE_ID_BYTES]);

// --- building ---------------------------------------------------------------------------------------

// `stream` numbers a stream of log entries; of spans it is 0 and not written.
struct trace_ref {
    uint64_t hash;
    uint32_t stream;
    uint32_t block;
};

struct trace_refs {
    struct trace_ref *items; // owned
    size_t count, room;
};
void trace_refs_done(struct trace_refs *refs);
// A reference equal to the last is left out.
void trace_refs_add(struct trace_refs *refs, const struct trace_ref *ref);
// Sorts, and leaves out equal ones.
void trace_refs_sort(struct trace_refs *refs);

enum trace_ref_kind { TRACE_REF_SPANS, TRACE_REF_ENTRIES };

// Appends the pages to `pages`, and to `table` what finds them: count, and per page first hash and check.
void trace_refs_put(const struct trace_refs *refs, enum trace_ref_kind kind, struct buf *pages, struct buf *table);

// --- reading ----------------------------------------------------------------------------------------

struct trace_page {
    uint64_t first_hash;
    uint64_t check; // XXH3-64
};

// Where sorted references are: `pos` of their first page in the file.
struct trace_table {
    uint64_t pos;
    uint64_t refs_count;
    struct trace_page *pages; // in an arena
    uint32_t pages_count;
};

// Reads what trace_refs_put() wrote. *pos is where the pages begin, and is moved behind them. False: does not add up (or the
// arena is full).
MUST_CHECK bool trace_table_get(struct rd *r, enum trace_ref_kind kind, uint64_t *pos, uint64_t end, struct arena *a,
                                struct trace_table *out);

// Reads [pos, pos + bytes) of the segment.
typedef bool (*trace_read_fn)(void *ctx, uint64_t pos, uint8_t *to, size_t bytes, struct err *err);
// Visits each reference of a hash.
MUST_CHECK bool trace_table_find(const struct trace_table *t, enum trace_ref_kind kind, uint64_t hash, trace_read_fn read,
                                 void *ctx,
                                 bool (*visit)(void *visit_ctx, const struct trace_ref *ref, struct err *err),
                                 void *visit_ctx, struct err *err);
// Visits all, ascending.
MUST_CHECK bool trace_table_all(const struct trace_table *t, enum trace_ref_kind kind, trace_read_fn read, void *ctx,
                                bool (*visit)(void *visit_ctx, const struct trace_ref *ref, struct err *err),
                                void *visit_ctx, struct err *err);
