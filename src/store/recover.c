/*
 * recover.c -- settles what a crash may have left, then lists what is live.
 *
 *   found                                   meaning                                   done
 *   segments/N.seg.tmp                      sealing was cut short                     removed
 *   N.wal                                   not sealed yet                            replayed, sealed again
 *   N.wal, its tail torn, newest            an append nobody was told of              cut off, counted
 *   N.wal, older, without its end record    damage                                    good part replayed, the file
 *                                                                                     kept as N.wal.damaged
 *   N.wal, no readable header               damage                                    set aside as N.wal.damaged
 *   N.wal empty                             wal_create() was cut short                removed
 *   N.wal + N.seg, no row                   sealed, not published                     replayed; sealing writes N.seg anew
 *   N.wal + N.seg + row                     published, not cleaned up                 N.wal removed
 *   N.wal + row, no N.seg                   the segment was lost, its WAL was not     row dropped, replayed
 *   N.seg, no row, all its inputs there     compaction cut short before its commit    removed
 *   N.seg, no row, input of a live one      compaction cut short after its commit     removed
 *   N.seg, no row otherwise                 the index is old or lost                  adopted from its footer
 *   N.seg, no row, expired or deleted       retention cut short before its unlink             adopted, and dropped again
 *   N.seg unreadable, no row                damage                                    reported, left alone
 *   row alone                               damage (S2)                               reported, row kept: queries say so
 *
 *   an index of another version, or one     the program is another; or a crash came   removed, and made anew
 *   that was not completed                  while the index was made anew
 *
 *   N.wal + N.seg in the bucket, no row     sealed and uploaded, then the index lost  the WAL removed, N.seg adopted
 *
 * "N.seg" is the file or, in a store with a bucket, the object (far.h): it counts as there when its row says so, and where the
 * directory does not know the bucket yet, when it is listed there. What is to go of a bucket is noted for the uploader.
 *
 * S5  No data file is deleted on the index's word alone: see the rows above.
 *
 * Offline (read_only) nothing is written to the directory: the index is built in a scratch directory from
 * the footers. A running server may publish or drop files meanwhile, so a file that vanishes under the
 * reader starts the listing over.
 */
#include "base/fs.h"
#include "base/limits.h"
#include "base/metric.h"
#include "store/far/far_live.h"
#include "store/state.h"

#include <assert.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum { RELIST_MAX = 16 };

struct found {
    uint64_t gen;
    bool has_seg, has_wal, has_row;
    bool has_object;       // the bucket has it: by its row, or by the bucket's own list
    uint64_t object_bytes; // when it was listed
    struct index_segment row; // when has_row
    struct seg *seg;          // one reference, when it is live
};

struct recovery {
    struct store *st;
    struct arena arena;
    struct found *items; // arena; by generation
    size_t count, room;
    uint64_t manifest; // number of the last commit
    struct manifest *heads; // what was replayed
};

static void recovery_reset(struct recovery *r)
{
    for (size_t i = 0; i < r->count; i++)
        seg_unref(r->items[i].seg);
    r->items = NULL;
    r->count = r->room = 0;
    manifest_unref(r->heads);
    r->heads = manifest_new(0);
    arena_reset(&r->arena);
}

static void recovery_done(struct recovery *r)
{
    recovery_reset(r);
    manifest_unref(r->heads);
    arena_done(&r->arena);
}

static void report(struct recovery *r, const char *fmt, ...) PRINTF_LIKE(2, 3);
static void report(struct recovery *r, const char *fmt, ...)
{
    char text[ERR_TEXT_BYTES];
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    store_report(r->st, true, text);
}

// --- listing ----------------------------------------------------------------------------------------

static int by_gen(const void *a, const void *b)
{
    const struct found *x = a, *y = b;
    return (x->gen > y->gen) - (x->gen < y->gen);
}

// After list_all().
static struct found *find(struct recovery *r, uint64_t gen)
{
    struct found key = {.gen = gen};
    return r->count == 0 ? NULL : bsearch(&key, r->items, r->count, sizeof *r->items, by_gen);
}

static bool add_found(struct recovery *r, const struct found *f, struct err *err)
{
    if (!arena_grow(&r->arena, (void **)&r->items, sizeof *r->items, r->count, &r->room))
        return arena_ok(&r->arena, "list of generations", err);
    r->items[r->count++] = *f;
    return true;
}

// Sorts, and makes one item of all that was found of a generation.
static void merge_found(struct recovery *r)
{
    if (r->count == 0)
        return;
    qsort(r->items, r->count, sizeof *r->items, by_gen);
    size_t last = 0;
    for (size_t i = 1; i < r->count; i++) {
        struct found *to = &r->items[last];
        const struct found *f = &r->items[i];
        if (f->gen != to->gen) {
            r->items[++last] = *f;
            continue;
        }
        to->has_seg = to->has_seg || f->has_seg;
        to->has_wal = to->has_wal || f->has_wal;
        if (f->has_row)
            to->row = f->row;
        to->has_row = to->has_row || f->has_row;
        if (f->object_bytes > 0)
            to->object_bytes = f->object_bytes;
        to->has_object = to->has_object || f->has_object;
    }
    r->count = last + 1;
}

// "0123456789abcdef" + suffix
static bool parse_name(const char *name, const char *suffix, uint64_t *gen_out)
{
    if (strlen(name) != 16 + strlen(suffix) || strcmp(name + 16, suffix) != 0 ||
        strspn(name, "0123456789abcdef") < 16)
        return false;
    *gen_out = strtoull(name, NULL, 16);
    return *gen_out > 0;
}

static bool visit_wal_dir(void *ctx, const char *name, struct err *err)
{
    struct recovery *r = ctx;
    uint64_t gen;
    return !parse_name(name, ".wal", &gen) ||
           add_found(r, &(struct found){.gen = gen, .has_wal = true}, err);
}

static bool visit_segments_dir(void *ctx, const char *name, struct err *err)
{
    struct recovery *r = ctx;
    uint64_t gen;
    if (!r->st->options.read_only && parse_name(name, ".seg.tmp", &gen)) {
        char path[STORE_PATH_BYTES];
        (void)snprintf(path, sizeof path, "%s/%s", r->st->segments_dir, name);
        return fs_unlink(path, err);
    }
    return !parse_name(name, ".seg", &gen) ||
           add_found(r, &(struct found){.gen = gen, .has_seg = true}, err);
}

static bool list_rows(struct recovery *r, struct err *err)
{
    struct index_read read;
    if (!index_read_begin(r->st->index, &read, err))
        return false;
    r->manifest = read.manifest;
    struct index_segment *rows;
    size_t count;
    bool good = index_segments(&read, &r->arena, &rows, &count, err);
    index_read_end(&read);
    for (size_t i = 0; good && i < count; i++)
        good = add_found(r,
                         &(struct found){.gen = rows[i].gen,
                                         .has_row = true,
                                         .row = rows[i],
                                         .has_object = (rows[i].where & INDEX_IN_BUCKET) != 0},
                         err);
    return good;
}

static bool visit_object(void *ctx, const struct blob_item *item, struct err *err)
{
    uint64_t gen;
    return !parse_name(item->key + strlen(SEG_KEY_PREFIX), ".seg", &gen) || item->bytes == 0 ||
           add_found(ctx, &(struct found){.gen = gen, .has_object = true, .object_bytes = item->bytes}, err);
}

// Offline: what is live there, or one segment.
static bool list_live(struct recovery *r, struct err *err)
{
    const struct store_options *o = &r->st->options;
    struct found f = {.gen = o->bucket_gen, .has_object = true};
    if (o->bucket_gen != 0) {
        char key[SEG_KEY_BYTES];
        struct blob_info info;
        seg_object_key(o->bucket_gen, key);
        if (!blob_head(r->st->far->bs, key, &info, err)) {
            err->code = err->code == ERR_NOT_FOUND ? ERR_INPUT : err->code; // not to be looked for again
            return false;
        }
        f.object_bytes = info.bytes;
        return add_found(r, &f, err);
    }
    AUTO(far_live_done) struct far_live live = {0};
    if (!far_live(r->st->far->bs, o->scratch_dir, &live, err))
        return false;
    for (size_t i = 0; i < live.segments.count; i++) {
        f.gen = live.segments.items[i].gen;
        f.object_bytes = live.segments.items[i].bytes;
        if (!add_found(r, &f, err))
            return false;
    }
    return true;
}

// F2: a directory that does not know what the bucket has.
static bool list_bucket(struct recovery *r, struct err *err)
{
    struct far *far = r->st->far;
    if (far == NULL || !far->list_bucket)
        return true;
    return r->st->options.read_only ? list_live(r, err) : blob_list(far->bs, SEG_KEY_PREFIX, visit_object, r, err);
}

// Logs before segments: one that is published between the two is then seen as a segment.
static bool list_all(struct recovery *r, struct err *err)
{
    recovery_reset(r);
    if (!list_rows(r, err) || !list_bucket(r, err) || !fs_list(r->st->wal_dir, visit_wal_dir, r, err) ||
        !fs_list(r->st->segments_dir, visit_segments_dir, r, err))
        return false;
    merge_found(r);
    return true;
}

// --- segments ---------------------------------------------------------------------------------------

static bool is_somewhere(const struct found *f)
{
    return f->has_seg || f->has_object;
}

static struct seg *segment_of(struct recovery *r, const struct found *f)
{
    unsigned where = (f->has_seg ? INDEX_IN_FILE : 0U) | (f->has_object ? INDEX_IN_BUCKET : 0U);
    return far_seg(r->st, f->gen, f->object_bytes > 0 ? f->object_bytes : f->row.file_bytes, where);
}

static bool inputs_are_here(struct recovery *r, const struct seg_footer *footer)
{
    for (uint32_t i = 0; i < footer->inputs_count; i++) {
        struct found *f = find(r, footer->inputs[i]);
        if (f == NULL || !is_somewhere(f))
            return false;
    }
    return footer->inputs_count > 0;
}

// Whether a segment that is live was made from `gen`.
static bool is_replaced(struct recovery *r, uint64_t gen)
{
    for (size_t i = 0; i < r->count; i++) {
        struct found *f = &r->items[i];
        struct err ignored;
        if (!f->has_row || !is_somewhere(f) || seg_rewrites(f->gen) == 0) // a sealed one has no inputs
            continue;
        AUTO(seg_unrefp) struct seg *seg = segment_of(r, f);
        if (!seg_load(seg, &ignored))
            continue;
        const struct seg_footer *footer = seg_footer(seg);
        for (uint32_t n = 0; n < footer->inputs_count; n++)
            if (footer->inputs[n] == gen)
                return true;
    }
    return false;
}

static bool forget_segment(struct recovery *r, struct found *f, struct err *err)
{
    char path[STORE_PATH_BYTES];
    store_segment_path(r->st, f->gen, path);
    f->has_seg = false;
    if (r->st->options.read_only)
        return true;
    if (f->has_object && !index_add_gone(r->st->index, f->gen, err)) // F4: the uploader deletes it
        return false;
    f->has_object = false;
    return fs_unlink(path, err);
}

static bool add_row(struct recovery *r, struct found *f, struct seg *seg, struct err *err)
{
    AUTO(seg_directory_done) struct seg_directory directory = {0};
    if (!seg_read_directory(seg, &directory, err))
        return false;
    f->row = seg_footer(seg)->totals;
    f->row.where = seg_where(seg);
    struct index_swap swap = {.segment = &f->row,
                              .streams = directory.streams,
                              .streams_count = directory.streams_count,
                              .traces = directory.traces,
                              .traces_count = directory.traces_count,
                              .manifest = r->manifest + 1};
    if (!index_swap(r->st->index, &swap, err))
        return false;
    r->manifest++;
    f->has_row = true;
    return true;
}

// Whether what was listed is not there any more.
static bool is_gone(struct recovery *r, const struct found *f, const struct seg *seg, bool *gone_out, struct err *err)
{
    char key[SEG_KEY_BYTES];
    struct blob_info info;
    bool exists;
    if (!fs_exists(seg_path(seg), &exists, err))
        return false;
    seg_object_key(f->gen, key);
    if (!exists && f->has_object) {
        exists = blob_head(r->st->far->bs, key, &info, err);
        if (!exists && err->code != ERR_NOT_FOUND)
            return false;
    }
    *gone_out = !exists;
    return true;
}

// A segment without a row and without its WAL: garbage by S5, or adopted.
static bool settle_orphan(struct recovery *r, struct found *f, struct err *err)
{
    AUTO(seg_unrefp) struct seg *seg = segment_of(r, f);
    struct err why;
    if (!seg_load(seg, &why)) {
        bool gone = false;
        if (r->st->options.read_only && !is_gone(r, f, seg, &gone, err))
            return false;
        if (gone)
            return err_set(err, ERR_NOT_FOUND, "%s: is gone", seg_path(seg));
        if (why.code != ERR_CORRUPT) {
            *err = why;
            return false;
        }
        report(r, "segment without a row in the index is not readable, left alone: %s", why.text);
        f->has_seg = f->has_object = false;
        return true;
    }
    if (inputs_are_here(r, seg_footer(seg)) || is_replaced(r, f->gen))
        return forget_segment(r, f, err);
    if (add_row(r, f, seg, &why)) {
        if (r->st->options.read_only) // open from now on: a running server may compact it away
            f->seg = MOVE(seg);
        return true;
    }
    if (why.code != ERR_CORRUPT) {
        *err = why;
        return false;
    }
    report(r, "segment without a row in the index is not readable, left alone: %s", why.text);
    f->has_seg = f->has_object = false;
    return true;
}

// The most often rewritten first: the output of a compaction is adopted before its inputs are looked at.
static bool settle_orphans(struct recovery *r, struct err *err)
{
    for (size_t i = r->count; i-- > 0;) {
        struct found *f = &r->items[i];
        if (is_somewhere(f) && !f->has_row && (!f->has_wal || f->has_object) && !settle_orphan(r, f, err))
            return false;
    }
    return true;
}

static bool drop_row(struct recovery *r, struct found *f, struct err *err)
{
    struct index_swap swap = {.gone = &f->gen, .gone_count = 1, .manifest = r->manifest + 1};
    if (!index_swap(r->st->index, &swap, err))
        return false;
    r->manifest++;
    f->has_row = false;
    return true;
}

// --- write-ahead logs -------------------------------------------------------------------------------

struct replaying {
    struct store *st;
    struct head *head;
    struct arena arena; // one payload's batch
};

static bool replay_payload(void *ctx, uint64_t pos, struct slice payload, struct err *err)
{
    (void)pos;
    struct replaying *r = ctx;
    struct batch batch;
    arena_reset(&r->arena);
    if (!r->st->options.decode(r->st->options.decode_ctx, payload, &r->arena, &batch, err))
        return false;
    if (batch.entries_count + batch.spans_count > 0)
        (void)head_apply(r->head, &batch);
    return true;
}

static bool replay_into(struct store *st, const char *path, struct head *head,
                        struct wal_replay_stats *stats_out, struct err *err)
{
    struct replaying replaying = {.st = st, .head = head};
    arena_init(&replaying.arena, INGEST_ARENA_BYTES_MAX);
    bool good = wal_replay(path, head_gen(head), replay_payload, &replaying, stats_out, err);
    arena_done(&replaying.arena);
    return good;
}

// Keeps the file under another name, for people; `link`: and under its own.
static bool keep_damaged(struct recovery *r, const char *path, bool link, struct err *err)
{
    if (r->st->options.read_only)
        return true;
    char aside[STORE_PATH_BYTES + 16];
    (void)snprintf(aside, sizeof aside, "%s.damaged", path);
    return (link ? fs_link(path, aside, err) : fs_rename(path, aside, err)) &&
           fs_sync_dir(r->st->wal_dir, err);
}

// What to do about the end of a log whose good part is in a head now (W4).
static bool settle_tail(struct recovery *r, const char *path, const struct wal_replay_stats *stats,
                        bool newest, struct err *err)
{
    if (stats->ended && stats->torn_bytes == 0)
        return true;
    if (!newest) {
        report(r, "%s: damaged at %" PRIu64 ": %" PRIu64 " records before it are kept, %" PRIu64
               " bytes behind it are not readable; the file stays as %s.damaged",
               path, stats->valid_bytes, stats->records, stats->torn_bytes, path);
        return keep_damaged(r, path, true, err);
    }
    if (r->st->options.read_only) // a server may be at work on it
        return true;
    metric_add(COUNTER_WAL_TORN_BYTES, stats->torn_bytes);
    struct err why;
    if (wal_repair(path, stats, &why))
        return true;
    if (why.code != ERR_FULL) {
        *err = why;
        return false;
    }
    // No newer log may exist before this one is sealed (W4).
    r->st->unended_gen = stats->gen;
    report(r, "%s", why.text);
    return true;
}

static bool replay_wal(struct recovery *r, struct found *f, bool newest, struct err *err)
{
    struct store *st = r->st;
    char path[STORE_PATH_BYTES];
    store_wal_path(st, f->gen, path);
    struct head *head = head_new(f->gen);
    struct wal_replay_stats stats;
    if (!replay_into(st, path, head, &stats, err)) {
        head_unref(head);
        if (err->code != ERR_CORRUPT)
            return false;
        report(r, "%s; the file stays as %s.damaged", err->text, path);
        f->has_wal = false;
        return keep_damaged(r, path, false, err) &&
               (!is_somewhere(f) || f->has_row || settle_orphan(r, f, err));
    }
    struct head_stats in_head;
    head_stats(head, &in_head);
    bool good = true;
    if (in_head.entries + in_head.spans == 0 && (newest || stats.ended)) {
        if (!st->options.read_only)
            good = fs_unlink(path, err);
        f->has_wal = false;
    } else {
        good = settle_tail(r, path, &stats, newest, err);
        if (good && in_head.entries + in_head.spans > 0) {
            struct manifest *with = manifest_with_head(r->heads, head);
            manifest_unref(r->heads);
            r->heads = with;
        }
    }
    head_unref(head);
    return good;
}

static bool settle_wals(struct recovery *r, struct err *err)
{
    uint64_t newest = 0;
    for (size_t i = 0; i < r->count; i++)
        if (r->items[i].has_wal)
            newest = r->items[i].gen;
    for (size_t i = 0; i < r->count; i++) {
        struct found *f = &r->items[i];
        if (!f->has_wal)
            continue;
        if (f->has_row && is_somewhere(f)) {
            char path[STORE_PATH_BYTES];
            store_wal_path(r->st, f->gen, path);
            if (!r->st->options.read_only && !fs_unlink(path, err))
                return false;
            f->has_wal = false;
            continue;
        }
        if (f->has_row && !drop_row(r, f, err))
            return false;
        if (!replay_wal(r, f, f->gen == newest, err))
            return false;
    }
    return true;
}

// --- all together -----------------------------------------------------------------------------------

static bool remove_index(const char *dir, struct err *err)
{
    static const char *const names[] = {"data.mdb", "lock.mdb"};
    char path[STORE_PATH_BYTES + 16];
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        (void)snprintf(path, sizeof path, "%s/%s", dir, names[i]);
        if (!fs_unlink(path, err))
            return false;
    }
    return true;
}

static bool open_index(struct store *st, struct err *err)
{
    if (st->options.read_only)
        return index_open(st->options.scratch_dir, KV_SCRATCH, &st->index, err);
    char dir[STORE_PATH_BYTES];
    (void)snprintf(dir, sizeof dir, "%s/index", st->dir);
    if (!fs_mkdir(dir, err))
        return false;
    if (st->options.rebuild_index && !remove_index(dir, err))
        return false;
    if (!index_open(dir, KV_WRITE, &st->index, err)) {
        if (err->code != ERR_VERSION)
            return false;
        (void)err_wrap(err, "the index is made anew");
        store_report(st, false, err->text);
        if (st->far != NULL)
            st->far->list_bucket = true;
        if (!remove_index(dir, err) || !index_open(dir, KV_WRITE, &st->index, err))
            return false;
    }
    return fs_sync_dir(dir, err);
}

static void report_lost(struct recovery *r, const struct found *f)
{
    char path[STORE_PATH_BYTES];
    store_segment_path(r->st, f->gen, path);
    report(r, "%s: the index names this segment and the file is missing", path);
}

static void fill_manifest(struct recovery *r)
{
    struct store *st = r->st;
    struct manifest_segment *segments = calloc(r->count + 1, sizeof *segments);
    assert(segments != NULL);
    uint32_t count = 0;
    for (size_t i = 0; i < r->count; i++) {
        struct found *f = &r->items[i];
        if (seg_age(f->gen) >= st->gen_next)
            st->gen_next = seg_age(f->gen) + 1;
        if (!f->has_row)
            continue;
        if (!is_somewhere(f))
            report_lost(r, f);
        if (f->seg == NULL)
            f->seg = segment_of(r, f);
        segments[count++] = (struct manifest_segment){f->seg, f->row};
    }
    manifest_unref(st->manifest);
    st->manifest = manifest_of(r->manifest, r->heads, segments, count);
    st->frozen_count = r->heads->heads_count;
    free(segments);
}

// Offline, a listing that is started over finds rows of files that are gone since.
static bool drop_stale_rows(struct recovery *r, struct err *err)
{
    for (size_t i = 0; i < r->count; i++)
        if (r->items[i].has_row && !is_somewhere(&r->items[i]) && !drop_row(r, &r->items[i], err))
            return false;
    return true;
}

static bool settle(struct recovery *r, struct err *err)
{
    return list_all(r, err) && (!r->st->options.read_only || drop_stale_rows(r, err)) &&
           settle_orphans(r, err) && settle_wals(r, err);
}

bool recover(struct store *st, struct err *err)
{
    if (!open_index(st, err))
        return false;
    AUTO(recovery_done) struct recovery r = {.st = st, .heads = manifest_new(0)};
    arena_init(&r.arena, GIB);
    bool good = settle(&r, err);
    for (int i = 1; !good && st->options.read_only && err->code == ERR_NOT_FOUND && i < RELIST_MAX; i++)
        good = settle(&r, err);
    if (!good)
        return false;
    // What was removed stays removed: compaction builds on it.
    if (!st->options.read_only && (!fs_sync_dir(st->segments_dir, err) || !index_complete(st->index, err)))
        return false;
    st->gen_next = 1;
    fill_manifest(&r);
    return true;
}
