/* api_push.c -- pushes, and the request to seal what is open. */
#include "server/route.h"

#include "base/clock.h"
#include "base/metric.h"

static void respond(struct response *rs, const struct push_answer *answer)
{
    rs->status = answer->status;
    rs->retry_after_s = answer->retry_after_s;
    rs->content_type = answer->content_type;
    rs->nosniff = answer->content_type != NULL && slice_starts(slice_cstr(answer->content_type), SLICE("text/"));
    buf_put_slice(&rs->body, answer->body);
}

static void push(const struct app *app, const struct request *rq, enum push_api api, struct response *rs)
{
    struct push_request request = {.api = api,
                                   .tenant = rq->tenant,
                                   .content_type = rq->content_type,
                                   .content_encoding = rq->content_encoding,
                                   .body = rq->body};
    struct push_answer answer;
    ingest_push(app->store, &app->ingest, &request, rq->arena, &answer);
    respond(rs, &answer);
    metric_observe_ns(HISTOGRAM_PUSH_SECONDS, clock_mono_ns() - rq->arrival_mono_ns);
}

void api_push(const struct app *app, const struct request *rq, struct response *rs)
{
    push(app, rq, PUSH_API_LOKI, rs);
}

void api_push_legacy(const struct app *app, const struct request *rq, struct response *rs)
{
    push(app, rq, PUSH_API_LEGACY, rs);
}

void api_push_otlp(const struct app *app, const struct request *rq, struct response *rs)
{
    push(app, rq, PUSH_API_OTLP, rs);
}

void api_push_spans(const struct app *app, const struct request *rq, struct response *rs)
{
    push(app, rq, PUSH_API_SPANS, rs);
}

void api_push_zipkin(const struct app *app, const struct request *rq, struct response *rs)
{
    push(app, rq, PUSH_API_ZIPKIN, rs);
}

void api_push_zipkin_v1(const struct app *app, const struct request *rq, struct response *rs)
{
    push(app, rq, PUSH_API_ZIPKIN_V1, rs);
}

void api_push_jaeger(const struct app *app, const struct request *rq, struct response *rs)
{
    push(app, rq, PUSH_API_JAEGER, rs);
}

void api_refuse_spans(const struct request *rq, int status, const char *text, struct arena *a, struct response *rs)
{
    struct push_answer answer;
    push_refuse(PUSH_API_SPANS, rq->content_type, status, slice_cstr(text), a, &answer);
    response_reset(rs);
    respond(rs, &answer);
}

void api_flush(const struct app *app, const struct request *rq, struct response *rs)
{
    (void)rq;
    struct err err;
    if (store_flush(app->store, &err)) {
        rs->status = 204;
        return;
    }
    response_error(rs, &err, true);
}
