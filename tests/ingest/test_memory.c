/*
 * test_memory.c -- what a push may take: with too little the answer is 413 and nothing is stored, with enough 204.
 */
#include "tap.h"

#include "base/clock.h"
#include "base/limits.h"
#include "ingest/ingest.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum { ENTRIES = 2000 };

static struct store *open_store(const char *dir)
{
    struct err err;
    struct store *st;
    struct store_options options = {.dir = dir, .decode = ingest_decode, .sync_off = true};
    must(store_open(&options, &st, &err), &err);
    return st;
}

static int push(struct store *st, enum push_api api, struct slice body, size_t bytes_max)
{
    struct arena a;
    struct push_answer answer;
    struct ingest_options options = {0};
    struct push_request request = {
        .api = api, .tenant = SLICE("t"), .content_type = SLICE("application/json"), .body = body};
    arena_init(&a, bytes_max);
    ingest_push(st, &options, &request, &a, &answer);
    arena_done(&a);
    return answer.status;
}

static uint32_t streams_stored(struct store *st)
{
    struct store_stats stats;
    store_stats(st, &stats);
    return stats.head_streams;
}

int main(void)
{
    static const char *const starts[] = {
        "{\"streams\":[{\"stream\":{\"app\":\"a\"},\"values\":[", "{\"streams\":[{\"labels\":\"{app=\\\"b\\\"}\",\"entries\":[",
        "{\"resourceLogs\":[{\"scopeLogs\":[{\"logRecords\":["};
    static const char *const ends[] = {"]}]}", "]}]}", "]}]}]}"};
    static const char *const names[] = {"Loki", "legacy", "OpenTelemetry"};
    char dir[] = "/tmp/mstore-memory-XXXXXX", command[64];
    must(mkdtemp(dir) != NULL, NULL);
    struct store *st = open_store(dir);
    int64_t now_ns = clock_wall_ns();
    for (int api = PUSH_API_LOKI; api <= PUSH_API_OTLP; api++) {
        struct buf b;
        buf_init(&b, 0);
        buf_put_cstr(&b, starts[api]);
        for (int i = 0; i < ENTRIES; i++) {
            char at[CLOCK_RFC3339_BYTES];
            clock_rfc3339(now_ns + i, at);
            const char *comma = i > 0 ? "," : "";
            if (api == PUSH_API_LOKI)
                buf_printf(&b, "%s[\"%" PRId64 "\",\"line\"]", comma, now_ns + i);
            else if (api == PUSH_API_LEGACY)
                buf_printf(&b, "%s{\"ts\":\"%s\",\"line\":\"line\"}", comma, at);
            else
                buf_printf(&b, "%s{\"timeUnixNano\":\"%" PRId64 "\",\"body\":{\"stringValue\":\"line\"}}", comma, now_ns + i);
        }
        buf_put_cstr(&b, ends[api]);
        uint32_t before = streams_stored(st);
        int status = push(st, (enum push_api)api, buf_slice(&b), 16 * KIB);
        ok(status == 413 && streams_stored(st) == before, "%s: %d entries do not fit in 16 KiB: %d", names[api], ENTRIES, status);
        status = push(st, (enum push_api)api, buf_slice(&b), 16 * MIB);
        ok(status == 204 && streams_stored(st) == before + 1, "%s: they do in 16 MiB: %d", names[api], status);
        buf_done(&b);
    }
    store_close(st);
    (void)snprintf(command, sizeof command, "rm -r %s", dir);
    must(system(command) == 0, NULL);
    return tap_done();
}
