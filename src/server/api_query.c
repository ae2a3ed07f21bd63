/* api_query.c -- query_range and query: loki-http.md 6 and 7. */
#include "server/route.h"

#include "base/clock.h"
#include "base/labels.h"
#include "base/limits.h"
#include "base/metric.h"
#include "query/encode.h"
#include "server/params.h"
#include "server/tail.h"

#include <strings.h>

// Logs Drilldown shows what it gets beside a warning, others an error (loki-http.md 1.2).
static bool is_drilldown(struct slice tags)
{
    static const char key[] = "source=";
    for (struct slice tag; slice_next(&tags, ',', &tag);) {
        tag = slice_trim(tag);
        if (tag.len > strlen(key) && strncasecmp((const char *)tag.ptr, key, strlen(key)) == 0 &&
            slice_eq(slice_from(tag, strlen(key)), SLICE("grafana-lokiexplore-app")))
            return true;
    }
    return false;
}

static bool run(const struct app *app, const struct request *rq, const struct query *query,
                const struct query_range *range, bool explain, struct response *rs, struct err *err)
{
    struct query_context context = {
        .store = app->store,
        .crew = app->crew,
        .tenant = rq->tenant,
        .arena = rq->arena,
        .categorize = slice_lists(rq->encoding_flags, ',', SLICE("categorize-labels")),
        .partial_series = is_drilldown(rq->query_tags),
        .deadline_mono_ns = rq->arrival_mono_ns + app->config->query_timeout_ns,
        .cancelled = rq->cancelled,
    };
    struct query_result result;
    if (!query_run(query, range, &context, &result, err))
        return false;
    if (explain) {
        rs->content_type = CONTENT_TEXT;
        query_explain(query, &result.stats, app->crew, &rs->body);
        return true;
    }
    struct encode_options options = {.encoding_flags = rq->encoding_flags,
                                     .categorize = context.categorize,
                                     .queue_ns = rq->start_mono_ns - rq->arrival_mono_ns};
    rs->content_type = CONTENT_JSON;
    encode_result(&rs->body, &result, &options);
    return true;
}

// Our own: `explain=1` runs the query and answers how, as text.
static bool wants_explain(const struct params *p)
{
    return slice_eq(params_get(p, "explain"), SLICE("1"));
}

static bool answer_range(const struct app *app, const struct request *rq, struct response *rs,
                         struct err *err)
{
    struct params p;
    struct params_range times;
    struct query_range range = {0};
    if (!params_read(rq, &p, err) || !params_limit(&p, &range.limit, err) ||
        !params_range(&p, clock_wall_ns(), &times, err) || !params_ordered(&times, err))
        return false;
    if (!params_forward(&p, &range.forward, err) || !params_step(&p, &times, &range.step_ns, err) ||
        !params_interval(&p, &range.interval_ns, err))
        return false;
    AUTO(query_freep) struct query *query = NULL;
    if (!query_parse(params_get(&p, "query"), rq->arena, &query, err) || !params_length_ok(&times, err))
        return false;
    if (query_kind(query) == QUERY_LOGS) {
        if (!params_entries_ok(range.limit, err))
            return false;
    } else {
        params_align(&times, range.step_ns);
    }
    range.from_ns = times.from_ns;
    range.to_ns = times.to_ns;
    return run(app, rq, query, &range, wants_explain(&p), rs, err);
}

static bool answer_instant(const struct app *app, const struct request *rq, struct response *rs,
                           struct err *err)
{
    struct params p;
    struct query_range range = {0};
    if (!params_read(rq, &p, err) || !params_limit(&p, &range.limit, err) ||
        !params_instant(&p, clock_wall_ns(), &range.from_ns, err) ||
        !params_forward(&p, &range.forward, err))
        return false;
    AUTO(query_freep) struct query *query = NULL;
    if (!query_parse(params_get(&p, "query"), rq->arena, &query, err))
        return false;
    if (query_kind(query) == QUERY_LOGS)
        return err_set(err, ERR_INPUT,
                       "log queries are not supported as an instant query type, please change your query "
                       "to a range query type");
    range.to_ns = range.from_ns;
    return run(app, rq, query, &range, wants_explain(&p), rs, err);
}

static struct slice with_regexp(struct slice query, struct slice regexp, struct arena *a)
{
    AUTO(buf_done) struct buf b;
    buf_init(&b, 0);
    buf_put_slice(&b, query);
    buf_put_cstr(&b, " |~ ");
    labels_quote(&b, regexp);
    return arena_copy(a, buf_slice(&b));
}

// Legacy: a log query, its entries with label strings and times as text (loki-http.md 8).
static bool answer_legacy(const struct app *app, const struct request *rq, struct response *rs,
                          struct err *err)
{
    struct params p;
    struct params_range times;
    struct query_range range = {0};
    if (!params_read(rq, &p, err) || !params_limit(&p, &range.limit, err) ||
        !params_range(&p, clock_wall_ns(), &times, err) || !params_ordered(&times, err) ||
        !params_forward(&p, &range.forward, err))
        return false;
    struct slice text = params_get(&p, "query"), regexp = params_get(&p, "regexp");
    AUTO(query_freep) struct query *query = NULL;
    if (!query_parse(text, rq->arena, &query, err) || !params_length_ok(&times, err) ||
        !params_entries_ok(range.limit, err))
        return false;
    if (query_kind(query) != QUERY_LOGS)
        return err_set(err, ERR_INPUT, "legacy endpoints only support streams result type");
    AUTO(query_freep) struct query *filtered = NULL;
    if (regexp.len > 0 && !query_parse(with_regexp(text, regexp, rq->arena), rq->arena, &filtered, err))
        return false;
    range.from_ns = times.from_ns;
    range.to_ns = times.to_ns;
    struct query_context context = {.store = app->store, .crew = app->crew, .tenant = rq->tenant, .arena = rq->arena,
                                    .deadline_mono_ns = rq->arrival_mono_ns + app->config->query_timeout_ns,
                                    .cancelled = rq->cancelled};
    struct query_result result;
    if (!query_run(filtered != NULL ? filtered : query, &range, &context, &result, err))
        return false;
    rs->content_type = CONTENT_JSON;
    encode_legacy(&rs->body, &result);
    return true;
}

static void answer(bool (*run_query)(const struct app *app, const struct request *rq,
                                     struct response *rs, struct err *err),
                   const struct app *app, const struct request *rq, struct response *rs)
{
    struct err err;
    metric_gauge_add(GAUGE_QUERIES_RUNNING, 1);
    if (!run_query(app, rq, rs, &err))
        response_error(rs, &err, false);
    metric_gauge_add(GAUGE_QUERIES_RUNNING, -1);
    metric_observe_ns(HISTOGRAM_QUERY_SECONDS, clock_mono_ns() - rq->arrival_mono_ns);
}

void api_query_range(const struct app *app, const struct request *rq, struct response *rs)
{
    answer(answer_range, app, rq, rs);
}

void api_query(const struct app *app, const struct request *rq, struct response *rs)
{
    answer(answer_instant, app, rq, rs);
}

void api_query_legacy(const struct app *app, const struct request *rq, struct response *rs)
{
    answer(answer_legacy, app, rq, rs);
}

// --- tail -------------------------------------------------------------------------------------------

static void tail(const struct app *app, const struct request *rq, bool legacy, struct response *rs)
{
    struct err err;
    bool websocket = rq->websocket_key.len > 0 && rq->upgrade.len == strlen("websocket") &&
                     strncasecmp((const char *)rq->upgrade.ptr, "websocket", rq->upgrade.len) == 0;
    if (!websocket)
        response_text(rs, 400, "Bad Request\nthe client is not using the websocket protocol, version 13", false);
    else if (!tail_open(app->tails, rq, legacy, &rs->tail, &err))
        response_error(rs, &err, false);
}

void api_tail(const struct app *app, const struct request *rq, struct response *rs)
{
    tail(app, rq, false, rs);
}

void api_tail_legacy(const struct app *app, const struct request *rq, struct response *rs)
{
    tail(app, rq, true, rs);
}
