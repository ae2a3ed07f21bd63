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
};

void test_batch_init(struct test_batch *b, const char *tenant);
void test_batch_done(struct test_batch *b);
// `labels` as `{a="b"}`; metadata likewise, or NULL. Consecutive adds of equal labels share a stream.
void test_batch_add(struct test_batch *b, const char *labels, int64_t time_ns, const char *line,
                    const char *metadata);
bool test_batch_append(struct store *st, struct test_batch *b, uint32_t *added_out, struct err *err);

// store_decode_fn of the payload.
bool test_decode(void *ctx, struct slice payload, struct arena *a, struct batch *batch_out,
                 struct err *err);

// One entry pushed alone.
bool test_push(struct store *st, const char *tenant, const char *labels, int64_t time_ns,
               const char *line, struct err *err);

// All entries of a tenant in [from, to) as text: "labels time line metadata\n", streams by printed labels,
// entries in the order of runs, duplicates across runs kept.
void test_dump(struct store *st, const char *tenant, int64_t from_ns, int64_t to_ns, struct buf *out);
