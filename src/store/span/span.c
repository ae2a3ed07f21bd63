/*
 * span.c -- spans from protobuf; see span.h. span_put.c is the way back.
 *
 * One table, `schema`, says which fields of which messages are known: a message that was checked against it is what
 * everything below may take for granted. Readers are bounded all the same, so bytes that were not checked give nonsense
 * at worst.
 */
#include "store/span.h"

#include "base/codec.h"
#include "base/limits.h"
#include "store/span/span_wire.h"

// --- the schema (traces-http.md 4) --------------------------------------------------------------------

enum message {
    MESSAGE_NONE, // not a message, or not looked into
    MESSAGE_SPAN,
    MESSAGE_EVENT,
    MESSAGE_LINK,
    MESSAGE_STATUS,
    MESSAGE_RESOURCE_SPANS,
    MESSAGE_RESOURCE,
    MESSAGE_ENTITY,
    MESSAGE_SCOPE_SPANS,
    MESSAGE_SCOPE,
    MESSAGE_PAIR,
    MESSAGE_ANY,
    MESSAGE_ARRAY,
    MESSAGE_MAP,
    MESSAGES_COUNT,
};

enum { FIELD_NUMBER_MAX = 16 };

static const struct field_rule {
    bool known;
    uint8_t wire;    // enum pb_wire
    uint8_t message; // enum message: what the bytes are
    uint8_t bytes;   // so many or none; 0: any
} schema[MESSAGES_COUNT][FIELD_NUMBER_MAX + 1] = {
#define VARINT {true, PB_VARINT, MESSAGE_NONE, 0}
#define FIXED64 {true, PB_FIXED64, MESSAGE_NONE, 0}
#define FIXED32 {true, PB_FIXED32, MESSAGE_NONE, 0}
#define BYTES {true, PB_BYTES, MESSAGE_NONE, 0}
#define ID(bytes_count) {true, PB_BYTES, MESSAGE_NONE, bytes_count}
#define NESTED(message) {true, PB_BYTES, MESSAGE_##message, 0}
    [MESSAGE_SPAN] = {[SPAN_TRACE_ID] = BYTES, // its length and the next one's: see span_valid()
                      [SPAN_SPAN_ID] = BYTES,
                      [SPAN_TRACE_STATE] = BYTES,
                      [SPAN_PARENT_ID] = ID(SPAN_ID_BYTES),
                      [SPAN_NAME] = BYTES,
                      [SPAN_KIND] = VARINT,
                      [SPAN_START] = FIXED64,
                      [SPAN_END] = FIXED64,
                      [SPAN_ATTRIBUTES] = NESTED(PAIR),
                      [SPAN_DROPPED_ATTRIBUTES] = VARINT,
                      [SPAN_EVENT] = NESTED(EVENT),
                      [SPAN_DROPPED_EVENTS] = VARINT,
                      [SPAN_LINK] = NESTED(LINK),
                      [SPAN_DROPPED_LINKS] = VARINT,
                      [SPAN_STATUS] = NESTED(STATUS),
                      [SPAN_FLAGS] = FIXED32},
    [MESSAGE_EVENT] = {[EVENT_TIME] = FIXED64,
                       [EVENT_NAME] = BYTES,
                       [EVENT_ATTRIBUTES] = NESTED(PAIR),
                       [EVENT_DROPPED] = VARINT},
    [MESSAGE_LINK] = {[LINK_TRACE_ID] = ID(TRACE_ID_BYTES),
                      [LINK_SPAN_ID] = ID(SPAN_ID_BYTES),
                      [LINK_TRACE_STATE] = BYTES,
                      [LINK_ATTRIBUTES] = NESTED(PAIR),
                      [LINK_DROPPED] = VARINT,
                      [LINK_FLAGS] = FIXED32},
    [MESSAGE_STATUS] = {[STATUS_MESSAGE] = BYTES, [STATUS_CODE] = VARINT},
    [MESSAGE_RESOURCE_SPANS] = {[RESOURCE_SPANS_RESOURCE] = NESTED(RESOURCE), [RESOURCE_SPANS_SCHEMA_URL] = BYTES},
    [MESSAGE_RESOURCE] = {[RESOURCE_ATTRIBUTES] = NESTED(PAIR),
                          [RESOURCE_DROPPED] = VARINT,
                          [RESOURCE_ENTITIES] = NESTED(ENTITY)},
    [MESSAGE_ENTITY] = {[1] = BYTES, [2] = BYTES, [3] = BYTES, [4] = BYTES},
    [MESSAGE_SCOPE_SPANS] = {[SCOPE_SPANS_SCOPE] = NESTED(SCOPE), [SCOPE_SPANS_SCHEMA_URL] = BYTES},
    [MESSAGE_SCOPE] = {[SCOPE_NAME] = BYTES,
                       [SCOPE_VERSION] = BYTES,
                       [SCOPE_ATTRIBUTES] = NESTED(PAIR),
                       [SCOPE_DROPPED] = VARINT},
    [MESSAGE_PAIR] = {[PAIR_KEY] = BYTES, [PAIR_VALUE] = NESTED(ANY)},
    [MESSAGE_ANY] = {[ANY_STRING] = BYTES,
                     [ANY_BOOL] = VARINT,
                     [ANY_INT] = VARINT,
                     [ANY_DOUBLE] = FIXED64,
                     [ANY_ARRAY] = NESTED(ARRAY),
                     [ANY_MAP] = NESTED(MAP),
                     [ANY_BYTES] = BYTES,
                     [ANY_STRING_INDEX] = VARINT},
    [MESSAGE_ARRAY] = {[LIST_VALUES] = NESTED(ANY)},
    [MESSAGE_MAP] = {[LIST_VALUES] = NESTED(PAIR)},
#undef VARINT
#undef FIXED64
#undef FIXED32
#undef BYTES
#undef ID
#undef NESTED
};

static const char too_deep[] = "proto: values nested too deeply";

// Hands a failure of an inner message on.
static bool good(struct pb *outer, const struct pb *inner)
{
    if (outer->bad == NULL)
        outer->bad = inner->bad;
    return outer->bad == NULL;
}

// Whether a field is known to a message; a known one of another wire type is a failure.
static bool known(struct pb *p, enum message message, const struct pb_field *f)
{
    if (f->number > FIELD_NUMBER_MAX)
        return false;
    const struct field_rule *rule = &schema[message][f->number];
    return rule->known && pb_is(p, f, (enum pb_wire)rule->wire);
}

static bool check(struct pb *outer, enum message message, struct slice bytes, unsigned depth)
{
    struct pb m = pb_of(bytes);
    struct pb_field f;
    if (message == MESSAGE_ARRAY || message == MESSAGE_MAP)
        depth++;
    if (depth > SPAN_VALUE_DEPTH_MAX)
        m.bad = too_deep;
    while (pb_next(&m, &f)) {
        if (!known(&m, message, &f))
            continue;
        const struct field_rule *rule = &schema[message][f.number];
        if (rule->message != MESSAGE_NONE)
            (void)check(&m, (enum message)rule->message, f.bytes, depth);
        else if (rule->bytes != 0 && f.bytes.len != 0 && f.bytes.len != rule->bytes)
            m.bad = rule->bytes == TRACE_ID_BYTES ? "invalid TraceID length" : "invalid SpanID length";
    }
    return good(outer, &m);
}

static bool check_whole(enum message message, struct slice bytes, struct err *err)
{
    struct pb p = {.bad = NULL};
    if (check(&p, message, bytes, 0))
        return true;
    return err_set(err, p.bad == too_deep ? ERR_LIMIT : ERR_INPUT, "%s", p.bad);
}

bool span_resource_valid(struct slice message, struct err *err)
{
    return check_whole(MESSAGE_RESOURCE_SPANS, message, err);
}

bool span_scope_valid(struct slice message, struct err *err)
{
    return check_whole(MESSAGE_SCOPE_SPANS, message, err);
}

static bool all_zero(struct slice s)
{
    for (size_t i = 0; i < s.len; i++)
        if (s.ptr[i] != 0)
            return false;
    return true;
}

bool span_valid(struct slice message, struct err *err)
{
    if (!check_whole(MESSAGE_SPAN, message, err))
        return false;
    struct slice trace_id = SLICE(""), span_id = SLICE("");
    uint32_t attributes = 0;
    struct pb m = pb_of(message);
    struct pb_field f;
    while (pb_next(&m, &f)) {
        if (f.number == SPAN_TRACE_ID)
            trace_id = f.bytes;
        else if (f.number == SPAN_SPAN_ID)
            span_id = f.bytes;
        else if (f.number == SPAN_ATTRIBUTES)
            attributes++;
    }
    if (attributes > INGEST_SPAN_ATTRIBUTES_MAX)
        return err_set(err, ERR_LIMIT, "span has %u attributes, more than %u", attributes, INGEST_SPAN_ATTRIBUTES_MAX);
    if (trace_id.len != TRACE_ID_BYTES || all_zero(trace_id))
        return err_set(err, ERR_LIMIT, "trace ids must be 128 bit, received %zu bits",
                       all_zero(trace_id) ? 0 : trace_id.len * 8);
    if (span_id.len != SPAN_ID_BYTES || all_zero(span_id))
        return err_set(err, ERR_LIMIT, "span ids must be 64 bit and not all zero, received %zu bits",
                       all_zero(span_id) ? 0 : span_id.len * 8);
    return true;
}

// --- values -------------------------------------------------------------------------------------------

_Static_assert((int)VALUE_STRING == ANY_STRING && (int)VALUE_BOOL == ANY_BOOL && (int)VALUE_INT == ANY_INT &&
                   (int)VALUE_DOUBLE == ANY_DOUBLE && (int)VALUE_ARRAY == ANY_ARRAY && (int)VALUE_MAP == ANY_MAP &&
                   (int)VALUE_BYTES == ANY_BYTES,
               "kinds are the numbers of AnyValue's members");

static void take_member(const struct pb_field *f, struct span_value *out)
{
    switch ((enum span_wire_field)f->number) {
    case ANY_BOOL:
        *out = (struct span_value){.kind = VALUE_BOOL, .flag = f->value != 0};
        break;
    case ANY_INT:
        *out = (struct span_value){.kind = VALUE_INT, .integer = (int64_t)f->value};
        break;
    case ANY_DOUBLE:
        *out = (struct span_value){.kind = VALUE_DOUBLE};
        memcpy(&out->number, &f->value, sizeof out->number);
        break;
    case ANY_STRING_INDEX: // of profiles: no value elsewhere
        *out = (struct span_value){.kind = VALUE_NONE};
        break;
    default:
        *out = (struct span_value){.kind = (enum span_value_kind)f->number, .bytes = f->bytes};
    }
}

bool span_value_parse(struct pb *p, struct slice any, struct span_value *out)
{
    struct pb m = pb_of(any);
    struct pb_field f;
    *out = (struct span_value){.kind = VALUE_NONE};
    while (pb_next(&m, &f))
        if (known(&m, MESSAGE_ANY, &f))
            take_member(&f, out);
    return good(p, &m);
}

static bool take_pair(struct pb *p, struct slice pair, struct span_attribute *out)
{
    struct pb m = pb_of(pair);
    struct pb_field f;
    *out = (struct span_attribute){.key = SLICE("")};
    while (pb_next(&m, &f)) {
        struct span_value value;
        if (!known(&m, MESSAGE_PAIR, &f))
            continue;
        if (f.number == PAIR_KEY)
            out->key = f.bytes;
        else if (span_value_parse(&m, f.bytes, &value) && value.kind != VALUE_NONE)
            out->value = value; // a message given twice is merged
    }
    return good(p, &m);
}

// The next field of that number.
static bool next_field(struct pb *walk, uint32_t number, struct slice *out)
{
    struct pb_field f;
    while (pb_next(walk, &f)) {
        if (f.number == number && pb_is(walk, &f, PB_BYTES)) {
            *out = f.bytes;
            return true;
        }
    }
    return false;
}

bool span_array_next(struct pb *walk, struct span_value *out)
{
    struct slice any;
    return next_field(walk, LIST_VALUES, &any) && span_value_parse(walk, any, out);
}

bool span_map_next(struct pb *walk, struct span_attribute *out)
{
    struct slice pair;
    return next_field(walk, LIST_VALUES, &pair) && take_pair(walk, pair, out);
}

const struct span_value *span_attributes_find(const struct span_attributes *attributes, struct slice key)
{
    for (uint32_t i = 0; i < attributes->count; i++)
        if (slice_eq(attributes->items[i].key, key))
            return &attributes->items[i].value;
    return NULL;
}

// --- from messages ------------------------------------------------------------------------------------

// Attributes that grow in an arena; `all` lies outside.
struct growing {
    struct span_attributes *all;
    size_t room;
};

static void add_attribute(struct pb *p, struct slice pair, struct arena *a, struct growing *to)
{
    struct span_attributes *all = to->all;
    if (!arena_grow(a, (void **)&all->items, sizeof *all->items, all->count, &to->room))
        p->bad = "too large"; // told as the arena's failure
    else if (take_pair(p, pair, &all->items[all->count]))
        all->count++;
}

static void take_resource(struct pb *p, struct slice bytes, struct arena *a, struct growing *attributes,
                          struct buf *entities, struct span_resource *out)
{
    struct pb m = pb_of(bytes);
    struct pb_field f;
    while (pb_next(&m, &f)) {
        if (!known(&m, MESSAGE_RESOURCE, &f))
            continue;
        if (f.number == RESOURCE_ATTRIBUTES) {
            add_attribute(&m, f.bytes, a, attributes);
        } else if (f.number == RESOURCE_DROPPED) {
            out->dropped_attributes = (uint32_t)f.value;
        } else {
            put_varint(entities, RESOURCE_ENTITIES << 3 | PB_BYTES);
            put_prefixed(entities, f.bytes);
        }
    }
    (void)good(p, &m);
}

static bool parsed(const struct pb *p, const struct arena *a, const char *what, struct err *err)
{
    if (!arena_ok(a, what, err))
        return false;
    return p->bad == NULL || err_set(err, ERR_CORRUPT, "%s: %s", what, p->bad);
}

bool span_resource_parse(struct slice bytes, struct arena *a, struct span_resource *out, struct err *err)
{
    struct buf entities AUTO(buf_done);
    buf_init(&entities, 0);
    *out = (struct span_resource){.bytes = bytes, .schema_url = SLICE(""), .service = SLICE("")};
    struct growing attributes = {.all = &out->attributes};
    struct pb m = pb_of(bytes);
    struct pb_field f;
    while (pb_next(&m, &f)) {
        if (!known(&m, MESSAGE_RESOURCE_SPANS, &f))
            continue;
        if (f.number == RESOURCE_SPANS_RESOURCE)
            take_resource(&m, f.bytes, a, &attributes, &entities, out);
        else
            out->schema_url = f.bytes;
    }
    out->entities = entities.len > 0 ? arena_copy(a, buf_slice(&entities)) : SLICE("");
    const struct span_value *service = span_attributes_find(&out->attributes, SLICE("service.name"));
    if (service != NULL && service->kind == VALUE_STRING)
        out->service = service->bytes;
    return parsed(&m, a, "resource", err);
}

// Takes the value of service.name off one attribute. True when nothing more has to be looked for: it is that attribute, or
// broken.
static bool take_service(struct pb *p, struct slice pair, struct slice *service_out)
{
    struct span_attribute attribute;
    struct pb m = pb_of(pair);
    struct pb_field f;
    struct slice key = SLICE("");
    while (pb_next(&m, &f))
        if (f.number == PAIR_KEY && f.wire == PB_BYTES)
            key = f.bytes; // the last one counts
    if (!slice_eq(key, SLICE("service.name")))
        return !good(p, &m);
    if (take_pair(p, pair, &attribute) && attribute.value.kind == VALUE_STRING)
        *service_out = attribute.value.bytes;
    return true;
}

bool span_resource_service(struct slice bytes, struct slice *service_out, struct err *err)
{
    bool found = false; // the first one is its value
    *service_out = SLICE("");
    struct pb m = pb_of(bytes);
    struct pb_field f, inner;
    while (pb_next(&m, &f)) {
        if (!known(&m, MESSAGE_RESOURCE_SPANS, &f) || f.number != RESOURCE_SPANS_RESOURCE)
            continue;
        struct pb resource = pb_of(f.bytes);
        while (!found && pb_next(&resource, &inner))
            if (known(&resource, MESSAGE_RESOURCE, &inner) && inner.number == RESOURCE_ATTRIBUTES)
                found = take_service(&resource, inner.bytes, service_out);
        (void)good(&m, &resource);
    }
    return m.bad == NULL || err_set(err, ERR_CORRUPT, "resource: %s", m.bad);
}

static void take_scope(struct pb *p, struct slice bytes, struct arena *a, struct growing *attributes,
                       struct span_scope *out)
{
    struct pb m = pb_of(bytes);
    struct pb_field f;
    while (pb_next(&m, &f)) {
        if (!known(&m, MESSAGE_SCOPE, &f))
            continue;
        if (f.number == SCOPE_NAME)
            out->name = f.bytes;
        else if (f.number == SCOPE_VERSION)
            out->version = f.bytes;
        else if (f.number == SCOPE_ATTRIBUTES)
            add_attribute(&m, f.bytes, a, attributes);
        else
            out->dropped_attributes = (uint32_t)f.value;
    }
    (void)good(p, &m);
}

bool span_scope_parse(struct slice bytes, struct arena *a, struct span_scope *out, struct err *err)
{
    *out = (struct span_scope){.bytes = bytes, .name = SLICE(""), .version = SLICE(""), .schema_url = SLICE("")};
    struct growing attributes = {.all = &out->attributes};
    struct pb m = pb_of(bytes);
    struct pb_field f;
    while (pb_next(&m, &f)) {
        if (!known(&m, MESSAGE_SCOPE_SPANS, &f))
            continue;
        if (f.number == SCOPE_SPANS_SCOPE)
            take_scope(&m, f.bytes, a, &attributes, out);
        else
            out->schema_url = f.bytes;
    }
    return parsed(&m, a, "scope", err);
}

static void take_status(struct pb *p, struct slice bytes, struct span *out)
{
    struct pb m = pb_of(bytes);
    struct pb_field f;
    while (pb_next(&m, &f)) {
        if (!known(&m, MESSAGE_STATUS, &f))
            continue;
        if (f.number == STATUS_MESSAGE)
            out->status_message = f.bytes;
        else
            out->status = (int32_t)f.value;
    }
    (void)good(p, &m);
}

// Zeros when it is none. Of IDs given twice the last counts, so a wrong length is no failure yet.
static void take_id(struct slice id, uint8_t *to, size_t bytes)
{
    if (id.len == bytes)
        memcpy(to, id.ptr, bytes);
    else
        memset(to, 0, bytes);
}

// Where the fields of one number lie: mostly side by side.
struct run {
    const uint8_t *from, *to;
    bool scattered;
};

static void run_add(struct run *run, uint32_t number, const uint8_t *from, const uint8_t *to)
{
    if (*from != (number << 3 | PB_BYTES) || (run->to != NULL && run->to != from))
        run->scattered = true;
    if (run->from == NULL)
        run->from = from;
    run->to = to;
}

// The fields of one number, side by side.
static struct slice run_fields(const struct run *run, struct slice message, uint32_t number, struct arena *a)
{
    if (run->from == NULL)
        return SLICE("");
    if (!run->scattered)
        return slice_of(run->from, (size_t)(run->to - run->from));
    struct buf fields AUTO(buf_done);
    buf_init(&fields, 0);
    struct pb m = pb_of(message);
    for (struct pb_field f; pb_next(&m, &f);) {
        if (f.number != number)
            continue;
        put_varint(&fields, number << 3 | PB_BYTES);
        put_prefixed(&fields, f.bytes);
    }
    return arena_copy(a, buf_slice(&fields));
}

static void take_span_field(struct pb *m, const struct pb_field *f, struct arena *a, struct growing *attributes,
                            struct span *out)
{
    switch ((enum span_wire_field)f->number) {
    case SPAN_TRACE_ID:
        take_id(f->bytes, out->trace_id, TRACE_ID_BYTES);
        break;
    case SPAN_SPAN_ID:
        take_id(f->bytes, out->span_id, SPAN_ID_BYTES);
        break;
    case SPAN_TRACE_STATE:
        out->trace_state = f->bytes;
        break;
    case SPAN_PARENT_ID:
        take_id(f->bytes, out->parent_id, SPAN_ID_BYTES);
        break;
    case SPAN_NAME:
        out->name = f->bytes;
        break;
    case SPAN_KIND:
        out->kind = (int32_t)f->value;
        break;
    case SPAN_START:
        out->start_ns = f->value;
        break;
    case SPAN_END:
        out->end_ns = f->value;
        break;
    case SPAN_ATTRIBUTES:
        add_attribute(m, f->bytes, a, attributes);
        break;
    case SPAN_DROPPED_ATTRIBUTES:
        out->dropped_attributes = (uint32_t)f->value;
        break;
    case SPAN_DROPPED_EVENTS:
        out->dropped_events = (uint32_t)f->value;
        break;
    case SPAN_DROPPED_LINKS:
        out->dropped_links = (uint32_t)f->value;
        break;
    case SPAN_STATUS:
        take_status(m, f->bytes, out);
        break;
    case SPAN_FLAGS:
        out->flags = (uint32_t)f->value;
        break;
    default:; // events and links: by the caller
    }
}

bool span_parse(struct slice message, struct arena *a, struct span *out, struct err *err)
{
    *out = (struct span){.name = SLICE(""), .status_message = SLICE(""), .trace_state = SLICE("")};
    struct growing attributes = {.all = &out->attributes};
    struct run events = {0}, links = {0};
    struct pb m = pb_of(message);
    struct pb_field f;
    const uint8_t *from = m.rd.pos;
    for (; pb_next(&m, &f); from = m.rd.pos) {
        if (!known(&m, MESSAGE_SPAN, &f))
            continue;
        if (f.number == SPAN_EVENT)
            run_add(&events, SPAN_EVENT, from, m.rd.pos);
        else if (f.number == SPAN_LINK)
            run_add(&links, SPAN_LINK, from, m.rd.pos);
        else
            take_span_field(&m, &f, a, &attributes, out);
    }
    if (m.bad == NULL && all_zero(slice_of(out->trace_id, TRACE_ID_BYTES)))
        m.bad = "invalid TraceID length";
    if (m.bad == NULL && all_zero(slice_of(out->span_id, SPAN_ID_BYTES)))
        m.bad = "invalid SpanID length";
    out->events = run_fields(&events, message, SPAN_EVENT, a);
    out->links = run_fields(&links, message, SPAN_LINK, a);
    return parsed(&m, a, "span", err);
}

bool span_event_next(struct pb *walk, struct arena *a, struct span_event *out)
{
    struct slice bytes;
    if (!next_field(walk, SPAN_EVENT, &bytes))
        return false;
    *out = (struct span_event){.name = SLICE("")};
    struct growing attributes = {.all = &out->attributes};
    struct pb m = pb_of(bytes);
    for (struct pb_field f; pb_next(&m, &f);) {
        if (!known(&m, MESSAGE_EVENT, &f))
            continue;
        if (f.number == EVENT_TIME)
            out->time_ns = f.value;
        else if (f.number == EVENT_NAME)
            out->name = f.bytes;
        else if (f.number == EVENT_ATTRIBUTES)
            add_attribute(&m, f.bytes, a, &attributes);
        else
            out->dropped_attributes = (uint32_t)f.value;
    }
    return good(walk, &m);
}

bool span_link_next(struct pb *walk, struct arena *a, struct span_link *out)
{
    struct slice bytes;
    if (!next_field(walk, SPAN_LINK, &bytes))
        return false;
    *out = (struct span_link){.trace_id = SLICE(""), .span_id = SLICE(""), .trace_state = SLICE("")};
    struct growing attributes = {.all = &out->attributes};
    struct pb m = pb_of(bytes);
    for (struct pb_field f; pb_next(&m, &f);) {
        if (!known(&m, MESSAGE_LINK, &f))
            continue;
        if (f.number == LINK_TRACE_ID)
            out->trace_id = f.bytes;
        else if (f.number == LINK_SPAN_ID)
            out->span_id = f.bytes;
        else if (f.number == LINK_TRACE_STATE)
            out->trace_state = f.bytes;
        else if (f.number == LINK_ATTRIBUTES)
            add_attribute(&m, f.bytes, a, &attributes);
        else if (f.number == LINK_DROPPED)
            out->dropped_attributes = (uint32_t)f.value;
        else
            out->flags = (uint32_t)f.value;
    }
    return good(walk, &m);
}
