/* vector_agg.c -- sum, avg, topk and their like over the series of each step; logql.md 18. */
#include "query/matrix.h"

#include <math.h>
#include <stdlib.h>

struct group {
    double count, mean, aux;
};

static void combine(enum token_kind fn, double value, bool *present, double *to, struct group *g)
{
    g->count++;
    double delta = value - g->mean;
    g->mean += delta / g->count;
    g->aux += delta * (value - g->mean);
    if (fn == TOK_STDVAR || fn == TOK_STDDEV)
        *to = fn == TOK_STDVAR ? g->aux / g->count : sqrt(g->aux / g->count);
    else if (fn == TOK_COUNT)
        *to = g->count;
    else if (!*present)
        *to = value;
    else if (fn == TOK_SUM)
        *to += value;
    else if (fn == TOK_AVG)
        *to += value / g->count - *to / g->count;
    else if (isnan(*to) || (fn == TOK_MIN ? value < *to : value > *to))
        *to = value;
    *present = true;
}

static bool reduce(struct evaluation *ev, const struct ast *ast, const struct matrix *in,
                   struct matrix *out, struct err *err)
{
    struct slice_set table = {.arena = ev->a};
    struct group *groups = arena_zalloc(ev->a, (in->count + 1) * ev->steps.count * sizeof *groups);
    if (groups == NULL)
        return matrix_no_memory(ev, err);
    for (size_t i = 0; i < in->count; i++) {
        size_t before = table.count;
        struct slice labels = matrix_group(ast->vector_agg.grouping, in->items[i].labels, ev->a);
        size_t number = labels.ptr != NULL ? slice_set_add(&table, labels) : SIZE_MAX;
        if (number == SIZE_MAX || (table.count > before && matrix_add(ev, out, table.items[number]) == NULL))
            return matrix_no_memory(ev, err);
        struct series *to = &out->items[number];
        for (uint32_t t = 0; t < ev->steps.count; t++)
            if (in->items[i].present[t])
                combine(ast->vector_agg.fn, in->items[i].values[t], &to->present[t], &to->values[t],
                        &groups[number * ev->steps.count + t]);
    }
    return true;
}

// --- order ------------------------------------------------------------------------------------------

struct candidate {
    const struct series *series;
    size_t number; // of its series in the input
    size_t group;
    double value;
    bool ascending;
};

// By group; within it the best first, NaN worst, ties by labels.
static int by_rank(const void *a, const void *b)
{
    const struct candidate *x = a, *y = b;
    if (x->group != y->group)
        return x->group < y->group ? -1 : 1;
    if (isnan(x->value) != isnan(y->value))
        return isnan(x->value) ? 1 : -1;
    if (x->value != y->value && !isnan(x->value))
        return (x->value < y->value) == x->ascending ? -1 : 1;
    return matrix_compare_labels(x->series->labels, y->series->labels);
}

static size_t rank(const struct matrix *in, const size_t *groups, uint32_t step, bool ascending,
                   struct candidate *out)
{
    size_t count = 0;
    for (size_t i = 0; i < in->count; i++)
        if (in->items[i].present[step])
            out[count++] = (struct candidate){&in->items[i], i, groups != NULL ? groups[i] : 0,
                                              in->items[i].values[step], ascending};
    qsort(out, count, sizeof *out, by_rank);
    return count;
}

// topk, bottomk: series keep their labels, and their values at the steps where they are among the best.
static bool select_k(struct evaluation *ev, const struct ast *ast, const struct matrix *in,
                     struct matrix *out, struct err *err)
{
    struct slice_set table = {.arena = ev->a};
    size_t *groups = arena_array(ev->a, in->count + 1, sizeof *groups);
    struct candidate *c = arena_array(ev->a, in->count + 1, sizeof *c);
    if (groups == NULL || c == NULL)
        return matrix_no_memory(ev, err);
    for (size_t i = 0; i < in->count; i++) {
        struct slice labels = matrix_group(ast->vector_agg.grouping, in->items[i].labels, ev->a);
        groups[i] = labels.ptr != NULL ? slice_set_add(&table, labels) : SIZE_MAX;
        if (groups[i] == SIZE_MAX || matrix_add(ev, out, in->items[i].labels) == NULL)
            return matrix_no_memory(ev, err);
    }
    for (uint32_t t = 0; t < ev->steps.count; t++) {
        size_t count = rank(in, groups, t, ast->vector_agg.fn == TOK_BOTTOMK, c), taken = 0;
        for (size_t i = 0; i < count; i++) {
            taken = i > 0 && c[i].group == c[i - 1].group ? taken + 1 : 1;
            if ((double)taken > ast->vector_agg.param)
                continue;
            out->items[c[i].number].present[t] = true;
            out->items[c[i].number].values[t] = c[i].value;
        }
    }
    return true;
}

// sort: the order of an instant result; of a range result the order is that of labels anyway.
static bool order(struct evaluation *ev, const struct ast *ast, const struct matrix *in,
                  struct matrix *out, struct err *err)
{
    if (ev->steps.count != 1) {
        *out = *in;
        return true;
    }
    struct candidate *c = arena_array(ev->a, in->count + 1, sizeof *c);
    if (c == NULL)
        return matrix_no_memory(ev, err);
    size_t count = rank(in, NULL, 0, ast->vector_agg.fn == TOK_SORT, c);
    for (size_t i = 0; i < count; i++) {
        struct series *s = matrix_add(ev, out, c[i].series->labels);
        if (s == NULL)
            return matrix_no_memory(ev, err);
        s->present[0] = true;
        s->values[0] = c[i].value;
    }
    return true;
}

bool vector_agg_eval(struct evaluation *ev, const struct ast *ast, struct matrix *out, struct err *err)
{
    const struct ast *inner = ast->vector_agg.inner;
    if (inner->kind == AST_RANGE_AGG && range_agg_takes_sum(inner, ast))
        return range_agg_eval(ev, inner, out, err);
    struct matrix in = {0};
    if (!matrix_eval(ev, inner, &in, err))
        return false;
    switch (ast->vector_agg.fn) {
    case TOK_TOPK:
    case TOK_BOTTOMK:
    case TOK_APPROX_TOPK:
        return select_k(ev, ast, &in, out, err);
    case TOK_SORT:
    case TOK_SORT_DESC:
        return order(ev, ast, &in, out, err);
    default:
        return reduce(ev, ast, &in, out, err);
    }
}
