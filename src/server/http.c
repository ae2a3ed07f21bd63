/*
 * http.c -- the door to libmicrohttpd: sockets, bodies, suspended connections.
 *
 *   MHD thread                          worker (pool.h)
 *     target known: struct exchange
 *     headers: route, or an answer now
 *     body: gathered, bounded
 *     whole: suspended, queued  ------>  route_run()
 *     resumed: response queued  <------  resume
 *     completed: exchange freed
 *
 * An exchange belongs to the MHD thread until it is queued, to one worker until it is resumed, then to the
 * MHD thread again: no lock. What is counted (exchanges, body bytes) is atomic.
 *
 * listen.h accepts; a connection goes through one of two doors, which differ in how long a request's head may be.
 * A thread of its own looks now and then whether clients of running queries are still there; one that hung
 * up cancels its query.
 *
 * H1  An exchange counts against SERVER_REQUESTS_MAX from its headers to its completion.
 * H2  The bytes of all bodies in hand never pass body_bytes_max: above it the answer is 503.
 */
#include "server/server.h"

#include "base/clock.h"
#include "base/limits.h"
#include "base/metric.h"
#include "query/crew.h"
#include "server/gzip.h"
#include "server/listen.h"
#include "server/pool.h"
#include "server/route.h"
#include "server/tail.h"
#include "server/ws.h"

#include <assert.h>
#include <microhttpd.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#define EXCHANGE_MAGIC UINT32_C(0x45584348)
#define STOP_WAIT_NS (30 * NS_PER_S) // for requests in hand
enum {
    HTTP_THREADS = 2,
    PUSH_THREADS = 6, // they wait for the disk together: one fdatasync serves them all
    QUERY_THREADS = 4,
    QUERY_QUEUE_MAX = 128,
    WATCH_US = 100 * 1000, // between two looks at the clients of running queries
};

enum exchange_state { EXCHANGE_NEW, EXCHANGE_REFUSED, EXCHANGE_BODY, EXCHANGE_QUEUED, EXCHANGE_ANSWERED };

// Connections whose requests may have heads of a certain size. A connection belongs to one door as long as it lives.
struct door {
    struct server *server;
    struct MHD_Daemon *daemon;
    atomic_uint connections; // those that became tails not counted
};

struct exchange {
    uint32_t magic;
    struct server *server;
    struct door *door;
    struct MHD_Connection *connection;
    enum exchange_state state;
    bool counted;  // against SERVER_REQUESTS_MAX
    bool upgraded; // the socket is a tail's
    const struct route *route;
    struct arena arena; // target, name, location: what lives as long as the exchange
    char *target;       // owned; as it came
    struct buf body;
    size_t body_counted; // bytes reserved in server->body_bytes
    bool too_large, no_room;
    int fd;                          // of the connection
    atomic_bool cancelled;           // the client left, or the server stops
    struct exchange *watched_next;   // watch_lock
    struct exchange **watched_place; // watch_lock; what points at it; NULL: not in the list
    struct request request;
    struct response response;
};

struct server {
    struct app app;
    struct pool *pools[ROUTE_POOLS];
    struct listener *listener;
    struct door short_heads, long_heads;
    atomic_uint connections; // of both doors, tails included
    uint64_t body_bytes_max;
    atomic_uint exchanges;
    _Atomic uint64_t body_bytes;
    pthread_mutex_t watch_lock;
    struct exchange *watched; // watch_lock; queries that run
    bool cancel_all;          // watch_lock; requests in hand have to end
    atomic_bool watch_stop;
    pthread_t watcher;
};

// --- exchanges --------------------------------------------------------------------------------------

// First of all calls for a request; what it returns is the request's closure.
static void *on_target(void *cls, const char *target, struct MHD_Connection *connection)
{
    struct exchange *x = calloc(1, sizeof *x);
    assert(x != NULL);
    x->magic = EXCHANGE_MAGIC;
    x->door = cls;
    x->server = x->door->server;
    x->connection = connection;
    x->target = strdup(target);
    assert(x->target != NULL);
    // The library goes on to split the arguments into the connection's memory, and never answers when they do not fit
    // there (0.9.75). Nobody here asks it for them, so it is shown none; the buffer is the one that it writes to itself.
    char *arguments = strchr((char *)(uintptr_t)target, '?');
    if (arguments != NULL)
        arguments[1] = '\0';
    arena_init(&x->arena, 4 * SERVER_HEAD_BYTES_MAX);
    buf_init(&x->body, INGEST_BODY_BYTES_MAX);
    buf_init(&x->response.body, 0);
    response_reset(&x->response);
    return x;
}

static void on_completed(void *cls, struct MHD_Connection *connection, void **closure,
                         enum MHD_RequestTerminationCode code)
{
    (void)cls;
    (void)connection;
    (void)code;
    struct exchange *x = *closure;
    if (x == NULL)
        return;
    assert(x->magic == EXCHANGE_MAGIC);
    atomic_fetch_sub(&x->server->body_bytes, x->body_counted);
    if (x->counted)
        atomic_fetch_sub(&x->server->exchanges, 1);
    if (x->response.tail != NULL) // the client left before it was connected
        tail_abandon(x->response.tail);
    if (x->upgraded)
        atomic_fetch_add(&x->door->connections, 1); // its end, which is told next, subtracts one
    buf_done(&x->body);
    buf_done(&x->response.body);
    arena_done(&x->arena);
    free(x->target);
    x->magic = 0;
    free(x);
    *closure = NULL;
}

static struct slice header(struct exchange *x, const char *name)
{
    const char *value = MHD_lookup_connection_value(x->connection, MHD_HEADER_KIND, name);
    return value != NULL ? slice_cstr(value) : (struct slice){0};
}

// Headers of one name that a request has.
struct header_count {
    const char *name;
    unsigned count;
};

static enum MHD_Result count_header(void *cls, enum MHD_ValueKind kind, const char *name, const char *value)
{
    (void)kind;
    (void)value;
    struct header_count *h = cls;
    h->count += strcasecmp(name, h->name) == 0;
    return MHD_YES;
}

// Whether a comma list names the token, in any case.
static bool has_token(struct slice list, const char *token)
{
    for (struct slice one; slice_next(&list, ',', &one);) {
        one = slice_trim(one);
        if (one.len == strlen(token) && strncasecmp((const char *)one.ptr, token, one.len) == 0)
            return true;
    }
    return false;
}

static bool add_header(struct MHD_Response *r, const char *name, const char *value)
{
    return MHD_add_response_header(r, name, value) == MHD_YES;
}

static const struct {
    enum method method;
    const char *name;
} methods[] = {{METHOD_GET, "GET"}, {METHOD_POST, "POST"}, {METHOD_PUT, "PUT"}, {METHOD_DELETE, "DELETE"}, {METHOD_HEAD, "HEAD"}};

static const char *allowed_methods(unsigned mask, struct arena *a)
{
    const char *text = "";
    for (size_t i = 0; i < COUNT_OF(methods); i++)
        if ((mask & methods[i].method) != 0)
            text = arena_printf(a, "%s%s%s", text, text[0] != '\0' ? ", " : "", methods[i].name);
    return text;
}

// The tails' thread needs the socket no more.
static void on_tail_closed(void *urh)
{
    (void)MHD_upgrade_action(urh, MHD_UPGRADE_ACTION_CLOSE);
}

// From here on the socket is the tail's; it does not count as a request in hand any more.
static void on_upgrade(void *cls, struct MHD_Connection *connection, void *closure, const char *early, size_t early_bytes,
                       MHD_socket fd, struct MHD_UpgradeResponseHandle *urh)
{
    (void)connection;
    (void)closure;
    struct exchange *x = cls;
    if (x->counted)
        atomic_fetch_sub(&x->server->exchanges, 1);
    x->counted = false;
    // A tail asks nothing more: its place is for others.
    x->upgraded = true;
    atomic_fetch_sub(&x->door->connections, 1);
    tail_connect(MOVE(x->response.tail), fd, slice_of(early, early_bytes), on_tail_closed, urh);
}

static enum MHD_Result send_upgrade(struct exchange *x)
{
    char accept[WS_ACCEPT_BYTES];
    ws_accept(x->request.websocket_key, accept);
    struct MHD_Response *r = MHD_create_response_for_upgrade(on_upgrade, x);
    if (r == NULL)
        return MHD_NO;
    x->state = EXCHANGE_ANSWERED;
    bool good = add_header(r, "Upgrade", "websocket") && add_header(r, "Sec-WebSocket-Accept", accept);
    enum MHD_Result sent = good ? MHD_queue_response(x->connection, MHD_HTTP_SWITCHING_PROTOCOLS, r) : MHD_NO;
    MHD_destroy_response(r);
    return sent;
}

static enum MHD_Result send_response(struct exchange *x)
{
    struct response *rs = &x->response;
    if (rs->tail != NULL)
        return send_upgrade(x);
    bool gzipped = rs->query && rs->status == 200 && rs->body.len >= SERVER_GZIP_BYTES_MIN &&
                   gzip_wanted(header(x, "Accept-Encoding")) && gzip_body(&rs->body);
    struct MHD_Response *r = MHD_create_response_from_buffer(rs->body.len, rs->body.ptr,
                                                             MHD_RESPMEM_MUST_FREE);
    if (r == NULL)
        return MHD_NO;
    rs->body = (struct buf){0}; // MHD frees it
    bool good = true;
    char seconds[16];
    (void)snprintf(seconds, sizeof seconds, "%d", rs->retry_after_s);
    if (rs->content_type != NULL)
        good = good && add_header(r, "Content-Type", rs->content_type);
    if (rs->nosniff)
        good = good && add_header(r, "X-Content-Type-Options", "nosniff");
    if (rs->query)
        good = good && add_header(r, "Vary", "Accept-Encoding");
    if (gzipped)
        good = good && add_header(r, "Content-Encoding", "gzip");
    if (rs->retry_after_s > 0)
        good = good && add_header(r, "Retry-After", seconds);
    if (rs->allow != 0)
        good = good && add_header(r, "Allow", allowed_methods(rs->allow, &x->arena));
    if (rs->delete_request_id[0] != '\0')
        good = good && add_header(r, "X-Delete-Request-ID", rs->delete_request_id);
    if (rs->warning != NULL)
        good = good && add_header(r, "X-Mstore-Warning", rs->warning);
    if (rs->location != NULL)
        good = good && add_header(r, "Location", rs->location);
    x->state = EXCHANGE_ANSWERED;
    enum MHD_Result sent =
        good ? MHD_queue_response(x->connection, (unsigned)rs->status, r) : MHD_NO;
    MHD_destroy_response(r);
    return sent;
}

static enum MHD_Result send_busy(struct exchange *x, int status, const char *text)
{
    metric_add(COUNTER_HTTP_REFUSED, 1);
    route_refuse(x->route, &x->request, status, text, &x->arena, &x->response);
    x->response.retry_after_s = 1;
    return send_response(x);
}

static enum MHD_Result send_too_large(struct exchange *x, uint64_t bytes)
{
    const char *text = arena_printf(&x->arena,
                                    "request body too large: message size too large than max (%llu vs %llu)",
                                    (unsigned long long)bytes, (unsigned long long)INGEST_BODY_BYTES_MAX);
    route_refuse(x->route, &x->request, 413, text, &x->arena, &x->response);
    return send_response(x);
}

// --- the three kinds of calls ------------------------------------------------------------------------

static enum method method_of(const char *method)
{
    for (size_t i = 0; i < COUNT_OF(methods); i++)
        if (strcmp(method, methods[i].name) == 0)
            return methods[i].method;
    return METHOD_OTHER;
}

static bool has_body(struct exchange *x)
{
    struct slice length = header(x, "Content-Length");
    return header(x, "Transfer-Encoding").len > 0 || (length.len > 0 && !slice_eq(length, SLICE("0")));
}

static enum MHD_Result on_headers(struct exchange *x, const char *method)
{
    struct request *rq = &x->request;
    x->state = EXCHANGE_BODY;
    rq->method = method_of(method);
    rq->content_type = header(x, "Content-Type"); // refusals too are in its encoding
    struct slice target = route_strip(slice_cstr(x->target), x->server->app.config->path_prefix);
    x->route = route_find(target, rq->method, &x->arena, rq, &x->response);
    if (x->route == NULL) {
        // After an answer to headers alone the library closes; without a body to skip, one call later, it need not.
        x->state = EXCHANGE_REFUSED;
        return has_body(x) ? send_response(x) : MHD_YES;
    }
    if (atomic_fetch_add(&x->server->exchanges, 1) >= SERVER_REQUESTS_MAX) {
        atomic_fetch_sub(&x->server->exchanges, 1);
        return send_busy(x, 503, "too many requests in hand");
    }
    x->counted = true;
    if (atomic_load(&x->server->app.stopping))
        return send_busy(x, 503, "the server is stopping");
    struct slice length = header(x, "Content-Length");
    uint64_t bytes = length.ptr != NULL ? strtoull((const char *)length.ptr, NULL, 10) : 0;
    if (bytes > INGEST_BODY_BYTES_MAX)
        return send_too_large(x, bytes);
    return MHD_YES;
}

// Counts the memory before it is taken (H2).
static bool reserve_body(struct exchange *x, size_t bytes)
{
    size_t wanted = x->body.len + bytes;
    if (wanted <= x->body_counted)
        return true;
    size_t step = wanted - x->body_counted;
    if (step < x->body_counted)
        step = x->body_counted; // doubles, as the buffer does
    if (atomic_fetch_add(&x->server->body_bytes, step) + step > x->server->body_bytes_max) {
        atomic_fetch_sub(&x->server->body_bytes, step);
        return false;
    }
    x->body_counted += step;
    return true;
}

static void on_body(struct exchange *x, const char *bytes, size_t len)
{
    if (x->too_large || x->no_room)
        return; // read to its end, for MHD answers no sooner, and forgotten
    if (x->body.len + len > INGEST_BODY_BYTES_MAX)
        x->too_large = true;
    else if (!reserve_body(x, len))
        x->no_room = true;
    else
        buf_put(&x->body, bytes, len);
    if (x->body.bad)
        x->no_room = true;
    if (x->too_large || x->no_room)
        buf_done(&x->body);
}

static enum MHD_Result on_whole(struct exchange *x)
{
    struct request *rq = &x->request;
    if (x->too_large)
        return send_too_large(x, INGEST_BODY_BYTES_MAX + 1);
    if (x->no_room)
        return send_busy(x, 503, "too many bytes of request bodies in hand (--memory)");
    rq->body = buf_slice(&x->body);
    rq->content_encoding = header(x, "Content-Encoding");
    rq->accept = header(x, "Accept");
    rq->user_agent = header(x, "User-Agent");
    struct header_count tenants = {"X-Scope-OrgID", 0};
    (void)MHD_get_connection_values(x->connection, MHD_HEADER_KIND, count_header, &tenants);
    rq->tenant_header = header(x, tenants.name);
    rq->tenant_headers = tenants.count;
    rq->encoding_flags = header(x, "X-Loki-Response-Encoding-Flags");
    rq->query_tags = header(x, "X-Query-Tags");
    if (has_token(header(x, "Connection"), "upgrade"))
        rq->upgrade = header(x, "Upgrade");
    if (slice_eq(header(x, "Sec-WebSocket-Version"), SLICE("13")))
        rq->websocket_key = header(x, "Sec-WebSocket-Key");
    rq->arrival_mono_ns = clock_mono_ns();
    rq->cancelled = &x->cancelled;
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(x->connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    x->fd = info != NULL ? info->connect_fd : -1;
    x->state = EXCHANGE_QUEUED;
    MHD_suspend_connection(x->connection);
    if (pool_add(x->server->pools[x->route->pool], x))
        return MHD_YES;
    MHD_resume_connection(x->connection);
    bool stopping = atomic_load(&x->server->app.stopping);
    return send_busy(x, stopping || x->route->pool != ROUTE_QUERY ? 503 : 429, "too many outstanding requests");
}

static enum MHD_Result on_request(void *cls, struct MHD_Connection *connection, const char *url,
                                  const char *method, const char *version, const char *upload,
                                  size_t *upload_bytes, void **closure)
{
    (void)cls;
    (void)connection;
    (void)url;
    (void)version;
    struct exchange *x = *closure;
    assert(x != NULL && x->magic == EXCHANGE_MAGIC);
    switch (x->state) {
    case EXCHANGE_NEW:
        return on_headers(x, method);
    case EXCHANGE_BODY:
        if (*upload_bytes == 0)
            return on_whole(x);
        on_body(x, upload, *upload_bytes);
        *upload_bytes = 0;
        return MHD_YES;
    case EXCHANGE_REFUSED:
    case EXCHANGE_QUEUED: // resumed: the worker is done with it
        return send_response(x);
    case EXCHANGE_ANSWERED: // an early answer: what is left of the body is thrown away
        *upload_bytes = 0;
        return MHD_YES;
    }
    return MHD_NO;
}

// --- clients that leave -----------------------------------------------------------------------------

static bool has_left(int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLRDHUP};
    return fd >= 0 && poll(&p, 1, 0) == 1 && (p.revents & (POLLRDHUP | POLLHUP | POLLERR)) != 0;
}

static void watch(struct exchange *x)
{
    struct server *server = x->server;
    pthread_mutex_lock(&server->watch_lock);
    if (server->cancel_all || has_left(x->fd)) // perhaps while it was queued
        atomic_store(&x->cancelled, true);
    x->watched_next = server->watched;
    x->watched_place = &server->watched;
    if (x->watched_next != NULL)
        x->watched_next->watched_place = &x->watched_next;
    server->watched = x;
    pthread_mutex_unlock(&server->watch_lock);
}

static void unwatch(struct exchange *x)
{
    pthread_mutex_lock(&x->server->watch_lock);
    *x->watched_place = x->watched_next;
    if (x->watched_next != NULL)
        x->watched_next->watched_place = x->watched_place;
    pthread_mutex_unlock(&x->server->watch_lock);
}

static void *watch_main(void *arg)
{
    struct server *server = arg;
    while (!atomic_load(&server->watch_stop)) {
        (void)usleep(WATCH_US);
        pthread_mutex_lock(&server->watch_lock);
        for (struct exchange *x = server->watched; x != NULL; x = x->watched_next)
            if (server->cancel_all || has_left(x->fd))
                atomic_store(&x->cancelled, true);
        pthread_mutex_unlock(&server->watch_lock);
    }
    return NULL;
}

// On a worker.
static void work(void *item, struct arena *arena)
{
    struct exchange *x = item;
    assert(x->magic == EXCHANGE_MAGIC && x->state == EXCHANGE_QUEUED);
    x->request.arena = arena;
    x->request.start_mono_ns = clock_mono_ns();
    watch(x);
    route_run(x->route, &x->server->app, &x->request, &x->response);
    unwatch(x);
    x->request.arena = NULL;
    MHD_resume_connection(x->connection);
}

static void on_connection(void *cls, struct MHD_Connection *connection, void **closure,
                          enum MHD_ConnectionNotificationCode code)
{
    (void)connection;
    (void)closure;
    struct door *door = cls;
    bool started = code == MHD_CONNECTION_NOTIFY_STARTED;
    if (!started) { // else it was counted when it was taken
        atomic_fetch_sub(&door->connections, 1);
        atomic_fetch_sub(&door->server->connections, 1);
    }
    metric_gauge_add(GAUGE_CONNECTIONS, started ? 1 : -1); // so that where it tells of none there is room
}

// Request targets are taken raw: routes decode them once, by their own rules.
static size_t keep_escapes(void *cls, struct MHD_Connection *connection, char *text)
{
    (void)cls;
    (void)connection;
    return strlen(text);
}

// --- life -------------------------------------------------------------------------------------------

static bool start_door(struct server *server, struct door *door, size_t head_bytes, struct err *err)
{
    door->server = server;
    // We count connections ourselves, so the library's limit is out of reach for each of its threads.
    door->daemon = MHD_start_daemon(
        MHD_USE_EPOLL_INTERNAL_THREAD | MHD_USE_NO_LISTEN_SOCKET | MHD_USE_ITC | MHD_ALLOW_SUSPEND_RESUME |
            MHD_ALLOW_UPGRADE,
        0, NULL, NULL, on_request, server, MHD_OPTION_THREAD_POOL_SIZE, (unsigned)HTTP_THREADS,
        MHD_OPTION_CONNECTION_LIMIT, (unsigned)(HTTP_THREADS * SERVER_CONNECTIONS_MAX),
        MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)(server->app.config->connection_idle_ns / NS_PER_S),
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, head_bytes, MHD_OPTION_URI_LOG_CALLBACK, on_target, door,
        MHD_OPTION_UNESCAPE_CALLBACK, keep_escapes, NULL, MHD_OPTION_NOTIFY_COMPLETED, on_completed, server,
        MHD_OPTION_NOTIFY_CONNECTION, on_connection, door, MHD_OPTION_END);
    return door->daemon != NULL || err_set(err, ERR_IO, "the HTTP library did not start");
}

static bool has_room(void *ctx)
{
    struct server *server = ctx;
    return atomic_load(&server->connections) < SERVER_CONNECTIONS_MAX;
}

static bool begins_with_get(int fd)
{
    char first[4];
    return recv(fd, first, sizeof first, MSG_PEEK | MSG_DONTWAIT) == sizeof first && memcmp(first, "GET ", 4) == 0;
}

// Whoever reads sends queries in request lines, and has few connections; agents push, and are many. The library
// clears all of a connection's memory between two requests, so room for long heads is not for everyone.
static void take_connection(void *ctx, int fd, const struct sockaddr *peer, socklen_t peer_bytes)
{
    struct server *server = ctx;
    bool long_heads = atomic_load(&server->long_heads.connections) < SERVER_LONG_CONNECTIONS_MAX && begins_with_get(fd);
    struct door *door = long_heads ? &server->long_heads : &server->short_heads;
    atomic_fetch_add(&server->connections, 1);
    atomic_fetch_add(&door->connections, 1);
    if (MHD_add_connection(door->daemon, fd, peer, peer_bytes) != MHD_YES) { // closed by it
        atomic_fetch_sub(&server->connections, 1);
        atomic_fetch_sub(&door->connections, 1);
    }
}

void server_addresses(const struct server *server, struct buf *b)
{
    listener_addresses(server->listener, b);
}

bool server_start(const struct config *config, struct store *store, struct server **server_out,
                  struct err *err)
{
    struct server *server = calloc(1, sizeof *server);
    assert(server != NULL);
    server->app.config = config;
    server->app.store = store;
    server->app.crew = crew_new(crew_helpers_default());
    server->app.tails = tails_new(&server->app);
    server->app.ingest.retention = &config->retention;
    server->body_bytes_max = config->memory_bytes / 4;
    server->pools[ROUTE_PUSH] = pool_new("push", PUSH_THREADS, SERVER_REQUESTS_MAX, INGEST_ARENA_BYTES_MAX, work);
    server->pools[ROUTE_QUERY] = pool_new("query", QUERY_THREADS, QUERY_QUEUE_MAX, QUERY_ARENA_BYTES_MAX, work);
    server->pools[ROUTE_STATUS] = pool_new("status", 1, SERVER_REQUESTS_MAX, QUERY_ARENA_BYTES_MAX, work);
    pthread_mutex_init(&server->watch_lock, NULL);
    int rc = pthread_create(&server->watcher, NULL, watch_main, server);
    assert(rc == 0);
    (void)pthread_setname_np(server->watcher, "watch");
    struct listener_taker taker = {server, has_room, take_connection};
    if (!start_door(server, &server->short_heads, SERVER_SHORT_HEAD_BYTES_MAX, err) ||
        !start_door(server, &server->long_heads, SERVER_HEAD_BYTES_MAX, err) ||
        !listener_start(config->listen, config->listen_count, &taker, &server->listener, err)) {
        server_stop(server);
        return false;
    }
    *server_out = server;
    return true;
}

static void wait_for_exchanges(struct server *server)
{
    int64_t until_ns = clock_mono_ns() + STOP_WAIT_NS;
    while (atomic_load(&server->exchanges) > 0 && clock_mono_ns() < until_ns)
        (void)usleep(1000);
    pthread_mutex_lock(&server->watch_lock);
    server->cancel_all = true; // queries end at their next look
    pthread_mutex_unlock(&server->watch_lock);
}

static void stop_door(struct door *door)
{
    if (door->daemon != NULL)
        MHD_stop_daemon(door->daemon);
}

void server_stop(struct server *server)
{
    if (server == NULL)
        return;
    atomic_store(&server->app.stopping, true);
    listener_stop(server->listener);
    wait_for_exchanges(server);
    // Nothing is suspended once the workers are through; what is still read is refused by the closed queue.
    for (unsigned i = 0; i < ROUTE_POOLS; i++)
        pool_stop(server->pools[i]);
    tails_stop(server->app.tails);
    stop_door(&server->short_heads);
    stop_door(&server->long_heads);
    atomic_store(&server->watch_stop, true);
    (void)pthread_join(server->watcher, NULL);
    pthread_mutex_destroy(&server->watch_lock);
    for (unsigned i = 0; i < ROUTE_POOLS; i++)
        pool_free(server->pools[i]);
    tails_free(server->app.tails);
    crew_free(server->app.crew);
    free(server);
}
