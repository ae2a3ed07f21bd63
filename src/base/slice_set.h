/* slice_set.h -- distinct byte strings, numbered in order of appearance; everything lives in an arena. */
#pragma once

#include "base/arena.h"
#include "base/slice.h"

struct slice_set { // zeroed but for `arena` it is empty
    struct arena *arena;
    struct slice *items; // copies, by number
    size_t count, room;
    uint32_t *slots; // number + 1; 0 is empty
    size_t slots_room;
};

// The number of a string, given if need be; SIZE_MAX when the arena is full.
size_t slice_set_add(struct slice_set *set, struct slice s);
