/* tql_names.c -- names of attributes (traces-http.md 14.1), and tql_names.h. */
#include "query/traceql/tql_names.h"

#include "query/crew.h"
#include "query/traceql/tql_lenient.h"

#include <stdlib.h>

// --- looking ----------------------------------------------------------------------------------------------

static bool look_into_block(void *ctx, struct tql_worker *w, uint32_t task)
{
    struct tql_looking *l = ctx;
    struct span_block block;
    struct tql_rows rows;
    struct tql_bits bits;
    struct err err;
    bool damaged;
    if (l->filter != NULL && !tql_stats_may(&l->team.blocks[task].stats, l->need.rows)) {
        w->stats.blocks_pruned++;
        return true;
    }
    if (!tql_worker_open(w, task, &block, &damaged) || damaged)
        return damaged;
    bool good = tql_rows_init(&rows, &block, l->filter != NULL ? l->filter->attrs_count : 0, &w->scratch, &err) &&
                tql_worker_rows(w, &rows, l->from_ns, l->to_ns, &bits) &&
                (l->filter == NULL || tql_rows_filter(&rows, l->need.rows, &bits));
    if (good && tql_bits_any(&bits))
        good = l->see(l->ctx, w, &rows, tql_bits_count(&bits) == block.spans_count ? NULL : &bits);
    w->stats.bytes += span_block_read_bytes(&block);
    if (!tql_worker_memory(w))
        return false;
    return good || tql_worker_fail(w, &err);
}

bool tql_look(struct tql_looking *l, const struct trace_tags_options *options, const struct query_context *context, struct err *err)
{
    l->from_ns = options->from_ns;
    l->to_ns = options->to_ns;
    if (!tql_team_begin(&l->team, context, err))
        return false;
    struct arena *a = &l->team.workers[0].arena;
    if (!tql_lenient(options->filter, a, &l->filter, err))
        return false;
    if (l->filter != NULL && !tql_need_of_expr(l->filter, l->filter->pipeline.first->set->lowered, a, &l->need))
        return arena_ok(a, "query", err);
    return tql_team_select(&l->team, l->from_ns, l->to_ns, false, false, err) &&
           tql_team_run(&l->team, l->team.blocks_count, look_into_block, l, err);
}

void tql_look_done(struct tql_looking *l, struct trace_stats *stats, struct trace_warnings *warnings)
{
    traceql_free(l->filter);
    tql_team_end(&l->team, stats, warnings);
}

bool tql_column_occurs(struct tql_rows *r, uint32_t attribute, const struct tql_bits *rows, bool *out)
{
    *out = rows == NULL;
    if (rows == NULL)
        return true;
    if (!tql_rows_attribute(r, attribute, false))
        return false;
    const struct span_attribute_column *c = &r->block->attributes[attribute];
    for (uint32_t i = 0; i < c->count && !*out; i++)
        *out = tql_bit(rows, c->rows[i]);
    return true;
}

bool tql_origins_used(struct tql_rows *r, bool resources, const struct tql_bits *rows, uint8_t **out)
{
    enum span_column column = resources ? SPAN_RESOURCES : SPAN_SCOPES;
    if (!(rows == NULL ? tql_rows_dictionary(r, column) : tql_rows_column(r, column)))
        return false;
    const struct span_block *b = r->block;
    uint32_t count = resources ? b->resources_count : b->scopes_count;
    if ((*out = arena_zalloc(r->arena, count)) == NULL)
        return arena_ok(r->arena, "query", r->err);
    if (rows == NULL)
        memset(*out, 1, count);
    const uint32_t *of_row = resources ? b->resource_of : b->scope_of;
    for (uint32_t row = rows != NULL ? tql_bits_next(rows, 0) : SPAN_BLOCK_SPANS_MAX; row < SPAN_BLOCK_SPANS_MAX;
         row = tql_bits_next(rows, row + 1))
        (*out)[of_row[row]] = 1;
    return true;
}

// --- names ------------------------------------------------------------------------------------------------

struct naming {
    unsigned scopes; // bits
    struct slice_set (*sets)[TRACE_SCOPES_COUNT]; // by worker
};

static bool knows(const struct slice_set *set, struct slice name)
{
    for (size_t i = 0; i < set->count; i++)
        if (slice_eq(set->items[i], name))
            return true;
    return false;
}

static bool add_names(struct slice_set *set, const struct span_attributes *list)
{
    for (uint32_t i = 0; i < list->count; i++)
        if (slice_set_add(set, list->items[i].key) == SIZE_MAX)
            return false;
    return true;
}

static bool span_names(struct slice_set *set, struct tql_rows *r, const struct tql_bits *rows)
{
    for (uint32_t i = 0; i < r->block->attributes_count; i++) {
        bool occurs;
        struct slice key = r->block->attributes[i].key;
        if (rows != NULL && knows(set, key)) // saves the column
            continue;
        if (!tql_column_occurs(r, i, rows, &occurs) || (occurs && slice_set_add(set, key) == SIZE_MAX))
            return false;
    }
    return true;
}

static bool origin_names(struct slice_set *set, struct tql_rows *r, bool resources, const struct tql_bits *rows)
{
    uint8_t *used;
    if (!tql_origins_used(r, resources, rows, &used) || (resources && !tql_rows_dictionary(r, SPAN_RESOURCE_ATTRIBUTES)))
        return false;
    uint32_t count = resources ? r->block->resources_count : r->block->scopes_count;
    for (uint32_t i = 0; i < count; i++)
        if (used[i] && !add_names(set, resources ? &r->block->resources[i].attributes : &r->block->scopes[i].attributes))
            return false;
    return true;
}

static bool event_names(struct slice_set *set, struct tql_worker *w, struct tql_rows *r, bool events, const struct tql_bits *rows)
{
    if (!tql_rows_column(r, events ? SPAN_EVENTS : SPAN_LINKS))
        return false;
    for (uint32_t row = 0; row < r->block->spans_count; row++) {
        struct slice all = events ? r->block->events[row] : r->block->links[row];
        if (all.len == 0 || (rows != NULL && !tql_bit(rows, row)))
            continue;
        struct arena_mark mark = arena_mark(&w->scratch);
        struct span_event event;
        struct span_link link;
        struct pb walk = pb_of(all);
        while (events ? span_event_next(&walk, &w->scratch, &event) : span_link_next(&walk, &w->scratch, &link))
            if (!add_names(set, events ? &event.attributes : &link.attributes))
                return false;
        arena_rewind(&w->scratch, mark);
    }
    return true;
}

static bool see_names(void *ctx, struct tql_worker *w, struct tql_rows *r, const struct tql_bits *rows)
{
    struct naming *n = ctx;
    struct slice_set *sets = n->sets[tql_worker_number(w)];
    for (int scope = 0; scope < TRACE_SCOPES_COUNT; scope++)
        sets[scope].arena = &w->arena;
    bool good = (!(n->scopes & 1U << TRACE_SCOPE_SPAN) || span_names(&sets[TRACE_SCOPE_SPAN], r, rows)) &&
                (!(n->scopes & 1U << TRACE_SCOPE_RESOURCE) || origin_names(&sets[TRACE_SCOPE_RESOURCE], r, true, rows)) &&
                (!(n->scopes & 1U << TRACE_SCOPE_INSTRUMENTATION) ||
                 origin_names(&sets[TRACE_SCOPE_INSTRUMENTATION], r, false, rows)) &&
                (!(n->scopes & 1U << TRACE_SCOPE_EVENT) || event_names(&sets[TRACE_SCOPE_EVENT], w, r, true, rows)) &&
                (!(n->scopes & 1U << TRACE_SCOPE_LINK) || event_names(&sets[TRACE_SCOPE_LINK], w, r, false, rows));
    return good || (!r->failed && arena_ok(&w->arena, "query", r->err));
}

static int compare_slices(const void *left, const void *right)
{
    return slice_cmp(*(const struct slice *)left, *(const struct slice *)right);
}

static bool put_names(struct naming *n, const struct tql_team *team, uint32_t limit, struct trace_tags *out)
{
    struct arena *a = team->context->arena;
    for (int scope = 0; scope < TRACE_SCOPES_COUNT; scope++) {
        struct slice_set all = {.arena = a};
        for (unsigned i = 0; i < team->count; i++)
            for (size_t k = 0; k < n->sets[i][scope].count; k++)
                if (slice_set_add(&all, n->sets[i][scope].items[k]) == SIZE_MAX)
                    return false;
        if (all.count > 0)
            qsort(all.items, all.count, sizeof *all.items, compare_slices);
        out->names[scope] = all.items;
        out->counts[scope] = limit > 0 && all.count > limit ? limit : (uint32_t)all.count;
    }
    return true;
}

bool trace_tag_names(const struct trace_tags_options *options, unsigned scopes, const struct query_context *context,
                     struct trace_tags *out, struct err *err)
{
    struct naming n = {.scopes = scopes};
    struct tql_looking l = {.see = see_names, .ctx = &n};
    *out = (struct trace_tags){0};
    n.sets = arena_zalloc(context->arena, crew_workers(context->crew) * sizeof *n.sets);
    if (n.sets == NULL)
        return arena_ok(context->arena, "query", err);
    bool good = tql_look(&l, options, context, err) && (put_names(&n, &l.team, options->limit, out) || arena_ok(context->arena, "query", err));
    tql_look_done(&l, &out->stats, &out->warnings);
    return good;
}
