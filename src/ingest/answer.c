/* answer.c -- see answer.h. */
#include "ingest/answer.h"

#include "base/codec.h"
#include "base/jsonout.h"

#include <inttypes.h>
#include <strings.h>

#define TYPE_TEXT "text/plain; charset=utf-8"
#define TYPE_JSON "application/json"
#define TYPE_PROTOBUF "application/x-protobuf"

enum { RETRY_AFTER_S = 5 };
enum { WIRE_VARINT = 0, WIRE_BYTES = 2 };
enum { STATUS_CODE = 1, STATUS_MESSAGE = 2 };                                // google.rpc.Status
enum { RESPONSE_PARTIAL = 1, PARTIAL_REJECTED = 1, PARTIAL_MESSAGE = 2 }; // ExportTraceServiceResponse

static int status_of(enum err_code code)
{
    switch (code) {
    case ERR_INPUT:
        return 400;
    case ERR_EMPTY:
        return 422;
    case ERR_TOO_LARGE:
        return 413;
    case ERR_MEDIA_TYPE:
        return 415;
    default: // the same push may succeed later
        return 503;
    }
}

// What gRPC calls a status of HTTP (traces-http.md 4.5).
static uint32_t rpc_code(int status)
{
    switch (status) {
    case 401:
        return 16;
    case 403:
        return 7;
    case 429:
        return 8;
    case 503:
        return 14;
    default:
        return status < 500 ? 3 : 13;
    }
}

static void put_bytes_field(struct buf *b, uint32_t number, struct slice bytes)
{
    put_varint(b, number << 3 | WIRE_BYTES);
    put_prefixed(b, bytes);
}

static void put_varint_field(struct buf *b, uint32_t number, uint64_t value)
{
    put_varint(b, number << 3 | WIRE_VARINT);
    put_varint(b, value);
}

static bool is_json(struct slice content_type)
{
    struct slice json = SLICE("application/json");
    return content_type.len >= json.len &&
           strncasecmp((const char *)content_type.ptr, (const char *)json.ptr, json.len) == 0;
}

static void set_body(struct push_answer *answer, const char *type, const struct buf *b, struct arena *a)
{
    answer->body = arena_copy(a, buf_slice(b));
    answer->content_type = type;
}

// --- refusals ---------------------------------------------------------------------------------------

static void put_rpc_status(struct buf *b, bool json, int status, struct slice text)
{
    if (json) {
        buf_printf(b, "{\"code\":%" PRIu32 ",\"message\":", rpc_code(status));
        jsonout_string(b, text);
        buf_put_byte(b, '}');
        return;
    }
    put_varint_field(b, STATUS_CODE, rpc_code(status));
    put_bytes_field(b, STATUS_MESSAGE, text);
}

void push_refuse(enum push_api api, struct slice content_type, int status, struct slice text, struct arena *a,
                 struct push_answer *answer_out)
{
    AUTO(buf_done) struct buf b;
    buf_init(&b, 0);
    *answer_out = (struct push_answer){.status = status, .retry_after_s = status == 503 ? RETRY_AFTER_S : 0};
    if (api == PUSH_API_SPANS && status != 404 && status != 405 && status != 415) {
        bool json = is_json(content_type);
        put_rpc_status(&b, json, status, text);
        set_body(answer_out, json ? TYPE_JSON : TYPE_PROTOBUF, &b, a);
    } else if (api == PUSH_API_OTLP) {
        put_bytes_field(&b, STATUS_MESSAGE, text);
        set_body(answer_out, "application/octet-stream", &b, a);
    } else {
        buf_put_slice(&b, text);
        if (api != PUSH_API_SPANS)
            buf_put_byte(&b, '\n');
        set_body(answer_out, TYPE_TEXT, &b, a);
    }
}

void answer_error(enum push_api api, struct slice content_type, const struct err *why, struct arena *a,
                  struct push_answer *answer_out)
{
    if (a->overflowed) // by this request, of which nothing is needed any more
        arena_reset(a);
    push_refuse(api, content_type, status_of(why->code), slice_cstr(why->text), a, answer_out);
}

// --- success ----------------------------------------------------------------------------------------

static void put_partial_success(struct buf *b, bool json, uint64_t rejected, struct slice text)
{
    if (json) {
        buf_printf(b, "{\"partialSuccess\":{\"rejectedSpans\":\"%" PRIu64 "\",\"errorMessage\":", rejected);
        jsonout_string(b, text);
        buf_put_cstr(b, "}}");
        return;
    }
    AUTO(buf_done) struct buf partial;
    buf_init(&partial, 0);
    put_varint_field(&partial, PARTIAL_REJECTED, rejected);
    put_bytes_field(&partial, PARTIAL_MESSAGE, text);
    put_bytes_field(b, RESPONSE_PARTIAL, buf_slice(&partial));
}

void answer_stored(enum push_api api, struct slice content_type, uint64_t rejected, struct slice text, struct arena *a,
                   struct push_answer *answer_out)
{
    AUTO(buf_done) struct buf b;
    buf_init(&b, 0);
    if (api != PUSH_API_SPANS) {
        bool loki = api == PUSH_API_LOKI || api == PUSH_API_LEGACY || api == PUSH_API_OTLP;
        *answer_out = (struct push_answer){.status = loki ? 204 : 202};
        return;
    }
    bool json = is_json(content_type);
    *answer_out = (struct push_answer){.status = 200};
    if (rejected > 0)
        put_partial_success(&b, json, rejected, text);
    else if (json)
        buf_put_cstr(&b, "{}");
    set_body(answer_out, json ? TYPE_JSON : TYPE_PROTOBUF, &b, a);
}
