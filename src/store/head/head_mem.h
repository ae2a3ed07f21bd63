/*
 * head_mem.h -- what a head is made of: text that never moves, hash tables of numbers, numbered
 * byte strings; for head.c and head_spans.c.
 *
 * Text and tables are mapped rather than malloc'ed: a sealed generation's memory goes back to the
 * system at once. Not thread-safe: the head's lock guards all.
 */
#pragma once

#include "base/slice.h"

#include <stddef.h>
#include <stdint.h>

void *head_map(size_t bytes);
void head_unmap(void *p, size_t bytes);
// Doubles a malloc'ed array.
void *head_grown(void *items, uint32_t *room, size_t item_bytes);

// Pages of bytes; `bytes` counts what a head holds, here and elsewhere.
struct head_text {
    struct head_text_page *pages; // newest first
    uint8_t *pos, *end;
    uint64_t bytes;
};
struct slice head_text_copy(struct head_text *t, struct slice s);
void head_text_done(struct head_text *t);

// Open addressing. A slot holds a hash in its high half and number + 1 in its low; 0 is empty.
struct head_table {
    uint64_t *slots; // mapped
    size_t room;     // a power of two
    size_t count;
};
// After head_table_room(): there is room for one more.
void head_table_put(struct head_table *t, uint32_t hash, uint32_t number);
void head_table_room(struct head_text *t, struct head_table *table);
void head_table_done(struct head_table *t);
static inline size_t head_table_start(const struct head_table *t, uint32_t hash)
{
    return t->room == 0 ? 0 : hash & (t->room - 1);
}
// Next candidate with this hash from *at (head_table_start()) on, or UINT32_MAX.
static inline uint32_t head_table_next(const struct head_table *t, uint32_t hash, size_t *at)
{
    for (; t->room > 0 && t->slots[*at] != 0; *at = (*at + 1) & (t->room - 1)) {
        uint64_t slot = t->slots[*at];
        if (slot >> 32 != hash)
            continue;
        *at = (*at + 1) & (t->room - 1);
        return (uint32_t)slot - 1;
    }
    return UINT32_MAX;
}

// Distinct byte strings, numbered.
struct head_names {
    struct slice *items; // owned; text
    uint32_t count, room;
    struct head_table known;
};
uint32_t head_names_find(const struct head_names *names, struct slice s); // UINT32_MAX when unknown
uint32_t head_names_add(struct head_text *t, struct head_names *names, struct slice s);
void head_names_done(struct head_names *names);
