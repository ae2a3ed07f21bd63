/* fuzz_otlp_spans.c -- bodies of OpenTelemetry span exports: protobuf, or JSON where the first byte is a brace. */
#include "fuzz.h"
#include "fuzz_spans.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    fuzz_spans(len > 0 && bytes[0] == '{' ? otlp_spans_json_parse : otlp_spans_pb_parse, bytes, len);
    return 0;
}
