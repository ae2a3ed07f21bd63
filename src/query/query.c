/* query.c -- see query.h: parse, compile, dispatch. */
#include "query/query.h"

#include "base/clock.h"
#include "base/limits.h"
#include "base/metric.h"
#include "query/crew.h"
#include "query/explain.h"
#include "query/logql/unit.h"
#include "query/logs.h"
#include "query/metric.h"

#include <assert.h>
#include <stdlib.h>

struct query {
    struct ast *ast;
    struct ast_regex *regexes; // owned
    struct pipeline *pipeline; // AST_LOGS
    struct metric_plan *plan;  // otherwise
};

// --- selectors --------------------------------------------------------------------------------------

bool query_selector_parse(struct slice text, bool any, struct arena *a, struct query_selector *out,
                          struct err *err)
{
    struct ast_regex *regexes = NULL;
    struct ast_logs logs;
    if (!ast_parse_selector(text, any, a, &regexes, &logs, err)) {
        ast_regexes_free(regexes);
        return false;
    }
    *out = (struct query_selector){logs.matchers, logs.matchers_count, regexes};
    return true;
}

void query_selector_done(struct query_selector *selector)
{
    ast_regexes_free(selector->regexes);
    *selector = (struct query_selector){0};
}

// --- queries ----------------------------------------------------------------------------------------

static const struct wanted_labels every_label = {0}; // log queries extract everything

bool query_parse(struct slice text, struct arena *a, struct query **query_out, struct err *err)
{
    AUTO(query_freep) struct query *q = arena_zalloc(a, sizeof *q);
    if (q == NULL)
        return arena_ok(a, "query", err);
    if (!ast_parse(text, a, &q->regexes, &q->ast, err))
        return false;
    bool good = q->ast->kind == AST_LOGS
                    ? pipeline_new(q->ast->logs.stages, &every_label, a, &q->regexes, &q->pipeline, err)
                    : metric_plan_new(q->ast, a, &q->regexes, &q->plan, err);
    if (!good)
        return false;
    *query_out = MOVE(q);
    return true;
}

void query_free(struct query *query)
{
    if (query != NULL)
        ast_regexes_free(query->regexes);
}

enum query_kind query_kind(const struct query *query)
{
    return query->ast->kind == AST_LOGS      ? QUERY_LOGS
           : query->ast->kind == AST_LITERAL ? QUERY_LITERAL
                                             : QUERY_METRIC;
}

const struct label_matcher *query_matchers(const struct query *query, size_t *count_out, bool *stages_out)
{
    const struct ast_logs *logs = &query->ast->logs;
    *count_out = logs->matchers_count;
    *stages_out = logs->stages != NULL;
    return logs->matchers;
}

bool query_run(const struct query *query, const struct query_range *range,
               const struct query_context *context, struct query_result *result_out, struct err *err)
{
    int64_t begun_ns = clock_mono_ns();
    metric_add(COUNTER_QUERIES, 1);
    bool good = query->ast->kind == AST_LOGS
                    ? logs_run(&query->ast->logs, query->pipeline, range, context, result_out, err)
                    : metric_run(query->ast, query->plan, range, context, result_out, err);
    if (!good) {
        metric_add(COUNTER_QUERY_FAILURES, 1);
        return false;
    }
    result_out->stats.exec_ns = clock_mono_ns() - begun_ns;
    metric_add(COUNTER_QUERY_LINES, result_out->stats.lines_scanned);
    metric_add(COUNTER_QUERY_BYTES, result_out->stats.bytes_scanned);
    return true;
}

bool query_visit(const struct query *query, const struct query_range *range,
                 const struct query_context *context,
                 bool (*visit)(void *ctx, const struct query_entry *entry, struct err *err), void *ctx,
                 struct query_result *result_out, struct err *err)
{
    if (query->ast->kind != AST_LOGS)
        return err_set(err, ERR_INPUT, "only log queries select entries");
    return logs_visit(&query->ast->logs, query->pipeline, range, context, visit, ctx, result_out, err);
}

// --- one entry --------------------------------------------------------------------------------------

struct query_space {
    struct line_space lines;
    struct arena scratch;
};

struct query_space *query_space_new(void)
{
    struct query_space *space = calloc(1, sizeof *space);
    assert(space != NULL);
    arena_init(&space->scratch, QUERY_ARENA_BYTES_MAX);
    return space;
}

void query_space_free(struct query_space *space)
{
    if (space == NULL)
        return;
    line_space_done(&space->lines);
    arena_done(&space->scratch);
    free(space);
}

bool query_selects(const struct query *query, struct slice labels)
{
    return label_matchers_test(query->ast->logs.matchers, query->ast->logs.matchers_count, labels);
}

bool query_match(const struct query *query, const struct store_arrival *arrival, struct query_space *space,
                 struct query_entry *out)
{
    struct arena *a = &space->scratch;
    arena_reset(a);
    line_space_forget(&space->lines);
    struct line l = {.time_ns = arrival->time_ns, .text = arrival->line, .stream = arrival->labels,
                     .metadata = arrival->metadata, .space = &space->lines, .scratch = a};
    if (!pipeline_keeps(query->pipeline, &l))
        return false;
    *out = (struct query_entry){.labels = line_stream(&l, a), .time_ns = l.time_ns, .line = l.text,
                                .metadata = line_metadata(&l, a), .parsed = line_parsed(&l, a)};
    return !a->overflowed;
}

struct slice query_entry_labels(struct slice stream, struct slice metadata, struct slice parsed, struct arena *a)
{
    // The three have no name in common.
    struct line l = {.stream = stream, .metadata = metadata};
    struct slice both = line_labels(&l, a);
    l = (struct line){.stream = both.ptr != NULL ? both : LABELS_EMPTY, .metadata = parsed};
    return line_labels(&l, a);
}

bool query_format(struct slice text, struct arena *a, struct buf *out, struct err *err)
{
    struct ast_regex *regexes = NULL;
    struct ast *ast;
    bool good = ast_parse(text, a, &regexes, &ast, err);
    if (good)
        ast_pretty(out, ast);
    ast_regexes_free(regexes);
    return good;
}

void query_explain(const struct query *query, const struct query_stats *stats, const struct crew *crew,
                   struct buf *out)
{
    buf_put_cstr(out, "query        ");
    ast_print(out, query->ast);
    buf_put_byte(out, '\n');
    if (query->ast->kind == AST_LOGS)
        explain_selection(out, &query->ast->logs, query->pipeline, &every_label, false, NULL, NULL);
    else
        metric_plan_explain(query->plan, out);
    explain_stats(out, stats, crew_workers(crew));
}

// --- series -----------------------------------------------------------------------------------------

static int by_bytes(const void *a, const void *b)
{
    return slice_cmp(*(const struct slice *)a, *(const struct slice *)b);
}

bool query_series(const struct query_context *context, const struct query_selector *selectors,
                  size_t selectors_count, int64_t from_ns, int64_t to_ns, struct slice **labels_out,
                  size_t *labels_count_out, struct err *err)
{
    static const struct query_selector every = {0};
    if (selectors_count == 0) {
        selectors = &every;
        selectors_count = 1;
    }
    AUTO(view_endp) struct view *view = NULL;
    if (!view_begin(context->store, context->tenant, &view, err))
        return false;
    struct slice *sets = NULL;
    size_t count = 0, room = 0;
    for (size_t i = 0; i < selectors_count; i++) {
        struct view_selection sel;
        if (!view_select(view, selectors[i].matchers, selectors[i].matchers_count, from_ns, to_ns,
                         context->arena, &sel, err) ||
            !view_labels_all(view, &sel, context->arena, err))
            return false;
        for (uint32_t n = 0; n < sel.streams_count; n++) {
            if (!arena_grow(context->arena, (void **)&sets, sizeof *sets, count, &room))
                return arena_ok(context->arena, "series", err);
            sets[count++] = arena_copy(context->arena, sel.streams[n].labels); // they outlive the view
        }
    }
    if (!arena_ok(context->arena, "series", err))
        return false;
    if (selectors_count > 1 && count > 0) {
        qsort(sets, count, sizeof *sets, by_bytes);
        size_t kept = 0;
        for (size_t i = 0; i < count; i++)
            if (kept == 0 || !slice_eq(sets[kept - 1], sets[i]))
                sets[kept++] = sets[i];
        count = kept;
    }
    *labels_out = sets;
    *labels_count_out = count;
    return true;
}

bool query_parse_duration(struct slice text, int64_t *ns_out, struct err *err)
{
    return unit_prom_duration(text, ns_out, err);
}

bool query_parse_go_duration(struct slice text, int64_t *ns_out, struct err *err)
{
    return unit_go_duration(text, ns_out, err);
}
