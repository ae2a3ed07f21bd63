/* otlp_gen.c -- see otlp_gen.h. */
#include "otlp_gen.h"

#include "base/codec.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

static const char *const services[OTLP_GEN_SERVICES] = {
    "gateway", "web-frontend", "checkout", "cart", "catalog", "pricing", "inventory", "payment",
    "shipping", "accounts", "auth", "search", "recommendation", "notification", "fraud-check", "ledger"};
static const char *const languages[] = {"java", "go", "nodejs", "python"};

enum scope { SCOPE_HTTP_SERVER, SCOPE_HTTP_CLIENT, SCOPE_GRPC, SCOPE_SQL, SCOPE_CACHE, SCOPE_QUEUE, SCOPE_CODE, SCOPES_COUNT };
static const char *const scopes[SCOPES_COUNT][2] = {
    {"io.opentelemetry.netty-server-4.1", "2.9.0-alpha"}, {"io.opentelemetry.apache-httpclient-5.2", "2.9.0-alpha"},
    {"io.opentelemetry.grpc-1.6", "2.9.0-alpha"},         {"io.opentelemetry.jdbc", "2.9.0-alpha"},
    {"io.opentelemetry.jedis-4.0", "2.9.0-alpha"},        {"io.opentelemetry.kafka-clients-2.6", "2.9.0-alpha"},
    {"com.example.shop.tracing", "1.4.2"}};

enum { RESOURCES_COUNT = OTLP_GEN_SERVICES * OTLP_GEN_INSTANCES, ATTRIBUTES_MAX = 24 };

struct otlp_gen {
    uint64_t state; // of the random numbers
    uint64_t now_ns;
    struct buf resources[RESOURCES_COUNT], scopes[SCOPES_COUNT];
    struct otlp_gen_span spans[OTLP_GEN_SPANS_MAX];
    uint32_t spans_count;
    uint32_t spans_target;
    uint8_t trace_id[TRACE_ID_BYTES];
    bool with_state;
    uint64_t user;
    struct arena arena; // of one trace
    struct span span;   // being made
    struct span_attribute attributes[ATTRIBUTES_MAX];
};

static uint64_t next(struct otlp_gen *g) // splitmix64
{
    uint64_t z = g->state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

static uint64_t below(struct otlp_gen *g, uint64_t limit)
{
    return next(g) % limit;
}

// Few are large: as popularity and durations are.
static uint64_t skewed(struct otlp_gen *g, uint64_t limit)
{
    return below(g, below(g, limit) + 1);
}

#define PICK(g, list) ((list)[below((g), sizeof(list) / sizeof *(list))])
#define PICK_SKEWED(g, list) ((list)[skewed((g), sizeof(list) / sizeof *(list))])

// --- attributes ---------------------------------------------------------------------------------------

static struct span_value *add(struct otlp_gen *g, const char *key, enum span_value_kind kind)
{
    assert(g->span.attributes.count < ATTRIBUTES_MAX);
    struct span_attribute *a = &g->attributes[g->span.attributes.count++];
    *a = (struct span_attribute){.key = slice_cstr(key), .value = {.kind = kind}};
    return &a->value;
}

static void text(struct otlp_gen *g, const char *key, const char *value)
{
    add(g, key, VALUE_STRING)->bytes = slice_cstr(value);
}
#define FORMAT(g, key, ...) text((g), (key), arena_printf(&(g)->arena, __VA_ARGS__))

static void integer(struct otlp_gen *g, const char *key, uint64_t value)
{
    add(g, key, VALUE_INT)->integer = (int64_t)value;
}

static const char *uuid(struct otlp_gen *g)
{
    uint64_t a = next(g), b = next(g);
    return arena_printf(&g->arena, "%08x-%04x-4%03x-a%03x-%012llx", (unsigned)(a >> 32), (unsigned)(a >> 16 & 0xffff),
                        (unsigned)(a & 0xfff), (unsigned)(b >> 52), (unsigned long long)(b & 0xffffffffffff));
}

static void thread(struct otlp_gen *g)
{
    uint64_t n = 1 + below(g, 32);
    integer(g, "thread.id", 40 + n);
    FORMAT(g, "thread.name", "http-nio-8080-exec-%u", (unsigned)n);
}

static void peer(struct otlp_gen *g, const char *service, uint64_t port)
{
    FORMAT(g, "server.address", "%s.shop.svc.cluster.local", service);
    integer(g, "server.port", port);
    FORMAT(g, "network.peer.address", "10.42.%u.%u", (unsigned)(service[0] % 8), (unsigned)(service[1] % 50 + below(g, 3)));
    integer(g, "network.peer.port", port);
}

// --- spans --------------------------------------------------------------------------------------------

// A call in the making: where it is and when.
struct call {
    uint32_t resource; // whose
    uint8_t parent[SPAN_ID_BYTES];
    uint64_t start_ns, duration_ns;
};

static void span_begin(struct otlp_gen *g, const struct call *c, int32_t kind, const char *name)
{
    g->span = (struct span){.kind = kind,
                            .name = slice_cstr(name),
                            .start_ns = c->start_ns,
                            .end_ns = c->start_ns + c->duration_ns,
                            .flags = kind == KIND_SERVER ? 0x301 : 0x101,
                            .trace_state = g->with_state ? SLICE("es=s:1.0") : SLICE(""),
                            .attributes = {g->attributes, 0}};
    memcpy(g->span.trace_id, g->trace_id, TRACE_ID_BYTES);
    memcpy(g->span.parent_id, c->parent, SPAN_ID_BYTES);
    uint64_t id = next(g);
    memcpy(g->span.span_id, &id, SPAN_ID_BYTES);
}

static void fail(struct otlp_gen *g)
{
    static const char *const kinds[][2] = {{"java.net.SocketTimeoutException", "Read timed out after 2000 ms"},
                                           {"java.lang.IllegalStateException", "cart is empty"},
                                           {"java.sql.SQLTransientConnectionException", "HikariPool-1 - Connection is not available"},
                                           {"com.example.shop.PaymentDeclined", "card declined by issuer"}};
    static const char *const frames[] = {"com.example.shop.checkout.CheckoutService.place(CheckoutService.java:%u)",
                                         "com.example.shop.http.Router.dispatch(Router.java:%u)",
                                         "com.example.shop.db.Pool.borrow(Pool.java:%u)",
                                         "org.springframework.web.servlet.DispatcherServlet.doDispatch(DispatcherServlet.java:%u)",
                                         "org.apache.catalina.core.StandardWrapperValve.invoke(StandardWrapperValve.java:%u)",
                                         "jdk.internal.reflect.DirectMethodHandleAccessor.invoke(DirectMethodHandleAccessor.java:%u)"};
    const char *const *kind = PICK(g, kinds);
    struct buf stack = {0}, events = {0};
    buf_printf(&stack, "%s: %s\n", kind[0], kind[1]);
    for (uint64_t i = 8 + below(g, 8); i > 0; i--) {
        buf_put_cstr(&stack, "\tat ");
        const char *frame = PICK(g, frames);
        buf_put(&stack, frame, (size_t)(strchr(frame, '%') - frame));
        buf_printf(&stack, "%u)\n", 20 + (unsigned)skewed(g, 300));
    }
    struct span_attribute attributes[] = {
        {SLICE("exception.type"), {.kind = VALUE_STRING, .bytes = slice_cstr(kind[0])}},
        {SLICE("exception.message"), {.kind = VALUE_STRING, .bytes = slice_cstr(kind[1])}},
        {SLICE("exception.stacktrace"), {.kind = VALUE_STRING, .bytes = buf_slice(&stack)}}};
    span_event_put(&events, &(struct span_event){.time_ns = g->span.end_ns - below(g, 100000),
                                                 .name = SLICE("exception"),
                                                 .attributes = {attributes, 3}});
    g->span.events = arena_copy(&g->arena, buf_slice(&events));
    g->span.status = STATUS_ERROR;
    g->span.status_message = slice_cstr(kind[1]);
    text(g, "error.type", kind[0]);
    buf_done(&stack);
    buf_done(&events);
}

static void note(struct otlp_gen *g, const char *name)
{
    struct buf events = {0};
    struct span_attribute size = {SLICE("message.size"), {.kind = VALUE_INT, .integer = (int64_t)below(g, 4096)}};
    span_event_put(&events, &(struct span_event){.time_ns = g->span.start_ns + below(g, 100000),
                                                 .name = slice_cstr(name),
                                                 .attributes = {&size, 1}});
    g->span.events = arena_copy(&g->arena, buf_slice(&events));
    buf_done(&events);
}

static void span_end(struct otlp_gen *g, uint32_t resource, enum scope scope)
{
    struct buf b = {0};
    span_put(&b, &g->span);
    g->spans[g->spans_count++] = (struct otlp_gen_span){.message = arena_copy(&g->arena, buf_slice(&b)),
                                                        .resource = resource,
                                                        .scope = scope,
                                                        .start_ns = g->span.start_ns};
    buf_done(&b);
}

// A call below the span just ended: somewhere within its time.
static struct call child(struct otlp_gen *g, const struct call *parent, const uint8_t *parent_id)
{
    struct call c = {.resource = parent->resource};
    memcpy(c.parent, parent_id, SPAN_ID_BYTES);
    uint64_t offset = below(g, parent->duration_ns / 2 + 1);
    c.start_ns = parent->start_ns + offset;
    c.duration_ns = 1000 + below(g, (parent->duration_ns - offset) * 9 / 10 + 1);
    return c;
}

static bool unlucky(struct otlp_gen *g)
{
    return below(g, 50) == 0;
}

static void sql_call(struct otlp_gen *g, const struct call *c)
{
    static const char *const tables[] = {"orders", "order_items", "customers", "products", "stock", "payments", "sessions", "prices"};
    static const char *const verbs[] = {"SELECT", "SELECT", "SELECT", "UPDATE", "INSERT"};
    const char *table = PICK_SKEWED(g, tables), *verb = PICK(g, verbs);
    span_begin(g, c, KIND_CLIENT, arena_printf(&g->arena, "%s shop.%s", verb, table));
    text(g, "db.system", "postgresql");
    text(g, "db.namespace", "shop");
    text(g, "db.operation.name", verb);
    text(g, "db.collection.name", table);
    if (verb[0] == 'S')
        FORMAT(g, "db.query.text", "SELECT id, name, state, created_at, updated_at FROM %s WHERE %s_id = ? AND state IN (?, ?) ORDER BY id LIMIT ?", table, table);
    else if (verb[0] == 'U')
        FORMAT(g, "db.query.text", "UPDATE %s SET state = ?, updated_at = now() WHERE id = ? RETURNING id", table);
    else
        FORMAT(g, "db.query.text", "INSERT INTO %s (id, customer_id, state, total) VALUES (?, ?, ?, ?)", table);
    text(g, "db.user", "shop_rw");
    peer(g, "postgres-main", 5432);
    thread(g);
    integer(g, "db.response.returned_rows", skewed(g, 50));
    if (unlucky(g))
        fail(g);
    span_end(g, c->resource, SCOPE_SQL);
}

static void cache_call(struct otlp_gen *g, const struct call *c)
{
    static const char *const verbs[] = {"GET", "GET", "SET", "HGETALL", "EXPIRE"};
    const char *verb = PICK(g, verbs);
    span_begin(g, c, KIND_CLIENT, verb);
    text(g, "db.system", "redis");
    text(g, "db.operation.name", verb);
    FORMAT(g, "db.query.text", "%s session:%08llx", verb, (unsigned long long)(g->user * 2654435761u % 0xffffffff));
    integer(g, "db.redis.database_index", below(g, 2));
    peer(g, "redis", 6379);
    thread(g);
    add(g, "cache.hit", VALUE_BOOL)->flag = below(g, 4) != 0;
    span_end(g, c->resource, SCOPE_CACHE);
}

static void queue_call(struct otlp_gen *g, const struct call *c)
{
    static const char *const topics[] = {"orders.placed", "payments.settled", "emails", "stock.changed"};
    const char *topic = PICK_SKEWED(g, topics);
    span_begin(g, c, KIND_PRODUCER, arena_printf(&g->arena, "%s publish", topic));
    text(g, "messaging.system", "kafka");
    text(g, "messaging.operation.name", "publish");
    text(g, "messaging.destination.name", topic);
    FORMAT(g, "messaging.destination.partition.id", "%u", (unsigned)below(g, 12));
    integer(g, "messaging.kafka.message.offset", 81000000 + (g->now_ns / 1000000) % 1000000);
    text(g, "messaging.message.id", uuid(g));
    integer(g, "messaging.message.body.size", 200 + skewed(g, 4000));
    text(g, "messaging.client.id", "producer-1");
    peer(g, "kafka-0", 9092);
    thread(g);
    note(g, "enqueued");
    span_end(g, c->resource, SCOPE_QUEUE);
}

static void code_call(struct otlp_gen *g, const struct call *c)
{
    static const char *const functions[] = {"validate", "price", "reserve", "render", "authorize", "applyDiscounts", "serialize", "enrich", "rank", "score"};
    const char *function = PICK_SKEWED(g, functions), *service = services[c->resource / OTLP_GEN_INSTANCES];
    span_begin(g, c, KIND_INTERNAL, arena_printf(&g->arena, "%s.%s", service, function));
    FORMAT(g, "code.namespace", "com.example.shop.%s.Service", service);
    text(g, "code.function", function);
    integer(g, "code.lineno", (uint64_t)function[0] * 3);
    thread(g);
    FORMAT(g, "shop.user.id", "u-%06u", (unsigned)g->user);
    FORMAT(g, "shop.order.id", "%u", 7000000 + (unsigned)below(g, 900000));
    text(g, "shop.tier", g->user % 10 == 0 ? "gold" : "standard");
    add(g, "shop.cart.total", VALUE_DOUBLE)->number = (double)(100 + skewed(g, 50000)) / 100;
    add(g, "shop.feature.new_pricing", VALUE_BOOL)->flag = g->user % 2;
    integer(g, "shop.items", 1 + skewed(g, 12));
    text(g, "shop.currency", g->user % 3 ? "EUR" : "USD");
    span_end(g, c->resource, SCOPE_CODE);
}

static void serve(struct otlp_gen *g, struct call c, unsigned depth);

static void http_client(struct otlp_gen *g, const struct call *c, uint32_t service, unsigned depth)
{
    static const char *const verbs[] = {"GET", "GET", "POST", "PUT"};
    const char *verb = PICK(g, verbs);
    uint64_t item = skewed(g, 100000);
    span_begin(g, c, KIND_CLIENT, verb);
    text(g, "http.request.method", verb);
    FORMAT(g, "url.full", "http://%s.shop.svc.cluster.local:8080/api/v1/%s/%u?fields=id,name,price", services[service], services[service], (unsigned)item);
    peer(g, services[service], 8080);
    text(g, "network.protocol.version", "1.1");
    thread(g);
    bool failed = unlucky(g);
    integer(g, "http.response.status_code", failed ? 503 : 200);
    integer(g, "http.response.body.size", 100 + skewed(g, 20000));
    FORMAT(g, "shop.user.id", "u-%06u", (unsigned)g->user);
    if (failed)
        fail(g);
    uint8_t id[SPAN_ID_BYTES];
    memcpy(id, g->span.span_id, sizeof id);
    span_end(g, c->resource, SCOPE_HTTP_CLIENT);
    struct call inner = child(g, c, id);
    inner.resource = service * OTLP_GEN_INSTANCES + (uint32_t)below(g, OTLP_GEN_INSTANCES);
    serve(g, inner, depth + 1);
}

static void grpc_client(struct otlp_gen *g, const struct call *c, uint32_t service)
{
    static const char *const methods[] = {"Get", "List", "Check", "Reserve", "Commit"};
    const char *method = PICK_SKEWED(g, methods);
    const char *name = arena_printf(&g->arena, "shop.%s.v1.Api/%s", services[service], method);
    for (int side = 0; side < 2 && g->spans_count < g->spans_target; side++) {
        struct call one = *c;
        if (side == 1)
            one = child(g, c, g->span.span_id);
        if (side == 1)
            one.resource = service * OTLP_GEN_INSTANCES + (uint32_t)below(g, OTLP_GEN_INSTANCES);
        span_begin(g, &one, side == 0 ? KIND_CLIENT : KIND_SERVER, name);
        text(g, "rpc.system", "grpc");
        FORMAT(g, "rpc.service", "shop.%s.v1.Api", services[service]);
        text(g, "rpc.method", method);
        integer(g, "rpc.grpc.status_code", unlucky(g) ? 14 : 0);
        peer(g, services[service], 9090);
        text(g, "network.transport", "tcp");
        thread(g);
        integer(g, "rpc.message.size", 20 + skewed(g, 3000));
        span_end(g, one.resource, SCOPE_GRPC);
    }
}

// A server span and what it does in turn.
static void serve(struct otlp_gen *g, struct call c, unsigned depth)
{
    static const char *const agents[] = {
        "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36",
        "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 Mobile/15E148 Safari/604.1",
        "Mozilla/5.0 (X11; Linux x86_64; rv:127.0) Gecko/20100101 Firefox/127.0", "okhttp/4.12.0", "shop-android/5.31.2 (Android 14; Pixel 8)"};
    static const char *const verbs[] = {"GET", "GET", "GET", "POST", "DELETE"};
    static const char *const resources[] = {"orders", "items", "users", "sessions", "offers", "carts", "reviews", "stores"};
    if (g->spans_count >= g->spans_target)
        return;
    const char *service = services[c.resource / OTLP_GEN_INSTANCES];
    const char *verb = PICK(g, verbs), *resource = PICK_SKEWED(g, resources);
    span_begin(g, &c, KIND_SERVER, arena_printf(&g->arena, "%s /api/v1/%s/{id}", verb, resource));
    text(g, "http.request.method", verb);
    FORMAT(g, "http.route", "/api/v1/%s/{id}", resource);
    FORMAT(g, "url.path", "/api/v1/%s/%u", resource, (unsigned)skewed(g, 100000));
    text(g, "url.scheme", "http");
    FORMAT(g, "server.address", "%s.shop.svc.cluster.local", service);
    integer(g, "server.port", 8080);
    FORMAT(g, "client.address", "10.42.%u.%u", (unsigned)below(g, 8), (unsigned)below(g, 60));
    FORMAT(g, "network.peer.address", "10.42.%u.%u", (unsigned)below(g, 8), (unsigned)below(g, 60));
    integer(g, "network.peer.port", 32768 + below(g, 28000));
    text(g, "network.protocol.version", "1.1");
    text(g, "user_agent.original", depth == 0 ? agents[g->user % (sizeof agents / sizeof *agents)] : "Apache-HttpClient/5.3.1 (Java/21.0.3)");
    thread(g);
    bool failed = unlucky(g);
    integer(g, "http.response.status_code", failed ? 500 : below(g, 30) == 0 ? 404 : 200);
    integer(g, "http.response.body.size", 100 + skewed(g, 20000));
    FORMAT(g, "enduser.id", "u-%06u", (unsigned)g->user);
    if (depth == 0)
        text(g, "http.request.header.x-request-id", uuid(g));
    if (failed)
        fail(g);
    uint8_t id[SPAN_ID_BYTES];
    memcpy(id, g->span.span_id, sizeof id);
    span_end(g, c.resource, SCOPE_HTTP_SERVER);
    uint64_t calls = depth == 0 ? OTLP_GEN_SPANS_MAX : 1 + below(g, 4); // the root goes on until the trace is long enough
    for (uint64_t i = 0; i < calls && g->spans_count < g->spans_target; i++) {
        struct call inner = child(g, &c, id);
        uint32_t other = (uint32_t)skewed(g, OTLP_GEN_SERVICES);
        switch (below(g, 10)) {
        case 0: case 1: case 2:
            sql_call(g, &inner);
            break;
        case 3: case 4:
            cache_call(g, &inner);
            break;
        case 5:
            queue_call(g, &inner);
            break;
        case 6:
            grpc_client(g, &inner, other);
            break;
        case 7:
            code_call(g, &inner);
            break;
        default:
            http_client(g, &inner, other, depth);
        }
    }
}

// --- traces -------------------------------------------------------------------------------------------

static int by_start(const void *left, const void *right)
{
    uint64_t a = ((const struct otlp_gen_span *)left)->start_ns, b = ((const struct otlp_gen_span *)right)->start_ns;
    return (a > b) - (a < b);
}

uint32_t otlp_gen_trace(struct otlp_gen *g, const struct otlp_gen_span **spans_out)
{
    arena_reset(&g->arena);
    g->now_ns += below(g, 2000000);
    g->spans_count = 0;
    g->spans_target = 8 + (uint32_t)below(g, OTLP_GEN_SPANS_MAX - 7);
    g->user = skewed(g, 200000);
    g->with_state = below(g, 10) == 0;
    uint64_t id[2] = {next(g), next(g)};
    memcpy(g->trace_id, id, sizeof id);
    uint64_t duration = 2000000 + skewed(g, 400000000);
    duration = below(g, 100) == 0 ? duration * 20 : duration; // slow ones
    struct call root = {.resource = (uint32_t)below(g, OTLP_GEN_INSTANCES), .start_ns = g->now_ns, .duration_ns = duration};
    serve(g, root, 0);
    qsort(g->spans, g->spans_count, sizeof *g->spans, by_start);
    *spans_out = g->spans;
    return g->spans_count;
}

static void put_field(struct buf *b, uint32_t number, struct slice content)
{
    put_varint(b, number << 3 | 2);
    put_prefixed(b, content);
}

uint32_t otlp_gen_request(struct otlp_gen *g, uint32_t spans, struct buf *out)
{
    struct buf groups[RESOURCES_COUNT][SCOPES_COUNT] = {0}; // ScopeSpans messages
    uint32_t count = 0;
    while (count < spans) {
        const struct otlp_gen_span *trace;
        uint32_t n = otlp_gen_trace(g, &trace);
        for (uint32_t i = 0; i < n; i++) {
            struct buf *group = &groups[trace[i].resource][trace[i].scope];
            if (group->len == 0)
                buf_put_slice(group, otlp_gen_scope(g, trace[i].scope));
            put_field(group, 2, trace[i].message);
        }
        count += n;
    }
    struct buf one = {0};
    for (uint32_t r = 0; r < RESOURCES_COUNT; r++) {
        buf_reset(&one);
        buf_put_slice(&one, otlp_gen_resource(g, r));
        size_t empty = one.len;
        for (uint32_t s = 0; s < SCOPES_COUNT; s++) {
            if (groups[r][s].len > 0)
                put_field(&one, 2, buf_slice(&groups[r][s]));
            buf_done(&groups[r][s]);
        }
        if (one.len > empty)
            put_field(out, 1, buf_slice(&one));
    }
    buf_done(&one);
    return count;
}

// --- life ---------------------------------------------------------------------------------------------

static void make_resource(struct otlp_gen *g, uint32_t resource)
{
    const char *service = services[resource / OTLP_GEN_INSTANCES];
    const char *language = languages[resource / OTLP_GEN_INSTANCES % (sizeof languages / sizeof *languages)];
    g->span.attributes = (struct span_attributes){g->attributes, 0};
    text(g, "service.name", service);
    text(g, "service.namespace", "shop");
    FORMAT(g, "service.version", "1.%u.%u", (unsigned)below(g, 30), (unsigned)below(g, 10));
    text(g, "service.instance.id", uuid(g));
    text(g, "deployment.environment.name", "production");
    text(g, "k8s.cluster.name", "eu-central-1a");
    text(g, "k8s.namespace.name", "shop");
    FORMAT(g, "k8s.pod.name", "%s-%08x-%05x", service, (unsigned)next(g), (unsigned)below(g, 0xfffff));
    FORMAT(g, "k8s.node.name", "ip-10-42-%u-%u.compute.internal", (unsigned)below(g, 8), (unsigned)below(g, 250));
    text(g, "telemetry.sdk.name", "opentelemetry");
    text(g, "telemetry.sdk.language", language);
    text(g, "telemetry.sdk.version", "1.43.0");
    integer(g, "process.pid", 1 + below(g, 30));
    text(g, "os.type", "linux");
    struct span_resource r = {.attributes = g->span.attributes, .schema_url = SLICE("https://opentelemetry.io/schemas/1.27.0")};
    span_resource_put(&g->resources[resource], &r);
}

struct otlp_gen *otlp_gen_new(uint64_t seed, uint64_t start_ns)
{
    struct otlp_gen *g = calloc(1, sizeof *g);
    assert(g != NULL);
    arena_init(&g->arena, (size_t)64 << 20);
    g->state = seed;
    g->now_ns = start_ns;
    for (uint32_t i = 0; i < RESOURCES_COUNT; i++)
        make_resource(g, i);
    for (uint32_t i = 0; i < SCOPES_COUNT; i++) {
        struct span_scope s = {.name = slice_cstr(scopes[i][0]), .version = slice_cstr(scopes[i][1])};
        span_scope_put(&g->scopes[i], &s);
    }
    return g;
}

void otlp_gen_free(struct otlp_gen *g)
{
    for (uint32_t i = 0; i < RESOURCES_COUNT; i++)
        buf_done(&g->resources[i]);
    for (uint32_t i = 0; i < SCOPES_COUNT; i++)
        buf_done(&g->scopes[i]);
    arena_done(&g->arena);
    free(g);
}

uint32_t otlp_gen_resources(const struct otlp_gen *g)
{
    (void)g;
    return RESOURCES_COUNT;
}

struct slice otlp_gen_resource(const struct otlp_gen *g, uint32_t resource)
{
    return buf_slice(&g->resources[resource]);
}

uint32_t otlp_gen_scopes(const struct otlp_gen *g)
{
    (void)g;
    return SCOPES_COUNT;
}

struct slice otlp_gen_scope(const struct otlp_gen *g, uint32_t scope)
{
    return buf_slice(&g->scopes[scope]);
}
