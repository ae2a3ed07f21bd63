/* tql_fixture.c -- see tql_fixture.h. */
#include "tql_fixture.h"

#include "query/traceql/tql_value.h"

#include <assert.h>

enum { MS = 1000000 };

const uint32_t fixture_first[FIXTURE_TRACES + 1] = {0, 6, 7, 9};

struct span_value fixture_text(const char *text)
{
    return (struct span_value){.kind = VALUE_STRING, .bytes = slice_cstr(text)};
}

struct span_value fixture_int(int64_t integer)
{
    return (struct span_value){.kind = VALUE_INT, .integer = integer};
}

static struct slice keep(struct arena *a, struct buf *b)
{
    struct slice bytes = arena_copy(a, buf_slice(b));
    buf_done(b);
    return bytes;
}

// An ArrayValue message: field 1, an AnyValue each.
struct span_value fixture_array(struct arena *a, const struct span_value *items, uint32_t count)
{
    struct buf b, one;
    buf_init(&b, 0);
    buf_init(&one, 0);
    for (uint32_t i = 0; i < count; i++) {
        buf_reset(&one);
        span_value_put(&one, &items[i]);
        assert(one.len < 128);
        buf_put_byte(&b, 1 << 3 | 2);
        buf_put_byte(&b, (uint8_t)one.len);
        buf_put_slice(&b, buf_slice(&one));
    }
    buf_done(&one);
    return (struct span_value){.kind = VALUE_ARRAY, .bytes = keep(a, &b)};
}

void fixture_attributes(struct arena *a, struct span_attributes *out, const struct span_attribute *items, uint32_t count)
{
    out->items = arena_array(a, count, sizeof *items);
    out->count = count;
    memcpy(out->items, items, count * sizeof *items);
}

char fixture_letter(const uint8_t span_id[SPAN_ID_BYTES])
{
    return (char)('A' + span_id[SPAN_ID_BYTES - 1] - 1);
}

struct home {
    struct span_resource resource;
    struct span_scope scope;
};

static void make_homes(struct arena *a, struct home *web, struct home *cart)
{
    *web = (struct home){.resource.service = SLICE("web"), .scope.name = SLICE("otel-go")};
    *cart = (struct home){.resource.service = SLICE("cart"), .scope.name = SLICE("otel-java")};
    FIXTURE_PAIRS(a, &web->resource.attributes, FIXTURE_PAIR("service.name", fixture_text("web")),
                  FIXTURE_PAIR("cloud.region", fixture_text("eu")));
    const struct span_value tags[] = {fixture_text("blue"), fixture_text("canary")};
    FIXTURE_PAIRS(a, &cart->resource.attributes, FIXTURE_PAIR("service.name", fixture_text("cart")),
                  FIXTURE_PAIR("deploy.tags", fixture_array(a, tags, 2)));
    for (int i = 0; i < 2; i++) {
        struct home *home = i == 0 ? web : cart;
        struct buf b;
        buf_init(&b, 0);
        span_resource_put(&b, &home->resource);
        home->resource.bytes = keep(a, &b);
        buf_init(&b, 0);
        span_scope_put(&b, &home->scope);
        home->scope.bytes = keep(a, &b);
    }
}

static void make(struct span *s, char letter, uint8_t trace, char parent, const struct home *home, const char *name, int32_t kind,
                 uint64_t start_ms, uint64_t duration_ms)
{
    *s = (struct span){.name = slice_cstr(name),
                       .kind = kind,
                       .start_ns = FIXTURE_T0 + start_ms * MS,
                       .end_ns = FIXTURE_T0 + (start_ms + duration_ms) * MS,
                       .resource = &home->resource,
                       .scope = &home->scope};
    s->trace_id[TRACE_ID_BYTES - 1] = trace;
    s->span_id[SPAN_ID_BYTES - 1] = (uint8_t)(letter - 'A' + 1);
    s->parent_id[SPAN_ID_BYTES - 1] = parent == 0 ? 0 : (uint8_t)(parent - 'A' + 1);
}

static void status(struct span *s, int32_t code, const char *message)
{
    s->status = code;
    s->status_message = slice_cstr(message);
}

void fixture_make(struct arena *a, struct span spans[FIXTURE_SPANS])
{
    struct home *homes = arena_array(a, 2, sizeof *homes), *web = &homes[0], *cart = &homes[1];
    struct span *A = &spans[0], *B = &spans[1], *C = &spans[2], *D = &spans[3], *E = &spans[4], *F = &spans[5], *G = &spans[6],
                *H = &spans[7], *I = &spans[8];
    make_homes(a, web, cart);
    make(A, 'A', 1, 0, web, "GET /cart", KIND_SERVER, 0, 500);
    FIXTURE_PAIRS(a, &A->attributes, FIXTURE_PAIR("http.method", fixture_text("GET")), FIXTURE_PAIR("http.status_code", fixture_int(200)));
    make(B, 'B', 1, 'A', web, "call cart", KIND_CLIENT, 10, 400);
    FIXTURE_PAIRS(a, &B->attributes, FIXTURE_PAIR("peer.service", fixture_text("cart")));
    make(C, 'C', 1, 'B', cart, "GetCart", KIND_SERVER, 20, 380);
    status(C, STATUS_ERROR, "timeout");
    FIXTURE_PAIRS(a, &C->attributes, FIXTURE_PAIR("http.status_code", fixture_int(500)),
                  FIXTURE_PAIR("retry", ((struct span_value){.kind = VALUE_BOOL, .flag = true})),
                  FIXTURE_PAIR("hit_ratio", ((struct span_value){.kind = VALUE_DOUBLE, .number = 0.25})));
    struct span_event event = {.time_ns = C->start_ns + 300 * MS, .name = SLICE("exception")};
    FIXTURE_PAIRS(a, &event.attributes, FIXTURE_PAIR("exception.type", fixture_text("Timeout")));
    struct buf b;
    buf_init(&b, 0);
    span_event_put(&b, &event);
    C->events = keep(a, &b);
    make(D, 'D', 1, 'C', cart, "SELECT", KIND_CLIENT, 30, 100);
    FIXTURE_PAIRS(a, &D->attributes, FIXTURE_PAIR("db.system", fixture_text("postgresql")), FIXTURE_PAIR("db.rows", fixture_int(3)));
    make(E, 'E', 1, 'C', cart, "SELECT", KIND_CLIENT, 140, 240);
    status(E, STATUS_ERROR, "canceled");
    FIXTURE_PAIRS(a, &E->attributes, FIXTURE_PAIR("db.system", fixture_text("postgresql")), FIXTURE_PAIR("db.rows", fixture_int(0)));
    make(F, 'F', 1, 'A', web, "render", KIND_INTERNAL, 420, 60);
    make(G, 'G', 2, 0, web, "GET /health", KIND_SERVER, 10000, 2);
    status(G, STATUS_OK, "");
    FIXTURE_PAIRS(a, &G->attributes, FIXTURE_PAIR("http.method", fixture_text("GET")), FIXTURE_PAIR("http.status_code", fixture_int(200)));
    make(H, 'H', 3, 'Z', cart, "GetCart", KIND_SERVER, 20000, 80);
    FIXTURE_PAIRS(a, &H->attributes, FIXTURE_PAIR("http.status_code", fixture_text("200")));
    make(I, 'I', 3, 'H', cart, "SELECT", KIND_CLIENT, 20005, 70);
    FIXTURE_PAIRS(a, &I->attributes, FIXTURE_PAIR("db.system", fixture_text("redis")));
    struct span_link link = {.trace_id = slice_of(C->trace_id, TRACE_ID_BYTES), .span_id = slice_of(C->span_id, SPAN_ID_BYTES)};
    FIXTURE_PAIRS(a, &link.attributes, FIXTURE_PAIR("link.kind", fixture_text("retry")));
    buf_init(&b, 0);
    span_link_put(&b, &link);
    I->links = keep(a, &b);
}

// --- results ----------------------------------------------------------------------------------------------

void fixture_print_attribute(const struct span_attribute *attribute, struct buf *out)
{
    struct tql_value v = tql_of_span_value(&attribute->value);
    buf_printf(out, "%.*s=", SLICE_FMT(attribute->key));
    if (v.type == TQL_T_FLOAT)
        buf_printf(out, "%.10g", v.number);
    else if (v.type == TQL_T_STRING && slice_eq(v.text, SLICE("200"))) // to be told from the number
        tql_print_value(out, v);
    else if (v.type == TQL_T_STRING)
        buf_put_slice(out, v.text);
    else
        tql_print_value(out, v);
}

static void put_set(struct buf *out, const struct found_set *set, bool attributes)
{
    buf_put_byte(out, '[');
    for (uint32_t i = 0; i < set->spans_count; i++) {
        buf_printf(out, "%s%c", i == 0 ? "" : " ", fixture_letter(set->spans[i].span_id));
        for (uint32_t n = 0; attributes && n < set->spans[i].attributes.count; n++) {
            buf_put_byte(out, n == 0 ? '(' : ' ');
            fixture_print_attribute(&set->spans[i].attributes.items[n], out);
        }
        buf_put_cstr(out, attributes && set->spans[i].attributes.count > 0 ? ")" : "");
    }
    for (uint32_t n = 0; n < set->attributes.count; n++) {
        buf_put_byte(out, ' ');
        fixture_print_attribute(&set->attributes.items[n], out);
    }
    buf_put_byte(out, ']');
}

void fixture_print(const struct found_trace *found, bool attributes, struct buf *out)
{
    buf_printf(out, "%sT%u", out->len > 0 ? " " : "", found->trace_id[TRACE_ID_BYTES - 1]);
    for (uint32_t i = 0; i < found->sets_count; i++)
        put_set(out, &found->sets[i], attributes);
}
