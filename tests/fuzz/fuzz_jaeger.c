/* fuzz_jaeger.c -- batches of Jaeger in thrift's binary protocol. */
#include "fuzz.h"
#include "fuzz_spans.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    fuzz_spans(jaeger_thrift_parse, bytes, len);
    return 0;
}
