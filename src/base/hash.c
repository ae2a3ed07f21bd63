/* hash.c -- the door to xxHash; see hash.h. */
#include "base/hash.h"

#include <assert.h>
#include <xxhash.h>

// xxHash wants a pointer even for nothing.
static const void *bytes_of(struct slice s)
{
    return s.len > 0 ? (const void *)s.ptr : (const void *)"";
}

uint64_t hash64(struct slice s)
{
    return XXH3_64bits(bytes_of(s), s.len);
}

uint64_t hash64_seed(struct slice s, uint64_t seed)
{
    return XXH3_64bits_withSeed(bytes_of(s), s.len, seed);
}

struct hash128 hash_128(struct slice s)
{
    XXH128_hash_t h = XXH3_128bits(bytes_of(s), s.len);
    return (struct hash128){h.high64, h.low64};
}

static XXH3_state_t *state_of(struct hash_stream *h)
{
    return (XXH3_state_t *)h;
}

struct hash_stream *hash_stream_new(void)
{
    XXH3_state_t *state = XXH3_createState();
    assert(state != NULL);
    (void)XXH3_64bits_reset(state);
    return (struct hash_stream *)state;
}

void hash_stream_free(struct hash_stream *h)
{
    (void)XXH3_freeState(state_of(h));
}

void hash_stream_reset(struct hash_stream *h)
{
    (void)XXH3_64bits_reset(state_of(h));
}

void hash_stream_add(struct hash_stream *h, struct slice s)
{
    (void)XXH3_64bits_update(state_of(h), bytes_of(s), s.len);
}

uint64_t hash_stream_value(const struct hash_stream *h)
{
    return XXH3_64bits_digest((const XXH3_state_t *)h);
}
