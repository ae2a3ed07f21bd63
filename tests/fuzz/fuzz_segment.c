/* fuzz_segment.c -- segment files: opened, every block decoded as it is asked for, listed. */
#include "fuzz.h"

#include "base/fs.h"
#include "store/segment/seg.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    char path[64];
    int fd = memfd_create("segment", 0);
    struct err err;
    (void)snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    if (fd < 0 || !fs_write_at(fd, path, 0, slice_of(bytes, len), &err))
        abort();
    struct seg *seg = seg_new(path, 1);
    struct seg_directory d = {0};
    if (seg_load(seg, &err)) {
        struct seg_reader reader;
        struct block block = {0};
        seg_reader_init(&reader);
        for (uint32_t n = 0; n < seg_blocks_count(seg); n++) {
            bool good = seg_read_block(seg, n, 15, true, &reader, &block, &err);
            (void)good;
        }
        block_done(&block);
        seg_reader_done(&reader);
        bool good = seg_read_directory(seg, &d, &err);
        (void)good;
        seg_directory_done(&d);
    }
    seg_unref(seg);
    fs_close(fd);
    return 0;
}
