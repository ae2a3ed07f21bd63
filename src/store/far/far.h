/*
 * far.h -- a store beyond one disk: its segments are in a bucket, what is local is a cache.
 *
 *     <prefix>lease                     who writes here, and of which store this is
 *     <prefix>segments/<gen>.seg        the same bytes as the file of that name
 *     <prefix>deletions                 the directory's file of that name: what was asked to be deleted
 *     <prefix>index/current             names the newest snapshot of the index
 *     <prefix>index/<time>.mdb          a snapshot: a compact copy of the index as one commit showed it
 *
 * F1  The index says "in the bucket" of a segment only after its object was confirmed (blob.h), and a local file goes only
 *     after that commit. Until then the file is the only copy: no cap, no cache and no unreachable bucket takes it.
 * F2  A generation's number is never given while the bucket may hold an object of that number: a directory that does not
 *     know the bucket (its file `bucket`) lists it before anything is pushed. An object that is there is never
 *     overwritten by other bytes.
 * F3  One writer per prefix, by the lease (far_lease.c). Without it nothing is put and nothing deleted; pushes and
 *     sealing go on, unless somebody else has it or had it since: what is pushed here would never get there, and is refused.
 *     Whether we hold it is asked before each attempt; and what a stop of the process, however long, could still let through by then is
 *     put on condition: a segment where there is none, `index/current` and `deletions` over what was read before we asked.
 * F4  An object is deleted FAR_GRACE_NS after a snapshot was published that does not name it any more: readers of older
 *     ones are done with it by then. What has to go is a note in the index, written by the commit that
 *     took the segment out. That an object may be there is in the index before it is put, so that none is ever left over; one
 *     that the index knows nothing of is adopted, not deleted (S5).
 * F5  A snapshot is published after the commits that it shows, and when what compaction wrote is in the bucket: its inputs are
 *     not named any more. Readers pass over sealed segments of it that are not there yet.
 *
 * S1 reads with it: an acknowledged entry is in a WAL without a row, or in a segment with one, which is in its file, in the
 * bucket, or in both.
 *
 * Threads: the uploader talks to the bucket, and leaves what it did for the keeper, who alone commits and unlinks
 * (far_settle()). The lease has a thread of its own, since uploads may take long.
 */
#pragma once

#include "store/blob/blob.h"
#include "store/manifest.h"

#include <pthread.h>
#include <stdatomic.h>

enum { FAR_ID_BYTES = 33, SNAPSHOT_KEY_BYTES = 64 };

struct far_note { // for the index
    uint64_t gen;
    enum { FAR_BEGINS, FAR_CONFIRMED, FAR_DELETED } what;
};

// What is done with the bucket, each by a thread of its own.
enum far_work { FAR_UPLOADS, FAR_LEASE, FAR_REFRESHES, FAR_WORKS };

struct far {
    // Set by far_attach().
    struct store *st;
    struct blob_store *bs;
    char store_id[FAR_ID_BYTES];
    char writer_id[FAR_ID_BYTES]; // of the data directory
    bool list_bucket;             // recovery is to look at what is there

    pthread_t uploader, lease;
    bool runs;
    bool refreshes; // the thread `uploader` is replica.c's
    pthread_mutex_t lock; // taken after keeper_lock
    pthread_cond_t wake;  // of both threads; monotonic clock
    bool stop;                // lock
    bool woken;               // lock; there is something new for the uploader
    struct far_note *notes;   // lock; owned
    size_t notes_count;       // lock
    struct far_told {
        bool failing;
        int64_t told_ns;
        struct err why;
    } told[FAR_WORKS]; // lock

    // far_lease.c
    atomic_llong lease_until_ns; // monotonic; 0: not held
    char lease_etag[BLOB_ETAG_BYTES];
    char met_etag[BLOB_ETAG_BYTES]; // of the lease when this directory took over what was there; "": there was none
    atomic_bool superseded;         // the bucket has another writer, or had one that we know nothing of
    bool lease_weak; // the server ignores conditions

    uint64_t deletions_check;             // XXH3-64 of the file `deletions` that was put last
    char deletions_etag[BLOB_ETAG_BYTES]; // of the object that was got last
    bool parts_dropped; // the uploader's: what a crash left of uploads
    // The uploader's: what the published snapshot shows.
    uint64_t snapshot_manifest;
    uint64_t snapshot_commits; // value of `commits` before it was taken
    int64_t snapshot_mono_ns;       // when it was published; 0: none was yet
    int64_t snapshot_wall_ns;       // before it was taken
    // An earlier one, that is waited for to be old enough: then what was gone when it was taken may be deleted (F4).
    int64_t aging_mono_ns, aging_wall_ns;
    int64_t aged_wall_ns;
    atomic_ullong commits; // of where segments are: by far_settle()
    atomic_bool full;      // what is not in the bucket yet takes more than --max-bytes: pushes are refused
};

// Opens the bucket of the options, and finds out whose it is. Before recovery. May have to ask the bucket (F2).
MUST_CHECK bool far_attach(struct store *st, struct err *err);
// Without a bucket in the options: refuses to write to a directory whose segments are in one, and tells those who only read it.
MUST_CHECK bool far_explain(struct store *st, struct err *err);
// After recovery: writes down that the directory belongs to the bucket.
MUST_CHECK bool far_adopt(struct store *st, struct err *err);
void far_start(struct store *st);
// Ends the threads and gives the lease back, as far as that is quick.
void far_stop(struct store *st);
void far_free(struct far *far); // NULL is fine

// A segment's handle, file or object. `bytes` of the object.
struct seg *far_seg(struct store *st, uint64_t gen, uint64_t bytes, unsigned where);

// The keeper's: commits what the uploader did, and keeps the local copies below their cap.
void far_settle(struct store *st);
// Waits so long. False when the threads are to end.
bool far_pause(struct far *far, int64_t pause_ns);
// Reports that something failed, and while it lasts again every FAR_TELL_NS; and that it works `again`. `why` NULL: it does.
void far_tell(struct far *far, enum far_work work, const struct err *why, const char *again);
// New work for the uploader.
void far_wake(struct far *far);

// --- replica.c --------------------------------------------------------------------------------------

// Reads the published index, and follows it from then on.
MUST_CHECK bool replica_open(struct store *st, struct err *err);
void replica_stop(struct store *st);

// --- far_lease.c ------------------------------------------------------------------------------------

// Reads who writes to the bucket, and remembers it as what was met. *there_out: anybody ever did. ERR_BUSY, by name, when another
// one does now.
MUST_CHECK bool lease_look(struct far *far, bool *there_out, char store_id_out[FAR_ID_BYTES], struct err *err);
void *lease_main(void *arg);
bool lease_held(const struct far *far);
void lease_give_back(struct far *far, const struct blob_options *options);

// --- far_deletions.c --------------------------------------------------------------------------------

// Puts the file `deletions` when it is not what was put last.
MUST_CHECK bool far_deletions_put(struct far *far, struct err *err);
// Makes it what the bucket has; a bucket without one changes nothing. *changed_out: it was not.
MUST_CHECK bool far_deletions_get(struct far *far, bool *changed_out, struct err *err);

// --- far_snapshot.c ---------------------------------------------------------------------------------

// Publishes the index if it has changed and the last time is long enough ago.
MUST_CHECK bool snapshot_publish(struct far *far, struct err *err);
struct snapshot {
    char key[SNAPSHOT_KEY_BYTES];
    uint64_t bytes;
    uint64_t check; // XXH3-64
    char etag[BLOB_ETAG_BYTES]; // of what names it
};
// ERR_NOT_FOUND: none was published yet.
MUST_CHECK bool snapshot_find(struct blob_store *bs, struct snapshot *out, struct err *err);
MUST_CHECK bool snapshot_fetch(struct blob_store *bs, const struct snapshot *s, const char *path, struct err *err);
