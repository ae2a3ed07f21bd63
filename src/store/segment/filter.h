/*
 * filter.h -- what the lines and metadata of a block may contain, in few bytes: a query whose text cannot be
 * there passes the block by without reading it. Bytes: docs/format.md "Filters".
 *
 *     words   which groups of three characters occur, digits and letters folded: text that is not in the
 *             product's vocabulary, a word of another program's
 *     ids     IPv4 addresses and long hexadecimal numbers: one address, one trace
 *
 * F1  A filter never denies text that is there: every group, address and number of a needle is one of each
 *     line that contains the needle, whatever stands around it.
 * F2  Filters take at most about one byte of fifty of what reading their blocks costs, in bytes under zstd.
 */
#pragma once

#include "base/arena.h"
#include "base/attr.h"
#include "base/buf.h"
#include "base/codec.h"
#include "base/slice.h"

enum { FILTER_WORD_BITS = 8192, FILTER_BASES = 8 };

// --- writing ----------------------------------------------------------------------------------------

struct filter_builder; // one a segment

struct filter_builder *filter_builder_new(void); // aborts when out of memory
void filter_builder_free(struct filter_builder *b);
// Text of the next block; may be given in several pieces.
void filter_add_text(struct filter_builder *b, struct slice text);
// The block is complete, and not to read it spares so many bytes: appends its filter to `out`.
void filter_end_block(struct filter_builder *b, uint64_t spared_bytes, struct buf *out);

// --- reading ----------------------------------------------------------------------------------------

// Text to be looked for, compiled.
struct filter_needle {
    const uint16_t *words; // bits of its groups
    uint32_t words_count;
    const uint64_t *ids; // hashes
    uint32_t ids_count;
};
// Borrows nothing. False: filters can say nothing of this text, or the arena is full.
bool filter_needle_init(struct filter_needle *needle, struct slice text, struct arena *a);

struct filter_reader { // of one segment, block by block
    struct rd rd;
    uint64_t bases[FILTER_BASES][FILTER_WORD_BITS / 64];
    const uint64_t *words; // one of the bases; NULL: none
    bool has_escapes;
    struct slice ids; // empty: none
    unsigned probes;
};
void filter_reader_init(struct filter_reader *r, struct slice section);
// Goes to the first block, then to the next. False: the section is broken.
MUST_CHECK bool filter_reader_next(struct filter_reader *r);
// Whether all blocks were read to the last byte.
bool filter_reader_at_end(const struct filter_reader *r);
bool filter_may_contain(const struct filter_reader *r, const struct filter_needle *needle);
