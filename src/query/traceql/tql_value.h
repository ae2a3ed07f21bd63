/*
 * tql_value.h -- values of TraceQL (traceql.md 7) and what operators make of them (traceql.md 9).
 *
 * A value borrows its bytes. Operators never fail on types: what does not fit is false (traceql.md 9.3, 9.4). Dividing
 * integers by zero alone is an error, which ends the query.
 */
#pragma once

#include "base/buf.h"
#include "query/regex.h"
#include "store/span.h"

enum tql_type {
    TQL_T_NIL,
    TQL_T_BOOL,
    TQL_T_INT,
    TQL_T_FLOAT,
    TQL_T_DURATION,
    TQL_T_STRING,
    TQL_T_STATUS,
    TQL_T_KIND,
    TQL_T_ARRAY,     // of elements of one type; never written in a query
    TQL_T_ATTRIBUTE, // unknown until a span is looked at; not the type of a value
};

struct tql_value {
    enum tql_type type;
    union {
        bool flag;
        int64_t integer; // INT, DURATION in ns, STATUS and KIND as span.h numbers them
        double number;
        struct slice text; // STRING; ARRAY: as in struct span_value
    };
};

static inline struct tql_value tql_bool(bool flag)
{
    return (struct tql_value){.type = TQL_T_BOOL, .flag = flag};
}
static inline struct tql_value tql_int(int64_t integer)
{
    return (struct tql_value){.type = TQL_T_INT, .integer = integer};
}
static inline struct tql_value tql_duration(uint64_t ns)
{
    return (struct tql_value){.type = TQL_T_DURATION, .integer = ns > INT64_MAX ? INT64_MAX : (int64_t)ns};
}
static inline struct tql_value tql_string(struct slice text)
{
    return (struct tql_value){.type = TQL_T_STRING, .text = text};
}
// Numbers that OpenTelemetry does not know are the default.
static inline struct tql_value tql_status(int32_t status)
{
    return (struct tql_value){.type = TQL_T_STATUS, .integer = status == STATUS_OK || status == STATUS_ERROR ? status : STATUS_UNSET};
}
static inline struct tql_value tql_kind(int32_t kind)
{
    return (struct tql_value){.type = TQL_T_KIND, .integer = kind >= KIND_INTERNAL && kind <= KIND_CONSUMER ? kind : KIND_UNSPECIFIED};
}
static inline bool tql_true(struct tql_value v)
{
    return v.type == TQL_T_BOOL && v.flag;
}
static inline bool tql_numeric(enum tql_type type)
{
    return type == TQL_T_INT || type == TQL_T_FLOAT || type == TQL_T_DURATION;
}
static inline double tql_number(struct tql_value v) // numeric; a duration in ns
{
    return v.type == TQL_T_FLOAT ? v.number : (double)v.integer;
}

// What an attribute's value is to a query: empty values, maps, bytes and arrays of mixed or nested elements are nil.
struct tql_value tql_of_span_value(const struct span_value *v);
// `v` in an answer (traceql.md 12.4): durations, statuses and kinds as text, nil as "nil". Text made lives in `a`.
struct span_value tql_to_span_value(struct tql_value v, struct arena *a);

// A comparison or regex: EQ .. NRE of enum tql_op. Of an array with a scalar: traceql.md 9.11.
bool tql_compare(int op, struct tql_value left, struct tql_value right, const struct regex *regex);
// ADD .. POW. What is not numeric gives false. NULL, or the error's text.
const char *tql_arithmetic(int op, struct tql_value left, struct tql_value right, struct tql_value *out);

// As the language writes it; arrays as JSON.
void tql_print_value(struct buf *b, struct tql_value v);
// Shortest that reads back, always with `.` or an exponent.
void tql_print_number(struct buf *b, double number);
const char *tql_status_name(int64_t status);
const char *tql_kind_name(int64_t kind);

// Total order for sorting and an encoding for telling values apart: equal bytes iff same type and value.
void tql_encode_value(struct buf *b, struct tql_value v);
