/*
 * otlp_logs.h -- log records of OpenTelemetry to accepted streams; loki-http.md 19. The parsers of both encodings
 * (otlp_pb.c, otlp_json.c) hand over what they find, a resource at a time.
 */
#pragma once

#include "ingest/accept.h"
#include "ingest/otlp_walk.h"

struct otlp_record {
    uint64_t time_ns, observed_ns; // 0: not set
    int64_t severity_number;
    struct slice severity_text;
    struct otlp_value body;
    struct otlp_list attributes;
    uint64_t dropped;
    uint32_t flags;
    struct slice trace_id, span_id; // bytes; empty or all zeros: not set
};

struct otlp_logs {
    struct accept *ac;
    int64_t now_ns; // for records without a time
    struct labels labels;
    size_t labels_room;
    struct raw_entries raw;
    struct label *resource; // metadata of every record: that of the resource, then that of the scope
    size_t resource_count, scope_count, resource_room;
    struct err *err;
};

// All false: the request has to be refused, err is set.
void otlp_logs_init(struct otlp_logs *o, struct accept *ac, int64_t now_ns, struct err *err);
MUST_CHECK bool otlp_logs_resource(struct otlp_logs *o, const struct otlp_list *attributes);
MUST_CHECK bool otlp_logs_scope(struct otlp_logs *o, const struct otlp_scope *scope);
MUST_CHECK bool otlp_logs_record(struct otlp_logs *o, const struct otlp_record *record);
// The resource's records become a stream.
MUST_CHECK bool otlp_logs_resource_end(struct otlp_logs *o);
