/*
 * state.h -- the store's own state, shared by store.c, keeper.c, recover.c and view.c.
 */
#pragma once

#include "index/index.h"
#include "store/deletions.h"
#include "store/far/far.h"
#include "store/head/head.h"
#include "store/manifest.h"
#include "store/store.h"
#include "store/wal.h"

#include <pthread.h>
#include <stdatomic.h>

enum { STORE_PATH_BYTES = 4096 };

struct store {
    // Set by store_open(), constant until store_close(); no lock.
    struct store_options options;
    char dir[STORE_PATH_BYTES - 64]; // room for the names below it
    char wal_dir[STORE_PATH_BYTES - 48];
    char segments_dir[STORE_PATH_BYTES - 48];
    int lock_fd; // -1 when read only
    struct index *index; // of a read-only store of a bucket: manifest_lock guards the pointer
    struct deletions *deletions;
    struct far *far;     // owned; NULL: no bucket
    char replica_key[SNAPSHOT_KEY_BYTES]; // replica.c: the snapshot in use; its thread's

    // Shared from WAL append to head apply, exclusive to end or open a generation: a batch's record and
    // its entries always land in the same generation. Writers are preferred.
    pthread_rwlock_t gen_lock;
    struct wal *wal;   // gen_lock; NULL while no generation is open
    struct head *head; // gen_lock; one reference; NULL likewise
    uint64_t gen_next; // gen_lock
    struct store_feed *feed; // gen_lock; told of every head that is opened; NULL: nobody follows

    pthread_mutex_t manifest_lock;  // leaf: nothing is called under it but manifest.c
    struct manifest *manifest;      // the pointer; the object never changes
    struct manifest *manifest_next; // while its commit is under way (S3)
    struct view *views; // that are not ended

    // The keeper and those who wait for it. Taken after gen_lock, before manifest_lock.
    pthread_mutex_t keeper_lock;
    pthread_cond_t keeper_wake; // work, or stop
    pthread_cond_t published;   // a frozen generation is gone, or an attempt failed
    pthread_t keeper;
    bool keeper_runs;
    bool stop;
    uint64_t upkeep_asked;    // how often store_upkeep() was called
    uint64_t upkeep_done;     // up to which call everything is done that there was to do
    bool settle_asked;        // the uploader left notes
    bool hurry;               // somebody waits: do not sit out the pause after a failure
    uint32_t frozen_count;    // generations that wait to be sealed
    uint64_t unended_gen;     // its WAL failed: nothing new before it is sealed; 0: none
    uint64_t attempt;         // number of the attempt to seal that was begun last
    uint64_t attempt_failed;  // number of the one that failed last
    struct err write_err;     // why the last append or rotation failed; ERR_NONE once one succeeds
    atomic_bool write_failed; // whether write_err is set; read without the lock
    struct err keeper_err;    // why the last attempt failed; ERR_NONE once one succeeds

    // What the disk has left, as of the keeper's last look. Read without a lock.
    _Atomic uint64_t disk_free_bytes;
    atomic_bool disk_low; // below options.disk_low_bytes: pushes are refused

    // The keeper's alone.
    uint64_t *garbage; // owned: segments without a row whose files could not be removed yet
    size_t garbage_count;
    struct lifetime *lifetimes; // owned: retain.c
    size_t lifetimes_count;
    uint64_t *damaged; // owned: segments that cannot be rewritten: compact.c
    size_t damaged_count;
    struct rewritten {
        uint64_t gen;
        int64_t at_ns; // wall
    } *rewritten; // owned: segments that were rewritten alone
    size_t rewritten_count;
    struct clean {
        uint64_t id, gen;
    } *clean; // owned: requests to delete, and segments that hold nothing of what they select
    size_t clean_count;
    int64_t compact_not_before_ns; // after a failure; monotonic
    uint64_t last_number;    // number of the manifest that was published last; 0: none yet
    uint64_t dropped_at;     // of that by which entries went away last; 0: the index was swept since
    uint64_t sweep_for;      // dropped_at of the sweep under way
    struct index_sweep sweep;
};

// --- store.c ----------------------------------------------------------------------------------------

void store_wal_path(const struct store *st, uint64_t gen, char out[STORE_PATH_BYTES]);
void store_segment_path(const struct store *st, uint64_t gen, char out[STORE_PATH_BYTES]);
// The index, with a reference. A read-only store swaps it now and then.
struct index *store_index(struct store *st);
// What is live now, with a reference.
struct manifest *store_manifest(struct store *st);
void store_report(const struct store *st, bool failure, const char *text);
// Replaces the manifest (and the prepared one) by what `with` makes of it: heads only.
void store_add_head(struct store *st, struct head *head);
void store_drop_head(struct store *st, uint64_t gen);
// Ends the open generation and opens the next. `full_only`: does nothing unless the head is full.
// ERR_BUSY while STORE_FROZEN_MAX generations wait.
MUST_CHECK bool store_rotate(struct store *st, bool full_only, struct err *err);
MUST_CHECK bool store_open_generation(struct store *st, struct err *err);

// --- feed.c -----------------------------------------------------------------------------------------

// With gen_lock held exclusively.
void feed_add_head(struct store_feed *feed, struct head *head);

// --- keeper.c ---------------------------------------------------------------------------------------

void keeper_start(struct store *st);
void keeper_stop(struct store *st);
// Tells the keeper that one more generation is frozen.
void keeper_add_frozen(struct store *st, uint32_t count);
// There is something for far_settle(). Any thread.
void keeper_ask_settle(struct store *st);
// For long work on the keeper's thread, which asks often: lets seals go first, and rests so long that work keeps its share of
// the time since *since_ns, which it sets anew. False (ERR_CANCELLED) when the keeper has to stop.
MUST_CHECK bool keeper_yield(struct store *st, int64_t *since_ns, struct err *err);

// --- compact.c --------------------------------------------------------------------------------------

// Does the most pressing piece of compaction. False: nothing more is to be done now. What fails is reported.
bool compact(struct store *st);

// --- publish.c --------------------------------------------------------------------------------------

// One commit: the segments `gone` are live no more, and the one written as `row` (NULL: none) is. On true both the index and
// the manifest say so; on false neither. The keeper's thread only.
MUST_CHECK bool publish_swap(struct store *st, const uint64_t *gone, size_t gone_count,
                             const struct index_segment *row, struct seg_directory *directory,
                             struct err *err);
// Unlinks the files of segments that a commit took out, and makes that durable. What fails is told, and done again by the
// next call: until then publish_garbage() is true, and nothing may be built on the absence of those files.
void publish_unlink(struct store *st, const uint64_t *gone, size_t gone_count);
bool publish_garbage(const struct store *st);

// --- retain.c ---------------------------------------------------------------------------------------

// Drops segments that have expired whole, then the oldest above the cap; notes how much the disk has left.
void retain(struct store *st);
// Takes what no segment names any more out of the index, once after segments were dropped, if no view still needs it.
void retain_sweep(struct store *st);
// Looks how much the disk has left. Also called before the keeper runs.
void retain_look(struct store *st);

// --- view.c -----------------------------------------------------------------------------------------

// The least manifest number among views that are not ended; UINT64_MAX: there are none.
uint64_t view_oldest_manifest(struct store *st);

// --- recover.c --------------------------------------------------------------------------------------

// Settles what is on disk, fills the manifest and gen_next; frozen heads are counted.
MUST_CHECK bool recover(struct store *st, struct err *err);
