/* otlp_logs_pb.c -- log records of OpenTelemetry in protobuf (logs/v1). Everything borrows from the body. */
#include "ingest/format.h"

#include "ingest/otlp_logs.h"

enum { RESOURCE_ATTRIBUTES = 1 };
enum { SCOPE_NAME = 1, SCOPE_VERSION = 2, SCOPE_ATTRIBUTES = 3, SCOPE_DROPPED = 4 };
enum {
    RECORD_TIME = 1,
    RECORD_SEVERITY_NUMBER = 2,
    RECORD_SEVERITY_TEXT = 3,
    RECORD_BODY = 5,
    RECORD_ATTRIBUTES = 6,
    RECORD_DROPPED = 7,
    RECORD_FLAGS = 8,
    RECORD_TRACE_ID = 9,
    RECORD_SPAN_ID = 10,
    RECORD_OBSERVED = 11,
};

static void take_id(struct pb *m, const struct pb_field *f, size_t bytes, const char *wrong, struct slice *out)
{
    if (!pb_is(m, f, PB_BYTES))
        return;
    if (f->bytes.len != 0 && f->bytes.len != bytes)
        m->bad = wrong;
    *out = f->bytes;
}

static void take_record_field(struct arena *a, struct pb *m, const struct pb_field *f, struct otlp_record *r)
{
    switch (f->number) {
    case RECORD_TIME:
        if (pb_is(m, f, PB_FIXED64))
            r->time_ns = f->value;
        break;
    case RECORD_OBSERVED:
        if (pb_is(m, f, PB_FIXED64))
            r->observed_ns = f->value;
        break;
    case RECORD_SEVERITY_NUMBER:
        if (pb_is(m, f, PB_VARINT))
            r->severity_number = (int32_t)f->value;
        break;
    case RECORD_SEVERITY_TEXT:
        if (pb_is(m, f, PB_BYTES))
            r->severity_text = f->bytes;
        break;
    case RECORD_BODY: // a failure is noted in m
        (void)(pb_is(m, f, PB_BYTES) && otlp_pb_value(m, f->bytes, a, &r->body));
        break;
    case RECORD_ATTRIBUTES:
        (void)(pb_is(m, f, PB_BYTES) && otlp_pb_pair(m, f->bytes, a, &r->attributes));
        break;
    case RECORD_DROPPED:
        if (pb_is(m, f, PB_VARINT))
            r->dropped = (uint32_t)f->value;
        break;
    case RECORD_FLAGS:
        if (pb_is(m, f, PB_FIXED32))
            r->flags = (uint32_t)f->value;
        break;
    case RECORD_TRACE_ID:
        take_id(m, f, TRACE_ID_BYTES, "unmarshal: invalid TraceID length", &r->trace_id);
        break;
    case RECORD_SPAN_ID:
        take_id(m, f, SPAN_ID_BYTES, "unmarshal: invalid SpanID length", &r->span_id);
        break;
    default:
        break;
    }
}

static bool take_record(void *ctx, struct pb *p, struct slice message)
{
    struct otlp_logs *logs = ctx;
    struct pb m = pb_of(message);
    struct pb_field f;
    struct otlp_record r = {0};
    while (pb_next(&m, &f))
        take_record_field(logs->ac->arena, &m, &f, &r);
    return pb_pass(p, &m) && otlp_logs_record(logs, &r);
}

static bool parse_scope(struct pb *p, struct slice message, struct arena *a, struct otlp_scope *s)
{
    struct pb m = pb_of(message);
    struct pb_field f;
    while (pb_next(&m, &f)) {
        if (f.number == SCOPE_NAME && pb_is(&m, &f, PB_BYTES))
            s->name = f.bytes;
        else if (f.number == SCOPE_VERSION && pb_is(&m, &f, PB_BYTES))
            s->version = f.bytes;
        else if (f.number == SCOPE_ATTRIBUTES && pb_is(&m, &f, PB_BYTES) && !otlp_pb_pair(&m, f.bytes, a, &s->attributes))
            break;
        else if (f.number == SCOPE_DROPPED && pb_is(&m, &f, PB_VARINT))
            s->dropped = (uint32_t)f.value;
    }
    return pb_pass(p, &m);
}

static bool take_scope(void *ctx, struct pb *p, struct slice frame)
{
    struct otlp_logs *logs = ctx;
    struct pb m = pb_of(frame);
    struct pb_field f;
    struct otlp_scope s = {0};
    while (pb_next(&m, &f))
        if (f.number == OTLP_FRAME_SOURCE && pb_is(&m, &f, PB_BYTES) &&
            !parse_scope(&m, f.bytes, logs->ac->arena, &s))
            break;
    return pb_pass(p, &m) && otlp_logs_scope(logs, &s);
}

static bool parse_resource(struct pb *p, struct slice message, struct arena *a, struct otlp_list *attributes)
{
    struct pb m = pb_of(message);
    struct pb_field f;
    while (pb_next(&m, &f))
        if (f.number == RESOURCE_ATTRIBUTES && pb_is(&m, &f, PB_BYTES) && !otlp_pb_pair(&m, f.bytes, a, attributes))
            break;
    return pb_pass(p, &m);
}

static bool take_resource(void *ctx, struct pb *p, struct slice frame)
{
    struct otlp_logs *logs = ctx;
    struct pb m = pb_of(frame);
    struct pb_field f;
    struct otlp_list attributes = {0};
    while (pb_next(&m, &f))
        if (f.number == OTLP_FRAME_SOURCE && pb_is(&m, &f, PB_BYTES) &&
            !parse_resource(&m, f.bytes, logs->ac->arena, &attributes))
            break;
    return pb_pass(p, &m) && otlp_logs_resource(logs, &attributes);
}

static bool end_resource(void *ctx)
{
    return otlp_logs_resource_end(ctx);
}

bool otlp_logs_pb_parse(struct slice body, int64_t now_ns, struct accept *ac, struct err *err)
{
    static const struct otlp_pb_visitor visitor = {take_resource, take_scope, take_record, end_resource};
    struct otlp_logs logs;
    otlp_logs_init(&logs, ac, now_ns, err);
    return otlp_pb_walk(body, &visitor, &logs, ac->arena, err);
}
