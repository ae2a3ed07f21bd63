/* window.c -- see window.h. */
#include "query/window.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>

// --- values -----------------------------------------------------------------------------------------

static bool is_before(double x, double y)
{
    if (isnan(x) || isnan(y))
        return isnan(x) && !isnan(y); // NaN first
    return x < y;
}

// Puts the value that a sort would put there at v[at], no greater ones before it and no lesser ones behind
// (Hoare, "Algorithm 65: Find", 1961).
static void select_nth(double *v, size_t count, size_t at)
{
    for (size_t low = 0, high = count - 1; low < high;) {
        double pivot = v[low + (high - low) / 2];
        size_t i = low, j = high;
        for (;;) {
            while (is_before(v[i], pivot))
                i++;
            while (is_before(pivot, v[j]))
                j--;
            if (i >= j)
                break;
            double moved = v[i];
            v[i++] = v[j];
            v[j--] = moved;
        }
        if (at <= j)
            high = j;
        else
            low = j + 1;
    }
}

static double quantile(const struct sample *s, size_t n, double phi)
{
    if (phi < 0 || phi > 1)
        return phi < 0 ? -INFINITY : INFINITY;
    double *values = malloc(n * sizeof *values);
    assert(values != NULL);
    for (size_t i = 0; i < n; i++)
        values[i] = s[i].value;
    double p = phi * (double)(n - 1), low = floor(p), w = p - low;
    size_t at = (size_t)low;
    select_nth(values, n, at);
    double here = values[at], next = here;
    if (at + 1 < n) {
        next = values[at + 1];
        for (size_t i = at + 2; i < n; i++)
            next = is_before(values[i], next) ? values[i] : next;
    }
    free(values);
    return here * (1 - w) + next * w;
}

// logql.md 17.1, mixed units included.
static double rate_counter(const struct sample *s, size_t n, double range_s)
{
    if (n < 2)
        return 0;
    double delta = s[n - 1].value - s[0].value, previous = 0;
    for (size_t i = 0; i < n; i++) {
        if (s[i].value < previous)
            delta += previous;
        previous = s[i].value;
    }
    double span = (double)(s[n - 1].time_ns - s[0].time_ns) / 1000, average = span / (double)(n - 1);
    double to_start = floor(range_s * 1000) / 1000;
    if (delta > 0 && s[0].value >= 0) {
        double zero = span * (s[0].value / delta);
        to_start = zero < to_start ? zero : to_start;
    }
    double limit = average * 1.1, interval = span;
    interval += to_start < limit ? to_start : average / 2;
    interval += 0 < limit ? 0 : average / 2;
    return delta * (interval / span) / range_s;
}

static double variance(const struct sample *s, size_t n)
{
    double mean = 0, aux = 0;
    for (size_t i = 0; i < n; i++) {
        double delta = s[i].value - mean;
        mean += delta / (double)(i + 1);
        aux += delta * (s[i].value - mean);
    }
    return aux / (double)n;
}

static double average(const struct sample *s, size_t n)
{
    double mean = 0;
    for (size_t i = 0; i < n; i++) {
        double v = s[i].value, count = (double)(i + 1);
        if (isinf(mean) && ((isinf(v) && (mean > 0) == (v > 0)) || (!isinf(v) && !isnan(v))))
            continue; // as Prometheus keeps infinities
        mean += v / count - mean / count;
    }
    return mean;
}

double window_value(const struct window_fn *fn, const struct sample *s, size_t n)
{
    double range_s = (double)fn->range_ns / 1e9, value = s[0].value;
    switch (fn->fn) {
    case TOK_RATE:
    case TOK_SUM_OVER_TIME:
        for (size_t i = 1; i < n; i++)
            value += s[i].value;
        return fn->fn == TOK_RATE ? value / range_s : value;
    case TOK_AVG_OVER_TIME:
        return average(s, n);
    case TOK_MIN_OVER_TIME:
    case TOK_MAX_OVER_TIME:
        for (size_t i = 1; i < n; i++)
            if (isnan(value) || (fn->fn == TOK_MIN_OVER_TIME ? s[i].value < value : s[i].value > value))
                value = s[i].value;
        return value;
    case TOK_STDVAR_OVER_TIME:
        return variance(s, n);
    case TOK_STDDEV_OVER_TIME:
        return sqrt(variance(s, n));
    case TOK_QUANTILE_OVER_TIME:
        return quantile(s, n, fn->param);
    case TOK_LAST_OVER_TIME:
        return s[n - 1].value;
    case TOK_RATE_COUNTER:
        return rate_counter(s, n, range_s);
    default: // first
        return value;
    }
}

// --- order ------------------------------------------------------------------------------------------

// Merges two neighbouring ascending pieces; of equal times the first piece's come first.
static void merge_neighbours(struct sample *s, size_t middle, size_t end, struct sample *space)
{
    size_t left = 0, right = middle, to = 0;
    memcpy(space, s, middle * sizeof *s);
    while (left < middle && right < end)
        s[to++] = s[right].time_ns < space[left].time_ns ? s[right++] : space[left++];
    memcpy(s + to, space + left, (middle - left) * sizeof *s);
}

static size_t ascending(const struct sample *s, size_t count)
{
    size_t n = count > 0 ? 1 : 0;
    while (n < count && s[n - 1].time_ns <= s[n].time_ns)
        n++;
    return n;
}

// Natural merge sort (Knuth, TAOCP 3, 5.2.4).
bool samples_sort(struct sample *samples, size_t count, struct arena *a)
{
    if (ascending(samples, count) == count)
        return true;
    struct arena_mark mark = arena_mark(a);
    struct sample *space = arena_array(a, count, sizeof *space);
    if (space == NULL)
        return false;
    for (size_t pieces = SIZE_MAX; pieces > 1;) {
        pieces = 0;
        for (size_t at = 0; at < count; pieces++) {
            size_t middle = ascending(samples + at, count - at);
            size_t end = middle + ascending(samples + at + middle, count - at - middle);
            if (end > middle)
                merge_neighbours(samples + at, middle, end, space);
            at += end;
        }
    }
    arena_rewind(a, mark);
    return true;
}
