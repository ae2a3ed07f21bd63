/*
 * store.h -- durability and snapshots: entries go in as batches, come out through views.
 *
 * A store is a data directory:
 *     lock                 held by the one process that writes
 *     wal/<gen>.wal        batches of a generation that is not yet a segment
 *     segments/<gen>.seg   immutable; what a generation became
 *     index/               LMDB: labels and time to blocks; can be rebuilt from the segments
 * <gen> is 16 hex digits. The life of an entry, and rules S1..S5, are drawn in docs/ARCHITECTURE.md.
 *
 * Times are int64_t nanoseconds; ranges are half-open [from_ns, to_ns).
 */
#pragma once

#include "base/arena.h"
#include "base/attr.h"
#include "base/err.h"
#include "base/hash.h"
#include "base/labels.h"
#include "base/slice.h"
#include "store/blob/blob.h"
#include "store/retention.h"
#include "store/span_block.h"

struct store;

// --- batches ----------------------------------------------------------------------------------------

struct batch_entry {
    int64_t time_ns;
    struct slice line;
    struct slice metadata; // encoded pairs (labels.h); LABELS_EMPTY when there are none
};

struct batch_stream {
    struct slice labels; // encoded canonical set
    struct hash128 fingerprint; // hash_128(labels)
    uint32_t entries_first;  // index into batch.entries
    uint32_t entries_count;  // may be 0
};

// A span: its message (span.h), and what the store asks of it. Valid by span_valid(), IDs not zero.
struct batch_span {
    uint8_t trace_id[TRACE_ID_BYTES];
    uint8_t span_id[SPAN_ID_BYTES];
    int32_t kind;
    uint64_t start_ns, end_ns;
    uint32_t resource; // index into batch.resources
    uint32_t scope;    // index into batch.scopes
    struct slice message;
};

// One request's accepted entries, or spans, or both. Everything is borrowed for the duration of the call it is given to.
// A label set may occur in several streams of one batch.
struct batch {
    struct slice tenant;
    struct batch_stream *streams;
    uint32_t streams_count;
    struct batch_entry *entries;
    uint32_t entries_count;
    uint64_t line_bytes;     // sum over entries
    uint64_t metadata_bytes; // sum over entries, encoded
    struct batch_span *spans;
    uint32_t spans_count;
    struct slice *resources; // span_resource.bytes
    struct slice *scopes;    // span_scope.bytes
    uint32_t resources_count, scopes_count;
    uint64_t span_bytes; // sum of messages
};

// What the write-ahead log keeps of a request: opaque to the store, two pieces written back to back.
// decode() must make the same batch of it again.
struct wal_payload {
    struct slice head;
    struct slice body;
};

// Turns a WAL payload back into its batch, allocating from `a`. Called at recovery.
typedef bool (*store_decode_fn)(void *ctx, struct slice payload, struct arena *a,
                                struct batch *batch_out, struct err *err);

// An entry by itself.
struct store_arrival {
    struct slice tenant;
    struct slice labels; // encoded
    int64_t time_ns;
    struct slice line;
    struct slice metadata; // encoded
};

// --- life -------------------------------------------------------------------------------------------

// What the text of a request to delete selects: a language that the store does not know.
struct store_filter_ops {
    // ERR_INPUT: the text selects no entries. Matchers live as long as the filter; *by_line_out: they are not all of it.
    bool (*parse)(struct slice text, void **filter_out, const struct label_matcher **matchers_out, size_t *count_out,
                  bool *by_line_out, struct err *err);
    void (*free)(void *filter);
    // Whether it selects the entry. Any thread, with a space of its own.
    bool (*match)(const void *filter, const struct store_arrival *entry, void *space);
    void *(*space_new)(void);
    void (*space_free)(void *space); // NULL is fine
};

struct store_options {
    const char *dir;
    store_decode_fn decode;
    void *decode_ctx;
    uint64_t head_bytes_max;   // 0: HEAD_BYTES_MAX_DEFAULT
    int64_t head_idle_ns;      // 0: HEAD_IDLE_NS_DEFAULT
    struct retention retention; // all zero: everything is kept
    const struct store_filter_ops *filter_ops; // NULL: only traces can be deleted
    int64_t delete_delay_ns;   // how long a request to delete can be taken back before entries are gone for good
    uint64_t disk_bytes_max;   // of segments and logs; above it the oldest segments go. 0: no cap
    uint64_t disk_low_bytes;   // pushes are refused (ERR_FULL) while the disk has less left. 0: never
    bool sync_off;             // --durability=crash: acknowledge without fdatasync
    // A bucket that segments go to (far.h); NULL: none. Borrowed for the store's whole life.
    const struct blob_options *bucket;
    uint64_t cache_bytes;      // of local copies of segments that are in the bucket; 0: none is kept
    int64_t far_snapshot_ns;   // 0: FAR_SNAPSHOT_NS
    int64_t far_grace_ns;      // 0: FAR_GRACE_NS
    int64_t far_lease_ns;      // 0: LEASE_NS; at least LEASE_NS_MIN
    int64_t far_refresh_ns;    // read_only with a bucket: 0: FAR_REFRESH_NS
    bool rebuild_index;        // drop the index and make it anew from the segments
    // With a bucket and no scratch_dir: a store over the index that the bucket's writer publishes; `dir` is for copies of it alone.
    // Else offline reading: never writes to `dir`, takes no lock; the index is built in `scratch_dir`, of the files and of what is live
    // in the bucket, if there is one (far_live.h).
    bool read_only;
    const char *scratch_dir;   // read_only: an empty directory for the temporary index
    uint64_t bucket_gen;       // with scratch_dir and a bucket: of it that segment alone; 0: all
    bool verify_deep;          // store_verify(): verify_deep.c too
    // store_verify(): of the segments these alone, and of a bucket these logs and requests to delete (far_live.h). NULL: all
    const struct far_live *verify_part;
    // Called by the keeper thread for what has no caller: seals, retries, damage found. May be NULL.
    void (*report)(void *ctx, bool failure, const char *text);
    void *report_ctx;
};

// A file in a directory that is not the whole of what is to be copied into it: it is not opened.
#define STORE_INCOMPLETE "incomplete"

// Recovers what a crash left (recover.c lists it) and starts the keeper. On false nothing runs and the
// lock is free. ERR_BUSY: another process has the lock.
MUST_CHECK bool store_open(const struct store_options *options, struct store **store_out,
                           struct err *err);
// Stops the keeper after the generation it works on. The open WAL is left to the next store_open().
// No push or view may be running. NULL is fine.
void store_close(struct store *store);

struct store_added {
    uint32_t entries;
    uint32_t spans;
};

// Appends one batch and makes it durable.
// On true every entry and span survives a crash and is in every view begun later; *added_out counts those that
// were not in the open generation already. On false none is visible: ERR_BUSY when STORE_FROZEN_MAX
// generations still wait for the keeper after STORE_WAIT_NS_MAX, ERR_FULL when the disk is; after
// ERR_IO the bytes may have landed, so a restart may bring them back.
// Keeps no pointer into its arguments. Any thread; may block for one fdatasync.
MUST_CHECK bool store_append(struct store *store, const struct batch *batch,
                             const struct wal_payload *payload, struct store_added *added_out,
                             struct err *err);

// Freezes the open generation and waits until every frozen one is published. Any thread.
MUST_CHECK bool store_flush(struct store *store, struct err *err);

// Has the keeper do now what it does in time: take away what has expired and what is above the cap, compact. Waits until nothing is
// left to do. What fails is reported and tried again later. Any thread.
void store_upkeep(struct store *store);

// What upkeep would take away, segment by segment from the oldest on: what, when, and by which rule.
enum store_fate { FATE_STAYS, FATE_DROPPED, FATE_REWRITTEN, FATE_EVICTED };
struct store_plan {
    uint64_t generation;
    uint64_t entries, spans, file_bytes;
    int64_t first_ns, last_ns; // of what it holds
    enum store_fate fate;      // the next
    int64_t at_ns;             // not before; INT64_MIN: as soon as upkeep runs. Not of FATE_STAYS
    const struct retention_rule *rule; // of FATE_DROPPED and FATE_REWRITTEN; NULL: the default
};
// Changes nothing; the store may be open for reading alone. ERR_CORRUPT: a stream table cannot be read.
MUST_CHECK bool store_plan(struct store *store, bool (*visit)(void *ctx, const struct store_plan *plan, struct err *err),
                           void *ctx, struct err *err);

// ERR_FULL / ERR_IO with the reason while pushes are refused; true otherwise. Never blocks.
bool store_writable(struct store *store, struct err *err);

// False, with the reason, while uploads to the bucket, its lease, or reading its index fail. Pushes and queries of what is here go on.
bool store_bucket_works(struct store *store, struct err *err);

struct store_stats {
    uint64_t generation_open;
    uint32_t heads_count;    // open and frozen
    uint64_t head_bytes;     // memory of all heads
    uint32_t head_streams;   // of the open one
    uint64_t wal_bytes;      // of the open WAL
    uint32_t segments_count;
    uint64_t segment_bytes;
    uint64_t segment_entries;
    uint64_t segment_spans;
    uint32_t unsent_count;   // of the segments: not in the bucket yet; 0 without a bucket
    uint64_t unsent_bytes;
    uint64_t local_bytes;    // of the segments: on the disk; 0 without a bucket
    bool bucket_writer;      // the bucket's lease is ours
    uint64_t streams_count;  // in the index
    uint64_t disk_free_bytes; // as the keeper saw it last
    bool disk_low;
};
void store_stats(struct store *store, struct store_stats *stats_out);

// --- views ------------------------------------------------------------------------------------------

/*
 * A view is one query's hold on the store: one manifest (live heads and open segments) and what the
 * index said about it at that moment. It sees each generation exactly once. It pins memory and files, so
 * it ends with its query. One thread at a time, but view_load() may run on many with a loader each.
 */
struct view;

// `tenants`: one, or several separated by `|`, which no name holds; their streams then differ by a label
// `__tenant_id__`, and matchers of it choose among them (loki-http.md 2.1). Unknown tenants have nothing.
MUST_CHECK bool view_begin(struct store *store, struct slice tenants, struct view **view_out,
                           struct err *err);
// Nothing more will be asked of the index: ends the read transaction, so that a long query does not keep
// the index from reusing pages. Selected runs can still be loaded.
void view_settle(struct view *view);
void view_end(struct view *view); // NULL is fine
static inline void view_endp(struct view **view)
{
    view_end(*view);
}

// A stream with entries in the selected range. Of a million selected streams a query mostly looks at few:
// their labels are fetched when first asked for.
struct view_stream {
    struct slice labels; // encoded; ptr NULL until view_labels()
    uint64_t id;         // opaque
    uint32_t tenant;     // opaque
};

// A run of entries of one stream, in time order, loaded as a unit: part of a segment's block, or what a
// head holds of the stream. Several runs of a stream may overlap in time and may hold the same entry.
struct view_run {
    uint32_t stream;       // index into view_selection.streams
    uint32_t source;       // opaque: segment or head; equal sources never hold an entry twice
    uint32_t block;        // opaque
    uint32_t first;        // opaque
    uint32_t entries_count;
    int64_t min_ns; // of the run's first entry
    int64_t max_ns; // of its last
    uint64_t line_bytes;
    const struct run_mask *mask; // not all of its entries are handed out, and its totals are only bounds; NULL: all are
    uint64_t order; // entries of one stream and one time: ingestion order is (order, position in run)
};

struct view_selection {
    struct view_stream *streams; // in no order
    uint32_t streams_count;
    struct view_run *runs; // by stream, then min_ns
    uint32_t runs_count;
    uint32_t runs_pruned; // of matching streams, outside the time range
};

// Streams matching all matchers with runs that meet [from_ns, to_ns). Everything in `out` lives in `a`.
MUST_CHECK bool view_select(struct view *view, const struct label_matcher *matchers, size_t count,
                            int64_t from_ns, int64_t to_ns, struct arena *a,
                            struct view_selection *out, struct err *err);

// Encoded labels of a selected stream, valid until view_end(); copied to `a` if they have to be fetched. May
// be called after view_settle().
MUST_CHECK bool view_labels(struct view *view, struct view_stream *stream, struct arena *a,
                            struct slice *labels_out, struct err *err);
// All streams' labels at once.
MUST_CHECK bool view_labels_all(struct view *view, struct view_selection *selection, struct arena *a,
                                struct err *err);

enum view_columns { VIEW_TIMES = 1, VIEW_LENGTHS = 2, VIEW_LINES = 4, VIEW_METADATA = 8 };

// A loaded run. Arrays have `count` elements; columns not asked for are NULL.
struct run_entries {
    uint32_t count;
    int64_t min_ns;                 // no entry is earlier
    const int64_t *times_ns;        // ascending; equal times in ingestion order
    const uint32_t *line_bytes;     // VIEW_LENGTHS (implied by VIEW_LINES)
    const uint8_t *const *lines;    // VIEW_LINES: start of each line
    // Set when all lines lie back to back from here: scan them as one piece. Else NULL.
    const uint8_t *lines_base;
    const struct slice *metadata;   // VIEW_METADATA: encoded pairs of each entry
};

// Memory that loaded runs live in, with the decoders; keeps the last blocks decoded, so that small
// streams sharing a block decode it once. One thread.
struct run_loader;
struct run_loader *run_loader_new(struct view *view);
void run_loader_free(struct run_loader *loader);
static inline void run_loader_freep(struct run_loader **loader)
{
    run_loader_free(*loader);
}
// What `out` points at is valid until the next load by this loader, or view_end(). ERR_CORRUPT names the
// segment file and block when a checksum does not match.
MUST_CHECK bool run_load(struct run_loader *loader, const struct view_run *run, unsigned columns,
                         struct run_entries *out, struct err *err);
// Read-ahead of segments that are in a bucket alone, shared by the loaders of a view that join it (seg_fetch.h).
struct view_ahead;
struct view_ahead *view_ahead_new(struct view *view); // NULL: the view has none
void view_ahead_free(struct view_ahead *ahead);       // after its loaders, before its view; NULL is fine
static inline void view_ahead_freep(struct view_ahead **ahead)
{
    view_ahead_free(*ahead);
}
void run_loader_join(struct run_loader *loader, struct view_ahead *ahead); // NULL: nothing
// From now on all runs that are announced will be loaded, whatever is found: they are read ahead without restraint.
void view_ahead_to_the_end(struct view_ahead *ahead);
// Whether it is known where the run's block is, without which nothing can be said of it. If not, it soon is, unless that is too early.
bool view_ahead_find(struct view_ahead *ahead, const struct view_run *run);
// Announces that such a run will be loaded, in the order in which it will be. False: not now; announce it again after some loads. What was
// announced is fetched from view_ahead_go() on at the latest. Any thread.
bool view_ahead_want(struct view_ahead *ahead, const struct view_run *run, unsigned columns);
void view_ahead_go(struct view_ahead *ahead);

// What a query looks for, to pass by the blocks whose filters deny it (filter.h): every entry that it keeps has
// one of a clause's texts in its line or in a value of its metadata.
struct view_clause {
    const struct slice *texts;
    uint32_t texts_count;
    bool may_be_escaped; // in lines the text may be written with `\u` escapes
};
struct view_probe;
// NULL: filters can say nothing of it, or `a`, which it lives in, is full. Ends before its view.
struct view_probe *view_probe_new(struct view *view, const struct view_clause *clauses, uint32_t count,
                                  struct arena *a);
void view_probe_free(struct view_probe *probe); // NULL is fine
// Whether the run may hold such an entry. True when in doubt. Many threads, with a loader each.
bool run_may_hold(struct run_loader *loader, struct view_probe *probe, const struct view_run *run);

struct run_loader_stats {
    uint64_t blocks_decoded;
    uint64_t compressed_bytes;
    uint64_t decoded_bytes;
    uint64_t head_lines; // lines and bytes served from heads
    uint64_t head_bytes;
};
void run_loader_stats(const struct run_loader *loader, struct run_loader_stats *stats_out);

// Label names (name empty) or the values of one label, over the streams that have entries on a UTC day
// touched by [from_ns, to_ns) (loki-http.md 9.1) and match all matchers. Sorted, unique, in `a`.
MUST_CHECK bool view_label_names(struct view *view, const struct label_matcher *matchers, size_t count,
                                 int64_t from_ns, int64_t to_ns, struct arena *a,
                                 struct slice **names_out, size_t *names_count_out, struct err *err);
MUST_CHECK bool view_label_values(struct view *view, struct slice name,
                                  const struct label_matcher *matchers, size_t count,
                                  int64_t from_ns, int64_t to_ns, struct arena *a,
                                  struct slice **values_out, size_t *values_count_out,
                                  struct err *err);

// Tenants that the store knows, sorted. For offline tools.
MUST_CHECK bool store_tenants(struct store *store, struct arena *a, struct slice **tenants_out,
                              size_t *tenants_count_out, struct err *err);

// --- spans --------------------------------------------------------------------------------------------

// A block of spans of the view's tenant: part of a segment, or of what a head holds.
struct view_span_block {
    uint32_t source; // opaque: segment or head; equal sources never hold a span twice
    uint32_t block;  // opaque
    struct span_block_stats stats;
    bool masked; // it may have spans of deleted traces: view_trace_is_deleted()
};

// Segments that could not be read and were left out; the last one's text.
struct view_damage {
    uint32_t segments;
    struct err last;
};

// Blocks with a span whose start lies in [from_ns, to_ns), or which runs in it (`running`: start < to, end >= from), newest
// start_max_ns first. Lives in `a`. `damage` is added to.
MUST_CHECK bool view_span_blocks(struct view *view, int64_t from_ns, int64_t to_ns, bool running, struct arena *a,
                                 struct view_span_block **blocks_out, uint32_t *count_out,
                                 struct view_damage *damage, struct err *err);
// Opens a block for reading in `a`. Many threads may, with arenas of their own. ERR_CORRUPT names the segment.
MUST_CHECK bool view_span_block_open(struct view *view, const struct view_span_block *block, struct arena *a,
                                     struct span_block *out, struct err *err);

// The start before which a service's spans have expired: they are of the stream {service_name="..."}. Any thread.
int64_t view_span_horizon(const struct view *view, const struct span_resource *resource);
// Whether view_span_horizon() may differ from one resource to another.
bool view_span_horizons_differ(const struct view *view);

// Whether the view's tenant's trace is deleted, as far as it lies in a block's source. Any thread.
bool view_trace_is_deleted(const struct view *view, uint32_t source, const uint8_t trace_id[TRACE_ID_BYTES]);

// Every span of a trace that the view has, wherever it is stored, each once (the oldest stored
// stays), by start time, then span ID. In `a`, whatever becomes of the view. Any thread; after
// view_settle() every segment is asked, not the index.
struct view_trace {
    struct span *spans;
    uint32_t spans_count;
    struct view_damage damage;
};
MUST_CHECK bool view_trace(struct view *view, const uint8_t trace_id[TRACE_ID_BYTES], struct arena *a,
                           struct view_trace *out, struct err *err);
// Traces of the view that have spans in more than one source: only they can hold a span twice. Hashes (hash64 of the ID),
// ascending, in `a`.
MUST_CHECK bool view_spread_traces(struct view *view, int64_t from_ns, int64_t to_ns, struct arena *a,
                                   uint64_t **hashes_out, size_t *count_out, struct err *err);

// Traces that may have spans in more than one block, of one source or several; others lie whole in theirs. Likewise.
MUST_CHECK bool view_split_traces(struct view *view, struct arena *a, uint64_t **hashes_out, size_t *count_out,
                                  struct err *err);

// Log entries whose structured metadata has the trace's ID as `trace_id`, each once, by time. In `a`. Not after
// view_settle().
struct view_trace_entry {
    struct slice labels;   // encoded, of the stream
    int64_t time_ns;
    struct slice line;
    struct slice metadata; // encoded
};
MUST_CHECK bool view_trace_entries(struct view *view, const uint8_t trace_id[TRACE_ID_BYTES], struct arena *a,
                                   struct view_trace_entry **entries_out, uint32_t *count_out, struct err *err);

// --- deleting ----------------------------------------------------------------------------------------

struct store_deletion {
    uint64_t id; // 32 bits
    struct slice tenant, query;
    int64_t from_ns, to_ns; // entries in [from, to)
    int64_t created_ns;
    int64_t done_ns; // when the last of them was gone for good; 0: not yet
    uint64_t entries, line_bytes; // gone so far
    uint64_t spans, span_bytes;   // likewise; bytes of their messages (span_put())
};

// Hides what the request selects (tenant, query, from, to) among what is stored now; entries that come later stay. Effective for
// views begun later, and durable, on true. ERR_INPUT: the query; ERR_LIMIT: too many requests; else as store_append().
MUST_CHECK bool store_delete(struct store *store, const struct store_deletion *request, uint64_t *id_out, struct err *err);
// Likewise for a trace: its spans, and the log entries whose structured metadata has its ID as `trace_id`, of any time. Its `query`
// is the TraceQL that selects it. Whether there is such a trace does not matter.
MUST_CHECK bool store_delete_trace(struct store *store, struct slice tenant, const uint8_t trace_id[TRACE_ID_BYTES],
                                   uint64_t *id_out, struct err *err);
// Takes a request back: what is not gone for good shows again. ERR_NOT_FOUND; ERR_INPUT when it is done, or, unless
// `force`, when its delay is over.
MUST_CHECK bool store_delete_cancel(struct store *store, struct slice tenant, uint64_t id, bool force, struct err *err);
// Requests and receipts of a tenant, by creation. In `a`.
MUST_CHECK bool store_deletions(struct store *store, struct slice tenant, struct arena *a, struct store_deletion **out,
                                size_t *count_out, struct err *err);

// --- what arrives ------------------------------------------------------------------------------------

// Entries in the order in which they became visible, from the moment of store_feed_new() on; each once per
// generation. Keeps the memory of what was not read yet, up to a bound. At most one per store; one thread reads.
struct store_feed;
struct store_feed *store_feed_new(struct store *store);
void store_feed_free(struct store_feed *feed); // NULL is fine

// Up to `room` further entries, borrowed until the next call. 0: nothing new. *missed_out: entries before them that were
// given up, because the reader lags by more than STORE_FEED_HEADS_MAX full generations.
size_t store_feed_read(struct store_feed *feed, struct store_arrival *out, size_t room, uint64_t *missed_out);

// --- verifying --------------------------------------------------------------------------------------

struct store_verify_stats {
    uint64_t wals, wal_records;
    uint64_t segments, segment_bytes, blocks, entries;
    uint64_t span_blocks, spans;
    uint64_t far_segments; // elsewhere alone and not read: in a bucket, or on the disk of a bucket's writer
    uint64_t streams; // rows of the index compared, one per stream and segment
    uint64_t problems;
};

// Reads everything in a data directory (options: dir, decode, decode_ctx) and compares: every checksum,
// every record, every row of the index against the segments (with options.read_only there need not be an index: it is passed by).
// With options.bucket (and read_only, scratch_dir, bucket_gen) likewise what is live there, against the index if one is published.
// Takes no lock and writes nothing; a server may run. problem() is told each finding; progress() (may be NULL) each file before it is read.
// False only when the directory could not be read at all.
MUST_CHECK bool store_verify(const struct store_options *options,
                             void (*problem)(void *ctx, const char *text),
                             void (*progress)(void *ctx, const char *path), void *ctx,
                             struct store_verify_stats *stats_out, struct err *err);
