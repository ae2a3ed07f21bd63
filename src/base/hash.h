/* hash.h -- the door to xxHash: XXH3 for checksums (64 bits) and fingerprints (128 bits). Any thread. */
#pragma once

#include "base/attr.h"
#include "base/err.h"
#include "base/slice.h"

struct hash128 {
    uint64_t hi;
    uint64_t lo;
};

uint64_t hash64(struct slice s);
uint64_t hash64_seed(struct slice s, uint64_t seed);
struct hash128 hash_128(struct slice s);

static inline bool hash128_eq(struct hash128 a, struct hash128 b)
{
    return a.hi == b.hi && a.lo == b.lo;
}

// XXH3-64 over several pieces, as if they were one.
struct hash_stream; // opaque
struct hash_stream *hash_stream_new(void); // aborts when out of memory
void hash_stream_free(struct hash_stream *h);
void hash_stream_reset(struct hash_stream *h);
void hash_stream_add(struct hash_stream *h, struct slice s);
uint64_t hash_stream_value(const struct hash_stream *h);

// XXH3-64 of the first bytes of a file.
MUST_CHECK bool hash64_file(int fd, const char *path, uint64_t bytes, uint64_t *check_out, struct err *err);
