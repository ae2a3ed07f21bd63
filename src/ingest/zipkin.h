/*
 * zipkin.h -- a span of Zipkin's second model, and what OpenTelemetry makes of it (traces-http.md 9).
 *
 * Everything is borrowed from the body or lives in the arena. Zipkin cannot tell that a part of a request was rejected, so
 * whatever is wrong refuses it whole.
 */
#pragma once

#include "base/labels.h"
#include "ingest/json.h"
#include "ingest/spans.h"

struct zipkin_endpoint {
    struct slice service;
    struct slice ip; // as text; empty: none
    uint32_t port;   // 0: none
};

struct zipkin_annotation {
    uint64_t time_us;
    struct slice value;
};

struct zipkin_span {
    uint8_t trace_id[TRACE_ID_BYTES];
    uint8_t span_id[SPAN_ID_BYTES];
    uint8_t parent_id[SPAN_ID_BYTES]; // zeros: none
    int32_t kind;                     // enum span_kind
    struct slice name;
    uint64_t time_us; // 0: not set
    uint64_t duration_us;
    struct zipkin_endpoint local, remote;
    struct zipkin_annotation *annotations;
    size_t annotations_count, annotations_room;
    struct label *tags;
    size_t tags_count, tags_room;
};

// Both false when the arena is full.
MUST_CHECK bool zipkin_annotate(struct zipkin_span *z, struct arena *a, struct zipkin_annotation annotation);
MUST_CHECK bool zipkin_tag(struct zipkin_span *z, struct arena *a, struct label tag);

MUST_CHECK bool zipkin_add(struct spans *spans, const struct zipkin_span *z, struct err *err);

// --- shared by its versions and encodings ----------------------------------------------------------------------------

// Nanoseconds of microseconds; ERR_INPUT when they do not fit.
MUST_CHECK bool zipkin_ns(uint64_t us, uint64_t *ns_out, struct err *err);
enum { ZIPKIN_ENDPOINT_ATTRIBUTES = 3 };
// Adds the attributes of an endpoint, for which there is room; `service` may be NULL.
void zipkin_add_endpoint(struct span_attributes *to, const struct zipkin_endpoint *endpoint, const char *service,
                         const char *ip, const char *port);
// An identifier in hex of 1 to 2 * bytes digits, padded with zeros on the left. A failure is noted in j.
void zipkin_json_id(struct json *j, uint8_t *to, size_t bytes);
// A whole number that is no string.
uint64_t zipkin_json_uint(struct json *j);
// Of an object with `serviceName`, `ipv4`, `ipv6`, `port`.
void zipkin_json_endpoint(struct json *j, struct zipkin_endpoint *out);
// An array of spans, or null, and nothing behind it. take() consumes one; it fails with j->what or err set.
MUST_CHECK bool zipkin_json_list(struct slice body, bool (*take)(struct json *j, struct spans *spans, struct err *err),
                                 struct spans *spans, struct err *err);
