/*
 * head.h -- the in-memory generation: what its WAL holds, ready to be queried and sealed.
 */
#pragma once

#include "base/arena.h"
#include "base/attr.h"
#include "base/err.h"
#include "base/labels.h"
#include "base/slice.h"
#include "index/index.h"
#include "store/head/head_spans.h"
#include "store/segment/seg.h"
#include "store/store.h"

// Counted; the last reference frees it. Any thread.
struct head;

struct head *head_new(uint64_t gen);
struct head *head_ref(struct head *head);
void head_unref(struct head *head); // NULL is fine

uint64_t head_gen(const struct head *head);

// Adds the entries and spans that it does not hold yet and returns how many those were. Cannot fail; copies
// what it keeps. Any thread.
struct store_added head_apply(struct head *head, const struct batch *batch);

struct head_stats {
    uint64_t bytes; // memory: lines, metadata, spans and bookkeeping
    uint64_t entries;
    uint64_t spans;
    uint64_t line_bytes;
    uint32_t streams;
    int64_t applied_mono_ns; // of the last apply; 0 when empty
};
void head_stats(struct head *head, struct head_stats *stats_out);

// Streams of one tenant that match, with one run each, for view_select(). visit() runs under the head's
// lock and copies what it wants; `labels` lives as long as the head.
struct head_run {
    uint32_t stream; // number in this head
    struct slice labels;
    struct hash128 fingerprint;
    uint32_t entries_count;
    int64_t min_ns;
    int64_t max_ns;
    uint64_t line_bytes;
};
MUST_CHECK bool head_select(struct head *head, struct slice tenant,
                            const struct label_matcher *matchers, size_t count,
                            bool (*visit)(void *ctx, const struct head_run *run, struct err *err),
                            void *ctx, struct err *err);
// Whether a stream has an entry in [from_ns, to_ns).
bool head_stream_active(struct head *head, uint32_t stream, int64_t from_ns, int64_t to_ns);

struct head_entry {
    int64_t time_ns;
    const uint8_t *line;
    uint32_t line_bytes;
    uint32_t set; // number of its metadata, see head_metadata()
};
// Copies the first `count` entries that arrived for a stream, sorted by time (arrival order where equal).
void head_copy(struct head *head, uint32_t stream, uint32_t count, struct head_entry *entries_out);
// The metadata of copied entries, encoded; lives as long as the head.
void head_metadata(struct head *head, const struct head_entry *entries, uint32_t count,
                   struct slice *sets_out);

// How many entries arrived, and those from number `first` on, at most `room`, in the order of arrival. What they
// point at lives as long as the head.
uint32_t head_arrivals_count(struct head *head);
uint32_t head_arrivals(struct head *head, uint32_t first, struct store_arrival *out, uint32_t room);

// Tenants with entries or spans here; one with both is visited twice.
MUST_CHECK bool head_tenants(struct head *head,
                             bool (*visit)(void *ctx, struct slice tenant, struct err *err), void *ctx,
                             struct err *err);

// The spans, which live as long as the head.
struct head_spans *head_spans_of(struct head *head);

// Log entries that carry a trace's ID, in the order of arrival: visit() runs under the lock.
MUST_CHECK bool head_trace_entries(struct head *head, struct slice tenant, const uint8_t trace_id[TRACE_ID_BYTES],
                                   bool (*visit)(void *ctx, const struct store_arrival *entry, struct err *err),
                                   void *ctx, struct err *err);

// Hands everything to a segment writer in its order. No apply may run any more.
MUST_CHECK bool head_write(struct head *head, struct seg_writer *w, struct err *err);
