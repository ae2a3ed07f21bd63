/*
 * test_spans.c -- bodies of span pushes to batches, as tables of text: otlp_spans.cases, zipkin.cases, zipkin_v1.cases,
 * jaeger.cases (thrift in hex); and what tables cannot hold: limits, truncation, equal batches from both encodings.
 */
#include "cases.h"
#include "spans_text.h"
#include "tap.h"

#include "base/codec.h"
#include "base/hex.h"
#include "base/limits.h"
#include "ingest/format.h"

#include <stdlib.h>

typedef bool (*parse_fn)(struct slice body, struct spans *spans, struct err *err);

static void print(parse_fn parse, struct slice body, struct buf *out)
{
    struct arena a;
    struct spans spans;
    struct err err;
    if (slice_eq(body, SLICE("(empty)")))
        body = SLICE("");
    arena_init(&a, 512 * MIB);
    spans_init(&spans, &a, SLICE("t"), INT64_MIN, NULL, 0);
    if (parse(body, &spans, &err) && spans_finish(&spans, &err))
        spans_text(out, &spans, &a);
    else
        buf_printf(out, "! %s", err.text);
    spans_done(&spans);
    arena_done(&a);
}

static void run_otlp_json(struct slice input, struct buf *out)
{
    print(otlp_spans_json_parse, input, out);
}

static void run_zipkin(struct slice input, struct buf *out)
{
    print(zipkin_json_parse, input, out);
}

static void run_zipkin_v1(struct slice input, struct buf *out)
{
    print(zipkin_v1_parse, input, out);
}

// Hex with blanks between the fields, `"text"` for a thrift string with its length.
static void run_jaeger(struct slice input, struct buf *out)
{
    AUTO(buf_done) struct buf body;
    buf_init(&body, 0);
    for (size_t i = 0; i < input.len;) {
        uint8_t byte;
        if (input.ptr[i] == '(') {
            break; // "(empty)"
        } else if (input.ptr[i] == '"') {
            size_t close = i + 1 + slice_find(slice_from(input, i + 1), SLICE("\""));
            uint8_t len[4] = {0, 0, (uint8_t)((close - i - 1) >> 8), (uint8_t)(close - i - 1)};
            buf_put(&body, len, sizeof len);
            buf_put(&body, input.ptr + i + 1, close - i - 1);
            i = close + 1;
        } else if (input.ptr[i] == ' ') {
            i++;
        } else if (i + 1 < input.len && hex_decode(slice_of(input.ptr + i, 2), &byte, 1)) {
            buf_put_byte(&body, byte);
            i += 2;
        } else {
            ok(false, "a case is no hex at %zu", i);
            return;
        }
    }
    print(jaeger_thrift_parse, buf_slice(&body), out);
}

// --- protobuf ---------------------------------------------------------------------------------------

static void put_message(struct buf *b, uint32_t number, struct slice message)
{
    put_varint(b, number << 3 | PB_BYTES);
    put_prefixed(b, message);
}

// The request around the bytes of one frame each: ResourceSpans{resource, ScopeSpans{scope, spans}}.
static void put_request(struct buf *b, struct slice resource, struct slice scope, struct slice spans)
{
    AUTO(buf_done) struct buf scope_spans, resource_spans;
    buf_init(&scope_spans, 0);
    buf_init(&resource_spans, 0);
    buf_put_slice(&scope_spans, scope);
    buf_put_slice(&scope_spans, spans);
    buf_put_slice(&resource_spans, resource);
    put_message(&resource_spans, 2, buf_slice(&scope_spans));
    put_message(b, 1, buf_slice(&resource_spans));
}

static const struct span plain = {
    .trace_id = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}, .span_id = {1, 2, 3, 4, 5, 6, 7, 8}, .name = {(const uint8_t *)"op", 2}};

static void put_span_field(struct buf *b, const struct span *span)
{
    AUTO(buf_done) struct buf message;
    buf_init(&message, 0);
    span_put(&message, span);
    put_message(b, 2, buf_slice(&message));
}

// A span with something in every field.
static void put_full_span(struct buf *b)
{
    AUTO(buf_done) struct buf events, links, list;
    buf_init(&events, 0);
    buf_init(&links, 0);
    buf_init(&list, 0);
    struct span_attribute inner[] = {{SLICE("a"), {.kind = VALUE_STRING, .bytes = SLICE("x")}}, {SLICE("e"), {.kind = VALUE_NONE}}};
    span_attributes_put(&list, 1, &(struct span_attributes){inner, 2});
    struct span_attribute items[] = {{SLICE("s"), {.kind = VALUE_STRING, .bytes = SLICE("v")}},
                                     {SLICE("b"), {.kind = VALUE_BOOL, .flag = true}},
                                     {SLICE("i"), {.kind = VALUE_INT, .integer = INT64_MIN}},
                                     {SLICE("d"), {.kind = VALUE_DOUBLE, .number = 0.5}},
                                     {SLICE("m"), {.kind = VALUE_MAP, .bytes = buf_slice(&list)}},
                                     {SLICE("y"), {.kind = VALUE_BYTES, .bytes = SLICE("\0\xff")}},
                                     {SLICE("n"), {.kind = VALUE_NONE}}};
    struct span_attributes some = {items, 2};
    span_event_put(&events, &(struct span_event){7, SLICE("ev"), some, 3});
    span_link_put(&links, &(struct span_link){slice_of(plain.trace_id, 16), slice_of(plain.span_id, 8), SLICE("ls"), some, 1, 257});
    struct span span = plain;
    span.parent_id[7] = 9;
    span.start_ns = UINT64_C(7258118400000000000); // 2200
    span.end_ns = 5;
    span.kind = 3;
    span.status = 2;
    span.status_message = SLICE("boom");
    span.trace_state = SLICE("k=v");
    span.flags = 0x301;
    span.dropped_attributes = 1, span.dropped_events = 2, span.dropped_links = 3;
    span.attributes = (struct span_attributes){items, COUNT_OF(items)};
    span.events = buf_slice(&events);
    span.links = buf_slice(&links);
    put_span_field(b, &span);
}

static void put_full_request(struct buf *b)
{
    AUTO(buf_done) struct buf resource, scope, spans;
    buf_init(&resource, 0);
    buf_init(&scope, 0);
    buf_init(&spans, 0);
    struct span_attribute service = {SLICE("service.name"), {.kind = VALUE_STRING, .bytes = SLICE("cart")}};
    span_resource_put(&resource, &(struct span_resource){.attributes = {&service, 1}, .dropped_attributes = 2, .schema_url = SLICE("r")});
    span_scope_put(&scope, &(struct span_scope){.name = SLICE("lib"), .version = SLICE("1"), .schema_url = SLICE("s")});
    put_full_span(&spans);
    put_request(b, buf_slice(&resource), buf_slice(&scope), buf_slice(&spans));
}

#define FULL_TEXT                                                                                                          \
    "0102030405060708090a0b0c0d0e0f10/0102030405060708 parent 0000000000000009 7258118400000000000..5 name \"op\" kind 3 " \
    "status 2 message \"boom\" state \"k=v\" flags 769 {s=\"v\",b=true,i=-9223372036854775808,d=0.5d,"                     \
    "m={a=\"x\",e=_},y=0x00ff,n=_} dropped 1 event(7 name \"ev\" {s=\"v\",b=true} dropped 3) "                             \
    "link(0102030405060708090a0b0c0d0e0f10/0102030405060708 state \"ls\" {s=\"v\",b=true} dropped 1 flags 257) "           \
    "events-dropped 2 links-dropped 3 of {service.name=\"cart\"} dropped 2 schema \"r\" scope name \"lib\" version "       \
    "\"1\" schema \"s\""

static void is_protobuf(struct slice body, const char *want, const char *name)
{
    AUTO(buf_done) struct buf got;
    buf_init(&got, 0);
    print(otlp_spans_pb_parse, body, &got);
    is_text(buf_slice(&got), want, name);
}

static void test_every_field_is_kept(void)
{
    AUTO(buf_done) struct buf body;
    buf_init(&body, 0);
    put_full_request(&body);
    is_protobuf(buf_slice(&body), FULL_TEXT, "every field");
}

static void test_messages_are_borrowed_and_sources_shared(void)
{
    AUTO(buf_done) struct buf body;
    struct arena a;
    struct spans s;
    struct err err;
    buf_init(&body, 0);
    put_full_request(&body);
    put_full_request(&body);
    arena_init(&a, MIB);
    spans_init(&s, &a, SLICE("t"), INT64_MIN, NULL, 0);
    must(otlp_spans_pb_parse(buf_slice(&body), &s, &err), &err);
    is_int(s.batch.spans_count, 2, "spans");
    is_int(s.batch.resources_count, 1, "equal resources side by side are one");
    is_int(s.batch.scopes_count, 1, "equal scopes side by side are one");
    for (uint32_t i = 0; i < s.batch.spans_count; i++)
        ok(s.batch.spans[i].message.ptr > body.ptr && s.batch.spans[i].message.ptr < body.ptr + body.len,
           "a message lies in the body");
    spans_done(&s);
    arena_done(&a);
}

// A request that was cut anywhere is refused.
static void test_truncation_at_every_byte(void)
{
    AUTO(buf_done) struct buf body, got;
    buf_init(&body, 0);
    buf_init(&got, 0);
    put_full_request(&body);
    size_t refused = 0;
    for (size_t len = 1; len < body.len; len++) {
        uint8_t *exact = malloc(len); // so that a sanitizer sees a byte too many
        memcpy(exact, body.ptr, len);
        buf_reset(&got);
        print(otlp_spans_pb_parse, slice_of(exact, len), &got);
        free(exact);
        refused += slice_eq(buf_slice(&got), SLICE("! unexpected EOF"));
    }
    is_int(refused, body.len - 1, "requests that were cut are refused");
}

// As above, inside the span alone: the frames are whole.
static void test_truncated_spans(void)
{
    AUTO(buf_done) struct buf span, frame, body, got;
    buf_init(&span, 0);
    buf_init(&frame, 0);
    buf_init(&body, 0);
    buf_init(&got, 0);
    put_full_span(&frame);
    struct pb p = pb_of(buf_slice(&frame));
    struct pb_field f;
    ok(pb_next(&p, &f), "the span");
    buf_put_slice(&span, f.bytes);
    int refused = 0, rejected = 0, stored = 0;
    for (size_t len = 0; len < span.len; len++) {
        buf_reset(&frame);
        buf_reset(&body);
        buf_reset(&got);
        put_message(&frame, 2, slice_of(span.ptr, len));
        put_request(&body, SLICE(""), SLICE(""), buf_slice(&frame));
        print(otlp_spans_pb_parse, buf_slice(&body), &got);
        refused += slice_starts(buf_slice(&got), SLICE("! "));
        rejected += slice_starts(buf_slice(&got), SLICE("rejected 1: "));
        stored += slice_starts(buf_slice(&got), SLICE("0102"));
    }
    is_int(refused + rejected + stored, span.len, "each is one of the three");
    is_int(rejected, 2, "cut before its IDs are whole a span is rejected alone");
    ok(stored > 10 && refused > 3 * stored, "cut between two fields it is a span, inside one the request is bad");
}

static void test_wire(void)
{
    static const struct {
        const char *extra; // bytes appended to a span
        size_t len;
        const char *want; // NULL: stored
    } table[] = {
#define BYTES(text) text, sizeof text - 1
        {BYTES("\x28\x07"), "! proto: wrong wireType for a known field"},             // name as a varint
        {BYTES("\x80\x01\x01"), "! proto: wrong wireType for a known field"},         // flags as a varint
        {BYTES("\x30\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"), "! proto: integer overflow"},
        {BYTES("\x02\x00"), "! proto: illegal tag 0"},
        {BYTES("\x2e\x00"), "! proto: illegal wireType"},
        {BYTES("\x22\x03\x01\x02\x03"), "! invalid SpanID length"},                   // of the parent
        {BYTES("\x6a\x04\x0a\x02\x01\x02"), "! invalid TraceID length"},              // of a link
        {BYTES("\x4a\x04\x12\x02\x18"), "! unexpected EOF"},                          // in an attribute
        {BYTES("\x4b\x08\x01\x4c"), NULL},                                            // a group of a known number
        {BYTES("\x4b\x08\x01\x54"), "! proto: unexpected end of group"},
        {BYTES("\xa2\x06\x03zzz\xad\x06\x05\0\0\0\xb0\x06\x05\xb1\x06\x05\0\0\0\0\0\0\0"), NULL}, // unknown ones
        {BYTES("\x22\x08\0\0\0\0\0\0\0\0"), NULL},                                    // a parent of zeros
        {BYTES("\x0a\x01\x07"), "rejected 1: trace ids must be 128 bit, received 8 bits"}, // the last one counts
        {BYTES("\x12\x08\0\0\0\0\0\0\0\0"), "rejected 1: span ids must be 64 bit and not all zero, received 0 bits"},
        {BYTES("\x0a\x10\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"), "rejected 1: trace ids must be 128 bit, received 0 bits"},
#undef BYTES
    };
    for (size_t i = 0; i < COUNT_OF(table); i++) {
        AUTO(buf_done) struct buf message, frame, body;
        buf_init(&message, 0);
        buf_init(&frame, 0);
        buf_init(&body, 0);
        span_put(&message, &plain);
        buf_put(&message, table[i].extra, table[i].len);
        put_message(&frame, 2, buf_slice(&message));
        put_request(&body, SLICE(""), SLICE(""), buf_slice(&frame));
        is_protobuf(buf_slice(&body),
                    table[i].want != NULL ? table[i].want
                                          : "0102030405060708090a0b0c0d0e0f10/0102030405060708 0..0 name \"op\" of {}",
                    table[i].want != NULL ? table[i].want : "stored");
    }
}

// Of fields given twice the last counts, whatever the first was.
static void test_ids_given_twice(void)
{
    AUTO(buf_done) struct buf message, frame, body;
    buf_init(&message, 0);
    buf_init(&frame, 0);
    buf_init(&body, 0);
    buf_put_slice(&message, SLICE("\x0a\x01\x07\x12\x02\x07\x07\x22\x00"));
    span_put(&message, &plain);
    put_message(&frame, 2, buf_slice(&message));
    put_request(&body, SLICE(""), SLICE(""), buf_slice(&frame));
    is_protobuf(buf_slice(&body), "0102030405060708090a0b0c0d0e0f10/0102030405060708 0..0 name \"op\" of {}", "IDs given twice");
}

// Fields in an order that exporters do not use: spans first, then scope, then resource; a resource in two parts; the
// children of a resource as they were called before protocol 0.15.
static void test_order_and_merging(void)
{
    AUTO(buf_done) struct buf scope_spans, resource_spans, body;
    buf_init(&scope_spans, 0);
    buf_init(&resource_spans, 0);
    buf_init(&body, 0);
    put_span_field(&scope_spans, &plain);
    buf_put_slice(&scope_spans, SLICE("\x0a\x05\x0a\x03lib"));
    put_message(&resource_spans, 1000, buf_slice(&scope_spans));
    buf_put_slice(&resource_spans, SLICE("\x0a\x0a\x0a\x08\x0a\x01" "a" "\x12\x03\x0a\x01x"));
    buf_put_slice(&resource_spans, SLICE("\x0a\x0a\x0a\x08\x0a\x01" "b" "\x12\x03\x0a\x01y"));
    put_message(&body, 1, buf_slice(&resource_spans));
    is_protobuf(buf_slice(&body),
                "0102030405060708090a0b0c0d0e0f10/0102030405060708 0..0 name \"op\" of {a=\"x\",b=\"y\"} scope name \"lib\"",
                "order and merging");
}

static void test_empty_requests(void)
{
    is_protobuf(SLICE(""), "", "no bytes");
    is_protobuf(SLICE("\x0a\x00"), "", "a resource without scopes");
    is_protobuf(SLICE("\x0a\x04\x0a\x00\x12\x00"), "", "a scope without spans");
}

// --- limits on both sides ------------------------------------------------------------------------------

static struct slice nested(struct buf *b, unsigned depth, bool map)
{
    AUTO(buf_done) struct buf inner;
    buf_init(&inner, 0);
    buf_put_slice(&inner, SLICE("\x0a\x01x")); // the innermost value
    for (unsigned i = 0; i < depth; i++) {
        AUTO(buf_done) struct buf list, pair;
        buf_init(&list, 0);
        buf_init(&pair, 0);
        put_message(&pair, 2, buf_slice(&inner));
        put_message(&list, 1, map ? buf_slice(&pair) : buf_slice(&inner));
        buf_reset(&inner);
        put_message(&inner, map ? VALUE_MAP : VALUE_ARRAY, buf_slice(&list));
    }
    buf_put_slice(b, buf_slice(&inner));
    return buf_slice(b);
}

// An attribute of that value on a span beside one that is fine.
static void is_beside_good(struct slice any, struct slice key, const char *want, const char *name)
{
    AUTO(buf_done) struct buf pair, message, frame, body, got;
    buf_init(&pair, 0);
    buf_init(&message, 0);
    buf_init(&frame, 0);
    buf_init(&body, 0);
    buf_init(&got, 0);
    put_message(&pair, 1, key);
    put_message(&pair, 2, any);
    span_put(&message, &plain);
    put_message(&message, 9, buf_slice(&pair));
    put_span_field(&frame, &plain);
    put_message(&frame, 2, buf_slice(&message));
    put_request(&body, SLICE(""), SLICE(""), buf_slice(&frame));
    print(otlp_spans_pb_parse, buf_slice(&body), &got);
    size_t at = slice_find(buf_slice(&got), SLICE(" ; "));
    struct slice second = at == SIZE_MAX ? buf_slice(&got) : slice_from(buf_slice(&got), at + 3);
    if (want == NULL)
        ok(slice_starts(second, SLICE("0102")), "%s is stored", name);
    else
        is_text(second, want, name);
}

static void test_depth(void)
{
    for (int map = 0; map < 2; map++) {
        AUTO(buf_done) struct buf fits, deep, fifty;
        buf_init(&fits, 0);
        buf_init(&deep, 0);
        buf_init(&fifty, 0);
        const char *want = "rejected 1: proto: values nested too deeply";
        is_beside_good(nested(&fits, SPAN_VALUE_DEPTH_MAX, map), SLICE("k"), NULL, "a value of the greatest depth");
        is_beside_good(nested(&deep, SPAN_VALUE_DEPTH_MAX + 1, map), SLICE("k"), want, "one level more");
        is_beside_good(nested(&fifty, 50, map), SLICE("k"), want, "fifty levels");
    }
}

static void test_depth_in_json(void)
{
    static const unsigned depths[] = {SPAN_VALUE_DEPTH_MAX, SPAN_VALUE_DEPTH_MAX + 1, 50};
    for (size_t i = 0; i < COUNT_OF(depths); i++)
        for (int of_resource = 0; of_resource < 2; of_resource++) {
            AUTO(buf_done) struct buf value, body, got;
            buf_init(&value, 0);
            buf_init(&body, 0);
            buf_init(&got, 0);
            buf_put_cstr(&value, "\"attributes\":[{\"key\":\"k\",\"value\":");
            for (unsigned d = 0; d < depths[i]; d++)
                buf_put_cstr(&value, "{\"arrayValue\":{\"values\":[");
            buf_put_cstr(&value, "{\"boolValue\":true}");
            for (unsigned d = 0; d < depths[i]; d++)
                buf_put_cstr(&value, "]}}");
            buf_put_cstr(&value, "}]");
            buf_put_byte(&value, '\0');
            const char *text = (const char *)value.ptr;
            buf_printf(&body,
                       "{\"resourceSpans\":[{\"resource\":{%s},\"scopeSpans\":[{\"spans\":[{\"traceId\":"
                       "\"0102030405060708090a0b0c0d0e0f10\",\"spanId\":\"0102030405060708\"%s%s}]}]}]}",
                       of_resource ? text : "", of_resource ? "" : ",", of_resource ? "" : text);
            print(otlp_spans_json_parse, buf_slice(&body), &got);
            if (depths[i] <= SPAN_VALUE_DEPTH_MAX)
                ok(slice_starts(buf_slice(&got), SLICE("0102")), "JSON of depth %u is stored", depths[i]);
            else
                is_text(buf_slice(&got), "rejected 1: proto: values nested too deeply", "JSON that is too deep");
        }
}

static struct slice many(struct buf *b, size_t len)
{
    uint8_t *to = buf_reserve(b, len);
    memset(to, 'x', len);
    b->len = len;
    return buf_slice(b);
}

static void test_key_bytes(void)
{
    AUTO(buf_done) struct buf fits, longer;
    buf_init(&fits, 0);
    buf_init(&longer, 0);
    is_beside_good(SLICE("\x10\x01"), many(&fits, INGEST_ATTRIBUTE_KEY_BYTES_MAX), NULL, "the longest key");
    is_beside_good(SLICE("\x10\x01"), many(&longer, INGEST_ATTRIBUTE_KEY_BYTES_MAX + 1),
                   "rejected 1: attribute key of 65537 bytes exceeds the limit of 65536 bytes", "a longer key");
}

// Keys of events, links, resources and scopes, one byte too long.
static void test_key_bytes_elsewhere(void)
{
    AUTO(buf_done) struct buf key, field, none;
    buf_init(&key, 0);
    buf_init(&field, 0);
    buf_init(&none, 0);
    static const char want[] = "rejected 1: attribute key of 65537 bytes exceeds the limit of 65536 bytes";
    struct span_attribute item = {many(&key, INGEST_ATTRIBUTE_KEY_BYTES_MAX + 1), {.kind = VALUE_NONE}};
    const struct span_attributes one = {&item, 1};
    for (int where = 0; where < 4; where++) {
        AUTO(buf_done) struct buf resource, scope, spans, body;
        buf_init(&resource, 0);
        buf_init(&scope, 0);
        buf_init(&spans, 0);
        buf_init(&body, 0);
        struct span span = plain;
        buf_reset(&field);
        if (where == 0)
            span_event_put(&field, &(struct span_event){.attributes = one});
        else if (where == 1)
            span_link_put(&field, &(struct span_link){.attributes = one});
        *(where == 0 ? &span.events : &span.links) = buf_slice(&field);
        span_resource_put(&resource, &(struct span_resource){.attributes = where == 2 ? one : (struct span_attributes){0}});
        span_scope_put(&scope, &(struct span_scope){.attributes = where == 3 ? one : (struct span_attributes){0}});
        put_span_field(&spans, &span);
        put_request(&body, buf_slice(&resource), buf_slice(&scope), buf_slice(&spans));
        is_protobuf(buf_slice(&body), want, "a key that is too long elsewhere");
    }
}

static void test_span_bytes(void)
{
    for (int over = 0; over < 2; over++) {
        AUTO(buf_done) struct buf name, message, spans, body, got;
        buf_init(&name, 0);
        buf_init(&message, 0);
        buf_init(&spans, 0);
        buf_init(&body, 0);
        buf_init(&got, 0);
        struct span span = plain;
        span_put(&message, &span);
        size_t around = message.len - span.name.len + 3; // the length takes three bytes more
        span.name = many(&name, INGEST_SPAN_BYTES_MAX - around + (size_t)over);
        buf_reset(&message);
        span_put(&message, &span);
        is_int(message.len, INGEST_SPAN_BYTES_MAX + (size_t)over, "bytes of the message");
        put_message(&spans, 2, buf_slice(&message));
        put_request(&body, SLICE(""), SLICE(""), buf_slice(&spans));
        print(otlp_spans_pb_parse, buf_slice(&body), &got);
        if (over)
            is_text(buf_slice(&got), "rejected 1: span of 16777217 bytes exceeds the limit of 16777216 bytes",
                    "a larger span");
        else
            ok(slice_starts(buf_slice(&got), SLICE("0102")), "the largest span is stored");
    }
}

static void test_resource_bytes(void)
{
    for (int over = 0; over < 2; over++) {
        AUTO(buf_done) struct buf url, resource, message, spans, body, got;
        buf_init(&url, 0);
        buf_init(&resource, 0);
        buf_init(&message, 0);
        buf_init(&spans, 0);
        buf_init(&body, 0);
        buf_init(&got, 0);
        struct span_resource r = {.schema_url = many(&url, 1 << 21)};
        span_resource_put(&resource, &r);
        size_t around = resource.len - r.schema_url.len;
        r.schema_url = many(&url, INGEST_SPAN_SOURCE_BYTES_MAX - around + (size_t)over);
        buf_reset(&resource);
        span_resource_put(&resource, &r);
        is_int(resource.len, INGEST_SPAN_SOURCE_BYTES_MAX + (size_t)over, "bytes of the resource");
        span_put(&message, &plain);
        put_message(&spans, 2, buf_slice(&message));
        put_message(&resource, 2, buf_slice(&spans)); // its scope's spans
        put_message(&body, 1, buf_slice(&resource));
        print(otlp_spans_pb_parse, buf_slice(&body), &got);
        if (over)
            is_text(buf_slice(&got), "rejected 1: resource or scope of 4194305 bytes exceeds the limit of 4194304 bytes",
                    "spans of a larger resource");
        else
            ok(slice_starts(buf_slice(&got), SLICE("0102")), "a span of the largest resource is stored");
    }
}

// A span of 10 MB: a thousand attributes of 10 KB.
static void test_large_span(void)
{
    AUTO(buf_done) struct buf value, spans, body, got;
    struct span_attribute items[1000];
    buf_init(&value, 0);
    buf_init(&spans, 0);
    buf_init(&body, 0);
    buf_init(&got, 0);
    many(&value, 10000);
    for (size_t i = 0; i < COUNT_OF(items); i++)
        items[i] = (struct span_attribute){SLICE("k"), {.kind = VALUE_STRING, .bytes = buf_slice(&value)}};
    struct span span = plain;
    span.attributes = (struct span_attributes){items, COUNT_OF(items)};
    put_span_field(&spans, &span);
    put_request(&body, SLICE(""), SLICE(""), buf_slice(&spans));
    print(otlp_spans_pb_parse, buf_slice(&body), &got);
    ok(slice_starts(buf_slice(&got), SLICE("0102")) && got.len > 10000000, "a span of 10 MB is stored");
}

// Spans begin before and at the horizon; that of a service with a rule of its own is later.
static void test_retention(void)
{
    static const struct label_matcher dev = {.name = {(const uint8_t *)"service_name", 12}, .value = {(const uint8_t *)"dev", 3}};
    const struct retention_rule rule = {.matchers = &dev, .matchers_count = 1, .period_ns = 100, .text = "dev"};
    const struct retention retention = {.period_ns = 1000, .rules = &rule, .rules_count = 1};
    static const struct {
        const char *service;
        uint64_t start_ns;
        bool stored;
    } table[] = {{"any", 1, false}, {"any", 4000, true}, {"any", 3999, false}, {"dev", 4899, false}, {"dev", 4900, true}, {"", 0, false}};
    for (size_t i = 0; i < COUNT_OF(table); i++) {
        AUTO(buf_done) struct buf resource, spans, body;
        struct arena a;
        struct spans s;
        struct err err;
        buf_init(&resource, 0);
        buf_init(&spans, 0);
        buf_init(&body, 0);
        struct span span = plain;
        span.start_ns = table[i].start_ns;
        put_span_field(&spans, &span);
        struct span_attribute service = {SLICE("service.name"), {.kind = VALUE_STRING, .bytes = slice_cstr(table[i].service)}};
        span_resource_put(&resource, &(struct span_resource){.attributes = {&service, 1}});
        put_request(&body, buf_slice(&resource), SLICE(""), buf_slice(&spans));
        arena_init(&a, MIB);
        spans_init(&s, &a, SLICE("t"), 4000, &retention, 5000);
        must(otlp_spans_pb_parse(buf_slice(&body), &s, &err), &err);
        is_int(s.batch.spans_count, table[i].stored, "within what is kept");
        is_int(s.rejected[SPAN_REJECT_TOO_OLD], !table[i].stored, "or rejected");
        spans_done(&s);
        arena_done(&a);
    }
}

static void test_full_arena(void)
{
    AUTO(buf_done) struct buf spans, body;
    struct arena a;
    struct spans s;
    struct err err;
    buf_init(&spans, 0);
    buf_init(&body, 0);
    for (int i = 0; i < 10000; i++)
        put_span_field(&spans, &plain);
    put_request(&body, SLICE(""), SLICE(""), buf_slice(&spans));
    arena_init(&a, 256 * KIB);
    spans_init(&s, &a, SLICE("t"), INT64_MIN, NULL, 0);
    ok(!otlp_spans_pb_parse(buf_slice(&body), &s, &err) && err.code == ERR_TOO_LARGE, "a full arena is told");
    spans_done(&s);
    arena_done(&a);
}

// Words of the same meaning in both encodings are the same messages.
static void test_json_equals_protobuf(void)
{
    static const char json[] =
        "{\"resourceSpans\":[{\"schemaUrl\":\"r\",\"resource\":{\"droppedAttributesCount\":2,\"attributes\":[{\"key\":"
        "\"service.name\",\"value\":{\"stringValue\":\"cart\"}}]},\"scopeSpans\":[{\"scope\":{\"name\":\"lib\",\"version\":"
        "\"1\"},\"schemaUrl\":\"s\",\"spans\":[{\"traceId\":\"0102030405060708090A0B0C0D0E0F10\",\"spanId\":"
        "\"0102030405060708\",\"parentSpanId\":\"0000000000000009\",\"name\":\"op\",\"kind\":3,\"startTimeUnixNano\":"
        "\"7258118400000000000\",\"endTimeUnixNano\":5,\"status\":{\"code\":\"STATUS_CODE_ERROR\",\"message\":\"boom\"},"
        "\"traceState\":\"k=v\",\"flags\":769,\"droppedAttributesCount\":1,\"droppedEventsCount\":2,\"droppedLinksCount\":3,"
        "\"attributes\":[{\"key\":\"s\",\"value\":{\"stringValue\":\"v\"}},{\"key\":\"b\",\"value\":{\"boolValue\":true}},"
        "{\"key\":\"i\",\"value\":{\"intValue\":\"-9223372036854775808\"}},{\"key\":\"d\",\"value\":{\"doubleValue\":0.5}},"
        "{\"key\":\"m\",\"value\":{\"kvlistValue\":{\"values\":[{\"key\":\"a\",\"value\":{\"stringValue\":\"x\"}},{\"key\":"
        "\"e\",\"value\":{}}]}}},{\"key\":\"y\",\"value\":{\"bytesValue\":\"AP8=\"}},{\"key\":\"n\"}],\"events\":[{\"name\":"
        "\"ev\",\"timeUnixNano\":7,\"droppedAttributesCount\":3,\"attributes\":[{\"key\":\"s\",\"value\":{\"stringValue\":"
        "\"v\"}},{\"key\":\"b\",\"value\":{\"boolValue\":true}}]}],\"links\":[{\"traceId\":"
        "\"0102030405060708090a0b0c0d0e0f10\",\"spanId\":\"0102030405060708\",\"traceState\":\"ls\",\"flags\":257,"
        "\"droppedAttributesCount\":1,\"attributes\":[{\"key\":\"s\",\"value\":{\"stringValue\":\"v\"}},{\"key\":\"b\","
        "\"value\":{\"boolValue\":true}}]}]}]}]}]}";
    AUTO(buf_done) struct buf body;
    struct arena a;
    struct spans from_json, from_pb;
    struct err err;
    buf_init(&body, 0);
    put_full_request(&body);
    arena_init(&a, MIB);
    spans_init(&from_json, &a, SLICE("t"), INT64_MIN, NULL, 0);
    spans_init(&from_pb, &a, SLICE("t"), INT64_MIN, NULL, 0);
    must(otlp_spans_json_parse(slice_cstr(json), &from_json, &err), &err);
    must(otlp_spans_pb_parse(buf_slice(&body), &from_pb, &err), &err);
    is_int(from_json.batch.spans_count, 1, "a span");
    ok(slice_eq(from_json.batch.spans[0].message, from_pb.batch.spans[0].message), "the messages are equal");
    ok(slice_eq(from_json.batch.resources[0], from_pb.batch.resources[0]), "the resources are equal");
    ok(slice_eq(from_json.batch.scopes[0], from_pb.batch.scopes[0]), "the scopes are equal");
    spans_done(&from_json);
    spans_done(&from_pb);
    arena_done(&a);
}

int main(int argc, char **argv)
{
    static void (*const runs[])(struct slice input, struct buf *out) = {run_otlp_json, run_zipkin, run_zipkin_v1, run_jaeger};
    for (int i = 1; i < argc; i++)
        ok(cases_run(argv[i], runs[i - 1]) >= 15, "the table %s was read", strrchr(argv[i], '/') + 1);
    test_every_field_is_kept();
    test_messages_are_borrowed_and_sources_shared();
    test_truncation_at_every_byte();
    test_truncated_spans();
    test_wire();
    test_ids_given_twice();
    test_order_and_merging();
    test_empty_requests();
    test_depth();
    test_depth_in_json();
    test_key_bytes();
    test_key_bytes_elsewhere();
    test_span_bytes();
    test_resource_bytes();
    test_large_span();
    test_retention();
    test_full_arena();
    test_json_equals_protobuf();
    return tap_done();
}
