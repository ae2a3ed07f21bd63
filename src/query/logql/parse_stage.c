/*
 * parse_stage.c -- selectors and pipelines: logql.md 3 from `selector` to `named`.
 */
#include "query/logql/parser.h"

#include "base/hex.h"
#include "query/logql/unit.h"
#include "store/span.h"

// --- selectors ----------------------------------------------------------------------------------------

bool parse_matcher_rest(struct parser *p, struct slice name, unsigned regex_flags,
                        struct label_matcher *out)
{
    enum token_kind op = p->tok.kind;
    if (op != TOK_EQ && op != TOK_RE && op != TOK_NRE && op != TOK_NEQ)
        return UNEXPECTED(p, TOK_EQ, TOK_RE, TOK_NRE, TOK_NEQ);
    if (!parser_advance(p))
        return false;
    if (p->tok.kind != TOK_STRING)
        return UNEXPECTED(p, TOK_STRING);
    struct err bad;
    if (!ast_matcher_init(out, name, op, p->tok.str, regex_flags, p->regexes, p->a, &bad))
        return parser_fail(p, "%s", bad.text);
    return parser_advance(p);
}

// A selector must have a matcher that an absent label does not satisfy.
static void check_selector(struct parser *p, const struct ast_logs *logs)
{
    for (uint32_t i = 0; i < logs->matchers_count; i++)
        if (!label_matcher_test(&logs->matchers[i], SLICE("")))
            return;
    parser_defer(p, "queries require at least one regexp or equality matcher that does not have an "
                    "empty-compatible value. For instance, app=~\".*\" does not meet this "
                    "requirement, but app=~\".+\" will");
}

// selector = "{" [ matcher { "," matcher } ] "}"
bool parse_selector(struct parser *p, bool any, struct ast_logs *out)
{
    size_t room = 0;
    *out = (struct ast_logs){0};
    if (!parser_expect(p, TOK_OPEN_BRACE))
        return false;
    if (p->tok.kind != TOK_CLOSE_BRACE && p->tok.kind != TOK_IDENT)
        return UNEXPECTED(p, TOK_IDENT, TOK_CLOSE_BRACE);
    while (p->tok.kind != TOK_CLOSE_BRACE) {
        struct slice name;
        if (!arena_grow(p->a, (void **)&out->matchers, sizeof *out->matchers, out->matchers_count,
                        &room))
            return parser_memory(p, NULL);
        if (!parser_expect_ident(p, &name) ||
            !parse_matcher_rest(p, name, REGEX_WHOLE | REGEX_DOT_NEWLINE,
                                &out->matchers[out->matchers_count]))
            return false;
        out->matchers_count++;
        p->matchers_count++;
        if (p->tok.kind == TOK_CLOSE_BRACE)
            break;
        if (p->tok.kind != TOK_COMMA)
            return UNEXPECTED(p, TOK_CLOSE_BRACE, TOK_COMMA);
        if (!parser_advance(p))
            return false;
        if (p->tok.kind != TOK_IDENT)
            return UNEXPECTED(p, TOK_IDENT);
    }
    if (!any)
        check_selector(p, out);
    return parser_advance(p);
}

// --- line filters -------------------------------------------------------------------------------------

static bool filter_op(enum token_kind kind, enum filter_op *op_out)
{
    switch (kind) {
    case TOK_PIPE_EXACT:   *op_out = FILTER_CONTAINS;     return true;
    case TOK_NEQ:          *op_out = FILTER_NOT_CONTAINS; return true;
    case TOK_PIPE_MATCH:   *op_out = FILTER_MATCH;        return true;
    case TOK_NRE:          *op_out = FILTER_NOT_MATCH;    return true;
    case TOK_PIPE_PATTERN: *op_out = FILTER_PATTERN;      return true;
    case TOK_NPA:          *op_out = FILTER_NOT_PATTERN;  return true;
    default:               return false;
    }
}

bool parser_at_stage(const struct parser *p)
{
    enum filter_op op;
    return p->tok.kind == TOK_PIPE || filter_op(p->tok.kind, &op);
}

// ip = "ip" "(" STRING ")"
static bool parse_ip(struct parser *p, struct slice *out)
{
    return parser_expect(p, TOK_IP) && parser_expect(p, TOK_OPEN_PAREN) &&
           parser_expect_string(p, out) && parser_expect(p, TOK_CLOSE_PAREN);
}

// lineFilter = filterOp ( STRING | ip ) { "or" ( STRING | ip ) }
static bool parse_line_filter(struct parser *p, enum filter_op op, struct ast_stage *stage)
{
    size_t room = 0;
    struct ast_line_filter *f = &stage->filter;
    stage->kind = STAGE_LINE_FILTER;
    *f = (struct ast_line_filter){.op = op};
    do {
        if (!parser_advance(p)) // the operator, or `or`
            return false;
        if (!arena_grow(p->a, (void **)&f->terms, sizeof *f->terms, f->terms_count, &room))
            return parser_memory(p, NULL);
        struct ast_filter_term *term = &f->terms[f->terms_count++];
        *term = (struct ast_filter_term){.ip = p->tok.kind == TOK_IP};
        if (p->tok.kind == TOK_STRING) {
            if (!parser_expect_string(p, &term->text))
                return false;
        } else if (p->tok.kind != TOK_IP) {
            return UNEXPECTED(p, TOK_STRING, TOK_IP);
        } else if (!parse_ip(p, &term->text)) {
            return false;
        }
    } while (p->tok.kind == TOK_OR);
    return true;
}

// --- label filters ------------------------------------------------------------------------------------

static struct ast_label_filter *new_label_filter(struct parser *p, enum label_filter_kind kind)
{
    struct ast_label_filter *f = arena_zalloc(p->a, sizeof *f);
    if (f != NULL) {
        f->kind = kind;
        f->depth = 1;
    }
    return f;
}

static bool compare_op(enum token_kind kind, enum compare_op *op_out)
{
    switch (kind) {
    case TOK_EQ:
    case TOK_CMP_EQ: *op_out = COMPARE_EQ;  return true;
    case TOK_NEQ:    *op_out = COMPARE_NE;  return true;
    case TOK_GT:     *op_out = COMPARE_GT;  return true;
    case TOK_GTE:    *op_out = COMPARE_GTE; return true;
    case TOK_LT:     *op_out = COMPARE_LT;  return true;
    case TOK_LTE:    *op_out = COMPARE_LTE; return true;
    default:         return false;
    }
}

// signedNumber = [ "+" | "-" ] NUMBER
static bool parse_filter_number(struct parser *p, struct ast_label_filter *f)
{
    bool negative = p->tok.kind == TOK_SUB;
    if (p->tok.kind == TOK_SUB || p->tok.kind == TOK_ADD) {
        if (!parser_advance(p))
            return false;
        if (p->tok.kind != TOK_NUMBER)
            return UNEXPECTED(p, TOK_NUMBER);
    }
    struct err bad;
    if (!unit_float(p->tok.text, &f->number, &bad))
        parser_defer(p, "unable to parse float: %s", bad.text);
    if (negative)
        f->number = -f->number;
    f->kind = LABEL_FILTER_NUMBER;
    return parser_advance(p);
}

// What stands behind IDENT: a string with = != =~ !~, ip() with = !=, or a typed value with any order.
static bool parse_comparison(struct parser *p, struct slice name, struct ast_label_filter *f)
{
    enum token_kind op = p->tok.kind;
    bool equality = op == TOK_EQ || op == TOK_NEQ;
    if (op == TOK_RE || op == TOK_NRE)
        return parse_matcher_rest(p, name, REGEX_WHOLE, &f->matcher);
    if (!compare_op(op, &f->op))
        return UNEXPECTED_HERE(p);
    f->name = name;
    if (!parser_advance(p))
        return false;
    switch (p->tok.kind) {
    case TOK_STRING:
        if (!equality)
            return UNEXPECTED_HERE(p);
        f->matcher = (struct label_matcher){
            .name = name, .op = op == TOK_EQ ? MATCH_EQ : MATCH_NE, .value = p->tok.str};
        return parser_advance(p);
    case TOK_IP:
        if (!equality)
            return UNEXPECTED_HERE(p);
        f->kind = LABEL_FILTER_IP;
        return parse_ip(p, &f->text);
    case TOK_DURATION:
        f->kind = LABEL_FILTER_DURATION;
        f->duration_ns = p->tok.duration_ns;
        return parser_advance(p);
    case TOK_BYTES:
        f->kind = LABEL_FILTER_BYTES;
        f->bytes = p->tok.bytes;
        f->text = p->tok.text;
        return parser_advance(p);
    case TOK_NUMBER:
    case TOK_ADD:
    case TOK_SUB:
        return parse_filter_number(p, f);
    default:
        return UNEXPECTED_HERE(p);
    }
}

static bool parse_label_filter(struct parser *p, int precedence, uint32_t chain,
                               const struct ast_label_filter **out);

// A comparison, or a label filter in parentheses.
static bool parse_filter_primary(struct parser *p, const struct ast_label_filter **out)
{
    if (p->tok.kind == TOK_OPEN_PAREN) {
        if (!parser_enter(p) || !parser_advance(p) || !parse_label_filter(p, 0, 0, out))
            return false;
        parser_leave(p);
        return p->tok.kind == TOK_CLOSE_PAREN ? parser_advance(p) : UNEXPECTED_HERE(p);
    }
    struct slice name;
    if (p->tok.kind != TOK_IDENT)
        return UNEXPECTED(p, TOK_IDENT, TOK_OPEN_PAREN);
    if (!parser_expect_ident(p, &name))
        return false;
    struct ast_label_filter *f = new_label_filter(p, LABEL_FILTER_STRING);
    *out = f;
    return parser_memory(p, f) && parse_comparison(p, name, f);
}

static bool join_filters(struct parser *p, enum label_filter_kind kind,
                         const struct ast_label_filter *left, const struct ast_label_filter *right,
                         const struct ast_label_filter **out)
{
    struct ast_label_filter *f = new_label_filter(p, kind);
    if (!parser_memory(p, f))
        return false;
    f->left = left;
    f->right = right;
    f->depth = 1 + (left->depth > right->depth ? left->depth : right->depth);
    *out = f;
    return parser_depth(p, f->depth);
}

// logql.md 4.2: comma and juxtaposition take everything to their right, and one filter to their left.
static bool parse_label_filter(struct parser *p, int precedence, uint32_t chain,
                               const struct ast_label_filter **out)
{
    const struct ast_label_filter *left, *right;
    if (!parser_depth(p, chain) || !parse_filter_primary(p, &left))
        return false;
    bool comma = p->tok.kind == TOK_COMMA;
    if (comma || p->tok.kind == TOK_IDENT || p->tok.kind == TOK_OPEN_PAREN) {
        if (comma && !parser_advance(p))
            return false;
        if (!parse_label_filter(p, 0, chain + 1, &right) ||
            !join_filters(p, LABEL_FILTER_AND, left, right, &left))
            return false;
    }
    for (;;) {
        int tightness = p->tok.kind == TOK_AND ? 2 : p->tok.kind == TOK_OR ? 1 : -1;
        if (tightness < precedence)
            break;
        if (!parser_advance(p) || !parse_label_filter(p, tightness + 1, chain + 1, &right) ||
            !join_filters(p, tightness == 2 ? LABEL_FILTER_AND : LABEL_FILTER_OR, left, right,
                          &left))
            return false;
    }
    *out = left;
    return true;
}

// --- parsers, formats, drop and keep --------------------------------------------------------------------

// extractList = extract { "," extract };  extract = IDENT [ "=" STRING ]
static bool parse_extract_list(struct parser *p, struct ast_stage *stage)
{
    size_t room = 0;
    if (p->tok.kind != TOK_IDENT)
        return true;
    for (;;) {
        if (!arena_grow(p->a, (void **)&stage->assigns, sizeof *stage->assigns,
                        stage->assigns_count, &room))
            return parser_memory(p, NULL);
        struct ast_assign *assign = &stage->assigns[stage->assigns_count++];
        *assign = (struct ast_assign){0};
        if (!parser_expect_ident(p, &assign->name))
            return false;
        assign->value = assign->name;
        if (p->tok.kind == TOK_EQ &&
            (!parser_advance(p) || !parser_expect_string(p, &assign->value)))
            return false;
        if (p->tok.kind != TOK_COMMA)
            return true;
        if (!parser_advance(p))
            return false;
    }
}

// "label_format" fmt { "," fmt };  fmt = IDENT "=" ( IDENT | STRING )
static bool parse_label_format(struct parser *p, struct ast_stage *stage)
{
    size_t room = 0;
    for (;;) {
        if (!arena_grow(p->a, (void **)&stage->assigns, sizeof *stage->assigns,
                        stage->assigns_count, &room))
            return parser_memory(p, NULL);
        struct ast_assign *assign = &stage->assigns[stage->assigns_count++];
        *assign = (struct ast_assign){0};
        if (!parser_expect_ident(p, &assign->name) || !parser_expect(p, TOK_EQ))
            return false;
        if (p->tok.kind != TOK_IDENT && p->tok.kind != TOK_STRING)
            return UNEXPECTED(p, TOK_IDENT, TOK_STRING);
        assign->rename = p->tok.kind == TOK_IDENT;
        assign->value = assign->rename ? p->tok.text : p->tok.str;
        if (!parser_advance(p))
            return false;
        if (p->tok.kind != TOK_COMMA)
            return true;
        if (!parser_advance(p))
            return false;
    }
}

// named { "," named };  named = IDENT | matcher
static bool parse_named_list(struct parser *p, struct ast_stage *stage)
{
    size_t room = 0;
    for (;;) {
        if (!arena_grow(p->a, (void **)&stage->named, sizeof *stage->named, stage->named_count,
                        &room))
            return parser_memory(p, NULL);
        struct ast_named *named = &stage->named[stage->named_count++];
        *named = (struct ast_named){0};
        if (!parser_expect_ident(p, &named->matcher.name))
            return false;
        enum token_kind next = p->tok.kind;
        if (next == TOK_EQ || next == TOK_NEQ || next == TOK_RE || next == TOK_NRE) {
            named->has_matcher = true;
            if (!parse_matcher_rest(p, named->matcher.name, REGEX_WHOLE | REGEX_DOT_NEWLINE,
                                    &named->matcher))
                return false;
        }
        if (p->tok.kind != TOK_COMMA)
            return true;
        if (!parser_advance(p))
            return false;
    }
}

// traceID = "trace_id" "(" STRING ")": not in LogQL. Up to 32 hex digits.
static bool parse_trace_id(struct parser *p, struct ast_stage *stage)
{
    uint8_t id[TRACE_ID_BYTES];
    stage->kind = STAGE_TRACE_ID;
    if (!parser_expect(p, TOK_TRACE_ID) || !parser_expect(p, TOK_OPEN_PAREN) || !parser_expect_string(p, &stage->text))
        return false;
    if (!hex_decode(stage->text, id, sizeof id))
        return parser_fail(p, "trace_id: expected up to %d hex digits", 2 * TRACE_ID_BYTES);
    return parser_expect(p, TOK_CLOSE_PAREN);
}

// What stands behind "|".
static bool parse_pipe_stage(struct parser *p, struct ast_stage *stage)
{
    static const struct {
        enum token_kind token;
        enum ast_stage_kind kind;
    } words[] = {
        {TOK_JSON, STAGE_JSON},         {TOK_LOGFMT, STAGE_LOGFMT},
        {TOK_REGEXP, STAGE_REGEXP},     {TOK_PATTERN, STAGE_PATTERN},
        {TOK_UNPACK, STAGE_UNPACK},     {TOK_LINE_FORMAT, STAGE_LINE_FORMAT},
        {TOK_DROP, STAGE_DROP},         {TOK_LABEL_FORMAT, STAGE_LABEL_FORMAT},
        {TOK_KEEP, STAGE_KEEP},         {TOK_DECOLORIZE, STAGE_DECOLORIZE},
    };
    if (p->tok.kind == TOK_IDENT || p->tok.kind == TOK_OPEN_PAREN) {
        stage->kind = STAGE_LABEL_FILTER;
        return parse_label_filter(p, 0, 0, &stage->label_filter);
    }
    if (p->tok.kind == TOK_TRACE_ID)
        return parse_trace_id(p, stage);
    size_t at = 0;
    while (at < COUNT_OF(words) && words[at].token != p->tok.kind)
        at++;
    if (at == COUNT_OF(words))
        return UNEXPECTED_HERE(p);
    stage->kind = words[at].kind;
    if (!parser_advance(p))
        return false;
    switch (stage->kind) {
    case STAGE_REGEXP:
    case STAGE_PATTERN:
    case STAGE_LINE_FORMAT:
        return parser_expect_string(p, &stage->text);
    case STAGE_LOGFMT:
        for (; p->tok.kind == TOK_FLAG;) {
            if (slice_eq(p->tok.text, SLICE("--strict")))
                stage->strict = true;
            else
                stage->keep_empty = true;
            if (!parser_advance(p))
                return false;
        }
        return parse_extract_list(p, stage);
    case STAGE_JSON:
        return parse_extract_list(p, stage);
    case STAGE_LABEL_FORMAT:
        return parse_label_format(p, stage);
    case STAGE_DROP:
    case STAGE_KEEP:
        return parse_named_list(p, stage);
    default: // unpack, decolorize
        return true;
    }
}

// unwrap = "|" "unwrap" ( IDENT | conv "(" IDENT ")" ) { "|" labelFilter }, from behind "|"
static bool parse_unwrap(struct parser *p, struct ast_unwrap **out)
{
    struct ast_unwrap *u = arena_zalloc(p->a, sizeof *u);
    if (!parser_memory(p, u) || !parser_expect(p, TOK_UNWRAP))
        return false;
    *out = u;
    if (p->tok.kind == TOK_IDENT) {
        if (!parser_expect_ident(p, &u->name))
            return false;
    } else {
        switch (p->tok.kind) {
        case TOK_BYTES_CONV:            u->conversion = UNWRAP_BYTES;            break;
        case TOK_DURATION_CONV:         u->conversion = UNWRAP_DURATION;         break;
        case TOK_DURATION_SECONDS_CONV: u->conversion = UNWRAP_DURATION_SECONDS; break;
        default:
            return UNEXPECTED(p, TOK_IDENT, TOK_BYTES_CONV, TOK_DURATION_CONV,
                              TOK_DURATION_SECONDS_CONV);
        }
        if (!parser_advance(p) || !parser_expect(p, TOK_OPEN_PAREN) ||
            !parser_expect_ident(p, &u->name) || !parser_expect(p, TOK_CLOSE_PAREN))
            return false;
    }
    struct ast_stage **link = &u->filters;
    while (p->tok.kind == TOK_PIPE) {
        struct ast_stage *stage = arena_zalloc(p->a, sizeof *stage);
        if (!parser_memory(p, stage) || !parser_advance(p))
            return false;
        stage->kind = STAGE_LABEL_FILTER;
        if (!parse_label_filter(p, 0, 0, &stage->label_filter))
            return false;
        *link = stage;
        link = &stage->next;
    }
    return true;
}

bool parse_pipeline(struct parser *p, struct ast_stage **stages_out, struct ast_unwrap **unwrap_out)
{
    struct ast_stage **link = stages_out;
    uint32_t count = 0;
    *stages_out = NULL;
    while (parser_at_stage(p)) {
        struct ast_stage *stage = arena_zalloc(p->a, sizeof *stage);
        enum filter_op op;
        if (!parser_memory(p, stage) || !parser_depth(p, ++count))
            return false;
        if (filter_op(p->tok.kind, &op)) {
            if (!parse_line_filter(p, op, stage))
                return false;
        } else {
            if (!parser_advance(p))
                return false;
            if (unwrap_out != NULL && p->tok.kind == TOK_UNWRAP)
                return parse_unwrap(p, unwrap_out);
            if (!parse_pipe_stage(p, stage))
                return false;
        }
        *link = stage;
        link = &stage->next;
    }
    return true;
}
