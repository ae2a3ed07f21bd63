/*
 * pretty.c -- ast_pretty(): long expressions on several lines (loki-http.md 14).
 *
 * Whatever fits one line stays on it. What does not is opened: an argument or a stage a line, two blanks
 * deeper.
 */
#include "query/logql/ast.h"

enum { INDENT_BLANKS = 2 };

static void indent(struct buf *b, unsigned level)
{
    for (unsigned i = 0; i < level * INDENT_BLANKS; i++)
        buf_put_byte(b, ' ');
}

// Prints on one line; false, with nothing printed, when that would be too long.
static bool fits(struct buf *b, const struct ast *ast)
{
    size_t before = b->len;
    ast_print(b, ast);
    if (b->len - before <= AST_LINE_BYTES)
        return true;
    b->len = before;
    return false;
}

static void print_logs(struct buf *b, const struct ast_logs *logs, unsigned level)
{
    ast_print_selector(b, logs);
    for (const struct ast_stage *s = logs->stages; s != NULL; s = s->next) {
        buf_put_byte(b, '\n');
        indent(b, level + 1);
        ast_print_stage(b, s);
    }
}

static void print_log_range(struct buf *b, const struct ast_log_range *range, unsigned level)
{
    indent(b, level);
    print_logs(b, &range->logs, level);
    if (range->unwrap != NULL) {
        buf_put_byte(b, '\n');
        indent(b, level + 1);
        ast_print_unwrap(b, range->unwrap);
    }
    buf_put_byte(b, ' ');
    ast_print_interval(b, range);
}

static void print_param(struct buf *b, bool has_param, double param, unsigned level)
{
    if (!has_param)
        return;
    indent(b, level);
    ast_print_number(b, param);
    buf_put_cstr(b, ",\n");
}

static void print(struct buf *b, const struct ast *ast, unsigned level);

static void print_on_line(struct buf *b, const struct ast *ast, unsigned level)
{
    indent(b, level);
    print(b, ast, level);
}

static void close(struct buf *b, unsigned level)
{
    buf_put_byte(b, '\n');
    indent(b, level);
    buf_put_byte(b, ')');
}

static void print_label_replace(struct buf *b, const struct ast *ast, unsigned level)
{
    buf_put_cstr(b, "label_replace(\n");
    print_on_line(b, ast->label_replace.inner, level + 1);
    const struct slice texts[] = {ast->label_replace.dst, ast->label_replace.replacement, ast->label_replace.src,
                                  ast->label_replace.regex};
    for (size_t i = 0; i < COUNT_OF(texts); i++) {
        buf_put_cstr(b, ",\n");
        indent(b, level + 1);
        labels_quote(b, texts[i]);
    }
    close(b, level);
}

// From where the line is already indented to the end of the last line.
static void print(struct buf *b, const struct ast *ast, unsigned level)
{
    if (fits(b, ast))
        return;
    switch (ast->kind) {
    case AST_LOGS:
        print_logs(b, &ast->logs, level);
        return;
    case AST_RANGE_AGG:
        ast_print_token(b, ast->range_agg.fn);
        buf_put_cstr(b, "(\n");
        print_param(b, ast->range_agg.has_param, ast->range_agg.param, level + 1);
        print_log_range(b, &ast->range_agg.range, level + 1);
        close(b, level);
        ast_print_grouping(b, ast->range_agg.grouping);
        return;
    case AST_VECTOR_AGG:
        ast_print_token(b, ast->vector_agg.fn);
        ast_print_grouping(b, ast->vector_agg.grouping);
        buf_put_cstr(b, "(\n");
        print_param(b, ast->vector_agg.has_param, ast->vector_agg.param, level + 1);
        print_on_line(b, ast->vector_agg.inner, level + 1);
        close(b, level);
        return;
    case AST_BINARY:
        buf_put_cstr(b, "(\n");
        print_on_line(b, ast->binary.left, level + 1);
        buf_put_byte(b, '\n');
        indent(b, level);
        ast_print_operator(b, ast);
        buf_put_byte(b, '\n');
        print_on_line(b, ast->binary.right, level + 1);
        close(b, level);
        return;
    case AST_LABEL_REPLACE:
        print_label_replace(b, ast, level);
        return;
    default: // nothing to open
        ast_print(b, ast);
        return;
    }
}

void ast_pretty(struct buf *b, const struct ast *ast)
{
    print(b, ast, 0);
}
