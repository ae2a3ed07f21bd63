/* visit_spans.c -- see visit_spans.h. */
#include "query/trace/visit_spans.h"

#include "base/clock.h"
#include "base/limits.h"

#include <stdlib.h>

// Identities of spans of traces that lie in several sources: only they can come twice.
struct met {
    struct hash128 *slots; // {0, 0} is empty
    size_t room, count;
};

struct visiting {
    const struct query_context *context;
    struct view *view;
    int64_t from_ns, to_ns;
    bool (*visit)(void *ctx, const struct span *span, struct err *err);
    void *ctx;
    uint64_t *spread; // hashes of such traces, ascending
    size_t spread_count;
    struct met met;
    bool horizons_differ;
};

static int by_source(const void *a, const void *b)
{
    const struct view_span_block *x = a, *y = b;
    if (x->source != y->source)
        return x->source < y->source ? -1 : 1;
    return (x->block > y->block) - (x->block < y->block);
}

static bool is_spread(const struct visiting *v, const uint8_t trace_id[TRACE_ID_BYTES])
{
    uint64_t hash = hash64(slice_of(trace_id, TRACE_ID_BYTES));
    size_t low = 0, high = v->spread_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (v->spread[middle] < hash)
            low = middle + 1;
        else
            high = middle;
    }
    return low < v->spread_count && v->spread[low] == hash;
}

static bool met_add(struct met *m, struct hash128 h)
{
    size_t at = h.lo & (m->room - 1);
    for (; m->slots[at].lo != 0 || m->slots[at].hi != 0; at = (at + 1) & (m->room - 1))
        if (hash128_eq(m->slots[at], h))
            return false;
    m->slots[at] = h;
    m->count++;
    return true;
}

static bool met_grow(struct met *m, struct arena *a, struct err *err)
{
    if ((m->count + 1) * 2 <= m->room)
        return true;
    struct met larger = {.room = m->room == 0 ? 1024 : m->room * 2};
    larger.slots = arena_zalloc(a, larger.room * sizeof *larger.slots);
    if (larger.slots == NULL)
        return arena_ok(a, "spans that are stored twice", err);
    for (size_t i = 0; i < m->room; i++)
        if (m->slots[i].lo != 0 || m->slots[i].hi != 0)
            (void)met_add(&larger, m->slots[i]);
    *m = larger;
    return true;
}

// Whether the span was visited before, from an older source.
static bool is_met(struct visiting *v, const struct span *s, bool *met_out, struct err *err)
{
    uint8_t key[TRACE_ID_BYTES + SPAN_ID_BYTES + sizeof s->kind];
    memcpy(key, s->trace_id, TRACE_ID_BYTES);
    memcpy(key + TRACE_ID_BYTES, s->span_id, SPAN_ID_BYTES);
    memcpy(key + TRACE_ID_BYTES + SPAN_ID_BYTES, &s->kind, sizeof s->kind);
    if (!met_grow(&v->met, v->context->arena, err))
        return false;
    *met_out = !met_add(&v->met, hash_128(slice_of(key, sizeof key)));
    return true;
}

static bool visit_trace(struct visiting *v, struct span_block *b, uint32_t trace, struct err *err)
{
    bool spread = is_spread(v, b->trace_ids[trace]);
    for (uint32_t row = b->trace_first[trace]; row < b->trace_first[trace + 1]; row++) {
        struct span span;
        bool met = false;
        int64_t start_ns = span_time((uint64_t)b->start_ns[row]);
        if (start_ns < v->from_ns || start_ns >= v->to_ns)
            continue;
        if (!span_block_span(b, row, &span, err))
            return false;
        if (v->horizons_differ && start_ns < view_span_horizon(v->view, span.resource))
            continue;
        if (spread && !is_met(v, &span, &met, err))
            return false;
        if (!met && !v->visit(v->ctx, &span, err))
            return false;
    }
    return true;
}

static bool visit_block(struct visiting *v, const struct view_span_block *block, struct err *err)
{
    AUTO(arena_done) struct arena a;
    struct span_block b;
    arena_init(&a, QUERY_ARENA_BYTES_MAX);
    if (!view_span_block_open(v->view, block, &a, &b, err) ||
        !span_block_column(&b, SPAN_TRACES, err) || !span_block_column(&b, SPAN_STARTS, err))
        return false;
    for (uint32_t t = 0; t < b.stats.traces_count; t++)
        if (!(block->masked && view_trace_is_deleted(v->view, block->source, b.trace_ids[t])) && !visit_trace(v, &b, t, err))
            return false;
    return true;
}

static bool stopped(const struct query_context *c, struct err *err)
{
    if (c->cancelled != NULL && atomic_load_explicit(c->cancelled, memory_order_relaxed))
        return !err_set(err, ERR_CANCELLED, "cancelled");
    return c->deadline_mono_ns > 0 && clock_mono_ns() > c->deadline_mono_ns &&
           !err_set(err, ERR_TIMEOUT, "the time is up");
}

bool visit_spans(const struct query_context *context, int64_t from_ns, int64_t to_ns,
                 bool (*visit)(void *ctx, const struct span *span, struct err *err), void *ctx,
                 struct view_damage *damage, struct err *err)
{
    AUTO(view_endp) struct view *view = NULL;
    struct view_span_block *blocks;
    uint32_t count;
    if (!view_begin(context->store, context->tenant, &view, err))
        return false;
    struct visiting v = {.context = context,
                         .view = view,
                         .from_ns = from_ns,
                         .to_ns = to_ns,
                         .visit = visit,
                         .ctx = ctx,
                         .horizons_differ = view_span_horizons_differ(view)};
    if (!v.horizons_differ) {
        int64_t horizon_ns = view_span_horizon(view, &(struct span_resource){0});
        v.from_ns = horizon_ns > from_ns ? horizon_ns : from_ns;
    }
    if (!view_span_blocks(view, from_ns, to_ns, false, context->arena, &blocks, &count, damage,
                          err) ||
        !view_spread_traces(view, from_ns, to_ns, context->arena, &v.spread, &v.spread_count, err))
        return false;
    view_settle(view);
    if (count > 0)
        qsort(blocks, count, sizeof *blocks, by_source);
    for (uint32_t i = 0; i < count; i++) {
        struct err why;
        if (stopped(context, err))
            return false;
        if (visit_block(&v, &blocks[i], &why))
            continue;
        if (why.code != ERR_CORRUPT) {
            *err = why;
            return false;
        }
        damage->segments++;
        damage->last = why;
    }
    return true;
}
