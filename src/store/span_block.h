/*
 * span_block.h -- the unit of storing and scanning spans: columns of up to SPAN_BLOCK_SPANS spans of one tenant.
 * Bytes: docs/format.md "Span blocks".
 *
 * A trace's spans in a block lie together, by start time; traces lie in the order of their first start. A block is
 * self-contained: resources, scopes, strings and attribute keys are in dictionaries of its own. Columns are compressed and
 * checked one by one, and decoded when first asked for.
 *
 * Attributes: a span's sequence of (key, kind) is its *shape*; spans of one instrumentation point share it. There is one
 * column for each distinct (key, kind) of the block, holding the values of the spans whose shape has it, in the order of
 * spans; a key that a span has twice has two values there.
 */
#pragma once

#include "base/arena.h"
#include "base/attr.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/zbuf.h"
#include "store/span.h"

// --- writing ------------------------------------------------------------------------------------------

struct span_block_writer;

// `level`: zstd's. 0: columns are left as they are, for blocks that live in memory.
struct span_block_writer *span_block_writer_new(int level);
void span_block_writer_free(struct span_block_writer *w); // NULL is fine

// The next span; in the order above. Copies it. Its resource and scope are told apart by their bytes.
// The caller flushes before span_block_full().
void span_block_add(struct span_block_writer *w, const struct span *span);
uint32_t span_block_spans(const struct span_block_writer *w);
bool span_block_full(const struct span_block_writer *w);
// Whether it is nearly full: a good place to end, if another trace begins.
bool span_block_nearly_full(const struct span_block_writer *w);

// What a directory says of a block, so that queries can leave it out unread.
struct span_block_stats {
    uint32_t spans_count;
    uint32_t traces_count;
    int64_t start_min_ns, start_max_ns, end_max_ns; // clamped to int64_t
    uint64_t duration_min_ns, duration_max_ns;
    uint32_t status_mask; // bit per enum span_status; bit 31: others
    uint32_t kind_mask;   // bit per enum span_kind; bit 31: others
};

// Where a block lies: a head frame, which tells of all else, then the columns, back to back.
struct span_block_place {
    uint64_t pos; // of the head frame, in the file
    uint32_t head_bytes;  // stored
    uint32_t total_bytes; // stored, head included
    uint64_t head_check;  // XXH3-64 of the stored head; column checks are in the head
    struct span_block_stats stats;
};

// Appends the block to `out`, fills `place` (pos excepted), empties the writer.
MUST_CHECK bool span_block_flush(struct span_block_writer *w, struct buf *out, struct span_block_place *place,
                                 struct err *err);

// --- reading ------------------------------------------------------------------------------------------

// Where the bytes of a block come from: a segment, or memory. Reads [pos, pos + bytes) relative to the block's start to
// memory that lives as long as the block; what it takes from `a` is for those bytes alone, the block may give it back.
// Called by the block's one thread.
typedef bool (*span_block_read_fn)(void *ctx, uint64_t pos, size_t bytes, struct arena *a, struct slice *out,
                                   struct err *err);

// One column per name; each is decoded by span_block_column().
enum span_column {
    SPAN_TRACES,     // trace_ids, trace_first
    SPAN_IDS,        // span_ids
    SPAN_PARENTS,    // parent_ids
    SPAN_STARTS,     // start_ns
    SPAN_DURATIONS,  // duration_ns (wrapping end - start: exact for reversed times too)
    SPAN_KINDS,      // kinds
    SPAN_STATUSES,   // statuses
    SPAN_NAMES,      // names
    SPAN_MESSAGES,   // messages: of the status
    SPAN_STATES,     // trace_states
    SPAN_RESOURCES,  // resource_of, resources: their bytes and services
    SPAN_RESOURCE_ATTRIBUTES, // all else of the resources; without resource_of
    SPAN_SCOPES,     // scope_of, scopes
    SPAN_SHAPES,     // shape_of
    SPAN_EVENTS,     // events
    SPAN_LINKS,      // links
    SPAN_REST,       // flags, dropped_*
    SPAN_COLUMNS_COUNT,
};

// Strings with their distinct values apart: values[ids[i]] is the i-th. A value's number says nothing of its order.
struct span_strings {
    const uint32_t *ids; // NULL until the rows are decoded, too
    const struct slice *values;
    uint32_t values_count;
};

// Values of one (key, kind). Row r of the column belongs to span rows[r], ascending; equal for a key given twice.
struct span_attribute_column {
    struct slice key;
    enum span_value_kind kind;
    uint32_t count;
    // By span_block_attribute_values(): the distinct values of a column of VALUE_STRING, ARRAY, MAP or BYTES.
    // By span_block_attribute(): all below, as the kind has it.
    const uint32_t *rows;
    struct span_strings strings;
    const int64_t *integers; // INT; BOOL as 0 and 1
    const double *numbers;   // DOUBLE
};

// A block being read. Its memory is an arena that the caller gives; dropped with it. One thread.
struct span_block {
    struct span_block_stats stats;
    uint32_t spans_count;
    struct span_attribute_column *attributes; // by key, then kind
    uint32_t attributes_count;
    // By column; NULL before. Arrays of spans_count, but:
    const uint8_t (*trace_ids)[TRACE_ID_BYTES]; // stats.traces_count of them
    const uint32_t *trace_first;                // traces_count + 1: the first span of each, then spans_count
    const uint8_t (*span_ids)[SPAN_ID_BYTES];
    const uint8_t (*parent_ids)[SPAN_ID_BYTES];
    const int64_t *start_ns; // of all 64 bits as sent; see span_time()
    const uint64_t *duration_ns;
    const int32_t *kinds, *statuses;
    struct span_strings names, messages, trace_states;
    const uint32_t *resource_of, *scope_of;
    // resources_count; but for bytes and service they are empty until SPAN_RESOURCE_ATTRIBUTES was asked for, or, one by
    // one, span_block_span() has met them
    const struct span_resource *resources;
    const struct span_scope *scopes;
    uint32_t resources_count, scopes_count;
    const uint32_t *shape_of;
    const struct slice *events, *links;
    const uint32_t *flags, *dropped_attributes, *dropped_events, *dropped_links;
    // Private.
    struct arena *arena;
    struct span_block_inside *inside;
};

// Reads the head frame. Everything of the block lives in `a`, which must outlive it, as `z` must: the thread's. ERR_CORRUPT
// on damage.
MUST_CHECK bool span_block_open(const struct span_block_place *place, span_block_read_fn read, void *ctx,
                                struct zbuf *z, struct arena *a, struct span_block *out, struct err *err);
// Decodes a column unless it is there already.
MUST_CHECK bool span_block_column(struct span_block *b, enum span_column column, struct err *err);
// Of SPAN_NAMES, SPAN_MESSAGES, SPAN_STATES: the dictionary alone; of SPAN_RESOURCES, SPAN_RESOURCE_ATTRIBUTES, SPAN_SCOPES:
// likewise.
MUST_CHECK bool span_block_dictionary(struct span_block *b, enum span_column column, struct err *err);
// Leaves `count` traces from one on, as if the block had no others, whose rows and values are not
// decoded. Reads all of the block at once, for what is left is few spans that are wanted whole.
// Before any column but SPAN_TRACES. Statistics of times stay as they were; attributes that no span
// has any more stay, with count 0.
MUST_CHECK bool span_block_narrow(struct span_block *b, uint32_t trace, uint32_t count,
                                  struct err *err);
// Distinct values alone: cheaper than the column where a query only has to know whether a value occurs.
MUST_CHECK bool span_block_attribute_values(struct span_block *b, uint32_t attribute, struct err *err);
MUST_CHECK bool span_block_attribute(struct span_block *b, uint32_t attribute, struct err *err);
// Where all attributes are wanted: their rows at once, for of one after the other each takes a look at every span.
MUST_CHECK bool span_block_attribute_rows(struct span_block *b, struct err *err);
// The columns of a key: attributes[first .. first + count), one a kind. count 0: no span has it.
void span_block_find(const struct span_block *b, struct slice key, uint32_t *first_out, uint32_t *count_out);
// One span whole; decodes what it needs. Attributes of the span live in the block's arena.
MUST_CHECK bool span_block_span(struct span_block *b, uint32_t row, struct span *out, struct err *err);
// Stored bytes read so far.
uint64_t span_block_read_bytes(const struct span_block *b);
