/*
 * range_values.c -- what the scans gathered for a range aggregation to one value a step; logql.md 16, 17. See range.h.
 *
 * The parts are put together in the order of the tasks, so the result does not depend on who did which. Samples are
 * sorted once a series, and each step looks at its own slice of them.
 */
#include "query/range.h"

#include <stdlib.h>

// --- putting parts together ---------------------------------------------------------------------------

struct part {
    struct slice labels;
    const struct gathered *gathered;
    size_t number; // of the series
};

// As one scan doing all tasks would have met them. Parts of one task are one scan's, in its order.
static int by_first_task(const void *a, const void *b)
{
    const struct part *x = a, *y = b;
    if (x->gathered->first_task != y->gathered->first_task)
        return x->gathered->first_task < y->gathered->first_task ? -1 : 1;
    return (x->gathered > y->gathered) - (x->gathered < y->gathered);
}

static void join_sums(const struct range_agg *r, struct gathered *to, const struct gathered *from)
{
    size_t count = r->ev->steps.count + 1;
    if (to->entries == NULL) {
        *to = *from;
        return;
    }
    for (size_t t = 0; t < count; t++)
        to->entries[t] += from->entries[t];
    for (size_t t = 0; t < count && r->bytes; t++)
        to->bytes[t] += from->bytes[t];
}

// A task is one scan's.
static int by_task(const void *a, const void *b)
{
    const struct piece *x = a, *y = b;
    if (x->task != y->task)
        return x->task < y->task ? -1 : 1;
    return (x->number > y->number) - (x->number < y->number);
}

// The pieces of a series, which several scans have parts of, in the order of the tasks.
static bool join_pieces(const struct part *parts, size_t parts_count, struct gathered *to, struct arena *a)
{
    size_t count = 0;
    for (size_t i = 0; i < parts_count; i++)
        count += parts[i].gathered->pieces_count;
    to->pieces = arena_array(a, count, sizeof *to->pieces);
    if (to->pieces == NULL)
        return false;
    for (size_t i = 0; i < parts_count; i++) {
        const struct gathered *g = parts[i].gathered;
        memcpy(to->pieces + to->pieces_count, g->pieces, g->pieces_count * sizeof *g->pieces);
        to->pieces_count += g->pieces_count;
    }
    qsort(to->pieces, count, sizeof *to->pieces, by_task);
    return true;
}

static int by_number(const void *a, const void *b)
{
    const struct part *x = a, *y = b;
    return (x->number > y->number) - (x->number < y->number);
}

struct joined {
    struct slice_set table;
    struct gathered *gathered; // by number in the table
};

static bool join(const struct range_agg *r, unsigned gatherers, struct joined *out)
{
    struct arena *a = r->ev->a;
    size_t count = 0;
    for (unsigned i = 0; i < gatherers; i++)
        count += r->gatherers[i].table.count;
    struct part *parts = arena_array(a, count + 1, sizeof *parts);
    *out = (struct joined){.table = {.arena = a}, .gathered = arena_zalloc(a, (count + 1) * sizeof *out->gathered)};
    if (parts == NULL || out->gathered == NULL)
        return false;
    count = 0;
    for (unsigned i = 0; i < gatherers; i++)
        for (size_t n = 0; n < r->gatherers[i].table.count; n++)
            parts[count++] = (struct part){.labels = r->gatherers[i].table.items[n],
                                           .gathered = &r->gatherers[i].gathered[n]};
    qsort(parts, count, sizeof *parts, by_first_task);
    for (size_t i = 0; i < count; i++) {
        parts[i].number = slice_set_add(&out->table, parts[i].labels);
        if (parts[i].number == SIZE_MAX)
            return false;
        if (r->sums)
            join_sums(r, &out->gathered[parts[i].number], parts[i].gathered);
    }
    if (r->sums)
        return true;
    qsort(parts, count, sizeof *parts, by_number);
    for (size_t i = 0, end; i < count; i = end) {
        for (end = i + 1; end < count && parts[end].number == parts[i].number; end++)
            continue;
        if (!join_pieces(&parts[i], end - i, &out->gathered[parts[i].number], a))
            return false;
    }
    return true;
}

// --- values ---------------------------------------------------------------------------------------

// The samples of a series by time; `space` has room for the most that a series has.
static bool samples_of(const struct gathered *g, struct sample *space, size_t *count_out, struct arena *a)
{
    *count_out = 0;
    for (size_t i = 0; i < g->pieces_count; i++) {
        memcpy(space + *count_out, g->pieces[i].samples, g->pieces[i].count * sizeof *space);
        *count_out += g->pieces[i].count;
    }
    return samples_sort(space, *count_out, a);
}

static bool values_of_samples(const struct range_agg *r, const struct gathered *g, struct sample *samples,
                              struct series *out)
{
    size_t count;
    if (!samples_of(g, samples, &count, r->ev->a))
        return false;
    struct window_fn fn = {r->fn, r->plan->ast->range_agg.param, r->range->range_ns};
    size_t low = 0, high = 0;
    for (uint32_t t = 0; t < r->ev->steps.count; t++) {
        __int128 at = (__int128)r->ev->steps.from_ns + (__int128)t * r->ev->steps.step_ns - r->range->offset_ns;
        while (high < count && samples[high].time_ns <= at)
            high++;
        while (low < high && samples[low].time_ns <= at - r->range->range_ns)
            low++;
        out->present[t] = low < high;
        if (low < high)
            out->values[t] = window_value(&fn, samples + low, high - low);
    }
    return true;
}

static void values_of_sums(const struct range_agg *r, const struct gathered *g, struct series *out)
{
    double range_s = (double)r->range->range_ns / 1e9;
    uint64_t entries = 0, bytes = 0;
    for (uint32_t t = 0; t < r->ev->steps.count; t++) {
        entries += g->entries[t];
        bytes += r->bytes ? g->bytes[t] : 0;
        double value = (double)(r->bytes ? bytes : entries);
        out->present[t] = entries > 0;
        out->values[t] = r->fn == TOK_RATE || r->fn == TOK_BYTES_RATE ? value / range_s : value;
    }
}

// Labels that the selector's equalities give, where the name has no other matcher (logql.md 17.3).
static struct slice absent_labels(const struct ast_logs *logs, struct arena *a)
{
    struct label *pairs = arena_array(a, logs->matchers_count + 1, sizeof *pairs);
    size_t count = 0;
    for (uint32_t i = 0; i < logs->matchers_count && pairs != NULL; i++) {
        const struct label_matcher *m = &logs->matchers[i];
        bool only = m->op == MATCH_EQ;
        for (uint32_t n = 0; n < logs->matchers_count && only; n++)
            only = n == i || !slice_eq(logs->matchers[n].name, m->name);
        if (only)
            pairs[count++] = (struct label){m->name, m->value};
    }
    if (pairs == NULL)
        return (struct slice){0};
    struct labels set = {pairs, (uint32_t)count};
    (void)labels_canon(&set);
    return labels_encoded(&set, a);
}

static bool make_absent(const struct range_agg *r, const struct joined *all, struct matrix *out, struct err *err)
{
    struct slice labels = absent_labels(&r->range->logs, r->ev->a);
    struct series *s = labels.ptr != NULL ? matrix_add(r->ev, out, labels) : NULL;
    if (s == NULL)
        return matrix_no_memory(r->ev, err);
    for (uint32_t t = 0; t < r->ev->steps.count; t++) {
        s->present[t] = true;
        s->values[t] = 1;
    }
    for (size_t i = 0; i < all->table.count; i++) {
        uint64_t entries = 0;
        for (uint32_t t = 0; t < r->ev->steps.count; t++) {
            entries += all->gathered[i].entries[t];
            s->present[t] = s->present[t] && entries == 0;
        }
    }
    return true;
}

static size_t most_samples(const struct joined *all)
{
    size_t most = 0;
    for (size_t i = 0; i < all->table.count; i++) {
        size_t count = 0;
        for (size_t n = 0; n < all->gathered[i].pieces_count; n++)
            count += all->gathered[i].pieces[n].count;
        most = count > most ? count : most;
    }
    return most;
}

static bool make_series(const struct range_agg *r, const struct joined *all, struct matrix *out, struct err *err)
{
    if (r->fn == TOK_ABSENT_OVER_TIME)
        return make_absent(r, all, out, err);
    struct sample *space = arena_array(r->ev->a, most_samples(all) + 1, sizeof *space);
    if (space == NULL)
        return matrix_no_memory(r->ev, err);
    for (size_t i = 0; i < all->table.count; i++) {
        struct series *s = matrix_add(r->ev, out, all->table.items[i]);
        if (s == NULL)
            return matrix_no_memory(r->ev, err);
        if (r->sums)
            values_of_sums(r, &all->gathered[i], s);
        else if (!values_of_samples(r, &all->gathered[i], space, s))
            return matrix_no_memory(r->ev, err);
    }
    return true;
}

bool range_values(const struct range_agg *r, unsigned gatherers, struct matrix *out, struct err *err)
{
    struct joined all;
    return join(r, gatherers, &all) ? make_series(r, &all, out, err) : matrix_no_memory(r->ev, err);
}
