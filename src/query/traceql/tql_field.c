/* tql_field.c -- what stands between braces: attributes, statics and their expressions (traceql.md 3, 4). */
#include "query/traceql/tql_parser.h"

// --- attributes -----------------------------------------------------------------------------------------

// The query's object for an attribute.
static struct tql_attr *intern(struct tql_parser *p, struct tql_attr wanted)
{
    struct tql_attr **at = &p->query->attrs;
    for (; *at != NULL; at = &(*at)->next)
        if ((*at)->scope == wanted.scope && (*at)->intrinsic == wanted.intrinsic && slice_eq((*at)->name, wanted.name))
            return *at;
    *at = arena_alloc(p->a, sizeof **at);
    if (*at != NULL) {
        wanted.number = p->query->attrs_count++;
        **at = wanted;
    }
    return *at;
}

static bool intrinsic(struct tql_parser *p, enum tql_intrinsic id, struct tql_attr **out)
{
    *out = intern(p, (struct tql_attr){.scope = TQL_SCOPE_INTRINSIC, .intrinsic = id});
    return tql_memory(p, *out) && tql_advance(p);
}

static const struct {
    enum tql_token_kind prefix, word; // prefix TQL_END: none
    enum tql_intrinsic id;
} intrinsics[] = {
    {TQL_END, TQL_DURATION_WORD, TQL_I_DURATION},
    {TQL_END, TQL_NAME, TQL_I_NAME},
    {TQL_END, TQL_STATUS, TQL_I_STATUS},
    {TQL_END, TQL_STATUS_MESSAGE, TQL_I_STATUS_MESSAGE},
    {TQL_END, TQL_KIND, TQL_I_KIND},
    {TQL_END, TQL_ROOT_NAME, TQL_I_ROOT_NAME},
    {TQL_END, TQL_ROOT_SERVICE_NAME, TQL_I_ROOT_SERVICE},
    {TQL_END, TQL_TRACE_DURATION, TQL_I_TRACE_DURATION},
    {TQL_END, TQL_NESTED_SET_LEFT, TQL_I_NESTED_LEFT},
    {TQL_END, TQL_NESTED_SET_RIGHT, TQL_I_NESTED_RIGHT},
    {TQL_END, TQL_NESTED_SET_PARENT, TQL_I_NESTED_PARENT},
    {TQL_END, TQL_PARENT, TQL_I_PARENT},
    {TQL_TRACE_COLON, TQL_ID, TQL_I_TRACE_ID},
    {TQL_TRACE_COLON, TQL_DURATION_WORD, TQL_I_TRACE_DURATION},
    {TQL_TRACE_COLON, TQL_ROOT_NAME, TQL_I_ROOT_NAME},
    {TQL_TRACE_COLON, TQL_ROOT_SERVICE, TQL_I_ROOT_SERVICE},
    {TQL_SPAN_COLON, TQL_ID, TQL_I_SPAN_ID},
    {TQL_SPAN_COLON, TQL_PARENT_ID, TQL_I_PARENT_ID},
    {TQL_SPAN_COLON, TQL_NAME, TQL_I_NAME},
    {TQL_SPAN_COLON, TQL_KIND, TQL_I_KIND},
    {TQL_SPAN_COLON, TQL_STATUS, TQL_I_STATUS},
    {TQL_SPAN_COLON, TQL_STATUS_MESSAGE, TQL_I_STATUS_MESSAGE},
    {TQL_SPAN_COLON, TQL_DURATION_WORD, TQL_I_DURATION},
    {TQL_SPAN_COLON, TQL_CHILD_COUNT, TQL_I_CHILD_COUNT},
    {TQL_EVENT_COLON, TQL_NAME, TQL_I_EVENT_NAME},
    {TQL_EVENT_COLON, TQL_TIME_SINCE_START, TQL_I_EVENT_SINCE},
    {TQL_LINK_COLON, TQL_TRACE_ID, TQL_I_LINK_TRACE_ID},
    {TQL_LINK_COLON, TQL_SPAN_ID, TQL_I_LINK_SPAN_ID},
    {TQL_INSTRUMENTATION_COLON, TQL_NAME, TQL_I_INSTRUMENTATION_NAME},
    {TQL_INSTRUMENTATION_COLON, TQL_VERSION, TQL_I_INSTRUMENTATION_VERSION},
};

static bool find_intrinsic(enum tql_token_kind prefix, enum tql_token_kind word, enum tql_intrinsic *out)
{
    for (size_t i = 0; i < COUNT_OF(intrinsics); i++)
        if (intrinsics[i].prefix == prefix && intrinsics[i].word == word) {
            *out = intrinsics[i].id;
            return true;
        }
    return false;
}

static bool scope_of(enum tql_token_kind kind, enum tql_scope *out)
{
    switch (kind) {
    case TQL_DOT:                 *out = TQL_SCOPE_ANY; return true;
    case TQL_SPAN_DOT:            *out = TQL_SCOPE_SPAN; return true;
    case TQL_RESOURCE_DOT:        *out = TQL_SCOPE_RESOURCE; return true;
    case TQL_EVENT_DOT:           *out = TQL_SCOPE_EVENT; return true;
    case TQL_LINK_DOT:            *out = TQL_SCOPE_LINK; return true;
    case TQL_INSTRUMENTATION_DOT: *out = TQL_SCOPE_INSTRUMENTATION; return true;
    case TQL_PARENT_DOT:          *out = TQL_SCOPE_PARENT; return true;
    default:                      return false;
    }
}

// Behind a prefix with a point: the name.
static bool named(struct tql_parser *p, enum tql_scope scope, struct tql_attr **out)
{
    struct tql_token prefix = p->tok, name = tql_lexer_name(&p->lx);
    if (name.kind == TQL_ERROR)
        return tql_fail_at(p, &name, (const char *)name.str.ptr);
    if (name.kind == TQL_END_ATTRIBUTE) {
        p->tok = prefix;
        p->tok.kind = TQL_END_ATTRIBUTE;
        return tql_unexpected(p, TQL_IDENT, TQL_END);
    }
    *out = intern(p, (struct tql_attr){.scope = scope, .name = name.str});
    return tql_memory(p, *out) && tql_advance(p);
}

static bool at_attribute(const struct tql_parser *p)
{
    enum tql_scope scope;
    enum tql_intrinsic id;
    switch (p->tok.kind) {
    case TQL_SPAN_COLON: case TQL_TRACE_COLON: case TQL_EVENT_COLON: case TQL_LINK_COLON: case TQL_INSTRUMENTATION_COLON:
        return true;
    default:
        return scope_of(p->tok.kind, &scope) || find_intrinsic(TQL_END, p->tok.kind, &id);
    }
}

bool tql_attribute(struct tql_parser *p, struct tql_attr **out)
{
    enum tql_scope scope;
    enum tql_intrinsic id;
    enum tql_token_kind prefix = p->tok.kind;
    if (scope_of(prefix, &scope))
        return named(p, scope, out);
    if (find_intrinsic(TQL_END, prefix, &id))
        return intrinsic(p, id, out);
    if (!at_attribute(p))
        return tql_unexpected(p, TQL_END, TQL_END);
    if (!tql_advance(p))
        return false;
    return find_intrinsic(prefix, p->tok.kind, &id) ? intrinsic(p, id, out) : tql_unexpected(p, TQL_END, TQL_END);
}

bool tql_attributes(struct tql_parser *p, struct tql_attr ***out, uint32_t *count_out)
{
    size_t count = 0, room = 0;
    *out = NULL;
    if (!tql_expect(p, TQL_OPEN_PAREN))
        return false;
    for (;;) {
        if (!arena_grow(p->a, (void **)out, sizeof **out, count, &room))
            return tql_memory(p, NULL);
        if (!tql_attribute(p, &(*out)[count]))
            return false;
        *count_out = (uint32_t)++count;
        if (p->tok.kind == TQL_CLOSE_PAREN)
            return tql_advance(p);
        if (p->tok.kind != TQL_COMMA)
            return tql_unexpected(p, TQL_COMMA, TQL_CLOSE_PAREN);
        if (!tql_advance(p))
            return false;
    }
}

// --- statics --------------------------------------------------------------------------------------------

static bool read_static(const struct tql_token *t, struct tql_value *out)
{
    switch (t->kind) {
    case TQL_STRING:      *out = tql_string(t->str); return true;
    case TQL_INTEGER:     *out = tql_int(t->integer); return true;
    case TQL_FLOAT:       *out = (struct tql_value){.type = TQL_T_FLOAT, .number = t->number}; return true;
    case TQL_DURATION:    *out = (struct tql_value){.type = TQL_T_DURATION, .integer = t->integer}; return true;
    case TQL_TRUE:        *out = tql_bool(true); return true;
    case TQL_FALSE:       *out = tql_bool(false); return true;
    case TQL_MIN_INT:     *out = tql_int(INT64_MIN); return true;
    case TQL_MAX_INT:     *out = tql_int(INT64_MAX); return true;
    case TQL_OK: case TQL_ERROR_WORD: case TQL_UNSET:
        *out = (struct tql_value){.type = TQL_T_STATUS,
                                  .integer = t->kind == TQL_OK      ? STATUS_OK
                                             : t->kind == TQL_UNSET ? STATUS_UNSET
                                                                    : STATUS_ERROR};
        return true;
    case TQL_UNSPECIFIED: case TQL_INTERNAL: case TQL_SERVER: case TQL_CLIENT: case TQL_PRODUCER: case TQL_CONSUMER:
        *out = (struct tql_value){.type = TQL_T_KIND, .integer = (int64_t)t->kind - TQL_UNSPECIFIED};
        return true;
    default:
        return false;
    }
}

bool tql_static(struct tql_parser *p, struct tql_value *out)
{
    return read_static(&p->tok, out) ? tql_advance(p) : tql_unexpected(p, TQL_END, TQL_END);
}

bool tql_signed_number(struct tql_parser *p, struct tql_value *out)
{
    bool negative = p->tok.kind == TQL_SUB;
    if (negative && !tql_advance(p))
        return false;
    if (!read_static(&p->tok, out) || !tql_numeric(out->type))
        return tql_unexpected(p, TQL_END, TQL_END);
    if (negative && out->type == TQL_T_FLOAT)
        out->number = -out->number;
    else if (negative)
        out->integer = (int64_t)(0 - (uint64_t)out->integer);
    return tql_advance(p);
}

// --- expressions ------------------------------------------------------------------------------------------

enum { LEVEL_LOGIC = 2, LEVEL_COMPARISON, LEVEL_SUM, LEVEL_NOT, LEVEL_PRODUCT, LEVEL_POWER };

bool tql_comparison(enum tql_token_kind kind, enum tql_op *out)
{
    switch (kind) {
    case TQL_EQ:  *out = TQL_OP_EQ; return true;
    case TQL_NEQ: *out = TQL_OP_NE; return true;
    case TQL_LT:  *out = TQL_OP_LT; return true;
    case TQL_LTE: *out = TQL_OP_LE; return true;
    case TQL_GT:  *out = TQL_OP_GT; return true;
    case TQL_GTE: *out = TQL_OP_GE; return true;
    default:      return false;
    }
}

// Level of a binary operator, 0 when the token is none.
static int binary_level(enum tql_token_kind kind, enum tql_op *out)
{
    if (tql_comparison(kind, out))
        return LEVEL_COMPARISON;
    switch (kind) {
    case TQL_RE:  *out = TQL_OP_RE; return LEVEL_COMPARISON;
    case TQL_NRE: *out = TQL_OP_NRE; return LEVEL_COMPARISON;
    case TQL_AND: *out = TQL_OP_AND; return LEVEL_LOGIC;
    case TQL_OR:  *out = TQL_OP_OR; return LEVEL_LOGIC;
    case TQL_ADD: *out = TQL_OP_ADD; return LEVEL_SUM;
    case TQL_SUB: *out = TQL_OP_SUB; return LEVEL_SUM;
    case TQL_MUL: *out = TQL_OP_MUL; return LEVEL_PRODUCT;
    case TQL_DIV: *out = TQL_OP_DIV; return LEVEL_PRODUCT;
    case TQL_MOD: *out = TQL_OP_MOD; return LEVEL_PRODUCT;
    case TQL_POW: *out = TQL_OP_POW; return LEVEL_POWER;
    default:      return 0;
    }
}

static bool new_expr(struct tql_parser *p, struct tql_expr e, struct tql_expr **out)
{
    uint32_t left = e.left != NULL ? e.left->depth : 0, right = e.right != NULL ? e.right->depth : 0;
    e.depth = 1 + (left > right ? left : right);
    if (!tql_tree(p, e.depth))
        return false;
    struct tql_expr *made = arena_alloc(p->a, sizeof *made);
    if (!tql_memory(p, made))
        return false;
    *made = e;
    *out = tql_fold(made, p->a);
    return tql_memory(p, *out);
}

static bool expression(struct tql_parser *p, int level, struct tql_expr **out);

// `nil` stands only beside `=` and `!=`: the operator behind it.
static bool nil_operator(struct tql_parser *p, bool *negated_out)
{
    if (p->tok.kind != TQL_EQ && p->tok.kind != TQL_NEQ)
        return tql_unexpected(p, TQL_EQ, TQL_NEQ);
    *negated_out = p->tok.kind == TQL_NEQ;
    return tql_advance(p);
}

// "nil" ( "=" | "!=" ) ( fieldExpr | "nil" )
static bool nil_first(struct tql_parser *p, struct tql_expr **out)
{
    bool negated = false;
    struct tql_expr *operand;
    if (!tql_advance(p) || !nil_operator(p, &negated))
        return false;
    if (p->tok.kind == TQL_NIL) // nil is neither equal nor unequal to itself
        return tql_advance(p) && new_expr(p, (struct tql_expr){.kind = TQL_STATIC, .value = tql_bool(false)}, out);
    return expression(p, LEVEL_SUM, &operand) &&
           new_expr(p, (struct tql_expr){.kind = negated ? TQL_EXISTS : TQL_ABSENT, .left = operand}, out);
}

static bool prefix(struct tql_parser *p, enum tql_expr_kind kind, int level, struct tql_expr **out)
{
    struct tql_expr *operand;
    if (!tql_enter(p) || !tql_advance(p) || !expression(p, level, &operand))
        return false;
    tql_leave(p);
    return new_expr(p, (struct tql_expr){.kind = kind, .left = operand}, out);
}

static bool primary(struct tql_parser *p, struct tql_expr **out)
{
    struct tql_expr e = {0};
    switch (p->tok.kind) {
    case TQL_OPEN_PAREN:
        if (!tql_enter(p) || !tql_advance(p) || !expression(p, LEVEL_LOGIC, out))
            return false;
        tql_leave(p);
        return p->tok.kind == TQL_CLOSE_PAREN ? tql_advance(p) : tql_unexpected(p, TQL_END, TQL_END);
    case TQL_SUB: // binds as the binary one does: -a * b is -(a * b)
        return prefix(p, TQL_NEGATE, LEVEL_SUM + 1, out);
    case TQL_NOT:
        return prefix(p, TQL_INVERT, LEVEL_NOT + 1, out);
    case TQL_NIL:
        return nil_first(p, out);
    case TQL_IDENT:
        return tql_fail_at(p, &p->tok, arena_printf(p->a, "unknown identifier: %.*s", SLICE_FMT(p->tok.text)));
    default:
        break;
    }
    if (read_static(&p->tok, &e.value)) {
        e.kind = TQL_STATIC;
        return tql_advance(p) && new_expr(p, e, out);
    }
    e.kind = TQL_ATTR;
    return tql_attribute(p, &e.attr) && new_expr(p, e, out);
}

// Operators of `level` and above, by precedence climbing.
static bool expression(struct tql_parser *p, int level, struct tql_expr **out)
{
    if (!primary(p, out))
        return false;
    for (;;) {
        struct tql_expr e = {.kind = TQL_BINARY, .left = *out};
        int found = binary_level(p->tok.kind, &e.op);
        if (found == 0 || found < level)
            return true;
        if (!tql_advance(p))
            return false;
        if (p->tok.kind == TQL_NIL && (e.op == TQL_OP_EQ || e.op == TQL_OP_NE)) {
            e.kind = e.op == TQL_OP_NE ? TQL_EXISTS : TQL_ABSENT;
            if (!tql_advance(p))
                return false;
        } else if (found == LEVEL_POWER) { // groups to the right
            if (!tql_enter(p) || !expression(p, LEVEL_POWER, &e.right))
                return false;
            tql_leave(p);
        } else if (!expression(p, found + 1, &e.right)) {
            return false;
        }
        if (!new_expr(p, e, out))
            return false;
    }
}

bool tql_field(struct tql_parser *p, struct tql_expr **out)
{
    return expression(p, LEVEL_LOGIC, out);
}
