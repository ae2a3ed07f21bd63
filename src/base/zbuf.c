/* zbuf.c -- the door to zstd; see zbuf.h. */
#include "base/zbuf.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>
#include <zstd.h>

struct zbuf {
    ZSTD_CCtx *compressor;     // owned; made when first used
    ZSTD_DCtx *decompressor;   // likewise
};

struct zbuf *zbuf_new(void)
{
    struct zbuf *z = calloc(1, sizeof *z);
    assert(z != NULL);
    return z;
}

void zbuf_free(struct zbuf *z)
{
    if (z == NULL)
        return;
    (void)ZSTD_freeCCtx(z->compressor);
    (void)ZSTD_freeDCtx(z->decompressor);
    free(z);
}

static pthread_key_t thread_key;

static void free_of_thread(void *z)
{
    zbuf_free(z);
}

static void make_key(void)
{
    int rc = pthread_key_create(&thread_key, free_of_thread);
    assert(rc == 0);
}

struct zbuf *zbuf_of_thread(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    (void)pthread_once(&once, make_key);
    struct zbuf *z = pthread_getspecific(thread_key);
    if (z == NULL) {
        z = zbuf_new();
        (void)pthread_setspecific(thread_key, z);
    }
    return z;
}

bool zbuf_compress(struct zbuf *z, int level, struct slice in, struct buf *out, struct err *err)
{
    if (z->compressor == NULL) {
        z->compressor = ZSTD_createCCtx();
        assert(z->compressor != NULL);
    }
    size_t room = ZSTD_compressBound(in.len);
    uint8_t *to = buf_reserve(out, room);
    if (to == NULL)
        return err_set(err, ERR_LIMIT, "compress: no memory for %zu bytes", room);
    size_t bytes = ZSTD_compressCCtx(z->compressor, to, room, in.ptr, in.len, level);
    if (ZSTD_isError(bytes))
        return err_set(err, ERR_LIMIT, "compress: %s", ZSTD_getErrorName(bytes));
    out->len += bytes;
    return true;
}

static ZSTD_DCtx *decompressor(struct zbuf *z)
{
    if (z->decompressor == NULL) {
        z->decompressor = ZSTD_createDCtx();
        assert(z->decompressor != NULL);
    }
    return z->decompressor;
}

bool zbuf_stream(struct zbuf *z, struct slice *in, uint8_t *to, size_t room, size_t *len, bool *more_out,
                 struct err *err)
{
    ZSTD_inBuffer from = {in->ptr, in->len, 0};
    ZSTD_outBuffer out = {to, room, *len};
    size_t hint;
    do {
        hint = ZSTD_decompressStream(decompressor(z), &out, &from);
        if (ZSTD_isError(hint))
            return err_set(err, ERR_CORRUPT, "decompress: %s", ZSTD_getErrorName(hint));
    } while (from.pos < from.size && out.pos < out.size);
    *in = slice_from(*in, from.pos);
    *len = out.pos;
    *more_out = hint != 0 || from.pos < from.size;
    return true;
}

bool zbuf_decompress(struct zbuf *z, struct slice in, uint8_t *to, size_t raw_bytes, struct err *err)
{
    size_t bytes = ZSTD_decompressDCtx(decompressor(z), to, raw_bytes, in.ptr, in.len);
    if (ZSTD_isError(bytes))
        return err_set(err, ERR_CORRUPT, "decompress: %s", ZSTD_getErrorName(bytes));
    if (bytes != raw_bytes)
        return err_set(err, ERR_CORRUPT, "decompress: %zu bytes instead of %zu", bytes, raw_bytes);
    return true;
}
