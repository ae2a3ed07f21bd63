/*
 * loadgen.c -- pushes realistic log lines, or spans, over N connections and tells how long each push took.
 *
 *     loadgen HOST:PORT [--bytes N] [--connections N] [--seed N] [--push-bytes N]
 *     loadgen HOST:PORT --spans N [--connections N] [--seed N] [--push-spans N]
 *
 * Lines are nginx access logs, JSON application logs and logfmt, one third each, made from a seed: the same
 * seed makes the same lines. Pushes are protobuf in snappy, as promtail sends them. Spans are of otlp_gen.h, pushed as
 * OpenTelemetry's collector does. Prints one JSON object.
 */
#include "base/buf.h"
#include "base/clock.h"
#include "base/codec.h"
#include "lines.h"
#include "otlp_gen.h"

#include <assert.h>
#include <inttypes.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <snappy-c.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum { STREAMS_PER_KIND = 8, CONNECTIONS_MAX = 64, PUSHES_MAX = 1 << 20 };

struct options {
    char host[128], port[16];
    uint64_t bytes;
    unsigned connections;
    uint64_t seed;
    uint64_t push_bytes;
    uint64_t spans; // 0: lines
    uint32_t push_spans;
};

static struct options options = {.bytes = 1000 * 1000 * 1000, .connections = 4, .seed = 1, .push_bytes = 1000 * 1000, .push_spans = 1000};
static _Atomic uint64_t bytes_taken, lines_sent, spans_taken, body_bytes, failures;
static int64_t *latencies;
static _Atomic uint32_t latencies_count;
static int64_t base_ns;

// --- pushes -----------------------------------------------------------------------------------------

static void put_field(struct buf *b, unsigned number, struct slice bytes)
{
    put_varint(b, number << 3 | 2);
    put_prefixed(b, bytes);
}

static void put_entry(struct buf *b, int64_t time_ns, struct slice line)
{
    uint8_t bytes[32];
    struct buf stamp = {.ptr = bytes, .room = sizeof bytes};
    put_u8(&stamp, 1 << 3);
    put_varint(&stamp, (uint64_t)(time_ns / NS_PER_S));
    put_u8(&stamp, 2 << 3);
    put_varint(&stamp, (uint64_t)(time_ns % NS_PER_S));
    size_t line_room = line.len < 128 ? 1 : line.len < 16384 ? 2 : 3;
    put_varint(b, 2 << 3 | 2);
    put_varint(b, 2 + stamp.len + 1 + line_room + line.len);
    put_field(b, 1, buf_slice(&stamp));
    put_field(b, 2, line);
}

// One push of a thread: a few streams of one kind. Returns the bytes of its lines.
static uint64_t make_push(uint64_t *s, unsigned thread, uint64_t turn, struct buf *out, struct buf *stream)
{
    static int (*const makers[])(uint64_t *, char *, size_t) = {line_nginx, line_json, line_logfmt};
    static const char *const jobs[] = {"nginx", "app", "query"};
    unsigned kind = (unsigned)((turn + thread) % 3);
    uint64_t bytes = 0;
    buf_reset(out);
    for (unsigned i = 0; i < STREAMS_PER_KIND; i++) {
        char labels[128], line[1024];
        int len = snprintf(labels, sizeof labels, "{env=\"prod\", host=\"host-%u\", job=\"%s\"}",
                           thread * STREAMS_PER_KIND + i, jobs[kind]);
        buf_reset(stream);
        put_field(stream, 1, slice_of(labels, (size_t)len));
        int64_t time_ns = base_ns + (int64_t)turn * 10 * NS_PER_MS;
        for (uint64_t mine = 0; mine < options.push_bytes / STREAMS_PER_KIND; time_ns += 1000) {
            len = makers[kind](s, line, sizeof line);
            put_entry(stream, time_ns, slice_of(line, (size_t)len));
            mine += (uint64_t)len;
            bytes += (uint64_t)len;
            atomic_fetch_add_explicit(&lines_sent, 1, memory_order_relaxed);
        }
        put_field(out, 1, buf_slice(stream));
    }
    return bytes;
}

// --- HTTP -------------------------------------------------------------------------------------------

static int connect_to(void)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found;
    if (getaddrinfo(options.host, options.port, &hints, &found) != 0)
        return -1;
    int fd = socket(found->ai_family, SOCK_STREAM, 0), on = 1;
    if (fd >= 0 && connect(fd, found->ai_addr, found->ai_addrlen) != 0) {
        (void)close(fd);
        fd = -1;
    }
    freeaddrinfo(found);
    if (fd >= 0)
        (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    return fd;
}

static bool send_all(int fd, const void *bytes, size_t len)
{
    for (const char *p = bytes; len > 0;) {
        ssize_t n = send(fd, p, len, MSG_NOSIGNAL);
        if (n <= 0)
            return false;
        p += n;
        len -= (size_t)n;
    }
    return true;
}

// The status of one push, or -1. Answers without a body only.
static int push(int fd, const char *path, const void *body, size_t len)
{
    char head[256], answer[2048];
    int head_len = snprintf(head, sizeof head,
                            "POST %s HTTP/1.1\r\nHost: mstore\r\nContent-Type: "
                            "application/x-protobuf\r\nContent-Length: %zu\r\n\r\n",
                            path, len);
    if (!send_all(fd, head, (size_t)head_len) || !send_all(fd, body, len))
        return -1;
    size_t got = 0;
    while (got + 1 < sizeof answer) {
        ssize_t n = recv(fd, answer + got, sizeof answer - 1 - got, 0);
        if (n <= 0)
            return -1;
        got += (size_t)n;
        answer[got] = '\0';
        if (strstr(answer, "\r\n\r\n") != NULL)
            return atoi(answer + 9);
    }
    return -1;
}

// Sends one push and notes what became of it. False: no further ones.
static bool push_timed(int fd, const char *path, int wanted, const void *body, size_t len)
{
    int64_t begun_ns = clock_mono_ns();
    int status = push(fd, path, body, len);
    if (status != wanted) {
        fprintf(stderr, "loadgen: push answered %d\n", status);
        atomic_fetch_add(&failures, 1);
        return false;
    }
    uint32_t at = atomic_fetch_add(&latencies_count, 1);
    if (at < PUSHES_MAX)
        latencies[at] = clock_mono_ns() - begun_ns;
    atomic_fetch_add(&body_bytes, len);
    return true;
}

static void *span_pusher(void *arg)
{
    unsigned thread = (unsigned)(uintptr_t)arg;
    struct otlp_gen *g = otlp_gen_new(options.seed * 1000003 + thread + 1, (uint64_t)base_ns);
    struct buf body;
    buf_init(&body, 0);
    int fd = connect_to();
    while (fd >= 0 && atomic_load(&spans_taken) < options.spans) {
        buf_reset(&body);
        uint32_t spans = otlp_gen_request(g, options.push_spans, &body);
        if (!push_timed(fd, "/v1/traces", 200, body.ptr, body.len))
            break;
        atomic_fetch_add(&spans_taken, spans);
    }
    if (fd < 0)
        atomic_fetch_add(&failures, 1);
    else
        (void)close(fd);
    buf_done(&body);
    otlp_gen_free(g);
    return NULL;
}

static void *pusher(void *arg)
{
    unsigned thread = (unsigned)(uintptr_t)arg;
    uint64_t seed = options.seed * 1000003 + thread + 1;
    struct buf plain, stream;
    buf_init(&plain, 0);
    buf_init(&stream, 0);
    int fd = connect_to();
    char *packed = malloc(snappy_max_compressed_length(4 * options.push_bytes));
    assert(packed != NULL);
    for (uint64_t turn = 0; fd >= 0 && atomic_load(&bytes_taken) < options.bytes; turn++) {
        uint64_t bytes = make_push(&seed, thread, turn, &plain, &stream);
        size_t len = snappy_max_compressed_length(plain.len);
        (void)snappy_compress((const char *)plain.ptr, plain.len, packed, &len);
        if (!push_timed(fd, "/loki/api/v1/push", 204, packed, len))
            break;
        atomic_fetch_add(&bytes_taken, bytes);
    }
    if (fd < 0)
        atomic_fetch_add(&failures, 1);
    else
        (void)close(fd);
    free(packed);
    buf_done(&plain);
    buf_done(&stream);
    return NULL;
}

static int by_value(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static int usage(void)
{
    fputs("usage: loadgen HOST:PORT [--bytes N] [--connections N] [--seed N] [--push-bytes N]\n"
          "       loadgen HOST:PORT --spans N [--connections N] [--seed N] [--push-spans N]\n",
          stderr);
    return 2;
}

static bool read_options(int argc, char **argv)
{
    const char *colon = argc > 1 ? strrchr(argv[1], ':') : NULL;
    if (colon == NULL || (size_t)(colon - argv[1]) >= sizeof options.host)
        return false;
    memcpy(options.host, argv[1], (size_t)(colon - argv[1]));
    (void)snprintf(options.port, sizeof options.port, "%s", colon + 1);
    for (int i = 2; i + 1 < argc; i += 2) {
        uint64_t value = strtoull(argv[i + 1], NULL, 10);
        if (strcmp(argv[i], "--bytes") == 0)
            options.bytes = value;
        else if (strcmp(argv[i], "--connections") == 0 && value > 0 && value <= CONNECTIONS_MAX)
            options.connections = (unsigned)value;
        else if (strcmp(argv[i], "--seed") == 0)
            options.seed = value;
        else if (strcmp(argv[i], "--push-bytes") == 0 && value > 0)
            options.push_bytes = value;
        else if (strcmp(argv[i], "--spans") == 0 && value > 0)
            options.spans = value;
        else if (strcmp(argv[i], "--push-spans") == 0 && value > 0 && value <= UINT32_MAX)
            options.push_spans = (uint32_t)value;
        else
            return false;
    }
    return argc % 2 == 0;
}

int main(int argc, char **argv)
{
    if (!read_options(argc, argv))
        return usage();
    latencies = calloc(PUSHES_MAX, sizeof *latencies);
    assert(latencies != NULL);
    base_ns = clock_wall_ns() - NS_PER_HOUR;
    pthread_t threads[CONNECTIONS_MAX];
    int64_t begun_ns = clock_mono_ns();
    for (unsigned i = 0; i < options.connections; i++)
        assert(pthread_create(&threads[i], NULL, options.spans > 0 ? span_pusher : pusher, (void *)(uintptr_t)i) == 0);
    for (unsigned i = 0; i < options.connections; i++)
        (void)pthread_join(threads[i], NULL);
    double seconds = (double)(clock_mono_ns() - begun_ns) / 1e9;
    uint32_t count = latencies_count < PUSHES_MAX ? latencies_count : PUSHES_MAX;
    qsort(latencies, count, sizeof *latencies, by_value);
    printf("{\"seconds\":%.3f,\"line_bytes\":%" PRIu64 ",\"lines\":%" PRIu64 ",\"spans\":%" PRIu64 ",\"body_bytes\":%" PRIu64
           ",\"pushes\":%u,\"failures\":%" PRIu64 ",\"median_ms\":%.2f,\"p99_ms\":%.2f}\n",
           seconds, (uint64_t)bytes_taken, (uint64_t)lines_sent, (uint64_t)spans_taken, (uint64_t)body_bytes, count,
           (uint64_t)failures, count > 0 ? (double)latencies[count / 2] / 1e6 : 0,
           count > 0 ? (double)latencies[count - 1 - count / 100] / 1e6 : 0);
    return failures > 0;
}
