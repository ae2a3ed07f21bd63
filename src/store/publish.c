/*
 * publish.c -- the one way by which segments begin and cease to be live.
 *
 * S2  The index commit is the only publication, and it carries the manifest's number.
 * S3  The manifest of that number is prepared before the commit, so whichever number a reader's
 *     transaction shows, its manifest is at hand.
 * S4  Files go after the commit. A query that still reads them holds their descriptors.
 *
 * Threads: the keeper's.
 */
#include "base/fs.h"
#include "store/state.h"

#include <assert.h>
#include <stdlib.h>

// Returns the number of the manifest that is prepared. Pushers may replace it meanwhile (a new head), its
// number stays.
static uint64_t prepare_manifest(struct store *st, const uint64_t *gone, size_t gone_count, struct seg *seg,
                                 const struct index_segment *row)
{
    pthread_mutex_lock(&st->manifest_lock);
    assert(st->manifest_next == NULL);
    st->manifest_next = manifest_swapped(st->manifest, gone, gone_count, seg, row);
    uint64_t number = st->manifest_next->number;
    pthread_mutex_unlock(&st->manifest_lock);
    return number;
}

// Ends the preparation: the next manifest is the manifest, or is forgotten.
static void settle_manifest(struct store *st, bool committed)
{
    pthread_mutex_lock(&st->manifest_lock);
    struct manifest *gone = committed ? st->manifest : st->manifest_next;
    if (committed)
        st->manifest = st->manifest_next;
    st->manifest_next = NULL;
    pthread_mutex_unlock(&st->manifest_lock);
    manifest_unref(gone);
}

// A commit whose last sync failed may have happened all the same: what the index says now decides.
static bool commit_happened(struct store *st, uint64_t number)
{
    struct index_read read;
    struct err ignored;
    if (!index_read_begin(st->index, &read, &ignored))
        return false;
    index_read_end(&read);
    return read.manifest == number;
}

// Opens what goes: a view that holds it, and has not read it yet, then still can (S4). A file that cannot be opened is damaged
// for such a view before and after.
static void pin(struct store *st, const uint64_t *gone, size_t gone_count)
{
    struct err ignored;
    struct manifest *m = store_manifest(st);
    for (size_t i = 0; i < gone_count; i++)
        for (uint32_t n = 0; n < m->segments_count; n++)
            if (m->segments[n].row.gen == gone[i] && !seg_load(m->segments[n].seg, &ignored))
                break;
    manifest_unref(m);
}

bool publish_swap(struct store *st, const uint64_t *gone, size_t gone_count, const struct index_segment *row,
                  struct seg_directory *directory, struct err *err)
{
    AUTO(seg_unrefp) struct seg *seg = NULL;
    if (row != NULL) {
        seg = far_seg(st, row->gen, row->file_bytes, INDEX_IN_FILE);
    }
    pin(st, gone, gone_count);
    uint64_t number = prepare_manifest(st, gone, gone_count, seg, row);
    struct index_swap swap = {.gone = gone, .gone_count = gone_count, .segment = row, .manifest = number};
    if (row != NULL) {
        swap.streams = directory->streams;
        swap.streams_count = directory->streams_count;
        swap.traces = directory->traces;
        swap.traces_count = directory->traces_count;
    }
    bool committed = index_swap(st->index, &swap, err) || commit_happened(st, number);
    settle_manifest(st, committed);
    if (committed)
        st->last_number = number;
    if (committed && st->far != NULL)
        far_wake(st->far); // a file to upload, or an object to delete
    return committed;
}

// --- files ------------------------------------------------------------------------------------------

static bool unlink_all(struct store *st, struct err *err)
{
    for (size_t i = 0; i < st->garbage_count; i++) {
        char path[STORE_PATH_BYTES];
        store_segment_path(st, st->garbage[i], path);
        if (!fs_unlink(path, err))
            return false;
    }
    return fs_sync_dir(st->segments_dir, err);
}

void publish_unlink(struct store *st, const uint64_t *gone, size_t gone_count)
{
    if (gone_count > 0) {
        st->garbage = realloc(st->garbage, (st->garbage_count + gone_count) * sizeof *st->garbage);
        assert(st->garbage != NULL);
        memcpy(st->garbage + st->garbage_count, gone, gone_count * sizeof *gone);
        st->garbage_count += gone_count;
    }
    struct err why;
    if (st->garbage_count == 0)
        return;
    if (unlink_all(st, &why))
        st->garbage_count = 0;
    else
        store_report(st, true, why.text);
}

bool publish_garbage(const struct store *st)
{
    return st->garbage_count > 0;
}
