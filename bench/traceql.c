/*
 * traceql.c -- TraceQL over a store: what searches, metrics and traces by ID take.
 *
 *     traceql DIR [--spans N] [--segments N] [--query TEXT] [--rounds N]
 *
 * Makes the store in DIR if there is none, of the spans of otlp_gen.h; then runs queries over all of it and prints the best
 * of several rounds, on all cores.
 */
#include "base/clock.h"
#include "base/limits.h"
#include "otlp_gen.h"
#include "query/crew.h"
#include "query/traces.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

static const uint64_t BEGIN_NS = UINT64_C(1793491204000000000);

static void must(bool good, const struct err *err)
{
    if (good)
        return;
    (void)fprintf(stderr, "traceql: %s\n", err->text);
    exit(1);
}

static bool decode(void *ctx, struct slice payload, struct arena *a, struct batch *out, struct err *err)
{
    (void)ctx;
    (void)payload;
    (void)a;
    (void)out;
    return err_set(err, ERR_CORRUPT, "this store was not closed whole: remove it");
}

static struct store *open_store(const char *dir)
{
    struct store *st;
    struct err err;
    struct store_options o = {.dir = dir, .decode = decode, .sync_off = true, .head_bytes_max = 2 * GIB};
    must(store_open(&o, &st, &err), &err);
    return st;
}

// --- filling ----------------------------------------------------------------------------------------------

enum { BATCH_SPANS = 4096 };

struct filler {
    struct otlp_gen *g;
    struct slice *resources, *scopes;
    struct batch_span spans[BATCH_SPANS + OTLP_GEN_SPANS_MAX];
    struct arena arena; // messages
};

static uint32_t push(struct filler *f, struct store *st)
{
    struct batch batch = {.tenant = SLICE("bench"), .spans = f->spans, .resources = f->resources, .scopes = f->scopes,
                          .resources_count = otlp_gen_resources(f->g), .scopes_count = otlp_gen_scopes(f->g)};
    struct store_added added;
    struct err err;
    arena_reset(&f->arena);
    while (batch.spans_count < BATCH_SPANS) {
        const struct otlp_gen_span *trace;
        for (uint32_t i = 0, n = otlp_gen_trace(f->g, &trace); i < n; i++) {
            struct span span;
            struct batch_span *to = &f->spans[batch.spans_count++];
            *to = (struct batch_span){.resource = trace[i].resource, .scope = trace[i].scope, .message = arena_copy(&f->arena, trace[i].message)};
            must(span_parse(to->message, &f->arena, &span, &err), &err);
            memcpy(to->trace_id, span.trace_id, TRACE_ID_BYTES);
            memcpy(to->span_id, span.span_id, SPAN_ID_BYTES);
            to->kind = span.kind;
            to->start_ns = span.start_ns;
            to->end_ns = span.end_ns;
            batch.span_bytes += to->message.len;
        }
    }
    must(store_append(st, &batch, &(struct wal_payload){SLICE("x"), SLICE("x")}, &added, &err), &err);
    return batch.spans_count;
}

static void fill(struct store *st, uint64_t spans, uint64_t segments)
{
    static struct filler f;
    struct err err;
    f.g = otlp_gen_new(1, BEGIN_NS);
    arena_init(&f.arena, GIB);
    f.resources = calloc(otlp_gen_resources(f.g), sizeof *f.resources);
    f.scopes = calloc(otlp_gen_scopes(f.g), sizeof *f.scopes);
    assert(f.resources != NULL && f.scopes != NULL);
    for (uint32_t i = 0; i < otlp_gen_resources(f.g); i++)
        f.resources[i] = otlp_gen_resource(f.g, i);
    for (uint32_t i = 0; i < otlp_gen_scopes(f.g); i++)
        f.scopes[i] = otlp_gen_scope(f.g, i);
    for (uint64_t s = 0, count = 0; s < segments; s++) {
        while (count < spans * (s + 1) / segments)
            count += push(&f, st);
        must(store_flush(st, &err), &err);
    }
    free(f.resources);
    free(f.scopes);
    arena_done(&f.arena);
    otlp_gen_free(f.g);
}

// --- queries ----------------------------------------------------------------------------------------------

struct measured {
    int64_t ns;
    uint32_t found;
    struct trace_stats stats;
};

static struct measured measure(struct store *st, struct crew *crew, const char *text)
{
    struct arena a;
    struct traceql *q;
    struct err err;
    bool syntax;
    struct measured m = {0};
    arena_init(&a, QUERY_ARENA_BYTES_MAX);
    struct query_context context = {.store = st, .crew = crew, .tenant = SLICE("bench"), .arena = &a};
    int64_t from = clock_mono_ns();
    must(traceql_parse(slice_cstr(text), &a, &q, &syntax, &err), &err);
    if (traceql_is_metrics(q)) {
        struct trace_metrics_options o = {.from_ns = (int64_t)BEGIN_NS - 1, .to_ns = (int64_t)BEGIN_NS + INT64_C(7200) * 1000000000,
                                          .step_ns = INT64_C(30) * 1000000000, .exemplars_max = 100};
        struct trace_metrics_result r;
        must(trace_metrics(q, &o, &context, &r, &err), &err);
        m = (struct measured){.found = r.series_count, .stats = r.stats};
    } else {
        struct trace_search_options o = {.from_ns = (int64_t)BEGIN_NS, .to_ns = INT64_MAX, .limit = 20, .spans_per_set = 3};
        struct trace_search_result r;
        must(trace_search(q, &o, &context, &r, &err), &err);
        m = (struct measured){.found = r.traces_count, .stats = r.stats};
    }
    m.ns = clock_mono_ns() - from;
    traceql_free(q);
    arena_done(&a);
    return m;
}

static void print_query(struct store *st, struct crew *crew, const char *text, int rounds)
{
    struct measured best = {.ns = INT64_MAX};
    for (int i = 0; i < rounds; i++) {
        struct measured m = measure(st, crew, text);
        if (m.ns < best.ns)
            best = m;
    }
    printf("%8.1f ms %6u found %10llu spans %6.1f MB read  %llu of %llu blocks left out  %s\n", (double)best.ns / 1e6, best.found,
           (unsigned long long)best.stats.spans, (double)best.stats.bytes / 1e6, (unsigned long long)best.stats.blocks_pruned,
           (unsigned long long)best.stats.blocks, text);
}

int main(int argc, char **argv)
{
    static const char *const queries[] = {
        "{}",
        "{ status = error && duration > 1s }",
        "{ duration > 1h }",
        "{ resource.service.name = \"checkout\" && status = error }",
        "{ span.http.response.status_code = 599 }",
        "{ name = \"nosuch\" }",
        "{ .user.id = \"nosuch\" }",
        "{ rootServiceName = \"frontend\" && status = error }",
        "{ nestedSetParent < 0 && duration > 2s }",
        "{ kind = server } >> { status = error && duration > 1s }",
        "{ status = error } | count() > 5",
        "{} | rate()",
        "{} | rate() by (resource.service.name)",
        "{ nestedSetParent < 0 } | rate() by (resource.service.name)",
        "{ status = error } | rate() by (resource.service.name, name)",
        "{} | quantile_over_time(duration, 0.9) by (resource.service.name)",
        "{} | histogram_over_time(duration)",
        "{ nestedSetParent < 0 } | compare({ status = error })",
    };
    const char *only = NULL;
    uint64_t spans = 2000000, segments = 10;
    int rounds = 5;
    if (argc < 2) {
        (void)fprintf(stderr, "usage: traceql DIR [--spans N] [--segments N] [--query TEXT] [--rounds N]\n");
        return 2;
    }
    for (int i = 2; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "--spans") == 0)
            spans = strtoull(argv[i + 1], NULL, 10);
        else if (strcmp(argv[i], "--segments") == 0)
            segments = strtoull(argv[i + 1], NULL, 10);
        else if (strcmp(argv[i], "--query") == 0)
            only = argv[i + 1];
        else if (strcmp(argv[i], "--rounds") == 0)
            rounds = (int)strtol(argv[i + 1], NULL, 10);
    }
    struct stat info;
    bool fresh = stat(argv[1], &info) != 0;
    struct store *st = open_store(argv[1]);
    if (fresh)
        fill(st, spans, segments);
    struct crew *crew = crew_new(crew_helpers_default());
    for (size_t i = 0; i < COUNT_OF(queries) && only == NULL; i++)
        print_query(st, crew, queries[i], rounds);
    if (only != NULL)
        print_query(st, crew, only, rounds);
    crew_free(crew);
    store_close(st);
    return 0;
}
