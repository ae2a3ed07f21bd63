/*
 * metric.c -- see metric.h: plans, the tree of an expression, results.
 */
#include "query/metric.h"

#include "base/limits.h"
#include "query/expand.h"
#include "query/matrix.h"
#include "query/pipeline/line.h"

#include <math.h>
#include <stdlib.h>

struct metric_plan {
    struct range_plan *ranges;
    bool sorted; // `sort` occurs: an instant result keeps the order of its evaluation
};

// --- plans ------------------------------------------------------------------------------------------

static bool plan_tree(const struct ast *ast, const struct ast *around, struct arena *a,
                      struct ast_regex **regexes, struct metric_plan *plan, struct err *err)
{
    switch (ast->kind) {
    case AST_RANGE_AGG:
        return range_plan_new(ast, around, a, regexes, &plan->ranges, err);
    case AST_VECTOR_AGG:
        if (ast->vector_agg.fn == TOK_SORT || ast->vector_agg.fn == TOK_SORT_DESC)
            plan->sorted = true;
        if (ast->vector_agg.inner->kind == AST_LITERAL)
            return err_set(err, ERR_EVAL, "unexpected expr type (*syntax.LiteralExpr) for Evaluator type "
                                          "(*logql.DefaultEvaluator)");
        return plan_tree(ast->vector_agg.inner, ast, a, regexes, plan, err);
    case AST_BINARY:
        return plan_tree(ast->binary.left, NULL, a, regexes, plan, err) &&
               plan_tree(ast->binary.right, NULL, a, regexes, plan, err);
    case AST_LABEL_REPLACE:
        return plan_tree(ast->label_replace.inner, NULL, a, regexes, plan, err);
    case AST_VARIANTS:
        return err_set(err, ERR_INPUT, "multi variant queries are disabled for this instance");
    default:
        return true;
    }
}

bool metric_plan_new(const struct ast *ast, struct arena *a, struct ast_regex **regexes,
                     struct metric_plan **out, struct err *err)
{
    struct metric_plan *plan = arena_zalloc(a, sizeof *plan);
    if (plan == NULL)
        return arena_ok(a, "query", err);
    *out = plan;
    return plan_tree(ast, NULL, a, regexes, plan, err);
}

void metric_plan_explain(const struct metric_plan *plan, struct buf *b)
{
    range_plans_explain(plan->ranges, b);
}

// --- matrices ---------------------------------------------------------------------------------------

bool matrix_no_memory(const struct evaluation *ev, struct err *err)
{
    return err_set(err, ERR_LIMIT, "metric query: more than %zu bytes of memory", ev->a->bytes_max);
}

struct series *matrix_add(struct evaluation *ev, struct matrix *m, struct slice labels)
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

struct slice matrix_group(const struct ast_grouping *g, struct slice labels, struct arena *a)
{
    struct label *pairs = arena_array(a, (size_t)labels_walk(labels).left + 1, sizeof *pairs);
    struct label l;
    uint32_t count = 0;
    if (g == NULL || pairs == NULL)
        return g == NULL ? LABELS_EMPTY : (struct slice){0};
    for (struct labels_walk w = labels_walk(labels); labels_next(&w, &l);) {
        bool named = false;
        for (uint32_t i = 0; i < g->names_count && !named; i++)
            named = slice_eq(g->names[i], l.name);
        if (named != g->without)
            pairs[count++] = l;
    }
    return labels_encoded(&(struct labels){pairs, count}, a);
}

// --- expressions ------------------------------------------------------------------------------------

static bool eval_constant(struct evaluation *ev, double value, struct matrix *out, struct err *err)
{
    struct series *s = matrix_add(ev, out, LABELS_EMPTY);
    if (s == NULL)
        return matrix_no_memory(ev, err);
    for (uint32_t t = 0; t < ev->steps.count; t++) {
        s->values[t] = value;
        s->present[t] = true;
    }
    return true;
}

enum { REPLACE_GROUPS_MAX = 64 };

static struct slice replaced_labels(const struct ast *ast, struct slice labels, struct arena *a)
{
    size_t spans[REPLACE_GROUPS_MAX][2], groups = regex_groups(ast->label_replace.compiled) + 1;
    groups = groups > REPLACE_GROUPS_MAX ? REPLACE_GROUPS_MAX : groups;
    struct slice value = labels_find(labels, ast->label_replace.src);
    value = value.len > 0 ? value : SLICE("");
    if (!regex_find(ast->label_replace.compiled, value, 0, spans, groups))
        return labels;
    AUTO(buf_done) struct buf text;
    buf_init(&text, 0);
    expand(&text, ast->label_replace.replacement, ast->label_replace.compiled, value, spans, groups);
    struct line_space space = {0};
    struct line l = {.stream = labels, .metadata = LABELS_EMPTY, .space = &space, .scratch = a};
    line_drop_label(&l, ast->label_replace.dst);
    if (text.len > 0)
        line_set_label(&l, ast->label_replace.dst, arena_copy(a, buf_slice(&text)));
    struct slice out = line_labels(&l, a);
    line_space_done(&space);
    return out;
}

static bool eval_label_replace(struct evaluation *ev, const struct ast *ast, struct matrix *out,
                               struct err *err)
{
    if (!matrix_eval(ev, ast->label_replace.inner, out, err))
        return false;
    for (size_t i = 0; i < out->count; i++) {
        out->items[i].labels = replaced_labels(ast, out->items[i].labels, ev->a);
        if (out->items[i].labels.ptr == NULL)
            return matrix_no_memory(ev, err);
    }
    return true;
}

bool matrix_eval(struct evaluation *ev, const struct ast *ast, struct matrix *out, struct err *err)
{
    switch (ast->kind) {
    case AST_RANGE_AGG:
        return range_agg_eval(ev, ast, out, err);
    case AST_VECTOR_AGG:
        return vector_agg_eval(ev, ast, out, err);
    case AST_BINARY:
        return binary_eval(ev, ast, out, err);
    case AST_LABEL_REPLACE:
        return eval_label_replace(ev, ast, out, err);
    default: // literals
        return eval_constant(ev, ast->literal, out, err);
    }
}

// --- results ----------------------------------------------------------------------------------------

// Label sets by names and values, pair by pair; a prefix sorts first.
int matrix_compare_labels(struct slice a, struct slice b)
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
    return matrix_compare_labels(((const struct result_series *)a)->labels,
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

// What Logs Drilldown looks for: loki-http.md 5.7.
static bool warn_of_series(struct evaluation *ev)
{
    size_t room = ev->warnings_count;
    if (!arena_grow(ev->a, (void **)&ev->warnings, sizeof *ev->warnings, ev->warnings_count, &room))
        return false;
    ev->warnings[ev->warnings_count++] = arena_printf(
        ev->a, "maximum number of series (%d) reached for a single query; returning partial results", QUERY_SERIES_MAX);
    return true;
}

static bool make_result(struct evaluation *ev, const struct matrix *m, bool keep_order,
                        struct query_result *out, struct err *err)
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
        if (out->series_count == QUERY_SERIES_MAX && !ev->context->partial_series)
            return too_many_series(err);
        if (out->series_count == QUERY_SERIES_MAX) {
            if (!warn_of_series(ev))
                return matrix_no_memory(ev, err);
            break;
        }
        out->series[out->series_count++] = r;
    }
    if (ev->a->overflowed)
        return matrix_no_memory(ev, err);
    if (!keep_order)
        qsort(out->series, out->series_count, sizeof *out->series, by_labels);
    return true;
}

bool metric_run(const struct ast *ast, const struct metric_plan *plan, const struct query_range *range,
                const struct query_context *context, struct query_result *result_out, struct err *err)
{
    struct query_result result = {0};
    struct evaluation ev = {.context = context, .plans = plan->ranges, .a = context->arena,
                            .stats = &result.stats,
                            .steps = {range->from_ns, range->step_ns > 0 ? range->step_ns : 1, 1}};
    if (range->step_ns > 0) {
        int64_t last = range->to_ns < range->from_ns ? -1 : (range->to_ns - range->from_ns) / range->step_ns;
        ev.steps.count = last < 0 ? 0 : (uint32_t)(last >= QUERY_POINTS_MAX + 1 ? QUERY_POINTS_MAX + 1 : last + 1);
    }
    struct matrix m = {0};
    if (ev.steps.count > 0 && !matrix_eval(&ev, ast, &m, err))
        return false;
    if (!make_result(&ev, &m, plan->sorted && range->step_ns == 0, &result, err))
        return false;
    result.type = range->step_ns > 0 ? RESULT_MATRIX : ast->kind == AST_LITERAL ? RESULT_SCALAR : RESULT_VECTOR;
    result.warnings = ev.warnings;
    result.warnings_count = ev.warnings_count;
    *result_out = result;
    return true;
}
