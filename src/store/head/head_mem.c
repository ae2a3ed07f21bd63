/* head_mem.c -- see head_mem.h. */
#include "store/head/head_mem.h"

#include "base/hash.h"

#include <assert.h>
#include <stdlib.h>
#include <sys/mman.h>

enum { TEXT_PAGE_BYTES = 1024 * 1024, TABLE_ROOM_MIN = 512 };

struct head_text_page {
    struct head_text_page *next;
    size_t bytes;
};

void *head_map(size_t bytes)
{
    void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert(p != MAP_FAILED); // as malloc elsewhere: heads are capped, so this is not a user's limit
    return p;
}

void head_unmap(void *p, size_t bytes)
{
    if (p != NULL)
        munmap(p, bytes);
}

void *head_grown(void *items, uint32_t *room, size_t item_bytes)
{
    *room = *room == 0 ? 16 : *room * 2;
    items = realloc(items, *room * item_bytes);
    assert(items != NULL);
    return items;
}

// --- text
// -------------------------------------------------------------------------------------------

static uint8_t *text_room(struct head_text *t, size_t bytes)
{
    if ((size_t)(t->end - t->pos) < bytes) {
        size_t page_bytes = sizeof(struct head_text_page) + bytes;
        if (page_bytes < TEXT_PAGE_BYTES)
            page_bytes = TEXT_PAGE_BYTES;
        struct head_text_page *page = head_map(page_bytes);
        page->next = t->pages;
        page->bytes = page_bytes;
        t->pages = page;
        t->pos = (uint8_t *)(page + 1);
        t->end = (uint8_t *)page + page_bytes;
    }
    uint8_t *at = t->pos;
    t->pos += bytes;
    t->bytes += bytes;
    return at;
}

struct slice head_text_copy(struct head_text *t, struct slice s)
{
    uint8_t *at = text_room(t, s.len);
    if (s.len > 0)
        memcpy(at, s.ptr, s.len);
    return slice_of(at, s.len);
}

void head_text_done(struct head_text *t)
{
    while (t->pages != NULL) {
        struct head_text_page *page = t->pages;
        t->pages = page->next;
        head_unmap(page, page->bytes);
    }
}

// --- tables
// -----------------------------------------------------------------------------------------

void head_table_put(struct head_table *t, uint32_t hash, uint32_t number)
{
    size_t at = hash & (t->room - 1);
    while (t->slots[at] != 0)
        at = (at + 1) & (t->room - 1);
    t->slots[at] = (uint64_t)hash << 32 | (number + 1);
    t->count++;
}

// Keeps the table at most half full for one more.
void head_table_room(struct head_text *text, struct head_table *t)
{
    if ((t->count + 1) * 2 <= t->room)
        return;
    struct head_table larger = {.room = t->room == 0 ? TABLE_ROOM_MIN : t->room * 2};
    larger.slots = head_map(larger.room * sizeof *larger.slots);
    for (size_t i = 0; i < t->room; i++)
        if (t->slots[i] != 0)
            head_table_put(&larger, (uint32_t)(t->slots[i] >> 32), (uint32_t)t->slots[i] - 1);
    text->bytes += (larger.room - t->room) * sizeof *t->slots;
    head_table_done(t);
    *t = larger;
}

void head_table_done(struct head_table *t)
{
    head_unmap(t->slots, t->room * sizeof *t->slots);
}

// --- names
// ------------------------------------------------------------------------------------------

static uint32_t names_find(const struct head_names *names, struct slice s, uint32_t hash)
{
    uint32_t number;
    for (size_t at = head_table_start(&names->known, hash);
         (number = head_table_next(&names->known, hash, &at)) != UINT32_MAX;)
        if (slice_eq(names->items[number], s))
            break;
    return number;
}

uint32_t head_names_find(const struct head_names *names, struct slice s)
{
    return names_find(names, s, (uint32_t)hash64(s));
}

uint32_t head_names_add(struct head_text *t, struct head_names *names, struct slice s)
{
    uint32_t hash = (uint32_t)hash64(s);
    uint32_t number = names_find(names, s, hash);
    if (number != UINT32_MAX)
        return number;
    if (names->count == names->room)
        names->items = head_grown(names->items, &names->room, sizeof *names->items);
    head_table_room(t, &names->known);
    names->items[names->count] = head_text_copy(t, s);
    t->bytes += sizeof *names->items;
    head_table_put(&names->known, hash, names->count);
    return names->count++;
}

void head_names_done(struct head_names *names)
{
    free(names->items);
    head_table_done(&names->known);
}
