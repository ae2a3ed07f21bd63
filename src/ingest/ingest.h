/*
 * ingest.h -- bytes of a push request to a durable batch.
 *
 * ingest_push() negotiates, decompresses, parses, validates, appends to the store and says what to answer: entries
 * (loki-http.md 17 to 19) get service_name and detected_level, spans (traces-http.md 5 to 10) stay what they are. The
 * request body is recorded in the WAL as it came, behind a small header (docs/format.md "WAL payload"), and
 * ingest_decode() makes the same batch of it at recovery, by the same code.
 */
#pragma once

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/slice.h"
#include "store/store.h"

struct ingest_options {
    const struct retention *retention; // what is older is refused; NULL: nothing is
};

enum push_api {
    PUSH_API_LOKI,   // /loki/api/v1/push
    PUSH_API_LEGACY, // /api/prom/push: JSON of the legacy shape
    PUSH_API_OTLP,   // /otlp/v1/logs
    PUSH_API_SPANS,  // /v1/traces: OTLP
    PUSH_API_ZIPKIN, // /api/v2/spans
    PUSH_API_ZIPKIN_V1,
    PUSH_API_JAEGER, // /api/traces: thrift
};

struct push_request {
    enum push_api api;
    struct slice tenant;          // valid (checked by the server)
    struct slice content_type;    // header value, empty when absent
    struct slice content_encoding;
    struct slice body;            // as received
};

struct push_answer {
    int status;
    const char *content_type; // static; NULL: there is no body
    struct slice body;        // in the arena
    int retry_after_s;        // 0: no such header
};

// Handles one push to its end; never fails otherwise than by its answer. `a` is the request's arena.
// Any thread; blocks as store_append() does.
void ingest_push(struct store *store, const struct ingest_options *options,
                 const struct push_request *request, struct arena *a, struct push_answer *answer_out);

// What a push API answers when something before ingest refuses a request: its own form of a text without line break.
void push_refuse(enum push_api api, struct slice content_type, int status, struct slice text, struct arena *a,
                 struct push_answer *answer_out);

// store_decode_fn for store_options; ctx is unused.
bool ingest_decode(void *ctx, struct slice payload, struct arena *a, struct batch *batch_out,
                   struct err *err);

// What a WAL payload says of itself, for inspection.
struct ingest_payload_info {
    const char *format; // "json", "protobuf", "otlp-json", "spans-protobuf", "zipkin-json", ...
    const char *encoding; // "none", "gzip", "deflate", "snappy", "zstd", "lz4", "zlib"
    int64_t arrival_ns;
    struct slice tenant;
    struct slice body;
};
MUST_CHECK bool ingest_payload_info(struct slice payload, struct ingest_payload_info *info_out,
                                    struct err *err);
