/* encode.h -- results as JSON: loki-http.md 5. */
#pragma once

#include "base/buf.h"
#include "query/query.h"

// A JSON string; every invalid UTF-8 byte becomes U+FFFD.
void encode_string(struct buf *b, struct slice text);
// An encoded label set as an object.
void encode_labels(struct buf *b, struct slice labels);
// The shortest decimal that reads back as the same double, without an exponent; NaN, +Inf, -Inf.
void encode_number(struct buf *b, double value);

struct encode_options {
    struct slice encoding_flags; // the request's header, as it came
    bool categorize;
    int64_t queue_ns; // time spent waiting for a worker
};

// The whole answer of query and query_range.
void encode_result(struct buf *b, const struct query_result *result,
                   const struct encode_options *options);
