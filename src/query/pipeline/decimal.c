/* decimal.c -- see decimal.h. */
#include "query/pipeline/decimal.h"

#include "base/shortest.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LIMB = 1000000000, LIMB_DIGITS = 9, PLACES = 16 };

struct operand { // digits * 10^exponent, at most 17 digits
    bool negative;
    uint64_t digits;
    int32_t exponent;
};

// The shortest decimal that reads as v.
static struct operand operand_of(double v)
{
    char text[SHORTEST_BYTES];
    (void)shortest_decimal(v, text);
    struct operand o = {.negative = text[0] == '-'};
    const char *at = text + o.negative;
    for (; *at != 'e'; at++)
        if (*at != '.') {
            o.digits = o.digits * 10 + (uint64_t)(*at - '0');
            o.exponent -= strchr(text, '.') != NULL && at > strchr(text, '.');
        }
    o.exponent += atoi(at + 1);
    return o;
}

// --- magnitudes -------------------------------------------------------------------------------------

static void trim(struct decimal *d)
{
    while (d->count > 0 && d->limbs[d->count - 1] == 0)
        d->count--;
    d->negative = d->negative && d->count > 0;
}

static void put_limb(struct decimal *d, uint32_t limb)
{
    assert(d->count < DECIMAL_LIMBS);
    d->limbs[d->count++] = limb;
}

static void multiply(struct decimal *d, uint64_t by)
{
    // The high and the low part of a factor apart, so that every product fits 64 bits.
    uint64_t high = by / LIMB, low = by % LIMB, carry = 0, last = 0;
    for (uint32_t i = 0; i < d->count; i++) {
        uint64_t limb = d->limbs[i];
        carry += limb * low + last * high;
        last = limb;
        d->limbs[i] = (uint32_t)(carry % LIMB);
        carry /= LIMB;
    }
    for (carry += last * high; carry > 0; carry /= LIMB)
        put_limb(d, (uint32_t)(carry % LIMB));
    trim(d);
}

// Times 10^n.
static void shift_up(struct decimal *d, uint32_t n)
{
    uint32_t limbs = n / LIMB_DIGITS;
    uint64_t power = 1;
    if (d->count == 0)
        return;
    assert(d->count + limbs <= DECIMAL_LIMBS);
    memmove(d->limbs + limbs, d->limbs, d->count * sizeof *d->limbs);
    memset(d->limbs, 0, limbs * sizeof *d->limbs);
    d->count += limbs;
    for (n -= limbs * LIMB_DIGITS; n > 0; n--)
        power *= 10;
    multiply(d, power);
}

static uint64_t divide_by_small(struct decimal *d, uint32_t by)
{
    uint64_t rest = 0;
    for (uint32_t i = d->count; i-- > 0;) {
        rest = rest * LIMB + d->limbs[i];
        d->limbs[i] = (uint32_t)(rest / by);
        rest %= by;
    }
    trim(d);
    return rest;
}

// Returns the remainder.
static uint64_t divide(struct decimal *d, uint64_t by)
{
    unsigned __int128 rest = 0;
    if (by <= UINT32_MAX)
        return divide_by_small(d, (uint32_t)by);
    for (uint32_t i = d->count; i-- > 0;) {
        rest = rest * LIMB + d->limbs[i];
        d->limbs[i] = (uint32_t)(rest / by);
        rest %= by;
    }
    trim(d);
    return (uint64_t)rest;
}

static int compare(const struct decimal *a, const struct decimal *b)
{
    if (a->count != b->count)
        return a->count < b->count ? -1 : 1;
    for (uint32_t i = a->count; i-- > 0;)
        if (a->limbs[i] != b->limbs[i])
            return a->limbs[i] < b->limbs[i] ? -1 : 1;
    return 0;
}

// a + b, or a - b where a is not less.
static void combine(struct decimal *a, const struct decimal *b, bool minus)
{
    int64_t carry = 0;
    for (uint32_t i = 0; i < a->count || i < b->count || carry != 0; i++) {
        if (i == a->count)
            put_limb(a, 0);
        int64_t other = i < b->count ? b->limbs[i] : 0;
        int64_t sum = (int64_t)a->limbs[i] + carry + (minus ? -other : other);
        carry = sum < 0 ? -1 : sum >= LIMB;
        a->limbs[i] = (uint32_t)(sum - carry * LIMB);
    }
    trim(a);
}

// --- operations -------------------------------------------------------------------------------------

static void set(struct decimal *d, const struct operand *o)
{
    d->negative = o->negative;
    d->exponent = o->exponent;
    d->count = 0;
    for (uint64_t digits = o->digits; digits > 0; digits /= LIMB)
        put_limb(d, (uint32_t)(digits % LIMB));
    trim(d);
}

void decimal_init(struct decimal *d, double v)
{
    struct operand o = operand_of(v);
    set(d, &o);
}

void decimal_add(struct decimal *d, double v)
{
    struct operand o = operand_of(v);
    struct decimal other;
    set(&other, &o);
    if (other.count == 0)
        return;
    if (d->count == 0) {
        set(d, &o);
        return;
    }
    if (d->exponent > other.exponent) {
        shift_up(d, (uint32_t)(d->exponent - other.exponent));
        d->exponent = other.exponent;
    } else {
        shift_up(&other, (uint32_t)(other.exponent - d->exponent));
    }
    if (d->negative == other.negative) {
        combine(d, &other, false);
    } else if (compare(d, &other) >= 0) {
        combine(d, &other, true);
    } else {
        combine(&other, d, true);
        other.exponent = d->exponent;
        memcpy(d->limbs, other.limbs, other.count * sizeof *d->limbs);
        d->count = other.count;
        d->negative = other.negative;
    }
}

void decimal_multiply(struct decimal *d, double v)
{
    struct operand o = operand_of(v);
    multiply(d, o.digits);
    d->exponent += o.exponent;
    d->negative = d->count > 0 && d->negative != o.negative;
}

// Whether the digit above which n digits are cut off is five or more; cuts them off.
static bool cut_digits(struct decimal *d, uint32_t n)
{
    uint32_t limbs = (n - 1) / LIMB_DIGITS;
    if (limbs >= d->count) {
        d->count = 0;
        return false;
    }
    memmove(d->limbs, d->limbs + limbs, (d->count - limbs) * sizeof *d->limbs);
    d->count -= limbs;
    for (n -= limbs * LIMB_DIGITS; n > 1; n--)
        (void)divide(d, 10);
    return divide(d, 10) >= 5;
}

void decimal_divide(struct decimal *d, double v)
{
    struct operand o = operand_of(v);
    assert(o.digits > 0);
    // The quotient counts units of 10^-PLACES.
    int32_t shift = d->exponent - o.exponent + PLACES;
    bool half = false, negative = d->negative != o.negative;
    if (shift > 0)
        shift_up(d, (uint32_t)shift);
    else if (shift < 0)
        half = cut_digits(d, (uint32_t)-shift);
    uint64_t rest = divide(d, o.digits);
    d->exponent = -PLACES;
    if (2 * rest + half >= o.digits) {
        struct decimal one = {.count = 1, .limbs = {1}};
        combine(d, &one, false);
    }
    d->negative = negative && d->count > 0;
}

double decimal_value(const struct decimal *d)
{
    char text[DECIMAL_LIMBS * LIMB_DIGITS + 32], *at = text;
    if (d->count == 0)
        return 0;
    if (d->negative)
        *at++ = '-';
    for (uint32_t i = d->count; i-- > 0;)
        at += snprintf(at, LIMB_DIGITS + 1, "%09u", d->limbs[i]);
    (void)snprintf(at, 16, "e%d", (int)d->exponent);
    return strtod(text, NULL);
}
