/*
 * tql_ast.h -- the tree of a TraceQL query (traceql.md 3), as parsing, folding and validation leave it.
 *
 * Everything lives in the arena of the parse, but compiled regexes, which the query owns.
 */
#pragma once

#include "base/limits.h"
#include "query/regex.h"
#include "query/traceql/tql_value.h"
#include "query/traces.h"

// --- attributes and intrinsics --------------------------------------------------------------------------

enum tql_scope {
    TQL_SCOPE_INTRINSIC,
    TQL_SCOPE_ANY, // of the span, else of its resource
    TQL_SCOPE_SPAN,
    TQL_SCOPE_RESOURCE,
    TQL_SCOPE_EVENT,
    TQL_SCOPE_LINK,
    TQL_SCOPE_INSTRUMENTATION,
    TQL_SCOPE_PARENT, // parses, is not supported
};

// id, canonical name, type (traceql.md 6)
#define TQL_INTRINSICS(X)                                                                                              \
    X(TQL_I_DURATION, "duration", TQL_T_DURATION)                                                                      \
    X(TQL_I_NAME, "name", TQL_T_STRING)                                                                                \
    X(TQL_I_STATUS, "status", TQL_T_STATUS)                                                                            \
    X(TQL_I_STATUS_MESSAGE, "statusMessage", TQL_T_STRING)                                                             \
    X(TQL_I_KIND, "kind", TQL_T_KIND)                                                                                  \
    X(TQL_I_CHILD_COUNT, "span:childCount", TQL_T_INT)                                                                 \
    X(TQL_I_SPAN_ID, "span:id", TQL_T_STRING)                                                                          \
    X(TQL_I_PARENT_ID, "span:parentID", TQL_T_STRING)                                                                  \
    X(TQL_I_TRACE_ID, "trace:id", TQL_T_STRING)                                                                        \
    X(TQL_I_TRACE_DURATION, "traceDuration", TQL_T_DURATION)                                                           \
    X(TQL_I_ROOT_NAME, "rootName", TQL_T_STRING)                                                                       \
    X(TQL_I_ROOT_SERVICE, "rootServiceName", TQL_T_STRING)                                                             \
    X(TQL_I_EVENT_NAME, "event:name", TQL_T_STRING)                                                                    \
    X(TQL_I_EVENT_SINCE, "event:timeSinceStart", TQL_T_DURATION)                                                       \
    X(TQL_I_LINK_TRACE_ID, "link:traceID", TQL_T_STRING)                                                               \
    X(TQL_I_LINK_SPAN_ID, "link:spanID", TQL_T_STRING)                                                                 \
    X(TQL_I_INSTRUMENTATION_NAME, "instrumentation:name", TQL_T_STRING)                                                \
    X(TQL_I_INSTRUMENTATION_VERSION, "instrumentation:version", TQL_T_STRING)                                          \
    X(TQL_I_NESTED_LEFT, "nestedSetLeft", TQL_T_INT)                                                                   \
    X(TQL_I_NESTED_RIGHT, "nestedSetRight", TQL_T_INT)                                                                 \
    X(TQL_I_NESTED_PARENT, "nestedSetParent", TQL_T_INT)                                                               \
    X(TQL_I_PARENT, "parent", TQL_T_NIL)

enum tql_intrinsic {
#define X(id, name, type) id,
    TQL_INTRINSICS(X)
#undef X
        TQL_INTRINSICS_COUNT
};

// Equal attributes of a query are one object.
struct tql_attr {
    enum tql_scope scope;
    enum tql_intrinsic intrinsic; // TQL_SCOPE_INTRINSIC
    struct slice name;            // otherwise
    uint32_t number;              // among the query's, in order of appearance
    struct tql_attr *next;
};

const char *tql_intrinsic_name(enum tql_intrinsic intrinsic);
enum tql_type tql_attr_type(const struct tql_attr *attr); // TQL_T_ATTRIBUTE: whatever a span has
bool tql_attr_of_event(const struct tql_attr *attr);
bool tql_attr_of_link(const struct tql_attr *attr);
// Takes the whole trace to know: structure, duration and root.
bool tql_attr_of_trace(const struct tql_attr *attr);

// --- field expressions ----------------------------------------------------------------------------------

enum tql_op { // those of spansets follow those of fields
    TQL_OP_ADD,
    TQL_OP_SUB,
    TQL_OP_MUL,
    TQL_OP_DIV,
    TQL_OP_MOD,
    TQL_OP_POW,
    TQL_OP_EQ,
    TQL_OP_NE,
    TQL_OP_LT,
    TQL_OP_LE,
    TQL_OP_GT,
    TQL_OP_GE,
    TQL_OP_RE,
    TQL_OP_NRE,
    TQL_OP_AND,
    TQL_OP_OR,
    TQL_OP_CHILD,
    TQL_OP_PARENT,
    TQL_OP_DESC,
    TQL_OP_ANCE,
    TQL_OP_SIBL,
    TQL_OP_NOT_CHILD,
    TQL_OP_NOT_PARENT,
    TQL_OP_NOT_DESC,
    TQL_OP_NOT_ANCE,
    TQL_OP_NOT_SIBL,
    TQL_OP_UNION_CHILD,
    TQL_OP_UNION_PARENT,
    TQL_OP_UNION_DESC,
    TQL_OP_UNION_ANCE,
    TQL_OP_UNION_SIBL,
};
const char *tql_op_name(enum tql_op op);

enum tql_expr_kind {
    TQL_STATIC,
    TQL_ATTR,
    TQL_BINARY,
    TQL_NEGATE,    // - left
    TQL_INVERT,    // ! left
    TQL_EXISTS,    // left != nil
    TQL_ABSENT,    // left = nil
    // Made by tql_lower(): left holds for one event, or link, of the span.
    TQL_SOME_EVENT,
    TQL_SOME_LINK,
};

struct tql_expr {
    enum tql_expr_kind kind;
    enum tql_op op; // BINARY
    uint32_t depth; // of the tree
    struct tql_expr *left, *right;
    struct tql_value value;    // STATIC
    struct tql_attr *attr;     // ATTR
    const struct regex *regex; // BINARY with RE, NRE
};

// --- pipelines ----------------------------------------------------------------------------------------

struct tql_pipeline;

enum tql_set_kind { TQL_SET_FILTER, TQL_SET_OP, TQL_SET_PIPELINE };

struct tql_set { // an expression of spansets
    enum tql_set_kind kind;
    uint32_t depth;
    enum tql_op op; // SET_OP
    struct tql_set *left, *right;
    struct tql_expr *filter;  // SET_FILTER, as written
    struct tql_expr *lowered; // the same for evaluation
    struct tql_pipeline *pipeline; // SET_PIPELINE
};

enum tql_aggregate_kind { TQL_AGG_COUNT, TQL_AGG_MAX, TQL_AGG_MIN, TQL_AGG_AVG, TQL_AGG_SUM };

enum tql_scalar_kind { TQL_SCALAR_STATIC, TQL_SCALAR_AGGREGATE, TQL_SCALAR_OP, TQL_SCALAR_PIPELINE };

struct tql_scalar {
    enum tql_scalar_kind kind;
    uint32_t depth;
    struct tql_value value;            // STATIC
    enum tql_aggregate_kind aggregate; // AGGREGATE
    struct tql_expr *field;            // AGGREGATE; NULL for count()
    enum tql_op op;                    // OP
    struct tql_scalar *left, *right;
    struct tql_pipeline *pipeline; // PIPELINE: ends in an aggregate
};

enum tql_element_kind { TQL_E_SET, TQL_E_SCALAR_FILTER, TQL_E_BY, TQL_E_COALESCE, TQL_E_SELECT };

struct tql_element {
    enum tql_element_kind kind;
    struct tql_set *set;                // E_SET
    struct tql_scalar *left, *right;    // E_SCALAR_FILTER
    enum tql_op op;
    struct tql_expr *by;                // E_BY
    struct tql_attr **select;           // E_SELECT
    uint32_t select_count;
    struct slice key; // E_BY, E_SCALAR_FILTER: what the spanset's attribute is called
    struct tql_element *next;
};

struct tql_pipeline {
    struct tql_element *first;
    struct tql_scalar *aggregate; // of a scalar pipeline, at its end
};

// --- metrics ------------------------------------------------------------------------------------------

enum tql_metric_fn {
    TQL_M_RATE,
    TQL_M_COUNT,
    TQL_M_MIN,
    TQL_M_MAX,
    TQL_M_AVG,
    TQL_M_SUM,
    TQL_M_QUANTILE,
    TQL_M_HISTOGRAM,
    TQL_M_COMPARE,
};
const char *tql_metric_name(enum tql_metric_fn fn);

struct tql_metrics {
    enum tql_metric_fn fn;
    struct tql_attr *attr;
    double *quantiles;
    uint32_t quantiles_count;
    struct tql_attr **by;
    uint32_t by_count;
    struct tql_set *selection; // compare: a filter
    uint32_t arguments_count;  // compare: of the three below
    int64_t top;
    int64_t start_ns, end_ns;
};

enum tql_stage_kind { TQL_STAGE_TOPK, TQL_STAGE_BOTTOMK, TQL_STAGE_FILTER };

struct tql_stage {
    enum tql_stage_kind kind;
    int64_t limit; // TOPK, BOTTOMK
    enum tql_op op; // FILTER
    struct tql_value value;
    struct tql_stage *next;
};

struct tql_hint {
    struct slice name;
    struct tql_value value;
    bool opens; // first of a with()
    struct tql_hint *next;
};

struct traceql {
    struct arena *arena; // borrowed
    struct tql_pipeline pipeline;
    struct tql_metrics *metrics; // NULL: a search
    struct tql_stage *stages;
    struct tql_hint *hints;
    struct tql_attr *attrs; // all that the query mentions, in order of appearance
    uint32_t attrs_count;
    struct regex *regexes[QUERY_REGEXES_MAX]; // owned
    uint32_t regexes_count;
};

// --- what is done with trees ------------------------------------------------------------------------------

// Folds constants (traceql.md 8): a new tree where something changed.
struct tql_expr *tql_fold(struct tql_expr *e, struct arena *a);
// ERR_INPUT with the texts of traceql.md 8. Compiles regexes.
MUST_CHECK bool tql_validate(struct traceql *q, struct err *err);
// For evaluation: conditions on events, and on links, that are joined by `&&` are put under one TQL_SOME_EVENT
// (traceql.md 5). NULL when the arena is full.
struct tql_expr *tql_lower(const struct tql_expr *e, struct arena *a);
// Whether the expression mentions an attribute of that sort.
bool tql_mentions(const struct tql_expr *e, bool (*of)(const struct tql_attr *attr));
// Visits every filter of a pipeline, in the order of the text.
void tql_each_filter(const struct tql_pipeline *p, void (*visit)(void *ctx, const struct tql_set *filter), void *ctx);
// The hint of that name, the first one given; NULL.
const struct tql_hint *tql_hint(const struct traceql *q, struct slice name);

void tql_print_attr(struct buf *b, const struct tql_attr *attr);
void tql_print_expr(struct buf *b, const struct tql_expr *e);
void tql_print_set(struct buf *b, const struct tql_set *set);
void tql_print_scalar(struct buf *b, const struct tql_scalar *s);

// One attribute or intrinsic: `text` as in traces-http.md 14.3. Lives in `a`.
MUST_CHECK bool tql_parse_attr(struct slice text, struct arena *a, struct tql_attr **out, struct err *err);
