/* codec.c -- bytes on disk; see codec.h. */
#include "base/codec.h"

void rd_fail(struct rd *r)
{
    r->bad = true;
    r->pos = r->end;
}

static const uint8_t *take(struct rd *r, size_t len)
{
    if (UNLIKELY(rd_left(r) < len)) {
        rd_fail(r);
        return NULL;
    }
    const uint8_t *at = r->pos;
    r->pos += len;
    return at;
}

uint8_t rd_u8(struct rd *r)
{
    const uint8_t *p = take(r, 1);
    return p != NULL ? *p : 0;
}

uint16_t rd_u16(struct rd *r)
{
    const uint8_t *p = take(r, 2);
    return p != NULL ? (uint16_t)(p[0] | p[1] << 8) : 0;
}

uint32_t rd_u32(struct rd *r)
{
    const uint8_t *p = take(r, 4);
    return p != NULL ? le_u32(p) : 0;
}

uint64_t rd_u64(struct rd *r)
{
    const uint8_t *p = take(r, 8);
    return p != NULL ? le_u64(p) : 0;
}

int64_t rd_i64(struct rd *r)
{
    return (int64_t)rd_u64(r);
}

uint64_t rd_varint_long(struct rd *r)
{
    uint64_t value = 0;
    for (unsigned shift = 0; shift < 7 * VARINT_BYTES_MAX; shift += 7) {
        if (UNLIKELY(r->pos == r->end))
            break;
        uint8_t byte = *r->pos++;
        if (shift == 63 && byte > 1)
            break; // bits past the 64th
        value |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80)
            return value;
    }
    rd_fail(r);
    return 0;
}

int64_t rd_zigzag(struct rd *r)
{
    uint64_t v = rd_varint(r);
    return (int64_t)(v >> 1 ^ -(v & 1));
}

struct slice rd_bytes(struct rd *r, size_t len)
{
    const uint8_t *p = take(r, len);
    return p != NULL ? slice_of(p, len) : (struct slice){0};
}

struct slice rd_prefixed(struct rd *r)
{
    uint64_t len = rd_varint_max(r, rd_left(r));
    return rd_bytes(r, (size_t)len);
}

void put_u8(struct buf *b, uint8_t v)
{
    buf_put_byte(b, v);
}

void put_u16(struct buf *b, uint16_t v)
{
    uint8_t bytes[2] = {(uint8_t)v, (uint8_t)(v >> 8)};
    buf_put(b, bytes, sizeof bytes);
}

void put_u32(struct buf *b, uint32_t v)
{
    uint8_t bytes[4];
    le_put_u32(bytes, v);
    buf_put(b, bytes, sizeof bytes);
}

void put_u64(struct buf *b, uint64_t v)
{
    uint8_t bytes[8];
    le_put_u64(bytes, v);
    buf_put(b, bytes, sizeof bytes);
}

void put_i64(struct buf *b, int64_t v)
{
    put_u64(b, (uint64_t)v);
}

void put_varint(struct buf *b, uint64_t v)
{
    while (v >= 0x80) {
        buf_put_byte(b, (uint8_t)(v | 0x80));
        v >>= 7;
    }
    buf_put_byte(b, (uint8_t)v);
}

void put_zigzag(struct buf *b, int64_t v)
{
    put_varint(b, (uint64_t)v << 1 ^ (uint64_t)(v >> 63));
}

void put_prefixed(struct buf *b, struct slice s)
{
    put_varint(b, s.len);
    buf_put_slice(b, s);
}
