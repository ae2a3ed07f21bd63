/*
 * spans.c -- see spans.h. Messages of protobuf stay where they are; what other formats make is written as a message and
 * goes the same way, so one place decides what is stored.
 */
#include "ingest/spans.h"

#include "base/clock.h"
#include "base/limits.h"

#include <inttypes.h>
#include <stdio.h>

void spans_init(struct spans *s, struct arena *a, struct slice tenant, int64_t oldest_ns,
                const struct retention *retention, int64_t now_ns)
{
    *s = (struct spans){.arena = a, .oldest_ns = oldest_ns, .retention = retention, .now_ns = now_ns};
    s->service_oldest_ns = oldest_ns;
    s->batch.tenant = tenant;
    buf_init(&s->scratch, 0);
}

void spans_done(struct spans *s)
{
    buf_done(&s->scratch);
}

static bool no_room(const struct spans *s, struct err *err)
{
    return err_set(err, ERR_TOO_LARGE, "push: memory limit of %zu bytes exceeded", s->arena->bytes_max);
}

// --- limits -----------------------------------------------------------------------------------------

static bool key_fits(struct slice key, struct err *err)
{
    return key.len <= INGEST_ATTRIBUTE_KEY_BYTES_MAX ||
           err_set(err, ERR_LIMIT, "attribute key of %zu bytes exceeds the limit of %" PRIu64 " bytes", key.len,
                   INGEST_ATTRIBUTE_KEY_BYTES_MAX);
}

static bool keys_fit(const struct span_attributes *attributes, struct err *err)
{
    for (uint32_t i = 0; i < attributes->count; i++)
        if (!key_fits(attributes->items[i].key, err))
            return false;
    return true;
}

// ERR_LIMIT: some key of the span, its events or links is too long.
static bool all_keys_fit(const struct spans *s, struct slice message, struct err *err)
{
    struct span span;
    struct span_event event;
    struct span_link link;
    if (!span_parse(message, s->arena, &span, err))
        return false;
    if (!keys_fit(&span.attributes, err))
        return false;
    for (struct pb walk = pb_of(span.events); span_event_next(&walk, s->arena, &event);)
        if (!keys_fit(&event.attributes, err))
            return false;
    for (struct pb walk = pb_of(span.links); span_link_next(&walk, s->arena, &link);)
        if (!keys_fit(&link.attributes, err))
            return false;
    return arena_ok(s->arena, "push", err);
}

// ERR_LIMIT: the span is too large.
static bool span_fits(struct spans *s, struct slice message, struct err *err)
{
    if (message.len > INGEST_SPAN_BYTES_MAX)
        return err_set(err, ERR_LIMIT, "span of %zu bytes exceeds the limit of %" PRIu64 " bytes", message.len,
                       INGEST_SPAN_BYTES_MAX);
    if (message.len <= INGEST_ATTRIBUTE_KEY_BYTES_MAX) // no key in it is longer
        return true;
    struct arena_mark mark = arena_mark(s->arena);
    bool fits = all_keys_fit(s, message, err);
    if (s->arena->overflowed)
        return no_room(s, err);
    arena_rewind(s->arena, mark);
    return fits;
}

// --- resources and scopes ---------------------------------------------------------------------------

static void reject_spans_of(struct spans *s, struct span_source *source, enum span_reject reason, const struct err *why)
{
    *source = (struct span_source){
        .reason = reason, .bytes = SLICE(""), .refusal = arena_copy(s->arena, slice_cstr(why->text))};
}

// Takes the canonical bytes in `scratch`; `valid` is span_resource_valid() or its like.
static bool set_source(struct spans *s, struct span_source *source, bool (*valid)(struct slice message, struct err *err),
                       struct err *err)
{
    struct slice bytes = buf_slice(&s->scratch);
    if (source->in_batch && slice_eq(source->bytes, bytes))
        return true;
    if (bytes.len > INGEST_SPAN_SOURCE_BYTES_MAX) {
        (void)err_set(err, ERR_LIMIT, "resource or scope of %zu bytes exceeds the limit of %" PRIu64 " bytes", bytes.len,
                      INGEST_SPAN_SOURCE_BYTES_MAX);
        reject_spans_of(s, source, SPAN_REJECT_TOO_LARGE, err);
        return true;
    }
    if (!valid(bytes, err)) {
        if (err->code == ERR_LIMIT)
            reject_spans_of(s, source, SPAN_REJECT_INVALID, err);
        return err->code == ERR_LIMIT;
    }
    *source = (struct span_source){.bytes = arena_copy(s->arena, bytes)};
    return source->bytes.ptr != NULL || no_room(s, err);
}

static int64_t oldest_of(const struct spans *s, const struct span_resource *resource)
{
    if (s->retention == NULL || s->retention->rules_count == 0)
        return s->oldest_ns;
    const struct span_value *service = span_attributes_find(&resource->attributes, SLICE("service.name"));
    struct slice name = service != NULL && service->kind == VALUE_STRING ? service->bytes : SLICE("");
    int64_t own_ns = retention_span_horizon(s->retention, s->batch.tenant, name, s->now_ns);
    return own_ns > s->oldest_ns ? own_ns : s->oldest_ns;
}

bool spans_resource(struct spans *s, const struct span_resource *resource, struct err *err)
{
    s->service_oldest_ns = oldest_of(s, resource);
    if (!keys_fit(&resource->attributes, err)) {
        reject_spans_of(s, &s->resource, SPAN_REJECT_TOO_LARGE, err);
        return true;
    }
    buf_reset(&s->scratch);
    span_resource_put(&s->scratch, resource);
    return set_source(s, &s->resource, span_resource_valid, err);
}

bool spans_scope(struct spans *s, const struct span_scope *scope, struct err *err)
{
    if (!keys_fit(&scope->attributes, err)) {
        reject_spans_of(s, &s->scope, SPAN_REJECT_TOO_LARGE, err);
        return true;
    }
    buf_reset(&s->scratch);
    span_scope_put(&s->scratch, scope);
    return set_source(s, &s->scope, span_scope_valid, err);
}

// A message that cannot be parsed is the sender's fault here.
static bool bad_frame(const struct spans *s, struct err *err)
{
    if (s->arena->overflowed)
        return no_room(s, err);
    err->code = ERR_INPUT;
    return false;
}

bool spans_resource_frame(struct spans *s, struct slice frame, struct err *err)
{
    struct span_resource resource;
    return span_resource_parse(frame, s->arena, &resource, err) ? spans_resource(s, &resource, err) : bad_frame(s, err);
}

bool spans_scope_frame(struct spans *s, struct slice frame, struct err *err)
{
    struct span_scope scope;
    return span_scope_parse(frame, s->arena, &scope, err) ? spans_scope(s, &scope, err) : bad_frame(s, err);
}

// Its place in the batch, which it enters now if it has not.
static bool source_index(struct spans *s, struct span_source *source, struct slice **all, uint32_t *count, size_t *room,
                         uint32_t *index_out)
{
    if (!source->in_batch) {
        if (*count == *room && !arena_grow(s->arena, (void **)all, sizeof **all, *count, room))
            return false;
        (*all)[(*count)++] = source->bytes;
        source->in_batch = true;
    }
    *index_out = *count - 1;
    return true;
}

// --- spans ------------------------------------------------------------------------------------------

static bool reject(struct spans *s, enum span_reject reason, struct slice why)
{
    s->rejected[reason]++;
    refusals_note(&s->refusals, s->arena, why);
    return true;
}

// What the store asks of a valid message; the last occurrence of a field counts, and of IDs has its length.
static void read_message(struct slice message, struct batch_span *out)
{
    enum { TRACE_ID = 1, SPAN_ID = 2, KIND = 6, START = 7, END = 8 };
    struct pb m = pb_of(message);
    struct pb_field f;
    *out = (struct batch_span){.message = message};
    while (pb_next(&m, &f)) {
        if (f.number == TRACE_ID && f.bytes.len == TRACE_ID_BYTES)
            memcpy(out->trace_id, f.bytes.ptr, TRACE_ID_BYTES);
        else if (f.number == SPAN_ID && f.bytes.len == SPAN_ID_BYTES)
            memcpy(out->span_id, f.bytes.ptr, SPAN_ID_BYTES);
        else if (f.number == KIND)
            out->kind = (int32_t)f.value;
        else if (f.number == START)
            out->start_ns = f.value;
        else if (f.number == END)
            out->end_ns = f.value;
    }
}

static bool reject_too_old(struct spans *s)
{
    char oldest[CLOCK_RFC3339_BYTES], text[128];
    clock_rfc3339(s->service_oldest_ns - s->service_oldest_ns % NS_PER_S, oldest);
    (void)snprintf(text, sizeof text, "start time is too old, oldest acceptable start time is: %s", oldest);
    return reject(s, SPAN_REJECT_TOO_OLD, slice_cstr(text));
}

static bool store_message(struct spans *s, struct slice message, struct err *err)
{
    struct batch *b = &s->batch;
    struct batch_span span;
    read_message(message, &span);
    if (span_time(span.start_ns) < s->service_oldest_ns)
        return reject_too_old(s);
    if (b->spans_count == UINT32_MAX / 2)
        return err_set(err, ERR_TOO_LARGE, "too many spans in one request");
    if (b->spans_count == s->spans_room &&
        !arena_grow(s->arena, (void **)&b->spans, sizeof *b->spans, b->spans_count, &s->spans_room))
        return no_room(s, err);
    if (!source_index(s, &s->resource, &b->resources, &b->resources_count, &s->resources_room, &span.resource) ||
        !source_index(s, &s->scope, &b->scopes, &b->scopes_count, &s->scopes_room, &span.scope))
        return no_room(s, err);
    b->spans[b->spans_count++] = span;
    b->span_bytes += message.len;
    return true;
}

bool spans_message(struct spans *s, struct slice message, struct err *err)
{
    s->seen++;
    if (!span_valid(message, err))
        return err->code == ERR_LIMIT && reject(s, SPAN_REJECT_INVALID, slice_cstr(err->text));
    if (!span_fits(s, message, err))
        return err->code == ERR_LIMIT && reject(s, SPAN_REJECT_TOO_LARGE, slice_cstr(err->text));
    if (s->resource.refusal.len > 0)
        return reject(s, s->resource.reason, s->resource.refusal);
    if (s->scope.refusal.len > 0)
        return reject(s, s->scope.reason, s->scope.refusal);
    return store_message(s, message, err);
}

bool spans_add(struct spans *s, const struct span *span, struct err *err)
{
    buf_reset(&s->scratch);
    span_put(&s->scratch, span);
    struct slice message = arena_copy(s->arena, buf_slice(&s->scratch));
    return message.ptr != NULL ? spans_message(s, message, err) : no_room(s, err);
}

uint64_t spans_rejected(const struct spans *s)
{
    uint64_t rejected = 0;
    for (int i = 0; i < SPAN_REJECTS_COUNT; i++)
        rejected += s->rejected[i];
    return rejected;
}

bool spans_finish(const struct spans *s, struct err *err)
{
    return !s->arena->overflowed || no_room(s, err);
}
