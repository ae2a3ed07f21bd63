/*
 * compaction.c -- what compaction costs and wins: MB of lines a CPU-second, size of what it writes against what was sealed;
 * and what it costs to drop a segment.
 *
 *     compaction DIR [--bytes N] [--segments N] [--small N]
 *
 * A third each of nginx, JSON and logfmt lines. Nine tenths of them go to 24 streams, the rest to `--small` many. Prints one
 * JSON object.
 */
#include "base/buf.h"
#include "base/clock.h"
#include "base/limits.h"
#include "base/metric.h"
#include "lines.h"
#include "store/store.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { LARGE = 24, BATCH_ENTRIES = 4000 };

static uint64_t total_bytes = 400 * 1000 * 1000;
static unsigned segments = 16, small = 2000;
static uint64_t seed = 1;
static int64_t now_ns;

static double cpu_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static bool refuse(void *ctx, struct slice payload, struct arena *a, struct batch *batch_out, struct err *err)
{
    (void)ctx, (void)payload, (void)a, (void)batch_out;
    return err_set(err, ERR_CORRUPT, "the benchmark replays nothing");
}

static void report(void *ctx, bool failure, const char *text)
{
    (void)ctx;
    if (failure)
        fprintf(stderr, "%s\n", text);
}

static struct slice labels_of(unsigned stream, struct arena *a)
{
    static const char *const jobs[] = {"nginx", "app", "query"};
    char host[32];
    (void)snprintf(host, sizeof host, "host-%u", stream / 3);
    struct label pairs[] = {{SLICE("env"), SLICE("prod")},
                            {SLICE("host"), slice_cstr(host)},
                            {SLICE("job"), slice_cstr(jobs[stream % 3])}};
    return labels_encoded(&(struct labels){pairs, 3}, a);
}

static uint64_t push_batch(struct store *st, struct arena *a)
{
    static int (*const makers[])(uint64_t *, char *, size_t) = {line_nginx, line_json, line_logfmt};
    static unsigned turn;
    struct batch_stream *streams = arena_array(a, BATCH_ENTRIES, sizeof *streams);
    struct batch_entry *entries = arena_array(a, BATCH_ENTRIES, sizeof *entries);
    struct label level = {SLICE("detected_level"), SLICE("info")};
    struct slice metadata = labels_encoded(&(struct labels){&level, 1}, a);
    struct batch b = {.tenant = SLICE("fake"), .streams = streams, .entries = entries};
    while (b.entries_count < BATCH_ENTRIES) {
        // One of ten goes to the next small stream, nine to the next large one.
        unsigned stream = turn++;
        bool is_small = stream % 10 == 9 && small > 0;
        uint32_t count = is_small ? 1 : 9;
        stream = is_small ? LARGE + stream / 10 % small : stream % LARGE;
        struct batch_stream *s = &streams[b.streams_count++];
        *s = (struct batch_stream){.labels = labels_of(stream, a), .entries_first = b.entries_count};
        s->fingerprint = hash_128(s->labels);
        for (; s->entries_count < count && b.entries_count < BATCH_ENTRIES; s->entries_count++) {
            char line[1024];
            int len = makers[stream % 3](&seed, line, sizeof line);
            now_ns += 100 * NS_PER_US;
            entries[b.entries_count++] =
                (struct batch_entry){now_ns, arena_copy(a, slice_of(line, (size_t)len)), metadata};
            b.line_bytes += (uint64_t)len;
        }
    }
    struct store_added added;
    struct err err;
    if (a->overflowed || !store_append(st, &b, &(struct wal_payload){SLICE("x"), SLICE("y")}, &added, &err))
        exit(1);
    return b.line_bytes;
}

static uint64_t fill(struct store *st)
{
    struct err err;
    struct arena a;
    uint64_t bytes = 0;
    arena_init(&a, 64 * MIB);
    for (unsigned i = 0; i < segments; i++) {
        for (uint64_t until = total_bytes / segments * (i + 1); bytes < until; arena_reset(&a))
            bytes += push_batch(st, &a);
        if (!store_flush(st, &err))
            exit(1);
    }
    arena_done(&a);
    return bytes;
}

static struct store *open_store(const char *dir, int64_t retention_ns)
{
    struct store *st;
    struct err err;
    struct store_options options = {.dir = dir, .decode = refuse, .sync_off = true, .report = report,
                                    .head_bytes_max = 4 * GIB, .retention = {.period_ns = retention_ns}};
    if (!store_open(&options, &st, &err)) {
        fprintf(stderr, "compaction: %s\n", err.text);
        exit(1);
    }
    return st;
}

int main(int argc, char **argv)
{
    for (int i = 2; i + 1 < argc; i += 2) {
        uint64_t value = strtoull(argv[i + 1], NULL, 10);
        if (strcmp(argv[i], "--bytes") == 0)
            total_bytes = value;
        else if (strcmp(argv[i], "--segments") == 0 && value > 0)
            segments = (unsigned)value;
        else if (strcmp(argv[i], "--small") == 0)
            small = (unsigned)value;
    }
    if (argc < 2 || argc % 2 != 0) {
        fputs("usage: compaction DIR [--bytes N] [--segments N] [--small N]\n", stderr);
        return 2;
    }
    now_ns = clock_wall_ns() - NS_PER_DAY;
    struct store_stats before, after;
    struct store *st = open_store(argv[1], 0);
    uint64_t bytes = fill(st);
    store_stats(st, &before);
    double begun = cpu_seconds();
    store_upkeep(st);
    double cpu = cpu_seconds() - begun;
    store_stats(st, &after);
    uint64_t read = metric_value(COUNTER_COMPACTION_LINE_BYTES);
    printf("{\"line_bytes\":%" PRIu64 ",\"rewritten_line_bytes\":%" PRIu64 ",\"cpu_seconds\":%.2f,\"mb_per_cpu_second\":%.0f,"
           "\"segments\":[%u,%u],\"sealed_bytes\":%" PRIu64 ",\"compacted_bytes\":%" PRIu64 ",\"ratio\":%.3f",
           bytes, read, cpu, (double)read / 1e6 / cpu, before.segments_count, after.segments_count, before.segment_bytes,
           after.segment_bytes, (double)after.segment_bytes / (double)before.segment_bytes);
    uint64_t seals = after.segments_count;
    begun = cpu_seconds();
    clock_set_wall_ns(clock_wall_ns() + 400 * NS_PER_DAY);
    store_close(st);
    st = open_store(argv[1], NS_PER_DAY);
    int64_t wall_ns = clock_mono_ns();
    store_upkeep(st);
    wall_ns = clock_mono_ns() - wall_ns;
    store_stats(st, &after);
    printf(",\"dropped_segments\":%" PRIu64 ",\"ms_per_dropped_segment\":%.2f}\n", seals - after.segments_count,
           (double)wall_ns / 1e6 / (double)seals);
    store_close(st);
    return 0;
}
