/* slice_set.c -- see slice_set.h. Open addressing, at most half full. */
#include "base/slice_set.h"

#include "base/hash.h"

enum { SLOTS_MIN = 64 };

static void put(struct slice_set *set, size_t number)
{
    size_t at = hash64(set->items[number]) & (set->slots_room - 1);
    while (set->slots[at] != 0)
        at = (at + 1) & (set->slots_room - 1);
    set->slots[at] = (uint32_t)number + 1;
}

static bool grow(struct slice_set *set)
{
    if ((set->count + 1) * 2 <= set->slots_room)
        return true;
    set->slots_room = set->slots_room == 0 ? SLOTS_MIN : set->slots_room * 4;
    set->slots = arena_zalloc(set->arena, set->slots_room * sizeof *set->slots);
    for (size_t i = 0; set->slots != NULL && i < set->count; i++)
        put(set, i);
    return set->slots != NULL;
}

size_t slice_set_add(struct slice_set *set, struct slice s)
{
    if (set->count >= UINT32_MAX - 1 || !grow(set))
        return SIZE_MAX;
    size_t at = hash64(s) & (set->slots_room - 1);
    for (; set->slots[at] != 0; at = (at + 1) & (set->slots_room - 1))
        if (slice_eq(set->items[set->slots[at] - 1], s))
            return set->slots[at] - 1;
    if (set->count == set->room &&
        !arena_grow(set->arena, (void **)&set->items, sizeof *set->items, set->count, &set->room))
        return SIZE_MAX;
    set->items[set->count] = arena_copy(set->arena, s);
    if (set->arena->overflowed)
        return SIZE_MAX;
    set->slots[at] = (uint32_t)++set->count;
    return set->count - 1;
}
