/* gzip.c -- see gzip.h. */
#include "server/gzip.h"

#include <stdlib.h>
#include <zlib.h>

enum { GZIP_LEVEL = 1, GZIP_WINDOW_BITS = 15 + 16, GZIP_MEMORY_LEVEL = 8 };

static bool is_refused(struct slice parameters)
{
    size_t q = slice_find(parameters, SLICE("q="));
    if (q == SIZE_MAX)
        return false;
    struct slice value = slice_trim(slice_from(parameters, q + 2));
    for (size_t i = 0; i < value.len; i++)
        if (value.ptr[i] != '0' && value.ptr[i] != '.')
            return false;
    return true;
}

bool gzip_wanted(struct slice header)
{
    for (struct slice item; slice_next(&header, ',', &item);) {
        size_t semicolon = slice_find(item, SLICE(";"));
        struct slice name = slice_trim(semicolon == SIZE_MAX ? item : slice_of(item.ptr, semicolon));
        if (slice_eq(name, SLICE("gzip")))
            return semicolon == SIZE_MAX || !is_refused(slice_from(item, semicolon + 1));
    }
    return false;
}

bool gzip_body(struct buf *body)
{
    z_stream z = {0};
    if (deflateInit2(&z, GZIP_LEVEL, Z_DEFLATED, GZIP_WINDOW_BITS, GZIP_MEMORY_LEVEL,
                     Z_DEFAULT_STRATEGY) != Z_OK)
        return false;
    uLong room = deflateBound(&z, (uLong)body->len);
    uint8_t *to = malloc(room);
    z.next_in = body->ptr;
    z.avail_in = (uInt)body->len;
    z.next_out = to;
    z.avail_out = (uInt)room;
    bool good = to != NULL && deflate(&z, Z_FINISH) == Z_STREAM_END && z.total_out < body->len;
    size_t len = z.total_out;
    (void)deflateEnd(&z);
    if (!good) {
        free(to);
        return false;
    }
    free(body->ptr);
    body->ptr = to;
    body->len = len;
    body->room = room;
    return true;
}
