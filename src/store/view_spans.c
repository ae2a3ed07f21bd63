/*
 * view_spans.c -- what a view sees of spans: blocks to scan, traces by ID, log entries that carry one.
 *
 * A trace's spans may lie in several sources; what is stored twice there is one (span.h): the older generation's stays.
 */
#include "store/store.h"

#include "store/head/head.h"
#include "store/view.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>

// --- blocks -----------------------------------------------------------------------------------------

struct listing {
    struct arena *a;
    int64_t from_ns, to_ns;
    bool running;
    uint32_t source;
    bool masked; // blocks of the source
    struct view_span_block *items;
    size_t count, room;
};

static bool add_block(void *ctx, uint32_t block, const struct span_block_stats *stats, struct err *err)
{
    struct listing *l = ctx;
    int64_t last_ns = stats->start_max_ns;
    if (l->running && stats->end_max_ns > last_ns)
        last_ns = stats->end_max_ns;
    if (stats->start_min_ns >= l->to_ns || last_ns < l->from_ns)
        return true;
    if (!arena_grow(l->a, (void **)&l->items, sizeof *l->items, l->count, &l->room))
        return arena_ok(l->a, "blocks of spans", err);
    l->items[l->count++] = (struct view_span_block){l->source, block, *stats, l->masked};
    return true;
}

static bool list_segment(struct listing *l, struct slice tenant, const struct manifest_segment *s, struct err *err)
{
    if (s->row.spans == 0 || s->row.spans_min_ns >= l->to_ns || s->row.spans_max_ns < l->from_ns)
        return true;
    if (!seg_load_spans(s->seg, err))
        return false;
    const struct seg_span_tenant *t = seg_span_tenant(s->seg, tenant);
    for (uint32_t i = 0; t != NULL && i < t->blocks_count; i++)
        if (!add_block(l, i, &t->blocks[i].stats, err))
            return false;
    return true;
}

static int newest_first(const void *a, const void *b)
{
    const struct view_span_block *x = a, *y = b;
    if (x->stats.start_max_ns != y->stats.start_max_ns)
        return x->stats.start_max_ns > y->stats.start_max_ns ? -1 : 1;
    if (x->source != y->source)
        return x->source > y->source ? -1 : 1;
    return (x->block < y->block) - (x->block > y->block);
}

// Notes a damaged segment, to be told with what the others hold; any other failure ends the call.
static bool note_damage(const struct err *why, struct view_damage *damage, struct err *err)
{
    if (why->code != ERR_CORRUPT) {
        *err = *why;
        return false;
    }
    damage->segments++;
    damage->last = *why;
    return true;
}

bool view_span_blocks(struct view *v, int64_t from_ns, int64_t to_ns, bool running, struct arena *a,
                      struct view_span_block **blocks_out, uint32_t *count_out, struct view_damage *damage,
                      struct err *err)
{
    if (!view_has_one_tenant(v, err))
        return false;
    int64_t horizon_ns = view_horizon_ns(v);
    from_ns = horizon_ns > from_ns ? horizon_ns : from_ns;
    struct manifest *m = view_manifest(v);
    struct listing l = {.a = a, .from_ns = from_ns, .to_ns = to_ns, .running = running};
    const bool *deleted;
    if (!view_deleted_sources(v, 0, a, &deleted, err))
        return false;
    for (; l.source < m->segments_count; l.source++) {
        struct err why;
        l.masked = deleted != NULL && deleted[l.source];
        if (!list_segment(&l, view_tenant(v), &m->segments[l.source], &why) && !note_damage(&why, damage, err))
            return false;
    }
    for (uint32_t i = 0; i < m->heads_count; i++, l.source++) {
        l.masked = deleted != NULL && deleted[l.source];
        if (!head_spans_chunks(head_spans_of(m->heads[i]), view_tenant(v), add_block, &l, err))
            return false;
    }
    if (l.count > 0)
        qsort(l.items, l.count, sizeof *l.items, newest_first);
    *blocks_out = l.items;
    *count_out = (uint32_t)l.count;
    return true;
}

bool view_span_block_open(struct view *v, const struct view_span_block *block, struct arena *a, struct span_block *out,
                          struct err *err)
{
    struct manifest *m = view_manifest(v);
    if (block->source >= m->segments_count)
        return head_spans_open(head_spans_of(m->heads[block->source - m->segments_count]), view_tenant(v), block->block,
                               block->stats.spans_count, a, out, err);
    struct seg *seg = m->segments[block->source].seg;
    return seg_open_span_block(seg, &seg_span_tenant(seg, view_tenant(v))->blocks[block->block], a, out, err);
}

// --- traces -----------------------------------------------------------------------------------------

struct gathering {
    struct view *view;
    const uint8_t *trace_id;
    uint64_t hash;
    struct arena *a;
    struct span_list spans;
    struct view_damage damage;
    const struct manifest_segment *segment; // being looked into
    const struct seg_span_tenant *tenant;
    uint32_t *blocks; // of it that have the trace
    size_t blocks_count, blocks_room;
};

static bool add_span_ref(void *ctx, const struct trace_ref *ref, struct err *err)
{
    struct gathering *g = ctx;
    if (ref->block >= g->tenant->blocks_count)
        return err_set(err, ERR_CORRUPT, "%s: trace table: block %u of %u", seg_path(g->segment->seg), ref->block,
                       g->tenant->blocks_count);
    if (!arena_grow(g->a, (void **)&g->blocks, sizeof *g->blocks, g->blocks_count, &g->blocks_room))
        return arena_ok(g->a, "spans of a trace", err);
    g->blocks[g->blocks_count++] = ref->block;
    return true;
}

// The spans of the trace in an open block.
static bool add_spans_of_block(struct gathering *g, struct span_block *b, struct err *err)
{
    if (!span_block_column(b, SPAN_TRACES, err))
        return false;
    uint32_t t = 0;
    while (t < b->stats.traces_count && memcmp(b->trace_ids[t], g->trace_id, TRACE_ID_BYTES) != 0)
        t++;
    if (t == b->stats.traces_count)
        return true; // another one of this hash
    if (!span_block_narrow(b, t, 1, err))
        return false;
    for (uint32_t row = 0; row < b->spans_count; row++) {
        if (!arena_grow(g->a, (void **)&g->spans.items, sizeof *g->spans.items, g->spans.count,
                        &g->spans.room))
            return arena_ok(g->a, "spans of a trace", err);
        if (!span_block_span(b, row, &g->spans.items[g->spans.count], err))
            return false;
        g->spans.count++;
    }
    return true;
}

static bool gather_segment(struct gathering *g, uint64_t gen, struct err *err)
{
    g->segment = manifest_find(view_manifest(g->view), gen);
    if (g->segment == NULL) // the manifest is of the index' number (S3), but a reader of a bucket passes it over (F5)
        return true;
    uint32_t source = (uint32_t)(g->segment - view_manifest(g->view)->segments);
    if (g->segment->row.spans == 0 || view_trace_is_deleted(g->view, source, g->trace_id))
        return true;
    if (!seg_load_spans(g->segment->seg, err))
        return false;
    g->tenant = seg_span_tenant(g->segment->seg, view_tenant(g->view));
    g->blocks_count = 0;
    if (g->tenant == NULL)
        return true;
    if (!seg_find_trace(g->segment->seg, &g->tenant->spans, TRACE_REF_SPANS, g->hash, add_span_ref, g, err))
        return false;
    for (size_t i = 0; i < g->blocks_count; i++) {
        struct span_block b;
        if (!seg_read_span_block(g->segment->seg, &g->tenant->blocks[g->blocks[i]], g->a, &b, err) ||
            !add_spans_of_block(g, &b, err))
            return false;
    }
    return true;
}

// Runs for each generation that may have the trace.
static bool gather_gen(void *ctx, uint64_t gen, struct err *err)
{
    struct gathering *g = ctx;
    struct err why;
    return gather_segment(g, gen, &why) || note_damage(&why, &g->damage, err);
}

// One key for what makes spans the same; the place among the gathered breaks ties: older sources come first.
struct keyed {
    const struct span *span;
    uint32_t place;
};

static int by_identity(const void *a, const void *b)
{
    const struct keyed *x = a, *y = b;
    int order = memcmp(x->span->span_id, y->span->span_id, SPAN_ID_BYTES);
    if (order != 0)
        return order;
    if (x->span->kind != y->span->kind)
        return x->span->kind < y->span->kind ? -1 : 1;
    return (x->place > y->place) - (x->place < y->place);
}

static int by_start(const void *a, const void *b)
{
    const struct span *x = a, *y = b;
    if (x->start_ns != y->start_ns)
        return x->start_ns < y->start_ns ? -1 : 1;
    int order = memcmp(x->span_id, y->span_id, SPAN_ID_BYTES);
    return order != 0 ? order : (x->kind > y->kind) - (x->kind < y->kind);
}

// Leaves each span once, those that have expired out, and sorts.
static bool settle_spans(struct gathering *g, struct view_trace *out, struct err *err)
{
    size_t count = g->spans.count, kept = 0;
    struct keyed *keys = arena_array(g->a, count + 1, sizeof *keys);
    struct span *spans = arena_array(g->a, count + 1, sizeof *spans);
    if (keys == NULL || spans == NULL)
        return arena_ok(g->a, "spans of a trace", err);
    size_t alive = 0;
    for (size_t i = 0; i < count; i++) {
        const struct span *s = &g->spans.items[i];
        if (span_time(s->start_ns) >= view_span_horizon(g->view, s->resource))
            keys[alive++] = (struct keyed){s, (uint32_t)i};
    }
    count = alive;
    qsort(keys, count, sizeof *keys, by_identity);
    for (size_t i = 0; i < count; i++)
        if (kept == 0 || memcmp(spans[kept - 1].span_id, keys[i].span->span_id, SPAN_ID_BYTES) != 0 ||
            spans[kept - 1].kind != keys[i].span->kind)
            spans[kept++] = *keys[i].span;
    qsort(spans, kept, sizeof *spans, by_start);
    *out = (struct view_trace){.spans = spans, .spans_count = (uint32_t)kept, .damage = g->damage};
    return true;
}

bool view_trace(struct view *v, const uint8_t trace_id[TRACE_ID_BYTES], struct arena *a, struct view_trace *out,
                struct err *err)
{
    struct gathering g = {.view = v, .trace_id = trace_id, .hash = trace_hash(trace_id), .a = a};
    if (!view_has_one_tenant(v, err) || !view_trace_segments(v, g.hash, gather_gen, &g, err))
        return false;
    struct manifest *m = view_manifest(v);
    for (uint32_t i = 0; i < m->heads_count; i++)
        if (!view_trace_is_deleted(v, m->segments_count + i, trace_id) &&
            !head_spans_trace(head_spans_of(m->heads[i]), view_tenant(v), trace_id, a, &g.spans, err))
            return false;
    return settle_spans(&g, out, err);
}

// --- spread traces ----------------------------------------------------------------------------------

struct spreading {
    struct arena *a;
    uint64_t *hashes; // each source's, one source after the other
    size_t count, room;
    bool blocks;   // every block counts, not every source
    bool any;      // of the source being read
    uint64_t last; // its last hash: each is noted once
};

static bool spread_add(void *ctx, const struct trace_ref *ref, struct err *err)
{
    (void)err;
    struct spreading *s = ctx;
    if (!s->blocks && s->any && s->last == ref->hash)
        return true;
    assert(s->count < s->room); // counted before
    s->hashes[s->count++] = s->last = ref->hash;
    s->any = true;
    return true;
}

static bool is_in_range(const struct manifest_segment *segment, int64_t from_ns, int64_t to_ns)
{
    return segment->row.spans > 0 && segment->row.spans_min_ns < to_ns && segment->row.spans_max_ns >= from_ns;
}

// A segment's table for the view's tenant; NULL when it has none. Whoever reads the blocks tells of damage.
static const struct seg_span_tenant *spread_table(struct view *v, const struct manifest_segment *segment)
{
    struct err ignored;
    return seg_load_spans(segment->seg, &ignored) ? seg_span_tenant(segment->seg, view_tenant(v)) : NULL;
}

static size_t count_refs(struct view *v, int64_t from_ns, int64_t to_ns)
{
    struct manifest *m = view_manifest(v);
    size_t count = 0;
    for (uint32_t i = 0; i < m->segments_count; i++) {
        const struct seg_span_tenant *t =
            is_in_range(&m->segments[i], from_ns, to_ns) ? spread_table(v, &m->segments[i]) : NULL;
        count += t != NULL ? t->spans.refs_count : 0;
    }
    return count;
}

// Sorts by the high bits, from the low digit to the high one; equal hashes end up side by side but for those that differ in
// their low bits alone, which the last step tells apart. Returns the sorted array: one of the two.
static uint64_t *sort_hashes(uint64_t *from, uint64_t *to, size_t count)
{
    enum { DIGIT_BITS = 11, DIGITS = 3, LOW_BITS = 64 - DIGIT_BITS * DIGITS };
    for (int digit = 0; digit < DIGITS; digit++) {
        uint32_t starts[1 << DIGIT_BITS] = {0};
        int shift = LOW_BITS + digit * DIGIT_BITS;
        for (size_t i = 0; i < count; i++)
            starts[from[i] >> shift & ((1 << DIGIT_BITS) - 1)]++;
        uint32_t at = 0;
        for (size_t i = 0; i < COUNT_OF(starts); i++) {
            uint32_t n = starts[i];
            starts[i] = at;
            at += n;
        }
        for (size_t i = 0; i < count; i++)
            to[starts[from[i] >> shift & ((1 << DIGIT_BITS) - 1)]++] = from[i];
        uint64_t *swap = from;
        from = to;
        to = swap;
    }
    for (size_t i = 1; i < count; i++) { // nearly sorted
        uint64_t hash = from[i];
        size_t n = i;
        for (; n > 0 && from[n - 1] > hash; n--)
            from[n] = from[n - 1];
        from[n] = hash;
    }
    return from;
}

static bool list_spread(struct view *v, int64_t from_ns, int64_t to_ns, bool blocks, struct arena *a, uint64_t **hashes_out,
                        size_t *count_out, struct err *err)
{
    if (!view_has_one_tenant(v, err))
        return false;
    struct manifest *m = view_manifest(v);
    struct spreading s = {.a = a, .blocks = blocks, .room = count_refs(v, from_ns, to_ns)};
    struct { // of the heads
        uint64_t *hashes;
        size_t count;
    } *heads = arena_array(a, m->heads_count + 1, sizeof *heads);
    if (heads == NULL)
        return arena_ok(a, "traces of a view", err);
    for (uint32_t i = 0; i < m->heads_count; i++) {
        if (!head_spans_hashes(head_spans_of(m->heads[i]), view_tenant(v), a, &heads[i].hashes, &heads[i].count, err))
            return false;
        s.room += blocks ? 2 * heads[i].count : heads[i].count;
    }
    s.hashes = arena_array(a, s.room + 1, sizeof *s.hashes);
    uint64_t *spare = arena_array(a, s.room + 1, sizeof *spare);
    if (s.hashes == NULL || spare == NULL)
        return arena_ok(a, "traces of a view", err);
    for (uint32_t i = 0; i < m->segments_count; i++) {
        const struct manifest_segment *segment = &m->segments[i];
        const struct seg_span_tenant *t = is_in_range(segment, from_ns, to_ns) ? spread_table(v, segment) : NULL;
        struct err ignored;
        s.any = false;
        if (t != NULL && !seg_all_traces(segment->seg, &t->spans, TRACE_REF_SPANS, spread_add, &s, &ignored))
            continue; // whoever reads the blocks tells of damage
    }
    for (uint32_t i = 0; i < m->heads_count; i++) {
        if (heads[i].count > 0)
            memcpy(s.hashes + s.count, heads[i].hashes, heads[i].count * sizeof *s.hashes);
        s.count += heads[i].count;
        // A head's blocks are by arrival: any of its traces may lie in several.
        if (blocks && heads[i].count > 0) {
            memcpy(s.hashes + s.count, heads[i].hashes, heads[i].count * sizeof *s.hashes);
            s.count += heads[i].count;
        }
    }
    uint64_t *sorted = sort_hashes(s.hashes, spare, s.count);
    size_t kept = 0;
    for (size_t i = 1; i < s.count; i++)
        if (sorted[i] == sorted[i - 1] && (kept == 0 || sorted[kept - 1] != sorted[i]))
            sorted[kept++] = sorted[i];
    *hashes_out = sorted;
    *count_out = kept;
    return true;
}

bool view_spread_traces(struct view *v, int64_t from_ns, int64_t to_ns, struct arena *a, uint64_t **hashes_out,
                        size_t *count_out, struct err *err)
{
    return list_spread(v, from_ns, to_ns, false, a, hashes_out, count_out, err);
}

bool view_split_traces(struct view *v, struct arena *a, uint64_t **hashes_out, size_t *count_out, struct err *err)
{
    return list_spread(v, INT64_MIN, INT64_MAX, true, a, hashes_out, count_out, err);
}

// --- log entries ------------------------------------------------------------------------------------

struct tracing {
    struct view *view;
    const uint8_t *trace_id;
    uint64_t hash;
    struct arena *a;
    struct run_loader *loader;
    struct view_trace_entry *items;
    size_t count, room;
    uint32_t segment; // number of the one being looked into
    const struct seg_span_tenant *tenant;
    struct trace_ref *refs;
    size_t refs_count, refs_room;
    uint64_t head_age; // of the head being looked into
    void *space;       // for deletions
};

static bool add_entry(struct tracing *t, const struct view_trace_entry *e, struct err *err)
{
    if (!arena_grow(t->a, (void **)&t->items, sizeof *t->items, t->count, &t->room))
        return arena_ok(t->a, "log entries of a trace", err);
    t->items[t->count++] = (struct view_trace_entry){arena_copy(t->a, e->labels), e->time_ns, arena_copy(t->a, e->line),
                                                     arena_copy(t->a, e->metadata)};
    return true;
}

static bool add_ref(void *ctx, const struct trace_ref *ref, struct err *err)
{
    struct tracing *t = ctx;
    if (ref->stream >= t->tenant->streams_count)
        return err_set(err, ERR_CORRUPT, "trace table: stream %u of %u", ref->stream, t->tenant->streams_count);
    if (!arena_grow(t->a, (void **)&t->refs, sizeof *t->refs, t->refs_count, &t->refs_room))
        return arena_ok(t->a, "log entries of a trace", err);
    t->refs[t->refs_count++] = *ref;
    return true;
}

static bool is_of_trace(const struct tracing *t, struct slice metadata)
{
    uint8_t id[TRACE_ID_BYTES];
    return trace_id_of_entry(metadata, id) && memcmp(id, t->trace_id, TRACE_ID_BYTES) == 0;
}

static bool add_run(void *ctx, const struct view_run *run, struct slice labels, struct err *err)
{
    struct tracing *t = ctx;
    struct run_entries e;
    if (!run_load(t->loader, run, VIEW_TIMES | VIEW_LENGTHS | VIEW_LINES | VIEW_METADATA, &e, err))
        return false;
    for (uint32_t i = 0; i < e.count; i++)
        if (is_of_trace(t, e.metadata[i]) &&
            !add_entry(t,
                       &(struct view_trace_entry){labels, e.times_ns[i], slice_of(e.lines[i], e.line_bytes[i]),
                                                  e.metadata[i]},
                       err))
            return false;
    return true;
}

static bool trace_segment(struct tracing *t, uint64_t gen, struct err *err)
{
    struct manifest *m = view_manifest(t->view);
    const struct manifest_segment *segment = manifest_find(m, gen);
    if (segment == NULL) // see gather_segment()
        return true;
    t->segment = (uint32_t)(segment - m->segments);
    if (!seg_load_spans(segment->seg, err))
        return false;
    t->tenant = seg_span_tenant(segment->seg, view_tenant(t->view));
    t->refs_count = 0;
    if (t->tenant == NULL)
        return true;
    if (!seg_find_trace(segment->seg, &t->tenant->entries, TRACE_REF_ENTRIES, t->hash, add_ref, t, err))
        return false;
    for (size_t i = 0; i < t->refs_count; i++)
        if (!view_stream_block(t->view, t->segment, t->tenant->streams[t->refs[i].stream], t->refs[i].block, add_run, t, err))
            return false;
    return true;
}

static bool trace_gen(void *ctx, uint64_t gen, struct err *err)
{
    struct err why;
    struct view_damage ignored = {0};
    return trace_segment(ctx, gen, &why) || note_damage(&why, &ignored, err);
}

static bool add_arrival(void *ctx, const struct store_arrival *arrival, struct err *err)
{
    struct tracing *t = ctx;
    return arrival->time_ns < view_entry_horizon(t->view, arrival->labels) ||
           view_is_deleted(t->view, arrival, t->head_age, t->space) ||
           add_entry(t, &(struct view_trace_entry){arrival->labels, arrival->time_ns, arrival->line, arrival->metadata},
                     err);
}

static int by_time(const void *a, const void *b)
{
    const struct view_trace_entry *x = a, *y = b;
    if (x->time_ns != y->time_ns)
        return x->time_ns < y->time_ns ? -1 : 1;
    int order = slice_cmp(x->labels, y->labels);
    if (order == 0)
        order = slice_cmp(x->line, y->line);
    return order != 0 ? order : slice_cmp(x->metadata, y->metadata);
}

bool view_trace_entries(struct view *v, const uint8_t trace_id[TRACE_ID_BYTES], struct arena *a,
                        struct view_trace_entry **entries_out, uint32_t *count_out, struct err *err)
{
    AUTO(view_ahead_freep) struct view_ahead *ahead = view_ahead_new(v);
    AUTO(run_loader_freep) struct run_loader *loader = run_loader_new(v);
    run_loader_join(loader, ahead);
    struct tracing t = {.view = v, .trace_id = trace_id, .hash = trace_hash(trace_id), .a = a, .loader = loader};
    if (!view_has_one_tenant(v, err) || !view_trace_segments(v, t.hash, trace_gen, &t, err))
        return false;
    struct manifest *m = view_manifest(v);
    const struct store_filter_ops *ops = view_filter_ops(v);
    bool good = true;
    t.space = ops != NULL ? ops->space_new() : NULL;
    for (uint32_t i = 0; i < m->heads_count && good; i++) {
        t.head_age = head_gen(m->heads[i]);
        good = head_trace_entries(m->heads[i], view_tenant(v), trace_id, add_arrival, &t, err);
    }
    if (ops != NULL)
        ops->space_free(t.space);
    if (!good)
        return false;
    size_t kept = 0;
    if (t.count > 0)
        qsort(t.items, t.count, sizeof *t.items, by_time);
    for (size_t i = 0; i < t.count; i++)
        if (kept == 0 || by_time(&t.items[kept - 1], &t.items[i]) != 0)
            t.items[kept++] = t.items[i];
    *entries_out = t.items;
    *count_out = (uint32_t)kept;
    return arena_ok(a, "log entries of a trace", err);
}
