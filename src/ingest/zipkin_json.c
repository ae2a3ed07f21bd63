/* zipkin_json.c -- Zipkin's spans in JSON, second version: traces-http.md 9; unknown members are skipped, null is absent. */
#include "ingest/format.h"

#include "base/hex.h"
#include "ingest/zipkin.h"

#include <arpa/inet.h>

// --- shared with the first version ------------------------------------------------------------------

void zipkin_json_id(struct json *j, uint8_t *to, size_t bytes)
{
    struct slice digits = json_string(j);
    memset(to, 0, bytes);
    if (digits.len > 0 && !hex_decode(digits, to, bytes))
        json_fail(j, digits.len > 2 * bytes ? "an identifier that is too long" : "an identifier that is not hexadecimal");
}

uint64_t zipkin_json_uint(struct json *j)
{
    struct slice digits = json_raw(j);
    uint64_t value = 0;
    for (size_t i = 0; i < digits.len; i++) {
        uint8_t c = digits.ptr[i];
        if (c < '0' || c > '9' || __builtin_mul_overflow(value, UINT64_C(10), &value) ||
            __builtin_add_overflow(value, (uint64_t)(c - '0'), &value)) {
            json_fail(j, "expected a whole number");
            return 0;
        }
    }
    return value;
}

// An address of either family, in its usual form; empty is none.
static struct slice take_address(struct json *j)
{
    union {
        struct in_addr v4;
        struct in6_addr v6;
    } address;
    struct slice given = json_string(j);
    char text[INET6_ADDRSTRLEN] = "";
    if (given.len == 0)
        return SLICE("");
    if (given.len < sizeof text)
        memcpy(text, given.ptr, given.len);
    int family = memchr(text, ':', sizeof text) != NULL ? AF_INET6 : AF_INET;
    if (strlen(text) != given.len || inet_pton(family, text, &address) != 1) {
        json_fail(j, "invalid IP address");
        return SLICE("");
    }
    (void)inet_ntop(family, &address, text, sizeof text); // there is room for every address
    return arena_copy(j->a, slice_cstr(text));
}

void zipkin_json_endpoint(struct json *j, struct zipkin_endpoint *out)
{
    bool first = true;
    struct slice ipv4 = SLICE(""), ipv6 = SLICE("");
    *out = (struct zipkin_endpoint){.service = SLICE("")};
    json_enter(j, '{');
    while (json_more(j, '}', &first)) {
        struct slice key = json_key(j);
        if (json_null(j))
            continue;
        if (slice_eq(key, SLICE("serviceName"))) {
            out->service = json_string(j);
        } else if (slice_eq(key, SLICE("ipv4"))) {
            ipv4 = take_address(j);
        } else if (slice_eq(key, SLICE("ipv6"))) {
            ipv6 = take_address(j);
        } else if (slice_eq(key, SLICE("port"))) {
            uint64_t port = zipkin_json_uint(j);
            if (port > UINT16_MAX)
                json_fail(j, "no port");
            out->port = (uint32_t)port;
        } else {
            (void)json_raw(j);
        }
    }
    out->ip = ipv6.len > 0 ? ipv6 : ipv4;
}

bool zipkin_json_list(struct slice body, bool (*take)(struct json *j, struct spans *spans, struct err *err),
                      struct spans *spans, struct err *err)
{
    struct json j = json_of(body, spans->arena);
    bool first = true, good = true;
    if (!json_null(&j)) {
        json_enter(&j, '[');
        while (good && json_more(&j, ']', &first))
            good = take(&j, spans, err);
    }
    if (good && json_peek(&j) != 0)
        json_fail(&j, "unexpected text behind the spans");
    if (!spans_finish(spans, err))
        return false;
    return j.what == NULL ? good : json_error(&j, err);
}

// --- spans ------------------------------------------------------------------------------------------

static int32_t take_kind(struct json *j)
{
    struct slice name = json_string(j);
    return slice_eq(name, SLICE("CLIENT"))     ? KIND_CLIENT
           : slice_eq(name, SLICE("SERVER"))   ? KIND_SERVER
           : slice_eq(name, SLICE("PRODUCER")) ? KIND_PRODUCER
           : slice_eq(name, SLICE("CONSUMER")) ? KIND_CONSUMER
                                               : KIND_UNSPECIFIED;
}

static void take_annotations(struct json *j, struct zipkin_span *z)
{
    bool first = true;
    json_enter(j, '[');
    while (json_more(j, ']', &first)) {
        struct zipkin_annotation annotation = {.value = SLICE("")};
        bool first_member = true;
        json_enter(j, '{');
        while (json_more(j, '}', &first_member)) {
            struct slice key = json_key(j);
            if (json_null(j))
                continue;
            if (slice_eq(key, SLICE("timestamp")))
                annotation.time_us = zipkin_json_uint(j);
            else if (slice_eq(key, SLICE("value")))
                annotation.value = json_string(j);
            else
                (void)json_raw(j);
        }
        if (!zipkin_annotate(z, j->a, annotation))
            json_fail(j, "too large");
    }
}

static void take_tags(struct json *j, struct zipkin_span *z)
{
    bool first = true;
    json_enter(j, '{');
    while (json_more(j, '}', &first)) {
        struct label tag = {.name = json_key(j), .value = SLICE("")};
        if (!json_null(j))
            tag.value = json_string(j);
        if (!zipkin_tag(z, j->a, tag))
            json_fail(j, "too large");
    }
}

static void take_member(struct json *j, struct zipkin_span *z)
{
    struct slice key = json_key(j);
    if (json_null(j))
        return;
    if (slice_eq(key, SLICE("traceId")))
        zipkin_json_id(j, z->trace_id, TRACE_ID_BYTES);
    else if (slice_eq(key, SLICE("id")))
        zipkin_json_id(j, z->span_id, SPAN_ID_BYTES);
    else if (slice_eq(key, SLICE("parentId")))
        zipkin_json_id(j, z->parent_id, SPAN_ID_BYTES);
    else if (slice_eq(key, SLICE("name")))
        z->name = json_string(j);
    else if (slice_eq(key, SLICE("kind")))
        z->kind = take_kind(j);
    else if (slice_eq(key, SLICE("timestamp")))
        z->time_us = zipkin_json_uint(j);
    else if (slice_eq(key, SLICE("duration")))
        z->duration_us = zipkin_json_uint(j);
    else if (slice_eq(key, SLICE("localEndpoint")))
        zipkin_json_endpoint(j, &z->local);
    else if (slice_eq(key, SLICE("remoteEndpoint")))
        zipkin_json_endpoint(j, &z->remote);
    else if (slice_eq(key, SLICE("annotations")))
        take_annotations(j, z);
    else if (slice_eq(key, SLICE("tags")))
        take_tags(j, z);
    else
        (void)json_raw(j);
}

static bool take_span(struct json *j, struct spans *spans, struct err *err)
{
    struct zipkin_span z = {.name = SLICE("")};
    bool first = true;
    if (json_null(j))
        return true;
    json_enter(j, '{');
    while (json_more(j, '}', &first))
        take_member(j, &z);
    return j->what == NULL && zipkin_add(spans, &z, err);
}

bool zipkin_json_parse(struct slice body, struct spans *spans, struct err *err)
{
    return zipkin_json_list(body, take_span, spans, err);
}
