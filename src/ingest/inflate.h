/*
 * inflate.h -- the door to zlib, snappy and lz4: request bodies decompressed, bounded before they are unpacked.
 */
#pragma once

#include "base/arena.h"
#include "base/err.h"
#include "base/slice.h"

enum inflate_format {
    INFLATE_GZIP,    // RFC 1952, several members allowed
    INFLATE_DEFLATE, // RFC 1951, raw
    INFLATE_SNAPPY,  // one block, without framing
    INFLATE_ZSTD,    // RFC 8878, several frames allowed
    INFLATE_LZ4,     // frames
    INFLATE_ZLIB,    // RFC 1950
};

// *out is in the arena. ERR_INPUT with the text to answer; ERR_TOO_LARGE above INGEST_DECODED_BYTES_MAX.
MUST_CHECK bool inflate_body(enum inflate_format format, struct slice in, struct arena *a,
                             struct slice *out, struct err *err);
