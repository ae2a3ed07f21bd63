/* span_dict.c -- see span_dict.h. */
#include "store/span/span_dict.h"

#include "base/hash.h"

#include <assert.h>
#include <stdlib.h>

enum { SLOTS_MIN = 16, VALUES_MIN = 8 };

struct dict_slot {
    uint32_t place; // number + 1, or 0
    uint32_t hash;  // lower half: enough to find the slot again in a larger table
};

void dict_done(struct dict *d)
{
    buf_done(&d->text);
    free(d->ends);
    free(d->slots);
    *d = (struct dict){0};
}

void dict_reset(struct dict *d)
{
    if (d->count == 0)
        return;
    buf_reset(&d->text);
    d->count = 0;
    memset(d->slots, 0, d->slots_count * sizeof *d->slots);
}

size_t dict_room_bytes(const struct dict *d)
{
    return d->text.room + d->room * sizeof *d->ends + d->slots_count * sizeof *d->slots;
}

static void enlarge_slots(struct dict *d)
{
    struct dict_slot *old = d->slots;
    uint32_t old_count = d->slots_count;
    d->slots_count = old_count == 0 ? SLOTS_MIN : old_count * 4;
    d->slots = calloc(d->slots_count, sizeof *d->slots);
    assert(d->slots != NULL);
    for (uint32_t i = 0; i < old_count; i++) {
        if (old[i].place == 0)
            continue;
        uint32_t at = old[i].hash & (d->slots_count - 1);
        while (d->slots[at].place != 0)
            at = (at + 1) & (d->slots_count - 1);
        d->slots[at] = old[i];
    }
    free(old);
}

static uint32_t add(struct dict *d, struct slice value)
{
    if (d->count == d->room) {
        d->room = d->room == 0 ? VALUES_MIN : d->room * 2;
        d->ends = realloc(d->ends, d->room * sizeof *d->ends);
        assert(d->ends != NULL);
    }
    buf_put_slice(&d->text, value);
    assert(!d->text.bad && d->text.len <= UINT32_MAX);
    d->ends[d->count] = (uint32_t)d->text.len;
    return d->count++;
}

uint32_t dict_number(struct dict *d, struct slice value)
{
    if (d->count * 2 >= d->slots_count)
        enlarge_slots(d);
    uint32_t hash = (uint32_t)hash64(value);
    uint32_t at = hash & (d->slots_count - 1);
    for (; d->slots[at].place != 0; at = (at + 1) & (d->slots_count - 1))
        if (d->slots[at].hash == hash && slice_eq(dict_value(d, d->slots[at].place - 1), value))
            return d->slots[at].place - 1;
    d->slots[at] = (struct dict_slot){d->count + 1, hash};
    return add(d, value);
}
