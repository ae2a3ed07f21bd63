/*
 * params.h -- parameters of a query: the union of URL and form, and what their values mean.
 *
 * Rules: loki-http.md 1.1 (union, order, escapes), 4.1 (times), 4.2 (the others), 3.2 (error texts).
 */
#pragma once

#include "server/request.h"

struct param {
    struct slice name;
    struct slice value;
};

struct params {
    struct param *items; // the form's before the URL's
    size_t count;
};

// ERR_INPUT with the text to answer.
MUST_CHECK bool params_read(const struct request *rq, struct params *out, struct err *err);
// Only what stands in `text` (`a=b&c=d`).
MUST_CHECK bool params_parse(struct slice text, struct arena *a, struct params *out, struct err *err);
// The first value of that name; empty when absent.
struct slice params_get(const struct params *p, const char *name);

// Integers as Go's strconv reads them, with its error texts; base ten.
MUST_CHECK bool params_int(struct slice text, int64_t *out, struct err *err);
MUST_CHECK bool params_uint(struct slice text, uint64_t max, uint64_t *out, struct err *err);
// Seconds with a fraction, or what `duration` reads; ERR_INPUT `cannot parse "x" to a valid duration`.
MUST_CHECK bool params_seconds(struct slice text, bool (*duration)(struct slice text, int64_t *ns_out, struct err *err),
                               int64_t *ns_out, struct err *err);

// to - from; what int64_t does not hold is INT64_MAX.
static inline int64_t params_length(int64_t from_ns, int64_t to_ns)
{
    int64_t length_ns;
    return __builtin_sub_overflow(to_ns, from_ns, &length_ns) ? INT64_MAX : length_ns;
}

struct params_range {
    int64_t from_ns;
    int64_t to_ns; // may equal from_ns, or lie before it: each endpoint answers that in its own way
};

// `start`, `end` and `since`.
MUST_CHECK bool params_range(const struct params *p, int64_t now_ns, struct params_range *out,
                             struct err *err);
// An end before its start is an error (where loki-http.md 3.2 has no other answer for it).
MUST_CHECK bool params_ordered(const struct params_range *range, struct err *err);
// `time`.
MUST_CHECK bool params_instant(const struct params *p, int64_t now_ns, int64_t *time_ns_out,
                               struct err *err);
// `limit`; at least 1. Above UINT32_MAX it is UINT32_MAX.
MUST_CHECK bool params_limit(const struct params *p, uint32_t *limit_out, struct err *err);
// A positive number; *inout stays where there is none.
MUST_CHECK bool params_count(const struct params *p, const char *name, uint32_t *inout, struct err *err);
// More entries than a query may ask for are an error.
MUST_CHECK bool params_entries_ok(uint32_t limit, struct err *err);
MUST_CHECK bool params_forward(const struct params *p, bool *forward_out, struct err *err);
// `step`; positive, and at most QUERY_POINTS_MAX of them in the range.
MUST_CHECK bool params_step(const struct params *p, const struct params_range *range,
                            int64_t *step_ns_out, struct err *err);
// `interval`; 0: off.
MUST_CHECK bool params_interval(const struct params *p, int64_t *interval_ns_out, struct err *err);

// A range longer than QUERY_LENGTH_NS_MAX is an error.
MUST_CHECK bool params_length_ok(const struct params_range *range, struct err *err);
// Sample times lie on multiples of the step (loki-http.md 6.2): start down, end up.
void params_align(struct params_range *range, int64_t step_ns);

// Go's time.Duration text: "800h0m0s", "1.5s", "0s".
enum { PARAMS_DURATION_BYTES = 48 };
void params_duration_text(int64_t ns, char out[PARAMS_DURATION_BYTES]);
