/* test_decimal.c -- decimal arithmetic against results worked out by hand, and against doubles where these are exact. */
#include "tap.h"

#include "query/pipeline/decimal.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static uint64_t state = 88172645463325252;

static uint64_t next(void)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state;
}

static void check(double a, char op, double b, double want)
{
    struct decimal d;
    decimal_init(&d, a);
    switch (op) {
    case '+':
        decimal_add(&d, b);
        break;
    case '-':
        decimal_add(&d, -b);
        break;
    case '*':
        decimal_multiply(&d, b);
        break;
    default:
        decimal_divide(&d, b);
    }
    double got = decimal_value(&d);
    ok(memcmp(&got, &want, sizeof got) == 0, "%.17g %c %.17g is %.17g, not %.17g", a, op, b, want, got);
}

static void by_hand(void)
{
    check(0.1, '+', 0.2, 0.3);
    check(0.3, '-', 0.1, 0.2);
    check(1.1, '*', 1.1, 1.21);
    check(1, '/', 3, 0.3333333333333333);
    check(2, '/', 3, 0.6666666666666667);
    check(-2, '/', 3, -0.6666666666666667);
    check(10, '/', 4, 2.5);
    check(1e-10, '/', 3, 0.0000000000333333); // sixteen places, not digits
    check(1e-16, '/', 2, 1e-16);              // a half goes away from zero
    check(-1e-16, '/', 2, -1e-16);
    check(1e-16, '/', 2.1, 0);
    check(1e-17, '/', 2, 0);
    check(9e-17, '/', 1.5, 1e-16);  // 0.6 units, by a digit that is cut off
    check(1e-300, '/', 1e-300, 1);
    check(1e308, '/', 1e-308, INFINITY);
    check(1e308, '*', 10, INFINITY);
    check(1e308, '+', 1e308, INFINITY);
    check(-1e308, '*', 10, -INFINITY);
    check(5e-324, '*', 0.5, 5e-324); // 2.5e-324 is nearer to it than to 0
    check(5e-324, '*', 0.4, 0);
    check(1e300, '+', 1e-300, 1e300);
    check(1e17, '+', 16, 100000000000000016.0);
    check(0, '+', 0, 0);
    check(-0.0, '*', 5, 0);
    check(0, '/', -7, 0);
    check(5, '-', 5, 0);
    check(3, '-', 5, -2);
    check(999999999, '+', 1, 1000000000);
    check(1e18, '-', 1, 1e18);
}

static void long_chains(void)
{
    struct decimal d;
    decimal_init(&d, 5e-324);
    for (int i = 1; i < DECIMAL_ARGUMENTS_MAX; i++)
        decimal_divide(&d, i % 2 == 1 ? 5e-324 : 1e300);
    ok(isfinite(decimal_value(&d)), "thirty divisions up and down");
    decimal_init(&d, 1.7976931348623157e308);
    for (int i = 1; i < DECIMAL_ARGUMENTS_MAX; i++)
        decimal_divide(&d, 5e-324);
    ok(isinf(decimal_value(&d)), "as large as it can become");
    decimal_init(&d, 1.7976931348623157e308);
    for (int i = 1; i < DECIMAL_ARGUMENTS_MAX; i++)
        decimal_multiply(&d, 1.7976931348623157e308);
    ok(isinf(decimal_value(&d)), "as many digits as it can have");
}

// Integers of less than 2^53 are exact in both.
static void against_doubles(void)
{
    unsigned wrong = 0;
    for (int i = 0; i < 20000; i++) {
        double a = (double)(next() % 40000000) - 20000000, b = (double)(next() % 40000000) - 20000000;
        struct decimal d;
        decimal_init(&d, a);
        decimal_add(&d, b);
        wrong += decimal_value(&d) != a + b;
        decimal_init(&d, a);
        decimal_multiply(&d, b);
        wrong += decimal_value(&d) != a * b;
        if (b == 0)
            continue;
        decimal_divide(&d, b);
        wrong += decimal_value(&d) != a;
    }
    is_int(wrong, 0, "sums, products and their quotients of integers");
}

int main(void)
{
    by_hand();
    long_chains();
    against_doubles();
    return tap_done();
}
