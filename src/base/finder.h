/*
 * finder.h -- one text looked for again and again: chosen once by which two of its bytes tell it best, then compared
 * with 32 places at a time. Any thread.
 */
#pragma once

#include "base/slice.h"

struct finder {
    struct slice needle; // borrowed
    size_t first, second; // places of its two rarest bytes; first < second
};

void finder_init(struct finder *f, struct slice needle); // not empty
// The first occurrence in [at, end), or NULL.
const uint8_t *finder_next(const struct finder *f, const uint8_t *at, const uint8_t *end);
