/* api_trace_tree.c -- our own: a trace with its log entries (docs/api.md, "A trace and its logs"); DELETE is api_delete.c's. */
#include "server/api_trace.h"

#include "base/limits.h"
#include "query/trace/encode_tree.h"

enum { TREE_LOGS_DEFAULT = 1000 };

static bool read_limit(const struct params *p, uint32_t *out, struct err *err)
{
    *out = TREE_LOGS_DEFAULT;
    if (!params_count(p, "limit", out, err))
        return err_wrap(err, "limit");
    return *out <= TRACE_TREE_LOGS_MAX ||
           err_set(err, ERR_INPUT, "limit: at most %d log entries, not %u", TRACE_TREE_LOGS_MAX, *out);
}

// `format`, or else `Accept`.
static bool read_format(const struct params *p, const struct request *rq, bool *text_out, struct err *err)
{
    struct slice format = params_get(p, "format");
    *text_out = format.len > 0 ? slice_eq(format, SLICE("text")) : slice_find(rq->accept, SLICE("text/plain")) != SIZE_MAX;
    return format.len == 0 || *text_out || slice_eq(format, SLICE("json")) ||
           err_set(err, ERR_INPUT, "format: expected json or text");
}

static bool answer(const struct app *app, const struct request *rq, struct response *rs, struct err *err)
{
    struct params p;
    uint32_t limit;
    bool text;
    uint8_t id[TRACE_ID_BYTES];
    struct trace_tree tree;
    struct query_context context = api_trace_context(app, rq);
    if (!params_trace_id(rq->name, id, err) || !params_read(rq, &p, err) || !read_limit(&p, &limit, err) ||
        !read_format(&p, rq, &text, err) || !trace_tree(&context, id, limit, &tree, err))
        return false;
    if (tree.spans_count == 0 && tree.logs_count == 0)
        return err_set(err, ERR_NOT_FOUND, "no such trace");
    rs->content_type = text ? CONTENT_TEXT : CONTENT_JSON_PLAIN;
    if (text)
        encode_tree_text(&rs->body, &tree, rq->arena);
    else
        encode_tree_json(&rs->body, &tree, rq->arena);
    return arena_ok(rq->arena, "trace", err);
}

void api_trace_tree(const struct app *app, const struct request *rq, struct response *rs)
{
    if (rq->method == METHOD_DELETE)
        api_delete_trace(app, rq, rs);
    else
        api_trace_answer(answer, app, rq, rs);
}
