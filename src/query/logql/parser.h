/*
 * parser.h -- what the grammar's files share: the token in hand, errors with positions, depth.
 */
#pragma once

#include "base/limits.h"

#include "query/logql/ast.h"
#include "query/logql/token.h"

struct parser {
    struct lexer lx;
    struct token tok; // in hand, not yet consumed
    struct arena *a;
    struct ast_regex **regexes;
    struct err *err;
    uint32_t depth;           // open parentheses and the like
    uint32_t matchers_count;  // of all selectors
    // First error of meaning; told when the syntax is right to the end.
    struct err deferred;
};

// Consumes the token in hand. False on an unreadable token, which is then the error.
MUST_CHECK bool parser_advance(struct parser *p);
// Consumes a token of that kind, or fails expecting it.
MUST_CHECK bool parser_expect(struct parser *p, enum token_kind kind);
MUST_CHECK bool parser_expect_string(struct parser *p, struct slice *out);
MUST_CHECK bool parser_expect_ident(struct parser *p, struct slice *out);

// `unexpected T, expecting ...`; returns false. More than four expected kinds are not listed, so callers
// that have more pass none.
bool parser_unexpected(struct parser *p, const enum token_kind *expected, size_t count);
#define UNEXPECTED(p, ...)                                                                         \
    parser_unexpected(p, (const enum token_kind[]){__VA_ARGS__},                                   \
                      COUNT_OF(((const enum token_kind[]){__VA_ARGS__})))
#define UNEXPECTED_HERE(p) parser_unexpected(p, NULL, 0)

// An error of meaning, without position: at once, or after the syntax.
bool parser_fail(struct parser *p, const char *fmt, ...) PRINTF_LIKE(2, 3);
void parser_defer(struct parser *p, const char *fmt, ...) PRINTF_LIKE(2, 3);
MUST_CHECK bool parser_memory(struct parser *p, const void *ptr); // false when ptr is NULL

MUST_CHECK bool parser_enter(struct parser *p);
void parser_leave(struct parser *p);
MUST_CHECK bool parser_depth(struct parser *p, uint32_t depth); // of a tree

// --- parse_stage.c ------------------------------------------------------------------------------------

// matcher = IDENT ( "=" | "!=" | "=~" | "!~" ) STRING, from behind IDENT.
MUST_CHECK bool parse_matcher_rest(struct parser *p, struct slice name, unsigned regex_flags,
                                   struct label_matcher *out);
MUST_CHECK bool parse_selector(struct parser *p, bool any, struct ast_logs *out);
bool parser_at_stage(const struct parser *p);
// Zero or more stages. With `unwrap_out` a `| unwrap` ends them and is parsed too.
MUST_CHECK bool parse_pipeline(struct parser *p, struct ast_stage **stages_out,
                               struct ast_unwrap **unwrap_out);
