/* test_store.c -- append, freeze, seal, reopen, rebuild: the same entries each time. */
#include "batches.h"
#include "tap.h"

#include "base/fs.h"

#include <stdio.h>
#include <stdlib.h>

static char dir[512];

static void new_dir(const char *name)
{
    (void)snprintf(dir, sizeof dir, "%s/%s", tap_dir(), name);
}

static struct store *open_store(bool rebuild)
{
    struct err err;
    struct store *st;
    struct store_options options = {.dir = dir, .decode = test_decode, .rebuild_index = rebuild};
    must(store_open(&options, &st, &err), &err);
    return st;
}

static void is_dump(struct store *st, const char *tenant, const char *want, const char *name)
{
    struct buf out;
    buf_init(&out, 0);
    test_dump(st, tenant, INT64_MIN, INT64_MAX, &out);
    is_text(buf_slice(&out), want, name);
    buf_done(&out);
}

static void push_some(struct store *st)
{
    struct err err;
    uint32_t added;
    struct test_batch b;
    test_batch_init(&b, "t");
    test_batch_add(&b, "{app=\"b\"}", 30, "third", NULL);
    test_batch_add(&b, "{app=\"b\"}", 10, "first", "{id=\"7\"}");
    test_batch_add(&b, "{app=\"a\", env=\"x\"}", 20, "second", NULL);
    test_batch_add(&b, "{app=\"b\"}", 30, "third", NULL);
    must(test_batch_append(st, &b, &added, &err), &err);
    is_int(added, 3, "an entry given twice is stored once");
    must(test_batch_append(st, &b, &added, &err), &err);
    is_int(added, 0, "a batch sent again adds nothing");
    test_batch_done(&b);
}

static const char *const SOME = "{app=\"a\", env=\"x\"} 20 second\n"
                                "{app=\"b\"} 10 first {id=\"7\"}\n"
                                "{app=\"b\"} 30 third\n";

static void test_entries_survive_every_way_of_opening(void)
{
    struct err err;
    new_dir("ways");
    struct store *st = open_store(false);
    push_some(st);
    is_dump(st, "t", SOME, "from the open head");
    is_dump(st, "u", "", "another tenant sees nothing");
    store_close(st);

    st = open_store(false);
    is_dump(st, "t", SOME, "after a restart, from the replayed log");
    must(store_flush(st, &err), &err);
    is_dump(st, "t", SOME, "from the segment");
    is_dump(st, "u", "", "another tenant sees nothing in segments");
    store_close(st);

    st = open_store(false);
    is_dump(st, "t", SOME, "after a restart, from the segment");
    struct store_stats stats;
    store_stats(st, &stats);
    is_int(stats.segments_count, 1, "one segment");
    is_int(stats.streams_count, 2, "two streams in the index");
    store_close(st);

    st = open_store(true);
    is_dump(st, "t", SOME, "with the index rebuilt");
    must(test_push(st, "t", "{app=\"c\"}", 5, "late", &err), &err);
    store_close(st);

    char scratch[600];
    (void)snprintf(scratch, sizeof scratch, "%s-scratch", dir);
    must(fs_mkdir(scratch, &err), &err);
    struct store_options options = {
        .dir = dir, .decode = test_decode, .read_only = true, .scratch_dir = scratch};
    must(store_open(&options, &st, &err), &err);
    struct buf out;
    buf_init(&out, 0);
    buf_put_cstr(&out, SOME);
    buf_put_cstr(&out, "{app=\"c\"} 5 late\n");
    buf_put_byte(&out, '\0');
    is_dump(st, "t", (const char *)out.ptr, "offline: segments and logs together");
    buf_done(&out);
    store_close(st);
}

static void test_range_is_half_open(void)
{
    struct err err;
    new_dir("range");
    struct store *st = open_store(false);
    for (int i = 0; i < 2; i++) {
        must(test_push(st, "t", "{a=\"1\"}", 100 + i, "x", &err), &err);
        must(store_flush(st, &err), &err);
    }
    struct buf out;
    buf_init(&out, 0);
    test_dump(st, "t", 100, 101, &out);
    is_text(buf_slice(&out), "{a=\"1\"} 100 x\n", "from is in, to is out");
    buf_done(&out);
    store_close(st);
}

static void names_of(struct store *st, const char *label, int64_t from_ns, int64_t to_ns,
                     struct buf *out)
{
    struct err err;
    struct arena a;
    arena_init(&a, UINT64_C(1) << 26);
    struct view *v;
    must(view_begin(st, SLICE("t"), &v, &err), &err);
    struct slice *items;
    size_t count;
    if (label == NULL)
        must(view_label_names(v, NULL, 0, from_ns, to_ns, &a, &items, &count, &err), &err);
    else
        must(view_label_values(v, slice_cstr(label), NULL, 0, from_ns, to_ns, &a, &items, &count,
                               &err), &err);
    for (size_t i = 0; i < count; i++)
        buf_printf(out, "%.*s ", SLICE_FMT(items[i]));
    view_end(v);
    arena_done(&a);
}

static void test_labels_are_known_by_day(void)
{
    struct err err;
    const int64_t day = INT64_C(86400) * 1000000000;
    new_dir("days");
    struct store *st = open_store(false);
    must(test_push(st, "t", "{a=\"old\"}", 5, "x", &err), &err);
    must(store_flush(st, &err), &err);
    must(test_push(st, "t", "{b=\"new\"}", 3 * day, "x", &err), &err);
    for (int sealed = 0; sealed < 2; sealed++) {
        struct buf out;
        buf_init(&out, 0);
        names_of(st, NULL, 100, 200, &out);
        is_text(buf_slice(&out), "a ", "a name of that day, though not of that second");
        buf_reset(&out);
        names_of(st, NULL, 0, 4 * day, &out);
        is_text(buf_slice(&out), "a b ", "names of all days");
        buf_reset(&out);
        names_of(st, "b", 0, 4 * day, &out);
        is_text(buf_slice(&out), "new ", "values of one label");
        buf_reset(&out);
        names_of(st, NULL, day, 2 * day, &out);
        is_text(buf_slice(&out), "", "a day without entries has no names");
        buf_done(&out);
        must(store_flush(st, &err), &err);
    }
    store_close(st);
}

static void test_lock_is_exclusive(void)
{
    struct err err;
    new_dir("lock");
    struct store *st = open_store(false), *second = NULL;
    struct store_options options = {.dir = dir, .decode = test_decode};
    ok(!store_open(&options, &second, &err) && err.code == ERR_BUSY, "a second writer is refused");
    store_close(st);
}

int main(void)
{
    test_entries_survive_every_way_of_opening();
    test_range_is_half_open();
    test_labels_are_known_by_day();
    test_lock_is_exclusive();
    return tap_done();
}
