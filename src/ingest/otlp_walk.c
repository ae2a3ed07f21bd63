/* otlp_walk.c -- see otlp_walk.h. Members of JSON that are needed later are skipped first and read after the others. */
#include "ingest/otlp_walk.h"

#include "ingest/json.h"

// --- protobuf ---------------------------------------------------------------------------------------

enum { REQUEST_RESOURCES = 1 };
enum { FRAME_CHILDREN = 2, FRAME_CHILDREN_OLD = 1000 };

struct pb_walk {
    const struct otlp_pb_visitor *visitor;
    void *ctx;
};

typedef bool (*pb_frame_fn)(void *ctx, struct pb *p, struct slice frame);
typedef bool (*pb_child_fn)(const struct pb_walk *w, struct pb *p, struct slice message);

static bool pb_frame(const struct pb_walk *w, struct pb *outer, struct slice frame, uint32_t children_old,
                     pb_frame_fn visit, pb_child_fn child)
{
    struct pb m = pb_of(frame);
    struct pb_field f;
    bool good = visit(w->ctx, &m, frame);
    while (good && pb_next(&m, &f))
        if ((f.number == FRAME_CHILDREN || f.number == children_old) && pb_is(&m, &f, PB_BYTES))
            good = child(w, &m, f.bytes);
    return pb_pass(outer, &m) && good;
}

static bool pb_item(const struct pb_walk *w, struct pb *outer, struct slice bytes)
{
    return w->visitor->item(w->ctx, outer, bytes);
}

static bool pb_scope(const struct pb_walk *w, struct pb *outer, struct slice bytes)
{
    return pb_frame(w, outer, bytes, FRAME_CHILDREN, w->visitor->scope, pb_item);
}

static bool pb_resource(const struct pb_walk *w, struct pb *outer, struct slice bytes)
{
    // Senders older than protocol 0.15 name the children of a resource so.
    return pb_frame(w, outer, bytes, FRAME_CHILDREN_OLD, w->visitor->resource, pb_scope) &&
           w->visitor->resource_end(w->ctx);
}

bool otlp_pb_walk(struct slice body, const struct otlp_pb_visitor *visitor, void *ctx, struct arena *a, struct err *err)
{
    const struct pb_walk w = {.visitor = visitor, .ctx = ctx};
    struct pb m = pb_of(body);
    struct pb_field f;
    bool good = true;
    while (good && pb_next(&m, &f))
        if (f.number == REQUEST_RESOURCES && pb_is(&m, &f, PB_BYTES))
            good = pb_resource(&w, &m, f.bytes);
    if (m.bad == NULL)
        return good; // or err is set
    if (!arena_ok(a, "push", err)) {
        err->code = ERR_TOO_LARGE;
        return false;
    }
    return err_set(err, ERR_INPUT, "%s", m.bad);
}

// --- JSON -------------------------------------------------------------------------------------------

struct json_walk {
    const struct otlp_json_visitor *visitor;
    void *ctx;
};

// Where the text of a member is, to be read later; pos NULL: there is none.
static struct json keep(struct json *j)
{
    (void)json_peek(j);
    struct json kept = *j;
    (void)json_raw(j);
    return kept;
}

static bool read_kept(const struct json_walk *w, struct json *j, struct json kept,
                      bool (*element)(const struct json_walk *w, struct json *j))
{
    bool first = true, good = true;
    if (j->what != NULL || kept.pos == NULL)
        return j->what == NULL;
    json_enter(&kept, '[');
    while (good && json_more(&kept, ']', &first))
        good = element(w, &kept);
    if (kept.what != NULL)
        *j = kept; // its failure is the request's
    return good && j->what == NULL;
}

static void take_scope(struct json *j, struct otlp_scope *s)
{
    bool first = true;
    json_enter(j, '{');
    while (json_more(j, '}', &first)) {
        struct slice key = json_key(j);
        if (json_null(j))
            continue;
        if (otlp_json_is(key, "name"))
            s->name = json_string(j);
        else if (otlp_json_is(key, "version"))
            s->version = json_string(j);
        else if (otlp_json_is(key, "attributes"))
            otlp_json_pairs(j, &s->attributes);
        else if (otlp_json_is(key, "droppedAttributesCount"))
            s->dropped = otlp_json_uint32(j);
        else
            (void)json_raw(j);
    }
}

static bool json_item(const struct json_walk *w, struct json *j)
{
    return w->visitor->item(w->ctx, j);
}

static bool json_scope(const struct json_walk *w, struct json *j)
{
    bool first = true;
    struct otlp_scope s = {0};
    struct json items = {0};
    if (json_null(j))
        return w->visitor->scope(w->ctx, &s);
    json_enter(j, '{');
    while (json_more(j, '}', &first)) {
        struct slice key = json_key(j);
        if (json_null(j))
            continue;
        if (otlp_json_is(key, w->visitor->items))
            items = keep(j);
        else if (otlp_json_is(key, "scope"))
            take_scope(j, &s);
        else if (otlp_json_is(key, "schemaUrl"))
            s.schema_url = json_string(j);
        else
            (void)json_raw(j);
    }
    return j->what == NULL && w->visitor->scope(w->ctx, &s) && read_kept(w, j, items, json_item);
}

static void take_resource(struct json *j, struct otlp_resource *r)
{
    bool first = true;
    json_enter(j, '{');
    while (json_more(j, '}', &first)) {
        struct slice key = json_key(j);
        if (json_null(j))
            continue;
        if (otlp_json_is(key, "attributes"))
            otlp_json_pairs(j, &r->attributes);
        else if (otlp_json_is(key, "droppedAttributesCount"))
            r->dropped = otlp_json_uint32(j);
        else
            (void)json_raw(j);
    }
}

static bool json_resource(const struct json_walk *w, struct json *j)
{
    bool first = true;
    struct otlp_resource r = {0};
    struct json scopes = {0};
    if (json_null(j))
        return w->visitor->resource(w->ctx, &r) && w->visitor->resource_end(w->ctx);
    json_enter(j, '{');
    while (json_more(j, '}', &first)) {
        struct slice key = json_key(j);
        if (json_null(j))
            continue;
        if (otlp_json_is(key, w->visitor->scopes))
            scopes = keep(j);
        else if (otlp_json_is(key, "resource"))
            take_resource(j, &r);
        else if (otlp_json_is(key, "schemaUrl"))
            r.schema_url = json_string(j);
        else
            (void)json_raw(j);
    }
    return j->what == NULL && w->visitor->resource(w->ctx, &r) && read_kept(w, j, scopes, json_scope) &&
           w->visitor->resource_end(w->ctx);
}

static bool json_request(const struct json_walk *w, struct json *j)
{
    bool first = true, good = true, first_resource;
    if (json_null(j))
        return true;
    json_enter(j, '{');
    while (good && json_more(j, '}', &first)) {
        struct slice key = json_key(j);
        if (json_null(j))
            continue;
        if (!otlp_json_is(key, w->visitor->resources)) {
            (void)json_raw(j);
            continue;
        }
        first_resource = true;
        json_enter(j, '[');
        while (good && json_more(j, ']', &first_resource))
            good = json_resource(w, j);
    }
    return good;
}

bool otlp_json_walk(struct json *j, const struct otlp_json_visitor *visitor, void *ctx, struct err *err)
{
    const struct json_walk w = {.visitor = visitor, .ctx = ctx};
    bool good = json_request(&w, j);
    if (j->what == NULL && !j->a->overflowed)
        return good; // or err is set
    if (!arena_ok(j->a, "push", err)) {
        err->code = ERR_TOO_LARGE;
        return false;
    }
    return json_error(j, err);
}
