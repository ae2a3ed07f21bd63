/*
 * tql_check.c -- what can be said of a query without data: types, constants folded, validation (traceql.md 8).
 *
 * Folding goes first, as the tree grows, so that messages print what is left. What would be an error stays unfolded: its
 * type error is told here, a division by zero when a span is evaluated.
 */
#include "query/traceql/tql_ast.h"

#include "base/limits.h"

#include <math.h>

// --- types ----------------------------------------------------------------------------------------------

enum tql_type tql_attr_type(const struct tql_attr *attr)
{
    static const enum tql_type types[] = {
#define X(id, name, type) type,
        TQL_INTRINSICS(X)
#undef X
    };
    return attr->scope == TQL_SCOPE_INTRINSIC ? types[attr->intrinsic] : TQL_T_ATTRIBUTE;
}

bool tql_attr_of_event(const struct tql_attr *attr)
{
    return attr->scope == TQL_SCOPE_EVENT ||
           (attr->scope == TQL_SCOPE_INTRINSIC && (attr->intrinsic == TQL_I_EVENT_NAME || attr->intrinsic == TQL_I_EVENT_SINCE));
}

bool tql_attr_of_link(const struct tql_attr *attr)
{
    return attr->scope == TQL_SCOPE_LINK ||
           (attr->scope == TQL_SCOPE_INTRINSIC && (attr->intrinsic == TQL_I_LINK_TRACE_ID || attr->intrinsic == TQL_I_LINK_SPAN_ID));
}

bool tql_attr_of_trace(const struct tql_attr *attr)
{
    if (attr->scope != TQL_SCOPE_INTRINSIC)
        return false;
    switch (attr->intrinsic) {
    case TQL_I_CHILD_COUNT: case TQL_I_TRACE_DURATION: case TQL_I_ROOT_NAME: case TQL_I_ROOT_SERVICE: case TQL_I_NESTED_LEFT:
    case TQL_I_NESTED_RIGHT: case TQL_I_NESTED_PARENT:
        return true;
    default:
        return false;
    }
}

static bool is_arithmetic(enum tql_op op)
{
    return op <= TQL_OP_POW;
}

static enum tql_type type_of(const struct tql_expr *e)
{
    switch (e->kind) {
    case TQL_STATIC: return e->value.type;
    case TQL_ATTR:   return tql_attr_type(e->attr);
    case TQL_BINARY:
        if (!is_arithmetic(e->op))
            return TQL_T_BOOL;
        return type_of(e->left) != TQL_T_ATTRIBUTE ? type_of(e->left) : type_of(e->right);
    case TQL_NEGATE: case TQL_INVERT:
        return type_of(e->left);
    default:
        return TQL_T_BOOL;
    }
}

static bool types_match(enum tql_type l, enum tql_type r)
{
    return l == r || l == TQL_T_ATTRIBUTE || r == TQL_T_ATTRIBUTE || (tql_numeric(l) && tql_numeric(r));
}

static bool op_takes(enum tql_op op, enum tql_type type)
{
    if (type == TQL_T_ATTRIBUTE)
        return true;
    switch (op) {
    case TQL_OP_EQ: case TQL_OP_NE:
        return true;
    case TQL_OP_LT: case TQL_OP_LE: case TQL_OP_GT: case TQL_OP_GE:
        return tql_numeric(type) || type == TQL_T_STRING;
    case TQL_OP_RE: case TQL_OP_NRE:
        return type == TQL_T_STRING;
    case TQL_OP_AND: case TQL_OP_OR:
        return type == TQL_T_BOOL;
    default:
        return tql_numeric(type);
    }
}

static bool references_span(const struct tql_expr *e)
{
    return e != NULL && (e->kind == TQL_ATTR || references_span(e->left) || references_span(e->right));
}

// --- folding --------------------------------------------------------------------------------------------

static bool fold_regex(enum tql_op op, struct slice text, struct slice pattern, struct tql_value *out)
{
    struct regex *regex;
    struct err unused;
    if (!regex_compile(pattern, REGEX_WHOLE | REGEX_DOT_NEWLINE, &regex, &unused))
        return false;
    *out = tql_bool(regex_match(regex, text) == (op == TQL_OP_RE));
    regex_free(regex);
    return true;
}

static bool fold_binary(const struct tql_expr *e, struct tql_value *out)
{
    if (e->left->kind != TQL_STATIC || e->right->kind != TQL_STATIC)
        return false;
    struct tql_value l = e->left->value, r = e->right->value;
    if (!types_match(l.type, r.type) || !op_takes(e->op, l.type) || !op_takes(e->op, r.type))
        return false;
    switch (e->op) {
    case TQL_OP_AND: *out = tql_bool(l.flag && r.flag); return true;
    case TQL_OP_OR:  *out = tql_bool(l.flag || r.flag); return true;
    case TQL_OP_RE: case TQL_OP_NRE:
        return fold_regex(e->op, l.text, r.text, out);
    default:
        break;
    }
    if (!is_arithmetic(e->op)) {
        *out = tql_bool(tql_compare((int)e->op, l, r, NULL));
        return true;
    }
    // What is not finite has no literal.
    return tql_arithmetic((int)e->op, l, r, out) == NULL && (out->type != TQL_T_FLOAT || isfinite(out->number));
}

static bool fold_sign(const struct tql_expr *e, struct tql_value *out)
{
    *out = e->left->value;
    if (e->left->kind != TQL_STATIC)
        return false;
    if (e->kind == TQL_INVERT) {
        if (out->type != TQL_T_BOOL)
            return false;
        out->flag = !out->flag;
        return true;
    }
    if (out->type == TQL_T_FLOAT)
        out->number = -out->number;
    else if (tql_numeric(out->type))
        out->integer = (int64_t)(0 - (uint64_t)out->integer);
    return tql_numeric(out->type);
}

struct tql_expr *tql_fold(struct tql_expr *e, struct arena *a)
{
    struct tql_value value;
    bool folded = false;
    switch (e->kind) {
    case TQL_BINARY:
        folded = fold_binary(e, &value);
        break;
    case TQL_NEGATE: case TQL_INVERT:
        folded = fold_sign(e, &value);
        break;
    case TQL_EXISTS: case TQL_ABSENT:
        folded = e->left->kind == TQL_STATIC;
        value = tql_bool(e->kind == TQL_EXISTS);
        break;
    default:
        break;
    }
    if (!folded)
        return e;
    struct tql_expr *made = arena_zalloc(a, sizeof *made);
    if (made != NULL)
        *made = (struct tql_expr){.kind = TQL_STATIC, .depth = 1, .value = value};
    return made;
}

// --- validation -----------------------------------------------------------------------------------------

// ERR_INPUT: `text` and the printed piece. Returns false.
#define REFUSE(err, text, print, piece)                                                                                \
    do {                                                                                                               \
        struct buf refused_;                                                                                           \
        buf_init(&refused_, ERR_TEXT_BYTES);                                                                           \
        print(&refused_, piece);                                                                                       \
        (void)err_set(err, ERR_INPUT, "%s: %.*s", text, SLICE_FMT(buf_slice(&refused_)));                              \
        buf_done(&refused_);                                                                                           \
    } while (0)

static bool refuse_expr(struct err *err, const char *text, const struct tql_expr *e)
{
    REFUSE(err, text, tql_print_expr, e);
    return false;
}

static bool check_attr(const struct tql_attr *attr, struct err *err)
{
    if (attr->scope == TQL_SCOPE_PARENT)
        return err_set(err, ERR_INPUT, "parent not yet supported");
    if (attr->scope == TQL_SCOPE_INTRINSIC && attr->intrinsic == TQL_I_PARENT)
        return err_set(err, ERR_INPUT, "intrinsic (parent) not yet supported");
    return true;
}

static bool check_attrs(struct tql_attr *const *attrs, uint32_t count, struct err *err)
{
    for (uint32_t i = 0; i < count; i++)
        if (!check_attr(attrs[i], err))
            return false;
    return true;
}

static bool check_regex(struct traceql *q, struct tql_expr *e, struct err *err)
{
    struct err unused;
    if (e->right->kind != TQL_STATIC || e->right->value.type != TQL_T_STRING)
        return refuse_expr(err, "invalid type for =~ or !~", e->right);
    if (q->regexes_count == COUNT_OF(q->regexes))
        return err_set(err, ERR_INPUT, "the query has more than %d regexes", QUERY_REGEXES_MAX);
    if (!regex_compile(e->right->value.text, REGEX_WHOLE | REGEX_DOT_NEWLINE, &q->regexes[q->regexes_count], &unused))
        return refuse_expr(err, "invalid regex", e->right);
    e->regex = q->regexes[q->regexes_count++];
    return true;
}

static bool check_absent(const struct tql_expr *e, struct err *err)
{
    if (e->kind != TQL_ABSENT || e->left->kind != TQL_ATTR)
        return true;
    const struct tql_attr *attr = e->left->attr;
    if (attr->scope == TQL_SCOPE_INTRINSIC) {
        const char *name = tql_intrinsic_name(attr->intrinsic);
        return err_set(err, ERR_INPUT, "%s=nil is not valid because intrinsics cannot be nil", name);
    }
    if (attr->scope == TQL_SCOPE_RESOURCE && slice_eq(attr->name, SLICE("service.name")))
        return err_set(err, ERR_INPUT, "resource.service.name=nil is not valid because resource.service.name cannot be nil");
    return true;
}

static bool check_expr(struct traceql *q, struct tql_expr *e, struct err *err)
{
    switch (e->kind) {
    case TQL_ATTR:
        return check_attr(e->attr, err);
    case TQL_EXISTS: case TQL_ABSENT:
        return check_expr(q, e->left, err) && check_absent(e, err);
    case TQL_NEGATE: case TQL_INVERT: {
        if (!check_expr(q, e->left, err))
            return false;
        enum tql_type type = type_of(e->left);
        if (type == TQL_T_ATTRIBUTE || (e->kind == TQL_NEGATE ? tql_numeric(type) : type == TQL_T_BOOL))
            return true;
        return refuse_expr(err, "illegal operation for the given type", e);
    }
    case TQL_BINARY:
        break;
    default:
        return true;
    }
    if (!check_expr(q, e->left, err) || !check_expr(q, e->right, err))
        return false;
    enum tql_type l = type_of(e->left), r = type_of(e->right);
    if (!types_match(l, r))
        return refuse_expr(err, "binary operations must operate on the same type", e);
    if (!op_takes(e->op, l) || !op_takes(e->op, r))
        return refuse_expr(err, "illegal operation for the given types", e);
    return (e->op != TQL_OP_RE && e->op != TQL_OP_NRE) || check_regex(q, e, err);
}

static bool check_filter(struct traceql *q, struct tql_set *set, struct err *err)
{
    if (!check_expr(q, set->filter, err))
        return false;
    enum tql_type type = type_of(set->filter);
    if (type != TQL_T_BOOL && type != TQL_T_ATTRIBUTE) {
        REFUSE(err, "span filter field expressions must resolve to a boolean", tql_print_set, set);
        return false;
    }
    set->lowered = tql_lower(set->filter, q->arena);
    return set->lowered != NULL || arena_ok(q->arena, "query", err);
}

static bool check_pipeline(struct traceql *q, struct tql_pipeline *p, struct err *err);

static bool check_set(struct traceql *q, struct tql_set *set, struct err *err)
{
    switch (set->kind) {
    case TQL_SET_FILTER: return check_filter(q, set, err);
    case TQL_SET_OP:     return check_set(q, set->left, err) && check_set(q, set->right, err);
    default:             return check_pipeline(q, set->pipeline, err);
    }
}

static bool refuse_scalar(struct err *err, const char *text, const struct tql_scalar *s)
{
    REFUSE(err, text, tql_print_scalar, s);
    return false;
}

static bool check_scalar(struct traceql *q, struct tql_scalar *s, struct err *err)
{
    switch (s->kind) {
    case TQL_SCALAR_AGGREGATE: {
        if (s->field == NULL)
            return true;
        if (!check_expr(q, s->field, err))
            return false;
        enum tql_type type = type_of(s->field);
        if (type != TQL_T_ATTRIBUTE && !tql_numeric(type))
            return refuse_scalar(err, "aggregate field expressions must resolve to a number type", s);
        if (!references_span(s->field))
            return refuse_scalar(err, "aggregate field expressions must reference the span", s);
        return true;
    }
    case TQL_SCALAR_OP:       return check_scalar(q, s->left, err) && check_scalar(q, s->right, err);
    case TQL_SCALAR_PIPELINE: return check_pipeline(q, s->pipeline, err);
    default:                  return true;
    }
}

// The text of a printed piece, in the query's arena.
static bool keep_print(struct traceql *q, void (*print)(struct buf *b, const void *piece), const void *piece, struct slice *out,
                       struct err *err)
{
    struct buf b;
    buf_init(&b, 0);
    print(&b, piece);
    *out = arena_copy(q->arena, buf_slice(&b));
    buf_done(&b);
    return arena_ok(q->arena, "query", err);
}

static void print_by(struct buf *b, const void *piece)
{
    buf_put_cstr(b, "by(");
    tql_print_expr(b, piece);
    buf_put_byte(b, ')');
}

static void print_aggregate(struct buf *b, const void *piece)
{
    tql_print_scalar(b, piece);
}

static bool check_element(struct traceql *q, struct tql_element *e, struct err *err)
{
    switch (e->kind) {
    case TQL_E_SET:
        return check_set(q, e->set, err);
    case TQL_E_SCALAR_FILTER:
        if (!check_scalar(q, e->left, err) || !check_scalar(q, e->right, err))
            return false;
        if (e->left->kind != TQL_SCALAR_AGGREGATE)
            return err_set(err, ERR_INPUT, "scalar filter lhs of type (%%v) not yet supported");
        if (e->right->kind != TQL_SCALAR_STATIC)
            return err_set(err, ERR_INPUT, "scalar filter rhs of type (%%v) not yet supported");
        return keep_print(q, print_aggregate, e->left, &e->key, err);
    case TQL_E_BY:
        if (!check_expr(q, e->by, err) || !keep_print(q, print_by, e->by, &e->key, err))
            return false;
        if (!references_span(e->by))
            return err_set(err, ERR_INPUT, "grouping field expressions must reference the span: %.*s", SLICE_FMT(e->key));
        return true;
    case TQL_E_SELECT:
        return check_attrs(e->select, e->select_count, err);
    default:
        return true;
    }
}

static bool check_pipeline(struct traceql *q, struct tql_pipeline *p, struct err *err)
{
    for (struct tql_element *e = p->first; e != NULL; e = e->next)
        if (!check_element(q, e, err))
            return false;
    return p->aggregate == NULL || check_scalar(q, p->aggregate, err);
}

enum { BY_MAX = 5, BY_MAX_WITH_LABEL = 4 };

static bool check_compare(struct traceql *q, const struct tql_metrics *m, struct err *err)
{
    if (!check_filter(q, m->selection, err))
        return false;
    if (m->top <= 0)
        return err_set(err, ERR_INPUT, "compare() top number of values must be integer greater than 0");
    if (m->arguments_count == 3 && (m->start_ns <= 0 || m->end_ns <= 0))
        return err_set(err, ERR_INPUT, "compare() timestamps must be positive integer unix nanoseconds");
    if (m->arguments_count == 3 && m->end_ns <= m->start_ns)
        return err_set(err, ERR_INPUT, "compare() end timestamp must be greater than start timestamp");
    if (q->stages != NULL)
        return err_set(err, ERR_INPUT, "`compare()` cannot be used with second stage functions");
    return true;
}

static bool check_metrics(struct traceql *q, struct err *err)
{
    const struct tql_metrics *m = q->metrics;
    if ((m->attr != NULL && !check_attr(m->attr, err)) || !check_attrs(m->by, m->by_count, err))
        return false;
    if (m->fn == TQL_M_COMPARE && !check_compare(q, m, err))
        return false;
    bool labelled = m->fn == TQL_M_QUANTILE || m->fn == TQL_M_HISTOGRAM || m->fn == TQL_M_AVG;
    if (m->by_count > (labelled ? BY_MAX_WITH_LABEL : BY_MAX))
        return err_set(err, ERR_INPUT, "metrics group by %u values not yet supported", m->by_count);
    for (uint32_t i = 0; i < m->quantiles_count; i++)
        if (m->quantiles[i] < 0 || m->quantiles[i] > 1)
            return err_set(err, ERR_INPUT, "quantile must be between 0 and 1: %g", m->quantiles[i]);
    for (const struct tql_stage *stage = q->stages; stage != NULL; stage = stage->next)
        if (stage->kind != TQL_STAGE_FILTER && stage->limit <= 0)
            return err_set(err, ERR_INPUT, "limit must be greater than 0");
    return true;
}

bool tql_validate(struct traceql *q, struct err *err)
{
    return check_pipeline(q, &q->pipeline, err) && (q->metrics == NULL || check_metrics(q, err));
}
