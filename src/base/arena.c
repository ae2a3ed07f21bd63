/* arena.c -- capped bump memory; see arena.h. */
#include "base/arena.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum { ARENA_ALIGN = 16, ARENA_BLOCK_BYTES_MIN = 4096, ARENA_BLOCK_BYTES_MAX = 1 << 20 };

struct arena_block {
    struct arena_block *older;
    size_t bytes; // behind the header
    _Alignas(ARENA_ALIGN) uint8_t memory[];
};

void arena_init(struct arena *a, size_t bytes_max)
{
    *a = (struct arena){.bytes_max = bytes_max};
}

void arena_init_shared(struct arena *a, struct arena_budget *budget)
{
    *a = (struct arena){.bytes_max = budget->bytes_max, .budget = budget};
}

static void free_until(struct arena *a, const struct arena_block *keep)
{
    while (a->last != keep) {
        struct arena_block *block = a->last;
        a->last = block->older;
        if (a->budget != NULL)
            atomic_fetch_sub(&a->budget->used_bytes, block->bytes);
        free(block);
    }
}

void arena_done(struct arena *a)
{
    free_until(a, NULL);
    *a = (struct arena){0};
}

void arena_adopt(struct arena *a, struct arena *from)
{
    if (from->last != NULL && a->last == NULL) {
        a->last = from->last;
        a->pos = a->end = from->end; // what is left of it is not used
    } else if (from->last != NULL) {
        struct arena_block *oldest = from->last;
        while (oldest->older != NULL)
            oldest = oldest->older;
        oldest->older = a->last->older;
        a->last->older = from->last;
    }
    a->used_bytes += from->used_bytes;
    *from = (struct arena){0};
}

void arena_reset(struct arena *a)
{
    struct arena_block *keep = a->last;
    if (keep != NULL && keep->bytes > ARENA_BLOCK_BYTES_MAX)
        keep = NULL; // a giant one is not worth holding on to
    if (keep != NULL) {
        a->last = keep->older;
        free_until(a, NULL);
        keep->older = NULL;
        a->last = keep;
        a->pos = keep->memory;
        a->end = keep->memory + keep->bytes;
    } else {
        free_until(a, NULL);
        a->pos = a->end = NULL;
    }
    a->used_bytes = keep != NULL ? keep->bytes : 0;
    a->overflowed = false;
}

static bool charge(struct arena *a, size_t bytes)
{
    if (a->budget == NULL || atomic_fetch_add(&a->budget->used_bytes, bytes) + bytes <= a->budget->bytes_max)
        return true;
    atomic_fetch_sub(&a->budget->used_bytes, bytes);
    return false;
}

// Opens a block with room for `bytes`; they double up to a megabyte, so few are needed for any size.
static bool add_block(struct arena *a, size_t bytes)
{
    size_t room = a->last == NULL ? ARENA_BLOCK_BYTES_MIN : a->last->bytes * 2;
    room = room > ARENA_BLOCK_BYTES_MAX ? ARENA_BLOCK_BYTES_MAX : room;
    room = room < bytes ? bytes : room;
    size_t left = a->bytes_max > a->used_bytes ? a->bytes_max - a->used_bytes : 0;
    room = room > left && left >= bytes ? left : room;
    if (room > left || !charge(a, room))
        return false;
    struct arena_block *block = malloc(sizeof *block + room);
    assert(block != NULL);
    *block = (struct arena_block){.older = a->last, .bytes = room};
    a->last = block;
    a->pos = block->memory;
    a->end = block->memory + room;
    a->used_bytes += room;
    return true;
}

void *arena_alloc(struct arena *a, size_t bytes)
{
    if (a->overflowed)
        return NULL;
    size_t padded;
    if (__builtin_add_overflow(bytes, ARENA_ALIGN - 1, &padded)) {
        a->overflowed = true;
        return NULL;
    }
    padded &= ~(size_t)(ARENA_ALIGN - 1);
    if (padded == 0)
        padded = ARENA_ALIGN; // every allocation has an address of its own
    if (padded > (size_t)(a->end - a->pos) && !add_block(a, padded)) {
        a->overflowed = true;
        return NULL;
    }
    void *ptr = a->pos;
    a->pos += padded;
    return ptr;
}

void *arena_zalloc(struct arena *a, size_t bytes)
{
    void *ptr = arena_alloc(a, bytes);
    return ptr == NULL ? NULL : memset(ptr, 0, bytes);
}

void *arena_array(struct arena *a, size_t count, size_t size)
{
    size_t bytes;
    if (__builtin_mul_overflow(count, size, &bytes)) {
        a->overflowed = true;
        return NULL;
    }
    return arena_alloc(a, bytes);
}

struct slice arena_copy(struct arena *a, struct slice bytes)
{
    uint8_t *ptr = arena_alloc(a, bytes.len);
    if (ptr == NULL)
        return (struct slice){0};
    if (bytes.len > 0)
        memcpy(ptr, bytes.ptr, bytes.len);
    return slice_of(ptr, bytes.len);
}

const char *arena_printf(struct arena *a, const char *fmt, ...)
{
    va_list args, again;
    va_start(args, fmt);
    va_copy(again, args);
    int len = vsnprintf(NULL, 0, fmt, args);
    va_end(args);
    char *text = len < 0 ? NULL : arena_alloc(a, (size_t)len + 1);
    if (text != NULL)
        (void)vsnprintf(text, (size_t)len + 1, fmt, again);
    va_end(again);
    return text != NULL ? text : "";
}

struct arena_mark arena_mark(const struct arena *a)
{
    return (struct arena_mark){a->last, a->pos, a->used_bytes};
}

void arena_rewind(struct arena *a, struct arena_mark mark)
{
    if (mark.last == NULL) { // the arena was empty: the first block may stay
        arena_reset(a);
        return;
    }
    free_until(a, mark.last);
    a->pos = mark.pos;
    a->end = mark.last->memory + mark.last->bytes;
    a->used_bytes = mark.used_bytes;
}

bool arena_ok(const struct arena *a, const char *what, struct err *err)
{
    if (!a->overflowed)
        return true;
    return err_set(err, ERR_LIMIT, "%s: memory limit of %zu bytes exceeded", what, a->bytes_max);
}

bool arena_grow(struct arena *a, void **items, size_t item_bytes, size_t count, size_t *room)
{
    if (count < *room)
        return true;
    size_t larger;
    if (__builtin_mul_overflow(*room, (size_t)2, &larger)) {
        a->overflowed = true;
        return false;
    }
    larger = larger < 8 ? 8 : larger;
    void *moved = arena_array(a, larger, item_bytes);
    if (moved == NULL)
        return false;
    if (count > 0)
        memcpy(moved, *items, count * item_bytes);
    *items = moved;
    *room = larger;
    return true;
}
