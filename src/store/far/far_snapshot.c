/*
 * far_snapshot.c -- the index in the bucket, for read-only servers and for a directory that was lost.
 *
 * `index/current` is a text of three lines that names the object, its length and its XXH3-64. It is replaced after the
 * object was put; the one before stays for those that have just read its name.
 */
#include "base/clock.h"
#include "base/fs.h"
#include "base/hash.h"
#include "base/limits.h"
#include "store/far/far.h"
#include "store/state.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum { CURRENT_BYTES_MAX = 1024, CURRENT_READS_MAX = 4 };

// --- publishing -------------------------------------------------------------------------------------

static bool put_snapshot(struct far *far, const char *path, struct snapshot *s, struct err *err)
{
    AUTO(fs_closep) int fd = -1;
    (void)snprintf(s->key, sizeof s->key, "index/%016" PRIx64 ".mdb", (uint64_t)clock_wall_ns());
    return fs_open_read(path, &fd, err) && fs_bytes(fd, path, &s->bytes, err) &&
           hash64_file(fd, path, s->bytes, &s->check, err) &&
           blob_put_file(far->bs, s->key, fd, path, s->bytes, BLOB_NOTHING, NULL, err);
}

static bool put_current(struct far *far, const struct snapshot *s, const char *want, struct err *err)
{
    char text[CURRENT_BYTES_MAX];
    int len = snprintf(text, sizeof text, "mstore index 1\nkey %s\nbytes %" PRIu64 "\ncheck %016" PRIx64 "\n", s->key,
                       s->bytes, s->check);
    return blob_put(far->bs, "index/current", slice_of(text, (size_t)len), want, err);
}

struct old_snapshots {
    const char *kept[2]; // keys
    char doomed[16][64];
    size_t count;
};

static bool visit_old(void *ctx, const struct blob_item *item, struct err *err)
{
    (void)err;
    struct old_snapshots *old = ctx;
    size_t len = strlen(item->key);
    if (len < 4 || len >= sizeof old->doomed[0] || strcmp(item->key + len - 4, ".mdb") != 0)
        return true;
    for (size_t i = 0; i < COUNT_OF(old->kept); i++)
        if (strcmp(item->key, old->kept[i]) == 0)
            return true;
    if (old->count < COUNT_OF(old->doomed)) // more go the next time
        (void)snprintf(old->doomed[old->count++], sizeof old->doomed[0], "%s", item->key);
    return true;
}

static bool remove_old(struct far *far, const char *current, const char *before, struct err *err)
{
    struct old_snapshots old = {.kept = {current, before}};
    if (!blob_list(far->bs, "index/", visit_old, &old, err))
        return false;
    for (size_t i = 0; i < old.count; i++)
        if (!blob_delete(far->bs, old.doomed[i], err))
            return false;
    return true;
}

// The number of the last commit, and whether the index may be published (F5).
static bool look(struct far *far, uint64_t *number_out, bool *whole_out, struct err *err)
{
    AUTO(arena_done) struct arena a;
    arena_init(&a, GIB);
    struct index_read read;
    struct index_segment *rows;
    size_t count;
    if (!index_read_begin(far->st->index, &read, err))
        return false;
    bool good = index_segments(&read, &a, &rows, &count, err), whole = true;
    *number_out = read.manifest;
    index_read_end(&read);
    for (size_t i = 0; good && i < count && whole; i++)
        whole = seg_rewrites(rows[i].gen) == 0 || (rows[i].where & INDEX_IN_BUCKET) != 0;
    *whole_out = whole;
    return good;
}

// Copies the index as commit `number` shows it. *same_out: it is that one still.
static bool copy_index(struct far *far, const char *path, uint64_t number, bool *same_out, struct err *err)
{
    struct index_read read;
    if (!index_copy(far->st->index, path, err) || !index_read_begin(far->st->index, &read, err))
        return false;
    *same_out = read.manifest == number;
    index_read_end(&read);
    return true;
}

static bool publish(struct far *far, const char *path, struct err *err)
{
    struct snapshot s = {0}, before = {0};
    bool there = snapshot_find(far->bs, &before, err), none = !there && err->code == ERR_NOT_FOUND;
    if (!there && !none && err->code != ERR_CORRUPT)
        return false;
    const char *want = none ? BLOB_NOTHING : there && before.etag[0] != '\0' ? before.etag : BLOB_ANYTHING;
    if (!put_snapshot(far, path, &s, err) || !put_current(far, &s, want, err))
        return err_wrap(err, "publish the index");
    far->snapshot_mono_ns = clock_mono_ns();
    return remove_old(far, s.key, before.key, err);
}

bool snapshot_publish(struct far *far, struct err *err)
{
    // Read before the copy: what is committed meanwhile is published once more, at worst.
    uint64_t number, commits = atomic_load(&far->commits);
    int64_t wall_ns = clock_wall_ns();
    bool first = far->snapshot_mono_ns == 0, whole, same;
    if (!first && clock_mono_ns() - far->snapshot_mono_ns < far->st->options.far_snapshot_ns)
        return true;
    if (!look(far, &number, &whole, err))
        return false;
    if (!whole || (!first && number == far->snapshot_manifest && commits == far->snapshot_commits))
        return true;
    char path[STORE_PATH_BYTES];
    (void)snprintf(path, sizeof path, "%s/snapshot.tmp", far->st->dir);
    bool good = copy_index(far, path, number, &same, err) && (!same || publish(far, path, err));
    fs_unlink_quietly(path);
    if (good && same) {
        far->snapshot_manifest = number;
        far->snapshot_commits = commits;
        far->snapshot_wall_ns = wall_ns;
    }
    return good;
}

// --- reading ----------------------------------------------------------------------------------------

static bool read_current(struct blob_store *bs, struct snapshot *out, struct err *err)
{
    AUTO(buf_done) struct buf b;
    buf_init(&b, 0);
    struct blob_info info;
    if (!blob_get_whole(bs, "index/current", CURRENT_BYTES_MAX, &b, &info, err))
        return false;
    buf_put_byte(&b, '\0');
    struct snapshot s;
    if (sscanf((const char *)b.ptr, "mstore index 1\nkey %63[a-z0-9/.]\nbytes %" SCNu64 "\ncheck %" SCNx64 "\n", s.key,
               &s.bytes, &s.check) != 3)
        return err_set(err, ERR_CORRUPT, "%sindex/current names no snapshot", blob_name(bs));
    (void)snprintf(s.etag, sizeof s.etag, "%s", info.etag);
    *out = s;
    return true;
}

// Servers that keep objects as files may show one that is being replaced.
bool snapshot_find(struct blob_store *bs, struct snapshot *out, struct err *err)
{
    bool good = read_current(bs, out, err);
    for (int i = 1; !good && err->code == ERR_CORRUPT && i < CURRENT_READS_MAX; i++)
        good = read_current(bs, out, err);
    return good;
}

bool snapshot_fetch(struct blob_store *bs, const struct snapshot *s, const char *path, struct err *err)
{
    uint64_t check;
    if (!blob_get_file(bs, s->key, s->bytes, path, &check, err))
        return false;
    return check == s->check || err_set(err, ERR_CORRUPT, "%s%s: checksum does not match", blob_name(bs), s->key);
}
