/* api_index.c -- index statistics and volume: loki-http.md 10. */
#include "server/route.h"

#include "base/clock.h"
#include "query/encode.h"
#include "query/volume.h"
#include "server/params.h"

#include <inttypes.h>

static bool read_stats(const struct app *app, const struct request *rq, struct query_index_stats *out, struct err *err)
{
    struct params p;
    struct params_range range;
    AUTO(query_selector_done) struct query_selector selector = {0};
    struct query_context context = {.store = app->store, .tenant = rq->tenant, .arena = rq->arena};
    return params_read(rq, &p, err) && params_range(&p, clock_wall_ns(), &range, err) && params_ordered(&range, err) &&
           query_selector_parse(params_get(&p, "query"), false, rq->arena, &selector, err) &&
           query_index_stats(&context, &selector, range.from_ns, range.to_ns, out, err);
}

static void encode_stats(struct buf *b, const struct query_index_stats *s)
{
    buf_printf(b, "{\"streams\":%" PRIu64 ",\"chunks\":%" PRIu64 ",\"bytes\":%" PRIu64 ",\"entries\":%" PRIu64 "}",
               s->streams, s->chunks, s->bytes, s->entries);
}

void api_index_stats(const struct app *app, const struct request *rq, struct response *rs)
{
    struct err err;
    struct query_index_stats stats;
    if (!read_stats(app, rq, &stats, &err)) {
        response_error(rs, &err, false);
        return;
    }
    rs->content_type = CONTENT_JSON;
    encode_stats(&rs->body, &stats);
    buf_put_byte(&rs->body, '\n');
}

// Queries run on all cores by themselves, so whoever plans gets one shard with everything, whatever the size asked for.
void api_index_shards(const struct app *app, const struct request *rq, struct response *rs)
{
    struct err err;
    struct query_index_stats stats;
    if (!read_stats(app, rq, &stats, &err)) {
        response_error(rs, &err, false);
        return;
    }
    rs->content_type = CONTENT_JSON;
    buf_put_cstr(&rs->body, "{\"shards\":[{\"bounds\":{\"min\":\"0000000000000000\",\"max\":\"ffffffffffffffff\"},\"stats\":");
    encode_stats(&rs->body, &stats);
    buf_put_cstr(&rs->body, "}],\"statistics\":{}}\n");
}

// --- volume -----------------------------------------------------------------------------------------

static bool read_targets(const struct params *p, struct arena *a, struct query_volume_request *out, struct err *err)
{
    struct slice text = params_get(p, "targetLabels"), *names = NULL;
    size_t count = 0, room = 0;
    for (struct slice name; slice_next(&text, ',', &name);) {
        if (name.len == 0)
            continue;
        if (!arena_grow(a, (void **)&names, sizeof *names, count, &room))
            return arena_ok(a, "target labels", err);
        names[count++] = name;
    }
    out->targets = names;
    out->targets_count = count;
    return true;
}

static bool read_aggregation(const struct params *p, bool *by_name_out, struct err *err)
{
    struct slice text = params_get(p, "aggregateBy");
    *by_name_out = slice_eq(text, SLICE("labels"));
    return text.len == 0 || *by_name_out || slice_eq(text, SLICE("series")) ||
           err_set(err, ERR_INPUT, "invalid aggregation option");
}

static const uint32_t SERIES_DEFAULT = 100;

// 0 stands for the default.
static bool read_limit(const struct params *p, uint32_t *out, struct err *err)
{
    *out = SERIES_DEFAULT;
    return slice_eq(params_get(p, "limit"), SLICE("0")) || params_count(p, "limit", out, err);
}

static bool answer_volume(const struct app *app, const struct request *rq, bool steps, struct response *rs,
                          struct err *err)
{
    struct params p;
    struct params_range range;
    AUTO(query_selector_done) struct query_selector selector = {0};
    struct query_context context = {.store = app->store, .tenant = rq->tenant, .arena = rq->arena};
    struct query_volume_request request = {.selector = &selector};
    struct query_result result;
    if (!params_read(rq, &p, err) || !params_range(&p, clock_wall_ns(), &range, err) || !params_ordered(&range, err) ||
        !read_limit(&p, &request.limit, err) || !read_targets(&p, rq->arena, &request, err) ||
        !read_aggregation(&p, &request.by_name, err) ||
        (steps && !params_step(&p, &range, &request.step_ns, err)) ||
        !query_selector_parse(params_get(&p, "query"), true, rq->arena, &selector, err))
        return false;
    request.from_ns = range.from_ns;
    request.to_ns = range.to_ns;
    if (!query_volume(&context, &request, &result, err))
        return false;
    struct encode_options options = {.no_stats = true};
    rs->content_type = CONTENT_JSON;
    encode_result(&rs->body, &result, &options);
    return true;
}

void api_index_volume(const struct app *app, const struct request *rq, struct response *rs)
{
    struct err err;
    if (!answer_volume(app, rq, false, rs, &err))
        response_error(rs, &err, false);
}

void api_index_volume_range(const struct app *app, const struct request *rq, struct response *rs)
{
    struct err err;
    if (!answer_volume(app, rq, true, rs, &err))
        response_error(rs, &err, false);
}
