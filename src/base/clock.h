/*
 * clock.h -- wall time for entries, monotonic time for waiting.
 *
 * int64_t nanoseconds since the Unix epoch. The wall clock can be set for tests: it then stands still.
 */
#pragma once

#include "base/slice.h"

#define NS_PER_US INT64_C(1000)
#define NS_PER_MS INT64_C(1000000)
#define NS_PER_S INT64_C(1000000000)
#define NS_PER_MINUTE (60 * NS_PER_S)
#define NS_PER_HOUR (60 * NS_PER_MINUTE)
#define NS_PER_DAY (24 * NS_PER_HOUR)

int64_t clock_wall_ns(void);
int64_t clock_mono_ns(void);
void clock_set_wall_ns(int64_t now_ns); // 0: follow the real clock again

enum { CLOCK_RFC3339_BYTES = 40 };
// "2026-11-01T00:00:05.000000001Z" with the shortest fraction.
void clock_rfc3339(int64_t time_ns, char out[CLOCK_RFC3339_BYTES]);
// `2026-11-01T00:00:05.000000001Z`, with a zone `+01:00` too; fraction digits past the ninth are dropped.
// Times beyond int64_t nanoseconds are its ends. False when the text is no such time.
bool clock_parse_rfc3339(struct slice text, int64_t *time_ns_out);
