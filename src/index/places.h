/*
 * places.h -- where the bytes of each segment are, beside its row: for index.c.
 *
 * A segment without an entry is in its file alone. When one that has an entry is taken out, its entry stays, as a note that
 * the object has to go (index_gone()).
 */
#pragma once

#include "index/index.h"

void places_put(struct kv_txn *txn, uint64_t gen, unsigned where);
// The segment is taken out.
void places_drop(struct kv_txn *txn, uint64_t gen);
// Fills in `where`.
void places_fill(struct kv_txn *txn, struct index_segment *rows, size_t count);
