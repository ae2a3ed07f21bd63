/*
 * metric.c -- see metric.h.
 *
 * Every expression evaluates to a matrix: series of one value per step, present or not; an instant query
 * has one step. A range aggregation visits each stream's entries once, in time order, and adds what an
 * entry is worth to the steps whose window holds it: as a difference at the first of them and one behind
 * the last, summed up at the end. So its cost depends on the entries, not on how windows overlap.
 */
#include "query/metric.h"

#include "base/limits.h"
#include "base/slice_set.h"
#include "query/merge.h"
#include "query/scan.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

struct steps {
    int64_t from_ns;
    int64_t step_ns; // > 0
    uint32_t count;
};

struct series {
    struct slice labels; // encoded
    double *values;      // by step
    bool *present;
};

struct matrix {
    struct series *items;
    size_t count, room;
};

struct evaluation {
    const struct query_context *context;
    const struct metric_plan *plan;
    struct arena *a;
    struct steps steps;
    struct query_stats *stats;
    const char **warnings;
    uint32_t warnings_count;
};

// --- plans ------------------------------------------------------------------------------------------

struct metric_plan {
    const struct ast_log_range *range; // whose pipeline it is
    struct pipeline *pipeline;
    struct wanted_labels wanted;
    struct metric_plan *next;
};

static const struct pipeline *plan_pipeline(const struct metric_plan *plan,
                                            const struct ast_log_range *range)
{
    while (plan->range != range)
        plan = plan->next;
    return plan->pipeline;
}

static bool unsupported(const char *what, struct err *err)
{
    return err_set(err, ERR_INPUT, "parse error : this version of mstore does not have %s", what);
}

static bool function_is_served(enum token_kind fn)
{
    return fn == TOK_COUNT_OVER_TIME || fn == TOK_RATE || fn == TOK_BYTES_OVER_TIME || fn == TOK_BYTES_RATE;
}

static bool operator_is_served(enum token_kind fn)
{
    return fn == TOK_SUM || fn == TOK_AVG || fn == TOK_MIN || fn == TOK_MAX || fn == TOK_COUNT;
}

static bool plan_range(const struct ast *ast, struct arena *a, struct ast_regex **regexes,
                       struct metric_plan **list, struct err *err)
{
    const struct ast_log_range *range = &ast->range_agg.range;
    if (!function_is_served(ast->range_agg.fn) || range->unwrap != NULL)
        return unsupported(range->unwrap != NULL ? "unwrap" : "this range function", err);
    struct metric_plan *plan = arena_zalloc(a, sizeof *plan);
    if (plan == NULL)
        return arena_ok(a, "query", err);
    plan->range = range;
    plan->next = *list;
    *list = plan;
    return pipeline_new(range->logs.stages, &plan->wanted, a, regexes, &plan->pipeline, err);
}

static bool plan_tree(const struct ast *ast, struct arena *a, struct ast_regex **regexes,
                      struct metric_plan **list, struct err *err)
{
    switch (ast->kind) {
    case AST_RANGE_AGG:
        return plan_range(ast, a, regexes, list, err);
    case AST_VECTOR_AGG:
        return (operator_is_served(ast->vector_agg.fn) || unsupported("this vector operator", err)) &&
               plan_tree(ast->vector_agg.inner, a, regexes, list, err);
    case AST_LITERAL:
    case AST_VECTOR:
        return true;
    default:
        return unsupported("this expression", err);
    }
}

bool metric_plan_new(const struct ast *ast, struct arena *a, struct ast_regex **regexes,
                     struct metric_plan **out, struct err *err)
{
    *out = NULL;
    return plan_tree(ast, a, regexes, out, err);
}

// --- matrices ---------------------------------------------------------------------------------------

static bool no_memory(struct evaluation *ev, struct err *err)
{
    return arena_ok(ev->a, "metric query", err);
}

static struct series *add_series(struct evaluation *ev, struct matrix *m, struct slice labels)
{
    if (m->count == m->room && !arena_grow(ev->a, (void **)&m->items, sizeof *m->items, m->count, &m->room))
        return NULL;
    struct series *s = &m->items[m->count];
    *s = (struct series){labels, arena_zalloc(ev->a, ev->steps.count * sizeof *s->values),
                         arena_zalloc(ev->a, ev->steps.count * sizeof *s->present)};
    if (s->values == NULL || s->present == NULL)
        return NULL;
    m->count++;
    return s;
}

// --- range aggregations -----------------------------------------------------------------------------

struct counts {
    uint64_t *entries; // differences by step, one more than steps
    uint64_t *bytes;   // likewise
};

struct range_agg {
    struct evaluation *ev;
    const struct ast *ast;
    const struct pipeline *pipeline;
    const struct ast_grouping *grouping; // of the sum around it, pushed down; NULL: none
    bool grouped;
    bool wants_bytes;
    struct scan *scan;
    struct slice_set table; // label sets
    struct counts *counts; // by number in the table
    size_t counts_room;
    struct arena scratch;
    struct slice stream; // labels of the stream being visited
    // Entries of a stream share few metadata sets: the last one's series.
    struct slice last_metadata;
    size_t last_number;
    struct err *err;
    bool failed;
};

static bool fail(struct range_agg *r)
{
    r->failed = true;
    return false;
}

static bool fail_memory(struct range_agg *r)
{
    (void)err_set(r->err, ERR_LIMIT, "metric query: more than %zu bytes of memory",
                  r->ev->a->bytes_max);
    return fail(r);
}

static struct slice series_labels(struct range_agg *r, const struct line *l)
{
    if (!r->grouped)
        return line_labels(l, &r->scratch);
    const struct ast_grouping *g = r->grouping;
    if (g == NULL)
        return LABELS_EMPTY;
    return line_grouped(l, g->names, g->names_count, g->without, &r->scratch);
}

static bool counts_of(struct range_agg *r, const struct line *l, size_t *number_out)
{
    bool plain = !pipeline_sets_labels(r->pipeline);
    if (plain && r->last_number != SIZE_MAX && l->metadata.ptr == r->last_metadata.ptr &&
        l->metadata.len == r->last_metadata.len) {
        *number_out = r->last_number;
        return true;
    }
    size_t before = r->table.count;
    struct slice labels = series_labels(r, l);
    size_t number = labels.ptr == NULL ? SIZE_MAX : slice_set_add(&r->table, labels);
    if (number == SIZE_MAX)
        return fail_memory(r);
    if (r->table.count > before) {
        struct counts c = {.entries = arena_zalloc(r->ev->a, (r->ev->steps.count + 1) * sizeof *c.entries)};
        if (r->wants_bytes)
            c.bytes = arena_zalloc(r->ev->a, (r->ev->steps.count + 1) * sizeof *c.bytes);
        if (!arena_grow(r->ev->a, (void **)&r->counts, sizeof *r->counts, number, &r->counts_room) ||
            r->ev->a->overflowed)
            return fail_memory(r);
        r->counts[number] = c;
    }
    r->last_metadata = plain ? l->metadata : (struct slice){0};
    r->last_number = plain ? number : SIZE_MAX;
    *number_out = number;
    return true;
}

// logql.md 16.5
static bool pipeline_error(struct range_agg *r, const struct line *l)
{
    AUTO(buf_done) struct buf text;
    buf_init(&text, ERR_TEXT_BYTES);
    labels_print(&text, line_labels(l, &r->scratch));
    return err_set(r->err, ERR_INPUT,
                   "pipeline error: '%.*s' for series: '%.*s'.\n"
                   "Use a label filter to intentionally skip this error. (e.g | __error__!=\"%.*s\").\n"
                   "To skip all potential errors you can match empty errors.(e.g __error__=\"\")\n"
                   "The label filter can also be specified after unwrap. (e.g | unwrap latency | "
                   "__error__=\"\" )\n",
                   SLICE_FMT(l->error), SLICE_FMT(buf_slice(&text)), SLICE_FMT(l->error));
}

static int64_t floor_div(__int128 a, int64_t b)
{
    __int128 q = a / b;
    if (a % b != 0 && a < 0)
        q--;
    return q > INT64_MAX ? INT64_MAX : q < INT64_MIN ? INT64_MIN : (int64_t)q;
}

// Steps whose window holds an entry: T with time + offset <= T < time + offset + range.
static bool steps_of(const struct range_agg *r, int64_t time_ns, uint32_t *first_out, uint32_t *end_out)
{
    const struct steps *s = &r->ev->steps;
    const struct ast_log_range *range = &r->ast->range_agg.range;
    __int128 from = (__int128)time_ns + range->offset_ns - s->from_ns;
    int64_t first = floor_div(from + s->step_ns - 1, s->step_ns);
    int64_t end = floor_div(from + range->range_ns - 1, s->step_ns) + 1;
    first = first < 0 ? 0 : first;
    end = end > s->count ? s->count : end;
    *first_out = (uint32_t)first;
    *end_out = (uint32_t)end;
    return first < end;
}

static bool add_hit(void *ctx, const struct scan_hit *hit)
{
    struct range_agg *r = ctx;
    const struct line *l = &hit->line;
    uint32_t first, end;
    size_t number;
    if (!steps_of(r, l->time_ns, &first, &end))
        return true;
    if (l->error.len > 0) {
        (void)pipeline_error(r, l);
        return fail(r);
    }
    if (!counts_of(r, l, &number))
        return false;
    struct counts *c = &r->counts[number];
    c->entries[first]++;
    c->entries[end]--;
    if (r->wants_bytes) {
        c->bytes[first] += l->text.len;
        c->bytes[end] -= l->text.len;
    }
    return true;
}

static bool add_piece(void *ctx, const struct run_entries *e, uint32_t first, uint32_t end,
                      struct err *err)
{
    struct range_agg *r = ctx;
    r->err = err;
    // Decoded blocks are reused: pointers mean nothing from one piece to the next.
    r->last_number = SIZE_MAX;
    (void)scan_run(r->scan, r->pipeline, r->stream, e, first, end, true, &r->scratch, add_hit, r);
    return !r->failed;
}

static bool visit_streams(struct range_agg *r, struct view_selection *sel, int64_t from_ns,
                          int64_t to_ns, struct err *err)
{
    const struct merge_visitor visitor = {add_piece, r};
    unsigned columns = scan_columns(r->pipeline) | VIEW_METADATA | (r->wants_bytes ? VIEW_LINES : 0U);
    for (uint32_t i = 0, end; i < sel->runs_count; i = end) {
        for (end = i + 1; end < sel->runs_count && sel->runs[end].stream == sel->runs[i].stream; end++)
            continue;
        if (!view_labels(r->scan->view, &sel->streams[sel->runs[i].stream], r->ev->a, &r->stream, err))
            return false;
        if (!merge_stream(r->scan, &sel->runs[i], end - i, columns, from_ns, to_ns, &visitor, err))
            return false;
    }
    return true;
}

static bool make_series(struct range_agg *r, struct matrix *out, struct err *err)
{
    struct evaluation *ev = r->ev;
    enum token_kind fn = r->ast->range_agg.fn;
    double seconds = (double)r->ast->range_agg.range.range_ns / 1e9;
    for (size_t i = 0; i < r->table.count; i++) {
        struct series *s = add_series(ev, out, r->table.items[i]);
        if (s == NULL)
            return no_memory(ev, err);
        uint64_t entries = 0, bytes = 0;
        for (uint32_t t = 0; t < ev->steps.count; t++) {
            entries += r->counts[i].entries[t];
            bytes += r->wants_bytes ? r->counts[i].bytes[t] : 0;
            double value = (double)(r->wants_bytes ? bytes : entries);
            s->present[t] = entries > 0;
            s->values[t] = fn == TOK_RATE || fn == TOK_BYTES_RATE ? value / seconds : value;
        }
    }
    return true;
}

static int64_t clamp(__int128 ns)
{
    return ns > INT64_MAX ? INT64_MAX : ns < INT64_MIN ? INT64_MIN : (int64_t)ns;
}

static void range_agg_done(struct range_agg *r)
{
    arena_done(&r->scratch);
}

static bool run_range_agg(struct range_agg *r, struct matrix *out, struct err *err)
{
    struct evaluation *ev = r->ev;
    const struct ast_log_range *range = &r->ast->range_agg.range;
    __int128 last = (__int128)ev->steps.from_ns + (__int128)ev->steps.step_ns * (ev->steps.count - 1);
    int64_t from_ns = clamp((__int128)ev->steps.from_ns - range->offset_ns - range->range_ns + 1);
    int64_t to_ns = clamp(last - range->offset_ns + 1);
    struct view_selection sel;
    if (!scan_select(r->scan, &range->logs, from_ns, to_ns, &sel, err))
        return false;
    view_settle(r->scan->view);
    return visit_streams(r, &sel, from_ns, to_ns, err) && make_series(r, out, err);
}

// `around`: the sum that this is the argument of, when its grouping can be applied to each entry.
static bool eval_range_agg(struct evaluation *ev, const struct ast *ast, const struct ast *around,
                           struct matrix *out, struct err *err)
{
    struct scan scan;
    AUTO(range_agg_done) struct range_agg r = {
        .ev = ev,
        .ast = ast,
        .pipeline = plan_pipeline(ev->plan, &ast->range_agg.range),
        .grouping = around != NULL ? around->vector_agg.grouping : NULL,
        .grouped = around != NULL,
        .wants_bytes = ast->range_agg.fn == TOK_BYTES_OVER_TIME || ast->range_agg.fn == TOK_BYTES_RATE,
        .scan = &scan,
        .table = {.arena = ev->a},
        .last_number = SIZE_MAX,
    };
    arena_init(&r.scratch, QUERY_ARENA_BYTES_MAX);
    if (!scan_begin(&scan, ev->context, ev->stats, err))
        return false;
    bool good = run_range_agg(&r, out, err);
    ev->warnings = scan.warnings_count > 0 ? scan.warnings : ev->warnings;
    ev->warnings_count = scan.warnings_count > 0 ? (uint32_t)scan.warnings_count : ev->warnings_count;
    scan_end(&scan);
    return good;
}

// --- vector aggregations ----------------------------------------------------------------------------

static struct slice group_labels(const struct ast_grouping *g, struct slice labels, struct arena *a)
{
    struct line l = {.stream = labels, .metadata = LABELS_EMPTY};
    return g == NULL ? LABELS_EMPTY : line_grouped(&l, g->names, g->names_count, g->without, a);
}

struct group {
    size_t number; // of its series in the output
    double count;
};

static void combine(enum token_kind fn, double value, bool *present, double *to, double *count)
{
    ++*count;
    if (!*present)
        *to = fn == TOK_COUNT ? 1 : value;
    else if (fn == TOK_SUM)
        *to += value;
    else if (fn == TOK_COUNT)
        *to += 1;
    else if (fn == TOK_AVG)
        *to += value / *count - *to / *count;
    else if (isnan(*to) || (fn == TOK_MIN ? value < *to : value > *to))
        *to = value;
    *present = true;
}

static bool eval(struct evaluation *ev, const struct ast *ast, struct matrix *out, struct err *err);

static bool eval_vector_agg(struct evaluation *ev, const struct ast *ast, struct matrix *out,
                            struct err *err)
{
    const struct ast *inner = ast->vector_agg.inner;
    enum token_kind fn = ast->vector_agg.fn;
    if (fn == TOK_SUM && inner->kind == AST_RANGE_AGG)
        return eval_range_agg(ev, inner, ast, out, err);
    struct matrix in = {0};
    if (!eval(ev, inner, &in, err))
        return false;
    struct slice_set table = {.arena = ev->a};
    double *counts = arena_zalloc(ev->a, (in.count + 1) * ev->steps.count * sizeof *counts);
    if (counts == NULL)
        return no_memory(ev, err);
    for (size_t i = 0; i < in.count; i++) {
        size_t before = table.count;
        size_t number = slice_set_add(&table, group_labels(ast->vector_agg.grouping, in.items[i].labels, ev->a));
        if (number == SIZE_MAX || (table.count > before && add_series(ev, out, table.items[number]) == NULL))
            return no_memory(ev, err);
        struct series *to = &out->items[number];
        for (uint32_t t = 0; t < ev->steps.count; t++)
            if (in.items[i].present[t])
                combine(fn, in.items[i].values[t], &to->present[t], &to->values[t],
                        &counts[number * ev->steps.count + t]);
    }
    return true;
}

static bool eval_constant(struct evaluation *ev, double value, struct matrix *out, struct err *err)
{
    struct series *s = add_series(ev, out, LABELS_EMPTY);
    if (s == NULL)
        return no_memory(ev, err);
    for (uint32_t t = 0; t < ev->steps.count; t++) {
        s->values[t] = value;
        s->present[t] = true;
    }
    return true;
}

static bool eval(struct evaluation *ev, const struct ast *ast, struct matrix *out, struct err *err)
{
    switch (ast->kind) {
    case AST_RANGE_AGG:
        return eval_range_agg(ev, ast, NULL, out, err);
    case AST_VECTOR_AGG:
        return eval_vector_agg(ev, ast, out, err);
    case AST_LITERAL:
    case AST_VECTOR:
        return eval_constant(ev, ast->literal, out, err);
    default:
        return unsupported("this expression", err);
    }
}

// --- results ----------------------------------------------------------------------------------------

// Label sets by names and values, pair by pair; a prefix sorts first.
static int compare_sets(struct slice a, struct slice b)
{
    struct labels_walk x = labels_walk(a), y = labels_walk(b);
    struct label l, m;
    for (;;) {
        bool more_l = labels_next(&x, &l), more_m = labels_next(&y, &m);
        if (!more_l || !more_m)
            return (int)more_l - (int)more_m;
        int order = slice_cmp(l.name, m.name);
        if (order == 0)
            order = slice_cmp(l.value, m.value);
        if (order != 0)
            return order;
    }
}

static int by_labels(const void *a, const void *b)
{
    return compare_sets(((const struct result_series *)a)->labels,
                        ((const struct result_series *)b)->labels);
}

static bool too_many_series(struct err *err)
{
    return err_set(err, ERR_LIMIT,
                   "maximum number of series (%d) reached for a single query; consider reducing query "
                   "cardinality by adding more specific stream selectors, reducing the time range, or "
                   "aggregating results with functions like sum(), count() or topk()",
                   QUERY_SERIES_MAX);
}

static bool make_result(struct evaluation *ev, const struct matrix *m, struct query_result *out,
                        struct err *err)
{
    out->series = arena_array(ev->a, m->count + 1, sizeof *out->series);
    for (size_t i = 0; i < m->count && out->series != NULL; i++) {
        const struct series *s = &m->items[i];
        struct result_series r = {.labels = s->labels,
                                  .samples = arena_array(ev->a, ev->steps.count, sizeof *r.samples)};
        if (r.samples == NULL)
            break;
        for (uint32_t t = 0; t < ev->steps.count; t++)
            if (s->present[t])
                r.samples[r.samples_count++] =
                    (struct result_sample){ev->steps.from_ns + t * ev->steps.step_ns, s->values[t]};
        if (r.samples_count == 0)
            continue;
        if (out->series_count == QUERY_SERIES_MAX)
            return too_many_series(err);
        out->series[out->series_count++] = r;
    }
    if (!arena_ok(ev->a, "metric query", err))
        return false;
    qsort(out->series, out->series_count, sizeof *out->series, by_labels);
    return true;
}

bool metric_run(const struct ast *ast, const struct metric_plan *plan, const struct query_range *range,
                const struct query_context *context, struct query_result *result_out, struct err *err)
{
    struct query_result result = {0};
    struct evaluation ev = {.context = context, .plan = plan, .a = context->arena,
                            .stats = &result.stats,
                            .steps = {range->from_ns, range->step_ns > 0 ? range->step_ns : 1, 1}};
    if (range->step_ns > 0) {
        int64_t last = floor_div((__int128)range->to_ns - range->from_ns, range->step_ns);
        ev.steps.count = last < 0 ? 0 : (uint32_t)(last >= QUERY_POINTS_MAX + 1 ? QUERY_POINTS_MAX + 1 : last + 1);
    }
    struct matrix m = {0};
    if (ev.steps.count > 0 && !eval(&ev, ast, &m, err))
        return false;
    if (!make_result(&ev, &m, &result, err))
        return false;
    result.type = range->step_ns > 0 ? RESULT_MATRIX : ast->kind == AST_LITERAL ? RESULT_SCALAR : RESULT_VECTOR;
    result.warnings = ev.warnings;
    result.warnings_count = ev.warnings_count;
    *result_out = result;
    return true;
}
