/*
 * merge.c -- see merge.h.
 *
 * Within one source runs never overlap by more than a shared moment, so a cluster of one source needs no
 * merging. Otherwise each source is a cursor
 * with a loader of its own, and the least (time, order) is taken next; entries of one time are compared
 * with those already given at that time.
 */
#include "query/merge.h"

#include "base/hash.h"

#include <assert.h>
#include <stdlib.h>

struct cursor {
    const struct view_run **runs; // of one source, in time order
    uint32_t runs_count, runs_room;
    uint32_t run; // next to load
    uint32_t source;
    struct run_loader *loader; // owned
    struct run_entries e;
    uint32_t at, end; // in e
};

struct cluster {
    struct scan *s;
    struct cursor *cursors; // owned
    size_t count, room;
    // What was given at the current time.
    int64_t time_ns;
    struct hash128 *given; // owned
    size_t given_count, given_room;
};

static void cluster_done(struct cluster *c)
{
    for (size_t i = 0; i < c->count; i++) {
        scan_add_loader(&c->s->stats, c->cursors[i].loader);
        run_loader_free(c->cursors[i].loader);
        free(c->cursors[i].runs);
    }
    free(c->cursors);
    free(c->given);
}

static void *grown(void *items, size_t *room, size_t item_bytes)
{
    *room = *room == 0 ? 8 : *room * 2;
    items = realloc(items, *room * item_bytes);
    assert(items != NULL);
    return items;
}

static void add_run(struct cluster *c, const struct view_run *run)
{
    size_t i = 0;
    while (i < c->count && c->cursors[i].source != run->source)
        i++;
    if (i == c->count) {
        if (c->count == c->room)
            c->cursors = grown(c->cursors, &c->room, sizeof *c->cursors);
        c->cursors[c->count++] =
            (struct cursor){.source = run->source, .loader = scan_loader_new(c->s)};
    }
    struct cursor *cursor = &c->cursors[i];
    if (cursor->runs_count == cursor->runs_room) {
        size_t room = cursor->runs_room;
        cursor->runs = grown(cursor->runs, &room, sizeof *cursor->runs);
        cursor->runs_room = (uint32_t)room;
    }
    cursor->runs[cursor->runs_count++] = run;
}

// Makes `at` point at an entry in the range; at == end when the source has none left.
static bool cursor_fill(struct cluster *c, struct cursor *cursor, unsigned columns, int64_t from_ns,
                        int64_t to_ns)
{
    while (cursor->at == cursor->end && cursor->run < cursor->runs_count) {
        bool left_out;
        if (!scan_load(c->s, cursor->loader, cursor->runs[cursor->run++], columns, &cursor->e, &left_out))
            return false;
        if (!left_out)
            scan_bounds(&cursor->e, from_ns, to_ns, &cursor->at, &cursor->end);
    }
    return true;
}

static struct hash128 entry_hash(const struct run_entries *e, uint32_t n)
{
    struct hash128 h = hash_128(slice_of(e->lines[n], e->line_bytes[n]));
    struct hash128 m = hash_128(e->metadata[n]);
    return (struct hash128){h.hi ^ m.hi * UINT64_C(0x9e3779b97f4a7c15),
                            h.lo + m.lo * UINT64_C(0xc2b2ae3d27d4eb4f)};
}

// Whether the entry was not given yet; notes that it is.
static bool is_new(struct cluster *c, const struct run_entries *e, uint32_t n)
{
    if (e->times_ns[n] != c->time_ns)
        c->given_count = 0;
    c->time_ns = e->times_ns[n];
    struct hash128 hash = entry_hash(e, n);
    for (size_t i = 0; i < c->given_count; i++)
        if (hash128_eq(c->given[i], hash))
            return false;
    if (c->given_count == c->given_room)
        c->given = grown(c->given, &c->given_room, sizeof *c->given);
    c->given[c->given_count++] = hash;
    return true;
}

static bool merge_sources(struct scan *s, const struct view_run *runs, uint32_t count, unsigned columns,
                          int64_t from_ns, int64_t to_ns, const struct merge_visitor *visitor)
{
    AUTO(cluster_done) struct cluster c = {.s = s};
    for (uint32_t i = 0; i < count; i++)
        add_run(&c, &runs[i]);
    columns |= VIEW_LINES | VIEW_METADATA;
    for (size_t i = 0; i < c.count; i++)
        if (!cursor_fill(&c, &c.cursors[i], columns, from_ns, to_ns))
            return false;
    for (;;) {
        struct cursor *best = NULL;
        for (size_t i = 0; i < c.count; i++) {
            struct cursor *cursor = &c.cursors[i];
            // Sources are numbered in the order of their generations: the first wins where times are equal.
            if (cursor->at < cursor->end &&
                (best == NULL || cursor->e.times_ns[cursor->at] < best->e.times_ns[best->at] ||
                 (cursor->e.times_ns[cursor->at] == best->e.times_ns[best->at] &&
                  cursor->source < best->source)))
                best = cursor;
        }
        if (best == NULL)
            return true;
        if (is_new(&c, &best->e, best->at) &&
            !visitor->visit(visitor->ctx, &best->e, best->at, best->at + 1))
            return false;
        best->at++;
        if (!cursor_fill(&c, best, columns, from_ns, to_ns))
            return false;
    }
}

static bool visit_single(struct scan *s, const struct view_run *run, unsigned columns, int64_t from_ns,
                         int64_t to_ns, const struct merge_visitor *visitor)
{
    struct run_entries e;
    bool left_out;
    uint32_t first, end;
    bool inside = run->mask == NULL && run->min_ns >= from_ns && run->max_ns < to_ns;
    if (inside && visitor->whole != NULL && visitor->whole(visitor->ctx, run))
        return true;
    if (inside && visitor->timeless != NULL && visitor->timeless(visitor->ctx, run))
        columns &= ~(unsigned)VIEW_TIMES;
    if (!scan_load(s, NULL, run, columns, &e, &left_out))
        return false;
    if (left_out)
        return true;
    scan_bounds(&e, from_ns, to_ns, &first, &end);
    return first == end || visitor->visit(visitor->ctx, &e, first, end);
}

uint32_t merge_cluster_end(const struct view_run *runs, uint32_t runs_count, uint32_t first)
{
    int64_t max_ns = runs[first].max_ns;
    uint32_t end = first + 1;
    for (; end < runs_count && runs[end].stream == runs[first].stream && runs[end].min_ns <= max_ns; end++)
        max_ns = runs[end].max_ns > max_ns ? runs[end].max_ns : max_ns;
    return end;
}

bool merge_cluster(struct scan *s, const struct view_run *runs, uint32_t count, unsigned columns,
                   int64_t from_ns, int64_t to_ns, const struct merge_visitor *visitor)
{
    bool one_source = true;
    for (uint32_t i = 1; i < count; i++)
        one_source = one_source && runs[i].source == runs[0].source;
    if (!one_source)
        return merge_sources(s, runs, count, columns, from_ns, to_ns, visitor);
    for (uint32_t i = 0; i < count; i++)
        if (!visit_single(s, &runs[i], columns, from_ns, to_ns, visitor))
            return false;
    return true;
}
