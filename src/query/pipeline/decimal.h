/*
 * decimal.h -- exact decimal arithmetic for addf, subf, mulf and divf of templates; logql.md 12.1.
 *
 * An operand is a double, taken as the shortest decimal that reads as it: at most 17 digits. The running value keeps
 * all its digits; only a division rounds, to 16 places behind the point, halves away from zero.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

// Enough for a division by the least double of each argument that a call can have.
enum { DECIMAL_ARGUMENTS_MAX = 32, DECIMAL_LIMBS = 1400 };

struct decimal { // limbs * 10^exponent
    bool negative;
    int32_t exponent;
    uint32_t count;                // of limbs; 0: zero
    uint32_t limbs[DECIMAL_LIMBS]; // nine digits each, the least first
};

// Finite values; at most DECIMAL_ARGUMENTS_MAX operations on one decimal.
void decimal_init(struct decimal *d, double v);
void decimal_add(struct decimal *d, double v);
void decimal_multiply(struct decimal *d, double v);
void decimal_divide(struct decimal *d, double v); // not by 0
// The nearest double; infinite when it is too large for one.
double decimal_value(const struct decimal *d);
