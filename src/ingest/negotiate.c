/* negotiate.c -- see negotiate.h. */
#include "ingest/negotiate.h"

#include "base/codec.h"
#include "base/limits.h"

#include <strings.h>

enum { PAYLOAD_VERSION = 1 };

static bool is_blank(uint8_t c)
{
    return c == ' ' || c == '\t';
}

static struct slice trim(struct slice s)
{
    while (s.len > 0 && is_blank(s.ptr[0]))
        s = slice_from(s, 1);
    while (s.len > 0 && is_blank(s.ptr[s.len - 1]))
        s.len--;
    return s;
}

// Up to the next `;` outside quotes; *rest behind it, ptr NULL at the end.
static struct slice take_part(struct slice *rest)
{
    bool quoted = false;
    for (size_t i = 0; i < rest->len; i++) {
        if (rest->ptr[i] == '"')
            quoted = !quoted;
        if (rest->ptr[i] == ';' && !quoted) {
            struct slice part = slice_of(rest->ptr, i);
            *rest = slice_from(*rest, i + 1);
            return trim(part);
        }
    }
    struct slice part = *rest;
    *rest = (struct slice){0};
    return trim(part);
}

static bool media_type(struct slice header, struct slice *type_out, struct err *err)
{
    struct slice rest = header;
    *type_out = take_part(&rest);
    if (type_out->len == 0)
        return err_set(err, ERR_INPUT, "mime: no media type");
    while (rest.ptr != NULL) {
        struct slice part = take_part(&rest);
        size_t eq = slice_find(part, SLICE("="));
        if (part.len == 0 && rest.ptr == NULL)
            break; // a trailing semicolon
        if (eq == SIZE_MAX || eq == 0 || eq + 1 == part.len)
            return err_set(err, ERR_INPUT, "mime: invalid media parameter");
    }
    return true;
}

static bool is_type(struct slice type, const char *name)
{
    return type.len == strlen(name) && strncasecmp((const char *)type.ptr, name, type.len) == 0;
}

static bool negotiate_loki(const struct push_request *request, struct push_kind *out, struct err *err)
{
    struct slice type, encoding = request->content_encoding;
    if (!media_type(request->content_type, &type, err))
        return false;
    out->format = !is_type(type, "application/json")   ? PUSH_LOKI_PROTOBUF
                  : request->api == PUSH_API_LEGACY ? PUSH_LOKI_JSON_LEGACY
                                                    : PUSH_LOKI_JSON;
    if (encoding.len == 0 || slice_eq(encoding, SLICE("snappy")))
        out->encoding = PUSH_PLAIN;
    else if (slice_eq(encoding, SLICE("gzip")))
        out->encoding = PUSH_GZIP;
    else if (slice_eq(encoding, SLICE("deflate")))
        out->encoding = PUSH_DEFLATE;
    else
        return err_set(err, ERR_INPUT, "Content-Encoding \"%.*s\" not supported", SLICE_FMT(encoding));
    return true;
}

// loki-http.md 19
static bool negotiate_otlp(const struct push_request *request, struct push_kind *out, struct err *err)
{
    struct slice type, encoding = request->content_encoding;
    if (!media_type(request->content_type, &type, err))
        type = request->content_type;
    if (is_type(type, "application/x-protobuf"))
        out->format = PUSH_OTLP_PROTOBUF;
    else if (is_type(type, "application/json"))
        out->format = PUSH_OTLP_JSON;
    else
        return err_set(err, ERR_INPUT,
                       "content type: %.*s is not supported, supported content types: application/json, "
                       "application/x-protobuf",
                       SLICE_FMT(request->content_type));
    if (encoding.len == 0)
        out->encoding = PUSH_PLAIN;
    else if (slice_eq(encoding, SLICE("gzip")))
        out->encoding = PUSH_GZIP;
    else if (slice_eq(encoding, SLICE("zstd")))
        out->encoding = PUSH_ZSTD;
    else if (slice_eq(encoding, SLICE("lz4")))
        out->encoding = PUSH_LZ4;
    else
        return err_set(err, ERR_INPUT, "unsupported content encoding %.*s: only gzip, lz4 and zstd are supported",
                       SLICE_FMT(encoding));
    return true;
}

// traces-http.md 6; the names in any case, where the reference wants them exact.
static bool spans_encoding(struct slice name, enum push_encoding *out, struct err *err)
{
    static const struct {
        const char *name;
        enum push_encoding encoding;
    } names[] = {{"identity", PUSH_PLAIN}, {"gzip", PUSH_GZIP}, {"deflate", PUSH_ZLIB},
                 {"zlib", PUSH_ZLIB},      {"zstd", PUSH_ZSTD}, {"lz4", PUSH_LZ4}};
    *out = PUSH_PLAIN;
    if (name.len == 0)
        return true;
    for (size_t i = 0; i < COUNT_OF(names); i++)
        if (is_type(name, names[i].name)) {
            *out = names[i].encoding;
            return true;
        }
    return err_set(err, ERR_INPUT, "unsupported Content-Encoding: %.*s", SLICE_FMT(name));
}

static bool negotiate_spans(const struct push_request *request, struct push_kind *out, struct err *err)
{
    struct slice rest = request->content_type, type = take_part(&rest);
    bool protobuf = is_type(type, "application/x-protobuf");
    switch (request->api) {
    case PUSH_API_SPANS:
        if (!protobuf && !is_type(type, "application/json"))
            return err_set(err, ERR_MEDIA_TYPE,
                           "415 unsupported media type, supported: [application/json, application/x-protobuf]");
        out->format = protobuf ? PUSH_SPANS_PROTOBUF : PUSH_SPANS_JSON;
        break;
    case PUSH_API_ZIPKIN:
        out->format = protobuf ? PUSH_ZIPKIN_PROTOBUF : PUSH_ZIPKIN_JSON;
        break;
    case PUSH_API_ZIPKIN_V1:
        out->format = PUSH_ZIPKIN_V1_JSON;
        break;
    default:
        if (type.len == 0)
            return err_set(err, ERR_INPUT, "Cannot parse content type: mime: no media type");
        if (!is_type(type, "application/x-thrift") && !is_type(type, "application/vnd.apache.thrift.binary"))
            return err_set(err, ERR_INPUT, "Unsupported content type: %.*s", SLICE_FMT(type));
        out->format = PUSH_JAEGER_THRIFT;
    }
    return spans_encoding(request->content_encoding, &out->encoding, err);
}

bool negotiate(const struct push_request *request, struct push_kind *out, struct err *err)
{
    switch (request->api) {
    case PUSH_API_LOKI:
    case PUSH_API_LEGACY:
        return negotiate_loki(request, out, err);
    case PUSH_API_OTLP:
        return negotiate_otlp(request, out, err);
    default:
        return negotiate_spans(request, out, err);
    }
}

void payload_put(struct buf *b, const struct payload_head *head)
{
    put_u8(b, PAYLOAD_VERSION);
    put_u8(b, (uint8_t)head->kind.format);
    put_u8(b, (uint8_t)head->kind.encoding);
    put_i64(b, head->arrival_ns);
    put_i64(b, head->oldest_ns);
    put_i64(b, head->newest_ns);
    put_prefixed(b, head->tenant);
}

bool payload_get(struct slice payload, struct payload_head *head_out, struct slice *body_out,
                 struct err *err)
{
    struct rd r = rd_of(payload);
    struct payload_head head = {0};
    uint8_t version = rd_u8(&r);
    head.kind.format = (enum push_format)rd_u8(&r);
    head.kind.encoding = (enum push_encoding)rd_u8(&r);
    head.arrival_ns = rd_i64(&r);
    head.oldest_ns = rd_i64(&r);
    head.newest_ns = rd_i64(&r);
    head.tenant = rd_prefixed(&r);
    if (r.bad || version != PAYLOAD_VERSION || head.kind.format < PUSH_LOKI_PROTOBUF ||
        head.kind.format > PUSH_JAEGER_THRIFT || head.kind.encoding > PUSH_ZLIB ||
        head.tenant.len > TENANT_BYTES_MAX)
        return err_set(err, ERR_CORRUPT, "the record holds no push of a version known here");
    *head_out = head;
    *body_out = slice_of(r.pos, rd_left(&r));
    return true;
}
