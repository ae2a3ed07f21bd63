/*
 * tql_rows_filter.c -- filters on rows: see tql_rows.h.
 *
 * A comparison of an attribute with a literal is made for each distinct value, or in one loop over the column. Operands of
 * `&&` are taken cheapest first, and the rest is left alone when no row is left.
 */
#include "query/traceql/tql_rows.h"

static bool memory(struct tql_rows *r)
{
    return arena_ok(r->arena, "query", r->err) || (r->failed = true, false);
}

// --- row by row -------------------------------------------------------------------------------------------

static bool each_row(struct tql_rows *r, const struct tql_expr *e, struct tql_bits *rows)
{
    for (uint32_t row = tql_bits_next(rows, 0); row < SPAN_BLOCK_SPANS_MAX; row = tql_bits_next(rows, row + 1)) {
        r->row = row;
        if (!tql_eval_true(&r->eval, e))
            rows->words[row >> 6] &= ~(UINT64_C(1) << (row & 63));
        if (r->failed)
            return false;
        if (r->eval.problem != NULL) {
            (void)err_set(r->err, ERR_INPUT, "%s", r->eval.problem);
            return r->failed = true, false;
        }
    }
    return true;
}

// --- comparisons ------------------------------------------------------------------------------------------

struct test { // attr op value, or attr (not) there
    const struct tql_attr *attr;
    enum { TEST_COMPARE, TEST_EXISTS, TEST_ABSENT, TEST_TRUE } kind;
    enum tql_op op;
    bool flipped; // value op attr
    struct tql_value value;
    const struct regex *regex;
};

static bool passes(const struct test *t, struct tql_value v)
{
    switch (t->kind) {
    case TEST_EXISTS: return v.type != TQL_T_NIL;
    case TEST_ABSENT: return v.type == TQL_T_NIL;
    case TEST_TRUE:   return tql_true(v);
    default:          return v.type != TQL_T_NIL &&
                             (t->flipped ? tql_compare((int)t->op, t->value, v, t->regex) : tql_compare((int)t->op, v, t->value, t->regex));
    }
}

static bool test_of(const struct tql_expr *e, struct test *out)
{
    *out = (struct test){0};
    if (e->kind == TQL_ATTR) {
        *out = (struct test){.attr = e->attr, .kind = TEST_TRUE};
    } else if ((e->kind == TQL_EXISTS || e->kind == TQL_ABSENT) && e->left->kind == TQL_ATTR) {
        *out = (struct test){.attr = e->left->attr, .kind = e->kind == TQL_EXISTS ? TEST_EXISTS : TEST_ABSENT};
    } else if (e->kind == TQL_BINARY && e->op >= TQL_OP_EQ && e->op <= TQL_OP_NRE) {
        bool flipped = e->left->kind == TQL_STATIC;
        const struct tql_expr *attr = flipped ? e->right : e->left, *value = flipped ? e->left : e->right;
        if (attr->kind != TQL_ATTR || value->kind != TQL_STATIC)
            return false;
        *out = (struct test){attr->attr, TEST_COMPARE, e->op, flipped, value->value, e->regex};
    }
    return out->attr != NULL && !tql_attr_of_event(out->attr) && !tql_attr_of_link(out->attr) && !tql_attr_of_trace(out->attr);
}

// Which of `count` values pass, a byte each; *any_out: whether one does.
static uint8_t *pass_table(struct tql_rows *r, const struct test *t, uint32_t count, struct tql_value (*at)(const void *ctx, uint32_t i),
                           const void *ctx, bool *any_out)
{
    uint8_t *table = arena_alloc(r->arena, count);
    if (table == NULL)
        return (void)memory(r), NULL;
    *any_out = false;
    for (uint32_t i = 0; i < count; i++) {
        table[i] = passes(t, at(ctx, i));
        *any_out |= table[i];
    }
    return table;
}

static void keep_by_number(struct tql_bits *rows, const uint32_t *numbers, uint32_t count, const uint8_t *table)
{
    for (uint32_t w = 0; w < (count + 63) / 64; w++) {
        if (rows->words[w] == 0)
            continue;
        uint64_t word = 0;
        uint32_t end = count - w * 64 < 64 ? count - w * 64 : 64;
        for (uint32_t i = 0; i < end; i++)
            word |= (uint64_t)table[numbers[w * 64 + i]] << i;
        rows->words[w] &= word;
    }
}

static void clear(struct tql_bits *rows)
{
    *rows = (struct tql_bits){0};
}

struct origins {
    const struct span_block *block;
    const struct tql_attr *attr;
};

static struct tql_value resource_at(const void *ctx, uint32_t i)
{
    const struct origins *o = ctx;
    return tql_resource_value(&o->block->resources[i], o->attr->name);
}

static struct tql_value scope_at(const void *ctx, uint32_t i)
{
    const struct origins *o = ctx;
    const struct span_scope *scope = &o->block->scopes[i];
    if (o->attr->scope == TQL_SCOPE_INTRINSIC)
        return tql_string(o->attr->intrinsic == TQL_I_INSTRUMENTATION_NAME ? scope->name : scope->version);
    return tql_find(&scope->attributes, o->attr->name);
}

static bool by_origin(struct tql_rows *r, const struct test *t, bool resources, struct tql_bits *rows)
{
    struct span_block *b = r->block;
    struct origins o = {b, t->attr};
    bool any;
    if (resources ? !tql_rows_resources(r, t->attr->name) : !tql_rows_dictionary(r, SPAN_SCOPES))
        return false;
    const uint8_t *table = pass_table(r, t, resources ? b->resources_count : b->scopes_count, resources ? resource_at : scope_at, &o, &any);
    if (table == NULL)
        return false;
    if (!any)
        return clear(rows), true;
    if (!tql_rows_column(r, resources ? SPAN_RESOURCES : SPAN_SCOPES))
        return false;
    keep_by_number(rows, resources ? b->resource_of : b->scope_of, b->spans_count, table);
    return true;
}

static struct tql_value string_at(const void *ctx, uint32_t i)
{
    return tql_string(((const struct slice *)ctx)[i]);
}

static bool by_strings(struct tql_rows *r, const struct test *t, enum span_column column, struct tql_bits *rows)
{
    const struct span_strings *s = column == SPAN_NAMES ? &r->block->names : &r->block->messages;
    bool any;
    if (!tql_rows_dictionary(r, column))
        return false;
    const uint8_t *table = pass_table(r, t, s->values_count, string_at, s->values, &any);
    if (table == NULL)
        return false;
    if (!any)
        return clear(rows), true;
    if (!tql_rows_column(r, column))
        return false;
    keep_by_number(rows, s->ids, r->block->spans_count, table);
    return true;
}

// Status and kind: few numbers, the unknown ones being the default.
static bool by_codes(struct tql_rows *r, const struct test *t, bool statuses, struct tql_bits *rows)
{
    if (!tql_rows_column(r, statuses ? SPAN_STATUSES : SPAN_KINDS))
        return false;
    uint8_t table[KIND_CONSUMER + 1];
    for (int32_t i = 0; i <= KIND_CONSUMER; i++)
        table[i] = passes(t, statuses ? tql_status(i) : tql_kind(i));
    const int32_t *codes = statuses ? r->block->statuses : r->block->kinds;
    uint32_t count = r->block->spans_count;
    for (uint32_t w = 0; w < (count + 63) / 64; w++) {
        uint64_t word = 0;
        uint32_t end = count - w * 64 < 64 ? count - w * 64 : 64;
        for (uint32_t i = 0; i < end; i++) {
            uint32_t code = (uint32_t)codes[w * 64 + i];
            word |= (uint64_t)table[code <= KIND_CONSUMER ? code : 0] << i;
        }
        rows->words[w] &= word;
    }
    return true;
}

// numbers[i] op constant, for all rows, 64 at a time.
#define COMPARE_LOOP(op)                                                                                               \
    for (uint32_t w = 0; w < (count + 63) / 64; w++) {                                                                 \
        uint64_t word = 0;                                                                                             \
        uint32_t end = count - w * 64 < 64 ? count - w * 64 : 64;                                                      \
        for (uint32_t i = 0; i < end; i++)                                                                             \
            word |= (uint64_t)(numbers[w * 64 + i] op constant) << i;                                                  \
        rows->words[w] &= word;                                                                                        \
    }

static void compare_durations(enum tql_op op, const int64_t *numbers, uint32_t count, int64_t constant, struct tql_bits *rows)
{
    switch (op) {
    case TQL_OP_EQ: COMPARE_LOOP(==) break;
    case TQL_OP_NE: COMPARE_LOOP(!=) break;
    case TQL_OP_LT: COMPARE_LOOP(<) break;
    case TQL_OP_LE: COMPARE_LOOP(<=) break;
    case TQL_OP_GT: COMPARE_LOOP(>) break;
    default:        COMPARE_LOOP(>=) break;
    }
}

static enum tql_op flip(enum tql_op op)
{
    return op == TQL_OP_LT   ? TQL_OP_GT
           : op == TQL_OP_GT ? TQL_OP_LT
           : op == TQL_OP_LE ? TQL_OP_GE
           : op == TQL_OP_GE ? TQL_OP_LE
                             : op;
}

static bool by_duration(struct tql_rows *r, const struct test *t, const struct tql_expr *e, struct tql_bits *rows)
{
    // Where all are plain, the column itself can be compared.
    bool plain = r->block->stats.duration_max_ns <= INT64_MAX && t->kind == TEST_COMPARE && t->value.type != TQL_T_FLOAT &&
                 tql_numeric(t->value.type);
    if (!tql_rows_column(r, SPAN_DURATIONS))
        return false;
    const uint64_t *durations = r->block->duration_ns;
    uint64_t all = 0;
    for (uint32_t i = 0; i < r->block->spans_count; i++)
        all |= durations[i];
    if (!plain || all > INT64_MAX) // reversed ones are there
        return each_row(r, e, rows);
    compare_durations(t->flipped ? flip(t->op) : t->op, (const int64_t *)durations, r->block->spans_count, t->value.integer, rows);
    return true;
}

// An ID's 16 digits as its bytes; false when the text is none.
static bool read_id(struct slice text, uint8_t out[SPAN_ID_BYTES])
{
    memset(out, 0, SPAN_ID_BYTES);
    for (size_t i = 0; i < text.len && text.len == 2 * SPAN_ID_BYTES; i++) {
        uint8_t c = text.ptr[i];
        if (!(c >= '0' && c <= '9') && !(c >= 'a' && c <= 'f'))
            return false;
        out[i / 2] = (uint8_t)(out[i / 2] << 4 | (c <= '9' ? c - '0' : c - 'a' + 10));
    }
    return text.len == 2 * SPAN_ID_BYTES;
}

static bool by_id(struct tql_rows *r, const struct test *t, const struct tql_expr *e, bool parents, struct tql_bits *rows)
{
    uint8_t id[SPAN_ID_BYTES];
    if (t->kind != TEST_COMPARE || t->op != TQL_OP_EQ || !read_id(t->value.text, id))
        return each_row(r, e, rows);
    if (!tql_rows_column(r, parents ? SPAN_PARENTS : SPAN_IDS))
        return false;
    const uint8_t(*ids)[SPAN_ID_BYTES] = parents ? r->block->parent_ids : r->block->span_ids;
    uint32_t count = r->block->spans_count;
    for (uint32_t w = 0; w < (count + 63) / 64; w++) {
        uint64_t word = 0;
        uint32_t end = count - w * 64 < 64 ? count - w * 64 : 64;
        for (uint32_t i = 0; i < end; i++)
            word |= (uint64_t)(memcmp(ids[w * 64 + i], id, SPAN_ID_BYTES) == 0) << i;
        rows->words[w] &= word;
    }
    return true;
}

// --- attributes of spans ----------------------------------------------------------------------------------

static struct tql_value distinct_at(const void *ctx, uint32_t i)
{
    const struct span_attribute_column *c = ctx;
    return tql_of_span_value(&(struct span_value){.kind = c->kind, .bytes = c->strings.values[i]});
}

static bool is_text(enum span_value_kind kind)
{
    return kind == VALUE_STRING || kind == VALUE_ARRAY;
}

static bool is_nil(enum span_value_kind kind)
{
    return kind == VALUE_NONE || kind == VALUE_MAP || kind == VALUE_BYTES;
}

static struct tql_value number_at(const struct span_attribute_column *c, uint32_t i)
{
    return c->kind == VALUE_DOUBLE ? (struct tql_value){.type = TQL_T_FLOAT, .number = c->numbers[i]}
           : c->kind == VALUE_BOOL ? tql_bool(c->integers[i] != 0)
                                   : tql_int(c->integers[i]);
}

// Whether values of that kind can pass at all, whatever they are.
static bool kind_may(const struct test *t, enum span_value_kind kind)
{
    if (is_nil(kind) || t->kind == TEST_EXISTS)
        return !is_nil(kind);
    if (t->kind == TEST_TRUE)
        return kind == VALUE_BOOL;
    switch (kind) {
    case VALUE_STRING: return t->value.type == TQL_T_STRING;
    case VALUE_BOOL:   return t->value.type == TQL_T_BOOL;
    case VALUE_ARRAY:  return true;
    default:           return tql_numeric(t->value.type);
    }
}

// Sets the rows whose value in the column passes. `given`: the rows that have a value, if wanted.
static bool mark_column(struct tql_rows *r, const struct test *t, uint32_t attribute, struct tql_bits *passed, struct tql_bits *given)
{
    struct span_attribute_column *c = &r->block->attributes[attribute];
    bool may = kind_may(t, c->kind), any = true;
    if (is_nil(c->kind) || (!may && given == NULL))
        return true;
    const uint8_t *table = NULL, *there = NULL;
    if (is_text(c->kind)) {
        static const struct test exists = {.kind = TEST_EXISTS};
        bool some;
        if (!tql_rows_attribute(r, attribute, true) ||
            (table = pass_table(r, t, c->strings.values_count, distinct_at, c, &any)) == NULL ||
            (c->kind == VALUE_ARRAY && (there = pass_table(r, &exists, c->strings.values_count, distinct_at, c, &some)) == NULL))
            return false;
        if (!any && given == NULL)
            return true;
    }
    if (!tql_rows_attribute(r, attribute, false))
        return false;
    for (uint32_t i = 0; i < c->count; i++) {
        uint32_t row = c->rows[i];
        if (i > 0 && c->rows[i - 1] == row) // the key's second value
            continue;
        if (given != NULL && (there == NULL || there[c->strings.ids[i]]))
            tql_bit_set(given, row);
        if (may && (table != NULL ? table[c->strings.ids[i]] : passes(t, number_at(c, i))))
            tql_bit_set(passed, row);
    }
    return true;
}

static bool by_span(struct tql_rows *r, const struct test *t, const struct tql_expr *e, struct tql_bits *rows)
{
    uint32_t first, count;
    span_block_find(r->block, t->attr->name, &first, &count);
    bool unscoped = t->attr->scope == TQL_SCOPE_ANY, negative = t->kind == TEST_ABSENT;
    if (count == 0 && unscoped)
        return by_origin(r, t, true, rows);
    if (count == 0)
        return negative || (clear(rows), true);
    if (count > 1) // a span may have both: then their order in the span decides
        return each_row(r, e, rows);
    struct tql_bits *passed = arena_zalloc(r->arena, 2 * sizeof *passed), *given = passed + 1;
    struct test test = *t;
    if (passed == NULL)
        return memory(r);
    if (negative)
        test.kind = TEST_EXISTS;
    if (!mark_column(r, &test, first, passed, unscoped ? given : NULL))
        return false;
    if (unscoped) { // of those that lack it, the resource's
        struct tql_bits *others = arena_alloc(r->arena, sizeof *others);
        if (others == NULL)
            return memory(r);
        *others = *rows;
        for (size_t w = 0; w < TQL_BITS_WORDS; w++)
            others->words[w] &= ~given->words[w];
        if (tql_bits_any(others) && !by_origin(r, t, true, others))
            return false;
        for (size_t w = 0; w < TQL_BITS_WORDS; w++)
            rows->words[w] &= negative ? others->words[w] : passed->words[w] | others->words[w];
        return true;
    }
    for (size_t w = 0; w < TQL_BITS_WORDS; w++)
        rows->words[w] &= negative ? ~passed->words[w] : passed->words[w];
    return true;
}

static bool by_test(struct tql_rows *r, const struct test *t, const struct tql_expr *e, struct tql_bits *rows)
{
    switch (t->attr->scope) {
    case TQL_SCOPE_RESOURCE:
        return by_origin(r, t, true, rows);
    case TQL_SCOPE_INSTRUMENTATION:
        return by_origin(r, t, false, rows);
    case TQL_SCOPE_SPAN: case TQL_SCOPE_ANY:
        return by_span(r, t, e, rows);
    case TQL_SCOPE_INTRINSIC:
        break;
    default:
        return each_row(r, e, rows);
    }
    switch (t->attr->intrinsic) {
    case TQL_I_NAME:           return by_strings(r, t, SPAN_NAMES, rows);
    case TQL_I_STATUS_MESSAGE: return by_strings(r, t, SPAN_MESSAGES, rows);
    case TQL_I_STATUS:         return by_codes(r, t, true, rows);
    case TQL_I_KIND:           return by_codes(r, t, false, rows);
    case TQL_I_DURATION:       return by_duration(r, t, e, rows);
    case TQL_I_SPAN_ID:        return by_id(r, t, e, false, rows);
    case TQL_I_PARENT_ID:      return by_id(r, t, e, true, rows);
    case TQL_I_INSTRUMENTATION_NAME: case TQL_I_INSTRUMENTATION_VERSION: return by_origin(r, t, false, rows);
    default:                   return each_row(r, e, rows);
    }
}

// --- logic ------------------------------------------------------------------------------------------------

// Always a bool, whatever the span has.
static bool is_bool(const struct tql_expr *e)
{
    return e->kind != TQL_ATTR && (e->kind != TQL_INVERT || is_bool(e->left)) && (e->kind != TQL_STATIC || e->value.type == TQL_T_BOOL) &&
           e->kind != TQL_NEGATE && (e->kind != TQL_BINARY || e->op > TQL_OP_POW);
}

// What an operand of `&&` costs; what is worked out row by row comes last, in the order written.
static int cost_of(const struct tql_expr *e)
{
    struct test t;
    if (e->kind == TQL_BINARY && (e->op == TQL_OP_AND || e->op == TQL_OP_OR)) {
        int l = cost_of(e->left), right = cost_of(e->right);
        return l > right ? l : right;
    }
    if (e->kind == TQL_STATIC)
        return 0;
    if (e->kind == TQL_INVERT)
        return cost_of(e->left);
    if (!test_of(e, &t))
        return 9;
    switch (t.attr->scope) {
    case TQL_SCOPE_RESOURCE: case TQL_SCOPE_INSTRUMENTATION:
        return 1;
    case TQL_SCOPE_INTRINSIC:
        switch (t.attr->intrinsic) {
        case TQL_I_STATUS: case TQL_I_KIND: return 1;
        case TQL_I_NAME: case TQL_I_STATUS_MESSAGE: return 2;
        case TQL_I_DURATION: return 3;
        default: return 8;
        }
    default:
        return t.value.type == TQL_T_STRING ? 4 : 5;
    }
}

enum { OPERANDS_MAX = 64 };

static bool gather(const struct tql_expr *e, const struct tql_expr **out, uint32_t *count)
{
    if (e->kind == TQL_BINARY && e->op == TQL_OP_AND)
        return gather(e->left, out, count) && gather(e->right, out, count);
    if (*count == OPERANDS_MAX)
        return false;
    out[(*count)++] = e;
    return true;
}

static bool conjunction(struct tql_rows *r, const struct tql_expr *e, struct tql_bits *rows)
{
    const struct tql_expr *operands[OPERANDS_MAX];
    uint32_t count = 0;
    if (!gather(e, operands, &count)) // more than are worth sorting
        return tql_rows_filter(r, e->left, rows) && (!tql_bits_any(rows) || tql_rows_filter(r, e->right, rows));
    for (int cost = 0; cost < 10; cost++)
        for (uint32_t i = 0; i < count; i++) {
            if (cost_of(operands[i]) != cost)
                continue;
            if (!tql_rows_filter(r, operands[i], rows))
                return false;
            if (!tql_bits_any(rows))
                return true;
        }
    return true;
}

static bool disjunction(struct tql_rows *r, const struct tql_expr *e, struct tql_bits *rows)
{
    struct tql_bits *left = arena_alloc(r->arena, 2 * sizeof *left), *right = left + 1;
    if (left == NULL)
        return memory(r);
    *left = *rows;
    if (!tql_rows_filter(r, e->left, left))
        return false;
    for (size_t w = 0; w < TQL_BITS_WORDS; w++)
        right->words[w] = rows->words[w] & ~left->words[w];
    if (tql_bits_any(right) && !tql_rows_filter(r, e->right, right))
        return false;
    for (size_t w = 0; w < TQL_BITS_WORDS; w++)
        rows->words[w] = left->words[w] | right->words[w];
    return true;
}

static bool inversion(struct tql_rows *r, const struct tql_expr *e, struct tql_bits *rows)
{
    struct tql_bits *inner = arena_alloc(r->arena, sizeof *inner);
    if (inner == NULL)
        return memory(r);
    *inner = *rows;
    if (!tql_rows_filter(r, e->left, inner))
        return false;
    for (size_t w = 0; w < TQL_BITS_WORDS; w++)
        rows->words[w] &= ~inner->words[w];
    return true;
}

bool tql_rows_filter(struct tql_rows *r, const struct tql_expr *e, struct tql_bits *rows)
{
    struct test t;
    if (e->kind == TQL_STATIC)
        return tql_true(e->value) || (clear(rows), true);
    if (e->kind == TQL_BINARY && e->op == TQL_OP_AND)
        return conjunction(r, e, rows);
    if (e->kind == TQL_BINARY && e->op == TQL_OP_OR && is_bool(e->left))
        return disjunction(r, e, rows);
    if (e->kind == TQL_INVERT && is_bool(e->left))
        return inversion(r, e, rows);
    return test_of(e, &t) ? by_test(r, &t, e, rows) : each_row(r, e, rows);
}

// --- statistics -------------------------------------------------------------------------------------------

// Bits of numbers that are not in the enum stand for the default.
static bool mask_may(const struct test *t, uint32_t mask, bool statuses)
{
    for (int32_t i = 0; i <= KIND_CONSUMER; i++)
        if ((mask >> i & 1 || (i == 0 && mask >> 31)) && passes(t, statuses ? tql_status(i) : tql_kind(i)))
            return true;
    return false;
}

static bool duration_may(const struct test *t, const struct span_block_stats *s)
{
    enum tql_op op = t->flipped ? flip(t->op) : t->op;
    struct tql_value min = tql_duration(s->duration_min_ns), max = tql_duration(s->duration_max_ns);
    switch (op) {
    case TQL_OP_EQ:
        return tql_compare(TQL_OP_LE, min, t->value, NULL) && tql_compare(TQL_OP_GE, max, t->value, NULL);
    case TQL_OP_LT: case TQL_OP_LE:
        return tql_compare((int)op, min, t->value, NULL);
    case TQL_OP_GT: case TQL_OP_GE:
        return tql_compare((int)op, max, t->value, NULL);
    default:
        return true;
    }
}

bool tql_stats_may(const struct span_block_stats *s, const struct tql_expr *e)
{
    struct test t;
    if (e->kind == TQL_STATIC)
        return tql_true(e->value);
    if (e->kind == TQL_BINARY && e->op == TQL_OP_AND)
        return tql_stats_may(s, e->left) && tql_stats_may(s, e->right);
    if (e->kind == TQL_BINARY && e->op == TQL_OP_OR)
        return tql_stats_may(s, e->left) || tql_stats_may(s, e->right);
    if (!test_of(e, &t) || t.kind != TEST_COMPARE || t.attr->scope != TQL_SCOPE_INTRINSIC)
        return true;
    switch (t.attr->intrinsic) {
    case TQL_I_STATUS:   return mask_may(&t, s->status_mask, true);
    case TQL_I_KIND:     return mask_may(&t, s->kind_mask, false);
    case TQL_I_DURATION: return duration_may(&t, s);
    default:             return true;
    }
}
