/* encode.h -- results as JSON: loki-http.md 5. */
#pragma once

#include "base/buf.h"
#include "query/query.h"

struct encode_options {
    struct slice encoding_flags; // the request's header, as it came
    bool categorize;
    int64_t queue_ns; // time spent waiting for a worker
    bool no_stats;    // an empty object instead
};

// The whole answer of query and query_range.
void encode_result(struct buf *b, const struct query_result *result,
                   const struct encode_options *options);
// Pieces that live tails share: `{"structuredMetadata":{...},"parsed":{...}}`, members that are empty left out, and
// `"encodingFlags":["a","b"]`.
void encode_categories(struct buf *b, struct slice metadata, struct slice parsed);
void encode_flags(struct buf *b, struct slice flags);
// The answer of the legacy query endpoint: loki-http.md 8.
void encode_legacy(struct buf *b, const struct query_result *result);
