/*
 * tql_parser.h -- what the grammar's files share: the token in hand, errors with positions, limits.
 */
#pragma once

#include "base/limits.h"
#include "query/traceql/tql_ast.h"
#include "query/traceql/tql_token.h"

struct tql_parser {
    struct tql_lexer lx;
    struct tql_token tok; // in hand, not yet consumed
    struct arena *a;
    struct traceql *query;
    struct err *err;
    uint32_t depth; // what is open
};

// Consumes the token in hand. False on an unreadable token, which is then the error.
MUST_CHECK bool tql_advance(struct tql_parser *p);
MUST_CHECK bool tql_expect(struct tql_parser *p, enum tql_token_kind kind);
// `unexpected T, expecting ...` at the token in hand; returns false. Kinds: expected ones, up to four, TQL_END none.
bool tql_unexpected(struct tql_parser *p, enum tql_token_kind one, enum tql_token_kind two);
bool tql_fail_at(struct tql_parser *p, const struct tql_token *t, const char *message);
// An error without position.
bool tql_fail(struct tql_parser *p, const char *fmt, ...) PRINTF_LIKE(2, 3);
MUST_CHECK bool tql_memory(struct tql_parser *p, const void *ptr); // false when ptr is NULL

MUST_CHECK bool tql_enter(struct tql_parser *p);
void tql_leave(struct tql_parser *p);
MUST_CHECK bool tql_tree(struct tql_parser *p, uint32_t depth); // of a tree

// --- tql_field.c ----------------------------------------------------------------------------------------

// fieldExpr, folded.
MUST_CHECK bool tql_field(struct tql_parser *p, struct tql_expr **out);
// attr: an attribute or an intrinsic.
MUST_CHECK bool tql_attribute(struct tql_parser *p, struct tql_attr **out);
// "(" attr { "," attr } ")"
MUST_CHECK bool tql_attributes(struct tql_parser *p, struct tql_attr ***out, uint32_t *count_out);
// A static; `number`: numbers alone, with a sign.
MUST_CHECK bool tql_static(struct tql_parser *p, struct tql_value *out);
MUST_CHECK bool tql_signed_number(struct tql_parser *p, struct tql_value *out);
// The comparison that the token is; false when it is none.
bool tql_comparison(enum tql_token_kind kind, enum tql_op *out);

// --- tql_parse.c, tql_metrics_parse.c -------------------------------------------------------------------

// "{" [ fieldExpr ] "}"
MUST_CHECK bool tql_filter(struct tql_parser *p, struct tql_set **out);
bool tql_at_metrics(const struct tql_parser *p);
MUST_CHECK bool tql_metrics_parse(struct tql_parser *p);
