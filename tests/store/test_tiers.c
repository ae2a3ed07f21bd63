/* test_tiers.c -- which segments are joined: sizes in KiB, left to right by age. */
#include "tap.h"

#include "base/clock.h"
#include "base/limits.h"
#include "store/tiers.h"

#include <stdio.h>
#include <stdlib.h>

enum { SEGMENTS_MAX = 200 };

struct input {
    struct tier_segment s[SEGMENTS_MAX];
    size_t count;
};

// "10 20x3 !5": sizes, repeated, fixed.
static struct input input_of(const char *text)
{
    struct input in = {0};
    for (const char *p = text; *p != '\0';) {
        bool fixed = *p == '!';
        char *end;
        uint64_t kib = strtoull(p + fixed, &end, 10);
        unsigned long times = *end == 'x' ? strtoul(end + 1, &end, 10) : 1;
        for (; times > 0; times--)
            in.s[in.count++] = (struct tier_segment){.file_bytes = kib * KIB, .streams = 1, .fixed = fixed};
        p = *end == ' ' ? end + 1 : end;
    }
    return in;
}

static void picks(const char *text, size_t want_first, size_t want_count, const char *why)
{
    struct input in = input_of(text);
    size_t first = 0, count = 0;
    (void)tiers_pick(in.s, in.count, &first, &count);
    if (!ok(count == want_count && (count == 0 || first == want_first), "`%s`: %s", text, why))
        printf("# got %zu from %zu on\n", count, first);
}

int main(void)
{
    picks("", 0, 0, "nothing of nothing");
    picks("1 1 1", 0, 0, "three are too few");
    picks("1 1 1 1", 0, 4, "four are joined");
    picks("1x64", 0, 64, "as many as a header can name");
    picks("1x65", 0, 64, "and no more");
    picks("900 1 1 1", 0, 0, "small ones are not worth the rewrite of a large neighbour");
    picks("900 1 1 1 1", 1, 4, "they are joined among themselves");
    picks("900 450 300 150", 0, 4, "a large one is rewritten when it is half of the result");
    picks("900 450 300 149", 0, 0, "not when it is more");
    picks("2000x4 1x4", 4, 4, "the lowest tier goes first");
    picks("2000x4", 0, 4, "then the next");
    picks("262143x4", 0, 0, "what four would exceed the limit of the output by");
    picks("262144x4", 0, 0, "what has the full size stays");
    picks("1 1 !1 1 1", 0, 0, "a fixed one parts its neighbours");
    picks("1 !1 1 1 1 1 1", 2, 5, "those on one side are joined");

    struct input in = input_of("131072x4");
    size_t first, count;
    for (int i = 0; i < 4; i++)
        in.s[i].max_ns = i * (NS_PER_DAY - 1) / 3;
    ok(tiers_pick(in.s, 4, &first, &count) && count == 4, "four of one day are joined up to the limit of the output");
    in.s[0].file_bytes++;
    ok(!tiers_pick(in.s, 4, &first, &count), "one byte above it they are not");
    in.s[0].file_bytes--;
    in.s[3].max_ns += 1 + NS_PER_DAY;
    ok(!tiers_pick(in.s, 4, &first, &count), "nor when one is of another day");
    in = input_of("8192x4");
    in.s[3].max_ns = 100 * NS_PER_DAY;
    ok(tiers_pick(in.s, 4, &first, &count) && count == 4, "small ones are joined whatever their days");
    in.s[3].file_bytes++;
    ok(!tiers_pick(in.s, 4, &first, &count), "up to a size");

    in = input_of("1x4");
    in.s[0].streams = COMPACT_STREAMS_MAX - 3;
    ok(tiers_pick(in.s, 4, &first, &count) && count == 4, "streams up to their limit");
    in.s[0].streams++;
    ok(!tiers_pick(in.s, 4, &first, &count), "and not above it");
    in = input_of("1x4");
    in.s[3].spans = COMPACT_SPANS_MAX;
    ok(tiers_pick(in.s, 4, &first, &count) && count == 4, "spans up to theirs");
    in.s[0].spans = 1;
    ok(!tiers_pick(in.s, 4, &first, &count), "and not above it");
    return tap_done();
}
