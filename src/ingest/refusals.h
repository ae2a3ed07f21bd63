/* refusals.h -- why parts of a push were refused: each distinct text once, counted, so that an answer stays short. */
#pragma once

#include "base/arena.h"
#include "base/slice.h"

enum { REFUSAL_TEXTS_MAX = 16 }; // distinct texts told in one answer; further ones are counted

struct refusals {
    struct {
        struct slice text;
        uint64_t count;
    } texts[REFUSAL_TEXTS_MAX];
    uint32_t count;
    uint64_t more; // whose text did not find a place
};

// Copies a text that is new to the arena.
void refusals_note(struct refusals *r, struct arena *a, struct slice text);
// All of them as one text in the arena, without a line break; empty when there are none.
struct slice refusals_text(const struct refusals *r, struct arena *a);
