/*
 * keys.h -- big-endian keys and row bytes of the index (docs/format.md "Index").
 *
 * Big-endian because LMDB compares bytes and we need numeric order. Every key of users' data begins with
 * the namespace's number. A label pair is `name NUL value`; where the key would pass
 * INDEX_KEY_BYTES_MAX the pair stands as its XXH3-128 behind another kind byte, and the pair itself is
 * in table long_pairs.
 */
#pragma once

#include "base/attr.h"
#include "base/hash.h"
#include "base/limits.h"
#include "base/slice.h"

#include <stdbool.h>
#include <stdint.h>

struct key {
    uint8_t bytes[INDEX_KEY_BYTES_MAX];
    size_t len;
    bool over; // something did not fit; the key is not to be used
};

static inline struct slice key_slice(const struct key *k)
{
    return slice_of(k->bytes, k->len);
}

enum pair_kind { PAIR_SHORT = 0, PAIR_LONG = 1 };

void key_start(struct key *k);
void key_u8(struct key *k, uint8_t v);
void key_u32(struct key *k, uint32_t v);
void key_u64(struct key *k, uint64_t v);
void key_bytes(struct key *k, struct slice s);
// Which of the two does not depend on the table.
void key_pair(struct key *k, struct slice name, struct slice value);
struct hash128 pair_hash(struct slice name, struct slice value);
bool pair_is_long(struct slice name, struct slice value);

uint32_t be_u32(const uint8_t *p);
uint64_t be_u64(const uint8_t *p);
void be_put_u64(uint8_t *p, uint64_t v);
