/* label_filter.c -- see label_filter.h. */
#include "query/pipeline/label_filter.h"

#include "query/logql/unit.h"
#include "query/pipeline/ip.h"

bool label_filter_check(const struct ast_label_filter *f, struct err *err)
{
    struct ip_range range;
    switch (f->kind) {
    case LABEL_FILTER_AND:
    case LABEL_FILTER_OR:
        return label_filter_check(f->left, err) && label_filter_check(f->right, err);
    case LABEL_FILTER_IP:
        return ip_range_parse(f->text, &range) ||
               err_set(err, ERR_INPUT, "ip: invalid pattern: \"%.*s\"", SLICE_FMT(f->text));
    default:
        return true;
    }
}

// An unordered value (NaN) satisfies `!=` alone.
#define COMPARE(op, a, b)                                                                          \
    ((op) == COMPARE_EQ    ? (a) == (b)                                                            \
     : (op) == COMPARE_NE  ? (a) != (b)                                                            \
     : (op) == COMPARE_GT  ? (a) > (b)                                                             \
     : (op) == COMPARE_GTE ? (a) >= (b)                                                            \
     : (op) == COMPARE_LT  ? (a) < (b)                                                             \
                           : (a) <= (b))

static bool compare_number(const struct ast_label_filter *f, struct slice value, bool *good_out,
                           struct err *why)
{
    double number;
    *good_out = unit_float(value, &number, why);
    return *good_out && COMPARE(f->op, number, f->number);
}

static bool compare_duration(const struct ast_label_filter *f, struct slice value, bool *good_out,
                             struct err *why)
{
    int64_t ns;
    *good_out = unit_go_duration(value, &ns, why);
    return *good_out && COMPARE(f->op, ns, f->duration_ns);
}

static bool compare_bytes(const struct ast_label_filter *f, struct slice value, bool *good_out,
                          struct err *why)
{
    uint64_t bytes;
    *good_out = unit_bytes(value, &bytes, why);
    return *good_out && COMPARE(f->op, bytes, f->bytes);
}

static bool keeps_typed(const struct ast_label_filter *f, struct line *l, struct arena *a)
{
    bool found, good;
    struct err why;
    struct slice value = line_label(l, f->name, &found);
    if (!found)
        return false;
    bool pass = f->kind == LABEL_FILTER_NUMBER     ? compare_number(f, value, &good, &why)
                : f->kind == LABEL_FILTER_DURATION ? compare_duration(f, value, &good, &why)
                                                   : compare_bytes(f, value, &good, &why);
    if (good)
        return pass;
    if (l->error.len == 0) {
        l->error = SLICE("LabelFilterErr");
        l->error_details = arena_copy(a, slice_cstr(why.text));
    }
    return true;
}

static bool keeps_ip(const struct ast_label_filter *f, const struct line *l)
{
    bool found;
    struct ip_range range;
    if (l->error.len > 0)
        return true;
    struct slice value = line_label(l, f->name, &found);
    if (!found || !ip_range_parse(f->text, &range))
        return false;
    return ip_range_found(&range, value) == (f->op == COMPARE_EQ);
}

bool label_filter_keeps(const struct ast_label_filter *f, struct line *l, struct arena *a)
{
    bool found;
    switch (f->kind) {
    case LABEL_FILTER_AND: {
        bool left = label_filter_keeps(f->left, l, a);
        return label_filter_keeps(f->right, l, a) && left; // both sides run: they may set an error
    }
    case LABEL_FILTER_OR:
        return label_filter_keeps(f->left, l, a) || label_filter_keeps(f->right, l, a);
    case LABEL_FILTER_STRING:
        return label_matcher_test(&f->matcher, line_label(l, f->matcher.name, &found));
    case LABEL_FILTER_NUMBER:
    case LABEL_FILTER_DURATION:
    case LABEL_FILTER_BYTES:
        return keeps_typed(f, l, a);
    case LABEL_FILTER_IP:
        return keeps_ip(f, l);
    }
    return false;
}

void label_filter_names(const struct ast_label_filter *f, void (*visit)(void *ctx, struct slice name),
                        void *ctx)
{
    if (f->kind == LABEL_FILTER_AND || f->kind == LABEL_FILTER_OR) {
        label_filter_names(f->left, visit, ctx);
        label_filter_names(f->right, visit, ctx);
    } else {
        visit(ctx, f->kind == LABEL_FILTER_STRING ? f->matcher.name : f->name);
    }
}

void label_filter_equalities(const struct ast_label_filter *f,
                             void (*visit)(void *ctx, const struct label_matcher *equality), void *ctx)
{
    if (f->kind == LABEL_FILTER_AND) {
        label_filter_equalities(f->left, visit, ctx);
        label_filter_equalities(f->right, visit, ctx);
    } else if (f->kind == LABEL_FILTER_STRING && f->matcher.op == MATCH_EQ) {
        visit(ctx, &f->matcher);
    }
}
