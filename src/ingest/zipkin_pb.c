/* zipkin_pb.c -- Zipkin's spans in protobuf: a ListOfSpans of zipkin.proto3. Strings borrow from the body. */
#include "ingest/format.h"

#include "base/pb.h"
#include "ingest/zipkin.h"

#include <arpa/inet.h>

enum { LIST_SPANS = 1 };
enum {
    SPAN_TRACE_ID = 1,
    SPAN_PARENT_ID = 2,
    SPAN_ID = 3,
    SPAN_KIND = 4,
    SPAN_NAME = 5,
    SPAN_TIMESTAMP = 6,
    SPAN_DURATION = 7,
    SPAN_LOCAL = 8,
    SPAN_REMOTE = 9,
    SPAN_ANNOTATIONS = 10,
    SPAN_TAGS = 11,
};
enum { ENDPOINT_SERVICE = 1, ENDPOINT_IPV4 = 2, ENDPOINT_IPV6 = 3, ENDPOINT_PORT = 4 };
enum { ANNOTATION_TIMESTAMP = 1, ANNOTATION_VALUE = 2 };
enum { TAG_KEY = 1, TAG_VALUE = 2 };

// Of 8 bytes or 16, padded with zeros on the left.
static void take_id(struct pb *p, struct slice id, uint8_t *to, size_t bytes)
{
    memset(to, 0, bytes);
    if (id.len != 0 && id.len != SPAN_ID_BYTES && id.len != bytes)
        p->bad = "an identifier of another length";
    else if (id.len > 0)
        memcpy(to + bytes - id.len, id.ptr, id.len);
}

static int32_t kind_of(uint64_t number)
{
    static const enum span_kind kinds[] = {KIND_UNSPECIFIED, KIND_CLIENT, KIND_SERVER, KIND_PRODUCER, KIND_CONSUMER};
    return number < COUNT_OF(kinds) ? (int32_t)kinds[number] : KIND_UNSPECIFIED;
}

static struct slice take_address(struct pb *p, struct slice address, int family, struct arena *a)
{
    char text[INET6_ADDRSTRLEN];
    if (address.len == 0)
        return SLICE("");
    if (address.len != (family == AF_INET ? sizeof(struct in_addr) : sizeof(struct in6_addr))) {
        p->bad = "invalid IP address";
        return SLICE("");
    }
    (void)inet_ntop(family, address.ptr, text, sizeof text); // there is room for every address
    return arena_copy(a, slice_cstr(text));
}

static void take_endpoint(struct pb *p, struct slice message, struct arena *a, struct zipkin_endpoint *out)
{
    struct pb m = pb_of(message);
    struct pb_field f;
    struct slice ipv4 = SLICE(""), ipv6 = SLICE("");
    *out = (struct zipkin_endpoint){.service = SLICE("")};
    while (pb_next(&m, &f)) {
        if (f.number == ENDPOINT_SERVICE && pb_is(&m, &f, PB_BYTES))
            out->service = f.bytes;
        else if (f.number == ENDPOINT_IPV4 && pb_is(&m, &f, PB_BYTES))
            ipv4 = take_address(&m, f.bytes, AF_INET, a);
        else if (f.number == ENDPOINT_IPV6 && pb_is(&m, &f, PB_BYTES))
            ipv6 = take_address(&m, f.bytes, AF_INET6, a);
        else if (f.number == ENDPOINT_PORT && pb_is(&m, &f, PB_VARINT))
            out->port = (uint16_t)f.value;
    }
    out->ip = ipv6.len > 0 ? ipv6 : ipv4;
    pb_pass(p, &m);
}

static void take_annotation(struct pb *p, struct slice message, struct arena *a, struct zipkin_span *z)
{
    struct pb m = pb_of(message);
    struct pb_field f;
    struct zipkin_annotation annotation = {.value = SLICE("")};
    while (pb_next(&m, &f)) {
        if (f.number == ANNOTATION_TIMESTAMP && pb_is(&m, &f, PB_FIXED64))
            annotation.time_us = f.value;
        else if (f.number == ANNOTATION_VALUE && pb_is(&m, &f, PB_BYTES))
            annotation.value = f.bytes;
    }
    if (!zipkin_annotate(z, a, annotation))
        m.bad = "too large";
    pb_pass(p, &m);
}

static void take_tag(struct pb *p, struct slice message, struct arena *a, struct zipkin_span *z)
{
    struct pb m = pb_of(message);
    struct pb_field f;
    struct label tag = {SLICE(""), SLICE("")};
    while (pb_next(&m, &f)) {
        if (f.number == TAG_KEY && pb_is(&m, &f, PB_BYTES))
            tag.name = f.bytes;
        else if (f.number == TAG_VALUE && pb_is(&m, &f, PB_BYTES))
            tag.value = f.bytes;
    }
    if (!zipkin_tag(z, a, tag))
        m.bad = "too large";
    pb_pass(p, &m);
}

static enum pb_wire wire_of(uint32_t number)
{
    return number == SPAN_TIMESTAMP                               ? PB_FIXED64
           : number == SPAN_KIND || number == SPAN_DURATION ? PB_VARINT
                                                            : PB_BYTES;
}

static void take_field(struct pb *p, const struct pb_field *f, struct arena *a, struct zipkin_span *z)
{
    if (f->number > SPAN_TAGS || !pb_is(p, f, wire_of(f->number)))
        return;
    switch (f->number) {
    case SPAN_TRACE_ID:
        take_id(p, f->bytes, z->trace_id, TRACE_ID_BYTES);
        break;
    case SPAN_PARENT_ID:
        take_id(p, f->bytes, z->parent_id, SPAN_ID_BYTES);
        break;
    case SPAN_ID:
        take_id(p, f->bytes, z->span_id, SPAN_ID_BYTES);
        break;
    case SPAN_KIND:
        z->kind = kind_of(f->value);
        break;
    case SPAN_NAME:
        z->name = f->bytes;
        break;
    case SPAN_TIMESTAMP:
        z->time_us = f->value;
        break;
    case SPAN_DURATION:
        z->duration_us = f->value;
        break;
    case SPAN_LOCAL:
        take_endpoint(p, f->bytes, a, &z->local);
        break;
    case SPAN_REMOTE:
        take_endpoint(p, f->bytes, a, &z->remote);
        break;
    case SPAN_ANNOTATIONS:
        take_annotation(p, f->bytes, a, z);
        break;
    default:
        take_tag(p, f->bytes, a, z);
    }
}

static bool take_span(struct pb *p, struct slice message, struct spans *spans, struct err *err)
{
    struct zipkin_span z = {.name = SLICE("")};
    struct pb m = pb_of(message);
    struct pb_field f;
    while (pb_next(&m, &f))
        take_field(&m, &f, spans->arena, &z);
    return pb_pass(p, &m) && zipkin_add(spans, &z, err);
}

bool zipkin_pb_parse(struct slice body, struct spans *spans, struct err *err)
{
    struct pb m = pb_of(body);
    struct pb_field f;
    bool good = true;
    while (good && pb_next(&m, &f))
        if (f.number == LIST_SPANS && pb_is(&m, &f, PB_BYTES))
            good = take_span(&m, f.bytes, spans, err);
    if (!spans_finish(spans, err))
        return false;
    return m.bad == NULL ? good : err_set(err, ERR_INPUT, "%s", m.bad);
}
