/*
 * tql_metrics_run.c -- where the spans of a metrics query come from; see tql_metrics.h.
 *
 * A pipeline of filters is decided row by row in the blocks; traces that lie in several sources are left out there, as only
 * they can hold a span twice. Those, and with other pipelines every trace that has a span which the query needs, are
 * assembled whole and evaluated.
 */
#include "query/traceql/tql_metrics.h"

#include <stdlib.h>

enum { BLOCK_TASKS_MAX = 64, COMPARE_TASKS_MAX = 16, TRACE_TASKS_MAX = 16 }; // compare() holds much for each

static bool is_spread(const struct tql_metrics_run *m, const uint8_t trace_id[TRACE_ID_BYTES])
{
    return tql_has_trace(m->spread, m->spread_count, trace_id);
}

static bool add_trace(struct tql_traces *list, struct arena *a, const uint8_t trace_id[TRACE_ID_BYTES])
{
    if (!arena_grow(a, (void **)&list->ids, sizeof *list->ids, list->count, &list->room))
        return false;
    memcpy(list->ids[list->count++], trace_id, TRACE_ID_BYTES);
    return true;
}

bool tql_metrics_set_aside(struct tql_metrics_run *m, struct tql_worker *w, uint32_t task, const uint8_t trace_id[TRACE_ID_BYTES])
{
    return add_trace(&m->traces[task], &w->arena, trace_id);
}

bool tql_metrics_prepare(struct tql_metrics_run *m, struct err *err)
{
    struct arena *a = &m->team.workers[0].arena;
    if (!tql_need_of(m->query, a, &m->need) || (m->shown = tql_shown_new(m->query, a)) == NULL)
        return arena_ok(a, "query", err);
    const struct tql_metrics *metrics = m->query->metrics;
    m->need.exact = m->need.exact && (metrics->attr == NULL || !tql_attr_of_trace(metrics->attr));
    for (uint32_t i = 0; i < metrics->by_count; i++)
        m->need.exact = m->need.exact && !tql_attr_of_trace(metrics->by[i]);
    if (m->need.rows->kind == TQL_STATIC && !tql_true(m->need.rows->value))
        return true; // nothing matches
    // A span of the time may need others of its trace, which then lie in the same source or make the trace a spread one.
    if (!tql_team_select(&m->team, m->buckets.from_ns + 1, m->buckets.to_ns + 1, false, !m->need.exact, err))
        return false;
    if (!m->need.exact && !tql_team_split(&m->team, err))
        return false;
    uint64_t *spread = NULL;
    if (!view_spread_traces(m->team.view, INT64_MIN, INT64_MAX, a, &spread, &m->spread_count, err))
        return false;
    m->spread = spread;
    uint32_t blocks = m->team.blocks_count;
    uint32_t tasks_max = metrics->fn == TQL_M_COMPARE ? COMPARE_TASKS_MAX : BLOCK_TASKS_MAX;
    m->tasks = blocks < tasks_max ? blocks : tasks_max;
    m->block_first = arena_array(a, m->tasks + (size_t)1, sizeof *m->block_first);
    m->traces = arena_zalloc(a, (m->tasks + (size_t)1) * sizeof *m->traces);
    if (m->block_first == NULL || m->traces == NULL)
        return arena_ok(a, "query", err);
    for (uint32_t t = 0; t <= m->tasks; t++)
        m->block_first[t] = m->tasks == 0 ? 0 : (uint32_t)((uint64_t)blocks * t / m->tasks);
    return true;
}

// --- blocks -----------------------------------------------------------------------------------------------

struct block_pass {
    struct tql_metrics_run *m;
    const struct tql_observer *o;
};

// Leaves spread traces to the second pass.
static bool set_spread_aside(struct tql_metrics_run *m, struct tql_worker *w, uint32_t task, struct tql_rows *r, struct tql_bits *bits)
{
    const struct span_block *b = r->block;
    if (m->spread_count == 0)
        return true;
    if (!tql_rows_column(r, SPAN_TRACES))
        return false;
    for (uint32_t t = 0; t < b->stats.traces_count; t++) {
        if (!is_spread(m, b->trace_ids[t]))
            continue;
        for (uint32_t row = b->trace_first[t]; row < b->trace_first[t + 1]; row++)
            bits->words[row >> 6] &= ~(UINT64_C(1) << (row & 63));
        if (!add_trace(&m->traces[task], &w->arena, b->trace_ids[t]))
            return arena_ok(&w->arena, "query", r->err);
    }
    return true;
}

// Rows that were kept for having no parent, in traces that are not numbered: three spans of one ID.
static bool leave_unnumbered(struct tql_rows *r, struct tql_bits *bits)
{
    const struct span_block *b = r->block;
    if (!tql_rows_column(r, SPAN_TRACES) || !tql_rows_column(r, SPAN_IDS))
        return false;
    uint32_t trace = 0;
    for (uint32_t row = tql_bits_next(bits, 0); row < SPAN_BLOCK_SPANS_MAX; row = tql_bits_next(bits, row + 1)) {
        while (b->trace_first[trace + 1] <= row)
            trace++;
        bool triple = false;
        uint64_t seen[64] = {0}, again[64] = {0}; // by 12 bits of the ID
        for (uint32_t i = b->trace_first[trace]; i < b->trace_first[trace + 1] && !triple; i++) {
            uint32_t bit = (uint32_t)(b->span_ids[i][SPAN_ID_BYTES - 1] | b->span_ids[i][SPAN_ID_BYTES - 2] << 8) & 4095;
            uint64_t one = UINT64_C(1) << (bit & 63);
            triple = (again[bit >> 6] & one) != 0;
            again[bit >> 6] |= seen[bit >> 6] & one;
            seen[bit >> 6] |= one;
        }
        if (!triple) {
            row = b->trace_first[trace + 1] - 1; // the others of the trace stay as well
            continue;
        }
        uint32_t same = 0; // perhaps: exactly
        for (uint32_t i = b->trace_first[trace]; i < b->trace_first[trace + 1] && same < 3; i++) {
            same = 0;
            for (uint32_t n = b->trace_first[trace]; n < b->trace_first[trace + 1]; n++)
                same += memcmp(b->span_ids[i], b->span_ids[n], SPAN_ID_BYTES) == 0;
        }
        if (same >= 3)
            bits->words[row >> 6] &= ~(UINT64_C(1) << (row & 63));
    }
    return true;
}

// Observes the spans of a trace that the pipeline leaves.
static bool observe_trace(struct tql_metrics_run *m, const struct tql_observer *o, struct tql_worker *w, uint32_t task,
                          struct tql_trace *trace, struct err *err)
{
    struct tql_spansets sets;
    struct tql_spanset all;
    struct tql_trace_row row;
    if (!tql_sets_run(&m->query->pipeline, trace, &sets, err) || !tql_sets_union(trace, &sets, &all, err))
        return false;
    tql_trace_row_init(&row, trace);
    for (uint32_t i = 0; i < all.count; i++) {
        row.span = &trace->spans[all.spans[i]];
        int64_t start_ns = span_time(row.span->start_ns);
        if (start_ns > m->buckets.from_ns && start_ns <= m->buckets.to_ns && !o->span(o->ctx, w, task, &row))
            return arena_ok(&w->arena, "query", err) && arena_ok(&w->block, "query", err);
    }
    return true;
}

// Evaluates the traces that have a row which the query needs: here if they lie whole in the block, else in the second pass.
static bool pass_candidates(struct block_pass *p, struct tql_worker *w, uint32_t task, struct tql_rows *r, const struct tql_bits *alive,
                            const struct tql_bits *bits)
{
    struct tql_metrics_run *m = p->m;
    const struct span_block *b = r->block;
    if (!tql_rows_column(r, SPAN_TRACES))
        return false;
    bool expired = tql_bits_count(alive) < b->spans_count;
    for (uint32_t t = 0; t < b->stats.traces_count; t++) {
        bool spread = m->spread_count > 0 && is_spread(m, b->trace_ids[t]);
        if (tql_bits_next(bits, b->trace_first[t]) >= b->trace_first[t + 1] && !spread)
            continue;
        struct tql_trace trace;
        if (spread || expired || !tql_team_is_whole(&m->team, b->trace_ids[t])) {
            if (!add_trace(&m->traces[task], &w->arena, b->trace_ids[t]))
                return arena_ok(&w->arena, "query", r->err);
        } else if (!tql_rows_trace(r, t, &trace) || !observe_trace(m, p->o, w, task, &trace, r->err) || r->failed) {
            return false;
        }
    }
    return true;
}

static bool pass_block(struct block_pass *p, struct tql_worker *w, uint32_t task, uint32_t number)
{
    struct tql_metrics_run *m = p->m;
    struct span_block block;
    struct tql_rows rows;
    struct tql_bits bits, alive;
    struct err err;
    bool damaged;
    if (m->spread_count == 0 && !tql_stats_may(&m->team.blocks[number].stats, m->need.rows)) {
        w->stats.blocks_pruned++;
        return true;
    }
    if (!tql_worker_open(w, number, &block, &damaged) || damaged)
        return damaged;
    int64_t from_ns = m->need.exact ? m->buckets.from_ns + 1 : INT64_MIN, to_ns = m->need.exact ? m->buckets.to_ns + 1 : INT64_MAX;
    bool good = tql_rows_init(&rows, &block, m->query->attrs_count, &w->scratch, &err) &&
                tql_worker_rows(w, &rows, from_ns, to_ns, &bits);
    if (good && m->need.exact)
        good = set_spread_aside(m, w, task, &rows, &bits);
    alive = bits;
    good = good && tql_rows_filter(&rows, m->need.rows, &bits);
    if (good && !m->need.exact)
        good = pass_candidates(p, w, task, &rows, &alive, &bits);
    else if (good && tql_bits_any(&bits))
        good = (!m->need.roots || leave_unnumbered(&rows, &bits)) && p->o->rows(p->o->ctx, w, task, &rows, &bits);
    w->stats.bytes += span_block_read_bytes(&block);
    if (w->failed)
        return false;
    return good ? tql_worker_memory(w) : tql_worker_fail(w, &err);
}

static bool pass_task(void *ctx, struct tql_worker *w, uint32_t task)
{
    struct block_pass *p = ctx;
    const struct tql_metrics_run *m = p->m;
    int64_t min_ns = INT64_MAX, max_ns = INT64_MIN;
    for (uint32_t i = m->block_first[task]; i < m->block_first[task + 1]; i++) {
        const struct span_block_stats *s = &m->team.blocks[i].stats;
        min_ns = s->start_min_ns < min_ns ? s->start_min_ns : min_ns;
        max_ns = s->start_max_ns > max_ns ? s->start_max_ns : max_ns;
    }
    if (!p->o->begin(p->o->ctx, w, task, min_ns, max_ns))
        return tql_worker_memory(w);
    for (uint32_t i = m->block_first[task]; i < m->block_first[task + 1]; i++)
        if (!tql_worker_may_go_on(w) || !pass_block(p, w, task, i))
            return false;
    return true;
}

bool tql_metrics_blocks(struct tql_metrics_run *m, const struct tql_observer *o, struct err *err)
{
    struct block_pass p = {m, o};
    return tql_team_run(&m->team, m->tasks, pass_task, &p, err);
}

// --- traces -----------------------------------------------------------------------------------------------

struct trace_pass {
    struct tql_metrics_run *m;
    const struct tql_observer *o;
    struct tql_traces all;
    uint32_t tasks;
};

static bool pass_trace(struct trace_pass *p, struct tql_worker *w, uint32_t task, const uint8_t trace_id[TRACE_ID_BYTES])
{
    struct tql_metrics_run *m = p->m;
    struct tql_trace trace;
    struct err err;
    if (!tql_worker_trace(w, trace_id, &trace))
        return false;
    if (trace.count > 0 && !observe_trace(m, p->o, w, task, &trace, &err) && !tql_worker_fail(w, &err))
        return false;
    return tql_worker_memory(w);
}

static bool pass_traces(void *ctx, struct tql_worker *w, uint32_t task)
{
    struct trace_pass *p = ctx;
    struct tql_metrics_run *m = p->m;
    size_t from = p->all.count * task / p->tasks, to = p->all.count * (task + 1) / p->tasks;
    if (!p->o->begin(p->o->ctx, w, m->tasks + task, m->buckets.from_ns + 1, m->buckets.to_ns))
        return tql_worker_memory(w);
    for (size_t i = from; i < to; i++)
        if (!tql_worker_may_go_on(w) || !pass_trace(p, w, m->tasks + task, p->all.ids[i]))
            return false;
    return true;
}

static int compare_ids(const void *left, const void *right)
{
    return memcmp(left, right, TRACE_ID_BYTES);
}

uint32_t tql_metrics_tasks_max(const struct tql_metrics_run *m)
{
    return m->tasks + TRACE_TASKS_MAX;
}

bool tql_metrics_traces(struct tql_metrics_run *m, const struct tql_observer *o, struct err *err)
{
    struct arena *a = &m->team.workers[0].arena;
    struct trace_pass p = {.m = m, .o = o};
    size_t kept = 0;
    for (uint32_t t = 0; t < m->tasks; t++)
        for (size_t i = 0; i < m->traces[t].count; i++)
            if (!add_trace(&p.all, a, m->traces[t].ids[i]))
                return arena_ok(a, "query", err);
    if (p.all.count == 0)
        return true;
    qsort(p.all.ids, p.all.count, sizeof *p.all.ids, compare_ids);
    for (size_t i = 0; i < p.all.count; i++)
        if (kept == 0 || compare_ids(p.all.ids[kept - 1], p.all.ids[i]) != 0)
            memmove(p.all.ids[kept++], p.all.ids[i], TRACE_ID_BYTES);
    p.all.count = kept;
    p.tasks = kept < TRACE_TASKS_MAX ? (uint32_t)kept : TRACE_TASKS_MAX;
    return tql_team_run(&m->team, p.tasks, pass_traces, &p, err);
}
