/* verify_spans.c -- reads every span of a segment and compares blocks, span table, references and the index' filters. */
#include "store/verify.h"

#include "base/limits.h"

#include <inttypes.h>
#include <stdlib.h>

struct checking {
    struct verify *v;
    struct seg *seg;
    const struct seg_span_tenant *tenant;
    struct trace_refs found; // traces of the blocks as they are
    size_t at;               // of `found`, while references are visited
    bool differ;
};

// Decodes a block whole and notes its traces. False when it is damaged.
static bool check_block(struct checking *c, uint32_t number, struct err *err)
{
    const struct span_block_place *place = &c->tenant->blocks[number];
    AUTO(arena_done) struct arena a;
    arena_init(&a, 4 * SPAN_BLOCK_RAW_BYTES_MAX);
    struct span_block b;
    if (!seg_open_span_block(c->seg, place, &a, &b, err))
        return false;
    for (int column = 0; column < SPAN_COLUMNS_COUNT; column++)
        if (!span_block_column(&b, (enum span_column)column, err))
            return false;
    for (uint32_t i = 0; i < b.attributes_count; i++)
        if (!span_block_attribute(&b, i, err))
            return false;
    for (uint32_t t = 0; t < b.stats.traces_count; t++)
        trace_refs_add(&c->found, &(struct trace_ref){trace_hash(b.trace_ids[t]), 0, number});
    verify_count_spans(c->v, b.spans_count);
    return true;
}

static bool compare_ref(void *ctx, const struct trace_ref *ref, struct err *err)
{
    (void)err;
    struct checking *c = ctx;
    if (c->at == c->found.count) {
        c->differ = true;
        return true;
    }
    const struct trace_ref *want = &c->found.items[c->at++];
    c->differ = c->differ || want->hash != ref->hash || want->block != ref->block;
    return true;
}

static bool ignore_ref(void *ctx, const struct trace_ref *ref, struct err *err)
{
    (void)ctx;
    (void)ref;
    (void)err;
    return true;
}

static void check_tenant(struct checking *c)
{
    struct err why;
    bool whole = true;
    for (uint32_t i = 0; i < c->tenant->blocks_count; i++)
        if (!check_block(c, i, &why)) {
            whole = false;
            verify_problem(c->v, "%s: span block %u: %s", seg_path(c->seg), i, why.text);
        }
    trace_refs_sort(&c->found);
    if (!seg_all_traces(c->seg, &c->tenant->spans, TRACE_REF_SPANS, compare_ref, c, &why) ||
        !seg_all_traces(c->seg, &c->tenant->entries, TRACE_REF_ENTRIES, ignore_ref, c, &why))
        verify_problem(c->v, "%s", why.text);
    else if (whole && (c->differ || c->at != c->found.count))
        verify_problem(c->v, "%s: the trace table does not agree with the spans", seg_path(c->seg));
}

void verify_spans(struct verify *v, struct seg *seg)
{
    struct err why;
    if (!seg_load_spans(seg, &why)) {
        verify_problem(v, "%s", why.text);
        return;
    }
    const struct seg_span_table *table = seg_span_table(seg);
    for (uint32_t i = 0; i < table->tenants_count; i++) {
        struct checking c = {.v = v, .seg = seg, .tenant = &table->tenants[i]};
        check_tenant(&c);
        trace_refs_done(&c.found);
    }
}
