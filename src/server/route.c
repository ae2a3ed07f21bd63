/* route.c -- see route.h. */
#include "server/route.h"

#include "base/limits.h"
#include "server/uri.h"

#define READ (METHOD_GET | METHOD_POST)
#define GET (METHOD_GET | METHOD_HEAD)

static const struct route routes[] = {
    {"/loki/api/v1/push", METHOD_POST, ROUTE_PUSH, TENANT_ONE, true, api_push},
    {"/api/prom/push", METHOD_POST, ROUTE_PUSH, TENANT_ONE, true, api_push_legacy},
    {"/otlp/v1/logs", METHOD_POST, ROUTE_PUSH, TENANT_ONE, true, api_push_otlp},
    {"/v1/logs", METHOD_POST, ROUTE_PUSH, TENANT_ONE, true, api_push_otlp},
    {"/v1/traces", METHOD_POST, ROUTE_PUSH, TENANT_NAME, true, api_push_spans},
    {"/otlp/v1/traces", METHOD_POST, ROUTE_PUSH, TENANT_NAME, true, api_push_spans},
    {"/api/v2/spans", METHOD_POST, ROUTE_PUSH, TENANT_NAME, true, api_push_zipkin},
    {"/api/v1/spans", METHOD_POST, ROUTE_PUSH, TENANT_NAME, true, api_push_zipkin_v1},
    {"/api/traces", METHOD_POST, ROUTE_PUSH, TENANT_NAME, true, api_push_jaeger},
    {"/loki/api/v1/query_range", READ, ROUTE_QUERY, TENANT_MANY, false, api_query_range},
    {"/loki/api/v1/query", READ, ROUTE_QUERY, TENANT_MANY, false, api_query},
    {"/loki/api/v1/labels", READ, ROUTE_QUERY, TENANT_MANY, false, api_labels},
    {"/loki/api/v1/label", READ, ROUTE_QUERY, TENANT_MANY, false, api_labels},
    {"/loki/api/v1/label/{name}/values", READ, ROUTE_QUERY, TENANT_MANY, false, api_label_values},
    {"/loki/api/v1/series", READ, ROUTE_QUERY, TENANT_MANY, false, api_series},
    {"/api/prom/series", READ, ROUTE_QUERY, TENANT_MANY, false, api_series},
    {"/loki/api/v1/tail", METHOD_GET, ROUTE_QUERY, TENANT_ONE, false, api_tail},
    {"/api/prom/tail", METHOD_GET, ROUTE_QUERY, TENANT_ONE, false, api_tail_legacy},
    {"/api/prom/query", READ, ROUTE_QUERY, TENANT_MANY, false, api_query_legacy},
    {"/api/prom/label", READ, ROUTE_QUERY, TENANT_MANY, false, api_labels_legacy},
    {"/api/prom/label/{name}/values", READ, ROUTE_QUERY, TENANT_MANY, false, api_labels_legacy},
    {"/loki/api/v1/index/stats", READ, ROUTE_QUERY, TENANT_MANY, false, api_index_stats},
    {"/loki/api/v1/index/shards", READ, ROUTE_QUERY, TENANT_MANY, false, api_index_shards},
    {"/loki/api/v1/index/volume", READ, ROUTE_QUERY, TENANT_MANY, false, api_index_volume},
    {"/loki/api/v1/index/volume_range", READ, ROUTE_QUERY, TENANT_MANY, false, api_index_volume_range},
    {"/loki/api/v1/detected_labels", READ, ROUTE_QUERY, TENANT_MANY, false, api_detected_labels},
    {"/loki/api/v1/detected_fields", READ, ROUTE_QUERY, TENANT_MANY, false, api_detected_fields},
    {"/loki/api/v1/detected_field/{name}/values", READ, ROUTE_QUERY, TENANT_MANY, false, api_detected_field_values},
    {"/loki/api/v1/patterns", READ, ROUTE_QUERY, TENANT_MANY, false, api_patterns},
    {"/loki/api/v1/drilldown-limits", METHOD_GET, ROUTE_STATUS, TENANT_NONE, false, api_drilldown_limits},
    {"/config/tenant/v1/limits", METHOD_GET, ROUTE_STATUS, TENANT_NONE, true, api_tenant_limits},
    {"/prometheus/api/v1/rules", METHOD_GET, ROUTE_STATUS, TENANT_ONE, false, api_no_rules},
    {"/prometheus/api/v1/alerts", METHOD_GET, ROUTE_STATUS, TENANT_ONE, false, api_no_alerts},
    {"/services", METHOD_GET, ROUTE_STATUS, TENANT_NONE, true, api_services},
    {"/log_level", READ, ROUTE_STATUS, TENANT_NONE, true, api_log_level},
    {"/loki/api/v1/format_query", READ, ROUTE_QUERY, TENANT_NONE, false, api_format_query},
    {"/loki/api/v1/delete", READ | METHOD_PUT | METHOD_DELETE, ROUTE_QUERY, TENANT_ONE, true, api_delete},
    {"/ready", METHOD_GET, ROUTE_STATUS, TENANT_NONE, true, api_ready},
    {"/metrics", METHOD_GET, ROUTE_STATUS, TENANT_NONE, true, api_metrics},
    {"/config", METHOD_GET, ROUTE_STATUS, TENANT_NONE, true, api_config},
    {"/loki/api/v1/status/buildinfo", METHOD_GET, ROUTE_STATUS, TENANT_NONE, false, api_buildinfo},
    {"/flush", METHOD_POST, ROUTE_PUSH, TENANT_NONE, true, api_flush},
    {"/api/traces/{name}", GET, ROUTE_QUERY, TENANT_NAME, false, api_trace},
    {"/api/v2/traces/{name}", GET, ROUTE_QUERY, TENANT_NAME, false, api_trace_v2},
    {"/api/search", GET, ROUTE_QUERY, TENANT_NAME, false, api_trace_search},
    {"/api/search/tags", GET, ROUTE_QUERY, TENANT_NAME, false, api_trace_tags},
    {"/api/v2/search/tags", GET, ROUTE_QUERY, TENANT_NAME, false, api_trace_tags_v2},
    {"/api/search/tag/{tag}/values", GET, ROUTE_QUERY, TENANT_NAME, false, api_trace_values},
    {"/api/v2/search/tag/{tag}/values", GET, ROUTE_QUERY, TENANT_NAME, false, api_trace_values_v2},
    {"/api/metrics/query_range", GET, ROUTE_QUERY, TENANT_NAME, false, api_trace_metrics},
    {"/api/metrics/query", GET, ROUTE_QUERY, TENANT_NAME, false, api_trace_metrics_instant},
    {"/mstore/api/v1/trace/{name}", GET | METHOD_DELETE, ROUTE_QUERY, TENANT_NAME, false, api_trace_tree},
    {"/api/echo", GET, ROUTE_STATUS, TENANT_NONE, true, api_trace_echo},
    {"/api/status/buildinfo", GET, ROUTE_STATUS, TENANT_NONE, false, api_trace_buildinfo},
};

static bool is_otlp(const struct route *route)
{
    return route != NULL && route->run == api_push_spans;
}

// --- finding ----------------------------------------------------------------------------------------

static struct slice take_segment(struct slice *rest)
{
    size_t slash = slice_find(*rest, SLICE("/"));
    struct slice segment = slash == SIZE_MAX ? *rest : slice_of(rest->ptr, slash);
    *rest = slash == SIZE_MAX ? (struct slice){0} : slice_from(*rest, slash + 1);
    return segment;
}

// Segment by segment; `{name}` takes one that is not empty.
static bool path_matches(const char *pattern, struct slice path, struct slice *name_out)
{
    struct slice want = slice_cstr(pattern), got = path;
    *name_out = (struct slice){0};
    while (want.ptr != NULL && got.ptr != NULL) {
        struct slice w = take_segment(&want), g = take_segment(&got);
        if (slice_eq(w, SLICE("{name}"))) {
            if (g.len == 0)
                return false;
            *name_out = g;
        } else if (!slice_eq(w, g)) {
            return false;
        }
    }
    return want.ptr == NULL && got.ptr == NULL;
}

// `prefix{tag}suffix`: the longest tag, at least a byte.
static bool tag_matches(const char *pattern, struct slice path, struct slice *tag_out)
{
    struct slice whole = slice_cstr(pattern);
    size_t at = slice_find(whole, SLICE("{tag}"));
    if (at == SIZE_MAX)
        return false;
    struct slice before = slice_of(whole.ptr, at), behind = slice_from(whole, at + strlen("{tag}"));
    if (path.len <= before.len + behind.len || !slice_starts(path, before) ||
        !slice_eq(slice_from(path, path.len - behind.len), behind))
        return false;
    *tag_out = slice_of(path.ptr + before.len, path.len - before.len - behind.len);
    return true;
}

// A path that is a tag's as far as its pattern is concerned is never cleaned of slashes: they may be the tag's.
static bool is_tag_path(struct slice path)
{
    return slice_starts(path, SLICE("/api/search/tag/")) || slice_starts(path, SLICE("/api/v2/search/tag/"));
}

// Some clients encode a tag twice. One that is no escape as it stands is taken as it stands.
static struct slice decode_again(struct slice tag, struct arena *a)
{
    struct slice decoded;
    struct err err;
    return uri_unescape(tag, false, a, &decoded, &err) ? decoded : tag;
}

static void redirect(struct slice cleaned, struct slice query, struct arena *a, struct response *rs)
{
    struct slice path = uri_escape_path(cleaned, a);
    response_text(rs, 301, "", false);
    rs->location = arena_printf(a, "%.*s%s%.*s", SLICE_FMT(path), query.len > 0 ? "?" : "",
                                SLICE_FMT(query));
}

struct slice route_strip(struct slice target, const char *prefix)
{
    struct slice p = slice_cstr(prefix != NULL ? prefix : "");
    bool inside = slice_starts(target, p) && target.len > p.len && target.ptr[p.len] == '/';
    return inside ? slice_from(target, p.len) : target;
}

const struct route *route_find(struct slice target, enum method method, struct arena *a,
                               struct request *rq, struct response *rs)
{
    struct uri uri = uri_split(target);
    struct slice path;
    struct err err;
    if (!uri_unescape(uri.path, false, a, &path, &err)) {
        response_error(rs, &err, true);
        return NULL;
    }
    struct slice cleaned = is_tag_path(path) ? path : uri_clean(path, a);
    if (!slice_eq(cleaned, path)) {
        redirect(cleaned, uri.query, a, rs);
        return NULL;
    }
    rq->query = uri.query;
    for (size_t i = 0; i < COUNT_OF(routes); i++) {
        if (tag_matches(routes[i].path, path, &rq->name))
            rq->name = decode_again(rq->name, a);
        else if (!path_matches(routes[i].path, path, &rq->name))
            continue;
        if ((routes[i].methods & method) != 0)
            return &routes[i];
        response_reset(rs);
        rs->status = 405;
        if (is_otlp(&routes[i]))
            api_refuse_spans(rq, 405, "405 method not allowed, supported: [POST]", a, rs);
        rs->allow = routes[i].methods;
        return NULL;
    }
    response_text(rs, 404, "404 page not found", true);
    return NULL;
}

// --- tenants (loki-http.md 2) -----------------------------------------------------------------------

static bool tenant_char(uint8_t c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           (c != 0 && strchr("!-_.*'()", c) != NULL);
}

static bool check_tenant(struct slice tenant, struct err *err)
{
    for (size_t i = 0; i < tenant.len; i++)
        if (!tenant_char(tenant.ptr[i]))
            return err_set(err, ERR_INPUT, "tenant ID '%.*s' contains unsupported character '%c'",
                           SLICE_FMT(tenant), tenant.ptr[i]);
    if (tenant.len > TENANT_BYTES_MAX)
        return err_set(err, ERR_INPUT, "tenant ID is too long: max %d characters", (int)TENANT_BYTES_MAX);
    if (slice_eq(tenant, SLICE(".")) || slice_eq(tenant, SLICE("..")))
        return err_set(err, ERR_INPUT, "tenant ID is '.' or '..'");
    return true;
}

// A name and nothing else: reading several tenants together is not offered, nor is choosing among several headers.
static bool read_name(const struct request *rq, struct slice *out, struct err *err)
{
    if (rq->tenant_headers > 1 || slice_find(rq->tenant_header, SLICE("|")) != SIZE_MAX)
        return err_set(err, ERR_INPUT, "multiple org IDs present");
    *out = rq->tenant_header;
    return check_tenant(rq->tenant_header, err);
}

// `a|a` is one tenant; what follows a colon is not part of the name. The result is one tenant, or with `many` those that
// the view is to span.
static bool read_tenants(const struct request *rq, bool many, struct slice *out, struct err *err)
{
    struct slice all = {0};
    unsigned count = 0;
    for (struct slice rest = rq->tenant_header, one; slice_next(&rest, '|', &one);) {
        size_t colon = slice_find(one, SLICE(":"));
        if (colon != SIZE_MAX)
            one.len = colon;
        if (!check_tenant(one, err))
            return false;
        if (one.len == 0)
            return err_set(err, ERR_UNAUTHORIZED, "no org id");
        if (all.ptr == NULL)
            all = one;
        else if (!many && !slice_eq(all, one))
            return err_set(err, ERR_INPUT, "multiple org IDs present");
        else if (!slice_lists(all, '|', one) && ++count == QUERY_TENANTS_MAX)
            return err_set(err, ERR_INPUT, "more than %d org IDs in one query", QUERY_TENANTS_MAX);
        else if (!slice_lists(all, '|', one))
            all = slice_cstr(arena_printf(rq->arena, "%.*s|%.*s", SLICE_FMT(all), SLICE_FMT(one)));
    }
    *out = all;
    return arena_ok(rq->arena, "org IDs", err);
}

void route_refuse(const struct route *route, const struct request *rq, int status, const char *text, struct arena *a,
                  struct response *rs)
{
    if (is_otlp(route))
        api_refuse_spans(rq, status, text, a, rs);
    else
        response_text(rs, status, text, true);
}

static bool read_header(const struct route *route, const struct app *app, struct request *rq, struct err *err)
{
    if (rq->tenant_header.len == 0) {
        rq->tenant = SLICE("fake");
        return !app->config->require_tenant || err_set(err, ERR_UNAUTHORIZED, "no org id");
    }
    if (route->tenant == TENANT_NAME)
        return read_name(rq, &rq->tenant, err);
    return read_tenants(rq, route->tenant == TENANT_MANY && app->config->multi_tenant_queries, &rq->tenant, err);
}

void route_run(const struct route *route, const struct app *app, struct request *rq,
               struct response *rs)
{
    struct err err;
    response_reset(rs);
    rs->query = !route->newline;
    if (route->tenant != TENANT_NONE && !read_header(route, app, rq, &err)) {
        if (is_otlp(route))
            api_refuse_spans(rq, response_status(err.code), err.text, rq->arena, rs);
        else
            response_error(rs, &err, route->newline || err.code == ERR_UNAUTHORIZED);
        return;
    }
    route->run(app, rq, rs);
}
