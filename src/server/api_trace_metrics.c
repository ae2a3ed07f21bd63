/* api_trace_metrics.c -- metrics over spans: traces-http.md 15. Always JSON (11.1). */
#include "server/api_trace.h"

#include "base/clock.h"

static bool answer(const struct app *app, const struct request *rq, bool instant, struct response *rs, struct err *err)
{
    struct params p;
    struct trace_metrics_options options;
    if (!params_read(rq, &p, err) ||
        !params_trace_metrics(&p, clock_wall_ns(), instant, app->config->trace_metrics_range_ns, &options, err))
        return false;
    AUTO(traceql_freep) struct traceql *query = NULL;
    struct slice text = params_get(&p, "q");
    if (!api_trace_parse(text.len > 0 ? text : params_get(&p, "query"), true, rq->arena, &query, err))
        return false;
    struct query_context context = api_trace_context(app, rq);
    struct trace_metrics_result result;
    if (!trace_metrics(query, &options, &context, &result, err))
        return false;
    rs->content_type = CONTENT_JSON_PLAIN;
    encode_trace_metrics(&rs->body, &result, &options);
    return true;
}

static bool answer_range(const struct app *app, const struct request *rq, struct response *rs, struct err *err)
{
    return answer(app, rq, false, rs, err);
}

static bool answer_instant(const struct app *app, const struct request *rq, struct response *rs, struct err *err)
{
    return answer(app, rq, true, rs, err);
}

void api_trace_metrics(const struct app *app, const struct request *rq, struct response *rs)
{
    api_trace_answer(answer_range, app, rq, rs);
}

void api_trace_metrics_instant(const struct app *app, const struct request *rq, struct response *rs)
{
    api_trace_answer(answer_instant, app, rq, rs);
}
