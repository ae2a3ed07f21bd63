/*
 * shortest.c -- see shortest.h.
 *
 * A decimal of up to 15 digits survives the way through a double (C11 5.2.4.2.2, DBL_DIG): if 15 digits read as the value, they
 * are the shortest but for zeros at their end. Subnormal doubles have fewer digits, and are tried one by one.
 */
#include "base/shortest.h"

#include <float.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool reads_as(double value, int digits, char text[SHORTEST_BYTES])
{
    (void)snprintf(text, SHORTEST_BYTES, "%.*e", digits - 1, value);
    return strtod(text, NULL) == value;
}

// Takes zeros off the end of the digits; how many are left.
static int cut_zeros(char text[SHORTEST_BYTES])
{
    char *exponent = strchr(text, 'e'), *end = exponent, *point = strchr(text, '.');
    while (point != NULL && end[-1] == '0')
        end--;
    if (point != NULL && end == point + 1)
        end = point;
    int digits = (int)(end - text) - (text[0] == '-') - (point != NULL && end > point);
    memmove(end, exponent, strlen(exponent) + 1);
    return digits;
}

int shortest_decimal(double value, char text[SHORTEST_BYTES])
{
    int digits = value != 0 && fabs(value) < DBL_MIN ? 1 : DBL_DIG;
    while (!reads_as(value, digits, text) && digits < DBL_DECIMAL_DIG)
        digits++;
    return digits == DBL_DIG ? cut_zeros(text) : digits;
}
