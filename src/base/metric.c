/* metric.c -- what the process counts about itself; see metric.h. */
#include "base/metric.h"

#include "base/clock.h"

#include <inttypes.h>
#include <stdatomic.h>

// Upper bounds of the buckets, ns; printed in seconds. The last is +Inf.
static const int64_t bounds_ns[] = {
    100 * NS_PER_US, 250 * NS_PER_US, 500 * NS_PER_US, NS_PER_MS,       2500 * NS_PER_US,
    5 * NS_PER_MS,   10 * NS_PER_MS,  25 * NS_PER_MS,  50 * NS_PER_MS,  100 * NS_PER_MS,
    250 * NS_PER_MS, 500 * NS_PER_MS, NS_PER_S,        2500 * NS_PER_MS, 5 * NS_PER_S,
    10 * NS_PER_S,   30 * NS_PER_S,   60 * NS_PER_S,
};

struct histogram {
    _Atomic uint64_t buckets[COUNT_OF(bounds_ns) + 1];
    _Atomic uint64_t sum_ns;
};

struct series {
    const char *name;
    const char *labels;
    const char *help;
};

#define X(id, name, labels, help) {name, labels, help},
static const struct series counter_series[] = {METRIC_COUNTERS(X)};
static const struct series gauge_series[] = {METRIC_GAUGES(X)};
static const struct series histogram_series[] = {METRIC_HISTOGRAMS(X)};
#undef X

static _Atomic uint64_t counters[COUNTERS_COUNT];
static _Atomic int64_t gauges[GAUGES_COUNT];
static struct histogram histograms[HISTOGRAMS_COUNT];

void metric_add(enum metric_counter id, uint64_t n)
{
    atomic_fetch_add_explicit(&counters[id], n, memory_order_relaxed);
}

uint64_t metric_value(enum metric_counter id)
{
    return atomic_load_explicit(&counters[id], memory_order_relaxed);
}

void metric_set(enum metric_gauge id, int64_t value)
{
    atomic_store_explicit(&gauges[id], value, memory_order_relaxed);
}

void metric_gauge_add(enum metric_gauge id, int64_t delta)
{
    atomic_fetch_add_explicit(&gauges[id], delta, memory_order_relaxed);
}

int64_t metric_gauge_value(enum metric_gauge id)
{
    return atomic_load_explicit(&gauges[id], memory_order_relaxed);
}

void metric_observe_ns(enum metric_histogram id, int64_t duration_ns)
{
    struct histogram *h = &histograms[id];
    size_t bucket = 0;
    while (bucket < COUNT_OF(bounds_ns) && duration_ns > bounds_ns[bucket])
        bucket++;
    atomic_fetch_add_explicit(&h->buckets[bucket], 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&h->sum_ns, duration_ns > 0 ? (uint64_t)duration_ns : 0,
                              memory_order_relaxed);
}

// HELP and TYPE, once for a run of series of one name.
static void print_head(struct buf *b, const struct series *all, size_t at, const char *type)
{
    const struct series *s = &all[at];
    if (at > 0 && slice_eq(slice_cstr(s->name), slice_cstr(all[at - 1].name)))
        return;
    buf_printf(b, "# HELP %s %s\n# TYPE %s %s\n", s->name, s->help, s->name, type);
}

static void print_name(struct buf *b, const struct series *s)
{
    buf_put_cstr(b, s->name);
    if (s->labels[0] != '\0')
        buf_printf(b, "{%s}", s->labels);
}

static void print_histogram(struct buf *b, const struct series *s, const struct histogram *h)
{
    uint64_t count = 0;
    for (size_t i = 0; i <= COUNT_OF(bounds_ns); i++) {
        count += atomic_load_explicit(&h->buckets[i], memory_order_relaxed);
        if (i < COUNT_OF(bounds_ns))
            buf_printf(b, "%s_bucket{le=\"%g\"} %" PRIu64 "\n", s->name, (double)bounds_ns[i] / 1e9,
                       count);
        else
            buf_printf(b, "%s_bucket{le=\"+Inf\"} %" PRIu64 "\n", s->name, count);
    }
    uint64_t sum_ns = atomic_load_explicit(&h->sum_ns, memory_order_relaxed);
    buf_printf(b, "%s_sum %.9g\n%s_count %" PRIu64 "\n", s->name, (double)sum_ns / 1e9, s->name, count);
}

void metric_print(struct buf *b)
{
    for (size_t i = 0; i < COUNTERS_COUNT; i++) {
        print_head(b, counter_series, i, "counter");
        print_name(b, &counter_series[i]);
        buf_printf(b, " %" PRIu64 "\n", metric_value((enum metric_counter)i));
    }
    for (size_t i = 0; i < GAUGES_COUNT; i++) {
        print_head(b, gauge_series, i, "gauge");
        print_name(b, &gauge_series[i]);
        buf_printf(b, " %" PRId64 "\n", metric_gauge_value((enum metric_gauge)i));
    }
    for (size_t i = 0; i < HISTOGRAMS_COUNT; i++) {
        print_head(b, histogram_series, i, "histogram");
        print_histogram(b, &histogram_series[i], &histograms[i]);
    }
}

void metric_reset(void)
{
    for (size_t i = 0; i < COUNTERS_COUNT; i++)
        atomic_store_explicit(&counters[i], 0, memory_order_relaxed);
    for (size_t i = 0; i < GAUGES_COUNT; i++)
        atomic_store_explicit(&gauges[i], 0, memory_order_relaxed);
    for (size_t i = 0; i < HISTOGRAMS_COUNT; i++) {
        for (size_t k = 0; k <= COUNT_OF(bounds_ns); k++)
            atomic_store_explicit(&histograms[i].buckets[k], 0, memory_order_relaxed);
        atomic_store_explicit(&histograms[i].sum_ns, 0, memory_order_relaxed);
    }
}
