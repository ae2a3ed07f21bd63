/*
 * block.h -- the compressed unit of a segment: columns of entries; for siblings, tests and the dump tools.
 *
 * A block holds runs of one or several streams, one after the other; which entries are whose stands in
 * the segment's stream table. Bytes: docs/format.md "Blocks".
 */
#pragma once

#include "base/attr.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/slice.h"
#include "base/zbuf.h"

enum block_column { COLUMN_TIMES, COLUMN_LENGTHS, COLUMN_LINES, COLUMN_METADATA, COLUMNS_COUNT };

enum block_encoding {
    ENCODING_RAW = 0,
    ENCODING_ZSTD = 1,
    ENCODING_SPLIT = 2, // of lines alone: split.h
};

// One column's place; part of the segment's block table.
struct column_place {
    uint8_t encoding; // enum block_encoding
    uint32_t stored_bytes;
    uint32_t raw_bytes;
    uint64_t check; // XXH3-64 of the stored bytes
    uint64_t pos;   // in the segment
};

struct block_place {
    uint32_t entries_count;
    int64_t min_ns;
    int64_t max_ns;
    struct column_place columns[COLUMNS_COUNT];
};

// --- writing ----------------------------------------------------------------------------------------

struct block_writer;

// zstd level; a block is full with that many bytes of lines, or of metadata sets. split: lines are split where that makes them
// smaller, which takes about the time of zstd's level 3.
struct block_writer *block_writer_new(int level, size_t line_bytes_max, bool split);
void block_writer_free(struct block_writer *w);
// Copies the entry. The caller flushes before a limit of block_full() is passed. True when its metadata is that of the entry
// before, in this block.
bool block_add(struct block_writer *w, int64_t time_ns, struct slice line, struct slice metadata);
uint32_t block_entries(const struct block_writer *w);
size_t block_line_bytes(const struct block_writer *w);
bool block_full(const struct block_writer *w);
// What was added, until the block is flushed: the lines back to back; each metadata set once.
struct slice block_lines(const struct block_writer *w);
struct slice block_sets(const struct block_writer *w);
// Appends each column to its buffer, which may be the same for some, in the order of enum block_column; fills `place` (positions
// excepted), and empties the writer.
MUST_CHECK bool block_flush(struct block_writer *w, struct buf *const to[COLUMNS_COUNT], struct block_place *place, struct err *err);

// --- reading ----------------------------------------------------------------------------------------

// A decoded block; memory is kept from one use to the next. Zeroed is empty.
struct block {
    uint32_t entries_count;
    unsigned columns; // bit (1 << column) for each that is decoded
    int64_t *times_ns;       // owned, as all below
    uint32_t *line_bytes;
    const uint8_t **lines;   // into line_text
    uint8_t *line_text;      // all lines, back to back
    struct slice *metadata;  // into metadata_text
    uint8_t *metadata_text;
    size_t entries_room, line_room, metadata_room;
};

void block_done(struct block *b);
// Forgets what is decoded and sets the number of entries of the next.
void block_reset(struct block *b, uint32_t entries_count);
// Decodes one column from its stored bytes, whose check is verified first. COLUMN_LINES needs
// COLUMN_LENGTHS decoded before. ERR_CORRUPT otherwise.
MUST_CHECK bool block_decode(struct block *b, enum block_column column,
                             const struct column_place *place, struct slice stored, struct zbuf *z,
                             struct buf *scratch, struct err *err);
