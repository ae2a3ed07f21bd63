/*
 * tql_metrics.c -- metrics over spans (traceql.md 13): groups and cells.
 *
 * In a block, groups are numbers of the block's dictionaries; a group's series is looked up once per block.
 */
#include "query/traceql/tql_metrics.h"

#include "query/traceql/tql_codes.h"

#include <assert.h>
#include <math.h>

struct gathering {
    struct tql_metrics_run run;
    struct tql_series_set *sets; // by task
};

// --- exemplars --------------------------------------------------------------------------------------------

static bool is_duration(const struct tql_attr *attr)
{
    return tql_attr_type(attr) == TQL_T_DURATION;
}

// A value as series have it: durations in seconds.
static double series_value(struct tql_value v)
{
    return v.type == TQL_T_DURATION ? (double)v.integer / 1e9 : tql_number(v);
}

static bool note_exemplar(struct gathering *g, struct tql_worker *w, struct tql_series_set *set, size_t series, struct tql_eval *ev,
                          const uint8_t trace_id[TRACE_ID_BYTES], int64_t start_ns, double value, uint32_t power)
{
    struct tql_exemplar e = {.value = value, .start_ns = start_ns, .power = power};
    struct span_attributes shown;
    memcpy(e.trace_id, trace_id, TRACE_ID_BYTES);
    tql_shown_attributes(g->run.shown, ev, true, &w->arena, &shown);
    e.labels.items = arena_array(&w->arena, shown.count + (size_t)1, sizeof *e.labels.items);
    if (e.labels.items == NULL)
        return false;
    struct tql_value id = tql_id_value(ev, trace_id, TRACE_ID_BYTES, false);
    e.labels.items[e.labels.count++] =
        (struct span_attribute){SLICE("trace:id"), {.kind = VALUE_STRING, .bytes = arena_copy(&w->arena, id.text)}};
    for (uint32_t i = 0; i < shown.count; i++)
        if (!slice_eq(shown.items[i].key, SLICE("trace:id")))
            e.labels.items[e.labels.count++] = shown.items[i];
    return tql_exemplar_add(set, series, &e);
}

// --- one value --------------------------------------------------------------------------------------------

// Adds one span to its series. *value_out: an exemplar's; NaN for the series' own.
static bool add_value(enum tql_metric_fn fn, struct tql_series_set *set, size_t series, uint32_t bucket, struct tql_value v, bool *added_out,
                      double *value_out, uint32_t *power_out)
{
    *added_out = true;
    *value_out = NAN;
    *power_out = 0;
    if (tql_counts(fn)) {
        set->items[series].values[bucket - set->first] += 1;
        return true;
    }
    *added_out = tql_numeric(v.type);
    if (!*added_out)
        return true;
    if (fn == TQL_M_QUANTILE || fn == TQL_M_HISTOGRAM) {
        *power_out = tql_power_of(v);
        *added_out = *power_out > 0;
        if (fn == TQL_M_QUANTILE)
            *value_out = series_value(v);
        return !*added_out || tql_series_add_power(set, series, bucket, *power_out);
    }
    *value_out = series_value(v);
    *added_out = !isnan(*value_out);
    if (*added_out)
        tql_series_add(set, series, bucket, *value_out);
    return true;
}

// --- rows of a block --------------------------------------------------------------------------------------

enum { BY_MAX = 8 };
static_assert(BY_MAX >= 5, "traceql.md 8: as many by() attributes as there may be");

// Groups of rows: codes of all by() attributes, joined one after the other.
struct groups {
    const uint32_t *of_row; // NULL: one group
    uint32_t count;
    struct tql_codes codes[BY_MAX];
    struct tql_code_pair *pairs[BY_MAX]; // [i]: of the groups by i attributes, and attribute i
};

static bool make_groups(const struct tql_metrics *m, struct tql_rows *r, const struct tql_bits *bits, struct groups *out)
{
    *out = (struct groups){.count = 1};
    for (uint32_t i = 0; i < m->by_count; i++) {
        if (!tql_codes_of(r, m->by[i], bits, false, &out->codes[i]))
            return false;
        if (i == 0) {
            out->of_row = out->codes[0].of_row;
            out->count = out->codes[0].count;
        } else if (!tql_codes_join(r, out->of_row, out->codes[i].of_row, bits, &out->of_row, &out->pairs[i], &out->count)) {
            return false;
        }
    }
    return true;
}

static void group_labels(const struct groups *g, uint32_t by_count, uint32_t group, struct tql_value *labels)
{
    for (uint32_t i = by_count; i-- > 1;) {
        struct tql_code_pair pair = g->pairs[i][group];
        labels[i] = g->codes[i].values[pair.right];
        group = pair.left;
    }
    if (by_count > 0)
        labels[0] = g->codes[0].values[group];
}

// The series of a group, looked up once. SIZE_MAX: no memory.
static size_t series_of(struct gathering *g, struct tql_series_set *set, const struct groups *groups, uint32_t *known, uint32_t group)
{
    struct tql_value labels[BY_MAX];
    uint32_t by_count = g->run.query->metrics->by_count;
    if (known[group] != 0)
        return known[group] - 1;
    group_labels(groups, by_count, group, labels);
    size_t series = tql_series_of(set, labels, by_count);
    known[group] = (uint32_t)series + 1;
    return series;
}

static bool count_rows(struct gathering *g, struct tql_series_set *set, struct tql_rows *r, const struct tql_bits *bits,
                       const struct groups *groups, uint32_t *known)
{
    const struct tql_buckets *b = &g->run.buckets;
    const int64_t *starts = r->block->start_ns;
    // Rows lie by time: the bucket mostly is the one before, so it is computed when it is left.
    uint64_t low = 1, width = 0;
    uint32_t bucket = 0;
    for (uint32_t w = 0; w < (r->block->spans_count + 63) / 64; w++)
        for (uint64_t word = bits->words[w]; word != 0; word &= word - 1) {
            uint32_t row = w * 64 + (uint32_t)__builtin_ctzll(word);
            uint64_t start = (uint64_t)starts[row];
            if (UNLIKELY(start - low >= width)) {
                bucket = tql_bucket_of(b, span_time(start));
                low = (uint64_t)b->from_ns + 1 + (uint64_t)bucket * (uint64_t)b->step_ns;
                width = (uint64_t)b->step_ns;
            }
            uint32_t group = groups->of_row != NULL ? groups->of_row[row] : 0;
            if (UNLIKELY(known[group] == 0) && series_of(g, set, groups, known, group) == SIZE_MAX)
                return false;
            set->items[known[group] - 1].values[bucket - set->first] += 1;
        }
    return true;
}

static bool add_rows(struct gathering *g, struct tql_series_set *set, struct tql_rows *r, const struct tql_bits *bits,
                     const struct groups *groups, uint32_t *known)
{
    const struct tql_metrics *m = g->run.query->metrics;
    for (uint32_t row = tql_bits_next(bits, 0); row < SPAN_BLOCK_SPANS_MAX; row = tql_bits_next(bits, row + 1)) {
        bool added;
        double value;
        uint32_t power, bucket = tql_bucket_of(&g->run.buckets, span_time((uint64_t)r->block->start_ns[row]));
        struct tql_value v = tql_rows_value(r, m->attr, row);
        if (r->failed)
            return false;
        if (!tql_numeric(v.type)) // makes no series
            continue;
        size_t series = series_of(g, set, groups, known, groups->of_row != NULL ? groups->of_row[row] : 0);
        if (series == SIZE_MAX || !add_value(m->fn, set, series, bucket, v, &added, &value, &power))
            return false;
    }
    return true;
}

// A second look at the rows, as long as exemplars are wanted.
static bool row_exemplars(struct gathering *g, struct tql_worker *w, struct tql_series_set *set, struct tql_rows *r,
                          const struct tql_bits *bits, const struct groups *groups, const uint32_t *known)
{
    const struct tql_metrics *m = g->run.query->metrics;
    const struct span_block *b = r->block;
    if (!tql_rows_column(r, SPAN_TRACES))
        return false;
    for (uint32_t t = 0; t < b->stats.traces_count; t++) {
        uint32_t row = tql_bits_next(bits, b->trace_first[t]);
        if (row >= b->trace_first[t + 1])
            continue;
        uint32_t group = groups->of_row != NULL ? groups->of_row[row] : 0;
        int64_t start_ns = span_time((uint64_t)b->start_ns[row]);
        if (known[group] == 0 || !tql_exemplar_wanted(&set->items[known[group] - 1], &g->run.exemplars, b->trace_ids[t], start_ns))
            continue;
        double value = NAN;
        uint32_t power = 0;
        if (m->attr != NULL) {
            struct tql_value v = tql_rows_value(r, m->attr, row);
            if (!tql_numeric(v.type))
                continue;
            power = tql_power_of(v);
            value = m->fn == TQL_M_HISTOGRAM ? NAN : series_value(v);
        }
        r->row = row;
        if (!note_exemplar(g, w, set, known[group] - 1, &r->eval, b->trace_ids[t], start_ns, value, power))
            return false;
    }
    return true;
}

static bool observe_rows(void *ctx, struct tql_worker *w, uint32_t task, struct tql_rows *r, const struct tql_bits *bits)
{
    struct gathering *g = ctx;
    struct tql_series_set *set = &g->sets[task];
    struct groups groups;
    if (!tql_rows_column(r, SPAN_STARTS) || !make_groups(g->run.query->metrics, r, bits, &groups))
        return false;
    uint32_t *known = arena_zalloc(r->arena, (groups.count + (size_t)1) * sizeof *known); // series + 1
    if (known == NULL)
        return arena_ok(r->arena, "query", r->err);
    bool good = tql_counts(set->fn) ? count_rows(g, set, r, bits, &groups, known) : add_rows(g, set, r, bits, &groups, known);
    if (good && g->run.exemplars.max > 0)
        good = row_exemplars(g, w, set, r, bits, &groups, known);
    return good || (!r->failed && arena_ok(&w->arena, "query", r->err));
}

// --- spans of traces --------------------------------------------------------------------------------------

static bool observe_span(void *ctx, struct tql_worker *w, uint32_t task, struct tql_trace_row *row)
{
    struct gathering *g = ctx;
    const struct tql_metrics *m = g->run.query->metrics;
    struct tql_series_set *set = &g->sets[task];
    struct tql_value labels[BY_MAX], v = {.type = TQL_T_NIL};
    bool added;
    double value;
    uint32_t power;
    int64_t start_ns = span_time(row->span->start_ns);
    if (m->attr != NULL) {
        v = tql_eval_attr(&row->eval, m->attr);
        if (!tql_numeric(v.type))
            return true;
    }
    for (uint32_t i = 0; i < m->by_count; i++) {
        labels[i] = tql_eval_attr(&row->eval, m->by[i]);
        if (labels[i].type == TQL_T_ARRAY)
            labels[i].type = TQL_T_NIL;
        if (labels[i].type == TQL_T_STRING) // IDs share a few places
            labels[i].text = arena_copy(&w->block, labels[i].text);
    }
    size_t series = tql_series_of(set, labels, m->by_count);
    if (series == SIZE_MAX || !add_value(m->fn, set, series, tql_bucket_of(&g->run.buckets, start_ns), v, &added, &value, &power))
        return false;
    if (!added || g->run.exemplars.max == 0 ||
        !tql_exemplar_wanted(&set->items[series], &g->run.exemplars, row->span->trace_id, start_ns))
        return true;
    return note_exemplar(g, w, set, series, &row->eval, row->span->trace_id, start_ns, value, power);
}

static bool begin_task(void *ctx, struct tql_worker *w, uint32_t task, int64_t min_ns, int64_t max_ns)
{
    struct gathering *g = ctx;
    uint32_t first, count;
    tql_buckets_between(&g->run.buckets, min_ns, max_ns, &first, &count);
    tql_series_init(&g->sets[task], g->run.query->metrics->fn, first, count, &w->arena);
    return true;
}

// --- runs -------------------------------------------------------------------------------------------------

static bool merge(struct gathering *g, uint32_t tasks, struct trace_metrics_result *out, struct err *err)
{
    struct arena *a = &g->run.team.workers[0].arena;
    const struct tql_metrics *m = g->run.query->metrics;
    struct tql_series_set all;
    tql_series_init(&all, m->fn, 0, g->run.buckets.count, a);
    bool good = true;
    for (uint32_t t = 0; t < tasks && good; t++)
        good = tql_series_merge(&all, &g->sets[t], m->by_count);
    good = (good || arena_ok(a, "query", err)) &&
           tql_series_finish(g->run.query, &all, &g->run.buckets, m->attr != NULL && is_duration(m->attr), g->run.options,
                             &g->run.exemplars, a, out, err);
    tql_series_done(&all);
    return good;
}

static bool gather(struct gathering *g, struct trace_metrics_result *out, struct err *err)
{
    struct arena *a = &g->run.team.workers[0].arena;
    const struct tql_observer observer = {g, begin_task, observe_rows, observe_span};
    uint32_t tasks = tql_metrics_tasks_max(&g->run);
    g->sets = arena_zalloc(a, tasks * sizeof *g->sets);
    if (g->sets == NULL)
        return arena_ok(a, "query", err);
    bool good = tql_metrics_blocks(&g->run, &observer, err) && tql_metrics_traces(&g->run, &observer, err) && merge(g, tasks, out, err);
    for (uint32_t t = 0; t < tasks; t++)
        tql_series_done(&g->sets[t]);
    return good;
}

static struct tql_exemplars exemplars_of(const struct traceql *q, const struct trace_metrics_options *o)
{
    const struct tql_hint *hint = tql_hint(q, SLICE("exemplars"));
    struct tql_exemplars e = {.max = o->exemplars_max};
    if (hint != NULL && hint->value.type == TQL_T_INT)
        e.max = hint->value.integer < 0 ? 0 : hint->value.integer < o->exemplars_max ? (uint32_t)hint->value.integer : o->exemplars_max;
    if (hint != NULL && hint->value.type == TQL_T_BOOL && !hint->value.flag)
        e.max = 0;
    if (o->instant)
        e.max = 0;
    uint32_t slots = e.max / 2 > 0 ? e.max / 2 : 1;
    int64_t slot_ns = (o->to_ns - o->from_ns) / slots;
    e.slot_ns = slot_ns > o->step_ns ? slot_ns : o->step_ns;
    return e;
}

static struct tql_buckets buckets_of(const struct trace_metrics_options *o)
{
    struct tql_buckets b = {.from_ns = o->from_ns, .to_ns = o->to_ns < INT64_MAX ? o->to_ns : INT64_MAX - 1};
    b.step_ns = o->instant ? b.to_ns - b.from_ns : o->step_ns;
    b.count = b.step_ns > 0 && b.to_ns > b.from_ns ? tql_bucket_of(&b, b.to_ns) + 1 : 0;
    return b;
}

bool trace_metrics(const struct traceql *query, const struct trace_metrics_options *options, const struct query_context *context,
                   struct trace_metrics_result *out, struct err *err)
{
    struct gathering g = {.run = {.query = query, .options = options, .buckets = buckets_of(options)}};
    *out = (struct trace_metrics_result){0};
    if (query->metrics == NULL)
        return err_set(err, ERR_INPUT, "not a metrics query");
    if (g.run.buckets.count == 0 || g.run.buckets.step_ns <= 0)
        return err_set(err, ERR_INPUT, "end must be greater than start");
    g.run.exemplars = exemplars_of(query, options);
    bool good = tql_team_begin(&g.run.team, context, err) && tql_metrics_prepare(&g.run, err) &&
                (query->metrics->fn == TQL_M_COMPARE ? tql_compare_run(&g.run, out, err) : gather(&g, out, err));
    tql_team_end(&g.run.team, &out->stats, &out->warnings);
    if (good && options->series_max > 0 && out->series_count >= options->series_max) {
        out->partial = true;
        out->series_count = options->series_max;
    }
    return good;
}
