/* fuzz_push_json.c -- JSON push bodies, both shapes. */
#include "fuzz.h"

#include "base/limits.h"
#include "ingest/format.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    struct arena a;
    struct accept ac;
    struct err err;
    arena_init(&a, 64 * MIB);
    accept_init(&ac, &a, SLICE("t"), INT64_MIN, INT64_MAX, NULL, 0);
    if ((len % 2 == 0 ? loki_json_parse : loki_json_parse_legacy)(slice_of(bytes, len), &ac, &err) && accept_finish(&ac, &err)) {
        // What was accepted is canonical, and encodes to what it says.
        for (uint32_t i = 0; i < ac.batch.streams_count; i++)
            assert(labels_valid(ac.batch.streams[i].labels));
        for (uint32_t i = 0; i < ac.batch.entries_count; i++)
            assert(labels_valid(ac.batch.entries[i].metadata));
    }
    (void)refusals_text(&ac.refusals, &a);
    arena_done(&a);
    return 0;
}
