/* otlp_spans_json.c -- spans of OpenTelemetry in JSON (traces-http.md 5); unknown members are skipped, null is absent. */
#include "ingest/format.h"

#include "base/codec.h"
#include "ingest/otlp_walk.h"

struct spans_json {
    struct spans *spans;
    struct err *err;
    struct buf events, links; // of the span at hand, as they stand in its message
};

// --- attributes -------------------------------------------------------------------------------------

static struct span_value convert(const struct otlp_value *v, struct arena *a);

// The content of an ArrayValue or a KeyValueList.
static struct slice convert_list(const struct otlp_list *list, bool map, struct arena *a)
{
    enum { LIST_VALUES = 1 };
    AUTO(buf_done) struct buf b, element;
    buf_init(&b, 0);
    buf_init(&element, 0);
    for (size_t i = 0; i < list->count; i++) {
        struct span_attribute pair = {list->items[i].key, convert(&list->items[i].value, a)};
        if (map) {
            span_attributes_put(&b, LIST_VALUES, &(struct span_attributes){&pair, 1});
            continue;
        }
        buf_reset(&element);
        span_value_put(&element, &pair.value);
        put_varint(&b, LIST_VALUES << 3 | PB_BYTES);
        put_prefixed(&b, buf_slice(&element));
    }
    return arena_copy(a, buf_slice(&b));
}

// Depth is bounded by what read the value.
static struct span_value convert(const struct otlp_value *v, struct arena *a)
{
    switch (v->kind) {
    case OTLP_STRING:
        return (struct span_value){.kind = VALUE_STRING, .bytes = v->text};
    case OTLP_BOOL:
        return (struct span_value){.kind = VALUE_BOOL, .flag = v->flag};
    case OTLP_INT:
        return (struct span_value){.kind = VALUE_INT, .integer = v->integer};
    case OTLP_DOUBLE:
        return (struct span_value){.kind = VALUE_DOUBLE, .number = v->number};
    case OTLP_BYTES:
        return (struct span_value){.kind = VALUE_BYTES, .bytes = v->text};
    case OTLP_ARRAY:
        return (struct span_value){.kind = VALUE_ARRAY, .bytes = convert_list(&v->list, false, a)};
    case OTLP_MAP:
        return (struct span_value){.kind = VALUE_MAP, .bytes = convert_list(&v->list, true, a)};
    default:
        return (struct span_value){.kind = VALUE_NONE};
    }
}

static struct span_attributes convert_pairs(const struct otlp_list *list, struct arena *a)
{
    struct span_attributes out = {.items = arena_array(a, list->count, sizeof *out.items)};
    if (out.items == NULL) // the arena is full, which spans_finish() tells
        return out;
    for (size_t i = 0; i < list->count; i++)
        out.items[out.count++] = (struct span_attribute){list->items[i].key, convert(&list->items[i].value, a)};
    return out;
}

static struct span_attributes take_attributes(struct json *j)
{
    struct otlp_list list = {0};
    return otlp_json_pairs(j, &list) ? convert_pairs(&list, j->a) : (struct span_attributes){0};
}

// --- members ----------------------------------------------------------------------------------------

// Absent and empty are the same.
static void take_id(struct json *j, uint8_t *to, size_t bytes)
{
    struct slice id = otlp_json_id(j, bytes);
    memset(to, 0, bytes);
    if (id.len == bytes)
        memcpy(to, id.ptr, bytes);
}

// A number, or one of the names of the numbers from 0 on.
static int32_t take_enum(struct json *j, const char *const names[], size_t count)
{
    if (json_peek(j) != '"') {
        int64_t value = otlp_json_int(j);
        if (value < INT32_MIN || value > INT32_MAX)
            json_fail(j, "expected a whole number of 32 bits");
        return (int32_t)value;
    }
    struct slice name = json_string(j);
    for (size_t i = 0; i < count; i++)
        if (slice_eq(name, slice_cstr(names[i])))
            return (int32_t)i;
    json_fail(j, "unknown name of a number");
    return 0;
}

static void take_event_member(struct json *j, struct span_event *event)
{
    struct slice key = json_key(j);
    if (json_null(j))
        return;
    if (otlp_json_is(key, "timeUnixNano"))
        event->time_ns = otlp_json_uint(j);
    else if (otlp_json_is(key, "name"))
        event->name = json_string(j);
    else if (otlp_json_is(key, "attributes"))
        event->attributes = take_attributes(j);
    else if (otlp_json_is(key, "droppedAttributesCount"))
        event->dropped_attributes = otlp_json_uint32(j);
    else
        (void)json_raw(j);
}

static void take_events(struct json *j, struct buf *out)
{
    bool first = true;
    buf_reset(out);
    json_enter(j, '[');
    while (json_more(j, ']', &first)) {
        struct span_event event = {.name = SLICE("")};
        bool first_member = true;
        if (!json_null(j)) {
            json_enter(j, '{');
            while (json_more(j, '}', &first_member))
                take_event_member(j, &event);
        }
        span_event_put(out, &event);
    }
}

static void take_link_member(struct json *j, struct span_link *link)
{
    struct slice key = json_key(j);
    if (json_null(j))
        return;
    if (otlp_json_is(key, "traceId"))
        link->trace_id = otlp_json_id(j, TRACE_ID_BYTES);
    else if (otlp_json_is(key, "spanId"))
        link->span_id = otlp_json_id(j, SPAN_ID_BYTES);
    else if (otlp_json_is(key, "traceState"))
        link->trace_state = json_string(j);
    else if (otlp_json_is(key, "attributes"))
        link->attributes = take_attributes(j);
    else if (otlp_json_is(key, "droppedAttributesCount"))
        link->dropped_attributes = otlp_json_uint32(j);
    else if (otlp_json_is(key, "flags"))
        link->flags = otlp_json_uint32(j);
    else
        (void)json_raw(j);
}

static void take_links(struct json *j, struct buf *out)
{
    bool first = true;
    buf_reset(out);
    json_enter(j, '[');
    while (json_more(j, ']', &first)) {
        struct span_link link = {.trace_id = SLICE(""), .span_id = SLICE(""), .trace_state = SLICE("")};
        bool first_member = true;
        if (!json_null(j)) {
            json_enter(j, '{');
            while (json_more(j, '}', &first_member))
                take_link_member(j, &link);
        }
        span_link_put(out, &link);
    }
}

static void take_status(struct json *j, struct span *span)
{
    static const char *const codes[] = {"STATUS_CODE_UNSET", "STATUS_CODE_OK", "STATUS_CODE_ERROR"};
    bool first = true;
    json_enter(j, '{');
    while (json_more(j, '}', &first)) {
        struct slice key = json_key(j);
        if (json_null(j))
            continue;
        if (slice_eq(key, SLICE("code")))
            span->status = take_enum(j, codes, COUNT_OF(codes));
        else if (slice_eq(key, SLICE("message")))
            span->status_message = json_string(j);
        else
            (void)json_raw(j);
    }
}

// --- spans ------------------------------------------------------------------------------------------

static void take_member(struct spans_json *w, struct json *j, struct slice key, struct span *span)
{
    static const char *const kinds[] = {"SPAN_KIND_UNSPECIFIED", "SPAN_KIND_INTERNAL", "SPAN_KIND_SERVER",
                                        "SPAN_KIND_CLIENT",      "SPAN_KIND_PRODUCER", "SPAN_KIND_CONSUMER"};
    if (otlp_json_is(key, "traceId"))
        take_id(j, span->trace_id, TRACE_ID_BYTES);
    else if (otlp_json_is(key, "spanId"))
        take_id(j, span->span_id, SPAN_ID_BYTES);
    else if (otlp_json_is(key, "parentSpanId"))
        take_id(j, span->parent_id, SPAN_ID_BYTES);
    else if (otlp_json_is(key, "traceState"))
        span->trace_state = json_string(j);
    else if (otlp_json_is(key, "name"))
        span->name = json_string(j);
    else if (otlp_json_is(key, "kind"))
        span->kind = take_enum(j, kinds, COUNT_OF(kinds));
    else if (otlp_json_is(key, "startTimeUnixNano"))
        span->start_ns = otlp_json_uint(j);
    else if (otlp_json_is(key, "endTimeUnixNano"))
        span->end_ns = otlp_json_uint(j);
    else if (otlp_json_is(key, "attributes"))
        span->attributes = take_attributes(j);
    else if (otlp_json_is(key, "droppedAttributesCount"))
        span->dropped_attributes = otlp_json_uint32(j);
    else if (otlp_json_is(key, "events"))
        take_events(j, &w->events);
    else if (otlp_json_is(key, "droppedEventsCount"))
        span->dropped_events = otlp_json_uint32(j);
    else if (otlp_json_is(key, "links"))
        take_links(j, &w->links);
    else if (otlp_json_is(key, "droppedLinksCount"))
        span->dropped_links = otlp_json_uint32(j);
    else if (otlp_json_is(key, "status"))
        take_status(j, span);
    else if (otlp_json_is(key, "flags"))
        span->flags = otlp_json_uint32(j);
    else
        (void)json_raw(j);
}

static bool take_span(void *ctx, struct json *j)
{
    struct spans_json *w = ctx;
    struct span span = {.name = SLICE(""), .status_message = SLICE(""), .trace_state = SLICE("")};
    bool first = true;
    buf_reset(&w->events);
    buf_reset(&w->links);
    if (!json_null(j)) {
        json_enter(j, '{');
        while (json_more(j, '}', &first)) {
            struct slice key = json_key(j);
            if (!json_null(j))
                take_member(w, j, key, &span);
        }
    }
    span.events = buf_slice(&w->events);
    span.links = buf_slice(&w->links);
    return j->what == NULL && spans_add(w->spans, &span, w->err);
}

static bool take_scope(void *ctx, const struct otlp_scope *s)
{
    const struct spans_json *w = ctx;
    struct span_scope scope = {.name = s->name,
                               .version = s->version,
                               .attributes = convert_pairs(&s->attributes, w->spans->arena),
                               .schema_url = s->schema_url,
                               .dropped_attributes = s->dropped};
    return spans_scope(w->spans, &scope, w->err);
}

static bool take_resource(void *ctx, const struct otlp_resource *r)
{
    const struct spans_json *w = ctx;
    struct span_resource resource = {.attributes = convert_pairs(&r->attributes, w->spans->arena),
                                     .schema_url = r->schema_url,
                                     .dropped_attributes = r->dropped};
    return spans_resource(w->spans, &resource, w->err);
}

static bool end_resource(void *ctx)
{
    (void)ctx;
    return true;
}

static void spans_json_done(struct spans_json *w)
{
    buf_done(&w->events);
    buf_done(&w->links);
}

bool otlp_spans_json_parse(struct slice body, struct spans *spans, struct err *err)
{
    static const struct otlp_json_visitor visitor = {"resourceSpans", "scopeSpans", "spans",     take_resource,
                                                     take_scope,      take_span,    end_resource};
    struct json j = json_of(body, spans->arena);
    AUTO(spans_json_done) struct spans_json w = {.spans = spans, .err = err};
    buf_init(&w.events, 0);
    buf_init(&w.links, 0);
    if (!otlp_json_walk(&j, &visitor, &w, err))
        return false;
    if (json_peek(&j) != 0) {
        json_fail(&j, "unexpected text behind the request");
        return json_error(&j, err);
    }
    return true;
}
