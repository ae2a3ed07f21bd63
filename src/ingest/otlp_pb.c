/*
 * otlp_pb.c -- OTLP's export requests in protobuf (opentelemetry-proto, collector/logs/v1). Everything borrows from
 * the body.
 *
 * Fields of a message may come in any order, so what the others need, a resource or a scope, is looked for first.
 */
#include "ingest/format.h"

#include "ingest/otlp_logs.h"

enum { REQUEST_RESOURCES = 1 };
enum { RESOURCE_RESOURCE = 1, RESOURCE_SCOPES = 2 };
enum { ATTRIBUTES = 1 };
enum { SCOPE_SCOPE = 1, SCOPE_RECORDS = 2 };
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

struct otlp_pb {
    struct otlp_logs logs;
    struct arena *a;
    const char *bad; // first failure of the wire format; static
};

static bool wire_good(struct otlp_pb *p, const struct pb *m)
{
    if (p->bad == NULL)
        p->bad = m->bad;
    return p->bad == NULL;
}

static void take_id(struct pb *m, const struct pb_field *f, size_t bytes, const char *wrong, struct slice *out)
{
    if (!pb_is(m, f, PB_BYTES))
        return;
    if (f->bytes.len != 0 && f->bytes.len != bytes)
        m->bad = wrong;
    *out = f->bytes;
}

static void take_record_field(struct otlp_pb *p, struct pb *m, const struct pb_field *f, struct otlp_record *r)
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
        (void)(pb_is(m, f, PB_BYTES) && otlp_pb_value(m, f->bytes, p->a, &r->body));
        break;
    case RECORD_ATTRIBUTES:
        (void)(pb_is(m, f, PB_BYTES) && otlp_pb_pair(m, f->bytes, p->a, &r->attributes));
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

static bool parse_record(struct otlp_pb *p, struct slice bytes)
{
    struct pb m = pb_of(bytes);
    struct pb_field f;
    struct otlp_record r = {0};
    while (pb_next(&m, &f))
        take_record_field(p, &m, &f, &r);
    return wire_good(p, &m) && otlp_logs_record(&p->logs, &r);
}

static bool parse_scope(struct otlp_pb *p, struct slice bytes, struct otlp_scope *s)
{
    struct pb m = pb_of(bytes);
    struct pb_field f;
    while (pb_next(&m, &f)) {
        if (f.number == SCOPE_NAME && pb_is(&m, &f, PB_BYTES))
            s->name = f.bytes;
        else if (f.number == SCOPE_VERSION && pb_is(&m, &f, PB_BYTES))
            s->version = f.bytes;
        else if (f.number == SCOPE_ATTRIBUTES && pb_is(&m, &f, PB_BYTES) && !otlp_pb_pair(&m, f.bytes, p->a, &s->attributes))
            break;
        else if (f.number == SCOPE_DROPPED && pb_is(&m, &f, PB_VARINT))
            s->dropped = (uint32_t)f.value;
    }
    return wire_good(p, &m);
}

static bool parse_scope_logs(struct otlp_pb *p, struct slice bytes)
{
    struct pb m = pb_of(bytes);
    struct pb_field f;
    struct otlp_scope scope = {0};
    while (pb_next(&m, &f))
        if (f.number == SCOPE_SCOPE && pb_is(&m, &f, PB_BYTES) && !parse_scope(p, f.bytes, &scope))
            return false;
    if (!wire_good(p, &m) || !otlp_logs_scope(&p->logs, &scope))
        return false;
    m = pb_of(bytes);
    while (pb_next(&m, &f))
        if (f.number == SCOPE_RECORDS && pb_is(&m, &f, PB_BYTES) && !parse_record(p, f.bytes))
            return false;
    return wire_good(p, &m);
}

static bool parse_resource(struct otlp_pb *p, struct slice bytes, struct otlp_list *attributes)
{
    struct pb m = pb_of(bytes);
    struct pb_field f;
    while (pb_next(&m, &f))
        if (f.number == ATTRIBUTES && pb_is(&m, &f, PB_BYTES) && !otlp_pb_pair(&m, f.bytes, p->a, attributes))
            break;
    return wire_good(p, &m);
}

static bool parse_resource_logs(struct otlp_pb *p, struct slice bytes)
{
    struct pb m = pb_of(bytes);
    struct pb_field f;
    struct otlp_list attributes = {0};
    while (pb_next(&m, &f))
        if (f.number == RESOURCE_RESOURCE && pb_is(&m, &f, PB_BYTES) && !parse_resource(p, f.bytes, &attributes))
            return false;
    if (!wire_good(p, &m) || !otlp_logs_resource(&p->logs, &attributes))
        return false;
    m = pb_of(bytes);
    while (pb_next(&m, &f))
        if (f.number == RESOURCE_SCOPES && pb_is(&m, &f, PB_BYTES) && !parse_scope_logs(p, f.bytes))
            return false;
    return wire_good(p, &m) && otlp_logs_resource_end(&p->logs);
}

bool otlp_pb_parse(struct slice body, int64_t now_ns, struct accept *ac, struct err *err)
{
    struct otlp_pb p = {.a = ac->arena};
    struct pb m = pb_of(body);
    struct pb_field f;
    otlp_logs_init(&p.logs, ac, now_ns, err);
    while (pb_next(&m, &f))
        if (f.number == REQUEST_RESOURCES && pb_is(&m, &f, PB_BYTES) && !parse_resource_logs(&p, f.bytes)) {
            if (p.bad == NULL)
                return false; // err is set
            break;
        }
    if (wire_good(&p, &m))
        return true;
    if (!arena_ok(ac->arena, "push", err)) {
        err->code = ERR_TOO_LARGE;
        return false;
    }
    return err_set(err, ERR_INPUT, "%s", p.bad);
}
