/* tql_result.c -- see tql_result.h. */
#include "query/traceql/tql_result.h"

#include "base/slice_set.h"

#include <stdlib.h>

// --- attributes of a span ---------------------------------------------------------------------------------

struct shown_attr {
    const struct tql_attr *attr;
    // Where the query asks something of the attribute: for events and links what one of them has to satisfy, for others
    // comparisons with a literal.
    const struct tql_expr **conditions;
    size_t conditions_count, conditions_room;
    // Where the query does nothing with it but compare it: a span shows it when one of these is true there, as one that it was
    // found by. Empty: whenever it has it.
    const struct tql_expr **tests;
    size_t tests_count, tests_room;
    bool always;
};

struct tql_shown {
    struct shown_attr *attrs; // by number
    uint32_t count;
    struct arena *arena;
};

static bool mentions_attr(const struct tql_expr *e, const struct tql_attr *attr)
{
    return e != NULL && ((e->kind == TQL_ATTR && e->attr == attr) || mentions_attr(e->left, attr) || mentions_attr(e->right, attr));
}

// Comparisons that an element of an array can satisfy by itself.
static bool is_comparison_of(const struct tql_expr *e, const struct tql_attr *attr)
{
    return e->kind == TQL_BINARY && e->op >= TQL_OP_EQ && e->op <= TQL_OP_RE && e->op != TQL_OP_NE && e->left->kind == TQL_ATTR &&
           e->left->attr == attr && e->right->kind == TQL_STATIC;
}

static void collect(struct tql_shown *shown, struct shown_attr *s, const struct tql_expr *e)
{
    if (e == NULL)
        return;
    bool some = (e->kind == TQL_SOME_EVENT && tql_attr_of_event(s->attr)) || (e->kind == TQL_SOME_LINK && tql_attr_of_link(s->attr));
    if ((some && mentions_attr(e, s->attr)) || is_comparison_of(e, s->attr)) {
        if (arena_grow(shown->arena, (void **)&s->conditions, sizeof *s->conditions, s->conditions_count, &s->conditions_room))
            s->conditions[s->conditions_count++] = some ? e->left : e;
        return;
    }
    collect(shown, s, e->left);
    collect(shown, s, e->right);
}

static void collect_tests(struct tql_shown *shown, struct shown_attr *s, const struct tql_expr *e)
{
    if (e == NULL || !mentions_attr(e, s->attr))
        return;
    bool both = e->kind == TQL_BINARY && (e->op == TQL_OP_AND || e->op == TQL_OP_OR);
    bool test = e->kind == TQL_EXISTS || (e->kind == TQL_BINARY && e->op >= TQL_OP_EQ && e->op <= TQL_OP_NRE &&
                                          e->left->kind == TQL_ATTR && e->right->kind == TQL_STATIC);
    if (both) {
        collect_tests(shown, s, e->left);
        collect_tests(shown, s, e->right);
    } else if (!test) {
        s->always = true;
    } else if (arena_grow(shown->arena, (void **)&s->tests, sizeof *s->tests, s->tests_count, &s->tests_room)) {
        s->tests[s->tests_count++] = e;
    }
}

static void collect_filter(void *ctx, const struct tql_set *filter)
{
    struct tql_shown *shown = ctx;
    for (uint32_t i = 0; i < shown->count; i++) {
        collect(shown, &shown->attrs[i], filter->lowered);
        collect_tests(shown, &shown->attrs[i], filter->lowered);
    }
}

static void use_attr(struct tql_shown *shown, const struct tql_expr *e)
{
    for (uint32_t i = 0; i < shown->count; i++)
        shown->attrs[i].always = shown->attrs[i].always || mentions_attr(e, shown->attrs[i].attr);
}

static void use_in_pipeline(struct tql_shown *shown, const struct tql_pipeline *p);

static void use_in_scalar(struct tql_shown *shown, const struct tql_scalar *scalar)
{
    if (scalar == NULL)
        return;
    use_attr(shown, scalar->field);
    use_in_scalar(shown, scalar->left);
    use_in_scalar(shown, scalar->right);
    if (scalar->pipeline != NULL)
        use_in_pipeline(shown, scalar->pipeline);
}

static void use_in_set(struct tql_shown *shown, const struct tql_set *set)
{
    if (set == NULL)
        return;
    use_in_set(shown, set->left);
    use_in_set(shown, set->right);
    if (set->pipeline != NULL)
        use_in_pipeline(shown, set->pipeline);
}

// What groups, aggregates and selections name is shown always.
static void use_in_pipeline(struct tql_shown *shown, const struct tql_pipeline *p)
{
    use_in_scalar(shown, p->aggregate);
    for (const struct tql_element *e = p->first; e != NULL; e = e->next) {
        use_in_set(shown, e->set);
        use_in_scalar(shown, e->left);
        use_in_scalar(shown, e->right);
        use_attr(shown, e->by);
        for (uint32_t i = 0; i < e->select_count; i++)
            for (uint32_t k = 0; k < shown->count; k++)
                shown->attrs[k].always = shown->attrs[k].always || shown->attrs[k].attr == e->select[i];
    }
}

struct tql_shown *tql_shown_new(const struct traceql *q, struct arena *a)
{
    struct tql_shown *shown = arena_zalloc(a, sizeof *shown);
    if (shown == NULL)
        return NULL;
    shown->arena = a;
    shown->attrs = arena_zalloc(a, (q->attrs_count + 1) * sizeof *shown->attrs);
    if (shown->attrs == NULL)
        return NULL;
    for (const struct tql_attr *attr = q->attrs; attr != NULL; attr = attr->next)
        shown->attrs[shown->count++].attr = attr;
    tql_each_filter(&q->pipeline, collect_filter, shown);
    use_in_pipeline(shown, &q->pipeline);
    return a->overflowed ? NULL : shown;
}

// The spans' own fields say these already.
static bool has_field(const struct tql_attr *attr)
{
    if (attr->scope != TQL_SCOPE_INTRINSIC)
        return false;
    switch (attr->intrinsic) {
    case TQL_I_NAME: case TQL_I_DURATION: case TQL_I_TRACE_DURATION: case TQL_I_ROOT_NAME: case TQL_I_ROOT_SERVICE: case TQL_I_TRACE_ID:
    case TQL_I_SPAN_ID:
        return true;
    default:
        return false;
    }
}

// Of the event that the query found, or the first that has the attribute.
static struct tql_value event_value(struct tql_eval *ev, const struct shown_attr *s)
{
    struct span_event event;
    struct tql_value v = {.type = TQL_T_NIL};
    for (size_t i = 0; i < s->conditions_count && v.type == TQL_T_NIL; i++)
        if (tql_first_event(ev, s->conditions[i], &event)) {
            ev->event = &event;
            v = tql_eval_attr(ev, s->attr);
            ev->event = NULL;
        }
    return v.type != TQL_T_NIL ? v : tql_eval_attr(ev, s->attr);
}

static struct tql_value link_value(struct tql_eval *ev, const struct shown_attr *s)
{
    struct span_link link;
    struct tql_value v = {.type = TQL_T_NIL};
    for (size_t i = 0; i < s->conditions_count && v.type == TQL_T_NIL; i++)
        if (tql_first_link(ev, s->conditions[i], &link)) {
            ev->link = &link;
            v = tql_eval_attr(ev, s->attr);
            ev->link = NULL;
        }
    return v.type != TQL_T_NIL ? v : tql_eval_attr(ev, s->attr);
}

// Where the query looked for an element and one alone fits, that one.
static struct tql_value array_element(const struct shown_attr *s, struct tql_value array)
{
    struct tql_value one = array;
    uint32_t fits = 0;
    struct span_value element;
    for (struct pb walk = pb_of(array.text); span_array_next(&walk, &element);) {
        struct tql_value v = tql_of_span_value(&element);
        bool fit = false;
        for (size_t i = 0; i < s->conditions_count && !fit; i++)
            fit = tql_compare((int)s->conditions[i]->op, v, s->conditions[i]->right->value, s->conditions[i]->regex);
        if (fit && fits++ == 0)
            one = v;
    }
    return fits == 1 ? one : array;
}

// Arrays are unsafe for clients: as JSON text.
static struct span_value safe_value(struct tql_value v, struct arena *a)
{
    if (v.type != TQL_T_ARRAY)
        return tql_to_span_value(v, a);
    struct buf b;
    buf_init(&b, 0);
    tql_print_value(&b, v);
    struct span_value text = {.kind = VALUE_STRING, .bytes = arena_copy(a, buf_slice(&b))};
    buf_done(&b);
    return text;
}

static struct slice label_key(const struct tql_attr *attr, struct arena *a)
{
    struct buf b;
    buf_init(&b, 0);
    tql_print_attr(&b, attr);
    struct slice key = arena_copy(a, buf_slice(&b));
    buf_done(&b);
    return key;
}

// Whether the query names it for its own sake, or the span satisfies what is asked of it.
static bool is_asked(struct tql_eval *ev, const struct shown_attr *s)
{
    if (s->always || s->tests_count == 0)
        return true;
    for (size_t i = 0; i < s->tests_count; i++)
        if (tql_eval_true(ev, s->tests[i]))
            return true;
    return false;
}

static bool shows_name(const struct tql_shown *shown, struct tql_eval *ev)
{
    for (uint32_t i = 0; i < shown->count; i++) {
        const struct tql_attr *attr = shown->attrs[i].attr;
        if (attr->scope == TQL_SCOPE_INTRINSIC && attr->intrinsic == TQL_I_NAME && is_asked(ev, &shown->attrs[i]))
            return true;
    }
    return false;
}

void tql_shown_attributes(const struct tql_shown *shown, struct tql_eval *ev, bool labels, struct arena *a,
                          struct span_attributes *out)
{
    *out = (struct span_attributes){.items = arena_array(a, shown->count, sizeof *out->items)};
    for (uint32_t i = 0; i < shown->count && out->items != NULL; i++) {
        const struct shown_attr *s = &shown->attrs[i];
        if (!labels && (has_field(s->attr) || !is_asked(ev, s)))
            continue;
        struct arena_mark mark = arena_mark(ev->scratch);
        struct tql_value v = tql_attr_of_event(s->attr)  ? event_value(ev, s)
                             : tql_attr_of_link(s->attr) ? link_value(ev, s)
                                                         : tql_eval_attr(ev, s->attr);
        if (v.type == TQL_T_ARRAY && !tql_attr_of_event(s->attr) && !tql_attr_of_link(s->attr))
            v = array_element(s, v);
        if (v.type != TQL_T_NIL) {
            bool bare = !labels && s->attr->scope != TQL_SCOPE_INTRINSIC;
            out->items[out->count++] = (struct span_attribute){
                bare ? arena_copy(a, s->attr->name) : label_key(s->attr, a), safe_value(v, a)};
        }
        arena_rewind(ev->scratch, mark);
    }
}

// --- traces -----------------------------------------------------------------------------------------------

void tql_result_trace(struct tql_trace *t, struct arena *a, struct found_trace *out)
{
    *out = (struct found_trace){
        .root_service = SLICE("<root span not yet received>"), .start_ns = t->start_ns, .duration_ns = tql_trace_duration(t)};
    memcpy(out->trace_id, t->spans[0].trace_id, TRACE_ID_BYTES);
    if (t->root == NULL)
        return;
    out->root_name = arena_copy(a, t->root->name);
    if (t->root->resource->service.len > 0)
        out->root_service = arena_copy(a, t->root->resource->service);
}

static int compare_services(const void *left, const void *right)
{
    const struct found_service *l = left, *r = right;
    return slice_cmp(l->name, r->name);
}

static void count_services(const struct tql_trace *t, struct arena *a, struct found_trace *out)
{
    struct slice_set names = {.arena = a};
    size_t room = 0;
    for (uint32_t i = 0; i < t->count; i++) {
        size_t before = names.count, number = slice_set_add(&names, t->spans[i].resource->service);
        if (number == SIZE_MAX)
            return;
        if (number == before) {
            if (!arena_grow(a, (void **)&out->services, sizeof *out->services, number, &room))
                return;
            out->services[number] = (struct found_service){.name = names.items[number]};
            out->services_count++;
        }
        out->services[number].spans++;
        out->services[number].errors += t->spans[i].status == STATUS_ERROR;
    }
    qsort(out->services, out->services_count, sizeof *out->services, compare_services);
}

static void notes(const struct tql_note *note, struct arena *a, struct span_attributes *out)
{
    uint32_t count = 0;
    for (const struct tql_note *n = note; n != NULL; n = n->before)
        count++;
    *out = (struct span_attributes){.items = arena_array(a, count, sizeof *out->items)};
    if (out->items == NULL)
        return;
    out->count = count;
    for (; note != NULL; note = note->before) // the newest first
        out->items[--count] = (struct span_attribute){arena_copy(a, note->key), safe_value(note->value, a)};
}

static void found_set(const struct tql_shown *shown, struct tql_trace_row *row, const struct tql_spanset *set, uint32_t spans_per_set,
                      struct arena *a, struct found_set *out)
{
    *out = (struct found_set){.matched = set->count, .spans_count = set->count < spans_per_set ? set->count : spans_per_set};
    notes(set->notes, a, &out->attributes);
    out->spans = arena_zalloc(a, out->spans_count * sizeof *out->spans);
    for (uint32_t i = 0; i < out->spans_count && out->spans != NULL; i++) {
        const struct span *span = &row->trace->spans[set->spans[i]];
        row->span = span;
        memcpy(out->spans[i].span_id, span->span_id, SPAN_ID_BYTES);
        out->spans[i].name = arena_copy(a, span->name);
        out->spans[i].name_asked = shows_name(shown, &row->eval);
        out->spans[i].start_ns = span->start_ns;
        out->spans[i].duration_ns = span_duration(span);
        tql_shown_attributes(shown, &row->eval, false, a, &out->spans[i].attributes);
    }
}

void tql_result_sets(const struct tql_shown *shown, struct tql_trace *t, const struct tql_spansets *sets, uint32_t spans_per_set,
                     struct arena *a, struct found_trace *out)
{
    struct tql_trace_row row;
    tql_trace_row_init(&row, t);
    count_services(t, a, out);
    out->sets = arena_zalloc(a, sets->count * sizeof *out->sets);
    out->sets_count = out->sets != NULL ? (uint32_t)sets->count : 0;
    for (uint32_t i = 0; i < out->sets_count; i++)
        found_set(shown, &row, &sets->items[i], spans_per_set, a, &out->sets[i]);
}

// --- one type a key ---------------------------------------------------------------------------------------

enum { NUMBERS = 1, OTHERS = 2, BOOLS = 4 };

static unsigned class_of(enum span_value_kind kind)
{
    return kind == VALUE_INT || kind == VALUE_DOUBLE ? NUMBERS : kind == VALUE_BOOL ? BOOLS : OTHERS;
}

struct even {
    struct slice_set keys;
    unsigned *classes; // by key
    size_t room;
    bool mixed;
    struct arena *arena;
};

static bool note_class(struct even *e, struct span_attribute *attribute)
{
    size_t before = e->keys.count, number = slice_set_add(&e->keys, attribute->key);
    if (number == SIZE_MAX ||
        (number == before && !arena_grow(e->arena, (void **)&e->classes, sizeof *e->classes, number, &e->room)))
        return false;
    e->classes[number] = (number == before ? 0 : e->classes[number]) | class_of(attribute->value.kind);
    e->mixed |= (e->classes[number] & (e->classes[number] - 1)) != 0;
    return true;
}

static bool make_text(struct even *e, struct span_attribute *attribute)
{
    size_t number = slice_set_add(&e->keys, attribute->key);
    if (number == SIZE_MAX)
        return false;
    if ((e->classes[number] & (e->classes[number] - 1)) == 0 || attribute->value.kind == VALUE_STRING)
        return true;
    struct buf b;
    buf_init(&b, 0);
    tql_print_value(&b, tql_of_span_value(&attribute->value));
    attribute->value = (struct span_value){.kind = VALUE_STRING, .bytes = arena_copy(e->arena, buf_slice(&b))};
    buf_done(&b);
    return true;
}

static bool each_attribute(struct found_trace *traces, uint32_t count, struct even *e,
                           bool (*visit)(struct even *e, struct span_attribute *attribute))
{
    for (uint32_t t = 0; t < count; t++)
        for (uint32_t s = 0; s < traces[t].sets_count; s++)
            for (uint32_t p = 0; p < traces[t].sets[s].spans_count; p++) {
                struct span_attributes *list = &traces[t].sets[s].spans[p].attributes;
                for (uint32_t i = 0; i < list->count; i++)
                    if (!visit(e, &list->items[i]))
                        return false;
            }
    return true;
}


void tql_result_even(struct found_trace *traces, uint32_t count, struct arena *a)
{
    struct even e = {.keys = {.arena = a}, .arena = a};
    if (each_attribute(traces, count, &e, note_class) && e.mixed)
        (void)each_attribute(traces, count, &e, make_text);
}
