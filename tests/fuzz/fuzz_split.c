/*
 * fuzz_split.c -- split lines.
 *
 * First byte even: the rest are lines to split, of which each is taken many times with other digits
 * and letters in it, so that there is something to split; they come back. Odd: a varint count of
 * lines, their lengths, and the column's bytes, to be read.
 */
#include "fuzz.h"

#include "base/codec.h"
#include "base/limits.h"
#include "store/segment/split.h"

#include <stdlib.h>

enum { LINES_MAX = 2000, COPIES = 20, LINE_BYTES_MAX = 1 << 16 };

static struct zbuf *z;
static struct split_writer *writer;
static struct buf scratch, text, stored;
static uint32_t line_bytes[LINES_MAX];

static bool read_back(struct slice column, uint32_t count, size_t bytes, uint8_t **to_out)
{
    struct err err;
    *to_out = malloc(bytes + SPLIT_PAD_BYTES);
    bool good = split_read(column, line_bytes, count, *to_out, bytes, z, &scratch, &err);
    if (!good && err.code != ERR_CORRUPT)
        abort();
    return good;
}

static uint8_t vary(uint8_t c, unsigned copy)
{
    return c >= '0' && c <= '9'   ? (uint8_t)('0' + (c + copy) % 10)
           : c >= 'u' && c <= 'z' ? (uint8_t)('u' + (c + copy / 3) % 6)
                                  : c;
}

static void fuzz_lines(struct slice lines)
{
    uint32_t count = 0;
    buf_reset(&text);
    buf_reset(&stored);
    for (size_t from = 0; from < lines.len && count + COPIES <= LINES_MAX;) {
        const uint8_t *end = memchr(lines.ptr + from, '\n', lines.len - from);
        size_t len = end != NULL ? (size_t)(end - lines.ptr) - from : lines.len - from;
        for (unsigned copy = 0; copy < COPIES; copy++) {
            for (size_t i = 0; i < len; i++)
                buf_put_byte(&text, vary(lines.ptr[from + i], copy));
            line_bytes[count++] = (uint32_t)len;
        }
        from += len + 1;
    }
    struct err err;
    bool split;
    uint8_t *back;
    if (count == 0)
        return;
    if (!split_write(writer, z, 1, buf_slice(&text), line_bytes, count, &stored, &split, &err))
        abort();
    if (!split)
        return;
    if (!read_back(buf_slice(&stored), count, text.len, &back) ||
        memcmp(back, text.ptr, text.len) != 0)
        abort();
    free(back);
}

static void fuzz_column(struct rd r)
{
    uint32_t count = (uint32_t)rd_varint_max(&r, LINES_MAX);
    size_t bytes = 0;
    for (uint32_t i = 0; i < count; i++) {
        line_bytes[i] = (uint32_t)rd_varint_max(&r, LINE_BYTES_MAX);
        bytes += line_bytes[i];
    }
    uint8_t *to;
    if (r.bad || bytes > BLOCK_RAW_BYTES_MAX / 16)
        return;
    (void)read_back(rd_bytes(&r, rd_left(&r)), count, bytes, &to);
    free(to);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    if (z == NULL) {
        z = zbuf_new();
        writer = split_writer_new();
    }
    if (len == 0)
        return 0;
    if (bytes[0] % 2 == 0)
        fuzz_lines(slice_of(bytes + 1, len - 1));
    else
        fuzz_column(rd_of(slice_of(bytes + 1, len - 1)));
    return 0;
}
