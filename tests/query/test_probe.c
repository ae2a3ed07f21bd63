/*
 * test_probe.c -- queries over sealed blocks whose filters deny most of them: the answers are those of looking at
 * every line, and the blocks that were passed by are counted.
 */
#include "batches.h"
#include "tap.h"

#include "query/query.h"

#include <stdio.h>
#include <stdlib.h>

enum { PROGRAMS = 6, ENTRIES = 4000 };

static uint64_t state = 88172645463325252;

static unsigned chance(unsigned n)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (unsigned)(state >> 11) % n;
}

// Every program has words of its own; each block some address or trace that no other has.
static int line_of(int program, int n, char *to, size_t room)
{
    unsigned a = chance(256), b = chance(256), block = (unsigned)n / 1000;
    switch (program) {
    case 0:
        return snprintf(to, room, "%u.%u.%u.%u - - \"GET /shop/%u HTTP/1.1\" 200 %u", 10 + block, a, b, n % 256, a, b * 7);
    case 1:
        return snprintf(to, room, "{\"level\":\"%s\",\"msg\":\"order %u placed\",\"trace\":\"%08x%08x%08x%08x\"}",
                        n == 1500 ? "fatal" : "info", a, (unsigned)n * 2654435761U, a * 40503U, b * 40503U, (unsigned)n);
    case 2: // escapes hide what a filter would look for
        return snprintf(to, room, "{\"user\":\"%s\",\"n\":%u%u}", n == 2500 ? "\\u0062ob" : "alice", a, b);
    case 3:
        return snprintf(to, room, "level=%s caller=flush.go:%u msg=\"chunk written\" took=%ums", n == 100 ? "panic" : "debug", a, b);
    case 4:
        return snprintf(to, room, "kernel: [%u.%u] eth0: link %s", (unsigned)n, a, n % 2 == 0 ? "up" : "down");
    default:
        return snprintf(to, room, "%s %u %u", n == 3000 ? "needle" : "hay", a * 77, b * 91);
    }
}

static void fill(struct store *st)
{
    struct err err;
    uint32_t added;
    struct test_batch b;
    char line[256], metadata[128];
    test_batch_init(&b, "t");
    for (int program = 0; program < PROGRAMS; program++)
        for (int n = 0; n < ENTRIES; n++) {
            char labels[64];
            (void)snprintf(labels, sizeof labels, "{app=\"p%d\"%s}", program, program == 4 ? ", user=\"bob\"" : "");
            (void)snprintf(metadata, sizeof metadata, "{trace_id=\"%016x%016x\"}", (unsigned)program, (unsigned)(n / 1000) * 2654435761U);
            (void)line_of(program, n, line, sizeof line);
            test_batch_add(&b, labels, n, line, metadata);
        }
    must(test_batch_append(st, &b, &added, &err), &err);
    must(store_flush(st, &err), &err);
    test_batch_done(&b);
}

static uint64_t filtered, lines;

static bool count_line(void *ctx, const struct query_entry *entry, struct err *err)
{
    (void)ctx, (void)entry, (void)err;
    lines++;
    return true;
}

// Entries that a query keeps; notes how many runs were passed by.
static uint64_t count(struct store *st, const char *text)
{
    struct err err;
    AUTO(arena_done) struct arena a;
    struct query *q;
    struct query_result result;
    arena_init(&a, 64 * 1024 * 1024);
    must(query_parse(slice_cstr(text), &a, &q, &err), &err);
    const struct query_range range = {.from_ns = 0, .to_ns = ENTRIES, .limit = 5000};
    const struct query_context context = {.store = st, .tenant = SLICE("t"), .arena = &a};
    lines = 0;
    must(query_visit(q, &range, &context, count_line, NULL, &result, &err), &err);
    filtered = result.stats.runs_filtered;
    uint64_t visited = lines;
    must(query_run(q, &range, &context, &result, &err), &err); // the other way through
    uint64_t returned = 0;
    for (uint32_t i = 0; i < result.streams_count; i++)
        returned += result.streams[i].entries_count;
    ok(returned == (visited < 5000 ? visited : 5000), "`%s`: both ways find %zu", text, (size_t)visited);
    query_free(q);
    return visited;
}

static void asks(struct store *st)
{
    static const struct {
        const char *query;
        uint64_t entries;
        bool passes_by; // whether filters deny some blocks
    } cases[] = {
        {"{app=~\".+\"} |= \"needle\"", 1, true},
        {"{app=~\".+\"} |= \"nosuchtext\"", 0, true},
        {"{app=~\".+\"} |= \"needle\" or \"panic\"", 2, true},
        {"{app=~\".+\"} |= \"needle\" or \"\"", 24000, false},
        {"{app=~\".+\"} |~ \"nee?dle\"", 1, true},
        {"{app=~\".+\"} |~ \"NEEDLE\"", 0, true},
        {"{app=~\".+\"} |~ \"(?i)NEEDLE\"", 1, false},
        {"{app=~\".+\"} != \"hay\" |= \"needle\"", 1, true},
        {"{app=~\".+\"} !~ \"needle\"", 23999, false},
        {"{app=~\".+\"} |> \"needle <_>\"", 1, true},
        {"{app=~\".+\"} | json | level=\"fatal\"", 1, true},
        {"{app=~\".+\"} | json | level=\"fatal\" or level=\"info\"", 4000, false},
        {"{app=~\".+\"} | logfmt | level=\"panic\"", 1, true},
        {"{app=~\".+\"} | logfmt | level=\"panic\" and caller=~\"flush.*\"", 1, true},
        {"{app=~\".+\"} | json | user=\"bob\"", 4001, true}, // an escape in a line, a label of a stream
        {"{app=~\".+\"} | json | user=\"robert\"", 0, true},
        {"{app=~\".+\"} | json | __error__=\"JSONParserErr\"", 16000, false},
        {"{app=~\".+\"} | pattern \"<word> <_>\" | word=\"needle\"", 1, true},
        {"{app=~\".+\"} | line_format \"nosuchtext\" |= \"nosuchtext\"", 24000, false},
        {"{app=~\".+\"} | label_format x=\"nosuchtext\" | x=\"nosuchtext\"", 24000, false},
        {"{app=~\".+\"} | trace_id=\"0000000000000002000000009e3779b1\"", 1000, true},
        {"{app=~\".+\"} | trace_id=\"0000000000000002000000009e3779b2\"", 0, true},
        {"{app=~\".+\"} |= \"0000000000000002000000009e3779b1\"", 0, true}, // of lines, not of metadata
        {"{app=\"p4\"} |= \"link up\"", 2000, false},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        is_int(count(st, cases[i].query), cases[i].entries, cases[i].query);
        ok((filtered > 0) == cases[i].passes_by, "`%s` passes by %zu runs", cases[i].query, (size_t)filtered);
    }
}

int main(void)
{
    struct store *st;
    struct err err;
    const struct store_options options = {.dir = tap_dir(), .decode = test_decode};
    must(store_open(&options, &st, &err), &err);
    fill(st);
    asks(st);
    store_close(st);
    return tap_done();
}
