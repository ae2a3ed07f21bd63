/*
 * window.h -- the value that a range aggregation gives to the samples of one window; logql.md 17.
 */
#pragma once

#include "base/arena.h"
#include "query/logql/token.h"

struct sample {
    int64_t time_ns;
    double value;
};

struct window_fn {
    enum token_kind fn;
    double param; // of quantile_over_time
    int64_t range_ns;
};

// At least one sample, by time.
double window_value(const struct window_fn *fn, const struct sample *samples, size_t count);
// Stable, by time; cheap for samples that come in few ascending pieces. False when the arena is full.
MUST_CHECK bool samples_sort(struct sample *samples, size_t count, struct arena *a);
