/* view.h -- what a view shares with its loaders. */
#pragma once

#include "store/deletions.h"
#include "store/manifest.h"
#include "store/store.h"
#include "store/tenants.h"

#include <pthread.h>

// Of view.c, view_names.c, view_traces.c; others ask by function.
struct view {
    struct store *store; // whose list of views it is in; NULL: in none yet
    struct view *next, *previous; // store's manifest_lock, as the next
    uint64_t number;              // of the manifest; 0: it is not chosen yet
    struct manifest *manifest; // one reference
    struct index *index;       // one reference
    struct index_read read;    // read_lock, where several threads may ask
    pthread_mutex_t read_lock;
    bool settled;
    struct tenants tenants;
    const struct retention *retention; // borrowed from the store
    struct deletion_set *deletions; // one reference
    int64_t now_ns; // what had expired then is not handed out
};

// Whether a segment has entries in the range.
bool view_segment_overlaps(const struct index_segment *row, int64_t from_ns, int64_t to_ns);
// Nothing of a tenant's before the result can be alive.
int64_t view_not_expired(const struct view *v, const struct tenant *t, int64_t from_ns);

// Borrowed until view_end(); any thread.
struct manifest *view_manifest(const struct view *view);

// Which entries of a run are handed out: those not before from_ns that no deletion selects.
struct run_mask {
    int64_t from_ns;
    const struct deletion **deletions; // of the stream; the view's
    size_t deletions_count;
    bool by_line, by_trace; // of any of them
    struct slice labels; // of the stream, for them
};
// Whether nothing of a run is left.
bool view_hides_all(const struct run_mask *mask, const struct view_run *run);
// The deletions of a view, for the life of which they stay; how to make spaces for them (NULL: there are none).
const struct store_filter_ops *view_filter_ops(const struct view *view);
// Whether an entry of the view's tenant, of a generation of that age, is deleted.
bool view_is_deleted(const struct view *view, const struct store_arrival *entry, uint64_t age, void *space);
// Which segments and heads, by number, may have something of the traces of a tenant, by number, that were deleted; NULL: none. By
// the index; after view_settle() whatever is old enough may. In `a`.
MUST_CHECK bool view_deleted_sources(struct view *view, uint32_t tenant, struct arena *a, const bool **sources_out,
                                     struct err *err);
// The mask of a stream's runs; NULL: everything is handed out. In `a`.
MUST_CHECK bool view_mask(const struct view *view, uint32_t tenant, struct slice labels, int64_t min_ns, int64_t max_ns,
                          struct arena *a, const struct run_mask **mask_out, struct err *err);
// The tenant of a view of one.
struct slice view_tenant(const struct view *view);
MUST_CHECK bool view_has_one_tenant(const struct view *view, struct err *err);

// The time before which nothing of the tenant's is alive, whatever its stream.
int64_t view_horizon_ns(const struct view *view);

// The time before which entries of the tenant's stream with these labels have expired.
int64_t view_entry_horizon(const struct view *view, struct slice labels);

// Visits generations of segments that may have a trace, by age; see index_trace_segments(). After view_settle() all of the
// manifest are visited. Any thread.
MUST_CHECK bool view_trace_segments(struct view *view, uint64_t hash,
                                    bool (*visit)(void *ctx, uint64_t gen, struct err *err), void *ctx,
                                    struct err *err);
// Visits the runs that a stream, by fingerprint, has in one block of segment number `source`. Not after view_settle().
MUST_CHECK bool view_stream_block(struct view *view, uint32_t source, struct hash128 fingerprint, uint32_t block,
                                  bool (*visit)(void *ctx, const struct view_run *run, struct slice labels,
                                                struct err *err),
                                  void *ctx, struct err *err);
// run_may_hold(), with the loader's reader.
bool view_probe_may_hold(struct view_probe *probe, struct seg_reader *reader, const struct view_run *run);
