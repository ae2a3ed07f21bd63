/*
 * index.h -- labels and time to runs of segments: integers in, integers out; never opens a segment.
 *
 * What is here points at data and can be rebuilt from segment directories (store/recover.c). Layout of
 * keys and rows: docs/format.md "Index". A write transaction adds one segment whole, or nothing.
 *
 * Threads: writing by one thread (the keeper). A read transaction is used by one thread at a time and
 * sees one commit; what it returns is copied to the caller's arena.
 */
#pragma once

#include "base/arena.h"
#include "base/attr.h"
#include "base/err.h"
#include "base/hash.h"
#include "base/labels.h"
#include "base/slice.h"
#include "index/kv.h"

struct index;

// ERR_VERSION: the files are an index of another version, or one that was not completed; they may be removed, and the index
// made anew. ERR_CORRUPT: they are none.
MUST_CHECK bool index_open(const char *dir, enum kv_mode mode, struct index **index_out,
                           struct err *err);
// One more reference.
struct index *index_ref(struct index *index);
// Gives a reference back; with the last one the index is closed. NULL is fine.
void index_close(struct index *index);

// --- writing ----------------------------------------------------------------------------------------

// A new index has all that there was before it: until then index_open() takes it for one that has to be made anew.
MUST_CHECK bool index_complete(struct index *index, struct err *err);

struct index_run {
    uint32_t block;   // number of the block in its segment
    uint32_t first;   // first entry of the run in the block
    uint32_t entries_count;
    int64_t min_ns;
    int64_t max_ns;
    uint64_t line_bytes;
};

// What a segment holds of one stream.
struct index_stream {
    struct slice tenant;
    struct slice labels; // encoded
    struct hash128 fingerprint;
    const struct index_run *runs; // by min_ns
    uint32_t runs_count;
    const uint32_t *days; // UTC days with entries, ascending: floor(time / 24 h) + INDEX_DAY_BIAS
    uint32_t days_count;
};

// Days are unsigned in keys: the int64_t nanosecond range is -106752..106751 days around the epoch.
enum { INDEX_DAY_BIAS = 1 << 20 };
uint32_t index_day(int64_t time_ns);

// Where the bytes of a segment are; or'ed.
enum index_where {
    INDEX_IN_FILE = 1,
    INDEX_IN_BUCKET = 2,   // confirmed
    INDEX_TO_BUCKET = 4,   // an object may be there, of an upload that was begun
};

struct index_segment {
    uint64_t gen;
    int64_t min_ns;
    int64_t max_ns;
    uint64_t entries;
    uint64_t line_bytes;
    uint64_t file_bytes;
    uint64_t blocks;
    uint64_t streams;
    unsigned where; // enum index_where; 0 counts as INDEX_IN_FILE
    // Of spans; times are those at which one starts first and ends last, when there are any.
    uint64_t spans;
    int64_t spans_min_ns;
    int64_t spans_max_ns;
};

// The times of the first and of the last of all that a segment holds.
static inline int64_t index_segment_first_ns(const struct index_segment *s)
{
    return s->entries == 0 || (s->spans > 0 && s->spans_min_ns < s->min_ns) ? s->spans_min_ns : s->min_ns;
}
static inline int64_t index_segment_last_ns(const struct index_segment *s)
{
    return s->entries == 0 || (s->spans > 0 && s->spans_max_ns > s->max_ns) ? s->spans_max_ns : s->max_ns;
}

// Traces that a segment has spans or log entries of.
struct index_traces {
    struct slice tenant;
    const uint64_t *hashes; // hash64 of the IDs, ascending, unique
    size_t count;
};

// What one commit changes: the rows of the segments `gone` go (their streams and postings stay until index_sweep() finds that
// nothing names them), `segment` comes with the rows of its streams, and the manifest has a new number.
struct index_swap {
    const uint64_t *gone; // generations
    size_t gone_count;
    const struct index_segment *segment; // NULL: none
    struct index_stream *streams;        // reordered
    size_t streams_count;
    const struct index_traces *traces;
    size_t traces_count;
    uint64_t manifest;
};
MUST_CHECK bool index_swap(struct index *index, const struct index_swap *swap, struct err *err);

// Removes streams that no segment names any more, with their postings, and days before any segment's, piece by piece: one call
// looks at a bounded number. Zeroed to begin; `done` when all were looked at once. Whoever fetches labels by stream ID must hold
// no segment that was dropped since.
struct index_sweep {
    uint32_t ns;
    uint64_t stream; // next to look at
    bool days;       // streams are through
    bool done;
    uint64_t streams_removed, days_removed;
};
MUST_CHECK bool index_sweep(struct index *index, struct index_sweep *sweep, uint32_t day_first, struct err *err);
// The segments' bytes are (also) there now. Generations without a row are passed over. The manifest's number stays.
MUST_CHECK bool index_set_where(struct index *index, const uint64_t *gens, const unsigned *wheres, size_t count, struct err *err);

// Objects whose segments are live no more and that may still be read by others: index_swap() notes each, with the time, when it
// takes a segment out that is in the bucket, or may be.
struct index_gone {
    uint64_t gen;
    int64_t gone_ns; // wall clock
};
// They are removed.
MUST_CHECK bool index_clear_gone(struct index *index, const uint64_t *gens, size_t count, struct err *err);
// An object that was found without a row and is of no use.
MUST_CHECK bool index_add_gone(struct index *index, uint64_t gen, struct err *err);

// A compact copy of the whole index as one commit shows it, in a new file. Any thread.
MUST_CHECK bool index_copy(struct index *index, const char *path, struct err *err);

// --- reading ----------------------------------------------------------------------------------------

struct index_read {
    struct kv_txn txn;
    uint64_t manifest; // number of the last commit
};

MUST_CHECK bool index_read_begin(struct index *index, struct index_read *read_out, struct err *err);
void index_read_end(struct index_read *read); // ended ones are fine

// All segment rows, by generation.
MUST_CHECK bool index_segments(struct index_read *read, struct arena *a,
                               struct index_segment **segments_out, size_t *count_out,
                               struct err *err);
// Of index_swap() and index_add_gone(), by generation.
MUST_CHECK bool index_gone(struct index_read *read, struct arena *a, struct index_gone **gone_out, size_t *count_out,
                           struct err *err);
MUST_CHECK bool index_tenants(struct index_read *read, struct arena *a, struct slice **tenants_out,
                              size_t *count_out, struct err *err);
// False without an error set (code ERR_NONE) when the tenant is unknown.
bool index_namespace(struct index_read *read, struct slice tenant, uint32_t *ns_out, struct err *err);
uint64_t index_streams_count(struct index_read *read);

struct stream_ids {
    uint64_t *ids; // ascending, unique; in the arena
    size_t count;
};

// Streams of a namespace that match all matchers, whenever they were active.
MUST_CHECK bool index_select(struct index_read *read, uint32_t ns,
                             const struct label_matcher *matchers, size_t count, struct arena *a,
                             struct stream_ids *out, struct err *err);
// The id of a stream; false without an error (code ERR_NONE) when it is not known.
bool index_find_stream(struct index_read *read, uint32_t ns, struct hash128 fingerprint,
                       uint64_t *stream_id_out, struct err *err);
// Encoded labels, borrowed from the transaction.
MUST_CHECK bool index_labels(struct index_read *read, uint32_t ns, uint64_t stream_id,
                             struct slice *labels_out, struct err *err);

// Visits the rows of `gen` for the given streams, ascending: visit(ctx, position in ids, row). The row is
// read with index_row_next() and borrowed from the transaction.
struct index_row {
    struct slice bytes;
};
MUST_CHECK bool index_rows(struct index_read *read, uint32_t ns, uint64_t gen,
                           const struct stream_ids *ids,
                           bool (*visit)(void *ctx, size_t at, struct index_row row, struct err *err),
                           void *ctx, struct err *err);
// Takes the next run off the row. False at its end; ERR_CORRUPT sets *bad.
bool index_row_next(struct index_row *row, struct index_run *run_out, bool *bad);

// Visits the generations whose segments may have a trace (by its hash), in no order, each once. Where one has it, it is visited;
// of others, one whose trace has the same high half of its hash.
MUST_CHECK bool index_trace_segments(struct index_read *read, uint32_t ns, uint64_t hash,
                                     bool (*visit)(void *ctx, uint64_t gen, struct err *err), void *ctx,
                                     struct err *err);

// Label pairs of a namespace that were seen on days [day_from, day_to], in no order and with repeats:
// names when `name` is empty, else the values of `name`. Values are borrowed from the transaction.
MUST_CHECK bool index_day_names(struct index_read *read, uint32_t ns, uint32_t day_from,
                                uint32_t day_to,
                                bool (*visit)(void *ctx, struct slice name, struct err *err),
                                void *ctx, struct err *err);
MUST_CHECK bool index_day_values(struct index_read *read, uint32_t ns, struct slice name,
                                 uint32_t day_from, uint32_t day_to,
                                 bool (*visit)(void *ctx, struct slice value, struct err *err),
                                 void *ctx, struct err *err);
