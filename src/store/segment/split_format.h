/*
 * split_format.h -- what split_write.c and split_read.c agree on; docs/format.md "Split lines".
 */
#pragma once

#include "base/limits.h"

#include <stddef.h>
#include <stdint.h>

// In this order in the file. What is alike lies together, so that each is compressed well.
enum split_part {
    SPLIT_HEAD,    // lists, templates, values
    SPLIT_CODES,   // numbers of templates and values, small numbers: a byte each
    SPLIT_LENGTHS, // of texts
    SPLIT_DIGITS,  // texts of digits alone
    SPLIT_HEX,     // texts of digits and a to f
    SPLIT_OTHER,   // texts of anything
    SPLIT_PARTS,
};
enum { SPLIT_PART_ZSTD = 1 }; // bit of a part's varint: compressed; the rest is its raw bytes

// How a list of texts is written.
enum split_kind {
    SPLIT_END,       // no list: the template ends here
    SPLIT_VALUES,    // codes: which of the list's values
    SPLIT_NUMBERS,   // codes: the number itself, in decimal
    SPLIT_FIXED,     // texts of one length
    SPLIT_TEXTS,     // lengths, and texts
    SPLIT_TEMPLATES, // codes: which of the list's templates
};
// A list begins with a byte: its kind; of fixed and texts also the part that has them, and the
// bytes of a length.
enum {
    SPLIT_KIND_MASK = 7,
    SPLIT_CLASS_SHIFT = 3, // 2 bits: part less SPLIT_DIGITS
    SPLIT_WIDTH_SHIFT = 5, // 2 bits: a length has 1 << that many bytes, 2 at most
};

enum { SPLIT_CODES_MAX = 256 }; // values, and templates, of one list

// All parts together, decoded, of `count` lines: bounds a reader's memory and work.
static inline size_t split_parts_bytes_max(size_t line_bytes, uint32_t count)
{
    return line_bytes + 4 * (size_t)count + SPLIT_PARTS_SLACK;
}
