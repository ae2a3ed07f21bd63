/*
 * store.c -- open, append, rotate, close; the life of a generation up to its freezing.
 *
 *          store_open_generation()      store_rotate()              keeper: seal and publish
 *     (none) -----------------> open ------------------> frozen -----------------------------> segment
 *                               wal, head                head in the manifest, wal ended
 *                                 |
 *                                 | a failed fdatasync: the WAL is not trusted any further
 *                                 v
 *                               frozen, wal not ended: no generation is opened before it is published,
 *                               so that a WAL without its end record is always the newest (W4)
 *
 * S1  Until retention, an acknowledged entry is in one place: a WAL whose N has no row, or a segment
 *     with one.
 *
 * Lock order: gen_lock, keeper_lock, manifest_lock; a head's and a WAL's own locks are innermost.
 */
#include "store/store.h"

#include "base/clock.h"
#include "base/fs.h"
#include "base/limits.h"
#include "base/metric.h"
#include "store/state.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

void store_wal_path(const struct store *st, uint64_t gen, char out[STORE_PATH_BYTES])
{
    (void)snprintf(out, STORE_PATH_BYTES, "%s/%016" PRIx64 ".wal", st->wal_dir, gen);
}

void store_segment_path(const struct store *st, uint64_t gen, char out[STORE_PATH_BYTES])
{
    (void)snprintf(out, STORE_PATH_BYTES, "%s/%016" PRIx64 ".seg", st->segments_dir, gen);
}

struct manifest *store_manifest(struct store *st)
{
    pthread_mutex_lock(&st->manifest_lock);
    struct manifest *m = manifest_ref(st->manifest);
    pthread_mutex_unlock(&st->manifest_lock);
    return m;
}

void store_report(const struct store *st, bool failure, const char *text)
{
    if (st->options.report != NULL)
        st->options.report(st->options.report_ctx, failure, text);
}

struct index *store_index(struct store *st)
{
    pthread_mutex_lock(&st->manifest_lock);
    struct index *index = index_ref(st->index);
    pthread_mutex_unlock(&st->manifest_lock);
    return index;
}

// --- manifests --------------------------------------------------------------------------------------

void store_add_head(struct store *st, struct head *head)
{
    pthread_mutex_lock(&st->manifest_lock);
    struct manifest *old = st->manifest, *old_next = st->manifest_next;
    st->manifest = manifest_with_head(old, head);
    if (old_next != NULL)
        st->manifest_next = manifest_with_head(old_next, head);
    pthread_mutex_unlock(&st->manifest_lock);
    manifest_unref(old);
    manifest_unref(old_next);
}

void store_drop_head(struct store *st, uint64_t gen)
{
    pthread_mutex_lock(&st->manifest_lock);
    assert(st->manifest_next == NULL); // only the keeper drops, and it prepares one at a time
    struct manifest *old = st->manifest;
    st->manifest = manifest_without_head(old, gen);
    pthread_mutex_unlock(&st->manifest_lock);
    manifest_unref(old);
}

// --- generations ------------------------------------------------------------------------------------

static bool may_write(const struct store *st, struct err *err)
{
    return !st->options.read_only ||
           err_set(err, ERR_FULL, "this server is read-only: ask the one that writes to the bucket");
}

// What is pushed to a directory whose bucket somebody else writes to would never get there.
static bool is_writer(struct store *st, struct err *err)
{
    return st->far == NULL || !atomic_load_explicit(&st->far->superseded, memory_order_relaxed) ||
           err_set(err, ERR_FULL, "%s has another writer now: push to that one", blob_name(st->far->bs));
}

static bool disk_has_room(struct store *st, struct err *err)
{
    if (!is_writer(st, err))
        return false;
    if (st->far != NULL && atomic_load_explicit(&st->far->full, memory_order_relaxed))
        return err_set(err, ERR_FULL, "segments that are not in the bucket yet take more than --max-bytes");
    if (!atomic_load_explicit(&st->disk_low, memory_order_relaxed))
        return true;
    return err_set(err, ERR_FULL, "the disk has %" PRIu64 " bytes left, --low-water is %" PRIu64,
                   atomic_load_explicit(&st->disk_free_bytes, memory_order_relaxed), st->options.disk_low_bytes);
}

// With gen_lock held exclusively, and no generation open.
static bool open_next(struct store *st, struct err *err)
{
    assert(st->wal == NULL && st->head == NULL);
    pthread_mutex_lock(&st->keeper_lock);
    uint64_t unended = st->unended_gen;
    struct err why = st->keeper_err;
    pthread_mutex_unlock(&st->keeper_lock);
    if (unended != 0) // busy: the keeper is about to seal it
        return err_set(err, why.code != ERR_NONE ? why.code : ERR_BUSY,
                       "the write-ahead log of generation %016" PRIx64
                       " failed and its entries are not sealed yet%s%s",
                       unended, why.code != ERR_NONE ? ": " : "", why.text);
    char path[STORE_PATH_BYTES];
    store_wal_path(st, st->gen_next, path);
    struct wal *wal;
    if (!wal_create(st->wal_dir, path, st->gen_next, &wal, err))
        return false;
    st->wal = wal;
    st->head = head_new(st->gen_next++);
    store_add_head(st, st->head);
    if (st->feed != NULL)
        feed_add_head(st->feed, st->head);
    return true;
}

bool store_open_generation(struct store *st, struct err *err)
{
    pthread_rwlock_wrlock(&st->gen_lock);
    bool good = st->wal != NULL || open_next(st, err);
    pthread_rwlock_unlock(&st->gen_lock);
    return good;
}

// With gen_lock held exclusively: the head stays in the manifest, the keeper takes it from there.
static void freeze(struct store *st, bool ended)
{
    if (!ended) {
        pthread_mutex_lock(&st->keeper_lock);
        st->unended_gen = head_gen(st->head);
        pthread_mutex_unlock(&st->keeper_lock);
    }
    wal_close(MOVE(st->wal));
    head_unref(MOVE(st->head));
    keeper_add_frozen(st, 1);
}

static bool head_is_full(const struct store *st)
{
    struct head_stats stats;
    head_stats(st->head, &stats);
    return stats.bytes >= st->options.head_bytes_max;
}

static bool backlog_is_full(struct store *st)
{
    pthread_mutex_lock(&st->keeper_lock);
    bool full = st->frozen_count >= STORE_FROZEN_MAX;
    pthread_mutex_unlock(&st->keeper_lock);
    return full;
}

static bool rotate_locked(struct store *st, bool full_only, struct err *err)
{
    if (st->wal == NULL)
        return open_next(st, err);
    struct head_stats stats;
    head_stats(st->head, &stats);
    if (wal_failed(st->wal)) {
        freeze(st, false);
        return open_next(st, err); // busy until it is sealed
    }
    if (stats.entries + stats.spans == 0 || (full_only && !head_is_full(st)))
        return true;
    if (backlog_is_full(st))
        return err_set(err, ERR_BUSY, "%u generations wait to be sealed", STORE_FROZEN_MAX);
    if (!wal_end(st->wal, err)) {
        if (wal_failed(st->wal))
            freeze(st, false);
        return false; // else the log goes on: the end record was taken back
    }
    freeze(st, true);
    return open_next(st, err);
}

bool store_rotate(struct store *st, bool full_only, struct err *err)
{
    pthread_rwlock_wrlock(&st->gen_lock);
    bool good = rotate_locked(st, full_only, err);
    pthread_rwlock_unlock(&st->gen_lock);
    return good;
}

// --- append -----------------------------------------------------------------------------------------

static struct timespec after_ns(int64_t wait_ns)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    t.tv_sec += wait_ns / NS_PER_S;
    t.tv_nsec += wait_ns % NS_PER_S;
    if (t.tv_nsec >= NS_PER_S) {
        t.tv_sec++;
        t.tv_nsec -= NS_PER_S;
    }
    return t;
}

// With keeper_lock held: whether a new generation has to wait.
static bool keeper_is_behind(const struct store *st)
{
    return st->frozen_count >= STORE_FROZEN_MAX || st->unended_gen != 0;
}

// Waits until the keeper has room. False when the time is up, or an attempt that was begun meanwhile failed.
static bool wait_for_keeper(struct store *st, const struct timespec *until, struct err *err)
{
    pthread_mutex_lock(&st->keeper_lock);
    uint64_t begun = st->attempt;
    bool in_time = true;
    while (in_time && keeper_is_behind(st) && st->attempt_failed <= begun)
        in_time = pthread_cond_timedwait(&st->published, &st->keeper_lock, until) == 0;
    bool room = !keeper_is_behind(st);
    if (!room && st->keeper_err.code != ERR_NONE)
        *err = st->keeper_err;
    pthread_mutex_unlock(&st->keeper_lock);
    return room;
}

// On true gen_lock is held shared and a generation with room is open.
static bool share_generation(struct store *st, struct err *err)
{
    struct timespec until = after_ns(STORE_WAIT_NS_MAX);
    for (;;) {
        pthread_rwlock_rdlock(&st->gen_lock);
        if (st->wal != NULL && !wal_failed(st->wal) && !head_is_full(st))
            return true;
        pthread_rwlock_unlock(&st->gen_lock);
        if (!store_rotate(st, true, err) &&
            (err->code != ERR_BUSY || !wait_for_keeper(st, &until, err)))
            return false;
    }
}

static bool append_shared(struct store *st, const struct batch *batch,
                          const struct wal_payload *payload, struct store_added *added_out, struct err *err)
{
    uint64_t end_pos;
    if (!wal_append(st->wal, payload->head, payload->body, &end_pos, err))
        return false;
    if (!st->options.sync_off && !wal_sync(st->wal, end_pos, err))
        return false;
    *added_out = head_apply(st->head, batch);
    return true;
}

// Remembers whether the last attempt to write failed, for those who ask before they try. Returns `good`.
static bool note_write(struct store *st, bool good, const struct err *err)
{
    if (good && !atomic_load_explicit(&st->write_failed, memory_order_relaxed))
        return true;
    pthread_mutex_lock(&st->keeper_lock);
    st->write_err = good ? (struct err){0} : *err;
    atomic_store_explicit(&st->write_failed, !good, memory_order_relaxed);
    pthread_mutex_unlock(&st->keeper_lock);
    return good;
}

bool store_append(struct store *st, const struct batch *batch, const struct wal_payload *payload,
                  struct store_added *added_out, struct err *err)
{
    assert(batch->entries_count + batch->spans_count > 0);
    if (!may_write(st, err))
        return false;
    if (!disk_has_room(st, err) || !share_generation(st, err))
        return note_write(st, false, err);
    uint64_t gen = head_gen(st->head);
    bool good = append_shared(st, batch, payload, added_out, err);
    pthread_rwlock_unlock(&st->gen_lock);
    return note_write(st, good, err) || err_wrap(err, "append to generation %016" PRIx64, gen);
}

// Has the keeper try at once, and waits until nothing is frozen. *any_out: something was.
static bool wait_until_sealed(struct store *st, bool *any_out, struct err *err)
{
    pthread_mutex_lock(&st->keeper_lock);
    uint64_t begun = st->attempt;
    *any_out = st->frozen_count > 0;
    st->hurry = true;
    pthread_cond_signal(&st->keeper_wake);
    while (st->frozen_count > 0 && st->attempt_failed <= begun)
        pthread_cond_wait(&st->published, &st->keeper_lock);
    bool good = st->frozen_count == 0;
    if (!good)
        *err = st->keeper_err;
    pthread_mutex_unlock(&st->keeper_lock);
    return good;
}

bool store_flush(struct store *st, struct err *err)
{
    if (st->options.read_only)
        return true; // nothing is open
    for (;;) {
        bool any, rotated = store_rotate(st, false, err);
        struct err why;
        if (!wait_until_sealed(st, &any, &why)) {
            *err = why;
            return false;
        }
        // Else there is room now for what could not be frozen; busy while nothing is frozen: the keeper was done in between.
        if (rotated || (!any && err->code != ERR_BUSY))
            return note_write(st, rotated, err);
    }
}

void store_upkeep(struct store *st)
{
    if (st->options.read_only)
        return;
    pthread_mutex_lock(&st->keeper_lock);
    uint64_t mine = ++st->upkeep_asked;
    pthread_cond_signal(&st->keeper_wake);
    while (st->upkeep_done < mine)
        pthread_cond_wait(&st->published, &st->keeper_lock);
    pthread_mutex_unlock(&st->keeper_lock);
}

// --- deleting ---------------------------------------------------------------------------------------

// Ends the open generation, so that what comes later is of another. *age_out: the last that holds what came before.
static bool end_generation(struct store *st, uint64_t *age_out, struct err *err)
{
    bool rotated = store_rotate(st, false, err);
    if (!rotated && err->code == ERR_BUSY)
        rotated = store_flush(st, err);
    if (!rotated)
        return false;
    pthread_rwlock_rdlock(&st->gen_lock);
    *age_out = (st->head != NULL ? head_gen(st->head) : st->gen_next) - 1;
    pthread_rwlock_unlock(&st->gen_lock);
    return true;
}

bool store_delete(struct store *st, const struct store_deletion *request, uint64_t *id_out, struct err *err)
{
    uint64_t age;
    if (!may_write(st, err) || !end_generation(st, &age, err) || !deletions_add(st->deletions, request, age, id_out, err))
        return false;
    metric_add(COUNTER_DELETE_REQUESTS, 1);
    return true;
}

bool store_delete_trace(struct store *st, struct slice tenant, const uint8_t trace_id[TRACE_ID_BYTES], uint64_t *id_out,
                        struct err *err)
{
    uint64_t age;
    if (!may_write(st, err) || !end_generation(st, &age, err) ||
        !deletions_add_trace(st->deletions, tenant, trace_id, age, id_out, err))
        return false;
    metric_add(COUNTER_DELETE_REQUESTS, 1);
    return true;
}

bool store_delete_cancel(struct store *st, struct slice tenant, uint64_t id, bool force, struct err *err)
{
    int64_t since_ns = force ? INT64_MIN : clock_wall_ns() - st->options.delete_delay_ns;
    return may_write(st, err) && deletions_cancel(st->deletions, tenant, id, since_ns, err);
}

bool store_deletions(struct store *st, struct slice tenant, struct arena *a, struct store_deletion **out, size_t *count_out,
                     struct err *err)
{
    return deletions_list(st->deletions, tenant, a, out, count_out, err);
}

bool store_writable(struct store *st, struct err *err)
{
    pthread_mutex_lock(&st->keeper_lock);
    bool good = st->keeper_err.code == ERR_NONE && st->write_err.code == ERR_NONE && st->unended_gen == 0;
    if (!good && st->keeper_err.code != ERR_NONE)
        *err = st->keeper_err;
    else if (!good && st->write_err.code != ERR_NONE)
        *err = st->write_err;
    else if (!good)
        (void)err_set(err, ERR_IO, "the write-ahead log of generation %016" PRIx64 " failed",
                      st->unended_gen);
    pthread_mutex_unlock(&st->keeper_lock);
    return good && disk_has_room(st, err);
}

void store_stats(struct store *st, struct store_stats *stats_out)
{
    struct store_stats s = {0};
    pthread_rwlock_rdlock(&st->gen_lock);
    s.generation_open = st->head != NULL ? head_gen(st->head) : 0;
    s.wal_bytes = st->wal != NULL ? wal_bytes(st->wal) : 0;
    pthread_rwlock_unlock(&st->gen_lock);

    struct manifest *m = store_manifest(st);
    for (uint32_t i = 0; i < m->heads_count; i++) {
        struct head_stats h;
        head_stats(m->heads[i], &h);
        s.head_bytes += h.bytes;
        s.head_streams = h.streams; // the open one is the last
    }
    s.heads_count = m->heads_count;
    s.segments_count = m->segments_count;
    for (uint32_t i = 0; i < m->segments_count; i++) {
        uint64_t bytes = m->segments[i].row.file_bytes;
        unsigned where = seg_where(m->segments[i].seg);
        bool unsent = st->far != NULL && (where & INDEX_IN_BUCKET) == 0;
        s.segment_bytes += bytes;
        s.segment_entries += m->segments[i].row.entries;
        s.segment_spans += m->segments[i].row.spans;
        s.unsent_count += unsent;
        s.unsent_bytes += unsent ? bytes : 0;
        s.local_bytes += st->far != NULL && (where & INDEX_IN_FILE) != 0 ? bytes : 0;
    }
    manifest_unref(m);
    struct index_read read;
    struct index *index = store_index(st);
    if (index_read_begin(index, &read, &(struct err){0})) {
        s.streams_count = index_streams_count(&read);
        index_read_end(&read);
    }
    index_close(index);
    s.disk_free_bytes = atomic_load_explicit(&st->disk_free_bytes, memory_order_relaxed);
    s.disk_low = atomic_load_explicit(&st->disk_low, memory_order_relaxed);
    s.bucket_writer = st->far != NULL && lease_held(st->far);
    *stats_out = s;
}

// --- life -------------------------------------------------------------------------------------------

static struct store *store_new(const struct store_options *options)
{
    struct store *st = calloc(1, sizeof *st);
    assert(st != NULL);
    st->options = *options;
    st->options.dir = st->dir;
    if (st->options.head_bytes_max == 0)
        st->options.head_bytes_max = HEAD_BYTES_MAX_DEFAULT;
    if (st->options.head_idle_ns == 0)
        st->options.head_idle_ns = HEAD_IDLE_NS_DEFAULT;
    if (st->options.far_snapshot_ns == 0)
        st->options.far_snapshot_ns = FAR_SNAPSHOT_NS;
    if (st->options.far_grace_ns == 0)
        st->options.far_grace_ns = FAR_GRACE_NS;
    if (st->options.far_lease_ns == 0)
        st->options.far_lease_ns = LEASE_NS;
    if (st->options.far_refresh_ns == 0)
        st->options.far_refresh_ns = FAR_REFRESH_NS;
    st->lock_fd = -1;
    pthread_rwlockattr_t attr;
    pthread_rwlockattr_init(&attr);
    pthread_rwlockattr_setkind_np(&attr, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
    pthread_rwlock_init(&st->gen_lock, &attr);
    pthread_rwlockattr_destroy(&attr);
    pthread_mutex_init(&st->manifest_lock, NULL);
    pthread_mutex_init(&st->keeper_lock, NULL);
    pthread_condattr_t mono;
    pthread_condattr_init(&mono);
    pthread_condattr_setclock(&mono, CLOCK_MONOTONIC);
    pthread_cond_init(&st->keeper_wake, &mono);
    pthread_cond_init(&st->published, &mono);
    pthread_condattr_destroy(&mono);
    return st;
}

void store_close(struct store *st)
{
    if (st == NULL)
        return;
    far_stop(st);
    replica_stop(st);
    keeper_stop(st);
    wal_close(st->wal);
    head_unref(st->head);
    manifest_unref(st->manifest);
    assert(st->manifest_next == NULL);
    index_close(st->index);
    deletions_close(st->deletions);
    far_free(st->far);
    fs_close(st->lock_fd);
    free(st->garbage);
    free(st->lifetimes);
    free(st->damaged);
    free(st->rewritten);
    free(st->clean);
    pthread_rwlock_destroy(&st->gen_lock);
    pthread_mutex_destroy(&st->manifest_lock);
    pthread_mutex_destroy(&st->keeper_lock);
    pthread_cond_destroy(&st->keeper_wake);
    pthread_cond_destroy(&st->published);
    free(st);
}

static void store_closep(struct store **st)
{
    store_close(*st);
}

static bool set_paths(struct store *st, const char *dir, struct err *err)
{
    int len = snprintf(st->dir, sizeof st->dir, "%s", dir);
    if (len <= 0 || (size_t)len >= sizeof st->dir)
        return err_set(err, ERR_INPUT, "data directory: a path of %d bytes", len);
    (void)snprintf(st->wal_dir, sizeof st->wal_dir, "%s/wal", st->dir);
    (void)snprintf(st->segments_dir, sizeof st->segments_dir, "%s/segments", st->dir);
    return true;
}

static bool prepare_dirs(struct store *st, struct err *err)
{
    char lock_path[STORE_PATH_BYTES];
    (void)snprintf(lock_path, sizeof lock_path, "%s/lock", st->dir);
    if (!fs_mkdir(st->dir, err) || !fs_mkdir(st->wal_dir, err) || !fs_mkdir(st->segments_dir, err))
        return false;
    if (!fs_lock(lock_path, &st->lock_fd, err)) {
        if (err->code == ERR_BUSY)
            return err_set(err, ERR_BUSY, "%s: another process has the lock", lock_path);
        return false;
    }
    return fs_sync_dir(st->dir, err);
}

// What backup and restore leave until all of a first copy is there.
static bool is_complete(const struct store *st, struct err *err)
{
    char path[STORE_PATH_BYTES];
    bool exists;
    (void)snprintf(path, sizeof path, "%s/" STORE_INCOMPLETE, st->dir);
    return fs_exists(path, &exists, err) &&
           (!exists || err_set(err, ERR_INPUT, "%s: a backup or restore into it was cut short: run it again", st->dir));
}

bool store_open(const struct store_options *options, struct store **store_out, struct err *err)
{
    AUTO(store_closep) struct store *st = store_new(options);
    if (!set_paths(st, options->dir, err))
        return false;
    if (!is_complete(st, err) || (!options->read_only && !prepare_dirs(st, err)))
        return false;
    st->manifest = manifest_new(0);
    if (options->bucket != NULL && !far_attach(st, err))
        return false;
    if (!deletions_open(st->dir, st->options.filter_ops, &st->deletions, err))
        return err_wrap(err, "%s", st->dir);
    if (st->far == NULL && !far_explain(st, err))
        return false;
    if (st->far != NULL && options->read_only && options->scratch_dir == NULL) {
        if (!replica_open(st, err))
            return false;
        *store_out = MOVE(st);
        return true;
    }
    if (!recover(st, err) || (st->far != NULL && !options->read_only && !far_adopt(st, err)))
        return err_wrap(err, "%s", st->dir);
    if (!options->read_only) {
        // A full disk must not keep the data from being read: pushes try again, and say why.
        if (!store_open_generation(st, err)) {
            if (err->code != ERR_FULL)
                return false;
            store_report(st, true, err->text);
        }
        retain_look(st);
        keeper_start(st);
        if (st->far != NULL)
            far_start(st);
    }
    *store_out = MOVE(st);
    return true;
}
