/*
 * test_powercut.c -- a model of a disk that loses power: what was not synced is dropped, torn or reordered.
 *
 * The store runs on real files while fs_watch() tells every change. At each sync the model notes what is
 * durable. Then, for many moments, a disk is made as a cut at that moment could have left it -- durable
 * bytes, and any subset of the later writes, each whole or torn; names as of the last directory sync, with
 * any prefix of the later changes -- and a store is opened on it: what was acknowledged by then is there.
 * The index does not pass fs.c; it is lost in each cut, which recovery has to survive as well.
 */
#include "batches.h"
#include "tap.h"

#include "base/fs.h"
#include "base/metric.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum { PUSHES = 24, EVENTS_MAX = 4096, FILES_MAX = 256, CUTS_PER_EVENT = 3 };

struct event {
    enum fs_event_kind kind;
    int file;            // FS_WRITE, FS_TRUNCATE, FS_SYNC
    char name[512], to[512];
    uint64_t pos;
    uint8_t *bytes; // owned
    size_t len;
    int acked; // pushes acknowledged before it
};

static struct event events[EVENTS_MAX];
static int events_count, acked_count;
static char dir[400];

static void record(void *ctx, const struct fs_event *e)
{
    (void)ctx;
    if (events_count == EVENTS_MAX || strstr(e->path, "/index") != NULL)
        return;
    struct event *to = &events[events_count++];
    *to = (struct event){.kind = e->kind, .pos = e->pos, .len = e->bytes.len, .acked = acked_count};
    (void)snprintf(to->name, sizeof to->name, "%s", e->path);
    if (e->path_to != NULL)
        (void)snprintf(to->to, sizeof to->to, "%s", e->path_to);
    if (e->bytes.len > 0) {
        to->bytes = malloc(e->bytes.len);
        memcpy(to->bytes, e->bytes.ptr, e->bytes.len);
    }
}

// --- the disk ---------------------------------------------------------------------------------------

// A file by identity: names come and go, contents stay.
struct file {
    struct buf bytes;
};

struct name {
    char path[512];
    int file; // -1: no such name
};

struct disk {
    struct file files[FILES_MAX];
    int files_count;
    struct name names[FILES_MAX];
    int names_count;
};

static struct name *name_of(struct disk *d, const char *path)
{
    for (int i = 0; i < d->names_count; i++)
        if (strcmp(d->names[i].path, path) == 0)
            return &d->names[i];
    struct name *n = &d->names[d->names_count++];
    (void)snprintf(n->path, sizeof n->path, "%s", path);
    n->file = -1;
    return n;
}

static void resize(struct buf *b, size_t len)
{
    if (len > b->len) {
        (void)buf_reserve(b, len - b->len);
        memset(b->ptr + b->len, 0, len - b->len);
    }
    b->len = len;
}

static void apply_data(struct file *f, const struct event *e, size_t len)
{
    if (e->kind == FS_TRUNCATE) {
        resize(&f->bytes, e->pos);
        return;
    }
    if (e->pos + len > f->bytes.len)
        resize(&f->bytes, e->pos + len);
    if (len > 0)
        memcpy(f->bytes.ptr + e->pos, e->bytes, len);
}

static void apply_name(struct disk *d, const struct event *e, const int *file_of)
{
    int at = (int)(e - events);
    if (e->kind == FS_CREATE)
        name_of(d, e->name)->file = file_of[at];
    else if (e->kind == FS_UNLINK)
        name_of(d, e->name)->file = -1;
    else {
        name_of(d, e->to)->file = name_of(d, e->name)->file;
        name_of(d, e->name)->file = -1;
    }
}

static bool is_data(const struct event *e)
{
    return e->kind == FS_WRITE || e->kind == FS_TRUNCATE;
}

static bool is_name(const struct event *e)
{
    return e->kind == FS_CREATE || e->kind == FS_RENAME || e->kind == FS_UNLINK;
}

static bool in_dir(const char *path, const char *folder)
{
    size_t len = strlen(folder);
    return strncmp(path, folder, len) == 0 && path[len] == '/' && strchr(path + len + 1, '/') == NULL;
}

// Which file each event is about: follows names through creations and renames.
static int resolve(int *file_of)
{
    static struct disk d;
    memset(&d, 0, sizeof d);
    int files = 0;
    for (int i = 0; i < events_count; i++) {
        struct event *e = &events[i];
        file_of[i] = -1;
        if (e->kind == FS_CREATE)
            file_of[i] = files++;
        else if (is_data(e) || e->kind == FS_SYNC)
            file_of[i] = name_of(&d, e->name)->file;
        if (is_name(e))
            apply_name(&d, e, file_of);
    }
    return files;
}

// The disk after a cut before event `cut`.
static void make_disk(struct disk *d, int cut, const int *file_of, int files, uint64_t *random)
{
    memset(d, 0, sizeof *d);
    d->files_count = files;
    for (int i = 0; i < cut; i++) {
        struct event *e = &events[i];
        if (!is_data(e) || file_of[i] < 0)
            continue;
        bool synced = false;
        for (int n = i + 1; n < cut && !synced; n++)
            synced = events[n].kind == FS_SYNC && file_of[n] == file_of[i];
        *random = *random * UINT64_C(6364136223846793005) + 1442695040888963407;
        unsigned roll = (unsigned)(*random >> 33);
        if (synced)
            apply_data(&d->files[file_of[i]], e, e->len);
        else if (roll % 3 == 0)
            apply_data(&d->files[file_of[i]], e, e->len);
        else if (roll % 3 == 1)
            apply_data(&d->files[file_of[i]], e, e->kind == FS_WRITE ? roll / 3 % (e->len + 1) : 0);
    }
    // Names of a folder: up to its last sync surely, then any prefix.
    static const char *const folders[] = {"wal", "segments"};
    for (int f = 0; f < 2; f++) {
        char folder[512];
        (void)snprintf(folder, sizeof folder, "%s/%s", dir, folders[f]);
        int sure = 0;
        for (int i = 0; i < cut; i++)
            if (events[i].kind == FS_SYNC_DIR && strcmp(events[i].name, folder) == 0)
                sure = i;
        *random = *random * UINT64_C(6364136223846793005) + 1442695040888963407;
        int until = sure + (int)((*random >> 33) % (unsigned)(cut - sure + 1));
        for (int i = 0; i < until; i++)
            if (is_name(&events[i]) && in_dir(events[i].name, folder))
                apply_name(d, &events[i], file_of);
    }
}

static void write_disk(struct disk *d, const char *target)
{
    struct err err;
    char path[1024];
    for (const char *const *f = (const char *const[]){"wal", "segments", NULL}; *f != NULL; f++) {
        (void)snprintf(path, sizeof path, "%s/%s", target, *f);
        must(fs_mkdir(path, &err), &err);
    }
    for (int i = 0; i < d->names_count; i++) {
        if (d->names[i].file < 0)
            continue;
        int fd;
        struct buf *bytes = &d->files[d->names[i].file].bytes;
        (void)snprintf(path, sizeof path, "%s%s", target, d->names[i].path + strlen(dir));
        must(fs_create(path, true, &fd, &err), &err);
        must(fs_write_at(fd, path, 0, buf_slice(bytes), &err), &err);
        fs_close(fd);
    }
    for (int i = 0; i < d->files_count; i++)
        buf_done(&d->files[i].bytes);
}

// --- the test ---------------------------------------------------------------------------------------

static int missing_after(const char *target, int acked)
{
    struct err err;
    struct store *st;
    struct store_options options = {.dir = target, .decode = test_decode};
    must(store_open(&options, &st, &err), &err);
    struct buf dump;
    buf_init(&dump, 0);
    test_dump(st, "t", INT64_MIN, INT64_MAX, &dump);
    int missing = 0;
    for (int i = 0; i < PUSHES; i++) {
        char wanted[64];
        (void)snprintf(wanted, sizeof wanted, " %d line %d\n", 1000 + i, i);
        size_t at = slice_find(buf_slice(&dump), slice_cstr(wanted));
        missing += i < acked && at == SIZE_MAX;
        if (at != SIZE_MAX && slice_find(slice_from(buf_slice(&dump), at + 1), slice_cstr(wanted)) != SIZE_MAX)
            missing += 1000; // twice
        if (test_count_trace(st, "t", (uint64_t)i + 1) != (at != SIZE_MAX))
            missing += 1000; // a batch is there whole, or not at all
    }
    buf_done(&dump);
    store_close(st);
    return missing;
}

static void run_store(void)
{
    struct err err;
    struct store *st;
    (void)snprintf(dir, sizeof dir, "%s/live", tap_dir());
    struct store_options options = {.dir = dir, .decode = test_decode};
    fs_watch(record, NULL);
    must(store_open(&options, &st, &err), &err);
    for (int i = 0; i < PUSHES; i++) {
        char line[32];
        (void)snprintf(line, sizeof line, "line %d", i);
        must(test_push_both(st, "t", i % 2 == 0 ? "{a=\"0\"}" : "{a=\"1\"}", 1000 + i, line, (uint64_t)i + 1, &err), &err);
        acked_count = i + 1;
        if (i % 3 == 2)
            must(store_flush(st, &err), &err);
        if (i % 12 == 11)
            store_upkeep(st); // four segments become one
    }
    is_int((int64_t)metric_value(COUNTER_COMPACTIONS), 2, "compaction ran in between");
    store_close(st);
    fs_watch(NULL, NULL);
}

int main(void)
{
    static struct disk disk;
    static int file_of[EVENTS_MAX];
    run_store();
    ok(events_count > 50 && events_count < EVENTS_MAX, "%d changes were seen", events_count);
    int files = resolve(file_of);
    uint64_t random = 1;
    int cuts = 0, bad = 0;
    for (int cut = 1; cut <= events_count; cut++) {
        for (int n = 0; n < CUTS_PER_EVENT; n++) {
            char target[512];
            (void)snprintf(target, sizeof target, "%s/cut-%d-%d", tap_dir(), cut, n);
            make_disk(&disk, cut, file_of, files, &random);
            write_disk(&disk, target);
            int acked = cut < events_count ? events[cut].acked : acked_count;
            int missing = missing_after(target, acked);
            if (missing > 0 && bad++ < 5)
                printf("# cut before change %d: %d of %d acknowledged lines are missing\n", cut, missing, acked);
            cuts++;
        }
    }
    ok(bad == 0, "%d cuts: every acknowledged line and span is found, once", cuts);
    for (int i = 0; i < events_count; i++)
        free(events[i].bytes);
    return tap_done();
}
