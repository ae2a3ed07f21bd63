/*
 * parse.c -- expressions: logql.md 3 from `query` to `variants`, one function per rule.
 *
 * Errors of syntax end the parse at once. Errors of meaning (logql.md 5.2) are kept, the first of them,
 * and told when the syntax is right to the end, as the reference does; a bad regex is told at once.
 */
#include "query/logql/parser.h"

#include "query/logql/unit.h"

#include <math.h>

static bool parse_expr(struct parser *p, int precedence, struct ast **out);

static struct ast *new_ast(struct parser *p, enum ast_kind kind, uint32_t depth)
{
    struct ast *ast = arena_zalloc(p->a, sizeof *ast);
    if (ast != NULL) {
        ast->kind = kind;
        ast->depth = depth;
    }
    return ast;
}

// --- numbers ------------------------------------------------------------------------------------------

static double token_number(struct parser *p, const char *what)
{
    double value = 0;
    struct err bad;
    if (!unit_float(p->tok.text, &value, &bad))
        parser_defer(p, "unable to parse %s as a float: %s", what, bad.text);
    return value;
}

// signedNumber = [ "+" | "-" ] NUMBER
static bool parse_literal(struct parser *p, struct ast **out)
{
    bool negative = p->tok.kind == TOK_SUB;
    if (p->tok.kind != TOK_NUMBER) {
        if (!parser_advance(p))
            return false;
        if (p->tok.kind != TOK_NUMBER)
            return UNEXPECTED(p, TOK_NUMBER);
    }
    struct ast *ast = new_ast(p, AST_LITERAL, 1);
    if (!parser_memory(p, ast))
        return false;
    ast->literal = token_number(p, "literal");
    if (negative)
        ast->literal = -ast->literal;
    *out = ast;
    return parser_advance(p);
}

// --- groupings ----------------------------------------------------------------------------------------

// "(" [ IDENT { "," IDENT } ] ")"
static bool parse_names(struct parser *p, struct slice **names_out, uint32_t *count_out)
{
    size_t room = 0;
    if (!parser_expect(p, TOK_OPEN_PAREN))
        return false;
    if (p->tok.kind == TOK_CLOSE_PAREN)
        return parser_advance(p);
    if (p->tok.kind != TOK_IDENT)
        return UNEXPECTED(p, TOK_IDENT, TOK_CLOSE_PAREN);
    for (;;) {
        if (!arena_grow(p->a, (void **)names_out, sizeof **names_out, *count_out, &room))
            return parser_memory(p, NULL);
        if (!parser_expect_ident(p, &(*names_out)[*count_out]))
            return false;
        ++*count_out;
        if (p->tok.kind == TOK_CLOSE_PAREN)
            return parser_advance(p);
        if (p->tok.kind != TOK_COMMA)
            return UNEXPECTED(p, TOK_COMMA, TOK_CLOSE_PAREN);
        if (!parser_advance(p))
            return false;
    }
}

// grouping = ( "by" | "without" ) "(" [ IDENT { "," IDENT } ] ")"; NULL when there is none.
static bool parse_grouping(struct parser *p, struct ast_grouping **out)
{
    *out = NULL;
    if (p->tok.kind != TOK_BY && p->tok.kind != TOK_WITHOUT)
        return true;
    struct ast_grouping *g = arena_zalloc(p->a, sizeof *g);
    if (!parser_memory(p, g))
        return false;
    g->without = p->tok.kind == TOK_WITHOUT;
    *out = g;
    return parser_advance(p) && parse_names(p, &g->names, &g->names_count);
}

// --- log ranges ---------------------------------------------------------------------------------------

// RANGE [ "offset" DURATION ]
static bool parse_range(struct parser *p, struct ast_log_range *out)
{
    if (p->tok.kind != TOK_RANGE)
        return UNEXPECTED_HERE(p);
    out->range_ns = p->tok.duration_ns;
    if (!parser_advance(p))
        return false;
    if (p->tok.kind != TOK_OFFSET)
        return true;
    if (!parser_advance(p))
        return false;
    if (p->tok.kind != TOK_DURATION)
        return UNEXPECTED(p, TOK_DURATION);
    out->offset_ns = p->tok.duration_ns;
    return parser_advance(p);
}

// "| unwrap ..." behind a RANGE whose selector stood in parentheses.
static bool parse_unwrap_alone(struct parser *p, struct ast_log_range *out)
{
    struct ast_stage *stages = NULL;
    if (p->tok.kind != TOK_PIPE)
        return true;
    if (!parse_pipeline(p, &stages, &out->unwrap))
        return false;
    if (stages != NULL)
        parser_defer(p, "only unwrap may follow a range behind a selector in parentheses");
    return true;
}

static bool parse_log_range(struct parser *p, struct ast_log_range *out);

// Behind "(": a log range, or selector, pipeline and unwrap whose RANGE stands outside.
static bool parse_log_range_in_parens(struct parser *p, struct ast_log_range *out)
{
    if (p->tok.kind == TOK_OPEN_PAREN)
        return parse_log_range(p, out) && parser_expect(p, TOK_CLOSE_PAREN);
    if (!parse_selector(p, false, &out->logs))
        return false;
    if (p->tok.kind == TOK_RANGE)
        return parse_range(p, out) && parse_pipeline(p, &out->logs.stages, &out->unwrap) &&
               parser_expect(p, TOK_CLOSE_PAREN);
    if (!parse_pipeline(p, &out->logs.stages, &out->unwrap))
        return false;
    if (p->tok.kind == TOK_RANGE)
        return parse_range(p, out) && parser_expect(p, TOK_CLOSE_PAREN);
    if (p->tok.kind != TOK_CLOSE_PAREN)
        return UNEXPECTED_HERE(p);
    bool bare = out->logs.stages == NULL && out->unwrap == NULL;
    return parser_advance(p) && parse_range(p, out) && (!bare || parse_unwrap_alone(p, out));
}

// logRange = selector [ pipeline ] [ unwrap ] RANGE [ offset ] | ... and its four other shapes
static bool parse_log_range(struct parser *p, struct ast_log_range *out)
{
    if (p->tok.kind == TOK_OPEN_PAREN) {
        if (!parser_enter(p) || !parser_advance(p) || !parse_log_range_in_parens(p, out))
            return false;
        parser_leave(p);
        return true;
    }
    if (p->tok.kind != TOK_OPEN_BRACE)
        return UNEXPECTED(p, TOK_OPEN_BRACE, TOK_OPEN_PAREN);
    if (!parse_selector(p, false, &out->logs))
        return false;
    if (p->tok.kind == TOK_RANGE)
        return parse_range(p, out) && parse_pipeline(p, &out->logs.stages, &out->unwrap);
    return parse_pipeline(p, &out->logs.stages, &out->unwrap) && parse_range(p, out);
}

// --- range aggregations -------------------------------------------------------------------------------

static const char *range_fn_name(enum token_kind fn)
{
    switch (fn) {
    case TOK_COUNT_OVER_TIME:    return "count_over_time";
    case TOK_RATE:               return "rate";
    case TOK_RATE_COUNTER:       return "rate_counter";
    case TOK_BYTES_OVER_TIME:    return "bytes_over_time";
    case TOK_BYTES_RATE:         return "bytes_rate";
    case TOK_AVG_OVER_TIME:      return "avg_over_time";
    case TOK_SUM_OVER_TIME:      return "sum_over_time";
    case TOK_MIN_OVER_TIME:      return "min_over_time";
    case TOK_MAX_OVER_TIME:      return "max_over_time";
    case TOK_STDVAR_OVER_TIME:   return "stdvar_over_time";
    case TOK_STDDEV_OVER_TIME:   return "stddev_over_time";
    case TOK_QUANTILE_OVER_TIME: return "quantile_over_time";
    case TOK_FIRST_OVER_TIME:    return "first_over_time";
    case TOK_LAST_OVER_TIME:     return "last_over_time";
    case TOK_ABSENT_OVER_TIME:   return "absent_over_time";
    default:                     return NULL;
    }
}

// logql.md 17: what each function takes.
static void check_range_agg(struct parser *p, const struct ast *ast)
{
    enum token_kind fn = ast->range_agg.fn;
    const char *name = range_fn_name(fn);
    bool grouped = ast->range_agg.grouping != NULL, unwrapped = ast->range_agg.range.unwrap != NULL;
    bool counts = fn == TOK_COUNT_OVER_TIME || fn == TOK_BYTES_OVER_TIME || fn == TOK_BYTES_RATE;
    bool either = fn == TOK_RATE || fn == TOK_ABSENT_OVER_TIME;
    bool groups = !counts && !either && fn != TOK_SUM_OVER_TIME && fn != TOK_RATE_COUNTER;
    if (fn == TOK_QUANTILE_OVER_TIME && !ast->range_agg.has_param)
        parser_defer(p, "parameter required for operation %s", name);
    else if (fn != TOK_QUANTILE_OVER_TIME && ast->range_agg.has_param)
        parser_defer(p, "parameter %g not supported for operation %s", ast->range_agg.param, name);
    if (grouped && !groups)
        parser_defer(p, "grouping not allowed for %s aggregation", name);
    if (unwrapped && counts)
        parser_defer(p, "invalid aggregation %s with unwrap", name);
    else if (!unwrapped && !counts && !either)
        parser_defer(p, "invalid aggregation %s without unwrap", name);
}

// rangeAgg = rangeFn "(" [ NUMBER "," ] logRange ")" [ grouping ]
static bool parse_range_agg(struct parser *p, struct ast **out)
{
    struct ast *ast = new_ast(p, AST_RANGE_AGG, 1);
    if (!parser_memory(p, ast))
        return false;
    ast->range_agg.fn = p->tok.kind;
    if (!parser_advance(p) || !parser_expect(p, TOK_OPEN_PAREN))
        return false;
    if (p->tok.kind == TOK_NUMBER) {
        ast->range_agg.has_param = true;
        ast->range_agg.param = token_number(p, "parameter");
        if (!parser_advance(p) || !parser_expect(p, TOK_COMMA))
            return false;
    } else if (p->tok.kind != TOK_OPEN_BRACE && p->tok.kind != TOK_OPEN_PAREN) {
        return UNEXPECTED(p, TOK_NUMBER, TOK_OPEN_BRACE, TOK_OPEN_PAREN);
    }
    if (!parse_log_range(p, &ast->range_agg.range) || !parser_expect(p, TOK_CLOSE_PAREN) ||
        !parse_grouping(p, &ast->range_agg.grouping))
        return false;
    check_range_agg(p, ast);
    *out = ast;
    return true;
}

// --- vector aggregations ------------------------------------------------------------------------------

static const char *vector_fn_name(enum token_kind fn)
{
    switch (fn) {
    case TOK_SUM:         return "sum";
    case TOK_AVG:         return "avg";
    case TOK_COUNT:       return "count";
    case TOK_MAX:         return "max";
    case TOK_MIN:         return "min";
    case TOK_STDDEV:      return "stddev";
    case TOK_STDVAR:      return "stdvar";
    case TOK_TOPK:        return "topk";
    case TOK_BOTTOMK:     return "bottomk";
    case TOK_APPROX_TOPK: return "approx_topk";
    case TOK_SORT:        return "sort";
    case TOK_SORT_DESC:   return "sort_desc";
    default:              return NULL;
    }
}

// logql.md 18: which take k, which no grouping.
static void check_vector_agg(struct parser *p, struct ast *ast, struct slice param)
{
    enum token_kind fn = ast->vector_agg.fn;
    const char *name = vector_fn_name(fn);
    bool takes_k = fn == TOK_TOPK || fn == TOK_BOTTOMK || fn == TOK_APPROX_TOPK;
    if (takes_k && !ast->vector_agg.has_param) {
        parser_defer(p, "parameter required for operation %s", name);
    } else if (takes_k) {
        double k = 0;
        if (!unit_float(param, &k, NULL) || memchr(param.ptr, '.', param.len) != NULL ||
            k != trunc(k) || k > INT32_MAX)
            parser_defer(p, "invalid parameter %s(%.*s,", name, SLICE_FMT(param));
        else if (k <= 0)
            parser_defer(p, "invalid parameter (must be greater than 0) %s(%.*s", name,
                         SLICE_FMT(param));
        ast->vector_agg.param = k;
    } else if (ast->vector_agg.has_param) {
        parser_defer(p, "unsupported parameter for operation %s(%.*s,", name, SLICE_FMT(param));
    }
    const struct ast_grouping *g = ast->vector_agg.grouping;
    if ((fn == TOK_SORT || fn == TOK_SORT_DESC) && g != NULL && g->names_count > 0)
        parser_defer(p, "sort and sort_desc doesn't allow grouping by ");
    if (fn == TOK_APPROX_TOPK && g != NULL)
        parser_defer(p, "grouping not allowed for %s aggregation", name);
}

static bool parse_operators(struct parser *p, int precedence, struct ast *left, struct ast **out);

// A metric expression where a log query makes no sense; that is told at what follows it.
static bool metric_only(struct parser *p, const struct ast *ast)
{
    return ast->kind != AST_LOGS || UNEXPECTED_HERE(p);
}

// "(" [ NUMBER "," ] metricExpr ")"; a number without a comma begins the expression.
static bool parse_vector_arguments(struct parser *p, struct ast *ast, struct slice *param)
{
    if (!parser_enter(p) || !parser_expect(p, TOK_OPEN_PAREN))
        return false;
    if (p->tok.kind == TOK_NUMBER) {
        struct ast *literal;
        *param = p->tok.text;
        if (!parse_literal(p, &literal))
            return false;
        if (p->tok.kind == TOK_COMMA) {
            ast->vector_agg.has_param = true;
            if (!parser_advance(p) || !parse_expr(p, 0, &ast->vector_agg.inner))
                return false;
        } else if (!parse_operators(p, 0, literal, &ast->vector_agg.inner)) {
            return false;
        }
    } else if (!parse_expr(p, 0, &ast->vector_agg.inner)) {
        return false;
    }
    parser_leave(p);
    if (p->tok.kind != TOK_CLOSE_PAREN)
        return UNEXPECTED_HERE(p);
    return metric_only(p, ast->vector_agg.inner) && parser_advance(p);
}

// vectorAgg = vectorFn [ grouping ] "(" ... ")" | vectorFn "(" ... ")" [ grouping ]
static bool parse_vector_agg(struct parser *p, struct ast **out)
{
    struct slice param = SLICE("");
    struct ast *ast = new_ast(p, AST_VECTOR_AGG, 1);
    if (!parser_memory(p, ast))
        return false;
    ast->vector_agg.fn = p->tok.kind;
    if (!parser_advance(p) || !parse_grouping(p, &ast->vector_agg.grouping) ||
        !parse_vector_arguments(p, ast, &param))
        return false;
    if (ast->vector_agg.grouping == NULL && !parse_grouping(p, &ast->vector_agg.grouping))
        return false;
    ast->depth = ast->vector_agg.inner->depth + 1;
    check_vector_agg(p, ast, param);
    *out = ast;
    return true;
}

// --- vector(), label_replace(), variants() -----------------------------------------------------------

// "vector" "(" NUMBER ")"
static bool parse_vector(struct parser *p, struct ast **out)
{
    struct ast *ast = new_ast(p, AST_VECTOR, 1);
    if (!parser_memory(p, ast) || !parser_advance(p) || !parser_expect(p, TOK_OPEN_PAREN))
        return false;
    if (p->tok.kind != TOK_NUMBER)
        return UNEXPECTED(p, TOK_NUMBER);
    ast->literal = token_number(p, "vectorExpr");
    *out = ast;
    return parser_advance(p) && parser_expect(p, TOK_CLOSE_PAREN);
}

// "label_replace" "(" metricExpr "," STRING "," STRING "," STRING "," STRING ")"
static bool parse_label_replace(struct parser *p, struct ast **out)
{
    struct ast *ast = new_ast(p, AST_LABEL_REPLACE, 1);
    if (!parser_memory(p, ast) || !parser_enter(p) || !parser_advance(p) ||
        !parser_expect(p, TOK_OPEN_PAREN) || !parse_expr(p, 0, &ast->label_replace.inner))
        return false;
    parser_leave(p);
    struct slice *texts[] = {&ast->label_replace.dst, &ast->label_replace.replacement,
                             &ast->label_replace.src, &ast->label_replace.regex};
    for (size_t i = 0; i < COUNT_OF(texts); i++) {
        if (p->tok.kind != TOK_COMMA)
            return i == 0 ? UNEXPECTED_HERE(p) : UNEXPECTED(p, TOK_COMMA);
        if (i == 0 && !metric_only(p, ast->label_replace.inner))
            return false;
        if (!parser_advance(p) || !parser_expect_string(p, texts[i]))
            return false;
    }
    struct err bad;
    if (!ast_regex_add(p->regexes, ast->label_replace.regex, REGEX_WHOLE, p->a,
                       &ast->label_replace.compiled, &bad))
        parser_defer(p, "invalid regex in label_replace: %s", bad.text);
    ast->depth = ast->label_replace.inner->depth + 1;
    *out = ast;
    return parser_expect(p, TOK_CLOSE_PAREN);
}

// "variants" "(" metricExpr { "," metricExpr } ")" "of" "(" logRange ")"
static bool parse_variants(struct parser *p, struct ast **out)
{
    size_t room = 0;
    struct ast *ast = new_ast(p, AST_VARIANTS, 1);
    if (!parser_memory(p, ast) || !parser_enter(p) || !parser_advance(p) ||
        !parser_expect(p, TOK_OPEN_PAREN))
        return false;
    for (;;) {
        uint32_t *count = &ast->variants.exprs_count;
        struct ast *expr;
        if (!arena_grow(p->a, (void **)&ast->variants.exprs, sizeof expr, *count, &room))
            return parser_memory(p, NULL);
        if (!parse_expr(p, 0, &expr))
            return false;
        ast->variants.exprs[(*count)++] = expr;
        ast->depth = expr->depth + 1 > ast->depth ? expr->depth + 1 : ast->depth;
        if (p->tok.kind != TOK_COMMA && p->tok.kind != TOK_CLOSE_PAREN)
            return UNEXPECTED_HERE(p);
        bool last = p->tok.kind == TOK_CLOSE_PAREN;
        if (!metric_only(p, expr) || !parser_advance(p))
            return false;
        if (last)
            break;
    }
    parser_leave(p);
    *out = ast;
    return parser_expect(p, TOK_OF) && parser_expect(p, TOK_OPEN_PAREN) &&
           parse_log_range(p, &ast->variants.range) && parser_expect(p, TOK_CLOSE_PAREN);
}

// --- binary operations --------------------------------------------------------------------------------

// logql.md 4.1; 0: not an operator.
static int operator_precedence(enum token_kind kind)
{
    switch (kind) {
    case TOK_OR:     return 1;
    case TOK_AND:
    case TOK_UNLESS: return 2;
    case TOK_CMP_EQ:
    case TOK_NEQ:
    case TOK_LT:
    case TOK_LTE:
    case TOK_GT:
    case TOK_GTE:    return 3;
    case TOK_ADD:
    case TOK_SUB:    return 4;
    case TOK_MUL:
    case TOK_DIV:
    case TOK_MOD:    return 5;
    case TOK_POW:    return 6;
    default:         return 0;
    }
}

// matching = ( "on" | "ignoring" ) "(" [ labels ] ")" [ ( "group_left" | "group_right" ) [ "(" ... ")" ] ]
static bool parse_matching(struct parser *p, struct ast_matching **out)
{
    *out = NULL;
    if (p->tok.kind != TOK_ON && p->tok.kind != TOK_IGNORING)
        return true;
    struct ast_matching *m = arena_zalloc(p->a, sizeof *m);
    if (!parser_memory(p, m))
        return false;
    m->on = p->tok.kind == TOK_ON;
    *out = m;
    if (!parser_advance(p) || !parse_names(p, &m->names, &m->names_count))
        return false;
    if (p->tok.kind != TOK_GROUP_LEFT && p->tok.kind != TOK_GROUP_RIGHT)
        return true;
    m->group = p->tok.kind == TOK_GROUP_LEFT ? GROUP_LEFT : GROUP_RIGHT;
    if (!parser_advance(p))
        return false;
    return p->tok.kind != TOK_OPEN_PAREN || parse_names(p, &m->include, &m->include_count);
}

static const char *leg_type(const struct ast *ast)
{
    return ast->logs.stages == NULL ? "*syntax.MatchersExpr" : "*syntax.PipelineExpr";
}

// logql.md 19.1: two literals are one; x / 0 and x % 0 are NaN.
static double fold(enum token_kind op, double left, double right)
{
    switch (op) {
    case TOK_ADD:    return left + right;
    case TOK_SUB:    return left - right;
    case TOK_MUL:    return left * right;
    case TOK_DIV:    return right == 0 ? (double)NAN : left / right;
    case TOK_MOD:    return right == 0 ? (double)NAN : fmod(left, right);
    case TOK_POW:    return pow(left, right);
    case TOK_CMP_EQ: return left == right;
    case TOK_NEQ:    return left != right;
    case TOK_LT:     return left < right;
    case TOK_LTE:    return left <= right;
    case TOK_GT:     return left > right;
    default:         return left >= right;
    }
}

static bool make_binary(struct parser *p, struct ast *ast, struct ast **out)
{
    struct ast *left = ast->binary.left, *right = ast->binary.right;
    enum token_kind op = ast->binary.op;
    const char *leg = left->kind == AST_LOGS ? "left" : right->kind == AST_LOGS ? "right" : NULL;
    *out = ast;
    ast->depth = 1 + (left->depth > right->depth ? left->depth : right->depth);
    if (!parser_depth(p, ast->depth))
        return false;
    if (leg != NULL) {
        parser_defer(p, "unexpected type for %s leg of binary operation (%s): %s", leg,
                     token_name(op), leg_type(left->kind == AST_LOGS ? left : right));
        return true;
    }
    bool set = op == TOK_OR || op == TOK_AND || op == TOK_UNLESS;
    if (set && (left->kind == AST_LITERAL || right->kind == AST_LITERAL)) {
        bool of_left = left->kind == AST_LITERAL;
        parser_defer(p, "unexpected literal for %s leg of logical/set binary operation (%s): %f",
                     of_left ? "left" : "right", token_name(op),
                     of_left ? left->literal : right->literal);
        return true;
    }
    if (left->kind == AST_LITERAL && right->kind == AST_LITERAL) {
        left->literal = fold(op, left->literal, right->literal);
        *out = left;
    }
    return true;
}

// binOp = query binaryOp [ "bool" ] [ matching ] query, by climbing precedence
static bool parse_operators(struct parser *p, int precedence, struct ast *left, struct ast **out)
{
    for (;;) {
        int tightness = operator_precedence(p->tok.kind);
        if (tightness == 0 || tightness < precedence)
            break;
        struct ast *ast = new_ast(p, AST_BINARY, 0);
        if (!parser_memory(p, ast))
            return false;
        ast->binary.op = p->tok.kind;
        ast->binary.left = left;
        if (!parser_advance(p))
            return false;
        ast->binary.return_bool = p->tok.kind == TOK_BOOL;
        if (ast->binary.return_bool && !parser_advance(p))
            return false;
        bool to_the_right = ast->binary.op == TOK_POW;
        if (!parse_matching(p, &ast->binary.matching) || (to_the_right && !parser_enter(p)) ||
            !parse_expr(p, to_the_right ? tightness : tightness + 1, &ast->binary.right) ||
            !make_binary(p, ast, &left))
            return false;
        if (to_the_right)
            parser_leave(p);
    }
    *out = left;
    return true;
}

// query = "(" query ")" | logExpr | metricExpr without operators
static bool parse_operand(struct parser *p, struct ast **out)
{
    switch (p->tok.kind) {
    case TOK_OPEN_PAREN:
        if (!parser_enter(p) || !parser_advance(p) || !parse_expr(p, 0, out))
            return false;
        parser_leave(p);
        return p->tok.kind == TOK_CLOSE_PAREN ? parser_advance(p) : UNEXPECTED_HERE(p);
    case TOK_OPEN_BRACE:
        *out = new_ast(p, AST_LOGS, 1);
        return parser_memory(p, *out) && parse_selector(p, false, &(*out)->logs) &&
               parse_pipeline(p, &(*out)->logs.stages, NULL);
    case TOK_NUMBER:
    case TOK_ADD:
    case TOK_SUB:
        return parse_literal(p, out);
    case TOK_VECTOR:
        return parse_vector(p, out);
    case TOK_LABEL_REPLACE:
        return parse_label_replace(p, out);
    case TOK_VARIANTS:
        return parse_variants(p, out);
    default:
        if (range_fn_name(p->tok.kind) != NULL)
            return parse_range_agg(p, out);
        if (vector_fn_name(p->tok.kind) != NULL)
            return parse_vector_agg(p, out);
        return UNEXPECTED_HERE(p);
    }
}

static bool parse_expr(struct parser *p, int precedence, struct ast **out)
{
    struct ast *left;
    return parse_operand(p, &left) && parse_operators(p, precedence, left, out);
}

// --- entry points -------------------------------------------------------------------------------------

static bool parser_begin(struct parser *p, struct slice text, struct arena *a,
                         struct ast_regex **regexes, struct err *err)
{
    *p = (struct parser){.a = a, .regexes = regexes, .err = err};
    if (text.len >= QUERY_TEXT_BYTES_MAX)
        return parser_fail(p, "input size too long (%zu > %zu)", text.len,
                           (size_t)QUERY_TEXT_BYTES_MAX);
    uint8_t *copy = arena_alloc(a, text.len + 1);
    if (!parser_memory(p, copy))
        return false;
    if (text.len > 0)
        memcpy(copy, text.ptr, text.len);
    copy[text.len] = 0;
    lexer_init(&p->lx, slice_of(copy, text.len), a);
    return parser_advance(p);
}

static bool parser_finish(struct parser *p)
{
    if (p->tok.kind != TOK_END)
        return UNEXPECTED_HERE(p);
    if (p->deferred.code != ERR_NONE) {
        *p->err = p->deferred;
        return false;
    }
    if (p->matchers_count > QUERY_MATCHERS_MAX)
        return err_set(p->err, ERR_INPUT,
                       "max streams matchers per query exceeded, matchers-count > limit (%u > %d)",
                       p->matchers_count, QUERY_MATCHERS_MAX);
    return true;
}

bool ast_parse(struct slice text, struct arena *a, struct ast_regex **regexes, struct ast **ast_out,
               struct err *err)
{
    struct parser p;
    struct ast *ast;
    if (!parser_begin(&p, text, a, regexes, err) || !parse_expr(&p, 0, &ast) || !parser_finish(&p))
        return false;
    *ast_out = ast;
    return true;
}

bool ast_parse_selector(struct slice text, bool any, struct arena *a, struct ast_regex **regexes,
                        struct ast_logs *out, struct err *err)
{
    struct parser p;
    if (!parser_begin(&p, text, a, regexes, err))
        return false;
    // Whatever is not a selector is read as a query, for the sake of its error.
    if (p.tok.kind != TOK_OPEN_BRACE) {
        struct ast *ast;
        return parse_expr(&p, 0, &ast) && parser_finish(&p) &&
               err_set(err, ERR_INPUT, "only label matchers are supported");
    }
    if (!parse_selector(&p, any, out))
        return false;
    if (parser_at_stage(&p)) {
        struct ast_stage *stages;
        return parse_pipeline(&p, &stages, NULL) && parser_finish(&p) &&
               err_set(err, ERR_INPUT, "only label matchers are supported");
    }
    return parser_finish(&p);
}
