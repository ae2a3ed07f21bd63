/*
 * traces.h -- which segments have a trace: prefixes of hashes, sorted, in components that are merged in tiers; for index.c.
 *
 * A segment's traces come as a component of their own. Four components of a tenant of one size are merged into one (O'Neil et
 * al., "The Log-Structured Merge-Tree"): a look-up touches a page or two of each of few components, however many segments
 * there are, and a prefix is written once a tier, so that what an insert costs does not grow with the store but by its
 * logarithm. A segment that goes leaves its prefixes behind until they are more than those that live, or a merge.
 *
 *     table "traces"    key                              row
 *         list          ns                               the tenant's components
 *         members       ns, component                    generations, by their numbers in it
 *         pages         ns, component, last prefix, n    prefix_page.h
 *
 * T1  A live generation is in one component of each namespace that has traces in it, one that went in none.
 */
#pragma once

#include "index/index.h"

void traces_put(struct kv_txn *txn, uint32_t ns, uint64_t gen, const struct index_traces *traces);
// Takes generations out, in namespaces below `ns_end`.
void traces_del(struct kv_txn *txn, uint32_t ns_end, const uint64_t *gens, size_t count);
