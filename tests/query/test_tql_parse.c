/*
 * test_tql_parse.c -- tql_parse.cases: a TraceQL query, then its canonical print or its error. What prints parses to the
 * same print. And the limits of text, depth, chains and regexes, on both sides.
 */
#include "cases.h"
#include "tap.h"

#include "base/limits.h"
#include "query/traces.h"

static bool print(struct slice text, struct buf *out)
{
    struct arena a;
    struct traceql *query = NULL;
    struct err err;
    bool syntax;
    arena_init(&a, 64 * MIB);
    bool good = traceql_parse(text, &a, &query, &syntax, &err);
    if (good)
        traceql_print(query, out);
    else
        buf_put_cstr(out, err.text);
    traceql_free(query);
    arena_done(&a);
    return good;
}

static int unstable = 0;

static void run(struct slice input, struct buf *out)
{
    struct buf again;
    buf_init(&again, 0);
    if (print(slice_eq(input, SLICE("(empty)")) ? SLICE("") : input, out) &&
        (!print(buf_slice(out), &again) || !slice_eq(buf_slice(out), buf_slice(&again)))) {
        unstable++;
        (void)tap_text(buf_slice(&again), "", __FILE__, __LINE__, "reparsed");
    }
    buf_done(&again);
}

// `head`, `piece` times `count`, `tail`; whether it parses.
static bool parses(const char *head, const char *piece, uint32_t count, const char *tail)
{
    struct buf text, out;
    buf_init(&text, 0);
    buf_init(&out, 0);
    buf_put_cstr(&text, head);
    for (uint32_t i = 0; i < count; i++)
        buf_put_cstr(&text, piece);
    buf_put_cstr(&text, tail);
    bool good = print(buf_slice(&text), &out);
    buf_done(&text);
    buf_done(&out);
    return good;
}

static void test_limits(void)
{
    ok(parses("{ true }", " ", TRACEQL_TEXT_BYTES_MAX - 8, ""), "text as long as the limit");
    ok(!parses("{ true }", " ", TRACEQL_TEXT_BYTES_MAX - 7, ""), "one byte longer");
    ok(parses("{ ", "-", TRACEQL_DEPTH_MAX, ".a = 1 }"), "signs as deep as the limit");
    ok(!parses("{ ", "-", TRACEQL_DEPTH_MAX + 1, ".a = 1 }"), "one deeper");
    ok(!parses("{ ", "(", 100000, ""), "parentheses without end");
    ok(!parses("", "(", 100000, ""), "parentheses of spansets without end");
    ok(parses("{ .a = 1", " && .b = 2", TRACEQL_TREE_MAX - 2, " }"), "operands as many as the limit");
    ok(!parses("{ .a = 1", " && .b = 2", TRACEQL_TREE_MAX - 1, " }"), "one more");
    ok(parses("{}", " && {}", TRACEQL_TREE_MAX - 1, ""), "spansets as many as the limit");
    ok(!parses("{}", " && {}", TRACEQL_TREE_MAX, ""), "one more");
    ok(parses("{ .a =~ `x`", " || .a =~ `y`", QUERY_REGEXES_MAX - 1, " }"), "regexes as many as the limit");
    ok(!parses("{ .a =~ `x`", " || .a =~ `y`", QUERY_REGEXES_MAX, " }"), "one more");
    ok(!parses("{ .a", " ^ .a", 100000, " }"), "powers without end");
}

static void test_kinds(void)
{
    struct arena a;
    struct traceql *query = NULL;
    struct err err;
    bool syntax;
    arena_init(&a, MIB);
    ok(!traceql_parse(SLICE("{ .a"), &a, &query, &syntax, &err) && syntax, "an error of syntax is told as such");
    ok(!traceql_parse(SLICE("{ name = 1 }"), &a, &query, &syntax, &err) && !syntax, "an error of validation is told as such");
    ok(traceql_parse(SLICE("{} | rate()"), &a, &query, &syntax, &err) && traceql_is_metrics(query), "metrics");
    traceql_free(query);
    ok(traceql_parse(SLICE("{} | count() > 1"), &a, &query, &syntax, &err) && !traceql_is_metrics(query), "search");
    traceql_free(query);
    arena_done(&a);
}

int main(int argc, char **argv)
{
    (void)argc;
    ok(cases_run(argv[1], run) > 150, "the table was read");
    is_int(unstable, 0, "what prints parses to the same");
    test_limits();
    test_kinds();
    return tap_done();
}
