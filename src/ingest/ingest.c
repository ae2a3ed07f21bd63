/*
 * ingest.c -- a push from headers and body to its answer, and the same batch again from the WAL.
 *
 *     negotiate -> inflate -> parse (loki_*, otlp_logs_*)             -> accept -> store_append -> answer
 *                             parse (otlp_spans_*, zipkin_*, jaeger_*) -> spans
 *                  `--------------------- build() ------------------------------'
 *
 * I1  build() depends on nothing but the payload header and the body, so that replay makes the batch that
 *     was acknowledged: the clock and the settings are read once, before, and recorded.
 */
#include "ingest/ingest.h"

#include "base/clock.h"
#include "base/codec.h"
#include "base/limits.h"
#include "base/metric.h"
#include "ingest/answer.h"
#include "ingest/format.h"
#include "ingest/inflate.h"
#include "ingest/negotiate.h"

#include <assert.h>

// What a push comes to: one of the two, by its format.
struct intake {
    const struct retention *retention; // by whose rules streams are refused; NULL at replay
    struct accept entries;
    struct spans spans;
    const struct batch *batch;
};

static void intake_done(struct intake *in)
{
    spans_done(&in->spans);
}

static bool decompress(struct push_kind kind, struct slice body, struct arena *a, struct slice *out,
                       struct err *err)
{
    static const enum inflate_format formats[] = {
        [PUSH_GZIP] = INFLATE_GZIP, [PUSH_DEFLATE] = INFLATE_DEFLATE, [PUSH_ZSTD] = INFLATE_ZSTD,
        [PUSH_LZ4] = INFLATE_LZ4,   [PUSH_ZLIB] = INFLATE_ZLIB};
    *out = body.len > 0 ? body : SLICE(""); // never a NULL pointer
    if (kind.encoding != PUSH_PLAIN && !inflate_body(formats[kind.encoding], *out, a, out, err))
        return false;
    return kind.format != PUSH_LOKI_PROTOBUF || inflate_body(INFLATE_SNAPPY, *out, a, out, err);
}

static bool build_entries(const struct payload_head *head, struct slice text, struct accept *ac, struct err *err)
{
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
        good = otlp_logs_pb_parse(text, head->arrival_ns, ac, err);
        break;
    default:
        good = otlp_logs_json_parse(text, head->arrival_ns, ac, err);
        break;
    }
    return good && accept_finish(ac, err);
}

// Zipkin and Jaeger have no way to tell that some spans were rejected: then the request is refused.
static bool all_or_nothing(const struct spans *spans, struct err *err)
{
    if (spans->refusals.count == 0)
        return true;
    struct slice text = refusals_text(&spans->refusals, spans->arena);
    return err_set(err, ERR_INPUT, "%.*s", SLICE_FMT(text));
}

static bool build_spans(const struct payload_head *head, struct slice text, struct spans *spans, struct err *err)
{
    bool good = false;
    switch (head->kind.format) {
    case PUSH_SPANS_PROTOBUF:
        return otlp_spans_pb_parse(text, spans, err) && spans_finish(spans, err);
    case PUSH_SPANS_JSON:
        return otlp_spans_json_parse(text, spans, err) && spans_finish(spans, err);
    case PUSH_ZIPKIN_JSON:
        good = zipkin_json_parse(text, spans, err);
        break;
    case PUSH_ZIPKIN_PROTOBUF:
        good = zipkin_pb_parse(text, spans, err);
        break;
    case PUSH_ZIPKIN_V1_JSON:
        good = zipkin_v1_parse(text, spans, err);
        break;
    default:
        good = jaeger_thrift_parse(text, spans, err);
        break;
    }
    return good && spans_finish(spans, err) && all_or_nothing(spans, err);
}

// Everything between the headers and the store.
static bool build(const struct payload_head *head, struct slice body, struct arena *a, struct intake *in, struct err *err)
{
    struct slice text;
    bool spans = push_is_spans(head->kind.format);
    if (spans)
        spans_init(&in->spans, a, head->tenant, head->oldest_ns, in->retention, head->arrival_ns);
    else
        accept_init(&in->entries, a, head->tenant, head->oldest_ns, head->newest_ns, in->retention, head->arrival_ns);
    in->batch = spans ? &in->spans.batch : &in->entries.batch;
    if (!decompress(head->kind, body, a, &text, err))
        return false;
    return spans ? build_spans(head, text, &in->spans, err) : build_entries(head, text, &in->entries, err);
}

// --- counting ---------------------------------------------------------------------------------------

static void count_entries(const struct accept *ac)
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
    metric_add(COUNTER_PUSH_LINE_BYTES, ac->line_bytes_seen);
    metric_add(COUNTER_ENTRIES_PUSHED, ac->entries_seen);
    assert(rejected + ac->batch.entries_count == ac->entries_seen);
}

static void count_spans(const struct spans *spans)
{
    static const enum metric_counter counters[SPAN_REJECTS_COUNT] = {
        [SPAN_REJECT_INVALID] = COUNTER_SPANS_REJECTED_INVALID,
        [SPAN_REJECT_TOO_OLD] = COUNTER_SPANS_REJECTED_TOO_OLD,
        [SPAN_REJECT_TOO_LARGE] = COUNTER_SPANS_REJECTED_TOO_LARGE,
    };
    for (int i = 0; i < SPAN_REJECTS_COUNT; i++)
        metric_add(counters[i], spans->rejected[i]);
    metric_add(COUNTER_SPANS_PUSHED, spans->seen);
    assert(spans_rejected(spans) + spans->batch.spans_count == spans->seen);
}

// --- pushing ----------------------------------------------------------------------------------------

static bool append(struct store *store, const struct payload_head *head, struct slice body, const struct batch *batch,
                   struct err *err)
{
    AUTO(buf_done) struct buf start;
    buf_init(&start, 0);
    payload_put(&start, head);
    struct wal_payload payload = {buf_slice(&start), body};
    struct store_added added;
    if (!store_append(store, batch, &payload, &added, err)) {
        metric_add(COUNTER_REJECTED_STORE, batch->entries_count);
        metric_add(COUNTER_SPANS_REJECTED_STORE, batch->spans_count);
        return head->kind.format == PUSH_JAEGER_THRIFT ? err_wrap(err, "Cannot submit Jaeger batch") : false;
    }
    metric_add(COUNTER_ENTRIES_STORED, added.entries);
    metric_add(COUNTER_ENTRIES_DEDUPLICATED, batch->entries_count - added.entries);
    metric_add(COUNTER_SPANS_STORED, added.spans);
    metric_add(COUNTER_SPANS_DEDUPLICATED, batch->spans_count - added.spans);
    return true;
}

static bool push(struct store *store, const struct ingest_options *options, const struct push_request *request,
                 struct arena *a, struct intake *in, struct err *err)
{
    int64_t now_ns = clock_wall_ns();
    struct payload_head head = {
        .arrival_ns = now_ns,
        .oldest_ns = options->retention == NULL
                         ? INT64_MIN
                         : retention_horizon(retention_bounds(options->retention, request->tenant).longest_ns, now_ns),
        .newest_ns = now_ns + INGEST_FUTURE_NS_MAX,
        .tenant = request->tenant,
    };
    in->retention = options->retention;
    if (!negotiate(request, &head.kind, err) || !build(&head, request->body, a, in, err)) {
        metric_add(COUNTER_PUSH_INVALID, 1);
        return false;
    }
    if (push_is_spans(head.kind.format))
        count_spans(&in->spans);
    else
        count_entries(&in->entries);
    return (in->batch->entries_count == 0 && in->batch->spans_count == 0) ||
           append(store, &head, request->body, in->batch, err);
}

static void answer_entries(const struct push_request *request, const struct accept *ac, struct arena *a,
                           struct push_answer *answer_out)
{
    if (ac->refusals.count > 0)
        push_refuse(request->api, request->content_type, 400, refusals_text(&ac->refusals, a), a, answer_out);
    else
        answer_stored(request->api, request->content_type, 0, SLICE(""), a, answer_out);
}

static void answer_spans(const struct push_request *request, const struct spans *spans, struct arena *a,
                         struct push_answer *answer_out)
{
    struct slice text = refusals_text(&spans->refusals, a);
    if (spans->seen > 0 && spans->batch.spans_count == 0) // nothing of it can be stored: the sender is wrong
        push_refuse(request->api, request->content_type, 400, text, a, answer_out);
    else
        answer_stored(request->api, request->content_type, spans_rejected(spans), text, a, answer_out);
}

void ingest_push(struct store *store, const struct ingest_options *options, const struct push_request *request,
                 struct arena *a, struct push_answer *answer_out)
{
    AUTO(intake_done) struct intake in = {.batch = NULL};
    struct err why;
    metric_add(COUNTER_PUSH_REQUESTS, 1);
    metric_add(COUNTER_PUSH_BODY_BYTES, request->body.len);
    if (!push(store, options, request, a, &in, &why))
        answer_error(request->api, request->content_type, &why, a, answer_out);
    else if (in.batch == &in.spans.batch)
        answer_spans(request, &in.spans, a, answer_out);
    else
        answer_entries(request, &in.entries, a, answer_out);
}

// --- the WAL's side ---------------------------------------------------------------------------------

bool ingest_decode(void *ctx, struct slice payload, struct arena *a, struct batch *batch_out,
                   struct err *err)
{
    (void)ctx;
    struct payload_head head;
    struct slice body;
    AUTO(intake_done) struct intake in = {.batch = NULL};
    if (!payload_get(payload, &head, &body, err))
        return false;
    if (!build(&head, body, a, &in, err)) {
        err->code = ERR_CORRUPT; // it was built once
        return err_wrap(err, "a recorded push cannot be decoded");
    }
    *batch_out = *in.batch;
    return true;
}

bool ingest_payload_info(struct slice payload, struct ingest_payload_info *info_out, struct err *err)
{
    static const char *const formats[] = {
        "",               "protobuf",   "json",        "json-legacy",     "otlp-protobuf",  "otlp-json",
        "spans-protobuf", "spans-json", "zipkin-json", "zipkin-protobuf", "zipkin-v1-json", "jaeger-thrift"};
    static const char *const encodings[] = {"none", "gzip", "deflate", "zstd", "lz4", "zlib"};
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
