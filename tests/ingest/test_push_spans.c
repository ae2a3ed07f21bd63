/*
 * test_push_spans.c -- span pushes from headers and body to their answers and into the store: every API and encoding, every
 * status; pushed = stored + rejected + deduplicated; and after a restart the log gives back the same.
 */
#include "spans_text.h"
#include "tap.h"

#include "base/codec.h"
#include "base/fs.h"
#include "base/hex.h"
#include "base/limits.h"
#include "base/metric.h"
#include "ingest/ingest.h"

#include <errno.h>
#include <inttypes.h>
#include <lz4frame.h>
#include <stdio.h>
#include <stdlib.h>
#include <zlib.h>

#define JSON "application/json"
#define PROTOBUF "application/x-protobuf"
#define THRIFT "application/x-thrift"

static char dir[512];

static struct store *open_store(void)
{
    struct err err;
    struct store *st;
    struct store_options options = {.dir = dir, .decode = ingest_decode, .sync_off = true};
    must(store_open(&options, &st, &err), &err);
    return st;
}

static void new_dir(const char *name)
{
    (void)snprintf(dir, sizeof dir, "%s/%s", tap_dir(), name);
}

struct answer {
    int status, retry_after_s;
    char type[64], body[1024];
};

static struct answer push_for(struct store *st, struct slice tenant, enum push_api api, const char *type, const char *encoding,
                              struct slice body)
{
    struct arena a;
    struct push_answer got;
    struct answer out = {0};
    struct ingest_options options = {0};
    struct push_request request = {.api = api,
                                   .tenant = tenant,
                                   .content_type = slice_cstr(type),
                                   .content_encoding = slice_cstr(encoding),
                                   .body = body};
    arena_init(&a, INGEST_ARENA_BYTES_MAX);
    ingest_push(st, &options, &request, &a, &got);
    out.status = got.status;
    out.retry_after_s = got.retry_after_s;
    (void)snprintf(out.type, sizeof out.type, "%s", got.content_type != NULL ? got.content_type : "");
    for (size_t i = 0; i < got.body.len && 2 * i + 2 < sizeof out.body; i++) // protobuf as hex
        (void)snprintf(out.body + (got.body.ptr[0] < ' ' ? 2 * i : i), 3, got.body.ptr[0] < ' ' ? "%02x" : "%c", got.body.ptr[i]);
    arena_done(&a);
    return out;
}

static struct answer push(struct store *st, enum push_api api, const char *type, const char *encoding, struct slice body)
{
    return push_for(st, SLICE("t"), api, type, encoding, body);
}

// The spans of a trace, ` ; ` between them.
static void read_trace(struct store *st, struct slice tenant, const char *hex, struct buf *out)
{
    struct arena a;
    struct err err;
    struct view *view;
    struct view_trace trace;
    uint8_t trace_id[TRACE_ID_BYTES];
    ok(hex_decode(slice_cstr(hex), trace_id, sizeof trace_id), "a trace ID");
    arena_init(&a, 64 * MIB);
    must(view_begin(st, tenant, &view, &err), &err);
    must(view_trace(view, trace_id, &a, &trace, &err), &err);
    buf_reset(out);
    for (uint32_t i = 0; i < trace.spans_count; i++) {
        buf_put_cstr(out, i > 0 ? " ; " : "");
        span_text(out, &trace.spans[i], &a);
    }
    view_end(view);
    arena_done(&a);
}

static void is_trace(struct store *st, const char *hex, const char *want, const char *name)
{
    AUTO(buf_done) struct buf got;
    buf_init(&got, 0);
    read_trace(st, SLICE("t"), hex, &got);
    is_text(buf_slice(&got), want, name);
}

// --- bodies -----------------------------------------------------------------------------------------

#define SPAN(trace, span) "{\"traceId\":\"" trace "\",\"spanId\":\"" span "\",\"name\":\"op\"}"
#define REQUEST(spans)                                                                                                     \
    "{\"resourceSpans\":[{\"resource\":{\"attributes\":[{\"key\":\"service.name\",\"value\":{\"stringValue\":\"cart\"}}]}," \
    "\"scopeSpans\":[{\"spans\":[" spans "]}]}]}"
#define TRACE(n) "000000000000000000000000000000" n
#define STORED(n) TRACE(n) "/0000000000000001 0..0 name \"op\" of {service.name=\"cart\"}"

static const char zipkin[] = "[{\"traceId\":\"a1\",\"id\":\"1\",\"name\":\"op\",\"timestamp\":5,\"localEndpoint\":{\"serviceName\":\"cart\"}}]";
static const char zipkin_v1[] = "[{\"traceId\":\"00000000000000a2\",\"id\":\"1\",\"name\":\"op\",\"timestamp\":5}]";

// ListOfSpans of zipkin.proto3.
static void put_zipkin_pb(struct buf *b)
{
    AUTO(buf_done) struct buf span;
    buf_init(&span, 0);
    buf_put_slice(&span, SLICE("\x0a\x08\0\0\0\0\0\0\0\xa3\x1a\x08\0\0\0\0\0\0\0\1\x20\x02\x2a\x02op\x31\x05\0\0\0\0\0\0\0\x38\x07"));
    buf_put_slice(&span, SLICE("\x42\x10\x0a\x04" "cart\x12\x04\x0a\0\0\1\x20\x50\x1a\0"));
    buf_put_slice(&span, SLICE("\x52\x0c\x09\x06\0\0\0\0\0\0\0\x12\x01" "e\x5a\x06\x0a\x01k\x12\x01v"));
    put_varint(b, 1 << 3 | 2);
    put_prefixed(b, buf_slice(&span));
}

// A Batch: process "cart", one span of trace a4.
static const char thrift[] = "\x0c\0\1\x0b\0\1\0\0\0\4cart\0\x0f\0\2\x0c\0\0\0\1\x0a\0\1\0\0\0\0\0\0\0\xa4\x0a\0\2\0\0\0\0\0\0\0\0"
                             "\x0a\0\3\0\0\0\0\0\0\0\1\x0b\0\5\0\0\0\2op\0\0";

static void put_otlp_pb(struct buf *b, const char *hex, uint8_t span_id)
{
    AUTO(buf_done) struct buf message, scope, resource;
    struct span span = {.name = SLICE("op"), .span_id = {0, 0, 0, 0, 0, 0, 0, span_id}};
    buf_init(&message, 0);
    buf_init(&scope, 0);
    buf_init(&resource, 0);
    if (!hex_decode(slice_cstr(hex), span.trace_id, TRACE_ID_BYTES))
        abort();
    span_put(&message, &span);
    put_varint(&scope, 2 << 3 | 2);
    put_prefixed(&scope, buf_slice(&message));
    buf_put_slice(&resource, SLICE("\x0a\x18\x0a\x16\x0a\x0cservice.name\x12\x06\x0a\x04" "cart"));
    put_varint(&resource, 2 << 3 | 2);
    put_prefixed(&resource, buf_slice(&scope));
    put_varint(b, 1 << 3 | 2);
    put_prefixed(b, buf_slice(&resource));
}

// --- encodings --------------------------------------------------------------------------------------

enum { GZIP_BITS = 15 + 16, ZLIB_BITS = 15, RAW_BITS = -15 };

static void put_deflated(struct buf *b, struct slice in, int bits)
{
    uint8_t out[4096];
    z_stream z = {.next_in = (Bytef *)(uintptr_t)in.ptr, .avail_in = (uInt)in.len, .next_out = out, .avail_out = sizeof out};
    if (deflateInit2(&z, 6, Z_DEFLATED, bits, 8, Z_DEFAULT_STRATEGY) != Z_OK || deflate(&z, Z_FINISH) != Z_STREAM_END)
        abort();
    buf_put(b, out, sizeof out - z.avail_out);
    (void)deflateEnd(&z);
}

static void put_lz4(struct buf *b, struct slice in)
{
    uint8_t out[8192];
    size_t len = LZ4F_compressFrame(out, sizeof out, in.ptr, in.len, NULL);
    if (LZ4F_isError(len))
        abort();
    buf_put(b, out, len);
}

// A zstd frame of one raw block (RFC 8878).
static void put_zstd(struct buf *b, struct slice in)
{
    uint8_t size[4], block[4];
    le_put_u32(size, (uint32_t)in.len);
    le_put_u32(block, (uint32_t)in.len << 3 | 1);
    buf_put_slice(b, SLICE("\x28\xb5\x2f\xfd\xa0"));
    buf_put(b, size, 4);
    buf_put(b, block, 3);
    buf_put_slice(b, in);
}

static void test_encodings(void)
{
    struct slice body = slice_cstr(REQUEST(SPAN(TRACE("e1"), "0000000000000001")));
    AUTO(buf_done) struct buf packed;
    buf_init(&packed, 0);
    new_dir("encodings");
    struct store *st = open_store();
    metric_reset();
    is_int(push(st, PUSH_API_SPANS, JSON, "", body).status, 200, "plain");
    is_int(push(st, PUSH_API_SPANS, JSON, "identity", body).status, 200, "identity");
    put_deflated(&packed, body, GZIP_BITS);
    is_int(push(st, PUSH_API_SPANS, JSON, "gzip", buf_slice(&packed)).status, 200, "gzip");
    is_int(push(st, PUSH_API_SPANS, JSON, "GZIP", buf_slice(&packed)).status, 200, "capitals");
    is_int(push(st, PUSH_API_SPANS, JSON, "gzip", slice_of(packed.ptr, packed.len - 9)).status, 400, "gzip that was cut");
    buf_reset(&packed);
    put_deflated(&packed, slice_of(body.ptr, 30), GZIP_BITS);
    put_deflated(&packed, slice_from(body, 30), GZIP_BITS);
    is_int(push(st, PUSH_API_SPANS, JSON, "gzip", buf_slice(&packed)).status, 200, "two members");
    buf_reset(&packed);
    put_deflated(&packed, body, ZLIB_BITS);
    is_int(push(st, PUSH_API_SPANS, JSON, "deflate", buf_slice(&packed)).status, 200, "deflate is zlib");
    is_int(push(st, PUSH_API_SPANS, JSON, "zlib", buf_slice(&packed)).status, 200, "zlib");
    buf_reset(&packed);
    put_deflated(&packed, body, RAW_BITS);
    is_int(push(st, PUSH_API_SPANS, JSON, "deflate", buf_slice(&packed)).status, 400, "raw deflate");
    buf_reset(&packed);
    put_zstd(&packed, body);
    is_int(push(st, PUSH_API_SPANS, JSON, "zstd", buf_slice(&packed)).status, 200, "zstd");
    buf_reset(&packed);
    put_lz4(&packed, body);
    is_int(push(st, PUSH_API_SPANS, JSON, "lz4", buf_slice(&packed)).status, 200, "lz4");
    struct answer odd = push(st, PUSH_API_SPANS, JSON, "br", body);
    is_int(odd.status, 400, "an unknown encoding");
    is_text(slice_cstr(odd.body), "{\"code\":3,\"message\":\"unsupported Content-Encoding: br\"}", "what it is told");
    is_int(metric_value(COUNTER_SPANS_STORED), 1, "the span is stored once");
    is_int(metric_value(COUNTER_SPANS_DEDUPLICATED), metric_value(COUNTER_SPANS_PUSHED) - 1, "and deduplicated otherwise");
    store_close(st);
    st = open_store();
    is_trace(st, TRACE("e1"), STORED("e1"), "every encoding is replayed");
    store_close(st);
}

// --- answers ----------------------------------------------------------------------------------------

struct expectation {
    enum push_api api;
    const char *type;
    struct slice body;
    int status;
    const char *answer_type, *answer;
};

static void run_expectations(struct store *st, const struct expectation *table, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct answer got = push(st, table[i].api, table[i].type, "", table[i].body);
        is_int(got.status, table[i].status, table[i].answer);
        is_text(slice_cstr(got.type), table[i].answer_type, "its type");
        is_text(slice_cstr(got.body), table[i].answer, "its text");
    }
}

#define TEXT "text/plain; charset=utf-8"
#define UNSUPPORTED "415 unsupported media type, supported: [application/json, application/x-protobuf]"
#define BAD_TRACE "trace ids must be 128 bit, received 0 bits"

static void test_answers(void)
{
    AUTO(buf_done) struct buf good, bad, mixed;
    buf_init(&good, 0);
    buf_init(&bad, 0);
    buf_init(&mixed, 0);
    put_otlp_pb(&good, TRACE("b1"), 1);
    put_otlp_pb(&bad, TRACE("00"), 1);
    put_otlp_pb(&mixed, TRACE("b1"), 2);
    put_otlp_pb(&mixed, TRACE("00"), 1);
    new_dir("answers");
    struct store *st = open_store();
    const struct expectation table[] = {
        {PUSH_API_SPANS, PROTOBUF, buf_slice(&good), 200, PROTOBUF, ""},
        {PUSH_API_SPANS, "Application/X-Protobuf; a=b", buf_slice(&good), 200, PROTOBUF, ""},
        {PUSH_API_SPANS, PROTOBUF, SLICE(""), 200, PROTOBUF, ""},
        {PUSH_API_SPANS, PROTOBUF, buf_slice(&bad), 400, PROTOBUF,
         "0803122a" "747261636520696473206d75737420626520313238206269742c20726563656976656420302062697473"},
        {PUSH_API_SPANS, PROTOBUF, buf_slice(&mixed), 200, PROTOBUF,
         "0a2e0801122a" "747261636520696473206d75737420626520313238206269742c20726563656976656420302062697473"},
        {PUSH_API_SPANS, PROTOBUF, SLICE("\x0a\x05"), 400, PROTOBUF, "0803120e" "756e657870656374656420454f46"},
        {PUSH_API_SPANS, JSON, SLICE("{}"), 200, JSON, "{}"},
        {PUSH_API_SPANS, "application/JSON;charset=utf-8", SLICE("{}"), 200, JSON, "{}"},
        {PUSH_API_SPANS, JSON, SLICE(""), 400, JSON, "{\"code\":3,\"message\":\"expected an object at byte 0\"}"},
        {PUSH_API_SPANS, JSON, slice_cstr(REQUEST(SPAN("", "0000000000000001"))), 400, JSON,
         "{\"code\":3,\"message\":\"" BAD_TRACE "\"}"},
        {PUSH_API_SPANS, JSON, slice_cstr(REQUEST(SPAN(TRACE("b1"), "0000000000000003") "," SPAN("", "01" "00000000000000") ",null")),
         200, JSON, "{\"partialSuccess\":{\"rejectedSpans\":\"2\",\"errorMessage\":\"2 errors like: " BAD_TRACE "\"}}"},
        {PUSH_API_SPANS, "text/plain", SLICE("{}"), 415, TEXT, UNSUPPORTED},
        {PUSH_API_SPANS, "application/protobuf", buf_slice(&good), 415, TEXT, UNSUPPORTED},
        {PUSH_API_SPANS, "", SLICE("{}"), 415, TEXT, UNSUPPORTED},
        {PUSH_API_ZIPKIN, JSON, slice_cstr(zipkin), 202, "", ""},
        {PUSH_API_ZIPKIN, "", slice_cstr(zipkin), 202, "", ""},
        {PUSH_API_ZIPKIN, "text/plain", SLICE("[]"), 202, "", ""},
        {PUSH_API_ZIPKIN, JSON, SLICE("[{\"traceId\":\"1\"}]"), 400, TEXT, "valid span id required\n"},
        {PUSH_API_ZIPKIN, PROTOBUF, SLICE(""), 202, "", ""},
        {PUSH_API_ZIPKIN, PROTOBUF, SLICE("\x0a"), 400, TEXT, "unexpected EOF\n"},
        {PUSH_API_ZIPKIN_V1, JSON, slice_cstr(zipkin_v1), 202, "", ""},
        {PUSH_API_ZIPKIN_V1, JSON, SLICE("x"), 400, TEXT, "zipkinv1: expected an array at byte 0\n"},
        {PUSH_API_JAEGER, THRIFT, slice_of(thrift, sizeof thrift - 1), 202, "", ""},
        {PUSH_API_JAEGER, "application/vnd.apache.thrift.binary;a=b", slice_of(thrift, sizeof thrift - 1), 202, "", ""},
        {PUSH_API_JAEGER, THRIFT, SLICE("x"), 400, TEXT, "Unable to process request body: unexpected EOF\n"},
        {PUSH_API_JAEGER, "text/plain; a=b", SLICE("x"), 400, TEXT, "Unsupported content type: text/plain\n"},
        {PUSH_API_JAEGER, "", SLICE("x"), 400, TEXT, "Cannot parse content type: mime: no media type\n"},
    };
    run_expectations(st, table, COUNT_OF(table));
    store_close(st);
}

static void test_refusals_before_ingest(void)
{
    static const struct {
        int status;
        const char *json;
    } table[] = {
        {400, "{\"code\":3,\"message\":\"x\"}"},  {401, "{\"code\":16,\"message\":\"x\"}"}, {403, "{\"code\":7,\"message\":\"x\"}"},
        {413, "{\"code\":3,\"message\":\"x\"}"},  {429, "{\"code\":8,\"message\":\"x\"}"},  {500, "{\"code\":13,\"message\":\"x\"}"},
        {503, "{\"code\":14,\"message\":\"x\"}"}, {404, "x"},                               {405, "x"},
    };
    struct arena a;
    struct push_answer got;
    arena_init(&a, MIB);
    for (size_t i = 0; i < COUNT_OF(table); i++) {
        push_refuse(PUSH_API_SPANS, SLICE(JSON), table[i].status, SLICE("x"), &a, &got);
        is_text(got.body, table[i].json, "a refusal");
        is_int(got.status, table[i].status, "its status");
        ok((got.retry_after_s > 0) == (table[i].status == 503), "told to come again or not");
    }
    push_refuse(PUSH_API_ZIPKIN, SLICE(JSON), 401, SLICE("no org id"), &a, &got);
    is_text(got.body, "no org id\n", "Zipkin reads text");
    arena_done(&a);
}

static void test_a_failing_store(void)
{
    new_dir("failing");
    struct store *st = open_store();
    metric_reset();
    fs_fail_at(1, ENOSPC, true);
    struct answer otlp = push(st, PUSH_API_SPANS, JSON, "", slice_cstr(REQUEST(SPAN(TRACE("c1"), "0000000000000001"))));
    struct answer jaeger = push(st, PUSH_API_JAEGER, THRIFT, "", slice_of(thrift, sizeof thrift - 1));
    fs_fail_at(0, 0, false);
    is_int(otlp.status, 503, "a full disk");
    ok(otlp.retry_after_s > 0 && strstr(otlp.body, "{\"code\":14,\"message\":\"") == otlp.body, "try again: %s", otlp.body);
    is_int(jaeger.status, 503, "likewise");
    ok(strstr(jaeger.body, "Cannot submit Jaeger batch: ") == jaeger.body, "in Jaeger's words: %s", jaeger.body);
    is_int(metric_value(COUNTER_SPANS_PUSHED), 2, "pushed");
    is_int(metric_value(COUNTER_SPANS_REJECTED_STORE), 2, "rejected by the store");
    store_close(st);
}

// A gzip member that unpacks to `{}` and blanks up to the limit.
static void put_largest(struct buf *b)
{
    enum { PACKED_BYTES = 4 << 20 };
    uint8_t *blanks = malloc(INGEST_DECODED_BYTES_MAX), *out = buf_reserve(b, PACKED_BYTES);
    memset(blanks, ' ', INGEST_DECODED_BYTES_MAX);
    memcpy(blanks, "{}", 2);
    z_stream z = {.next_in = blanks, .avail_in = (uInt)INGEST_DECODED_BYTES_MAX, .next_out = out, .avail_out = PACKED_BYTES};
    if (deflateInit2(&z, 1, Z_DEFLATED, GZIP_BITS, 8, Z_DEFAULT_STRATEGY) != Z_OK || deflate(&z, Z_FINISH) != Z_STREAM_END)
        abort();
    b->len += PACKED_BYTES - z.avail_out;
    (void)deflateEnd(&z);
    free(blanks);
}

// A body that unpacks to the limit, and over it by a member of one byte.
static void test_too_large(void)
{
    AUTO(buf_done) struct buf packed, over;
    buf_init(&packed, 0);
    buf_init(&over, 0);
    put_largest(&packed);
    put_deflated(&over, SLICE(" "), GZIP_BITS);
    buf_put_slice(&over, buf_slice(&packed));
    new_dir("large");
    struct store *st = open_store();
    is_int(push(st, PUSH_API_SPANS, JSON, "gzip", buf_slice(&packed)).status, 200, "unpacked to the limit");
    struct answer got = push(st, PUSH_API_SPANS, JSON, "gzip", buf_slice(&over));
    is_int(got.status, 413, "unpacked to one byte more");
    ok(strstr(got.body, "{\"code\":3,\"message\":\"request body too large") == got.body, "it is told so: %s", got.body);
    store_close(st);
}

// --- storing ----------------------------------------------------------------------------------------

static const char *const stored[][2] = {
    {TRACE("a0"), STORED("a0")},
    {TRACE("a1"), TRACE("a1") "/0000000000000001 5000..5000 name \"op\" of {service.name=\"cart\"}"},
    {TRACE("a2"), TRACE("a2") "/0000000000000001 5000..5000 name \"op\" of {service.name=\"unknown-service\"}"},
    {TRACE("a3"), TRACE("a3") "/0000000000000001 5000..12000 name \"op\" kind 2 {k=\"v\",net.host.ip=\"10.0.0.1\",net.host.port=80}"
                              " event(6000 name \"e\") of {service.name=\"cart\"}"},
    {TRACE("a4"), STORED("a4")},
    {TRACE("a5"), STORED("a5")},
};

static void push_one_of_each(struct store *st)
{
    AUTO(buf_done) struct buf zipkin_pb, otlp_pb;
    buf_init(&zipkin_pb, 0);
    buf_init(&otlp_pb, 0);
    put_zipkin_pb(&zipkin_pb);
    put_otlp_pb(&otlp_pb, TRACE("a5"), 1);
    is_int(push(st, PUSH_API_SPANS, JSON, "", slice_cstr(REQUEST(SPAN(TRACE("a0"), "0000000000000001")))).status, 200, "JSON");
    is_int(push(st, PUSH_API_ZIPKIN, JSON, "", slice_cstr(zipkin)).status, 202, "Zipkin");
    is_int(push(st, PUSH_API_ZIPKIN_V1, JSON, "", slice_cstr(zipkin_v1)).status, 202, "Zipkin v1");
    is_int(push(st, PUSH_API_ZIPKIN, PROTOBUF, "", buf_slice(&zipkin_pb)).status, 202, "Zipkin protobuf");
    is_int(push(st, PUSH_API_JAEGER, THRIFT, "", slice_of(thrift, sizeof thrift - 1)).status, 202, "Jaeger");
    is_int(push(st, PUSH_API_SPANS, PROTOBUF, "", buf_slice(&otlp_pb)).status, 200, "protobuf");
}

static void are_stored(struct store *st, const char *when)
{
    for (size_t i = 0; i < COUNT_OF(stored); i++)
        is_trace(st, stored[i][0], stored[i][1], when);
}

static void test_every_api_is_stored_and_replayed(void)
{
    struct err err;
    new_dir("stored");
    struct store *st = open_store();
    push_one_of_each(st);
    are_stored(st, "in the head");
    store_close(st);
    st = open_store();
    are_stored(st, "replayed from the log");
    must(store_flush(st, &err), &err);
    are_stored(st, "in a segment");
    push_one_of_each(st);
    are_stored(st, "sent again, across generations");
    store_close(st);
}

static void test_counters_balance(void)
{
    new_dir("counters");
    struct store *st = open_store();
    metric_reset();
    for (int i = 0; i < 2; i++)
        push_one_of_each(st);
    (void)push(st, PUSH_API_SPANS, JSON, "", slice_cstr(REQUEST(SPAN(TRACE("d1"), "0000000000000001") "," SPAN(TRACE("d1"), "0000000000000001") "," SPAN("", "") ",null")));
    (void)push(st, PUSH_API_SPANS, JSON, "", slice_cstr(REQUEST(SPAN("", ""))));
    (void)push(st, PUSH_API_ZIPKIN, JSON, "", SLICE("[{}]")); // refused whole: nothing of it was pushed
    is_int(metric_value(COUNTER_SPANS_PUSHED), 17, "pushed");
    is_int(metric_value(COUNTER_SPANS_STORED), 7, "stored");
    is_int(metric_value(COUNTER_SPANS_DEDUPLICATED), 7, "deduplicated, within a request too");
    is_int(metric_value(COUNTER_SPANS_REJECTED_INVALID), 3, "rejected");
    is_int(metric_value(COUNTER_PUSH_INVALID), 1, "requests that could not be decoded");
    is_int(metric_value(COUNTER_ENTRIES_PUSHED), 0, "no entry");
    store_close(st);
}

static void test_tenants(void)
{
    AUTO(buf_done) struct buf got;
    buf_init(&got, 0);
    new_dir("tenants");
    struct store *st = open_store();
    (void)push_for(st, SLICE("A"), PUSH_API_SPANS, JSON, "", slice_cstr(REQUEST(SPAN(TRACE("f1"), "0000000000000001"))));
    (void)push_for(st, SLICE("B"), PUSH_API_SPANS, JSON, "", slice_cstr(REQUEST(SPAN(TRACE("f1"), "0000000000000002"))));
    read_trace(st, SLICE("A"), TRACE("f1"), &got);
    is_text(buf_slice(&got), STORED("f1"), "A sees its own");
    read_trace(st, SLICE("B"), TRACE("f1"), &got);
    is_text(buf_slice(&got), TRACE("f1") "/0000000000000002 0..0 name \"op\" of {service.name=\"cart\"}", "B its own");
    read_trace(st, SLICE("C"), TRACE("f1"), &got);
    is_text(buf_slice(&got), "", "C nothing");
    store_close(st);
}

int main(void)
{
    test_encodings();
    test_answers();
    test_refusals_before_ingest();
    test_a_failing_store();
    test_too_large();
    test_every_api_is_stored_and_replayed();
    test_counters_balance();
    test_tenants();
    return tap_done();
}
