/*
 * far.c -- see far.h: attaching to a bucket, the uploader, and what the keeper does about it.
 */
#include "store/far/far.h"

#include "base/clock.h"
#include "base/digest.h"
#include "base/fs.h"
#include "base/limits.h"
#include "base/metric.h"
#include "store/far/far_live.h"
#include "store/retain.h"
#include "store/segment/seg_format.h"
#include "store/state.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>

enum { BUCKET_FILE_BYTES_MAX = 4096 };

struct seg *far_seg(struct store *st, uint64_t gen, uint64_t bytes, unsigned where)
{
    char path[STORE_PATH_BYTES];
    store_segment_path(st, gen, path);
    struct seg *seg = seg_new(path, gen);
    if (st->far != NULL)
        seg_set_object(seg, st->far->bs, bytes);
    seg_set_where(seg, where);
    return seg;
}

// --- attaching --------------------------------------------------------------------------------------

static bool random_id(char out[FAR_ID_BYTES], struct err *err)
{
    uint8_t bytes[FAR_ID_BYTES / 2];
    if (getrandom(bytes, sizeof bytes, 0) != (ssize_t)sizeof bytes)
        return err_set(err, ERR_IO, "no random numbers");
    digest_hex(bytes, sizeof bytes, out);
    return true;
}

static void bucket_file(const struct store *st, char path[STORE_PATH_BYTES])
{
    (void)snprintf(path, STORE_PATH_BYTES, "%s/bucket", st->dir);
}

// What far_adopt() wrote. *there_out: the directory knows a bucket.
static bool read_bucket_file(struct far *far, bool *there_out, struct err *err)
{
    char path[STORE_PATH_BYTES], name[BUCKET_FILE_BYTES_MAX];
    bucket_file(far->st, path);
    char *text;
    size_t len;
    *there_out = false;
    if (!fs_read_file(path, BUCKET_FILE_BYTES_MAX - 1, &text, &len, err))
        return err->code == ERR_NOT_FOUND;
    int n = sscanf(text, "%4095s\nstore %32[0-9a-f]\nwriter %32[0-9a-f]\nmet %127[^\n]\n", name, far->store_id, far->writer_id,
                   far->met_etag); // the last line may be missing
    free(text);
    if (n < 3)
        return err_set(err, ERR_CORRUPT, "%s cannot be read", path);
    if (strcmp(name, blob_name(far->bs)) != 0)
        return err_set(err, ERR_INPUT, "the segments of %s are in %s, not in %s", far->st->dir, name, blob_name(far->bs));
    *there_out = true;
    return true;
}

static bool visit_any(void *ctx, const char *name, struct err *err)
{
    (void)err;
    size_t len = strlen(name);
    *(bool *)ctx = *(bool *)ctx || (len > 4 && (strcmp(name + len - 4, ".seg") == 0 || strcmp(name + len - 4, ".wal") == 0));
    return true;
}

static bool directory_has_data(struct store *st, bool *any_out, struct err *err)
{
    *any_out = false;
    return fs_list(st->segments_dir, visit_any, any_out, err) && fs_list(st->wal_dir, visit_any, any_out, err);
}

// A directory that does not know the bucket: joins the store in it, or begins one there.
static bool meet(struct far *far, struct err *err)
{
    bool there, data;
    enum far_kind kind;
    if (!lease_look(far, &there, far->store_id, err) || !far_kind(far->bs, &kind, err) || !directory_has_data(far->st, &data, err))
        return err_wrap(err, "whether it is in use has to be known before the first push");
    if (kind == FAR_BACKUP)
        return err_set(err, ERR_INPUT, "%s is a backup: restore it (mstore-dump restore) and start on that", blob_name(far->bs));
    if (there && data)
        return err_set(err, ERR_INPUT, "%s has a store already, and %s has data of another: take another prefix, or an "
                       "empty directory", blob_name(far->bs), far->st->dir);
    bool changed;
    return there ? far_deletions_get(far, &changed, err) : random_id(far->store_id, err);
}

bool far_explain(struct store *st, struct err *err)
{
    char path[STORE_PATH_BYTES], text[BUCKET_FILE_BYTES_MAX + STORE_PATH_BYTES], *known;
    size_t len;
    bucket_file(st, path);
    if (!fs_read_file(path, BUCKET_FILE_BYTES_MAX - 1, &known, &len, err))
        return err->code == ERR_NOT_FOUND;
    (void)snprintf(text, sizeof text, "segments of %s are in %.*s", st->dir, (int)strcspn(known, "\n"), known);
    free(known);
    if (!st->options.read_only)
        return err_set(err, ERR_INPUT, "%s: say --s3 and --bucket", text);
    char whole[sizeof text + 64];
    (void)snprintf(whole, sizeof whole, "%s: those that are not on this disk too are not read", text);
    store_report(st, true, whole);
    return true;
}

static bool may_write(void *ctx)
{
    return lease_held(ctx);
}

bool far_attach(struct store *st, struct err *err)
{
    struct far *far = calloc(1, sizeof *far);
    assert(far != NULL);
    far->st = st;
    atomic_init(&far->lease_until_ns, 0);
    atomic_init(&far->commits, 0);
    atomic_init(&far->full, false);
    atomic_init(&far->superseded, false);
    pthread_mutex_init(&far->lock, NULL);
    pthread_condattr_t mono;
    pthread_condattr_init(&mono);
    pthread_condattr_setclock(&mono, CLOCK_MONOTONIC);
    pthread_cond_init(&far->wake, &mono);
    pthread_condattr_destroy(&mono);
    st->far = far;
    bool known = false;
    struct blob_options options = *st->options.bucket;
    options.may_write = may_write;
    options.may_write_ctx = far;
    if (!blob_open(&options, &far->bs, err))
        return false;
    far->list_bucket = st->options.read_only && st->options.scratch_dir != NULL;
    if (st->options.read_only)
        return true;
    if (!read_bucket_file(far, &known, err))
        return false;
    if (!known && (!random_id(far->writer_id, err) || !meet(far, err)))
        return false;
    far->list_bucket = !known || st->options.rebuild_index;
    return true;
}

bool far_adopt(struct store *st, struct err *err)
{
    char path[STORE_PATH_BYTES], tmp[STORE_PATH_BYTES + 8], text[BUCKET_FILE_BYTES_MAX];
    bucket_file(st, path);
    (void)snprintf(tmp, sizeof tmp, "%s.tmp", path);
    int len = snprintf(text, sizeof text, "%s\nstore %s\nwriter %s\n", blob_name(st->far->bs), st->far->store_id,
                       st->far->writer_id);
    if (st->far->met_etag[0] != '\0')
        len += snprintf(text + len, sizeof text - (size_t)len, "met %s\n", st->far->met_etag);
    AUTO(fs_closep) int fd = -1;
    return fs_create(tmp, true, &fd, err) && fs_write_at(fd, tmp, 0, slice_of(text, (size_t)len), err) &&
           fs_sync(fd, tmp, err) && fs_rename(tmp, path, err) && fs_sync_dir(st->dir, err);
}

void far_free(struct far *far)
{
    if (far == NULL)
        return;
    blob_close(far->bs);
    free(far->notes);
    pthread_mutex_destroy(&far->lock);
    pthread_cond_destroy(&far->wake);
    free(far);
}

// --- the uploader -----------------------------------------------------------------------------------

void far_wake(struct far *far)
{
    pthread_mutex_lock(&far->lock);
    far->woken = true;
    pthread_cond_broadcast(&far->wake);
    pthread_mutex_unlock(&far->lock);
}

bool far_pause(struct far *far, int64_t pause_ns)
{
    int64_t until_ns = clock_mono_ns() + pause_ns;
    struct timespec until = {.tv_sec = until_ns / NS_PER_S, .tv_nsec = until_ns % NS_PER_S};
    pthread_mutex_lock(&far->lock);
    while (!far->stop && pthread_cond_timedwait(&far->wake, &far->lock, &until) == 0)
        continue;
    bool go_on = !far->stop;
    pthread_mutex_unlock(&far->lock);
    return go_on;
}

static void leave_note(struct far *far, uint64_t gen, int what)
{
    pthread_mutex_lock(&far->lock);
    far->notes = realloc(far->notes, (far->notes_count + 1) * sizeof *far->notes);
    assert(far->notes != NULL);
    far->notes[far->notes_count++] = (struct far_note){.gen = gen, .what = what};
    pthread_mutex_unlock(&far->lock);
}

static bool is_noted(struct far *far, uint64_t gen)
{
    bool found = false;
    pthread_mutex_lock(&far->lock);
    for (size_t i = 0; i < far->notes_count && !found; i++)
        found = far->notes[i].gen == gen;
    pthread_mutex_unlock(&far->lock);
    return found;
}

static bool has_notes(struct far *far)
{
    pthread_mutex_lock(&far->lock);
    bool any = far->notes_count > 0;
    pthread_mutex_unlock(&far->lock);
    return any;
}

static bool is_unsent(struct far *far, const struct manifest_segment *s)
{
    return (seg_where(s->seg) & INDEX_IN_BUCKET) == 0 && !is_noted(far, s->row.gen);
}

// Whether the object there is this file: by its length and by its trailer, which holds the footer's checksum.
static bool is_same(struct far *far, const char *key, int fd, const char *path, uint64_t bytes, uint64_t object_bytes,
                    bool *same_out, struct err *err)
{
    uint8_t ours[SEG_TRAILER_BYTES], theirs[SEG_TRAILER_BYTES];
    *same_out = false;
    if (bytes != object_bytes || bytes < sizeof ours)
        return true;
    if (!fs_read_at(fd, path, bytes - sizeof ours, ours, sizeof ours, err) ||
        !blob_get(far->bs, key, bytes - sizeof theirs, theirs, sizeof theirs, err))
        return false;
    *same_out = memcmp(ours, theirs, sizeof ours) == 0;
    return true;
}

// Whether the segment is there already. ERR_CORRUPT: another one is.
static bool is_uploaded(struct far *far, const char *key, int fd, const char *path, uint64_t bytes, bool *there_out,
                        struct err *err)
{
    struct blob_info info;
    *there_out = false;
    if (!blob_head(far->bs, key, &info, err))
        return err->code == ERR_NOT_FOUND;
    return is_same(far, key, fd, path, bytes, info.bytes, there_out, err) &&
           (*there_out || err_set(err, ERR_CORRUPT, "%s%s is another segment of that number", blob_name(far->bs), key));
}

// Puts the object, unless it is there already from an attempt whose commit did not come about (F2).
static bool upload(struct far *far, const struct manifest_segment *s, struct err *err)
{
    char key[SEG_KEY_BYTES];
    const char *path = seg_path(s->seg);
    uint64_t bytes;
    bool there;
    AUTO(fs_closep) int fd = -1;
    seg_object_key(s->row.gen, key);
    if (!fs_open_read(path, &fd, err) || !fs_bytes(fd, path, &bytes, err) ||
        !is_uploaded(far, key, fd, path, bytes, &there, err))
        return false;
    if (there)
        return true;
    int64_t begun_ns = clock_mono_ns();
    if (!blob_put_file(far->bs, key, fd, path, bytes, BLOB_NOTHING, NULL, err)) {
        struct err put = *err; // by an attempt whose answer was lost?
        if (err->code != ERR_BUSY || !is_uploaded(far, key, fd, path, bytes, &there, err))
            return false;
        if (!there) {
            *err = put;
            return false;
        }
    }
    metric_add(COUNTER_S3_UPLOADS, 1);
    metric_observe_ns(HISTOGRAM_S3_UPLOAD_SECONDS, clock_mono_ns() - begun_ns);
    return true;
}

// One segment that cannot be uploaded does not hold up the others; a bucket that cannot be reached does.
static bool upload_all(struct far *far, struct err *err)
{
    struct manifest *m = store_manifest(far->st);
    bool good = true, reachable = true;
    for (uint32_t i = 0; reachable && i < m->segments_count && lease_held(far); i++) {
        const struct manifest_segment *s = &m->segments[i];
        if (!is_unsent(far, s))
            continue;
        if ((seg_where(s->seg) & INDEX_TO_BUCKET) == 0) { // F4: the index is to know first
            leave_note(far, s->row.gen, FAR_BEGINS);
            continue;
        }
        struct err why;
        if (upload(far, s, &why)) {
            leave_note(far, s->row.gen, FAR_CONFIRMED);
        } else if (why.code != ERR_NOT_FOUND) { // else it was taken out meanwhile, file and all
            (void)err_wrap(&why, "upload segment %016" PRIx64, s->row.gen);
            *err = why;
            good = false;
            reachable = why.code == ERR_CORRUPT;
        }
    }
    manifest_unref(m);
    return good;
}

// Up to when what was taken out may be deleted (F4).
static int64_t deletable_until(struct far *far)
{
    if (far->aging_mono_ns != 0 && clock_mono_ns() - far->aging_mono_ns >= far->st->options.far_grace_ns) {
        far->aged_wall_ns = far->aging_wall_ns;
        far->aging_mono_ns = 0;
    }
    if (far->aging_mono_ns == 0 && far->snapshot_wall_ns > far->aged_wall_ns) {
        far->aging_mono_ns = far->snapshot_mono_ns;
        far->aging_wall_ns = far->snapshot_wall_ns;
    }
    return far->aged_wall_ns;
}

static bool delete_gone(struct far *far, struct err *err)
{
    AUTO(arena_done) struct arena a;
    arena_init(&a, FAR_LIST_BYTES_MAX);
    struct index_read read;
    struct index_gone *gone;
    size_t count;
    if (!index_read_begin(far->st->index, &read, err))
        return false;
    bool good = index_gone(&read, &a, &gone, &count, err);
    int64_t until_ns = deletable_until(far);
    index_read_end(&read);
    for (size_t i = 0; good && i < count && lease_held(far); i++) {
        char key[SEG_KEY_BYTES];
        seg_object_key(gone[i].gen, key);
        if (is_noted(far, gone[i].gen) || gone[i].gone_ns >= until_ns)
            continue;
        good = blob_delete(far->bs, key, err);
        if (good)
            leave_note(far, gone[i].gen, FAR_DELETED);
    }
    return good;
}

static bool turn(struct far *far, struct err *err)
{
    struct err ignored; // not every server can list them
    if (!far->parts_dropped)
        (void)!blob_drop_parts(far->bs, SEG_KEY_PREFIX, &ignored);
    far->parts_dropped = true;
    return upload_all(far, err) && (!lease_held(far) || (far_deletions_put(far, err) && snapshot_publish(far, err) && delete_gone(far, err)));
}

void far_tell(struct far *far, enum far_work work, const struct err *why, const char *again)
{
    if (why != NULL && why->code == ERR_CANCELLED)
        return;
    int64_t now_ns = clock_mono_ns();
    pthread_mutex_lock(&far->lock);
    struct far_told *told = &far->told[work];
    bool tell = why == NULL ? told->failing : !told->failing || now_ns - told->told_ns >= FAR_TELL_NS;
    told->failing = why != NULL;
    if (why != NULL)
        told->why = *why;
    if (tell)
        told->told_ns = now_ns;
    pthread_mutex_unlock(&far->lock);
    if (tell)
        store_report(far->st, why != NULL, why != NULL ? why->text : again);
}

bool store_bucket_works(struct store *st, struct err *err)
{
    struct far *far = st->far;
    bool good = true;
    if (far == NULL)
        return true;
    pthread_mutex_lock(&far->lock);
    for (int i = 0; i < FAR_WORKS && good; i++) {
        good = !far->told[i].failing;
        if (!good)
            *err = far->told[i].why;
    }
    pthread_mutex_unlock(&far->lock);
    return good;
}

// Waits for work, a stop, or the end of the pause. The patient wait for its end, whatever comes. False to stop.
static bool wait_for_turn(struct far *far, int64_t pause_ns, bool patient)
{
    int64_t until_ns = clock_mono_ns() + pause_ns;
    struct timespec until = {.tv_sec = until_ns / NS_PER_S, .tv_nsec = until_ns % NS_PER_S};
    pthread_mutex_lock(&far->lock);
    bool in_time = true;
    while (!far->stop && in_time && (patient || !far->woken))
        in_time = pthread_cond_timedwait(&far->wake, &far->lock, &until) == 0;
    far->woken = false;
    bool go_on = !far->stop;
    pthread_mutex_unlock(&far->lock);
    return go_on;
}

static void *uploader_main(void *arg)
{
    struct far *far = arg;
    int64_t pause_ns = FAR_PAUSE_NS;
    bool good = true;
    while (wait_for_turn(far, pause_ns, !good)) {
        struct err why;
        if (!lease_held(far))
            continue;
        good = turn(far, &why);
        if (has_notes(far))
            keeper_ask_settle(far->st);
        far_tell(far, FAR_UPLOADS, good ? NULL : &why, "the bucket takes segments again");
        pause_ns = good ? FAR_PAUSE_NS : pause_ns * 2 < FAR_PAUSE_NS_MAX ? pause_ns * 2 : FAR_PAUSE_NS_MAX;
    }
    return NULL;
}

void far_start(struct store *st)
{
    struct far *far = st->far;
    int rc = pthread_create(&far->lease, NULL, lease_main, far);
    assert(rc == 0);
    (void)pthread_setname_np(far->lease, "lease");
    rc = pthread_create(&far->uploader, NULL, uploader_main, far);
    assert(rc == 0);
    (void)pthread_setname_np(far->uploader, "uploader");
    far->runs = true;
}

void far_stop(struct store *st)
{
    struct far *far = st->far;
    if (far == NULL || !far->runs)
        return;
    pthread_mutex_lock(&far->lock);
    far->stop = true;
    pthread_cond_broadcast(&far->wake);
    pthread_mutex_unlock(&far->lock);
    blob_stop(far->bs);
    pthread_join(far->uploader, NULL);
    pthread_join(far->lease, NULL);
    far->runs = false;
    lease_give_back(far, st->options.bucket);
}

// --- the keeper's part ------------------------------------------------------------------------------

static unsigned where_after(const struct far_note *note)
{
    return note->what == FAR_BEGINS ? INDEX_IN_FILE | INDEX_TO_BUCKET : INDEX_IN_FILE | INDEX_IN_BUCKET;
}

static bool commit_notes(struct store *st, const struct far_note *notes, size_t count, struct err *err)
{
    uint64_t *put = calloc(count, sizeof *put), *deleted = calloc(count, sizeof *deleted);
    unsigned *wheres = calloc(count, sizeof *wheres);
    size_t put_count = 0, deleted_count = 0;
    assert(put != NULL && deleted != NULL && wheres != NULL);
    for (size_t i = 0; i < count; i++) {
        if (notes[i].what == FAR_DELETED) {
            deleted[deleted_count++] = notes[i].gen;
        } else {
            put[put_count] = notes[i].gen;
            wheres[put_count++] = where_after(&notes[i]);
        }
    }
    bool good = (put_count == 0 || index_set_where(st->index, put, wheres, put_count, err)) &&
                (deleted_count == 0 || index_clear_gone(st->index, deleted, deleted_count, err));
    struct manifest *m = store_manifest(st);
    for (size_t i = 0; good && i < put_count; i++) {
        struct seg *seg = manifest_seg(m, put[i]);
        if (seg != NULL)
            seg_set_where(seg, wheres[i]);
        atomic_fetch_add(&st->far->commits, (wheres[i] & INDEX_IN_BUCKET) != 0);
    }
    manifest_unref(m);
    free(put);
    free(deleted);
    free(wheres);
    return good;
}

static bool settle_notes(struct store *st, struct err *err)
{
    struct far *far = st->far;
    pthread_mutex_lock(&far->lock);
    size_t count = far->notes_count;
    struct far_note *notes = calloc(count + 1, sizeof *notes);
    assert(notes != NULL);
    if (count > 0)
        memcpy(notes, far->notes, count * sizeof *notes);
    pthread_mutex_unlock(&far->lock);
    bool good = count == 0 || commit_notes(st, notes, count, err);
    free(notes);
    if (!good || count == 0)
        return good;
    pthread_mutex_lock(&far->lock);
    far->notes_count -= count;
    memmove(far->notes, far->notes + count, far->notes_count * sizeof *far->notes);
    pthread_mutex_unlock(&far->lock);
    far_wake(far);
    return true;
}

// The oldest segment that is both here and in the bucket, when copies take more than the cache may, or all files more than
// the cap.
static const struct manifest_segment *over_cache(struct store *st, const struct manifest *m)
{
    const struct manifest_segment *oldest = NULL;
    uint64_t bytes = 0, disk_max = st->options.disk_bytes_max;
    uint64_t disk_bytes = retain_disk_bytes(m, 0);
    for (uint32_t i = 0; i < m->segments_count; i++) {
        const struct manifest_segment *s = &m->segments[i];
        if (seg_where(s->seg) != (INDEX_IN_FILE | INDEX_IN_BUCKET))
            continue;
        bytes += s->row.file_bytes;
        if (oldest == NULL || s->row.max_ns < oldest->row.max_ns)
            oldest = s;
    }
    bool full = disk_max != 0 && disk_bytes > disk_max;
    atomic_store_explicit(&st->far->full, full && oldest == NULL, memory_order_relaxed);
    return bytes > st->options.cache_bytes || full ? oldest : NULL;
}

// F1: commit, then a handle without the file, then the file.
static bool drop_copy(struct store *st, const struct manifest_segment *s, struct err *err)
{
    unsigned where = INDEX_IN_BUCKET;
    char path[STORE_PATH_BYTES];
    store_segment_path(st, s->row.gen, path);
    if (!index_set_where(st->index, &s->row.gen, &where, 1, err))
        return false;
    AUTO(seg_unrefp) struct seg *seg = far_seg(st, s->row.gen, s->row.file_bytes, where);
    pthread_mutex_lock(&st->manifest_lock);
    assert(st->manifest_next == NULL); // the keeper's alone
    struct manifest *old = st->manifest;
    st->manifest = manifest_with_seg(old, s->row.gen, seg);
    pthread_mutex_unlock(&st->manifest_lock);
    manifest_unref(old);
    atomic_fetch_add(&st->far->commits, 1);
    metric_add(COUNTER_S3_COPIES_DROPPED, 1);
    return fs_unlink(path, err);
}

static bool settle_cache(struct store *st, struct err *err)
{
    for (bool more = true; more;) {
        struct manifest *m = store_manifest(st);
        const struct manifest_segment *s = over_cache(st, m);
        more = s != NULL;
        bool good = !more || drop_copy(st, s, err);
        manifest_unref(m);
        if (!good)
            return false;
    }
    return true;
}

void far_settle(struct store *st)
{
    struct err why;
    if (st->far != NULL && (!settle_notes(st, &why) || !settle_cache(st, &why)))
        store_report(st, true, why.text);
}
