/*
 * block_table.h -- where the blocks of an open segment are. A table in pages, one a group of blocks, is read page by page as blocks
 * are asked for; one that is a single frame when it is opened. Bytes: docs/format.md "Block table".
 *
 * G6  No page is used before its checksum matched and its blocks fill their group. One that is damaged takes its own group alone.
 * G7  A page is read together with as many of those that come next as were read before: who reads all of them asks few times, and
 *     at most as much again is read in vain.
 *
 * Any thread.
 */
#pragma once

#include "store/segment/seg.h"

struct block_table;

MUST_CHECK bool block_table_open(const struct seg_source *source, const struct seg_footer *f, struct block_table **table_out,
                                 struct err *err);
void block_table_free(struct block_table *t); // NULL is fine

// Of a block that the footer counts: whether its place was read.
bool block_table_has(const struct block_table *t, uint32_t block);
// Its place, read if need be; lives with the table.
MUST_CHECK bool block_table_get(struct block_table *t, const struct seg_source *source, uint32_t block,
                                const struct block_place **place_out, struct err *err);
// Reads what was not read yet.
MUST_CHECK bool block_table_get_all(struct block_table *t, const struct seg_source *source, struct err *err);
// Of a block that was read: where its group has all columns of this kind, lines excepted, or in a table without groups the column alone.
void block_table_neighbours(const struct block_table *t, uint32_t block, enum block_column column, uint64_t *from_out, uint64_t *to_out);
// Places by number, as far as they were read.
const struct block_place *block_table_places(const struct block_table *t);
