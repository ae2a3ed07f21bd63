/*
 * tql_structure.c -- the tree of a trace: parents, siblings, nested sets (traceql.md 10.3). Linear but for sorting by ID.
 */
#include "query/traceql/tql_trace.h"

#include <stdlib.h>

struct by_id {
    uint64_t id;
    uint32_t index;
};

static uint64_t read_id(const uint8_t id[SPAN_ID_BYTES])
{
    uint64_t value;
    memcpy(&value, id, sizeof value);
    return __builtin_bswap64(value);
}

static int compare_by_id(const void *left, const void *right)
{
    const struct by_id *l = left, *r = right;
    if (l->id != r->id)
        return l->id < r->id ? -1 : 1;
    return (l->index > r->index) - (l->index < r->index);
}

static uint32_t first_with(const struct by_id *sorted, uint32_t count, uint64_t id)
{
    uint32_t low = 0, high = count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (sorted[middle].id < id)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

// The span that `child` names as its parent. Of spans that share an ID, as the halves of a Zipkin span do, the server's, or
// for a server span the client's.
static int32_t find_parent(const struct tql_trace *t, const struct by_id *sorted, const struct span *child)
{
    uint64_t id = read_id(child->parent_id);
    uint32_t at = id != 0 ? first_with(sorted, t->count, id) : t->count;
    if (at == t->count || sorted[at].id != id)
        return TQL_NO_SPAN;
    if (at + 1 == t->count || sorted[at + 1].id != id)
        return (int32_t)sorted[at].index;
    int32_t wanted = child->kind == KIND_SERVER ? KIND_CLIENT : KIND_SERVER;
    for (; at < t->count && sorted[at].id == id; at++)
        if (t->spans[sorted[at].index].kind == wanted)
            return (int32_t)sorted[at].index;
    return TQL_NO_SPAN;
}

static bool has_triple(const struct by_id *sorted, uint32_t count)
{
    for (uint32_t i = 2; i < count; i++)
        if (sorted[i].id == sorted[i - 2].id)
            return true;
    return false;
}

// Numbers of siblings: that of the parent; where it is not stored, one for each parent ID, the empty one included.
static void number_siblings(const struct tql_trace *t, struct tql_structure *s, struct by_id *scratch)
{
    uint32_t missing = 0;
    for (uint32_t i = 0; i < t->count; i++) {
        if (s->parent[i] != TQL_NO_SPAN)
            s->siblings[i] = (uint32_t)s->parent[i];
        else
            scratch[missing++] = (struct by_id){read_id(t->spans[i].parent_id), i};
    }
    qsort(scratch, missing, sizeof *scratch, compare_by_id);
    for (uint32_t i = 0, number = t->count; i < missing; i++) {
        number += i > 0 && scratch[i].id != scratch[i - 1].id;
        s->siblings[scratch[i].index] = number;
    }
}

// A span on a cycle loses its parent. `mark` is zeroed: number of the walk that met a span.
static void break_cycles(const struct tql_trace *t, struct tql_structure *s, uint32_t *mark)
{
    for (uint32_t i = 0; i < t->count; i++) {
        uint32_t walk = i + 1;
        int32_t at = (int32_t)i;
        for (; at != TQL_NO_SPAN && mark[at] == 0; at = s->parent[at])
            mark[at] = walk;
        if (at == TQL_NO_SPAN || mark[at] != walk)
            continue;
        for (int32_t next; at != TQL_NO_SPAN; at = next) { // back on this walk: all around it
            next = s->parent[at];
            s->parent[at] = TQL_NO_SPAN;
        }
    }
}

// Visits the tree below `root`: order, and with `counter` the nested set.
static void visit(struct tql_structure *s, const int32_t *first_child, const int32_t *next_sibling, int32_t root, uint32_t *placed,
                  int32_t *counter)
{
    for (int32_t at = root;;) {
        s->order[(*placed)++] = (uint32_t)at;
        if (counter != NULL) {
            s->left[at] = (*counter)++;
            s->nested_parent[at] = at == root ? -1 : s->left[s->parent[at]];
        }
        if (first_child[at] != TQL_NO_SPAN) {
            at = first_child[at];
            continue;
        }
        for (;;) {
            if (counter != NULL)
                s->right[at] = (*counter)++;
            if (at == root)
                return;
            if (next_sibling[at] != TQL_NO_SPAN)
                break;
            at = s->parent[at];
        }
        at = next_sibling[at];
    }
}

static bool build(struct tql_trace *t, struct tql_structure *s)
{
    uint32_t n = t->count;
    struct by_id *sorted = arena_array(t->arena, n, sizeof *sorted);
    int32_t *first_child = arena_array(t->arena, n, sizeof *first_child);
    int32_t *next_sibling = arena_array(t->arena, n, sizeof *next_sibling);
    s->parent = arena_array(t->arena, n, sizeof *s->parent);
    s->order = arena_zalloc(t->arena, n * sizeof *s->order);
    s->siblings = arena_array(t->arena, n, sizeof *s->siblings);
    s->child_count = arena_zalloc(t->arena, n * sizeof *s->child_count);
    s->left = arena_zalloc(t->arena, n * sizeof *s->left);
    s->right = arena_zalloc(t->arena, n * sizeof *s->right);
    s->nested_parent = arena_zalloc(t->arena, n * sizeof *s->nested_parent);
    if (t->arena->overflowed)
        return false;

    for (uint32_t i = 0; i < n; i++)
        sorted[i] = (struct by_id){read_id(t->spans[i].span_id), i};
    qsort(sorted, n, sizeof *sorted, compare_by_id);
    for (uint32_t i = 0; i < n; i++)
        s->parent[i] = find_parent(t, sorted, &t->spans[i]);
    bool numbered = !has_triple(sorted, n);
    number_siblings(t, s, sorted);
    break_cycles(t, s, s->order); // its memory is free until the visits

    for (uint32_t i = 0; i < n; i++)
        first_child[i] = TQL_NO_SPAN;
    for (uint32_t i = n; i-- > 0;) { // from behind: lists come out in order
        int32_t parent = s->parent[i];
        next_sibling[i] = parent != TQL_NO_SPAN ? first_child[parent] : TQL_NO_SPAN;
        if (parent != TQL_NO_SPAN) {
            first_child[parent] = (int32_t)i;
            s->child_count[parent]++;
        }
    }
    int32_t counter = 1;
    uint32_t placed = 0;
    for (uint32_t i = 0; i < n; i++)
        if (s->parent[i] == TQL_NO_SPAN)
            visit(s, first_child, next_sibling, (int32_t)i, &placed,
                  numbered && read_id(t->spans[i].parent_id) == 0 ? &counter : NULL);
    return true;
}

const struct tql_structure *tql_trace_structure(struct tql_trace *t)
{
    if (t->structure == NULL) {
        struct tql_structure *s = arena_zalloc(t->arena, sizeof *s);
        if (s != NULL && build(t, s))
            t->structure = s;
    }
    return t->structure;
}
