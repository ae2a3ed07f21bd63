/* fuzz_wal.c -- write-ahead logs: the bytes are a file, its records are pushes. */
#include "fuzz.h"

#include "base/fs.h"
#include "base/limits.h"
#include "ingest/ingest.h"
#include "store/wal.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

static bool decode(void *ctx, uint64_t pos, struct slice payload, struct err *err)
{
    (void)ctx;
    (void)pos;
    struct arena a;
    struct batch batch;
    arena_init(&a, 64 * MIB);
    bool good = ingest_decode(NULL, payload, &a, &batch, err);
    arena_done(&a);
    return good;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    char path[64];
    int fd = memfd_create("wal", 0);
    struct err err;
    struct wal_replay_stats stats;
    (void)snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    if (fd < 0 || !fs_write_at(fd, path, 0, slice_of(bytes, len), &err))
        abort();
    bool good = wal_replay(path, 1, decode, NULL, &stats, &err);
    (void)good;
    // Records are also fed without their frame: checksums keep a fuzzer out otherwise.
    good = decode(NULL, 0, slice_of(bytes, len), &err);
    fs_close(fd);
    return 0;
}
