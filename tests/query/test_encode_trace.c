/* test_encode_trace.c -- answers about spans in both forms, from hand-made results:
 * traces-http.md 11.3, 12 to 15, 20. */
#include "tap.h"

#include "base/limits.h"
#include "query/trace/encode_trace.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define T0 UINT64_C(1700000000000000000)

static struct arena arena;

static struct slice from_hex(const char *text)
{
    size_t len = strlen(text) / 2;
    uint8_t *bytes = arena_alloc(&arena, len);
    for (size_t i = 0; i < len; i++) {
        char pair[3] = {text[2 * i], text[2 * i + 1], '\0'};
        bytes[i] = (uint8_t)strtoul(pair, NULL, 16);
    }
    return slice_of(bytes, len);
}

static struct slice to_hex(struct slice bytes)
{
    char *text = arena_alloc(&arena, 2 * bytes.len + 1);
    for (size_t i = 0; i < bytes.len; i++)
        (void)snprintf(text + 2 * i, 3, "%02x", bytes.ptr[i]);
    return slice_of(text, 2 * bytes.len);
}

static struct span_attribute text_attribute(const char *key, const char *value)
{
    return (struct span_attribute){slice_cstr(key),
                                   {.kind = VALUE_STRING, .bytes = slice_cstr(value)}};
}

static struct span_attribute int_attribute(const char *key, int64_t value)
{
    return (struct span_attribute){slice_cstr(key), {.kind = VALUE_INT, .integer = value}};
}

// A trace of one resource and scope.
static struct trace one_group(struct span_resource *resource, struct span_scope *scope,
                              struct span *spans, uint32_t count)
{
    struct trace_scope *s = arena_alloc(&arena, sizeof *s);
    struct trace_resource *r = arena_alloc(&arena, sizeof *r);
    *s = (struct trace_scope){scope, spans, count};
    *r = (struct trace_resource){resource, s, 1};
    return (struct trace){.resources = r, .resources_count = 1, .spans_count = count};
}

static struct slice encoded(const struct trace *t, struct encode_trace_options o)
{
    struct buf b;
    struct err err;
    buf_init(&b, 0);
    if (o.bytes_max == 0)
        o.bytes_max = MIB;
    must(encode_trace(&b, t, &o, &arena, &err), &err);
    struct slice copy = arena_copy(&arena, buf_slice(&b));
    buf_done(&b);
    return copy;
}

static const struct encode_trace_options v1_json = {.form = ENCODE_JSON},
                                         v1_bytes = {.form = ENCODE_PROTOBUF},
                                         v2_json = {.form = ENCODE_JSON, .envelope = true},
                                         v2_bytes = {.form = ENCODE_PROTOBUF, .envelope = true};

// The trace of vector 1.
static struct trace cart_trace(void)
{
    struct span_attribute *service = arena_alloc(&arena, sizeof *service);
    struct span_resource *resource = arena_zalloc(&arena, sizeof *resource);
    struct span_scope *scope = arena_zalloc(&arena, sizeof *scope);
    struct span_attribute *code = arena_alloc(&arena, sizeof *code);
    struct span *span = arena_zalloc(&arena, sizeof *span);
    *service = text_attribute("service.name", "cart");
    *code = int_attribute("http.status_code", 200);
    resource->attributes = (struct span_attributes){service, 1};
    scope->name = SLICE("lib");
    memcpy(span->trace_id, from_hex("00112233445566778899aabbccddeeff").ptr, TRACE_ID_BYTES);
    memcpy(span->span_id, from_hex("0102030405060708").ptr, SPAN_ID_BYTES);
    span->name = SLICE("GET /x");
    span->kind = KIND_SERVER;
    span->start_ns = T0;
    span->end_ns = T0 + 250000000;
    span->attributes = (struct span_attributes){code, 1};
    span->status = STATUS_ERROR;
    return one_group(resource, scope, span, 1);
}

#define CART_BYTES                                                                                 \
    "0a7a0a180a160a0c736572766963652e6e616d6512060a0463617274125e0a050a036c696212550a100011223344" \
    "5566778899aabbccddeeff120801020304"                                                           \
    "050607082a06474554202f7830023900002a36fe9c97174180b21045fe9c97174a170a10687474702e7374617475" \
    "735f636f6465120318c8017a021802"

static void test_vectors(void)
{
    struct trace t = cart_trace();
    is_text(to_hex(encoded(&t, v1_bytes)), CART_BYTES, "vector 1: version 1 in protobuf");
    t.stats.bytes = 5;
    is_text(to_hex(encoded(&t, v2_bytes)), "0a7c" CART_BYTES "12020805",
            "vector 1: version 2 in protobuf");
    is_text(encoded(&t, v1_json),
            "{\"batches\":[{\"resource\":{\"attributes\":[{\"key\":\"service.name\",\"value\":{"
            "\"stringValue\":\"cart\"}}]},"
            "\"scopeSpans\":[{\"scope\":{\"name\":\"lib\"},\"spans\":[{\"traceId\":"
            "\"ABEiM0RVZneImaq7zN3u/w==\",\"spanId\":\"AQIDBAUGBwg=\","
            "\"name\":\"GET "
            "/x\",\"kind\":\"SPAN_KIND_SERVER\",\"startTimeUnixNano\":\"1700000000000000000\","
            "\"endTimeUnixNano\":\"1700000000250000000\",\"attributes\":[{\"key\":\"http.status_"
            "code\",\"value\":{\"intValue\":\"200\"}}],"
            "\"status\":{\"code\":\"STATUS_CODE_ERROR\"}}]}]}]}",
            "vector 2: version 1 in JSON");
    struct slice json = encoded(&t, v2_json);
    ok(slice_starts(json, SLICE("{\"trace\":{\"resourceSpans\":[{")),
       "version 2 calls them resourceSpans");
    ok(slice_find(json, SLICE("},\"metrics\":{\"inspectedBytes\":\"5\"}}")) != SIZE_MAX,
       "and tells what was read");
}

// What a client may leave out is there nonetheless.
static void test_always_there(void)
{
    struct span_resource resource = {0};
    struct span_scope scope = {0};
    struct span span = {.start_ns = T0, .end_ns = T0 + 250000000, .name = SLICE("a")};
    memcpy(span.trace_id, from_hex("00112233445566778899aabbccddeeff").ptr, TRACE_ID_BYTES);
    memcpy(span.span_id, from_hex("0102030405060708").ptr, SPAN_ID_BYTES);
    struct trace t = one_group(&resource, &scope, &span, 1);
    is_text(to_hex(encoded(&t, v1_bytes)),
            "0a3b0a0012370a0012330a1000112233445566778899aabbccddeeff120801020304050607082a01613900"
            "002a36fe9c97174180b21045fe9c97177a00",
            "vector 3: resource, scope and status are there when empty");
    ok(slice_find(encoded(&t, v1_json),
                  SLICE("\"resource\":{},\"scopeSpans\":[{\"scope\":{},\"spans\":[{")) != SIZE_MAX,
       "in JSON too");
    struct encode_trace_options o = v1_json;
    o.name_resources = true;
    ok(slice_find(
           encoded(&t, o),
           SLICE(
               "\"resource\":{\"attributes\":[{\"key\":\"service.name\",\"value\":{\"stringValue\":"
               "\"unknown_service\"}}]}")) != SIZE_MAX,
       "an empty resource is named where asked");
    t = cart_trace();
    ok(slice_find(encoded(&t, o), SLICE("unknown_service")) == SIZE_MAX, "another is not");
    struct trace none = {0};
    is_text(encoded(&none, v2_json), "{\"trace\":{},\"metrics\":{}}", "no trace, in JSON");
    is_text(to_hex(encoded(&none, v2_bytes)), "0a001200", "no trace, in protobuf");
}

static void test_values(void)
{
    struct span_resource resource = {.schema_url = SLICE("u1"), .dropped_attributes = 2};
    struct span_scope scope = {
        .version = SLICE("1"), .schema_url = SLICE("u2"), .dropped_attributes = 3};
    struct span_attribute attributes[] = {
        {SLICE("none"), {.kind = VALUE_NONE}},
        {SLICE("no"), {.kind = VALUE_BOOL, .flag = false}},
        {SLICE("zero"), {.kind = VALUE_INT, .integer = 0}},
        {SLICE("least"), {.kind = VALUE_INT, .integer = INT64_MIN}},
        {SLICE("nan"), {.kind = VALUE_DOUBLE, .number = NAN}},
        {SLICE("inf"), {.kind = VALUE_DOUBLE, .number = -INFINITY}},
        {SLICE("empty"), {.kind = VALUE_STRING, .bytes = SLICE("")}},
        {SLICE("raw"), {.kind = VALUE_BYTES, .bytes = SLICE("\x00\xff")}},
        {SLICE("array"),
         {.kind = VALUE_ARRAY,
          .bytes = SLICE("\x0a\x02\x18\x07\x0a\x00\x0a\x07\x2a\x05\x0a\x03\x0a\x01x")}},
        {SLICE("map"), {.kind = VALUE_MAP, .bytes = SLICE("\x0a\x07\x0a\x01k\x12\x02\x10\x01")}},
        {SLICE("bad\xff"), {.kind = VALUE_STRING, .bytes = SLICE("a\xc3(\xe2\x82")}},
        {SLICE("bad\xff"), {.kind = VALUE_STRING, .bytes = SLICE("<\x01\"\n>")}},
    };
    struct span span = {.trace_id = {[TRACE_ID_BYTES - 1] = 1},
                        .kind = 9,
                        .status = -1,
                        .flags = 257,
                        .attributes = {attributes, COUNT_OF(attributes)},
                        .dropped_attributes = 1,
                        .dropped_events = 4,
                        .dropped_links = 5,
                        .trace_state = SLICE("a=b"),
                        .status_message = SLICE("boom")};
    span.span_id[7] = span.parent_id[7] = 1;
    struct buf events, links;
    buf_init(&events, 0);
    buf_init(&links, 0);
    span_event_put(&events, &(struct span_event){.time_ns = 7,
                                                 .name = SLICE("e"),
                                                 .attributes = {attributes, 1},
                                                 .dropped_attributes = 6});
    span_event_put(&events, &(struct span_event){0});
    span_link_put(&links, &(struct span_link){.trace_id = SLICE("0123456789abcdef"),
                                              .span_id = SLICE("01234567"),
                                              .trace_state = SLICE("s"),
                                              .attributes = {attributes + 1, 1},
                                              .dropped_attributes = 8,
                                              .flags = 9});
    span.events = buf_slice(&events);
    span.links = buf_slice(&links);
    struct trace t = one_group(&resource, &scope, &span, 1);
    is_text(encoded(&t, v1_json),
            "{\"batches\":[{\"resource\":{\"droppedAttributesCount\":2},\"scopeSpans\":[{\"scope\":"
            "{\"version\":\"1\",\"droppedAttributesCount\":3},"
            "\"spans\":[{\"traceId\":\"AAAAAAAAAAAAAAAAAAAAAQ==\",\"spanId\":\"AAAAAAAAAAE=\","
            "\"traceState\":\"a=b\",\"parentSpanId\":"
            "\"AAAAAAAAAAE=\",\"kind\":9,\"attributes\":[{\"key\":\"none\",\"value\":{}},{\"key\":"
            "\"no\",\"value\":{\"boolValue\":false}},"
            "{\"key\":\"zero\",\"value\":{\"intValue\":\"0\"}},{\"key\":\"least\",\"value\":{"
            "\"intValue\":\"-9223372036854775808\"}},"
            "{\"key\":\"nan\",\"value\":{\"doubleValue\":\"NaN\"}},{\"key\":\"inf\",\"value\":{"
            "\"doubleValue\":\"-Infinity\"}},"
            "{\"key\":\"empty\",\"value\":{\"stringValue\":\"\"}},{\"key\":\"raw\",\"value\":{"
            "\"bytesValue\":\"AP8=\"}},"
            "{\"key\":\"array\",\"value\":{\"arrayValue\":{\"values\":[{\"intValue\":\"7\"},{},{"
            "\"arrayValue\":{\"values\":[{\"stringValue\":\"x\"}]}}]}}},"
            "{\"key\":\"map\",\"value\":{\"kvlistValue\":{\"values\":[{\"key\":\"k\",\"value\":{"
            "\"boolValue\":true}}]}}},"
            "{\"key\":\"bad\xEF\xBF\xBD\",\"value\":{\"stringValue\":\"a\xEF\xBF\xBD("
            "\xEF\xBF\xBD\xEF\xBF\xBD\"}},"
            "{\"key\":\"bad\xEF\xBF\xBD\",\"value\":{\"stringValue\":\"<\\u0001\\\"\\n>\"}}],"
            "\"droppedAttributesCount\":1,"
            "\"events\":[{\"timeUnixNano\":\"7\",\"name\":\"e\",\"attributes\":[{\"key\":\"none\","
            "\"value\":{}}],\"droppedAttributesCount\":6},{}],"
            "\"droppedEventsCount\":4,\"links\":[{\"traceId\":\"MDEyMzQ1Njc4OWFiY2RlZg==\","
            "\"spanId\":\"MDEyMzQ1Njc=\",\"traceState\":\"s\","
            "\"attributes\":[{\"key\":\"no\",\"value\":{\"boolValue\":false}}],"
            "\"droppedAttributesCount\":8,\"flags\":9}],\"droppedLinksCount\":5,"
            "\"status\":{\"message\":\"boom\",\"code\":-1},\"flags\":257}],\"schemaUrl\":\"u2\"}],"
            "\"schemaUrl\":\"u1\"}]}",
            "every field and every kind of value in JSON");
    // The same bytes that the store would write, but for text that is no UTF-8.
    span.attributes.count -= 2;
    struct buf stored, answered;
    buf_init(&stored, 0);
    buf_init(&answered, 0);
    span_put(&stored, &span);
    struct slice whole = encoded(&t, v1_bytes);
    struct span back;
    struct pb outer = pb_of(whole), inner, scopes;
    struct pb_field f;
    struct err err;
    ok(pb_next(&outer, &f) && f.number == 1, "one ResourceSpans");
    inner = pb_of(f.bytes);
    ok(pb_next(&inner, &f) && f.number == 1 && pb_next(&inner, &f) && f.number == 2,
       "its resource and scope");
    scopes = pb_of(f.bytes);
    ok(pb_next(&scopes, &f) && f.number == 1 && pb_next(&scopes, &f) && f.number == 2, "and span");
    must(span_parse(f.bytes, &arena, &back, &err), &err);
    span_put(&answered, &back);
    ok(slice_eq(buf_slice(&stored), buf_slice(&answered)), "the answer's span is the stored one");
    span.attributes.count += 2;
    ok(slice_find(encoded(&t, v1_bytes), SLICE("\x0a\x0b"
                                               "a\xEF\xBF\xBD(\xEF\xBF\xBD\xEF\xBF\xBD")) !=
           SIZE_MAX,
       "text in protobuf is UTF-8");
    buf_done(&events);
    buf_done(&links);
    buf_done(&stored);
    buf_done(&answered);
}

// Both sides of the limit, which is measured in protobuf whatever the answer's form.
static void test_limit(void)
{
    struct span spans[3] = {
        {.name = SLICE("one")}, {.name = SLICE("two")}, {.name = SLICE("three")}};
    struct span_resource resource = {0};
    struct span_scope scope = {0};
    struct trace t = one_group(&resource, &scope, spans, 3);
    struct encode_trace_options o = v2_json;
    struct err err;
    struct buf b;
    buf_init(&b, 0);
    o.bytes_max = 1;
    struct slice none = encoded(&t, o);
    ok(slice_find(none, SLICE("\"status\":\"PARTIAL\",\"message\":\"Trace exceeds maximum size of "
                              "1 bytes, a partial trace is returned\"")) != SIZE_MAX &&
           slice_find(none, SLICE("\"name\":")) == SIZE_MAX,
       "no span fits into one byte, and the answer says so");
    uint64_t enough = 0;
    for (o.bytes_max = 2; enough == 0 && o.bytes_max < 1000; o.bytes_max++) {
        struct slice text = encoded(&t, o);
        if (slice_find(text, SLICE("PARTIAL")) == SIZE_MAX)
            enough = o.bytes_max;
        else if (slice_find(text, SLICE("three")) != SIZE_MAX)
            ok(false, "an answer with the last span is not partial");
    }
    ok(enough >= encoded(&t, v1_bytes).len - 4 && enough <= encoded(&t, v1_bytes).len + 20,
       "the limit is of protobuf");
    ok(encoded(&t, (struct encode_trace_options){.bytes_max = enough}).len > 0,
       "version 1 at the limit");
    ok(!encode_trace(&b, &t, &(struct encode_trace_options){.bytes_max = enough - 1}, &arena,
                     &err) &&
           err.code == ERR_TOO_LARGE,
       "version 1 below it cannot say that it is partial");
    is_text(slice_cstr(err.text),
            arena_printf(&arena, "trace exceeds max size (max bytes: %llu)",
                         (unsigned long long)enough - 1),
            "and refuses");
    const char *warnings[] = {"segment 3 is damaged"};
    t.warnings = (struct trace_warnings){warnings, 1};
    ok(slice_find(encoded(&t, v2_json),
                  SLICE("\"status\":\"PARTIAL\",\"message\":\"segment 3 is damaged\"}")) !=
           SIZE_MAX,
       "what is missing for damage is said");
    buf_done(&b);
}

static struct slice encoded_search(const struct trace_search_result *r, enum encode_form form)
{
    struct buf b;
    buf_init(&b, 0);
    encode_trace_search(&b, r, true, form);
    struct slice copy = arena_copy(&arena, buf_slice(&b));
    buf_done(&b);
    return copy;
}

static void test_search(void)
{
    struct span_attribute first[] = {int_attribute("code", 200), text_attribute("status", "error"),
                                     int_attribute("n", 1)};
    struct span_attribute second[] = {text_attribute("code", "5xx"),
                                      {SLICE("n"), {.kind = VALUE_DOUBLE, .number = 1.5}}};
    struct span_attribute count = int_attribute("count()", 3);
    struct found_span spans[] = {{.span_id = {1, 2, 3, 4, 5, 6, 7, 8},
                                  .name = SLICE("GET /x"),
                                  .start_ns = T0,
                                  .duration_ns = 250000000,
                                  .attributes = {first, 3}},
                                 {.span_id = {0}, .attributes = {second, 2}}};
    struct found_set set = {spans, 2, 3, {&count, 1}};
    struct found_service services[] = {{SLICE("cart"), 2, 1}, {SLICE("shop"), 1, 0}};
    struct found_trace traces[] = {{.root_service = SLICE("cart"),
                                    .root_name = SLICE("GET /x"),
                                    .start_ns = T0,
                                    .duration_ns = 999999,
                                    .sets = &set,
                                    .sets_count = 1,
                                    .services = services,
                                    .services_count = 2},
                                   {.root_service = SLICE("<root span not yet received>"),
                                    .start_ns = T0 - 1,
                                    .duration_ns = 250999999}};
    traces[0].trace_id[15] = 0xff;
    struct trace_search_result r = {
        .traces = traces,
        .traces_count = 2,
        .stats = {.traces = 2, .spans = 9, .bytes = 1024, .blocks = 5, .blocks_pruned = 3}};
    is_text(encoded_search(&r, ENCODE_JSON),
            "{\"traces\":[{\"traceID\":\"000000000000000000000000000000ff\",\"rootServiceName\":"
            "\"cart\",\"rootTraceName\":\"GET /x\","
            "\"startTimeUnixNano\":\"1700000000000000000\",\"spanSets\":[{\"spans\":[{\"spanID\":"
            "\"0102030405060708\",\"name\":\"GET /x\","
            "\"startTimeUnixNano\":\"1700000000000000000\",\"durationNanos\":\"250000000\","
            "\"attributes\":[{\"key\":\"code\",\"value\":"
            "{\"intValue\":\"200\"}},{\"key\":\"status\",\"value\":{\"stringValue\":\"error\"}},{"
            "\"key\":\"n\",\"value\":{\"intValue\":\"1\"}}]},"
            "{\"spanID\":\"0000000000000000\",\"attributes\":[{\"key\":\"code\",\"value\":{"
            "\"stringValue\":\"5xx\"}},{\"key\":\"n\",\"value\":{\"doubleValue\":1.5}}]}],"
            "\"matched\":3,\"attributes\":[{\"key\":\"count()\","
            "\"value\":{\"intValue\":\"3\"}}]}],\"serviceStats\":{\"cart\":{\"spanCount\":2,"
            "\"errorCount\":1},\"shop\":{\"spanCount\":1}}},"
            "{\"traceID\":\"00000000000000000000000000000000\",\"rootServiceName\":\"<root span "
            "not yet received>\","
            "\"startTimeUnixNano\":\"1699999999999999999\",\"durationMs\":250}],\"metrics\":{"
            "\"inspectedTraces\":2,\"inspectedBytes\":\"1024\","
            "\"totalBlocks\":5,\"completedJobs\":2,\"totalJobs\":2}}",
            "a search's answer: zeros are left out");
    struct slice bytes = encoded_search(&r, ENCODE_PROTOBUF);
    ok(slice_find(bytes, from_hex("42"
                                  "0c"
                                  "0a04"
                                  "63617274"
                                  "1204"
                                  "0802"
                                  "1001")) != SIZE_MAX,
       "statistics of services are a map");
    struct buf b;
    buf_init(&b, 0);
    encode_trace_search(&b, &r, false, ENCODE_JSON);
    ok(slice_find(buf_slice(&b), SLICE("\"name\"")) == SIZE_MAX,
       "names that nobody asked for are left out");
    spans[0].name_asked = true;
    buf_reset(&b);
    encode_trace_search(&b, &r, false, ENCODE_JSON);
    ok(slice_find(buf_slice(&b), SLICE("\"name\":\"GET /x\"")) != SIZE_MAX,
       "those that are asked for are not");
    buf_done(&b);
    struct trace_search_result none = {.warnings = {(const char *[]){"damaged"}, 1}};
    is_text(encoded_search(&none, ENCODE_JSON), "{\"traces\":[],\"metrics\":{\"totalJobs\":1}}",
            "what is missing is a job that was not completed");
    is_text(to_hex(encoded_search(&none, ENCODE_PROTOBUF)), "12022801", "and in protobuf");
}

static void test_metrics(void)
{
    struct span_attribute label = text_attribute("resource.service.name", "cart"),
                          id = text_attribute("trace:id", "ff");
    struct trace_sample samples[] = {{1700000060000, 1.5}, {1700000120000, 0}};
    struct trace_exemplar exemplar = {{&id, 1}, 0.25, 1700000030000};
    struct trace_series series = {{&label, 1}, samples, 2, &exemplar, 1};
    struct trace_metrics_result r = {
        .series = &series, .series_count = 1, .stats = {.traces = 10, .spans = 30, .bytes = 4096}};
    struct trace_metrics_options o = {.series_max = 7};
    struct buf b;
    buf_init(&b, 0);
    encode_trace_metrics(&b, &r, &o);
    is_text(buf_slice(&b),
            "{\"series\":[{\"labels\":[{\"key\":\"resource.service.name\",\"value\":{"
            "\"stringValue\":\"cart\"}}],\"samples\":[{\"value\":1.5,"
            "\"timestampMs\":\"1700000060000\"},{\"timestampMs\":\"1700000120000\"}],\"exemplars\":"
            "[{\"labels\":[{\"key\":\"trace:id\",\"value\":"
            "{\"stringValue\":\"ff\"}}],\"value\":0.25,\"timestampMs\":\"1700000030000\"}]}],"
            "\"metrics\":{\"inspectedTraces\":10,"
            "\"inspectedBytes\":\"4096\",\"inspectedSpans\":\"30\"}}",
            "a range");
    buf_reset(&b);
    o.instant = true;
    r.partial = true;
    encode_trace_metrics(&b, &r, &o);
    is_text(buf_slice(&b),
            "{\"series\":[{\"labels\":[{\"key\":\"resource.service.name\",\"value\":{"
            "\"stringValue\":\"cart\"}}],\"value\":1.5}],\"metrics\":"
            "{\"inspectedTraces\":10,\"inspectedBytes\":\"4096\"},\"status\":\"PARTIAL\","
            "\"message\":\"Response exceeds maximum series limit of 7, "
            "a partial response is returned. Warning: the accuracy of each individual value is not "
            "guaranteed.\"}",
            "an instant, cut");
    buf_reset(&b);
    encode_trace_metrics(&b, &(struct trace_metrics_result){0}, &o);
    is_text(buf_slice(&b), "{\"metrics\":{}}", "no series");
    buf_done(&b);
}

static void test_names(void)
{
    struct slice resource[] = {SLICE("host"), SLICE("service.name")},
                 span[] = {SLICE("host"), SLICE("http.route")};
    struct trace_tags tags = {
        .names = {[TRACE_SCOPE_RESOURCE] = resource, [TRACE_SCOPE_SPAN] = span},
        .counts = {[TRACE_SCOPE_RESOURCE] = 2, [TRACE_SCOPE_SPAN] = 2}};
    struct buf b;
    struct err err;
    buf_init(&b, 0);
    encode_trace_tags(&b, &tags, false, ENCODE_JSON);
    is_text(buf_slice(&b),
            "{\"scopes\":[{\"name\":\"resource\",\"tags\":[\"host\",\"service.name\"]},{\"name\":"
            "\"span\",\"tags\":"
            "[\"host\",\"http.route\"]}],\"metrics\":{}}",
            "names by scope");
    buf_reset(&b);
    encode_trace_tags(&b, &(struct trace_tags){0}, false, ENCODE_PROTOBUF);
    is_text(to_hex(buf_slice(&b)), "1200", "none, in protobuf");
    buf_reset(&b);
    encode_trace_tags(&b, &(struct trace_tags){0}, true, ENCODE_JSON);
    ok(slice_starts(
           buf_slice(&b),
           SLICE("{\"scopes\":[{\"name\":\"intrinsic\",\"tags\":[\"duration\",\"event:name\",")),
       "intrinsics");
    buf_reset(&b);
    must(encode_trace_tags_flat(&b, &tags, false, 2, ENCODE_JSON, &arena, &err), &err);
    is_text(buf_slice(&b), "{\"tagNames\":[\"host\",\"http.route\"],\"metrics\":{}}",
            "names of all scopes, each once, at most two");
    buf_reset(&b);
    struct trace_tag_value items[] = {
        {"int", SLICE("200")}, {"string", SLICE("")}, {"string", SLICE("cart")}};
    struct trace_tag_values values = {.items = items, .count = 3};
    encode_trace_values(&b, &values, true, ENCODE_JSON);
    is_text(buf_slice(&b),
            "{\"tagValues\":[{\"type\":\"int\",\"value\":\"200\"},{\"type\":\"string\"},{\"type\":"
            "\"string\",\"value\":\"cart\"}],"
            "\"metrics\":{}}",
            "values with types");
    buf_reset(&b);
    encode_trace_values(&b, &values, false, ENCODE_PROTOBUF);
    is_text(to_hex(buf_slice(&b)), "0a033230300a000a04636172741200", "values alone, in protobuf");
    buf_done(&b);
}

int main(void)
{
    arena_init(&arena, 16 * MIB);
    test_vectors();
    test_always_there();
    test_values();
    test_limit();
    test_search();
    test_metrics();
    test_names();
    arena_done(&arena);
    return tap_done();
}
