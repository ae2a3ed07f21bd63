/* api_trace_tags.c -- names and values of attributes: traces-http.md 14. */
#include "server/api_trace.h"

static bool read_options(const struct app *app, const struct request *rq, struct params *p, struct trace_tags_options *out,
                         struct err *err)
{
    return params_read(rq, p, err) && params_trace_names(p, app->config->trace_search_range_ns, out, err);
}

// No scan where only intrinsics are asked for.
static bool find_names(const struct app *app, const struct request *rq, const struct trace_tags_options *options, unsigned scopes,
                       struct trace_tags *out, struct err *err)
{
    struct query_context context = api_trace_context(app, rq);
    *out = (struct trace_tags){0};
    return scopes == 0 || trace_tag_names(options, scopes, &context, out, err);
}

static bool answer_names_v1(const struct app *app, const struct request *rq, struct response *rs, struct err *err)
{
    struct params p;
    struct trace_tags_options options;
    struct trace_tags tags;
    unsigned scopes;
    bool intrinsics;
    return read_options(app, rq, &p, &options, err) && params_trace_scope(&p, false, &scopes, &intrinsics, err) &&
           find_names(app, rq, &options, scopes, &tags, err) &&
           encode_trace_tags_flat(&rs->body, &tags, intrinsics, options.limit, api_trace_form(rq, rs), rq->arena, err);
}

static bool answer_names_v2(const struct app *app, const struct request *rq, struct response *rs, struct err *err)
{
    struct params p;
    struct trace_tags_options options;
    struct trace_tags tags;
    unsigned scopes;
    bool intrinsics;
    if (!read_options(app, rq, &p, &options, err) || !params_trace_scope(&p, true, &scopes, &intrinsics, err) ||
        !find_names(app, rq, &options, scopes, &tags, err))
        return false;
    encode_trace_tags(&rs->body, &tags, intrinsics, api_trace_form(rq, rs));
    return true;
}

static bool answer_values_v1(const struct app *app, const struct request *rq, struct response *rs, struct err *err)
{
    struct params p;
    struct trace_tags_options options;
    struct trace_tag_values values;
    struct query_context context = api_trace_context(app, rq);
    if (!read_options(app, rq, &p, &options, err) || !trace_tag_values_flat(&options, rq->name, &context, &values, err))
        return false;
    encode_trace_values(&rs->body, &values, false, api_trace_form(rq, rs));
    return true;
}

static bool answer_values_v2(const struct app *app, const struct request *rq, struct response *rs, struct err *err)
{
    struct params p;
    struct trace_tags_options options;
    struct trace_tag_values values;
    struct query_context context = api_trace_context(app, rq);
    if (!read_options(app, rq, &p, &options, err))
        return false;
    if (!trace_tag_values(&options, rq->name, &context, &values, err)) {
        bool name = err->code == ERR_INPUT && slice_starts(slice_cstr(err->text), SLICE("failed to parse identifier"));
        return name ? err_wrap(err, "please provide a valid tagName") : false;
    }
    encode_trace_values(&rs->body, &values, true, api_trace_form(rq, rs));
    return true;
}

void api_trace_tags(const struct app *app, const struct request *rq, struct response *rs)
{
    api_trace_answer(answer_names_v1, app, rq, rs);
}

void api_trace_tags_v2(const struct app *app, const struct request *rq, struct response *rs)
{
    api_trace_answer(answer_names_v2, app, rq, rs);
}

void api_trace_values(const struct app *app, const struct request *rq, struct response *rs)
{
    api_trace_answer(answer_values_v1, app, rq, rs);
}

void api_trace_values_v2(const struct app *app, const struct request *rq, struct response *rs)
{
    api_trace_answer(answer_values_v2, app, rq, rs);
}
