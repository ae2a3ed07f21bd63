/* hash.c -- the door to xxHash; see hash.h. */
#include "base/hash.h"

#include "base/fs.h"

#include <assert.h>
#include <stdlib.h>
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

bool hash64_file(int fd, const char *path, uint64_t bytes, uint64_t *check_out, struct err *err)
{
    enum { PIECE_BYTES = 1 << 20 };
    uint8_t *piece = malloc(PIECE_BYTES);
    assert(piece != NULL);
    struct hash_stream *h = hash_stream_new();
    bool good = true;
    for (uint64_t pos = 0; good && pos < bytes; pos += PIECE_BYTES) {
        size_t len = bytes - pos < PIECE_BYTES ? (size_t)(bytes - pos) : PIECE_BYTES;
        good = fs_read_at(fd, path, pos, piece, len, err);
        if (good)
            hash_stream_add(h, slice_of(piece, len));
    }
    *check_out = hash_stream_value(h);
    hash_stream_free(h);
    free(piece);
    return good;
}
