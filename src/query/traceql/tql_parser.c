/* tql_parser.c -- the parser's hands: next token, what was expected, errors with their positions (traceql.md 15). */
#include "query/traceql/tql_parser.h"

#include <stdarg.h>
#include <stdio.h>

bool tql_fail_at(struct tql_parser *p, const struct tql_token *t, const char *message)
{
    if (t->kind == TQL_END && t->line == 1 && t->col == 1) // an empty text has no positions
        return err_set(p->err, ERR_INPUT, "parse error : %s", message);
    return err_set(p->err, ERR_INPUT, "parse error at line %u, col %u: %s", t->line, t->col, message);
}

bool tql_advance(struct tql_parser *p)
{
    p->tok = tql_lexer_next(&p->lx);
    if (p->tok.kind == TQL_ERROR)
        return tql_fail_at(p, &p->tok, (const char *)p->tok.str.ptr);
    return true;
}

bool tql_unexpected(struct tql_parser *p, enum tql_token_kind one, enum tql_token_kind two)
{
    char message[160];
    int len = snprintf(message, sizeof message, "syntax error: unexpected %s", tql_token_name(p->tok.kind));
    if (one != TQL_END)
        len += snprintf(message + len, sizeof message - (size_t)len, ", expecting %s", tql_token_name(one));
    if (two != TQL_END)
        (void)snprintf(message + len, sizeof message - (size_t)len, " or %s", tql_token_name(two));
    return tql_fail_at(p, &p->tok, message);
}

bool tql_expect(struct tql_parser *p, enum tql_token_kind kind)
{
    return p->tok.kind == kind ? tql_advance(p) : tql_unexpected(p, kind, TQL_END);
}

bool tql_fail(struct tql_parser *p, const char *fmt, ...)
{
    char message[ERR_TEXT_BYTES];
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(message, sizeof message, fmt, args);
    va_end(args);
    return err_set(p->err, ERR_INPUT, "parse error : %s", message);
}

bool tql_memory(struct tql_parser *p, const void *ptr)
{
    return ptr != NULL || arena_ok(p->a, "query", p->err);
}

bool tql_enter(struct tql_parser *p)
{
    if (++p->depth > TRACEQL_DEPTH_MAX)
        return tql_fail(p, "the query is nested deeper than %d levels", TRACEQL_DEPTH_MAX);
    return true;
}

void tql_leave(struct tql_parser *p)
{
    p->depth--;
}

bool tql_tree(struct tql_parser *p, uint32_t depth)
{
    if (depth > TRACEQL_TREE_MAX)
        return tql_fail(p, "the query chains more than %d operands", TRACEQL_TREE_MAX);
    return true;
}
