/*
 * ast.c -- a parsed query as text again: canonical, so that it parses to the same tree.
 */
#include "query/logql/ast.h"

#include "base/limits.h"
#include "base/shortest.h"
#include "query/logql/unit.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

// --- regexes and matchers -----------------------------------------------------------------------------

void ast_regexes_free(struct ast_regex *list)
{
    for (; list != NULL; list = list->next)
        regex_free(list->regex);
}

bool ast_regex_add(struct ast_regex **list, struct slice pattern, unsigned flags, struct arena *a,
                   struct regex **regex_out, struct err *err)
{
    uint32_t count = 0;
    for (const struct ast_regex *r = *list; r != NULL; r = r->next)
        count++;
    if (count >= QUERY_REGEXES_MAX)
        return err_set(err, ERR_INPUT, "the query has more than %d regular expressions",
                       QUERY_REGEXES_MAX);
    struct ast_regex *node = arena_zalloc(a, sizeof *node);
    if (node == NULL)
        return arena_ok(a, "query", err);
    if (!regex_compile(pattern, flags, &node->regex, err))
        return false;
    node->next = *list;
    *list = node;
    *regex_out = node->regex;
    return true;
}

bool ast_matcher_init(struct label_matcher *m, struct slice name, enum token_kind op,
                      struct slice value, unsigned regex_flags, struct ast_regex **list,
                      struct arena *a, struct err *err)
{
    *m = (struct label_matcher){.name = name, .value = value};
    m->op = op == TOK_EQ    ? MATCH_EQ
            : op == TOK_NEQ ? MATCH_NE
            : op == TOK_RE  ? MATCH_RE
                            : MATCH_NRE;
    if (m->op == MATCH_EQ || m->op == MATCH_NE)
        return true;
    struct regex *regex;
    if (!ast_regex_add(list, value, regex_flags, a, &regex, err))
        return false;
    m->regex = regex;
    m->regex_full_match = regex_match_value;
    return true;
}

// --- pieces -------------------------------------------------------------------------------------------

// Functions are named in capitals and conversions with a suffix that queries do not write.
void ast_print_token(struct buf *b, enum token_kind kind)
{
    struct slice name = slice_cstr(token_name(kind));
    if (kind == TOK_BYTES_CONV || kind == TOK_DURATION_CONV || kind == TOK_DURATION_SECONDS_CONV)
        name.len -= sizeof "_CONV" - 1;
    for (size_t i = 0; i < name.len; i++)
        buf_put_byte(b, (uint8_t)tolower(name.ptr[i]));
}

// The shortest digits that read back as the same number, with an exponent only where Go writes one.
void ast_print_number(struct buf *b, double value)
{
    char text[SHORTEST_BYTES];
    if (!isfinite(value)) {
        buf_put_cstr(b, isnan(value) ? "nan" : value > 0 ? "inf" : "-inf");
        return;
    }
    int digits = shortest_decimal(value, text), exponent = atoi(strchr(text, 'e') + 1);
    int decimals = digits - 1 - exponent;
    if (exponent >= -5 && exponent < 21)
        buf_printf(b, "%.*f", decimals > 0 ? decimals : 0, value);
    else
        buf_put_cstr(b, text);
}

static void print_duration(struct buf *b, int64_t ns, void (*print)(int64_t ns, char out[UNIT_DURATION_BYTES]))
{
    char text[UNIT_DURATION_BYTES];
    print(ns, text);
    buf_put_cstr(b, text);
}

static void print_matcher(struct buf *b, const struct label_matcher *m)
{
    static const char *const ops[] = {"=", "!=", "=~", "!~"};
    buf_put_slice(b, m->name);
    buf_put_cstr(b, ops[m->op]);
    labels_quote(b, m->value);
}

static void print_ip(struct buf *b, struct slice pattern)
{
    buf_put_cstr(b, "ip(");
    labels_quote(b, pattern);
    buf_put_cstr(b, ")");
}

static void print_names(struct buf *b, const struct slice *names, uint32_t count)
{
    buf_put_cstr(b, "(");
    for (uint32_t i = 0; i < count; i++) {
        buf_put_cstr(b, i == 0 ? "" : ",");
        buf_put_slice(b, names[i]);
    }
    buf_put_cstr(b, ")");
}

void ast_print_grouping(struct buf *b, const struct ast_grouping *g)
{
    if (g == NULL)
        return;
    buf_put_cstr(b, g->without ? " without " : " by ");
    print_names(b, g->names, g->names_count);
}

// --- stages -------------------------------------------------------------------------------------------

static void print_line_filter(struct buf *b, const struct ast_line_filter *f)
{
    static const char *const ops[] = {"|=", "!=", "|~", "!~", "|>", "!>"};
    buf_put_cstr(b, ops[f->op]);
    for (uint32_t i = 0; i < f->terms_count; i++) {
        buf_put_cstr(b, i == 0 ? " " : " or ");
        if (f->terms[i].ip)
            print_ip(b, f->terms[i].text);
        else
            labels_quote(b, f->terms[i].text);
    }
}

static void print_label_filter(struct buf *b, const struct ast_label_filter *f)
{
    static const char *const ops[] = {"==", "!=", ">", ">=", "<", "<="};
    switch (f->kind) {
    case LABEL_FILTER_AND:
    case LABEL_FILTER_OR:
        buf_put_cstr(b, "( ");
        print_label_filter(b, f->left);
        buf_put_cstr(b, f->kind == LABEL_FILTER_AND ? " , " : " or ");
        print_label_filter(b, f->right);
        buf_put_cstr(b, " )");
        return;
    case LABEL_FILTER_STRING:
        print_matcher(b, &f->matcher);
        return;
    case LABEL_FILTER_IP:
        buf_put_slice(b, f->name);
        buf_put_cstr(b, f->op == COMPARE_EQ ? "=" : "!=");
        print_ip(b, f->text);
        return;
    default:
        break;
    }
    buf_put_slice(b, f->name);
    buf_put_cstr(b, ops[f->op]);
    if (f->kind == LABEL_FILTER_NUMBER)
        ast_print_number(b, f->number);
    else if (f->kind == LABEL_FILTER_DURATION)
        print_duration(b, f->duration_ns, unit_print_go_duration);
    else
        buf_put_slice(b, f->text);
}

static void print_assigns(struct buf *b, const struct ast_stage *stage)
{
    for (uint32_t i = 0; i < stage->assigns_count; i++) {
        const struct ast_assign *assign = &stage->assigns[i];
        buf_put_cstr(b, i == 0 ? " " : ",");
        buf_put_slice(b, assign->name);
        buf_put_cstr(b, "=");
        if (assign->rename)
            buf_put_slice(b, assign->value);
        else
            labels_quote(b, assign->value);
    }
}

static void print_named(struct buf *b, const struct ast_stage *stage)
{
    for (uint32_t i = 0; i < stage->named_count; i++) {
        buf_put_cstr(b, i == 0 ? " " : ",");
        if (stage->named[i].has_matcher)
            print_matcher(b, &stage->named[i].matcher);
        else
            buf_put_slice(b, stage->named[i].matcher.name);
    }
}

void ast_print_stage(struct buf *b, const struct ast_stage *stage)
{
    static const char *const words[] = {
        [STAGE_JSON] = "json",
        [STAGE_LOGFMT] = "logfmt",
        [STAGE_REGEXP] = "regexp",
        [STAGE_PATTERN] = "pattern",
        [STAGE_UNPACK] = "unpack",
        [STAGE_LINE_FORMAT] = "line_format",
        [STAGE_LABEL_FORMAT] = "label_format",
        [STAGE_DECOLORIZE] = "decolorize",
        [STAGE_DROP] = "drop",
        [STAGE_KEEP] = "keep",
    };
    if (stage->kind == STAGE_LINE_FILTER) {
        print_line_filter(b, &stage->filter);
        return;
    }
    buf_put_cstr(b, "| ");
    if (stage->kind == STAGE_LABEL_FILTER) {
        print_label_filter(b, stage->label_filter);
        return;
    }
    if (stage->kind == STAGE_TRACE_ID) {
        buf_put_cstr(b, "trace_id(");
        labels_quote(b, stage->text);
        buf_put_cstr(b, ")");
        return;
    }
    buf_put_cstr(b, words[stage->kind]);
    if (stage->strict)
        buf_put_cstr(b, " --strict");
    if (stage->keep_empty)
        buf_put_cstr(b, " --keep-empty");
    if (stage->text.ptr != NULL) {
        buf_put_cstr(b, " ");
        labels_quote(b, stage->text);
    }
    print_assigns(b, stage);
    print_named(b, stage);
}

static void print_stages(struct buf *b, const struct ast_stage *stages)
{
    for (; stages != NULL; stages = stages->next) {
        buf_put_cstr(b, " ");
        ast_print_stage(b, stages);
    }
}

// --- expressions --------------------------------------------------------------------------------------

void ast_print_selector(struct buf *b, const struct ast_logs *logs)
{
    buf_put_cstr(b, "{");
    for (uint32_t i = 0; i < logs->matchers_count; i++) {
        buf_put_cstr(b, i == 0 ? "" : ", ");
        print_matcher(b, &logs->matchers[i]);
    }
    buf_put_cstr(b, "}");
}

static void print_logs(struct buf *b, const struct ast_logs *logs)
{
    ast_print_selector(b, logs);
    print_stages(b, logs->stages);
}

void ast_print_unwrap(struct buf *b, const struct ast_unwrap *unwrap)
{
    static const enum token_kind conversions[] = {
        [UNWRAP_BYTES] = TOK_BYTES_CONV,
        [UNWRAP_DURATION] = TOK_DURATION_CONV,
        [UNWRAP_DURATION_SECONDS] = TOK_DURATION_SECONDS_CONV,
    };
    buf_put_cstr(b, "| unwrap ");
    bool converts = unwrap->conversion != UNWRAP_PLAIN;
    if (converts) {
        ast_print_token(b, conversions[unwrap->conversion]);
        buf_put_cstr(b, "(");
    }
    buf_put_slice(b, unwrap->name);
    buf_put_cstr(b, converts ? ")" : "");
    print_stages(b, unwrap->filters);
}

void ast_print_interval(struct buf *b, const struct ast_log_range *range)
{
    buf_put_cstr(b, "[");
    print_duration(b, range->range_ns, unit_print_duration);
    buf_put_cstr(b, "]");
    if (range->offset_ns != 0) {
        buf_put_cstr(b, " offset ");
        print_duration(b, range->offset_ns, unit_print_go_duration);
    }
}

static void print_log_range(struct buf *b, const struct ast_log_range *range)
{
    print_logs(b, &range->logs);
    if (range->unwrap != NULL) {
        buf_put_cstr(b, " ");
        ast_print_unwrap(b, range->unwrap);
    }
    ast_print_interval(b, range);
}

void ast_print_operator(struct buf *b, const struct ast *ast)
{
    const struct ast_matching *m = ast->binary.matching;
    ast_print_token(b, ast->binary.op);
    buf_put_cstr(b, ast->binary.return_bool ? " bool" : "");
    if (m == NULL)
        return;
    buf_put_cstr(b, m->on ? " on " : " ignoring ");
    print_names(b, m->names, m->names_count);
    if (m->group != GROUP_NONE) {
        buf_put_cstr(b, m->group == GROUP_LEFT ? " group_left " : " group_right ");
        print_names(b, m->include, m->include_count);
    }
}

// With six decimals, unless that is another number.
static void print_vector(struct buf *b, double value)
{
    char text[400];
    double back;
    (void)snprintf(text, sizeof text, "%f", value);
    if (unit_float(slice_cstr(text), &back, NULL) && back == value)
        buf_put_cstr(b, text);
    else
        ast_print_number(b, value);
}

static void print_binary(struct buf *b, const struct ast *ast)
{
    buf_put_cstr(b, "(");
    ast_print(b, ast->binary.left);
    buf_put_cstr(b, " ");
    ast_print_operator(b, ast);
    buf_put_cstr(b, " ");
    ast_print(b, ast->binary.right);
    buf_put_cstr(b, ")");
}

static void print_range_agg(struct buf *b, const struct ast *ast)
{
    ast_print_token(b, ast->range_agg.fn);
    buf_put_cstr(b, "(");
    if (ast->range_agg.has_param) {
        ast_print_number(b, ast->range_agg.param);
        buf_put_cstr(b, ",");
    }
    print_log_range(b, &ast->range_agg.range);
    buf_put_cstr(b, ")");
    ast_print_grouping(b, ast->range_agg.grouping);
}

static void print_vector_agg(struct buf *b, const struct ast *ast)
{
    ast_print_token(b, ast->vector_agg.fn);
    ast_print_grouping(b, ast->vector_agg.grouping);
    buf_put_cstr(b, "(");
    if (ast->vector_agg.has_param) {
        ast_print_number(b, ast->vector_agg.param);
        buf_put_cstr(b, ",");
    }
    ast_print(b, ast->vector_agg.inner);
    buf_put_cstr(b, ")");
}

static void print_variants(struct buf *b, const struct ast *ast)
{
    buf_put_cstr(b, "variants(");
    for (uint32_t i = 0; i < ast->variants.exprs_count; i++) {
        buf_put_cstr(b, i == 0 ? "" : ", ");
        ast_print(b, ast->variants.exprs[i]);
    }
    buf_put_cstr(b, ") of (");
    print_log_range(b, &ast->variants.range);
    buf_put_cstr(b, ")");
}

void ast_print(struct buf *b, const struct ast *ast)
{
    switch (ast->kind) {
    case AST_LOGS:
        print_logs(b, &ast->logs);
        return;
    case AST_RANGE_AGG:
        print_range_agg(b, ast);
        return;
    case AST_VECTOR_AGG:
        print_vector_agg(b, ast);
        return;
    case AST_BINARY:
        print_binary(b, ast);
        return;
    case AST_LITERAL:
        ast_print_number(b, ast->literal);
        return;
    case AST_VECTOR:
        buf_put_cstr(b, "vector(");
        print_vector(b, ast->literal);
        buf_put_cstr(b, ")");
        return;
    case AST_VARIANTS:
        print_variants(b, ast);
        return;
    case AST_LABEL_REPLACE:
        buf_put_cstr(b, "label_replace(");
        ast_print(b, ast->label_replace.inner);
        const struct slice texts[] = {ast->label_replace.dst, ast->label_replace.replacement,
                                      ast->label_replace.src, ast->label_replace.regex};
        for (size_t i = 0; i < COUNT_OF(texts); i++) {
            buf_put_cstr(b, ",");
            labels_quote(b, texts[i]);
        }
        buf_put_cstr(b, ")");
        return;
    }
}
