/* test_wal.c -- the rules W1..W4 of one log. */
#include "tap.h"

#include "base/codec.h"
#include "base/fs.h"
#include "base/limits.h"
#include "store/wal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

static char dir[300], path[400];

static void new_log(const char *name)
{
    struct err err;
    (void)snprintf(dir, sizeof dir, "%s/%s", tap_dir(), name);
    (void)snprintf(path, sizeof path, "%s/0000000000000007.wal", dir);
    must(fs_mkdir(dir, &err), &err);
}

static bool collect(void *ctx, uint64_t pos, struct slice payload, struct err *err)
{
    (void)pos;
    (void)err;
    buf_put_slice(ctx, payload);
    buf_put_byte(ctx, '|');
    return true;
}

// What replay finds: the payloads, and how the log ends.
static void is_replay(const char *want, bool ended, bool torn, const char *name)
{
    struct err err;
    struct wal_replay_stats s;
    struct buf got;
    buf_init(&got, 0);
    must(wal_replay(path, 7, collect, &got, &s, &err), &err);
    is_text(buf_slice(&got), want, name);
    ok(s.ended == ended && (s.torn_bytes > 0) == torn, "it ends as it should");
    buf_done(&got);
}

static void append(struct wal *wal, const char *head, const char *body)
{
    struct err err;
    uint64_t end;
    must(wal_append(wal, slice_cstr(head), slice_cstr(body), &end, &err), &err);
    must(wal_sync(wal, end, &err), &err);
}

static uint64_t file_bytes(void)
{
    struct err err;
    int fd;
    uint64_t bytes;
    must(fs_open_read(path, &fd, &err), &err);
    must(fs_bytes(fd, path, &bytes, &err), &err);
    fs_close(fd);
    return bytes;
}

static void patch(uint64_t pos, uint8_t byte)
{
    struct err err;
    int fd;
    must(fs_open_write(path, &fd, &err), &err);
    must(fs_write_at(fd, path, pos, slice_of(&byte, 1), &err), &err);
    fs_close(fd);
}

static void test_records_come_back(void)
{
    struct err err;
    struct wal *wal;
    new_log("back");
    must(wal_create(dir, path, 7, &wal, &err), &err);
    append(wal, "a", "b");
    append(wal, "only head", "");
    is_replay("ab|only head|", false, false, "records come back in order, head and body as one");
    must(wal_end(wal, &err), &err);
    wal_close(wal);
    is_replay("ab|only head|", true, false, "and reach the end record");
    struct wal_replay_stats s;
    ok(!wal_replay(path, 8, NULL, NULL, &s, &err) && err.code == ERR_CORRUPT, "under another number it is refused");
}

static void test_torn_tail_is_dropped_quietly(void)
{
    struct err err;
    struct wal *wal;
    new_log("torn");
    must(wal_create(dir, path, 7, &wal, &err), &err);
    append(wal, "a", "1");
    uint64_t good = file_bytes();
    append(wal, "b", "2");
    uint64_t whole = file_bytes();
    wal_close(wal);
    int wrong = 0;
    for (uint64_t cut = good; cut < whole; cut++) {
        int fd;
        struct wal_replay_stats s;
        must(fs_open_write(path, &fd, &err), &err);
        must(fs_truncate(fd, path, cut, &err), &err);
        fs_close(fd);
        must(wal_replay(path, 7, NULL, NULL, &s, &err), &err);
        wrong += s.records != 1 || s.valid_bytes != good || s.torn_bytes != cut - good;
        must(fs_open_write(path, &fd, &err), &err); // a longer tail of zeros is no record either
        must(fs_truncate(fd, path, whole, &err), &err);
        fs_close(fd);
        must(wal_replay(path, 7, NULL, NULL, &s, &err), &err);
        wrong += s.records != 1;
    }
    is_int(wrong, 0, "W4: a tail cut anywhere is told from the good part");
    struct wal_replay_stats s;
    must(wal_replay(path, 7, NULL, NULL, &s, &err), &err);
    must(wal_repair(path, &s, &err), &err);
    is_replay("a1|", true, false, "a repaired log is complete");
}

static void test_flipped_bits_end_the_log(void)
{
    struct err err;
    struct wal *wal;
    new_log("flip");
    must(wal_create(dir, path, 7, &wal, &err), &err);
    append(wal, "a", "1");
    uint64_t second = file_bytes();
    append(wal, "b", "2");
    uint64_t end = file_bytes();
    wal_close(wal);
    int wrong = 0;
    for (uint64_t pos = second; pos < end; pos++) {
        struct wal_replay_stats s;
        int fd;
        uint8_t byte;
        must(fs_open_read(path, &fd, &err), &err);
        must(fs_read_at(fd, path, pos, &byte, 1, &err), &err);
        fs_close(fd);
        patch(pos, byte ^ 1);
        must(wal_replay(path, 7, NULL, NULL, &s, &err), &err);
        wrong += s.records != 1;
        patch(pos, byte);
    }
    is_int(wrong, 0, "W1: a record with any flipped bit does not count");
    patch(3, 'X');
    struct wal_replay_stats s;
    ok(!wal_replay(path, 7, NULL, NULL, &s, &err) && err.code == ERR_CORRUPT, "a broken header is corruption");
}

static void test_failed_append_leaves_nothing(void)
{
    struct err err;
    struct wal *wal;
    uint64_t end;
    new_log("append");
    must(wal_create(dir, path, 7, &wal, &err), &err);
    append(wal, "a", "1");
    fs_fail_at(1, ENOSPC, false);
    ok(!wal_append(wal, SLICE("b"), SLICE("2"), &end, &err) && err.code == ERR_FULL, "an append fails");
    fs_fail_at(0, 0, false);
    ok(!wal_failed(wal), "W3: the half record was cut away, the log goes on");
    append(wal, "c", "3");
    is_replay("a1|c3|", false, false, "and holds the others");
    fs_fail_at(2, EIO, false); // the write, then its sync
    must(wal_append(wal, SLICE("d"), SLICE("4"), &end, &err), &err);
    ok(!wal_sync(wal, end, &err) && err.code == ERR_IO, "a sync fails");
    fs_fail_at(0, 0, false);
    ok(wal_failed(wal) && !wal_sync(wal, end, &err), "W2: which is final, though the disk is well again");
    wal_close(wal);
}

static void test_payload_limit(void)
{
    struct err err;
    struct wal *wal;
    uint64_t end;
    new_log("limit");
    must(wal_create(dir, path, 7, &wal, &err), &err);
    size_t most = WAL_PAYLOAD_BYTES_MAX - 1;
    uint8_t *body = calloc(most + 1, 1);
    ok(wal_append(wal, SLICE("h"), slice_of(body, most), &end, &err), "a payload of the limit is taken");
    ok(!wal_append(wal, SLICE("h"), slice_of(body, most + 1), &end, &err) && err.code == ERR_TOO_LARGE,
       "a byte more is not");
    free(body);
    wal_close(wal);
}

int main(void)
{
    test_records_come_back();
    test_torn_tail_is_dropped_quietly();
    test_flipped_bits_end_the_log();
    test_failed_append_leaves_nothing();
    test_payload_limit();
    return tap_done();
}
