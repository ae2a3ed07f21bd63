/*
 * span_numbers.h -- sequences of numbers as byte planes: small where numbers are alike, and decoded without a branch per
 * number. Bytes: docs/format.md "Numbers".
 */
#pragma once

#include "base/attr.h"
#include "base/buf.h"
#include "base/codec.h"

// What becomes a part: bytes, and the places where what follows is of another nature, so that each is compressed alone.
enum { PIECES_MAX = 48 };
struct pieces {
    struct buf bytes;
    size_t cuts[PIECES_MAX];
    unsigned cuts_count;
};

void pieces_done(struct pieces *p);
void pieces_reset(struct pieces *p);
// What is put from here on is a piece of its own, if it is large enough to be worth it.
void pieces_cut(struct pieces *p, size_t bytes);

void numbers_put(struct pieces *to, const uint64_t *values, uint32_t count);

// Of a sequence of `total`, `count` from `first` on.
struct stretch {
    uint32_t total, first, count;
};

static inline struct stretch stretch_all(uint32_t count)
{
    return (struct stretch){count, 0, count};
}

// Reads past all numbers and gives those of the stretch, which alone are looked at; false: they do
// not fit.
MUST_CHECK bool numbers_take32(struct rd *r, struct stretch which, uint32_t *out);
MUST_CHECK bool numbers_take64(struct rd *r, struct stretch which, uint64_t *out);
