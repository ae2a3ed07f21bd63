/* finder.c -- see finder.h. */
#include "base/finder.h"

#include <assert.h>

// Bytes of logs from the commonest to rarer ones; what is not named is rarer still.
static const char common[] = " 01e\"23456789atoinsr:./=-lcdu,mphg_bfwvk{}[]yxjqzTSEACINRODLPMUGHFBWVKY()%;&?+<>@!#|";

static unsigned rarity(uint8_t c)
{
    const char *at = memchr(common, c, sizeof common - 1);
    return at != NULL ? (unsigned)(at - common) : sizeof common;
}

void finder_init(struct finder *f, struct slice needle)
{
    assert(needle.len > 0);
    size_t best = 0, next = needle.len > 1; // next: the best of the others
    for (size_t i = 1; i < needle.len; i++)
        best = rarity(needle.ptr[i]) > rarity(needle.ptr[best]) ? i : best;
    next = best == next ? 0 : next;
    for (size_t i = 0; i < needle.len; i++)
        next = i != best && rarity(needle.ptr[i]) > rarity(needle.ptr[next]) ? i : next;
    *f = (struct finder){needle, best < next ? best : next, best < next ? next : best};
}

static const uint8_t *find_plain(const struct finder *f, const uint8_t *at, const uint8_t *end)
{
    return memmem(at, (size_t)(end - at), f->needle.ptr, f->needle.len);
}

#ifdef __x86_64__
#include <immintrin.h>

__attribute__((target("avx2"))) static const uint8_t *find_wide(const struct finder *f, const uint8_t *at,
                                                                const uint8_t *end)
{
    const __m256i first = _mm256_set1_epi8((char)f->needle.ptr[f->first]);
    const __m256i second = _mm256_set1_epi8((char)f->needle.ptr[f->second]);
    // Every place of a step has room for the whole needle behind it.
    while ((size_t)(end - at) >= f->needle.len + 31) {
        __m256i a = _mm256_cmpeq_epi8(first, _mm256_loadu_si256((const __m256i *)(at + f->first)));
        __m256i b = _mm256_cmpeq_epi8(second, _mm256_loadu_si256((const __m256i *)(at + f->second)));
        uint32_t places = (uint32_t)_mm256_movemask_epi8(_mm256_and_si256(a, b));
        for (; places != 0; places &= places - 1) {
            const uint8_t *place = at + __builtin_ctz(places);
            if (memcmp(place, f->needle.ptr, f->needle.len) == 0)
                return place;
        }
        at += 32;
    }
    return find_plain(f, at, end);
}
#endif

const uint8_t *finder_next(const struct finder *f, const uint8_t *at, const uint8_t *end)
{
#ifdef __x86_64__
    if (__builtin_cpu_supports("avx2"))
        return find_wide(f, at, end);
#endif
    return find_plain(f, at, end);
}
