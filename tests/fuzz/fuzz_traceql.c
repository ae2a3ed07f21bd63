/* fuzz_traceql.c -- TraceQL text; what parses prints to what parses to the same print. */
#include "fuzz.h"

#include "base/limits.h"
#include "query/traces.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    struct arena a;
    struct traceql *query = NULL, *again = NULL;
    struct err err;
    bool syntax;
    arena_init(&a, 64 * MIB);
    if (traceql_parse(slice_of(bytes, len), &a, &query, &syntax, &err)) {
        struct buf one, two;
        buf_init(&one, 0);
        buf_init(&two, 0);
        traceql_print(query, &one);
        if (traceql_parse(buf_slice(&one), &a, &again, &syntax, &err)) {
            traceql_print(again, &two);
            assert(slice_eq(buf_slice(&one), buf_slice(&two)));
        }
        buf_done(&one);
        buf_done(&two);
    }
    traceql_free(query);
    traceql_free(again);
    arena_done(&a);
    return 0;
}
