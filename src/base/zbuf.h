/*
 * zbuf.h -- the door to zstd: one compressor or decompressor, reused; sizes always bounded by the caller.
 *
 * Not thread-safe: one per thread. A frame written here carries no checksum of its own: whatever holds
 * it (block, WAL record) is checked by XXH3 before it is decoded.
 */
#pragma once

#include "base/attr.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/slice.h"

struct zbuf;

struct zbuf *zbuf_new(void); // aborts when out of memory
void zbuf_free(struct zbuf *z);
static inline void zbuf_freep(struct zbuf **z)
{
    zbuf_free(*z);
}

// The calling thread's own, made when first asked for and freed with the thread.
struct zbuf *zbuf_of_thread(void);

// Appends one zstd frame of `in` to `out`. Fails only for memory (ERR_LIMIT).
MUST_CHECK bool zbuf_compress(struct zbuf *z, int level, struct slice in, struct buf *out,
                              struct err *err);
// Decodes one frame into exactly raw_bytes at `to`; anything else is ERR_CORRUPT.
MUST_CHECK bool zbuf_decompress(struct zbuf *z, struct slice in, uint8_t *to, size_t raw_bytes,
                                struct err *err);
// Decodes frames into to[*len .. room), from where it stopped the last time; *in is what is left of the input.
// *more_out: the room is full, or the input ends in the middle of a frame.
MUST_CHECK bool zbuf_stream(struct zbuf *z, struct slice *in, uint8_t *to, size_t room, size_t *len, bool *more_out,
                            struct err *err);
