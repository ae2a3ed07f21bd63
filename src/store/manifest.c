/*
 * manifest.c -- what is live; see manifest.h. Threads: objects are immutable, counts are atomic.
 */
#include "store/manifest.h"

#include <assert.h>
#include <stdatomic.h>
#include <stdlib.h>

struct counted {
    struct manifest m; // first: the public part
    atomic_uint refs;
};

static struct manifest *allocate(uint64_t number, uint32_t heads_room, uint32_t segments_room)
{
    struct counted *c = calloc(1, sizeof *c);
    assert(c != NULL);
    atomic_init(&c->refs, 1);
    c->m.number = number;
    c->m.heads = calloc(heads_room + 1, sizeof *c->m.heads);
    c->m.segments = calloc(segments_room + 1, sizeof *c->m.segments);
    assert(c->m.heads != NULL && c->m.segments != NULL);
    return &c->m;
}

struct manifest *manifest_new(uint64_t number)
{
    return allocate(number, 0, 0);
}

struct manifest *manifest_ref(struct manifest *m)
{
    atomic_fetch_add_explicit(&((struct counted *)m)->refs, 1, memory_order_relaxed);
    return m;
}

void manifest_unref(struct manifest *m)
{
    if (m == NULL ||
        atomic_fetch_sub_explicit(&((struct counted *)m)->refs, 1, memory_order_acq_rel) > 1)
        return;
    for (uint32_t i = 0; i < m->heads_count; i++)
        head_unref(m->heads[i]);
    for (uint32_t i = 0; i < m->segments_count; i++)
        seg_unref(m->segments[i].seg);
    free(m->heads);
    free(m->segments);
    free(m);
}

const struct manifest_segment *manifest_find(const struct manifest *m, uint64_t gen)
{
    for (uint32_t low = 0, high = m->segments_count; low < high;) {
        uint32_t middle = low + (high - low) / 2;
        if (m->segments[middle].row.gen == gen)
            return &m->segments[middle];
        if (seg_age(m->segments[middle].row.gen) < seg_age(gen))
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

static void copy_heads(struct manifest *to, const struct manifest *from, uint64_t except_gen)
{
    for (uint32_t i = 0; i < from->heads_count; i++)
        if (head_gen(from->heads[i]) != except_gen)
            to->heads[to->heads_count++] = head_ref(from->heads[i]);
}

static void add_segment(struct manifest *to, struct seg *seg, const struct index_segment *row)
{
    to->segments[to->segments_count++] = (struct manifest_segment){seg_ref(seg), *row};
}

static void copy_segments(struct manifest *to, const struct manifest *from)
{
    for (uint32_t i = 0; i < from->segments_count; i++)
        add_segment(to, from->segments[i].seg, &from->segments[i].row);
}

static int by_age(const void *a, const void *b)
{
    uint64_t x = seg_age(((const struct manifest_segment *)a)->row.gen);
    uint64_t y = seg_age(((const struct manifest_segment *)b)->row.gen);
    return (x > y) - (x < y);
}

struct manifest *manifest_of(uint64_t number, const struct manifest *heads,
                             const struct manifest_segment *segments, uint32_t segments_count)
{
    struct manifest *n = allocate(number, heads->heads_count, segments_count);
    copy_heads(n, heads, UINT64_MAX);
    for (uint32_t i = 0; i < segments_count; i++)
        add_segment(n, segments[i].seg, &segments[i].row);
    if (n->segments_count > 0)
        qsort(n->segments, n->segments_count, sizeof *n->segments, by_age);
    return n;
}

struct seg *manifest_seg(const struct manifest *m, uint64_t gen)
{
    for (uint32_t i = 0; i < m->segments_count; i++)
        if (m->segments[i].row.gen == gen)
            return m->segments[i].seg;
    return NULL;
}

struct manifest *manifest_with_head(const struct manifest *m, struct head *head)
{
    struct manifest *n = allocate(m->number, m->heads_count + 1, m->segments_count);
    copy_heads(n, m, UINT64_MAX);
    assert(n->heads_count == 0 || head_gen(n->heads[n->heads_count - 1]) < head_gen(head));
    n->heads[n->heads_count++] = head_ref(head);
    copy_segments(n, m);
    return n;
}

struct manifest *manifest_with_seg(const struct manifest *m, uint64_t gen, struct seg *seg)
{
    struct manifest *n = allocate(m->number, m->heads_count, m->segments_count);
    copy_heads(n, m, UINT64_MAX);
    for (uint32_t i = 0; i < m->segments_count; i++) {
        const struct manifest_segment *s = &m->segments[i];
        add_segment(n, s->row.gen == gen ? seg : s->seg, &s->row);
    }
    return n;
}

struct manifest *manifest_without_head(const struct manifest *m, uint64_t gen)
{
    struct manifest *n = allocate(m->number, m->heads_count, m->segments_count);
    copy_heads(n, m, gen);
    copy_segments(n, m);
    return n;
}

static bool is_among(uint64_t gen, const uint64_t *gens, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (gens[i] == gen)
            return true;
    return false;
}

struct manifest *manifest_swapped(const struct manifest *m, const uint64_t *gone, size_t gone_count,
                                  struct seg *seg, const struct index_segment *row)
{
    struct manifest *n = allocate(m->number + 1, m->heads_count, m->segments_count + 1);
    bool placed = seg == NULL;
    copy_heads(n, m, seg != NULL ? row->gen : UINT64_MAX);
    for (uint32_t i = 0; i < m->segments_count; i++) {
        const struct manifest_segment *s = &m->segments[i];
        if (is_among(s->row.gen, gone, gone_count))
            continue;
        if (!placed && seg_age(s->row.gen) > seg_age(row->gen)) {
            add_segment(n, seg, row);
            placed = true;
        }
        assert(seg == NULL || seg_age(s->row.gen) != seg_age(row->gen)); // each generation once
        add_segment(n, s->seg, &s->row);
    }
    if (!placed)
        add_segment(n, seg, row);
    return n;
}
