/*
 * otlp_walk.h -- the frame of OpenTelemetry's export requests, the same for logs and for spans: resources, in them
 * scopes, in them items (opentelemetry-proto, collector; traces-http.md 4.1, 4.4, 5).
 *
 * A walk shows a visitor each resource, then each of its scopes, then that scope's items, whatever order the fields
 * have in the request. Visitors return false when the request has to be refused: with the walk's err set, or with
 * p->bad or j->what.
 */
#pragma once

#include "ingest/otlp_value.h"

enum { OTLP_FRAME_SOURCE = 1, OTLP_FRAME_SCHEMA_URL = 3 }; // fields of frames beside their children

struct otlp_pb_visitor {
    // Frames, with all that is in them: ResourceLogs or ResourceSpans, ScopeLogs or ScopeSpans.
    bool (*resource)(void *ctx, struct pb *p, struct slice frame);
    bool (*scope)(void *ctx, struct pb *p, struct slice frame);
    bool (*item)(void *ctx, struct pb *p, struct slice message);
    bool (*resource_end)(void *ctx);
};

// ERR_INPUT with protobuf's words; ERR_TOO_LARGE when the arena was full.
MUST_CHECK bool otlp_pb_walk(struct slice body, const struct otlp_pb_visitor *visitor, void *ctx, struct arena *a,
                             struct err *err);

struct otlp_resource {
    struct otlp_list attributes;
    uint32_t dropped;
    struct slice schema_url;
};

struct otlp_scope {
    struct slice name, version;
    struct otlp_list attributes;
    uint32_t dropped;
    struct slice schema_url;
};

struct otlp_json_visitor {
    const char *resources, *scopes, *items; // names of the members that hold them, in camelCase
    bool (*resource)(void *ctx, const struct otlp_resource *resource);
    bool (*scope)(void *ctx, const struct otlp_scope *scope);
    bool (*item)(void *ctx, struct json *j); // consumes the value, which may be null
    bool (*resource_end)(void *ctx);
};

// `j` is a request of one object, or null. Errors as above, JSON's with their place.
MUST_CHECK bool otlp_json_walk(struct json *j, const struct otlp_json_visitor *visitor, void *ctx, struct err *err);
