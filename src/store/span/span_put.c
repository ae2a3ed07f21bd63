/*
 * span_put.c -- spans to protobuf; see span.h.
 *
 * Sizes come before bytes, so nothing is moved: each *_bytes() tells what the put of the same name appends. Fields without
 * a value are left out, as proto3 says; members of a oneof and nested messages are always there.
 */
#include "base/codec.h"
#include "store/span.h"
#include "store/span/span_wire.h"

// --- fields -------------------------------------------------------------------------------------------

enum { TAG_BYTES = 1 }; // of numbers below 16

static size_t bytes_bytes(struct slice s)
{
    return s.len == 0 ? 0 : TAG_BYTES + varint_bytes(s.len) + s.len;
}

static size_t varint_field_bytes(uint64_t value)
{
    return value == 0 ? 0 : TAG_BYTES + varint_bytes(value);
}

static size_t nested_bytes(size_t bytes)
{
    return TAG_BYTES + varint_bytes(bytes) + bytes;
}

static void put_tag(struct buf *b, uint32_t number, enum pb_wire wire)
{
    put_varint(b, number << 3 | wire);
}

static void put_nested(struct buf *b, uint32_t number, size_t bytes)
{
    put_tag(b, number, PB_BYTES);
    put_varint(b, bytes);
}

static void put_bytes(struct buf *b, uint32_t number, struct slice s)
{
    if (s.len == 0)
        return;
    put_nested(b, number, s.len);
    buf_put_slice(b, s);
}

static void put_varint_field(struct buf *b, uint32_t number, uint64_t value)
{
    if (value == 0)
        return;
    put_tag(b, number, PB_VARINT);
    put_varint(b, value);
}

static void put_fixed64(struct buf *b, uint32_t number, uint64_t value)
{
    if (value == 0)
        return;
    put_tag(b, number, PB_FIXED64);
    put_u64(b, value);
}

static void put_fixed32(struct buf *b, uint32_t number, uint32_t value)
{
    if (value == 0)
        return;
    put_tag(b, number, PB_FIXED32);
    put_u32(b, value);
}

// Enums are int32: negative numbers take ten bytes.
static uint64_t enum_varint(int32_t value)
{
    return (uint64_t)(int64_t)value;
}

// --- values -------------------------------------------------------------------------------------------

static size_t value_bytes(const struct span_value *v)
{
    switch (v->kind) {
    case VALUE_NONE:
        return 0;
    case VALUE_BOOL:
        return TAG_BYTES + 1;
    case VALUE_INT:
        return TAG_BYTES + varint_bytes((uint64_t)v->integer);
    case VALUE_DOUBLE:
        return TAG_BYTES + sizeof(double);
    default:
        return nested_bytes(v->bytes.len);
    }
}

void span_value_put(struct buf *b, const struct span_value *v)
{
    uint64_t bits;
    switch (v->kind) {
    case VALUE_NONE:
        break;
    case VALUE_BOOL:
        put_tag(b, ANY_BOOL, PB_VARINT);
        put_u8(b, v->flag);
        break;
    case VALUE_INT:
        put_tag(b, ANY_INT, PB_VARINT);
        put_varint(b, (uint64_t)v->integer);
        break;
    case VALUE_DOUBLE:
        memcpy(&bits, &v->number, sizeof bits);
        put_tag(b, ANY_DOUBLE, PB_FIXED64);
        put_u64(b, bits);
        break;
    default:
        put_nested(b, v->kind, v->bytes.len);
        buf_put_slice(b, v->bytes);
    }
}

static size_t pair_bytes(const struct span_attribute *pair)
{
    return bytes_bytes(pair->key) + nested_bytes(value_bytes(&pair->value));
}

static size_t attributes_bytes(const struct span_attributes *attributes)
{
    size_t sum = 0;
    for (uint32_t i = 0; i < attributes->count; i++)
        sum += nested_bytes(pair_bytes(&attributes->items[i]));
    return sum;
}

void span_attributes_put(struct buf *b, uint32_t field, const struct span_attributes *attributes)
{
    for (uint32_t i = 0; i < attributes->count; i++) {
        const struct span_attribute *pair = &attributes->items[i];
        put_nested(b, field, pair_bytes(pair));
        put_bytes(b, PAIR_KEY, pair->key);
        put_nested(b, PAIR_VALUE, value_bytes(&pair->value));
        span_value_put(b, &pair->value);
    }
}

// --- messages -----------------------------------------------------------------------------------------

void span_resource_put(struct buf *b, const struct span_resource *resource)
{
    put_nested(b, RESOURCE_SPANS_RESOURCE,
               attributes_bytes(&resource->attributes) + varint_field_bytes(resource->dropped_attributes) +
                   resource->entities.len);
    span_attributes_put(b, RESOURCE_ATTRIBUTES, &resource->attributes);
    put_varint_field(b, RESOURCE_DROPPED, resource->dropped_attributes);
    buf_put_slice(b, resource->entities);
    put_bytes(b, RESOURCE_SPANS_SCHEMA_URL, resource->schema_url);
}

void span_scope_put(struct buf *b, const struct span_scope *scope)
{
    put_nested(b, SCOPE_SPANS_SCOPE,
               bytes_bytes(scope->name) + bytes_bytes(scope->version) + attributes_bytes(&scope->attributes) +
                   varint_field_bytes(scope->dropped_attributes));
    put_bytes(b, SCOPE_NAME, scope->name);
    put_bytes(b, SCOPE_VERSION, scope->version);
    span_attributes_put(b, SCOPE_ATTRIBUTES, &scope->attributes);
    put_varint_field(b, SCOPE_DROPPED, scope->dropped_attributes);
    put_bytes(b, SCOPE_SPANS_SCHEMA_URL, scope->schema_url);
}

static bool has_parent(const struct span *span)
{
    static const uint8_t none[SPAN_ID_BYTES];
    return memcmp(span->parent_id, none, sizeof none) != 0;
}

void span_put(struct buf *b, const struct span *span)
{
    put_bytes(b, SPAN_TRACE_ID, slice_of(span->trace_id, TRACE_ID_BYTES));
    put_bytes(b, SPAN_SPAN_ID, slice_of(span->span_id, SPAN_ID_BYTES));
    put_bytes(b, SPAN_TRACE_STATE, span->trace_state);
    if (has_parent(span))
        put_bytes(b, SPAN_PARENT_ID, slice_of(span->parent_id, SPAN_ID_BYTES));
    put_bytes(b, SPAN_NAME, span->name);
    put_varint_field(b, SPAN_KIND, enum_varint(span->kind));
    put_fixed64(b, SPAN_START, span->start_ns);
    put_fixed64(b, SPAN_END, span->end_ns);
    span_attributes_put(b, SPAN_ATTRIBUTES, &span->attributes);
    put_varint_field(b, SPAN_DROPPED_ATTRIBUTES, span->dropped_attributes);
    buf_put_slice(b, span->events);
    put_varint_field(b, SPAN_DROPPED_EVENTS, span->dropped_events);
    buf_put_slice(b, span->links);
    put_varint_field(b, SPAN_DROPPED_LINKS, span->dropped_links);
    put_nested(b, SPAN_STATUS, bytes_bytes(span->status_message) + varint_field_bytes(enum_varint(span->status)));
    put_bytes(b, STATUS_MESSAGE, span->status_message);
    put_varint_field(b, STATUS_CODE, enum_varint(span->status));
    put_fixed32(b, SPAN_FLAGS, span->flags);
}

void span_event_put(struct buf *b, const struct span_event *event)
{
    put_nested(b, SPAN_EVENT,
               (event->time_ns == 0 ? 0 : TAG_BYTES + sizeof event->time_ns) + bytes_bytes(event->name) +
                   attributes_bytes(&event->attributes) + varint_field_bytes(event->dropped_attributes));
    put_fixed64(b, EVENT_TIME, event->time_ns);
    put_bytes(b, EVENT_NAME, event->name);
    span_attributes_put(b, EVENT_ATTRIBUTES, &event->attributes);
    put_varint_field(b, EVENT_DROPPED, event->dropped_attributes);
}

void span_link_put(struct buf *b, const struct span_link *link)
{
    put_nested(b, SPAN_LINK,
               bytes_bytes(link->trace_id) + bytes_bytes(link->span_id) + bytes_bytes(link->trace_state) +
                   attributes_bytes(&link->attributes) + varint_field_bytes(link->dropped_attributes) +
                   (link->flags == 0 ? 0 : TAG_BYTES + sizeof link->flags));
    put_bytes(b, LINK_TRACE_ID, link->trace_id);
    put_bytes(b, LINK_SPAN_ID, link->span_id);
    put_bytes(b, LINK_TRACE_STATE, link->trace_state);
    span_attributes_put(b, LINK_ATTRIBUTES, &link->attributes);
    put_varint_field(b, LINK_DROPPED, link->dropped_attributes);
    put_fixed32(b, LINK_FLAGS, link->flags);
}
