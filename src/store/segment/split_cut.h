/*
 * split_cut.h -- where a text has gaps, by the look of its bytes; for split_write.c.
 *
 * Gaps are words with a digit in them, words that stand where values do, paths, quoted texts with blanks; each time a text is
 * split again it is cut finer:
 *
 *     depth 0   words between blanks are no gaps; a quoted text with blanks is one
 *     depth 1   every word is a gap
 *     depth 2   paths are cut as well
 *
 * Any cutting is right (X1 of split_write.c), so it may change without changing the format. Takes time by the length of the text.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct split_span { // of a block's text
    uint32_t pos, len;
};

enum { SPLIT_GAPS_MAX = 255 }; // of a text; the last one takes the rest

// Classes of bytes.
enum {
    CLASS_DIGIT = 1,
    CLASS_HEX = 2,     // a to f
    CLASS_LETTER = 4,  // and others that words are made of
    CLASS_PATH = 8,    // paths are of these and words
    CLASS_OPENS = 16,  // what a word of plain text follows
    CLASS_CLOSES = 32, // what follows it
    CLASS_BEGINS = 64, // what begins a gap otherwise than as a word
    CLASS_WORD = CLASS_DIGIT | CLASS_HEX | CLASS_LETTER,
};
extern const uint8_t split_classes[256];

// The gaps of a text; a hash of their number and of what lies between them.
uint64_t split_cut(const uint8_t *text, struct split_span of, unsigned depth, struct split_span gaps[SPLIT_GAPS_MAX],
                   uint32_t *count_out);

// --- hashes of short texts ------------------------------------------------------------------------

static inline uint64_t split_mix(uint64_t hash, uint64_t value)
{
    hash = (hash ^ value) * UINT64_C(0x9e3779b97f4a7c15);
    return hash ^ hash >> 32;
}

static inline uint64_t split_load(const uint8_t *at, size_t bytes)
{
    uint64_t v = 0;
    memcpy(&v, at, bytes);
    return v;
}

static inline uint64_t split_hash(const uint8_t *at, uint32_t len)
{
    uint64_t hash = len;
    if (len >= 8) {
        for (uint32_t i = 0; i + 8 <= len; i += 8)
            hash = split_mix(hash, split_load(at + i, 8));
        return split_mix(hash, split_load(at + len - 8, 8));
    }
    if (len >= 4)
        return split_mix(hash, split_load(at, 4) | split_load(at + len - 4, 4) << 32);
    return len > 0 ? split_mix(hash, at[0] | (uint64_t)at[len / 2] << 8 | (uint64_t)at[len - 1] << 16)
                   : split_mix(hash, 0);
}
