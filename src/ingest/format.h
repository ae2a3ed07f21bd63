/* format.h -- the parsers of push formats: bytes of a whole, decompressed body to accepted streams or spans. */
#pragma once

#include "ingest/accept.h"
#include "ingest/spans.h"

// loki-http.md 17.3. `body` is left as it is; strings with escapes are undone into the arena.
MUST_CHECK bool loki_json_parse(struct slice body, struct accept *ac, struct err *err);
// The legacy shape of the same.
MUST_CHECK bool loki_json_parse_legacy(struct slice body, struct accept *ac, struct err *err);
// loki-http.md 17.2
MUST_CHECK bool loki_pb_parse(struct slice body, struct accept *ac, struct err *err);
// loki-http.md 19: log records of OpenTelemetry. `now_ns` is the time of records that have none.
MUST_CHECK bool otlp_logs_pb_parse(struct slice body, int64_t now_ns, struct accept *ac, struct err *err);
MUST_CHECK bool otlp_logs_json_parse(struct slice body, int64_t now_ns, struct accept *ac, struct err *err);
// traces-http.md 4: spans of OpenTelemetry in protobuf. Messages of spans are borrowed from the body.
MUST_CHECK bool otlp_spans_pb_parse(struct slice body, struct spans *spans, struct err *err);
// traces-http.md 5: the same in JSON.
MUST_CHECK bool otlp_spans_json_parse(struct slice body, struct spans *spans, struct err *err);
// traces-http.md 9: Zipkin's spans.
MUST_CHECK bool zipkin_json_parse(struct slice body, struct spans *spans, struct err *err);
MUST_CHECK bool zipkin_pb_parse(struct slice body, struct spans *spans, struct err *err);
MUST_CHECK bool zipkin_v1_parse(struct slice body, struct spans *spans, struct err *err);
// traces-http.md 10: a Batch of Jaeger in thrift's binary protocol.
MUST_CHECK bool jaeger_thrift_parse(struct slice body, struct spans *spans, struct err *err);
