/* trace_tree.c -- see trace_tree.h. */
#include "query/trace/trace_tree.h"

#include "base/limits.h"

#include <inttypes.h>
#include <stdlib.h>

#define NONE UINT32_MAX

// A span on its way into the tree. Nodes lie by start time.
struct node {
    const struct span *span;
    uint32_t service;
    uint32_t first_child, next; // by start; NONE: none
    uint32_t last_child;
    bool has_parent; // in its service
    bool placed;
    uint32_t place; // in its service's list
    const struct trace_log **logs;
    uint32_t logs_count;
};

struct by_id {
    uint8_t id[SPAN_ID_BYTES];
    uint32_t node;
};

struct building {
    struct arena *a;
    struct node *nodes;
    uint32_t nodes_count;
    struct by_id *ids;
    struct tree_service *services;
    size_t services_count, services_room;
    const char **warnings;
    size_t warnings_count, warnings_room;
};

static void warn(struct building *b, const char *text)
{
    if (arena_grow(b->a, (void **)&b->warnings, sizeof *b->warnings, b->warnings_count, &b->warnings_room))
        b->warnings[b->warnings_count++] = text;
}

// --- spans --------------------------------------------------------------------------------------------

static int nodes_by_time(const void *a, const void *b)
{
    const struct span *x = ((const struct node *)a)->span, *y = ((const struct node *)b)->span;
    if (x->start_ns != y->start_ns)
        return x->start_ns < y->start_ns ? -1 : 1;
    if (x->end_ns != y->end_ns) // what lasts longer is the caller
        return x->end_ns > y->end_ns ? -1 : 1;
    return memcmp(x->span_id, y->span_id, SPAN_ID_BYTES);
}

static int ids_in_order(const void *a, const void *b)
{
    const struct by_id *x = a, *y = b;
    int order = memcmp(x->id, y->id, SPAN_ID_BYTES);
    return order != 0 ? order : (x->node > y->node) - (x->node < y->node);
}

// Services are few; a trace of thousands is a list of thousands once.
static uint32_t find_service(struct building *b, struct slice name, int64_t first_ns)
{
    for (size_t i = 0; i < b->services_count; i++)
        if (slice_eq(b->services[i].name, name)) {
            if (first_ns < b->services[i].first_ns)
                b->services[i].first_ns = first_ns;
            return (uint32_t)i;
        }
    if (!arena_grow(b->a, (void **)&b->services, sizeof *b->services, b->services_count, &b->services_room))
        return NONE;
    b->services[b->services_count] = (struct tree_service){.name = name, .first_ns = first_ns};
    return (uint32_t)b->services_count++;
}

static bool gather(struct building *b, const struct trace *trace, struct err *err)
{
    b->nodes = arena_array(b->a, trace->spans_count + 1, sizeof *b->nodes);
    if (b->nodes == NULL)
        return arena_ok(b->a, "trace", err);
    for (uint32_t i = 0; i < trace->resources_count; i++)
        for (uint32_t k = 0; k < trace->resources[i].scopes_count; k++) {
            const struct trace_scope *scope = &trace->resources[i].scopes[k];
            for (uint32_t n = 0; n < scope->spans_count; n++)
                b->nodes[b->nodes_count++] = (struct node){.span = &scope->spans[n], .first_child = NONE, .last_child = NONE, .next = NONE};
        }
    if (b->nodes_count > 0)
        qsort(b->nodes, b->nodes_count, sizeof *b->nodes, nodes_by_time);
    if (b->nodes_count > TRACE_TREE_SPANS_MAX) {
        warn(b, arena_printf(b->a, "%" PRIu32 " later spans are left out", b->nodes_count - TRACE_TREE_SPANS_MAX));
        b->nodes_count = TRACE_TREE_SPANS_MAX;
    }
    b->ids = arena_array(b->a, b->nodes_count + 1, sizeof *b->ids);
    for (uint32_t i = 0; b->ids != NULL && i < b->nodes_count; i++) {
        const struct span *s = b->nodes[i].span;
        b->nodes[i].service = find_service(b, s->resource->service, span_time(s->start_ns));
        memcpy(b->ids[i].id, s->span_id, SPAN_ID_BYTES);
        b->ids[i].node = i;
    }
    if (!arena_ok(b->a, "trace", err))
        return false;
    if (b->nodes_count > 0)
        qsort(b->ids, b->nodes_count, sizeof *b->ids, ids_in_order);
    return true;
}

// The first in order of those with the ID, in a service unless that is NONE.
static uint32_t find_node(const struct building *b, const uint8_t id[SPAN_ID_BYTES], uint32_t service)
{
    uint32_t low = 0, high = b->nodes_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (memcmp(b->ids[middle].id, id, SPAN_ID_BYTES) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    for (; low < b->nodes_count && memcmp(b->ids[low].id, id, SPAN_ID_BYTES) == 0; low++)
        if (service == NONE || b->nodes[b->ids[low].node].service == service)
            return b->ids[low].node;
    return NONE;
}

static void link_children(struct building *b)
{
    for (uint32_t i = 0; i < b->nodes_count; i++) {
        struct node *n = &b->nodes[i];
        uint32_t parent = find_node(b, n->span->parent_id, n->service);
        if (parent == NONE || parent == i)
            continue;
        struct node *p = &b->nodes[parent];
        n->has_parent = true;
        if (p->first_child == NONE)
            p->first_child = i;
        else
            b->nodes[p->last_child].next = i;
        p->last_child = i;
    }
}

static void place(struct building *b, uint32_t node, uint32_t depth)
{
    struct node *n = &b->nodes[node];
    struct tree_service *s = &b->services[n->service];
    n->placed = true;
    n->place = s->spans_count;
    s->spans[s->spans_count++] = (struct tree_span){.span = n->span, .depth = depth};
    s->errors_count += n->span->status == STATUS_ERROR;
}

// A span and all below it that are not placed yet, without recursion: chains may be as long as traces. `path` has room for all.
static void place_tree(struct building *b, uint32_t root, uint32_t *path)
{
    uint32_t depth = 0;
    path[0] = root;
    place(b, root, 0);
    uint32_t next = b->nodes[root].first_child;
    for (;;) {
        while (next != NONE && b->nodes[next].placed)
            next = b->nodes[next].next;
        if (next != NONE) {
            path[++depth] = next;
            place(b, next, depth);
            next = b->nodes[next].first_child;
        } else if (depth > 0) {
            next = b->nodes[path[depth--]].next;
        } else {
            return;
        }
    }
}

static bool place_all(struct building *b, struct err *err)
{
    uint32_t *path = arena_array(b->a, b->nodes_count + 1, sizeof *path);
    for (uint32_t i = 0; i < b->nodes_count; i++)
        b->services[b->nodes[i].service].spans_count++;
    for (size_t i = 0; i < b->services_count; i++) {
        b->services[i].spans = arena_array(b->a, b->services[i].spans_count, sizeof *b->services[i].spans);
        b->services[i].spans_count = 0;
    }
    if (!arena_ok(b->a, "trace", err))
        return false;
    for (uint32_t i = 0; i < b->nodes_count; i++)
        if (!b->nodes[i].has_parent)
            place_tree(b, i, path);
    for (uint32_t i = 0; i < b->nodes_count; i++) // of circles
        if (!b->nodes[i].placed)
            place_tree(b, i, path);
    return true;
}

// --- entries ------------------------------------------------------------------------------------------

// Where an entry hangs: a span, or a service.
struct hold {
    uint32_t node, service; // node NONE: the service
};

static void count_log(struct building *b, const struct hold *h)
{
    if (h->node != NONE)
        b->nodes[h->node].logs_count++;
    else
        b->services[h->service].logs_count++;
}

static bool take_room(struct building *b)
{
    for (uint32_t i = 0; i < b->nodes_count; i++)
        if (b->nodes[i].logs_count > 0) {
            b->nodes[i].logs = arena_array(b->a, b->nodes[i].logs_count, sizeof(void *));
            b->nodes[i].logs_count = 0;
        }
    for (size_t i = 0; i < b->services_count; i++)
        if (b->services[i].logs_count > 0) {
            b->services[i].logs = arena_array(b->a, b->services[i].logs_count, sizeof(void *));
            b->services[i].logs_count = 0;
        }
    return !b->a->overflowed;
}

static bool hang(struct building *b, const struct trace_logs *logs, struct err *err)
{
    struct hold *holds = arena_array(b->a, logs->count + 1, sizeof *holds);
    if (holds == NULL)
        return arena_ok(b->a, "log entries", err);
    for (uint32_t i = 0; i < logs->count; i++) {
        uint8_t id[SPAN_ID_BYTES];
        const struct trace_log *log = &logs->items[i];
        holds[i] = (struct hold){NONE, NONE};
        if (trace_log_span(log, id))
            holds[i].node = find_node(b, id, NONE);
        if (holds[i].node == NONE)
            holds[i].service = find_service(b, trace_log_service(log), log->time_ns);
        if (!arena_ok(b->a, "log entries", err))
            return false;
        count_log(b, &holds[i]);
    }
    if (!take_room(b))
        return arena_ok(b->a, "log entries", err);
    for (uint32_t i = 0; i < logs->count; i++) {
        if (holds[i].node != NONE) {
            struct node *n = &b->nodes[holds[i].node];
            n->logs[n->logs_count++] = &logs->items[i];
        } else {
            struct tree_service *s = &b->services[holds[i].service];
            s->logs[s->logs_count++] = &logs->items[i];
        }
    }
    for (uint32_t i = 0; i < b->nodes_count; i++) {
        struct tree_span *s = &b->services[b->nodes[i].service].spans[b->nodes[i].place];
        s->logs = b->nodes[i].logs;
        s->logs_count = b->nodes[i].logs_count;
    }
    return true;
}

// --- the whole ----------------------------------------------------------------------------------------

static int services_by_time(const void *a, const void *b)
{
    const struct tree_service *x = a, *y = b;
    if (x->first_ns != y->first_ns)
        return x->first_ns < y->first_ns ? -1 : 1;
    return slice_cmp(x->name, y->name);
}

static void find_times(const struct building *b, const struct trace_logs *logs, struct trace_tree *out)
{
    int64_t first = INT64_MAX, last = INT64_MIN;
    for (uint32_t i = 0; i < b->nodes_count; i++) {
        int64_t from = span_time(b->nodes[i].span->start_ns), to = span_time(b->nodes[i].span->end_ns);
        to = to < from ? from : to;
        first = from < first ? from : first;
        last = to > last ? to : last;
    }
    if (b->nodes_count == 0 && logs->count > 0) {
        first = logs->items[0].time_ns;
        last = logs->items[logs->count - 1].time_ns;
    }
    out->from_ns = first;
    if (__builtin_sub_overflow(last, first, &out->duration_ns))
        out->duration_ns = last > first ? INT64_MAX : 0;
}

bool trace_tree_build(const struct trace *trace, const struct trace_logs *logs, struct arena *a, struct trace_tree *out,
                      struct err *err)
{
    struct building b = {.a = a};
    struct trace_tree tree = {0};
    if (!gather(&b, trace, err))
        return false;
    link_children(&b);
    if (!place_all(&b, err) || !hang(&b, logs, err))
        return false;
    find_times(&b, logs, &tree);
    if (b.services_count > 0)
        qsort(b.services, b.services_count, sizeof *b.services, services_by_time);
    for (uint32_t i = 0; i < trace->warnings.count; i++)
        warn(&b, trace->warnings.items[i]);
    for (uint32_t i = 0; i < logs->warnings.count; i++)
        warn(&b, logs->warnings.items[i]);
    if (logs->more)
        warn(&b, arena_printf(a, "of the log entries the first %" PRIu32 " are here (limit)", logs->count));
    tree.services = b.services;
    tree.services_count = (uint32_t)b.services_count;
    tree.spans_count = b.nodes_count;
    tree.logs_count = logs->count;
    tree.warnings = (struct trace_warnings){b.warnings, (uint32_t)b.warnings_count};
    *out = tree;
    return arena_ok(a, "trace", err);
}

// Services of the spans and their time. A start of zero is no time.
static bool describe(const struct trace *trace, struct arena *a, struct trace_logs_options *out, struct err *err)
{
    struct slice *services = arena_array(a, trace->resources_count + 1, sizeof *services);
    if (services == NULL)
        return arena_ok(a, "trace", err);
    out->services = services;
    out->from_ns = INT64_MAX;
    out->to_ns = INT64_MIN;
    for (uint32_t i = 0; i < trace->resources_count; i++) {
        services[out->services_count++] = trace->resources[i].resource->service;
        for (uint32_t k = 0; k < trace->resources[i].scopes_count; k++) {
            const struct trace_scope *scope = &trace->resources[i].scopes[k];
            for (uint32_t n = 0; n < scope->spans_count; n++) {
                int64_t from = span_time(scope->spans[n].start_ns), to = span_time(scope->spans[n].end_ns);
                if (from == 0)
                    continue;
                to = to < from ? from : to;
                out->from_ns = from < out->from_ns ? from : out->from_ns;
                out->to_ns = to > out->to_ns ? to : out->to_ns;
            }
        }
    }
    return true;
}

bool trace_tree(const struct query_context *context, const uint8_t trace_id[TRACE_ID_BYTES], uint32_t logs_max,
                struct trace_tree *out, struct err *err)
{
    struct trace trace;
    struct trace_logs logs;
    struct trace_logs_options options = {.limit = logs_max};
    if (!trace_by_id(context, trace_id, &trace, err) || !describe(&trace, context->arena, &options, err) ||
        !trace_logs(context, trace_id, &options, &logs, err) || !trace_tree_build(&trace, &logs, context->arena, out, err))
        return false;
    memcpy(out->trace_id, trace_id, TRACE_ID_BYTES);
    return true;
}
