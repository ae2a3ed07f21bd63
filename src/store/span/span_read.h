/* span_read.h -- a block that is being read, inside; for span_read.c, span_strings.c and
 * span_fetch.c. */
#pragma once

#include "base/codec.h"
#include "store/span_block.h"
#include "store/span/span_format.h"
#include "store/span/span_numbers.h"

struct part {
    struct span_part_place place;
    uint64_t pos; // from the block's start
};

struct attribute_inside {
    struct part parts[2]; // values, numbers of them; or numbers alone
    struct stretch values; // of the column as stored: those of the block's rows
    uint32_t next;        // value that span_block_span() takes next
    const uint32_t *rows; // of the column, once span_block_span() was called: all columns' rows are told in one pass
};

struct span_block_inside {
    span_block_read_fn read;
    void *ctx;
    struct zbuf *z;
    uint64_t read_bytes;
    struct slice loaded;         // by span_block_narrow(): all parts as stored
    uint64_t end;                // of the last part, from the block's start
    struct stretch rows;         // of the block as stored
    uint32_t traces;             // as stored, and as all below
    const uint32_t *trace_first; // traces + 1
    const uint8_t (*span_ids)[SPAN_ID_BYTES];
    struct part parts[PARTS_COUNT];
    struct attribute_inside *attributes;
    const uint32_t *identity;     // 0, 1, 2, ...: rows of what every span has once
    const uint32_t *shape_column; // columns of all shapes, one after the other
    const uint32_t *shape_first;  // shapes_count + 1
    uint32_t shapes_count;
    struct span_resource *resources; // the block's
    bool *resources_parsed;          // of each, whether it is whole
    bool rows_known; // of all columns
    uint32_t trace;  // of the last span_block_span(), in the block
};

static inline bool rd_consumed(const struct rd *r)
{
    return !r->bad && rd_left(r) == 0;
}

// Parses what is missing of one resource.
MUST_CHECK bool span_block_parse_resource(struct span_block *b, uint32_t resource, struct err *err);
// Contents that do not add up; or there was no memory to see. Always false.
bool span_block_corrupt(const struct span_block *b, const char *what, struct err *err);
// Parts that lie side by side, in one read; `raws` has one each.
MUST_CHECK bool span_block_load(struct span_block *b, const struct part *parts, unsigned count, struct slice *raws,
                                const char *what, struct err *err);
// Reads all parts at once; span_block_load() does not read any more.
MUST_CHECK bool span_block_load_all(struct span_block *b, struct err *err);
// Texts: lengths, then all of them, to the end; NULL: they do not add up, or the arena is full.
const struct slice *span_block_take_texts(struct rd *r, struct stretch which, struct arena *a);
// Two parts of strings: distinct values, and, with `ids`, which of them each of the stretch has.
// Values that are there are left as they are.
MUST_CHECK bool span_block_strings(struct span_block *b, const struct part *parts,
                                   struct stretch which, bool ids, const char *what,
                                   struct span_strings *s, struct err *err);
// A part of numbers; NULL with an error otherwise.
const uint64_t *span_block_numbers(struct span_block *b, const struct part *part,
                                   struct stretch which, const char *what, struct err *err);
