/* far_live.c -- see far_live.h. */
#include "store/far/far_backup.h"

#include "base/clock.h"
#include "base/fs.h"
#include "base/limits.h"
#include "index/index.h"
#include "store/far/far.h"
#include "store/segment/seg.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum { PATH_BYTES = 4096, LINE_BYTES = 128 };

void far_live_done(struct far_live *live)
{
    free(live->segments.items);
    free(live->logs.items);
    *live = (struct far_live){0};
}

void far_items_add(struct far_items *items, const struct far_item *item)
{
    if (items->count == items->room) {
        items->room = items->room == 0 ? 64 : 2 * items->room;
        items->items = realloc(items->items, items->room * sizeof *items->items);
        assert(items->items != NULL);
    }
    items->items[items->count++] = *item;
}

static int by_gen(const void *a, const void *b)
{
    uint64_t x = ((const struct far_item *)a)->gen, y = ((const struct far_item *)b)->gen;
    return (x > y) - (x < y);
}

static void sort(struct far_items *items)
{
    if (items->count > 0)
        qsort(items->items, items->count, sizeof *items->items, by_gen);
}

const struct far_item *far_items_find(const struct far_items *items, uint64_t gen)
{
    struct far_item key = {.gen = gen};
    return items->count == 0 ? NULL : bsearch(&key, items->items, items->count, sizeof key, by_gen);
}

// --- what is live -----------------------------------------------------------------------------------

// First by a request whose answer says why when it is a refusal.
bool far_kind(struct blob_store *bs, enum far_kind *kind_out, struct err *err)
{
    struct snapshot s;
    struct blob_info info;
    bool published = snapshot_find(bs, &s, err);
    if (!published && err->code != ERR_NOT_FOUND)
        return false;
    bool backup = !published && blob_head(bs, FAR_BACKUP_KEY, &info, err);
    if (!published && !backup && err->code != ERR_NOT_FOUND)
        return false;
    *kind_out = backup ? FAR_BACKUP : published ? FAR_PUBLISHED : FAR_OBJECTS;
    return true;
}

static bool list_rows(struct index *index, struct far_live *live, struct err *err)
{
    AUTO(arena_done) struct arena a;
    arena_init(&a, GIB);
    struct index_read read;
    struct index_segment *rows;
    size_t count;
    if (!index_read_begin(index, &read, err))
        return false;
    bool good = index_segments(&read, &a, &rows, &count, err);
    index_read_end(&read);
    for (size_t i = 0; good && i < count; i++) {
        if ((rows[i].where & INDEX_IN_BUCKET) != 0)
            far_items_add(&live->segments, &(struct far_item){.gen = rows[i].gen, .bytes = rows[i].file_bytes});
        else
            live->unsent++;
    }
    return good;
}

static bool list_published(struct blob_store *bs, const char *scratch, struct far_live *live, struct err *err)
{
    struct snapshot s;
    char path[PATH_BYTES];
    struct index *index;
    if (!snapshot_find(bs, &s, err))
        return false;
    const char *name = strrchr(s.key, '/');
    (void)snprintf(live->version, sizeof live->version, "%s", s.key);
    (void)snprintf(live->index_dir, sizeof live->index_dir, "%s/published-%.*s", scratch, (int)strcspn(name + 1, "."), name + 1);
    (void)snprintf(path, sizeof path, "%s/data.mdb", live->index_dir);
    if (!fs_mkdir(live->index_dir, err) || !snapshot_fetch(bs, &s, path, err) ||
        !index_open(live->index_dir, KV_READ, &index, err))
        return false;
    bool good = list_rows(index, live, err);
    index_close(index);
    return good;
}

static bool visit_object(void *ctx, const struct blob_item *item, struct err *err)
{
    (void)err;
    struct far_item found = {.bytes = item->bytes};
    int end = 0;
    if (sscanf(item->key, SEG_KEY_PREFIX "%16" SCNx64 ".seg%n", &found.gen, &end) == 1 && end > 0 && item->key[end] == '\0')
        far_items_add(ctx, &found);
    return true;
}

static bool list_objects(struct blob_store *bs, struct far_live *live, struct err *err)
{
    if (!blob_list(bs, SEG_KEY_PREFIX, visit_object, &live->segments, err))
        return false;
    return live->segments.count > 0 || err_set(err, ERR_INPUT, "%s: there is no store", blob_name(bs));
}

bool far_live(struct blob_store *bs, const char *scratch, struct far_live *out, struct err *err)
{
    AUTO(far_live_done) struct far_live live = {0};
    if (!far_kind(bs, &live.kind, err))
        return false;
    enum far_kind kind = live.kind;
    if (kind == FAR_BACKUP ? !far_backup_get(bs, &live, err)
        : kind == FAR_PUBLISHED ? !list_published(bs, scratch, &live, err)
                                : !list_objects(bs, &live, err))
        return false;
    if (live.incomplete)
        return err_set(err, ERR_INPUT, "%s: a first backup into it was cut short, or goes on: run it again", blob_name(bs));
    sort(&live.segments);
    *out = live;
    live = (struct far_live){0};
    return true;
}

// --- logs and deletions -----------------------------------------------------------------------------

// As far as a checksum is known, it is compared.
static bool fetch(struct blob_store *bs, const char *key, const struct far_item *item, bool checked, const char *path,
                  struct err *err)
{
    char tmp[PATH_BYTES + 8];
    uint64_t check;
    (void)snprintf(tmp, sizeof tmp, "%s.tmp", path);
    if (!blob_get_file(bs, key, item->bytes, tmp, &check, err) ||
        (checked && check != item->check &&
         !err_set(err, ERR_CORRUPT, "%s%s: checksum does not match", blob_name(bs), key))) {
        fs_unlink_quietly(tmp);
        return false;
    }
    return fs_rename(tmp, path, err);
}

static bool fetch_deletions(struct blob_store *bs, const struct far_live *live, const char *dir, struct err *err)
{
    char path[PATH_BYTES], key[FAR_KEY_BYTES];
    struct blob_info info;
    (void)snprintf(path, sizeof path, "%s/deletions", dir);
    if (live->kind == FAR_BACKUP) {
        far_deletions_key(&live->deletions, key);
        return live->deletions.bytes > 0 ? fetch(bs, key, &live->deletions, true, path, err) : fs_unlink(path, err);
    }
    if (!blob_head(bs, "deletions", &info, err))
        return err->code == ERR_NOT_FOUND && fs_unlink(path, err);
    struct far_item item = {.bytes = info.bytes};
    return fetch(bs, "deletions", &item, false, path, err);
}

bool far_fetch_rest(struct blob_store *bs, const struct far_live *live, const char *dir, struct err *err)
{
    char folder[PATH_BYTES], path[PATH_BYTES + LINE_BYTES], key[FAR_KEY_BYTES];
    (void)snprintf(folder, sizeof folder, "%s/wal", dir);
    if (!fs_mkdir(folder, err) || !fetch_deletions(bs, live, dir, err))
        return false;
    for (size_t i = 0; i < live->logs.count; i++) {
        const struct far_item *log = &live->logs.items[i];
        far_log_key(log, key);
        (void)snprintf(path, sizeof path, "%s/%016" PRIx64 ".wal", folder, log->gen);
        if (!fetch(bs, key, log, true, path, err))
            return false;
    }
    return true;
}
