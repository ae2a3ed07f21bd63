/*
 * jaeger.c -- a Batch of Jaeger in thrift's binary protocol, and what OpenTelemetry makes of it (traces-http.md 10).
 *
 * Strings borrow from the body. What follows the batch is not looked at.
 */
#include "ingest/format.h"

#include "ingest/thrift.h"

#include <inttypes.h>
#include <strings.h>

enum { BATCH_PROCESS = 1, BATCH_SPANS = 2 };
enum { PROCESS_SERVICE = 1, PROCESS_TAGS = 2 };
enum {
    SPAN_TRACE_LOW = 1,
    SPAN_TRACE_HIGH = 2,
    SPAN_ID = 3,
    SPAN_PARENT = 4,
    SPAN_OPERATION = 5,
    SPAN_REFERENCES = 6,
    SPAN_START_TIME = 8,
    SPAN_DURATION = 9,
    SPAN_TAGS = 10,
    SPAN_LOGS = 11,
};
enum { REFERENCE_TYPE = 1, REFERENCE_TRACE_LOW = 2, REFERENCE_TRACE_HIGH = 3, REFERENCE_SPAN = 4 };
enum { TAG_KEY = 1, TAG_TYPE = 2, TAG_STRING = 3, TAG_DOUBLE = 4, TAG_BOOL = 5, TAG_LONG = 6, TAG_BINARY = 7 };
enum { TYPE_STRING = 0, TYPE_DOUBLE = 1, TYPE_BOOL = 2, TYPE_LONG = 3, TYPE_BINARY = 4 };
enum { LOG_TIMESTAMP = 1, LOG_FIELDS = 2 };
enum { CHILD_OF = 0 }; // FOLLOWS_FROM otherwise

struct tags { // in the arena
    struct span_attributes all;
    size_t room;
};

struct reference {
    uint64_t trace_low, trace_high, span;
    bool child;
};

struct jaeger_span {
    uint64_t trace_low, trace_high, id, parent;
    struct slice operation;
    struct reference *references; // in the arena
    size_t references_count, references_room;
    int64_t start_us, duration_us;
    struct tags tags;
    struct buf events, links; // owned
};

static void jaeger_span_done(struct jaeger_span *j)
{
    buf_done(&j->events);
    buf_done(&j->links);
}

static void add(struct thrift *t, struct arena *a, struct tags *tags, struct slice key, struct span_value value)
{
    struct span_attributes *all = &tags->all;
    if (all->count == tags->room && !arena_grow(a, (void **)&all->items, sizeof *all->items, all->count, &tags->room)) {
        t->bad = "too large";
        return;
    }
    all->items[all->count++] = (struct span_attribute){key, value};
}

static struct span_value text(struct slice s)
{
    return (struct span_value){.kind = VALUE_STRING, .bytes = s};
}

// --- reading ----------------------------------------------------------------------------------------

static void read_tag(struct thrift *t, struct slice *key_out, struct span_value *value_out)
{
    struct slice string = SLICE(""), binary = SLICE("");
    double number = 0;
    bool flag = false;
    int64_t integer = 0;
    int32_t kind = TYPE_STRING;
    uint8_t type;
    *key_out = SLICE("");
    for (int16_t id; thrift_field(t, &type, &id);) {
        switch (id) {
        case TAG_KEY:
            *key_out = thrift_string(t, type);
            break;
        case TAG_TYPE:
            kind = thrift_i32(t, type);
            break;
        case TAG_STRING:
            string = thrift_string(t, type);
            break;
        case TAG_DOUBLE:
            number = thrift_double(t, type);
            break;
        case TAG_BOOL:
            flag = thrift_bool(t, type);
            break;
        case TAG_LONG:
            integer = thrift_i64(t, type);
            break;
        case TAG_BINARY:
            binary = thrift_string(t, type);
            break;
        default:
            thrift_skip(t, type);
        }
    }
    const struct span_value values[] = {[TYPE_STRING] = text(string),
                                        [TYPE_DOUBLE] = {.kind = VALUE_DOUBLE, .number = number},
                                        [TYPE_BOOL] = {.kind = VALUE_BOOL, .flag = flag},
                                        [TYPE_LONG] = {.kind = VALUE_INT, .integer = integer},
                                        [TYPE_BINARY] = {.kind = VALUE_BYTES, .bytes = binary}};
    bool known = kind >= 0 && (size_t)kind < COUNT_OF(values);
    *value_out = values[known ? kind : TYPE_STRING];
    if (!known && t->bad == NULL)
        t->bad = "an unknown type of a tag";
}

static void read_tags(struct thrift *t, uint8_t type, struct arena *a, struct tags *out)
{
    for (uint32_t left = thrift_structs(t, type); left > 0 && t->bad == NULL; left--) {
        struct slice key;
        struct span_value value;
        read_tag(t, &key, &value);
        add(t, a, out, key, value);
    }
}

static void read_reference(struct thrift *t, struct reference *out)
{
    uint8_t type;
    *out = (struct reference){.child = true};
    for (int16_t id; thrift_field(t, &type, &id);) {
        if (id == REFERENCE_TYPE)
            out->child = thrift_i32(t, type) == CHILD_OF;
        else if (id == REFERENCE_TRACE_LOW)
            out->trace_low = (uint64_t)thrift_i64(t, type);
        else if (id == REFERENCE_TRACE_HIGH)
            out->trace_high = (uint64_t)thrift_i64(t, type);
        else if (id == REFERENCE_SPAN)
            out->span = (uint64_t)thrift_i64(t, type);
        else
            thrift_skip(t, type);
    }
}

static void read_references(struct thrift *t, uint8_t type, struct arena *a, struct jaeger_span *j)
{
    for (uint32_t left = thrift_structs(t, type); left > 0 && t->bad == NULL; left--) {
        if (j->references_count == j->references_room &&
            !arena_grow(a, (void **)&j->references, sizeof *j->references, j->references_count, &j->references_room))
            t->bad = "too large";
        else
            read_reference(t, &j->references[j->references_count++]);
    }
}

static uint64_t ns_of(struct thrift *t, int64_t us)
{
    uint64_t ns = 0;
    if ((us < 0 || __builtin_mul_overflow((uint64_t)us, UINT64_C(1000), &ns)) && t->bad == NULL)
        t->bad = "a time that is out of range";
    return ns;
}

// The field `event` is the name; it is none when it is no string.
static void read_log(struct thrift *t, struct arena *a, struct buf *out)
{
    struct tags fields = {0};
    struct span_event event = {.name = SLICE("")};
    uint8_t type;
    for (int16_t id; thrift_field(t, &type, &id);) {
        if (id == LOG_TIMESTAMP)
            event.time_ns = ns_of(t, thrift_i64(t, type));
        else if (id == LOG_FIELDS)
            read_tags(t, type, a, &fields);
        else
            thrift_skip(t, type);
    }
    for (uint32_t i = 0; i < fields.all.count; i++) {
        struct span_attribute field = fields.all.items[i];
        if (!slice_eq(field.key, SLICE("event")))
            fields.all.items[event.attributes.count++] = field;
        else if (field.value.kind == VALUE_STRING)
            event.name = field.value.bytes;
    }
    event.attributes.items = fields.all.items;
    span_event_put(out, &event);
}

static void read_span(struct thrift *t, struct arena *a, struct jaeger_span *j)
{
    uint8_t type;
    for (int16_t id; thrift_field(t, &type, &id);) {
        switch (id) {
        case SPAN_TRACE_LOW:
            j->trace_low = (uint64_t)thrift_i64(t, type);
            break;
        case SPAN_TRACE_HIGH:
            j->trace_high = (uint64_t)thrift_i64(t, type);
            break;
        case SPAN_ID:
            j->id = (uint64_t)thrift_i64(t, type);
            break;
        case SPAN_PARENT:
            j->parent = (uint64_t)thrift_i64(t, type);
            break;
        case SPAN_OPERATION:
            j->operation = thrift_string(t, type);
            break;
        case SPAN_REFERENCES:
            read_references(t, type, a, j);
            break;
        case SPAN_START_TIME:
            j->start_us = thrift_i64(t, type);
            break;
        case SPAN_DURATION:
            j->duration_us = thrift_i64(t, type);
            break;
        case SPAN_TAGS:
            read_tags(t, type, a, &j->tags);
            break;
        case SPAN_LOGS:
            for (uint32_t left = thrift_structs(t, type); left > 0 && t->bad == NULL; left--)
                read_log(t, a, &j->events);
            break;
        default:
            thrift_skip(t, type);
        }
    }
}

// --- what it means ----------------------------------------------------------------------------------

static void put_be64(uint8_t *to, uint64_t value)
{
    for (int i = 0; i < 8; i++)
        to[i] = (uint8_t)(value >> (56 - 8 * i));
}

static bool of_trace(const struct reference *r, const struct jaeger_span *j)
{
    return r->trace_low == j->trace_low && r->trace_high == j->trace_high;
}

// The parent by the references: the first of the trace, those of children first.
static uint64_t referred_parent(const struct jaeger_span *j)
{
    uint64_t followed = 0;
    for (size_t i = 0; i < j->references_count; i++) {
        const struct reference *r = &j->references[i];
        if (of_trace(r, j) && r->child)
            return r->span;
        if (of_trace(r, j) && followed == 0)
            followed = r->span;
    }
    return followed;
}

static void put_links(struct jaeger_span *j)
{
    for (size_t i = 0; i < j->references_count; i++) {
        const struct reference *r = &j->references[i];
        uint8_t trace_id[TRACE_ID_BYTES], span_id[SPAN_ID_BYTES];
        if (r->child && of_trace(r, j) && r->span == j->parent)
            continue;
        put_be64(trace_id, r->trace_high);
        put_be64(trace_id + 8, r->trace_low);
        put_be64(span_id, r->span);
        struct span_attribute attribute = {SLICE("opentracing.ref_type"),
                                           text(r->child ? SLICE("child_of") : SLICE("follows_from"))};
        struct span_link link = {.trace_id = slice_of(trace_id, sizeof trace_id),
                                 .span_id = slice_of(span_id, sizeof span_id),
                                 .attributes = {&attribute, 1}};
        span_link_put(&j->links, &link);
    }
}

static int32_t kind_named(struct slice name)
{
    static const char *const names[] = {[KIND_INTERNAL] = "internal", [KIND_SERVER] = "server", [KIND_CLIENT] = "client",
                                        [KIND_PRODUCER] = "producer", [KIND_CONSUMER] = "consumer"};
    for (int32_t kind = KIND_INTERNAL; kind <= KIND_CONSUMER; kind++)
        if (slice_eq(name, slice_cstr(names[kind])))
            return kind;
    return KIND_UNSPECIFIED;
}

static bool is_word(struct slice s, const char *word)
{
    return s.len == strlen(word) && strncasecmp((const char *)s.ptr, word, s.len) == 0;
}

static const struct span_value *find(const struct span_attributes *all, const char *key, enum span_value_kind kind)
{
    const struct span_value *value = span_attributes_find(all, slice_cstr(key));
    return value != NULL && value->kind == kind ? value : NULL;
}

static void drop(struct span_attributes *all, const struct span_value *value)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < all->count; i++)
        if (&all->items[i].value != value)
            all->items[kept++] = all->items[i];
    all->count = kept;
}

// Takes a string's value out of the attributes; ptr NULL when there is none.
static struct slice take_text(struct span_attributes *all, const char *key)
{
    const struct span_value *value = find(all, key, VALUE_STRING);
    if (value == NULL)
        return (struct slice){0};
    struct slice taken = value->bytes;
    drop(all, value);
    return taken;
}

static int64_t http_status(const struct span_attributes *all)
{
    const struct span_value *number = find(all, "http.status_code", VALUE_INT);
    const struct span_value *digits = find(all, "http.status_code", VALUE_STRING);
    int64_t status = 0;
    if (number != NULL)
        return number->integer;
    if (digits == NULL || digits->bytes.len > 3)
        return 0;
    for (size_t i = 0; i < digits->bytes.len; i++) {
        if (digits->bytes.ptr[i] < '0' || digits->bytes.ptr[i] > '9')
            return 0;
        status = status * 10 + (digits->bytes.ptr[i] - '0');
    }
    return status;
}

static void place_kind(struct span *span)
{
    const struct span_value *kind = find(&span->attributes, "span.kind", VALUE_STRING);
    if (kind == NULL)
        return;
    span->kind = kind_named(kind->bytes);
    if (span->kind != KIND_UNSPECIFIED)
        drop(&span->attributes, kind);
}

static void place_message(struct span *span)
{
    struct slice message = take_text(&span->attributes, "otel.status_description");
    if (message.ptr != NULL)
        span->status_message = message;
}

// The tag `error` is the last word, then OpenTelemetry's own, then what HTTP said.
static void place_status(struct span *span)
{
    struct span_attributes *all = &span->attributes;
    const struct span_value *error = find(all, "error", VALUE_BOOL);
    bool failed = error != NULL && error->flag;
    if (failed) {
        const struct span_value *http = find(all, "http.status_message", VALUE_STRING);
        span->status = STATUS_ERROR;
        span->status_message = http != NULL ? http->bytes : SLICE("");
        drop(all, error);
        place_message(span);
    }
    struct slice code = take_text(all, "otel.status_code");
    if (failed)
        return;
    if (code.ptr != NULL) {
        span->status = is_word(code, "ok") ? STATUS_OK : is_word(code, "error") ? STATUS_ERROR : STATUS_UNSET;
        place_message(span);
        return;
    }
    int64_t http = http_status(all);
    if (http >= 500 || (http >= 400 && span->kind == KIND_CLIENT))
        span->status = STATUS_ERROR;
}

static bool add_span(struct thrift *t, struct jaeger_span *j, struct spans *spans, struct err *err)
{
    struct span span = {.name = j->operation, .attributes = j->tags.all, .status_message = SLICE("")};
    if (j->parent == 0)
        j->parent = referred_parent(j);
    put_links(j);
    put_be64(span.trace_id, j->trace_high);
    put_be64(span.trace_id + 8, j->trace_low);
    put_be64(span.span_id, j->id);
    put_be64(span.parent_id, j->parent);
    place_kind(&span);
    place_status(&span);
    span.start_ns = ns_of(t, j->start_us);
    if (__builtin_add_overflow(span.start_ns, ns_of(t, j->duration_us), &span.end_ns) && t->bad == NULL)
        t->bad = "a time that is out of range";
    span.events = buf_slice(&j->events);
    span.links = buf_slice(&j->links);
    return t->bad == NULL && spans_add(spans, &span, err);
}

// --- batches ----------------------------------------------------------------------------------------

static void place_process_tag(struct thrift *t, struct arena *a, struct tags *to, const struct span_attribute *tag)
{
    if (slice_eq(tag->key, SLICE("hostname"))) {
        add(t, a, to, SLICE("host.name"), tag->value);
    } else if (slice_eq(tag->key, SLICE("jaeger.version")) && tag->value.kind == VALUE_STRING) {
        const char *version = arena_printf(a, "Jaeger-%.*s", SLICE_FMT(tag->value.bytes));
        add(t, a, to, SLICE("opencensus.exporterversion"), text(slice_cstr(version)));
    } else {
        add(t, a, to, tag->key, tag->value);
    }
}

// A tag service.name replaces the process' name.
static bool take_process(struct thrift *t, uint8_t type, struct spans *spans, struct err *err)
{
    struct slice service = SLICE("");
    struct tags tags = {0}, to = {0};
    thrift_struct(t, type);
    for (int16_t id; thrift_field(t, &type, &id);) {
        if (id == PROCESS_SERVICE)
            service = thrift_string(t, type);
        else if (id == PROCESS_TAGS)
            read_tags(t, type, spans->arena, &tags);
        else
            thrift_skip(t, type);
    }
    if (service.len > 0 && span_attributes_find(&tags.all, SLICE("service.name")) == NULL)
        add(t, spans->arena, &to, SLICE("service.name"), text(service));
    for (uint32_t i = 0; i < tags.all.count; i++)
        place_process_tag(t, spans->arena, &to, &tags.all.items[i]);
    const struct span_resource resource = {.attributes = to.all};
    return t->bad == NULL && spans_resource(spans, &resource, err);
}

static bool take_spans(struct thrift *t, uint8_t type, struct spans *spans, struct err *err)
{
    bool good = true;
    for (uint32_t left = thrift_structs(t, type); good && left > 0 && t->bad == NULL; left--) {
        AUTO(jaeger_span_done) struct jaeger_span j = {.operation = SLICE("")};
        buf_init(&j.events, 0);
        buf_init(&j.links, 0);
        read_span(t, spans->arena, &j);
        good = add_span(t, &j, spans, err);
    }
    return good && t->bad == NULL;
}

// Of one field of the batch.
static bool take(struct thrift *t, int16_t wanted, struct spans *spans, struct err *err,
                 bool (*take_field)(struct thrift *t, uint8_t type, struct spans *spans, struct err *err))
{
    uint8_t type;
    for (int16_t id; thrift_field(t, &type, &id);) {
        if (id != wanted)
            thrift_skip(t, type);
        else if (!take_field(t, type, spans, err))
            return false;
    }
    return t->bad == NULL;
}

bool jaeger_thrift_parse(struct slice body, struct spans *spans, struct err *err)
{
    const struct span_resource resource = {.schema_url = SLICE("")};
    const struct span_scope scope = {.name = SLICE("")};
    struct thrift t = thrift_of(body);
    bool good = spans_resource(spans, &resource, err) && spans_scope(spans, &scope, err) &&
                take(&t, BATCH_PROCESS, spans, err, take_process);
    if (good) {
        t = thrift_of(body); // the process may stand behind its spans
        good = take(&t, BATCH_SPANS, spans, err, take_spans);
    }
    if (!spans_finish(spans, err))
        return false;
    if (t.bad != NULL)
        err_set(err, ERR_INPUT, "%s", t.bad);
    return good || err_wrap(err, "Unable to process request body");
}
