/*
 * deletions.h -- requests to delete log entries or a trace, and their receipts.
 *
 * A request is about what was stored when it was made: generations up to an age. From then on views leave out what it selects; once
 * its delay is over compaction rewrites the segments concerned without that, and when none is left the request is a receipt.
 * One about a trace selects its spans, and the log entries that carry its ID, of any time.
 *
 * The file `deletions` holds all of them (docs/format.md "Deletions"); it is written anew for each change. It is apart from
 * the index, which may be lost: what was deleted stays so.
 */
#pragma once

#include "store/store.h"

#include <stdatomic.h>

struct deletion_count {
    uint64_t entries, line_bytes;
    uint64_t spans, span_bytes; // bytes of their messages (span_put())
};

struct deletion {
    atomic_uint refs;
    uint64_t id;
    struct slice tenant, query; // owned; of a trace: `{ trace:id = "32 hex digits" }`, which is no log query
    int64_t from_ns, to_ns;     // [from, to)
    int64_t created_ns;
    uint64_t age_max; // greatest age of a generation that it is about
    // Set by the keeper, under the lock of struct deletions.
    int64_t done_ns; // when everything was gone; 0: not yet
    struct deletion_count removed;
    // What the query's text means.
    const struct store_filter_ops *ops;
    void *filter; // owned
    const struct label_matcher *matchers;
    size_t matchers_count;
    bool by_line; // it selects among the entries of a stream
    bool by_trace; // it is about this trace, and none of the above
    uint8_t trace_id[TRACE_ID_BYTES];
};

// Those that are not done, for views and rewrites: never changes, counted. Any thread.
struct deletion_set {
    atomic_uint refs;
    struct deletion **items; // owned, a reference each
    size_t count;
    struct deletion **traces; // owned; those about traces, by ID
    size_t traces_count;
};
struct deletion_set *deletion_set_ref(struct deletion_set *set);
void deletion_set_unref(struct deletion_set *set); // NULL is fine

struct deletions;

// Reads the file if there is one. `ops` NULL: for stores that have no requests but about traces; ERR_INPUT if there are others.
MUST_CHECK bool deletions_open(const char *dir, const struct store_filter_ops *ops, struct deletions **out, struct err *err);
void deletions_close(struct deletions *d); // NULL is fine
// Reads the file again, which somebody else replaced. On false everything is as it was.
MUST_CHECK bool deletions_reload(struct deletions *d, struct err *err);
const struct store_filter_ops *deletions_ops(const struct deletions *d);
struct deletion_set *deletions_active(struct deletions *d); // a reference

// Durable and active on true. ERR_INPUT: the query's text; ERR_LIMIT: DELETIONS_ACTIVE_MAX.
MUST_CHECK bool deletions_add(struct deletions *d, const struct store_deletion *request, uint64_t age_max, uint64_t *id_out,
                              struct err *err);
// Likewise, about a trace of a tenant.
MUST_CHECK bool deletions_add_trace(struct deletions *d, struct slice tenant, const uint8_t trace_id[TRACE_ID_BYTES],
                                    uint64_t age_max, uint64_t *id_out, struct err *err);
// Takes back a request that is not done, created at or after `since_ns`. ERR_NOT_FOUND, ERR_INPUT.
MUST_CHECK bool deletions_cancel(struct deletions *d, struct slice tenant, uint64_t id, int64_t since_ns, struct err *err);
// What rewrites removed for each of a set's requests, and whether it is done now. Durable on true.
MUST_CHECK bool deletions_count(struct deletions *d, const struct deletion_set *set, const struct deletion_count *counts,
                                struct err *err);
MUST_CHECK bool deletions_done(struct deletions *d, const struct deletion *done, int64_t now_ns, struct err *err);
MUST_CHECK bool deletions_list(struct deletions *d, struct slice tenant, struct arena *a, struct store_deletion **out,
                               size_t *count_out, struct err *err);

// Whether the request is about the stream; and about entries of a generation of that age.
bool deletion_selects_stream(const struct deletion *d, struct slice tenant, struct slice labels);
// Whether it is about the entry, of a stream that it selects. `space` is the caller's thread's.
bool deletion_selects(const struct deletion *d, const struct store_arrival *entry, uint64_t age, void *space);
// Whether one of them is about the spans of that trace in a generation of that age.
bool deletion_set_has_trace(const struct deletion_set *set, struct slice tenant, const uint8_t trace_id[TRACE_ID_BYTES],
                            uint64_t age);
