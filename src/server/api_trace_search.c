/* api_trace_search.c -- searches of traces: traces-http.md 13. */
#include "server/api_trace.h"

#include "base/clock.h"

static bool answer(const struct app *app, const struct request *rq, struct response *rs, struct err *err)
{
    struct params p;
    struct trace_search_options options;
    if (!params_read(rq, &p, err) ||
        !params_trace_search(&p, clock_wall_ns(), app->config->trace_search_range_ns, rq->arena, &options, err))
        return false;
    AUTO(traceql_freep) struct traceql *query = NULL;
    struct slice text = params_get(&p, "q");
    if (text.len > 0 && !api_trace_parse(text, false, rq->arena, &query, err))
        return false;
    struct query_context context = api_trace_context(app, rq);
    struct trace_search_result result;
    if (!trace_search(query, &options, &context, &result, err))
        return false;
    // Tempo tells names of spans where the query mentions them; Grafana's tables need them always.
    encode_trace_search(&rs->body, &result, api_trace_is_grafana(rq), api_trace_form(rq, rs));
    return true;
}

void api_trace_search(const struct app *app, const struct request *rq, struct response *rs)
{
    api_trace_answer(answer, app, rq, rs);
}
