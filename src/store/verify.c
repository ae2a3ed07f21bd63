/*
 * verify.c -- reads everything and compares: checksums, records, directories, index rows.
 *
 * A server may be at work, or have been killed: files are listed before rows are read, a segment without a row is fine while
 * its log or all that it was compacted from is there, or what was compacted from it, and a file that vanished meanwhile was published or dropped.
 *
 * In a bucket it is what far_live.h says is live: the published index with its segments, or a backup, whose logs are fetched into the
 * scratch directory first.
 */
#include "store/store.h"

#include "base/fs.h"
#include "base/limits.h"
#include "store/far/far.h"
#include "store/far/far_live.h"
#include "store/segment/filter.h"
#include "store/segment/seg.h"
#include "store/segment/seg_format.h"
#include "store/verify.h"
#include "store/wal.h"

#include <assert.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum { PATH_BYTES = 4096 };

struct verify {
    const struct store_options *options;
    void (*problem)(void *ctx, const char *text);
    void (*progress)(void *ctx, const char *path);
    void *ctx;
    struct store_verify_stats stats;
    uint64_t *wals, *segments; // owned; generations found
    size_t wals_count, wals_room, segments_count, segments_room;
    const char *suffix; // while listing
    struct index *index; // NULL: could not be opened
    struct index_read read;
    struct arena arena;
    struct blob_store *bs; // NULL: no bucket
    struct far_live live;
};

static void verify_done(struct verify *v)
{
    if (v->index != NULL)
        index_read_end(&v->read);
    index_close(v->index);
    free(v->wals);
    free(v->segments);
    arena_done(&v->arena);
    far_live_done(&v->live);
    blob_close(v->bs);
}

void verify_problem(struct verify *v, const char *fmt, ...)
{
    char text[ERR_TEXT_BYTES];
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    v->stats.problems++;
    v->problem(v->ctx, text);
}

void verify_count_spans(struct verify *v, uint32_t spans)
{
    v->stats.span_blocks++;
    v->stats.spans += spans;
}

static void path_of(const struct verify *v, const char *folder, uint64_t gen, char out[PATH_BYTES])
{
    (void)snprintf(out, PATH_BYTES, "%s/%s/%016" PRIx64 ".%s", v->options->dir,
                   folder[0] == 'w' ? "wal" : "segments", gen, folder[0] == 'w' ? "wal" : "seg");
}

// --- listing ----------------------------------------------------------------------------------------

static void add_gen(uint64_t **gens, size_t *count, size_t *room, uint64_t gen)
{
    if (*count == *room) {
        *room = *room == 0 ? 64 : *room * 2;
        *gens = realloc(*gens, *room * sizeof **gens);
        assert(*gens != NULL);
    }
    (*gens)[(*count)++] = gen;
}

static bool visit_file(void *ctx, const char *name, struct err *err)
{
    (void)err;
    struct verify *v = ctx;
    char suffix[8];
    uint64_t gen;
    if (sscanf(name, "%16" SCNx64 ".%7s", &gen, suffix) != 2 || strcmp(suffix, v->suffix) != 0)
        return true;
    if (v->suffix[0] == 'w')
        add_gen(&v->wals, &v->wals_count, &v->wals_room, gen);
    else if (v->options->verify_part == NULL || far_items_find(&v->options->verify_part->segments, gen) != NULL)
        add_gen(&v->segments, &v->segments_count, &v->segments_room, gen);
    return true;
}

static int by_gen(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static bool list(struct verify *v, const char *folder, const char *suffix, struct err *err)
{
    char path[PATH_BYTES];
    (void)snprintf(path, sizeof path, "%s/%s", v->options->dir, folder);
    v->suffix = suffix;
    return fs_list(path, visit_file, v, err);
}

static bool has_gen(const uint64_t *gens, size_t count, uint64_t gen)
{
    return count > 0 && bsearch(&gen, gens, count, sizeof gen, by_gen) != NULL;
}

// A handle on a segment that was listed.
static struct seg *segment_of(const struct verify *v, uint64_t gen)
{
    char path[PATH_BYTES], key[SEG_KEY_BYTES];
    const struct far_item *object = far_items_find(&v->live.segments, gen);
    if (object == NULL) {
        path_of(v, "segments", gen, path);
        return seg_new(path, gen);
    }
    seg_object_key(gen, key);
    (void)snprintf(path, sizeof path, "%s%s", blob_name(v->bs), key);
    struct seg *seg = seg_new(path, gen);
    seg_set_object(seg, v->bs, object->bytes);
    seg_set_where(seg, INDEX_IN_BUCKET);
    return seg;
}

// Whether a segment was published, replaced or dropped since it was listed.
static bool is_gone(const struct verify *v, uint64_t gen, const struct seg *seg)
{
    struct err why;
    struct blob_info info;
    struct snapshot now;
    char key[SEG_KEY_BYTES];
    bool exists;
    if (far_items_find(&v->live.segments, gen) == NULL)
        return fs_exists(seg_path(seg), &exists, &why) && !exists;
    seg_object_key(gen, key);
    return v->live.kind == FAR_PUBLISHED && !blob_head(v->bs, key, &info, &why) && why.code == ERR_NOT_FOUND &&
           snapshot_find(v->bs, &now, &why) && strcmp(now.key, v->live.version) != 0;
}

// Whether all that a segment was made of is there: a compaction under way, or cut short before its commit.
static bool is_rewritten(const struct verify *v, const struct seg_footer *footer)
{
    for (uint32_t i = 0; i < footer->inputs_count; i++)
        if (!has_gen(v->segments, v->segments_count, footer->inputs[i]))
            return false;
    return footer->inputs_count > 0;
}

// Whether a segment was made of it: a compaction's input that is about to go.
static bool is_input(const struct verify *v, uint64_t gen)
{
    for (size_t i = 0; i < v->segments_count; i++) {
        struct err ignored;
        if (seg_rewrites(v->segments[i]) == 0)
            continue;
        AUTO(seg_unrefp) struct seg *seg = segment_of(v, v->segments[i]);
        for (uint32_t n = 0; seg_load(seg, &ignored) && n < seg_footer(seg)->inputs_count; n++)
            if (seg_footer(seg)->inputs[n] == gen)
                return true;
    }
    return false;
}

// --- logs -------------------------------------------------------------------------------------------

static bool check_payload(void *ctx, uint64_t pos, struct slice payload, struct err *err)
{
    (void)pos;
    struct verify *v = ctx;
    struct batch batch;
    v->stats.wal_records++;
    arena_reset(&v->arena);
    return v->options->decode(v->options->decode_ctx, payload, &v->arena, &batch, err);
}

static void check_wal(struct verify *v, uint64_t gen, bool newest)
{
    char path[PATH_BYTES];
    struct wal_replay_stats stats;
    struct err why;
    path_of(v, "wal", gen, path);
    if (v->progress != NULL)
        v->progress(v->ctx, path);
    v->stats.wals++;
    if (!wal_replay(path, gen, check_payload, v, &stats, &why)) {
        if (why.code != ERR_NOT_FOUND) // published meanwhile
            verify_problem(v, "%s", why.text);
        return;
    }
    if (!newest && !stats.ended)
        verify_problem(v, "%s: damaged at %" PRIu64 ": %" PRIu64 " bytes behind it are not readable", path,
                stats.valid_bytes, stats.torn_bytes);
}

// --- segments ---------------------------------------------------------------------------------------

enum { ALL_COLUMNS = (1 << COLUMNS_COUNT) - 1 };

static bool run_is_true(const struct index_run *run, const struct block *b)
{
    if (run->entries_count == 0 || run->first > b->entries_count ||
        run->entries_count > b->entries_count - run->first)
        return false;
    uint64_t bytes = 0;
    for (uint32_t i = run->first; i < run->first + run->entries_count; i++) {
        bytes += b->line_bytes[i];
        if (i > run->first && b->times_ns[i] < b->times_ns[i - 1])
            return false;
        if (!labels_valid(b->metadata[i]))
            return false;
    }
    return bytes == run->line_bytes && b->times_ns[run->first] == run->min_ns &&
           b->times_ns[run->first + run->entries_count - 1] == run->max_ns;
}

// Runs of a segment by block, so that each block is decoded once.
struct placed_run {
    const struct index_run *run;
    const struct index_stream *stream;
};

static int by_block(const void *a, const void *b)
{
    const struct index_run *x = ((const struct placed_run *)a)->run, *y = ((const struct placed_run *)b)->run;
    return x->block != y->block ? (x->block > y->block) - (x->block < y->block)
                                : (x->first > y->first) - (x->first < y->first);
}

static void check_blocks(struct verify *v, struct seg *seg, const struct placed_run *runs, size_t count)
{
    struct seg_reader reader;
    struct block block = {0};
    struct err why;
    seg_reader_init(&reader);
    size_t at = 0;
    for (uint32_t n = 0; n < seg_blocks_count(seg); n++) {
        v->stats.blocks++;
        bool good = seg_read_block(seg, n, ALL_COLUMNS, true, &reader, &block, &why);
        if (!good)
            verify_problem(v, "%s", why.text);
        uint32_t covered = 0;
        for (; at < count && runs[at].run->block == n; at++) {
            if (good && (runs[at].run->first != covered || !run_is_true(runs[at].run, &block)))
                verify_problem(v, "%s: block %u: the stream table does not agree with entries %u..", seg_path(seg), n,
                        runs[at].run->first);
            covered += runs[at].run->entries_count;
            v->stats.entries += runs[at].run->entries_count;
        }
        if (good && covered != block.entries_count)
            verify_problem(v, "%s: block %u: %u entries belong to no stream", seg_path(seg), n,
                    block.entries_count - covered);
    }
    block_done(&block);
    seg_reader_done(&reader);
}

static void check_filters(struct verify *v, struct seg *seg)
{
    struct seg_reader reader;
    struct filter_reader filters;
    struct slice section;
    struct err why;
    seg_reader_init(&reader);
    if (!seg_read_filters(seg, &reader, &section, &why)) {
        verify_problem(v, "%s", why.text);
    } else if (section.ptr != NULL) {
        filter_reader_init(&filters, section);
        bool good = true;
        for (uint32_t n = 0; n < seg_blocks_count(seg) && good; n++)
            good = filter_reader_next(&filters);
        if (!good || !filter_reader_at_end(&filters))
            verify_problem(v, "%s: filters do not add up", seg_path(seg));
    }
    seg_reader_done(&reader);
}

static void check_contents(struct verify *v, struct seg *seg, const struct seg_directory *d)
{
    size_t count = 0;
    for (size_t i = 0; i < d->streams_count; i++)
        count += d->streams[i].runs_count;
    struct placed_run *runs = malloc((count + 1) * sizeof *runs);
    assert(runs != NULL);
    count = 0;
    for (size_t i = 0; i < d->streams_count; i++)
        for (uint32_t n = 0; n < d->streams[i].runs_count; n++)
            runs[count++] = (struct placed_run){&d->streams[i].runs[n], &d->streams[i]};
    qsort(runs, count, sizeof *runs, by_block);
    check_blocks(v, seg, runs, count);
    free(runs);
}

// --- index ------------------------------------------------------------------------------------------

struct compare {
    const struct index_stream *stream;
    bool same;
};

static bool compare_row(void *ctx, size_t at, struct index_row row, struct err *err)
{
    (void)at;
    (void)err;
    struct compare *c = ctx;
    struct index_run run;
    bool bad = false;
    uint32_t n = 0;
    for (; index_row_next(&row, &run, &bad); n++) {
        if (n == c->stream->runs_count)
            return true;
        const struct index_run *want = &c->stream->runs[n];
        if (run.block != want->block || run.first != want->first ||
            run.entries_count != want->entries_count || run.min_ns != want->min_ns ||
            run.max_ns != want->max_ns || run.line_bytes != want->line_bytes)
            return true;
    }
    c->same = !bad && n == c->stream->runs_count;
    return true;
}

static bool index_agrees(struct verify *v, uint64_t gen, const struct index_stream *stream)
{
    uint32_t ns;
    uint64_t id;
    struct slice labels;
    struct err why;
    if (!index_namespace(&v->read, stream->tenant, &ns, &why) ||
        !index_find_stream(&v->read, ns, stream->fingerprint, &id, &why) ||
        !index_labels(&v->read, ns, id, &labels, &why) || !slice_eq(labels, stream->labels))
        return false;
    struct compare c = {.stream = stream};
    struct stream_ids ids = {&id, 1};
    return index_rows(&v->read, ns, gen, &ids, compare_row, &c, &why) && c.same;
}

static void check_rows(struct verify *v, struct seg *seg, uint64_t gen, const struct seg_directory *d)
{
    uint64_t wrong = 0;
    for (size_t i = 0; i < d->streams_count; i++) {
        v->stats.streams++;
        wrong += !index_agrees(v, gen, &d->streams[i]);
    }
    if (wrong > 0)
        verify_problem(v, "%s: the index does not agree about %" PRIu64 " of %zu streams", seg_path(seg), wrong,
                d->streams_count);
}

struct looked_for {
    uint64_t gen;
    bool found;
};

static bool is_found(void *ctx, uint64_t gen, struct err *err)
{
    (void)err;
    struct looked_for *l = ctx;
    l->found |= gen == l->gen;
    return true;
}

static bool index_finds(struct verify *v, uint32_t ns, uint64_t gen, uint64_t hash)
{
    struct looked_for l = {.gen = gen};
    struct err why;
    return index_trace_segments(&v->read, ns, hash, is_found, &l, &why) && l.found;
}

static void check_traces(struct verify *v, struct seg *seg, uint64_t gen, const struct seg_directory *d)
{
    uint64_t missing = 0;
    struct err why;
    for (size_t i = 0; i < d->traces_count; i++) {
        uint32_t ns;
        bool known = index_namespace(&v->read, d->traces[i].tenant, &ns, &why);
        for (size_t n = 0; n < d->traces[i].count; n++)
            missing += !known || !index_finds(v, ns, gen, d->traces[i].hashes[n]);
    }
    if (missing > 0)
        verify_problem(v, "%s: the index does not find %" PRIu64 " of its traces", seg_path(seg), missing);
}

// Whether a backup's object is the segment that the backup names.
static void check_named(struct verify *v, uint64_t gen, const struct seg *seg)
{
    const struct far_item *named = far_items_find(&v->live.segments, gen);
    uint8_t trailer[SEG_TRAILER_BYTES];
    char key[SEG_KEY_BYTES];
    uint64_t pos, check;
    struct err why;
    if (v->live.kind != FAR_BACKUP || named == NULL)
        return;
    seg_object_key(gen, key);
    if (!blob_get(v->bs, key, named->bytes - sizeof trailer, trailer, sizeof trailer, &why) ||
        !seg_get_trailer(slice_of(trailer, sizeof trailer), named->bytes, &pos, &check, &why))
        verify_problem(v, "%s", why.text);
    else if (check != named->check)
        verify_problem(v, "%s: is another segment than the backup names", seg_path(seg));
}

static void check_segment(struct verify *v, uint64_t gen, bool has_row)
{
    struct err why;
    AUTO(seg_unrefp) struct seg *seg = segment_of(v, gen);
    AUTO(seg_directory_done) struct seg_directory d = {0};
    if (v->progress != NULL)
        v->progress(v->ctx, seg_path(seg));
    if (!seg_load(seg, &why) || !seg_read_directory(seg, &d, &why)) {
        if ((has_row && v->bs == NULL) || !is_gone(v, gen, seg))
            verify_problem(v, "%s", why.text);
        return;
    }
    check_named(v, gen, seg);
    uint64_t problems = v->stats.problems;
    v->stats.segments++;
    v->stats.segment_bytes += seg_footer(seg)->totals.file_bytes;
    check_filters(v, seg);
    check_contents(v, seg, &d);
    verify_spans(v, seg);
    bool deep = v->options->verify_deep && v->stats.problems == problems; // tables can be trusted
    if (deep)
        verify_deep(v, seg, &d);
    if (has_row) {
        check_rows(v, seg, gen, &d);
        check_traces(v, seg, gen, &d);
        if (deep)
            verify_deep_index(v, &v->read, seg, gen, &d);
    } else if (v->index != NULL && !has_gen(v->wals, v->wals_count, gen) && !is_rewritten(v, seg_footer(seg)) &&
               !is_input(v, gen))
        verify_problem(v, "%s: the index has no row for this segment", seg_path(seg));
}

static void open_index(struct verify *v)
{
    char dir[PATH_BYTES];
    struct err why;
    if (v->bs != NULL)
        (void)snprintf(dir, sizeof dir, "%s", v->live.index_dir);
    else
        (void)snprintf(dir, sizeof dir, "%s/index", v->options->dir);
    if (!index_open(dir, KV_READ, &v->index, &why)) {
        if (v->segments_count > 0)
            verify_problem(v, "%s", why.text);
        return;
    }
    if (!index_read_begin(v->index, &v->read, &why)) {
        verify_problem(v, "%s", why.text);
        index_close(v->index);
        v->index = NULL;
    }
}

static bool check_all(struct verify *v, struct err *err)
{
    struct index_segment *rows = NULL;
    size_t rows_count = 0;
    struct arena rows_arena;
    arena_init(&rows_arena, GIB);
    if (v->index != NULL && !index_segments(&v->read, &rows_arena, &rows, &rows_count, err)) {
        arena_done(&rows_arena);
        return false;
    }
    for (size_t i = 0; i < v->wals_count; i++)
        check_wal(v, v->wals[i], i + 1 == v->wals_count);
    size_t at = 0;
    for (size_t i = 0; i < v->segments_count || at < rows_count;) {
        // The lesser of the two lists; equal ones are a segment with its row.
        bool file = i < v->segments_count && (at == rows_count || v->segments[i] <= rows[at].gen);
        bool row = at < rows_count && (i == v->segments_count || rows[at].gen <= v->segments[i]);
        if (!file && (v->bs != NULL || (rows[at].where & INDEX_IN_BUCKET) != 0))
            v->stats.far_segments++;
        else
            check_segment(v, file ? v->segments[i] : rows[at].gen, row);
        i += file;
        at += row;
    }
    arena_done(&rows_arena);
    return true;
}

static void take_part(struct verify *v, const struct far_live *part)
{
    v->live.kind = FAR_BACKUP;
    v->live.deletions = part->deletions;
    for (size_t i = 0; i < part->segments.count; i++)
        far_items_add(&v->live.segments, &part->segments.items[i]);
    for (size_t i = 0; i < part->logs.count; i++)
        far_items_add(&v->live.logs, &part->logs.items[i]);
}

static bool list_bucket(struct verify *v, struct err *err)
{
    const struct store_options *o = v->options;
    struct err why;
    if (!blob_open(o->bucket, &v->bs, err))
        return false;
    if (o->bucket_gen != 0) {
        char key[SEG_KEY_BYTES];
        struct blob_info info;
        seg_object_key(o->bucket_gen, key);
        if (!blob_head(v->bs, key, &info, err))
            return false;
        v->live.kind = FAR_OBJECTS;
        far_items_add(&v->live.segments, &(struct far_item){.gen = o->bucket_gen, .bytes = info.bytes});
    } else if (o->verify_part != NULL) {
        take_part(v, o->verify_part);
    } else if (!far_live(v->bs, o->scratch_dir, &v->live, err)) {
        return false;
    }
    if (o->bucket_gen == 0 && !far_fetch_rest(v->bs, &v->live, o->dir, &why))
        verify_problem(v, "%s", why.text);
    for (size_t i = 0; i < v->live.segments.count; i++)
        add_gen(&v->segments, &v->segments_count, &v->segments_room, v->live.segments.items[i].gen);
    return true;
}

bool store_verify(const struct store_options *options, void (*problem_fn)(void *ctx, const char *text),
                  void (*progress)(void *ctx, const char *path), void *ctx,
                  struct store_verify_stats *stats_out, struct err *err)
{
    AUTO(verify_done) struct verify v = {
        .options = options, .problem = problem_fn, .progress = progress, .ctx = ctx};
    arena_init(&v.arena, INGEST_ARENA_BYTES_MAX);
    if (options->bucket != NULL && !list_bucket(&v, err))
        return false;
    if (!list(&v, "wal", "wal", err) || !list(&v, "segments", "seg", err))
        return false;
    bool exists;
    char incomplete[PATH_BYTES];
    (void)snprintf(incomplete, sizeof incomplete, "%s/" STORE_INCOMPLETE, options->dir);
    if (fs_exists(incomplete, &exists, err) && exists)
        verify_problem(&v, "%s: a backup or restore into this directory was cut short", incomplete);
    if (v.wals_count > 0)
        qsort(v.wals, v.wals_count, sizeof *v.wals, by_gen);
    if (v.segments_count > 0)
        qsort(v.segments, v.segments_count, sizeof *v.segments, by_gen);
    if (!options->read_only || v.live.index_dir[0] != '\0')
        open_index(&v);
    if (!check_all(&v, err))
        return false;
    *stats_out = v.stats;
    return true;
}
