/*
 * seg.h -- the immutable file of a generation: writing, opening, reading; for siblings, tests and the
 * dump tools. Bytes: docs/format.md "Segments".
 */
#pragma once

#include "base/arena.h"
#include "base/attr.h"
#include "base/err.h"
#include "base/hash.h"
#include "base/slice.h"
#include "index/index.h"
#include "store/segment/block.h"
#include "store/segment/seg_spans.h"
#include "store/segment/seg_source.h"

// --- numbers ----------------------------------------------------------------------------------------

/*
 * A generation's number has two parts. The low SEG_AGE_BITS are its age: for a sealed generation its own number, for a
 * segment that compaction wrote the greatest age among its inputs. The bits above count rewrites: 0 for a sealed one, one more
 * than any input's for the others. Compaction joins neighbours only, so ages stay unique among what is live, order what was
 * pushed before what, and a segment's number is never given twice.
 */
enum { SEG_AGE_BITS = 40 };
#define SEG_AGE_MAX ((UINT64_C(1) << SEG_AGE_BITS) - 1)
#define SEG_REWRITES_MAX ((UINT64_C(1) << (64 - SEG_AGE_BITS)) - 1)
static inline uint64_t seg_age(uint64_t gen)
{
    return gen & SEG_AGE_MAX;
}
static inline uint64_t seg_rewrites(uint64_t gen)
{
    return gen >> SEG_AGE_BITS;
}
static inline uint64_t seg_number(uint64_t rewrites, uint64_t age)
{
    return rewrites << SEG_AGE_BITS | age;
}

// --- directory --------------------------------------------------------------------------------------

// Who is in a segment, and where: what the stream table says, and all that the index needs to know.
struct seg_directory {
    struct index_stream *streams; // by tenant, then labels
    size_t streams_count;
    struct index_traces *traces; // by tenant
    size_t traces_count;
    struct arena arena; // owns the streams and what they point at, as far as it is not lent
};

void seg_directory_done(struct seg_directory *d); // a zeroed one is fine

// --- writing ----------------------------------------------------------------------------------------

struct seg_writer;

struct seg_writer_options {
    const char *dir;  // of the segment
    const char *path; // final name; written as path + ".tmp"
    uint64_t gen;
    const uint64_t *inputs; // generations that this one replaces; none for a sealed head
    uint32_t inputs_count;
    int level; // zstd
    size_t block_bytes; // lines of one block
    bool split_lines; // where that makes them smaller (split.h)
};

MUST_CHECK bool seg_writer_open(const struct seg_writer_options *options, struct seg_writer **w_out,
                                struct err *err);
// Closes, and removes the temporary file unless seg_writer_finish() succeeded.
void seg_writer_free(struct seg_writer *w);
static inline void seg_writer_freep(struct seg_writer **w)
{
    seg_writer_free(*w);
}
// The next stream, in ascending order of (tenant, labels). Borrows both until seg_writer_free().
MUST_CHECK bool seg_writer_stream(struct seg_writer *w, struct slice tenant, struct slice labels,
                                  struct hash128 fingerprint, struct err *err);
// The stream's next entry, in ascending time.
MUST_CHECK bool seg_writer_entry(struct seg_writer *w, int64_t time_ns, struct slice line,
                                 struct slice metadata, struct err *err);
// The next span, after all entries: tenants ascending, then the order of span_block.h. Borrows the tenant.
MUST_CHECK bool seg_writer_span(struct seg_writer *w, struct slice tenant, const struct span *span,
                                struct err *err);
// Writes tables and footer, syncs, renames, syncs the directory. *directory_out stays with the writer.
MUST_CHECK bool seg_writer_finish(struct seg_writer *w, struct index_segment *totals_out,
                                  struct seg_directory **directory_out, struct err *err);

// --- reading ----------------------------------------------------------------------------------------

enum seg_section {
    SECTION_BLOCKS = 1,
    SECTION_STREAMS = 2,
    SECTION_BLOCK_TABLE = 3,
    SECTION_SPANS = 4, // this and the next two: only where there are spans, or entries with trace IDs
    SECTION_SPAN_TABLE = 5,
    SECTION_TRACES = 6,
    SECTION_FILTERS = 7,
    SECTION_GROUPS = 8, // not in older ones
};
enum { SEG_SECTIONS_MAX = 16 };

struct seg_section_place {
    uint32_t kind; // enum seg_section; unknown kinds are skipped
    uint8_t encoding;
    uint64_t pos;
    uint64_t stored_bytes;
    uint64_t raw_bytes;
    uint64_t check; // XXH3-64 of the stored bytes; of SECTION_BLOCKS: of all columns in order
};

struct seg_footer {
    uint64_t gen;
    int64_t created_ns;
    uint64_t features_incompatible;
    uint64_t features_compatible;
    uint64_t inputs[64];
    uint32_t inputs_count;
    struct index_segment totals; // file_bytes included
    struct seg_section_place sections[SEG_SECTIONS_MAX];
    uint32_t sections_count;
};

/*
 * A handle on one segment, counted. The file is opened when first needed: the
 * start of a store does not depend on the number of its segments. The descriptor then pins the file (S4).
 * Any thread.
 */
struct seg;

struct seg *seg_new(const char *path, uint64_t gen);
// The segment may also be an object of so many bytes, read where there is no file. Before anybody else has the segment.
void seg_set_object(struct seg *seg, struct blob_store *bs, uint64_t bytes);
// Of what seg_new() made: INDEX_IN_FILE.
unsigned seg_where(const struct seg *seg); // of enum index_where, or'ed
void seg_set_where(struct seg *seg, unsigned where);
// "segments/0123456789abcdef.seg": in the bucket.
#define SEG_KEY_PREFIX "segments/"
enum { SEG_KEY_BYTES = 40 };
void seg_object_key(uint64_t gen, char out[SEG_KEY_BYTES]);
struct seg *seg_ref(struct seg *seg);
void seg_unref(struct seg *seg); // NULL is fine
static inline void seg_unrefp(struct seg **seg)
{
    seg_unref(*seg);
}
const char *seg_path(const struct seg *seg);
// Opens and checks header, footer and the groups of the block table, once.
MUST_CHECK bool seg_load(struct seg *seg, struct err *err);
// After seg_load().
const struct seg_footer *seg_footer(const struct seg *seg);
uint32_t seg_blocks_count(const struct seg *seg);
// After seg_read_directory(), which reads all of the block table.
const struct block_place *seg_block_place(const struct seg *seg, uint32_t block);

struct seg_fetcher;
struct seg_reader { // one thread's tools
    struct seg_fetcher *fetcher; // borrowed: reads ahead of all columns that are read; NULL: nobody does
    struct zbuf *z; // owned
    struct buf stored;
    struct buf scratch;
    struct seg_ahead ahead[COLUMNS_COUNT]; // by the first column of what is read
    uint64_t stored_bytes; // read so far
    uint64_t raw_bytes;    // decoded so far
};
void seg_reader_init(struct seg_reader *r);
void seg_reader_done(struct seg_reader *r);
// Whether it is read from a bucket, as far as is known before it is opened.
bool seg_is_far(const struct seg *seg);
// Reads where a block is, once. Loads the segment if need be. And whether that is done.
MUST_CHECK bool seg_find_block(struct seg *seg, uint32_t block, struct err *err);
bool seg_has_found_block(const struct seg *seg, uint32_t block);
// Bytes as they are stored. After seg_load().
MUST_CHECK bool seg_read_bytes(struct seg *seg, uint64_t pos, void *to, size_t len, struct err *err);
// Where a block's columns of `mask` are: neighbours are one range. After seg_find_block(). Returns how many.
struct seg_range {
    uint64_t pos;
    size_t bytes;
    uint64_t from, to; // the same columns of blocks nearby lie here, [from, to): small ones, that cost little when they are read with it
};
unsigned seg_block_ranges(const struct seg *seg, uint32_t block, unsigned mask, struct seg_range out[COLUMNS_COUNT]);
// Decodes the columns of `mask` (1 << enum block_column) that `to` does not hold yet. A block that is not
// in `to` is announced by fresh = true. Loads the segment if need be.
MUST_CHECK bool seg_read_block(struct seg *seg, uint32_t block, unsigned mask, bool fresh,
                               struct seg_reader *r, struct block *to, struct err *err);
// Reads and checks the span table, once; empty where the segment has none. Spans of a segment are in its totals after it.
MUST_CHECK bool seg_load_spans(struct seg *seg, struct err *err);
// After seg_load_spans(): NULL when the tenant has neither spans nor traced entries.
const struct seg_span_tenant *seg_span_tenant(const struct seg *seg, struct slice tenant);
const struct seg_span_table *seg_span_table(const struct seg *seg);
MUST_CHECK bool seg_open_span_block(struct seg *seg, const struct span_block_place *place, struct arena *a,
                                    struct span_block *out, struct err *err);
// Likewise, with all of its columns read at once.
MUST_CHECK bool seg_read_span_block(struct seg *seg, const struct span_block_place *place, struct arena *a,
                                    struct span_block *out, struct err *err);
// References of a trace: see trace_table_find().
MUST_CHECK bool seg_find_trace(struct seg *seg, const struct trace_table *table, enum trace_ref_kind kind, uint64_t hash,
                               bool (*visit)(void *ctx, const struct trace_ref *ref, struct err *err), void *ctx,
                               struct err *err);
MUST_CHECK bool seg_all_traces(struct seg *seg, const struct trace_table *table, enum trace_ref_kind kind,
                               bool (*visit)(void *ctx, const struct trace_ref *ref, struct err *err), void *ctx,
                               struct err *err);
// The stream table, and the traces of the span table.
MUST_CHECK bool seg_read_directory(struct seg *seg, struct seg_directory *directory_out,
                                   struct err *err);
// The filters (filter.h), read into r->stored and borrowed from there; ptr NULL: the segment has none.
MUST_CHECK bool seg_read_filters(struct seg *seg, struct seg_reader *r, struct slice *filters_out,
                                 struct err *err);
