/*
 * batches.h -- batches from plain calls, and a WAL payload format of the tests' own: they test the store
 * without ingest.
 */
#pragma once

#include "store/store.h"

struct test_batch {
    struct arena arena;
    struct batch batch;
    struct buf payload;
    struct batch_entry *entries;
    struct batch_stream *streams;
    size_t entries_room, streams_room;
    struct batch_span *spans;
    struct slice *resources, *scopes;
    size_t spans_room, resources_room, scopes_room;
};

void test_batch_init(struct test_batch *b, const char *tenant);
void test_batch_done(struct test_batch *b);
// `labels` as `{a="b"}`; metadata likewise, or NULL. Consecutive adds of equal labels share a stream.
void test_batch_add(struct test_batch *b, const char *labels, int64_t time_ns, const char *line,
                    const char *metadata);
// A span of its own resource `service`. IDs are their number, big-endian in the last bytes; parent 0: a root.
struct test_span {
    uint64_t trace, id, parent;
    const char *service, *name;
    int64_t start_ns, duration_ns;
    int32_t kind, status;
    const struct span_attribute *attributes;
    uint32_t attributes_count;
};
void test_batch_add_span(struct test_batch *b, const struct test_span *span);
void test_batch_put_span(struct test_batch *b, const struct span *span); // with its resource and scope
void test_trace_id(uint64_t trace, uint8_t out[TRACE_ID_BYTES]);
bool test_batch_append(struct store *st, struct test_batch *b, uint32_t *added_out, struct err *err);

// A trace's spans as text: "service name id parent start duration kind status {key=value ...}\n", by start.
void test_dump_trace(struct store *st, const char *tenant, uint64_t trace, struct buf *out);
// The same of all spans that blocks in [from, to) hold, sorted; one in several sources comes several times.
void test_dump_spans(struct store *st, const char *tenant, int64_t from_ns, int64_t to_ns, struct buf *out);

// store_decode_fn of the payload.
bool test_decode(void *ctx, struct slice payload, struct arena *a, struct batch *batch_out,
                 struct err *err);

// One entry pushed alone.
bool test_push(struct store *st, const char *tenant, const char *labels, int64_t time_ns,
               const char *line, struct err *err);

// An entry and a span of trace `trace` pushed as one batch.
bool test_push_both(struct store *st, const char *tenant, const char *labels, int64_t time_ns, const char *line,
                    uint64_t trace, struct err *err);
// How many spans a trace has.
int test_count_trace(struct store *st, const char *tenant, uint64_t trace);

// All entries of a tenant in [from, to) as text: "labels time line metadata\n", streams by printed labels,
// entries in the order of runs, duplicates across runs kept.
void test_dump(struct store *st, const char *tenant, int64_t from_ns, int64_t to_ns, struct buf *out);
