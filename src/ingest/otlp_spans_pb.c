/* otlp_spans_pb.c -- spans of OpenTelemetry in protobuf (opentelemetry-proto, trace/v1): messages stay as they came. */
#include "ingest/format.h"

#include "ingest/otlp_walk.h"

struct spans_walk {
    struct spans *spans;
    struct err *err;
};

static bool take_resource(void *ctx, struct pb *p, struct slice frame)
{
    (void)p;
    const struct spans_walk *w = ctx;
    return spans_resource_frame(w->spans, frame, w->err);
}

static bool take_scope(void *ctx, struct pb *p, struct slice frame)
{
    (void)p;
    const struct spans_walk *w = ctx;
    return spans_scope_frame(w->spans, frame, w->err);
}

static bool take_span(void *ctx, struct pb *p, struct slice message)
{
    (void)p;
    const struct spans_walk *w = ctx;
    return spans_message(w->spans, message, w->err);
}

static bool end_resource(void *ctx)
{
    (void)ctx;
    return true;
}

bool otlp_spans_pb_parse(struct slice body, struct spans *spans, struct err *err)
{
    static const struct otlp_pb_visitor visitor = {take_resource, take_scope, take_span, end_resource};
    struct spans_walk w = {.spans = spans, .err = err};
    return otlp_pb_walk(body, &visitor, &w, spans->arena, err);
}
