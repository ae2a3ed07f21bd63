/*
 * token.h -- the tokens of LogQL and the lexer that makes them.
 *
 * The order of the kinds is the order in which the reference lists what it expected.
 */
#pragma once

#include "base/arena.h"
#include "base/err.h"
#include "base/slice.h"

// kind, name in messages
#define TOKENS(X)                                                                                  \
    X(TOK_END, "$end")                                                                             \
    X(TOK_BYTES, "BYTES")                                                                          \
    X(TOK_IDENT, "IDENTIFIER")                                                                     \
    X(TOK_STRING, "STRING")                                                                        \
    X(TOK_NUMBER, "NUMBER")                                                                        \
    X(TOK_FLAG, "FUNCTION_FLAG")                                                                   \
    X(TOK_DURATION, "DURATION")                                                                    \
    X(TOK_RANGE, "RANGE")                                                                          \
    X(TOK_EQ, "=")                                                                                 \
    X(TOK_RE, "=~")                                                                                \
    X(TOK_NRE, "!~")                                                                               \
    X(TOK_NPA, "!>")                                                                               \
    X(TOK_OPEN_BRACE, "{")                                                                         \
    X(TOK_CLOSE_BRACE, "}")                                                                        \
    X(TOK_OPEN_BRACKET, "[")                                                                       \
    X(TOK_CLOSE_BRACKET, "]")                                                                      \
    X(TOK_COMMA, ",")                                                                              \
    X(TOK_DOT, ".")                                                                                \
    X(TOK_PIPE_MATCH, "|~")                                                                        \
    X(TOK_PIPE_EXACT, "|=")                                                                        \
    X(TOK_PIPE_PATTERN, "|>")                                                                      \
    X(TOK_OPEN_PAREN, "(")                                                                         \
    X(TOK_CLOSE_PAREN, ")")                                                                        \
    X(TOK_BY, "by")                                                                                \
    X(TOK_WITHOUT, "without")                                                                      \
    X(TOK_COUNT_OVER_TIME, "COUNT_OVER_TIME")                                                      \
    X(TOK_RATE, "RATE")                                                                            \
    X(TOK_RATE_COUNTER, "RATE_COUNTER")                                                            \
    X(TOK_SUM, "SUM")                                                                              \
    X(TOK_SORT, "SORT")                                                                            \
    X(TOK_SORT_DESC, "SORT_DESC")                                                                  \
    X(TOK_AVG, "AVG")                                                                              \
    X(TOK_MAX, "MAX")                                                                              \
    X(TOK_MIN, "MIN")                                                                              \
    X(TOK_COUNT, "COUNT")                                                                          \
    X(TOK_STDDEV, "STDDEV")                                                                        \
    X(TOK_STDVAR, "STDVAR")                                                                        \
    X(TOK_BOTTOMK, "BOTTOMK")                                                                      \
    X(TOK_TOPK, "TOPK")                                                                            \
    X(TOK_APPROX_TOPK, "APPROX_TOPK")                                                              \
    X(TOK_BYTES_OVER_TIME, "BYTES_OVER_TIME")                                                      \
    X(TOK_BYTES_RATE, "BYTES_RATE")                                                                \
    X(TOK_BOOL, "bool")                                                                            \
    X(TOK_JSON, "json")                                                                            \
    X(TOK_REGEXP, "regexp")                                                                        \
    X(TOK_LOGFMT, "logfmt")                                                                        \
    X(TOK_PIPE, "|")                                                                               \
    X(TOK_LINE_FORMAT, "line_format")                                                              \
    X(TOK_LABEL_FORMAT, "label_format")                                                            \
    X(TOK_UNWRAP, "unwrap")                                                                        \
    X(TOK_AVG_OVER_TIME, "AVG_OVER_TIME")                                                          \
    X(TOK_SUM_OVER_TIME, "SUM_OVER_TIME")                                                          \
    X(TOK_MIN_OVER_TIME, "MIN_OVER_TIME")                                                          \
    X(TOK_MAX_OVER_TIME, "MAX_OVER_TIME")                                                          \
    X(TOK_STDVAR_OVER_TIME, "STDVAR_OVER_TIME")                                                    \
    X(TOK_STDDEV_OVER_TIME, "STDDEV_OVER_TIME")                                                    \
    X(TOK_QUANTILE_OVER_TIME, "QUANTILE_OVER_TIME")                                                \
    X(TOK_BYTES_CONV, "BYTES_CONV")                                                                \
    X(TOK_DURATION_CONV, "DURATION_CONV")                                                          \
    X(TOK_DURATION_SECONDS_CONV, "DURATION_SECONDS_CONV")                                          \
    X(TOK_FIRST_OVER_TIME, "FIRST_OVER_TIME")                                                      \
    X(TOK_LAST_OVER_TIME, "LAST_OVER_TIME")                                                        \
    X(TOK_ABSENT_OVER_TIME, "ABSENT_OVER_TIME")                                                    \
    X(TOK_VECTOR, "VECTOR")                                                                        \
    X(TOK_LABEL_REPLACE, "LABEL_REPLACE")                                                          \
    X(TOK_UNPACK, "unpack")                                                                        \
    X(TOK_OFFSET, "offset")                                                                        \
    X(TOK_PATTERN, "pattern")                                                                      \
    X(TOK_TRACE_ID, "trace_id")                                                                    \
    X(TOK_IP, "ip")                                                                                \
    X(TOK_ON, "on")                                                                                \
    X(TOK_IGNORING, "ignoring")                                                                    \
    X(TOK_GROUP_LEFT, "group_left")                                                                \
    X(TOK_GROUP_RIGHT, "group_right")                                                              \
    X(TOK_DECOLORIZE, "decolorize")                                                                \
    X(TOK_DROP, "drop")                                                                            \
    X(TOK_KEEP, "keep")                                                                            \
    X(TOK_VARIANTS, "variants")                                                                    \
    X(TOK_OF, "of")                                                                                \
    X(TOK_OR, "or")                                                                                \
    X(TOK_AND, "and")                                                                              \
    X(TOK_UNLESS, "unless")                                                                        \
    X(TOK_CMP_EQ, "==")                                                                            \
    X(TOK_NEQ, "!=")                                                                               \
    X(TOK_LT, "<")                                                                                 \
    X(TOK_LTE, "<=")                                                                               \
    X(TOK_GT, ">")                                                                                 \
    X(TOK_GTE, ">=")                                                                               \
    X(TOK_ADD, "+")                                                                                \
    X(TOK_SUB, "-")                                                                                \
    X(TOK_MUL, "*")                                                                                \
    X(TOK_DIV, "/")                                                                                \
    X(TOK_MOD, "%")                                                                                \
    X(TOK_POW, "^")                                                                                \
    X(TOK_ERROR, "error")

enum token_kind {
#define X(kind, name) kind,
    TOKENS(X)
#undef X
        TOKENS_COUNT
};

struct token {
    enum token_kind kind;
    uint32_t line; // 1-based; 0 for tokens of several characters that are not words
    uint32_t col;  // 1-based, in characters
    struct slice text; // as written; borrowed from the query
    struct slice str;  // TOK_STRING: unescaped. TOK_ERROR: the message
    int64_t duration_ns; // TOK_DURATION, TOK_RANGE
    uint64_t bytes;      // TOK_BYTES
};

struct lexer {
    const uint8_t *cursor;
    const uint8_t *limit; // points at the NUL that ends the text
    const uint8_t *bad;   // first NUL or invalid UTF-8 byte, or limit
    struct arena *arena;  // unescaped strings and messages
    // Where `counted` is, kept so that positions cost one pass over the text.
    const uint8_t *counted;
    uint32_t line;
    uint32_t col;
    uint32_t last_col; // of the token before
};

// `text` must be followed by a NUL byte and live as long as the tokens.
void lexer_init(struct lexer *lx, struct slice text, struct arena *a);
// After TOK_END or TOK_ERROR the same again.
struct token lexer_next(struct lexer *lx);

const char *token_name(enum token_kind kind);
