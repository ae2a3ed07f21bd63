/* tql_need.c -- see tql_need.h. */
#include "query/traceql/tql_need.h"

struct deriving {
    struct arena *a;
    uint32_t attrs_count; // of the query
    bool exact, roots; // of all that was derived
};

// NULL stands for `true` below: nothing is known, or the arena is full.

static const struct tql_expr *node(struct deriving *d, struct tql_expr e)
{
    struct tql_expr *made = arena_alloc(d->a, sizeof *made);
    if (made != NULL)
        *made = e;
    return made;
}

static const struct tql_expr *both(struct deriving *d, const struct tql_expr *l, const struct tql_expr *r)
{
    if (l == NULL || r == NULL)
        return l != NULL ? l : r;
    return node(d, (struct tql_expr){
                       .kind = TQL_BINARY, .op = TQL_OP_AND, .left = (struct tql_expr *)(uintptr_t)l, .right = (struct tql_expr *)(uintptr_t)r});
}

static const struct tql_expr *either(struct deriving *d, const struct tql_expr *l, const struct tql_expr *r)
{
    if (l == NULL || r == NULL)
        return NULL;
    return node(d, (struct tql_expr){
                       .kind = TQL_BINARY, .op = TQL_OP_OR, .left = (struct tql_expr *)(uintptr_t)l, .right = (struct tql_expr *)(uintptr_t)r});
}

// `nestedSetParent < 0` and its like: what holds for a negative number and for no other. Those spans have no parent.
static bool is_root_test(const struct tql_expr *e)
{
    if (e->kind != TQL_BINARY || e->left->kind != TQL_ATTR || e->left->attr->scope != TQL_SCOPE_INTRINSIC ||
        e->left->attr->intrinsic != TQL_I_NESTED_PARENT || e->right->kind != TQL_STATIC || e->right->value.type != TQL_T_INT)
        return false;
    int64_t value = e->right->value.integer;
    return (e->op == TQL_OP_LT && value == 0) || ((e->op == TQL_OP_EQ || e->op == TQL_OP_LE) && value == -1);
}

static const struct tql_expr *root_rows(struct deriving *d)
{
    struct tql_attr *parent_id = arena_alloc(d->a, sizeof *parent_id);
    if (parent_id == NULL)
        return NULL;
    // Numbered behind the query's own (tql_rows_init()).
    *parent_id = (struct tql_attr){.scope = TQL_SCOPE_INTRINSIC, .intrinsic = TQL_I_PARENT_ID, .number = d->attrs_count};
    const struct tql_expr *attr = node(d, (struct tql_expr){.kind = TQL_ATTR, .attr = parent_id});
    const struct tql_expr *zeros = node(d, (struct tql_expr){.kind = TQL_STATIC, .value = tql_string(SLICE("0000000000000000"))});
    if (attr == NULL || zeros == NULL)
        return NULL;
    d->roots = true;
    return node(d, (struct tql_expr){
                       .kind = TQL_BINARY, .op = TQL_OP_EQ, .left = (struct tql_expr *)(uintptr_t)attr, .right = (struct tql_expr *)(uintptr_t)zeros});
}

static const struct tql_expr *of_expr(struct deriving *d, const struct tql_expr *e)
{
    if (e->kind == TQL_BINARY && e->op == TQL_OP_AND)
        return both(d, of_expr(d, e->left), of_expr(d, e->right));
    if (!tql_mentions(e, tql_attr_of_trace))
        return e;
    if (is_root_test(e))
        return root_rows(d);
    d->exact = false;
    if (e->kind == TQL_BINARY && e->op == TQL_OP_OR)
        return either(d, of_expr(d, e->left), of_expr(d, e->right));
    return NULL;
}

// How much a condition is likely to leave out.
static unsigned rank(const struct tql_expr *e)
{
    if (e == NULL || e->kind == TQL_STATIC)
        return 0;
    if (e->kind == TQL_BINARY && e->op == TQL_OP_AND)
        return rank(e->left) + rank(e->right);
    if (e->kind == TQL_BINARY && e->op == TQL_OP_OR) {
        unsigned l = rank(e->left), r = rank(e->right);
        return l < r ? l : r;
    }
    if (e->kind == TQL_BINARY && (e->op == TQL_OP_EQ || e->op == TQL_OP_RE))
        return 4;
    return e->kind == TQL_INVERT ? 1 : 2;
}

static const struct tql_expr *of_pipeline(struct deriving *d, const struct tql_pipeline *p);

static const struct tql_expr *of_set(struct deriving *d, const struct tql_set *set)
{
    if (set->kind == TQL_SET_FILTER)
        return of_expr(d, set->lowered);
    d->exact = false;
    if (set->kind == TQL_SET_PIPELINE)
        return of_pipeline(d, set->pipeline);
    const struct tql_expr *r = of_set(d, set->right);
    if (set->op >= TQL_OP_NOT_CHILD && set->op <= TQL_OP_NOT_SIBL)
        return r;
    const struct tql_expr *l = of_set(d, set->left);
    if (set->op == TQL_OP_OR)
        return either(d, l, r);
    return rank(l) > rank(r) ? l : r;
}

static const struct tql_expr *of_pipeline(struct deriving *d, const struct tql_pipeline *p)
{
    const struct tql_expr *need = NULL;
    bool filters = true; // so far: then one span has to pass them all
    for (const struct tql_element *e = p->first; e != NULL; e = e->next) {
        if (e->kind == TQL_E_SELECT)
            continue;
        if (e->kind != TQL_E_SET) {
            filters = d->exact = false;
            continue;
        }
        filters = filters && e->set->kind == TQL_SET_FILTER;
        const struct tql_expr *more = of_set(d, e->set);
        need = filters ? both(d, need, more) : rank(more) > rank(need) ? more : need;
    }
    return need;
}

static bool settle(struct deriving *d, const struct tql_expr *need, struct tql_need *out)
{
    static const struct tql_expr all = {.kind = TQL_STATIC, .depth = 1, .value = {.type = TQL_T_BOOL, .flag = true}};
    *out = (struct tql_need){need != NULL ? need : &all, d->exact, d->roots};
    return !d->a->overflowed;
}

bool tql_need_of(const struct traceql *q, struct arena *a, struct tql_need *out)
{
    struct deriving d = {.a = a, .attrs_count = q->attrs_count, .exact = true};
    const struct tql_expr *need = of_pipeline(&d, &q->pipeline);
    return settle(&d, need, out);
}

bool tql_need_of_expr(const struct traceql *q, const struct tql_expr *lowered, struct arena *a, struct tql_need *out)
{
    struct deriving d = {.a = a, .attrs_count = q->attrs_count, .exact = true};
    const struct tql_expr *need = of_expr(&d, lowered);
    return settle(&d, need, out);
}
