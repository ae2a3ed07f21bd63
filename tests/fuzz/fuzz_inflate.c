/* fuzz_inflate.c -- compressed bodies: the first byte chooses the format. */
#include "fuzz.h"

#include "base/limits.h"
#include "ingest/inflate.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    struct arena a;
    struct slice out;
    struct err err;
    if (len == 0)
        return 0;
    arena_init(&a, 64 * MIB);
    bool good = inflate_body((enum inflate_format)(bytes[0] % (INFLATE_ZLIB + 1)), slice_of(bytes + 1, len - 1), &a, &out, &err);
    (void)good;
    arena_done(&a);
    return 0;
}
