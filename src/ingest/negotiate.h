/*
 * negotiate.h -- what a push body is, by its headers (loki-http.md 17.1, traces-http.md 6, 9, 10), and the WAL payload's
 * header.
 */
#pragma once

#include "base/buf.h"
#include "base/err.h"
#include "ingest/ingest.h"

// Numbers are on disk: docs/format.md "WAL payload".
enum push_format {
    PUSH_LOKI_PROTOBUF = 1,
    PUSH_LOKI_JSON = 2,
    PUSH_LOKI_JSON_LEGACY = 3,
    PUSH_OTLP_PROTOBUF = 4,
    PUSH_OTLP_JSON = 5,
    PUSH_SPANS_PROTOBUF = 6, // this and what follows are spans
    PUSH_SPANS_JSON = 7,
    PUSH_ZIPKIN_JSON = 8,
    PUSH_ZIPKIN_PROTOBUF = 9,
    PUSH_ZIPKIN_V1_JSON = 10,
    PUSH_JAEGER_THRIFT = 11,
};
enum push_encoding { PUSH_PLAIN = 0, PUSH_GZIP = 1, PUSH_DEFLATE = 2, PUSH_ZSTD = 3, PUSH_LZ4 = 4, PUSH_ZLIB = 5 };

static inline bool push_is_spans(enum push_format format)
{
    return format >= PUSH_SPANS_PROTOBUF;
}

struct push_kind {
    enum push_format format;
    enum push_encoding encoding; // Loki's protobuf is a snappy block inside it
};

// ERR_INPUT; ERR_MEDIA_TYPE: no encoding of OTLP.
MUST_CHECK bool negotiate(const struct push_request *request, struct push_kind *out, struct err *err);

struct payload_head {
    struct push_kind kind;
    int64_t arrival_ns;
    int64_t oldest_ns; // bounds that were in force
    int64_t newest_ns;
    struct slice tenant;
};

void payload_put(struct buf *b, const struct payload_head *head);
// *body_out is what follows the header.
MUST_CHECK bool payload_get(struct slice payload, struct payload_head *head_out, struct slice *body_out,
                            struct err *err);
