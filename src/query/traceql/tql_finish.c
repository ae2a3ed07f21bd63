/*
 * tql_finish.c -- cells of a metrics query to its answer: labels, samples, second stages, exemplars, order (traceql.md 13,
 * traces-http.md 15.1).
 */
#include "query/traceql/tql_series.h"

#include <math.h>
#include <stdlib.h>

struct finishing {
    const struct traceql *query;
    const struct tql_buckets *buckets;
    bool duration;
    const struct trace_metrics_options *options;
    struct arena *a;
    struct draft {
        struct span_attributes labels;
        double *values; // by bucket; NaN: none
        struct tql_exemplar *exemplars;
        uint32_t exemplars_count;
    } *items;
    size_t count, room;
};

// --- labels -----------------------------------------------------------------------------------------------

static struct slice attr_key(struct finishing *f, const struct tql_attr *attr)
{
    struct buf b;
    buf_init(&b, 0);
    tql_print_attr(&b, attr);
    struct slice key = arena_copy(f->a, buf_slice(&b));
    buf_done(&b);
    return key;
}

static struct span_value text(const char *s)
{
    return (struct span_value){.kind = VALUE_STRING, .bytes = slice_cstr(s)};
}

// Those of the group, and room for `more`.
static struct span_attributes group_labels(struct finishing *f, const struct tql_series *s, uint32_t more)
{
    const struct tql_metrics *m = f->query->metrics;
    struct span_attributes out = {arena_array(f->a, m->by_count + more + 1, sizeof *out.items), 0};
    if (out.items == NULL)
        return out;
    for (uint32_t i = 0; i < m->by_count; i++)
        if (s->labels[i].type != TQL_T_NIL)
            out.items[out.count++] = (struct span_attribute){attr_key(f, m->by[i]), tql_to_span_value(s->labels[i], f->a)};
    if (out.count == 0 && m->by_count > 0)
        out.items[out.count++] = (struct span_attribute){attr_key(f, m->by[0]), text("nil")};
    if (m->by_count == 0 && more == 0)
        out.items[out.count++] = (struct span_attribute){SLICE("__name__"), text(tql_metric_name(m->fn))};
    return out;
}

static struct draft *new_draft(struct finishing *f)
{
    if (!arena_grow(f->a, (void **)&f->items, sizeof *f->items, f->count, &f->room))
        return NULL;
    struct draft *d = &f->items[f->count];
    *d = (struct draft){.values = arena_zalloc(f->a, f->buckets->count * sizeof *d->values)};
    if (d->values == NULL)
        return NULL;
    f->count++;
    return d;
}

static struct draft *numbered_draft(struct finishing *f, const struct tql_series *s, const char *key, double number)
{
    struct draft *d = new_draft(f);
    if (d == NULL)
        return NULL;
    d->labels = group_labels(f, s, 1);
    if (d->labels.items != NULL)
        d->labels.items[d->labels.count++] =
            (struct span_attribute){slice_cstr(key), {.kind = VALUE_DOUBLE, .number = number}};
    return d;
}

// --- values -----------------------------------------------------------------------------------------------

static double bound_of(const struct finishing *f, uint32_t power)
{
    return ldexp(1, (int)power) / (f->duration ? 1e9 : 1);
}

// traceql.md 13 "Quantile".
static double quantile_of(const struct finishing *f, const uint64_t *powers, double q)
{
    uint64_t total = 0, below = 0;
    for (uint32_t p = 0; p < TQL_POWERS; p++)
        total += powers[p];
    double wanted = ceil(q * (double)total);
    uint64_t k = wanted < 1 ? 1 : (uint64_t)wanted;
    uint32_t before = 0; // power of the bucket before; 0: none
    for (uint32_t p = 0; p < TQL_POWERS; p++) {
        if (powers[p] == 0)
            continue;
        if (below + powers[p] > k) {
            double fraction = (double)(k - below) / (double)powers[p], high = log2(bound_of(f, p));
            double low = before != 0 ? log2(bound_of(f, before)) : high - 1;
            return exp2(low + (high - low) * fraction);
        }
        below += powers[p];
        if (below == k)
            return bound_of(f, p);
        before = p;
    }
    return 0;
}

static bool share_exemplar(struct finishing *f, struct draft *d, const struct tql_exemplar *e)
{
    if (d->exemplars == NULL && (d->exemplars = arena_array(f->a, f->options->exemplars_max + (size_t)1, sizeof *e)) == NULL)
        return false;
    if (d->exemplars_count < f->options->exemplars_max)
        d->exemplars[d->exemplars_count++] = *e;
    return true;
}

static bool quantiles(struct finishing *f, const struct tql_series *s)
{
    const struct tql_metrics *m = f->query->metrics;
    size_t first = f->count;
    for (uint32_t n = 0; n < m->quantiles_count; n++) {
        struct draft *d = numbered_draft(f, s, "p", m->quantiles[n]);
        if (d == NULL)
            return false;
        for (uint32_t i = 0; i < f->buckets->count; i++)
            d->values[i] = s->powers[i] != NULL ? quantile_of(f, s->powers[i], m->quantiles[n]) : 0;
    }
    for (uint32_t i = 0; i < s->exemplars_count; i++) { // with the quantile that is nearest
        const struct tql_exemplar *e = &s->exemplars[i];
        uint32_t bucket = tql_bucket_of(f->buckets, e->start_ns);
        size_t nearest = first;
        for (size_t n = first + 1; n < f->count; n++)
            if (fabs(f->items[n].values[bucket] - e->value) < fabs(f->items[nearest].values[bucket] - e->value))
                nearest = n;
        if (!share_exemplar(f, &f->items[nearest], e))
            return false;
    }
    return true;
}

static bool histogram(struct finishing *f, const struct tql_series *s)
{
    for (uint32_t p = 1; p < TQL_POWERS; p++) {
        struct draft *d = NULL;
        for (uint32_t i = 0; i < f->buckets->count; i++) {
            if (s->powers[i] == NULL || s->powers[i][p] == 0)
                continue;
            if (d == NULL && (d = numbered_draft(f, s, "__bucket", bound_of(f, p))) == NULL)
                return false;
            d->values[i] = (double)s->powers[i][p];
        }
        for (uint32_t i = 0; i < s->exemplars_count && d != NULL; i++)
            if (s->exemplars[i].power == p && !share_exemplar(f, d, &s->exemplars[i]))
                return false;
    }
    return true;
}

static bool plain(struct finishing *f, const struct tql_series *s)
{
    struct draft *d = new_draft(f);
    if (d == NULL)
        return false;
    d->labels = group_labels(f, s, 0);
    d->exemplars = s->exemplars;
    d->exemplars_count = s->exemplars_count;
    int64_t bucket_ns = f->options->instant ? f->buckets->to_ns - f->buckets->from_ns : f->buckets->step_ns;
    for (uint32_t i = 0; i < f->buckets->count; i++) {
        d->values[i] = s->values[i];
        if (f->query->metrics->fn == TQL_M_RATE)
            d->values[i] /= (double)bucket_ns / 1e9;
        else if (s->counts != NULL && s->counts[i] > 0)
            d->values[i] /= (double)s->counts[i];
    }
    return true;
}

// --- second stages ----------------------------------------------------------------------------------------

static int compare_values(const struct span_value *l, const struct span_value *r)
{
    if (l->kind != r->kind)
        return l->kind < r->kind ? -1 : 1;
    switch (l->kind) {
    case VALUE_BOOL:   return l->flag - r->flag;
    case VALUE_INT:    return (l->integer > r->integer) - (l->integer < r->integer);
    case VALUE_DOUBLE: return (l->number > r->number) - (l->number < r->number);
    default:           return slice_cmp(l->bytes, r->bytes);
    }
}

// By number of labels, then their keys, then their values.
static int compare_labels(const struct span_attributes *l, const struct span_attributes *r)
{
    if (l->count != r->count)
        return l->count < r->count ? -1 : 1;
    int order = 0;
    for (uint32_t i = 0; i < l->count && order == 0; i++)
        order = slice_cmp(l->items[i].key, r->items[i].key);
    for (uint32_t i = 0; i < l->count && order == 0; i++)
        order = compare_values(&l->items[i].value, &r->items[i].value);
    return order;
}

struct ranked {
    const struct draft *draft;
    double value;
    uint32_t number;
};

static int by_value(const struct ranked *l, const struct ranked *r)
{
    return (l->value > r->value) - (l->value < r->value);
}

// Of equal points the one with the earlier labels is the larger one.
static int smallest_first(const void *left, const void *right)
{
    const struct ranked *l = left, *r = right;
    int order = by_value(l, r);
    return order != 0 ? order : -compare_labels(&l->draft->labels, &r->draft->labels);
}

static int largest_first(const void *left, const void *right)
{
    return smallest_first(right, left);
}

static bool keep_k(struct finishing *f, const struct tql_stage *stage)
{
    if ((uint64_t)stage->limit >= f->count)
        return true;
    struct ranked *points = arena_array(f->a, f->count, sizeof *points);
    if (points == NULL)
        return false;
    for (uint32_t i = 0; i < f->buckets->count; i++) {
        size_t count = 0;
        for (size_t n = 0; n < f->count; n++)
            if (!isnan(f->items[n].values[i]))
                points[count++] = (struct ranked){&f->items[n], f->items[n].values[i], (uint32_t)n};
        if (count > 0)
            qsort(points, count, sizeof *points, stage->kind == TQL_STAGE_TOPK ? largest_first : smallest_first);
        for (size_t n = (size_t)stage->limit; n < count; n++)
            f->items[points[n].number].values[i] = NAN;
    }
    return true;
}

static void keep_those(struct finishing *f, const struct tql_stage *stage)
{
    struct tql_value bound = stage->value;
    if (bound.type == TQL_T_DURATION)
        bound = (struct tql_value){.type = TQL_T_FLOAT, .number = (double)bound.integer / 1e9};
    for (size_t n = 0; n < f->count; n++)
        for (uint32_t i = 0; i < f->buckets->count; i++) {
            struct tql_value point = {.type = TQL_T_FLOAT, .number = f->items[n].values[i]};
            if (!tql_compare((int)stage->op, point, bound, NULL))
                f->items[n].values[i] = NAN;
        }
}

// Series without a point are gone.
static void drop_empty(struct finishing *f)
{
    size_t kept = 0;
    for (size_t n = 0; n < f->count; n++) {
        bool any = false;
        for (uint32_t i = 0; i < f->buckets->count && !any; i++)
            any = !isnan(f->items[n].values[i]);
        if (any)
            f->items[kept++] = f->items[n];
    }
    f->count = kept;
}

// --- answers ----------------------------------------------------------------------------------------------

static int compare_series(const void *left, const void *right)
{
    return compare_labels(&((const struct trace_series *)left)->labels, &((const struct trace_series *)right)->labels);
}

void tql_series_sort(struct trace_series *series, uint32_t count)
{
    if (count > 0)
        qsort(series, count, sizeof *series, compare_series);
}

static void put_exemplars(struct finishing *f, const struct draft *d, struct trace_series *out)
{
    out->exemplars = arena_array(f->a, d->exemplars_count, sizeof *out->exemplars);
    for (uint32_t i = 0; i < d->exemplars_count && out->exemplars != NULL; i++) {
        const struct tql_exemplar *e = &d->exemplars[i];
        double point = d->values[tql_bucket_of(f->buckets, e->start_ns)], value = isnan(e->value) ? point : e->value;
        if (!isnan(point) && out->exemplars_count < f->options->exemplars_max)
            out->exemplars[out->exemplars_count++] = (struct trace_exemplar){e->labels, value, e->start_ns / 1000000};
    }
}

static bool put_series(struct finishing *f, const struct draft *d, struct trace_series *out)
{
    const struct tql_buckets *b = f->buckets;
    *out = (struct trace_series){.labels = d->labels, .samples = arena_array(f->a, b->count, sizeof *out->samples)};
    if (out->samples == NULL)
        return false;
    for (uint32_t i = 0; i < b->count; i++) {
        int64_t end_ns = i + 1 == b->count ? b->to_ns : b->from_ns + (i + 1) * b->step_ns;
        if (!isnan(d->values[i]))
            out->samples[out->samples_count++] = (struct trace_sample){end_ns / 1000000, d->values[i]};
    }
    if (!f->options->instant)
        put_exemplars(f, d, out);
    return !f->a->overflowed;
}

// Leaves about `max` exemplars in all, spread over the series.
static void trim_exemplars(struct trace_metrics_result *out, uint32_t max)
{
    uint32_t total = 0;
    for (uint32_t i = 0; i < out->series_count; i++)
        total += out->series[i].exemplars_count;
    for (uint32_t i = 0, left = max; i < out->series_count && total > max; i++) {
        struct trace_series *s = &out->series[i];
        uint32_t share = (uint32_t)((uint64_t)s->exemplars_count * max / total);
        share = share == 0 && left > 0 && s->exemplars_count > 0 ? 1 : share;
        share = share < left ? share : left;
        for (uint32_t n = 0; n < share; n++)
            s->exemplars[n] = s->exemplars[(uint64_t)n * s->exemplars_count / share];
        s->exemplars_count = share;
        left -= share;
    }
}

bool tql_series_finish(const struct traceql *q, struct tql_series_set *set, const struct tql_buckets *buckets, bool duration,
                       const struct trace_metrics_options *options, const struct tql_exemplars *exemplars, struct arena *a,
                       struct trace_metrics_result *out, struct err *err)
{
    struct trace_metrics_options capped = *options;
    capped.exemplars_max = exemplars->max;
    struct finishing f = {.query = q, .buckets = buckets, .duration = duration, .options = &capped, .a = a};
    bool good = true;
    if (set->series_count == 0 && q->metrics->by_count == 0 && tql_counts(q->metrics->fn))
        good = tql_series_of(set, NULL, 0) != SIZE_MAX; // always there
    for (size_t i = 0; i < set->series_count && good; i++)
        good = q->metrics->fn == TQL_M_QUANTILE    ? quantiles(&f, &set->items[i])
               : q->metrics->fn == TQL_M_HISTOGRAM ? histogram(&f, &set->items[i])
                                                   : plain(&f, &set->items[i]);
    for (const struct tql_stage *stage = q->stages; stage != NULL && good; stage = stage->next) {
        if (stage->kind == TQL_STAGE_FILTER)
            keep_those(&f, stage);
        else
            good = keep_k(&f, stage);
        drop_empty(&f);
    }
    drop_empty(&f);
    out->series = arena_array(a, f.count, sizeof *out->series);
    for (size_t i = 0; i < f.count && good && out->series != NULL; i++)
        good = put_series(&f, &f.items[i], &out->series[out->series_count++]);
    if (!good || out->series == NULL)
        return arena_ok(a, "query", err);
    tql_series_sort(out->series, out->series_count);
    trim_exemplars(out, exemplars->max);
    return true;
}
