/* test_params_trace.c -- what requests to the trace endpoints ask for, and how they are refused: traces-http.md 12.1, 13.1, 13.4,
 * 14, 15.1, 19. */
#include "tap.h"

#include "base/clock.h"
#include "base/limits.h"
#include "server/params_trace.h"

#include <inttypes.h>
#include <stdio.h>

#define NOW INT64_C(1793500000000000000)
#define HOURS(n) ((n) * NS_PER_HOUR)

static struct arena arena;

static struct params read_params(const char *text)
{
    struct params p;
    struct err err;
    must(params_parse(slice_cstr(text), &arena, &p, &err), &err);
    return p;
}

// `want`: what was read, or the error's text.
static void check(const char *what, const char *input, bool good, const char *read, const struct err *err, const char *want)
{
    is_text(slice_cstr(good ? read : err->text), want, arena_printf(&arena, "%s `%.100s`", what, input));
}

static void test_ids(void)
{
    static const struct {
        const char *text, *want;
    } table[] = {
        {"00112233445566778899aabbccddeeff", "00112233445566778899aabbccddeeff"},
        {"112233445566778899AABBCCDDEEFF", "00112233445566778899aabbccddeeff"},
        {"1", "00000000000000000000000000000001"},
        {"01", "00000000000000000000000000000001"},
        {"abc", "00000000000000000000000000000abc"},
        {"0", "00000000000000000000000000000000"},
        {"xyz", "trace IDs can only contain hex characters: invalid character 'x' at position 1"},
        {"12g", "trace IDs can only contain hex characters: invalid character 'g' at position 3"},
        {"1\xc3\xa9", "trace IDs can only contain hex characters: invalid character '\xc3\xa9' at position 2"},
        {"1\xff", "trace IDs can only contain hex characters: invalid character '\xef\xbf\xbd' at position 2"},
        {"11111111111111111111111111111111", "11111111111111111111111111111111"},
        {"111111111111111111111111111111111", "trace IDs can't be larger than 128 bits"},
    };
    for (size_t i = 0; i < COUNT_OF(table); i++) {
        uint8_t id[TRACE_ID_BYTES];
        char hex[2 * TRACE_ID_BYTES + 1];
        struct err err;
        bool good = params_trace_id(slice_cstr(table[i].text), id, &err);
        for (size_t k = 0; good && k < sizeof id; k++)
            (void)snprintf(hex + 2 * k, 3, "%02x", id[k]);
        check("ID", table[i].text, good, hex, &err, table[i].want);
    }
}

static void test_hints(void)
{
    static const struct {
        const char *text, *want;
    } table[] = {
        {"", "good"},
        {"start=&end=", "good"},
        {"start=5", "good"},
        {"end=5", "good"},
        {"start=-9&end=-5", "good"},
        {"start=10&end=5", "http parameter start must be before end. received start=10 end=5"},
        {"start=5&end=5", "http parameter start must be before end. received start=5 end=5"},
        {"start=x", "invalid start: strconv.ParseInt: parsing \"x\": invalid syntax"},
        {"end=9223372036854775808", "invalid end: strconv.ParseInt: parsing \"9223372036854775808\": value out of range"},
        {"mode=all", "good"},
        {"mode=none", "invalid value for mode none"},
        {"blockStart=x&rf1After=y&unknown=z", "good"},
    };
    for (size_t i = 0; i < COUNT_OF(table); i++) {
        struct params p = read_params(table[i].text);
        struct err err;
        bool good = params_trace_hints(&p, &err);
        check("by ID", table[i].text, good, "good", &err, table[i].want);
    }
}

static void test_search(void)
{
    static const struct {
        const char *text;
        int64_t range_max_ns;
        const char *want; // seconds before NOW or times, limit, spans, durations
    } table[] = {
        {"", 0, "[-900 0) 20 3 0..0"},
        {"start=&end=&limit=&spss=", 0, "[-900 0) 20 3 0..0"},
        {"start=1793499000&end=1793499600", 0, "[-1000 -400) 20 3 0..0"},
        {"start=0&end=5", 0, "[-1793500000 -1793499995) 20 3 0..0"},
        {"since=30m", 0, "[-1800 0) 20 3 0..0"},
        {"since=30m&start=9&end=5", 0, "[-1800 0) 20 3 0..0"},
        {"since=zz", 0, "error parsing date range: could not parse 'since' parameter: not a valid duration string: \"zz\""},
        {"end=5", 0, "error parsing date range: only one of start and end provided: must provide both or neither"},
        {"start=9", 0, "http parameter start must be before end. received start=9 end=0"},
        {"start=9&end=5", 0, "http parameter start must be before end. received start=9 end=5"},
        {"start=5&end=5", 0, "http parameter start must be before end. received start=5 end=5"},
        {"start=4294967295&end=4294967296", 0,
         "error parsing date range: could not parse 'end' parameter: strconv.ParseUint: parsing \"4294967296\": value out of range"},
        {"start=-1&end=1", 0, "error parsing date range: could not parse 'start' parameter: strconv.ParseUint: parsing \"-1\": invalid syntax"},
        {"start=1000&end=605800", HOURS(168), "[-1793499000 -1792894200) 20 3 0..0"},
        {"start=1000&end=605801", HOURS(168), "range specified by start and end exceeds 168h0m0s. received start=1000 end=605801"},
        {"since=169h", HOURS(168), "range specified by start and end exceeds 168h0m0s. received start=1792891600 end=1793500000"},
        {"limit=1", 0, "[-900 0) 1 3 0..0"},
        {"limit=262144", 0, "[-900 0) 262144 3 0..0"},
        {"limit=262145", 0, "limit 262145 exceeds max limit 262144"},
        {"limit=0", 0, "invalid limit: must be a positive number"},
        {"limit=-1", 0, "invalid limit: strconv.ParseUint: parsing \"-1\": invalid syntax"},
        {"limit=x", 0, "invalid limit: strconv.ParseUint: parsing \"x\": invalid syntax"},
        {"limit=99999999999999999999", 0, "invalid limit: strconv.ParseUint: parsing \"99999999999999999999\": value out of range"},
        {"spss=0", 0, "[-900 0) 20 3 0..0"},
        {"spss=100", 0, "[-900 0) 20 100 0..0"},
        {"q=%7B%7D&spss=101", 0, "spans per span set exceeds 100. received 101"},
        {"spss=x", 0, "invalid spss: strconv.ParseUint: parsing \"x\": invalid syntax"},
        {"minDuration=1.5s&maxDuration=1h2m", 0, "[-900 0) 20 3 1500000000..3720000000000"},
        {"minDuration=1s&maxDuration=1s", 0, "[-900 0) 20 3 1000000000..1000000000"},
        {"minDuration=2s&maxDuration=1s", 0, "invalid maxDuration: must be greater than minDuration"},
        {"minDuration=x", 0, "invalid minDuration: time: invalid duration \"x\""},
        {"maxDuration=5", 0, "invalid maxDuration: time: missing unit in duration \"5\""},
        {"q=%7B%7D&tags=a%3Db", 0, "invalid request: can't specify tags and q in the same query"},
        {"q=&tags=a%3Db", 0, "[-900 0) 20 3 0..0"},
        {"q=%7B%7D&tags=", 0, "[-900 0) 20 3 0..0"},
        {"service.name=cart&limit=5", 0, "[-900 0) 5 3 0..0"},
    };
    for (size_t i = 0; i < COUNT_OF(table); i++) {
        struct params p = read_params(table[i].text);
        struct trace_search_options o;
        struct err err;
        bool good = params_trace_search(&p, NOW, table[i].range_max_ns, &arena, &o, &err);
        const char *read = !good ? "" : arena_printf(&arena, "[%" PRId64 " %" PRId64 ") %u %u %" PRIu64 "..%" PRIu64,
                                                     (o.from_ns - NOW) / NS_PER_S, (o.to_ns - NOW) / NS_PER_S, o.limit,
                                                     o.spans_per_set, o.duration_min_ns, o.duration_max_ns);
        check("search", table[i].text, good, read, &err, table[i].want);
    }
}

static void test_tags(void)
{
    static const struct {
        const char *text, *want;
    } table[] = {
        {"", ""},
        {"  ", ""},
        {"service.name=\"a b\" name=\"GET /x\"", "service.name=<a b> name=<GET /x> "},
        {"a=1  b=two", "a=<1> b=<two> "},
        {"a=\"x\\\"y\\\\z\\n\"", "a=<x\"y\\z\n> "},
        {"key", "key=<> "},
        {"key= other=1", "key=<> other=<1> "},
        {"a=\"\"", "a=<> "},
        {"a=1 a=2", "invalid tags: tag a has been set twice"},
        {"service.name=foo bar=baz=qux", "invalid tags: unexpected '=' at pos 25"},
        {"=a", "invalid tags: unexpected '=' at pos 1"},
        {"a\"b=1", "invalid tags: unexpected '\"' at pos 2"},
        {"a=b\"c", "invalid tags: unexpected '\"' at pos 4"},
        {"a=\"b", "invalid tags: unterminated quoted value at pos 5"},
        {"a=\"b\\", "invalid tags: unterminated quoted value at pos 6"},
    };
    for (size_t i = 0; i < COUNT_OF(table); i++) {
        const struct label *tags;
        uint32_t count;
        struct err err;
        const char *read = "";
        bool good = params_trace_tags(slice_cstr(table[i].text), &arena, &tags, &count, &err);
        for (uint32_t k = 0; good && k < count; k++)
            read = arena_printf(&arena, "%s%.*s=<%.*s> ", read, SLICE_FMT(tags[k].name), SLICE_FMT(tags[k].value));
        check("tags", table[i].text, good, read, &err, table[i].want);
    }
}

static void test_names(void)
{
    static const struct {
        const char *text;
        int64_t range_max_ns;
        const char *want;
    } table[] = {
        {"", 0, "all 0"},
        {"limit=5000&maxStaleValues=x&tag=a", 0, "all 5000"},
        {"limit=x", 0, "all 0"},
        {"limit=-5", 0, "all 0"},
        {"limit=0", 0, "all 0"},
        {"start=5&end=9", 0, "[5 9) 0"},
        {"start=5&end=5", 0, "[5 5) 0"},
        {"start=5", 0, "error parsing date range: only one of start and end provided: must provide both or neither"},
        {"end=5", 0, "error parsing date range: only one of start and end provided: must provide both or neither"},
        {"start=x&end=5", 0, "error parsing date range: could not parse 'start' parameter: strconv.ParseUint: parsing \"x\": invalid syntax"},
        {"start=9&end=5", HOURS(168), "range specified by start and end exceeds 168h0m0s. received start=9 end=5"},
        {"start=9&end=5", 0, "http parameter start must be before end. received start=9 end=5"},
        {"start=0&end=604800", HOURS(168), "[0 604800) 0"},
        {"start=0&end=604801", HOURS(168), "range specified by start and end exceeds 168h0m0s. received start=0 end=604801"},
    };
    for (size_t i = 0; i < COUNT_OF(table); i++) {
        struct params p = read_params(table[i].text);
        struct trace_tags_options o;
        struct err err;
        bool good = params_trace_names(&p, table[i].range_max_ns, &o, &err);
        const char *read = !good                   ? ""
                           : o.to_ns == INT64_MAX ? arena_printf(&arena, "all %u", o.limit)
                                                  : arena_printf(&arena, "[%" PRId64 " %" PRId64 ") %u", o.from_ns / NS_PER_S,
                                                                 o.to_ns / NS_PER_S, o.limit);
        check("names", table[i].text, good, read, &err, table[i].want);
    }
    static const struct {
        const char *text;
        bool all;
        const char *want;
    } scopes[] = {
        {"", true, "1f with intrinsics"},    {"", false, "1f"},
        {"scope=none", true, "1f with intrinsics"}, {"scope=resource", true, "1"},
        {"scope=span", true, "2"},           {"scope=event", true, "4"},
        {"scope=link", true, "8"},           {"scope=instrumentation", true, "10"},
        {"scope=trace", true, "0"},          {"scope=intrinsic", true, "0 with intrinsics"},
        {"scope=intrinsic", false, "0 with intrinsics"}, {"scope=zzz", true, "invalid scope: zzz"},
    };
    for (size_t i = 0; i < COUNT_OF(scopes); i++) {
        struct params p = read_params(scopes[i].text);
        unsigned bits;
        bool intrinsics;
        struct err err;
        bool good = params_trace_scope(&p, scopes[i].all, &bits, &intrinsics, &err);
        const char *read = good ? arena_printf(&arena, "%x%s", bits, intrinsics ? " with intrinsics" : "") : "";
        check("scope", scopes[i].text, good, read, &err, scopes[i].want);
    }
}

static void test_metrics(void)
{
    static const struct {
        const char *text;
        bool instant;
        int64_t range_max_ns;
        const char *want; // (from to] step in ms, exemplars, series
    } table[] = {
        // 15.1: down to the step and one further, up to the step.
        {"start=1000&end=1060&step=30s", false, 0, "(960000 1080000] 30000 100 1000"},
        {"start=1020&end=1080&step=30s", false, 0, "(990000 1080000] 30000 100 1000"},
        {"start=1000&end=1000&step=30s", false, 0, "(960000 1020000] 30000 100 1000"},
        {"start=1000.5&end=1970-01-01T00:17:00Z&step=0.5", false, 0, "(1000000 1020000] 500 100 1000"},
        {"start=1000&end=1060&step=15", false, 0, "(975000 1065000] 15000 100 1000"},
        {"start=17000000000000000&end=17000060000000000&step=1m", false, 0, "(16999920000 17000100000] 60000 100 1000"},
        {"start=7200&end=10800", false, 0, "(7185000 10800000] 15000 100 1000"},
        {"start=0&end=90000", false, 0, "(-300000 90000000] 300000 100 1000"},
        {"start=0&end=604800", false, 0, "(-2400000 604800000] 2400000 100 1000"},
        {"start=0&end=8640000", false, 0, "(-36000000 8640000000] 36000000 100 1000"},
        {"start=0&end=60", false, 0, "(-1000 60000] 1000 100 1000"},
        {"start=0&end=59", false, 0, "(-200 59000] 200 100 1000"},
        {"start=0&end=10", false, 0, "(-50 10000] 50 100 1000"},
        {"start=9&end=5", false, 0, "end must be greater than start"},
        {"start=5&end=5", true, 0, "end must be greater than start"},
        {"start=9&end=5", true, 0, "end must be greater than start"},
        {"start=5&end=9&step=x", true, 0, "(5000 9000] 4000 0 1000"},
        {"start=0&end=10000&step=1s", false, 0, "(-1000 10000000] 1000 100 1000"},
        {"start=0&end=10001&step=1s", false, 0, "step of 1s is too small, minimum step for given range is 1.0001s"},
        {"start=0&end=60&step=0", false, 0, "step of 0s is too small, minimum step for given range is 6ms"},
        {"start=0&end=60&step=-5s", false, 0, "step of -5s is too small, minimum step for given range is 6ms"},
        {"start=0&end=60&step=8784h", false, 0, "(-31622400000 31622400000] 31622400000 100 1000"},
        {"start=0&end=60&step=8784h1s", false, 0, "step of 8784h0m1s is too large, maximum step is 8784h0m0s"},
        {"start=0&end=60&step=", false, 0, "(-1000 60000] 1000 100 1000"},
        {"start=0&end=60&step=x", false, 0, "could not parse 'step' parameter: cannot parse \"x\" to a valid duration"},
        {"start=x", false, 0, "could not parse 'start' parameter: strconv.ParseInt: parsing \"x\": invalid syntax"},
        {"since=x", false, 0, "could not parse 'since' parameter: not a valid duration string: \"x\""},
        {"start=0&end=86340&step=60s", false, HOURS(24), "(-60000 86340000] 60000 100 1000"},
        {"start=0&end=86400&step=60s", false, HOURS(24), "metrics query time range exceeds the maximum allowed duration of 24h0m0s"},
        {"start=0&end=86400", true, HOURS(24), "(0 86400000] 86400000 0 1000"},
        {"start=0&end=86401", true, HOURS(24), "metrics query time range exceeds the maximum allowed duration of 24h0m0s"},
        {"start=0&end=60&exemplars=5", false, 0, "(-1000 60000] 1000 5 1000"},
        {"start=0&end=60&exemplars=0", false, 0, "(-1000 60000] 1000 100 1000"},
        {"start=0&end=60&exemplars=101", false, 0, "(-1000 60000] 1000 100 1000"},
        {"start=0&end=60&exemplars=x&maxSeries=x", false, 0, "(-1000 60000] 1000 100 1000"},
        {"start=0&end=60&maxSeries=7", false, 0, "(-1000 60000] 1000 100 7"},
        {"start=0&end=60&maxSeries=5000", false, 0, "(-1000 60000] 1000 100 1000"},
        // As far apart as times can be.
        {"start=-9223372036854775808&end=9223372036854775807&step=8784h", false, 0, "(-31622400000 9202118400000] 31622400000 100 1000"},
    };
    for (size_t i = 0; i < COUNT_OF(table); i++) {
        struct params p = read_params(table[i].text);
        struct trace_metrics_options o;
        struct err err;
        bool good = params_trace_metrics(&p, NOW, table[i].instant, table[i].range_max_ns, &o, &err);
        const char *read = !good ? "" : arena_printf(&arena, "(%" PRId64 " %" PRId64 "] %" PRId64 " %u %u", o.from_ns / NS_PER_MS,
                                                     o.to_ns / NS_PER_MS, o.step_ns / NS_PER_MS, o.exemplars_max, o.series_max);
        check(table[i].instant ? "instant" : "range", table[i].text, good, read, &err, table[i].want);
        if (good)
            ok(o.instant == table[i].instant, "and knows which");
    }
    struct params p = read_params("");
    struct trace_metrics_options o;
    struct err err;
    must(params_trace_metrics(&p, NOW, true, 0, &o, &err), &err);
    ok(o.from_ns == NOW - NS_PER_HOUR && o.to_ns == NOW, "an hour, where nothing is said");
}

int main(void)
{
    arena_init(&arena, 16 * MIB);
    test_ids();
    test_hints();
    test_search();
    test_tags();
    test_names();
    test_metrics();
    arena_done(&arena);
    return tap_done();
}
