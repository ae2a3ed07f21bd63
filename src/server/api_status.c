/* api_status.c -- what the server says about itself: loki-http.md 14. */
#include "server/route.h"

#include "base/jsonout.h"
#include "base/metric.h"
#include "server/params.h"

void api_ready(const struct app *app, const struct request *rq, struct response *rs)
{
    (void)rq;
    struct err err;
    if (atomic_load(&app->stopping))
        response_text(rs, 503, "stopping", true);
    else if (!store_writable(app->store, &err))
        response_text(rs, 503, err.text, true);
    else
        response_text(rs, 200, "ready", true);
}

void api_metrics(const struct app *app, const struct request *rq, struct response *rs)
{
    (void)rq;
    struct store_stats s;
    struct err err;
    store_stats(app->store, &s);
    metric_set(GAUGE_HEAD_BYTES, (int64_t)s.head_bytes);
    metric_set(GAUGE_HEAD_STREAMS, s.head_streams);
    metric_set(GAUGE_WAL_OPEN_BYTES, (int64_t)s.wal_bytes);
    metric_set(GAUGE_SEGMENTS, s.segments_count);
    metric_set(GAUGE_SEGMENT_BYTES, (int64_t)s.segment_bytes);
    metric_set(GAUGE_STREAMS, (int64_t)s.streams_count);
    metric_set(GAUGE_STORE_WRITABLE, store_writable(app->store, &err));
    rs->content_type = "text/plain; version=0.0.4; charset=utf-8";
    metric_print(&rs->body);
}

void api_config(const struct app *app, const struct request *rq, struct response *rs)
{
    (void)rq;
    rs->content_type = CONTENT_TEXT;
    config_print_yaml(app->config, &rs->body);
}

void api_buildinfo(const struct app *app, const struct request *rq, struct response *rs)
{
    (void)app;
    (void)rq;
    rs->content_type = CONTENT_JSON_PLAIN;
    buf_put_cstr(&rs->body, "{\"version\":\"" MSTORE_VERSION "\",\"revision\":\"\",\"branch\":\"\","
                            "\"buildUser\":\"\",\"buildDate\":\"\",\"goVersion\":\"\"}\n");
}

void api_format_query(const struct app *app, const struct request *rq, struct response *rs)
{
    (void)app;
    struct params p;
    struct err err;
    AUTO(buf_done) struct buf text;
    buf_init(&text, 0);
    bool good = params_read(rq, &p, &err) &&
                query_format(params_get(&p, "query"), rq->arena, &text, &err);
    rs->status = good ? 200 : 400;
    rs->content_type = CONTENT_JSON;
    buf_put_cstr(&rs->body, good ? "{\"status\":\"success\",\"data\":" : "{\"status\":\"invalid-query\",\"error\":");
    jsonout_string(&rs->body, good ? buf_slice(&text) : slice_cstr(err.text));
    buf_put_cstr(&rs->body, "}\n");
}
