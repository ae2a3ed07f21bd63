/* api_labels.c -- label names, label values, series: loki-http.md 9. */
#include "server/route.h"

#include "base/clock.h"
#include "base/jsonout.h"
#include "base/labels.h"
#include "server/params.h"

static bool read_range(const struct params *p, struct params_range *out, struct err *err)
{
    if (!params_range(p, clock_wall_ns(), out, err))
        return false;
    return out->to_ns >= out->from_ns ||
           err_set(err, ERR_INPUT,
                   "this data is no longer available, it is past now - max_query_lookback (0s)");
}

static void encode_list(struct buf *b, const char *start, const struct slice *items, size_t count,
                        void (*encode)(struct buf *b, struct slice item))
{
    buf_put_cstr(b, start);
    for (size_t i = 0; i < count; i++) {
        if (i > 0)
            buf_put_byte(b, ',');
        encode(b, items[i]);
    }
    buf_put_byte(b, ']');
}

// Names when `name` is empty.
static bool list_labels(const struct app *app, const struct request *rq, struct slice name,
                        const struct query_selector *selector, const struct params_range *range, bool legacy,
                        struct response *rs, struct err *err)
{
    AUTO(view_endp) struct view *view = NULL;
    if (!view_begin(app->store, rq->tenant, &view, err))
        return false;
    struct slice *items;
    size_t count;
    bool good = name.len > 0
                    ? view_label_values(view, name, selector->matchers, selector->matchers_count,
                                        range->from_ns, range->to_ns, rq->arena, &items, &count, err)
                    : view_label_names(view, selector->matchers, selector->matchers_count,
                                       range->from_ns, range->to_ns, rq->arena, &items, &count, err);
    if (!good)
        return false;
    rs->content_type = CONTENT_JSON;
    buf_put_cstr(&rs->body, legacy ? "{" : "{\"status\":\"success\"");
    if (count > 0) // absent where there is nothing
        encode_list(&rs->body, legacy ? "\"values\":[" : ",\"data\":[", items, count, jsonout_string);
    buf_put_cstr(&rs->body, "}\n");
    return true;
}

static bool answer_labels(const struct app *app, const struct request *rq, struct slice name, bool legacy,
                          struct response *rs, struct err *err)
{
    struct params p;
    struct params_range range;
    AUTO(query_selector_done) struct query_selector selector = {0};
    if (!params_read(rq, &p, err) || !read_range(&p, &range, err))
        return false;
    struct slice text = params_get(&p, "query");
    if (text.len > 0 && !query_selector_parse(text, false, rq->arena, &selector, err))
        return false;
    return list_labels(app, rq, name, &selector, &range, legacy, rs, err);
}

void api_labels(const struct app *app, const struct request *rq, struct response *rs)
{
    struct err err;
    if (!answer_labels(app, rq, (struct slice){0}, false, rs, &err))
        response_error(rs, &err, false);
}

void api_label_values(const struct app *app, const struct request *rq, struct response *rs)
{
    struct err err;
    if (!answer_labels(app, rq, rq->name, false, rs, &err))
        response_error(rs, &err, false);
}

// Names without a name in the path, else its values (loki-http.md 8).
void api_labels_legacy(const struct app *app, const struct request *rq, struct response *rs)
{
    struct err err;
    if (!answer_labels(app, rq, rq->name, true, rs, &err))
        response_error(rs, &err, false);
}

// --- series -----------------------------------------------------------------------------------------

struct selectors {
    struct query_selector *items; // arena
    size_t count;
};

static void selectors_done(struct selectors *s)
{
    for (size_t i = 0; i < s->count; i++)
        query_selector_done(&s->items[i]);
}

static bool is_match(struct slice name)
{
    return slice_eq(name, SLICE("match[]")) || slice_eq(name, SLICE("match"));
}

static bool read_selectors(const struct params *p, struct arena *a, struct selectors *out,
                           struct err *err)
{
    size_t count = 0;
    for (size_t i = 0; i < p->count; i++)
        count += is_match(p->items[i].name) && p->items[i].value.len > 0;
    out->items = arena_zalloc(a, (count + 1) * sizeof *out->items);
    if (out->items == NULL)
        return arena_ok(a, "selectors", err);
    for (size_t i = 0; i < p->count; i++) {
        struct slice text = p->items[i].value;
        if (!is_match(p->items[i].name) || text.len == 0)
            continue;
        // `{}` alone means every stream.
        if (!query_selector_parse(text, true, a, &out->items[out->count], err))
            return false;
        if (out->items[out->count++].matchers_count == 0 && count > 1)
            return err_set(err, ERR_INPUT, "0 matchers in group: %.*s", SLICE_FMT(text));
    }
    return true;
}

static bool answer_series(const struct app *app, const struct request *rq, struct response *rs,
                          struct err *err)
{
    struct params p;
    struct params_range range;
    AUTO(selectors_done) struct selectors selectors = {0};
    if (!params_read(rq, &p, err) || !read_range(&p, &range, err) ||
        !read_selectors(&p, rq->arena, &selectors, err))
        return false;
    struct query_context context = {
        .store = app->store, .tenant = rq->tenant, .arena = rq->arena, .cancelled = rq->cancelled};
    struct slice *sets;
    size_t count;
    if (!query_series(&context, selectors.items, selectors.count, range.from_ns, range.to_ns, &sets,
                      &count, err))
        return false;
    rs->content_type = CONTENT_JSON;
    buf_put_cstr(&rs->body, "{\"status\":\"success\"");
    encode_list(&rs->body, ",\"data\":[", sets, count, jsonout_labels);
    buf_put_cstr(&rs->body, "}\n");
    return true;
}

void api_series(const struct app *app, const struct request *rq, struct response *rs)
{
    struct err err;
    if (!answer_series(app, rq, rs, &err))
        response_error(rs, &err, false);
}
