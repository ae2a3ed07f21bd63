/* test_params.c -- what requests ask for: times, limits, steps, escapes, paths, compression. */
#include "tap.h"

#include "base/clock.h"
#include "base/limits.h"
#include "server/gzip.h"
#include "server/params.h"
#include "server/uri.h"

#define NOW INT64_C(1793500000000000000)

static void test_times(void)
{
    static const struct {
        const char *text;
        int64_t ns; // -1: an error
        const char *error;
    } table[] = {
        {"start=1793491200", 1793491200000000000, NULL},
        {"start=1793491200000000001", 1793491200000000001, NULL},
        {"start=1793491200.5", 1793491200500000000, NULL},
        {"start=1793491200.", 1793491200000000000, NULL},
        {"start=2026-11-01T00:00:00Z", 1793491200000000000, NULL},
        {"start=2026-11-01T00:00:00.25%2B00:00", 1793491200250000000, NULL},
        {"", NOW - NS_PER_HOUR, NULL},
        {"since=2h", NOW - 2 * NS_PER_HOUR, NULL},
        {"start=abc", -1, "could not parse 'start' parameter: strconv.ParseInt: parsing \"abc\": invalid syntax"},
        {"since=abc", -1, "could not parse 'since' parameter: not a valid duration string: \"abc\""},
        {"start=%zz", -1, "invalid URL escape \"%zz\""},
        {"a=1;b=2", -1, "invalid semicolon separator in query"},
    };
    for (size_t i = 0; i < COUNT_OF(table); i++) {
        struct arena a;
        struct params p;
        struct params_range r = {0};
        struct err err;
        arena_init(&a, MIB);
        bool good = params_parse(slice_cstr(table[i].text), &a, &p, &err) && params_range(&p, NOW, &r, &err);
        if (table[i].ns >= 0)
            ok(good && r.from_ns == table[i].ns && r.to_ns == NOW, "start by `%s`", table[i].text);
        else if (ok(!good, "`%s` is refused", table[i].text))
            is_text(slice_cstr(err.text), table[i].error, "with Loki's words");
        arena_done(&a);
    }
}

static void test_steps(void)
{
    static const struct {
        const char *text;
        int64_t range_ns, step_ns; // -1: an error
    } table[] = {{"", 3600 * NS_PER_S, 14 * NS_PER_S}, {"", NS_PER_S, NS_PER_S},         {"step=15s", NS_PER_HOUR, 15 * NS_PER_S},
                 {"step=0.5", NS_PER_HOUR, 500 * NS_PER_MS}, {"step=1m30s", NS_PER_HOUR, 90 * NS_PER_S}, {"step=0", NS_PER_HOUR, -1},
                 {"step=-1s", NS_PER_HOUR, -1}, {"step=1", 11000 * NS_PER_S, NS_PER_S}, {"step=1", 11001 * NS_PER_S, -1}};
    for (size_t i = 0; i < COUNT_OF(table); i++) {
        struct arena a;
        struct params p;
        struct err err;
        int64_t step_ns = 0;
        struct params_range r = {0, table[i].range_ns};
        arena_init(&a, MIB);
        must(params_parse(slice_cstr(table[i].text), &a, &p, &err), &err);
        bool good = params_step(&p, &r, &step_ns, &err);
        ok(table[i].step_ns < 0 ? !good : good && step_ns == table[i].step_ns, "step by `%s`", table[i].text);
        arena_done(&a);
    }
    struct params_range r = {61 * NS_PER_S, 119 * NS_PER_S};
    params_align(&r, 60 * NS_PER_S);
    ok(r.from_ns == 60 * NS_PER_S && r.to_ns == 120 * NS_PER_S, "ranges widen to multiples of the step");
    struct err err;
    ok(params_length_ok(&(struct params_range){0, QUERY_LENGTH_NS_MAX}, &err), "721 hours are allowed");
    ok(!params_length_ok(&(struct params_range){0, QUERY_LENGTH_NS_MAX + 1}, &err), "a nanosecond more is not");
}

static void test_paths(void)
{
    struct arena a;
    struct slice out;
    struct err err;
    arena_init(&a, MIB);
    is_text(uri_clean(SLICE("/a//b/./c/../d"), &a), "/a/b/d", "paths are cleaned");
    is_text(uri_clean(SLICE("/a/b/"), &a), "/a/b/", "a trailing slash stays");
    struct uri u = uri_split(SLICE("http://h:1/p?x=1?2"));
    is_text(u.path, "/p", "the host of an absolute target is left away");
    is_text(u.query, "x=1?2", "the first question mark splits");
    ok(uri_unescape(SLICE("a%20b+c"), true, &a, &out, &err), "escapes are undone");
    is_text(out, "a b c", "with blanks for plus signs");
    ok(!uri_unescape(SLICE("%4"), false, &a, &out, &err), "a cut escape is refused");
    arena_done(&a);
}

static void test_compression_is_asked_for(void)
{
    ok(gzip_wanted(SLICE("gzip")) && gzip_wanted(SLICE("deflate, gzip;q=0.5")), "gzip is named");
    ok(!gzip_wanted(SLICE("")) && !gzip_wanted(SLICE("*")) && !gzip_wanted(SLICE("gzip;q=0")), "or it is not");
}

int main(void)
{
    test_times();
    test_steps();
    test_paths();
    test_compression_is_asked_for();
    return tap_done();
}
