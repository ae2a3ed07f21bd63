/* encode_trace.c -- a whole trace; see encode_trace.h. */
#include "query/trace/encode_trace.h"

#include "query/trace/encode_value.h"

static const char *const kinds[] = {"SPAN_KIND_UNSPECIFIED", "SPAN_KIND_INTERNAL", "SPAN_KIND_SERVER",
                                    "SPAN_KIND_CLIENT",      "SPAN_KIND_PRODUCER", "SPAN_KIND_CONSUMER"};
static const char *const statuses[] = {"STATUS_CODE_UNSET", "STATUS_CODE_OK", "STATUS_CODE_ERROR"};
static const char *const states[] = {"COMPLETE", "PARTIAL"};

static bool is_zero(const uint8_t *bytes, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (bytes[i] != 0)
            return false;
    return true;
}

// --- spans ------------------------------------------------------------------------------------------

static void put_event(struct msgout *m, const struct span_event *e)
{
    struct msgout_mark mark = msgout_open(m, 11, NULL);
    msgout_fixed64(m, 1, "timeUnixNano", e->time_ns);
    msgout_string(m, 2, "name", e->name);
    encode_attributes(m, 3, "attributes", &e->attributes);
    msgout_u32(m, 4, "droppedAttributesCount", e->dropped_attributes);
    msgout_close(m, mark);
}

static void put_link(struct msgout *m, const struct span_link *l)
{
    struct msgout_mark mark = msgout_open(m, 13, NULL);
    msgout_bytes(m, 1, "traceId", l->trace_id);
    msgout_bytes(m, 2, "spanId", l->span_id);
    msgout_string(m, 3, "traceState", l->trace_state);
    encode_attributes(m, 4, "attributes", &l->attributes);
    msgout_u32(m, 5, "droppedAttributesCount", l->dropped_attributes);
    msgout_fixed32(m, 6, "flags", l->flags);
    msgout_close(m, mark);
}

static void put_events(struct msgout *m, struct slice events, struct arena *scratch)
{
    if (events.len == 0)
        return;
    struct msgout_mark list = msgout_list(m, "events");
    struct arena_mark start = arena_mark(scratch);
    struct span_event e;
    for (struct pb walk = pb_of(events); span_event_next(&walk, scratch, &e); arena_rewind(scratch, start))
        put_event(m, &e);
    msgout_list_end(m, list);
}

static void put_links(struct msgout *m, struct slice links, struct arena *scratch)
{
    if (links.len == 0)
        return;
    struct msgout_mark list = msgout_list(m, "links");
    struct arena_mark start = arena_mark(scratch);
    struct span_link l;
    for (struct pb walk = pb_of(links); span_link_next(&walk, scratch, &l); arena_rewind(scratch, start))
        put_link(m, &l);
    msgout_list_end(m, list);
}

static void put_status(struct msgout *m, const struct span *s)
{
    struct msgout_mark mark = msgout_open(m, 15, "status");
    msgout_string(m, 2, "message", s->status_message);
    msgout_enum(m, 3, "code", s->status, statuses, COUNT_OF(statuses));
    msgout_close(m, mark);
}

static void put_span(struct msgout *m, const struct span *s, struct arena *scratch)
{
    struct msgout_mark mark = msgout_open(m, 2, NULL);
    msgout_bytes(m, 1, "traceId", slice_of(s->trace_id, TRACE_ID_BYTES));
    msgout_bytes(m, 2, "spanId", slice_of(s->span_id, SPAN_ID_BYTES));
    msgout_string(m, 3, "traceState", s->trace_state);
    if (!is_zero(s->parent_id, SPAN_ID_BYTES))
        msgout_bytes(m, 4, "parentSpanId", slice_of(s->parent_id, SPAN_ID_BYTES));
    msgout_string(m, 5, "name", s->name);
    msgout_enum(m, 6, "kind", s->kind, kinds, COUNT_OF(kinds));
    msgout_fixed64(m, 7, "startTimeUnixNano", s->start_ns);
    msgout_fixed64(m, 8, "endTimeUnixNano", s->end_ns);
    encode_attributes(m, 9, "attributes", &s->attributes);
    msgout_u32(m, 10, "droppedAttributesCount", s->dropped_attributes);
    put_events(m, s->events, scratch);
    msgout_u32(m, 12, "droppedEventsCount", s->dropped_events);
    put_links(m, s->links, scratch);
    msgout_u32(m, 14, "droppedLinksCount", s->dropped_links);
    put_status(m, s);
    msgout_fixed32(m, 16, "flags", s->flags);
    msgout_close(m, mark);
}

// --- what they are grouped by -------------------------------------------------------------------------

static void put_resource(struct msgout *m, const struct span_resource *r, bool name_it)
{
    struct span_attribute unknown = {SLICE("service.name"), {.kind = VALUE_STRING, .bytes = SLICE("unknown_service")}};
    struct span_attributes named = {&unknown, 1};
    struct msgout_mark mark = msgout_open(m, 1, "resource");
    encode_attributes(m, 1, "attributes", name_it && r->attributes.count == 0 ? &named : &r->attributes);
    msgout_u32(m, 2, "droppedAttributesCount", r->dropped_attributes);
    msgout_close(m, mark);
}

static void put_scope(struct msgout *m, const struct span_scope *s)
{
    struct msgout_mark mark = msgout_open(m, 1, "scope");
    msgout_string(m, 1, "name", s->name);
    msgout_string(m, 2, "version", s->version);
    encode_attributes(m, 3, "attributes", &s->attributes);
    msgout_u32(m, 4, "droppedAttributesCount", s->dropped_attributes);
    msgout_close(m, mark);
}

// Puts spans until the trace's `left` of them are spent.
static void put_scope_spans(struct msgout *m, const struct trace_scope *s, uint32_t *left, struct arena *scratch)
{
    struct msgout_mark mark = msgout_open(m, 2, NULL);
    put_scope(m, s->scope);
    struct msgout_mark list = msgout_list(m, "spans");
    for (uint32_t i = 0; i < s->spans_count && *left > 0; i++, --*left)
        put_span(m, &s->spans[i], scratch);
    msgout_list_end(m, list);
    msgout_string(m, 3, "schemaUrl", s->scope->schema_url);
    msgout_close(m, mark);
}

static void put_resource_spans(struct msgout *m, const struct trace_resource *r, bool name_it, uint32_t *left,
                               struct arena *scratch)
{
    struct msgout_mark mark = msgout_open(m, 1, NULL);
    put_resource(m, r->resource, name_it);
    struct msgout_mark list = msgout_list(m, "scopeSpans");
    for (uint32_t i = 0; i < r->scopes_count && *left > 0; i++)
        put_scope_spans(m, &r->scopes[i], left, scratch);
    msgout_list_end(m, list);
    msgout_string(m, 3, "schemaUrl", r->resource->schema_url);
    msgout_close(m, mark);
}

// The first `spans_max` spans.
static void put_trace(struct msgout *m, const struct trace *t, const char *name, bool name_resources, uint32_t spans_max,
                      struct arena *scratch)
{
    if (t->resources_count == 0)
        return;
    struct msgout_mark list = msgout_list(m, name);
    for (uint32_t i = 0; i < t->resources_count && spans_max > 0; i++)
        put_resource_spans(m, &t->resources[i], name_resources, &spans_max, scratch);
    msgout_list_end(m, list);
}

static void put_warnings(struct msgout *m, const struct trace *t, bool cut, uint64_t bytes_max)
{
    if (!cut && t->warnings.count == 0)
        return;
    AUTO(buf_done) struct buf text;
    buf_init(&text, 0);
    if (cut)
        buf_printf(&text, "Trace exceeds maximum size of %llu bytes, a partial trace is returned", (unsigned long long)bytes_max);
    for (uint32_t i = 0; i < t->warnings.count; i++) {
        if (text.len > 0)
            buf_put_cstr(&text, "; ");
        buf_put_cstr(&text, t->warnings.items[i]);
    }
    msgout_enum(m, 3, "status", 1, states, COUNT_OF(states));
    msgout_string(m, 4, "message", buf_slice(&text));
}

static void put_answer(struct buf *b, const struct trace *t, const struct encode_trace_options *o, uint32_t spans_max,
                       struct arena *scratch)
{
    struct msgout m = msgout_begin(b, o->form == ENCODE_JSON);
    if (o->envelope) {
        struct msgout_mark mark = msgout_open(&m, 1, "trace");
        put_trace(&m, t, "resourceSpans", o->name_resources, spans_max, scratch);
        msgout_close(&m, mark);
        mark = msgout_open(&m, 2, "metrics");
        msgout_u64(&m, 1, "inspectedBytes", t->stats.bytes);
        msgout_close(&m, mark);
        put_warnings(&m, t, spans_max < t->spans_count, o->bytes_max);
    } else {
        put_trace(&m, t, "batches", o->name_resources, spans_max, scratch);
    }
    msgout_end(&m);
}

// How many spans of a trace fit into so many bytes of protobuf, what they are grouped by included.
static uint32_t count_fitting(const struct trace *t, uint64_t bytes_max, struct arena *scratch)
{
    AUTO(buf_done) struct buf one;
    buf_init(&one, 0);
    struct msgout m = msgout_begin(&one, false);
    uint64_t bytes = 0;
    uint32_t count = 0;
    for (uint32_t i = 0; i < t->resources_count; i++) {
        const struct trace_resource *r = &t->resources[i];
        bytes += r->resource->bytes.len + 8; // and its tag and length
        for (uint32_t k = 0; k < r->scopes_count; k++) {
            bytes += r->scopes[k].scope->bytes.len + 8;
            for (uint32_t n = 0; n < r->scopes[k].spans_count; n++) {
                buf_reset(&one);
                put_span(&m, &r->scopes[k].spans[n], scratch);
                bytes += one.len;
                if (bytes > bytes_max)
                    return count;
                count++;
            }
        }
    }
    return count;
}

bool encode_trace(struct buf *b, const struct trace *t, const struct encode_trace_options *o, struct arena *scratch,
                  struct err *err)
{
    size_t start = b->len;
    put_answer(b, t, o, t->spans_count, scratch);
    // JSON is longer than protobuf, so what is short enough here needs no counting.
    if (b->len - start > o->bytes_max) {
        uint32_t fitting = count_fitting(t, o->bytes_max, scratch);
        if (fitting < t->spans_count && !o->envelope)
            return err_set(err, ERR_TOO_LARGE, "trace exceeds max size (max bytes: %llu)", (unsigned long long)o->bytes_max);
        if (fitting < t->spans_count) {
            b->len = start;
            put_answer(b, t, o, fitting, scratch);
        }
    }
    return arena_ok(scratch, "trace", err);
}
