/*
 * test_tql_store.c -- tql_eval.cases, tql_metrics.cases and tql_values.cases through a store: the traces of traceql.md 17 in heads, in segments, and spread over
 * both, sent twice.
 */
#include "batches.h"
#include "cases.h"
#include "tap.h"
#include "tql_fixture.h"

#include "base/limits.h"
#include "query/crew.h"

static struct store *st;
static struct crew *crew;
static struct arena fixture_arena;
static struct span fixture[FIXTURE_SPANS];

static struct store *new_store(const char *name)
{
    struct store *store;
    struct err err;
    const char *dir = arena_printf(&fixture_arena, "%s/%s", tap_dir(), name);
    must(store_open(&(struct store_options){.dir = dir, .decode = test_decode}, &store, &err), &err);
    return store;
}

// Pushes the spans whose letters are given.
static void push(const char *letters)
{
    struct test_batch b;
    struct err err;
    uint32_t added;
    test_batch_init(&b, "t");
    for (; *letters != 0; letters++)
        test_batch_put_span(&b, &fixture[*letters - 'A']);
    must(test_batch_append(st, &b, &added, &err), &err);
    test_batch_done(&b);
}

static void flush(void)
{
    struct err err;
    must(store_flush(st, &err), &err);
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
    struct query_context context = {.store = st, .crew = crew, .tenant = SLICE("t"), .arena = &a};
    struct trace_search_options options = {
        .from_ns = (int64_t)FIXTURE_T0, .to_ns = (int64_t)FIXTURE_T0 + INT64_C(60000000000), .limit = 20, .spans_per_set = 100};
    struct trace_search_result result;
    if (traceql_parse(input, &a, &query, &syntax, &err) && trace_search(query, &options, &context, &result, &err)) {
        for (uint32_t i = 0; i < result.traces_count; i++)
            fixture_print(&result.traces[i], attributes, out);
    } else {
        buf_put_cstr(out, err.text);
    }
    traceql_free(query);
    arena_done(&a);
}

// --- metrics ----------------------------------------------------------------------------------------------

static void put_series(const struct trace_series *s, const struct trace_metrics_options *o, struct buf *out)
{
    buf_put_cstr(out, out->len > 0 ? "; {" : "{");
    for (uint32_t i = 0; i < s->labels.count; i++) {
        buf_put_cstr(out, i == 0 ? "" : ",");
        fixture_print_attribute(&s->labels.items[i], out);
    }
    buf_put_cstr(out, "} ");
    uint32_t next = 0;
    for (int64_t end_ns = o->instant ? o->to_ns : o->from_ns + o->step_ns; end_ns <= o->to_ns; end_ns += o->step_ns) {
        bool there = next < s->samples_count && s->samples[next].time_ms == end_ns / 1000000;
        if (there)
            buf_printf(out, "%.4g", s->samples[next++].value);
        else
            buf_put_byte(out, '-');
        if (end_ns < o->to_ns)
            buf_put_byte(out, '/');
    }
    if (next != s->samples_count)
        buf_put_cstr(out, " and more");
}

static void run_metrics(struct slice input, struct buf *out)
{
    struct arena a;
    struct traceql *query = NULL;
    struct err err;
    bool syntax;
    struct slice only = {0};
    arena_init(&a, 64 * MIB);
    struct trace_metrics_options o = {.from_ns = (int64_t)FIXTURE_T0 - INT64_C(50000000000),
                                      .to_ns = (int64_t)FIXTURE_T0 + INT64_C(70000000000),
                                      .step_ns = INT64_C(30000000000), .exemplars_max = 100};
    if (slice_starts(input, SLICE("only "))) {
        input = slice_from(input, 5);
        only = slice_of(input.ptr, slice_find(input, SLICE(" ")));
        input = slice_from(input, only.len + 1);
    }
    if (slice_starts(input, SLICE("instant "))) {
        o.instant = true;
        o.from_ns = (int64_t)FIXTURE_T0 - INT64_C(1000000000);
        o.to_ns = (int64_t)FIXTURE_T0 + INT64_C(60000000000);
        input = slice_from(input, 8);
    }
    struct query_context context = {.store = st, .crew = crew, .tenant = SLICE("t"), .arena = &a};
    struct trace_metrics_result result;
    if (traceql_parse(input, &a, &query, &syntax, &err) && trace_metrics(query, &o, &context, &result, &err)) {
        for (uint32_t i = 0; i < result.series_count; i++)
            if (only.len == 0 || slice_eq(result.series[i].labels.items[1].key, only))
                put_series(&result.series[i], &o, out);
    } else {
        buf_put_cstr(out, err.text);
    }
    traceql_free(query);
    arena_done(&a);
}

// --- names and values -------------------------------------------------------------------------------------

// `TAG|FILTER`: values; `flat TAG|`: those of old clients; `names|FILTER`: names by scope.
static void run_values(struct slice input, struct buf *out)
{
    struct arena a;
    struct err err;
    arena_init(&a, 64 * MIB);
    size_t bar = slice_find(input, SLICE("|"));
    struct slice tag = slice_of(input.ptr, bar);
    bool flat = slice_starts(tag, SLICE("flat "));
    struct trace_tags_options o = {
        .from_ns = (int64_t)FIXTURE_T0, .to_ns = (int64_t)FIXTURE_T0 + INT64_C(60000000000), .filter = slice_from(input, bar + 1)};
    struct query_context context = {.store = st, .crew = crew, .tenant = SLICE("t"), .arena = &a};
    struct trace_tag_values values;
    struct trace_tags tags;
    if (slice_eq(tag, SLICE("names"))) {
        static const char *const scopes[] = {"resource", "span", "event", "link", "instrumentation"};
        must(trace_tag_names(&o, ~0U, &context, &tags, &err), &err);
        for (int i = 0; i < TRACE_SCOPES_COUNT; i++) {
            buf_printf(out, "%s%s:", i == 0 ? "" : "; ", scopes[i]);
            for (uint32_t n = 0; n < tags.counts[i]; n++)
                buf_printf(out, " %.*s", SLICE_FMT(tags.names[i][n]));
        }
    } else if (flat ? trace_tag_values_flat(&o, slice_from(tag, 5), &context, &values, &err)
                    : trace_tag_values(&o, tag, &context, &values, &err)) {
        for (uint32_t i = 0; i < values.count; i++)
            buf_printf(out, "%s%s %.*s", i == 0 ? "" : ", ", values.items[i].type, SLICE_FMT(values.items[i].text));
    } else {
        buf_put_cstr(out, err.text);
    }
    arena_done(&a);
}

// --- tag search and traces by ID --------------------------------------------------------------------------

static void search(const struct trace_search_options *options, const char *want, const char *what)
{
    struct arena a;
    struct err err;
    struct buf out;
    struct trace_search_result result;
    arena_init(&a, 64 * MIB);
    buf_init(&out, 0);
    struct query_context context = {.store = st, .crew = crew, .tenant = SLICE("t"), .arena = &a};
    must(trace_search(NULL, options, &context, &result, &err), &err);
    for (uint32_t i = 0; i < result.traces_count; i++) {
        fixture_print(&result.traces[i], false, &out);
        buf_printf(&out, "(%.*s,%.*s,%llums)", SLICE_FMT(result.traces[i].root_service), SLICE_FMT(result.traces[i].root_name),
                   (unsigned long long)result.traces[i].duration_ns / 1000000);
    }
    is_text(buf_slice(&out), want, what);
    buf_done(&out);
    arena_done(&a);
}

#define ALL .from_ns = (int64_t)FIXTURE_T0, .to_ns = INT64_MAX, .limit = 20
#define TAGS(...)                                                                                                      \
    .tags = (const struct label[]){__VA_ARGS__}, .tags_count = COUNT_OF(((const struct label[]){__VA_ARGS__}))
#define T1 "T1(web,GET /cart,500ms)"
#define T2 "T2(web,GET /health,2ms)"
#define T3 "T3(<root span not yet received>,,80ms)"

static void test_tags(void)
{
    search(&(struct trace_search_options){ALL}, T3 " " T2 " " T1, "everything");
    search(&(struct trace_search_options){ALL, TAGS({SLICE("service.name"), SLICE("car")})}, T3 " " T1, "a substring");
    search(&(struct trace_search_options){ALL, TAGS({SLICE("service.name"), SLICE("web")}, {SLICE("db.system"), SLICE("sql")})}, T1,
           "different spans satisfy different tags");
    search(&(struct trace_search_options){ALL, TAGS({SLICE("http.status_code"), SLICE("200")})}, T3 " " T2 " " T1,
           "a status code, number or text");
    search(&(struct trace_search_options){ALL, TAGS({SLICE("http.status_code"), SLICE("20")})}, T3, "part of a number is none");
    search(&(struct trace_search_options){ALL, TAGS({SLICE("retry"), SLICE("true")})}, "", "flags are not looked at");
    search(&(struct trace_search_options){ALL, TAGS({SLICE("status.code"), SLICE("error")})}, T1, "a status");
    search(&(struct trace_search_options){ALL, TAGS({SLICE("status.code"), SLICE("other")})}, "", "no status");
    search(&(struct trace_search_options){ALL, TAGS({SLICE("name"), SLICE("render")})}, T1, "a name");
    search(&(struct trace_search_options){ALL, TAGS({SLICE("root.name"), SLICE("GET /")})}, T2 " " T1, "a root's name");
    search(&(struct trace_search_options){ALL, TAGS({SLICE("name"), SLICE("G.T")})}, "", "a point is a point");
    search(&(struct trace_search_options){ALL, .duration_min_ns = 80000000, .duration_max_ns = 100000000}, T3, "a range of durations");
    search(&(struct trace_search_options){ALL, .duration_min_ns = 80000001, .duration_max_ns = 499999999}, "", "between them");
    struct trace_search_options newest = {ALL};
    newest.limit = 2;
    search(&newest, T3 " " T2, "the newest");
    struct trace_search_options early = {ALL};
    early.to_ns = early.from_ns + 1;
    search(&early, T1, "that begin before the end");
    struct trace_search_options late = {ALL};
    late.from_ns += 10 * INT64_C(1000000000) + 2000000;
    late.to_ns = late.from_ns + 1;
    search(&late, T2, "that end at the begin");
}

static void test_by_id(void)
{
    struct arena a;
    struct err err;
    struct trace trace;
    arena_init(&a, 64 * MIB);
    struct query_context context = {.store = st, .crew = crew, .tenant = SLICE("t"), .arena = &a};
    must(trace_by_id(&context, fixture[0].trace_id, &trace, &err), &err);
    is_int(trace.spans_count, 6, "six spans");
    is_int(trace.resources_count, 2, "of two resources");
    is_text(trace.resources[0].resource->service, "web", "the first span's first");
    is_int(trace.resources[0].scopes[0].spans_count, 3, "with three spans");
    is_text(trace.resources[0].scopes[0].spans[2].name, "render", "by start");
    is_text(trace.resources[1].scopes[0].scope->name, "otel-java", "the other's scope");
    static const uint8_t unknown[TRACE_ID_BYTES] = {1};
    must(trace_by_id(&context, unknown, &trace, &err), &err);
    is_int(trace.spans_count, 0, "an unknown trace has none");
    arena_done(&a);
}

// --- exemplars and limits ---------------------------------------------------------------------------------

static void test_exemplars(void)
{
    static const struct {
        const char *query;
        uint32_t wanted, max, least;
    } cases[] = {{"{} | rate()", 100, 100, 3}, {"{} | rate() with(exemplars=1)", 100, 1, 1}, {"{} | rate() with(exemplars=false)", 100, 0, 0},
                 {"{} | rate() with(exemplars=true)", 2, 2, 2}, {"{} | rate()", 0, 0, 0}};
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct arena a;
        struct traceql *query;
        struct err err;
        bool syntax;
        arena_init(&a, 64 * MIB);
        struct query_context context = {.store = st, .crew = crew, .tenant = SLICE("t"), .arena = &a};
        struct trace_metrics_options o = {.from_ns = (int64_t)FIXTURE_T0 - 1000000000, .to_ns = (int64_t)FIXTURE_T0 + INT64_C(59000000000),
                                          .step_ns = INT64_C(20000000000), .exemplars_max = cases[i].wanted};
        struct trace_metrics_result r;
        must(traceql_parse(slice_cstr(cases[i].query), &a, &query, &syntax, &err), &err);
        must(trace_metrics(query, &o, &context, &r, &err), &err);
        const struct trace_series *s = &r.series[0];
        ok(s->exemplars_count >= cases[i].least && s->exemplars_count <= cases[i].max, "%s: %u exemplars", cases[i].query, s->exemplars_count);
        for (uint32_t n = 0; n < s->exemplars_count; n++) {
            const struct trace_exemplar *e = &s->exemplars[n];
            ok(e->labels.count == 1 && slice_eq(e->labels.items[0].key, SLICE("trace:id")) && e->labels.items[0].value.bytes.len == 32 &&
                   e->value > 0 && e->time_ms * 1000000 >= (int64_t)FIXTURE_T0,
               "with an ID, a value and a time");
        }
        traceql_free(query);
        arena_done(&a);
    }
}

// compare() over `count` spans of as many users.
static uint32_t compare_warnings(uint32_t count)
{
    struct arena a;
    struct traceql *query;
    struct err err;
    struct test_batch b;
    uint32_t added;
    bool syntax;
    arena_init(&a, 256 * MIB);
    st = new_store(arena_printf(&fixture_arena, "users%u", count));
    test_batch_init(&b, "t");
    for (uint32_t i = 0; i < count; i++) {
        struct span_attribute user = {SLICE("user"), {.kind = VALUE_INT, .integer = i}};
        test_batch_add_span(&b, &(struct test_span){.trace = 1, .id = i + 1, .service = "s", .name = "n", .start_ns = (int64_t)FIXTURE_T0 + i,
                                                    .duration_ns = 1, .attributes = &user, .attributes_count = 1});
    }
    must(test_batch_append(st, &b, &added, &err), &err);
    test_batch_done(&b);
    flush();
    struct query_context context = {.store = st, .crew = crew, .tenant = SLICE("t"), .arena = &a};
    struct trace_metrics_options o = {.from_ns = (int64_t)FIXTURE_T0 - 1, .to_ns = (int64_t)FIXTURE_T0 + 1000000, .instant = true};
    struct trace_metrics_result r;
    must(traceql_parse(SLICE("{} | compare({ false })"), &a, &query, &syntax, &err), &err);
    must(trace_metrics(query, &o, &context, &r, &err), &err);
    uint32_t warnings = r.warnings.count;
    traceql_free(query);
    arena_done(&a);
    store_close(st);
    return warnings;
}

static void test_limits(void)
{
    is_int(compare_warnings(TRACEQL_COMPARE_VALUES_MAX), 0, "compare() counts as many values as the limit");
    is_int(compare_warnings(TRACEQL_COMPARE_VALUES_MAX + 1), 1, "and says when there are more");
}

static void run_all(char **tables, const char *where)
{
    ok(cases_run(tables[1], run) > 100, "%s: the table was read", where);
    ok(cases_run(tables[2], run_metrics) > 30, "%s: the table of metrics was read", where);
    ok(cases_run(tables[3], run_values) > 30, "%s: the table of values was read", where);
    test_tags();
    test_by_id();
    test_exemplars();
    store_close(st);
}

int main(int argc, char **argv)
{
    (void)argc;
    arena_init(&fixture_arena, MIB);
    fixture_make(&fixture_arena, fixture);
    crew = crew_new(1);
    st = new_store("heads");
    push("ABCDEFGHI");
    run_all(argv, "a head");
    st = new_store("segment");
    push("IHGFEDCBA");
    flush();
    run_all(argv, "a segment");
    st = new_store("spread");
    push("ACE");
    flush();
    push("BDH");
    push("ACE");
    flush();
    push("FGIE");
    run_all(argv, "segments and a head");
    test_limits();
    crew_free(crew);
    arena_done(&fixture_arena);
    return tap_done();
}
