/*
 * fuzz_labels.c -- label strings; what parses prints to what parses to the same. But for U+FFFD: Go's quoting, which
 * is ours, prints it as it is, and the grammar takes it as an escape alone (loki-http.md 17.4).
 */
#include "fuzz.h"

#include "base/labels.h"
#include "base/limits.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    struct arena a;
    struct labels l, again;
    struct err err;
    arena_init(&a, 16 * MIB);
    if (labels_parse(slice_of(bytes, len), &a, &l, &err) && labels_canon(&l).ptr == NULL) {
        struct buf one, two, text;
        buf_init(&one, 0);
        buf_init(&two, 0);
        buf_init(&text, 0);
        labels_encode(&one, &l);
        labels_print(&text, buf_slice(&one));
        if (slice_find(buf_slice(&text), SLICE("\xEF\xBF\xBD")) == SIZE_MAX) {
            assert(labels_parse(buf_slice(&text), &a, &again, &err));
            (void)labels_canon(&again);
            labels_encode(&two, &again);
            assert(slice_eq(buf_slice(&one), buf_slice(&two)));
        }
        buf_done(&one);
        buf_done(&two);
        buf_done(&text);
    }
    arena_done(&a);
    return 0;
}
