/* utf8.h -- one character at a time; an invalid byte counts as one character, as in Go. */
#pragma once

#include "base/slice.h"

enum { UTF8_INVALID = 0xFFFD };

// Decodes the character at s.ptr[0] (s.len > 0) and returns its bytes. An invalid byte gives length 1,
// UTF8_INVALID and *valid_out false; a well-formed U+FFFD has length 3 and is valid.
static inline size_t utf8_decode(struct slice s, uint32_t *rune_out, bool *valid_out)
{
    uint8_t b0 = s.ptr[0];
    *valid_out = true;
    if (b0 < 0x80) {
        *rune_out = b0;
        return 1;
    }
    size_t need = b0 >= 0xF0 && b0 <= 0xF4 ? 4 : b0 >= 0xE0 ? 3 : b0 >= 0xC2 ? 2 : 0;
    if (b0 > 0xF4 || need > s.len)
        need = 0;
    uint32_t rune = need == 4 ? b0 & 7U : need == 3 ? b0 & 15U : b0 & 31U;
    for (size_t i = 1; i < need; i++) {
        if ((s.ptr[i] & 0xC0) != 0x80) {
            need = 0;
            break;
        }
        rune = rune << 6 | (s.ptr[i] & 63U);
    }
    if (need == 0 || (need == 3 && (rune < 0x800 || (rune >= 0xD800 && rune <= 0xDFFF))) ||
        (need == 4 && (rune < 0x10000 || rune > 0x10FFFF))) {
        *rune_out = UTF8_INVALID;
        *valid_out = false;
        return 1;
    }
    *rune_out = rune;
    return need;
}

// Writes one to four bytes; `rune` is a Unicode scalar value.
static inline size_t utf8_encode(uint32_t rune, uint8_t out[4])
{
    if (rune < 0x80) {
        out[0] = (uint8_t)rune;
        return 1;
    }
    size_t len = rune < 0x800 ? 2 : rune < 0x10000 ? 3 : 4;
    for (size_t i = len - 1; i > 0; i--, rune >>= 6)
        out[i] = (uint8_t)(0x80 | (rune & 63));
    static const uint8_t mark[5] = {0, 0, 0xC0, 0xE0, 0xF0};
    out[0] = (uint8_t)(mark[len] | rune);
    return len;
}

static inline bool utf8_is_ascii(struct slice s)
{
    uint64_t bits = 0, word;
    uint32_t first, last;
    if (s.len >= 8) {
        for (size_t i = 0; i + 8 < s.len; i += 8) {
            memcpy(&word, s.ptr + i, sizeof word);
            bits |= word;
        }
        memcpy(&word, s.ptr + s.len - 8, sizeof word);
        bits |= word;
    } else if (s.len >= 4) {
        memcpy(&first, s.ptr, sizeof first);
        memcpy(&last, s.ptr + s.len - 4, sizeof last);
        bits = first | last;
    } else {
        for (size_t i = 0; i < s.len; i++)
            bits |= s.ptr[i];
    }
    return (bits & UINT64_C(0x8080808080808080)) == 0;
}

// Position of the first byte that is not part of valid UTF-8, or s.len.
static inline size_t utf8_valid_prefix(struct slice s)
{
    for (size_t i = 0; i < s.len;) {
        if (s.ptr[i] < 0x80) {
            i++;
            continue;
        }
        uint32_t rune;
        bool valid;
        size_t len = utf8_decode(slice_from(s, i), &rune, &valid);
        if (!valid)
            return i;
        i += len;
    }
    return s.len;
}

// Invalid bytes and U+FFFD become blanks; borrows where there are none. An empty slice (ptr NULL) when the
// arena is full.
struct arena;
struct slice utf8_blanked_long(struct slice s, struct arena *a); // the general case
static inline struct slice utf8_blanked(struct slice s, struct arena *a)
{
    return utf8_is_ascii(s) ? s : utf8_blanked_long(s, a);
}
