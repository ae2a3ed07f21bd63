/* otlp_logs_json.c -- log records of OpenTelemetry in JSON (loki-http.md 19); unknown members are skipped. */
#include "ingest/format.h"

#include "ingest/otlp_logs.h"

// `SEVERITY_NUMBER_WARN3`, or the number.
static int64_t take_severity(struct json *j)
{
    static const char *const names[] = {"TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL"};
    if (json_peek(j) != '"')
        return otlp_json_int(j);
    struct json before = *j;
    struct slice text = json_string(j), prefix = SLICE("SEVERITY_NUMBER_");
    if (!slice_starts(text, prefix)) {
        *j = before;
        return otlp_json_int(j);
    }
    text = slice_from(text, prefix.len);
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        struct slice name = slice_cstr(names[i]);
        if (!slice_starts(text, name))
            continue;
        struct slice more = slice_from(text, name.len);
        if (more.len == 0)
            return (int64_t)i * 4 + 1;
        if (more.len == 1 && more.ptr[0] >= '2' && more.ptr[0] <= '4')
            return (int64_t)i * 4 + more.ptr[0] - '0';
    }
    if (!slice_eq(text, SLICE("UNSPECIFIED")))
        json_fail(j, "unknown severity");
    return 0;
}

static bool take_record_member(struct json *j, struct otlp_record *r)
{
    struct slice key = json_key(j);
    if (json_null(j))
        return true;
    if (otlp_json_is(key, "timeUnixNano"))
        r->time_ns = otlp_json_uint(j);
    else if (otlp_json_is(key, "observedTimeUnixNano"))
        r->observed_ns = otlp_json_uint(j);
    else if (otlp_json_is(key, "severityNumber"))
        r->severity_number = take_severity(j);
    else if (otlp_json_is(key, "severityText"))
        r->severity_text = json_string(j);
    else if (otlp_json_is(key, "body"))
        return otlp_json_value(j, &r->body);
    else if (otlp_json_is(key, "attributes"))
        return otlp_json_pairs(j, &r->attributes);
    else if (otlp_json_is(key, "droppedAttributesCount"))
        r->dropped = otlp_json_uint(j);
    else if (otlp_json_is(key, "flags"))
        r->flags = (uint32_t)otlp_json_uint(j);
    else if (otlp_json_is(key, "traceId"))
        r->trace_id = otlp_json_id(j, TRACE_ID_BYTES);
    else if (otlp_json_is(key, "spanId"))
        r->span_id = otlp_json_id(j, SPAN_ID_BYTES);
    else
        (void)json_raw(j);
    return j->what == NULL;
}

static bool take_record(void *ctx, struct json *j)
{
    struct otlp_record r = {0};
    bool first = true;
    if (!json_null(j)) {
        json_enter(j, '{');
        while (json_more(j, '}', &first))
            if (!take_record_member(j, &r))
                return false;
    }
    return j->what == NULL && otlp_logs_record(ctx, &r);
}

static bool take_scope(void *ctx, const struct otlp_scope *scope)
{
    return otlp_logs_scope(ctx, scope);
}

static bool take_resource(void *ctx, const struct otlp_resource *resource)
{
    return otlp_logs_resource(ctx, &resource->attributes);
}

static bool end_resource(void *ctx)
{
    return otlp_logs_resource_end(ctx);
}

bool otlp_logs_json_parse(struct slice body, int64_t now_ns, struct accept *ac, struct err *err)
{
    static const struct otlp_json_visitor visitor = {
        "resourceLogs", "scopeLogs", "logRecords", take_resource, take_scope, take_record, end_resource};
    struct json j = json_of(body, ac->arena);
    struct otlp_logs logs;
    otlp_logs_init(&logs, ac, now_ns, err);
    return otlp_json_walk(&j, &visitor, &logs, err);
}
