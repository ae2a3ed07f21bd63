/*
 * seg_spans.c -- see seg_spans.h.
 *
 *     span blocks   section 4: block by block, tenant by tenant
 *     span table    section 5: per tenant its blocks, and the first hash and check of each page of
 * references trace refs    section 6: per tenant the pages of its spans, then those of its entries
 */
#include "store/seg_spans.h"

#include "base/codec.h"
#include "base/labels.h"
#include "base/limits.h"

#include <assert.h>
#include <stdlib.h>

// --- writing
// ----------------------------------------------------------------------------------------

struct tenant_writer {
    struct slice tenant;             // borrowed until the writer is freed
    struct span_block_place *blocks; // owned, as all below
    uint32_t blocks_count, blocks_room;
    struct trace_refs spans, entries;
    struct hash128 *streams;
    uint32_t streams_count, streams_room;
};

struct seg_spans_writer {
    struct span_block_writer *block;
    struct tenant_writer *tenants; // owned; ascending once put
    uint32_t tenants_count, tenants_room;
    uint32_t current;           // whose entries or spans came last; UINT32_MAX: none
    uint32_t span_tenant;       // whose spans are in `block`
    uint64_t span_trace;     // hash of the last span's trace
    bool last_traced;           // whether the last entry carries a trace's ID, and which
    uint64_t last_hash;
};

struct seg_spans_writer *seg_spans_writer_new(int level)
{
    struct seg_spans_writer *w = calloc(1, sizeof *w);
    assert(w != NULL);
    w->block = span_block_writer_new(level);
    w->current = UINT32_MAX;
    return w;
}

void seg_spans_writer_free(struct seg_spans_writer *w)
{
    if (w == NULL)
        return;
    span_block_writer_free(w->block);
    for (uint32_t i = 0; i < w->tenants_count; i++) {
        free(w->tenants[i].blocks);
        trace_refs_done(&w->tenants[i].spans);
        trace_refs_done(&w->tenants[i].entries);
        free(w->tenants[i].streams);
    }
    free(w->tenants);
    free(w);
}

static void *grow(void *items, uint32_t count, uint32_t *room, size_t item_bytes)
{
    if (count < *room)
        return items;
    *room = *room == 0 ? 16 : *room * 2;
    items = realloc(items, *room * item_bytes);
    assert(items != NULL);
    return items;
}

static struct tenant_writer *tenant_of(struct seg_spans_writer *w, struct slice tenant)
{
    if (w->current != UINT32_MAX && slice_eq(w->tenants[w->current].tenant, tenant))
        return &w->tenants[w->current];
    for (w->current = 0; w->current < w->tenants_count; w->current++)
        if (slice_eq(w->tenants[w->current].tenant, tenant))
            return &w->tenants[w->current];
    w->tenants = grow(w->tenants, w->tenants_count, &w->tenants_room, sizeof *w->tenants);
    w->tenants[w->tenants_count++] = (struct tenant_writer){.tenant = tenant};
    return &w->tenants[w->current];
}

void seg_spans_entry(struct seg_spans_writer *w, struct slice tenant, struct hash128 fingerprint,
                     struct slice metadata, bool same, uint32_t block)
{
    if (!same) {
        uint8_t trace_id[TRACE_ID_BYTES];
        w->last_traced = trace_id_of_entry(metadata, trace_id);
        w->last_hash = w->last_traced ? trace_hash(trace_id) : 0;
    }
    if (!w->last_traced)
        return;
    struct tenant_writer *t = tenant_of(w, tenant);
    if (t->streams_count == 0 || !hash128_eq(t->streams[t->streams_count - 1], fingerprint)) {
        t->streams = grow(t->streams, t->streams_count, &t->streams_room, sizeof *t->streams);
        t->streams[t->streams_count++] = fingerprint;
    }
    trace_refs_add(&t->entries, &(struct trace_ref){w->last_hash, t->streams_count - 1, block});
}

bool seg_spans_end(struct seg_spans_writer *w, struct buf *out, uint64_t pos, struct err *err)
{
    if (span_block_spans(w->block) == 0)
        return true;
    struct span_block_place place;
    if (!span_block_flush(w->block, out, &place, err))
        return false;
    place.pos = pos;
    struct tenant_writer *t = &w->tenants[w->span_tenant];
    t->blocks = grow(t->blocks, t->blocks_count, &t->blocks_room, sizeof *t->blocks);
    t->blocks[t->blocks_count++] = place;
    return true;
}

bool seg_spans_add(struct seg_spans_writer *w, struct slice tenant, const struct span *span,
                   struct buf *out, uint64_t pos, struct err *err)
{
    struct tenant_writer *t = tenant_of(w, tenant);
    uint64_t hash = trace_hash(span->trace_id);
    bool other = w->span_tenant != w->current && span_block_spans(w->block) > 0;
    // Between two traces rather than within one, as queries decide a trace from its block if it lies whole there.
    bool ends = span_block_full(w->block) || (hash != w->span_trace && span_block_nearly_full(w->block));
    if ((other || ends) && !seg_spans_end(w, out, pos, err))
        return false;
    w->span_tenant = w->current;
    w->span_trace = hash;
    span_block_add(w->block, span);
    trace_refs_add(&t->spans, &(struct trace_ref){hash, 0, t->blocks_count});
    return true;
}

bool seg_spans_any(const struct seg_spans_writer *w)
{
    return w->tenants_count > 0;
}

static void put_place(struct buf *b, const struct span_block_place *p)
{
    const struct span_block_stats *s = &p->stats;
    put_varint(b, p->pos);
    put_varint(b, p->head_bytes);
    put_varint(b, p->total_bytes);
    put_u64(b, p->head_check);
    put_varint(b, s->spans_count);
    put_varint(b, s->traces_count);
    put_i64(b, s->start_min_ns);
    put_i64(b, s->start_max_ns);
    put_i64(b, s->end_max_ns);
    put_varint(b, s->duration_min_ns);
    put_varint(b, s->duration_max_ns);
    put_varint(b, s->status_mask);
    put_varint(b, s->kind_mask);
}

static int by_tenant(const void *a, const void *b)
{
    return slice_cmp(((const struct tenant_writer *)a)->tenant,
                     ((const struct tenant_writer *)b)->tenant);
}

void seg_spans_put(struct seg_spans_writer *w, struct buf *table, struct buf *pages)
{
    if (w->tenants_count > 0)
        qsort(w->tenants, w->tenants_count, sizeof *w->tenants, by_tenant);
    put_varint(table, w->tenants_count);
    for (uint32_t i = 0; i < w->tenants_count; i++) {
        struct tenant_writer *t = &w->tenants[i];
        put_prefixed(table, t->tenant);
        put_varint(table, t->blocks_count);
        for (uint32_t n = 0; n < t->blocks_count; n++)
            put_place(table, &t->blocks[n]);
        put_varint(table, t->streams_count);
        for (uint32_t n = 0; n < t->streams_count; n++) {
            put_u64(table, t->streams[n].hi);
            put_u64(table, t->streams[n].lo);
        }
        trace_refs_sort(&t->spans);
        trace_refs_sort(&t->entries);
        trace_refs_put(&t->spans, TRACE_REF_SPANS, pages, table);
        trace_refs_put(&t->entries, TRACE_REF_ENTRIES, pages, table);
    }
}

static void add_totals(struct index_segment *totals, const struct span_block_place *blocks,
                       uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        const struct span_block_stats *s = &blocks[i].stats;
        if (totals->spans == 0) {
            totals->spans_min_ns = INT64_MAX;
            totals->spans_max_ns = INT64_MIN;
        }
        totals->spans += s->spans_count;
        totals->spans_min_ns =
            s->start_min_ns < totals->spans_min_ns ? s->start_min_ns : totals->spans_min_ns;
        int64_t last_ns = s->end_max_ns > s->start_max_ns ? s->end_max_ns : s->start_max_ns;
        totals->spans_max_ns = last_ns > totals->spans_max_ns ? last_ns : totals->spans_max_ns;
    }
}

void seg_spans_totals(const struct seg_spans_writer *w, struct index_segment *totals)
{
    for (uint32_t i = 0; i < w->tenants_count; i++)
        add_totals(totals, w->tenants[i].blocks, w->tenants[i].blocks_count);
}

// The hashes of two sorted lists, each once.
static size_t merge_hashes(const struct trace_refs *a, const struct trace_refs *b, uint64_t *out)
{
    size_t i = 0, j = 0, count = 0;
    while (i < a->count || j < b->count) {
        uint64_t hash = j == b->count || (i < a->count && a->items[i].hash < b->items[j].hash)
                            ? a->items[i++].hash
                            : b->items[j++].hash;
        if (count == 0 || out[count - 1] != hash)
            out[count++] = hash;
    }
    return count;
}

bool seg_spans_traces(const struct seg_spans_writer *w, struct arena *a,
                      struct index_traces **traces_out, size_t *count_out, struct err *err)
{
    struct index_traces *traces = arena_array(a, w->tenants_count + 1, sizeof *traces);
    for (uint32_t i = 0; traces != NULL && i < w->tenants_count; i++) {
        const struct tenant_writer *t = &w->tenants[i];
        uint64_t *hashes = arena_array(a, t->spans.count + t->entries.count + 1, sizeof *hashes);
        if (hashes == NULL)
            break;
        traces[i] =
            (struct index_traces){t->tenant, hashes, merge_hashes(&t->spans, &t->entries, hashes)};
    }
    *traces_out = traces;
    *count_out = w->tenants_count;
    return arena_ok(a, "traces of a segment", err);
}

// --- reading
// ----------------------------------------------------------------------------------------

static void get_place(struct rd *r, struct span_block_place *p)
{
    struct span_block_stats *s = &p->stats;
    p->pos = rd_varint(r);
    p->head_bytes = (uint32_t)rd_varint_max(r, UINT32_MAX);
    p->total_bytes = (uint32_t)rd_varint_max(r, UINT32_MAX);
    p->head_check = rd_u64(r);
    s->spans_count = (uint32_t)rd_varint_max(r, SPAN_BLOCK_SPANS_MAX);
    s->traces_count = (uint32_t)rd_varint_max(r, SPAN_BLOCK_SPANS_MAX);
    s->start_min_ns = rd_i64(r);
    s->start_max_ns = rd_i64(r);
    s->end_max_ns = rd_i64(r);
    s->duration_min_ns = rd_varint(r);
    s->duration_max_ns = rd_varint(r);
    s->status_mask = (uint32_t)rd_varint_max(r, UINT32_MAX);
    s->kind_mask = (uint32_t)rd_varint_max(r, UINT32_MAX);
}

// Reads a tenant's blocks, which follow each other from *pos on.
static bool get_blocks(struct rd *r, uint64_t *pos, uint64_t end, struct arena *a,
                       struct seg_span_tenant *t)
{
    t->blocks_count = (uint32_t)rd_varint_max(r, rd_left(r));
    t->blocks = arena_array(a, t->blocks_count + 1, sizeof *t->blocks);
    if (t->blocks == NULL)
        return false;
    for (uint32_t i = 0; i < t->blocks_count; i++) {
        struct span_block_place *p = &t->blocks[i];
        get_place(r, p);
        if (r->bad || p->pos != *pos || p->head_bytes > p->total_bytes ||
            p->total_bytes > end - *pos || p->stats.spans_count == 0)
            return false;
        *pos += p->total_bytes;
    }
    return !r->bad;
}

static bool get_streams(struct rd *r, struct arena *a, struct seg_span_tenant *t)
{
    t->streams_count = (uint32_t)rd_varint_max(r, rd_left(r) / sizeof *t->streams);
    t->streams = arena_array(a, t->streams_count + 1, sizeof *t->streams);
    if (t->streams == NULL)
        return false;
    for (uint32_t i = 0; i < t->streams_count; i++) {
        t->streams[i].hi = rd_u64(r);
        t->streams[i].lo = rd_u64(r);
    }
    return !r->bad;
}

bool seg_span_table_get(struct slice bytes, uint64_t spans_pos, uint64_t spans_end,
                        uint64_t refs_pos, uint64_t refs_end, struct arena *a,
                        struct seg_span_table *out, struct err *err)
{
    struct rd r = rd_of(bytes);
    struct seg_span_table t = {.tenants_count = (uint32_t)rd_varint_max(&r, rd_left(&r))};
    t.tenants = arena_array(a, t.tenants_count + 1, sizeof *t.tenants);
    bool good = t.tenants != NULL;
    for (uint32_t i = 0; i < t.tenants_count && good; i++) {
        struct seg_span_tenant *tenant = &t.tenants[i];
        *tenant = (struct seg_span_tenant){.tenant = rd_prefixed(&r)};
        good = (i == 0 || slice_cmp(t.tenants[i - 1].tenant, tenant->tenant) < 0) &&
               get_blocks(&r, &spans_pos, spans_end, a, tenant) && get_streams(&r, a, tenant) &&
               trace_table_get(&r, TRACE_REF_SPANS, &refs_pos, refs_end, a, &tenant->spans) &&
               trace_table_get(&r, TRACE_REF_ENTRIES, &refs_pos, refs_end, a, &tenant->entries);
    }
    if (!arena_ok(a, "span table", err))
        return false;
    if (!good || r.bad || rd_left(&r) != 0 || spans_pos != spans_end || refs_pos != refs_end)
        return err_set(err, ERR_CORRUPT, "span table: does not add up");
    *out = t;
    return true;
}

const struct seg_span_tenant *seg_span_table_find(const struct seg_span_table *t,
                                                  struct slice tenant)
{
    for (uint32_t low = 0, high = t->tenants_count; low < high;) {
        uint32_t middle = low + (high - low) / 2;
        int order = slice_cmp(t->tenants[middle].tenant, tenant);
        if (order == 0)
            return &t->tenants[middle];
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

void seg_span_table_totals(const struct seg_span_table *t, struct index_segment *totals)
{
    for (uint32_t i = 0; i < t->tenants_count; i++)
        add_totals(totals, t->tenants[i].blocks, t->tenants[i].blocks_count);
}
