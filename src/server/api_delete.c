/*
 * api_delete.c -- requests to delete log entries, their list, taking them back: loki-http.md 15; and, our own, requests to
 * delete a trace (docs/api.md "Deleting").
 */
#include "server/route.h"

#include "base/clock.h"
#include "base/jsonout.h"
#include "server/params_trace.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

// Parameters come from the URL alone, whatever the method.
static bool read_params(const struct request *rq, struct params *p, struct err *err)
{
    return params_parse(rq->query, rq->arena, p, err);
}

// Ten digits of Unix seconds, or RFC 3339; nothing else.
static bool parse_time(struct slice text, int64_t *ns_out)
{
    if (text.len != 10 || strspn((const char *)text.ptr, "0123456789") < 10)
        return clock_parse_rfc3339(text, ns_out);
    int64_t seconds = 0;
    for (size_t i = 0; i < text.len; i++)
        seconds = seconds * 10 + (text.ptr[i] - '0');
    *ns_out = seconds * NS_PER_S;
    return true;
}

// *ns stays where the parameter is absent.
static bool read_time(const struct params *p, const char *name, int64_t *ns, struct err *err)
{
    struct slice text = params_get(p, name);
    return text.len == 0 || parse_time(text, ns) ||
           err_set(err, ERR_INPUT, "invalid %s time: require unix seconds or RFC3339 format", name);
}

// --- asking -----------------------------------------------------------------------------------------

static bool read_request(const struct request *rq, struct store_deletion *out, struct err *err)
{
    struct params p;
    int64_t now_ns = clock_wall_ns(), start_ns = 0, end_ns = now_ns;
    if (!read_params(rq, &p, err))
        return false;
    struct slice query = params_get(&p, "query");
    if (query.len == 0)
        return err_set(err, ERR_INPUT, "query not set");
    if (params_get(&p, "start").len == 0)
        return err_set(err, ERR_INPUT, "start time not set");
    if (!read_time(&p, "start", &start_ns, err) || !read_time(&p, "end", &end_ns, err))
        return false;
    if (end_ns > now_ns)
        return err_set(err, ERR_INPUT, "deletes in the future are not allowed");
    if (start_ns >= end_ns)
        return err_set(err, ERR_INPUT, "start time can't be greater than or equal to end time");
    *out = (struct store_deletion){.tenant = rq->tenant, .query = query, .from_ns = start_ns, .to_ns = end_ns + 1};
    return true;
}

static void put_accepted(uint64_t id, struct response *rs)
{
    rs->status = 204;
    (void)snprintf(rs->delete_request_id, sizeof rs->delete_request_id, "%08" PRIx64, id);
}

static bool create(const struct app *app, const struct request *rq, struct response *rs, struct err *err)
{
    struct store_deletion request;
    uint64_t id;
    if (!read_request(rq, &request, err) || !store_delete(app->store, &request, &id, err))
        return false;
    put_accepted(id, rs);
    return true;
}

void api_delete_trace(const struct app *app, const struct request *rq, struct response *rs)
{
    struct err err;
    uint8_t trace_id[TRACE_ID_BYTES];
    uint64_t id;
    if (params_trace_id(rq->name, trace_id, &err) && store_delete_trace(app->store, rq->tenant, trace_id, &id, &err))
        put_accepted(id, rs);
    else
        response_error(rs, &err, false);
}

// --- listing ----------------------------------------------------------------------------------------

static void put_deletion(struct buf *b, const struct store_deletion *d)
{
    buf_printf(b, "{\"request_id\":\"%08" PRIx64 "\",\"start_time\":%" PRId64 ",\"end_time\":%" PRId64 ",\"query\":", d->id,
               d->from_ns / NS_PER_S, (d->to_ns - 1) / NS_PER_S);
    jsonout_string(b, d->query);
    buf_printf(b, ",\"status\":\"%s\",\"created_at\":%" PRId64 ",\"user_id\":\"\"", d->done_ns != 0 ? "processed" : "received",
               d->created_ns / NS_PER_S);
    // The receipt, in fields of our own.
    if (d->done_ns != 0)
        buf_printf(b, ",\"processed_at\":%" PRId64, d->done_ns / NS_PER_S);
    buf_printf(b, ",\"deleted_entries\":%" PRIu64 ",\"deleted_spans\":%" PRIu64 ",\"deleted_bytes\":%" PRIu64 "}", d->entries,
               d->spans, d->line_bytes + d->span_bytes);
}

static bool list(const struct app *app, const struct request *rq, struct response *rs, struct err *err)
{
    struct params p;
    int64_t start_ns = INT64_MIN, end_ns = INT64_MAX;
    struct store_deletion *items;
    size_t count;
    if (!read_params(rq, &p, err) || !read_time(&p, "start", &start_ns, err) || !read_time(&p, "end", &end_ns, err) ||
        !store_deletions(app->store, rq->tenant, rq->arena, &items, &count, err))
        return false;
    rs->content_type = CONTENT_JSON_PLAIN;
    buf_put_byte(&rs->body, '[');
    bool first = true;
    for (size_t i = 0; i < count; i++) {
        if (items[i].from_ns > end_ns || items[i].to_ns - 1 < start_ns)
            continue;
        if (!first)
            buf_put_byte(&rs->body, ',');
        first = false;
        put_deletion(&rs->body, &items[i]);
    }
    buf_put_cstr(&rs->body, "]\n");
    return true;
}

// --- taking back ------------------------------------------------------------------------------------

static bool cancel(const struct app *app, const struct request *rq, struct response *rs, struct err *err)
{
    struct params p;
    if (!read_params(rq, &p, err))
        return false;
    struct slice name = params_get(&p, "request_id");
    if (name.len == 0)
        return err_set(err, ERR_INPUT, "request_id not set");
    char text[9] = "", *end = text;
    uint64_t id = 0;
    if (name.len == 8) {
        memcpy(text, name.ptr, name.len);
        id = strtoull(text, &end, 16);
    }
    if (end != text + 8)
        return err_set(err, ERR_NOT_FOUND, "could not find delete request with given id");
    if (!store_delete_cancel(app->store, rq->tenant, id, slice_eq(params_get(&p, "force"), SLICE("true")), err))
        return false;
    rs->status = 204;
    return true;
}

void api_delete(const struct app *app, const struct request *rq, struct response *rs)
{
    struct err err;
    bool good = rq->method == METHOD_GET      ? list(app, rq, rs, &err)
                : rq->method == METHOD_DELETE ? cancel(app, rq, rs, &err)
                                              : create(app, rq, rs, &err);
    if (!good)
        response_error(rs, &err, true);
}
