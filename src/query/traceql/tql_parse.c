/*
 * tql_parse.c -- pipelines: traceql.md 3 from `query` to `scalarPipeline`.
 *
 * What an operator means depends on what stands before it: between spansets `>` is a structure, between scalars a
 * comparison. So operands carry their kind, and one climb over the levels of traceql.md 4 serves both.
 */
#include "query/traceql/tql_parser.h"

#include <stdlib.h>

struct operand {
    struct tql_set *set;       // a spanset
    struct tql_scalar *scalar; // a number, aggregate, scalar pipeline, or arithmetic of them
    bool filter;               // `scalar op right`
    enum tql_op op;
    struct tql_scalar *right;
};

static bool pipeline(struct tql_parser *p, bool nested, struct tql_pipeline *out);
static bool climb(struct tql_parser *p, int level, struct operand *out);

// --- operands -------------------------------------------------------------------------------------------

bool tql_filter(struct tql_parser *p, struct tql_set **out)
{
    struct tql_set *set = arena_zalloc(p->a, sizeof *set);
    if (!tql_memory(p, set) || !tql_expect(p, TQL_OPEN_BRACE))
        return false;
    set->kind = TQL_SET_FILTER;
    set->depth = 1;
    if (p->tok.kind == TQL_CLOSE_BRACE) {
        set->filter = arena_zalloc(p->a, sizeof *set->filter);
        if (!tql_memory(p, set->filter))
            return false;
        *set->filter = (struct tql_expr){.kind = TQL_STATIC, .depth = 1, .value = tql_bool(true)};
    } else if (!tql_field(p, &set->filter)) {
        return false;
    }
    *out = set;
    return p->tok.kind == TQL_CLOSE_BRACE ? tql_advance(p) : tql_unexpected(p, TQL_END, TQL_END);
}

static bool new_scalar(struct tql_parser *p, struct tql_scalar s, struct tql_scalar **out)
{
    uint32_t left = s.left != NULL ? s.left->depth : 0, right = s.right != NULL ? s.right->depth : 0;
    s.depth = 1 + (left > right ? left : right);
    *out = arena_alloc(p->a, sizeof **out);
    if (!tql_memory(p, *out))
        return false;
    **out = s;
    return tql_tree(p, s.depth);
}

static bool at_aggregate(const struct tql_parser *p, enum tql_aggregate_kind *out)
{
    switch (p->tok.kind) {
    case TQL_COUNT: *out = TQL_AGG_COUNT; return true;
    case TQL_MAX:   *out = TQL_AGG_MAX; return true;
    case TQL_MIN:   *out = TQL_AGG_MIN; return true;
    case TQL_AVG:   *out = TQL_AGG_AVG; return true;
    case TQL_SUM:   *out = TQL_AGG_SUM; return true;
    default:        return false;
    }
}

// aggregate = "count" "(" ")" | ( "max" | "min" | "avg" | "sum" ) "(" fieldExpr ")"
static bool aggregate(struct tql_parser *p, struct tql_scalar **out)
{
    struct tql_scalar s = {.kind = TQL_SCALAR_AGGREGATE};
    (void)at_aggregate(p, &s.aggregate);
    if (!tql_advance(p) || !tql_expect(p, TQL_OPEN_PAREN))
        return false;
    if (s.aggregate != TQL_AGG_COUNT && !tql_field(p, &s.field))
        return false;
    return tql_expect(p, TQL_CLOSE_PAREN) && new_scalar(p, s, out);
}

// "(" pipeline ")": a spanset expression or scalar keeps its kind, anything longer is an operand as a whole.
static bool parenthesised(struct tql_parser *p, struct operand *out)
{
    struct tql_pipeline *inner = arena_zalloc(p->a, sizeof *inner);
    if (!tql_memory(p, inner) || !tql_enter(p) || !tql_advance(p) || !pipeline(p, true, inner))
        return false;
    tql_leave(p);
    const struct tql_element *first = inner->first;
    if (inner->aggregate != NULL && first == NULL) {
        out->scalar = inner->aggregate;
    } else if (inner->aggregate != NULL) {
        if (!new_scalar(p, (struct tql_scalar){.kind = TQL_SCALAR_PIPELINE, .pipeline = inner}, &out->scalar))
            return false;
    } else if (first->kind == TQL_E_SET && first->next == NULL) {
        out->set = first->set;
    } else {
        out->set = arena_alloc(p->a, sizeof *out->set);
        if (!tql_memory(p, out->set))
            return false;
        *out->set = (struct tql_set){.kind = TQL_SET_PIPELINE, .depth = 1, .pipeline = inner};
    }
    return p->tok.kind == TQL_CLOSE_PAREN ? tql_advance(p) : tql_unexpected(p, TQL_END, TQL_END);
}

static bool primary(struct tql_parser *p, struct operand *out)
{
    enum tql_aggregate_kind kind;
    struct tql_scalar s = {.kind = TQL_SCALAR_STATIC};
    *out = (struct operand){0};
    if (p->tok.kind == TQL_OPEN_BRACE)
        return tql_filter(p, &out->set);
    if (p->tok.kind == TQL_OPEN_PAREN)
        return parenthesised(p, out);
    if (at_aggregate(p, &kind))
        return aggregate(p, &out->scalar);
    switch (p->tok.kind) {
    case TQL_SUB: case TQL_INTEGER: case TQL_FLOAT: case TQL_DURATION: case TQL_MIN_INT: case TQL_MAX_INT:
        return tql_signed_number(p, &s.value) && new_scalar(p, s, &out->scalar);
    default:
        return tql_unexpected(p, TQL_END, TQL_END);
    }
}

// --- operators ------------------------------------------------------------------------------------------

enum { LEVEL_LOGIC = 2, LEVEL_COMPARISON, LEVEL_SUM, LEVEL_PRODUCT = 6, LEVEL_POWER };

static int set_level(enum tql_token_kind kind, enum tql_op *out)
{
    static const struct {
        enum tql_token_kind token;
        enum tql_op op;
        int level;
    } ops[] = {
        {TQL_AND, TQL_OP_AND, LEVEL_LOGIC},
        {TQL_OR, TQL_OP_OR, LEVEL_LOGIC},
        {TQL_GT, TQL_OP_CHILD, LEVEL_COMPARISON},
        {TQL_LT, TQL_OP_PARENT, LEVEL_COMPARISON},
        {TQL_DESC, TQL_OP_DESC, LEVEL_COMPARISON},
        {TQL_ANCE, TQL_OP_ANCE, LEVEL_COMPARISON},
        {TQL_TILDE, TQL_OP_SIBL, LEVEL_COMPARISON},
        {TQL_NOT_CHILD, TQL_OP_NOT_CHILD, LEVEL_COMPARISON},
        {TQL_NOT_PARENT, TQL_OP_NOT_PARENT, LEVEL_COMPARISON},
        {TQL_NOT_DESC, TQL_OP_NOT_DESC, LEVEL_COMPARISON},
        {TQL_NOT_ANCE, TQL_OP_NOT_ANCE, LEVEL_COMPARISON},
        {TQL_NRE, TQL_OP_NOT_SIBL, LEVEL_COMPARISON},
        {TQL_UNION_CHILD, TQL_OP_UNION_CHILD, LEVEL_COMPARISON},
        {TQL_UNION_PARENT, TQL_OP_UNION_PARENT, LEVEL_COMPARISON},
        {TQL_UNION_DESC, TQL_OP_UNION_DESC, LEVEL_COMPARISON},
        {TQL_UNION_ANCE, TQL_OP_UNION_ANCE, LEVEL_COMPARISON},
        {TQL_UNION_SIBL, TQL_OP_UNION_SIBL, LEVEL_COMPARISON},
    };
    for (size_t i = 0; i < COUNT_OF(ops); i++)
        if (ops[i].token == kind) {
            *out = ops[i].op;
            return ops[i].level;
        }
    return 0;
}

static int scalar_level(enum tql_token_kind kind, enum tql_op *out)
{
    if (tql_comparison(kind, out))
        return LEVEL_COMPARISON;
    switch (kind) {
    case TQL_ADD: *out = TQL_OP_ADD; return LEVEL_SUM;
    case TQL_SUB: *out = TQL_OP_SUB; return LEVEL_SUM;
    case TQL_MUL: *out = TQL_OP_MUL; return LEVEL_PRODUCT;
    case TQL_DIV: *out = TQL_OP_DIV; return LEVEL_PRODUCT;
    case TQL_MOD: *out = TQL_OP_MOD; return LEVEL_PRODUCT;
    case TQL_POW: *out = TQL_OP_POW; return LEVEL_POWER;
    default:      return 0;
    }
}

// Joins; false where the right operand is of another kind than the left one.
static bool join(struct tql_parser *p, enum tql_op op, bool comparison, struct operand *left, const struct operand *right)
{
    if (right->filter || (left->set != NULL) != (right->set != NULL))
        return tql_unexpected(p, TQL_END, TQL_END);
    if (left->set != NULL) {
        struct tql_set *set = arena_zalloc(p->a, sizeof *set);
        if (!tql_memory(p, set))
            return false;
        uint32_t l = left->set->depth, r = right->set->depth;
        *set = (struct tql_set){.kind = TQL_SET_OP, .depth = 1 + (l > r ? l : r), .op = op, .left = left->set, .right = right->set};
        left->set = set;
        return tql_tree(p, set->depth);
    }
    if (comparison) {
        left->filter = true;
        left->op = op;
        left->right = right->scalar;
        return true;
    }
    return new_scalar(p, (struct tql_scalar){.kind = TQL_SCALAR_OP, .op = op, .left = left->scalar, .right = right->scalar},
                      &left->scalar);
}

static bool climb(struct tql_parser *p, int level, struct operand *out)
{
    if (!primary(p, out))
        return false;
    while (!out->filter) {
        enum tql_op op;
        struct operand right;
        int found = out->set != NULL ? set_level(p->tok.kind, &op) : scalar_level(p->tok.kind, &op);
        if (found == 0 || found < level)
            return true;
        if (!tql_advance(p))
            return false;
        // Between spansets stands nothing but spansets, whatever a number would make of the rest.
        if (out->set != NULL && p->tok.kind != TQL_OPEN_BRACE && p->tok.kind != TQL_OPEN_PAREN)
            return tql_unexpected(p, TQL_END, TQL_END);
        if (!tql_enter(p) || !climb(p, found == LEVEL_POWER ? found : found + 1, &right))
            return false;
        tql_leave(p);
        if (!join(p, op, found == LEVEL_COMPARISON, out, &right))
            return false;
    }
    return true;
}

// --- elements -------------------------------------------------------------------------------------------

// group = "by" "(" fieldExpr ")"
static bool group(struct tql_parser *p, struct tql_element *e)
{
    e->kind = TQL_E_BY;
    return tql_advance(p) && tql_expect(p, TQL_OPEN_PAREN) && tql_field(p, &e->by) &&
           (p->tok.kind == TQL_CLOSE_PAREN ? tql_advance(p) : tql_unexpected(p, TQL_END, TQL_END));
}

static bool element(struct tql_parser *p, bool first, struct tql_element *e, struct tql_scalar **aggregate_out)
{
    switch (p->tok.kind) {
    case TQL_BY:
        return group(p, e);
    case TQL_SELECT:
        e->kind = TQL_E_SELECT;
        return tql_advance(p) && tql_attributes(p, &e->select, &e->select_count);
    case TQL_COALESCE:
        e->kind = TQL_E_COALESCE;
        if (first)
            return tql_unexpected(p, TQL_END, TQL_END);
        return tql_advance(p) && tql_expect(p, TQL_OPEN_PAREN) && tql_expect(p, TQL_CLOSE_PAREN);
    default:
        break;
    }
    struct operand o;
    if (!climb(p, LEVEL_LOGIC, &o))
        return false;
    if (o.set != NULL) {
        e->kind = TQL_E_SET;
        e->set = o.set;
    } else if (o.filter) {
        e->kind = TQL_E_SCALAR_FILTER;
        e->left = o.scalar;
        e->op = o.op;
        e->right = o.right;
    } else {
        *aggregate_out = o.scalar;
    }
    return true;
}

// Elements between pipes. `nested`: in parentheses, where an aggregate may end it and metrics may not.
static bool pipeline(struct tql_parser *p, bool nested, struct tql_pipeline *out)
{
    struct tql_element **at = &out->first;
    for (bool first = true;; first = false) {
        struct tql_element *e = arena_zalloc(p->a, sizeof *e);
        if (!tql_memory(p, e) || !element(p, first, e, &out->aggregate))
            return false;
        if (out->aggregate != NULL) // a scalar that is compared to nothing
            return nested && p->tok.kind == TQL_CLOSE_PAREN ? true : tql_unexpected(p, TQL_END, TQL_END);
        *at = e;
        at = &e->next;
        if (p->tok.kind != TQL_PIPE)
            return true;
        if (!tql_advance(p))
            return false;
        if (!nested && tql_at_metrics(p))
            return tql_metrics_parse(p);
    }
}

// --- hints ----------------------------------------------------------------------------------------------

// "with" "(" IDENT "=" static { "," IDENT "=" static } ")"
static bool hints(struct tql_parser *p, struct tql_hint ***at)
{
    if (!tql_advance(p) || !tql_expect(p, TQL_OPEN_PAREN))
        return false;
    for (bool opens = true;; opens = false) {
        struct tql_hint *hint = arena_zalloc(p->a, sizeof *hint);
        if (!tql_memory(p, hint))
            return false;
        if (p->tok.kind != TQL_IDENT)
            return tql_unexpected(p, TQL_IDENT, TQL_END);
        hint->name = p->tok.text;
        hint->opens = opens;
        if (!tql_advance(p) || !tql_expect(p, TQL_EQ) || !tql_static(p, &hint->value))
            return false;
        **at = hint;
        *at = &hint->next;
        if (p->tok.kind == TQL_CLOSE_PAREN)
            return tql_advance(p);
        if (p->tok.kind != TQL_COMMA)
            return tql_unexpected(p, TQL_COMMA, TQL_CLOSE_PAREN);
        if (!tql_advance(p))
            return false;
    }
}

const struct tql_hint *tql_hint(const struct traceql *q, struct slice name)
{
    const struct tql_hint *hint = q->hints;
    while (hint != NULL && !slice_eq(hint->name, name))
        hint = hint->next;
    return hint;
}

// --- queries --------------------------------------------------------------------------------------------

static bool parse(struct tql_parser *p)
{
    struct tql_hint **at = &p->query->hints;
    if (!tql_advance(p) || !pipeline(p, false, &p->query->pipeline))
        return false;
    while (p->tok.kind == TQL_WITH)
        if (!hints(p, &at))
            return false;
    return p->tok.kind == TQL_END || tql_unexpected(p, TQL_END, TQL_END);
}

static bool parser_begin(struct tql_parser *p, struct slice text, struct traceql *q, struct arena *a, struct err *err)
{
    if (text.len > TRACEQL_TEXT_BYTES_MAX)
        return err_set(err, ERR_INPUT,
                       "TraceQL expression exceeds the configured maximum size of %d bytes, reduce the query expression size or "
                       "contact your system administrator",
                       (int)TRACEQL_TEXT_BYTES_MAX);
    char *copy = arena_alloc(a, text.len + 1);
    *p = (struct tql_parser){.a = a, .query = q, .err = err};
    if (!tql_memory(p, copy))
        return false;
    if (text.len > 0)
        memcpy(copy, text.ptr, text.len);
    copy[text.len] = 0;
    tql_lexer_init(&p->lx, slice_of(copy, text.len), a);
    return true;
}

bool traceql_parse(struct slice text, struct arena *a, struct traceql **out, bool *syntax_out, struct err *err)
{
    struct tql_parser p;
    AUTO(traceql_freep) struct traceql *q = arena_zalloc(a, sizeof *q);
    *syntax_out = true;
    if (q == NULL)
        return arena_ok(a, "query", err);
    q->arena = a;
    if (!parser_begin(&p, text, q, a, err) || !parse(&p))
        return false;
    *syntax_out = false;
    if (!tql_validate(q, err))
        return false;
    *out = MOVE(q);
    return true;
}

void traceql_free(struct traceql *query)
{
    for (uint32_t i = 0; query != NULL && i < query->regexes_count; i++)
        regex_free(query->regexes[i]);
}

bool traceql_is_metrics(const struct traceql *query)
{
    return query->metrics != NULL;
}

bool tql_parse_attr(struct slice text, struct arena *a, struct tql_attr **out, struct err *err)
{
    struct tql_parser p;
    struct traceql *q = arena_zalloc(a, sizeof *q);
    struct tql_set *set;
    // As a filter that is the attribute alone: positions count the brace.
    const char *filter = arena_printf(a, "{%.*s}", SLICE_FMT(text));
    if (q == NULL || !parser_begin(&p, slice_cstr(filter), q, a, err))
        return q != NULL ? false : arena_ok(a, "query", err);
    if (!tql_advance(&p) || !tql_filter(&p, &set) || (p.tok.kind != TQL_END && !tql_unexpected(&p, TQL_END, TQL_END)))
        return err_wrap(err, "failed to parse identifier %.*s", SLICE_FMT(text));
    if (set->filter->kind != TQL_ATTR)
        return err_set(err, ERR_INPUT, "failed to parse identifier %.*s: not an attribute", SLICE_FMT(text));
    *out = set->filter->attr;
    return true;
}
