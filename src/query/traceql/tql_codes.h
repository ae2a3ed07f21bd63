/*
 * tql_codes.h -- an attribute's values in a block as small numbers, so that grouping compares numbers and not values.
 */
#pragma once

#include "query/traceql/tql_rows.h"

struct tql_codes {
    const uint32_t *of_row; // code by row; rows that were not asked for have any
    const struct tql_value *values; // by code; equal values may have several codes
    uint32_t count;
};

// For the rows in `bits`. Arrays are nil (traceql.md 13), unless they are wanted. False: r->err.
MUST_CHECK bool tql_codes_of(struct tql_rows *r, const struct tql_attr *attr, const struct tql_bits *bits, bool arrays,
                             struct tql_codes *out);
// Codes of pairs: of rows in `bits`; the values are numbers of pairs in pairs_out.
struct tql_code_pair {
    uint32_t left, right;
};
MUST_CHECK bool tql_codes_join(struct tql_rows *r, const uint32_t *left, const uint32_t *right, const struct tql_bits *bits,
                               const uint32_t **of_row_out, struct tql_code_pair **pairs_out, uint32_t *count_out);
