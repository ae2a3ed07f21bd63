/* tql_eval.c -- see tql_eval.h. */
#include "query/traceql/tql_eval.h"

static const struct tql_value nil = {.type = TQL_T_NIL};

struct tql_value tql_id_value(struct tql_eval *ev, const uint8_t *id, size_t bytes, bool strip)
{
    static const char digits[] = "0123456789abcdef";
    uint8_t *text = ev->ids[ev->ids_next++ % TQL_ID_TEXTS];
    size_t from = 0;
    for (size_t i = 0; i < bytes; i++) {
        text[2 * i] = (uint8_t)digits[id[i] >> 4];
        text[2 * i + 1] = (uint8_t)digits[id[i] & 15];
    }
    while (strip && from < 2 * bytes && text[from] == '0')
        from++;
    return tql_string(slice_of(text + from, 2 * bytes - from));
}

struct tql_value tql_find(const struct span_attributes *attributes, struct slice key)
{
    const struct span_value *v = span_attributes_find(attributes, key);
    return v != NULL ? tql_of_span_value(v) : nil;
}

// --- events and links -----------------------------------------------------------------------------------

static struct tql_value event_value(struct tql_eval *ev, const struct span_event *event, const struct tql_attr *attr)
{
    if (attr->scope == TQL_SCOPE_EVENT)
        return tql_find(&event->attributes, attr->name);
    if (attr->intrinsic == TQL_I_EVENT_NAME)
        return tql_string(event->name);
    int64_t since = (int64_t)(event->time_ns - ev->source->start_ns(ev->ctx));
    return (struct tql_value){.type = TQL_T_DURATION, .integer = since};
}

static struct tql_value link_value(struct tql_eval *ev, const struct span_link *link, const struct tql_attr *attr)
{
    if (attr->scope == TQL_SCOPE_LINK)
        return tql_find(&link->attributes, attr->name);
    if (attr->intrinsic == TQL_I_LINK_TRACE_ID)
        return tql_id_value(ev, link->trace_id.ptr, link->trace_id.len <= TRACE_ID_BYTES ? link->trace_id.len : 0, true);
    return tql_id_value(ev, link->span_id.ptr, link->span_id.len <= TRACE_ID_BYTES ? link->span_id.len : 0, false);
}

bool tql_first_event(struct tql_eval *ev, const struct tql_expr *condition, struct span_event *out)
{
    const struct span_event *before = ev->event;
    bool found = false;
    for (struct pb walk = pb_of(ev->source->events(ev->ctx)); !found && span_event_next(&walk, ev->scratch, out);) {
        ev->event = out;
        found = condition == NULL || tql_eval_true(ev, condition);
    }
    ev->event = before;
    return found;
}

bool tql_first_link(struct tql_eval *ev, const struct tql_expr *condition, struct span_link *out)
{
    const struct span_link *before = ev->link;
    bool found = false;
    for (struct pb walk = pb_of(ev->source->links(ev->ctx)); !found && span_link_next(&walk, ev->scratch, out);) {
        ev->link = out;
        found = condition == NULL || tql_eval_true(ev, condition);
    }
    ev->link = before;
    return found;
}

// Of the first event that has it.
static struct tql_value any_event(struct tql_eval *ev, const struct tql_attr *attr)
{
    struct tql_value v = nil;
    struct span_event event;
    struct arena_mark mark = arena_mark(ev->scratch);
    for (struct pb walk = pb_of(ev->source->events(ev->ctx)); v.type == TQL_T_NIL && span_event_next(&walk, ev->scratch, &event);)
        v = event_value(ev, &event, attr);
    arena_rewind(ev->scratch, mark);
    return v;
}

static struct tql_value any_link(struct tql_eval *ev, const struct tql_attr *attr)
{
    struct tql_value v = nil;
    struct span_link link;
    struct arena_mark mark = arena_mark(ev->scratch);
    for (struct pb walk = pb_of(ev->source->links(ev->ctx)); v.type == TQL_T_NIL && span_link_next(&walk, ev->scratch, &link);)
        v = link_value(ev, &link, attr);
    arena_rewind(ev->scratch, mark);
    return v;
}

struct tql_value tql_eval_attr(struct tql_eval *ev, const struct tql_attr *attr)
{
    if (tql_attr_of_event(attr))
        return ev->event != NULL ? event_value(ev, ev->event, attr) : any_event(ev, attr);
    if (tql_attr_of_link(attr))
        return ev->link != NULL ? link_value(ev, ev->link, attr) : any_link(ev, attr);
    return ev->source->value(ev->ctx, attr);
}

// --- expressions ------------------------------------------------------------------------------------------

static struct tql_value eval_logic(struct tql_eval *ev, const struct tql_expr *e)
{
    struct tql_value l = tql_eval(ev, e->left);
    if (l.type != TQL_T_BOOL)
        return tql_bool(false);
    if (l.flag == (e->op == TQL_OP_OR))
        return l;
    return tql_bool(tql_eval_true(ev, e->right));
}

static struct tql_value eval_binary(struct tql_eval *ev, const struct tql_expr *e)
{
    if (e->op == TQL_OP_AND || e->op == TQL_OP_OR)
        return eval_logic(ev, e);
    struct tql_value l = tql_eval(ev, e->left), r = tql_eval(ev, e->right);
    if (l.type == TQL_T_NIL || r.type == TQL_T_NIL)
        return tql_bool(false);
    if (e->op > TQL_OP_POW)
        return tql_bool(tql_compare((int)e->op, l, r, e->regex));
    struct tql_value out = nil;
    const char *problem = tql_arithmetic((int)e->op, l, r, &out);
    if (problem != NULL && ev->problem == NULL)
        ev->problem = problem;
    return out;
}

static struct tql_value eval_sign(struct tql_eval *ev, const struct tql_expr *e)
{
    struct tql_value v = tql_eval(ev, e->left);
    if (v.type == TQL_T_NIL)
        return v;
    if (e->kind == TQL_INVERT)
        return tql_bool(v.type == TQL_T_BOOL && !v.flag);
    if (!tql_numeric(v.type))
        return tql_bool(false);
    if (v.type == TQL_T_FLOAT)
        v.number = -v.number;
    else
        v.integer = (int64_t)(0 - (uint64_t)v.integer);
    return v;
}

struct tql_value tql_eval(struct tql_eval *ev, const struct tql_expr *e)
{
    struct span_event event;
    struct span_link link;
    struct arena_mark mark;
    bool found;
    switch (e->kind) {
    case TQL_STATIC: return e->value;
    case TQL_ATTR:   return tql_eval_attr(ev, e->attr);
    case TQL_BINARY: return eval_binary(ev, e);
    case TQL_NEGATE: case TQL_INVERT: return eval_sign(ev, e);
    case TQL_EXISTS: return tql_bool(tql_eval(ev, e->left).type != TQL_T_NIL);
    case TQL_ABSENT: return tql_bool(tql_eval(ev, e->left).type == TQL_T_NIL);
    case TQL_SOME_EVENT: case TQL_SOME_LINK:
        mark = arena_mark(ev->scratch);
        found = e->kind == TQL_SOME_EVENT ? tql_first_event(ev, e->left, &event) : tql_first_link(ev, e->left, &link);
        arena_rewind(ev->scratch, mark);
        return tql_bool(found);
    }
    return nil;
}
