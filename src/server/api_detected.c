/* api_detected.c -- what Logs Drilldown asks about labels, fields and patterns: loki-http.md 11, 12. */
#include "server/route.h"

#include "base/clock.h"
#include "base/jsonout.h"
#include "base/limits.h"
#include "query/detect.h"
#include "query/patterns.h"
#include "server/params.h"

#include <inttypes.h>

static const uint32_t FIELDS_DEFAULT = 1000, LINES_DEFAULT = 100;

// --- labels -----------------------------------------------------------------------------------------

static bool encode_labels(struct view *view, const struct query_selector *selector, const struct params_range *range,
                          struct arena *a, struct buf *b, struct err *err)
{
    struct slice *names;
    size_t count;
    bool first = true;
    if (!view_label_names(view, selector->matchers, selector->matchers_count, range->from_ns, range->to_ns, a, &names,
                          &count, err))
        return false;
    for (size_t i = 0; i < count; i++) {
        struct slice *values;
        size_t values_count;
        if (!view_label_values(view, names[i], selector->matchers, selector->matchers_count, range->from_ns,
                               range->to_ns, a, &values, &values_count, err))
            return false;
        if (query_label_is_id(names[i], values, values_count))
            continue;
        buf_put_cstr(b, first ? "\"detectedLabels\":[{\"label\":" : ",{\"label\":");
        first = false;
        jsonout_string(b, names[i]);
        buf_printf(b, ",\"cardinality\":%zu}", values_count);
    }
    buf_put_cstr(b, first ? "" : "]");
    return true;
}

static bool answer_labels(const struct app *app, const struct request *rq, struct response *rs, struct err *err)
{
    struct params p;
    struct params_range range;
    AUTO(query_selector_done) struct query_selector selector = {0};
    AUTO(view_endp) struct view *view = NULL;
    if (!params_read(rq, &p, err) || !params_range(&p, clock_wall_ns(), &range, err) ||
        !params_ordered(&range, err))
        return false;
    struct slice text = params_get(&p, "query");
    if ((text.len > 0 && !query_selector_parse(text, false, rq->arena, &selector, err)) ||
        !view_begin(app->store, rq->tenant, &view, err))
        return false;
    rs->content_type = CONTENT_JSON;
    buf_put_byte(&rs->body, '{');
    if (!encode_labels(view, &selector, &range, rq->arena, &rs->body, err))
        return false;
    buf_put_cstr(&rs->body, "}\n");
    return true;
}

void api_detected_labels(const struct app *app, const struct request *rq, struct response *rs)
{
    struct err err;
    if (!answer_labels(app, rq, rs, &err))
        response_error(rs, &err, false);
}

// --- fields -----------------------------------------------------------------------------------------

static bool detect(const struct app *app, const struct request *rq, uint32_t *limit_out, struct detected_fields *out,
                   struct err *err)
{
    struct params p;
    struct params_range times;
    struct query_range range = {0};
    int64_t step_ns;
    *limit_out = FIELDS_DEFAULT;
    range.limit = LINES_DEFAULT;
    if (!params_read(rq, &p, err) || !params_range(&p, clock_wall_ns(), &times, err) ||
        !params_ordered(&times, err) || !params_step(&p, &times, &step_ns, err) || !params_count(&p, "line_limit", &range.limit, err) ||
        !params_count(&p, params_get(&p, "limit").len > 0 ? "limit" : "field_limit", limit_out, err))
        return false;
    if (!params_entries_ok(range.limit, err))
        return false;
    AUTO(query_freep) struct query *query = NULL;
    if (!query_parse(params_get(&p, "query"), rq->arena, &query, err) || !params_length_ok(&times, err))
        return false;
    range.from_ns = times.from_ns;
    range.to_ns = times.to_ns;
    struct query_context context = {.store = app->store, .crew = app->crew, .tenant = rq->tenant, .arena = rq->arena,
                                    .deadline_mono_ns = rq->arrival_mono_ns + app->config->query_timeout_ns,
                                    .cancelled = rq->cancelled};
    // All fields are looked at for the values of one; the limit is on the values then.
    return query_detect_fields(query, &range, &context, rq->name.len > 0 ? UINT32_MAX : *limit_out,
                               QUERY_SAMPLE_NS, out, err);
}

static void put_warning(struct buf *b, const struct detected_fields *fields, bool first)
{
    if (fields->sampled)
        buf_printf(b, "%s\"warnings\":[\"the time for detected fields ended after %" PRIu64 " lines: they are of a sample\"]",
                   first ? "" : ",", fields->lines);
}

static void encode_field(struct buf *b, const struct detected_field *f)
{
    buf_put_cstr(b, "{\"label\":");
    jsonout_string(b, f->name);
    buf_printf(b, ",\"type\":\"%s\",\"cardinality\":%zu,\"parsers\":%s", f->type, f->values.count,
               f->json && f->logfmt ? "[\"json\",\"logfmt\"]"
               : f->json            ? "[\"json\"]"
               : f->logfmt          ? "[\"logfmt\"]"
                                    : "null"); // Drilldown tells metadata by it
    for (size_t i = 0; i < f->path_count; i++) {
        buf_put_cstr(b, i == 0 ? ",\"jsonPath\":[" : ",");
        jsonout_string(b, f->path[i]);
    }
    buf_put_cstr(b, f->path_count > 0 ? "]}" : "}");
}

static bool answer_fields(const struct app *app, const struct request *rq, struct response *rs, struct err *err)
{
    struct detected_fields fields;
    uint32_t limit;
    if (!detect(app, rq, &limit, &fields, err))
        return false;
    rs->content_type = CONTENT_JSON;
    buf_put_byte(&rs->body, '{');
    for (size_t i = 0; i < fields.count; i++) {
        buf_put_cstr(&rs->body, i == 0 ? "\"fields\":[" : ",");
        encode_field(&rs->body, &fields.items[i]);
    }
    if (fields.count > 0)
        buf_printf(&rs->body, "],\"limit\":%" PRIu32, limit);
    put_warning(&rs->body, &fields, fields.count == 0);
    buf_put_cstr(&rs->body, "}\n");
    return true;
}

void api_detected_fields(const struct app *app, const struct request *rq, struct response *rs)
{
    struct err err;
    if (!answer_fields(app, rq, rs, &err))
        response_error(rs, &err, false);
}

static bool answer_field_values(const struct app *app, const struct request *rq, struct response *rs, struct err *err)
{
    struct detected_fields fields;
    uint32_t limit;
    if (!detect(app, rq, &limit, &fields, err))
        return false;
    rs->content_type = CONTENT_JSON;
    buf_put_byte(&rs->body, '{');
    bool first = true;
    for (size_t i = 0; i < fields.count; i++) {
        const struct slice_set *values = &fields.items[i].values;
        if (!slice_eq(fields.items[i].name, rq->name) || values->count == 0)
            continue;
        for (size_t n = 0; n < values->count && n < limit; n++) {
            buf_put_cstr(&rs->body, n == 0 ? "\"values\":[" : ",");
            jsonout_string(&rs->body, values->items[n]);
        }
        buf_printf(&rs->body, "],\"limit\":%" PRIu32, limit);
        first = false;
    }
    put_warning(&rs->body, &fields, first);
    buf_put_cstr(&rs->body, "}\n");
    return true;
}

void api_detected_field_values(const struct app *app, const struct request *rq, struct response *rs)
{
    struct err err;
    if (!answer_field_values(app, rq, rs, &err))
        response_error(rs, &err, false);
}

// --- patterns ---------------------------------------------------------------------------------------

static bool answer_patterns(const struct app *app, const struct request *rq, struct response *rs, struct err *err)
{
    struct params p;
    struct params_range range;
    int64_t step_ns;
    struct log_patterns patterns;
    AUTO(query_selector_done) struct query_selector selector = {0};
    struct query_context context = {.store = app->store, .crew = app->crew, .tenant = rq->tenant, .arena = rq->arena,
                                    .cancelled = rq->cancelled};
    if (!params_read(rq, &p, err) || !params_range(&p, clock_wall_ns(), &range, err) ||
        !params_step(&p, &range, &step_ns, err) || !params_length_ok(&range, err) ||
        !query_selector_parse(params_get(&p, "query"), false, rq->arena, &selector, err))
        return false;
    step_ns = step_ns < NS_PER_S ? NS_PER_S : step_ns / NS_PER_S * NS_PER_S; // samples stand at whole seconds
    if (!query_patterns(&context, &selector, range.from_ns, range.to_ns, step_ns, QUERY_SAMPLE_NS, &patterns, err))
        return false;
    struct buf *b = &rs->body;
    rs->content_type = CONTENT_JSON;
    buf_put_cstr(b, "{\"status\":\"success\",\"data\":[");
    for (size_t i = 0; i < patterns.count; i++) {
        const struct log_pattern *pattern = &patterns.items[i];
        bool first = true;
        buf_put_cstr(b, i > 0 ? ",{\"pattern\":" : "{\"pattern\":");
        jsonout_string(b, pattern->text);
        buf_put_cstr(b, ",\"level\":");
        jsonout_string(b, pattern->level);
        buf_put_cstr(b, ",\"samples\":[");
        for (uint32_t t = 0; t < patterns.steps; t++) {
            if (pattern->counts[t] == 0)
                continue;
            buf_printf(b, "%s[%" PRId64 ",%" PRIu32 "]", first ? "" : ",", (patterns.first_ns + t * step_ns) / NS_PER_S,
                       pattern->counts[t]);
            first = false;
        }
        buf_put_cstr(b, "]}");
    }
    buf_put_cstr(b, "]");
    if (patterns.sampled)
        buf_printf(b, ",\"warnings\":[\"the time for patterns ended after %" PRIu64 " lines: counts are of a sample\"]",
                   patterns.lines);
    buf_put_cstr(b, "}\n");
    return true;
}

void api_patterns(const struct app *app, const struct request *rq, struct response *rs)
{
    struct err err;
    if (!answer_patterns(app, rq, rs, &err))
        response_error(rs, &err, false);
}
