/*
 * seg_format.h -- the bytes of a segment's header, tables and footer; docs/format.md "Segments".
 */
#pragma once

#include "base/buf.h"
#include "base/err.h"
#include "store/segment/seg.h"

enum {
    SEG_VERSION = 1,
    SEG_HEADER_FIXED_BYTES = 40, // then the inputs, then an 8-byte check
    SEG_TRAILER_BYTES = 24,      // the last bytes of the file
};
#define SEG_MAGIC UINT32_C(0x4745534d)     // "MSEG"
#define SEG_END_MAGIC UINT32_C(0x444e4553) // "SEND"

// Features that a reader must know.
#define SEG_FEATURE_SPLIT UINT64_C(1) // lines of some block are split
#define SEG_FEATURES_KNOWN SEG_FEATURE_SPLIT

void seg_put_header(struct buf *b, const struct seg_footer *f);
// `bytes` starts with the header and may be longer. *header_bytes_out is its length.
MUST_CHECK bool seg_get_header(struct slice bytes, struct seg_footer *f, size_t *header_bytes_out,
                               struct err *err);

// Footer and trailer; `pos` is where the footer begins, which fixes totals.file_bytes.
void seg_put_footer(struct buf *b, uint64_t pos, struct seg_footer *f);
// The trailer tells where the footer is.
MUST_CHECK bool seg_get_trailer(struct slice trailer, uint64_t file_bytes, uint64_t *footer_pos_out,
                                uint64_t *footer_check_out, struct err *err);
MUST_CHECK bool seg_get_footer(struct slice bytes, struct seg_footer *f, struct err *err);

void seg_put_block_place(struct buf *b, const struct block_place *place);
// Reads `count` places; positions must lie back to back in [from, to).
MUST_CHECK bool seg_get_block_table(struct slice bytes, uint64_t count, uint64_t from, uint64_t to,
                                    struct block_place *places_out, struct err *err);

void seg_put_directory(struct buf *b, const struct seg_directory *d);
// Borrows from `bytes`, which live in d->arena or outlive it. Checked against the block table.
MUST_CHECK bool seg_get_directory(struct slice bytes, const struct seg_footer *f,
                                  const struct block_place *places, struct seg_directory *d,
                                  struct err *err);
