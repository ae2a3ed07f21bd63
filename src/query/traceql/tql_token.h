/*
 * tql_token.h -- the lexer's tokens (traceql.md 2).
 *
 * Names of attributes have a rule of their own, in which almost every character is part of the name; the parser asks for it
 * behind a scope's prefix, by tql_lexer_name().
 */
#pragma once

#include "base/arena.h"
#include "base/slice.h"

// kind, name in messages
#define TQL_TOKENS(X)                                                                                                  \
    X(TQL_END, "$end")                                                                                                 \
    X(TQL_ERROR, "error")                                                                                              \
    X(TQL_IDENT, "IDENTIFIER")                                                                                         \
    X(TQL_STRING, "STRING")                                                                                            \
    X(TQL_INTEGER, "INTEGER")                                                                                          \
    X(TQL_FLOAT, "FLOAT")                                                                                              \
    X(TQL_DURATION, "DURATION")                                                                                        \
    X(TQL_END_ATTRIBUTE, "END_ATTRIBUTE")                                                                              \
    X(TQL_DOT, ".")                                                                                                    \
    X(TQL_SPAN_DOT, "span.")                                                                                           \
    X(TQL_RESOURCE_DOT, "resource.")                                                                                   \
    X(TQL_EVENT_DOT, "event.")                                                                                         \
    X(TQL_LINK_DOT, "link.")                                                                                           \
    X(TQL_INSTRUMENTATION_DOT, "instrumentation.")                                                                     \
    X(TQL_PARENT_DOT, "parent.")                                                                                       \
    X(TQL_SPAN_COLON, "span:")                                                                                         \
    X(TQL_TRACE_COLON, "trace:")                                                                                       \
    X(TQL_EVENT_COLON, "event:")                                                                                       \
    X(TQL_LINK_COLON, "link:")                                                                                         \
    X(TQL_INSTRUMENTATION_COLON, "instrumentation:")                                                                   \
    X(TQL_OPEN_BRACE, "{")                                                                                             \
    X(TQL_CLOSE_BRACE, "}")                                                                                            \
    X(TQL_OPEN_PAREN, "(")                                                                                             \
    X(TQL_CLOSE_PAREN, ")")                                                                                            \
    X(TQL_COMMA, ",")                                                                                                  \
    X(TQL_PIPE, "|")                                                                                                   \
    X(TQL_EQ, "=")                                                                                                     \
    X(TQL_NEQ, "!=")                                                                                                   \
    X(TQL_RE, "=~")                                                                                                    \
    X(TQL_NRE, "!~")                                                                                                   \
    X(TQL_GT, ">")                                                                                                     \
    X(TQL_GTE, ">=")                                                                                                   \
    X(TQL_LT, "<")                                                                                                     \
    X(TQL_LTE, "<=")                                                                                                   \
    X(TQL_ADD, "+")                                                                                                    \
    X(TQL_SUB, "-")                                                                                                    \
    X(TQL_MUL, "*")                                                                                                    \
    X(TQL_DIV, "/")                                                                                                    \
    X(TQL_MOD, "%")                                                                                                    \
    X(TQL_POW, "^")                                                                                                    \
    X(TQL_NOT, "!")                                                                                                    \
    X(TQL_AND, "&&")                                                                                                   \
    X(TQL_OR, "||")                                                                                                    \
    X(TQL_DESC, ">>")                                                                                                  \
    X(TQL_ANCE, "<<")                                                                                                  \
    X(TQL_TILDE, "~")                                                                                                  \
    X(TQL_NOT_CHILD, "!>")                                                                                             \
    X(TQL_NOT_PARENT, "!<")                                                                                            \
    X(TQL_NOT_DESC, "!>>")                                                                                             \
    X(TQL_NOT_ANCE, "!<<")                                                                                             \
    X(TQL_UNION_CHILD, "&>")                                                                                           \
    X(TQL_UNION_PARENT, "&<")                                                                                          \
    X(TQL_UNION_DESC, "&>>")                                                                                           \
    X(TQL_UNION_ANCE, "&<<")                                                                                           \
    X(TQL_UNION_SIBL, "&~")                                                                                            \
    X(TQL_TRUE, "true")                                                                                                \
    X(TQL_FALSE, "false")                                                                                              \
    X(TQL_NIL, "nil")                                                                                                  \
    X(TQL_OK, "ok")                                                                                                    \
    X(TQL_ERROR_WORD, "error")                                                                                         \
    X(TQL_UNSET, "unset")                                                                                              \
    X(TQL_UNSPECIFIED, "unspecified")                                                                                  \
    X(TQL_INTERNAL, "internal")                                                                                        \
    X(TQL_SERVER, "server")                                                                                            \
    X(TQL_CLIENT, "client")                                                                                            \
    X(TQL_PRODUCER, "producer")                                                                                        \
    X(TQL_CONSUMER, "consumer")                                                                                        \
    X(TQL_MIN_INT, "minInt")                                                                                           \
    X(TQL_MAX_INT, "maxInt")                                                                                           \
    X(TQL_DURATION_WORD, "duration")                                                                                   \
    X(TQL_CHILD_COUNT, "childCount")                                                                                   \
    X(TQL_NAME, "name")                                                                                                \
    X(TQL_STATUS, "status")                                                                                            \
    X(TQL_STATUS_MESSAGE, "statusMessage")                                                                             \
    X(TQL_KIND, "kind")                                                                                                \
    X(TQL_ROOT_NAME, "rootName")                                                                                       \
    X(TQL_ROOT_SERVICE_NAME, "rootServiceName")                                                                        \
    X(TQL_ROOT_SERVICE, "rootService")                                                                                 \
    X(TQL_TRACE_DURATION, "traceDuration")                                                                             \
    X(TQL_NESTED_SET_LEFT, "nestedSetLeft")                                                                            \
    X(TQL_NESTED_SET_RIGHT, "nestedSetRight")                                                                          \
    X(TQL_NESTED_SET_PARENT, "nestedSetParent")                                                                        \
    X(TQL_ID, "id")                                                                                                    \
    X(TQL_TRACE_ID, "traceID")                                                                                         \
    X(TQL_SPAN_ID, "spanID")                                                                                           \
    X(TQL_PARENT_ID, "parentID")                                                                                       \
    X(TQL_TIME_SINCE_START, "timeSinceStart")                                                                          \
    X(TQL_VERSION, "version")                                                                                          \
    X(TQL_PARENT, "parent")                                                                                            \
    X(TQL_COUNT, "count")                                                                                              \
    X(TQL_AVG, "avg")                                                                                                  \
    X(TQL_MAX, "max")                                                                                                  \
    X(TQL_MIN, "min")                                                                                                  \
    X(TQL_SUM, "sum")                                                                                                  \
    X(TQL_BY, "by")                                                                                                    \
    X(TQL_COALESCE, "coalesce")                                                                                        \
    X(TQL_SELECT, "select")                                                                                            \
    X(TQL_RATE, "rate")                                                                                                \
    X(TQL_COUNT_OVER_TIME, "count_over_time")                                                                          \
    X(TQL_MIN_OVER_TIME, "min_over_time")                                                                              \
    X(TQL_MAX_OVER_TIME, "max_over_time")                                                                              \
    X(TQL_AVG_OVER_TIME, "avg_over_time")                                                                              \
    X(TQL_SUM_OVER_TIME, "sum_over_time")                                                                              \
    X(TQL_QUANTILE_OVER_TIME, "quantile_over_time")                                                                    \
    X(TQL_HISTOGRAM_OVER_TIME, "histogram_over_time")                                                                  \
    X(TQL_COMPARE, "compare")                                                                                          \
    X(TQL_TOPK, "topk")                                                                                                \
    X(TQL_BOTTOMK, "bottomk")                                                                                          \
    X(TQL_WITH, "with")

enum tql_token_kind {
#define X(kind, name) kind,
    TQL_TOKENS(X)
#undef X
        TQL_TOKENS_COUNT
};

struct tql_token {
    enum tql_token_kind kind;
    uint32_t line, col; // 1-based, in characters
    struct slice text;  // as written
    struct slice str;   // STRING: unescaped. ERROR: the message
    int64_t integer;    // INTEGER; DURATION in ns
    double number;      // FLOAT
};

struct tql_lexer {
    const uint8_t *cursor;
    const uint8_t *limit; // points at the NUL that ends the text
    const uint8_t *bad;   // first NUL or invalid UTF-8 byte, or limit
    struct arena *arena;  // unescaped strings and messages
    // Where `counted` is, kept so that positions cost one pass over the text.
    const uint8_t *counted;
    uint32_t line, col;
};

// `text` must be followed by a NUL byte and live as long as the tokens.
void tql_lexer_init(struct tql_lexer *lx, struct slice text, struct arena *a);
// After TQL_END or TQL_ERROR the same again.
struct tql_token tql_lexer_next(struct tql_lexer *lx);
// The name of an attribute, right behind its prefix: TQL_IDENT with the name in str, TQL_END_ATTRIBUTE when there is none,
// or TQL_ERROR.
struct tql_token tql_lexer_name(struct tql_lexer *lx);
// Whether a character ends an unquoted name.
bool tql_ends_name(uint32_t rune);

const char *tql_token_name(enum tql_token_kind kind);
