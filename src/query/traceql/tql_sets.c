/* tql_sets.c -- see tql_sets.h. */
#include "query/traceql/tql_sets.h"

#include "base/slice_set.h"
#include "query/traceql/tql_relate.h"

#include <math.h>

struct run {
    struct tql_trace *trace;
    struct tql_trace_row row;
    struct buf key; // of a group, while it is looked up
    struct err *err;
};

static bool memory(struct run *r)
{
    return arena_ok(r->trace->arena, "query", r->err);
}

static bool add(struct run *r, struct tql_spansets *sets, struct tql_spanset set)
{
    if (set.count == 0)
        return true;
    if (!arena_grow(r->trace->arena, (void **)&sets->items, sizeof *sets->items, sets->count, &sets->room))
        return memory(r);
    sets->items[sets->count++] = set;
    return true;
}

// Errors of evaluation end the query.
static bool good(struct run *r)
{
    if (r->row.eval.problem != NULL)
        return err_set(r->err, ERR_INPUT, "%s", r->row.eval.problem);
    return memory(r);
}

static struct tql_value eval_on(struct run *r, const struct tql_expr *e, uint32_t span)
{
    r->row.span = &r->trace->spans[span];
    return tql_eval(&r->row.eval, e);
}

// --- spanset expressions ----------------------------------------------------------------------------------

static bool run_pipeline(struct run *r, const struct tql_pipeline *p, struct tql_spansets *sets);
static bool eval_set(struct run *r, const struct tql_set *e, const struct tql_spanset *in, struct tql_spansets *out);

static bool filter(struct run *r, const struct tql_expr *e, const struct tql_spanset *in, struct tql_spansets *out)
{
    struct tql_spanset kept = {.notes = in->notes};
    if (e->kind == TQL_STATIC)
        return !tql_true(e->value) || add(r, out, *in);
    kept.spans = arena_array(r->trace->arena, in->count, sizeof *kept.spans);
    if (kept.spans == NULL)
        return memory(r);
    for (uint32_t i = 0; i < in->count; i++)
        if (tql_true(eval_on(r, e, in->spans[i])))
            kept.spans[kept.count++] = in->spans[i];
    return good(r) && add(r, out, kept);
}

// The marked spans as a set.
static bool add_marked(struct run *r, const uint8_t *marks, const struct tql_note *notes, struct tql_spansets *out)
{
    uint32_t n = r->trace->count;
    struct tql_spanset set = {.spans = arena_array(r->trace->arena, n, sizeof *set.spans), .notes = notes};
    if (set.spans == NULL)
        return memory(r);
    for (uint32_t i = 0; i < n; i++)
        if (marks[i])
            set.spans[set.count++] = i;
    return add(r, out, set);
}

static void mark_all(const struct tql_spansets *sets, uint8_t *marks)
{
    for (size_t s = 0; s < sets->count; s++)
        for (uint32_t i = 0; i < sets->items[s].count; i++)
            marks[sets->items[s].spans[i]] = 1;
}

static bool combine(struct run *r, const struct tql_set *e, const struct tql_spanset *in, struct tql_spansets *out)
{
    struct tql_spansets left = {0}, right = {0};
    uint32_t n = r->trace->count;
    if (!eval_set(r, e->left, in, &left))
        return false;
    bool logic = e->op == TQL_OP_AND || e->op == TQL_OP_OR;
    bool negated = e->op >= TQL_OP_NOT_CHILD && e->op <= TQL_OP_NOT_SIBL;
    if (left.count == 0 && !negated && e->op != TQL_OP_OR)
        return true;
    if (!eval_set(r, e->right, in, &right))
        return false;
    if (!logic && (left.count > 1 || right.count > 1))
        return err_set(r->err, ERR_INPUT,
                       "spanset operators are not supported for multiple spansets per trace. consider using coalesce()");
    if (right.count == 0 && e->op != TQL_OP_OR)
        return true;
    uint8_t *l = arena_zalloc(r->trace->arena, n), *m = arena_zalloc(r->trace->arena, n);
    if (l == NULL || m == NULL)
        return memory(r);
    mark_all(&left, l);
    mark_all(&right, m);
    if (logic) {
        for (uint32_t i = 0; i < n; i++)
            m[i] |= l[i];
    } else {
        const struct tql_structure *s = tql_trace_structure(r->trace);
        if (s == NULL || !tql_relate(e->op, s, n, l, m, r->trace->arena))
            return memory(r);
    }
    return add_marked(r, m, in->notes, out);
}

static bool eval_set(struct run *r, const struct tql_set *e, const struct tql_spanset *in, struct tql_spansets *out)
{
    switch (e->kind) {
    case TQL_SET_FILTER: return filter(r, e->lowered, in, out);
    case TQL_SET_OP:     return combine(r, e, in, out);
    case TQL_SET_PIPELINE: {
        struct tql_spansets inner = {0};
        if (!add(r, &inner, *in) || !run_pipeline(r, e->pipeline, &inner))
            return false;
        for (size_t i = 0; i < inner.count; i++)
            if (!add(r, out, inner.items[i]))
                return false;
        return true;
    }
    }
    return true;
}

// --- groups -----------------------------------------------------------------------------------------------

static const struct tql_note *note(struct run *r, struct slice key, struct tql_value value, const struct tql_note *before)
{
    struct tql_note *made = arena_alloc(r->trace->arena, sizeof *made);
    if (made != NULL) {
        if (value.type == TQL_T_STRING) // an ID's text does not last
            value.text = arena_copy(r->trace->arena, value.text);
        *made = (struct tql_note){key, value, before};
    }
    return made;
}

// Groups stand in the order of their first spans.
static bool group(struct run *r, const struct tql_element *e, const struct tql_spanset *in, struct tql_spansets *out)
{
    struct arena *a = r->trace->arena;
    struct slice_set keys = {.arena = a};
    uint32_t *group_of = arena_array(a, in->count, sizeof *group_of);
    struct tql_value *values = NULL;
    uint32_t *sizes = NULL;
    size_t values_room = 0, sizes_room = 0;
    if (group_of == NULL)
        return memory(r);
    for (uint32_t i = 0; i < in->count; i++) {
        struct tql_value v = eval_on(r, e->by, in->spans[i]);
        buf_reset(&r->key);
        tql_encode_value(&r->key, v);
        size_t before = keys.count, number = slice_set_add(&keys, buf_slice(&r->key));
        if (number == before) {
            if (!arena_grow(a, (void **)&values, sizeof *values, number, &values_room) ||
                !arena_grow(a, (void **)&sizes, sizeof *sizes, number, &sizes_room))
                return memory(r);
            if (v.type == TQL_T_STRING)
                v.text = arena_copy(a, v.text);
            values[number] = v;
            sizes[number] = 0;
        }
        if (number == SIZE_MAX)
            return memory(r);
        group_of[i] = (uint32_t)number;
        sizes[number]++;
    }
    if (!good(r))
        return false;
    size_t first = out->count;
    for (size_t g = 0; g < keys.count; g++) {
        struct tql_spanset set = {arena_array(a, sizes[g], sizeof *set.spans), sizes[g], note(r, e->key, values[g], in->notes)};
        if (!memory(r) || !add(r, out, set))
            return false;
        sizes[g] = 0;
    }
    for (uint32_t i = 0; i < in->count; i++)
        out->items[first + group_of[i]].spans[sizes[group_of[i]]++] = in->spans[i];
    return true;
}

// --- aggregates -------------------------------------------------------------------------------------------

struct gathered {
    uint32_t count;
    bool ints, durations; // all were
    double sum;
    int64_t int_sum;
    struct tql_value min, max;
};

static bool less(struct tql_value l, struct tql_value r)
{
    return tql_compare(TQL_OP_LT, l, r, NULL);
}

static void gather(struct gathered *g, struct tql_value v)
{
    if (!tql_numeric(v.type))
        return;
    g->ints = (g->count == 0 || g->ints) && v.type == TQL_T_INT;
    g->durations = (g->count == 0 || g->durations) && v.type == TQL_T_DURATION;
    g->sum += tql_number(v);
    if (v.type != TQL_T_FLOAT)
        g->int_sum = (int64_t)((uint64_t)g->int_sum + (uint64_t)v.integer);
    g->min = g->count == 0 || less(v, g->min) ? v : g->min;
    g->max = g->count == 0 || less(g->max, v) ? v : g->max;
    g->count++;
}

static struct tql_value aggregate_value(enum tql_aggregate_kind kind, const struct gathered *g)
{
    struct tql_value v = {.type = TQL_T_FLOAT};
    switch (kind) {
    case TQL_AGG_MAX: return g->max;
    case TQL_AGG_MIN: return g->min;
    case TQL_AGG_AVG:
        if (g->durations)
            return (struct tql_value){.type = TQL_T_DURATION, .integer = g->int_sum / (int64_t)g->count};
        v.number = g->sum / g->count;
        return v;
    default:
        if (g->ints || g->durations)
            return (struct tql_value){.type = g->ints ? TQL_T_INT : TQL_T_DURATION, .integer = g->int_sum};
        v.number = g->sum;
        return v;
    }
}

static bool scalar_filter(struct run *r, const struct tql_element *e, const struct tql_spanset *in, struct tql_spansets *out)
{
    const struct tql_scalar *s = e->left;
    struct tql_value v = tql_int(in->count);
    if (s->aggregate != TQL_AGG_COUNT) {
        struct gathered g = {0};
        for (uint32_t i = 0; i < in->count; i++)
            gather(&g, eval_on(r, s->field, in->spans[i]));
        if (!good(r))
            return false;
        if (g.count == 0)
            return true;
        v = aggregate_value(s->aggregate, &g);
    }
    if (!tql_compare((int)e->op, v, e->right->value, NULL))
        return true;
    struct tql_spanset kept = *in;
    kept.notes = note(r, e->key, v, in->notes);
    return kept.notes != NULL ? add(r, out, kept) : memory(r);
}

// --- pipelines --------------------------------------------------------------------------------------------

static bool coalesce(struct run *r, const struct tql_spansets *in, struct tql_spansets *out)
{
    uint8_t *marks = arena_zalloc(r->trace->arena, r->trace->count);
    if (marks == NULL)
        return memory(r);
    mark_all(in, marks);
    return add_marked(r, marks, NULL, out);
}

static bool run_element(struct run *r, const struct tql_element *e, const struct tql_spansets *in, struct tql_spansets *out)
{
    if (e->kind == TQL_E_COALESCE)
        return coalesce(r, in, out);
    for (size_t i = 0; i < in->count; i++) {
        bool done = e->kind == TQL_E_SET  ? eval_set(r, e->set, &in->items[i], out)
                    : e->kind == TQL_E_BY ? group(r, e, &in->items[i], out)
                                          : scalar_filter(r, e, &in->items[i], out);
        if (!done)
            return false;
    }
    return true;
}

static bool run_pipeline(struct run *r, const struct tql_pipeline *p, struct tql_spansets *sets)
{
    for (const struct tql_element *e = p->first; e != NULL && sets->count > 0; e = e->next) {
        if (e->kind == TQL_E_SELECT)
            continue;
        struct tql_spansets next = {0};
        if (!run_element(r, e, sets, &next))
            return false;
        *sets = next;
    }
    return true;
}

bool tql_sets_run(const struct tql_pipeline *p, struct tql_trace *t, struct tql_spansets *out, struct err *err)
{
    struct run r = {.trace = t, .err = err};
    struct tql_spanset all = {arena_array(t->arena, t->count, sizeof *all.spans), t->count, NULL};
    *out = (struct tql_spansets){0};
    if (all.spans == NULL)
        return memory(&r);
    for (uint32_t i = 0; i < t->count; i++)
        all.spans[i] = i;
    tql_trace_row_init(&r.row, t);
    buf_init(&r.key, 0);
    bool done = add(&r, out, all) && run_pipeline(&r, p, out);
    buf_done(&r.key);
    return done;
}

bool tql_sets_union(struct tql_trace *t, const struct tql_spansets *sets, struct tql_spanset *out, struct err *err)
{
    struct run r = {.trace = t, .err = err};
    struct tql_spansets one = {0};
    *out = (struct tql_spanset){0};
    if (sets->count == 1) {
        *out = sets->items[0];
        return true;
    }
    if (!coalesce(&r, sets, &one))
        return false;
    if (one.count > 0)
        *out = one.items[0];
    return true;
}
