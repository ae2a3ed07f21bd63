/* inflate.c -- see inflate.h. */
#include "ingest/inflate.h"

#include "base/codec.h"
#include "base/limits.h"
#include "base/zbuf.h"

#include <inttypes.h>
#include <lz4frame.h>
#include <snappy-c.h>
#include <zlib.h>

static bool too_large(uint64_t bytes, struct err *err)
{
    return err_set(err, ERR_TOO_LARGE,
                   "request body too large: message size too large than max (%" PRIu64 " vs %" PRIu64 ")",
                   bytes, INGEST_DECODED_BYTES_MAX);
}

static bool unsnappy(struct slice in, struct arena *a, struct slice *out, struct err *err)
{
    size_t bytes;
    if (snappy_uncompressed_length((const char *)in.ptr, in.len, &bytes) != SNAPPY_OK)
        return err_set(err, ERR_INPUT, "snappy: corrupt input");
    if (bytes > INGEST_DECODED_BYTES_MAX)
        return too_large(bytes, err);
    // The densest element, a 64-byte copy, takes three bytes: more is a lie about the length.
    if (bytes > 64 + in.len * 32)
        return err_set(err, ERR_INPUT, "snappy: corrupt input");
    uint8_t *to = arena_alloc(a, bytes + 1);
    if (to == NULL)
        return too_large(bytes, err);
    if (snappy_uncompress((const char *)in.ptr, in.len, (char *)to, &bytes) != SNAPPY_OK)
        return err_set(err, ERR_INPUT, "snappy: corrupt input");
    *out = slice_of(to, bytes);
    return true;
}

// --- output that grows ------------------------------------------------------------------------------

struct output {
    struct arena *a;
    uint8_t *bytes;
    size_t len, room;
};

static bool grow(struct output *o, struct err *err)
{
    size_t room = o->room * 2;
    if (o->room >= INGEST_DECODED_BYTES_MAX + 1)
        return too_large(o->room, err);
    if (room > INGEST_DECODED_BYTES_MAX + 1)
        room = INGEST_DECODED_BYTES_MAX + 1;
    uint8_t *bytes = arena_alloc(o->a, room);
    if (bytes == NULL)
        return too_large(room, err);
    memcpy(bytes, o->bytes, o->len);
    o->bytes = bytes;
    o->room = room;
    return true;
}

// --- zlib -------------------------------------------------------------------------------------------

// What a gzip file says of its length, where that is credible; else a guess.
static size_t first_room(enum inflate_format format, struct slice in)
{
    size_t guess = in.len * 4 + 1024, most = in.len * 1032 + 1024;
    if (format == INFLATE_GZIP && in.len >= 18) {
        size_t said = (size_t)le_u32(in.ptr + in.len - 4) + 1;
        guess = said < most ? said : guess;
    }
    return guess < INGEST_DECODED_BYTES_MAX + 1 ? guess : INGEST_DECODED_BYTES_MAX + 1;
}

static bool run(z_stream *z, enum inflate_format format, struct output *o, struct err *err)
{
    for (;;) {
        if (o->len == o->room && !grow(o, err))
            return false;
        z->next_out = o->bytes + o->len;
        z->avail_out = (uInt)(o->room - o->len);
        int rc = inflate(z, Z_NO_FLUSH);
        o->len = o->room - z->avail_out;
        if (rc == Z_STREAM_END) {
            if (z->avail_in == 0 || format != INFLATE_GZIP)
                break;
            rc = inflateReset(z); // the next member
        } else if (rc == Z_BUF_ERROR || (rc == Z_OK && z->avail_in == 0 && z->avail_out > 0)) {
            return err_set(err, ERR_INPUT, "unexpected EOF");
        }
        if (rc != Z_OK)
            return err_set(err, ERR_INPUT, "%s: %s", format == INFLATE_GZIP ? "gzip" : format == INFLATE_ZLIB ? "zlib" : "flate",
                           z->msg != NULL ? z->msg : "corrupt input");
    }
    return o->len <= INGEST_DECODED_BYTES_MAX || too_large(o->len, err);
}

static bool unzip(enum inflate_format format, struct slice in, struct arena *a, struct slice *out,
                  struct err *err)
{
    if (in.len == 0)
        return err_set(err, ERR_INPUT, "EOF");
    struct output o = {.a = a, .room = first_room(format, in)};
    o.bytes = arena_alloc(a, o.room);
    if (o.bytes == NULL)
        return too_large(o.room, err);
    z_stream z = {.next_in = (Bytef *)(uintptr_t)in.ptr, .avail_in = (uInt)in.len};
    if (inflateInit2(&z, format == INFLATE_GZIP ? 15 + 16 : format == INFLATE_ZLIB ? 15 : -15) != Z_OK)
        return err_set(err, ERR_LIMIT, "no memory for zlib");
    bool good = run(&z, format, &o, err);
    (void)inflateEnd(&z);
    if (good)
        *out = slice_of(o.bytes, o.len);
    return good;
}

// --- zstd, lz4 --------------------------------------------------------------------------------------

static bool start(struct output *o, struct slice in, struct arena *a, struct err *err)
{
    if (in.len == 0)
        return err_set(err, ERR_INPUT, "EOF");
    size_t room = in.len * 4 + 1024;
    *o = (struct output){.a = a, .room = room < INGEST_DECODED_BYTES_MAX + 1 ? room : INGEST_DECODED_BYTES_MAX + 1};
    o->bytes = arena_alloc(a, o->room);
    return o->bytes != NULL || too_large(o->room, err);
}

static bool finish(const struct output *o, struct slice *out, struct err *err)
{
    *out = slice_of(o->bytes, o->len);
    return o->len <= INGEST_DECODED_BYTES_MAX || too_large(o->len, err);
}

static bool unzstd(struct slice in, struct arena *a, struct slice *out, struct err *err)
{
    AUTO(zbuf_freep) struct zbuf *z = zbuf_new();
    struct output o;
    if (!start(&o, in, a, err))
        return false;
    for (;;) {
        bool more;
        if (!zbuf_stream(z, &in, o.bytes, o.room, &o.len, &more, err)) {
            err->code = ERR_INPUT;
            return false;
        }
        if (!more)
            return finish(&o, out, err);
        if (o.len < o.room)
            return err_set(err, ERR_INPUT, "unexpected EOF");
        if (!grow(&o, err))
            return false;
    }
}

static bool lz4_frames(LZ4F_dctx *z, struct slice in, struct output *o, struct err *err)
{
    size_t hint = 1;
    while (in.len > 0 || hint != 0) {
        if (o->len == o->room && !grow(o, err))
            return false;
        size_t made = o->room - o->len, taken = in.len;
        hint = LZ4F_decompress(z, o->bytes + o->len, &made, in.ptr, &taken, NULL);
        if (LZ4F_isError(hint))
            return err_set(err, ERR_INPUT, "lz4: %s", LZ4F_getErrorName(hint));
        o->len += made;
        in = slice_from(in, taken);
        if (in.len == 0 && hint != 0 && o->len < o->room)
            return err_set(err, ERR_INPUT, "unexpected EOF");
    }
    return true;
}

static bool unlz4(struct slice in, struct arena *a, struct slice *out, struct err *err)
{
    struct output o;
    LZ4F_dctx *z;
    if (!start(&o, in, a, err))
        return false;
    if (LZ4F_isError(LZ4F_createDecompressionContext(&z, LZ4F_VERSION)))
        return err_set(err, ERR_LIMIT, "no memory for lz4");
    bool good = lz4_frames(z, in, &o, err);
    (void)LZ4F_freeDecompressionContext(z);
    return good && finish(&o, out, err);
}

bool inflate_body(enum inflate_format format, struct slice in, struct arena *a, struct slice *out,
                  struct err *err)
{
    switch (format) {
    case INFLATE_SNAPPY:
        return unsnappy(in, a, out, err);
    case INFLATE_ZSTD:
        return unzstd(in, a, out, err);
    case INFLATE_LZ4:
        return unlz4(in, a, out, err);
    default:
        return unzip(format, in, a, out, err);
    }
}
