/*
 * span_dict.h -- distinct byte strings with numbers, in order of appearance; for span_write.c. Memory is kept from one
 * block to the next.
 */
#pragma once

#include "base/buf.h"

struct dict_slot;

struct dict { // zeroed is empty
    struct buf text;        // all values, back to back
    uint32_t *ends;         // owned; of the values in the text
    uint32_t count, room;
    struct dict_slot *slots; // owned
    uint32_t slots_count;    // a power of two, or 0
};

void dict_done(struct dict *d);
void dict_reset(struct dict *d);
size_t dict_room_bytes(const struct dict *d); // what it keeps
// The number of a value, which is added when it is new: then it is the count before.
uint32_t dict_number(struct dict *d, struct slice value);

static inline struct slice dict_value(const struct dict *d, uint32_t number)
{
    uint32_t from = number == 0 ? 0 : d->ends[number - 1];
    return slice_of(d->text.ptr + from, d->ends[number] - from);
}
