/*
 * seg_fetch.h -- read-ahead for scans of far segments: columns that will be read are fetched while others are decoded.
 *
 * Those who scan announce blocks in the order in which they will read them. What is announced becomes pieces: needed columns of a
 * segment that lie near to each other are one piece, one request. Some threads fetch pieces, several at a time, and whoever
 * reads a block takes its columns from them, or waits for the one that is under way, or reads it alone where it was not announced. Shared by
 * the scans of a query: what one of them has fetched another one takes.
 *
 * A1  What lies ahead and was not taken, and what was fetched in vain, is never more than half of what was taken; and the gaps
 *     in a piece a quarter of what is needed of it. So that a scan that ends early, or was wrong, reads less than twice what it needs.
 *     The first block is read alone, the second one ahead, and so on in growing steps. A scan that reads to its end whatever it finds
 *     may ask for as much as memory allows.
 *     Small columns are fetched in chunks, those of neighbours with them, which costs less than to ask again; that counts for nothing here.
 * A2  A piece that could not be fetched is as if it had not been announced: who needs it reads it, and gets the error.
 *
 * Any thread.
 */
#pragma once

#include "store/segment/seg.h"

struct seg_fetcher;
struct seg_fetcher *seg_fetcher_new(void);
// From now on all that is announced will be taken (A1).
void seg_fetcher_to_the_end(struct seg_fetcher *f);
void seg_fetcher_free(struct seg_fetcher *f); // waits for requests under way; nobody may take any more. NULL is fine

// Whether the segment is open and the block found. If not, that is being done for those to come, unless it would be too early.
bool seg_fetcher_find(struct seg_fetcher *f, struct seg *seg, uint32_t block);
// Announces columns of a block (1 << enum block_column) that was found. False: enough lies ahead; announce it again after some
// reads.
bool seg_fetcher_want(struct seg_fetcher *f, struct seg *seg, uint32_t block, unsigned mask);
// Likewise of the block that is read next: its columns are asked for at once.
void seg_fetcher_need(struct seg_fetcher *f, struct seg *seg, uint32_t block, unsigned mask);
// What was announced so far has no neighbours to come: fetch it.
void seg_fetcher_go(struct seg_fetcher *f);
// Bytes of a segment that were announced. False: they were not, or could not be fetched.
bool seg_fetcher_take(struct seg_fetcher *f, const struct seg *seg, uint64_t pos, void *into, size_t len);
