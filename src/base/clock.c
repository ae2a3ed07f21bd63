/* clock.c -- wall and monotonic time; see clock.h. */
#include "base/clock.h"

#include <stdatomic.h>
#include <stdio.h>
#include <time.h>

static _Atomic int64_t wall_set_ns;

static int64_t now_of(clockid_t id)
{
    struct timespec t;
    clock_gettime(id, &t);
    return t.tv_sec * NS_PER_S + t.tv_nsec;
}

int64_t clock_wall_ns(void)
{
    int64_t set_ns = atomic_load_explicit(&wall_set_ns, memory_order_relaxed);
    return set_ns != 0 ? set_ns : now_of(CLOCK_REALTIME);
}

int64_t clock_mono_ns(void)
{
    return now_of(CLOCK_MONOTONIC);
}

void clock_set_wall_ns(int64_t now_ns)
{
    atomic_store_explicit(&wall_set_ns, now_ns, memory_order_relaxed);
}

void clock_rfc3339(int64_t time_ns, char out[CLOCK_RFC3339_BYTES])
{
    int64_t seconds = time_ns / NS_PER_S, fraction = time_ns % NS_PER_S;
    if (fraction < 0) {
        fraction += NS_PER_S;
        seconds--;
    }
    // The nanosecond range of int64_t lies inside the years 1677 to 2262: nothing to clamp.
    struct tm tm;
    time_t t = (time_t)seconds;
    (void)gmtime_r(&t, &tm);
    size_t len = strftime(out, CLOCK_RFC3339_BYTES, "%Y-%m-%dT%H:%M:%S", &tm);
    if (fraction != 0) {
        len += (size_t)snprintf(out + len, CLOCK_RFC3339_BYTES - len, ".%09d", (int)fraction);
        while (out[len - 1] == '0')
            len--;
    }
    (void)snprintf(out + len, CLOCK_RFC3339_BYTES - len, "Z");
}
