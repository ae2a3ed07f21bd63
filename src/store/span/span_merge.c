/*
 * span_merge.c -- see span_merge.h.
 *
 * One input is written as it lies. Of several, a trace's spans may lie in all: the tenant's spans are gathered in their wire
 * form, sorted, and written. The choice of inputs bounds how many there are, and SPAN_MERGE_BYTES_MAX what they take.
 *
 * M4  Of equal spans (trace ID, span ID, kind) the oldest input's stays.
 */
#include "store/span/span_merge.h"

#include "base/labels.h"
#include "base/limits.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

struct gathered {
    uint8_t trace_id[TRACE_ID_BYTES];
    uint8_t span_id[SPAN_ID_BYTES];
    int32_t kind;
    uint32_t input;
    uint64_t start_ns;
    uint64_t trace_start_ns;
    struct slice message; // arena, as the two below
    struct slice resource, scope;
};

struct span_merge {
    const struct seg_merge_options *options;
    struct seg_writer *w;
    struct seg_merge_stats *stats;
    struct slice tenant; // in hand
    size_t *deleting;    // owned; deletions of its traces
    size_t deleting_count;
    struct buf deleted; // a span, to know its bytes
    struct arena arena;  // gathered spans of it
    struct gathered *spans;
    size_t count, room;
};

// --- expiry -----------------------------------------------------------------------------------------

// The start before which spans of each of a block's resources have expired: they are of the stream {service_name="..."}.
static bool horizons_of(const struct span_merge *m, const struct span_block *b, struct arena *a, int64_t **out,
                        struct err *err)
{
    int64_t *horizons = arena_array(a, b->resources_count + 1, sizeof *horizons);
    for (uint32_t i = 0; horizons != NULL && i < b->resources_count; i++) {
        struct slice service = b->resources[i].service.len > 0 ? b->resources[i].service : SLICE("unknown_service");
        struct label label = {SLICE("service_name"), service};
        struct slice labels = labels_encoded(&(struct labels){&label, 1}, a);
        if (labels.ptr == NULL)
            break;
        horizons[i] = retention_horizon(retention_period(m->options->retention, m->tenant, labels, NULL), m->options->now_ns);
    }
    *out = horizons;
    return arena_ok(a, "resources of spans", err);
}

// --- blocks -----------------------------------------------------------------------------------------

typedef bool (*take_fn)(struct span_merge *m, struct span_block *b, const int64_t *horizons, uint32_t input, struct err *err);

static bool is_expired(const struct span_merge *m, const struct span_block *b, const int64_t *horizons, uint32_t row)
{
    bool expired = span_time((uint64_t)b->start_ns[row]) < horizons[b->resource_of[row]];
    m->stats->spans_expired += expired;
    return expired;
}

// Whether a deletion takes the input's span; counted for the first that does.
static bool is_deleted(struct span_merge *m, const struct span *span, uint32_t input)
{
    for (size_t i = 0; i < m->deleting_count; i++) {
        size_t n = m->deleting[i];
        const struct deletion *d = m->options->deletions[n];
        if (m->options->ages[input] > d->age_max || memcmp(span->trace_id, d->trace_id, TRACE_ID_BYTES) != 0)
            continue;
        buf_reset(&m->deleted);
        span_put(&m->deleted, span);
        m->options->removed[n].spans++;
        m->options->removed[n].span_bytes += m->deleted.len;
        m->stats->spans_deleted++;
        return true;
    }
    return false;
}

static void find_deletions(struct span_merge *m)
{
    m->deleting_count = 0;
    for (size_t i = 0; i < m->options->deletions_count; i++)
        if (m->options->deletions[i]->by_trace && slice_eq(m->options->deletions[i]->tenant, m->tenant))
            m->deleting[m->deleting_count++] = i;
}

static bool write_block(struct span_merge *m, struct span_block *b, const int64_t *horizons, uint32_t input, struct err *err)
{
    for (uint32_t row = 0; row < b->spans_count; row++) {
        struct span span;
        if (!span_block_span(b, row, &span, err))
            return false;
        if (is_expired(m, b, horizons, row) || is_deleted(m, &span, input))
            continue;
        m->stats->spans_written++;
        if (!seg_writer_span(m->w, m->tenant, &span, err))
            return false;
    }
    return true;
}

static struct slice *copies_of(struct arena *a, uint32_t count)
{
    return arena_zalloc(a, (count + 1) * sizeof(struct slice));
}

static bool gather_span(struct span_merge *m, const struct span *span, uint32_t input, struct slice resource, struct slice scope)
{
    if (!arena_grow(&m->arena, (void **)&m->spans, sizeof *m->spans, m->count, &m->room))
        return false;
    AUTO(buf_done) struct buf message;
    buf_init(&message, 0);
    span_put(&message, span);
    struct gathered *g = &m->spans[m->count++];
    *g = (struct gathered){.kind = span->kind, .input = input, .start_ns = span->start_ns, .resource = resource, .scope = scope};
    memcpy(g->trace_id, span->trace_id, TRACE_ID_BYTES);
    memcpy(g->span_id, span->span_id, SPAN_ID_BYTES);
    g->message = arena_copy(&m->arena, buf_slice(&message));
    return !m->arena.overflowed && !message.bad;
}

static bool gather_block(struct span_merge *m, struct span_block *b, const int64_t *horizons, uint32_t input, struct err *err)
{
    if (!span_block_column(b, SPAN_RESOURCES, err) || !span_block_column(b, SPAN_SCOPES, err)) // for their counts
        return false;
    struct slice *resources = copies_of(&m->arena, b->resources_count), *scopes = copies_of(&m->arena, b->scopes_count);
    for (uint32_t row = 0; row < b->spans_count && resources != NULL && scopes != NULL; row++) {
        struct span span;
        if (!span_block_span(b, row, &span, err))
            return false;
        if (is_expired(m, b, horizons, row) || is_deleted(m, &span, input))
            continue;
        struct slice *resource = &resources[b->resource_of[row]], *scope = &scopes[b->scope_of[row]];
        if (resource->ptr == NULL)
            *resource = arena_copy(&m->arena, span.resource->bytes);
        if (scope->ptr == NULL)
            *scope = arena_copy(&m->arena, span.scope->bytes);
        if (!gather_span(m, &span, input, *resource, *scope))
            break;
    }
    return arena_ok(&m->arena, "spans of a compaction", err);
}

// Hands each block of the tenant in hand to `take`, input by input.
static bool each_block(struct span_merge *m, take_fn take, uint32_t *reading_out, struct err *err)
{
    for (uint32_t i = 0; i < m->options->inputs_count; i++) {
        struct seg *seg = m->options->inputs[i];
        const struct seg_span_tenant *t = seg_span_tenant(seg, m->tenant);
        *reading_out = i;
        for (uint32_t n = 0; t != NULL && n < t->blocks_count; n++) {
            AUTO(arena_done) struct arena a;
            arena_init(&a, 4 * SPAN_BLOCK_RAW_BYTES_MAX);
            struct span_block b;
            int64_t *horizons;
            if (!seg_open_span_block(seg, &t->blocks[n], &a, &b, err) || !span_block_column(&b, SPAN_STARTS, err) ||
                !span_block_column(&b, SPAN_RESOURCES, err) || !horizons_of(m, &b, &a, &horizons, err) ||
                !take(m, &b, horizons, i, err) || (m->options->pace != NULL && !m->options->pace(m->options->ctx, err)))
                return false;
            m->stats->spans_read += b.spans_count;
        }
    }
    return true;
}

// --- sorting ----------------------------------------------------------------------------------------

static int by_identity(const void *a, const void *b)
{
    const struct gathered *x = a, *y = b;
    int order = memcmp(x->trace_id, y->trace_id, TRACE_ID_BYTES);
    if (order == 0)
        order = memcmp(x->span_id, y->span_id, SPAN_ID_BYTES);
    if (order == 0)
        order = (x->kind > y->kind) - (x->kind < y->kind);
    return order != 0 ? order : (x->input > y->input) - (x->input < y->input);
}

static int by_trace_and_start(const void *a, const void *b)
{
    const struct gathered *x = a, *y = b;
    if (x->trace_start_ns != y->trace_start_ns)
        return x->trace_start_ns < y->trace_start_ns ? -1 : 1;
    int order = memcmp(x->trace_id, y->trace_id, TRACE_ID_BYTES);
    if (order != 0)
        return order;
    if (x->start_ns != y->start_ns)
        return x->start_ns < y->start_ns ? -1 : 1;
    return by_identity(a, b);
}

static bool same_trace(const struct gathered *a, const struct gathered *b)
{
    return memcmp(a->trace_id, b->trace_id, TRACE_ID_BYTES) == 0;
}

// Each span once, in the order in which they are written (span_block.h).
static void sort_spans(struct span_merge *m)
{
    size_t kept = 0;
    if (m->count == 0)
        return;
    qsort(m->spans, m->count, sizeof *m->spans, by_identity);
    for (size_t i = 0; i < m->count; i++) {
        const struct gathered *g = &m->spans[i], *last = kept > 0 ? &m->spans[kept - 1] : NULL;
        if (last != NULL && same_trace(g, last) && memcmp(g->span_id, last->span_id, SPAN_ID_BYTES) == 0 && g->kind == last->kind)
            m->stats->spans_duplicate++;
        else
            m->spans[kept++] = *g;
    }
    m->count = kept;
    for (size_t first = 0, end; first < m->count; first = end) {
        uint64_t start_ns = UINT64_MAX;
        for (end = first; end < m->count && same_trace(&m->spans[end], &m->spans[first]); end++)
            start_ns = m->spans[end].start_ns < start_ns ? m->spans[end].start_ns : start_ns;
        for (size_t i = first; i < end; i++)
            m->spans[i].trace_start_ns = start_ns;
    }
    qsort(m->spans, m->count, sizeof *m->spans, by_trace_and_start);
}

static bool write_gathered(struct span_merge *m, struct err *err)
{
    AUTO(arena_done) struct arena a;
    arena_init(&a, SPAN_BLOCK_RAW_BYTES_MAX);
    for (size_t i = 0; i < m->count; i++) {
        const struct gathered *g = &m->spans[i];
        struct span span;
        struct span_resource resource;
        struct span_scope scope;
        arena_reset(&a);
        if (!span_parse(g->message, &a, &span, err) || !span_resource_parse(g->resource, &a, &resource, err) ||
            !span_scope_parse(g->scope, &a, &scope, err))
            return false;
        span.resource = &resource;
        span.scope = &scope;
        m->stats->spans_written++;
        if (!seg_writer_span(m->w, m->tenant, &span, err))
            return false;
    }
    return true;
}

// --- tenants ----------------------------------------------------------------------------------------

// The least tenant behind `after` that any input has; ptr NULL: none.
static struct slice next_tenant(const struct seg_merge_options *o, struct slice after)
{
    struct slice next = {0};
    for (uint32_t i = 0; i < o->inputs_count; i++) {
        const struct seg_span_table *t = seg_span_table(o->inputs[i]);
        for (uint32_t n = 0; n < t->tenants_count; n++) {
            struct slice tenant = t->tenants[n].tenant;
            if ((after.ptr == NULL || slice_cmp(tenant, after) > 0) && (next.ptr == NULL || slice_cmp(tenant, next) < 0))
                next = tenant;
        }
    }
    return next;
}

static bool merge_tenant(struct span_merge *m, uint32_t *reading_out, struct err *err)
{
    find_deletions(m);
    if (m->options->inputs_count == 1)
        return each_block(m, write_block, reading_out, err);
    arena_reset(&m->arena);
    m->spans = NULL;
    m->count = m->room = 0;
    if (!each_block(m, gather_block, reading_out, err))
        return false;
    sort_spans(m);
    return write_gathered(m, err);
}

bool span_merge(const struct seg_merge_options *options, struct seg_writer *w, struct seg_merge_stats *stats,
                uint32_t *reading_out, struct err *err)
{
    struct span_merge m = {.options = options, .w = w, .stats = stats};
    for (uint32_t i = 0; i < options->inputs_count; i++) {
        *reading_out = i;
        if (!seg_load_spans(options->inputs[i], err))
            return false;
    }
    arena_init(&m.arena, SPAN_MERGE_BYTES_MAX);
    buf_init(&m.deleted, 0);
    m.deleting = calloc(options->deletions_count + 1, sizeof *m.deleting);
    assert(m.deleting != NULL);
    bool good = true;
    while (good && (m.tenant = next_tenant(options, m.tenant)).ptr != NULL)
        good = merge_tenant(&m, reading_out, err);
    arena_done(&m.arena);
    buf_done(&m.deleted);
    free(m.deleting);
    return good;
}
