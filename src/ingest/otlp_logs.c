/* otlp_logs.c -- see otlp_logs.h. */
#include "ingest/otlp_logs.h"

#include <inttypes.h>

void otlp_logs_init(struct otlp_logs *o, struct accept *ac, int64_t now_ns, struct err *err)
{
    *o = (struct otlp_logs){.ac = ac, .now_ns = now_ns, .err = err};
}

static bool no_room(struct otlp_logs *o)
{
    return err_set(o->err, ERR_TOO_LARGE, "push: memory limit of %zu bytes exceeded", o->ac->arena->bytes_max);
}

// --- resources --------------------------------------------------------------------------------------

// loki-http.md 19.1
static bool is_promoted(struct slice name)
{
    static const char *const names[] = {
        "service.name",        "service.namespace",       "service.instance.id", "deployment.environment",
        "deployment.environment.name", "cloud.region",    "cloud.availability_zone", "k8s.cluster.name",
        "k8s.namespace.name",  "k8s.pod.name",            "k8s.container.name",  "container.name",
        "k8s.replicaset.name", "k8s.deployment.name",     "k8s.statefulset.name", "k8s.daemonset.name",
        "k8s.cronjob.name",    "k8s.job.name",
    };
    for (size_t i = 0; i < COUNT_OF(names); i++)
        if (slice_eq(name, slice_cstr(names[i])))
            return true;
    return false;
}

static bool add_label(void *ctx, struct slice name, struct slice text)
{
    struct otlp_logs *o = ctx;
    struct arena *a = o->ac->arena;
    struct slice normal;
    if (!accept_metadata_name(name, a, &normal, o->err))
        return false;
    if (o->labels.count == o->labels_room &&
        !arena_grow(a, (void **)&o->labels.items, sizeof *o->labels.items, o->labels.count, &o->labels_room))
        return no_room(o);
    o->labels.items[o->labels.count++] = (struct label){normal, text};
    return true;
}

static bool add_resource_pair(void *ctx, struct slice name, struct slice text)
{
    struct otlp_logs *o = ctx;
    size_t count = o->resource_count + o->scope_count;
    struct label pair = {.value = text};
    if (!accept_metadata_name(name, o->ac->arena, &pair.name, o->err)) // once, not for every record
        return false;
    if (count == o->resource_room &&
        !arena_grow(o->ac->arena, (void **)&o->resource, sizeof *o->resource, count, &o->resource_room))
        return no_room(o);
    o->resource[count] = pair;
    o->scope_count++;
    return true;
}

static bool flatten(struct otlp_logs *o, const struct otlp_pair *pair,
                    bool (*visit)(void *ctx, struct slice name, struct slice text))
{
    o->err->code = ERR_NONE;
    return otlp_flatten(pair->key, &pair->value, o->ac->arena, visit, o) ||
           (o->err->code == ERR_NONE ? no_room(o) : false);
}

// Without a service.name the first attribute that may stand for it does, in the order given: Loki's way for OTLP,
// where for pushes the order of the names decides.
static bool add_service(struct otlp_logs *o)
{
    const struct label *first = NULL;
    for (uint32_t i = 0; i < o->labels.count; i++) {
        const struct label *l = &o->labels.items[i];
        if (l->value.len > 0 && slice_eq(l->name, SLICE("service_name")))
            return true;
        if (first == NULL && l->value.len > 0 && accept_names_service(l->name))
            first = l;
    }
    return first == NULL || add_label(o, SLICE("service_name"), first->value);
}

bool otlp_logs_resource(struct otlp_logs *o, const struct otlp_list *attributes)
{
    o->labels = (struct labels){0};
    o->labels_room = o->resource_count = o->scope_count = 0;
    raw_entries_reset(&o->raw);
    for (size_t i = 0; i < attributes->count; i++) {
        const struct otlp_pair *pair = &attributes->items[i];
        if (!flatten(o, pair, is_promoted(pair->key) ? add_label : add_resource_pair))
            return false;
    }
    o->resource_count = o->scope_count;
    o->scope_count = 0;
    return add_service(o);
}

bool otlp_logs_scope(struct otlp_logs *o, const struct otlp_scope *scope)
{
    o->scope_count = 0;
    for (size_t i = 0; i < scope->attributes.count; i++)
        if (!flatten(o, &scope->attributes.items[i], add_resource_pair))
            return false;
    if (scope->name.len > 0 && !add_resource_pair(o, SLICE("scope_name"), scope->name))
        return false;
    if (scope->version.len > 0 && !add_resource_pair(o, SLICE("scope_version"), scope->version))
        return false;
    return scope->dropped == 0 ||
           add_resource_pair(o, SLICE("scope_dropped_attributes_count"),
                             slice_cstr(arena_printf(o->ac->arena, "%" PRIu32, scope->dropped)));
}

// --- records ----------------------------------------------------------------------------------------

static bool add_pair(void *ctx, struct slice name, struct slice text)
{
    struct otlp_logs *o = ctx;
    return raw_entries_pair(&o->raw, o->ac->arena, (struct label){name, text}) || no_room(o);
}

static bool add_number(struct otlp_logs *o, const char *name, uint64_t value)
{
    return value == 0 || add_pair(o, slice_cstr(name), slice_cstr(arena_printf(o->ac->arena, "%" PRIu64, value)));
}

static bool add_id(struct otlp_logs *o, const char *name, struct slice id)
{
    static const char digits[] = "0123456789abcdef";
    bool any = false;
    for (size_t i = 0; i < id.len; i++)
        any = any || id.ptr[i] != 0;
    if (!any)
        return true;
    uint8_t *hex = arena_alloc(o->ac->arena, 2 * id.len);
    if (hex == NULL)
        return no_room(o);
    for (size_t i = 0; i < id.len; i++) {
        hex[2 * i] = (uint8_t)digits[id.ptr[i] >> 4];
        hex[2 * i + 1] = (uint8_t)digits[id.ptr[i] & 15];
    }
    return add_pair(o, slice_cstr(name), slice_of(hex, 2 * id.len));
}

static bool add_pairs(struct otlp_logs *o, const struct otlp_record *r)
{
    for (size_t i = 0; i < o->resource_count + o->scope_count; i++)
        if (!add_pair(o, o->resource[i].name, o->resource[i].value))
            return false;
    for (size_t i = 0; i < r->attributes.count; i++)
        if (!flatten(o, &r->attributes.items[i], add_pair))
            return false;
    const char *severity = arena_printf(o->ac->arena, "%" PRId64, r->severity_number);
    return (r->time_ns == 0 || add_number(o, "observed_timestamp", r->observed_ns)) &&
           (r->severity_number == 0 || add_pair(o, SLICE("severity_number"), slice_cstr(severity))) &&
           (r->severity_text.len == 0 || add_pair(o, SLICE("severity_text"), r->severity_text)) &&
           add_id(o, "trace_id", r->trace_id) && add_id(o, "span_id", r->span_id) && add_number(o, "flags", r->flags) &&
           add_number(o, "dropped_attributes_count", r->dropped);
}

static int64_t time_of(const struct otlp_logs *o, const struct otlp_record *r)
{
    uint64_t ns = r->time_ns != 0 ? r->time_ns : r->observed_ns;
    return ns == 0 ? o->now_ns : ns > INT64_MAX ? TIME_BEHIND : (int64_t)ns;
}

bool otlp_logs_record(struct otlp_logs *o, const struct otlp_record *r)
{
    struct raw_entry e = {.time_ns = time_of(o, r), .pairs_first = (uint32_t)o->raw.pairs_count, .line = SLICE("")};
    if (r->body.kind == OTLP_STRING) {
        e.line = r->body.text;
    } else if (r->body.kind != OTLP_NONE) {
        AUTO(buf_done) struct buf b;
        buf_init(&b, 0);
        otlp_text(&b, &r->body);
        e.line = arena_copy(o->ac->arena, buf_slice(&b));
    }
    if (e.line.ptr == NULL)
        return no_room(o);
    if (!add_pairs(o, r))
        return false;
    e.pairs_count = (uint32_t)(o->raw.pairs_count - e.pairs_first);
    return raw_entries_add(&o->raw, o->ac->arena, &e) || no_room(o);
}

bool otlp_logs_resource_end(struct otlp_logs *o)
{
    return o->raw.count == 0 || accept_stream(o->ac, &o->labels, &o->raw, o->err);
}
