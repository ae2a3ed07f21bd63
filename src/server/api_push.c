/* api_push.c -- pushes, and the request to seal what is open. */
#include "server/route.h"

#include "base/clock.h"
#include "base/metric.h"

static void push(const struct app *app, const struct request *rq, enum push_api api, struct response *rs)
{
    struct push_request request = {.api = api,
                                   .tenant = rq->tenant,
                                   .content_type = rq->content_type,
                                   .content_encoding = rq->content_encoding,
                                   .body = rq->body};
    struct push_answer answer;
    ingest_push(app->store, &app->ingest, &request, rq->arena, &answer);
    rs->status = answer.status;
    rs->retry_after_s = answer.retry_after_s;
    if (answer.status != 204 && api == PUSH_API_OTLP) {
        rs->content_type = "application/octet-stream";
        push_status_body(&rs->body, answer.text);
    } else if (answer.status != 204) {
        rs->content_type = CONTENT_TEXT;
        rs->nosniff = true;
        buf_put_slice(&rs->body, answer.text);
    }
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
