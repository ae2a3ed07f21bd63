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
#define SEG_FEATURE_GROUPS UINT64_C(2) // blocks lie in groups, and the block table is in pages
#define SEG_FEATURES_KNOWN (SEG_FEATURE_SPLIT | SEG_FEATURE_GROUPS)

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

// A group of blocks, and its page of the block table.
struct seg_group {
    uint32_t first_block, blocks_count;
    uint64_t pos, bytes; // of its columns: of all lines, of all times, of all lengths, of all metadata
    uint64_t page_pos;
    uint32_t page_bytes, page_raw_bytes;
    uint64_t page_check; // XXH3-64 of the stored page
};
// Positions follow from the order of groups.
void seg_put_group(struct buf *b, const struct seg_group *g);
// *groups_out: with free(). They cover the two sections and the footer's blocks.
MUST_CHECK bool seg_get_groups(struct slice bytes, const struct seg_footer *f, const struct seg_section_place *blocks,
                               const struct seg_section_place *pages, struct seg_group **groups_out, uint32_t *count_out, struct err *err);
// Positions follow from the group.
void seg_put_block_place(struct buf *b, const struct block_place *place);
// Reads the places of a group; they must fill it.
MUST_CHECK bool seg_get_page(struct slice bytes, const struct seg_group *g, struct block_place *places_out, struct err *err);
// Of a segment without groups: reads `count` places; positions must lie back to back in [from, to).
MUST_CHECK bool seg_get_block_table(struct slice bytes, uint64_t count, uint64_t from, uint64_t to,
                                    struct block_place *places_out, struct err *err);

void seg_put_directory(struct buf *b, const struct seg_directory *d);
// Borrows from `bytes`, which live in d->arena or outlive it. Checked against the block table.
MUST_CHECK bool seg_get_directory(struct slice bytes, const struct seg_footer *f,
                                  const struct block_place *places, struct seg_directory *d,
                                  struct err *err);
