/*
 * test_compact.c -- rewriting segments changes nothing that is answered, and leaves fewer, smaller files; cut short
 * anywhere, it loses nothing, doubles nothing and leaves no orphan after the next start.
 */
#include "batches.h"
#include "tap.h"

#include "base/clock.h"
#include "base/fs.h"
#include "base/limits.h"
#include "base/metric.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define NOW_NS (INT64_C(1700000000) * NS_PER_S)

static char dir[512];

static struct store *open_with(int64_t period_ns)
{
    struct err err;
    struct store *st;
    struct store_options options = {.dir = dir, .decode = test_decode, .retention = {.period_ns = period_ns}};
    must(store_open(&options, &st, &err), &err);
    return st;
}

static void new_dir(const char *name, uint64_t n)
{
    (void)snprintf(dir, sizeof dir, "%s/%s-%" PRIu64, tap_dir(), name, n);
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

struct listed {
    int segments, others;
};

static bool list_file(void *ctx, const char *name, struct err *err)
{
    (void)err;
    struct listed *l = ctx;
    if (strlen(name) == 20 && strcmp(name + 16, ".seg") == 0)
        l->segments++;
    else
        l->others++;
    return true;
}

static struct listed list(void)
{
    char path[2048];
    struct listed l = {0};
    struct err err;
    (void)snprintf(path, sizeof path, "%s/segments", dir);
    must(fs_list(path, list_file, &l, &err), &err);
    return l;
}

static char *dump_of(struct store *st, const char *tenant)
{
    struct buf dump;
    buf_init(&dump, 0);
    test_dump(st, tenant, INT64_MIN, INT64_MAX, &dump);
    buf_put_byte(&dump, 0);
    return (char *)dump.ptr;
}

static void on_problem(void *ctx, const char *text)
{
    (void)ctx;
    printf("# verify: %s\n", text);
}

static bool verifies(void)
{
    struct err err;
    struct store_options options = {.dir = dir, .decode = test_decode};
    struct store_verify_stats stats;
    must(store_verify(&options, on_problem, NULL, NULL, &stats, &err), &err);
    return stats.problems == 0;
}

static void test_many_small_segments_become_few(void)
{
    enum { SEGMENTS = 150 };
    struct err err;
    new_dir("many", 0);
    struct store *st = open_with(0);
    struct buf want;
    buf_init(&want, 0);
    for (int i = 0; i < SEGMENTS; i++) {
        char line[32];
        (void)snprintf(line, sizeof line, "line %d", i);
        push(st, "{a=\"1\"}", 1000 + i, line);
        buf_printf(&want, "{a=\"1\"} %d line %d\n", 1000 + i, i);
        seal(st);
    }
    buf_put_byte(&want, 0);
    store_upkeep(st);
    struct listed l = list();
    ok(l.segments <= 6 && l.others == 0, "%d segments became %d", SEGMENTS, l.segments);
    char *got = dump_of(st, "t");
    ok(strcmp(got, (char *)want.ptr) == 0, "with the same entries");
    free(got);
    struct store_stats stats;
    store_stats(st, &stats);
    is_int((int64_t)stats.segment_entries, SEGMENTS, "each once");
    must(test_push(st, "t", "{a=\"1\"}", 5000, "after", &err), &err);
    seal(st);
    store_close(st);
    ok(verifies(), "the files verify");
    st = open_with(0);
    store_stats(st, &stats);
    is_int((int64_t)stats.segment_entries, SEGMENTS + 1, "also after a restart, with what came later");
    ok(stats.generation_open > SEGMENTS, "numbers of generations go on");
    store_close(st);
    buf_done(&want);
}

// Entries of one time in a known order, over several segments, some of them again.
static void test_order_and_duplicates(void)
{
    new_dir("order", 0);
    struct store *st = open_with(0);
    static const char *const lines[] = {"d", "b", "d", "a", "c", "b", "z", "a"};
    for (int i = 0; i < 8; i++) {
        push(st, "{a=\"1\"}", 7, lines[i]);
        push(st, "{a=\"2\"}", 100 - i, lines[i]);
        seal(st);
    }
    uint64_t duplicates = metric_value(COUNTER_DUPLICATE_ENTRIES);
    store_upkeep(st);
    char *got = dump_of(st, "t");
    is_text(slice_cstr(got),
            "{a=\"1\"} 7 d\n{a=\"1\"} 7 b\n{a=\"1\"} 7 a\n{a=\"1\"} 7 c\n{a=\"1\"} 7 z\n"
            "{a=\"2\"} 93 a\n{a=\"2\"} 94 z\n{a=\"2\"} 95 b\n{a=\"2\"} 96 c\n{a=\"2\"} 97 a\n{a=\"2\"} 98 d\n"
            "{a=\"2\"} 99 b\n{a=\"2\"} 100 d\n",
            "entries of one time stay in the order of their arrival, each once; others are sorted");
    free(got);
    is_int((int64_t)(metric_value(COUNTER_DUPLICATE_ENTRIES) - duplicates), 3, "what went is counted");
    // What is pushed later at the same time comes behind.
    push(st, "{a=\"1\"}", 7, "later");
    seal(st);
    got = dump_of(st, "t");
    ok(strstr(got, "7 z\n{a=\"1\"} 7 later\n") != NULL, "a later generation comes behind a rewritten one");
    free(got);
    store_close(st);
    st = open_with(0);
    got = dump_of(st, "t");
    ok(strstr(got, "7 z\n{a=\"1\"} 7 later\n") != NULL, "also after a restart");
    free(got);
    store_close(st);
}

static void test_metadata_and_tenants_survive(void)
{
    struct err err;
    uint32_t added;
    new_dir("metadata", 0);
    struct store *st = open_with(0);
    for (int i = 0; i < 8; i++) {
        struct test_batch b;
        char set[32], tenant[8];
        (void)snprintf(tenant, sizeof tenant, "t%d", i % 2);
        test_batch_init(&b, tenant);
        for (int n = 0; n < 3; n++) {
            (void)snprintf(set, sizeof set, "{k=\"%d\"}", n == 2 ? i : n);
            test_batch_add(&b, "{a=\"1\"}", i * 10 + n, "x", set);
        }
        must(test_batch_append(st, &b, &added, &err), &err);
        test_batch_done(&b);
        seal(st);
    }
    char *before[2] = {dump_of(st, "t0"), dump_of(st, "t1")};
    store_upkeep(st);
    is_int(list().segments, 1, "segments of several tenants are joined");
    for (int t = 0; t < 2; t++) {
        char *after = dump_of(st, t == 0 ? "t0" : "t1");
        ok(strcmp(before[t], after) == 0, "tenant %d has its entries and their metadata", t);
        free(after);
        free(before[t]);
    }
    store_close(st);
}

static void push_span(struct store *st, const char *tenant, const struct test_span *span)
{
    struct err err;
    struct test_batch b;
    uint32_t added;
    test_batch_init(&b, tenant);
    test_batch_add_span(&b, span);
    must(test_batch_append(st, &b, &added, &err), &err);
    test_batch_done(&b);
}

static char *trace_of(struct store *st, const char *tenant, uint64_t trace)
{
    struct buf dump;
    buf_init(&dump, 0);
    test_dump_trace(st, tenant, trace, &dump);
    buf_put_byte(&dump, 0);
    return (char *)dump.ptr;
}

// Traces whose spans lie in several segments, some of them twice, of two tenants, beside entries.
static void test_spans_survive(void)
{
    enum { TRACES = 5, SEGMENTS = 8 };
    new_dir("spans", 0);
    struct store *st = open_with(0);
    for (uint64_t i = 0; i < SEGMENTS; i++) {
        for (uint64_t t = 1; t <= TRACES; t++) {
            struct test_span span = {.trace = t, .id = i * 10 + t, .parent = i, .service = i % 2 == 0 ? "cart" : "shop",
                                     .name = "GET", .start_ns = (int64_t)(1000 * t - i * 300), .duration_ns = (int64_t)i,
                                     .kind = KIND_SERVER, .status = STATUS_OK};
            push_span(st, t % 2 == 0 ? "t" : "u", &span);
            if (i > 0) { // again, and differing: the first stays
                span.id -= 10;
                span.name = "later";
                push_span(st, t % 2 == 0 ? "t" : "u", &span);
            }
        }
        if (i % 2 == 0)
            push(st, "{a=\"1\"}", (int64_t)i, "x");
        seal(st);
    }
    char *before[TRACES];
    for (uint64_t t = 1; t <= TRACES; t++)
        before[t - 1] = trace_of(st, t % 2 == 0 ? "t" : "u", t);
    uint64_t duplicates = metric_value(COUNTER_DUPLICATE_SPANS);
    store_upkeep(st);
    is_int(list().segments, 1, "segments with spans are joined");
    is_int((int64_t)(metric_value(COUNTER_DUPLICATE_SPANS) - duplicates), TRACES * (SEGMENTS - 1), "spans that came twice go");
    struct store_stats stats;
    store_stats(st, &stats);
    is_int((int64_t)stats.segment_spans, TRACES * SEGMENTS, "the others stay");
    for (uint64_t t = 1; t <= TRACES; t++) {
        char *after = trace_of(st, t % 2 == 0 ? "t" : "u", t);
        ok(strcmp(before[t - 1], after) == 0 && strlen(after) > 100, "trace %d is what it was", (int)t);
        free(after);
        free(before[t - 1]);
    }
    store_close(st);
    ok(verifies(), "the file verifies");
}

static int traced_entries(struct store *st, uint64_t trace)
{
    struct err err;
    struct arena a;
    struct view *v;
    struct view_trace_entry *entries;
    uint32_t count;
    uint8_t id[TRACE_ID_BYTES];
    test_trace_id(trace, id);
    arena_init(&a, 64 * MIB);
    must(view_begin(st, SLICE("t"), &v, &err), &err);
    must(view_trace_entries(v, id, &a, &entries, &count, &err), &err);
    view_end(v);
    arena_done(&a);
    return (int)count;
}

static void test_entries_of_traces_are_still_found(void)
{
    enum { SEGMENTS = 6, ENTRIES = 50 };
    struct err err;
    uint32_t added;
    new_dir("traced", 0);
    struct store *st = open_with(0);
    for (int i = 0; i < SEGMENTS; i++) {
        struct test_batch b;
        test_batch_init(&b, "t");
        for (int n = 0; n < ENTRIES; n++) {
            char set[64];
            (void)snprintf(set, sizeof set, "{trace_id=\"%032x\"}", n % 7 == 6 ? 0 : n % 7 + 1);
            test_batch_add(&b, n % 2 == 0 ? "{a=\"1\"}" : "{a=\"2\"}", i * 1000 + n, "x", set);
        }
        must(test_batch_append(st, &b, &added, &err), &err);
        test_batch_done(&b);
        seal(st);
    }
    int before[8];
    for (int t = 1; t < 8; t++)
        before[t] = traced_entries(st, (uint64_t)t);
    store_upkeep(st);
    is_int(list().segments, 1, "segments with entries of traces are joined");
    ok(before[1] == SEGMENTS * 8 && before[7] == 0, "each trace has its entries");
    bool same = true;
    for (int t = 1; t < 8; t++)
        same = same && traced_entries(st, (uint64_t)t) == before[t];
    ok(same, "and has them still");
    store_close(st);
}

static void test_expired_spans_are_rewritten_away(void)
{
    new_dir("expired-spans", 0);
    clock_set_wall_ns(NOW_NS);
    struct store *st = open_with(14 * NS_PER_DAY);
    struct test_span span = {.trace = 1, .id = 1, .service = "cart", .name = "old", .start_ns = NOW_NS - 13 * NS_PER_DAY};
    push_span(st, "t", &span);
    span = (struct test_span){.trace = 2, .id = 2, .service = "cart", .name = "new", .start_ns = NOW_NS};
    push_span(st, "t", &span);
    seal(st);
    struct store_stats stats;
    clock_set_wall_ns(NOW_NS + NS_PER_DAY + COMPACT_SLACK_NS + 1);
    store_upkeep(st);
    store_stats(st, &stats);
    is_int((int64_t)stats.segment_spans, 1, "an expired span is rewritten away");
    char *got = trace_of(st, "t", 2);
    ok(strstr(got, "new") != NULL, "the other stays");
    free(got);
    store_close(st);
    clock_set_wall_ns(0);
}

static void test_expired_parts_are_rewritten_away(void)
{
    new_dir("expired", 0);
    clock_set_wall_ns(NOW_NS);
    struct store *st = open_with(14 * NS_PER_DAY);
    push(st, "{a=\"1\"}", NOW_NS - 13 * NS_PER_DAY, "old");
    push(st, "{a=\"1\"}", NOW_NS, "new");
    seal(st);
    struct store_stats stats;
    clock_set_wall_ns(NOW_NS + NS_PER_DAY + COMPACT_SLACK_NS);
    store_upkeep(st);
    store_stats(st, &stats);
    is_int((int64_t)stats.segment_entries, 2, "an expired entry stays on disk for a while");
    clock_set_wall_ns(NOW_NS + NS_PER_DAY + COMPACT_SLACK_NS + 1);
    store_upkeep(st);
    store_stats(st, &stats);
    is_int((int64_t)stats.segment_entries, 1, "then its segment is rewritten without it");
    char *got = dump_of(st, "t");
    ok(strstr(got, "new") != NULL && strstr(got, "old") == NULL, "the other is answered");
    free(got);
    store_close(st);
    ok(verifies(), "the file verifies");
    clock_set_wall_ns(0);
}

static void test_a_running_query_finishes_on_what_it_holds(void)
{
    struct err err;
    struct arena a;
    new_dir("view", 0);
    struct store *st = open_with(0);
    for (int i = 0; i < 4; i++) {
        push(st, i % 2 == 0 ? "{a=\"1\"}" : "{a=\"2\"}", i, "x");
        seal(st);
    }
    arena_init(&a, MIB);
    struct view *v;
    struct view_selection sel;
    must(view_begin(st, SLICE("t"), &v, &err), &err);
    must(view_select(v, NULL, 0, INT64_MIN, INT64_MAX, &a, &sel, &err), &err);
    view_settle(v);
    store_upkeep(st);
    is_int(list().segments, 1, "the inputs are gone");
    struct run_loader *loader = run_loader_new(v);
    struct run_entries e;
    uint32_t count = 0;
    for (uint32_t i = 0; i < sel.runs_count; i++)
        count += run_load(loader, &sel.runs[i], VIEW_LINES, &e, &err) ? e.count : 0;
    is_int(count, 4, "a view begun before reads all of them");
    must(view_labels_all(v, &sel, &a, &err), &err);
    run_loader_free(loader);
    view_end(v);
    arena_done(&a);
    store_close(st);
}

static void flip_a_byte(const char *name, long pos)
{
    char path[2048];
    (void)snprintf(path, sizeof path, "%s/segments/%s", dir, name);
    FILE *f = fopen(path, "r+b");
    must(f != NULL, NULL);
    (void)fseek(f, pos, SEEK_SET);
    int c = fgetc(f);
    (void)fseek(f, pos, SEEK_SET);
    (void)fputc(c ^ 1, f);
    (void)fclose(f);
}

static void test_damage_is_left_where_it_is(void)
{
    new_dir("damage", 0);
    struct store *st = open_with(0);
    for (int i = 0; i < 9; i++) {
        push(st, "{a=\"1\"}", i, "a line");
        seal(st);
    }
    flip_a_byte("0000000000000005.seg", 50);
    uint64_t failures = metric_value(COUNTER_COMPACTION_FAILURES);
    store_upkeep(st);
    is_int((int64_t)(metric_value(COUNTER_COMPACTION_FAILURES) - failures), 1, "a damaged input fails the rewrite");
    is_int(list().segments, 3, "it stays, its neighbours are joined");
    is_int(list().others, 0, "nothing half-made stays");
    store_close(st);
    st = open_with(0);
    store_upkeep(st);
    store_close(st);
    st = open_with(0);
    struct store_stats stats;
    store_stats(st, &stats);
    is_int((int64_t)stats.segment_entries, 9, "nothing is taken away");
    store_close(st);
}

// --- faults -----------------------------------------------------------------------------------------

enum { PREPARED = 9, RUNS_MAX = 2000 };

static char copy_from[2048], copy_to[2048];

static bool copy_file(void *ctx, const char *name, struct err *err)
{
    (void)ctx;
    char path[4096], *bytes;
    size_t len;
    int fd;
    (void)snprintf(path, sizeof path, "%s/%s", copy_from, name);
    if (!fs_read_file(path, 64 * MIB, &bytes, &len, err))
        return false;
    (void)snprintf(path, sizeof path, "%s/%s", copy_to, name);
    bool good = fs_create(path, true, &fd, err) && fs_write_at(fd, path, 0, slice_of(bytes, len), err);
    fs_close(fd);
    free(bytes);
    return good;
}

static void copy_store(const char *from)
{
    static const char *const folders[] = {"wal", "segments", "index"};
    struct err err;
    for (int i = 0; i < 3; i++) {
        (void)snprintf(copy_from, sizeof copy_from, "%s/%s", from, folders[i]);
        (void)snprintf(copy_to, sizeof copy_to, "%s/%s", dir, folders[i]);
        must(fs_mkdir(copy_to, &err) && fs_list(copy_from, copy_file, NULL, &err), &err);
    }
}

// Segments with entries that expire, duplicates, and one that expires whole. Made once, then copied.
static void prepare(void)
{
    static char made[512];
    clock_set_wall_ns(NOW_NS + 4 * NS_PER_DAY);
    if (made[0] != '\0') {
        copy_store(made);
        return;
    }
    char wanted[512];
    memcpy(wanted, dir, sizeof dir);
    new_dir("prepared", 0);
    memcpy(made, dir, sizeof dir);
    clock_set_wall_ns(NOW_NS);
    struct store *st = open_with(14 * NS_PER_DAY);
    push(st, "{a=\"0\"}", NOW_NS - 13 * NS_PER_DAY, "whole");
    seal(st);
    for (int i = 0; i < PREPARED; i++) {
        char line[32];
        (void)snprintf(line, sizeof line, "line %d", i / 2);
        push(st, i % 2 == 0 ? "{a=\"1\"}" : "{a=\"2\"}", NOW_NS + i, "own");
        push(st, "{a=\"3\"}", NOW_NS, line);
        push(st, "{a=\"4\"}", NOW_NS - 12 * NS_PER_DAY, line);
        seal(st);
    }
    store_close(st);
    clock_set_wall_ns(NOW_NS + 4 * NS_PER_DAY);
    memcpy(dir, wanted, sizeof dir);
    copy_store(made);
}

// All entries, duplicates of other generations left out.
static char *distinct(struct store *st)
{
    char *all = dump_of(st, "t"), *kept = calloc(strlen(all) + 2, 1);
    for (char *line = strtok(all, "\n"); line != NULL; line = strtok(NULL, "\n")) {
        char whole[128];
        (void)snprintf(whole, sizeof whole, "%s\n", line);
        if (strstr(kept, whole) == NULL)
            strcat(kept, whole);
    }
    free(all);
    return kept;
}

static bool as_it_was(const char *want, bool finished)
{
    struct store *st = open_with(14 * NS_PER_DAY);
    struct store_stats stats;
    char *got = distinct(st);
    bool same = strcmp(got, want) == 0;
    if (!same)
        printf("# got\n%s# want\n%s", got, want);
    free(got);
    store_stats(st, &stats);
    struct listed l = list();
    if (l.segments != (int)stats.segments_count || l.others != 0) {
        printf("# %d segment files, %u live, %d others\n", l.segments, stats.segments_count, l.others);
        same = false;
    }
    if (finished) {
        store_upkeep(st);
        store_stats(st, &stats);
        char *dump = dump_of(st, "t");
        same = same && stats.segments_count <= 3 && strcmp(dump, want) == 0;
        free(dump);
    }
    store_close(st);
    return same && verifies();
}

static void test_failing_calls(int errno_value, bool sticky, uint64_t apart, const char *name)
{
    uint64_t n = 1;
    bool kept = true, failed = true;
    char *want = NULL;
    for (; failed && kept && n < RUNS_MAX; n += apart) {
        new_dir(name, n);
        prepare();
        struct store *st = open_with(14 * NS_PER_DAY);
        if (want == NULL)
            want = distinct(st);
        fs_fail_at(n, errno_value, sticky);
        store_upkeep(st);
        failed = fs_failed();
        store_close(st);
        fs_fail_at(0, 0, false);
        kept = as_it_was(want, true);
    }
    ok(kept && !failed && n > 20, "%s: nothing lost, nothing doubled, no orphan after a failure at each %s of %" PRIu64 " calls", name,
       apart == 1 ? "one" : "third", n - apart);
    free(want);
    clock_set_wall_ns(0);
}

// A crash behind the commit, in the middle of the unlinks: every subset of the inputs may be left.
struct saved {
    char name[32];
    char *bytes;
    size_t len;
};

static struct saved saved[PREPARED + 2];
static int saved_count;

static bool save_file(void *ctx, const char *name, struct err *err)
{
    (void)ctx;
    char path[2048];
    struct saved *s = &saved[saved_count++];
    (void)snprintf(s->name, sizeof s->name, "%s", name);
    (void)snprintf(path, sizeof path, "%s/segments/%s", dir, name);
    return fs_read_file(path, MIB, &s->bytes, &s->len, err);
}

static void bring_back(const struct saved *s)
{
    char path[2048];
    int fd;
    struct err err;
    (void)snprintf(path, sizeof path, "%s/segments/%s", dir, s->name);
    must(fs_create(path, true, &fd, &err), &err);
    must(fs_write_at(fd, path, 0, slice_of(s->bytes, s->len), &err), &err);
    fs_close(fd);
}

static void remove_index(void)
{
    char path[2048];
    struct err err;
    for (int i = 0; i < 2; i++) {
        (void)snprintf(path, sizeof path, "%s/index/%s", dir, i == 0 ? "data.mdb" : "lock.mdb");
        must(fs_unlink(path, &err), &err);
    }
}

static void test_inputs_left_behind_are_garbage(void)
{
    bool kept = true;
    for (int index_lost = 0; index_lost < 2; index_lost++)
        for (unsigned subset = 0; subset < 1u << (PREPARED + 1) && kept; subset += index_lost ? 67 : 61) {
            char path[2048];
            struct err err;
            new_dir(index_lost ? "left-lost" : "left", subset);
            prepare();
            saved_count = 0;
            (void)snprintf(path, sizeof path, "%s/segments", dir);
            must(fs_list(path, save_file, NULL, &err), &err);
            struct store *st = open_with(14 * NS_PER_DAY);
            char *want = distinct(st);
            store_upkeep(st);
            store_close(st);
            for (int i = 0; i < saved_count; i++) {
                if (subset & 1u << i)
                    bring_back(&saved[i]);
                free(saved[i].bytes);
            }
            if (index_lost)
                remove_index();
            kept = as_it_was(want, true);
            free(want);
        }
    ok(kept, "inputs left behind, with the index or without it, are not seen twice, and go");
    clock_set_wall_ns(0);
}

int main(void)
{
    test_many_small_segments_become_few();
    test_order_and_duplicates();
    test_metadata_and_tenants_survive();
    test_spans_survive();
    test_entries_of_traces_are_still_found();
    test_expired_spans_are_rewritten_away();
    test_expired_parts_are_rewritten_away();
    test_a_running_query_finishes_on_what_it_holds();
    test_damage_is_left_where_it_is();
    test_failing_calls(EIO, true, 1, "input/output errors from then on");
    test_failing_calls(EIO, false, 3, "input/output error");
    test_failing_calls(ENOSPC, false, 3, "no space");
    test_inputs_left_behind_are_garbage();
    return tap_done();
}
