/*
 * bytes.h -- where pieces of JSON and logfmt end: 16 bytes of a line at a time.
 *
 * All look from `at` on and give `end` where nothing is found.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

// The next quote or backslash.
static inline const uint8_t *bytes_quote(const uint8_t *at, const uint8_t *end)
{
#ifdef __SSE2__
    const __m128i quote = _mm_set1_epi8('"'), backslash = _mm_set1_epi8('\\');
    for (; end - at >= 16; at += 16) {
        __m128i text = _mm_loadu_si128((const __m128i *)at);
        int hits = _mm_movemask_epi8(_mm_or_si128(_mm_cmpeq_epi8(text, quote), _mm_cmpeq_epi8(text, backslash)));
        if (hits != 0)
            return at + __builtin_ctz((unsigned)hits);
    }
#endif
    while (at < end && *at != '"' && *at != '\\')
        at++;
    return at;
}

// The next byte that ends a bare word of logfmt: a blank or control character, an equals sign, a quote.
static inline const uint8_t *bytes_word_end(const uint8_t *at, const uint8_t *end)
{
#ifdef __SSE2__
    const __m128i blank = _mm_set1_epi8(' '), equals = _mm_set1_epi8('='), quote = _mm_set1_epi8('"');
    for (; end - at >= 16; at += 16) {
        __m128i text = _mm_loadu_si128((const __m128i *)at);
        __m128i ends = _mm_or_si128(_mm_cmpeq_epi8(_mm_max_epu8(text, blank), blank),
                                    _mm_or_si128(_mm_cmpeq_epi8(text, equals), _mm_cmpeq_epi8(text, quote)));
        int hits = _mm_movemask_epi8(ends);
        if (hits != 0)
            return at + __builtin_ctz((unsigned)hits);
    }
#endif
    while (at < end && *at > ' ' && *at != '=' && *at != '"')
        at++;
    return at;
}
