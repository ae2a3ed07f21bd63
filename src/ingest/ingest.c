/*
 * ingest.c -- a push from headers and body to its answer, and the same batch again from the WAL.
 *
 *     negotiate -> inflate -> parse (loki_*, otlp_*) -> accept -> store_append -> answer
 *                  `------------------ build() ------------------'
 *
 * I1  build() depends on nothing but the payload header and the body, so that replay makes the batch that
 *     was acknowledged: the clock and the settings are read once, before, and recorded.
 */
#include "ingest/ingest.h"

#include "base/clock.h"
#include "base/codec.h"
#include "base/limits.h"
#include "base/metric.h"
#include "ingest/format.h"
#include "ingest/inflate.h"
#include "ingest/negotiate.h"

#include <assert.h>

enum { RETRY_AFTER_S = 5 };

static bool decompress(struct push_kind kind, struct slice body, struct arena *a, struct slice *out,
                       struct err *err)
{
    static const enum inflate_format formats[] = {
        [PUSH_GZIP] = INFLATE_GZIP, [PUSH_DEFLATE] = INFLATE_DEFLATE, [PUSH_ZSTD] = INFLATE_ZSTD, [PUSH_LZ4] = INFLATE_LZ4};
    *out = body.len > 0 ? body : SLICE(""); // never a NULL pointer
    if (kind.encoding != PUSH_PLAIN && !inflate_body(formats[kind.encoding], *out, a, out, err))
        return false;
    return kind.format != PUSH_LOKI_PROTOBUF || inflate_body(INFLATE_SNAPPY, *out, a, out, err);
}

// Everything between the headers and the store.
static bool build(const struct payload_head *head, struct slice body, struct arena *a,
                  struct accept *ac, struct err *err)
{
    struct slice text;
    accept_init(ac, a, head->tenant, head->oldest_ns, head->newest_ns);
    if (!decompress(head->kind, body, a, &text, err))
        return false;
    bool good = false;
    switch (head->kind.format) {
    case PUSH_LOKI_PROTOBUF:
        good = loki_pb_parse(text, ac, err);
        break;
    case PUSH_LOKI_JSON:
        good = loki_json_parse(text, ac, err);
        break;
    case PUSH_LOKI_JSON_LEGACY:
        good = loki_json_parse_legacy(text, ac, err);
        break;
    case PUSH_OTLP_PROTOBUF:
        good = otlp_pb_parse(text, head->arrival_ns, ac, err);
        break;
    case PUSH_OTLP_JSON:
        good = otlp_json_parse(text, head->arrival_ns, ac, err);
        break;
    }
    return good && accept_finish(ac, err);
}

// --- answers ----------------------------------------------------------------------------------------

static int status_of(enum err_code code)
{
    switch (code) {
    case ERR_INPUT:
        return 400;
    case ERR_EMPTY:
        return 422;
    case ERR_TOO_LARGE:
        return 413;
    default: // the same push may succeed later
        return 503;
    }
}

static void answer_error(struct push_answer *answer, const struct err *why, struct arena *a)
{
    int status = status_of(why->code);
    // A full arena is what a too large push ends with: the text must not need it.
    static const char too_large[] = "request body too large\n";
    const char *text = arena_printf(a, "%s\n", why->text);
    *answer = (struct push_answer){
        .status = status,
        .text = text[0] != '\0' ? slice_cstr(text) : slice_cstr(too_large),
        .retry_after_s = status == 503 ? RETRY_AFTER_S : 0,
    };
}

static uint64_t count_refusals(const struct accept *ac)
{
    static const enum metric_counter counters[REJECT_REASONS_COUNT] = {
        [REJECT_LABELS] = COUNTER_REJECTED_INVALID_LABELS,
        [REJECT_TOO_OLD] = COUNTER_REJECTED_TOO_OLD,
        [REJECT_TOO_NEW] = COUNTER_REJECTED_TOO_NEW,
        [REJECT_LINE] = COUNTER_REJECTED_LINE_TOO_LONG,
        [REJECT_METADATA] = COUNTER_REJECTED_METADATA,
    };
    uint64_t rejected = 0;
    for (int i = 0; i < REJECT_REASONS_COUNT; i++) {
        metric_add(counters[i], ac->rejected[i]);
        rejected += ac->rejected[i];
    }
    return rejected;
}

static bool append(struct store *store, const struct payload_head *head, struct slice body,
                   const struct accept *ac, struct err *err)
{
    AUTO(buf_done) struct buf start;
    buf_init(&start, 0);
    payload_put(&start, head);
    struct wal_payload payload = {buf_slice(&start), body};
    struct store_added added;
    if (!store_append(store, &ac->batch, &payload, &added, err)) {
        metric_add(COUNTER_REJECTED_STORE, ac->batch.entries_count);
        return false;
    }
    metric_add(COUNTER_ENTRIES_STORED, added.entries);
    metric_add(COUNTER_ENTRIES_DEDUPLICATED, ac->batch.entries_count - added.entries);
    return true;
}

static bool push(struct store *store, const struct ingest_options *options,
                 const struct push_request *request, struct arena *a, struct accept *ac,
                 struct err *err)
{
    int64_t now_ns = clock_wall_ns();
    struct payload_head head = {
        .arrival_ns = now_ns,
        .oldest_ns = options->retention_ns > 0 ? now_ns - options->retention_ns : INT64_MIN,
        .newest_ns = now_ns + INGEST_FUTURE_NS_MAX,
        .tenant = request->tenant,
    };
    if (!negotiate(request, &head.kind, err) || !build(&head, request->body, a, ac, err)) {
        metric_add(COUNTER_PUSH_INVALID, 1);
        return false;
    }
    metric_add(COUNTER_PUSH_LINE_BYTES, ac->line_bytes_seen);
    metric_add(COUNTER_ENTRIES_PUSHED, ac->entries_seen);
    uint64_t rejected = count_refusals(ac);
    assert(rejected + ac->batch.entries_count == ac->entries_seen);
    return ac->batch.entries_count == 0 || append(store, &head, request->body, ac, err);
}

void ingest_push(struct store *store, const struct ingest_options *options,
                 const struct push_request *request, struct arena *a, struct push_answer *answer_out)
{
    struct accept ac;
    struct err why;
    metric_add(COUNTER_PUSH_REQUESTS, 1);
    metric_add(COUNTER_PUSH_BODY_BYTES, request->body.len);
    if (!push(store, options, request, a, &ac, &why)) {
        answer_error(answer_out, &why, a);
        return;
    }
    struct slice refusals = accept_refusals(&ac, a);
    *answer_out = (struct push_answer){.status = ac.texts_count > 0 ? 400 : 204, .text = refusals};
}

void push_status_body(struct buf *b, struct slice message)
{
    enum { STATUS_MESSAGE = 2, BYTES = 2 };
    if (message.len > 0 && message.ptr[message.len - 1] == '\n')
        message.len--;
    put_varint(b, STATUS_MESSAGE << 3 | BYTES);
    put_prefixed(b, message);
}

// --- the WAL's side ---------------------------------------------------------------------------------

bool ingest_decode(void *ctx, struct slice payload, struct arena *a, struct batch *batch_out,
                   struct err *err)
{
    (void)ctx;
    struct payload_head head;
    struct slice body;
    struct accept ac;
    if (!payload_get(payload, &head, &body, err))
        return false;
    if (!build(&head, body, a, &ac, err)) {
        err->code = ERR_CORRUPT; // it was built once
        return err_wrap(err, "a recorded push cannot be decoded");
    }
    *batch_out = ac.batch;
    return true;
}

bool ingest_payload_info(struct slice payload, struct ingest_payload_info *info_out, struct err *err)
{
    static const char *const formats[] = {"", "protobuf", "json", "json-legacy", "otlp-protobuf", "otlp-json"};
    static const char *const encodings[] = {"none", "gzip", "deflate", "zstd", "lz4"};
    struct payload_head head;
    struct slice body;
    if (!payload_get(payload, &head, &body, err))
        return false;
    *info_out = (struct ingest_payload_info){
        .format = formats[head.kind.format],
        .encoding = head.kind.format == PUSH_LOKI_PROTOBUF && head.kind.encoding == PUSH_PLAIN
                        ? "snappy"
                        : encodings[head.kind.encoding],
        .arrival_ns = head.arrival_ns,
        .tenant = head.tenant,
        .body = body,
    };
    return true;
}
