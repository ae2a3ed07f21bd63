/*
 * keys.c -- big-endian keys of the index; see keys.h.
 */
#include "index/keys.h"

#include <assert.h>

// What may stand in front of a pair in any table: namespace, day, kind.
enum { PAIR_PREFIX_BYTES_MAX = 4 + 4 + 1 };

void key_start(struct key *k)
{
    k->len = 0;
    k->over = false;
}

void key_bytes(struct key *k, struct slice s)
{
    if (s.len > sizeof k->bytes - k->len) {
        k->over = true;
        return;
    }
    if (s.len > 0)
        memcpy(k->bytes + k->len, s.ptr, s.len);
    k->len += s.len;
}

void key_u8(struct key *k, uint8_t v)
{
    key_bytes(k, slice_of(&v, 1));
}

void key_u32(struct key *k, uint32_t v)
{
    uint8_t b[4] = {(uint8_t)(v >> 24), (uint8_t)(v >> 16), (uint8_t)(v >> 8), (uint8_t)v};
    key_bytes(k, slice_of(b, sizeof b));
}

void be_put_u64(uint8_t *p, uint64_t v)
{
    for (int i = 0; i < 8; i++)
        p[i] = (uint8_t)(v >> (56 - 8 * i));
}

void key_u64(struct key *k, uint64_t v)
{
    uint8_t b[8];
    be_put_u64(b, v);
    key_bytes(k, slice_of(b, sizeof b));
}

bool pair_is_long(struct slice name, struct slice value)
{
    return PAIR_PREFIX_BYTES_MAX + name.len + 1 + value.len > INDEX_KEY_BYTES_MAX;
}

struct hash128 pair_hash(struct slice name, struct slice value)
{
    // Two hashes chained rather than one over a copy: names and values are borrowed from two places.
    struct hash128 n = hash_128(name), v = hash_128(value);
    uint8_t both[32];
    be_put_u64(both, n.hi);
    be_put_u64(both + 8, n.lo);
    be_put_u64(both + 16, v.hi);
    be_put_u64(both + 24, v.lo);
    return hash_128(slice_of(both, sizeof both));
}

void key_pair(struct key *k, struct slice name, struct slice value)
{
    if (pair_is_long(name, value)) {
        struct hash128 h = pair_hash(name, value);
        key_u8(k, PAIR_LONG);
        key_u64(k, h.hi);
        key_u64(k, h.lo);
    } else {
        key_u8(k, PAIR_SHORT);
        key_bytes(k, name);
        key_u8(k, 0);
        key_bytes(k, value);
    }
    assert(!k->over);
}

uint32_t be_u32(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | (uint32_t)p[3];
}

uint64_t be_u64(const uint8_t *p)
{
    return (uint64_t)be_u32(p) << 32 | be_u32(p + 4);
}
