/* zipkin_v1.c -- Zipkin's spans in JSON, first version (traces-http.md 9): annotations say which side a span is. */
#include "ingest/format.h"

#include "base/hex.h"
#include "ingest/zipkin.h"

#include <inttypes.h>

struct annotation {
    uint64_t time_us;
    struct slice value;
    struct zipkin_endpoint endpoint;
};

struct binary_annotation {
    struct slice key, value;
    bool address; // `sa`, `ca` or `ma`, of value true: the endpoint is the other side
    struct zipkin_endpoint endpoint;
};

struct v1_span {
    struct span span;
    uint64_t time_us, duration_us;
    struct annotation *annotations;
    size_t annotations_count, annotations_room;
    struct binary_annotation *binaries;
    size_t binaries_count, binaries_room;
};

// --- reading ----------------------------------------------------------------------------------------

// Of 16 digits or 32.
static void take_trace_id(struct json *j, uint8_t *to)
{
    struct slice digits = json_string(j);
    if (digits.len != TRACE_ID_BYTES && digits.len != 2 * TRACE_ID_BYTES)
        json_fail(j, "a trace ID that has neither 16 nor 32 digits");
    else if (!hex_decode(digits, to, TRACE_ID_BYTES))
        json_fail(j, "an identifier that is not hexadecimal");
}

static void take_annotation(struct json *j, struct annotation *out)
{
    bool first = true;
    *out = (struct annotation){.value = SLICE("")};
    json_enter(j, '{');
    while (json_more(j, '}', &first)) {
        struct slice key = json_key(j);
        if (json_null(j))
            continue;
        if (slice_eq(key, SLICE("timestamp")))
            out->time_us = zipkin_json_uint(j);
        else if (slice_eq(key, SLICE("value")))
            out->value = json_string(j);
        else if (slice_eq(key, SLICE("endpoint")))
            zipkin_json_endpoint(j, &out->endpoint);
        else
            (void)json_raw(j);
    }
}

static void take_binary(struct json *j, struct binary_annotation *out)
{
    bool first = true;
    *out = (struct binary_annotation){.key = SLICE(""), .value = SLICE("")};
    json_enter(j, '{');
    while (json_more(j, '}', &first)) {
        struct slice key = json_key(j);
        if (json_null(j))
            continue;
        if (slice_eq(key, SLICE("key")))
            out->key = json_string(j);
        else if (slice_eq(key, SLICE("value")) && json_peek(j) == 't')
            out->address = slice_eq(json_raw(j), SLICE("true"));
        else if (slice_eq(key, SLICE("value")))
            out->value = json_string(j);
        else if (slice_eq(key, SLICE("endpoint")))
            zipkin_json_endpoint(j, &out->endpoint);
        else
            (void)json_raw(j);
    }
    if (out->address && !slice_eq(out->key, SLICE("sa")) && !slice_eq(out->key, SLICE("ca")) &&
        !slice_eq(out->key, SLICE("ma")))
        json_fail(j, "expected a string");
}

static void take_annotations(struct json *j, struct v1_span *v)
{
    bool first = true;
    json_enter(j, '[');
    while (json_more(j, ']', &first)) {
        if (v->annotations_count == v->annotations_room &&
            !arena_grow(j->a, (void **)&v->annotations, sizeof *v->annotations, v->annotations_count, &v->annotations_room))
            json_fail(j, "too large");
        else
            take_annotation(j, &v->annotations[v->annotations_count++]);
    }
}

static void take_binaries(struct json *j, struct v1_span *v)
{
    bool first = true;
    json_enter(j, '[');
    while (json_more(j, ']', &first)) {
        if (v->binaries_count == v->binaries_room &&
            !arena_grow(j->a, (void **)&v->binaries, sizeof *v->binaries, v->binaries_count, &v->binaries_room))
            json_fail(j, "too large");
        else
            take_binary(j, &v->binaries[v->binaries_count++]);
    }
}

static void take_member(struct json *j, struct v1_span *v)
{
    struct slice key = json_key(j);
    if (json_null(j))
        return;
    if (slice_eq(key, SLICE("traceId"))) {
        take_trace_id(j, v->span.trace_id);
    } else if (slice_eq(key, SLICE("id"))) {
        zipkin_json_id(j, v->span.span_id, SPAN_ID_BYTES);
    } else if (slice_eq(key, SLICE("parentId"))) {
        zipkin_json_id(j, v->span.parent_id, SPAN_ID_BYTES);
    } else if (slice_eq(key, SLICE("name"))) {
        v->span.name = json_string(j);
    } else if (slice_eq(key, SLICE("timestamp"))) {
        v->time_us = zipkin_json_uint(j);
    } else if (slice_eq(key, SLICE("duration"))) {
        v->duration_us = zipkin_json_uint(j);
    } else if (slice_eq(key, SLICE("annotations"))) {
        take_annotations(j, v);
    } else if (slice_eq(key, SLICE("binaryAnnotations"))) {
        take_binaries(j, v);
    } else {
        (void)json_raw(j);
    }
}

// --- what it means ----------------------------------------------------------------------------------

// What a span becomes, and what was found of it on the way.
struct mapping {
    struct span_attributes attributes, resource;
    const struct zipkin_endpoint *side; // of cs, cr, sr or ss; NULL: there is none
    struct slice service;               // of any other endpoint; empty: none
    uint64_t from_us, to_us;            // by cs or sr, by cr or ss; 0: not said
    struct slice census_code, census_text, http_code; // ptr NULL: not said
    bool error;
    struct buf events; // owned
};

static void mapping_done(struct mapping *m)
{
    buf_done(&m->events);
}

static void add_text(struct span_attributes *to, struct slice key, struct slice text)
{
    to->items[to->count++] = (struct span_attribute){key, {.kind = VALUE_STRING, .bytes = text}};
}

static void note_service(struct mapping *m, const struct zipkin_endpoint *endpoint)
{
    if (m->service.len == 0)
        m->service = endpoint->service;
}

// `cs`, `cr`, `sr`, `ss`: sides of a call, its begin and its end. False for all others.
static bool place_side(struct mapping *m, struct v1_span *v, const struct annotation *a)
{
    bool client = slice_eq(a->value, SLICE("cs")) || slice_eq(a->value, SLICE("cr"));
    bool server = slice_eq(a->value, SLICE("sr")) || slice_eq(a->value, SLICE("ss"));
    if (!client && !server)
        return false;
    v->span.kind = client ? KIND_CLIENT : KIND_SERVER;
    bool begins = slice_eq(a->value, SLICE("cs")) || slice_eq(a->value, SLICE("sr"));
    *(begins ? &m->from_us : &m->to_us) = a->time_us;
    if (m->side == NULL && a->endpoint.service.len > 0)
        m->side = &a->endpoint;
    return true;
}

static bool place_annotations(struct mapping *m, struct v1_span *v, struct err *err)
{
    for (size_t i = 0; i < v->annotations_count; i++) {
        const struct annotation *a = &v->annotations[i];
        struct span_event event = {.name = a->value};
        if (place_side(m, v, a))
            continue;
        if (!zipkin_ns(a->time_us, &event.time_ns, err))
            return false;
        span_event_put(&m->events, &event);
        note_service(m, &a->endpoint);
    }
    return true;
}

static void place_binaries(struct mapping *m, const struct v1_span *v)
{
    for (size_t i = 0; i < v->binaries_count; i++) {
        const struct binary_annotation *b = &v->binaries[i];
        if (b->address) {
            zipkin_add_endpoint(&m->attributes, &b->endpoint, "peer.service", "net.peer.ip", "net.peer.port");
            continue;
        }
        note_service(m, &b->endpoint);
        if (slice_eq(b->key, SLICE("census.status_code"))) {
            m->census_code = b->value;
            continue;
        }
        if (slice_eq(b->key, SLICE("census.status_description"))) {
            m->census_text = b->value;
            continue;
        }
        if (slice_eq(b->key, SLICE("error"))) {
            m->error = true;
            continue;
        }
        if (slice_eq(b->key, SLICE("http.status_code")))
            m->http_code = b->value;
        add_text(&m->attributes, slice_eq(b->key, SLICE("lc")) ? SLICE("component") : b->key, b->value);
    }
}

// The number that a text is; -1: none.
static int64_t number_of(struct slice text)
{
    int64_t value = 0;
    if (text.len == 0 || text.len > 9)
        return -1;
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] < '0' || text.ptr[i] > '9')
            return -1;
        value = value * 10 + (text.ptr[i] - '0');
    }
    return value;
}

static void place_status(const struct mapping *m, struct span *span)
{
    enum { HTTP_ERROR_MIN = 400 };
    if (m->census_code.ptr != NULL) {
        span->status = number_of(m->census_code) == 0 ? STATUS_UNSET : STATUS_ERROR;
        if (m->census_text.ptr != NULL)
            span->status_message = m->census_text;
    } else if (m->error || number_of(m->http_code) >= HTTP_ERROR_MIN) {
        span->status = STATUS_ERROR;
    }
}

static bool place_resource(struct mapping *m, struct arena *a)
{
    struct slice service = m->side != NULL ? m->side->service : m->service;
    add_text(&m->resource, SLICE("service.name"), service.len > 0 ? service : SLICE("unknown-service"));
    if (m->side == NULL)
        return true;
    if (m->side->ip.len > 0)
        add_text(&m->resource, SLICE("ipv4"), m->side->ip);
    if (m->side->port != 0)
        add_text(&m->resource, SLICE("port"), slice_cstr(arena_printf(a, "%" PRIu32, m->side->port)));
    return !a->overflowed;
}

// What the span does not say itself its sides do.
static bool place_times(const struct mapping *m, struct v1_span *v, struct err *err)
{
    uint64_t duration_ns;
    if (v->time_us == 0)
        v->time_us = m->from_us;
    if (v->duration_us == 0 && m->from_us != 0 && m->to_us > m->from_us)
        v->duration_us = m->to_us - m->from_us;
    return zipkin_ns(v->time_us, &v->span.start_ns, err) && zipkin_ns(v->duration_us, &duration_ns, err) &&
           (!__builtin_add_overflow(v->span.start_ns, duration_ns, &v->span.end_ns) ||
            err_set(err, ERR_INPUT, "a duration of %" PRIu64 " microseconds is out of range", v->duration_us));
}

static bool check(const struct span *span, struct err *err)
{
    static const uint8_t none[TRACE_ID_BYTES];
    if (memcmp(span->trace_id, none, TRACE_ID_BYTES) == 0)
        return err_set(err, ERR_INPUT, "valid traceId required");
    return memcmp(span->span_id, none, SPAN_ID_BYTES) != 0 || err_set(err, ERR_INPUT, "valid span id required");
}

static bool add_span(struct v1_span *v, struct spans *spans, struct err *err)
{
    enum { RESOURCE_ATTRIBUTES = 3 };
    struct span_attribute resource_items[RESOURCE_ATTRIBUTES];
    AUTO(mapping_done) struct mapping m = {.resource = {.items = resource_items}};
    buf_init(&m.events, 0);
    m.attributes.items = arena_array(spans->arena, v->binaries_count, ZIPKIN_ENDPOINT_ATTRIBUTES * sizeof *m.attributes.items);
    if (m.attributes.items == NULL)
        return spans_finish(spans, err);
    if (!check(&v->span, err) || !place_annotations(&m, v, err))
        return false;
    place_binaries(&m, v);
    place_status(&m, &v->span);
    if (!place_resource(&m, spans->arena))
        return spans_finish(spans, err);
    if (!place_times(&m, v, err))
        return false;
    v->span.attributes = m.attributes;
    v->span.events = buf_slice(&m.events);
    const struct span_resource resource = {.attributes = m.resource};
    const struct span_scope scope = {.name = SLICE("")};
    return spans_resource(spans, &resource, err) && spans_scope(spans, &scope, err) && spans_add(spans, &v->span, err);
}

static bool take_span(struct json *j, struct spans *spans, struct err *err)
{
    struct v1_span v = {.span = {.name = SLICE("")}};
    bool first = true;
    if (json_null(j))
        return true;
    json_enter(j, '{');
    while (json_more(j, '}', &first))
        take_member(j, &v);
    return j->what == NULL && add_span(&v, spans, err);
}

bool zipkin_v1_parse(struct slice body, struct spans *spans, struct err *err)
{
    return zipkin_json_list(body, take_span, spans, err) || err_wrap(err, "zipkinv1");
}
