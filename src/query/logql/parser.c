/*
 * parser.c -- the parser's hands: next token, what was expected, errors with their positions.
 */
#include "query/logql/parser.h"

#include <stdarg.h>
#include <stdio.h>

static bool fail_at(struct parser *p, const char *message)
{
    if (p->tok.line == 0 && p->tok.col == 0)
        return err_set(p->err, ERR_INPUT, "parse error : %s", message);
    return err_set(p->err, ERR_INPUT, "parse error at line %u, col %u: %s", p->tok.line,
                   p->tok.col, message);
}

bool parser_advance(struct parser *p)
{
    p->tok = lexer_next(&p->lx);
    if (p->tok.kind == TOK_ERROR)
        return fail_at(p, (const char *)p->tok.str.ptr);
    return true;
}

bool parser_unexpected(struct parser *p, const enum token_kind *expected, size_t count)
{
    char message[256];
    int len = snprintf(message, sizeof message, "syntax error: unexpected %s",
                       token_name(p->tok.kind));
    for (size_t i = 0; i < count && count <= 4; i++)
        len += snprintf(message + len, sizeof message - (size_t)len, "%s%s",
                        i == 0 ? ", expecting " : " or ", token_name(expected[i]));
    return fail_at(p, message);
}

bool parser_expect(struct parser *p, enum token_kind kind)
{
    return p->tok.kind == kind ? parser_advance(p) : UNEXPECTED(p, kind);
}

bool parser_expect_string(struct parser *p, struct slice *out)
{
    if (p->tok.kind != TOK_STRING)
        return UNEXPECTED(p, TOK_STRING);
    *out = p->tok.str;
    return parser_advance(p);
}

bool parser_expect_ident(struct parser *p, struct slice *out)
{
    if (p->tok.kind != TOK_IDENT)
        return UNEXPECTED(p, TOK_IDENT);
    *out = p->tok.text;
    return parser_advance(p);
}

static void set_meaning(struct err *err, const char *fmt, va_list args)
{
    char message[ERR_TEXT_BYTES];
    (void)vsnprintf(message, sizeof message, fmt, args);
    (void)err_set(err, ERR_INPUT, "parse error : %s", message);
}

bool parser_fail(struct parser *p, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    set_meaning(p->err, fmt, args);
    va_end(args);
    return false;
}

void parser_defer(struct parser *p, const char *fmt, ...)
{
    if (p->deferred.code != ERR_NONE)
        return;
    va_list args;
    va_start(args, fmt);
    set_meaning(&p->deferred, fmt, args);
    va_end(args);
}

bool parser_memory(struct parser *p, const void *ptr)
{
    return ptr != NULL || arena_ok(p->a, "query", p->err);
}

bool parser_enter(struct parser *p)
{
    if (++p->depth > QUERY_DEPTH_MAX)
        return parser_fail(p, "the query is nested deeper than %d levels", QUERY_DEPTH_MAX);
    return true;
}

void parser_leave(struct parser *p)
{
    p->depth--;
}

bool parser_depth(struct parser *p, uint32_t depth)
{
    if (depth > QUERY_CHAIN_MAX)
        return parser_fail(p, "the query chains more than %d operands", QUERY_CHAIN_MAX);
    return true;
}
