/*
 * fuzz_backup.c -- the list of a backup, which comes from a bucket. What is read prints as it was, to the byte; a text without its last
 * line is given a true one, for a checksum keeps a fuzzer out otherwise.
 */
#include "fuzz.h"

#include "base/hash.h"
#include "store/far/far_backup.h"

#include <inttypes.h>
#include <stdlib.h>

static void check(struct slice text)
{
    struct far_live list = {0};
    struct buf again;
    if (!far_backup_parse(text, &list))
        return;
    buf_init(&again, 0);
    far_backup_print(&list, &again);
    if (!slice_eq(buf_slice(&again), text))
        abort();
    for (size_t i = 0; i < list.segments.count; i++)
        if (far_items_find(&list.segments, list.segments.items[i].gen) != &list.segments.items[i])
            abort();
    buf_done(&again);
    far_live_done(&list);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    struct buf ended;
    check(slice_of(bytes, len));
    buf_init(&ended, 0);
    buf_put(&ended, bytes, len);
    buf_printf(&ended, "end %016" PRIx64 "\n", hash64(slice_of(bytes, len)));
    check(buf_slice(&ended));
    buf_done(&ended);
    return 0;
}
