/*
 * otlp_json.c -- OTLP's export requests in JSON: names in camelCase or snake_case, identifiers in hex, 64-bit numbers
 * as strings or numbers, enums by number or name; unknown members are skipped.
 *
 * Members may come in any order: where a message needs one before another, the other's text is kept and read later.
 */
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

static bool take_records(struct json *j, struct otlp_logs *logs)
{
    bool first = true;
    json_enter(j, '[');
    while (json_more(j, ']', &first)) {
        struct otlp_record r = {0};
        bool first_member = true;
        json_enter(j, '{');
        while (json_more(j, '}', &first_member))
            if (!take_record_member(j, &r))
                return false;
        if (j->what != NULL || !otlp_logs_record(logs, &r))
            return false;
    }
    return j->what == NULL;
}

static bool take_scope(struct json *j, struct otlp_scope *s)
{
    bool first = true;
    json_enter(j, '{');
    while (json_more(j, '}', &first)) {
        struct slice key = json_key(j);
        if (json_null(j))
            continue;
        if (otlp_json_is(key, "name"))
            s->name = json_string(j);
        else if (otlp_json_is(key, "version"))
            s->version = json_string(j);
        else if (otlp_json_is(key, "attributes") && !otlp_json_pairs(j, &s->attributes))
            return false;
        else if (otlp_json_is(key, "droppedAttributesCount"))
            s->dropped = otlp_json_uint(j);
        else if (!otlp_json_is(key, "attributes"))
            (void)json_raw(j);
    }
    return j->what == NULL;
}

// Where the text of a member is, to be read later; pos NULL: there is none.
static struct json keep(struct json *j)
{
    (void)json_peek(j);
    struct json kept = *j;
    (void)json_raw(j);
    return kept;
}

static bool read_kept(struct json *j, struct json kept, struct otlp_logs *logs,
                      bool (*take)(struct json *j, struct otlp_logs *logs))
{
    if (j->what != NULL || kept.pos == NULL)
        return j->what == NULL;
    bool good = take(&kept, logs);
    if (kept.what != NULL)
        *j = kept; // its failure is the request's
    return good && j->what == NULL;
}

static bool take_scope_logs(struct json *j, struct otlp_logs *logs)
{
    bool first = true;
    json_enter(j, '[');
    while (json_more(j, ']', &first)) {
        struct otlp_scope scope = {0};
        struct json records = {0};
        bool first_member = true;
        json_enter(j, '{');
        while (json_more(j, '}', &first_member)) {
            struct slice key = json_key(j);
            if (json_null(j))
                continue;
            if (otlp_json_is(key, "logRecords"))
                records = keep(j);
            else if (!otlp_json_is(key, "scope"))
                (void)json_raw(j);
            else if (!take_scope(j, &scope))
                return false;
        }
        if (j->what != NULL || !otlp_logs_scope(logs, &scope) || !read_kept(j, records, logs, take_records))
            return false;
    }
    return j->what == NULL;
}

static bool take_resource(struct json *j, struct otlp_list *attributes)
{
    bool first = true;
    json_enter(j, '{');
    while (json_more(j, '}', &first)) {
        if (!otlp_json_is(json_key(j), "attributes"))
            (void)json_raw(j);
        else if (!otlp_json_pairs(j, attributes))
            return false;
    }
    return j->what == NULL;
}

static bool take_resource_logs(struct json *j, struct otlp_logs *logs)
{
    bool first = true;
    json_enter(j, '[');
    while (json_more(j, ']', &first)) {
        struct otlp_list attributes = {0};
        struct json scopes = {0};
        bool first_member = true;
        json_enter(j, '{');
        while (json_more(j, '}', &first_member)) {
            struct slice key = json_key(j);
            if (json_null(j))
                continue;
            if (otlp_json_is(key, "scopeLogs"))
                scopes = keep(j);
            else if (!otlp_json_is(key, "resource"))
                (void)json_raw(j);
            else if (!take_resource(j, &attributes))
                return false;
        }
        if (j->what != NULL || !otlp_logs_resource(logs, &attributes) || !read_kept(j, scopes, logs, take_scope_logs) ||
            !otlp_logs_resource_end(logs))
            return false;
    }
    return j->what == NULL;
}

bool otlp_json_parse(struct slice body, int64_t now_ns, struct accept *ac, struct err *err)
{
    struct err why = {0};
    struct json j = json_of(body, ac->arena);
    struct otlp_logs logs;
    bool first = true;
    otlp_logs_init(&logs, ac, now_ns, &why);
    json_enter(&j, '{');
    while (json_more(&j, '}', &first)) {
        struct slice key = json_key(&j);
        if (json_null(&j))
            continue;
        if (!otlp_json_is(key, "resourceLogs"))
            (void)json_raw(&j);
        else if (!take_resource_logs(&j, &logs))
            break;
    }
    if (why.code != ERR_NONE) {
        *err = why;
        return false;
    }
    if (j.what == NULL && !ac->arena->overflowed)
        return true;
    if (!arena_ok(ac->arena, "push", err)) {
        err->code = ERR_TOO_LARGE;
        return false;
    }
    return json_error(&j, err);
}
