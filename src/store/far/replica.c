/*
 * replica.c -- a read-only store over somebody else's bucket: the published index, and segments read where they are.
 *
 *     <dir>/replica-<time>/data.mdb     the snapshot of that name; the ones before go when nobody reads them any more
 *
 * A thread looks for a newer snapshot, fetches it beside the one in use, and swaps index and manifest under manifest_lock at
 * once; a view holds on to both of what it began with. A bucket that cannot be reached leaves the replica with what it
 * has. Segments that the snapshot's writer had not uploaded yet are passed over (F5).
 */
#include "base/clock.h"
#include "base/fs.h"
#include "base/limits.h"
#include "base/metric.h"
#include "store/far/far.h"
#include "store/state.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

static const char PREFIX[] = "replica-";

static void replica_dir(const struct store *st, const struct snapshot *s, char out[STORE_PATH_BYTES])
{
    const char *name = strrchr(s->key, '/');
    int len = (int)strcspn(name + 1, ".");
    (void)snprintf(out, STORE_PATH_BYTES, "%s/%s%.*s", st->dir, PREFIX, len, name + 1);
}

// --- directories ------------------------------------------------------------------------------------

struct sweep {
    struct store *st;
    const char *kept; // name of the one in use
};

// An open environment survives its files.
static bool visit_dir(void *ctx, const char *name, struct err *err)
{
    const struct sweep *s = ctx;
    if (strncmp(name, PREFIX, strlen(PREFIX)) != 0 || strcmp(name, s->kept) == 0)
        return true;
    static const char *const files[] = {"data.mdb", "data.mdb.tmp", "lock.mdb"};
    char path[2 * STORE_PATH_BYTES];
    for (size_t i = 0; i < COUNT_OF(files); i++) {
        (void)snprintf(path, sizeof path, "%s/%s/%s", s->st->dir, name, files[i]);
        if (!fs_unlink(path, err))
            return false;
    }
    (void)snprintf(path, sizeof path, "%s/%s", s->st->dir, name);
    fs_rmdir_quietly(path);
    return true;
}

static bool fetch(struct store *st, const struct snapshot *s, char dir[STORE_PATH_BYTES], struct err *err)
{
    char path[STORE_PATH_BYTES + 16], tmp[STORE_PATH_BYTES + 32];
    replica_dir(st, s, dir);
    (void)snprintf(path, sizeof path, "%s/data.mdb", dir);
    (void)snprintf(tmp, sizeof tmp, "%s.tmp", path);
    bool there = false;
    return fs_mkdir(dir, err) && fs_exists(path, &there, err) &&
           (there || (snapshot_fetch(st->far->bs, s, tmp, err) && fs_rename(tmp, path, err)));
}

// --- the manifest -----------------------------------------------------------------------------------

// Handles that are open already are taken over, with the tables that they have read.
static struct manifest *manifest_from(struct store *st, uint64_t number, const struct index_segment *rows, size_t count,
                                      const struct manifest *before)
{
    struct manifest_segment *segments = calloc(count + 1, sizeof *segments);
    assert(segments != NULL);
    uint32_t kept = 0;
    for (size_t i = 0; i < count; i++) {
        if ((rows[i].where & INDEX_IN_BUCKET) == 0)
            continue;
        struct seg *seg = manifest_seg(before, rows[i].gen);
        seg = seg != NULL ? seg_ref(seg) : far_seg(st, rows[i].gen, rows[i].file_bytes, INDEX_IN_BUCKET);
        segments[kept++] = (struct manifest_segment){seg, rows[i]};
    }
    struct manifest *none = manifest_new(0), *m = manifest_of(number, none, segments, kept);
    for (uint32_t i = 0; i < kept; i++)
        seg_unref(segments[i].seg);
    manifest_unref(none);
    free(segments);
    return m;
}

static bool read_manifest(struct store *st, struct index *index, struct manifest **out, struct err *err)
{
    AUTO(arena_done) struct arena a;
    arena_init(&a, GIB);
    struct index_read read;
    struct index_segment *rows;
    size_t count;
    if (!index_read_begin(index, &read, err))
        return false;
    bool good = index_segments(&read, &a, &rows, &count, err);
    uint64_t number = read.manifest;
    index_read_end(&read);
    if (!good)
        return false;
    struct manifest *before = store_manifest(st);
    *out = manifest_from(st, number, rows, count, before);
    manifest_unref(before);
    return true;
}

// --- refreshing -------------------------------------------------------------------------------------

static void swap(struct store *st, struct index *index, struct manifest *m)
{
    pthread_mutex_lock(&st->manifest_lock);
    struct index *old_index = st->index;
    struct manifest *old = st->manifest;
    st->index = index;
    st->manifest = m;
    pthread_mutex_unlock(&st->manifest_lock);
    manifest_unref(old);
    index_close(old_index);
}

static bool refresh(struct store *st, struct err *err)
{
    struct snapshot s;
    char dir[STORE_PATH_BYTES];
    struct index *index;
    struct manifest *m;
    bool changed;
    if (!far_deletions_get(st->far, &changed, err) || (changed && !deletions_reload(st->deletions, err)))
        return false;
    if (!snapshot_find(st->far->bs, &s, err))
        return false;
    if (strcmp(s.key, st->replica_key) == 0)
        return true;
    if (!fetch(st, &s, dir, err) || !index_open(dir, KV_READ, &index, err))
        return false;
    if (!read_manifest(st, index, &m, err)) {
        index_close(index);
        return err_wrap(err, "%s", dir);
    }
    swap(st, index, m);
    (void)snprintf(st->replica_key, sizeof st->replica_key, "%s", s.key);
    struct sweep sweep = {.st = st, .kept = strrchr(dir, '/') + 1};
    return fs_list(st->dir, visit_dir, &sweep, err);
}

static void *refresh_main(void *arg)
{
    struct store *st = arg;
    while (far_pause(st->far, st->options.far_refresh_ns)) {
        struct err why;
        bool good = refresh(st, &why);
        far_tell(st->far, FAR_REFRESHES, good ? NULL : &why, "the bucket's index is read again");
    }
    return NULL;
}

bool replica_open(struct store *st, struct err *err)
{
    char lock_path[STORE_PATH_BYTES];
    (void)snprintf(lock_path, sizeof lock_path, "%s/lock", st->dir);
    if (!fs_mkdir(st->dir, err))
        return false;
    if (!fs_lock(lock_path, &st->lock_fd, err))
        return err->code == ERR_BUSY ? err_set(err, ERR_BUSY, "%s: another process has the lock", lock_path) : false;
    if (!refresh(st, err)) {
        if (err->code == ERR_NOT_FOUND)
            return err_set(err, ERR_NOT_FOUND, "%s: no index was published there yet", blob_name(st->far->bs));
        return false;
    }
    int rc = pthread_create(&st->far->uploader, NULL, refresh_main, st);
    assert(rc == 0);
    (void)pthread_setname_np(st->far->uploader, "refresh");
    st->far->refreshes = true;
    return true;
}

void replica_stop(struct store *st)
{
    struct far *far = st->far;
    if (far == NULL || !far->refreshes)
        return;
    pthread_mutex_lock(&far->lock);
    far->stop = true;
    pthread_cond_broadcast(&far->wake);
    pthread_mutex_unlock(&far->lock);
    blob_stop(far->bs);
    pthread_join(far->uploader, NULL);
    far->refreshes = false;
}
