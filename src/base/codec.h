/*
 * codec.h -- bytes on disk: fixed little-endian integers, LEB128 varints, zigzag, length-prefixed bytes.
 *
 * Readers (`struct rd`) never pass their end; the first failure sticks in `bad` and later reads give
 * zeros and empty slices. Writers append to a struct buf.
 */
#pragma once

#include "base/buf.h"
#include "base/slice.h"

enum { VARINT_BYTES_MAX = 10 };

struct rd {
    const uint8_t *pos;
    const uint8_t *end;
    bool bad;
};

static inline struct rd rd_of(struct slice s)
{
    return (struct rd){s.ptr, s.len > 0 ? s.ptr + s.len : s.ptr, false}; // empty slices may be NULL
}

static inline size_t rd_left(const struct rd *r)
{
    return (size_t)(r->end - r->pos);
}

uint8_t rd_u8(struct rd *r);
uint16_t rd_u16(struct rd *r);
uint32_t rd_u32(struct rd *r);
uint64_t rd_u64(struct rd *r);
int64_t rd_i64(struct rd *r);
// Over ten bytes, or bits past the 64th: bad.
uint64_t rd_varint_long(struct rd *r); // the general case
static inline uint64_t rd_varint(struct rd *r)
{
    if (r->pos < r->end && *r->pos < 0x80)
        return *r->pos++;
    if (rd_left(r) >= 2 && r->pos[1] < 0x80) {
        r->pos += 2;
        return (r->pos[-2] & 0x7fU) | (uint64_t)r->pos[-1] << 7;
    }
    return rd_varint_long(r);
}
// Makes the rest unreadable, so that nothing is read after a failure.
void rd_fail(struct rd *r);
// As rd_varint; a value above max is bad.
static inline uint64_t rd_varint_max(struct rd *r, uint64_t max)
{
    uint64_t value = rd_varint(r);
    if (value <= max)
        return value;
    rd_fail(r);
    return 0;
}
int64_t rd_zigzag(struct rd *r);
// The next len bytes, borrowed.
struct slice rd_bytes(struct rd *r, size_t len);
// varint length, then so many bytes.
struct slice rd_prefixed(struct rd *r);

// What put_varint() appends.
static inline size_t varint_bytes(uint64_t v)
{
    return (size_t)(70 - __builtin_clzll(v | 1)) / 7;
}

void put_u8(struct buf *b, uint8_t v);
void put_u16(struct buf *b, uint16_t v);
void put_u32(struct buf *b, uint32_t v);
void put_u64(struct buf *b, uint64_t v);
void put_i64(struct buf *b, int64_t v);
void put_varint(struct buf *b, uint64_t v);
void put_zigzag(struct buf *b, int64_t v);
void put_prefixed(struct buf *b, struct slice s);

// Raw forms on memory that the caller sized.
static inline void le_put_u32(uint8_t *p, uint32_t v)
{
    for (int i = 0; i < 4; i++)
        p[i] = (uint8_t)(v >> (8 * i));
}
static inline void le_put_u64(uint8_t *p, uint64_t v)
{
    for (int i = 0; i < 8; i++)
        p[i] = (uint8_t)(v >> (8 * i));
}
static inline uint32_t le_u32(const uint8_t *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}
static inline uint64_t le_u64(const uint8_t *p)
{
    return (uint64_t)le_u32(p) | (uint64_t)le_u32(p + 4) << 32;
}
