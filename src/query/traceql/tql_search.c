/*
 * tql_search.c -- traces that a query finds, the newest first.
 *
 * Blocks tell which traces have a span that the query needs (tql_need.h). Those that lie whole in the block are decided from
 * its columns; others are assembled first. Blocks are taken newest first, in rounds that grow, and traces by the earliest
 * start that their block knows, which none begins after: so the search ends when the limit is reached and nothing newer can
 * come.
 */
#include "base/slice_set.h"
#include "query/trace/trace_logs.h"
#include "query/traceql/tql_need.h"
#include "query/traceql/tql_result.h"
#include "query/traceql/tql_tags.h"
#include "query/traceql/tql_team.h"

#include <stdlib.h>

struct candidate {
    uint8_t trace_id[TRACE_ID_BYTES];
    int64_t start_ns; // not before the trace's
};

struct candidates {
    struct candidate *items;
    size_t count, room;
};

struct found_traces { // in a worker's arena
    struct found_trace *items;
    size_t count, room;
};

struct looked { // what a block gave
    struct found_traces found;
    struct candidates candidates;
};

struct search {
    struct tql_team team;
    const struct traceql *query;
    const struct trace_search_options *options;
    struct view *log_view; // owned; NULL unless traces have to have logs
    bool with_sets;
    struct tql_need need;
    const struct tql_shown *shown;
    const uint64_t *spread; // hashes of traces that other sources than the selected ones may have a part of
    size_t spread_count;
    // Of a round of blocks.
    uint32_t first_block;
    struct looked *of_block;
    // Of a round of candidates.
    const struct candidate *round;
    struct found_traces *found;
    // Results, newest first; at most the limit.
    struct found_trace *results;
    size_t results_count, results_room;
};

// --- candidates -------------------------------------------------------------------------------------------

// Whether the trace overlaps the asked time.
static bool overlaps(const struct search *s, const struct tql_trace *t)
{
    return span_time(t->start_ns) < s->options->to_ns && span_time(t->end_ns) >= s->options->from_ns;
}

// What the query says of a trace; with *found_out the result is added. False: err.
static bool decide_trace(struct search *s, struct tql_worker *w, struct tql_trace *trace, struct found_traces *out, struct err *err)
{
    struct tql_spansets sets;
    if (!overlaps(s, trace))
        return true;
    if (!tql_sets_run(&s->query->pipeline, trace, &sets, err))
        return false;
    if (sets.count == 0)
        return true;
    if (!arena_grow(&w->arena, (void **)&out->items, sizeof *out->items, out->count, &out->room))
        return arena_ok(&w->arena, "query", err);
    struct found_trace *found = &out->items[out->count++];
    tql_result_trace(trace, &w->arena, found);
    if (s->with_sets)
        tql_result_sets(s->shown, trace, &sets, s->options->spans_per_set, &w->arena, found);
    return arena_ok(&w->arena, "query", err);
}

struct at { // a trace of a block
    int64_t start_ns;
    uint32_t trace;
};

static int latest_first(const void *left, const void *right)
{
    const struct at *l = left, *r = right;
    if (l->start_ns != r->start_ns)
        return l->start_ns > r->start_ns ? -1 : 1;
    return (l->trace > r->trace) - (l->trace < r->trace);
}

// Traces that lie whole in the block are decided here, the latest first, until there are as many as are wanted at all; of
// equal start all of them. Where log entries decide too, that is not known yet.
static bool decide_whole(struct search *s, struct tql_worker *w, struct tql_rows *r, struct at *whole, uint32_t count,
                         struct found_traces *out)
{
    if (count > 0)
        qsort(whole, count, sizeof *whole, latest_first);
    for (uint32_t i = 0; i < count; i++) {
        struct tql_trace trace;
        if (s->log_view == NULL && out->count >= s->options->limit && whole[i].start_ns < whole[i - 1].start_ns)
            break;
        if (!tql_rows_trace(r, whole[i].trace, &trace) || !decide_trace(s, w, &trace, out, r->err) || r->failed)
            return false;
    }
    return true;
}

static bool sort_out(struct search *s, struct tql_worker *w, struct tql_rows *r, const struct tql_bits *rows, bool expired,
                     struct looked *out)
{
    const struct span_block *b = r->block;
    if (!tql_rows_column(r, SPAN_TRACES) || !tql_rows_column(r, SPAN_STARTS))
        return false;
    struct at *whole = arena_array(r->arena, b->stats.traces_count, sizeof *whole);
    uint32_t whole_count = 0;
    if (whole == NULL)
        return arena_ok(r->arena, "query", r->err);
    for (uint32_t t = 0; t < b->stats.traces_count; t++) {
        if (tql_bits_next(rows, b->trace_first[t]) >= b->trace_first[t + 1] &&
            !tql_has_trace(s->spread, s->spread_count, b->trace_ids[t]))
            continue;
        int64_t start_ns = span_time((uint64_t)b->start_ns[b->trace_first[t]]); // by time within a trace
        if (!expired && tql_team_is_whole(&s->team, b->trace_ids[t])) {
            whole[whole_count++] = (struct at){start_ns, t};
            continue;
        }
        struct candidates *c = &out->candidates;
        if (!arena_grow(&w->arena, (void **)&c->items, sizeof *c->items, c->count, &c->room))
            return arena_ok(&w->arena, "query", r->err);
        memcpy(c->items[c->count].trace_id, b->trace_ids[t], TRACE_ID_BYTES);
        c->items[c->count++].start_ns = start_ns;
    }
    return decide_whole(s, w, r, whole, whole_count, &out->found);
}

static bool look_into_block(void *ctx, struct tql_worker *w, uint32_t task)
{
    struct search *s = ctx;
    struct span_block block;
    struct tql_rows rows;
    struct tql_bits bits;
    struct err err;
    bool damaged;
    uint32_t number = s->first_block + task;
    if (s->spread_count == 0 && !tql_stats_may(&s->team.blocks[number].stats, s->need.rows)) {
        w->stats.blocks_pruned++;
        return true;
    }
    if (!tql_worker_open(w, number, &block, &damaged) || damaged)
        return damaged;
    bool good = tql_rows_init(&rows, &block, s->query->attrs_count, &w->scratch, &err) &&
                tql_worker_rows(w, &rows, INT64_MIN, INT64_MAX, &bits);
    bool expired = good && tql_bits_count(&bits) < block.spans_count;
    good = good && tql_rows_filter(&rows, s->need.rows, &bits) &&
           ((!tql_bits_any(&bits) && s->spread_count == 0) || sort_out(s, w, &rows, &bits, expired, &s->of_block[task]));
    w->stats.bytes += span_block_read_bytes(&block);
    return good ? tql_worker_memory(w) : tql_worker_fail(w, &err);
}

// --- traces of several blocks -----------------------------------------------------------------------------

static bool decide(void *ctx, struct tql_worker *w, uint32_t task)
{
    struct search *s = ctx;
    struct tql_trace trace;
    struct err err;
    if (!tql_worker_trace(w, s->round[task].trace_id, &trace))
        return false;
    if (trace.count > 0 && !decide_trace(s, w, &trace, &s->found[task], &err))
        return tql_worker_fail(w, &err);
    return tql_worker_memory(w);
}

// --- results ----------------------------------------------------------------------------------------------

static int compare_found(const void *left, const void *right)
{
    const struct found_trace *l = left, *r = right;
    if (l->start_ns != r->start_ns)
        return l->start_ns > r->start_ns ? -1 : 1;
    return memcmp(l->trace_id, r->trace_id, TRACE_ID_BYTES);
}

static int compare_candidates(const void *left, const void *right)
{
    const struct candidate *l = left, *r = right;
    if (l->start_ns != r->start_ns)
        return l->start_ns > r->start_ns ? -1 : 1;
    return memcmp(l->trace_id, r->trace_id, TRACE_ID_BYTES);
}

// Whether there are results enough and none that starts at or before `start_ns` can displace one.
static bool is_done(const struct search *s, int64_t start_ns)
{
    return s->results_count == s->options->limit && span_time(s->results[s->results_count - 1].start_ns) > start_ns;
}

// Whether a trace that was found is asked for, as far as its log entries are concerned. By the one thread that has the view.
static bool has_logs(struct search *s, const struct found_trace *t, bool *has_out, struct err *err)
{
    *has_out = true;
    return s->log_view == NULL || trace_logs_contain(s->log_view, t->trace_id, s->options->log_filter,
                                                     &s->team.workers[0].scratch, has_out, err);
}

// Puts what was found among the results, of which the newest stay.
static bool take_found(struct search *s, const struct found_traces *found, struct err *err)
{
    struct arena *a = &s->team.workers[0].arena;
    for (size_t i = 0; i < found->count; i++) {
        bool wanted;
        if (is_done(s, span_time(found->items[i].start_ns)))
            continue;
        if (!has_logs(s, &found->items[i], &wanted, err))
            return false;
        if (!wanted)
            continue;
        if (!arena_grow(a, (void **)&s->results, sizeof *s->results, s->results_count, &s->results_room))
            return arena_ok(a, "query", err);
        s->results[s->results_count++] = found->items[i];
    }
    if (s->results_count > 0)
        qsort(s->results, s->results_count, sizeof *s->results, compare_found);
    if (s->results_count > s->options->limit)
        s->results_count = s->options->limit;
    return true;
}

static bool decide_round(struct search *s, const struct candidate *candidates, size_t count, struct err *err)
{
    struct arena *a = &s->team.workers[0].arena;
    s->round = candidates;
    s->found = arena_zalloc(a, count * sizeof *s->found);
    if (s->found == NULL)
        return arena_ok(a, "query", err);
    if (!tql_team_run(&s->team, (uint32_t)count, decide, s, err))
        return false;
    for (size_t i = 0; i < count; i++)
        if (!take_found(s, &s->found[i], err))
            return false;
    return true;
}

enum { ROUND_FIRST = 8, ROUND_MAX = 512 }; // candidates

static bool decide_all(struct search *s, struct candidates *all, struct err *err)
{
    size_t round = ROUND_FIRST;
    if (all->count > 0)
        qsort(all->items, all->count, sizeof *all->items, compare_candidates);
    for (size_t i = 0; i < all->count && !is_done(s, all->items[i].start_ns); i += round) {
        round = i == 0 ? ROUND_FIRST : round < ROUND_MAX ? 2 * round : ROUND_MAX;
        size_t count = all->count - i < round ? all->count - i : round;
        if (!decide_round(s, all->items + i, count, err))
            return false;
    }
    return true;
}

// Candidates of the round that were not met before.
static bool take_new(struct search *s, uint32_t blocks, struct slice_set *met, struct candidates *out, struct err *err)
{
    struct arena *a = met->arena;
    *out = (struct candidates){0};
    for (uint32_t i = 0; i < blocks; i++)
        for (size_t n = 0; n < s->of_block[i].candidates.count; n++) {
            const struct candidate *c = &s->of_block[i].candidates.items[n];
            size_t before = met->count;
            if (slice_set_add(met, slice_of(c->trace_id, TRACE_ID_BYTES)) == SIZE_MAX)
                return arena_ok(a, "query", err);
            if (met->count == before)
                continue;
            if (!arena_grow(a, (void **)&out->items, sizeof *out->items, out->count, &out->room))
                return arena_ok(a, "query", err);
            out->items[out->count++] = *c;
        }
    return true;
}

enum { BLOCKS_ROUND_MAX = 128 };

static bool run(struct search *s, struct err *err)
{
    struct tql_team *team = &s->team;
    struct arena *a = &team->workers[0].arena;
    struct slice_set met = {.arena = a};
    struct candidates fresh;
    uint32_t round = 2 * team->count;
    for (uint32_t first = 0; first < team->blocks_count && !is_done(s, team->blocks[first].stats.start_max_ns); first += round) {
        if (first > 0 && round < BLOCKS_ROUND_MAX)
            round *= 2;
        uint32_t count = team->blocks_count - first < round ? team->blocks_count - first : round;
        s->first_block = first;
        s->of_block = arena_zalloc(a, count * sizeof *s->of_block);
        if (s->of_block == NULL)
            return arena_ok(a, "query", err);
        if (!tql_team_run(team, count, look_into_block, s, err))
            return false;
        for (uint32_t i = 0; i < count; i++)
            if (!take_found(s, &s->of_block[i].found, err))
                return false;
        if (!take_new(s, count, &met, &fresh, err) || !decide_all(s, &fresh, err))
            return false;
    }
    return true;
}

static bool prepare(struct search *s, struct err *err)
{
    struct arena *a = &s->team.workers[0].arena;
    const struct trace_search_options *o = s->options;
    if (!tql_need_of(s->query, a, &s->need) || (s->shown = tql_shown_new(s->query, a)) == NULL)
        return arena_ok(a, "query", err);
    if (s->need.rows->kind == TQL_STATIC && !tql_true(s->need.rows->value))
        return true; // nothing matches
    if (!tql_team_select(&s->team, o->from_ns, o->to_ns, true, true, err))
        return false;
    const struct query_context *c = s->team.context;
    if (o->log_filter.len > 0 && !view_begin(c->store, c->tenant, &s->log_view, err))
        return false;
    if (!tql_team_split(&s->team, err))
        return false;
    uint64_t *spread = NULL;
    if (s->team.partial && !view_spread_traces(s->team.view, INT64_MIN, INT64_MAX, a, &spread, &s->spread_count, err))
        return false;
    s->spread = spread;
    return true;
}

bool trace_search(const struct traceql *query, const struct trace_search_options *options, const struct query_context *context,
                  struct trace_search_result *out, struct err *err)
{
    struct search s = {.query = query, .options = options, .with_sets = query != NULL};
    AUTO(traceql_freep) struct traceql *own = NULL;
    *out = (struct trace_search_result){0};
    if (query == NULL && !tql_tags_query(options, context->arena, &own, err))
        return false;
    if (query == NULL)
        s.query = own;
    bool good = tql_team_begin(&s.team, context, err) && prepare(&s, err) && run(&s, err);
    view_end(s.log_view);
    tql_team_end(&s.team, &out->stats, &out->warnings);
    if (!good)
        return false;
    out->traces = s.results;
    out->traces_count = (uint32_t)s.results_count;
    tql_result_even(out->traces, out->traces_count, context->arena);
    return arena_ok(context->arena, "query", err);
}
