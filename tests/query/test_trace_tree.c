/* test_trace_tree.c -- a trace and its log entries as a tree: order, circles, orphans, what lines say, both forms. */
#include "tap.h"

#include "base/clock.h"
#include "base/limits.h"
#include "query/trace/encode_tree.h"

#include <stdio.h>
#include <stdlib.h>

#define T0 INT64_C(1700000000000000000)

static struct arena arena;

static void test_lines(void)
{
#define ID "00112233445566778899aabbccddeeff"
    static const struct {
        const char *line;
        bool says;
    } table[] = {
        {"{\"trace_id\":\"" ID "\"}", true},
        {"{\"traceID\": \"" ID "\", \"a\":1}", true},
        {"{\"TraceId\" : \"" ID "\"}", true},
        {"{\"ctx\":{\"trace.id\":\"" ID "\"}}", true},
        {"{\"otelTraceID\":\"" ID "\"}", true},
        {"{\"msg\":\"{\\\"trace_id\\\":\\\"" ID "\\\"}\"}", true},
        {"level=info trace_id=" ID " msg=x", true},
        {"traceID=\"" ID "\"", true},
        {"trace-id: " ID, true},
        {"{\"traceparent\":\"00-" ID "-0102030405060708-01\"}", true},
        {"traceparent=00-" ID "-0102030405060708-01", true},
        {ID, false},
        {"got " ID " from peer", false},
        {"trace_id=" ID "0", false},
        {"trace_id=0" ID, false},
        {"parent_trace_id=" ID, false},
        {"x_trace_id=" ID, false},
        {"trace_ids=" ID, false},
        {"span_id=" ID, false},
        {"trace_id=00112233445566778899AABBCCDDEEFF", false},
        {"trace_id=10112233445566778899aabbccddeeff", false},
        {"traceparent=" ID, false},
        {"=" ID, false},
        {":\"" ID, false},
        {"", false},
        {"trace_id=10112233445566778899aabbccddeeff trace_id=" ID, true},
    };
    uint8_t id[TRACE_ID_BYTES];
    for (int i = 0; i < TRACE_ID_BYTES; i++)
        id[i] = (uint8_t)(i * 0x11);
    for (size_t i = 0; i < COUNT_OF(table); i++)
        ok(trace_line_says(slice_cstr(table[i].line), id) == table[i].says, "%s: %s", table[i].line, table[i].says ? "says it" : "does not");
    static const struct {
        const char *metadata, *line;
        uint8_t last; // of the ID 01020304050607xx; 0: none
    } spans[] = {
        {NULL, "{\"span_id\":\"0102030405060708\"}", 8},
        {NULL, "trace_id=" ID " spanID=0102030405060709", 9},
        {NULL, "parent_span_id=0102030405060709", 0},
        {NULL, "span_id=01020304050607", 0},
        {"010203040506070a", "span_id=0102030405060709", 10},
        {"xx", "span_id=0102030405060709", 0},
    };
    for (size_t i = 0; i < COUNT_OF(spans); i++) {
        uint8_t got[SPAN_ID_BYTES] = {0};
        struct label label = {SLICE("span_id"), slice_cstr(spans[i].metadata != NULL ? spans[i].metadata : "")};
        struct labels set = {&label, spans[i].metadata != NULL};
        struct trace_log log = {.line = slice_cstr(spans[i].line), .metadata = labels_encoded(&set, &arena), .labels = LABELS_EMPTY};
        bool found = trace_log_span(&log, got);
        ok(found == (spans[i].last != 0) && got[SPAN_ID_BYTES - 1] == spans[i].last, "the span of %s", spans[i].line);
    }
}

// --- trees --------------------------------------------------------------------------------------------

// A span of a service: "service id parent offset_ms duration_ms"; IDs are one byte.
struct row {
    const char *service;
    uint8_t id, parent;
    int start_ms, ms;
};

static struct trace trace_of(const struct row *rows, uint32_t count)
{
    struct trace_resource *resources = arena_zalloc(&arena, count * sizeof *resources);
    static const struct span_scope scope;
    for (uint32_t i = 0; i < count; i++) {
        struct span_resource *resource = arena_zalloc(&arena, sizeof *resource);
        struct trace_scope *s = arena_zalloc(&arena, sizeof *s);
        struct span *span = arena_zalloc(&arena, sizeof *span);
        resource->service = slice_cstr(rows[i].service);
        span->span_id[SPAN_ID_BYTES - 1] = rows[i].id;
        span->parent_id[SPAN_ID_BYTES - 1] = rows[i].parent;
        span->start_ns = (uint64_t)(T0 + rows[i].start_ms * NS_PER_MS);
        span->end_ns = span->start_ns + (uint64_t)(rows[i].ms * NS_PER_MS);
        span->name = slice_cstr(arena_printf(&arena, "s%d", rows[i].id));
        span->resource = resource;
        span->scope = &scope;
        *s = (struct trace_scope){&scope, span, 1};
        resources[i] = (struct trace_resource){resource, s, 1};
    }
    return (struct trace){.resources = resources, .resources_count = count, .spans_count = count};
}

static struct trace_tree build(const struct trace *trace, const struct trace_logs *logs)
{
    struct trace_tree tree;
    struct err err;
    must(trace_tree_build(trace, logs, &arena, &tree, &err), &err);
    return tree;
}

static void test_shapes(void)
{
    static const struct {
        const char *name;
        struct row rows[6];
        const char *want; // service(span depth ...)
    } table[] = {
        {"calls within and between services", {{"a", 1, 0, 0, 9}, {"b", 3, 2, 2, 5}, {"a", 2, 1, 1, 7}, {"b", 4, 3, 3, 1}, {"a", 5, 1, 0, 1}},
         "a(s1:0 s5:1 s2:1) b(s3:0 s4:1) "},
        {"an orphan is at the top", {{"a", 2, 9, 0, 1}}, "a(s2:0) "},
        {"its own parent", {{"a", 1, 1, 0, 1}}, "a(s1:0) "},
        {"a circle of two", {{"a", 1, 2, 0, 1}, {"a", 2, 1, 1, 1}}, "a(s1:0 s2:1) "},
        {"a circle that has a tail", {{"a", 1, 3, 0, 1}, {"a", 2, 1, 1, 1}, {"a", 3, 2, 2, 1}, {"a", 4, 3, 3, 1}}, "a(s1:0 s2:1 s3:2 s4:3) "},
        {"a circle beside a tree", {{"a", 1, 0, 0, 1}, {"a", 2, 3, 1, 1}, {"a", 3, 2, 2, 1}}, "a(s1:0 s2:0 s3:1) "},
        {"the longer one of two that start together calls", {{"a", 1, 0, 0, 1}, {"a", 2, 0, 0, 5}}, "a(s2:0 s1:0) "},
        {"services by their first span", {{"z", 1, 0, 0, 1}, {"a", 2, 1, 1, 1}, {"", 3, 1, 2, 1}}, "z(s1:0) a(s2:0) (s3:0) "},
        {"a child before its parent", {{"a", 1, 0, 5, 1}, {"a", 2, 1, 0, 1}}, "a(s1:0 s2:1) "},
        {"nothing", {{0}}, ""},
    };
    struct trace_logs none = {0};
    for (size_t i = 0; i < COUNT_OF(table); i++) {
        uint32_t count = 0;
        while (count < COUNT_OF(table[i].rows) && table[i].rows[count].service != NULL)
            count++;
        struct trace trace = trace_of(table[i].rows, count);
        struct trace_tree tree = build(&trace, &none);
        const char *got = "";
        for (uint32_t k = 0; k < tree.services_count; k++) {
            got = arena_printf(&arena, "%s%.*s(", got, SLICE_FMT(tree.services[k].name));
            for (uint32_t n = 0; n < tree.services[k].spans_count; n++)
                got = arena_printf(&arena, "%s%s%.*s:%u", got, n > 0 ? " " : "", SLICE_FMT(tree.services[k].spans[n].span->name),
                                   tree.services[k].spans[n].depth);
            got = arena_printf(&arena, "%s) ", got);
        }
        is_text(slice_cstr(got), table[i].want, table[i].name);
    }
}

// A chain as long as is shown, and one longer.
static void test_limit(void)
{
    struct trace_logs none = {0};
    for (uint32_t count = TRACE_TREE_SPANS_MAX; count <= TRACE_TREE_SPANS_MAX + 1; count++) {
        struct span *spans = arena_zalloc(&arena, count * sizeof *spans);
        static const struct span_resource resource;
        static const struct span_scope scope;
        for (uint32_t i = 0; i < count; i++) {
            uint32_t parent = i;
            spans[i] = (struct span){.start_ns = (uint64_t)T0 + i, .end_ns = (uint64_t)T0 + i + 1, .resource = &resource, .scope = &scope};
            spans[i].span_id[6] = (uint8_t)((i + 1) >> 8);
            spans[i].span_id[7] = (uint8_t)(i + 1);
            spans[i].parent_id[6] = (uint8_t)(parent >> 8);
            spans[i].parent_id[7] = (uint8_t)parent;
        }
        struct trace_scope s = {&scope, spans, count};
        struct trace_resource r = {&resource, &s, 1};
        struct trace trace = {.resources = &r, .resources_count = 1, .spans_count = count};
        struct trace_tree tree = build(&trace, &none);
        ok(tree.spans_count == TRACE_TREE_SPANS_MAX && tree.services[0].spans[tree.spans_count - 1].depth == tree.spans_count - 1,
           "a chain of %u spans", count);
        ok(count == TRACE_TREE_SPANS_MAX ? tree.warnings.count == 0
                                         : tree.warnings.count == 1 && strcmp(tree.warnings.items[0], "1 later spans are left out") == 0,
           "and whether some are left out");
    }
}

static struct slice encoded_pair(const char *name, const char *value)
{
    struct label label = {slice_cstr(name), slice_cstr(value)};
    return labels_encoded(&(struct labels){&label, 1}, &arena);
}

static void test_forms(void)
{
    static const struct row rows[] = {{"shop", 1, 0, 0, 12}, {"shop", 2, 1, 1, 5}, {"db", 3, 2, 2, 1}};
    struct trace trace = trace_of(rows, 3);
    struct span *root = (struct span *)trace.resources[0].scopes[0].spans;
    struct span_attribute attributes[] = {{SLICE("http.status_code"), {.kind = VALUE_INT, .integer = 500}},
                                          {SLICE("http.status_code"), {.kind = VALUE_INT, .integer = 1}},
                                          {SLICE("x"), {.kind = VALUE_STRING, .bytes = SLICE("a\x1b[31m\"\xff")}}};
    struct buf events;
    buf_init(&events, 0);
    span_event_put(&events, &(struct span_event){.time_ns = (uint64_t)T0 + 2000000, .name = SLICE("retry"), .attributes = {attributes, 1}});
    root->kind = KIND_SERVER;
    root->status = STATUS_ERROR;
    root->status_message = SLICE("boom\n");
    root->attributes = (struct span_attributes){attributes, 3};
    root->events = buf_slice(&events);
    struct slice shop = encoded_pair("service_name", "shop"), nginx = encoded_pair("service_name", "nginx");
    struct trace_log items[] = {
        {nginx, T0 - NS_PER_MS, SLICE("GET /\x1b]0;x\x07"), LABELS_EMPTY},
        {shop, T0 + NS_PER_MS, SLICE("in s2"), encoded_pair("span_id", "0000000000000002")},
        {shop, T0 + 2 * NS_PER_MS, SLICE("of a span that is not here"), encoded_pair("span_id", "00000000000000ff")},
    };
    struct trace_logs logs = {.items = items, .count = 3, .more = true};
    struct trace_tree tree = build(&trace, &logs);
    memset(tree.trace_id, 0xab, sizeof tree.trace_id);
    struct buf b;
    buf_init(&b, 0);
    encode_tree_text(&b, &tree, &arena);
    is_text(buf_slice(&b),
            "trace abababababababababababababababab  2023-11-14T22:13:20Z  12ms  3 spans, 3 log entries\n"
            "warning: of the log entries the first 3 are here (limit)\n"
            "\nnginx  0 spans\n"
            "  -1ms  | GET /\\x1b]0;x\\x07\n"
            "\nshop  2 spans, 1 failed\n"
            "  +0s  s1  12ms  server  ERROR boom\\n  http.status_code=500 x=\"a\\u001b[31m\\\"\xef\xbf\xbd\"\n"
            "    +2ms  * retry http.status_code=500\n"
            "    +1ms  s2  5ms\n"
            "      +1ms  | in s2\n"
            "  +2ms  | of a span that is not here\n"
            "\ndb  1 span\n"
            "  +2ms  s3  1ms\n",
            "as text, without anything that a terminal obeys");
    buf_reset(&b);
    encode_tree_json(&b, &tree, &arena);
    is_text(buf_slice(&b),
            "{\"traceID\":\"abababababababababababababababab\",\"startTimeUnixNano\":\"1700000000000000000\",\"durationNanos\":\"12000000\","
            "\"spanCount\":3,\"logCount\":3,\"services\":[{\"name\":\"nginx\",\"errorCount\":0,\"spans\":[],\"logs\":[{\"timeUnixNano\":"
            "\"1699999999999000000\",\"line\":\"GET /\\u001b]0;x\\u0007\",\"labels\":{\"service_name\":\"nginx\"},\"metadata\":{}}]},"
            "{\"name\":\"shop\",\"errorCount\":1,\"spans\":[{\"spanID\":\"0000000000000001\",\"parentSpanID\":\"\",\"depth\":0,\"name\":\"s1\","
            "\"kind\":\"server\",\"startTimeUnixNano\":\"1700000000000000000\",\"durationNanos\":\"12000000\",\"status\":\"error\","
            "\"statusMessage\":\"boom\\n\",\"attributes\":{\"http.status_code\":500,\"x\":\"a\\u001b[31m\\\"\xef\xbf\xbd\"},\"events\":["
            "{\"timeUnixNano\":\"1700000000002000000\",\"name\":\"retry\",\"attributes\":{\"http.status_code\":500}}],\"logs\":[]},"
            "{\"spanID\":\"0000000000000002\",\"parentSpanID\":\"0000000000000001\",\"depth\":1,\"name\":\"s2\",\"kind\":\"unspecified\","
            "\"startTimeUnixNano\":\"1700000000001000000\",\"durationNanos\":\"5000000\",\"status\":\"unset\",\"statusMessage\":\"\","
            "\"attributes\":{},\"events\":[],\"logs\":[{\"timeUnixNano\":\"1700000000001000000\",\"line\":\"in s2\",\"labels\":"
            "{\"service_name\":\"shop\"},\"metadata\":{\"span_id\":\"0000000000000002\"}}]}],\"logs\":[{\"timeUnixNano\":\"1700000000002000000\","
            "\"line\":\"of a span that is not here\",\"labels\":{\"service_name\":\"shop\"},\"metadata\":{\"span_id\":\"00000000000000ff\"}}]},"
            "{\"name\":\"db\",\"errorCount\":0,\"spans\":[{\"spanID\":\"0000000000000003\",\"parentSpanID\":\"0000000000000002\",\"depth\":0,"
            "\"name\":\"s3\",\"kind\":\"unspecified\",\"startTimeUnixNano\":\"1700000000002000000\",\"durationNanos\":\"1000000\",\"status\":"
            "\"unset\",\"statusMessage\":\"\",\"attributes\":{},\"events\":[],\"logs\":[]}],\"logs\":[]}],"
            "\"warnings\":[\"of the log entries the first 3 are here (limit)\"]}\n",
            "as JSON");
    // Times at the ends of what there is.
    struct trace_log far[] = {{nginx, INT64_MIN, SLICE("a"), LABELS_EMPTY}, {nginx, INT64_MAX, SLICE("b"), LABELS_EMPTY}};
    struct trace nothing = {0};
    tree = build(&nothing, &(struct trace_logs){.items = far, .count = 2});
    ok(tree.duration_ns == INT64_MAX && tree.logs_count == 2 && tree.spans_count == 0, "entries alone, as far apart as can be");
    buf_reset(&b);
    encode_tree_text(&b, &tree, &arena);
    ok(slice_find(buf_slice(&b), SLICE("| b\n")) != SIZE_MAX, "are shown");
    buf_done(&b);
    buf_done(&events);
}

int main(void)
{
    arena_init(&arena, 64 * MIB);
    test_lines();
    test_shapes();
    test_limit();
    test_forms();
    arena_done(&arena);
    return tap_done();
}
