/* zipkin.c -- from Zipkin's model to OpenTelemetry's: traces-http.md 9, its table and its details. */
#include "ingest/zipkin.h"

#include "base/hex.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

bool zipkin_annotate(struct zipkin_span *z, struct arena *a, struct zipkin_annotation annotation)
{
    if (z->annotations_count == z->annotations_room &&
        !arena_grow(a, (void **)&z->annotations, sizeof *z->annotations, z->annotations_count, &z->annotations_room))
        return false;
    z->annotations[z->annotations_count++] = annotation;
    return true;
}

bool zipkin_tag(struct zipkin_span *z, struct arena *a, struct label tag)
{
    if (z->tags_count == z->tags_room && !arena_grow(a, (void **)&z->tags, sizeof *z->tags, z->tags_count, &z->tags_room))
        return false;
    z->tags[z->tags_count++] = tag;
    return true;
}

bool zipkin_ns(uint64_t us, uint64_t *ns_out, struct err *err)
{
    return !__builtin_mul_overflow(us, UINT64_C(1000), ns_out) ||
           err_set(err, ERR_INPUT, "%" PRIu64 " microseconds are out of range", us);
}

// --- which tags go where ----------------------------------------------------------------------------

// OpenTelemetry's semantic conventions of resources, by their exact names.
static bool is_of_resource(struct slice key)
{
    static const char *const names[] = {
        "aws.ecs.cluster.arn", "aws.ecs.container.arn", "aws.ecs.launchtype", "aws.ecs.task.arn", "aws.ecs.task.family",
        "aws.ecs.task.revision", "aws.eks.cluster.arn", "aws.log.group.arns", "aws.log.group.names",
        "aws.log.stream.arns", "aws.log.stream.names", "browser.brands", "browser.platform", "cloud.account.id",
        "cloud.availability_zone", "cloud.platform", "cloud.provider", "cloud.region", "cloud.resource_id",
        "container.id", "container.image.name", "container.image.tag", "container.name", "container.runtime",
        "deployment.environment", "device.id", "device.manufacturer", "device.model.identifier", "device.model.name",
        "faas.id", "faas.instance", "faas.max_memory", "faas.name", "faas.version", "host.arch", "host.id",
        "host.image.id", "host.image.name", "host.image.version", "host.name", "host.type", "k8s.cluster.name",
        "k8s.container.name", "k8s.container.restart_count", "k8s.cronjob.name", "k8s.cronjob.uid",
        "k8s.daemonset.name", "k8s.daemonset.uid", "k8s.deployment.name", "k8s.deployment.uid", "k8s.job.name",
        "k8s.job.uid", "k8s.namespace.name", "k8s.node.name", "k8s.node.uid", "k8s.pod.name", "k8s.pod.uid",
        "k8s.replicaset.name", "k8s.replicaset.uid", "k8s.statefulset.name", "k8s.statefulset.uid", "os.description",
        "os.name", "os.type", "os.version", "process.command", "process.command_args", "process.command_line",
        "process.executable.name", "process.executable.path", "process.owner", "process.parent_pid", "process.pid",
        "process.runtime.description", "process.runtime.name", "process.runtime.version", "service.instance.id",
        "service.namespace", "service.version", "telemetry.auto.version", "telemetry.sdk.language",
        "telemetry.sdk.name", "telemetry.sdk.version", "webengine.description", "webengine.name", "webengine.version",
    };
    for (size_t i = 0; i < COUNT_OF(names); i++)
        if (slice_eq(key, slice_cstr(names[i])))
            return true;
    return false;
}

// What becomes of a span on its way.
struct mapping {
    struct arena *a;
    struct span span;
    struct span_resource resource;
    struct span_scope scope;
    struct slice service, status_code, status_text, error; // ptr NULL: no such tag
    struct buf events, links;                              // owned
};

static void mapping_done(struct mapping *m)
{
    buf_done(&m->events);
    buf_done(&m->links);
}

// There is room for it.
static void add_text(struct span_attributes *to, struct slice key, struct slice text)
{
    to->items[to->count++] = (struct span_attribute){key, {.kind = VALUE_STRING, .bytes = text}};
}

// --- what exporters of OpenTelemetry hide in strings -----------------------------------------------------

// The parts of `text` between the first bars; the last part is all that is left.
static size_t split(struct slice text, struct slice *parts, size_t most)
{
    size_t count = 0;
    for (; count + 1 < most; count++) {
        size_t bar = slice_find(text, SLICE("|"));
        if (bar == SIZE_MAX)
            break;
        parts[count] = slice_of(text.ptr, bar);
        text = slice_from(text, bar + 1);
    }
    parts[count] = text;
    return count + 1;
}

// `{json attributes}|dropped`: cut at the last bar, for there may be others in the attributes.
static bool split_last(struct slice text, struct slice *head, uint32_t *dropped_out)
{
    size_t bar = text.len;
    while (bar > 0 && text.ptr[bar - 1] != '|')
        bar--;
    struct slice digits = slice_from(text, bar);
    uint64_t dropped = 0;
    for (size_t i = 0; i < digits.len; i++) {
        if (digits.ptr[i] < '0' || digits.ptr[i] > '9')
            return false;
        dropped = dropped * 10 + (digits.ptr[i] - '0');
        if (dropped > UINT32_MAX)
            return false;
    }
    *head = slice_of(text.ptr, bar > 0 ? bar - 1 : 0);
    *dropped_out = (uint32_t)dropped;
    return bar > 0 && digits.len > 0;
}

static struct span_value take_json_value(struct json *j)
{
    if (json_peek(j) == '"')
        return (struct span_value){.kind = VALUE_STRING, .bytes = json_string(j)};
    struct slice raw = json_raw(j);
    if (slice_eq(raw, SLICE("true")) || slice_eq(raw, SLICE("false")))
        return (struct span_value){.kind = VALUE_BOOL, .flag = raw.ptr[0] == 't'};
    const char *text = arena_printf(j->a, "%.*s", SLICE_FMT(raw));
    char *end;
    errno = 0;
    int64_t integer = strtoll(text, &end, 10);
    if (*text != '\0' && *end == '\0' && errno == 0)
        return (struct span_value){.kind = VALUE_INT, .integer = integer};
    double number = strtod(text, &end);
    if (*text == '\0' || *end != '\0')
        json_fail(j, "neither text nor number");
    return (struct span_value){.kind = VALUE_DOUBLE, .number = number};
}

// A JSON object of scalars; false when the text is something else.
static bool take_json_attributes(struct slice text, struct arena *a, struct span_attributes *out)
{
    struct json j = json_of(text, a);
    size_t room = 0;
    bool first = true;
    *out = (struct span_attributes){0};
    json_enter(&j, '{');
    while (json_more(&j, '}', &first)) {
        if (out->count == room && !arena_grow(a, (void **)&out->items, sizeof *out->items, out->count, &room))
            return false;
        struct span_attribute *pair = &out->items[out->count];
        pair->key = json_key(&j);
        pair->value = take_json_value(&j);
        out->count += j.what == NULL;
    }
    return j.what == NULL && json_peek(&j) == 0;
}

// `name|{json attributes}|dropped`; every other value is a name.
static void add_event(struct mapping *m, uint64_t time_ns, struct slice value)
{
    struct slice parts[2], attributes;
    struct span_event event = {.time_ns = time_ns};
    if (split(value, parts, COUNT_OF(parts)) == 2 && split_last(parts[1], &attributes, &event.dropped_attributes) &&
        take_json_attributes(attributes, m->a, &event.attributes))
        event.name = parts[0];
    else
        event = (struct span_event){.time_ns = time_ns, .name = value};
    span_event_put(&m->events, &event);
}

// `traceid|spanid|state|{json attributes}|dropped`; false when the text is something else.
static bool add_link(struct mapping *m, struct slice text)
{
    struct slice parts[4], attributes;
    uint8_t trace_id[TRACE_ID_BYTES], span_id[SPAN_ID_BYTES];
    struct span_link link = {.trace_id = slice_of(trace_id, sizeof trace_id),
                             .span_id = slice_of(span_id, sizeof span_id)};
    if (split(text, parts, COUNT_OF(parts)) < COUNT_OF(parts) || !hex_decode(parts[0], trace_id, sizeof trace_id) ||
        !hex_decode(parts[1], span_id, sizeof span_id) || !split_last(parts[3], &attributes, &link.dropped_attributes) ||
        !take_json_attributes(attributes, m->a, &link.attributes))
        return false;
    link.trace_state = parts[2];
    span_link_put(&m->links, &link);
    return true;
}

// --- the mapping ------------------------------------------------------------------------------------

// `service.name`, `otel.scope` and others have places of their own, all that is left are attributes.
static void place_tag(struct mapping *m, struct label tag)
{
    if (slice_eq(tag.name, SLICE("span.kind"))) {
        if (m->span.kind == KIND_UNSPECIFIED && slice_eq(tag.value, SLICE("internal")))
            m->span.kind = KIND_INTERNAL;
    } else if (slice_eq(tag.name, SLICE("service.name"))) {
        m->service = tag.value;
    } else if (slice_eq(tag.name, SLICE("otel.library.name"))) {
        m->scope.name = tag.value;
    } else if (slice_eq(tag.name, SLICE("otel.library.version"))) {
        m->scope.version = tag.value;
    } else if (slice_eq(tag.name, SLICE("w3c.tracestate"))) {
        m->span.trace_state = tag.value;
    } else if (slice_eq(tag.name, SLICE("otel.status_code"))) {
        m->status_code = tag.value;
    } else if (slice_eq(tag.name, SLICE("otel.status_description"))) {
        m->status_text = tag.value;
    } else if (slice_eq(tag.name, SLICE("error"))) {
        m->error = tag.value;
    } else if (is_of_resource(tag.name)) {
        add_text(&m->resource.attributes, tag.name, tag.value);
    } else if (!slice_starts(tag.name, SLICE("otlp.link.")) || !add_link(m, tag.value)) {
        add_text(&m->span.attributes, tag.name, tag.value);
    }
}

static int32_t status_named(struct slice name)
{
    if (slice_eq(name, SLICE("STATUS_CODE_OK")) || slice_eq(name, SLICE("Ok")))
        return STATUS_OK;
    if (slice_eq(name, SLICE("STATUS_CODE_ERROR")) || slice_eq(name, SLICE("Error")))
        return STATUS_ERROR;
    return STATUS_UNSET;
}

// From the tags that place_tag() put aside; those that say nothing of the status are attributes after all.
static void place_status(struct mapping *m)
{
    struct span_attributes *attributes = &m->span.attributes;
    bool coded = m->status_code.ptr != NULL;
    if (coded)
        m->span.status = status_named(m->status_code);
    else if (m->error.ptr != NULL)
        m->span.status = STATUS_ERROR;
    if (m->error.ptr != NULL && (coded || !slice_eq(m->error, SLICE("true"))))
        add_text(attributes, SLICE("error"), m->error);
    if (coded && m->status_text.ptr != NULL)
        m->span.status_message = m->status_text;
    else if (m->status_text.ptr != NULL)
        add_text(attributes, SLICE("otel.status_description"), m->status_text);
}

void zipkin_add_endpoint(struct span_attributes *to, const struct zipkin_endpoint *endpoint, const char *service,
                         const char *ip, const char *port)
{
    if (service != NULL && endpoint->service.len > 0)
        add_text(to, slice_cstr(service), endpoint->service);
    if (endpoint->ip.len > 0)
        add_text(to, slice_cstr(ip), endpoint->ip);
    if (endpoint->port != 0)
        to->items[to->count++] =
            (struct span_attribute){slice_cstr(port), {.kind = VALUE_INT, .integer = endpoint->port}};
}

static void place_endpoints(struct mapping *m, const struct zipkin_span *z)
{
    zipkin_add_endpoint(&m->span.attributes, &z->local, NULL, "net.host.ip", "net.host.port");
    zipkin_add_endpoint(&m->span.attributes, &z->remote, "peer.service", "net.peer.ip", "net.peer.port");
    if (m->service.ptr == NULL)
        m->service = z->local.service;
    if (m->service.len > 0)
        add_text(&m->resource.attributes, SLICE("service.name"), m->service);
}

static bool place_times(struct mapping *m, const struct zipkin_span *z, struct err *err)
{
    uint64_t duration_ns;
    if (!zipkin_ns(z->time_us, &m->span.start_ns, err) || !zipkin_ns(z->duration_us, &duration_ns, err))
        return false;
    if (__builtin_add_overflow(m->span.start_ns, duration_ns, &m->span.end_ns))
        return err_set(err, ERR_INPUT, "a duration of %" PRIu64 " microseconds is out of range", z->duration_us);
    struct span_attributes *attributes = &m->span.attributes;
    if (z->time_us == 0)
        attributes->items[attributes->count++] = (struct span_attribute){
            SLICE("otel.zipkin.absentField.startTime"), {.kind = VALUE_BOOL, .flag = true}};
    for (size_t i = 0; i < z->annotations_count; i++) {
        uint64_t time_ns;
        if (!zipkin_ns(z->annotations[i].time_us, &time_ns, err))
            return false;
        add_event(m, time_ns, z->annotations[i].value);
    }
    return true;
}

static bool check(const struct zipkin_span *z, struct err *err)
{
    static const uint8_t none[TRACE_ID_BYTES];
    if (memcmp(z->trace_id, none, TRACE_ID_BYTES) == 0)
        return err_set(err, ERR_INPUT, "valid traceId required");
    if (memcmp(z->span_id, none, SPAN_ID_BYTES) == 0)
        return err_set(err, ERR_INPUT, "valid span id required");
    for (size_t i = 0; i < z->annotations_count; i++)
        if (z->annotations[i].time_us == 0)
            return err_set(err, ERR_INPUT, "valid annotation timestamp required");
    return true;
}

static bool start(struct mapping *m, const struct zipkin_span *z, struct spans *spans)
{
    enum { ADDED_MAX = 8 }; // attributes that are not tags: endpoints, start time; of the resource: service
    *m = (struct mapping){.a = spans->arena, .span = {.kind = z->kind, .name = z->name}};
    buf_init(&m->events, 0);
    buf_init(&m->links, 0);
    memcpy(m->span.trace_id, z->trace_id, TRACE_ID_BYTES);
    memcpy(m->span.span_id, z->span_id, SPAN_ID_BYTES);
    if (memcmp(z->parent_id, z->span_id, SPAN_ID_BYTES) != 0)
        memcpy(m->span.parent_id, z->parent_id, SPAN_ID_BYTES);
    m->span.attributes.items = arena_array(m->a, z->tags_count + ADDED_MAX, sizeof *m->span.attributes.items);
    m->resource.attributes.items = arena_array(m->a, z->tags_count + ADDED_MAX, sizeof *m->resource.attributes.items);
    return m->resource.attributes.items != NULL && m->span.attributes.items != NULL;
}

bool zipkin_add(struct spans *spans, const struct zipkin_span *z, struct err *err)
{
    AUTO(mapping_done) struct mapping m = {.a = NULL};
    if (!check(z, err))
        return false;
    if (!start(&m, z, spans))
        return spans_finish(spans, err);
    for (size_t i = 0; i < z->tags_count; i++)
        place_tag(&m, z->tags[i]);
    place_status(&m);
    place_endpoints(&m, z);
    if (!place_times(&m, z, err))
        return false;
    m.span.events = buf_slice(&m.events);
    m.span.links = buf_slice(&m.links);
    return spans_resource(spans, &m.resource, err) && spans_scope(spans, &m.scope, err) && spans_add(spans, &m.span, err);
}
