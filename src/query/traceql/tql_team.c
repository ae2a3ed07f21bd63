/* tql_team.c -- see tql_team.h. */
#include "query/traceql/tql_team.h"

#include "base/clock.h"
#include "base/hash.h"
#include "query/crew.h"

#include <assert.h>
#include <stdlib.h>

enum { WARNINGS_MAX = 16 };

bool tql_team_begin(struct tql_team *team, const struct query_context *context, struct err *err)
{
    size_t left = context->arena->bytes_max - context->arena->used_bytes;
    *team = (struct tql_team){.context = context, .budget = {.bytes_max = left}, .begun_mono_ns = clock_mono_ns()};
    team->count = crew_workers(context->crew);
    team->workers = calloc(team->count, sizeof *team->workers);
    assert(team->workers != NULL);
    for (unsigned i = 0; i < team->count; i++) {
        struct tql_worker *w = &team->workers[i];
        w->team = team;
        arena_init_shared(&w->arena, &team->budget);
        arena_init_shared(&w->block, &team->budget);
        arena_init_shared(&w->scratch, &team->budget);
    }
    return view_begin(context->store, context->tenant, &team->view, err);
}

void tql_worker_warn(struct tql_worker *w, const char *text)
{
    if (w->warnings_count == WARNINGS_MAX ||
        !arena_grow(&w->arena, (void **)&w->warnings, sizeof *w->warnings, w->warnings_count, &w->warnings_room))
        return;
    w->warnings[w->warnings_count++] = arena_printf(&w->arena, "incomplete result: %s", text);
}

static void warn(struct tql_worker *w, const char *text)
{
    tql_worker_warn(w, arena_printf(&w->arena, "damaged data was left out: %s", text));
}


static int compare_sources(const void *left, const void *right)
{
    const uint32_t *l = left, *r = right;
    return (*l > *r) - (*l < *r);
}

// The distinct sources of blocks, ascending, in `a`.
static uint32_t *sources_of(const struct view_span_block *blocks, uint32_t count, struct arena *a, uint32_t *count_out)
{
    uint32_t *sources = arena_array(a, count + (size_t)1, sizeof *sources), kept = 0;
    if (sources == NULL)
        return NULL;
    for (uint32_t i = 0; i < count; i++)
        sources[i] = blocks[i].source;
    qsort(sources, count, sizeof *sources, compare_sources);
    for (uint32_t i = 0; i < count; i++)
        if (kept == 0 || sources[kept - 1] != sources[i])
            sources[kept++] = sources[i];
    *count_out = kept;
    return sources;
}

// Of a source that has a block in the range every block is wanted.
static bool widen(struct tql_team *team, struct arena *a, struct err *err)
{
    struct view_span_block *all;
    uint32_t all_count, kept = 0, sources_count = 0, all_sources = 0;
    struct view_damage damage = {0}; // told by the first selection
    if (!view_span_blocks(team->view, INT64_MIN, INT64_MAX, true, a, &all, &all_count, &damage, err))
        return false;
    uint32_t *sources = sources_of(team->blocks, team->blocks_count, a, &sources_count);
    if (sources == NULL || sources_of(all, all_count, a, &all_sources) == NULL)
        return arena_ok(a, "query", err);
    for (uint32_t i = 0; i < all_count; i++)
        if (bsearch(&all[i].source, sources, sources_count, sizeof *sources, compare_sources) != NULL)
            all[kept++] = all[i];
    team->blocks = all;
    team->blocks_count = kept;
    team->partial = sources_count < all_sources;
    return true;
}

bool tql_team_select(struct tql_team *team, int64_t from_ns, int64_t to_ns, bool running, bool whole, struct err *err)
{
    struct tql_worker *w = &team->workers[0];
    struct view_damage damage = {0};
    if (!view_span_blocks(team->view, from_ns, to_ns, running, &w->arena, &team->blocks, &team->blocks_count, &damage, err))
        return false;
    if (damage.segments > 0)
        warn(w, damage.last.text);
    if (whole && !widen(team, &w->arena, err))
        return false;
    w->stats.blocks += team->blocks_count;
    return true;
}

bool tql_has_trace(const uint64_t *hashes, size_t count, const uint8_t trace_id[TRACE_ID_BYTES])
{
    uint64_t hash = hash64(slice_of(trace_id, TRACE_ID_BYTES));
    size_t low = 0, high = count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (hashes[middle] < hash)
            low = middle + 1;
        else
            high = middle;
    }
    return low < count && hashes[low] == hash;
}

bool tql_team_split(struct tql_team *team, struct err *err)
{
    uint64_t *split = NULL;
    if (!view_split_traces(team->view, &team->workers[0].arena, &split, &team->split_count, err))
        return false;
    team->split = split;
    return true;
}

bool tql_team_is_whole(const struct tql_team *team, const uint8_t trace_id[TRACE_ID_BYTES])
{
    return !tql_has_trace(team->split, team->split_count, trace_id);
}

struct team_run {
    struct tql_team *team;
    bool (*work)(void *ctx, struct tql_worker *w, uint32_t task);
    void *ctx;
};

static bool work_of(void *ctx, unsigned worker, uint32_t task)
{
    struct team_run *r = ctx;
    struct tql_worker *w = &r->team->workers[worker];
    return tql_worker_may_go_on(w) && r->work(r->ctx, w, task);
}

bool tql_team_run(struct tql_team *team, uint32_t tasks, bool (*work)(void *ctx, struct tql_worker *w, uint32_t task), void *ctx,
                  struct err *err)
{
    struct team_run r = {team, work, ctx};
    crew_run(team->context->crew, tasks, work_of, &r);
    for (unsigned i = 0; i < team->count; i++)
        if (team->workers[i].failed) {
            *err = team->workers[i].err;
            return false;
        }
    return true;
}

static void add_stats(struct trace_stats *to, const struct trace_stats *from)
{
    to->traces += from->traces;
    to->spans += from->spans;
    to->bytes += from->bytes;
    to->blocks += from->blocks;
    to->blocks_pruned += from->blocks_pruned;
}

void tql_team_end(struct tql_team *team, struct trace_stats *stats, struct trace_warnings *warnings)
{
    size_t room = warnings->count;
    for (unsigned i = 0; i < team->count; i++) {
        struct tql_worker *w = &team->workers[i];
        add_stats(stats, &w->stats);
        for (size_t n = 0; n < w->warnings_count && warnings->count < WARNINGS_MAX; n++)
            if (arena_grow(&w->arena, (void **)&warnings->items, sizeof *warnings->items, warnings->count, &room))
                warnings->items[warnings->count++] = w->warnings[n];
        arena_done(&w->block);
        arena_done(&w->scratch);
        arena_adopt(team->context->arena, &w->arena);
    }
    view_end(team->view);
    free(team->workers);
    stats->exec_ns = clock_mono_ns() - team->begun_mono_ns;
}

// --- one worker -------------------------------------------------------------------------------------------

bool tql_worker_fail(struct tql_worker *w, const struct err *err)
{
    if (err->code == ERR_CORRUPT) {
        warn(w, err->text);
        return true;
    }
    w->err = *err;
    w->failed = true;
    return false;
}

bool tql_worker_memory(struct tql_worker *w)
{
    if (!w->arena.overflowed && !w->block.overflowed && !w->scratch.overflowed)
        return true;
    (void)err_set(&w->err, ERR_LIMIT, "query: more than %zu bytes of memory", w->team->context->arena->bytes_max);
    w->failed = true;
    return false;
}

bool tql_worker_may_go_on(struct tql_worker *w)
{
    const struct query_context *c = w->team->context;
    struct err err;
    if (c->cancelled != NULL && atomic_load_explicit(c->cancelled, memory_order_relaxed)) {
        (void)err_set(&err, ERR_CANCELLED, "the client left");
        return tql_worker_fail(w, &err);
    }
    if (c->deadline_mono_ns != 0 && clock_mono_ns() > c->deadline_mono_ns) {
        (void)err_set(&err, ERR_TIMEOUT, "the query passed its deadline");
        return tql_worker_fail(w, &err);
    }
    return true;
}

bool tql_worker_open(struct tql_worker *w, uint32_t block, struct span_block *out, bool *damaged_out)
{
    struct err err;
    arena_reset(&w->block);
    w->opened = &w->team->blocks[block];
    *damaged_out = false;
    if (view_span_block_open(w->team->view, &w->team->blocks[block], &w->block, out, &err))
        return true;
    *damaged_out = err.code == ERR_CORRUPT;
    return tql_worker_fail(w, &err);
}

// Takes rows off that have expired.
static bool leave_expired(struct tql_worker *w, struct tql_rows *r, struct tql_bits *rows)
{
    const struct span_block *b = r->block;
    const struct view *view = w->team->view;
    static const struct span_resource any;
    bool differ = view_span_horizons_differ(view);
    int64_t horizon_ns = differ ? INT64_MIN : view_span_horizon(view, &any);
    if (!differ && b->stats.start_min_ns >= horizon_ns)
        return true;
    if (!tql_rows_column(r, SPAN_STARTS) || (differ && !tql_rows_column(r, SPAN_RESOURCES)))
        return false;
    int64_t *horizons = arena_array(r->arena, differ ? b->resources_count : 1, sizeof *horizons);
    if (horizons == NULL)
        return arena_ok(r->arena, "query", r->err);
    for (uint32_t i = 0; i < (differ ? b->resources_count : 1); i++)
        horizons[i] = differ ? view_span_horizon(view, &b->resources[i]) : horizon_ns;
    for (uint32_t row = 0; row < b->spans_count; row++)
        if (span_time((uint64_t)b->start_ns[row]) < horizons[differ ? b->resource_of[row] : 0])
            rows->words[row >> 6] &= ~(UINT64_C(1) << (row & 63));
    return true;
}

// Takes rows of deleted traces off.
static bool leave_deleted(const struct tql_worker *w, struct tql_rows *r, struct tql_bits *rows)
{
    const struct span_block *b = r->block;
    if (!w->opened->masked)
        return true;
    if (!tql_rows_column(r, SPAN_TRACES))
        return false;
    for (uint32_t t = 0; t < b->stats.traces_count; t++)
        if (view_trace_is_deleted(w->team->view, w->opened->source, b->trace_ids[t]))
            for (uint32_t row = b->trace_first[t]; row < b->trace_first[t + 1]; row++)
                rows->words[row >> 6] &= ~(UINT64_C(1) << (row & 63));
    return true;
}

bool tql_worker_rows(struct tql_worker *w, struct tql_rows *r, int64_t from_ns, int64_t to_ns, struct tql_bits *out)
{
    const struct span_block *b = r->block;
    tql_bits_fill(out, b->spans_count);
    w->stats.spans += b->spans_count;
    w->stats.traces += b->stats.traces_count;
    if (!leave_expired(w, r, out) || !leave_deleted(w, r, out))
        return false;
    if (from_ns <= b->stats.start_min_ns && b->stats.start_max_ns < to_ns)
        return true;
    if (!tql_rows_column(r, SPAN_STARTS))
        return false;
    for (uint32_t word = 0; word < (b->spans_count + 63) / 64; word++) {
        uint64_t bits = 0;
        uint32_t end = b->spans_count - word * 64 < 64 ? b->spans_count - word * 64 : 64;
        for (uint32_t i = 0; i < end; i++) {
            int64_t start_ns = span_time((uint64_t)b->start_ns[word * 64 + i]);
            bits |= (uint64_t)(start_ns >= from_ns && start_ns < to_ns) << i;
        }
        out->words[word] &= bits;
    }
    return true;
}

bool tql_worker_trace(struct tql_worker *w, const uint8_t trace_id[TRACE_ID_BYTES], struct tql_trace *out)
{
    struct view_trace trace;
    struct err err;
    arena_reset(&w->block);
    *out = (struct tql_trace){0};
    if (!view_trace(w->team->view, trace_id, &w->block, &trace, &err))
        return tql_worker_fail(w, &err);
    if (trace.damage.segments > 0)
        warn(w, trace.damage.last.text);
    if (trace.spans_count > 0)
        tql_trace_begin(out, trace.spans, trace.spans_count, &w->block, &w->scratch);
    return true;
}
