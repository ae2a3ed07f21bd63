/* api_trace.c -- a trace by its ID, and what tells of the API itself: traces-http.md 12, 16. */
#include "server/api_trace.h"

#include "base/clock.h"
#include "base/limits.h"
#include "base/metric.h"

// --- shared -----------------------------------------------------------------------------------------

struct query_context api_trace_context(const struct app *app, const struct request *rq)
{
    return (struct query_context){.store = app->store,
                                  .crew = app->crew,
                                  .tenant = rq->tenant,
                                  .arena = rq->arena,
                                  .deadline_mono_ns = rq->arrival_mono_ns + app->config->query_timeout_ns,
                                  .cancelled = rq->cancelled};
}

enum encode_form api_trace_form(const struct request *rq, struct response *rs)
{
    bool protobuf = slice_find(rq->accept, SLICE("application/protobuf")) != SIZE_MAX;
    rs->content_type = protobuf ? "application/protobuf" : CONTENT_JSON_PLAIN;
    return protobuf ? ENCODE_PROTOBUF : ENCODE_JSON;
}

bool api_trace_is_grafana(const struct request *rq)
{
    return slice_starts(rq->user_agent, SLICE("Grafana/"));
}

bool api_trace_parse(struct slice text, bool metrics, struct arena *a, struct traceql **out, struct err *err)
{
    bool syntax = false;
    if (text.len > QUERY_TEXT_BYTES_MAX)
        return err_set(err, ERR_INPUT,
                       "TraceQL expression exceeds the configured maximum size of %d bytes, reduce the query expression size or "
                       "contact your system administrator",
                       (int)QUERY_TEXT_BYTES_MAX);
    if (traceql_parse(text, a, out, &syntax, err))
        return true;
    if (!metrics)
        return err_wrap(err, "invalid TraceQL query");
    return syntax ? false : err_wrap(err, "compiling query");
}

void api_trace_answer(bool (*run)(const struct app *app, const struct request *rq, struct response *rs, struct err *err),
                      const struct app *app, const struct request *rq, struct response *rs)
{
    struct err err;
    metric_add(COUNTER_QUERIES, 1);
    metric_gauge_add(GAUGE_QUERIES_RUNNING, 1);
    if (!run(app, rq, rs, &err)) {
        metric_add(COUNTER_QUERY_FAILURES, 1);
        response_error(rs, &err, false);
    }
    metric_gauge_add(GAUGE_QUERIES_RUNNING, -1);
    metric_observe_ns(HISTOGRAM_QUERY_SECONDS, clock_mono_ns() - rq->arrival_mono_ns);
}

// --- by ID ------------------------------------------------------------------------------------------

static bool find_trace(const struct app *app, const struct request *rq, struct trace *out, struct err *err)
{
    struct params p;
    uint8_t id[TRACE_ID_BYTES];
    struct query_context context = api_trace_context(app, rq);
    return params_trace_id(rq->name, id, err) && params_read(rq, &p, err) && params_trace_hints(&p, err) &&
           trace_by_id(&context, id, out, err);
}

static bool encode(const struct request *rq, const struct trace *trace, bool envelope, struct response *rs, struct err *err)
{
    struct encode_trace_options options = {.form = api_trace_form(rq, rs),
                                           .envelope = envelope,
                                           .name_resources = api_trace_is_grafana(rq),
                                           .bytes_max = TRACE_BYTES_MAX};
    return encode_trace(&rs->body, trace, &options, rq->arena, err);
}

// What a header may hold of it: its text may have a path's bytes.
static const char *header_text(struct arena *a, const char *text)
{
    char *copy = arena_alloc(a, strlen(text) + 1);
    if (copy == NULL)
        return "incomplete result";
    for (size_t i = 0; i <= strlen(text); i++)
        copy[i] = text[i] != '\0' && (text[i] < ' ' || text[i] > '~') ? '?' : text[i];
    return copy;
}

// 404 without a body for what is not there, and 422 for what cannot be given whole (12.2).
static bool answer_v1(const struct app *app, const struct request *rq, struct response *rs, struct err *err)
{
    struct trace trace;
    if (!find_trace(app, rq, &trace, err))
        return false;
    if (trace.warnings.count > 0) // the message itself has no place for it
        rs->warning = header_text(rq->arena, trace.warnings.items[0]);
    if (trace.spans_count == 0) {
        rs->status = 404;
        return true;
    }
    if (encode(rq, &trace, false, rs, err))
        return true;
    if (err->code != ERR_TOO_LARGE)
        return false;
    response_text(rs, 422, err->text, false);
    return true;
}

static bool answer_v2(const struct app *app, const struct request *rq, struct response *rs, struct err *err)
{
    struct trace trace;
    return find_trace(app, rq, &trace, err) && encode(rq, &trace, true, rs, err);
}

void api_trace(const struct app *app, const struct request *rq, struct response *rs)
{
    api_trace_answer(answer_v1, app, rq, rs);
}

void api_trace_v2(const struct app *app, const struct request *rq, struct response *rs)
{
    api_trace_answer(answer_v2, app, rq, rs);
}

// --- the API itself ---------------------------------------------------------------------------------

void api_trace_echo(const struct app *app, const struct request *rq, struct response *rs)
{
    (void)app;
    (void)rq;
    response_text(rs, 200, "echo", true);
}

// Grafana takes from `version` which of Tempo's endpoints there are.
void api_trace_buildinfo(const struct app *app, const struct request *rq, struct response *rs)
{
    (void)app;
    (void)rq;
    rs->content_type = CONTENT_JSON_PLAIN;
    buf_put_cstr(&rs->body, "{\"version\":\"2.9.0\",\"revision\":\"\",\"branch\":\"\",\"buildDate\":\"\",\"buildUser\":\"\","
                            "\"goVersion\":\"\",\"mstore\":\"" MSTORE_VERSION "\"}\n");
}
