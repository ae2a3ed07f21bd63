/*
 * route.h -- from method and path to a handler: loki-http.md 1.1, traces-http.md 1; no socket, no HTTP library.
 */
#pragma once

#include "server/request.h"

// Where a handler runs: pushes wait for the disk, queries compute, and what tells of the server itself is quick. None
// may delay the others.
enum route_pool { ROUTE_PUSH, ROUTE_QUERY, ROUTE_STATUS, ROUTE_POOLS };

// Whose data a route is about. ONE: written as Loki takes it (`a|a`, `a:key=value`). MANY: `a|b` too, where the configuration
// lets queries span tenants. NAME: a name and nothing else (traces-http.md 2).
enum route_tenant { TENANT_NONE, TENANT_ONE, TENANT_MANY, TENANT_NAME };

struct route {
    // `{name}` stands for one segment, `{tag}` for all that is between what stands before and behind it, slashes included,
    // decoded once more where it was encoded twice.
    const char *path;
    unsigned methods; // of enum method
    enum route_pool pool;
    enum route_tenant tenant;
    bool newline; // error texts end with one (push side)
    void (*run)(const struct app *app, const struct request *rq, struct response *rs);
};

// Without the prefix that the server is reached under; unchanged when it does not begin with it. `prefix` NULL: none.
struct slice route_strip(struct slice target, const char *prefix);
// Finds the route of a raw request target. NULL when the answer is ready in `rs`: 301, 404, 405, 400.
// Fills rq->name and rq->query; they and a Location live in `a`.
const struct route *route_find(struct slice target, enum method method, struct arena *a,
                               struct request *rq, struct response *rs);
// Refuses a request that does not come to its handler, in the form that clients of the route (NULL: of none) read.
void route_refuse(const struct route *route, const struct request *rq, int status, const char *text, struct arena *a,
                  struct response *rs);
// Checks the tenant and runs the handler.
void route_run(const struct route *route, const struct app *app, struct request *rq,
               struct response *rs);

// --- handlers ---------------------------------------------------------------------------------------

void api_push(const struct app *app, const struct request *rq, struct response *rs);
void api_push_legacy(const struct app *app, const struct request *rq, struct response *rs);
void api_push_otlp(const struct app *app, const struct request *rq, struct response *rs);
void api_push_spans(const struct app *app, const struct request *rq, struct response *rs);
void api_push_zipkin(const struct app *app, const struct request *rq, struct response *rs);
void api_push_zipkin_v1(const struct app *app, const struct request *rq, struct response *rs);
void api_push_jaeger(const struct app *app, const struct request *rq, struct response *rs);
void api_refuse_spans(const struct request *rq, int status, const char *text, struct arena *a, struct response *rs);
void api_flush(const struct app *app, const struct request *rq, struct response *rs);
void api_query_range(const struct app *app, const struct request *rq, struct response *rs);
void api_query(const struct app *app, const struct request *rq, struct response *rs);
void api_labels(const struct app *app, const struct request *rq, struct response *rs);
void api_label_values(const struct app *app, const struct request *rq, struct response *rs);
void api_series(const struct app *app, const struct request *rq, struct response *rs);
void api_format_query(const struct app *app, const struct request *rq, struct response *rs);
void api_ready(const struct app *app, const struct request *rq, struct response *rs);
void api_metrics(const struct app *app, const struct request *rq, struct response *rs);
void api_config(const struct app *app, const struct request *rq, struct response *rs);
void api_buildinfo(const struct app *app, const struct request *rq, struct response *rs);
void api_query_legacy(const struct app *app, const struct request *rq, struct response *rs);
void api_labels_legacy(const struct app *app, const struct request *rq, struct response *rs);
void api_index_stats(const struct app *app, const struct request *rq, struct response *rs);
void api_index_shards(const struct app *app, const struct request *rq, struct response *rs);
void api_index_volume(const struct app *app, const struct request *rq, struct response *rs);
void api_index_volume_range(const struct app *app, const struct request *rq, struct response *rs);
void api_delete(const struct app *app, const struct request *rq, struct response *rs);
void api_delete_trace(const struct app *app, const struct request *rq, struct response *rs);
void api_detected_labels(const struct app *app, const struct request *rq, struct response *rs);
void api_detected_fields(const struct app *app, const struct request *rq, struct response *rs);
void api_detected_field_values(const struct app *app, const struct request *rq, struct response *rs);
void api_drilldown_limits(const struct app *app, const struct request *rq, struct response *rs);
void api_tenant_limits(const struct app *app, const struct request *rq, struct response *rs);
void api_no_rules(const struct app *app, const struct request *rq, struct response *rs);
void api_no_alerts(const struct app *app, const struct request *rq, struct response *rs);
void api_services(const struct app *app, const struct request *rq, struct response *rs);
void api_log_level(const struct app *app, const struct request *rq, struct response *rs);
void api_tail(const struct app *app, const struct request *rq, struct response *rs);
void api_tail_legacy(const struct app *app, const struct request *rq, struct response *rs);
void api_patterns(const struct app *app, const struct request *rq, struct response *rs);
void api_trace(const struct app *app, const struct request *rq, struct response *rs);
void api_trace_v2(const struct app *app, const struct request *rq, struct response *rs);
void api_trace_search(const struct app *app, const struct request *rq, struct response *rs);
void api_trace_tags(const struct app *app, const struct request *rq, struct response *rs);
void api_trace_tags_v2(const struct app *app, const struct request *rq, struct response *rs);
void api_trace_values(const struct app *app, const struct request *rq, struct response *rs);
void api_trace_values_v2(const struct app *app, const struct request *rq, struct response *rs);
void api_trace_metrics(const struct app *app, const struct request *rq, struct response *rs);
void api_trace_metrics_instant(const struct app *app, const struct request *rq, struct response *rs);
void api_trace_echo(const struct app *app, const struct request *rq, struct response *rs);
void api_trace_buildinfo(const struct app *app, const struct request *rq, struct response *rs);
void api_trace_tree(const struct app *app, const struct request *rq, struct response *rs);
