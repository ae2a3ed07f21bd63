/* binary.c -- arithmetic, comparisons and set operations between vectors and scalars; logql.md 19. */
#include "query/matrix.h"

#include <math.h>
#include <stdlib.h>

static bool is_comparison(enum token_kind op)
{
    return op == TOK_CMP_EQ || op == TOK_NEQ || op == TOK_GT || op == TOK_GTE || op == TOK_LT || op == TOK_LTE;
}

static double arithmetic(enum token_kind op, double a, double b)
{
    switch (op) {
    case TOK_ADD:
        return a + b;
    case TOK_SUB:
        return a - b;
    case TOK_MUL:
        return a * b;
    case TOK_DIV:
        return b == 0 ? NAN : a / b;
    case TOK_MOD:
        return b == 0 ? NAN : fmod(a, b);
    default:
        return pow(a, b);
    }
}

static bool compare(enum token_kind op, double a, double b)
{
    switch (op) {
    case TOK_CMP_EQ:
        return a == b;
    case TOK_NEQ:
        return a != b;
    case TOK_GT:
        return a > b;
    case TOK_GTE:
        return a >= b;
    case TOK_LT:
        return a < b;
    default:
        return a <= b;
    }
}

// One pair of values. False: no sample. `own` is what a filtering comparison keeps.
static bool apply(const struct ast *ast, double a, double b, double own, double *out)
{
    enum token_kind op = ast->binary.op;
    if (!is_comparison(op)) {
        *out = arithmetic(op, a, b);
        return true;
    }
    bool holds = compare(op, a, b);
    *out = ast->binary.return_bool ? holds : own;
    return holds || ast->binary.return_bool;
}

static bool eval_scalar(struct evaluation *ev, const struct ast *ast, struct matrix *out, struct err *err)
{
    bool left = ast->binary.left->kind == AST_LITERAL;
    double scalar = left ? ast->binary.left->literal : ast->binary.right->literal;
    struct matrix in = {0};
    if (!matrix_eval(ev, left ? ast->binary.right : ast->binary.left, &in, err))
        return false;
    for (size_t i = 0; i < in.count; i++)
        for (uint32_t t = 0; t < ev->steps.count; t++) {
            double v = in.items[i].values[t];
            in.items[i].present[t] = in.items[i].present[t] &&
                                     apply(ast, left ? scalar : v, left ? v : scalar, v, &in.items[i].values[t]);
        }
    *out = in;
    return true;
}

// --- matching ---------------------------------------------------------------------------------------

static struct slice match_key(const struct ast_matching *m, struct slice labels, struct arena *a)
{
    if (m == NULL)
        return labels;
    struct ast_grouping g = {.without = !m->on, .names = m->names, .names_count = m->names_count};
    return matrix_group(&g, labels, a);
}

static bool number_keys(struct evaluation *ev, const struct ast_matching *m, const struct matrix *in,
                        struct slice_set *table, size_t **out, struct err *err)
{
    size_t *numbers = arena_array(ev->a, in->count + 1, sizeof *numbers);
    for (size_t i = 0; i < in->count && numbers != NULL; i++) {
        struct slice key = match_key(m, in->items[i].labels, ev->a);
        numbers[i] = key.ptr != NULL ? slice_set_add(table, key) : SIZE_MAX;
        if (numbers[i] == SIZE_MAX)
            return matrix_no_memory(ev, err);
    }
    *out = numbers;
    return numbers != NULL || matrix_no_memory(ev, err);
}

// The many side's labels with the listed ones taken from the one side.
static struct slice included_labels(const struct ast_matching *m, struct slice many, struct slice one,
                                    struct arena *a)
{
    size_t most = labels_walk(many).left + m->include_count + 1, count = 0;
    struct label *pairs = arena_array(a, most, sizeof *pairs);
    if (pairs == NULL)
        return (struct slice){0};
    struct label l;
    for (struct labels_walk w = labels_walk(many); labels_next(&w, &l);) {
        bool included = false;
        for (uint32_t i = 0; i < m->include_count && !included; i++)
            included = slice_eq(m->include[i], l.name);
        if (!included)
            pairs[count++] = l;
    }
    for (uint32_t i = 0; i < m->include_count; i++) {
        struct slice value = labels_find(one, m->include[i]);
        if (value.len > 0)
            pairs[count++] = (struct label){m->include[i], value};
    }
    struct labels set = {pairs, (uint32_t)count};
    (void)labels_canon(&set);
    return labels_encoded(&set, a);
}

struct joining {
    struct evaluation *ev;
    const struct ast *ast;
    struct matrix many, one;
    size_t *many_keys, *one_keys;
    bool swapped; // group_right: the many side is the right one
};

// Labels of a result, as the first step that has it computes them.
static struct slice result_labels(const struct joining *j, const struct series *many, const struct series *one)
{
    const struct ast_matching *m = j->ast->binary.matching;
    if (m != NULL && m->group != GROUP_NONE)
        return included_labels(m, many->labels, one->labels, j->ev->a);
    return match_key(m, many->labels, j->ev->a);
}

static bool join_error(const char *text, struct err *err)
{
    return err_set(err, ERR_INPUT, "%s", text);
}

// One step: each sample of the many side with its partner.
static bool join_step(struct joining *j, uint32_t t, const struct series **partner, uint32_t *used,
                      size_t keys, struct slice_set *results, uint32_t *result_step, struct matrix *out,
                      struct err *err)
{
    const struct ast_matching *m = j->ast->binary.matching;
    bool grouped = m != NULL && m->group != GROUP_NONE;
    memset(partner, 0, keys * sizeof *partner);
    for (size_t i = 0; i < j->one.count; i++) {
        if (!j->one.items[i].present[t])
            continue;
        if (partner[j->one_keys[i]] != NULL)
            return err_set(err, ERR_INPUT,
                           "found duplicate series on the %s hand-side;many-to-many matching not allowed: "
                           "matching labels must be unique on one side", j->swapped ? "left" : "right");
        partner[j->one_keys[i]] = &j->one.items[i];
    }
    for (size_t i = 0; i < j->many.count; i++) {
        const struct series *many = &j->many.items[i], *one = partner[j->many_keys[i]];
        if (!many->present[t] || one == NULL)
            continue;
        double a = j->swapped ? one->values[t] : many->values[t];
        double b = j->swapped ? many->values[t] : one->values[t], value;
        if (!apply(j->ast, a, b, a, &value))
            continue;
        if (!grouped && used[j->many_keys[i]] == t + 1)
            return join_error("multiple matches for labels: many-to-one matching must be explicit "
                              "(group_left/group_right)", err);
        used[j->many_keys[i]] = t + 1;
        size_t before = results->count;
        struct slice labels = result_labels(j, many, one);
        size_t number = labels.ptr != NULL ? slice_set_add(results, labels) : SIZE_MAX;
        if (number == SIZE_MAX ||
            (results->count > before && matrix_add(j->ev, out, results->items[number]) == NULL))
            return matrix_no_memory(j->ev, err);
        if (result_step[number] == t + 1)
            return join_error("multiple matches for labels: grouping labels must ensure unique matches", err);
        result_step[number] = t + 1;
        out->items[number].present[t] = true;
        out->items[number].values[t] = value;
    }
    return true;
}

static bool join(struct joining *j, struct matrix *out, struct err *err)
{
    struct evaluation *ev = j->ev;
    const struct ast_matching *m = j->ast->binary.matching;
    struct slice_set keys = {.arena = ev->a}, results = {.arena = ev->a};
    if (!number_keys(ev, m, &j->many, &keys, &j->many_keys, err) ||
        !number_keys(ev, m, &j->one, &keys, &j->one_keys, err))
        return false;
    const struct series **partner = arena_array(ev->a, keys.count + 1, sizeof *partner);
    uint32_t *used = arena_zalloc(ev->a, (keys.count + 1) * sizeof *used);
    uint32_t *result_step = arena_zalloc(ev->a, (j->many.count * ev->steps.count + 1) * sizeof *result_step);
    if (partner == NULL || used == NULL || result_step == NULL)
        return matrix_no_memory(ev, err);
    for (uint32_t t = 0; t < ev->steps.count; t++)
        if (!join_step(j, t, partner, used, keys.count, &results, result_step, out, err))
            return false;
    return true;
}

// --- sets -------------------------------------------------------------------------------------------

static bool eval_set(struct evaluation *ev, const struct ast *ast, struct matrix *left,
                     struct matrix *right, struct matrix *out, struct err *err)
{
    struct slice_set keys = {.arena = ev->a};
    size_t *left_keys, *right_keys;
    if (!number_keys(ev, ast->binary.matching, left, &keys, &left_keys, err) ||
        !number_keys(ev, ast->binary.matching, right, &keys, &right_keys, err))
        return false;
    bool *seen = arena_array(ev->a, keys.count + 1, sizeof *seen);
    if (seen == NULL)
        return matrix_no_memory(ev, err);
    bool is_or = ast->binary.op == TOK_OR;
    struct matrix *tested = is_or ? right : left, *against = is_or ? left : right;
    const size_t *tested_keys = is_or ? right_keys : left_keys, *against_keys = is_or ? left_keys : right_keys;
    for (uint32_t t = 0; t < ev->steps.count; t++) {
        memset(seen, 0, keys.count + 1);
        for (size_t i = 0; i < against->count; i++)
            seen[against_keys[i]] |= against->items[i].present[t];
        for (size_t i = 0; i < tested->count; i++)
            tested->items[i].present[t] &= seen[tested_keys[i]] == (ast->binary.op == TOK_AND);
    }
    *out = *left;
    for (size_t i = 0; is_or && i < right->count; i++) {
        struct series *s = matrix_add(ev, out, right->items[i].labels);
        if (s == NULL)
            return matrix_no_memory(ev, err);
        s->values = right->items[i].values;
        s->present = right->items[i].present;
    }
    return true;
}

bool binary_eval(struct evaluation *ev, const struct ast *ast, struct matrix *out, struct err *err)
{
    if (ast->binary.left->kind == AST_LITERAL || ast->binary.right->kind == AST_LITERAL)
        return eval_scalar(ev, ast, out, err);
    struct matrix left = {0}, right = {0};
    if (!matrix_eval(ev, ast->binary.left, &left, err) || !matrix_eval(ev, ast->binary.right, &right, err))
        return false;
    enum token_kind op = ast->binary.op;
    if (op == TOK_AND || op == TOK_OR || op == TOK_UNLESS)
        return eval_set(ev, ast, &left, &right, out, err);
    bool swapped = ast->binary.matching != NULL && ast->binary.matching->group == GROUP_RIGHT;
    struct joining j = {.ev = ev, .ast = ast, .many = swapped ? right : left, .one = swapped ? left : right,
                        .swapped = swapped};
    return join(&j, out, err);
}
