/*
 * probe.c -- which blocks of a view may hold what a query looks for, decided once a segment.
 *
 * A segment's filters are read when the first of its runs is asked for, by whichever thread asks, and only the
 * decisions are kept, a bit a block: a query for the newest lines reads the newest filters alone.
 *
 * Q1  A block is denied only by filters that were read whole: what is damaged or missing denies nothing.
 */
#include "store/store.h"

#include "store/segment/filter.h"
#include "store/view.h"

#include <assert.h>
#include <stdatomic.h>
#include <stdlib.h>

struct clause {
    struct filter_needle *needles;
    uint32_t count;
    bool may_be_escaped;
};

struct view_probe {
    struct manifest *manifest; // borrowed from the view
    struct clause *clauses;
    uint32_t clauses_count;
    // By segment: a bit a block, set where it may hold an entry; NULL until decided. Owned.
    _Atomic(uint64_t *) *decisions;
};

static bool clause_init(struct clause *c, const struct view_clause *from, struct arena *a)
{
    *c = (struct clause){.needles = arena_array(a, from->texts_count, sizeof *c->needles),
                         .may_be_escaped = from->may_be_escaped};
    for (uint32_t i = 0; i < from->texts_count && c->needles != NULL; i++)
        if (!filter_needle_init(&c->needles[c->count++], from->texts[i], a))
            return false; // one of its texts may be anywhere
    return c->needles != NULL;
}

struct view_probe *view_probe_new(struct view *view, const struct view_clause *clauses, uint32_t count,
                                  struct arena *a)
{
    struct view_probe *p = arena_zalloc(a, sizeof *p);
    if (p == NULL)
        return NULL;
    p->manifest = view_manifest(view);
    p->clauses = arena_array(a, count, sizeof *p->clauses);
    for (uint32_t i = 0; i < count && p->clauses != NULL; i++)
        p->clauses_count += clause_init(&p->clauses[p->clauses_count], &clauses[i], a);
    if (p->clauses_count == 0)
        return NULL;
    p->decisions = calloc(p->manifest->segments_count + 1, sizeof *p->decisions);
    assert(p->decisions != NULL);
    return p;
}

void view_probe_free(struct view_probe *p)
{
    if (p == NULL)
        return;
    for (uint32_t i = 0; i < p->manifest->segments_count; i++)
        free(atomic_load(&p->decisions[i]));
    free(p->decisions);
}

static bool passes(const struct view_probe *p, const struct filter_reader *r)
{
    for (uint32_t i = 0; i < p->clauses_count; i++) {
        const struct clause *c = &p->clauses[i];
        bool any = c->may_be_escaped && r->has_escapes;
        for (uint32_t n = 0; n < c->count && !any; n++)
            any = filter_may_contain(r, &c->needles[n]);
        if (!any)
            return false;
    }
    return true;
}

// False: nothing can be denied.
static bool decide(const struct view_probe *p, struct seg *seg, struct seg_reader *reader, uint64_t *bits)
{
    struct filter_reader r;
    struct slice filters;
    struct err err;
    if (!seg_read_filters(seg, reader, &filters, &err) || filters.ptr == NULL)
        return false;
    filter_reader_init(&r, filters);
    for (uint32_t i = 0; i < seg_blocks_count(seg); i++) {
        if (!filter_reader_next(&r))
            return false;
        if (passes(p, &r))
            bits[i / 64] |= UINT64_C(1) << i % 64;
    }
    return filter_reader_at_end(&r);
}

bool view_probe_may_hold(struct view_probe *p, struct seg_reader *reader, const struct view_run *run)
{
    if (run->source >= p->manifest->segments_count)
        return true; // a head
    struct seg *seg = p->manifest->segments[run->source].seg;
    uint64_t *bits = atomic_load_explicit(&p->decisions[run->source], memory_order_acquire);
    if (bits == NULL) {
        struct err err;
        if (!seg_load(seg, &err))
            return true; // loading the run will tell
        size_t words = seg_blocks_count(seg) / 64 + 1;
        uint64_t *mine = calloc(words, sizeof *mine);
        assert(mine != NULL);
        if (!decide(p, seg, reader, mine))
            memset(mine, 0xFF, words * sizeof *mine);
        if (atomic_compare_exchange_strong(&p->decisions[run->source], &bits, mine))
            bits = mine;
        else
            free(mine); // another thread was faster, and found the same
    }
    return run->block >= seg_blocks_count(seg) || (bits[run->block / 64] & UINT64_C(1) << run->block % 64) != 0;
}
