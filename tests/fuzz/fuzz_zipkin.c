/* fuzz_zipkin.c -- bodies of Zipkin: the first byte chooses JSON of the second version, of the first, or protobuf. */
#include "fuzz.h"
#include "fuzz_spans.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    static bool (*const parsers[])(struct slice body, struct spans *spans, struct err *err) = {
        zipkin_json_parse, zipkin_v1_parse, zipkin_pb_parse};
    if (len > 0)
        fuzz_spans(parsers[bytes[0] % COUNT_OF(parsers)], bytes + 1, len - 1);
    return 0;
}
