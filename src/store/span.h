/*
 * span.h -- a span as OpenTelemetry has it (opentelemetry-proto trace/v1; traces-http.md 4): from and to its wire form.
 *
 * The wire form of a `Span` message is how spans enter the store and how a head keeps them; blocks keep them as columns
 * (span_block.h) and give back a struct span. Everything in a struct span is borrowed: from the message that it was parsed
 * from, from a decoded block, or from the arena.
 *
 * A span is identified by (tenant, trace ID, span ID, kind): the one stored first stays, whatever else differs
 * (traces-http.md 6 "Idempotency", 12.6). Kind counts because the two halves of a Zipkin shared span have one ID.
 */
#pragma once

#include "base/arena.h"
#include "base/attr.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/pb.h"
#include "base/slice.h"

enum { TRACE_ID_BYTES = 16, SPAN_ID_BYTES = 8 };
enum { SPAN_VALUE_DEPTH_MAX = 32 }; // arrays and maps around a value (traces-http.md 3); deeper is refused at ingest

enum span_kind { KIND_UNSPECIFIED, KIND_INTERNAL, KIND_SERVER, KIND_CLIENT, KIND_PRODUCER, KIND_CONSUMER };
enum span_status { STATUS_UNSET, STATUS_OK, STATUS_ERROR };

// --- values -----------------------------------------------------------------------------------------

enum span_value_kind { // AnyValue's members; numbers are on disk
    VALUE_NONE = 0,    // no member set
    VALUE_STRING = 1,
    VALUE_BOOL = 2,
    VALUE_INT = 3,
    VALUE_DOUBLE = 4,
    VALUE_ARRAY = 5, // bytes: an ArrayValue message
    VALUE_MAP = 6,   // bytes: a KeyValueList message
    VALUE_BYTES = 7,
};

struct span_value {
    enum span_value_kind kind;
    union {
        struct slice bytes; // STRING, ARRAY, MAP, BYTES
        bool flag;
        int64_t integer;
        double number;
    };
};

struct span_attribute {
    struct slice key;
    struct span_value value;
};

// In the order given; a key may occur more than once, then the first occurrence is its value for queries.
struct span_attributes {
    struct span_attribute *items;
    uint32_t count;
};

// NULL when there is none.
const struct span_value *span_attributes_find(const struct span_attributes *attributes, struct slice key);

// An AnyValue message. The last member wins, as protobuf says. False with p->bad set.
MUST_CHECK bool span_value_parse(struct pb *p, struct slice any, struct span_value *out);
// Walks the elements of VALUE_ARRAY: false at the end. Trusted bytes.
bool span_array_next(struct pb *walk, struct span_value *out);
// Walks the pairs of VALUE_MAP likewise.
bool span_map_next(struct pb *walk, struct span_attribute *out);

void span_value_put(struct buf *b, const struct span_value *value); // the content of an AnyValue message
// Each as a KeyValue in the field of that number.
void span_attributes_put(struct buf *b, uint32_t field, const struct span_attributes *attributes);

// --- where spans come from ----------------------------------------------------------------------------

// A ResourceSpans message without its spans: fields 1 (resource) and 3 (schema_url). The bytes are its identity.
struct span_resource {
    struct slice bytes;
    struct span_attributes attributes;
    struct slice schema_url;
    uint32_t dropped_attributes;
    struct slice entities; // fields 3 of the Resource message, one after the other, tags included
    struct slice service; // value of the string attribute service.name; empty: none
};

// A ScopeSpans message without its spans: fields 1 (scope) and 3 (schema_url).
struct span_scope {
    struct slice bytes;
    struct slice name, version;
    struct span_attributes attributes;
    struct slice schema_url;
    uint32_t dropped_attributes;
};

// As span_valid(), of a ResourceSpans or ScopeSpans message; spans in it are passed over.
MUST_CHECK bool span_resource_valid(struct slice message, struct err *err);
MUST_CHECK bool span_scope_valid(struct slice message, struct err *err);
// ERR_CORRUPT: no such message. Attributes live in `a`. Spans in the message are passed over.
MUST_CHECK bool span_resource_parse(struct slice bytes, struct arena *a, struct span_resource *out, struct err *err);
// The service alone, without parsing the rest: of many resources a query mostly wants nothing else.
MUST_CHECK bool span_resource_service(struct slice bytes, struct slice *service_out, struct err *err);
MUST_CHECK bool span_scope_parse(struct slice bytes, struct arena *a, struct span_scope *out, struct err *err);
// The canonical bytes of the two, from all fields but `bytes` and `service`. A resource or scope message is always present.
void span_resource_put(struct buf *b, const struct span_resource *resource);
void span_scope_put(struct buf *b, const struct span_scope *scope);

// --- spans --------------------------------------------------------------------------------------------

struct span {
    uint8_t trace_id[TRACE_ID_BYTES];
    uint8_t span_id[SPAN_ID_BYTES];
    uint8_t parent_id[SPAN_ID_BYTES]; // zeros: a root
    uint64_t start_ns, end_ns;        // as sent: may be reversed, may pass what int64_t holds
    int32_t kind;                     // enum span_kind; other numbers are kept
    int32_t status;                   // enum span_status; other numbers are kept
    uint32_t flags;
    uint32_t dropped_attributes, dropped_events, dropped_links;
    struct slice name, status_message, trace_state;
    struct span_attributes attributes;
    struct slice events; // fields 11 of the message, one after the other, tags included
    struct slice links;  // fields 13 likewise
    const struct span_resource *resource; // NULL only between span_parse() and whoever knows it
    const struct span_scope *scope;
};

struct span_event {
    uint64_t time_ns;
    struct slice name;
    struct span_attributes attributes;
    uint32_t dropped_attributes;
};

struct span_link {
    struct slice trace_id; // 16 bytes or none
    struct slice span_id;  // 8 bytes or none
    struct slice trace_state;
    struct span_attributes attributes;
    uint32_t dropped_attributes;
    uint32_t flags;
};

// A Span message, whole: every nested message is walked, IDs have their lengths (parent and links: or none), values nest to
// SPAN_VALUE_DEPTH_MAX at most. What passes here is never refused later. ERR_INPUT with protobuf's own words when it is no
// such message; ERR_LIMIT when it is one, but its trace ID or span ID is not 16 or 8 bytes with one that is not zero, or
// values nest too deeply, or attributes are more than INGEST_SPAN_ATTRIBUTES_MAX: a span to reject alone.
MUST_CHECK bool span_valid(struct slice message, struct err *err);

// Parses a valid message; resource and scope stay NULL. ERR_CORRUPT on others. A parent of zeros is none. A status is
// present in span_put()'s output even when unset, and unknown fields are left out.
MUST_CHECK bool span_parse(struct slice message, struct arena *a, struct span *out, struct err *err);
// The message again. Everything but the order of its fields is as it was sent.
void span_put(struct buf *b, const struct span *span);

// Walk span.events and span.links: false at the end (or when the arena is full: arena_ok()). Trusted bytes.
bool span_event_next(struct pb *walk, struct arena *a, struct span_event *out);
bool span_link_next(struct pb *walk, struct arena *a, struct span_link *out);
// Appends one event or link as its field, tag included: makes span.events and span.links.
void span_event_put(struct buf *b, const struct span_event *event);
void span_link_put(struct buf *b, const struct span_link *link);

// The int64_t of a time on the wire, for indexing and comparing: what does not fit is INT64_MAX.
static inline int64_t span_time(uint64_t ns)
{
    return ns > INT64_MAX ? INT64_MAX : (int64_t)ns;
}
// end - start; 0 when reversed (traceql.md 6).
static inline uint64_t span_duration(const struct span *s)
{
    return s->end_ns > s->start_ns ? s->end_ns - s->start_ns : 0;
}
