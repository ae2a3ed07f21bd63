/*
 * test_faults.c -- counted fault injection: fails the 1st, 2nd, ... call to the operating system until a run
 * passes untouched, and after each opens the store again: what was acknowledged is there, whole and once,
 * and nothing else but what was tried.
 */
#include "batches.h"
#include "tap.h"

#include "base/fs.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum { PUSHES = 6, RUNS_MAX = 2000 };

static char dir[512];

struct outcome {
    bool acked[PUSHES];
    uint64_t runs;
};

static void new_dir(const char *name, uint64_t n)
{
    (void)snprintf(dir, sizeof dir, "%s/%s-%" PRIu64, tap_dir(), name, n);
}

static bool open_store(struct store **st, struct err *err)
{
    struct store_options options = {.dir = dir, .decode = test_decode};
    return store_open(&options, st, err);
}

static bool push_one(struct store *st, int i, struct err *err)
{
    char line[32];
    (void)snprintf(line, sizeof line, "line %d", i);
    return test_push_both(st, "t", i % 2 == 0 ? "{a=\"0\"}" : "{a=\"1\"}", 1000 + i, line, (uint64_t)i + 1, err);
}

static int times_found(struct slice dump, int i)
{
    char wanted[64];
    (void)snprintf(wanted, sizeof wanted, " %d line %d\n", 1000 + i, i);
    int count = 0;
    for (size_t at; (at = slice_find(dump, slice_cstr(wanted))) != SIZE_MAX;
         dump = slice_from(dump, at + 1))
        count++;
    return count;
}

static void on_problem(void *ctx, const char *text)
{
    (void)ctx;
    printf("# verify: %s\n", text);
}

// Opens without faults and compares. Returns whether every promise was kept.
static bool promises_kept(const bool acked[PUSHES])
{
    struct err err;
    struct store *st;
    must(open_store(&st, &err), &err);
    struct buf dump;
    buf_init(&dump, 0);
    test_dump(st, "t", INT64_MIN, INT64_MAX, &dump);
    bool kept = true;
    for (int i = 0; i < PUSHES; i++) {
        int found = times_found(buf_slice(&dump), i);
        int spans = test_count_trace(st, "t", (uint64_t)i + 1); // a batch is there whole, or not at all
        if (found > 1 || spans != found || (acked[i] && found != 1)) {
            printf("# push %d: acknowledged %d, found %d times, its span %d times\n", i, acked[i], found, spans);
            kept = false;
        }
    }
    // And it goes on: what comes next is stored and sealed.
    must(test_push(st, "t", "{a=\"2\"}", 5, "after", &err), &err);
    must(store_flush(st, &err), &err);
    store_close(st);
    struct store_options options = {.dir = dir, .decode = test_decode};
    struct store_verify_stats stats;
    must(store_verify(&options, on_problem, NULL, NULL, &stats, &err), &err);
    buf_done(&dump);
    return kept && stats.problems == 0;
}

// Pushes, seals, pushes; anything may fail on the way.
static void work(struct store *st, bool acked[PUSHES])
{
    struct err err;
    bool ignored;
    for (int i = 0; i < PUSHES; i++) {
        acked[i] = push_one(st, i, &err);
        if (i % 2 == 1)
            ignored = store_flush(st, &err);
    }
    (void)ignored;
}

static void test_failing_calls_while_writing(int errno_value, bool sticky, const char *name)
{
    uint64_t n = 1;
    bool kept = true, failed = true;
    for (; failed && kept && n < RUNS_MAX; n++) {
        struct err err;
        struct store *st;
        bool acked[PUSHES] = {false};
        new_dir(name, n);
        must(open_store(&st, &err), &err);
        fs_fail_at(n, errno_value, sticky);
        work(st, acked);
        failed = fs_failed();
        fs_fail_at(0, 0, false);
        store_close(st);
        kept = promises_kept(acked);
    }
    ok(kept && !failed && n > 20, "%s: promises kept after each of %" PRIu64 " failures", name, n - 1);
}

// A store that has everything recovery may meet: a segment, a log, and leftovers.
static void prepare(void)
{
    struct err err;
    struct store *st;
    must(open_store(&st, &err), &err);
    for (int i = 0; i < PUSHES; i++) {
        must(push_one(st, i, &err), &err);
        if (i == 1)
            must(store_flush(st, &err), &err);
    }
    store_close(st);
    char path[600];
    int fd;
    (void)snprintf(path, sizeof path, "%s/segments/0000000000000009.seg.tmp", dir);
    must(fs_create(path, true, &fd, &err), &err);
    fs_close(fd);
}

static void test_failing_calls_while_recovering(void)
{
    static const bool all[PUSHES] = {true, true, true, true, true, true};
    uint64_t n = 1;
    bool kept = true, failed = true;
    for (; failed && kept && n < RUNS_MAX; n++) {
        struct err err;
        struct store *st;
        new_dir("recover", n);
        prepare();
        fs_fail_at(n, EIO, false);
        if (open_store(&st, &err))
            store_close(st);
        failed = fs_failed();
        fs_fail_at(0, 0, false);
        kept = promises_kept(all);
    }
    ok(kept && !failed && n > 10, "recovery: promises kept after each of %" PRIu64 " failures", n - 1);
}

static void test_full_disk_heals(void)
{
    struct err err;
    struct store *st;
    new_dir("heals", 0);
    must(open_store(&st, &err), &err);
    fs_fail_at(1, ENOSPC, true);
    ok(!push_one(st, 0, &err) && err.code == ERR_FULL, "a full disk refuses the push and says so");
    fs_fail_at(0, 0, false);
    ok(push_one(st, 0, &err), "the next push is stored when space returned");
    fs_fail_at(1, ENOSPC, true);
    ok(!store_flush(st, &err) && err.code == ERR_FULL, "a full disk refuses to seal and says so");
    ok(!store_writable(st, &err), "which shows as not writable");
    struct buf dump;
    buf_init(&dump, 0);
    test_dump(st, "t", INT64_MIN, INT64_MAX, &dump);
    is_int(times_found(buf_slice(&dump), 0), 1, "reads go on");
    buf_done(&dump);
    fs_fail_at(0, 0, false);
    ok(store_flush(st, &err), "sealing works when space returned");
    ok(store_writable(st, &err), "and the store is writable again");
    store_close(st);
}

static void test_failed_sync_is_final_for_its_log(void)
{
    struct err err;
    struct store *st;
    bool acked[PUSHES] = {false};
    new_dir("sync", 0);
    must(open_store(&st, &err), &err);
    acked[0] = push_one(st, 0, &err);
    fs_fail_at(2, EIO, false); // the write is good, its fdatasync is not
    ok(!push_one(st, 1, &err) && err.code == ERR_IO, "a push whose sync fails is not acknowledged");
    fs_fail_at(0, 0, false);
    must(store_flush(st, &err), &err);
    ok(push_one(st, 2, &err), "once the generation is sealed the store takes pushes again");
    acked[2] = true;
    store_close(st);
    ok(promises_kept(acked), "and keeps its promises");
}

int main(void)
{
    test_failing_calls_while_writing(EIO, false, "input/output error");
    test_failing_calls_while_writing(ENOSPC, false, "no space");
    test_failing_calls_while_writing(EIO, true, "input/output errors from then on");
    test_failing_calls_while_recovering();
    test_full_disk_heals();
    test_failed_sync_is_final_for_its_log();
    return tap_done();
}
