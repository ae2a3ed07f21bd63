/* tql_print.c -- trees to their canonical text (traceql.md 18.1): parses to the same again. */
#include "query/traceql/tql_ast.h"

#include "base/utf8.h"
#include "query/traceql/tql_token.h"

const char *tql_intrinsic_name(enum tql_intrinsic intrinsic)
{
    static const char *const names[] = {
#define X(id, name, type) name,
        TQL_INTRINSICS(X)
#undef X
    };
    return names[intrinsic];
}

const char *tql_op_name(enum tql_op op)
{
    static const char *const names[] = {"+",  "-",  "*",  "/",  "%",  "^",   "=",   "!=",  "<",   "<=", ">",
                                        ">=", "=~", "!~", "&&", "||", ">",   "<",   ">>",  "<<",  "~",  "!>",
                                        "!<", "!>>", "!<<", "!~", "&>", "&<", "&>>", "&<<", "&~"};
    return names[op];
}

const char *tql_metric_name(enum tql_metric_fn fn)
{
    static const char *const names[] = {"rate",          "count_over_time",    "min_over_time",       "max_over_time", "avg_over_time",
                                        "sum_over_time", "quantile_over_time", "histogram_over_time", "compare"};
    return names[fn];
}

// --- attributes -----------------------------------------------------------------------------------------

// Whether a name has to be quoted to be read back.
static bool needs_quotes(struct slice name, bool unscoped)
{
    if (name.len == 0 || (unscoped && name.ptr[0] >= '0' && name.ptr[0] <= '9'))
        return true;
    for (size_t i = 0; i < name.len;) {
        uint32_t rune;
        bool valid;
        i += utf8_decode(slice_from(name, i), &rune, &valid);
        if (rune == '"' || tql_ends_name(rune))
            return true;
    }
    return false;
}

void tql_print_attr(struct buf *b, const struct tql_attr *attr)
{
    static const char *const prefixes[] = {"", ".", "span.", "resource.", "event.", "link.", "instrumentation.", "parent."};
    if (attr->scope == TQL_SCOPE_INTRINSIC) {
        buf_put_cstr(b, tql_intrinsic_name(attr->intrinsic));
        return;
    }
    buf_put_cstr(b, prefixes[attr->scope]);
    if (!needs_quotes(attr->name, attr->scope == TQL_SCOPE_ANY)) {
        buf_put_slice(b, attr->name);
        return;
    }
    buf_put_byte(b, '"');
    for (size_t i = 0; i < attr->name.len; i++) {
        if (attr->name.ptr[i] == '"' || attr->name.ptr[i] == '\\')
            buf_put_byte(b, '\\');
        buf_put_byte(b, attr->name.ptr[i]);
    }
    buf_put_byte(b, '"');
}

static void print_attrs(struct buf *b, struct tql_attr *const *attrs, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        buf_put_cstr(b, i == 0 ? "" : ", ");
        tql_print_attr(b, attrs[i]);
    }
}

// --- fields ---------------------------------------------------------------------------------------------

static void print_operand(struct buf *b, const struct tql_expr *e)
{
    bool bare = e->kind == TQL_STATIC || e->kind == TQL_ATTR;
    buf_put_cstr(b, bare ? "" : "(");
    tql_print_expr(b, e);
    buf_put_cstr(b, bare ? "" : ")");
}

void tql_print_expr(struct buf *b, const struct tql_expr *e)
{
    switch (e->kind) {
    case TQL_STATIC:
        tql_print_value(b, e->value);
        break;
    case TQL_ATTR:
        tql_print_attr(b, e->attr);
        break;
    case TQL_BINARY:
        print_operand(b, e->left);
        buf_printf(b, " %s ", tql_op_name(e->op));
        print_operand(b, e->right);
        break;
    case TQL_NEGATE: case TQL_INVERT:
        buf_put_byte(b, e->kind == TQL_NEGATE ? '-' : '!');
        print_operand(b, e->left);
        break;
    case TQL_EXISTS: case TQL_ABSENT:
        print_operand(b, e->left);
        buf_put_cstr(b, e->kind == TQL_EXISTS ? " != nil" : " = nil");
        break;
    case TQL_SOME_EVENT: case TQL_SOME_LINK: // of evaluation alone
        tql_print_expr(b, e->left);
        break;
    }
}

// --- pipelines ------------------------------------------------------------------------------------------

static void print_pipeline(struct buf *b, const struct tql_pipeline *p);

static void print_set_operand(struct buf *b, const struct tql_set *set)
{
    bool own = set->kind == TQL_SET_PIPELINE; // prints its own
    buf_put_cstr(b, own ? "" : "(");
    tql_print_set(b, set);
    buf_put_cstr(b, own ? "" : ")");
}

void tql_print_set(struct buf *b, const struct tql_set *set)
{
    switch (set->kind) {
    case TQL_SET_FILTER:
        buf_put_cstr(b, "{ ");
        tql_print_expr(b, set->filter);
        buf_put_cstr(b, " }");
        break;
    case TQL_SET_OP:
        print_set_operand(b, set->left);
        buf_printf(b, " %s ", tql_op_name(set->op));
        print_set_operand(b, set->right);
        break;
    case TQL_SET_PIPELINE:
        buf_put_byte(b, '(');
        print_pipeline(b, set->pipeline);
        buf_put_byte(b, ')');
        break;
    }
}

static void print_scalar_operand(struct buf *b, const struct tql_scalar *s)
{
    bool bare = s->kind == TQL_SCALAR_STATIC || s->kind == TQL_SCALAR_PIPELINE;
    buf_put_cstr(b, bare ? "" : "(");
    tql_print_scalar(b, s);
    buf_put_cstr(b, bare ? "" : ")");
}

void tql_print_scalar(struct buf *b, const struct tql_scalar *s)
{
    static const char *const names[] = {"count", "max", "min", "avg", "sum"};
    switch (s->kind) {
    case TQL_SCALAR_STATIC:
        tql_print_value(b, s->value);
        break;
    case TQL_SCALAR_AGGREGATE:
        buf_printf(b, "%s(", names[s->aggregate]);
        if (s->field != NULL)
            tql_print_expr(b, s->field);
        buf_put_byte(b, ')');
        break;
    case TQL_SCALAR_OP:
        print_scalar_operand(b, s->left);
        buf_printf(b, " %s ", tql_op_name(s->op));
        print_scalar_operand(b, s->right);
        break;
    case TQL_SCALAR_PIPELINE:
        buf_put_byte(b, '(');
        print_pipeline(b, s->pipeline);
        buf_put_byte(b, ')');
        break;
    }
}

static void print_element(struct buf *b, const struct tql_element *e)
{
    switch (e->kind) {
    case TQL_E_SET:
        tql_print_set(b, e->set);
        break;
    case TQL_E_SCALAR_FILTER:
        print_scalar_operand(b, e->left);
        buf_printf(b, " %s ", tql_op_name(e->op));
        print_scalar_operand(b, e->right);
        break;
    case TQL_E_BY:
        buf_put_cstr(b, "by(");
        tql_print_expr(b, e->by);
        buf_put_byte(b, ')');
        break;
    case TQL_E_COALESCE:
        buf_put_cstr(b, "coalesce()");
        break;
    case TQL_E_SELECT:
        buf_put_cstr(b, "select(");
        print_attrs(b, e->select, e->select_count);
        buf_put_byte(b, ')');
        break;
    }
}

static void print_pipeline(struct buf *b, const struct tql_pipeline *p)
{
    for (const struct tql_element *e = p->first; e != NULL; e = e->next) {
        buf_put_cstr(b, e == p->first ? "" : "|");
        print_element(b, e);
    }
    if (p->aggregate != NULL) {
        buf_put_cstr(b, p->first == NULL ? "" : "|");
        tql_print_scalar(b, p->aggregate);
    }
}

// --- metrics --------------------------------------------------------------------------------------------

static void print_metrics(struct buf *b, const struct tql_metrics *m)
{
    buf_printf(b, "|%s(", tql_metric_name(m->fn));
    if (m->attr != NULL)
        tql_print_attr(b, m->attr);
    for (uint32_t i = 0; i < m->quantiles_count; i++) {
        buf_put_cstr(b, ", ");
        tql_print_number(b, m->quantiles[i]);
    }
    if (m->selection != NULL)
        tql_print_set(b, m->selection);
    const int64_t arguments[] = {m->top, m->start_ns, m->end_ns};
    for (uint32_t i = 0; i < m->arguments_count; i++)
        buf_printf(b, ", %lld", (long long)arguments[i]);
    buf_put_byte(b, ')');
    if (m->by_count > 0) {
        buf_put_cstr(b, " by (");
        print_attrs(b, m->by, m->by_count);
        buf_put_byte(b, ')');
    }
}

static void print_stage(struct buf *b, const struct tql_stage *stage)
{
    if (stage->kind == TQL_STAGE_FILTER) {
        buf_printf(b, " %s ", tql_op_name(stage->op));
        tql_print_value(b, stage->value);
    } else {
        buf_printf(b, "|%s(%lld)", stage->kind == TQL_STAGE_TOPK ? "topk" : "bottomk", (long long)stage->limit);
    }
}

void traceql_print(const struct traceql *query, struct buf *out)
{
    print_pipeline(out, &query->pipeline);
    if (query->metrics != NULL)
        print_metrics(out, query->metrics);
    for (const struct tql_stage *stage = query->stages; stage != NULL; stage = stage->next)
        print_stage(out, stage);
    for (const struct tql_hint *hint = query->hints; hint != NULL; hint = hint->next) {
        buf_printf(out, "%s%.*s=", hint->opens ? " with(" : ", ", SLICE_FMT(hint->name));
        tql_print_value(out, hint->value);
        if (hint->next == NULL || hint->next->opens)
            buf_put_byte(out, ')');
    }
}
