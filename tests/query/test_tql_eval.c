/* test_tql_eval.c -- tql_eval.cases over the traces of traceql.md 17, assembled in memory. */
#include "cases.h"
#include "tap.h"
#include "tql_fixture.h"

#include "base/limits.h"
#include "query/traceql/tql_result.h"

static struct arena fixture_arena;
static struct span fixture[FIXTURE_SPANS];

static bool run_on(const struct traceql *q, uint32_t number, bool attributes, struct arena *a, struct buf *out, struct err *err)
{
    struct tql_trace t;
    struct tql_spansets sets;
    struct found_trace found;
    struct arena scratch;
    arena_init(&scratch, MIB);
    tql_trace_begin(&t, fixture + fixture_first[number], fixture_first[number + 1] - fixture_first[number], a, &scratch);
    bool good = tql_sets_run(&q->pipeline, &t, &sets, err);
    if (good && sets.count > 0) {
        tql_result_trace(&t, a, &found);
        tql_result_sets(tql_shown_new(q, a), &t, &sets, 100, a, &found);
        fixture_print(&found, attributes, out);
    }
    arena_done(&scratch);
    return good;
}

static void run(struct slice input, struct buf *out)
{
    struct arena a;
    struct traceql *query = NULL;
    struct err err;
    bool syntax, attributes = slice_starts(input, SLICE("attrs "));
    arena_init(&a, 64 * MIB);
    if (attributes)
        input = slice_from(input, 6);
    bool good = traceql_parse(input, &a, &query, &syntax, &err);
    for (uint32_t i = FIXTURE_TRACES; good && i-- > 0;)
        good = run_on(query, i, attributes, &a, out, &err);
    if (!good) {
        buf_reset(out);
        buf_put_cstr(out, err.text);
    }
    traceql_free(query);
    arena_done(&a);
}

int main(int argc, char **argv)
{
    (void)argc;
    arena_init(&fixture_arena, MIB);
    fixture_make(&fixture_arena, fixture);
    ok(cases_run(argv[1], run) > 100, "the table was read");
    arena_done(&fixture_arena);
    return tap_done();
}
