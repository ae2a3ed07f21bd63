/* test_span.c -- spans from and to protobuf: what comes back, what is refused and as what. */
#include "tap.h"

#include "base/codec.h"
#include "base/limits.h"
#include "store/span.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static struct arena arena;
static struct err err;

// --- messages, by hand --------------------------------------------------------------------------------

// Bytes that stay until the process ends: so that messages can be written as expressions.
static struct slice keep(struct buf *b)
{
    struct slice s = arena_copy(&arena, buf_slice(b));
    buf_done(b);
    return s;
}

static struct slice join(size_t count, const struct slice *parts)
{
    struct buf b = {0};
    for (size_t i = 0; i < count; i++)
        buf_put_slice(&b, parts[i]);
    return keep(&b);
}
#define JOIN(...) \
    join(sizeof((struct slice[]){__VA_ARGS__}) / sizeof(struct slice), (struct slice[]){__VA_ARGS__})

static struct slice field(uint32_t number, struct slice content)
{
    struct buf b = {0};
    put_varint(&b, number << 3 | 2);
    put_prefixed(&b, content);
    return keep(&b);
}
#define TEXT(number, literal) field(number, SLICE(literal))
#define NEST(number, ...) field(number, JOIN(__VA_ARGS__))

static struct slice number_field(uint32_t number, uint64_t value)
{
    struct buf b = {0};
    put_varint(&b, number << 3);
    put_varint(&b, value);
    return keep(&b);
}

static struct slice fixed64_field(uint32_t number, uint64_t value)
{
    struct buf b = {0};
    put_varint(&b, number << 3 | 1);
    put_u64(&b, value);
    return keep(&b);
}

static struct slice fixed32_field(uint32_t number, uint32_t value)
{
    struct buf b = {0};
    put_varint(&b, number << 3 | 5);
    put_u32(&b, value);
    return keep(&b);
}

static struct slice hex(const char *text)
{
    struct buf b = {0};
    for (; text[0] != 0; text += 2) {
        unsigned byte;
        (void)sscanf(text, "%2x", &byte);
        put_u8(&b, (uint8_t)byte);
    }
    return keep(&b);
}

#define IDS "0a1000112233445566778899aabbccddeeff12080102030405060708"

static bool parse(struct slice message, struct span *out)
{
    return span_parse(message, &arena, out, &err);
}

static struct slice put(const struct span *span)
{
    struct buf b = {0};
    span_put(&b, span);
    return keep(&b);
}

static struct slice again(struct slice message)
{
    struct span span;
    must(parse(message, &span), &err);
    return put(&span);
}

static void is_bytes(struct slice got, struct slice want, const char *name)
{
    if (!ok(slice_eq(got, want), "%s", name))
        for (size_t i = 0; i < (got.len > want.len ? got.len : want.len); i++)
            if (i >= got.len || i >= want.len || got.ptr[i] != want.ptr[i]) {
                printf("# %zu bytes instead of %zu; they differ at %zu\n", got.len, want.len, i);
                break;
            }
}

// --- what is refused ----------------------------------------------------------------------------------

static void is_refused(struct slice message, enum err_code code, const char *text, const char *name)
{
    struct span span;
    ok(!span_valid(message, &err) && err.code == code && strcmp(err.text, text) == 0, "%s is refused: %s", name, text);
    if (code == ERR_INPUT) // what does not even parse says so again
        ok(span_valid(JOIN(hex(IDS), message), &err) == false, "%s is refused beside good IDs", name);
    (void)parse(message, &span); // and harms nobody
}

static void test_ids(void)
{
    ok(span_valid(hex(IDS), &err), "IDs alone are a span");
    is_refused(SLICE(""), ERR_LIMIT, "trace ids must be 128 bit, received 0 bits", "nothing");
    is_refused(hex("0a0012080102030405060708"), ERR_LIMIT, "trace ids must be 128 bit, received 0 bits", "no trace ID");
    is_refused(hex("0a100000000000000000000000000000000012080102030405060708"), ERR_LIMIT,
               "trace ids must be 128 bit, received 0 bits", "a trace ID of zeros");
    is_refused(hex("0a08001122334455667712080102030405060708"), ERR_LIMIT,
               "trace ids must be 128 bit, received 64 bits", "half a trace ID");
    is_refused(hex("0a1000112233445566778899aabbccddeeff"), ERR_LIMIT,
               "span ids must be 64 bit and not all zero, received 0 bits", "no span ID");
    is_refused(hex("0a1000112233445566778899aabbccddeeff12080000000000000000"), ERR_LIMIT,
               "span ids must be 64 bit and not all zero, received 0 bits", "a span ID of zeros");
    is_refused(hex("0a1000112233445566778899aabbccddeeff1209010203040506070809"), ERR_LIMIT,
               "span ids must be 64 bit and not all zero, received 72 bits", "a span ID of nine bytes");
    is_refused(hex("220701020304050607"), ERR_INPUT, "invalid SpanID length", "a short parent ID");
    is_refused(NEST(13, TEXT(1, "fifteen bytes..")), ERR_INPUT, "invalid TraceID length", "a link's short trace ID");
    is_refused(NEST(13, TEXT(2, "nine byte")), ERR_INPUT, "invalid SpanID length", "a link's long span ID");
    ok(span_valid(JOIN(hex(IDS), hex("2200"), hex("6a00"), NEST(13, hex("0a001200"))), &err), "none at all is fine there");
    ok(span_valid(JOIN(hex("0a00"), hex(IDS)), &err), "the last trace ID counts");

    struct span span;
    must(parse(hex(IDS "22080000000000000000"), &span), &err);
    is_bytes(put(&span), hex(IDS "7a00"), "a parent of zeros is none");
    ok(!parse(hex("0a0100"), &span) && err.code == ERR_CORRUPT, "parsing refuses a short ID, too");
}

// Each known field with another wire type, in each message: at `wrap`, the way there from a span.
static struct slice wrap(const uint32_t *path, size_t depth, struct slice content)
{
    while (depth-- > 0)
        content = field(path[depth], content);
    return content;
}

static void test_wire_types(void)
{
    static const struct {
        const char *name;
        uint32_t path[6];
        size_t depth;
        const char *wires; // by field number from 1: v, 8, b, 4
    } messages[] = {
        {"span", {0}, 0, "bbbbbv88bvbvbvb4"},
        {"status", {15}, 1, " bv"},
        {"event", {11}, 1, "8bbv"},
        {"link", {13}, 1, "bbbbv4"},
        {"attribute", {9}, 1, "bb"},
        {"attribute of an event", {11, 3}, 2, "bb"},
        {"attribute of a link", {13, 4}, 2, "bb"},
        {"value", {9, 2}, 2, "bvv8bbbv"},
        {"array", {9, 2, 5}, 3, "b"},
        {"value in an array", {9, 2, 5, 1}, 4, "bvv8bbbv"},
        {"map", {9, 2, 6}, 3, "b"},
        {"pair in a map", {9, 2, 6, 1}, 4, "bb"},
        {"value in a map of a link", {13, 4, 2, 6, 1, 2}, 6, "bvv8bbbv"},
    };
    for (size_t i = 0; i < sizeof messages / sizeof *messages; i++) {
        bool refused = true, taken = true;
        for (uint32_t n = 1; messages[i].wires[n - 1] != 0; n++) {
            const struct {
                char name;
                struct slice bytes;
            } forms[] = {{'v', number_field(n, 0)}, {'8', fixed64_field(n, 0)}, {'b', field(n, SLICE(""))}, {'4', fixed32_field(n, 0)}};
            for (size_t k = 0; k < 4; k++) {
                char want = messages[i].wires[n - 1];
                struct slice m = JOIN(wrap(messages[i].path, messages[i].depth, forms[k].bytes), hex(IDS));
                if (want == ' ' || want == forms[k].name)
                    taken = taken && span_valid(m, &err);
                else
                    refused = refused && !span_valid(m, &err) && err.code == ERR_INPUT;
            }
        }
        ok(refused && taken, "%s: fields have their wire types", messages[i].name);
        struct slice group = wrap(messages[i].path, messages[i].depth, hex("bb060801bc06")); // field 103
        ok(span_valid(JOIN(group, hex(IDS)), &err), "%s: an unknown group is passed over", messages[i].name);
        struct slice open = wrap(messages[i].path, messages[i].depth, hex("bb060801"));
        ok(!span_valid(JOIN(hex(IDS), open), &err) && err.code == ERR_INPUT, "%s: one without an end is not", messages[i].name);
        struct slice zero = wrap(messages[i].path, messages[i].depth, hex("0000"));
        ok(!span_valid(JOIN(hex(IDS), zero), &err) && err.code == ERR_INPUT, "%s: no field is number 0", messages[i].name);
    }
}

// Any value within `depth` arrays and maps, by turns.
static struct slice nested_value(unsigned depth)
{
    struct slice any = TEXT(1, "x");
    for (unsigned i = 0; i < depth; i++)
        any = i % 2 == 0 ? NEST(5, field(1, any)) : NEST(6, NEST(1, field(2, any)));
    return any;
}

static void test_depth(void)
{
    struct slice most = NEST(9, TEXT(1, "k"), field(2, nested_value(SPAN_VALUE_DEPTH_MAX)));
    struct slice more = NEST(9, TEXT(1, "k"), field(2, nested_value(SPAN_VALUE_DEPTH_MAX + 1)));
    ok(span_valid(JOIN(hex(IDS), most), &err), "%d levels of values are taken", SPAN_VALUE_DEPTH_MAX);
    ok(!span_valid(JOIN(hex(IDS), more), &err) && err.code == ERR_LIMIT, "one more is not");
    is_bytes(again(JOIN(hex(IDS), most)), JOIN(hex(IDS), most, hex("7a00")), "deep values come back");
    struct slice pair = NEST(3, TEXT(1, "k"), field(2, nested_value(SPAN_VALUE_DEPTH_MAX + 1)));
    ok(!span_valid(JOIN(hex(IDS), field(11, pair)), &err) && err.code == ERR_LIMIT, "nor in an event");
    ok(!span_scope_valid(field(1, pair), &err) && err.code == ERR_LIMIT, "nor in a scope");
    pair = NEST(1, TEXT(1, "k"), field(2, nested_value(SPAN_VALUE_DEPTH_MAX + 1)));
    ok(!span_resource_valid(field(1, pair), &err) && err.code == ERR_LIMIT, "nor in a resource");
    ok(span_resource_valid(NEST(1, NEST(1, field(2, nested_value(SPAN_VALUE_DEPTH_MAX)))), &err),
       "as many as are allowed are fine there");
    ok(!span_valid(JOIN(hex(IDS), NEST(9, field(2, nested_value(3000)))), &err), "a tower of values is no danger");
}

// --- what comes back ----------------------------------------------------------------------------------

// Fields in the order in which span_put() writes them, each of them present.
static struct slice full_span(const uint8_t **ends, size_t *ends_count)
{
    uint64_t nan_bits = UINT64_C(0x7ff8dead00000001);
    struct slice any_array =
        NEST(5, NEST(1, TEXT(1, "")), field(1, SLICE("")), NEST(1, number_field(3, UINT64_MAX)),
             NEST(1, NEST(5, field(1, SLICE("")))), NEST(1, NEST(6, NEST(1, TEXT(1, "k"), field(2, SLICE(""))))));
    struct slice fields[] = {
        hex("0a1000112233445566778899aabbccddeeff"),
        hex("12080102030405060708"),
        TEXT(3, "vendor=1,other=2"),
        hex("22080000000000000009"),
        TEXT(5, "GET /x"),
        number_field(6, (uint64_t)-3),
        fixed64_field(7, UINT64_MAX),
        fixed64_field(8, 5),
        NEST(9, TEXT(1, "s"), NEST(2, TEXT(1, "text"))),
        NEST(9, TEXT(1, "s"), NEST(2, TEXT(1, "again"))),
        NEST(9, NEST(2, TEXT(1, "without key"))),
        NEST(9, TEXT(1, "none"), field(2, SLICE(""))),
        NEST(9, TEXT(1, "empty"), NEST(2, TEXT(1, ""))),
        NEST(9, TEXT(1, "false"), NEST(2, number_field(2, 0))),
        NEST(9, TEXT(1, "true"), NEST(2, number_field(2, 1))),
        NEST(9, TEXT(1, "zero"), NEST(2, number_field(3, 0))),
        NEST(9, TEXT(1, "least"), NEST(2, number_field(3, (uint64_t)INT64_MIN))),
        NEST(9, TEXT(1, "nan"), NEST(2, fixed64_field(4, nan_bits))),
        NEST(9, TEXT(1, "-0"), NEST(2, fixed64_field(4, UINT64_C(1) << 63))),
        NEST(9, TEXT(1, "inf"), NEST(2, fixed64_field(4, UINT64_C(0x7ff0000000000000)))),
        NEST(9, TEXT(1, "array"), field(2, any_array)),
        NEST(9, TEXT(1, "empty array"), NEST(2, field(5, SLICE("")))),
        NEST(9, TEXT(1, "empty map"), NEST(2, field(6, SLICE("")))),
        NEST(9, TEXT(1, "bytes"), NEST(2, field(7, slice_of("\0\xff", 2)))),
        NEST(9, TEXT(1, "not UTF-8 \xc3"), NEST(2, TEXT(1, "\xff"))),
        number_field(10, UINT32_MAX),
        field(11, SLICE("")),
        NEST(11, fixed64_field(1, UINT64_MAX), TEXT(2, "exception"), NEST(3, TEXT(1, "k"), field(2, any_array)),
             number_field(4, 7)),
        number_field(12, 2),
        field(13, SLICE("")),
        NEST(13, hex("0a10ffffffffffffffffffffffffffffffff"), hex("1208ffffffffffffffff"), TEXT(3, "a=b"),
             NEST(4, TEXT(1, "k"), NEST(2, number_field(2, 1))), number_field(5, 1), fixed32_field(6, 0x301)),
        number_field(14, 3),
        NEST(15, TEXT(2, "it broke"), number_field(3, (uint64_t)-9)),
        fixed32_field(16, UINT32_C(0xfffffff0)),
    };
    size_t count = sizeof fields / sizeof *fields;
    struct slice whole = join(count, fields);
    const uint8_t *at = whole.ptr;
    for (size_t i = 0; i < count; i++)
        ends[i] = at += fields[i].len;
    *ends_count = count;
    return whole;
}

static void test_full(void)
{
    const uint8_t *ends[64];
    size_t count;
    struct slice message = full_span(ends, &count);
    must(span_valid(message, &err), &err);
    is_bytes(again(message), message, "every field comes back as it was sent");

    bool good = true;
    size_t end = 0;
    for (size_t len = 0; len < message.len; len++) {
        uint8_t *exact = malloc(len + 1); // so that the sanitizer sees the end
        memcpy(exact, message.ptr, len);
        while (ends[end] < message.ptr + len)
            end++;
        bool whole = ends[end] == message.ptr + len && end >= 1; // both IDs are there
        struct span span;
        if (span_valid(slice_of(exact, len), &err) != whole) {
            printf("# cut at %zu\n", len);
            good = false;
        }
        (void)parse(slice_of(exact, len), &span);
        free(exact);
    }
    ok(good, "cut at every byte: refused, unless between two fields");

    struct span span;
    must(parse(message, &span), &err);
    ok(span.kind == -3 && span.status == -9 && span.flags == 0xfffffff0 && span.dropped_attributes == UINT32_MAX &&
           span.dropped_events == 2 && span.dropped_links == 3,
       "numbers are read, those outside their enums too");
    ok(span.start_ns == UINT64_MAX && span.end_ns == 5, "times are as sent");
    ok(span_time(span.start_ns) == INT64_MAX && span_time(INT64_MAX) == INT64_MAX && span_time(0) == 0, "and clamped to compare");
    ok(span_duration(&span) == 0, "reversed times have no duration");
    is_int(span_duration(&(struct span){.start_ns = 5, .end_ns = UINT64_MAX}), UINT64_MAX - 5, "others do");
    is_text(span.trace_state, "vendor=1,other=2", "trace state");
    is_text(span.status_message, "it broke", "status message");
    is_int(span.attributes.count, 17, "attributes, all");
    const struct span_value *v = span_attributes_find(&span.attributes, SLICE("s"));
    is_text(v != NULL ? v->bytes : SLICE(""), "text", "the first of two of a key");
    v = span_attributes_find(&span.attributes, SLICE("nan"));
    ok(v != NULL && v->kind == VALUE_DOUBLE && isnan(v->number), "NaN");
    v = span_attributes_find(&span.attributes, SLICE("none"));
    ok(v != NULL && v->kind == VALUE_NONE, "a value without a member");
    ok(span_attributes_find(&span.attributes, SLICE("missing")) == NULL, "a key that is not there");

    uint8_t *exact = malloc(message.len);
    for (size_t at = 0; at < message.len; at++) { // every byte turned over: no read outside
        memcpy(exact, message.ptr, message.len);
        for (unsigned bit = 0; bit < 8; bit += 3) {
            exact[at] ^= (uint8_t)(1u << bit);
            if (span_valid(slice_of(exact, message.len), &err) && parse(slice_of(exact, message.len), &span)) {
                struct slice one = put(&span);
                good = good && span_valid(one, &err) && slice_eq(again(one), one);
            }
        }
    }
    free(exact);
    ok(good, "damaged anywhere: refused, or put and parsed alike");
}

static void test_order(void)
{
    struct slice event = NEST(11, TEXT(2, "a")), other = NEST(11, TEXT(2, "b"));
    struct slice link = NEST(13, TEXT(3, "c"));
    struct slice want = JOIN(hex(IDS), event, other, link, link, hex("7a00"));
    is_bytes(again(JOIN(event, hex(IDS), link, other, link)), want, "scattered events and links keep their order");
    is_bytes(again(JOIN(hex(IDS), hex("bb060801bc06"), event, hex("bb060801bc06"), other, link, hex("a206027879"), link)), want,
             "groups and unknown fields between them are left out");
    struct slice long_tag = JOIN(hex("da8000"), slice_of(event.ptr + 1, event.len - 1)); // the tag in three bytes
    is_bytes(again(JOIN(hex(IDS), long_tag, other, link, link)), want, "tags of more bytes than needed are made plain");

    is_bytes(again(JOIN(TEXT(5, "first"), number_field(6, 1), hex(IDS), TEXT(5, "last"), number_field(6, 2))),
             JOIN(hex(IDS), TEXT(5, "last"), number_field(6, 2), hex("7a00")), "of a scalar given twice the last counts");
    is_bytes(again(JOIN(hex(IDS), NEST(15, TEXT(2, "m")), NEST(15, number_field(3, 2)))),
             JOIN(hex(IDS), NEST(15, TEXT(2, "m"), number_field(3, 2))), "a status given twice is merged");
    is_bytes(again(JOIN(hex(IDS), NEST(9, NEST(2, TEXT(1, "v")), TEXT(1, "k")))),
             JOIN(hex(IDS), NEST(9, TEXT(1, "k"), NEST(2, TEXT(1, "v"))), hex("7a00")), "a value may come before its key");
    is_bytes(again(JOIN(hex(IDS), NEST(9, TEXT(1, "k")))), JOIN(hex(IDS), NEST(9, TEXT(1, "k"), hex("1200")), hex("7a00")),
             "an attribute without a value has an empty one");
    is_bytes(again(JOIN(hex(IDS), NEST(9, NEST(2, number_field(3, 1), TEXT(1, "x"))))),
             JOIN(hex(IDS), NEST(9, NEST(2, TEXT(1, "x"))), hex("7a00")), "of two members of a value the last counts");
    is_bytes(again(JOIN(hex(IDS), NEST(9, NEST(2, number_field(8, 1))))), JOIN(hex(IDS), NEST(9, hex("1200")), hex("7a00")),
             "an index of strings is no value");
    is_bytes(again(JOIN(hex(IDS), NEST(9, NEST(2, number_field(2, 200))))),
             JOIN(hex(IDS), NEST(9, NEST(2, number_field(2, 1))), hex("7a00")), "any number is true");
}

static void test_vectors(void) // traces-http.md 20
{
    struct slice message = hex("0a1000112233445566778899aabbccddeeff120801020304050607082a01613900002a36fe9c97174180b21045fe"
                               "9c9717");
    is_bytes(again(message), JOIN(message, hex("7a00")), "a span without a status gets an empty one");

    struct slice request =
        hex("0a7a0a180a160a0c736572766963652e6e616d6512060a0463617274125e0a050a036c696212550a1000112233445566778899aabbccddee"
            "ff120801020304050607082a06474554202f7830023900002a36fe9c97174180b21045fe9c97174a170a10687474702e7374617475735f63"
            "6f6465120318c8017a021802");
    struct slice resource_spans = slice_from(request, 2), scope_spans = slice_from(request, 30);
    struct span_resource resource;
    struct span_scope scope;
    struct span span;
    must(span_resource_valid(resource_spans, &err) && span_scope_valid(scope_spans, &err), &err);
    must(span_resource_parse(resource_spans, &arena, &resource, &err), &err);
    must(span_scope_parse(scope_spans, &arena, &scope, &err), &err);
    must(span_valid(slice_from(request, 39), &err), &err);
    must(parse(slice_from(request, 39), &span), &err);
    is_text(resource.service, "cart", "service of the example");
    is_text(scope.name, "lib", "scope of the example");
    struct buf b = {0};
    span_resource_put(&b, &resource);
    is_bytes(slice_of(b.ptr, b.len), slice_of(request.ptr + 2, 26), "the example's resource comes back");
    buf_reset(&b);
    span_scope_put(&b, &scope);
    is_bytes(slice_of(b.ptr, b.len), slice_of(request.ptr + 30, 7), "its scope comes back");
    buf_done(&b);
    is_bytes(put(&span), slice_from(request, 39), "its span comes back");
}

// --- resources, scopes, events, links, values --------------------------------------------------------

static struct slice resource_again(struct slice message, struct span_resource *out)
{
    struct buf b = {0};
    must(span_resource_parse(message, &arena, out, &err), &err);
    ok(out->bytes.ptr == message.ptr && out->bytes.len == message.len, "a resource keeps its bytes");
    span_resource_put(&b, out);
    return keep(&b);
}

static void test_resources(void)
{
    struct span_resource r;
    struct slice service = NEST(1, TEXT(1, "service.name"), NEST(2, TEXT(1, "cart")));
    struct slice other = NEST(1, TEXT(1, "service.name"), NEST(2, TEXT(1, "other")));
    struct slice entity = NEST(3, TEXT(1, "url"), TEXT(2, "host"), TEXT(3, "host.id"), TEXT(4, "host.name"));
    struct slice full = JOIN(NEST(1, service, other, number_field(2, 4), entity, entity), TEXT(3, "http://schema"));
    is_bytes(resource_again(full, &r), full, "a resource comes back");
    is_text(r.service, "cart", "the first service counts");
    is_text(r.schema_url, "http://schema", "schema URL");
    is_int(r.dropped_attributes, 4, "dropped attributes");
    is_bytes(resource_again(JOIN(TEXT(3, "http://schema"), TEXT(2, "spans, not looked at"), NEST(1, entity, service),
                                 NEST(1, number_field(2, 4), other, entity)), &r),
             full, "one given in two parts is merged");
    is_bytes(resource_again(SLICE(""), &r), hex("0a00"), "a resource without anything is an empty message");
    is_int(r.service.len, 0, "it has no service");
    (void)resource_again(NEST(1, NEST(1, TEXT(1, "service.name"), NEST(2, number_field(3, 1))), other), &r);
    is_int(r.service.len, 0, "a service that is a number is none, whatever follows");
    ok(!span_resource_valid(hex("0801"), &err) && err.code == ERR_INPUT, "a resource that is a number is refused");
    ok(!span_resource_valid(NEST(1, NEST(3, number_field(1, 1))), &err), "an entity's URL that is a number is refused");
    ok(!span_resource_parse(hex("0a05"), &arena, &r, &err) && err.code == ERR_CORRUPT, "a resource cut short");

    struct span_scope s;
    struct buf b = {0};
    struct slice pair = NEST(3, TEXT(1, "k"), NEST(2, number_field(3, 1)));
    full = JOIN(NEST(1, TEXT(1, "lib"), TEXT(2, "1.2"), pair, pair, number_field(4, 3)), TEXT(3, "http://schema"));
    must(span_scope_valid(full, &err), &err);
    must(span_scope_parse(JOIN(NEST(1, number_field(4, 3), pair), TEXT(2, "spans"), TEXT(3, "http://schema"),
                               NEST(1, TEXT(2, "1.2"), TEXT(1, "lib"), pair)), &arena, &s, &err), &err);
    span_scope_put(&b, &s);
    is_bytes(buf_slice(&b), full, "a scope comes back, its parts merged");
    ok(s.attributes.count == 2 && s.dropped_attributes == 3, "with its attributes");
    is_text(s.version, "1.2", "and its version");
    buf_reset(&b);
    must(span_scope_parse(SLICE(""), &arena, &s, &err), &err);
    span_scope_put(&b, &s);
    is_bytes(buf_slice(&b), hex("0a00"), "a scope without anything is an empty message");
    buf_done(&b);
    ok(!span_scope_valid(NEST(1, number_field(1, 1)), &err) && err.code == ERR_INPUT, "a scope's name that is a number is refused");
    ok(!span_scope_parse(hex("1a05"), &arena, &s, &err) && err.code == ERR_CORRUPT, "a scope cut short");
}

static void test_events_and_links(void)
{
    const uint8_t *ends[64];
    size_t count;
    struct span span;
    must(parse(full_span(ends, &count), &span), &err);
    struct buf b = {0};
    struct pb walk = pb_of(span.events);
    struct span_event event;
    uint32_t seen = 0;
    for (; span_event_next(&walk, &arena, &event); seen++)
        span_event_put(&b, &event);
    ok(seen == 2 && event.time_ns == UINT64_MAX && event.dropped_attributes == 7 && event.attributes.count == 1, "events are walked");
    is_text(event.name, "exception", "the last one's name");
    is_bytes(buf_slice(&b), span.events, "events put again are the same");
    buf_reset(&b);
    walk = pb_of(span.links);
    struct span_link link;
    for (seen = 0; span_link_next(&walk, &arena, &link); seen++)
        span_link_put(&b, &link);
    ok(seen == 2 && link.trace_id.len == 16 && link.span_id.len == 8 && link.flags == 0x301 && link.dropped_attributes == 1 &&
           link.attributes.count == 1,
       "links are walked");
    is_text(link.trace_state, "a=b", "the last one's trace state");
    is_bytes(buf_slice(&b), span.links, "links put again are the same");
    buf_done(&b);

    const struct span_value *array = span_attributes_find(&span.attributes, SLICE("array"));
    walk = pb_of(array->bytes);
    struct span_value v;
    enum span_value_kind kinds[8];
    for (seen = 0; seen < 8 && span_array_next(&walk, &v); seen++)
        kinds[seen] = v.kind;
    ok(seen == 5 && kinds[0] == VALUE_STRING && kinds[1] == VALUE_NONE && kinds[2] == VALUE_INT && kinds[3] == VALUE_ARRAY &&
           kinds[4] == VALUE_MAP,
       "an array's values are walked, empty ones too");
    struct span_attribute pair;
    walk = pb_of(v.bytes);
    ok(span_map_next(&walk, &pair) && slice_eq(pair.key, SLICE("k")) && pair.value.kind == VALUE_NONE &&
           !span_map_next(&walk, &pair) && walk.bad == NULL,
       "a map's pairs are walked");
    walk = pb_of(SLICE(""));
    ok(!span_array_next(&walk, &v) && !span_map_next(&walk, &pair) && walk.bad == NULL, "of none there are none");
    walk = pb_of((struct slice){0});
    ok(!span_event_next(&walk, &arena, &event) && !span_link_next(&walk, &arena, &link), "nor of nothing");
}

static void test_memory(void)
{
    struct buf b = {0};
    buf_put_slice(&b, hex(IDS));
    for (int i = 0; i < 1000; i++)
        buf_put_slice(&b, hex("4a00"));
    struct arena small;
    struct span span;
    arena_init(&small, 16384);
    ok(!span_parse(buf_slice(&b), &small, &span, &err) && err.code == ERR_LIMIT, "a full arena is told as such");
    arena_done(&small);
    must(span_valid(buf_slice(&b), &err), &err);
    must(parse(buf_slice(&b), &span), &err);
    is_int(span.attributes.count, 1000, "attributes by the thousand");
    for (uint32_t i = 1000; i < INGEST_SPAN_ATTRIBUTES_MAX; i++)
        buf_put(&b, "\x4a", 2);
    ok(span_valid(buf_slice(&b), &err), "as many as are allowed");
    buf_put(&b, "\x4a", 2);
    ok(!span_valid(buf_slice(&b), &err) && err.code == ERR_LIMIT, "one more is not");
    buf_done(&b);
}

int main(void)
{
    arena_init(&arena, 4 * GIB);
    test_ids();
    test_wire_types();
    test_depth();
    test_full();
    test_order();
    test_vectors();
    test_resources();
    test_events_and_links();
    test_memory();
    arena_done(&arena);
    return tap_done();
}
