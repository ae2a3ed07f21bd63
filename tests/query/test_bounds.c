/*
 * test_bounds.c -- what bounds a query from inside: its memory, and the time that patterns may take. Each with room and
 * without.
 */
#include "batches.h"
#include "tap.h"

#include "base/limits.h"
#include "query/crew.h"
#include "query/detect.h"
#include "query/patterns.h"
#include "query/query.h"

#include <stdio.h>
#include <stdlib.h>

enum { ENTRIES = 4000 };

static struct store *make_store(const char *dir)
{
    struct err err;
    struct store *st;
    struct store_options options = {.dir = dir, .decode = test_decode, .sync_off = true};
    must(store_open(&options, &st, &err), &err);
    struct test_batch b;
    uint32_t added;
    test_batch_init(&b, "t");
    for (int i = 0; i < ENTRIES; i++) {
        char line[128];
        (void)snprintf(line, sizeof line, "request=%d path=/a/%d took %d ms with some words behind it", i, i % 7, i);
        test_batch_add(&b, "{app=\"a\"}", 1000 + i, line, NULL);
    }
    must(test_batch_append(st, &b, &added, &err), &err);
    test_batch_done(&b);
    return st;
}

// Runs a query in so much memory; the error's code.
static enum err_code run(struct store *st, struct crew *crew, const char *text, size_t bytes_max)
{
    struct err err = {0};
    struct arena a, result;
    struct query *query;
    struct query_result out;
    arena_init(&a, MIB);
    arena_init(&result, bytes_max);
    must(query_parse(slice_cstr(text), &a, &query, &err), &err);
    struct query_range range = {.from_ns = 0, .to_ns = 10000, .limit = 5000};
    if (query_kind(query) == QUERY_METRIC)
        range = (struct query_range){.from_ns = 10000, .to_ns = 10000};
    struct query_context context = {.store = st, .crew = crew, .tenant = SLICE("t"), .arena = &result};
    bool good = query_run(query, &range, &context, &out, &err);
    query_free(query);
    arena_done(&result);
    arena_done(&a);
    return good ? ERR_NONE : err.code;
}

static void test_memory(struct store *st, struct crew *crew)
{
    static const struct {
        const char *text;
        size_t fits, bytes; // what is enough, what is not
    } table[] = {
        {"{app=\"a\"}", 8 * MIB, 64 * KIB},
        {"{app=\"a\"} | logfmt", 16 * MIB, 64 * KIB},
        {"{app=\"a\"} |= \"nowhere\"", 4 * MIB, KIB},
        {"sum(count_over_time({app=\"a\"} | logfmt [1h]))", 16 * MIB, 4 * KIB},
        {"sum by (request) (count_over_time({app=\"a\"} | logfmt [1h])) > 1e9", 16 * MIB, 256 * KIB},
        {"quantile_over_time(0.5, {app=\"a\"} | logfmt | unwrap request [1h]) by (app)", 16 * MIB, 16 * KIB},
    };
    for (size_t i = 0; i < COUNT_OF(table); i++) {
        ok(run(st, crew, table[i].text, table[i].fits) == ERR_NONE, "%s: %zu KiB are enough", table[i].text, table[i].fits / KIB);
        enum err_code code = run(st, crew, table[i].text, table[i].bytes);
        ok(code == ERR_LIMIT, "%zu KiB are not, which is an error of its own: %d", table[i].bytes / KIB, code);
    }
}

static void test_patterns(struct store *st, struct crew *crew, int64_t budget_ns, bool sampled, const char *name)
{
    struct err err;
    struct arena a;
    struct query_selector selector;
    struct log_patterns out;
    arena_init(&a, 64 * MIB);
    must(query_selector_parse(SLICE("{app=\"a\"}"), false, &a, &selector, &err), &err);
    struct query_context context = {.store = st, .crew = crew, .tenant = SLICE("t"), .arena = &a};
    must(query_patterns(&context, &selector, 0, 10000, 10000, budget_ns, &out, &err), &err);
    uint64_t total = 0;
    for (size_t i = 0; i < out.count; i++)
        total += out.items[i].total;
    ok(out.sampled == sampled && (total == ENTRIES) == !sampled, "%s: %llu of %d lines", name, (unsigned long long)total, ENTRIES);
    query_selector_done(&selector);
    arena_done(&a);
}

static void test_detected(struct store *st, struct crew *crew, int64_t budget_ns, bool sampled, const char *name)
{
    struct err err;
    struct arena a;
    struct query *query;
    struct detected_fields out;
    arena_init(&a, 64 * MIB);
    must(query_parse(SLICE("{app=\"a\"}"), &a, &query, &err), &err);
    struct query_range range = {.from_ns = 0, .to_ns = 10000, .limit = 50};
    struct query_context context = {.store = st, .crew = crew, .tenant = SLICE("t"), .arena = &a};
    must(query_detect_fields(query, &range, &context, 100, budget_ns, &out, &err), &err);
    ok(out.sampled == sampled && (out.count > 0) == !sampled, "%s: %zu fields of %llu lines", name, out.count, (unsigned long long)out.lines);
    query_free(query);
    arena_done(&a);
}

int main(void)
{
    char dir[] = "/tmp/mstore-bounds-XXXXXX", command[64];
    must(mkdtemp(dir) != NULL, NULL);
    struct store *st = make_store(dir);
    struct crew *crew = crew_new(1);
    test_memory(st, crew);
    test_memory(st, NULL);
    test_patterns(st, crew, QUERY_SAMPLE_NS * 60, false, "patterns with time for all lines");
    test_patterns(st, crew, -1, true, "patterns without time");
    test_detected(st, crew, QUERY_SAMPLE_NS * 60, false, "fields with time for all lines");
    test_detected(st, crew, -1, true, "fields without time");
    crew_free(crew);
    store_close(st);
    (void)snprintf(command, sizeof command, "rm -r %s", dir);
    must(system(command) == 0, NULL);
    return tap_done();
}
