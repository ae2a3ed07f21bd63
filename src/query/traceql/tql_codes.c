/* tql_codes.c -- see tql_codes.h. */
#include "query/traceql/tql_codes.h"

#include "base/slice_set.h"

static bool memory(struct tql_rows *r)
{
    return arena_ok(r->arena, "query", r->err) || (r->failed = true, false);
}

static struct tql_value plain(struct tql_value v, bool arrays)
{
    return v.type == TQL_T_ARRAY && !arrays ? (struct tql_value){.type = TQL_T_NIL} : v;
}

static bool of_origin(struct tql_rows *r, const struct tql_attr *attr, bool arrays, struct tql_codes *out)
{
    bool resources = attr->scope != TQL_SCOPE_INSTRUMENTATION;
    if (!tql_rows_slot(r, attr))
        return false;
    out->count = resources ? r->block->resources_count : r->block->scopes_count;
    out->of_row = resources ? r->block->resource_of : r->block->scope_of;
    struct tql_value *values = arena_array(r->arena, out->count, sizeof *values);
    if (values == NULL)
        return memory(r);
    for (uint32_t i = 0; i < out->count; i++)
        values[i] = plain(r->slots[attr->number].by_origin[i], arrays);
    out->values = values;
    return true;
}

static bool of_strings(struct tql_rows *r, enum span_column column, struct tql_codes *out)
{
    if (!tql_rows_column(r, column))
        return false;
    const struct span_strings *s = column == SPAN_NAMES ? &r->block->names : &r->block->messages;
    struct tql_value *values = arena_array(r->arena, s->values_count, sizeof *values);
    if (values == NULL)
        return memory(r);
    for (uint32_t i = 0; i < s->values_count; i++)
        values[i] = tql_string(s->values[i]);
    *out = (struct tql_codes){s->ids, values, s->values_count};
    return true;
}

static bool of_numbers(struct tql_rows *r, bool statuses, struct tql_codes *out)
{
    if (!tql_rows_column(r, statuses ? SPAN_STATUSES : SPAN_KINDS))
        return false;
    const int32_t *numbers = statuses ? r->block->statuses : r->block->kinds;
    uint32_t *codes = arena_array(r->arena, r->block->spans_count, sizeof *codes);
    struct tql_value *values = arena_array(r->arena, KIND_CONSUMER + 1, sizeof *values);
    if (codes == NULL || values == NULL)
        return memory(r);
    for (uint32_t i = 0; i < r->block->spans_count; i++)
        codes[i] = (uint32_t)numbers[i] <= KIND_CONSUMER ? (uint32_t)numbers[i] : 0;
    for (int32_t i = 0; i <= KIND_CONSUMER; i++)
        values[i] = statuses ? tql_status(i) : tql_kind(i);
    *out = (struct tql_codes){codes, values, KIND_CONSUMER + 1};
    return true;
}

// A string column: code 0 is nil, then its distinct values.
static bool of_column(struct tql_rows *r, uint32_t attribute, struct tql_codes *out)
{
    if (!tql_rows_attribute(r, attribute, false))
        return false;
    const struct span_attribute_column *c = &r->block->attributes[attribute];
    uint32_t *codes = arena_zalloc(r->arena, r->block->spans_count * sizeof *codes);
    struct tql_value *values = arena_array(r->arena, c->strings.values_count + (size_t)1, sizeof *values);
    if (codes == NULL || values == NULL)
        return memory(r);
    for (uint32_t i = c->count; i-- > 0;) // of a key given twice the first stays
        codes[c->rows[i]] = c->strings.ids[i] + 1;
    values[0] = (struct tql_value){.type = TQL_T_NIL};
    for (uint32_t i = 0; i < c->strings.values_count; i++)
        values[i + 1] = tql_string(c->strings.values[i]);
    *out = (struct tql_codes){codes, values, c->strings.values_count + 1};
    return true;
}

// Open addressing over numbers, at most half full.
struct number_table {
    uint32_t *slots; // place in values
    uint32_t room;
    struct tql_value *values;
    uint32_t count;
};

// The code of a column's number: where it is among the values.
static uint32_t code_of(struct number_table *t, int64_t number, bool flag)
{
    uint32_t at = (uint32_t)((uint64_t)number * UINT64_C(0x9E3779B97F4A7C15) >> 40) & (t->room - 1);
    for (; t->slots[at] != 0; at = (at + 1) & (t->room - 1)) {
        const struct tql_value *v = &t->values[t->slots[at]];
        if (flag ? v->flag == (number != 0) : v->integer == number)
            return t->slots[at];
    }
    t->values[t->count] = flag ? (struct tql_value){.type = TQL_T_BOOL, .flag = number != 0}
                               : (struct tql_value){.type = TQL_T_INT, .integer = number};
    return t->slots[at] = t->count++;
}

// A column of integers or booleans: likewise.
static bool of_integers(struct tql_rows *r, uint32_t attribute, struct tql_codes *out)
{
    if (!tql_rows_attribute(r, attribute, false))
        return false;
    const struct span_attribute_column *c = &r->block->attributes[attribute];
    struct number_table t = {.room = 16, .count = 1};
    while (t.room < 2 * (c->count + 1))
        t.room *= 2;
    uint32_t *codes = arena_zalloc(r->arena, r->block->spans_count * sizeof *codes);
    t.slots = arena_zalloc(r->arena, t.room * sizeof *t.slots);
    t.values = arena_array(r->arena, c->count + (size_t)1, sizeof *t.values);
    if (codes == NULL || t.slots == NULL || t.values == NULL)
        return memory(r);
    t.values[0] = (struct tql_value){.type = TQL_T_NIL};
    for (uint32_t i = c->count; i-- > 0;)
        codes[c->rows[i]] = code_of(&t, c->integers[i], c->kind == VALUE_BOOL);
    *out = (struct tql_codes){codes, t.values, t.count};
    return true;
}

static bool by_value(struct tql_rows *r, const struct tql_attr *attr, const struct tql_bits *bits, bool arrays, struct tql_codes *out)
{
    struct slice_set known = {.arena = r->arena};
    struct tql_value *values = NULL;
    size_t room = 0;
    uint32_t *codes = arena_array(r->arena, r->block->spans_count, sizeof *codes);
    if (codes == NULL)
        return memory(r);
    struct buf key;
    buf_init(&key, 0);
    bool good = true;
    for (uint32_t row = tql_bits_next(bits, 0); good && row < SPAN_BLOCK_SPANS_MAX; row = tql_bits_next(bits, row + 1)) {
        struct tql_value v = plain(tql_rows_value(r, attr, row), arrays);
        buf_reset(&key);
        tql_encode_value(&key, v);
        size_t before = known.count, code = slice_set_add(&known, buf_slice(&key));
        good = !r->failed && code != SIZE_MAX && (code < before || arena_grow(r->arena, (void **)&values, sizeof *values, code, &room));
        if (good && code == before) {
            if (v.type == TQL_T_STRING)
                v.text = arena_copy(r->arena, v.text);
            values[code] = v;
        }
        if (good)
            codes[row] = (uint32_t)code;
    }
    buf_done(&key);
    *out = (struct tql_codes){codes, values, (uint32_t)known.count};
    return good || (!r->failed && memory(r));
}

bool tql_codes_of(struct tql_rows *r, const struct tql_attr *attr, const struct tql_bits *bits, bool arrays, struct tql_codes *out)
{
    uint32_t first, count;
    switch (attr->scope) {
    case TQL_SCOPE_RESOURCE: case TQL_SCOPE_INSTRUMENTATION:
        return of_origin(r, attr, arrays, out);
    case TQL_SCOPE_INTRINSIC:
        switch (attr->intrinsic) {
        case TQL_I_NAME:           return of_strings(r, SPAN_NAMES, out);
        case TQL_I_STATUS_MESSAGE: return of_strings(r, SPAN_MESSAGES, out);
        case TQL_I_STATUS:         return of_numbers(r, true, out);
        case TQL_I_KIND:           return of_numbers(r, false, out);
        default:                   return by_value(r, attr, bits, arrays, out);
        }
    case TQL_SCOPE_SPAN: case TQL_SCOPE_ANY:
        span_block_find(r->block, attr->name, &first, &count);
        if (count == 0 && attr->scope == TQL_SCOPE_ANY)
            return of_origin(r, attr, arrays, out);
        if (count == 1 && attr->scope == TQL_SCOPE_SPAN) {
            enum span_value_kind kind = r->block->attributes[first].kind;
            if (kind == VALUE_STRING)
                return of_column(r, first, out);
            if (kind == VALUE_INT || kind == VALUE_BOOL)
                return of_integers(r, first, out);
        }
        return by_value(r, attr, bits, arrays, out);
    default:
        return by_value(r, attr, bits, arrays, out);
    }
}

// Open addressing over pairs, at most half full.
struct pair_table {
    uint32_t *slots; // number + 1
    uint32_t room;
    struct tql_code_pair *pairs;
    size_t count, pairs_room;
};

static uint32_t pair_start(const struct pair_table *t, struct tql_code_pair p)
{
    uint64_t mixed = ((uint64_t)p.left << 32 | p.right) * UINT64_C(0x9E3779B97F4A7C15);
    return (uint32_t)(mixed >> 40) & (t->room - 1);
}

static bool grow_pairs(struct pair_table *t, struct arena *a)
{
    if ((t->count + 1) * 2 <= t->room)
        return true;
    t->room = t->room == 0 ? 64 : t->room * 4;
    t->slots = arena_zalloc(a, t->room * sizeof *t->slots);
    for (size_t i = 0; t->slots != NULL && i < t->count; i++) {
        uint32_t at = pair_start(t, t->pairs[i]);
        while (t->slots[at] != 0)
            at = (at + 1) & (t->room - 1);
        t->slots[at] = (uint32_t)i + 1;
    }
    return t->slots != NULL;
}

bool tql_codes_join(struct tql_rows *r, const uint32_t *left, const uint32_t *right, const struct tql_bits *bits,
                    const uint32_t **of_row_out, struct tql_code_pair **pairs_out, uint32_t *count_out)
{
    struct pair_table t = {0};
    uint32_t *of_row = arena_array(r->arena, r->block->spans_count, sizeof *of_row);
    if (of_row == NULL)
        return memory(r);
    for (uint32_t row = tql_bits_next(bits, 0); row < SPAN_BLOCK_SPANS_MAX; row = tql_bits_next(bits, row + 1)) {
        struct tql_code_pair p = {left[row], right[row]};
        if (!grow_pairs(&t, r->arena))
            return memory(r);
        uint32_t at = pair_start(&t, p);
        while (t.slots[at] != 0 && (t.pairs[t.slots[at] - 1].left != p.left || t.pairs[t.slots[at] - 1].right != p.right))
            at = (at + 1) & (t.room - 1);
        if (t.slots[at] == 0) {
            if (!arena_grow(r->arena, (void **)&t.pairs, sizeof *t.pairs, t.count, &t.pairs_room))
                return memory(r);
            t.pairs[t.count++] = p;
            t.slots[at] = (uint32_t)t.count;
        }
        of_row[row] = t.slots[at] - 1;
    }
    *of_row_out = of_row;
    *pairs_out = t.pairs;
    *count_out = (uint32_t)t.count;
    return true;
}
