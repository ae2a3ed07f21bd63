/* spans_text.c -- see spans_text.h. */
#include "spans_text.h"

#include "tap.h"

#include "base/jsonout.h"

#include <inttypes.h>

static void put_hex(struct buf *b, struct slice bytes)
{
    for (size_t i = 0; i < bytes.len; i++)
        buf_printf(b, "%02x", bytes.ptr[i]);
}

static void put_attributes(struct buf *b, const struct span_attributes *all);

static void put_value(struct buf *b, const struct span_value *v)
{
    struct pb walk = pb_of(v->bytes);
    struct span_value element;
    struct span_attribute pair;
    const char *before = "";
    switch (v->kind) {
    case VALUE_NONE:
        buf_put_byte(b, '_');
        break;
    case VALUE_STRING:
        jsonout_string(b, v->bytes);
        break;
    case VALUE_BOOL:
        buf_put_cstr(b, v->flag ? "true" : "false");
        break;
    case VALUE_INT:
        buf_printf(b, "%" PRId64, v->integer);
        break;
    case VALUE_DOUBLE:
        buf_printf(b, "%.17gd", v->number);
        break;
    case VALUE_BYTES:
        buf_put_cstr(b, "0x");
        put_hex(b, v->bytes);
        break;
    case VALUE_ARRAY:
        buf_put_byte(b, '[');
        for (; span_array_next(&walk, &element); before = ",") {
            buf_put_cstr(b, before);
            put_value(b, &element);
        }
        buf_put_byte(b, ']');
        break;
    case VALUE_MAP:
        buf_put_byte(b, '{');
        for (; span_map_next(&walk, &pair); before = ",") {
            buf_put_cstr(b, before);
            buf_printf(b, "%.*s=", SLICE_FMT(pair.key));
            put_value(b, &pair.value);
        }
        buf_put_byte(b, '}');
        break;
    }
    ok(walk.bad == NULL || (v->kind != VALUE_ARRAY && v->kind != VALUE_MAP), "nested values are whole");
}

static void put_attributes(struct buf *b, const struct span_attributes *all)
{
    buf_put_byte(b, '{');
    for (uint32_t i = 0; i < all->count; i++) {
        buf_printf(b, "%s%.*s=", i > 0 ? "," : "", SLICE_FMT(all->items[i].key));
        put_value(b, &all->items[i].value);
    }
    buf_put_byte(b, '}');
}

static void put_named(struct buf *b, const char *name, struct slice text)
{
    if (text.len == 0)
        return;
    buf_printf(b, " %s ", name);
    jsonout_string(b, text);
}

static void put_number(struct buf *b, const char *name, int64_t value)
{
    if (value != 0)
        buf_printf(b, " %s %" PRId64, name, value);
}

static void put_some(struct buf *b, const struct span_attributes *all)
{
    if (all->count > 0) {
        buf_put_byte(b, ' ');
        put_attributes(b, all);
    }
}

static void put_events(struct buf *b, const struct span *span, struct arena *a)
{
    struct span_event event;
    struct span_link link;
    for (struct pb walk = pb_of(span->events); span_event_next(&walk, a, &event);) {
        buf_printf(b, " event(%" PRIu64, event.time_ns);
        put_named(b, "name", event.name);
        put_some(b, &event.attributes);
        put_number(b, "dropped", event.dropped_attributes);
        buf_put_byte(b, ')');
    }
    for (struct pb walk = pb_of(span->links); span_link_next(&walk, a, &link);) {
        buf_put_cstr(b, " link(");
        put_hex(b, link.trace_id);
        buf_put_byte(b, '/');
        put_hex(b, link.span_id);
        put_named(b, "state", link.trace_state);
        put_some(b, &link.attributes);
        put_number(b, "dropped", link.dropped_attributes);
        put_number(b, "flags", link.flags);
        buf_put_byte(b, ')');
    }
}

static void put_sources(struct buf *b, const struct span_resource *resource, const struct span_scope *scope)
{
    buf_put_cstr(b, " of ");
    put_attributes(b, &resource->attributes);
    put_number(b, "dropped", resource->dropped_attributes);
    put_named(b, "schema", resource->schema_url);
    if (scope->name.len + scope->version.len + scope->schema_url.len + scope->attributes.count +
            scope->dropped_attributes == 0)
        return;
    buf_put_cstr(b, " scope");
    put_named(b, "name", scope->name);
    put_named(b, "version", scope->version);
    put_some(b, &scope->attributes);
    put_number(b, "dropped", scope->dropped_attributes);
    put_named(b, "schema", scope->schema_url);
}

void span_text(struct buf *b, const struct span *span, struct arena *a)
{
    static const uint8_t none[SPAN_ID_BYTES];
    put_hex(b, slice_of(span->trace_id, TRACE_ID_BYTES));
    buf_put_byte(b, '/');
    put_hex(b, slice_of(span->span_id, SPAN_ID_BYTES));
    if (memcmp(span->parent_id, none, SPAN_ID_BYTES) != 0) {
        buf_put_cstr(b, " parent ");
        put_hex(b, slice_of(span->parent_id, SPAN_ID_BYTES));
    }
    buf_printf(b, " %" PRIu64 "..%" PRIu64, span->start_ns, span->end_ns);
    put_named(b, "name", span->name);
    put_number(b, "kind", span->kind);
    put_number(b, "status", span->status);
    put_named(b, "message", span->status_message);
    put_named(b, "state", span->trace_state);
    put_number(b, "flags", span->flags);
    put_some(b, &span->attributes);
    put_number(b, "dropped", span->dropped_attributes);
    put_events(b, span, a);
    put_number(b, "events-dropped", span->dropped_events);
    put_number(b, "links-dropped", span->dropped_links);
    put_sources(b, span->resource, span->scope);
}

void spans_text(struct buf *out, const struct spans *spans, struct arena *a)
{
    const struct batch *batch = &spans->batch;
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < batch->spans_count; i++) {
        const struct batch_span *s = &batch->spans[i];
        struct span span;
        struct span_resource resource;
        struct span_scope scope;
        struct err err;
        must(span_resource_parse(batch->resources[s->resource], a, &resource, &err), &err);
        must(span_scope_parse(batch->scopes[s->scope], a, &scope, &err), &err);
        must(span_valid(s->message, &err), &err);
        must(span_parse(s->message, a, &span, &err), &err);
        ok(memcmp(span.trace_id, s->trace_id, TRACE_ID_BYTES) == 0 && memcmp(span.span_id, s->span_id, SPAN_ID_BYTES) == 0 &&
               span.kind == s->kind && span.start_ns == s->start_ns && span.end_ns == s->end_ns,
           "the batch says of a span what its message says");
        buf_put_cstr(out, i > 0 ? " ; " : "");
        span.resource = &resource;
        span.scope = &scope;
        span_text(out, &span, a);
        bytes += s->message.len;
    }
    ok(bytes == batch->span_bytes, "bytes of messages are counted");
    ok(batch->spans_count + spans_rejected(spans) == spans->seen, "every span is stored or rejected");
    if (spans_rejected(spans) > 0) {
        struct slice text = refusals_text(&spans->refusals, a);
        buf_printf(out, "%srejected %" PRIu64 ": %.*s", batch->spans_count > 0 ? " ; " : "", spans_rejected(spans),
                   SLICE_FMT(text));
    }
}
