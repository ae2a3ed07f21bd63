/*
 * prefix_page.h -- pairs of a hash's prefix and a segment's number, ascending, packed in about a page; for traces.c.
 *
 * Prefixes are in the form of Elias and Fano (Vigna, "Quasi-succinct indices"): low bits as they are, what is above in
 * unary; so a page is searched without being decoded. Bytes: docs/format.md "Index".
 */
#pragma once

#include "base/attr.h"
#include "base/buf.h"
#include "base/slice.h"

#include <stdbool.h>
#include <stdint.h>

enum {
    PREFIX_PAGE_BYTES = 4080,        // with LMDB's own header one page of 4096 bytes
    PREFIX_PAGE_ENTRIES_MAX = 8192,
};

struct prefix_entry {
    uint32_t prefix;
    uint32_t segment;
};

// Appends a page of the first entries, as many as it takes, and returns how many; at least one. They ascend by prefix, then
// segment; segments are below 1 << segment_bits.
size_t prefix_page_put(const struct prefix_entry *entries, size_t count, unsigned segment_bits, struct buf *out);

struct prefix_page {
    uint32_t first, last;
    uint32_t entries_count;
    unsigned low_bits, segment_bits;
    uint32_t upper_bits;
    const uint8_t *uppers, *lows, *segments; // borrowed
};

// False: the bytes are no page.
MUST_CHECK bool prefix_page_open(struct slice bytes, struct prefix_page *out);
// The entries of a prefix: at *first_out on, so many.
uint32_t prefix_page_find(const struct prefix_page *p, uint32_t prefix, uint32_t *first_out);
uint32_t prefix_page_segment(const struct prefix_page *p, uint32_t entry);
// All entries; there is room for entries_count. False: the page's bits do not add up.
MUST_CHECK bool prefix_page_all(const struct prefix_page *p, struct prefix_entry *out);
