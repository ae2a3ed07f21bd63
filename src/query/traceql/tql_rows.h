/*
 * tql_rows.h -- filters and values on the rows of a span block, column by column (traceql.md 9 on span_block.h).
 *
 * Filters are evaluated a column at a time into bitmaps; strings are looked at once for each distinct value. What has no
 * such form is evaluated row by row, from values laid out by row. Only the columns that are asked for are decoded. Attributes
 * of the whole trace (tql_attr_of_trace()) are nil here: their expressions do not come here.
 *
 * Everything lives in the block's arena. One thread.
 */
#pragma once

#include "query/traceql/tql_trace.h"
#include "store/span_block.h"

enum { TQL_BITS_WORDS = (SPAN_BLOCK_SPANS_MAX + 63) / 64 };

struct tql_bits { // a bit for each row; bits behind the last row are 0
    uint64_t words[TQL_BITS_WORDS];
};

static inline bool tql_bit(const struct tql_bits *b, uint32_t row)
{
    return b->words[row >> 6] >> (row & 63) & 1;
}
static inline void tql_bit_set(struct tql_bits *b, uint32_t row)
{
    b->words[row >> 6] |= UINT64_C(1) << (row & 63);
}
void tql_bits_fill(struct tql_bits *b, uint32_t rows);
bool tql_bits_any(const struct tql_bits *b);
uint32_t tql_bits_count(const struct tql_bits *b);
// The first row at or after `row` that is set; SPAN_BLOCK_SPANS_MAX when there is none.
uint32_t tql_bits_next(const struct tql_bits *b, uint32_t row);

// Values of an attribute as they are in the block.
struct tql_slot {
    bool ready;
    const struct tql_value *by_row;    // of the span; NULL: no span has any
    const struct tql_value *by_origin; // of its resource or scope
};

struct tql_rows {
    struct span_block *block;
    struct arena *arena; // the block's
    struct tql_slot *slots; // by number of the query's attributes
    struct tql_eval eval;   // eval.ctx is this
    uint32_t row;           // in hand
    struct err *err;        // of a column that could not be decoded
    bool failed;
};

// `attrs_count`: of the query; there is room for the one more of tql_need.h. False: the arena is full.
MUST_CHECK bool tql_rows_init(struct tql_rows *r, struct span_block *block, uint32_t attrs_count, struct arena *scratch,
                              struct err *err);
// Leaves in `rows` those for which the expression is true. False with *r->err: a column is damaged, or an error of evaluation
// (ERR_INPUT).
MUST_CHECK bool tql_rows_filter(struct tql_rows *r, const struct tql_expr *e, struct tql_bits *rows);
// The value of one row, of any attribute. Sets r->failed.
struct tql_value tql_rows_value(struct tql_rows *r, const struct tql_attr *attr, uint32_t row);
// A trace of the block, by its place in trace_first: its spans with what is not an attribute, an event or a link, all of
// them in the block's arena. The rows must last as long. False: r->err.
MUST_CHECK bool tql_rows_trace(struct tql_rows *r, uint32_t trace, struct tql_trace *out);
struct tql_value tql_rows_message(struct tql_rows *r); // statusMessage of the row in hand
// The duration of a row, and its start as indexes have it. Columns must be there.
uint64_t tql_rows_duration(const struct tql_rows *r, uint32_t row);

// Decodes what an attribute lies in: by_row and by_origin are then valid (intrinsics have none).
MUST_CHECK bool tql_rows_slot(struct tql_rows *r, const struct tql_attr *attr);
// Decodes a column of the block; fails the rows.
MUST_CHECK bool tql_rows_column(struct tql_rows *r, enum span_column column);
MUST_CHECK bool tql_rows_dictionary(struct tql_rows *r, enum span_column column);
// What tql_resource_value() of that name needs.
MUST_CHECK bool tql_rows_resources(struct tql_rows *r, struct slice name);
struct tql_value tql_resource_value(const struct span_resource *resource, struct slice name);
MUST_CHECK bool tql_rows_attribute(struct tql_rows *r, uint32_t attribute, bool values_alone);

// What a block's statistics say: whether some span in it may satisfy the expression.
bool tql_stats_may(const struct span_block_stats *stats, const struct tql_expr *e);
