/*
 * ast.h -- a parsed query, whole LogQL (logql.md section 3). Lives in the arena it was parsed into.
 */
#pragma once

#include "base/arena.h"
#include "base/buf.h"
#include "base/labels.h"
#include "base/slice.h"

#include "query/logql/token.h"
#include "query/regex.h"

// --- pipeline -----------------------------------------------------------------------------------------

enum filter_op {
    FILTER_CONTAINS,     // |=
    FILTER_NOT_CONTAINS, // !=
    FILTER_MATCH,        // |~
    FILTER_NOT_MATCH,    // !~
    FILTER_PATTERN,      // |>
    FILTER_NOT_PATTERN,  // !>
};

struct ast_filter_term {
    struct slice text;
    bool ip;
};

// Alternatives of one operator: `|= "a" or ip("10.0.0.0/8")`.
struct ast_line_filter {
    enum filter_op op;
    struct ast_filter_term *terms;
    uint32_t terms_count;
};

enum compare_op { COMPARE_EQ, COMPARE_NE, COMPARE_GT, COMPARE_GTE, COMPARE_LT, COMPARE_LTE };

enum label_filter_kind {
    LABEL_FILTER_AND,
    LABEL_FILTER_OR,
    LABEL_FILTER_STRING, // by `matcher`
    LABEL_FILTER_NUMBER,
    LABEL_FILTER_DURATION,
    LABEL_FILTER_BYTES,
    LABEL_FILTER_IP,
};

struct ast_label_filter {
    enum label_filter_kind kind;
    uint32_t depth; // of the tree below, for the limit
    const struct ast_label_filter *left, *right; // AND, OR
    struct label_matcher matcher;                // STRING
    struct slice name;                           // the typed kinds
    enum compare_op op;
    double number;
    int64_t duration_ns;
    uint64_t bytes;
    struct slice text; // the literal as written (NUMBER, BYTES); the pattern (IP)
};

enum ast_stage_kind {
    STAGE_LINE_FILTER,
    STAGE_LABEL_FILTER,
    STAGE_JSON,
    STAGE_LOGFMT,
    STAGE_REGEXP,
    STAGE_PATTERN,
    STAGE_UNPACK,
    STAGE_LINE_FORMAT,
    STAGE_LABEL_FORMAT,
    STAGE_DECOLORIZE,
    STAGE_DROP,
    STAGE_KEEP,
    STAGE_TRACE_ID, // our own: entries that carry a trace's ID
};

// `json a="x.y"`, `logfmt a`: value repeats the name when it was not written.
// `label_format a=b`: rename; `label_format a="{{.b}}"`: template.
struct ast_assign {
    struct slice name;
    struct slice value;
    bool rename;
};

// `drop a, b="x"`
struct ast_named {
    bool has_matcher;
    struct label_matcher matcher; // name alone when !has_matcher
};

struct ast_stage {
    enum ast_stage_kind kind;
    struct ast_stage *next;
    struct ast_line_filter filter;               // LINE_FILTER
    const struct ast_label_filter *label_filter; // LABEL_FILTER
    struct slice text;                           // REGEXP, PATTERN, LINE_FORMAT; TRACE_ID: its digits
    bool strict, keep_empty;                     // LOGFMT
    struct ast_assign *assigns;                  // JSON, LOGFMT, LABEL_FORMAT
    uint32_t assigns_count;
    struct ast_named *named; // DROP, KEEP
    uint32_t named_count;
};

// --- expressions --------------------------------------------------------------------------------------

struct ast_logs {
    struct label_matcher *matchers;
    uint32_t matchers_count;
    struct ast_stage *stages; // in order; NULL: none
};

enum unwrap_conversion { UNWRAP_PLAIN, UNWRAP_BYTES, UNWRAP_DURATION, UNWRAP_DURATION_SECONDS };

struct ast_unwrap {
    struct slice name;
    enum unwrap_conversion conversion;
    struct ast_stage *filters; // label filters alone
};

struct ast_log_range {
    struct ast_logs logs;
    struct ast_unwrap *unwrap; // NULL: none
    int64_t range_ns;
    int64_t offset_ns;
};

struct ast_grouping {
    bool without;
    struct slice *names;
    uint32_t names_count;
};

struct ast_matching {
    bool on; // else ignoring
    struct slice *names;
    uint32_t names_count;
    enum { GROUP_NONE, GROUP_LEFT, GROUP_RIGHT } group;
    struct slice *include;
    uint32_t include_count;
};

enum ast_kind {
    AST_LOGS,
    AST_RANGE_AGG,
    AST_VECTOR_AGG,
    AST_BINARY,
    AST_LITERAL,
    AST_VECTOR,
    AST_LABEL_REPLACE,
    AST_VARIANTS,
};

struct ast {
    enum ast_kind kind;
    uint32_t depth; // of the tree below, for the limit
    union {
        struct ast_logs logs;
        struct {
            enum token_kind fn;
            bool has_param;
            double param;
            struct ast_log_range range;
            struct ast_grouping *grouping; // NULL: none
        } range_agg;
        struct {
            enum token_kind fn;
            bool has_param;
            double param; // whole number
            struct ast *inner;
            struct ast_grouping *grouping; // NULL: none
        } vector_agg;
        struct {
            enum token_kind op;
            bool return_bool;
            struct ast_matching *matching; // NULL: none
            struct ast *left, *right;
        } binary;
        double literal; // LITERAL, VECTOR
        struct {
            struct ast *inner;
            struct slice dst, replacement, src, regex;
            struct regex *compiled; // anchored
        } label_replace;
        struct {
            struct ast **exprs;
            uint32_t exprs_count;
            struct ast_log_range range;
        } variants;
    };
};

// Regexes compiled while parsing; freed with ast_regexes_free().
struct ast_regex {
    struct ast_regex *next;
    struct regex *regex; // owned
};
void ast_regexes_free(struct ast_regex *list);
// Compiles and adds to the list. Errors are the regex's own.
MUST_CHECK bool ast_regex_add(struct ast_regex **list, struct slice pattern, unsigned flags,
                              struct arena *a, struct regex **regex_out, struct err *err);
// Sets op, value and, for =~ and !~, the compiled regex.
MUST_CHECK bool ast_matcher_init(struct label_matcher *m, struct slice name, enum token_kind op,
                                 struct slice value, unsigned regex_flags, struct ast_regex **list,
                                 struct arena *a, struct err *err);

// --- parsing ------------------------------------------------------------------------------------------

// Parses and validates. Errors are ERR_INPUT with the reference's text, position included. `regexes`
// starts NULL and is the caller's to free, whatever the outcome.
MUST_CHECK bool ast_parse(struct slice text, struct arena *a, struct ast_regex **regexes,
                          struct ast **ast_out, struct err *err);
// A selector alone; with stages behind it `only label matchers are supported`.
MUST_CHECK bool ast_parse_selector(struct slice text, bool any, struct arena *a,
                                   struct ast_regex **regexes, struct ast_logs *out,
                                   struct err *err);

// --- printing: canonical text, which parses to the same again ----------------------------------------

void ast_print(struct buf *b, const struct ast *ast);
// As ast_print() while that takes at most AST_LINE_BYTES; else broken into indented lines.
enum { AST_LINE_BYTES = 100 };
void ast_pretty(struct buf *b, const struct ast *ast);
// Without the leading selector: `| json a="b",c="d"`, `|= "x"`.
void ast_print_stage(struct buf *b, const struct ast_stage *stage);
// The token of a function or operator as written in a query: "count_over_time", "+".
void ast_print_token(struct buf *b, enum token_kind kind);
// Pieces: `{a="b"}`; `| unwrap bytes(x)`; `[5m] offset 1m`; ` by (a,b)`, or nothing; `+ on (a)`; a number.
void ast_print_selector(struct buf *b, const struct ast_logs *logs);
void ast_print_unwrap(struct buf *b, const struct ast_unwrap *unwrap);
void ast_print_interval(struct buf *b, const struct ast_log_range *range);
void ast_print_grouping(struct buf *b, const struct ast_grouping *g);
void ast_print_operator(struct buf *b, const struct ast *ast);
void ast_print_number(struct buf *b, double value);
