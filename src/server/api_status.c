/* api_status.c -- what the server says about itself: loki-http.md 14. */
#include "server/route.h"

#include "base/clock.h"
#include "base/diag.h"
#include "base/jsonout.h"
#include "base/limits.h"
#include "base/metric.h"
#include "server/params.h"

#include <inttypes.h>

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
    if (rs->status == 200 && !store_bucket_works(app->store, &err))
        buf_printf(&rs->body, "%s\n", err.text);
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
    metric_set(GAUGE_S3_UNSENT_SEGMENTS, s.unsent_count);
    metric_set(GAUGE_S3_UNSENT_BYTES, (int64_t)s.unsent_bytes);
    metric_set(GAUGE_S3_LOCAL_BYTES, (int64_t)s.local_bytes);
    metric_set(GAUGE_S3_WRITER, s.bucket_writer);
    metric_set(GAUGE_S3_FAILING, !store_bucket_works(app->store, &err));
    metric_set(GAUGE_STREAMS, (int64_t)s.streams_count);
    metric_set(GAUGE_DISK_FREE_BYTES, (int64_t)s.disk_free_bytes);
    metric_set(GAUGE_DISK_LOW, s.disk_low);
    metric_set(GAUGE_STORE_WRITABLE, store_writable(app->store, &err));
    rs->content_type = "text/plain; version=0.0.4; charset=utf-8";
    metric_print(&rs->body);
}

// `mode`: `defaults`, or `diff` for what differs from them.
void api_config(const struct app *app, const struct request *rq, struct response *rs)
{
    struct params p;
    struct err err;
    if (!params_read(rq, &p, &err)) {
        response_error(rs, &err, true);
        return;
    }
    struct slice mode = params_get(&p, "mode");
    struct config defaults;
    config_init(&defaults);
    config_complete(&defaults);
    bool plain = slice_eq(mode, SLICE("defaults")), diff = slice_eq(mode, SLICE("diff"));
    rs->content_type = CONTENT_TEXT;
    config_print_yaml(plain ? &defaults : app->config, diff ? &defaults : NULL, &rs->body);
    config_done(&defaults);
}

void api_buildinfo(const struct app *app, const struct request *rq, struct response *rs)
{
    (void)app;
    (void)rq;
    rs->content_type = CONTENT_JSON_PLAIN;
    buf_put_cstr(&rs->body, "{\"version\":\"" MSTORE_VERSION "\",\"revision\":\"\",\"branch\":\"\","
                            "\"buildUser\":\"\",\"buildDate\":\"\",\"goVersion\":\"\"}\n");
}

void api_services(const struct app *app, const struct request *rq, struct response *rs)
{
    (void)rq;
    struct err err;
    const char *state = atomic_load(&app->stopping) ? "Stopping" : "Running";
    rs->content_type = CONTENT_TEXT;
    buf_printf(&rs->body, "server => %s\ningester => %s\nquerier => %s\n", state,
               store_writable(app->store, &err) ? state : "Failed", state);
}

void api_log_level(const struct app *app, const struct request *rq, struct response *rs)
{
    (void)app;
    struct params p;
    struct err err;
    enum diag_level level;
    rs->content_type = CONTENT_JSON_PLAIN;
    if (rq->method == METHOD_GET) {
        buf_printf(&rs->body, "{\"message\":\"Current log level is %s\"}\n", diag_level_name(diag_level()));
        return;
    }
    if (!params_read(rq, &p, &err)) {
        response_error(rs, &err, false);
        return;
    }
    const char *name = arena_printf(rq->arena, "%.*s", SLICE_FMT(params_get(&p, "log_level")));
    if (diag_level_parse(name, &level)) {
        diag_set_level(level);
        buf_printf(&rs->body, "{\"status\":\"success\",\"message\":\"Log level set to %s\"}\n", name);
        return;
    }
    rs->status = 400;
    buf_put_cstr(&rs->body, "{\"status\":\"failed\",\"message\":");
    jsonout_string(&rs->body, slice_cstr(arena_printf(rq->arena, "unrecognized log level \"%s\"", name)));
    buf_put_cstr(&rs->body, "}\n");
}

// A Prometheus duration of whole units, the largest that fit.
static void put_duration(struct buf *b, int64_t ns)
{
    static const struct {
        const char *name;
        int64_t ns;
    } units[] = {{"d", NS_PER_DAY}, {"h", NS_PER_HOUR}, {"m", 60 * NS_PER_S}, {"s", NS_PER_S}, {"ms", NS_PER_MS}};
    size_t i = 0;
    while (i + 1 < COUNT_OF(units) && (ns < units[i].ns || ns % units[i].ns != 0))
        i++;
    buf_printf(b, "%" PRId64 "%s", ns == 0 ? 0 : ns / units[i].ns, ns == 0 ? "s" : units[i].name);
}

void api_drilldown_limits(const struct app *app, const struct request *rq, struct response *rs)
{
    (void)rq;
    struct buf *b = &rs->body;
    rs->content_type = CONTENT_JSON_PLAIN;
    buf_put_cstr(b, "{\"limits\":{\"discover_log_levels\":true,\"discover_service_name\":[\"service\",\"app\",\"application\","
                    "\"app_name\",\"name\",\"app_kubernetes_io_name\",\"container\",\"container_name\",\"k8s_container_name\","
                    "\"component\",\"workload\",\"job\",\"k8s_job_name\"],\"log_level_fields\":[\"level\",\"LEVEL\",\"Level\","
                    "\"log.level\",\"severity\",\"SEVERITY\",\"Severity\",\"SeverityText\",\"lvl\",\"LVL\",\"Lvl\","
                    "\"severity_text\",\"Severity_Text\",\"SEVERITY_TEXT\"]");
    buf_printf(b, ",\"max_entries_limit_per_query\":%d,\"max_line_size_truncate\":false,\"max_query_bytes_read\":\"0B\","
                  "\"max_query_length\":\"30d1h\",\"max_query_lookback\":\"0s\",\"max_query_range\":\"0s\","
                  "\"max_query_series\":%d,\"metric_aggregation_enabled\":false,\"pattern_persistence_enabled\":false,"
                  "\"query_timeout\":\"",
               QUERY_ENTRIES_MAX, QUERY_SERIES_MAX);
    put_duration(b, app->config->query_timeout_ns);
    buf_put_cstr(b, "\",\"retention_period\":\"");
    put_duration(b, app->config->retention_ns);
    buf_put_cstr(b, "\",\"volume_enabled\":true,\"volume_max_series\":1000},\"pattern_ingester_enabled\":true,"
                    "\"version\":\"" MSTORE_VERSION "\"}\n");
}

void api_tenant_limits(const struct app *app, const struct request *rq, struct response *rs)
{
    (void)rq;
    struct buf *b = &rs->body;
    rs->content_type = CONTENT_TEXT;
    buf_printf(b, "max_label_names_per_series: %u\nmax_label_name_length: %" PRIu64 "\nmax_label_value_length: %" PRIu64 "\n",
               INGEST_LABELS_MAX, INGEST_LABEL_NAME_BYTES_MAX, INGEST_LABEL_VALUE_BYTES_MAX);
    buf_printf(b, "max_line_size: %" PRIu64 "\nmax_structured_metadata_size: %" PRIu64
                  "\nmax_structured_metadata_entries_count: %u\n",
               INGEST_LINE_BYTES_MAX, INGEST_METADATA_BYTES_MAX, INGEST_METADATA_PAIRS_MAX);
    buf_printf(b, "max_entries_limit_per_query: %d\nmax_query_series: %d\nmax_query_length: %" PRId64 "h\nquery_timeout: ",
               QUERY_ENTRIES_MAX, QUERY_SERIES_MAX, QUERY_LENGTH_NS_MAX / NS_PER_S / 3600);
    put_duration(b, app->config->query_timeout_ns);
    buf_put_cstr(b, "\ntail_max_duration: ");
    put_duration(b, app->config->tail_ns);
    buf_put_cstr(b, "\nretention_period: ");
    put_duration(b, app->config->retention_ns);
    buf_put_cstr(b, "\n");
}

// There is no ruler: no rules, no alerts (loki-http.md 16.1).
void api_no_rules(const struct app *app, const struct request *rq, struct response *rs)
{
    (void)app;
    (void)rq;
    rs->content_type = CONTENT_JSON_PLAIN;
    buf_put_cstr(&rs->body, "{\"status\":\"success\",\"data\":{\"groups\":[]},\"errorType\":\"\",\"error\":\"\"}\n");
}

void api_no_alerts(const struct app *app, const struct request *rq, struct response *rs)
{
    (void)app;
    (void)rq;
    rs->content_type = CONTENT_JSON_PLAIN;
    buf_put_cstr(&rs->body, "{\"status\":\"success\",\"data\":{\"alerts\":[]},\"errorType\":\"\",\"error\":\"\"}\n");
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
