/*
 * span_format.h -- parts of a span block as they lie in the file (docs/format.md "Span blocks"); for span_write.c and
 * span_read.c.
 */
#pragma once

#include "base/limits.h"
#include "store/span_block.h"

// In this order behind the head; then those of the attributes. Numbers are on disk: what a query of times, statuses,
// names and services reads lies together.
enum span_part {
    PART_STATUSES,
    PART_DURATIONS,
    PART_KINDS,
    PART_TRACE_COUNTS,
    PART_STARTS,
    PART_NAME_VALUES,
    PART_NAME_IDS,
    PART_RESOURCE_VALUES,
    PART_RESOURCE_IDS,
    PART_SHAPE_VALUES,
    PART_SHAPE_IDS,
    PART_TRACE_IDS,
    PART_SPAN_IDS,
    PART_PARENTS,
    PART_PARENT_IDS,
    PART_SCOPE_VALUES,
    PART_SCOPE_IDS,
    PART_MESSAGE_VALUES,
    PART_MESSAGE_IDS,
    PART_STATE_VALUES,
    PART_STATE_IDS,
    PART_EVENTS,
    PART_LINKS,
    PART_REST,
    PARTS_COUNT,
};

enum span_part_encoding { PART_RAW = 0, PART_PIECES = 1 };
enum { PIECE_ZSTD = 1 }; // bit of a piece's varint: compressed; the rest is its raw bytes

struct span_part_place {
    uint8_t encoding; // enum span_part_encoding
    uint32_t stored_bytes;
    uint32_t raw_bytes;
    uint64_t check; // XXH3-64 of the stored bytes
};

// Numbers: a sequence of `count` of them, which the reader knows.
enum {
    NUMBERS_WIDTH_MASK = 0x0f, // bytes of a code, or one of those below
    NUMBERS_BITS_1 = 9,        // codes of less than a byte
    NUMBERS_BITS_2 = 10,
    NUMBERS_BITS_4 = 11,
    NUMBERS_SCALE_SHIFT = 4, // 2 bits: codes are in 1000^scale
    NUMBERS_TABLE = 0x40,    // codes are places in a table
    NUMBERS_TABLE_MAX = 256,
};

// Numbers of values: either themselves, or 0 for one that is new and else how many values ago it was new.
enum span_ids_form { IDS_PLAIN = 0, IDS_RECENT = 1 };

// Parents: of a span's row less its parent's, zigzag, plus PARENT_NEAR.
enum { PARENT_NONE = 0, PARENT_FAR = 1, PARENT_NEAR = 2 };

// How many parts an attribute of that kind has.
static inline unsigned span_kind_parts(enum span_value_kind kind)
{
    return kind == VALUE_NONE ? 0 : kind == VALUE_BOOL || kind == VALUE_INT || kind == VALUE_DOUBLE ? 1 : 2;
}

// Values of one attribute of a block: what a block's bytes can hold, and what a reader takes.
#define SPAN_BLOCK_VALUES_MAX (SPAN_BLOCK_RAW_BYTES_MAX / 8)
