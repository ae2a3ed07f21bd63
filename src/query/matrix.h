/*
 * matrix.h -- what metric expressions evaluate to: series with one value per step, present or not; and what
 * the evaluation of one query shares. An instant query has one step.
 */
#pragma once

#include "base/arena.h"
#include "base/slice_set.h"
#include "query/logql/ast.h"
#include "query/query.h"

struct steps {
    int64_t from_ns;
    int64_t step_ns; // > 0
    uint32_t count;
};

struct series {
    struct slice labels; // encoded
    double *values;      // by step
    bool *present;
};

struct matrix {
    struct series *items;
    size_t count, room;
};

struct range_plan; // a compiled range aggregation

struct evaluation {
    const struct query_context *context;
    const struct range_plan *plans;
    struct arena *a;
    struct steps steps;
    struct query_stats *stats;
    const char **warnings;
    uint32_t warnings_count;
};

// A new series without values; NULL when the arena is full.
struct series *matrix_add(struct evaluation *ev, struct matrix *m, struct slice labels);
// False, with the limit's error.
bool matrix_no_memory(const struct evaluation *ev, struct err *err);
// Labels by a grouping; NULL: none. An empty slice (ptr NULL) when the arena is full.
struct slice matrix_group(const struct ast_grouping *g, struct slice labels, struct arena *a);
// Names and values pair by pair; a prefix sorts first.
int matrix_compare_labels(struct slice a, struct slice b);

// metric.c
MUST_CHECK bool matrix_eval(struct evaluation *ev, const struct ast *ast, struct matrix *out,
                            struct err *err);
// range_plan.c. `around`: the aggregation that this is the argument of, or NULL.
MUST_CHECK bool range_plan_new(const struct ast *ast, const struct ast *around, struct arena *a,
                               struct ast_regex **regexes, struct range_plan **list, struct err *err);
MUST_CHECK bool range_agg_eval(struct evaluation *ev, const struct ast *ast, struct matrix *out,
                               struct err *err);
// In the order of the query.
void range_plans_explain(const struct range_plan *list, struct buf *b);
// Whether the sum around it was applied to the samples already (logql.md 14.2, 15).
bool range_agg_takes_sum(const struct ast *ast, const struct ast *around);
// vector_agg.c
MUST_CHECK bool vector_agg_eval(struct evaluation *ev, const struct ast *ast, struct matrix *out,
                                struct err *err);
// binary.c
MUST_CHECK bool binary_eval(struct evaluation *ev, const struct ast *ast, struct matrix *out,
                            struct err *err);
