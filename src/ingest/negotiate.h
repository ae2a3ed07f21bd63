/*
 * negotiate.h -- what a push body is, by its headers (loki-http.md 17.1), and the WAL payload's header.
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
};
enum push_encoding { PUSH_PLAIN = 0, PUSH_GZIP = 1, PUSH_DEFLATE = 2, PUSH_ZSTD = 3, PUSH_LZ4 = 4 };

struct push_kind {
    enum push_format format;
    enum push_encoding encoding; // Loki's protobuf is a snappy block inside it
};

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
