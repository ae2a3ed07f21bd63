/* test_retention.c -- what has expired is not answered, and leaves the disk whole segment by whole segment. */
#include "batches.h"
#include "tap.h"

#include "base/clock.h"
#include "base/fs.h"
#include "base/limits.h"
#include "base/metric.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define NOW_NS (INT64_C(1700000000) * NS_PER_S)
#define DAY(n) ((n) * NS_PER_DAY)

static char dir[512];

static struct store *open_store(const struct store_options *with)
{
    struct err err;
    struct store *st;
    struct store_options options = *with;
    options.dir = dir;
    options.decode = test_decode;
    must(store_open(&options, &st, &err), &err);
    return st;
}

static void new_dir(const char *name)
{
    (void)snprintf(dir, sizeof dir, "%s/%s", tap_dir(), name);
}

static void push(struct store *st, const char *labels, int64_t time_ns, const char *line)
{
    struct err err;
    must(test_push(st, "t", labels, time_ns, line, &err), &err);
}

static void seal(struct store *st)
{
    struct err err;
    must(store_flush(st, &err), &err);
}

static bool count_file(void *ctx, const char *name, struct err *err)
{
    (void)err;
    *(int *)ctx += strstr(name, ".seg") != NULL;
    return true;
}

static int files(void)
{
    char path[600];
    int count = 0;
    struct err err;
    (void)snprintf(path, sizeof path, "%s/segments", dir);
    must(fs_list(path, count_file, &count, &err), &err);
    return count;
}

static bool answers(struct store *st, const char *line)
{
    struct buf dump;
    buf_init(&dump, 0);
    test_dump(st, "t", INT64_MIN, INT64_MAX, &dump);
    bool found = slice_find(buf_slice(&dump), slice_cstr(line)) != SIZE_MAX;
    buf_done(&dump);
    return found;
}

static void test_whole_segments_go_when_their_youngest_entry_has_expired(void)
{
    struct store_options with = {.retention = {.period_ns = DAY(14)}};
    new_dir("whole");
    clock_set_wall_ns(NOW_NS);
    struct store *st = open_store(&with);
    push(st, "{a=\"1\"}", NOW_NS - DAY(2), "older");
    push(st, "{a=\"1\"}", NOW_NS - DAY(1), "younger");
    seal(st);
    push(st, "{a=\"1\"}", NOW_NS, "other");
    seal(st);
    clock_set_wall_ns(NOW_NS + DAY(12));
    ok(answers(st, "older"), "an entry of exactly its period's age is answered");
    clock_set_wall_ns(NOW_NS + DAY(12) + 1);
    ok(!answers(st, "older"), "one nanosecond later it is not");
    ok(answers(st, "younger"), "its neighbour in the segment is");
    store_upkeep(st);
    is_int(files(), 2, "a segment with one living entry stays");
    clock_set_wall_ns(NOW_NS + DAY(13));
    store_upkeep(st);
    is_int(files(), 2, "also in the last nanosecond of its youngest entry");
    clock_set_wall_ns(NOW_NS + DAY(13) + 1);
    store_upkeep(st);
    is_int(files(), 1, "then it goes");
    ok(answers(st, "other"), "the other is still answered");
    store_close(st);
    st = open_store(&with);
    is_int(files(), 1, "and nothing comes back at the next start");
    ok(answers(st, "other") && !answers(st, "younger"), "nor in answers");
    store_close(st);
    clock_set_wall_ns(0);
}

static bool is_dev(const void *regex, struct slice value)
{
    (void)regex;
    return slice_eq(value, SLICE("dev"));
}

static void test_rules_decide_by_stream(void)
{
    static const struct label_matcher dev[] = {{SLICE("env"), MATCH_RE, SLICE("dev"), is_dev, NULL}};
    static const struct label_matcher audit[] = {{SLICE("job"), MATCH_EQ, SLICE("audit"), NULL, NULL}};
    static const struct retention_rule rules[] = {
        {.tenant = SLICE("other"), .period_ns = 1},
        {.matchers = audit, .matchers_count = 1, .period_ns = 0},
        {.matchers = dev, .matchers_count = 1, .period_ns = DAY(1)},
    };
    struct store_options with = {.retention = {DAY(14), rules, COUNT_OF(rules)}};
    new_dir("rules");
    clock_set_wall_ns(NOW_NS);
    struct store *st = open_store(&with);
    push(st, "{env=\"dev\"}", NOW_NS, "of dev");
    push(st, "{env=\"dev\", job=\"audit\"}", NOW_NS, "of both");
    push(st, "{env=\"prod\"}", NOW_NS, "of none");
    seal(st);
    push(st, "{env=\"dev\"}", NOW_NS, "dev alone");
    seal(st);
    clock_set_wall_ns(NOW_NS + DAY(1) + 1);
    ok(!answers(st, "of dev") && !answers(st, "dev alone"), "a rule's streams expire by it");
    ok(answers(st, "of both"), "the first rule that a stream satisfies decides");
    ok(answers(st, "of none"), "streams of no rule follow the default; rules of other tenants do not count");
    store_upkeep(st);
    is_int(files(), 1, "a segment whose streams have all expired by their rules goes early");
    clock_set_wall_ns(NOW_NS + DAY(4000));
    store_upkeep(st);
    ok(answers(st, "of both") && !answers(st, "of none"), "0 keeps for ever");
    store_close(st);
    clock_set_wall_ns(0);
}

static void test_the_oldest_go_above_the_cap(void)
{
    new_dir("cap");
    struct store_options with = {0};
    struct store *st = open_store(&with);
    char line[32];
    static const int order[] = {2, 1, 3}; // fewer than compaction joins
    for (int i = 0; i < 3; i++) {
        (void)snprintf(line, sizeof line, "line %d", order[i]);
        push(st, "{a=\"1\"}", order[i], line);
        seal(st);
    }
    struct store_stats stats;
    store_stats(st, &stats);
    store_close(st);
    with.disk_bytes_max = stats.segment_bytes + stats.wal_bytes;
    st = open_store(&with);
    store_upkeep(st);
    is_int(files(), 3, "exactly the cap is not above it");
    store_close(st);
    with.disk_bytes_max--;
    st = open_store(&with);
    store_upkeep(st);
    is_int(files(), 2, "one byte above it a segment goes");
    ok(!answers(st, "line 1") && answers(st, "line 2"), "the one whose entries are the oldest, not the one sealed first");
    store_close(st);
    with.disk_bytes_max = 1;
    st = open_store(&with);
    store_upkeep(st);
    is_int(files(), 1, "the last one stays");
    ok(answers(st, "line 3"), "it is the newest");
    push(st, "{a=\"1\"}", 9, "after");
    ok(answers(st, "after"), "and pushes go on");
    store_close(st);
}

static void test_a_view_reads_what_went_meanwhile(void)
{
    struct err err;
    struct arena a;
    new_dir("view");
    struct store_options with = {0};
    struct store *st = open_store(&with);
    for (int i = 0; i < 2; i++) {
        push(st, "{a=\"1\"}", i, "x");
        seal(st);
    }
    store_close(st);
    with.disk_bytes_max = 1;
    st = open_store(&with); // nothing is open yet
    arena_init(&a, MIB);
    struct view *v;
    struct view_selection sel;
    must(view_begin(st, SLICE("t"), &v, &err), &err);
    must(view_select(v, NULL, 0, INT64_MIN, INT64_MAX, &a, &sel, &err), &err);
    view_settle(v);
    store_upkeep(st);
    is_int(files(), 1, "a segment goes while a view holds it");
    struct run_loader *loader = run_loader_new(v);
    struct run_entries e;
    uint32_t count = 0;
    for (uint32_t i = 0; i < sel.runs_count; i++)
        count += run_load(loader, &sel.runs[i], VIEW_LINES, &e, &err) ? e.count : 0;
    is_int(count, 2, "which reads it to its end");
    run_loader_free(loader);
    view_end(v);
    arena_done(&a);
    store_close(st);
}

static void test_streams_stay_known_while_a_view_needs_them(void)
{
    struct err err;
    struct arena a;
    new_dir("sweep");
    struct store_options with = {.retention = {.period_ns = DAY(1)}};
    clock_set_wall_ns(NOW_NS);
    struct store *st = open_store(&with);
    push(st, "{a=\"gone\"}", NOW_NS, "x");
    seal(st);
    arena_init(&a, MIB);
    struct view *v;
    struct view_selection sel;
    struct store_stats stats;
    struct slice labels;
    must(view_begin(st, SLICE("t"), &v, &err), &err);
    must(view_select(v, NULL, 0, INT64_MIN, INT64_MAX, &a, &sel, &err), &err);
    view_settle(v);
    clock_set_wall_ns(NOW_NS + DAY(1) + 1);
    store_upkeep(st);
    store_stats(st, &stats);
    ok(stats.segments_count == 0 && stats.streams_count == 1, "a stream whose segment went stays known to a view that began before");
    ok(view_labels(v, &sel.streams[0], &a, &labels, &err), "which asks for its labels");
    view_end(v);
    store_upkeep(st);
    store_stats(st, &stats);
    is_int((int64_t)stats.streams_count, 0, "when the view has ended it goes");
    push(st, "{a=\"gone\"}", NOW_NS + DAY(1), "again");
    seal(st);
    ok(answers(st, "again"), "and may come back");
    arena_done(&a);
    store_close(st);
    clock_set_wall_ns(0);
}

static void test_low_water_refuses_pushes(void)
{
    struct err err;
    uint64_t free_bytes, total_bytes;
    new_dir("low");
    must(fs_space(tap_dir(), &free_bytes, &total_bytes, &err), &err);
    struct store_options with = {.disk_low_bytes = total_bytes + 1};
    struct store *st = open_store(&with);
    ok(!test_push(st, "t", "{a=\"1\"}", 1, "x", &err) && err.code == ERR_FULL, "below the mark a push is refused: %s", err.text);
    ok(!store_writable(st, &err) && err.code == ERR_FULL, "which shows as not writable");
    struct store_stats stats;
    store_stats(st, &stats);
    ok(stats.disk_low && stats.disk_free_bytes > 0, "and in the statistics");
    store_close(st);
    with.disk_low_bytes = 1;
    st = open_store(&with);
    ok(test_push(st, "t", "{a=\"1\"}", 1, "x", &err), "above it pushes are taken");
    ok(store_writable(st, &err), "and the store is writable");
    store_close(st);
}

int main(void)
{
    test_whole_segments_go_when_their_youngest_entry_has_expired();
    test_rules_decide_by_stream();
    test_the_oldest_go_above_the_cap();
    test_a_view_reads_what_went_meanwhile();
    test_streams_stay_known_while_a_view_needs_them();
    test_low_water_refuses_pushes();
    return tap_done();
}
