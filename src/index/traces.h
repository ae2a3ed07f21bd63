/*
 * traces.h -- filters of trace IDs, one a namespace and segment: which segments to ask for a trace;
 * for index.c.
 *
 * A filter is a blocked Bloom filter (Putze, Sanders, Singler, "Cache-, Hash- and Space-Efficient
 * Bloom Filters"): a hash picks one block of 64 bytes, and six bits in it, so that asking touches
 * one cache line of one page. Keyed namespace, generation, a new segment appends to its namespace's
 * range: what an insert costs does not grow with the store.
 */
#pragma once

#include "index/index.h"

void traces_put(struct kv_txn *txn, uint32_t ns, uint64_t gen, const struct index_traces *traces);
// Deletes the filters of a generation in namespaces below `ns_end`.
void traces_del(struct kv_txn *txn, uint32_t ns_end, uint64_t gen);
