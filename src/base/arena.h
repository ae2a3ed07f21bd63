/*
 * arena.h -- capped bump memory for everything that lives as long as one request.
 *
 * Nothing is freed singly: arena_rewind() gives back to a mark, arena_reset() everything (keeping one
 * block for reuse). When the cap is reached the arena turns `overflowed` and stays so until reset;
 * allocations then return NULL. A loop that builds may test every pointer or, where it can go on
 * without, test arena_ok() once after building. Not thread-safe: one owner at a time.
 */
#pragma once

#include "base/attr.h"
#include "base/err.h"
#include "base/slice.h"

#include <stdatomic.h>

struct arena_block;

// What several arenas, each with an owner of its own, may take together.
struct arena_budget {
    size_t bytes_max;
    atomic_size_t used_bytes;
};

struct arena {
    struct arena_block *last; // owned; newest block, linked to the older ones
    uint8_t *pos;             // next free byte in `last`
    uint8_t *end;
    size_t used_bytes; // in all blocks, for the cap
    size_t bytes_max;
    struct arena_budget *budget; // borrowed; NULL: bytes_max alone counts
    bool overflowed;
};

struct arena_mark {
    struct arena_block *last;
    uint8_t *pos;
    size_t used_bytes;
};

void arena_init(struct arena *a, size_t bytes_max);
void arena_init_shared(struct arena *a, struct arena_budget *budget);
void arena_done(struct arena *a); // NULL-safe on a zeroed arena
void arena_reset(struct arena *a);
// Moves everything in `from` to `a`, where it stays until `a` is reset; `from` is done. May pass a's cap.
void arena_adopt(struct arena *a, struct arena *from);

// 16-byte aligned, not zeroed; NULL after overflow.
void *arena_alloc(struct arena *a, size_t bytes);
void *arena_zalloc(struct arena *a, size_t bytes);
// count * size with overflow check.
void *arena_array(struct arena *a, size_t count, size_t size);
// Copies; an empty slice with ptr NULL after overflow.
struct slice arena_copy(struct arena *a, struct slice bytes);
// NUL-terminated; "" after overflow.
const char *arena_printf(struct arena *a, const char *fmt, ...) PRINTF_LIKE(2, 3);

struct arena_mark arena_mark(const struct arena *a);
void arena_rewind(struct arena *a, struct arena_mark mark);

// False with ERR_LIMIT naming `what` when the cap was hit.
MUST_CHECK bool arena_ok(const struct arena *a, const char *what, struct err *err);

/*
 * A growing array inside an arena: doubles by copying, so pointers into it move. Bounded by the arena.
 *     struct thing *items = NULL; size_t count = 0, room = 0;
 *     if (!arena_grow(a, (void **)&items, sizeof *items, count, &room)) return ...;
 *     items[count++] = ...;
 */
MUST_CHECK bool arena_grow(struct arena *a, void **items, size_t item_bytes, size_t count,
                           size_t *room);
