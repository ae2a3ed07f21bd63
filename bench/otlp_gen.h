/*
 * otlp_gen.h -- spans as an instrumented shop would send them, from a seed: the same seed, the same bytes.
 *
 * Traces of 8 to 40 spans walk through 16 services in three instances each: HTTP and gRPC servers and clients, database,
 * cache and queue calls, functions. 10 to 20 attributes a span: routes and methods that repeat, addresses, ports, thread
 * names, and what hardly repeats: paths with numbers, user and order numbers, UUIDs, statements. 2 of 100 calls fail and
 * have an exception with its stack. Times tick in nanoseconds.
 */
#pragma once

#include "base/buf.h"
#include "store/span.h"

enum { OTLP_GEN_SERVICES = 16, OTLP_GEN_INSTANCES = 3, OTLP_GEN_SPANS_MAX = 40 };

struct otlp_gen;

struct otlp_gen_span {
    struct slice message; // a Span
    uint32_t resource;    // of otlp_gen_resource()
    uint32_t scope;       // of otlp_gen_scope()
    uint64_t start_ns;
};

// The first trace starts at `start_ns`, each further one 0 to 2 ms after the one before.
struct otlp_gen *otlp_gen_new(uint64_t seed, uint64_t start_ns);
void otlp_gen_free(struct otlp_gen *g);

// A ResourceSpans and a ScopeSpans message without their spans. Valid as long as the generator.
uint32_t otlp_gen_resources(const struct otlp_gen *g);
struct slice otlp_gen_resource(const struct otlp_gen *g, uint32_t resource);
uint32_t otlp_gen_scopes(const struct otlp_gen *g);
struct slice otlp_gen_scope(const struct otlp_gen *g, uint32_t scope);

// The next trace's spans by start time; valid until the next call.
uint32_t otlp_gen_trace(struct otlp_gen *g, const struct otlp_gen_span **spans_out);
// Appends the export of whole traces (an ExportTraceServiceRequest), of `spans` spans or a few more: as a collector sends
// them, by resource and scope. Returns how many.
uint32_t otlp_gen_request(struct otlp_gen *g, uint32_t spans, struct buf *out);
