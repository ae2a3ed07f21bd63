/*
 * tql_lower.c -- filters as they are evaluated: conditions on one event under one node, IDs as they are compared
 * (traceql.md 5, 6).
 */
#include "query/traceql/tql_ast.h"

bool tql_mentions(const struct tql_expr *e, bool (*of)(const struct tql_attr *attr))
{
    return e != NULL && ((e->kind == TQL_ATTR && of(e->attr)) || tql_mentions(e->left, of) || tql_mentions(e->right, of));
}

// A condition without logic of its own.
static bool is_condition(const struct tql_expr *e)
{
    switch (e->kind) {
    case TQL_ATTR: case TQL_EXISTS: case TQL_ABSENT:
        return true;
    case TQL_INVERT: // a missing flag is neither set nor unset
        return e->left->kind == TQL_ATTR;
    case TQL_BINARY:
        return e->op != TQL_OP_AND && e->op != TQL_OP_OR;
    default:
        return false;
    }
}

static struct tql_expr *node(struct arena *a, struct tql_expr e)
{
    struct tql_expr *made = arena_alloc(a, sizeof *made);
    if (made != NULL)
        *made = e;
    return made;
}

// Trace IDs are compared in lower case and without leading zeros.
static bool is_stripped(const struct tql_expr *e)
{
    return e->kind == TQL_ATTR && e->attr->scope == TQL_SCOPE_INTRINSIC &&
           (e->attr->intrinsic == TQL_I_TRACE_ID || e->attr->intrinsic == TQL_I_LINK_TRACE_ID);
}

static struct tql_expr *strip(struct arena *a, struct tql_expr *e)
{
    if (e->kind != TQL_STATIC || e->value.type != TQL_T_STRING)
        return e;
    struct tql_expr *made = node(a, *e);
    uint8_t *text = made != NULL ? arena_alloc(a, e->value.text.len) : NULL;
    if (text == NULL)
        return e;
    size_t from = 0, len = e->value.text.len;
    for (size_t i = 0; i < len; i++) {
        uint8_t c = e->value.text.ptr[i];
        text[i] = c >= 'A' && c <= 'F' ? (uint8_t)(c | 32) : c;
    }
    while (from < len && text[from] == '0')
        from++;
    made->value.text = slice_of(text + from, len - from);
    return made;
}

// A copy of a condition.
static struct tql_expr *condition(struct arena *a, const struct tql_expr *e)
{
    struct tql_expr *made = node(a, *e);
    if (made == NULL || e->kind != TQL_BINARY || e->op < TQL_OP_EQ || e->op > TQL_OP_GE)
        return made;
    if (is_stripped(e->left))
        made->right = strip(a, e->right);
    if (is_stripped(e->right))
        made->left = strip(a, e->left);
    return made;
}

static struct tql_expr *conjunction(struct arena *a, struct tql_expr *l, struct tql_expr *r)
{
    if (l == NULL || r == NULL)
        return l != NULL ? l : r;
    return node(a, (struct tql_expr){.kind = TQL_BINARY, .op = TQL_OP_AND, .left = l, .right = r});
}

struct conjuncts {
    struct arena *a;
    struct tql_expr *rest, *events, *links; // NULL: none yet
};

static void gather(struct conjuncts *c, const struct tql_expr *e)
{
    if (e->kind == TQL_BINARY && e->op == TQL_OP_AND) {
        gather(c, e->left);
        gather(c, e->right);
    } else if (is_condition(e) && tql_mentions(e, tql_attr_of_event)) {
        struct tql_expr *one = condition(c->a, e);
        if (one != NULL && tql_mentions(e, tql_attr_of_link)) // some link for that event
            one = node(c->a, (struct tql_expr){.kind = TQL_SOME_LINK, .left = one});
        c->events = conjunction(c->a, c->events, one);
    } else if (is_condition(e) && tql_mentions(e, tql_attr_of_link)) {
        c->links = conjunction(c->a, c->links, condition(c->a, e));
    } else {
        c->rest = conjunction(c->a, c->rest, tql_lower(e, c->a));
    }
}

struct tql_expr *tql_lower(const struct tql_expr *e, struct arena *a)
{
    bool both = e->kind == TQL_BINARY && e->op == TQL_OP_AND;
    if (!both && !is_condition(e)) { // `||`, `!`, a static
        struct tql_expr *made = node(a, *e);
        if (made != NULL && e->left != NULL)
            made->left = tql_lower(e->left, a);
        if (made != NULL && e->right != NULL)
            made->right = tql_lower(e->right, a);
        return a->overflowed ? NULL : made;
    }
    if (!both && !tql_mentions(e, tql_attr_of_event) && !tql_mentions(e, tql_attr_of_link))
        return condition(a, e);
    struct conjuncts c = {.a = a};
    gather(&c, e);
    struct tql_expr *events = c.events != NULL ? node(a, (struct tql_expr){.kind = TQL_SOME_EVENT, .left = c.events}) : NULL;
    struct tql_expr *links = c.links != NULL ? node(a, (struct tql_expr){.kind = TQL_SOME_LINK, .left = c.links}) : NULL;
    struct tql_expr *all = conjunction(a, conjunction(a, c.rest, events), links);
    return a->overflowed ? NULL : all;
}

// --- walking ----------------------------------------------------------------------------------------------

static void each_of_set(const struct tql_set *set, void (*visit)(void *ctx, const struct tql_set *filter), void *ctx)
{
    switch (set->kind) {
    case TQL_SET_FILTER:
        visit(ctx, set);
        break;
    case TQL_SET_OP:
        each_of_set(set->left, visit, ctx);
        each_of_set(set->right, visit, ctx);
        break;
    case TQL_SET_PIPELINE:
        tql_each_filter(set->pipeline, visit, ctx);
        break;
    }
}

void tql_each_filter(const struct tql_pipeline *p, void (*visit)(void *ctx, const struct tql_set *filter), void *ctx)
{
    for (const struct tql_element *e = p->first; e != NULL; e = e->next)
        if (e->kind == TQL_E_SET)
            each_of_set(e->set, visit, ctx);
}
