/* tql_trace.c -- values of the spans of an assembled trace; see tql_trace.h. */
#include "query/traceql/tql_trace.h"

#include "query/traceql/tql_rows.h"

static const uint8_t no_id[SPAN_ID_BYTES];

bool tql_is_root(const struct span *span, struct arena *scratch)
{
    if (memcmp(span->parent_id, no_id, sizeof no_id) != 0)
        return false;
    bool root = true;
    struct span_link link;
    struct arena_mark mark = arena_mark(scratch);
    for (struct pb walk = pb_of(span->links); root && span_link_next(&walk, scratch, &link);) {
        const struct span_value *ref = span_attributes_find(&link.attributes, SLICE("opentracing.ref_type"));
        root = ref == NULL || ref->kind != VALUE_STRING || !slice_eq(ref->bytes, SLICE("child_of")) ||
               !slice_eq(link.trace_id, slice_of(span->trace_id, TRACE_ID_BYTES));
    }
    arena_rewind(scratch, mark);
    return root;
}

void tql_trace_begin(struct tql_trace *t, const struct span *spans, uint32_t count, struct arena *a, struct arena *scratch)
{
    *t = (struct tql_trace){.spans = spans, .count = count, .arena = a, .scratch = scratch, .start_ns = UINT64_MAX};
    for (uint32_t i = 0; i < count; i++) {
        if (spans[i].start_ns < t->start_ns)
            t->start_ns = spans[i].start_ns;
        if (spans[i].end_ns > t->end_ns)
            t->end_ns = spans[i].end_ns;
        if (t->root == NULL && tql_is_root(&spans[i], scratch))
            t->root = &spans[i];
    }
}

// --- values -----------------------------------------------------------------------------------------------

// The rows of the trace's block with the span in hand.
static struct tql_rows *rows_at(struct tql_trace_row *row)
{
    struct tql_rows *rows = row->trace->rows;
    if (rows != NULL)
        rows->row = row->trace->first_row + (uint32_t)(row->span - row->trace->spans);
    return rows;
}

static struct tql_value structure_value(struct tql_trace_row *row, enum tql_intrinsic intrinsic)
{
    const struct tql_structure *s = tql_trace_structure(row->trace);
    size_t i = (size_t)(row->span - row->trace->spans);
    if (s == NULL)
        return tql_int(0);
    switch (intrinsic) {
    case TQL_I_CHILD_COUNT:  return tql_int(s->child_count[i]);
    case TQL_I_NESTED_LEFT:  return tql_int(s->left[i]);
    case TQL_I_NESTED_RIGHT: return tql_int(s->right[i]);
    default:                 return tql_int(s->nested_parent[i]);
    }
}

static struct tql_value intrinsic_value(struct tql_trace_row *row, enum tql_intrinsic intrinsic)
{
    const struct span *span = row->span, *root = row->trace->root;
    switch (intrinsic) {
    case TQL_I_DURATION:       return tql_duration(span_duration(span));
    case TQL_I_NAME:           return tql_string(span->name);
    case TQL_I_STATUS:         return tql_status(span->status);
    case TQL_I_STATUS_MESSAGE: return rows_at(row) != NULL ? tql_rows_message(row->trace->rows) : tql_string(span->status_message);
    case TQL_I_KIND:           return tql_kind(span->kind);
    case TQL_I_SPAN_ID:        return tql_id_value(&row->eval, span->span_id, SPAN_ID_BYTES, false);
    case TQL_I_PARENT_ID:      return tql_id_value(&row->eval, span->parent_id, SPAN_ID_BYTES, false);
    case TQL_I_TRACE_ID:       return tql_id_value(&row->eval, span->trace_id, TRACE_ID_BYTES, true);
    case TQL_I_TRACE_DURATION: return tql_duration(tql_trace_duration(row->trace));
    case TQL_I_ROOT_NAME:      return tql_string(root != NULL ? root->name : (struct slice){0});
    case TQL_I_ROOT_SERVICE:   return tql_string(root != NULL ? root->resource->service : (struct slice){0});
    case TQL_I_INSTRUMENTATION_NAME:    return tql_string(span->scope->name);
    case TQL_I_INSTRUMENTATION_VERSION: return tql_string(span->scope->version);
    case TQL_I_CHILD_COUNT: case TQL_I_NESTED_LEFT: case TQL_I_NESTED_RIGHT: case TQL_I_NESTED_PARENT:
        return structure_value(row, intrinsic);
    default:
        return (struct tql_value){.type = TQL_T_NIL};
    }
}

static struct tql_value row_value(void *ctx, const struct tql_attr *attr)
{
    struct tql_trace_row *row = ctx;
    struct tql_value v;
    if (attr->scope != TQL_SCOPE_INTRINSIC && row->trace->rows != NULL)
        return rows_at(row)->eval.source->value(row->trace->rows, attr);
    switch (attr->scope) {
    case TQL_SCOPE_INTRINSIC:
        return intrinsic_value(row, attr->intrinsic);
    case TQL_SCOPE_SPAN:
        return tql_find(&row->span->attributes, attr->name);
    case TQL_SCOPE_RESOURCE:
        return tql_find(&row->span->resource->attributes, attr->name);
    case TQL_SCOPE_INSTRUMENTATION:
        return tql_find(&row->span->scope->attributes, attr->name);
    case TQL_SCOPE_ANY:
        v = tql_find(&row->span->attributes, attr->name);
        return v.type != TQL_T_NIL ? v : tql_find(&row->span->resource->attributes, attr->name);
    default:
        return (struct tql_value){.type = TQL_T_NIL};
    }
}

static struct slice row_events(void *ctx)
{
    struct tql_trace_row *row = ctx;
    struct tql_rows *rows = rows_at(row);
    return rows != NULL ? rows->eval.source->events(rows) : row->span->events;
}

static struct slice row_links(void *ctx)
{
    struct tql_trace_row *row = ctx;
    struct tql_rows *rows = rows_at(row);
    return rows != NULL ? rows->eval.source->links(rows) : row->span->links;
}

static uint64_t row_start(void *ctx)
{
    return ((struct tql_trace_row *)ctx)->span->start_ns;
}

void tql_trace_row_init(struct tql_trace_row *row, struct tql_trace *t)
{
    static const struct tql_source source = {row_value, row_events, row_links, row_start};
    row->trace = t;
    row->span = t->spans;
    row->eval = (struct tql_eval){.source = &source, .ctx = row, .scratch = t->scratch};
}
