/* tql_value.c -- see tql_value.h. */
#include "query/traceql/tql_value.h"

#include "base/jsonout.h"
#include "query/logql/unit.h"
#include "query/traceql/tql_ast.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

// --- from and to spans ----------------------------------------------------------------------------------

static bool is_plain(enum span_value_kind kind)
{
    return kind == VALUE_STRING || kind == VALUE_BOOL || kind == VALUE_INT || kind == VALUE_DOUBLE;
}

// Whether the elements are of one plain kind.
static bool is_uniform(struct slice array)
{
    struct span_value element;
    enum span_value_kind kind = VALUE_NONE;
    for (struct pb walk = pb_of(array); span_array_next(&walk, &element); kind = element.kind)
        if (!is_plain(element.kind) || (kind != VALUE_NONE && element.kind != kind))
            return false;
    return true;
}

struct tql_value tql_of_span_value(const struct span_value *v)
{
    switch (v->kind) {
    case VALUE_STRING: return tql_string(v->bytes);
    case VALUE_BOOL:   return tql_bool(v->flag);
    case VALUE_INT:    return tql_int(v->integer);
    case VALUE_DOUBLE: return (struct tql_value){.type = TQL_T_FLOAT, .number = v->number};
    case VALUE_ARRAY:
        if (is_uniform(v->bytes))
            return (struct tql_value){.type = TQL_T_ARRAY, .text = v->bytes};
        break;
    case VALUE_NONE: case VALUE_MAP: case VALUE_BYTES:
        break;
    }
    return (struct tql_value){.type = TQL_T_NIL};
}

static struct span_value text_value(struct slice text)
{
    return (struct span_value){.kind = VALUE_STRING, .bytes = text};
}

struct span_value tql_to_span_value(struct tql_value v, struct arena *a)
{
    char duration[UNIT_DURATION_BYTES];
    switch (v.type) {
    case TQL_T_BOOL:   return (struct span_value){.kind = VALUE_BOOL, .flag = v.flag};
    case TQL_T_INT:    return (struct span_value){.kind = VALUE_INT, .integer = v.integer};
    case TQL_T_FLOAT:  return (struct span_value){.kind = VALUE_DOUBLE, .number = v.number};
    case TQL_T_STRING: return text_value(arena_copy(a, v.text));
    case TQL_T_DURATION:
        unit_print_go_duration(v.integer, duration);
        return text_value(arena_copy(a, slice_cstr(duration)));
    case TQL_T_STATUS: return text_value(slice_cstr(tql_status_name(v.integer)));
    case TQL_T_KIND:   return text_value(slice_cstr(tql_kind_name(v.integer)));
    case TQL_T_ARRAY:  return (struct span_value){.kind = VALUE_ARRAY, .bytes = arena_copy(a, v.text)};
    case TQL_T_NIL: case TQL_T_ATTRIBUTE:
        break;
    }
    return text_value(SLICE("nil"));
}

// --- comparing ------------------------------------------------------------------------------------------

static bool holds(int op, int order)
{
    switch (op) {
    case TQL_OP_EQ: return order == 0;
    case TQL_OP_NE: return order != 0;
    case TQL_OP_LT: return order < 0;
    case TQL_OP_LE: return order <= 0;
    case TQL_OP_GT: return order > 0;
    case TQL_OP_GE: return order >= 0;
    default:        return false;
    }
}

static bool compare_numbers(int op, struct tql_value left, struct tql_value right)
{
    if (left.type != TQL_T_FLOAT && right.type != TQL_T_FLOAT)
        return holds(op, (left.integer > right.integer) - (left.integer < right.integer));
    double l = tql_number(left), r = tql_number(right);
    switch (op) { // NaN is unequal to all and in no order
    case TQL_OP_EQ: return l == r;
    case TQL_OP_NE: return l != r;
    case TQL_OP_LT: return l < r;
    case TQL_OP_LE: return l <= r;
    case TQL_OP_GT: return l > r;
    case TQL_OP_GE: return l >= r;
    default:        return false;
    }
}

static bool compare_scalars(int op, struct tql_value left, struct tql_value right, const struct regex *regex)
{
    bool equality = op == TQL_OP_EQ || op == TQL_OP_NE;
    if (tql_numeric(left.type) && tql_numeric(right.type))
        return compare_numbers(op, left, right);
    if (left.type != right.type)
        return false;
    switch (left.type) {
    case TQL_T_STRING:
        if (op == TQL_OP_RE || op == TQL_OP_NRE)
            return regex_match(regex, left.text) == (op == TQL_OP_RE);
        return holds(op, slice_cmp(left.text, right.text));
    case TQL_T_BOOL:
        return equality && holds(op, left.flag != right.flag);
    case TQL_T_STATUS: case TQL_T_KIND:
        return equality && holds(op, left.integer != right.integer);
    default:
        return false;
    }
}

bool tql_compare(int op, struct tql_value left, struct tql_value right, const struct regex *regex)
{
    bool array_left = left.type == TQL_T_ARRAY;
    if (!array_left && right.type != TQL_T_ARRAY)
        return compare_scalars(op, left, right, regex);
    if ((array_left && right.type == TQL_T_ARRAY) || left.type == TQL_T_NIL || right.type == TQL_T_NIL)
        return false;
    bool all = op == TQL_OP_NE || op == TQL_OP_NRE;
    struct span_value element;
    for (struct pb walk = pb_of(array_left ? left.text : right.text); span_array_next(&walk, &element);) {
        struct tql_value one = tql_of_span_value(&element);
        if (compare_scalars(op, array_left ? one : left, array_left ? right : one, regex) != all)
            return !all;
    }
    return all;
}

// --- arithmetic -----------------------------------------------------------------------------------------

static int64_t int_power(int64_t base, int64_t exponent)
{
    if (exponent < 0)
        return base == 1 ? 1 : base == -1 ? (exponent % 2 == 0 ? 1 : -1) : 0;
    uint64_t result = 1, factor = (uint64_t)base;
    for (; exponent > 0; exponent >>= 1, factor *= factor)
        if (exponent & 1)
            result *= factor;
    return (int64_t)result;
}

static const char *int_arithmetic(int op, int64_t l, int64_t r, int64_t *out)
{
    if (r == 0 && (op == TQL_OP_DIV || op == TQL_OP_MOD))
        return op == TQL_OP_DIV ? "division by zero" : "modulo by zero";
    switch (op) { // through uint64_t: what does not fit wraps
    case TQL_OP_ADD: *out = (int64_t)((uint64_t)l + (uint64_t)r); break;
    case TQL_OP_SUB: *out = (int64_t)((uint64_t)l - (uint64_t)r); break;
    case TQL_OP_MUL: *out = (int64_t)((uint64_t)l * (uint64_t)r); break;
    case TQL_OP_DIV: *out = r == -1 ? (int64_t)(0 - (uint64_t)l) : l / r; break;
    case TQL_OP_MOD: *out = r == -1 ? 0 : l % r; break;
    default:         *out = int_power(l, r); break;
    }
    return NULL;
}

const char *tql_arithmetic(int op, struct tql_value left, struct tql_value right, struct tql_value *out)
{
    if (!tql_numeric(left.type) || !tql_numeric(right.type)) {
        *out = tql_bool(false);
        return NULL;
    }
    if (left.type == TQL_T_INT && right.type == TQL_T_INT) {
        out->type = TQL_T_INT;
        return int_arithmetic(op, left.integer, right.integer, &out->integer);
    }
    double l = tql_number(left), r = tql_number(right);
    out->type = TQL_T_FLOAT;
    switch (op) {
    case TQL_OP_ADD: out->number = l + r; break;
    case TQL_OP_SUB: out->number = l - r; break;
    case TQL_OP_MUL: out->number = l * r; break;
    case TQL_OP_DIV: out->number = l / r; break;
    case TQL_OP_MOD: out->number = fmod(l, r); break;
    default:         out->number = pow(l, r); break;
    }
    return NULL;
}

// --- text -----------------------------------------------------------------------------------------------

const char *tql_status_name(int64_t status)
{
    return status == STATUS_OK ? "ok" : status == STATUS_ERROR ? "error" : "unset";
}

const char *tql_kind_name(int64_t kind)
{
    static const char *const names[] = {"unspecified", "internal", "server", "client", "producer", "consumer"};
    return kind >= 0 && kind < (int64_t)COUNT_OF(names) ? names[kind] : "unspecified";
}

void tql_print_number(struct buf *b, double number)
{
    char text[40];
    for (int digits = 1; digits <= 17; digits++) {
        (void)snprintf(text, sizeof text, "%.*g", digits, number);
        if (strtod(text, NULL) == number)
            break;
    }
    buf_put_cstr(b, isnan(number) ? "NaN" : isinf(number) ? (number > 0 ? "+Inf" : "-Inf") : text);
    if (isfinite(number) && strpbrk(text, ".e") == NULL)
        buf_put_cstr(b, ".0");
}

static void print_array(struct buf *b, struct slice array)
{
    struct span_value element;
    const char *between = "[";
    for (struct pb walk = pb_of(array); span_array_next(&walk, &element); between = ",") {
        buf_put_cstr(b, between);
        if (element.kind == VALUE_STRING)
            jsonout_string(b, element.bytes);
        else
            tql_print_value(b, tql_of_span_value(&element));
    }
    buf_put_cstr(b, *between == '[' ? "[]" : "]");
}

void tql_print_value(struct buf *b, struct tql_value v)
{
    char duration[UNIT_DURATION_BYTES];
    switch (v.type) {
    case TQL_T_BOOL:   buf_put_cstr(b, v.flag ? "true" : "false"); break;
    case TQL_T_INT:
        if (v.integer == INT64_MIN) // its digits alone do not fit the type
            buf_put_cstr(b, "minInt");
        else
            buf_printf(b, "%lld", (long long)v.integer);
        break;
    case TQL_T_FLOAT:  tql_print_number(b, v.number); break;
    case TQL_T_DURATION:
        unit_print_go_duration(v.integer, duration);
        buf_put_cstr(b, duration);
        break;
    case TQL_T_STRING:
        if (v.text.len > 0 && (memchr(v.text.ptr, '`', v.text.len) != NULL || memchr(v.text.ptr, '\r', v.text.len) != NULL)) {
            labels_quote(b, v.text);
        } else {
            buf_put_byte(b, '`');
            buf_put_slice(b, v.text);
            buf_put_byte(b, '`');
        }
        break;
    case TQL_T_STATUS: buf_put_cstr(b, tql_status_name(v.integer)); break;
    case TQL_T_KIND:   buf_put_cstr(b, tql_kind_name(v.integer)); break;
    case TQL_T_ARRAY:  print_array(b, v.text); break;
    case TQL_T_NIL: case TQL_T_ATTRIBUTE: buf_put_cstr(b, "nil"); break;
    }
}

void tql_encode_value(struct buf *b, struct tql_value v)
{
    buf_put_byte(b, (uint8_t)v.type);
    switch (v.type) {
    case TQL_T_BOOL:
        buf_put_byte(b, v.flag);
        break;
    case TQL_T_INT: case TQL_T_DURATION: case TQL_T_STATUS: case TQL_T_KIND:
        buf_put(b, &v.integer, sizeof v.integer);
        break;
    case TQL_T_FLOAT:
        buf_put(b, &v.number, sizeof v.number);
        break;
    case TQL_T_STRING: case TQL_T_ARRAY: {
        uint64_t len = v.text.len;
        buf_put(b, &len, sizeof len);
        buf_put_slice(b, v.text);
        break;
    }
    case TQL_T_NIL: case TQL_T_ATTRIBUTE:
        break;
    }
}
