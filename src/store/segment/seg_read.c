/*
 * seg_read.c -- a counted handle on a segment, file or object: opens late, verifies, decodes blocks.
 *
 * G4  Nothing read from it is used before its checksum matched.
 * G5  The file is opened once; its descriptor keeps the bytes readable after an unlink (S4).
 */
#include "store/segment/seg.h"

#include "base/codec.h"
#include "base/limits.h"
#include "base/metric.h"
#include "store/segment/block_table.h"
#include "store/segment/seg_fetch.h"
#include "store/segment/seg_format.h"
#include "store/segment/seg_section.h"

#include <assert.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

struct seg {
    // Set by seg_new().
    char *path;
    uint64_t gen;
    atomic_uint refs;
    atomic_uint where; // enum index_where
    // Set by seg_set_object(), before any other thread has the segment.
    struct blob_store *bs; // borrowed
    uint64_t object_bytes;
    char key[SEG_KEY_BYTES];
    // Set once by seg_load().
    pthread_mutex_t load_lock;
    atomic_bool loaded;
    struct seg_source source;
    struct seg_footer footer;
    struct block_table *blocks; // owned
    // Set once by seg_load_spans().
    atomic_bool spans_loaded;
    struct arena spans_arena;
    struct seg_span_table spans;
};

struct seg *seg_new(const char *path, uint64_t gen)
{
    struct seg *seg = calloc(1, sizeof *seg);
    assert(seg != NULL);
    seg->path = strdup(path);
    assert(seg->path != NULL);
    seg->gen = gen;
    atomic_init(&seg->refs, 1);
    atomic_init(&seg->where, INDEX_IN_FILE);
    atomic_init(&seg->loaded, false);
    atomic_init(&seg->spans_loaded, false);
    arena_init(&seg->spans_arena, 2 * SEGMENT_TABLE_BYTES_MAX + MIB);
    pthread_mutex_init(&seg->load_lock, NULL);
    return seg;
}

struct seg *seg_ref(struct seg *seg)
{
    atomic_fetch_add_explicit(&seg->refs, 1, memory_order_relaxed);
    return seg;
}

void seg_unref(struct seg *seg)
{
    if (seg == NULL || atomic_fetch_sub_explicit(&seg->refs, 1, memory_order_acq_rel) > 1)
        return;
    seg_source_close(&seg->source);
    arena_done(&seg->spans_arena);
    block_table_free(seg->blocks);
    free(seg->path);
    pthread_mutex_destroy(&seg->load_lock);
    free(seg);
}

void seg_set_object(struct seg *seg, struct blob_store *bs, uint64_t bytes)
{
    seg->bs = bs;
    seg->object_bytes = bytes;
    seg_object_key(seg->gen, seg->key);
}

void seg_object_key(uint64_t gen, char out[SEG_KEY_BYTES])
{
    (void)snprintf(out, SEG_KEY_BYTES, SEG_KEY_PREFIX "%016" PRIx64 ".seg", gen);
}

unsigned seg_where(const struct seg *seg)
{
    return atomic_load_explicit(&seg->where, memory_order_acquire);
}

void seg_set_where(struct seg *seg, unsigned where)
{
    atomic_store_explicit(&seg->where, where, memory_order_release);
}

const char *seg_path(const struct seg *seg)
{
    return seg->path;
}

const struct seg_footer *seg_footer(const struct seg *seg)
{
    return &seg->footer;
}

uint32_t seg_blocks_count(const struct seg *seg)
{
    return (uint32_t)seg->footer.totals.blocks;
}

const struct block_place *seg_block_place(const struct seg *seg, uint32_t block)
{
    assert(block < seg->footer.totals.blocks);
    return &block_table_places(seg->blocks)[block];
}

// --- loading ----------------------------------------------------------------------------------------

static bool read_header(const struct seg_source *s, struct seg_footer *f, struct err *err)
{
    uint8_t bytes[SEG_HEADER_FIXED_BYTES + sizeof f->inputs + 8];
    size_t len = s->bytes < sizeof bytes ? (size_t)s->bytes : sizeof bytes, header_bytes;
    return seg_source_read(s, 0, bytes, len, err) &&
           seg_get_header(slice_of(bytes, len), f, &header_bytes, err);
}

static bool read_footer(const struct seg_source *s, struct seg_footer *f, struct err *err)
{
    uint8_t trailer[SEG_TRAILER_BYTES];
    uint64_t file_bytes = s->bytes;
    if (file_bytes < SEG_HEADER_FIXED_BYTES + SEG_TRAILER_BYTES)
        return err_set(err, ERR_CORRUPT, "%" PRIu64 " bytes are no segment", file_bytes);
    uint64_t pos, check;
    if (!seg_source_read(s, file_bytes - sizeof trailer, trailer, sizeof trailer, err) ||
        !seg_get_trailer(slice_of(trailer, sizeof trailer), file_bytes, &pos, &check, err))
        return false;
    uint8_t bytes[64 * KIB];
    size_t len = (size_t)(file_bytes - sizeof trailer - pos);
    if (!seg_source_read(s, pos, bytes, len, err))
        return false;
    if (hash64(slice_of(bytes, len)) != check)
        return err_set(err, ERR_CORRUPT, "footer: checksum does not match");
    f->totals.file_bytes = file_bytes;
    return seg_get_footer(slice_of(bytes, len), f, err);
}

// The file, where there is one; else the object.
static bool open_source(struct seg *seg, struct seg_source *out, struct err *err)
{
    if (seg_source_open_file(seg->path, out, err))
        return true;
    if (err->code == ERR_NOT_FOUND && seg->bs != NULL && (seg_where(seg) & INDEX_IN_BUCKET) != 0) {
        if (seg_source_open_object(seg->bs, seg->key, seg->path, seg->object_bytes, out, err))
            return true;
        (void)err_wrap(err, "segment %016" PRIx64, seg->gen);
    }
    if (err->code == ERR_NOT_FOUND) // S2: a row without its file or object
        err->code = ERR_CORRUPT;
    return false;
}

static bool load_from(struct seg *seg, const struct seg_source *source, struct err *err)
{
    if (!read_header(source, &seg->footer, err) || !read_footer(source, &seg->footer, err))
        return err_wrap(err, "%s", seg->path);
    if (seg->footer.gen != seg->gen)
        return err_set(err, ERR_CORRUPT, "%s: header says generation %016" PRIx64, seg->path,
                       seg->footer.gen);
    return block_table_open(source, &seg->footer, &seg->blocks, err) || err_wrap(err, "%s", seg->path);
}

static bool load_spans(struct seg *seg, const struct seg_source *source, struct err *err)
{
    struct seg_footer *f = &seg->footer;
    const struct seg_section_place *blocks = seg_section_find(f, SECTION_SPANS), *refs = seg_section_find(f, SECTION_TRACES);
    struct slice raw;
    if (seg_section_find(f, SECTION_SPAN_TABLE) == NULL)
        return true;
    if (!seg_section_fits(f, blocks) || !seg_section_fits(f, refs))
        return err_set(err, ERR_CORRUPT, "%s: footer: spans are missing or out of bounds", seg->path);
    arena_reset(&seg->spans_arena);
    if (!seg_section_read(source, f, SECTION_SPAN_TABLE, &seg->spans_arena, &raw, err) ||
        !seg_span_table_get(raw, blocks->pos, blocks->pos + blocks->stored_bytes, refs->pos,
                            refs->pos + refs->stored_bytes, &seg->spans_arena, &seg->spans, err))
        return err_wrap(err, "%s", seg->path);
    seg_span_table_totals(&seg->spans, &f->totals);
    return true;
}

// With its spans, where they are asked for first: their table lies in the tail, too.
static bool load(struct seg *seg, bool spans, struct err *err)
{
    AUTO(seg_source_close) struct seg_source source = {0};
    if (!open_source(seg, &source, err) || !load_from(seg, &source, err))
        return false;
    if (spans && !load_spans(seg, &source, err)) {
        block_table_free(MOVE(seg->blocks));
        return false;
    }
    seg_source_forget_tail(&source);
    seg->source = source;
    source = (struct seg_source){0};
    return true;
}

bool seg_load(struct seg *seg, struct err *err)
{
    if (atomic_load_explicit(&seg->loaded, memory_order_acquire))
        return true;
    pthread_mutex_lock(&seg->load_lock);
    bool good = atomic_load_explicit(&seg->loaded, memory_order_relaxed) || load(seg, false, err);
    if (good)
        atomic_store_explicit(&seg->loaded, true, memory_order_release);
    pthread_mutex_unlock(&seg->load_lock);
    if (!good && err->code == ERR_CORRUPT)
        metric_add(COUNTER_CORRUPT_READS, 1);
    return good;
}

// --- spans ------------------------------------------------------------------------------------------

// Reads bytes of the file for trace_table_find() and span_block_open().
static bool read_refs(void *ctx, uint64_t pos, uint8_t *to, size_t bytes, struct err *err)
{
    struct seg *seg = ctx;
    return seg_source_read(&seg->source, pos, to, bytes, err);
}

// Reads all of them, page by page.
struct refs_scan {
    struct seg *seg;
    const struct seg_section_place *section;
    struct seg_ahead ahead;
};

static void refs_scan_done(struct refs_scan *scan)
{
    seg_ahead_done(&scan->ahead);
}

static bool scan_refs(void *ctx, uint64_t pos, uint8_t *to, size_t bytes, struct err *err)
{
    struct refs_scan *scan = ctx;
    return seg_ahead_read(&scan->seg->source, &scan->ahead, scan->section->pos,
                             scan->section->pos + scan->section->stored_bytes, pos, to, bytes, err);
}

bool seg_load_spans(struct seg *seg, struct err *err)
{
    if (atomic_load_explicit(&seg->spans_loaded, memory_order_acquire))
        return true;
    pthread_mutex_lock(&seg->load_lock);
    bool good = atomic_load_explicit(&seg->spans_loaded, memory_order_relaxed);
    if (!good)
        good = atomic_load_explicit(&seg->loaded, memory_order_relaxed) ? load_spans(seg, &seg->source, err)
                                                                        : load(seg, true, err);
    if (good) {
        atomic_store_explicit(&seg->loaded, true, memory_order_release);
        atomic_store_explicit(&seg->spans_loaded, true, memory_order_release);
    }
    pthread_mutex_unlock(&seg->load_lock);
    if (!good && err->code == ERR_CORRUPT)
        metric_add(COUNTER_CORRUPT_READS, 1);
    return good;
}

const struct seg_span_table *seg_span_table(const struct seg *seg)
{
    return &seg->spans;
}

const struct seg_span_tenant *seg_span_tenant(const struct seg *seg, struct slice tenant)
{
    return seg_span_table_find(&seg->spans, tenant);
}

struct block_source {
    struct seg *seg;
    uint64_t pos;
    struct slice whole; // the block, when it was read at once
};

static bool read_span_block(void *ctx, uint64_t pos, size_t bytes, struct arena *a, struct slice *out, struct err *err)
{
    const struct block_source *source = ctx;
    if (source->whole.ptr != NULL) {
        *out = pos <= source->whole.len ? slice_from(source->whole, pos) : (struct slice){0};
        out->len = bytes < out->len ? bytes : out->len; // the caller sees when it is less
        return true;
    }
    uint8_t *to = arena_alloc(a, bytes + 1);
    if (to == NULL)
        return arena_ok(a, "span block", err);
    *out = slice_of(to, bytes);
    return seg_source_read(&source->seg->source, source->pos + pos, to, bytes, err);
}

static bool open_span_block(struct seg *seg, const struct span_block_place *place, struct slice whole, struct arena *a,
                            struct span_block *out, struct err *err)
{
    struct block_source *source = arena_alloc(a, sizeof *source);
    if (source == NULL)
        return arena_ok(a, "span block", err);
    *source = (struct block_source){seg, place->pos, whole};
    return span_block_open(place, read_span_block, source, zbuf_of_thread(), a, out, err) ||
           err_wrap(err, "%s: span block at %" PRIu64, seg->path, place->pos);
}

bool seg_open_span_block(struct seg *seg, const struct span_block_place *place, struct arena *a, struct span_block *out,
                         struct err *err)
{
    return open_span_block(seg, place, (struct slice){0}, a, out, err);
}

bool seg_read_span_block(struct seg *seg, const struct span_block_place *place, struct arena *a, struct span_block *out,
                         struct err *err)
{
    uint8_t *whole = arena_alloc(a, (size_t)place->total_bytes + 1);
    if (whole == NULL)
        return arena_ok(a, "span block", err);
    return seg_source_read(&seg->source, place->pos, whole, place->total_bytes, err) &&
           open_span_block(seg, place, slice_of(whole, place->total_bytes), a, out, err);
}

bool seg_find_trace(struct seg *seg, const struct trace_table *table, enum trace_ref_kind kind, uint64_t hash,
                    bool (*visit)(void *ctx, const struct trace_ref *ref, struct err *err), void *ctx, struct err *err)
{
    return trace_table_find(table, kind, hash, read_refs, seg, visit, ctx, err) || err_wrap(err, "%s", seg->path);
}

bool seg_all_traces(struct seg *seg, const struct trace_table *table, enum trace_ref_kind kind,
                    bool (*visit)(void *ctx, const struct trace_ref *ref, struct err *err), void *ctx, struct err *err)
{
    AUTO(refs_scan_done) struct refs_scan scan = {.seg = seg, .section = seg_section_find(&seg->footer, SECTION_TRACES)};
    seg_ahead_init(&scan.ahead);
    return trace_table_all(table, kind, scan_refs, &scan, visit, ctx, err) || err_wrap(err, "%s", seg->path);
}

// --- directory --------------------------------------------------------------------------------------

struct gathered_hashes {
    struct arena *a;
    uint64_t *items;
    size_t count, room;
};

static bool gather_hash(void *ctx, const struct trace_ref *ref, struct err *err)
{
    struct gathered_hashes *g = ctx;
    if (!arena_grow(g->a, (void **)&g->items, sizeof *g->items, g->count, &g->room))
        return arena_ok(g->a, "traces of a segment", err);
    g->items[g->count++] = ref->hash;
    return true;
}

static int by_value(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static bool read_traces(struct seg *seg, struct seg_directory *d, struct err *err)
{
    if (!seg_load_spans(seg, err))
        return false;
    d->traces_count = seg->spans.tenants_count;
    d->traces = arena_array(&d->arena, d->traces_count + 1, sizeof *d->traces);
    if (d->traces == NULL)
        return arena_ok(&d->arena, "traces of a segment", err);
    for (size_t i = 0; i < d->traces_count; i++) {
        const struct seg_span_tenant *t = &seg->spans.tenants[i];
        struct gathered_hashes g = {.a = &d->arena};
        if (!seg_all_traces(seg, &t->spans, TRACE_REF_SPANS, gather_hash, &g, err) ||
            !seg_all_traces(seg, &t->entries, TRACE_REF_ENTRIES, gather_hash, &g, err))
            return false;
        if (g.count > 0)
            qsort(g.items, g.count, sizeof *g.items, by_value);
        size_t kept = 0;
        for (size_t n = 0; n < g.count; n++)
            if (kept == 0 || g.items[kept - 1] != g.items[n])
                g.items[kept++] = g.items[n];
        struct slice tenant = arena_copy(&d->arena, t->tenant);
        d->traces[i] = (struct index_traces){tenant, g.items, kept};
    }
    return arena_ok(&d->arena, "traces of a segment", err);
}

bool seg_read_directory(struct seg *seg, struct seg_directory *directory_out, struct err *err)
{
    if (!seg_load(seg, err))
        return false;
    AUTO(seg_directory_done) struct seg_directory d = {0};
    arena_init(&d.arena, 4 * SEGMENT_TABLE_BYTES_MAX);
    struct slice raw;
    if (!block_table_get_all(seg->blocks, &seg->source, err) ||
        !seg_section_read(&seg->source, &seg->footer, SECTION_STREAMS, &d.arena, &raw, err) ||
        !seg_get_directory(raw, &seg->footer, block_table_places(seg->blocks), &d, err))
        return err_wrap(err, "%s", seg->path);
    if (!read_traces(seg, &d, err))
        return false;
    *directory_out = d;
    d = (struct seg_directory){0};
    return true;
}

bool seg_read_filters(struct seg *seg, struct seg_reader *r, struct slice *filters_out, struct err *err)
{
    if (!seg_load(seg, err))
        return false;
    const struct seg_section_place *s = seg_section_find(&seg->footer, SECTION_FILTERS);
    *filters_out = (struct slice){0};
    if (s == NULL)
        return true;
    if (s->encoding != ENCODING_RAW || s->stored_bytes > SEGMENT_TABLE_BYTES_MAX || !seg_section_fits(&seg->footer, s))
        return err_set(err, ERR_CORRUPT, "%s: filters are out of bounds", seg->path);
    buf_reset(&r->stored);
    uint8_t *stored = buf_reserve(&r->stored, s->stored_bytes + 1);
    if (stored == NULL)
        return err_set(err, ERR_LIMIT, "%s: no memory for filters", seg->path);
    if (!seg_source_read(&seg->source, s->pos, stored, s->stored_bytes, err))
        return false;
    if (hash64(slice_of(stored, s->stored_bytes)) != s->check) {
        metric_add(COUNTER_CORRUPT_READS, 1);
        return err_set(err, ERR_CORRUPT, "%s: filters: checksum does not match", seg->path);
    }
    r->stored_bytes += s->stored_bytes;
    *filters_out = slice_of(stored, s->stored_bytes);
    return true;
}

void seg_directory_done(struct seg_directory *d)
{
    arena_done(&d->arena);
    *d = (struct seg_directory){0};
}

// --- blocks -----------------------------------------------------------------------------------------

void seg_reader_init(struct seg_reader *r)
{
    *r = (struct seg_reader){.z = zbuf_new()};
    buf_init(&r->stored, 0);
    buf_init(&r->scratch, 0);
    for (int c = 0; c < COLUMNS_COUNT; c++)
        seg_ahead_init(&r->ahead[c]);
}

void seg_reader_done(struct seg_reader *r)
{
    zbuf_free(r->z);
    buf_done(&r->stored);
    buf_done(&r->scratch);
    for (int c = 0; c < COLUMNS_COUNT; c++)
        seg_ahead_done(&r->ahead[c]);
    *r = (struct seg_reader){0};
}

static bool is_loaded(const struct seg *seg)
{
    return atomic_load_explicit(&seg->loaded, memory_order_acquire);
}

bool seg_is_far(const struct seg *seg)
{
    return is_loaded(seg) ? seg_source_is_far(&seg->source) : (seg_where(seg) & INDEX_IN_FILE) == 0;
}

bool seg_has_found_block(const struct seg *seg, uint32_t block)
{
    return is_loaded(seg) && (block >= seg->footer.totals.blocks || block_table_has(seg->blocks, block));
}

static bool find_block(struct seg *seg, uint32_t block, const struct block_place **place_out, struct err *err)
{
    if (!seg_load(seg, err))
        return false;
    if (block >= seg->footer.totals.blocks)
        return err_set(err, ERR_CORRUPT, "%s: the index names block %u of %" PRIu64, seg->path, block, seg->footer.totals.blocks);
    if (block_table_get(seg->blocks, &seg->source, block, place_out, err))
        return true;
    if (err->code == ERR_CORRUPT)
        metric_add(COUNTER_CORRUPT_READS, 1);
    return err_wrap(err, "%s", seg->path);
}

bool seg_find_block(struct seg *seg, uint32_t block, struct err *err)
{
    const struct block_place *place;
    return find_block(seg, block, &place, err);
}

bool seg_read_bytes(struct seg *seg, uint64_t pos, void *to, size_t len, struct err *err)
{
    return seg_source_read(&seg->source, pos, to, len, err);
}

unsigned seg_block_ranges(const struct seg *seg, uint32_t block, unsigned mask, struct seg_range out[COLUMNS_COUNT])
{
    unsigned count = 0;
    if (block >= seg->footer.totals.blocks)
        return 0; // who reads it says so
    const struct block_place *p = seg_block_place(seg, block);
    for (int c = 0; c < COLUMNS_COUNT; c++) {
        const struct column_place *column = &p->columns[c];
        if ((mask & 1u << c) == 0)
            continue;
        uint64_t from, to;
        block_table_neighbours(seg->blocks, block, (enum block_column)c, &from, &to);
        if (count > 0 && out[count - 1].pos + out[count - 1].bytes == column->pos) {
            out[count - 1].bytes += column->stored_bytes;
            out[count - 1].to = to;
        } else {
            out[count++] = (struct seg_range){column->pos, column->stored_bytes, from, to};
        }
    }
    return count;
}

// From what was read ahead, where somebody reads ahead; else with a window of the reader's own.
static bool read_stored(struct seg *seg, struct seg_reader *r, struct seg_ahead *ahead, uint64_t pos, void *into, size_t bytes, struct err *err)
{
    const struct seg_section_place *blocks = seg_section_find(&seg->footer, SECTION_BLOCKS);
    if (r->fetcher == NULL || !seg_source_is_far(&seg->source))
        return seg_ahead_read(&seg->source, ahead, blocks->pos, blocks->pos + blocks->stored_bytes, pos, into, bytes, err);
    return seg_fetcher_take(r->fetcher, seg, pos, into, bytes) || seg_source_read(&seg->source, pos, into, bytes, err);
}

// Reads the stored bytes of columns [from, to), which are neighbours, in one call and decodes them.
static bool read_columns(struct seg *seg, const struct block_place *p, int from, int to,
                         struct seg_reader *r, struct block *b, struct err *err)
{
    const struct column_place *columns = p->columns;
    size_t bytes = (size_t)(columns[to - 1].pos - columns[from].pos) + columns[to - 1].stored_bytes;
    buf_reset(&r->stored);
    uint8_t *stored = buf_reserve(&r->stored, bytes + 1);
    if (stored == NULL)
        return err_set(err, ERR_LIMIT, "%s: no memory for %zu bytes", seg->path, bytes);
    if (!read_stored(seg, r, &r->ahead[from], columns[from].pos, stored, bytes, err))
        return false;
    r->stored_bytes += bytes;
    for (int c = from; c < to; c++) {
        if (!block_decode(b, (enum block_column)c, &columns[c], slice_of(stored, columns[c].stored_bytes), r->z, &r->scratch, err))
            return false;
        stored += columns[c].stored_bytes;
        r->raw_bytes += columns[c].raw_bytes;
    }
    return true;
}

bool seg_read_block(struct seg *seg, uint32_t block, unsigned mask, bool fresh, struct seg_reader *r,
                    struct block *to, struct err *err)
{
    const struct block_place *p;
    if (!find_block(seg, block, &p, err))
        return false;
    if (fresh)
        block_reset(to, p->entries_count);
    unsigned missing = mask & ~to->columns;
    if (r->fetcher != NULL && seg_source_is_far(&seg->source))
        seg_fetcher_need(r->fetcher, seg, block, missing);
    for (int from = 0, end; from < COLUMNS_COUNT; from = end) {
        end = from + 1;
        if ((missing & 1u << from) == 0)
            continue;
        while (end < COLUMNS_COUNT && (missing & 1u << end) != 0 &&
               p->columns[end].pos == p->columns[end - 1].pos + p->columns[end - 1].stored_bytes)
            end++;
        if (!read_columns(seg, p, from, end, r, to, err)) {
            to->columns = 0;
            if (err->code == ERR_CORRUPT)
                metric_add(COUNTER_CORRUPT_READS, 1);
            return err_wrap(err, "%s: block %u at %" PRIu64, seg->path, block, p->columns[from].pos);
        }
    }
    return true;
}
