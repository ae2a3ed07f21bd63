/*
 * split.h -- lines as templates and columns of what varies in them: the second encoding of a
 * block's lines, for block.c, tests and fuzzers. Bytes: docs/format.md "Split lines".
 *
 * Lines of one make share a template: the text that they have in common, with gaps. What stands in
 * a gap is a column over the lines of the template: numbers of a few values, small numbers, digits,
 * or texts that are split again. Most log lines take a third to a half less so than zstd makes of
 * them, and are put together again as fast as zstd decodes (bench/README.md).
 */
#pragma once

#include "base/attr.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/slice.h"
#include "base/zbuf.h"

// --- writing -------------------------------------------------------------------------------------

struct split_writer; // scratch memory, kept from block to block; one thread's

struct split_writer *split_writer_new(void);
void split_writer_free(struct split_writer *w); // NULL is fine
/*
 * Appends what split_read() makes the text of again: `count` lines back to back. *split_out false:
 * these are no lines to split (next to none share a template, or a bound would be passed), and
 * nothing was appended. Whether what was is smaller than the text under zstd is for the caller to
 * see. Fails for memory alone (ERR_LIMIT).
 */
MUST_CHECK bool split_write(struct split_writer *w, struct zbuf *z, int level, struct slice text,
                            const uint32_t *line_bytes, uint32_t count, struct buf *out,
                            bool *split_out, struct err *err);

// --- reading -------------------------------------------------------------------------------------

// Room that is needed behind the text: copies are rounded up.
enum { SPLIT_PAD_BYTES = 32 };

// The text of `count` lines of these lengths, whose sum the caller has checked to be raw_bytes, to
// `to`, which has room for SPLIT_PAD_BYTES more. ERR_CORRUPT for bytes that say anything else.
MUST_CHECK bool split_read(struct slice stored, const uint32_t *line_bytes, uint32_t count,
                           uint8_t *to, size_t raw_bytes, struct zbuf *z, struct buf *scratch,
                           struct err *err);
