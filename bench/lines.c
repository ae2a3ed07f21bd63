/* lines.c -- see lines.h. */
#include "lines.h"

#include <inttypes.h>
#include <stdio.h>

// xorshift64* (Vigna, 2014)
static uint64_t next(uint64_t *s)
{
    *s ^= *s >> 12;
    *s ^= *s << 25;
    *s ^= *s >> 27;
    return *s * UINT64_C(0x2545F4914F6CDD1D);
}

static const char *pick(uint64_t *s, const char *const *words, size_t count)
{
    return words[next(s) % count];
}
#define PICK(s, words) pick(s, words, sizeof(words) / sizeof((words)[0]))

static const char *const paths[] = {"/",           "/index.html",      "/api/v1/orders", "/api/v1/cart",
                                    "/login",      "/static/app.js",   "/static/app.css", "/images/logo.png",
                                    "/api/v1/users", "/wp-login.php", "/.env",          "/search"};
static const char *const agents[] = {
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36",
    "Mozilla/5.0 (X11; Linux x86_64; rv:127.0) Gecko/20100101 Firefox/127.0",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 Mobile/15E148 Safari/604.1",
    "curl/8.5.0", "kube-probe/1.29"};
static const char *const messages[] = {"request completed", "payment declined", "cache miss", "user logged in",
                                       "retrying upstream call", "order created", "slow query detected"};
static const char *const levels[] = {"info", "info", "info", "info", "debug", "debug", "warn", "error"};
static const char *const callers[] = {"engine.go:234", "distributor.go:118", "flush.go:77", "http.go:194"};

int line_nginx(uint64_t *s, char *to, size_t room)
{
    uint64_t r = next(s);
    static const int statuses[] = {200, 200, 200, 200, 200, 304, 404, 500};
    return snprintf(to, room,
                    "%u.%u.%u.%u - - [24/Nov/2026:10:%02u:%02u +0000] \"%s %s?id=%" PRIu64
                    " HTTP/1.1\" %d %u \"https://shop.example.com%s\" \"%s\" rt=0.%03u",
                    (unsigned)(r >> 8) % 223 + 1, (unsigned)(r >> 16) & 255, (unsigned)(r >> 24) & 255,
                    (unsigned)(r >> 32) & 255, (unsigned)(r >> 40) % 60, (unsigned)(r >> 46) % 60,
                    (r & 7) == 0 ? "POST" : "GET", PICK(s, paths), next(s) % 100000,
                    statuses[next(s) % 8], (unsigned)(next(s) % 50000), PICK(s, paths), PICK(s, agents),
                    (unsigned)(next(s) % 1000));
}

int line_json(uint64_t *s, char *to, size_t room)
{
    uint64_t trace = next(s);
    return snprintf(to, room,
                    "{\"time\":\"2026-11-24T10:%02u:%02u.%03uZ\",\"level\":\"%s\",\"msg\":\"%s\",\"trace_id\":\"%016" PRIx64
                    "\",\"user\":%u,\"duration_ms\":%u.%u,\"path\":\"%s\",\"pod\":\"cart-%u\"}",
                    (unsigned)(trace >> 8) % 60, (unsigned)(trace >> 16) % 60, (unsigned)(trace >> 24) % 1000,
                    PICK(s, levels), PICK(s, messages), trace, (unsigned)(next(s) % 100000),
                    (unsigned)(next(s) % 2000), (unsigned)(next(s) % 10), PICK(s, paths),
                    (unsigned)(next(s) % 20));
}

int line_logfmt(uint64_t *s, char *to, size_t room)
{
    uint64_t r = next(s);
    return snprintf(to, room,
                    "level=%s ts=2026-11-24T10:%02u:%02u.%06uZ caller=%s component=querier org_id=fake "
                    "msg=\"%s\" latency=%u.%ums bytes=%u query_hash=%u",
                    PICK(s, levels), (unsigned)(r >> 8) % 60, (unsigned)(r >> 16) % 60,
                    (unsigned)(r >> 24) % 1000000, PICK(s, callers), PICK(s, messages),
                    (unsigned)(next(s) % 500), (unsigned)(next(s) % 100), (unsigned)(next(s) % 1000000),
                    (unsigned)next(s));
}
