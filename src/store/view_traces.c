/* view_traces.c -- where a view has a trace: segments by the index, runs by stream and block. */
#include "store/store.h"

#include "base/limits.h"
#include "store/view.h"

#include <assert.h>
#include <stdlib.h>

// Generations, gathered so that nothing is visited under the lock.
struct gens {
    struct arena a;
    uint64_t *items;
    size_t count, room;
};

static bool add_gen(void *ctx, uint64_t gen, struct err *err)
{
    struct gens *g = ctx;
    if (!arena_grow(&g->a, (void **)&g->items, sizeof *g->items, g->count, &g->room))
        return arena_ok(&g->a, "segments of a trace", err);
    g->items[g->count++] = gen;
    return true;
}

static bool find_gens(struct view *v, uint64_t hash, struct gens *gens, struct err *err)
{
    if (v->settled) {
        for (uint32_t i = 0; i < v->manifest->segments_count; i++)
            if (!add_gen(gens, v->manifest->segments[i].row.gen, err))
                return false;
        return true;
    }
    pthread_mutex_lock(&v->read_lock);
    const struct tenant *t = &v->tenants.items[0];
    bool good = !t->known || index_trace_segments(&v->read, t->ns, hash, add_gen, gens, err);
    pthread_mutex_unlock(&v->read_lock);
    return good;
}

static int by_age(const void *a, const void *b)
{
    uint64_t x = seg_age(*(const uint64_t *)a), y = seg_age(*(const uint64_t *)b);
    return (x > y) - (x < y);
}

bool view_trace_segments(struct view *v, uint64_t hash, bool (*visit)(void *ctx, uint64_t gen, struct err *err),
                         void *ctx, struct err *err)
{
    struct gens gens = {0};
    arena_init(&gens.a, QUERY_ARENA_BYTES_MAX);
    bool good = find_gens(v, hash, &gens, err);
    if (gens.count > 0)
        qsort(gens.items, gens.count, sizeof *gens.items, by_age);
    for (size_t i = 0; i < gens.count && good; i++)
        good = visit(ctx, gens.items[i], err);
    arena_done(&gens.a);
    return good;
}

struct block_runs {
    uint32_t block;
    struct index_run *items;
    size_t count, room;
    struct arena *a;
};

static bool pick_runs(void *ctx, size_t at, struct index_row row, struct err *err)
{
    (void)at;
    struct block_runs *b = ctx;
    struct index_run run;
    bool bad = false;
    while (index_row_next(&row, &run, &bad)) {
        if (run.block != b->block)
            continue;
        if (!arena_grow(b->a, (void **)&b->items, sizeof *b->items, b->count, &b->room))
            return arena_ok(b->a, "runs of a block", err);
        b->items[b->count++] = run;
    }
    return !bad || err_set(err, ERR_CORRUPT, "index: broken row of runs");
}

bool view_stream_block(struct view *v, uint32_t source, struct hash128 fingerprint, uint32_t block,
                       bool (*visit)(void *ctx, const struct view_run *run, struct slice labels, struct err *err),
                       void *ctx, struct err *err)
{
    assert(!v->settled);
    const struct tenant *t = &v->tenants.items[0];
    AUTO(arena_done) struct arena a;
    arena_init(&a, QUERY_ARENA_BYTES_MAX);
    uint64_t id, gen = v->manifest->segments[source].row.gen;
    struct slice labels;
    struct err why = {0};
    if (!t->known || !index_find_stream(&v->read, t->ns, fingerprint, &id, &why)) {
        *err = why;
        return why.code == ERR_NONE; // a stream that the index does not know: nothing to visit
    }
    struct stream_ids ids = {&id, 1};
    struct block_runs runs = {.block = block, .a = &a};
    if (!index_labels(&v->read, t->ns, id, &labels, err) ||
        !index_rows(&v->read, t->ns, gen, &ids, pick_runs, &runs, err))
        return false;
    for (size_t i = 0; i < runs.count; i++) {
        const struct index_run *r = &runs.items[i];
        const struct run_mask *mask;
        if (!view_mask(v, 0, labels, r->min_ns, r->max_ns, &a, &mask, err))
            return false;
        struct view_run run = {.source = source,
                               .block = r->block,
                               .first = r->first,
                               .entries_count = r->entries_count,
                               .min_ns = r->min_ns,
                               .max_ns = r->max_ns,
                               .line_bytes = r->line_bytes,
                               .mask = mask,
                               .order = gen << 24 | r->block};
        if (mask != NULL && view_hides_all(mask, &run))
            continue;
        if (!visit(ctx, &run, labels, err))
            return false;
    }
    return true;
}
