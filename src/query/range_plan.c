/* range_plan.c -- what a range aggregation asks of its entries; logql.md 14.2, 15. See range.h. */
#include "query/range.h"

#include "query/explain.h"
#include "query/pipeline/label_filter.h"

bool range_agg_takes_sum(const struct ast *ast, const struct ast *around)
{
    enum token_kind fn = ast->range_agg.fn;
    return around != NULL && around->vector_agg.fn == TOK_SUM && ast->range_agg.grouping == NULL &&
           (fn == TOK_RATE || fn == TOK_COUNT_OVER_TIME || fn == TOK_BYTES_RATE || fn == TOK_BYTES_OVER_TIME ||
            fn == TOK_SUM_OVER_TIME);
}

bool range_counts_bytes(const struct ast *ast)
{
    return ast->range_agg.fn == TOK_BYTES_OVER_TIME || ast->range_agg.fn == TOK_BYTES_RATE;
}

bool range_is_sum(const struct ast *ast)
{
    enum token_kind fn = ast->range_agg.fn;
    return range_counts_bytes(ast) || fn == TOK_COUNT_OVER_TIME || fn == TOK_ABSENT_OVER_TIME ||
           (fn == TOK_RATE && ast->range_agg.range.unwrap == NULL);
}

bool range_may_be_one_series(const struct range_plan *plan, const struct ast_grouping **by_out)
{
    const struct ast *ast = plan->ast;
    *by_out = ast->range_agg.grouping;
    if (!range_is_sum(ast) || ast->range_agg.range.unwrap != NULL || pipeline_reads_labels(plan->pipeline) ||
        (*by_out == NULL && plan->around == NULL))
        return false;
    if (*by_out == NULL)
        *by_out = plan->around->vector_agg.grouping;
    return *by_out == NULL || !(*by_out)->without;
}

void range_plans_explain(const struct range_plan *list, struct buf *b)
{
    if (list == NULL)
        return;
    range_plans_explain(list->next, b);
    const struct ast_grouping *by;
    bool one_series = range_may_be_one_series(list, &by), one = one_series && pipeline_is_empty(list->pipeline);
    bool timeless = range_is_sum(list->ast) && !pipeline_reads_times(list->pipeline);
    const char *spared = one                      ? NULL
                         : one_series && timeless ? "times of runs that lie within their steps; metadata of streams with the labels grouped by"
                         : one_series             ? "metadata of streams with the labels grouped by"
                         : timeless               ? "times of runs that lie within their steps"
                                                  : NULL;
    explain_selection(b, &list->ast->range_agg.range.logs, list->pipeline, &list->wanted, range_counts_bytes(list->ast),
                      one ? "answer runs that lie within their steps, for streams with the labels grouped by" : NULL, spared);
}

struct wanting {
    struct range_plan *plan;
    struct arena *a;
};

static void want(void *ctx, struct slice name)
{
    struct wanting *w = ctx;
    struct wanted_labels *labels = &w->plan->wanted;
    uint64_t ignored = 0;
    // Never found, so that parsers go on to the end and see every error.
    if (slice_eq(name, SLICE("__error__")))
        labels->preserve_errors = true;
    if (labels->count > 0 && wanted(labels, name, &ignored))
        return;
    if (labels->count == w->plan->wanted_room &&
        !arena_grow(w->a, (void **)&labels->names, sizeof *labels->names, labels->count, &w->plan->wanted_room))
        return;
    labels->names[labels->count++] = name;
    struct slice suffix = SLICE("_extracted");
    if (name.len > suffix.len && slice_eq(slice_from(name, name.len - suffix.len), suffix))
        want(ctx, slice_of(name.ptr, name.len - suffix.len));
}

static void want_stages(struct wanting *w, const struct ast_stage *stages)
{
    for (const struct ast_stage *s = stages; s != NULL; s = s->next) {
        if (s->kind == STAGE_LABEL_FILTER)
            label_filter_names(s->label_filter, want, w);
        for (uint32_t i = 0; s->kind == STAGE_LABEL_FORMAT && i < s->assigns_count; i++)
            if (s->assigns[i].rename)
                want(w, s->assigns[i].value);
    }
}

// Which labels parsers have to extract (logql.md 14.2): all, unless a grouping names those that show.
static void plan_wanted(struct range_plan *plan, struct arena *a)
{
    const struct ast_log_range *range = &plan->ast->range_agg.range;
    const struct ast_grouping *g = plan->ast->range_agg.grouping;
    bool effective = g != NULL || plan->around != NULL || plan->ast->range_agg.fn == TOK_ABSENT_OVER_TIME;
    if (g == NULL && plan->around != NULL)
        g = plan->around->vector_agg.grouping;
    if (!effective || (g != NULL && g->without))
        return;
    struct wanting w = {plan, a};
    plan->wanted.limited = true;
    want_stages(&w, range->logs.stages);
    pipeline_template_names(plan->pipeline, want, &w);
    if (range->unwrap != NULL) {
        want(&w, range->unwrap->name);
        want_stages(&w, range->unwrap->filters);
    }
    for (uint32_t i = 0; g != NULL && i < g->names_count; i++)
        want(&w, g->names[i]);
}

bool range_plan_new(const struct ast *ast, const struct ast *around, struct arena *a,
                    struct ast_regex **regexes, struct range_plan **list, struct err *err)
{
    const struct ast_log_range *range = &ast->range_agg.range;
    struct range_plan *plan = arena_zalloc(a, sizeof *plan);
    if (plan == NULL)
        return arena_ok(a, "query", err);
    plan->ast = ast;
    plan->around = range_agg_takes_sum(ast, around) ? around : NULL;
    plan->next = *list;
    *list = plan;
    static const struct wanted_labels all = {0};
    if (!pipeline_new(range->logs.stages, &plan->wanted, a, regexes, &plan->pipeline, err) ||
        (range->unwrap != NULL && !pipeline_new(range->unwrap->filters, &all, a, regexes, &plan->post, err)))
        return false;
    plan_wanted(plan, a); // the pipeline refers to it
    return arena_ok(a, "query", err);
}
