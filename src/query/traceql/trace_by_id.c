/*
 * trace_by_id.c -- a trace as the wire has it: by resource and scope, halves of Zipkin spans told apart (traces-http.md 12.6).
 */
#include "base/slice_set.h"
#include "query/traceql/tql_team.h"

#include <stdlib.h>

// --- shared spans -----------------------------------------------------------------------------------------

static uint64_t read_id(const uint8_t id[SPAN_ID_BYTES])
{
    uint64_t value;
    memcpy(&value, id, sizeof value);
    return __builtin_bswap64(value);
}

static void write_id(uint64_t value, uint8_t id[SPAN_ID_BYTES])
{
    value = __builtin_bswap64(value);
    memcpy(id, &value, sizeof value);
}

static int compare_ids(const void *left, const void *right)
{
    const uint64_t *l = left, *r = right;
    return (*l > *r) - (*l < *r);
}

struct renamed {
    uint64_t old, new;
};

static int compare_renamed(const void *left, const void *right)
{
    return compare_ids(&((const struct renamed *)left)->old, &((const struct renamed *)right)->old);
}

static bool has(const uint64_t *sorted, size_t count, uint64_t id)
{
    return count > 0 && bsearch(&id, sorted, count, sizeof id, compare_ids) != NULL;
}

// A server span with the ID of a client span gets one of its own, and the shared one as its parent; children of the shared
// ID become the server's.
static bool tell_apart(struct span *spans, uint32_t count, struct arena *a)
{
    uint64_t *ids = arena_array(a, count, sizeof *ids), *clients = arena_array(a, count, sizeof *clients), next = 1;
    struct renamed *renamed = arena_array(a, count, sizeof *renamed);
    size_t clients_count = 0, renamed_count = 0;
    if (ids == NULL || clients == NULL || renamed == NULL)
        return false;
    for (uint32_t i = 0; i < count; i++) {
        ids[i] = read_id(spans[i].span_id);
        if (spans[i].kind == KIND_CLIENT)
            clients[clients_count++] = ids[i];
    }
    qsort(ids, count, sizeof *ids, compare_ids);
    if (clients_count > 0)
        qsort(clients, clients_count, sizeof *clients, compare_ids);
    for (uint32_t i = 0; i < count; i++) {
        uint64_t id = read_id(spans[i].span_id);
        if (spans[i].kind != KIND_SERVER || !has(clients, clients_count, id))
            continue;
        while (has(ids, count, next))
            next++;
        renamed[renamed_count++] = (struct renamed){id, next++};
    }
    if (renamed_count == 0)
        return true;
    qsort(renamed, renamed_count, sizeof *renamed, compare_renamed);
    for (uint32_t i = 0; i < count; i++) {
        struct renamed own = {.old = read_id(spans[i].span_id)}, parent = {.old = read_id(spans[i].parent_id)};
        const struct renamed *half = bsearch(&own, renamed, renamed_count, sizeof own, compare_renamed);
        const struct renamed *above = bsearch(&parent, renamed, renamed_count, sizeof parent, compare_renamed);
        if (half != NULL && spans[i].kind == KIND_SERVER) {
            memcpy(spans[i].parent_id, spans[i].span_id, SPAN_ID_BYTES);
            write_id(half->new, spans[i].span_id);
        } else if (above != NULL) {
            write_id(above->new, spans[i].parent_id);
        }
    }
    return true;
}

// --- groups -----------------------------------------------------------------------------------------------

struct grouping {
    struct arena *a;
    uint32_t *number; // of each span, in its group
    uint32_t *first;  // span of each group
    size_t count;
};

// Numbers the spans by the bytes of their resources (scopes), in order of appearance.
static bool number_by(struct grouping *g, const struct span *const *spans, uint32_t count, bool scopes)
{
    struct slice_set known = {.arena = g->a};
    g->number = arena_array(g->a, count, sizeof *g->number);
    g->first = arena_array(g->a, count, sizeof *g->first);
    if (g->number == NULL || g->first == NULL)
        return false;
    for (uint32_t i = 0; i < count; i++) {
        size_t before = known.count;
        size_t number = slice_set_add(&known, scopes ? spans[i]->scope->bytes : spans[i]->resource->bytes);
        if (number == SIZE_MAX)
            return false;
        if (number == before)
            g->first[number] = i;
        g->number[i] = (uint32_t)number;
    }
    g->count = known.count;
    return true;
}

// The spans of one group.
static uint32_t members(const struct grouping *g, const struct span *const *spans, uint32_t count, uint32_t group,
                        const struct span **out)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < count; i++)
        if (g->number[i] == group)
            out[kept++] = spans[i];
    return kept;
}

static bool group_scopes(struct arena *a, const struct span *const *spans, uint32_t count, struct trace_resource *out)
{
    struct grouping g = {.a = a};
    if (!number_by(&g, spans, count, true))
        return false;
    struct trace_scope *scopes = arena_zalloc(a, g.count * sizeof *scopes);
    const struct span **own = arena_array(a, count, sizeof *own);
    for (uint32_t i = 0; i < g.count && scopes != NULL && own != NULL; i++) {
        uint32_t own_count = members(&g, spans, count, i, own);
        struct span *copies = arena_array(a, own_count, sizeof *copies);
        if (copies == NULL)
            return false;
        for (uint32_t n = 0; n < own_count; n++)
            copies[n] = *own[n];
        scopes[i] = (struct trace_scope){own[0]->scope, copies, own_count};
    }
    *out = (struct trace_resource){spans[0]->resource, scopes, (uint32_t)g.count};
    return !a->overflowed;
}

static bool group_resources(struct arena *a, const struct span *spans, uint32_t count, struct trace *out)
{
    struct grouping g = {.a = a};
    const struct span **all = arena_array(a, count, sizeof *all), **own = arena_array(a, count, sizeof *own);
    if (all == NULL || own == NULL)
        return false;
    for (uint32_t i = 0; i < count; i++)
        all[i] = &spans[i];
    if (!number_by(&g, all, count, false))
        return false;
    struct trace_resource *resources = arena_zalloc(a, g.count * sizeof *resources);
    for (uint32_t i = 0; i < g.count && resources != NULL; i++)
        if (!group_scopes(a, own, members(&g, all, count, i, own), &resources[i]))
            return false;
    out->resources = resources;
    out->resources_count = (uint32_t)g.count;
    return !a->overflowed;
}

bool trace_by_id(const struct query_context *context, const uint8_t trace_id[TRACE_ID_BYTES], struct trace *out, struct err *err)
{
    struct arena *a = context->arena;
    struct tql_team team;
    struct view_trace found = {0};
    *out = (struct trace){0};
    bool good = tql_team_begin(&team, context, err) && view_trace(team.view, trace_id, a, &found, err);
    if (good && found.spans_count > 0) {
        good = (tell_apart(found.spans, found.spans_count, a) &&
                group_resources(a, found.spans, found.spans_count, out)) ||
               arena_ok(a, "query", err);
        out->spans_count = found.spans_count;
    }
    tql_team_end(&team, &out->stats, &out->warnings);
    if (good && found.damage.segments > 0) {
        out->warnings.items = arena_array(a, 1, sizeof *out->warnings.items);
        if (out->warnings.items != NULL)
            out->warnings.items[out->warnings.count++] =
                arena_printf(a, "incomplete result: damaged data was left out: %s", found.damage.last.text);
    }
    return good;
}
