/*
 * spans.c -- what spans cost in blocks: bytes by column, time to write and to read them, on one core.
 *
 *     spans [--blocks N] [--level N]
 *
 * Spans are those of otlp_gen.h. Times are the best of several rounds.
 */
#include "base/clock.h"
#include "base/limits.h"
#include "base/zbuf.h"
#include "otlp_gen.h"
#include "store/span_block.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

enum { ROUNDS = 5, BLOCKS_MAX = 256 };

struct input {
    struct buf text; // messages, back to back
    struct input_span {
        uint32_t bytes, resource, scope;
    } *spans;
    uint32_t count;
};

struct blocks {
    struct buf bytes;
    struct span_block_place places[BLOCKS_MAX];
    uint32_t count;
};

struct origins {
    struct span_resource *resources;
    struct span_scope *scopes;
};

static void must(bool good, const struct err *err)
{
    if (good)
        return;
    (void)fprintf(stderr, "spans: %s\n", err->text);
    exit(1);
}

static void make_input(struct otlp_gen *g, uint32_t count, struct input *in)
{
    in->spans = calloc(count + OTLP_GEN_SPANS_MAX, sizeof *in->spans);
    assert(in->spans != NULL);
    while (in->count < count) {
        const struct otlp_gen_span *trace;
        uint32_t n = otlp_gen_trace(g, &trace);
        for (uint32_t i = 0; i < n; i++) {
            buf_put_slice(&in->text, trace[i].message);
            in->spans[in->count++] = (struct input_span){(uint32_t)trace[i].message.len, trace[i].resource, trace[i].scope};
        }
    }
}

static void parse_origins(const struct otlp_gen *g, struct arena *a, struct origins *out)
{
    struct err err;
    out->resources = arena_array(a, otlp_gen_resources(g), sizeof *out->resources);
    out->scopes = arena_array(a, otlp_gen_scopes(g), sizeof *out->scopes);
    for (uint32_t i = 0; i < otlp_gen_resources(g); i++)
        must(span_resource_parse(otlp_gen_resource(g, i), a, &out->resources[i], &err), &err);
    for (uint32_t i = 0; i < otlp_gen_scopes(g); i++)
        must(span_scope_parse(otlp_gen_scope(g, i), a, &out->scopes[i], &err), &err);
}

// The bytes of exports compressed as they are: what there is to beat.
static void print_raw(int level)
{
    struct otlp_gen *g = otlp_gen_new(1, UINT64_C(1793491204000000000));
    struct zbuf *z = zbuf_new();
    struct buf request = {0}, packed = {0};
    struct err err;
    uint32_t count = 0;
    size_t bytes = 0;
    for (int i = 0; i < 20; i++) {
        buf_reset(&request);
        count += otlp_gen_request(g, 8192, &request);
        bytes += request.len;
        must(zbuf_compress(z, level, buf_slice(&request), &packed, &err), &err);
    }
    printf("exports of 8192: %.0f bytes a span, %.1f by zstd %d\n", (double)bytes / count, (double)packed.len / count, level);
    buf_done(&request);
    buf_done(&packed);
    zbuf_free(z);
    otlp_gen_free(g);
}

static void print_rate(const char *what, int64_t ns, uint32_t count)
{
    printf("%-28s %8.0f spans/s  %6.0f ns a span\n", what, count * 1e9 / (double)ns, (double)ns / count);
}

static int64_t validate(const struct input *in)
{
    struct err err;
    int64_t from = clock_mono_ns();
    const uint8_t *at = in->text.ptr;
    for (uint32_t i = 0; i < in->count; at += in->spans[i++].bytes)
        must(span_valid(slice_of(at, in->spans[i].bytes), &err), &err);
    return clock_mono_ns() - from;
}

static int64_t parse(const struct input *in, struct arena *a)
{
    struct err err;
    struct span span;
    int64_t from = clock_mono_ns();
    const uint8_t *at = in->text.ptr;
    struct arena_mark mark = arena_mark(a);
    for (uint32_t i = 0; i < in->count; at += in->spans[i++].bytes) {
        must(span_parse(slice_of(at, in->spans[i].bytes), a, &span, &err), &err);
        arena_rewind(a, mark);
    }
    return clock_mono_ns() - from;
}

static int64_t write_blocks(const struct input *in, const struct origins *o, struct span_block_writer *w, struct arena *a,
                            struct blocks *out)
{
    struct err err;
    struct span span;
    int64_t from = clock_mono_ns();
    const uint8_t *at = in->text.ptr;
    struct arena_mark mark = arena_mark(a);
    buf_reset(&out->bytes);
    out->count = 0;
    for (uint32_t i = 0; i < in->count; at += in->spans[i++].bytes) {
        must(span_parse(slice_of(at, in->spans[i].bytes), a, &span, &err), &err);
        span.resource = &o->resources[in->spans[i].resource];
        span.scope = &o->scopes[in->spans[i].scope];
        span_block_add(w, &span);
        arena_rewind(a, mark);
        if (!span_block_full(w) && i + 1 < in->count)
            continue;
        assert(out->count < BLOCKS_MAX);
        struct span_block_place *place = &out->places[out->count++];
        uint64_t pos = out->bytes.len;
        must(span_block_flush(w, &out->bytes, place, &err), &err);
        place->pos = pos;
    }
    return clock_mono_ns() - from;
}

// --- reading ------------------------------------------------------------------------------------------

static bool read_block(void *ctx, uint64_t pos, size_t bytes, struct arena *a, struct slice *out, struct err *err)
{
    (void)a;
    (void)err;
    *out = slice_of((const uint8_t *)ctx + pos, bytes);
    return true;
}

static void open_block(const struct blocks *all, uint32_t i, struct zbuf *z, struct arena *a, struct span_block *out)
{
    struct err err;
    must(span_block_open(&all->places[i], read_block, all->bytes.ptr + all->places[i].pos, z, a, out, &err), &err);
}

// The work of one block, and its bytes; `what` is a column, or what comes behind them.
enum { READ_HEAD = SPAN_COLUMNS_COUNT, READ_SPANS };

static uint64_t read_one(struct span_block *b, unsigned what)
{
    struct err err;
    struct span span;
    uint64_t before = span_block_read_bytes(b);
    if (what < SPAN_COLUMNS_COUNT)
        must(span_block_column(b, (enum span_column)what, &err), &err);
    for (uint32_t i = 0; what == READ_SPANS && i < b->spans_count; i++)
        must(span_block_span(b, i, &span, &err), &err);
    return what == READ_HEAD ? before : span_block_read_bytes(b) - before;
}

static void print_column(const struct blocks *all, const char *name, unsigned what, uint32_t count, struct zbuf *z,
                         struct arena *a)
{
    int64_t best = INT64_MAX;
    uint64_t bytes = 0;
    for (int round = 0; round < ROUNDS; round++) {
        int64_t sum = 0;
        bytes = 0;
        for (uint32_t i = 0; i < all->count; i++) {
            struct span_block b;
            int64_t from = clock_mono_ns();
            open_block(all, i, z, a, &b);
            if (what != READ_HEAD)
                from = clock_mono_ns();
            bytes += read_one(&b, what);
            sum += clock_mono_ns() - from;
            arena_reset(a);
        }
        best = sum < best ? sum : best;
    }
    printf("%-28s %8.2f bytes a span  %8.1f us a block\n", name, (double)bytes / count, (double)best / 1000 / all->count);
}

static int by_bytes(const void *left, const void *right)
{
    double a = ((const double *)left)[1], b = ((const double *)right)[1];
    return (a < b) - (a > b);
}

// Attributes of the first block, largest first; shapes are read before.
static void print_attributes(const struct blocks *all, struct zbuf *z, struct arena *a)
{
    static const char *const kinds[] = {"none", "string", "bool", "int", "double", "array", "map", "bytes"};
    struct span_block b;
    struct err err;
    double rows[512][3];
    open_block(all, 0, z, a, &b);
    must(span_block_column(&b, SPAN_SHAPES, &err), &err);
    uint32_t count = b.attributes_count < 512 ? b.attributes_count : 512;
    for (uint32_t i = 0; i < count; i++) {
        uint64_t before = span_block_read_bytes(&b);
        int64_t from = clock_mono_ns();
        must(span_block_attribute(&b, i, &err), &err);
        rows[i][0] = i;
        rows[i][1] = (double)(span_block_read_bytes(&b) - before);
        rows[i][2] = (double)(clock_mono_ns() - from);
    }
    qsort(rows, count, sizeof *rows, by_bytes);
    double sum = 0;
    for (uint32_t i = 0; i < count; i++)
        sum += rows[i][1];
    printf("%-28s %8.2f bytes a span\n", "attributes", sum / b.spans_count);
    for (uint32_t i = 0; i < count; i++) {
        const struct span_attribute_column *c = &b.attributes[(uint32_t)rows[i][0]];
        printf("  %-36.*s %-6s %6u values %6u distinct %7.0f bytes %6.2f a value %6.1f us\n", SLICE_FMT(c->key), kinds[c->kind],
               c->count, c->strings.values_count, rows[i][1], rows[i][1] / c->count, rows[i][2] / 1000);
    }
    arena_reset(a);
}

int main(int argc, char **argv)
{
    uint32_t blocks = 8;
    int level = 1;
    for (int i = 1; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "--blocks") == 0)
            blocks = (uint32_t)strtoul(argv[i + 1], NULL, 10);
        else if (strcmp(argv[i], "--level") == 0)
            level = (int)strtol(argv[i + 1], NULL, 10);
    }
    blocks = blocks < 1 ? 1 : blocks > BLOCKS_MAX / 2 ? BLOCKS_MAX / 2 : blocks;
    struct otlp_gen *g = otlp_gen_new(1, UINT64_C(1793491204000000000));
    struct input in = {.count = 0};
    struct origins o;
    struct arena a, lasting;
    arena_init(&a, GIB);
    arena_init(&lasting, GIB);
    make_input(g, blocks * SPAN_BLOCK_SPANS, &in);
    parse_origins(g, &lasting, &o);
    print_raw(level);

    struct span_block_writer *w = span_block_writer_new(level);
    struct blocks all = {.count = 0};
    int64_t write_ns = INT64_MAX, parse_ns = INT64_MAX, valid_ns = INT64_MAX;
    for (int round = 0; round < ROUNDS; round++) {
        int64_t ns = validate(&in);
        valid_ns = ns < valid_ns ? ns : valid_ns;
        (void)arena_alloc(&a, 16); // a block to rewind to
        ns = parse(&in, &a);
        parse_ns = ns < parse_ns ? ns : parse_ns;
        ns = write_blocks(&in, &o, w, &a, &all);
        write_ns = ns < write_ns ? ns : write_ns;
        arena_reset(&a);
    }
    print_rate("validate", valid_ns, in.count);
    print_rate("parse", parse_ns, in.count);
    print_rate("parse, shred, compress", write_ns, in.count);
    printf("%u blocks of level %d: %.2f bytes a span, directory not counted\n", all.count, level, (double)all.bytes.len / in.count);

    static const char *const names[SPAN_COLUMNS_COUNT] = {
        [SPAN_TRACES] = "trace ids", [SPAN_IDS] = "span ids", [SPAN_PARENTS] = "parents (and span ids)", [SPAN_STARTS] = "starts (and counts)",
        [SPAN_DURATIONS] = "durations", [SPAN_KINDS] = "kinds", [SPAN_STATUSES] = "statuses", [SPAN_NAMES] = "names",
        [SPAN_MESSAGES] = "messages", [SPAN_STATES] = "trace states", [SPAN_RESOURCES] = "resources", [SPAN_SCOPES] = "scopes",
        [SPAN_SHAPES] = "shapes", [SPAN_EVENTS] = "events", [SPAN_LINKS] = "links", [SPAN_REST] = "flags and dropped"};
    struct zbuf *z = zbuf_new();
    print_column(&all, "head", READ_HEAD, in.count, z, &a);
    for (unsigned column = 0; column < SPAN_COLUMNS_COUNT; column++)
        print_column(&all, names[column], column, in.count, z, &a);
    print_column(&all, "all, span by span", READ_SPANS, in.count, z, &a);
    print_attributes(&all, z, &a);
    zbuf_free(z);
    span_block_writer_free(w);
    buf_done(&all.bytes);
    buf_done(&in.text);
    free(in.spans);
    arena_done(&a);
    arena_done(&lasting);
    otlp_gen_free(g);
    return 0;
}
