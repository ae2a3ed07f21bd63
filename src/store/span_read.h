/* span_read.h -- a block that is being read, inside; for span_read.c and span_fetch.c. */
#pragma once

#include "store/span_block.h"
#include "store/span_format.h"

struct part {
    struct span_part_place place;
    uint64_t pos; // from the block's start
};

struct attribute_inside {
    struct part parts[2]; // values, numbers of them; or numbers alone
    uint32_t next;        // value that span_block_span() takes next
    const uint32_t *rows; // of the column, once span_block_span() was called: all columns' rows are told in one pass
};

struct span_block_inside {
    span_block_read_fn read;
    void *ctx;
    struct zbuf *z;
    uint64_t read_bytes;
    struct part parts[PARTS_COUNT];
    struct attribute_inside *attributes;
    const uint32_t *identity;     // 0, 1, 2, ...: rows of what every span has once
    const uint32_t *shape_column; // columns of all shapes, one after the other
    const uint32_t *shape_first;  // shapes_count + 1
    uint32_t shapes_count;
    struct span_resource *resources; // the block's
    bool *resources_parsed;          // of each, whether it is whole
    bool rows_known; // of all columns
    uint32_t trace; // of the last span_block_span()
};

// Parses what is missing of one resource.
MUST_CHECK bool span_block_parse_resource(struct span_block *b, uint32_t resource, struct err *err);
// Contents that do not add up; or there was no memory to see. Always false.
bool span_block_corrupt(const struct span_block *b, const char *what, struct err *err);
// Parts that lie side by side, in one read; `raws` has one each.
MUST_CHECK bool span_block_load(struct span_block *b, const struct part *parts, unsigned count, struct slice *raws,
                                const char *what, struct err *err);
// Distinct values, at most `most` of them.
MUST_CHECK bool span_block_take_values(struct slice raw, uint32_t most, struct arena *a, struct span_strings *out);
// Numbers of values, all below values_count; NULL: they are not.
uint32_t *span_block_take_ids(struct slice raw, uint32_t count, uint32_t values_count, struct arena *a);
// A part of numbers; NULL with an error otherwise.
const uint64_t *span_block_numbers(struct span_block *b, const struct part *part, uint32_t count, const char *what,
                                   struct err *err);
